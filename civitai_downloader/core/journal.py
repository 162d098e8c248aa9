"""The journal: what organising has planned and done with each file, as lines of type `organize` in a library's log.

A job is one `--organize`, with the runs that end it if it was killed. Its own line has the folder that files go to. A
step of it is a model file with its companions, and its line is written anew when the step has come further.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

from ..util.clock import utc_now
from ..util.errors import Failure
from ..util.logs import KeyedLog
from ..util.names import plain_path
from .answers import number_at, object_at, objects_at, text_at
from .library import Library
from .ours import LOG

Way = Literal["symlink", "hardlink", "copy", "move", "free"]
Status = Literal["planned", "placed", "done", "undoing", "undone", "dropped", "failed"]
CHANGED = ("placed", "done", "undoing")  # there is something to take back
UNFINISHED = ("planned", "placed", "undoing")  # a run was killed


@dataclass(frozen=True)
class Part:
    """One file of a step: how it gets from `source` to `target`.

    `size` and `mtime` (nanoseconds) are those of the source when that was planned; `landed` has those of the target
    once it was placed. What lay at the target before waits at `replaced`. With `paths` it names places of its model
    file, which follow; these are what it named before. The way `free` makes the copy `target` a hard link to `source`.
    """

    way: Way
    source: Path
    target: Path
    size: int
    mtime: int
    landed: tuple[int, int] = (0, 0)
    replaced: Path | None = None
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A model file with its companions, which stay together. `sha256` is that of the model file."""

    id: str
    status: Status
    parts: tuple[Part, ...]
    sha256: str = ""
    reason: str = ""

    @property
    def job(self) -> str:
        """The id of the job that it belongs to."""
        return self.id.partition("/")[0]

    @property
    def main(self) -> Part:
        """The part that is the model file."""
        return self.parts[0]


@dataclass(frozen=True)
class Job:
    """A job: where it puts files, by which layout and in which way, and whether it has ended.

    `next_number` is that of its next step.
    """

    id: str
    root: Path
    layout: str
    way: str
    is_open: bool
    steps: tuple[Step, ...] = ()
    next_number: int = 1

    @property
    def has_changed(self) -> bool:
        """Whether there is something to take back."""
        return any(step.status in CHANGED for step in self.steps)


class Journal:
    """The jobs in the log of a library. Paths outside the library are whole there."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._root = plain_path(library.folder)

    def jobs(self, statuses: Collection[str] = get_args(Status)) -> list[Job]:
        """Return all jobs, oldest first, with those of their steps that have one of some statuses.

        A line that no run can have written is left out.
        """
        lines: dict[str, list[dict[str, Any]]] = {}
        for line in self._library.lines("organize"):
            name, _, number = text_at(line, "id").partition("/")
            if re.fullmatch(r"\d{4,9}-[0-9a-f]{8}", name) and re.fullmatch(r"(\d{6})?", number):
                lines.setdefault(name, []).append(line)
        found = (self._read_job(name, lines[name], statuses) for name in sorted(lines))
        return [job for job in found if job is not None]

    def _read_job(self, name: str, lines: Iterable[Mapping[str, Any]], statuses: Collection[str]) -> Job | None:
        """Return a job with its steps, but for those that no run can have written; None if its own line isn't there."""
        by_number = {text_at(line, "id").partition("/")[2]: line for line in lines}
        if (own := by_number.pop("", None)) is None:
            return None
        root, is_open = self._place(text_at(own, "path")), text_at(own, "status") == "planned"
        told = (self._read_step(line) for _, line in sorted(by_number.items()) if text_at(line, "status") in statuses)
        steps = tuple(step for step in told if step and all(self._is_allowed(part, root) for part in step.parts))
        next_number = int(max(by_number, default="0")) + 1
        return Job(name, root, text_at(own, "layout"), text_at(own, "way"), is_open, steps, next_number)

    def _is_allowed(self, part: Part, root: Path) -> bool:
        """Return whether a part takes a file from the library, and puts it there or below the output folder."""
        root_of_target = root if part.way != "free" or part.target.is_relative_to(root) else self._root
        waits = part.replaced is None or _is_below(part.replaced, root / ".civitai" / "replaced")
        return _is_below(part.source, self._root) and _is_below(part.target, root_of_target) and waits

    def next_job(self, root: Path, layout: str, way: str) -> Job:
        """Return the job to which steps are added: the last one if it was killed, else a new one."""
        jobs = self.jobs(())
        if jobs and jobs[-1].is_open and jobs[-1].root == root:
            return replace(jobs[-1], layout=layout, way=way)
        number = int(jobs[-1].id.partition("-")[0]) + 1 if jobs else 1
        return Job(f"{number:04}-{uuid4().hex[:8]}", root, layout, way, is_open=True)

    def begin(self, job: Job) -> None:
        """Put on record that a job has begun, or goes on. Raises Failure."""
        self._note_job(job)

    def end(self, job: Job) -> None:
        """Put on record that a job has ended. Raises Failure."""
        if job.is_open:
            self._note_job(replace(job, is_open=False))
            self._library.confirm()

    def confirm(self) -> None:
        """Have on the disk what is planned. Raises Failure."""
        self._library.confirm()

    def _note_job(self, job: Job) -> None:
        status = "planned" if job.is_open else "done"
        facts = {"at": utc_now(), "type": "organize", "id": job.id, "status": status, "path": self._text(job.root)}
        self._library.append({**facts, "layout": job.layout, "way": job.way})

    def note(self, step: Step) -> Step:
        """Put on record how far a step has come, and return it. Raises Failure."""
        main = step.main
        facts = {"at": utc_now(), "type": "organize", "id": step.id, "status": step.status}
        ends = {"path": self._text(main.target), "from": self._text(main.source), "way": main.way}
        files = [self._part_line(part) for part in step.parts]
        told = {"size": main.size, "sha256": step.sha256, "files": files, "reason": step.reason}
        self._library.append({**facts, **ends, **told})
        return step

    def _part_line(self, part: Part) -> dict[str, Any]:
        facts = {"way": part.way, "from": self._text(part.source), "to": self._text(part.target)}
        landed = {"to_size": part.landed[0], "to_mtime": part.landed[1]} if any(part.landed) else {}
        replaced = {"replaced": self._text(part.replaced)} if part.replaced else {}
        paths = {"paths": dict(part.paths)} if part.paths else {}
        return {**facts, "size": part.size, "mtime": part.mtime, **landed, **replaced, **paths}

    # --- Read again ---

    def _read_step(self, line: Mapping[str, Any]) -> Step | None:
        """Return a step, or None if it isn't one."""
        status: Any = text_at(line, "status")
        parts = [*map(self._read_part, objects_at(line, "files"))]
        known = tuple(part for part in parts if part is not None)
        if status not in get_args(Status) or not known or len(known) != len(parts):
            return None
        return Step(text_at(line, "id"), status, known, text_at(line, "sha256"), text_at(line, "reason"))

    def _read_part(self, facts: Mapping[str, Any]) -> Part | None:
        """Return a part, or None if it isn't one."""
        way: Any = text_at(facts, "way")
        source, target = self._place(text_at(facts, "from")), self._place(text_at(facts, "to"))
        replaced = text_at(facts, "replaced")
        paths = {key: value for key, value in object_at(facts, "paths").items() if isinstance(value, str)}
        if way not in get_args(Way):
            return None
        return Part(
            way, source, target, number_at(facts, "size"), number_at(facts, "mtime"),
            landed=(number_at(facts, "to_size"), number_at(facts, "to_mtime")),
            replaced=self._place(replaced) if replaced else None, paths=paths,
        )  # fmt: skip

    def _text(self, path: Path) -> str:
        """Return a path as the log has it: relative to the library if it is in there, else whole."""
        plain = plain_path(path)
        return plain.relative_to(self._root).as_posix() if plain.is_relative_to(self._root) else str(plain)

    def _place(self, text: str) -> Path:
        return self._root / text.replace("/", os.sep) if text else self._root


def _is_below(path: Path, root: Path) -> bool:
    return path != root and path.is_relative_to(root) and ".." not in path.parts


def was_organized(root: Path) -> bool:
    """Return whether files of a library have been put in order, by its log; False if it has none or can't be read."""
    with suppress(Failure):
        return any(KeyedLog(root / LOG).live("organize"))
    return False
