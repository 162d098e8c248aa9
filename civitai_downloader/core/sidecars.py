"""Sidecars: what other programs read beside a file, and how it is kept up to date in what they have written there."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.names import name_key, plain_path, split_name
from ..util.text import utf8
from .answers import File, Model, Version, licence_of, number_at, object_at, text_at, texts_at
from .choice import has_sidecars, is_called_safetensors
from .pages import plain_text
from .places import Wanted, app_facts

# --- What is in them ------------------------------------------------------------------------------


def civitai_info(model: Model, version: Version) -> dict[str, Any]:
    """Return `.civitai.info`: the version as by-hash answers have it, with what helpers look for in the model."""
    known = {"name": model.name, "type": model.type, "nsfw": model.raw.get("nsfw"), "poi": model.raw.get("poi")}
    more = {"description": model.raw.get("description"), "tags": list(model.tags)}
    return {
        **version.raw,
        "modelId": model.id,
        "model": {**known, **more, **licence_of(model.raw)},
        "creator": {"username": model.creator or None, "image": object_at(model.raw, "creator").get("image")},
    }


def a1111_json(model: Model, version: Version, url: str, sha256: str = "") -> dict[str, Any]:
    """Return `<file>.json`: A1111's user metadata, and the ids by which sd-civitai-browser-plus knows a file.

    A preferred weight of 0 leaves A1111's own default, and without an `sd version` it looks into the file itself. The
    hash is in upper case, as the site has it and browser-plus compares it.
    """
    starts = app_facts("a1111")["sd versions"].items()
    sd_version = next((name for start, name in starts if version.base_model.lower().startswith(start)), "")
    words = [re.sub(r"\s+", " ", word).strip(" ,") for word in texts_at(version.raw, "trainedWords")]
    return {
        "description": plain_text(text_at(version.raw, "description") or text_at(model.raw, "description")),
        **({"sd version": sd_version} if sd_version else {}),
        "activation text": ", ".join(word for word in words if word),
        "preferred weight": 0,
        "negative text": "",
        "notes": url,
        "modelId": model.id,
        "modelVersionId": version.id,
        **({"sha256": sha256.upper()} if sha256 else {}),
    }


@dataclass(frozen=True)
class Beside:
    """What stands on disk: a model file, its SHA256 ("" unknown), its preview, and the browsing level of that."""

    path: Path
    sha256: str
    preview: Path | None
    level: int


def lora_manager_json(model: Model, version: Version, file: File, beside: Beside) -> dict[str, Any]:
    """Return `<file>.metadata.json`: what ComfyUI LoRA Manager keeps beside a model file.

    Its versions until 2025 read `model_type`, later ones `sub_type`; each keeps the key of the other.
    """
    path = beside.path
    status = path.stat() if path.exists() else None
    known = app_facts("lora manager")
    facts: dict[str, Any] = {
        **known["always"],
        **known["types"].get(model.type, {}),
        "file_name": path.stem,
        "model_name": model.name,
        "file_path": plain_path(path).as_posix(),
        "size": status.st_size if status else file.size,
        "modified": status.st_mtime if status else 0.0,
        "sha256": beside.sha256,
        "base_model": version.base_model or "Unknown",
        "preview_url": plain_path(beside.preview).as_posix() if beside.preview else "",
        "preview_nsfw_level": beside.level,
        "civitai": civitai_info(model, version),
        "tags": list(model.tags),
        "modelDescription": text_at(model.raw, "description"),
        "hash_status": "completed" if beside.sha256 else "pending",
    }
    if autov3 := text_at(object_at(file.raw, "hashes"), "AutoV3"):
        facts["autov3"] = autov3.lower()
    if model.type == "Checkpoint" and file.type in ("UNet", "Diffusion Model"):
        facts["model_type"] = facts["sub_type"] = "diffusion_model"
    return facts


# --- Where they stand -----------------------------------------------------------------------------


def sidecar_owners(files: Sequence[tuple[File, Wanted]], version: Version) -> list[tuple[File, Wanted]]:
    """Return the files that have sidecars: of two with one stem the safetensors, else the primary, else the first."""
    owners: dict[str, tuple[File, Wanted]] = {}
    for file, wanted in sorted(files, key=_rank):
        if has_sidecars(file, version):
            owners.setdefault(name_key(split_name(wanted.path)[0]), (file, wanted))
    return list(owners.values())


def _rank(pair: tuple[File, Wanted]) -> tuple[bool, bool]:
    file, wanted = pair
    return (not is_called_safetensors(wanted.path, text_at(file.traits, "format")), not file.primary)


_READ_BY = {"comfyui": (".metadata.json",), "a1111": (".civitai.info", ".json")}


def is_read_by(layout: str, ending: str) -> bool:
    """Return whether a sidecar with this ending is read by the app of a layout; other layouts keep all together."""
    return ending in _READ_BY.get(layout, (ending,))


STILL_PREVIEWS = (".preview.png", ".preview.jpg", ".preview.webp")
SIDECAR_ENDINGS = (".civitai.info", ".json", ".metadata.json")
ANY_PREVIEW = tuple(app_facts("previews"))
PREVIEW_ENDINGS = (*STILL_PREVIEWS, ".gif", ".avif", ".mp4", ".webm")


def preview_ending(extension: str) -> str:
    """Return the ending of a preview with this extension: no app looks for `.preview.gif` or `.preview.webm`."""
    ending = f".preview{extension.lower()}"
    return ending if ending in STILL_PREVIEWS else extension.lower()


# --- What others have written there ---------------------------------------------------------------

Keys = dict[str, Any]  # by key: a short hash of the value that we wrote, or Keys where it is an object
_DEEP = 3  # a file, an object in it (`civitai`), and one in that (`civitai.model`) are merged; deeper ones are values


@dataclass(frozen=True)
class Renewed:
    """The bytes that a sidecar should have, and which of the values in it are ours."""

    data: bytes
    keys: Keys


def renew(there: bytes | None, content: Mapping[str, Any], line: Mapping[str, Any], name: str) -> Renewed:
    """Return a sidecar with our values renewed and everything else as it is.

    `there` is what is on disk (None: nothing), `content` what we say now, and `line` the state log's last line about
    it. The last value that we wrote under a key is ours, and so is one that is what we would write; a missing one is
    written. Any other value and all other keys stay, in objects within it as well. A file without `keys` in its line is
    wholly ours as long as it has the SHA256 that the line names; else what LoRA Manager fills in there for a file of
    which it knows nothing is nobody's. What is no JSON object stays as it is.
    """
    ours = _plain(content)
    data = _encoded(ours, name)
    is_mine = there is not None and "keys" not in line and hashlib.sha256(there).hexdigest() == line.get("sha256")
    if there is None or there == data or is_mine:
        return Renewed(data, _keys_of(ours, ours, _DEEP))
    with suppress(ValueError, RecursionError):
        found = _read(there)
        told = found if "keys" in line else _without_blanks(found, ours, name)
        merged = _merged(told, ours, object_at(line, "keys"), _DEEP)
        data = there if merged == found else _encoded(merged, name)
        return Renewed(data, _keys_of(merged, ours, _DEEP))
    return Renewed(there, {})


def _without_blanks(there: dict[str, Any], ours: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object without the values that LoRA Manager fills in before it knows anything, where we have better."""
    if not name.endswith(".metadata.json"):
        return there
    blank = {**app_facts("lora manager")["blank"], "model_name": there.get("file_name")}
    return {key: value for key, value in there.items() if key not in ours or key not in blank or value != blank[key]}


def _merged(there: dict[str, Any], ours: dict[str, Any], keys: Keys, depth: int) -> dict[str, Any]:
    """Return an object with our values renewed. One that names another `id` is about something else, and stays."""
    known, wanted = number_at(there, "id"), number_at(ours, "id")
    if known and wanted and known != wanted and not _is_ours(there, keys, "id"):
        return there
    merged: dict[str, Any] = {}
    for key, value in there.items():
        if depth > 1 and isinstance(value, dict) and isinstance(ours.get(key), dict):
            merged[key] = _merged(value, ours[key], object_at(keys, key), depth - 1)
        elif not _is_ours(there, keys, key):
            merged[key] = value
        elif key in ours:
            merged[key] = ours[key]
    return {**merged, **{key: value for key, value in ours.items() if key not in there}}


def _is_ours(there: Mapping[str, Any], keys: Mapping[str, Any], key: str) -> bool:
    """Return whether a value is the one that we wrote last; an object is if all values in it are."""
    value, mark = there[key], keys.get(key)
    if isinstance(mark, dict):
        return isinstance(value, dict) and all(_is_ours(value, mark, each) for each in value)
    return mark == _short_hash(value)


def _keys_of(merged: Mapping[str, Any], ours: Mapping[str, Any], depth: int) -> Keys:
    """Return the short hashes of those values that are what we say."""
    keys: Keys = {}
    for key, value in ours.items():
        if depth > 1 and isinstance(value, dict) and isinstance(merged.get(key), dict):
            keys[key] = _keys_of(merged[key], value, depth - 1)
        elif key in merged and (merged[key] is value or _short_hash(merged[key]) == _short_hash(value)):
            keys[key] = _short_hash(value)
    return keys


_in_order = json.JSONEncoder(sort_keys=True).encode
_FLOAT = re.compile(r"(?:^|[\[:, ])-?[0-9]+[.eE]")  # found wherever there is one, and in some texts


def _short_hash(value: Any) -> str:
    """Return 8 hexadecimal digits that do not depend on the order of keys or on how a number is spelled."""
    text = _in_order(value)
    if _FLOAT.search(text):
        text = _in_order(json.loads(text, parse_float=_number))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if math.isfinite(number) and number.is_integer() else number


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content as every program can read it: no lone surrogates, no numbers that JSON does not have."""
    text = utf8(json.dumps(content, ensure_ascii=False)).decode()
    plain: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    return plain


def _read(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a file in UTF-8 or UTF-16. Raises ValueError, RecursionError if it holds none."""
    value = json.loads(data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _encoded(value: Any, name: str) -> bytes:
    """Return the bytes of a sidecar; `.civitai.info` in ASCII, since its readers open it in the system's encoding.

    So are texts of others that UTF-8 has no bytes for.
    """
    with suppress(UnicodeEncodeError):
        if not name.endswith(".civitai.info"):
            return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
    return (json.dumps(value, indent=2) + "\n").encode()
