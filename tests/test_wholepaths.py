"""Whole paths in a `.metadata.json` follow its model file; everything else in it stays, to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.wholepaths import paths_in, with_paths

OLD = {"file_path": "/old/a.safetensors", "preview_url": "/old/a.png"}
NEW = {"file_path": "/new/한글/a.safetensors", "preview_url": "/new/한글/a.png"}


@pytest.mark.parametrize("form", [{"indent": 4}, {"separators": (",", ":")}, {"indent": 2, "ensure_ascii": False}])
def test_only_the_paths_change_and_come_back(form: dict[str, int]) -> None:
    text = {"notes": "/old/a.png", "시": "é\n", **OLD, "civitai": {"file_path": "inner"}}
    data = json.dumps(text, **form).encode()  # type: ignore[arg-type]
    new = with_paths(data, NEW)
    assert json.loads(new) == {**text, **NEW}
    assert with_paths(new, OLD) == data or form == {"indent": 4}
    assert json.loads(with_paths(new, OLD)) == text


@pytest.mark.parametrize("data", [b"", b"[]", b"nonsense", b"\xff\xfe{}", b'{"file_path": 5}', b"{" * 100_000])
def test_what_names_no_path_stays(data: bytes) -> None:
    assert paths_in(data) == {}
    assert with_paths(data, {}) == data


def test_a_path_that_stands_there_twice_does_not_confuse() -> None:
    data = b'{"civitai": {"file_path": "/old/a"}, "file_path": "/old/a", "x": "\\"file_path\\": \\"/old/a\\""}'
    found = json.loads(with_paths(data, {"file_path": "/new/a"}))
    assert (found["file_path"], found["civitai"]["file_path"]) == ("/new/a", "/old/a")


@given(st.dictionaries(st.sampled_from(["file_path", "preview_url", "notes", "x"]), st.text(), min_size=1), st.text())
def test_any_object_keeps_what_is_no_path(facts: dict[str, str], new: str) -> None:
    data = json.dumps(facts).encode()
    changed = json.loads(with_paths(data, dict.fromkeys(paths_in(data), new)))
    assert changed == {**facts, **dict.fromkeys(paths_in(data), new)}
