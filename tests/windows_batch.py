"""Drives `download.bat` and `retry.bat` under Wine as Explorer would: double-click, a list dropped on it, a broken PC.

`.ci/windows` runs this (plain pytest does not collect it) and names by the environment what is needed:
WINDOWS_PYTHON is the folder of a Windows `python.exe` that can make environments, WINDOWS_WHEELS a folder of wheels to
install from, instead of a network. The fake site runs outside of Wine, on loopback.

Not shown here, because the cmd of Wine 8 is not true to Windows in it: `%` in the folder's name, and paths beyond ASCII
in the text of a batch file (`retry.bat`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.fake_civitai import FakeCivitai, Status, World
from tests.stand_in import STAND_IN, windows_program

ROOT = Path(__file__).parent.parent
PYTHON = Path(os.environ["WINDOWS_PYTHON"])
WHEELS = Path(os.environ["WINDOWS_WHEELS"])
PARTS = ("civitai_downloader", "filters", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "download.bat")
# Explorer starts a batch file with a command line of its own, from a folder of its own.
EXPLORER = r"import subprocess, sys; sys.exit(subprocess.call(sys.argv[1], cwd=sys.argv[2]))"
SYSTEM = r"C:\windows\system32"
FIRST_TIME = "Setting up."


def windows(path: Path) -> str:
    """How Windows calls a path of this machine."""
    return "Z:" + str(path).replace("/", "\\")


def locale_of(name: str) -> str:
    """Where a folder has such a name, if this machine has that locale: code page 949, 932, else a western one."""
    wanted = "ko_KR" if "한" in name else "ja_JP" if "日" in name else ""
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()
    return next((each for each in known if wanted and each.startswith(wanted)), "C.UTF-8")


def other_pythons(folder: Path) -> Path:
    """Commands as some machines have them: one that is too old, one that is none, one that is a batch file."""
    folder.mkdir()
    (folder / "py.bat").write_bytes(b"@exit /b 1\r\n")
    (folder / "python.bat").write_bytes(b"@exit /b 9009\r\n")
    (folder / "python3.bat").write_bytes(f'@"{windows(PYTHON)}\\python.exe" %*\r\n'.encode())
    return folder


@dataclass
class Ran:
    code: int
    said: str


@dataclass
class Place:
    """A folder as a user has it after unpacking, on a machine with Python (or without)."""

    folder: Path
    site: FakeCivitai
    environment: dict[str, str] = field(default_factory=dict)

    def unpack(self) -> Place:
        self.folder.mkdir(parents=True)
        for name in PARTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, self.folder)
        return self

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
        return path

    def start(self, *words: str, file: str = "download.bat", cwd: str = SYSTEM, plain: bool = False) -> Ran:
        """Start a batch file of the folder; the words come behind it, then those that lead to the fake site."""
        pace = ["--max-rate-model", "99", "--max-rate-image", "99", "--retries", "1", "--lang", "en"]
        lead = [] if plain else ["--site", self.site.url, *pace]
        line = " ".join([f'"{windows(self.folder / file)}"', *words, *lead])
        return self.run(f'cmd.exe /c "{line}"', cwd)

    def run(self, line: str, cwd: str = SYSTEM) -> Ran:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))},
            "CIVITAI_NO_PAUSE": "1",
            "WINEPATH": windows(PYTHON),
            "PIP_CONFIG_FILE": "nul",
            "PIP_NO_INDEX": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_FIND_LINKS": windows(WHEELS),
            **self.environment,
        }
        environment = {name: value for name, value in environment.items() if value}
        command = ["wine", windows(PYTHON / "python.exe"), "-c", EXPLORER, line, cwd]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output: list[bytes] = []
        # What a batch file opened, such as an editor, lives on and may hold the pipe.
        assert process.stdout
        chunks = iter(partial(os.read, process.stdout.fileno(), 65536), b"")
        reader = threading.Thread(target=lambda: output.extend(chunks), daemon=True)
        reader.start()
        code = process.wait(200)
        reader.join(2)
        said = b"".join(output).decode("utf-8", "replace")
        print(f"> {line}   [{cwd}]\n{said}exit code {code}\n")
        return Ran(code, said)

    def has(self, name: str) -> bytes | None:
        """The bytes of a file that was brought home."""
        return next((path.read_bytes() for path in (self.folder / "downloads").rglob(name)), None)


@pytest.fixture(scope="module")
def site() -> Iterator[FakeCivitai]:
    world = World()
    for name in ("paper", "종이 (등불) & 100%", "ランタン!"):
        world.add_model(name).add_version().add_file(f"{name}.safetensors", size=3000)
    with FakeCivitai(world) as started:
        yield started


@pytest.fixture(autouse=True)
def healthy(site: FakeCivitai) -> None:
    site.heal()
    site.forget()


@pytest.fixture
def bare(tmp_path: Path, site: FakeCivitai) -> Place:
    """A folder that was just unpacked."""
    return Place(tmp_path / "just unpacked", site).unpack()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, site: FakeCivitai) -> Place:
    """A folder whose environment is there; tests work on copies."""
    folder = tmp_path_factory.mktemp("settled") / "日本語 モデル"
    place = Place(folder, site, {"LC_ALL": locale_of(folder.name)}).unpack()
    ran = place.start("--version", plain=True)
    assert ran.code == 0
    assert FIRST_TIME in ran.said
    return place


@pytest.fixture
def ready(tmp_path: Path, site: FakeCivitai, settled: Place) -> Place:
    """A folder with its environment, moved from where that was made; packages can't be had any more."""
    folder = tmp_path / "moved (here)"
    shutil.copytree(settled.folder, folder)
    place = Place(folder, site, {"PIP_FIND_LINKS": windows(tmp_path)})
    place.write("models.txt", "10001")
    return place


def test_first_run_second_run_and_a_dropped_list(tmp_path: Path, site: FakeCivitai) -> None:
    folder = tmp_path / "R&D (x86) ^ new! 한국어"
    environment = {"LC_ALL": locale_of(folder.name), "WINEPATH": windows(other_pythons(tmp_path / "shims 심"))}
    place = Place(folder, site, environment).unpack()
    place.write("models.txt", "# 하나", "10001")
    first = place.start()
    assert first.code == 0
    assert FIRST_TIME in first.said
    assert "Finished without errors." in first.said
    assert place.has("paper.safetensors") == site.world.models[10001].versions[0].files[0].data
    assert (place.folder / "downloads" / "download_state.jsonl").is_file()

    place.environment |= {"PIP_FIND_LINKS": windows(tmp_path), "WINEPATH": ""}
    site.forget()
    second = place.start()
    assert second.code == 0
    assert FIRST_TIME not in second.said
    assert not site.seen("storage")

    dropped = place.write("드롭 リスト & more.txt", "10002", "10003")
    third = place.start(f'"{windows(dropped)}"')
    assert third.code == 0
    assert place.has("종이 (등불) & 100%.safetensors")
    assert place.has("ランタン!.safetensors")


@pytest.mark.parametrize("ending", ["", "\\"])
def test_a_dropped_folder_of_models_is_looked_through(
    ready: Place, tmp_path: Path, site: FakeCivitai, ending: str
) -> None:
    models = tmp_path / "my models & (more)"
    models.mkdir()
    (models / "renamed.safetensors").write_bytes(site.world.models[10001].versions[0].files[0].data)
    ran = ready.start(f'"{windows(models)}{ending}"', "--no-gallery")
    assert ran.code == 0
    assert "1 of 1 model files identified" in ran.said
    assert (models / "renamed.civitai.info").is_file()
    assert not (ready.folder / "downloads").exists()


def test_without_a_list_a_template_is_made_and_opened(bare: Place) -> None:
    bare.environment = {"CIVITAI_NO_PAUSE": ""}
    bare.write("notepad.bat", "@echo %* > noted.txt")
    ran = bare.start(plain=True)
    assert ran.code == 2
    assert "an empty one was created" in ran.said
    assert "Press any key" in ran.said
    assert (bare.folder / "models.txt").read_bytes().startswith(b"# One link per line.")
    assert b"\r\nhttp" not in (bare.folder / "models.txt").read_bytes()
    noted, deadline = bare.folder / "noted.txt", time.monotonic() + 60
    while not (noted.exists() and noted.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert noted.read_text().strip() == "models.txt"
    assert not (bare.folder / ".venv").exists()


def test_a_template_without_a_link_is_nothing_to_do(ready: Place) -> None:
    (ready.folder / "models.txt").unlink()
    assert ready.start().code == 2
    ran = ready.start()
    assert ran.code == 2
    assert "Nothing was done" in ran.said


def test_a_users_list_is_enough(ready: Place) -> None:
    (ready.folder / "models.txt").unlink()
    ready.write("users.txt", "nobody-of-that-name")
    ran = ready.start()
    assert ran.code == 1
    assert "something failed" in ran.said


@pytest.mark.parametrize(("name", "cut"), [("a&b.txt", "a"), ("a^b.txt", "ab.txt"), ("a,b.txt", "a"), ("a=b.txt", "a")])
def test_a_dropped_name_that_arrives_cut_is_explained(bare: Place, tmp_path: Path, name: str, cut: str) -> None:
    (tmp_path / name).write_text("10001\n")
    assert " " not in str(tmp_path)  # Explorer quotes only what holds a blank
    ran = bare.start(windows(tmp_path / name), plain=True)
    assert f'There is no file "{windows(tmp_path)}\\{cut}".' in ran.said
    assert "rename the file" in ran.said
    if "&" not in name:
        assert ran.code == 2


def test_a_list_named_from_another_folder(ready: Place, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "some list.txt").write_text("10002\n")
    ran = ready.start('"some list.txt"', cwd=windows(tmp_path / "there"))
    assert ran.code == 0
    assert ready.has("종이 (등불) & 100%.safetensors")
    assert not ready.has("paper.safetensors")


def test_links_and_options_are_passed_on(ready: Place) -> None:
    assert ready.start("10002", "--types", "LORA,Checkpoint", "-o", '"my (own) & folder"').code == 0
    assert next((ready.folder / "my (own) & folder").rglob("*.safetensors"))
    assert not (ready.folder / "downloads").exists()


def test_a_shortcut_with_idm_queues_everything(ready: Place) -> None:
    log = ready.folder / "calls"
    log.mkdir()
    script = STAND_IN.format(python="", log=windows(log), then="")
    program = windows_program(script, windows(PYTHON / "python.exe"), PYTHON / "Lib" / "site-packages" / "pip")
    (ready.folder / "IDMan.exe").write_bytes(program)
    ran = ready.start("--idm=IDMan.exe")
    assert ran.code == 3
    assert "still queued in IDM" in ran.said
    queued, *_, started = [json.loads(call.read_text("utf-8")) for call in sorted(log.iterdir())]
    assert queued[:1] + queued[2:] == ["/d", "/p", queued[3], "/f", "paper.safetensors", "/n", "/a"]
    assert queued[3].startswith(windows(ready.folder / "downloads" / "users"))
    assert started == ["/s"]


def test_no_python(bare: Place) -> None:
    bare.write("models.txt", "10001")
    bare.environment = {"WINEPATH": ""}
    ran = bare.start()
    assert ran.code == 2
    assert "python.org" in ran.said
    assert "PATH" in ran.said
    assert not (bare.folder / ".venv").exists()


def test_a_broken_environment_is_made_anew_as_soon_as_packages_can_be_had(ready: Place) -> None:
    (ready.folder / ".venv" / "Scripts" / "python.exe").write_bytes(b"")
    ran = ready.start()
    assert ran.code == 2
    assert "Updating" in ran.said
    assert FIRST_TIME in ran.said
    assert "could not be installed" in ran.said
    assert not (ready.folder / ".venv" / "version.txt").exists()
    ready.environment["PIP_FIND_LINKS"] = windows(WHEELS)
    ran = ready.start()
    assert ran.code == 0
    assert FIRST_TIME in ran.said
    assert ready.has("paper.safetensors")


def test_another_version_is_installed_and_without_a_network_the_old_one_goes_on(ready: Place) -> None:
    stamp = ready.folder / ".venv" / "version.txt"
    version = stamp.read_text()
    stamp.write_text("0.0.1")
    ran = ready.start()
    assert ran.code == 0
    assert "continuing with the version" in ran.said
    ready.environment["PIP_FIND_LINKS"] = windows(WHEELS)
    ran = ready.start()
    assert ran.code == 0
    assert FIRST_TIME not in ran.said
    assert stamp.read_text() == version


def test_a_failing_download_and_the_retry(ready: Place, site: FakeCivitai) -> None:
    site.fail("storage:/", Status(500), times=None)
    ran = ready.start()
    assert ran.code == 1
    assert "something failed" in ran.said
    site.heal()
    retry = ready.folder / "downloads" / "retry.bat"
    assert retry.is_file()
    ran = ready.start(file="downloads\\retry.bat", plain=True)
    assert ran.code == 0
    assert "missing" not in ran.said
    assert "batch" not in ran.said
    assert not retry.exists()
    assert ready.has("paper.safetensors")
