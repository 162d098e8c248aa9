"""The schedule: two pools, their tasks, twins, hosts at rest and the end. It knows nothing of models."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..util.clock import Clock
from ..util.disks import DiskFailure, failure_of
from ..util.errors import Failure, Stopped
from ..util.files import Held
from ..util.pace import HostDown
from ..util.rests import Resting
from ..util.text import scrub
from .ledger import Countdown, Ledger, Steps, Task
from .records import Outcome, Result
from .refusals import EarlyAccess

log = logging.getLogger(__name__)

NOT_GIVEN = frozenset(("archived", "taken-down", "disabled", "early-access", "no-files"))
AHEAD = 4000
POOLS = ("metadata", "lora")


# --- The two pools --------------------------------------------------------------------------------


@contextmanager
def pools(workers: int, clock: Clock) -> Iterator[tuple[Executor, Executor]]:
    """Provide the metadata pool (one worker) and the LoRA pool; left early, they have 0.4 seconds to stop."""
    both = ThreadPoolExecutor(1, POOLS[0]), ThreadPoolExecutor(workers, POOLS[1])
    try:
        _start_each(both)
        yield both
    except BaseException:
        clock.stop()
        for pool in both:
            pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + 0.4
        while time.monotonic() < deadline and any(t.name.startswith(POOLS) for t in threading.enumerate()):
            time.sleep(0.02)
        raise
    for pool in both:
        pool.shutdown()


def _start_each(executors: Iterable[Executor]) -> None:
    """Start one thread of each pool, which can do all of its work. Raises Failure where the system forbids it."""
    try:
        for each in executors:
            each.submit(lambda: None)
    except RuntimeError:
        raise Failure("system", "The system doesn't allow more threads; raise the limit (ulimit -u).") from None


@dataclass
class Backlog:
    """What was submitted to the LoRA pool and has not ended: how many things, and their published bytes."""

    things: int = 0
    size: int = 0


class Schedule:
    """Runs tasks until none is left. A task may submit others; none ever waits for another."""

    def __init__(self, clock: Clock, ledger: Ledger) -> None:
        self._clock, self.ledger = clock, ledger
        self._lock = threading.Lock()
        self._open = Countdown(lambda: None)
        self._listing = Countdown(self._wake_late)
        self._waiting: list[tuple[float, Task]] = []
        self._late: list[Task] = []
        self._followers: dict[str, list[Task]] = {}
        self.backlog = Backlog()

    def run(self, tasks: Iterable[Task], workers: int, watch: Callable[[], None]) -> None:
        """Do the tasks and all that they submit; `watch` is called some ten times a second in this thread."""
        with pools(workers, self._clock) as self._pools:
            self._open.add(1)
            for task in tasks:
                self.submit(task)
            self._open.add(-1)
            while not self._open.ended.wait(0.02 if self._waiting else 0.1):
                self._wake_due()
                watch()

    @property
    def clock(self) -> Clock:
        """The clock of the run."""
        return self._clock

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do (but to wait for IDM)."""
        return self._open.ended.is_set()

    def submit(self, task: Task) -> None:
        """Do a task when its turn comes."""
        for countdown in self._counting(task):
            countdown.add(1)
        with self._lock:
            if task.late:
                self._late.append(task)
                return
            if task.wanted is not None:
                self.backlog.things += 1
                self.backlog.size += task.wanted.size
        self._start(task)

    def _counting(self, task: Task) -> list[Countdown]:
        """Return who counts a task; the listing counts what may still bring something up."""
        lists = task.wanted is None and not task.late
        found = (task.group, self._listing if lists else None, task.batch.tasks, self._open)
        return [each for each in found if each is not None]

    def _start(self, task: Task) -> None:
        """Queue a task, or let it wait for its twin: the same bytes are fetched once."""
        if task.wanted is not None:
            with self._lock:
                followers = self._followers.get(task.wanted.identity)
                if followers is not None:
                    followers.append(task)
                    return
                self._followers[task.wanted.identity] = []
        self._enqueue(task)

    def _enqueue(self, task: Task) -> None:
        self._clock.check()
        try:
            self._pools[0 if task.wanted is None and not task.heavy else 1].submit(self._run, task)
        except RuntimeError:  # no further thread can be started: those that are there will do it
            self._clock.check()

    def _run(self, task: Task) -> None:
        try:
            self._clock.check()
            if self.do(task):
                self._end(task)
        except Stopped:
            return

    def _end(self, task: Task) -> None:
        if task.wanted is not None:
            with self._lock:
                followers = self._followers.pop(task.wanted.identity)
                self.backlog.things -= 1
                self.backlog.size -= task.wanted.size
            for follower in followers:
                self._start(follower)
        lost = task.batch.library.disk.trouble is not None  # then what is behind a target stays open for ever
        for countdown in (self._listing, self._open) if lost else self._counting(task):
            if countdown in self._counting(task):
                countdown.add(-1)

    # --- One task ---

    def do(self, task: Task) -> bool:
        """Do a task, or one step of it, in this thread; return whether it has ended. Raises Stopped.

        Every exception becomes a result here, and nowhere else. Where the output folder is lost there is none.
        """
        library = task.batch.library
        try:
            library.disk.check()
            result = task.action()
            if isinstance(result, Iterator):
                return self._step(task, result)
            if result is not None and task.wanted is not None:
                library.note(task.wanted, result)
        except Resting as rest:
            self._put_off(task, rest.until)
            return False
        except HostDown as down:
            if task.wanted is not None:
                self._put_off(task, down.until)
                return False
            result = self._failed(task, down)
        except Held as held:
            if task.wanted is not None and not task.last:
                self._put_off(replace(task, last=True), math.inf)
                return False
            result = self._failed(task, held)
        except Exception as error:
            result = self._failed(task, error)
        if result is not None:
            self.ledger.add(task, result)
            if result.outcome in ("done", "skipped"):
                library.disk.took()
        return True

    def _step(self, task: Task, steps: Steps) -> bool:
        """Take one step of a listing. While thousands of things wait for a worker it rests: memory stays bounded."""
        going_on = replace(task, action=lambda: steps)
        if self.backlog.things > AHEAD:
            self._put_off(going_on, self._clock.now() + 0.2)
            return False
        for _ in steps:
            self._enqueue(going_on)
            return False
        return True

    def _failed(self, task: Task, error: Exception) -> Result | None:
        """Return the result that an exception stands for, and put that of a wanted thing on record.

        None if it means that the output folder is lost.
        """
        disk = task.batch.library.disk
        error = self._as_failure(error, disk.folder)
        if isinstance(error, DiskFailure):
            disk.refused(error)
        if disk.trouble is not None:
            return None
        wanted, name = task.wanted, task.name or task.batch.name
        given = NOT_GIVEN if wanted is not None else NOT_GIVEN | {"gone"}
        outcome: Outcome = "skipped" if task.batch.origin != "line" and error.reason in given else "failed"
        result = Result(
            outcome, wanted.kind if wanted else "page", wanted.id if wanted else "", name,
            path=wanted.path if wanted else "", reason=error.reason, message=error.sentence,
            until=error.until if isinstance(error, EarlyAccess) else "",
        )  # fmt: skip
        if wanted is not None:
            with suppress(Failure):  # a log that can't be written ends the fetching, and is named there
                task.batch.library.note(wanted, result)
        return result

    def _as_failure(self, error: Exception, folder: Path) -> Failure:
        """Return what an exception means. Raises Stopped for one that only came of stopping."""
        if isinstance(error, Failure):
            return error
        if self._clock.stopped:
            raise Stopped from None
        if isinstance(error, RecursionError):
            return Failure("answer", "The site sent data that is nested too deeply to be stored; try again later.")
        if isinstance(error, MemoryError):
            return Failure("system", "The system has no memory left; close other programs, or lower --workers.")
        if isinstance(error, OSError) and error.errno:
            return failure_of(error, Path(error.filename) if isinstance(error.filename, str) else folder)
        log.error("%s", scrub(traceback.format_exc()))
        words = scrub(f"{type(error).__name__}: {error}")
        return Failure("bug", "A bug in this program ({error}); please report it.", error=words)

    # --- Tasks that wait ---

    def _put_off(self, task: Task, until: float) -> None:
        with self._lock:
            self._waiting.append((until, task))

    def _wake_late(self) -> None:
        """Nothing is left to be listed: queue what waited for that."""
        with self._lock:
            late, self._late = self._late, []
        for task in late:
            self._enqueue(task)

    def _wake_due(self) -> None:
        """Queue what has waited long enough, such as for a host to come back; the first of those tries it.

        What waits for the end of the run is due when nothing else is open.
        """
        now = self._clock.now()
        with self._lock:
            if self._waiting and self._open.open == len(self._waiting) and all(e[0] == math.inf for e in self._waiting):
                self._waiting = [(now, task) for _, task in self._waiting]
            due = [task for until, task in self._waiting if until <= now]
            self._waiting = [each for each in self._waiting if each[0] > now]
            first = min((until for until, _ in self._waiting), default=now)
        for task in due:
            self._enqueue(task)
        if not due:
            self._clock.sleep(min(0.4, first - now))
