"""A folder as INPUT: what is in it is found, hashed, named and completed, and nothing else is touched."""

from __future__ import annotations

from collections import Counter
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


@pytest.fixture
def expected(world: World, tmp_path: Path) -> Expected:
    return build_library(tmp_path / "models", world)


def rows(root: Path) -> dict[str, dict[str, Any]]:
    return {each["path"]: each for each in read_json(root / "report.json")["local"]["files"]}


def asked(site: FakeCivitai) -> Counter[str]:
    return Counter(request.path.partition("?")[0] for request in site.requests if "/api/" in request.path)


def test_a_folder_of_500_files_is_named_and_completed(run: Runner, site: FakeCivitai, expected: Expected) -> None:
    assert run(str(expected.root)) == 0
    found = rows(expected.root)
    for path, entry in expected.files.items():
        row = found[path]
        assert (row["model"] or 0, row["version"] or 0, row["how"]) == (entry.model, entry.version, entry.how), path
    assert {path for path, row in found.items() if row["how"] == "unknown" and path not in expected.files} == set(
        expected.broken
    )
    print(asked(site))
    assert 0
