"""Libraries on disk, as runs of the command leave them, but made without the site: exact small ones, and large ones.

A `Shelf` writes models and pictures into a folder; `hostile` and `large` fill one.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from civitai_downloader.core.prompts import Filters
from civitai_downloader.util.names import file_name, folder_name

MEDIA = Path(__file__).with_name("media")
WORD_LISTS = Path(__file__).parents[1] / "filters"
Json = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A version of a model; `here` says whether its file is on disk."""

    id: int
    name: str = "v1.0"
    base: str = "SDXL 1.0"
    words: tuple[str, ...] = ()
    published: str = "2026-01-15T12:00:00.000Z"
    here: bool = True
    gone: str = ""
    more: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model; `more` are further keys of its `model.json`."""

    id: int
    name: str
    versions: tuple[Version, ...]
    type: str = "LORA"
    creator: str = "maker"
    tags: tuple[str, ...] = ()
    description: str = "<p>Warm <strong>paper</strong> light.</p>"
    level: int = 1
    votes: tuple[int, int] = (90, 10)
    more: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A picture. `model` is where it lies (0: the folder of its user); `more` are further keys of its `.txt`."""

    id: int
    prompt: str | None = "a paper lantern"
    negative: str | None = "blurry, lowres"
    model: int = 0
    creator: str = "maker"
    level: int = 1
    ending: str = "png"
    size: tuple[int, int] = (832, 1216)
    created: str = "2026-03-01T12:00:00.000Z"
    sampler: str | None = "Euler a"
    likes: int = 0
    seed: int | None = 777
    checkpoint: str | None = None
    post: int | None = None
    resources: tuple[Json, ...] = ()
    more: Json = field(default_factory=dict)


def lora(name: str, model: int = 0, version: int = 0, weight: float = 1.0) -> Json:
    """Return a resource of a picture, as its `.txt` names it."""
    found: Json = {"type": "lora", "name": name, "weight": weight}
    return found | ({"modelId": model} if model else {}) | ({"modelVersionId": version} if version else {})


class Shelf:
    """Writes models and pictures below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._homes: dict[int, tuple[Path, int]] = {}
        self._filters = Filters.read(WORD_LISTS)

    def add(self, *things: Model | Picture) -> Shelf:
        """Write models before the pictures that lie in them."""
        for thing in things:
            if isinstance(thing, Model):
                self._add_model(thing)
            else:
                self.put(thing, media(thing))
        return self

    def put(self, picture: Picture, bytes_or_file: bytes | Path) -> Path:
        """Write a picture with these bytes, or as another name of this file; return its path."""
        place = self.home(picture) / f"{picture.id}.{picture.ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(bytes_or_file, Path):
            os.link(bytes_or_file, place)
        else:
            place.write_bytes(bytes_or_file)
        write_json(place.with_suffix(".txt"), self._facts(picture))
        return place

    def home(self, picture: Picture) -> Path:
        """Return the folder of a picture."""
        if picture.model:
            return self._homes[picture.model][0] / "images"
        return self.folder / "users" / folder_name(picture.creator) / "images"

    def _add_model(self, model: Model) -> None:
        models = self.folder / "users" / folder_name(model.creator) / "models"
        home = models / folder_name(model.name, f" [{model.id}]")
        home.mkdir(parents=True)
        write_json(home / "model.json", model_json(model))
        for version in model.versions:
            place = home / folder_name(version.name, f" [{version.id}]")
            self._homes.setdefault(model.id, (place, version.id))
            if version.here:
                place.mkdir()
                weight = place / file_of(model)
                weight.write_bytes(weights(version.id))
                weight.with_suffix(".preview.png").write_bytes(png(model.id, 36, 48))

    def _facts(self, picture: Picture) -> Json:
        cleaned, clothed = self._filters.apply(picture.prompt) if picture.prompt is not None else (None, None)
        versions = [self._homes[picture.model][1]] if picture.model else []
        wide, high = picture.size
        facts: Json = {
            "id": picture.id,
            "url": f"https://image.civitai.com/acc/{picture.id}/original=true/{picture.id}.{picture.ending}",
            "page": f"https://civitai.com/images/{picture.id}",
            "post_id": picture.post,
            "username": picture.creator,
            "created_at": picture.created,
            "width": wide,
            "height": high,
            "type": "video" if picture.ending in ("mp4", "webm") else "image",
            "nsfw_level": picture.level,
            "hash": "U6PZfSi_.AyE_3t7t7R**0o#DgR4_3R*D%xt",
            "likes": picture.likes,
            "model_versions": versions,
            "resources": list(picture.resources),
            "tools": [],
            "techniques": [],
            "raw_prompt": picture.prompt,
            "prompt": cleaned,
            "prompt_with_clothes": clothed,
            "negative_prompt": picture.negative,
            "sampler": picture.sampler,
            "steps": 28,
            "cfg_scale": 6,
            "seed": picture.seed,
            "size": f"{wide}x{high}",
            "model": picture.checkpoint,
        }
        meta = {"prompt": picture.prompt, "negativePrompt": picture.negative, "seed": picture.seed, "steps": 28}
        return {**facts, "meta": None if picture.prompt is None else meta} | picture.more


def file_of(model: Model) -> str:
    """Return the name of the files of a model."""
    return file_name(f"{model.name}.safetensors", str(model.id))


def model_json(model: Model) -> Json:
    """Return what the site says about a model."""
    up, down = model.votes
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "type": model.type,
        "nsfw": model.level > 2,
        "nsfwLevel": model.level,
        "stats": {"downloadCount": up * 9, "thumbsUpCount": up, "thumbsDownCount": down},
        "creator": {"username": model.creator},
        "tags": list(model.tags),
        "modelVersions": [_version_json(model, version) for version in model.versions],
    } | model.more


def _version_json(model: Model, version: Version) -> Json:
    data = weights(version.id)
    file = {
        "id": version.id + 10_000,
        "name": file_of(model),
        "sizeKB": len(data) / 1024,
        "type": "Model",
        "primary": True,
        "hashes": {},
    }
    gone = {"gone_since": version.gone} if version.gone else {}
    facts = {"id": version.id, "name": version.name, "baseModel": version.base, "publishedAt": version.published}
    return {**facts, "trainedWords": list(version.words), "files": [file], "images": []} | gone | version.more


def write_json(path: Path, facts: Json) -> None:
    """Write JSON as the command does; lone surrogates stay as they came from the site."""
    text = json.dumps(facts, ensure_ascii=False, indent=2)
    path.write_bytes(text.encode("utf-8", "surrogatepass") if text.isascii() else _utf8(text, facts))


def _utf8(text: str, facts: Json) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(facts, indent=2).encode("ascii")


# --- Bytes -----------------------------------------------------------------------------------------


def media(picture: Picture) -> bytes:
    """Return the bytes of a picture or video that a browser can show."""
    if picture.ending == "png":
        wide, high = picture.size
        return png(picture.id, max(1, wide // 32), max(1, high // 32))
    files = {"mp4": "clip.mp4", "webm": "clip.mp4", "jpeg": "lake.jpeg", "jpg": "lake.jpeg", "webp": "lake.webp"}
    return (MEDIA / files[picture.ending]).read_bytes()


@lru_cache(1024)
def png(seed: int, wide: int, high: int) -> bytes:
    """Return a picture whose colours run from the top to the bottom."""
    top, end = (tuple((seed * prime >> shift) % 200 + 28 for prime in (37, 101, 173)) for shift in (0, 3))
    rows = []
    for row in range(high):
        share = row / max(1, high - 1)
        pixel = bytes(round(one + (other - one) * share) for one, other in zip(top, end, strict=True))
        rows.append(b"\0" + pixel * wide)
    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 1)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def weights(seed: int, size: int = 400) -> bytes:
    """Return a small safetensors file."""
    head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(head)) + head + (seed.to_bytes(8, "big") * (size // 8 + 1))[:size]


# --- A library that wants to do harm ---------------------------------------------------------------

SCRIPTS = (
    "</script><script>document.title='harmed'</script>",
    "<img src=x onerror=\"document.title='harmed'\">",
    "<svg onload=document.title='harmed'>",
    "javascript:document.title='harmed'",
    '"><iframe srcdoc="<script>parent.document.title=\'harmed\'</script>">',
    "'-document.title='harmed'-'",
    "</textarea></title></style><script>document.title='harmed'</script>",
    "${document.title='harmed'} {{constructor.constructor('document.title=1')()}} $& $1 {n}",
    "line\u2028separator\u2029paragraph \0 nul \ud800 lone \udfff surrogates",
    "\u202eright to left\u202c \u200bzero width e\u0301\u0301\u0301\u0301",
    "word " * 2_800,
    "x" * 14_000,
    "<!-- ]]> --> \\ \\u0041 \\' &lt;b&gt; &amp;",
    "__proto__ constructor toString hasOwnProperty",
)
NAMES = (
    *(
        "a#b",
        "50% off",
        "what",
        "[x]",
        "it's",
        "a & b",
        "한글 모델",
        "提灯の夜",
        "Лампа",
        "مصباح",
        "a;b=c",
        "é à ü",
        "🏮",
    ),
    *("%2e%2e%2f", "__proto__", "constructor", "...x", "a+b,c", "{n}", "$&"),
)


def hostile(folder: Path) -> Shelf:
    """Fill a library with names and texts that want to run, to break out, or to be taken for something else."""
    shelf = Shelf(folder)
    for number, name in enumerate(NAMES):
        words = SCRIPTS[number % len(SCRIPTS)]
        version = Version(2000 + number, words if len(words) < 200 else name, base=words[:200], words=(words, name))
        model = Model(
            1000 + number, f"{name} {words[:300]}", (version,), type=words[:80], creator=name, tags=(words, name, "")
        )
        shelf.add(model, Picture(5000 + number, words, words, model=1000 + number, creator=name, sampler=words))
    for number, words in enumerate(SCRIPTS):
        used = (lora(words), {"type": words, "name": None}, lora("ok", weight=float(number)))
        shelf.add(Picture(6000 + number, words, None, creator=f"user {number}", checkpoint=words, resources=used))
    _broken(shelf)
    return shelf


def _broken(shelf: Shelf) -> None:
    """Add files that are torn, of a newer form, of wrong types, or not what they are called."""
    odd: dict[int, bytes] = {
        7001: b'{"id": 7001, "raw_prompt": "torn',
        7002: b"",
        7003: b"[1, 2, 3]",
        7004: b"null",
        7005: b"\xff\xfe\x00 not text",
        7006: b'{"id": 9999, "raw_prompt": "another id"}',
        7007: json.dumps({"id": 7007, "raw_prompt": {"v2": ["newer"]}, "width": "wide", "resources": "none"}).encode(),
        7008: json.dumps({"id": 7008, "raw_prompt": 5, "nsfw_level": 1e400, "created_at": 7, "seed": [1]}).encode(),
        7009: json.dumps({"id": 7009, "nsfw_level": -3, "width": -5, "height": 0, "likes": "many", "new": {}}).encode(),
        7010: b"[" * 100_000,
    }
    place = shelf.folder / "users" / "maker" / "images"
    place.mkdir(parents=True, exist_ok=True)
    for number, text in odd.items():
        (place / f"{number}.png").write_bytes(png(number, 8, 8))
        (place / f"{number}.txt").write_bytes(text)
    (place / "7011.png").write_bytes(png(7011, 8, 8))  # without a text
    shelf.put(Picture(7012), b"not a picture")
    (place / "not a number.png").write_bytes(png(1, 8, 8))
    for name, text in (("torn", b'{"id": 1501, "name": "to'), ("list", b"[]"), ("deep", b'{"a":' * 50_000)):
        home = shelf.folder / "users" / "maker" / "models" / f"{name} [150{len(name)}]"
        home.mkdir(parents=True)
        (home / "model.json").write_bytes(text)


def pictures_of(shelf: Shelf) -> Iterator[Path]:
    """Yield the files of all pictures."""
    return (path for path in shelf.folder.rglob("*") if path.stem.isdigit() and path.suffix not in (".txt", ".json"))


def numbered(count: int, **more: Any) -> Sequence[Picture]:
    """Return so many pictures, a minute apart, the first the newest."""
    return [
        Picture(40_000 + number, created=f"2026-02-01T{20 - number // 60:02}:{59 - number % 60:02}:00.000Z", **more)
        for number in range(count)
    ]
