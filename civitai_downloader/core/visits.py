"""Visits: what is done with a target. Pages are written; files, pictures and further targets are submitted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain

from ..util.errors import Failure, Sentence
from ..util.names import folder_name
from ..util.text import printable, scrub
from .answers import File, Model, Pages, Version, number_at, objects_at, text_at
from .catalogue import Catalogue, raise_first, unless_archived, unless_refused
from .choice import LORA_TYPES, choose_versions
from .chronicle import Memory, recall, write_down, write_page
from .comparing import names_of
from .data import read_data
from .deliveries import Deliveries
from .found import Found, mark_of
from .galleries import Galleries
from .homes import Homes, note_layout
from .ledger import Batch, Countdown, Origin, Steps, Task
from .libraries import Libraries
from .local import Folders, result_of
from .owned import write_for_people
from .pages import description_page, model_text, post_facts
from .pictures import Pictures
from .places import Folder, Wanted
from .records import Record
from .schedule import Schedule
from .settings import IN_PLACE, NAMED_LAYOUTS, Settings
from .shelf import Album, Shelf
from .site import Site
from .targets import Entry, Target
from .which import falling_here, is_excluded, may_fall_here, wanted_pictures, why_nothing, why_unwanted, without_files

log = logging.getLogger(__name__)

Files = list[tuple[File, Wanted]]
FOR_OTHERS = Sentence("falls to other copies")


class Visits:
    """Visits targets. All of it happens in the metadata pool, which has one worker."""

    def __init__(
        self,
        site: Site,
        catalogue: Catalogue,
        libraries: Libraries,
        deliveries: Deliveries,
        pictures: Pictures,
        galleries: Galleries,
        homes: Homes,
        folders: Folders,
    ) -> None:
        self._site, self._catalogue, self._libraries, self._homes = site, catalogue, libraries, homes
        self.deliveries, self._pictures, self._galleries = deliveries, pictures, galleries
        self._visited: set[tuple[object, Target, Settings]] = set()
        self.folders, self._found = folders, dict[Batch, Sequence[Found]]()

    @property
    def _schedule(self) -> Schedule:
        return self.deliveries.schedule

    def open(self, entry: Entry, origin: Origin = "line", name: str = "") -> Task:
        """Return the task that visits a target. Raises UsageError when another run writes to its output folder."""
        entry = without_files(entry)
        batch = self._schedule.ledger.open(entry, self._libraries.open(entry.settings.output), origin, self._settle)
        batch.name = name or (printable(entry.target.name) if entry.target.kind == "local" else batch.name)
        return Task(batch, partial(self._visit, batch))

    def _settle(self, batch: Batch) -> None:
        """Everything behind a target has ended: start what was queued, and put the target's page on record."""
        self.deliveries.start_queue(batch.notable)
        name, path = batch.page
        if batch.entry.target.kind == "local":
            batch.note = self.folders.end(batch)
        if any(each.kind != "image" and not each.until for each in batch.failures):  # else only time will help
            with suppress(Failure):  # the folder can't be written, which the failures say
                self._catalogue.doubt(batch.entry.target, name)
        if path and not batch.failures:
            with suppress(Failure):  # the next write will fail as well, and say so
                batch.library.record(("page", name), Record("success", path), source=batch.entry.source)
                for found in self._found.pop(batch, ()):
                    settings = batch.entry.settings
                    done = found.done if found.has_all(settings) else mark_of(settings)
                    batch.library.note_found(replace(found, done=done), batch.entry.source)

    def _visit(self, batch: Batch) -> Steps | None:
        target = batch.entry.target
        if target.kind == "local":
            return self.folders.visit(batch, self._hand_on)
        if is_excluded(target, batch.entry.settings):
            batch.note = Sentence("excluded")
            return None
        if target.kind == "user" and target.part not in ("models", "posts"):
            self._schedule.submit(Task(batch, partial(self._visit_pictures_of_user, batch)))
        if target.kind in ("user", "tag", "collection"):
            return self._visit_listing(batch)
        if target.kind == "post":
            return self._visit_post(batch)
        if target.kind == "image":
            return self._visit_image(batch)
        with unless_archived(batch.entry.source if batch.origin == "line" else ""):
            self._visit_model(batch)
        return None

    # --- Listings ---

    def _visit_listing(self, batch: Batch) -> Steps:
        """Give every target of a listing a batch of its own, page by page; a collection may hold pictures too."""
        entry, listed, ours = batch.entry, 0, 0
        for page in self._catalogue.listing(entry.target, entry.settings):
            mine = [target for target in page if may_fall_here(target, entry.settings)]
            listed, ours = listed + len(page), ours + len(mine)
            for target in mine:
                child = replace(entry, target=target)
                self._schedule.submit(self.open(child, "listing", f"{target.kind} {target.id}"))
            yield
        batch.note = FOR_OTHERS if listed and not ours else ""
        if entry.target.kind == "collection":
            yield from self._visit_collection(batch, has_members=listed > 0)

    def _visit_pictures_of_user(self, batch: Batch) -> Steps:
        target, settings = batch.entry.target, batch.entry.settings
        found = wanted_pictures(self._catalogue.pictures_of_user(target, settings), settings)
        first = next(found, [])
        own = (name for item in first for name in names_of(item) if name.casefold() == target.name.casefold())
        name = next(own, target.name)
        yield
        pages = falling_here(chain([first], found), settings)
        album = Album(printable(name), ("users", folder_name(name), "images"), pages)
        yield from self._pictures.bring_album(batch, album)

    def _visit_collection(self, batch: Batch, *, has_members: bool) -> Steps:
        """Bring a collection's pictures if it is one of pictures, and let one copy write its own page."""
        collection_id, settings, library = batch.entry.target.id, batch.entry.settings, batch.library
        facts = self._catalogue.collection(collection_id)
        new = ("collections", folder_name(text_at(facts, "name"), f" [{collection_id}]"))
        folder = self._homes.of_collection(library, new, collection_id)
        batch.name = printable(f"{text_at(facts, 'name')} [{collection_id}]")
        listed: list[int] = []
        found = wanted_pictures(self._catalogue.pictures_of_collection(collection_id, settings), settings)
        pages = falling_here(_noting(found, listed), settings)
        yield from self._pictures.bring_album(batch, Album(batch.name, folder, pages))
        if not (listed or settings.is_choosy or has_members):
            batch.note = Sentence("the site shows nothing in it; a token or --cookies may help")
        if not settings.has("collection", collection_id):
            return
        page, is_whole = {**facts, "id": collection_id, "items": listed}, self._site.has_token and settings.level == 31
        is_whole = is_whole and not batch.failures
        batch.page = f"collection/{collection_id}", "/".join(folder)
        path = library.place(folder, "collection.json")
        write = partial(write_page, library, path, batch.page[0], page, "items", seen=(True, is_whole))
        self._write(batch, "collection.json", write)

    # --- Posts and pictures ---

    def _visit_post(self, batch: Batch) -> Steps:
        """Fetch a post in the order in which its author laid it out."""
        post_id, settings, library = batch.entry.target.id, batch.entry.settings, batch.library
        folder, batch.name = ("posts", str(post_id)), f"post {post_id}"
        pages, post, ids, is_whole = self._catalogue.pictures_of_post(post_id, settings)
        page = self._site.page_url(f"/posts/{post_id}")
        facts = post_facts(post, post_id, page, ids)
        seen = bool(post), bool(post) and is_whole and settings.level == 31
        path = library.place(folder, "post.json")
        write = partial(write_page, library, path, f"post/{post_id}", facts, "images", seen=seen)
        self._write(batch, "post.json", write)
        self._bring_resources(batch, {number_at(post, "modelVersionId")} - {0})
        batch.page = f"post/{post_id}", "/".join(folder)
        yield
        album = Album(batch.name, folder, pages, partial(self._bring_resources, batch))
        yield from self._pictures.bring_album(batch, album)

    def _visit_image(self, batch: Batch) -> Steps:
        """Fetch one picture into `images/`."""
        target = batch.entry.target
        item = self._site.image(target.id)
        batch.name = f"image {target.id}"
        if target.name not in text_at(item, "url").lower():
            raise Failure(
                "no-files",
                "The number in the link isn't the ID of the picture that it shows; link the picture's page instead.",
            )
        album = Album(batch.name, ("images",), [[item]], partial(self._bring_resources, batch))
        yield from self._pictures.bring_album(batch, album)
        post_id = number_at(item, "postId")
        if post_id and batch.entry.settings.loras:
            with unless_refused(Sentence("the post of picture {id}", id=number_at(item, "id"))):
                post = self._catalogue.post(post_id)
                self._bring_resources(batch, {number_at(post, "modelVersionId")} - {0})

    def _bring_resources(self, batch: Batch, versions: Iterable[int]) -> None:
        """Fetch the LoRAs that pictures were made with into their creators' folders, without their galleries."""
        settings = batch.entry.settings
        if not settings.loras or settings.only in ("images", "metadata"):
            return
        plain = replace(settings.whole, only="models", latest=False, types=(), base_models=())
        for version in sorted(versions):
            target = Target("version", version=version)
            if self._is_first_visit(target, plain):
                child = Entry(target, plain, batch.entry.source)
                self._schedule.submit(self.open(child, "resource", f"version {version}"))

    def _is_first_visit(self, target: Target, settings: Settings) -> bool:
        key = (settings.output.absolute(), target, settings)
        is_first = key not in self._visited
        self._visited.add(key)
        return is_first

    # --- Models ---

    def _visit_model(self, batch: Batch) -> None:
        """Ask for the model of a target, and bring it unless it falls to another copy."""
        entry, settings = batch.entry, batch.entry.settings
        if batch.origin == "resource" and not self._is_wanted_resource(entry.target, settings):
            batch.note = Sentence("skipped: not a LoRA")
            return
        if batch.origin != "resource" and not self._catalogue.falls_here(entry.target):
            batch.note = FOR_OTHERS
            return
        model, target = self._catalogue.resolve(entry.target)
        batch.name = printable(f"{model.name} [{model.id}]")
        if entry.target.kind in ("id", "hash") and batch.origin == "line":
            log.info("%s is %s", entry.target.id or entry.target.name, batch.name)
        with batch.library.claiming(f"model/{model.id}"):
            self._bring_model(batch, model, target)

    def _bring_model(self, batch: Batch, model: Model, target: Target) -> None:
        """Write a model's pages, and submit what is wanted of it."""
        settings = batch.entry.settings
        if not self._is_first_visit(target, settings):
            batch.note = Sentence("the same as an earlier line") if batch.origin == "line" else ""
            return
        batch.note = why_unwanted(model, target, settings)
        if batch.note:
            return
        home, memory = self._open_model(batch, model)
        versions = choose_versions(model, target, settings)
        batch.note = "" if versions else why_nothing(model, target, settings)
        if not versions and not batch.note:
            raise Failure("no-files", "The model has no published version with files.")
        for version in versions:
            shelf = self._shelf(batch, home, model, version, memory)
            self._schedule.do(Task(batch, partial(self._visit_version, batch, target, shelf), shelf.name))

    def _open_model(self, batch: Batch, model: Model) -> tuple[Folder, Memory]:
        """Write the pages of a model; return their folder, and what is known of the model."""
        layout = batch.entry.settings.layout
        home = self._homes.of_model(batch.library, layout, model)
        memory = recall(batch.library, home, model)
        self.write_pages(batch, home, memory)
        return home, memory.light(keep_before=layout not in (*NAMED_LAYOUTS, IN_PLACE))

    def _shelf(self, batch: Batch, home: Folder, model: Model, version: Version, memory: Memory) -> Shelf:
        settings = batch.entry.settings
        folder = self._homes.of_version(batch.library, settings.layout, home, version, model)
        return Shelf(model, version, settings, batch.library, batch.entry.source, memory, folder)

    def _is_wanted_resource(self, target: Target, settings: Settings) -> bool:
        """Return whether a version that pictures were made with is a LoRA (or, with --checkpoints, a checkpoint)."""
        kind = self._catalogue.type_of_version(target.version)
        return kind in LORA_TYPES or (settings.checkpoints and kind == "checkpoint")

    def write_pages(self, batch: Batch, folder: Folder, memory: Memory) -> None:
        """Write what is known of a model, what is gone included, for programs and for people."""
        library, model = batch.library, memory.model
        url, line = self._site.page_url(f"/models/{model.id}", model.level), f"model/{model.id}"
        description = scrub(description_page(model, url, read_data("description.html")))
        pages: dict[str, Callable[[str], None]] = {
            "model.json": lambda _path: write_down(library, memory),
            "model.txt": lambda path: write_for_people(library, path, scrub(model_text(model, url)), line),
            "description.html": lambda path: write_for_people(library, path, description, line),
        }
        for name, write in pages.items():
            self._write(batch, name, partial(write, library.place(folder, name)))
        batch.page = line, "/".join(folder)

    def _write(self, batch: Batch, name: str, write: Callable[[], None]) -> None:
        """Write a page. One in whose place somebody else's file stays fails by name, and alone."""
        try:
            write()
        except Failure as failure:
            if failure.reason != "taken":
                raise
            self._schedule.do(Task(batch, partial(raise_first, [failure]), f"{batch.name}: {name}"))

    def _visit_version(self, batch: Batch, target: Target, shelf: Shelf) -> None:
        """Submit what belongs to one version: its preview first, then its files, pictures and gallery."""
        files = shelf.wanted_files(self._site, target)
        order = partial(self._order_files, batch, target, shelf, files)
        self._fill(batch, shelf, files, order if shelf.settings.wants_files else lambda _: None)

    def _fill(self, batch: Batch, shelf: Shelf, files: Files, order_files: Callable[[Countdown], object]) -> None:
        """Submit what belongs to a version; `order_files` orders its files, counted by a countdown."""
        settings, album, source = shelf.settings, shelf.album(), batch.entry.source
        group = Countdown(
            lambda: self._schedule.submit(Task(batch, partial(self._write_sidecars, batch, shelf, files)))
        )
        group.add(1)
        if unusable := len(objects_at(shelf.version.raw, "images")) - len(shelf.version.images):
            log.warning("%s: %d pictures without a usable link were left out.", album.name, unusable)
        preview = shelf.preview()
        if preview is not None and settings.only != "metadata":
            self.deliveries.order(batch, album.wanted(preview, batch.library, source), group)
        order_files(group)
        group.add(-1)
        if settings.wants_images:
            for image in shelf.previews():
                self.deliveries.order(batch, album.wanted(image, batch.library, source))
                self.deliveries.order_thumb(batch, image)
        if settings.only != "models":
            self._schedule.submit(Task(batch, partial(self._galleries.visit, batch, shelf)))

    def _order_files(self, batch: Batch, target: Target, shelf: Shelf, files: Files, group: Countdown) -> None:
        missing = shelf.missing(target, files, listed=batch.origin != "line")
        if missing is not None:
            self._schedule.do(Task(batch, lambda: missing))
            return
        for _, wanted in files:
            note_layout(batch.library, wanted)
            self.deliveries.order(batch, wanted, group)

    def _write_sidecars(self, batch: Batch, shelf: Shelf, files: Files) -> None:
        """Write what stands beside a version's files, once the still is there that its preview may need."""
        path, files = f"/models/{shelf.model.id}?modelVersionId={shelf.version.id}", shelf.settled(files)

        def write() -> None:
            """Write them, and no other copy at the same time."""
            with batch.library.claiming(f"model/{shelf.model.id}"):
                shelf.write_sidecars(files, self._site.page_url(path, shelf.model.level))

        still = shelf.still(files)
        if still is None:
            write()
        else:
            group = Countdown(lambda: self._schedule.submit(Task(batch, write)))
            self.deliveries.order_still(batch, still, group)

    # --- Files that are on disk already ---

    def _hand_on(self, batch: Batch, model_id: int, found: Sequence[Found]) -> None:
        """Have the files of a model that lie in a folder completed, as a target of its own."""
        child = self.open(replace(batch.entry, target=Target("model", id=model_id)), "listing", found[0].name)
        self._schedule.submit(replace(child, action=partial(self._visit_found, child.batch, found)))

    def _visit_found(self, batch: Batch, found: Sequence[Found]) -> None:
        """Write the pages of a model, and what belongs beside its files that are there."""
        model, versions = self._versions_of(batch, found)
        batch.name = printable(f"{model.name} [{model.id}]")
        about = (model, batch.entry.target, batch.entry.settings)
        if note := why_unwanted(*about) if versions else why_nothing(*about):
            batch.note = note
            return
        self._found[batch] = found = [each for each in found if each.version in {every.id for every in versions}]
        home, memory = self._open_model(batch, model)
        for version in versions:
            shelf = self._shelf(batch, home, model, version, memory)
            files = shelf.files_found(each for each in found if each.version == version.id)
            self._schedule.do(Task(batch, partial(self._fill, batch, shelf, files, lambda _: None), shelf.name))
        for each in found:
            self._schedule.do(Task(batch, partial(result_of, each, is_new=True)))

    def _versions_of(self, batch: Batch, found: Sequence[Found]) -> tuple[Model, list[Version]]:
        """Return the model of files that were found, late versions included, and the wanted ones of these files."""
        model_id, settings, wanted = batch.entry.target.id, batch.entry.settings, {each.version for each in found}
        models = [self._catalogue.resolve(Target("version", id=model_id, version=each))[0] for each in sorted(wanted)]
        late = {each.id: each for model in models for each in model.versions}
        model = replace(models[0], versions=tuple(late.values()))
        return model, [each for each in choose_versions(model, batch.entry.target, settings) if each.id in wanted]


def _noting(pages: Pages, ids: list[int]) -> Pages:
    """Yield pages of pictures, and add the ids of these to a list."""
    for page in pages:
        ids += [number_at(item, "id") for item in page]
        yield page
