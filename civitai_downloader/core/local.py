"""Local: a folder or a model file as INPUT. Its files are found, hashed and named, and then completed as fetched ones.

The order is that in which a file travels: found, named by a sidecar, hashed, named by its SHA256, by the ids in its
sidecars, by its AutoV3; handed on with the other files of its model, or left as unknown.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..util.clock import Clock
from ..util.errors import Failure, Sentence
from ..util.hashes import BUFFER, Hashed, autov3_of, hash_file
from ..util.progress import Progress
from ..util.text import printable
from .catalogue import raise_first
from .flaws import flaw_of
from .folders import MOST_NAMED, survey
from .found import Found
from .ledger import Batch, Countdown, Steps, Task
from .library import Library
from .looks import Look, disk_key, lacks_hash, wants_weights
from .naming import Naming
from .records import Outcome, Result
from .schedule import Schedule
from .shelf import describe_unknown
from .targets import NOTHING, Target

log = logging.getLogger(__name__)

HandOn = Callable[[Batch, int, Sequence[Found]], object]
Told = Callable[[int], object]
Reader = Callable[[Look, Sequence[str], bytearray, Told], None]
T = TypeVar("T")

SEALED = "Nothing can be written to {folder}, so its files were only looked at; make it writable and run again."


class Folders:
    """Looks through folders, in the metadata pool; files are read in the LoRA pool, by two workers at most.

    While many files are being hashed, those that are done are asked for once in `ASK_EVERY` seconds.
    """

    HASHERS, ASK_EVERY, MOST_REFUSALS = 2, 60.0, 3

    def __init__(
        self, naming: Naming, schedule: Schedule, clock: Clock, progress: Progress, targets: Iterable[Target]
    ) -> None:
        """`targets` are those of the run: what lines say of a file by hand is left to those lines."""
        self._naming, self._schedule, self._clock, self._progress = naming, schedule, clock, progress
        self._hands = {disk_key(Path(), each.name) for each in targets if each.match is not None}
        self.looks: list[Look] = []
        self._looking: dict[Library, Countdown] = {}

    # --- Found ---

    def visit(self, batch: Batch, hand_on: HandOn) -> Steps:
        """Look through the folder, or at the file, of a target; `hand_on` takes the files of each model in it."""
        target = batch.entry.target
        look = self._look(batch, Path(target.name))
        new = look.recall(self._hands if target.match is None else ())
        read = partial(self._hash, hand_on)
        yield
        if target.match is not None:
            self._read(look, look.jobs(new), read, partial(self._name_by_hand, look, target.match, hand_on))
            return
        self._tell_settled(look)
        jobs = look.jobs(new)
        yield from self._name_by_sidecars(look, jobs)
        look.fresh += [path for path, found in look.files.items() if self._is_open(look, found)]
        self._read(look, jobs, read, partial(self._name_rest, look, hand_on))

    def _look(self, batch: Batch, place: Path) -> Look:
        """Return what is in a folder; what can't be read in it is a failure each."""
        start = "/".join(place.relative_to(batch.entry.settings.output.absolute()).parts)
        look = Look(
            batch, survey(batch.library.root, start, batch.entry.settings.skip, self._clock.check), self._clock.now()
        )
        self.looks.append(look)
        if not (batch.library.is_writable or batch.entry.settings.dry_run):
            self._fail(batch, Failure("sealed", SEALED, folder=batch.library.folder))
        for each in look.survey.unreadable:
            self._fail(batch, Failure("unreadable", each.reason), each.path)
        for aside in look.survey.aside[:MOST_NAMED]:
            log.info("%s: %s", printable(aside.path), aside.reason)
        if len(look.survey.aside) > MOST_NAMED:
            log.info("%s further files were left out.", f"{len(look.survey.aside) - MOST_NAMED:,}")
        return look

    def _fail(self, batch: Batch, failure: Failure, path: str = "") -> None:
        self._schedule.do(Task(batch, partial(raise_first, [failure]), printable(path)))

    def _is_open(self, look: Look, found: Found) -> bool:
        """Return whether something is to be asked about a file whose bytes are known."""
        return not lacks_hash(found) and (not look.is_settled(found) or is_incomplete(look, found))

    def _tell_settled(self, look: Look) -> None:
        for found in list(look.files.values()):
            if look.is_settled(found) and not is_incomplete(look, found):
                self._tell(look, found, is_new=False)

    def _tell(self, look: Look, found: Found, *, is_new: bool = True) -> None:
        """Count what became of a file that has no model here."""
        self._schedule.do(Task(look.batch, partial(result_of, found, is_new=is_new)))

    def files_in(self, library: Library) -> list[tuple[Found, tuple[int, int]]]:
        """Return the files that were found in the folders of a library, with their inodes, ordered by path."""
        looks = [look for look in self.looks if look.library is library]
        found = {path: (each, look.seen[path].inode) for look in looks for path, each in look.files.items()}
        return [found[path] for path in sorted(found)]

    # --- Begun and ended ---

    def order(self, tasks: Sequence[Task]) -> list[Task]:
        """Return those of the tasks of a run that may begin; the others begin when their library is known.

        What a link wants may lie in a folder of the run, and is fetched only if nothing there is it.
        """
        local = [task for task in tasks if task.batch.entry.target.kind == "local"]
        others = [task for task in tasks if task.batch.entry.target.kind != "local"]
        for library in {task.batch.library for task in local}:
            waiting = [task for task in others if task.batch.library is library]
            self._looking[library] = Countdown(partial(self._begin, waiting))
        for task in local:
            self._looking[task.batch.library].add(1)
        return [*local, *(task for task in others if task.batch.library not in self._looking)]

    def _begin(self, waiting: Iterable[Task]) -> None:
        for task in waiting:
            self._schedule.submit(task)

    def end(self, batch: Batch) -> str:
        """Let what waits for a target begin. Return how many files have a name, "" if a line says what a file is."""
        if batch.library in self._looking:
            self._looking[batch.library].add(-1)
        looks = (look for look in self.looks if look.batch is batch and batch.entry.target.match is None)
        return next((summary_of(look) for look in looks), "")

    # --- Hashed ---

    def _read(self, look: Look, jobs: Sequence[Sequence[str]], read: Reader, then: Callable[[], Steps]) -> None:
        """Read whole files, the smallest first, and then take the next step; each job has all names of one file."""
        if not jobs:
            self._schedule.submit(Task(look.batch, then))
            return
        queue = deque(jobs)
        size = sum(look.seen[names[0]].size for names in jobs)
        meter = self._progress.begin_reading(look.batch.name, size)

        def end() -> None:
            """Go on with what has been read."""
            self._progress.end(meter)
            self._schedule.submit(Task(look.batch, then))

        group = Countdown(end)
        group.add(1)
        for _ in range(min(self.HASHERS, len(jobs))):
            drain = partial(self._drain, look, queue, read, partial(self._progress.read, meter))
            self._schedule.submit(Task(look.batch, drain, group=group, heavy=True))
        group.add(-1)

    def _drain(self, look: Look, queue: deque[Sequence[str]], read: Reader, told: Told) -> None:
        """Read one file after the other until none is left. Raises Stopped."""
        buffer = bytearray(BUFFER)
        with suppress(IndexError):
            while True:
                names = queue.popleft()
                task = Task(look.batch, partial(read, look, names, buffer, told), printable(names[0]))
                self._schedule.do(task)

    def _hash(self, hand_on: HandOn, look: Look, names: Sequence[str], buffer: bytearray, told: Told) -> None:
        """Put the SHA256 of a file on record, or what is wrong with it. Raises Failure and Stopped."""
        place = look.library.at(names[0])
        if flaw := flaw_of(place):
            for name in names:
                seen = look.seen[name]
                look.keep(Found(name, seen.size, seen.mtime, "broken", reason=flaw))
                self._tell(look, look.files[name])
            return
        hashed = hash_file(place, self._clock, buffer, told)
        for name in names:
            look.keep(look.hashed(name, hashed))
        if look.add_fresh(names, self._clock.now(), self.ASK_EVERY):
            self._schedule.submit(Task(look.batch, partial(self._name_hashed, look, hand_on)))

    def _weigh(self, look: Look, names: Sequence[str], buffer: bytearray, told: Told) -> None:
        """Put the AutoV3 of a file on record. Raises Failure and Stopped."""
        found = look.files[names[0]]
        known = Hashed(found.size, found.mtime, found.sha256)
        autov3 = autov3_of(look.library.at(names[0]), known, self._clock, buffer, told)
        for name in names if autov3 else ():
            look.keep(replace(look.files[name], autov3=autov3))

    # --- Named ---

    def _name_by_sidecars(self, look: Look, jobs: Sequence[Sequence[str]]) -> Steps:
        """Name files by the SHA256 that their sidecars tell, if those are of fitting size, before they are hashed."""
        hints = {name: look.hints(name) for names in jobs for name in names}
        fitting = ((name, each.sha256) for name, found in hints.items() for each in found if each.fits and each.sha256)
        look.claims = dict(reversed([*fitting]))  # the first hint of each file is the best
        with suppress(Failure):  # it will be asked again, and told, when they have been hashed
            known = self._naming.versions_with(look.claims.values())
            for name, digest in look.claims.items():
                yield
                found = look.known(name)
                if digest in known and found.how != "hand":
                    look.keep(self._naming.by_sha256(found, known[digest], hints[name], "sidecar", digest))
        if named := sum(found.how == "sidecar" and not found.sha256 for found in look.files.values()):
            files = f"{sum(map(len, jobs)):,}"
            log.info("%s: sidecars name %s of %s files; all are hashed now.", look.batch.name, f"{named:,}", files)

    def _name_hashed(self, look: Look, hand_on: HandOn) -> Steps:
        """Name the files that have been hashed: by their SHA256, then by the ids in their sidecars."""
        asked = look.take_fresh()
        unnamed = [found for found in asked if not look.is_settled(found)]
        try:
            known = self._naming.versions_with(found.sha256 for found in unnamed)
        except Failure:
            self._hand_on(look, asked, hand_on)
            raise
        hints = {found.path: look.hints(found.path) for found in unnamed}
        left = (found.path for found in unnamed if found.sha256 not in known)
        self._naming.expect(each.model for path in left for each in hints[path])
        for found in unnamed:
            yield
            if targets := known.get(found.sha256):
                digest = found.sha256
                self._ask(
                    look, found, partial(self._naming.by_sha256, found, targets, hints[found.path], "sha256", digest)
                )
            else:
                self._ask(look, found, partial(self._naming.by_hints, found, hints[found.path]))
        self._hand_on(look, asked, hand_on)

    def _name_rest(self, look: Look, hand_on: HandOn) -> Steps:
        """Name what has been hashed last, and weigh what has no name then."""
        yield from self._name_hashed(look, hand_on)
        left, look.unnamed = look.unnamed, []
        jobs = look.by_inode(found.path for found, _ in left if wants_weights(found))
        self._read(look, jobs, self._weigh, partial(self._name_by_weights, look, left, hand_on))

    def _name_by_weights(self, look: Look, left: Sequence[tuple[Found, Found | None]], hand_on: HandOn) -> Steps:
        """Name files by their AutoV3, each by a request; what the site doesn't know by that is unknown, or gone.

        After some refusals in a row nothing more is asked in this run.
        """
        refused, named = 0, list[Found]()
        for before, told in left:
            yield
            found = look.files[before.path]
            if refused < self.MOST_REFUSALS:
                ask = partial(self._naming.by_weights, found, look.hints(found.path), told)
                answer = self._answer(look, found, ask)
                refused = 0 if answer else refused + 1
                named += [each for each in answer if each.status == "success"]
                for each in answer:
                    look.keep(each)
                    if each.status != "success":
                        self._leave(look, each)
        self._hand_on(look, named, hand_on)

    def _name_by_hand(self, look: Look, match: Target, hand_on: HandOn) -> Steps:
        """Put on record what a line says that a file is."""
        for found in [each for each in look.files.values() if each.status != "broken"]:
            yield
            if match == NOTHING:
                named = replace(found, status="unknown", how="hand", model=0, version=0, file=0, name="", done="")
                answer = [named]
            elif _is_so_by_hand(found, match):
                answer = [found]
            else:
                answer = self._answer(look, found, partial(self._naming.by_hand, found, match))
            for named in answer:
                if named != found:
                    look.keep(named)
            self._hand_on(look, answer, hand_on)

    def _ask(self, look: Look, found: Found, ask: Callable[[], Found | None]) -> None:
        """Keep what a file is called; where the site doesn't know, it is left to be weighed."""
        for named in self._answer(look, found, ask):
            if named is not None and named.status == "success":
                look.keep(named)
            else:
                look.unnamed.append((found, named))

    def _answer(self, look: Look, found: Found, ask: Callable[[], T]) -> list[T]:
        """Return the answer to a question about a file, or nothing if there was none, which is a failure then."""
        answers: list[T] = []
        self._schedule.do(Task(look.batch, lambda: answers.append(ask()), printable(found.path)))
        return answers

    # --- Handed on ---

    def _leave(self, look: Look, found: Found) -> None:
        """Count a file that the site doesn't know, and write beside it what its own header tells."""
        self._tell(look, found)
        if look.library.is_writable:
            describe = partial(describe_unknown, look.library, found, look.source)
            self._schedule.do(Task(look.batch, describe, printable(found.path)))

    def _hand_on(self, look: Look, files: Iterable[Found], hand_on: HandOn) -> None:
        """Have files completed, those of a model together; what is complete, or may not be written to, is counted."""
        models: dict[int, list[Found]] = {}
        for found in (look.files[each.path] for each in files):
            if found.status == "hashed":
                continue
            settings = look.batch.entry.settings
            is_listing = settings.updates and not settings.update
            if is_incomplete(look, found) and look.library.is_writable and not is_listing:
                models.setdefault(found.model, []).append(found)
            else:
                self._tell(look, found, is_new=is_incomplete(look, found))
        self._naming.expect(models)
        for model, members in models.items():
            hand_on(look.batch, model, members)


def is_incomplete(look: Look, found: Found) -> bool:
    """Return whether something of what belongs to a file may still have to be brought, or brought anew."""
    settings = look.batch.entry.settings
    return found.status == "success" and (settings.refresh or not found.has_all(settings))


def _is_so_by_hand(found: Found, match: Target) -> bool:
    """Return whether a file is on record as what a line says that it is, as far as the line has ids."""
    is_version = match.kind == "model" and match.id == found.model and match.version in (0, found.version)
    return found.how == "hand" and is_version and match.file in (0, found.file)


def result_of(found: Found, *, is_new: bool) -> Result:
    """Return how a file of a folder ended."""
    reason, message = ("no-model", found.reason) if found.status == "broken" else ("", "")
    outcome: Outcome = "done" if is_new and found.is_identified else "skipped"
    name = found.name or printable(found.path)
    return Result(
        outcome, "local", found.path, name, path=found.path, size=found.size, sha256=found.sha256,
        reason=reason, message=message,
    )  # fmt: skip


def summary_of(look: Look) -> Sentence:
    """Return how many files of a folder have a name now, and how many have none."""
    files = list(look.files.values())
    named, broken = sum(found.is_identified for found in files), sum(found.status == "broken" for found in files)
    values = {"files": f"{len(files):,}", "named": f"{named:,}", "others": f"{len(files) - named - broken:,}"}
    template = "{named} of {files} model files identified, {others} unknown, {broken} broken"
    return Sentence(template, **values, broken=f"{broken:,}")
