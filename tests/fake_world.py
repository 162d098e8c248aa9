"""What the fake Civitai knows: bytes made on the spot, and plain values for models, versions, files and pictures."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import random
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

Json = dict[str, Any]

PAGE = 64 * 1024
ALL_LEVELS = 31
HASHES = ("AutoV1", "AutoV2", "SHA256", "CRC32", "BLAKE3", "AutoV3")

# --- bytes ------------------------------------------------------------------------------------------------------------


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
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + struct.pack(">I", size + 8) + b"mdat" + _noise(seed, size)
    )


def webm_bytes(seed: int | str, size: int = 600) -> bytes:
    """Bytes that begin like a WebM."""
    return b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + _noise(seed, size)


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


# --- the world --------------------------------------------------------------------------------------------------------


def iso(minutes: float) -> str:
    """A moment as the API writes it, in minutes after New Year 2026."""
    moment = datetime(2026, 1, 1) + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds") + "Z"


def from_now(seconds: float) -> str:
    """A moment as the API writes it, in seconds from now."""
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def millis(moment: str) -> int:
    """A moment of the API in milliseconds since 1970."""
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
    """A version. `early_access` is an ISO deadline or "permanent"; `vae_version` links the VAE of another version."""

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
        return max((millis(version.published) for version in self.versions if version.published), default=0)

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
    #: The host that tRPC takes itself for: `com` shows PG and PG-13 at most.
    trpc_host: Literal["red", "com"] = "red"
    #: How tRPC answers and pages are encoded; "alternate" changes with every answer.
    encoding: Literal["superjson", "devalue", "alternate"] = "superjson"
    trpc_answers: int = 0
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

    def add_collection(self, name: str, items: Iterable[int], *, type: str = "Image", **more: Any) -> FakeCollection:
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

    def build_library(self, models: int = 50, versions: int = 120, files: int = 200, images: int = 3000) -> World:
        """Fill the world with so many things, always the same ones, for tests of scale."""
        for number in range(models):
            words = ("Lantern", "Harbour", "Moss", "Copper", "Winter")
            kind = ("LORA", "Checkpoint", "TextualInversion", "LORA")[number % 4]
            counters = {"downloads": 5000 - number % 40, "thumbs": 300 - number % 30}
            self.add_model(f"{words[number % 5]} {number}", kind, creator=f"maker_{number % 5}", **counters)
        owners = list(self.models.values())[-models:]
        made = [
            owners[i % models].add_version(f"v{1 + i // models}", trained_words=[f"word {i}"]) for i in range(versions)
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
        more = {"creator": creator, "tags": tags, "level": level, "recorded": answer, "mode": answer.get("mode")}
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
            known.version_ids += [number for number in version_ids if number not in known.version_ids]
            return known
        level = entry.get("browsingLevel") or (entry["nsfwLevel"] if isinstance(entry.get("nsfwLevel"), int) else 1)
        more: Json = {"uuid": parts[-3], "level": level, "meta": entry.get("meta"), "post_id": entry.get("postId")}
        more["kind"] = "video" if entry.get("type") == "video" or parts[-1].endswith(".mp4") else "image"
        more["recorded"] = entry if "postId" in entry else None
        more["username"] = entry.get("username") or "gallery_guest"
        return self.add_image(version_ids or entry.get("modelVersionIds") or (), id=number, **more)


# --- a small world to look at -----------------------------------------------------------------------------------------


def _demo_picture(number: int, prompt: str, **more: Any) -> Json:
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
        version = lantern.add_version(name, base_model=base, trained_words=["paper lantern", "night, festival"])
        version.add_file(f"paper_lantern_{'xl' if base == 'SDXL 1.0' else 'sd15'}.safetensors", size=300_000)
        for number, prompt in enumerate(DEMO_PROMPTS[:4]):
            version.add_image(1 if number < 3 else 2, **_demo_picture(version.id + number, prompt))
    version.add_image(kind="video", still_for_original=True, width=720, height=720)
    _demo_harbour(world)
    _demo_embedding(world)
    for number, prompt in enumerate(DEMO_PROMPTS):
        world.add_image([version.id], username="gallery_guest", **_demo_picture(900 + number, prompt))
    world.add_image([version.id], username="gallery_guest", meta={"prompt": "secret"}, hidden_meta=True)
    world.add_image([version.id], username="gallery_guest", data=webp_bytes("demo"), meta={"prompt": "webp, lantern"})
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
        version.add_image(**_demo_picture(500 + number, prompt))


def _demo_embedding(world: World) -> None:
    embedding = world.add_model(
        "提灯の夜 ネガティブ", "TextualInversion", creator="yoru", description=None, tags=["日本語"]
    )
    version = embedding.add_version("版本1.", base_model="SD 1.5", trained_words=["lantern-neg"])
    version.add_file("提灯.safetensors", size=24_000)
    version.add_image(**_demo_picture(600, DEMO_PROMPTS[5]))
    device = world.add_model("Aux", "LORA", creator="lantern_maker", description="<p>A name that Windows dislikes.</p>")
    version = device.add_version("https://civitai.com/models/10001")
    version.add_file("../con.safetensors", size=2_000)
    version.add_file("*.pt", size=3_000, needs_token=True)
