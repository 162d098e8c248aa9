"""No secret that a server repeats, in whichever form, lands in a file or a message."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.settings import Settings
from civitai_downloader.util.text import Secrets, scrub, split_login
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, IMAGES, MANY, MODELS, Captured, add_file, link

TOKEN = "good+token/4711=?x"
COOKIE = "a=1; __Secure-civ-token=HUSH; theme=dark; session=9f8e7d6c5b4a~x"
SECRETS = (TOKEN, "9f8e7d6c5b4a~x", "pass+word")


def spelled(secret: str) -> list[str]:
    """Return a secret in the forms that a server may give it."""
    data = secret.encode()
    coded = [base64.b64encode(before + data + b"after").decode() for before in (b"", b"a", b"ab", b"Bearer ")]
    percent = "".join(f"%{byte:02x}" for byte in data)
    return [secret, quote(secret), quote(secret, safe=""), quote(quote(secret, safe="")), percent, *coded]


def leaks(text: str, secret: str) -> bool:
    """Return whether a text tells a secret in any of its forms."""
    core = [base64.b64encode(bytes(shift) + secret.encode()).decode()[4:-4] for shift in range(3)]
    forms = (secret, quote(secret, safe=""), quote(secret, safe="").lower(), json.dumps(secret)[1:-1], *core)
    return any(form in text for form in forms)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_cut_in_every_form(secret: str) -> None:
    for form in spelled(secret):
        assert not leaks(Secrets([secret]).cut(f"before {form} after"), secret)


@given(st.text(min_size=8, max_size=40), st.text(), st.text())
def test_nothing_but_the_secret_is_cut(secret: str, before: str, after: str) -> None:
    cut = Secrets([secret]).cut(before + secret + after)
    assert secret not in cut.replace(Secrets.CUT, "") or secret in before + after or before[-1:] + after[:1]
    assert Secrets([]).cut(before) == before


def test_a_short_secret_is_cut_as_a_word_only() -> None:
    secrets = Secrets(["HUSH"])
    assert secrets.cut("HUSH; x=HUSH&y HUSHED hushed") == "(cut); x=(cut)&y HUSHED hushed"


def test_harmless_cookies_take_nothing_out_of_prompts() -> None:
    secrets = Settings(cookies='theme=dark; lang=en; mode=lavender; id=12345678; n="1"; v=1.25.300').secrets
    text = "dark lavender en 12345678 1.25.300"
    assert secrets.cut(text) == text


def test_json_is_cut_however_it_is_escaped() -> None:
    secrets = Secrets(["good-token"])
    data = json.dumps({"good-token": ["x good-token", {"a": "Z29vZC10b2tlbg=="}]}).replace("-", "\\u002d").encode()
    assert "token" not in json.dumps(secrets.read_json(data))
    assert b"token" not in secrets.cut_body(data)
    assert secrets.cut_body(b"<p>good-token\xff</p>") == b"<p>(cut)\xff</p>"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://a:b@c.com/d", ("http://c.com/d", "a:b")),
        ("http://a:b@x@c.com:8/d?e@f", ("http://c.com:8/d?e@f", "a:b@x")),
        ("http://c.com/@d", ("http://c.com/@d", "")),
        ("c.com", ("c.com", "")),
    ],
)
def test_a_login_is_split_from_its_link(url: str, found: tuple[str, str]) -> None:
    assert split_login(url) == found
    assert scrub(f"see {url} there") == f"see {found[0]} there"


# --- Runs ------------------------------------------------------------------------------------------


class Echo(fake.Status):
    """Repeats every header and every form of every secret, with this status."""

    def answer(self, call: fake.Call, normal: Any) -> Any:
        forms = [form for secret in (*SECRETS, "HUSH") for form in spelled(secret)]
        body = {"message": " ".join(forms), "error": json.dumps(dict(call.headers)), "deadline": TOKEN}
        headers = {"X-Echo": TOKEN, "Location": f"/nowhere/{quote(TOKEN, safe='')}", "ETag": f'"{TOKEN}"'}
        return fake.Status(self.code, json.dumps(body), headers).answer(call, normal)


def words_of(out: Path, said: Captured) -> str:
    """Return everything that a run has written and said, but for model files."""
    files = files_under(out).items()
    told = "\n".join(f"{name}\n{data.decode('utf-8', 'replace')}" for name, data in files if ".safe" not in name)
    return told + "".join(said.readouterr())


@pytest.fixture
def secretive(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The command with a token, cookies, and passwords of the site and of a proxy."""
    (tmp_path / "cookies.txt").write_text(COOKIE)
    monkeypatch.setenv("HTTPS_PROXY", "http://someone:pass+word@127.0.0.1:9")
    return run


@pytest.mark.parametrize("code", [302, 400, 401, 403, 404, 418, 429, 500])
@pytest.mark.parametrize("where", [MODELS, DOWNLOAD, IMAGES])
def test_an_error_that_repeats_secrets_tells_nobody(
    site: FakeCivitai, secretive: Runner, out: Path, capsys: Captured, where: str, code: int
) -> None:
    add_file(site)
    site.fail(where, Echo(code), times=MANY)
    assert secretive("-v", "--retries", "0", "--token", TOKEN, "--cookies", "cookies.txt", link(site)) == 1
    words = words_of(out, capsys)
    assert "GET 127.0.0.1" in words
    assert not [secret for secret in SECRETS if leaks(words, secret)]
    assert "HUSH" not in words


def test_an_answer_that_repeats_secrets_is_stored_without_them(
    site: FakeCivitai, secretive: Runner, out: Path, capsys: Captured
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("lantern.safetensors")
    version.add_image(meta={"prompt": f"lantern {TOKEN}", quote(TOKEN, safe=""): 1})
    forms = " ".join(form for secret in (*SECRETS, "HUSH") for form in spelled(secret))

    def poison(answer: Any) -> Any:
        if isinstance(answer, dict):
            return {key: f"{value} {forms}" if key in ("description", "name") else poison(value)
                    for key, value in answer.items()}  # fmt: skip
        return [poison(each) for each in answer] if isinstance(answer, list) else answer

    site.fail(f"{MODELS}/10001", fake.Rewrite(poison))
    secretive("-v", "--token", TOKEN, "--cookies", "cookies.txt", link(site))
    words = words_of(out, capsys)
    assert "lantern (cut)" in words
    assert not [secret for secret in SECRETS if leaks(words, secret)]
    assert "HUSH" not in words


def test_a_password_of_the_site_is_used_and_told_nobody(
    site: FakeCivitai, run: Runner, out: Path, capsys: Captured
) -> None:
    file = add_file(site)
    broken = add_file(site, name="broken.safetensors")
    site.world.versions[20001].add_image(meta={"prompt": "x"})
    site.fail(f"/{broken.id}/", fake.FlipBit(5), times=MANY)
    home = site.url.replace("http://", "http://someone:pass%2Bword@")
    lines = ["10001", f"{home}/models/10002", f"{site.url}/models/10002"]
    assert run("-v", "--site", home, lines=lines) == 1
    sent = {seen.headers.get("authorization") for seen in site.seen("site")}
    assert sent == {"Basic " + base64.b64encode(b"someone:pass+word").decode()}
    assert all("authorization" not in seen.headers for seen in site.seen("storage"))
    assert (out / "retry.sh").is_file()
    words = words_of(out, capsys)
    assert f"--site {site.url}" in words
    assert file.name in words
    assert not [each for each in ("pass+word", "pass%2B", "someone:") if each in words]


def test_a_token_in_a_line_of_the_list_is_cut(site: FakeCivitai, run: Runner, out: Path, capsys: Captured) -> None:
    add_file(site)
    lines = [f"{link(site)} my key is good-token!", "good-token in front", "https://x.example/good-token"]
    run("--token", "good-token", lines=lines)
    assert "good-token" not in words_of(out, capsys)
