"""Small helpers that several test files share: to look at the disk and the site, and to make things in few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal

import pytest

from civitai_downloader.core.answers import File, Image, Model, Version, read_file, read_image, read_model, read_version
from civitai_downloader.core.links import read_word
from civitai_downloader.core.places import Wanted
from civitai_downloader.core.targets import Target
from tests import fake_civitai as fake
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, FakeVersion, World

Captured = pytest.CaptureFixture[str]
Err = Callable[[], str]
Encoding = Literal["superjson", "devalue", "alternate"]

ROOT = Path(__file__).parent.parent
SHA = "ab" * 32
THING = Wanted("model", "1/2", "thing", "a/b.safetensors", (), "", size=1000, sha256=SHA)
LORA_PAGE = "users/lantern_maker/models/Paper Lantern Style [10001]"
TOKEN = ("--token", "good-token")
# These say how often and where a fault strikes.
MANY = None
MODELS = "site:/api/v1/models"
IMAGES = "site:/api/v1/images"
DOWNLOAD = "site:/api/download"
STORAGE = "storage:/"


# --- Tables --------------------------------------------------------------------------------------


def paired(*axes: Sequence[str]) -> list[Any]:
    """Return all combinations for `parametrize`; those in which no two values meet for the first time are long."""
    rows = list(product(*axes))
    pairs = {row: {*combinations(enumerate(row), 2)} for row in rows}
    chosen, missing = set(), set().union(*pairs.values())
    while missing:
        best = max(rows, key=lambda row: len(pairs[row] & missing))
        chosen.add(best)
        missing -= pairs[best]
    return [row if row in chosen else pytest.param(*row, marks=pytest.mark.long) for row in rows]


# --- On disk -------------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file."""
    found = json.loads(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def names_on_disk(out: Path, pattern: str = "users/**/*.safetensors") -> set[str]:
    """Return the names of the model files without their extensions."""
    return {path.stem for path in out.glob(pattern)}


def landed(out: Path, file: fake.FakeFile, data: bytes | None = None) -> bool:
    """Return whether the file is there, byte for byte, with nothing half-done beside it."""
    parts = [*out.rglob("*.part*"), *out.rglob("*.tmp")]
    return one_file(out, file.name).read_bytes() == (file.data if data is None else data) and not parts


def record_of(state: State, site: FakeCivitai) -> dict[str, Any]:
    """Return the last line of the state log about the first file."""
    version = next(iter(site.world.versions.values()))
    return state()["model", f"{version.id}/{version.files[0].id}"]


# --- On the site ---------------------------------------------------------------------------------


def add_file(site: FakeCivitai, size: int = 300_000, name: str = "lantern.safetensors", **more: Any) -> fake.FakeFile:
    """Add a model of one version with one file and no pictures."""
    return site.world.add_model().add_version().add_file(name, size=size, **more)


def add_model(world: World, name: str, kind: str = "LORA", creator: str = "maker", **more: Any) -> FakeVersion:
    """Add a model of one version with one file that is called like the model."""
    version = world.add_model(name, kind, creator=creator, **more).add_version()
    version.add_file(f"{name}.safetensors")
    return version


def newest(model: FakeModel) -> FakeVersion:
    """Return the newest version of a model."""
    return model.versions[0]


def replaced(size: int, seed: str = "another") -> bytes:
    """Return other bytes that are as good a model file as the first."""
    return fake.safetensors_bytes(seed, size - len(fake.safetensors_bytes(seed, 0)))


def link(site: FakeCivitai) -> str:
    """Return the link to the first model."""
    return f"{site.url}/models/{next(iter(site.world.models))}"


def ranges(site: FakeCivitai) -> list[str]:
    """Return the Range header of every request that reached storage, "" where there was none."""
    return [seen.headers.get("range", "") for seen in site.seen("storage")]


def storage_requests(site: FakeCivitai) -> int:
    """Return how many requests reached storage."""
    return len(site.seen("storage"))


def leave_part(site: FakeCivitai, run: Runner, out: Path, after: int = 1_500_000) -> Path:
    """Let a run end with so many bytes in the `.part` file."""
    site.fail(STORAGE, fake.Cut(after))
    site.fail(STORAGE, fake.HangUp(), times=0)
    site.fail(STORAGE, fake.Status(404))
    assert run(link(site)) == 1
    site.heal()
    site.forget()
    part = one_file(out, "*.part")
    assert part.stat().st_size == after
    return part


# --- As read from answers ------------------------------------------------------------------------


def file_of(number: int, name: str = "a.safetensors", **more: Any) -> File:
    """Return a file as it is read from an answer."""
    return read_file({"id": number, "name": name, "sizeKB": 1.5, **more})


def version_of(number: int = 20001, files: tuple[File, ...] = (), **more: Any) -> Version:
    """Return a version as it is read from an answer."""
    return replace(read_version({"id": number, **more}), files=files)


def model_of(*versions: Version, **more: Any) -> Model:
    """Return a model as it is read from an answer."""
    return replace(read_model({"id": 10001, "name": "Paper", **more}), versions=versions)


def image_of(url: str = "https://image.civitai.com/acc/uuid/width=450/40001.jpeg", **more: Any) -> Image:
    """Return a picture as it is read from an answer."""
    found = read_image({"url": url, **more})
    assert found is not None
    return found


def parse_target(text: str, site: str = "") -> Target | None:
    """Return the target that a word stands for, or None. `site` is a further host whose links are understood."""
    found = read_word(text, site)
    return found if isinstance(found, Target) else None
