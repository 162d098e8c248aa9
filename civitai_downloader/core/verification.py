"""Verification: what the state log calls done is compared with the disk, place by place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import disk_errors, size_of
from ..util.hashes import PrefixHash
from ..util.names import split_name
from ..util.progress import Progress
from ..util.text import shown_name
from .answers import is_ahead, text_at
from .arrivals import receive_queued
from .found import Found
from .library import Library
from .lists import written
from .moved import MovedFiles
from .owners import recheck
from .proof import check_json, has_right_form
from .records import Key, Record, Result
from .refusals import EarlyAccess
from .sidecars import SIDECAR_ENDINGS
from .targets import SITE

_PAGES = {"model": "model.json", "post": "post.json", "collection": "collection.json"}
_BESIDE = ("model.txt", "description.html")


class Verification:
    """The check of an output folder; nothing is fetched.

    What is wrong goes on record and stays wrong until it is right, so that a run fetches it. What has come from IDM's
    queue is recorded as done. `counts` has files by their outcome, and as `page` the pages and prompts that are right.
    `failures` are the things that are wrong, `sources` the input lines that asked for them
    with the reasons, `gone` the paths of what is only named because the next run makes it again, and `changed` those of
    files of a folder that somebody has changed since they were hashed.
    """

    def __init__(self, library: Library, clock: Clock, watch: Callable[[Verification], object]) -> None:
        """`watch` is called now and then in the thread that checks."""
        self._library, self._clock, self._watch = library, clock, watch
        self._moved = MovedFiles(clock)
        self.progress, self.counts = Progress(), Counter[str]()
        self.failures: list[Result] = []
        self.sources: dict[str, list[str]] = {}
        self.gone: list[str] = []
        self.changed: list[str] = []

    def run(self) -> None:
        """Check everything. Raises Failure if the log can't be written."""
        for kind in ("model", "image"):
            for key, records in self._library.records(kind):
                for record in records:
                    self._judge(key, record, records, self._check_file)
        checked = set[str]()
        for path, key, records in self._prompts():
            if path not in checked:
                checked.add(path)
                self._check_prompt(key, path, records)
        for key, records in self._library.records("page"):
            for record in records:
                self._judge(key, record, records, self._check_page)
        self.gone += gone_beside(self._library)
        for found in sorted(self._library.all_found(), key=lambda each: each.path):
            if found.sha256 and found.status not in ("moved", "broken") and not self._library.fetched_at(found.path):
                self._check_found(found)
        self._reopen()

    def _judge(
        self, key: Key, record: Record, records: Iterable[Record], check: Callable[[Key, Record], Record | None]
    ) -> None:
        """Check one place of a thing, count how that ended, and put it on record if it is news."""
        self._clock.check()
        self._watch(self)
        if not (record.status in ("success", "queued") or record.is_wrong or key[0] == "page"):
            return
        source = _source_of(key, record, records)
        try:
            good = check(key, record)
        except Failure as failure:
            if failure.reason == "missing" and is_ahead(record.available_at):
                failure = EarlyAccess(until=record.available_at)
            if record.status != "failed":
                wrong = replace(record, status="failed")
                self._library.record(key, wrong, source=source, reason=str(failure))
            page = _PAGES.get(key[1].partition("/")[0], "") if key[0] == "page" else ""
            self._fail(key, self._page(record, page) if page else record.path, failure, source)
            return
        if good is not None and good != record:
            self._library.record(key, good, source=source)
        self.counts["queued" if good is None else "page" if key[0] == "page" else "done"] += 1

    def _fail(self, key: Key, path: str, failure: Failure, source: str) -> None:
        self.counts["failed"] += 1
        message = failure.sentence
        self.failures.append(Result("failed", *key, path, path=path, reason=failure.reason, message=message))
        self.sources.setdefault(source, []).append(f"{path}: {message}")

    # --- Files ---

    def _check_file(self, key: Key, record: Record) -> Record | None:
        """Return the record of a file that is right, None if it is still in IDM's queue. Raises Failure."""
        if record.status == "queued":
            try:
                return receive_queued(self._library, key, record, self._clock)
            except Failure as failure:
                raise _wrong_delivery(record, failure.sentence) from None
        try:
            return self._check_bytes(key, record)
        except Failure:
            if key[0] != "model" or record.until or not record.size:
                raise
            return recheck(self._library, key, record, self._moved, self._clock)

    def _check_bytes(self, key: Key, record: Record) -> Record:
        """Return the record of a file that is what it was. Raises Failure."""
        path = self._library.at(record.path)
        size = size_of(path)
        if size is None:
            if record.until:
                raise _wrong_delivery(record, record.reason)
            raise Failure("missing", "It is no longer on disk; run again to fetch it.")
        if record.size not in (0, size):
            sentence = "It has {size} bytes instead of {expected}; run again to fetch it."
            raise Failure("size", sentence, size=size, expected=record.size)
        digest = self._digest(path, size)
        judge_bytes(record, path, digest)
        prompt = record.prompt or self._library.prompt_beside(key, record.path)
        return replace(record, status="success", size=size, sha256=digest, until="", prompt=prompt)

    def _check_found(self, found: Found) -> None:
        """Check a file that was found in a folder and hashed there."""
        self._clock.check()
        self._watch(self)
        path = self._library.at(found.path)
        if self._library.size(found.path) is None:  # somebody has moved or deleted it
            return
        if not found.is_as_it_was(path):
            self.changed.append(shown_name(found.path))
            return
        try:
            if self._digest(path, found.size) != found.sha256:
                raise Failure(
                    "altered", "Its contents have changed, but not its size and time; replace it with a copy."
                )
        except Failure as failure:
            self._library.note_found(replace(found, reason=str(failure)), self._folder)
            self._fail(("local", found.path), shown_name(found.path), failure, self._folder)
            return
        if found.is_wrong:
            self._library.note_found(replace(found, reason=""), self._folder)
        self.counts["done"] += 1

    @property
    def _folder(self) -> str:
        """The line that names the folder itself."""
        return written(str(self._library.folder.absolute()))

    def _reopen(self) -> None:
        """Let the next run complete the files of the folder again of which something else is wrong or gone."""
        wrong = [*self.gone, *(each.path for each in self.failures if each.kind != "local")]
        homes = {key[1]: record.path for key, records in self._library.records("page") for record in records}
        for found in list(self._library.all_found()) if wrong else ():
            belongs = (f"{split_name(found.path)[0]}.", f"{homes.get(f'model/{found.model}', found.path)}/")
            if found.done and any(path.startswith(belongs) for path in wrong):
                self._library.note_found(replace(found, done=""), self._folder)

    def _digest(self, path: Path, size: int) -> str:
        """Return the SHA256 of a file. Raises Failure."""
        prefix, meter = PrefixHash(path, self._clock, wanted=True), self.progress.begin(path.name, size)
        try:
            with disk_errors(path):
                for end in (*range(PrefixHash.STEP, size, PrefixHash.STEP), size):
                    prefix.catch_up(end)
                    self.progress.add(meter, end - meter.done)
                    self._watch(self)
            return prefix.hexdigest()
        finally:
            self.progress.end(meter)

    # --- Prompts and pages ---

    def _prompts(self) -> Iterator[tuple[str, Key, list[Record]]]:
        """Yield the path of every `.txt` that was written, with what the log says of it, and then of other places."""
        for key, records in self._library.records("image"):
            for record in records:
                if record.prompt or self._library.prompt_beside(key, record.path):
                    yield f"{split_name(record.path)[0]}.txt", key, [record, *records]
        for key, records in self._library.records("meta"):
            for record in records:
                yield record.path, key, [record, *records]

    def _check_prompt(self, key: Key, path: str, records: Sequence[Record]) -> None:
        """Check the `.txt` of a picture; what is wrong goes on record as the picture's `meta`."""
        self._clock.check()
        source = _source_of(("image", key[1]), records[0], records)
        try:
            check_json(self._library.at(path), key[1])
        except Failure as failure:
            meta = ("meta", key[1])
            if not self._library.is_failed(meta, path):
                self._library.record(meta, Record("failed", path), source=source, reason=str(failure))
            self._fail(meta, path, failure, source)
        else:
            self.counts["page"] += 1

    def _check_page(self, key: Key, record: Record) -> Record:
        """Return the record of a page that is right. Raises Failure; pages for people that are gone are only named."""
        kind, _, number = key[1].partition("/")
        if kind in _PAGES:
            check_json(self._library.at(self._page(record, _PAGES[kind])), number)
        if kind == "model":
            beside = (self._page(record, name) for name in _BESIDE)
            self.gone += [path for path in beside if self._library.size(path) is None]
        return replace(record, status="success")

    def _page(self, record: Record, name: str) -> str:
        """Return the path of a page, which may have been cut where this machine's paths are short."""
        return self._library.place(record.path.split("/"), name)


def _wrong_delivery(record: Record, words: str) -> Failure:
    """Return the failure of what IDM has delivered, with the same words whenever it is looked at."""
    return Failure("hash" if record.sha256 else "broken", words)


def judge_bytes(record: Record, path: Path, digest: str) -> None:
    """Raise Failure if a file of the recorded size is not what it was when it was verified.

    Where the log has no SHA256, its form decides.
    """
    if record.sha256 and digest != record.sha256:
        raise Failure("changed", "Its contents have changed since it was verified; run again to fetch it.")
    if not record.sha256 and not has_right_form(path):
        raise Failure("broken", "It is cut off, or not a file of its type; run again to fetch it.")


def gone_beside(library: Library) -> Iterator[str]:
    """Yield the paths of sidecars and previews that are not beside their files any more.

    Of a file that somebody had put into the folder and has taken away, none is written again.
    """
    left = {split_name(each.path)[0] for each in library.all_found() if library.size(each.path) is None}
    for (_, place), _ in library.records("sidecar"):
        if any(place.removesuffix(ending) in left for ending in SIDECAR_ENDINGS):
            continue
        if library.size(place) is None:
            yield place
        elif place.endswith(".metadata.json"):
            yield from _gone_preview(library, place)


def _gone_preview(library: Library, place: str) -> Iterator[str]:
    """Yield the path of the preview that a sidecar names, if no such file lies beside it or beside the weights."""
    facts: Any = None
    with suppress(OSError, ValueError, RecursionError):
        facts = json.loads(library.at(place).read_bytes())
    name = text_at(facts, "preview_url").replace("\\", "/").rpartition("/")[2] if isinstance(facts, dict) else ""
    path = place.removesuffix(place.rpartition("/")[2]) + name
    if name and library.size(path) is None and not Path(text_at(facts, "preview_url")).is_file():
        yield path


def _source_of(key: Key, record: Record, records: Iterable[Record]) -> str:
    """Return the input line that brought a thing up, or a link to the thing where the log has none."""
    named = [each.source for each in (record, *records) if each.source not in ("", "--verify")]
    if named:
        return named[0]
    first, _, second = key[1].partition("/")
    if key[0] == "page":
        return f"{SITE}/{first}s/{second}"
    return f"{SITE}/api/download/models/{first}?fileId={second}" if key[0] == "model" else f"{SITE}/images/{first}"
