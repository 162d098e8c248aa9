"""What the fake Civitai answers: pure functions from a world and a call to a reply.

The behaviour is that of the site in 2026; a docstring tells where it is a trap.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode

from .fake_world import (
    ALL_LEVELS,
    HASHES,
    Body,
    FakeFile,
    FakeImage,
    FakeModel,
    FakeVersion,
    Json,
    World,
    iso,
    media_type,
    millis,
    webp_bytes,
)

Host = Literal["site", "storage", "image", "blob"]

ACCOUNT = "xG1nkqKTMzGDvpLrqFT7WA"

# --- calls and replies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hosts:
    """The base URLs of the four servers."""

    site: str = ""
    storage: str = ""
    image: str = ""
    blob: str = ""


@dataclass(frozen=True)
class Call:
    """One request as it came in; header names are lower-case."""

    host: Host
    hosts: Hosts
    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query, each name with all its values."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def text(self) -> str:
        """What faults are matched against: `site:/api/v1/models?limit=1`."""
        return f"{self.host}:{self.path}" + (f"?{self.raw_query}" if self.raw_query else "")

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """A parameter that is on for `true`, `1`, `yes` and `on`."""
        return self.first(name).lower() in ("true", "1", "yes", "on")

    def number(self, name: str) -> int | None:
        """A whole number, or None."""
        return int(self.first(name)) if re.fullmatch(r"-?\d{1,12}", self.first(name)) else None

    def listed(self, name: str) -> list[str]:
        """The values of a parameter whose values may also be joined by commas."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def without(self, *names: str) -> Call:
        """The same call lacking these headers."""
        return replace(self, headers={key: value for key, value in self.headers.items() if key not in names})

    def account(self, world: World) -> str | None:
        """The valid key it came with. A wrong one is no error: the caller is then anonymous.

        With an `Authorization` header of any kind `?token=` is not looked at; its scheme word is not checked. A session
        cookie, new or old style, counts where there is neither; the fake takes keys as sessions too.
        """
        if "authorization" in self.headers:
            key = [*self.headers["authorization"].split(), "", ""][1]
        elif "token" in self.query:
            key = self.first("token")
        else:
            cookie = re.search(r"__Secure-civ(?:itai)?-token=([^;\s]+)", self.headers.get("cookie", ""))
            key = cookie[1] if cookie else ""
        return key if key in world.tokens else None

    @property
    def only_cookie(self) -> bool:
        """Whether it carries no key at all, good or bad."""
        return "authorization" not in self.headers and "token" not in self.query

    @property
    def browser(self) -> bool:
        """Whether the site takes the caller for a browser, who gets pages and redirects in place of JSON errors."""
        agent = self.headers.get("user-agent", "").lower()
        return any(word in agent for word in ("mozilla", "chrome", "safari", "firefox", "opera", "edge"))


@dataclass(frozen=True)
class Reply:
    """A status, headers and the span of an object to send."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)
    start: int = 0
    stop: int | None = None

    @property
    def end(self) -> int:
        """Where the span ends."""
        return self.body.size if self.stop is None else self.stop

    @property
    def length(self) -> int:
        """How many bytes it announces."""
        return self.end - self.start

    @property
    def sent(self) -> bytes:
        """The bytes of the span."""
        return self.body.read(self.start, self.end)

    def with_headers(self, **headers: str | None) -> Reply:
        """The same with headers set (`_` stands for `-`) or, by None, taken away."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        kept = {key: value for key, value in self.headers.items() if key not in named}
        return replace(self, headers=kept | {key: value for key, value in named.items() if value is not None})


def json_reply(data: Any, status: int = 200, **headers: str) -> Reply:
    """An answer of the API."""
    body = Body.of(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return Reply(status, {"Content-Type": "application/json; charset=utf-8"} | headers, body)


def page_reply(text: str, status: int = 200, kind: str = "text/html; charset=utf-8") -> Reply:
    """A web page or a text."""
    return Reply(status, {"Content-Type": kind}, Body.of(text.encode()))


def redirect(url: str, status: int = 307) -> Reply:
    """A redirect without a body."""
    return Reply(status, {"Location": url, "Cache-Control": "no-store, max-age=0"})


def xml_error(code: str, status: int) -> Reply:
    """An error of S3-like storage."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return page_reply(text, status, "application/xml")


def _zod_error(name: str, message: str) -> Reply:
    issues = [{"code": "invalid_type", "path": [name], "message": message}]
    return json_reply({"error": {"name": "ZodError", "message": json.dumps(issues)}}, 400)


# --- models -----------------------------------------------------------------------------------------------------------

LEVEL_NAMES = {1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X", 32: "Blocked"}
NSFW_MASKS = {"None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32, "true": 60, "false": 1, "": 1}
MODEL_TYPES = (
    "Checkpoint TextualInversion Hypernetwork AestheticGradient LORA LoCon DoRA Controlnet Upscaler MotionModule VAE "
    "TextEncoder UNet CLIPVision Poses Wildcards Workflows ComfyWorkflows Detection VisionLanguage CLIP LLM Other"
).split()
FILE_TYPES = (
    "Model,Text Encoder,Vision Encoder,Pruned Model,Negative,Training Data,VAE,Config,Archive,UNet,Diffusion Model,"
    "CLIPVision,ControlNet,Workflow,Upscaler,Enhancement LoRA,Other"
).split(",")
FORMATS = ["SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other"]
BASE_MODELS = ["SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "NoobAI", "Flux.1 D", "Wan Video 2.2 T2V-A14B", "Other"]


def picture_url(world: World, hosts: Hosts, image: FakeImage, stem: object) -> str:
    """A delivery link. Its ending says what kind of thing it is, never how the bytes are encoded."""
    params = "width=450" if world.old_image_urls else "original=true"
    ending = {"video": "mp4", "audio": "mp3"}.get(image.kind, "jpeg")
    return f"{hosts.image}/{ACCOUNT}/{image.uuid}/{params}/{stem}.{ending}"


def rehosted(value: Any, hosts: Hosts, key: str = "") -> Any:
    """A recorded answer with the links to files and pictures leading here; descriptions and metadata stay."""
    if isinstance(value, dict):
        return {name: part if name == "meta" else rehosted(part, hosts, name) for name, part in value.items()}
    if isinstance(value, list):
        return [rehosted(part, hosts, key) for part in value]
    if isinstance(value, str) and key in ("url", "downloadUrl", "image"):
        value = re.sub(r"^https?://image(cache)?\.civitai\.com", hosts.image, value)
        value = re.sub(r"^https?://api\.civitai\.com/(?=download)", f"{hosts.site}/api/", value)
        return re.sub(r"^https?://(www\.|api\.)?civitai\.(com|red)", hosts.site, value)
    return value


def _pruned(part: Json) -> Json:
    return {key: value for key, value in part.items() if value is not None and value != []}


def _counters(world: World, **counters: int) -> Json:
    return dict.fromkeys(counters) if world.null_counters else dict(counters)


def _file_url(hosts: Hosts, version: FakeVersion, file: FakeFile) -> str:
    """The site's own link of a file: for any but the primary it may deliver another file, or none."""
    link = f"{hosts.site}/api/download/models/{version.id}"
    if file.primary:
        return link
    wanted = {"type": file.type} | {key: file.metadata.get(key) for key in ("format", "size", "fp")}
    return f"{link}?{urlencode({key: value for key, value in wanted.items() if value})}"


def file_json(call: Call, version: FakeVersion, file: FakeFile, form: str) -> Json:
    """A file. Lists say `primary` only where it is true; alone, a version says both, and its times lack the `Z`."""
    alone = form == "alone"
    scanned = iso(file.id)
    answer: Json = {
        "id": file.id,
        "sizeKB": file.body.size / 1024 if file.size_kb is None else file.size_kb,
        "name": file.name,
        "overrideName": None,
        "type": file.type,
        "pickleScanResult": "Success",
        "pickleScanMessage": "No Pickle imports",
        "virusScanResult": "Success",
        "virusScanMessage": None,
        "scannedAt": scanned.rstrip("Z0").rstrip(".") if alone else scanned,
        "metadata": _pruned(file.metadata) if form == "by-id" else file.metadata,
        "hashes": file.published_hashes,
        "downloadUrl": _file_url(call.hosts, version, file),
    }
    if file.primary or alone:
        answer["primary"] = file.primary
    return answer | file.extra


def _files_json(world: World, call: Call, version: FakeVersion, form: str) -> list[Json]:
    if version.model.mode == "Archived":
        return []
    rows = [file_json(call, version, file, form) for file in version.files]
    linked = world.versions.get(version.vae_version or 0)
    for file in linked.files if linked else ():
        row = file_json(call, version, replace(file, primary=False), form)
        rows.append(row | {"downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}?type=VAE"})
    return rows


def _showcase_json(world: World, call: Call, image: FakeImage, form: str) -> Json:
    answer: Json = {"id": image.id} if form == "list" else {}
    answer |= {
        "url": picture_url(world, call.hosts, image, image.id),
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": "U00000fQfQfQfQfQfQfQfQfQfQfQfQfQfQfQ" if image.kind == "video" else f"U9ABC~{image.id}",
        "type": image.kind,
    }
    if form == "alone":
        size = {"size": len(image.data), "width": image.width, "height": image.height}
        video = {"audio": False, "duration": 3.04} if image.kind == "video" else {}
        answer["metadata"] = {"hash": answer["hash"], **size, **video}
    prompt = bool(image.meta and image.meta.get("prompt"))
    answer |= {"minor": image.minor, "poi": image.poi, "hasMeta": bool(image.meta), "hasPositivePrompt": prompt}
    answer |= {"onSite": False, "remixOfId": None}
    if form == "alone" and image.shown_meta is not None:
        answer["meta"] = image.shown_meta
    return answer


def _images_json(world: World, call: Call, version: FakeVersion, form: str, mask: int) -> list[Json]:
    if version.model.mode == "TakenDown":
        return []
    shown = [image for image in version.images if image.level & mask]
    return [_showcase_json(world, call, image, form) for image in shown[: 10 if form == "alone" else 20]]


def _paid_access(version: FakeVersion) -> Json | None:
    if not version.locked:
        return None
    forever = version.early_access == "permanent"
    return {"permanent": forever, "endsAt": None if forever else version.early_access}


def version_json(world: World, call: Call, version: FakeVersion, form: str, mask: int = ALL_LEVELS) -> Json:
    """A version inside a model. By id, empty values are left out: no `files` key at all for an archived model."""
    if version.recorded is not None:
        return dict(rehosted(version.recorded, call.hosts))
    model = version.model
    answer: Json = {
        "id": version.id,
        "index": model.versions.index(version),
        "name": version.name,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "publishedAt": version.published,
        "flags": 0,
        "availability": "EarlyAccess" if version.locked else version.availability,
        "nsfwLevel": version.nsfw_level,
        "description": version.description,
        "trainedWords": version.trained_words,
        "vaeId": version.vae_version,
        "supportsGeneration": True,
        "paidAccess": _paid_access(version),
        "stats": _counters(
            world, downloadCount=model.downloads // 2, thumbsUpCount=model.thumbs // 2, thumbsDownCount=0
        ),
        "files": _files_json(world, call, version, form),
        "images": _images_json(world, call, version, form, mask),
        "downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}",
    }
    if version.early_access and version.early_access != "permanent":
        answer["earlyAccessDeadline"] = version.early_access
    if model.mode == "Archived":
        del answer["downloadUrl"]
    if form == "by-id":
        answer |= {"createdAt": version.published, "status": version.status, "covered": True}
        return _pruned(answer)
    return answer


def _commercial_use(world: World, model: FakeModel) -> Any:
    words = model.commercial_use
    shapes = {"list": words, "postgres": "{" + ",".join(words) + "}", "word": [*words, "None"][0], "empty": []}
    return shapes[world.commercial_use_shape]


def model_json(
    world: World, call: Call, model: FakeModel, form: str, versions: Sequence[FakeVersion], mask: int
) -> Json:
    """A model with these versions, as in a list or by id."""
    if model.recorded is not None:
        return dict(rehosted(model.recorded, call.hosts))
    level = model.nsfw_level
    avatar = f"{call.hosts.image}/{ACCOUNT}/00000000-0000-4000-8000-00000000a001/width=96/{quote(model.creator)}.jpeg"
    answer: Json = {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "allowNoCredit": True,
        "allowCommercialUse": _commercial_use(world, model),
        "allowDerivatives": True,
        "allowDifferentLicense": False,
        "type": model.type,
        "minor": model.minor,
        "sfwOnly": False,
        "poi": model.poi,
        "nsfw": level > 3,
        "nsfwLevel": level,
        "availability": model.availability,
        "userId": world.user_id(model.creator) if model.creator else -1,
        "cosmetic": None,
        "baseModels": list(dict.fromkeys(version.base_model for version in versions)),
        "supportsGeneration": True,
        "stats": _counters(
            world,
            downloadCount=model.downloads,
            thumbsUpCount=model.thumbs,
            thumbsDownCount=1,
            commentCount=4,
            tippedAmountCount=0,
        ),
        "creator": {"username": model.creator, "image": avatar},
        "tags": model.tags,
        "modelVersions": [version_json(world, call, version, form, mask) for version in versions],
    }
    if not model.creator:
        del answer["creator"]
    if model.mode:
        answer["mode"] = model.mode
    return answer | model.extra


# --- paging -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """A sort order and its cursors.

    The site fetches one row more than the limit and makes that row's sort values the cursor. With a falling last
    column the next page asks for less than the cursor, so the row that made it is never shown (`lossy`).
    """

    columns: Callable[[Any], tuple[int, ...]]
    signs: tuple[int, ...]
    lossy: bool = False
    dated: bool = False

    def key(self, row: Any) -> tuple[int, ...]:
        """What rows are sorted by."""
        return tuple(sign * value for sign, value in zip(self.signs, self.columns(row), strict=True))

    def cursor(self, row: Any) -> str:
        """The sort values of a row, joined by bars."""
        values = [str(value) for value in self.columns(row)]
        if self.dated:
            values[0] = datetime.fromtimestamp(int(values[0]) / 1000, timezone.utc).isoformat(" ", "milliseconds")[:23]
        return "|".join(values)

    def parse(self, cursor: str) -> tuple[int, ...] | None:
        """The key that a cursor stands for, or None when it does not fit this order."""
        parts = cursor.split("|")
        if len(parts) != len(self.signs):
            return None
        try:
            values = [millis(part) if self.dated and i == 0 else int(part) for i, part in enumerate(parts)]
        except ValueError:
            return None
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))


def take(world: World, rows: Iterable[Any], order: Order, limit: int, cursor: str) -> tuple[list[Any], str | None]:
    """One page of rows and the cursor of the next."""
    ordered = sorted(rows, key=order.key)
    at = order.parse(cursor) if cursor else None
    if at is not None:
        ordered = [row for row in ordered if order.key(row) > at or (order.key(row) == at and not order.lossy)]
    shown = max(1, limit - world.short_pages) if limit else 0
    if len(ordered) <= shown:
        return ordered, None
    if world.looping_cursor and cursor:
        return ordered[:shown], cursor
    return ordered[:shown], order.cursor(ordered[max(1, shown - world.repeated_rows)])


def _envelope(world: World, call: Call, items: list[Json], cursor: str | None, **more: Any) -> Reply:
    """A list answer. `nextPage` repeats every parameter that was sent, the token too."""
    metadata: Json = dict(more)
    if cursor is not None:
        kept = [(name, value) for name, values in call.query.items() if name != "cursor" for value in values]
        host = world.next_page_host or call.hosts.site
        metadata["nextCursor"] = cursor
        metadata["nextPage"] = f"{host}{call.path}?{urlencode([*kept, ('cursor', cursor)])}"
    return json_reply({"items": items, "metadata": metadata})


def _by_date(model: FakeModel) -> tuple[int, ...]:
    return (model.date, model.id)


MODEL_ORDERS = {
    "Newest": Order(_by_date, (-1, -1), lossy=True, dated=True),
    "Oldest": Order(_by_date, (1, 1), dated=True),
    "Highest Rated": Order(lambda model: (model.thumbs, model.downloads, model.id), (-1, -1, 1)),
    "Most Downloaded": Order(lambda model: (model.downloads, model.id), (-1, 1)),
    "Most Liked": Order(lambda model: (model.thumbs, model.id), (-1, 1)),
    "Most Discussed": Order(lambda model: (4, model.id), (-1, 1)),
    "Most Collected": Order(lambda model: (model.thumbs, model.id), (-1, 1)),
    "Most Images": Order(lambda model: (sum(len(v.images) for v in model.versions), model.id), (-1, 1)),
}


def _too_deep(call: Call) -> Reply | None:
    """`page` moves nothing on the site, yet a large one is refused for good."""
    if (call.number("page") or 1) * (call.number("limit") or 100) > 1000:
        return json_reply({"error": "You've requested too many pages, please use cursors instead"}, 429)
    return None


def _bad_limit(call: Call, most: int) -> Reply | None:
    limit = call.first("limit", "100")
    if not limit.isdigit() or int(limit) > most:
        return _zod_error("limit", f"Number must be less than or equal to {most}")
    return None


def _models_refusal(world: World, call: Call) -> Reply | None:
    """Every reason to refuse a list of models, in the site's order."""
    if (call.query.keys() & {"favorites", "hidden"}) and not call.account(world):
        return json_reply({"error": "Unauthorized"}, 401)
    for name, known in (("types", MODEL_TYPES), ("sort", list(MODEL_ORDERS)), ("period", list(PERIODS))):
        wrong = [value for value in call.query.get(name, []) if value not in known]
        if wrong:
            return _zod_error(name, f"Invalid enum value, received '{wrong[0]}'")
    for name in "browsingLevel collectionId fileFormats allowNoCredit allowDerivatives allowDifferentLicense".split():
        if name in call.query:
            return _zod_error(name, "Expected another type, received string")
    if call.first("availability") == "Private" and "username" not in call.query:
        return json_reply({"error": "Unauthorized"}, 401)
    if "query" in call.query and "page" in call.query:
        return _zod_error("page", "Cannot use page param with query search. Use cursor-based pagination.")
    if "username" in call.query and not world.find_user(call.first("username")):
        return json_reply({"message": "User not found"}, 404)
    return None


PERIODS = {"Day": 1, "Week": 7, "Month": 31, "Year": 365, "AllTime": 100_000}


def listed_versions(call: Call, model: FakeModel) -> list[FakeVersion]:
    """The versions that answers show: published ones with a file, trimmed by the filters on versions."""
    bases, numbers = call.query.get("baseModels"), call.listed("modelVersionIds")
    return [
        version
        for version in model.versions
        if version.status == "Published"
        and (version.files or version.recorded or version.recorded_alone)
        and (not bases or version.base_model in bases)
        and (not numbers or str(version.id) in numbers)
    ]


def _allowed(call: Call, model: FakeModel) -> bool:
    """What no filter of the caller can bring back, and the levels: PG only unless `nsfw=true`, which hides minors."""
    nsfw = call.flag("nsfw")
    hidden = model.poi or model.status != "Published" or model.availability == "Private" or (nsfw and model.minor)
    if hidden or not model.nsfw_level & (ALL_LEVELS if nsfw else 1):
        return False
    return model.mode != "Archived" or bool(call.first("archived"))


def _wanted(world: World, call: Call, model: FakeModel) -> bool:
    """The filters of the caller. An unknown tag is no filter at all."""
    tag = (call.first("tag") or call.first("tagname")).lower()
    known_tag = tag and any(tag == other.lower() for each in world.models.values() for other in each.tags)
    oldest = int(time.time() * 1000) - PERIODS[call.first("period", "AllTime")] * 86_400_000
    return (
        (not call.listed("ids") or str(model.id) in call.listed("ids"))
        and ("username" not in call.query or model.creator == world.find_user(call.first("username")))
        and ("types" not in call.query or model.type in call.query["types"])
        and (not known_tag or tag in [other.lower() for other in model.tags])
        and call.first("query").lower() in model.name.lower()
        and model.date >= oldest
    )


def list_models(world: World, call: Call) -> Reply:
    """`GET /api/v1/models`: only cursors page; `page` is echoed and without effect."""
    refused = _too_deep(call) or _bad_limit(call, 100) or _models_refusal(world, call)
    if refused:
        return refused
    order = MODEL_ORDERS[call.first("sort", "Highest Rated")]
    limit, cursor = int(call.first("limit", "100")), call.first("cursor")
    rows = [model for model in world.models.values() if _allowed(call, model) and _wanted(world, call, model)]
    rows = [model for model in rows if listed_versions(call, model)]
    if call.first("query"):
        start = int(cursor) if cursor.isdigit() else 0
        page, following = (rows[start : start + limit], str(start + limit) if start + limit < len(rows) else None)
    elif cursor and order.parse(cursor) is None:
        return json_reply({"message": f"Invalid cursor: {cursor}"}, 400)
    else:
        page, following = take(world, rows, order, limit, cursor)
    mask = ALL_LEVELS if call.flag("nsfw") else 1
    items = [model_json(world, call, model, "list", listed_versions(call, model), mask) for model in page]
    if call.flag("primaryFileOnly"):
        for version in (version for item in items for version in item["modelVersions"]):
            version["files"] = [file for file in version.get("files") or [] if file.get("primary")]
    paged = {"currentPage": call.number("page"), "pageSize": limit} if "page" in call.query else {}
    return _envelope(world, call, items, following, **paged)


def show_model(world: World, call: Call, number: str) -> Reply:
    """`GET /api/v1/models/{id}`: pictures have no `id` here, empty values no key."""
    if not re.fullmatch(r"\d{1,10}", number) or not 0 < int(number) <= 2147483647:
        return json_reply({"error": {"name": "ZodError", "message": "Expected number, received nan"}}, 400)
    model = world.models.get(int(number))
    versions = listed_versions(replace(call, raw_query=""), model) if model else []
    if model is None or model.poi or model.status != "Published" or not versions:
        return json_reply({"error": f"No model with id {number}"}, 404)
    return json_reply(model_json(world, call, model, "by-id", versions, ALL_LEVELS))


def air(version: FakeVersion) -> str:
    """The AIR urn of a version."""
    kinds = {"TextualInversion": "embedding", "LoCon": "lycoris", "Hypernetwork": "hypernet"}
    family = version.base_model.lower().replace(" ", "").replace(".", "")
    kind = kinds.get(version.model.type, version.model.type.lower())
    return f"urn:air:{family}:{kind}:civitai:{version.model.id}@{version.id}"


def version_alone(world: World, call: Call, version: FakeVersion) -> Json:
    """The body of `/model-versions/{id}`: at most 10 pictures, with their metadata; nothing about creator or tags."""
    if version.recorded_alone is not None:
        return dict(rehosted(version.recorded_alone, call.hosts))
    model = version.model
    about = {"name": model.name, "type": model.type, "nsfw": model.nsfw_level > 3, "poi": model.poi}
    if version.recorded is not None:
        answer = dict(rehosted(version.recorded, call.hosts)) | {"modelId": model.id, "model": about}
        for file in answer.get("files") or ():
            file["primary"] = bool(file.get("primary"))
        return answer
    return {
        "id": version.id,
        "modelId": model.id,
        "name": version.name,
        "nsfwLevel": version.nsfw_level,
        "createdAt": version.published,
        "updatedAt": version.published,
        "status": version.status,
        "publishedAt": version.published,
        "trainedWords": version.trained_words,
        "trainingStatus": None,
        "trainingDetails": None,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "description": version.description,
        "uploadType": "Created",
        "usageControl": version.usage_control,
        "licensingFee": None,
        "paidAccess": _paid_access(version),
        "air": air(version),
        "stats": _counters(world, downloadCount=model.downloads // 2, thumbsUpCount=model.thumbs // 2),
        "model": about,
        "files": _files_json(world, call, version, "alone"),
        "images": _images_json(world, call, version, "alone", ALL_LEVELS),
        "downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}",
    }


def show_version(world: World, call: Call, number: str) -> Reply:
    """`GET /api/v1/model-versions/{id}`, whatever the state of its model."""
    if not number.isdigit():
        return json_reply({"error": {"name": "ZodError", "message": "Expected number, received nan"}}, 400)
    version = world.versions.get(int(number))
    if version is None or version.status == "Deleted":
        return json_reply({"error": "Model not found"}, 404)
    if not (version.files or version.recorded or version.recorded_alone):
        return json_reply({"error": "Missing model file"}, 404)
    return json_reply(version_alone(world, call, version))


def show_mini(world: World, call: Call, number: str) -> Reply:
    """`GET /api/v1/model-versions/mini/{id}`: a cheap way to learn whether a key is needed (`requireAuth`)."""
    version = world.versions.get(int(number)) if number.isdigit() else None
    file = choose_file(world, call, version, {"fileId": call.first("modelFileId")}) if version else None
    if version is None or file is None:
        return json_reply({"error": "Model not found"}, 404)
    answer = {
        "air": air(version),
        "versionName": version.name,
        "modelName": version.model.name,
        "userId": world.user_id(version.model.creator),
        "baseModel": version.base_model,
        "availability": version.availability,
        "publishedAt": version.published,
        "size": file.body.size / 1024,
        "fileType": file.type,
        "fileName": file.name,
        "hashes": file.published_hashes,
        "downloadUrls": [f"{call.hosts.site}/api/download/models/{version.id}?fileId={file.id}"],
        "format": file.metadata.get("format"),
        "requireAuth": version.needs_token or world.login_needed,
        "checkPermission": version.locked or version.availability == "Private",
        "minor": version.model.minor,
        "sfwOnly": False,
    }
    return json_reply(answer | ({"earlyAccessEndsAt": version.early_access} if version.locked else {}))


# --- hashes -----------------------------------------------------------------------------------------------------------


def _holders(world: World, value: str, kinds: Sequence[str]) -> list[FakeVersion]:
    """The versions with a file of this hash, the one published first in front."""
    found = [
        version
        for version in world.versions.values()
        if version.status == "Published"
        and any(file.published_hashes.get(kind) == value.upper() for file in version.files for kind in kinds)
    ]
    return sorted(found, key=lambda version: version.published)


def show_by_hash(world: World, call: Call, value: str) -> Reply:
    """`GET /api/v1/model-versions/by-hash/{hash}` for any kind of hash, in any case."""
    found = _holders(world, value, HASHES)
    if not found:
        return json_reply({"error": "Model not found"}, 404)
    return json_reply(version_alone(world, call, found[0]))


def _posted_hashes(call: Call, most: int) -> list[str] | None:
    try:
        hashes = json.loads(call.body)
    except ValueError:
        return None
    right = isinstance(hashes, list) and len(hashes) <= most
    return hashes if right and all(isinstance(value, str) and len(value) == 64 for value in hashes) else None


def list_by_hash(world: World, call: Call) -> Reply:
    """`POST /api/v1/model-versions/by-hash`: at most 100 SHA256; the host of its download links is broken."""
    hashes = _posted_hashes(call, 100)
    if hashes is None:
        return json_reply({"error": "Request must include an array of SHA256 Hashes. Maximum 100 hashes"}, 400)
    found = {each.id: each for value in hashes for each in _holders(world, value, ["SHA256"])[:1]}
    broken = replace(call, hosts=replace(call.hosts, site="https://undefined"))
    answers: list[Json | None] = [version_alone(world, broken, version) for version in reversed(found.values())]
    return json_reply([None, *answers, *answers[:1]] if world.odd_hash_lists else answers)


def list_ids_by_hash(world: World, call: Call) -> Reply:
    """`POST /api/v1/model-versions/by-hash/ids`: at most 10,000 SHA256."""
    hashes = _posted_hashes(call, 10_000)
    if hashes is None:
        return json_reply({"error": "Request must include an array of SHA256 Hashes. Maximum 10000 hashes"}, 400)
    rows = [(value, version) for value in hashes for version in _holders(world, value, ["SHA256"])]
    return json_reply([{"modelVersionId": v.id, "modelId": v.model.id, "hash": value.upper()} for value, v in rows])


# --- images -----------------------------------------------------------------------------------------------------------

BY_ID = Order(lambda image: (image.id,), (-1,), lossy=True)
BY_RISING_ID = Order(lambda image: (image.id,), (1,))
IMAGE_SORTS: dict[str, Callable[[FakeImage], tuple[int, ...]]] = {
    "Most Reactions": lambda image: (-image.likes, -image.id),
    "Most Comments": lambda image: (-image.id,),
    "Most Collected": lambda image: (-image.likes, -image.id),
    "Newest": lambda image: (-millis(image.created), -image.id),
    "Oldest": lambda image: (millis(image.created), image.id),
}


def tag_id(name: str) -> int:
    """The number of a tag."""
    return zlib.crc32(name.encode()) % 100_000


def image_json(world: World, call: Call, image: FakeImage, nested: bool) -> Json:
    """A picture of `/api/v1/images`. `meta` is null unless asked for, and nested when the database answers."""
    if image.recorded is not None:
        return dict(rehosted(image.recorded, call.hosts))
    meta: Json | None = image.shown_meta if call.flag("withMeta") else None
    if nested and call.flag("withMeta"):
        meta = {"id": image.id, "meta": meta}
    versions = [world.versions[number] for number in image.version_ids if number in world.versions]
    stats = {"cryCount": 0, "laughCount": 1, "likeCount": image.likes, "dislikeCount": 0, "heartCount": 2}
    answer = {
        "id": image.id,
        "url": picture_url(world, call.hosts, image, image.uuid),
        "hash": f"U9ABC~{image.id}",
        "width": image.width,
        "height": image.height,
        "nsfwLevel": LEVEL_NAMES.get(image.level, "None"),
        "type": image.kind,
        "nsfw": image.level > 3,
        "browsingLevel": image.level,
        "createdAt": image.created,
        "postId": image.post_id,
        "stats": stats | {"commentCount": 0},
        "meta": meta,
        "username": image.username,
        "baseModel": versions[0].base_model if versions else None,
        "modelVersionIds": image.version_ids,
    }
    if call.flag("withTags"):
        answer["tags"] = [{"id": tag_id(name), "name": name} for name in image.tags]
    return answer


def _image_wanted(world: World, call: Call, image: FakeImage) -> bool:
    if image.minor or image.poi:
        return False
    model = world.models.get(call.number("modelId") or 0)
    of_model = [version.id for version in model.versions] if model else []
    version, bases = call.number("modelVersionId"), call.listed("baseModels")
    versions = [world.versions[number] for number in image.version_ids if number in world.versions]
    return (
        (version is None or version in image.version_ids)
        and ("modelId" not in call.query or version is not None or any(n in of_model for n in image.version_ids))
        and ("postId" not in call.query or image.post_id == call.number("postId"))
        and ("imageId" not in call.query or image.id == call.number("imageId"))
        and ("username" not in call.query or image.username.lower() == call.first("username").lower())
        and ("userId" not in call.query or world.users.get(image.username) == call.number("userId"))
        and ("type" not in call.query or image.kind == call.first("type"))
        and (not call.listed("tags") or any(str(tag_id(tag)) in call.listed("tags") for tag in image.tags))
        and (not bases or any(each.base_model in bases for each in versions))
        and (not call.flag("requiringMeta") or bool(image.shown_meta))
    )


def _images_refusal(world: World, call: Call) -> Reply | None:
    if not re.fullmatch(r"[A-Za-z0-9_]*", call.first("username")):
        return _zod_error("username", "Invalid")
    if call.first("nsfw") not in NSFW_MASKS or call.first("sort", "Newest") not in IMAGE_SORTS:
        return _zod_error("nsfw", "Invalid enum value")
    unknown = "username" in call.query and not world.find_user(call.first("username"))
    if unknown and world.unknown_image_user == 404:
        return json_reply({"error": "User not found", "code": "NOT_FOUND"}, 404)
    return None


def list_images(world: World, call: Call) -> Reply:
    """`GET /api/v1/images`: PG only by default, and `nsfw=true` means R and above WITHOUT PG and PG-13.

    `imageId` and a bare `modelId` are answered by the database, everything else by the search index, where just
    posted pictures are missing. An id that does not exist is an empty 200; unknown parameters are ignored.
    """
    refused = _too_deep(call) or _bad_limit(call, 200) or _images_refusal(world, call)
    if refused:
        return refused
    level = call.number("browsingLevel")
    mask = NSFW_MASKS[call.first("nsfw")] if level is None else level
    database = "imageId" in call.query or ("modelId" in call.query and "modelVersionId" not in call.query)
    rows = [image for image in world.images.values() if image.level & mask and _image_wanted(world, call, image)]
    limit, cursor = int(call.first("limit", "100")), call.first("cursor")
    if not re.fullmatch(r"\d+" if database else r"\d+\|\d+", cursor or "0|0"[: 1 if database else 3]):
        return json_reply({"error": "Invalid cursor", "code": "BAD_REQUEST"}, 400)
    if database:
        order = BY_RISING_ID if call.first("sort") == "Oldest" else BY_ID
        page, following = take(world, rows, order, limit, cursor)
    else:
        rows = sorted((image for image in rows if image.indexed), key=IMAGE_SORTS[call.first("sort", "Most Reactions")])
        page, following = take_by_offset(world, rows, limit, cursor)
    nested = database and not call.flag("flatMeta")
    return _envelope(world, call, [image_json(world, call, image, nested) for image in page], following)


def take_by_offset(world: World, rows: list[FakeImage], limit: int, cursor: str) -> tuple[list[FakeImage], str | None]:
    """A page of the search index, whose cursor is `offset|time`; an odd time marks the page after an empty one."""
    offset, moment = (int(part) for part in (cursor or "0|1772366700000").split("|"))
    if world.empty_pages and offset and moment % 2 == 0:
        return [], f"{offset}|{moment + 1}"
    shown = max(1, limit - world.short_pages) if limit else 0
    following = max(offset + 1, offset + shown - world.repeated_rows)
    if offset + shown >= len(rows):
        return rows[offset:], None
    loops = world.looping_cursor and cursor
    return rows[offset : offset + shown], cursor if loops else f"{following}|1772366700000"


# --- the rest of the API ----------------------------------------------------------------------------------------------


def show_me(world: World, call: Call) -> Reply:
    """`GET /api/v1/me`: the way to find out whether a key is good."""
    if not call.account(world):
        return json_reply({"error": "Unauthorized"}, 401)
    about = {"id": world.user_id(world.username), "username": world.username, "tier": "free", "status": "active"}
    rest = {"isMember": False, "subscriptions": [], "tokenScope": 33554431, "buzzLimit": None}
    return json_reply(about | rest | {"subject": {"type": "apiKey", "id": 7}})


def _numbered_pages(call: Call, rows: list[Json]) -> Reply:
    """A list that really pages by number, as only creators and tags do."""
    limit, page = call.number("limit") or 20, call.number("page") or 1
    query = call.first("query").lower()
    rows = [row for row in rows if query in str(row.get("username") or row.get("name")).lower()]
    pages = -(-len(rows) // limit)
    metadata: Json = {"totalItems": len(rows), "currentPage": page, "pageSize": limit, "totalPages": pages}
    if page < pages:
        metadata["nextPage"] = f"{call.hosts.site}{call.path}?{urlencode({'limit': limit, 'page': page + 1})}"
    return json_reply({"items": rows[(page - 1) * limit : page * limit], "metadata": metadata})


def list_creators(world: World, call: Call) -> Reply:
    """`GET /api/v1/creators`; `modelCount` is left out when it is 0."""
    rows: list[Json] = []
    for name in world.users:
        count = sum(model.creator == name for model in world.models.values())
        row: Json = {"username": name, "link": f"{call.hosts.site}/api/v1/models?username={name}", "image": None}
        rows.append(row | ({"modelCount": count} if count else {}))
    return _numbered_pages(call, rows)


def list_tags(world: World, call: Call) -> Reply:
    """`GET /api/v1/tags`."""
    names = dict.fromkeys(tag for model in world.models.values() for tag in model.tags)
    return _numbered_pages(
        call, [{"name": n, "link": f"{call.hosts.site}/api/v1/models?tag={quote(n)}"} for n in names]
    )


def list_enums(_world: World, _call: Call) -> Reply:
    """`GET /api/v1/enums`."""
    bases = {"ActiveBaseModel": BASE_MODELS, "BaseModel": BASE_MODELS, "BaseModelType": ["Standard", "Inpainting"]}
    return json_reply({"ModelType": MODEL_TYPES, "ModelFileType": FILE_TYPES} | bases)


# --- downloads --------------------------------------------------------------------------------------------------------


def _refused(call: Call, status: int, data: Json, text: str) -> Reply:
    return page_reply(text, status, "text/plain") if call.browser else json_reply(data, status)


def _not_found(call: Call) -> Reply:
    return _refused(call, 404, {"error": "File not found"}, "File not found")


def _login(call: Call, version: FakeVersion) -> Reply:
    """The trap of looking like a browser: the way to a login page that answers 200, where JSON says 401."""
    if call.browser:
        back = quote(f"/model-versions/{version.id}", safe="")
        return redirect(f"{call.hosts.site}/login?returnUrl={back}&reason=download-auth")
    message = "The creator of this asset requires you to be logged in to download it"
    return json_reply({"error": "Unauthorized", "message": message}, 401)


def _download_params(call: Call) -> Reply | None:
    sizes, kinds = ("full", "pruned"), {"type": FILE_TYPES, "format": FORMATS}
    wrong = [name for name, known in kinds.items() if name in call.query and call.first(name) not in known]
    wrong += ["size"] if call.first("size", "full") not in sizes else []
    wrong += ["fileId"] if "fileId" in call.query and call.number("fileId") is None else []
    wrong += ["fp"] if len(call.first("fp")) > 64 else []
    return json_reply({"error": f"Invalid request: {wrong[0]}"}, 400) if wrong else None


def _download_state(world: World, call: Call, version: FakeVersion | None) -> Reply | None:
    """Reasons in the model or version itself; being archived is looked at before being published."""
    model = version.model if version else None
    if version is None or model is None or model.poi or model.id not in world.models:
        return _not_found(call)
    if model.mode == "Archived":
        text = "Model archived, not available for download"
        return _refused(call, 410, {"error": text}, text)
    if version.status != "Published" or model.status != "Published" or model.mode == "TakenDown":
        return _not_found(call)
    if version.usage_control != "Download":
        message = "The creator of this asset has disabled downloads on this file"
        return json_reply({"error": "Unauthorized", "message": message}, 401)
    return None


def _download_rights(world: World, call: Call, version: FakeVersion) -> Reply | None:
    """Reasons in the caller: needs a key, has not bought early access, lacks a grant."""
    account = call.account(world)
    if (version.needs_token or world.login_needed) and not account:
        return _login(call, version)
    if version.locked and account not in version.bought_by:
        if call.browser:
            return redirect(f"{call.hosts.site}/model-versions/{version.id}")
        deadline = {} if version.early_access == "permanent" else {"deadline": version.early_access}
        message = "This asset is in Early Access. You can use Buzz access it now!"
        return json_reply({"error": "Early Access", **deadline, "message": message}, 403)
    if "Private" in (version.availability, version.model.availability):
        denied = "You do not have permission to download this file"
        return _refused(call, 403, {"error": denied}, denied) if account else _login(call, version)
    return None


def _score(file: FakeFile, wishes: Mapping[str, str]) -> tuple[int, ...]:
    """How well a file fits; the types that load come first."""
    kinds = ("Model", "Pruned Model", "Diffusion Model", "UNet")
    fits = [int(file.metadata.get(key) == wishes[key]) for key in ("format", "size", "fp", "quantType")]
    return (int(file.type in kinds), *fits)


def choose_file(world: World, call: Call, version: FakeVersion, wanted: Mapping[str, str]) -> FakeFile | None:
    """The file that the download endpoint picks.

    `fileId` says it exactly. Otherwise candidates are filtered by `type` alone and scored by the wishes, where the
    preferences of the account replace the site's own; a best one that is not what was asked for is a 404.
    """
    candidates = [file for file in version.files if file.visible]
    if wanted.get("fileId"):
        return next((file for file in candidates if str(file.id) == wanted["fileId"]), None)
    linked = world.versions.get(version.vae_version or 0)
    if wanted.get("type"):
        own = [file for file in candidates if file.type == wanted["type"]]
        candidates = own or (linked.files if linked and wanted["type"] == "VAE" else [])
    wishes = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}
    wishes |= world.preferences if call.account(world) else {}
    asked = {key: wanted[key] for key in wishes if wanted.get(key)}
    best = max(candidates, key=lambda file: _score(file, wishes | asked), default=None)
    if best and any(best.metadata.get(key) != value for key, value in asked.items()):
        return None
    return best


def download(world: World, call: Call, number: str) -> Reply:
    """`GET /api/download/models/{id}`: 307 to signed storage, or a reason in the site's order of checks."""
    if world.blacklisted:
        return _refused(call, 403, {"error": "Forbidden"}, "Forbidden")
    if world.quota is not None and world.quota <= 0:
        text = "We've noticed an unusual amount of downloading from your account. Contact support"
        return _refused(call, 429, {"error": text}, text)
    version = world.versions.get(int(number)) if number.isdigit() else None
    refused = _download_params(call) or _download_state(world, call, version)
    if refused or version is None:
        return refused or _not_found(call)
    refused = _download_rights(world, call, version)
    if refused:
        return refused
    file = choose_file(world, call, version, {name: values[0] for name, values in call.query.items()})
    if file is None:
        return _not_found(call)
    if world.lookup_failures > 0:
        world.lookup_failures -= 1
        return _not_found(call).with_headers(Cache_Control="private, no-store")
    if world.quota is not None:
        world.quota -= 1
    return redirect(signed_url(world, call.hosts, file))


def download_other(world: World, call: Call, _rest: str) -> Reply:
    """Every other path under `/api/download/`: the login page, or JSON for requests that say they are JSON."""
    if call.account(world):
        return json_reply({"error": "Not found"}, 404)
    if "json" in call.headers.get("content-type", ""):
        return json_reply({"error": "Unauthorized"}, 401)
    return redirect(f"{call.hosts.site}/login?returnUrl=%2F&reason=download-auth")


def _signature(world: World, path: str, moment: str) -> str:
    return hashlib.sha256(f"{path} {moment} {world.link_age}".encode()).hexdigest()


def _disposition(file: FakeFile) -> str:
    return 'attachment; filename="' + re.sub(r'[\x00-\x1f"\\]', "_", file.name) + '"'


def signed_url(world: World, hosts: Hosts, file: FakeFile) -> str:
    """A storage link that works without any key, for a while."""
    path = f"/model/42/{file.id}/{quote(file.name, safe='')}"
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    signature = _signature(world, path, moment)
    if world.b2_links:
        return f"{hosts.storage}{path}?{urlencode({'Authorization': f'3_{moment}_{signature}_dnld'})}"
    query = {
        "X-Amz-Expires": str(world.link_seconds),
        "response-content-disposition": _disposition(file),
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Date": moment,
        "X-Amz-Signature": signature,
    }
    return f"{hosts.storage}{path}?{urlencode(query)}"


# --- storage and pictures ---------------------------------------------------------------------------------------------


def _range_holds(call: Call, reply: Reply) -> bool:
    """If-Range: the very same strong ETag or date; a weak ETag never matches."""
    wanted = call.headers.get("if-range")
    if wanted is None:
        return True
    strong = not wanted.startswith("W/")
    return strong and wanted in (reply.headers.get("ETag"), reply.headers.get("Last-Modified"))


def ranged(call: Call, reply: Reply) -> Reply:
    """The reply, or the part of it that the call's Range asks for (206), or 416 from beyond its end."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", "bytes=-"))
    if match is None or match[0] == "bytes=-" or not _range_holds(call, reply):
        return reply
    total = reply.body.size
    if match[1]:
        start, stop = int(match[1]), min(int(match[2] or total - 1) + 1, total)
    else:
        start, stop = max(0, total - int(match[2])), total
    if start >= total:
        return xml_error("InvalidRange", 416).with_headers(Content_Range=f"bytes */{total}")
    if stop <= start:
        return reply
    part = reply.with_headers(Content_Range=f"bytes {start}-{stop - 1}/{total}")
    return replace(part, status=206, start=start, stop=stop)


def _signed(world: World, call: Call) -> bool:
    if world.b2_links:
        _, moment, signature, *_ = [*call.first("Authorization").split("_"), "", "", ""]
    else:
        moment, signature = call.first("X-Amz-Date"), call.first("X-Amz-Signature")
    if signature != _signature(world, call.path, moment):
        return False
    given = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    return time.time() < given + world.link_seconds


def answer_storage(world: World, call: Call) -> Reply:
    """Signed storage: an `Authorization` header is a 400, a stale link a 403, and HEAD a 403 too."""
    if "authorization" in call.headers:
        return xml_error("InvalidArgument", 400)
    if call.method != "GET" or not _signed(world, call):
        refusal = json_reply({"code": "unauthorized", "status": 401}, 401)
        return (
            refusal
            if world.b2_links
            else xml_error("AccessDenied" if call.method == "GET" else "SignatureDoesNotMatch", 403)
        )
    file = world.files.get(int(call.path.split("/")[3]))
    if file is None:
        return xml_error("NoSuchKey", 404)
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    validators = {"ETag": file.body.etag if file.etag is None else file.etag, "Last-Modified": file.modified}
    named = {"Content-Disposition": _disposition(file)} if world.content_disposition and not world.b2_links else {}
    headers |= {key: value for key, value in validators.items() if value} | named
    return ranged(call, Reply(200, headers, file.body))


def answer_image(world: World, call: Call) -> Reply:
    """Picture delivery: 301 to a blob. `width` gives a smaller picture, some videos a still (see FakeImage)."""
    parts = unquote(call.path).strip("/").split("/")
    if len(parts) != 4 or parts[0] != ACCOUNT:
        return page_reply("not found", 404)
    uuid, params = parts[1], dict(part.partition("=")[::2] for part in parts[2].split(","))
    image = world.by_uuid(uuid)
    original = params.get("original") == "true"
    if image and image.kind == "video":
        still = image.still_always or (image.still_for_original and len(params) == 1)
        original = original or (params.get("transcode") == "true" and params.get("anim") != "false" and not still)
        original = original and not still
    if original:
        return redirect(f"{call.hosts.blob}/file/blobs-managed-public/{uuid}", 301)
    steps = (96, 320, 450, 512, 800, 1200, 1600, 2200)
    width = int(params.get("width", "450")) if params.get("width", "450").isdigit() else 450
    variant = f"{next((step for step in steps if step >= width), 2200)}x<auto>_so"
    return redirect(f"{call.hosts.blob}/file/civitai-media-cache/{uuid}/{quote(variant)}", 301)


def answer_blob(world: World, call: Call) -> Reply:
    """The public blobs: originals, and reduced pictures that have lost their metadata."""
    match = re.fullmatch(r"/file/(blobs-managed-public|civitai-media-cache)/([^/]+)(?:/(.+))?", unquote(call.path))
    image = world.by_uuid(match[2]) if match else None
    if match is None or image is None or image.missing:
        return json_reply({"code": "not_found", "status": 404}, 404)
    whole = match[1] == "blobs-managed-public" or (match[3] == "original" and not image.still_always)
    data = image.data if whole else webp_bytes(f"{image.uuid} {match[3]}", 100)
    body = Body.of(data)
    headers = {"Content-Type": media_type(data), "ETag": body.etag, "Accept-Ranges": "bytes"}
    return ranged(call, Reply(200, headers, body))


# --- the routes of the site -------------------------------------------------------------------------------------------

LOGIN_HTML = "<!DOCTYPE html><html><head><title>Login | Civitai</title></head><body>Sign in to continue</body></html>"


def show_page(world: World, call: Call, rest: str) -> Reply:
    """Any web page of the site; the login page is a 200."""
    version = re.fullmatch(r"model-versions/(\d+)", rest)
    if version and int(version[1]) in world.versions:
        model = world.versions[int(version[1])].model
        return redirect(f"{call.hosts.site}/models/{model.id}?modelVersionId={version[1]}", 308)
    if rest == "login":
        return page_reply(LOGIN_HTML)
    return page_reply(f"<!DOCTYPE html><html><title>{rest}</title><body>{rest}</body></html>")


def training_data(_world: World, call: Call, number: str) -> Reply:
    """The old link of training data."""
    return redirect(f"{call.hosts.site}/api/download/models/{number}?type=Training%20Data", 308)


def unknown_path(_world: World, _call: Call, _rest: str) -> Reply:
    """An API path that does not exist."""
    return json_reply({"error": "Not found"}, 404)


Route = tuple[str, str, Callable[..., Reply]]

ROUTES: list[Route] = [
    ("GET", r"/api/v1/models", list_models),
    ("GET", r"/api/v1/models/([^/]+)", show_model),
    ("GET", r"/api/v1/model-versions/by-hash/([0-9A-Za-z]+)", show_by_hash),
    ("POST", r"/api/v1/model-versions/by-hash", list_by_hash),
    ("POST", r"/api/v1/model-versions/by-hash/ids", list_ids_by_hash),
    ("GET", r"/api/v1/model-versions/mini/([^/]+)", show_mini),
    ("GET", r"/api/v1/model-versions/([^/]+)", show_version),
    ("GET", r"/api/v1/images", list_images),
    ("GET", r"/api/v1/me", show_me),
    ("GET", r"/api/v1/creators", list_creators),
    ("GET", r"/api/v1/tags", list_tags),
    ("GET", r"/api/v1/enums", list_enums),
    ("GET", r"/api/download/models/([^/]+)", download),
    ("GET", r"/api/download/training-data/([^/]+)", training_data),
    ("GET", r"/api/download/(.+)", download_other),
    ("GET", r"/(api/.*)", unknown_path),
    ("GET", r"/(.*)", show_page),
]


def answer_site(world: World, call: Call, routes: Sequence[Route] = ROUTES) -> Reply:
    """The answer of the site itself; HEAD runs what GET does."""
    for method, pattern, route in routes:
        match = re.fullmatch(pattern, call.path)
        if match and method == call.method.replace("HEAD", "GET"):
            return route(world, call, *(unquote(part) for part in match.groups()))
    return json_reply({"error": "Method not allowed"}, 405)
