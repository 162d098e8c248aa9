"""The folder of models that tests are given is what it says, and the fake site knows of it what it should."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.hints import hints_beside
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.hashes import hashes_of
from tests.conftest import files_under
from tests.fake_civitai import FakeCivitai, World
from tests.model_folders import Entry, Expected, build_library

SMALL = {"files": 60, "models": 40, "unknown": 6, "copies": 5, "broken": 6}


@pytest.fixture(scope="module")
def site() -> Iterator[FakeCivitai]:
    with FakeCivitai(World()) as started:
        yield started


@pytest.fixture(scope="module")
def expected(site: FakeCivitai, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return build_library(tmp_path_factory.mktemp("folder") / "models", site.world)


def ask(site: FakeCivitai, path: str, body: Any = None) -> Any:
    """Return the JSON of an answer, None for a 404."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{site.url}/api/v1/{path}", data)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def versions_of(site: FakeCivitai, entries: list[Entry]) -> dict[str, set[int]]:
    """Return the versions that the bulk look-up has for each SHA256."""
    found: dict[str, set[int]] = {entry.sha256: set() for entry in entries}
    for row in ask(site, "model-versions/by-hash/ids", [*found]):
        found[row["hash"].lower()].add(row["modelVersionId"])
    return found


def test_a_folder_of_500_files_of_300_models_has_all_kinds(site: FakeCivitai, expected: Expected) -> None:
    files = expected.files.values()
    assert len(files) + len(expected.broken) == 500
    assert len({entry.model for entry in files if entry.model}) == 300
    assert (expected.count("unknown"), sum(map(len, expected.copies)) - len(expected.copies)) == (30, 20)
    assert len(expected.broken) == 10
    assert len(set(expected.broken.values())) == 6
    assert min(expected.count("autov3"), expected.count("sidecar")) >= 2
    assert len({site.world.models[entry.model].type for entry in files if entry.model}) == 7
    assert max(len(model.versions) for model in site.world.models.values()) == 2
    stems = [Path(path).with_suffix("") for path in expected.files]
    assert len(stems) > len({*stems})


def test_every_file_is_where_it_should_be_with_its_bytes(expected: Expected) -> None:
    for path, entry in expected.files.items():
        data = (expected.root / path).read_bytes()
        assert (entry.path, entry.size, entry.sha256) == (path, len(data), hashlib.sha256(data).hexdigest())
    for path in [*expected.broken, *expected.left_overs, *expected.skipped, *expected.other_kinds]:
        assert (expected.root / path).is_file()
        assert path not in expected.files
    on_disk = {path: data for path, data in files_under(expected.root).items() if path in expected.untouched}
    assert on_disk == expected.untouched


def test_copies_have_the_same_bytes_and_links_the_same_inode(expected: Expected) -> None:
    for group in expected.copies:
        assert len({expected.files[path].sha256 for path in group}) == 1
        assert len({os.stat(expected.root / path).st_ino for path in group}) == len(group)
    sums = [entry.sha256 for entry in expected.files.values()]
    assert len(sums) - len({*sums}) == 20
    assert expected.wasted == sum(entry.size for path, entry in expected.files.items() if path.startswith("backup/"))
    for link, path in expected.links.items():
        assert os.stat(expected.root / link).st_ino == os.stat(expected.root / path).st_ino
    if os.name != "nt":
        assert len(expected.links) == 2
        assert (expected.root / "webui/models/Lora/shared/loop").is_symlink()


def test_the_site_finds_by_hash_what_is_expected_and_nothing_else(site: FakeCivitai, expected: Expected) -> None:
    entries = [*expected.files.values()]
    found = versions_of(site, entries)
    for entry in entries:
        versions = found[entry.sha256]
        assert (entry.version in versions) if entry.how == "sha256" else not versions
    assert sum(len(versions) == 2 for versions in found.values()) == 3


def test_an_edited_file_is_found_by_its_weights_and_nothing_by_those_of_another(
    site: FakeCivitai, expected: Expected
) -> None:
    for entry in expected.files.values():
        path = expected.root / entry.path
        if entry.how != "sha256" and path.suffix == ".safetensors":
            autov3 = hashes_of(path, Clock(), weights=True)[1]
            answer = ask(site, f"model-versions/by-hash/{autov3}") if autov3 else None
            assert (answer or {}).get("id", 0) == (entry.version if entry.how == "autov3" else 0), path
    assert ask(site, "model-versions/by-hash/e3b0c44298fc")["id"]


def test_an_archived_model_is_known_by_its_id_alone(site: FakeCivitai, expected: Expected) -> None:
    archived = [entry for entry in expected.files.values() if entry.how == "sidecar"]
    for entry in archived:
        answer = ask(site, f"models/{entry.model}")
        assert (answer["mode"], answer["modelVersions"][0]["id"]) == ("Archived", entry.version)
        assert entry.version in {hint.version for hint in hints(expected, entry)}
    assert {bool(hints(expected, entry)[0].size) for entry in archived} == {False, True}


def hints(expected: Expected, entry: Entry) -> list[Any]:
    path = expected.root / entry.path
    found = path.stat()
    return hints_beside(path, found.st_size, found.st_mtime_ns, {each.name for each in path.parent.iterdir()})


def test_sidecars_name_many_files_before_they_are_hashed_and_none_wrongly(expected: Expected) -> None:
    named = 0
    for entry in expected.files.values():
        for hint in (hint for hint in hints(expected, entry) if hint.fits and (hint.version or hint.sha256)):
            named += 1
            assert hint.version in (0, entry.version), (entry, hint)
            assert hint.sha256 in ("", entry.sha256) or entry.how == "autov3"
    assert named > 60
    unknown = [entry for entry in expected.files.values() if entry.how == "unknown"]
    assert sum(bool(hints(expected, entry)) for entry in unknown) >= 5


def test_what_users_have_written_is_named_with_its_file(expected: Expected) -> None:
    for path, values in expected.kept.items():
        content = json.loads((expected.root / path).read_text("utf-8"))
        assert values.items() <= content.items()
    assert len([values for values in expected.kept.values() if values]) > 100
    for path, preview in expected.previews.items():
        assert Path(preview).name.startswith(Path(path).stem)
        assert preview in expected.untouched
    assert len({Path(preview).suffix for preview in expected.previews.values()}) >= 6


def test_a_small_folder_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = (build_library(tmp_path / name, World(), **SMALL) for name in ("a", "b"))
    assert first.files == second.files
    assert first.copies == second.copies
    times = [{path: (each.root / path).stat().st_mtime_ns for path in each.files} for each in (first, second)]
    assert times[0] == times[1]
    assert len(first.files) + len(first.broken) == 60
    with pytest.raises(ValueError, match="not enough models"):
        build_library(tmp_path / "c", World(), files=20, models=5, unknown=2, copies=2, broken=2)
