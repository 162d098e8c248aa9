"""--verify and --refilter of a folder of models: what was hashed is compared, and what people changed is theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from civitai_downloader.core.verification import Verification
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Err, add_model, newest, read_json
from tests.library_disk import last, put, rows, touch
from tests.shelves import sha256


@pytest.fixture
def place(run: Runner, tmp_path: Path, lora: FakeModel, err: Err) -> Path:
    """Return a folder that has been looked through."""
    folder = tmp_path / "here"
    put(newest(lora), folder / "loras")
    (folder / "mine.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(100))
    assert run("here") == 0
    err()
    return folder


def rot(path: Path) -> bytes:
    """Change a byte of a file as a failing disk does, and return what was there."""
    seen, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return data


def test_what_is_as_it_was_is_fine_and_nothing_is_asked(run: Runner, site: FakeCivitai, place: Path, err: Err) -> None:
    site.forget()
    assert run("here", "--verify") == 0
    assert "damaged or missing" in err()
    assert not site.requests
    assert not (place / "failed.txt").exists()


@pytest.mark.parametrize("words", [("here", "--verify"), ("-o", "here", "--verify"), ("here/loras", "--verify")])
@pytest.mark.parametrize("name", ["loras/paper_xl.safetensors", "mine.gguf"])
def test_other_bytes_of_the_same_size_and_time_fail_until_they_are_right(
    run: Runner, place: Path, err: Err, words: tuple[str, ...], name: str
) -> None:
    data = rot(place / name)
    for _ in range(2):
        assert run(*words) == 1
        told = err()
        assert f"  {name}" in told.splitlines()
        assert "Contents changed, but not size and time" in told
        failed = (place / "failed.txt").read_text("utf-8")
        assert f"# --verify: {name}: Its contents have changed" in failed
        assert failed.splitlines()[-1] == str(place)
    seen = (place / name).stat()
    (place / name).write_bytes(data)
    os.utime(place / name, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert run(*words) == 0
    assert not (place / "failed.txt").exists()
    assert not last(place, name)["reason"]


def test_the_next_run_looks_again_at_a_file_whose_bytes_have_changed(
    run: Runner, site: FakeCivitai, place: Path, lora: FakeModel
) -> None:
    path = place / "loras/paper_xl.safetensors"
    rot(path)
    assert run("here", "--verify") == 1
    assert run("here") == 0
    row = rows(place)["loras/paper_xl.safetensors"]
    assert row["how"] == "unknown"
    assert row["sha256"] == sha256(path.read_bytes())
    assert run("here", "--verify") == 0
    path.write_bytes(newest(lora).files[0].data)
    assert run("here") == 0
    assert rows(place)["loras/paper_xl.safetensors"]["how"] == "sha256"


def test_a_damaged_file_is_not_the_one_that_a_link_wants(run: Runner, place: Path, lora: FakeModel) -> None:
    rot(place / "loras/paper_xl.safetensors")
    assert run("here", "--verify") == 1
    assert run(f"10001@{newest(lora).id}", "-o", "here", "--no-gallery") == 0
    (fetched,) = (place / "users").rglob("paper_xl.safetensors")
    assert fetched.read_bytes() == newest(lora).files[0].data


def test_what_somebody_deleted_moved_or_changed_is_no_failure(
    run: Runner, place: Path, lora: FakeModel, err: Err
) -> None:
    put(lora.versions[1], place, "old.ckpt")
    put(lora.versions[1], place, "older.safetensors")
    assert run("here") == 0
    (place / "loras/paper_xl.safetensors").unlink()
    (place / "old.ckpt").rename(place / "loras/new name.ckpt")
    touch(place / "older.safetensors")
    (place / "mine.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(200))
    err()
    assert run("here", "--verify") == 0
    told = err()
    assert "Changed since they were read; the next run reads these again (2):" in told
    for name, is_told in (("loras/paper_xl.safetensors", False), ("old.ckpt", False), ("older.safetensors", True)):
        assert (f"  {name}" in told.splitlines()) == is_told


def test_pictures_prompts_and_pages_of_the_library_are_checked(run: Runner, place: Path, err: Err) -> None:
    picture = one_file(place / ".civitai", "*.png")
    picture.write_bytes(b"not what it was")
    one_file(place / ".civitai", "model.json").write_text("{")
    assert run("here", "--verify") == 1
    told = err()
    assert f"{picture.relative_to(place).as_posix()}" in told
    assert "model.json" in told
    assert run("here", "--retry-failed", "-o", "here") == 0
    assert run("here", "--verify") == 0


def test_sidecars_that_are_gone_are_named_and_made_again(run: Runner, place: Path, err: Err) -> None:
    (place / "loras/paper_xl.civitai.info").unlink()
    assert run("here", "--verify") == 0
    assert "  loras/paper_xl.civitai.info" in err().splitlines()
    assert run("here") == 0
    assert (place / "loras/paper_xl.civitai.info").exists()


def test_a_file_that_came_by_a_link_is_read_once(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("10001", "-o", "both", "--no-gallery") == 0
    assert run("both") == 0
    read: list[str] = []
    plain = Verification._digest

    def digest(check: Verification, path: Path, size: int) -> str:
        read.append(path.name)
        return plain(check, path, size)

    monkeypatch.setattr(Verification, "_digest", digest)
    assert run("both", "--verify") == 0
    assert sorted(name for name in read if name.endswith(".safetensors")) == [
        "paper_sd15.safetensors",
        "paper_xl.safetensors",
    ]


def test_a_folder_that_was_never_looked_through_has_nothing_to_check(run: Runner, tmp_path: Path, err: Err) -> None:
    (tmp_path / "new").mkdir()
    assert run("new", "--verify") == 2
    assert "There is nothing to check in" in err()


def test_prompts_of_a_library_follow_the_word_lists(
    run: Runner, site: FakeCivitai, place: Path, tmp_path: Path
) -> None:
    (text,) = [each for each in (place / ".civitai").rglob("images/*.txt") if read_json(each).get("raw_prompt")]
    (tmp_path / "filters").mkdir()
    for name in ("sex", "clothes", "etc"):
        (tmp_path / "filters" / f"Filter_{name}.txt").write_text("lantern\n" if name == "etc" else "\n")
    site.forget()
    before = read_json(text)["prompt"]
    assert run("here", "--refilter") == 0
    assert read_json(text)["prompt"] != before
    assert not site.requests


def test_two_libraries_are_checked_one_after_the_other(
    run: Runner, tmp_path: Path, site: FakeCivitai, place: Path, err: Err
) -> None:
    other = add_model(site.world, "other")
    put(other, tmp_path / "there")
    assert run("there") == 0
    rot(tmp_path / "there" / "other.safetensors")
    err()
    assert run("here", "there", "--verify") == 1
    assert "  other.safetensors" in err().splitlines()
