"""Sorting: which of the files of a library go where, as a plan; nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import is_link, is_link_itself
from ..util.moving import same_bytes
from ..util.names import plain_path
from ..util.text import printable
from .answers import File, Model, Version
from .chronicle import described
from .companions import companions
from .found import Found
from .homes import Homes, folder_for
from .journal import Job, Part, Step
from .ledger import Batch
from .library import Library
from .looks import Look
from .ordering import Decision, Item, Names, Orderer, stays_for_move
from .places import version_folder
from .settings import Settings

Ask = Callable[[Found], tuple[Model, Version]]
REPLACED = ".civitai/replaced"
_NO_FILE = File(0, {}, name="", type="Model", size=0, sha256="", primary=False, traits={})


class Shelving:
    """Says which folder below the output folder a file belongs into, by what `model.json` says of its model."""

    def __init__(self, library: Library, out: Library, layout: str, homes: Homes, ask: Ask) -> None:
        """`ask` asks the site about a file of which no page tells. Raises Failure."""
        self._out, self._layout, self._homes, self._ask = out, layout, homes, ask
        self._known = described(library)
        self._placed: dict[tuple[int, int, str, str], str] = {}
        for found in out.all_found():
            if found.layout == layout and found.status != "moved":
                self._placed[self._key(found)] = found.path

    def _key(self, found: Found) -> tuple[int, int, str, str]:
        return found.version, found.file, found.sha256, found.path.rpartition("/")[2]

    def folder(self, found: Found, name: str) -> str:
        """Return the folder of a file; where this layout has put it once, it stays. Raises Failure."""
        placed = self._placed.get(self._key(found))
        if placed is not None and os.path.lexists(self._out.at(placed)):
            return placed.rpartition("/")[0]
        model, version = self._known.get(found.version) or self._ask(found)
        file = next((each for each in version.files if each.id == found.file), _NO_FILE)
        folder = folder_for(self._out, self._layout, model, version, file)
        if folder == version_folder(self._layout, model, version):
            home = self._homes.of_model(self._out, self._layout, model)
            folder = self._homes.of_version(self._out, self._layout, home, version, model)
        path = self._out.place(folder, name).rpartition("/")[0]
        self._out.check_links(f"{path}/{name}")
        return path


@dataclass(frozen=True)
class Planned:
    """What is planned for the files of one library, and the batch that brought each of them up."""

    decisions: tuple[tuple[Batch, Decision], ...]
    failures: tuple[tuple[Batch, Found, Failure], ...]

    @property
    def steps(self) -> list[tuple[Batch, Decision, Step]]:
        """What there is to do."""
        return [(batch, each, each.step) for batch, each in self.decisions if each.step is not None]

    @property
    def is_in_order(self) -> bool:
        """Whether every file is in its place already."""
        return not self.failures and all(each.action == "right" for _, each in self.decisions)


class Planning:
    """Plans where the files of a library go; nothing is touched."""

    def __init__(self, library: Library, out: Library, settings: Settings, clock: Clock) -> None:
        self._library, self._out, self._settings, self._clock = library, out, settings, clock
        self._sources: dict[Path, Found] = {}
        self._companions: dict[Path, Mapping[str, tuple[str, ...]]] = {}
        self._along: dict[Path, frozenset[str]] = {}
        self._inodes: dict[Look, dict[tuple[int, int], list[str]]] = {}

    def plan(self, looks: Sequence[Look], shelving: Shelving, job: Job) -> Planned:
        """Return what becomes of each identified file; steps belong to `job`. Raises Failure."""
        items, failures = dict[str, tuple[Batch, Item]](), list[tuple[Batch, Found, Failure]]()
        for look in looks:
            for path, found in sorted(look.files.items()):
                try:
                    item = self._item(look, found, shelving)
                except Failure as failure:
                    failures.append((look.batch, found, failure))
                else:
                    if item is not None:
                        items.setdefault(path, (look.batch, item))
        return Planned(tuple(self._decided(items, job)), tuple(failures))

    def _decided(self, items: dict[str, tuple[Batch, Item]], job: Job) -> Iterator[tuple[Batch, Decision]]:
        settings, number = self._settings, (f"{job.id}/{each:06}" for each in count(job.next_number))
        root = Path(plain_path(self._out.folder))
        names, replaced = Names(root), root / Path(*REPLACED.split("/")) / job.id
        batches = {item.source: batch for batch, item in items.values()}
        ordered = [item for _, item in items.values()]
        if settings.organize == "hardlink":
            for decision in self._freed(ordered, number):
                yield batches[decision.item.source], decision
        orderer = Orderer(settings.organize, settings.on_collision, names, replaced, self._is_twin, number)
        for decision in orderer.decide(ordered):
            yield batches[decision.item.source], decision

    def _item(self, look: Look, found: Found, shelving: Shelving) -> Item | None:
        """Return a file to be put in order; None for one that isn't identified, or goes along with another."""
        seen, place = look.seen.get(found.path), Path(plain_path(self._library.at(found.path)))
        if not (found.is_identified and found.version and seen is not None and os.path.lexists(place)):
            return None
        self._list(place.parent)
        if place.name in self._along[place.parent]:
            return None
        others = [path for path in self._names_of(look, seen.inode) if path != found.path]
        links = [path for path in others if is_link(self._library.at(path))]
        is_a_link = is_link(place)
        if is_a_link and len(links) < len(others):
            return None  # it is looked after under its real name
        self._sources[place] = found
        stays = stays_for_move(place, is_inside=seen.beside, links=list(map(printable, links)))
        return Item(
            found, place, shelving.folder(found, place.name),
            tuple(map(place.with_name, self._companions[place.parent].get(place.name, ()))), seen.inode,
            stays if self._settings.organize == "move" else None,
        )  # fmt: skip

    def _names_of(self, look: Look, inode: tuple[int, int]) -> Sequence[str]:
        """Return all names of a file in a folder that was looked through."""
        if look not in self._inodes:
            found: dict[tuple[int, int], list[str]] = {}
            for each in look.survey.files:
                found.setdefault(each.inode, []).append(each.path)
            self._inodes[look] = found
        return self._inodes[look][inode]

    def _list(self, folder: Path) -> None:
        """Find out once what goes along with the model files of a folder. Raises OSError."""
        if folder not in self._companions:
            with os.scandir(folder) as entries:
                names = [each.name for each in entries if _is_file(each)]
            self._companions[folder] = companions(names)
            self._along[folder] = frozenset(chain.from_iterable(self._companions[folder].values()))

    def _is_twin(self, item: Item, place: Path) -> bool:
        """Return whether a file has the bytes of an item: by the logs if they know it, else byte by byte."""
        with suppress(OSError):
            if os.stat(place).st_size != item.found.size:
                return False
            if (known := self._known(place)) is not None and known.sha256 and item.found.sha256:
                return known.sha256 == item.found.sha256
            return same_bytes(item.source, place, self._clock)
        return False

    def _known(self, place: Path) -> Found | None:
        root = Path(plain_path(self._out.folder))
        known = self._sources.get(place)
        if known is None and place.is_relative_to(root):
            known = self._out.found(place.relative_to(root).as_posix())
        return known if known is not None and known.status != "moved" and known.is_as_it_was(place) else None

    def _freed(self, items: Iterable[Item], number: Iterator[str]) -> Iterator[Decision]:
        """Yield the copies of each file that become hard links to the first of them."""
        kept: dict[tuple[str, int], Item] = {}
        for item in items:
            if not item.found.sha256 or is_link(item.source):
                continue
            first = kept.setdefault((item.found.sha256, item.inode[0]), item)
            if first.inode != item.inode and is_inside(self._library, item.source):
                part = Part("free", first.source, item.source, item.found.size, item.found.mtime)
                yield Decision(item, "free", item.source, Step(next(number), "planned", (part,), item.found.sha256))


def _is_file(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.is_file(follow_symlinks=False) and not is_link_itself(entry.stat(follow_symlinks=False))
    return False


def is_inside(library: Library, place: Path) -> bool:
    """Return whether a place is in a library when all links on the way are resolved."""
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(plain_path(library.folder)))
