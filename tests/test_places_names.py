"""A name that is hostile, too long or shared by two files still leads to a place of its own in the folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from civitai_downloader.util.names import name_key
from tests.conftest import Runner, State, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import THING, add_file, link


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


@pytest.mark.parametrize(
    ("path", "spare"), [("a/x.safetensors", "a/x-10659.safetensors"), ("a/x.PT", "a/x-10659.PT"), ("a/x", "a/x-10659")]
)
def test_an_id_in_a_name_leaves_it_fit_for_a_prompt(path: str, spare: str) -> None:
    assert replace(THING, id="7/10659", path=path).spare_path == spare


def test_a_published_name_that_looks_like_a_spare_one_takes_nothing_away(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    version = site.world.add_model(type="TextualInversion").add_version()
    for name in ("x.pt", "x-30003.pt", "x.pt", "x-30003.pt", "X-30003.PT"):
        version.add_file(name, primary=False)
    for _ in range(2):
        assert run(link(site)) == 0
        found = files_under(out, "*.[pP][tT]")
        assert sorted(found.values()) == sorted(file.data for file in version.files)
        assert len({name_key(path) for path in found}) == 5


FOLDER = "users/maker/models/Paper [10001]/v1.0 [20001]"
# Lines that were written before ids stood in names as they do now, with the fields in their order.
EARLIER_FIELDS = ("at", "type", "id", "status", "path", "size", "sha256", "reason", "source")
EARLIER_LINES = [
    ("2026-11-26T02:12:17Z", "model", "20001/30002", "success", f"{FOLDER}/x [30002].safetensors", 1202,
     "ffd0036575557d1bb35348eaa57e087c0ce422aff71ff6e4962a12bbfb353492", "", "10001"),
    ("2026-11-26T02:12:17Z", "model", "20001/30001", "success", f"{FOLDER}/x.safetensors", 1201,
     "85c1479d1baa6937d6685c73a8d019db4b1ff8b28c4a2beff443b51c6a5c929c", "", "10001"),
    ("2026-11-26T02:12:17Z", "sidecar", f"{FOLDER}/x [30002].json", "success", f"{FOLDER}/x [30002].safetensors", 0,
     "8a5970c91fb0e3aa05e017cb7c061b6e1e9200859a4b8ba9d3432eb71644a853", "", "10001"),
]  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--refresh",), ("--force",)])
def test_a_library_of_an_earlier_version_keeps_its_names(
    site: FakeCivitai, run: Runner, out: Path, state: State, options: tuple[str, ...]
) -> None:
    version = site.world.add_model("Paper", "TextualInversion", creator="maker").add_version()
    first, second = (version.add_file("x.safetensors", primary=not place) for place in (0, 1))
    (out / FOLDER).mkdir(parents=True)
    log = "".join(f"{json.dumps(dict(zip(EARLIER_FIELDS, line, strict=True)))}\n" for line in EARLIER_LINES)
    (out / "download_state.jsonl").write_text(log, "utf-8")
    (out / FOLDER / "x.safetensors").write_bytes(first.data)
    (out / FOLDER / "x [30002].safetensors").write_bytes(second.data)
    (out / FOLDER / "x [30002].json").write_text(json.dumps({"notes": "mine"}), "utf-8")
    for _ in range(2):
        assert run("10001", *options) == 0
    assert set(files_under(out, "*.safetensors")) == {f"{FOLDER}/x.safetensors", f"{FOLDER}/x [30002].safetensors"}
    assert state()["model", "20001/30002"]["path"] == f"{FOLDER}/x [30002].safetensors"
    assert len(site.seen("storage")) == (4 if "--force" in options else 0)
    notes = json.loads((out / FOLDER / "x [30002].json").read_text("utf-8"))
    assert (notes["notes"], notes["modelId"]) == ("mine", 10001)
    assert {path.rpartition("/")[2] for path in files_under(out, "*.civitai.info")} == {
        "x.civitai.info",
        "x [30002].civitai.info",
    }
