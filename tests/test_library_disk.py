"""The library meets folders that take no files, a log that was torn, and links where files should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.util.files import temporary_name
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner, State
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err, add_file, link


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
    (out / "users").mkdir(parents=True)
    (out / "users" / "lantern_maker").write_text("a file where the folder should be")
    assert run(link(site)) == 1
    said = err()
    assert "can't be written" in said
    assert "bug in this program" not in said
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
    assert "line 7 is not a record and was skipped" in said
    assert "line 8 is incomplete and was skipped" in said
    assert not site.seen("storage")
    assert b'"id":"2\n{' in log.read_bytes()


@pytest.mark.parametrize("name", ["report.json", "download_state.jsonl"])
def test_a_symlink_at_a_temporary_name_is_not_written_through(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    add_file(site)
    assert run(link(site)) == 0
    victim = tmp_path / "victim"
    victim.write_bytes(b"of somebody else")
    try:
        temporary_name(out / name).symlink_to(victim)
    except OSError:
        pytest.skip("needs the right to make links")
    monkeypatch.setattr(KeyedLog, "COMPACT_FROM", 1)
    (out / "download_state.jsonl").write_bytes(3 * (out / "download_state.jsonl").read_bytes())
    assert run(link(site), "--force") == 0
    assert victim.read_bytes() == b"of somebody else"
    assert not temporary_name(out / name).is_symlink()
