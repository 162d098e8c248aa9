"""What a hostile server may answer: the item fails or comes, no worker is held, nothing is a fault of the program."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.errors import Failure
from civitai_downloader.util.http import Call, Http, HttpRules
from civitai_downloader.util.pace import Patience
from tests import fake_civitai as fake
from tests.conftest import QuickClock, Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, MANY, MODELS, STORAGE, Err, add_file, link

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
ANSWERS = {
    "a chunk of -1": CHUNKED + b"-1\r\n" + b"x" * 100_000,
    "a chunk of -5": CHUNKED + b"-5\r\n{}\r\n",
    "a chunk of 0x2": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk of +2": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2_0": CHUNKED + b"2_0\r\n{}\r\n0\r\n\r\n",
    "a huge chunk": CHUNKED + b"ffffffffffffffff\r\n{}",
    "a chunk without size": CHUNKED + b"\r\n{}\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "compressed and chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "compressed a hundred times": OK + b"Content-Encoding: " + b"gzip, " * 99 + b"gzip\r\nContent-Length: 2\r\n\r\n{}",
    "an unknown compression": OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
    "a broken compression": OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "nul in a header": b"HTTP/1.1 200 OK\r\nX-\x00: \x00\r\nContent-Length: 2\r\n\r\n{}",
    "a folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\n{}",
    "no content type": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "http 2": b"HTTP/2 200\r\n\r\n{}",
    "http 0.9": b"{}",
    "status 999": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "status 0": b"HTTP/1.1 000 What\r\nContent-Length: 0\r\n\r\n",
    "status 204": b"HTTP/1.1 204 None\r\n\r\n",
    "status 304": b"HTTP/1.1 304 Same\r\n\r\n",
    "status 302 to nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "status 407": b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "a redirect that is not text": FOUND + b"/\xff\xfe\x80\r\n\r\n",
    "an empty redirect": FOUND + b"\r\n\r\n",
    "a redirect with a login": FOUND + b"https://civitai.com@127.0.0.1/\r\n\r\n",
    "a redirect with a backslash": FOUND + b"http://127.0.0.1:1\\@8.8.8.8/\r\n\r\n",
    "a redirect with a bad port": FOUND + b"http://127.0.0.1:99999/\r\n\r\n",
    "a redirect with a superscript port": FOUND + "http://127.0.0.1:²/\r\n\r\n".encode("latin-1"),
    "a redirect to brackets": FOUND + b"http://[/\r\n\r\n",
    "a redirect to a long label": FOUND + b"http://" + b"a" * 300 + b".com/\r\n\r\n",
    "a redirect to two dots": FOUND + b"http://a..b/\r\n\r\n",
    "a long redirect": FOUND + b"/" + b"x" * 60_000 + b"\r\n\r\n",
    "deep json": OK + b"Content-Length: 1600\r\n\r\n" + b"[" * 800 + b"]" * 800,
    "a number without an end": OK + b"Content-Length: 6009\r\n\r\n" + b'{"id": ' + b"9" * 6000 + b" }",
    "half a letter": OK + b"Content-Length: 12\r\n\r\n" + b'{"a": "\xff\xc3"}',
    "a lone surrogate": OK + b'Content-Length: 15\r\n\r\n{"a": "\\ud800"}',
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("where", [MODELS, DOWNLOAD, STORAGE, "image:/"])
def test_an_odd_answer_is_no_fault_of_the_program(
    site: FakeCivitai, run: Runner, out: Path, err: Err, where: str, name: str
) -> None:
    add_file(site)
    site.world.versions[20001].add_image()
    site.fail(where, fake.Raw(ANSWERS[name]), times=MANY)
    begun = time.monotonic()
    assert run("--timeout", "1", "--retries", "1", link(site)) == 1
    assert time.monotonic() - begun < 30
    said = err()
    assert "bug in this program" not in said
    assert "Traceback" not in said
    assert not files_under(out / "users", "*.safetensors" if where != "image:/" else "*.png")


@pytest.mark.parametrize("depth", [50, 200, 400, 900])
def test_deep_values_are_no_fault_of_the_program(
    site: FakeCivitai, run: Runner, out: Path, err: Err, depth: int
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("lantern.safetensors")
    version.add_image(meta={"prompt": "x"})

    def deepen(answer: Any) -> Any:
        value: Any = "https://a.example/?token=x"
        for _ in range(depth):
            value = [value]
        return {**answer, "deep": value}

    site.fail(f"{MODELS}/10001", fake.Rewrite(deepen))
    run(link(site))
    assert "bug in this program" not in err()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_headers_of_a_proxy_without_an_end_hold_nobody(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError), server.accept()[0] as taken:
                taken.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    taken.sendall(b"X-More: and more\r\n" * (500 if not seconds else 1))
                    time.sleep(seconds)

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
        http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=0.5, retries=0, log=lambda _: None)
        begun = time.monotonic()
        with pytest.raises(Failure):
            http.open(Call("https://civitai.test/"), Patience())
        assert time.monotonic() - begun < 10
