"""Signed storage holds the files of models."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

from .calls import Call, Hosts
from .records import FakeFile
from .replies import Reply, json_reply, ranged, xml_error
from .world import World


def signed_url(world: World, hosts: Hosts, file: FakeFile) -> str:
    """Return a storage link that works for a while without any key."""
    path = f"/model/42/{file.id}/{quote(file.name, safe='')}"
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time()))
    signature = _signature(world, path, moment)
    if world.b2_links:
        return f"{hosts.storage}{path}?{urlencode({'Authorization': f'3_{moment}_{signature}_dnld'})}"
    query = {
        "X-Amz-Expires": str(world.link_seconds),
        "response-content-disposition": _disposition(file),
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Date": moment,
        "X-Amz-Signature": signature,
    }
    return f"{hosts.storage}{path}?{urlencode(query)}"


def answer_storage(world: World, call: Call) -> Reply:
    """Answer with a file. An `Authorization` header gives a 400, an expired link or HEAD a 403."""
    if "authorization" in call.headers:
        return xml_error("InvalidArgument", 400)
    if call.method != "GET" or not _signed(world, call):
        if world.b2_links:
            return json_reply({"code": "unauthorized", "status": 401}, 401)
        return xml_error("AccessDenied" if call.method == "GET" else "SignatureDoesNotMatch", 403)
    file = world.files.get(int(call.path.split("/")[3]))
    if file is None:
        return xml_error("NoSuchKey", 404)
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    validators = {"ETag": file.body.etag if file.etag is None else file.etag, "Last-Modified": file.modified}
    named = {"Content-Disposition": _disposition(file)} if world.content_disposition and not world.b2_links else {}
    headers |= {key: value for key, value in validators.items() if value} | named
    return ranged(call, Reply(200, headers, file.body))


def _signed(world: World, call: Call) -> bool:
    if world.b2_links:
        _, moment, signature, *_ = [*call.first("Authorization").split("_"), "", "", ""]
    else:
        moment, signature = call.first("X-Amz-Date"), call.first("X-Amz-Signature")
    if signature != _signature(world, call.path, moment):
        return False
    given = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    return time.time() < given + world.link_seconds


def _signature(world: World, path: str, moment: str) -> str:
    return hashlib.sha256(f"{path} {moment} {world.link_age}".encode()).hexdigest()


def _disposition(file: FakeFile) -> str:
    return 'attachment; filename="' + re.sub(r'[\x00-\x1f"\\]', "_", file.name) + '"'
