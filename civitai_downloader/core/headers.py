"""What the header of a model file says, in the words of the site: base model, title, trigger words, how it was trained.

The base model is what the texts name, else what names and shapes of tensors show; it is never guessed from the name of
a file, and empty if a sign is missing. What is one of a family that nobody can tell apart has the name of its general
member: `SDXL 1.0` may be Pony, Illustrious or NoobAI. Hashes in a header are no hashes of the file, and never used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from itertools import islice
from typing import Any

from ..util.headers import Header, read_json
from ..util.text import printable, scrub
from .answers import number_at, object_at, objects_at, text_at
from .data import read_data

_LONGEST, _LONGEST_TEXT = 200, 20_000  # characters of a name, and of a description
_MOST_READ, _MOST_WORDS, _MOST_GUESSED = 1000, 20, 5
_NEARLY_ALL, _FEWEST_CAPTIONS = 0.9, 5
_FOLDER = re.compile(r"[0-9]{1,4}_(.+)")
_STAMPED = re.compile(r"(?:LoRA|TextualInversion|Checkpoint)@[0-9.]+")  # a title that a trainer made up
_ROOTS = "home|root|Users|Volumes|mnt|media|content|workspace|kaggle|tmp|opt|srv|data"
_PATH = re.compile(
    rf"(?:(?<![A-Za-z])[A-Za-z]:[\\/]|\\\\|(?<![\w/.:~])(?:~|/(?:{_ROOTS}))/)"
    r"""(?:[^\\/\r\n"<>|]*[\\/])*([^\s\\/"'<>|]*)"""
)


@dataclass(frozen=True)
class Told:
    """What a header says, each "" or () where it does not.

    `kind` is a model type of the site, `family` names what the base model may be as well, and `words` are trigger
    words; `is_guess` says that they are only the tags in nearly every caption.
    """

    kind: str = ""
    base_model: str = ""
    family: str = ""
    title: str = ""
    author: str = ""
    description: str = ""
    license: str = ""
    date: str = ""  # 2026-01-31
    usage: str = ""
    words: tuple[str, ...] = ()
    is_guess: bool = False
    tags: tuple[str, ...] = ()
    dim: str = ""
    alpha: str = ""
    resolution: str = ""  # 1024x1024
    trained_on: str = ""  # the name of a file
    comment: str = ""

    @property
    def says_something(self) -> bool:
        """Whether a person learns from it what the file is: its kind and how it was trained alone do not tell that."""
        facts = (self.base_model, self.title, self.author, self.description, self.license, self.usage)
        return any((*facts, self.words, self.tags, self.comment))


def told_by(header: Header) -> Told:
    """Return what a header says."""
    said = header.metadata
    words, is_guess = _trigger_words(said)
    base_model = _base_model(header)
    return Told(
        kind=_kind(header),
        base_model=base_model,
        family=_table()["families"].get(base_model, ""),
        title=_title(said),
        author=_first(said, "modelspec.author", "general.author"),
        description=_long(said, "modelspec.description", "general.description"),
        license=_first(said, "modelspec.license", "general.license"),
        date=_date(said),
        usage=_first(said, "modelspec.usage_hint"),
        words=words,
        is_guess=is_guess,
        tags=_distinct(_first(said, "modelspec.tags", most=_LONGEST_TEXT).split(",")),
        dim=_first(said, "ss_network_dim"),
        alpha=_first(said, "ss_network_alpha"),
        resolution=_resolution(_first(said, "modelspec.resolution", "ss_resolution")),
        trained_on=re.split(r"[\\/]", _first(said, "ss_sd_model_name"))[-1],
        comment=_first(said, "ss_training_comment", most=_LONGEST_TEXT),
    )


# --- Texts ----------------------------------------------------------------------------------------


def _title(said: Mapping[str, str]) -> str:
    """Return the title, unless a trainer made it up."""
    found = (_first(said, key) for key in ("modelspec.title", "ss_output_name", "name", "general.name"))
    return next((title for title in found if title and not _is_made_up(title)), "")


def _is_made_up(title: str) -> bool:
    plain = re.sub(r" (?:LoRA|Embedding)$", "", title)
    return plain in _table()["general titles"] or bool(_STAMPED.fullmatch(title))


def _date(said: Mapping[str, str]) -> str:
    """Return the day on which the model was made, as 2026-01-31."""
    if found := re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", _first(said, "modelspec.date")):
        return found[0]
    with suppress(ValueError, OverflowError, OSError):
        seconds = float(_first(said, "ss_training_finished_at"))
        return datetime.fromtimestamp(seconds, timezone.utc).date().isoformat() if seconds > 0 else ""
    return ""


def _resolution(text: str) -> str:
    """Return `(1024, 768)`, `1024x768` or `1024` as 1024x768."""
    sides = re.findall(r"[0-9]+", text)
    return "x".join((sides * 2)[:2]) if sides and len(sides) <= 2 else ""


def _first(said: Mapping[str, str], *keys: str, most: int = _LONGEST) -> str:
    """Return the first of these texts that says something, on one line."""
    return " ".join(_long(said, *keys)[:most].split())


def _long(said: Mapping[str, str], *keys: str) -> str:
    """Return the first of these texts that says something. Paths of somebody's machine are only their last name."""
    texts = (_clean(said.get(key, "")[:_LONGEST_TEXT]) for key in keys)
    return next((text for text in texts if text.lower() not in ("", "none", "null")), "")


def _clean(text: str) -> str:
    lines = (printable(line).rstrip() for line in scrub(_PATH.sub(r"\1", text)).splitlines())
    return "\n".join(lines).strip()


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words without those that repeat others."""
    found = dict.fromkeys(" ".join(_clean(word[:_LONGEST]).split()) for word in islice(words, _MOST_READ))
    return tuple(word for word in found if word)[:_MOST_WORDS]


# --- Trigger words --------------------------------------------------------------------------------


def _trigger_words(said: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """Return the trigger words, and whether they are a guess."""
    phrase = _first(said, "modelspec.trigger_phrase", most=_LONGEST_TEXT)
    if words := _distinct(phrase.split(";")):
        return words, False
    trained = _Training(said)
    if words := _distinct(trained.classes()) or _distinct(trained.folder_words()):
        return words, False
    words = _distinct(trained.common_tags())[:_MOST_GUESSED]
    return words, bool(words)


class _Training:
    """What a header says of the pictures that a model was trained with."""

    def __init__(self, said: Mapping[str, str]) -> None:
        found = _json(said, "ss_datasets")
        subsets = (each for data in objects_at({"": found}, "") for each in objects_at(data, "subsets"))
        self._subsets = [each for each in subsets if each.get("is_reg") is not True]
        self._folders = _json_object(said, "ss_dataset_dirs")
        self._tags = _json_object(said, "ss_tag_frequency")

    def classes(self) -> Iterator[str]:
        """Yield the words that stood for the pictures of each subset."""
        return (text_at(each, "class_tokens") for each in self._subsets)

    def folder_words(self) -> Iterator[str]:
        """Yield the words in names of folders like `10_token class`."""
        for name in [*self._folders, *self._tags]:
            found = _FOLDER.fullmatch(_clean(name[:_LONGEST]).rpartition("/")[2])
            if found and not _is_general(found[1]):
                yield found[1]

    def common_tags(self) -> list[str]:
        """Return the tags in nearly every caption, the most frequent first.

        There are none if it is not known how many captions there were, or if these were too few to tell.
        """
        counted = [object_at(self._folders, name) for name in self._folders] or self._subsets
        captions = sum(number_at(each, "img_count") for each in counted)
        counts = Counter[str]()
        for folder in self._tags:
            tags = object_at(self._tags, folder)
            counts.update({tag: number_at(tags, tag) for tag in tags})
        if captions < _FEWEST_CAPTIONS:
            return []
        common = (tag for tag, count in counts.most_common() if captions * _NEARLY_ALL <= count <= captions)
        return [tag for tag in common if not _is_general(tag)]


def _is_general(word: str) -> bool:
    """Return whether a word stands for nothing that this model alone has learnt."""
    return word.strip().lower().replace("_", " ") in _table()["general words"]


def _json(said: Mapping[str, str], key: str) -> Any:
    """Return the value of a text that is JSON, or None."""
    with suppress(ValueError, RecursionError):
        return read_json(said.get(key, ""))
    return None


def _json_object(said: Mapping[str, str], key: str) -> dict[str, Any]:
    value = _json(said, key)
    return value if isinstance(value, dict) else {}


# --- Base model and kind ----------------------------------------------------------------------------


def _base_model(header: Header) -> str:
    """Return the base model that texts name, else that the tensors show, else that a GGUF file names."""
    said = header.metadata
    is_v2 = said.get("ss_v2", "").lower() == "true"
    return (
        _named(said.get("modelspec.architecture", ""))
        or _named(said.get("ss_base_model_version", ""))
        or _shown(header, "bases")
        or _named(said.get("general.architecture", ""))
        or ("SD 2.1" if is_v2 else "")
    )


def _named(text: str) -> str:
    """Return the base model that an architecture or version names, by the longest beginning that is known."""
    name = re.sub(r"[^a-z0-9]+", "-", text[:_LONGEST].lower()).strip("-")
    names: dict[str, str] = _table()["names"]
    found = [each for each in names if name == each or name.startswith(f"{each}-")]
    return names[max(found, key=len)] if found else ""


def _kind(header: Header) -> str:
    """Return the model type: what the tensors show, else what the texts name."""
    said, table = header.metadata, _table()
    if said.get("general.architecture", "").lower() in table["encoders"]:
        return "TextEncoder"
    adapter = said.get("modelspec.architecture", "").lower().partition("/")[2]
    return _shown(header, "kinds") or str(table["adapters"].get(adapter, ""))


def _shown(header: Header, rows: str) -> str:
    """Return what the first row of signs says of which all are there and none that must not be."""
    names = {_without_prefix(name): shape for name, shape in header.shapes.items()}

    def has(sign: Mapping[str, Any]) -> bool:
        """Return whether a sign is there."""
        return _has(sign, header.shapes, names)

    for row in _table()[rows]:
        if all(map(has, row["all"])) and not any(map(has, row.get("none", []))):
            return str(row["is"])
    return ""


Shapes = Mapping[str, tuple[int, ...]]


def _has(sign: Mapping[str, Any], shapes: Shapes, names: Shapes) -> bool:
    """Return whether a tensor with this name and, where it matters, this length is there."""
    if "name" in sign:
        found = [names[sign["name"]]] if sign["name"] in names else []
        return any(_fits(sign, shape) for shape in found)
    pattern = _pattern(sign["like"])
    return any(_fits(sign, shape) and pattern.search(name) for name, shape in shapes.items())


def _fits(sign: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    if "at" not in sign:
        return True
    at = sign["at"]
    return -len(shape) <= at < len(shape) and shape[at] in sign["in"]


def _without_prefix(name: str) -> str:
    return next((name[len(each) :] for each in _table()["prefixes"] if name.startswith(each)), name)


@cache
def _pattern(like: str) -> re.Pattern[str]:
    """Return a pattern with its named parts filled in."""
    parts: dict[str, str] = _table()["parts"]
    while found := re.search(r"@[a-z_0-9]+", like):
        like = like.replace(found[0], parts[found[0]])
    return re.compile(like)


@cache
def _table() -> Any:
    return json.loads(read_data("bases.json"))
