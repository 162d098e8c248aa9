"""What the tests of --organize share: a folder to be put in order, kills at each step, and looks at what is there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.journal import Journal
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner
from tests.fake_civitai import FakeModel
from tests.library_disk import put

CALLS = ("link", "rename", "replace", "unlink", "symlink", "utime", "fsync", "mkdir", "remove")
OURS = ("download_state", "report.json", ".civitai/users", ".cache", "failed.txt", "retry.", ".page", "index.html")
KILLED, ENDED = 77, 78


def build(model: FakeModel, root: Path) -> Path:
    """Put two files of a model, and what people have beside such, into a folder; return it."""
    for version, folder in zip(model.versions, ("loras", "loras/새 폴더", "loras"), strict=False):
        path = put(version, root / folder)
        (path.parent / f"{path.stem}.yaml").write_text("a config\n", "utf-8")
        (path.parent / f"{path.stem}_v2.txt").write_text("notes on a second one\n", "utf-8")
    (root / "loras" / "mine.txt").write_text("nobody's\n", "utf-8")
    return root


def theirs(root: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, but for logs, reports and pages of ours."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file() or path.is_symlink())
    named = {path.relative_to(root).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(OURS)}


def weights(found: dict[str, bytes]) -> set[bytes]:
    """Return the model files among what `theirs` has found."""
    return {data for name, data in found.items() if name.endswith(".safetensors")}


def words(models: Path, into: Path, way: str, *more: str) -> list[str]:
    """Return the command that puts a folder in order."""
    return [str(models), "-o", str(into), "--layout", "by-type", "--organize", way, *more]


def killed_at(number: int, run: Runner, command: list[str]) -> bool:
    """Run a command in a process of its own that is killed before so manieth change; return whether it was.

    It is killed at the end of its job in any case, and then False is returned.
    """
    if sys.platform == "win32":
        pytest.skip("processes are not forked on Windows")
    child = os.fork()
    if child == 0:
        try:
            _count_down(number)
            os._exit(run(*command))
        finally:
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, ENDED, KILLED), code
    return code == KILLED


def _count_down(number: int) -> None:
    """Have this process killed before so manieth change on disk or in a log, once it puts files in order."""
    left = [number]
    is_on = list[bool]()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*given: Any, **more: Any) -> Any:
            if is_on:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)
            return call(*given, **more)

        return change

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    KeyedLog.append = counted(KeyedLog.append)  # type: ignore[method-assign]
    jobs = Journal.jobs

    def begun(*given: Any) -> Any:
        is_on.append(True)
        return jobs(*given)

    end = Journal.end

    def ended(*given: Any) -> None:
        end(*given)
        os._exit(ENDED)

    setattr(Journal, "jobs", begun)  # noqa: B010
    setattr(Journal, "end", ended)  # noqa: B010


def steps(root: Path) -> list[dict[str, Any]]:
    """Return the last line of each step in the log of a library."""
    log = (root / "download_state.jsonl").read_text("utf-8").splitlines()
    found = [line for line in map(json.loads, log) if line["type"] == "organize" and "/" in line["id"]]
    return list({line["id"]: line for line in found}.values())


def left_overs(*roots: Path) -> list[str]:
    """Return what a killed run has left behind below some folders."""
    found = (path for root in roots for path in root.rglob("*") if path.name.endswith((".part", ".tmp")))
    return [str(path) for path in found if not path.name.startswith("report")]
