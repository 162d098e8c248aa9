"""A version on its shelf and an album of pictures: the things wanted of them, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.files import indented, link_or_copy
from ..util.names import file_name, split_name
from ..util.text import printable, scrub_json
from .answers import File, Image, Model, Version, media_urls, text_at
from .choice import PICKLES, best_file, choose_files
from .library import Library, Outcome, Result
from .places import Folder, Wanted, file_folder, version_folder
from .settings import Settings
from .sidecars import a1111_json, civitai_info, is_read_by, lora_manager_json, sidecar_owners
from .site import ARCHIVED, Site
from .targets import Target

MISSING = {
    "archived": ARCHIVED,
    "taken-down": "The site took the model down; its files can't be downloaded.",
    "no-files": "The version has no file of the kind asked for.",
}


@dataclass(frozen=True)
class Album:
    """Pages of pictures and the folder they go to.

    `bring_resources` is called with the ids of the model versions that a picture was made with; None if they are not
    wanted.
    """

    name: str
    folder: Folder
    pages: Iterable[list[dict[str, Any]]] = ()
    bring_resources: Callable[[set[int]], None] | None = None

    def wanted(self, image: Image, library: Library, source: str) -> Wanted:
        """Return a picture as a wanted thing in this folder."""
        name, path = f"{self.name}: {image.type} {image.id}", library.place(self.folder, str(image.id))
        urls = media_urls(image)
        return Wanted("image", str(image.id), name=name, path=path, urls=urls, source=source, media=image.type)

    def prompt_path(self, image_id: int, library: Library) -> str:
        """Return the relative path of a picture's `.txt`."""
        return library.place(self.folder, f"{image_id}.txt")


@dataclass(frozen=True)
class Shelf:
    """A version of a model with the places of its things; `source` is the input line that brought it up."""

    model: Model
    version: Version
    settings: Settings
    library: Library
    source: str

    @property
    def folder(self) -> Folder:
        """The version's folder."""
        return version_folder(self.settings.layout, self.model, self.version)

    @property
    def name(self) -> str:
        """Model and version, for people."""
        return printable(f"{self.model.name} [{self.model.id}] {self.version.name}")

    # --- Files ---

    def wanted_files(self, site: Site, target: Target) -> list[tuple[File, Wanted]]:
        """Return the chosen files with names of their own.

        Every file of the version claims its name in the site's order first, so that a name does not depend on what
        was chosen.
        """
        chosen = {file.id for file in choose_files(self.version, target, self.settings)}
        named = [(file, self.library.claim(self._wanted_file(site, file))) for file in self.version.files]
        return [(file, wanted) for file, wanted in named if file.id in chosen]

    def _wanted_file(self, site: Site, file: File) -> Wanted:
        name = self._file_name(file)
        folder = file_folder(self.settings.layout, self.model, self.version, file)
        is_pickle = name.lower().endswith(PICKLES)
        scan = text_at(file.raw, "pickleScanResult") or "unknown" if is_pickle else ""
        return Wanted(
            "model", f"{self.version.id}/{file.id}", name=printable(f"{self.name}: {name}"), source=self.source,
            path=self.library.place(folder, name), urls=site.file_urls(self.version.id, file),
            size=file.size, sha256=file.sha256, scan=scan,
        )  # fmt: skip

    def _file_name(self, file: File) -> str:
        """Return what a file is called; in an app's folders a config is called like the weights it belongs to."""
        name = file_name(file.name, f"{self.version.id}-{file.id}")
        in_app = file.type == "Config" and self.settings.layout in ("comfyui", "a1111")
        weights = best_file(self.version.files) if in_app else []
        stem = split_name(file_name(weights[0].name, str(self.version.id)))[0] if weights else ""
        return stem + split_name(name)[1] if stem else name

    def missing(self, target: Target, files: Sequence[tuple[File, Wanted]], *, listed: bool = False) -> Result | None:
        """Return a failure if the version has nothing to download, or not the file named; None otherwise.

        What --primary leaves out is not missing. For a model that a listing brought up it is no failure but a note.
        """
        taken_down = self.model.mode == "TakenDown"
        if not taken_down and (files or (self.version.files and not (target.file or target.traits))):
            return None
        reason = {"Archived": "archived", "TakenDown": "taken-down"}.get(self.model.mode, "no-files")
        outcome: Outcome = "skipped" if listed else "failed"
        name, message = self.name, MISSING[reason]
        return Result(outcome, "model", f"{self.version.id}/0", name, reason=reason, message=message)

    # --- Pictures ---

    def album(self, pages: Iterable[list[dict[str, Any]]] = ()) -> Album:
        """Return the version's `images` folder and what goes into it."""
        return Album(self.name, (*self.folder, "images"), pages)

    def previews(self) -> list[Image]:
        """Return the showcase pictures of the wanted levels."""
        return [image for image in self.version.images if self.settings.wants_level(image.level)]

    def preview(self) -> Image | None:
        """Return the picture that stands for the version: the first still one, else the first."""
        shown = self.previews()
        return next((image for image in shown if image.type == "image"), shown[0] if shown else None)

    # --- Sidecars ---

    def write_sidecars(self, files: Sequence[tuple[File, Wanted]], url: str) -> None:
        """Write what other programs read beside weights that are there or on their way; `url` is the model's page."""
        preview = self.preview()
        picture = self.library.media(self.album().wanted(preview, self.library, self.source)) if preview else None
        for file, wanted in sidecar_owners(files):
            coming = self.library.at(wanted.path).is_file() or self.library.queued(wanted) is not None
            if self.settings.only != "images" and (coming or not self.settings.wants_files):
                self._write_sidecars_of(file, wanted, picture, url)

    def _write_sidecars_of(self, file: File, wanted: Wanted, picture: Path | None, url: str) -> None:
        record, path = self.library.find(wanted), self.library.at(wanted.path)
        sha256 = file.sha256 or (record.sha256 if record is not None else "")
        preview = self._put_beside(wanted, ".preview" + picture.suffix, picture) if picture is not None else None
        self._put_beside(wanted, ".civitai.info", civitai_info(self.model, self.version))
        self._put_beside(wanted, ".json", a1111_json(self.model, self.version, url))
        facts = lora_manager_json(self.model, self.version, file, path, preview, sha256)
        self._put_beside(wanted, ".metadata.json", facts)

    def _put_beside(self, wanted: Wanted, ending: str, content: Path | dict[str, Any]) -> Path:
        """Write facts, or link a picture, beside a file; what the layout's app does not read goes to `.civitai`."""
        folder, _, name = wanted.path.rpartition("/")
        if not is_read_by(self.settings.layout, ending):
            folder = "/".join(self.folder)
        place = f"{folder}/{split_name(name)[0]}{ending}"
        path = self.library.at(place)
        if not self.library.is_claimed(place):
            self.library.check_links(place)
            if isinstance(content, dict):
                self.library.write_sidecar(place, wanted, indented(scrub_json(content)))
            elif not path.exists():
                link_or_copy(content, path)
        return path
