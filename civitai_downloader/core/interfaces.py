"""Interfaces: where the site's two interfaces have a thing, and what the inner one says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ..util.errors import Failure
from .answers import number_at, object_at, text_at, unwrap
from .targets import Target


def rest_path(path: str, query: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> str:
    """Return where the REST interface answers a query."""
    asked = urlencode({**query, **(more or {})})
    return f"v1{path}" + (f"?{asked}" if asked else "")


def inner_path(procedure: str, query: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> str:
    """Return where the inner interface answers a query."""
    return f"trpc/{procedure}?{urlencode({'input': json.dumps({'json': {**query, **(more or {})}})})}"


def batch_path(procedure: str, queries: Sequence[Mapping[str, Any]], room: int) -> tuple[str, int]:
    """Return where several calls are answered at once, and how many: as many as fit into `room` characters."""
    inputs = {str(at): {"json": dict(query)} for at, query in enumerate(queries)}
    asked = urlencode({"batch": 1, "input": json.dumps(inputs, separators=(",", ":"))})
    path = f"trpc/{','.join([procedure] * len(queries))}?{asked}"
    if len(path) < room or len(queries) == 1:
        return path, len(queries)
    return batch_path(procedure, queries[:-1], room)


def image_path(image_id: int) -> str:
    """Return where the REST interface tells of one picture."""
    return rest_path("/images", {"imageId": image_id, "browsingLevel": 31, "withMeta": "true", "flatMeta": "true"})


def paths_about(target: Target) -> Iterator[str]:
    """Yield where single answers about a target may be, apart from its model."""
    for number in {target.version, target.id} - {0}:
        yield f"v1/model-versions/{number}"
        yield f"v1/model-versions/mini/{number}"
    yield f"v1/model-versions/by-hash/{target.name}"
    yield f"v1/sha256/{target.name.upper()}"
    yield image_path(target.id)
    yield from (inner_path(each, {"id": target.id}) for each in ("image.get", "post.get", "collection.getById"))


def by_hash(rows: Any, asked: Collection[str]) -> dict[str, list[Any]]:
    """Return the rows about each of the hashes asked for, which are in upper case; there may be nulls between them.

    Raises Failure if anything else is there, or nothing but nulls: then it isn't known which hashes the site lacks.
    """
    told = [row for row in rows if row is not None] if isinstance(rows, list) else [None]
    found: dict[str, list[Any]] = {}
    for row in told:
        found.setdefault(text_at(row, "hash").upper(), []).append(row)
    named = (number_at(row, key) for row in told for key in ("modelId", "modelVersionId"))
    if not (found.keys() <= {*asked} and all(each > 0 for each in named) and (told or not rows)):
        raise Failure("answer", "The site sent data in an unexpected format; try again later.")
    return found


def versions_in(answers: Mapping[str, Any]) -> dict[str, list[Target]]:
    """Return the versions that answers about hashes name; a hash without any is left out."""
    named = {digest: targets_in(rows) for digest, rows in answers.items() if isinstance(rows, list)}
    return {digest: targets for digest, targets in named.items() if targets}


def targets_in(rows: Iterable[Any]) -> list[Target]:
    """Return the versions that rows about one hash name, each once; the site repeats some, and has nulls between."""
    named = ((number_at(row, "modelId"), number_at(row, "modelVersionId")) for row in rows)
    return [Target("version", id=model, version=version) for model, version in dict.fromkeys(named) if version > 0]


def told_by(answer: Any) -> dict[str, Any]:
    """Return what an answer of the inner interface holds, {} if that is no object. Raises Failure."""
    data = unwrap(object_at(answer, "result").get("data"))
    return data if isinstance(data, dict) else {}


def whole_picture(item: Mapping[str, Any], delivery: Callable[[], str]) -> dict[str, Any]:
    """Return a picture of the inner interface as the other one has it: with a whole link, a level and a user name.

    `delivery` tells host and account of picture links.
    """
    if re.fullmatch(r"[0-9a-fA-F-]{32,36}", text_at(item, "url")):
        ending = {"video": "mp4", "audio": "mp3"}.get(text_at(item, "type"), "jpeg")
        url = f"{delivery()}/{item['url']}/original=true/{number_at(item, 'id')}.{ending}"
        item = {**item, "url": url, "browsingLevel": number_at(item, "nsfwLevel")}
    named = {"username": text_at(object_at(item, "user"), "username")} if "user" in item else {}
    return {**item, **named}
