"""Inputs: the words of the command and the lines of list files become entries, each a target with its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..util.errors import UsageError
from ..util.text import printable, read_named, scrub
from .library import check_writable
from .settings import Settings
from .targets import Entry, Line, Target, parse_list, parse_target, user_link

ReadOptions = Callable[[Sequence[str]], tuple[dict[str, Any], list[str]]]


class Inputs:
    """Collects entries from words and list files; what can't be used becomes a sentence in `problems`.

    `read_options` turns the words behind a link into values, and into the words that say the same together with the
    options of the command; it raises UsageError.
    """

    def __init__(self, settings: Settings, read_options: ReadOptions) -> None:
        self.entries: list[Entry] = []
        self.problems: list[str] = []
        self._settings, self._read_options = settings, read_options
        self._seen: set[tuple[Target, Settings]] = set()

    def add_word(self, word: str) -> None:
        """Add an INPUT of the command: a link or an id, else a list file."""
        if parse_target(word, self._settings.site):
            self._add(Line(0, word, ()), "")
        elif "://" in word:
            self.problems.append(f"{shown_word(word)} is not a link to a model, user, post or picture; check it.")
        else:
            self.add_list(Path(word))

    def add_list(self, path: Path, *, users: bool = False) -> None:
        """Add every line of a list file; in a list of users a bare word is a name."""
        try:
            lines = parse_list(read_named(path))
        except UsageError as error:
            self.problems.append(str(error))
            return
        if not lines:
            self.problems.append(f"{path} contains no links; write one on each line.")
        for line in lines:
            self._add(line, f"{path}, line {line.number}: ", users=users)

    def _add(self, line: Line, where: str, *, users: bool = False) -> None:
        target = parse_target(line.link, self._settings.site, users=users)
        if target is None:
            self.problems.append(f"{where}{shown_word(line.link)} is not a link that can be fetched; it was skipped.")
            return
        try:
            own, again = self._read_options(line.words)
            settings = replace(self._settings, **own)
        except UsageError as error:
            self.problems.append(f"{where}the options are wrong and the line was skipped: {error}")
            return
        if (target, settings) in self._seen:
            return
        self._seen.add((target, settings))
        link = user_link(target.name) if users and target.kind == "user" else line.link
        self.entries.append(Entry(target, settings, Line(0, link, tuple(again)).text))

    def drop_unwritable(self) -> None:
        """Leave out entries whose output folder can't be written."""
        for output in {entry.settings.output for entry in self.entries}:
            try:
                check_writable(output)
            except UsageError as error:
                self.problems.append(str(error))
                self.entries = [entry for entry in self.entries if entry.settings.output != output]


def shown_word(word: str) -> str:
    """Return a user's word as a message may show it: no secrets, no control characters, not endless."""
    return repr(printable(scrub(word))[:200])


def collect(given: Mapping[str, Any], settings: Settings, read_options: ReadOptions) -> Inputs:
    """Return the entries of all inputs; without any, those of models.txt and users.txt in the current folder."""
    inputs = Inputs(settings, read_options)
    for word in given.get("inputs", []):
        inputs.add_word(word)
    failed = [settings.output / "failed.txt"] if given.get("retry_failed") else []
    lists = {"models": [*given.get("models", []), *failed], "users": given.get("users", [])}
    if not any((*lists.values(), given.get("inputs"))):
        lists = {kind: [f"{kind}.txt"] for kind in lists if Path(f"{kind}.txt").exists()}
        if not lists:
            inputs.problems.append("There is nothing to do: name a list file or a link, or write models.txt here.")
    for kind, names in lists.items():
        for name in names:
            inputs.add_list(Path(name), users=kind == "users")
    return inputs
