"""The library: one output folder with its log, its names and what is there."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..util.clock import utc_now
from ..util.errors import Failure, Sentence
from ..util.files import disk_errors, move_unless_taken, read_regular, size_of, write_file, write_json
from ..util.kept import cache_folder, move_old_answers
from ..util.media import MEDIA_EXTENSIONS
from ..util.names import fit_names, fit_path, name_key, path_limit, real_path, split_name
from .answers import is_ahead, text_at, utc_of
from .choice import is_called_safetensors
from .claims import Claims
from .found import Found, read_found
from .found import line_of as found_line
from .holds import Hold
from .ours import check_free, check_way, mark_earlier
from .pages import read_prompt, refilter
from .places import Wanted
from .prompts import Filters
from .records import OPTIONAL, Facts, Key, Record, Result, after_failure, last_words, place_key, read_record, record_of
from .shares import Share
from .sidecars import SIDECAR_ENDINGS, Renewed, renew
from .state import word_on

log = logging.getLogger(__name__)


class Library(Claims):
    """One output folder: its state log, who owns which name, and what is already there."""

    def __init__(self, root: Path, hold: Hold | None = None, share: Share | None = None) -> None:
        """Read the state log, if there is one; nothing is written. A process that writes has a `hold`.

        `share` says which of several copies of a run writes; None is a run alone.
        """
        super().__init__(root, alone=hold is not None, share=share)
        self.folder, self._hold = root, hold
        self._room = str(root.absolute()), path_limit()
        self._by_hash: dict[str, Key] = {}
        self._listings: dict[str, dict[str, str]] = {}
        for name, lines in self._log.each("model"):
            for record in last_words("model", lines):
                self._index(("model", name), record)

    @property
    def problems(self) -> list[str]:
        """Sentences about lines of the log that can't be read."""
        return self._log.problems

    @property
    def is_writable(self) -> bool:
        """Whether this run writes to the folder."""
        return self._hold is not None

    def refresh(self) -> None:
        """Read what other copies have put on record since, and look again which pictures lie in which folder."""
        for line in self._log.refresh():
            kind, name = text_at(line, "type"), text_at(line, "id")
            if kind == "model" and (record := read_record(line)):
                self._index((kind, name), record)
            elif kind == "local" and (found := read_found(line)):
                self._index_found(found)
        self._listings.clear()

    def close(self) -> None:
        """Close the log and release the folder. Raises Failure."""
        try:
            self._log.close()
        except Failure:
            if self.disk.trouble is None:  # else that is what was said
                raise
        finally:
            if self._hold is not None:
                self._hold.release()

    # --- Other copies ---

    @contextmanager
    def claiming(self, *things: str) -> Iterator[None]:
        """Claim things, so that no other copy brings them meanwhile. Raises Resting if one has them now, Failure."""
        if self._hold is None or not self._hold.is_shared:
            yield
            return
        with self._hold.claiming(things):
            self.refresh()
            yield

    def give_back(self) -> None:
        """Let other copies have what this one has claimed, done and put on record."""
        if self._hold is not None and (settled := self._hold.settled()):
            with suppress(Failure):  # the next line of the log will say so
                self.confirm()
                self._hold.free(settled)

    # --- Paths ---

    def place(self, folder: Iterable[str], name: str) -> str:
        """Return the relative path of a name in a folder, cut where this disk's names or our paths are short."""
        return "/".join(fit_path(self._room[0], fit_names([*folder, name], self.disk.longest_name), self._room[1]))

    def check_links(self, path: str) -> None:
        """Raise Failure if the way to a relative path leads over a link that is not to be followed."""
        check_way(self.root, path)

    def is_within(self, path: str) -> bool:
        """Return whether a file lies below the folder, wherever links on the way lead."""
        return real_path(self.at(path).parent).is_relative_to(real_path(self.root))

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

    def _index(self, key: Key, record: Record) -> None:
        if key[0] != "model":
            return
        if record.path:
            self._owners[name_key(record.path)] = key
        sha256 = record.sha256 or record.published
        if sha256 and record.status == "success":
            self._by_hash[sha256] = key

    def recorded(self, key: Key) -> Record | None:
        """Return what the last line about a thing says, or None."""
        return self._record(key)

    def _record(self, key: Key) -> Record | None:
        line = self._log.get(*key)
        return read_record(line) if line is not None else None

    def find(self, wanted: Wanted) -> Record | None:
        """Return what the log says of a thing, or of the same bytes under another name."""
        return self._find(wanted, self.places((wanted.kind, wanted.id)))

    def _find(self, wanted: Wanted, records: Sequence[Record]) -> Record | None:
        mine = word_on(wanted, records)
        is_good = mine is not None and mine.status == "success" and mine.fits(wanted.sha256)
        if mine is not None and is_good and self.size(mine.path) == mine.size:
            return mine
        if good := self.best(wanted, [record for record in records if record.fits(wanted.sha256)]):
            return good
        key = self._by_hash.get(wanted.sha256) if wanted.sha256 else None
        other = self.places(key) if key else []
        return self.best(wanted, other) or next(reversed(other or records), None)

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
        if record.status != "failed":
            facts["available_at"] = ""
        self._log.append({name: value for name, value in facts.items() if name not in OPTIONAL or value})
        self._index(key, record)

    def note(self, wanted: Wanted, result: Result) -> None:
        """Append to the state log how a wanted thing ended, if that is news."""
        key = (wanted.kind, wanted.id)
        if result.outcome == "queued":
            if result.until:
                record = Record("queued", result.path, result.size, result.sha256, result.until, layout=wanted.layout)
                self.record(key, record, source=wanted.source)
            return
        last = self.last_word(replace(wanted, path=result.path or wanted.path))
        if result.reason:
            if failed := after_failure(wanted, last, self.size(last.path) if last is not None else None):
                failed = replace(failed, available_at=result.until or failed.available_at)
                self.record(key, failed, source=wanted.source, reason=result.message)
        elif result.outcome == "done" or result.sha256 or last is None or last.status != "success":
            if result.outcome == "skipped" and not result.sha256:
                result = replace(result, sha256=self.known_hash(key, result.size))
            record = record_of(wanted, result, last or self.own(wanted))
            record = replace(record, prompt=self.prompt_beside(key, result.path))
            self.record(key, record, source=wanted.source)
            if not record.prompt:
                self.note_prompt(key, result.path)

    def waits_until(self, wanted: Wanted) -> str:
        """Return when early access to a file ends, by its model's answer or else by the log; "" if over or unknown.

        It is over once the date in the log has passed, since the answer may be a day old.
        """
        record = self.recorded((wanted.kind, wanted.id))
        known = record.available_at if record is not None else ""
        date = wanted.available_at or known
        return date if is_ahead(date) and (is_ahead(known) or not utc_of(known)) else ""

    def note_prompt(self, key: Key, path: str) -> None:
        """Append to the state log that a picture has its `.txt` now, if it is there and the log does not know."""
        place = place_key(key[0], path)
        for record in self.places(key) if self.prompt_beside(key, path) else ():
            if place_key(key[0], record.path) == place and record.status == "success" and not record.prompt:
                self.record(key, replace(record, prompt="success"), source=record.source)

    def note_found(self, found: Found, source: str) -> None:
        """Append to the state log what is known of a file that was found. Nothing is written to a sealed folder."""
        if self.is_writable:
            self._log.append(found_line(found, source))
        self._index_found(found)

    # --- What is there ---

    def facts(self, wanted: Wanted, twin: Path | None = None) -> Facts:
        """Look at the log and at the disk for a wanted thing; nothing is touched."""
        if (there := self.found_as(wanted)) and there.path == wanted.path:
            return Facts(in_place=True, path=there.path, size=there.size)
        records = self.places((wanted.kind, wanted.id))
        record, wrong = self._find(wanted, records), word_on(wanted, records)
        recorded = self.size(record.path) if record is not None and record.path else None
        if wrong is not None and wrong.is_wrong:
            good = record if record is not None and record.status == "success" and recorded == record.size else None
            source, size = self.at(good.path) if good is not None else None, self.size(wrong.path)
            is_gone = size is None and wanted.kind == "model" and wrong.size > 0
            return Facts(
                path=wrong.path, size=size, source=source, twin=twin, wrong=wrong, record=good, is_gone=is_gone
            )
        is_whole = record is not None and record.status == "success" and recorded == record.size
        if record is None or not is_whole or not record.fits(wanted.sha256):
            path = self._existing(wanted) if recorded is None else wanted.path
            found = twin if twin is not None and twin.is_file() else None
            size = self.size(path) if path else None
            return Facts(path=path, size=size, twin=found, is_gone=self._is_gone(wanted), is_old=is_whole)
        extension = split_name(record.path)[1] if wanted.kind == "image" else ""
        path, is_unproven = wanted.path + extension, bool(wanted.sha256) and not record.sha256
        if record.path == path:
            return Facts(in_place=True, path=path, size=record.size, record=record, is_unproven=is_unproven)
        size, source = self.size(path), self.at(record.path)
        is_copy = size == record.size and (wanted.kind == "image" or self.at(path).samefile(source))
        return Facts(path=path, size=size, source=source, is_copy=is_copy, record=record, is_unproven=is_unproven)

    def _is_gone(self, wanted: Wanted) -> bool:
        """Return whether a model file that was whole once is not where the log says, so that it may have been moved."""
        record = self.own(wanted) if wanted.kind == "model" else None
        return record is not None and record.size > 0 and self.size(record.path) is None

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
        """Return the file of a picture that was fetched, or None."""
        facts = self.facts(wanted)
        return facts.source or (self.at(facts.path) if facts.size is not None else None)

    # --- Sidecars and prompts ---

    def write_sidecar(self, place: str, wanted: Wanted, content: dict[str, Any]) -> bool:
        """Keep what we say of a file beside it up to date, value by value; see `renew` for what stays.

        A link, and a sidecar that belongs to another version with a file of this stem, are left alone. Return whether
        a `<name>.new` of an earlier version of the program lies beside it, which is told once.
        """
        line = self._log.get("sidecar", place) or {}
        if self._is_of_another(line, place, wanted):
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

    def move_sidecar(self, old: str, new: str, model: str) -> bool:
        """Let a sidecar follow a model file that was moved, and what we know of it as well.

        Return whether there was one of this model at the old place.
        """
        line = self._log.get("sidecar", old)
        if line is None or text_at(line, "model") != model:
            return False
        move_unless_taken(self.at(old), self.at(new))
        self.forget_sidecar(old, Sentence("It was moved to {place}.", place=new))
        self.note_sidecar(line, new)
        return True

    def sidecar_line(self, path: str) -> dict[str, Any] | None:
        """Return what the log says of a sidecar that is ours, or None."""
        line = self._log.get("sidecar", path)
        return line if line is not None and text_at(line, "status") == "success" else None

    def forget_sidecar(self, path: str, reason: str = "") -> None:
        """Put on record that a sidecar is not at its place any more."""
        gone = {"status": "failed", "path": "", "model": "", "keys": {}, "size": 0, "sha256": ""}
        self._log.append({**(self._log.get("sidecar", path) or {}), "at": utc_now(), "type": "sidecar", "id": path,
                          **gone, "reason": reason})  # fmt: skip

    def note_sidecar(self, line: Mapping[str, Any], path: str) -> None:
        """Put on record that a sidecar lies at another place, with what its line says."""
        self._log.append({**line, "at": utc_now(), "id": path, "path": path})

    def _version_of_sidecar(self, line: Mapping[str, Any]) -> str:
        """Return the id of the version that a sidecar describes, or "" if it is not known.

        Lines of earlier versions of the program have the path of the model file instead.
        """
        return text_at(line, "model").partition("/")[0] or self._version_at(text_at(line, "path"))

    def _is_of_another(self, line: Mapping[str, Any], place: str, wanted: Wanted) -> bool:
        """Return whether a sidecar belongs to another version, a file of which lies beside it: the first that came.

        Of files that were found none came first, so a safetensors comes before others. What is something else by now
        has no sidecar any more.
        """
        if self._version_of_sidecar(line) in ("", wanted.id.partition("/")[0]):
            return False
        stems, model = {place.removesuffix(ending) for ending in SIDECAR_ENDINGS}, text_at(line, "model")
        fetched = [each.path for each in self.places(("model", model)) if each.status == "success"]
        found = [each.path for each in self.all_found() if f"{each.version}/{each.file}" == model]
        before = [*fetched, *(path for path in found if _rank(path) < _rank(wanted.path))]
        return not model or any(split_name(path)[0] in stems and self.size(path) is not None for path in before)

    def _version_at(self, path: str) -> str:
        """Return the id of the version that a model file belongs to, or "" if it is not known."""
        return self._owners.get(name_key(path), ("", ""))[1].partition("/")[0]

    def refilter_if_changed(self, filters: Filters) -> None:
        """Apply the word lists to the prompts on disk if they are not those of the last run."""
        move_old_answers(self.root)
        folder = cache_folder(self.root)
        last = read_prompt(folder / "filters.json").get("fingerprint") if folder else None
        if last != filters.fingerprint and (changed := self.refilter(filters)):
            log.info("The word lists have changed; prompt files rewritten: %d.", changed)

    def refilter(self, filters: Filters) -> int:
        """Apply the word lists to the prompts on disk and return the number of files that changed."""
        move_old_answers(self.root)
        changed, folder = refilter(self.root, filters, self.disk), cache_folder(self.root)
        if folder:
            write_json(folder / "filters.json", {"fingerprint": filters.fingerprint}, self.disk)
        return changed


def _rank(path: str) -> tuple[bool, str]:
    return not is_called_safetensors(path), path
