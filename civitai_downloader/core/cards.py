"""Cards: what is known of a model, a collection and a post becomes a row of the page. No disk is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..util.media import kind_of_media
from ..util.names import split_name
from ..util.text import scrub
from .answers import File, Image, Model, Version, number_at, object_at, text_at, texts_at, whole_number
from .archive import GONE, LOST
from .columns import Row
from .markup import offline
from .pages import licence_text, plain_text
from .targets import MATURE_SITE, SITE
from .tiles import blur_hash, level_word, milliseconds

# What cards, facets and search need of a model, and what its own page shows.
FIRST = (
    "id name creator type tags level folder base published words bytes up down downloads preview versions complete "
    "update gone"
).split()
MORE = ["details"]
OF_COLLECTION = "id name username description items".split()
OF_POST = "id title text tags username published version images".split()


@dataclass(frozen=True)
class Held:
    """What lies on disk of a model. All paths are percent-encoded.

    `folder` is that of its pages, `files` has path and size in bytes of model files by version and file id, `stills`
    the previews beside these, and `pictures` the paths of showcase pictures by id.
    """

    folder: str
    files: Mapping[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    stills: Mapping[tuple[int, int], str] = field(default_factory=dict)
    pictures: Mapping[int, str] = field(default_factory=dict)


def card(model: Model, held: Held) -> Row:
    """Return the row of a model, what is gone from the site included."""
    versions = sorted(model.versions, key=lambda each: (milliseconds(each.published), each.id), reverse=True)
    here = [each for each in versions if _files_here(each, held)]
    away = [each for each in versions if not _files_here(each, held)]
    stats = object_at(model.raw, "stats")
    dates = [text_at(each.raw, GONE) for each in versions]
    gone = text_at(model.raw, GONE) or (max(dates) if dates and all(dates) else "")
    return {
        "id": model.id, "name": model.name, "creator": model.creator, "type": model.type, "tags": list(model.tags),
        "level": level_word(model.level), "folder": held.folder,
        "base": list(dict.fromkeys(each.base_model for each in versions if each.base_model)),
        "published": max((milliseconds(each.published) for each in versions), default=0),
        "words": list(dict.fromkeys(word for each in versions for word in texts_at(each.raw, "trainedWords"))),
        "bytes": sum(size for _, size in held.files.values()), **_votes(stats),
        "preview": _preview([*here, *away], model, held),
        "versions": [_version_in_short(each, held) for each in versions],
        "complete": int(bool(here) and all(_is_whole(each, held) for each in versions)),
        "update": _update(versions, here), "gone": gone,
        "details": _details(model, versions, held),
    }  # fmt: skip


def _votes(stats: Mapping[str, Any]) -> Row:
    return {
        "up": number_at(stats, "thumbsUpCount"), "down": number_at(stats, "thumbsDownCount"),
        "downloads": number_at(stats, "downloadCount"),
    }  # fmt: skip


# --- Versions and files ----------------------------------------------------------------------------


def _files_here(version: Version, held: Held) -> list[File]:
    return [each for each in version.files if (version.id, each.id) in held.files]


def _version_in_short(version: Version, held: Held) -> list[Any]:
    known, here = len(version.files), len(_files_here(version, held))
    date, is_gone = milliseconds(version.published), int(bool(text_at(version.raw, GONE)))
    return [version.id, version.name, version.base_model, date, here, known, is_gone]


def _is_whole(version: Version, held: Held) -> bool:
    """Return whether every file of a version is here that the site still has."""
    there = [] if text_at(version.raw, GONE) else [each for each in version.files if not text_at(each.raw, GONE)]
    return all((version.id, each.id) in held.files for each in there)


def _update(versions: Sequence[Version], here: Sequence[Version]) -> int:
    """Return the id of the newest version that the site has, if it has come after every one that is here, else 0."""
    had = {each.id for each in here}
    newest = next((each for each in versions if each.files and not text_at(each.raw, GONE)), None)
    if newest is None or not had or newest.id in had:
        return 0
    latest = max(milliseconds(each.published) for each in here)
    return newest.id if milliseconds(newest.published) > latest else 0


# --- What stands for a model -----------------------------------------------------------------------


def _preview(versions: Sequence[Version], model: Model, held: Held) -> Row | None:
    """Return the picture that stands for a model: one that is here, else one that is known, or None.

    Of a version it is the first still picture, else the still of a video that lies beside a file, else the video.
    """
    for version in versions:
        for kind in ("image", "video"):
            for image in (each for each in version.images if each.type == kind):
                still = _still(version, held) if kind == "video" else ""
                if path := still or held.pictures.get(image.id, ""):
                    return _picture(image, path)
    paths = (path for version in versions if (path := _still(version, held)))
    if path := next(paths, ""):
        return {"path": path, "kind": _kind(path), "id": 0, "level": level_word(model.level), "hash": "", **_NO_SIZE}
    images = (image for version in versions for image in version.images)
    return next((_picture(image, "") for image in images), None)


_NO_SIZE = {"width": None, "height": None}


def _still(version: Version, held: Held) -> str:
    paths = (held.stills.get((version.id, each.id), "") for each in version.files)
    return next(filter(None, paths), "")


def _picture(image: Image, path: str) -> Row:
    return {
        "path": path, "kind": _kind(path) or image.type, "id": image.id, "level": level_word(image.level),
        "hash": blur_hash(text_at(image.raw, "hash")),
        **{side: max(0, number_at(image.raw, side)) or None for side in ("width", "height")},
    }  # fmt: skip


def _kind(path: str) -> str:
    return kind_of_media(split_name(path)[1])


# --- Details ---------------------------------------------------------------------------------------


def _details(model: Model, versions: Sequence[Version], held: Held) -> Row:
    site = MATURE_SITE if model.level & ~3 else SITE
    return {
        "url": f"{site}/models/{model.id}", "description": _markup(model.raw), "licence": licence_text(model),
        "mode": model.mode, "lost": _lost(model.raw), "versions": [_version(each, held) for each in versions],
    }  # fmt: skip


def _version(version: Version, held: Held) -> Row:
    return {
        "id": version.id, "name": version.name, "base": version.base_model,
        "published": milliseconds(version.published), "gone": text_at(version.raw, GONE),
        "lost": _lost(version.raw), "description": _markup(version.raw),
        "words": texts_at(version.raw, "trainedWords"), **_votes(object_at(version.raw, "stats")),
        "early": version.early_until, "images": [each.id for each in version.images],
        "files": [_file(version, each, held) for each in version.files],
    }  # fmt: skip


def _file(version: Version, file: File, held: Held) -> Row:
    path, size = held.files.get((version.id, file.id), ("", file.size))
    return {
        "id": file.id, "name": file.name, "type": file.type, "size": size, "sha256": file.sha256,
        "primary": int(file.primary), "path": path, "gone": text_at(file.raw, GONE),
    }  # fmt: skip


def _markup(raw: Mapping[str, Any]) -> str:
    return offline(scrub(text_at(raw, "description")))


def _lost(raw: Mapping[str, Any]) -> Row:
    return {key: date for key, date in object_at(raw, LOST).items() if isinstance(date, str)}


# --- Collections and posts -------------------------------------------------------------------------


def collection_row(facts: Mapping[str, Any]) -> Row:
    """Return the row of a collection by its `collection.json`."""
    return {
        "id": number_at(facts, "id"), "name": text_at(facts, "name"),
        "username": text_at(object_at(facts, "user"), "username"),
        "description": plain_text(text_at(facts, "description")), "items": _ids(facts, "items"),
    }  # fmt: skip


def post_row(facts: Mapping[str, Any]) -> Row:
    """Return the row of a post by its `post.json`."""
    return {
        "id": number_at(facts, "id"), "title": text_at(facts, "title"), "text": text_at(facts, "text"),
        "tags": texts_at(facts, "tags"), "username": text_at(facts, "username"),
        "published": milliseconds(text_at(facts, "published_at")), "version": number_at(facts, "model_version"),
        "images": _ids(facts, "images"),
    }  # fmt: skip


def _ids(facts: Mapping[str, Any], key: str) -> list[int]:
    listed = facts.get(key)
    found = map(whole_number, listed if isinstance(listed, list) else [])
    return list(dict.fromkeys(each for each in found if 0 < each < 1 << 53))
