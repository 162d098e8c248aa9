"""The REST API lists models and shows models and versions."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from .calls import Call
from .downloads import choose_file
from .paging import MODEL_ORDERS, take
from .replies import Reply, json_reply
from .rest_lists import bad_limit, envelope, too_deep, zod_error
from .rest_shapes import air, model_json, version_alone
from .words import ALL_LEVELS, MODEL_TYPES, PERIODS
from .world import FakeModel, FakeVersion, World


def list_models(world: World, call: Call) -> Reply:
    """Answer `GET /api/v1/models`. Only cursors lead to other pages; `page` is echoed and has no effect."""
    refused = too_deep(call) or bad_limit(call, 100) or _models_refusal(world, call)
    if refused:
        return refused
    order = MODEL_ORDERS[call.first("sort", "Highest Rated")]
    limit, cursor = int(call.first("limit", "100")), call.first("cursor")
    rows = [model for model in world.models.values() if _allowed(call, model) and _wanted(world, call, model)]
    rows = [model for model in rows if listed_versions(call, model)]
    if call.first("query"):
        start = int(cursor) if cursor.isdigit() else 0
        page, following = (rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None)
    elif cursor and order.parse(cursor) is None:
        return json_reply({"message": f"Invalid cursor: {cursor}"}, 400)
    else:
        page, following = take(world, rows, order, limit, cursor)
    mask = ALL_LEVELS if call.flag("nsfw") else 1
    items = [model_json(world, call, model, "list", listed_versions(call, model), mask) for model in page]
    if call.flag("primaryFileOnly"):
        for version in (version for item in items for version in item["modelVersions"]):
            version["files"] = [file for file in version.get("files") or [] if file.get("primary")]
    paged = {"currentPage": call.number("page"), "pageSize": limit} if "page" in call.query else {}
    return envelope(world, call, items, following, **paged)


def _models_refusal(world: World, call: Call) -> Reply | None:
    """Check every reason to refuse a list of models, in the site's order."""
    if (call.query.keys() & {"favorites", "hidden"}) and not call.account(world):
        return json_reply({"error": "Unauthorized"}, 401)
    for name, known in (("types", MODEL_TYPES), ("sort", list(MODEL_ORDERS)), ("period", list(PERIODS))):
        wrong = [value for value in call.query.get(name, []) if value not in known]
        if wrong:
            return zod_error(name, f"Invalid enum value, received '{wrong[0]}'")
    for name in "browsingLevel collectionId fileFormats allowNoCredit allowDerivatives allowDifferentLicense".split():
        if name in call.query:
            return zod_error(name, "Expected another type, received string")
    if call.first("availability") == "Private" and "username" not in call.query:
        return json_reply({"error": "Unauthorized"}, 401)
    if "query" in call.query and "page" in call.query:
        return zod_error("page", "Cannot use page param with query search. Use cursor-based pagination.")
    if "username" in call.query and not world.find_user(call.first("username")):
        return json_reply({"message": "User not found"}, 404)
    return None


def _allowed(call: Call, model: FakeModel) -> bool:
    """Apply what no parameter can override, and the levels: PG only unless `nsfw=true`, which hides minors."""
    nsfw = call.flag("nsfw")
    hidden = model.poi or model.status != "Published" or model.availability == "Private" or (nsfw and model.minor)
    if hidden or not model.nsfw_level & (ALL_LEVELS if nsfw else 1):
        return False
    return model.mode != "Archived" or bool(call.first("archived"))


def _wanted(world: World, call: Call, model: FakeModel) -> bool:
    """Apply the filters of the caller. An unknown tag does not filter at all."""
    tag = (call.first("tag") or call.first("tagname")).lower()
    known_tag = tag and any(tag == other.lower() for each in world.models.values() for other in each.tags)
    oldest = int(time.time() * 1000) - PERIODS[call.first("period", "AllTime")] * 86_400_000
    return (
        (not call.listed("ids") or str(model.id) in call.listed("ids"))
        and ("username" not in call.query or model.creator == world.find_user(call.first("username")))
        and ("types" not in call.query or model.type in call.query["types"])
        and (not known_tag or tag in [other.lower() for other in model.tags])
        and call.first("query").lower() in model.name.lower()
        and model.date >= oldest
    )


def listed_versions(call: Call, model: FakeModel) -> list[FakeVersion]:
    """Return the versions that answers show: published ones with a file that pass the filters on versions."""
    bases, numbers = call.query.get("baseModels"), call.listed("modelVersionIds")
    return [
        version
        for version in model.versions
        if version.status == "Published"
        and (version.files or version.recorded or version.recorded_alone)
        and (not bases or version.base_model in bases)
        and (not numbers or str(version.id) in numbers)
    ]


def show_model(world: World, call: Call, number: str) -> Reply:
    """Answer `GET /api/v1/models/{id}`. Here pictures have no `id`, and keys with empty values are omitted."""
    if not re.fullmatch(r"\d{1,10}", number) or not 0 < int(number) <= 2147483647:
        return json_reply({"error": {"name": "ZodError", "message": "Expected number, received nan"}}, 400)
    model = world.models.get(int(number))
    versions = listed_versions(replace(call, raw_query=""), model) if model else []
    if model is None or model.poi or model.status != "Published" or not versions:
        return json_reply({"error": f"No model with id {number}"}, 404)
    return json_reply(model_json(world, call, model, "by-id", versions, ALL_LEVELS))


def show_version(world: World, call: Call, number: str) -> Reply:
    """Answer `GET /api/v1/model-versions/{id}`, whatever the state of the model is."""
    if not number.isdigit():
        return json_reply({"error": {"name": "ZodError", "message": "Expected number, received nan"}}, 400)
    version = world.versions.get(int(number))
    if version is None or version.status == "Deleted":
        return json_reply({"error": "Model not found"}, 404)
    if not (version.files or version.recorded or version.recorded_alone):
        return json_reply({"error": "Missing model file"}, 404)
    return json_reply(version_alone(world, call, version))


def show_mini(world: World, call: Call, number: str) -> Reply:
    """Answer `GET /api/v1/model-versions/mini/{id}`, a cheap way to learn if a key is needed (`requireAuth`)."""
    version = world.versions.get(int(number)) if number.isdigit() else None
    file = choose_file(world, call, version, {"fileId": call.first("modelFileId")}) if version else None
    if version is None or file is None:
        return json_reply({"error": "Model not found"}, 404)
    answer = {
        "air": air(version),
        "versionName": version.name,
        "modelName": version.model.name,
        "userId": world.user_id(version.model.creator),
        "baseModel": version.base_model,
        "availability": version.availability,
        "publishedAt": version.published,
        "size": file.body.size / 1024,
        "fileType": file.type,
        "fileName": file.name,
        "hashes": file.published_hashes,
        "downloadUrls": [f"{call.hosts.site}/api/download/models/{version.id}?fileId={file.id}"],
        "format": file.metadata.get("format"),
        "requireAuth": version.needs_token or world.login_needed,
        "checkPermission": version.locked or version.availability == "Private",
        "minor": version.model.minor,
        "sfwOnly": False,
    }
    return json_reply(answer | ({"earlyAccessEndsAt": version.early_access} if version.locked else {}))
