"""Rows of models, collections and posts: what is here, what is missing and what stands for a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import read_model
from civitai_downloader.core.cards import FIRST, MORE, OF_COLLECTION, OF_POST, Held, card, collection_row, post_row
from civitai_downloader.core.columns import Row

Ids = tuple[int, int]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = "id name type creator tags stats nsfwLevel description mode gone_since lost user items images title".split()


def version(number: int, day: int, *files: int, **more: Any) -> dict[str, Any]:
    """Return a version that was published on a day of January, with files of these ids."""
    found = [{"id": each, "name": f"{each}.safetensors", "sizeKB": 1, "type": "Model"} for each in files]
    return {"id": number, "name": f"v{number}", "publishedAt": f"2026-01-{day:02}T00:00:00Z", "files": found, **more}


def image(number: int, kind: str = "image", level: int = 1) -> dict[str, Any]:
    url = f"https://image.civitai.com/a/b/width=450/{number}.jpeg"
    return {"id": number, "url": url, "type": kind, "nsfwLevel": level, "width": 2, "height": 3}


def row_of(versions: list[dict[str, Any]], here: dict[Ids, tuple[str, int]] | None = None, **more: Any) -> Row:
    return card(read_model({"id": 1, "name": "M", "modelVersions": versions}), Held("m", here or {}, **more))


def at(*keys: Ids) -> dict[Ids, tuple[str, int]]:
    return {key: (f"m/{key[1]}.safetensors", 10) for key in keys}


OLD, NEW = version(1, 1, 11, 12), version(2, 2, 21)
GONE = version(2, 2, 21, gone_since="2026-06-01")


@pytest.mark.parametrize(
    ("versions", "here", "complete", "update"),
    [
        ([OLD, NEW], [], 0, 0),
        ([OLD, NEW], [(1, 11)], 0, 2),
        ([OLD, NEW], [(1, 11), (1, 12)], 0, 2),
        ([OLD, NEW], [(2, 21)], 0, 0),
        ([OLD, NEW], [(1, 11), (1, 12), (2, 21)], 1, 0),
        ([OLD, GONE], [(1, 11), (1, 12)], 1, 0),
        ([OLD, GONE], [(2, 21)], 0, 0),
        ([OLD, version(3, 3)], [(1, 11), (1, 12)], 1, 0),
        ([version(1, 1, 11), version(2, 1, 21)], [(1, 11)], 0, 0),
        ([], [], 0, 0),
    ],
)
def test_a_model_is_complete_or_has_an_update(
    versions: list[dict[str, Any]], here: list[Ids], complete: int, update: int
) -> None:
    row = row_of(versions, at(*here))
    assert (row["complete"], row["update"]) == (complete, update)
    assert row["bytes"] == 10 * len(here)


def test_versions_come_newest_first_with_what_is_here() -> None:
    row = row_of([OLD, GONE], at((1, 12)))
    day = 86_400_000
    assert row["versions"] == [[2, "v2", "", 1767225600000 + day, 0, 1, 1], [1, "v1", "", 1767225600000, 1, 2, 0]]
    assert [file["path"] for file in row["details"]["versions"][1]["files"]] == ["", "m/12.safetensors"]
    assert [file["size"] for file in row["details"]["versions"][1]["files"]] == [1024, 10]


@pytest.mark.parametrize(
    ("dates", "own", "gone"),
    [
        (["", "2026-06-01"], "", ""),
        (["2026-05-01", "2026-06-01"], "", "2026-06-01"),
        (["", ""], "2026-07-01", "2026-07-01"),
    ],
)
def test_a_model_is_gone_when_all_of_it_is(dates: list[str], own: str, gone: str) -> None:
    versions = [version(number, 1, gone_since=date) for number, date in enumerate(dates, 1)]
    assert card(read_model({"id": 1, "modelVersions": versions, "gone_since": own}), Held("m"))["gone"] == gone


def test_the_picture_of_a_model_is_a_still_one_of_a_version_that_is_here() -> None:
    old = version(1, 1, 11, images=[image(5, "video"), image(6, level=4), image(7)])
    new = version(2, 2, 21, images=[image(8)])
    shown = {5: "m/5.mp4", 6: "m/6.png", 8: "m/8.png"}
    row = row_of([old, new], at((1, 11)), pictures=shown)
    told = {"path": "m/6.png", "kind": "image", "id": 6, "level": "R", "hash": "", "width": 2, "height": 3}
    assert row["preview"] == told
    assert row_of([old, new], pictures=shown)["preview"]["id"] == 8
    assert row_of([old, new], pictures={5: "m/5.mp4"})["preview"]["kind"] == "video"
    still = row_of([old], at((1, 11)), pictures={5: "m/5.mp4"}, stills={(1, 11): "m/x.preview.jpg"})["preview"]
    assert (still["path"], still["kind"], still["id"]) == ("m/x.preview.jpg", "image", 5)
    assert row_of([version(1, 1, 11)], at((1, 11)), stills={(1, 11): "m/x.png"})["preview"]["id"] == 0
    assert row_of([old])["preview"]["path"] == ""
    assert row_of([])["preview"] is None


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), st.lists(JSON, max_size=3))
def test_pages_of_any_form_become_rows(facts: dict[str, Any], versions: list[Any]) -> None:
    row = card(read_model({**facts, "id": 1, "modelVersions": [*versions, {**facts, "id": 5}]}), Held("m"))
    assert {*row} == {*FIRST, *MORE}
    assert {*collection_row(facts)} == {*OF_COLLECTION}
    assert {*post_row(facts)} == {*OF_POST}
    json.dumps([row, collection_row(facts), post_row(facts)])
