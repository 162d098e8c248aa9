"""Chunks: the rows of the page in files of their own, of which only those are written again that have changed."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..util.disks import Disk
from ..util.files import on_one_line, read_regular, write_file
from ..util.text import utf8
from . import cards, tiles
from .columns import Row, read_script, rows_of, script, table

_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, zlib.error)


class Damaged(Exception):
    """A data file of the page is missing, cut, edited or of another version."""


@contextmanager
def damage() -> Iterator[None]:
    """Turn what goes wrong when our own files are read again into Damaged."""
    try:
        yield
    except _DAMAGE as error:
        raise Damaged(str(error)) from error


@dataclass(frozen=True)
class Kind:
    """A kind of rows: the letter of its files, how many rows they have, and the columns of the first and second one."""

    name: str
    letter: str
    most: int
    first: tuple[str, ...]
    more: tuple[str, ...] = ()


KINDS = (
    Kind("pictures", "p", 1000, tuple(tiles.FIRST), tuple(tiles.MORE)),
    Kind("models", "m", 50, tuple(cards.FIRST), tuple(cards.MORE)),
    Kind("collections", "c", 500, tuple(cards.OF_COLLECTION)),
    Kind("posts", "o", 500, tuple(cards.OF_POST)),
)


@dataclass(eq=False)
class Chunk:
    """A chunk as it lies on disk: ids and checksums of its rows; those whose index is in `dead` count no more."""

    name: str
    ids: list[int]
    sums: list[int]
    dead: set[int] = field(default_factory=set)

    @property
    def alive(self) -> list[int]:
        """The indices of the rows that count."""
        return [row for row in range(len(self.ids)) if row not in self.dead]


class Series:
    """The chunks of one kind. A row that has changed goes into a new chunk, and its old one counts no more."""

    def __init__(self, kind: Kind, folder: Path, chunks: Iterable[Chunk], disk: Disk | None = None) -> None:
        """`folder` is that of the chunks; `chunks` are those that lie there."""
        self.kind, self.chunks, self.is_changed = kind, list(chunks), False
        self._folder, self._disk = folder, disk
        self._places = {chunk.ids[row]: (chunk, row) for chunk in self.chunks for row in chunk.alive}
        self._pending: list[tuple[Row, int]] = []

    def __len__(self) -> int:
        return len(self._places) + len(self._pending)

    def place(self, row_id: int) -> tuple[str, int] | None:
        """Return the name of the chunk and the index of a row that counts, or None."""
        found = self._places.get(row_id)
        return None if found is None else (found[0].name, found[1])

    def ids(self) -> set[int]:
        """Return the ids of all rows that count."""
        return {*self._places}

    def put(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Take rows, and yield those that are new or have changed. Nothing counts before `finish`."""
        for row in rows:
            found, told = self._places.get(row["id"]), checksum(row)
            if found is None or found[0].sums[found[1]] != told:
                self.drop(row["id"])
                self._pending.append((row, told))
                self.is_changed = True
                self._write(self.kind.most)
                yield row

    def drop(self, row_id: int) -> None:
        """Let a row count no more."""
        if found := self._places.pop(row_id, None):
            found[0].dead.add(found[1])
            self.is_changed = True

    def finish(self) -> None:
        """Write what waits, together with the rows of chunks that are not full or count for less than half.

        Raises Damaged if those can't be read, and Failure.
        """
        if not self.is_changed:
            return
        short = [each for each in self.chunks if len(each.ids) < self.kind.most or 2 * len(each.dead) > self.kind.most]
        kept = [each for chunk in short for each in self._read(chunk)]
        self.chunks = [each for each in self.chunks if each not in short]
        self._pending = [*kept, *self._pending]
        self._write(1)

    def _write(self, least: int) -> None:
        """Write chunks as long as at least so many rows wait."""
        while len(self._pending) >= least and self._pending:
            taken, self._pending = self._pending[: self.kind.most], self._pending[self.kind.most :]
            rows = [row for row, _ in taken]
            chunk = Chunk(self._save(rows), [row["id"] for row in rows], [told for _, told in taken])
            self.chunks.append(chunk)
            self._places.update({row_id: (chunk, at) for at, row_id in enumerate(chunk.ids)})

    def _save(self, rows: Sequence[Row]) -> str:
        """Write the files of a chunk and return its name, which its content decides."""
        first, more = (on_one_line(table(rows, names)) for names in (self.kind.first, self.kind.more))
        name = f"{self.kind.letter}-{hashlib.sha256(utf8(first + more)).hexdigest()[:10]}"
        for each, data in [(name, first), (f"{name}.more", more)][: 2 if self.kind.more else 1]:
            write_file(self._folder / f"{each}.js", utf8(script(each, data)), self._disk)
        return name

    def _read(self, chunk: Chunk) -> list[tuple[Row, int]]:
        """Return the rows of a chunk that count, with their checksums."""
        names = [chunk.name, f"{chunk.name}.more"][: 2 if self.kind.more else 1]
        with damage():
            rows = rows_of(*(read_data_file(self._folder, each) for each in names))
        for row in chunk.alive:
            self._places.pop(chunk.ids[row], None)
        return [(rows[row], chunk.sums[row]) for row in chunk.alive]


def checksum(row: Row) -> int:
    """Return a number that is another one when a row says something else."""
    return zlib.crc32(repr(row).encode("utf-8", "replace"))


def read_data_file(folder: Path, name: str) -> dict[str, Any]:
    """Return the data of a script in a folder. Raises Damaged."""
    with damage():
        told, data = read_script(read_regular(folder / f"{name}.js").decode("utf-8"))
        if told != name:
            raise ValueError("it has another name")
    return data
