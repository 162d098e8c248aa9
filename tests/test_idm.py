"""The hand-over to Internet Download Manager, with a stand-in that records its words and later writes the files."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pip
import pytest

from civitai_downloader.core.deliveries import Deliveries
from civitai_downloader.core.fetch import arrival
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.idm import Idm, expiry_of, find_idm
from tests.conftest import QuickClock, Runner, State, files_under, one_file
from tests.fake_civitai import HTML_PAGE, FakeCivitai, FakeFile, busy

ROOT = Path(__file__).parent.parent
# By hand with 50 and 100 as well.
MODELS, FILES = 5, 40
Captured = pytest.CaptureFixture[str]
Skip = Callable[[float], None]
Meanwhile = Callable[[Callable[[int], None]], None]

STAND_IN = """#!{python} -IS
import json, os, sys, time
call = os.path.join({log!r}, "%020d-%d" % (time.time_ns(), os.getpid()))
with open(call, "w", encoding="utf-8") as log:
    json.dump(sys.argv[1:], log)
os.rename(call, call + ".json")
{then}
"""
# Fast enough for thousands; one write for a call, words on lines, then an empty one.
QUICK = """#!/bin/sh
printf '%s\\n' "$@" '' >>{log!r}
"""
# Writes what the link gives in pieces, long after the program has returned, and later still lets it look old.
SLOWLY = """
import os, subprocess
if "/d" in sys.argv:
    writer = '''import os, sys, time, urllib.request
with open(sys.argv[2], "wb") as file:
    data = urllib.request.urlopen(sys.argv[1]).read()
    for start in range(0, len(data), 500):
        file.write(data[start : start + 500])
        file.flush()
        time.sleep(0.1)
os.utime(sys.argv[2], (time.time() - 60,) * 2)'''
    null = subprocess.DEVNULL
    words = [sys.executable, "-c", writer, sys.argv[2], os.path.join(sys.argv[4], sys.argv[6])]
    subprocess.Popen(words, stdin=null, stdout=null, stderr=null)
"""


def windows_program(script: str, python: str, pip_folder: Path) -> bytes:
    """A real program: pip's launcher with the script in an archive behind it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("__main__.py", script)
    launcher = (pip_folder / "_vendor" / "distlib" / "t64.exe").read_bytes()
    return launcher + f'#!"{python}" -IS\r\n'.encode() + archive.getvalue()


class StandIn:
    """An executable that records how it was called and does what its `then` says."""

    def __init__(self, folder: Path) -> None:
        self.path, self._log = folder / ("IDMan.exe" if os.name == "nt" else "IDMan"), folder / "calls"
        self._log.mkdir()
        self.does("")

    def does(self, then: str) -> None:
        script = STAND_IN.format(python=sys.executable, log=str(self._log), then=then)
        if os.name == "nt":
            self.path.write_bytes(windows_program(script, sys.executable, Path(pip.__file__).parent))
            return
        self.path.write_text(script, "utf-8")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def is_quick(self) -> None:
        """Take thousands of calls; a Windows program can't be that fast."""
        if os.name != "nt":
            self.path.write_text(QUICK.format(log=str(self._log / "quick")), "utf-8")

    def calls(self) -> list[list[str]]:
        if (self._log / "quick").exists():
            text = (self._log / "quick").read_text("utf-8")
            return [call.split("\n") for call in text.strip().split("\n\n")]
        return [json.loads(call.read_text("utf-8")) for call in sorted(self._log.glob("*.json"))]

    def forget(self) -> None:
        for call in self._log.iterdir():
            call.unlink()

    def queued(self) -> list[tuple[str, str, str]]:
        """Link, folder and name of every queued file."""
        return [(words[1], words[3], words[5]) for words in self.calls() if words != ["/s"]]

    def target(self) -> Path:
        """Where the model that was queued last is to be."""
        return [Path(folder, name) for _, folder, name in self.queued() if name.endswith("safetensors")][-1]


@pytest.fixture
def idm(tmp_path: Path) -> StandIn:
    folder = tmp_path / "idm 폴더"
    folder.mkdir()
    return StandIn(folder)


@pytest.fixture
def file(site: FakeCivitai) -> FakeFile:
    """A LoRA whose name has everything that a command line could stumble over."""
    version = site.world.add_model("한글 모델 100% & more!", creator="maker").add_version()
    version.add_image(meta={"prompt": "x"})
    return version.add_file("빨강 100% & (x)!.safetensors")


@pytest.fixture
def skip_time(monkeypatch: pytest.MonkeyPatch) -> Skip:
    """`skip_time(seconds)`: the clock on the wall shows so much more than it is; links are good for ten days then."""
    real = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """`meanwhile(act)` calls act(1), act(2)... each time that --idm-wait has looked and begins to wait."""
    turns = iter(range(1, 100))

    def begin(act: Callable[[int], None]) -> None:
        def sleep(clock: QuickClock, seconds: float) -> None:
            if seconds == 2:
                act(next(turns))
            plain(clock, seconds)

        plain = QuickClock.sleep
        monkeypatch.setattr(QuickClock, "sleep", sleep)

    return begin


def deliver(path: Path, data: bytes, quiet: float = 60) -> None:
    """Write a file as IDM would have done some time ago."""
    path.write_bytes(data)
    os.utime(path, (time.time() - quiet,) * 2)


def test_files_are_queued_by_name_and_the_queue_is_started_after(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai, out: Path, state: State, capsys: Captured
) -> None:
    assert run("10001", f"--idm={idm.path}", "--no-gallery") == 3
    folder = out / "users/maker/models/한글 모델 100% & more! [10001]/v1.0 [20001]"
    calls = idm.calls()
    weights = next(words for words in calls if words[5:6] == ["빨강 100% & (x)!.safetensors"])
    link = weights[1]
    assert link.startswith(f"{site.storage_url}/")
    assert "X-Amz-Signature" in link
    assert weights == ["/d", link, "/p", str(folder), "/f", "빨강 100% & (x)!.safetensors", "/n", "/a"]
    picture = next(words for words in calls if words[5:6] == ["40001.png"])
    assert picture[3] == str(folder / "images")
    assert calls[-1] == ["/s"]
    assert all(words[-2:] == ["/n", "/a"] for words in calls if words != ["/s"])
    record = state()["model", f"20001/{file.id}"]
    assert (record["status"], record["size"], record["sha256"]) == ("queued", len(file.data), file.body.sha256.lower())
    assert record["until"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert {path.name for path in folder.iterdir()} == {
        "images",
        *(f"빨강 100% & (x)!{ending}" for ending in (".civitai.info", ".json", ".metadata.json")),
    }
    assert (folder / "images/40001.txt").is_file()
    shown = capsys.readouterr().err
    assert "2 files are queued in IDM" in shown
    assert "X-Amz" not in shown
    assert not [name for name, data in files_under(out).items() if b"X-Amz" in data]


def test_nothing_is_queued_twice_and_what_has_come_is_taken(
    run: Runner, idm: StandIn, file: FakeFile, out: Path, state: State, site: FakeCivitai
) -> None:
    words = ("10001", f"--idm={idm.path}", "--no-gallery")
    run(*words)
    (queued,) = [(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors")]
    idm.forget()
    assert run(*words) == 3
    assert idm.calls() == []
    target = Path(*queued)
    deliver(target, file.data[:100], quiet=0)
    assert run(*words) == 3
    deliver(target, file.data, quiet=0)
    assert run(*words) == 3
    deliver(target, file.data)
    assert run("--verify") == 3
    assert state()["model", f"20001/{file.id}"]["status"] == "success"
    (image,) = site.world.images.values()
    deliver(target.parent / "images/40001.png", image.data)
    assert run(*words) == 0
    assert state()["image", "40001"]["status"] == "success"
    assert run("--verify") == 0
    assert idm.calls() == []


def test_wrong_bytes_fail_and_are_queued_again_by_the_next_run(
    run: Runner, idm: StandIn, file: FakeFile, out: Path, state: State, capsys: Captured
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = next(Path(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors"))
    deliver(target, b"x" * len(file.data))
    assert run("--verify") == 1
    assert "Wrong SHA256" in capsys.readouterr().err
    assert state()["model", f"20001/{file.id}"]["status"] == "failed"
    assert (out / "corrupted" / target.name).is_file()
    idm.forget()
    assert run(*words) == 3
    assert [name for _, _, name in idm.queued()] == [target.name]
    deliver(target, file.data[:50], quiet=700)
    assert run(*words) == 1


def test_a_file_that_idm_numbered_gets_its_right_name(run: Runner, idm: StandIn, file: FakeFile, state: State) -> None:
    run("10001", f"--idm={idm.path}", "--only", "models")
    target = next(Path(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors"))
    deliver(target.with_name(f"{target.stem}_2{target.suffix}"), file.data)
    deliver(target.with_name(f"{target.stem}_new{target.suffix}"), file.data)
    run("--verify")
    assert target.read_bytes() == file.data
    assert not target.with_name(f"{target.stem}_2{target.suffix}").exists()
    assert state()["model", f"20001/{file.id}"]["status"] == "success"


def test_links_that_have_run_out_are_queued_again_and_force_does_so_at_once(
    run: Runner, idm: StandIn, site: FakeCivitai, state: State, skip_time: Skip
) -> None:
    version = site.world.add_model().add_version()
    files = [version.add_file(f"{number}.safetensors") for number in range(2)]
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    assert run(*words) == 3
    old = idm.queued()
    idm.forget()
    assert run(*words, "--force") == 3
    assert len(idm.queued()) == 2
    idm.forget()
    skip_time(25 * 3600)
    assert run("--verify") == 3
    site.world.link_seconds = 10 * 86400
    assert run(*words) == 3
    assert sorted(path for _, *path in idm.queued()) == sorted(path for _, *path in old)
    assert not {link for link, *_ in idm.queued()} & {link for link, *_ in old}
    assert idm.calls()[-1] == ["/s"]
    for file in files:
        deliver(idm.target().with_name(file.name), file.data)
    assert run(*words) == 0
    assert {record["status"] for record in state().values()} == {"success"}
    assert len(idm.queued()) == 2


def test_a_link_that_runs_out_while_waiting_is_queued_again_and_started(
    run: Runner, idm: StandIn, site: FakeCivitai, skip_time: Skip, meanwhile: Meanwhile
) -> None:
    file = site.world.add_model().add_version().add_file()

    def act(turn: int) -> None:
        if turn == 2:
            skip_time(25 * 3600)
            site.world.link_seconds = 10 * 86400
        if turn == 5:
            (*_, started), again = idm.calls()[:-2], idm.calls()[-2:]
            assert started == ["/s"]
            assert [words[-1] for words in again] == ["/a", "/s"]
            deliver(idm.target(), file.data)

    meanwhile(act)
    assert run("10001", f"--idm={idm.path}", "--only", "models", "--idm-wait") == 0


def test_waiting_with_force_queues_once(
    run: Runner, idm: StandIn, site: FakeCivitai, out: Path, meanwhile: Meanwhile
) -> None:
    file = site.world.add_model().add_version().add_file()
    assert run("10001") == 0
    meanwhile(lambda turn: deliver(idm.target(), file.data) if turn == 3 else None)
    assert run("10001", f"--idm={idm.path}", "--idm-wait", "--force") == 0
    assert [name for _, _, name in idm.queued()] == [file.name]
    assert one_file(out, file.name).read_bytes() == file.data


def test_waiting_ends_when_nothing_comes_any_more(
    run: Runner, idm: StandIn, file: FakeFile, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    monkeypatch.setattr(Deliveries, "IDM_PATIENCE", 10.0)
    meanwhile(turns.append)
    assert run("10001", f"--idm={idm.path}", "--only", "models", "--idm-wait") == 3
    assert 4 <= len(turns) <= 6


def test_a_file_that_never_comes_stays_queued_and_ctrl_c_ends_the_waiting(
    run: Runner, idm: StandIn, file: FakeFile, state: State, meanwhile: Meanwhile, capsys: Captured
) -> None:
    def act(turn: int) -> None:
        if turn == 5:
            raise KeyboardInterrupt

    meanwhile(act)
    words = ("10001", f"--idm={idm.path}", "--only", "models", "--primary")
    assert run(*words, "--idm-wait") == 130
    queued = len(idm.queued())
    for _ in range(2):
        assert run("--verify") == 3
        assert run(*words) == 3
    assert len(idm.queued()) == queued
    assert state()["model", f"20001/{file.id}"]["status"] == "queued"
    assert "Traceback" not in capsys.readouterr().err


def test_an_idm_that_was_killed_midway_leaves_half_a_file(
    run: Runner, idm: StandIn, file: FakeFile, state: State, out: Path
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = idm.target()
    deliver(target, file.data[:-1], quiet=0)
    assert run(*words) == 3
    assert state()["model", f"20001/{file.id}"]["status"] == "queued"
    deliver(target, file.data[:-1], quiet=700)
    assert run("--verify") == 1
    assert not target.exists()
    assert (out / "corrupted" / target.name).is_file()
    idm.forget()
    assert run(*words) == 3
    deliver(idm.target(), file.data)
    run("--verify")
    assert state()["model", f"20001/{file.id}"]["status"] == "success"
    assert target.read_bytes() == file.data


def test_a_queued_file_that_the_user_deletes_is_queued_again(
    run: Runner, idm: StandIn, file: FakeFile, state: State
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = idm.target()
    deliver(target, file.data)
    target.unlink()
    idm.forget()
    assert run(*words) == 3
    assert idm.calls() == []
    deliver(target, file.data)
    run(*words)
    assert state()["model", f"20001/{file.id}"]["status"] == "success"
    target.unlink()
    assert run("--verify") == 1
    assert run(*words) == 3
    assert [name for _, _, name in idm.queued()] == [file.name]


def test_of_two_runs_at_once_one_queues(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai, out: Path, tmp_path: Path, capsys: Captured
) -> None:
    idm.does(f"import os\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n    time.sleep(0.05)")
    words = ["10001", f"--idm={idm.path}", "--only", "models", "--no-gallery"]
    base = [sys.executable, "-m", "civitai_downloader", "--site", site.url, "-o", str(out)]
    with subprocess.Popen([*base, *words], cwd=ROOT, stderr=subprocess.PIPE) as first:
        deadline = time.monotonic() + 60
        while not idm.calls():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert run(*words) == 2
        assert "Another run" in capsys.readouterr().err
        (tmp_path / "go").touch()
        assert first.wait(60) == 3
    assert [name for _, _, name in idm.queued()].count(file.name) == 1
    queued = len(idm.queued())
    assert run(*words, "--wait") == 3
    assert len(idm.queued()) == queued


def test_a_long_queue_is_handed_over_once_and_started_model_by_model(
    run: Runner, idm: StandIn, site: FakeCivitai, out: Path, state: State
) -> None:
    models, files = (3, 5) if os.name == "nt" else (MODELS, FILES)
    idm.is_quick()
    for model in range(models):
        version = site.world.add_model("긴 이름 " * 9).add_version("v " * 20)
        for number in range(files):
            version.add_file(f"{'이름 & ' * 9}{model}-{number}.safetensors", size=1100)
    words = [*map(str, range(10001, 10001 + models)), f"--idm={idm.path}", "--only", "models"]
    begun = time.monotonic()
    assert run(*words) == 3
    assert run.clock.now() - begun >= (models * files - 1) / 5
    calls = idm.calls()
    assert calls.count(["/s"]) == models + 1
    assert calls[-1] == ["/s"]
    targets = {(folder, name) for _, folder, name in idm.queued()}
    assert len(targets) == len(idm.queued()) == models * files
    assert max(len(subprocess.list2cmdline([str(idm.path), *call])) for call in calls) < 4096
    assert [record["status"] for record in state().values()].count("queued") == models * files
    assert run(*words) == 3
    assert len(idm.calls()) == len(calls)


@pytest.mark.parametrize("name", ["!#$%&'()+,-;=@[]^_`{}~", "한국어 日本語 \U0001f3ee é %PATH%"])
def test_every_character_of_a_folder_and_a_file_arrives_as_it_is(
    run: Runner, idm: StandIn, site: FakeCivitai, tmp_path: Path, name: str
) -> None:
    file = site.world.add_model(name, creator="maker").add_version(name).add_file(f"{name}.safetensors")
    out = tmp_path / name / "x"
    assert run("10001", f"--idm={idm.path}", "-o", str(out)) == 3
    (call, *_) = idm.calls()
    folder = str(out / "users/maker/models" / f"{name} [10001]" / f"{name} [20001]")
    assert call == ["/d", call[1], "/p", folder, "/f", f"{name}.safetensors", "/n", "/a"]
    deliver(idm.target(), file.data)
    assert run("--verify", "-o", str(out)) == 0
    assert run("10001", "-o", str(tmp_path / name / "y")) == 0
    assert one_file(tmp_path / name / "y", "*.safetensors").read_bytes() == file.data


def test_a_share_is_named_as_other_programs_name_it(
    run: Runner, idm: StandIn, file: FakeFile, share: Path, state: State
) -> None:
    run("10001", f"--idm={idm.path}", "--only", "models", "-o", str(share / "downloads"))
    folder = share / "downloads/users/maker/models/한글 모델 100% & more! [10001]/v1.0 [20001]"
    assert str(folder) in [each for _, each, _ in idm.queued()]
    deliver(idm.target(), file.data)
    run("--verify", "-o", str(share / "downloads"))
    assert state()["model", f"20001/{file.id}"]["status"] == "success"


def test_nothing_is_queued_to_a_folder_that_can_not_be_written(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    out.mkdir()
    out.chmod(0o555)
    folder = Path("/proc") if os.access(out, os.W_OK) and Path("/proc").is_dir() else out
    if folder == Path("/proc") or os.name != "nt":
        assert run(*words, "-o", str(folder / "x")) == 2
        assert "Nothing can be written to" in capsys.readouterr().err
        assert not site.requests
    out.chmod(0o755)
    (out / "users").write_bytes(b"a file where a folder is to be")
    assert run(*words) == 1
    assert idm.calls() == []
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrives", "code"), [("", 0), ("_2", 0), ("slowly", 0), ("wrong", 1)], ids=["whole", "numbered", "slow", "wrong"]
)
def test_waiting_ends_when_everything_has_come(
    run: Runner, idm: StandIn, file: FakeFile, state: State, out: Path, arrives: str, code: int
) -> None:
    at_once = (
        "import os, time, urllib.request\n"
        "if '/d' in sys.argv:\n"
        "    stem, extension = os.path.splitext(os.path.join(sys.argv[4], sys.argv[6]))\n"
        f"    path = stem + {arrives.strip('wrong')!r} + extension\n"
        "    data = urllib.request.urlopen(sys.argv[2]).read()\n"
        f"    open(path, 'wb').write(data[::{-1 if arrives == 'wrong' else 1}])\n"
        "    os.utime(path, (time.time() - 60,) * 2)\n"
    )
    idm.does(SLOWLY if arrives == "slowly" else at_once)
    assert run("10001", f"--idm={idm.path}", "--idm-wait") == code
    ended = {record["status"] for record in state().values() if record["type"] in ("model", "image")}
    assert ended == {"failed" if code else "success"}
    told = json.loads((out / "report.json").read_text("utf-8"))["files"]
    assert sorted(each["kind"] for each in told) == ["image", "model"]
    assert idm.calls()[-1] == ["/s"]


def test_a_page_is_never_queued_as_a_model(run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai) -> None:
    site.fail("storage:/", HTML_PAGE, times=None)
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 1
    assert not [name for _, _, name in idm.queued() if name.endswith("safetensors")]


def test_a_refused_file_is_not_queued_and_an_empty_queue_not_started(
    run: Runner, idm: StandIn, site: FakeCivitai, capsys: Captured
) -> None:
    site.world.add_model().add_version(needs_token=True).add_file()
    assert run("10001", f"--idm={idm.path}") == 1
    assert idm.calls() == []
    assert "Needs a token" in capsys.readouterr().err


def test_token_links_are_a_choice_with_a_warning(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models", "--token", "good-token")
    run(*words)
    assert "good-token" not in str(idm.calls())
    idm.forget()
    run(*words, "--idm-token-url", "--force")
    links = [link for link, _, name in idm.queued() if name.endswith("safetensors")]
    assert links == [f"{site.url}/api/download/models/20001?fileId={file.id}&token=good-token"]
    shown = capsys.readouterr().err
    assert "in clear" in shown
    assert "good-token" not in shown
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]


@pytest.mark.parametrize("then", ["sys.exit(3)", "import os; os.kill(os.getpid(), 9)", ""])
def test_an_idm_that_refuses_is_told(run: Runner, idm: StandIn, file: FakeFile, capsys: Captured, then: str) -> None:
    idm.does(then)
    if not then:
        idm.path.write_bytes(b"\x7fELF no program at all")
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 1
    assert "IDM did not take the link" in capsys.readouterr().err
    idm.does("")
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 3


def test_an_idm_that_does_not_return_is_not_waited_for(idm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    idm.does("time.sleep(30)")
    waited: list[float] = []

    def wait(self: Any, timeout: float) -> int:
        waited.append(timeout)
        self.kill()
        raise subprocess.TimeoutExpired("IDMan", timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    Idm(idm.path, QuickClock()).add("https://x.example/a", idm.path.parent, "a")
    assert waited[0] == 10


@pytest.mark.parametrize("words", [["--idm"], ["--idm=nowhere/IDMan.exe"]])
def test_a_missing_idm_is_told_before_any_request(
    run: Runner, site: FakeCivitai, capsys: Captured, words: list[str], file: FakeFile
) -> None:
    assert run("10001", *words) == 2
    assert "was not found" in capsys.readouterr().err
    assert not site.requests


def test_idm_is_found_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ProgramFiles", raising=False)
    with pytest.raises(UsageError):
        find_idm("")
    program = tmp_path / "Internet Download Manager" / "IDMan.exe"
    program.parent.mkdir()
    program.write_bytes(b"")
    with pytest.raises(UsageError) if os.name != "nt" else nullcontext():
        find_idm(str(program))  # no program: as when --idm swallowed the name of a list
    program.chmod(0o755)
    monkeypatch.setenv("ProgramFiles(x86)", str(tmp_path))
    assert find_idm("") == program


@pytest.mark.parametrize(
    ("size", "expected", "quiet", "state"),
    [
        (0, 100, 0, "arriving"),
        (50, 100, 599, "arriving"),
        (50, 100, 601, "wrong"),
        (100, 100, 1, "arriving"),
        (100, 100, 6, "arrived"),
        (5000, 100, 6, "wrong"),
        (100, 0, 10, "arriving"),
        (100, 0, 31, "arrived"),
    ],
)
def test_a_file_has_come_when_it_is_whole_and_quiet(size: int, expected: int, quiet: float, state: str) -> None:
    assert arrival(size, expected, quiet) == state


@pytest.mark.parametrize(
    ("link", "until"),
    [
        ("https://r2.example/x?X-Amz-Date=19700102T000000Z&X-Amz-Expires=60", 86460.0),
        ("https://r2.example/x?X-Amz-Date=nonsense&X-Amz-Expires=60", 87400.0),
        ("https://b2.example/x?Authorization=3_1_2", 87400.0),
    ],
)
def test_a_link_says_when_it_runs_out(link: str, until: float) -> None:
    assert expiry_of(link, 1000.0) == until


def test_a_busy_site_is_waited_for_before_queueing(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai
) -> None:
    site.fail("site:/api/download", busy(429, 3))
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 3


def test_a_video_that_is_a_still_is_asked_for_again_before_queueing(
    run: Runner, idm: StandIn, site: FakeCivitai
) -> None:
    version = site.world.add_model().add_version()
    version.add_file()
    version.add_image(kind="video", still_for_original=True)
    assert run("10001", f"--idm={idm.path}", "--only", "images", "--no-gallery") == 3
    assert [name for _, _, name in idm.queued()] == ["40001.mp4"]


def test_token_txt_of_the_current_folder_is_read(run: Runner, site: FakeCivitai, tmp_path: Path, out: Path) -> None:
    site.world.add_model().add_version(needs_token=True).add_file("a.safetensors")
    (tmp_path / "token.txt").write_text("\ufeffgood-token\r\n", "utf-8")
    assert run("10001") == 0
    assert one_file(out, "a.safetensors")
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]
