"""Other programs that read and write beside a model file, as far as that goes: which keys, and in which form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

Json = dict[str, Any]


def read(path: Path, encoding: str = "utf-8") -> Json:
    """Return the object in a file that is opened with this encoding."""
    found = json.loads(path.read_bytes().decode(encoding))
    assert isinstance(found, dict)
    return found


class LoraManager:
    """ComfyUI LoRA Manager: a scan reads `.metadata.json` into its model class and writes all its fields back."""

    COMMON: ClassVar[Json] = {
        "preview_nsfw_level": 0, "notes": "", "from_civitai": True, "civitai": {}, "tags": [], "modelDescription": "",
        "civitai_deleted": False, "favorite": False, "exclude": False, "db_checked": False,
        "skip_metadata_refresh": False, "metadata_source": None, "last_checked_at": 0, "hash_status": "completed",
        "trainedWords": [],
    }  # fmt: skip
    REQUIRED = ("file_name", "model_name", "file_path", "size", "modified", "sha256", "base_model", "preview_url")
    OWN: ClassVar[dict[str, Json]] = {
        "LORA": {"usage_tips": "{}"},
        "Checkpoint": {"sub_type": "checkpoint"},
        "TextualInversion": {"sub_type": "embedding"},
    }
    PREVIEWS = (
        ".webp", ".preview.webp", ".preview.png", ".preview.jpeg", ".preview.jpg", ".preview.mp4", ".png", ".jpeg",
        ".jpg", ".mp4", ".gif", ".webm", ".avif", ".jxl",
    )  # fmt: skip

    def path(self, weights: Path) -> Path:
        """Return where it keeps what it knows of a file."""
        return weights.with_suffix(".metadata.json")

    def scan(self, weights: Path, kind: str = "LORA") -> Json:
        """Read, fill up and write back; keys that it does not know are kept, null as `autov3` means none was found."""
        known = read(self.path(weights))
        assert all(key in known for key in self.REQUIRED)
        filled = {**self.COMMON, **self.OWN[kind], **{k: v for k, v in known.items() if not k.startswith("_")}}
        filled["autov3"] = known.get("autov3") or self._autov3(filled) or None
        self.write(weights, filled)
        return filled

    def _autov3(self, known: Json) -> str:
        files = [file for file in known["civitai"].get("files") or [] if isinstance(file, dict)]
        mine = [file for file in files if file["hashes"].get("SHA256", "").lower() == known["sha256"]]
        return str(mine[0]["hashes"].get("AutoV3", "")).lower() if mine else ""

    def edit(self, weights: Path, **fields: Any) -> None:
        """Change fields as its user does."""
        self.write(weights, {**read(self.path(weights)), **fields})

    def write(self, weights: Path, known: Json) -> None:
        self.path(weights).write_text(json.dumps(known, indent=2, ensure_ascii=False), "utf-8")

    def preview(self, weights: Path) -> Path | None:
        """Return the preview that it finds."""
        places = (weights.with_suffix(ending) for ending in self.PREVIEWS)
        return next((place for place in places if place.exists()), None)

    def licence(self, weights: Path) -> tuple[bool, set[str]]:
        """Return whether no credit is needed, and the commercial uses: all, down to selling, where nothing is said."""
        model = read(self.path(weights))["civitai"].get("model", {})
        return model.get("allowNoCredit", True), set(model.get("allowCommercialUse", ["Sell"]))


class Forge:
    """A1111 and Forge: `<file>.json` is read when cards are drawn; the editor writes six fields and keeps the rest."""

    SD_VERSIONS = ("Unknown", "SD1", "SD2", "SDXL", "Flux")

    def card(self, weights: Path) -> Json:
        """Return what the card of a LoRA shows; without a version that it knows it looks into the file itself."""
        known = read(weights.with_suffix(".json"))
        version = known.get("sd version")
        return {**known, "sd version": version if version in self.SD_VERSIONS else "by the file itself"}

    def save(self, weights: Path, **edited: Any) -> None:
        """Press "Save" in the editor of a LoRA, after changing some of its six fields."""
        path = weights.with_suffix(".json")
        known = read(path)
        shown = {
            "description": known.get("description", ""),
            "sd version": known.get("sd version", "Unknown"),
            "activation text": known.get("activation text", ""),
            "preferred weight": float(known.get("preferred weight", 0.0)),
            "negative text": known.get("negative text", ""),
            "notes": known.get("notes", ""),
        }
        path.write_text(json.dumps({**known, **shown, **edited}, indent=4, ensure_ascii=False), "utf-8")


class BrowserPlus:
    """sd-civitai-browser-plus: it knows a file by three keys of `<file>.json`, and writes the file at each look."""

    def needs_request(self, weights: Path, sha256: str) -> bool:
        """Return whether it would have to hash the file and ask the site."""
        known = read(weights.with_suffix(".json"))
        return not (known.get("modelId") and known.get("modelVersionId") and known.get("sha256") == sha256.upper())

    def save_info(self, weights: Path) -> None:
        """Add what is missing, and write all of it as ASCII with four blanks."""
        path = weights.with_suffix(".json")
        known = read(path)
        added = {"activation text": "", "description": "", "sd version": "Other", "unpackList": ["a"]}
        path.write_text(json.dumps({**added, **known}, indent=4), "ascii")


class CivitaiHelper:
    """The Civitai helpers of A1111: `.civitai.info` is opened in the system's encoding."""

    def read(self, weights: Path, encoding: str) -> Json:
        """Return a version as it reads it; it needs the model and the files in it."""
        info = read(weights.with_suffix(".civitai.info"), encoding)
        assert info["model"]["name"]
        assert isinstance(info["files"], list)
        return info

    def refresh(self, weights: Path) -> None:
        """Put its own block into the file, and the names of example pictures that it has fetched."""
        info = self.read(weights, "cp1252")
        info["extensions"] = {"sd_civitai_helper": {"version": "1.8.4", "last_update": 1}}
        info["model"]["note of the helper"] = "mine"
        info["images"] = [{**image, "local_file": "x.example.0.png"} for image in info["images"]]
        weights.with_suffix(".civitai.info").write_text(json.dumps(info, indent=4), "ascii")
