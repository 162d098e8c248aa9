"""A body that ends early or comes too slowly is resumed where it ended, unless the object has changed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from civitai_downloader.util.wire import _SteadyStream
from tests import fake_civitai as fake
from tests.conftest import QuickClock, Runner, State, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import MANY, MODELS, STORAGE, Err, add_file, landed, leave_part, link, ranges, record_of, replaced

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


def test_a_storage_link_that_has_expired_is_asked_for_anew(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, fake.Status(403, "<Error><Code>ExpiredToken</Code></Error>"))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=100000-", "bytes=100000-"]
    assert len(site.seen("site", "/api/download")) == 3


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


# --- Silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [None, 100_000])
def test_a_stall_ends_by_the_timeout_and_is_resumed(
    site: FakeCivitai, run: Runner, out: Path, after: int | None
) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Stall(after))
    assert run("--timeout", "1", link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", f"bytes={after}-" if after else ""]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second be enough to find an answer slow, instead of two minutes."""
    monkeypatch.setattr(_SteadyStream, "WINDOW", 1.0)


@pytest.mark.usefixtures("hasty")
def test_a_trickle_ends_and_is_resumed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, [fake.Trickle(200)], times=2)
    assert run(link(site)) == 0
    assert landed(out, file)
    first, second, third = ranges(site)
    assert first == ""
    assert all(re.fullmatch(r"bytes=[1-9]\d*-", each) for each in (second, third))


@pytest.mark.usefixtures("hasty")
def test_a_trickle_for_ever_is_given_up_after_ten_minutes_and_what_came_is_kept(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    now = QuickClock.now
    monkeypatch.setattr(QuickClock, "now", lambda clock: now(clock) + 250 * len(site.seen("storage")))
    site.fail(STORAGE, fake.Trickle(200), times=MANY)
    assert run(link(site)) == 1
    assert "The connection was lost (ReadTimeoutError)" in err()
    begun = [int(each[6:-1] or 0) for each in ranges(site)]
    assert len(begun) == 3
    assert 0 == begun[0] < begun[1] < begun[2] < one_file(out, "*.part").stat().st_size


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


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("where", "path"), [(MODELS, "/api/v1/models"), (STORAGE, "/")])
def test_headers_that_drip_are_not_waited_for_to_their_end(
    site: FakeCivitai, run: Runner, out: Path, where: str, path: str
) -> None:
    file = add_file(site)
    site.fail(where, fake.DripHeaders(0.2))
    begun = time.monotonic()
    assert run(link(site), "--timeout", "1") == 0
    assert time.monotonic() - begun > 2
    assert landed(out, file)
    assert len([seen for seen in site.seen() if where.startswith(seen.host) and seen.path.startswith(path)]) == 2
