"""What Windows does differently, through the command: names, open files, long paths, code pages, batch files.

Most of it holds everywhere, because a library made on one system is carried to another; what only Windows can show is
skipped elsewhere. `.ci/windows` runs this with a Windows Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path

import pytest

from civitai_downloader.__main__ import main
from civitai_downloader.util.files import size_of, write_file
from civitai_downloader.util.names import MAX_PATH, clean_name, long_path, name_key, plain_path
from tests.conftest import QuickClock, Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, Stall, Status
from tests.helpers import parse_target

ROOT = Path(__file__).parent.parent
Captured = pytest.CaptureFixture[str]
on_windows = pytest.mark.skipif(os.name != "nt", reason="only Windows does this")


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, its output in a pipe."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-m", "civitai_downloader", "--max-rate-model", "99", "--max-rate-image", "99", *words],
        cwd=ROOT, env={**plain, **environment}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


# --- Names ---------------------------------------------------------------------------------------

# Name on the site, and what it is called on every disk. `clock$` and a blank before the dot are none of them reserved.
FILES = {
    "con.safetensors": "_con.safetensors",
    "NUL": "_NUL",
    "aux .txt": "_aux.txt",
    "COM1.a.safetensors": "_COM1.a.safetensors",
    "lpt\u00b2.safetensors": "_lpt\u00b2.safetensors",
    "conout$.safetensors": "_conout$.safetensors",
    "com10.safetensors": "com10.safetensors",
    "console.safetensors": "console.safetensors",
    "a:b.safetensors": "a_b.safetensors",
    'who? *me* <x> |y| "z".safetensors': "who_ _me_ _x_ _y_ _z_.safetensors",
    "tab\there.safetensors": "tabhere.safetensors",
    "dots....safetensors": "dots.safetensors",
    "ends.safetensors. . ": "ends.safetensors",
    " begins.safetensors": "begins.safetensors",
    "..\\..\\up.safetensors": "up.safetensors",
    "C:\\Windows\\over.safetensors": "over.safetensors",
    "\\\\server\\share\\net.safetensors": "net.safetensors",
    "100% (R&D) ^!.safetensors": "100% (R&D) ^!.safetensors",
    "한국어 日本語 \U0001f3ee.safetensors": "한국어 日本語 \U0001f3ee.safetensors",
    unicodedata.normalize("NFD", "한글 é.safetensors"): "한글 é.safetensors",
}


def test_every_name_is_one_that_windows_can_keep(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    model = site.world.add_model("AUX", creator="nul")
    files = {}
    for number, name in enumerate(FILES):
        files[name] = model.add_version(f"v{number}. ").add_file(name, size=1500 + number)
    assert run("10001") == 0
    found = files_under(out / "users")
    for number, (name, file) in enumerate(files.items()):
        path = f"_nul/models/_AUX [10001]/v{number} [{20001 + number}]/{FILES[name]}"
        assert found[path] == file.data
    for path in found:
        for part in path.split("/"):
            assert part == clean_name(part)
    written = {line["path"] for line in state().values() if line["type"] == "model"}
    assert written == {
        f"users/{path}" for path, data in found.items() if data in {file.data for file in files.values()}
    }
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage")
    assert run("--verify") == 0


def test_names_that_windows_takes_for_one_meet_nowhere(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model().add_version()
    names = ["Style.safetensors", "style.SAFETENSORS", "Stra\u00dfe.safetensors", "STRASSE.safetensors"]
    names += ["caf\u00e9.safetensors", "cafe\u0301.safetensors", "CAF\u00c9.safetensors"]
    files = [version.add_file(name, size=2000 + number) for number, name in enumerate(names)]
    assert run("10001") == 0
    kept = files_under(out / "users", "*.[sS]*")
    bodies = [data for path, data in kept.items() if path.lower().endswith(".safetensors")]
    assert sorted(map(len, bodies)) == sorted(len(file.data) for file in files)
    assert all(file.data in bodies for file in files)
    keys = [name_key(path) for path in kept]
    assert len(keys) == len(set(keys))
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage")


@on_windows
def test_nothing_went_to_a_device_or_a_hidden_stream(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model().add_version()
    for name in ("nul.safetensors", "con", "file.safetensors:hidden"):
        version.add_file(name, size=4000)
    assert run("10001") == 0
    whole = [path for path, data in files_under(out / "users").items() if len(data) == 4000]
    assert sorted(Path(path).name for path in whole) == ["_con", "_nul.safetensors", "file.safetensors_hidden"]


# --- Open files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["paper.safetensors", "paper.json", "report.json"])
def test_a_file_that_a_scanner_holds_for_a_moment_is_replaced(
    run: Runner, site: FakeCivitai, out: Path, held: str
) -> None:
    site.world.add_model().add_version().add_file("paper.safetensors")
    assert run("10001") == 0
    with one_file(out, held).open("rb") as scanner:
        threading.Timer(0.4, scanner.close).start()
        assert run("10001", "--force") == 0
    assert run("--verify") == 0
    assert not list(out.rglob("*.part")) + list(out.rglob("*.tmp"))


@on_windows
def test_a_file_that_stays_open_elsewhere_fails_alone_and_comes_with_the_next_run(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    version = site.world.add_model().add_version()
    for name in ("held.safetensors", "free.safetensors"):
        version.add_file(name, size=3000)
    assert run("10001") == 0
    with one_file(out, "held.safetensors").open("rb"):
        capsys.readouterr()
        assert run("10001", "--force") == 1
    shown = capsys.readouterr().err
    assert "held.safetensors" in shown
    assert "keeps it open" in shown
    assert "Traceback" not in shown
    assert "\\\\?\\" not in shown
    assert run("10001", "--force") == 0


def test_nothing_stays_open_after_a_run(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.add_model().add_version().add_file()
    assert run("10001") == 0
    shutil.rmtree(out)
    assert run("10001") == 0
    assert run("--verify") == 0
    out.rename(out.with_name("moved"))


# --- Long paths ----------------------------------------------------------------------------------


def test_where_paths_are_short_every_path_fits(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.core.library.path_limit", lambda: MAX_PATH)
    model = site.world.add_model("model " * 30, creator="creator" * 9)
    for number in range(2):
        version = model.add_version("version " * 12 + str(number))
        version.add_file("weights " * 15 + ".safetensors", size=2000 + number)
        version.add_image(meta={"prompt": "x"})
    assert run("10001") == 0
    paths = [out / path for path in files_under(out)]
    assert len(paths) > 10
    assert max(len(str(path)) for path in paths) <= 259
    assert len({name_key(str(path)) for path in paths}) == len(paths)
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage")


def test_an_output_folder_deeper_than_windows_counts(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    deep = tmp_path.joinpath(*["a folder of fifty characters, neither more nor less"] * 5)
    file = site.world.add_model("a name " * 9).add_version().add_file("w " * 30 + ".safetensors")
    broken = site.world.add_model().add_version().add_file("broken.safetensors")
    site.fail(re.compile(rf"storage:.*{broken.id}|storage:.*broken"), Status(500), times=None)
    assert run("10001", "10002", "-o", str(deep)) == 1
    there = long_path(deep)
    assert file.data in files_under(there).values()
    assert "\\\\?\\" not in capsys.readouterr().err
    for name in ("report.json", "failed.txt", "retry.bat", "download_state.jsonl"):
        assert "\\?\\" not in (there / name).read_text("utf-8").replace("\\\\", "\\")
    assert run("--verify", "-o", str(deep)) == 0
    site.heal()
    assert run("--retry-failed", "-o", str(deep)) == 0
    shutil.rmtree(long_path(tmp_path / deep.relative_to(tmp_path).parts[0]))


def test_an_output_folder_named_by_a_detour(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    site.world.add_model().add_version().add_file("paper.safetensors")
    (tmp_path / "here").mkdir()
    assert run("10001", "-o", "here/../there/./deep") == 0
    assert one_file(tmp_path / "there" / "deep", "paper.safetensors")
    site.forget()
    assert run("10001", "-o", str(tmp_path / "there" / "deep")) == 0
    assert not site.seen("storage")


@on_windows
def test_long_and_plain_forms_of_a_path() -> None:
    for plain, long in (("C:\\a b\\c", "\\\\?\\C:\\a b\\c"), ("\\\\server\\share\\c", "\\\\?\\UNC\\server\\share\\c")):
        assert str(long_path(Path(plain))) == long
        assert str(long_path(Path(long))) == long
        assert str(plain_path(Path(long))) == plain


def test_an_output_folder_on_a_share(run: Runner, site: FakeCivitai, share: Path, out: Path, capsys: Captured) -> None:
    file = site.world.add_model("종이 & 100%").add_version().add_file("a.safetensors")
    late = site.world.add_model().add_version().add_file("broken.safetensors", size=3000)
    site.fail(re.compile("storage:.*broken"), Status(500), times=None)
    words = ("-o", str(share / "downloads"))
    assert run("10001", "10002", *words) == 1
    assert file.data in files_under(out).values()
    assert "\\\\?\\" not in capsys.readouterr().err
    for name in ("report.json", "failed.txt", "retry.bat", "download_state.jsonl"):
        assert "\\?\\" not in (out / name).read_text("utf-8").replace("\\\\", "\\")
    assert str(share / "downloads") in (out / "retry.bat").read_text("utf-8")
    site.heal()
    assert run("--retry-failed", *words) == 0
    assert one_file(out, "broken.safetensors").read_bytes() == late.data
    site.forget()
    assert run("10001", "10002") == 0
    assert not site.seen("storage")


# --- Code pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("console", ["cp949", "cp932", "cp1252"])
def test_a_console_that_can_not_show_a_name_breaks_nothing(site: FakeCivitai, tmp_path: Path, console: str) -> None:
    model = site.world.add_model("등불 ランタン é \U0001f3ee", creator="만든이")
    model.add_version("v1 \u2013 \u4e2d").add_file("종이.safetensors", size=1000)
    model.add_version("v2").add_file("locked.safetensors", needs_token=True)
    words = ["10001", "--site", site.url, "-o", str(tmp_path / "결과 結果")]
    for more in (["-v"], ["--dry-run"], ["--json-logs", "--lang", "ko"]):
        done = command(*words, *more, PYTHONIOENCODING=console, PYTHONUTF8="0")
        assert done.returncode == (0 if more == ["--dry-run"] else 1), done.stderr
        (done.stdout + done.stderr).decode(console)
        assert b"Traceback" not in done.stderr
        assert b"Logging error" not in done.stderr
    assert one_file(tmp_path / "결과 結果", "종이.safetensors")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp949", "cp932"])
def test_a_list_from_notepad(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, encoding: str, capsys: Captured
) -> None:
    comment = "# ランタン" if encoding == "cp932" else "# 등불"
    site.world.add_model().add_version().add_file("paper.safetensors")
    text = f'{comment}\r\n"{site.url}/models/10001",\r\n\r\n'
    (tmp_path / "목록 & リスト.txt").write_bytes(text.encode(encoding))
    assert run("목록 & リスト.txt") == 0
    assert one_file(out, "paper.safetensors")


# --- Words and batch files -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["목록 리스트.txt", "100% (R&D) ^!.txt", "리스트 \u2013 \U0001f3ee.txt"])
def test_words_arrive_as_they_were_given(site: FakeCivitai, tmp_path: Path, name: str) -> None:
    site.world.add_model().add_version().add_file("paper.safetensors")
    (tmp_path / name).write_text(f'10001 -o "{tmp_path}{os.sep}my own{os.sep}"\n', "utf-8")
    done = command(str(tmp_path / name), "--site", site.url, "-o", str(tmp_path / "other"))
    assert done.returncode == 0, done.stderr
    assert one_file(tmp_path / "my own", "paper.safetensors")


@pytest.mark.parametrize("name", ["R&D (x) ^ !new!", "50% %PATH%", "plain"])
def test_the_retry_batch_file_quotes_every_path(
    run: Runner, site: FakeCivitai, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name.replace(" ", "")
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_file(folder / "my & filters/Filter_sex.txt", b"")
    site.world.add_model().add_version().add_file("paper.safetensors")
    site.fail("storage:/", Status(500), times=None)
    assert run("10001", "-o", "out", "--retries", "0", "--filters", "my & filters") == 1
    script = (folder / "out" / "retry.bat").read_bytes()
    assert script.count(b"\n") == script.count(b"\r\n")
    lines = script.decode().splitlines()
    (line,) = (line for line in lines if "--retry-failed" in line)
    bare = re.sub(r'"[^"]*"', "", line).replace("%*", "")
    assert not re.search(r"[&()^!%|<>]", bare), line
    doubled = str(folder).replace("%", "%%")
    assert f'"{doubled}{os.sep}out"' in line
    assert f'pushd "{doubled}"' in lines
    assert "{" not in line


@on_windows
def test_the_retry_batch_file_runs_and_may_vanish_meanwhile(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    folder = tmp_path / "R&D (x) !new!"
    site.world.add_model().add_version().add_file("paper.safetensors")
    site.fail("storage:/", Status(500), times=None)
    assert run("10001", "-o", str(folder), "--retries", "0") == 1
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CIVITAI_NO_PAUSE": "1"}
    line = f'cmd.exe /c ""{folder}\\retry.bat" --retries 0"'
    assert subprocess.run(line, env=environment, check=False, capture_output=True).returncode == 1
    site.heal()
    done = subprocess.run(line, env=environment, check=False, capture_output=True)
    assert done.returncode == 0
    assert b"batch file" not in (done.stdout + done.stderr).lower()  # as in "The batch file cannot be found"
    assert not (folder / "retry.bat").exists()
    assert one_file(folder, "paper.safetensors")


def test_the_batch_files_are_plain() -> None:
    for path in (ROOT / "download.bat", ROOT / "civitai_downloader" / "core" / "data" / "retry.bat"):
        script = path.read_bytes()
        assert script.isascii()
        assert script.startswith(b"@echo off\r\n")
        assert script.count(b"\n") == script.count(b"\r\n")
        words = script.decode().lower()
        assert "enableextensions disabledelayedexpansion" in words
        assert max(map(len, words.splitlines())) < 1000
    labels = re.findall(r"(?m)^:(\w+)", words := (ROOT / "download.bat").read_text("ascii"))
    assert set(re.findall(r"(?:goto |call :)(\w+)", words)) == set(labels)
    assert len(labels) == len(set(labels))
    assert all(parse_target(each, "https://civitai.com") for each in re.findall(r"# +(https\S+|\d+)", words))


@on_windows
def test_closing_the_window_saves_the_state_like_ctrl_c(site: FakeCivitai, out: Path) -> None:
    site.world.add_model().add_version().add_file("big.safetensors", size=5_000_000)
    site.rate_per_connection = 1_000_000
    words = [sys.executable, "-m", "civitai_downloader", "10001", "--site", site.url, "-o", str(out)]
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, creationflags=group)
    deadline = time.monotonic() + 60
    while not [path for path in out.rglob("*.part") if path.stat().st_size > 500_000]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
    except (OSError, SystemError):
        process.kill()
        process.communicate()
        pytest.skip("needs a console")
    _, shown = process.communicate(timeout=20)
    assert process.returncode == 130, shown
    assert (out / "failed.txt").is_file()
    assert b"Traceback" not in shown


def test_a_killed_process_leaves_whole_files_alone_and_its_place_to_the_next(
    site: FakeCivitai, run: Runner, out: Path, capsys: Captured
) -> None:
    version = site.world.add_model().add_version()
    files = [version.add_file(f"{name}.safetensors", size=3_000_000) for name in ("first", "second")]
    site.fail(f"storage:.*/{files[1].id}/", Stall(2_000_000))
    words = [sys.executable, "-m", "civitai_downloader", "10001", "--site", site.url, "-o", str(out), "-q"]
    process = subprocess.Popen(words, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(out.rglob(files[0].name)) or [*map(size_of, out.rglob("second*.part"))] != [2_000_000]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert run("10001") == 2
    assert f"process {process.pid}, started" in capsys.readouterr().err
    process.kill()  # TerminateProcess on Windows
    process.wait()
    assert list(files_under(out, "*.safetensors").values()) == [files[0].data]
    site.forget()
    assert run("10001") == 0
    assert [seen.headers["range"] for seen in site.seen("storage")] == ["bytes=2000000-"]
    assert sorted(files_under(out, "*.safetensors").values()) == sorted(file.data for file in files)
    assert not list(out.rglob("*.part*"))
    lines = [json.loads(line) for line in (out / "download_state.jsonl").read_bytes().splitlines()]
    assert sorted(each["id"] for each in lines if each["type"] == "model") == [
        f"{version.id}/{each.id}" for each in files
    ]


@on_windows
def test_the_systems_language_is_asked_of_windows(
    site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    site.world.add_model().add_version().add_file()
    monkeypatch.setattr("locale.getlocale", lambda *_: ("Korean_Korea", "949"))
    assert main(["10001", "--site", site.url, "-o", str(out), "--max-rate-model", "99"], QuickClock()) == 0
    assert "모델" in capsys.readouterr().err
