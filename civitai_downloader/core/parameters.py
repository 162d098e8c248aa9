"""Parameters: what stands behind the id in a link. What narrows a link is read whole or refused, never left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from html import unescape
from urllib.parse import unquote

from ..util.errors import UsageError
from ..util.text import printable
from .data import read_data
from .targets import MAX_ID

TRAITS = ("type", "format", "size", "fp")
_SPELLED = {"modelversionid": "modelVersionId", "fileid": "fileId"}
_HARMLESS = frozenset(re.sub("[^a-z0-9]", "", name.lower()) for name in json.loads(read_data("links.json"))["harmless"])
_PLACE = "#"
_NUMBERED = re.compile(r"([A-Za-z_-]{3,40})[\"']?[=:][\"' ]{0,2}[0-9]{3}")
_VERSION_WORD = re.compile(r"[a-z0-9_]{0,20}(?:vers|ersi|rsio|sion|odel)[a-z0-9_]{3,20}", re.I)
_VALUE_ENDS = frozenset(" \t\r\n\v\f\0,;:!?*|/\\()[]{}<>\"'`&#")
# Punctuation that is typed in full width, as in Chinese and Japanese text; letters and digits are left alone.
_FULL_WIDTH = {0xFF00 + code - 0x20: code for code in range(0x21, 0x7F) if not chr(code).isalnum()}
_ZERO_WIDTH = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF])


@dataclass(frozen=True)
class Parameters:
    """What narrows a link: a version, a file, and traits of a file as the download interface knows them."""

    version: int = 0
    file: int = 0
    traits: tuple[tuple[str, str], ...] = ()


def unescaped(text: str) -> str:
    r"""Return the text without the escapes of JSON (`\/`, `\u0026`) and HTML (`&amp;`), and without invisible marks."""
    text = re.sub(r"\\u00([2-7][0-9a-fA-F])", lambda found: chr(int(found[1], 16)), text.replace("\\/", "/"))
    for _ in range(3):  # what was escaped twice
        text = re.sub(r"&(?:#[0-9]{1,5}|#[xX][0-9a-fA-F]{1,4}|[a-zA-Z]{2,8});", lambda found: unescape(found[0]), text)
    return text.translate(_ZERO_WIDTH)


def decoded(text: str) -> str:
    """Return the text without percent codes, even doubled ones, and with plain punctuation for that of full width."""
    for _ in range(3):
        text = unquote(text)
    return text.translate(_FULL_WIDTH).translate(_ZERO_WIDTH)


def ends_here(rest: str) -> bool:
    """Return whether a value ends before this text, which follows it: punctuation does end it, a letter does not.

    A letter beyond ASCII ends it as well: no id goes on with one, and no blank stands between Chinese words.
    """
    first = rest[:1]
    only_punctuation = not re.search(r"[^\W_]", rest)
    return only_punctuation or first in _VALUE_ENDS or not (first.isascii() or first.isdigit())


def read_id(text: str) -> tuple[int, str] | None:
    """Return the id at the start of a text and what follows it, or None if no whole id is there."""
    found = re.match(r"\s*0*([0-9]{1,10})(.*)", text, re.S)
    if not found or not 0 < int(found[1]) <= MAX_ID or not ends_here(found[2]):
        return None
    return int(found[1]), found[2]


def pieces(tail: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters in what follows the path of a link, by their names in plain lower-case letters.

    Of the path itself only what has a `=` counts; behind a lost `?` it may hold a parameter. Of what follows a `#` a
    word without `=` is a place on the page.
    """
    path = re.split(r"[?&#]", tail, maxsplit=1)[0]
    in_path = (f"/{part}" for part in re.split(r"[/,;|\s]", path) if "=" in part)
    for piece in (*in_path, *filter(None, re.split(r"(?=[?&#;])", tail[len(path) :]))):
        name, sign, value = piece[1:].partition("=")
        plain = re.sub("[^a-z0-9]", "", name.lower())
        if plain or value:
            yield plain.removeprefix("amp") or plain, value if sign else _PLACE if piece[0] == "#" else ""


def read_parameters(tail: str, wanted: tuple[str, ...], enough: str) -> Parameters:
    """Return what the text behind an id narrows. `wanted` are the names that count for the kind of link.

    Raises UsageError where one is there and can't be read, where several contradict each other, and where something
    unknown may be one that was damaged. Where `enough` was read, an unknown word or number is no such doubt.
    """
    values: dict[str, list[str]] = {}
    doubtful = ""
    for name, value in pieces(tail):
        if name in wanted:
            values.setdefault(name, []).append(value)
        elif name not in _HARMLESS:
            if _resembles(name, value, wanted):
                raise _unreadable(name)
            if not value or re.search("[0-9]", name + value):
                doubtful = doubtful or name or value
    read = {name: _read_all(name, given) for name, given in values.items()}
    plain = re.sub("[^a-z0-9]", "", tail.lower())
    is_lost = enough == "modelversionid" and enough not in read and names_version(tail)
    if is_lost or plain.count("modelversionid") > len(values.get("modelversionid", ())):
        raise _unreadable("modelversionid")
    if doubtful and enough not in read:
        shown = printable(doubtful)[:40]
        raise UsageError("The link has the unknown parameter {name!r}; remove it from the link.", name=shown)
    traits = tuple((name, read[name]) for name in TRAITS if name in read)
    numbers = {name: int(read.get(name, "0")) for name in _SPELLED}
    return Parameters(numbers["modelversionid"], numbers["fileid"], traits)


@lru_cache
def _resembles(name: str, value: str, wanted: tuple[str, ...]) -> bool:
    """Return whether a name may be a wanted one that was cut or mistyped."""
    if "versionid" in name or any(each in name for each in wanted if len(each) > 4):
        return True
    alike = (SequenceMatcher(None, name[:40], each, autojunk=False).ratio() >= 0.6 for each in wanted)
    return any(alike) or (value in ("", _PLACE) and any(each.startswith(name or "?") for each in wanted))


def names_version(text: str) -> bool:
    """Return whether a text holds the word `modelVersionId`, or what damage has left of it."""
    numbered = (_is_like_version(found[1], 0.6) for found in _NUMBERED.finditer(text))
    return any(numbered) or any(_is_like_version(found[0], 0.72) for found in _VERSION_WORD.finditer(text))


def _is_like_version(name: str, least: float) -> bool:
    plain = re.sub("[^a-z]", "", name.lower())
    return "versionid" in plain or SequenceMatcher(None, plain[:40], "modelversionid", autojunk=False).ratio() >= least


def _read_all(name: str, values: Sequence[str]) -> str:
    """Return the one value that was given for a name, perhaps several times. Raises UsageError."""
    read = {_read_number(value) if name in _SPELLED else _read_trait(value) for value in values}
    if "" in read or len(read) > 1:
        raise _unreadable(name)
    return read.pop()


def _read_number(value: str) -> str:
    found = read_id(value)
    return str(found[0]) if found else ""


def _read_trait(value: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9 ._-]*)(.*)", value.replace("+", " "), re.S)
    return found[1].rstrip(" ._-") if found and ends_here(found[2]) else ""


def _unreadable(name: str) -> UsageError:
    spelled = _SPELLED.get(name, printable(name)[:40])
    return UsageError("The link is damaged: {name!r} can't be read; copy the link again.", name=spelled)


def is_unfiltered(given: Mapping[str, str], allowed: Sequence[str]) -> bool:
    """Return whether a list is asked for by nothing but the allowed parameters and those that leave nothing out."""
    harmless = json.loads(read_data("links.json"))["harmless_in_lists"]
    rest = {name for name in given if name not in allowed and name not in harmless}
    return not rest - {"period"} and given.get("period", "AllTime").lower() == "alltime"
