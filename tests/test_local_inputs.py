"""Every way to name a folder or a model file, and what the options of the command mean for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel, Status
from tests.helpers import MANY, ROOT, Err, newest, read_json
from tests.library_disk import lines, put, rows
from tests.shelves import add_published

Home = pytest.MonkeyPatch


def named(root: Path) -> set[str]:
    """Return the paths of the files that were identified in a library."""
    return {path for path, row in rows(root).items() if row["model"]}


@pytest.fixture
def place(tmp_path: Path, lora: FakeModel) -> Path:
    """Return a folder that holds a model file in a folder of its own."""
    put(newest(lora), tmp_path / "here" / "내 모델" / "loras")
    return tmp_path / "here"


WORDS = (
    "here",
    "here/",
    "./here",
    "{tmp}/here",
    "{tmp}/here/",
    "~/here",
    "here/../here",
    '"here"',
    '"{tmp}/here/"',
    " here ",
)


@pytest.mark.parametrize("word", WORDS)
def test_a_folder_is_a_word_however_it_is_spelled(
    run: Runner, place: Path, tmp_path: Path, monkeypatch: Home, word: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run(word.format(tmp=tmp_path), "--no-gallery") == 0
    assert named(place) == {"내 모델/loras/paper_xl.safetensors"}


@pytest.mark.parametrize(
    "word", ["here/내 모델/loras/paper_xl.safetensors", "{tmp}/here/내 모델/loras/paper_xl.safetensors"]
)
def test_a_model_file_is_a_word_and_its_neighbours_are_left_alone(
    run: Runner, place: Path, tmp_path: Path, lora: FakeModel, word: str
) -> None:
    beside = put(lora.versions[1], place / "내 모델" / "loras")
    assert run(word.format(tmp=tmp_path)) == 0
    library = place / "내 모델" / "loras"
    assert named(library) == {"paper_xl.safetensors"}
    assert not list(library.glob(f"{beside.stem}.*[!s]"))


@pytest.mark.parametrize("name", ["10001", "deadbeef1234", "10001@20001", "civitai:10001"])
def test_a_link_or_an_id_wins_over_a_folder_of_that_name_unless_it_is_spelled_as_a_path(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, name: str
) -> None:
    if os.name == "nt" and ":" in name:
        pytest.skip("no name of Windows has a colon")
    put(newest(lora), tmp_path / name)
    run(name, "--only", "metadata")
    assert not (tmp_path / name / "report.json").exists()
    assert run(f"./{name}") == 0
    assert named(tmp_path / name) == {"paper_xl.safetensors"}


def test_a_folder_that_is_called_like_a_user_is_a_folder_but_not_in_a_list_of_users(
    run: Runner, out: Path, tmp_path: Path, lora: FakeModel
) -> None:
    put(newest(lora), tmp_path / "lantern_maker")
    assert run("lantern_maker") == 0
    assert named(tmp_path / "lantern_maker") == {"paper_xl.safetensors"}
    (tmp_path / "users.txt").write_text("lantern_maker\n")
    assert run("--users", "users.txt", "--only", "metadata") == 0
    assert "lantern_maker" in read_json(out / "report.json")["targets"][0]["source"]


@pytest.mark.parametrize("name", [".models", "..models", ".models/.loras"])
def test_a_hidden_folder_that_is_named_is_looked_through_in_the_library_above_it(
    run: Runner, tmp_path: Path, lora: FakeModel, name: str
) -> None:
    library = tmp_path / "library"
    put(newest(lora), library / "loras")
    put(newest(lora), library / name, "hidden.safetensors")
    assert run(str(library)) == 0
    assert named(library) == {"loras/paper_xl.safetensors"}
    assert run(str(library / name)) == 0
    assert named(library) == {f"{name}/hidden.safetensors"}


def test_a_line_names_a_folder_with_options_behind_it_as_seen_from_its_list(
    run: Runner, place: Path, tmp_path: Path, lora: FakeModel
) -> None:
    put(lora.versions[1], place / "내 모델" / "old", "old.ckpt")
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text('../here --skip "*.ckpt" --max-images 5\n', "utf-8")
    assert run(str(listed)) == 0
    assert set(rows(place)) == {"내 모델/loras/paper_xl.safetensors"}
    assert len(list((place / ".civitai").rglob("images/*.png"))) == 2  # of the showcase and of the gallery


@pytest.mark.parametrize(
    "line",
    ["here", "here/", "'here'", '"{tmp}/here"', "{tmp}/here # mine", "{tmp}/here --latest", "- {tmp}/here", "here,"],
)
def test_a_line_names_a_folder_however_it_is_spelled(run: Runner, place: Path, tmp_path: Path, line: str) -> None:
    assert run(lines=[line.format(tmp=tmp_path)]) == 0
    assert named(place) == {"내 모델/loras/paper_xl.safetensors"}


@pytest.mark.parametrize("name", ["my models", "has # hash", "a, b", "It's mine", "내 모델 --x"])
def test_a_line_may_hold_a_name_with_odd_characters(run: Runner, tmp_path: Path, lora: FakeModel, name: str) -> None:
    put(newest(lora), tmp_path / name)
    assert run(lines=[f'"{tmp_path / name}"']) == 0
    assert named(tmp_path / name) == {"paper_xl.safetensors"}


def test_an_at_file_and_a_configuration_name_folders(run: Runner, place: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text('"here/내 모델" --no-gallery\n', "utf-8")
    assert run("@words") == 0
    assert named(place / "내 모델") == {"loras/paper_xl.safetensors"}
    (tmp_path / "civitai-downloader.conf").write_text("here --no-gallery\n")
    assert run() == 0
    assert named(place) == {"내 모델/loras/paper_xl.safetensors"}


def test_an_output_folder_says_nothing_about_a_folder(run: Runner, place: Path, tmp_path: Path, out: Path) -> None:
    assert run("here", "-o", str(tmp_path / "elsewhere"), "--layout", "comfyui") == 0
    assert named(place)
    assert not out.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_and_a_link_in_one_run_have_a_report_each(
    run: Runner, site: FakeCivitai, place: Path, out: Path
) -> None:
    add_published(site.world, "other")
    assert run("here", "10002") == 0
    assert named(place)
    assert "local" not in read_json(out / "report.json")
    assert [each["name"] for each in read_json(out / "report.json")["files"] if each["kind"] == "model"]
    assert not [each for each in read_json(place / "report.json")["files"] if each["kind"] == "model"]


def test_what_failed_is_tried_again_from_another_folder(
    run: Runner, site: FakeCivitai, place: Path, tmp_path: Path, monkeypatch: Home, err: Err
) -> None:
    site.fail("/by-hash", Status(500), times=MANY)
    assert run("here", "--max-images", "5", "--skip", "*.ckpt") == 1
    (line,) = [each for each in (place / "failed.txt").read_text("utf-8").splitlines() if each[:1] not in ("#", "")]
    assert line == f"{tmp_path / 'here'} --max-images 5 --skip *.ckpt"
    site.heal()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert run("--retry-failed", "-o", str(place)) == 0, err()
    assert named(place)
    assert not (place / "failed.txt").exists()
    assert not (place / "retry.sh").exists()


@pytest.mark.skipif(os.name == "nt", reason="the script is for POSIX shells")
def test_the_script_tries_a_folder_again(run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel) -> None:
    place = tmp_path / "my 'odd' & $HOME models"
    put(newest(lora), place)
    site.fail("/by-hash", Status(500), times=MANY)
    assert run(str(place)) == 1
    site.heal()
    ran = subprocess.run(
        ["sh", str(place / "retry.sh")],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert named(place) == {"paper_xl.safetensors"}


def test_what_is_excluded_is_identified_and_nothing_is_fetched_for_it(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel
) -> None:
    place = tmp_path / "here"
    put(newest(lora), place)
    put(lora.versions[1], place)
    (place / "exclude.txt").write_text(f"10001@{newest(lora).id}\n")
    assert run("here") == 0
    assert named(place) == {"paper_xl.safetensors", "paper_sd15.safetensors"}
    assert (place / "paper_sd15.civitai.info").exists()
    assert not (place / "paper_xl.civitai.info").exists()
    (place / "exclude.txt").unlink()
    assert run("here") == 0
    assert (place / "paper_xl.civitai.info").exists()


@pytest.mark.parametrize("options", [("--exclude", "not.txt"), ("--types", "Checkpoint"), ("--base-models", "Pony")])
def test_what_is_not_wanted_gets_nothing(run: Runner, place: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "not.txt").write_text("https://civitai.com/user/lantern_maker\n")
    before = files_under(place)
    assert run("here", *options) == 0
    assert named(place)
    ours = ("download_state.jsonl", "download_state.lock", "report.json")
    assert {path for path in files_under(place) if path not in ours and ".cache" not in path} == set(before)
    assert run("here") == 0
    assert (place / "내 모델" / "loras" / "paper_xl.civitai.info").exists()


def test_an_older_version_is_completed_with_latest_too(run: Runner, tmp_path: Path, lora: FakeModel) -> None:
    put(lora.versions[1], tmp_path / "here")
    assert run("here", "--latest") == 0
    assert (tmp_path / "here" / "paper_sd15.civitai.info").exists()


def test_sfw_leaves_out_the_other_pictures(run: Runner, place: Path, lora: FakeModel) -> None:
    assert run("here", "--sfw") == 0
    assert len([*(place / ".civitai").rglob("images/*.txt")]) == 1
    assert run("here") == 0
    assert len([*(place / ".civitai").rglob("images/*.txt")]) == 2


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "1 of 1 model files"), ("ja", "モデルファイル 1 件中"), ("ko", "모델 파일 1개")]
)
def test_the_summary_speaks_the_users_language(run: Runner, place: Path, err: Err, lang: str, words: str) -> None:
    assert run("here", "--lang", lang) == 0
    assert words in err()


def test_json_logs_are_objects_alone(run: Runner, place: Path, err: Err) -> None:
    assert run("here", "--json-logs") == 0
    found = [json.loads(line) for line in err().splitlines()]
    assert any(each.get("event") == "file" and each["kind"] == "local" for each in found)


def test_the_log_names_where_a_folder_was_asked_for(run: Runner, place: Path, tmp_path: Path) -> None:
    assert run("here") == 0
    assert {line["source"] for line in lines(place)} == {str(tmp_path / "here")}


def test_no_current_folder_is_needed_for_a_path_that_is_whole(place: Path, site: FakeCivitai) -> None:
    words = ["-m", "civitai_downloader", str(place), "--site", site.url, "--no-gallery", "--lang", "en"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert not (place / "downloads").exists()


@pytest.mark.parametrize("line", ["../gone --sfw", "D:\\gone", r'"\\server\gone"', "~/gone", "/home/gone"])
def test_a_path_that_leads_nowhere_is_called_so(run: Runner, lora: FakeModel, err: Err, line: str) -> None:
    assert run("--only", "metadata", lines=["10001", line]) == 1
    assert "is neither a folder nor a model file on this machine; check the path." in err()


def test_a_match_by_hand_that_failed_is_tried_again(run: Runner, site: FakeCivitai, place: Path, err: Err) -> None:
    file = place / "내 모델/loras/paper_xl.safetensors"
    (place / "list.txt").write_text(f"{file} = 10009@20009 --no-gallery\n", "utf-8")
    assert run("here/list.txt") == 1
    failed = file.parent / "failed.txt"
    assert failed.read_text("utf-8").splitlines()[-1] == f'"{file}" = 10009@20009 --no-gallery'
    add_published(site.world, "second")
    failed.write_text(failed.read_text("utf-8").replace("10009@20009", "10002@20003"), "utf-8")
    assert run("--retry-failed", "-o", str(file.parent)) == 0, err()
    assert rows(file.parent)[file.name]["how"] == "hand"
    assert not failed.exists()


@pytest.mark.parametrize(
    "word",
    [
        "{tmp}/other",
        " {tmp}/other",
        "'\"{tmp}/other\"'",
        "\"'{tmp}/other'\"",
        "../other",
        "'\"../other\"'",
        "~/other",
        "other",
    ],
)
def test_the_configuration_of_a_folder_leads_to_no_folder_outside_of_it(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, monkeypatch: Home, word: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    other = put(newest(lora), tmp_path / "other").parent
    here = tmp_path / "strangers"
    here.mkdir()
    if word == "other":
        if os.name == "nt":
            pytest.skip("links need rights on Windows")
        (here / "other").symlink_to(other)
    (here / "civitai-downloader.conf").write_text(word.format(tmp=tmp_path), "utf-8")
    monkeypatch.chdir(here)
    assert run() == 2
    assert not site.requests
    assert files_under(other).keys() == {"paper_xl.safetensors"}


def test_folders_that_lie_in_each_other_are_looked_at_once(
    run: Runner, tmp_path: Path, lora: FakeModel, err: Err
) -> None:
    top = tmp_path / "top"
    put(newest(lora), top / "in" / "deep")
    put(lora.versions[1], top)
    assert run("top", "top/in", "top/", "top/in/deep", "top/in/deep/paper_xl.safetensors", "-o", "top") == 0
    assert named(top) == {"in/deep/paper_xl.safetensors", "paper_sd15.safetensors"}
    assert [*tmp_path.rglob("report.json")] == [top / "report.json"]
    assert err().count("model files identified") == 1
    assert len([line for line in lines(top) if line["status"] == "hashed"]) == 2
