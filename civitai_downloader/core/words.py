"""Words: what the user is told of a run, in the user's language."""

from __future__ import annotations

import json
import locale
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..util.screen import Screen
from ..util.text import human_size
from .data import read_data
from .library import Result
from .run import Run

log = logging.getLogger(__name__)

TOLD_BY_HEADING = frozenset(
    "needs-token token-refused disabled archived gone region forbidden quota still hash".split()
)


class Words:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        """`language` is `en`, `ja` or `ko`."""
        catalogue = json.loads(read_data("messages.json"))
        self._words: dict[str, str] = {**catalogue["en"], **catalogue[language]}

    def __call__(self, key: str, **values: object) -> str:
        """Return a sentence with its values filled in; without one, the key."""
        return (self._words.get(key) or key).format(**values)


def system_language() -> str:
    """Return the language to speak in the locale that the environment or the system names: `en`, `ja` or `ko`."""
    named = filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG")))
    language = (next(named, None) or locale.getlocale()[0] or "")[:2].lower()  # Windows says "Japanese_Japan"
    return language if language in ("ja", "ko") else "en"


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
        elif (now >= self._next_line or run.is_over) and line != self._last_line:
            self._next_line, self._last_line = now + self.PLAIN_EVERY, line
            facts = {"event": "progress", "models": ledger.settled, "total": len(ledger.batches)}
            facts |= {"failed": ledger.counts["failed"], "bytes": run.progress.received}
            log.info("%s", line, extra={"facts": facts})

    def _measure(self, now: float, received: int) -> None:
        """Keep a speed (bytes a second) in which the last seconds count most."""
        if now - self._sampled >= 1:
            fresh = (received - self._sample) / (now - self._sampled)
            self._speed = fresh if not self._speed else 0.7 * self._speed + 0.3 * fresh
            self._sampled, self._sample = now, received


@dataclass(frozen=True)
class Remark:
    """A line for the user, with its level of `logging` and the facts for programs that read it as JSON."""

    level: int
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


def failures(words: Words, failed: Iterable[Result]) -> Iterator[Remark]:
    """Yield every failure, grouped by what the user can do about it."""
    groups: dict[str, list[Result]] = {}
    for failure in failed:
        groups.setdefault(failure.reason, []).append(failure)
    for reason, members in groups.items():
        key = f"reason.{reason}"
        heading = words(key) if words(key) != key else reason
        yield Remark(logging.WARNING, f"{heading} ({len(members)})", {"event": "reason", "reason": reason})
        for each in members:
            line = f"  {each.name}" if reason in TOLD_BY_HEADING else f"  {each.name}: {each.message}"
            facts = {"event": "failure", "reason": reason, "name": each.name, "path": each.path}
            yield Remark(logging.WARNING, line, facts)


def _list(words: Words, heading: str, rows: Sequence[str]) -> Iterator[Remark]:
    if rows:
        yield Remark(logging.INFO, words(heading, count=len(rows)))
        yield from (Remark(logging.INFO, f"  {row}") for row in rows)


def summary(words: Words, run: Run) -> Iterator[Remark]:
    """Yield what the run brought, and what is missing."""
    ledger = run.ledger
    for batch in ledger.batches:
        if batch.note:
            yield Remark(logging.INFO, f"{batch.name}: {batch.note}")
    yield from failures(words, (failure for batch in ledger.batches for failure in batch.failures))
    results = [result for batch in ledger.batches for result in batch.notable]
    withheld = [each for each in results if each.outcome == "skipped" and each.reason]
    done = [each for each in results if each.outcome == "done"]
    yield from _list(words, "withheld", [f"{each.name}: {each.message}" for each in withheld])
    yield from _list(words, "pickles", [f"{each.path}: {each.scan}" for each in done if each.scan])
    yield from _list(words, "unverified", [each.path for each in done if not each.verified])
    yield from _totals(words, run)


def _totals(words: Words, run: Run) -> Iterator[Remark]:
    ledger, requests, received = run.ledger, run.site.api_requests, run.progress.received
    counts = ledger.counts
    total = words(
        "summary", done=counts["done"], size=human_size(received), skipped=counts["skipped"], failed=counts["failed"],
        time=clock_time(ledger.seconds()),
    )  # fmt: skip
    level = logging.WARNING if counts["failed"] or counts["queued"] or ledger.interrupted else logging.INFO
    yield Remark(level, total, {"event": "summary", **dict(counts), "bytes": received, "requests": requests})
    if counts["queued"]:
        yield Remark(logging.WARNING, words("queued", count=counts["queued"]))
    each = 1000 * requests / ledger.pictures if ledger.pictures else 0
    yield Remark(logging.DEBUG, words("requests", count=requests, each=round(each)))
