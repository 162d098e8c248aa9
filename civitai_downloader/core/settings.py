"""Settings: every option, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from ..util.errors import OptionError, UsageError
from ..util.hours import Hours
from ..util.names import clean_name
from ..util.proxies import passwords_of_proxies
from ..util.text import Secrets, decode_text, printable, split_login, web_link
from ..util.values import nearest, not_known, plain
from .ours import is_ours
from .shares import Share

FIELDS = (
    "creator type base_model model_name model_id version_name version_id year month nsfw tag rating weighted_rating"
).split()
TYPES = (
    "Checkpoint TextualInversion Hypernetwork AestheticGradient LORA LoCon DoRA Controlnet Upscaler MotionModule VAE "
    "TextEncoder UNet CLIPVision Poses Wildcards Workflows ComfyWorkflows Detection VisionLanguage CLIP LLM Other"
).split()
NAMED_LAYOUTS = ("creator", "sharded", "comfyui", "a1111")
TEMPLATES = {
    "by-type": "{type}", "by-base-model": "{base_model}", "by-creator": "{creator}", "by-rating": "{rating}",
    "by-nsfw": "{nsfw}", "by-date": "{year}/{month}",
}  # fmt: skip
IN_PLACE = ""  # the layout of a folder that is an INPUT: its files stay where they are


# A name and nothing else: no format, conversion, attribute or index.
_FIELD = re.compile(rf"\{{({'|'.join(FIELDS)})\}}")


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Return a layout's text with a value in the place of each field."""
    return _FIELD.sub(lambda found: values[found[1]], template)


def split_template(template: str) -> list[str]:
    """Return the folders of a template, outermost first."""
    return [part for part in re.split(r"[/\\]", template) if part.strip(". ")]


def _check_layout(layout: str) -> None:
    """Raise UsageError for what is neither a named layout nor a template of known fields below the output folder."""
    shown = printable(layout)
    if brace := re.search(r"\{[^{}]*\}|[{}].*", _FIELD.sub("", layout), re.S):
        raise not_known("--layout", printable(brace[0])[:40], [f"{{{each}}}" for each in FIELDS])
    if layout in (*NAMED_LAYOUTS, IN_PLACE):
        return
    if not _FIELD.search(layout):
        raise not_known("--layout", shown, [*NAMED_LAYOUTS, *TEMPLATES, "{creator}/{model_name}"])
    if re.match(r"[/\\]|[A-Za-z]:|~", layout) or re.search(r"(?:^|[/\\])\s*\.\.\s*(?:[/\\]|$)|[\0-\x1f]", layout):
        raise UsageError("The layout {layout!r} leads out of the output folder; set that folder with -o.", layout=shown)
    if own := next((part for part in split_template(layout) if part != "users" and is_ours(clean_name(part))), ""):
        raise UsageError(
            "The layout has a folder {name!r}, which the program needs for itself; choose another name.",
            name=printable(own),
        )


def _check_types(types: Iterable[str]) -> None:
    """Raise OptionError for a type that is a misspelt one; types that the site may have added since are taken."""
    for name in types:
        if plain(name) not in map(plain, TYPES) and nearest(name, TYPES, 0.7):
            raise not_known("--types", name, TYPES)


def _check_token(token: str) -> None:
    """Raise OptionError for what can't be a token. The message does not show it."""
    if re.search(r"\s", token):
        raise OptionError("The token is malformed: it contains a space; pass it as one word, as the site shows it.")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise OptionError("The token is malformed: it contains an invalid character; copy it again from the site.")
    if not 8 <= len(token) <= 512:
        raise OptionError(
            "The token is malformed: it has {count} characters, but a token has 8 to 512.", count=len(token)
        )


@dataclass(frozen=True)
class Settings:
    """Every option, checked; the options of a list line are a copy with replaced fields.

    `max_images` holds for each gallery (None: all of it), `max_rate_model` and `max_rate_image` are requests a second,
    `limit_rate` is bytes a second (0: unlimited), `timeout` is in seconds, `between` has windows of the week (none: any
    time), `rest_below` is how many bytes a disk must have free, `since` and `until` are days of UTC, `skip` has
    patterns of what is not looked into, and `excluded` has pairs of a kind and an id or name. `every_base` says that
    all base models were asked for by name. New files go into the folder of the model file `beside` ("": where the
    layout says), a relative path. With `organize` the files of a folder are put into `destination`, the output folder
    of the command. A login in the address of the site is kept apart from it (`site_login`, as NAME:PASSWORD). `page`
    says whether the page is made: None if something has changed, True anew. A copy does what falls to its `share`.
    """

    output: Path = Path("downloads")
    layout: str = "creator"
    latest: bool = False
    primary: bool = False
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    only: Literal["all", "models", "images", "metadata"] = "all"
    gallery: bool = True
    max_images: int | None = 200
    sfw: bool = False
    loras: bool = True
    checkpoints: bool = False
    full_metadata: bool = False
    since: str = ""
    until: str = ""
    sort: Literal["", "newest", "oldest", "downloads", "likes"] = ""
    max_models: int | None = None
    skip: tuple[str, ...] = ()
    updates: bool = False
    update: bool = False
    every_base: bool = False
    beside: str = ""
    excluded: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    organize: Literal["", "symlink", "hardlink", "copy", "move"] = ""
    on_collision: Literal["skip", "rename", "overwrite", "fail"] = "skip"
    destination: Path | None = None
    token: str = field(default="", repr=False)
    cookies: str = field(default="", repr=False)
    site: str = ""
    site_login: str = field(default="", repr=False)
    workers: int = 4
    max_rate_model: float = 0.5
    max_rate_image: float = 2.0
    limit_rate: int = 0
    connections: int = 8
    retries: int = 5
    timeout: float = 30.0
    between: tuple[str, ...] = ()
    rest_below: int = 0
    resume: bool = True
    check_hashes: bool = True
    force: bool = False
    refresh: bool = False
    wait: bool = False
    idm: Path | None = None
    idm_wait: bool = False
    idm_token_url: bool = False
    dry_run: bool = False
    page: bool | None = None
    thumbnails: bool = False
    share: Share | None = None

    def __post_init__(self) -> None:
        """Raise OptionError for a layout, site or token that can't work."""
        for name in ("skip", "between"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "layout", TEMPLATES.get(self.layout, self.layout))
        if self.organize and self.destination is None:
            object.__setattr__(self, "destination", self.output)
        if self.base_models:
            object.__setattr__(self, "every_base", "all" in map(plain, self.base_models))
        if self.every_base:
            object.__setattr__(self, "base_models", ())
        site, login = split_login(self.site)
        if login:
            object.__setattr__(self, "site", site)
            object.__setattr__(self, "site_login", unquote(login))
        _check_layout(self.layout)
        _check_types(self.types)
        if self.since and self.until and self.since > self.until:
            raise OptionError("--since {since} is later than --until {until}.", since=self.since, until=self.until)
        if self.token:
            _check_token(self.token)
        if self.site and not web_link(self.site):
            raise OptionError("The site {value!r} isn't a web address; use https://HOST.", value=printable(self.site))

    @property
    def secrets(self) -> Secrets:
        """What must never be shown or stored: token, cookies, and the passwords of the site and of the proxies."""
        return _secrets(self.token, self.cookies, self.site_login)

    @property
    def hours(self) -> Hours:
        """When the site may be asked. A dry run brings nothing, and somebody waits for its answer."""
        return Hours.of(() if self.dry_run else self.between)

    @property
    def wants_files(self) -> bool:
        """Whether model files are to be fetched."""
        return self.only in ("all", "models")

    @property
    def wants_images(self) -> bool:
        """Whether the pictures of `images/` are to be fetched."""
        return self.only in ("all", "images")

    def wants_level(self, level: int) -> bool:
        """Whether a picture of this browsing level is wanted; with --sfw an unrated one is not."""
        return not self.sfw or level in (1, 2)

    @property
    def compares(self) -> bool:
        """Whether what is on disk is compared with the site."""
        return self.updates or self.update

    @property
    def asks_anew(self) -> bool:
        """Whether nothing is taken from earlier answers of the site."""
        return self.refresh or self.compares

    def has(self, kind: str, thing_id: int) -> bool:
        """Whether a model, post or picture falls to this copy; without a share everything does."""
        return self.share is None or self.share.has(kind, thing_id)

    @property
    def has_days(self) -> bool:
        """Whether things of a list are wanted by their day."""
        return bool(self.since or self.until)

    @property
    def is_choosy(self) -> bool:
        """Whether not everything of a list is wanted, or in an order of its own."""
        return bool(self.has_days or self.sort or self.max_models is not None or self.excluded)

    @property
    def whole(self) -> Settings:
        """The settings without what cuts lists."""
        return replace(self, since="", until="", sort="", max_models=None)

    def wants_day(self, date: str) -> bool:
        """Whether a date of the site lies in the days wanted, both included; an unknown one lies in none."""
        day = date[:10]
        return not self.has_days or bool(day and (self.since or day) <= day <= (self.until or day))

    @property
    def level(self) -> int:
        """The browsing levels wanted, as the site's bitmask (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX)."""
        return 3 if self.sfw else 31


_SECRET_COOKIE = re.compile(r"(?i)token|sess|auth|secret|key|csrf|clearance|sid|jwt|login|pass")
_HARMLESS = re.compile(r"[a-z]+|[A-Z]?[a-z]*|[0-9.]+")


@lru_cache(maxsize=8)
def _secrets(token: str, cookies: str, login: str) -> Secrets:
    """Return the secrets; of cookies those that are secret by their names, or long and neither a word nor a number.

    A cookie such as `theme=dark` would cut that word out of every prompt.
    """
    found = [token, *passwords_of_proxies(), login.partition(":")[2]]
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        value = value.strip('"')
        named = len(value) >= 4 and _SECRET_COOKIE.search(name)
        if named or (len(value) >= Secrets.SHORT and not _HARMLESS.fullmatch(value)):
            found.append(value)
    return Secrets(found)


def check_organize(given: Mapping[str, object]) -> None:
    """Raise OptionError if the options that were given ask to organise a folder, and not where to."""
    if given.get("undo") and given.get("organize"):
        raise OptionError("--undo takes back what --organize has done; pass one of them at a time.")
    missing = [name for name, key in (("-o DIR", "output"), ("--layout NAME", "layout")) if key not in given]
    if given.get("organize") and missing:
        raise OptionError(
            "--organize needs a folder to put files into and a layout; add {missing}.", missing=" ".join(missing)
        )
    if "on_collision" in given and not given.get("organize"):
        raise OptionError("--on-collision says what --organize does where a name is taken; add --organize.")


def find_token(named: Iterable[str | None]) -> str:
    """Return the first of the tokens named by options and environment, else that in `token.txt`, else ""."""
    file = Path("token.txt")
    token = next(filter(None, named), None) or decode_text(file.read_bytes() if file.is_file() else b"")
    return re.sub(r"^(?:authorization:\s*)?bearer\s+", "", token.strip().strip("\"'<>"), flags=re.I).strip()
