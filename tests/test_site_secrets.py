"""The token and the cookies go to the site only, and they are neither said nor stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.cookies import read_cookies
from civitai_downloader.util.errors import UsageError
from tests import fake_civitai as fake
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import MANY, Captured, Err, add_file, add_model, link, record_of

NETSCAPE = (
    "# Netscape HTTP Cookie File\n"
    "#HttpOnly_.civitai.com\tTRUE\t/\tTRUE\t1999999999\t__Secure-civ-token\tHUSH\n"
    ".example.com\tTRUE\t/\tTRUE\t1999999999\tother\tno\n"
)


def test_a_file_that_needs_a_token_says_where_to_get_one(
    site: FakeCivitai, run: Runner, state: State, err: Err
) -> None:
    add_file(site, needs_token=True)
    assert run(link(site)) == 1
    assert "https://civitai.com/user/account" in err()
    assert len(site.seen("site", "/api/download")) == 1
    assert "token" in record_of(state, site)["reason"]


def test_a_wrong_token_is_said_to_be_wrong(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site, needs_token=True)
    assert run("--token", "bad-token-0", link(site)) == 1
    assert "Token not accepted" in err()


@pytest.mark.parametrize("b2", [False, True])
def test_a_token_goes_to_the_site_and_nowhere_else(site: FakeCivitai, run: Runner, out: Path, b2: bool) -> None:
    file = add_file(site, needs_token=True)
    site.world.versions[20001].add_image()
    site.world.b2_links = b2
    assert run("--token", "good-token", link(site)) == 0
    assert one_file(out, file.name).read_bytes() == file.data
    for seen in site.seen():
        assert ("authorization" in seen.headers) == (seen.host == "site")
        assert "good-token" not in seen.target + seen.headers.get("cookie", "")


def test_secrets_are_neither_said_nor_stored(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    cut = add_file(site, 2_000_000, needs_token=True)
    broken = add_file(site, name="broken.safetensors")
    site.fail(f"/{cut.id}/", fake.Cut(1_500_000))
    site.fail(f"/{broken.id}/", fake.FlipBit(5), times=MANY)
    pasted = [f"{site.url}/models/{model}?token=pasted-secret" for model in site.world.models]
    assert run("-v", "--token", "good-token", lines=pasted) == 1
    words = err().encode() + b"".join(
        data for name, data in files_under(out).items() if not name.endswith("safetensors")
    )
    assert b"GET 127.0.0.1/" in words
    for secret in ("good-token", "pasted-secret", "Signature=", "Authorization="):
        assert secret.encode() not in words


# --- Cookies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["Cookie: a=1; __Secure-civ-token=HUSH\n", "__Secure-civ-token=HUSH", NETSCAPE])
def test_cookies_go_to_the_site_only_and_stay_secret(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, capsys: Captured, content: str
) -> None:
    add_model(site.world, "lantern").add_image()
    (tmp_path / "cookies.txt").write_text(content)
    assert run("10001", "--cookies", "cookies.txt", "-v") == 0
    assert all("__Secure-civ-token=HUSH" in seen.headers["cookie"] for seen in site.seen("site"))
    assert all("cookie" not in seen.headers for seen in site.requests if seen.host != "site")
    assert "HUSH" not in capsys.readouterr().err
    assert not [name for name, data in files_under(out).items() if b"HUSH" in data]


@pytest.mark.parametrize("content", ["", "no cookies here", "a=\x00b", "é=1"])
def test_a_cookie_file_without_cookies_is_a_usage_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "cookies.txt").write_text(content, "utf-8")
    with pytest.raises(UsageError):
        read_cookies(tmp_path / "cookies.txt")
    with pytest.raises(UsageError):
        read_cookies(tmp_path / "missing.txt")
