"""What the tests of folders as INPUT do on disk, and how they read what a run has left there."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fake_civitai import FakeCivitai, FakeVersion
from tests.helpers import read_json

BY_HASH = "/api/v1/model-versions/by-hash/"
SIDECARS = (".civitai.info", ".json", ".metadata.json")


def put(version: FakeVersion, folder: Path, name: str = "", *, at: int = 0) -> Path:
    """Put a file of a version into a folder, as somebody has downloaded it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or version.files[at].name)
    path.write_bytes(version.files[at].data)
    return path


def touch(path: Path) -> None:
    """Give a file another time, as a program does that writes it anew."""
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 5_000_000_000))


def rows(root: Path) -> dict[str, dict[str, Any]]:
    """Return what the report says of the files of a library, by path."""
    return {each["path"]: each for each in read_json(root / "report.json")["local"]["files"]}


def what(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a row of the report says that a file is."""
    return row["how"], row["model"], row["version"], row["file"]


def lines(root: Path, kind: str = "local") -> list[dict[str, Any]]:
    """Return the lines of a kind in the log of a library, in their order."""
    text = (root / "download_state.jsonl").read_text("utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["type"] == kind]


def last(root: Path, path: str) -> dict[str, Any]:
    """Return the last line of the log about a file that was found."""
    return [line for line in lines(root) if line["id"] == path][-1]


def edit_log(root: Path, **changes: Any) -> None:
    """Change all lines of the log about files that were found, for example the time of them."""
    log = root / "download_state.jsonl"
    found = map(json.loads, log.read_text("utf-8").splitlines())
    changed = ({**line, **changes} if line["type"] == "local" else line for line in found)
    log.write_text("".join(json.dumps(line) + "\n" for line in changed), "utf-8")


def asked(site: FakeCivitai) -> Counter[str]:
    """Return how often each interface was asked; a request for several prompts counts once."""
    paths = (request.path.partition("?")[0] for request in site.requests if "/api/" in request.path)
    return Counter("prompts" if "getGenerationData" in path else path for path in paths)


def downloads(site: FakeCivitai) -> list[str]:
    """Return the requests for model files."""
    return [request.path for request in site.requests if "/api/download/" in request.path]
