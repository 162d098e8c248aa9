"""What is written into a script for the page is what is read from it, whatever it holds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.columns import Things, pack, read_script, rows_of, script, table, unpack
from civitai_downloader.util.files import on_one_line

LONE = re.compile("[\ud800-\udfff]")
TEXTS = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    [
        "</script>",
        "<!--",
        "\u2028\u2029",
        "it's \\ 'quoted' \"twice\"",
        "\\x27",
        "\ud800",
        "a\nb\r\n",
        "\\\\u003c",
        "😀",
    ]
)
SCALARS = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def plain(value: Any) -> Any:
    """Return a value as JSON without lone surrogates has it."""
    return json.loads(LONE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))


@given(st.lists(VALUES, max_size=30) | st.lists(st.sampled_from(["a", "b", 1, 1.0, None]), max_size=30))
def test_a_column_is_read_as_it_was_written(values: list[Any]) -> None:
    there = unpack(json.loads(json.dumps(pack(values))), len(values))
    assert there == values
    assert [type(each) for each in there] == [type(each) for each in values]


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=50))
def test_a_column_of_numbers_is_the_shortest_of_its_forms(values: list[int]) -> None:
    packed = pack(values)
    assert unpack(packed, len(values)) == values
    assert len(set(values)) == 1 or len(json.dumps(packed)) <= len(json.dumps(values))


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([], []),
        ([5], {"t": [5]}),
        ([700001, 700002, 700004, 700007], {"d": [700001, 1, 2, 3]}),
        ([9, 1, 5], [9, 1, 5]),
        (["", "", ""], {"t": [""]}),
        (["a", "", "b"], "a  b"),
        (["x", "y", "x", "x"], {"t": ["x", "y"], "i": [0, 1, 0, 0]}),
        (["a b", "c d"], ["a b", "c d"]),
        ([True, 1, 1.0], [True, 1, 1.0]),
        ([[1], [1], [], [1]], {"t": [[1], []], "i": [0, 0, 1, 0]}),
    ],
)
def test_a_column_takes_the_form_that_fits(values: list[Any], column: Any) -> None:
    assert json.dumps(pack(values)) == json.dumps(column)


@pytest.mark.parametrize(
    "column", [None, 7, {}, {"t": []}, {"t": ["a"], "i": [0]}, {"t": ["a", "b"], "i": [0, 7]}, {"d": [1]}, "a", ["a"]]
)
def test_a_column_of_another_form_or_length_is_refused(column: Any) -> None:
    with pytest.raises((ValueError, IndexError)):
        unpack(column, 2)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_a_script_hands_over_what_was_put_into_it(data: dict[str, Any]) -> None:
    text = script("p-0123456789", on_one_line(data))
    assert read_script(text) == ("p-0123456789", plain(data))


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_nothing_in_a_script_can_end_it(data: dict[str, Any]) -> None:
    text = script("x", on_one_line(data))
    inner = text.removeprefix("civitai.chunk('x','").removesuffix("');\n")
    assert not re.search(r"[<\n\r\u2028\u2029\ud800-\udfff]", inner)
    assert not re.search(r"(?<!\\)(?:\\\\)*'", inner)  # no quote without its backslash
    text.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    ["", "civitai.chunk(1);", "civitai.chunk('x','{}'", "civitai.chunk('x','[]');\n", "civitai.chunk('x','{');\n"],
)
def test_a_script_that_is_cut_or_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"this is no|Expecting|quotes"):
        read_script(text)


@given(st.lists(st.fixed_dictionaries({"id": st.integers(1, 9), "name": TEXTS, "more": VALUES}), max_size=12))
def test_rows_come_back_from_two_tables(rows: list[dict[str, Any]]) -> None:
    tables = [json.loads(json.dumps(table(rows, names))) for names in (["id", "name"], ["more"])]
    assert rows_of(*tables) == rows


def test_a_thing_keeps_its_place() -> None:
    things = Things([["lora", "A", "", 1, 2, "", ""]])
    assert things.place(("checkpoint", "B", "", 0, 0, "", "")) == 1
    assert things.place(("lora", "A", "", 1, 2, "", "")) == 0
    assert things.known[1][1] == "B"
