"""This stand-in for Internet Download Manager records how it was called and later writes the files."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

Skip = Callable[[float], None]
Meanwhile = Callable[[Callable[[int], None]], None]

# A "#!" line can't name a Python whose path contains blanks, but the shell can start it. To Python this is a string.
START = """#!/bin/sh
'''exec' "{python}" -IS "$0" "$@"
' '''
"""
STAND_IN = """import json, os, sys, time
call = os.path.join({log!r}, "%020d-%d" % (time.time_ns(), os.getpid()))
with open(call, "w", encoding="utf-8") as log:
    json.dump(sys.argv[1:], log)
os.rename(call, call + ".json")
{then}
"""
# This is fast enough for thousands of calls: each is one write, a word a line, and an empty line at the end.
QUICK = """#!/bin/sh
printf '%s\\n' "$@" '' >>{log!r}
"""


def windows_program(script: str, python: str, pip_folder: Path) -> bytes:
    """Return a real program: pip's launcher with the script in an archive behind it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("__main__.py", script)
    launcher = (pip_folder / "_vendor" / "distlib" / "t64.exe").read_bytes()
    return launcher + f'#!"{python}" -IS\r\n'.encode() + archive.getvalue()


class StandIn:
    """An executable that records how it was called and then does what it was told by `does`."""

    def __init__(self, folder: Path) -> None:
        self.path, self._log = folder / ("IDMan.exe" if os.name == "nt" else "IDMan"), folder / "calls"
        self._log.mkdir()
        self.does("")

    def does(self, then: str) -> None:
        script = STAND_IN.format(log=str(self._log), then=then)
        if os.name == "nt":
            import pip

            self.path.write_bytes(windows_program(script, sys.executable, Path(pip.__file__).parent))
            return
        self.path.write_text(START.format(python=sys.executable) + script, "utf-8")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def is_quick(self) -> None:
        """Become fast enough for thousands of calls, which a Windows program can't be."""
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
        """Return the link, folder and name of every queued file."""
        return [(words[1], words[3], words[5]) for words in self.calls() if words != ["/s"]]

    def target(self) -> Path:
        """Return where the model that was queued last should be."""
        return [Path(folder, name) for _, folder, name in self.queued() if name.endswith("safetensors")][-1]


def deliver(path: Path, data: bytes, quiet: float = 60) -> None:
    """Write a file as IDM would have done some time ago."""
    path.write_bytes(data)
    os.utime(path, (time.time() - quiet,) * 2)
