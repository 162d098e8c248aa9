"""Tiles: what is known of a picture becomes a row of the page. No disk is touched."""

from __future__ import annotations

import re
import string
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..util.media import kind_of_media
from .answers import list_at, objects_at, texts_at, unix_time, whole_number
from .columns import Row, Things

# What grid, facets and search need of a picture, and what stands in a chunk of its own that is read when it is opened.
FIRST = (
    "id folder also ext kind txt width height level creator created likes hash post prompt negative sampler made tools "
    "thumb"
).split()
MORE = "weights url key page model_versions techniques steps cfg_scale seed size clean clothes".split()

_LEVELS = ("unrated", "PG", "PG-13", "R", "X", "XXX")  # by the highest bit
_SAFE = 1 << 53  # from here on browsers don't keep whole numbers exactly
_MOST = 100  # of resources, versions, tools and techniques of one picture
_BASE83 = f"{string.digits}{string.ascii_uppercase}{string.ascii_lowercase}#$%*+,-.:;=?@[]^_{{|}}~"
_KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DECIMALS = re.compile(r".{19}\.([0-9]{1,3})")
_PIECES = re.compile(r"([,\n]\s*)")


@dataclass(frozen=True)
class Copy:
    """A file of a picture: its folder (percent-encoded, "" the top), its extension, and whether its `.txt` is there."""

    folder: str
    extension: str
    has_text: bool


def tile(image_id: int, copies: Iterable[Copy], facts: Mapping[str, Any], things: Things, thumb: str = "") -> Row:
    """Return the row of a picture that lies in one or more places; `facts` are its `.txt`, `thumb` is an extension.

    `things` gains what it was made with; `made` has the place of the checkpoint that the prompt names, or -1, and then
    those of all that was used, whose `weights` are in the same order. The copy that is shown is one with its `.txt`
    beside it, else the first one by its folder.
    """
    places = sorted(copies, key=lambda each: (not each.has_text, each.folder, each.extension))
    shown = places[0]
    raw, versions = _text(facts, "raw_prompt"), _versions(facts)
    used = _used(facts, versions)
    made = [_checkpoint(facts, things), *(things.place(thing) for thing, _ in used)]
    also = list(dict.fromkeys(each.folder for each in places[1:] if each.folder != shown.folder))
    return {
        "id": image_id, "folder": shown.folder, "also": also, "ext": shown.extension,
        "kind": kind_of_media(shown.extension) or "image", "txt": int(shown.has_text),
        "width": _number(facts, "width") or None, "height": _number(facts, "height") or None,
        "level": level_word(_number(facts, "nsfw_level")), "creator": _word(facts, "username"),
        "created": milliseconds(_word(facts, "created_at")), "likes": _count(facts.get("likes")),
        "hash": blur_hash(_word(facts, "hash")), "post": _number(facts, "post_id") or None, "prompt": raw,
        "negative": _text(facts, "negative_prompt"), "sampler": _word(facts, "sampler"),
        "made": made, "tools": texts_at(facts, "tools")[:_MOST], "thumb": thumb,
        "weights": [weight for _, weight in used], "model_versions": versions, **_details(str(image_id), facts, raw),
    }  # fmt: skip


def _details(image_id: str, facts: Mapping[str, Any], raw: str | None) -> Row:
    clean, clothes = _text(facts, "prompt"), _text(facts, "prompt_with_clothes")
    cut = _cut(raw, clean)
    url, key = _with_key(_word(facts, "url"), image_id)
    return {
        "url": url, "key": key, "page": _with_id(_word(facts, "page"), image_id),
        "techniques": texts_at(facts, "techniques")[:_MOST],
        **{name: scalar(facts.get(name)) for name in ("steps", "cfg_scale", "seed", "size")},
        "clean": cut, "clothes": 0 if clothes == clean else _cut(raw, clothes),
    }  # fmt: skip


# --- Values ----------------------------------------------------------------------------------------


def level_word(level: int) -> str:
    """Return a browsing level as people call it; of several the highest one, `unrated` for none."""
    return _LEVELS[min(max(level, 0), 16).bit_length()]


def milliseconds(date: str) -> int:
    """Return a date of the site in milliseconds since 1970, 0 if it is none."""
    seconds, decimals = unix_time(date), _DECIMALS.match(date)
    return int(seconds) * 1000 + int(decimals[1].ljust(3, "0") if decimals else 0) if seconds else 0


def blur_hash(text: str) -> str:
    """Return a BlurHash, or "" for what is none: it could stop whoever draws it."""
    first = max(0, _BASE83.find(text[:1]))
    fits = len(text) == 4 + 2 * (first % 9 + 1) * (first // 9 + 1)
    return text if fits and not text.strip(_BASE83) else ""


def scalar(value: object) -> int | float | str | None:
    """Return a number or text as it can be shown: a number that browsers don't keep exactly as text, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return str(value) if isinstance(value, int) and abs(value) >= _SAFE else value


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _word(facts: Mapping[str, Any], name: str) -> str:
    """Return the text at a name, or ""; it is asked for so often that this counts."""
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _number(facts: Mapping[str, Any], *names: str) -> int:
    """Return the first number above 0 at one of these names that browsers keep exactly, or 0."""
    for name in names:
        value = facts.get(name)
        number = value if type(value) is int else whole_number(value)
        if 0 < number < _SAFE:
            return number
    return 0


def _count(value: object) -> int | None:
    number = whole_number(value)
    return None if value is None else number if 0 <= number < _SAFE else 0


def _versions(facts: Mapping[str, Any]) -> list[int]:
    """Return the ids of the versions that a picture was made with, as far as the site's list of them says."""
    found = map(whole_number, list_at(facts, "model_versions")[:_MOST])
    return list(dict.fromkeys(each for each in found if 0 < each < _SAFE))


# --- What it was made with -------------------------------------------------------------------------

Thing = tuple[Any, ...]  # kind, name, name of the version, version, model, base model, short hash


def _used(facts: Mapping[str, Any], versions: Iterable[int]) -> list[tuple[Thing, float | None]]:
    """Return resources with their weights, each once, and behind them the versions that no resource names."""
    found: dict[object, tuple[Thing, float | None]] = {}
    for resource in objects_at(facts, "resources")[:_MOST]:
        thing, weight = _thing(resource), _weight(resource)
        key = thing[3] or thing[:2]
        if key in found:
            old, before = found[key]
            thing = tuple(ours or theirs for ours, theirs in zip(old, thing, strict=True))
            weight = before if before is not None else weight
        found[key] = thing, weight
    for version in versions:
        found.setdefault(version, (("", "", "", version, 0, "", ""), None))
    return list(found.values())


def _checkpoint(facts: Mapping[str, Any], things: Things) -> int:
    name = _word(facts, "model")
    return things.place(("checkpoint", name, "", 0, 0, "", "")) if name else -1


def _thing(resource: Mapping[str, Any]) -> Thing:
    kind = (_word(resource, "type") or _word(resource, "modelType")).strip().lower()
    return (
        "checkpoint" if kind == "model" else kind,
        (_word(resource, "modelName") or _word(resource, "name")).strip(),
        (_word(resource, "modelVersionName") or _word(resource, "versionName")).strip(),
        _number(resource, "modelVersionId", "versionId"), _number(resource, "modelId"),
        _word(resource, "baseModel"), _word(resource, "hash")[:64],
    )  # fmt: skip


def _weight(resource: Mapping[str, Any]) -> float | None:
    told = resource.get("weight") if resource.get("weight") is not None else resource.get("strength")
    return told if isinstance(told, int | float) and not isinstance(told, bool) and abs(told) < 1e6 else None


# --- What is told by the prompt and the id already -------------------------------------------------


def _with_key(url: str, image_id: str) -> tuple[str, str]:
    """Return a link with `{key}` in place of the name that its storage gives to a picture, and that name in base 64."""
    found = _KEY.search(url)
    if found is None:
        return _with_id(url, image_id), ""
    key = urlsafe_b64encode(bytes.fromhex(found[0].replace("-", ""))).decode().rstrip("=")
    return "{key}".join(_with_id(part, image_id) for part in url.split(found[0])), key


def _with_id(url: str, image_id: str) -> str:
    """Return a link with `{id}` wherever a part of its path is the picture's id, with or without an extension."""
    plain, size = url.replace("{", "%7B"), len(image_id)
    if image_id not in plain:
        return plain
    parts = plain.split("/")
    is_id = [part.startswith(image_id) and part[size : size + 1] in ("", ".") for part in parts]
    return "/".join(f"{{id}}{part[size:]}" if found else part for part, found in zip(parts, is_id, strict=True))


def _cut(raw: str | None, clean: str | None) -> Any:
    """Return how a text comes from the raw prompt: 1 if it is the same, or how many characters are kept and dropped.

    They are UTF-16 units, in turns; what follows is dropped. A text that is more than a cut stays a text.
    """
    if raw is None or clean is None:
        return clean
    if raw == clean:
        return 1
    marks, end = [0], 0  # where keeping begins and ends, in turns
    for piece in filter(None, _PIECES.split(clean)):
        start = raw.find(piece, end)
        if start < 0:
            return clean
        if start > end:
            marks += [end, start]
        end = start + len(piece)
    marks.append(end)
    is_plain = raw.isascii() or max(raw) <= "\uffff"
    return [stop - start if is_plain else _units(raw[start:stop]) for start, stop in pairwise(marks)]


def _units(text: str) -> int:
    return len(text) + sum(letter > "\uffff" for letter in text)
