"""These tRPC procedures are about models, users and tags."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .calls import Call
from .encoding import Date
from .paging import MODEL_ORDERS, take
from .records import Json
from .rest_models import listed_versions
from .rest_shapes import tag_id, version_alone
from .trpc_common import Refusal, allowed_levels, collected, existing, page_of, page_size, required, user_row
from .trpc_images import image_row
from .world import FakeModel, FakeVersion, World


def model_get(world: World, call: Call, wanted: Json) -> Any:
    """Run `model.getById`: the whole model with its versions, whatever its level."""
    number = required(wanted, "id")
    model: FakeModel = existing(world.models.get(number), "model", number)
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
        "user": user_row(world, model.creator) if model.creator else None,
        "tagsOnModels": [{"tag": {"id": tag_id(tag), "name": tag}} for tag in model.tags],
        "modelVersions": [_version_row(world, call, version) for version in model.versions],
    }


def model_all(world: World, call: Call, wanted: Json) -> Any:
    """Run `model.getAll`: one version and at most 12 images of each model. `page` is forbidden."""
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
        and (not wanted.get("collectionId") or model.id in collected(world, wanted, "Model"))
        and listed_versions(replace(call, raw_query=""), model)
    ]
    order = MODEL_ORDERS.get(wanted.get("sort", ""), MODEL_ORDERS["Highest Rated"])
    page, following = take(world, rows, order, page_size(wanted, 100), str(wanted.get("cursor") or ""))
    return page_of([_model_row(world, call, model, levels) for model in page], following)


def _model_row(world: World, call: Call, model: FakeModel, levels: int) -> Json:
    version = listed_versions(replace(call, raw_query=""), model)[0]
    shown = [image for image in version.images if image.level & levels]
    about = {"id": model.id, "name": model.name, "type": model.type, "nsfwLevel": model.nsfw_level}
    newest = {"id": version.id, "name": version.name, "baseModel": version.base_model}
    user = user_row(world, model.creator) if model.creator else None
    images = [image_row(world, image) for image in shown[:12]]
    return about | {"version": newest, "user": user, "images": images, "publishedAt": Date(version.published)}


def version_get(world: World, call: Call, wanted: Json) -> Any:
    """Run `modelVersion.getById`, which has `requireAuth` and whose `files` is null."""
    number = required(wanted, "id")
    version: FakeVersion = existing(world.versions.get(number), "version", number)
    row = _version_row(world, call, version)
    model = version.model
    owner = {"id": model.id, "name": model.name, "type": model.type, "status": model.status, "nsfw": False}
    early: Json = {"earlyAccessConfig": {}, "earlyAccessEndsAt": version.early_access}
    return row | early | {"model": owner, "requireAuth": version.needs_token, "files": None, "settings": {}}


def _version_row(world: World, call: Call, version: FakeVersion) -> Json:
    row = version_alone(world, call, version)
    for key in ("createdAt", "updatedAt", "publishedAt"):
        row[key] = Date(row.get(key) or version.published)
    return row


def creator_get(world: World, _call: Call, wanted: Json) -> Any:
    """Run `user.getCreator`: by name or by number. The system account gives null."""
    if wanted.get("id") == -1:
        return None
    by_number = next((name for name, number in world.users.items() if number == wanted.get("id")), None)
    asked = str(wanted.get("username") or "").lower()
    name = by_number or next((user for user in world.users if user.lower() == asked), None)
    if name is None:
        raise Refusal("NOT_FOUND", "Could not find user")
    return user_row(world, name) | {"createdAt": Date("2025-01-01T00:00:00.000Z"), "links": [], "rank": None}


def votable_tags(world: World, _call: Call, wanted: Json) -> Any:
    """Run `tag.getVotableTags` for an image or a model."""
    number, kind = required(wanted, "id"), required(wanted, "type")
    owner: Any = (world.images if kind == "image" else world.models).get(number)
    votes = {"type": "UserGenerated", "nsfwLevel": 1, "score": 5, "upVotes": 1, "downVotes": 0, "automated": False}
    return [{"id": tag_id(tag), "name": tag} | votes for tag in (owner.tags if owner else ())]
