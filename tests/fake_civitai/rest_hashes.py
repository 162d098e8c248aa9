"""The REST API finds versions by the hashes of their files, if version and model are published."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from .calls import Call
from .content import HASHES
from .records import Json
from .replies import Reply, json_reply
from .rest_shapes import version_alone
from .world import FakeVersion, World

_T = TypeVar("_T")


def show_by_hash(world: World, call: Call, value: str) -> Reply:
    """Answer `GET /api/v1/model-versions/by-hash/{hash}` for any kind of hash in upper or lower case.

    The hash must be as long as the site keeps it: 12 digits of an AutoV3. Of several versions, the earliest published
    is shown.
    """
    found = sorted((version for _, version in _holders(world, [value], HASHES)), key=lambda each: each.published)
    if not found:
        return json_reply({"error": "Model not found"}, 404)
    return json_reply(version_alone(world, call, found[0]))


def list_by_hash(world: World, call: Call) -> Reply:
    """Answer `POST /api/v1/model-versions/by-hash`: at most 100 SHA256. The host in its download links is broken.

    A version is there once for each of its files that was asked for, and each version that has a file is there.
    """
    hashes, problem = _posted_hashes(call, 100)
    if problem:
        return _refused(problem)
    broken = replace(call, hosts=replace(call.hosts, site="https://undefined"))
    answers = [version_alone(world, broken, version) for _, version in _holders(world, hashes, ["SHA256"])]
    return json_reply(_as_it_happens(world, answers))


def list_ids_by_hash(world: World, call: Call) -> Reply:
    """Answer `POST /api/v1/model-versions/by-hash/ids`: at most 10,000 SHA256, with a row for each file."""
    hashes, problem = _posted_hashes(call, 10_000)
    if problem:
        return _refused(problem)
    found = _holders(world, hashes, ["SHA256"])
    rows = [{"modelVersionId": each.id, "modelId": each.model.id, "hash": value} for value, each in found]
    return json_reply(_as_it_happens(world, rows))


def _posted_hashes(call: Call, most: int) -> tuple[list[str], Json]:
    """Return the hashes in the body, and what is wrong with them, if anything."""
    try:
        hashes = json.loads(call.body)
    except ValueError:
        hashes = None
    if not isinstance(hashes, list):
        return [], {"code": "invalid_type", "expected": "array", "path": [], "message": "Invalid input: expected array"}
    for place, value in enumerate(hashes):
        if not isinstance(value, str) or len(value) != 64:
            return [], {"code": "custom", "path": [place], "message": "Invalid hash"}
    if len(hashes) > most:
        return [], {"code": "too_big", "maximum": most, "path": [], "message": "Too many hashes"}
    return hashes, {}


def _refused(problem: Json) -> Reply:
    text = f"Request must include an array of SHA256 Hashes. {json.dumps([problem], indent=2)}"
    return json_reply({"error": text}, 400)


def _as_it_happens(world: World, rows: Sequence[_T]) -> list[_T | None]:
    """Return rows as they may arrive: with a null and a row twice, if the world is so."""
    return [None, *rows, *rows[:1]] if world.odd_hash_lists else [*rows]


def _holders(world: World, values: Collection[str], kinds: Sequence[str]) -> list[tuple[str, FakeVersion]]:
    """Return each hash in upper case with a version that has a file of it, in the order of a database: none.

    A model that is archived, taken down, deleted or not published is not found by any hash.
    """
    wanted = {value.upper() for value in values}
    return sorted(_matches(world, wanted, kinds), key=lambda found: (found[0][::-1], found[1].id))


def _matches(world: World, wanted: Collection[str], kinds: Sequence[str]) -> Iterator[tuple[str, FakeVersion]]:
    for version in world.versions.values():
        model = version.model
        if (version.status, model.status, model.mode) != ("Published", "Published", None):
            continue
        for file in version.files if model.id in world.models else ():
            hashes = file.published_hashes
            known = (str(hashes.get(kind) or "").upper() for kind in kinds)
            if told := next((value for value in known if value in wanted), ""):
                yield told, version
