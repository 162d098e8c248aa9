"""Arguments: what stands in @FILEs and configuration files becomes words of the command or of a list line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..util.errors import OptionError
from ..util.shell import bare_path, split_words
from ..util.text import printable
from .lists import STANDARD_INPUT, parse_list, read_list

CONFIGURATION = "civitai-downloader.conf"
# How many words one command, one configuration or one line of a list may bring.
MOST_WORDS, MOST_OF_OTHERS, DEEPEST = 1_000_000, 10_000, 20
# A folder may be a stranger's: what stands in its configuration must not lead a token, or files, anywhere.
NOT_OF_A_FOLDER = ("site", "token", "cookies", "idm", "idm_wait", "idm_token_url")
# Where a later layer gives one of these, it replaces all of them.
TOGETHER = ({"inputs", "models", "users", "retry_failed"}, {"quiet", "verbose"})


class Arguments:
    """Reads @FILEs, each once. `files` are the names of all that were read, in their order."""

    def __init__(self, below: Path | None = None, *, regular: bool = False) -> None:
        """Nothing outside of the folder `below` is read, if one is given; with `regular` no pipes and devices are."""
        self.files: list[str] = []
        self._below, self._regular, self._kept = below, regular or below is not None, dict[str, list[str]]()
        self._words = 0
        self._most = MOST_OF_OTHERS if self._regular else MOST_WORDS

    def expand(self, words: Iterable[str], within: Sequence[str] = ()) -> list[str]:
        """Return the words with what stands in the files in place of each @FILE. Raises UsageError.

        `within` are the files that led here. Behind `--` a word is only what it says.
        """
        if not within:
            self._words = 0
        found: list[str] = []
        is_open = True
        for word in words:
            is_open = is_open and word != "--"
            found += self._read(word[1:], within) if is_open and is_file_word(word) else [word]
        self._spend(len(found))
        return found

    def _spend(self, words: int) -> None:
        """Count words; so that files which name each other over and over come to an end, a file counts as 100."""
        self._words += words
        if self._words > self._most:
            raise OptionError("The @files contain more than {count} words; remove some.", count=self._most)

    def read(self, path: Path) -> list[str]:
        """Return the words of a configuration file. Raises UsageError."""
        return self._read(str(path), ())

    def _read(self, name: str, within: Sequence[str]) -> list[str]:
        self._spend(100)
        place = self._place(name, within)
        if place in within or len(within) >= DEEPEST:
            raise OptionError("{file} includes itself through its @files; remove one of them.", file=printable(name))
        if place not in self._kept:
            self._check(place, name)
            self.files.append(place)
            self._kept[place] = _words_of(place)
        return self.expand(self._kept[place], [*within, place])

    def _place(self, name: str, within: Sequence[str]) -> str:
        """Return where a file is: in the current folder, else beside the file that names it."""
        if name == STANDARD_INPUT:
            return name
        beside = os.path.join(os.path.dirname(within[-1]), name) if within else name
        try:
            return os.path.realpath(beside if within and not os.path.exists(name) else name)
        except (ValueError, OSError):  # a NUL in the name, or no current folder
            return name

    def _check(self, place: str, name: str) -> None:
        if self._below is not None and leads_out(name, self._below):
            raise _outside(name)
        if self._regular and not os.path.isfile(place):
            raise OptionError("{file} can't be read; check the name after the @.", file=printable(name)[:200])


def is_file_word(word: str) -> bool:
    """Return whether a word stands for what is in a file."""
    return len(word) > 1 and word[0] == "@"


def _words_of(place: str) -> list[str]:
    words: list[str] = []
    for line in parse_list(read_list(place)):
        try:
            words += split_words(line.text, strict=True)
        except ValueError:
            raise OptionError(
                "{file}, line {line}: a quotation mark is missing; close the quote.", file=place, line=line.number
            ) from None
    return words


# --- List lines -----------------------------------------------------------------------------------


def file_words(words: Sequence[str]) -> list[int]:
    """Return which words of a list line stand for files.

    Where a line has other words, `@name` without a point or a slash may be somebody's name: it stands for a file only
    if there is one, and so does every `@name` in a title, which begins with a word that is no link.
    """
    found = []
    in_title = False
    for at, word in enumerate(words):
        is_path = len(words) == 1 or bool(re.search(r"[./\\]", word))
        if is_file_word(word) and (os.path.isfile(word[1:]) or (is_path and not in_title)):
            found.append(at)
        elif at and not re.search("^--?[A-Za-z]|://|^[0-9]+$", word):
            in_title = not any(each.startswith("-") for each in words[:at])
    return found


# --- Configuration files --------------------------------------------------------------------------


@dataclass(frozen=True)
class Configuration:
    """A configuration file that is there; one that is not the user's may not lead out of the folder `below`."""

    path: Path
    below: Path | None = None


def configurations() -> list[Configuration]:
    """Return the configuration files that count: the user's, then that of the current folder."""
    own, here = _own_configuration(), Path(CONFIGURATION)
    found = [Configuration(own)] if own is not None and own.is_file() else []
    is_there = here.is_file() or here.is_symlink()
    if is_there and not (found and here.is_file() and here.samefile(found[0].path)):
        found.append(Configuration(here, Path.cwd()))
    return found


def _own_configuration() -> Path | None:
    """Return where the user's configuration file is, or None if there is no home."""
    variable = "APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME"
    named = Path(os.environ.get(variable) or "")
    try:
        base = named if named.is_absolute() else None if os.name == "nt" else Path.home() / ".config"
    except RuntimeError:
        return None
    return base / CONFIGURATION.removesuffix(".conf") / CONFIGURATION if base is not None else None


def read_configurations(
    parse: Callable[[list[str]], dict[str, Any]], paths: Collection[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what each configuration file gives, as `parse` reads its words, and the names of all files that were read.

    `paths` are the options that name files and folders. Raises UsageError.
    """
    layers, files = list[dict[str, Any]](), list[str]()
    for configuration in configurations():
        reader = Arguments(configuration.below)
        try:
            layer = parse(reader.read(configuration.path))
            check_configuration(layer, paths, configuration)
        except OptionError as error:
            error.place = "" if CONFIGURATION in str(error) else str(configuration.path)
            raise
        layers.append(layer)
        files += reader.files
    return layers, files


def check_configuration(given: Mapping[str, Any], paths: Collection[str], configuration: Configuration) -> None:
    """Raise OptionError for what the configuration of a folder may not say; `paths` are the options that name files."""
    if configuration.below is None:
        return
    for name in NOT_OF_A_FOLDER:
        if name in given:
            option = "--" + name.replace("_", "-")
            raise OptionError(
                "{option} is not allowed in {file} of the current folder; put it into your own configuration file.",
                option=option, file=CONFIGURATION,
            )  # fmt: skip
    for name in (*paths, "inputs"):
        values = given.get(name, ())
        for value in values if isinstance(values, list) else [values] if values else []:
            is_link = name == "inputs" and "://" in str(value)
            if not is_link and any(
                leads_out(each, configuration.below) for each in (str(value), bare_path(str(value)))
            ):
                raise _outside(str(value))


def leads_out(name: str, folder: Path) -> bool:
    """Return whether a path leads out of a folder: an absolute one, one with `..`, or a link on the way."""
    flavours = (PurePosixPath(name), PureWindowsPath(name))
    if name.startswith("~") or any(each.drive or each.root or ".." in each.parts for each in flavours):
        return True
    try:
        root, place = os.path.realpath(folder), os.path.realpath(folder / name)
        return os.path.commonpath([root, place]) != root
    except (ValueError, OSError):
        return True


def _outside(name: str) -> OptionError:
    return OptionError(
        "{value!r} in {file} of the current folder leads out of that folder; put it into your own configuration file.",
        value=printable(name)[:200], file=CONFIGURATION,
    )  # fmt: skip


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all layers give together; a later one counts before an earlier one."""
    found: dict[str, Any] = {}
    for layer in layers:
        replaced = set().union(*(group for group in TOGETHER if group & set(layer)))
        excluded = [*found.get("exclude", ()), *layer.get("exclude", ())]  # what is once excluded stays so
        found = {name: value for name, value in found.items() if name not in replaced} | dict(layer)
        found |= {"exclude": excluded} if excluded else {}
    return found
