"""Pages: model.txt, description.html, post.json and the .txt of a picture."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import string
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from ..util.disks import Disk
from ..util.files import is_link, read_regular, write_json
from ..util.logs import json_line
from ..util.text import human_size, scrub, unescape_html, utf8
from .answers import (
    Image,
    Model,
    flat_meta,
    licence_of,
    likes_of,
    list_at,
    media_urls,
    number_at,
    object_at,
    objects_at,
    resources_of,
    text_at,
    texts_at,
)
from .data import read_data
from .markup import offline
from .prompts import Filters

_BLOCK = re.compile(r"(?i)</?(?:p|br|div|h[1-6]|tr|pre|blockquote|ul|ol|hr)\b[^<>]*>")


def plain_text(markup: str) -> str:
    """Return the words of an HTML description, a line for each block."""
    words = re.sub(r"<[^<>]*>", "", re.sub(r"(?i)<li\b[^<>]*>", "\n- ", _BLOCK.sub("\n", markup)))
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in unescape_html(words).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def licence_text(model: Model) -> str:
    """Return what a model may be used for, in plain words, or "" where the site says nothing of it."""
    words = json.loads(read_data("licence.json"))
    told: list[str] = []
    for key, value in licence_of(model.raw).items():
        uses = [use.lower() for use in value] or ["none"] if isinstance(value, list) else [str(value).lower()]
        told += [words[key].get(use, use) for use in uses]
    return "; ".join(told)


def _gone_text(raw: Mapping[str, Any]) -> str:
    """Return since when the site no longer has a thing, as the end of a line, or ""."""
    since = text_at(raw, "gone_since")
    return f"  (gone from the site since {since})" if since else ""


def _lost_text(raw: Mapping[str, Any]) -> list[str]:
    """Return a line about what the site no longer says of a thing, or no line."""
    lost = ", ".join(f"{key} since {date}" for key, date in object_at(raw, "lost").items())
    return [f"No longer on the site: {lost}"] if lost else []


def model_text(model: Model, url: str) -> str:
    """Return `model.txt`: what a person wants to know about a model, in plain words, what is gone included."""
    head = [
        f"{model.name}{_gone_text(model.raw)}",
        url,
        f"{model.type} by {model.creator or 'unknown'}",
        f"Tags: {', '.join(model.tags)}",
    ]
    head += _lost_text(model.raw)
    licence = licence_text(model)
    head += [f"Licence: {licence}", ""] if licence else [""]
    head += [plain_text(text_at(model.raw, "description")), ""]
    for version in model.versions:
        head += [
            f"== {version.name} [{version.id}], {version.base_model}, {version.published[:10]}{_gone_text(version.raw)}"
        ]
        head += _lost_text(version.raw)
        if words := texts_at(version.raw, "trainedWords"):
            head += [f"Trained words: {', '.join(words)}"]
        head += [
            f"{file.name}  {human_size(file.size)}  {file.type}  {file.sha256}{_gone_text(file.raw)}"
            for file in version.files
        ]
        head += [plain_text(text_at(version.raw, "description")), ""]
    return "\n".join([*head, UNSIGNED]).strip() + "\n"


def description_page(model: Model, url: str, template: str) -> str:
    """Return `description.html`: the author's own words, which load and run nothing."""
    parts = [offline(scrub(text_at(model.raw, "description")))]
    for version in model.versions:
        if words := text_at(version.raw, "description"):
            name = html.escape(version.name + _gone_text(version.raw))
            parts.append(f"<h2>{name}</h2>\n{offline(scrub(words))}")
    facts = {
        "title": model.name + _gone_text(model.raw),
        "creator": model.creator or "unknown",
        "type": model.type,
        "url": url,
    }
    escaped = {key: html.escape(value) for key, value in facts.items()}
    return string.Template(template).substitute(escaped, body="\n".join(parts))


# --- Whose page it is ---

Hand = Literal["ours", "edited", "nobody's"]

_SIGNATURE = re.compile(r"(?<=Written by civitai-downloader, )[0-9a-f]{8}\b")
UNSIGNED = "Written by civitai-downloader, 00000000"


def sign(page: str) -> str:
    """Return a page with the short hash of its own text in the place of the zeros behind our name."""
    return page.replace(UNSIGNED, UNSIGNED[:-8] + _own_hash(page))


def hand_of(there: bytes) -> Hand:
    """Return in whose hand a page is: signed by us and unchanged, signed and edited since, or not signed."""
    text = there.decode("utf-8", "replace")
    found = _SIGNATURE.findall(text)
    return "nobody's" if not found else "ours" if _own_hash(text) in found else "edited"


def _own_hash(page: str) -> str:
    return hashlib.sha256(utf8(_SIGNATURE.sub("0" * 8, page))).hexdigest()[:8]


# --- Posts and pictures ---


def post_facts(post: Mapping[str, Any], post_id: int, page: str, images: list[int]) -> dict[str, Any]:
    """Return `post.json`: what the author wrote, and the pictures in the author's order."""
    return {
        "id": post_id,
        "page": page,
        "title": text_at(post, "title") or None,
        "text": plain_text(text_at(post, "detail")) or None,
        "detail": text_at(post, "detail") or None,
        "tags": [text_at(tag, "name") for tag in objects_at(post, "tags")],
        "username": text_at(object_at(post, "user"), "username") or None,
        "published_at": text_at(post, "publishedAt") or None,
        "model_version": number_at(post, "modelVersionId") or None,
        "images": images,
    }


def image_facts(image: Image, page: str, filters: Filters) -> dict[str, Any]:
    """Return `<image id>.txt`: where a picture comes from and how it was made, as far as its list says."""
    meta = flat_meta(image.raw.get("meta"))
    return {
        "id": image.id,
        "url": media_urls(image)[0],
        "page": page,
        "post_id": number_at(image.raw, "postId") or None,
        "username": text_at(image.raw, "username") or None,
        "created_at": text_at(image.raw, "createdAt") or None,
        **{side: number_at(image.raw, side) or None for side in ("width", "height")},
        "type": image.type,
        "nsfw_level": image.level,
        **_appeal(image),
        "model_versions": image.raw.get("modelVersionIds") or [],
        "resources": resources_of(meta),
        "tools": [],
        "techniques": [],
        **prompt_facts(meta, filters),
    }


def prompt_facts(meta: Any, filters: Filters) -> dict[str, Any]:
    """Return the part of a `.txt` that is read from `meta`, which is kept whole, whatever its type.

    Without it (a hidden prompt) everything is null.
    """
    known = meta if isinstance(meta, dict) else {}
    prompt = known.get("prompt") if isinstance(known.get("prompt"), str) else None
    clean, with_clothes = filters.apply(prompt) if prompt is not None else (None, None)
    names = {"negative_prompt": "negativePrompt", "cfg_scale": "cfgScale", "size": "Size", "model": "Model"}
    fields = ("negative_prompt", "sampler", "steps", "cfg_scale", "seed", "size", "model")
    return {
        "raw_prompt": prompt,
        "prompt": clean,
        "prompt_with_clothes": with_clothes,
        **{field: known.get(names.get(field, field)) for field in fields},
        "meta": meta,
    }


def with_generation(facts: Mapping[str, Any], answer: Mapping[str, Any], filters: Filters) -> dict[str, Any]:
    """Return a `.txt` with what `image.getGenerationData` adds: tools, techniques, resources, and a missing prompt."""
    prompt = prompt_facts(answer.get("meta"), filters) if facts.get("raw_prompt") is None and answer.get("meta") else {}
    found = [*list_at(facts, "resources"), *resources_of(prompt.get("meta")), *objects_at(answer, "resources")]
    return {
        **facts,
        "resources": list({json.dumps(each, sort_keys=True): each for each in found}.values()),
        **{key: [text_at(each, "name") for each in objects_at(answer, key)] for key in ("tools", "techniques")},
        **prompt,
    }


def keep_known(facts: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new `.txt` with what the old one knows and the site hides by now."""
    hidden = facts["raw_prompt"] is None and old.get("raw_prompt") is not None
    of_prompt = prompt_facts(None, Filters())
    kept = [*of_prompt] if hidden else []
    kept += [name for name in facts if name not in of_prompt and facts[name] in (None, "", []) and old.get(name)]
    return {**facts, **{name: old.get(name) for name in kept}}


def gained(image: Image, old: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an old `.txt` with what its list tells of the picture itself, None if it knows that already.

    Earlier versions of the program did not keep its BlurHash and its likes, and not every list has both.
    """
    new = {key: value for key, value in _appeal(image).items() if value is not None and old.get(key) is None}
    if not new:
        return None
    facts: dict[str, Any] = {}
    for key, value in old.items():
        facts[key] = new.get(key, value)
        if key == "nsfw_level":
            facts |= {each: old.get(each) for each in _appeal(image)} | new
    return {**facts, **new}


def _appeal(image: Image) -> dict[str, Any]:
    return {"hash": text_at(image.raw, "hash") or None, "likes": likes_of(image.raw)}


def read_prompt(path: Path) -> dict[str, Any]:
    """Return a `<image id>.txt`, or {} if there is none that can be read."""
    with suppress(OSError):
        return json_line(read_regular(path)) or {}
    return {}


def refilter(root: Path, filters: Filters, disk: Disk | None = None) -> int:
    """Apply the word lists to every prompt on disk, without a request, and return how many files changed."""
    changed = 0
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names if re.fullmatch(r"\d+\.txt", name)):
            facts = {} if is_link(path) else read_prompt(path)
            if isinstance(prompt := facts.get("raw_prompt"), str) and number_at(facts, "id") == int(path.stem):
                facts["prompt"], facts["prompt_with_clothes"] = filters.apply(prompt)
                changed += write_json(path, facts, disk)
    return changed
