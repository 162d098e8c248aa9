"""The transfer of one body to disk, across cuts and across runs."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import requests

from .clock import Clock
from .errors import Failure, Stopped, Unreachable
from .files import BLOCK, NO_FOLLOW, READ, disk_errors, feed_hash, open_making_folders, replace_file, write_whole
from .http import PASSING_ERRORS
from .pace import OUTAGE, Gate, Throttle
from .ranges import ByteRange, Ranges, Restart, SideRecord, Stamp, parse_content_range, stamp_of


@dataclass
class Meter:
    """One transfer as a progress display sees it; `total` is None while unknown."""

    name: str
    total: int | None = None
    done: int = 0


class Progress:
    """What is under way, for a display that looks now and then; the workers only write numbers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: list[Meter] = []
        self.received = 0

    def begin(self, name: str, total: int | None) -> Meter:
        """Show a transfer."""
        meter = Meter(name, total)
        with self._lock:
            self._meters.append(meter)
        return meter

    def add(self, meter: Meter, count: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            meter.done += count
            self.received += count

    def end(self, meter: Meter) -> None:
        """Show the transfer no more."""
        with self._lock:
            self._meters.remove(meter)

    def active(self) -> list[Meter]:
        """The transfers under way, oldest first."""
        with self._lock:
            return list(self._meters)


@dataclass(frozen=True)
class Received:
    """A body that is whole in its `.part` file: size in bytes, SHA256 in lower case (empty if not asked)."""

    size: int
    sha256: str


class FurtherConnections:
    """The further connections of one transfer: whether they pay, their threads, and their end.

    One is tried early, for the last bytes, and again now and then. When it brings a fifth more bytes a second, as many
    as there are to spare share the rest. Where one of them meets trouble all end with the piece they have. A connection
    gathers speed over some round trips, so it is measured only `RAMP` times as long after its answer as that took.
    """

    ALONE, TRIAL, RAMP, GAIN, WORTH, LATER = 0.04, 0.05, 2.0, 1.2, 3.0, (1.0, 3.0, 10.0)

    def __init__(self, ranges: Ranges, gate: Gate, clock: Clock, bring: Callable[[ByteRange], None]) -> None:
        """`bring` receives a stretch in the calling thread."""
        self._ranges, self._gate, self._clock, self._bring = ranges, gate, clock, bring
        self._threads: list[threading.Thread] = []
        self._later = itertools.chain(self.LATER, itertools.repeat(30.0))
        self._alone = self._trip = 0.0
        self._trial: ByteRange | None = None
        self.dismissed = self._over = False
        self.trouble: BaseException | None = None
        self._await(self.ALONE)

    def _await(self, window: float) -> None:
        """Measure for so many seconds once the answer has come."""
        self._window = window
        self._measure(math.inf)

    def answered(self, stretch: ByteRange, trip: float) -> None:
        """The answer for a stretch begins, so many seconds after it was asked for."""
        if stretch is self._trial or not self._threads:
            self._trip = min(trip, 1.0)
            self._measure(max(self._window, self._trip), self.RAMP * self._trip)

    def _measure(self, seconds: float, later: float = 0.0) -> None:
        """Measure for so many seconds, beginning so many seconds later."""
        self._begun, self._from = self._clock.now(), self._ranges.here
        self._since = self._begun + later
        self._due = self._since + seconds

    def review(self, left: int, begin: Callable[[], None]) -> None:
        """See by the speed so far and the bytes `left` whether to go on with more; `begin` is called before."""
        now = self._clock.now()
        if now <= self._since:
            self._begun, self._from = now, self._ranges.here
        if now < self._due or self._over:
            return
        speed = (self._ranges.here - self._from) / (now - self._begun)
        if self._ranges.shared:
            self._hire_all()
        elif not self._alone:
            self._try_one(speed, left, begin)
        elif speed > self.GAIN * self._alone:
            self._ranges.share()
            self._hire_all()
        else:
            self._alone = 0.0
            self._measure(next(self._later))

    def _try_one(self, speed: float, left: int, begin: Callable[[], None]) -> None:
        """Hire one for the last bytes: more than it can bring before it is judged, if so many are left."""
        enough = int(2 * speed * (2 * self.RAMP * self._trip + self.TRIAL))
        size = max(self._ranges.PIECE, min(enough, left // 4))
        if speed and left >= max(2 * size, self.WORTH * speed) and self._gate.more():
            begin()
            self._alone, self._trial = speed, self._ranges.tail(size)
            self._await(self.TRIAL)
            if self._hire(self._trial):
                return
            self._alone = 0.0
        self._measure(next(self._later))

    def _hire_all(self) -> None:
        while self._gate.more() and self._hire(self._ranges.take()):
            pass
        self._measure(1.0)

    def _hire(self, stretch: ByteRange | None) -> bool:
        """Give a connection something to do; without anything it is given back."""
        if stretch is None:
            self._gate.less()
            return False
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=self._work, args=(stretch,), name="lora-more", daemon=True))
        self._threads[-1].start()
        return True

    def _work(self, stretch: ByteRange | None) -> None:
        try:
            while stretch is not None:
                try:
                    self._bring(stretch)
                finally:
                    self._ranges.give_back(stretch)
                stays = self._ranges.shared and not self._gate.crowded
                stretch = self._ranges.take() if stays else None
        except (Failure, Restart, Stopped):
            self._over, self._ranges.shared = True, False
        except BaseException as error:
            self.trouble = error
        finally:
            self._gate.less()

    def dismiss(self) -> None:
        """Let everybody stop, and wait for it."""
        self.dismissed = self._over = True
        for thread in self._threads:
            thread.join()


@dataclass
class Transfer:
    """Brings one body into `part`, across cuts and across runs: the second of the two retry layers.

    `identity` names the bytes wanted (a hash or an id); `size` is the size published, None if unknown;
    `limit` is the most that is accepted. `trusted` says that a hash will prove the whole, so that a resume
    without a validator is safe, and several connections are. `open` sends a request with the given headers and returns
    a 200, 206 or 416, `again` sends one to a link that it led to, a single time; `rest` waits before a further try.
    """

    part: Path
    identity: str
    size: int | None
    limit: int
    trusted: bool
    hashing: bool
    open: Callable[[dict[str, str]], requests.Response]
    again: Callable[[str, dict[str, str]], requests.Response]
    gate: Gate
    clock: Clock
    throttle: Throttle
    progress: Progress
    meter: Meter
    rest: Callable[[int], None]
    tries: int
    _stamp: Stamp = field(init=False)
    _record: SideRecord = field(init=False)
    _ranges: Ranges = field(init=False)
    _crew: FurtherConnections = field(init=False)
    _ranged: bool = field(init=False, default=False)
    _alone: bool = field(init=False, default=False)
    _link: str = field(init=False, default="", repr=False)
    _digest: Any = field(init=False, default=None)
    _hashed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._record, self._stamp = SideRecord(self.part), Stamp(self.identity)
        self._plan()

    def run(self, *, resume: bool = True, alone: bool = False) -> Received:
        """Receive until the body is whole, by one connection if `alone`.

        Raises a Failure when it does not grow for `tries` attempts, or when attempts that ended have brought less than
        64 KiB in ten minutes.
        """
        self._alone = alone
        with disk_errors(self.part):
            self._recall(resume)
        try:
            return self._persist()
        finally:
            self._crew.dismiss()

    def _persist(self) -> Received:
        barren, mark, lively = 0, self._ranges.here, self.clock.now()
        while True:
            before = self._ranges.here
            try:
                self._attempt()
                return self._received()
            except Restart:
                self._forget()
                barren += 1
                trouble = Unreachable("The server keeps sending other bytes than asked for; try again later.")
            except Unreachable as error:
                barren = 0 if self._ranges.here > before else barren + 1
                trouble = error
            if not 0 <= self._ranges.here - mark < READ:
                mark, lively = self._ranges.here, self.clock.now()
            if barren > self.tries or self.clock.now() - lively > OUTAGE:
                if not self._ranges.here:
                    self.discard()
                raise trouble
            if barren:
                self.rest(barren)

    def _recall(self, resume: bool) -> None:
        """Take up an earlier `.part` if its side record speaks of the same bytes."""
        self._forget()
        stamp, ranges = self._record.read(self.identity)
        length = self._length() * resume
        if not length or stamp is None or length > (stamp.total or self.limit) or (ranges and not self.trusted):
            return
        self._stamp, self._ranged = stamp, bool(ranges)
        self._plan([(start, min(end, length)) for start, end in ranges or [(0, length)] if start < length])
        self.meter.done = self._ranges.here
        self._hash_on(length)

    def _length(self) -> int:
        """The size of what is there, 0 if nothing is; a symlink is nobody's `.part` and goes."""
        with suppress(FileNotFoundError):
            found = os.lstat(self.part)
            if not stat.S_ISLNK(found.st_mode):
                return found.st_size
            self.part.unlink()
        return 0

    def _plan(self, done: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges = Ranges(done, self._stamp.total)
        self._crew = FurtherConnections(self._ranges, self.gate, self.clock, self._help)

    def _forget(self) -> None:
        """Begin at byte 0."""
        self._crew.dismiss()
        self._stamp, self._ranged = Stamp(self.identity), False
        self._plan()
        self._digest, self._hashed = hashlib.sha256(), 0
        self.meter.done = 0

    def _attempt(self) -> None:
        """Bring what is missing by a request for each stretch of it; returns when the body is whole."""
        if self._ranges.here and not (self._stamp.validator or self.trusted):
            self._forget()
        while not self._ranges.whole:
            if stretch := self._ranges.take():
                self._lead(stretch)
            else:
                self._hash_on(16 * BLOCK)
                self.clock.sleep(0.005)
            if self._crew.trouble is not None:
                raise self._crew.trouble

    def _received(self) -> Received:
        self._hash_on(self._ranges.frontier)
        if self._ranges.here > BLOCK:
            with disk_errors(self.part), self.part.open("rb+") as file:
                os.fsync(file.fileno())
        return Received(self._ranges.here, self._digest.hexdigest() if self.hashing else "")

    def _headers(self, stretch: ByteRange) -> dict[str, str]:
        """The headers that ask for a stretch; without any it is the whole body."""
        bounded = stretch.end < (self._stamp.total or self._ranges.BOUNDLESS)
        if not stretch.at and not bounded:
            return {}
        headers = {"Range": f"bytes={stretch.at}-{stretch.end - 1 if bounded else ''}"}
        return headers | ({"If-Range": self._stamp.validator} if self._stamp.validator else {})

    def _lead(self, stretch: ByteRange) -> None:
        """Receive a stretch by the first connection; what it is told of the body counts."""
        ranges = self._ranges
        try:
            asked = self.clock.now()
            with closing(self.open(self._headers(stretch))) as response:
                trip = self.clock.now() - asked
                self._link = response.url
                if self._align(response, stretch):
                    ranges.give_back(stretch)
                    self._plan()
                    ranges = self._ranges
                    stretch = ranges.take() or stretch
                self._crew.answered(stretch, trip)
                if stretch.at < stretch.end:
                    self._fill(response, stretch, self._go_on)
        finally:
            ranges.give_back(stretch)

    def _help(self, stretch: ByteRange) -> None:
        """Receive a stretch by a further connection, whose answer must be what was asked for."""

        def go_on(*_: object) -> None:
            """Leave when nobody waits for this any more."""
            if self._crew.dismissed:
                raise Restart

        asked = self.clock.now()
        with closing(self.again(self._link, self._headers(stretch))) as response:
            self._crew.answered(stretch, self.clock.now() - asked)
            if response.status_code != 206:
                raise Restart
            self._align(response, stretch)
            self._fill(response, stretch, go_on)

    def _align(self, response: requests.Response, stretch: ByteRange) -> bool:
        """Whether the answer is a fresh body, from byte 0; otherwise it goes on with the stretch, or ends it (416)."""
        status = response.status_code
        start, total = parse_content_range(response.headers.get("Content-Range")) or (None, None)
        if status == 416:
            if not stretch.at:
                raise Unreachable("The server refuses to send it (416); try again later.")
            if total != stretch.at:
                raise Restart
            stretch.end = stretch.at
            return False
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Unreachable("The server sent it compressed, which was not asked for; try again later.")
        if status == 206:
            answer = stamp_of(response, self.identity, total)
            if not self._headers(stretch) or start != stretch.at or self._stamp.contradicts(answer):
                raise Restart
            return False
        length = response.headers.get("Content-Length", "")
        self._renew(stamp_of(response, self.identity, int(length) if length.isdigit() else None))
        return True

    def _renew(self, stamp: Stamp) -> None:
        """Take note of what a fresh body is; raises Failure when it can't be what is wanted."""
        if stamp.total is not None and stamp.total > self.limit:
            words = f"The server offers {stamp.total} bytes, the page says {self.size}; it was refused."
            raise Failure("size", words)
        if self._ranges.here:
            self._forget()
        self._stamp = stamp
        self.meter.total = stamp.total or self.meter.total

    def _fill(self, response: requests.Response, stretch: ByteRange, go_on: Callable[[ByteRange, Any], None]) -> None:
        """Receive a stretch to its end; `go_on` is called with each chunk that was written."""
        # read1 hands over what is there: a cut connection loses nothing that has arrived (urllib3 2).
        read = getattr(response.raw, "read1", response.raw.read)
        with disk_errors(self.part), self._opened(stretch) as file:
            while stretch.at < stretch.end and (chunk := self._chunk(read)):
                self.clock.check()
                if stretch.at + len(chunk) > self.limit:
                    words = f"The server sends more than the {self.limit} bytes announced; it was refused."
                    raise Failure("size", words)
                write_whole(file, chunk)
                count = self._ranges.advance(stretch, len(chunk))
                self._note(stretch)
                self.progress.add(self.meter, count)
                self.throttle.take(count)
                go_on(stretch, chunk[:count])
        if stretch.end == self._ranges.BOUNDLESS and stretch.at:
            stretch.end = stretch.at
        if stretch.at < stretch.end:
            raise Unreachable(f"The server broke off at {stretch.at} bytes; run again.")

    def _opened(self, stretch: ByteRange) -> IO[bytes]:
        """The `.part` at the beginning of a stretch, with a place of its own for each connection."""
        fresh = not stretch.at and not self._ranged
        file = open_making_folders(self.part, NO_FOLLOW | (os.O_TRUNC if fresh else 0))
        if fresh:  # after the old bytes are gone: a record must never speak of others
            self._record.begin(self._stamp)
            return file
        if not self._ranged:
            file.truncate(stretch.at)
        file.seek(stretch.at)
        return file

    def _chunk(self, read: Callable[..., Any]) -> Any:
        try:
            return read(self.throttle.block, decode_content=False)
        except PASSING_ERRORS as error:
            raise Unreachable(f"The connection broke ({type(error).__name__}); run again.") from error

    def _note(self, stretch: ByteRange) -> None:
        """Put on record what a stretch brought, a MiB at a time."""
        if self._ranged and (stretch.at - stretch.noted >= BLOCK or stretch.at == stretch.end):
            self._record.note(stretch.noted, stretch.at)
            stretch.noted = stretch.at

    def _go_on(self, stretch: ByteRange, chunk: Any) -> None:
        """What the first connection sees to after each chunk: the hash, and whether further connections pay."""
        if self.hashing and stretch.at - len(chunk) == self._hashed:
            self._digest.update(chunk)
            self._hashed = stretch.at
        else:
            self._hash_on(16 * BLOCK)
        if self.trusted and self._stamp.total and not self._alone:
            self._crew.review(self._stamp.total - self._ranges.here, partial(self._begin_ranges, stretch))

    def _begin_ranges(self, stretch: ByteRange) -> None:
        """Before bytes come out of order: from now on the record says which are there."""
        if not self._ranged:
            self._record.note(0, stretch.at)
            stretch.noted, self._ranged = stretch.at, True

    def _hash_on(self, most: int) -> None:
        """Take what is there without a gap into the SHA256, at most so many further bytes."""
        end = min(self._ranges.frontier, self._hashed + most)
        if self.hashing and end > self._hashed:
            feed_hash(self._digest, self.part, self._hashed, end, self.clock)
            self._hashed = end

    def discard(self) -> None:
        """Begin at byte 0 with nothing on disk."""
        self._forget()
        discard_part(self.part)

    def land(self, target: Path) -> None:
        """Give the whole body its final name; the side record goes."""
        with disk_errors(target):
            replace_file(self.part, target)
            self._record.discard()


def discard_part(part: Path) -> None:
    """Remove what there may be of a body that was begun: its `.part` and the side record of that."""
    with disk_errors(part):
        part.unlink(missing_ok=True)
        SideRecord(part).discard()
