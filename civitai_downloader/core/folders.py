"""Folders: which model files are in a folder of the user's, and what in it only looks like one."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..util.errors import Sentence
from ..util.files import is_link_itself
from ..util.names import name_key
from ..util.trees import Branch, Tree
from .data import read_data

_CLOUD = 0x441000  # Windows: offline, recall on open, recall on data access
_DATALESS = 0x40000000  # macOS: a file whose content is in iCloud

MOST_NAMED = 20  # of what is wrong in a folder, on the screen; the report has all
IN_PARTS = Sentence("It is one model in many files (Diffusers), which aren't looked up; name one to look it up.")
SHARDS = Sentence("It lists the parts of one model (shards), which aren't looked up; name one to look it up.")
IN_THE_CLOUD = Sentence("It is in the cloud only; make it available on this disk, then run again.")
LEFT_OVER = Sentence("It was left behind by a download or an edit that didn't finish; finish that, or delete it.")
BROKEN_LINK = Sentence("It is a link to a file that isn't there; correct or delete it.")
NO_FILE = Sentence("It is a pipe, a socket or a device instead of a file; move it away.")


@dataclass(frozen=True)
class Seen:
    """A file that has the ending of a model file: its `size` in bytes, and its time in nanoseconds.

    `path` is relative to the library's root, with `/`; a name that is not in the system's encoding keeps its bytes
    (`surrogateescape`). Names of the same file have the same `inode` (device and number); where the disk gives no
    numbers, each file has one of its own below zero. Nothing may be written `beside` a file behind a link that leads
    out of the library.
    """

    path: str
    size: int
    mtime: int
    inode: tuple[int, int]
    beside: bool


@dataclass(frozen=True)
class Aside:
    """A file or folder that is named and not hashed, and why."""

    path: str
    reason: Sentence


@dataclass(frozen=True)
class Survey:
    """What is in a folder; `others` counts the files of kinds that may hold models but aren't looked up."""

    files: tuple[Seen, ...]
    aside: tuple[Aside, ...]
    unreadable: tuple[Aside, ...]
    others: int


def survey(root: Path, start: str, skip: Sequence[str], check: Callable[[], None]) -> Survey:
    """Look for model files in `start`, a folder or a file below the library's `root` (`""` is the root itself).

    `start` is relative, with `/` but none at its end. A root that is itself put aside or unreadable is called `.`.
    A folder of the table "not entered" in `folders.json`, or one that a glob of `skip` names (see `skips`), is entered
    only if it is `start`. A file stands there under each of its names. No file is opened. `check` is called again and
    again and may raise.
    """
    found = _Search(root, start, skip)
    if os.path.isdir(found.tree.at(start)):
        for branch, entries in found.tree.walk(start):
            check()
            found.add_folder(branch, entries, check)
    elif start:
        found.add_named(start)
    return Survey(
        tuple(found.files),
        tuple(Aside(*each) for each in found.aside.items()),
        tuple(Aside(*each) for each in found.unreadable.items()),
        found.others,
    )


def instead_of_models(place: Path, skip: Sequence[str]) -> list[Aside] | None:
    """Return what lies in a folder in the place of model files, or None if it holds one or can't be read whole."""
    found = _Search(place, "", skip)
    for branch, entries in found.tree.walk():
        found.add_folder(branch, entries, lambda: None)
        if found.files or found.unreadable:
            return None
    return None if found.unreadable else [Aside(*each) for each in found.aside.items()]


def is_model(name: str) -> bool:
    """Return whether a name has the ending of a model file, in capitals or not."""
    return name.lower().endswith(_endings("models"))


def stays_alone(name: str) -> bool:
    """Return whether a file that is no model file goes along with none: unfinished, or of a kind that may hold one."""
    return name.lower().endswith((*_endings("left over"), *_endings("unfinished"), *_endings("others")))


def skips(globs: Iterable[str]) -> Callable[[str], bool]:
    r"""Return what says whether one of the globs names a path, which is relative to the folder given.

    A glob without `/` is matched against each name at any depth. One with `/`, also at its beginning, is matched
    against the whole path. `*` and `?` stop at `/`, `**` does not. `\` is read as `/`, and one at the end changes
    nothing. Capitals and Unicode forms make no difference.
    """
    plain = [re.sub(r"^(\./)+", "/", name_key(each).replace("\\", "/")).rstrip("/") for each in globs]
    names = _any_of(_pattern(each) for each in plain if "/" not in each)
    paths = _any_of(_pattern(each.lstrip("/")) for each in plain if "/" in each)

    def is_skipped(path: str) -> bool:
        """Return whether a glob names this path, or the name at its end."""
        path = name_key(path)
        return bool(names.fullmatch(path.rpartition("/")[2]) or paths.fullmatch(path))

    return is_skipped


class _Search:
    """What has been found so far."""

    def __init__(self, root: Path, start: str, skip: Sequence[str]) -> None:
        self.tree = Tree(root, self._enters, self._refused)
        self.files, self.others = list[Seen](), 0
        self.aside, self.unreadable = dict[str, Sentence](), dict[str, Sentence]()
        self._pipelines = set[str]()
        self._is_skipped, self._above = skips(skip), len(start) + 1 if start else 0

    def add_folder(self, branch: Branch, entries: Sequence[os.DirEntry[str]], check: Callable[[], None]) -> None:
        """Add the files of a folder, but for hidden ones."""
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        names = {name_key(entry.name): entry.name for entry in shown}
        parts = self._parts(branch.path, names, [entry.name for entry in shown if is_model(entry.name)])
        for entry in shown:
            kind, path = _kind(entry.name), _joined(branch.path, entry.name)
            if kind and entry.name not in parts and not self._is_skipped(path[self._above :]):
                check()
                if kind == "models" and any(name_key(entry.name) + each in names for each in _endings("unfinished")):
                    kind = "left over"
                self._add(path, kind, partial(entry.stat, follow_symlinks=False), inside=branch.inside)

    def add_named(self, path: str) -> None:
        """Add a file that was named itself."""
        place, inside = self.tree.at(path), self.tree.is_inside(path.rpartition("/")[0])
        is_unfinished = any(os.path.lexists(place + ending) for ending in _endings("unfinished"))
        try:
            listed = os.lstat(place)
        except FileNotFoundError:
            return
        except OSError as error:
            self._refused(path, error)
        else:
            self._add(
                path, "left over" if is_unfinished and is_model(path) else _kind(path), lambda: listed, inside=inside
            )

    def _enters(self, path: str) -> bool:
        is_of_others = _names("not entered").fullmatch(name_key(path.rpartition("/")[2]))
        return not (is_of_others or self._is_skipped(path[self._above :]))

    def _refused(self, path: str, error: OSError) -> None:
        path = path or "."
        if error.errno == errno.ENAMETOOLONG:
            self.unreadable[path] = Sentence("Its path is too long to be read; move it nearer to the top.")
        else:
            reason = error.strerror or error
            self.unreadable[path] = Sentence("It can't be read ({reason}); check its permissions.", reason=reason)

    def _parts(self, folder: str, names: Mapping[str, str], weights: Sequence[str]) -> set[str]:
        """Return which of the weights in a folder are parts of a model, and put that model aside.

        They are parts of a Diffusers model below `model_index.json` or beside `config.json`, if all weights in the
        folder have the names that Diffusers gives; and shards are, beside their index. `names` has the names of all
        files in the folder by the form in which disks compare them.
        """
        if "model_index.json" in names:
            self._pipelines.add(folder)
        if not weights:
            return set()
        pipeline = next((each for each in _upwards(folder) if each in self._pipelines), None)
        is_in_parts = pipeline is not None or "config.json" in names
        if is_in_parts and all(_names("parts").fullmatch(name_key(each)) for each in weights):
            self.aside.setdefault((folder if pipeline is None else pipeline) or ".", IN_PARTS)
            return set(weights)
        shards = {name for name in weights if _names("shards").fullmatch(name_key(name))}
        index = [name for name in names if _names("index of shards").fullmatch(name)] if shards else []
        self.aside.update((_joined(folder, names[name]), SHARDS) for name in index)
        return shards if index else set()

    def _add(self, path: str, kind: str, look: Callable[[], os.stat_result], *, inside: bool) -> None:
        """Add a file of a kind. It is looked at only if it may be a model; it may be gone by then."""
        if kind == "left over":
            self.aside[path] = LEFT_OVER
        self.others += kind == "others"
        if kind != "models":
            return
        try:
            found = _followed(self.tree.at(path), look())
        except FileNotFoundError:
            return
        except OSError as error:
            self._refused(path, error)
            return
        if reason := _why_aside(found):
            self.aside[path] = reason
        else:
            inode = _number_of(found, len(self.files))
            self.files.append(Seen(path, found.st_size, found.st_mtime_ns, inode, inside))


def _kind(name: str) -> str:
    """Return under which word of the table a name has its ending: `models`, `others`, `left over` or none ("")."""
    name = name.lower()
    if name.endswith(_endings("left over")) and is_model(name.rpartition(".")[0]):
        return "left over"
    return next((kind for kind in ("models", "others") if name.endswith(_endings(kind))), "")


def _number_of(found: os.stat_result, number: int) -> tuple[int, int]:
    """Return the inode of the file of this number, or one of its own where the disk has none."""
    return found.st_dev, found.st_ino or -1 - number


def _followed(place: str, listed: os.stat_result) -> os.stat_result:
    """Return what is known of a file, of a link what is known of its target, or of itself if that isn't there.

    What a folder of Windows lists lacks the inode. A file in a cloud is not even opened for that.
    """
    if _is_in_a_cloud(listed) or (listed.st_ino and not is_link_itself(listed)):
        return listed
    try:
        return os.stat(place)
    except OSError as error:
        if is_link_itself(listed) and error.errno in (errno.ENOENT, errno.ELOOP):
            return listed
        raise


def _why_aside(found: os.stat_result) -> Sentence | None:
    """Return why something with the name of a model is not to be read, None if it is."""
    if is_link_itself(found):
        return BROKEN_LINK
    if _is_in_a_cloud(found):
        return IN_THE_CLOUD
    return None if stat.S_ISREG(found.st_mode) else NO_FILE


def _is_in_a_cloud(found: os.stat_result) -> bool:
    """Return whether reading a file would download it."""
    return bool(getattr(found, "st_file_attributes", 0) & _CLOUD or getattr(found, "st_flags", 0) & _DATALESS)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder and those above it, up to the root."""
    yield folder
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder


# --- Tables and globs ------------------------------------------------------------------------------


@cache
def _table() -> Any:
    """Return `folders.json`."""
    return json.loads(read_data("folders.json"))


@cache
def _endings(kind: str) -> tuple[str, ...]:
    return tuple(_table()[kind])


@cache
def _names(kind: str) -> re.Pattern[str]:
    return _any_of(map(translate, _table()[kind]))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches what one of these does, and nothing if there are none."""
    return re.compile("|".join(patterns) or "(?!)", re.S)


_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.S)
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _pattern(glob: str) -> str:
    """Return a glob as a regular expression."""
    return "".join(_WILD.get(each) or _one(each) for each in _GLOB.findall(glob))


def _one(token: str) -> str:
    """Return a pattern of one character: itself, or one of those in brackets."""
    if len(token) == 1:
        return re.escape(token)
    return "(?!/)" + translate(token)[len("(?s:") : -len(r")\Z")]
