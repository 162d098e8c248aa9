"""The two encodings of tRPC are superjson and devalue."""

from __future__ import annotations

import json
from typing import Any

from .records import Json
from .world import World


class Date(str):
    """A moment, which both encodings mark as one."""


class _Undefined:
    """The value that JavaScript calls undefined."""


UNDEFINED = _Undefined()


def encoded(world: World, value: Any) -> Any:
    """Return a value in the encoding that the world uses at the moment."""
    world.trpc_answers += 1
    flat = world.encoding == "devalue" or (world.encoding == "alternate" and world.trpc_answers % 2 == 0)
    return devalue(value) if flat else superjson(value)


def superjson(value: Any) -> Json:
    """Encode a value as an object: plain JSON, with the types of dates and undefined values listed beside it."""
    marks: dict[str, list[str]] = {}

    def plain(part: Any, path: str) -> Any:
        if isinstance(part, _Undefined | Date):
            marks[path] = ["Date" if isinstance(part, Date) else "undefined"]
            return str(part) if isinstance(part, Date) else None
        if isinstance(part, dict):
            return {key: plain(inner, f"{path}.{key}".lstrip(".")) for key, inner in part.items()}
        if isinstance(part, list):
            return [plain(inner, f"{path}.{index}".lstrip(".")) for index, inner in enumerate(part)]
        return part

    answer = {"json": plain(value, "")}
    return answer | ({"meta": {"values": marks, "v": 1}} if marks else {})


def devalue(value: Any) -> str:
    """Encode a value as a string: a flat list in which containers hold the positions of their contents."""
    flat: list[Any] = []
    places: dict[Any, int] = {}

    def place(part: Any) -> int:
        if isinstance(part, _Undefined):
            return -1
        key = (type(part), id(part) if isinstance(part, dict | list) else part)
        if key not in places:
            places[key] = len(flat)
            flat.append(None)
            flat[places[key]] = entry(part)
        return places[key]

    def entry(part: Any) -> Any:
        if isinstance(part, Date):
            return ["Date", str(part)]
        if isinstance(part, dict):
            return {key: place(inner) for key, inner in part.items()}
        return [place(inner) for inner in part] if isinstance(part, list) else part

    root = place(value)
    return json.dumps(flat if root == 0 else root, ensure_ascii=False)
