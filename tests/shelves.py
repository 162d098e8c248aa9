"""A small folder with a file for each way in which the site may know it, and words to look at what became of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.logs import json_line
from tests.fake_civitai import Call, FakeCivitai, FakeVersion, Fault, World, safetensors_bytes
from tests.helpers import read_json
from tests.model_headers import framed

Lines = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Shelves:
    """A folder with `known.safetensors`, `edited` (the same weights), `archived` (beside ids) and `mine` (unknown)."""

    root: Path
    world: World
    known: FakeVersion
    edited: FakeVersion
    archived: FakeVersion

    def lines(self) -> Lines:
        """Return the last line of the log on each model file."""
        log = self.root / "download_state.jsonl"
        found = [json_line(line) or {} for line in log.read_bytes().splitlines()] if log.exists() else []
        return {str(line["id"]): line for line in found if line.get("type") == "local"}

    def ends(self) -> dict[str, str]:
        """Return the status of each model file by its stem."""
        return {Path(name).stem: line.get("status", "") for name, line in self.lines().items()}

    def rows(self) -> Lines:
        """Return the rows of the report by path."""
        return {row["path"]: row for row in read_json(self.root / "report.json")["local"]["files"]}


GOOD = {"known": "success", "edited": "success", "archived": "gone", "mine": "unknown"}


def add_published(world: World, name: str) -> FakeVersion:
    """Add a model to the site with one version, one file and one picture."""
    version = world.add_model(name.title(), creator="maker").add_version()
    version.add_file(f"{name}.safetensors", safetensors_bytes(name, 3000))
    version.add_image(meta={"prompt": f"a {name}"})
    return version


def put(root: Path, name: str, data: bytes) -> Path:
    """Write a file into a folder that may not be there yet."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def edited(data: bytes) -> bytes:
    """Return a safetensors file with the same weights behind another header."""
    length = int.from_bytes(data[:8], "little")
    header = {**json.loads(data[8 : 8 + length]), "__metadata__": {"title": "mine"}}
    return framed(json.dumps(header).encode(), weights=data[8 + length :])


def build_shelves(root: Path, world: World) -> Shelves:
    """Build the folder, and what the site knows of it."""
    known, changed, archived = (add_published(world, name) for name in ("known", "edited", "archived"))
    archived.model.mode = "Archived"
    put(root, "known.safetensors", known.files[0].data)
    put(root, "sub/edited.safetensors", edited(changed.files[0].data))
    put(root, "archived.safetensors", archived.files[0].data)
    ids = {"id": archived.id, "modelId": archived.model.id, "files": [{"name": "archived.safetensors"}]}
    put(root, "archived.civitai.info", json.dumps(ids).encode())
    put(root, "mine.safetensors", safetensors_bytes("mine", 2000))
    return Shelves(root, world, known, changed, archived)


def build_on(site: FakeCivitai, root: Path) -> Shelves:
    """Build the folder for a site that runs already."""
    return build_shelves(root, site.world)


def at_turn(monkeypatch: pytest.MonkeyPatch, site: FakeCivitai, turn: int, act: Callable[[], object]) -> None:
    """Do something when the so manieth request has reached the site, before it is answered."""
    plain, count = site.strike, iter(range(1, 1_000_000))

    def strike(call: Call) -> Fault:
        if next(count) == turn:
            act()
        return plain(call)

    monkeypatch.setattr(site, "strike", strike)


def sha256(data: bytes) -> str:
    """Return the SHA256 in lower case."""
    return hashlib.sha256(data).hexdigest()
