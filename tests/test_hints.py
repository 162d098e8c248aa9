"""Sidecars of other programs name a model file before it is hashed, and never claim more than they can know."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.hints import MOST, Hint, hints_beside

SIZE, TIME = 1_234_567, 1_700_000_000_123_456_789
SHA, OTHER, AUTOV3 = "ab12" * 16, "cd34" * 16, "9c783c8ce46c"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def a_file(name: str = "lantern.safetensors", size: float = SIZE, sha256: str = SHA, **more: Any) -> dict[str, Any]:
    hashes = {"SHA256": sha256.upper(), "AutoV2": sha256[:10].upper(), "AutoV3": AUTOV3.upper()}
    return {"id": 30001, "name": name, "sizeKB": size / 1024, "type": "Model", "hashes": hashes, **more}


def a_version(*files: dict[str, Any], number: int = 20001) -> dict[str, Any]:
    return {"id": number, "name": f"v{number}", "baseModel": "SDXL 1.0", "files": [*files] or [a_file()]}


VERSION = {**a_version(), "modelId": 10001, "model": {"name": "Paper Lantern", "type": "LORA"}}
MODEL = {"id": 10001, "name": "Paper Lantern", "type": "LORA", "tags": ["style"], "modelVersions": [a_version()]}
TWO = {**MODEL, "modelVersions": [a_version(a_file("b.safetensors", 9, OTHER), number=20002), a_version()]}
TWINS = {**MODEL, "modelVersions": [a_version(a_file(sha256=OTHER), number=20002), a_version()]}
MANAGED = {
    "file_name": "lantern", "model_name": "Paper Lantern", "file_path": "D:/models/loras/lantern.safetensors",
    "size": SIZE, "modified": TIME / 1e9, "sha256": SHA, "from_civitai": True, "civitai": VERSION, "tags": [],
}  # fmt: skip
MATRIX = {
    "ModelId": 10001, "ModelName": "Paper Lantern", "Nsfw": False, "VersionId": 20001, "RemoteFileId": 30001,
    "Hashes": {"SHA256": SHA.upper(), "BLAKE3": OTHER.upper()}, "FileMetadata": {"fp": "fp16", "size": "full"},
    "Source": 0,
}  # fmt: skip
A1111 = {"description": "Warm light.", "sd version": "SDXL", "activation text": "paper lantern", "notes": ""}
PLUS = {**A1111, "modelId": 10001, "modelVersionId": 20001, "sha256": SHA.upper()}
PAGE = "https://civitai.red/models/10001?modelVersionId=20001"
SWARM = {"modelspec.title": "Paper Lantern", "modelspec.description": f'From <a href="{PAGE}">Civitai</a>. Warm.'}
RGTHREE = {"file": "lantern.safetensors", "sha256": SHA, "images": [], "raw": {"civitai": VERSION, "metadata": {}}}
GALLERY = {"category": "civitai", "model": {"id": 10001}, "version": {"id": 20001}, "file": a_file()}
PAIRS = {**GALLERY, "file": {**a_file(), "hashes": [{"type": "SHA256", "hash": SHA.upper()}]}}

IDS = Hint(model=10001, version=20001)
NEAR = round(SIZE / 1024) * 1024
WHOLE = replace(IDS, sha256=SHA, autov3=AUTOV3, file=30001, size=SIZE, fits=True)


def hints(folder: Path, name: str = "lantern.safetensors") -> list[Hint]:
    return hints_beside(folder / name, SIZE, TIME, {each.name for each in folder.iterdir()})


def write(path: Path, content: Any, encoding: str = "utf-8") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode(encoding))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (".civitai.info", VERSION, WHOLE),
        (".civitai.info", {**VERSION, "modelId": None, "model": {"id": 10001}}, WHOLE),
        (".metadata.json", MANAGED, WHOLE),
        (".metadata.json", {**MANAGED, "sha256": ""}, WHOLE),
        (".metadata.json", {**MANAGED, "civitai": {}}, Hint(sha256=SHA, size=SIZE, fits=True)),
        (
            ".metadata.json",
            {**MANAGED, "civitai": {"id": 20001, "modelId": 10001}, "autov3": AUTOV3},
            replace(WHOLE, file=0),
        ),
        (".cm-info.json", MATRIX, replace(WHOLE, autov3="", size=0, fits=False)),
        (".cm-info.json", {**MATRIX, "Source": 1}, Hint(sha256=SHA)),
        (".json", PLUS, replace(IDS, sha256=SHA)),
        (".json", {**A1111, "modelId": 10001}, Hint(model=10001)),
        (".json", MODEL, WHOLE),
        (".json", TWO, WHOLE),
        (".json", {**TWINS, **PLUS}, WHOLE),
        (".json", {**TWINS, **PLUS, "sha256": ""}, WHOLE),
        (".json", VERSION, WHOLE),
        (".api_info.json", TWO, WHOLE),
        (".swarm.json", {"modelspec.hash_sha256": "0x" + AUTOV3.upper() + "0" * 52}, Hint(autov3=AUTOV3)),
        (".swarm.json", SWARM, IDS),
        (".safetensors.rgthree-info.json", RGTHREE, WHOLE),
        (".safetensors.rgthree-info.json", {"sha256": SHA, "raw": {}}, Hint(sha256=SHA)),
        (".safetensors.json", GALLERY, WHOLE),
        (".safetensors.json", PAIRS, replace(WHOLE, autov3="")),
    ],
)
def test_each_programs_sidecar_is_understood(tmp_path: Path, name: str, content: Any, expected: Hint) -> None:
    write(tmp_path / f"lantern{name}", content)
    assert hints(tmp_path) == [replace(expected, source=f"lantern{name}")]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (".civitai.info", {"skeleton_file": True, "id": 20001, "modelId": 10001}, None),
        (
            ".civitai.info",
            {**VERSION, "files": [a_file(size=SIZE + 5000)]},
            replace(WHOLE, size=SIZE + 5000, fits=False),
        ),
        (".civitai.info", {**VERSION, "files": [a_file(size=NEAR)]}, replace(WHOLE, size=NEAR)),
        (".civitai.info", {**VERSION, "files": [a_file("old.ckpt", 7), a_file("new.ckpt", 8)]}, IDS),
        (".metadata.json", {**MANAGED, "size": SIZE + 1}, replace(WHOLE, size=SIZE + 1, fits=False)),
        (".metadata.json", {**MANAGED, "modified": TIME / 1e9 - 60}, replace(WHOLE, fits=False)),
        (".metadata.json", {**MANAGED, "sha256": OTHER}, replace(IDS, sha256=OTHER, size=SIZE, fits=True)),
        (
            ".metadata.json",
            {**MANAGED, "sha256": "", "civitai": {**VERSION, "files": [a_file(size=5)]}},
            replace(IDS, size=SIZE, fits=True),
        ),
        (".json", TWINS, Hint(model=10001, size=SIZE, fits=True)),
        (".json", A1111, None),
        (".json", {**A1111, "id": 7}, None),
        (".json", {**PLUS, "sha256": NOTHING}, IDS),
        (".json", {**PLUS, "modelId": -1, "modelVersionId": 1 << 31, "sha256": "ab"}, None),
        (
            ".cm-info.json",
            {**MATRIX, "Hashes": None, "ModelId": "10001", "VersionId": [20001]},
            Hint(model=10001, file=30001),
        ),
        (".swarm.json", {"modelspec.hash_sha256": "0x" + NOTHING}, None),
        (".swarm.json", {"modelspec.description": f"<p>Text</p> https://example.org/models/1 {PAGE}"}, None),
        (".swarm.json", {"modelspec.description": "https://civitai.com/models/99999999999999999999"}, None),
        (".safetensors.json", {**GALLERY, "category": "danbooru"}, None),
        (".safetensors.rgthree-info.json", {"sha256": 5, "raw": [VERSION]}, None),
    ],
)
def test_a_sidecar_that_is_stale_or_odd_claims_no_more_than_it_knows(
    tmp_path: Path, name: str, content: Any, expected: Hint | None
) -> None:
    write(tmp_path / f"lantern{name}", content)
    assert hints(tmp_path) == ([replace(expected, source=f"lantern{name}")] if expected else [])


def test_a_file_that_was_taken_in_long_after_its_last_change_fits(tmp_path: Path) -> None:
    write(tmp_path / "lantern.metadata.json", {**MANAGED, "modified": TIME / 1e9 + 86_400})
    assert [hint.fits for hint in hints(tmp_path)] == [True]


def test_of_two_files_with_one_stem_a_sidecar_fits_the_one_that_it_names(tmp_path: Path) -> None:
    for ending in (".ckpt", ".safetensors"):
        (tmp_path / f"lantern{ending}").touch()
    write(tmp_path / "lantern.metadata.json", MANAGED)
    write(tmp_path / "lantern.civitai.info", {**VERSION, "files": [a_file("lantern.ckpt", sha256=OTHER), a_file()]})
    assert [(hint.source, hint.sha256, hint.fits) for hint in hints(tmp_path, "lantern.ckpt")] == [
        ("lantern.civitai.info", OTHER, True),
        ("lantern.metadata.json", SHA, False),
    ]
    assert {(hint.sha256, hint.fits) for hint in hints(tmp_path)} == {(SHA, True)}
    write(tmp_path / "lantern.civitai.info", VERSION)
    assert replace(IDS, source="lantern.civitai.info") in hints(tmp_path, "lantern.ckpt")


def test_ids_in_a_file_name_are_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    name = "lantern-mid_10001-vid_20001.safetensors"
    assert hints(tmp_path, name) == [replace(IDS, source=name)]
    beside = "extra_data-vid_20001/model_dict-mid_10001-vid_20001.json"
    write(tmp_path / beside, TWINS)
    assert hints(tmp_path, name) == [replace(WHOLE, source=beside)]
    write(tmp_path / beside, {**TWINS, "id": 10002})
    assert hints(tmp_path, name) == [replace(IDS, source=name)]
    assert hints(tmp_path, "lantern-mid_0-vid_9999999999.safetensors") == []


def test_a_number_in_a_file_name_counts_only_with_the_json_that_repeats_it(tmp_path: Path) -> None:
    name = "20001_paper-lantern.safetensors"
    assert hints(tmp_path, name) == []
    write(tmp_path / "20001_paper-lantern.json", a_version())
    assert hints(tmp_path, name) == [replace(WHOLE, model=0, source="20001_paper-lantern.json")]


def test_the_best_hint_comes_first_and_sidecars_of_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "lantern.json", PLUS)
    write(tmp_path / "lantern.cm-info.json", MATRIX)
    write(tmp_path / "lantern.civitai.info", VERSION)
    write(tmp_path / "lantern.swarm.json", SWARM)
    for other in ("lantern.v2.civitai.info", "lantern2.json", "lantern.ckpt.json", "lantern.preview.json"):
        write(tmp_path / other, VERSION)
    found = [hint.source.removeprefix("lantern") for hint in hints(tmp_path)]
    assert found == [".civitai.info", ".cm-info.json", ".json", ".swarm.json"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_sidecar_is_read_in_the_encodings_that_occur(tmp_path: Path, encoding: str) -> None:
    write(tmp_path / "lantern.civitai.info", {**VERSION, "name": "提灯"}, encoding)
    assert [hint.version for hint in hints(tmp_path)] == [20001]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[1]", b"null", b"\xff\xfe{", b"\x80\x81", b'{"id": 20001, "modelId": 10001',
        b'{"a":' * 100_000, b'{"modelId": 1' + b"0" * 5000 + b"}", b'{"id": NaN, "modelId": Infinity, "files": [{}]}',
        json.dumps(VERSION).encode() + b" " * MOST,
    ],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_a_sidecar_that_is_broken_or_huge_tells_nothing(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "lantern.civitai.info", content)
    write(tmp_path / "lantern.json", content)
    assert hints(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes, and symlinks need a privilege")
def test_links_pipes_and_folders_in_the_place_of_a_sidecar_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere.json", VERSION)
    write(tmp_path / "far" / "model_dict-mid_1-vid_2.json", {"id": 1, "modelVersions": [a_version(number=2)]})
    (tmp_path / "lantern.civitai.info").symlink_to("elsewhere.json")
    (tmp_path / "extra_data-vid_2").symlink_to("far")
    os.mkfifo(tmp_path / "lantern.json")
    (tmp_path / "lantern.metadata.json").mkdir()
    assert hints(tmp_path) == []
    name = "x-mid_1-vid_2.safetensors"
    assert hints(tmp_path, name) == [Hint(model=1, version=2, source=name)]


def test_names_that_are_not_there_any_more_tell_nothing(tmp_path: Path) -> None:
    assert hints_beside(tmp_path / "lantern.safetensors", SIZE, TIME, ["lantern.civitai.info", "lantern.json"]) == []


ENDINGS = (
    ".civitai.info .metadata.json .cm-info.json .json .api_info.json .swarm.json .safetensors.rgthree-info.json "
    ".safetensors.json"
).split()
_KEYS = sorted({*VERSION, *MODEL, *MANAGED, *MATRIX, *PLUS, *SWARM, *RGTHREE, *GALLERY, *a_file(), "SHA256", "raw"})
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([SHA, NOTHING, PAGE, "civitai", "0x", 10001, SIZE, "lantern.safetensors", -1, 1 << 64])
)  # fmt: skip
_VALUES = st.recursive(
    _LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), each, max_size=6)
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hints")


@given(ending=st.sampled_from(ENDINGS), value=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=8))
def test_any_json_in_a_sidecar_is_survived(scratch: Path, ending: str, value: Any) -> None:
    name = f"lantern{ending}"
    write(scratch / name, value)
    for hint in hints_beside(scratch / "lantern.safetensors", SIZE, TIME, [name]):
        assert hint.source == name
        assert all(0 <= number < 1 << 31 for number in (hint.model, hint.version, hint.file))
        assert len(hint.sha256) in (0, 64)
        assert len(hint.autov3) in (0, 12)
        assert hint.size or not hint.fits


@given(name=st.text(min_size=1), data=st.binary(max_size=60))
def test_any_name_and_any_bytes_are_survived(scratch: Path, name: str, data: bytes) -> None:
    write(scratch / "lantern.json", data)
    assert hints_beside(scratch / "lantern.safetensors", SIZE, TIME, ["lantern.json"]) == []
    if "/" not in name and name not in (".", ".."):
        hints_beside(Path(os.fspath(scratch), name), SIZE, TIME, {f"{name}.json", f"{Path(name).stem}.civitai.info"})
