"""The tRPC side of the fake Civitai: undocumented on the real site, and the only source of posts and collections.

Three traps: without a valid key the caller must name the site as its origin, levels are cut down unless the caller is
logged in on the right host, and answers come in two encodings that may change from one call to the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from .fake_answers import (
    BY_ID,
    BY_RISING_ID,
    IMAGE_SORTS,
    MODEL_ORDERS,
    Call,
    Order,
    Reply,
    Route,
    json_reply,
    listed_versions,
    page_reply,
    tag_id,
    take,
    take_by_offset,
    version_alone,
)
from .fake_world import ALL_LEVELS, FakeImage, FakeModel, FakePost, FakeVersion, Json, World, media_type, millis


class Date(str):
    """A moment, which both encodings mark as such."""


class _Undefined:
    """What JavaScript calls undefined."""


UNDEFINED = _Undefined()

# --- encodings --------------------------------------------------------------------------------------------------------


def superjson(value: Any) -> Json:
    """The encoding as an object: plain JSON, with the types of dates and undefined values on the side."""
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
    """The encoding as a string: a flat list of values in which containers hold the places of what is in them."""
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


def encoded(world: World, value: Any) -> Any:
    """A value in the encoding that is on just now."""
    world.trpc_answers += 1
    flat = world.encoding == "devalue" or (world.encoding == "alternate" and world.trpc_answers % 2 == 0)
    return devalue(value) if flat else superjson(value)


# --- access -----------------------------------------------------------------------------------------------------------

CODES = {
    "BAD_REQUEST": (-32600, 400),
    "UNAUTHORIZED": (-32001, 401),
    "FORBIDDEN": (-32003, 403),
    "NOT_FOUND": (-32004, 404),
    "TOO_MANY_REQUESTS": (-32029, 429),
}


class Refusal(Exception):
    """An error of a procedure, by the name of its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _check_origin(world: World, call: Call) -> None:
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


def _need(wanted: Json, name: str) -> Any:
    if wanted.get(name) is None:
        issues = [{"code": "invalid_type", "path": [name], "message": "Required"}]
        raise Refusal("BAD_REQUEST", json.dumps(issues))
    return wanted[name]


def _limit(wanted: Json, most: int) -> int:
    limit = wanted.get("limit", 100)
    if not isinstance(limit, int) or not 0 <= limit <= most:
        raise Refusal("BAD_REQUEST", json.dumps([{"code": "too_big", "path": ["limit"], "maximum": most}]))
    return limit


def _found(thing: Any, name: str, number: object) -> Any:
    if thing is None:
        raise Refusal("NOT_FOUND", f"No {name} with id {number}")
    return thing


# --- images -----------------------------------------------------------------------------------------------------------


def _user(world: World, name: str) -> Json:
    about = {"id": world.user_id(name), "username": name, "image": None, "deletedAt": None}
    return about | {"cosmetics": [], "profilePicture": None}


def _file_name(image: FakeImage) -> str:
    endings = {
        b"\x89PNG": "png",
        b"\xff\xd8\xff\xe0": "jpeg",
        b"RIFF": "webp",
        b"GIF8": "gif",
        b"\x1aE\xdf\xa3": "webm",
    }
    return image.name or f"{image.id}-upload.{endings.get(image.data[:4], 'mp4')}"


def image_row(world: World, image: FakeImage, named: bool = True) -> Json:
    """An image; `url` is the bare uuid, `name` null where the search index answers."""
    blurhash = f"U9ABC~{image.id}"
    size = {"hash": blurhash, "size": len(image.data), "width": image.width, "height": image.height}
    counters = ("like", "laugh", "heart", "cry", "dislike", "comment", "collected", "tippedAmount", "view")
    return {
        "id": image.id,
        "name": _file_name(image) if named else None,
        "url": image.uuid,
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": blurhash,
        "hasMeta": bool(image.shown_meta),
        "hasPositivePrompt": bool(image.shown_meta and image.shown_meta.get("prompt")),
        "onSite": False,
        "remixOfId": None,
        "createdAt": Date(image.created),
        "sortAt": Date(image.created),
        "publishedAt": Date(image.created),
        "type": image.kind,
        "metadata": size | ({"duration": 3.04, "audio": False} if image.kind == "video" else {}),
        "ingestion": "Scanned",
        "needsReview": None,
        "postId": image.post_id,
        "index": _index(world, image),
        "modelVersionId": next(iter(image.version_ids), None),
        "availability": "Public",
        "minor": image.minor,
        "poi": image.poi,
        "baseModel": None,
        "modelVersionIds": image.version_ids,
        "modelVersionIdsManual": [],
        "user": _user(world, image.username),
        "stats": {f"{name}CountAllTime": image.likes if name == "like" else 0 for name in counters},
        "reactions": [],
        "tagIds": [tag_id(tag) for tag in image.tags],
        "cosmetic": None,
        "thumbnailUrl": UNDEFINED,
    }


def _index(world: World, image: FakeImage) -> int:
    post = world.posts.get(image.post_id)
    return post.images.index(image) if post and image in post.images else 0


def image_get(world: World, _call: Call, wanted: Json) -> Any:
    """`image.get`: one image of any level."""
    number = _need(wanted, "id")
    row = image_row(world, _found(world.images.get(number), "image", number))
    del row["modelVersionIds"]
    image = world.images[number]
    about = {"mimeType": media_type(image.data), "hideMeta": image.hidden_meta, "blockedFor": None}
    return row | about | {"scannedAt": row["createdAt"]}


def _image_asked_for(world: World, wanted: Json, image: FakeImage) -> bool:
    model = world.models.get(wanted.get("modelId") or 0)
    versions = [version.id for version in model.versions] if model else []
    posts = [*wanted.get("postIds", []), *([wanted["postId"]] if wanted.get("postId") else [])]
    with_meta = wanted.get("withMeta") or wanted.get("requiringMeta") or "meta" in wanted.get("include", [])
    number, user, maker = wanted.get("modelVersionId"), wanted.get("username"), wanted.get("userId")
    return (
        (not posts or image.post_id in posts)
        and (not user or image.username.lower() == user.lower())
        and (not maker or world.users.get(image.username) == maker)
        and (not number or number in image.version_ids)
        and (not wanted.get("modelId") or bool(number) or any(each in versions for each in image.version_ids))
        and (not wanted.get("collectionId") or image.id in _collected(world, wanted, "Image"))
        and (not wanted.get("imageId") or image.id == wanted["imageId"])
        and (not wanted.get("ids") or image.id in wanted["ids"])
        and (not wanted.get("types") or image.kind in wanted["types"])
        and (not with_meta or bool(image.shown_meta))
    )


def image_infinite(world: World, call: Call, wanted: Json) -> Any:
    """`image.getInfinite`: by post, collection or model from the database, else from the search index.

    Asking for metadata drops the images that have none. A post comes in its own order, a collection newest first
    unless `Oldest` is asked for, which is also the only order of the database that loses nothing between pages.
    """
    if wanted.get("username") and not world.find_user(wanted["username"]):
        raise Refusal("NOT_FOUND", "User not found")
    levels, limit = allowed_levels(world, call, wanted), _limit(wanted, 200)
    rows = [i for i in world.images.values() if i.level & levels and _image_asked_for(world, wanted, i)]
    cursor, bare_model = str(wanted.get("cursor") or ""), wanted.get("modelId") and not wanted.get("modelVersionId")
    if wanted.get("postId"):
        page, following = sorted(rows, key=lambda image: _index(world, image))[:limit], None
    elif bare_model or any(wanted.get(name) for name in ("postIds", "collectionId", "imageId")):
        order = BY_RISING_ID if wanted.get("sort") == "Oldest" else BY_ID
        page, following = take(world, rows, order, limit, cursor)
    else:
        order_of = IMAGE_SORTS[wanted.get("sort", "Most Reactions")]
        rows = sorted((image for image in rows if image.indexed), key=order_of)
        page, following = take_by_offset(world, rows, limit, cursor)
        return _rows([image_row(world, image, named=False) for image in page], following) | {"source": "meili"}
    return _rows([image_row(world, image) for image in page], following)


def _rows(items: list[Json], following: str | None) -> Json:
    return {"nextCursor": UNDEFINED if following is None else following, "items": items}


def _resources(world: World, image: FakeImage) -> list[Json]:
    rows = []
    for resource in image.resources:
        version = world.versions.get(resource["modelVersionId"])
        about: Json = {"imageId": image.id, "modelVersionId": resource["modelVersionId"]}
        about["strength"] = None if image.hidden_meta else resource.get("strength")
        if version:
            model = version.model
            about |= {"modelId": model.id, "modelName": model.name, "modelType": model.type, "versionId": version.id}
            about |= {"versionName": version.name, "baseModel": version.base_model}
        rows.append(about)
    return rows


def generation_data(world: World, _call: Call, wanted: Json) -> Any:
    """`image.getGenerationData`: a hidden prompt leaves `meta` undefined, yet resources and tools are told."""
    number = _need(wanted, "id")
    image: FakeImage = _found(world.images.get(number), "image", number)
    meta = dict(image.shown_meta) if image.shown_meta is not None else None
    if meta and isinstance(meta.get("comfy"), str):
        try:
            meta["comfy"] = json.loads(meta["comfy"])
        except ValueError:
            meta["comfy"] = {}
    return {
        "type": image.kind,
        "onSite": False,
        "process": "txt2img" if meta else None,
        "meta": UNDEFINED if meta is None else meta,
        "displayKeys": None,
        "resources": _resources(world, image),
        "tools": [{"id": tag_id(t), "name": t, "icon": None, "priority": 1, "notes": None} for t in image.tools],
        "techniques": [{"id": tag_id(name), "name": name, "notes": None} for name in image.techniques],
        "external": None,
        "canRemix": meta is not None,
        "remixOfId": None,
    }


def image_resources(world: World, _call: Call, wanted: Json) -> Any:
    """`image.getResources`."""
    number = _need(wanted, "id")
    return _resources(world, _found(world.images.get(number), "image", number))


# --- posts and collections --------------------------------------------------------------------------------------------


def _collected(world: World, wanted: Json, kind: str) -> list[int]:
    """What is in a collection of this kind: nothing of a private one."""
    found = world.collections.get(wanted["collectionId"])
    return found.items if found and found.type == kind and found.read != "Private" else []


def _post_level(post: FakePost) -> int:
    level = 0
    for image in post.images:
        level |= image.level
    return level or 1


def post_get(world: World, _call: Call, wanted: Json) -> Any:
    """`post.get`: title and text, no images."""
    number = _need(wanted, "id")
    post = world.posts.get(number)
    post = _found(post if post and post.published else None, "post", number)
    return {
        "id": post.id,
        "nsfw": False,
        "nsfwLevel": _post_level(post),
        "title": post.title,
        "detail": post.detail,
        "modelVersionId": post.version_id,
        "modelVersion": {"id": post.version_id} if post.version_id else None,
        "user": _user(world, post.username),
        "publishedAt": Date(post.published),
        "availability": "Public",
        "tags": [{"id": tag_id(tag), "name": tag, "isCategory": False} for tag in post.tags],
        "collectionId": post.collection_id,
    }


def _post_row(world: World, post: FakePost, levels: int) -> Json:
    shown = [image for image in post.images if image.level & levels]
    return {
        "id": post.id,
        "nsfwLevel": _post_level(post),
        "title": post.title,
        "publishedAt": Date(post.published or ""),
        "modelVersionId": post.version_id,
        "collectionId": post.collection_id,
        "imageCount": len(shown),
        "user": _user(world, post.username),
        "stats": {"postId": post.id, "commentCount": 0, "likeCount": 5, "collectedCount": 0},
        "images": [image_row(world, image) for image in shown[:8]],
        "cosmetic": None,
    }


def post_infinite(world: World, call: Call, wanted: Json) -> Any:
    """`post.getInfinite`: at most 8 images of each post, and everybody's posts when the user does not exist."""
    levels, user = allowed_levels(world, call, wanted), world.find_user(wanted.get("username") or "")
    number = wanted.get("modelVersionId")
    rows = [
        post
        for post in world.posts.values()
        if post.published
        and any(image.level & levels for image in post.images)
        and (user is None or post.username == user)
        and (not number or post.version_id == number)
        and (not wanted.get("collectionId") or post.id in _collected(world, wanted, "Post"))
    ]
    sign = 1 if wanted.get("sort") == "Oldest" else -1
    order = Order(lambda post: (millis(post.published), post.id), (sign, sign), dated=True)
    page, following = take(world, rows, order, _limit(wanted, 200), str(wanted.get("cursor") or ""))
    return _rows([_post_row(world, post, levels) for post in page], following)


def collection_get(world: World, _call: Call, wanted: Json) -> Any:
    """`collection.getById`: null for a private one; its contents are asked for elsewhere, by `type`."""
    found = world.collections.get(_need(wanted, "id"))
    rights = {"read": bool(found and found.read != "Private"), "write": False, "manage": False, "follow": False}
    if found is None or found.read == "Private":
        return {"collection": None, "permissions": rights}
    about = {"id": found.id, "name": found.name, "description": found.description, "type": found.type}
    rest = {"read": found.read, "nsfwLevel": 1, "user": _user(world, found.username), "image": None, "tags": []}
    return {"collection": about | rest | {"mode": None, "metadata": {}}, "permissions": rights}


# --- models, users, tags ----------------------------------------------------------------------------------------------


def _version_row(world: World, call: Call, version: FakeVersion) -> Json:
    row = version_alone(world, call, version)
    for key in ("createdAt", "updatedAt", "publishedAt"):
        row[key] = Date(row.get(key) or version.published)
    return row


def model_get(world: World, call: Call, wanted: Json) -> Any:
    """`model.getById`: the whole model with its versions, whatever its level."""
    number = _need(wanted, "id")
    model: FakeModel = _found(world.models.get(number), "model", number)
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "type": model.type,
        "status": model.status,
        "mode": model.mode,
        "nsfw": model.nsfw_level > 3,
        "nsfwLevel": model.nsfw_level,
        "minor": model.minor,
        "poi": model.poi,
        "availability": model.availability,
        "allowNoCredit": True,
        "allowCommercialUse": model.commercial_use,
        "user": _user(world, model.creator) if model.creator else None,
        "tagsOnModels": [{"tag": {"id": tag_id(tag), "name": tag}} for tag in model.tags],
        "modelVersions": [_version_row(world, call, version) for version in model.versions],
    }


def model_all(world: World, call: Call, wanted: Json) -> Any:
    """`model.getAll`: one version and at most 12 images of each model; `page` is forbidden."""
    if "page" in wanted:
        raise Refusal("BAD_REQUEST", "page is not supported, use cursor")
    levels, user = allowed_levels(world, call, wanted), wanted.get("username")
    tag, types = (wanted.get("tagname") or "").lower(), wanted.get("types")
    rows = [
        model
        for model in world.models.values()
        if model.nsfw_level & levels
        and model.status == "Published"
        and not model.poi
        and (not user or model.creator == world.find_user(user))
        and (not types or model.type in types)
        and (not tag or tag in [other.lower() for other in model.tags])
        and (not wanted.get("collectionId") or model.id in _collected(world, wanted, "Model"))
        and listed_versions(replace(call, raw_query=""), model)
    ]
    order = MODEL_ORDERS.get(wanted.get("sort", ""), MODEL_ORDERS["Highest Rated"])
    page, following = take(world, rows, order, _limit(wanted, 100), str(wanted.get("cursor") or ""))
    return _rows([_model_row(world, call, model, levels) for model in page], following)


def _model_row(world: World, call: Call, model: FakeModel, levels: int) -> Json:
    version = listed_versions(replace(call, raw_query=""), model)[0]
    shown = [image for image in version.images if image.level & levels]
    about = {"id": model.id, "name": model.name, "type": model.type, "nsfwLevel": model.nsfw_level}
    newest = {"id": version.id, "name": version.name, "baseModel": version.base_model}
    user = _user(world, model.creator) if model.creator else None
    images = [image_row(world, image) for image in shown[:12]]
    return about | {"version": newest, "user": user, "images": images, "publishedAt": Date(version.published)}


def version_get(world: World, call: Call, wanted: Json) -> Any:
    """`modelVersion.getById`: says `requireAuth`, and `files` null."""
    number = _need(wanted, "id")
    version: FakeVersion = _found(world.versions.get(number), "version", number)
    row = _version_row(world, call, version)
    model = version.model
    owner = {"id": model.id, "name": model.name, "type": model.type, "status": model.status, "nsfw": False}
    early: Json = {"earlyAccessConfig": {}, "earlyAccessEndsAt": version.early_access}
    return row | early | {"model": owner, "requireAuth": version.needs_token, "files": None, "settings": {}}


def creator_get(world: World, _call: Call, wanted: Json) -> Any:
    """`user.getCreator`: from a name to a number, or back; null for the system account."""
    if wanted.get("id") == -1:
        return None
    by_number = next((name for name, number in world.users.items() if number == wanted.get("id")), None)
    asked = str(wanted.get("username") or "").lower()
    name = by_number or next((user for user in world.users if user.lower() == asked), None)
    if name is None:
        raise Refusal("NOT_FOUND", "Could not find user")
    return _user(world, name) | {"createdAt": Date("2025-01-01T00:00:00.000Z"), "links": [], "rank": None}


def votable_tags(world: World, _call: Call, wanted: Json) -> Any:
    """`tag.getVotableTags` of an image or a model."""
    number, kind = _need(wanted, "id"), _need(wanted, "type")
    owner: Any = (world.images if kind == "image" else world.models).get(number)
    votes = {"type": "UserGenerated", "nsfwLevel": 1, "score": 5, "upVotes": 1, "downVotes": 0, "automated": False}
    return [{"id": tag_id(tag), "name": tag} | votes for tag in (owner.tags if owner else ())]


PROCEDURES: dict[str, Callable[[World, Call, Json], Any]] = {
    "image.get": image_get,
    "image.getInfinite": image_infinite,
    "image.getGenerationData": generation_data,
    "image.getResources": image_resources,
    "post.get": post_get,
    "post.getInfinite": post_infinite,
    "model.getById": model_get,
    "model.getAll": model_all,
    "modelVersion.getById": version_get,
    "collection.getById": collection_get,
    "user.getCreator": creator_get,
    "tag.getVotableTags": votable_tags,
}

# --- the endpoint and the page ----------------------------------------------------------------------------------------


def _inputs(call: Call, names: list[str]) -> list[Json]:
    """What each procedure was given; a POST carries it in its body."""
    text = call.body.decode() if call.method == "POST" else call.first("input")
    given = json.loads(text or "{}")
    batch = [given.get(str(index), {}) for index in range(len(names))] if call.first("batch") else [given]
    return [part.get("json") or {} for part in batch]


def _run(world: World, call: Call, name: str, wanted: Json) -> tuple[int, Json]:
    try:
        _check_origin(world, call)
        if name not in PROCEDURES:
            raise Refusal("NOT_FOUND", f'No procedure found on path "{name}"')
        return 200, {"result": {"data": encoded(world, PROCEDURES[name](world, call, wanted))}}
    except Refusal as refusal:
        number, status = CODES[refusal.code]
        data = {"code": refusal.code, "httpStatus": status, "path": name}
        return status, {"error": encoded(world, {"message": str(refusal), "code": number, "data": data})}


def answer_trpc(world: World, call: Call, names: str) -> Reply:
    """`/api/trpc/<router>.<procedure>`; several at once come as a list, 207 when they do not agree."""
    procedures = names.split(",")
    try:
        inputs = _inputs(call, procedures)
    except (ValueError, AttributeError):
        return json_reply({"error": encoded(world, {"message": "Invalid input", "code": -32600})}, 400)
    answers = [_run(world, call, name, wanted) for name, wanted in zip(procedures, inputs, strict=False)]
    if not call.first("batch"):
        return json_reply(answers[0][1], answers[0][0])
    statuses = {status for status, _ in answers}
    return json_reply([answer for _, answer in answers], statuses.pop() if len(statuses) == 1 else 207)


def _dehydrated(world: World, call: Call, number: int) -> Iterable[Json]:
    """The queries of an image page; those that failed are not there."""
    for name in ("image.get", "image.getGenerationData"):
        if number in world.images:
            data = PROCEDURES[name](world, call, {"id": number})
            key: list[Any] = [name.split("."), {"input": {"id": number}, "type": "query"}]
            yield {"queryKey": key, "queryHash": json.dumps(key), "state": {"status": "success", "data": data}}


def image_page(world: World, call: Call, number: str) -> Reply:
    """`/images/{id}`: its data in a script, in either encoding; an image that is not there is still a 200."""
    state = encoded(world, {"mutations": [], "queries": list(_dehydrated(world, call, int(number)))})
    data = {"props": {"pageProps": {"trpcState": state, "session": None}}, "page": "/images/[imageId]"}
    script = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return page_reply(
        f"<!DOCTYPE html><html><head><title>Image {number}</title></head><body><div id='__next'></div>"
        f'<script id="__NEXT_DATA__" type="application/json">{script}</script></body></html>'
    )


TRPC_ROUTES: list[Route] = [
    ("GET", r"/api/trpc/([\w.,]+)", answer_trpc),
    ("POST", r"/api/trpc/([\w.,]+)", answer_trpc),
    ("GET", r"/images/(\d+)", image_page),
]
