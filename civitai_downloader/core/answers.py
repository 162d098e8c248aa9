"""Answers: a JSON answer of any year becomes a Model, Version, File or Image."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from ..util.clock import utc_text
from ..util.errors import Failure
from ..util.jsontext import as_tree, left_out
from ..util.text import parse_devalue, web_link

Pages = Iterator[list[dict[str, Any]]]
_T = TypeVar("_T")
NOTHING = "e3b0c44298fc"  # the beginning of the SHA256 of nothing

log = logging.getLogger(__name__)


def _at(source: Any, key: str, kind: type[_T]) -> _T:
    """Return the value at `key`, or an empty one of this type for a missing key, null and a value of another type."""
    value = source.get(key) if isinstance(source, dict) else None
    return value if isinstance(value, kind) else kind()


def text_at(source: Any, key: str) -> str:
    """Return the text at `key`, or ""."""
    return _at(source, key, str)


def number_at(source: Any, key: str) -> int:
    """Return the whole number at `key`, which may be written as text or float, or 0."""
    return whole_number(_at(source, key, object))


def whole_number(value: object) -> int:
    """Return a whole number, which may be written as text or float, or 0 for anything else."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else 0
    if isinstance(value, float):
        return int(value) if abs(value) < 1e15 else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else 0


def object_at(source: Any, key: str) -> dict[str, Any]:
    """Return the object at `key`, or {}."""
    return _at(source, key, dict)


def list_at(source: Any, key: str) -> list[Any]:
    """Return the list at `key`, whatever it holds, or []."""
    return _at(source, key, list)


def objects_at(source: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects in the list at `key`, or []."""
    return [each for each in list_at(source, key) if isinstance(each, dict)]


def texts_at(source: Any, key: str) -> list[str]:
    """Return the texts in the list at `key`, stripped and without empty ones, or []."""
    return [each.strip() for each in list_at(source, key) if isinstance(each, str) and each.strip()]


def unix_time(value: str) -> float:
    """Return a date of the site as Unix time, 0 if it is none. It is taken as UTC, whatever its zone and decimals."""
    with suppress(ValueError):
        return datetime.fromisoformat(value[:19]).replace(tzinfo=timezone.utc).timestamp()
    return 0.0


def utc_of(value: str) -> str:
    """Return a date of the site as UTC text, to the second, or "" if it is none."""
    moment = unix_time(value)
    return utc_text(moment) if moment > 0 else ""


def is_ahead(date: str) -> bool:
    """Return whether a date of the site, or one of ours, is still to come by the clock of this machine."""
    return unix_time(date) > time.time()


def end_of_early_access(answer: Mapping[str, Any]) -> str:
    """Return when early access to a version ends, or ended, as an answer of any year says; "" if it tells no date."""
    told = text_at(object_at(answer, "paidAccess"), "endsAt")
    return told or text_at(answer, "earlyAccessDeadline") or text_at(answer, "earlyAccessEndsAt")


@dataclass(frozen=True)
class _Thing:
    """What has an id, and the answer that it was read from."""

    id: int
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class File(_Thing):
    """One file of a version; `size` in bytes (0 unknown), hashes in lower case (empty if not published)."""

    name: str
    type: str
    size: int
    sha256: str
    primary: bool
    traits: Mapping[str, Any]
    autov3: str = ""


@dataclass(frozen=True)
class Image(_Thing):
    """A picture, video or sound; `level` is its browsing level bit (0 unrated)."""

    url: str
    type: str
    level: int


@dataclass(frozen=True)
class Version(_Thing):
    """One published version of a model, files and showcase pictures included.

    `published` is a date as the site writes it; `early_until` that of the end of early access, `always` or "".
    """

    name: str
    base_model: str
    published: str
    early_until: str
    files: tuple[File, ...]
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Model(_Thing):
    """A model as the site describes it; `creator` is "" when that account is gone."""

    name: str
    type: str
    creator: str
    mode: str
    level: int
    tags: tuple[str, ...]
    versions: tuple[Version, ...]


def read_model(answer: Mapping[str, Any]) -> Model:
    """Return a model from an answer of any year, without versions of other models. Raises Failure without an id."""
    if number_at(answer, "id") <= 0:
        raise Failure("answer", "The site's answer contains no model; try again later.")
    tags = texts_at(answer, "tags") or [text_at(tag, "name") for tag in objects_at(answer, "tags")]
    owners = (0, number_at(answer, "id"))
    listed = (each for each in objects_at(answer, "modelVersions") if number_at(each, "modelId") in owners)
    versions = (read_version(each) for each in listed if number_at(each, "id") > 0)
    return Model(
        id=number_at(answer, "id"), raw=answer, name=text_at(answer, "name").strip(),
        type=text_at(answer, "type") or "Other", mode=text_at(answer, "mode"), level=number_at(answer, "nsfwLevel"),
        creator=text_at(object_at(answer, "creator"), "username").strip(),
        tags=tuple(tag for tag in tags if tag), versions=tuple(versions),
    )  # fmt: skip


def read_version(answer: Mapping[str, Any]) -> Version:
    """Return a version from an answer of any year."""
    paid, early = object_at(answer, "paidAccess"), end_of_early_access(answer)
    until = early if is_ahead(early) else "always" if paid.get("permanent") is True else ""
    return Version(
        id=number_at(answer, "id"), raw=answer, name=text_at(answer, "name").strip(), early_until=until,
        base_model=text_at(answer, "baseModel"),
        published=text_at(answer, "publishedAt") or text_at(answer, "createdAt"),
        files=tuple(read_file(each) for each in objects_at(answer, "files") if number_at(each, "id") > 0),
        images=tuple(filter(None, map(read_image, objects_at(answer, "images")))),
    )  # fmt: skip


def read_file(answer: Mapping[str, Any]) -> File:
    """Return a file from an answer of any year; `sizeKB` is bytes / 1024, and 0 means unknown."""
    kilobytes = _at(answer, "sizeKB", float) or number_at(answer, "sizeKB")
    sha256 = text_at(object_at(answer, "hashes"), "SHA256").lower()
    return File(
        id=number_at(answer, "id"), raw=answer, name=text_at(answer, "name"),
        type=text_at(answer, "type") or "Model", size=round(kilobytes * 1024) if 0 < kilobytes < 1e12 else 0,
        sha256=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "",
        primary=answer.get("primary") is True, traits=object_at(answer, "metadata"),
        autov3=_autov3(text_at(object_at(answer, "hashes"), "AutoV3").lower()),
    )  # fmt: skip


def _autov3(told: str) -> str:
    """Return an AutoV3 in its 12 digits, or "" for what is none, such as the hash of no bytes at all."""
    is_one = re.fullmatch(r"[0-9a-f]{12,64}", told) and not told.startswith(NOTHING)
    return told[: len(NOTHING)] if is_one else ""


LICENCE = ("allowNoCredit", "allowCommercialUse", "allowDerivatives", "allowDifferentLicense")

# Lists of pictures have a word in `nsfwLevel`, and the level itself in `browsingLevel`; other answers have the level.
_LEVEL_WORDS = {"None": 1, "Soft": 2, "Mature": 4, "X": 8, "Blocked": 32}


def read_image(answer: Mapping[str, Any]) -> Image | None:
    """Return a picture from any list, or None without link or id; its id may stand only in the stem of its link."""
    url = web_link(text_at(answer, "url"))
    path = urlsplit(url).path
    stem = path.rpartition("/")[2].partition(".")[0]
    image_id = number_at(answer, "id") or (int(stem) if re.fullmatch(r"[0-9]{1,10}", stem) else 0)
    if not url or not 0 < image_id < 1 << 63:
        return None
    word = _LEVEL_WORDS.get(text_at(answer, "nsfwLevel"))
    level = number_at(answer, "browsingLevel") or word or number_at(answer, "nsfwLevel")
    kind = text_at(answer, "type")
    if kind not in ("image", "video", "audio"):
        kind = "video" if path.lower().endswith((".mp4", ".webm")) else "image"
    return Image(id=image_id, raw=answer, url=url, type=kind, level=level)


def licence_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's answer says of its licence; commercial use as a list, in which the site writes it today.

    Earlier answers have `Image`, `None` or `{Image,Rent}` there. What the site does not say is left out.
    """
    told = {key: answer[key] for key in LICENCE if isinstance(answer.get(key), bool)}
    commercial = answer.get("allowCommercialUse")
    if isinstance(commercial, str):
        commercial = [word.strip() for word in commercial.strip("{}").split(",")]
    if isinstance(commercial, list):
        told["allowCommercialUse"] = [word for word in commercial if isinstance(word, str) and word not in ("", "None")]
    return {key: told[key] for key in LICENCE if key in told}


def still_urls(image: Image) -> tuple[str, ...]:
    """Return the links at which a still of a video may be had, best first; none if its link is of another form."""
    parts = urlsplit(image.url)
    folders = parts.path.split("/")
    if len(folders) < 4 or "=" not in folders[-2]:
        return ()
    name = folders[-1].rpartition(".")[0] or folders[-1]
    forms = ("anim=false,width=450", "anim=false,transcode=true,width=450")
    paths = ["/".join([*folders[:-2], form, f"{name}.jpeg"]) for form in forms]
    return tuple(urlunsplit((parts.scheme, _media_host(parts.netloc), path, "", "")) for path in paths)


def thumb_urls(image: Image) -> tuple[str, ...]:
    """Return the links at which a form of 450 pixels' width may be had, best first; of a video it is a still."""
    parts = urlsplit(image.url)
    folders = parts.path.split("/")
    if image.type != "image" or len(folders) < 4 or "=" not in folders[-2]:
        return still_urls(image) if image.type == "video" else ()
    path = "/".join([*folders[:-2], "width=450", folders[-1]])
    return (urlunsplit((parts.scheme, _media_host(parts.netloc), path, "", "")),)


def _media_host(host: str) -> str:
    return host.replace("imagecache.civitai.com", "image.civitai.com")


def media_urls(image: Image) -> tuple[str, ...]:
    """Return the links at which the original may be had, best first.

    Links carry the wanted form in the last folder (`width=450`); a video may answer `original=true` with a still,
    then two further forms are known to help.
    """
    parts = urlsplit(image.url)
    folders = parts.path.split("/")
    if len(folders) < 4 or "=" not in folders[-2]:
        return (image.url,)
    more = ["original=true,quality=100", "transcode=true,original=true"] if image.type == "video" else []
    host = _media_host(parts.netloc)
    paths = ["/".join([*folders[:-2], form, folders[-1]]) for form in ("original=true", *more)]
    return tuple(urlunsplit((parts.scheme, host, path, "", "")) for path in paths)


def is_by(item: Mapping[str, Any], name: str) -> bool:
    """Return whether a listed thing says, in one of the site's ways, that this user made it."""
    makers = (object_at(item, "user"), object_at(item, "creator"), item)
    names = (text_at(maker, "username") for maker in makers)
    return next(filter(None, names), "").casefold() == name.casefold()


def flat_meta(meta: Any) -> Any:
    """Return generation data without the `{"id", "meta"}` wrapper of some answers."""
    return meta["meta"] if isinstance(meta, dict) and set(meta) == {"id", "meta"} else meta


def likes_of(item: Mapping[str, Any]) -> int | None:
    """Return the likes and hearts of a listed picture together, None where its list does not count them."""
    stats = object_at(item, "stats")
    names = [name + ending for name in ("likeCount", "heartCount") for ending in ("", "AllTime")]
    return sum(number_at(stats, name) for name in names) if any(name in stats for name in names) else None


def resources_of(meta: Any) -> list[Any]:
    """Return the resources that `meta` names, in both of its lists."""
    return [*list_at(meta, "resources"), *list_at(meta, "civitaiResources")]


def unwrap(data: Any) -> Any:
    """Return what a tRPC answer holds: a superjson object, or a devalue text. Raises Failure for anything else.

    In superjson an undefined value is written as null, so that its `meta` need not be read.
    """
    if isinstance(data, dict) and "json" in data:
        return data["json"]
    with suppress(ValueError, RecursionError):
        if isinstance(data, str):
            value = as_tree(parse_devalue(data))
            if cut := sorted(set(left_out(value))):
                log.warning("The site sent data nested too deeply in %s; that part was skipped.", ", ".join(cut))
            return value
    raise Failure("answer", "The site sent data in an unexpected format; try again later.")


def image_of_page(page: str, image_id: int) -> dict[str, Any] | None:
    """Return the picture in the data of its web page (`__NEXT_DATA__`, in either encoding), or None."""
    found = re.search(r'<script id="__NEXT_DATA__"[^<>]*>(.*?)</script>', page, re.S)
    with suppress(Failure, ValueError, RecursionError, TypeError, LookupError):
        state = unwrap(json.loads(found.group(1) if found else "")["props"]["pageProps"]["trpcState"])
        for query in objects_at(state, "queries"):
            data = object_at(object_at(query, "state"), "data")
            if query["queryKey"][0] == ["image", "get"] and number_at(data, "id") == image_id:
                return data
    return None
