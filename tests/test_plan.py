"""The plan of a dry run: a row for each version, what stands in the way, and a total in which nothing counts twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, from_now, safetensors_bytes
from tests.helpers import ROOT, TOKEN, Captured, add_model


def rows(shown: str) -> dict[str, list[str]]:
    """Return the other columns of each row by its first."""
    found = [line.split("\t") for line in shown.splitlines()]
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}


@pytest.mark.parametrize("token", [(), TOKEN])
def test_what_stands_in_the_way_is_told_and_not_counted(
    run: Runner, site: FakeCivitai, capsys: Captured, token: tuple[str, ...]
) -> None:
    world = site.world
    world.add_model("shut").add_version(usage_control="Generation").add_file()
    world.add_model("early").add_version(early_access=from_now(9e5)).add_file()
    world.add_model("sold").add_version(early_access="permanent").add_file()
    world.add_model("locked").add_version(needs_token=True).add_file()
    world.add_model("down", mode="TakenDown").add_version().add_file()
    world.add_model("old", mode="Archived").add_version().add_file()
    plain = world.add_model("plain").add_version()
    plain.add_file()
    plain.add_image()
    assert run("--dry-run", *(str(number) for number in range(10001, 10008)), *token) == 0
    shown = capsys.readouterr()
    told = {target: row[3] for target, row in rows(shown.out).items()}
    assert told == {
        "10001@20001": "generator only",
        "10002@20002": f"early access until {from_now(9e5)[:10]}",
        "10003@20003": "early access, to be bought",
        "10004@20004": "" if token else "needs a token",
        "10005@20005": "taken down",
        "10006@20006": "archived",
        "10007@20007": "",
    }
    assert rows(shown.out)["10007@20007"][:3] == ["1", str(len(plain.files[0].data)), "1"]
    assert f"{(2 if token else 1) * 1.2:.1f} KB to fetch" in shown.err


def test_a_file_is_counted_once_however_often_it_is_listed(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    data = safetensors_bytes("same", 5000)
    for name in ("a", "b"):
        site.world.add_model(name, creator="maker").add_version().add_file(f"{name}.safetensors", data)
    links = ["10001", "10001@20001", "20001", f"{site.url}/user/maker/models", f"{site.url}/tag/style", "10001"]
    assert run("--dry-run", *links) == 0
    shown = capsys.readouterr()
    assert rows(shown.out) == {
        "10001@20001": ["1", str(len(data)), "0", "", "a [10001] v1.0"],
        "10002@20002": ["0", "0", "0", "", "b [10002] v1.0"],
    }
    assert f"{len(data) / 1024:.1f} KB to fetch" in shown.err


def test_what_is_there_already_is_told(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    version = site.world.add_model("a").add_version()
    version.add_file("one.safetensors")
    version.add_image()
    assert run("10001") == 0
    capsys.readouterr()
    run("--dry-run", "10001")
    assert rows(capsys.readouterr().out)["10001@20001"] == ["0", "0", "0", "there already", "a [10001] v1.0"]
    version.add_file("two.safetensors", primary=False)
    run("--dry-run", "--refresh", "10001")
    assert rows(capsys.readouterr().out)["10001@20001"][3] == "1 of 2 files there already"
    run("--dry-run", "--refresh", "--force", "10001")
    assert rows(capsys.readouterr().out)["10001@20001"][::2] == ["2", "1", "a [10001] v1.0"]


def test_json_logs_make_json_lines_of_the_plan(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    add_model(site.world, "a").add_image()
    assert run("--dry-run", "--json-logs", "10001", f"{site.url}/posts/50001", "404404") == 1
    shown = capsys.readouterr()
    first, second = (json.loads(line) for line in shown.out.splitlines())
    assert first == {
        "target": "10001@20001", "name": "a [10001] v1.0", "files": 1,
        "bytes": len(site.world.versions[20001].files[0].data), "pictures": 1, "gallery": 200, "obstacle": "",
    }  # fmt: skip
    assert second["pictures"] is None
    events = [json.loads(line).get("event") for line in shown.err.splitlines()]
    assert "plan" in events


def test_a_terminal_shows_a_table(
    run: Runner, site: FakeCivitai, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(site.world, "a", mode="Archived")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("--dry-run", "10001", "--lang", "ja") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["数", "サイズ", "画像", "バージョン"]
    assert row.split(None, 4)[-1] == "a [10001] v1.0  (アーカイブ済み)"


@pytest.mark.skipif(sys.platform == "win32", reason="head is a command of Unix")
def test_a_reader_that_has_seen_enough_ends_the_plan(site: FakeCivitai) -> None:
    for number in range(40):
        add_model(site.world, f"m{number}", creator="maker")
    words = [f"{site.url}/user/maker/models", "--site", site.url, "--dry-run", "--only", "metadata", "--lang", "en"]
    command = [sys.executable, "-m", "civitai_downloader", *words, "--max-rate-model", "99"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"10001@20001")
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 0


def test_what_no_option_wants_is_in_no_row(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    add_model(site.world, "a", "LORA")
    add_model(site.world, "b", "Checkpoint")
    assert run("--dry-run", f"{site.url}/user/maker/models", "--types", "lora", "--only", "metadata") == 0
    assert rows(capsys.readouterr().out) == {"10001@20001": ["0", "0", "0", "", "a [10001] v1.0"]}
