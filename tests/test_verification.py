"""--verify looks at every place of everything, and what it finds wrong stays wrong until it is right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, png_bytes
from tests.helpers import LORA_PAGE, Captured, Err, newest
from tests.holding import held

WEIGHTS = f"{LORA_PAGE}/v2.0 [20002]/paper_xl.safetensors"
IMAGES = f"{LORA_PAGE}/v2.0 [20002]/images"


def flip(path: Path) -> bytes:
    """Change a byte in the middle of a file, and return what it was."""
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    return data


def spoil_json(path: Path) -> bytes:
    """Cut a JSON file."""
    data = path.read_bytes()
    path.write_bytes(data[:20])
    return data


def other_id(path: Path) -> bytes:
    """Put the facts of something else into a JSON file."""
    data = path.read_bytes()
    path.write_text(json.dumps({**json.loads(data), "id": 99}))
    return data


def remove(path: Path) -> bytes:
    """Remove a file, and return what it was."""
    data = path.read_bytes()
    path.unlink()
    return data


def cut(path: Path) -> bytes:
    """Cut a file, and return what it was."""
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    return data


SPOILT: list[tuple[str, Callable[[Path], bytes]]] = [
    *((WEIGHTS, spoil) for spoil in (flip, remove, cut)),
    *((f"{IMAGES}/40001.png", spoil) for spoil in (flip, remove, cut)),
    *((f"{IMAGES}/40001.txt", spoil) for spoil in (remove, spoil_json, other_id)),
    *((f"{IMAGES}/40002.txt", spoil) for spoil in (remove, spoil_json, other_id)),
    *((f"{LORA_PAGE}/model.json", spoil) for spoil in (remove, spoil_json, other_id)),
]


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize(("path", "spoil"), SPOILT)
def test_what_is_wrong_stays_wrong_until_it_is_right(
    run: Runner, site: FakeCivitai, out: Path, err: Err, path: str, spoil: Callable[[Path], bytes]
) -> None:
    assert run("10001") == 0
    assert run("--verify") == 0
    whole = spoil(out / path)
    err()
    said = []
    for _ in range(3):
        assert run("--verify") == 1
        said.append(err())
    assert path in said[0]
    assert len(set(said)) == 1
    assert not list(out.glob("corrupted/*"))
    (out / path).write_bytes(whole)  # by hand
    assert run("--verify") == 0
    assert not (out / "failed.txt").exists()
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage") + site.seen("blob")
    assert run("--verify") == 0


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize(("path", "spoil"), SPOILT)
@pytest.mark.parametrize("words", [("10001",), ("--retry-failed",)])
def test_the_next_run_brings_exactly_what_is_wrong(
    run: Runner, site: FakeCivitai, out: Path, path: str, spoil: Callable[[Path], bytes], words: tuple[str, ...]
) -> None:
    assert run("10001") == 0
    before = files_under(out / "users")
    spoil(out / path)
    spoilt = (out / path).read_bytes() if (out / path).exists() else b""
    assert run("--verify") == 1
    assert run("--verify") == 1
    site.forget()
    assert run(*words) == 0
    after = files_under(out / "users")
    earlier = [after.pop(name) for name in list(after) if "/history/" in name]
    assert before.keys() == after.keys()
    assert [each for each in before if before[each] != after[each] and "metadata" not in each] == []
    brought = site.seen("storage") + site.seen("blob")
    assert len(brought) == (0 if path.endswith((".txt", ".json")) else 1)
    assert [*files_under(out / "corrupted").values(), *earlier] == ([spoilt] if spoilt else [])
    assert run("--verify") == 0
    assert not (out / "failed.txt").exists()
    assert not (out / "retry.sh").exists()


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("which", ["first", "second"])
def test_every_copy_is_looked_at(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch, which: str, linked: bool
) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError()))
    assert run("10001") == 0
    assert run("10001", "--layout", "comfyui") == 0
    copies = {"first": out / WEIGHTS, "second": out / "models/loras/paper_xl.safetensors"}
    whole = copies[which].read_bytes()
    copies[which].unlink()
    copies[which].write_bytes(whole[:-1] + b"?")
    other = next(path for name, path in copies.items() if name != which)
    for _ in range(2):
        assert run("--verify") == 1
    site.forget()
    assert run("--retry-failed") == 0
    assert not site.seen("storage")
    assert copies[which].read_bytes() == other.read_bytes() == whole
    assert run("--verify") == 0
    for layout in ("creator", "comfyui"):
        assert run("10001", "--layout", layout) == 0
    assert not site.seen("storage")
    copies["first"].unlink()
    assert run("--verify") == 1


def test_both_places_of_a_picture_are_looked_at(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, post: int
) -> None:
    link = f"{site.url}/posts/{post}"
    assert run(link, "--no-loras") == 0
    number = sorted(int(path.stem) for path in (out / "posts").rglob("*.png"))[0]
    assert run(f"{site.url}/images/{number}", "--no-loras") == 0
    for place in (f"posts/{post}/{number}.png", f"images/{number}.png"):
        data = (out / place).read_bytes()
        (out / place).unlink()
        assert run("--verify") == 1
        (out / place).write_bytes(data)
        assert run("--verify") == 0
    for place in (f"posts/{post}/{number}.txt", f"images/{number}.txt", f"posts/{post}/post.json"):
        (out / place).unlink()
        assert run("--verify") == 1
        assert run("--retry-failed", "--no-loras") == 0
        assert (out / place).is_file()
        assert run("--verify") == 0


@pytest.mark.usefixtures("lora")
def test_pictures_have_their_hash_in_the_log_without_being_read_again(run: Runner, out: Path, state: State) -> None:
    assert run("10001") == 0
    for number in ("40001", "40002", "40003"):
        assert len(state()["image", number]["sha256"]) == 64


@pytest.mark.usefixtures("lora")
def test_pictures_of_older_logs_get_their_hash_by_verify(run: Runner, out: Path, state: State) -> None:
    assert run("10001") == 0
    log = out / "download_state.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for line in lines:
        if line["type"] == "image":
            line["sha256"] = ""
            line.pop("prompt", None)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert run("--verify") == 0
    assert len(state()["image", "40001"]["sha256"]) == 64
    flip(out / IMAGES / "40001.png")
    (out / IMAGES / "40003.txt").unlink()
    assert run("--verify") == 1
    assert (out / "failed.txt").read_text("utf-8").count("# --verify:") == 2


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize(
    "name",
    [f"{LORA_PAGE}/model.txt", f"{LORA_PAGE}/description.html", "*.civitai.info", "*.metadata.json", "*.preview.*"],
)
def test_what_the_next_run_makes_again_is_only_named(run: Runner, out: Path, err: Err, name: str) -> None:
    assert run("10001") == 0
    path = next(out.rglob(name)) if "*" in name else out / name
    path.unlink()
    err()
    assert run("--verify") == 0
    assert path.name in err()
    assert run("10001") == 0
    assert path.is_file()
    assert run("--verify") == 0
    assert path.name not in err()


@pytest.mark.usefixtures("lora")
def test_verify_keeps_the_source_of_things_and_the_report_of_the_run(run: Runner, out: Path, state: State) -> None:
    assert run("10001", "--layout", "sharded") == 0
    report = (out / "report.json").read_bytes()
    one_file(out, "paper_xl.safetensors").unlink()
    assert run("--verify", "--token", "good-token") == 1
    assert (out / "report.json").read_bytes() == report
    assert state()["model", "20002/30002"]["source"] == "10001 --layout sharded"
    lines = (out / "failed.txt").read_text("utf-8").splitlines()
    assert lines[-1] == "10001 --layout sharded"
    assert "paper_xl.safetensors: It is no longer on disk" in lines[-2]
    assert "good-token" not in (out / "retry.sh").read_text("utf-8")


@pytest.mark.usefixtures("lora")
def test_without_a_source_a_link_to_the_thing_brings_it_home(run: Runner, site: FakeCivitai, out: Path) -> None:
    assert run("10001") == 0
    log = out / "download_state.jsonl"
    lines = [{**json.loads(line), "source": ""} for line in log.read_text("utf-8").splitlines()]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (out / WEIGHTS).unlink()
    assert run("--verify") == 1
    assert "/api/download/models/20002?fileId=30002" in (out / "failed.txt").read_text("utf-8")
    site.forget()
    assert run("--retry-failed") == 0
    assert len(site.seen("storage")) == 1
    assert run("--verify") == 0


def test_a_failed_repair_leaves_it_wrong(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    assert run("10001@20002") == 0
    flip(out / WEIGHTS)
    assert run("--verify") == 1
    newest(lora).needs_token = True
    assert run("10001@20002", "--refresh") == 1
    assert run("--verify") == 1
    assert (out / WEIGHTS).is_file()
    assert run("10001@20002", "--token", "good-token") == 0
    assert run("--verify") == 0


@pytest.mark.usefixtures("lora")
def test_lines_of_runs_stay_in_failed_txt(run: Runner, out: Path) -> None:
    assert run("777") == 1
    assert run("10001") == 0
    (out / WEIGHTS).unlink()
    assert run("--verify") == 1
    assert run("--verify") == 1
    lines = (out / "failed.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if line and line[0] != "#"] == ["777", "10001"]
    assert run("10001") == 0
    assert run("--verify") == 0
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "777"


@pytest.mark.usefixtures("lora")
def test_verify_waits_for_a_run_or_says_that_there_is_one(run: Runner, out: Path, capsys: Captured) -> None:
    assert run("10001") == 0
    with held(out / "download_state.lock"):
        assert run("--verify") == 2
        assert "--wait" in capsys.readouterr().err
    assert run("--verify", "--wait") == 0


def test_compaction_keeps_a_line_for_each_place(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = KeyedLog(path)
    for turn in range(700):
        for place in "ab":
            log.append({"type": "model", "id": "1/2", "path": place, "turn": turn})
        log.append({"type": "page", "id": "model/1", "path": "p", "turn": turn})
    log.close()
    log = KeyedLog(path, alone=True)
    log.append({"type": "image", "id": "5", "path": "i"})
    log.close()
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(line["path"], line.get("turn")) for line in lines] == [("a", 699), ("b", 699), ("p", 699), ("i", None)]
    again = KeyedLog(path)
    assert [line["path"] for line in again.places("model", "1/2")] == ["a", "b"]
    assert (again.get("model", "1/2") or {})["path"] == "b"
    again.close()


@pytest.mark.parametrize("name", ["failed.txt", "retry.sh", "retry.bat"])
def test_a_folder_in_place_of_what_is_written_is_named(
    run: Runner, out: Path, lora: FakeModel, err: Err, name: str
) -> None:
    assert run("10001") == 0
    (out / name).mkdir()
    (out / WEIGHTS).unlink()
    err()
    assert run("--verify") == 2
    said = err()
    assert name in said
    assert "Traceback" not in said


def test_a_log_that_cannot_be_read_is_named(run: Runner, out: Path, lora: FakeModel, err: Err) -> None:
    assert run("10001") == 0
    (out / "download_state.jsonl").unlink()
    (out / "download_state.jsonl").mkdir()
    err()
    for words in (["10001"], ["--verify"], ["--refilter"], ["10001", "--dry-run"]):
        assert run(*words) in (1, 2)
        said = err()
        assert "download_state.jsonl" in said or "state log" in said
        assert "Traceback" not in said
    shutil.rmtree(out / "download_state.jsonl")
    assert png_bytes(40001) in files_under(out / "users").values()


def test_what_idm_delivered_wrong_stays_wrong(run: Runner, out: Path, err: Err) -> None:
    out.mkdir()
    line = {"type": "image", "id": "5", "status": "queued", "path": "images/5.png", "until": "2099-01-01T00:00:00Z"}
    (out / "download_state.jsonl").write_text(json.dumps({**line, "source": "https://civitai.com/images/5"}) + "\n")
    (out / "images").mkdir()
    (out / "images/5.png").write_bytes(png_bytes(5)[:-5])
    os.utime(out / "images/5.png", (0, 0))
    said = []
    for _ in range(3):
        assert run("--verify") == 1
        said.append(err())
    assert len(set(said)) == 1
    (out / "images/5.png").write_bytes(png_bytes(5))
    assert run("--verify") == 0


@pytest.mark.usefixtures("lora")
def test_ctrl_c_ends_it_with_130_and_what_was_found_is_kept(
    run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    assert run("10001") == 0
    (out / WEIGHTS).unlink()
    monkeypatch.setattr("civitai_downloader.core.verification.check_json", interrupted)
    assert run("--verify") == 130
    assert state()["model", "20002/30002"]["status"] == "failed"
    monkeypatch.undo()
    assert run("--verify", "--lang", "ko") in (1, 2)
