"""The library: one output folder with its log, its names and what is there."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..util.clock import Clock, utc_now
from ..util.errors import Failure, UsageError
from ..util.files import disk_errors, planted_link, size_of, write_file, write_json
from ..util.logs import FolderLock, HastyLog, KeyedLog
from ..util.media import MEDIA_EXTENSIONS
from ..util.names import fit_path, long_path, name_key, path_limit, split_name
from .answers import number_at, text_at
from .pages import read_prompt, refilter
from .places import Wanted, same_size
from .prompts import Filters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """The last line of the state log about one thing; `until` is when the link of a queued one runs out."""

    status: str
    path: str
    size: int
    sha256: str
    until: str = ""


Key = tuple[str, str]
Action = Literal["keep", "link", "adopt", "fetch"]


def decide(wanted: Wanted, record: Record | None, there: int | None, recorded: int | None, *, force: bool) -> Action:
    """What to do about one thing, before anything is touched.

    `there` is the size of what lies at the wanted path, `recorded` that of what lies where the log says, both None
    if nothing does. A success counts only while its file is there with its size.
    """
    if force:
        return "fetch"
    if record is not None and record.status == "success" and recorded == record.size:
        return "keep" if _without_extension(record.path, wanted) == wanted.path else "link"
    if there and (wanted.kind == "image" or same_size(there, wanted)):
        return "adopt"
    return "fetch"


def _without_extension(path: str, wanted: Wanted) -> str:
    return split_name(path)[0] if wanted.kind == "image" else path


class Library:
    """One output folder: its state log, who owns which name, and what is already there."""

    def __init__(self, root: Path, lock: FolderLock | None = None) -> None:
        """Read the state log, if there is one; nothing is written. `lock` is held by who writes."""
        self.folder, self.root, self._lock = root, long_path(root), lock
        self._log = KeyedLog(self.root / "download_state.jsonl", alone=lock is not None)
        self._by_hash: dict[str, Key] = {}
        self._owners: dict[str, Key] = {}
        self._limit, self._place, self._root = path_limit(), str(root.absolute()), str(self.root)
        self._last: tuple[Key, Record | None] = ("", ""), None
        self._record_lock = threading.Lock()
        self._listings: dict[str, dict[str, str]] = {}
        self.results = HastyLog(self.root / "lists" / "results.jsonl")
        for line in self._log.live("model"):
            self._remember(("model", text_at(line, "id")), read_record(line))
        self.problems = self._log.problems

    @classmethod
    def to_write(cls, root: Path, clock: Clock, wait: Callable[[str], object] | None) -> Library:
        """The library of the only process that writes to the folder; raises UsageError when another one does.

        `wait` is told of the other one while it is waited for; None doesn't wait.
        """
        lock = FolderLock(long_path(root) / "download_state.lock")
        lock.acquire(clock, wait)
        return cls(root, lock)

    def _remember(self, key: Key, record: Record | None) -> None:
        if record is None or key[0] != "model":
            return
        if record.path:
            self._owners[name_key(record.path)] = key
        if record.sha256 and record.status == "success":
            self._by_hash[record.sha256] = key

    def _record(self, key: Key) -> Record | None:
        """The last line of the log about a thing; it is often asked for several times in a row."""
        with self._record_lock:  # a record that is appended meanwhile must not be forgotten over an older one
            last, record = self._last
            if last != key:
                line = self._log.get(*key)
                record = read_record(line) if line is not None else None
                self._last = key, record
            return record

    def at(self, path: str) -> Path:
        """The place of a relative path on this disk."""
        return Path(self._spelled(path))

    def _spelled(self, path: str) -> str:
        return f"{self._root}{os.sep}{path.replace('/', os.sep)}"

    def size(self, path: str) -> int | None:
        """The size of the file at a relative path, or None."""
        return size_of(self._spelled(path))

    def check_links(self, path: str) -> None:
        """Raise Failure if a folder on the way to a relative path is a symlink that a stranger planted."""
        if link := planted_link(self.root, self.at(path).parent):
            raise Failure("link", f"{link} is a symlink that somebody else made; it was not followed.")

    def place(self, folder: Iterable[str], name: str) -> str:
        """The relative path of a name in a folder, cut where this machine's paths are short."""
        return "/".join(fit_path(self._place, [*folder, name], self._limit))

    def records(self) -> Iterator[tuple[Key, Record]]:
        """The models and pictures that the log knows, one at a time."""
        for line in self._log.live("model", "image"):
            if record := read_record(line):
                yield (text_at(line, "type"), text_at(line, "id")), record

    def claim(self, wanted: Wanted) -> Wanted:
        """The thing with a path of its own: where another file has the name, the id goes into it."""
        owner = self._owners.setdefault(name_key(wanted.path), (wanted.kind, wanted.id))
        there = None if self.is_ours(wanted) else self.size(wanted.path)
        if owner == (wanted.kind, wanted.id) and (there is None or same_size(there, wanted)):
            return wanted
        return self.claim_spare(wanted)

    def claim_spare(self, wanted: Wanted) -> Wanted:
        """The thing at the path that bears its id."""
        spare = replace(wanted, path=wanted.spare_path)
        self._owners[name_key(spare.path)] = (wanted.kind, wanted.id)
        return spare

    def is_ours(self, wanted: Wanted) -> bool:
        """Whether the log says that what lies at the wanted path was put there for this thing."""
        record = self._record((wanted.kind, wanted.id))
        return record is not None and name_key(record.path) == name_key(wanted.path)

    def is_claimed(self, path: str) -> bool:
        """Whether a file of a model has this path."""
        return name_key(path) in self._owners

    def find(self, wanted: Wanted) -> Record | None:
        """What the log knows of a thing, or of the same bytes under another name."""
        record = self._record((wanted.kind, wanted.id))
        if record is not None and record.status == "success":
            return record
        key = self._by_hash.get(wanted.sha256) if wanted.sha256 else None
        return self._record(key) if key else record

    def look(self, wanted: Wanted, *, force: bool) -> tuple[Action, str, int]:
        """What to do about a thing, and path and size of the file that this is about."""
        record = self.find(wanted)
        recorded = self.size(record.path) if record is not None and record.path else None
        there = self._existing(wanted) if recorded is None else wanted.path
        whole = record is not None and record.status == "success" and recorded == record.size
        size = None if whole or not there else self.size(there)
        action = decide(wanted, record, size, recorded, force=force)
        if record is None or action not in ("keep", "link"):
            return action, there, size or 0
        if action == "link":
            target = wanted.path + (split_name(record.path)[1] if wanted.kind == "image" else "")
            if self._is_copy(wanted, self.at(target), self.at(record.path)):
                return "keep", target, record.size
        return action, record.path, record.size

    def _is_copy(self, wanted: Wanted, target: Path, source: Path) -> bool:
        """Whether the second place that a thing is wanted at has it already."""
        if not target.is_file() or target.stat().st_size != source.stat().st_size:
            return False
        return wanted.kind == "image" or target.samefile(source)

    def _existing(self, wanted: Wanted) -> str:
        """Where the thing may be: at the wanted path; a picture there with whichever extension it has, or nowhere."""
        if wanted.kind == "model":
            return wanted.path
        folder, _, stem = wanted.path.rpartition("/")
        return f"{folder}/{stem}{extension}" if (extension := self._media_in(folder).get(stem)) else ""

    def _media_in(self, folder: str) -> dict[str, str]:
        """Stems and extensions of the pictures in a folder at the first look; the last folders are remembered."""
        if folder not in self._listings:
            if len(self._listings) > 32:
                self._listings.clear()
            place = self.at(folder)
            names = (split_name(name) for name in (os.listdir(place) if place.is_dir() else ()))
            self._listings[folder] = {stem: each for stem, each in names if each in MEDIA_EXTENSIONS}
        return self._listings[folder]

    def media(self, wanted: Wanted) -> Path | None:
        """The file of a picture that was brought home, or None."""
        record = self._record((wanted.kind, wanted.id))
        path = record.path if record is not None and record.status == "success" else self._existing(wanted)
        return self.at(path) if path and self.size(path) is not None else None

    def record(self, key: Key, record: Record, *, source: str, reason: str = "") -> None:
        """Append to the state log what became of a thing."""
        facts = {"at": utc_now(), "type": key[0], "id": key[1], **vars(record), "reason": reason, "source": source}
        with self._record_lock:
            self._last = ("", ""), None
            self._log.append({name: value for name, value in facts.items() if name != "until" or value})
        self._remember(key, record)

    def write_sidecar(self, place: str, wanted: Wanted, data: bytes) -> None:
        """Keep what we say of a file beside it up to date, but never write over what a user or an app edited.

        Unedited is what has the SHA256 of the log still. Beside anything else ours is put as `<name>.new`. A sidecar
        that another version with a file of this stem has got is left to it.
        """
        path, key = self.at(place), ("sidecar", place)
        last = self._record(key)
        if last is not None and self._version_at(last.path) not in ("", wanted.id.partition("/")[0]):
            return
        with disk_errors(path):
            there = path.read_bytes() if path.exists() else data
        ours = last is not None and last.sha256 == hashlib.sha256(there).hexdigest() and not path.is_symlink()
        if there != data and not ours:
            write_file(path.with_name(path.name + ".new"), data)
            return
        write_file(path, data)
        mine = Record("success", wanted.path, 0, hashlib.sha256(data).hexdigest())
        if last != mine:
            self.record(key, mine, source=wanted.source)

    def _version_at(self, path: str) -> str:
        """The id of the version that a model file belongs to, "" if it is not known."""
        return self._owners.get(name_key(path), ("", ""))[1].partition("/")[0]

    def refilter_if_changed(self, filters: Filters) -> None:
        """Apply the word lists to the prompts on disk if they are not those of the last run."""
        last = read_prompt(self.root / "lists" / "filters.json").get("fingerprint")
        if last != filters.fingerprint and (changed := self.refilter(filters)):
            log.info("The word lists have changed: %d prompts were rewritten.", changed)

    def refilter(self, filters: Filters) -> int:
        """Apply the word lists to the prompts on disk; the number of files that changed."""
        changed = refilter(self.root, filters)
        write_json(self.root / "lists" / "filters.json", {"fingerprint": filters.fingerprint})
        return changed

    def queued(self, wanted: Wanted) -> Record | None:
        """What the log says of a thing that was handed to IDM and has not come yet, or None."""
        record = self._record((wanted.kind, wanted.id))
        return record if record is not None and record.status == "queued" else None

    def succeeded(self, key: Key) -> bool:
        """Whether the log has a success for a key."""
        record = self._record(key)
        return record is not None and record.status == "success"

    def begin(self) -> None:
        """Forget the results of the last run."""
        (self.root / "lists" / "results.jsonl").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the logs and of the folder."""
        self._log.close()
        self.results.close()
        if self._lock is not None:
            self._lock.release()


_OUTSIDE = re.compile(r"[/\\]|.?:|(?:.*/)?\.\.(?:/|\Z)", re.S)


def read_record(line: Mapping[str, Any]) -> Record | None:
    """What a line of the state log says; None if its path leads out of the folder."""
    path = text_at(line, "path")
    if _OUTSIDE.match(path):
        return None
    facts = (text_at(line, name) for name in ("sha256", "until"))
    return Record(text_at(line, "status"), path, number_at(line, "size"), *facts)


def check_writable(root: Path) -> None:
    """Raise UsageError if nothing can be written to an output folder."""
    try:
        probe = long_path(root) / ".writable"
        write_file(probe, b"?")
        probe.unlink()
    except (Failure, OSError) as error:
        raise UsageError(f"Nothing can be written to {root}; choose another folder by -o. ({error})") from None
