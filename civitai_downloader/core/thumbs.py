"""Thumbs: the small forms of pictures that the page shows in place of the originals."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..util.names import split_name
from .answers import Image, thumb_urls
from .library import Library
from .places import Wanted

PAGE_FOLDER = ".page"


def _folder_of(image_id: int) -> str:
    """Return the folder in which the small form of a picture lies: none of them has very many."""
    return f"{PAGE_FOLDER}/thumbs/{image_id % 100:02}"


def wanted_thumb(image: Image, library: Library, source: str) -> Wanted | None:
    """Return the small form of a picture as a wanted thing, or None if it is there or can't be had."""
    thumb_id, path = f"{image.id}/thumb", f"{_folder_of(image.id)}/{image.id}"
    urls = thumb_urls(image)
    is_there = any(
        library.size(path + extension) is not None for extension in (".jpg", ".webp", ".png", ".gif", ".avif")
    )
    name = f"thumbnail of {image.type} {image.id}"
    return None if is_there or not urls else Wanted("image", thumb_id, name, path, urls, source, media="still")


class Thumbs:
    """The small forms that are there; each of their folders is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, dict[str, str]] = {}

    def of(self, image_id: int) -> str:
        """Return the extension of the small form of a picture, "" if there is none."""
        folder = _folder_of(image_id)
        if folder not in self._known:
            self._known[folder] = {}
            with suppress(OSError):
                self._known[folder] = dict(map(split_name, os.listdir(self._root / folder)))
        return self._known[folder].get(str(image_id), "")
