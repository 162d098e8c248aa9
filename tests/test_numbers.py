"""JSON that we write holds no numbers that JSON does not have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.files import indented, on_one_line
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai

VALUES = st.recursive(
    st.floats() | st.text() | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def refuse(constant: str) -> None:
    """Refuse what Python reads as a number and JSON does not have."""
    raise AssertionError(constant)


@given(VALUES)
def test_no_value_becomes_what_json_does_not_have(value: Any) -> None:
    for text in (on_one_line(value), indented(value).decode()):
        json.loads(text, parse_constant=refuse)


def test_a_prompt_with_nan_is_written_with_null(site: FakeCivitai, run: Runner, out: Path) -> None:
    meta = {"prompt": "x", "cfgScale": math.nan, "deep": [math.inf, {"seed": -math.inf}]}
    number = site.world.add_image(username="maker", meta=meta).id
    assert run(f"{site.url}/images/{number}") == 0
    text = one_file(out, f"{number}.txt").read_text("utf-8")
    assert json.loads(text, parse_constant=refuse)["meta"]["deep"] == [None, {"seed": None}]
    for path in (out / "download_state.jsonl", *out.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            json.loads(line, parse_constant=refuse)
