"""REST"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import traceback
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from .. import __version__
from ..util.clock import DAY, Clock, utc_now
from ..util.errors import Failure, Stopped
from ..util.files import disk_errors, indented, link_or_copy, replace_file, sha256_of, size_of, write_file, write_json
from ..util.logs import NumberMap
from ..util.names import folder_name, real_path, split_name
from ..util.pace import HostDown
from ..util.text import decode_text, printable, scrub, scrub_json
from ..util.transfer import Progress
from .answers import (
    File,
    Image,
    Model,
    flat_meta,
    is_by,
    number_at,
    object_at,
    objects_at,
    read_image,
    read_model,
    read_version,
    text_at,
)
from .choice import LORA_TYPES, choose_versions, versions_used
from .data import read_data
from .fetch import Fetcher, Outcome, Result, receive_queued
from .library import Library, Record
from .pages import description_page, image_facts, keep_known, model_text, post_facts, read_prompt, with_generation
from .places import Wanted, page_folder
from .prompts import Filters
from .settings import Settings
from .shelf import NOT_GIVEN, Album, Shelf, missing_files
from .sidecars import a1111_json, civitai_info, lora_manager_json, sidecar_owners
from .site import Site
from .targets import Entry, Kind, Target

log = logging.getLogger(__name__)


_READ_BY = {"comfyui": (".preview", ".metadata.json"), "a1111": (".preview", ".civitai.info", ".json")}


def sidecar_folder(shelf: Shelf, folder: Path, ending: str) -> Path:
    """Beside the file; in an app's own folders only what the app reads, the rest goes to `.civitai`."""
    read = _READ_BY.get(shelf.settings.layout)
    if read is None or ending in read or ending.startswith(".preview"):
        return folder
    return shelf.lib.at("/".join(shelf.folder))


class Countdown:
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
    tally: Countdown = field(init=False)
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


@contextmanager
def pools(workers: int, clock: Clock) -> Iterator[tuple[Executor, Executor]]:
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
        raise Failure("gone", NO_USER.format(printable(name))) if failure.reason == "gone" else failure from None


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

    def __init__(self, settings: Settings, entries: list[Entry], clock: Clock, filters: Filters) -> None:
        """Read the state log of every output folder."""
        self.settings, self._clock, self.filters = settings, clock, filters
        self.progress = Progress()
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
        self._asked = NumberMap()
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
        self._all = Countdown(self._over.set)
        self._listing = Countdown(self._next_late)
        self._begun, self._begun_at = clock.now(), utc_now()
        for entry in entries:
            self._add_batch(entry)

    def _add_batch(self, entry: Entry, *, listed: bool = False, made_with: bool = False) -> Batch:
        root = entry.settings.output
        library = self.libraries.get(real_path(root))
        if library is None:
            wait = log.info if self.settings.wait else None
            library = Library(root) if self.settings.dry_run else Library.to_write(root, self._clock, wait)
            self.libraries[real_path(root)] = library
        batch = Batch(entry, library, listed, made_with, name=entry.source)
        batch.tally = Countdown(partial(self._settle, batch))
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
        self,
        pool: Executor,
        batch: Batch,
        tallies: tuple[Countdown, ...],
        name: str,
        action: Callable[[], Result | None],
    ) -> None:
        tallies = (*tallies, batch.tally, self._all)
        for tally in tallies:
            tally.open()
        self._queue(pool, batch, tallies, name, action)

    def _queue(
        self,
        pool: Executor,
        batch: Batch,
        tallies: tuple[Countdown, ...],
        name: str,
        action: Callable[[], Result | None],
    ) -> None:
        self._clock.check()
        pool.submit(self._guard, batch, tallies, name, action)

    def _guard(
        self, batch: Batch, tallies: tuple[Countdown, ...], name: str, action: Callable[[], Result | None]
    ) -> None:
        try:
            self._clock.check()
            if result := self._result_of(batch, name, action):
                self._finish(batch, result)
            for tally in tallies:
                tally.close()
        except Stopped:
            return

    def _result_of(self, batch: Batch, name: str, action: Callable[[], Result | None]) -> Result | None:
        try:
            return action()
        except Failure as failure:
            outcome: Outcome = "skipped" if batch.listed and failure.reason in (*NOT_GIVEN, "gone") else "failed"
            return Result(outcome, "page", "", name, reason=failure.reason, message=str(failure))
        except Exception as error:
            if self._clock.stopped:
                raise Stopped from None
            log.error("%s", scrub(traceback.format_exc()))
            words = scrub(f"{type(error).__name__}: {error}")
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
                fresh = [item for item in items if number_at(item, "id") not in seen and is_by(item, name)]
                seen.update(number_at(item, "id") for item in fresh)
                whole = (item if item.get("modelVersions") else None for item in fresh)
                yield [
                    (Target("model", number_at(item, "id")), answer) for item, answer in zip(fresh, whole, strict=True)
                ]
        with unless_refused(f"{name}: the site's own list"):
            for items in self.site.trpc_pages("model.getAll", {"username": name}, 100, 31):
                fresh = [item for item in items if number_at(item, "id") not in seen and is_by(item, name)]
                seen.update(number_at(item, "id") for item in fresh)
                yield [(Target("model", number_at(item, "id")), None) for item in fresh]

    def _posts_of_user(self, name: str, settings: Settings) -> Found:
        """A user's posts; for an unknown name the site answers with everybody's, which are not taken."""
        for items in self.site.trpc_pages("post.getInfinite", {"username": name}, 100, settings.level):
            if items and not any(is_by(item, name) for item in items):
                raise Failure("gone", NO_USER.format(printable(name)))
            yield [(Target("post", number_at(item, "id")), None) for item in items if is_by(item, name)]

    def _tagged(self, name: str, settings: Settings) -> Found:
        """The models with a tag; for an unknown tag the site answers with every model, which are not taken."""
        for items in self.site.models({"tag": name, **({} if settings.sfw else {"nsfw": "true"})}):
            tagged = [item for item in items if name.casefold() in (each.casefold() for each in read_model(item).tags)]
            if items and not tagged:
                raise Failure("gone", f"The site has no models with the tag {printable(name)}; check its spelling.")
            yield [(Target("model", number_at(item, "id")), item) for item in tagged]

    def _collected(self, collection_id: int, settings: Settings) -> Found:
        """The models or posts of a collection; of one of pictures nothing."""
        procedures: dict[str, tuple[str, Kind]] = {
            "Model": ("model.getAll", "model"),
            "Post": ("post.getInfinite", "post"),
        }
        kind = text_at(self.collection(collection_id), "type")
        if kind not in procedures:
            return
        procedure, child = procedures[kind]
        for items in self.site.trpc_pages(procedure, {"collectionId": collection_id}, 100, settings.level):
            yield [(Target(child, number_at(item, "id")), None) for item in items]

    def collection(self, collection_id: int) -> dict[str, Any]:
        """A collection's own data; raises Failure when it is private or not there."""
        key = ("collection", collection_id)
        if key not in self._answers:
            answer = self.site.trpc("collection.getById", {"id": collection_id})
            found = object_at(answer, "collection")
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
        batch.name = printable(f"{model.name} [{model.id}]")
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
        kind = text_at(object_at(self._version(target.version), "model"), "type").lower()
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
            model = self._model(number_at(late, "modelId") or target.id)
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
        self._remember(("version", number_at(answer, "id")), answer)
        return Target("version", version=number_at(answer, "id"))

    def _model(self, model_id: int) -> Model:
        """A model; those that will be visited next are asked for in the same request."""
        key = ("model", model_id)
        if key not in self._answers:
            self._expected.pop(model_id, None)
            others = [self._expected.popitem(last=False)[0] for _ in range(min(99, len(self._expected)))]
            if others:
                with suppress(Failure):  # each is asked for by itself, then
                    for answer in self.site.models_by_id([model_id, *others]):
                        self._remember(("model", number_at(answer, "id")), answer)
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
        write_json(library.at(library.place(folder, "model.json")), scrub_json(model.raw))
        words = scrub(model_text(model, url)).encode("utf-8", "replace")
        write_file(library.at(library.place(folder, "model.txt")), words)
        page = description_page(model, url, read_data("description.html")).encode("utf-8", "replace")
        write_file(library.at(library.place(folder, "description.html")), page)
        return "/".join(folder)

    def _start(self, batch: Batch, target: Target, shelf: Shelf) -> None:
        """Submit what belongs to one version: its preview first, then its files, pictures and gallery."""
        settings, album = shelf.settings, shelf.album()
        files = shelf.wanted_files(self.site, target)
        sidecars = partial(self._write_sidecars, batch, shelf, files)
        group = Countdown(lambda: self._submit(self._metadata, batch, (), batch.name, sidecars))
        group.open()
        if unusable := len(objects_at(shelf.version.raw, "images")) - len(shelf.version.images):
            log.warning("%s: %d pictures without a usable link were left out.", album.name, unusable)
        preview = shelf.preview()
        if preview is not None and settings.only != "metadata":
            self._want(batch, album.wanted(preview, batch.lib, batch.entry.source), (group,))
        if settings.wants_files:
            missing = missing_files(shelf, target, files, listed=batch.listed)
            for failure in missing:
                self._finish(batch, failure)
            for _, wanted in [] if missing else files:
                self._want(batch, wanted, (group,))
        group.close()
        if settings.wants_images:
            for image in shelf.previews():
                self._want(batch, album.wanted(image, batch.lib, batch.entry.source), ())
        if settings.only != "models":
            self._ask(batch, lambda: self._walk(batch, self._gallery(batch, shelf)))

    def _gallery(self, batch: Batch, shelf: Shelf) -> Iterator[None]:
        """A version's gallery; then the showcase pictures it did not have, and the posts these belong to."""
        settings, version = shelf.settings, shelf.version
        showcase = {image.id for image in shelf.previews()}
        listed: dict[int, dict[str, Any]] = {}

        def note(item: dict[str, Any]) -> None:
            """Remember which showcase pictures the gallery has."""
            if number_at(item, "id") in showcase:
                listed[number_at(item, "id")] = item

        if settings.gallery and settings.max_images != 0:
            query = {"modelVersionId": version.id, "browsingLevel": settings.level}
            yield from self._show(batch, shelf.album(self.site.images(query, settings.max_images)), note)
        album = shelf.album()
        for image in shelf.previews():
            if image.id not in listed and batch.lib.size(self._prompt_path(batch, album, image.id)) is None:
                self._write_prompt(batch, album, image)
        shown = [listed[image.id] for image in shelf.previews() if image.id in listed]
        for post_id in dict.fromkeys(number_at(item, "postId") for item in shown if is_by(item, shelf.model.creator)):
            order = [number_at(item, "id") for item in shown if number_at(item, "postId") == post_id]
            path = batch.lib.place(shelf.folder, f"post-{post_id}.json")
            if post_id and (settings.refresh or not batch.lib.at(path).is_file()):
                self._ask(batch, partial(self._write_post, batch, path, post_id, order))

    def _write_post(self, batch: Batch, path: str, post_id: int, images: list[int]) -> None:
        """`post-<id>.json` beside a version whose showcase is a post of its creator."""
        with unless_refused(f"post {post_id}: its text"):
            post = self.site.trpc("post.get", {"id": post_id})
            page = self.site.page_url(f"/posts/{post_id}")
            facts = post_facts(post, post_id, page, images)
            write_json(batch.lib.at(path), scrub_json(facts))

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
            self._want(batch, album.wanted(image, batch.lib, batch.entry.source), ())
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
        write_json(library.at(path), scrub_json(facts))
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
        facts = scrub_json(image_facts(image, page, self.filters))
        write_json(path, keep_known(facts, read_prompt(path)))

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
        name = (text_at(first[0], "username") if first else "") or target.name
        folder = ("users", folder_name(name), "images")
        yield
        yield from self._show(batch, Album(printable(name), folder, chain([first], found)))

    def _user_query(self, name: str, *, by_id: bool = False) -> dict[str, Any]:
        """How `/images` is asked for a user: by name if it has plain letters, else by id. Raises Failure if unknown."""
        if re.fullmatch(r"[A-Za-z0-9_]+", name) and not by_id:
            return {"username": name}
        creator: Any = None
        with no_such_user(name):
            creator = self.site.trpc("user.getCreator", {"username": name})
        if not isinstance(creator, dict) or not number_at(creator, "id"):
            raise Failure("gone", NO_USER.format(printable(name)))
        return {"userId": number_at(creator, "id")}

    def _post_album(self, batch: Batch) -> Iterator[None]:
        """A post as its author laid it out: REST has the prompts, the inner interface text and order."""
        post_id, settings = batch.entry.target.id, batch.entry.settings
        folder = ("posts", str(post_id))
        batch.name, batch.page = f"post {post_id}", f"post/{post_id}"
        query = {"postId": post_id, "browsingLevel": settings.level}
        items, post = self._in_order(post_id, [item for page in self.site.images(query) for item in page], settings)
        page = self.site.page_url(f"/posts/{post_id}")
        facts = post_facts(post, post_id, page, [number_at(each, "id") for each in items])
        write_json(batch.lib.at(batch.lib.place(folder, "post.json")), scrub_json(facts))
        self._bring_tools(batch, {number_at(post, "modelVersionId")} - {0})
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
        laid_out = objects_at(answer, "items")
        known = {number_at(item, "id"): item for item in items}
        order = [known.pop(number_at(item, "id"), {}) or self.site.with_link(item) for item in laid_out]
        return [*order, *sorted(known.values(), key=lambda item: number_at(item, "id"))], post

    def _image_album(self, batch: Batch) -> Iterator[None]:
        """One picture, in `images/`."""
        item = self.site.image(batch.entry.target.id)
        batch.name = f"image {batch.entry.target.id}"
        post_id = number_at(item, "postId")
        yield from self._show(batch, Album(batch.name, ("images",), iter([[item]]), made_with=True))
        if post_id and batch.entry.settings.loras:
            with unless_refused(f"image {number_at(item, 'id')}: its post"):
                post = self.site.trpc("post.get", {"id": post_id})
                self._bring_tools(batch, {number_at(post, "modelVersionId")} - {0})

    def _collection_album(self, batch: Batch) -> Iterator[None]:
        """A collection's own page, and its pictures if it is one of pictures."""
        collection_id, settings, library = batch.entry.target.id, batch.entry.settings, batch.lib
        facts = self.collection(collection_id)
        folder = ("collections", folder_name(text_at(facts, "name"), f" [{collection_id}]"))
        batch.name, batch.page = (
            printable(f"{text_at(facts, 'name')} [{collection_id}]"),
            f"collection/{collection_id}",
        )
        batch.page_path = "/".join(folder)
        listed: list[int] = []
        if text_at(facts, "type") == "Image":
            found = self.site.trpc_pages("image.getInfinite", {"collectionId": collection_id}, 200, settings.level)
            album = Album(batch.name, folder, found)
            yield from self._show(batch, album, lambda item: listed.append(number_at(item, "id")))
        if not listed and not any(
            child.entry.source == batch.entry.source and child is not batch for child in self.batches
        ):
            batch.note = "the site shows nothing in it; a token or --cookies may help"
        page = {**facts, "items": listed}
        write_json(library.at(library.place(folder, "collection.json")), scrub_json(page))

    # Sidecars.

    def _write_sidecars(self, batch: Batch, shelf: Shelf, files: list[tuple[File, Wanted]]) -> None:
        """Write what stands beside weights."""
        preview, album = shelf.preview(), shelf.album()
        picture = shelf.lib.media(album.wanted(preview, batch.lib, batch.entry.source)) if preview is not None else None
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
        path = sidecar_folder(shelf, file.parent, ending) / (split_name(file.name)[0] + ending)
        place = path.relative_to(library.root).as_posix()
        if library.is_claimed(place):
            return path
        library.check_links(place)
        if isinstance(content, dict):
            library.write_sidecar(place, wanted, indented(scrub_json(content)))
        elif not path.exists():
            link_or_copy(content, path)
        return path

    # LoRA pool: the bytes.

    def _want(self, batch: Batch, wanted: Wanted, tallies: tuple[Countdown, ...]) -> None:
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

    def _fly(self, batch: Batch, wanted: Wanted, tallies: tuple[Countdown, ...]) -> None:
        """Queue a thing, or let it wait for the same bytes that are on their way: these are fetched once."""
        with self._lock:
            followers = self._flights.get(wanted.identity)
            if followers is not None:
                followers.append(partial(self._fly, batch, wanted, tallies))
                return
            self._flights[wanted.identity] = []
        self._queue(self._loras, batch, tallies, wanted.name, partial(self._land, batch, wanted, tallies))

    def _land(self, batch: Batch, wanted: Wanted, tallies: tuple[Countdown, ...]) -> Result | None:
        """Bring a thing home, then those that waited for the same bytes; while its host rests it is put off."""
        try:
            result = self._bring(batch, wanted)
        except HostDown as down:
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
        except HostDown:
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
            shown = [album.wanted(image, batch.lib, batch.entry.source) for image in shelf.previews()]
            yield from (_planned(batch.lib, wanted, "", settings.force) for wanted in shown)
            most = "all" if settings.max_images is None else f"at most {settings.max_images}"
            if settings.gallery and settings.max_images != 0:
                yield Planned("/".join(album.folder), 0, f"gallery, {most} pictures", False)


def _planned(library: Library, wanted: Wanted, obstacle: str, force: bool) -> Planned:
    action, _, _ = library.look(wanted, force=force)
    note = {"fetch": obstacle, "adopt": "there, to be checked"}.get(action, "already there")
    return Planned(wanted.path, wanted.size, note, action == "fetch")


def verify_library(library: Library, clock: Clock) -> Iterator[Result]:
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


def _check_record(library: Library, record: Record, clock: Clock) -> None:
    """Raise Failure if a file is not what it was when it was verified."""
    path = library.at(record.path)
    size = size_of(path)
    if size is None:
        raise Failure("missing", "It is not on disk any more; run again to fetch it.")
    if size != record.size:
        raise Failure("size", f"It has {size} bytes instead of {record.size}; run again to fetch it.")
    with disk_errors(path):
        if record.sha256 and sha256_of(path, clock).hexdigest() != record.sha256:
            raise Failure("changed", "Its bytes have changed since they were verified; run again to fetch it.")


def write_outcome(run: Run, library: Library, retry: Mapping[str, str]) -> None:
    """Write `report.json`, and `failed.txt` with its retry scripts (`retry` maps their names to their text).

    Lines that failed in an earlier run and were not part of this one stay in `failed.txt`; when none is left,
    the three files go.
    """
    write_report(run, library)
    mine = [batch for batch in run.batches if batch.lib is library]
    last = library.root / "failed.txt"
    lines = decode_text(last.read_bytes()).splitlines() if last.is_file() else []
    earlier = re.findall(r"^((?:#.*\n)*)([^#\n].*)$", "\n".join(lines), re.M)
    done = {batch.entry.source for batch in mine}
    blocks = {line: why.strip() for why, line in earlier if line not in done}
    for batch in mine:
        reasons = dict.fromkeys(f"# {result.name}: {result.message}" for result in batch.failures)
        if not batch.settled:
            reasons["# interrupted"] = None
        if reasons:
            blocks[batch.entry.source] = "\n".join(map(printable, reasons))
    files = {"failed.txt": "\n".join(f"{why}\n{line}\n" for line, why in blocks.items()), **retry}
    for name, content in files.items():
        if blocks:
            newline = "\r\n" if name.endswith(".bat") else "\n"
            write_file(library.root / name, content.replace("\n", newline).encode("utf-8", "replace"))
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
    with disk_errors(target):
        beside.unlink(missing_ok=True)  # a symlink in its place is not written through
        with beside.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(head + ',\n  "files": [')
            comma = ""
            for line in library.results.lines():
                if b'"queued"' not in line or is_last(json.loads(line)):
                    file.write(f"{comma}\n    {line.decode('utf-8', 'replace').strip()}")
                    comma = ","
            file.write("\n  ]\n}\n")
        replace_file(beside, target)
    library.results.close()
    library.begin()
