"""A sidecar is merged value by value: what we wrote last is renewed, and everything else is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.sidecars import renew

Json = dict[str, Any]

OURS: Json = {"a": 1, "deep": {"id": 5, "words": ["x"], "model": {"text": "t", "more": {"n": 1}}}}


def data_of(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


def after(ours: Json, there: Any, new: Json, name: str = "x.json") -> Any:
    """Return a sidecar that we wrote as `ours`, an app rewrote as `there`, and we write again as `new`."""
    line = {"keys": renew(None, ours, {}, name).keys}
    return json.loads(renew(data_of(there), new, line, name).data)


@pytest.mark.parametrize(
    ("there", "new", "found"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 7}, {"a": 2}, {"a": 7}),
        ({"a": 1, "b": 3}, {"a": 2, "b": 4}, {"a": 2, "b": 3}),
        ({"b": 3}, {"a": 2}, {"b": 3, "a": 2}),
        ({"a": 1, "b": 3}, {}, {"b": 3}),
        ({"a": 7}, {}, {"a": 7}),
        ({"a": 1.0}, {"a": 1}, {"a": 1}),
        ({"a": True}, {"a": 2}, {"a": True}),
        ({"a": "1"}, {"a": 2}, {"a": "1"}),
        ({"a": None}, {"a": 2}, {"a": None}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": {"b": 1}}),
        ({"deep": 5}, OURS, {"deep": 5, "a": 1}),
    ],
)
def test_only_a_value_that_we_wrote_is_renewed(there: Json, new: Json, found: Json) -> None:
    assert after(OURS, there, new) == found


def test_objects_are_merged_down_to_the_model() -> None:
    there = {"a": 1, "deep": {"id": 5, "words": ["y"], "mine": 1, "model": {"text": "t", "more": {"n": 1}, "mine": 2}}}
    new = {"a": 1, "deep": {"id": 5, "words": ["z"], "model": {"text": "u", "more": {"n": 2}, "licence": []}}}
    model = {"text": "u", "more": {"n": 2}, "mine": 2, "licence": []}
    assert after(OURS, there, new) == {"a": 1, "deep": {"id": 5, "words": ["y"], "mine": 1, "model": model}}


def test_an_object_that_names_another_id_is_not_mixed_with_ours() -> None:
    there = {"a": 1, "deep": {"id": 6, "words": ["x"]}}
    assert after(OURS, there, {**OURS, "a": 2}) == {"a": 2, "deep": {"id": 6, "words": ["x"]}}


@pytest.mark.parametrize("same", ["5", 5.0, None, "", 0])
def test_an_id_that_is_empty_or_spelled_otherwise_is_no_other_thing(same: Any) -> None:
    there = {"deep": {"id": same, "words": ["x"]}}
    assert after({"deep": {"words": ["x"]}}, there, {"deep": {"id": 5, "words": ["y"]}})["deep"]["words"] == ["y"]


def test_our_own_object_follows_when_it_becomes_another_thing_or_none() -> None:
    assert after(OURS, OURS, {"deep": {"id": 7}}) == {"deep": {"id": 7}}
    assert after(OURS, OURS, {"deep": None}) == {"deep": None}
    assert after({"deep": None}, {"deep": None}, OURS) == OURS
    touched = {"a": 1, "deep": {"id": 5, "mine": 1}}
    assert after(OURS, touched, {"deep": None}) == {"deep": {"id": 5, "mine": 1}}


@pytest.mark.parametrize("options", [{"indent": 4}, {"indent": "\t"}, {"ensure_ascii": False}, {"sort_keys": True}, {}])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_another_form_of_the_same_values_is_no_reason_to_write(options: Json, encoding: str) -> None:
    ours = {"b": "종이 “등불”", "a": [1, {"z": 0.5, "y": None}], "n": 0}
    line = {"keys": renew(None, ours, {}, "x.civitai.info").keys}
    there = json.dumps(ours, **options).encode(encoding)
    new = renew(there, ours, line, "x.civitai.info")
    assert new.data == there
    assert new.keys == line["keys"]
    renewed = renew(there, {**ours, "n": 1}, line, "x.civitai.info").data
    assert json.loads(renewed) == {**ours, "n": 1}


def test_what_others_wrote_keeps_letters_that_have_no_bytes() -> None:
    there = data_of({"theirs": "\ud83d", "a": 1})
    new = renew(there, {"a": 2}, {"keys": renew(None, {"a": 1}, {}, "x.json").keys}, "x.json")
    assert json.loads(new.data) == {"theirs": "\ud83d", "a": 2}


def test_ours_has_nothing_that_a_strict_reader_refuses() -> None:
    data = renew(None, {"a": float("nan"), "b": float("inf"), "c": "\ud83d"}, {}, "x.json").data
    assert json.loads(data.decode("utf-8")) == {"a": None, "b": None, "c": "?"}


@pytest.mark.parametrize("keys", [5, None, "x", ["a"], {"a": 5}, {"a": None}, {"a": {"b": {}}}, {"deep": "x"}])
def test_keys_of_a_damaged_log_line_own_nothing(keys: Any) -> None:
    new = renew(data_of({"a": 7, "deep": 1}), OURS, {"keys": keys}, "x.json")
    assert json.loads(new.data) == {"a": 7, "deep": 1}


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)


SCALAR = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "", "a", "ü", "\ud800"])
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=2) | objects(inner), max_leaves=6)
OBJECT = objects(VALUE)


@given(OBJECT, OBJECT, OBJECT)
def test_two_runs_write_the_same_and_nothing_of_theirs_is_lost(first: Json, edits: Json, second: Json) -> None:
    written = renew(None, first, {}, "x.json")
    before = json.loads(written.data)
    there = {**before, **edits}
    once = renew(data_of(there), second, {"keys": written.keys}, "x.json")
    twice = renew(once.data, second, {"keys": once.keys}, "x.json")
    assert twice == once
    found = json.loads(once.data)
    for key, value in there.items():
        if key not in before or (not isinstance(value, dict) and value != before[key]):
            assert isinstance(value, dict) or found[key] == value
    assert set(second) <= set(found)


@given(OBJECT, OBJECT)
def test_an_untouched_sidecar_becomes_what_we_say(first: Json, second: Json) -> None:
    written = renew(None, first, {}, "x.json")
    again = renew(written.data, second, {"keys": written.keys}, "x.json")
    assert json.loads(again.data) == json.loads(renew(None, second, {}, "x.json").data)


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_anything_may_stand_there(there: bytes) -> None:
    new = renew(there, OURS, {}, "x.json")
    assert new.data == there or isinstance(json.loads(new.data.decode()), dict)
