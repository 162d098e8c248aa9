"""Paging: a list of the site, page after page, until it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import Pages, number_at, object_at, objects_at


def pages(ask: Callable[[dict[str, Any]], dict[str, Any]], size: int, limit: int | None = None) -> Pages:
    """Yield the new items of each page of a cursor list, `limit` in all (None: every one).

    Ends at an absent or repeated cursor and after three pages without a new id: pages may be short, empty,
    or repeat what was there before.
    """
    seen, cursors = set[int](), set[str]()
    more: dict[str, Any] = {}
    barren = 0
    while barren < 3 and (limit is None or len(seen) < limit):
        left = None if limit is None else limit - len(seen)
        answer = ask({"limit": size if left is None else min(size, left), **more})
        found = {number_at(item, "id"): item for item in objects_at(answer, "items")}
        fresh = [each for each in found if each and each not in seen][:left]
        seen.update(fresh)
        barren = 0 if fresh else barren + 1
        yield [found[each] for each in fresh]
        cursor = object_at(answer, "metadata").get("nextCursor")
        if not isinstance(cursor, (str, int)) or cursor == "" or str(cursor) in cursors:
            return
        cursors.add(str(cursor))
        more = {"cursor": cursor}
