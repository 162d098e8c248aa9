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
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pip
import pytest

from civitai_downloader import core, util
from civitai_downloader.util import UsageError
from tests.conftest import QuickClock, Runner, State, files_under, one_file
from tests.fake_civitai import HTML_PAGE, FakeCivitai, FakeFile, busy

Captured = pytest.CaptureFixture[str]

STAND_IN = """#!{python}
import json, sys, time
with open({log!r}, "a", encoding="utf-8") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
{then}
"""


class StandIn:
    """An executable that records how it was called and does what its `then` says."""

    def __init__(self, folder: Path) -> None:
        self.path, self._log = folder / ("IDMan.exe" if os.name == "nt" else "IDMan"), folder / "idm-calls.jsonl"
        self.does("")

    def does(self, then: str) -> None:
        script = STAND_IN.format(python=sys.executable, log=str(self._log), then=then)
        if os.name == "nt":  # a real program: pip's launcher with the script in an archive behind it
            launcher = Path(pip.__file__).parent / "_vendor" / "distlib" / "t64.exe"
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as inside:
                inside.writestr("__main__.py", script)
            self.path.write_bytes(launcher.read_bytes() + f'#!"{sys.executable}"\r\n'.encode() + archive.getvalue())
            return
        self.path.write_text(script, "utf-8")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self._log.read_text("utf-8").splitlines()] if self._log.exists() else []

    def forget(self) -> None:
        self._log.unlink(missing_ok=True)

    def queued(self) -> list[tuple[str, str, str]]:
        """Link, folder and name of every queued file."""
        return [(words[1], words[3], words[5]) for words in self.calls() if words != ["/s"]]


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


def test_a_link_that_has_run_out_is_queued_again_and_force_does_so_at_once(
    run: Runner, idm: StandIn, file: FakeFile, site: FakeCivitai
) -> None:
    words = ("10001", f"--idm={idm.path}", "--primary", "--only", "models")
    site.world.link_seconds = -10
    run(*words)
    site.world.link_seconds = 86400
    idm.forget()
    assert run(*words) == 3
    assert len([name for _, _, name in idm.queued() if name.endswith("safetensors")]) == 1
    idm.forget()
    assert run(*words, "--force") == 3
    assert len([name for _, _, name in idm.queued() if name.endswith("safetensors")]) == 1


def test_waiting_ends_when_everything_has_come(run: Runner, idm: StandIn, file: FakeFile, state: State) -> None:
    writes = (
        "import os, time, urllib.request\n"
        "if '/d' in sys.argv:\n"
        "    path = os.path.join(sys.argv[4], sys.argv[6])\n"
        "    data = urllib.request.urlopen(sys.argv[2]).read()\n"
        "    open(path, 'wb').write(data)\n"
        "    os.utime(path, (time.time() - 60,) * 2)\n"
    )
    idm.does(writes)
    assert run("10001", f"--idm={idm.path}", "--idm-wait") == 0
    assert {record["status"] for record in state().values()} == {"success"}
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
    run(*words, "--idm-token-url")
    links = [link for link, _, name in idm.queued() if name.endswith("safetensors")]
    assert links == [f"{site.url}/api/download/models/20001?fileId={file.id}&token=good-token"]
    shown = capsys.readouterr().err
    assert "in clear" in shown
    assert "good-token" not in shown
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]


@pytest.mark.parametrize("then", ["sys.exit(3)", ""])
def test_an_idm_that_refuses_is_told(run: Runner, idm: StandIn, file: FakeFile, capsys: Captured, then: str) -> None:
    idm.does(then)
    if not then:
        idm.path.write_bytes(b"\x7fELF no program at all")
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 1
    assert "IDM did not take the link" in capsys.readouterr().err


def test_an_idm_that_does_not_return_is_not_waited_for(idm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    idm.does("time.sleep(30)")
    waited: list[float] = []

    def wait(self: Any, timeout: float) -> int:
        waited.append(timeout)
        self.kill()
        raise subprocess.TimeoutExpired("IDMan", timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    util.Idm(idm.path, QuickClock()).add("https://x.example/a", idm.path.parent, "a")
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
        util.find_idm("")
    program = tmp_path / "Internet Download Manager" / "IDMan.exe"
    program.parent.mkdir()
    program.write_bytes(b"")
    with pytest.raises(UsageError) if os.name != "nt" else nullcontext():
        util.find_idm(str(program))  # no program: as when --idm swallowed the name of a list
    program.chmod(0o755)
    monkeypatch.setenv("ProgramFiles(x86)", str(tmp_path))
    assert util.find_idm("") == program


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
    assert core.arrival(size, expected, quiet) == state


@pytest.mark.parametrize(
    ("link", "until"),
    [
        ("https://r2.example/x?X-Amz-Date=19700102T000000Z&X-Amz-Expires=60", 86460.0),
        ("https://r2.example/x?X-Amz-Date=nonsense&X-Amz-Expires=60", 87400.0),
        ("https://b2.example/x?Authorization=3_1_2", 87400.0),
    ],
)
def test_a_link_says_when_it_runs_out(link: str, until: float) -> None:
    assert util.expiry_of(link, 1000.0) == until


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
