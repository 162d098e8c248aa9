"""The archive: what the site says of a thing, united with what it no longer says. Nothing here touches a disk.

What is gone stays and is marked: a version, file or picture that is no longer named has `gone_since`, and an object
that lost a value has `lost`, the dates by key. What comes back loses its mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from operator import is_
from typing import Any

from .answers import licence_of, list_at, number_at, object_at, objects_at, read_image, text_at
from .data import read_data

Json = Mapping[str, Any]

GONE, LOST = "gone_since", "lost"
_MEMBERS = {"model": {"modelVersions": "version"}, "version": {"files": "file", "images": "image"}}
_WORDS = frozenset(("baseModels", "tags", "trainedWords"))
_MARKUP_OF_NOTHING = re.compile(r"(?i)</?(?:p|br|div|span)\b[^<>]*>|&nbsp;|\s")


def unite(old: Json, new: Json, day: str) -> Json:
    """Return a model as it is kept: what is known of it (`old`) and what its answer says today."""
    return _Answer(day, new).united("model", old, new)


def add_version(model: Json, version: Json) -> Json:
    """Return a model as it is kept, with what a version's own page says.

    That page has less than the model's and more, so nothing is marked by it. A version that no answer about the model
    has named keeps the `model` of its own page: it can't be missed in such answers.
    """
    versions = objects_at(model, "modelVersions")
    old = next((each for each in versions if number_at(each, "id") == number_at(version, "id")), {})
    told = {key: value for key, value in version.items() if key != "model" or not old or "model" in old}
    mark = {GONE: old[GONE]} if GONE in old else {}
    added = {**_Answer("", {}).united("version", old, told), **mark}
    renewed = [added if each is old else each for each in versions]
    return {**model, "modelVersions": renewed if old else [*versions, added]}


def marked_gone(model: Json, day: str) -> Json:
    """Return a model as it is kept, marked as one that the site no longer has; the first day stays."""
    return {**model, GONE: text_at(model, GONE) or day}


def unite_page(old: Json, new: Json, pictures: str, days: tuple[str, str]) -> dict[str, Any]:
    """Return the page of a post or collection as it is kept; `pictures` is the key of the list of its pictures' ids.

    `days` are the date for what the page itself lost and that for its pictures; "" where not all could be seen.
    Pictures that are gone stand behind the others, and under `gone_since` by id.
    """
    kept = _Answer(days[0], {}).united("page", {**old, pictures: None}, {**new, pictures: None})
    named = list_at(new, pictures)
    known = {*map(str, named)}
    gone = [each for each in list_at(old, pictures) if str(each) not in known]
    since = object_at(old, GONE)
    dates = {str(each): text_at(since, str(each)) or days[1] for each in gone}
    marks = {each: date for each, date in dates.items() if date}
    return {**kept, pictures: [*named, *gone], **({GONE: marks} if marks else {})}


def has_other_words(old: Json, united: Json) -> bool:
    """Return whether name, description, tags, trained words or licence have become others than they were.

    What vanished and what is new is no reason; a word that a list gained is. So is what could not be united: things in
    `old` that are no objects, or that stand there twice.
    """
    versions = {number_at(each, "id"): each for each in objects_at(united, "modelVersions")}
    pairs = [(each, versions.get(number_at(each, "id"), {})) for each in objects_at(old, "modelVersions")]
    licence = licence_of(united)
    if _is_odd("model", old) or any(_is_odd("version", each) for each in objects_at(old, "modelVersions")):
        return True
    return any(_says_other(before, now) for before, now in [(old, united), *pairs]) or any(
        _in_any_order(value) != _in_any_order(licence[key]) for key, value in licence_of(old).items() if key in licence
    )


def without_lost(value: Any) -> Any:
    """Return a part of the archive without the dates of lost values, which readers of hashes would stumble over."""
    if isinstance(value, dict):
        return {key: without_lost(each) for key, each in value.items() if key != LOST}
    return [without_lost(each) for each in value] if isinstance(value, list) else value


def _says_other(old: Json, new: Json) -> bool:
    texts = (key for key in ("name", "description") if not _is_empty(key, old.get(key)))
    lists = (key for key in ("tags", "trainedWords") if not _is_empty(key, old.get(key)))
    return any(old[key] != new.get(key, old[key]) for key in texts) or any(
        not {*map(_word, list_at(new, key))} <= {*map(_word, list_at(old, key))} for key in lists
    )


def _is_odd(kind: str, old: Json) -> bool:
    """Return whether a list of things in an object holds something that is none, or one twice."""
    lists = ((member, old[key]) for key, member in _MEMBERS[kind].items() if not _is_empty(key, old.get(key)))
    return any(
        not isinstance(each, list) or len({_identity(member, one) for one in each if isinstance(one, dict)}) < len(each)
        for member, each in lists
    )


def _in_any_order(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _word(entry: Any) -> str:
    """Return the word that an entry of a list of words is; some years' tags are objects with a name."""
    return (entry if isinstance(entry, str) else text_at(entry, "name") or json.dumps(entry)).strip()


def _is_empty(key: str, value: Any) -> bool:
    """Return whether a value says nothing: null, nothing within, only blanks or markup. 0 and False say something.

    So does an empty list of commercial uses: none is allowed.
    """
    if isinstance(value, str):
        return not (_MARKUP_OF_NOTHING.sub("", value) if key in ("description", "detail") else value.strip())
    if isinstance(value, list):
        return key != "allowCommercialUse" and not (any(map(_word, value)) if key in _WORDS else value)
    return value is None or value == {}


@cache
def _keys(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys that follow the site even where it says nothing, and those that only some answers have."""
    told = object_at(json.loads(read_data("archive.json")), kind)
    return frozenset(list_at(told, "follows")), frozenset(list_at(told, "quiet"))


@dataclass(frozen=True)
class _Answer:
    """An answer of the site about a model, and the date that it puts on what is gone ("" none)."""

    day: str
    model: Json

    @cached_property
    def _levels(self) -> int:
        """The levels of all pictures in it; -1 if it can't have been cut to certain levels."""
        versions = objects_at(self.model, "modelVersions")
        images = filter(None, map(read_image, (image for each in versions for image in objects_at(each, "images"))))
        levels = -1 if text_at(self.model, "mode") == "TakenDown" else 0
        for image in images:
            levels |= image.level
        return levels

    def united(self, kind: str, old: Json, new: Json) -> Json:
        """Return an object of this kind with the newest of each value, and the last one where there is none now.

        It is the new one itself where nothing is to be added: models by the thousand may wait in memory.
        """
        if old == new:
            return new
        follows, quiet = _keys(kind)
        kept: dict[str, Any] = {}
        lost: dict[str, str] = {}
        for key in dict.fromkeys((*new, *old)):
            if key in (GONE, LOST) or (key in follows and self.day and key not in new):
                continue
            before, now = old.get(key), new.get(key)
            if key in _MEMBERS.get(kind, {}):
                kept[key] = self._members(_MEMBERS[kind][key], objects_at(old, key), now, new) or now
            elif key in follows and self.day:
                kept[key] = now
            elif not _is_empty(key, now) or _is_empty(key, before):
                kept[key] = self._renewed(key, before, now, is_quiet=key in quiet)
            else:
                kept[key] = before
                if since := text_at(object_at(old, LOST), key) or ("" if key in quiet else self.day):
                    lost[key] = since
        if lost:
            return {**kept, LOST: lost}
        return new if kept.keys() == new.keys() and all(kept[key] is new[key] for key in kept) else kept

    def _renewed(self, key: str, before: Any, now: Any, *, is_quiet: bool) -> Any:
        """Return a value that the site says: objects are united, lists of words too."""
        if isinstance(before, dict) and isinstance(now, dict):
            return (_Answer("", {}) if is_quiet else self).united("", before, now)
        if key not in _WORDS or not isinstance(before, list) or not isinstance(now, list):
            return now
        words = {*map(_word, now)}
        both = [*now, *(each for each in before if _word(each) not in words)]
        if len(both) == len(now):
            return now
        return both if len({*map(type, both)}) < 2 else [*map(_word, both)]

    def _members(self, kind: str, before: Iterable[Json], now: Any, new: Json) -> list[Any]:
        """Return the things in a list, united by id; those that are no longer named stand behind the others."""
        known = {_identity(kind, each): each for each in before}
        named: dict[str, Any] = {}
        for each in now if isinstance(now, list) else ():
            identity = _identity(kind, each)
            old = named.get(identity) or known.get(identity, {})
            named[identity] = self.united(kind, old, each) if isinstance(each, dict) else each
        gone = [each for identity, each in known.items() if identity not in named]
        found = [*named.values(), *(self._missed(kind, each, new) for each in gone)]
        is_same = isinstance(now, list) and len(found) == len(now) and all(map(is_, found, now))
        return now if is_same else found

    def _missed(self, kind: str, each: Json, new: Json) -> Json:
        """Return a thing that the answer does not name, marked unless the answer would not name it anyway."""
        level = picture.level if kind == "image" and (picture := read_image(each)) else 0
        is_hidden = bool(level & ~1 & number_at(new, "nsfwLevel") & ~self._levels)
        is_alone = kind == "version" and isinstance(each.get("model"), dict)
        if not self.day or is_hidden or is_alone:
            return each
        return {**each, GONE: text_at(each, GONE) or self.day}


def _identity(kind: str, each: Any) -> str:
    """Return what a thing in a list is known by: its id, which a picture may have in its link alone, or its name."""
    if not isinstance(each, dict):
        return json.dumps(each)
    number = number_at(each, "id")
    if not number and kind == "image":
        stem = text_at(each, "url").rpartition("/")[2].partition(".")[0]
        number = int(stem) if re.fullmatch("[0-9]{1,10}", stem) else 0
    if number:
        return str(number)
    plain = {key: value for key, value in each.items() if key not in (GONE, LOST)}
    return text_at(each, "name") or text_at(each, "url") or json.dumps(plain, sort_keys=True)
