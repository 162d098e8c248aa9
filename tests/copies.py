"""Copies of the command as processes of their own, and what their logs say together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fake_civitai import FakeCivitai
from tests.fake_civitai.server import Seen
from tests.helpers import ROOT

Said = tuple[int, str]
PACE = ("--max-rate-model", "1000", "--max-rate-image", "1000", "--retries", "2", "--timeout", "10", "--lang", "en")


def start(site: FakeCivitai, out: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command; a later option wins."""
    command = [sys.executable, "-m", "civitai_downloader", "--site", site.url, "-o", str(out), *PACE, *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], seconds: float = 110) -> Said:
    """Wait for a command, and return its exit code and what it said."""
    said = process.communicate(timeout=seconds)[1]
    return process.returncode, said


def run_copies(site: FakeCivitai, out: Path, count: int, *words: str) -> list[Said]:
    """Run so many copies at the same time, and return how each ended."""
    started = [start(site, out, "--shard", f"{index}/{count}", *words) for index in range(1, count + 1)]
    return [end(each) for each in started]


def write_list(folder: Path, lines: Iterable[object]) -> str:
    """Write a list of links and return its path."""
    path = folder / "list.txt"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def logs_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of each state log by its name."""
    return {path.name: [*map(json.loads, path.read_text("utf-8").splitlines())] for path in out.glob("*.jsonl")}


def told(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[tuple[str, ...]]:
    """Return what logs say together of each place of each thing: type, id, status, path, size and SHA256.

    A `.metadata.json` has the path and the time of its file in it, so it is another one in each folder.
    """
    last: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for line in sorted((line for lines in logs.values() for line in lines), key=lambda each: str(each["at"])):
        last[line["type"], line["id"], line["path"]] = line
    lines = (line for line in last.values() if line["type"] != "library")
    return {tuple(str(line.get(name, "")) for name in _shown(line)) for line in lines}


def _shown(line: Mapping[str, Any]) -> tuple[str, ...]:
    place = ("type", "id", "status", "path")
    return place if str(line["path"]).endswith(".metadata.json") else (*place, "size", "sha256")


def fetched(seen: Iterable[Seen]) -> list[str]:
    """Return what was fetched from the storage, each request once."""
    return sorted(each.path for each in seen if each.host == "storage" and each.status < 300 and each.method == "GET")
