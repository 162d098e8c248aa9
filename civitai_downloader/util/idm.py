"""Internet Download Manager (IDM): handing links over, and seeing what has arrived."""

from __future__ import annotations

import calendar
import glob
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .clock import DAY, Clock
from .errors import Failure, UsageError
from .files import size_of
from .names import registry_value
from .pace import Pace


class Idm:
    """The download queue of IDM, filled by its command line.

    Its command line does not report what happens to a link; only the disk shows that a file has arrived.
    """

    def __init__(self, program: Path, clock: Clock) -> None:
        self._program, self._pace = program, Pace(5, clock)

    def add(self, url: str, folder: Path, name: str) -> None:
        """Add a link to the queue, without starting it and without a dialog. Raises Failure and Stopped."""
        self._pace.wait()
        self._run("/d", url, "/p", str(folder), "/f", name, "/n", "/a")

    def start(self) -> None:
        """Start the queue. Raises Failure."""
        self._run("/s")

    def _run(self, *words: str) -> None:
        """Run the program, for ten seconds at most: if IDM is not running yet, it becomes IDM and does not end."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            code = subprocess.Popen([str(self._program), *words], **quiet).wait(10)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return
        except OSError as error:
            raise Failure(
                "idm", "{program} can't be run ({reason}); check --idm.",
                program=self._program.name, reason=error.strerror,
            ) from None  # fmt: skip
        if code:
            raise Failure(
                "idm", "{program} didn't accept the link (exit code {code}); try to add it by hand.",
                program=self._program.name, code=code,
            )  # fmt: skip


def find_idm(named: str) -> Path:
    """Return the path of IDMan.exe: as named, else by IDM's registry entry, its usual folders or the PATH.

    Raises UsageError if it is not there.
    """
    folders = [os.environ[name] for name in ("ProgramFiles(x86)", "ProgramFiles", "ProgramW6432") if name in os.environ]
    places = [Path(folder, "Internet Download Manager", "IDMan.exe") for folder in folders]
    registered = registry_value("HKEY_CURRENT_USER", r"Software\DownloadManager", "ExePath")
    usual = [Path(str(registered or "")), *places, Path(shutil.which("IDMan") or "")]
    for candidate in [Path(named)] if named else usual:
        if shutil.which(str(candidate.absolute())):
            return candidate.absolute()
    if named:
        raise UsageError("Internet Download Manager was not found at {path}; check --idm.", path=named)
    raise UsageError("Internet Download Manager was not found; pass its path with --idm=PATH.")


def delivered(path: Path, size: int) -> Path | None:
    """Return the file that IDM wrote for `path`: that path, or `name_2.ext` of this size beside it. None if none."""
    if path.is_file():
        return path
    numbered = path.parent.glob(f"{glob.escape(path.stem)}_*{glob.escape(path.suffix)}")
    whole = (each for each in sorted(numbered) if re.fullmatch(r"_\d+", each.stem[len(path.stem) :]))
    return next((each for each in whole if size and size_of(each) == size), None)


def seconds_quiet(path: Path) -> float:
    """Return for how many seconds nobody has written to a file, 0 while another program has it open (Windows)."""
    try:
        os.rename(path, path)
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def expiry_of(url: str, now: float) -> float:
    """Return the Unix time at which a signed link expires, by its own words: at most 7 days after it was signed.

    A day from `now` if it says nothing.
    """
    try:
        query = parse_qs(urlsplit(url).query)
        signed, seconds = (query.get(name, [""])[0] for name in ("X-Amz-Date", "X-Amz-Expires"))
        began = calendar.timegm(time.strptime(signed, "%Y%m%dT%H%M%SZ"))
        return min(began + max(0.0, min(7 * DAY, float(seconds))), now + 8 * DAY)
    except (ValueError, OverflowError):
        return now + DAY
