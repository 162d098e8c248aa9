"""One thing's way to disk: decide, transfer, verify, land."""

from __future__ import annotations

import logging
import math
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import requests

from ..util.clock import DAY, Clock, utc_text
from ..util.errors import Failure
from ..util.files import disk_errors, free_space, link_or_copy, replace_file, sha256_of, size_of
from ..util.http import Call, read_at_most
from ..util.idm import Idm, delivered, expiry_of, seconds_quiet
from ..util.media import MEDIA_EXTENSIONS, is_safetensors, looks_like_page, sniff_media
from ..util.names import file_name, plain_path
from ..util.pace import Gate, HostDown, Pace, Patience
from ..util.progress import Progress
from ..util.ranges import parse_content_range
from ..util.text import human_size
from ..util.transfer import Body, Received, Source, Traffic, Transfer, discard_part
from .answers import unix_time
from .choice import is_called_safetensors
from .library import Facts, Key, Library, Outcome, Record, Result
from .places import Wanted, same_size
from .settings import Settings
from .sidecars import STILL_PREVIEWS
from .site import Site

log = logging.getLogger(__name__)

Action = Literal["keep", "link", "adopt", "fetch"]


class Still(Exception):
    """A video was answered by a still picture, or the other way round; the next form of its link may help."""


def decide(wanted: Wanted, facts: Facts, *, force: bool) -> Action:
    """Decide what to do about one thing. This is the only place where that is decided.

    `keep` what is there and known, `adopt` a file that lies at the wanted place if its bytes prove right, `link` the
    same bytes from another place, or `fetch`. A file of that size at the place of a model is looked at before anything
    else takes its place.
    """
    if force:
        return "fetch"
    if facts.in_place or facts.is_copy:
        return "keep"
    fits = wanted.kind == "image" or same_size(facts.size or 0, wanted)
    if facts.size and fits and facts.source is None:
        return "adopt"
    if facts.source is None and facts.twin is None:
        return "fetch"
    return "adopt" if wanted.kind == "model" and facts.size is not None else "link"


class Fetcher:
    """Brings single things home: decides, transfers, verifies and lands them."""

    TRIES, MOST_OF_STILL = 3, 16 << 20

    def __init__(self, settings: Settings, site: Site, clock: Clock, progress: Progress) -> None:
        """The collaborators are shared by all workers."""
        self._settings, self._site, self._clock, self._progress = settings, site, clock, progress
        self._throttle = Pace(settings.limit_rate or math.inf, clock)
        connections = 1 if settings.limit_rate else settings.connections
        self._gate = Gate(settings.workers, connections, clock, site.http.health.factor)
        self._quota_failures = 0
        self.idm = Idm(settings.idm, clock) if settings.idm is not None else None

    def bring(self, wanted: Wanted, library: Library, *, force: bool, twin: Path | None) -> Result:
        """Have the thing on disk. Raises a Failure with the reason why it can't be had, Stopped.

        `twin` is a file with the same bytes that this run has brought home to another place.
        """
        library.check_links(wanted.path)
        queued = library.queued(wanted)
        if queued is not None and (waiting := self._receive(wanted, library, queued, force=force)):
            return waiting
        facts = library.facts(wanted, twin)
        action = decide(wanted, facts, force=force)
        if action == "keep":
            return good_result(wanted, "skipped", facts.path, facts.size)
        if action == "adopt" and (adopted := self._adopt(wanted, library, facts.path)):
            return adopted
        wanted = library.avoid_strangers(wanted)
        source = None if action == "fetch" else facts.source or facts.twin
        return self._fetch(wanted, library) if source is None else self._link(wanted, library, source)

    def _adopt(self, wanted: Wanted, library: Library, place: str) -> Result | None:
        """Take a file that lies there already for the one wanted if its bytes prove it; return None if they don't."""
        path = library.at(place)
        with disk_errors(path):
            digest = sha256_of(path, self._clock) if wanted.kind == "model" else ""
        hashed = wanted.sha256 and self._settings.check_hashes
        if not (digest == wanted.sha256 if hashed else has_right_form(path, wanted.format)):
            return None
        discard_part(library.at(wanted.path + ".part"))
        return good_result(wanted, "skipped", place, library.size(place), digest)

    def _link(self, wanted: Wanted, library: Library, source: Path) -> Result:
        """Put the same bytes at a second place without fetching them again."""
        place = wanted.path + (source.suffix if wanted.kind == "image" else "")
        target = library.at(place)
        if not (target.exists() and target.samefile(source)):
            link_or_copy(source, target)
        return good_result(wanted, "done", place, library.size(place), wanted.sha256)

    def _fetch(self, wanted: Wanted, library: Library) -> Result:
        """Try the links one after the other: the next one when this one has nothing, denies it, or has only a still."""
        if wanted.kind == "model" and self._quota_failures >= self.TRIES:
            raise Failure("quota", "The site's download quota is used up; wait some hours and run again.")
        trouble: Failure = Failure("gone", "The site gives no link for it.")
        for url in wanted.urls:
            try:
                result = (self._fetch_from if self.idm is None else self._queue_from)(url, wanted, library)
            except Still:
                trouble = Failure("still", "The site sends a still picture instead of this video; try again later.")
            except Failure as failure:
                self._quota_failures = self._quota_failures + 1 if failure.reason == "quota" else 0
                if failure.reason not in ("gone", "token-refused", "forbidden"):
                    raise
                trouble = failure
            else:
                self._quota_failures = 0
                return result
        raise trouble

    def bring_still(self, wanted: Wanted, library: Library) -> None:
        """Fetch the still of a video if one can be had. Raises HostDown, Stopped.

        It is small, so IDM has no part in it. Whether it is there is seen on disk: a preview that can't be had is no
        failure.
        """
        library.check_links(wanted.path)
        for url in wanted.urls:
            try:
                self._fetch_from(url, wanted, library)
                return
            except HostDown:
                raise
            except (Failure, Still) as trouble:
                log.debug("%s: %s", wanted.name, trouble)
        discard_part(library.at(wanted.path + ".part"))

    def _fetch_from(self, url: str, wanted: Wanted, library: Library) -> Result:
        """Transfer, verify and land."""
        part = library.at(wanted.path + ".part")
        self._check_space(wanted, part)
        meter = self._progress.begin(wanted.name, wanted.size or None)
        patience = Patience()
        body = Body(
            part=part,
            identity=wanted.sha256 or f"{wanted.kind}:{wanted.id}:{wanted.size}:{url.rpartition('/')[0]}",
            size=wanted.size or None,
            limit=self.MOST_OF_STILL if wanted.media == "still" else wanted.size + 1024 if wanted.size else 16 << 30,
            trusted=bool(wanted.sha256) and self._settings.check_hashes,
            hashing=wanted.kind == "model" and self._settings.check_hashes,
        )
        source = Source(
            open=lambda headers: _no_page(self._site.open(url, headers, patience), wanted),
            again=lambda link, headers: _no_page(self._site.http.open_once(Call(link, headers)), wanted),
            rest=self._site.http.wait_to_retry,
        )
        traffic = Traffic(self._gate, self._clock, self._throttle, self._progress, self._settings.retries)
        transfer = Transfer(body, source, traffic, meter)
        try:
            with self._gate:
                received, extension = self._receive_right(transfer, wanted, library)
            transfer.move_to(library.at(wanted.path + extension))
        finally:
            self._progress.end(meter)
        return good_result(wanted, "done", wanted.path + extension, received.size, received.sha256)

    def _receive_right(self, transfer: Transfer, wanted: Wanted, library: Library) -> tuple[Received, str]:
        """Return the body and the extension that its bytes call for. Wrong bytes are fetched three times in all."""
        for attempt in range(1, self.TRIES + 1):
            received = transfer.run(resume=self._settings.resume and attempt == 1, alone=attempt > 1)
            try:
                return received, verify(wanted, transfer.part, received)
            except Still:
                discard_part(transfer.part)
                raise
            except Failure as failure:
                log.debug("%s: %s (%d of %d)", wanted.name, failure, attempt, self.TRIES)
                trouble = failure
        name = file_name(wanted.path, "file", f" [{wanted.id.replace('/', '-')}]")
        transfer.move_to(_place_aside(library, name))
        raise trouble

    def _queue_from(self, url: str, wanted: Wanted, library: Library) -> Result:
        """Look at the first bytes, then hand the link to IDM: a page must never be queued as a model."""
        self._check_space(wanted, library.at(wanted.path))
        with closing(_no_page(self._site.open(url, {"Range": "bytes=0-63"}, Patience()), wanted)) as response:
            head, link = read_at_most(response, 64)[:64], response.url
            span = parse_content_range(response.headers.get("Content-Range"))
        extension, kind = sniff_media(head) if wanted.kind == "image" else ("", "")
        if wanted.media == "video" and kind == "image":
            raise Still
        if looks_like_page(head) or (wanted.kind == "image" and not extension):
            raise Failure("page", "The site sent something else than the file; a token or a later try may help.")
        size = (span[1] if span else None) or wanted.size
        if wanted.size and abs(size - wanted.size) >= 1024:
            raise Failure("size", f"The site offers {size} bytes where {wanted.size} are published; try again later.")
        target = library.at(wanted.path + extension)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
        secret = self._settings.idm_token_url and wanted.kind == "model" and self._settings.token
        if self.idm is not None:
            handed = f"{url}&token={self._settings.token}" if secret else link
            self.idm.add(handed, plain_path(target.parent), target.name)
        until = DAY + time.time() if secret else expiry_of(link, time.time())
        return replace(
            good_result(wanted, "queued", wanted.path + extension, size, wanted.sha256), until=utc_text(until)
        )

    def _receive(self, wanted: Wanted, library: Library, record: Record, *, force: bool) -> Result | None:
        """Return what became of a thing in IDM's queue: done, still queued, or None if it is to be queued again."""
        arrived = receive_queued(library, (wanted.kind, wanted.id), record, self._clock, wanted.format)
        if arrived is not None:
            return good_result(wanted, "done", arrived.path, arrived.size, arrived.sha256)
        if force or unix_time(record.until) < time.time():
            return None
        return good_result(wanted, "queued", record.path, record.size, record.sha256)

    def _check_space(self, wanted: Wanted, part: Path) -> None:
        if not wanted.size:
            return
        need, free = wanted.size - (size_of(part) or 0), free_space(part.parent)
        if need > free:
            sizes = f"{human_size(need)} are needed, {human_size(free)} are free"
            raise Failure("disk-full", f"The disk has no room for {wanted.name}: {sizes}.")


def good_result(wanted: Wanted, outcome: Outcome, path: str, size: int | None, sha256: str = "") -> Result:
    """Return a good result. A picture is verified by its form, a model by a published hash alone."""
    proven = wanted.kind == "image" or bool(wanted.sha256 and (sha256 or outcome == "skipped"))
    return Result(
        outcome, wanted.kind, wanted.id, wanted.name, path=path, size=size or 0, sha256=sha256,
        verified=proven and outcome != "queued", scan=wanted.scan,
    )  # fmt: skip


def _place_aside(library: Library, name: str) -> Path:
    """Return a path in `corrupted/`, whose folder is there."""
    target = library.at(library.place(("corrupted",), name))
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    return target


def receive_queued(library: Library, key: Key, record: Record, clock: Clock, told: str = "") -> Record | None:
    """Return the record of a queued file that has come, or None while it has not. Raises Failure if it is wrong.

    It has come when its size is reached and nobody has written to it for some seconds; a file that IDM called
    `name_2.ext` gets its right name. `told` is what the site says of a model file's form.
    """
    target = library.at(record.path)
    path = delivered(target, record.size)
    if path is None:
        return None
    size, quiet = size_of(path) or 0, seconds_quiet(path)
    state = arrival(size, record.size, quiet)
    if state == "arriving":
        return None
    with disk_errors(path):
        digest = sha256_of(path, clock) if key[0] == "model" else ""
        if path != target:
            replace_file(path, target)
    right = digest == record.sha256 if record.sha256 else has_right_form(target, told)
    if state == "wrong" or not right:
        aside = _place_aside(library, target.name)
        with disk_errors(aside):
            replace_file(target, aside)
        reason = "size" if state == "wrong" else "hash" if record.sha256 else "broken"
        raise Failure(reason, f"What IDM delivered is wrong ({size} of {record.size} bytes); it lies in corrupted/.")
    return Record("success", record.path, size, digest)


def arrival(size: int, expected: int, quiet: float) -> Literal["arriving", "arrived", "wrong"]:
    """Return whether a file that another program writes has come; `quiet` is the seconds since its last change."""
    if not expected:
        return "arrived" if quiet >= 30 else "arriving"
    if size < expected:
        return "arriving" if quiet < 600 else "wrong"
    if size - expected >= 1024:
        return "wrong"
    return "arrived" if quiet >= 5 else "arriving"


def has_right_form(path: Path, told: str = "") -> bool:
    """Return whether a model's header or a picture's first bytes are what the name says, for want of a hash.

    `told` is what the site says of a model file's form.
    """
    extension = path.suffix.lower()
    if extension in MEDIA_EXTENSIONS:
        return sniff_file(path)[0] == extension
    return not is_called_safetensors(path.name, told) or is_safetensors(path)


def _no_page(response: requests.Response, wanted: Wanted) -> requests.Response:
    """Return the response. Raises Failure if it is a web page or a message where a file was asked for."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") or (
        kind == "application/json" and not wanted.path.lower().endswith(".json")
    ):
        response.close()
        raise Failure("page", "The site sent a page instead of the file; a token (--token) or a later try may help.")
    return response


def verify(wanted: Wanted, part: Path, received: Received) -> str:
    """Prove that the bytes are the ones wanted, and return the extension that is still to be added to the name.

    Raises Failure for wrong bytes, Still for a picture in place of a video. A published hash decides alone;
    without one, size and header do.
    """
    if wanted.kind == "image":
        extension, kind = sniff_file(part)
        if kind == "image" and wanted.media == "video":
            raise Still
        if wanted.media == "still" and f".preview{extension}" not in STILL_PREVIEWS:
            raise Still
        if not extension:
            raise Failure("broken", "What the site sent is no picture, video or sound; try again later.")
        return extension
    if wanted.sha256 and received.sha256:
        if received.sha256 != wanted.sha256:
            raise Failure("hash", "Its SHA256 is not the one published, three times; it lies in corrupted/.")
        return ""
    with part.open("rb") as file:
        head = file.read(64)
    if looks_like_page(head):
        raise Failure("page", "The site sent a page instead of the file; it lies in corrupted/.")
    if wanted.size and abs(received.size - wanted.size) >= 1024:
        raise Failure("size", f"It has {received.size} bytes where {wanted.size} are published; it lies in corrupted/.")
    if is_called_safetensors(wanted.path, wanted.format) and not is_safetensors(part):
        raise Failure("broken", "Its safetensors header is broken, three times; it lies in corrupted/.")
    return ""


def sniff_file(path: Path) -> tuple[str, str]:
    """Return extension and kind of a picture, video or sound by its first bytes, two empty words if it is none."""
    with disk_errors(path), path.open("rb", buffering=0) as file:
        return sniff_media(file.read(64))
