"""Shares: which part of the work falls to one of several copies of a run, as it was told or as a batch engine tells."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.errors import OptionError
from .data import read_data

MOST = 100_000  # copies
NAME = "[1-9][0-9]{0,5}-of-[1-9][0-9]{0,5}"  # what the files of a copy have in their names
_WRITTEN = re.compile(r"(?:([0-9]{1,6})|auto)(?:/([0-9]{1,6}))?", re.I)


@dataclass(frozen=True)
class Share:
    """The part of copy `index` of `count` copies, counted from 1."""

    index: int
    count: int

    def __post_init__(self) -> None:
        """Raise OptionError for a copy that can't be one of so many."""
        if not 1 <= self.index <= self.count <= MOST:
            words = "--shard {index}/{count} isn't possible; count the copies from 1 to their number, at most {most}."
            raise OptionError(words, index=self.index, count=self.count, most=MOST)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def name(self) -> str:
        """What the files of this copy have in their names, for example `3-of-8`."""
        return f"{self.index}-of-{self.count}"

    @property
    def rank(self) -> int:
        """A number that no other share has."""
        return self.count << 17 | self.index

    def has(self, kind: str, thing_id: int) -> bool:
        """Return whether a model, post or picture falls to this copy: the same on every machine and in every run."""
        digest = hashlib.sha256(f"{kind}/{thing_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


def name_for(name: str, share: Share | None) -> str:
    """Return what a file at the top of an output folder is called: `report.json`, for a copy `report.3-of-8.json`."""
    stem, _, ending = name.rpartition(".")
    return name if share is None else f"{stem}.{share.name}.{ending}"


# What one run alone can do, by the names of its options.
_ALONE = "organize undo updates update verify refilter page idm compact krita".split()


def share_from(given: Mapping[str, Any], environment: Mapping[str, str]) -> Share:
    """Return the share that the options ask for. Raises OptionError, also for options that don't go with it."""
    alone = next((name for name in _ALONE if given.get(name)), "")
    if alone:
        words = "--shard doesn't go with --{option}, which one run does alone; leave one of them out."
        raise OptionError(words, option=alone)
    return read_share(given["shard"], environment)


def files_of_copies(folder: Path, name: str) -> dict[Share, Path]:
    """Return the files of copies that lie in a folder under a name, as `failed.3-of-8.txt` for `failed.txt`.

    The folder is listed, which shows what other machines have made. A link is none of them.
    """
    stem, _, ending = name.rpartition(".")
    pattern, found = re.compile(rf"{re.escape(stem)}\.({NAME})\.{ending}"), {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            told = pattern.fullmatch(entry.name)
            index, count = map(int, told[1].split("-of-")) if told else (0, 0)
            if 0 < index <= count <= MOST and entry.is_file(follow_symlinks=False):
                found[Share(index, count)] = folder / entry.name
    return found


def read_share(text: str, environment: Mapping[str, str]) -> Share:
    """Return the share that `I/N`, `auto` or `auto/N` stands for; a batch engine tells by the environment.

    Raises OptionError.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or (found[1] and not found[2]):
        raise OptionError("--shard: {value!r} must be I/N, auto or auto/N, for example 3/8.", value=text)
    index, count = int(found[1] or 0), int(found[2] or 0)
    return Share(index, count) if found[1] else _of_engine(environment, count if found[2] else None)


def _of_engine(environment: Mapping[str, str], count: int | None) -> Share:
    """Return the share of this task of a batch engine; `count` is how many copies there are, if it was given."""
    engines = json.loads(read_data("engines.json"))
    running = [engine for engine, names in engines.items() if environment.get(names["index"])]
    if not running:
        words = "--shard auto: no batch engine gives this process a number; pass --shard I/N, for example 3/8."
        raise OptionError(words)
    if len(running) > 1:
        words = "--shard auto: several engines give this process a number ({engines}); pass --shard I/N."
        raise OptionError(words, engines=", ".join(engines[each]["index"] for each in running))
    engine = engines[running[0]]
    told = _count_told(engine, environment)
    if told and count is not None and told != count:
        words = "--shard auto/{count}: {variable} says {told}; pass --shard auto."
        raise OptionError(words, count=count, variable=engine["count"], told=told)
    whole = told or count
    if whole is None:
        raise _no_count(running[0], engine["count"])
    first, step = _number(engine["least"], environment), max(1, _number(engine.get("step", "1"), environment))
    _check_gaps(engine, environment, whole, first, step)
    return _share_of(engine["index"], (_number(engine["index"], environment) - first) // step + 1, whole)


def _count_told(engine: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Return how many copies an engine says there are, 0 if it says nothing."""
    return _number(engine["count"], environment) if environment.get(engine["count"]) else 0


def _no_count(engine: str, variable: str) -> OptionError:
    if variable:
        words = "--shard auto: {engine} doesn't say how many copies there are; set {variable}, or pass --shard auto/N."
        return OptionError(words, engine=engine, variable=variable)
    words = "--shard auto: {engine} doesn't say how many copies there are; pass --shard auto/N, for example auto/8."
    return OptionError(words, engine=engine)


def _check_gaps(engine: Mapping[str, str], environment: Mapping[str, str], count: int, first: int, step: int) -> None:
    """Raise OptionError for an array with gaps, whose numbers don't tell the copies."""
    if "most" not in engine:
        return
    last, index = _number(engine["most"], environment), _number(engine["index"], environment)
    if last != first + (count - 1) * step or (index - first) % step:
        words = "--shard auto: the array has gaps, so its numbers don't tell the copies; use --array=1-{count}."
        raise OptionError(words, count=count)


def _share_of(variable: str, index: int, count: int) -> Share:
    if not 1 <= index <= count:
        words = "--shard auto: {variable} makes this copy {index} of {count}; start as many copies as you name."
        raise OptionError(words, variable=variable, index=index, count=count)
    return Share(index, count)


def _number(name: str, environment: Mapping[str, str]) -> int:
    """Return a number that is written out, or that a variable has. Raises OptionError."""
    text = name if name.isdecimal() else environment.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise OptionError(
            "--shard auto: {variable}={value!r} isn't a number; pass --shard I/N.", variable=name, value=text
        )
    return int(text)
