"""Real disks for tests: small ones in memory, and images of file systems; a test is skipped where none can be had."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civitai_downloader.core.site import Site


@contextmanager
def mounted(folder: Path, kind: str, source: str = "none", options: str = "") -> Iterator[Path]:
    """Mount a file system on a folder as long as the block lasts, or skip the test."""
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("mounts are tried on Linux alone")
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", kind, *(["-o", options] if options else []), source, str(folder)]
    if (done := subprocess.run(words, capture_output=True, text=True)).returncode:
        pytest.skip(f"this machine mounts no {kind}: {done.stderr.strip()[:80]}")
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """Take a disk away at once, whoever uses it."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def image_of(path: Path, megabytes: int, *command: str) -> Path:
    """Return an image of a disk that a command has formatted, or skip the test."""
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    if shutil.which(command[0]) is None or subprocess.run([*command, str(path)], capture_output=True).returncode:
        pytest.skip(f"{command[0]} is not here")
    return path


def at_request(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Do something when the so manieth file is asked for."""
    plain, count = Site.open, iter(range(1, 1_000_000))

    def opened(*words: object, **more: object) -> object:
        """Count a request, and let it go on."""
        if next(count) == number:
            act()
        return plain(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Site, "open", opened)
