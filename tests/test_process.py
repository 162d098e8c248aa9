"""The process: old encodings, closed and broken streams, a closed terminal, and systems that allow no threads."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, Status
from tests.helpers import ROOT, STORAGE, Err, add_file, names_on_disk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells, signals and locales are POSIX here")

PYTHON = shlex.quote(sys.executable)
PROGRAM = f"{PYTHON} -m civitai_downloader"


def command(site: FakeCivitai, out: Path, *more: str) -> list[str]:
    """Return the words of a run of everything in the site's world."""
    links = [f"{site.url}/models/{each}" for each in site.world.models]
    pace = ["--max-rate-model", "1000", "--max-rate-image", "1000", "--retries", "1", "--timeout", "5", "--lang", "en"]
    return [*links, "--site", site.url, "-o", str(out), *pace, *more]


def shell(script: str, site: FakeCivitai, out: Path, *more: str, **changes: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a script of the shell in which `"$@"` are the words of a run."""
    words = ["bash", "-c", script, "bash", *command(site, out, *more)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return subprocess.run(words, capture_output=True, env=environment, timeout=100, cwd=ROOT)


# --- Encodings -------------------------------------------------------------------------------------


def a_locale(folder: Path, language: str, charset: str) -> dict[str, str]:
    """Return the environment of a locale that is made for the test."""
    name = f"{language}.{charset}"
    words = ["localedef", "-i", language, "-f", charset, str(folder / name)]
    if shutil.which("localedef"):
        subprocess.run(words, capture_output=True)
    if not (folder / name).exists():
        pytest.skip("this machine can't make locales")
    return {"LOCPATH": str(folder), "LC_ALL": name}


@pytest.mark.parametrize(
    ("charset", "way"),
    [
        ("C", "-m"),
        ("ISO-8859-1", "-m"),
        ("EUC-JP", "script"),
        pytest.param("C", "script", marks=pytest.mark.long),
        pytest.param("ISO-8859-1", "script", marks=pytest.mark.long),
        pytest.param("EUC-JP", "-m", marks=pytest.mark.long),
    ],
)
def test_names_arrive_whole_under_an_old_encoding(
    site: FakeCivitai, out: Path, tmp_path: Path, charset: str, way: str
) -> None:
    names = ["랜턴", "ランタン", "Läntern", "Лампа"]
    for name in names:
        site.world.add_model(name).add_version().add_file(f"{name}.safetensors")
    script = tmp_path / "civitai-downloader"
    script.write_text("import sys\nfrom civitai_downloader.__main__ import cli\nsys.exit(cli())\n")
    plain = {"LC_ALL": "C"}
    chosen = plain if charset == "C" else a_locale(tmp_path, "ja_JP" if charset == "EUC-JP" else "en_US", charset)
    old = {**chosen, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program = PROGRAM if way == "-m" else f"{PYTHON} {script}"
    done = shell(f'{program} "$@"', site, out, "-v", **old)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"was started over in UTF-8 mode") == 1
    assert {os.fsdecode(path) for path in names_on_disk(out)} == set(names)


def test_words_keep_their_bytes_when_the_program_is_started_over(site: FakeCivitai, out: Path) -> None:
    add_file(site)
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    folder = os.fsencode(out) + b"/\xe4\xb7\xff"
    done = shell(f"{PROGRAM} \"$@\" -o $'{out}/\\xe4\\xb7\\xff'", site, out, **old)
    assert done.returncode == 0
    assert os.path.isfile(folder + b"/download_state.jsonl")


def test_main_starts_nothing_over(run: Runner, site: FakeCivitai, monkeypatch: pytest.MonkeyPatch) -> None:
    add_file(site)
    monkeypatch.setattr(os, "execve", lambda *words: pytest.fail("started over"))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert run("10001") == 0


# --- Streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full"])
def test_closed_and_full_streams_change_nothing(site: FakeCivitai, out: Path, closed: str) -> None:
    add_file(site)
    done = shell(f'{PROGRAM} "$@" {closed}', site, out)
    assert done.returncode == 0
    assert not done.stderr or b"Traceback" not in done.stderr
    assert names_on_disk(out) == {"lantern"}
    assert b"fetched" not in (out / "download_state.lock").read_bytes()


@pytest.mark.parametrize("more", ["", "--json-logs", pytest.param("-v", marks=pytest.mark.long)])
def test_a_broken_pipe_on_standard_error_does_not_change_the_exit_code(site: FakeCivitai, out: Path, more: str) -> None:
    for number in range(3):
        add_file(site, name=f"{number}.safetensors")
    done = shell(f'{PROGRAM} "$@" 2>&1 >/dev/null | head -c 1; exit ${{PIPESTATUS[0]}}', site, out, *more.split())
    assert done.returncode == 0
    assert len(names_on_disk(out)) == 3
    site.fail(STORAGE, Status(404), times=None)
    assert shell(f'{PROGRAM} "$@" --force 2>&1 | true; exit ${{PIPESTATUS[0]}}', site, out).returncode == 1


@pytest.mark.parametrize("words", ["--help", "--version", "--no-such-option"])
def test_what_nobody_reads_leaves_no_traceback(site: FakeCivitai, out: Path, words: str) -> None:
    done = shell(f"({PROGRAM} {words}; echo code $? >&3) 3>&2 2>&1 | true", site, out)
    code = 2 if "such" in words else 0
    assert f"code {code}".encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_plan_that_is_read_by_head_ends_quietly(site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model("Many").add_version()
    for number in range(400):
        version.add_file(f"{'lantern' * 10}{number}.safetensors")
    done = shell(f'{PROGRAM} "$@" --dry-run | head -1; exit ${{PIPESTATUS[0]}}', site, out)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_a_plan_that_can_not_be_written_is_a_failure(site: FakeCivitai, out: Path) -> None:
    add_file(site)
    done = shell(f'{PROGRAM} "$@" --dry-run > /dev/full', site, out)
    assert done.returncode == 1
    assert b"The output can't be written" in done.stderr
    assert b"Traceback" not in done.stderr


# --- Signals ---------------------------------------------------------------------------------------


def begin(site: FakeCivitai, out: Path, disposition: signal.Handlers) -> subprocess.Popen[bytes]:
    """Start a run that takes some seconds, and wait until its file is under way."""
    add_file(site, size=2_000_000)
    site.rate_per_connection = 400_000
    heed = partial(signal.signal, signal.SIGHUP, disposition)
    words = [sys.executable, "-m", "civitai_downloader", *command(site, out), "--connections", "1"]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heed)
    deadline = time.monotonic() + 50
    while not list(out.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_a_closed_terminal_does_as_ctrl_c(site: FakeCivitai, out: Path) -> None:
    process = begin(site, out, signal.SIG_DFL)
    assert process.stderr is not None
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.wait(50) == 130
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")
    assert (out / "report.json").is_file()


def test_ctrl_c_while_the_program_is_loaded_leaves_no_traceback() -> None:
    code = (
        "import civitai_downloader.__main__ as command\n"
        "def load(words):\n    raise KeyboardInterrupt\n"
        "command.read_command = load\n"
        "command.cli()"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_nohup_is_heeded(site: FakeCivitai, out: Path) -> None:
    process = begin(site, out, signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    site.rate_per_connection = None
    _, said = process.communicate(timeout=50)
    assert process.returncode == 0, said
    assert names_on_disk(out) == {"lantern"}


# --- A system that gives nothing -------------------------------------------------------------------


def test_a_system_without_threads_is_told_in_one_sentence(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert run("10001") == 1
    said = err()
    assert "The system doesn't allow more threads" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_with_two_threads_everything_arrives(
    site: FakeCivitai, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        add_file(site, name=f"{number}.safetensors")
    plain, started = threading.Thread.start, list[str]()

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith(("lora", "metadata")):
            if len(started) >= 2:
                raise RuntimeError("can't start new thread")
            started.append(thread.name)
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert run(*map(str, site.world.models)) == 0
    assert len(names_on_disk(out)) == 5


def test_a_system_with_few_open_files_is_enough(site: FakeCivitai, out: Path) -> None:
    for number in range(6):
        add_file(site, name=f"{number}.safetensors")
    assert shell(f'ulimit -n 24; {PROGRAM} "$@"', site, out).returncode == 0
    assert len(names_on_disk(out)) == 6


def test_no_memory_is_told_without_a_traceback(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("civitai_downloader.core.visits.model_text", refuse)
    assert run("10001") == 1
    said = err()
    assert "The system has no memory left" in said
    assert "Traceback" not in said
