"""Inputs: the words of the command and the lines of list files become entries, each a target with its settings."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..util.disks import NO_FILE, is_special
from ..util.errors import Sentence, UsageError
from ..util.files import size_of
from ..util.names import real_path
from ..util.shell import quoted, split_words
from ..util.text import host_of, printable
from .arguments import Arguments, file_words
from .folders import MOST_NAMED, instead_of_models, is_model
from .journal import was_organized
from .links import Refusal, links_in, read_word
from .lists import STANDARD_INPUT, Problem, Reading, Unused, parse_list, read_line, read_list
from .ondisk import is_looked_through, library_of, line_of, local_target, read_local
from .ours import check_output, check_writable, logs_in
from .settings import IN_PLACE, Settings, check_organize
from .shares import name_for
from .targets import Entry, Target, user_link
from .which import may_fall_here, of_target, read_excluded

log = logging.getLogger(__name__)

Options = tuple[dict[str, Any], list[str], list[str]]
ReadOptions = Callable[[Sequence[str]], Options]


class Inputs:
    """Collects entries from words and list files; what can't be used becomes a problem.

    `read_options` turns the words behind a link into values, into the words that say the same together with the
    options of the command, and into what is no option; it raises UsageError.
    """

    def __init__(
        self, settings: Settings, read_options: ReadOptions, exclude: Sequence[Path] = (), *, asks_galleries: bool
    ) -> None:
        """What the lists `exclude` name is never fetched. Raises UsageError when one of them can't be read.

        `settings` are those of the command. A folder brings the galleries of its models only where somebody
        `asks_galleries`, by --max-images.
        """
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self._settings, self._read_options = settings, read_options
        self._arguments, self._exclude = Arguments(regular=True), tuple(exclude)
        self._asks_galleries = asks_galleries
        self._excluded: dict[Path, frozenset[tuple[str, str]]] = {}
        self._seen: set[tuple[Target, Settings]] = set()
        self._lists: set[str] = set()

    @property
    def unused(self) -> Unused:
        """What could not be used, and which lists were read."""
        return Unused(tuple(self.problems), frozenset(self._lists))

    def add_word(self, word: str) -> None:
        """Add an INPUT of the command: a link or an id, else a folder, a model file or a list file."""
        is_path = "://" not in word and re.search(r"[/\\]", word) is not None
        if is_path and (local := local_target(word, Path())):
            self._add(Reading(((local.name, local),)), Problem("", 0, word, ""))
            return
        is_list = (is_path and os.path.isfile(word)) or word == STANDARD_INPUT
        meaning = None if is_list else read_word(word, self._settings.site)
        links = [] if is_list else list(links_in(word, self._settings.site))
        reason = Sentence("This isn't a link to a model, user, post or picture; check it.")
        problem = Problem("", 0, self._cut(word), reason)
        if isinstance(meaning, Target) and len(links) < 2:
            self._add(Reading(((word, meaning),)), problem)
        elif links or isinstance(meaning, Refusal):
            self._add(read_line(word, self._settings.site), problem)
        elif "://" in word:
            self.problems.append(problem)
        elif not is_list and (local := local_target(word, Path())):
            self._add(Reading(((local.name, local),)), problem)
        elif is_model(word) and is_special(Path(word.replace("\0", ""))):
            self.problems.append(replace(problem, text="", reason=Sentence(NO_FILE, path=printable(word))))
        elif not is_list and _is_no_path(word):
            reason = Sentence(
                "This is neither a link, an ID nor a list; write a user as https://civitai.com/user/NAME."
            )
            self.problems.append(replace(problem, reason=reason))
        else:
            self.add_list(word)

    def add_list(self, name: str, *, users: bool = False) -> None:
        """Add every line of a list file, or of standard input; in a list of users a bare word is a name."""
        shown = Sentence("standard input") if name == STANDARD_INPUT else name
        try:
            lines = parse_list(read_list(name))
        except UsageError as error:
            reason = error.sentence
            if users and _is_no_path(name):
                hint = "{reason} Write a user as https://civitai.com/user/{name}."
                reason = Sentence(hint, reason=error.sentence, name=name)
            self.problems.append(Problem(shown, 0, "", reason))
            return
        where = shown if name == STANDARD_INPUT else str(Path(name).absolute())
        self._lists.add(where)
        if not lines:
            reason = Sentence("{file} contains no links; write one on each line.", file=shown)
            self.problems.append(Problem(shown, 0, "", reason))
        for line in lines:
            self._add_line(Problem(shown, line.number, line.text, "", where), users=users)

    def _add_line(self, line: Problem, *, users: bool) -> None:
        """Add a line of a list. A line that begins with an @FILE is what stands in it; others may get options there."""
        text, line = line.text, replace(line, text=self._cut(line.text))
        base = Path(line.place).parent if line.place else Path()
        if not users and (reading := read_local(text, base, self._settings.site)):
            self._add(reading, line)
            return
        words = split_words(text) if "@" in text else []
        places = file_words(words)
        if users and places == [0] and len(words) == 1 and not os.path.exists(words[0][1:]):
            text, places = words[0][1:], []  # a name as people write it elsewhere
        try:
            if not places:
                reading = read_line(text, self._settings.site, users=users)
            elif places[0] > 0:
                whole = [each for at, word in enumerate(words) for each in self._expanded(word, at in places)]
                reading = read_line(" ".join(map(quoted, whole)), self._settings.site, users=users)
            else:
                options = self._read_options(self._arguments.expand(words))
                found = [read_line(quoted(word), self._settings.site, users=users) for word in options[2]]
                for reading in found or [
                    Reading(refused=(Sentence("The @file on the line contains no link; add one."),))
                ]:
                    self._add(reading, line, users=users, options=options)
                return
        except UsageError as error:
            self._skip(line, error)
            return
        self._add(reading, line, users=users)

    def _expanded(self, word: str, is_file: bool) -> list[str]:
        return self._arguments.expand([word]) if is_file else [word]

    def _cut(self, text: str) -> str:
        return self._settings.secrets.cut(text)

    def _skip(self, line: Problem, error: UsageError) -> None:
        reason = Sentence("The options are wrong, so the line was skipped: {reason}", reason=error.sentence)
        self.problems.append(replace(line, reason=self._cut(reason)))

    def _add(self, reading: Reading, line: Problem, *, users: bool = False, options: Options | None = None) -> None:
        """Add what a line asks for; `line` lacks only the reason why it can't be used.

        `options` are those of the line if they have been read.
        """
        refused = reading.refused or (() if reading.found else (_no_link_in(line.text),))
        self.problems += [replace(line, reason=self._cut(reason)) for reason in refused]
        if not reading.found:
            return
        try:
            own, again, _ = options or self._read_options(reading.options)
            settings = replace(self._settings, **own)
            asks_galleries = "max_images" in own or self._asks_galleries
        except UsageError as error:
            self._skip(line, error)
            return
        excluded = self._excluded_in(settings.output)
        for word, target in reading.found:
            settings = replace(of_target(target, settings), excluded=excluded)
            if target.kind == "local" and not asks_galleries:
                settings = replace(settings, max_images=0)
            if (target, settings) not in self._seen:
                self._seen.add((target, settings))
                link = user_link(target.name) if users and target.kind == "user" else word
                self.entries.append(Entry(target, settings, self._cut(line_of(link, target, again))))

    def tell_files(self) -> None:
        """Say, with every detail, which files the lines of lists have named."""
        for name in self._arguments.files:
            log.debug("Options were read from %s.", name)

    def _excluded_in(self, output: Path) -> frozenset[tuple[str, str]]:
        """Return what is excluded in an output folder: by --exclude, and by its `exclude.txt`."""
        if output not in self._excluded:
            own = output / "exclude.txt"
            paths = [*self._exclude, *([own] if own.exists() else [])]
            self._excluded[output], problems = read_excluded(paths, self._settings.site)
            for problem in problems:
                log.warning("%s", problem)
        return self._excluded[output]

    def place_folders(self) -> None:
        """Give every folder and model file the library that it belongs to, once all of them are known.

        What lies in another folder of the run is looked at with that, and one without model files is a problem.
        """
        places = {Path(each.target.name): each for each in self.entries if is_looked_through(each.target)}
        spelled: dict[Path, Path] = {}
        for place, entry in [*places.items()]:  # a link to a folder and the folder are one
            if spelled.setdefault(real_path(place), place) != place and place.is_dir():
                self.entries.remove(entry)
                del places[place]
        given = {place for place in places if place.is_dir()}
        roots = {place: library_of(place, given) for place in places}
        for place, entry in places.items():
            if any(above in given and roots[above] == roots[place] for above in place.parents):
                self.entries.remove(entry)
            elif place in given and (instead := instead_of_models(place, entry.settings.skip)) is not None:
                if self._settings.organize and was_organized(roots[place]):
                    continue  # everything may have been moved away
                self.entries.remove(entry)
                for aside in instead[:MOST_NAMED]:
                    log.info("%s: %s", printable(aside.path), aside.reason)
                words = Sentence("There are no model files in {folder}; name a folder that holds some.", folder=place)
                self.problems.append(Problem("", 0, "", words))
        for at, entry in enumerate(self.entries):
            if entry.target.kind == "local":
                root = library_of(Path(entry.target.name), given)
                own = replace(entry.settings, output=root, layout=IN_PLACE, latest=False)
                own = replace(own, excluded=self._excluded_in(root))
                self.entries[at] = replace(entry, settings=own)

    def compare_libraries(self, *, has_layout: bool, is_retry: bool) -> None:
        """Have the libraries of all folders compared with the site; without an INPUT, the output folder.

        Where nobody has given a layout, what is fetched into a folder goes beside the files that are there. Only a list
        of what failed may have links, too. Raises UsageError.
        """
        folders = [entry for entry in self.entries if entry.target.kind == "local"]
        if len(folders) < len(self.entries) and not is_retry:
            raise UsageError("--updates and --update take folders and model files, not links; leave the links out.")
        layout = self._settings.layout if has_layout or not folders else IN_PLACE
        base = {entry.settings.output: entry.settings for entry in folders}
        if not (folders or self.problems or is_retry):
            output = self._settings.output
            if not any(map(size_of, logs_in(output))):
                raise UsageError("There is nothing to compare in {folder}; name a folder of models.", folder=output)
            base = {output: replace(self._settings, excluded=self._excluded_in(output))}
        for root, settings in base.items():
            chosen = {key: getattr(self._settings, key) for key in ("latest", "since", "until")}
            own = replace(settings, layout=layout, **chosen)
            self.entries.append(Entry(Target("updates", name=str(root)), own, str(root.absolute())))

    def mine(self) -> list[Entry]:
        """Return the entries without those that fall to other copies; if nothing is left that is said.

        Raises UsageError for folders, which one run alone looks through.
        """
        share = self._settings.share
        if share is not None and any(entry.target.kind == "local" for entry in self.entries):
            raise UsageError("--shard takes links, not folders or model files; leave it out to look through a folder.")
        mine = [entry for entry in self.entries if may_fall_here(entry.target, entry.settings)]
        if self.entries and not mine:
            log.info("Nothing falls to copy %s; the other copies fetch everything that is named here.", share)
        return mine

    def check_outputs(self, *, writes: bool) -> set[Path]:
        """Leave out entries whose output folder can't be written. Raises UsageError where a name of ours is taken.

        What is in such a folder is told nevertheless, if that is an INPUT itself; these folders are returned.
        """
        sealed = set[Path]()
        for output in {entry.settings.output: None for entry in self.entries}:
            check_output(output)
            try:
                if writes:
                    check_writable(output)
            except UsageError as error:
                sealed.add(output)
                here = [each for each in self.entries if each.settings.output == output and each.target.kind != "local"]
                self.problems += [Problem("", 0, "", error.sentence)] if here else []
                self.entries = [each for each in self.entries if each not in here]
        return sealed

    def at_home(self, sealed: Collection[Path]) -> Settings:
        """Return the settings of the command.

        If all entries are folders or model files, its output folder is a library of theirs, one that is not `sealed` if
        possible, so that nothing comes to be elsewhere.
        """
        if any(each.target.kind not in ("local", "updates") for each in self.entries):
            return self._settings
        outputs = sorted((each.settings.output for each in self.entries), key=lambda each: each in sealed)
        return replace(self._settings, output=outputs[0])


def _is_no_path(word: str) -> bool:
    """Return whether a word neither names a file that is there, nor looks as if it meant one."""
    return not re.search(r"[./\\]", word) and not os.path.lexists(word.replace("\0", ""))


def _no_link_in(text: str) -> Sentence:
    """Return why a line without a link of the site can't be used."""
    if found := re.search(r"https?://[^\s\"'<>|]+", text, re.I):
        words = "This isn't a supported link: it leads to {host}, not to Civitai; skipped."
        return Sentence(words, host=host_of(found[0])[:80])
    if re.match(r"""["']?(?:[a-z]:[/\\]|\\\\|(?:~|\.\.?)?/)[^\s/*]""", text, re.I):
        return Sentence("This is neither a folder nor a model file on this machine; check the path.")
    return Sentence("This isn't a supported link; skipped.")


def collect(given: Mapping[str, Any], settings: Settings, read_options: ReadOptions) -> Inputs:
    """Return the entries of all inputs; without any, those of models.txt and users.txt in the current folder."""
    check_organize(given)
    inputs = Inputs(settings, read_options, given.get("exclude", ()), asks_galleries="max_images" in given)
    for word in given.get("inputs", []):
        inputs.add_word(word)
    failed_list = settings.output / name_for("failed.txt", settings.share)
    failed = [str(failed_list)] if given.get("retry_failed") else []
    if failed and is_special(failed_list):
        raise UsageError(NO_FILE, path=failed[0])
    lists = {"models": [*given.get("models", []), *failed], "users": given.get("users", [])}
    if not any((*lists.values(), given.get("inputs"), settings.compares)):
        lists = {kind: [f"{kind}.txt"] for kind in lists if Path(f"{kind}.txt").exists()}
        if not lists:
            sentence = Sentence("There is nothing to do; pass a link or a list file, or create models.txt here.")
            inputs.problems.append(Problem("", 0, "", sentence))
    for kind, names in lists.items():
        for name in names:
            inputs.add_list(str(name), users=kind == "users")
    inputs.place_folders()
    if settings.compares:
        inputs.compare_libraries(has_layout="layout" in given, is_retry=bool(failed))
    if settings.organize and not inputs.problems and all(each.target.kind != "local" for each in inputs.entries):
        raise UsageError("--organize puts the files of a folder in order; name that folder as an INPUT.")
    inputs.tell_files()
    return inputs
