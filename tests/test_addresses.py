"""Connections lead to public addresses only, unless the user's own site lies deeper."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from civitai_downloader.util.addresses import Depth, Reach, depth_of, depth_of_name
from civitai_downloader.util.errors import Failure, Unreachable
from civitai_downloader.util.http import Call, Http, HttpRules
from civitai_downloader.util.text import web_link
from civitai_downloader.util.wire import first_to_answer
from tests import fake_civitai as fake
from tests.conftest import QuickClock, Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, MANY, MODELS, Err, add_file, link

PUBLIC, MADE_UP, PRIVATE = Depth
Names = dict[str, list[str]]


@pytest.mark.parametrize(
    ("address", "depth"),
    [
        ("93.184.216.34", PUBLIC),
        ("2606:4700::1111", PUBLIC),
        ("64:ff9b::5db8:d822", PUBLIC),
        ("::ffff:93.184.216.34", PUBLIC),
        ("198.18.0.1", MADE_UP),
        ("fdfe:dcba:9876::1", MADE_UP),
        ("127.0.0.1", PRIVATE),
        ("0.0.0.0", PRIVATE),
        ("10.0.0.1", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("192.168.0.1", PRIVATE),
        ("169.254.169.254", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("224.0.0.1", PRIVATE),
        ("239.255.255.250", PRIVATE),
        ("255.255.255.255", PRIVATE),
        ("240.0.0.1", PRIVATE),
        ("::", PRIVATE),
        ("::1", PRIVATE),
        ("::127.0.0.1", PRIVATE),
        ("::ffff:10.0.0.1", PRIVATE),
        ("::ffff:198.18.0.1", PRIVATE),
        ("64:ff9b::7f00:1", PRIVATE),
        ("64:ff9b:1::7f00:1", PRIVATE),
        ("2002:7f00:1::", PRIVATE),
        ("2001:0:7f00:1::", PRIVATE),
        ("fe80::1%eth0", PRIVATE),
        ("fec0::1", PRIVATE),
        ("ff02::1", PRIVATE),
        ("2001:db8::1", PRIVATE),
    ],
)
def test_how_private_an_address_is(address: str, depth: Depth) -> None:
    assert depth_of(address) == depth


@pytest.mark.parametrize(
    ("host", "depth"),
    [
        ("a.com", PUBLIC),
        ("civitai.test", PUBLIC),
        ("93.184.216.34", PUBLIC),
        ("[2606:4700::1111]", PUBLIC),
        ("127.1", PRIVATE),
        ("2130706433", PRIVATE),
        ("0x7f.1", PRIVATE),
        ("0x7f000001", PRIVATE),
        ("0177.0.0.1", PRIVATE),
        ("127.0.0.1.", PRIVATE),
        ("[::ffff:127.0.0.1]", PRIVATE),
        ("[fe80::1%25eth0]", PRIVATE),
        ("LOCALHOST.", PRIVATE),
        ("nas", PRIVATE),
        ("router.local", PRIVATE),
        ("x.localhost", PRIVATE),
        ("metadata.internal", PRIVATE),
        ("router.home.arpa", PRIVATE),
        ("256.1.1.1", PRIVATE),
        ("", PRIVATE),
    ],
)
def test_how_private_a_host_is_by_its_spelling(host: str, depth: Depth) -> None:
    assert depth_of_name(host) == depth


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8001\\@8.8.8.8/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://user:word@a.com/",
        "http://a.com@127.0.0.1/",
        "http://@a.com/",
        "http://a.com\t.b.com/",
        "http://a.com/x\r\nHost: b.com",
        "http://a b.com/",
        "http:/\\a.com/",
    ],
)
def test_a_link_that_programs_read_differently_is_none(url: str) -> None:
    assert web_link(url) == ""


# --- Connections -----------------------------------------------------------------------------------


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What names are looked up as; every other name is looked up as ever."""
    known: Names = {}
    look_up = socket.getaddrinfo

    def answer(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        addresses = known.get(str(host), [host])
        return [each for address in addresses for each in look_up(address, port, *more, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody listens on this machine, and may be asked who came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def nobody_came(listener: socket.socket) -> bool:
    """Return whether no connection was made."""
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return True
    return False


def opened(reach: Reach, url: str) -> Failure | None:
    """Return with what the opening of a link fails."""
    http = Http(HttpRules("test", lambda r: r, reach=reach), QuickClock(), timeout=1, retries=0, log=lambda _: None)
    try:
        http.open_once(Call(url)).close()
    except Failure as failure:
        return failure
    return None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "rebound.test",
        "[::1]",
        "0.0.0.0",
    ],
)
def test_nothing_public_leads_into_a_private_network(names: Names, listener: socket.socket, host: str) -> None:
    names["rebound.test"] = ["127.0.0.1"]
    names["site.test"] = ["93.184.216.34"]
    trouble = opened(Reach(["site.test"]), f"http://{host}:{listener.getsockname()[1]}/")
    assert trouble is not None
    assert trouble.reason == "redirect"
    assert "private network" in str(trouble)
    assert nobody_came(listener)


@pytest.mark.parametrize("url", ["http://me:word@{}/", "http://8.8.8.8\\@{}/", "http://{}\\@8.8.8.8/"])
def test_a_link_with_a_login_or_a_backslash_is_not_opened(listener: socket.socket, url: str) -> None:
    trouble = opened(Reach(), url.format(f"127.0.0.1:{listener.getsockname()[1]}"))
    assert "not a valid link" in str(trouble)
    assert nobody_came(listener)


def test_a_name_that_is_rebound_later_is_refused_then(
    names: Names, site: FakeCivitai, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach = Reach(["site.test"])
    names["site.test"] = ["127.0.0.1"]
    real = socket.socket.getpeername
    monkeypatch.setattr(socket.socket, "getpeername", lambda each: ("93.184.216.34", *real(each)[1:]))
    port = site.url.rpartition(":")[2]
    assert opened(reach, f"http://site.test:{port}/api/v1/enums") is None  # the peer says that it is public
    monkeypatch.undo()
    assert reach._depth == PUBLIC
    assert opened(reach, "http://127.0.0.1:9/") is not None
    assert not reach.allows("site.test", "127.0.0.1")


def test_the_peer_decides_and_not_what_was_looked_up(
    names: Names, site: FakeCivitai, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.util.addresses.depth_of_name", lambda host: PUBLIC)
    allowed = iter([True, False])
    reach = Reach(["site.test"])
    monkeypatch.setattr(reach, "allows", lambda *_: next(allowed))
    trouble = opened(reach, f"{site.url}/api/v1/enums")
    assert trouble is not None
    assert "127.0.0.1" in str(trouble)
    assert not site.seen()


@pytest.mark.parametrize(
    ("home", "named", "there", "allowed"),
    [
        ("127.0.0.1", True, "10.0.0.1", True),
        ("nas", True, "192.168.0.1", True),
        ("mirror.test", True, "192.168.0.1", True),
        ("mixed.test", True, "192.168.0.1", False),
        ("unknown.test", True, "192.168.0.1", False),
        ("vpn.test", False, "198.18.0.9", True),
        ("vpn.test", False, "10.0.0.1", False),
        ("mirror.test", False, "192.168.0.1", False),
        ("public.test", False, "198.18.0.1", False),
        ("public.test", False, "104.16.0.1", True),
    ],
)
def test_connections_lead_as_deep_as_the_site_lies(
    names: Names, home: str, named: bool, there: str, allowed: bool
) -> None:
    names.update({
        "mirror.test": ["10.1.2.3"], "mixed.test": ["93.184.216.34", "10.1.2.3"], "vpn.test": ["198.18.0.1"],
        "public.test": ["93.184.216.34"], "unknown.test": [],
    })  # fmt: skip
    assert Reach([home], named=named).allows("other.test", there) == allowed


def test_the_site_itself_may_be_private_only_if_the_user_named_it(names: Names) -> None:
    assert Reach(["civitai.com"], named=True).allows("civitai.com", "10.0.0.1")
    assert not Reach(["civitai.com"], named=False).allows("civitai.com", "10.0.0.1")
    assert Reach(["civitai.com"], named=False).allows("civitai.com", "198.18.0.7")


# --- Runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [DOWNLOAD, MODELS])
def test_a_redirect_to_a_name_of_a_private_address_is_refused(
    site: FakeCivitai, run: Runner, err: Err, names: Names, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    add_file(site)
    monkeypatch.setenv("HTTP_PROXY", site.url)
    monkeypatch.setenv("NO_PROXY", "there.test")
    names["there.test"], names["civitai.test"] = ["127.0.0.1"], ["93.184.216.34"]
    fault = site.fail(where, fake.RedirectTo(f"http://there.test:{site.url.rpartition(':')[2]}/api/v1/models/10001"))
    assert run("--site", "http://civitai.test", "10001") == 1
    assert "private network" in err()
    assert fault.hits == 1
    assert {seen.headers["host"] for seen in site.seen()} == {"civitai.test"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "there.test"])
def test_a_picture_of_a_public_site_is_not_fetched_from_a_private_network(
    site: FakeCivitai, run: Runner, names: Names, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    add_file(site)
    site.world.versions[20001].add_image()
    monkeypatch.setenv("HTTP_PROXY", site.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,0x7f.1,::1,there.test")
    names["there.test"], names["civitai.test"] = ["127.0.0.1"], ["93.184.216.34"]
    port = site.image_url.rpartition(":")[2]

    def poison(answer: Any) -> Any:
        for version in answer.get("modelVersions", ()):
            for image in version["images"]:
                image["url"] = f"http://{host}:{port}/acc/uuid/original=true/40001.jpeg"
        return answer

    site.fail(f"{MODELS}/10001", fake.Rewrite(poison))
    run("--only", "images", "--no-gallery", "--site", "http://civitai.test", "10001")
    assert not site.seen("image")


def test_a_proxy_may_be_anywhere_and_looks_names_up_itself(
    site: FakeCivitai, run: Runner, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    monkeypatch.setenv("HTTP_PROXY", site.url)
    names["civitai.test"] = []
    assert run("--only", "metadata", "--site", "http://civitai.test", "10001") == 0


# --- Addresses that lead nowhere -------------------------------------------------------------------


@pytest.fixture
def nowhere() -> Iterator[tuple[str, int]]:
    """An address at which nobody accepts, so that connecting takes for ever."""
    if sys.platform != "linux":
        pytest.skip("other systems refuse where nobody accepts, or have one loopback address only")
    with socket.socket() as server:
        server.bind(("127.0.0.9", 0))
        server.listen(0)
        place = server.getsockname()
        full = [socket.socket() for _ in range(8)]
        for each in full:
            each.setblocking(False)
            each.connect_ex(place)
        yield place
        for each in full:
            each.close()


def test_an_address_that_leads_nowhere_costs_a_second(
    site: FakeCivitai, nowhere: tuple[str, int], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("127.0.0.1", int(site.url.rpartition(":")[2]))
    begun = time.monotonic()
    made = first_to_answer([(socket.AF_INET, nowhere), (socket.AF_INET, there)], (), 10)
    assert 0.9 < time.monotonic() - begun < 5
    assert made.getpeername() == there
    made.close()
    with pytest.raises(OSError, match="timed out"):
        first_to_answer([(socket.AF_INET, nowhere)], (), 0.3)


def test_the_address_that_answered_last_is_tried_first(
    site: FakeCivitai, nowhere: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("127.0.0.1", int(site.url.rpartition(":")[2]))
    two = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in (nowhere, there)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: two)
    site.fail("site:/", fake.HangUp(), times=MANY)
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=10, retries=0, log=lambda _: None)
    begun = time.monotonic()
    for _ in range(5):
        http.open_once(Call(f"http://two.test:{there[1]}/api/v1/enums")).close()
    assert time.monotonic() - begun < 4


def test_an_address_that_refuses_is_passed_at_once(site: FakeCivitai) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        there = ("127.0.0.1", int(site.url.rpartition(":")[2]))
        begun = time.monotonic()
        first_to_answer([(socket.AF_INET, taken.getsockname()), (socket.AF_INET, there)], (), 10).close()
        assert time.monotonic() - begun < 0.9
        with pytest.raises(OSError, match="refused"):
            first_to_answer([(socket.AF_INET, taken.getsockname())], (), 10)


def test_a_host_without_an_address_can_not_be_reached(names: Names) -> None:
    names["none.test"] = []
    assert isinstance(opened(Reach(), "http://none.test/"), Unreachable)


def test_a_link_of_a_model_says_where_it_leads(run: Runner, site: FakeCivitai, err: Err) -> None:
    add_file(site)
    site.fail(DOWNLOAD, fake.RedirectTo("http://a:b@127.0.0.1/x"), times=MANY)
    assert run(link(site)) == 1
    assert "isn't a web link" in err()
