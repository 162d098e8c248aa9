"""JSON of a stranger: what is nested too deeply, or a number too long, is left out alone instead of the whole text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 100
MAX_VALUES = 1_000_000
LONGEST_NUMBER = 300
LEFT_OUT = "(nested too deeply to be read)"
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'  # an open one reaches to the end, so that no text is looked at twice
_NO_BRACKETS = re.compile(rf'{_STRING}|[^"\[\]{{}}]+', re.S)
_TOKEN = re.compile(rf"{_STRING}|[\[\]{{}}]", re.S)
_LONG_NUMBER = re.compile(rf"[0-9]{{{LONGEST_NUMBER}}}")


def parse_json(data: bytes | str) -> tuple[Any, list[str]]:
    """Return the value of a JSON text, and the ids of the things in it of which something was left out.

    In place of each part below `MAX_DEPTH` levels it has `LEFT_OUT`. A whole number of too many digits stays text;
    bytes that are no UTF-8 become question marks. Raises ValueError.
    """
    text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "replace")
    is_deep = _is_deep(text)
    if is_deep:
        text = _cut(text)
    value = json.loads(text, parse_int=_number) if _LONG_NUMBER.search(text) else json.loads(text)
    return value, sorted(set(left_out(value))) if is_deep else []


def left_out(value: Any, name: str = "") -> Iterator[str]:
    """Yield the id of the thing around each part that was left out, "" where it has none."""
    if isinstance(value, dict):
        name = name or str(value.get("id") or "")
    elif value == LEFT_OUT:
        yield name
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from left_out(member, name)


def as_tree(value: Any) -> Any:
    """Return a copy in which nothing is shared, leads back to itself or lies below `MAX_DEPTH` levels.

    Raises ValueError if it would be absurdly large.
    """
    left = MAX_VALUES

    def copy(part: Any, depth: int) -> Any:
        """Return a copy of a part that stands at this depth."""
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("there are too many values")
        if not isinstance(part, (dict, list)):
            return part
        if depth == MAX_DEPTH:
            return LEFT_OUT
        if isinstance(part, dict):
            return {key: copy(each, depth + 1) for key, each in part.items()}
        return [copy(each, depth + 1) for each in part]

    return copy(value, 0)


def _is_deep(text: str) -> bool:
    """Return whether something may lie below `MAX_DEPTH` levels.

    Pairs of brackets are taken away from the inside out, one or two levels at a time.
    """
    brackets = _NO_BRACKETS.sub("", text)
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return False
        brackets = brackets.replace("[]", "").replace("{}", "")
    return bool(brackets)


def _cut(text: str) -> str:
    """Return the text with `LEFT_OUT` in place of each value that begins below `MAX_DEPTH` levels."""
    kept, at, depth = list[str](), 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(text[at : token.start()])
        elif token[0] in ("]", "}"):
            if depth == MAX_DEPTH + 1:
                kept.append(json.dumps(LEFT_OUT))
                at = token.end()
            depth -= 1
    return "".join([*kept, text[at:]] if depth <= MAX_DEPTH else kept)


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) < LONGEST_NUMBER else digits
