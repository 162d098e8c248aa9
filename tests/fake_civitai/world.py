"""A world is everything that the site holds: models with their versions, and switches for its oddities."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from .content import Body
from .records import FakeCollection, FakeFile, FakeImage, FakePost, Json, from_now, iso, millis


@dataclass(eq=False)
class World:
    """Everything that the site holds, and switches for the oddities of the real one."""

    models: dict[int, FakeModel] = field(default_factory=dict)
    versions: dict[int, FakeVersion] = field(default_factory=dict)
    files: dict[int, FakeFile] = field(default_factory=dict)
    images: dict[int, FakeImage] = field(default_factory=dict)
    posts: dict[int, FakePost] = field(default_factory=dict)
    collections: dict[int, FakeCollection] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {"good-token"})
    #: The name of the account behind every token.
    username: str = "archivist"
    #: The file preferences of that account, which replace the site's own when a download names no file.
    preferences: dict[str, str] = field(default_factory=dict)
    #: Picture links contain `width=450`, as in 2023, instead of `original=true`.
    old_image_urls: bool = False
    #: This is `list`, `postgres` ("{Image,Rent}"), `word` ("Image") or `empty` ([]).
    commercial_use_shape: str = "list"
    null_counters: bool = False
    #: How many rows every page except the last lacks.
    short_pages: int = 0
    #: An empty page with a cursor precedes every page of images except the first.
    empty_pages: bool = False
    #: How many rows of a page are repeated on the next one.
    repeated_rows: int = 0
    #: From the second page on, the cursor stays the same for ever.
    looping_cursor: bool = False
    #: The host that `nextPage` names, if not the one that was asked.
    next_page_host: str = ""
    #: The status for images of an unknown user: an empty 200, or a 404.
    unknown_image_user: int = 200
    #: Answers about many hashes contain a null and a duplicate.
    odd_hash_lists: bool = False
    #: Storage links are those of the other provider: another query, JSON errors, no file name in the answer.
    b2_links: bool = False
    content_disposition: bool = True
    link_seconds: int = 86400
    #: `FakeCivitai.expire_links` raises this number, and every link given out before is refused.
    link_age: int = 0
    blacklisted: bool = False
    #: How many downloads are left before a 429.
    quota: int | None = None
    login_needed: bool = False
    #: How many times the look-up in storage still fails, which gives a 404 that is only transient.
    lookup_failures: int = 0
    #: The host that tRPC takes itself for. `com` shows PG-13 at most.
    trpc_host: Literal["red", "com"] = "red"
    #: How answers of tRPC and pages are encoded. "alternate" changes with every answer.
    encoding: Literal["superjson", "devalue", "alternate"] = "superjson"
    trpc_answers: int = 0
    #: How several calls in one request are answered: as the real site does, or as by a server that does not know them,
    #: with an error of this status, the answer to the first call alone, or one answer too few.
    batches: Literal["list", "400", "404", "405", "first", "short"] = "list"
    _uuids: dict[str, FakeImage] = field(default_factory=dict)

    def next_id(self, taken: Mapping[int, object], start: int) -> int:
        """Return the first free number from `start` on."""
        return next(number for number in itertools.count(start + len(taken)) if number not in taken)

    def user_id(self, name: str) -> int:
        """Return the number of a user, who is created if necessary."""
        return self.users.setdefault(name, 42 + len(self.users))

    def find_user(self, name: str) -> str | None:
        """Return the user's name as stored. Like the site, ignore case and odd characters."""
        wanted = re.sub(r"[^a-z0-9_]", "", name.lower().replace(" ", "_", 1))
        return next((user for user in self.users if user.lower() == wanted), None)

    def by_uuid(self, uuid: str) -> FakeImage | None:
        """Return the picture behind a delivery link."""
        return self._uuids.get(uuid)

    def add_model(
        self, name: str = "Paper Lantern Style", type: str = "LORA", *, id: int | None = None, **more: Any
    ) -> FakeModel:
        """Add a model without versions. If `creator` is "", it belongs to the system account."""
        number = id or self.next_id(self.models, 10001)
        model = FakeModel(self, number, name, type, **more)
        self.models[number] = model
        if model.creator:
            self.user_id(model.creator)
        return model

    def add_post(self, *, username: str = "lantern_maker", id: int | None = None, **more: Any) -> FakePost:
        """Add a post. Pictures join it by `add_image(post_id=...)`."""
        number = id or self.next_id(self.posts, 50001)
        more.setdefault("published", iso(number))
        self.user_id(username)
        self.posts[number] = FakePost(number, username, **more)
        return self.posts[number]

    def add_collection(self, name: str, items: Iterable[int], *, type: str = "Image", **more: Any) -> FakeCollection:
        """Add a collection. `items` are ids of the things that `type` names."""
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
        """Add a picture to the galleries of these versions, in its own post unless one is named."""
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
        """Fill the world with this many things, always the same ones, for tests with large libraries."""
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
        """The levels of all versions combined, or what the test set. 0 keeps the model out of every list."""
        if self.level is not None:
            return self.level
        bits = 0
        for version in self.versions:
            bits |= version.nsfw_level
        return bits

    @property
    def date(self) -> int:
        """The moment when its newest version was published, in milliseconds."""
        return max((millis(version.published) for version in self.versions if version.published), default=0)

    def add_version(self, name: str = "v1.0", *, id: int | None = None, **more: Any) -> FakeVersion:
        """Add a version. The newest comes first in answers."""
        number = id or self.world.next_id(self.world.versions, 20001)
        more.setdefault("published", iso(number))
        version = FakeVersion(self.world, self, number, name, **more)
        self.versions.insert(0, version)
        self.world.versions[number] = version
        return version


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
        """The levels of all showcase pictures combined, or what the test set. 0 means not computed yet."""
        if self.level is not None:
            return self.level
        bits = 0
        for image in self.images:
            bits |= image.level
        return bits or 1

    @property
    def locked(self) -> bool:
        """Whether early access is still in force."""
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
        """Add a file: `data`, or `size` generated bytes. `hashed` is False or the kinds of hashes to publish.

        On the site, `needs_token` is a property of the whole version, so it is set there.
        """
        number = more.pop("id", None) or self.world.next_id(self.world.files, 30001)
        size = 1200 + number % 500 if size is None else size
        body = Body.of(data) if data is not None else Body.generated(name, size, f"file {number}")
        first = not any(file.primary for file in self.files)
        file = FakeFile(number, name, body, type, first if primary is None else primary, **more)
        file.metadata = _guessed_metadata(name) if metadata is None else metadata
        if hashed is not True and file.hashes is None:
            file.hashes = {kind: body.hashes[kind] for kind in hashed or () if kind in body.hashes}
        self.needs_token |= needs_token
        self.files.append(file)
        self.world.files[number] = file
        return file

    def add_image(self, level: int = 1, kind: Literal["image", "video"] = "image", **more: Any) -> FakeImage:
        """Add a showcase picture, which is also in the gallery and in the version's own post."""
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
