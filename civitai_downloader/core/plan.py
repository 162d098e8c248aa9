"""The plan of a dry run: a row for each version, with what stands in the way. It asks the site and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

from ..util.errors import Failure
from ..util.names import shown_path
from ..util.text import human_size, printable, scrub, shown_name
from .answers import Model, Version, text_at
from .catalogue import unless_archived
from .choice import choose_versions, is_named
from .chronicle import recall
from .fetch import decide
from .found import Found
from .ledger import Batch
from .library import Library
from .local import is_incomplete
from .ordering import Decision
from .outcome import report_found
from .places import Wanted
from .run import Run
from .settings import Settings
from .shelf import Shelf
from .sorting import Planned
from .targets import Target
from .which import is_excluded, may_fall_here
from .words import Words

Form = Literal["table", "tabs", "json"]
MISSING = {"archived": "archived", "taken-down": "taken down", "no-files": "no file of the kind asked for"}


@dataclass(frozen=True)
class Row:
    """What is planned for a version, or for another thing that is no model.

    `target` is its shortest link; `files` and `bytes` are those that are still to come, counted nowhere else in the
    plan; `pictures` those of the showcase, None where only the list of them would tell. `gallery` is how many pictures
    its gallery may bring besides (None: all). `obstacle` says what stands in the way, `open_bytes` is what nothing
    stands in the way of. For a file of a folder, `local` is its row in the report, and `to` where it would be put ("":
    it stays, None: nothing is put in order).
    """

    target: str
    name: str
    files: int = 0
    bytes: int = 0
    pictures: int | None = 0
    gallery: int | None = 0
    obstacle: str = ""
    open_bytes: int = 0
    local: Mapping[str, Any] | None = None
    to: str | None = None


class Plan:
    """Plans the targets of a run. `total` is how many bytes would be fetched, as far as sizes are published."""

    def __init__(self, run: Run, words: Words) -> None:
        self._run, self._words = run, words
        self._counted: set[tuple[str, str]] = set()
        self._shown: set[tuple[str, str]] = set()
        self.total = 0
        self._orders: dict[Library, Planned] = {}

    def rows(self, batch: Batch) -> Iterator[Row]:
        """Yield what a run would do for one target. Raises Failure."""
        target, settings = batch.entry.target, batch.entry.settings
        if is_excluded(target, settings):
            link = batch.entry.source.split(" ")[0]
            yield from self._once(batch, Row(link, link, obstacle=self._words("excluded")))
            return
        if target.kind == "local" and settings.organize:
            yield from (replace(row, name=printable(row.name)) for row in self._in_order(batch))
        elif target.kind == "local":
            yield from chain.from_iterable(self._once(batch, row) for row in self._found(batch))
        if target.kind in ("model", "version", "id", "hash"):
            with unless_archived(batch.entry.source):
                yield from self._of_model(batch, target)
        is_listing = target.kind in ("user", "tag", "collection")
        listed = chain.from_iterable(self._run.catalogue.listing(target, settings) if is_listing else ())
        for child in (each for each in listed if may_fall_here(each, settings)):
            if child.kind == "model":
                yield from self._of_model(batch, child, is_listed=True)
            else:
                yield from self._once(batch, Row(f"posts/{child.id}", f"post {child.id}", pictures=None))
        if target.kind in ("post", "image"):
            pictures = 1 if target.kind == "image" else None
            row = Row(f"{target.kind}s/{target.id}", f"{target.kind} {target.id}", pictures=pictures)
            yield from self._once(batch, row)
        if target.kind == "user" and target.part in ("", "images", "videos"):
            row = Row(f"user/{target.name}/{target.part or 'images'}", f"pictures of {target.name}", pictures=None)
            yield from self._once(batch, row)

    def _found(self, batch: Batch) -> Iterator[Row]:
        """Yield a row for each file of a folder, ordered by path: what it is, as far as that is known."""
        told = {status: self._words(status) for status in ("unknown", "gone", "hashed")}
        for look in self._run.visits.folders.looks:
            files = sorted(look.files.items()) if look.batch is batch else ()
            for path, found in files:
                is_open = is_incomplete(look, found)
                there = self._words("complete") if found.status == "success" and not is_open else ""
                obstacle = told.get(found.status, there) if found.status != "broken" else self._words.tell(found.reason)
                place, pictures = shown_name(path), None if is_open else 0
                name = found.name or place
                yield Row(place, name, pictures=pictures, obstacle=obstacle, local=report_found(found))

    def _in_order(self, batch: Batch) -> Iterator[Row]:
        """Yield a row for each file of a folder: from where to where it would be put, and how many bytes that moves."""
        looks, library = self._run.visits.folders.looks, batch.library
        if library not in self._orders:
            mine = [look for look in looks if look.library is library]
            self._orders[library] = self._run.organizer.plan(library, mine)[1]
        planned = self._orders[library]
        by_path = {each.item.found.path: each for _, each in planned.decisions if each.action != "free" or each.step}
        failed = {found.path: failure for _, found, failure in planned.failures}
        for look in looks:
            for path, found in sorted(look.files.items()) if look.batch is batch else ():
                yield self._row_in_order(library, found, by_path.get(path), failed.get(path))

    def _row_in_order(self, library: Library, found: Found, decision: Decision | None, failure: Failure | None) -> Row:
        obstacle, to, size = "" if found.is_identified else self._words("unknown"), "", 0
        if failure is not None:
            obstacle = self._words.tell(failure.sentence)
        elif decision is not None and decision.reason is not None:
            obstacle = self._words.tell(decision.reason)
        elif decision is not None and decision.step is None:
            obstacle, to = self._words("there already"), str(decision.target)
        elif decision is not None and decision.step is not None:
            to, size = str(decision.target), sum(part.size for part in decision.step.parts)
        place = shown_name(shown_path(library.at(found.path)))
        name, to = found.name or shown_name(found.path), shown_name(to)
        return Row(place, name, bytes=size, obstacle=obstacle, local=report_found(found), to=to)

    def _once(self, batch: Batch, row: Row) -> Iterator[Row]:
        """Yield a row unless it was there before and tells nothing new; count what would be fetched."""
        key = (str(batch.library.root), row.target)
        if key not in self._shown or row.files:
            self._shown.add(key)
            self.total += row.open_bytes
            yield replace(row, name=printable(row.name))

    def _of_model(self, batch: Batch, target: Target, *, is_listed: bool = False) -> Iterator[Row]:
        settings = batch.entry.settings
        if not self._run.catalogue.falls_here(target):
            return
        model, target = self._run.catalogue.resolve(target)
        if settings.types and not is_named(model.type, settings.types):
            return
        is_open = not is_excluded(target, settings, model.creator)
        chosen = choose_versions(model, target, settings) if is_open else []
        if not chosen and not is_listed:
            key = "excluded" if is_excluded(target, settings, model.creator) else "no version of the wanted base models"
            key = key if model.versions else "no published version"
            yield from self._once(batch, Row(str(model.id), model.name, obstacle=self._words(key)))
        shelves = self._shelves(batch, model, chosen)
        counted = shelves if settings.wants_files else []
        named = {shelf.version.id: shelf.wanted_files(self._run.site, target) for shelf in counted}
        wanted = [[each for _, each in named.get(shelf.version.id, ())] for shelf in shelves]
        fresh = [[each for each in files if _is_fetched(batch.library, each, force=settings.force)] for files in wanted]
        usage = self._usage(shelf.version for shelf, files in zip(shelves, fresh, strict=True) if files)
        for shelf, files, missing in zip(shelves, wanted, fresh, strict=True):
            yield from self._once(batch, self._of_version(shelf, target, files, missing, usage))

    def _shelves(self, batch: Batch, model: Model, chosen: Iterable[Version]) -> list[Shelf]:
        """Return the versions chosen with the folders that they have or will have."""
        library, settings, homes = batch.library, batch.entry.settings, self._run.homes
        home = homes.of_model(library, settings.layout, model)
        memory = recall(library, home, model)
        folders = [(each, homes.of_version(library, settings.layout, home, each, model)) for each in chosen]
        return [Shelf(model, each, settings, library, batch.entry.source, memory, folder) for each, folder in folders]

    def _of_version(
        self, shelf: Shelf, target: Target, wanted: list[Wanted], missing: list[Wanted], usage: Mapping[int, str]
    ) -> Row:
        """Return the row of a version of which `missing` is what would be fetched of the `wanted` files."""
        settings, version = shelf.settings, shelf.version
        named = shelf.missing(target, shelf.wanted_files(self._run.site, target)) if settings.wants_files else None
        if named is not None and named.reason != "taken-down":
            wanted = missing = []
        blocked = self._words(MISSING[named.reason]) if named is not None else ""
        if missing and not blocked:
            waits = next(filter(None, map(shelf.library.waits_until, missing)), "")
            blocked = self._obstacle(version, waits, usage)
        pictures, there = self._pictures(shelf)
        if not missing and not pictures and (wanted or there):
            told = self._words("there already")
        elif 0 < len(missing) < len(wanted):
            count = len(wanted) - len(missing)
            told = self._words("{count} of {total} files there already", count=count, total=len(wanted))
        else:
            told = ""
        files = [each for each in missing if self._is_first(shelf.library, each)]
        size = sum(each.size for each in files)
        has_gallery = settings.wants_images and settings.gallery
        return Row(
            target=f"{shelf.model.id}@{version.id}", name=shelf.name, files=len(files), bytes=size, pictures=pictures,
            gallery=settings.max_images if has_gallery else 0,
            obstacle=blocked or told, open_bytes=0 if blocked else size,
        )  # fmt: skip

    def _pictures(self, shelf: Shelf) -> tuple[int, int]:
        """Return how many showcase pictures would be fetched, and how many are there."""
        if not shelf.settings.wants_images:
            return 0, 0
        album, library = shelf.album(), shelf.library
        wanted = [album.wanted(image, library, shelf.source) for image in shelf.previews()]
        fetched = [each for each in wanted if _is_fetched(library, each, force=shelf.settings.force)]
        return sum(self._is_first(library, each) for each in fetched), len(wanted) - len(fetched)

    def _is_first(self, library: Library, wanted: Wanted) -> bool:
        """Return whether a thing is counted for the first time; the same bytes are fetched once."""
        keys = {(wanted.kind, f"{library.root} {wanted.id}"), ("sha256", wanted.sha256 or wanted.id)}
        is_first = not keys & self._counted
        self._counted |= keys
        return is_first

    def _obstacle(self, version: Version, waits: str, usage: Mapping[int, str]) -> str:
        """Return what stands in the way of a version's files, or "". `waits` is the end of early access, or ""."""
        if usage.get(version.id, "Download") != "Download":
            return self._words("generator only")
        if early := version.early_until or waits:
            key = "early access, to be bought" if early == "always" else "early access until {date}"
            return self._words(key, date=early[:10])
        settings = self._run.settings
        if not (settings.token or settings.cookies) and self._run.site.needs_token(version.id):
            return self._words("needs a token")
        return ""

    def _usage(self, versions: Iterable[Version]) -> dict[int, str]:
        """Return the site's word for how each version may be used, as far as it says so; all are asked for together."""
        asked = list(versions)
        found: dict[int, str] = {}
        first = (next((file.sha256 for file in version.files if file.sha256), "") for version in asked)
        digests = [digest.upper() for digest in first if digest]
        with suppress(Failure):
            found = self._run.site.usage_of(digests) if digests else {}
        for version in asked:
            if version.id not in found:
                with suppress(Failure):
                    found[version.id] = text_at(self._run.site.version(version.id), "usageControl") or "Download"
        return found


def _is_fetched(library: Library, wanted: Wanted, *, force: bool) -> bool:
    return decide(wanted, library.facts(wanted), force=force) == "fetch"


# --- How it is shown -------------------------------------------------------------------------------


def shown_row(row: Row, form: Form) -> str:
    """Return a row as a line: JSON, tab-separated with bytes in digits, or the line of a table."""
    if form == "json":
        plain = {name: value for name, value in vars(row).items() if name not in ("open_bytes", "local", "to")}
        if row.to is not None:
            plain |= {"from": row.target, "to": row.to}
        return json.dumps({**(row.local or {}), **plain}, ensure_ascii=False)
    if row.to is not None:
        return _row_to(row, row.to, form)
    pictures = "?" if row.pictures is None else str(row.pictures)
    if form == "tabs":
        target = printable(scrub(row.target))
        return "\t".join([target, str(row.files), str(row.bytes), pictures, row.obstacle, row.name])
    size = human_size(row.bytes) if row.bytes or not row.files else "?"
    if row.local is not None:
        name = row.name if row.name == row.target else f"{row.target}: {row.name}"
        return printable(name) + (f"  ({row.obstacle})" if row.obstacle else "")
    return f"{row.files:>5}  {size:>9}  {pictures:>8}  {row.name}" + (f"  ({row.obstacle})" if row.obstacle else "")


def _row_to(row: Row, to: str, form: Form) -> str:
    """Return the row of a file that would be put in order: tab-separated, or the line of a table."""
    ends = printable(row.target), printable(to)
    if form == "tabs":
        return "\t".join([*ends, str(row.bytes), row.obstacle, row.name])
    way = f"{ends[0]} → {ends[1]}" if to else ends[0]
    return f"{human_size(row.bytes):>9}  {way}" + (f"  ({row.obstacle})" if row.obstacle else "")


def heading(words: Words, settings: Settings) -> str:
    """Return the heading of the table; the rows of folders need none unless their files are put in order."""
    if settings.organize:
        return f"{words('Size'):>9}  {words('From → to')}"
    return f"{words('Files'):>5}  {words('Size'):>9}  {words('Pictures'):>8}  {words('Version')}"
