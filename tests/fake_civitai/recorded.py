"""Recorded answers of the real site can be put into a world."""

from __future__ import annotations

import copy
import zlib
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from .content import Body
from .records import FakeFile, FakeImage, Json
from .words import ALL_LEVELS
from .world import FakeVersion, World


def load_recorded(world: World, answer: Json) -> None:
    """Let the world serve a real answer (a model, a version, an image or a list of them) unchanged.

    Only the hosts of links change, and each file and picture gets small stand-in bytes, with the size and hashes of
    those. Files that shared a SHA256 share the stand-in. Absent keys, nulls and odd types stay.
    """
    if "items" in answer:
        for item in answer["items"]:
            load_recorded(world, item)
    elif "modelVersions" in answer:
        _load_model(world, copy.deepcopy(answer))
    elif "modelId" in answer:
        _load_version(world, copy.deepcopy(answer))
    else:
        _load_image(world, copy.deepcopy(answer), [])


def _load_model(world: World, answer: Json) -> None:
    creator = (answer.get("creator") or {}).get("username") or ""
    tags = [tag["name"] if isinstance(tag, dict) else tag for tag in answer.get("tags") or ()]
    level = answer.get("nsfwLevel", ALL_LEVELS if answer.get("nsfw") else 1)
    more = {"creator": creator, "tags": tags, "level": level, "recorded": answer, "mode": answer.get("mode")}
    model = world.add_model(answer["name"], answer["type"], id=answer["id"], **more)
    for part in reversed(answer["modelVersions"]):
        version = model.add_version(part["name"], id=part["id"], recorded=part)
        _fill_version(world, version, part)


def _load_version(world: World, answer: Json) -> None:
    about = answer.get("model") or {}
    model = world.models.get(answer["modelId"])
    if model is None:
        model = world.add_model(about.get("name", ""), about.get("type", "Other"), id=answer["modelId"])
    version = world.versions.get(answer["id"]) or model.add_version(answer["name"], id=answer["id"])
    version.recorded_alone = answer
    version.files.clear()
    _fill_version(world, version, answer)


def _fill_version(world: World, version: FakeVersion, part: Json) -> None:
    version.base_model = part.get("baseModel") or ""
    version.trained_words = part.get("trainedWords") or []
    version.published = part.get("publishedAt") or part.get("createdAt") or version.published
    version.usage_control = part.get("usageControl") or "Download"
    for entry in part.get("files") or ():
        _fill_file(world, version, entry)
    for entry in part.get("images") or ():
        version.images.append(_load_image(world, entry, [version.id]))


def _fill_file(world: World, version: FakeVersion, entry: Json) -> None:
    seed = str((entry.get("hashes") or {}).get("SHA256") or entry["id"])
    body = Body.generated(entry["name"].strip(), 1200 + zlib.crc32(seed.encode()) % 500, seed)
    if "hashes" in entry:
        entry["hashes"] = {kind: body.hashes[kind] for kind in entry["hashes"] or () if kind in body.hashes}
    if entry.get("sizeKB"):
        entry["sizeKB"] = body.size / 1024
    file = FakeFile(entry["id"], entry["name"], body, entry["type"], bool(entry.get("primary")))
    file.metadata, file.hashes = entry.get("metadata") or {}, entry.get("hashes")
    version.files.append(file)
    world.files[file.id] = file


def _load_image(world: World, entry: Json, version_ids: list[int]) -> FakeImage:
    parts = urlsplit(entry["url"]).path.split("/")
    stem = PurePosixPath(parts[-1]).stem
    number = entry.get("id") or (int(stem) if stem.isdigit() else None)
    known = world.by_uuid(parts[-3])
    if known:
        known.recorded = entry if "postId" in entry else known.recorded
        known.version_ids += [number for number in version_ids if number not in known.version_ids]
        return known
    level = entry.get("browsingLevel") or (entry["nsfwLevel"] if isinstance(entry.get("nsfwLevel"), int) else 1)
    more: Json = {"uuid": parts[-3], "level": level, "meta": entry.get("meta"), "post_id": entry.get("postId")}
    more["kind"] = "video" if entry.get("type") == "video" or parts[-1].endswith(".mp4") else "image"
    more["recorded"] = entry if "postId" in entry else None
    more["username"] = entry.get("username") or "gallery_guest"
    return world.add_image(version_ids or entry.get("modelVersionIds") or (), id=number, **more)
