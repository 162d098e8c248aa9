"""Placing: the steps of a journal are done on disk, and taken back. It may be killed anywhere.

A file is at its old or at its new place, or at both, at every moment; what a step has done is seen by what is on disk,
so that it can be gone on with.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..util.clock import Clock
from ..util.disks import Disk, same_time
from ..util.errors import Failure
from ..util.files import is_link, make_folders, read_regular, temporary_name, write_file
from ..util.moving import (
    Told,
    confirm_folder,
    copy_whole,
    is_one_file,
    is_symlink_to,
    link_failure,
    make_link,
    move_failure,
    part_name,
    put,
    same_bytes,
)
from ..util.names import long_path, plain_path, shown_path
from .journal import Part, Step
from .wholepaths import with_paths

log = logging.getLogger(__name__)


class Placer:
    """Places the files of steps, and takes them back. `tree` is the library, `disk` that of the output folder."""

    def __init__(self, tree: Path, disk: Disk, clock: Clock, told: Told) -> None:
        """`told` is given the number of bytes that were copied since the last call."""
        self._tree, self._disk, self._clock, self._told = tree, disk, clock, told

    # --- There ---

    def place(self, step: Step) -> Step:
        """Put all files of a step at their targets, and return it with what landed there; sources stay for now.

        What is there already, since an earlier run was killed, stays. Raises Failure and Stopped.
        """
        step = _spelled(step)
        for part in step.parts:
            self._place(step, part)
        for folder in {part.target.parent for part in step.parts}:
            confirm_folder(folder)
        return replace(step, status="placed", parts=tuple(map(_landed, step.parts)))

    def leave(self, step: Step) -> None:
        """Remove the sources of what was moved; everything has been placed. Raises Failure."""
        for part in _spelled(step).parts:
            if part.way == "move" and os.path.lexists(part.source):
                with _moving(part.source):
                    if not _fits(part.source, part.size, part.mtime):
                        raise _changed(part.source)
                    part.source.unlink()
        for folder in {part.source.parent for part in _spelled(step).parts if part.way == "move"}:
            confirm_folder(folder)

    def has_begun(self, step: Step) -> bool:
        """Return whether anything of a step was done, by what is on disk."""
        step = _spelled(step)
        return any(self._is_begun(step, part) for part in step.parts)

    def _is_begun(self, step: Step, part: Part) -> bool:
        is_aside = part.replaced is not None and os.path.lexists(part.replaced)
        has_left = part.way == "move" and not os.path.lexists(part.source) and os.path.lexists(part.target)
        return is_aside or has_left or self._is_placed(step, part)

    def _is_placed(self, step: Step, part: Part) -> bool:
        """Return whether the target is what this part makes it."""
        if not os.path.lexists(part.target):
            return False
        if part.way == "symlink":
            return is_symlink_to(part.target, part.source)
        if is_one_file(part.source, part.target):
            return True
        if part.way in ("hardlink", "free") or is_link(part.target):
            return False
        if not os.path.lexists(part.source):
            return part.way == "move" and (bool(part.paths) or _fits(part.target, part.size, part.mtime))
        if not os.path.isfile(part.target):
            return False
        with _moving(part.target):
            if part.paths:
                return read_regular(part.target) == with_paths(read_regular(part.source), _new_paths(step, part))
            return same_bytes(part.source, part.target, self._clock)

    def _place(self, step: Step, part: Part) -> None:
        if self._is_placed(step, part):
            return
        self._set_aside(part)
        if part.way == "free":
            self._free(step, part)
            return
        if os.path.lexists(part.target):
            raise move_failure(FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)), part.target)
        self._disk.check()
        with _moving(part.target):
            make_folders(part.target.parent)
        if part.way in ("symlink", "hardlink"):
            make_link(part.source, part.target, part.way, self._tree)
            return
        with _moving(part.source):
            if part.paths:
                self._write(part.source, part.target, _new_paths(step, part))
            else:
                self._move_or_copy(step, part.source, part.target, is_move=part.way == "move")

    def _set_aside(self, part: Part) -> None:
        """Let what has the name wait elsewhere, if it is to be replaced."""
        if part.replaced is not None and os.path.lexists(part.target) and not os.path.lexists(part.replaced):
            with _moving(part.target):
                make_folders(part.replaced.parent)
                os.rename(part.target, part.replaced)

    def _move_or_copy(self, step: Step, source: Path, target: Path, *, is_move: bool) -> None:
        """Put a file at a place that nothing has; the source may stay. Raises OSError and Failure."""
        if is_move:
            try:
                put(source, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                return
        part = part_name(target, step.job)
        digest = copy_whole(source, part, self._disk, self._clock, self._told)
        try:
            if step.sha256 and source.name == step.main.source.name and digest != step.sha256:
                raise _changed(source)
            put(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, source: Path, target: Path, paths: Mapping[str, str]) -> None:
        """Write a `.metadata.json` with other paths in it; it keeps its time."""
        seen = os.lstat(source)
        write_file(target, with_paths(read_regular(source), paths), self._disk)
        os.utime(target, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    def _free(self, step: Step, part: Part) -> None:
        """Make a copy a hard link to the file that it is a copy of, once all bytes have been compared."""
        with _moving(part.target):
            if is_link(part.target) or not same_bytes(part.source, part.target, self._clock):
                sentence = "{path} is no copy of {other} any more, so both stay; run again."
                raise Failure("changed", sentence, path=shown_path(part.target), other=shown_path(part.source))
            beside = part_name(part.target, step.job)
            beside.unlink(missing_ok=True)
            try:
                os.link(part.source, beside)
            except OSError as error:
                raise link_failure(error, part.source, part.target, "hardlink") from error
            os.replace(beside, part.target)

    # --- Back ---

    def take_back(self, step: Step) -> tuple[list[Part], list[Failure]]:
        """Undo what a step has done, the model file first; return what is back, and why the rest stays. Raises Stopped.

        If the model file stays, so do its companions.
        """
        step, back, left = _spelled(step), list[Part](), list[Failure]()
        clean(step)
        for part in step.parts:
            try:
                self._take_back(step, part)
                back.append(part)
            except Failure as failure:
                left.append(failure)
                if part is step.main:
                    break
        for folder in {part.target.parent for part in step.parts}:
            self._remove_empty(folder)
        return back, left

    def _remove_empty(self, folder: Path) -> None:
        """Remove a folder below the output folder, and those above it, as far as nothing is in them."""
        root = long_path(Path(plain_path(self._disk.folder)))
        with suppress(OSError):
            while folder != root and folder.is_relative_to(root):
                folder.rmdir()
                folder = folder.parent

    def _take_back(self, step: Step, part: Part) -> None:
        """Undo what was done with a file, as far as it is what it was then. Raises Failure."""
        if not any(part.landed) and not self._is_begun(step, part):
            return
        with _moving(part.target):
            if os.path.lexists(part.target) and not _is_restored(part):
                undo = {"move": self._move_back, "copy": self._remove_copy, "free": self._copy_back}
                undo.get(part.way, self._remove_link)(step, part)
            if part.replaced is not None and os.path.lexists(part.replaced) and not os.path.lexists(part.target):
                os.rename(part.replaced, part.target)
        if part.way == "move" and not os.path.lexists(part.source):
            raise Failure("gone", "{path} is gone, so it can't be moved back.", path=shown_path(part.target))

    def _move_back(self, step: Step, part: Part) -> None:
        if os.path.lexists(part.source):
            if not self._is_placed(step, part):
                raise Failure(
                    "taken", "{path} is taken, so nothing was moved back there.", path=shown_path(part.source)
                )
            part.target.unlink()
            return
        size, mtime = part.landed if any(part.landed) else (part.size, part.mtime)
        if is_link(part.target) or (not (part.paths and not any(part.landed)) and not _fits(part.target, size, mtime)):
            raise _changed(part.target)
        make_folders(part.source.parent)
        if part.paths:
            self._write(part.target, part.source, part.paths)
        else:
            self._move_or_copy(step, part.target, part.source, is_move=True)
        part.target.unlink(missing_ok=True)

    def _remove_copy(self, step: Step, part: Part) -> None:
        """Remove a copy, if what it is a copy of is still there."""
        size, mtime = part.landed if any(part.landed) else (part.size, part.mtime)
        is_old = any(part.landed) and not _fits(part.target, size, mtime)
        if is_link(part.target) or is_old or not (any(part.landed) or self._is_placed(step, part)):
            raise _changed(part.target)
        if not _fits(part.source, part.size, part.mtime):
            sentence = "{path} is gone or has changed, so its copy {copy} stays."
            raise Failure("changed", sentence, path=shown_path(part.source), copy=shown_path(part.target))
        part.target.unlink()

    def _remove_link(self, step: Step, part: Part) -> None:
        if part.way == "symlink" and is_link(part.target) and not os.path.exists(part.target):
            part.target.unlink()  # it leads nowhere any more
        elif self._is_placed(step, part):
            part.target.unlink()
        else:
            raise _changed(part.target)

    def _copy_back(self, step: Step, part: Part) -> None:
        """Give a file that was made a hard link its own bytes again."""
        if not is_one_file(part.source, part.target):
            return
        beside = part_name(part.target, step.job)
        copy_whole(part.source, beside, self._disk, self._clock, self._told)
        os.utime(beside, ns=(part.mtime, part.mtime))
        os.replace(beside, part.target)


@contextmanager
def _moving(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block into a Failure that names a file."""
    try:
        yield
    except OSError as error:
        raise move_failure(error, path) from error


def clean(step: Step) -> None:
    """Remove what a killed run has left of a step under names that are not final."""
    for place in (place for part in _spelled(step).parts for place in (part.source, part.target)):
        for left in (part_name(place, step.job), temporary_name(place)):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _changed(path: Path) -> Failure:
    sentence = "{path} has changed since, so it stays where it is."
    return Failure("changed", sentence, path=shown_path(path))


def _spelled(step: Step) -> Step:
    """Return a step whose paths may be long on Windows."""
    parts = (
        replace(
            part, source=long_path(part.source), target=long_path(part.target),
            replaced=long_path(part.replaced) if part.replaced is not None else None,
        )
        for part in step.parts
    )  # fmt: skip
    return replace(step, parts=tuple(parts))


def _landed(part: Part) -> Part:
    """Return a part with the size and time of what is at its target now."""
    try:
        seen = os.stat(part.target)
    except OSError as error:
        raise move_failure(error, part.target) from error
    return replace(part, landed=(seen.st_size, seen.st_mtime_ns))


def _is_restored(part: Part) -> bool:
    """Return whether what a part has replaced is back at the target, since an earlier undo was killed after that."""
    return part.replaced is not None and not os.path.lexists(part.replaced) and not _fits(part.target, *part.landed)


def _fits(path: Path, size: int, mtime: int) -> bool:
    """Return whether a file is still the one that it was, by its size and time."""
    with suppress(OSError):
        seen = os.stat(path)
        return seen.st_size == size and same_time(mtime, seen.st_mtime_ns)
    return False


def _new_paths(step: Step, part: Part) -> Mapping[str, str]:
    """Return what a `.metadata.json` is to name: the model file at its new place, and the preview if it goes along."""
    targets = {each.source.name: plain_path(each.target).as_posix() for each in step.parts}
    names = {key: value.replace("\\", "/").rpartition("/")[2] for key, value in part.paths.items()}
    new = {key: targets[name] for key, name in names.items() if name in targets}
    return {**new, **({"file_path": plain_path(step.main.target).as_posix()} if "file_path" in part.paths else {})}
