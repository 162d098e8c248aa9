"""Twins are fetched once, a task that fails ends alone, and listings are held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Captured, read_json, storage_requests

# --- Twins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--force",)], ids=["plain", "force"])
def test_the_same_bytes_wanted_twice_are_fetched_once(
    run: Runner, site: FakeCivitai, out: Path, words: tuple[str, ...]
) -> None:
    for number in range(3):
        model = site.world.add_model(f"Copy {number}")
        model.add_version().add_file(f"copy{number}.safetensors", safetensors_bytes("same", 50_000))
    assert run(*words, lines=[*map(str, site.world.models)]) == 0
    assert storage_requests(site) == 1
    assert {path.read_bytes() for path in out.rglob("copy*.safetensors")} == {safetensors_bytes("same", 50_000)}
    assert len(list(out.rglob("copy*.safetensors"))) == 3


def test_when_the_first_of_twins_fails_the_second_is_tried(run: Runner, site: FakeCivitai, out: Path) -> None:
    for name in ("first", "second"):
        version = site.world.add_model(name).add_version(usage_control="Generation" if name == "first" else "Download")
        version.add_file("same.safetensors", safetensors_bytes("same"))
    assert run("10001", "10002") == 1
    assert len(list(out.rglob("same.safetensors"))) == 1


@pytest.mark.usefixtures("lora")
def test_two_output_folders_share_one_transfer(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    assert run(lines=["10001", f'10001 -o "{tmp_path}/other place"']) == 0
    assert storage_requests(site) == 2
    assert one_file(tmp_path / "other place", "paper_xl.safetensors").read_bytes() == safetensors_bytes("xl")
    for folder in ("downloads", "other place"):
        assert len(read_json(tmp_path / folder / "report.json")["targets"]) == 1


# --- Tasks ---------------------------------------------------------------------------------------


def test_listings_are_held_back_while_thousands_wait(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.core.schedule.AHEAD", 20)
    site.world.build_library(models=6, versions=12, files=12, images=240)
    assert run(*map(str, site.world.models)) == 0
    assert len(list(out.rglob("images/*.png"))) == 240


@pytest.mark.usefixtures("lora")
def test_an_unknown_fault_ends_its_item_with_a_traceback_and_not_the_run(
    run: Runner, out: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("https://x.example/?token=HUSH")

    monkeypatch.setattr(Library, "write_sidecar", broken)
    assert run("10001") == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "ZeroDivisionError" in shown
    assert "HUSH" not in shown
    assert one_file(out, "paper_xl.safetensors")


def test_a_disk_that_refuses_the_log_at_the_end_does_not_hang_the_run(
    run: Runner, monkeypatch: pytest.MonkeyPatch, lora: FakeModel
) -> None:
    append = KeyedLog.append

    def full(self: KeyedLog, value: dict[str, object]) -> None:
        if value.get("type") == "page":
            raise Failure("disk-full", "The disk is full.")
        append(self, value)

    monkeypatch.setattr(KeyedLog, "append", full)
    assert run("10001") == 0
