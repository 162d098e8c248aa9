"""Files are handed over to Internet Download Manager with the right words, and once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.idm import Idm, find_idm
from tests.conftest import QuickClock, Runner, State, files_under, one_file
from tests.fake_civitai import HTML_PAGE, FakeCivitai, FakeFile, busy
from tests.helpers import ROOT, Captured
from tests.stand_in import StandIn, deliver

# These numbers are worth a try with 50 and 100, by hand.
MODELS, FILES = 4, 12


def test_files_are_queued_by_name_and_the_queue_is_started_after(
    run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai, out: Path, state: State, capsys: Captured
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
    record = state()["model", f"20001/{odd_file.id}"]
    assert (record["status"], record["size"], record["sha256"]) == (
        "queued",
        len(odd_file.data),
        odd_file.body.sha256.lower(),
    )
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


def test_of_two_runs_at_once_one_queues(
    run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai, out: Path, tmp_path: Path, capsys: Captured
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
    assert [name for _, _, name in idm.queued()].count(odd_file.name) == 1
    queued = len(idm.queued())
    assert run(*words, "--wait") == 3
    assert len(idm.queued()) == queued


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
    run: Runner, idm: StandIn, odd_file: FakeFile, share: Path, state: State
) -> None:
    run("10001", f"--idm={idm.path}", "--only", "models", "-o", str(share / "downloads"))
    folder = share / "downloads/users/maker/models/한글 모델 100% & more! [10001]/v1.0 [20001]"
    assert str(folder) in [each for _, each, _ in idm.queued()]
    deliver(idm.target(), odd_file.data)
    run("--verify", "-o", str(share / "downloads"))
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "success"


def test_nothing_is_queued_to_a_folder_that_can_not_be_written(
    run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai, out: Path, capsys: Captured
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
    (out / "users").mkdir()
    (out / "users" / "maker").write_bytes(b"a file where a folder is to be")
    assert run(*words) == 1
    assert idm.calls() == []
    assert "Traceback" not in capsys.readouterr().err


def test_a_page_is_never_queued_as_a_model(run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai) -> None:
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
    run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models", "--token", "good-token")
    run(*words)
    assert "good-token" not in str(idm.calls())
    idm.forget()
    run(*words, "--idm-token-url", "--force")
    links = [link for link, _, name in idm.queued() if name.endswith("safetensors")]
    assert links == [f"{site.url}/api/download/models/20001?fileId={odd_file.id}&token=good-token"]
    shown = capsys.readouterr().err
    assert "the token can be read in its list" in shown
    assert "good-token" not in shown
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]


@pytest.mark.parametrize("then", ["sys.exit(3)", "import os; os.kill(os.getpid(), 9)", ""])
def test_an_idm_that_refuses_is_told(
    run: Runner, idm: StandIn, odd_file: FakeFile, capsys: Captured, then: str
) -> None:
    idm.does(then)
    if not then:
        idm.path.write_bytes(b"\x7fELF no program at all")
    assert run("10001", f"--idm={idm.path}", "--only", "models") == 1
    assert "IDM didn't accept the link" in capsys.readouterr().err
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
    run: Runner, site: FakeCivitai, capsys: Captured, words: list[str], odd_file: FakeFile
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


def test_a_busy_site_is_waited_for_before_queueing(
    run: Runner, idm: StandIn, odd_file: FakeFile, site: FakeCivitai
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
