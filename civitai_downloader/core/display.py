"""The display: how far a run is, while it goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..util.clock import DAY, Clock, utc_text
from ..util.errors import UsageError
from ..util.rests import Rest
from ..util.screen import Screen
from ..util.text import human_size
from .failed import write_wrong
from .gallery import finish_page
from .libraries import Libraries
from .ours import logs_in
from .prompts import Filters
from .run import Run
from .settings import Settings
from .verification import Verification
from .words import Words, clock_time, say_failures, say_gone

log = logging.getLogger(__name__)


class Speed:
    """A speed in bytes a second, in which the last seconds count most."""

    def __init__(self) -> None:
        self.value = 0.0
        self._sampled, self._sample = 0.0, 0

    def measure(self, now: float, count: int) -> float:
        """Return the speed, by how many bytes there are `now` (seconds)."""
        if now - self._sampled >= 1:
            fresh = (count - self._sample) / (now - self._sampled)
            self.value = fresh if not self.value else 0.7 * self.value + 0.3 * fresh
            self._sampled, self._sample = now, count
        return self.value


def progress_line(words: Words, run: Run, speed: float, reading: float) -> str:
    """Return `42/180 models, 3 failed (retrying…)` with pictures, bytes, speed (bytes a second) and time left.

    Folders are counted as such until a model in them is known. While files are read from disk, at the speed `reading`,
    that speed and the time left for it are told.
    """
    ledger, received, left = run.ledger, run.progress.received, run.bytes_left()
    rest = current_rest(run)
    done, total = to_read(run)
    kind = "progress" if any(each.entry.target.kind != "local" for each in ledger.batches) else "progress.folders"
    parts = [words(kind, done=ledger.settled, total=len(ledger.batches))]
    failed = ledger.counts["failed"]
    if failed or run.is_retrying:
        parts.append(words("failed", count=failed) + (words("retrying") if run.is_retrying else ""))
    if pictures := ledger.kinds["done", "image"]:
        parts.append(words.number("pictures", pictures))
    size = human_size(received)
    if kind == "progress" or received:
        parts.append(words("of", done=size, total=human_size(received + left)) if left > 0 else size)
    if total:
        parts.append(words("reading", done=human_size(done), total=human_size(total)))
        speed, left = reading, total - done
    if speed >= 1:
        parts.append(f"{human_size(speed)}/s")
        if left > 0 and rest is None:
            parts.append(words("eta", time=clock_time(left / speed)))
    if rest is not None:
        parts.append(words(f"waiting.{rest.why}", **_words_of(rest)))
    return words("comma").join(parts)


def current_rest(run: Run) -> Rest | None:
    """Return why the run waits at present, None if it does not."""
    return None if run.schedule.is_over else run.site.http.rests.current()


def _words_of(rest: Rest) -> dict[str, str]:
    """Return until when a rest lasts: the time of day, with the date if that is not within a day, or a size."""
    form = "%H:%M" if rest.moment - rest.now < DAY else "%Y-%m-%d %H:%M"
    return {"time": time.strftime(form, time.localtime(rest.moment)), "size": human_size(rest.size)}


def to_read(run: Run) -> tuple[int, int]:
    """Return how many bytes have been read of the files that are being read from disk, and how many these have."""
    meters = [each for each in run.progress.active() if each.reads]
    return sum(each.done for each in meters), sum(each.total or 0 for each in meters)


class ProgressDisplay:
    """Shows how far a run is: bars on a terminal (`live`), elsewhere a plain line now and then."""

    PLAIN_EVERY = 10.0

    def __init__(self, words: Words, screen: Screen, *, live: bool) -> None:
        self._words, self._screen, self._live = words, screen, live
        self._next_line, self._last_line = 0.0, ""
        self._arriving, self._reading = Speed(), Speed()
        self._resting: Rest | None = None

    def watch(self, run: Run) -> None:
        """Show how far the run is; called some ten times a second from the main thread."""
        now, progress = run.ledger.seconds(), run.progress
        speeds = self._arriving.measure(now, progress.received), self._reading.measure(now, progress.was_read)
        line = progress_line(self._words, run, *speeds)
        self._say_rest(current_rest(run))
        if self._live:
            self._screen.draw(progress.active(), line)
        elif (now >= self._next_line or run.schedule.is_over) and line != self._last_line:
            self._next_line, self._last_line = now + self.PLAIN_EVERY, line
            log.info("%s", line, extra={"facts": _facts_of(run)})

    def _say_rest(self, rest: Rest | None) -> None:
        """Say that the run begins to wait, or goes on."""
        if rest == self._resting:
            return
        self._resting = rest
        if rest is None:
            log.info("%s", self._words("goes-on"), extra={"facts": {"event": "goes-on"}})
            return
        until = {"until": utc_text(rest.moment)} if rest.moment else {"free": rest.size}
        facts = {"event": "waiting", "reason": rest.why, **until}
        log.info("%s", self._words(f"waits.{rest.why}", **_words_of(rest)), extra={"facts": facts})


def _facts_of(run: Run) -> dict[str, Any]:
    """Return how far a run is, for scripts."""
    ledger, (done, total) = run.ledger, to_read(run)
    counts = {"models": ledger.settled, "total": len(ledger.batches), "failed": ledger.counts["failed"]}
    reading = {"read": done, "to_read": total} if total else {}
    return {"event": "progress", **counts, "bytes": run.progress.received, **reading}


class CheckDisplay:
    """Shows how far --verify is, on a terminal; without a `screen` nothing is shown."""

    def __init__(self, words: Words, screen: Screen | None, clock: Clock) -> None:
        self._words, self._screen, self._clock = words, screen, clock
        self._next = 0.0

    def watch(self, check: Verification) -> None:
        """Show how far the check is, ten times a second at most."""
        if self._screen is not None and self._clock.now() >= self._next:
            self._next = self._clock.now() + 0.1
            count, size = sum(check.counts.values()), human_size(check.progress.received)
            self._screen.draw(check.progress.active(), self._words("verify.progress", count=count, size=size))

    def finish(self) -> None:
        """Take away what is shown."""
        if self._screen is not None:
            self._screen.finish()


def check_folder(
    settings: Settings, words: Words, clock: Clock, display: CheckDisplay, command: Callable[[Path], Sequence[str]]
) -> Mapping[str, int]:
    """Check the files of the output folder, say what is wrong and keep it in `failed.txt`; return counts by outcome.

    `command` gives the words that try again what is wrong in a folder. Raises UsageError.
    """
    if not any(logs_in(settings.output)):
        raise UsageError(words("verify.nothing", folder=settings.output))
    wait = log.info if settings.wait else None
    library = Libraries(clock, wait=wait, read_only=False).open(settings.output)
    check = Verification(library, clock, display.watch)
    try:
        for problem in library.problems:
            log.warning("%s", problem)
        check.run()
        write_wrong(library.folder, check.sources, command(library.folder))
    finally:
        display.finish()
        say_failures(words, check.failures)
        library.close()
    say_gone(words, check.gone, check.changed)
    if not (check.counts or check.changed):
        raise UsageError(words("verify.nothing", folder=settings.output))
    log.info("%s", words("verify.summary", good=check.counts["done"], bad=check.counts["failed"]))
    if check.counts["queued"]:
        log.warning("%s", words("queued", count=check.counts["queued"]))
    return check.counts


def refilter_folder(settings: Settings, filters: Filters, words: Words, clock: Clock) -> None:
    """Apply the word lists to the prompts in an output folder without a request. Raises UsageError.

    That folder need not be one that a run has written to.
    """
    if not settings.output.is_dir():
        raise UsageError(words("verify.nothing", folder=settings.output))
    wait, is_ours = log.info if settings.wait else None, any(logs_in(settings.output))
    library = Libraries(clock, wait=wait, read_only=not is_ours).open(settings.output)
    try:
        log.info("%s", words("refiltered", count=library.refilter(filters)))
        finish_page(library, settings)
    finally:
        library.close()
