"""The processes of copies: which copy each is, and how to kill one."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def _words(file: Path) -> list[str]:
    try:
        return file.read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:  # it has ended
        return []


def copies_of(folder: Path) -> dict[int, int]:
    """Return the number of each copy that works on a folder, by its process."""
    return dict(_copies_of(folder))


def _copies_of(folder: Path) -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        words = _words(entry / "cmdline") if entry.name.isdigit() else []
        if str(folder) not in words or "--shard" not in words or "-c" not in words:
            continue
        told = words[words.index("--shard") + 1] + "".join(
            f" {line}" for line in _words(entry / "environ") if line.startswith("SLURM_ARRAY_TASK_ID=")
        )
        if found := re.search(r"^(\d+)/|TASK_ID=(\d+)$", told):
            yield int(entry.name), int(found[1] or found[2])


def kill_copy(folder: Path, number: int) -> bool:
    """Kill a copy as a power cut would (SIGKILL); return whether it was there."""
    found = [process for process, copy in copies_of(folder).items() if copy == number]
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return bool(found)
