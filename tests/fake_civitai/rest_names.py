"""The REST API names the account, creators, tags and types."""

from __future__ import annotations

from urllib.parse import quote

from .calls import Call
from .records import Json
from .replies import Reply, json_reply
from .rest_lists import numbered_pages
from .words import BASE_MODELS, FILE_TYPES, MODEL_TYPES
from .world import World


def show_me(world: World, call: Call) -> Reply:
    """Answer `GET /api/v1/me`, which tells whether a key is valid."""
    if not call.account(world):
        return json_reply({"error": "Unauthorized"}, 401)
    about = {"id": world.user_id(world.username), "username": world.username, "tier": "free", "status": "active"}
    rest = {"isMember": False, "subscriptions": [], "tokenScope": 33554431, "buzzLimit": None}
    return json_reply(about | rest | {"subject": {"type": "apiKey", "id": 7}})


def list_creators(world: World, call: Call) -> Reply:
    """Answer `GET /api/v1/creators`. `modelCount` is omitted if it is 0."""
    rows: list[Json] = []
    for name in world.users:
        count = sum(model.creator == name for model in world.models.values())
        row: Json = {"username": name, "link": f"{call.hosts.site}/api/v1/models?username={name}", "image": None}
        rows.append(row | ({"modelCount": count} if count else {}))
    return numbered_pages(call, rows)


def list_tags(world: World, call: Call) -> Reply:
    """Answer `GET /api/v1/tags`."""
    names = dict.fromkeys(tag for model in world.models.values() for tag in model.tags)
    return numbered_pages(call, [{"name": n, "link": f"{call.hosts.site}/api/v1/models?tag={quote(n)}"} for n in names])


def list_enums(_world: World, _call: Call) -> Reply:
    """Answer `GET /api/v1/enums`."""
    bases = {"ActiveBaseModel": BASE_MODELS, "BaseModel": BASE_MODELS, "BaseModelType": ["Standard", "Inpainting"]}
    return json_reply({"ModelType": MODEL_TYPES, "ModelFileType": FILE_TYPES} | bases)


def show_collection(world: World, _call: Call, number: str) -> Reply:
    """Answer `GET /api/v1/collections/{id}`, which tells how many things are in it but not which."""
    found = world.collections.get(int(number))
    if found is None or found.read == "Private":
        return json_reply({"error": "Not found"}, 404)
    about = {"id": found.id, "name": found.name, "description": found.description, "type": found.type}
    owner = {"id": world.user_id(found.username), "username": found.username}
    return json_reply(about | {"read": found.read, "isPublic": True, "itemCount": len(found.items), "user": owner})
