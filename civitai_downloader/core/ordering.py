"""Ordering: where each identified file of a folder belongs, and what is done where something has its name already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

from ..util.errors import Sentence
from ..util.files import is_link, read_regular
from ..util.moving import is_one_file, is_symlink_to
from ..util.names import name_key, plain_path, shown_path, split_name
from .companions import behind_stem
from .found import Found
from .journal import Part, Step, Way
from .wholepaths import ENDING, paths_in

BREAKS = Sentence("Workflows and prompts that name a file by its path don't find it once it has been moved.")

Relation = Literal["free", "right", "twin", "ours", "other", "folder"]
Action = Literal["place", "right", "free", "stay", "rename", "replace", "fail"]

_BY_HINDRANCE: tuple[Relation, ...] = ("free", "twin", "other", "folder", "ours")
_ON_COLLISION: dict[str, Action] = {"skip": "stay", "rename": "rename", "overwrite": "replace", "fail": "fail"}


def action_for(relation: Relation, way: str, on_collision: str) -> Action:
    """Return what is done with a file, by what lies at the place where it belongs.

    Nothing does (`free`); itself, or what this way would make of it (`right`); another file with the same bytes
    (`twin`); something of the same job (`ours`), which is never replaced; any `other` file; or a `folder`.
    """
    if relation in ("free", "right"):
        return "place" if relation == "free" else "right"
    if relation == "twin" and way in ("copy", "hardlink"):
        return "right" if way == "copy" else "free"
    action = _ON_COLLISION[on_collision]
    return "stay" if action == "replace" and relation in ("ours", "folder") else action


@dataclass(frozen=True)
class Item:
    """A file to be put in order: where it lies, the folder below the output folder that it belongs into, `companions`.

    `inode` is its device and number. `sha256` was computed, or is "". `stays` says why it is not to be moved.
    """

    found: Found
    source: Path
    folder: str
    companions: tuple[Path, ...]
    inode: tuple[int, int]
    stays: Sentence | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of an item: its step, if there is something to do, or why there is not."""

    item: Item
    action: Action
    target: Path
    step: Step | None = None
    reason: Sentence | None = None


class Names:
    """Which names are taken below a folder, as disks compare them that ignore capitals or Unicode forms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lists: dict[Path, dict[str, list[str]]] = {}
        self._claimed: dict[str, Path] = {}
        self._left: set[str] = set()

    def key(self, place: Path) -> str:
        """Return what all spellings of a place have in common."""
        return name_key(str(plain_path(place)))

    def at(self, place: Path) -> Path | None:
        """Return what lies at a place, however that is spelled, or None."""
        folders = [self.root]
        for part in place.relative_to(self.root).parts:
            folders = [folder / name for folder in folders for name in self._names_in(folder).get(name_key(part), ())]
        there = [each for each in folders if str(each) not in self._left]
        return place if place in there else next(iter(there), None)

    def _names_in(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._lists:
            found: dict[str, list[str]] = {}
            with suppress(OSError):
                for name in sorted(os.listdir(folder)):
                    found.setdefault(name_key(name), []).append(name)
            self._lists[folder] = found
        return self._lists[folder]

    def claimed(self, place: Path) -> Path | None:
        """Return the source of what this job puts at a place, or None."""
        return self._claimed.get(self.key(place))

    def hold(self, place: Path, source: Path) -> None:
        """Note that a place is taken by this job, for what lies at `source` now."""
        self._claimed[self.key(place)] = source

    def claim(self, part: Part) -> None:
        """Note that a part will be at its target, and no longer at its source if it is moved."""
        self.hold(part.target, part.source)
        if part.way == "move":
            self._left.add(str(part.source))


class Orderer:
    """Decides about items, in an order in which a name is free when it is needed."""

    def __init__(
        self,
        way: str,
        on_collision: str,
        names: Names,
        replaced: Path,
        is_twin: Callable[[Item, Path], bool],
        number: Iterator[str],
    ) -> None:
        """`replaced` is where files wait that were replaced, `number` gives steps their ids.

        `is_twin` says whether another file has the bytes of an item.
        """
        self._way, self._on_collision, self._names, self._replaced = way, on_collision, names, replaced
        self._is_twin, self._number = is_twin, number

    def decide(self, items: Iterable[Item]) -> list[Decision]:
        """Return what becomes of each item; those in their places come first, and no other gets their names.

        One whose name is held by another that will go comes after that.
        """
        left, made = list[Item](), list[Decision]()
        for item in items:
            if self._is_in_place(item, self._plain(item)):
                made.append(self._settled(item, self._plain(item)))
            else:
                left.append(item)
        moving = {str(item.source) for item in left if item.stays is None} if self._way == "move" else set[str]()
        while left:
            waiting = list[Item]()
            for item in left:
                there = self._names.at(self._plain(item))
                waits = there is not None and str(there) in moving and there != item.source
                if waits and self._names.claimed(self._plain(item)) is None:
                    waiting.append(item)
                else:
                    moving.discard(str(item.source))
                    made.append(self._one(item))
            if len(waiting) == len(left):  # they wait for each other: none of them is replaced
                made += [self._stay(item, self._plain(item)) for item in waiting]
                break
            left = waiting
        return made

    def _plain(self, item: Item) -> Path:
        return self._place(item, item.source.name)

    def _place(self, item: Item, name: str) -> Path:
        return self._names.root / Path(*item.folder.split("/")) / name

    def _one(self, item: Item) -> Decision:
        """Return what becomes of an item, and claim the names that it gets."""
        for stem in self._stems(item):
            target = self._place(item, stem + split_name(item.source.name)[1])
            relation = self._relation(item, target)
            if item.stays is not None and relation != "right":
                return Decision(item, "stay", target, reason=item.stays)
            place, parts = target, tuple[Part, ...]()
            if self._action(relation) in ("place", "replace"):
                parts = tuple(self._parts(item, target))
                relation, place = self._worst(relation, target, parts[1:])
            if (action := self._action(relation)) != "rename":
                return self._decided(item, action, place, parts)
        raise AssertionError("there is always a free name")

    def _action(self, relation: Relation) -> Action:
        return action_for(relation, self._way, self._on_collision)

    def _worst(self, relation: Relation, target: Path, companions: Iterable[Part]) -> tuple[Relation, Path]:
        """Return what hinders an item and its companions most, and where that lies."""
        found = [(relation, target), *((self._taken(part.target), part.target) for part in companions)]
        return max(found, key=lambda each: _BY_HINDRANCE.index(each[0]))

    def _taken(self, place: Path) -> Relation:
        """Return what lies at the place of a companion."""
        if self._names.claimed(place) is not None:
            return "ours"
        there = self._names.at(place)
        return "free" if there is None else "folder" if there.is_dir() else "other"

    def _decided(self, item: Item, action: Action, target: Path, parts: Sequence[Part]) -> Decision:
        if action in ("stay", "fail"):
            return replace(self._stay(item, target), action=action)
        if action == "right":
            return self._settled(item, target)
        if action == "free":
            parts = [self._free(item, target)]
        elif action == "replace":
            parts = [self._replacing(part) for part in parts]
        for part in parts:
            self._names.claim(part)
        step = Step(next(self._number), "planned", tuple(parts), item.found.sha256)
        return Decision(item, action, step.main.target, step)

    def _settled(self, item: Item, target: Path) -> Decision:
        """Return that an item stays in its place, and keep the names there from others."""
        places = {item.source: target, **{each: _beside(target, item.source, each) for each in item.companions}}
        for source, place in places.items():
            if self._names.at(place) is not None:
                self._names.hold(place, source)
        return Decision(item, "right", target)

    def _stay(self, item: Item, target: Path) -> Decision:
        words = Sentence("{path} is taken by another file, so it stays where it is.", path=shown_path(target))
        return Decision(item, "stay", target, reason=words)

    def _stems(self, item: Item) -> Iterator[str]:
        """Yield the stems that an item may get: its own, then those with the id of its file, and a number."""
        stem = split_name(item.source.name)[0]
        yield stem
        tail = f"-{item.found.file}" if item.found.file else ""
        if tail and not stem.endswith(tail):
            yield stem + tail
        yield from (f"{stem}{tail}-{number}" for number in count(2))

    def _relation(self, item: Item, target: Path) -> Relation:
        """Return what lies at a target, as `action_for` understands it."""
        if (other := self._names.claimed(target)) is not None:
            is_same = self._way != "move" and self._is_twin(item, other)
            return "right" if is_same else "ours"
        there = self._names.at(target)
        if there is None:
            return "free"
        if self._is_in_place(item, target):
            return "right"
        if there == item.source:
            return "free"
        if there.is_dir():
            return "folder"
        return "twin" if not is_link(there) and self._is_twin(item, there) else "other"

    def _is_in_place(self, item: Item, target: Path) -> bool:
        """Return whether an item, or what this way would make of it, lies at a target."""
        there = self._names.at(target)
        if there is None:
            return False
        if there == item.source:  # the disk says whether a name that differs in capitals only is another one
            return self._way != "move" or os.path.lexists(target)
        return is_one_file(item.source, there) or (self._way == "symlink" and is_symlink_to(there, item.source))

    def _parts(self, item: Item, target: Path) -> Iterator[Part]:
        way: Way = self._way  # type: ignore[assignment]
        yield Part(way, item.source, target, item.found.size, item.found.mtime)
        for source in item.companions:
            with suppress(OSError):
                seen = os.lstat(source)
                paths = paths_in(read_regular(source)) if source.name.endswith(ENDING) else {}
                own: Way = "copy" if paths and way != "move" else way
                yield Part(
                    own, source, _beside(target, item.source, source), seen.st_size, seen.st_mtime_ns, paths=paths
                )

    def _free(self, item: Item, target: Path) -> Part:
        there = self._names.at(target) or target
        seen = os.lstat(there)
        return Part("free", item.source, there, seen.st_size, seen.st_mtime_ns)

    def _replacing(self, part: Part) -> Part:
        """Return a part that lets what has its name wait elsewhere."""
        there = self._names.at(part.target)
        if there is None:
            return part
        return replace(part, target=there, replaced=self._replaced / there.relative_to(self._names.root))


def _beside(target: Path, model: Path, companion: Path) -> Path:
    """Return where a companion of a model file goes: it keeps its name, unless the model file gets another stem."""
    stem = split_name(target.name)[0]
    if stem == split_name(model.name)[0]:
        return target.with_name(companion.name)
    return target.with_name(stem + behind_stem(companion.name, model.name))


def stays_for_move(place: Path, *, is_inside: bool, links: Sequence[str]) -> Sentence | None:
    """Return why a file is not moved: it is behind a link, or what a link in the library leads to."""
    if is_link(place) or not is_inside:
        return Sentence("It lies behind a link, and what a link leads to isn't moved; use --organize symlink or copy.")
    if links:
        return Sentence(
            "The link {link} leads to it, so it isn't moved; use --organize symlink or copy.", link=links[0]
        )
    return None
