"""A file in early access is not asked for before its date, and the first run after that fetches it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.answers import end_of_early_access, utc_of
from civitai_downloader.core.refusals import EarlyAccess
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeVersion, Rewrite, Status, from_now
from tests.helpers import DOWNLOAD, MANY, MODELS, TOKEN, Captured, Err, add_model, landed, read_json, record_of
from tests.stand_in import Skip, StandIn

DAY = 86400.0


def early(site: FakeCivitai, until: str = "") -> FakeVersion:
    """Add a model whose only version is in early access, for ten days unless told otherwise."""
    version = add_model(site.world, "lantern")
    version.add_image(meta={"prompt": "a lantern"})
    version.early_access = until or from_now(10 * DAY)
    return version


def asked(site: FakeCivitai) -> int:
    """Return how often the file has been asked for."""
    return len(site.seen("site", "/api/download/"))


def shown(date: str) -> str:
    """Return a date of the site as messages show it."""
    return date[:19].replace("T", " ").removesuffix(":00")


def silent(site: FakeCivitai) -> None:
    """Let the answers about models say nothing of early access, so that only the refusal of a file does."""

    def change(answer: Any) -> Any:
        for version in answer["modelVersions"]:
            for key in ("paidAccess", "earlyAccessDeadline"):
                version.pop(key, None)
        return answer

    site.fail(f"{MODELS}/", Rewrite(change), times=MANY)


# --- Until the date --------------------------------------------------------------------------------


def test_before_its_date_a_file_is_not_asked_for_and_a_second_run_asks_for_nothing(
    run: Runner, site: FakeCivitai, out: Path, state: State, err: Err
) -> None:
    version = early(site)
    date = str(version.early_access)
    for inputs in (["10001"], ["10001"], ["--retry-failed"]):
        assert run(*inputs) == 1
        assert f"early access until {shown(date)} UTC" in err()
        assert asked(site) == 0
        record = record_of(state, site)
        assert (record["status"], record["available_at"]) == ("failed", f"{date[:19]}Z")
        assert f"until {shown(date)} UTC" in (out / "failed.txt").read_text("utf-8")
        site.forget()
        assert one_file(out, "40001.png")
    run("10001")
    assert site.seen() == []


@pytest.mark.parametrize("hours", [1, 100])
def test_the_first_run_after_the_date_fetches_the_file(
    run: Runner, site: FakeCivitai, out: Path, state: State, skip_time: Skip, hours: int
) -> None:
    version = early(site, from_now(3600 * hours - 60))
    assert run("10001@20001") == 1
    skip_time(3600 * hours)
    assert run("10001@20001") == 0
    assert landed(out, version.files[0])
    assert not (out / "failed.txt").exists()
    record = record_of(state, site)
    assert record["status"] == "success"
    assert "available_at" not in record


def test_other_files_of_the_model_are_fetched_and_their_line_stays(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = early(site)
    free = version.model.add_version("free")
    free.add_file("free.safetensors")
    free.add_image(meta={"prompt": "free"})
    assert run("10001") == 1
    assert one_file(out, "free.safetensors")
    site.forget()
    assert run("10001") == 1
    assert site.seen() == []
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "10001"


def test_idm_is_not_started_for_a_file_that_waits(run: Runner, site: FakeCivitai, idm: StandIn) -> None:
    add_model(site.world, "lantern").early_access = from_now(10 * DAY)
    assert run("10001", f"--idm={idm.path}") == 1
    assert idm.calls() == []
    assert asked(site) == 0


# --- With a login ----------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["token", "cookies"])
def test_with_a_login_a_file_is_asked_for_once(run: Runner, site: FakeCivitai, tmp_path: Path, login: str) -> None:
    early(site)
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("__Secure-civitai-token=good-token", "utf-8")
    words = TOKEN if login == "token" else ("--cookies", str(cookies))
    assert [run("10001", *words), asked(site)] == [1, 1]
    site.forget()
    assert run("10001", *words) == 1
    assert site.seen() == []


def test_who_has_bought_access_gets_the_file_at_once(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    version = early(site)
    version.bought_by.add("good-token")
    assert run("10001", *TOKEN) == 0
    assert landed(out, version.files[0])
    assert "available_at" not in record_of(state, site)


def test_who_buys_access_later_gets_the_file_by_force(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    version = early(site)
    assert run("10001", *TOKEN) == 1
    version.bought_by.add("good-token")
    assert run("10001", *TOKEN) == 1
    assert asked(site) == 1
    assert run("10001", *TOKEN, "--force") == 0
    assert landed(out, version.files[0])
    assert record_of(state, site)["status"] == "success"
    assert not (out / "failed.txt").exists()


def test_force_asks_even_without_a_login(run: Runner, site: FakeCivitai, state: State) -> None:
    date = str(early(site).early_access)
    assert run("10001", "--force") == 1
    assert asked(site) == 1
    assert record_of(state, site)["available_at"] == f"{date[:19]}Z"


# --- Where the date comes from ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "date"),
    [
        ({"paidAccess": {"permanent": False, "endsAt": "2026-12-01T12:00:00.000Z"}}, "2026-12-01T12:00:00Z"),
        ({"paidAccess": None, "earlyAccessDeadline": "2026-12-01T12:00:00.345Z"}, "2026-12-01T12:00:00Z"),
        ({"earlyAccessEndsAt": "2025-03-01T00:00:00", "earlyAccessConfig": {}}, "2025-03-01T00:00:00Z"),
        ({"earlyAccessEndsAt": None, "earlyAccessTimeFrame": 7}, ""),
        ({"paidAccess": {"permanent": True, "endsAt": None}}, ""),
        ({"paidAccess": {"endsAt": 1796126400}, "earlyAccessDeadline": ["2026"]}, ""),
        ({"paidAccess": {"endsAt": "soon"}}, ""),
        ({"paidAccess": {"endsAt": "0001-01-01T00:00:00Z"}}, ""),
        ({}, ""),
    ],
)
def test_the_date_is_read_from_answers_of_every_year(answer: dict[str, Any], date: str) -> None:
    assert utc_of(end_of_early_access(answer)) == date


@pytest.mark.parametrize("words", [(), TOKEN])
def test_a_date_that_only_the_refusal_tells_is_kept(
    run: Runner, site: FakeCivitai, out: Path, state: State, skip_time: Skip, words: tuple[str, ...]
) -> None:
    version = early(site)
    silent(site)
    assert [run("10001", *words), asked(site)] == [1, 1]
    assert record_of(state, site)["available_at"] == f"{str(version.early_access)[:19]}Z"
    assert [run("10001", *words), asked(site)] == [1, 1]
    skip_time(3 * DAY)
    assert [run("10001", *words), asked(site)] == [1, 1]
    skip_time(11 * DAY)
    assert run("10001", *words) == 0
    assert landed(out, version.files[0])


def test_a_date_that_the_refusal_does_not_tell_is_that_of_the_model(
    run: Runner, site: FakeCivitai, state: State
) -> None:
    date = str(early(site).early_access)
    site.fail(DOWNLOAD, Status(403, '{"error":"Early Access"}'), times=MANY)
    assert run("10001", *TOKEN) == 1
    assert record_of(state, site)["available_at"] == f"{date[:19]}Z"


def test_without_a_date_each_run_asks_again(run: Runner, site: FakeCivitai, out: Path, state: State, err: Err) -> None:
    version = early(site, "permanent")
    for count in (1, 2):
        assert [run("10001", *TOKEN), asked(site)] == [1, count]
        assert "in early access; buy access" in err()
        assert "available_at" not in record_of(state, site)
    version.bought_by.add("good-token")
    assert run("--retry-failed", *TOKEN) == 0
    assert landed(out, version.files[0])


def test_a_date_in_the_past_is_no_reason_not_to_ask(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = early(site, from_now(-60))
    assert run("10001") == 0
    assert landed(out, version.files[0])


def test_a_clock_that_is_hours_ahead_costs_one_request_a_run(run: Runner, site: FakeCivitai, out: Path) -> None:
    """To this machine the date has passed, and the site, which knows better, refuses still."""
    date = from_now(-3600)
    version = early(site, date)
    site.fail(DOWNLOAD, Status(403, json.dumps({"error": "Early Access", "deadline": date})), times=MANY)
    for count in (1, 2):
        assert [run("10001"), asked(site)] == [1, count]
        assert f"until {shown(date)} UTC" in (out / "failed.txt").read_text("utf-8")
    site.heal()
    assert run("10001") == 0
    assert landed(out, version.files[0])


def test_the_newer_date_of_the_site_counts(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    version = early(site)
    assert run("10001", *TOKEN) == 1
    for days in (20, 5):
        version.early_access = from_now(days * DAY)
        assert [run("10001", *TOKEN, "--refresh"), asked(site)] == [1, 1]
        assert record_of(state, site)["available_at"] == f"{version.early_access[:19]}Z"
        assert shown(version.early_access) in (out / "failed.txt").read_text("utf-8")
    version.early_access = from_now(-60)
    assert run("10001", *TOKEN, "--refresh") == 0
    assert landed(out, version.files[0])


@pytest.mark.parametrize("told", ["", "tomorrow", "2026-13-99T00:00:00Z", "2020-01-01T00:00:00Z", 5, None, ["x"]])
def test_a_log_without_a_usable_date_does_no_harm(run: Runner, site: FakeCivitai, out: Path, told: object) -> None:
    version = early(site)
    silent(site)
    assert run("10001") == 1
    log = out / "download_state.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    changed = [{**line, "available_at": told} if "available_at" in line else line for line in lines]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in changed), "utf-8")
    version.early_access = None
    assert run("10001") == 0
    assert landed(out, version.files[0])


@pytest.mark.parametrize("words", [(), TOKEN])
def test_a_date_in_the_log_that_has_passed_counts_more_than_a_kept_answer(
    run: Runner, site: FakeCivitai, out: Path, state: State, words: tuple[str, ...]
) -> None:
    version = early(site)
    date = str(version.early_access)
    assert run("10001", *words) == 1
    log = out / "download_state.jsonl"
    log.write_text(log.read_text("utf-8").replace(f"{date[:19]}Z", "2020-01-01T00:00:00Z"), "utf-8")
    site.forget()
    assert [run("10001", *words), asked(site)] == [1, 1]
    assert record_of(state, site)["available_at"] == f"{date[:19]}Z"
    log.write_text(log.read_text("utf-8").replace(f"{date[:19]}Z", "2020-01-01T00:00:00Z"), "utf-8")
    version.early_access = None
    assert run("10001", *words) == 0
    assert landed(out, version.files[0])


# --- What is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), TOKEN])
def test_behind_a_listing_early_access_is_a_note(
    run: Runner, site: FakeCivitai, out: Path, err: Err, words: tuple[str, ...]
) -> None:
    date = str(early(site).early_access)
    add_model(site.world, "free")
    for _ in range(2):
        assert run(f"{site.url}/user/maker/models", "--no-gallery", *words) == 0
        assert shown(date) in err()
        assert asked(site) == 1 + bool(words)
    assert not (out / "failed.txt").exists()
    assert run("10001", *words) == 1
    assert asked(site) == 1 + bool(words)


def test_a_dry_run_knows_the_date_from_the_log(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    date = str(early(site).early_access)
    silent(site)
    assert run("10001") == 1
    capsys.readouterr()
    assert run("--dry-run", "10001") == 0
    assert f"early access until {date[:10]}" in capsys.readouterr().out
    assert asked(site) == 1


def test_verify_does_not_call_a_waiting_file_missing(
    run: Runner, site: FakeCivitai, out: Path, skip_time: Skip, err: Err
) -> None:
    version = early(site)
    assert run("10001") == 1
    before = (out / "failed.txt").read_bytes()
    assert run("--verify") == 0
    assert (out / "failed.txt").read_bytes() == before
    version.bought_by.add("good-token")
    assert run("10001", *TOKEN, "--force") == 0
    one_file(out, "lantern.safetensors").unlink()
    assert run("10001") == 1
    err()
    assert run("--verify") == 1
    assert f"early access until {shown(str(version.early_access))} UTC" in err()
    skip_time(11 * DAY)
    assert run("--verify") == 1
    assert "no longer on disk" in err()
    assert run("--retry-failed") == 0
    assert landed(out, version.files[0])
    assert run("--verify") == 0


def test_a_file_that_is_back_waits_for_nothing(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    version = early(site)
    version.bought_by.add("good-token")
    assert run("10001", *TOKEN) == 0
    weights = one_file(out, "lantern.safetensors")
    weights.rename(out / "aside")
    assert run("10001") == 1
    assert "available_at" in record_of(state, site)
    (out / "aside").rename(weights)
    assert run("--verify") == 0
    assert "available_at" not in record_of(state, site)


def test_the_report_names_the_date(run: Runner, site: FakeCivitai, out: Path) -> None:
    date = str(early(site).early_access)
    assert run("10001") == 1
    (failed,) = [each for each in read_json(out / "report.json")["files"] if each["outcome"] == "failed"]
    assert (failed["reason"], failed["until"]) == ("early-access", f"{date[:19]}Z")


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("2026-12-01T12:00:00Z", "until 2026-12-01 12:00 UTC;"),
        ("2026-12-01T12:00:30Z", "until 2026-12-01 12:00:30 UTC;"),
        ("2026-12-01T00:00:00Z", "until 2026-12-01 00:00 UTC;"),
        ("", "is in early access; buy"),
    ],
)
def test_the_date_is_shown_to_the_minute_or_second(until: str, words: str) -> None:
    assert words in EarlyAccess(until=until).sentence
