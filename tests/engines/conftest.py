"""The engines, started in folders of their own, and the command in the PATH of whoever uses them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.engines.copies import Desk
from tests.engines.slurm import PROGRAMS, Slurm
from tests.fake_civitai import FakeCivitai

#: The engines that must be there, such as `parallel slurm`; without it, those that are there are tried.
REQUIRED = os.environ.get("CIVITAI_ENGINES", "").split()


def need(engine: str, programs: Sequence[str]) -> None:
    """Skip the test if one of the engine's programs is missing, or fail it if the engine has to be there."""
    missing = [each for each in programs if shutil.which(each) is None]
    if missing and engine in REQUIRED:
        pytest.fail(f"{engine} must be there, but {missing[0]} is missing")
    if missing:
        pytest.skip(f"this machine has no {missing[0]}")


def need_root() -> None:
    """Skip the test if it isn't root on Linux who runs it."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root on Linux can do this")


@pytest.fixture
def desk(tmp_path: Path, site: FakeCivitai) -> Desk:
    """Return a folder with the command in its PATH; the site is that of `site`."""
    return Desk(tmp_path / "desk", site)


@pytest.fixture
def parallel() -> None:
    """Need GNU parallel; another program of the same name won't do."""
    need("parallel", ["parallel"])


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    """Start Slurm in a folder of its own, and stop it."""
    need("slurm", PROGRAMS)
    need_root()
    with Slurm(tmp_path / "slurm") as started:
        yield started
