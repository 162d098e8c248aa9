"""The state log of an output folder: what it says of each thing, and of each place where that lies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..util.disks import Disk
from ..util.files import size_of
from ..util.joined import JoinedLog
from ..util.logs import KeyedLog
from ..util.names import long_path, name_key, split_name
from .ours import LOG
from .places import Wanted
from .records import Key, Record, last_words, place_key
from .shares import Share, files_of_copies, name_for


def word_on(wanted: Wanted, records: Iterable[Record]) -> Record | None:
    """Return the one of these records that is about the wanted place."""
    place = place_key(wanted.kind, wanted.path)
    return next((each for each in records if place_key(wanted.kind, each.path) == place), None)


def open_log(root: Path, share: Share | None, *, alone: bool, disk: Disk) -> KeyedLog:
    """Return the state log of a folder, which is in several files if copies have written to it. Raises Failure."""
    path = root / name_for(LOG, share)
    if share is None and not files_of_copies(root, LOG):
        return KeyedLog(path, alone=alone, disk=disk)
    is_last, rank = alone and share is None, share.rank if share else 0
    return JoinedLog(path, partial(_logs_by_rank, root), rank=rank, alone=is_last, disk=disk)


def _logs_by_rank(root: Path) -> dict[int, Path]:
    copies = {share.rank: path for share, path in files_of_copies(root, LOG).items()}
    return {0: root / LOG, **copies}


class StateLog:
    """The state log of a folder, read beside what lies there.

    The last line of a type and id counts for the thing; the last line with a path counts for that place of it.
    """

    def __init__(self, root: Path, *, alone: bool, share: Share | None = None) -> None:
        """Read the log, if there is one; nothing is written. `alone` says that no other process writes to it.

        With a `share` what one copy writes goes into a file of its own; those of all copies are always read.
        """
        self.root = long_path(root)
        self.disk = Disk(self.root, writer=share.name if share is not None else "")
        self._log = open_log(self.root, share, alone=alone, disk=self.disk)

    def at(self, path: str) -> Path:
        """Return the place of a relative path on this disk. Raises DiskLost if the folder is not what it was."""
        self.disk.check()
        return Path(self._spelled(path))

    def _spelled(self, path: str) -> str:
        return f"{self.root}{os.sep}{path.replace('/', os.sep)}"

    def size(self, path: str) -> int | None:
        """Return the size in bytes of the file at a relative path, or None if there is none."""
        return size_of(self._spelled(path))

    def lines(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the last line of each id of a kind, oldest first."""
        yield from self._log.live(kind)

    def append(self, line: Mapping[str, Any]) -> None:
        """Append a line. Raises Failure."""
        self._log.append(line)

    def confirm(self) -> None:
        """Have all lines on the disk, whatever happens next. Raises Failure."""
        self._log.close()

    def places(self, key: Key) -> list[Record]:
        """Return the last word of the log on each place of a thing, oldest first."""
        return last_words(key[0], self._log.places(*key))

    def records(self, kind: str) -> Iterator[tuple[Key, list[Record]]]:
        """Yield every thing of a kind that the log knows, with the last word on each of its places."""
        for name, lines in self._log.each(kind):
            yield (kind, name), last_words(kind, lines)

    def is_failed(self, key: Key, path: str) -> bool:
        """Return whether the last word on a place of a thing is that it failed."""
        return any(each.status == "failed" and each.path == path for each in self.places(key))

    def lacks_prompt(self, image_id: int, path: str) -> bool:
        """Return whether the `.txt` of a picture is not there, or was found wrong."""
        return self.size(path) is None or self.is_failed(("meta", str(image_id)), path)

    def best(self, wanted: Wanted, records: Sequence[Record]) -> Record | None:
        """Return the last record if it is a success, else that of the good place that serves best, or None."""
        if records and records[-1].status == "success":
            return records[-1]
        good = [record for record in records if record.status == "success"]
        place = place_key(wanted.kind, wanted.path)
        good.sort(key=lambda each: (self.size(each.path) == each.size, place_key(wanted.kind, each.path) == place))
        return good[-1] if good else None

    def last_word(self, wanted: Wanted) -> Record | None:
        """Return the last word of the log on the wanted place of a thing."""
        return word_on(wanted, self.places((wanted.kind, wanted.id)))

    def own(self, wanted: Wanted) -> Record | None:
        """Return the last word on the wanted place or on the file that was moved from it, else on any other place."""
        records = self.places((wanted.kind, wanted.id))
        here, place = word_on(wanted, records), name_key(wanted.path)
        moved = (record for record in reversed(records) if record.home and name_key(record.home) == place)
        return here if here is not None and here.size else next(moved, here or next(reversed(records), None))

    def own_at(self, wanted: Wanted) -> Record | None:
        """Return the last word on the wanted place if a whole file was there once, else None."""
        record = self.last_word(wanted)
        return record if record is not None and record.size else None

    def wrong(self, wanted: Wanted) -> Record | None:
        """Return what the log says of a file at the wanted place, if that was found wrong."""
        record = self.last_word(wanted)
        return record if record is not None and record.is_wrong else None

    def known_hash(self, key: Key, size: int) -> str:
        """Return the SHA256 of the same bytes at another place, or ""."""
        good = (each for each in self.places(key) if each.status == "success" and each.size == size)
        return next((each.sha256 for each in good if each.sha256), "")

    def prompt_beside(self, key: Key, path: str) -> str:
        """Return "success" if a picture has its `.txt` beside it."""
        return "success" if key[0] == "image" and self.size(f"{split_name(path)[0]}.txt") is not None else ""
