"""Plain records of files, pictures, posts and collections, and the moments in them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from .content import Body, mp4_bytes, png_bytes

Json = dict[str, Any]


def iso(minutes: float) -> str:
    """Return the moment so many minutes after New Year 2026, as the API writes it."""
    moment = datetime(2026, 1, 1) + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds") + "Z"


def from_now(seconds: float) -> str:
    """Return the moment so many seconds from now, as the API writes it."""
    moment = datetime.fromtimestamp(time.time() + seconds, timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def millis(moment: str) -> int:
    """Return a moment of the API in milliseconds since 1970."""
    whole = datetime.fromisoformat(moment[:19]).replace(tzinfo=timezone.utc)
    fraction = re.match(r"\.(\d+)", moment[19:])
    return int(whole.timestamp()) * 1000 + (int(fraction[1].ljust(3, "0")[:3]) if fraction else 0)


@dataclass(eq=False)
class FakeFile:
    """A file of a version. `hashes` and `size_kb` override what is published; "" as `etag` or `modified` omits it."""

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
        """The hashes in answers. Generated files above 64 MiB have none because computing them takes too long."""
        if self.hashes is not None:
            return self.hashes
        return {} if self.body.size > 64 * 1024 * 1024 else dict(self.body.hashes)


@dataclass(eq=False)
class FakeImage:
    """A picture or video in the showcase of a version, in galleries and in a post.

    `still_for_original` marks a video for which plain `original=true` gives a still picture and only
    `original=true,quality=100` gives the video. With `still_always` nothing gives the video, with `no_still` nothing
    gives a still of it (404).
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
    blurhash: str = ""
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
    no_still: bool = False
    recorded: Json | None = None

    @property
    def data(self) -> bytes:
        """The stored original."""
        if self.content is None:
            self.content = mp4_bytes(self.id) if self.kind == "video" else png_bytes(self.id)
        return self.content

    @property
    def shown_hash(self) -> str:
        """The BlurHash that the site tells, which for most pictures here is none that can be read."""
        unreadable = "U00000fQfQfQfQfQfQfQfQfQfQfQfQfQfQfQ" if self.kind == "video" else f"U9ABC~{self.id}"
        return self.blurhash or unreadable

    @property
    def shown_meta(self) -> Json | None:
        """The metadata that others may see."""
        return None if self.hidden_meta else self.meta


@dataclass(eq=False)
class FakePost:
    """A post. Its pictures are in the order of `images`, which only tRPC reveals."""

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
    """A collection of the ids of models, posts or images, depending on `type`."""

    id: int
    name: str
    username: str
    type: str = "Image"
    items: list[int] = field(default_factory=list)
    description: str | None = None
    read: str = "Public"
