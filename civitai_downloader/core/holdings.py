"""Holdings: which versions of which models a library holds, by its state log and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .answers import is_ahead, number_at, object_at, objects_at, read_version, text_at
from .archive import GONE
from .chronicle import pages_of
from .library import Library
from .newer import Edition, edition_of

_BY_HASH = ("sha256", "autov3")  # what the site has found so was published with its model


@dataclass
class Holding:
    """What is on disk of a model: `editions` by the ids of its versions, and where their files lie (`paths`).

    `folder` is that of its pages ("" none), `named` has the versions that these name, and `since` is the day on which
    the site no longer had it ("" it has).
    """

    name: str = ""
    folder: str = ""
    since: str = ""
    named: frozenset[int] = frozenset()
    editions: dict[int, Edition] = field(default_factory=dict)
    paths: dict[int, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Holdings:
    """What is in a library: its models by id, the SHA256 of all files, and versions of which nobody knows the model.

    `waits` is when early access to versions ends that could not be had yet.
    """

    models: dict[int, Holding]
    hashes: frozenset[str]
    strays: Mapping[int, list[str]]
    waits: Mapping[int, str]


def holdings_of(library: Library) -> Holdings:
    """Return what is in a library. Nothing is asked, and no model file is opened."""
    paths, hashes, waits = _fetched(library)
    owners: dict[int, int] = {}
    models: dict[int, Holding] = {}
    known: dict[int, Edition] = {}
    for found in library.all_found():
        if found.is_identified and library.size(found.path) is not None:
            name, _, called = found.name.partition(f" [{found.model}]")
            hashes |= {found.sha256} - {""}
            if found.model:
                models.setdefault(found.model, Holding(name))
            if found.version:
                owners |= {found.version: found.model} if found.model else {}
                paths.setdefault(found.version, []).append(found.path)
                known[found.version] = Edition(found.version, called.strip(), apart=found.how not in _BY_HASH)
    for folder, page in pages_of(library):
        model_id, versions = number_at(page, "id"), objects_at(page, "modelVersions")
        named = frozenset(number_at(each, "id") for each in versions)
        held = named & paths.keys()
        known |= {number_at(each, "id"): _known(each) for each in versions if number_at(each, "id") in held}
        owners |= dict.fromkeys(held - owners.keys(), model_id)
        if held or model_id in models:
            told: dict[str, Any] = {
                "name": text_at(page, "name").strip(),
                "folder": folder,
                "since": text_at(page, GONE),
                "named": named,
            }
            models[model_id] = replace(models.get(model_id, Holding()), **told)
    for version, model_id in owners.items():
        holding = models.setdefault(model_id, Holding())
        holding.editions[version], holding.paths[version] = known.get(version, Edition(version)), paths[version]
    strays = {version: there for version, there in paths.items() if version not in owners}
    return Holdings(models, frozenset(hashes), strays, waits)


def _known(version: Mapping[str, Any]) -> Edition:
    """Return what a page tells of a version; its pictures, which are most of it, are not read."""
    is_apart, plain = bool(object_at(version, "model")), {key: version[key] for key in version if key != "images"}
    return replace(edition_of(read_version(plain)), since=text_at(version, GONE), apart=is_apart)


def _fetched(library: Library) -> tuple[dict[int, list[str]], set[str], dict[int, str]]:
    """Return where the files of versions lie that were fetched or are on their way, their hashes, and what waits."""
    paths: dict[int, list[str]] = {}
    hashes: set[str] = set()
    waits: dict[int, str] = {}
    for (_, name), records in library.records("model"):
        version = number_at({"id": name.partition("/")[0]}, "id")
        for record in records if version else ():
            is_there = record.status == "success" and library.size(record.path) == record.size
            if is_there or record.status == "queued":
                paths.setdefault(version, []).append(record.path)
                hashes |= {record.sha256, record.published} - {""}
            if is_ahead(record.available_at):
                waits[version] = record.available_at
    return paths, hashes, waits
