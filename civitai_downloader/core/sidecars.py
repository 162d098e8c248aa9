"""Sidecars: what other programs read beside a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..util.names import name_key, plain_path, split_name
from .answers import File, Model, Version, object_at, text_at, texts_at
from .choice import is_weights
from .pages import plain_text
from .places import Wanted, app_facts


def civitai_info(model: Model, version: Version) -> dict[str, Any]:
    """Return `.civitai.info`: the version as by-hash answers have it, with what helpers look for in the model."""
    known = {"name": model.name, "type": model.type, "nsfw": model.raw.get("nsfw"), "poi": model.raw.get("poi")}
    more = {"description": model.raw.get("description"), "tags": list(model.tags)}
    return {
        **version.raw,
        "modelId": model.id,
        "model": {**known, **more},
        "creator": {"username": model.creator or None, "image": object_at(model.raw, "creator").get("image")},
    }


def a1111_json(model: Model, version: Version, url: str) -> dict[str, Any]:
    """Return `<file>.json`: A1111's user metadata; a preferred weight of 0 leaves A1111's own default."""
    starts = app_facts("a1111")["sd versions"].items()
    sd_version = next((name for start, name in starts if version.base_model.lower().startswith(start)), "Unknown")
    words = [re.sub(r"\s+", " ", word).strip(" ,") for word in texts_at(version.raw, "trainedWords")]
    return {
        "description": plain_text(text_at(version.raw, "description") or text_at(model.raw, "description")),
        "sd version": sd_version,
        "activation text": ", ".join(word for word in words if word),
        "preferred weight": 0,
        "negative text": "",
        "notes": url,
    }


def lora_manager_json(
    model: Model, version: Version, file: File, path: Path, preview: Path | None, sha256: str
) -> dict[str, Any]:
    """Return `<file>.metadata.json`: what ComfyUI LoRA Manager keeps beside a model file."""
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
        "sha256": sha256,
        "base_model": version.base_model or "Unknown",
        "preview_url": plain_path(preview).as_posix() if preview else "",
        "preview_nsfw_level": version.images[0].level if version.images else 0,
        "civitai": civitai_info(model, version),
        "tags": list(model.tags),
        "modelDescription": text_at(model.raw, "description"),
        "hash_status": "completed" if sha256 else "pending",
    }
    if autov3 := text_at(object_at(file.raw, "hashes"), "AutoV3"):
        facts["autov3"] = autov3.lower()
    if model.type == "Checkpoint" and file.type in ("UNet", "Diffusion Model"):
        facts["model_type"] = "diffusion_model"
    return facts


def sidecar_owners(files: Sequence[tuple[File, Wanted]]) -> list[tuple[File, Wanted]]:
    """Return the weights that have sidecars: of two with one stem the safetensors, else the primary, else the first."""
    owners: dict[str, tuple[File, Wanted]] = {}
    ranked = sorted(files, key=lambda pair: (not pair[1].path.endswith(".safetensors"), not pair[0].primary))
    for file, wanted in ranked:
        if is_weights(file):
            owners.setdefault(name_key(split_name(wanted.path)[0]), (file, wanted))
    return list(owners.values())


_READ_BY = {"comfyui": (".preview", ".metadata.json"), "a1111": (".preview", ".civitai.info", ".json")}


def is_read_by(layout: str, ending: str) -> bool:
    """Return whether a sidecar with this ending is read by the app of a layout; other layouts keep all together."""
    return layout not in _READ_BY or ending.startswith(_READ_BY[layout])
