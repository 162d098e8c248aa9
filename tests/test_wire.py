"""Answers that are not final, odd lengths, and lines without an end."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from civitai_downloader.util.errors import Failure
from civitai_downloader.util.http import Call, Http, HttpRules, parse_retry_after, read_at_most
from civitai_downloader.util.pace import Patience
from tests import fake_civitai as fake
from tests.conftest import QuickClock, Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, MANY, MODELS, STORAGE, Err, add_file, landed, link

WHERE = [MODELS, DOWNLOAD, STORAGE]


def quick(timeout: float = 1) -> Http:
    """Return an Http with little patience."""
    return Http(HttpRules("test", lambda r: r), QuickClock(), timeout=timeout, retries=0, log=lambda _: None)


def read_whole(url: str, timeout: float = 1) -> bytes:
    """Return the body behind a link."""
    with closing(quick(timeout).open_once(Call(url))) as response:
        return read_at_most(response, 1 << 30)


# --- Answers that are not final --------------------------------------------------------------------


@pytest.mark.parametrize("codes", [(100,), (102,), (103,), (103, 100, 102), (199,), (101,), (100,) * 30, (102,) * 19])
@pytest.mark.parametrize("where", WHERE)
def test_an_answer_below_200_is_not_final(
    site: FakeCivitai, run: Runner, out: Path, where: str, codes: tuple[int, ...]
) -> None:
    file = add_file(site)
    fault = site.fail(where, fake.Interim(codes), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert fault.hits <= 2


@pytest.mark.parametrize("code", [100, 102, 103])
@pytest.mark.parametrize("head", ["", "Link: </style.css>; rel=preload\r\n"])
def test_answers_that_are_never_final_end(site: FakeCivitai, code: int, head: str) -> None:
    lines = f"HTTP/1.1 {code} Wait\r\n{head}\r\n".encode()
    site.fail("site:/", fake.EndlessLines(lines, head=b""), times=MANY)
    begun = time.monotonic()
    with pytest.raises(Failure, match="can't be reached"):
        quick().open_once(Call(f"{site.url}/api/v1/enums"))
    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("impatient")
def test_answers_that_are_not_final_are_no_excuse_for_slowness(site: FakeCivitai) -> None:
    site.fail("site:/", fake.EndlessLines(b"HTTP/1.1 103 Wait\r\n\r\n", head=b"", seconds=0.05), times=MANY)
    begun = time.monotonic()
    with pytest.raises(Failure, match="can't be reached"):
        quick(0.1).open_once(Call(f"{site.url}/api/v1/enums"))
    assert time.monotonic() - begun < 10


# --- Lengths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: \u00b2\u00b3",
        "Content-Length: -5",
        "Content-Length: 1e3",
        "Content-Length: ",
        "Content-Length: \u00b2\r\nContent-Length: \u00b3",
        "Content-Length: 99999999999999999999999",
        "Content-Length: nan",
        "Content-Length: 5, 7",
        "Content-Length: 5\r\nContent-Length: 7",
        "Content-Length: 0x10",
    ],
)
@pytest.mark.parametrize("where", [MODELS, STORAGE, "image:/"])
def test_an_odd_length_is_no_length(
    site: FakeCivitai, run: Runner, out: Path, err: Err, where: str, header: str
) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    site.fail(where, fake.Length(header))
    assert run("-v", link(site)) == 0
    assert landed(out, file)
    said = err()
    assert "Traceback" not in said
    assert "not a valid link" not in said


def test_the_odd_length_of_a_redirect_is_no_length(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(DOWNLOAD, fake.Length(), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)


@pytest.mark.parametrize("text", ["\u00b2", "-5", "1e3", "nan", "inf", "0x10", "5, 7", "\u0663"])
def test_an_odd_wait_is_none(text: str) -> None:
    assert parse_retry_after(text) is None


@pytest.mark.parametrize("value", ["\u00b2", "nan", "-5", "inf", "1e400"])
def test_an_odd_wait_does_not_end_the_run(site: FakeCivitai, run: Runner, out: Path, value: str) -> None:
    file = add_file(site)
    site.fail(MODELS, fake.Status(429, "{}", {"Retry-After": value}))
    site.fail(DOWNLOAD, fake.Status(503, "{}", {"Retry-After": value}))
    assert run(link(site)) == 0
    assert landed(out, file)


# --- Lines without an end --------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seconds", [0.0, 0.03])
@pytest.mark.parametrize("line", [b"X-More: and more\r\n", b"x" * 70_000, b"0\r\n"], ids=["lines", "one line", "zeros"])
@pytest.mark.parametrize(
    ("where", "head"),
    [
        ("/api/v1/enums", None),
        ("/api/v1/enums", b"HTTP/1.1 200 OK\r\n"),
        ("/api/v1/enums", b""),
        ("/api/v1/enums", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("/api/v1/enums", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"),
    ],
    ids=["trailers", "headers", "status", "chunk", "extension"],
)
def test_lines_without_an_end_are_not_read_for_ever(
    site: FakeCivitai, where: str, head: bytes | None, line: bytes, seconds: float
) -> None:
    site.fail("site:/", fake.EndlessLines(line, head, seconds), times=MANY)
    begun = time.monotonic()
    with pytest.raises(Failure):
        read_whole(f"{site.url}{where}", timeout=0.1 if seconds else 1)
    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seconds", [0.0, 0.03])
@pytest.mark.parametrize("where", WHERE)
def test_endless_trailers_hold_no_worker(site: FakeCivitai, run: Runner, out: Path, where: str, seconds: float) -> None:
    file = add_file(site)
    site.fail(where, fake.EndlessLines(seconds=seconds))
    begun = time.monotonic()
    assert run("--timeout", "1", link(site)) == 0
    assert time.monotonic() - begun < 20
    assert landed(out, file)
    assert not files_under(out, "*.part")


def test_json_in_chunks_with_trailers_is_read(site: FakeCivitai) -> None:
    data = b'5;name="x"\r\n{"a":\r\n3\r\n 1}\r\n0\r\nX-Sum: 1\r\n\r\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    site.fail("site:/", fake.Raw(head + data), times=MANY)
    assert quick().json(Call(f"{site.url}/api/v1/enums"), Patience()) == {"a": 1}
