"""Undo: the last job that has put files of a library in order is taken back, as far as they are what they were."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ..util.clock import Clock
from ..util.errors import Failure, UsageError
from ..util.names import shown_path
from .handover import Handover
from .journal import CHANGED, UNFINISHED, Journal, Step
from .libraries import Libraries
from .library import Library
from .ondisk import library_of, local_target
from .organize import take_back
from .ours import logs_in
from .placing import Placer, clean
from .settings import Settings, check_organize

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Undone:
    """What an undo has done, or would do in a dry run: rows `from → to`, and how many files stay where they are."""

    rows: tuple[str, ...]
    left: int


def undo(given: Mapping[str, Any], settings: Settings, clock: Clock, show: Callable[[str], object]) -> int:
    """Take back the last job in the library of each folder, or in the output folder; return how many files stay.

    In a dry run each row is shown instead. Raises Failure and Stopped.
    """
    check_organize(given)
    words: Sequence[str] = given.get("inputs", ())
    libraries = Libraries(clock, wait=log.info if settings.wait else None, read_only=settings.dry_run)
    targets = [local_target(word, Path()) for word in words]
    if None in targets:
        raise UsageError("--undo takes the folders whose files were put in order; name one of them.")
    places = [Path(target.name) for target in targets if target is not None] or [settings.output]
    roots = dict.fromkeys(library_of(place.absolute(), {place.absolute()}) for place in places)
    try:
        done = [_undo_in(libraries.open(root), libraries.open, clock) for root in roots if _has_log(root)]
    finally:
        for library in libraries:
            library.close()
    if not any(each.rows for each in done):
        raise UsageError("There is nothing to undo in {folder}; name the folder that was put in order.",
                         folder=", ".join(map(str, roots)))  # fmt: skip
    for row in chain.from_iterable(each.rows for each in done) if settings.dry_run else ():
        show(row)
    return sum(each.left for each in done)


def _has_log(root: Path) -> bool:
    """Return whether a folder has a state log."""
    return any(logs_in(root))


def _undo_in(library: Library, open_library: Callable[[Path], Library], clock: Clock) -> Undone:
    """Take back the last job in a library that has changed something. Raises Failure and Stopped."""
    journal = Journal(library)
    for job in reversed(journal.jobs()):
        if not _has_log(job.root):  # each job has left one there
            if job.has_changed:
                sentence = "{folder}, where the files are, isn't there; connect its disk, then run again."
                raise Failure("disk", sentence, folder=shown_path(job.root))
            continue
        out = open_library(job.root)
        placer = Placer(library.folder, out.disk, clock, lambda _: None)
        for step in job.steps:
            if library.is_writable and step.status in UNFINISHED:
                clean(step)
        steps = [step for step in job.steps if step.status in CHANGED or _is_begun(placer, step)]
        if steps:
            rows = tuple(f"{step.main.target}\t{step.main.source}" for step in reversed(steps))
            if not library.is_writable:
                return Undone(rows, 0)
            left = _take_back_all(placer, journal, Handover(library, out, job.layout), reversed(steps))
            journal.end(job)
            return Undone(rows, left)
    return Undone((), 0)


def _is_begun(placer: Placer, step: Step) -> bool:
    return step.status == "planned" and placer.has_begun(step)


def _take_back_all(placer: Placer, journal: Journal, handover: Handover, steps: Iterable[Step]) -> int:
    """Take back steps, and return how many files stay; each is told."""
    count, left = 0, 0
    for step in steps:
        failures = take_back(placer, journal, handover, step)
        for failure in failures:
            log.warning("%s", failure)
        count, left = count + (not failures), left + len(failures)
    log.info("%s files are back where they were, %s are not.", f"{count:,}", f"{left:,}")
    return left
