"""The REST API lists pictures."""

from __future__ import annotations

import re

from .calls import Call
from .paging import BY_ID, BY_RISING_ID, IMAGE_SORTS, take, take_by_offset
from .records import FakeImage
from .replies import Reply, json_reply
from .rest_lists import bad_limit, envelope, too_deep, zod_error
from .rest_shapes import image_json, tag_id
from .words import NSFW_MASKS
from .world import World


def list_images(world: World, call: Call) -> Reply:
    """Answer `GET /api/v1/images`: PG only by default, and `nsfw=true` means R and above WITHOUT PG and PG-13.

    The database answers for `imageId` and for `modelId` alone, the search index for everything else, in which recent
    pictures are missing. An id that does not exist gives an empty 200, and unknown parameters are ignored.
    """
    refused = too_deep(call) or bad_limit(call, 200) or _images_refusal(world, call)
    if refused:
        return refused
    level = call.number("browsingLevel")
    mask = NSFW_MASKS[call.first("nsfw")] if level is None else level
    database = "imageId" in call.query or ("modelId" in call.query and "modelVersionId" not in call.query)
    rows = [image for image in world.images.values() if image.level & mask and _image_wanted(world, call, image)]
    limit, cursor = int(call.first("limit", "100")), call.first("cursor")
    if not re.fullmatch(r"\d+" if database else r"\d+\|\d+", cursor or "0|0"[: 1 if database else 3]):
        return json_reply({"error": "Invalid cursor", "code": "BAD_REQUEST"}, 400)
    if database:
        order = BY_RISING_ID if call.first("sort") == "Oldest" else BY_ID
        page, following = take(world, rows, order, limit, cursor)
    else:
        rows = sorted((image for image in rows if image.indexed), key=IMAGE_SORTS[call.first("sort", "Most Reactions")])
        page, following = take_by_offset(world, rows, limit, cursor)
    nested = database and not call.flag("flatMeta")
    return envelope(world, call, [image_json(world, call, image, nested) for image in page], following)


def _images_refusal(world: World, call: Call) -> Reply | None:
    if not re.fullmatch(r"[A-Za-z0-9_]*", call.first("username")):
        return zod_error("username", "Invalid")
    if call.first("nsfw") not in NSFW_MASKS or call.first("sort", "Newest") not in IMAGE_SORTS:
        return zod_error("nsfw", "Invalid enum value")
    unknown = "username" in call.query and not world.find_user(call.first("username"))
    if unknown and world.unknown_image_user == 404:
        return json_reply({"error": "User not found", "code": "NOT_FOUND"}, 404)
    return None


def _image_wanted(world: World, call: Call, image: FakeImage) -> bool:
    if image.minor or image.poi:
        return False
    model = world.models.get(call.number("modelId") or 0)
    of_model = [version.id for version in model.versions] if model else []
    version, bases = call.number("modelVersionId"), call.listed("baseModels")
    versions = [world.versions[number] for number in image.version_ids if number in world.versions]
    return (
        (version is None or version in image.version_ids)
        and ("modelId" not in call.query or version is not None or any(n in of_model for n in image.version_ids))
        and ("postId" not in call.query or image.post_id == call.number("postId"))
        and ("imageId" not in call.query or image.id == call.number("imageId"))
        and ("username" not in call.query or image.username.lower() == call.first("username").lower())
        and ("userId" not in call.query or world.users.get(image.username) == call.number("userId"))
        and ("type" not in call.query or image.kind == call.first("type"))
        and (not call.listed("tags") or any(str(tag_id(tag)) in call.listed("tags") for tag in image.tags))
        and (not bases or any(each.base_model in bases for each in versions))
        and (not call.flag("requiringMeta") or bool(image.shown_meta))
    )
