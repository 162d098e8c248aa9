"""The way of a link: from a line of text to verified files on disk.

Read from top to bottom: settings, targets, the site's answers, the choice of files, places and names, pages and
sidecars, the library on disk, one file's way, the run, and what is said about it afterwards.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import os
import re
import string
import threading
import time
import traceback
import unicodedata
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache, cached_property, lru_cache, partial
from itertools import chain, compress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

import requests

from . import __version__, util
from .util import Failure, Refused, UsageError

log = logging.getLogger("civitai_downloader")

PROJECT_URL = "https://github.com/civitai-downloader/civitai-downloader"
KEY_URL = "https://civitai.com/user/account"
MAX_ID = 2147483647
DAY = 86400.0
ARCHIVED = "The model is archived by its creator; its files can't be downloaded."

Outcome = Literal["done", "skipped", "queued", "failed"]
Pages = Iterator[list[dict[str, Any]]]


# --- Settings ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Every option, checked; the options of a list line are a copy with replaced fields."""

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
    token: str = field(default="", repr=False)
    cookies: str = field(default="", repr=False)
    site: str = ""
    workers: int = 4
    max_rate_model: float = 0.5
    max_rate_image: float = 2.0
    limit_rate: int = 0
    connections: int = 8
    retries: int = 5
    timeout: float = 30.0
    resume: bool = True
    check_hashes: bool = True
    force: bool = False
    refresh: bool = False
    wait: bool = False
    idm: Path | None = None
    idm_wait: bool = False
    idm_token_url: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a layout, site or token that can't work."""
        check_layout(self.layout)
        if self.token and not re.fullmatch(r"[\x21-\x7e]{8,512}", self.token):
            raise UsageError("The token is malformed: it must be one word of letters and digits, as the site gave it.")
        if self.site and not util.web_link(self.site):
            raise UsageError(f"The site {util.printable(self.site)!r} is no web address; write https://HOST.")

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
    def level(self) -> int:
        """The browsing levels wanted, as the site's bitmask (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX)."""
        return 3 if self.sfw else 31


# --- Targets -------------------------------------------------------------------------------------

HOSTS = ("civitai.com", "civitai.red", "civitai.green", "civitai.blue", "civitaired.com", "api.civitai.com")
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
    (
        "model",
        r"(?:urn:)?(?:air:)?[^:/]+:[^:/]+:civitai:(?P<id>\d+)(?:@(?P<version>\d+))?(?:\+(?P<file>\d+))?(?:\.\w+)?",
    ),
    ("model", r"(?:civitai:)?(?P<id>\d+)@(?P<version>\d+)"),
    ("hash", r"(?P<name>[0-9a-f]{64})"),
    ("id", r"(?P<id>\d+)"),
    ("hash", r"(?P<name>[0-9a-f]{10})"),
)
TRAITS = ("type", "format", "size", "fp")


def parse_target(text: str, site: str = "", *, users: bool = False) -> Target | None:
    """The target a word stands for, or None; `site` is a further host whose links are understood.

    With `users` (a list of users) a bare word is a user's name.
    """
    if users and re.fullmatch(r"[^/:@]+", text):
        return Target("user", name=text)
    path, query = _split_link(text, site)
    for kind, pattern in PATTERNS:
        found = re.fullmatch(pattern, path, re.I | re.S)
        if found and (target := _target(kind, found.groupdict(), query)):
            return target
    return None


def _split_link(text: str, site: str) -> tuple[str, dict[str, str]]:
    """Path and query of a link of the site; any other text comes back whole."""
    hosts = {*HOSTS, *(f"www.{host}" for host in HOSTS), urlsplit(site).netloc.lower()} - {""}
    with suppress(ValueError):
        parts = urlsplit(text if "://" in text else f"https://{text}")
        if parts.scheme.lower() in ("http", "https") and parts.netloc.lower() in hosts:
            return unquote(parts.path), {key.lower(): values[-1] for key, values in parse_qs(parts.query).items()}
    return text, {}


def _target(kind: Kind, found: Mapping[str, str | None], query: Mapping[str, str]) -> Target | None:
    download = found.get("training")
    named_version = found.get("version") or (query.get("modelversionid") if kind == "model" else None)
    named = (found.get("id"), named_version, found.get("file") or (query.get("fileid") if download else None))
    thing, version, file = (int(each) if each and each.isdecimal() else 0 for each in named)
    name, part = ((found.get(each) or "").strip() for each in ("name", "part"))
    if not (name or thing or version) or max(thing, version, file) > MAX_ID:
        return None
    traits = [(trait, query[trait]) for trait in TRAITS if query.get(trait)] if download else []
    if download == "training-data":
        traits = [("type", "Training Data")]
    name = name.lower() if kind == "hash" else name
    return Target(kind, thing, version, file, () if file else tuple(traits), name, part.lower())


@dataclass(frozen=True)
class Line:
    """One line of a list: its number, the link and the words behind it."""

    number: int
    link: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line as it can be written into another list; a token pasted with a link is cut out."""
        words = [f'"{word}"' if re.search(r"\s|^$", word) else word for word in self.words]
        return util.scrub(" ".join([self.link, *words]))


def parse_list(data: bytes) -> list[Line]:
    """The lines of a list file that are neither blank nor a comment."""
    found = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", util.decode_text(data)), 1):
        bare = re.sub(r"(?:^|\s)#.*", "", line, flags=re.S).strip("\ufeff\u200b \t\0")
        words = util.split_words(bare.rstrip(",; "))
        if words and (link := words[0].strip("\"'<>,;")):
            found.append(Line(number, link, tuple(words[1:])))
    return found


def user_link(name: str) -> str:
    """The link to a user's page."""
    return f"{SITE}/user/{quote(name)}"


@dataclass(frozen=True)
class Entry:
    """One target with the settings that hold for it; `source` is the line it came from, without secrets."""

    target: Target
    settings: Settings
    source: str


# --- The site ------------------------------------------------------------------------------------

SITE, MATURE_SITE = "https://civitai.com", "https://civitai.red"
DELIVERY = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"


def is_paging_cap(refused: Refused) -> bool:
    """A 429 that says "use cursors": asking again never helps."""
    return refused.status == 429 and b"use cursors" in refused.body


def is_lost_for_now(refused: Refused) -> bool:
    """A 404 of the storage look-up, which may pass (it is marked private, no-store)."""
    control = refused.headers.get("Cache-Control", "")
    return refused.status == 404 and "private" in control and "no-store" in control


def explain(refused: Refused, *, has_token: bool) -> Failure:
    """What a refusal of the site means for the user."""
    answer, status = util.json_line(refused.body) or {}, refused.status
    message = _error_words(answer)
    words, until = message.lower(), text(answer, "deadline")[:10] or "an unknown day"
    gated, login = refused.headers.get("cf-mitigated") == "challenge", status == 401
    early = status == 403 and ("deadline" in answer or "early access" in words)
    meanings = (
        (gated, "blocked", "The site's gate keeper wants to see a browser; wait, or use another connection."),
        (status == 451, "region", "The site is closed in this region by law; it may be open to another connection."),
        (status == 410 or "archived" in words, "archived", ARCHIVED),
        (login and "disabled" in words, "disabled", "The creator disabled its downloads; no token helps."),
        (login and has_token, "token-refused", f"The site did not accept the token; make a new one at {KEY_URL}."),
        (login, "needs-token", f"The site wants a token: make one at {KEY_URL} and give it by --token."),
        (early, "early-access", f"Early access until {until}; it is free afterwards."),
        (status == 403, "forbidden", "The site denies access to this with the given token; check it in a browser."),
        (status == 404, "gone", "The site has no such thing (deleted, private or never there); check the link."),
        (True, "refused", f"The site refused the request ({status} {message[:200]}); check the link."),
    )
    return next(Failure(reason, sentence) for applies, reason, sentence in meanings if applies)


def _error_words(answer: Mapping[str, Any]) -> str:
    """What an error body says; the REST interface has five shapes of them, tRPC one in two encodings."""
    error = inner = answer.get("error")
    with suppress(Failure):
        inner = unwrap(error)
    told = (text(answer, "message"), text(answer, "error"), text(inner, "message"))
    return util.printable(" ".join(filter(None, told)))


def unwrap(data: Any) -> Any:
    """What a tRPC answer holds: a superjson object, or a devalue text; raises Failure for anything else.

    In superjson an undefined value is written as null, so that its `meta` need not be read.
    """
    if isinstance(data, dict) and "json" in data:
        return data["json"]
    with suppress(ValueError, RecursionError):
        if isinstance(data, str):
            return util.parse_devalue(data)
    raise Failure("answer", "The site's inner interface sent data of another shape than expected; try again later.")


def read_cookies(path: Path) -> str:
    """The `Cookie` header in a file: pasted from a browser, or a Netscape cookie file. Raises UsageError."""
    words = util.decode_text(util.read_named(path))
    rows = [line.removeprefix("#HttpOnly_").split("\t") for line in words.splitlines()]
    jar = [f"{row[5]}={row[6]}" for row in rows if len(row) == 7 and row[0].lstrip(".").lower() in HOSTS]
    header = "; ".join(jar) or re.sub(r"(?i)^\s*cookie:", "", " ".join(words.split())).strip()
    if not re.fullmatch(r"[\x20-\x7e]+=[\x20-\x7e]*", header):
        raise UsageError(f"{path} holds no cookies of the site; paste the Cookie header of your browser into it.")
    return header


class Site:
    """The site's REST interface and its files: paced, patient, and the only one who knows the token."""

    def __init__(self, settings: Settings, clock: util.Clock) -> None:
        """`settings` are those of the run, not of a line; answers are kept for a day in its output folder."""
        self.base = settings.site.rstrip("/") or SITE
        self._other = "" if settings.site else MATURE_SITE
        self._token, self._cookies = settings.token, settings.cookies
        bases = [self.base] if settings.site else [self.base, *(f"https://{host}" for host in HOSTS)]
        self._own = {urlsplit(base)[:2] for base in bases}
        agent = f"civitai-downloader/{__version__} (+{PROJECT_URL})"
        rules = util.HttpRules(agent=agent, sign=self._sign, final=is_paging_cap, passing=is_lost_for_now)
        self.http = util.Http(rules, clock, timeout=settings.timeout, retries=settings.retries, log=log.debug)
        factor = self.http.health.factor
        self._model_pace = util.Pace(settings.max_rate_model, clock, factor)
        self._image_pace = util.Pace(settings.max_rate_image, clock, factor)
        listener = "" if self._token or self._cookies else "anonymous "
        lists = util.long_path(settings.output) / "lists"
        self.kept = util.KeptAnswers(lists, listener, read_only=settings.dry_run, write_only=settings.refresh)
        self._delivery = ""
        self.api_requests = 0

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give token and cookies to the site's own hosts and to nobody else, whatever a redirect says."""
        if urlsplit(request.url or "")[:2] in self._own:
            if self._token:
                request.headers["Authorization"] = f"Bearer {self._token}"
            if self._cookies:
                request.headers["Cookie"] = self._cookies
        return request

    def model(self, model_id: int) -> dict[str, Any]:
        """`/models/{id}`: the whole model with all published versions."""
        return self._get(f"/models/{model_id}", {}, self._model_pace)

    def models_by_id(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Up to 100 models in one request, those kept from earlier without any; the list leaves some kinds out."""
        kept = {each: self.kept.get(f"v1/models/{each}") for each in ids}
        found = [answer for answer in kept.values() if isinstance(answer, dict)]
        missing = ",".join(str(each) for each, answer in kept.items() if answer is None)
        if missing:
            query = {"ids": missing, "nsfw": "true", "archived": "true", "limit": 100}
            for answer in dicts(self._get("/models", query, self._model_pace, keep=False), "items"):
                self.kept.put(f"v1/models/{number(answer, 'id')}", answer)
                found.append(answer)
        return found

    def models(self, query: Mapping[str, Any]) -> Pages:
        """Pages of `/models?…` in an order that loses nothing at page boundaries (`Newest` does)."""
        wanted = {**query, "archived": "true", "sort": "Oldest"}
        return pages(lambda more: self._get("/models", {**wanted, **more}, self._model_pace), 100, None)

    def version(self, version_id: int) -> dict[str, Any]:
        """`/model-versions/{id}`: one version; it names its model in `modelId`."""
        return self._get(f"/model-versions/{version_id}", {}, self._model_pace)

    def version_by_hash(self, digest: str) -> dict[str, Any]:
        """`/model-versions/by-hash/{hash}`: the earliest published version with a file of this hash."""
        return self._get(f"/model-versions/by-hash/{digest}", {}, self._model_pace)

    def versions_by_sha256(self, digests: Sequence[str]) -> dict[str, Target]:
        """The versions with files of these SHA256 (upper case, at most 10,000), in one request; kept ones without any.

        Those that are nowhere, or in several versions, are left out.
        """
        kept = {digest: self.kept.get(f"v1/sha256/{digest}") for digest in digests}
        if missing := [digest for digest, answer in kept.items() if answer is None]:
            url = f"{self.base}/api/v1/model-versions/by-hash/ids"
            rows = self.http.json(url, util.Patience(), None, partial(self._take_turn, self._model_pace), missing)
            found: dict[str, list[Any]] = {}
            for row in rows if isinstance(rows, list) else ():
                found.setdefault(text(row, "hash").upper(), []).append(row)
            for digest in missing:
                kept[digest] = found.get(digest, [])
                self.kept.put(f"v1/sha256/{digest}", kept[digest])
        return {
            digest: Target("version", id=number(rows[0], "modelId"), version=number(rows[0], "modelVersionId"))
            for digest, rows in kept.items()
            if isinstance(rows, list) and len(rows) == 1
        }

    def needs_token(self, version_id: int) -> bool:
        """Whether the version's files ask for a login (`/model-versions/mini/{id}`)."""
        return self._get(f"/model-versions/mini/{version_id}", {}, self._model_pace).get("requireAuth") is True

    def images(self, query: Mapping[str, Any], limit: int | None = None) -> Pages:
        """Pages of `/images?…` with prompts; the most liked first, or, without a limit, all of them by age.

        Oldest first keeps the offsets of the following pages stable while new pictures arrive.
        """
        wanted = {**query, "withMeta": "true", "sort": "Oldest" if limit is None else "Most Reactions"}
        return pages(lambda more: self._get("/images", {**wanted, **more}, self._image_pace), 200, limit)

    def image(self, image_id: int) -> dict[str, Any]:
        """One picture with its prompt, from `/images?imageId=`, else tRPC `image.get`, else its page.

        Older deployments ignored `imageId`, so the id is compared. Raises Failure when nobody knows it.
        """
        query = {"imageId": image_id, "browsingLevel": 31, "withMeta": "true", "flatMeta": "true"}
        listed = dicts(self._get("/images", query, self._image_pace), "items")
        found = next((item for item in listed if number(item, "id") == image_id), None)
        if found is None:
            try:
                found = self.trpc("image.get", {"id": image_id})
            except Failure:
                link = f"{self.base}/images/{image_id}"
                with suppress(Failure), closing(self.open(link, {}, util.Patience())) as page:
                    found = image_of_page(util.read_at_most(page, util.MAX_JSON).decode("utf-8", "replace"), image_id)
                if found is None:
                    raise
        return self.with_link(found)

    def trpc(self, procedure: str, query: Mapping[str, Any], *, keep: bool = True) -> dict[str, Any]:
        """The answer of the site's inner interface, for what REST does not tell; {} if it is no object.

        It wants a key or a Referer of its own host. Without a login lists show PG only; with one everything, but only
        on the host that shows mature things.
        """
        base = self._other or self.base
        tail = f"/api/trpc/{procedure}?{urlencode({'input': json.dumps({'json': dict(query)})})}"
        try:
            answer = self._ask(base + tail, self._image_pace, {"Referer": f"{base}/"}, keep=keep)
        except Refused as refused:
            raise explain(refused, has_token=bool(self._token)) from None
        data = unwrap(mapping(answer, "result").get("data"))
        return data if isinstance(data, dict) else {}

    def trpc_pages(self, procedure: str, query: Mapping[str, Any], size: int, level: int) -> Pages:
        """Pages of a tRPC list, oldest first; links of pictures are completed."""
        wanted = {**query, "browsingLevel": level, "sort": "Oldest", "period": "AllTime"}

        def ask(more: dict[str, Any]) -> dict[str, Any]:
            """A page as the REST interface would give it."""
            answer = self.trpc(procedure, {**wanted, **more})
            return {"items": list(map(self.with_link, dicts(answer, "items"))), "metadata": answer}

        return pages(ask, size, None)

    def with_link(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """A picture of the inner interface with a whole link (it gives only a uuid there) and a plain user name."""
        if re.fullmatch(r"[0-9a-fA-F-]{32,36}", text(item, "url")):
            ending = {"video": "mp4", "audio": "mp3"}.get(text(item, "type"), "jpeg")
            url = f"{self._delivery_base()}/{item['url']}/original=true/{number(item, 'id')}.{ending}"
            item = {**item, "url": url, "browsingLevel": number(item, "nsfwLevel")}
        named = {"username": text(mapping(item, "user"), "username")} if "user" in item else {}
        return {**item, **named}

    def _delivery_base(self) -> str:
        """Host and account of picture links, read once from a link of the REST interface."""
        if not self._delivery:
            answer = self._get("/images", {"limit": 1, "browsingLevel": 31}, self._image_pace)
            url = text(next(iter(dicts(answer, "items")), {}), "url")
            folders = url.split("/")
            self._delivery = "/".join(folders[:4]) if len(folders) > 6 and url.startswith("http") else DELIVERY
        return self._delivery

    def _get(self, path: str, query: Mapping[str, Any], pace: util.Pace, *, keep: bool = True) -> dict[str, Any]:
        """One JSON object; a refusal that the other front door may not share is asked again there."""
        tail = f"/api/v1{path}" + (f"?{urlencode(query)}" if query else "")
        answer = None
        try:
            answer = self._ask(self.base + tail, pace, keep=keep)
        except Refused as refused:
            if self._other and refused.status in (401, 403, 404):
                with suppress(Refused):
                    answer = self._ask(self._other + tail, pace, keep=keep)
            if answer is None:
                raise explain(refused, has_token=bool(self._token)) from None
        if not isinstance(answer, dict):
            raise Failure("answer", "The site sent data of another shape than expected; try again later.")
        return answer

    def _ask(self, url: str, pace: util.Pace, headers: Mapping[str, str] | None = None, *, keep: bool) -> Any:
        """The JSON answer, from the site or as it was kept less than a day ago."""
        key = url.partition("/api/")[2]
        answer = self.kept.get(key)
        if answer is None:
            answer = self.http.json(url, util.Patience(), headers, partial(self._take_turn, pace))
            if keep:
                self.kept.put(key, answer)
        return answer

    def _take_turn(self, pace: util.Pace) -> None:
        """Wait for one's turn before each request, retries included."""
        pace.wait()
        self.api_requests += 1

    def file_urls(self, version_id: int, file: File) -> tuple[str, ...]:
        """Where a file may be had: by its id, at the other front door too; a VAE lent by a version by its type."""
        path = f"/api/download/models/{version_id}"
        by_type = (f"{self.base}{path}?type=VAE",) if file.type == "VAE" else ()
        return (*(f"{base}{path}?fileId={file.id}" for base in (self.base, self._other) if base), *by_type)

    def page_url(self, path: str, level: int = 1) -> str:
        """A link for people; mature pages open on the host that shows them."""
        return (self._other or self.base if level & ~3 else self.base) + path

    def open(self, url: str, headers: Mapping[str, str], patience: util.Patience) -> requests.Response:
        """Open a file or picture at a byte; 416 comes back as an answer. Raises Failure, Stopped."""
        try:
            response = self.http.open(url, patience, headers, accept=(416,))
        except Refused as refused:
            if refused.status in (401, 403) and urlsplit(refused.url)[:2] not in self._own:
                raise util.Unreachable("The storage link had expired or was refused; try again later.") from None
            raise explain(refused, has_token=bool(self._token)) from None
        except util.Busy:
            if "/api/download/" not in url:
                raise
            raise Failure("quota", "The site's download quota seems used up; run again in some hours.") from None
        if urlsplit(response.url).path == "/login":
            response.close()
            raise explain(Refused(401, {}, b"", url), has_token=bool(self._token))
        return response


def pages(ask: Callable[[dict[str, Any]], dict[str, Any]], size: int, limit: int | None) -> Pages:
    """The new items of each page of a cursor list, `limit` in all (None: every one).

    Ends at an absent or repeated cursor and after three pages without a new id: pages may be short, empty,
    or repeat what was there before.
    """
    seen, cursors = util.NumberMap(), set[str]()
    more: dict[str, Any] = {}
    barren = 0
    while barren < 3 and (limit is None or len(seen) < limit):
        left = None if limit is None else limit - len(seen)
        answer = ask({"limit": size if left is None else min(size, left), **more})
        found = {number(item, "id"): item for item in dicts(answer, "items")}
        fresh = [item for each, item in found.items() if each and seen.put(hash((each,)))][:left]
        barren = 0 if fresh else barren + 1
        yield fresh
        cursor = mapping(answer, "metadata").get("nextCursor")
        if not isinstance(cursor, (str, int)) or cursor == "" or str(cursor) in cursors:
            return
        cursors.add(str(cursor))
        more = {"cursor": cursor}


def image_of_page(page: str, image_id: int) -> dict[str, Any] | None:
    """The picture in the data that its web page carries (`__NEXT_DATA__`, in either encoding), or None."""
    found = re.search(r'<script id="__NEXT_DATA__"[^<>]*>(.*?)</script>', page, re.S)
    with suppress(Failure, ValueError, RecursionError, TypeError, LookupError):
        state = unwrap(json.loads(found.group(1) if found else "")["props"]["pageProps"]["trpcState"])
        for query in dicts(state, "queries"):
            data = mapping(mapping(query, "state"), "data")
            if query["queryKey"][0] == ["image", "get"] and number(data, "id") == image_id:
                return data
    return None


# --- Reading answers -----------------------------------------------------------------------------
# A missing key, null, an empty list and a value of another type all mean the same: nothing.


def _at(source: Any, key: str) -> Any:
    return source.get(key) if isinstance(source, dict) else None


def text(source: Any, key: str) -> str:
    """The text at `key`, or ""."""
    value = _at(source, key)
    return value if isinstance(value, str) else ""


def number(source: Any, key: str) -> int:
    """The whole number at `key` (also if written as text or float), or 0."""
    value = _at(source, key)
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if isinstance(value, int) or abs(value) < 1e15 else 0


def mapping(source: Any, key: str) -> dict[str, Any]:
    """The object at `key`, or {}."""
    value = _at(source, key)
    return value if isinstance(value, dict) else {}


def members(source: Any, key: str) -> list[Any]:
    """The list at `key`, whatever it holds, or []."""
    value = _at(source, key)
    return value if isinstance(value, list) else []


def dicts(source: Any, key: str) -> list[dict[str, Any]]:
    """The objects in the list at `key`, or []."""
    return [each for each in members(source, key) if isinstance(each, dict)]


def texts(source: Any, key: str) -> list[str]:
    """The non-empty texts in the list at `key`, stripped, or []."""
    return [each.strip() for each in members(source, key) if isinstance(each, str) and each.strip()]


def moment(value: str) -> float:
    """A date of the site as Unix time (UTC, whatever its zone letter and decimals), 0 if it is none."""
    with suppress(ValueError):
        return datetime.fromisoformat(value[:19]).replace(tzinfo=timezone.utc).timestamp()
    return 0.0


@dataclass(frozen=True)
class File:
    """One file of a version; `size` in bytes (0 unknown), `sha256` in lower case (empty if not published)."""

    id: int
    name: str
    type: str
    size: int
    sha256: str
    primary: bool
    traits: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Image:
    """A picture, video or sound; `level` is its browsing level bit (0 unrated)."""

    id: int
    url: str
    type: str
    level: int
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Version:
    """One published version of a model, files and showcase pictures included."""

    id: int
    name: str
    base_model: str
    published: str
    early_until: str
    files: tuple[File, ...]
    images: tuple[Image, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Model:
    """A model as the site tells of it; `creator` is "" when that account is gone."""

    id: int
    name: str
    type: str
    creator: str
    mode: str
    level: int
    tags: tuple[str, ...]
    versions: tuple[Version, ...]
    raw: Mapping[str, Any] = field(repr=False)


def read_model(answer: Mapping[str, Any]) -> Model:
    """A model from an answer of any year; raises Failure when it has no id."""
    if number(answer, "id") <= 0:
        raise Failure("answer", "The site's answer names no model; try again later.")
    tags = texts(answer, "tags") or [text(tag, "name") for tag in dicts(answer, "tags")]
    return Model(
        id=number(answer, "id"),
        name=text(answer, "name").strip(),
        type=text(answer, "type") or "Other",
        creator=text(mapping(answer, "creator"), "username").strip(),
        mode=text(answer, "mode"),
        level=number(answer, "nsfwLevel"),
        tags=tuple(tag for tag in tags if tag),
        versions=tuple(read_version(each) for each in dicts(answer, "modelVersions") if number(each, "id") > 0),
        raw=answer,
    )


def read_version(answer: Mapping[str, Any]) -> Version:
    """A version from an answer of any year."""
    paid = mapping(answer, "paidAccess")
    early = text(paid, "endsAt") or text(answer, "earlyAccessDeadline") or text(answer, "earlyAccessEndsAt")
    return Version(
        id=number(answer, "id"),
        name=text(answer, "name").strip(),
        base_model=text(answer, "baseModel"),
        published=text(answer, "publishedAt") or text(answer, "createdAt"),
        early_until=early if moment(early) > time.time() else "always" if paid.get("permanent") is True else "",
        files=tuple(read_file(each) for each in dicts(answer, "files") if number(each, "id") > 0),
        images=tuple(filter(None, map(read_image, dicts(answer, "images")))),
        raw=answer,
    )


def read_file(answer: Mapping[str, Any]) -> File:
    """A file from an answer of any year; `sizeKB` is bytes / 1024, and 0 means unknown."""
    kilobytes = answer.get("sizeKB")
    known = isinstance(kilobytes, (int, float)) and not isinstance(kilobytes, bool) and 0 < kilobytes < 1e12
    sha256 = text(mapping(answer, "hashes"), "SHA256").lower()
    return File(
        id=number(answer, "id"),
        name=text(answer, "name"),
        type=text(answer, "type") or "Model",
        size=round(kilobytes * 1024) if known and kilobytes else 0,
        sha256=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "",
        primary=answer.get("primary") is True,
        traits=mapping(answer, "metadata"),
        raw=answer,
    )


_LEVEL_WORDS = {"None": 1, "Soft": 2, "Mature": 4, "X": 8, "Blocked": 32}


def read_image(answer: Mapping[str, Any]) -> Image | None:
    """A picture from any list; its id may stand only in the stem of its link. None without link or id."""
    url = util.web_link(text(answer, "url"))
    stem = urlsplit(url).path.rpartition("/")[2].partition(".")[0]
    image_id = number(answer, "id") or (int(stem) if re.fullmatch(r"[0-9]{1,10}", stem) else 0)
    if not url or not 0 < image_id < 1 << 63:
        return None
    word = _LEVEL_WORDS.get(text(answer, "nsfwLevel"))
    level = number(answer, "browsingLevel") or word or number(answer, "nsfwLevel")
    kind = text(answer, "type")
    guessed = "video" if stem and url.partition("?")[0].endswith((".mp4", ".webm")) else "image"
    return Image(image_id, url, kind if kind in ("image", "video", "audio") else guessed, level, answer)


def media_urls(image: Image) -> tuple[str, ...]:
    """The links at which the original may be had, best first.

    Links carry the wanted form in the last folder (`width=450`); a video may answer `original=true` with a still,
    then two further forms are known to help.
    """
    parts = urlsplit(image.url)
    folders = parts.path.split("/")
    if len(folders) < 4 or "=" not in folders[-2]:
        return (image.url,)
    more = ["original=true,quality=100", "transcode=true,original=true"] if image.type == "video" else []
    host = parts.netloc.replace("imagecache.civitai.com", "image.civitai.com")
    paths = ["/".join([*folders[:-2], form, folders[-1]]) for form in ("original=true", *more)]
    return tuple(urlunsplit((parts.scheme, host, path, "", "")) for path in paths)


# --- The choice of versions and files ------------------------------------------------------------

NO_WEIGHTS = frozenset(("Training Data", "Config", "Archive", "Workflow"))
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
NO_WEIGHT_ENDINGS = (".zip", ".7z", ".rar", ".tar", ".gz", ".yaml", ".yml", ".json", ".txt", ".md", ".png", ".jpg")


def is_weights(file: File) -> bool:
    """Whether the file is loaded as a model: no config, archive or training data."""
    return file.type not in NO_WEIGHTS and not file.name.lower().endswith(NO_WEIGHT_ENDINGS)


def choose_versions(model: Model, target: Target, settings: Settings) -> list[Version]:
    """The versions wanted: the one named, or those of the wanted base models, or the newest of these."""
    if target.version:
        return [version for version in model.versions if version.id == target.version]
    wanted = {name.casefold() for name in settings.base_models}
    versions = [each for each in model.versions if not wanted or each.base_model.casefold() in wanted]
    if settings.latest and versions:
        return [max(versions, key=lambda version: (moment(version.published), version.id))]
    return versions


def choose_files(version: Version, target: Target, settings: Settings) -> list[File]:
    """The files wanted: the one a download link names, the primary weights, or all."""
    if target.file:
        return [file for file in version.files if file.id == target.file]
    if target.traits:
        asked = {(key, value.casefold()) for key, value in target.traits}
        told = ({**file.traits, "type": file.type}.items() for file in version.files)
        fits = (asked <= {(key, str(value).casefold()) for key, value in traits} for traits in told)
        return list(compress(version.files, fits))[:1]
    if settings.primary:
        return best_file(version.files)
    return list(version.files)


def best_file(files: Iterable[File]) -> list[File]:
    """The primary file if it is weights, else the best weights, else the primary thing; never training data.

    Among weights the site's own order counts: safetensors, pruned, half precision.
    """

    def merit(file: File) -> tuple[float, ...]:
        """What makes a file the better choice, the most important first."""
        whole = file.type in ("Model", "Pruned Model", "Diffusion Model", "UNet")
        safe = file.traits.get("format") == "SafeTensor" or file.name.lower().endswith(".safetensors")
        small = (file.traits.get("size") == "pruned", file.traits.get("fp") == "fp16")
        return (is_weights(file), file.primary, whole, safe, *small, -file.id)

    return sorted((file for file in files if file.type != "Training Data"), key=merit)[-1:]


# --- Places and names ----------------------------------------------------------------------------

Folder = tuple[str, ...]

FIELDS = "creator type base_model model_name model_id version_name version_id year month nsfw tag".split()
NAMED_LAYOUTS = ("creator", "sharded", "comfyui", "a1111")


def check_layout(layout: str) -> None:
    """Raise UsageError for what is neither a named layout nor a template of known fields."""
    try:
        found = [name for _, name, _, _ in string.Formatter().parse(layout) if name is not None]
    except ValueError:
        found = ["?"]
    if unknown := [name for name in found if name not in FIELDS]:
        raise UsageError(f"The layout has no field {{{unknown[0]}}}; it knows {', '.join(FIELDS)}.")
    if not found and layout not in NAMED_LAYOUTS:
        raise UsageError(f"{layout!r} is no layout; use {', '.join(NAMED_LAYOUTS)} or a template with {{fields}}.")


def page_folder(layout: str, model: Model) -> Folder:
    """Where the pages of a model go: its folder, or below `.civitai` where models share folders."""
    if layout == "sharded":
        return (f"model_{model.id // 1000}", str(model.id))
    creator, name = util.folder_name(model.creator or "unknown"), util.folder_name(model.name, f" [{model.id}]")
    return (*(() if layout == "creator" else (".civitai",)), "users", creator, "models", name)


def version_folder(layout: str, model: Model, version: Version) -> Folder:
    """Where a version's pictures (in `images`) and unloadable files go."""
    name = str(version.id) if layout == "sharded" else util.folder_name(version.name, f" [{version.id}]")
    return (*page_folder(layout, model), name)


@cache
def app_facts(app: str) -> dict[str, Any]:
    """What is known of an app (`apps.json`): its folders, its names of base models, what it keeps of a file."""
    facts: dict[str, Any] = json.loads(read_data("apps.json"))[app]
    return facts


def file_folder(layout: str, model: Model, version: Version, file: File) -> Folder:
    """Where a file goes, by layout, model type and file type."""
    if layout not in NAMED_LAYOUTS:
        return _template_folder(layout, model, version)
    if layout in ("creator", "sharded") or file.type in ("Training Data", "Archive"):
        return version_folder(layout, model, version)
    app = app_facts(layout)
    folder = app["files"].get(file.type) or app["types"].get(model.type) or app["other"]
    alone = file.name.lower().endswith(".gguf") or version.base_model.lower().startswith(tuple(app["denoisers"]))
    return tuple((app["types"]["UNet"] if alone and folder == app["types"]["Checkpoint"] else folder).split("/"))


def _template_folder(layout: str, model: Model, version: Version) -> Folder:
    """The folder a template stands for; a value can't add levels, and an unknown one is `unknown`."""
    date = version.published if moment(version.published) else ""
    values = {
        "creator": model.creator, "type": model.type, "base_model": version.base_model, "model_name": model.name,
        "model_id": str(model.id), "version_name": version.name, "version_id": str(version.id), "year": date[:4],
        "month": date[5:7], "nsfw": "" if not model.level else "nsfw" if model.level & ~3 else "sfw",
        "tag": model.tags[0] if model.tags else "",
    }  # fmt: skip
    safe = {key: util.clean_name(value) or "unknown" for key, value in values.items()}
    parts = (util.folder_name(part.format_map(safe)) for part in re.split(r"[/\\]", layout))
    return tuple(part for part in parts if part and part != "_")


@dataclass(frozen=True)
class Wanted:
    """One thing to have on disk. `path` is relative to the output folder; a picture's lacks its extension."""

    kind: Literal["model", "image"]
    id: str
    name: str
    path: str
    urls: tuple[str, ...]
    source: str
    size: int = 0
    sha256: str = ""
    media: str = ""
    scan: str = ""

    @property
    def identity(self) -> str:
        """What makes two things the same bytes."""
        return self.sha256 or f"{self.kind}:{self.id}"

    @property
    def spare_path(self) -> str:
        """The path used when another file has the first: the file's id before the extension."""
        folder, _, name = self.path.rpartition("/")
        tail = f" [{self.id.rpartition('/')[2]}]"
        return f"{folder}/{util.file_name(name, tail.strip(' []'), tail)}"


# --- Prompts and word lists ----------------------------------------------------------------------

WORD_LISTS = ("sex", "clothes", "etc")

_COMMAS, _BREAKS = ",，、", "\n\r\v\f\x85\u2028\u2029"
_COMMA, _HARD = re.compile(f"[{_COMMAS}]"), re.compile(f"[{_BREAKS}]|BREAK")
_PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "［": "］", "｛": "｝"}
_NAME = re.compile(f"<[^\\W\\d_][^<>{_BREAKS}]*>")
_TOKEN = re.compile(
    rf"\\[()\[\]{{}}\\]|(?P<name>{_NAME.pattern})|(?P<open>[(\[{{（［｛])|(?P<close>[)\]}}）］｝])"
    rf"|(?P<cut>[{_COMMAS}{_BREAKS}]|\bBREAK\b)"
)


_TAG = re.compile(r"\S(?:.*\S)?", re.S)


def split_prompt(prompt: str) -> list[str]:
    """Separator, tag, separator, …, tag, separator: joined they are the prompt, byte for byte.

    Commas (also `，` and `、`) separate unless they stand in brackets; line breaks and the word `BREAK` always do. A
    name in angle brackets (`<lora:…>`) is a tag of its own. A bracket that is escaped, or has no partner before the
    next line break or `BREAK`, is an ordinary character; so is a `<` that doesn't begin a name.
    """
    parts, at = [], 0
    for start, end in _stretches(prompt):
        if tag := _TAG.search(prompt, start, end):
            parts += [prompt[at : tag.start()], tag.group()]
            at = tag.end()
    return [*parts, prompt[at:]]


def _stretches(prompt: str) -> Iterator[tuple[int, int]]:
    """From where to where the text between separators goes; some of it is blank."""
    cuts: list[re.Match[str]] = []
    opened: list[tuple[str, int]] = []  # what closes a bracket, and how many cuts stand before it
    waiting: Counter[str] = Counter()
    for token in _TOKEN.finditer(prompt):
        if token["open"]:
            opened.append((_PAIRS[token[0]], len(cuts)))
            waiting[_PAIRS[token[0]]] += 1
        elif token["close"] and waiting[token[0]]:
            closer = ""
            while closer != token[0]:
                closer, before = opened.pop()
                waiting[closer] -= 1
            del cuts[before:]
        elif token["name"] or token["cut"]:
            cuts.append(token)
            if _HARD.fullmatch(token[0]):
                opened, waiting = [], Counter()
    at = 0
    for cut in cuts:
        yield at, cut.start()
        at = cut.end()
        if cut["name"]:
            yield cut.span()
    yield at, len(prompt)


def _without(parts: Sequence[str], dropped: Sequence[bool]) -> str:
    """A split prompt without some of its tags."""
    if dropped and all(dropped):
        return ""
    kept: list[str] = []
    run = [parts[0]]
    for tag, separator, drop in zip(parts[1::2], parts[2::2], dropped, strict=True):
        if not drop:
            kept += [_one_separator(run, first=not kept), tag]
            run = []
        run.append(separator)
    return "".join([*kept, _one_separator(run, last=True)])


def _one_separator(run: Sequence[str], *, first: bool = False, last: bool = False) -> str:
    """What is left of the separators around dropped tags: one comma at most, every line break and `BREAK`."""
    if len(run) == 1:
        return run[0]
    hard = [each for each in run if _HARD.search(each)]
    if not hard:
        return run[0] if first else run[-1] if last else next(filter(str.strip, run), ", ")
    text = hard[0] + _COMMA.sub("", "".join(hard[1:]))
    if first or last:
        text = _COMMA.sub("", text)
    # A bracket may have been all that kept BREAK from its neighbour.
    text = re.sub(r"\A(?=BREAK)|(?<=BREAK)(?=BREAK)|(?<=BREAK)\Z", " ", text)
    return text.lstrip(" ") if first else text.rstrip(" ") if last else text


# Thai, Lao, Burmese, Khmer, kana and Han know no blanks; Korean ties its particles to the word.
_TIED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_TIED}]|[^\W{_TIED}]+|(?<=[{_TIED}]) (?=[{_TIED}])|[^\w\s]")
_WEIGHT = re.compile(r"(?<=[^\s(\[{,]):\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?=\s*(?:[)\]}>,|]|\Z))")
_BLANK = re.compile(r"(?<=\[):|[()\[\]{}\\_\-\u2010-\u2015\u200b\ufeff\s\0]+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*")


def _folded(text: str) -> str:
    """`Ｄ`, `D` and `d` as one. In pieces: a long run of accents would take quadratic time."""
    pieces = (unicodedata.normalize("NFKC", text[at : at + 1000]) for at in range(0, len(text), 1000))
    return "".join(pieces).casefold()


def _bare_words(text: str) -> list[str]:
    return _WORD.findall(_BLANK.sub(" ", _WEIGHT.sub(" ", text)).strip())


def words_of(tag: str) -> tuple[str, ...]:
    """The words of a tag between two edges (""); those of names in angle brackets come last, marked by a `<`."""
    text = _folded(tag)
    names = [f"<{word}" for name in _NAME.findall(text) for word in ("", *_bare_words(name[1:-1]))]
    return ("", *_bare_words(_NAME.sub(" ", text)), *names, "")


class WordList:
    """The entries of a list, each as its words; the time to match a tag doesn't grow with their number."""

    def __init__(self, entries: Iterable[tuple[str, ...]] = ()) -> None:
        self.entries = frozenset(entries)
        self._tree: dict[str | None, Any] = {}  # word -> the words that may follow; None where an entry ends
        for words in self.entries:
            node = self._tree
            for word in words:
                node = node.setdefault(word, {})
            node[None] = {}

    def matches(self, words: Sequence[str]) -> bool:
        """Whether the words of an entry stand among those of a tag."""
        for at in range(len(words)):
            node, end = self._tree, at
            while None not in node and end < len(words) and words[end] in node:
                node, end = node[words[end]], end + 1
            if None in node:
                return True
        return False


def parse_word_list(text: str) -> WordList:
    """A word list: an entry a line or between commas, `#` comments, `=` before what must be the whole tag."""
    entries = []
    for line in re.split(f"[{_COMMAS}{_BREAKS}]", _COMMENT.sub("", text)):
        entry = _folded(line).strip(" \t\0\u200b\ufeff")
        whole, entry = entry[:1] == "=", entry.removeprefix("=").strip()
        words = words_of(f"{entry}>" if entry[:1] == "<" and entry[-1:] != ">" else entry)
        if len(words) > 2:
            entries.append(words if whole else words[1:-1])
    return WordList(entries)


@dataclass(frozen=True)
class Filters:
    """The three word lists; `problems` says which could not be read."""

    sex: WordList = field(default_factory=WordList)
    clothes: WordList = field(default_factory=WordList)
    etc: WordList = field(default_factory=WordList)
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Filters:
        """The lists in a folder; one that is missing is empty."""
        lists, problems = {}, []
        for name in WORD_LISTS:
            try:
                lists[name] = parse_word_list(util.decode_text(util.read_named(folder / f"Filter_{name}.txt")))
            except UsageError as error:
                problems.append(f"{error} Nothing is filtered by it.")
        return cls(**lists, problems=tuple(problems))

    @property
    def fingerprint(self) -> str:
        """Another one as soon as an entry is; comments and the order of the entries don't matter."""
        entries = [sorted(each.entries) for each in (self.sex, self.clothes, self.etc)]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()

    def apply(self, raw_prompt: str) -> tuple[str, str]:
        """The prompt without the tags of all three lists, and without those of `sex` and `etc` alone."""
        parts = split_prompt(raw_prompt)
        verdicts = [self._known(tag) if len(tag) < 80 else self._verdict(tag) for tag in parts[1::2]]
        return _without(parts, [drop for drop, _ in verdicts]), _without(parts, [drop for _, drop in verdicts])

    @cached_property
    def _known(self) -> Callable[[str], tuple[bool, bool]]:
        return lru_cache(1 << 13)(self._verdict)

    def _verdict(self, tag: str) -> tuple[bool, bool]:
        """Whether a tag goes from the prompt, and whether from the one with clothes as well."""
        words = words_of(tag)
        always = self.sex.matches(words) or self.etc.matches(words)
        return always or self.clothes.matches(words), always


# --- Pages and sidecars --------------------------------------------------------------------------

_BLOCK = re.compile(r"(?i)</?(?:p|br|div|h[1-6]|tr|pre|blockquote|ul|ol|hr)\b[^<>]*>")


def plain_text(markup: str) -> str:
    """The words of an HTML description, a line for each block."""
    words = re.sub(r"<[^<>]*>", "", re.sub(r"(?i)<li\b[^<>]*>", "\n- ", _BLOCK.sub("\n", markup)))
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in html.unescape(words).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def model_text(model: Model, url: str) -> str:
    """`model.txt`: what a person wants to know of a model, in plain words."""
    head = [model.name, url, f"{model.type} by {model.creator or 'unknown'}", f"Tags: {', '.join(model.tags)}", ""]
    head += [plain_text(text(model.raw, "description")), ""]
    for version in model.versions:
        head += [f"== {version.name} [{version.id}], {version.base_model}, {version.published[:10]}"]
        if words := texts(version.raw, "trainedWords"):
            head += [f"Trained words: {', '.join(words)}"]
        head += [f"{file.name}  {util.human_size(file.size)}  {file.type}  {file.sha256}" for file in version.files]
        head += [plain_text(text(version.raw, "description")), ""]
    return "\n".join(head).strip() + "\n"


def description_page(model: Model, url: str, template: str) -> str:
    """`description.html`: the author's own words; the page's policy lets no script of theirs run."""
    parts = [text(model.raw, "description")]
    for version in model.versions:
        if words := text(version.raw, "description"):
            parts.append(f"<h2>{html.escape(version.name)}</h2>\n{words}")
    facts = {"title": model.name, "creator": model.creator or "unknown", "type": model.type, "url": url}
    escaped = {key: html.escape(value) for key, value in facts.items()}
    return string.Template(template).substitute(escaped, body="\n".join(parts))


def civitai_info(model: Model, version: Version) -> dict[str, Any]:
    """`.civitai.info`: the version as by-hash answers have it, with what helpers look for in the model."""
    known = {"name": model.name, "type": model.type, "nsfw": model.raw.get("nsfw"), "poi": model.raw.get("poi")}
    more = {"description": model.raw.get("description"), "tags": list(model.tags)}
    return {
        **version.raw,
        "modelId": model.id,
        "model": {**known, **more},
        "creator": {"username": model.creator or None, "image": mapping(model.raw, "creator").get("image")},
    }


def a1111_json(model: Model, version: Version, url: str) -> dict[str, Any]:
    """`<file>.json`: A1111 user metadata; a preferred weight of 0 leaves A1111's own default."""
    starts = app_facts("a1111")["sd versions"].items()
    sd_version = next((name for start, name in starts if version.base_model.lower().startswith(start)), "Unknown")
    words = [re.sub(r"\s+", " ", word).strip(" ,") for word in texts(version.raw, "trainedWords")]
    return {
        "description": plain_text(text(version.raw, "description") or text(model.raw, "description")),
        "sd version": sd_version,
        "activation text": ", ".join(word for word in words if word),
        "preferred weight": 0,
        "negative text": "",
        "notes": url,
    }


def lora_manager_json(
    model: Model, version: Version, file: File, path: Path, preview: Path | None, sha256: str
) -> dict[str, Any]:
    """`<file>.metadata.json`: what ComfyUI LoRA Manager keeps beside a model file."""
    status = path.stat() if path.exists() else None
    known = app_facts("lora manager")
    facts: dict[str, Any] = {
        **known["always"],
        **known["types"].get(model.type, {}),
        "file_name": path.stem,
        "model_name": model.name,
        "file_path": util.plain_path(path).as_posix(),
        "size": status.st_size if status else file.size,
        "modified": status.st_mtime if status else 0.0,
        "sha256": sha256,
        "base_model": version.base_model or "Unknown",
        "preview_url": util.plain_path(preview).as_posix() if preview else "",
        "preview_nsfw_level": version.images[0].level if version.images else 0,
        "civitai": civitai_info(model, version),
        "tags": list(model.tags),
        "modelDescription": text(model.raw, "description"),
        "hash_status": "completed" if sha256 else "pending",
    }
    if autov3 := text(mapping(file.raw, "hashes"), "AutoV3"):
        facts["autov3"] = autov3.lower()
    if model.type == "Checkpoint" and file.type in ("UNet", "Diffusion Model"):
        facts["model_type"] = "diffusion_model"
    return facts


def image_facts(image: Image, page: str, filters: Filters) -> dict[str, Any]:
    """`<image id>.txt`: where a picture comes from and how it was made, as far as its list tells."""
    meta = flat_meta(image.raw.get("meta"))
    return {
        "id": image.id,
        "url": media_urls(image)[0],
        "page": page,
        "post_id": number(image.raw, "postId") or None,
        "username": text(image.raw, "username") or None,
        "created_at": text(image.raw, "createdAt") or None,
        **{side: number(image.raw, side) or None for side in ("width", "height")},
        "type": image.type,
        "nsfw_level": image.level,
        "model_versions": image.raw.get("modelVersionIds") or [],
        "resources": resources_of(meta),
        "tools": [],
        "techniques": [],
        **prompt_facts(meta, filters),
    }


def prompt_facts(meta: Any, filters: Filters) -> dict[str, Any]:
    """The part of a `.txt` that is read from `meta`, which is kept whole, whatever its type.

    Without it (a hidden prompt) everything is null.
    """
    told = meta if isinstance(meta, dict) else {}
    prompt = told.get("prompt") if isinstance(told.get("prompt"), str) else None
    clean, with_clothes = filters.apply(prompt) if prompt is not None else (None, None)
    names = {"negative_prompt": "negativePrompt", "cfg_scale": "cfgScale", "size": "Size", "model": "Model"}
    fields = ("negative_prompt", "sampler", "steps", "cfg_scale", "seed", "size", "model")
    return {
        "raw_prompt": prompt,
        "prompt": clean,
        "prompt_with_clothes": with_clothes,
        **{field: told.get(names.get(field, field)) for field in fields},
        "meta": meta,
    }


def with_generation(facts: Mapping[str, Any], answer: Mapping[str, Any], filters: Filters) -> dict[str, Any]:
    """A `.txt` with what `image.getGenerationData` tells: tools, techniques, resources, and a prompt that lacked."""
    told = prompt_facts(answer.get("meta"), filters) if facts.get("raw_prompt") is None and answer.get("meta") else {}
    found = [*members(facts, "resources"), *resources_of(told.get("meta")), *dicts(answer, "resources")]
    return {
        **facts,
        "resources": list({json.dumps(each, sort_keys=True): each for each in found}.values()),
        "tools": [text(tool, "name") for tool in dicts(answer, "tools")],
        "techniques": [text(technique, "name") for technique in dicts(answer, "techniques")],
        **told,
    }


def outliving(facts: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """A `.txt` written anew: what is on disk already outlives its being hidden on the site."""
    hidden = facts["raw_prompt"] is None and old.get("raw_prompt") is not None
    kept = [*prompt_facts(None, Filters())] if hidden else []
    kept += [name for name in ("resources", "tools", "techniques") if old.get(name) and not facts[name]]
    return {**facts, **{name: old.get(name) for name in kept}}


def resources_of(meta: Any) -> list[Any]:
    """The models that inline `meta` names, in both of its lists."""
    return [*members(meta, "resources"), *members(meta, "civitaiResources")]


def is_by(item: Mapping[str, Any], name: str) -> bool:
    """Whether a listed thing says that this user made it (in one of the site's two ways)."""
    told = (text(mapping(item, "user"), "username"), text(mapping(item, "creator"), "username"), text(item, "username"))
    return next(filter(None, told), "").casefold() == name.casefold()


def flat_meta(meta: Any) -> Any:
    """Generation data without the `{"id", "meta"}` wrapper of some answers."""
    return meta["meta"] if isinstance(meta, dict) and set(meta) == {"id", "meta"} else meta


LORA_TYPES = frozenset(("lora", "locon", "dora", "lycoris"))


def versions_used(facts: Mapping[str, Any], *, checkpoints: bool) -> set[int]:
    """The model versions that a picture was made with, from its `.txt`; of those whose type is told only LoRAs."""
    used = dicts(facts, "resources")
    told = {number(each, "modelVersionId"): (text(each, "modelType") or text(each, "type")).lower() for each in used}
    wanted = {*LORA_TYPES, ""} | ({"checkpoint"} if checkpoints else set())
    shown = {number({"id": each}, "id") for each in members(facts, "model_versions")}
    return {each for each in shown | set(told) if each > 0 and told.get(each, "") in wanted}


def read_prompt(path: Path) -> dict[str, Any]:
    """A `<image id>.txt`, or {} if there is none that can be read."""
    with suppress(OSError):
        return util.json_line(path.read_bytes()) or {}
    return {}


def refilter(root: Path, filters: Filters) -> int:
    """Apply the word lists anew to every prompt on disk, without a request; the number of files that changed."""
    changed = 0
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names if re.fullmatch(r"\d+\.txt", name)):
            facts = read_prompt(path)
            if isinstance(prompt := facts.get("raw_prompt"), str):
                facts["prompt"], facts["prompt_with_clothes"] = filters.apply(prompt)
                changed += util.write_json(path, facts)
    return changed


def post_facts(post: Mapping[str, Any], post_id: int, page: str, images: list[int]) -> dict[str, Any]:
    """`post.json`: what the author wrote, and the pictures in the author's order."""
    return {
        "id": post_id,
        "page": page,
        "title": text(post, "title") or None,
        "text": plain_text(text(post, "detail")) or None,
        "detail": text(post, "detail") or None,
        "tags": [text(tag, "name") for tag in dicts(post, "tags")],
        "username": text(mapping(post, "user"), "username") or None,
        "published_at": text(post, "publishedAt") or None,
        "model_version": number(post, "modelVersionId") or None,
        "images": images,
    }


# --- The library on disk -------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """The last line of the state log about one thing; `until` is when the link of a queued one runs out."""

    status: str
    path: str
    size: int
    sha256: str
    until: str = ""


Key = tuple[str, str]
Action = Literal["keep", "link", "adopt", "fetch"]


def decide(wanted: Wanted, record: Record | None, there: int | None, recorded: int | None, *, force: bool) -> Action:
    """What to do about one thing, before anything is touched.

    `there` is the size of what lies at the wanted path, `recorded` that of what lies where the log says, both None
    if nothing does. A success counts only while its file is there with its size.
    """
    if force:
        return "fetch"
    if record is not None and record.status == "success" and recorded == record.size:
        return "keep" if _without_extension(record.path, wanted) == wanted.path else "link"
    if there and (wanted.kind == "image" or same_size(there, wanted)):
        return "adopt"
    return "fetch"


def same_size(size: int, wanted: Wanted) -> bool:
    """Whether a size in bytes is the one published, as exactly as the site publishes it."""
    return bool(wanted.size) and abs(size - wanted.size) < 1024


def _without_extension(path: str, wanted: Wanted) -> str:
    return util.split_name(path)[0] if wanted.kind == "image" else path


class Library:
    """One output folder: its state log, who owns which name, and what is already there."""

    def __init__(self, root: Path, lock: util.FolderLock | None = None) -> None:
        """Read the state log, if there is one; nothing is written. `lock` is held by who writes."""
        self.folder, self.root, self._lock = root, util.long_path(root), lock
        self._log = util.KeyedLog(self.root / "download_state.jsonl", alone=lock is not None)
        self._by_hash: dict[str, Key] = {}
        self._owners: dict[str, Key] = {}
        self._limit, self._place, self._root = util.path_limit(), str(root.absolute()), str(self.root)
        self._last: tuple[Key, Record | None] = ("", ""), None
        self._record_lock = threading.Lock()
        self._listings: dict[str, dict[str, str]] = {}
        self.results = util.HastyLog(self.root / "lists" / "results.jsonl")
        for line in self._log.live("model"):
            self._remember(("model", text(line, "id")), read_record(line))
        self.problems = self._log.problems

    @classmethod
    def to_write(cls, root: Path, clock: util.Clock, wait: Callable[[str], object] | None) -> Library:
        """The library of the only process that writes to the folder; raises UsageError when another one does.

        `wait` is told of the other one while it is waited for; None doesn't wait.
        """
        lock = util.FolderLock(util.long_path(root) / "download_state.lock")
        lock.acquire(clock, wait)
        return cls(root, lock)

    def _remember(self, key: Key, record: Record | None) -> None:
        if record is None or key[0] != "model":
            return
        if record.path:
            self._owners[util.name_key(record.path)] = key
        if record.sha256 and record.status == "success":
            self._by_hash[record.sha256] = key

    def _record(self, key: Key) -> Record | None:
        """The last line of the log about a thing; it is often asked for several times in a row."""
        with self._record_lock:  # a record that is appended meanwhile must not be forgotten over an older one
            last, record = self._last
            if last != key:
                line = self._log.get(*key)
                record = read_record(line) if line is not None else None
                self._last = key, record
            return record

    def at(self, path: str) -> Path:
        """The place of a relative path on this disk."""
        return Path(self._spelled(path))

    def _spelled(self, path: str) -> str:
        return f"{self._root}{os.sep}{path.replace('/', os.sep)}"

    def size(self, path: str) -> int | None:
        """The size of the file at a relative path, or None."""
        return util.size_of(self._spelled(path))

    def check_links(self, path: str) -> None:
        """Raise Failure if a folder on the way to a relative path is a symlink that a stranger planted."""
        if link := util.planted_link(self.root, self.at(path).parent):
            raise Failure("link", f"{link} is a symlink that somebody else made; it was not followed.")

    def place(self, folder: Iterable[str], name: str) -> str:
        """The relative path of a name in a folder, cut where this machine's paths are short."""
        return "/".join(util.fit_path(self._place, [*folder, name], self._limit))

    def records(self) -> Iterator[tuple[Key, Record]]:
        """The models and pictures that the log knows, one at a time."""
        for line in self._log.live("model", "image"):
            if record := read_record(line):
                yield (text(line, "type"), text(line, "id")), record

    def claim(self, wanted: Wanted) -> Wanted:
        """The thing with a path of its own: where another file has the name, the id goes into it."""
        owner = self._owners.setdefault(util.name_key(wanted.path), (wanted.kind, wanted.id))
        there = None if self.is_ours(wanted) else self.size(wanted.path)
        if owner == (wanted.kind, wanted.id) and (there is None or same_size(there, wanted)):
            return wanted
        return self.claim_spare(wanted)

    def claim_spare(self, wanted: Wanted) -> Wanted:
        """The thing at the path that bears its id."""
        spare = replace(wanted, path=wanted.spare_path)
        self._owners[util.name_key(spare.path)] = (wanted.kind, wanted.id)
        return spare

    def is_ours(self, wanted: Wanted) -> bool:
        """Whether the log says that what lies at the wanted path was put there for this thing."""
        record = self._record((wanted.kind, wanted.id))
        return record is not None and util.name_key(record.path) == util.name_key(wanted.path)

    def is_claimed(self, path: str) -> bool:
        """Whether a file of a model has this path."""
        return util.name_key(path) in self._owners

    def find(self, wanted: Wanted) -> Record | None:
        """What the log knows of a thing, or of the same bytes under another name."""
        record = self._record((wanted.kind, wanted.id))
        if record is not None and record.status == "success":
            return record
        key = self._by_hash.get(wanted.sha256) if wanted.sha256 else None
        return self._record(key) if key else record

    def look(self, wanted: Wanted, *, force: bool) -> tuple[Action, str, int]:
        """What to do about a thing, and path and size of the file that this is about."""
        record = self.find(wanted)
        recorded = self.size(record.path) if record is not None and record.path else None
        there = self._existing(wanted) if recorded is None else wanted.path
        whole = record is not None and record.status == "success" and recorded == record.size
        size = None if whole or not there else self.size(there)
        action = decide(wanted, record, size, recorded, force=force)
        if record is None or action not in ("keep", "link"):
            return action, there, size or 0
        if action == "link":
            target = wanted.path + (util.split_name(record.path)[1] if wanted.kind == "image" else "")
            if self._is_copy(wanted, self.at(target), self.at(record.path)):
                return "keep", target, record.size
        return action, record.path, record.size

    def _is_copy(self, wanted: Wanted, target: Path, source: Path) -> bool:
        """Whether the second place that a thing is wanted at has it already."""
        if not target.is_file() or target.stat().st_size != source.stat().st_size:
            return False
        return wanted.kind == "image" or target.samefile(source)

    def _existing(self, wanted: Wanted) -> str:
        """Where the thing may be: at the wanted path; a picture there with whichever extension it has, or nowhere."""
        if wanted.kind == "model":
            return wanted.path
        folder, _, stem = wanted.path.rpartition("/")
        return f"{folder}/{stem}{extension}" if (extension := self._media_in(folder).get(stem)) else ""

    def _media_in(self, folder: str) -> dict[str, str]:
        """Stems and extensions of the pictures in a folder at the first look; the last folders are remembered."""
        if folder not in self._listings:
            if len(self._listings) > 32:
                self._listings.clear()
            place = self.at(folder)
            names = (util.split_name(name) for name in (os.listdir(place) if place.is_dir() else ()))
            self._listings[folder] = {stem: each for stem, each in names if each in util.MEDIA_EXTENSIONS}
        return self._listings[folder]

    def media(self, wanted: Wanted) -> Path | None:
        """The file of a picture that was brought home, or None."""
        record = self._record((wanted.kind, wanted.id))
        path = record.path if record is not None and record.status == "success" else self._existing(wanted)
        return self.at(path) if path and self.size(path) is not None else None

    def record(self, key: Key, record: Record, *, source: str, reason: str = "") -> None:
        """Append to the state log what became of a thing."""
        facts = {"at": util.utc_now(), "type": key[0], "id": key[1], **vars(record), "reason": reason, "source": source}
        with self._record_lock:
            self._last = ("", ""), None
            self._log.append({name: value for name, value in facts.items() if name != "until" or value})
        self._remember(key, record)

    def write_sidecar(self, place: str, wanted: Wanted, data: bytes) -> None:
        """Keep what we say of a file beside it up to date, but never write over what a user or an app edited.

        Unedited is what has the SHA256 of the log still. Beside anything else ours is put as `<name>.new`. A sidecar
        that another version with a file of this stem has got is left to it.
        """
        path, key = self.at(place), ("sidecar", place)
        last = self._record(key)
        if last is not None and self._version_at(last.path) not in ("", wanted.id.partition("/")[0]):
            return
        with util.disk_errors(path):
            there = path.read_bytes() if path.exists() else data
        ours = last is not None and last.sha256 == hashlib.sha256(there).hexdigest() and not path.is_symlink()
        if there != data and not ours:
            util.write_file(path.with_name(path.name + ".new"), data)
            return
        util.write_file(path, data)
        mine = Record("success", wanted.path, 0, hashlib.sha256(data).hexdigest())
        if last != mine:
            self.record(key, mine, source=wanted.source)

    def _version_at(self, path: str) -> str:
        """The id of the version that a model file belongs to, "" if it is not known."""
        return self._owners.get(util.name_key(path), ("", ""))[1].partition("/")[0]

    def refilter_if_changed(self, filters: Filters) -> None:
        """Apply the word lists to the prompts on disk if they are not those of the last run."""
        last = read_prompt(self.root / "lists" / "filters.json").get("fingerprint")
        if last != filters.fingerprint and (changed := self.refilter(filters)):
            log.info("The word lists have changed: %d prompts were rewritten.", changed)

    def refilter(self, filters: Filters) -> int:
        """Apply the word lists to the prompts on disk; the number of files that changed."""
        changed = refilter(self.root, filters)
        util.write_json(self.root / "lists" / "filters.json", {"fingerprint": filters.fingerprint})
        return changed

    def queued(self, wanted: Wanted) -> Record | None:
        """What the log says of a thing that was handed to IDM and has not come yet, or None."""
        record = self._record((wanted.kind, wanted.id))
        return record if record is not None and record.status == "queued" else None

    def succeeded(self, key: Key) -> bool:
        """Whether the log has a success for a key."""
        record = self._record(key)
        return record is not None and record.status == "success"

    def begin(self) -> None:
        """Forget the results of the last run."""
        (self.root / "lists" / "results.jsonl").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the logs and of the folder."""
        self._log.close()
        self.results.close()
        if self._lock is not None:
            self._lock.release()


_OUTSIDE = re.compile(r"[/\\]|.?:|(?:.*/)?\.\.(?:/|\Z)", re.S)


def read_record(line: Mapping[str, Any]) -> Record | None:
    """What a line of the state log says; None if its path leads out of the folder."""
    path = text(line, "path")
    if _OUTSIDE.match(path):
        return None
    facts = (text(line, name) for name in ("sha256", "until"))
    return Record(text(line, "status"), path, number(line, "size"), *facts)


def check_writable(root: Path) -> None:
    """Raise UsageError if nothing can be written to an output folder."""
    try:
        probe = util.long_path(root) / ".writable"
        util.write_file(probe, b"?")
        probe.unlink()
    except (Failure, OSError) as error:
        raise UsageError(f"Nothing can be written to {root}; choose another folder by -o. ({error})") from None


# --- One thing's way to disk ---------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """How one thing ended. `path` is relative to the output folder, `size` in bytes; `until` is for IDM's queue.

    `scan` is what the site's scan says of a pickle file, which can run code when it is loaded.
    """

    outcome: Outcome
    kind: str
    id: str
    name: str
    path: str = ""
    size: int = 0
    sha256: str = ""
    reason: str = ""
    message: str = ""
    verified: bool = True
    until: str = ""
    scan: str = ""


class Still(Exception):
    """A video was answered by a still picture; the next form of its link may help."""


class Fetcher:
    """Brings single files home: decides, transfers, verifies and lands them."""

    TRIES = 3

    def __init__(self, settings: Settings, site: Site, clock: util.Clock, progress: util.Progress) -> None:
        """The collaborators are shared by all workers."""
        self._settings, self._site, self._clock, self._progress = settings, site, clock, progress
        self._throttle = util.Throttle(settings.limit_rate, clock)
        connections = 1 if settings.limit_rate else settings.connections
        self._gate = util.Gate(settings.workers, connections, clock, site.http.health.factor)
        self._quota_failures = 0
        self.idm = util.Idm(settings.idm, clock) if settings.idm is not None else None

    def bring(self, wanted: Wanted, library: Library, *, force: bool, elsewhere: Path | None) -> Result:
        """Have the thing on disk; raises a Failure with the reason why not, Stopped."""
        library.check_links(wanted.path)
        queued = library.queued(wanted)
        if queued is not None and (waiting := self._receive(wanted, library, queued, force=force)):
            return waiting
        action, place, size = library.look(wanted, force=force)
        if action == "keep":
            return self.kept(wanted, place, size)
        source = library.at(place) if action == "link" else elsewhere if action == "fetch" else None
        if source is not None and not source.is_file():
            source = None
        target = library.at(wanted.path)
        if source is not None and target.is_file() and not target.samefile(source):
            action, place = "adopt", wanted.path
        if action == "adopt" and (adopted := self._adopt(wanted, library, place)):
            return adopted
        if wanted.kind == "model" and target.is_file() and not library.is_ours(wanted):
            wanted = library.claim_spare(wanted)
        return self._fetch(wanted, library) if source is None else self._link(wanted, library, source)

    def kept(self, wanted: Wanted, place: str, size: int) -> Result:
        """The result of a thing that is there and known."""
        return self._result(wanted, place, size, "skipped", verified=bool(wanted.sha256) or wanted.kind == "image")

    def _link(self, wanted: Wanted, library: Library, source: Path) -> Result:
        """Put the same bytes at a second place without fetching them again."""
        place = wanted.path + (source.suffix if wanted.kind == "image" else "")
        target = library.at(place)
        if not (target.exists() and target.samefile(source)):
            util.link_or_copy(source, target)
        return self._result(wanted, place, library.size(place), "done", verified=True, sha256=wanted.sha256)

    def _adopt(self, wanted: Wanted, library: Library, place: str) -> Result | None:
        """Take a file that lies there already for the one wanted, if its bytes prove it; None if they don't."""
        path = library.at(place)
        with util.disk_errors(path):
            digest = util.sha256_of(path, self._clock).hexdigest() if wanted.kind == "model" else ""
        hashed = wanted.sha256 and self._settings.check_hashes
        if not (digest == wanted.sha256 if hashed else _has_right_form(path)):
            return None
        util.discard_part(library.at(wanted.path + ".part"))
        verified, size = bool(wanted.sha256), library.size(place)
        return self._result(wanted, place, size, "skipped", verified=verified, sha256=digest)

    def _fetch(self, wanted: Wanted, library: Library) -> Result:
        """Try the links one after the other: the next when this one has nothing, denies it, or has only a still."""
        if wanted.kind == "model" and self._quota_failures >= self.TRIES:
            raise Failure("quota", "The site's download quota is used up; wait some hours and run again.")
        trouble: Failure = Failure("gone", "The site gives no link for it.")
        for url in wanted.urls:
            try:
                result = (self._fetch_from if self.idm is None else self._queue_from)(url, wanted, library)
            except Still:
                trouble = Failure("still", "The site sends a still picture instead of this video; try again later.")
            except Failure as failure:
                self._quota_failures = self._quota_failures + 1 if failure.reason == "quota" else 0
                if failure.reason not in ("gone", "token-refused", "forbidden"):
                    raise
                trouble = failure
            else:
                self._quota_failures = 0
                return result
        raise trouble

    def _fetch_from(self, url: str, wanted: Wanted, library: Library) -> Result:
        """Transfer, verify and land."""
        part = library.at(wanted.path + ".part")
        self._check_space(wanted, part)
        meter = self._progress.begin(wanted.name, wanted.size or None)
        patience = util.Patience()
        transfer = util.Transfer(
            part=part,
            identity=wanted.sha256 or f"{wanted.kind}:{wanted.id}:{wanted.size}:{url.rpartition('/')[0]}",
            size=wanted.size or None,
            limit=wanted.size + 1024 if wanted.size else 16 << 30,
            trusted=bool(wanted.sha256) and self._settings.check_hashes,
            hashing=wanted.kind == "model" and self._settings.check_hashes,
            open=lambda headers: _no_page(self._site.open(url, headers, patience), wanted),
            again=lambda link, headers: _no_page(self._site.http.once(link, headers), wanted),
            gate=self._gate,
            clock=self._clock,
            throttle=self._throttle,
            progress=self._progress,
            meter=meter,
            rest=self._site.http.rest,
            tries=self._settings.retries,
        )
        try:
            with self._gate:
                received, extension = self._receive_right(transfer, wanted, library)
            transfer.land(library.at(wanted.path + extension))
        finally:
            self._progress.end(meter)
        verified = wanted.kind == "image" or bool(wanted.sha256 and received.sha256)
        place, size = wanted.path + extension, received.size
        return self._result(wanted, place, size, "done", verified=verified, sha256=received.sha256)

    def _receive_right(self, transfer: util.Transfer, wanted: Wanted, library: Library) -> tuple[util.Received, str]:
        """The body and the extension that its bytes call for; wrong bytes are fetched again, three times in all."""
        for attempt in range(1, self.TRIES + 1):
            received = transfer.run(resume=self._settings.resume and attempt == 1, alone=attempt > 1)
            try:
                return received, verify(wanted, transfer.part, received)
            except Still:
                transfer.discard()
                raise
            except Failure as failure:
                log.debug("%s: %s (%d of %d)", wanted.name, failure, attempt, self.TRIES)
                trouble = failure
        self._set_aside(transfer, wanted, library)
        raise trouble

    def _queue_from(self, url: str, wanted: Wanted, library: Library) -> Result:
        """Look at the first bytes, then hand the link to IDM: a page must never be queued as a model."""
        self._check_space(wanted, library.at(wanted.path))
        with closing(_no_page(self._site.open(url, {"Range": "bytes=0-63"}, util.Patience()), wanted)) as response:
            head, link = util.read_at_most(response, 64)[:64], response.url
            span = util.parse_content_range(response.headers.get("Content-Range"))
        extension, kind = util.sniff_media(head) if wanted.kind == "image" else ("", "")
        if wanted.media == "video" and kind == "image":
            raise Still
        if util.looks_like_page(head) or (wanted.kind == "image" and not extension):
            raise Failure("page", "The site sent something else than the file; a token or a later try may help.")
        size = (span[1] if span else None) or wanted.size
        if wanted.size and abs(size - wanted.size) >= 1024:
            raise Failure("size", f"The site offers {size} bytes where {wanted.size} are published; try again later.")
        target = library.at(wanted.path + extension)
        with util.disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
        secret = self._settings.idm_token_url and wanted.kind == "model" and self._settings.token
        if self.idm is not None:
            handed = f"{url}&token={self._settings.token}" if secret else link
            self.idm.add(handed, util.plain_path(target.parent), target.name)
        until = DAY + time.time() if secret else util.expiry_of(link, time.time())
        place, sha256 = wanted.path + extension, wanted.sha256
        result = self._result(wanted, place, size, "queued", verified=False, sha256=sha256)
        return replace(result, until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)))

    def _receive(self, wanted: Wanted, library: Library, record: Record, *, force: bool) -> Result | None:
        """What became of a thing in IDM's queue: done, still queued, or None if it is to be queued again."""
        arrived = receive_queued(library, (wanted.kind, wanted.id), record, self._clock)
        if arrived is not None:
            verified, sha256 = bool(wanted.sha256), arrived.sha256
            return self._result(wanted, arrived.path, arrived.size, "done", verified=verified, sha256=sha256)
        if force or moment(record.until) < time.time():
            return None
        return Result("queued", wanted.kind, wanted.id, wanted.name, record.path, record.size)

    def _check_space(self, wanted: Wanted, part: Path) -> None:
        if not wanted.size:
            return
        need, free = wanted.size - (util.size_of(part) or 0), util.free_space(part.parent)
        if need > free:
            sizes = f"{util.human_size(need)} are needed, {util.human_size(free)} are free"
            raise Failure("disk-full", f"The disk has no room for {wanted.name}: {sizes}.")

    def _set_aside(self, transfer: util.Transfer, wanted: Wanted, library: Library) -> None:
        name = util.file_name(wanted.path, "file", f" [{wanted.id.replace('/', '-')}]")
        target = library.at(library.place(("corrupted",), name))
        with util.disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        transfer.land(target)

    def _result(
        self, wanted: Wanted, place: str, size: int | None, outcome: Outcome, *, verified: bool, sha256: str = ""
    ) -> Result:
        facts = (outcome, wanted.kind, wanted.id, wanted.name, place, size or 0, sha256)
        return Result(*facts, verified=verified, scan=wanted.scan)


def receive_queued(library: Library, key: Key, record: Record, clock: util.Clock) -> Record | None:
    """The record of a queued file that has come and is right; None while it has not. Raises Failure for a wrong one.

    It has come when its size is reached and nobody has written to it for some seconds; a file that IDM called
    `name_2.ext` gets its right name.
    """
    target = library.at(record.path)
    path = util.delivered(target, record.size)
    if path is None:
        return None
    size, quiet = util.size_of(path) or 0, util.seconds_quiet(path)
    state = arrival(size, record.size, quiet)
    if state == "arriving":
        return None
    with util.disk_errors(path):
        digest = util.sha256_of(path, clock).hexdigest() if key[0] == "model" else ""
        if path != target:
            util.replace_file(path, target)
    right = digest == record.sha256 if record.sha256 else _has_right_form(target)
    if state == "wrong" or not right:
        aside = library.at(library.place(("corrupted",), target.name))
        with util.disk_errors(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            util.replace_file(target, aside)
        reason = "size" if state == "wrong" else "hash" if record.sha256 else "broken"
        raise Failure(reason, f"What IDM delivered is wrong ({size} of {record.size} bytes); it lies in corrupted/.")
    return Record("success", record.path, size, digest)


def arrival(size: int, expected: int, quiet: float) -> Literal["arriving", "arrived", "wrong"]:
    """Whether a file that another program writes has come: `quiet` is the seconds since its last change."""
    if not expected:
        return "arrived" if quiet >= 30 else "arriving"
    if size < expected:
        return "arriving" if quiet < 600 else "wrong"
    if size - expected >= 1024:
        return "wrong"
    return "arrived" if quiet >= 5 else "arriving"


def _has_right_form(path: Path) -> bool:
    """Without a hash: whether a model's header or a picture's first bytes are what the name says."""
    if path.suffix in util.MEDIA_EXTENSIONS:
        return _sniff(path)[0] == path.suffix
    return path.suffix != ".safetensors" or util.is_safetensors(path)


def _no_page(response: requests.Response, wanted: Wanted) -> requests.Response:
    """The response, unless it is a web page or a message where a file was asked for."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") or (
        kind == "application/json" and not wanted.path.endswith(".json")
    ):
        response.close()
        raise Failure("page", "The site sent a page instead of the file; a token (--token) or a later try may help.")
    return response


def verify(wanted: Wanted, part: Path, received: util.Received) -> str:
    """Prove that the bytes are the ones wanted; gives the extension still to be added to the name.

    Raises Failure for wrong bytes, Still for a picture in place of a video. A published hash decides alone;
    without one, size and header do.
    """
    if wanted.kind == "image":
        extension, kind = _sniff(part)
        if kind == "image" and wanted.media == "video":
            raise Still
        if not extension:
            raise Failure("broken", "What the site sent is no picture, video or sound; try again later.")
        return extension
    if wanted.sha256 and received.sha256:
        if received.sha256 != wanted.sha256:
            raise Failure("hash", "Its SHA256 is not the one published, three times; it lies in corrupted/.")
        return ""
    with part.open("rb") as file:
        head = file.read(64)
    if util.looks_like_page(head):
        raise Failure("page", "The site sent a page instead of the file; it lies in corrupted/.")
    if wanted.size and abs(received.size - wanted.size) >= 1024:
        raise Failure("size", f"It has {received.size} bytes where {wanted.size} are published; it lies in corrupted/.")
    if wanted.path.endswith(".safetensors") and not util.is_safetensors(part):
        raise Failure("broken", "Its safetensors header is broken, three times; it lies in corrupted/.")
    return ""


def _sniff(path: Path) -> tuple[str, str]:
    with util.disk_errors(path), path.open("rb", buffering=0) as file:
        return util.sniff_media(file.read(64))


# --- The run -------------------------------------------------------------------------------------


class Tally:
    """Counts open tasks and calls `then` once the last has ended."""

    def __init__(self, then: Callable[[], None]) -> None:
        """`then` runs in the thread that ends the last task."""
        self._lock, self._open, self._then = threading.Lock(), 0, then

    def open(self) -> None:
        """A task begins."""
        with self._lock:
            self._open += 1

    def close(self) -> None:
        """A task has ended."""
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._then()


@dataclass
class Batch:
    """Everything behind one target: its results and what is still open of it.

    `listed` says that a listing brought it up, so that what the site does not give is a note and no failure;
    `made_with` that it is wanted only if it is a LoRA (or checkpoint) that pictures were made with.
    """

    entry: Entry
    lib: Library
    listed: bool = False
    made_with: bool = False
    tally: Tally = field(init=False)
    name: str = ""
    page: str = ""
    page_path: str = ""
    note: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    told: list[Result] = field(default_factory=list)
    settled: bool = False

    @property
    def failures(self) -> list[Result]:
        """What went wrong."""
        return [result for result in self.told if result.outcome == "failed"]


@dataclass(frozen=True)
class Album:
    """A list of pictures and the folder they go to; `made_with` asks for the LoRAs they were made with."""

    name: str
    folder: Folder
    pages: Iterable[list[dict[str, Any]]] = ()
    made_with: bool = False

    def wanted(self, image: Image, batch: Batch) -> Wanted:
        """A picture in this folder."""
        path = batch.lib.place(self.folder, str(image.id))
        name = f"{self.name}: {image.type} {image.id}"
        return Wanted("image", str(image.id), name, path, media_urls(image), batch.entry.source, media=image.type)


@dataclass(frozen=True)
class Shelf:
    """A version of a model with the places of its things."""

    model: Model
    version: Version
    settings: Settings
    lib: Library
    source: str

    @property
    def folder(self) -> Folder:
        """The version's folder."""
        return version_folder(self.settings.layout, self.model, self.version)

    def wanted_files(self, site: Site, target: Target) -> list[tuple[File, Wanted]]:
        """The chosen files with names of their own.

        Every file of the version claims its name in the site's order first, so that a name does not depend on what
        was chosen.
        """
        chosen = {file.id for file in choose_files(self.version, target, self.settings)}
        named = [(file, self.lib.claim(self._wanted_file(site, file))) for file in self.version.files]
        return [(file, wanted) for file, wanted in named if file.id in chosen]

    def _wanted_file(self, site: Site, file: File) -> Wanted:
        name = util.file_name(file.name, f"{self.version.id}-{file.id}")
        folder = file_folder(self.settings.layout, self.model, self.version, file)
        if (
            file.type == "Config"
            and self.settings.layout in ("comfyui", "a1111")
            and (best := best_file(self.version.files))
        ):
            name = util.split_name(util.file_name(best[0].name, str(self.version.id)))[0] + util.split_name(name)[1]
        label = f"{self.model.name} [{self.model.id}] {self.version.name}: {name}"
        path, urls = self.lib.place(folder, name), site.file_urls(self.version.id, file)
        scan = text(file.raw, "pickleScanResult") or "unknown" if name.lower().endswith(PICKLES) else ""
        facts = (f"{self.version.id}/{file.id}", util.printable(label), path, urls, self.source, file.size, file.sha256)
        return Wanted("model", *facts, scan=scan)

    def album(self, pages: Iterable[list[dict[str, Any]]] = ()) -> Album:
        """The version's `images` folder and what goes into it."""
        name = util.printable(f"{self.model.name} [{self.model.id}] {self.version.name}")
        return Album(name, (*self.folder, "images"), pages)

    def previews(self) -> list[Image]:
        """The showcase pictures of the wanted levels."""
        return [image for image in self.version.images if self.settings.wants_level(image.level)]

    def preview(self) -> Image | None:
        """The picture that stands for the version: the first still one, else the first."""
        shown = self.previews()
        return next((image for image in shown if image.type == "image"), shown[0] if shown else None)


@contextmanager
def pools(workers: int, clock: util.Clock) -> Iterator[tuple[Executor, Executor]]:
    """The metadata pool (one worker) and the LoRA pool; left early, they are given 0.4 seconds to stop."""
    metadata = ThreadPoolExecutor(1, "metadata")
    loras = ThreadPoolExecutor(workers, "lora")
    try:
        yield metadata, loras
    except BaseException:
        clock.stop()
        for pool in (metadata, loras):
            pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + 0.4
        names = ("metadata", "lora")
        while time.monotonic() < deadline and any(t.name.startswith(names) for t in threading.enumerate()):
            time.sleep(0.02)
        raise
    for pool in (metadata, loras):
        pool.shutdown()


NO_USER = "The site has no user {}, or nothing of theirs to show; check the name."


@contextmanager
def no_such_user(name: str) -> Iterator[None]:
    """Says of a user what the site only calls "not found"."""
    try:
        yield
    except Failure as failure:
        raise Failure("gone", NO_USER.format(util.printable(name))) if failure.reason == "gone" else failure from None


@contextmanager
def unless_refused(what: str, *, wanted: bool = False) -> Iterator[None]:
    """Goes on without what the site does not tell to this login (and says so); any other failure is one."""
    try:
        yield
    except Failure as failure:
        if wanted or failure.reason not in ("needs-token", "token-refused", "forbidden", "gone"):
            raise
        log.warning("%s is not told by the site: %s", what, failure)


AHEAD = 4000
Found = Iterator[list[tuple[Target, dict[str, Any] | None]]]


class Run:
    """One run over all entries. Watchers read `settled`, `batches`, `counts` and `progress`.

    It waits for IDM as long as something comes within `IDM_PATIENCE` seconds.
    """

    IDM_PATIENCE = DAY

    def __init__(self, settings: Settings, entries: list[Entry], clock: util.Clock, filters: Filters) -> None:
        """Read the state log of every output folder."""
        self.settings, self._clock, self.filters = settings, clock, filters
        self.progress = util.Progress()
        self.site = Site(settings, clock)
        self._fetcher = Fetcher(settings, self.site, clock, self.progress)
        self.libraries: dict[Path, Library] = {}
        self.batches: list[Batch] = []
        self.counts: Counter[str] = Counter()
        self.settled = self.pictures = 0
        self.interrupted = False
        self._bytes_open = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._asked = util.NumberMap()
        self._flights: dict[str, list[Callable[[], None]]] = {}
        self._landed: dict[str, Path] = {}
        self._visited: set[tuple[Path, Target, Settings]] = set()
        self._answers: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()
        self._hashes: dict[str, Target] | None = None
        self._expected = OrderedDict.fromkeys(each.target.id for each in entries if each.target.kind in ("model", "id"))
        self._late: list[tuple[Batch, Album, array[int]]] = []
        self._held: list[Callable[[], None]] = []
        self._resting: list[tuple[float, Callable[[], None]]] = []
        self._in_flight = 0
        self._refusals = 0
        self._queued: list[tuple[Batch, Wanted, Result]] = []
        self._arrived = 0.0
        self._all = Tally(self._over.set)
        self._listing = Tally(self._next_late)
        self._begun, self._begun_at = clock.now(), util.utc_now()
        for entry in entries:
            self._add_batch(entry)

    def _add_batch(self, entry: Entry, *, listed: bool = False, made_with: bool = False) -> Batch:
        root = entry.settings.output
        library = self.libraries.get(util.real_path(root))
        if library is None:
            wait = log.info if self.settings.wait else None
            library = Library(root) if self.settings.dry_run else Library.to_write(root, self._clock, wait)
            self.libraries[util.real_path(root)] = library
        batch = Batch(entry, library, listed, made_with, name=entry.source)
        batch.tally = Tally(partial(self._settle, batch))
        with self._lock:
            self.batches.append(batch)
        return batch

    def execute(self, watch: Callable[[Run], None]) -> None:
        """Do everything; `watch` is called some ten times a second, and Ctrl-C ends it within half a second."""
        try:
            for library in self.libraries.values():
                library.begin()
                library.refilter_if_changed(self.filters)
            with pools(self.settings.workers, self._clock) as (self._metadata, self._loras):
                self._all.open()
                for batch in list(self.batches):
                    self._ask(batch, partial(self._visit, batch))
                self._all.close()
                while not self._over.wait(0.02 if self._resting else 0.1):
                    self._try_again()
                    watch(self)
            self._start_idm(result for _, _, result in self._queued if result.until)
            self._arrived = self._clock.now()
            while self.settings.idm_wait and self._queued and self._clock.now() < self._arrived + self.IDM_PATIENCE:
                self._await_idm()
                watch(self)
        except KeyboardInterrupt:
            self.interrupted = True
        watch(self)

    def _start_idm(self, queued: Iterable[object]) -> None:
        """Start IDM's queue if there is something in it."""
        if self._fetcher.idm is not None and any(True for _ in queued):
            try:
                self._fetcher.idm.start()
            except Failure as failure:
                log.warning("%s", failure)

    def _await_idm(self) -> None:
        """Look at everything queued once, start what was queued again as its link had run out, wait two seconds."""
        waiting, self._queued, still = self._queued, [], []
        for batch, wanted, result in waiting:
            now = self._result_of(batch, wanted.name, partial(self._bring, batch, wanted))
            if now is None or now.outcome == "queued":
                still.append((batch, wanted, result))
                continue
            self._arrived = self._clock.now()
            batch.told.remove(result)
            batch.counts["queued"] -= 1
            self.counts["queued"] -= 1
            self.pictures -= wanted.kind == "image"
            self._finish(batch, now)
        self._start_idm(result for _, _, result in self._queued if result.until)
        self._queued = still
        self._clock.sleep(2)

    # Tasks: every exception becomes a result here, and nowhere else.

    def _ask(self, batch: Batch, action: Callable[[], Result | None]) -> None:
        """Queue a task that asks the site for lists or pages."""
        self._submit(self._metadata, batch, (self._listing,), batch.name, action)

    def _walk(self, batch: Batch, steps: Iterator[None]) -> None:
        """One step of a longer listing; the rest goes to the end of the queue, so that everybody gets a turn.

        While thousands of things wait for a worker, listings are held back: memory stays bounded.
        """
        if self._in_flight > AHEAD:
            self._hold(batch, steps)
            self._release_held()
            return
        for _ in steps:
            self._ask(batch, partial(self._walk, batch, steps))
            return

    def _submit(
        self, pool: Executor, batch: Batch, tallies: tuple[Tally, ...], name: str, action: Callable[[], Result | None]
    ) -> None:
        tallies = (*tallies, batch.tally, self._all)
        for tally in tallies:
            tally.open()
        self._queue(pool, batch, tallies, name, action)

    def _queue(
        self, pool: Executor, batch: Batch, tallies: tuple[Tally, ...], name: str, action: Callable[[], Result | None]
    ) -> None:
        self._clock.check()
        pool.submit(self._guard, batch, tallies, name, action)

    def _guard(self, batch: Batch, tallies: tuple[Tally, ...], name: str, action: Callable[[], Result | None]) -> None:
        try:
            self._clock.check()
            if result := self._result_of(batch, name, action):
                self._finish(batch, result)
            for tally in tallies:
                tally.close()
        except util.Stopped:
            return

    def _result_of(self, batch: Batch, name: str, action: Callable[[], Result | None]) -> Result | None:
        try:
            return action()
        except Failure as failure:
            outcome: Outcome = "skipped" if batch.listed and failure.reason in (*NOT_GIVEN, "gone") else "failed"
            return Result(outcome, "page", "", name, reason=failure.reason, message=str(failure))
        except Exception as error:
            if self._clock.stopped:
                raise util.Stopped from None
            log.error("%s", util.scrub(traceback.format_exc()))
            words = util.scrub(f"{type(error).__name__}: {error}")
            message = f"A fault of this program ({words}); report it."
            return Result("failed", "page", "", name, reason="bug", message=message)

    def _finish(self, batch: Batch, result: Result) -> None:
        with self._lock:
            self.counts[result.outcome] += 1
            batch.counts[result.outcome] += 1
            self.pictures += result.kind == "image"
            scanned = result.scan and result.outcome == "done"
            if result.reason or result.outcome == "queued" or not result.verified or scanned:
                batch.told.append(result)
        with suppress(Failure):  # a full disk is told where the thing itself is written
            batch.lib.results.append(vars(result))
        if result.outcome == "failed":
            log.info("failed: %s: %s", result.name, result.message)

    def _hold(self, batch: Batch, steps: Iterator[None]) -> None:
        """Keep a listing for later; batch, run and the listings stay open for it."""
        tallies = (self._listing, batch.tally, self._all)
        for tally in tallies:
            tally.open()
        with self._lock:
            walk = partial(self._walk, batch, steps)
            self._held.append(partial(self._queue, self._metadata, batch, tallies, batch.name, walk))

    def _release_held(self) -> None:
        """Go on with the listings once the workers have caught up."""
        if self._in_flight < AHEAD // 2:
            with self._lock:
                tasks, self._held = self._held, []
            for task in tasks:
                task()

    def _put_off(self, batch: Batch, album: Album, image_id: int) -> None:
        """Ask how a picture was made once nothing is left to be listed; batch and run stay open for it."""
        for tally in (batch.tally, self._all):
            tally.open()
        with self._lock:
            if not self._late or self._late[-1][1] is not album:
                self._late.append((batch, album, array("q")))
            self._late[-1][2].append(image_id)

    def _next_late(self) -> None:
        """Ask what was put off, one after the other."""
        with self._lock:
            if not self._late:
                return
            batch, album, ids = self._late[-1]
            image_id = ids.pop()
            if not ids:
                self._late.pop()
        ask = partial(self._generation, batch, album, image_id)
        self._queue(self._metadata, batch, (batch.tally, self._all), f"{album.name}: picture {image_id}", ask)

    # Metadata pool: what a target is, and what is behind it.

    def _visit(self, batch: Batch) -> None:
        """Begin with a target: pictures, a listing of further targets, or a model."""
        batch.name = batch.name or batch.entry.source
        kind = batch.entry.target.kind
        albums = {"user": self._user_album, "post": self._post_album, "image": self._image_album}
        if kind in ("user", "tag", "collection"):
            self._walk(batch, self._visit_listing(batch))
        if kind in albums:
            self._walk(batch, albums[kind](batch))
        if kind in ("model", "version", "id", "hash"):
            self._visit_model(batch)

    def _visit_listing(self, batch: Batch) -> Iterator[None]:
        """Give every target of a listing a batch of its own, page by page."""
        entry = batch.entry
        for page in self.found(entry.target, entry.settings):
            for target, answer in page:
                if answer is not None:
                    self._remember(("model", target.id), answer)
                elif target.kind == "model":
                    self._expected[target.id] = None
                child = self._add_batch(replace(entry, target=target), listed=True)
                child.name = f"{target.kind} {target.id}"
                self._ask(child, partial(self._visit, child))
            yield
        if entry.target.kind == "collection":
            yield from self._collection_album(batch)

    def found(self, target: Target, settings: Settings) -> Found:
        """Pages of the targets behind a user, tag or collection; with the whole model where the list carried it."""
        if target.kind == "tag":
            return self._tagged(target.name, settings)
        if target.kind == "collection":
            return self._collected(target.id, settings)
        if target.part == "posts":
            return self._posts_of_user(target.name, settings)
        return self._models_of_user(target.name) if target.part in ("", "models") else iter(())

    def _models_of_user(self, name: str) -> Found:
        """A creator's models without a hole: each of the three lists leaves out others.

        The REST list with `nsfw` leaves out models flagged minor, without it those above PG; the site's own list has
        what both lack. An unknown name has a 404 in the first; another user's models are never taken.
        """
        seen: set[int] = set()
        lists = [self.site.models({"username": name, **nsfw}) for nsfw in ({"nsfw": "true"}, {})]
        with no_such_user(name):
            for items in chain(*lists):
                fresh = [item for item in items if number(item, "id") not in seen and is_by(item, name)]
                seen.update(number(item, "id") for item in fresh)
                whole = (item if item.get("modelVersions") else None for item in fresh)
                yield [(Target("model", number(item, "id")), answer) for item, answer in zip(fresh, whole, strict=True)]
        with unless_refused(f"{name}: the site's own list"):
            for items in self.site.trpc_pages("model.getAll", {"username": name}, 100, 31):
                fresh = [item for item in items if number(item, "id") not in seen and is_by(item, name)]
                seen.update(number(item, "id") for item in fresh)
                yield [(Target("model", number(item, "id")), None) for item in fresh]

    def _posts_of_user(self, name: str, settings: Settings) -> Found:
        """A user's posts; for an unknown name the site answers with everybody's, which are not taken."""
        for items in self.site.trpc_pages("post.getInfinite", {"username": name}, 100, settings.level):
            if items and not any(is_by(item, name) for item in items):
                raise Failure("gone", NO_USER.format(util.printable(name)))
            yield [(Target("post", number(item, "id")), None) for item in items if is_by(item, name)]

    def _tagged(self, name: str, settings: Settings) -> Found:
        """The models with a tag; for an unknown tag the site answers with every model, which are not taken."""
        for items in self.site.models({"tag": name, **({} if settings.sfw else {"nsfw": "true"})}):
            tagged = [item for item in items if name.casefold() in (each.casefold() for each in read_model(item).tags)]
            if items and not tagged:
                raise Failure(
                    "gone", f"The site has no models with the tag {util.printable(name)}; check its spelling."
                )
            yield [(Target("model", number(item, "id")), item) for item in tagged]

    def _collected(self, collection_id: int, settings: Settings) -> Found:
        """The models or posts of a collection; of one of pictures nothing."""
        procedures: dict[str, tuple[str, Kind]] = {
            "Model": ("model.getAll", "model"),
            "Post": ("post.getInfinite", "post"),
        }
        kind = text(self.collection(collection_id), "type")
        if kind not in procedures:
            return
        procedure, child = procedures[kind]
        for items in self.site.trpc_pages(procedure, {"collectionId": collection_id}, 100, settings.level):
            yield [(Target(child, number(item, "id")), None) for item in items]

    def collection(self, collection_id: int) -> dict[str, Any]:
        """A collection's own data; raises Failure when it is private or not there."""
        key = ("collection", collection_id)
        if key not in self._answers:
            answer = self.site.trpc("collection.getById", {"id": collection_id})
            found = mapping(answer, "collection")
            if not found:
                raise Failure(
                    "gone", "The collection is private or not there; its owner's token or --cookies may help."
                )
            if not self.settings.token:
                log.warning("Without a token the site shows PG things only in collections.")
            self._remember(key, found)
        return self._answers[key]

    def _remember(self, key: tuple[str, int], answer: dict[str, Any]) -> None:
        """Keep an answer that can't change in this run; the last 256 are kept."""
        self._answers[key] = answer
        if len(self._answers) > 256:
            self._answers.popitem(last=False)

    # Models.

    def _visit_model(self, batch: Batch) -> None:
        """Ask for the model of a target, write its pages, and submit its files, pictures and galleries."""
        entry, settings = batch.entry, batch.entry.settings
        if batch.made_with and not self._is_wanted_tool(entry.target, settings):
            batch.note = "left out: no LoRA"
            return
        model, target = self.resolve(entry.target)
        batch.name = util.printable(f"{model.name} [{model.id}]")
        if entry.target.kind in ("id", "hash") and not batch.listed:
            log.info("%s is %s", entry.target.id or entry.target.name, batch.name)
        batch.page = f"model/{model.id}"
        key = (settings.output.absolute(), target, settings)
        if key in self._visited:
            batch.note = "the same as an earlier line"
            return
        self._visited.add(key)
        if settings.types and model.type.casefold() not in {each.casefold() for each in settings.types}:
            batch.note = f"left out: its type is {model.type}"
            return
        batch.page_path = self._write_pages(batch, model)
        versions = choose_versions(model, target, settings)
        if not versions and model.versions:
            batch.note = "left out: no version of the wanted base models"
        elif not versions:
            raise Failure("no-files", "The model has no published version with files.")
        for version in versions:
            self._start(batch, target, Shelf(model, version, settings, batch.lib, entry.source))

    def _is_wanted_tool(self, target: Target, settings: Settings) -> bool:
        """Whether a version that pictures were made with is a LoRA (or, with --checkpoints, a checkpoint)."""
        kind = text(mapping(self._version(target.version), "model"), "type").lower()
        return kind in LORA_TYPES or (settings.checkpoints and kind == "checkpoint")

    def resolve(self, target: Target) -> tuple[Model, Target]:
        """The model of a target, and the target in its plainest form (a model, or a version of a model)."""
        if target.kind == "id":
            try:
                return self._model(target.id), Target("model", target.id)
            except Failure as failure:
                if failure.reason != "gone":
                    raise
                target = Target("version", version=target.id)
        if target.kind == "hash":
            target = self._of_hash(target.name)
        model = self._model(target.id) if target.id else None
        if model is None or (target.version and all(version.id != target.version for version in model.versions)):
            late = self._version(target.version)
            model = self._model(number(late, "modelId") or target.id)
            if all(version.id != target.version for version in model.versions):
                model = replace(model, versions=(*model.versions, read_version(late)))
        return model, replace(target, kind="model", id=model.id)

    def _of_hash(self, digest: str) -> Target:
        """The version with a file of this hash; the SHA256 of all lines are asked for in one request."""
        if self._hashes is None:
            names = (batch.entry.target.name.upper() for batch in self.batches if batch.entry.target.kind == "hash")
            sums, self._hashes = [name for name in dict.fromkeys(names) if len(name) == 64][:10_000], {}
            if len(sums) > 1:
                with suppress(Failure):  # each is asked for by itself, then
                    self._hashes = self.site.versions_by_sha256(sums)
                self._expected.update(dict.fromkeys(target.id for target in self._hashes.values()))
        if digest.upper() in self._hashes:
            return self._hashes[digest.upper()]
        answer = self.site.version_by_hash(digest)
        self._remember(("version", number(answer, "id")), answer)
        return Target("version", version=number(answer, "id"))

    def _model(self, model_id: int) -> Model:
        """A model; those that will be visited next are asked for in the same request."""
        key = ("model", model_id)
        if key not in self._answers:
            self._expected.pop(model_id, None)
            others = [self._expected.popitem(last=False)[0] for _ in range(min(99, len(self._expected)))]
            if others:
                with suppress(Failure):  # each is asked for by itself, then
                    for answer in self.site.models_by_id([model_id, *others]):
                        self._remember(("model", number(answer, "id")), answer)
        if key not in self._answers:
            self._remember(key, self.site.model(model_id))
        return read_model(self._answers[key])

    def _version(self, version_id: int) -> dict[str, Any]:
        key = ("version", version_id)
        if key not in self._answers:
            self._remember(key, self.site.version(version_id))
        return self._answers[key]

    def _write_pages(self, batch: Batch, model: Model) -> str:
        library, folder = batch.lib, page_folder(batch.entry.settings.layout, model)
        library.check_links(library.place(folder, "model.json"))
        url = self.site.page_url(f"/models/{model.id}", model.level)
        util.write_json(library.at(library.place(folder, "model.json")), util.scrub_json(model.raw))
        words = util.scrub(model_text(model, url)).encode("utf-8", "replace")
        util.write_file(library.at(library.place(folder, "model.txt")), words)
        page = description_page(model, url, read_data("description.html")).encode("utf-8", "replace")
        util.write_file(library.at(library.place(folder, "description.html")), page)
        return "/".join(folder)

    def _start(self, batch: Batch, target: Target, shelf: Shelf) -> None:
        """Submit what belongs to one version: its preview first, then its files, pictures and gallery."""
        settings, album = shelf.settings, shelf.album()
        files = shelf.wanted_files(self.site, target)
        sidecars = partial(self._write_sidecars, batch, shelf, files)
        group = Tally(lambda: self._submit(self._metadata, batch, (), batch.name, sidecars))
        group.open()
        if unusable := len(dicts(shelf.version.raw, "images")) - len(shelf.version.images):
            log.warning("%s: %d pictures without a usable link were left out.", album.name, unusable)
        preview = shelf.preview()
        if preview is not None and settings.only != "metadata":
            self._want(batch, album.wanted(preview, batch), (group,))
        if settings.wants_files:
            missing = missing_files(shelf, target, files, listed=batch.listed)
            for failure in missing:
                self._finish(batch, failure)
            for _, wanted in [] if missing else files:
                self._want(batch, wanted, (group,))
        group.close()
        if settings.wants_images:
            for image in shelf.previews():
                self._want(batch, album.wanted(image, batch), ())
        if settings.only != "models":
            self._ask(batch, lambda: self._walk(batch, self._gallery(batch, shelf)))

    def _gallery(self, batch: Batch, shelf: Shelf) -> Iterator[None]:
        """A version's gallery; then the showcase pictures it did not have, and the posts these belong to."""
        settings, version = shelf.settings, shelf.version
        showcase = {image.id for image in shelf.previews()}
        listed: dict[int, dict[str, Any]] = {}

        def note(item: dict[str, Any]) -> None:
            """Remember which showcase pictures the gallery has."""
            if number(item, "id") in showcase:
                listed[number(item, "id")] = item

        if settings.gallery and settings.max_images != 0:
            query = {"modelVersionId": version.id, "browsingLevel": settings.level}
            yield from self._show(batch, shelf.album(self.site.images(query, settings.max_images)), note)
        album = shelf.album()
        for image in shelf.previews():
            if image.id not in listed and batch.lib.size(self._prompt_path(batch, album, image.id)) is None:
                self._write_prompt(batch, album, image)
        shown = [listed[image.id] for image in shelf.previews() if image.id in listed]
        for post_id in dict.fromkeys(number(item, "postId") for item in shown if is_by(item, shelf.model.creator)):
            order = [number(item, "id") for item in shown if number(item, "postId") == post_id]
            path = batch.lib.place(shelf.folder, f"post-{post_id}.json")
            if post_id and (settings.refresh or not batch.lib.at(path).is_file()):
                self._ask(batch, partial(self._write_post, batch, path, post_id, order))

    def _write_post(self, batch: Batch, path: str, post_id: int, images: list[int]) -> None:
        """`post-<id>.json` beside a version whose showcase is a post of its creator."""
        with unless_refused(f"post {post_id}: its text"):
            post = self.site.trpc("post.get", {"id": post_id})
            page = self.site.page_url(f"/posts/{post_id}")
            facts = post_facts(post, post_id, page, images)
            util.write_json(batch.lib.at(path), util.scrub_json(facts))

    # Pictures and prompts.

    def _show(
        self, batch: Batch, album: Album, note: Callable[[dict[str, Any]], object] = lambda item: None
    ) -> Iterator[None]:
        """Bring home every picture of an album with its prompt, page by page; `note` is told of each."""
        for page in album.pages:
            for item in page:
                self._take(batch, album, item)
                note(item)
            yield

    def _take(self, batch: Batch, album: Album, item: Mapping[str, Any]) -> None:
        """One picture: its prompt, its bytes, what it was made with, and a later question for what is not told here."""
        image, settings = read_image(item), batch.entry.settings
        if image is None:
            log.warning("%s: a picture without a usable link was left out.", album.name)
            return
        if not settings.wants_level(image.level):
            return
        place = self._prompt_path(batch, album, image.id)
        if settings.refresh or settings.force or batch.lib.size(place) is None:
            self._write_prompt(batch, album, image)
        if settings.wants_images:
            self._want(batch, album.wanted(image, batch), ())
        told = flat_meta(item.get("meta")) is not None and not settings.full_metadata
        if not told and not batch.lib.succeeded(("meta", str(image.id))):
            self._put_off(batch, album, image.id)
        if album.made_with:
            facts = read_prompt(batch.lib.at(place))
            self._bring_tools(batch, versions_used(facts, checkpoints=settings.checkpoints))

    def _generation(self, batch: Batch, album: Album, image_id: int) -> Result | None:
        """Ask how a picture was made; after three refusals in a row nobody is asked any more in this run."""
        self._next_late()
        if self._refusals >= 3:
            return None
        path = self._prompt_path(batch, album, image_id)
        key, library, source = ("meta", str(image_id)), batch.lib, batch.entry.source
        try:
            answer = self.site.trpc("image.getGenerationData", {"id": image_id}, keep=False)
        except Failure as failure:
            self._refusals += failure.reason in ("needs-token", "token-refused", "forbidden")
            if self._refusals == 3:
                log.warning("The site does not tell how pictures were made: %s The next run asks again.", failure)
            if failure.reason != "gone":
                library.record(key, Record("failed", path, 0, ""), source=source, reason=str(failure))
                raise
            answer = {}
        self._refusals = 0
        facts = with_generation(read_prompt(library.at(path)), answer, self.filters)
        util.write_json(library.at(path), util.scrub_json(facts))
        library.record(key, Record("success", path, 0, ""), source=source)
        if album.made_with:
            self._bring_tools(batch, versions_used(facts, checkpoints=batch.entry.settings.checkpoints))
        return None

    def _prompt_path(self, batch: Batch, album: Album, image_id: int) -> str:
        return batch.lib.place(album.folder, f"{image_id}.txt")

    def _write_prompt(self, batch: Batch, album: Album, image: Image) -> None:
        place = self._prompt_path(batch, album, image.id)
        batch.lib.check_links(place)
        path = batch.lib.at(place)
        page = self.site.page_url(f"/images/{image.id}", image.level)
        facts = util.scrub_json(image_facts(image, page, self.filters))
        util.write_json(path, outliving(facts, read_prompt(path)))

    def _bring_tools(self, batch: Batch, versions: Iterable[int]) -> None:
        """Fetch the LoRAs that pictures were made with into their creators' folders, without their galleries."""
        settings = batch.entry.settings
        if not settings.loras or settings.only in ("images", "metadata"):
            return
        plain = replace(settings, only="models", latest=False, types=(), base_models=())
        for version in sorted(versions):
            target = Target("version", version=version)
            key = (settings.output.absolute(), target, plain)
            if key not in self._visited:
                self._visited.add(key)
                child = self._add_batch(Entry(target, plain, batch.entry.source), listed=True, made_with=True)
                child.name = f"version {version}"
                self._ask(child, partial(self._visit, child))

    def _user_album(self, batch: Batch) -> Iterator[None]:
        """Every picture and video that a user posted."""
        target, settings = batch.entry.target, batch.entry.settings
        if target.part in ("models", "posts"):
            return
        kind = {"images": "image", "videos": "video"}.get(target.part, "")
        query = {"browsingLevel": settings.level, **({"type": kind} if kind else {})}
        found = self.site.images({**self._user_query(target.name), **query})
        first = next(found, [])
        if not first:
            self._user_query(target.name, by_id=True)
        name = (text(first[0], "username") if first else "") or target.name
        folder = ("users", util.folder_name(name), "images")
        yield
        yield from self._show(batch, Album(util.printable(name), folder, chain([first], found)))

    def _user_query(self, name: str, *, by_id: bool = False) -> dict[str, Any]:
        """How `/images` is asked for a user: by name if it has plain letters, else by id. Raises Failure if unknown."""
        if re.fullmatch(r"[A-Za-z0-9_]+", name) and not by_id:
            return {"username": name}
        creator: Any = None
        with no_such_user(name):
            creator = self.site.trpc("user.getCreator", {"username": name})
        if not isinstance(creator, dict) or not number(creator, "id"):
            raise Failure("gone", NO_USER.format(util.printable(name)))
        return {"userId": number(creator, "id")}

    def _post_album(self, batch: Batch) -> Iterator[None]:
        """A post as its author laid it out: REST has the prompts, the inner interface text and order."""
        post_id, settings = batch.entry.target.id, batch.entry.settings
        folder = ("posts", str(post_id))
        batch.name, batch.page = f"post {post_id}", f"post/{post_id}"
        query = {"postId": post_id, "browsingLevel": settings.level}
        items, post = self._in_order(post_id, [item for page in self.site.images(query) for item in page], settings)
        page = self.site.page_url(f"/posts/{post_id}")
        facts = post_facts(post, post_id, page, [number(each, "id") for each in items])
        util.write_json(batch.lib.at(batch.lib.place(folder, "post.json")), util.scrub_json(facts))
        self._bring_tools(batch, {number(post, "modelVersionId")} - {0})
        batch.page_path = "/".join(folder)
        yield
        yield from self._show(batch, Album(batch.name, folder, iter([items]), made_with=True))

    def _in_order(
        self, post_id: int, items: list[dict[str, Any]], settings: Settings
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """A post's pictures in the author's order, those the REST index lacks included, and the post itself."""
        post: dict[str, Any] = {}
        answer: dict[str, Any] = {}
        with unless_refused(f"post {post_id}: its text", wanted=not items):
            post = self.site.trpc("post.get", {"id": post_id})
        query = {"postId": post_id, "browsingLevel": settings.level, "limit": 200}
        with unless_refused(f"post {post_id}: the order of its pictures"):
            answer = self.site.trpc("image.getInfinite", query)
        laid_out = dicts(answer, "items")
        known = {number(item, "id"): item for item in items}
        order = [known.pop(number(item, "id"), {}) or self.site.with_link(item) for item in laid_out]
        return [*order, *sorted(known.values(), key=lambda item: number(item, "id"))], post

    def _image_album(self, batch: Batch) -> Iterator[None]:
        """One picture, in `images/`."""
        item = self.site.image(batch.entry.target.id)
        batch.name = f"image {batch.entry.target.id}"
        post_id = number(item, "postId")
        yield from self._show(batch, Album(batch.name, ("images",), iter([[item]]), made_with=True))
        if post_id and batch.entry.settings.loras:
            with unless_refused(f"image {number(item, 'id')}: its post"):
                post = self.site.trpc("post.get", {"id": post_id})
                self._bring_tools(batch, {number(post, "modelVersionId")} - {0})

    def _collection_album(self, batch: Batch) -> Iterator[None]:
        """A collection's own page, and its pictures if it is one of pictures."""
        collection_id, settings, library = batch.entry.target.id, batch.entry.settings, batch.lib
        facts = self.collection(collection_id)
        folder = ("collections", util.folder_name(text(facts, "name"), f" [{collection_id}]"))
        batch.name, batch.page = (
            util.printable(f"{text(facts, 'name')} [{collection_id}]"),
            f"collection/{collection_id}",
        )
        batch.page_path = "/".join(folder)
        listed: list[int] = []
        if text(facts, "type") == "Image":
            found = self.site.trpc_pages("image.getInfinite", {"collectionId": collection_id}, 200, settings.level)
            album = Album(batch.name, folder, found)
            yield from self._show(batch, album, lambda item: listed.append(number(item, "id")))
        if not listed and not any(
            child.entry.source == batch.entry.source and child is not batch for child in self.batches
        ):
            batch.note = "the site shows nothing in it; a token or --cookies may help"
        page = {**facts, "items": listed}
        util.write_json(library.at(library.place(folder, "collection.json")), util.scrub_json(page))

    # Sidecars.

    def _write_sidecars(self, batch: Batch, shelf: Shelf, files: list[tuple[File, Wanted]]) -> None:
        """Write what stands beside weights."""
        preview, album = shelf.preview(), shelf.album()
        picture = shelf.lib.media(album.wanted(preview, batch)) if preview is not None else None
        url = self.site.page_url(f"/models/{shelf.model.id}?modelVersionId={shelf.version.id}", shelf.model.level)
        for file, wanted in sidecar_owners(files):
            record = shelf.lib.find(wanted)
            path = shelf.lib.at(wanted.path)
            coming = path.is_file() or shelf.lib.queued(wanted) is not None
            if shelf.settings.only == "images" or (shelf.settings.wants_files and not coming):
                continue
            write = partial(self._write_sidecar, shelf, wanted)
            beside = write(".preview" + picture.suffix, picture) if picture is not None else None
            write(".civitai.info", civitai_info(shelf.model, shelf.version))
            write(".json", a1111_json(shelf.model, shelf.version, url))
            sha256 = file.sha256 or (record.sha256 if record is not None else "")
            write(".metadata.json", lora_manager_json(shelf.model, shelf.version, file, path, beside, sha256))

    def _write_sidecar(self, shelf: Shelf, wanted: Wanted, ending: str, content: Path | dict[str, Any]) -> Path:
        library, file = shelf.lib, shelf.lib.at(wanted.path)
        path = sidecar_folder(shelf, file.parent, ending) / (util.split_name(file.name)[0] + ending)
        place = path.relative_to(library.root).as_posix()
        if library.is_claimed(place):
            return path
        library.check_links(place)
        if isinstance(content, dict):
            library.write_sidecar(place, wanted, util.indented(util.scrub_json(content)))
        elif not path.exists():
            util.link_or_copy(content, path)
        return path

    # LoRA pool: the bytes.

    def _want(self, batch: Batch, wanted: Wanted, tallies: tuple[Tally, ...]) -> None:
        """See to it that a thing comes home: at once if it is there, in a worker, or after its twin."""
        asked = hash((batch.lib.root, wanted.kind, wanted.path))
        force = batch.entry.settings.force
        with self._lock:
            if not self._asked.put(asked):
                return
        action, place, size = batch.lib.look(wanted, force=force)
        if action == "keep":
            kept = self._fetcher.kept(wanted, place, size)
            if result := self._result_of(batch, wanted.name, partial(self._noted, batch, wanted, kept)):
                self._finish(batch, result)
            return
        tallies = (*tallies, batch.tally, self._all)
        for tally in tallies:
            tally.open()
        with self._lock:
            self._bytes_open += wanted.size
            self._in_flight += 1
        self._fly(batch, wanted, tallies)

    def _fly(self, batch: Batch, wanted: Wanted, tallies: tuple[Tally, ...]) -> None:
        """Queue a thing, or let it wait for the same bytes that are on their way: these are fetched once."""
        with self._lock:
            followers = self._flights.get(wanted.identity)
            if followers is not None:
                followers.append(partial(self._fly, batch, wanted, tallies))
                return
            self._flights[wanted.identity] = []
        self._queue(self._loras, batch, tallies, wanted.name, partial(self._land, batch, wanted, tallies))

    def _land(self, batch: Batch, wanted: Wanted, tallies: tuple[Tally, ...]) -> Result | None:
        """Bring a thing home, then those that waited for the same bytes; while its host rests it is put off."""
        try:
            result = self._bring(batch, wanted)
        except util.HostDown as down:
            for tally in tallies:
                tally.open()
            again = partial(self._land, batch, wanted, tallies)
            with self._lock:
                self._resting.append(
                    (down.until, partial(self._queue, self._loras, batch, tallies, wanted.name, again))
                )
            return None
        except BaseException:
            self._end_flight(wanted)
            raise
        self._end_flight(wanted)
        return result

    def _end_flight(self, wanted: Wanted) -> None:
        with self._lock:
            followers = self._flights.pop(wanted.identity)
            self._bytes_open -= wanted.size
            self._in_flight -= 1
        if not self._clock.stopped:
            for follower in followers:
                follower()
            self._release_held()

    def _try_again(self) -> None:
        """Queue again what waited for a host to come back; the first of them tries it."""
        now = self._clock.now()
        with self._lock:
            due = [task for until, task in self._resting if until <= now]
            self._resting = [each for each in self._resting if each[0] > now]
        for task in due:
            task()
        if self._resting and not due:
            self._clock.sleep(min(2.0, min(until for until, _ in self._resting) - now))

    def _bring(self, batch: Batch, wanted: Wanted) -> Result:
        """The result of one thing, written to the state log unless it was there and known."""
        library, key = batch.lib, (wanted.kind, wanted.id)
        landed = self._landed.get(wanted.identity)
        force = batch.entry.settings.force and landed is None and not self.is_over
        try:
            result = self._fetcher.bring(wanted, library, force=force, elsewhere=landed)
        except util.HostDown:
            raise
        except Failure as failure:
            outcome: Outcome = "skipped" if batch.listed and failure.reason in NOT_GIVEN else "failed"
            result = Result(
                outcome, wanted.kind, wanted.id, wanted.name, wanted.path, reason=failure.reason, message=str(failure)
            )
            library.record(key, Record("failed", wanted.path, 0, ""), source=wanted.source, reason=str(failure))
            return result
        return self._noted(batch, wanted, result)

    def _noted(self, batch: Batch, wanted: Wanted, result: Result) -> Result:
        """A good result, on record if it is news."""
        library, key = batch.lib, (wanted.kind, wanted.id)
        if result.outcome == "queued":
            if result.until:
                record = Record("queued", result.path, result.size, result.sha256, result.until)
                library.record(key, record, source=wanted.source)
            self._queued.append((batch, wanted, result))
            return result
        if result.outcome == "done" or result.sha256 or not library.succeeded(key):
            sha256 = result.sha256 or wanted.sha256
            library.record(key, Record("success", result.path, result.size, sha256), source=wanted.source)
        if len(self.libraries) > 1 or batch.entry.settings.force:
            self._landed[wanted.identity] = library.at(result.path)
        return result

    # The end of a batch and of the run.

    def _settle(self, batch: Batch) -> None:
        """Everything behind a line has ended: the page is recorded and the line counted."""
        with self._lock:
            batch.settled = True
            self.settled += 1
        self._start_idm(result for result in batch.told if result.until)
        if not batch.page_path or batch.failures:
            return
        with suppress(Failure):  # the next write will fail as well, and be told
            batch.lib.record(("page", batch.page), Record("success", batch.page_path, 0, ""), source=batch.entry.source)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do (but to wait for IDM)."""
        return self._over.is_set()

    @property
    def retrying(self) -> bool:
        """Whether a request waits to be tried again."""
        return self.site.http.resting > 0

    def bytes_left(self) -> int:
        """How many bytes of the files submitted so far are still to come, as far as sizes are published."""
        return max(0, self._bytes_open - sum(meter.done for meter in self.progress.active() if meter.total))

    def seconds(self) -> float:
        """How long the run has taken so far."""
        return self._clock.now() - self._begun

    def report(self, library: Library) -> dict[str, Any]:
        """`report.json`: every target and file of this run in one output folder."""
        mine = [batch for batch in self.batches if batch.lib is library]
        return {
            "program": f"civitai-downloader {__version__}",
            "started": self._begun_at,
            "seconds": round(self.seconds(), 3),
            "interrupted": self.interrupted,
            "api_requests": self.site.api_requests,
            "bytes_received": self.progress.received,
            "counts": dict(sum((batch.counts for batch in mine), Counter[str]())),
            "targets": [
                {
                    "source": batch.entry.source,
                    "name": batch.name,
                    "outcome": outcome_of(batch),
                    "note": batch.note,
                    "counts": dict(batch.counts),
                }
                for batch in mine
            ],
        }


def outcome_of(batch: Batch) -> Outcome | Literal["interrupted"]:
    """How an input line ended."""
    if not batch.settled:
        return "interrupted"
    if batch.failures:
        return "failed"
    return "done" if batch.counts["done"] else "queued" if batch.counts["queued"] else "skipped"


NOT_GIVEN = frozenset(("archived", "taken-down", "disabled", "early-access", "no-files"))


def missing_files(
    shelf: Shelf, target: Target, files: list[tuple[File, Wanted]], *, listed: bool = False
) -> list[Result]:
    """A failure for a version that has nothing to download, or not the file named (but for what --primary left out)."""
    taken_down = shelf.model.mode == "TakenDown"
    if not taken_down and (files or (shelf.version.files and not (target.file or target.traits))):
        return []
    modes = {"Archived": "archived", "TakenDown": "taken-down"}
    messages = {
        "archived": ARCHIVED,
        "taken-down": "The site took the model down; its files can't be downloaded.",
        "no-files": "The version has no file of the kind asked for.",
    }
    reason = modes.get(shelf.model.mode, "no-files")
    name = util.printable(f"{shelf.model.name} [{shelf.model.id}] {shelf.version.name}")
    outcome: Outcome = "skipped" if listed else "failed"
    return [Result(outcome, "model", f"{shelf.version.id}/0", name, reason=reason, message=messages[reason])]


def sidecar_owners(files: list[tuple[File, Wanted]]) -> list[tuple[File, Wanted]]:
    """The weights that have sidecars: of two with one stem the safetensors, else the primary, else the first."""
    owners: dict[str, tuple[File, Wanted]] = {}
    for file, wanted in sorted(
        files, key=lambda pair: (not pair[1].path.endswith(".safetensors"), not pair[0].primary)
    ):
        if is_weights(file):
            owners.setdefault(util.name_key(util.split_name(wanted.path)[0]), (file, wanted))
    return list(owners.values())


_READ_BY = {"comfyui": (".preview", ".metadata.json"), "a1111": (".preview", ".civitai.info", ".json")}


def sidecar_folder(shelf: Shelf, folder: Path, ending: str) -> Path:
    """Beside the file; in an app's own folders only what the app reads, the rest goes to `.civitai`."""
    read = _READ_BY.get(shelf.settings.layout)
    if read is None or ending in read or ending.startswith(".preview"):
        return folder
    return shelf.lib.at("/".join(shelf.folder))


@cache
def read_data(name: str) -> str:
    """The text of one of the package's data files."""
    return (Path(__file__).parent / name).read_text("utf-8")


# --- What would be done, and what is there -------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A line of the --dry-run plan; `size` in bytes (0 unknown), `note` what stands in the way or is there already."""

    path: str
    size: int
    note: str
    fetch: bool


def plan(run: Run, batch: Batch) -> Iterator[Planned]:
    """What a run would do for one line: asks the site, writes nothing. Raises Failure."""
    target, settings = batch.entry.target, batch.entry.settings
    if target.kind in ("model", "version", "id", "hash"):
        yield from _plan_model(run, batch, target)
    listings = run.found(target, settings) if target.kind in ("user", "tag", "collection") else ()
    for child, _ in chain.from_iterable(listings):
        if child.kind == "model":
            yield from _plan_model(run, batch, child)
        else:
            yield Planned(f"posts/{child.id}", 0, "pictures, not counted", False)
    if target.kind in ("post", "image") or (target.kind == "user" and target.part in ("", "images", "videos")):
        folders = {"post": f"posts/{target.id}", "image": "images", "user": f"users/{target.name}/images"}
        yield Planned(folders[target.kind], 0, "pictures, not counted", False)


def _plan_model(run: Run, batch: Batch, target: Target) -> Iterator[Planned]:
    settings = batch.entry.settings
    model, target = run.resolve(target)
    for version in choose_versions(model, target, settings):
        shelf = Shelf(model, version, settings, batch.lib, batch.entry.source)
        if settings.wants_files:
            files = shelf.wanted_files(run.site, target)
            for failure in missing_files(shelf, target, files):
                yield Planned(failure.name, 0, failure.message, False)
            obstacle = f"early access until {version.early_until[:10]}" if version.early_until else ""
            if files and not obstacle and not run.settings.token and run.site.needs_token(version.id):
                obstacle = "needs a token"
            yield from (_planned(batch.lib, wanted, obstacle, settings.force) for _, wanted in files)
        if settings.wants_images:
            album = shelf.album()
            shown = [album.wanted(image, batch) for image in shelf.previews()]
            yield from (_planned(batch.lib, wanted, "", settings.force) for wanted in shown)
            most = "all" if settings.max_images is None else f"at most {settings.max_images}"
            if settings.gallery and settings.max_images != 0:
                yield Planned("/".join(album.folder), 0, f"gallery, {most} pictures", False)


def _planned(library: Library, wanted: Wanted, obstacle: str, force: bool) -> Planned:
    action, _, _ = library.look(wanted, force=force)
    note = {"fetch": obstacle, "adopt": "there, to be checked"}.get(action, "already there")
    return Planned(wanted.path, wanted.size, note, action == "fetch")


def verify_library(library: Library, clock: util.Clock) -> Iterator[Result]:
    """Check what the state log calls done or queued against the disk, one thing after the other; nothing is fetched.

    What is wrong is recorded, so that a run fetches it; what has come from IDM's queue is recorded as done.
    """
    for key, record in library.records():
        clock.check()
        result = Result("done", *key, record.path, record.path, record.size, record.sha256)
        try:
            if record.status == "success":
                _check_record(library, record, clock)
            elif record.status != "queued":
                continue
            elif after := receive_queued(library, key, record, clock):
                library.record(key, after, source="--verify")
            else:
                result = replace(result, outcome="queued")
        except Failure as failure:
            library.record(key, replace(record, status="failed"), source="--verify", reason=str(failure))
            result = replace(result, outcome="failed", reason=failure.reason, message=str(failure))
        yield result


def _check_record(library: Library, record: Record, clock: util.Clock) -> None:
    """Raise Failure if a file is not what it was when it was verified."""
    path = library.at(record.path)
    size = util.size_of(path)
    if size is None:
        raise Failure("missing", "It is not on disk any more; run again to fetch it.")
    if size != record.size:
        raise Failure("size", f"It has {size} bytes instead of {record.size}; run again to fetch it.")
    with util.disk_errors(path):
        if record.sha256 and util.sha256_of(path, clock).hexdigest() != record.sha256:
            raise Failure("changed", "Its bytes have changed since they were verified; run again to fetch it.")


# --- What failed, for the next run ---------------------------------------------------------------


def write_outcome(run: Run, library: Library, retry: Mapping[str, str]) -> None:
    """Write `report.json`, and `failed.txt` with its retry scripts (`retry` maps their names to their text).

    Lines that failed in an earlier run and were not part of this one stay in `failed.txt`; when none is left,
    the three files go.
    """
    write_report(run, library)
    mine = [batch for batch in run.batches if batch.lib is library]
    last = library.root / "failed.txt"
    lines = util.decode_text(last.read_bytes()).splitlines() if last.is_file() else []
    earlier = re.findall(r"^((?:#.*\n)*)([^#\n].*)$", "\n".join(lines), re.M)
    done = {batch.entry.source for batch in mine}
    blocks = {line: why.strip() for why, line in earlier if line not in done}
    for batch in mine:
        reasons = dict.fromkeys(f"# {result.name}: {result.message}" for result in batch.failures)
        if not batch.settled:
            reasons["# interrupted"] = None
        if reasons:
            blocks[batch.entry.source] = "\n".join(map(util.printable, reasons))
    files = {"failed.txt": "\n".join(f"{why}\n{line}\n" for line, why in blocks.items()), **retry}
    for name, content in files.items():
        if blocks:
            newline = "\r\n" if name.endswith(".bat") else "\n"
            util.write_file(library.root / name, content.replace("\n", newline).encode("utf-8", "replace"))
        else:
            (library.root / name).unlink(missing_ok=True)


def write_report(run: Run, library: Library) -> None:
    """Write `report.json`, its list of files line by line from the results that were written as they came."""
    target = library.root / "report.json"
    beside = target.with_name("report.json.tmp")
    queued = {(each.kind, each.id) for batch in run.batches for each in batch.told if each.outcome == "queued"}

    def is_last(result: Mapping[str, Any]) -> bool:
        """Whether this is how it ended: what was queued may have come later."""
        return result["outcome"] != "queued" or (result["kind"], result["id"]) in queued

    head = json.dumps(run.report(library), ensure_ascii=False, indent=2)[:-2]
    with util.disk_errors(target):
        beside.unlink(missing_ok=True)  # a symlink in its place is not written through
        with beside.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(head + ',\n  "files": [')
            comma = ""
            for line in library.results.lines():
                if b'"queued"' not in line or is_last(json.loads(line)):
                    file.write(f"{comma}\n    {line.decode('utf-8', 'replace').strip()}")
                    comma = ","
            file.write("\n  ]\n}\n")
        util.replace_file(beside, target)
    library.results.close()
    library.begin()
