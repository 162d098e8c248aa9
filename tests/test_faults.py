"""Everything a server, a line or a disk can do wrong to the command, and what must become of it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.files import open_making_folders, temporary_name
from civitai_downloader.util.http import _SteadyStream
from civitai_downloader.util.logs import KeyedLog
from civitai_downloader.util.names import name_key
from tests import fake_civitai as fake
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai

ROOT = Path(__file__).parents[1]
Err = Callable[[], str]
MANY = None
MODELS = "site:/api/v1/models"
IMAGES = "site:/api/v1/images"
DOWNLOAD = "site:/api/download"
STORAGE = "storage:/"


@pytest.fixture
def err(capsys: pytest.CaptureFixture[str]) -> Err:
    """What was said on stderr since the last call."""
    return lambda: capsys.readouterr().err


def add_file(site: FakeCivitai, size: int = 300_000, name: str = "lantern.safetensors", **more: Any) -> fake.FakeFile:
    """A model of one version with one file and no pictures."""
    return site.world.add_model().add_version().add_file(name, size=size, **more)


def replaced(size: int, seed: str = "another") -> bytes:
    """Other bytes that are as good a model file as the first."""
    return fake.safetensors_bytes(seed, size - len(fake.safetensors_bytes(seed, 0)))


def link(site: FakeCivitai) -> str:
    """The link to the first model."""
    return f"{site.url}/models/{next(iter(site.world.models))}"


def ranges(site: FakeCivitai) -> list[str]:
    """The Range header of every request that reached storage, "" for none."""
    return [seen.headers.get("range", "") for seen in site.seen("storage")]


def landed(out: Path, file: fake.FakeFile, data: bytes | None = None) -> bool:
    """Whether the file is there, byte for byte, and nothing half-done beside it."""
    parts = [*out.rglob("*.part*"), *out.rglob("*.tmp")]
    return one_file(out, file.name).read_bytes() == (file.data if data is None else data) and not parts


def record_of(state: State, site: FakeCivitai) -> dict[str, Any]:
    """The last state line of the first file."""
    version = next(iter(site.world.versions.values()))
    return state()["model", f"{version.id}/{version.files[0].id}"]


def leave_part(site: FakeCivitai, run: Runner, out: Path, after: int = 1_500_000) -> Path:
    """Let a run end with so many bytes in the `.part` file."""
    site.fail(STORAGE, fake.Cut(after))
    site.fail(STORAGE, fake.HangUp(), times=0)
    site.fail(STORAGE, fake.Status(404))
    assert run(link(site)) == 1
    site.heal()
    site.forget()
    part = one_file(out, "*.part")
    assert part.stat().st_size == after
    return part


# --- Bodies that end early -----------------------------------------------------------------------


def test_a_short_body_is_resumed_with_range_and_if_range(
    site: FakeCivitai, run: Runner, out: Path, state: State
) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Cut(100_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=100000-"]
    assert site.seen("storage")[1].headers["if-range"] == file.body.etag
    assert record_of(state, site)["status"] == "success"
    assert record_of(state, site)["sha256"] == file.body.sha256.lower()
    assert record_of(state, site)["size"] == 300_000


def test_a_reset_loses_at_most_64_kib(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Reset(200_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert 200_000 - 65_536 <= int(ranges(site)[1][6:-1]) <= 200_000


def test_a_reset_every_100_kib_does_not_keep_a_file_from_finishing(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 800_000)
    site.fail(STORAGE, fake.ResetEvery(100 * 1024))
    assert run(link(site)) == 0
    assert landed(out, file)


def test_without_progress_the_tries_are_bounded_and_the_part_is_kept(
    site: FakeCivitai, run: Runner, out: Path, state: State, err: Err
) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, fake.Cut(0), times=MANY)
    assert run(link(site)) == 1
    assert len(site.seen("storage")) == 4
    assert "Could not be reached" in err()
    assert record_of(state, site)["status"] == "failed"
    assert one_file(out, "*.part").stat().st_size == 100_000
    assert link(site) in (out / "failed.txt").read_text("utf-8")


def test_a_cut_chunked_body_is_fetched_to_its_end(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.CutChunked(100_000))
    assert run(link(site)) == 0
    assert landed(out, file)


@pytest.mark.parametrize("hashed", [True, False])
def test_a_body_without_length_that_ends_early_is_noticed(
    site: FakeCivitai, run: Runner, out: Path, hashed: bool
) -> None:
    file = add_file(site, hashed=hashed)
    site.fail(STORAGE, fake.CutUnsized(100_000))
    assert run(link(site)) == 0
    assert landed(out, file)


def test_a_second_run_goes_on_where_the_first_one_ended(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out)
    site.expire_links()
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["bytes=1500000-"]
    assert len(site.seen("site", "/api/download")) == 1
    assert not (out / "failed.txt").exists()


def test_with_no_resume_a_second_run_begins_anew(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out)
    assert run("--no-resume", link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


# --- Objects that change under our hands ---------------------------------------------------------


@pytest.mark.parametrize("change", [fake.Changed, fake.IgnoreIfRange])
def test_an_object_that_changed_between_two_tries_comes_whole(
    site: FakeCivitai, run: Runner, out: Path, change: type[fake.Changed]
) -> None:
    file, news = add_file(site, hashed=False), replaced(300_000)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, change(news), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file, news)


def test_an_object_that_changed_between_two_runs_comes_whole(site: FakeCivitai, run: Runner, out: Path) -> None:
    file, news = add_file(site, 2_000_000, hashed=False), replaced(2_000_000)
    leave_part(site, run, out)
    site.fail(STORAGE, fake.IgnoreIfRange(news), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file, news)
    assert ranges(site) == ["bytes=1500000-", ""]


def test_a_weak_etag_is_no_validator(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    weak = fake.Validators('W/"lantern"')
    site.fail(STORAGE, [weak, fake.Cut(100_000)])
    site.fail(STORAGE, weak, times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=100000-"]
    assert not any("if-range" in seen.headers for seen in site.seen("storage"))


def test_without_validator_and_hash_a_try_begins_at_byte_0(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, hashed=False)
    site.fail(STORAGE, [fake.Validators(), fake.Cut(100_000)])
    site.fail(STORAGE, fake.Validators(), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", ""]


# --- Wrong answers to a Range --------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        fake.IgnoreRange(),
        fake.WrongStart(),
        fake.WrongStart(-7),
        fake.WrongTotal(),
        fake.WrongTotal(-1),
        fake.NoContentRange(),
        fake.MultipartRanges(),
        fake.Always416(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("hashed", [True, False])
def test_a_wrong_answer_to_a_range_means_from_byte_0(
    site: FakeCivitai, run: Runner, out: Path, action: fake.Action, hashed: bool
) -> None:
    file = add_file(site, hashed=hashed)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, action, times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert len(site.seen("storage")) <= 3


def test_a_part_that_was_not_asked_for_is_refused(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, hashed=False)
    site.fail(STORAGE, fake.Unasked206())
    assert run(link(site)) == 0
    assert landed(out, file)


def test_parts_that_nobody_asked_for_fail_in_the_end(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Unasked206(), times=MANY)
    assert run(link(site)) == 1
    assert "keeps sending other bytes" in err()
    assert len(site.seen("storage")) == 3
    assert not files_under(out, "*.safetensors")


def test_416_for_a_whole_part_means_done(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.CutChunked(300_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=300000-"]
    assert [seen.status for seen in site.seen("storage")] == [200, 416]


def test_416_for_a_part_of_a_shorter_object_means_from_byte_0(site: FakeCivitai, run: Runner, out: Path) -> None:
    file, news = add_file(site, 1_500_500, hashed=False), replaced(1_500_300)
    leave_part(site, run, out, 1_500_400)
    site.fail(STORAGE, fake.IgnoreIfRange(news), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file, news)
    assert [seen.status for seen in site.seen("storage")] == [416, 200]


def test_a_part_longer_than_the_object_is_dropped(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    part.write_bytes(part.read_bytes() + bytes(600_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


@pytest.mark.parametrize("record", [None, b"", b"null", b"[]", b'{"identity":"other"}', b'{"identity":{},"x":1}'])
def test_a_part_without_its_own_record_is_dropped(
    site: FakeCivitai, run: Runner, out: Path, record: bytes | None
) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    beside = part.with_name(part.name + ".json")
    beside.unlink() if record is None else beside.write_bytes(record)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


def test_a_part_whose_bytes_went_bad_is_fetched_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    part.write_bytes(b"?" + part.read_bytes()[1:])
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["bytes=1500000-", ""]


def test_a_part_that_is_whole_already_is_verified_without_a_request(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out).write_bytes(file.data)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == []


def test_a_whole_part_of_wrong_bytes_is_fetched_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out).write_bytes(replaced(2_000_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


def test_a_part_that_is_a_symlink_is_not_followed(site: FakeCivitai, run: Runner, out: Path, tmp_path: Path) -> None:
    file = add_file(site, 2_000_000)
    part, victim = leave_part(site, run, out), tmp_path / "victim"
    shutil.copyfile(part, victim)
    before = victim.read_bytes()
    part.unlink()
    try:
        part.symlink_to(victim)
    except OSError:
        pytest.skip("needs the right to make links")
    assert run(link(site)) == 0
    assert landed(out, file)
    assert not one_file(out, file.name).is_symlink()
    assert victim.read_bytes() == before


@pytest.mark.parametrize("name", ["report.json.tmp", f"{temporary_name(Path('download_state.jsonl')).name}"])
def test_a_symlink_at_a_temporary_name_is_not_written_through(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    add_file(site)
    assert run(link(site)) == 0
    victim = tmp_path / "victim"
    victim.write_bytes(b"of somebody else")
    try:
        (out / name).symlink_to(victim)
    except OSError:
        pytest.skip("needs the right to make links")
    monkeypatch.setattr(KeyedLog, "COMPACT_FROM", 1)
    (out / "download_state.jsonl").write_bytes(3 * (out / "download_state.jsonl").read_bytes())
    assert run(link(site), "--force") == 0
    assert victim.read_bytes() == b"of somebody else"
    assert not (out / name).is_symlink()


# --- Silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [None, 100_000])
def test_a_stall_ends_by_the_timeout_and_is_resumed(
    site: FakeCivitai, run: Runner, out: Path, after: int | None
) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Stall(after))
    assert run("--timeout", "0.3", link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", f"bytes={after}-" if after else ""]


# --- Wrong bodies --------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second instead of two minutes is enough to find an answer slow."""
    monkeypatch.setattr(_SteadyStream, "WINDOW", 0.5)


@pytest.mark.usefixtures("hasty")
def test_a_trickle_ends_and_is_resumed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, [fake.Trickle(200)], times=2)
    assert run(link(site)) == 0
    assert landed(out, file)
    first, second, third = ranges(site)
    assert first == ""
    assert all(re.fullmatch(r"bytes=\d{1,4}-", each) for each in (second, third))


@pytest.mark.usefixtures("hasty")
def test_a_trickle_for_ever_is_given_up_after_ten_minutes_and_what_came_is_kept(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    monkeypatch.setattr("civitai_downloader.util.transfer.OUTAGE", 1.2)
    site.fail(STORAGE, fake.Trickle(200), times=MANY)
    assert run(link(site)) == 1
    assert "The connection broke (ReadTimeoutError)" in err()
    assert len(ranges(site)) == 3
    assert 200 < one_file(out, "*.part").stat().st_size < 600


@pytest.mark.usefixtures("hasty")
def test_a_limit_of_our_own_is_no_slowness_of_the_server(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, size=12_000)
    assert run("--limit-rate", "1", link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]
    assert sum(run.clock.slept) > 3000


@pytest.mark.usefixtures("hasty")
def test_data_that_trickle_in_are_asked_for_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(MODELS, fake.Trickle(200))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert len(site.seen("site", "/api/v1/models")) == 2


@pytest.mark.parametrize("where", [MODELS, STORAGE])
def test_headers_that_drip_are_waited_for_four_seconds_at_most(
    site: FakeCivitai, run: Runner, out: Path, where: str
) -> None:
    file = add_file(site)
    site.fail(where, fake.DripHeaders(0.2))
    begun = time.monotonic()
    assert run(link(site)) == 0
    assert 4 < time.monotonic() - begun < 8
    assert landed(out, file)


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


def test_bytes_beyond_the_announced_length_are_not_stored(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Longer(5000))
    assert run(link(site)) == 0
    assert landed(out, file)


def test_a_body_longer_than_the_published_size_is_refused(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Longer(5000, chunked=True), times=MANY)
    assert run(link(site)) == 1
    assert "Wrong size" in err()
    assert not files_under(out, "*.safetensors")


def test_an_offer_beyond_the_published_size_is_refused_before_its_first_byte(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    add_file(site, size_kb=100.0)
    assert run(link(site)) == 1
    assert "The server offers 300000 bytes, the page says 102400" in err()
    assert len(site.seen("storage")) == 1
    assert not [path for path in out.rglob("*.part") if path.stat().st_size]


def test_a_compressed_body_is_never_stored_as_it_is(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Gzip())
    assert run(link(site)) == 0
    assert landed(out, file)


def test_bodies_that_are_always_compressed_fail(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Gzip(), times=MANY)
    assert run(link(site)) == 1
    assert "compressed" in err()
    assert len(site.seen("storage")) == 3
    assert not files_under(out, "*.safetensors")


def test_a_gzip_bomb_in_place_of_a_file_is_refused(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    site.fail(STORAGE, fake.GzipBomb(), times=MANY)
    assert run(link(site)) == 1
    assert sum(map(len, files_under(out).values())) < 100_000


def test_a_gzip_bomb_in_place_of_json_is_bounded(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    site.fail(MODELS, fake.GzipBomb(100), times=MANY)
    assert run(link(site)) == 1
    assert "more than 64 MB" in err()


def test_a_flipped_bit_is_fetched_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.FlipBit(150_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", ""]


def test_wrong_bytes_three_times_go_to_corrupted(
    site: FakeCivitai, run: Runner, out: Path, state: State, err: Err
) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.FlipBit(150_000), times=MANY)
    assert run(link(site)) == 1
    assert "Wrong SHA256" in err()
    assert len(site.seen("storage")) == 3
    (name, data), *more = files_under(out / "corrupted").items()
    assert not more
    assert name.startswith("lantern [")
    assert len(data) == 300_000 != data.count(0)
    assert not files_under(out / "users", file.name)
    assert record_of(state, site)["status"] == "failed"
    assert "SHA256" in record_of(state, site)["reason"]


@pytest.mark.parametrize(
    "page", [fake.HTML_PAGE, fake.JSON_PAGE, fake.MAINTENANCE], ids=["html", "json", "maintenance"]
)
def test_a_page_is_never_saved_as_a_model(
    site: FakeCivitai, run: Runner, out: Path, err: Err, page: fake.Status
) -> None:
    add_file(site)
    site.fail(STORAGE, page, times=MANY)
    assert run(link(site)) == 1
    assert "a page instead of the file" in err()
    assert not files_under(out, "*.safetensors")


def test_a_page_that_says_to_be_a_file_is_found_out(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site, name="notes.zip", hashed=False, size_kb=0.0)
    page = fake.Status(200, "\ufeff\n <!DOCTYPE html><title>Log in</title>", content_type="application/octet-stream")
    site.fail(STORAGE, page, times=MANY)
    assert run(link(site)) == 1
    assert "a page instead of the file" in err()
    assert not files_under(out / "users", "notes.zip")


def test_an_empty_answer_where_a_size_is_known_is_tried_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.EMPTY)
    assert run(link(site)) == 0
    assert landed(out, file)


def test_answers_that_stay_empty_fail(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site, hashed=False)
    site.fail(STORAGE, fake.EMPTY, times=MANY)
    assert run(link(site)) == 1
    assert "broke off at 0 bytes" in err()
    assert not files_under(out, "*.safetensors")


def test_an_empty_picture_fails_and_leaves_the_model_file_alone(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    site.fail("blob:/", fake.EMPTY, times=MANY)
    assert run(link(site)) == 1
    assert landed(out, file)


# --- A busy server -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [MODELS, DOWNLOAD, STORAGE])
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_in_seconds_is_obeyed(site: FakeCivitai, run: Runner, out: Path, where: str, code: int) -> None:
    file = add_file(site)
    site.fail(where, fake.busy(code, 17), times=2)
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    assert len([wait for wait in run.clock.slept if 16 < wait <= 17]) >= 2


def test_a_retry_after_that_is_a_date_is_obeyed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.busy(503, fake.http_date(60)))
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    assert any(50 < wait <= 60 for wait in run.clock.slept)


def test_without_a_retry_after_the_waits_double(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.busy(), times=4)
    assert run("--retries", "0", link(site)) == 0
    assert landed(out, file)
    waits = [round(wait) for wait in run.clock.slept if wait > 1]
    assert {2, 4, 8, 16} <= {*waits}
    assert max(waits) == 16


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
    assert 290 < sum(wait for wait in run.clock.slept if wait > 1) < 310


def test_a_used_up_quota_is_named_and_ends_the_downloads(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    version = site.world.add_model().add_version()
    files = [version.add_file(f"file-{number}.safetensors") for number in range(6)]
    site.world.quota = 1
    assert run("--workers", "1", link(site)) == 1
    assert "quota is used up" in err()
    assert one_file(out, files[0].name).read_bytes() == files[0].data
    asked = {seen.target for seen in site.seen("site", "/api/download")}
    assert len(asked) == 4


# --- Refusals and faults of the server -----------------------------------------------------------


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
    ("code", "words"), [(404, "deleted, private or never there"), (410, "no longer given out"), (403, "denied")]
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


def test_a_storage_link_that_has_expired_is_asked_for_anew(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, fake.Status(403, "<Error><Code>ExpiredToken</Code></Error>"))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=100000-", "bytes=100000-"]
    assert len(site.seen("site", "/api/download")) == 3


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
    assert "token was not accepted" in err()


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
    assert "fault of this program" not in err()
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
    assert "is no web address" in err()


def test_a_site_that_is_not_there_is_named(run: Runner, err: Err) -> None:
    assert run("--site", "http://127.0.0.1:9", "10001") == 1
    assert "127.0.0.1:9 can't be reached" in err()


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
    assert "The site led astray" in said
    assert "fault of this program" not in said
    assert fault.hits == 1
    assert not files_under(out, "*.safetensors")


def test_the_endless_body_of_a_redirect_is_not_read(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    image = site.world.versions[20001].add_image()
    there = f"{site.blob_url}/file/blobs-managed-public/{image.uuid}"
    site.fail("image:/", fake.EndlessRedirectBody(there), times=MANY)
    assert run(link(site)) == 0
    assert one_file(out, f"{image.id}.png").read_bytes() == image.data


def test_a_proxy_of_the_environment_is_used_and_netrc_is_not(
    site: FakeCivitai, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    (tmp_path / ".netrc").write_text("default login someone password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", site.url)
    assert run("--only", "metadata", "--site", "http://civitai.test", "10001") == 0
    assert site.seen("site")
    assert not any("authorization" in seen.headers for seen in site.seen())


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
    assert "The site led astray" in err()
    assert fault.hits == 1


@pytest.mark.parametrize(
    ("home", "there", "code"),
    [
        ("93.184.216.34", "104.16.0.1", 0),
        ("93.184.216.34", "", 0),
        ("", "", 0),
        ("198.18.0.1", "198.18.0.2", 0),
        ("93.184.216.34", "127.0.0.1", 1),
        ("93.184.216.34", "198.18.0.2", 1),
        ("198.18.0.1", "10.0.0.1", 1),
    ],
)
def test_a_redirect_to_a_name_of_a_private_address_is_refused(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch, home: str, there: str, code: int
) -> None:
    add_file(site)
    monkeypatch.setenv("HTTP_PROXY", site.url)
    look_up, known = socket.getaddrinfo, {"civitai.test": home, "there.test": there}

    def answer(host: Any, *more: Any, **named: Any) -> Any:
        if known.get(host) == "":
            raise socket.gaierror
        return look_up(known.get(host, host), *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    fault = site.fail(MODELS, fake.RedirectTo("http://there.test/api/v1/models/10001"))
    assert run("--site", "http://civitai.test", "--only", "metadata", "10001") == code
    assert ("The site led astray" in err()) == bool(code)
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


# --- The disk ------------------------------------------------------------------------------------


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))


def test_a_disk_that_fills_up_is_named_and_the_part_is_kept(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = add_file(site, 3_000_000), open_making_folders

    def full(path: Path, flags: int) -> Any:
        return Full(opened(path, flags), 2_000_000 if path.suffix == ".part" else 1 << 40)

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.transfer.open_making_folders", full)
        assert run(link(site)) == 1
    assert "The disk is full" in err()
    assert len(site.seen("storage")) == 1
    assert 1_000_000 < one_file(out, "*.part").stat().st_size < 2_000_001
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site)[1]


@pytest.mark.parametrize("left", [None, 1_500_000, 2_000_000])
def test_a_large_file_is_on_the_disk_before_it_has_its_name(
    site: FakeCivitai, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, left: int | None
) -> None:
    file, forced = add_file(site, 2_000_000), set[int]()
    if left:
        leave_part(site, run, out).write_bytes(file.data[:left])
    monkeypatch.setattr(os, "fsync", lambda number: forced.add(os.fstat(number).st_ino))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert one_file(out, file.name).stat().st_ino in forced


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: 1000)
    assert run(link(site)) == 1
    assert "293.0 KB are needed, 1000 B are free" in err()
    assert not site.seen("storage")


def test_a_folder_that_takes_no_files_is_named(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    out.write_text("a file where the folder should be")
    assert run(link(site)) == 2
    assert f"Nothing can be written to {out}" in err()
    assert not site.seen()


def test_a_folder_that_can_not_be_made_fails_what_belongs_in_it(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    add_file(site)
    out.mkdir()
    (out / "users").write_text("a file where the folder should be")
    assert run(link(site)) == 1
    said = err()
    assert "can't be written" in said
    assert "fault of this program" not in said
    assert not site.seen("storage")


def test_a_torn_state_log_is_said_and_nothing_else_is_lost(
    site: FakeCivitai, run: Runner, out: Path, state: State, err: Err
) -> None:
    add_file(site)
    assert run(link(site)) == 0
    log = out / "download_state.jsonl"
    with log.open("ab") as file:
        file.write(b'no json\n{"type":"model","id":"2')
    site.forget()
    assert run(link(site)) == 0
    said = err()
    assert "line 6 is not a record and was skipped" in said
    assert "line 7 was cut short and was dropped" in said
    assert not site.seen("storage")
    assert b'"id":"2\n{' in log.read_bytes()


def test_a_name_too_long_for_the_disk_is_cut(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2000, "랜턴" * 100 + ".safetensors")
    site.world.models[10001].name = "긴 이름" * 100
    assert run(link(site)) == 0
    (name, data), *more = files_under(out / "users", "*.safetensors").items()
    assert not more
    assert data == file.data
    assert all(len(part.encode()) <= 240 for part in name.split("/"))


@pytest.mark.parametrize(
    "name",
    ["../../evil.safetensors", "/etc/evil.safetensors", "C:\\evil.safetensors", "a\0b.safetensors", "CON.safetensors",
     "nul", "...", "a:b.safetensors", "trailing. .safetensors. ", "\u202egnp.safetensors", "x.safetensors.part", ""],
)  # fmt: skip
def test_a_hostile_name_stays_in_the_folder_and_is_fit_for_windows(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, name: str
) -> None:
    file = add_file(site, 2000, name)
    site.world.models[10001].name = site.world.versions[20001].name = site.world.models[10001].creator = name
    assert run(link(site)) == 0
    (path,) = (path for path, data in files_under(out).items() if data == file.data)
    assert path.startswith("users/")
    assert not re.search(r'[<>:"\\|?*\x00-\x1f\u202e]', path)
    assert not any(part.endswith((".", " ")) or re.match(r"(?i)(con|nul)(\.|$)", part) for part in path.split("/"))
    assert {each.name for each in tmp_path.iterdir()} == {"downloads"}


def test_two_files_of_one_name_are_both_kept(site: FakeCivitai, run: Runner, out: Path) -> None:
    first = add_file(site, 2000)
    second = site.world.versions[20001].add_file("LANTERN.safetensors", size=3000, primary=False)
    assert run(link(site)) == 0
    found = files_under(out, "*.safetensors")
    assert sorted(found.values(), key=len) == [first.data, second.data]
    assert len({name_key(path) for path in found}) == 2


# --- Leaving -------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Iterator[str]:
    """A link to a port at which connections are never taken, as the one waiting place there is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def leave(site: FakeCivitai, out: Path, host: fake.Host, *signals: signal.Signals) -> str:
    """Start the command, send it signals once all its workers wait; what it said, if it left before they were done."""
    version = site.world.add_model().add_version()
    for number in range(6):
        version.add_file(f"lantern_{number}.safetensors", size=300_000)
    words = ["-m", "civitai_downloader", link(site), "--site", site.url, "-o", str(out), "--max-rate-model", "99"]
    # A test run in the background ignores Ctrl-C, and its children would, too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heed)
    deadline = time.monotonic() + 30
    while len(site.seen(host)) < (4 if host == "storage" else 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    begun = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    said = process.communicate(timeout=20)[1].decode()
    assert time.monotonic() - begun < 4
    assert process.returncode == 130
    return said


BLOCKED: list[tuple[str, fake.Host, fake.Action]] = [
    ("reading a body", "storage", fake.Stall(100_000)),
    ("reading headers", "storage", fake.Stall()),
    ("a standstill", "site", fake.busy(429, 200)),
    ("asking the API", "site", fake.Stall(20)),
]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("where", "host", "action"), BLOCKED, ids=[each[0] for each in BLOCKED])
def test_a_signal_ends_the_run_while_all_workers_wait(
    site: FakeCivitai, out: Path, where: str, host: fake.Host, action: fake.Action, number: signal.Signals
) -> None:
    site.fail(f"{host}:/", action, times=MANY)
    said = leave(site, out, host, number)
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
def test_a_signal_ends_the_run_while_all_workers_connect(site: FakeCivitai, out: Path, deaf: str) -> None:
    site.fail(STORAGE, fake.RedirectTo(deaf), times=MANY)
    assert "Traceback" not in leave(site, out, "storage", signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize(("where", "host", "action"), BLOCKED, ids=[each[0] for each in BLOCKED])
def test_a_second_signal_changes_nothing_but_the_haste(
    site: FakeCivitai, out: Path, where: str, host: fake.Host, action: fake.Action
) -> None:
    site.fail(f"{host}:/", action, times=MANY)
    assert "Traceback" not in leave(site, out, host, signal.SIGINT, signal.SIGINT)
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")


# --- The API -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action", [fake.MAINTENANCE, fake.BrokenJson(), fake.Cut(50), fake.Stall()], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("where", [MODELS, IMAGES])
def test_a_broken_answer_of_the_api_is_asked_for_again(
    site: FakeCivitai, run: Runner, out: Path, where: str, action: fake.Action
) -> None:
    file = add_file(site)
    fault = site.fail(where, action)
    assert run("--timeout", "0.3", link(site)) == 0
    assert landed(out, file)
    assert fault.hits == 1


@pytest.mark.parametrize("action", [fake.MAINTENANCE, fake.BrokenJson()], ids=["page", "broken"])
def test_an_api_that_stays_broken_fails(site: FakeCivitai, run: Runner, err: Err, action: fake.Action) -> None:
    add_file(site)
    fault = site.fail(MODELS, action, times=MANY)
    assert run(link(site)) == 1
    assert "Could not be reached" in err()
    assert fault.hits == 3


def test_a_closed_region_is_named_at_once(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    fault = site.fail("site:/", fake.REGION_BLOCKED, times=MANY)
    assert run(link(site)) == 1
    assert "Closed in this region by law" in err()
    assert fault.hits == 1


def test_the_gate_keeper_is_named_at_once(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    fault = site.fail("site:/", fake.CHALLENGE, times=MANY)
    assert run(link(site)) == 1
    assert "Blocked by the site's gate keeper" in err()
    assert fault.hits == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"error":"No such \\u001b[31mmodel"}',
        '{"error":{"name":"ZodError","message":"[]"}}',
        '{"message":"User not found"}',
        '{"error":"text","code":"NOT_FOUND"}',
        '{"message":"An unexpected error","error":"text"}',
        "<html>sorry</html>",
        "[1, null]",
        '"' + "x" * 500_000 + '"',
        "",
    ],
    ids=range(9),
)
@pytest.mark.parametrize("code", [400, 401, 403, 404, 418])
def test_every_shape_of_error_is_a_sentence(site: FakeCivitai, run: Runner, err: Err, code: int, body: str) -> None:
    add_file(site)
    fault = site.fail(MODELS, fake.Status(code, body), times=MANY)
    assert run(link(site)) == 1
    said = err()
    assert fault.hits == 1
    assert "fault of this program" not in said
    assert "\x1b" not in said
    assert len(said) < 2000


def test_a_cursor_that_repeats_itself_ends_the_list(site: FakeCivitai, run: Runner, out: Path) -> None:
    version = add_file(site) and site.world.versions[20001]
    for _ in range(450):
        site.world.add_image([version.id])
    site.world.looping_cursor = True
    assert run("--only", "metadata", "--max-images", "all", link(site)) == 0
    assert len(site.seen("site", "/api/v1/images")) <= 4


@pytest.mark.parametrize("oddity", ["empty_pages", "short_pages", "repeated_rows"])
def test_odd_pages_lose_no_picture(site: FakeCivitai, run: Runner, out: Path, oddity: str) -> None:
    add_file(site)
    images = [site.world.add_image([20001]).id for _ in range(410)]
    setattr(site.world, oddity, 3)
    assert run("--only", "metadata", "--max-images", "all", link(site)) == 0
    assert {int(Path(name).stem) for name in files_under(out / "users", "4*.txt")} == set(images)


WRONG: tuple[Any, ...] = (
    None,
    7,
    "text",
    [],
    {},
    [None, 5, "x", []],
    True,
    -1,
    1e400,
    "../../x",
    "\ud800",
    "http://h/x",
    {"a": {}},
)
MODEL_KEYS = "name type creator tags description stats modelVersions id mode nsfwLevel allowCommercialUse".split()
VERSION_KEYS = "id name files images baseModel stats trainedWords publishedAt availability description air".split()
FILE_KEYS = "id name sizeKB type hashes metadata primary downloadUrl".split()
IMAGE_KEYS = "id url type meta username postId nsfwLevel width createdAt modelVersionIds hasMeta".split()


def with_wrong(answer: Any, level: str, key: str, wrong: Any) -> Any:
    """A model's answer with one key of the model or of all its versions, files or images replaced."""
    versions = answer["modelVersions"]
    places = {"model": [answer], "version": versions}
    places |= {name: [each for version in versions for each in version[f"{name}s"]] for name in ("file", "image")}
    for place in places[level]:
        place[key] = wrong
    return answer


@pytest.mark.parametrize(
    ("level", "keys"),
    [("model", MODEL_KEYS), ("version", VERSION_KEYS), ("file", FILE_KEYS), ("image", IMAGE_KEYS)],
    ids=["model", "version", "file", "image"],
)
def test_a_field_of_the_wrong_type_breaks_nothing(
    site: FakeCivitai, run: Runner, out: Path, err: Err, level: str, keys: list[str]
) -> None:
    faults = {}
    for fault in ((key, wrong) for key in keys for wrong in WRONG):
        faults[add_file(site, 2000) and max(site.world.models)] = fault
        site.world.versions[max(site.world.versions)].add_image(meta={"prompt": "x"})

    def change(answer: Any) -> Any:
        for each in answer.get("items", [answer]):
            with_wrong(each, level, *faults[each["id"]])
        return answer

    site.fail(MODELS, fake.Rewrite(change), times=MANY)
    assert run("--no-gallery", "--retries", "0", *(f"{site.url}/models/{model}" for model in faults)) in (0, 1)
    said = err()
    assert "fault of this program" not in said
    assert "Traceback" not in said
    assert {each.name for each in out.parent.iterdir()} == {"downloads"}


def test_a_picture_whose_link_is_broken_harms_no_other(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    site.fail(
        MODELS, fake.Rewrite(lambda answer: with_wrong(answer, "image", "url", "http://[broken/x.png")), times=MANY
    )
    assert run("--no-gallery", link(site)) == 0
    assert "1 pictures without a usable link were left out" in err()
    assert landed(out, file)


def test_pictures_with_odd_metadata_are_kept(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site, 2000)
    odd = [*WRONG, {"prompt": 5}, {"prompt": ["x"], "meta": 7}, {"meta": {"prompt": "z"}}, {"meta": [1]}]
    odd += [{"resources": 5, "hashes": [], "civitaiResources": "x", "seed": {}, "steps": [], "Size": 5, "Model": {}}]
    metas = {site.world.add_image([20001]).id: meta for meta in odd}

    def change(answer: Any) -> Any:
        return {**answer, "items": [{**item, "meta": metas[item["id"]]} for item in answer["items"]]}

    site.fail(IMAGES, fake.Rewrite(change), times=MANY)
    assert run(link(site)) == 0
    assert "Traceback" not in err()
    assert {int(Path(name).stem) for name in files_under(out / "users", "4*.txt")} == set(metas)
    assert len(files_under(out / "users", "4*.png")) == len(metas)


@pytest.mark.parametrize("answer", ["null", "[]", "7", '"text"', "{}", '{"modelVersions":[null,7]}', "[" * 100_000])
def test_an_answer_of_another_shape_is_a_sentence(site: FakeCivitai, run: Runner, err: Err, answer: str) -> None:
    site.fail(MODELS, fake.Status(200, answer), times=MANY)
    assert run("10001") == 1
    said = err()
    assert "fault of this program" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        '{"items":null}',
        '{"items":[null,7,{"id":"x"},{}],"metadata":7}',
        f'{{"items":[{{"id":{10**30},"url":"http://127.0.0.1:9/x.png","type":"image"}}]}}',
    ],
)
def test_an_odd_gallery_does_no_harm(site: FakeCivitai, run: Runner, out: Path, answer: str) -> None:
    file = add_file(site)
    site.fail(IMAGES, fake.Status(200, answer), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)


def test_64_mb_of_json_are_refused(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    fault = site.fail(MODELS, fake.BigJson(), times=MANY)
    assert run(link(site)) == 1
    assert "more than 64 MB" in err()
    assert fault.hits == 1


def test_the_report_tells_what_failed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(DOWNLOAD, fake.Status(410), times=MANY)
    assert run(link(site)) == 1
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["targets"][0]["outcome"] == "failed"
    assert [(each["id"], each["reason"]) for each in report["files"]] == [(f"20001/{file.id}", "archived")]
