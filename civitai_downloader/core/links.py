"""Links: what one word means. A link of the site, an AIR, an id or a hash is a target; what is damaged is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal
from urllib.parse import unquote, urlsplit

from ..util.errors import UsageError
from ..util.text import printable
from .data import read_data
from .parameters import (
    TRAITS,
    Parameters,
    decoded,
    ends_here,
    is_unfiltered,
    pieces,
    read_id,
    read_parameters,
    unescaped,
)
from .targets import HOSTS, Kind, Target

_TABLE: dict[str, list[str]] = json.loads(read_data("links.json"))
USER_PARTS = ("models", "images", "videos", "posts")
_EDGES = " \t\"'`<>()[]{}*_~|,;.:!?…“”‘’«»「」『』【】（）《》〈〉、。，；：！？"
_LINK_CHARACTER = r"[^\s\"'<>`|\\^{}\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’«»…]"
_SCHEME = r"(?:https?|(?<![a-z])(?:t?tps?|hxxps?))(?::/*|/+)"
_AIR = r"(?<![\w:@/.-])(?:(?:urn|air):)*(?:[\w.-]+:[\w.-]+:)?civitai:(?=[0-9])[\w.@+:%-]*"
# Paths of the site with an id, each with what its query may narrow.
_NUMBERED: tuple[tuple[Kind, str], ...] = (
    ("version", r"/+(?:api/+)?download/+(?P<training>training-data|models)/+"),
    ("version", r"/+(?:api/+v1/+)?model-versions/+(?:mini/+)?"),
    ("model", r"/+(?:api/+v1/+)?models/+"),
    ("post", r"/+posts/+"),
    ("image", r"/+(?:images|gallery)/+"),
    ("collection", r"/+collections/+"),
)
_BY_HASH = r"/+(?:api/+v1/+)?model-versions/+by-hash/+([0-9a-f]+)(.*)"
# `<account>/<uuid>/original=true/<picture's id>.<ending>`; in older forms the last part is the uploader's file name.
_STORED_PICTURE = (
    r"/[\w-]+/(?P<uuid>[0-9a-f-]{32,36})/original=true/(?P<id>[1-9][0-9]{4,9})"
    r"\.(?:jpe?g|png|webp|gif|mp4|webm|mp3)(?P<rest>.*)"
)
HASH_LENGTHS = (64, 12, 10, 8)


@dataclass(frozen=True)
class Refusal:
    """A link of the site that is not followed, and why.

    One that is `damaged` meant something that can't be read whole any more; one that is `unsupported` leads to a page
    which is not fetched.
    """

    reason: str
    kind: Literal["damaged", "unsupported"] = "unsupported"


class _Damaged(UsageError):
    """A link that can't be read whole."""


Found = Target | Refusal


@cache
def _start(site: str) -> re.Pattern[str]:
    """Return what a link begins with: scheme and host, or the host alone at the start of a word."""
    known = [rf"(?:www\.)?{re.escape(host)}" for host in (*HOSTS, *_TABLE["archive_hosts"])]
    known += map(re.escape, _TABLE["picture_hosts"])
    own = urlsplit(site).netloc.lower() if "://" in site else ""
    host = "|".join([*([re.escape(own)] if own else []), *(rf"{each}(?::(?:443|80))?" for each in known)])
    begin = rf"(?:{_SCHEME}|(?<![\w./@:%-])(?://)?|(?<=[^\W\d]:)(?!/))"
    return re.compile(rf"{begin}(?P<host>{host})\.?(?![\w@-]|\.\w|:\d)", re.I)


@cache
def _anywhere(site: str) -> re.Pattern[str]:
    """Return what a link or an AIR in a text looks like. A link ends where the next one begins."""
    start = re.sub(r"\?P<\w+>", "?:", _start(site).pattern)
    next_link = r"(?![,;|]*(?:https?:/|(?:www\.)?civ(?:it|arch)[a-z]*\.(?:com|red|green)/))"
    return re.compile(rf"(?:{start})(?:{next_link}{_LINK_CHARACTER})*|{_AIR}", re.I)


def links_in(text: str, site: str = "") -> Iterator[str]:
    """Yield every link of the site and every AIR in a text, without the punctuation behind it."""
    for found in _anywhere(site).finditer(unescaped(text)):
        yield _without_end(found[0])


def texts_between(text: str, site: str = "") -> list[str]:
    """Return what stands before, between and behind the links and AIR of a text."""
    return _anywhere(site).split(unescaped(text))


def begins_with_link(word: str, site: str = "") -> bool:
    """Return whether a word begins with a link of the site or an AIR."""
    return bool(_anywhere(site).match(unescaped(word)))


def trimmed(word: str) -> str:
    """Return a word without the brackets, quotes and other punctuation around it."""
    return word.strip(_EDGES)


def read_word(text: str, site: str = "", *, users: bool = False) -> Found | None:
    """Return the target that a word stands for, why its link is refused, or None if it is no link at all.

    `site` is a further host whose links are understood. With `users` (a list of users) a bare word is a user's name.
    """
    if users and re.fullmatch(r"[^/:@]+", text):
        return Target("user", name=text)
    word = unescaped(text).strip()
    try:
        begin = _start(site).match(word)
        return _read_link(begin["host"].lower(), word[begin.end() :]) if begin else _read_short(word)
    except _Damaged as error:
        return Refusal(error.sentence, "damaged")
    except UsageError as error:
        return Refusal(error.sentence)


def archive_link(source: str) -> str:
    """Return the link to the site's archive with which a line begins, or ""."""
    begin = _start("").match(source)
    return source.split()[0] if begin and _is_archive(begin["host"]) else ""


def _is_archive(host: str) -> bool:
    return host.lower().partition(":")[0].removeprefix("www.") in _TABLE["archive_hosts"]


def _read_link(host: str, rest: str) -> Target:
    """Return the target behind a link; `rest` is what follows the host. Raises UsageError."""
    if _is_archive(host):
        return _read_archive(rest)
    if host.partition(":")[0] in _TABLE["picture_hosts"]:
        return _read_picture(rest)
    return _read_path(rest)


def _read_path(rest: str) -> Target:
    """Return the target behind a path of the site's pages and interfaces, with its query. Raises UsageError."""
    plain = decoded(rest)
    if found := re.match(_BY_HASH, plain, re.I | re.S):
        if len(found[1]) in HASH_LENGTHS and ends_here(found[2]):
            return Target("hash", name=found[1].lower())
        raise _Damaged("The link is damaged: its hash is incomplete; copy the link again.")
    for kind, pattern in _NUMBERED:
        found = re.match(pattern + r"(?=\s*[0-9])", plain, re.I)
        if found:
            return _read_numbered(kind, found.groupdict().get("training") or "", plain[found.end() :])
    return _read_named(rest)


def _read_numbered(kind: Kind, download: str, text: str) -> Target:
    """Return the target of a link with an id; `text` begins with the id. Raises UsageError."""
    whole = read_id(text)
    if whole is None:
        raise _Damaged("The link is damaged: its ID is incomplete; copy the link again.")
    number, tail = whole
    if kind not in ("model", "version"):
        return Target(kind, id=number)
    if kind == "model" and (inner := re.match(r"/+(?:model-?)?versions?/+(.*)", tail, re.I | re.S)):
        named = read_id(inner[1])
        if named is None:
            raise _Damaged("The link is damaged: its version ID is incomplete; copy the link again.")
        tail = f"{named[1]}&modelVersionId={named[0]}"
    return _narrowed(kind, number, tail, download)


def _narrowed(kind: Kind, number: int, tail: str, download: str = "") -> Target:
    """Return a model or version, narrowed by what follows its id. Raises UsageError."""
    wanted = ("modelversionid", "fileid", *(TRAITS if kind == "version" else ()))
    try:
        found = read_parameters(tail, wanted, "modelversionid" if kind == "model" else "fileid")
    except UsageError as error:
        raise _Damaged(error.sentence) from None
    if kind == "version":
        if found.version not in (0, number):
            raise _Damaged(
                "The link names two versions, {first} and {second}; keep only one of them.",
                first=number, second=found.version,
            )  # fmt: skip
        return _of_version(Target("version", version=number), found, download)
    if found.file and not found.version:
        raise _Damaged("The link names a file but not its version; use the file's download link.")
    return Target("model", id=number, version=found.version, file=found.file)


def _of_version(target: Target, found: Parameters, download: str) -> Target:
    if found.file:
        return replace(target, file=found.file)
    is_training = download.lower() == "training-data"
    return replace(target, traits=(("type", "Training Data"),) if is_training else found.traits)


def _read_named(rest: str) -> Target:
    """Return the target of a link with a name, or of a list. Raises UsageError."""
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    parts = [part for part in map(_plain_part, path.split("/")) if part]
    given = {name: decoded(value) for name, value in pieces(decoded(rest))}
    match [part.lower() for part in parts]:
        case ["user", name] if name not in _TABLE["own_user_pages"]:
            return Target("user", name=_user_name(parts[1]))
        case ["user", name, part] if name not in _TABLE["own_user_pages"] and part in USER_PARTS:
            return Target("user", name=_user_name(parts[1]), part=part)
        case ["user", name, *_] if name in _TABLE["own_user_pages"]:
            raise UsageError("/user/{name} is a settings page, not a user; link the user's profile.", name=name)
        case ["tag", _]:
            return Target("tag", name=parts[1])
        case ["login"] if returned := re.search(r"[?&]returnurl=([^&#]+)", rest, re.I):
            return _read_returned(unquote(returned[1]))
        case ["images"] | ["api", "v1", "images"]:
            return _read_pictures(given)
        case ["api", "v1", "models"]:
            return _read_models(given)
    first = parts[0].lower() if parts else ""
    if first in _TABLE["not_fetched"]:
        raise UsageError("This isn't a supported link: {pages} can't be fetched; skipped.", pages=first)
    page = printable("/" + "/".join(parts[:2]))[:60]
    raise UsageError("This isn't a supported link: pages such as {page} can't be fetched; skipped.", page=page)


def _without_end(text: str) -> str:
    """Return a text without blanks and punctuation at its end, unless that closes a bracket or may belong to a name."""
    bare = text
    while (shorter := bare.rstrip().rstrip(_EDGES.replace("_", ""))) != bare:
        bare = shorter
    return bare + ")" if text[len(bare) :].startswith(")") and bare.count("(") > bare.count(")") else bare


def _plain_part(part: str) -> str:
    """Return a part of a path as a name: decoded, and without punctuation at its end."""
    return _without_end(decoded(part).strip())


def _user_name(name: str) -> str:
    """Return a user's name up to the first mark that no name has, as in a row of a table without blanks."""
    return re.split(r"[,;|()\[\]{}*!:&=]", name)[0].rstrip()


def _read_returned(link: str) -> Target:
    """Return the target to which a login leads back. Raises UsageError."""
    begin = _start("").match(link)
    return _read_link(begin["host"].lower(), link[begin.end() :]) if begin else _read_path(link)


def _read_pictures(given: dict[str, str]) -> Target:
    """Return what a list of pictures is limited to: one picture, a post, a version or a user. Raises UsageError."""
    kinds: dict[str, Kind] = {"imageid": "image", "postid": "post", "modelversionid": "version", "username": "user"}
    named = [name for name in kinds if name in given]
    if named[:1] == ["imageid"]:
        named = named[:1]
    if len(named) != 1 or not (named == ["imageid"] or is_unfiltered(given, named)):
        raise UsageError(
            "A link to a picture list must name one version, post, user or picture, without other filters."
        )
    kind, value = kinds[named[0]], given[named[0]]
    if kind == "user":
        return Target("user", name=_user_name(_plain_part(value)), part="images")
    found = read_id(value)
    if found is None:
        raise _Damaged("The link is damaged: {name!r} can't be read; copy the link again.", name=named[0])
    return Target("version", version=found[0], part="images") if kind == "version" else Target(kind, id=found[0])


def _read_models(given: dict[str, str]) -> Target:
    """Return what a list of models is limited to: a user, a tag, or one id. Raises UsageError."""
    named = [name for name in ("username", "tag", "tagname", "ids") if name in given]
    if len(named) != 1 or not is_unfiltered(given, named):
        raise UsageError(
            "A link to a model list must name one user, tag or ID; narrow it with options such as --types."
        )
    value = given[named[0]]
    if named != ["ids"]:
        name = _plain_part(value.replace("+", " "))
        if not name:
            raise _Damaged("The link is damaged: {name!r} is empty; copy the link again.", name=named[0])
        return Target("user", name=name, part="models") if named == ["username"] else Target("tag", name=name)
    found = read_id(value)
    if found is None or re.search("[0-9]", found[1]):
        raise _Damaged("The link has several IDs, or one that can't be read; put each ID on a line of its own.")
    return Target("model", id=found[0])


def _read_picture(rest: str) -> Target:
    """Return the picture that a storage link shows, if the link has its id. Raises UsageError."""
    found = re.fullmatch(_STORED_PICTURE, rest, re.I | re.S)
    if not found or not ends_here(found["rest"]):
        raise UsageError("The link to a picture file doesn't say which picture it is; link the picture's page instead.")
    return Target("image", id=int(found["id"]), name=found["uuid"].lower())


def _read_archive(rest: str) -> Target:
    """Return the target of a link to the site's archive, which has the site's own ids. Raises UsageError."""
    plain = decoded(rest)
    if found := re.match(r"/+sha256/+([0-9a-f]{64})(.*)", plain, re.I | re.S):
        if ends_here(found[2]):
            return Target("hash", name=found[1].lower())
        raise _Damaged("The link is damaged: its hash is incomplete; copy the link again.")
    own = re.sub(r"^/+(?:api/+(?:v1/+)?)?civitai(?=/+models/)", "", plain, flags=re.I)
    own = re.sub(r"^/+api/+(?=models/)", "/", own, flags=re.I)
    if re.match(r"/+(?:models|(?:api/+)?download/+models)/+[0-9]", own, re.I):
        return _read_path(own)
    raise UsageError("Only links to models, versions and files from Civitai are supported on the archive site.")


def _read_short(word: str) -> Target | None:
    """Return the target of a form without a host: an AIR, an id, a hash or the end of a link. Raises UsageError."""
    if re.match(_AIR, word, re.I):
        return _read_air(word)
    if found := re.fullmatch(r"([0-9]+)@([0-9]+)", word):
        return _checked(Target("model", id=int(found[1][:12]), version=int(found[2][:12])))
    if re.match(r"/?(?:api/v1/)?(?:models|model-versions|posts|images|collections)/[0-9]|/?api/download/", word, re.I):
        return _read_path("/" + word.lstrip("/"))
    if re.match(r"[0-9]+\?", word) and (whole := read_id(word)):
        narrow = _narrowed("model", *whole)
        return narrow if narrow.version else None
    if re.fullmatch(r"[0-9]+", word) and (bare := read_id(word)):
        return Target("id", id=bare[0])
    return _read_hash(word)


def _read_air(word: str) -> Target:
    """Return the model, version or file of an AIR; a layer and a format say nothing more. Raises UsageError."""
    found = re.fullmatch(
        r".*?civitai:([0-9]+)(?:@([0-9]+))?(?:\+([0-9]+))?(?::[\w-]+)?(?:\.[a-z]\w*)?[^\w@+]*",
        decoded(word),
        re.I | re.S,
    )
    if not found or (found[3] and not found[2]):
        raise _Damaged("The AIR is damaged: its IDs can't be read; copy it again.")
    number, version, file = (int((each or "0")[:12]) for each in found.groups())
    target = _checked(Target("model", id=number, version=version, file=file))
    if target is None or (found[2] and not version):
        raise _Damaged("The AIR is damaged: its IDs can't be read; copy it again.")
    return target


def _checked(target: Target) -> Target | None:
    """Return the target if its ids are such as the site gives."""
    ids = (target.id, target.version, target.file)
    return target if target.id and all(each == 0 or read_id(str(each)) for each in ids) else None


def _read_hash(word: str) -> Target | None:
    """Return the hash that a word is; one of eight needs a digit, so that no word is taken for it."""
    found = re.fullmatch(r"(?:(sha-?256|auto-?v[123]|blake3|crc32|hash)[:=])?([0-9a-f]+)", word, re.I)
    if not found or len(found[2]) not in HASH_LENGTHS:
        return None
    is_plain = found[1] or len(found[2]) > 8 or re.search("[0-9]", found[2])
    return Target("hash", name=found[2].lower()) if is_plain else None
