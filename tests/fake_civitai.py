"""A local Civitai for tests and the demo: the REST API, downloads, signed storage, pictures, and how they all fail.

    with FakeCivitai(demo_world()) as site:
        site.fail("storage:/", Cut(after=1000))         # the first body from storage ends early
        main(["--site", site.url, f"{site.url}/models/10001"])
        assert site.seen("storage")[1].headers["range"] == "bytes=1000-"

Four servers run, each on a port of its own, because the real site spreads over hosts that trust each other little:
the site (API and download links), the signed storage of model files, picture delivery, and the public blobs behind it.

The file reads from top to bottom: bytes, the world (plain values that a test builds), answers (world + call -> reply),
faults, the servers, a demo world and the command line. The behaviour is that of the site in 2026; a docstring tells
where it is a trap. A test that needs something odder than the switches of `World` offer uses `Rewrite` or `Status`.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import itertools
import json
import random
import re
import socket
import struct
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from functools import cached_property, partial
from http.client import responses as REASONS
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

Json = dict[str, Any]
Host = Literal["site", "storage", "image", "blob"]

ACCOUNT = "xG1nkqKTMzGDvpLrqFT7WA"
PAGE = 64 * 1024
ALL_LEVELS = 31
HASHES = ("AutoV1", "AutoV2", "SHA256", "CRC32", "BLAKE3", "AutoV3")

# --- bytes --------------------------------------------------------------------------------------------------


def _noise(seed: int | str, size: int) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def _safetensors_head(payload: int) -> bytes:
    tensor = {"dtype": "U8", "shape": [payload], "data_offsets": [0, payload]}
    header = json.dumps({"weight": tensor}).ljust(120).encode()
    return len(header).to_bytes(8, "little") + header


def safetensors_bytes(seed: int | str, payload: int = 1000) -> bytes:
    """A valid safetensors file with one tensor of `payload` bytes."""
    return _safetensors_head(payload) + _noise(seed, payload)


def png_bytes(seed: int | str, width: int = 8, height: int = 8, text: str = "") -> bytes:
    """A PNG that any viewer opens: a colour gradient chosen by the seed, `text` in its `parameters` chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    red, green, blue, *_ = _noise(seed, 6)
    rows = bytearray()
    for y in range(height):
        line = ((red + 90 * x // width, green + 90 * y // height, blue) for x in range(width))
        rows += b"\0" + bytes(value % 256 for pixel in line for value in pixel)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    note = b"parameters\0" + text.encode("latin-1", "replace")
    extra = chunk(b"tEXt", note) if text else b""
    unique = chunk(b"raNd", _noise(seed, 200))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + unique
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg_bytes(seed: int | str, size: int = 300) -> bytes:
    """Bytes that begin and end like a JPEG."""
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + _noise(seed, size) + b"\xff\xd9"


def webp_bytes(seed: int | str, size: int = 300) -> bytes:
    """Bytes that begin like a WebP, with the right length inside."""
    return b"RIFF" + struct.pack("<I", size + 12) + b"WEBPVP8 " + struct.pack("<I", size) + _noise(seed, size)


def gif_bytes(seed: int | str, size: int = 300) -> bytes:
    """Bytes that begin and end like a GIF."""
    return b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + _noise(seed, size) + b";"


def mp4_bytes(seed: int | str, size: int = 600) -> bytes:
    """Bytes that begin like an MP4: an ftyp box, then one mdat box."""
    return (
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42"
        + struct.pack(">I", size + 8)
        + b"mdat"
        + _noise(seed, size)
    )


def webm_bytes(seed: int | str, size: int = 600) -> bytes:
    """Bytes that begin like a WebM."""
    return b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + _noise(
        seed, size
    )


def media_type(data: bytes) -> str:
    """What these bytes are, whatever their link ends in."""
    magic = {
        b"\x89PNG": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"GIF8": "image/gif",
        b"\x1aE\xdf\xa3": "video/webm",
    }
    if data[4:8] == b"ftyp":
        return "video/mp4"
    if data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in magic.items() if data.startswith(start)), "application/octet-stream")


@dataclass(frozen=True)
class Body:
    """An object of `size` bytes: `head` as it is, the rest made up from `seed` when read, so 4 GB cost no memory."""

    head: bytes = b""
    size: int = 0
    seed: str = ""
    flipped: int = -1

    @classmethod
    def of(cls, data: bytes) -> Body:
        """An object that holds these bytes."""
        return cls(data, len(data))

    @classmethod
    def generated(cls, name: str, size: int, seed: int | str) -> Body:
        """An object of `size` bytes that begins as a file of that name should."""
        ending = PurePosixPath(name).suffix.lower()
        starts = {".zip": b"PK\x03\x04", ".ckpt": b"PK\x03\x04", ".pt": b"PK\x03\x04", ".gguf": b"GGUF"}
        head = starts.get(ending, b"")
        if ending == ".safetensors" and size > 128:
            head = _safetensors_head(size - 128)
        if ending in (".yaml", ".txt", ".json"):
            head = f"# {seed}\n".encode().ljust(size, b"#")
        return cls(head[:size], size, str(seed))

    @cached_property
    def _pattern(self) -> bytes:
        return _noise(self.seed, 2 * PAGE)

    def _page(self, index: int) -> bytes:
        turn = index * 7919 % PAGE
        return index.to_bytes(8, "big") + self._pattern[turn : turn + PAGE - 8]

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`; no two places hold the same 64 KiB."""
        stop = min(stop, self.size)
        pieces = [self.head[start:stop]]
        position = max(start, len(self.head))
        while position < stop:
            index, inside = divmod(position, PAGE)
            piece = self._page(index)[inside : inside + stop - position]
            pieces.append(piece)
            position += len(piece)
        data = b"".join(pieces)
        if start <= self.flipped < start + len(data):
            at = self.flipped - start
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data

    def chunks(self, start: int, stop: int, step: int = 4 * PAGE) -> Iterator[bytes]:
        """The same in pieces of at most `step` bytes."""
        for position in range(start, min(stop, self.size), step):
            yield self.read(position, min(position + step, stop))

    @cached_property
    def data(self) -> bytes:
        """All of it, for comparing small files."""
        return self.read(0, self.size)

    @cached_property
    def sha256(self) -> str:
        """Lower-case SHA256, computed in pieces."""
        digest = hashlib.sha256()
        for chunk in self.chunks(0, self.size):
            digest.update(chunk)
        return digest.hexdigest()

    @cached_property
    def etag(self) -> str:
        """A strong ETag, cheap even for a large object."""
        return f'"{hashlib.md5(self.head + f"{self.seed} {self.size}".encode()).hexdigest()}"'

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Every hash kind the site knows, upper-case; BLAKE3 only has the right look."""
        checksum = 0
        for chunk in self.chunks(0, self.size):
            checksum = zlib.crc32(chunk, checksum)
        skip = 8 + int.from_bytes(self.read(0, 8), "little")
        tensors = self.read(skip, self.size) if skip < self.size < 64 * 1024 * 1024 else b""
        values = {
            "AutoV1": hashlib.sha256(self.read(0x100000, 0x110000)).hexdigest()[:8],
            "AutoV2": self.sha256[:10],
            "SHA256": self.sha256,
            "CRC32": f"{checksum:08x}",
            "BLAKE3": hashlib.blake2s(self.sha256.encode()).hexdigest(),
            "AutoV3": hashlib.sha256(tensors).hexdigest()[:12],
        }
        return {kind: value.upper() for kind, value in values.items()}


# --- the world ----------------------------------------------------------------------------------------------


def iso(minutes: float) -> str:
    """A moment as the API writes it, in minutes after New Year 2026."""
    moment = datetime(2026, 1, 1) + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds") + "Z"


def from_now(seconds: float) -> str:
    """A moment as the API writes it, in seconds from now."""
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _millis(moment: str) -> int:
    whole = datetime.fromisoformat(moment[:19]).replace(tzinfo=timezone.utc)
    fraction = re.match(r"\.(\d+)", moment[19:])
    return int(whole.timestamp()) * 1000 + (int(fraction[1].ljust(3, "0")[:3]) if fraction else 0)


@dataclass(eq=False)
class FakeFile:
    """A file of a version. `hashes` and `size_kb` override what is published; "" as `etag` or `modified` sends none."""

    id: int
    name: str
    body: Body
    type: str = "Model"
    primary: bool = True
    metadata: Json = field(default_factory=dict)
    hashes: Json | None = None
    size_kb: float | None = None
    visible: bool = True
    etag: str | None = None
    modified: str = "Sun, 01 Mar 2026 12:00:00 GMT"
    extra: Json = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The whole content."""
        return self.body.data

    @property
    def published_hashes(self) -> Json:
        """What `hashes` says in answers; nothing for generated files above 64 MiB, which nobody wants to wait for."""
        if self.hashes is not None:
            return self.hashes
        return {} if self.body.size > 64 * 1024 * 1024 else dict(self.body.hashes)


@dataclass(eq=False)
class FakeImage:
    """A picture or video: in the showcase of a version, in galleries, in a post.

    `still_for_original` is the video of which plain `original=true` gives a still picture and only
    `original=true,quality=100` the video; with `still_always` nothing gives the video.
    """

    id: int
    uuid: str
    username: str
    post_id: int
    version_ids: list[int] = field(default_factory=list)
    level: int = 1
    kind: Literal["image", "video", "audio"] = "image"
    meta: Json | None = None
    content: bytes | None = None
    width: int = 832
    height: int = 1216
    created: str = ""
    likes: int = 5
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    resources: list[Json] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    techniques: list[str] = field(default_factory=list)
    hidden_meta: bool = False
    minor: bool = False
    poi: bool = False
    indexed: bool = True
    missing: bool = False
    still_for_original: bool = False
    still_always: bool = False
    recorded: Json | None = None

    @property
    def data(self) -> bytes:
        """The stored original."""
        if self.content is None:
            self.content = mp4_bytes(self.id) if self.kind == "video" else png_bytes(self.id)
        return self.content

    @property
    def shown_meta(self) -> Json | None:
        """The metadata that others may see."""
        return None if self.hidden_meta else self.meta


@dataclass(eq=False)
class FakeVersion:
    """A version of a model. `early_access` is an ISO deadline or "permanent"; `vae_version` links another version's VAE."""

    world: World = field(repr=False)
    model: FakeModel = field(repr=False)
    id: int
    name: str = "v1.0"
    base_model: str = "SDXL 1.0"
    description: str | None = None
    trained_words: list[str] = field(default_factory=list)
    files: list[FakeFile] = field(default_factory=list)
    images: list[FakeImage] = field(default_factory=list)
    status: str = "Published"
    availability: str = "Public"
    usage_control: str = "Download"
    needs_token: bool = False
    early_access: str | None = None
    bought_by: set[str] = field(default_factory=set)
    vae_version: int | None = None
    level: int | None = None
    published: str = ""
    post_id: int = 0
    recorded: Json | None = None
    recorded_alone: Json | None = None

    @property
    def nsfw_level(self) -> int:
        """The bits of all showcase pictures, or what the test said; 0 means not computed yet."""
        if self.level is not None:
            return self.level
        bits = 0
        for image in self.images:
            bits |= image.level
        return bits or 1

    @property
    def locked(self) -> bool:
        """Whether early access still runs."""
        return self.early_access == "permanent" or bool(self.early_access and self.early_access > from_now(0))

    def add_file(
        self,
        name: str = "model.safetensors",
        data: bytes | None = None,
        size: int | None = None,
        *,
        type: str = "Model",
        primary: bool | None = None,
        metadata: Json | None = None,
        hashed: bool | Sequence[str] = True,
        needs_token: bool = False,
        **more: Any,
    ) -> FakeFile:
        """Add a file: `data`, or `size` generated bytes. `hashed` is False or the hash kinds to publish.

        `needs_token` is a property of the whole version on the site, so it is set there.
        """
        number = more.pop("id", None) or self.world.next_id(self.world.files, 30001)
        size = 1200 + number % 500 if size is None else size
        body = Body.of(data) if data is not None else Body.generated(name, size, f"file {number}")
        first = not any(file.primary for file in self.files)
        file = FakeFile(number, name, body, type, first if primary is None else primary, **more)
        file.metadata = _guessed_metadata(name) if metadata is None else metadata
        if hashed is not True and file.hashes is None:
            file.hashes = {kind: body.hashes[kind] for kind in hashed or ()}
        self.needs_token |= needs_token
        self.files.append(file)
        self.world.files[number] = file
        return file

    def add_image(self, level: int = 1, kind: Literal["image", "video"] = "image", **more: Any) -> FakeImage:
        """Add a showcase picture; it stands in the gallery and in the version's own post too."""
        self.post_id = self.post_id or self.world.add_post(username=self.model.creator, version_id=self.id).id
        more = {"username": self.model.creator, "post_id": self.post_id, **more}
        image = self.world.add_image([self.id], level=level, kind=kind, **more)
        self.images.append(image)
        return image


def _guessed_metadata(name: str) -> Json:
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".safetensors":
        return {"format": "SafeTensor", "size": "pruned", "fp": "fp16"}
    kinds = {".ckpt": "PickleTensor", ".pt": "PickleTensor", ".bin": "PickleTensor", ".gguf": "GGUF"}
    return {"format": kinds.get(ending, "Other")}


@dataclass(eq=False)
class FakeModel:
    """A model. `mode` is None, "Archived" (no files shown, 410 on download) or "TakenDown" (no pictures, 404)."""

    world: World = field(repr=False)
    id: int
    name: str = "Paper Lantern Style"
    type: str = "LORA"
    creator: str = "lantern_maker"
    description: str | None = "<p>Warm <strong>paper</strong> light.</p>"
    tags: list[str] = field(default_factory=lambda: ["style", "lighting"])
    versions: list[FakeVersion] = field(default_factory=list)
    commercial_use: list[str] = field(default_factory=lambda: ["Image", "RentCivit"])
    mode: str | None = None
    status: str = "Published"
    availability: str = "Public"
    minor: bool = False
    poi: bool = False
    level: int | None = None
    downloads: int = 812
    thumbs: int = 90
    extra: Json = field(default_factory=dict)
    recorded: Json | None = None

    @property
    def nsfw_level(self) -> int:
        """The bits of all versions, or what the test said; 0 keeps the model out of every list."""
        if self.level is not None:
            return self.level
        bits = 0
        for version in self.versions:
            bits |= version.nsfw_level
        return bits

    @property
    def date(self) -> int:
        """When its newest version came out, in milliseconds."""
        return max((_millis(version.published) for version in self.versions if version.published), default=0)

    def add_version(self, name: str = "v1.0", *, id: int | None = None, **more: Any) -> FakeVersion:
        """Add a version; the newest comes first in answers."""
        number = id or self.world.next_id(self.world.versions, 20001)
        more.setdefault("published", iso(number))
        version = FakeVersion(self.world, self, number, name, **more)
        self.versions.insert(0, version)
        self.world.versions[number] = version
        return version


@dataclass(eq=False)
class FakePost:
    """A post; its pictures in the order of `images`, which only tRPC tells."""

    id: int
    username: str
    title: str | None = None
    detail: str | None = None
    version_id: int | None = None
    collection_id: int | None = None
    images: list[FakeImage] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    published: str | None = ""


@dataclass(eq=False)
class FakeCollection:
    """A collection of the ids of models, posts or images, as `type` says."""

    id: int
    name: str
    username: str
    type: str = "Image"
    items: list[int] = field(default_factory=list)
    description: str | None = None
    read: str = "Public"


@dataclass(eq=False)
class World:
    """Everything the fake site knows, and switches for the oddities of the real one."""

    models: dict[int, FakeModel] = field(default_factory=dict)
    versions: dict[int, FakeVersion] = field(default_factory=dict)
    files: dict[int, FakeFile] = field(default_factory=dict)
    images: dict[int, FakeImage] = field(default_factory=dict)
    posts: dict[int, FakePost] = field(default_factory=dict)
    collections: dict[int, FakeCollection] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {"good-token"})
    #: Name and reading settings of the account behind every token.
    username: str = "archivist"
    #: File preferences of that account: they replace the site's own when a download names no file.
    preferences: dict[str, str] = field(default_factory=dict)
    #: Picture links with `width=450` (2023) instead of `original=true`.
    old_image_urls: bool = False
    #: `list`, `postgres` ("{Image,Rent}"), `word` ("Image") or `empty` ([]).
    commercial_use_shape: str = "list"
    null_counters: bool = False
    #: How many rows every page that has a successor is short of its limit.
    short_pages: int = 0
    #: An empty page with a cursor stands before every further page of images.
    empty_pages: bool = False
    #: How many rows of a page come again on the next one.
    repeated_rows: int = 0
    #: From the second page on the cursor stays the same for ever.
    looping_cursor: bool = False
    #: The host that `nextPage` names when it is not the one that was asked.
    next_page_host: str = ""
    #: Status for images of an unknown user: an empty 200 or a 404.
    unknown_image_user: int = 200
    #: Bulk hash answers hold a null and a duplicate.
    odd_hash_lists: bool = False
    #: Storage links of the other provider: other query, JSON errors, no file name in the answer.
    b2_links: bool = False
    content_disposition: bool = True
    link_seconds: int = 86400
    #: Raised by `FakeCivitai.expire_links`: every link given out before is refused.
    link_age: int = 0
    blacklisted: bool = False
    #: Downloads left before 429.
    quota: int | None = None
    login_needed: bool = False
    #: So many times the storage look-up fails: a 404 that is only transient.
    lookup_failures: int = 0
    trpc_host: Literal["red", "com"] = "red"
    encoding: Literal["superjson", "devalue", "alternate"] = "superjson"
    _uuids: dict[str, FakeImage] = field(default_factory=dict)

    def next_id(self, taken: Mapping[int, object], start: int) -> int:
        """The first free number from `start` on."""
        return next(number for number in itertools.count(start + len(taken)) if number not in taken)

    def user_id(self, name: str) -> int:
        """The number of a user, who exists from now on."""
        return self.users.setdefault(name, 42 + len(self.users))

    def find_user(self, name: str) -> str | None:
        """The user as written, compared as the site does: case and odd characters do not count."""
        wanted = re.sub(r"[^a-z0-9_]", "", name.lower().replace(" ", "_", 1))
        return next((user for user in self.users if user.lower() == wanted), None)

    def by_uuid(self, uuid: str) -> FakeImage | None:
        """The picture behind a delivery link."""
        return self._uuids.get(uuid)

    def add_model(
        self, name: str = "Paper Lantern Style", type: str = "LORA", *, id: int | None = None, **more: Any
    ) -> FakeModel:
        """Add a model without versions; `creator` "" is the system account."""
        number = id or self.next_id(self.models, 10001)
        model = FakeModel(self, number, name, type, **more)
        self.models[number] = model
        if model.creator:
            self.user_id(model.creator)
        return model

    def add_post(self, *, username: str = "lantern_maker", id: int | None = None, **more: Any) -> FakePost:
        """Add a post; pictures join it by `add_image(post_id=...)`."""
        number = id or self.next_id(self.posts, 50001)
        more.setdefault("published", iso(number))
        self.user_id(username)
        self.posts[number] = FakePost(number, username, **more)
        return self.posts[number]

    def add_collection(
        self, name: str, items: Iterable[int], *, type: str = "Image", **more: Any
    ) -> FakeCollection:
        """Add a collection; `items` are ids of what `type` says."""
        number = more.pop("id", None) or self.next_id(self.collections, 60001)
        username = more.pop("username", "lantern_maker")
        self.user_id(username)
        self.collections[number] = FakeCollection(number, name, username, type, list(items), **more)
        return self.collections[number]

    def add_image(
        self,
        version_ids: Iterable[int] = (),
        *,
        username: str = "gallery_guest",
        post_id: int | None = None,
        data: bytes | None = None,
        **more: Any,
    ) -> FakeImage:
        """Add a picture to the galleries of these versions, in a post of its own unless one is named."""
        number = more.pop("id", None) or self.next_id(self.images, 40001)
        uuid = more.pop("uuid", None) or f"00000000-0000-4000-8000-{number:012x}"
        post = self.posts.get(post_id or 0) or self.add_post(username=username, id=post_id)
        more = {"created": iso(number), "content": data, **more}
        image = FakeImage(number, uuid, username, post.id, list(version_ids), **more)
        post.images.append(image)
        self.user_id(username)
        self.images[number] = self._uuids[uuid] = image
        return image

    def build_library(
        self, models: int = 50, versions: int = 120, files: int = 200, images: int = 3000
    ) -> World:
        """Fill the world with so many things, always the same ones, for tests of scale."""
        for number in range(models):
            words = ("Lantern", "Harbour", "Moss", "Copper", "Winter")
            kind = ("LORA", "Checkpoint", "TextualInversion", "LORA")[number % 4]
            counters = {"downloads": 5000 - number % 40, "thumbs": 300 - number % 30}
            self.add_model(f"{words[number % 5]} {number}", kind, creator=f"maker_{number % 5}", **counters)
        owners = list(self.models.values())[-models:]
        made = [
            owners[i % models].add_version(f"v{1 + i // models}", trained_words=[f"word {i}"])
            for i in range(versions)
        ]
        for i in range(max(files, versions)):
            made[i % versions].add_file(f"part_{i}.safetensors" if i < versions else f"part_{i}.ckpt")
        for i in range(images):
            version, level = made[i % versions], (1, 2, 4, 8, 16)[i % 5]
            meta = {"prompt": f"a lantern, number {i}, {version.name}", "seed": i, "steps": 28}
            if i < 3 * versions:
                version.add_image(level, meta=meta)
            else:
                self.add_image([version.id], level=level, meta=meta, username=f"guest_{i % 7}")
        return self

    def load_recorded(self, answer: Json) -> None:
        """Serve a real answer (a model, a version, an image or a list of them) as it stands.

        Only the hosts of links change, and each file and picture gets small stand-in bytes, with the size and the
        hashes of those; files that shared a SHA256 share the stand-in. Absent keys, nulls and odd types stay.
        """
        if "items" in answer:
            for item in answer["items"]:
                self.load_recorded(item)
        elif "modelVersions" in answer:
            self._load_model(copy.deepcopy(answer))
        elif "modelId" in answer:
            self._load_version(copy.deepcopy(answer))
        else:
            self._load_image(copy.deepcopy(answer), [])

    def _load_model(self, answer: Json) -> None:
        creator = (answer.get("creator") or {}).get("username") or ""
        tags = [tag["name"] if isinstance(tag, dict) else tag for tag in answer.get("tags") or ()]
        level = answer.get("nsfwLevel", ALL_LEVELS if answer.get("nsfw") else 1)
        more = {
            "creator": creator,
            "tags": tags,
            "level": level,
            "recorded": answer,
            "mode": answer.get("mode"),
        }
        model = self.add_model(answer["name"], answer["type"], id=answer["id"], **more)
        for part in reversed(answer["modelVersions"]):
            version = model.add_version(part["name"], id=part["id"], recorded=part)
            self._fill_version(version, part)

    def _load_version(self, answer: Json) -> None:
        about = answer.get("model") or {}
        model = self.models.get(answer["modelId"])
        if model is None:
            model = self.add_model(about.get("name", ""), about.get("type", "Other"), id=answer["modelId"])
        version = self.versions.get(answer["id"]) or model.add_version(answer["name"], id=answer["id"])
        version.recorded_alone = answer
        version.files.clear()
        self._fill_version(version, answer)

    def _fill_version(self, version: FakeVersion, part: Json) -> None:
        version.base_model = part.get("baseModel") or ""
        version.trained_words = part.get("trainedWords") or []
        version.published = part.get("publishedAt") or part.get("createdAt") or version.published
        version.usage_control = part.get("usageControl") or "Download"
        for entry in part.get("files") or ():
            self._fill_file(version, entry)
        for entry in part.get("images") or ():
            version.images.append(self._load_image(entry, [version.id]))

    def _fill_file(self, version: FakeVersion, entry: Json) -> None:
        seed = str((entry.get("hashes") or {}).get("SHA256") or entry["id"])
        body = Body.generated(entry["name"].strip(), 1200 + zlib.crc32(seed.encode()) % 500, seed)
        if "hashes" in entry:
            entry["hashes"] = {kind: body.hashes[kind] for kind in entry["hashes"] or () if kind in HASHES}
        if entry.get("sizeKB"):
            entry["sizeKB"] = body.size / 1024
        file = FakeFile(entry["id"], entry["name"], body, entry["type"], bool(entry.get("primary")))
        file.metadata, file.hashes = entry.get("metadata") or {}, entry.get("hashes")
        version.files.append(file)
        self.files[file.id] = file

    def _load_image(self, entry: Json, version_ids: list[int]) -> FakeImage:
        parts = urlsplit(entry["url"]).path.split("/")
        stem = PurePosixPath(parts[-1]).stem
        number = entry.get("id") or (int(stem) if stem.isdigit() else None)
        known = self._uuids.get(parts[-3])
        if known:
            known.recorded = entry if "postId" in entry else known.recorded
            return known
        level = entry.get("browsingLevel") or (
            entry["nsfwLevel"] if isinstance(entry.get("nsfwLevel"), int) else 1
        )
        more: Json = {
            "uuid": parts[-3],
            "level": level,
            "meta": entry.get("meta"),
            "post_id": entry.get("postId"),
        }
        more["kind"] = "video" if entry.get("type") == "video" or parts[-1].endswith(".mp4") else "image"
        more["recorded"] = entry if "postId" in entry else None
        more["username"] = entry.get("username") or "gallery_guest"
        return self.add_image(version_ids or entry.get("modelVersionIds") or (), id=number, **more)


# --- answers: calls and replies -----------------------------------------------------------------------------


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

        With an `Authorization` header of any kind `?token=` is not looked at; its scheme word is not checked.
        """
        if "authorization" in self.headers:
            key = [*self.headers["authorization"].split(), "", ""][1]
        else:
            key = self.first("token")
        return key if key in world.tokens else None

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
    body: Body = Body()
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
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    )
    return page_reply(text, status, "application/xml")


def _zod_error(name: str, message: str) -> Reply:
    issues = [{"code": "invalid_type", "path": [name], "message": message}]
    return json_reply({"error": {"name": "ZodError", "message": json.dumps(issues)}}, 400)


# --- answers: models ----------------------------------------------------------------------------------------

LEVEL_NAMES = {1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X", 32: "Blocked"}
NSFW_MASKS = {"None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32, "true": 60, "false": 1, "": 1}
MODEL_TYPES = [
    "Checkpoint",
    "TextualInversion",
    "Hypernetwork",
    "AestheticGradient",
    "LORA",
    "LoCon",
    "DoRA",
    "Controlnet",
    "Upscaler",
    "MotionModule",
    "VAE",
    "TextEncoder",
    "UNet",
    "CLIPVision",
    "Poses",
    "Wildcards",
    "Workflows",
    "ComfyWorkflows",
    "Detection",
    "VisionLanguage",
    "CLIP",
    "LLM",
    "Other",
]
FILE_TYPES = [
    "Model",
    "Text Encoder",
    "Vision Encoder",
    "Pruned Model",
    "Negative",
    "Training Data",
    "VAE",
    "Config",
    "Archive",
    "UNet",
    "Diffusion Model",
    "CLIPVision",
    "ControlNet",
    "Workflow",
    "Upscaler",
    "Enhancement LoRA",
    "Other",
]
FORMATS = ["SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other"]
BASE_MODELS = [
    "SD 1.5",
    "SDXL 1.0",
    "Pony",
    "Illustrious",
    "NoobAI",
    "Flux.1 D",
    "Wan Video 2.2 T2V-A14B",
    "Other",
]


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


def _showcase_json(world: World, call: Call, version: FakeVersion, image: FakeImage, form: str) -> Json:
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
    answer |= {
        "minor": image.minor,
        "poi": image.poi,
        "hasMeta": bool(image.meta),
        "hasPositivePrompt": prompt,
    }
    answer |= {"onSite": False, "remixOfId": None}
    if form == "alone" and image.shown_meta is not None:
        answer["meta"] = image.shown_meta
    return answer


def _images_json(world: World, call: Call, version: FakeVersion, form: str, mask: int) -> list[Json]:
    if version.model.mode == "TakenDown":
        return []
    shown = [image for image in version.images if image.level & mask and not image.missing]
    return [
        _showcase_json(world, call, version, image, form) for image in shown[: 10 if form == "alone" else 20]
    ]


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
    shapes = {
        "list": words,
        "postgres": "{" + ",".join(words) + "}",
        "word": [*words, "None"][0],
        "empty": [],
    }
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


# --- answers: paging ----------------------------------------------------------------------------------------


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
            values[0] = datetime.fromtimestamp(int(values[0]) / 1000, timezone.utc).isoformat(
                " ", "milliseconds"
            )[:23]
        return "|".join(values)

    def parse(self, cursor: str) -> tuple[int, ...] | None:
        """The key that a cursor stands for, or None when it does not fit this order."""
        parts = cursor.split("|")
        if len(parts) != len(self.signs):
            return None
        try:
            values = [_millis(part) if self.dated and i == 0 else int(part) for i, part in enumerate(parts)]
        except ValueError:
            return None
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))


def take(
    world: World, rows: Iterable[Any], order: Order, limit: int, cursor: str
) -> tuple[list[Any], str | None]:
    """One page of rows and the cursor of the next."""
    ordered = sorted(rows, key=order.key)
    at = order.parse(cursor) if cursor else None
    if at is not None:
        ordered = [
            row for row in ordered if order.key(row) > at or (order.key(row) == at and not order.lossy)
        ]
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
    for name in ("browsingLevel", "collectionId", "fileFormats", "allowNoCredit", "allowDerivatives"):
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


def _listed_versions(call: Call, model: FakeModel) -> list[FakeVersion]:
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


def _allowed(world: World, call: Call, model: FakeModel) -> bool:
    """What no filter of the caller can bring back, and the levels: PG only unless `nsfw=true`, which hides minors."""
    nsfw = call.flag("nsfw")
    hidden = (
        model.poi or model.status != "Published" or model.availability == "Private" or (nsfw and model.minor)
    )
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
    rows = [
        model
        for model in world.models.values()
        if _allowed(world, call, model) and _wanted(world, call, model)
    ]
    rows = [model for model in rows if _listed_versions(call, model)]
    if call.first("query"):
        start = int(cursor) if cursor.isdigit() else 0
        page, following = (
            rows[start : start + limit],
            str(start + limit) if start + limit < len(rows) else None,
        )
    elif cursor and order.parse(cursor) is None:
        return json_reply({"message": f"Invalid cursor: {cursor}"}, 400)
    else:
        page, following = take(world, rows, order, limit, cursor)
    mask = ALL_LEVELS if call.flag("nsfw") else 1
    items = [model_json(world, call, model, "list", _listed_versions(call, model), mask) for model in page]
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
    versions = _listed_versions(replace(call, raw_query=""), model) if model else []
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


# --- answers: hashes ----------------------------------------------------------------------------------------


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
        return json_reply(
            {"error": "Request must include an array of SHA256 Hashes. Maximum 100 hashes"}, 400
        )
    found = {each.id: each for value in hashes for each in _holders(world, value, ["SHA256"])[:1]}
    broken = replace(call, hosts=replace(call.hosts, site="https://undefined"))
    answers: list[Json | None] = [
        version_alone(world, broken, version) for version in reversed(found.values())
    ]
    return json_reply([None, *answers, *answers[:1]] if world.odd_hash_lists else answers)


def list_ids_by_hash(world: World, call: Call) -> Reply:
    """`POST /api/v1/model-versions/by-hash/ids`: at most 10,000 SHA256."""
    hashes = _posted_hashes(call, 10_000)
    if hashes is None:
        return json_reply(
            {"error": "Request must include an array of SHA256 Hashes. Maximum 10000 hashes"}, 400
        )
    rows = [(value, version) for value in hashes for version in _holders(world, value, ["SHA256"])]
    return json_reply(
        [{"modelVersionId": v.id, "modelId": v.model.id, "hash": value.upper()} for value, v in rows]
    )


# --- answers: images ----------------------------------------------------------------------------------------

BY_ID = Order(lambda image: (image.id,), (-1,), lossy=True)
BY_RISING_ID = Order(lambda image: (image.id,), (1,))
IMAGE_SORTS: dict[str, Callable[[FakeImage], tuple[int, ...]]] = {
    "Most Reactions": lambda image: (-image.likes, -image.id),
    "Most Comments": lambda image: (-image.id,),
    "Most Collected": lambda image: (-image.likes, -image.id),
    "Newest": lambda image: (-_millis(image.created), -image.id),
    "Oldest": lambda image: (_millis(image.created), image.id),
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
        and (
            "modelId" not in call.query
            or version is not None
            or any(n in of_model for n in image.version_ids)
        )
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
    rows = [
        image for image in world.images.values() if image.level & mask and _image_wanted(world, call, image)
    ]
    limit, cursor = int(call.first("limit", "100")), call.first("cursor")
    if database:
        order = BY_RISING_ID if call.first("sort") == "Oldest" else BY_ID
        page, following = take(world, rows, order, limit, cursor)
    else:
        rows = sorted(
            (image for image in rows if image.indexed), key=IMAGE_SORTS[call.first("sort", "Most Reactions")]
        )
        page, following = _take_by_offset(world, rows, limit, cursor)
    nested = database and not call.flag("flatMeta")
    return _envelope(world, call, [image_json(world, call, image, nested) for image in page], following)


def _take_by_offset(
    world: World, rows: list[FakeImage], limit: int, cursor: str
) -> tuple[list[FakeImage], str | None]:
    """A page of the search index, whose cursor is `offset|time`; an odd time marks the page after an empty one."""
    offset, moment = (
        (int(part) for part in (cursor + "|1772366700000").split("|")[:2]) if cursor else (0, 1772366700000)
    )
    if world.empty_pages and offset and moment % 2 == 0:
        return [], f"{offset}|{moment + 1}"
    shown = max(1, limit - world.short_pages) if limit else 0
    following = max(offset + 1, offset + shown - world.repeated_rows)
    if offset + shown >= len(rows):
        return rows[offset:], None
    loops = world.looping_cursor and cursor
    return rows[offset : offset + shown], cursor if loops else f"{following}|1772366700000"


# --- answers: the rest of the API ---------------------------------------------------------------------------


def show_me(world: World, call: Call) -> Reply:
    """`GET /api/v1/me`: the way to find out whether a key is good."""
    if not call.account(world):
        return json_reply({"error": "Unauthorized"}, 401)
    about = {
        "id": world.user_id(world.username),
        "username": world.username,
        "tier": "free",
        "status": "active",
    }
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
        row: Json = {
            "username": name,
            "link": f"{call.hosts.site}/api/v1/models?username={name}",
            "image": None,
        }
        rows.append(row | ({"modelCount": count} if count else {}))
    return _numbered_pages(call, rows)


def list_tags(world: World, call: Call) -> Reply:
    """`GET /api/v1/tags`."""
    names = dict.fromkeys(tag for model in world.models.values() for tag in model.tags)
    return _numbered_pages(
        call, [{"name": n, "link": f"{call.hosts.site}/api/v1/models?tag={quote(n)}"} for n in names]
    )


def list_enums(world: World, call: Call) -> Reply:
    """`GET /api/v1/enums`."""
    bases = {
        "ActiveBaseModel": BASE_MODELS,
        "BaseModel": BASE_MODELS,
        "BaseModelType": ["Standard", "Inpainting"],
    }
    return json_reply({"ModelType": MODEL_TYPES, "ModelFileType": FILE_TYPES} | bases)


def list_users(world: World, call: Call) -> Reply:
    """`GET /api/v1/users?query=|ids=`: from a name to a number."""
    query, ids = call.first("query").lower(), call.listed("ids")
    rows = [(name, number) for name, number in world.users.items() if query in name.lower()]
    rows = [row for row in rows if not ids or str(row[1]) in ids]
    return json_reply(
        {"items": [{"id": n, "username": name, "avatarUrl": None, "avatarNsfw": 0} for name, n in rows]}
    )


def show_collection(world: World, call: Call, number: str) -> Reply:
    """`GET /api/v1/collections/{id}`: about the collection, never what is in it."""
    found = world.collections.get(int(number)) if number.isdigit() else None
    if found is None or found.read == "Private":
        return json_reply({"error": "Collection not found"}, 404)
    about = {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "type": found.type,
        "nsfwLevel": 1,
    }
    user = {"id": world.user_id(found.username), "username": found.username}
    rest = {
        "read": found.read,
        "isPublic": True,
        "itemCount": len(found.items),
        "coverImageUrl": None,
        "user": user,
    }
    return json_reply(about | rest)


# --- answers: downloads -------------------------------------------------------------------------------------


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


def download_other(world: World, call: Call, rest: str) -> Reply:
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


# --- answers: storage and pictures --------------------------------------------------------------------------


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
    named = (
        {"Content-Disposition": _disposition(file)}
        if world.content_disposition and not world.b2_links
        else {}
    )
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
        original = original or (
            params.get("transcode") == "true" and params.get("anim") != "false" and not still
        )
        original = original and not still
    if original:
        return redirect(f"{call.hosts.blob}/file/blobs-managed-public/{uuid}", 301)
    steps = (96, 320, 450, 512, 800, 1200, 1600, 2200)
    width = int(params.get("width", "450")) if params.get("width", "450").isdigit() else 450
    variant = f"{next((step for step in steps if step >= width), 2200)}x<auto>_so"
    return redirect(f"{call.hosts.blob}/file/civitai-media-cache/{uuid}/{quote(variant)}", 301)


def answer_blob(world: World, call: Call) -> Reply:
    """The public blobs: originals, and reduced pictures that have lost their metadata."""
    match = re.fullmatch(
        r"/file/(blobs-managed-public|civitai-media-cache)/([^/]+)(?:/(.+))?", unquote(call.path)
    )
    image = world.by_uuid(match[2]) if match else None
    if match is None or image is None or image.missing:
        return json_reply({"code": "not_found", "status": 404}, 404)
    whole = match[1] == "blobs-managed-public" or (match[3] == "original" and not image.still_always)
    data = image.data if whole else webp_bytes(f"{image.uuid} {match[3]}", 100)
    body = Body.of(data)
    headers = {"Content-Type": media_type(data), "ETag": body.etag, "Accept-Ranges": "bytes"}
    return ranged(call, Reply(200, headers, body))


# --- answers: the routes of the site ------------------------------------------------------------------------

LOGIN_HTML = (
    "<!DOCTYPE html><html><head><title>Login | Civitai</title></head><body>Sign in to continue</body></html>"
)


def show_page(world: World, call: Call, rest: str) -> Reply:
    """Any web page of the site; the login page is a 200."""
    version = re.fullmatch(r"model-versions/(\d+)", rest)
    if version and int(version[1]) in world.versions:
        model = world.versions[int(version[1])].model
        return redirect(f"{call.hosts.site}/models/{model.id}?modelVersionId={version[1]}", 308)
    if rest == "login":
        return page_reply(LOGIN_HTML)
    return page_reply(f"<!DOCTYPE html><html><title>{rest}</title><body>{rest}</body></html>")


def training_data(world: World, call: Call, number: str) -> Reply:
    """The old link of training data."""
    return redirect(f"{call.hosts.site}/api/download/models/{number}?type=Training%20Data", 308)


def unknown_path(world: World, call: Call, rest: str) -> Reply:
    """An API path that does not exist."""
    return json_reply({"error": "Not found"}, 404)


ROUTES: list[tuple[str, str, Callable[..., Reply]]] = [
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
    ("GET", r"/api/v1/users", list_users),
    ("GET", r"/api/v1/collections/([^/]+)", show_collection),
    ("GET", r"/api/download/models/([^/]+)", download),
    ("GET", r"/api/download/training-data/([^/]+)", training_data),
    ("GET", r"/api/download/(.+)", download_other),
    ("GET", r"/(api/.*)", unknown_path),
    ("GET", r"/(.*)", show_page),
]


def answer_site(world: World, call: Call) -> Reply:
    """The answer of the site itself; HEAD runs what GET does."""
    for method, pattern, route in ROUTES:
        match = re.fullmatch(pattern, call.path)
        if match and method == call.method.replace("HEAD", "GET"):
            return route(world, call, *(unquote(part) for part in match.groups()))
    return json_reply({"error": "Method not allowed"}, 405)


ANSWERS: dict[Host, Callable[[World, Call], Reply]] = {
    "site": answer_site,
    "storage": answer_storage,
    "image": answer_image,
    "blob": answer_blob,
}


# --- faults -------------------------------------------------------------------------------------------------

Normal = Callable[[Call], Reply]


@dataclass(frozen=True)
class Action:
    """Something going wrong: `_answer` may change call and reply, `_send` how the reply goes over the wire."""

    for_ever: ClassVar[bool] = False

    def _answer(self, call: Call, normal: Normal) -> Reply:
        """The reply to this call; `normal` makes the one without the fault."""
        return normal(call)

    def _send(self, wire: Wire, reply: Reply) -> None:
        """Send the reply."""
        wire.send(reply)


@dataclass(frozen=True)
class Status(Action):
    """Another answer instead: any status, body, headers and content type."""

    code: int = 500
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def _answer(self, call: Call, normal: Normal) -> Reply:
        data = self.body.encode() if isinstance(self.body, str) else self.body
        return Reply(self.code, {"Content-Type": self.content_type, **self.headers}, Body.of(data))


def busy(code: int = 429, retry_after: int | str | None = None) -> Status:
    """429 or 503 with `Retry-After` in seconds, as a date (`http_date`), or without."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Status(code, '{"error":"Too busy, try again later"}', headers)


def http_date(seconds: float) -> str:
    """The date, so many seconds from now, as `Retry-After` has it."""
    return formatdate(time.time() + seconds, usegmt=True)


_HTML = "text/html; charset=UTF-8"
EMPTY = Status(200, "", content_type="application/octet-stream")
HTML_PAGE = Status(200, LOGIN_HTML, content_type=_HTML)
JSON_PAGE = Status(200, '{"error":"Unauthorized","message":"Please log in"}')
MAINTENANCE = Status(
    200, "<!DOCTYPE html><title>Civitai</title>We will be back in a few minutes", content_type=_HTML
)
CLOUDFLARE_520 = Status(
    520,
    "<!DOCTYPE html><title>civitai.com | 520: Web server is returning an unknown error</title>",
    content_type=_HTML,
)
CLOUDFLARE_524 = Status(
    524, "<!DOCTYPE html><title>civitai.com | 524: A timeout occurred</title>", content_type=_HTML
)
CHALLENGE = Status(
    403, "<!DOCTYPE html><title>Just a moment...</title>", {"cf-mitigated": "challenge"}, _HTML
)
REGION_BLOCKED = Status(451, '{"error":"Not available in your region","code":"REGION_BLOCKED"}')


@dataclass(frozen=True)
class Rewrite(Action):
    """The normal JSON answer, passed through a function: null list members, wrong types, what you like."""

    change: Callable[[Any], Any] = lambda data: data

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return json_reply(self.change(json.loads(reply.sent)), reply.status)


@dataclass(frozen=True)
class BrokenJson(Action):
    """The first half of the normal body, complete as far as HTTP can tell."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return replace(reply, body=Body.of(reply.sent[: reply.length // 2]), start=0, stop=None)


@dataclass(frozen=True)
class BigJson(Action):
    """A valid but huge list answer without items."""

    size: int = 64 * 1024 * 1024

    def _answer(self, call: Call, normal: Normal) -> Reply:
        return json_reply({"items": [], "metadata": {}, "padding": "x" * self.size})


@dataclass(frozen=True)
class Cut(Action):
    """The connection ends cleanly after so many body bytes, though Content-Length says more."""

    after: int = 0

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        wire.hang_up()


@dataclass(frozen=True)
class Reset(Cut):
    """The connection is reset (RST) after so many body bytes."""

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        wire.reset()


@dataclass(frozen=True)
class ResetEvery(Action):
    """Every response is reset after so many body bytes, for ever; shorter ones arrive."""

    after: int = 100 * 1024
    for_ever: ClassVar[bool] = True

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        if reply.length > self.after:
            wire.reset()


@dataclass(frozen=True)
class CutChunked(Action):
    """A chunked body that ends without its last chunk."""

    after: int = 0

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply, "Transfer-Encoding: chunked")
        wire.chunked(reply.body.chunks(reply.start, reply.start + self.after), last=False)
        wire.hang_up()


@dataclass(frozen=True)
class CutUnsized(Action):
    """A body without any length that ends early: nothing in HTTP tells."""

    after: int = 0

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        wire.head(reply, "")
        wire.body(reply, self.after)


@dataclass(frozen=True)
class HangUp(Action):
    """A good answer on a connection that is then closed without a word, so the next request on it fails."""

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.send(reply)
        wire.hang_up()


@dataclass(frozen=True)
class IgnoreRange(Action):
    """200 with everything in answer to a Range."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        return normal(call.without("range", "if-range"))


def _other(body: Body, data: bytes | None) -> Body:
    """Another object of the same size unless its data are given."""
    if data is not None:
        return Body.of(data)
    return replace(body, head=body.head[:136] + body.head[136:][::-1], seed=f"{body.seed} changed")


@dataclass(frozen=True)
class Changed(Action):
    """The object is another one by now, with another ETag and date; If-Range is honoured."""

    data: bytes | None = None
    honour: ClassVar[bool] = True

    def _answer(self, call: Call, normal: Normal) -> Reply:
        whole = normal(call.without("range", "if-range"))
        body = _other(whole.body, self.data)
        news = whole.with_headers(ETag=body.etag, Last_Modified="Mon, 02 Mar 2026 12:00:00 GMT")
        return ranged(call if self.honour else call.without("if-range"), replace(news, body=body))


@dataclass(frozen=True)
class IgnoreIfRange(Changed):
    """The object is another one by now, and 206 gives its middle in spite of If-Range."""

    honour: ClassVar[bool] = False


@dataclass(frozen=True)
class Validators(Action):
    """The same object under another ETag and date; None leaves that header out. A "W/..." ETag is a weak one."""

    etag: str | None = None
    modified: str | None = None

    def _answer(self, call: Call, normal: Normal) -> Reply:
        whole = normal(call.without("range", "if-range")).with_headers(
            ETag=self.etag, Last_Modified=self.modified
        )
        return ranged(call, whole)


@dataclass(frozen=True)
class WrongStart(Action):
    """206 whose Content-Range and bytes begin elsewhere than asked."""

    by: int = 7

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        if reply.status != 206:
            return reply
        start = max(0, min(reply.start + self.by, reply.end - 1))
        span = f"bytes {start}-{reply.end - 1}/{reply.body.size}"
        return replace(reply.with_headers(Content_Range=span), start=start)


@dataclass(frozen=True)
class WrongTotal(Action):
    """206 whose Content-Range names another total size."""

    by: int = 1

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        span = f"bytes {reply.start}-{reply.end - 1}/{reply.body.size + self.by}"
        return reply.with_headers(Content_Range=span) if reply.status == 206 else reply


@dataclass(frozen=True)
class NoContentRange(Action):
    """206 that does not say which part it is."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        return normal(call).with_headers(Content_Range=None)


@dataclass(frozen=True)
class MultipartRanges(Action):
    """206 as multipart/byteranges for a single range."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        if reply.status != 206:
            return reply
        span = reply.headers["Content-Range"]
        head = f"--cut\r\nContent-Type: application/octet-stream\r\nContent-Range: {span}\r\n\r\n".encode()
        body = Body.of(head + reply.sent + b"\r\n--cut--\r\n")
        changed = reply.with_headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=cut")
        return replace(changed, body=body, start=0, stop=None)


@dataclass(frozen=True)
class Unasked206(Action):
    """206 with the second half for a request without Range."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        half = reply.body.size // 2
        return (
            reply
            if reply.status != 200
            else ranged(replace(call, headers={"range": f"bytes={half}-"}), reply)
        )


@dataclass(frozen=True)
class Always416(Action):
    """416 to every Range; without one all is well."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call.without("range", "if-range"))
        if "range" not in call.headers:
            return reply
        return xml_error("InvalidRange", 416).with_headers(Content_Range=f"bytes */{reply.body.size}")


@dataclass(frozen=True)
class Gzip(Action):
    """The body gzipped though identity was asked for."""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        packed = Body.of(gzip.compress(reply.sent, 1))
        return replace(reply.with_headers(Content_Encoding="gzip"), body=packed, start=0, stop=None)


@dataclass(frozen=True)
class GzipBomb(Action):
    """A small gzipped body that unpacks to so many MiB of zeros."""

    mebibytes: int = 1024

    def _answer(self, call: Call, normal: Normal) -> Reply:
        packed = Body.of(gzip.compress(bytes(1 << 20)) * self.mebibytes)
        return replace(normal(call).with_headers(Content_Encoding="gzip"), body=packed, start=0, stop=None)


@dataclass(frozen=True)
class FlipBit(Action):
    """One bit of the object at this offset arrives the other way round."""

    at: int = 0

    def _answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        return replace(reply, body=replace(reply.body, flipped=self.at))


@dataclass(frozen=True)
class Delay(Action):
    """A good answer, late."""

    seconds: float = 1.0

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.pause(self.seconds)
        wire.send(reply)


@dataclass(frozen=True)
class Stall(Action):
    """Silence after so many body bytes, or before the headers when `after` is None; then the rest."""

    after: int | None = None
    seconds: float = 3600

    def _send(self, wire: Wire, reply: Reply) -> None:
        if self.after is None:
            wire.pause(self.seconds)
            wire.send(reply)
            return
        wire.head(reply)
        wire.body(reply, self.after)
        wire.pause(self.seconds)
        wire.body(replace(reply, start=reply.start + self.after, stop=reply.end))


@dataclass(frozen=True)
class Trickle(Action):
    """The body at so many bytes a second: too slow to be of use, too lively for a read timeout."""

    rate: float = 10

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, rate=self.rate)


@dataclass(frozen=True)
class DripHeaders(Action):
    """The headers one byte at a time."""

    seconds: float = 0.5

    def _send(self, wire: Wire, reply: Reply) -> None:
        for byte in wire.head_bytes(reply):
            wire.write(bytes([byte]))
            wire.pause(self.seconds)
        wire.body(reply)


@dataclass(frozen=True)
class Longer(Action):
    """So many bytes more than the object has: past Content-Length, or chunked."""

    extra: int = 1000
    chunked: bool = False

    def _send(self, wire: Wire, reply: Reply) -> None:
        chunks = itertools.chain(reply.body.chunks(reply.start, reply.end), [b"x" * self.extra])
        wire.hang_up()
        if self.chunked:
            wire.head(reply, "Transfer-Encoding: chunked")
            wire.chunked(chunks)
            return
        wire.head(reply)
        for chunk in chunks:
            wire.write(chunk)


@dataclass(frozen=True)
class RedirectTo(Action):
    """A redirect to this URL (another host, `file:`, a private address); "" leads back to the same URL for ever."""

    url: str = ""
    code: int = 302

    def _answer(self, call: Call, normal: Normal) -> Reply:
        same = f"{getattr(call.hosts, call.host)}{call.path}" + (
            f"?{call.raw_query}" if call.raw_query else ""
        )
        return Reply(self.code, {"Location": self.url or same})


@dataclass(frozen=True)
class EndlessRedirectBody(RedirectTo):
    """A redirect whose own body never ends."""

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply, "Transfer-Encoding: chunked")
        wire.chunked(itertools.repeat(bytes(PAGE)))


@dataclass(frozen=True)
class Raw(Action):
    """These very bytes instead of an answer, then the end of the connection."""

    data: bytes = b""

    def _answer(self, call: Call, normal: Normal) -> Reply:
        return Reply(0)

    def _send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        wire.write(self.data)


GARBAGE = Raw(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")
HUGE_HEADERS = Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n")
MANY_HEADERS = Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 500 + b"Content-Length: 0\r\n\r\n")
TWO_LENGTHS = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello")
NO_ANSWER = Raw(b"")


@dataclass
class Fault:
    """An action waiting for calls that match; `hits` says how often it struck."""

    match: str | re.Pattern[str]
    actions: tuple[Action, ...]
    left: int | None
    hits: int = 0

    def strikes(self, text: str) -> bool:
        """Whether it concerns a call, by part of its text or as a regular expression."""
        if self.left is not None and self.hits >= self.left:
            return False
        if isinstance(self.match, str) and self.match in text:
            return True
        try:
            return bool(re.search(self.match, text))
        except re.error:
            return False

    def answer(self, call: Call, normal: Normal) -> Reply:
        """The reply after every action had its way, the last one outermost."""
        for action in self.actions:
            normal = partial(action._answer, normal=normal)
        return normal(call)

    def send(self, wire: Wire, reply: Reply) -> None:
        """Send it by the first action that sends in its own way."""
        own = [action for action in self.actions if type(action)._send is not Action._send]
        (own or self.actions)[0]._send(wire, reply)


NO_FAULT = Fault("", (Action(),), None)


# --- servers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A request that arrived. `status` is that of the answer, 0 when none was given."""

    host: Host
    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int

    @property
    def query(self) -> dict[str, list[str]]:
        """The query, each name with all its values."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def target(self) -> str:
        """Path and query."""
        return self.path + (f"?{self.raw_query}" if self.raw_query else "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: FakeCivitai, host: Host, port: int) -> None:
        self.site, self.host = site, host
        super().__init__(("127.0.0.1", port), Wire)

    def server_bind(self) -> None:
        """Bind without looking up the name of this machine."""
        self.allow_reuse_address = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the game."""


class Wire(BaseHTTPRequestHandler):
    """One connection: reads requests, and offers actions the ways to answer badly."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _fresh = True

    def setup(self) -> None:
        """Let the site know this connection, so that shutting down can end it."""
        super().setup()
        self.site = self.server.site
        self.site.connections.add(self.connection)

    def finish(self) -> None:
        """Forget it again."""
        self.site.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        """Answer a request: find the fault that strikes it, make the reply, note it down, send it."""
        arrived = time.monotonic()
        call = self._call()
        fault = self.site.strike(call)
        try:
            reply = self._reply(call, fault)
            self.site.note(call, reply, arrived)
            self.pause(self.site.rtt * (2 if self._fresh else 1))
            self._fresh = False
            fault.send(self, reply)
        except OSError:
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def _call(self) -> Call:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        parts = urlsplit(self.path)
        body = self.rfile.read(size)
        return Call(self.server.host, self.site.hosts, self.command, parts.path, parts.query, headers, body)

    def _reply(self, call: Call, fault: Fault) -> Reply:
        try:
            return fault.answer(call, partial(ANSWERS[call.host], self.site.world))
        except Exception:
            self.site.errors.append(traceback.format_exc())
            return json_reply({"message": "An unexpected error", "error": "the fake broke"}, 500)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the site."""
        if seconds > 0 and self.site.stopped.wait(seconds):
            raise ConnectionAbortedError

    def write(self, data: bytes) -> None:
        """Send these bytes now."""
        self.connection.sendall(data)

    def head_bytes(self, reply: Reply, framing: str | None = None) -> bytes:
        """Status line and headers; `framing` replaces the line of Content-Length."""
        lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Unknown')}", f"Date: {http_date(0)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += [f"Content-Length: {reply.length}"] if framing is None else [framing] if framing else []
        lines += ["Connection: close"] if framing == "" else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")

    def head(self, reply: Reply, framing: str | None = None) -> None:
        """Send status line and headers."""
        self.write(self.head_bytes(reply, framing))

    def send(self, reply: Reply) -> None:
        """Send a reply as it should be."""
        if reply.length <= PAGE and not self.site.rate_per_connection:
            self.write(self.head_bytes(reply) + (b"" if self.command == "HEAD" else reply.sent))
        else:
            self.head(reply)
            self.body(reply)

    def body(self, reply: Reply, count: int | None = None, rate: float | None = None) -> None:
        """Send the body, or its first `count` bytes, at most at a rate."""
        if self.command == "HEAD":
            return
        rate = rate or self.site.rate_per_connection
        stop = reply.end if count is None else min(reply.start + count, reply.end)
        step = max(1, min(PAGE, int(rate / 50))) if rate else 4 * PAGE
        began, sent = time.monotonic(), 0
        for chunk in reply.body.chunks(reply.start, stop, step):
            self.write(chunk)
            sent += len(chunk)
            if rate:
                self.pause(began + sent / rate - time.monotonic())

    def chunked(self, chunks: Iterable[bytes], last: bool = True) -> None:
        """Send a body in chunks, with or without the one that ends it."""
        for chunk in chunks:
            self.pause(1e-9)
            self.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if last:
            self.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection after this answer, in an orderly way."""
        self.close_connection = True

    def reset(self) -> None:
        """Reset the connection (RST in place of FIN), once what was written had time to arrive."""
        self.hang_up()
        time.sleep(0.03)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())


class FakeCivitai:
    """The four servers around a world; `with FakeCivitai(world) as site:` starts and stops them.

    `rtt` seconds pass before every answer, twice on the first of a connection, as for a handshake;
    `rate_per_connection` bounds bodies in bytes a second. An error inside the fake fails the `with` block.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        port: int = 0,
        rtt: float = 0.0,
        rate_per_connection: float | None = None,
    ) -> None:
        self.world = world or World()
        self.rtt = rtt
        self.rate_per_connection = rate_per_connection
        self.requests: list[Seen] = []
        self.errors: list[str] = []
        self.faults: list[Fault] = []
        self.connections: set[socket.socket] = set()
        self.stopped = threading.Event()
        self._port = port
        self._lock = threading.Lock()
        self._servers: list[_Server] = []
        self.hosts = Hosts()

    @property
    def url(self) -> str:
        """The site: API, tRPC, download links, pages."""
        return self.hosts.site

    @property
    def storage_url(self) -> str:
        """Signed storage of model files."""
        return self.hosts.storage

    @property
    def image_url(self) -> str:
        """Picture delivery."""
        return self.hosts.image

    @property
    def blob_url(self) -> str:
        """Public blobs."""
        return self.hosts.blob

    def start(self) -> FakeCivitai:
        """Start the four servers."""
        ports: dict[Host, int] = {"site": self._port, "storage": 0, "image": 0, "blob": 0}
        self._servers = [_Server(self, host, port) for host, port in ports.items()]
        urls = {server.host: f"http://127.0.0.1:{server.server_port}" for server in self._servers}
        self.hosts = Hosts(**urls)
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, args=(0.02,), name=f"fake {server.host}", daemon=True
            ).start()
        return self

    def stop(self) -> None:
        """End everything, also answers under way."""
        self.stopped.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> FakeCivitai:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.stop()
        if self.errors and kind is None:
            raise RuntimeError(f"the fake site itself failed:\n{self.errors[0]}")

    def fail(
        self, match: str | re.Pattern[str], action: Action | Sequence[Action], times: int | None = 1
    ) -> Fault:
        """Let the next `times` calls that match go wrong (None: all of them); earlier faults come first.

        `match` is part of, or a pattern for, `host:/path?query`, as in `storage:/` or `site:/api/v1/images`.
        Several actions work together: `[Changed(old), Cut(1000)]` gives the first bytes of another object.
        """
        actions = (action,) if isinstance(action, Action) else tuple(action)
        fault = Fault(match, actions, None if any(each.for_ever for each in actions) else times)
        with self._lock:
            self.faults.append(fault)
        return fault

    def strike(self, call: Call) -> Fault:
        """The fault that this call meets, counted."""
        with self._lock:
            fault = next((fault for fault in self.faults if fault.strikes(call.text)), NO_FAULT)
            if fault is not NO_FAULT:
                fault.hits += 1
            return fault

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self.faults.clear()

    def expire_links(self) -> None:
        """Every storage link given out so far is refused from now on."""
        self.world.link_age += 1

    def note(self, call: Call, reply: Reply, arrived: float) -> None:
        """Write down a request."""
        facts = (
            call.host,
            call.method,
            call.path,
            call.raw_query,
            call.headers,
            call.body,
            arrived,
            reply.status,
        )
        with self._lock:
            self.requests.append(Seen(*facts))

    def seen(self, host: Host | None = None, path_prefix: str = "") -> list[Seen]:
        """The requests so far, of one host and under one path."""
        with self._lock:
            return [s for s in self.requests if host in (None, s.host) and s.path.startswith(path_prefix)]

    def forget(self) -> None:
        """Start the list of requests anew."""
        with self._lock:
            self.requests.clear()


# --- a small world to look at -------------------------------------------------------------------------------


def _demo_picture(world: World, number: int, prompt: str, **more: Any) -> Json:
    meta = {
        "prompt": prompt,
        "negativePrompt": "blurry, lowres",
        "steps": 28,
        "sampler": "Euler a",
        "cfgScale": 6,
        "seed": 777 + number,
        "Size": "832x1216",
        "Model": "harbourMix_v10",
    }
    return {"meta": meta, "data": png_bytes(f"demo {number}", 104, 152, prompt), **more}


DEMO_PROMPTS = (
    "paper lantern, night street, warm light, rain, (reflection:1.2), <lora:paper_lantern_xl:0.8>",
    "1girl, red dress, holding paper lantern, festival, long_hair, bokeh",
    "old harbour at dawn, fishing boats, mist\nBREAK\nwatercolor (medium), soft colors",
    "a cat in a knitted sweater, window seat, autumn leaves, [photo:painting:0.4]",
    "moss covered stone, macro, dew drops, shallow depth of field",
    "提灯、夜祭り、浴衣の少女, detailed background, masterpiece",
)


def demo_world() -> World:
    """Four small models with some twenty pictures, hostile names among them."""
    world = World()
    lantern = world.add_model("Paper Lantern Style", creator="lantern_maker")
    for name, base in (("v1.0", "SD 1.5"), ("v2.0", "SDXL 1.0")):
        version = lantern.add_version(
            name, base_model=base, trained_words=["paper lantern", "night, festival"]
        )
        version.add_file(f"paper_lantern_{'xl' if base == 'SDXL 1.0' else 'sd15'}.safetensors", size=300_000)
        for number, prompt in enumerate(DEMO_PROMPTS[:4]):
            version.add_image(1 if number < 3 else 2, **_demo_picture(world, version.id + number, prompt))
    version.add_image(kind="video", still_for_original=True, width=720, height=720)
    _demo_harbour(world)
    _demo_embedding(world)
    for number, prompt in enumerate(DEMO_PROMPTS):
        world.add_image([version.id], username="gallery_guest", **_demo_picture(world, 900 + number, prompt))
    world.add_image([version.id], username="gallery_guest", meta={"prompt": "secret"}, hidden_meta=True)
    world.add_image(
        [version.id], username="gallery_guest", data=webp_bytes("demo"), meta={"prompt": "webp, lantern"}
    )
    world.add_collection("Lights", [image.id for image in list(world.images.values())[:5]])
    return world


def _demo_harbour(world: World) -> None:
    harbour = world.add_model(
        "Harbour Mix: <the> sea? /final*", "Checkpoint", creator="sea_painter", tags=["base model"]
    )
    version = harbour.add_version("v1.0 | fp16", base_model="SD 1.5", description="<p>First mix.</p>")
    version.add_file("harbourMix_v10.safetensors", size=900_000)
    version.add_file("harbourMix_v10.ckpt", size=910_000)
    version.add_file("harbourMix_v10.yaml", size=400, type="Config")
    version.add_file("harbourMix_v10_trainingData.zip", size=5_000, type="Training Data", needs_token=False)
    for number, prompt in enumerate(DEMO_PROMPTS[2:4]):
        version.add_image(**_demo_picture(world, 500 + number, prompt))


def _demo_embedding(world: World) -> None:
    embedding = world.add_model(
        "提灯の夜 ネガティブ", "TextualInversion", creator="yoru", description=None, tags=["日本語"]
    )
    version = embedding.add_version("版本1.", base_model="SD 1.5", trained_words=["lantern-neg"])
    version.add_file("提灯.safetensors", size=24_000)
    version.add_image(**_demo_picture(world, 600, DEMO_PROMPTS[5]))
    device = world.add_model(
        "Aux", "LORA", creator="lantern_maker", description="<p>A name that Windows dislikes.</p>"
    )
    version = device.add_version("https://civitai.com/models/10001")
    version.add_file("../con.safetensors", size=2_000)
    version.add_file("*.pt", size=3_000, needs_token=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo site until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_civitai", description="A local Civitai to try things on."
    )
    parser.add_argument("--port", type=int, default=0, help="port of the site (default: a free one)")
    options = parser.parse_args(argv)
    with FakeCivitai(demo_world(), port=options.port) as site:
        print(f"site: {site.url}   (key: good-token)", flush=True)
        print(f"a line for models.txt: {site.url}/models/10001", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
