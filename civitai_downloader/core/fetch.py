"""One thing's way to disk: decide, transfer, verify, land."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..util.clock import DAY, Clock, utc_text
from ..util.disks import Disk, DiskFailure
from ..util.errors import Failure, Sentence
from ..util.files import PATIENCE, disk_errors, free_space, link_or_copy, size_of
from ..util.hashes import sha256_of
from ..util.http import Call, read_at_most
from ..util.idm import Idm, expiry_of
from ..util.media import looks_like_page, sniff_media
from ..util.names import name_key, plain_path
from ..util.pace import Gate, HostDown, Patience
from ..util.progress import Progress
from ..util.ranges import parse_content_range
from ..util.rests import Resting
from ..util.text import human_size
from ..util.transfer import Body, Received, Source, Traffic, Transfer, discard_part
from .answers import is_ahead, unix_time
from .arrivals import make_room, place_aside, place_of_wrong, put_wrong_aside, receive_queued
from .choice import is_called_safetensors
from .library import Library
from .manners import throttle_for
from .moved import MovedFiles, follow
from .owners import Somebodys, adopt, prove, refuse, take_refused
from .places import Wanted
from .proof import Still, has_right_form, is_an_answer, is_complete, no_page, verify
from .records import Facts, Outcome, Record, Result
from .refusals import EarlyAccess
from .settings import Settings
from .site import Site
from .weights import Weights

log = logging.getLogger(__name__)

WRONG_HASH = "The site's SHA256 for this file is wrong (the same bytes came twice); add --no-verify to keep the file."
UNSEEN = Weights()
Action = Literal["keep", "prove", "link", "adopt", "fetch"]


def decide(wanted: Wanted, facts: Facts, *, force: bool) -> Action:
    """Decide what to do about one thing. This is the only place where that is decided.

    `keep` what is there and known, `prove` what nobody has compared with the published hash, `adopt` a file that lies
    at the wanted place if its bytes prove right, `link` the same bytes from another place, or `fetch`. Whatever lies at
    the place of a model is looked at before anything takes its place, unless it is known to be the site's older file.
    """
    if force:
        return "fetch"
    if facts.in_place or facts.is_copy:
        return "prove" if facts.is_unproven and facts.in_place else "keep"
    if wanted.kind == "model" and facts.size is not None and not facts.is_old:
        return "adopt"
    if wanted.kind == "image" and facts.size and facts.source is None:
        return "adopt"
    return "fetch" if facts.source is None and facts.twin is None else "link"


class Fetcher:
    """Brings single things home: decides, transfers, verifies and lands them.

    A disk with no more than `LITTLE` free space counts as full.
    """

    TRIES, MOST_OF_STILL, MOST_PATIENCE, LITTLE = 3, 16 << 20, 30.0, 16 << 20

    def __init__(self, settings: Settings, site: Site, clock: Clock, progress: Progress) -> None:
        """The collaborators are shared by all workers."""
        self._settings, self._site, self._clock, self._progress = settings, site, clock, progress
        self._throttle = throttle_for(settings, clock)
        connections = 1 if settings.limit_rate else settings.connections
        self._gate = Gate(settings.workers, connections, clock, site.http.health.factor)
        self._quota_failures, self._moved = 0, MovedFiles(clock)
        self._rests = site.http.rests
        self.idm = Idm(settings.idm, clock) if settings.idm is not None else None

    def bring(self, wanted: Wanted, library: Library, *, force: bool, twin: Path | None) -> Result:
        """Bring the thing to disk. Raises Stopped, Resting, and a Failure that says why it can't be downloaded.

        `twin` is a file with the same bytes that this run has brought home to another place.
        """
        library.check_links(wanted.path)
        queued = library.queued(wanted)
        if queued is not None and (waiting := self._receive(wanted, library, queued, force=force)):
            return waiting
        self._check_rests(library.at(wanted.path))
        facts = library.facts(wanted, twin)
        action = decide(wanted, facts, force=force)
        if action == "keep":
            return good_result(wanted, "skipped", facts.path, facts.size)
        if action == "prove":
            return self._prove(wanted, library)
        if action == "adopt" and (adopted := self._adopt(wanted, library, facts)):
            return adopted
        if action == "adopt":
            library.check_known(wanted, facts.path)
        if facts.is_gone and not force and (found := self._find_moved(wanted, library)):
            return found
        wanted = library.avoid_strangers(wanted)
        unproven = facts.is_unproven and self._settings.check_hashes
        source = None if action == "fetch" or unproven else facts.source or facts.twin
        if source is not None:
            return self._link(wanted, library, source, facts.record)
        if not force and (taken := self._take_refused(wanted, library)):
            return taken
        if not force:
            self._check_early(wanted, library)
        return self._fetch(wanted, library)

    def _check_rests(self, path: Path) -> None:
        """Raise Resting if nothing new may begin there at present."""
        if until := self._rests.until(path.parent):
            raise Resting(until)

    def _check_early(self, wanted: Wanted, library: Library) -> None:
        """Raise EarlyAccess for a file that the site will not give before a date.

        No answer says whether the owner of a login has bought access, so with one a file is asked for once, unless the
        log has its date already.
        """
        until, record = library.waits_until(wanted), library.recorded((wanted.kind, wanted.id))
        is_known = record is not None and is_ahead(record.available_at)
        if until and (is_known or not (self._settings.token or self._settings.cookies)):
            raise EarlyAccess(until=until)

    def _prove(self, wanted: Wanted, library: Library) -> Result:
        """Compare what was taken with --no-verify with the published hash, unless that is left out again."""
        result = replace(good_result(wanted, "skipped", wanted.path, library.size(wanted.path)), verified=False)
        if not self._settings.check_hashes:
            return result
        seen = prove(wanted, library.at(wanted.path), self._clock)
        return replace(result, sha256=seen.sha256, autov3=seen.autov3, verified=seen.sha256 == wanted.sha256)

    def _adopt(self, wanted: Wanted, library: Library, facts: Facts) -> Result | None:
        """Take a file that lies there already for the one wanted if its bytes prove it; return None if they don't."""
        if wanted.kind == "model":
            try:
                seen = adopt(wanted, library, self._clock, check=self._settings.check_hashes)
            except Somebodys:
                if found := self._find_moved(wanted, library):
                    return found
                raise
        else:
            seen = self._adopt_picture(wanted, library.at(facts.path), facts)
        if seen is None:
            return None
        discard_part(library.at(wanted.path + ".part"))
        return good_result(wanted, "skipped", facts.path, library.size(facts.path), seen)

    def _adopt_picture(self, wanted: Wanted, path: Path, facts: Facts) -> Weights | None:
        """Return the SHA256 of a picture if it is whole and, where the log knows it, what it was; else None."""
        with disk_errors(path):
            digest = sha256_of(path, self._clock)
        expected = facts.wrong.sha256 if facts.wrong is not None else ""
        fits = facts.wrong is None or facts.wrong.size in (0, facts.size)
        is_it = digest == expected if expected else fits and has_right_form(path, wanted.format)
        return Weights(sha256=digest) if is_it else None

    def _find_moved(self, wanted: Wanted, library: Library) -> Result | None:
        """Look for a file that is not where the log says; link to it if it lies at another place of ours."""
        key, own = (wanted.kind, wanted.id), library.own(wanted)
        if own is None:
            return None
        home = own.home or own.path
        found = self._moved.find(library, key, own, home)
        if found is None or not found.record.fits(wanted.sha256):
            return None
        if found.is_copy:
            is_free = library.size(wanted.path) is None
            return self._link(wanted, library, library.at(found.record.path), found.record) if is_free else None
        follow(library, key, found.record, own, wanted.source)
        library.record(key, found.record, source=wanted.source)
        if name_key(home) != name_key(wanted.path):
            return self._link(wanted, library, library.at(found.record.path), found.record)
        return good_result(wanted, "skipped", found.record.path, found.record.size)

    def _take_refused(self, wanted: Wanted, library: Library) -> Result | None:
        """With --no-verify take a file whose published SHA256 is known to be wrong. Raises Failure without it."""
        own = library.own(wanted)
        if own is None or not own.refused or own.refused != wanted.sha256:
            return None
        if self._settings.check_hashes:
            raise Failure("wrong-hash", WRONG_HASH)
        seen = take_refused(library, wanted, self._clock)
        return replace(good_result(wanted, "done", wanted.path, seen.size, seen), verified=False) if seen else None

    def _link(self, wanted: Wanted, library: Library, source: Path, record: Record | None) -> Result:
        """Put the same bytes at a second place without fetching them again; `record` says what they are."""
        place = wanted.path + (source.suffix if wanted.kind == "image" else "")
        target = library.at(place)
        put_wrong_aside(library, wanted)
        if not (target.exists() and target.samefile(source)):
            link_or_copy(source, target, library.disk)
        told = Weights(sha256=wanted.sha256 if self._settings.check_hashes else "", autov3=wanted.autov3)
        known = told if record is None else Weights(sha256=record.sha256, autov3=record.autov3)
        return good_result(wanted, "done", place, library.size(place), known)

    def _fetch(self, wanted: Wanted, library: Library) -> Result:
        """Try the links one after the other: the next one when this one has nothing, denies it, or has only a still."""
        if wanted.kind == "model" and self._quota_failures >= self.TRIES:
            raise Failure("quota", "The site's download quota is used up; wait a few hours and run again.")
        trouble: Failure = Failure("gone", "The site has no download link for this; try again later.")
        for url in wanted.urls:
            try:
                result = (self._fetch_from if self.idm is None else self._queue_from)(url, wanted, library)
            except Still:
                trouble = Failure("still", "The site sent a still picture instead of the video; try again later.")
            except EarlyAccess as early:
                told = wanted.available_at if is_ahead(wanted.available_at) else ""
                raise EarlyAccess(until=early.until or told) from None
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
        """Fetch the still of a video if one can be had. Raises HostDown, Resting, Stopped.

        It is small, so IDM has no part in it. Whether it is there is seen on disk: a preview that can't be had is no
        failure.
        """
        library.check_links(wanted.path)
        self._check_rests(library.at(wanted.path))
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
        self._check_space(wanted, part, library.disk)
        meter = self._progress.begin(wanted.name, wanted.size or None)
        waits = Patience()
        body = Body(
            part=part,
            identity=wanted.sha256 or f"{wanted.kind}:{wanted.id}:{wanted.size}:{url.rpartition('/')[0]}",
            size=wanted.size or None,
            limit=self.MOST_OF_STILL if wanted.media == "still" else wanted.size + 1024 if wanted.size else 16 << 30,
            trusted=bool(wanted.sha256) and self._settings.check_hashes,
            hashing=self._settings.check_hashes,
            weights=not (wanted.autov3 and wanted.sha256) and is_called_safetensors(wanted.path, wanted.format),
            is_complete=is_complete if wanted.kind == "image" else Path.is_file,
            disk=library.disk,
        )
        source = Source(
            open=lambda headers: no_page(self._site.open(url, headers, waits), wanted),
            again=lambda link, headers: no_page(self._site.http.open_once(Call(link, headers)), wanted),
            rest=self._site.http.wait_to_retry,
        )
        traffic = Traffic(
            self._gate, self._clock, self._throttle, self._progress, self._settings.retries, self._rests
        )  # fmt: skip
        transfer = Transfer(body, source, traffic, meter)
        try:
            with self._gate:
                received, extension = self._receive_right(transfer, wanted, library)
            wanted = library.avoid_strangers(wanted)  # somebody may have come in the meantime
            put_wrong_aside(library, wanted)
            patience = self.MOST_PATIENCE if wanted.kind == "model" else PATIENCE
            transfer.move_to(library.at(wanted.path + extension), patience)
        finally:
            self._progress.end(meter)
        seen = Weights(received.size, received.sha256, received.autov3)
        return good_result(wanted, "done", wanted.path + extension, received.size, seen)

    def _receive_right(self, transfer: Transfer, wanted: Wanted, library: Library) -> tuple[Received, str]:
        """Return the body and the extension that its bytes call for.

        Wrong bytes are fetched three times in all, but a whole file that comes twice is the site's answer.
        """
        came = Counter[str]()
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
            came[received.sha256] += 1
            if came[received.sha256] > 1 and is_an_answer(wanted, transfer.part, received):
                refuse(library, wanted, received.sha256)
                trouble = Failure("wrong-hash", WRONG_HASH)
                break
        transfer.move_to(place_aside(library, place_of_wrong(library, wanted).rpartition("/")[2]))
        raise trouble

    def _queue_from(self, url: str, wanted: Wanted, library: Library) -> Result:
        """Look at the first bytes, then hand the link to IDM: a page must never be queued as a model."""
        self._check_space(wanted, library.at(wanted.path), library.disk)
        with closing(no_page(self._site.open(url, {"Range": "bytes=0-63"}, Patience()), wanted)) as response:
            head, link = read_at_most(response, 64)[:64], response.url
            span = parse_content_range(response.headers.get("Content-Range"))
        extension, kind = sniff_media(head) if wanted.kind == "image" else ("", "")
        if wanted.media == "video" and kind == "image":
            raise Still
        if looks_like_page(head) or (wanted.kind == "image" and not extension):
            raise Failure("page", "The site sent something other than the file; pass a token, or try again later.")
        size = (span[1] if span else None) or wanted.size
        if wanted.size and abs(size - wanted.size) >= 1024:
            words = "The server offers {offered} bytes instead of {size}; try again later."
            raise Failure("size", words, offered=size, size=wanted.size)
        target = library.at(wanted.path + extension)
        make_room(library, wanted, wanted.path + extension)
        secret = self._settings.idm_token_url and wanted.kind == "model" and self._settings.token
        if self.idm is not None:
            handed = f"{url}&token={self._settings.token}" if secret else link
            self.idm.add(handed, plain_path(target.parent), target.name)
        expected = Weights(sha256=wanted.sha256 if self._settings.check_hashes else "")
        until = DAY + time.time() if secret else expiry_of(link, time.time())
        return replace(good_result(wanted, "queued", wanted.path + extension, size, expected), until=utc_text(until))

    def _receive(self, wanted: Wanted, library: Library, record: Record, *, force: bool) -> Result | None:
        """Return what became of a thing in IDM's queue: done, still queued, or None if it is to be queued again."""
        arrived = receive_queued(library, (wanted.kind, wanted.id), record, self._clock, wanted.format)
        if arrived is not None:
            seen = Weights(arrived.size, arrived.sha256, arrived.autov3)
            return good_result(wanted, "done", arrived.path, arrived.size, seen)
        is_due = force or unix_time(record.until) < time.time()
        if is_due and not self._rests.until(library.at(wanted.path).parent):
            return None
        return good_result(wanted, "queued", record.path, record.size, Weights(sha256=record.sha256))

    def _check_space(self, wanted: Wanted, part: Path, disk: Disk) -> None:
        """Raise Failure for what its disk has no room for, as far as disk and site tell."""
        if not wanted.size:
            return
        disk.check_size(wanted.size)
        need, free = wanted.size - (size_of(part) or 0), free_space(part.parent)
        if need > free and disk.tells_room():
            sentence = Sentence(
                "The disk has no room for {name} ({need} needed, {free} free); free some space and run again.",
                name=wanted.name, need=human_size(need), free=human_size(free),
            )  # fmt: skip
            raise DiskFailure("disk-full", sentence, alone=free > self.LITTLE)


def good_result(wanted: Wanted, outcome: Outcome, path: str, size: int | None, seen: Weights = UNSEEN) -> Result:
    """Return a good result. A picture is verified by its form, a model by a published hash alone."""
    proven = wanted.kind == "image" or bool(wanted.sha256 and (seen.sha256 or outcome == "skipped"))
    return Result(
        outcome, wanted.kind, wanted.id, wanted.name, path=path, size=size or 0, sha256=seen.sha256,
        verified=proven and outcome != "queued", scan=wanted.scan, autov3=seen.autov3,
    )  # fmt: skip
