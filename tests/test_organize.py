"""A folder put in order: its identified files go where a layout says, with their companions, in four ways."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.library_disk import asked, last, lines, put

WAYS = ("symlink", "hardlink", "copy", "move")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "sorted"


@pytest.mark.parametrize("way", WAYS)
def test_each_way(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, into: Path, way: str) -> None:
    path = put(lora.versions[0], models / "loras")
    data = path.read_bytes()
    assert run(str(models), "-o", str(into), "--layout", "by-type", "--organize", way) == 0
    print(files_under(into).keys(), files_under(models).keys())
    new = into / "LORA" / path.name
    assert new.read_bytes() == data
    assert path.exists() == (way != "move")
    for line in lines(models, "organize"): print(line)
    site.forget()
    assert run(str(models), "-o", str(into), "--layout", "by-type", "--organize", way) == 0
    assert not site.requests
    assert run("--undo", str(models)) == 0
    print(files_under(into).keys(), files_under(models).keys())
    assert path.read_bytes() == data
    assert not os.path.lexists(new)
    assert run(str(models)) == 0
    assert not site.requests
