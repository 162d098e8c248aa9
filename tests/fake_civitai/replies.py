"""A reply is what the site answers, whole or in part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .calls import Call
from .content import Body


@dataclass(frozen=True)
class Reply:
    """A status, headers, and the part of an object that is to be sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)
    start: int = 0
    stop: int | None = None

    @property
    def end(self) -> int:
        """The position where the part ends."""
        return self.body.size if self.stop is None else self.stop

    @property
    def length(self) -> int:
        """The number of bytes that the reply announces."""
        return self.end - self.start

    @property
    def sent(self) -> bytes:
        """The bytes of the part."""
        return self.body.read(self.start, self.end)

    def with_headers(self, **headers: str | None) -> Reply:
        """Return the same reply with these headers set (`_` stands for `-`) or, if None, removed."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        kept = {key: value for key, value in self.headers.items() if key not in named}
        return replace(self, headers=kept | {key: value for key, value in named.items() if value is not None})


def json_reply(data: Any, status: int = 200, **headers: str) -> Reply:
    """Return an answer of the API."""
    body = Body.of(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return Reply(status, {"Content-Type": "application/json; charset=utf-8"} | headers, body)


def page_reply(text: str, status: int = 200, kind: str = "text/html; charset=utf-8") -> Reply:
    """Return a web page or a text."""
    return Reply(status, {"Content-Type": kind}, Body.of(text.encode()))


def redirect(url: str, status: int = 307) -> Reply:
    """Return a redirect without a body."""
    return Reply(status, {"Location": url, "Cache-Control": "no-store, max-age=0"})


def xml_error(code: str, status: int) -> Reply:
    """Return an error of S3-like storage."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return page_reply(text, status, "application/xml")


def ranged(call: Call, reply: Reply) -> Reply:
    """Return the reply, or the part of it that the call's Range asks for (206), or a 416 if that is beyond the end."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", "bytes=-"))
    if match is None or match[0] == "bytes=-" or not _range_holds(call, reply):
        return reply
    total = reply.body.size
    if match[1]:
        start, stop = int(match[1]), min(int(match[2] or total - 1) + 1, total)
    else:
        start, stop = max(0, total - int(match[2])), total
    if start >= total:
        return xml_error("InvalidRange", 416).with_headers(Content_Range=f"bytes */{total}")
    if stop <= start:
        return reply
    part = reply.with_headers(Content_Range=f"bytes {start}-{stop - 1}/{total}")
    return replace(part, status=206, start=start, stop=stop)


def _range_holds(call: Call, reply: Reply) -> bool:
    """Tell whether If-Range names the same strong ETag or date. A weak ETag never matches."""
    wanted = call.headers.get("if-range")
    if wanted is None:
        return True
    strong = not wanted.startswith("W/")
    return strong and wanted in (reply.headers.get("ETag"), reply.headers.get("Last-Modified"))
