"""The ledger: targets, the tasks behind each, and what has become of everything so far."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..util.clock import Clock, utc_now
from ..util.errors import Sentence
from ..util.files import on_one_line
from ..util.screen import FILES
from ..util.text import human_size, printable, shown_name
from .library import Library
from .places import Wanted
from .records import Outcome, Result
from .targets import Entry

log = logging.getLogger(__name__)

Steps = Iterator[None]
Origin = Literal["line", "listing", "resource"]


class Countdown:
    """Counts open tasks; once the last of them has ended it calls `then` and sets `ended`."""

    def __init__(self, then: Callable[[], None]) -> None:
        """`then` runs in the thread that ends the last task."""
        self._lock, self._open, self._then = threading.Lock(), 0, then
        self.ended = threading.Event()

    @property
    def open(self) -> int:
        """How many are open."""
        return self._open

    def add(self, change: int) -> None:
        """Count a task that begins (1) or has ended (-1)."""
        with self._lock:
            self._open += change
            last = self._open == 0
        if last:
            self._then()
            self.ended.set()


@dataclass(eq=False)
class Batch:
    """Everything behind one target: its results, and what is still open of it.

    `origin` says how the target came up: by an input `line`; by a `listing`, so that what the site does not give is a
    note and no failure; or as a `resource` of a picture, which is wanted only if it is a LoRA (or a checkpoint). `page`
    is the log's id and the folder of the target's own page. `notable` are the results that the summary speaks of,
    `lines` all of them as JSON.
    """

    entry: Entry
    library: Library
    origin: Origin
    tasks: Countdown
    name: str
    note: str = ""
    page: tuple[str, str] = ("", "")
    counts: Counter[str] = field(default_factory=Counter)
    notable: list[Result] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        """What went wrong."""
        return [result for result in self.notable if result.outcome == "failed"]

    @property
    def outcome(self) -> Outcome | Literal["interrupted"]:
        """How the target ended."""
        if not self.tasks.ended.is_set():
            return "interrupted"
        if self.failures:
            return "failed"
        return "done" if self.counts["done"] else "queued" if self.counts["queued"] else "skipped"


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do for a batch.

    `action` returns a result, nothing, or the steps of a longer listing, which are taken one at a time so that
    everybody gets a turn. With `wanted` it goes to the LoRA pool and fetches that thing, else to the metadata pool, but
    for a `heavy` one, which reads whole files. A `late` task waits until nothing is left to be listed; a `last` one has
    been put off to the end of the run. `group` counts it besides its batch.
    """

    batch: Batch
    action: Callable[[], Result | Steps | None]
    name: str = ""
    wanted: Wanted | None = None
    group: Countdown | None = None
    late: bool = False
    last: bool = False
    heavy: bool = False


class Ledger:
    """What has become of everything so far; watchers read it while the run goes on.

    `counts` are by outcome, `kinds` by outcome and kind.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._begun, self.started = clock.now(), utc_now()
        self.interrupted = False
        self.batches: list[Batch] = []
        self.counts: Counter[str] = Counter()
        self.settled = 0
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.queued: list[tuple[Task, Result]] = []

    def seconds(self) -> float:
        """Return how long the run has taken so far."""
        return self._clock.now() - self._begun

    def open(self, entry: Entry, library: Library, origin: Origin, then: Callable[[Batch], None]) -> Batch:
        """Add a batch; `then` is called once everything behind it has ended."""
        batch = Batch(entry, library, origin, Countdown(lambda: self._settle(batch, then)), name=entry.source)
        with self._lock:
            self.batches.append(batch)
        return batch

    def _settle(self, batch: Batch, then: Callable[[Batch], None]) -> None:
        with self._lock:
            self.settled += 1
        then(batch)

    def add(self, task: Task, result: Result) -> None:
        """Count how a task ended."""
        batch = task.batch
        scanned = result.scan and result.outcome == "done"
        with self._lock:
            self.counts[result.outcome] += 1
            batch.counts[result.outcome] += 1
            self.kinds[result.outcome, result.kind] += 1
            if result.reason or result.outcome == "queued" or not result.verified or scanned:
                batch.notable.append(result)
            if result.outcome == "queued":
                self.queued.append((task, result))
            else:
                batch.lines.append(on_one_line(vars(result)))
        _say_file(result)

    def take_queued(self) -> list[Task]:
        """Return the tasks whose files were handed to IDM and have not come, and forget their results."""
        with self._lock:
            queued, self.queued = self.queued, []
            for task, result in queued:
                task.batch.notable.remove(result)
                task.batch.counts["queued"] -= 1
                self.counts["queued"] -= 1
                self.kinds["queued", result.kind] -= 1
        return [task for task, _ in queued]


FINISHED = {"done": "fetched: %s (%s)", "skipped": "already there: %s (%s)", "queued": "queued in IDM: %s (%s)"}
FINISHED_LOCAL = "looked up: %s (%s)"
MISSED = {"skipped": "skipped: %s: %s", "failed": "failed: %s: %s"}


def _say_file(result: Result) -> None:
    """Name a thing as soon as it has ended, for those who asked for it."""
    facts = {"event": "file", "outcome": result.outcome, "kind": result.kind, "path": result.path, "size": result.size}
    if result.reason:
        log.log(FILES, MISSED[result.outcome], result.name, result.message, extra={"facts": facts})
    elif result.kind == "local":
        name = Sentence("unknown") if result.name == printable(result.path) else result.name
        log.log(FILES, FINISHED_LOCAL, printable(shown_name(result.path)), name, extra={"facts": facts})
    else:
        log.log(FILES, FINISHED[result.outcome], result.path, human_size(result.size), extra={"facts": facts})
