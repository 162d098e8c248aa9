"""The procedures of tRPC share checks of access and input, and common rows."""

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
    """An error of a procedure, with the name of its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_origin(world: World, call: Call) -> None:
    """Demand a valid key, or an Origin (else Referer) of the site itself. A cookie does not count as a key."""
    origin = urlsplit(call.headers.get("origin") or call.headers.get("referer") or "").netloc
    own = (urlsplit(call.hosts.site).netloc, "civitai.com", "civitai.red")
    if (call.only_cookie or not call.account(world)) and origin not in own:
        raise Refusal("UNAUTHORIZED", "Please use the public API instead: https://developer.civitai.com")


def allowed_levels(world: World, call: Call, wanted: Json) -> int:
    """Return the levels shown: PG to anyone, up to PG-13 with a key on `com`, all that was asked for on `red`."""
    asked = int(wanted.get("browsingLevel") or 0)
    if not call.account(world):
        return asked & 1 or 1
    return (asked & 3 or 3) if world.trpc_host == "com" else asked or ALL_LEVELS


def required(wanted: Json, name: str) -> Any:
    """Return a value of the input that must be there."""
    if wanted.get(name) is None:
        issues = [{"code": "invalid_type", "path": [name], "message": "Required"}]
        raise Refusal("BAD_REQUEST", json.dumps(issues))
    return wanted[name]


def page_size(wanted: Json, most: int) -> int:
    """Return the limit of the input, if it is valid."""
    limit = wanted.get("limit", 100)
    if not isinstance(limit, int) or not 0 <= limit <= most:
        raise Refusal("BAD_REQUEST", json.dumps([{"code": "too_big", "path": ["limit"], "maximum": most}]))
    return limit


def existing(thing: Any, name: str, number: object) -> Any:
    """Return the thing that was asked for, if it exists."""
    if thing is None:
        raise Refusal("NOT_FOUND", f"No {name} with id {number}")
    return thing


def collected(world: World, wanted: Json, kind: str) -> list[int]:
    """Return the contents of a collection of this kind. A private one shows nothing."""
    found = world.collections.get(wanted["collectionId"])
    return found.items if found and found.type == kind and found.read != "Private" else []


def user_row(world: World, name: str) -> Json:
    """Describe a user."""
    about = {"id": world.user_id(name), "username": name, "image": None, "deletedAt": None}
    return about | {"cosmetics": [], "profilePicture": None}


def page_of(items: list[Json], following: str | None) -> Json:
    """Return a page of a list."""
    return {"nextCursor": UNDEFINED if following is None else following, "items": items}
