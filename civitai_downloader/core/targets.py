"""Targets: what a line of text means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ..util.text import decode_text, scrub, split_words
from .settings import Settings

MAX_ID = 2147483647  # the site refuses larger ones
HOSTS = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue", "civitaired.com", "api.civitai.com")
SITE, MATURE_SITE = "https://civitai.com", "https://civitai.red"
Kind = Literal["model", "version", "id", "user", "post", "image", "collection", "tag", "hash"]


@dataclass(frozen=True)
class Target:
    """What a link means; `id` is that of the model, post, image or collection.

    The kind `id` is a bare number: a model, or a version if there is no such model. `name` is that of a user or tag,
    or a hash; `part` the page of a user (`models`, `images`, `videos`, `posts`, or all).
    """

    kind: Kind
    id: int = 0
    version: int = 0
    file: int = 0
    traits: tuple[tuple[str, str], ...] = ()
    name: str = ""
    part: str = ""


# Paths of the site's pages and interfaces (a link is matched by its path), then forms that are no link.
PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("version", r"(?:/api)?/download/(?P<training>training-data|models)/(?P<version>\d+)/?"),
    ("version", r"/(?:api/v1/)?model-versions/(?P<version>\d+)(?:/.*)?"),
    ("model", r"/(?:api/v1/)?models/(?P<id>\d+)(?:/.*)?"),
    ("user", r"/user/(?P<name>[^/]+)(?:/(?P<part>models|images|videos|posts))?/?"),
    ("post", r"/posts/(?P<id>\d+)(?:/.*)?"),
    ("image", r"/(?:images|gallery)/(?P<id>\d+)(?:/.*)?"),
    ("image", r"https?://image\.civitai\.com/.+/(?P<id>\d+)\.\w+"),
    ("collection", r"/collections/(?P<id>\d+)(?:/.*)?"),
    ("tag", r"/tag/(?P<name>[^/]+)/?"),
    ("model", r"(?:urn:|air:)*[^:/]+:[^:/]+:civitai:(?P<id>\d+)(?:@(?P<version>\d+))?(?:\+(?P<file>\d+))?(?:\.\w+)?"),
    ("model", r"(?:civitai:)?(?P<id>\d+)@(?P<version>\d+)"),
    ("hash", r"(?P<name>[0-9a-f]{64})"),
    ("id", r"(?P<id>\d+)"),
    ("hash", r"(?P<name>[0-9a-f]{10})"),
)
TRAITS = ("type", "format", "size", "fp")


def parse_target(text: str, site: str = "", *, users: bool = False) -> Target | None:
    """Return the target that a word stands for, or None; `site` is a further host whose links are understood.

    With `users` (a list of users) a bare word is a user's name.
    """
    if users and re.fullmatch(r"[^/:@]+", text):
        return Target("user", name=text)
    path, query = _split_link(text, site)
    for kind, pattern in PATTERNS:
        found = re.fullmatch(pattern, path, re.I | re.S)
        if found and (target := _target_from(kind, found.groupdict(), query)):
            return target
    return None


def _split_link(text: str, site: str) -> tuple[str, dict[str, str]]:
    """Return path and query of a link to the site, and any other text unchanged with an empty query."""
    hosts = {*HOSTS, *(f"www.{host}" for host in HOSTS), urlsplit(site).netloc.lower()} - {""}
    with suppress(ValueError):
        parts = urlsplit(text if "://" in text else f"https://{text}")
        if parts.scheme.lower() in ("http", "https") and parts.netloc.lower() in hosts:
            return unquote(parts.path), {key.lower(): values[-1] for key, values in parse_qs(parts.query).items()}
    return text, {}


def _target_from(kind: Kind, found: Mapping[str, str | None], query: Mapping[str, str]) -> Target | None:
    """Return the target that the groups of a pattern and the query of a link name, or None if no id fits."""
    download = found.get("training")
    named_version = found.get("version") or (query.get("modelversionid") if kind == "model" else None)
    named = (found.get("id"), named_version, found.get("file") or (query.get("fileid") if download else None))
    number, version, file = (int(each) if each and each.isdecimal() else 0 for each in named)
    name, part = ((found.get(each) or "").strip() for each in ("name", "part"))
    if not (name or number or version) or max(number, version, file) > MAX_ID:
        return None
    if download == "training-data":
        query = {"type": "Training Data"}
    traits = tuple((trait, query[trait]) for trait in TRAITS if download and not file and query.get(trait))
    name = name.lower() if kind == "hash" else name
    return Target(kind, id=number, version=version, file=file, traits=traits, name=name, part=part.lower())


@dataclass(frozen=True)
class Line:
    """One line of a list: its number, the link and the words behind it."""

    number: int
    link: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line as it can be written into another list, without a token that was pasted with a link."""
        words = [f'"{word}"' if re.search(r"\s|^$", word) else word for word in self.words]
        return scrub(" ".join([self.link, *words]))


def parse_list(data: bytes) -> list[Line]:
    """Return the lines of a list file that are neither blank nor a comment."""
    found = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", decode_text(data)), 1):
        bare = re.sub(r"(?:^|\s)#.*", "", line, flags=re.S).strip("\ufeff\u200b \t\0")
        words = split_words(bare.rstrip(",; "))
        if words and (link := words[0].strip("\"'<>,;")):
            found.append(Line(number, link, tuple(words[1:])))
    return found


def user_link(name: str) -> str:
    """Return the link to a user's page."""
    return f"{SITE}/user/{quote(name)}"


@dataclass(frozen=True)
class Entry:
    """One target with the settings that hold for it; `source` is the line it came from, without secrets."""

    target: Target
    settings: Settings
    source: str
