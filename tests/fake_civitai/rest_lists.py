"""The lists of the REST API share their refusals and the envelope around a page."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from .calls import Call
from .records import Json
from .replies import Reply, json_reply
from .world import World


def too_deep(call: Call) -> Reply | None:
    """Refuse a large `page` for good, although `page` has no effect on the site."""
    if (call.number("page") or 1) * (call.number("limit") or 100) > 1000:
        return json_reply({"error": "You've requested too many pages, please use cursors instead"}, 429)
    return None


def bad_limit(call: Call, most: int) -> Reply | None:
    """Refuse a limit that is no number or too large."""
    limit = call.first("limit", "100")
    if not limit.isdigit() or int(limit) > most:
        return zod_error("limit", f"Number must be less than or equal to {most}")
    return None


def zod_error(name: str, message: str) -> Reply:
    """Return the error for a parameter that fails the site's validation."""
    issues = [{"code": "invalid_type", "path": [name], "message": message}]
    return json_reply({"error": {"name": "ZodError", "message": json.dumps(issues)}}, 400)


def envelope(world: World, call: Call, items: list[Json], cursor: str | None, **more: Any) -> Reply:
    """Return a list answer. `nextPage` repeats every parameter that was sent, even the token."""
    metadata: Json = dict(more)
    if cursor is not None:
        kept = [(name, value) for name, values in call.query.items() if name != "cursor" for value in values]
        host = world.next_page_host or call.hosts.site
        metadata["nextCursor"] = cursor
        metadata["nextPage"] = f"{host}{call.path}?{urlencode([*kept, ('cursor', cursor)])}"
    return json_reply({"items": items, "metadata": metadata})


def numbered_pages(call: Call, rows: list[Json]) -> Reply:
    """Return a list that really has numbered pages, as only creators and tags do."""
    limit, page = call.number("limit") or 20, call.number("page") or 1
    query = call.first("query").lower()
    rows = [row for row in rows if query in str(row.get("username") or row.get("name")).lower()]
    pages = -(-len(rows) // limit)
    metadata: Json = {"totalItems": len(rows), "currentPage": page, "pageSize": limit, "totalPages": pages}
    if page < pages:
        metadata["nextPage"] = f"{call.hosts.site}{call.path}?{urlencode({'limit': limit, 'page': page + 1})}"
    return json_reply({"items": rows[(page - 1) * limit : page * limit], "metadata": metadata})
