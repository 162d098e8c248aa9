"""The web pages of the site, and the data that an image page contains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from .calls import Call
from .encoding import encoded
from .records import Json
from .replies import Reply, page_reply, redirect
from .trpc import PROCEDURES
from .world import World

LOGIN_HTML = "<!DOCTYPE html><html><head><title>Login | Civitai</title></head><body>Sign in to continue</body></html>"


def show_page(world: World, call: Call, rest: str) -> Reply:
    """Answer with a web page of the site. The login page has status 200."""
    version = re.fullmatch(r"model-versions/(\d+)", rest)
    if version and int(version[1]) in world.versions:
        model = world.versions[int(version[1])].model
        return redirect(f"{call.hosts.site}/models/{model.id}?modelVersionId={version[1]}", 308)
    if rest == "login":
        return page_reply(LOGIN_HTML)
    return page_reply(f"<!DOCTYPE html><html><title>{rest}</title><body>{rest}</body></html>")


def image_page(world: World, call: Call, number: str) -> Reply:
    """Answer `/images/{id}` with data in a script, in either encoding. A page about a missing image is a 200 too."""
    state = encoded(world, {"mutations": [], "queries": list(_dehydrated(world, call, int(number)))})
    data = {"props": {"pageProps": {"trpcState": state, "session": None}}, "page": "/images/[imageId]"}
    script = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return page_reply(
        f"<!DOCTYPE html><html><head><title>Image {number}</title></head><body><div id='__next'></div>"
        f'<script id="__NEXT_DATA__" type="application/json">{script}</script></body></html>'
    )


def _dehydrated(world: World, call: Call, number: int) -> Iterable[Json]:
    """Yield the queries of an image page. Queries that failed are omitted."""
    for name in ("image.get", "image.getGenerationData"):
        if number in world.images:
            data = PROCEDURES[name](world, call, {"id": number})
            key: list[Any] = [name.split("."), {"input": {"id": number}, "type": "query"}]
            yield {"queryKey": key, "queryHash": json.dumps(key), "state": {"status": "success", "data": data}}
