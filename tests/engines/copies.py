"""The command as a user of an engine has it: in the PATH, with a configuration that leads to the imitated site."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fake_civitai import FakeCivitai
from tests.helpers import ROOT

LIMIT = 1200
#: What the docs call the list and the shared folder.
LIST, SHARED = "models.txt", "/shared/civitai"


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
