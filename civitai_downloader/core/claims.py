"""Claims: which thing owns which name in an output folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..util.media import is_safetensors
from ..util.names import MAX_COMPONENT_BYTES, fit_names, is_cut_of, name_key, split_name
from .found import Found, read_found
from .ours import check_own, is_earlier_place, is_ours
from .places import Wanted, same_size
from .records import Key, Record
from .shares import Share
from .state import StateLog, word_on


class Claims(StateLog):
    """Who owns which name, by the state log and by what this run has claimed."""

    def __init__(self, root: Path, *, alone: bool, share: Share | None = None) -> None:
        """Read the state log; `alone` says that no other process writes to it, `share` which copy this is."""
        super().__init__(root, alone=alone, share=share)
        self._owners: dict[str, Key] = {}
        self._found: dict[str, list[str]] = {}
        for found in self.all_found():
            self._index_found(found)

    # --- Files that somebody put there ---

    def found(self, path: str) -> Found | None:
        """Return what the log says of a file that was found at a path, or None."""
        line = self._log.get("local", path)
        return read_found(line) if line is not None else None

    def all_found(self) -> Iterator[Found]:
        """Yield what the log says of every file that was found."""
        return filter(None, map(read_found, self._log.live("local")))

    def _index_found(self, found: Found) -> None:
        if found.sha256 and found.status != "moved":
            self._found.setdefault(found.sha256, []).append(found.path)

    def found_as(self, wanted: Wanted) -> Found | None:
        """Return a file that was found with the bytes of a wanted one and is still there, or None."""
        for path in self._found.get(wanted.sha256, ()) if wanted.kind == "model" else ():
            found = self.found(path)
            if found is None or found.is_wrong or found.sha256 != wanted.sha256:
                continue
            if found.is_as_it_was(Path(self._spelled(path))):
                return found
        return None

    def fetched_at(self, path: str) -> tuple[Key, Record] | None:
        """Return the model file that was fetched to a path and is there by the log, with its record, or None."""
        key = self._owners.get(name_key(path))
        records = self.places(key) if key is not None and re.fullmatch("[0-9]{1,18}/[0-9]{1,18}", key[1]) else []
        found = (each for each in records if each.status == "success" and name_key(each.path) == name_key(path))
        return next(((key, each) for each in found if key is not None), None)

    # --- Names ---

    def is_held(self, path: str, key: Key) -> bool:
        """Return whether the log says that a model other than this one lies at a path now."""
        holder = self._owners.get(name_key(path), key)
        places = self.places(holder) if holder != key else []
        return any(each.status != "failed" and name_key(each.path) == name_key(path) for each in places)

    def claim(self, wanted: Wanted) -> Wanted:
        """Return the thing with a path of its own: where another file has the name, the id goes into it.

        A file that lies under a name with its id, of this or an earlier version of the program, keeps it; so do one
        that somebody has moved, and one that was found elsewhere, whatever it is called.
        """
        key = (wanted.kind, wanted.id)
        records = self.places(key)
        has_own = any(each.status != "failed" and self.size(each.path) == each.size for each in records)
        if not has_own and (found := self.found_as(wanted)):
            self._owners[name_key(found.path)] = key
            return replace(wanted, path=found.path)
        for record in reversed(records):
            if any(is_it(wanted, record) for is_it in (self._is_elsewhere, self._is_earlier, self._was_cut)):
                self._owners[name_key(record.path)] = key
                return replace(wanted, path=record.path)
        owner = self._owners.setdefault(name_key(wanted.path), key)
        return wanted if owner == key and self._is_free(wanted, records) else self._claim_spare(wanted)

    def where(self, wanted: Wanted) -> Wanted:
        """Return the thing at the path where a worker has put or found it in the meantime."""
        records = [record for record in self.places((wanted.kind, wanted.id)) if record.status == "success"]
        if word_on(wanted, records) is not None:
            return wanted
        found = (record.path for record in reversed(records) if self._is_elsewhere(wanted, record))
        return replace(wanted, path=next(found, wanted.path))

    def _is_elsewhere(self, wanted: Wanted, record: Record) -> bool:
        """Return whether a file lies where somebody has moved it from here, or under the wanted name with its id in it.

        IDM may still be about to put it there.
        """
        if name_key(record.path) == name_key(wanted.path):
            return False
        names = {name_key(path) for path in (wanted.older_spare_path, *islice(self._spare_paths(wanted), 3))}
        is_moved = bool(record.home) and name_key(record.home) in {name_key(wanted.path), *names}
        is_ours = is_moved or name_key(record.path) in names
        return is_ours and (record.status == "queued" or self.size(record.path) is not None)

    def _is_earlier(self, wanted: Wanted, record: Record) -> bool:
        """Return whether a file lies where an earlier version put it, which let the site use our names."""
        is_at_top = "/" not in record.path and is_ours(record.path)
        return not is_at_top and is_earlier_place(record.path, wanted.path) and self.size(record.path) == record.size

    def _was_cut(self, wanted: Wanted, record: Record) -> bool:
        """Return whether the file lies under its name as another disk, on which the folder was, has cut it."""
        plain = re.sub(rf"-{re.escape(wanted.id.rpartition('/')[2])}(-\d+)?(?=\.\w+$)", "", record.path)
        return plain != wanted.path and is_cut_of(plain, wanted.path) and self.size(record.path) == record.size

    def _spare_paths(self, wanted: Wanted) -> Iterator[str]:
        """Yield the paths for the case that another file has the first; a disk's short names make room for the id."""
        if self.disk.longest_name < MAX_COMPONENT_BYTES:
            name, room = wanted.path.rpartition("/")[2], len("-4294967295-99")
            fitting = fit_names([name], self.disk.longest_name - room)[0]
            wanted = replace(wanted, path=wanted.path.removesuffix(name) + fitting)
        return wanted.spare_paths()

    def _is_free(self, wanted: Wanted, records: Iterable[Record]) -> bool:
        """Return whether no file lies at the wanted path but this one, by the log or by its size.

        One with a sound header may be this one, edited by an app: it will be looked at.
        """
        is_ours = any(name_key(record.path) == name_key(wanted.path) for record in records)
        there = None if is_ours else self.size(wanted.path)
        if there is None or same_size(there, wanted.size):
            return True
        return bool(wanted.autov3) and is_safetensors(self.at(wanted.path))

    def _claim_spare(self, wanted: Wanted) -> Wanted:
        key = (wanted.kind, wanted.id)
        for path in self._spare_paths(wanted):
            if self._owners.setdefault(name_key(path), key) == key:
                break
        return replace(wanted, path=path)

    def avoid_strangers(self, wanted: Wanted) -> Wanted:
        """Return the thing at a path where no file lies that is somebody else's."""
        if wanted.kind != "model" or self._may_take(wanted):
            return wanted
        stem, extension = split_name(wanted.path)
        plain = replace(wanted, path=stem.removesuffix(f"-{wanted.id.rpartition('/')[2]}") + extension)
        spare = (replace(wanted, path=path) for path in self._spare_paths(plain))
        key = (wanted.kind, wanted.id)
        return next(
            each for each in spare if self._owners.setdefault(name_key(each.path), key) == key and self._may_take(each)
        )

    def _may_take(self, wanted: Wanted) -> bool:
        """Return whether nothing lies at the wanted path, or what was put there by us, or was found with its bytes."""
        if self.size(wanted.path) is None or self.own_at(wanted) is not None:
            return True
        found = self.found_as(wanted)
        return found is not None and found.path == wanted.path

    def check_known(self, wanted: Wanted, path: str) -> None:
        """Raise Failure for a file where a picture belongs that the log does not know and that is no such picture."""
        if wanted.kind == "image" and self._log.get(wanted.kind, wanted.id) is None:
            check_own(self.at(path), lambda _: False)

    def is_claimed(self, path: str) -> bool:
        """Return whether a model file has this path."""
        return name_key(path) in self._owners
