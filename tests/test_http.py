"""Redirects, retries, proxies and what a server says of waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure, Unreachable
from civitai_downloader.util.files import READ
from civitai_downloader.util.http import Call, Http, HttpRules, _redirect_target, parse_retry_after
from civitai_downloader.util.pace import Patience
from tests import fake_civitai as fake
from tests.conftest import QuickClock

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 17 ", 17),
        ("21000", 21_000),
        ("9" * 5000, None),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW + 90), 90),
        (time.asctime(time.gmtime(NOW + 90)), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_parse_retry_after(text: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert parse_retry_after(text) == seconds


def test_a_very_long_wait_is_more_than_anybody_has_patience_for() -> None:
    found = parse_retry_after("9" * 12)
    assert found is not None
    assert found > Patience().left


@given(st.text())
def test_parse_retry_after_reads_anything(text: str) -> None:
    found = parse_retry_after(text)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("here", "target", "there"),
    [
        ("https://a.com/x/y", "z?q", "https://a.com/x/z?q"),
        ("https://a.com/x", "//b.com/y", "https://b.com/y"),
        ("https://a.com/x", "HTTP://b.com/y", "http://b.com/y"),
        ("https://a.com/x", "https://[2606:4700::1111]/y", "https://[2606:4700::1111]/y"),
        ("https://a.com/x", "file:///etc/passwd", None),
        ("https://a.com/x", "javascript:alert(1)", None),
        ("https://a.com/x", "http://[broken", None),
        ("https://a.com/x", "http://", None),
    ],
)
def test_where_a_redirect_leads(here: str, target: str, there: str | None) -> None:
    if there:
        assert _redirect_target(here, target).lower() == there
        return
    with pytest.raises(Failure, match="redirects"):
        _redirect_target(here, target)


def test_a_pause_that_one_request_was_asked_for_holds_them_all(site: fake.FakeCivitai) -> None:
    class Gate(Clock):
        def __init__(self) -> None:
            super().__init__()
            self.ahead, self.waiting, self.opened = 0.0, threading.Semaphore(0), threading.Event()

        def now(self) -> float:
            return self.ahead

        def sleep(self, seconds: float) -> None:
            self.waiting.release()
            self.opened.wait()
            self.ahead = 100.0

    clock = Gate()
    http = Http(HttpRules("test", lambda r: r), clock, timeout=2, retries=0, log=lambda _: None)
    site.fail("/enums", fake.busy(429, 100))
    threads = [
        threading.Thread(target=http.json, args=(Call(f"{site.url}/api/v1/{name}"), Patience()))
        for name in ("enums", "tags")
    ]
    for thread in threads:
        thread.start()
        clock.waiting.acquire()
    assert [(seen.path, seen.status) for seen in site.seen()] == [("/api/v1/enums", 429)]
    clock.opened.set()
    for thread in threads:
        thread.join()
    assert [seen.status for seen in site.seen()] == [429, 200, 200]


def test_cookies_of_a_server_are_not_kept(site: fake.FakeCivitai) -> None:
    site.fail("site:/", fake.Status(200, "{}", {"Set-Cookie": "id=1; Path=/"}), times=None)
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=2, retries=0, log=lambda _: None)
    for _ in range(2):
        assert http.json(Call(f"{site.url}/api/v1/me"), Patience()) == {}
    assert [seen.headers.get("cookie") for seen in site.seen()] == [None, None]
    assert {seen.headers["user-agent"] for seen in site.seen()} == {"test"}


@pytest.mark.parametrize("url", ["http://[broken/", "no link", "http://", "ftp://127.0.0.1/", "http://a..b/", ""])
def test_a_link_that_can_not_be_opened_is_a_failure_at_once(url: str) -> None:
    clock = QuickClock()
    http = Http(HttpRules("test", lambda r: r), clock, timeout=2, retries=3, log=lambda _: None)
    with pytest.raises(Failure) as caught:
        http.open(Call(url), Patience())
    assert caught.value.reason == "redirect"
    assert not [wait for wait in clock.slept if wait]


def test_proxies_and_certificates_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def send(*_: object, **named: Any) -> None:
        seen.append(named)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=20, retries=0, log=lambda _: None)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unreachable):
        http.open_once(Call("https://a.test/"))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", "inner.test")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl.pem")
    with pytest.raises(Unreachable):
        http.open_once(Call("https://b.test/"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    with pytest.raises(Unreachable):
        http.open_once(Call("https://inner.test/"))
    assert [each["proxies"].get("https") for each in seen] == [None, "http://proxy.test:1", None]
    assert [each["verify"] for each in seen] == [True, "/curl.pem", "/requests.pem"]
    assert all(each["stream"] and each["timeout"] == (10, 20) for each in seen)


def test_a_connection_that_breaks_loses_nothing_that_has_arrived(site: fake.FakeCivitai) -> None:
    image = site.world.add_image(data=bytes(300_000))
    url = f"{site.blob_url}/file/blobs-managed-public/{image.uuid}"
    site.fail("blob:/", fake.Cut(100_001))
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=2, retries=0, log=lambda _: None)
    response, count = http.open_once(Call(url)), 0
    read: Callable[..., bytes] = getattr(response.raw, "read1", response.raw.read)
    with suppress(urllib3.exceptions.ProtocolError):  # urllib3 1 does not notice
        while chunk := read(READ, decode_content=False):
            count += len(chunk)
    assert count == 100_001


@pytest.mark.usefixtures("impatient")
def test_headers_that_drip_through_a_proxy_are_not_waited_for(
    site: fake.FakeCivitai, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", site.url)
    site.fail("site:/", fake.DripHeaders(0.2), times=None)
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=0.5, retries=0, log=lambda _: None)
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        http.open_once(Call("http://civitai.test/api/v1/me"))
    assert time.monotonic() - begun < 15  # to their end it would be about half a minute
