"""The catalogue: what is behind a target. Models and versions, listings of targets, and lists of pictures."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from ..util.errors import Failure, Sentence
from ..util.text import printable, scrub
from .answers import Model, Pages, number_at, object_at, objects_at, read_model, read_version, text_at
from .comparing import check_hash
from .links import archive_link
from .paging import Strangers
from .settings import Settings
from .site import Site
from .targets import Kind, Target
from .which import Merit, merit_of, select

log = logging.getLogger(__name__)

Listing = Iterator[list[Target]]

REFUSALS = ("needs-token", "token-refused", "forbidden")
PRIVATE = "The collection is private or doesn't exist; check the link, or use the token or --cookies of its owner."


class Catalogue:
    """Asks the site what is behind targets. Answers that can't change during a run are kept; all calls are serial."""

    KEPT = 256

    def __init__(self, site: Site, settings: Settings, targets: Sequence[Target]) -> None:
        """`targets` are those of the input lines: what will be asked for anyway is asked for together.

        `settings` say which models fall to this copy; no others are asked for before they are needed.
        """
        self._site, self._settings = site, settings
        self._answers: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()
        self._expected = OrderedDict[int, None]()
        self._expected.update((each.id, None) for each in targets if each.kind == "id")
        self.expect(each.id for each in targets if each.kind == "model")
        digests = dict.fromkeys(each.name.upper() for each in targets if each.kind == "hash" and len(each.name) == 64)
        self._digests = list(digests)[:10_000]
        self._hashes: dict[str, Target] = {}
        self._merits: dict[Target, Merit] = {}

    # --- Models and versions ---

    def resolve(self, target: Target) -> tuple[Model, Target]:
        """Return the model of a target, and the target in its plainest form: a model, or a version of a model.

        A version that the model's own answer leaves out is added to it. Raises Failure when the site has no such thing.
        """
        if target.kind == "id":
            try:
                return self._model(target.id), Target("model", target.id)
            except Failure as failure:
                if failure.reason != "gone":
                    raise
                target = Target("version", version=target.id)
        digest = target.name if target.kind == "hash" else ""
        if digest:
            target = self._of_hash(digest)
        model = self._model(target.id) if target.id else None
        if model is None or (target.version and all(version.id != target.version for version in model.versions)):
            late = self._version(target.version)
            owner = number_at(late, "modelId") or target.id
            if target.id not in (0, owner):
                words = "Version {version} belongs to model {owner}, not to {model}; check the link."
                raise Failure("answer", words, version=target.version, owner=owner, model=target.id)
            model = model or self._model(owner)
            if all(version.id != target.version for version in model.versions):
                model = replace(model, versions=(*model.versions, read_version(late)))
        if digest:
            check_hash(next((each.raw for each in model.versions if each.id == target.version), {}), digest)
        return model, replace(target, kind="model", id=model.id)

    def falls_here(self, target: Target) -> bool:
        """Return whether the model of a target falls to this copy. What the site doesn't have one copy fails to find.

        No more is asked for than that takes. Raises Failure.
        """
        if self._settings.share is None:
            return True
        try:
            return self._settings.has("model", self._model_of(target))
        except Failure as failure:
            number = target.id or target.version or int(target.name[:8], 16)
            if failure.reason == "gone" and not self._settings.has(target.kind, number):
                return False
            raise

    def _model_of(self, target: Target) -> int:
        if target.kind == "id":
            return self.resolve(target)[0].id
        if target.kind == "hash":
            target = self._of_hash(target.name)
        return target.id or number_at(self._version(target.version), "modelId")

    def expect(self, ids: Iterable[int]) -> None:
        """Ask for these models together with the next one of them that is not remembered."""
        for model_id in ids:
            if model_id and ("model", model_id) not in self._answers and self._settings.has("model", model_id):
                self._expected[model_id] = None

    def doubt(self, target: Target, page: str) -> None:
        """Ask anew, next time, for what is known of a target that failed; `page` is `model/<id>` if it has a model."""
        named = re.fullmatch(r"model/([0-9]+)", page)
        self._site.doubt(target, int(named[1]) if named else target.id if target.kind in ("model", "id") else 0)

    def type_of_version(self, version_id: int) -> str:
        """Return the type of a version's model in lower case, for example `lora`. Raises Failure."""
        return text_at(object_at(self._version(version_id), "model"), "type").lower()

    def _remember(self, kind: Kind, thing_id: int, answer: dict[str, Any]) -> None:
        """Keep an answer until `KEPT` later ones have come."""
        self._answers[kind, thing_id] = answer
        if len(self._answers) > self.KEPT:
            self._answers.popitem(last=False)

    def _once(self, kind: Kind, thing_id: int, ask: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """Return the answer about a thing, which is asked for unless it is remembered."""
        if (kind, thing_id) not in self._answers:
            self._remember(kind, thing_id, ask(thing_id))
        return self._answers[kind, thing_id]

    def _model(self, model_id: int) -> Model:
        """Return a model; those that will be visited next are asked for in the same request."""
        if ("model", model_id) not in self._answers:
            self._expected.pop(model_id, None)
            others = [self._expected.popitem(last=False)[0] for _ in range(min(99, len(self._expected)))]
            if others:
                with suppress(Failure):  # each is asked for by itself, then
                    for answer in self._site.models_by_id([model_id, *others]):
                        self._remember("model", number_at(answer, "id"), answer)
        return read_model(self._once("model", model_id, self._site.model))

    def _version(self, version_id: int) -> dict[str, Any]:
        """Return the answer about a version, which names its model."""
        return self._once("version", version_id, self._site.version)

    def _of_hash(self, digest: str) -> Target:
        """Return the version with a file of this hash; the SHA256 of all lines are asked for in one request."""
        digests, self._digests = self._digests, []
        if len(digests) > 1:
            with suppress(Failure):  # each is asked for by itself, then
                found = self._site.versions_by_sha256(digests, least=2)
                self._hashes = {each: targets[0] for each, targets in found.items() if len(targets) == 1}
            self.expect(target.id for target in self._hashes.values())
        if digest.upper() in self._hashes:
            return self._hashes[digest.upper()]
        answer = self._by_hash(digest)
        target = Target("version", version=number_at(answer, "id"))
        self._remember("version", target.version, answer)
        return target

    def _by_hash(self, digest: str) -> dict[str, Any]:
        """Return the version with a file of this hash, which may be of any kind that the site knows.

        Twelve digits may be the first ones of a SHA256, of which the site knows ten; the whole of it is compared.
        """
        try:
            return self._site.version_by_hash(digest)
        except Failure as failure:
            if failure.reason != "gone" or len(digest) != 12:
                raise
            answer = self._site.version_by_hash(digest[:10])
            whole = (text_at(object_at(file, "hashes"), "SHA256").lower() for file in objects_at(answer, "files"))
            if not any(each.startswith(digest) for each in whole):
                raise
            return answer

    # --- Listings of targets ---

    def listing(self, target: Target, settings: Settings) -> Listing:
        """Yield pages of the wanted targets behind a user, tag or collection.

        Raises Failure when there is no such thing.
        """
        return select(self._whole_listing(target, settings), settings, self._merit)

    def _merit(self, target: Target) -> Merit:
        """Return what is known of a listed thing; a model of which its list told too little is asked for."""
        if target not in self._merits and target.kind == "model":
            with suppress(Failure):  # its visit will say so
                self._merits[target] = merit_of(self._model(target.id).raw)
        return self._merits.get(target, Merit())

    def _whole_listing(self, target: Target, settings: Settings) -> Listing:
        if target.kind == "tag":
            return self._models_with_tag(target.name, settings)
        if target.kind == "collection":
            return self._members_of_collection(target.id, settings)
        if target.part == "posts":
            return self._posts_of_user(target.name, settings)
        return self._models_of_user(target.name) if target.part in ("", "models") else iter(())

    def _models_of_user(self, name: str) -> Listing:
        """Yield a creator's models without a hole: each of the three lists leaves out others.

        The REST list with `nsfw` leaves out models flagged minor, without it those above PG; the site's own list has
        what both lack. An unknown name has a 404 in the first; another user's models are never taken.
        """
        seen: set[int] = set()
        lists = [self._site.models({"username": name, **nsfw}) for nsfw in ({"nsfw": "true"}, {})]
        faults: list[Failure] = []
        with _no_such_user(name):
            for items in chain.from_iterable(until_fault(each, faults) for each in (*lists, self._own_list(name))):
                fresh = [item for item in items if number_at(item, "id") not in seen]
                seen.update(number_at(item, "id") for item in fresh)
                yield self._targets("model", fresh)
            raise_first(faults)

    def _own_list(self, name: str) -> Pages:
        """Yield pages of the list that the site itself shows; it is left out if this login may not see it."""
        with unless_refused(Sentence("its own list of {user}'s models", user=printable(name))):
            yield from self._site.trpc_pages("model.getAll", {"username": name}, 31)

    def _posts_of_user(self, name: str, settings: Settings) -> Listing:
        """Yield a user's posts; for an unknown name the site answers with everybody's, which are not taken."""
        try:
            for items in self._site.trpc_pages("post.getInfinite", {"username": name}, settings.level):
                yield self._targets("post", items)
        except Strangers as fault:
            if fault.nobodys:
                self._user_id(name)
            raise

    def _models_with_tag(self, name: str, settings: Settings) -> Listing:
        """Yield the models with a tag; for an unknown tag the site answers with every model, which are not taken."""
        try:
            for items in self._site.models({"tag": name, **({} if settings.sfw else {"nsfw": "true"})}):
                yield self._targets("model", items)
        except Strangers as fault:
            if not fault.nobodys:
                raise
            words = "The site has no models with the tag {tag}; check its spelling."
            raise Failure("gone", words, tag=printable(name)) from None

    def _members_of_collection(self, collection_id: int, settings: Settings) -> Listing:
        """Yield the models or posts of a collection; of one of pictures nothing."""
        lists: tuple[tuple[Kind, str], ...] = (("model", "model.getAll"), ("post", "post.getInfinite"))
        for kind, procedure in lists:
            for items in self._members(collection_id, kind, procedure, settings):
                yield self._targets(kind, items)

    def _members(self, collection_id: int, kind: Kind, procedure: str, settings: Settings) -> Pages:
        """Yield pages of the members of a collection if they are of this kind."""
        facts = self.collection(collection_id)
        if text_at(facts, "type").lower() == kind:
            total = self._site.total_of_collection(collection_id, facts)
            yield from self._site.trpc_pages(procedure, {"collectionId": collection_id}, settings.level, total)

    def _targets(self, kind: Kind, items: Sequence[dict[str, Any]]) -> list[Target]:
        """Return listed things as targets; a whole model is remembered, others are asked for together later."""
        for item in items:
            if item.get("modelVersions") and not self._site.is_kept(number_at(item, "id")):
                self._remember(kind, number_at(item, "id"), item)
            elif kind == "model":
                self.expect([number_at(item, "id")])
        targets = [Target(kind, number_at(item, "id")) for item in items]
        told = zip(targets, items, strict=True)
        self._merits |= {each: merit_of(item) for each, item in told if kind != "model" or item.get("modelVersions")}
        return targets

    def collection(self, collection_id: int) -> dict[str, Any]:
        """Return a collection's own data. Raises Failure when it is private or does not exist."""
        return self._once("collection", collection_id, self._ask_collection)

    def _ask_collection(self, collection_id: int) -> dict[str, Any]:
        """Ask for a collection's own data. The site answers with null for one that is private."""
        try:
            found = self._site.one("collection.getById", collection_id, "collection", "collection")
        except Failure as failure:
            raise Failure("gone", PRIVATE) if failure.reason == "gone" else failure from None
        if not self._site.has_token and all(kind != "collection" for kind, _ in self._answers):  # it is said once
            log.warning("Without a token the site shows only PG content in collections; pass one with --token.")
        return found

    # --- Lists of pictures ---

    def pictures_of_user(self, target: Target, settings: Settings) -> Pages:
        """Yield pages of a user's pictures and videos. Raises Failure when there is no such user."""
        kind = {"images": "image", "videos": "video"}.get(target.part, "")
        query = {"browsingLevel": settings.level, **({"type": kind} if kind else {})}
        has_plain_name = re.fullmatch(r"[A-Za-z0-9_]+", target.name)
        user = {"username": target.name} if has_plain_name else {"userId": self._user_id(target.name)}
        found = self._site.images({**user, **query}, user=target.name)
        first = next(found, [])
        if not first and has_plain_name:
            self._user_id(target.name)
        yield first
        yield from found

    def _user_id(self, name: str) -> int:
        """Return a user's id. Raises Failure when there is no such user."""
        with _no_such_user(name):
            if user_id := self._site.user_id(name):
                return user_id
        raise _unknown_user(name)

    def pictures_of_collection(self, collection_id: int, settings: Settings) -> Pages:
        """Yield pages of the pictures of a collection; of one of models or posts nothing."""
        return self._members(collection_id, "image", "image.getInfinite", settings)

    def pictures_of_post(self, post_id: int, settings: Settings) -> tuple[Pages, dict[str, Any], list[int], bool]:
        """Return a post's pictures in the author's order, the post, the ids of the pictures, and whether that is all.

        REST has the prompts; the inner interface has text and order, and the pictures that the REST index lacks. What
        is wrong with either list is raised behind the pictures.
        """
        faults: list[Failure] = []
        query = {"postId": post_id, "browsingLevel": settings.level}
        listed = until_fault(self._site.images(query), faults)
        known = {number_at(item, "id"): item for page in listed for item in page}
        post: dict[str, Any] = {}
        with unless_refused(Sentence("the text of post {post}", post=post_id), needed=not known):
            post = self.post(post_id)
        order = until_fault(self._own_order_of_post(post_id, settings), faults)
        items = [known.pop(number_at(item, "id"), {}) or item for page in order for item in page]
        items += [known[image_id] for image_id in sorted(known)]
        if not items and number_at(post, "imageCount") > 0:
            words = "The site lists none of the pictures of post {post}; try again later."
            faults.append(Failure("answer", words, post=post_id))
        return _then_fault(items, faults), post, [number_at(item, "id") for item in items], not faults

    def _own_order_of_post(self, post_id: int, settings: Settings) -> Pages:
        """Yield pages of a post's pictures as the site lays them out; nothing if this login may not see them."""
        with unless_refused(Sentence("the order of the pictures of post {post}", post=post_id)):
            yield from self._site.trpc_pages("image.getInfinite", {"postId": post_id}, settings.level)

    def post(self, post_id: int) -> dict[str, Any]:
        """Return a post's own data. Raises Failure when there is no such post."""
        return self._site.one("post.get", post_id, "post")


def until_fault(found: Pages, faults: list[Failure]) -> Pages:
    """Yield pages; what goes wrong ends them and is added to `faults`."""
    try:
        yield from found
    except Failure as failure:
        faults.append(failure)


def raise_first(faults: Sequence[Exception]) -> None:
    """Raise the first fault, if there is one."""
    if faults:
        raise faults[0]


def _then_fault(items: list[dict[str, Any]], faults: Sequence[Failure]) -> Pages:
    yield items
    raise_first(faults)


def _unknown_user(name: str) -> Failure:
    """Return the failure of a user who is unknown, or who shows nothing."""
    words = "The site has no user {name}, or that user has published nothing; check the name."
    return Failure("gone", words, name=printable(name))


@contextmanager
def _no_such_user(name: str) -> Iterator[None]:
    """Name the user where the site only says "not found"."""
    try:
        yield
    except Failure as failure:
        raise _unknown_user(name) if failure.reason == "gone" else failure from None


@contextmanager
def unless_refused(what: str, *, needed: bool = False) -> Iterator[None]:
    """Continue with a warning where the site refuses something to this login, unless it is needed."""
    try:
        yield
    except Failure as failure:
        if needed or failure.reason not in (*REFUSALS, "gone"):
            raise
        log.warning("The site does not provide %s: %s", what, failure)


@contextmanager
def unless_archived(source: str) -> Iterator[None]:
    """For a link to the archive of the site, say that the archive may still have what the site no longer has."""
    try:
        yield
    except Failure as failure:
        link = archive_link(source)
        if not link or failure.reason != "gone":
            raise
        words = "The site no longer has this; {link} may still have it."
        raise Failure("in-archive", words, link=scrub(link)) from None
