"""One run from its first entry to its end: the collaborators are put together and set to work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from ..util.clock import Clock
from ..util.disks import DiskLost
from ..util.errors import Failure
from ..util.progress import Progress
from .answers import Model, Version
from .catalogue import Catalogue
from .deliveries import Deliveries
from .fetch import Fetcher
from .found import Found
from .galleries import Galleries
from .homes import Homes
from .ledger import Countdown, Ledger, Task
from .libraries import Libraries
from .local import Folders
from .naming import Naming
from .organize import Organizer
from .pictures import Pictures
from .prompts import Filters
from .schedule import Schedule
from .settings import Settings
from .site import Site
from .targets import Entry, Target
from .updates import Updates
from .visits import Visits

log = logging.getLogger(__name__)


class Run:
    """One run over all entries. Watchers read `ledger` and `progress`."""

    def __init__(
        self,
        settings: Settings,
        entries: Sequence[Entry],
        clock: Clock,
        filters: Filters,
        sealed: Collection[Path] = (),
    ) -> None:
        """Read the state log of every output folder. Raises UsageError when another run writes to one of them.

        Nothing is written to the `sealed` folders.
        """
        self.settings, self._filters = settings, filters
        self.site, self.progress, self.ledger = Site(settings, clock), Progress(), Ledger(clock)
        wait = log.info if settings.wait else None
        self.libraries = Libraries(clock, wait=wait, read_only=settings.dry_run, sealed=sealed, share=settings.share)
        self.catalogue = Catalogue(self.site, settings, [entry.target for entry in entries])
        self.schedule = Schedule(clock, self.ledger)
        fetcher = Fetcher(settings, self.site, clock, self.progress)
        deliveries = Deliveries(self.schedule, fetcher, self.libraries, clock)
        pictures = Pictures(self.site, filters, deliveries)
        naming = Naming(self.site, self.catalogue)
        folders = Folders(naming, self.schedule, clock, self.progress, [each.target for each in entries])
        galleries = Galleries(self.site, self.catalogue, self.schedule, pictures)
        self.visits = Visits(
            self.site, self.catalogue, self.libraries, deliveries, pictures, galleries, self.homes, folders
        )
        self._tasks = [self._open(entry) for entry in entries]

    def _open(self, entry: Entry) -> Task:
        task = self.visits.open(entry)
        is_compared = entry.target.kind == "updates"
        return replace(task, action=partial(self.updates.visit, task.batch)) if is_compared else task

    def execute(self, watch: Callable[[Run], None]) -> None:
        """Do everything; `watch` is called some ten times a second, and Ctrl-C ends it within half a second."""
        try:
            for library in self.libraries.writable if self.settings.share is None else ():
                library.refilter_if_changed(self._filters)
            self._settle()
            tasks = self.visits.folders.order(self._tasks)
            self.schedule.run(tasks, self.settings.workers, lambda: self._look(watch))
            self._organize(watch)
            self.visits.deliveries.start_queue(result for _, result in self.ledger.queued)
            if self.settings.idm_wait:
                self.visits.deliveries.await_queue(lambda: watch(self))
        except KeyboardInterrupt:
            self.ledger.interrupted = True
        except DiskLost:  # of each folder; that is said below
            pass
        watch(self)
        for library in self.libraries.lost:
            log.error("%s", library.disk.trouble)

    def _settle(self) -> None:
        """End what an earlier run has begun to put in order, before the folders are looked through."""
        if self.settings.organize:
            local = (batch.library for batch in self.ledger.batches if batch.entry.target.kind == "local")
            self.organizer.settle(each for each in dict.fromkeys(local) if each.is_writable)

    def _organize(self, watch: Callable[[Run], None]) -> None:
        """Put the files of the folders in order, in a schedule of its own, since everything else has ended."""
        looks = self.visits.folders.looks
        if self.settings.organize and looks:
            batch = replace(looks[0].batch, tasks=Countdown(lambda: None))  # its results are those of the batch
            task = Task(batch, partial(self.organizer.organize, looks, self.progress), heavy=True)
            Schedule(self.schedule.clock, self.ledger).run([task], 1, lambda: self._look(watch))

    @cached_property
    def organizer(self) -> Organizer:
        """Who puts the files of folders in order."""
        return Organizer(self.settings, self.libraries.open, self.schedule.clock, self.ledger, self._ask)

    def _ask(self, found: Found) -> tuple[Model, Version]:
        """Return what the site says of a file that no page describes. Raises Failure."""
        model, _ = self.catalogue.resolve(Target("model", found.model, version=found.version))
        version = next((each for each in model.versions if each.id == found.version), None)
        if version is None:
            sentence = "The site no longer lists its version, so its folder isn't known; it stays where it is."
            raise Failure("gone", sentence)
        return model, version

    def look(self, watch: Callable[[Run], None]) -> None:
        """Look through the folders among the inputs, compare libraries with the site, and do nothing else."""
        if tasks := [task for task in self._tasks if task.batch.entry.target.kind in ("local", "updates")]:
            self.schedule.run(self.visits.folders.order(tasks), self.settings.workers, lambda: watch(self))

    def _look(self, watch: Callable[[Run], None]) -> None:
        """Let the watcher look, and other copies go on. Raises DiskLost when every output folder is lost."""
        watch(self)
        for library in self.libraries.writable:
            library.give_back()
        lost = self.libraries.lost
        if lost and len(lost) == len(self.libraries):
            lost[0].disk.check()

    @cached_property
    def homes(self) -> Homes:
        """The folders of models and versions that are there already."""
        return Homes()

    @cached_property
    def updates(self) -> Updates:
        """What comparing libraries with the site has told."""
        return Updates(self.site, self.visits)

    @property
    def is_retrying(self) -> bool:
        """Whether a request waits to be tried again."""
        return bool(self.site.http.waiting)

    def bytes_left(self) -> int:
        """Return how many bytes of the files submitted so far are still to come, as far as sizes are published."""
        under_way = sum(meter.done for meter in self.progress.active() if meter.total and not meter.reads)
        return max(0, self.schedule.backlog.size - under_way)

    def close(self) -> None:
        """Close the logs and release the output folders."""
        with ExitStack() as stack:
            for close in (self.site.kept.close, *(library.close for library in self.libraries)):
                stack.callback(close)
