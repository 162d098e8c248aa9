"""Picture delivery leads to the public blobs behind it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from .calls import Call, Hosts
from .content import Body, media_type, webp_bytes
from .records import FakeImage
from .replies import Reply, json_reply, page_reply, ranged, redirect
from .world import World

ACCOUNT = "xG1nkqKTMzGDvpLrqFT7WA"


def picture_url(world: World, hosts: Hosts, image: FakeImage, stem: object) -> str:
    """Return a delivery link. Its ending tells the kind of the picture, but never how the bytes are encoded."""
    params = "width=450" if world.old_image_urls else "original=true"
    ending = {"video": "mp4", "audio": "mp3"}.get(image.kind, "jpeg")
    return f"{hosts.image}/{ACCOUNT}/{image.uuid}/{params}/{stem}.{ending}"


def answer_image(world: World, call: Call) -> Reply:
    """Redirect (301) to a blob. `width` gives a smaller picture, and some videos give a still (see FakeImage)."""
    parts = unquote(call.path).strip("/").split("/")
    if len(parts) != 4 or parts[0] != ACCOUNT:
        return page_reply("not found", 404)
    uuid, params = parts[1], dict(part.partition("=")[::2] for part in parts[2].split(","))
    image = world.by_uuid(uuid)
    original = params.get("original") == "true"
    if image and image.no_still and params.get("anim") == "false":
        return json_reply({"code": "not_found", "status": 404}, 404)
    if image and image.kind == "video":
        still = image.still_always or (image.still_for_original and len(params) == 1)
        original = original or (params.get("transcode") == "true" and params.get("anim") != "false" and not still)
        original = original and not still
    if original:
        return redirect(f"{call.hosts.blob}/file/blobs-managed-public/{uuid}", 301)
    steps = (96, 320, 450, 512, 800, 1200, 1600, 2200)
    width = int(params.get("width", "450")) if params.get("width", "450").isdigit() else 450
    variant = f"{next((step for step in steps if step >= width), 2200)}x<auto>_so"
    return redirect(f"{call.hosts.blob}/file/civitai-media-cache/{uuid}/{quote(variant)}", 301)


def answer_blob(world: World, call: Call) -> Reply:
    """Answer with a public blob: an original, or a reduced picture that has lost its metadata."""
    match = re.fullmatch(r"/file/(blobs-managed-public|civitai-media-cache)/([^/]+)(?:/(.+))?", unquote(call.path))
    image = world.by_uuid(match[2]) if match else None
    if match is None or image is None or image.missing:
        return json_reply({"code": "not_found", "status": 404}, 404)
    whole = match[1] == "blobs-managed-public" or (match[3] == "original" and not image.still_always)
    data = image.data if whole else webp_bytes(f"{image.uuid} {match[3]}", 100)
    body = Body.of(data)
    headers = {"Content-Type": media_type(data), "ETag": body.etag, "Accept-Ranges": "bytes"}
    return ranged(call, Reply(200, headers, body))
