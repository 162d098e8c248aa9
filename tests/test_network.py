"""The command survives faults of HTTP and odd redirects, uses proxies, and refuses private networks."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, IMAGES, MANY, MODELS, STORAGE, Err, add_file, landed, link

# --- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [MODELS, DOWNLOAD, STORAGE, "image:/", "blob:/", IMAGES])
@pytest.mark.parametrize("action", [*map(fake.Status, (500, 502, 504)), fake.CLOUDFLARE_520, fake.CLOUDFLARE_524])
def test_a_server_fault_is_tried_again(
    site: FakeCivitai, run: Runner, out: Path, where: str, action: fake.Status
) -> None:
    file = add_file(site)
    image = site.world.versions[20001].add_image()
    site.fail(where, action)
    assert run(link(site)) == 0
    assert one_file(out, file.name).read_bytes() == file.data
    assert one_file(out, f"{image.id}.png").read_bytes() == image.data


@pytest.mark.parametrize(
    ("code", "words"), [(404, "deleted, private or mistyped"), (410, "no longer be downloaded"), (403, "denied")]
)
@pytest.mark.parametrize("where", [DOWNLOAD, MODELS])
def test_a_refusal_is_not_tried_again(
    site: FakeCivitai, run: Runner, err: Err, where: str, code: int, words: str
) -> None:
    add_file(site)
    fault = site.fail(where, fake.Status(code), times=MANY)
    assert run(link(site)) == 1
    assert words in err()
    assert fault.hits == 1


def test_a_storage_look_up_that_fails_for_a_moment_is_tried_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.world.lookup_failures = 2
    assert run(link(site)) == 0
    assert landed(out, file)


def test_an_interrupted_connection_of_kept_alive_requests_is_no_failure(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    file = add_file(site)
    site.fail("", fake.HangUp(), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)


@pytest.mark.parametrize("where", [MODELS, STORAGE])
@pytest.mark.parametrize(
    "action",
    [
        fake.GARBAGE,
        fake.HUGE_HEADERS,
        fake.MANY_HEADERS,
        fake.TWO_LENGTHS,
        fake.NO_ANSWER,
        fake.Raw(b"HTTP/1.1 xx\r\n"),
    ],
    ids=["garbage", "huge headers", "many headers", "two lengths", "no answer", "bad status"],
)
def test_an_answer_that_is_no_http_fails_cleanly(
    site: FakeCivitai, run: Runner, out: Path, err: Err, where: str, action: fake.Action
) -> None:
    add_file(site)
    fault = site.fail(where, action, times=MANY)
    assert run(link(site)) == 1
    assert "bug in this program" not in err()
    assert 1 <= fault.hits <= 9
    assert not files_under(out, "*.safetensors")


def test_an_answer_that_is_no_http_once_is_tried_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(MODELS, fake.GARBAGE)
    site.fail(STORAGE, fake.NO_ANSWER)
    assert run(link(site)) == 0
    assert landed(out, file)


@pytest.mark.parametrize("url", ["http://[x", "http://", "http://h:99999", "http://a b", "h.com"])
def test_a_site_that_is_no_link_is_a_usage_error(run: Runner, err: Err, url: str) -> None:
    assert run("--site", url, "10001") == 2
    assert "isn't a web address" in err()


def test_a_site_that_is_not_there_is_named(run: Runner, err: Err) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody else gets this port, and nobody listens at it
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run("--site", f"http://{host}", "10001") == 1
    assert f"{host} can't be reached" in err()


# --- Redirects -----------------------------------------------------------------------------------


def test_a_redirect_in_a_circle_fails_after_five_steps(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.RedirectTo(), times=MANY)
    assert run(link(site)) == 1
    assert "redirects more than 5 times" in err()
    assert len(site.seen("storage")) == 5


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[broken/", "//:x/"])
def test_a_redirect_to_something_else_than_a_web_link_fails(
    site: FakeCivitai, run: Runner, out: Path, err: Err, url: str
) -> None:
    add_file(site)
    fault = site.fail(STORAGE, fake.RedirectTo(url), times=MANY)
    assert run(link(site)) == 1
    said = err()
    assert "Bad link or redirect from the site" in said
    assert "bug in this program" not in said
    assert fault.hits == 1
    assert not files_under(out, "*.safetensors")


def test_the_endless_body_of_a_redirect_is_not_read(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    image = site.world.versions[20001].add_image()
    there = f"{site.blob_url}/file/blobs-managed-public/{image.uuid}"
    site.fail("image:/", fake.EndlessRedirectBody(there), times=MANY)
    assert run(link(site)) == 0
    assert one_file(out, f"{image.id}.png").read_bytes() == image.data


# --- Proxies, private networks and certificates --------------------------------------------------


@pytest.mark.parametrize(
    ("host", "environment", "netrc", "token"),
    [
        (
            "civitai.invalid",
            {"http_proxy": "", "no_proxy": "127.0.0.1"},
            "machine civitai.invalid login someone password HUSH\n",
            "good-token",
        ),
        ("civitai.test", {"HTTP_PROXY": ""}, "default login someone password hidden\n", ""),
    ],
    ids=["small letters, this host, a token", "capitals, any host, no token"],
)
def test_proxies_of_the_environment_are_used_and_netrc_is_not(
    site: FakeCivitai,
    run: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    environment: dict[str, str],
    netrc: str,
    token: str,
) -> None:
    add_file(site)
    (tmp_path / ".netrc").write_text(netrc)
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value or site.url)
    words = ["--token", token] if token else []
    assert run("--only", "metadata", "--no-gallery", "--site", f"http://{host}", *words, "10001") == 0
    assert site.seen("site")
    sent = {seen.headers.get("authorization", "") for seen in site.requests}
    assert sent == {f"Bearer {token}" if token else ""}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://169.254.169.254/latest", "http://localhost:9/", "http://[::1]/"]
)
def test_a_redirect_from_the_net_into_a_private_network_is_refused(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    add_file(site)
    monkeypatch.setenv("HTTP_PROXY", site.url)
    fault = site.fail(DOWNLOAD, fake.RedirectTo(url), times=MANY)
    assert run("--site", "http://civitai.test", "10001") == 1
    assert "Bad link or redirect from the site" in err()
    assert fault.hits == 1


def test_a_certificate_that_proves_nothing_is_refused(run: Runner, tmp_path: Path, err: Err) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    pem = tmp_path / "cert.pem"
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=civitai.test", "-keyout", str(pem)]
    subprocess.run(["openssl", *make, "-out", str(tmp_path / "own.pem")], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "own.pem").read_bytes())
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    assert run("--site", f"https://127.0.0.1:{server.server_port}", "10001") == 1
    assert "no valid certificate" in err()
    server.shutdown()
    server.server_close()
