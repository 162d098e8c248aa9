"""The transfer of one body to disk, across broken connections and across runs. Sizes are in bytes, times in seconds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import requests

from .clock import Clock
from .connections import FurtherConnections
from .errors import Failure, Unreachable
from .files import BLOCK, NO_FOLLOW, READ, PrefixHash, disk_errors, open_making_folders, replace_file, write_whole
from .http import PASSING_ERRORS
from .pace import OUTAGE, Gate, Throttle
from .progress import Meter, Progress
from .ranges import ByteRange, Ranges, Restart, SideRecord, parse_content_range, record_path, stamp_of


@dataclass(frozen=True)
class Body:
    """What is wanted.

    It is put together in `part`. `identity` names the bytes (a hash or an id); `size` is the published one, None if
    unknown; `limit` is the most that is accepted. `trusted` means that a hash will prove the whole, so that resuming
    without a validator and several connections are safe. With `hashing` the SHA256 is computed on the way.
    """

    part: Path
    identity: str
    size: int | None
    limit: int
    trusted: bool
    hashing: bool


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
    """What all transfers share. A transfer gives up after `tries` further attempts that brought nothing."""

    gate: Gate
    clock: Clock
    throttle: Throttle
    progress: Progress
    tries: int


@dataclass(frozen=True)
class Received:
    """A body that is complete in its `.part` file: its size and its SHA256 in lower case, empty if not asked for."""

    size: int
    sha256: str


class Transfer:
    """Brings one body into its `.part` file, by several connections where that pays: the second retry layer."""

    def __init__(self, body: Body, source: Source, traffic: Traffic, meter: Meter) -> None:
        self._body, self._source, self._traffic, self._meter = body, source, traffic, meter
        self._record = SideRecord(body.part, body.identity)
        self._link, self._alone = "", False
        self._plan()
        self._hash = PrefixHash(body.part, traffic.clock, wanted=body.hashing)

    @property
    def part(self) -> Path:
        """The file in which the body is put together."""
        return self._body.part

    def run(self, *, resume: bool = True, alone: bool = False) -> Received:
        """Receive the body until it is complete; by one connection if `alone`, from byte 0 without `resume`.

        Raises Stopped, and Failure when it does not grow for too many attempts, or grows by less than 64 KiB in ten
        minutes of broken attempts.
        """
        self._alone = alone
        with disk_errors(self.part):
            self._take_up(resume=resume)
        try:
            return self._persist()
        finally:
            self._further.dismiss()

    def discard(self) -> None:
        """Remove what has been received. Raises Failure."""
        self._start_over()
        discard_part(self.part)

    def move_to(self, target: Path) -> None:
        """Give the complete body its final name and remove the side record. Raises Failure."""
        with disk_errors(target):
            replace_file(self.part, target)
            record_path(self.part).unlink(missing_ok=True)

    # Where to begin

    def _take_up(self, *, resume: bool) -> None:
        """Continue an earlier `.part` if its side record is about the same bytes."""
        self._start_over()
        length = self._length()
        stamp, ranges = self._record.read()
        if not (length and resume) or stamp is None or length > (stamp.total or self._body.limit):
            return
        if ranges and not self._body.trusted:
            return
        self._record.stamp, self._record.ranged = stamp, bool(ranges)
        self._plan([(start, min(end, length)) for start, end in ranges or [(0, length)] if start < length])
        self._meter.done = self._ranges.here
        self._hash.catch_up(self._ranges.frontier)

    def _length(self) -> int:
        """Return the size of the `.part`, 0 if there is none. A symlink is not ours and is removed."""
        with suppress(FileNotFoundError):
            found = os.lstat(self.part)
            if not stat.S_ISLNK(found.st_mode):
                return found.st_size
            self.part.unlink()
        return 0

    def _start_over(self) -> None:
        """Begin at byte 0."""
        self._further.dismiss()
        self._record.reset(self._body.identity)
        self._plan()
        self._hash = PrefixHash(self.part, self._traffic.clock, wanted=self._body.hashing)
        self._meter.done = 0

    def _plan(self, done: Iterable[tuple[int, int]] = ()) -> None:
        """Plan to receive what is not in these ranges."""
        self._ranges = Ranges(done, self._record.stamp.total)
        traffic = self._traffic
        self._further = FurtherConnections(self._ranges, traffic.gate, traffic.clock, self._receive_further)

    # Attempts

    def _persist(self) -> Received:
        """Try until the body is complete. Raises the last fault once there is no hope left, as `run` says."""
        clock, barren = self._traffic.clock, 0
        mark, lively = self._ranges.here, clock.now()  # when it last grew by 64 KiB, and to what
        while True:
            before = self._ranges.here
            try:
                self._attempt()
                return self._received()
            except Restart:
                self._start_over()
                barren += 1
                trouble = Unreachable("The server keeps sending other bytes than asked for; try again later.")
            except Unreachable as error:
                barren = 0 if self._ranges.here > before else barren + 1
                trouble = error
            if not 0 <= self._ranges.here - mark < READ:
                mark, lively = self._ranges.here, clock.now()
            if barren > self._traffic.tries or clock.now() - lively > OUTAGE:
                if not self._ranges.here:
                    self.discard()
                raise trouble
            if barren:
                self._source.rest(barren)

    def _attempt(self) -> None:
        """Request each stretch that is missing. Returns when the body is complete, raises Restart and Failure."""
        if self._ranges.here and not (self._record.stamp.validator or self._body.trusted):
            self._start_over()
        while not self._ranges.whole:
            if stretch := self._ranges.take():
                self._receive_first(stretch)
            else:
                self._hash.catch_up(self._ranges.frontier, PrefixHash.STEP)
                self._traffic.clock.sleep(0.005)
            if self._further.trouble is not None:
                raise self._further.trouble

    def _received(self) -> Received:
        self._hash.catch_up(self._ranges.frontier)
        if self._ranges.here > BLOCK:
            with disk_errors(self.part), self.part.open("rb+") as file:
                os.fsync(file.fileno())
        return Received(self._ranges.here, self._hash.hexdigest())

    def _receive_first(self, stretch: ByteRange) -> None:
        """Receive a stretch by the first connection, whose answer decides what the body is."""
        ranges = self._ranges
        try:
            with closing(self._source.open(self._headers(stretch))) as response:
                self._link = response.url
                if not self._continues(response, stretch):
                    self._begin_body(response)
                    ranges.give_back(stretch)
                    ranges = self._ranges
                    stretch = ranges.take() or stretch
                self._further.answered()
                if stretch.at < stretch.end:
                    self._fill(response, stretch, self._after_chunk)
        finally:
            ranges.give_back(stretch)

    def _receive_further(self, stretch: ByteRange) -> None:
        """Receive a stretch by a further connection, whose answer must be exactly what was asked for."""

        def check(*_: object) -> None:
            if self._further.dismissed:
                raise Restart

        with closing(self._source.again(self._link, self._headers(stretch))) as response:
            if response.status_code != 206:
                raise Restart
            self._continues(response, stretch)
            self._fill(response, stretch, check)

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
                raise Unreachable("The server refuses to send it (416); try again later.")
            if total != stretch.at:
                raise Restart
            stretch.end = stretch.at
            return True
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Unreachable("The server sent it compressed, which was not asked for; try again later.")
        if response.status_code != 206:
            return False
        answer = stamp_of(response, self._body.identity, total)
        if not self._headers(stretch) or start != stretch.at or self._record.stamp.contradicts(answer):
            raise Restart
        return True

    def _begin_body(self, response: requests.Response) -> None:
        """Plan for a new body from byte 0. Raises Failure if it is too big to be what is wanted."""
        length = response.headers.get("Content-Length", "")
        stamp = stamp_of(response, self._body.identity, int(length) if length.isdigit() else None)
        if stamp.total is not None and stamp.total > self._body.limit:
            words = f"The server offers {stamp.total} bytes, the page says {self._body.size}; refusing to download it."
            raise Failure("size", words)
        if self._ranges.here:
            self._start_over()
        self._record.stamp = stamp
        self._meter.total = stamp.total or self._meter.total
        self._plan()

    # Receiving

    def _fill(self, response: requests.Response, stretch: ByteRange, after: Callable[[ByteRange, bytes], None]) -> None:
        """Receive a stretch to its end; `after` is called with each chunk that was written. Raises Failure."""
        # read1 returns what has arrived, so nothing of it is lost when the connection breaks; urllib3 1 has only read.
        read = getattr(response.raw, "read1", response.raw.read)
        with disk_errors(self.part), self._opened(stretch) as file:
            while stretch.at < stretch.end and (chunk := self._chunk(read)):
                self._traffic.clock.check()
                if stretch.at + len(chunk) > self._body.limit:
                    words = f"The server sends more than the {self._body.limit} bytes announced; refusing the rest."
                    raise Failure("size", words)
                write_whole(file, chunk)
                count = self._ranges.advance(stretch, len(chunk))
                self._note(stretch)
                self._traffic.progress.add(self._meter, count)
                self._traffic.throttle.take(count)
                after(stretch, chunk[:count])
        if stretch.end == Ranges.BOUNDLESS and stretch.at:
            stretch.end = stretch.at
        if stretch.at < stretch.end:
            raise Unreachable(f"The server broke off at {stretch.at} bytes; run again.")

    def _opened(self, stretch: ByteRange) -> IO[bytes]:
        """Open the `.part` at the beginning of a stretch. Each connection has a file position of its own."""
        fresh = not stretch.at and not self._record.ranged
        file = open_making_folders(self.part, NO_FOLLOW | (os.O_TRUNC if fresh else 0))
        if fresh:  # only now that the old bytes are gone: a record must never be about others
            self._record.begin()
            return file
        if not self._record.ranged:
            file.truncate(stretch.at)
        file.seek(stretch.at)
        return file

    def _chunk(self, read: Callable[..., bytes]) -> bytes:
        try:
            return read(self._traffic.throttle.block, decode_content=False)
        except PASSING_ERRORS as error:
            raise Unreachable(f"The connection broke ({type(error).__name__}); run again.") from error

    def _note(self, stretch: ByteRange) -> None:
        """Record what a stretch has brought, a MiB at a time."""
        if self._record.ranged and (stretch.at - stretch.noted >= BLOCK or stretch.at == stretch.end):
            self._record.note(stretch.noted, stretch.at)
            stretch.noted = stretch.at

    def _after_chunk(self, stretch: ByteRange, chunk: bytes) -> None:
        """Hash, and see whether further connections pay: the work of the first connection's thread."""
        self._hash.add(chunk, stretch.at - len(chunk), self._ranges.frontier)
        total = self._record.stamp.total
        if self._body.trusted and total and not self._alone:
            self._further.review(total - self._ranges.here, partial(self._begin_ranges, stretch))

    def _begin_ranges(self, stretch: ByteRange) -> None:
        """Record which bytes are there, before others come out of order."""
        if not self._record.ranged:
            self._record.note(0, stretch.at)
            stretch.noted = stretch.at


def discard_part(part: Path) -> None:
    """Remove a `.part` file and its side record, if they exist. Raises Failure."""
    with disk_errors(part):
        part.unlink(missing_ok=True)
        record_path(part).unlink(missing_ok=True)
