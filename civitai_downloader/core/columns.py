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
_BETWEEN = "\x7f"  # between texts that stand in one: JSON has no escape for it
_FEW = 8  # so many texts, or fewer, are not worth joining

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
    """Return values in one of five forms, as JSON: one that is short, and quick to read.

    A list has the values; a text has them between blanks; `s` has texts of ASCII in one, between DEL, and `x` the index
    and value of all others; `t` and `i` are the different ones (a list, or as in `s` and `x`) and which of these each
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
        return {"t": _joined(known), "i": indices} if len(table) > 1 else {"t": known}
    if values and is_text and not any(" " in value for value in values):
        return " ".join(values)
    return _joined(values)


def _joined(values: Sequence[Any]) -> Any:
    """Return values in the form of `s` and `x` if most are texts that fit into it, else as a list."""
    others = [[index, value] for index, value in enumerate(values) if not _is_plain(value)]
    if len(values) <= _FEW or len(others) > len(values) // 4:
        return list(values)
    texts = [*values]
    for index, _ in others:
        texts[index] = ""
    return {"s": _BETWEEN.join(texts), "x": others}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and _BETWEEN not in value


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
        case str():
            values = column.split(" ")
        case {"t": [first], **rest} if "i" not in rest:
            values = [first] * count
        case {"t": known, "i": [*indices]}:
            known = _listed(known)
            values = [known[index] for index in indices]
        case {"d": [*steps]}:
            values = list(accumulate(steps))
        case _:
            values = _listed(column)
    if len(values) != count:
        raise ValueError("a column has another length")
    return values


def _listed(column: Any) -> list[Any]:
    match column:
        case list():
            return column
        case {"s": str(texts), "x": [*others]}:
            values: list[Any] = texts.split(_BETWEEN)
            for index, value in others:
                values[index] = value
            return values
        case _:
            raise ValueError("this is no column")


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
