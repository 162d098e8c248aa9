"""Rows of pictures: what stands in a `.txt`, of any form, is shown to the letter or left out."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.columns import Row, Things
from civitai_downloader.core.prompts import Filters
from civitai_downloader.core.tiles import FIRST, MORE, Copy, blur_hash, level_word, milliseconds, scalar, tile
from civitai_downloader.core.wordlists import parse_word_list

KEY = "13744eea-8388-41c5-9f34-2fb155df2bea"
HERE = (Copy("users/a/images", ".jpeg", True),)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    "url page post_id username created_at width height nsfw_level hash likes model_versions resources tools techniques "
    "raw_prompt prompt prompt_with_clothes negative_prompt sampler steps cfg_scale seed size model"
).split()
TAGS = st.lists(st.text(st.sampled_from("ab c(😀ä,\n"), max_size=6), max_size=8).map(", ".join)


def row_of(**facts: Any) -> Row:
    return tile(7, HERE, facts, Things())


def cut(raw: str, runs: Any) -> Any:
    """Return what the page makes of a raw prompt and the lengths of its parts, which are UTF-16 units."""
    if not isinstance(runs, list):
        return raw if runs == 1 else runs
    units, at, kept = raw.encode("utf-16-le"), 0, b""
    for turn, run in enumerate(runs):
        kept += b"" if turn % 2 else units[2 * at : 2 * (at + run)]
        at += run
    return kept.decode("utf-16-le")


def link(row: Row) -> str:
    """Return the link of a picture as the page puts it together."""
    key = str(UUID(bytes=urlsafe_b64decode(row["key"] + "=="))) if row["key"] else ""
    return str(row["url"]).replace("{id}", str(row["id"])).replace("{key}", key)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8))
def test_a_text_of_any_form_becomes_a_row(facts: dict[str, Any]) -> None:
    row = tile(7, HERE, facts, things := Things())
    assert [*row] == [*dict.fromkeys([*row, *FIRST, *MORE])]
    json.dumps(row)
    checkpoint, *used = row["made"]
    assert -1 <= checkpoint < len(things.known)
    assert all(0 <= place < len(things.known) for place in used)
    assert len(row["weights"]) == len(used)
    assert all(abs(each) < 2**53 for each in row.values() if isinstance(each, int))


@given(TAGS, st.lists(st.sampled_from(["a", "b", "ab", "ä", "😀"]), max_size=3))
def test_a_cleaned_prompt_is_cut_from_the_raw_one(raw: str, entries: list[str]) -> None:
    clean, clothes = Filters(etc=parse_word_list("\n".join(entries))).apply(raw)
    row = row_of(raw_prompt=raw, prompt=clean, prompt_with_clothes=clothes)
    assert cut(raw, row["clean"]) == clean
    assert row["clothes"] == 0


@given(TAGS, TAGS)
def test_a_prompt_that_somebody_has_written_anew_stays_to_the_letter(raw: str, other: str) -> None:
    row = row_of(raw_prompt=raw, prompt=other, prompt_with_clothes=raw)
    assert cut(raw, row["clean"]) == other
    assert row["clothes"] == (0 if raw == other else 1)


def test_a_usual_cut_takes_few_numbers() -> None:
    row = row_of(raw_prompt="a, red dress, b, nude, c", prompt="a, b, c", prompt_with_clothes="a, red dress, b, c")
    assert row["clean"] == [3, 11, 3, 6, 1]
    assert row["clothes"] == [17, 6, 1]


def test_a_hidden_prompt_is_none() -> None:
    row = row_of(raw_prompt=None, prompt=None, prompt_with_clothes=None)
    assert (row["prompt"], row["negative"], row["clean"], row["clothes"]) == (None, None, None, 0)


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"https://image.civitai.com/acc/{KEY}/original=true/7.jpeg",
        f"https://image.civitai.com/acc/{KEY}/original=true/{KEY}.jpeg",
        "https://image.civitai.com/acc/7/original=true/7.jpeg",
        "https://image.civitai.com/acc/77/17.jpeg?x=7",
        "https://example.com/{id}/7",
        "https://example.com/{key}/" + KEY,
        "no link 7/7",
    ],
)
def test_a_link_comes_back_as_it_was(url: str) -> None:
    row = row_of(url=url, page="https://civitai.com/images/7")
    assert link(row) == url.replace("{", "%7B")
    assert row["page"] == "https://civitai.com/images/{id}"


def test_links_of_one_storage_are_told_once() -> None:
    assert (
        row_of(url=f"https://x/acc/{KEY}/original=true/{KEY}.jpeg")["url"]
        == "https://x/acc/{key}/original=true/{key}.jpeg"
    )


def test_a_resource_is_told_once_with_all_that_is_known() -> None:
    things = Things()
    facts = {
        "model": "pony",
        "model_versions": [5, 6, 5, "x"],
        "resources": [
            {"type": "lora", "name": "Paper", "weight": 0.8, "hash": "ab12"},
            {"type": "LORA", "modelVersionId": 5, "modelName": "Lantern", "modelVersionName": "v1"},
            {"modelVersionId": 5, "strength": 0.5, "modelId": 50, "baseModel": "Pony"},
            {"type": "model", "name": "mix"},
            {"type": "lora", "weight": 0.75},
        ],
    }
    row = tile(7, HERE, facts, things)
    checkpoint, *places = row["made"]
    used = [(things.known[place], weight) for place, weight in zip(places, row["weights"], strict=True)]
    assert used == [
        (("lora", "Paper", "", 0, 0, "", "ab12"), 0.8),
        (("lora", "Lantern", "v1", 5, 50, "Pony", ""), 0.5),
        (("checkpoint", "mix", "", 0, 0, "", ""), None),
        (("lora", "", "", 0, 0, "", ""), 0.75),
        (("", "", "", 6, 0, "", ""), None),
    ]
    assert things.known[checkpoint][1] == "pony"
    assert row["model_versions"] == [5, 6]


def test_a_picture_counts_once_and_the_copy_with_its_text_is_shown() -> None:
    copies = [Copy("b", ".png", True), Copy("a", ".jpeg", False), Copy("c", ".png", True), Copy("c", ".jpg", False)]
    row = tile(7, copies, {}, Things(), ".webp")
    assert (row["folder"], row["ext"], row["txt"], row["also"]) == ("b", ".png", 1, ["c", "a"])
    assert row["thumb"] == ".webp"


@pytest.mark.parametrize(
    ("extension", "kind"), [(".mp4", "video"), (".PNG", "image"), (".mp3", "audio"), (".odd", "image")]
)
def test_the_kind_is_that_of_the_file(extension: str, kind: str) -> None:
    assert tile(7, [Copy("", extension, True)], {"type": "video"}, Things())["kind"] == kind


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (0, "unrated"),
        (-4, "unrated"),
        (1, "PG"),
        (2, "PG-13"),
        (3, "PG-13"),
        (4, "R"),
        (8, "X"),
        (16, "XXX"),
        (32, "XXX"),
    ],
)
def test_a_level_is_called_as_people_call_it(level: int, word: str) -> None:
    assert level_word(level) == word


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("1970-01-01T00:00:01.000Z", 1000),
        ("1970-01-01T00:00:01.25Z", 1250),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:02", 2000),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_a_date_is_told_in_milliseconds(date: str, moment: int) -> None:
    assert milliseconds(date) == moment


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("UHB{Y{9#NHxZ~UEQRkxZ%LxFE4bb-oxY9vxY", True),
        ("UHB{Y", False),
        ("", False),
        ("00TI:j", True),
        ("00TI:é", False),
    ],
)
def test_only_a_blurhash_is_drawn(text: str, is_one: bool) -> None:
    assert blur_hash(text) == (text if is_one else "")


def test_a_number_that_browsers_would_change_is_a_text() -> None:
    values = [12345678901234567890, -(2**53), 2**53 - 1, 0.5, "x", None, True, [1], {}]
    assert [*map(scalar, values)] == [
        "12345678901234567890",
        str(-(2**53)),
        2**53 - 1,
        0.5,
        "x",
        None,
        None,
        None,
        None,
    ]
