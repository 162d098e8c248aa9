"""Whole paths in a `.metadata.json`: they follow the model file when that goes elsewhere, or LoRA Manager loses it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..util.text import utf8

ENDING = ".metadata.json"
KEYS = ("file_path", "preview_url")


def paths_in(data: bytes) -> dict[str, str]:
    """Return the whole paths that a `.metadata.json` names, by their keys; {} for what is no JSON object."""
    found = _read(data)
    return {key: found[key] for key in KEYS if isinstance(found.get(key), str) and found[key]}


def with_paths(data: bytes, paths: Mapping[str, str]) -> bytes:
    """Return a `.metadata.json` with other values under these keys; everything else stays as it is, to the byte.

    Where a value can't be replaced in the text, the object is written anew.
    """
    found = _read(data)
    changed = {key: value for key, value in paths.items() if key in found and found[key] != value}
    if not changed:
        return data
    with suppress(UnicodeDecodeError):
        text = data.decode()
        for key, value in changed.items():
            text = _replaced(text, key, found[key], value)
        if _read(utf8(text)) == {**found, **changed}:
            return utf8(text)
    return utf8(json.dumps({**found, **changed}, ensure_ascii=False, indent=2) + "\n")


def _replaced(text: str, key: str, old: Any, new: str) -> str:
    """Return the text of a JSON object with another value at a key, as far as it is found there once."""
    for in_ascii in (False, True):
        before = re.escape(json.dumps(old, ensure_ascii=in_ascii))
        pattern = re.compile(rf'("{key}"\s*:\s*){before}')
        if len(pattern.findall(text)) == 1:
            after = json.dumps(new, ensure_ascii=in_ascii)
            return pattern.sub(lambda found, after=after: found[1] + after, text)  # type: ignore[misc]
    return text


def _read(data: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        value = json.loads(data.decode("utf-8-sig"))
        return value if isinstance(value, dict) else {}
    return {}
