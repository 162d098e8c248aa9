"""The `.metadata.json` of a model file that the site does not know: what its own header says, marked as such."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..util.names import plain_path
from .headers import Told
from .pages import plain_text
from .places import app_facts

_DENOISER = {"model_type": "diffusion_model", "sub_type": "diffusion_model"}


def header_json(
    told: Told, stem: str, path: Path, size: int, mtime: int, sha256: str, preview: Path | None
) -> dict[str, Any]:
    """Return what ComfyUI LoRA Manager keeps beside a file that only its header tells about; {} if that says nothing.

    LoRA Manager works out a bare file by itself, and asks the site for it again, which it would no longer do if there
    were an empty `.metadata.json`. `mtime` is in nanoseconds, and `sha256` in lower case, "" where it is not known.
    """
    if not told.says_something:
        return {}
    known = app_facts("lora manager")
    return {
        **known["always"],
        **(_DENOISER if told.kind == "UNet" else known["types"].get(told.kind, {})),
        "file_name": stem,
        "model_name": told.title or stem,
        "file_path": plain_path(path).as_posix(),
        "size": size,
        "modified": mtime / 1e9,
        "sha256": sha256,
        "base_model": told.base_model or "Unknown",
        "preview_url": plain_path(preview).as_posix() if preview else "",
        "preview_nsfw_level": 0,
        "notes": "\n".join(_notes(told)),
        "from_civitai": False,
        "civitai": {"trainedWords": list(told.words)} if told.words else {},
        "tags": list(told.tags),
        "modelDescription": html.escape(plain_text(told.description), quote=False).replace("\n", "<br>"),
        "metadata_source": None,
        "hash_status": "completed" if sha256 else "pending",
    }


def _notes(told: Told) -> Iterator[str]:
    """Yield the lines that say where all of this is from, and what has no place of its own."""
    yield "Civitai does not know this file. What is written here was read from the header of the file itself."
    base = (
        f"{told.base_model}, or another one that a header does not tell from it: {told.family}"
        if told.family
        else told.base_model
    )
    network = ", ".join(f"{name} {value}" for name, value in (("dim", told.dim), ("alpha", told.alpha)) if value)
    words, guess = ", ".join(told.words), " (a guess: the tags in nearly every caption)" if told.is_guess else ""
    facts = (
        ("Type", told.kind),
        ("Base model", base),
        (f"Trigger words{guess}", words),
        ("Usage", told.usage),
        ("Author", told.author),
        ("License", told.license),
        ("Date", told.date),
        ("Trained on", told.trained_on),
        ("Network", network),
        ("Resolution", told.resolution),
        ("Training comment", told.comment),
    )
    yield from (f"{name}: {value}" for name, value in facts if value)
