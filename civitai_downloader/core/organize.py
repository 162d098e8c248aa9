"""Organize: the identified files of folders are put in order below another folder, and that is taken back."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..util.clock import Clock
from ..util.disks import existing_folder
from ..util.errors import Failure
from ..util.files import free_space, is_link
from ..util.moving import NoLinks, Told
from ..util.names import plain_path, shown_path
from ..util.progress import Progress
from ..util.text import human_size, printable
from .found import Found
from .handover import Handover
from .homes import Homes
from .journal import UNFINISHED, Job, Journal, Part, Step
from .ledger import Batch, Ledger, Task
from .library import Library
from .looks import Look
from .ordering import BREAKS
from .placing import Placer, clean
from .records import Outcome, Result
from .settings import Settings
from .sorting import REPLACED, Ask, Planned, Planning, Shelving

log = logging.getLogger(__name__)

_SOURCE = "--organize"


class Doing:
    """Does the steps of a plan, one after the other. What can't be done is counted and named; the rest goes on."""

    def __init__(self, library: Library, out: Library, settings: Settings, clock: Clock, ledger: Ledger) -> None:
        self._library, self._out, self._clock, self._ledger = library, out, clock, ledger
        self._settings, self.journal = settings, Journal(library)
        self._handover = Handover(library, out, settings.layout)

    def settle(self) -> None:
        """End what was begun when an earlier run was killed, and give up what was only planned. Raises Failure."""
        placer = self._placer(lambda _: None)
        root = Path(plain_path(self._out.folder))
        for step in (step for job in self.journal.jobs(UNFINISHED) if job.root == root for step in job.steps):
            try:
                self._settle(placer, step)
            except Failure as failure:
                log.error("%s", failure)

    def _settle(self, placer: Placer, step: Step) -> None:
        clean(step)
        if step.status == "undoing":
            take_back(placer, self.journal, self._handover, step)
        elif step.status == "placed" or placer.has_begun(step):
            self._do(placer, step)
        else:
            self.journal.note(replace(step, status="dropped"))

    def do(self, planned: Planned, job: Job, told: Told) -> dict[Found, Path]:
        """Do what is planned, and return where files lie now. Raises Failure and Stopped."""
        self._check_room(planned)
        if planned.steps and self._settings.organize == "move":
            log.warning("%s", BREAKS)
        self._write_down(planned, job)
        clear_replaced(self._out, job.id)
        placed = self._do_all(planned, self._placer(told))
        for model in dict.fromkeys(decision.item.found.model for _, decision, _ in planned.steps):
            self._handover.carry_pages(model)
        if not any(each.steps for each in self.journal.jobs(UNFINISHED) if each.id == job.id):
            self.journal.end(job)
        return placed

    def _write_down(self, planned: Planned, job: Job) -> None:
        """Have all of a plan on the disk before the first step is done. Raises Failure."""
        self.journal.begin(job)
        for _, _, step in planned.steps:
            self.journal.note(step)
        self.journal.confirm()

    def _do_all(self, planned: Planned, placer: Placer) -> dict[Found, Path]:
        """Do all steps that can be done, and return where files lie now. Raises DiskLost and Stopped.

        What every further file would meet as well is not tried again.
        """
        placed, refusal = dict[Found, Path](), None
        for batch, decision, step in planned.steps:
            self._clock.check()
            try:
                if refusal is not None:
                    self.journal.note(replace(step, status="failed", reason=str(refusal)))
                    raise refusal
                self._do(placer, step)
                placed[decision.item.found] = decision.target
            except Failure as failure:
                refusal = failure if isinstance(failure, NoLinks) or failure.reason == "disk-full" else refusal
                self._out.disk.check()
                self.tell(batch, decision.item.found, "failed", failure.reason, failure.sentence)
        return placed

    def _do(self, placer: Placer, step: Step) -> None:
        """Do a step. What can't be done is taken back. Raises Failure and Stopped."""
        try:
            step = self.journal.note(placer.place(step))
            placer.leave(step)
        except Failure as failure:
            placer.take_back(step)
            if os.path.lexists(step.main.source):
                self.journal.note(replace(step, status="failed", reason=str(failure)))
            raise
        self._handover.arrived(step, _SOURCE)
        self.journal.note(replace(step, status="done"))

    def _placer(self, told: Told) -> Placer:
        return Placer(self._library.folder, self._out.disk, self._clock, told)

    def _check_room(self, planned: Planned) -> None:
        """Raise Failure if what is to be copied doesn't fit; nothing has been touched."""
        target, size = existing_folder(Path(plain_path(self._out.folder))), self.size_of(planned)
        if size and self._out.disk.tells_room() and size > (free := free_space(target)):
            raise Failure(
                "disk-full", "{size} would be copied to {folder}, which has {free} free; make room, then run again.",
                size=human_size(size), free=human_size(free), folder=shown_path(target),
            )  # fmt: skip

    def size_of(self, planned: Planned) -> int:
        """Return how many bytes are to be copied."""
        target = existing_folder(Path(plain_path(self._out.folder)))
        return sum(part.size for _, _, step in planned.steps for part in step.parts if _is_copied(part, target))

    def tell(self, batch: Batch, found: Found, outcome: Outcome, reason: str, message: str) -> None:
        """Count a file that stays where it is, and why."""
        name = printable(found.path)
        result = Result(
            outcome, "local", found.path, name, path=found.path, size=found.size, reason=reason, message=message
        )
        self._ledger.add(Task(batch, lambda: None, name), result)


def _is_copied(part: Part, folder: Path) -> bool:
    """Return whether the bytes of a file are copied to a folder, on its own disk or on another one."""
    with suppress(OSError):
        return part.way == "copy" or (part.way == "move" and os.stat(part.source).st_dev != os.stat(folder).st_dev)
    return False


def clear_replaced(out: Library, job: str) -> None:
    """Remove what earlier jobs have replaced. Raises Failure for a link on the way there."""
    out.check_links(f"{REPLACED}/x")
    folder = out.at(REPLACED)
    with suppress(OSError):
        for name in os.listdir(folder) if not is_link(folder) else ():
            if name != job:
                shutil.rmtree(folder / name, ignore_errors=True)
        folder.rmdir()


def take_back(placer: Placer, journal: Journal, handover: Handover, step: Step) -> list[Failure]:
    """Take back a step, and return why some of it stays. Raises Failure and Stopped."""
    journal.note(replace(step, status="undoing"))
    back, left = placer.take_back(step)
    handover.went_back(back, "--undo")
    journal.note(replace(step, status="undone", reason="; ".join(map(str, left))))
    return left


class Organizer:
    """Puts the files of all folders of a run in order."""

    def __init__(
        self, settings: Settings, open_library: Callable[[Path], Library], clock: Clock, ledger: Ledger, ask: Ask
    ) -> None:
        self._settings, self._open, self._clock, self._ledger, self._ask = settings, open_library, clock, ledger, ask
        self._homes = Homes()
        self.placed: dict[Found, Path] = {}

    @property
    def out(self) -> Library:
        """The output folder of the command. Raises UsageError if another run writes to it."""
        return self._open((self._settings.destination or self._settings.output).absolute())

    def settle(self, libraries: Iterable[Library]) -> None:
        """End in each library what was begun when an earlier run was killed. Raises Failure."""
        for library in libraries:
            self._doing(library).settle()

    def _doing(self, library: Library) -> Doing:
        return Doing(library, self.out, self._settings, self._clock, self._ledger)

    def plan(self, library: Library, looks: Sequence[Look]) -> tuple[Job, Planned]:
        """Return what becomes of the files of a library, and the job that will do it. Raises Failure."""
        root, settings = Path(plain_path(self.out.folder)), self._settings
        job = Journal(library).next_job(root, settings.layout, settings.organize)
        shelving = Shelving(library, self.out, self._settings.layout, self._homes, self._ask)
        return job, Planning(library, self.out, settings, self._clock).plan(looks, shelving, job)

    def organize(self, looks: Sequence[Look], progress: Progress) -> None:
        """Put the files of the folders in order, library by library. Raises Failure and Stopped."""
        for library in dict.fromkeys(look.library for look in looks if look.library.is_writable):
            doing = self._doing(library)
            job, planned = self.plan(library, [look for look in looks if look.library is library])
            self._tell(doing, planned)
            placed = dict[Found, Path]()
            if planned.steps or job.next_number > 1:  # a killed run has left the job open
                meter = progress.begin_reading(shown_path(self.out.folder), doing.size_of(planned))
                try:
                    placed = doing.do(planned, job, partial(progress.read, meter))
                finally:
                    progress.end(meter)
            self._say(planned, placed)
            self.placed |= placed

    def _say(self, planned: Planned, placed: Mapping[Found, Path]) -> None:
        """Say how much was done."""
        folder = shown_path(Path(plain_path(self.out.folder)))
        if placed:
            size = human_size(sum(found.size for found in placed))
            log.info("%s files (%s) were put in order in %s; --undo takes that back.", f"{len(placed):,}", size, folder)
        elif planned.is_in_order:
            log.info("Everything that was identified is in its place in %s already.", folder)

    def _tell(self, doing: Doing, planned: Planned) -> None:
        """Count what stays where it is."""
        for batch, found, failure in planned.failures:
            doing.tell(batch, found, "failed", failure.reason, failure.sentence)
        for batch, each in planned.decisions:
            if each.reason is not None:
                outcome: Outcome = "failed" if each.action == "fail" else "skipped"
                doing.tell(batch, each.item.found, outcome, "collision", each.reason)
