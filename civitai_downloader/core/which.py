"""Which things of a list are wanted: by days, by order and number; and what is never fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..util.errors import Sentence
from .answers import Model, Pages, likes_of, number_at, object_at, objects_at, text_at, unix_time
from .choice import base_models_told, is_named
from .lists import parse_list, read_line, read_list
from .settings import Settings
from .targets import Entry, Target

Listing = Iterator[list[Target]]
LISTINGS = ("user", "tag", "collection")
CHUNK = 100


def of_target(target: Target, settings: Settings) -> Settings:
    """Return the settings of a target: what is named by a link or an id is never cut by days or counts."""
    return settings if target.kind in LISTINGS else settings.whole


# --- What falls to this copy ----------------------------------------------------------------------


def may_fall_here(target: Target, settings: Settings) -> bool:
    """Return whether a target falls to this copy, or may bring up something that does, as far as its link tells."""
    kind = "model" if target.kind == "version" and target.id else target.kind
    return kind not in ("model", "post", "image") or settings.has(kind, target.id)


def falling_here(pages: Pages, settings: Settings) -> Pages:
    """Yield of each page the pictures that fall to this copy."""
    for page in pages:
        yield [item for item in page if settings.has("image", number_at(item, "id"))]


# --- What is never fetched ------------------------------------------------------------------------


def read_excluded(paths: Iterable[Path], site: str = "") -> tuple[frozenset[tuple[str, str]], list[Sentence]]:
    """Return what the lists of excluded links and ids name, and a sentence for each line that can't be read.

    Raises UsageError for a list that can't be read, as what it names would be fetched.
    """
    keys: set[tuple[str, str]] = set()
    problems = []
    for path in paths:
        for line in parse_list(read_list(str(path))):
            found = read_line(line.text, site).found
            keys.update(key for _, target in found for key in _keys_named(target))
            if not found:
                sentence = "{file}, line {line}: there is no link or ID, so nothing is excluded by it."
                problems.append(Sentence(sentence, file=path, line=line.number))
    return frozenset(keys), problems


def _keys_named(target: Target) -> list[tuple[str, str]]:
    """Return the keys of what a line of an exclude list names."""
    if target.file:
        return [("file", str(target.file))]
    if target.version:
        return [("version", str(target.version))]
    return [("id", str(target.id)), ("model", str(target.id))] if target.kind == "id" else [_key(target)]


def _key(target: Target) -> tuple[str, str]:
    return (f"{target.kind} {target.part}".rstrip(), _named(target))


def _named(target: Target) -> str:
    """Return the name or id of a target; the name of a picture is only what its storage calls it."""
    return str(target.id) if target.id else target.name.casefold()


def is_excluded(target: Target, settings: Settings, creator: str = "") -> bool:
    """Return whether a target is excluded, as far as its link (and the name of its creator) tells."""
    asked = {_key(target), (target.kind, _named(target))}
    if target.version:
        asked.add(("version", str(target.version)))
    if target.kind == "id":
        asked.add(("model", str(target.id)))
    return bool(asked & settings.excluded) or (bool(creator) and ("user", creator.casefold()) in settings.excluded)


def why_unwanted(model: Model, target: Target, settings: Settings) -> str:
    """Return why nothing of a model is wanted, or ""."""
    if settings.types and not is_named(model.type, settings.types):
        return Sentence("skipped: its type is {type}", type=model.type)
    return Sentence("excluded") if is_excluded(target, settings, model.creator) else ""


def why_nothing(model: Model, target: Target, settings: Settings) -> str:
    """Return why no version of a model is wanted, "" if the model has none."""
    if is_excluded(target, settings, model.creator):
        return Sentence("excluded")
    if not model.versions:
        return ""
    if settings.base_models and not any(is_named(each.base_model, settings.base_models) for each in model.versions):
        return base_models_told(model, settings)
    return Sentence("skipped: no version in the days asked for") if settings.has_days else Sentence("excluded")


# --- Lists of models and posts ----------------------------------------------------------------------


@dataclass(frozen=True)
class Merit:
    """What a list tells of a model or post: `versions` are pairs of date and base model; of a post there is one."""

    type: str = ""
    creator: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    downloads: int = 0
    likes: int = 0


def merit_of(item: Mapping[str, Any]) -> Merit:
    """Return the merit of a listed model or post."""
    stats, rank = object_at(item, "stats"), object_at(item, "rank")
    versions = [
        (text_at(each, "publishedAt"), text_at(each, "baseModel")) for each in objects_at(item, "modelVersions")
    ]
    own = text_at(item, "publishedAt") or text_at(item, "createdAt")
    creator = text_at(object_at(item, "creator"), "username") or text_at(object_at(item, "user"), "username")
    likes = ("thumbsUpCount", "likeCount", "heartCount")
    return Merit(
        text_at(item, "type"), creator, tuple(versions or [(own, "")]),
        downloads=number_at(stats, "downloadCount") or number_at(rank, "downloadCount"),
        likes=sum(number_at(source, name) for source in (stats, rank) for name in likes),
    )  # fmt: skip


def select(pages: Listing, settings: Settings, ask: Callable[[Target], Merit]) -> Listing:
    """Yield the wanted targets of a list, in the order asked for, and no more models than asked for.

    An order needs the whole list; until it is read, empty pages come. `ask` tells the merit of a target.
    """
    if not settings.is_choosy:
        yield from pages
        return
    wanted: list[Target] = []
    left = settings.max_models or 0
    for page in pages:
        fresh = [target for target in page if _is_wanted(target, settings, ask)]
        if settings.sort:
            wanted += fresh
            yield []
            continue
        kept = _cut(fresh, left) if settings.max_models else fresh
        left -= sum(target.kind == "model" for target in kept)
        yield kept
        if settings.max_models and left <= 0:
            return
    ranked = _ranked(wanted, settings, ask)
    ranked = _cut(ranked, left) if settings.max_models else ranked
    yield from (ranked[at : at + CHUNK] for at in range(0, len(ranked), CHUNK))


def _cut(targets: Sequence[Target], most: int) -> list[Target]:
    """Return the targets up to a number of models; posts are not counted."""
    models = [target for target in targets if target.kind == "model"]
    return [target for target in targets if target.kind != "model"] + models[:most]


def _is_wanted(target: Target, settings: Settings, ask: Callable[[Target], Merit]) -> bool:
    if is_excluded(target, settings):
        return False
    if not (settings.has_days or settings.sort or settings.max_models):
        return True
    merit = ask(target)
    if is_excluded(target, settings, merit.creator):
        return False
    if target.kind == "model" and settings.types and merit.type and not is_named(merit.type, settings.types):
        return False
    bases = settings.base_models if target.kind == "model" else ()
    there = (settings.wants_day(day) and (not bases or is_named(base, bases)) for day, base in merit.versions)
    return any(there) or not merit.versions  # of what nothing is known the visit will say why


def _ranked(targets: Sequence[Target], settings: Settings, ask: Callable[[Target], Merit]) -> list[Target]:
    """Return targets in the order asked for; what the list does not date comes last."""

    def place(target: Target) -> float:
        """Return where a target stands in the order; smaller numbers come first."""
        merit = ask(target)
        if settings.sort in ("downloads", "likes"):
            return -float(merit.downloads if settings.sort == "downloads" else merit.likes)
        return _place_by_date((day for day, _ in merit.versions if settings.wants_day(day)), settings)

    return sorted(targets, key=place)


def _place_by_date(days: Iterable[str], settings: Settings) -> float:
    moment = max(map(unix_time, days), default=0.0)
    return (-moment if settings.sort == "newest" else moment) if moment else float("inf")


# --- Lists of pictures ------------------------------------------------------------------------------


def wanted_pictures(pages: Pages, settings: Settings) -> Pages:
    """Yield the wanted pictures of a list, in the order asked for; there are no downloads of pictures."""
    if not (settings.has_days or settings.excluded or settings.sort in ("newest", "oldest", "likes")):
        yield from pages
        return
    wanted: list[dict[str, Any]] = []
    for page in pages:
        fresh = [
            item for item in page if settings.wants_day(text_at(item, "createdAt")) and not is_hidden(item, settings)
        ]
        if settings.sort not in ("newest", "oldest", "likes"):
            yield fresh
            continue
        wanted += fresh
        yield []
    wanted.sort(key=lambda item: _place_of_picture(item, settings))
    yield from (wanted[at : at + CHUNK] for at in range(0, len(wanted), CHUNK))


def is_hidden(item: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether a listed picture is excluded by its id, its post or its user."""
    if not settings.excluded:
        return False
    user = text_at(item, "username") or text_at(object_at(item, "user"), "username")
    asked = {("image", str(number_at(item, "id"))), ("post", str(number_at(item, "postId"))), ("user", user.casefold())}
    return bool(asked & settings.excluded)


def _place_of_picture(item: Mapping[str, Any], settings: Settings) -> float:
    if settings.sort == "likes":
        return -float(likes_of(item) or 0)
    return _place_by_date([text_at(item, "createdAt")], settings)


def without_files(entry: Entry) -> Entry:
    """Return an entry for the gallery of a version with settings that leave out its files; any other as it is."""
    if entry.target.kind != "version" or entry.target.part != "images":
        return entry
    pictures = replace(entry.settings, gallery=True, only="images" if entry.settings.wants_images else "metadata")
    return replace(entry, settings=pictures)
