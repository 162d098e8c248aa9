"""A server that is busy or dead is waited for, but not for ever, and others do not wait with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, MANY, MODELS, STORAGE, Err, add_file, landed, link


@pytest.mark.parametrize("where", [MODELS, DOWNLOAD, STORAGE])
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_in_seconds_is_obeyed(site: FakeCivitai, run: Runner, out: Path, where: str, code: int) -> None:
    file = add_file(site)
    site.fail(where, fake.busy(code, 120), times=2)
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    assert len([wait for wait in run.clock.slept if 100 < wait <= 120]) >= 2


def test_a_retry_after_that_is_a_date_is_obeyed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.busy(503, fake.http_date(250)))
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    assert any(200 < wait <= 250 for wait in run.clock.slept)


def test_without_a_retry_after_the_waits_double(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.busy(), times=4)
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    for seconds in (2, 4, 8, 16):
        assert any(0.6 * seconds < wait <= seconds for wait in run.clock.slept)
    assert max(run.clock.slept) <= 16


def test_a_server_that_is_busy_for_ever_and_names_no_time_is_given_up(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    fault = site.fail(MODELS, fake.busy(429, 0), times=MANY)
    assert run(link(site)) == 1
    assert "busy for five minutes" in err()
    assert fault.hits == 10


def test_a_retry_after_of_a_day_fails_that_file_and_no_other(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    file = add_file(site)
    other = add_file(site, name="other.safetensors")
    site.fail(f"storage:/model/42/{file.id}/", fake.busy(429, 86400), times=MANY)
    assert run(*(f"{site.url}/models/{model}" for model in site.world.models)) == 1
    assert "quota" in err()
    assert one_file(out, other.name).read_bytes() == other.data
    assert not files_under(out, file.name)
    assert max(run.clock.slept) < 301


def test_five_minutes_of_a_busy_api_fail_the_item(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    site.fail(MODELS, fake.busy(503), times=MANY)
    assert run(link(site)) == 1
    assert "busy for five minutes" in err()
    assert 250 < sum(wait for wait in run.clock.slept if wait > 1) < 310


def test_a_used_up_quota_is_named_and_ends_the_downloads(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    version = site.world.add_model().add_version()
    files = [version.add_file(f"file-{number}.safetensors") for number in range(6)]
    site.world.quota = 1
    assert run("--workers", "1", link(site)) == 1
    assert "quota is used up" in err()
    assert one_file(out, files[0].name).read_bytes() == files[0].data
    asked = {seen.target for seen in site.seen("site", "/api/download")}
    assert len(asked) == 4


def test_a_host_that_is_dead_does_not_hold_back_the_others(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.util.pace.OUTAGE", 40.0)
    version = site.world.add_model().add_version()
    file = version.add_file("lantern.safetensors", size=300_000)
    for _ in range(20):
        version.add_image()
    site.fail("image:/", fake.NO_ANSWER, times=MANY)
    assert run("-v", "--workers", "1", "--no-gallery", link(site)) == 1
    assert one_file(out, file.name).read_bytes() == file.data
    said, host = err(), site.image_url.removeprefix("http://")
    assert f"Z {host} has failed 20 times in a row and is left alone for 30 s." in said
    assert len(site.seen("image")) < 40
    assert "20 failed" in said
