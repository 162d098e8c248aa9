"""A version on its shelf and an album of pictures: the things wanted of them, and what stands beside them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..util.errors import Sentence
from ..util.files import link_or_copy
from ..util.headers import read_header_of
from ..util.names import file_name, split_name
from ..util.text import printable, scrub_json
from .answers import File, Image, Model, Version, end_of_early_access, media_urls, still_urls, text_at, utc_of
from .archive import without_lost
from .choice import best_file, choose_files, form_of_file
from .chronicle import Memory
from .found import Found
from .headers import told_by
from .homes import folder_for, settled
from .library import Library
from .ours import harmless_file
from .places import Folder, Wanted, file_folder, version_folder
from .records import Outcome, Result
from .refusals import ARCHIVED
from .settings import NAMED_LAYOUTS, Settings
from .sidecars import (
    ANY_PREVIEW,
    STILL_PREVIEWS,
    Beside,
    a1111_json,
    civitai_info,
    is_read_by,
    lora_manager_json,
    preview_ending,
    sidecar_owners,
)
from .site import Site
from .targets import Target
from .unknown import header_json

log = logging.getLogger(__name__)

MISSING = {
    "archived": ARCHIVED,
    "taken-down": Sentence("The site took the model down; its files can't be downloaded any more."),
    "no-files": Sentence("The version has no file of the kind asked for."),
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
    """A version of a model with the places of its things; `source` is the input line that brought it up.

    `model` and `version` are what the site says and gives today, `memory` is all that is known, and `folder` that of
    the version.
    """

    model: Model
    version: Version
    settings: Settings
    library: Library
    source: str
    memory: Memory
    folder: Folder

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

    def files_found(self, found: Iterable[Found]) -> list[tuple[File, Wanted]]:
        """Return files that lie on disk, each as the file of the version that it is, at its own place.

        One beside which nothing can stand is left out (see `may_stand_beside`).
        """
        files = {file.id: file for file in (*self.memory.version(self.version).files, *self.version.files)}
        there = [
            (files[each.file], each) for each in found if each.file in files and may_stand_beside(self.library, each)
        ]
        return [(file, self._wanted_found(file, each)) for file, each in there]

    def _wanted_found(self, file: File, found: Found) -> Wanted:
        name = printable(f"{self.name}: {found.path.rpartition('/')[2]}")
        return Wanted(
            "model", f"{self.version.id}/{file.id}", name=name, path=found.path, urls=(), source=self.source,
            size=found.size, sha256=found.sha256, format=text_at(file.traits, "format"),
        )  # fmt: skip

    def _wanted_file(self, site: Site, file: File) -> Wanted:
        path, layout = self._path(file), self.settings.layout
        name = path.rpartition("/")[2]
        is_pickle = form_of_file(file) == "pickle"
        scan = text_at(file.raw, "pickleScanResult") or "unknown" if is_pickle else ""
        return Wanted(
            "model", f"{self.version.id}/{file.id}", name=printable(f"{self.name}: {name}"), source=self.source,
            path=path, urls=site.file_urls(self.version.id, file),
            size=file.size, sha256=file.sha256, scan=scan, format=text_at(file.traits, "format"),
            layout="" if layout in NAMED_LAYOUTS else layout,
            autov3=file.autov3 if form_of_file(file) == "safetensors" else "",
            available_at=utc_of(end_of_early_access(self.version.raw)),
        )  # fmt: skip

    def _path(self, file: File) -> str:
        """Return the place of a file: where it lies, whatever it is called by now, or where a new one is put."""
        if path := self._settled(file):
            return path
        layout, known, told = self.settings.layout, self.memory.model, self.memory.version(self.version)
        own, beside = version_folder(layout, known, told), self.settings.beside
        if beside:
            new = own if file.type in ("Training Data", "Archive") else tuple(beside.split("/")[:-1])
        else:
            new = folder_for(self.library, layout, known, told, file)
        in_own = new == own
        return self.library.place(self.folder if in_own else new, self._file_name(file))

    def _settled(self, file: File) -> str:
        """Return where a file lies if it stays there, or ""."""
        layout, known, told = self.settings.layout, self.memory.model, self.memory.version(self.version)
        expected = file_folder(layout, known, told, file), file_folder(layout, *self.memory.earlier(told), file)
        return settled(self.library, layout, self.folder, expected, ("model", f"{told.id}/{file.id}"))

    def _file_name(self, file: File) -> str:
        """Return what a file is called; in an app's folders a config is called like the weights it belongs to."""
        name = harmless_file(file_name(file.name, f"{self.version.id}-{file.id}"))
        in_app = file.type == "Config" and self.settings.layout in ("comfyui", "a1111")
        weights = best_file(self.version.files) if in_app else []
        whole = self._settled(weights[0]) or file_name(weights[0].name, str(self.version.id)) if weights else ""
        stem = split_name(whole.rpartition("/")[2])[0]
        return harmless_file(stem + split_name(name)[1]) if stem else name

    def settled(self, files: Sequence[tuple[File, Wanted]]) -> list[tuple[File, Wanted]]:
        """Return the files at the places where they lie now."""
        return [(file, self.library.where(wanted)) for file, wanted in files]

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
        wanted = (image for image in self.version.images if self.settings.wants_level(image.level))
        return [image for image in wanted if ("image", str(image.id)) not in self.settings.excluded]

    def preview(self) -> Image | None:
        """Return the picture that stands for the version: the first still one, else the first video."""
        return _preview_of(self.previews())

    def _preview_there(self) -> Image | None:
        """Return the picture that stands for the version, or did so when the site still showed pictures."""
        known = self.memory.version(self.version).images
        return self.preview() or _preview_of([image for image in known if self.settings.wants_level(image.level)])

    # --- Sidecars ---

    def still(self, files: Sequence[tuple[File, Wanted]]) -> Wanted | None:
        """Return the still of a video that is to be the preview beside a file; None if none is needed any more.

        Where the video itself has become the preview, because no still could be had, only --refresh asks for one again.
        """
        preview = self.preview()
        if preview is None or preview.type != "video" or self.settings.only == "metadata":
            return None
        described = self._described(files)
        if not described:
            return None
        endings = STILL_PREVIEWS if self.settings.refresh else (*STILL_PREVIEWS, ".mp4", ".webm")
        wanted = self._still_beside(preview, described[0][1])
        return wanted if wanted.urls and preview_beside(self.library, described, endings) is None else None

    def _described(self, files: Sequence[tuple[File, Wanted]]) -> list[tuple[File, Wanted]]:
        """Return the files that have sidecars: those that are there or on their way, all if no files are wanted."""
        owners = sidecar_owners(files, self.version) if self.settings.only != "images" else []
        if not self.settings.wants_files:
            return owners
        return [(file, each) for file, each in owners if self._is_coming(each)]

    def _is_coming(self, wanted: Wanted) -> bool:
        return self.library.at(wanted.path).is_file() or self.library.queued(wanted) is not None

    def _still_beside(self, preview: Image, owner: Wanted) -> Wanted:
        name, path = f"{self.name}: still of video {preview.id}", f"{split_name(owner.path)[0]}.preview"
        urls, still_id = still_urls(preview), f"{preview.id}/still"
        return Wanted("image", still_id, name=name, path=path, urls=urls, source=self.source, media="still")

    def write_sidecars(self, files: Sequence[tuple[File, Wanted]], url: str) -> None:
        """Write what other programs read beside weights that are there or on their way; `url` is the model's page."""
        described = self._described(files)
        picture = self._picture(described)
        left: list[str] = []
        for file, wanted in described:
            left += self._write_sidecars_of(file, wanted, picture, url)
        if left:
            names = ", ".join(left)
            log.info("%s: files of an earlier version are no longer used and can be deleted: %s", self.name, names)

    def _picture(self, described: Sequence[tuple[File, Wanted]]) -> Path | None:
        """Return the file that is to be the preview: of a video its still, if it could be had, else the video."""
        preview = self._preview_there()
        if preview is None:
            return None
        is_video = preview.type == "video"
        still = preview_beside(self.library, described, STILL_PREVIEWS) if is_video else None
        return still or self.library.media(self.album().wanted(preview, self.library, self.source))

    def _write_sidecars_of(self, file: File, wanted: Wanted, picture: Path | None, url: str) -> list[str]:
        """Write the preview and the sidecars of one file; return the names of `.new` files that lie beside them."""
        record, preview = self.library.find(wanted), self._preview_there()
        known, told = self.memory.model, self.memory.version(self.version)
        file = next((each for each in told.files if each.id == file.id), file)
        told = replace(told, raw=without_lost(told.raw))
        beside = Beside(
            path=self.library.at(wanted.path),
            sha256=wanted.sha256 or file.sha256 or (record.sha256 if record is not None else ""),
            preview=self._put_preview(wanted, picture) if picture is not None else None,
            level=preview.level if preview is not None else 0,
        )
        contents = {
            ".civitai.info": civitai_info(known, told),
            ".json": a1111_json(known, told, url, beside.sha256),
            ".metadata.json": lora_manager_json(known, told, file, beside),
        }
        places = {self._beside(wanted, ending): content for ending, content in contents.items()}
        free = {place: content for place, content in places.items() if self._is_free(place)}
        written = {place: self.library.write_sidecar(place, wanted, scrub_json(free[place])) for place in free}
        return [f"{place.rpartition('/')[2]}.new" for place, has_left in written.items() if has_left]

    def _put_preview(self, wanted: Wanted, picture: Path) -> Path:
        """Link a picture beside a file, unless there is a preview, of whatever name that programs look for."""
        stem = split_name(wanted.path)[0]
        place = stem + preview_ending(picture.suffix)
        path = self.library.at(place)
        if os.path.lexists(path):
            return path
        if there := any_preview(self.library, stem):
            return there
        if self._is_free(place):
            link_or_copy(picture, path, self.library.disk)
        return path

    def _beside(self, wanted: Wanted, ending: str) -> str:
        """Return the place of a sidecar; what the layout's app does not read goes to `.civitai`."""
        stem = split_name(wanted.path)[0]
        if is_read_by(self.settings.layout, ending):
            return f"{stem}{ending}"
        return "/".join((*self.folder, f"{stem.rpartition('/')[2]}{ending}"))

    def _is_free(self, place: str) -> bool:
        """Return whether no model file has this name. Raises Failure if a stranger's link leads to its folder."""
        if self.library.is_claimed(place):
            return False
        _check_folder(self.library, place)
        return True


def _preview_of(images: Sequence[Image]) -> Image | None:
    """Return the first still picture, else the first video, else None."""
    kinds = ((kind, image) for kind in ("image", "video") for image in images)
    return next((image for kind, image in kinds if image.type == kind), None)


def any_preview(library: Library, stem: str) -> Path | None:
    """Return a preview of whatever name that programs look for beside a file without its extension, or None.

    Its extension may be in capitals, as cameras and old programs write them.
    """
    endings = (f"{kind}{form}" for kind, form in map(split_name, ANY_PREVIEW) for form in (form, form.upper()))
    places = (library.at(stem + ending) for ending in endings)
    return next((place for place in places if place.is_file()), None)


def _check_folder(library: Library, place: str) -> None:
    """Raise Failure if a stranger's link leads to the folder of a sidecar; one in its own place is left alone later."""
    if folder := place.rpartition("/")[0]:
        library.check_links(folder)


def may_stand_beside(library: Library, found: Found) -> bool:
    """Return whether something may be written beside a file that was found.

    Nothing may behind a link that leads out of the library, nor where the name leaves no room, which is told.
    """
    try:
        os.lstat(library.at(f"{split_name(found.path)[0]}.metadata.json"))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            log.warning("%s has a name that is too long for sidecars beside it; shorten it.", printable(found.path))
            return False
    return library.is_within(found.path)


def describe_unknown(library: Library, found: Found, source: str) -> None:
    """Write beside a file that the site does not know what its own header tells. Raises Failure."""
    header = read_header_of(library.at(found.path))
    if header is None or not may_stand_beside(library, found):
        return
    stem, path = split_name(found.path)[0], library.at(found.path)
    facts = (stem.rpartition("/")[2], path, found.size, found.mtime, found.sha256)
    content = header_json(told_by(header), *facts, any_preview(library, stem))
    place = f"{stem}.metadata.json"
    if content and not library.is_claimed(place):
        _check_folder(library, place)
        wanted = Wanted("model", "", name=printable(found.path), path=found.path, urls=(), source=source)
        library.write_sidecar(place, wanted, scrub_json(content))


def preview_beside(library: Library, described: Sequence[tuple[File, Wanted]], endings: Sequence[str]) -> Path | None:
    """Return a preview with one of these endings that stands beside one of the files, or None."""
    stems = (split_name(wanted.path)[0] for _, wanted in described)
    places = (library.at(stem + ending) for stem in stems for ending in endings)
    return next((place for place in places if place.is_file()), None)
