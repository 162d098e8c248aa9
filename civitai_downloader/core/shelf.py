"""A version on its shelf and an album of pictures: the things wanted of them, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..util.names import file_name, split_name
from ..util.text import printable
from .answers import File, Image, Model, Version, media_urls, text_at
from .choice import PICKLES, best_file, choose_files
from .fetch import Outcome, Result
from .library import Library
from .places import Folder, Wanted, file_folder, version_folder
from .settings import Settings
from .site import ARCHIVED, Site
from .targets import Target

NOT_GIVEN = frozenset(("archived", "taken-down", "disabled", "early-access", "no-files"))


@dataclass(frozen=True)
class Album:
    """A list of pictures and the folder they go to; `made_with` asks for the LoRAs they were made with."""

    name: str
    folder: Folder
    pages: Iterable[list[dict[str, Any]]] = ()
    made_with: bool = False

    def wanted(self, image: Image, library: Library, source: str) -> Wanted:
        """A picture in this folder."""
        path = library.place(self.folder, str(image.id))
        name = f"{self.name}: {image.type} {image.id}"
        return Wanted("image", str(image.id), name, path, media_urls(image), source, media=image.type)


@dataclass(frozen=True)
class Shelf:
    """A version of a model with the places of its things."""

    model: Model
    version: Version
    settings: Settings
    lib: Library
    source: str

    @property
    def folder(self) -> Folder:
        """The version's folder."""
        return version_folder(self.settings.layout, self.model, self.version)

    def wanted_files(self, site: Site, target: Target) -> list[tuple[File, Wanted]]:
        """The chosen files with names of their own.

        Every file of the version claims its name in the site's order first, so that a name does not depend on what
        was chosen.
        """
        chosen = {file.id for file in choose_files(self.version, target, self.settings)}
        named = [(file, self.lib.claim(self._wanted_file(site, file))) for file in self.version.files]
        return [(file, wanted) for file, wanted in named if file.id in chosen]

    def _wanted_file(self, site: Site, file: File) -> Wanted:
        name = file_name(file.name, f"{self.version.id}-{file.id}")
        folder = file_folder(self.settings.layout, self.model, self.version, file)
        if (
            file.type == "Config"
            and self.settings.layout in ("comfyui", "a1111")
            and (best := best_file(self.version.files))
        ):
            name = split_name(file_name(best[0].name, str(self.version.id)))[0] + split_name(name)[1]
        label = f"{self.model.name} [{self.model.id}] {self.version.name}: {name}"
        path, urls = self.lib.place(folder, name), site.file_urls(self.version.id, file)
        scan = text_at(file.raw, "pickleScanResult") or "unknown" if name.lower().endswith(PICKLES) else ""
        facts = (f"{self.version.id}/{file.id}", printable(label), path, urls, self.source, file.size, file.sha256)
        return Wanted("model", *facts, scan=scan)

    def album(self, pages: Iterable[list[dict[str, Any]]] = ()) -> Album:
        """The version's `images` folder and what goes into it."""
        name = printable(f"{self.model.name} [{self.model.id}] {self.version.name}")
        return Album(name, (*self.folder, "images"), pages)

    def previews(self) -> list[Image]:
        """The showcase pictures of the wanted levels."""
        return [image for image in self.version.images if self.settings.wants_level(image.level)]

    def preview(self) -> Image | None:
        """The picture that stands for the version: the first still one, else the first."""
        shown = self.previews()
        return next((image for image in shown if image.type == "image"), shown[0] if shown else None)


def missing_files(
    shelf: Shelf, target: Target, files: list[tuple[File, Wanted]], *, listed: bool = False
) -> list[Result]:
    """A failure for a version that has nothing to download, or not the file named (but for what --primary left out)."""
    taken_down = shelf.model.mode == "TakenDown"
    if not taken_down and (files or (shelf.version.files and not (target.file or target.traits))):
        return []
    modes = {"Archived": "archived", "TakenDown": "taken-down"}
    messages = {
        "archived": ARCHIVED,
        "taken-down": "The site took the model down; its files can't be downloaded.",
        "no-files": "The version has no file of the kind asked for.",
    }
    reason = modes.get(shelf.model.mode, "no-files")
    name = printable(f"{shelf.model.name} [{shelf.model.id}] {shelf.version.name}")
    outcome: Outcome = "skipped" if listed else "failed"
    return [Result(outcome, "model", f"{shelf.version.id}/0", name, reason=reason, message=messages[reason])]
