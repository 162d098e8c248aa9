"""The outcome: the plan of a dry run, report.json, failed.txt with its retry scripts, and --verify."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from .. import __version__
from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import disk_errors, on_one_line, replace_file, sha256_of, size_of, write_file
from ..util.names import long_path, real_path
from ..util.text import decode_text, printable, scrub, utf8
from .catalogue import unless_archived
from .choice import choose_versions
from .data import read_data
from .fetch import decide, receive_queued
from .ledger import Batch
from .library import Library, Record, Result
from .lists import Problem, Unused
from .places import Wanted
from .run import Run
from .shelf import Shelf
from .targets import Target

# --- The plan of a dry run ------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A line of the --dry-run plan; `size` in bytes (0 unknown), `note` what stands in the way or is there already."""

    path: str
    size: int
    note: str
    fetch: bool


def plan(run: Run, batch: Batch) -> Iterator[Planned]:
    """Yield what a run would do for one target: asks the site, writes nothing. Raises Failure."""
    target, settings = batch.entry.target, batch.entry.settings
    if target.kind in ("model", "version", "id", "hash"):
        with unless_archived(batch.entry.source):
            yield from _plan_model(run, batch, target)
    is_listing = target.kind in ("user", "tag", "collection")
    for child in chain.from_iterable(run.catalogue.listing(target, settings) if is_listing else ()):
        if child.kind == "model":
            yield from _plan_model(run, batch, child)
        else:
            yield Planned(f"posts/{child.id}", 0, "pictures, not counted", fetch=False)
    if target.kind in ("post", "image") or (target.kind == "user" and target.part in ("", "images", "videos")):
        folders = {"post": f"posts/{target.id}", "image": "images", "user": f"users/{target.name}/images"}
        yield Planned(folders[target.kind], 0, "pictures, not counted", fetch=False)


def _plan_model(run: Run, batch: Batch, target: Target) -> Iterator[Planned]:
    settings = batch.entry.settings
    model, target = run.catalogue.resolve(target)
    for version in choose_versions(model, target, settings):
        shelf = Shelf(model, version, settings, batch.library, batch.entry.source)
        if settings.wants_files:
            yield from _plan_files(run, shelf, target)
        if settings.wants_images:
            album = shelf.album()
            for image in shelf.previews():
                wanted = album.wanted(image, batch.library, batch.entry.source)
                yield _planned(batch.library, wanted, "", force=settings.force)
            most = "all" if settings.max_images is None else f"at most {settings.max_images}"
            if settings.gallery and settings.max_images != 0:
                yield Planned("/".join(album.folder), 0, f"gallery, {most} pictures", fetch=False)


def _plan_files(run: Run, shelf: Shelf, target: Target) -> Iterator[Planned]:
    version, files = shelf.version, shelf.wanted_files(run.site, target)
    if missing := shelf.missing(target, files):
        yield Planned(missing.name, 0, missing.message, fetch=False)
    obstacle = f"early access until {version.early_until[:10]}" if version.early_until else ""
    if files and not obstacle and not run.settings.token and run.site.needs_token(version.id):
        obstacle = "needs a token"
    for _, wanted in files:
        yield _planned(shelf.library, wanted, obstacle, force=shelf.settings.force)


def _planned(library: Library, wanted: Wanted, obstacle: str, *, force: bool) -> Planned:
    action = decide(wanted, library.facts(wanted), force=force)
    note = {"fetch": obstacle, "adopt": "there, to be checked"}.get(action, "already there")
    return Planned(wanted.path, wanted.size, note, fetch=action == "fetch")


# --- What a run leaves behind ---------------------------------------------------------------------


def write_outcome(run: Run, library: Library, words: Sequence[str], unused: Unused) -> None:
    """Write `report.json`, and `failed.txt` with its retry scripts, which run the command `words`.

    Targets that failed in an earlier run and were not part of this one stay in `failed.txt`, and so do the lines of
    lists that this run has not read; when nothing is left, the three files are removed. What was `unused` of the inputs
    is told in the main output folder, or in the first one if nothing went to that.
    """
    mine = [batch for batch in run.ledger.batches if batch.library is library]
    if library is not _main_library(run):
        unused = Unused(lists=unused.lists)
    write_report(library.root / "report.json", _report(run, mine, unused), mine)
    left = _read_failed(library.folder / "failed.txt").without(mine, unused)
    blocks = {**left.targets, **_failed_blocks(mine)}
    comments = [*left.comments, *(_comment_on(problem) for problem in unused.problems if problem.line)]
    failed = "\n".join([*(f"{why}\n{line}\n" if why else f"{line}\n" for line, why in blocks.items()), *comments])
    _write_or_remove(library.root, {"failed.txt": failed})
    _write_or_remove(library.root, _retry_scripts(words) if blocks else dict.fromkeys(("retry.sh", "retry.bat"), ""))


def _main_library(run: Run) -> Library:
    """Return the library of the command's output folder, or the first one if nothing goes there."""
    libraries, main = list(run.libraries), real_path(run.settings.output)
    return next((each for each in libraries if real_path(each.folder) == main), libraries[0])


def _write_or_remove(root: Path, contents: Mapping[str, str]) -> None:
    """Write files by name; one without content is removed."""
    for name, content in contents.items():
        if content:
            newline = "\r\n" if name.endswith(".bat") else "\n"
            write_file(root / name, utf8(content.replace("\n", newline)))
        else:
            (root / name).unlink(missing_ok=True)


def _report(run: Run, batches: Sequence[Batch], unused: Unused) -> dict[str, Any]:
    """Return `report.json` without its list of files."""
    return {
        "program": f"civitai-downloader {__version__}",
        "started": run.ledger.started,
        "seconds": round(run.ledger.seconds(), 3),
        "interrupted": run.ledger.interrupted,
        "api_requests": run.site.api_requests,
        "bytes_received": run.progress.received,
        "counts": dict(sum((batch.counts for batch in batches), Counter[str]())),
        "problems": [_report_problem(problem) for problem in unused.problems],
        "targets": [_report_target(batch) for batch in batches],
    }


def _report_target(batch: Batch) -> dict[str, Any]:
    words = {"source": batch.entry.source, "name": batch.name, "outcome": batch.outcome, "note": batch.note}
    return {**words, "counts": dict(batch.counts)}


def _report_problem(problem: Problem) -> dict[str, Any]:
    text = printable(scrub(problem.text))[:500]
    return {"file": problem.file, "line": problem.line, "text": text, "reason": scrub(problem.reason)}


def write_report(path: Path, head: Mapping[str, Any], batches: Sequence[Batch]) -> None:
    """Write `report.json`: its head, and a line for each file."""
    queued = (result for batch in batches for result in batch.notable if result.outcome == "queued")
    lines = chain(chain.from_iterable(batch.lines for batch in batches), (on_one_line(vars(each)) for each in queued))
    beside = path.with_name("report.json.tmp")
    with disk_errors(path):
        beside.unlink(missing_ok=True)  # a symlink in its place is not written through
        with beside.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(json.dumps(head, ensure_ascii=False, indent=2)[:-2] + ',\n  "files": [')
            file.writelines(f"{',' if number else ''}\n    {line}" for number, line in enumerate(lines))
            file.write("\n  ]\n}\n")
        replace_file(beside, path)


# A line that could not be used stands in `failed.txt` as two comments: where it was and why, and the line itself.
_UNUSED = re.compile(r"# Not used: (?P<place>.*?), line [0-9]+: ")
_BEHIND = "#: "


@dataclass(frozen=True)
class _FailedList:
    """What stands in a `failed.txt`: its lines, each with the comment that says why, and comments on unused lines."""

    place: str
    targets: Mapping[str, str]
    comments: Sequence[str]

    def without(self, batches: Sequence[Batch], unused: Unused) -> _FailedList:
        """Return what is left after a run: targets that were not part of it, comments on lists it has not read.

        If the run has read this list itself, all of its targets were part of it.
        """
        settled = self.targets if self.place in unused.lists else {batch.entry.source for batch in batches}
        targets = {line: why for line, why in self.targets.items() if line not in settled}
        places = ((_UNUSED.match(comment), comment) for comment in self.comments)
        return _FailedList(
            self.place, targets, [comment for found, comment in places if found and found["place"] not in unused.lists]
        )


def _read_failed(path: Path) -> _FailedList:
    lines = decode_text(long_path(path).read_bytes()).splitlines() if long_path(path).is_file() else []
    targets: dict[str, str] = {}
    comments, above = list[str](), list[str]()
    for line in lines:
        if line.startswith(_BEHIND) and above and _UNUSED.match(above[-1]):
            comments.append(f"{above.pop()}\n{line}\n")
        elif line.startswith("#"):
            above.append(line)
        else:
            if line:
                targets[line] = "\n".join(above)
            above = []
    return _FailedList(str(path.absolute()), targets, comments)


def _comment_on(problem: Problem) -> str:
    text = printable(scrub(problem.text))[:2000]
    return printable(f"# Not used: {problem.place}, line {problem.line}: {problem.reason}") + f"\n{_BEHIND}{text}\n"


def _failed_blocks(batches: Sequence[Batch]) -> dict[str, str]:
    """Return the lines of this run for `failed.txt`, each with the comment that says why."""
    blocks = {}
    for batch in batches:
        reasons = dict.fromkeys(f"# {result.name}: {result.message}" for result in batch.failures)
        if batch.outcome == "interrupted":
            reasons["# interrupted"] = None
        if reasons:
            blocks[batch.entry.source] = "\n".join(map(printable, reasons))
    return blocks


def _retry_scripts(words: Sequence[str]) -> dict[str, str]:
    """Return `retry.sh` and `retry.bat`, which run a command in the current folder from wherever they are started."""
    here = str(Path.cwd())
    in_batch = [each.replace("%", "%%") for each in (here, " ".join(map(batch_word, words)))]
    return {
        "retry.sh": read_data("retry.sh").format(folder=shlex.quote(here), command=shlex.join(words)),
        "retry.bat": read_data("retry.bat").format(folder=in_batch[0], command=in_batch[1]),
    }


def batch_word(word: str) -> str:
    """Return a word for a batch file, always quoted: `&` and `(` stand for themselves only in quotes."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), word) + '"'


# --- What is on disk ------------------------------------------------------------------------------


def verify_library(library: Library, clock: Clock) -> Iterator[Result]:
    """Check what the state log calls done or queued against the disk, one thing after the other; nothing is fetched.

    What is wrong is recorded, so that a run fetches it; what has come from IDM's queue is recorded as done.
    """
    for key, record in library.records():
        clock.check()
        result = Result("done", *key, record.path, path=record.path, size=record.size, sha256=record.sha256)
        try:
            if record.status == "success":
                _check_record(library, record, clock)
            elif record.status != "queued":
                continue
            elif after := receive_queued(library, key, record, clock):
                library.record(key, after, source="--verify")
            else:
                result = replace(result, outcome="queued")
        except Failure as failure:
            library.record(key, replace(record, status="failed"), source="--verify", reason=str(failure))
            result = replace(result, outcome="failed", reason=failure.reason, message=str(failure))
        yield result


def _check_record(library: Library, record: Record, clock: Clock) -> None:
    """Raise Failure if a file is not what it was when it was verified."""
    path = library.at(record.path)
    size = size_of(path)
    if size is None:
        raise Failure("missing", "It is not on disk any more; run again to fetch it.")
    if size != record.size:
        raise Failure("size", f"It has {size} bytes instead of {record.size}; run again to fetch it.")
    with disk_errors(path):
        if record.sha256 and sha256_of(path, clock) != record.sha256:
            raise Failure("changed", "Its bytes have changed since they were verified; run again to fetch it.")
