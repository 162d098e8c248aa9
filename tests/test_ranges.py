"""Byte ranges: the header, the record on disk and the plan in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.ranges import Ranges, parse_content_range


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes 5-9/10", (5, 10)),
        (" bytes  0-0/1 ", (0, 1)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-/10", None),
        ("bytes=5-9/10", None),
        ("items 5-9/10", None),
        ("bytes -5-9/10", None),
        ("bytes 5-9/" + "9" * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_parse_content_range(text: str | None, found: tuple[int | None, int | None] | None) -> None:
    assert parse_content_range(text) == found


@given(st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_content_range_is_read_back(start: int, more: int, left: int) -> None:
    total = start + more + left + 1
    assert parse_content_range(f"bytes {start}-{start + more}/{total}") == (start, total)


@given(st.text() | st.from_regex(r"bytes [\d*]{1,9}-?\d{0,9}/[\d*]{1,9}"))
def test_parse_content_range_reads_anything(text: str) -> None:
    found = parse_content_range(text)
    assert found is None or all(each is None or each >= 0 for each in found)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(sorted).map(tuple)), st.integers(1, 1000))
def test_what_is_missing_is_the_rest_of_what_is_there(done: list[tuple[int, int]], total: int) -> None:
    done = [(start, min(end, total)) for start, end in done if start < total]
    ranges = Ranges(done, total)
    there = {byte for start, end in done for byte in range(start, end)}
    assert ranges.here == len(there)
    taken: set[int] = set()
    while stretch := ranges.take():
        assert ranges.frontier == min(set(range(total + 1)) - there - taken)
        taken |= set(range(stretch.at, stretch.end))
        ranges.advance(stretch, total)
        ranges.give_back(stretch)
    assert taken == set(range(total)) - there
    assert ranges.whole
    assert ranges.frontier == total
