"""The library: one output folder with its log, its names and what is there."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..util.clock import Clock, utc_now
from ..util.disks import Disk
from ..util.errors import Failure, UsageError
from ..util.files import can_be_continued, disk_errors, planted_link, read_regular, size_of, write_file, write_json
from ..util.logs import FolderLock, KeyedLog
from ..util.media import MEDIA_EXTENSIONS
from ..util.names import (
    MAX_COMPONENT_BYTES,
    fit_names,
    fit_path,
    is_cut_of,
    long_path,
    name_key,
    path_limit,
    real_path,
    split_name,
)
from .answers import text_at
from .pages import read_prompt, refilter
from .places import Wanted, same_size
from .prompts import Filters
from .records import Facts, Key, Record, Result, read_record
from .sidecars import Renewed, renew

log = logging.getLogger(__name__)


class Library:
    """One output folder: its state log, who owns which name, and what is already there."""

    def __init__(self, root: Path, lock: FolderLock | None = None) -> None:
        """Read the state log, if there is one; nothing is written. `lock` is held by the process that writes."""
        self.folder, self.root, self._lock = root, long_path(root), lock
        self.disk = Disk(self.root)
        self._log = KeyedLog(self.root / "download_state.jsonl", alone=lock is not None, disk=self.disk)
        self._limit, self._prefix = path_limit(), str(root.absolute())
        self._by_hash: dict[str, Key] = {}
        self._owners: dict[str, Key] = {}
        self._listings: dict[str, dict[str, str]] = {}
        for line in self._log.live("model"):
            self._index(("model", text_at(line, "id")), read_record(line))

    @property
    def problems(self) -> list[str]:
        """Sentences about lines of the log that can't be read."""
        return self._log.problems

    def close(self) -> None:
        """Close the log and release the folder. Raises Failure."""
        try:
            self._log.close()
        except Failure:
            if self.disk.trouble is None:  # else that is what was said
                raise
        finally:
            if self._lock is not None:
                self._lock.release()

    # --- Paths ---

    def at(self, path: str) -> Path:
        """Return the place of a relative path on this disk. Raises DiskLost if the folder is not what it was."""
        self.disk.check()
        return Path(self._spelled(path))

    def _spelled(self, path: str) -> str:
        return f"{self.root}{os.sep}{path.replace('/', os.sep)}"

    def size(self, path: str) -> int | None:
        """Return the size in bytes of the file at a relative path, or None if there is none."""
        return size_of(self._spelled(path))

    def place(self, folder: Iterable[str], name: str) -> str:
        """Return the relative path of a name in a folder, cut where this disk's names or our paths are short."""
        return "/".join(fit_path(self._prefix, fit_names([*folder, name], self.disk.longest_name), self._limit))

    def check_links(self, path: str) -> None:
        """Raise Failure if a folder on the way to a relative path is a symlink that a stranger planted."""
        if link := planted_link(self.root, self.at(path).parent):
            raise Failure("link", f"{link} is a symlink that somebody else made; it was not followed.")

    # --- What the log says ---

    def _index(self, key: Key, record: Record | None) -> None:
        if record is None or key[0] != "model":
            return
        if record.path:
            self._owners[name_key(record.path)] = key
        if record.sha256 and record.status == "success":
            self._by_hash[record.sha256] = key

    def _record(self, key: Key) -> Record | None:
        line = self._log.get(*key)
        return read_record(line) if line is not None else None

    def records(self) -> Iterator[tuple[Key, Record]]:
        """Yield the models and pictures that the log knows, one at a time."""
        for line in self._log.live("model", "image"):
            if record := read_record(line):
                yield (text_at(line, "type"), text_at(line, "id")), record

    def find(self, wanted: Wanted) -> Record | None:
        """Return what the log says of a thing, or of the same bytes under another name."""
        record = self._record((wanted.kind, wanted.id))
        if record is not None and record.status == "success":
            return record
        key = self._by_hash.get(wanted.sha256) if wanted.sha256 else None
        return self._record(key) if key else record

    def queued(self, wanted: Wanted) -> Record | None:
        """Return the record of a thing that was handed to IDM and has not come yet, or None."""
        record = self._record((wanted.kind, wanted.id))
        return record if record is not None and record.status == "queued" else None

    def succeeded(self, key: Key) -> bool:
        """Return whether the log has a success for a key."""
        record = self._record(key)
        return record is not None and record.status == "success"

    def record(self, key: Key, record: Record, *, source: str, reason: str = "") -> None:
        """Append to the state log what became of a thing."""
        facts = {"at": utc_now(), "type": key[0], "id": key[1], **vars(record), "reason": reason, "source": source}
        self._log.append({name: value for name, value in facts.items() if name != "until" or value})
        self._index(key, record)

    def note(self, wanted: Wanted, result: Result) -> None:
        """Append to the state log how a wanted thing ended, if that is news."""
        key = (wanted.kind, wanted.id)
        if result.outcome == "queued":
            if result.until:
                record = Record("queued", result.path, result.size, result.sha256, result.until)
                self.record(key, record, source=wanted.source)
        elif result.reason:
            self.record(key, Record("failed", wanted.path), source=wanted.source, reason=result.message)
        elif result.outcome == "done" or result.sha256 or not self.succeeded(key):
            record = Record("success", result.path, result.size, result.sha256 or wanted.sha256)
            self.record(key, record, source=wanted.source)

    # --- Who owns a name ---

    def claim(self, wanted: Wanted) -> Wanted:
        """Return the thing with a path of its own: where another file has the name, the id goes into it.

        A file that lies under a name with its id, of this or an earlier version of the program, keeps it.
        """
        key = (wanted.kind, wanted.id)
        record = self._record(key)
        recorded = record.path if record is not None else ""
        if record is not None and (self._is_spare(wanted, record) or self._was_cut(wanted, record)):
            self._owners[name_key(recorded)] = key
            return replace(wanted, path=recorded)
        owner = self._owners.setdefault(name_key(wanted.path), key)
        return wanted if owner == key and self._is_free(wanted, recorded) else self._claim_spare(wanted)

    def _is_spare(self, wanted: Wanted, record: Record) -> bool:
        """Return whether a file lies, or will be put by IDM, under the wanted name with its id in it."""
        if name_key(record.path) == name_key(wanted.path):
            return False
        names = {name_key(path) for path in (wanted.older_spare_path, *islice(self._spare_paths(wanted), 3))}
        return name_key(record.path) in names and (record.status == "queued" or self.size(record.path) is not None)

    def _was_cut(self, wanted: Wanted, record: Record) -> bool:
        """Return whether the file lies under its name as another disk, on which the folder was, has cut it."""
        plain = re.sub(rf"-{re.escape(wanted.id.rpartition('/')[2])}(-\d+)?(?=\.\w+$)", "", record.path)
        return plain != wanted.path and is_cut_of(plain, wanted.path) and self.size(record.path) == record.size

    def _spare_paths(self, wanted: Wanted) -> Iterator[str]:
        """Yield the paths for the case that another file has the first; a disk's short names make room for the id."""
        if self.disk.longest_name < MAX_COMPONENT_BYTES:
            folder, _, name = wanted.path.rpartition("/")
            room = len("-4294967295-99")
            wanted = replace(wanted, path=f"{folder}/{fit_names([name], self.disk.longest_name - room)[0]}")
        return wanted.spare_paths()

    def _is_free(self, wanted: Wanted, recorded: str) -> bool:
        """Return whether no file lies at the wanted path but this one, by the log or by its size."""
        there = None if name_key(recorded) == name_key(wanted.path) else self.size(wanted.path)
        return there is None or same_size(there, wanted)

    def _claim_spare(self, wanted: Wanted) -> Wanted:
        key = (wanted.kind, wanted.id)
        for path in self._spare_paths(wanted):
            if self._owners.setdefault(name_key(path), key) == key:
                break
        return replace(wanted, path=path)

    def avoid_strangers(self, wanted: Wanted) -> Wanted:
        """Return the thing at a path where no file lies that is somebody else's."""
        if wanted.kind != "model" or self.size(wanted.path) is None:
            return wanted
        record = self._record((wanted.kind, wanted.id))
        is_ours = record is not None and name_key(record.path) == name_key(wanted.path)
        return wanted if is_ours else self._claim_spare(wanted)

    def is_claimed(self, path: str) -> bool:
        """Return whether a model file has this path."""
        return name_key(path) in self._owners

    # --- What is there ---

    def facts(self, wanted: Wanted, twin: Path | None = None) -> Facts:
        """Look at the log and at the disk for a wanted thing; nothing is touched."""
        record = self.find(wanted)
        recorded = self.size(record.path) if record is not None and record.path else None
        if record is None or record.status != "success" or recorded != record.size:
            path = self._existing(wanted) if recorded is None else wanted.path
            found = twin if twin is not None and twin.is_file() else None
            return Facts(path=path, size=self.size(path) if path else None, twin=found)
        extension = split_name(record.path)[1] if wanted.kind == "image" else ""
        path = wanted.path + extension
        if record.path == path:
            return Facts(in_place=True, path=path, size=record.size)
        size, source = self.size(path), self.at(record.path)
        is_copy = size == record.size and (wanted.kind == "image" or self.at(path).samefile(source))
        return Facts(path=path, size=size, source=source, is_copy=is_copy)

    def _existing(self, wanted: Wanted) -> str:
        """Return where the thing may be: at the wanted path; a picture there with whichever extension it has, or ""."""
        if wanted.kind == "model":
            return wanted.path
        folder, _, stem = wanted.path.rpartition("/")
        return f"{folder}/{stem}{extension}" if (extension := self._media_in(folder).get(stem)) else ""

    def _media_in(self, folder: str) -> dict[str, str]:
        """Return stems and extensions of the pictures in a folder at the first look; the last folders are kept."""
        if folder not in self._listings:
            if len(self._listings) > 32:
                self._listings.clear()
            place = self.at(folder)
            names = (split_name(name) for name in (os.listdir(place) if place.is_dir() else ()))
            self._listings[folder] = {stem: each for stem, each in names if each.lower() in MEDIA_EXTENSIONS}
        return self._listings[folder]

    def media(self, wanted: Wanted) -> Path | None:
        """Return the file of a picture that was brought home, or None."""
        facts = self.facts(wanted)
        return facts.source or (self.at(facts.path) if facts.size is not None else None)

    # --- Sidecars and prompts ---

    def write_sidecar(self, place: str, wanted: Wanted, content: dict[str, Any]) -> bool:
        """Keep what we say of a file beside it up to date, value by value; see `renew` for what stays.

        A link, and a sidecar that belongs to another version with a file of this stem, are left alone. Return whether
        a `<name>.new` of an earlier version of the program lies beside it, which is told once.
        """
        line = self._log.get("sidecar", place) or {}
        if self._version_of_sidecar(line) not in ("", wanted.id.partition("/")[0]):
            return False
        path = self.at(place)
        is_file = size_of(path) is not None and not path.is_symlink()
        with disk_errors(path):
            there = read_regular(path) if is_file else None
        new = renew(there, content, line, place)
        if not is_file and os.path.lexists(path):
            new = Renewed(b"", {})
        elif new.data != there:
            write_file(path, new.data, self.disk)
        told = {"path": place, "model": wanted.id, "keys": new.keys}
        if new.data != there or told != {name: line.get(name) for name in told}:
            facts = {"at": utc_now(), "type": "sidecar", "id": place, "status": "success", **told}
            written = {"size": len(new.data), "sha256": hashlib.sha256(new.data).hexdigest()}
            self._log.append({**facts, **written, "reason": "", "source": wanted.source})
        return "keys" not in line and size_of(path.with_name(path.name + ".new")) is not None

    def _version_of_sidecar(self, line: Mapping[str, Any]) -> str:
        """Return the id of the version that a sidecar describes, or "" if it is not known.

        Lines of earlier versions of the program have the path of the model file instead.
        """
        return text_at(line, "model").partition("/")[0] or self._version_at(text_at(line, "path"))

    def _version_at(self, path: str) -> str:
        """Return the id of the version that a model file belongs to, or "" if it is not known."""
        return self._owners.get(name_key(path), ("", ""))[1].partition("/")[0]

    def refilter_if_changed(self, filters: Filters) -> None:
        """Apply the word lists to the prompts on disk if they are not those of the last run."""
        last = read_prompt(self.root / "lists" / "filters.json").get("fingerprint")
        if last != filters.fingerprint and (changed := self.refilter(filters)):
            log.info("The word lists have changed: %d prompts were rewritten.", changed)

    def refilter(self, filters: Filters) -> int:
        """Apply the word lists to the prompts on disk and return the number of files that changed."""
        changed = refilter(self.root, filters)
        write_json(self.root / "lists" / "filters.json", {"fingerprint": filters.fingerprint}, self.disk)
        return changed


class Libraries:
    """The output folders of a run, each opened once."""

    def __init__(self, clock: Clock, *, wait: Callable[[str], object] | None, read_only: bool) -> None:
        """`wait` is told about another run while this one waits for it; with None it does not wait."""
        self._clock, self._wait, self._read_only = clock, wait, read_only
        self._found: dict[Path, Library] = {}

    def open(self, root: Path) -> Library:
        """Return the library of an output folder. Raises UsageError when another run writes to it."""
        place = real_path(root)
        if place not in self._found:
            lock = None if self._read_only else FolderLock(long_path(root) / "download_state.lock")
            if lock is not None:
                lock.acquire(self._clock, self._wait)
            try:
                self._found[place] = Library(root, lock)
            except Failure:
                if lock is not None:
                    lock.release()
                raise
        return self._found[place]

    def __iter__(self) -> Iterator[Library]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def lost(self) -> list[Library]:
        """Those whose folder is gone or takes nothing more."""
        return [library for library in self if library.disk.trouble is not None]


def check_writable(root: Path) -> None:
    """Raise UsageError if nothing can be written to an output folder."""
    probe = long_path(root) / ".writable"
    try:
        write_file(probe, b"?")
        with disk_errors(probe):
            can_continue = can_be_continued(probe)
            probe.unlink()
    except Failure as failure:
        raise UsageError(f"Nothing can be written to {root}; choose another folder with -o. ({failure})") from None
    if not can_continue:
        raise UsageError(f"{root} lets no file be continued; an rclone mount needs --vfs-cache-mode writes.")
