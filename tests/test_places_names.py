"""A name that is hostile, too long or shared by two files still leads to a place of its own in the folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from civitai_downloader.util.names import name_key
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import add_file, link


def test_a_name_too_long_for_the_disk_is_cut(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2000, "랜턴" * 100 + ".safetensors")
    site.world.models[10001].name = "긴 이름" * 100
    assert run(link(site)) == 0
    (name, data), *more = files_under(out / "users", "*.safetensors").items()
    assert not more
    assert data == file.data
    assert all(len(part.encode()) <= 240 for part in name.split("/"))


@pytest.mark.parametrize(
    "name",
    ["../../evil.safetensors", "/etc/evil.safetensors", "C:\\evil.safetensors", "a\0b.safetensors", "CON.safetensors",
     "nul", "...", "a:b.safetensors", "trailing. .safetensors. ", "\u202egnp.safetensors", "x.safetensors.part", ""],
)  # fmt: skip
def test_a_hostile_name_stays_in_the_folder_and_is_fit_for_windows(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, name: str
) -> None:
    file = add_file(site, 2000, name)
    site.world.models[10001].name = site.world.versions[20001].name = site.world.models[10001].creator = name
    assert run(link(site)) == 0
    (path,) = (path for path, data in files_under(out).items() if data == file.data)
    assert path.startswith("users/")
    assert not re.search(r'[<>:"\\|?*\x00-\x1f\u202e]', path)
    assert not any(part.endswith((".", " ")) or re.match(r"(?i)(con|nul)(\.|$)", part) for part in path.split("/"))
    assert {each.name for each in tmp_path.iterdir()} == {"downloads"}


def test_two_files_of_one_name_are_both_kept(site: FakeCivitai, run: Runner, out: Path) -> None:
    first = add_file(site, 2000)
    second = site.world.versions[20001].add_file("LANTERN.safetensors", size=3000, primary=False)
    assert run(link(site)) == 0
    found = files_under(out, "*.safetensors")
    assert sorted(found.values(), key=len) == [first.data, second.data]
    assert len({name_key(path) for path in found}) == 2
