"""The site: its interfaces, and the only one who knows the token."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlsplit

import requests

from .. import __version__
from ..util.addresses import Reach
from ..util.clock import Clock
from ..util.errors import Busy, Failure, Sentence, Unreachable
from ..util.http import Call, HttpRules, Refused
from ..util.kept import KeptAnswers
from ..util.names import long_path
from ..util.pace import Patience, Surrender
from ..util.text import host_of
from .answers import File, Pages, image_of_page, list_at, number_at, object_at, objects_at, text_at, unwrap
from .comparing import Expected, check_hash, check_id, has_hash, is_model, is_user, item_with, never, total_of
from .interfaces import (
    batch_path,
    by_hash,
    image_path,
    inner_path,
    paths_about,
    rest_path,
    told_by,
    versions_in,
    whole_picture,
)  # fmt: skip
from .manners import http_for, paces_for
from .paging import Question, Worth, pages
from .refusals import explain, is_lost_for_now, is_paging_cap
from .settings import Settings
from .targets import HOSTS, MATURE_SITE, SITE, Target

AGENT = f"civitai-downloader/{__version__} (+https://github.com/civitai-downloader/civitai-downloader)"
# Where pictures are when no answer shows it: the host, and the folder that all links of 2026 begin with.
DELIVERY = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
# How many calls of the inner interface go into one request, and what a link may not be longer than (the site's own).
BATCH, LONGEST_LINK = 20, 2083

log = logging.getLogger(__name__)


def _basic(login: str) -> str:
    """Return the `Authorization` header for a NAME:PASSWORD, or ""."""
    return f"Basic {b64encode(login.encode()).decode()}" if login else ""


class Site:
    """The site's REST interface and its files: paced, patient, and the only one who knows the token."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """`settings` are those of the run, not of a line; answers are kept for a day in its output folder."""
        self._doors = (settings.site.rstrip("/"),) if settings.site else (SITE, MATURE_SITE)
        key = f"Bearer {settings.token}" if settings.token else _basic(settings.site_login)
        self._login = {name: each for name, each in (("Authorization", key), ("Cookie", settings.cookies)) if each}
        own = self._doors if settings.site else [f"https://{host}" for host in HOSTS]
        self._own = {urlsplit(link)[:2] for link in own}
        homes = [urlsplit(door).hostname or "" for door in self._doors]
        rules = HttpRules(
            agent=AGENT, sign=self._sign, final=is_paging_cap, passing=is_lost_for_now,
            reach=Reach(homes, named=bool(settings.site)), secrets=settings.secrets, warn=log.warning,
        )  # fmt: skip
        self.http = http_for(settings, rules, clock)
        self._paces = paces_for(settings, self.http, clock)
        self._surrender, root = Surrender(), long_path(settings.output)
        asker = "\n".join((*self._doors, key, settings.cookies))
        copy = settings.share.name if settings.share else ""
        self.kept = KeptAnswers(root, asker, copy=copy, read_only=settings.dry_run, write_only=settings.asks_anew)
        self.has_token, self.api_requests, self._takes_batches = bool(settings.token), 0, True

    @property
    def host(self) -> str:
        """The host that is asked first."""
        return host_of(self._doors[0])

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give token and cookies to the site's own hosts and to nobody else, whatever a redirect says."""
        if urlsplit(request.url or "")[:2] in self._own:
            request.headers.update(self._login)
        return request

    def model(self, model_id: int) -> dict[str, Any]:
        """Return a whole model with all published versions (`/models/{id}`)."""
        answer = self._get(f"/models/{model_id}", worth=lambda answer: is_model(answer, model_id))
        check_id(answer, model_id, "model")
        return answer

    def models_by_id(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return up to 100 models by one request, or by none if all are kept; the list leaves some kinds out."""
        answers = {each: self.kept.get(f"v1/models/{each}") for each in ids}
        if missing := [str(each) for each, answer in answers.items() if not answer]:
            query = {"ids": ",".join(missing), "nsfw": "true", "archived": "true", "limit": 100}
            for answer in objects_at(self._get("/models", query, worth=never), "items"):
                if number_at(answer, "id") in answers:
                    answers[number_at(answer, "id")] = answer
                    if list_at(answer, "modelVersions"):
                        self.kept.put(f"v1/models/{number_at(answer, 'id')}", answer)
        return [answer for answer in answers.values() if isinstance(answer, dict)]

    def doubt(self, target: Target, model_id: int) -> None:
        """Ask anew next time for what is known of a target that failed, and of its model, even where a list has it."""
        if model_id:
            self.kept.put(f"v1/models/{model_id}", False)
        for path in paths_about(target):
            if self.kept.get(path):
                self.kept.put(path, False)

    def is_kept(self, model_id: int) -> bool:
        """Return whether something is kept of a model itself, which counts more than a list: its answer, or a doubt."""
        return self.kept.get(f"v1/models/{model_id}") is not None

    def models(self, query: Mapping[str, Any]) -> Pages:
        """Yield pages of `/models?…` in an order that loses nothing between two pages (`Newest` does)."""
        at = partial(rest_path, "/models", {**query, "archived": "true"})
        return pages(Question("models", at, self._rest, self._forget, 100, Expected.of(query)))

    def version(self, version_id: int) -> dict[str, Any]:
        """Return one version, which names its model in `modelId` (`/model-versions/{id}`)."""
        path = f"/model-versions/{version_id}"
        answer = self._get(path, worth=lambda answer: number_at(answer, "id") == version_id)
        check_id(answer, version_id, "version")
        return answer

    def version_by_hash(self, digest: str) -> dict[str, Any]:
        """Return the earliest published version with a file of this hash (`/model-versions/by-hash/{hash}`)."""
        path = f"/model-versions/by-hash/{digest}"
        answer = self._get(path, worth=lambda answer: number_at(answer, "id") > 0 and has_hash(answer, digest))
        check_hash(answer, digest)
        return answer

    def versions_by_sha256(self, digests: Sequence[str], least: int = 1) -> dict[str, list[Target]]:
        """Return the versions with files of these SHA256, by one request, or by none if fewer than `least` aren't kept.

        The hashes are in upper case, at most 10,000. Those that the site does not know are left out. Raises Failure.
        """
        kept = {digest: self.kept.get(f"v1/sha256/{digest}") for digest in digests}
        missing = [digest for digest, answer in kept.items() if not answer]
        if len(missing) >= least:
            rows = self._request("v1/model-versions/by-hash/ids", door=self._doors[0], body=missing)
            for digest, found in by_hash(rows, missing).items():
                kept[digest] = found
                self.kept.put(f"v1/sha256/{digest}", found)
        return versions_in(kept)

    def usage_of(self, digests: Sequence[str]) -> dict[int, str]:
        """Return how versions with files of these SHA256 may be used (`Download`, `Generation`, …), by their ids."""
        rows = {"rows": self._request("v1/model-versions/by-hash", door=self._doors[0], body=list(digests)[:100])}
        return {number_at(row, "id"): text_at(row, "usageControl") or "Download" for row in objects_at(rows, "rows")}

    def needs_token(self, version_id: int) -> bool:
        """Return whether the version's files ask for a login (`/model-versions/mini/{id}`)."""
        return self._get(f"/model-versions/mini/{version_id}").get("requireAuth") is True

    def images(self, query: Mapping[str, Any], limit: int | None = None, user: str = "") -> Pages:
        """Yield pages of `/images?…` with prompts: the most liked first, or, without a limit, all of them by age.

        Oldest first keeps the offsets of the following pages stable while new pictures arrive. `user` is whose
        pictures are asked for by number.
        """
        expected, order = Expected.of({"username": user, **query}), "Oldest" if limit is None else "Most Reactions"
        at = partial(rest_path, "/images", {**query, "withMeta": "true"})
        return pages(Question("pictures", at, self._rest, self._forget, 200, expected, limit, order))

    def image(self, image_id: int) -> dict[str, Any]:
        """Return one picture with its prompt, from `/images?imageId=`, else tRPC `image.get`, else its page.

        Older deployments ignored `imageId`, so the id is compared. Raises Failure when nobody knows it.
        """
        path, doors = image_path(image_id), self._doors
        found = item_with(self._ask(path, doors, worth=lambda answer: bool(item_with(answer, image_id))), image_id)
        if found is None:
            try:
                found = self.one("image.get", image_id, "picture")
            except Failure:
                link = self.page_url(f"/images/{image_id}")
                with suppress(Failure), closing(self.open(link, {}, Patience())) as page:
                    found = image_of_page(self.http.text(page), image_id)
                if found is None:
                    raise
        return self.with_link(found)

    def one(self, procedure: str, thing_id: int, what: str, key: str = "") -> dict[str, Any]:
        """Return what the inner interface tells of one thing, at a key of its answer or as the answer itself."""

        def named(answer: Any) -> dict[str, Any]:
            """Return the thing in the answer."""
            return object_at(answer, key) if key else answer

        answer = self.trpc(procedure, {"id": thing_id}, worth=lambda data: number_at(named(data), "id") == thing_id)
        found = named(answer)
        if not found:
            raise Failure("gone", "The site has no {what} {id}; check the link.", what=Sentence(what), id=thing_id)
        check_id(found, thing_id, what)
        return found

    def user_id(self, name: str) -> int:
        """Return a user's id, 0 if the site tells none. Raises Failure."""
        user = self.trpc("user.getCreator", {"username": name}, worth=lambda answer: is_user(answer, name))
        return number_at(user, "id") if is_user(user, name) else 0

    def total_of_collection(self, collection_id: int, facts: Mapping[str, Any]) -> int | None:
        """Return how many things are in a collection, as its own data or the REST interface tell; None if not."""
        path, total = f"/collections/{collection_id}", total_of(facts, collection_id)
        if total is None:
            try:
                facts = self._get(path, worth=lambda answer: total_of(answer, collection_id) is not None)
            except Failure as failure:
                if failure.reason == "gone":  # it is shown by the inner interface alone, which is remembered
                    self.kept.put(rest_path(path, {}), {"id": collection_id})
            total = total_of(facts, collection_id)
        return total

    def trpc(self, procedure: str, query: Mapping[str, Any], worth: Worth = bool) -> dict[str, Any]:
        """Return the answer of the site's inner interface, for what REST does not give; {} if it is no object.

        It wants a key or a Referer of its own host. Without a login lists show PG only; with one everything, but only
        on the host that shows mature things.
        """
        return self._inner(inner_path(procedure, query), worth)

    def _inner(self, path: str, worth: Worth) -> dict[str, Any]:
        """Return what an answer of the inner interface holds, which is unpacked only once."""
        told: list[dict[str, Any]] = []

        def judge(answer: Any) -> bool:
            """Unpack an answer of the site and return whether it is worth keeping."""
            told.append(told_by(answer))
            return worth(told[0])

        answer = self._ask(path, self._doors[-1:], worth=judge)
        return told[0] if told else told_by(answer)

    def trpc_batch(self, procedure: str, queries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any] | Failure]:
        """Yield, in order, the answers to calls of one procedure, or what went wrong with each; nothing is kept.

        They go together in requests of up to 20. A server that does not know batches is asked one by one from then on.
        """
        at = 0
        while at < len(queries):
            path, size = batch_path(procedure, queries[at : at + BATCH], LONGEST_LINK - len(f"{self._doors[-1]}/api/"))
            answers = self._ask_together(path, size) if self._takes_batches and size > 1 else None
            if answers is None:
                answers, size = [None], 1
            for query, answer in zip(queries[at : at + size], answers, strict=True):
                yield self._ask_alone(procedure, query) if answer is None else answer
            at += size

    def _ask_together(self, path: str, size: int) -> list[dict[str, Any] | Failure | None] | None:
        """Return the answer to each call of a batch, None for one to be asked alone; None if the server knows none."""
        answer: Any = None
        try:
            answer = self._request(path, door=self._doors[-1])
        except Refused as refused:
            with suppress(ValueError, RecursionError):
                answer = json.loads(refused.body)  # a list, if all calls failed in the same way
            if not isinstance(answer, list) and refused.status not in (400, 404, 405, 414):
                return [explain(refused, has_token=self.has_token)] * size
        except Failure as failure:
            return [failure] * size
        if isinstance(answer, list) and len(answer) == size:
            return [self._member(each) for each in answer]
        self._takes_batches = False
        log.debug("The site doesn't accept several calls in one request; asking one by one.")
        return None

    def _member(self, answer: Any) -> dict[str, Any] | Failure | None:
        """Return one answer of a batch, or what it failed with; None if that may pass, as for a busy server."""
        try:
            if isinstance(answer, dict) and "error" in answer:
                status = number_at(object_at(unwrap(answer["error"]), "data"), "httpStatus")
                passes = status in (0, 408, 429) or status >= 500
                refused = Refused(status, {}, json.dumps(answer).encode(), self._doors[-1])
                return None if passes else explain(refused, has_token=self.has_token)
            data = unwrap(object_at(answer, "result").get("data"))
        except Failure as failure:
            return failure
        return data if isinstance(data, dict) else {}

    def _ask_alone(self, procedure: str, query: Mapping[str, Any]) -> dict[str, Any] | Failure:
        try:
            return self.trpc(procedure, query, never)
        except Failure as failure:
            return failure

    def trpc_pages(self, procedure: str, query: Mapping[str, Any], level: int, total: int | None = None) -> Pages:
        """Yield pages of a tRPC list, oldest first; links of pictures are completed."""
        what = {"image": "pictures", "post": "posts"}.get(procedure.partition(".")[0], "models")
        wanted = {**query, "browsingLevel": level, "sort": "Oldest", "period": "AllTime"}
        at, size = partial(inner_path, procedure, wanted), 200 if what == "pictures" else 100
        expected = Expected.of(query)
        return pages(Question(what, at, self._inner_page, self._forget, size, expected, total=total))

    def _inner_page(self, path: str, worth: Worth) -> dict[str, Any]:
        """Return a page of the inner interface as the REST interface would give it."""
        answer = self._inner(path, worth)
        return {**answer, "items": list(map(self.with_link, objects_at(answer, "items"))), "metadata": answer}

    def _forget(self, path: str) -> None:
        self.kept.put(path, None)

    def with_link(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return a picture of the inner interface, which gives a uuid for a link, with a whole link and a user name."""
        return whole_picture(item, lambda: self._delivery)

    @cached_property
    def _delivery(self) -> str:
        """Host and account of picture links, as they stand in a link of the REST interface."""
        answer = self._get("/images", {"limit": 1, "browsingLevel": 31})
        url = text_at(next(iter(objects_at(answer, "items")), {}), "url")
        folders = url.split("/")
        return "/".join(folders[:4]) if len(folders) > 6 and url.startswith("http") else DELIVERY

    def _get(
        self, path: str, query: Mapping[str, Any] | None = None, *, worth: Worth = lambda answer: bool(answer)
    ) -> dict[str, Any]:
        """Return a JSON object of the REST interface. Raises Failure when the site has none."""
        return self._rest(rest_path(path, query or {}), worth)

    def _rest(self, path: str, worth: Worth) -> dict[str, Any]:
        answer = self._ask(path, self._doors, worth=worth)
        if not isinstance(answer, dict):
            raise Failure("answer", "The site sent data in an unexpected format; try again later.")
        return answer

    def _ask(self, path: str, doors: Sequence[str], *, worth: Worth) -> Any:
        """Return the JSON answer, from the site or as it was kept less than a day ago. Raises Failure.

        What the first front door refuses is asked again at the last one, which may not. `worth` says whether an answer
        is kept: one that holds nothing, or is not an answer to the question, never is.
        """
        if answer := self.kept.get(path):
            return answer
        try:
            answer = self._request(path, door=doors[0])
        except Refused as refused:
            answer = None
            if len(doors) > 1 and refused.status in (401, 403, 404):
                with suppress(Refused):
                    answer = self._request(path, door=doors[-1])
            if answer is None:
                raise explain(refused, has_token=self.has_token) from None
        if worth(answer):
            self.kept.put(path, answer)
        return answer

    def _request(self, path: str, *, door: str, body: Any = None) -> Any:
        """Return the JSON answer to a GET, or to a POST of `body`, each try of which waits for its turn."""
        is_inner = path.startswith("trpc/")
        pace = self._paces["images" if is_inner or path.startswith("v1/images") else "models"]
        interface = "/".join(path.partition("?")[0].split("/")[:2])

        def count() -> None:
            """Count a request that is about to be sent."""
            self.api_requests += 1

        headers = {"Referer": f"{door}/"} if is_inner else {}
        with self._surrender.watching(interface):
            call = Call(f"{door}/api/{path}", headers, body=body, pace=pace, sent=count)
            return self.http.json(call, Patience())

    def file_urls(self, version_id: int, file: File) -> tuple[str, ...]:
        """Return where a file may be had: by its id, at both front doors; a VAE lent by a version also by its type."""
        links = [f"{door}/api/download/models/{version_id}" for door in self._doors]
        by_type = [f"{links[0]}?type=VAE"] if file.type == "VAE" else []
        return (*(f"{link}?fileId={file.id}" for link in links), *by_type)

    def page_url(self, path: str, level: int = 1) -> str:
        """Return a link for people; a page with levels above PG-13 opens on the host that shows them."""
        return self._doors[-1 if level & ~3 else 0] + path

    def open(self, url: str, headers: Mapping[str, str], patience: Patience) -> requests.Response:
        """Open a file or picture at a byte; 416 comes back as an answer. Raises Failure, Stopped."""
        host = "" if "/api/download/" in url else host_of(url)
        try:
            with self._surrender.watching(host):
                response = self.http.open(Call(url, headers, accept=(416,)), patience)
        except Refused as refused:
            if refused.status in (401, 403) and urlsplit(refused.url)[:2] not in self._own:
                raise Unreachable("The storage link expired or was rejected; try again later.") from None
            raise explain(refused, has_token=self.has_token) from None
        except Busy:
            if host:
                raise
            raise Failure("quota", "The site's download quota is used up; wait a few hours and run again.") from None
        if urlsplit(response.url).path == "/login":
            response.close()
            raise explain(Refused(401, {}, b"", url), has_token=self.has_token)
        return response
