"""Targets: what is asked for, and the settings that hold for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from .data import read_data
from .settings import Settings

MAX_ID = 2147483647  # the site refuses larger ones
HOSTS: tuple[str, ...] = tuple(json.loads(read_data("links.json"))["hosts"])
SITE, MATURE_SITE = "https://civitai.com", "https://civitai.red"
Kind = Literal["model", "version", "id", "user", "post", "image", "collection", "tag", "hash", "local", "updates"]


@dataclass(frozen=True)
class Target:
    """What a link means; `id` is that of the model, post, image or collection.

    The kind `id` is a bare number: a model, or a version if there is no such model. `name` is that of a user or tag,
    a hash, the uuid that a picture's storage link has, or the whole path of a `local` folder or model file, or of a
    library whose `updates` are asked for; `part` is the page of a user (`models`, `images`, `videos`, `posts`, or all),
    and for a version `images` means its gallery alone. `match` is what a line of a list says that a model file is
    (`NOTHING`: nothing that the site has).
    """

    kind: Kind
    id: int = 0
    version: int = 0
    file: int = 0
    traits: tuple[tuple[str, str], ...] = ()
    name: str = ""
    part: str = ""
    match: Target | None = None


NOTHING = Target("local")


def user_link(name: str) -> str:
    """Return the link to a user's page."""
    return f"{SITE}/user/{quote(name)}"


@dataclass(frozen=True)
class Entry:
    """One target with the settings that hold for it; `source` is the line it came from, without secrets."""

    target: Target
    settings: Settings
    source: str
