"""The command as a user of an engine has it: in the PATH, with a configuration that leads to the imitated site."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fake_civitai import Action, FakeCivitai
from tests.fake_civitai.faults import Wire
from tests.fake_civitai.replies import Reply
from tests.helpers import MANY, ROOT, STORAGE

LIMIT = 1200
#: What the docs call the list and the shared folder.
LIST, SHARED = "models.txt", "/shared/civitai"


@dataclass(frozen=True)
class Held(Action):
    """An answer that comes when the gate is opened."""

    gate: threading.Event = field(default_factory=threading.Event)

    def send(self, wire: Wire, reply: Reply) -> None:
        while not self.gate.is_set():
            wire.pause(0.05)
        wire.send(reply)


@contextmanager
def holding(site: FakeCivitai, after: int) -> Iterator[None]:
    """Hold back all files but the first ones, so that every copy is in the middle of something meanwhile."""
    held = Held()
    if after:
        site.fail(STORAGE, Action(), after)
    site.fail(STORAGE, held, MANY)
    try:
        yield
    finally:
        site.heal()
        held.gate.set()


def block(page: str, beginning: str) -> str:
    """Return the block of a page that begins so, as it stands there."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)
    (found,) = (each for each in blocks if each.startswith(beginning))
    return str(found)


class Desk:
    """A folder to work in: the list, the command, the configuration, and the output folder `shared`."""

    def __init__(self, folder: Path, site: FakeCivitai) -> None:
        self.folder, self.shared = folder, folder / "shared"
        self._site = site
        self._make_command()
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
        }
        self.configure()

    def _make_command(self) -> None:
        (self.folder / "bin").mkdir(parents=True)
        command = self.folder / "bin" / "civitai-downloader"
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from civitai_downloader.__main__ import cli; cli()"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(start)} "$@"\n', "utf-8")
        command.chmod(0o755)

    def configure(self, *words: str) -> None:
        """Give every copy these options besides the site."""
        file = self.folder / "config" / "civitai-downloader" / "civitai-downloader.conf"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shlex.join(["--site", self._site.url, "--lang", "en", *words]) + "\n", "utf-8")

    def write_list(self, lines: Sequence[str]) -> None:
        """Write the list; what is no whole link lies on the site."""
        (self.folder / LIST).write_text("".join(f"{self._site.url}/{line}\n" for line in lines), "utf-8")

    def recipe(self, page: str, beginning: str) -> str:
        """Return a block of a page by how it begins, with our folder in place of the shared one, and nothing else."""
        return block(page, beginning).replace(SHARED, str(self.shared))

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start a program in the folder, with further variables in its environment."""
        environment = {**self.environment, **more}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(words, cwd=self.folder, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]

    def run(self, *words: str, **more: str) -> tuple[int, str]:
        """Run a program to its end; return its exit code and what it said."""
        process = self.start(*words, **more)
        said = process.communicate(timeout=LIMIT)[0]
        return process.returncode, said

    def copy(self, *words: str, output: Path | None = None, **more: str) -> tuple[int, str]:
        """Run the command over the list, into the shared folder or another one."""
        return self.run("civitai-downloader", LIST, "-o", str(output or self.shared), *words, **more)
