"""The transfer of one body to disk, across broken connections and across runs. Sizes are in bytes, times in seconds."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import IO

import requests

from .clock import Clock
from .connections import FurtherConnections
from .disks import NO_FOLLOW, Disk
from .errors import Failure, Unreachable
from .files import (
    BLOCK,
    PATIENCE,
    READ,
    disk_errors,
    make_folders,
    open_making_folders,
    open_to_write,
    replace_file,
    size_of,
    unshare,
    write_whole,
)
from .hashes import PrefixHash
from .http import PASSING_ERRORS, length_of
from .pace import OUTAGE, Gate, Pace
from .progress import Meter, Progress
from .ranges import ByteRange, Ranges, Restart, SideRecord, Stamp, parse_content_range, record_path, stamp_of
from .rests import Resting, Rests

CHUNK = 1 << 18


@dataclass(frozen=True)
class Body:
    """What is wanted.

    It is put together in `part`. `identity` names the bytes (a hash or an id); `size` is the published one, None if
    unknown; `limit` is the most that is accepted. `trusted` means that a hash will prove the whole, so that resuming
    without a validator and several connections are safe. With `hashing` the SHA256 is computed on the way, and with
    `weights` that of a safetensors file's weights alone (AutoV3). Where the server tells no length, `is_complete` says
    of the `.part` file whether the end of the answer is that of the body. `disk` is that of the output folder.
    """

    part: Path
    identity: str
    size: int | None
    limit: int
    trusted: bool
    hashing: bool
    weights: bool = False
    is_complete: Callable[[Path], bool] = Path.is_file
    disk: Disk | None = None


@dataclass(frozen=True)
class Source:
    """Where it comes from.

    `open(headers)` sends a request and returns a 200, 206 or 416; `again(url, headers)` sends one, without retries, to
    the URL to which `open` was redirected; `rest(tries)` waits before a further try. All raise Failure and Stopped.
    """

    open: Callable[[dict[str, str]], requests.Response]
    again: Callable[[str, dict[str, str]], requests.Response]
    rest: Callable[[int], None]


@dataclass(frozen=True)
class Traffic:
    """What all transfers share. A transfer gives up after `tries` further attempts that brought nothing.

    It is put off while `rests` say so.
    """

    gate: Gate
    clock: Clock
    throttle: Pace
    progress: Progress
    tries: int
    rests: Rests


@dataclass(frozen=True)
class Received:
    """A body that is complete in its `.part` file: its size, and SHA256 and AutoV3, empty if not asked for."""

    size: int
    sha256: str
    autov3: str = ""


class Transfer:
    """Brings one body into its `.part` file, by several connections where that pays: the second retry layer."""

    def __init__(self, body: Body, source: Source, traffic: Traffic, meter: Meter) -> None:
        self._body, self._source, self._traffic, self._meter = body, source, traffic, meter
        self._link, self._alone = "", False
        self._record = SideRecord(self.part, Stamp(body.identity))
        self._plan()

    @cached_property
    def _disk(self) -> Disk:
        return self._body.disk or Disk(self.part.parent)

    @property
    def part(self) -> Path:
        """The file in which the body is put together."""
        return self._body.part

    def run(self, *, resume: bool = True, alone: bool = False) -> Received:
        """Receive the body until it is complete; by one connection if `alone`, from byte 0 without `resume`.

        Raises Stopped, Resting, and Failure when it does not grow for too many attempts, or grows by less than 64 KiB
        in ten minutes of broken attempts.
        """
        self._alone = alone
        with disk_errors(self.part, self._body.size or self._meter.total or 0):
            try:
                self._take_up(resume=resume)
                return self._persist()
            except OSError as error:
                if error.errno == errno.EFBIG and not self._record.stuck:
                    self._record.note_stuck()
                raise
            finally:
                self._further.dismiss()

    def move_to(self, target: Path, patience: float = PATIENCE) -> None:
        """Give the complete body its final name and remove the side record. Raises Failure, Stopped.

        Another program that holds it is waited for so many seconds.
        """
        with disk_errors(target):
            replace_file(self.part, target, patience, self._traffic.clock.sleep)
            record_path(self.part).unlink(missing_ok=True)

    # Where to begin

    def _take_up(self, *, resume: bool) -> None:
        """Continue an earlier `.part` if its side record is about the same bytes."""
        self._start_over()
        if self.part.is_symlink():  # not ours
            self.part.unlink()
        length = size_of(self.part) or 0
        stamp, ranges = self._record.read()
        if not (length and resume) or stamp is None or length > (stamp.total or self._body.limit):
            return
        if ranges and not self._body.trusted:
            return
        if self._record.stuck:
            self._try_to_grow(length)
        self._record.stamp, self._record.ranged = stamp, bool(ranges)
        self._plan((start, min(end, length)) for start, end in ranges or [(0, length)] if start < length)

    def _try_to_grow(self, length: int) -> None:
        """Raise OSError if the `.part` can still not grow, before anything is asked of the server."""
        with open_to_write(self.part, NO_FOLLOW) as file:
            file.seek(length)
            write_whole(file, b"\0")
            file.truncate(length)

    def _start_over(self, stamp: Stamp | None = None) -> None:
        """Begin at byte 0, of the body that the stamp is about or of whatever the server sends next."""
        self._further.dismiss()
        self._record = SideRecord(self.part, stamp or Stamp(self._body.identity))
        self._plan()

    def _plan(self, done: Iterable[tuple[int, int]] = ()) -> None:
        """Plan to receive what is not in these ranges."""
        traffic = self._traffic
        self._ranges = Ranges(done, self._record.stamp.total)
        self._further = FurtherConnections(self._ranges, traffic.gate, traffic.clock, self._receive_further)
        self._meter.begin_at(self._ranges.here)
        body = self._body
        self._hash = PrefixHash(self.part, traffic.clock, wanted=body.hashing, weights=body.weights)
        self._hash.catch_up(self._ranges.frontier)

    # Attempts

    def _persist(self) -> Received:
        """Try until the body is complete. Raises the last fault when it gives up, as `run` describes."""
        clock, barren = self._traffic.clock, 0
        mark, lively = self._ranges.here, clock.now()  # when it last grew by 64 KiB, and to what
        while True:
            before = self._ranges.here
            try:
                self._attempt()
                return self._received()
            except Restart:
                self._start_over()
                trouble = Unreachable("The server keeps sending other bytes than requested; try again later.")
            except Unreachable as error:
                trouble = error
            here = self._ranges.here
            barren = 0 if here > before else barren + 1
            if not 0 <= here - mark < READ:
                mark, lively = here, clock.now()
            if barren > self._traffic.tries or clock.now() - lively > OUTAGE:
                if not here:
                    discard_part(self.part)
                raise trouble
            if barren:
                self._source.rest(barren)

    def _attempt(self) -> None:
        """Request each stretch that is missing. Returns when the body is complete, raises Restart and Failure."""
        if self._ranges.here and not (self._record.stamp.validator or self._body.trusted):
            self._start_over()
        while not self._ranges.whole:
            self._check_rests()
            if stretch := self._ranges.take():
                self._receive_first(stretch)
            else:
                self._hash.catch_up(self._ranges.frontier, PrefixHash.STEP)
                self._traffic.clock.sleep(0.005)
            if self._further.trouble is not None:
                raise self._further.trouble

    def _check_rests(self) -> None:
        """Raise Resting if nothing new may be asked for."""
        if until := self._traffic.rests.until(self.part.parent):
            raise Resting(until)

    def _received(self) -> Received:
        self._hash.catch_up(self._ranges.frontier)
        if self._ranges.here > BLOCK:
            with open_to_write(self.part, 0) as file:
                self._disk.confirm(file.fileno())
        return Received(self._ranges.here, self._hash.hexdigest(), self._hash.autov3())

    def _receive_first(self, stretch: ByteRange) -> None:
        """Receive a stretch by the first connection, whose answer decides what the body is."""
        try:
            with closing(self._source.open(self._headers(stretch))) as response:
                self._link = response.url
                if not self._continues(response, stretch):
                    self._begin_body(response)
                    stretch = self._ranges.take() or stretch
                self._further.answered()
                for chunk in self._fill(response, stretch):
                    self._hash.add(chunk, stretch.at - len(chunk), self._ranges.frontier)
                    self._review(stretch)
        finally:
            self._note(stretch)
            self._ranges.give_back(stretch)

    def _review(self, stretch: ByteRange) -> None:
        """See whether further connections pay."""
        total = self._record.stamp.total
        if self._body.trusted and total and not self._alone:
            self._further.review(total - self._ranges.here, partial(self._begin_ranges, stretch))

    def _begin_ranges(self, stretch: ByteRange) -> None:
        """Record which bytes are there, before others come out of order."""
        if not self._record.ranged:
            stretch.noted = 0
            self._record.note(stretch)

    def _receive_further(self, stretch: ByteRange) -> None:
        """Receive a stretch by a further connection, whose answer must be exactly what was asked for."""
        self._check_rests()
        try:
            with closing(self._source.again(self._link, self._headers(stretch))) as response:
                if response.status_code != 206:
                    raise Restart
                self._continues(response, stretch)
                for _ in self._fill(response, stretch):
                    if self._further.dismissed:
                        raise Restart
        finally:
            self._note(stretch)

    # Request and answer

    def _headers(self, stretch: ByteRange) -> dict[str, str]:
        """Return the headers that ask for a stretch, none for the whole body."""
        stamp = self._record.stamp
        bounded = stretch.end < (stamp.total or Ranges.BOUNDLESS)
        if not stretch.at and not bounded:
            return {}
        headers = {"Range": f"bytes={stretch.at}-{stretch.end - 1 if bounded else ''}"}
        return headers | ({"If-Range": stamp.validator} if stamp.validator else {})

    def _continues(self, response: requests.Response, stretch: ByteRange) -> bool:
        """Return whether the answer continues the stretch; if not, it is a new body from byte 0.

        A 416 that confirms the size ends the stretch. Raises Restart if it is about other bytes, Unreachable if it
        can't be used.
        """
        start, total = parse_content_range(response.headers.get("Content-Range")) or (None, None)
        if response.status_code == 416:
            if not stretch.at:
                raise Unreachable("The server refused to send the file (416); try again later.")
            if total != stretch.at:
                raise Restart
            stretch.end = stretch.at
            return True
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Unreachable("The server sent compressed data, which was not requested; try again later.")
        if response.status_code != 206:
            return False
        answer = stamp_of(response, self._body.identity, total)
        if not self._headers(stretch) or start != stretch.at or self._record.stamp.contradicts(answer):
            raise Restart
        return True

    def _begin_body(self, response: requests.Response) -> None:
        """Plan for a new body from byte 0. Raises Failure if it is too big to be what is wanted."""
        stamp = stamp_of(response, self._body.identity, length_of(response))
        if stamp.total is not None and stamp.total > self._body.limit:
            raise Failure(
                "size", "The server offers {offered} bytes instead of {size}; try again later.",
                offered=stamp.total, size=self._body.size or self._body.limit,
            )  # fmt: skip
        self._meter.total = stamp.total or self._meter.total
        self._start_over(stamp)

    # Receiving

    def _fill(self, response: requests.Response, stretch: ByteRange) -> Iterator[bytes]:
        """Receive a stretch to its end; yield each chunk once it is written.

        Raises Failure, Resting, Stopped and OSError.
        """
        throttle = self._traffic.throttle
        block = int(max(4096, min(CHUNK, throttle.rate / 8)))
        with self._opened(stretch) as file:
            while stretch.at < stretch.end and (chunk := _read(response, block)):
                if stretch.at + len(chunk) > self._body.limit:
                    words = "The server sent more than the {size} bytes expected; try again later."
                    raise Failure("size", words, size=self._body.limit)
                write_whole(file, chunk)
                count = self._ranges.advance(stretch, len(chunk))
                if stretch.at - stretch.noted >= BLOCK:
                    self._note(stretch)
                self._traffic.progress.add(self._meter, count)
                throttle.wait(count)
                yield chunk[:count]
                if stretch.at < stretch.end and (until := self._traffic.rests.overdue(self.part.parent)):
                    raise Resting(until)
        if stretch.end == Ranges.BOUNDLESS and stretch.at and self._body.is_complete(self.part):
            stretch.end = stretch.at
        if stretch.at < stretch.end:
            raise Unreachable("The server closed the connection after {count} bytes; run again.", count=stretch.at)

    def _note(self, stretch: ByteRange) -> None:
        """Record what a stretch has brought, if bytes come out of order. Raises OSError."""
        if self._record.ranged and stretch.at > stretch.noted:
            self._record.note(stretch)

    def _opened(self, stretch: ByteRange) -> IO[bytes]:
        """Open the `.part` at the beginning of a stretch. Each connection has a file position of its own."""
        make_folders(self.part.parent, self._disk)
        unshare(self.part)
        file = open_making_folders(self.part, 0)
        if not self._record.ranged:
            file.truncate(stretch.at)
            if not stretch.at:  # only now that the old bytes are gone: a record must never be about others
                self._record.begin()
        file.seek(stretch.at)
        return file


def _read(response: requests.Response, most: int) -> bytes:
    """Return what has arrived, nothing at the end of the body. Raises Unreachable."""
    # read1 loses nothing of it when the connection breaks; urllib3 1 has only read.
    read = getattr(response.raw, "read1", response.raw.read)
    try:
        return bytes(read(most, decode_content=False))
    except PASSING_ERRORS as error:
        raise Unreachable("The connection was lost ({reason}); run again.", reason=type(error).__name__) from error


def discard_part(part: Path) -> None:
    """Remove a `.part` file and its side record, if they exist. Raises Failure."""
    with disk_errors(part):
        part.unlink(missing_ok=True)
        record_path(part).unlink(missing_ok=True)
