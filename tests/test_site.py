"""The site's refusals are explained, its lists are paged through, and its secrets and answers are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from civitai_downloader.__main__ import main
from civitai_downloader.core.refusals import explain
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.site import Site
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.http import Refused
from tests import fake_civitai as fake
from tests.conftest import QuickClock, Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, Status, World, busy
from tests.helpers import MANY, MODELS, Captured, Err


def refused(status: int, body: object = b"", **headers: str) -> Refused:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Refused(
        status, {key.replace("_", "-"): value for key, value in headers.items()}, data, "https://civitai.com/"
    )


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "token", "reason", "words"),
    [
        (
            refused(401, {"error": "Unauthorized", "message": "creator disabled downloads"}),
            True,
            "disabled",
            "disabled",
        ),
        (refused(401, {"error": "Unauthorized", "message": "requires login"}), False, "needs-token", "--token"),
        (refused(401, {"error": "Unauthorized", "message": "requires login"}), True, "token-refused", "new one"),
        (
            refused(403, {"error": "Early Access", "deadline": "2026-12-24T00:00:00Z"}),
            True,
            "early-access",
            "2026-12-24",
        ),
        (refused(403, {"error": "Early Access", "deadline": None}), True, "early-access", "buy access"),
        (refused(403, {"error": "Forbidden"}), False, "forbidden", "denied"),
        (refused(403, b"<html>Just a moment", cf_mitigated="challenge"), False, "blocked", "bot protection"),
        (refused(404, {"error": "File not found"}), False, "gone", "deleted"),
        (refused(410, {"error": "Model archived, not available for download"}), False, "archived", "archived"),
        (refused(451, {"error": "law", "code": "REGION_BLOCKED"}), False, "region", "region"),
        (refused(400, {"error": {"name": "ZodError", "message": "bad limit"}}), False, "refused", "bad limit"),
        (refused(400, {"message": "Invalid cursor: x"}), False, "refused", "Invalid cursor"),
        (refused(400, b"\xff not json"), False, "refused", "400"),
        (refused(400, b"[1]"), False, "refused", "400"),
    ],
)
def test_a_refusal_is_explained(answer: Refused, token: bool, reason: str, words: str) -> None:
    failure = explain(answer, has_token=token)
    assert failure.reason == reason
    assert words in str(failure)


@pytest.mark.parametrize(
    ("where", "page", "words"),
    [
        ("site:/", fake.REGION_BLOCKED, "Not available in this region"),
        (MODELS, Status(451, '{"error":"law","code":"REGION_BLOCKED"}'), "Not available in this region"),
        ("site:/", fake.CHALLENGE, "Blocked by the site's bot protection"),
        (
            MODELS,
            Status(403, "<html>Just a moment...</html>", {"cf-mitigated": "challenge"}, "text/html"),
            "Blocked by the site's bot protection",
        ),
    ],
    ids=["region", "region, models only", "bot protection", "bot protection, models only"],
)
@pytest.mark.usefixtures("lora")
def test_the_region_and_the_gate_keeper_are_named_at_once(
    run: Runner, site: FakeCivitai, err: Err, where: str, page: Status, words: str
) -> None:
    fault = site.fail(where, page, times=MANY)
    assert run("10001") == 1
    assert words in err()
    assert fault.hits == 1


@pytest.mark.usefixtures("lora")
def test_the_paging_cap_is_never_asked_again(run: Runner, site: FakeCivitai) -> None:
    site.fail(
        "site:/api/v1/images", Status(429, '{"error":"You have asked too much, use cursors instead"}'), times=None
    )
    assert run("10001@20002") == 1
    assert len(site.seen("site", "/api/v1/images")) == 1


# --- Secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://mirror.example/api/download/models/1", True),
        ("http://mirror.example/api/download/models/1", False),
        ("https://mirror.example:8443/x", False),
        ("https://b.mirror.example/x", False),
        ("https://mirror.example@evil.example/x", False),
        ("https://mirror.example.evil.example/x", False),
    ],
)
def test_secrets_go_to_the_same_scheme_host_and_port_only(url: str, own: bool) -> None:
    site = Site(Settings(token="good-token", cookies="a=b", site="https://mirror.example"), Clock())
    signed = site._sign(requests.Request("GET", url).prepare())
    assert (signed.headers.get("Authorization"), signed.headers.get("Cookie")) == (
        ("Bearer good-token", "a=b") if own else (None, None)
    )


def test_a_token_opens_what_needs_one_and_is_written_nowhere(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.world.add_model().add_version(needs_token=True).add_file("a.safetensors")
    assert run("10001", "--token", "wrong-token") == 1
    assert "Token not accepted" in capsys.readouterr().err
    monkeypatch.setenv("CIVITAI_TOKEN", " good-token\n")
    assert run("--retry-failed", "-v") == 0
    assert not {"failed.txt", "retry.sh", "retry.bat"} & set(files_under(out))
    shown = capsys.readouterr()
    assert "GET 127.0.0.1/api/download/models/20001 307" in shown.err
    for secret in ("good-token", "wrong-token", "X-Amz", "Bearer"):
        assert secret not in shown.err + shown.out
        assert not [name for name, data in files_under(out).items() if secret.encode() in data]
    assert {seen.headers.get("authorization") for seen in site.seen("storage")} == {None}


# --- Front doors, pace and answers that are kept -------------------------------------------------


def test_the_other_front_door_is_asked_once(
    site: FakeCivitai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    file = site.world.add_model("Only red", level=16).add_version().add_file("red.safetensors")
    with FakeCivitai(World()) as green:
        monkeypatch.setattr("civitai_downloader.core.site.SITE", green.url)
        monkeypatch.setattr("civitai_downloader.core.site.MATURE_SITE", site.url)
        words = ["10001", "10404", "-o", "there", "--max-rate-model", "999", "--token", "good-token"]
        assert main(words, QuickClock()) == 1
        assert len(green.seen("site", "/api/v1/models/10404")) == len(site.seen("site", "/api/v1/models/10404")) == 1
        assert all("authorization" not in seen.headers for seen in site.requests)
    assert one_file(tmp_path / "there", "red.safetensors").read_bytes() == file.data
    assert f"{site.url}/models/10001" in one_file(tmp_path / "there", "red.json").read_text("utf-8")


@pytest.mark.usefixtures("lora")
def test_a_busy_site_is_waited_for_as_long_as_it_says(run: Runner, site: FakeCivitai) -> None:
    site.fail("site:/api/v1/models", busy(429, 70))
    site.fail("site:/api/v1/images", busy(503), times=2)
    assert run("10001", "--retries", "0") == 0
    first, *others = [wait for wait in run.clock.slept if wait > 1.2]
    assert 60 < first <= 70
    assert any(1.2 < wait <= 2 for wait in others)
    assert any(2.4 < wait <= 4 for wait in others)
    assert max(others) <= 70


@pytest.mark.usefixtures("lora")
def test_a_second_run_asks_for_nothing_that_was_asked_this_day(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.add_image([20001])  # an empty gallery would be asked for again
    run("10001")
    before = files_under(out / "users")
    site.forget()
    assert run("10001") == 0
    assert not site.requests
    assert files_under(out / "users") == before
    assert run("10001", "--refresh") == 0
    assert {seen.path for seen in site.requests} >= {"/api/v1/models/10001", "/api/v1/images"}
