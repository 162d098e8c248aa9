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
from ..util.names import real_path
from ..util.text import printable, scrub
from .failed import write_failed
from .ledger import Batch
from .library import Library
from .lists import Problem, Unused
from .ours import check_mark
from .run import Run

log = logging.getLogger(__name__)


def write_outcomes(run: Run, command: Callable[[Path], Sequence[str]], unused: Unused) -> None:
    """Write `report.json` into each output folder, and `failed.txt` with the scripts that run `command(folder)`.

    What was `unused` of the inputs is told in the main output folder, or in the first one if nothing went to that. What
    can't be written keeps nothing else from being written. Raises the first Failure, after logging all others.
    """
    troubles = list[Failure]()
    for library in run.libraries:
        mine = [batch for batch in run.ledger.batches if batch.library is library]
        told = unused if library is _main_library(run) else Unused(lists=unused.lists)
        report, failed = library.root / "report.json", library.root / "failed.txt"
        steps = {
            report: partial(write_report, report, _report(run, mine, told), mine),
            failed: partial(write_failed, library.folder, mine, command(library.folder), told),
        }
        for place, write in steps.items():
            try:
                with disk_errors(place):
                    write()
            except Failure as failure:
                troubles.append(failure)
    for trouble in troubles[1:]:
        log.error("%s", trouble)
    if troubles:
        raise troubles[0]


def _main_library(run: Run) -> Library:
    """Return the library of the command's output folder, or the first one if nothing goes there."""
    libraries, main = list(run.libraries), real_path(run.settings.output)
    return next((each for each in libraries if real_path(each.folder) == main), libraries[0])


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
    beside = temporary_name(path)
    check_mark(path)
    with disk_errors(path):
        beside.unlink(missing_ok=True)  # a link in its place is not written through
        with beside.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(indented(head).decode()[:-3] + ',\n  "files": [')
            file.writelines(f"{',' if number else ''}\n    {line}" for number, line in enumerate(lines))
            file.write("\n  ]\n}\n")
        replace_file(beside, path)
