"""Words: what the user is told of a run, in the user's language."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from ..util.speech import Sentences
from ..util.text import human_size, printable, shown_name
from .data import read_data
from .found import wasted
from .ledger import Batch
from .lists import Unused
from .ordering import BREAKS
from .records import Result
from .refusals import NOT_FOUND
from .run import Run

log = logging.getLogger(__name__)

TOLD_BY_HEADING = frozenset(
    "needs-token token-refused disabled archived region forbidden quota still hash wrong-hash foreign "
    "sealed altered".split()
)
TOLD_ONCE = frozenset(("offline", "proxy", "no-links"))  # the same sentence for everything that was asked for
MOST_UNUSED, MOST_ROWS = 10, 20


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

    def number(self, key: str, count: int) -> str:
        """Return a number with what it counts, in the singular (`<key>.one`) if that is right."""
        one = f"{key}.one"
        return self(one if count == 1 and one in self._words else key, count=f"{count:,}")


def clock_time(seconds: float) -> str:
    """Return seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(int(min(seconds, 3600 * 999)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def say_failures(words: Words, failures: Iterable[Result]) -> None:
    """Name every failure, grouped by what the user can do about it."""
    for reason, members in _by_reason(failures).items():
        heading = f"{_heading(words, reason)} ({len(members)})"
        log.warning("%s", heading, extra={"facts": {"event": "reason", "reason": reason}})
        if reason in TOLD_ONCE:
            members = list({each.message: replace(each, name="") for each in members}.values())
        for each in members:
            facts = {"event": "failure", "reason": reason, "name": each.name, "path": each.path}
            log.warning("%s", _row(words, each), extra={"facts": facts})


def _say_withheld(words: Words, results: Iterable[Result]) -> None:
    """Name what the site does not give out, grouped by the reason."""
    for reason, members in _by_reason(results).items():
        log.info("%s", words("withheld", reason=_heading(words, reason), count=len(members)))
        for each in members:
            facts = {"event": "withheld", "reason": reason, "name": each.name}
            log.info("%s", _row(words, each), extra={"facts": facts})


def _by_reason(results: Iterable[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.reason, []).append(result)
    return groups


def _heading(words: Words, reason: str) -> str:
    key = f"reason.{reason}"
    return words(key) if words(key) != key else reason


def _row(words: Words, result: Result) -> str:
    """Return the line of a thing; what the heading says already is not said again."""
    is_told = result.reason in TOLD_BY_HEADING or result.message == NOT_FOUND
    return f"  {': '.join(filter(None, [result.name] if is_told else [result.name, words.tell(result.message)]))}"


def say_gone(words: Words, gone: Sequence[str], changed: Sequence[str]) -> None:
    """Name what --verify did not find and the next run makes again, and the files that it looks at again."""
    _say_list(words, "verify.gone", gone)
    _say_list(words, "verify.changed", [printable(each) for each in changed])


def _say_list(words: Words, heading: str, rows: Sequence[str], **values: object) -> None:
    """Say the first rows of a list below its heading, and how many there are besides."""
    if rows:
        log.info("%s", words(heading, count=len(rows), **values))
    for row in rows[:MOST_ROWS]:
        log.info("  %s", row)
    if len(rows) > MOST_ROWS:
        log.info("  %s", words("more", count=len(rows) - MOST_ROWS))


def say_unused(words: Words, unused: Unused) -> None:
    """Name the lines that could not be used: the first ten in full, the rest as a number."""
    lines = [problem for problem in unused.problems if problem.line]
    if lines:
        log.warning("%s", words("unused", count=len(lines)), extra={"facts": {"event": "unused", "count": len(lines)}})
    for problem in lines[:MOST_UNUSED]:
        facts = {"event": "unused-line", "file": problem.file, "line": problem.line, "reason": problem.reason}
        log.warning("  %s", words.tell(problem.sentence), extra={"facts": facts})
    if len(lines) > MOST_UNUSED:
        log.warning("  %s", words("unused.more", count=len(lines) - MOST_UNUSED))


def say_summary(words: Words, run: Run, unused: Unused) -> None:
    """Say what the run brought, what is missing, and what was `unused` of the inputs."""
    batches = run.ledger.batches
    _say_notes(words, (batch for batch in batches if batch.entry.target.kind != "local"))
    say_failures(words, (failure for batch in batches for failure in batch.failures))
    results = [result for batch in batches for result in batch.notable]
    done = [each for each in results if each.outcome == "done"]
    _say_withheld(words, (each for each in results if each.outcome == "skipped" and each.reason))
    _say_copies(words, run)
    _say_sealed(words, run)
    _say_list(words, "pickles", [f"{each.path}: {_scan(words, each.scan)}" for each in done if each.scan])
    _say_list(words, "unverified", [each.path for each in done if not each.verified])
    say_unused(words, unused)
    _say_notes(words, (batch for batch in batches if batch.entry.target.kind == "local"))
    _say_totals(words, run)


def _say_sealed(words: Words, run: Run) -> None:
    """Say what the files are in folders that have no report, as nothing can be written there."""
    for library in run.libraries:
        files = [] if library.is_writable else run.visits.folders.files_in(library)
        for found in (each for each, _ in files if each.status != "broken"):
            log.info("%s: %s", printable(shown_name(found.path)), found.name or words("unknown"))


def _say_copies(words: Words, run: Run) -> None:
    """Name the files of which there are several, and what that costs."""
    for library in run.libraries:
        size, copies = wasted(run.visits.folders.files_in(library))
        ordered = sorted(copies.values(), key=lambda files: -files[0].size * (len(files) - 1))
        rows = (f"{human_size(files[0].size)}: {' = '.join(each.path for each in files)}" for files in ordered)
        if size:
            _say_list(words, "copies", [printable(shown_name(row)) for row in rows], size=human_size(size))


def _say_notes(words: Words, batches: Iterable[Batch]) -> None:
    """Say what became of targets that brought nothing; those that a list brought up are told together."""
    found = Counter((batch.name if batch.origin == "line" else batch.entry.source, batch.note) for batch in batches)
    for (name, note), count in found.items():
        if note:
            log.info("%s: %s%s", name, words.tell(note), f" ({count})" if count > 1 else "")


def say_looked(words: Words, batches: Iterable[Batch]) -> None:
    """Say what a dry run has found in folders and on the site, and what it could not find out about them."""
    looked = [batch for batch in batches if batch.entry.target.kind in ("local", "updates")]
    if any(batch.entry.settings.organize == "move" for batch in looked):
        log.warning("%s", BREAKS)
    _say_notes(words, looked)
    say_failures(words, (failure for batch in looked for failure in batch.failures))


def say_plan(words: Words, total: int, free: int) -> None:
    """Say how much a dry run would fetch, and whether it fits on the disk."""
    facts = {"event": "plan", "bytes": total, "free": free}
    log.info("%s", words("plan", size=human_size(total), free=human_size(free)), extra={"facts": facts})
    if total > free:
        log.warning("%s", words("plan.full"))


def _scan(words: Words, scan: str) -> str:
    """Return what the site's scan of a pickle file says, in the user's words if it is one of the usual ones."""
    key = f"scan.{scan.lower()}"
    return words(key) if words(key) != key else scan


def _say_totals(words: Words, run: Run) -> None:
    """Say what came, from where, how long it took and where it lies."""
    ledger, received, requests = run.ledger, run.progress.received, run.site.api_requests
    counts, seconds = ledger.counts, ledger.seconds()
    pages = sum(bool(batch.page[0]) and batch.entry.settings.only == "metadata" for batch in ledger.batches)
    fetched = ((key, ledger.kinds["done", kind]) for key, kind in (("files", "model"), ("pictures", "image")))
    came = words("and").join(words.number(key, count) for key, count in (*fetched, ("pages", pages)) if count)
    withheld = sum(
        each.outcome == "skipped" and bool(each.reason) and each.kind != "local"
        for batch in ledger.batches
        for each in batch.notable
    )  # the files of folders are told by themselves
    present = counts["skipped"] - withheld - ledger.kinds["skipped", "local"]
    others = {"present": present, "skipped": withheld, "failed": counts["failed"]}
    rest = words("comma").join(words(key, count=count) for key, count in others.items() if count or key == "failed")
    total = words(
        "summary", what=came or words("nothing"), size=human_size(received), host=run.site.host,
        time=clock_time(seconds) if seconds >= 60 else words("seconds", count=max(1, round(seconds))), rest=rest,
    )  # fmt: skip
    level = logging.WARNING if counts["failed"] or counts["queued"] or ledger.interrupted else logging.INFO
    facts = {"event": "summary", **dict(counts), "bytes": received, "requests": requests}
    log.log(level, "%s", total, extra={"facts": facts})
    for library in run.libraries.writable:
        folder = str(library.folder.absolute())
        log.info("%s", words("saved", folder=folder), extra={"facts": {"event": "saved", "folder": folder}})
    if counts["queued"]:
        log.warning("%s", words("queued", count=counts["queued"]))
    log.debug("%s", words("requests", count=requests))
