"""A folder as INPUT: what is in it is found, hashed, named and completed, and nothing else is touched."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, World
from tests.helpers import read_json
from tests.model_folders import Expected, build_library


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def site(world: World) -> Any:
    with FakeCivitai(world) as started:
        yield started


SIZES = [{"files": 150, "models": 90, "unknown": 12, "copies": 8, "broken": 5}, {"files": 500, "models": 300}]


@pytest.fixture(params=[SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.long)], ids=["150", "500"])
def expected(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Expected:
    return build_library(tmp_path / "models", world, **request.param)


BY_HASH = "/api/v1/model-versions/by-hash/"


ENDINGS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"}
_watching: list[list[str]] = []


def _note_open(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _watching and isinstance(args[0], (str, os.PathLike)):
        _watching[-1].append(os.fspath(args[0]))


sys.addaudithook(_note_open)


@contextmanager
def opening(paths: list[str]) -> Iterator[None]:
    """Note the paths of all files that are opened meanwhile."""
    _watching.append(paths)
    try:
        yield
    finally:
        _watching.remove(paths)


def rows(root: Path) -> dict[str, dict[str, Any]]:
    return {each["path"]: each for each in read_json(root / "report.json")["local"]["files"]}


def asked(site: FakeCivitai) -> Counter[str]:
    return Counter(request.path.partition("?")[0] for request in site.requests if "/api/" in request.path)


def test_a_folder_of_hundreds_of_files_is_named_and_completed(
    run: Runner, site: FakeCivitai, expected: Expected
) -> None:
    assert run(str(expected.root)) == 0
    found = rows(expected.root)
    for path, entry in expected.files.items():
        row = found[path]
        assert (row["model"] or 0, row["version"] or 0, row["how"]) == (entry.model, entry.version, entry.how), path
    assert {path for path, row in found.items() if row["how"] == "unknown" and path not in expected.files} == set(
        expected.broken
    )
    requests = asked(site)
    apart = sum(
        count for path, count in requests.items() if "getGenerationData" in path or len(path) == len(BY_HASH) + 12
    )
    assert sum(requests.values()) - apart <= 10, requests


def test_a_second_run_asks_nothing_and_opens_no_model(run: Runner, site: FakeCivitai, expected: Expected) -> None:
    assert run(str(expected.root)) == 0
    site.forget()
    opened: list[str] = []
    with opening(opened):
        assert run(str(expected.root)) == 0
    assert not asked(site)
    assert not [path for path in opened if Path(path).suffix in ENDINGS and "/models/" in path]
