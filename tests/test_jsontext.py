"""JSON of a stranger is read without losing more than the part that can't be read."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import unwrap
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.jsontext import LEFT_OUT, MAX_DEPTH, as_tree, left_out, parse_json
from civitai_downloader.util.names import folder_name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@given(JSON)
def test_what_is_not_deep_is_read_as_it_is(value: object) -> None:
    assert parse_json(json.dumps(value)) == (value, [])
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))[1] == []


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 600, 100_000])
def test_a_deep_value_is_left_out_alone_and_its_thing_is_named(levels: int) -> None:
    text = f'{{"items": [{{"id": 5, "meta": {{"x": {nested(levels)}, "y": 1}}}}, {{"id": 6, "meta": "[{{\\"]"}}]}}'
    value, cut = parse_json(text.encode())
    assert cut == ["5"]
    assert value["items"][0]["meta"]["y"] == 1
    assert value["items"][1] == {"id": 6, "meta": '[{"]'}


def test_what_is_just_not_too_deep_stays() -> None:
    value, cut = parse_json(nested(MAX_DEPTH))
    assert (json.dumps(value), cut) == (nested(MAX_DEPTH), [])


@pytest.mark.parametrize(
    "text",
    ["", "[", '{"a":', "[{" * 100_000, "[" * 1_000_000, '"\\' * 300_000, '"' * 99_999, "]" * 100_000, nested(500)[:-3]],
)
def test_broken_text_is_refused_in_no_time(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)
    assert time.process_time() - begun < 10


def test_long_numbers_stay_text_and_broken_bytes_become_marks() -> None:
    assert parse_json('{"id": ' + "9" * 118 + ', "seed": ' + "9" * 5000 + "}")[0] == {
        "id": int("9" * 118),
        "seed": "9" * 5000,
    }
    assert parse_json(b'{"a": "\xff"}')[0] == {"a": "\ufffd"}


def test_a_tree_has_neither_cycles_nor_depth_nor_absurd_size() -> None:
    ring: list[object] = [1]
    ring.append(ring)
    assert set(left_out(as_tree(ring))) == {""}
    laughs: list[object] = [0]
    for _ in range(40):
        laughs = [laughs, laughs]
    with pytest.raises(ValueError, match="too many"):
        as_tree(laughs)


def test_a_deep_devalue_text_loses_its_deep_value_alone() -> None:
    flat = [{"items": 1}, [2], {"id": 3, "meta": 4}, 40001, *([each] for each in range(5, 3000)), 1]
    value = unwrap(json.dumps(flat))
    assert value["items"][0]["id"] == 40001
    assert set(left_out(value)) == {"40001"}
    doubled = [{"items": 1}, *([each, each] for each in range(2, 60)), 5]
    with pytest.raises(Failure):
        unwrap(json.dumps(doubled))


def test_a_tail_that_is_longer_than_a_name_does_not_loop_for_ever() -> None:
    assert folder_name("model", f" [{'9' * 118}]").endswith("]")
    assert LEFT_OUT
