"""Newer: what the site has of a model that is newer than what is on disk, and what it no longer has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..util.values import plain
from .answers import Model, Version, unix_time
from .choice import choose_versions, is_named
from .settings import Settings
from .targets import Target

Standing = Literal["newer", "awaited", "reserved", "archived", "taken-down", "gone", "withdrawn", "others"]
_MODES: dict[str, Standing] = {"Archived": "archived", "TakenDown": "taken-down"}


@dataclass(frozen=True)
class Edition:
    """A version as far as comparing needs it: `published` is a date of the site, or "" if nobody tells it.

    `until` is when its early access ends, `always` for one that is only sold, else "". `files` are the ids of its
    files, `size` their bytes, and `sha256` is that of the first one that has one. `since` is the day on which the site
    no longer had it. One that is `apart` never stood in an answer about its model.
    """

    id: int
    name: str = ""
    base_model: str = ""
    published: str = ""
    until: str = ""
    files: tuple[int, ...] = ()
    size: int = 0
    sha256: str = ""
    since: str = ""
    apart: bool = False

    @property
    def age(self) -> tuple[float, int]:
        """What orders versions; the newest has the largest."""
        return unix_time(self.published), self.id


@dataclass(frozen=True)
class ModelNews:
    """What is to be told of a model in one row: the versions on disk, and those that the row is about.

    `others` is how many newer ones there are for base models that nobody asked for.
    """

    standing: Standing
    model: int
    name: str
    have: tuple[Edition, ...] = ()
    editions: tuple[Edition, ...] = ()
    others: int = 0


def edition_of(version: Version) -> Edition:
    """Return what is told of a version of an answer."""
    files, size = tuple(each.id for each in version.files), sum(each.size for each in version.files)
    return Edition(
        version.id, version.name, version.base_model, version.published, version.early_until, files=files, size=size,
        sha256=next((each.sha256 for each in version.files if each.sha256), ""),
    )  # fmt: skip


def compare(
    model: Model, there: Mapping[int, Edition], hashes: Collection[str], waits: Mapping[int, str], settings: Settings
) -> list[ModelNews]:
    """Return what is to be told of a model of which these versions are on disk.

    `hashes` are the SHA256 of all files of the library: a version with one of these files counts as there. `waits` is
    when early access to versions ends, as far as the state log knows.
    """
    told = {each.id: edition_of(each) for each in model.versions}
    have = {number: told.get(number, each) for number, each in there.items()}
    have |= {each.id: told[each.id] for each in model.versions if any(file.sha256 in hashes for file in each.files)}
    about = ModelNews("others", model.id, model.name, newest_of_each_base(have.values()))
    if standing := _MODES.get(model.mode):
        return [replace(about, standing=standing)]
    gone = tuple(each for number, each in have.items() if number not in told and each.name and not each.apart)
    chosen = choose_versions(model, Target("model", model.id), replace(settings, base_models=(), latest=False))
    fresh = [_timed(told[each.id], waits) for each in chosen if each.id not in have and each.files]
    newer = _newer(fresh, have.values())
    wanted = [each for each in newer if _is_wanted(each, have.values(), settings)]
    rows = _rows(replace(about, others=len(newer) - len(wanted)), wanted, 1 if settings.latest else None)
    return [*([replace(about, standing="withdrawn", editions=gone)] if gone else []), *rows]


def _rows(about: ModelNews, wanted: Iterable[Edition], most: int | None) -> list[ModelNews]:
    """Return the rows about versions that are newer, and at most so many: those to be had, and those that wait.

    The first one tells of the others, alone if need be.
    """
    ordered = sorted(wanted, key=lambda each: each.age, reverse=True)
    open_ones = tuple(each for each in ordered if not each.until)[:most]
    waiting = [each for each in ordered if each.until][:most]
    rows = [replace(about, standing="newer", editions=open_ones)] if open_ones else []
    rows += [replace(about, standing="awaited", editions=(each,)) for each in waiting]
    if not rows:
        return [about] if about.others else []
    return [rows[0], *(replace(each, others=0) for each in rows[1:])]


def split(news: ModelNews, reserved: Collection[int]) -> list[ModelNews]:
    """Return a row and, apart from it, what in it is reserved for the site's own generator."""
    away = tuple(each for each in news.editions if each.id in reserved)
    if news.standing != "newer" or not away:
        return [news]
    left = tuple(each for each in news.editions if each.id not in reserved)
    apart = replace(news, standing="reserved", editions=away, others=0 if left else news.others)
    return [replace(news, editions=left), apart] if left else [apart]


def newest_of_each_base(editions: Iterable[Edition]) -> tuple[Edition, ...]:
    """Return the newest version for each base model, the newest first."""
    found: dict[str, Edition] = {}
    for each in sorted(editions, key=lambda each: each.age):
        found[plain(each.base_model)] = each
    return tuple(sorted(found.values(), key=lambda each: each.age, reverse=True))


def _timed(edition: Edition, waits: Mapping[int, str]) -> Edition:
    return edition if edition.until else replace(edition, until=waits.get(edition.id, ""))


def _newer(editions: Iterable[Edition], have: Collection[Edition]) -> list[Edition]:
    """Return the versions that are newer than the newest one on disk: of their base model if there is one, else of all.

    Where nobody knows when that was published, the numbers of the versions tell.
    """
    newest = {plain(each.base_model): each for each in reversed(newest_of_each_base(have))}
    last = max(have, key=lambda each: each.age, default=Edition(0))

    def is_newer(each: Edition) -> bool:
        """Return whether a version is newer than the one to compare it with."""
        mine = newest.get(plain(each.base_model), last)
        return each.age > mine.age if mine.age[0] and each.age[0] else each.id > mine.id

    return [each for each in editions if is_newer(each)]


def _is_wanted(edition: Edition, have: Iterable[Edition], settings: Settings) -> bool:
    """Return whether a version is for a base model that was asked for, or by default for one that is on disk."""
    bases = settings.base_models or tuple(each.base_model for each in have if each.base_model)
    return settings.every_base or not bases or is_named(edition.base_model, bases)
