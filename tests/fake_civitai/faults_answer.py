"""These faults change what is answered."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, ClassVar

from .calls import Call
from .content import Body
from .faults import Action, Normal
from .pages import LOGIN_HTML
from .replies import Reply, json_reply, ranged, xml_error


@dataclass(frozen=True)
class Status(Action):
    """A different answer, with any status, body, headers and content type."""

    code: int = 500
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def answer(self, call: Call, normal: Normal) -> Reply:
        data = self.body.encode() if isinstance(self.body, str) else self.body
        return Reply(self.code, {"Content-Type": self.content_type, **self.headers}, Body.of(data))


def busy(code: int = 429, retry_after: int | str | None = None) -> Status:
    """Return a 429 or 503, with `Retry-After` in seconds, as a date (see `http_date`), or without it."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Status(code, '{"error":"Too busy, try again later"}', headers)


def http_date(seconds: float) -> str:
    """Return the date that is so many seconds from now, in the format of HTTP headers."""
    return formatdate(time.time() + seconds, usegmt=True)


_HTML = "text/html; charset=UTF-8"
EMPTY = Status(200, "", content_type="application/octet-stream")
HTML_PAGE = Status(200, LOGIN_HTML, content_type=_HTML)
JSON_PAGE = Status(200, '{"error":"Unauthorized","message":"Please log in"}')
MAINTENANCE = Status(200, "<!DOCTYPE html><title>Civitai</title>We will be back in a few minutes", content_type=_HTML)
CLOUDFLARE_520 = Status(
    520, "<!DOCTYPE html><title>civitai.com | 520: Web server is returning an unknown error</title>", content_type=_HTML
)
CLOUDFLARE_524 = Status(524, "<!DOCTYPE html><title>civitai.com | 524: A timeout occurred</title>", content_type=_HTML)
CHALLENGE = Status(403, "<!DOCTYPE html><title>Just a moment...</title>", {"cf-mitigated": "challenge"}, _HTML)
REGION_BLOCKED = Status(451, '{"error":"Not available in your region","code":"REGION_BLOCKED"}')


@dataclass(frozen=True)
class Rewrite(Action):
    """The normal JSON answer changed by a function: null list members, wrong types, anything."""

    change: Callable[[Any], Any] = lambda data: data

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return json_reply(self.change(json.loads(reply.sent)), reply.status)


@dataclass(frozen=True)
class BrokenJson(Action):
    """The first half of the normal body, which is complete as far as HTTP can tell."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return replace(reply, body=Body.of(reply.sent[: reply.length // 2]), start=0, stop=None)


@dataclass(frozen=True)
class BigJson(Action):
    """A valid but huge list answer without any items."""

    size: int = 64 * 1024 * 1024

    def answer(self, call: Call, normal: Normal) -> Reply:
        return json_reply({"items": [], "metadata": {}, "padding": "x" * self.size})


@dataclass(frozen=True)
class RedirectTo(Action):
    """A redirect to this URL (another host, `file:`, a private address). "" redirects to the same URL for ever."""

    url: str = ""
    code: int = 302

    def answer(self, call: Call, normal: Normal) -> Reply:
        same = f"{getattr(call.hosts, call.host)}{call.path}" + (f"?{call.raw_query}" if call.raw_query else "")
        return Reply(self.code, {"Location": self.url or same})


@dataclass(frozen=True)
class IgnoreRange(Action):
    """A 200 with the whole object in answer to a Range."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        return normal(call.without("range", "if-range"))


@dataclass(frozen=True)
class Changed(Action):
    """The object has been replaced and has another ETag and date. If-Range is honoured."""

    data: bytes | None = None
    honour: ClassVar[bool] = True

    def answer(self, call: Call, normal: Normal) -> Reply:
        whole = normal(call.without("range", "if-range"))
        body = _other(whole.body, self.data)
        news = whole.with_headers(ETag=body.etag, Last_Modified="Mon, 02 Mar 2026 12:00:00 GMT")
        return ranged(call if self.honour else call.without("if-range"), replace(news, body=body))


@dataclass(frozen=True)
class IgnoreIfRange(Changed):
    """The object has been replaced, and a 206 gives the middle of the new one in spite of If-Range."""

    honour: ClassVar[bool] = False


def _other(body: Body, data: bytes | None) -> Body:
    """Return an object with these data, or a different object of the same size."""
    if data is not None:
        return Body.of(data)
    return replace(body, head=body.head[:136] + body.head[136:][::-1], seed=f"{body.seed} changed")


@dataclass(frozen=True)
class Validators(Action):
    """The same object with another ETag and date. None omits that header; an ETag that starts with W/ is weak."""

    etag: str | None = None
    modified: str | None = None

    def answer(self, call: Call, normal: Normal) -> Reply:
        whole = normal(call.without("range", "if-range")).with_headers(ETag=self.etag, Last_Modified=self.modified)
        return ranged(call, whole)


@dataclass(frozen=True)
class WrongStart(Action):
    """A 206 whose Content-Range and bytes do not begin where they were asked to."""

    by: int = 7

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        if reply.status != 206:
            return reply
        start = max(0, min(reply.start + self.by, reply.end - 1))
        span = f"bytes {start}-{reply.end - 1}/{reply.body.size}"
        return replace(reply.with_headers(Content_Range=span), start=start)


@dataclass(frozen=True)
class WrongTotal(Action):
    """A 206 whose Content-Range names a wrong total size."""

    by: int = 1

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        span = f"bytes {reply.start}-{reply.end - 1}/{reply.body.size + self.by}"
        return reply.with_headers(Content_Range=span) if reply.status == 206 else reply


@dataclass(frozen=True)
class NoContentRange(Action):
    """A 206 that does not say which part it is."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        return normal(call).with_headers(Content_Range=None)


@dataclass(frozen=True)
class MultipartRanges(Action):
    """A 206 in multipart/byteranges format although only one range was asked for."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        if reply.status != 206:
            return reply
        span = reply.headers["Content-Range"]
        head = f"--cut\r\nContent-Type: application/octet-stream\r\nContent-Range: {span}\r\n\r\n".encode()
        body = Body.of(head + reply.sent + b"\r\n--cut--\r\n")
        changed = reply.with_headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=cut")
        return replace(changed, body=body, start=0, stop=None)


@dataclass(frozen=True)
class Unasked206(Action):
    """A 206 with the second half although no Range was asked for."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        half = reply.body.size // 2
        return reply if reply.status != 200 else ranged(replace(call, headers={"range": f"bytes={half}-"}), reply)


@dataclass(frozen=True)
class Always416(Action):
    """A 416 for every Range. Requests without a Range are answered normally."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call.without("range", "if-range"))
        if "range" not in call.headers:
            return reply
        return xml_error("InvalidRange", 416).with_headers(Content_Range=f"bytes */{reply.body.size}")


@dataclass(frozen=True)
class Gzip(Action):
    """The body is compressed with gzip although identity was asked for."""

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        packed = Body.of(gzip.compress(reply.sent, 1))
        return replace(reply.with_headers(Content_Encoding="gzip"), body=packed, start=0, stop=None)


@dataclass(frozen=True)
class GzipBomb(Action):
    """A small gzip body that unpacks to so many MiB of zeros."""

    mebibytes: int = 1024

    def answer(self, call: Call, normal: Normal) -> Reply:
        packed = Body.of(gzip.compress(bytes(1 << 20)) * self.mebibytes)
        return replace(normal(call).with_headers(Content_Encoding="gzip"), body=packed, start=0, stop=None)


@dataclass(frozen=True)
class FlipBit(Action):
    """One bit of the object at this offset is flipped."""

    at: int = 0

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return replace(reply, body=replace(reply.body, flipped=self.at))
