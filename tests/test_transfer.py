"""One body on its way to disk, across broken connections and across runs."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure, Unreachable
from civitai_downloader.util.http import Call, Http, HttpRules
from civitai_downloader.util.pace import OUTAGE, Gate, Pace, Patience
from civitai_downloader.util.progress import Progress
from civitai_downloader.util.rests import Rests
from civitai_downloader.util.transfer import CHUNK, Body, Received, Source, Traffic, Transfer, discard_part
from tests import fake_civitai as fake
from tests.conftest import FakeClock, QuickClock

MONDAY, TUESDAY = "Mon, 02 Nov 2026 10:00:00 GMT", "Tue, 03 Nov 2026 10:00:00 GMT"
Headers = dict[str, str]


def wanted(part: Path, *, size: int | None = None, trusted: bool = False) -> Body:
    """A body to be hashed."""
    return Body(part, identity="a", size=size, limit=1 << 20, trusted=trusted, hashing=True)


def traffic(clock: Clock, progress: Progress | None = None, tries: int = 2, rate: float = math.inf) -> Traffic:
    """Room for one connection, without a limit of speed unless `rate` is one."""
    gate = Gate(1, 1, clock, lambda: 1.0)
    return Traffic(gate, clock, Pace(rate, clock), progress or Progress(), tries, Rests(clock))


class Server:
    """Answers without a network: `data`, of which each answer brings `most` bytes and then breaks.

    It honours Range but ignores If-Range, and tells how long the body is if `measured`; `asked` has the headers of each
    request, `bites` how much was to be read at a time. `answering` is called before each request.
    """

    def __init__(self, data: bytes, clock: Clock, *, most: int = 1 << 30, **headers: str) -> None:
        self.data, self.most, self.headers = data, most, headers
        self.clock, self.measured = clock, True
        self.asked: list[Headers] = []
        self.bites: set[int] = set()
        self.answering: Callable[[], object] = lambda: None

    def open(self, headers: Headers) -> Any:
        self.answering()
        self.asked.append(headers)
        start = int(headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        told = {name.replace("_", "-"): value for name, value in self.headers.items()}
        if self.measured:
            told["Content-Length"] = str(len(self.data) - start)
        if "Range" in headers:
            told["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        return Answer(206 if "Range" in headers else 200, told, self.data[start:], self.most, self.bites)

    def transfer(self, part: Path, tries: int = 2, rate: float = math.inf, **body: Any) -> Transfer:
        source = Source(open=self.open, again=lambda url, headers: self.open(headers), rest=self.clock.sleep)
        work = traffic(self.clock, tries=tries, rate=rate)
        return Transfer(wanted(part, **body), source, work, work.progress.begin("a", None))


class Answer:
    """As much of a response as a transfer uses."""

    url = "http://storage/a"

    def __init__(self, status: int, headers: Headers, data: bytes, most: int, bites: set[int]) -> None:
        self.status_code, self.headers, self.raw, self._bites = status, headers, self, bites
        self._data, self._left = data, most

    def read1(self, size: int, *, decode_content: bool) -> bytes:
        assert not decode_content
        self._bites.add(size)
        if not self._left and self._data:
            raise ConnectionResetError
        size = min(size, self._left)
        chunk, self._data, self._left = self._data[:size], self._data[size:], self._left - size
        return chunk

    read = read1

    def close(self) -> None:
        """Nothing is open."""


def test_a_body_that_begins_anew_is_not_counted_twice(site: fake.FakeCivitai, tmp_path: Path) -> None:
    image = site.world.add_image(data=os.urandom(300_000))
    url = f"{site.blob_url}/file/blobs-managed-public/{image.uuid}"
    site.fail("blob:/", fake.Cut(100_000))
    site.fail("blob:/", fake.IgnoreRange())
    clock, progress = QuickClock(), Progress()
    rules = HttpRules("test", lambda request: request)
    http = Http(rules, clock, timeout=2, retries=2, log=lambda _: None)
    meter = progress.begin("picture", None)
    source = Source(
        open=lambda headers: http.open(Call(url, headers, accept=(416,)), Patience()),
        again=lambda link, headers: http.open_once(Call(link, headers)),
        rest=http.wait_to_retry,
    )
    transfer = Transfer(wanted(tmp_path / "a.part"), source, traffic(clock, progress), meter)
    received = transfer.run()
    assert received == Received(300_000, hashlib.sha256(image.data).hexdigest())
    assert (meter.done, meter.total) == (300_000, 300_000)
    assert progress.received == 400_000
    transfer.move_to(tmp_path / "a.png")
    assert {each.name for each in tmp_path.iterdir()} == {"a.png"}
    assert not http.waiting


def test_a_later_run_goes_on_where_an_earlier_one_broke_off(tmp_path: Path) -> None:
    data, part = os.urandom(300_000), tmp_path / "a.part"
    server = Server(data, FakeClock(), most=200_000, Last_Modified=MONDAY)
    with pytest.raises(Unreachable, match="connection was lost"):
        server.transfer(part, tries=-1).run()
    received = server.transfer(part).run()
    assert received == Received(300_000, hashlib.sha256(data).hexdigest())
    assert part.read_bytes() == data
    assert server.asked == [{}, {"Range": "bytes=200000-", "If-Range": MONDAY}]


def test_a_date_that_has_changed_means_other_bytes(tmp_path: Path) -> None:
    """Even if the server ignores If-Range and goes on with the other ones."""
    data, part = os.urandom(300_000), tmp_path / "a.part"
    server = Server(os.urandom(300_000), FakeClock(), most=200_000, Last_Modified=MONDAY)
    with pytest.raises(Unreachable, match="connection was lost"):
        server.transfer(part, tries=-1).run()
    server.data, server.most, server.headers = data, 1 << 30, {"Last_Modified": TUESDAY}
    received = server.transfer(part).run()
    assert received == Received(300_000, hashlib.sha256(data).hexdigest())
    assert part.read_bytes() == data
    assert server.asked == [{}, {"Range": "bytes=200000-", "If-Range": MONDAY}, {}]
    assert json.loads((tmp_path / "a.part.json").read_bytes())["modified"] == TUESDAY


def test_after_a_restart_the_body_may_grow_as_slowly_as_before(tmp_path: Path) -> None:
    """Each attempt brings 100 KB in half the time that counts as an outage, before and after the bytes change."""
    clock, part = FakeClock(), tmp_path / "a.part"
    server = Server(os.urandom(900_000), clock, most=100_000, ETag='"one"')

    def answering() -> None:
        clock.time += OUTAGE / 2
        if len(server.asked) == 6:
            server.data, server.headers = os.urandom(800_000), {"ETag": '"two"'}

    server.answering = answering
    received = server.transfer(part).run()
    assert received == Received(800_000, hashlib.sha256(server.data).hexdigest())
    assert part.read_bytes() == server.data
    assert len(server.asked) == 7 + 8


def test_a_body_that_hardly_grows_for_ten_minutes_fails(tmp_path: Path) -> None:
    clock = FakeClock()
    server = Server(bytes(900_000), clock, most=1000, ETag='"one"')

    def answering() -> None:
        clock.time += OUTAGE / 20

    server.answering = answering
    with pytest.raises(Unreachable, match="connection was lost"):
        server.transfer(tmp_path / "a.part").run()
    assert len(server.asked) == 21
    assert (tmp_path / "a.part").stat().st_size == 21_000


def test_more_bytes_than_are_wanted_are_refused(tmp_path: Path) -> None:
    server = Server(bytes((1 << 20) + 1), FakeClock())
    with pytest.raises(Failure, match="offers 1048577 bytes instead of 5") as caught:
        server.transfer(tmp_path / "a.part", size=5).run()
    assert caught.value.reason == "size"
    assert not list(tmp_path.iterdir())


def test_a_body_of_unknown_length_ends_at_the_limit(tmp_path: Path) -> None:
    server = Server(bytes((1 << 20) + 1), FakeClock())
    server.measured = False
    with pytest.raises(Failure, match="more than the 1048576 bytes expected") as caught:
        server.transfer(tmp_path / "a.part").run()
    assert caught.value.reason == "size"
    server.data = bytes(1 << 20)
    assert server.transfer(tmp_path / "a.part").run().size == 1 << 20


def test_without_a_validator_or_a_hash_a_body_begins_anew(tmp_path: Path) -> None:
    for trusted, again in ((False, {}), (True, {"Range": "bytes=200000-"})):
        data, part = os.urandom(300_000), tmp_path / f"{trusted}.part"
        server = Server(data, FakeClock(), most=200_000)
        with pytest.raises(Unreachable, match="connection was lost"):
            server.transfer(part, tries=-1, trusted=trusted).run()
        server.most = 1 << 30
        assert server.transfer(part, trusted=trusted).run().sha256 == hashlib.sha256(data).hexdigest()
        assert server.asked == [{}, again]


def test_what_was_discarded_is_not_taken_up_again(tmp_path: Path) -> None:
    server = Server(bytes(1000), FakeClock(), ETag='"one"')
    transfer = server.transfer(tmp_path / "a.part")
    transfer.run()
    discard_part(transfer.part)
    assert not list(tmp_path.iterdir())
    transfer.run()
    assert server.asked == [{}, {}]


@pytest.mark.parametrize("resume", [True, False])
def test_a_body_that_is_there_is_asked_for_by_its_end_or_anew(tmp_path: Path, resume: bool) -> None:
    server = Server(bytes(1000), FakeClock(), ETag='"one"')
    part = tmp_path / "a.part"
    digest = server.transfer(part).run().sha256
    assert server.transfer(part).run(resume=resume) == Received(1000, digest)
    assert len(server.asked) == (1 if resume else 2)


@pytest.mark.parametrize(("rate", "bite"), [(1, 4096), (100_000, 12_500), (1 << 40, CHUNK), (math.inf, CHUNK)])
def test_the_slower_the_rate_the_smaller_the_bites(tmp_path: Path, rate: float, bite: int) -> None:
    clock = FakeClock()
    server = Server(bytes(50_000), clock)
    assert server.transfer(tmp_path / "a.part", rate=rate).run().size == 50_000
    assert server.bites == {bite}
    assert clock.time - 1000 == pytest.approx((50_000 - (50_000 % bite or bite)) / rate)
