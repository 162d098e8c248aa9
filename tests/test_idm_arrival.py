"""What Internet Download Manager delivers is checked and taken; what does not come is queued again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civitai_downloader.core.arrivals import arrival
from civitai_downloader.core.deliveries import Deliveries
from civitai_downloader.util.idm import expiry_of
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeFile
from tests.helpers import Captured
from tests.stand_in import Meanwhile, Skip, StandIn, deliver

# This writes what the link gives in pieces, long after the program has returned. At last it makes the file look old.
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


def test_nothing_is_queued_twice_and_what_has_come_is_taken(
    run: Runner, idm: StandIn, odd_file: FakeFile, out: Path, state: State, site: FakeCivitai
) -> None:
    words = ("10001", f"--idm={idm.path}", "--no-gallery")
    run(*words)
    (queued,) = [(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors")]
    idm.forget()
    assert run(*words) == 3
    assert idm.calls() == []
    target = Path(*queued)
    deliver(target, odd_file.data[:100], quiet=0)
    assert run(*words) == 3
    deliver(target, odd_file.data, quiet=0)
    assert run(*words) == 3
    deliver(target, odd_file.data)
    assert run("--verify") == 3
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "success"
    (image,) = site.world.images.values()
    deliver(target.parent / "images/40001.png", image.data)
    assert run(*words) == 0
    assert state()["image", "40001"]["status"] == "success"
    assert run("--verify") == 0
    assert idm.calls() == []


def test_wrong_bytes_fail_and_are_queued_again_by_the_next_run(
    run: Runner, idm: StandIn, odd_file: FakeFile, out: Path, state: State, capsys: Captured
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = next(Path(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors"))
    deliver(target, b"x" * len(odd_file.data))
    assert run("--verify") == 1
    assert "SHA256 mismatch" in capsys.readouterr().err
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "failed"
    assert (out / "corrupted" / target.name).is_file()
    idm.forget()
    assert run(*words) == 3
    assert [name for _, _, name in idm.queued()] == [target.name]
    deliver(target, odd_file.data[:50], quiet=700)
    assert run(*words) == 1


def test_a_file_that_idm_numbered_gets_its_right_name(
    run: Runner, idm: StandIn, odd_file: FakeFile, state: State
) -> None:
    run("10001", f"--idm={idm.path}", "--only", "models")
    target = next(Path(folder, name) for _, folder, name in idm.queued() if name.endswith("safetensors"))
    deliver(target.with_name(f"{target.stem}_2{target.suffix}"), odd_file.data)
    deliver(target.with_name(f"{target.stem}_new{target.suffix}"), odd_file.data)
    run("--verify")
    assert target.read_bytes() == odd_file.data
    assert not target.with_name(f"{target.stem}_2{target.suffix}").exists()
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "success"


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


def test_an_idm_that_was_killed_midway_leaves_half_a_file(
    run: Runner, idm: StandIn, odd_file: FakeFile, state: State, out: Path
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = idm.target()
    deliver(target, odd_file.data[:-1], quiet=0)
    assert run(*words) == 3
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "queued"
    deliver(target, odd_file.data[:-1], quiet=700)
    assert run("--verify") == 1
    assert not target.exists()
    assert (out / "corrupted" / target.name).is_file()
    idm.forget()
    assert run(*words) == 3
    deliver(idm.target(), odd_file.data)
    run("--verify")
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "success"
    assert target.read_bytes() == odd_file.data


def test_a_queued_file_that_the_user_deletes_is_queued_again(
    run: Runner, idm: StandIn, odd_file: FakeFile, state: State
) -> None:
    words = ("10001", f"--idm={idm.path}", "--only", "models")
    run(*words)
    target = idm.target()
    deliver(target, odd_file.data)
    target.unlink()
    idm.forget()
    assert run(*words) == 3
    assert idm.calls() == []
    deliver(target, odd_file.data)
    run(*words)
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "success"
    target.unlink()
    assert run("--verify") == 1
    assert run(*words) == 3
    assert [name for _, _, name in idm.queued()] == [odd_file.name]


# --- Waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrives", "code"), [("", 0), ("_2", 0), ("slowly", 0), ("wrong", 1)], ids=["whole", "numbered", "slow", "wrong"]
)
def test_waiting_ends_when_everything_has_come(
    run: Runner, idm: StandIn, odd_file: FakeFile, state: State, out: Path, arrives: str, code: int
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
    run: Runner, idm: StandIn, odd_file: FakeFile, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []
    monkeypatch.setattr(Deliveries, "IDM_PATIENCE", 100.0)
    meanwhile(turns.append)
    assert run("10001", f"--idm={idm.path}", "--only", "models", "--idm-wait") == 3
    assert 30 <= len(turns) <= 51


def test_a_file_that_never_comes_stays_queued_and_ctrl_c_ends_the_waiting(
    run: Runner, idm: StandIn, odd_file: FakeFile, state: State, meanwhile: Meanwhile, capsys: Captured
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
    assert state()["model", f"20001/{odd_file.id}"]["status"] == "queued"
    assert "Traceback" not in capsys.readouterr().err
