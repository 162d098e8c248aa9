"""Proof: whether the bytes that came are those which were wanted."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import requests

from ..util.errors import Failure
from ..util.files import disk_errors, size_of
from ..util.media import MEDIA_EXTENSIONS, is_safetensors, looks_like_page, sniff_media
from ..util.transfer import Received
from ..util.whole import has_index, is_whole
from .answers import number_at
from .choice import is_called_safetensors
from .places import Wanted, same_size
from .sidecars import STILL_PREVIEWS
from .weights import is_entire


class Still(Exception):
    """A video was answered by a still picture, or the other way round; the next form of its link may help."""


def has_right_form(path: Path, told: str = "") -> bool:
    """Return whether a model's header or a picture's first bytes are what the name says, for want of a hash.

    `told` is what the site says of a model file's form.
    """
    extension = path.suffix.lower()
    if extension in MEDIA_EXTENSIONS:
        return sniff_file(path)[0] == extension and ends_well(path, extension)
    return not is_called_safetensors(path.name, told) or is_safetensors(path)


def no_page(response: requests.Response, wanted: Wanted) -> requests.Response:
    """Return the response. Raises Failure if it is a web page or a message where a file was asked for."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") or (
        kind == "application/json" and not wanted.path.lower().endswith(".json")
    ):
        response.close()
        raise Failure("page", "The site sent a page instead of the file; pass a token (--token) or try again later.")
    return response


def verify(wanted: Wanted, part: Path, received: Received) -> str:
    """Prove that the bytes are the ones wanted, and return the extension that is still to be added to the name.

    Raises Failure for wrong bytes, Still for a picture in place of a video. A published hash decides alone;
    without one, size and header do.
    """
    if wanted.kind == "image":
        extension, kind = sniff_file(part)
        if kind == "image" and wanted.media == "video":
            raise Still
        if wanted.media == "still" and f".preview{extension}" not in STILL_PREVIEWS:
            raise Still
        if not extension:
            raise Failure("broken", "The site sent something that isn't a picture, video or sound; try again later.")
        if not ends_well(part, extension):
            raise Failure("broken", "The site sent a file that is cut off; it was moved to corrupted/.")
        return extension
    if wanted.sha256 and received.sha256:
        if received.sha256 != wanted.sha256:
            raise Failure(
                "hash", "Its SHA256 didn't match the published one in three tries; it was moved to corrupted/."
            )
        return ""
    with part.open("rb") as file:
        head = file.read(64)
    if looks_like_page(head):
        raise Failure("page", "The site sent a page instead of the file; it was moved to corrupted/.")
    if wanted.size and abs(received.size - wanted.size) >= 1024:
        sentence = "It has {size} bytes instead of the published {published}; it was moved to corrupted/."
        raise Failure("size", sentence, size=received.size, published=wanted.size)
    if is_called_safetensors(wanted.path, wanted.format) and not is_safetensors(part):
        raise Failure("broken", "Its safetensors header was broken in three tries; it was moved to corrupted/.")
    return ""


def is_an_answer(wanted: Wanted, part: Path, received: Received) -> bool:
    """Return whether bytes with another SHA256 than the published one are whole, and so what the site has."""
    right_size = not wanted.size or same_size(received.size, wanted.size)
    return bool(wanted.sha256 and received.sha256) and right_size and is_entire(part, wanted.path, told=wanted.format)


def ends_well(path: Path, extension: str) -> bool:
    """Return whether a picture, video or sound ends as its form says. Raises Failure."""
    with disk_errors(path):
        return is_whole(path, extension)


def is_complete(path: Path) -> bool:
    """Return whether a picture, video or sound whose length nobody told is all there, as far as its form tells."""
    extension, _ = sniff_file(path)
    with disk_errors(path):
        return not extension or (is_whole(path, extension) and has_index(path, extension))


def check_json(path: Path, number: str) -> None:
    """Raise Failure if a JSON file of ours is not there, can't be read, or is about something else."""
    if size_of(path) is None:
        raise Failure("missing", "It is no longer on disk; run again to write it.")
    with disk_errors(path):
        data = path.read_bytes()
    facts = None
    with suppress(ValueError, RecursionError):
        facts = json.loads(data)
    if not isinstance(facts, dict):
        raise Failure("broken", "It can't be read any more; run again to replace it.")
    if str(number_at(facts, "id")) != number:
        raise Failure("changed", "It isn't about {number}; run again to replace it.", number=number)


def sniff_file(path: Path) -> tuple[str, str]:
    """Return extension and kind of a picture, video or sound by its first bytes, two empty words if it is none."""
    with disk_errors(path), path.open("rb", buffering=0) as file:
        return sniff_media(file.read(64))
