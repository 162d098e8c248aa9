"""The choice: which versions, files and resources are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from ..util.errors import Sentence
from ..util.text import printable
from ..util.values import nearest, plain
from .answers import File, Model, Version, list_at, number_at, object_at, objects_at, text_at, unix_time, whole_number
from .data import read_data
from .settings import Settings
from .targets import Target

NO_WEIGHTS = frozenset(("Training Data", "Config", "Archive", "Workflow"))
LORA_TYPES = frozenset(("lora", "locon", "dora", "lycoris"))


@cache
def _forms() -> Any:
    """Return `forms.json`: what endings and the site's names of formats mean."""
    return json.loads(read_data("forms.json"))


def form_of(name: str, told: str = "") -> str:
    """Return `safetensors`, `pickle`, `gguf`, `archive`, `text` or "".

    The ending decides, however it is spelled. Where it tells nothing, `told` does, which is the site's
    `metadata.format`.
    """
    plain = name.rstrip(". ").lower()
    found = (form for form, endings in _forms()["endings"].items() if plain.endswith(tuple(endings)))
    return next(found, "") or str(_forms()["formats"].get(told.lower(), ""))


def is_called_safetensors(name: str, told: str = "") -> bool:
    """Return whether the ending or the site's `metadata.format` says that a file has a safetensors header."""
    return "safetensors" in (form_of(name), form_of("", told))


def form_of_file(file: File) -> str:
    """Return the form of a file, as `form_of` does."""
    return form_of(file.name, text_at(file.traits, "format"))


def is_weights(file: File) -> bool:
    """Return whether a file is loaded as a model, unlike a config, an archive or training data."""
    return file.type not in NO_WEIGHTS and form_of_file(file) not in ("archive", "text")


def has_sidecars(file: File, version: Version) -> bool:
    """Return whether other programs want to read about a file.

    They do of weights, and of an archive (as Diffusers models are) that is the only file of its version.
    """
    is_lone = file.type == "Model" and form_of_file(file) == "archive" and len(version.files) == 1
    return is_lone or is_weights(file)


def choose_versions(model: Model, target: Target, settings: Settings) -> list[Version]:
    """Return the versions wanted: the one named, or those of the wanted base models and days, or the newest of these.

    What is excluded is never wanted.
    """
    there = [version for version in model.versions if not _is_excluded(version, settings)]
    if target.version:
        return [version for version in there if version.id == target.version]
    wanted = settings.base_models
    versions = [each for each in there if not wanted or is_named(each.base_model, wanted)]
    versions = [each for each in versions if settings.wants_day(each.published)]
    if settings.latest and versions:
        return [max(versions, key=lambda version: (unix_time(version.published), version.id))]
    return versions


def _is_excluded(version: Version, settings: Settings) -> bool:
    """Return whether a version is excluded by its id, or by the hash of one of its files."""
    if not settings.excluded:
        return False
    hashes = (object_at(file.raw, "hashes").values() for file in version.files)
    asked = {("hash", str(digest).lower()) for found in hashes for digest in found} | {("version", str(version.id))}
    return bool(asked & settings.excluded)


def is_named(name: str, wanted: Iterable[str]) -> bool:
    """Return whether a type or base model is among those wanted, however they are spelled: `sdxl1.0` is `SDXL 1.0`."""
    return plain(name) in map(plain, wanted)


def base_models_told(model: Model, settings: Settings) -> Sentence:
    """Return why no version of a model is wanted: which base models they are for, and the nearest of those."""
    names = list(dict.fromkeys(each.base_model or "Other" for each in model.versions))
    near = next(filter(None, (nearest(each, names) for each in settings.base_models)), "")
    facts = {"wanted": printable(", ".join(settings.base_models)), "names": printable(", ".join(names))}
    if near:
        template = "skipped: no version for {wanted}, only for {names}; did you mean {near}?"
        return Sentence(template, **facts, near=printable(near))
    return Sentence("skipped: no version for {wanted}, only for {names}", **facts)


def choose_files(version: Version, target: Target, settings: Settings) -> list[File]:
    """Return the files wanted: the one that a download link names, the primary weights, or all."""
    files = [file for file in version.files if ("file", str(file.id)) not in settings.excluded]
    if target.file:
        return [file for file in files if file.id == target.file]
    if target.traits:
        asked = {(key, value.casefold()) for key, value in target.traits}
        return [file for file in files if asked <= _traits_of(file)][:1]
    return best_file(files) if settings.primary else files


def _traits_of(file: File) -> set[tuple[str, str]]:
    """Return what a download link may ask of a file."""
    return {(key, str(value).casefold()) for key, value in {**file.traits, "type": file.type}.items()}


def best_file(files: Iterable[File]) -> list[File]:
    """Return the primary file if it is weights, else the best weights, else the primary file; never training data.

    Among weights the site's own order counts: safetensors, pruned, half precision.
    """

    def merit(file: File) -> tuple[float, ...]:
        """Return what makes a file the better choice, the most important first."""
        whole = file.type in ("Model", "Pruned Model", "Diffusion Model", "UNet")
        safe = is_called_safetensors(file.name, text_at(file.traits, "format"))
        small = (file.traits.get("size") == "pruned", file.traits.get("fp") == "fp16")
        return (is_weights(file), file.primary, whole, safe, *small, -file.id)

    return sorted((file for file in files if file.type != "Training Data"), key=merit)[-1:]


def versions_used(facts: Mapping[str, Any], *, checkpoints: bool) -> set[int]:
    """Return the model versions that a picture was made with, by its `.txt`.

    Where it names the type of a resource, only LoRAs (and checkpoints, if wanted) count.
    """
    used = objects_at(facts, "resources")
    types = {number_at(each, "modelVersionId"): text_at(each, "modelType") or text_at(each, "type") for each in used}
    wanted = {*LORA_TYPES, "", *(["checkpoint"] if checkpoints else [])}
    shown = {whole_number(each) for each in list_at(facts, "model_versions")}
    return {each for each in shown | set(types) if each > 0 and types.get(each, "").lower() in wanted}
