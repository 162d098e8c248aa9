"""What is wrong with a proxy is said with its name and the variable that names it, never with its password."""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Iterator

import pytest

from civitai_downloader.util.errors import Failure
from civitai_downloader.util.proxies import Proxy, passwords_of_proxies, proxy_for
from tests import fake_civitai as fake
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import MODELS, Err, add_file, link


@pytest.fixture
def closed() -> Iterator[str]:
    """A place on this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "socks4a"])
def test_socks_without_pysocks_names_the_remedy(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "socks" else find(name, *more))
    monkeypatch.setenv(variable, f"{scheme}://me:HUSH@127.0.0.1:9")
    assert run(link_of(site)) == 1
    said = err()
    assert (
        f"The proxy {scheme}://127.0.0.1:9 ({variable}) needs PySocks; install it with: pip install 'requests[socks]'"
        in said
    )
    assert "HUSH" not in said
    assert "Bad link or redirect" not in said
    assert not site.seen()


def link_of(site: FakeCivitai) -> str:
    """Return the link to a model that is there."""
    add_file(site)
    return link(site)


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:80a0",
        "http://me:HUSH@127.0.0.1:808O",
        "127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://",
        "htp://127.0.0.1:8080",
        "ftp://127.0.0.1:21",
        "http://[::1:8080",
        "http://a b:8080",
    ],
)
def test_a_typing_error_in_a_proxy_is_named(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    assert run(link_of(site)) == 1
    said = err()
    assert "(HTTP_PROXY) is not valid; write it as http://HOST:PORT." in said
    assert "HUSH" not in said
    assert not site.seen()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_is_named(
    run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch, closed: str, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:HUSH@{closed}/")
    assert run("--site", f"{scheme}://civitai.test", "10001") == 1
    said = err()
    assert f"The proxy {closed} ({scheme}_proxy) does not answer; check the proxy and its setting." in said
    assert "HUSH" not in said


def test_a_proxy_that_refuses_a_host_is_named(run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            while True:
                try:
                    with server.accept()[0] as taken:
                        taken.recv(1000)
                        taken.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    return

        threading.Thread(target=refuse, daemon=True).start()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://{place}")
        assert run("--site", "https://civitai.test", "10001") == 1
    assert f"The proxy {place} (HTTPS_PROXY) refuses to connect to civitai.test (403)" in err()


def test_a_proxy_that_answers_badly_is_retried_like_any_server(
    site: FakeCivitai, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    monkeypatch.setenv("HTTP_PROXY", site.url.removeprefix("http://"))
    site.fail(MODELS, fake.Status(502))
    assert run("--only", "metadata", "--site", "http://civitai.test", "10001") == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://a:1",
        "a:1",
        "a",
        "https://a",
        "http://me:x@a:1/",
        "http://me:p@ss/w@a:1",
        "http://[::1]:8080",
        "http://[::1]",
    ],
)
def test_a_proxy_that_can_work_is_fine(url: str) -> None:
    Proxy(url, "HTTP_PROXY").check()


def test_the_first_variable_that_holds_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://a:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://b:1")
    proxies = {"all": "http://a:1", "https": "http://b:1"}
    found = [proxy_for(f"{scheme}://x.test", proxies) for scheme in ("http", "https")]
    assert [each.variable for each in found if each] == ["ALL_PROXY", "HTTPS_PROXY"]
    assert proxy_for("http://x.test", {}) is None
    there = proxy_for("http://x.test", {"http": "http://c:1"})
    assert there is not None
    assert there.is_silent().startswith("The proxy c:1 (system settings) does not answer")
    with pytest.raises(Failure):
        Proxy("http://c:1x", "HTTP_PROXY").check()


def test_passwords_of_proxies_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:p%40ss@a:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://b:1")
    assert set(passwords_of_proxies()) == {"p%40ss", "p@ss"}
