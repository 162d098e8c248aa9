"""Hints: what stands beside a model file about it, written by whichever program, so that it has a name unhashed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..util.files import is_link, open_to_read
from ..util.jsontext import parse_json
from ..util.names import name_key
from .answers import NOTHING, File, list_at, number_at, object_at, objects_at, read_file, text_at
from .links import read_word
from .targets import Target

MOST = 8 << 20  # bytes; a longer sidecar is not read
_LAST_ID = (1 << 31) - 1
_KIB = 1024  # the site publishes sizes in KiB, which some programs round
_SECONDS = 2  # how far two disks may disagree about the time of a file


@dataclass(frozen=True)
class Hint:
    """What one sidecar says about a model file. Nothing in it is proven: the file may have been edited or replaced.

    `sha256` (64 digits) and `autov3` (12) are in lower case, "" if not told; ids and `size`, in bytes, are 0 then.
    `fits` tells whether the size is that of the file: exactly where a program measured it, which must also have been
    after the file was last changed, and within 1 KiB where the site told it. `source` is the name of the sidecar, or
    of the file itself if that bears ids.
    """

    sha256: str = ""
    autov3: str = ""
    model: int = 0
    version: int = 0
    file: int = 0
    size: int = 0
    fits: bool = False
    source: str = ""


@dataclass(frozen=True)
class _Weights:
    """The model file on disk: its name, size in bytes, time in nanoseconds, and all names in its folder."""

    name: str
    size: int
    mtime: int
    names: Collection[str]

    def fits(self, told: int) -> bool:
        """Return whether a size of the site is that of the file."""
        return told > 0 and abs(told - self.size) <= _KIB

    def is_not(self, name: str) -> bool:
        """Return whether this is the name of another file in the folder that has the same sidecars."""
        return name != self.name and Path(name).stem == Path(self.name).stem and name in self.names


def hints_beside(path: Path, size: int, mtime: int, names: Collection[str]) -> list[Hint]:
    """Return what the sidecars of a model file say about it, best first: those that fit, then those that tell most.

    `size` is in bytes, `mtime` in nanoseconds. `names` are the names in its folder, best as a set. Sidecars that can't
    be read or tell nothing are left out, and so are links and what is no regular file. Never raises.
    """
    weights = _Weights(path.name, size, mtime, names)
    hints = [replace(_read_hint(path.with_name(name), read, weights), source=name) for name, read in _sidecars(weights)]
    hints += _of_name(path, weights)
    telling = (hint for hint in hints if hint != Hint(source=hint.source))
    return sorted(telling, key=lambda hint: (not hint.fits, not hint.sha256, not hint.version))


# --- Which files are read ----------------------------------------------------------------------------

_Reader = Callable[[Mapping[str, Any], _Weights], Hint]


def _sidecars(weights: _Weights) -> Iterator[tuple[str, _Reader]]:
    """Yield the names of the sidecars that are there, with what reads them."""
    stem = Path(weights.name).stem
    found = [(stem + ending, read) for ending, read in _BY_STEM.items()]
    found += [(weights.name + ending, read) for ending, read in _BY_NAME.items()]
    return ((name, read) for name, read in found if name in weights.names)


def _read_hint(path: Path, read: _Reader, weights: _Weights) -> Hint:
    return read(_read_object(path), weights)


def _read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a small regular file, in UTF-8 or UTF-16, or {}."""
    with suppress(OSError, ValueError, RecursionError, MemoryError):
        if is_link(path):  # Windows can't refuse one while it is opened
            return {}
        with open_to_read(path) as file:
            data = file.read(MOST + 1)
        found = parse_json(data)[0] if len(data) <= MOST else None
        return found if isinstance(found, dict) else {}
    return {}


# --- What is told in several of them -----------------------------------------------------------------


def _id_at(source: Any, key: str) -> int:
    return _in_range(number_at(source, key))


def _in_range(number: int) -> int:
    return number if 0 < number <= _LAST_ID else 0


def _hashes(sha256: str, autov3: str = "") -> Hint:
    """Return a hint of these hashes alone, without what is none and without those of nothing at all."""
    told = read_file({"hashes": {"SHA256": sha256.strip(), "AutoV3": autov3.strip().lower().removeprefix("0x")}})
    return Hint(sha256="" if told.sha256.startswith(NOTHING) else told.sha256, autov3=told.autov3)


def _of_file(file: File) -> Hint:
    """Return what a file of the site's answer says of itself."""
    hashes = _hashes(file.sha256, file.autov3)
    return replace(hashes, file=_in_range(file.id), size=file.size)


def _of_version(found: Mapping[str, Any], weights: _Weights, sha256: str = "") -> Hint:
    """Return the hint of a version as the site's answers have it; one that is a mere skeleton tells nothing."""
    if found.get("skeleton_file"):
        return Hint()
    model = _id_at(found, "modelId") or _id_at(object_at(found, "model"), "id")
    is_one = model or objects_at(found, "files")
    return _of_versions(model, [found], weights, sha256) if is_one else Hint()


def _of_model(found: Mapping[str, Any], weights: _Weights, sha256: str = "", version: int = 0) -> Hint:
    """Return the hint of a model as the site's answers have it, in which only one version may be meant."""
    versions = objects_at(found, "modelVersions")
    meant = [each for each in versions if number_at(each, "id") == version] if version else versions
    return _of_versions(_id_at(found, "id"), meant, weights, sha256)


def _of_versions(model: int, versions: Sequence[Mapping[str, Any]], weights: _Weights, sha256: str) -> Hint:
    """Return the hint of the only file that this can be, or of the only version."""
    pairs = [(_id_at(each, "id"), read_file(file)) for each in versions for file in objects_at(each, "files")]
    own = _hashes(sha256).sha256
    likely = [pair for pair in pairs if own and pair[1].sha256 == own] or _likely(pairs, weights)
    ids = {version for version, _ in likely} or {_id_at(each, "id") for each in versions}
    told = _of_file(likely[0][1]) if len(likely) == 1 else Hint(size=likely[0][1].size if likely else 0)
    if own and told.sha256 != own:  # the program knows the file by a hash that the site does not have there
        told = Hint(sha256=own, size=told.size)
    return replace(told, model=model, version=ids.pop() if len(ids) == 1 else 0, fits=weights.fits(told.size))


def _likely(pairs: Iterable[tuple[int, File]], weights: _Weights) -> list[tuple[int, File]]:
    """Return the files that are most likely this one: by name and size, by size, by name, or because it is alone."""
    every = [pair for pair in pairs if not weights.is_not(pair[1].name)]
    fitting = [pair for pair in every if weights.fits(pair[1].size)]
    named = [pair for pair in every if name_key(pair[1].name) == name_key(weights.name)]
    both = [pair for pair in named if weights.fits(pair[1].size)]
    return both or fitting or named or (every if len(every) == 1 else [])


# --- What each program writes ------------------------------------------------------------------------


def _of_info(found: Mapping[str, Any], weights: _Weights) -> Hint:
    """`.civitai.info` of the Civitai helpers: a version."""
    return _of_version(found, weights)


def _of_lora_manager(found: Mapping[str, Any], weights: _Weights) -> Hint:
    """`.metadata.json` of LoRA Manager, and ours.

    Its `modified` is when the program took the file in, and ours when the file was changed: neither is earlier than
    the last change. `file_path` may name another file of this stem.
    """
    told = _of_version(object_at(found, "civitai"), weights, text_at(found, "sha256"))
    own = _hashes(text_at(found, "sha256"), text_at(found, "autov3"))
    other = re.split(r"[/\\]", text_at(found, "file_path"))[-1]
    size, modified = number_at(found, "size"), number_at(found, "modified")
    is_unchanged = weights.size == size and weights.mtime // 10**9 <= modified + _SECONDS
    fits = is_unchanged and not weights.is_not(other)
    if not told.fits and told.sha256 != own.sha256:  # another file of the version, or what it was before an edit
        told = Hint(model=told.model, version=told.version)
    hashes = replace(told, sha256=own.sha256 or told.sha256, autov3=own.autov3 or told.autov3)
    return replace(hashes, size=max(0, size), fits=fits)


def _of_stability_matrix(found: Mapping[str, Any], _: _Weights) -> Hint:
    """`.cm-info.json` of StabilityMatrix, whose ids are Civitai's unless it had the file from elsewhere."""
    own = _hashes(text_at(object_at(found, "Hashes"), "SHA256"))
    if number_at(found, "Source") not in (0, 2):
        return own
    model, version, file = (_id_at(found, key) for key in ("ModelId", "VersionId", "RemoteFileId"))
    return replace(own, model=model, version=version, file=file)


def _of_json(found: Mapping[str, Any], weights: _Weights) -> Hint:
    """`.json`: keys of browser-plus, a model (SD.Next), a version (CivitScraper, go-civitai-downloader), or both."""
    sha256, version = text_at(found, "sha256"), _id_at(found, "modelVersionId")
    if list_at(found, "modelVersions"):
        told = _of_model(found, weights, sha256, version)
    else:
        told = _of_version(found, weights, sha256)
    own, model = _hashes(sha256).sha256, _id_at(found, "modelId")
    return replace(told, sha256=own or told.sha256, model=model or told.model, version=version or told.version)


def _of_swarm(found: Mapping[str, Any], _: _Weights) -> Hint:
    """`.swarm.json` of SwarmUI: a hash of the weights, and perhaps the model's link at the start of its words."""
    own = _hashes("", text_at(found, "modelspec.hash_sha256") or text_at(found, "hash_sha256"))
    words = text_at(found, "modelspec.description") or text_at(found, "description")
    link = re.search(r"https?://[^\s\"'<>]+", words[:_KIB])
    target = read_word(link[0]) if link else None
    if not isinstance(target, Target) or target.kind not in ("model", "version"):
        return own
    return replace(own, model=_in_range(target.id), version=_in_range(target.version))


def _of_rgthree(found: Mapping[str, Any], weights: _Weights) -> Hint:
    """`.rgthree-info.json` of rgthree-comfy: a hash that it computed, and the site's answer to it."""
    sha256 = text_at(found, "sha256")
    told = _of_version(object_at(object_at(found, "raw"), "civitai"), weights, sha256)
    return replace(told, sha256=_hashes(sha256).sha256 or told.sha256)


def _of_gallery_dl(found: Mapping[str, Any], weights: _Weights) -> Hint:
    """`<file>.<ext>.json` of gallery-dl, in which hashes are an object or, from the other interface, a list."""
    if text_at(found, "category") != "civitai":
        return Hint()
    file = object_at(found, "file")
    listed = {text_at(each, "type"): text_at(each, "hash") for each in objects_at(file, "hashes")}
    told = _of_file(read_file({**file, "hashes": listed or object_at(file, "hashes")}))
    model, version = (_id_at(object_at(found, key), "id") for key in ("model", "version"))
    return replace(told, model=model, version=version, fits=weights.fits(told.size))


def _of_name(path: Path, weights: _Weights) -> list[Hint]:
    """Return the ids that civitdl puts into the name of a file, with what its folder beside it knows of them."""
    ids = re.search(r"-mid_([0-9]{1,10})-vid_([0-9]{1,10})$", path.stem)
    if not ids:
        return []
    model, version = (_id_at({"id": text}, "id") for text in ids.groups())
    folder = f"extra_data-vid_{ids[2]}"
    name = f"{folder}/model_dict{ids[0]}.json"
    is_there = folder in weights.names and not is_link(path.with_name(folder))
    found = _read_object(path.parent / name) if is_there else {}
    told = _of_model(found, weights, version=version) if _id_at(found, "id") == model else Hint()
    return [replace(told, model=model, version=version, source=name if told != Hint() else path.name)]


_BY_STEM: dict[str, _Reader] = {
    ".metadata.json": _of_lora_manager,
    ".civitai.info": _of_info,
    ".cm-info.json": _of_stability_matrix,
    ".json": _of_json,
    ".api_info.json": _of_model,
    ".swarm.json": _of_swarm,
}
_BY_NAME: dict[str, _Reader] = {".rgthree-info.json": _of_rgthree, ".json": _of_gallery_dl}
