"""The outcome: what a run leaves behind in each output folder."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from .. import __version__
from ..util.errors import Failure
from ..util.files import disk_errors, indented, on_one_line, replace_file, temporary_name
from ..util.names import real_path, shown_path
from ..util.text import printable, scrub, shown_name
from .failed import write_failed, write_failed_of_copy
from .found import Found, wasted
from .ledger import Batch
from .library import Library
from .lists import Problem, Unused
from .ours import check_mark
from .run import Run
from .shares import name_for
from .updates import write_updates

log = logging.getLogger(__name__)


def write_outcome(run: Run, library: Library, words: Sequence[str], unused: Unused) -> bool:
    """Write `report.json`, and `failed.txt` with its retry scripts, which run the command `words`.

    One of several copies writes these under names of its own, without scripts.
    What was `unused` of the inputs is told in the main output folder, or in the first one if nothing went to that.
    Return whether all of it was written; what was not is said.
    """
    if not library.is_writable:
        return False
    mine = [batch for batch in run.ledger.batches if batch.library is library]
    if library is not _main_library(run):
        unused = Unused(lists=unused.lists)
    share = run.settings.share
    failed, report_name = name_for("failed.txt", share), name_for("report.json", share)
    writers: dict[str, Callable[[], None]] = {
        failed: partial(write_failed, library.folder, mine, words, unused)
        if share is None
        else partial(write_failed_of_copy, library.folder, mine, unused, failed),
        report_name: partial(write_report, library.root / report_name, _report(run, library, mine, unused), mine),
    }
    if report := run.updates.report_on(library):
        writers["updates.txt"] = partial(write_updates, library, run.updates, report)
    missing = [name for name, write in writers.items() if not _is_written(library, write)]
    if missing and library.disk.trouble is not None:
        log.error("%s couldn't be written to %s either.", ", ".join(missing), shown_path(library.folder))
    return not missing


def _is_written(library: Library, write: Callable[[], None]) -> bool:
    """Write a file unless its folder has become another one. A failure is said, but for what is known of the disk."""
    if not library.disk.is_there():
        return False
    try:
        write()
    except Failure as failure:
        if library.disk.trouble is None:
            log.error("%s", failure)
        return False
    return True


def _main_library(run: Run) -> Library:
    """Return the library of the command's output folder, or the first one if nothing goes there."""
    libraries, main = list(run.libraries), real_path(run.settings.output)
    return next((each for each in libraries if real_path(each.folder) == main), libraries[0])


def _report(run: Run, library: Library, batches: Sequence[Batch], unused: Unused) -> dict[str, Any]:
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
        **_report_local(run, library),
    }


def _report_target(batch: Batch) -> dict[str, Any]:
    words = {"source": batch.entry.source, "name": batch.name, "outcome": batch.outcome, "note": batch.note}
    return {**words, "counts": dict(batch.counts)}


def _report_local(run: Run, library: Library) -> dict[str, Any]:
    """Return what was found in the folders of a library, and how many bytes copies waste there."""
    files = run.visits.folders.files_in(library)
    rows = [{**report_found(found), **_place_of(run, library, found)} for found, _ in files]
    return {"local": {"files": rows, "wasted": wasted(files)[0]}} if files else {}


def _place_of(run: Run, library: Library, found: Found) -> dict[str, str]:
    """Return where a file was put in order: its `path` if it was moved within the library, and `to`."""
    place = run.organizer.placed.get(found)
    if place is None:
        return {}
    root, is_moved = library.folder.absolute(), run.settings.organize == "move"
    here = {"path": place.relative_to(root).as_posix()} if is_moved and place.is_relative_to(root) else {}
    return {**{key: shown_name(each) for key, each in here.items()}, "to": shown_name(str(place))}


def report_found(found: Found) -> dict[str, Any]:
    """Return the row of a file of a folder."""
    ids = {"model": found.model or None, "version": found.version or None, "file": found.file or None}
    path, how = shown_name(found.path), found.how or "unknown"
    return {"path": path, "size": found.size, "sha256": found.sha256, **ids, "name": found.name, "how": how}


def _report_problem(problem: Problem) -> dict[str, Any]:
    text = printable(scrub(problem.text))[:500]
    return {"file": problem.file, "line": problem.line, "text": text, "reason": scrub(problem.reason)}


def write_report(path: Path, head: Mapping[str, Any], batches: Sequence[Batch]) -> None:
    """Write `report.json`: its head, and a line for each file."""
    queued = (result for batch in batches for result in batch.notable if result.outcome == "queued")
    lines = chain(chain.from_iterable(batch.lines for batch in batches), (on_one_line(vars(each)) for each in queued))
    beside = temporary_name(path)
    check_mark(path)
    with disk_errors(path):
        beside.unlink(missing_ok=True)  # a link in its place is not written through
        try:
            with beside.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
                file.write(indented(head).decode()[:-3] + ',\n  "files": [')
                file.writelines(f"{',' if number else ''}\n    {line}" for number, line in enumerate(lines))
                file.write("\n  ]\n}\n")
            replace_file(beside, path)
        finally:
            beside.unlink(missing_ok=True)
