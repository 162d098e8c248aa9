"""The endpoint of tRPC finds the procedures that are called and runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .calls import Call
from .encoding import encoded
from .records import Json
from .replies import Reply, json_reply
from .trpc_common import Refusal, check_origin
from .trpc_images import generation_data, image_get, image_infinite, image_resources
from .trpc_models import creator_get, model_all, model_get, version_get, votable_tags
from .trpc_posts import collection_get, post_get, post_infinite
from .world import World

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

CODES = {
    "BAD_REQUEST": (-32600, 400),
    "UNAUTHORIZED": (-32001, 401),
    "FORBIDDEN": (-32003, 403),
    "NOT_FOUND": (-32004, 404),
    "TOO_MANY_REQUESTS": (-32029, 429),
}


def answer_trpc(world: World, call: Call, names: str) -> Reply:
    """Answer `/api/trpc/<router>.<procedure>`. Several procedures give a list, with status 207 if theirs differ."""
    procedures = names.split(",")
    try:
        inputs = _inputs(call, procedures)
    except (ValueError, AttributeError):
        return json_reply({"error": encoded(world, {"message": "Invalid input", "code": -32600})}, 400)
    if call.first("batch") and world.batches.isdigit():
        error = {"message": f'No procedure found on path "{names}"', "code": -32004}
        return json_reply({"error": encoded(world, error)}, int(world.batches))
    answers = [_run(world, call, name, wanted) for name, wanted in zip(procedures, inputs, strict=False)]
    if not call.first("batch") or world.batches == "first":
        return json_reply(answers[0][1], answers[0][0])
    if world.batches == "short":
        answers.pop()
    statuses = {status for status, _ in answers}
    return json_reply([answer for _, answer in answers], statuses.pop() if len(statuses) == 1 else 207)


def _inputs(call: Call, names: list[str]) -> list[Json]:
    """Return the input of each procedure. A POST carries it in its body."""
    text = call.body.decode() if call.method == "POST" else call.first("input")
    given = json.loads(text or "{}")
    batch = [given.get(str(index), {}) for index in range(len(names))] if call.first("batch") else [given]
    return [part.get("json") or {} for part in batch]


def _run(world: World, call: Call, name: str, wanted: Json) -> tuple[int, Json]:
    """Run one procedure and return its status and its result or error."""
    try:
        check_origin(world, call)
        if name not in PROCEDURES:
            raise Refusal("NOT_FOUND", f'No procedure found on path "{name}"')
        return 200, {"result": {"data": encoded(world, PROCEDURES[name](world, call, wanted))}}
    except Refusal as refusal:
        number, status = CODES[refusal.code]
        data = {"code": refusal.code, "httpStatus": status, "path": name}
        return status, {"error": encoded(world, {"message": str(refusal), "code": number, "data": data})}
