"""Words: what the user is told of a run, in the user's language."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from ..util.screen import Screen
from ..util.speech import Sentences
from ..util.text import human_size
from .data import read_data
from .ledger import Batch
from .lists import Unused
from .records import Result
from .run import Run

log = logging.getLogger(__name__)

TOLD_BY_HEADING = frozenset(
    "needs-token token-refused disabled archived gone region forbidden quota still hash".split()
)
MOST_UNUSED = 10


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    """Return the sentences of each language."""
    found: dict[str, dict[str, str]] = json.loads(read_data("messages.json"))
    return found


class Words(Sentences):
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        """`language` is one of those in `messages.json`; what it lacks is said in English."""
        super().__init__(_catalogue(), language)


def clock_time(seconds: float) -> str:
    """Return seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(int(min(seconds, 3600 * 999)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def progress_line(words: Words, run: Run, speed: float) -> str:
    """Return `42/180 models, 3 failed (retrying…)` with bytes, speed (bytes a second) and time left."""
    ledger, received = run.ledger, run.progress.received
    parts = [words("progress", done=ledger.settled, total=len(ledger.batches))]
    failed = ledger.counts["failed"]
    if failed or run.is_retrying:
        parts.append(words("failed", count=failed) + (words("retrying") if run.is_retrying else ""))
    parts.append(human_size(received))
    if speed >= 1:
        parts.append(f"{human_size(speed)}/s")
        left = run.bytes_left()
        if left > 0:
            parts.append(words("eta", time=clock_time(left / speed)))
    return words("comma").join(parts)


class ProgressDisplay:
    """Shows how far a run is: bars on a terminal (`live`), elsewhere a plain line now and then."""

    PLAIN_EVERY = 10.0

    def __init__(self, words: Words, screen: Screen, *, live: bool) -> None:
        self._words, self._screen, self._live = words, screen, live
        self._next_line, self._last_line = 0.0, ""
        self._speed, self._sampled, self._sample = 0.0, 0.0, 0

    def watch(self, run: Run) -> None:
        """Show how far the run is; called some ten times a second from the main thread."""
        now, ledger = run.ledger.seconds(), run.ledger
        self._measure(now, run.progress.received)
        line = progress_line(self._words, run, self._speed)
        if self._live:
            self._screen.draw(line, run.progress.active())
        elif (now >= self._next_line or run.schedule.is_over) and line != self._last_line:
            self._next_line, self._last_line = now + self.PLAIN_EVERY, line
            done, total, failed = ledger.settled, len(ledger.batches), ledger.counts["failed"]
            facts = {"event": "progress", "models": done, "total": total, "failed": failed}
            log.info("%s", line, extra={"facts": {**facts, "bytes": run.progress.received}})

    def _measure(self, now: float, received: int) -> None:
        """Keep a speed (bytes a second) in which the last seconds count most."""
        if now - self._sampled >= 1:
            fresh = (received - self._sample) / (now - self._sampled)
            self._speed = fresh if not self._speed else 0.7 * self._speed + 0.3 * fresh
            self._sampled, self._sample = now, received


def say_failures(words: Words, failures: Iterable[Result]) -> None:
    """Name every failure, grouped by what the user can do about it."""
    groups: dict[str, list[Result]] = {}
    for failure in failures:
        groups.setdefault(failure.reason, []).append(failure)
    for reason, members in groups.items():
        key = f"reason.{reason}"
        heading = words(key) if words(key) != key else reason
        log.warning("%s (%d)", heading, len(members), extra={"facts": {"event": "reason", "reason": reason}})
        for each in members:
            facts = {"event": "failure", "reason": reason, "name": each.name, "path": each.path}
            line = f"  {each.name}" if reason in TOLD_BY_HEADING else f"  {each.name}: {each.message}"
            log.warning("%s", line, extra={"facts": facts})


def _say_list(words: Words, heading: str, rows: Sequence[str]) -> None:
    if rows:
        log.info("%s", words(heading, count=len(rows)))
    for row in rows:
        log.info("  %s", row)


def say_unused(words: Words, unused: Unused) -> None:
    """Name the lines that could not be used: the first ten in full, the rest as a number."""
    lines = [problem for problem in unused.problems if problem.line]
    if lines:
        log.warning("%s", words("unused", count=len(lines)), extra={"facts": {"event": "unused", "count": len(lines)}})
    for problem in lines[:MOST_UNUSED]:
        facts = {"event": "unused-line", "file": problem.file, "line": problem.line, "reason": problem.reason}
        log.warning("  %s", problem.sentence, extra={"facts": facts})
    if len(lines) > MOST_UNUSED:
        log.warning("  %s", words("unused.more", count=len(lines) - MOST_UNUSED))


def say_summary(words: Words, run: Run, unused: Unused) -> None:
    """Say what the run brought, what is missing, and what was `unused` of the inputs."""
    batches = run.ledger.batches
    _say_notes(batches)
    say_failures(words, (failure for batch in batches for failure in batch.failures))
    results = [result for batch in batches for result in batch.notable]
    withheld = [each for each in results if each.outcome == "skipped" and each.reason]
    done = [each for each in results if each.outcome == "done"]
    _say_list(words, "withheld", [f"{each.name}: {each.message}" for each in withheld])
    _say_list(words, "pickles", [f"{each.path}: {each.scan}" for each in done if each.scan])
    _say_list(words, "unverified", [each.path for each in done if not each.verified])
    say_unused(words, unused)
    _say_totals(words, run)


def _say_notes(batches: Iterable[Batch]) -> None:
    """Say what became of targets that brought nothing; those that a list brought up are told together."""
    found = Counter((batch.name if batch.origin == "line" else batch.entry.source, batch.note) for batch in batches)
    for (name, note), count in found.items():
        if note:
            log.info("%s: %s%s", name, note, f" ({count})" if count > 1 else "")


def say_plan(words: Words, total: int, free: int) -> None:
    """Say how much a dry run would fetch, and whether it fits on the disk."""
    facts = {"event": "plan", "bytes": total, "free": free}
    log.info("%s", words("plan", size=human_size(total), free=human_size(free)), extra={"facts": facts})
    if total > free:
        log.warning("%s", words("plan.full"))


def _say_totals(words: Words, run: Run) -> None:
    counts, requests, received = run.ledger.counts, run.site.api_requests, run.progress.received
    size, time = human_size(received), clock_time(run.ledger.seconds())
    done, skipped, failed = counts["done"], counts["skipped"], counts["failed"]
    total = words("summary", done=done, size=size, skipped=skipped, failed=failed, time=time)
    level = logging.WARNING if failed or counts["queued"] or run.ledger.interrupted else logging.INFO
    facts = {"event": "summary", **dict(counts), "bytes": received, "requests": requests}
    log.log(level, "%s", total, extra={"facts": facts})
    if counts["queued"]:
        log.warning("%s", words("queued", count=counts["queued"]))
    each = 1000 * requests / run.ledger.pictures if run.ledger.pictures else 0
    log.debug("%s", words("requests", count=requests, each=round(each)))
