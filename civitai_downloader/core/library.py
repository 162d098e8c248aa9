"""The library: one output folder with its log, its names and what is there."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..util.clock import Clock, utc_now
from ..util.files import disk_errors, size_of, write_file, write_json
from ..util.logs import FolderLock, KeyedLog
from ..util.media import MEDIA_EXTENSIONS
from ..util.names import fit_path, long_path, name_key, path_limit, real_path, split_name
from .answers import text_at
from .ours import check_free, check_names, check_own, check_way, is_earlier_place, is_ours, mark_earlier
from .pages import read_prompt, refilter
from .places import Wanted, same_size
from .prompts import Filters
from .records import Facts, Key, Record, Result, read_record
from .sidecars import Renewed, renew

log = logging.getLogger(__name__)


class Library:
    """One output folder: its state log, who owns which name, and what is already there."""

    def __init__(self, root: Path, lock: FolderLock | None = None) -> None:
        """Read the state log, if there is one; nothing is written. `lock` is held by the process that writes.

        `problems` are sentences about lines of the log that can't be read.
        """
        self.folder, self.root, self._lock = root, long_path(root), lock
        self._log = KeyedLog(self.root / "download_state.jsonl", alone=lock is not None)
        self.problems = self._log.problems
        self._limit, self._prefix = path_limit(), str(root.absolute())
        self._by_hash: dict[str, Key] = {}
        self._owners: dict[str, Key] = {}
        self._listings: dict[str, dict[str, str]] = {}
        for line in self._log.live("model"):
            self._index(("model", text_at(line, "id")), read_record(line))

    def close(self) -> None:
        """Close the log and release the folder."""
        self._log.close()
        if self._lock is not None:
            self._lock.release()

    # --- Paths ---

    def at(self, path: str) -> Path:
        """Return the place of a relative path on this disk."""
        return Path(self._spelled(path))

    def _spelled(self, path: str) -> str:
        return f"{self.root}{os.sep}{path.replace('/', os.sep)}"

    def size(self, path: str) -> int | None:
        """Return the size in bytes of the file at a relative path, or None if there is none."""
        return size_of(self._spelled(path))

    def place(self, folder: Iterable[str], name: str) -> str:
        """Return the relative path of a name in a folder, cut where this machine's paths are short."""
        return "/".join(fit_path(self._prefix, [*folder, name], self._limit))

    def check_links(self, path: str) -> None:
        """Raise Failure if the way to a relative path leads over a link that is not to be followed."""
        check_way(self.root, path)

    # --- Which folder this is ---

    @property
    def library_id(self) -> str:
        """The id of this folder, which is made once; "" if no run has written to it, or only earlier versions have."""
        return next((text_at(line, "id") for line in self._log.live("library")), "")

    def begin(self) -> None:
        """Put the folder's id on record, the first thing that a run writes. Raises UsageError for names that are taken.

        Where a log without an id lies, the files at the top are those of an earlier version, and ours.
        """
        if self.library_id:
            check_free(self.root)
            return
        if any(self._log.live("model", "image", "meta", "page", "sidecar")):
            mark_earlier(self.root, self.is_claimed)
        else:
            check_free(self.root)
        self.record(("library", uuid4().hex), Record("success", ""), source="")

    def is_earlier_page(self, name: str) -> bool:
        """Return whether the pages with this id in the log were written by a version that put no id on record."""
        line = self._log.get("page", name)
        begun = next((text_at(each, "at") for each in self._log.live("library")), "")
        return line is not None and text_at(line, "at") < begun

    # --- What the log says ---

    def _index(self, key: Key, record: Record | None) -> None:
        if record is None or key[0] != "model":
            return
        if record.path:
            self._owners[name_key(record.path)] = key
        if record.sha256 and record.status == "success":
            self._by_hash[record.sha256] = key

    def recorded(self, key: Key) -> Record | None:
        """Return what the last line about a thing says, or None."""
        return self._record(key)

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
        self._log.append({name: value for name, value in facts.items() if name not in ("until", "layout") or value})
        self._index(key, record)

    def note(self, wanted: Wanted, result: Result) -> None:
        """Append to the state log how a wanted thing ended, if that is news."""
        key = (wanted.kind, wanted.id)
        if result.outcome == "queued":
            if result.until:
                record = Record("queued", result.path, result.size, result.sha256, result.until, wanted.layout)
                self.record(key, record, source=wanted.source)
        elif result.reason:
            self.record(
                key, Record("failed", wanted.path, layout=wanted.layout), source=wanted.source, reason=result.message
            )
        elif result.outcome == "done" or result.sha256 or not self.succeeded(key):
            sha256 = result.sha256 or wanted.sha256
            record = Record("success", result.path, result.size, sha256, layout=wanted.layout)
            self.record(key, record, source=wanted.source)

    # --- Who owns a name ---

    def claim(self, wanted: Wanted) -> Wanted:
        """Return the thing with a path of its own: where another file has the name, the id goes into it.

        A file that lies under a name with its id, of this or an earlier version of the program, keeps it.
        """
        key = (wanted.kind, wanted.id)
        record = self._record(key)
        recorded = record.path if record is not None else ""
        if record is not None and (self._is_spare(wanted, record) or self._is_earlier(wanted, record)):
            self._owners[name_key(recorded)] = key
            return replace(wanted, path=recorded)
        owner = self._owners.setdefault(name_key(wanted.path), key)
        return wanted if owner == key and self._is_free(wanted, recorded) else self._claim_spare(wanted)

    def _is_spare(self, wanted: Wanted, record: Record) -> bool:
        """Return whether a file lies, or will be put by IDM, under the wanted name with its id in it."""
        if name_key(record.path) == name_key(wanted.path):
            return False
        names = {name_key(path) for path in (wanted.older_spare_path, *islice(wanted.spare_paths(), 3))}
        return name_key(record.path) in names and (record.status == "queued" or self.size(record.path) is not None)

    def _is_earlier(self, wanted: Wanted, record: Record) -> bool:
        """Return whether a file lies where an earlier version put it, which let the site use our names."""
        is_at_top = "/" not in record.path and is_ours(record.path)
        return not is_at_top and is_earlier_place(record.path, wanted.path) and self.size(record.path) == record.size

    def _is_free(self, wanted: Wanted, recorded: str) -> bool:
        """Return whether no file lies at the wanted path but this one, by the log or by its size."""
        there = None if name_key(recorded) == name_key(wanted.path) else self.size(wanted.path)
        return there is None or same_size(there, wanted)

    def _claim_spare(self, wanted: Wanted) -> Wanted:
        key = (wanted.kind, wanted.id)
        for path in wanted.spare_paths():
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

    def check_known(self, wanted: Wanted, path: str) -> None:
        """Raise Failure for a file where a picture belongs that the log does not know and that is no such picture."""
        if wanted.kind == "image" and self._record((wanted.kind, wanted.id)) is None:
            check_own(self.at(path), lambda _: False)

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
            there = path.read_bytes() if is_file else None
        new = renew(there, content, line, place)
        if not is_file and os.path.lexists(path):
            new = Renewed(b"", {})
        elif new.data != there:
            write_file(path, new.data)
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
        write_json(self.root / "lists" / "filters.json", {"fingerprint": filters.fingerprint})
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
            check_names(root)
            self._found[place] = Library(root) if self._read_only else self._begin(root)
        return self._found[place]

    def _begin(self, root: Path) -> Library:
        """Return the library of a folder that is locked and has its id."""
        lock = FolderLock(long_path(root) / "download_state.lock")
        lock.acquire(self._clock, self._wait)
        try:
            library = Library(root, lock)
            library.begin()
        except BaseException:
            lock.release()
            raise
        return library

    def __iter__(self) -> Iterator[Library]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
