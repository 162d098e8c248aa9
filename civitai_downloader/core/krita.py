"""Krita: the trigger words of LoRAs on disk, filled in where `loras.json` of Krita AI Diffusion has none.

The plugin loads nothing if one entry has a key that it doesn't know, and then saves the bare list of its server over
the file. So nothing is changed but `metadata.lora_triggers`, and no entry is added.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..util.disks import NO_FILE, is_special
from ..util.errors import Failure, UsageError
from ..util.files import disk_errors, read_regular, size_of, write_file
from ..util.names import long_path, name_key, real_path, shown_path, split_name
from ..util.text import decode_text, printable, read_named
from .answers import number_at, object_at, objects_at, text_at, texts_at
from .choice import LORA_TYPES
from .chronicle import pages_of
from .library import Library
from .ours import logs_in
from .settings import Settings

log = logging.getLogger(__name__)

MOST_NAMED = 20
KEY = "lora_triggers"


@dataclass(frozen=True)
class Lora:
    """A LoRA on disk: its whole path in parts, its SHA256 ("" unknown), and its trigger words ("" none)."""

    parts: tuple[str, ...]
    sha256: str
    words: str


@dataclass(frozen=True)
class Filled:
    """What became of the entries: how many there are and had words, and the ids of the others.

    `unclear` are those for which several different files come into question, `wordless` those whose file has no words.
    """

    entries: int
    kept: int
    filled: tuple[str, ...]
    unmatched: tuple[str, ...]
    unclear: tuple[str, ...]
    wordless: tuple[str, ...]


def fill_krita(path: Path, folders: Iterable[Path], settings: Settings) -> None:
    """Fill in the trigger words that a `loras.json` lacks, by the LoRAs in libraries, and say what was done.

    A dry run only says it. Raises UsageError for a file that can't be read or is of another form, and Failure.
    """
    place = long_path(real_path(path))
    if is_special(place):
        raise UsageError(NO_FILE, path=shown_path(path))
    data = read_named(place)
    entries = read_entries(data, path)
    loras = [lora for folder in folders for lora in loras_in(folder)]
    filled = fill(entries, loras)
    if filled.filled and not settings.dry_run:
        _write(place, data, entries)
    _say(filled, path, settings)


# --- The file ---------------------------------------------------------------------------------------


def read_entries(data: bytes, path: Path) -> list[dict[str, Any]]:
    """Return the entries in the bytes of a `loras.json`. Raises UsageError unless it is one that the plugin loads."""
    text, shown = decode_text(data).removeprefix("\ufeff").strip("\0"), shown_path(path)
    if not text.strip():
        raise UsageError("{path} is empty; connect Krita to its server once, so that it writes it.", path=shown)
    lines = ("" if line.strip().startswith("//") else line for line in text.splitlines())
    try:
        found = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        sentence = "{path} is broken: it isn't valid JSON, so it stays as it is; restore it or let Krita write it anew."
        raise UsageError(sentence, path=shown) from None
    if not isinstance(found, list) or not all(map(_is_entry, found)):
        sentence = "{path} isn't a loras.json of Krita AI Diffusion, so it stays as it is; check its path."
        raise UsageError(sentence, path=shown)
    return found


def _is_entry(entry: Any) -> bool:
    """Return whether a value has what the plugin needs of an entry."""
    if not isinstance(entry, dict) or not isinstance(entry.get("metadata"), dict | None):
        return False
    source = entry.get("source")
    is_source = isinstance(source, int) and not isinstance(source, bool) and 0 <= source <= 3
    return is_source and all(isinstance(entry.get(key), str) for key in ("id", "name"))


def _write(path: Path, before: bytes, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write the entries as the plugin does, and before that, once, what was there as `<name>.bak`. Raises Failure."""
    backup = path.with_name(f"{path.name}.bak")
    with disk_errors(path):
        now = read_regular(path)
    if now != before:
        raise Failure("taken", "{path} has changed meanwhile; close Krita and run again.", path=shown_path(path))
    if size_of(backup) is None:
        write_file(backup, before)
    write_file(path, json.dumps(entries, indent=2).encode("ascii"))


# --- What is filled in ------------------------------------------------------------------------------


def fill(entries: Iterable[dict[str, Any]], loras: Collection[Lora]) -> Filled:
    """Give entries without trigger words those of the LoRAs that they mean; the entries are changed."""
    by_name: dict[str, list[Lora]] = {}
    for lora in loras:
        by_name.setdefault(lora.parts[-1], []).append(lora)
    ids: dict[str, list[str]] = {"all": [], "kept": [], "filled": [], "unmatched": [], "unclear": [], "wordless": []}
    for entry in entries:
        parts = tuple(map(name_key, re.split(r"[/\\]", entry["id"])))
        words, standing = _words_for(parts, by_name.get(parts[-1], ()))
        if text_at(entry.get("metadata"), KEY).strip():
            standing = "kept"
        elif words:
            entry["metadata"] = {**object_at(entry, "metadata"), KEY: words}
        ids[standing].append(entry["id"])
        ids["all"].append(entry["id"])
    others = {key: tuple(ids[key]) for key in ("filled", "unmatched", "unclear", "wordless")}
    return Filled(len(ids["all"]), len(ids["kept"]), **others)


def _words_for(parts: Sequence[str], loras: Sequence[Lora]) -> tuple[str, str]:
    """Return the words of the LoRA that a path means, and how it was found.

    Of several files with this name it is the one whose folders agree furthest; if more than one does, they must be
    copies of each other.
    """
    furthest = max((_common_tail(parts, each.parts) for each in loras), default=0)
    best = [each for each in loras if _common_tail(parts, each.parts) == furthest]
    if not best:
        return "", "unmatched"
    if len(best) > 1 and (not best[0].sha256 or len({each.sha256 for each in best}) > 1):
        return "", "unclear"
    words = next((each.words for each in best if each.words), "")
    return words, "filled" if words else "wordless"


def _common_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the end of two paths are the same."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count


# --- The LoRAs on disk ------------------------------------------------------------------------------


def loras_in(folder: Path) -> Iterator[Lora]:
    """Yield the LoRAs in a library, by its log, its pages and what stands beside the files. Raises UsageError."""
    if not any(map(size_of, logs_in(folder))):
        raise UsageError("No models are recorded in {folder}; run over that folder first.", folder=shown_path(folder))
    library = Library(folder)
    told = {
        number_at(each, "id"): joined(texts_at(each, "trainedWords")) if _is_lora(page) else None
        for _, page in pages_of(library)
        for each in objects_at(page, "modelVersions")
    }
    for path, (version, digest) in _files_in(library).items():
        words = told.get(version, "")
        if words is not None:
            parts = (PurePath(folder.absolute()) / path).parts
            yield Lora(tuple(map(name_key, parts)), digest, words or _words_beside(library, path))
    library.close()


def _is_lora(page: Mapping[str, Any]) -> bool:
    """Return whether a model is a LoRA of any kind."""
    return text_at(page, "type").lower() in LORA_TYPES


def _files_in(library: Library) -> dict[str, tuple[int, str]]:
    """Return the model files that are there, with the ids of their versions (0 unknown) and their SHA256."""
    found: dict[str, tuple[int, str]] = {}
    for (_, name), records in library.records("model"):
        version = number_at({"id": name.partition("/")[0]}, "id")
        for each in records:
            if each.status == "success" and library.size(each.path) == each.size:
                found[each.path] = (version, each.sha256)
    for local in library.all_found():
        if local.status not in ("moved", "broken") and library.size(local.path) is not None:
            found[local.path] = (local.version, local.sha256)
    return found


def _words_beside(library: Library, path: str) -> str:
    """Return the trigger words that a sidecar of a file tells, "" if none does."""
    stem = split_name(path)[0]
    for ending in (".metadata.json", ".civitai.info", ".json"):
        told: Any = {}
        with suppress(OSError, ValueError, RecursionError, Failure):
            told = json.loads(decode_text(read_regular(library.at(f"{stem}{ending}"))))
        listed = texts_at(object_at(told, "civitai"), "trainedWords") or texts_at(told, "trainedWords")
        if words := joined(listed or [text_at(told, "activation text")]):
            return words
    return ""


def joined(words: Iterable[str]) -> str:
    """Return trigger words as the plugin puts them behind a prompt: each once, with commas between them."""
    cleaned = (re.sub(r"\s+", " ", printable(word)).strip(" ,") for word in words)
    return ", ".join(dict.fromkeys(word for word in cleaned if word))


# --- What is said -----------------------------------------------------------------------------------


def _say(filled: Filled, path: Path, settings: Settings) -> None:
    counts = {"count": len(filled.filled), "entries": filled.entries, "kept": filled.kept}
    if settings.dry_run:
        log.info("%s: %d of %d entries would get trigger words.", shown_path(path), counts["count"], counts["entries"])
    else:
        log.info(
            "%s: %d of %d entries got trigger words, %d had some.", shown_path(path), counts["count"],
            counts["entries"], counts["kept"],
        )  # fmt: skip
    for ids, template in (
        (filled.unmatched, "No file on disk has the name of %s."),
        (filled.unclear, "Several different files could be %s."),
        (filled.wordless, "The file on disk has no trigger words: %s."),
    ):
        for each in ids[:MOST_NAMED]:
            log.info(template, printable(each))
        if len(ids) > MOST_NAMED:
            log.info("%d further entries of this kind.", len(ids) - MOST_NAMED)
    if filled.filled and not settings.dry_run:
        log.info("If Krita was open, close it and run again, as it will write its own list over this one.")
