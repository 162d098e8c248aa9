"""Some of the site's answers come packed as devalue, which is read in every form."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.text import parse_devalue
from tests.fake_civitai import UNDEFINED, Date, devalue


def test_a_devalue_text_is_read_back() -> None:
    value = {"at": Date("2026-01-01T00:00:00.000Z"), "none": UNDEFINED, "list": [1, True, None, {"a": "b"}, "Date"]}
    plain = {"at": "2026-01-01T00:00:00.000Z", "none": None, "list": [1, True, None, {"a": "b"}, "Date"]}
    assert parse_devalue(devalue(value)) == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["x"]', "x"),
        ("-1", None),
        ("-3", None),
        ("-6", 0),
        ("[null]", None),
        ("[[]]", []),
        ('[{"a":1,"b":-1,"c":2},5,[1,-2,1]]', {"a": 5, "b": None, "c": [5, None, 5]}),
        ("[[1,-2,1],4]", [4, None, 4]),
        ("[[-7,3,1,1],9]", [9]),
        ('[[-7,9,4,1,7,2],"a","b"]', ["a", "b"]),
        ('[["Date","2026-01-01T00:00:00.000Z"]]', "2026-01-01T00:00:00.000Z"),
        ('[["BigInt","123"]]', 123),
        ('[["BigInt","12345678901234567890"]]', 12345678901234567890),
        ('[["Set",1,2],"a","b"]', ["a", "b"]),
        ('[["Map",1,2],"k","v"]', {"k": "v"}),
        ('[["null","a",1],5]', {"a": 5}),
        ('[["null","key",1],"a"]', {"key": "a"}),
        ('[["Object",1],7]', 7),
        ('[["Object",1],"a"]', "a"),
        ('[["URL","https://x"]]', "https://x"),
        ('[["RegExp","a.b","g"]]', "a.b"),
    ],
)
def test_every_form_of_devalue_is_understood(text: str, value: object) -> None:
    assert parse_devalue(text) == value


def test_what_is_shared_stays_shared_and_a_cycle_does_not_hang() -> None:
    cycle = parse_devalue('[{"me":0}]')
    assert cycle["me"] is cycle
    found = parse_devalue('[[1,1,0],{"a":2},"x"]')
    assert found[0] is found[1]
    assert found[2] is found


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "{}", "[]", "null", "true", '"x"', "[[5]]", '[["BigInt","x"]]', '[{"a":true}]', '[{"a":"b"}]',
     "[["],
)  # fmt: skip
def test_what_is_no_devalue_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"devalue|Expecting|invalid literal"):
        parse_devalue(text)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
TAGGED = st.lists(st.integers(-9, 9) | st.sampled_from(["Set", "Map", "Date", "BigInt", "Object", "null"]))


@given(st.lists(ANY_JSON | TAGGED))
def test_reading_devalue_raises_nothing_unforeseen(flat: list[Any]) -> None:
    with suppress(ValueError, RecursionError):
        parse_devalue(json.dumps(flat))
