"""On disk: which words and lines name a folder or a model file, and which library that belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..util.errors import Sentence
from ..util.shell import bare_path, split_words
from .folders import is_model
from .links import read_word
from .lists import BULLETS, Reading, read_line, written
from .ours import logs_in
from .settings import Settings
from .targets import NOTHING, Target

MODEL_KINDS = ("model", "version", "id", "hash")
_OPTIONS = re.compile(r"\s+(?=--?[a-z])")


def local_target(word: str, base: Path) -> Target | None:
    """Return the folder or model file that a word names, seen from the folder `base`, or None.

    Quotes around it are no part of it, nor is the one that Windows leaves at the end of `"D:\\models\\"`.
    """
    for path in (_path_of(each, base) for each in (word, bare_path(word))):
        if path and (os.path.isdir(path) or (is_model(path) and os.path.isfile(path))):
            return Target("local", name=path)
    return None


def _path_of(word: str, base: Path) -> str:
    """Return the whole path that a word stands for, "" if it is none."""
    if not word.strip() or "\0" in word or "://" in word:
        return ""
    return os.path.abspath(base / os.path.expanduser(word.strip()))


def read_local(text: str, base: Path, site: str) -> Reading | None:
    """Return what a line of a list says of the disk, or None if it is a line like any other.

    `FILE = LINK` and `FILE = none` say what a model file is; else the line names a folder or a model file, with options
    behind it. Paths are seen from the folder `base` of the list. A link or an id is one, whatever lies there.
    """
    before, sign, after = text.rpartition(" = ")
    file = _on_line(before, base) if sign else None
    if file is None and is_model(bare_path(before)) and after.strip().casefold() == "none":
        return Reading(refused=(Sentence("There is no file {file}; check its path.", file=bare_path(before)),))
    if file is not None and os.path.isfile(file.name):
        return _read_match(file, after.strip(), site)
    bare = BULLETS.sub("", text).rstrip(" ,;")
    plain, *options = _OPTIONS.split(bare, maxsplit=1)
    for word, behind in ((text, ""), (bare, ""), (plain, "".join(options))):
        found = None if isinstance(read_word(word, site), Target) else _on_line(word, base)
        if found is not None:
            return Reading(((found.name, found),), tuple(split_words(behind)))
    return None


def _on_line(text: str, base: Path) -> Target | None:
    """Return the folder or model file that the words of a line name, in shell quoting if need be, or None."""
    words = split_words(text)
    return local_target(text, base) or (local_target(words[0], base) if len(words) == 1 else None)


def _read_match(file: Target, link: str, site: str) -> Reading:
    """Return what a model file is by hand."""
    if link.casefold() == "none":
        return Reading((("none", Target("local", name=file.name, match=NOTHING)),))
    reading = read_line(link, site)
    if len(reading.found) == 1 and reading.found[0][1].kind in MODEL_KINDS:
        word, match = reading.found[0]
        told = Target("local", name=file.name, match=match)
        return Reading(((word, told),), reading.options)
    wrong = Sentence("Behind = stands no link to a model or version; write FILE = LINK, or FILE = none.")
    return Reading(refused=reading.refused or (wrong,))


def line_of(word: str, target: Target, options: Sequence[str]) -> str:
    """Return what a line asked for, spelled as a line again; paths are whole, so that it can stand in any list."""
    if target.match is None:
        return written(word, options)
    return f"{written(target.name)} = {written(word, options)}"


def is_looked_through(target: Target) -> bool:
    """Return whether a target is a folder or model file of which nobody says by hand what it is."""
    return target.kind == "local" and target.match is None


def in_libraries(settings: Settings, words: Iterable[str]) -> list[Settings]:
    """Return the settings for each library that the words of a command name, else for the output folder alone."""
    named = [Path(each.name) for each in (local_target(word, Path()) for word in words) if each]
    roots = dict.fromkeys(library_of(place, named) for place in named)
    return [replace(settings, output=root) for root in roots] or [settings]


def library_of(path: Path, given: Collection[Path]) -> Path:
    """Return the output folder that a folder or file belongs to.

    It is the nearest one upwards that has a state log, else the outermost of the `given` folders around it, else the
    folder itself, or that of the file.
    """
    start = path if path.is_dir() else path.parent
    upwards = (start, *start.parents)
    kept = next((folder for folder in upwards if any(logs_in(folder))), None)
    around = [folder for folder in upwards if folder in given]
    return kept or (around[-1] if around else start)
