"""Cookies are read as browsers and their add-ons write them, and only those of the site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civitai_downloader.core.cookies import read_cookies
from civitai_downloader.util.errors import UsageError
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured, add_model

NAME = "__Secure-civ-token"
MINE = {"name": NAME, "value": "HUSH", "domain": ".civitai.com", "path": "/", "secure": True, "expirationDate": 1.9e9}
ALIEN = {"name": "alien", "value": "no", "domain": ".example.com", "path": "/"}
EVIL = {"name": "evil", "value": "no", "domain": "civitai.com.example.org"}
FIREFOX = {"Host raw": "https://.civitai.com/", "Name raw": NAME, "Path raw": "/", "Content raw": "HUSH"}
ROW = f".civitai.com\tTRUE\t/\tTRUE\t1999999999\t{NAME}\tHUSH\n"
OTHER = ".example.com\tTRUE\t/\tTRUE\t1999999999\talien\tno\n"

FORMS = {
    "json list": json.dumps([MINE, ALIEN, EVIL], indent=2),
    "json with a mark": "\ufeff" + json.dumps([ALIEN, MINE]),
    "json state of a browser": json.dumps(
        {"cookies": [MINE, ALIEN], "origins": [{"origin": "https://civitai.com", "localStorage": [ALIEN]}]}
    ),
    "json with a link": json.dumps({"url": "https://civitai.com", "cookies": [MINE, ALIEN]}),
    "json by hosts": json.dumps({"civitai.com": {NAME: "HUSH"}, "example.com": {"alien": "no"}}),
    "json names and values": json.dumps({NAME: "HUSH"}),
    "json lines": f"{json.dumps(MINE)}\n{json.dumps(ALIEN)}\n",
    "json of Firefox": json.dumps([FIREFOX, {**FIREFOX, "Host raw": "https://.example.com/", "Name raw": "alien"}]),
    "json of a session": json.dumps({"cookies": {NAME: {"value": "HUSH", "path": "/"}}}),
    "json without a domain": json.dumps([{"name": NAME, "value": "HUSH"}]),
    "json with www": json.dumps([{**MINE, "domain": "www.civitai.com", "hostOnly": True}]),
    "netscape": f"# Netscape HTTP Cookie File\n\n{ROW}{OTHER}",
    "netscape for http only": f"# Netscape HTTP Cookie File\n#HttpOnly_{ROW}{OTHER}",
    "netscape with blanks": f"# Netscape HTTP Cookie File\n{ROW}{OTHER}".replace("\t", "    "),
    "netscape without a heading": f"{ROW}{OTHER}",
    "netscape with www": f"{ROW}{OTHER}".replace(".civitai.com", "www.civitai.com"),
    "netscape of the other host": f"{ROW}{OTHER}".replace(".civitai.com", ".civitai.red"),
    "netscape on windows": f"{ROW}{OTHER}".replace("\n", "\r\n"),
    "table of a browser": f"{NAME}\tHUSH\t.civitai.com\t/\t2027-01-01\t64\t✓\nalien\tno\t.example.com\t/\t2027\t5\n",
    "header": f"Cookie: {NAME}=HUSH",
    "header without its name": f"{NAME}=HUSH",
    "header in small letters": f"cookie: {NAME}=HUSH;\r\n",
    "header with one that can't be sent": f"Cookie: letter=é; {NAME}=HUSH; bell=\x07",
    "block of headers": f"GET / HTTP/1.1\nHost: civitai.com\nUser-Agent: a=b\nCookie: {NAME}=HUSH\nAccept: c=d\n",
    "name: value": f"{NAME}: HUSH\n",
    "name=value lines": f"# mine\n{NAME}=HUSH\n\n",
    "curl -b": f"curl 'https://civitai.com/?a=b' -H 'accept: */*' -b '{NAME}=HUSH'",
    "curl -H": f"curl 'https://civitai.com/?a=b' \\\n  -H 'accept: */*' \\\n  -H 'cookie: {NAME}=HUSH'",
    "several commands": f"curl 'https://example.com' -b 'alien=no';\ncurl 'https://civitai.com' -b '{NAME}=HUSH'",
    "fetch": f'fetch("https://civitai.com/", {{"headers": {{"accept": "a=b", "cookie": "{NAME}=HUSH"}}}});',
    "an answer": f"Set-Cookie: {NAME}=HUSH; Path=/; Domain=.civitai.com; HttpOnly\nSet-Cookie: a=b; Domain=a.org\n",
    "powershell": f'$s.Cookies.Add((New-Object System.Net.Cookie("{NAME}", "HUSH", "/", ".civitai.com")))\n',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_cookies_are_read_in_every_form(tmp_path: Path, form: str, encoding: str) -> None:
    (tmp_path / "cookies").write_bytes(FORMS[form].encode(encoding))
    assert read_cookies(tmp_path / "cookies") == f"{NAME}=HUSH"


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([ALIEN]),
        json.dumps([EVIL]),
        json.dumps([{**MINE, "domain": "notcivitai.com"}]),
        json.dumps({"example.com": {NAME: "no"}}),
        '[{"name": "a", "value": "b=c"',
        "{}",
        f"# Netscape HTTP Cookie File\n{OTHER}",
        "# Netscape HTTP Cookie File\nthis=is no row\n",
        OTHER,
        OTHER.replace("\t", "  "),
        f"curl 'https://example.com' -b '{NAME}=no'",
        f"GET / HTTP/1.1\nHost: example.com\nCookie: {NAME}=no\n",
        f"Set-Cookie: {NAME}=no; Domain=example.com",
        "Cookie: letter=é",
    ],
)
def test_a_cookie_of_another_site_is_never_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / "cookies").write_text(content, "utf-8")
    with pytest.raises(UsageError) as caught:
        read_cookies(tmp_path / "cookies")
    assert "HUSH" not in str(caught.value)


def test_the_first_hosts_cookie_wins_over_an_aliass(tmp_path: Path) -> None:
    rows = [{**MINE, "domain": ".civitai.red", "value": "second"}, {**MINE, "value": "first"}]
    (tmp_path / "cookies").write_text(json.dumps(rows))
    assert read_cookies(tmp_path / "cookies") == f"{NAME}=first"


@pytest.mark.parametrize("form", ["json list", "netscape with blanks", "header with one that can't be sent"])
def test_a_run_sends_them_to_the_site_and_says_them_nowhere(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured, form: str
) -> None:
    add_model(site.world, "lantern").add_image()
    (tmp_path / "cookies.txt").write_text(FORMS[form], "utf-8")
    assert run("10001", "--cookies", "cookies.txt", "-v") == 0
    assert all(seen.headers["cookie"] == f"{NAME}=HUSH" for seen in site.seen("site"))
    assert all("cookie" not in seen.headers for seen in site.requests if seen.host != "site")
    assert "HUSH" not in capsys.readouterr().err
