"""Columns: rows become the text of a script that hands data to the page, and come back from it. No disk is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

Row = dict[str, Any]

_CALL = re.compile(r"civitai\.chunk\('([^']*)','(.*)'\);\n?", re.S)
_LONE = re.compile("[\ud800-\udfff]")
# What stands in a text between single quotes, in which JSON needs the fewest escapes.
_ESCAPED = {"\\": "\\\\", "'": "\\x27", "<": "\\x3c", "\n": "\\n", "\r": "\\r"}
_ESCAPED |= {"\u2028": "\\u2028", "\u2029": "\\u2029"}
_MEANT = {escaped: character for character, escaped in _ESCAPED.items()}
_ESCAPE = re.compile("|".join(map(re.escape, _MEANT)))
_RARE = 0.75  # a table pays if this share of the values, or fewer, are different ones

# --- Scripts ---------------------------------------------------------------------------------------


def script(name: str, data: str) -> str:
    """Return a script that hands data, which are JSON, to the page under a name: one call with a text.

    A lone surrogate becomes U+FFFD; nothing in it can end the script or its line.
    """
    return f"civitai.chunk('{name}','{_quoted(data)}');\n"


def _quoted(text: str) -> str:
    quoted = text if text.isascii() else _LONE.sub("\ufffd", text)
    for character, escaped in _ESCAPED.items():
        quoted = quoted.replace(character, escaped)
    return quoted


def read_script(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and data of a script. Raises ValueError for a text that is none of ours, or cut."""
    call = _CALL.fullmatch(text)
    if call is None:
        raise ValueError("this is no script of data")
    data = json.loads(_ESCAPE.sub(lambda escape: _MEANT[escape[0]], call[2]))
    if not isinstance(data, dict):
        raise ValueError("this is no object")
    return call[1], data


# --- Columns ---------------------------------------------------------------------------------------


def pack(values: Sequence[Any]) -> Any:
    """Return values in the shortest of four forms, as JSON.

    A list has the values; a text has them between blanks; `t` and `i` are the different ones and which of these each
    is (all the first one without `i`); `d` has what each number adds to the one before.
    """
    if values and all(type(value) is int for value in values):
        return _pack_numbers(values)
    is_text = all(isinstance(value, str) for value in values)
    table: dict[Any, int] = {}
    keys = values if is_text else map(_key, values)
    indices = [table.setdefault(key, len(table)) for key in keys]
    if values and len(table) <= max(1, _RARE * len(values)):
        different = dict(zip(indices, values, strict=True))
        known = [different[index] for index in range(len(table))]
        return {"t": known, "i": indices} if len(table) > 1 else {"t": known}
    if values and is_text and not any(" " in value for value in values):
        return " ".join(values)
    return list(values)


def _pack_numbers(values: Sequence[int]) -> Any:
    steps = [now - before for before, now in zip([0, *values], values, strict=False)]
    table = {value: index for index, value in enumerate(dict.fromkeys(values))}
    if len(table) == 1:
        return {"t": [values[0]]}
    forms: list[Any] = [list(values), {"d": steps}]
    if len(table) <= _RARE * len(values):
        forms.append({"t": list(table), "i": [table[value] for value in values]})
    return min(forms, key=lambda form: len(str(form)))


def _key(value: Any) -> Any:
    """Return what equal values have in common, and no others: 1, 1.0 and true are three."""
    return value if isinstance(value, str) else (type(value), repr(value))


def unpack(column: Any, count: int) -> list[Any]:
    """Return the values of a column. Raises ValueError if they are not as many, or the form is unknown."""
    values: list[Any]
    match column:
        case list():
            values = column
        case str():
            values = column.split(" ")
        case {"t": [first], **rest} if "i" not in rest:
            values = [first] * count
        case {"t": [*known], "i": [*indices]}:
            values = [known[index] for index in indices]
        case {"d": [*steps]}:
            values = list(accumulate(steps))
        case _:
            raise ValueError("this is no column")
    if len(values) != count:
        raise ValueError("a column has another length")
    return values


# --- Tables ----------------------------------------------------------------------------------------


class Things:
    """What pictures were made with, each told once for all chunks, which have its place in `known`."""

    def __init__(self, known: Iterable[Sequence[Any]] = ()) -> None:
        self.known = [tuple(thing) for thing in known]
        self._places = {thing: place for place, thing in enumerate(self.known)}

    def place(self, thing: tuple[Any, ...]) -> int:
        """Return the place of a thing, which is added if it is new."""
        place = self._places.setdefault(thing, len(self.known))
        if place == len(self.known):
            self.known.append(thing)
        return place


def table(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Return rows as the columns of a chunk."""
    return {"rows": len(rows), "columns": {name: pack([row[name] for row in rows]) for name in names}}


def rows_of(*tables: Mapping[str, Any]) -> list[Row]:
    """Return the rows whose columns stand in these tables.

    Raises ValueError, or an error of look-up or type, for what `table` has not made.
    """
    count = tables[0]["rows"]
    columns = {name: unpack(column, count) for each in tables for name, column in each["columns"].items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
