"""The REST API finds versions by the hashes of their files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from .calls import Call
from .content import HASHES
from .records import Json
from .replies import Reply, json_reply
from .rest_shapes import version_alone
from .world import FakeVersion, World


def show_by_hash(world: World, call: Call, value: str) -> Reply:
    """Answer `GET /api/v1/model-versions/by-hash/{hash}` for any kind of hash in upper or lower case."""
    found = _holders(world, value, HASHES)
    if not found:
        return json_reply({"error": "Model not found"}, 404)
    return json_reply(version_alone(world, call, found[0]))


def list_by_hash(world: World, call: Call) -> Reply:
    """Answer `POST /api/v1/model-versions/by-hash`: at most 100 SHA256. The host in its download links is broken."""
    hashes = _posted_hashes(call, 100)
    if hashes is None:
        return json_reply({"error": "Request must include an array of SHA256 Hashes. Maximum 100 hashes"}, 400)
    found = {each.id: each for value in hashes for each in _holders(world, value, ["SHA256"])[:1]}
    broken = replace(call, hosts=replace(call.hosts, site="https://undefined"))
    answers: list[Json | None] = [version_alone(world, broken, version) for version in reversed(found.values())]
    return json_reply([None, *answers, *answers[:1]] if world.odd_hash_lists else answers)


def list_ids_by_hash(world: World, call: Call) -> Reply:
    """Answer `POST /api/v1/model-versions/by-hash/ids`: at most 10,000 SHA256."""
    hashes = _posted_hashes(call, 10_000)
    if hashes is None:
        return json_reply({"error": "Request must include an array of SHA256 Hashes. Maximum 10000 hashes"}, 400)
    rows = [(value, version) for value in hashes for version in _holders(world, value, ["SHA256"])]
    return json_reply([{"modelVersionId": v.id, "modelId": v.model.id, "hash": value.upper()} for value, v in rows])


def _posted_hashes(call: Call, most: int) -> list[str] | None:
    """Return the hashes in the body, or None if they are malformed or too many."""
    try:
        hashes = json.loads(call.body)
    except ValueError:
        return None
    right = isinstance(hashes, list) and len(hashes) <= most
    return hashes if right and all(isinstance(value, str) and len(value) == 64 for value in hashes) else None


def _holders(world: World, value: str, kinds: Sequence[str]) -> list[FakeVersion]:
    """Return the versions that have a file with this hash, the earliest published first."""
    found = [
        version
        for version in world.versions.values()
        if version.status == "Published"
        and any(file.published_hashes.get(kind) == value.upper() for file in version.files for kind in kinds)
    ]
    return sorted(found, key=lambda version: version.published)
