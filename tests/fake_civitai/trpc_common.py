"""What the procedures of tRPC share: access, input, and rows of many kinds."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from .calls import Call
from .encoding import UNDEFINED
from .records import Json
from .words import ALL_LEVELS
from .world import World


class Refusal(Exception):
    """An error of a procedure, by the name of its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_origin(world: World, call: Call) -> None:
    """Every procedure wants a valid key, or an Origin (else Referer) of the site itself; a cookie is no key."""
    origin = urlsplit(call.headers.get("origin") or call.headers.get("referer") or "").netloc
    own = (urlsplit(call.hosts.site).netloc, "civitai.com", "civitai.red")
    if (call.only_cookie or not call.account(world)) and origin not in own:
        raise Refusal("UNAUTHORIZED", "Please use the public API instead: https://developer.civitai.com")


def allowed_levels(world: World, call: Call, wanted: Json) -> int:
    """The levels shown: PG to anyone, PG-13 to those logged in on `com`, what was asked for on `red`."""
    asked = int(wanted.get("browsingLevel") or 0)
    if not call.account(world):
        return asked & 1 or 1
    return (asked & 3 or 3) if world.trpc_host == "com" else asked or ALL_LEVELS


def required(wanted: Json, name: str) -> Any:
    if wanted.get(name) is None:
        issues = [{"code": "invalid_type", "path": [name], "message": "Required"}]
        raise Refusal("BAD_REQUEST", json.dumps(issues))
    return wanted[name]


def page_size(wanted: Json, most: int) -> int:
    limit = wanted.get("limit", 100)
    if not isinstance(limit, int) or not 0 <= limit <= most:
        raise Refusal("BAD_REQUEST", json.dumps([{"code": "too_big", "path": ["limit"], "maximum": most}]))
    return limit


def existing(thing: Any, name: str, number: object) -> Any:
    if thing is None:
        raise Refusal("NOT_FOUND", f"No {name} with id {number}")
    return thing


def collected(world: World, wanted: Json, kind: str) -> list[int]:
    """What is in a collection of this kind: nothing of a private one."""
    found = world.collections.get(wanted["collectionId"])
    return found.items if found and found.type == kind and found.read != "Private" else []


def user_row(world: World, name: str) -> Json:
    about = {"id": world.user_id(name), "username": name, "image": None, "deletedAt": None}
    return about | {"cosmetics": [], "profilePicture": None}


def page_of(items: list[Json], following: str | None) -> Json:
    return {"nextCursor": UNDEFINED if following is None else following, "items": items}
