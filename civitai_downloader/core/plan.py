"""The plan of a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from .catalogue import unless_archived
from .choice import choose_versions
from .chronicle import recall
from .fetch import decide
from .ledger import Batch
from .library import Library
from .places import Wanted
from .run import Run
from .shelf import Shelf
from .targets import Target


@dataclass(frozen=True)
class Planned:
    """A line of the --dry-run plan; `size` in bytes (0 unknown), `note` what stands in the way or is there already."""

    path: str
    size: int
    note: str
    fetch: bool


def plan(run: Run, batch: Batch) -> Iterator[Planned]:
    """Yield what a run would do for one target: asks the site, writes nothing. Raises Failure."""
    target, settings = batch.entry.target, batch.entry.settings
    if target.kind in ("model", "version", "id", "hash"):
        with unless_archived(batch.entry.source):
            yield from _plan_model(run, batch, target)
    is_listing = target.kind in ("user", "tag", "collection")
    for child in chain.from_iterable(run.catalogue.listing(target, settings) if is_listing else ()):
        if child.kind == "model":
            yield from _plan_model(run, batch, child)
        else:
            yield Planned(f"posts/{child.id}", 0, "pictures, not counted", fetch=False)
    if target.kind in ("post", "image") or (target.kind == "user" and target.part in ("", "images", "videos")):
        folders = {"post": f"posts/{target.id}", "image": "images", "user": f"users/{target.name}/images"}
        yield Planned(folders[target.kind], 0, "pictures, not counted", fetch=False)


def _plan_model(run: Run, batch: Batch, target: Target) -> Iterator[Planned]:
    settings = batch.entry.settings
    model, target = run.catalogue.resolve(target)
    home = run.homes.of_model(batch.library, settings.layout, model)
    memory = recall(batch.library, home, model)
    for version in choose_versions(model, target, settings):
        folder = run.homes.of_version(batch.library, settings.layout, home, version, model)
        shelf = Shelf(model, version, settings, batch.library, batch.entry.source, memory, folder)
        if settings.wants_files:
            yield from _plan_files(run, shelf, target)
        if settings.wants_images:
            album = shelf.album()
            for image in shelf.previews():
                wanted = album.wanted(image, batch.library, batch.entry.source)
                yield _planned(batch.library, wanted, "", force=settings.force)
            most = "all" if settings.max_images is None else f"at most {settings.max_images}"
            if settings.gallery and settings.max_images != 0:
                yield Planned("/".join(album.folder), 0, f"gallery, {most} pictures", fetch=False)


def _plan_files(run: Run, shelf: Shelf, target: Target) -> Iterator[Planned]:
    version, files = shelf.version, shelf.wanted_files(run.site, target)
    if missing := shelf.missing(target, files):
        yield Planned(missing.name, 0, missing.message, fetch=False)
    obstacle = f"early access until {version.early_until[:10]}" if version.early_until else ""
    if files and not obstacle and not run.settings.token and run.site.needs_token(version.id):
        obstacle = "needs a token"
    for _, wanted in files:
        yield _planned(shelf.library, wanted, obstacle, force=shelf.settings.force)


def _planned(library: Library, wanted: Wanted, obstacle: str, *, force: bool) -> Planned:
    action = decide(wanted, library.facts(wanted), force=force)
    note = {"fetch": obstacle, "adopt": "there, to be checked"}.get(action, "already there")
    return Planned(wanted.path, wanted.size, note, fetch=action == "fetch")
