"""Deliveries: each wanted thing comes home once, at once if it is there already, else by a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ..util.clock import DAY, Clock
from ..util.errors import Failure
from ..util.names import name_key
from .answers import Image
from .fetch import Fetcher, decide, good_result
from .ledger import Batch, Countdown, Task
from .libraries import Libraries
from .library import Library
from .places import Wanted
from .records import Result
from .schedule import Schedule
from .thumbs import wanted_thumb

log = logging.getLogger(__name__)


class Deliveries:
    """Takes orders for wanted things. Orders come from the metadata pool alone, which has one worker.

    IDM is waited for as long as something comes within `IDM_PATIENCE` seconds.
    """

    IDM_PATIENCE = DAY

    def __init__(self, schedule: Schedule, fetcher: Fetcher, libraries: Libraries, clock: Clock) -> None:
        self.schedule, self._fetcher, self._libraries, self._clock = schedule, fetcher, libraries, clock
        self._ordered: set[int] = set()
        self._twins: dict[str, Path] = {}

    def order(self, batch: Batch, wanted: Wanted, group: Countdown | None = None) -> None:
        """Have a thing downloaded unless it was ordered before or is there already. `group` counts it."""
        if not self._is_first_order(batch, wanted):
            return
        facts = batch.library.facts(wanted)
        if decide(wanted, facts, force=batch.entry.settings.force) == "keep":
            result = self._known_to_twins(batch, wanted, good_result(wanted, "skipped", facts.path, facts.size))
            keep = partial(_keep, batch.library, wanted, result)
            self.schedule.do(Task(batch, keep, wanted.name, None if facts.in_place else wanted))
        else:
            self.schedule.submit(Task(batch, partial(self._bring, batch, wanted), wanted.name, wanted, group))

    def _is_first_order(self, batch: Batch, wanted: Wanted) -> bool:
        order = hash((batch.library.root, wanted.kind, wanted.path))
        is_first = order not in self._ordered
        self._ordered.add(order)
        return is_first

    def order_thumb(self, batch: Batch, image: Image) -> None:
        """Have the small form of a picture downloaded for the page, if that is wanted; the results don't count it."""
        library, settings = batch.library, batch.entry.settings
        thumb = wanted_thumb(image, library, batch.entry.source) if settings.thumbnails else None
        if thumb is not None and self._is_first_order(batch, thumb):
            self.order_still(batch, thumb, Countdown(partial(library.disk.changed.add, str(library.at(thumb.path)))))

    def order_still(self, batch: Batch, wanted: Wanted, group: Countdown) -> None:
        """Have the still of a video downloaded if there is one; the results don't count it."""
        self.schedule.submit(Task(batch, partial(self._bring_still, batch, wanted), wanted.name, wanted, group))

    def _bring_still(self, batch: Batch, wanted: Wanted) -> None:
        with batch.library.claiming(wanted.identity, f"place/{name_key(wanted.path)}"):
            self._fetcher.bring_still(wanted, batch.library)

    def _bring(self, batch: Batch, wanted: Wanted) -> Result:
        twin = self._twins.get(wanted.identity)
        force = batch.entry.settings.force and twin is None and not self.schedule.is_over
        with batch.library.claiming(wanted.identity, f"place/{name_key(wanted.path)}"):
            result = self._fetcher.bring(wanted, batch.library, force=force, twin=twin)
        return self._known_to_twins(batch, wanted, result)

    def _known_to_twins(self, batch: Batch, wanted: Wanted, result: Result) -> Result:
        """Remember where the bytes of a good result lie when another place may want them in this run.

        Those that an app has edited are nothing for another place.
        """
        if result.outcome != "queued" and (len(self._libraries) > 1 or batch.entry.settings.force):
            own = batch.library.own(wanted) if wanted.sha256 else None
            if (result.sha256 or (own.sha256 if own is not None else "")) in ("", wanted.sha256):
                self._twins[wanted.identity] = batch.library.at(result.path)
        return result

    def start_queue(self, results: Iterable[Result]) -> None:
        """Start IDM's queue if one of these results was put into it just now."""
        if self._fetcher.idm is not None and any(each.outcome == "queued" and each.until for each in results):
            try:
                self._fetcher.idm.start()
            except Failure as failure:
                log.warning("%s", failure)

    def await_queue(self, watch: Callable[[], None]) -> None:
        """Wait until IDM has brought everything, or nothing for a day; links that have expired are queued again.

        `watch` is called every two seconds. Raises Stopped.
        """
        ledger, last = self.schedule.ledger, self._clock.now()
        while ledger.queued and self._clock.now() < last + self.IDM_PATIENCE:
            tasks = ledger.take_queued()
            for task in tasks:
                self.schedule.do(task)
            self.start_queue(result for _, result in ledger.queued)
            if len(ledger.queued) < len(tasks):
                last = self._clock.now()
            self._clock.sleep(2)
            watch()


def _keep(library: Library, wanted: Wanted, result: Result) -> Result:
    """Return the result of what is there. Raises Failure for a model file behind a link that a stranger made."""
    if wanted.kind == "model":
        library.check_links(result.path)
    return result
