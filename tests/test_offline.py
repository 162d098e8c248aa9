"""Without a network a run ends soon; an interface that stays busy is given up; one dead host ends nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.errors import Busy, Failure, Unreachable
from civitai_downloader.util.pace import Health, Surrender
from tests import fake_civitai as fake
from tests.conftest import FakeClock, Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, IMAGES, MANY, MODELS, Err, add_file, add_model, landed, read_json

ALL = "--only", "models"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were looked up; none is known."""
    hosts = list[str]()

    def look_up(host: Any, *_: object, **__: object) -> Any:
        hosts.append(str(host))
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


@pytest.mark.parametrize("retries", ["1", "5", "50"])
def test_without_a_network_a_run_ends_after_two_rounds(
    run: Runner, out: Path, err: Err, asked: list[str], retries: str
) -> None:
    lines = [f"civitai.com/models/{number}" for number in range(1, 30)] + ["civitai.com/posts/5"]
    assert run("--site", "", "--retries", retries, lines=lines) == 1
    assert {asked.count(host) for host in asked} == {2}
    assert sum(run.clock.slept) < 10
    said = err()
    assert said.count("civitai.com can't be reached") == 1
    assert said.count("models/") == 0
    assert len([line for line in said.splitlines() if " models, " not in line]) <= 5
    failed = (out / "failed.txt").read_text("utf-8")
    assert all(line in failed for line in lines)
    assert len(read_json(out / "report.json")["targets"]) == 30


def test_a_site_that_refuses_connections_ends_a_run_as_soon(run: Runner, err: Err) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run("--site", f"http://{host}", "--retries", "20", lines=["10001", "10002"]) == 1
    assert sum(run.clock.slept) < 10
    assert f"{host} can't be reached" in err()


def test_one_dead_host_does_not_end_the_run(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    other = add_model(site.world, "other")

    def kill(answer: Any) -> Any:
        for image in answer["modelVersions"][0]["images"]:
            image["url"] = "http://127.0.0.1:1/acc/uuid/original=true/40001.jpeg"
        return answer

    site.fail(f"{MODELS}/10001", fake.Rewrite(kill), times=MANY)
    assert run("--no-gallery", "10001") == 1
    failures = [each for each in read_json(out / "report.json")["files"] if each["outcome"] == "failed"]
    assert {each["kind"] for each in failures} == {"image"}
    assert run("10002") == 0
    assert landed(out, file)
    assert landed(out, other.files[0])


def test_a_network_that_goes_away_later_is_waited_for() -> None:
    health = Health(FakeClock(), lambda _: None)
    health.note("a", 500)
    for _ in range(5):
        health.note_unconnected("b", "gone")
    health.check_network("b")


def test_while_nobody_answers_each_host_is_tried_twice() -> None:
    health = Health(FakeClock(), lambda _: None)
    for host in ("a", "b"):
        health.enter(host, patient=True)
        health.note_unconnected(host, f"{host} is gone")
        health.enter(host, patient=True)
        health.note_unconnected(host, f"{host} is gone")
        with pytest.raises(Failure, match="is gone") as caught:
            health.enter(host, patient=True)
        assert caught.value.reason == "offline"
    health.note("c", 200)
    health.enter("a", patient=True)


# --- An interface that stays busy ------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_an_interface_that_stays_busy_is_given_up_after_three_items(
    site: FakeCivitai, run: Runner, err: Err, code: int
) -> None:
    for number in range(40):
        add_model(site.world, f"model {number}")
    fault = site.fail(MODELS, fake.busy(code), times=MANY)
    assert run(*ALL, lines=[str(number) for number in site.world.models]) == 1
    assert sum(run.clock.slept) < 1200
    assert fault.hits < 40
    said = err()
    assert "stayed busy for 3 items in a row" in said
    assert said.count("model") < 200


def test_galleries_that_stay_busy_do_not_keep_models_from_coming(site: FakeCivitai, run: Runner, out: Path) -> None:
    files = [add_model(site.world, f"model {number}").files[0] for number in range(8)]
    site.fail(IMAGES, fake.busy(429), times=MANY)
    assert run(lines=[str(number) for number in site.world.models]) == 1
    assert all(landed(out, file) for file in files)
    assert sum(run.clock.slept) < 1200


def test_pictures_of_a_host_that_stays_busy_are_given_up(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    for _ in range(30):
        site.world.versions[20001].add_image()
    fault = site.fail("image:/", fake.busy(429, 301), times=MANY)
    assert run("--no-gallery", "10001") == 1
    assert landed(out, file)
    assert fault.hits <= 8


def test_downloads_that_stay_busy_are_a_used_up_quota(site: FakeCivitai, run: Runner, err: Err) -> None:
    for number in range(9):
        add_model(site.world, f"model {number}")
    site.fail(DOWNLOAD, fake.busy(429), times=MANY)
    assert run(*ALL, lines=[str(number) for number in site.world.models]) == 1
    assert "quota" in err()


def test_an_answer_in_between_begins_the_count_anew() -> None:
    surrender = Surrender()

    def item(error: Exception | None, what: str = "api") -> None:
        with surrender.watching(what):
            if error is not None:
                raise error

    for error in (Busy("", 1), Busy("", 1), None, Busy("", 1), Failure("gone", ""), Busy("", 1), Unreachable(""),
                  Busy("", 1)):  # fmt: skip
        if error is None:
            item(None)
        else:
            with pytest.raises(type(error)):
                item(error)
    item(None, "other")
    item(None)
    for _ in range(3):
        with pytest.raises(Busy):
            item(Busy("", 1))
    for _ in range(2):
        with pytest.raises(Failure, match="api stayed busy"):
            item(None)
    item(None, "other")
