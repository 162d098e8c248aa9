"""Owners: whose file lies at the place of a model, and what becomes of it: nothing of anybody's is lost."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import move_unless_taken, size_of
from .arrivals import place_of_wrong
from .library import Library
from .moved import MovedFiles, follow
from .places import Wanted, same_size
from .records import Key, Record
from .weights import Weights, recognise

log = logging.getLogger(__name__)


class Somebodys(Failure):
    """A place of ours holds somebody's file."""

    def __init__(self) -> None:
        words = "Another file is in its place and was kept; move it away, or add --force to replace it."
        super().__init__("foreign", words)


def adopt(wanted: Wanted, library: Library, clock: Clock, *, check: bool) -> Weights | None:
    """Return what is known of the file at the wanted place if it is the one wanted; None if it is to be fetched.

    A damaged one goes on record as wrong, so that it is set aside when another takes its place; an older one of the
    site's is left where it is. With `check` the published hashes count. Raises Failure for somebody's file in a place
    of ours, and Stopped.
    """
    path, own = library.at(wanted.path), library.own_at(wanted)
    expected = _expected(wanted, own, size_of(path) or 0, check=check)
    verdict, seen = recognise(path, expected, clock, wanted.format)
    if verdict in ("same", "edited"):
        compared = check or own is not None
        return replace(seen, autov3=seen.autov3 or expected.autov3) if compared else Weights(seen.size)
    if own is None:
        return None
    if not own.fits(wanted.sha256):
        verdict, _ = recognise(path, Weights(own.size, own.sha256, own.autov3), clock, wanted.format)
    if verdict == "foreign":
        raise Somebodys
    if verdict == "damaged":
        log.warning("%s is damaged; it will be moved to corrupted/ once it has been fetched again.", wanted.path)
        if own.status != "failed":
            wrong, key = replace(own, status="failed"), (wanted.kind, wanted.id)
            library.record(key, wrong, source=wanted.source, reason="It is damaged on disk.")
    return None


def _expected(wanted: Wanted, own: Record | None, size: int, *, check: bool) -> Weights:
    """Return what is known of the file that belongs at a place where one of `size` bytes lies.

    The site publishes sizes in KiB, and what we had ourselves is known to the byte.
    """
    if own is not None and own.fits(wanted.sha256):
        return Weights(own.size, own.sha256, own.autov3 or wanted.autov3)
    near = size if same_size(size, wanted.size) else wanted.size
    return Weights(near, wanted.sha256, wanted.autov3) if check else Weights(near)


def refuse(library: Library, wanted: Wanted, came: str) -> None:
    """Put on record that the site's own bytes have the SHA256 `came`, and not the one that it publishes."""
    record = library.own(wanted) or Record("failed", wanted.path)
    status = "success" if record.status == "success" else "failed"
    record = replace(record, status=status, until="", refused=wanted.sha256, came=came)
    library.record((wanted.kind, wanted.id), record, source=wanted.source, reason="The published SHA256 is wrong.")


def take_refused(library: Library, wanted: Wanted, clock: Clock) -> Weights | None:
    """Give a file that was refused for its SHA256 its place after all; None if it is not in `corrupted/` any more.

    Raises Failure and Stopped.
    """
    own, aside = library.own(wanted), library.at(place_of_wrong(library, wanted))
    if own is None or not own.came or size_of(aside) is None:
        return None
    _, seen = recognise(aside, Weights(size_of(aside) or 0, own.came), clock, wanted.format)
    is_it = seen.sha256 == own.came and move_unless_taken(aside, library.at(wanted.path))
    return seen if is_it else None


def prove(wanted: Wanted, path: Path, clock: Clock) -> Weights:
    """Return the hashes of a file that was taken without comparing them; say it if they are not those published.

    It was taken all the same, so it stays.
    """
    known = Weights(size_of(path) or 0, wanted.sha256, wanted.autov3)
    verdict, seen = recognise(path, known, clock, wanted.format)
    if verdict not in ("same", "edited"):
        log.warning("%s was taken with --no-verify and doesn't match the published SHA256; it is kept.", wanted.name)
    return seen


def recheck(library: Library, key: Key, record: Record, moved: MovedFiles, clock: Clock) -> Record:
    """Return the new record of a model file that an app has edited or that was moved.

    Raises Failure for what is missing, damaged or somebody else's, and Stopped.
    """
    path = library.at(record.path)
    known, is_gone = Weights(record.size, record.sha256, record.autov3), size_of(path) is None
    verdict, seen = ("foreign", known) if is_gone else recognise(path, known, clock)
    if verdict == "foreign":
        found = moved.find(library, key, record, record.home or record.path)
        if found is not None and not found.is_copy:
            follow(library, key, found.record, record, "--verify")
            return found.record
        if is_gone:
            raise Failure("missing", "It is no longer on disk; run again to fetch it.")
        raise Somebodys
    if verdict == "damaged":
        raise Failure("changed", "Its contents have changed since it was verified; run again to fetch it.")
    published = record.published or (record.sha256 if record.sha256 != seen.sha256 else "")
    record = replace(record, status="success", size=seen.size, sha256=seen.sha256)
    return replace(record, autov3=seen.autov3, published=published)
