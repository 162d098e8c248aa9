"""What other programs leave in a folder of models: sidecars, previews, parts of themselves, and half a download."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_civitai import FakeFile, FakeVersion, gif_bytes, jpeg_bytes, mp4_bytes, png_bytes, webp_bytes

Json = dict[str, Any]
MINE: Json = {"activation text": "my words", "preferred weight": 0.7, "notes": "my note", "negative text": ""}


@dataclass(frozen=True)
class Subject:
    """A model file on disk and what the site says of it; `mtime` in nanoseconds."""

    path: Path
    version: FakeVersion
    file: FakeFile
    mtime: int

    @property
    def size(self) -> int:
        return self.path.stat().st_size


# --- Sidecars ------------------------------------------------------------------------------------


def site_version(version: FakeVersion) -> Json:
    """Return a version as the site shows it by its hash, as far as helpers look."""
    files = [
        {"id": file.id, "name": file.name, "sizeKB": file.body.size / 1024, "type": file.type, "primary": file.primary,
         "hashes": file.published_hashes}
        for file in version.files
    ]  # fmt: skip
    model = {"name": version.model.name, "type": version.model.type, "nsfw": False, "poi": False}
    about = {"id": version.id, "modelId": version.model.id, "name": version.name, "baseModel": version.base_model}
    return {**about, "trainedWords": version.trained_words, "model": model, "files": files, "images": []}


def lora_manager(subject: Subject, **more: Any) -> Json:
    """Return `.metadata.json` of LoRA Manager, whose `modified` is when it took the file in."""
    path = subject.path
    return {
        "file_name": path.stem, "model_name": subject.version.model.name, "file_path": path.as_posix(),
        "size": subject.size, "modified": subject.mtime / 1e9 + 3600, "sha256": subject.file.body.sha256,
        "base_model": subject.version.base_model, "preview_url": "", "preview_nsfw_level": 0, "notes": "my note",
        "from_civitai": True, "civitai": site_version(subject.version), "tags": [], "modelDescription": "",
        "favorite": True, "usage_tips": "{}", **more,
    }  # fmt: skip


def stability_matrix(subject: Subject) -> Json:
    """Return `.cm-info.json` of StabilityMatrix."""
    version, hashes = subject.version, subject.file.published_hashes
    return {
        "ModelId": version.model.id, "ModelName": version.model.name, "ModelDescription": "", "Nsfw": False,
        "Tags": [], "ModelType": version.model.type, "VersionId": version.id, "VersionName": version.name,
        "BaseModel": version.base_model, "RemoteFileName": subject.file.name, "RemoteFileId": subject.file.id,
        "FileMetadata": {"fp": "fp16", "size": "pruned", "format": "SafeTensor"},
        "ImportedAt": "2026-02-01T10:00:00+00:00",
        "Hashes": {kind: hashes[kind] for kind in ("SHA256", "CRC32", "BLAKE3")},
        "TrainedWords": version.trained_words, "Source": 0, "UserTitle": "my title",
    }  # fmt: skip


def browser_plus(subject: Subject) -> Json:
    """Return `.json` of browser-plus, in which the user has written."""
    ids = {"modelId": subject.version.model.id, "modelVersionId": subject.version.id}
    sha256 = subject.file.published_hashes["SHA256"]
    return {"description": "", "sd version": "SDXL", **MINE, **ids, "sha256": sha256}


def civitai_helper(subject: Subject) -> Json:
    """Return `.civitai.info` of a Civitai helper."""
    return {**site_version(subject.version), "extensions": {"sd_civitai_helper": {"version": "1.8.4"}}}


def write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")


#: The ending of each sidecar, its content, and which of its keys are the user's or that program's.
Sidecar = tuple[str, Callable[[Subject], Json], tuple[str, ...]]
MANAGED: Sidecar = (".metadata.json", lora_manager, ("favorite", "notes"))
HELPED: Sidecar = (".civitai.info", civitai_helper, ("extensions",))
MATRIX: Sidecar = (".cm-info.json", stability_matrix, ())
BROWSED: Sidecar = (".json", browser_plus, tuple(MINE))
HAND_MADE: Sidecar = (".json", lambda _: {"description": "mine", **MINE}, ("description", *MINE))
PENDING: Sidecar = (
    ".metadata.json",
    lambda subject: lora_manager(subject, sha256="", civitai={}, hash_status="pending"),
    ("favorite", "notes"),
)
STALE: Sidecar = (
    ".metadata.json",
    lambda subject: lora_manager(subject, size=subject.size + 9, modified=1.6e9, sha256="ab" * 32, civitai={}),
    ("favorite", "notes"),
)
SKELETON: Sidecar = (".civitai.info", lambda _: {"skeleton_file": True, "modelId": 0}, ())

PREVIEWS: dict[str, Callable[[int], bytes]] = {
    ".preview.png": png_bytes, ".jpg": jpeg_bytes, ".preview.webp": webp_bytes, ".png": png_bytes, ".mp4": mp4_bytes,
    ".preview.jpg": jpeg_bytes, ".gif": gif_bytes, ".jpeg": jpeg_bytes, ".webp": webp_bytes,
    ".preview.jpeg": jpeg_bytes,
}  # fmt: skip


# --- Folders and files that are none of ours -----------------------------------------------------


def weights(seed: str, payload: int = 500) -> bytes:
    """Return a safetensors file that the site does not have."""
    return safetensors({}, (seed.encode() * payload)[:payload])


def safetensors(metadata: dict[str, str], data: bytes) -> bytes:
    """Return a safetensors file with one tensor and these words about it."""
    header: Json = {"__metadata__": metadata} if metadata else {}
    if data:
        header["weight"] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    text = json.dumps(header).encode()
    text = text.ljust((len(text) + 7) // 8 * 8)
    return len(text).to_bytes(8, "little") + text + data


#: What pretends to be a model and is none.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "web page": lambda _: b"<!DOCTYPE html><html><head><title>Civitai</title></head><body>Sign in</body></html>",
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "pointer": lambda data: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 151110312\n"
    ),
    "error": lambda _: b'{"error":"Unauthorized","message":"The creator requires you to be logged in"}',
    "lying header": lambda data: (1 << 40).to_bytes(8, "little") + data[8:],
}

_PARTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")
_HUB = "ComfyUI/models/huggingface/models--maker--lantern"

#: Model files of other programs, which are not looked into.
SKIPPED: dict[str, bytes] = {
    **{f"ComfyUI/models/diffusers/lantern/{part}.safetensors": weights(part) for part in _PARTS},
    "ComfyUI/models/diffusers/lantern/unet/diffusion_pytorch_model.fp16.bin": weights("fp16"),
    **{f"ComfyUI/models/text_encoders/t5/model-0000{n}-of-00002.safetensors": weights(f"t5 {n}") for n in (1, 2)},
    f"{_HUB}/blobs/{'ab' * 32}": weights("hub"),
    "webui/venv/lib/python3.11/site-packages/distutils-precedence.pth": b"import os; var = 'SETUPTOOLS'\n",
    "python_embeded/Lib/site-packages/pywin32.pth": b"win32\nwin32\\lib\n",
    "ComfyUI/custom_nodes/ComfyUI-Depth/ckpts/depth.pth": weights("depth"),
    "webui/extensions/adetailer/models/face.pt": weights("face"),
    "ComfyUI/output/trained.safetensors": weights("trained"),
    ".cache/huggingface/lantern.safetensors": weights("hidden"),
    "corrupted/lantern.safetensors": weights("corrupted"),
}
#: Files that make a folder what it is.
AROUND: dict[str, bytes] = {
    "ComfyUI/models/diffusers/lantern/model_index.json": b'{"_class_name": "StableDiffusionXLPipeline"}',
    **{f"ComfyUI/models/diffusers/lantern/{part.partition('/')[0]}/config.json": b"{}" for part in _PARTS},
    "ComfyUI/models/text_encoders/t5/model.safetensors.index.json": b'{"weight_map": {}}',
    f"{_HUB}/refs/main": b"abc",
    "ComfyUI/models/loras/readme.txt": b"Put LoRAs here.\n",
    "webui/models/Stable-diffusion/config.json": b"{}",  # a stray one: the models around it are whole ones
    "webui/cache.json": b'{"hashes": {}}',
}
#: What downloads that did not end have left, also under the final name.
LEFT_OVERS: dict[str, bytes] = {
    "ComfyUI/models/loras/moss.safetensors.part": b"half",
    "ComfyUI/models/loras/copper.safetensors": weights("copper")[:300],
    "ComfyUI/models/loras/copper.safetensors.aria2": b"\0\1",
    "ComfyUI/models/checkpoints/winter.safetensors.crdownload": b"half",
    "webui/models/Lora/harbour.safetensors.tmp2": weights("harbour"),
}
#: Files of other kinds that hold weights, but in which nobody looks.
OTHER_KINDS: dict[str, bytes] = {
    "ComfyUI/models/loras/packed.zip": b"PK\x05\x06" + bytes(18),
    "ComfyUI/models/checkpoints/old.pkl": b"\x80\x04.",
}


def add_strangers(root: Path) -> None:
    """Write all of these, with links as far as this system has them."""
    for name, data in {**SKIPPED, **AROUND, **LEFT_OVERS, **OTHER_KINDS}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    snapshot = root / _HUB / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    with suppress(OSError, NotImplementedError):
        (snapshot / "lantern.safetensors").symlink_to(Path("..", "..", "blobs", "ab" * 32))


def add_links(root: Path, targets: list[Path]) -> dict[str, str]:
    """Give files a second name: a hard link, and a symlink; make a folder that leads back. Return those names."""
    made: dict[str, str] = {}
    beside = root / "webui" / "models" / "Lora" / "shared"
    beside.mkdir(parents=True, exist_ok=True)
    ways: dict[str, Callable[[Path, Path], None]] = {"hard": os.link, "soft": os.symlink}
    for target, (way, link) in zip(targets, ways.items(), strict=False):
        name = beside / f"{way} {target.name}"
        with suppress(OSError, NotImplementedError):
            link(target, name)
            made[name.relative_to(root).as_posix()] = target.relative_to(root).as_posix()
    with suppress(OSError, NotImplementedError):
        (beside / "loop").symlink_to(root / "webui", target_is_directory=True)
    return made
