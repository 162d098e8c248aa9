"""These tRPC procedures are about images."""

from __future__ import annotations

import json
from typing import Any

from .calls import Call
from .content import media_type
from .encoding import UNDEFINED, Date
from .paging import BY_ID, BY_RISING_ID, IMAGE_SORTS, take, take_by_offset
from .records import FakeImage, Json
from .rest_shapes import tag_id
from .trpc_common import Refusal, allowed_levels, collected, existing, page_of, page_size, required, user_row
from .world import World


def image_get(world: World, _call: Call, wanted: Json) -> Any:
    """Run `image.get`: one image of any level."""
    number = required(wanted, "id")
    row = image_row(world, existing(world.images.get(number), "image", number))
    del row["modelVersionIds"]
    image = world.images[number]
    about = {"mimeType": media_type(image.data), "hideMeta": image.hidden_meta, "blockedFor": None}
    return row | about | {"scannedAt": row["createdAt"]}


def image_infinite(world: World, call: Call, wanted: Json) -> Any:
    """Run `image.getInfinite`: a post, collection or model from the database, all else from the search index.

    Asking for metadata drops the images that have none. A post comes in its own order, and a collection newest first
    unless `Oldest` is asked for, which is the only order of the database that loses nothing between pages.
    """
    if wanted.get("username") and not world.find_user(wanted["username"]):
        raise Refusal("NOT_FOUND", "User not found")
    levels, limit = allowed_levels(world, call, wanted), page_size(wanted, 200)
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
        return page_of([image_row(world, image, named=False) for image in page], following) | {"source": "meili"}
    return page_of([image_row(world, image) for image in page], following)


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
        and (not wanted.get("collectionId") or image.id in collected(world, wanted, "Image"))
        and (not wanted.get("imageId") or image.id == wanted["imageId"])
        and (not wanted.get("ids") or image.id in wanted["ids"])
        and (not wanted.get("types") or image.kind in wanted["types"])
        and (not with_meta or bool(image.shown_meta))
    )


def image_row(world: World, image: FakeImage, named: bool = True) -> Json:
    """Describe an image. `url` is the bare uuid, and `name` is null if the search index answers."""
    size = {"hash": image.shown_hash, "size": len(image.data), "width": image.width, "height": image.height}
    counters = ("like", "laugh", "heart", "cry", "dislike", "comment", "collected", "tippedAmount", "view")
    return {
        "id": image.id,
        "name": _file_name(image) if named else None,
        "url": image.uuid,
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": image.shown_hash,
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
        "user": user_row(world, image.username),
        "stats": {f"{name}CountAllTime": image.likes if name == "like" else 0 for name in counters},
        "reactions": [],
        "tagIds": [tag_id(tag) for tag in image.tags],
        "cosmetic": None,
        "thumbnailUrl": UNDEFINED,
    }


def _file_name(image: FakeImage) -> str:
    endings = {
        b"\x89PNG": "png",
        b"\xff\xd8\xff\xe0": "jpeg",
        b"RIFF": "webp",
        b"GIF8": "gif",
        b"\x1aE\xdf\xa3": "webm",
    }
    return image.name or f"{image.id}-upload.{endings.get(image.data[:4], 'mp4')}"


def _index(world: World, image: FakeImage) -> int:
    post = world.posts.get(image.post_id)
    return post.images.index(image) if post and image in post.images else 0


def generation_data(world: World, _call: Call, wanted: Json) -> Any:
    """Run `image.getGenerationData`. A hidden prompt makes `meta` undefined, yet resources and tools are shown."""
    number = required(wanted, "id")
    image: FakeImage = existing(world.images.get(number), "image", number)
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
    """Run `image.getResources`."""
    number = required(wanted, "id")
    return _resources(world, existing(world.images.get(number), "image", number))


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
