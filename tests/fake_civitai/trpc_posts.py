"""These tRPC procedures are about posts and collections."""

from __future__ import annotations

from typing import Any

from .calls import Call
from .encoding import Date
from .paging import Order, take
from .records import FakePost, Json, millis
from .rest_shapes import tag_id
from .trpc_common import allowed_levels, collected, existing, page_of, page_size, required, user_row
from .trpc_images import image_row
from .world import World


def post_get(world: World, _call: Call, wanted: Json) -> Any:
    """Run `post.get`: title and text, but no images."""
    number = required(wanted, "id")
    post = world.posts.get(number)
    post = existing(post if post and post.published else None, "post", number)
    return {
        "id": post.id,
        "nsfw": False,
        "nsfwLevel": _post_level(post),
        "title": post.title,
        "detail": post.detail,
        "modelVersionId": post.version_id,
        "modelVersion": {"id": post.version_id} if post.version_id else None,
        "user": user_row(world, post.username),
        "publishedAt": Date(post.published),
        "availability": "Public",
        "tags": [{"id": tag_id(tag), "name": tag, "isCategory": False} for tag in post.tags],
        "collectionId": post.collection_id,
    }


def post_infinite(world: World, call: Call, wanted: Json) -> Any:
    """Run `post.getInfinite`: at most 8 images of each post, and everybody's posts if the user does not exist."""
    levels, user = allowed_levels(world, call, wanted), world.find_user(wanted.get("username") or "")
    number = wanted.get("modelVersionId")
    rows = [
        post
        for post in world.posts.values()
        if post.published
        and any(image.level & levels for image in post.images)
        and (user is None or post.username == user)
        and (not number or post.version_id == number)
        and (not wanted.get("collectionId") or post.id in collected(world, wanted, "Post"))
    ]
    sign = 1 if wanted.get("sort") == "Oldest" else -1
    order = Order(lambda post: (millis(post.published), post.id), (sign, sign), dated=True)
    page, following = take(world, rows, order, page_size(wanted, 200), str(wanted.get("cursor") or ""))
    return page_of([_post_row(world, post, levels) for post in page], following)


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
        "user": user_row(world, post.username),
        "stats": {"postId": post.id, "commentCount": 0, "likeCount": 5, "collectedCount": 0},
        "images": [image_row(world, image) for image in shown[:8]],
        "cosmetic": None,
    }


def _post_level(post: FakePost) -> int:
    level = 0
    for image in post.images:
        level |= image.level
    return level or 1


def collection_get(world: World, _call: Call, wanted: Json) -> Any:
    """Run `collection.getById`: null if private. Other procedures list the contents, depending on `type`."""
    found = world.collections.get(required(wanted, "id"))
    rights = {"read": bool(found and found.read != "Private"), "write": False, "manage": False, "follow": False}
    if found is None or found.read == "Private":
        return {"collection": None, "permissions": rights}
    about = {"id": found.id, "name": found.name, "description": found.description, "type": found.type}
    rest = {"read": found.read, "nsfwLevel": 1, "user": user_row(world, found.username), "image": None, "tags": []}
    return {"collection": about | rest | {"mode": None, "metadata": {}}, "permissions": rights}
