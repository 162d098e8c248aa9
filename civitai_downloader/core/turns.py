"""Turns: who may write to an output folder now: one run alone, or the copies of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..util.clock import Clock
from ..util.errors import Sentence, UsageError
from ..util.locks import FolderLock, Holder, holder_of, is_held
from ..util.names import long_path, shown_path
from .ours import LOCK
from .shares import Share, files_of_copies, name_for

_IS_WRITING = {
    "run": "Another run (process {process}, started {time}) is writing to {folder}; let it finish, or add --wait.",
    "copy": "Copy {copy} (process {process}, started {time}) is writing to {folder}; let it finish, or add --wait.",
    "batch": "Copy {copy} of another batch (process {process}, started {time}) is writing to {folder}; let it finish, "
    "or add --wait.",
}
_WAITING = {
    "run": "Waiting for another run to end (process {process}, started {time}) in {folder}.",
    "copy": "Waiting for copy {copy} to end (process {process}, started {time}) in {folder}.",
    "batch": "Waiting for copy {copy} of another batch to end (process {process}, started {time}) in {folder}.",
}


class Turn:
    """The right to write to an output folder, for a run alone or for one copy of a batch.

    A run holds the folder's lock to its end, and works while no copy does. A copy holds a lock of its own; it takes the
    folder's only for a moment when it begins, so that whoever has that sees all copies that work.
    """

    def __init__(self, root: Path, share: Share | None, clock: Clock) -> None:
        self.root, self.share, self.clock = long_path(root), share, clock

    def take(self, wait: Callable[[str], object] | None) -> FolderLock:
        """Return the lock for the rest of the run, held. Raises UsageError if somebody else writes; Failure.

        With `wait` it waits for the others instead, after calling `wait` once with a sentence that says so; then it
        raises Stopped when the clock is stopped.
        """
        told = False
        while isinstance(found := self._try(), Path):
            if wait is None:
                raise UsageError(_IS_WRITING[self._kind(found)], **self._facts(found))
            if not told:
                wait(Sentence(_WAITING[self._kind(found)], **self._facts(found)))
            told = True
            self.clock.sleep(1)
        return found

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Let a copy, which has its lock, be the only one at work for a moment. Raises Failure and Stopped."""
        gate = FolderLock(self.root / LOCK, str(self.share))
        while not gate.acquire(self.clock):
            pass
        try:
            yield
        finally:
            gate.release()

    def _try(self) -> FolderLock | Path:
        """Return the lock, or the lock of somebody else that stands in the way."""
        gate = FolderLock(self.root / LOCK, str(self.share or ""))
        if not self._pass(gate):
            return gate.path
        own = gate
        try:
            if self.share is not None:
                own = FolderLock(self.root / name_for(LOCK, self.share), str(self.share))
                if not own.acquire(self.clock):
                    return own.path
            if other := self._other():
                own.release()
                return other
            return own
        finally:
            if own is not gate:
                gate.release()

    def _pass(self, gate: FolderLock) -> bool:
        """Take the folder's lock. A copy waits for other copies that begin, of which each has it for a moment."""
        before: Holder | None = None
        while not gate.acquire(self.clock):
            holder = holder_of(gate.path)
            if self.share is None or (not holder.copy and holder == before):
                return False
            before = holder
        return True

    def _other(self) -> Path | None:
        """Return the lock of a copy that works and may not work beside us."""
        locks = files_of_copies(self.root, LOCK).items()
        count = self.share.count if self.share else 0
        return next((path for share, path in locks if share.count != count and is_held(path)), None)

    def _share_of(self, lock: Path) -> Share | None:
        return next((share for share, path in files_of_copies(self.root, LOCK).items() if path == lock), None)

    def _kind(self, lock: Path) -> str:
        share = self._share_of(lock)
        if share is None:
            return "run"
        return "copy" if self.share is None or share.count == self.share.count else "batch"

    def _facts(self, lock: Path) -> dict[str, object]:
        holder, share = holder_of(lock), self._share_of(lock)
        facts: dict[str, object] = {"process": holder.process, "time": holder.started, "folder": shown_path(self.root)}
        return facts if share is None else {**facts, "copy": str(share)}
