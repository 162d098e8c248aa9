"""Prompts: split into tags, and cleaned by the word lists of the user."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ..util.errors import UsageError
from ..util.text import decode_text, read_named

WORD_LISTS = ("sex", "clothes", "etc")
_COMMAS, _BREAKS = ",，、", "\n\r\v\f\x85\u2028\u2029"
_COMMA, _HARD = re.compile(f"[{_COMMAS}]"), re.compile(f"[{_BREAKS}]|BREAK")
_PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "［": "］", "｛": "｝"}
_NAME = re.compile(f"<[^\\W\\d_][^<>{_BREAKS}]*>")
_TOKEN = re.compile(
    rf"\\[()\[\]{{}}\\]|(?P<name>{_NAME.pattern})|(?P<open>[(\[{{（［｛])|(?P<close>[)\]}}）］｝])"
    rf"|(?P<cut>[{_COMMAS}{_BREAKS}]|\bBREAK\b)"
)
_TAG = re.compile(r"\S(?:.*\S)?", re.S)


def split_prompt(prompt: str) -> list[str]:
    """Return separator, tag, separator, …, tag, separator; joined they are the prompt again, byte for byte.

    Commas (also `，` and `、`) separate unless they stand in brackets; line breaks and the word `BREAK` always do. A
    name in angle brackets (`<lora:…>`) is a tag of its own. A bracket that is escaped, or has no partner before the
    next line break or `BREAK`, is an ordinary character; so is a `<` that doesn't begin a name.
    """
    parts, at = [], 0
    for start, end in _stretches(prompt):
        if tag := _TAG.search(prompt, start, end):
            parts += [prompt[at : tag.start()], tag.group()]
            at = tag.end()
    return [*parts, prompt[at:]]


def _stretches(prompt: str) -> Iterator[tuple[int, int]]:
    """Yield where each piece of text between separators begins and ends; some pieces are blank."""
    cuts: list[re.Match[str]] = []
    opened: list[tuple[str, int]] = []  # what closes a bracket, and how many cuts stand before it
    waiting: Counter[str] = Counter()
    for token in _TOKEN.finditer(prompt):
        if token["open"]:
            opened.append((_PAIRS[token[0]], len(cuts)))
            waiting[_PAIRS[token[0]]] += 1
        elif token["close"] and waiting[token[0]]:
            closer = ""
            while closer != token[0]:
                closer, before = opened.pop()
                waiting[closer] -= 1
            del cuts[before:]
        elif token["name"] or token["cut"]:
            cuts.append(token)
            if _HARD.fullmatch(token[0]):
                opened, waiting = [], Counter()
    at = 0
    for cut in cuts:
        yield at, cut.start()
        at = cut.end()
        if cut["name"]:
            yield cut.span()
    yield at, len(prompt)


def _without(parts: Sequence[str], dropped: Sequence[bool]) -> str:
    """Return a split prompt without the tags that are dropped."""
    if dropped and all(dropped):
        return ""
    kept: list[str] = []
    run = [parts[0]]
    for tag, separator, drop in zip(parts[1::2], parts[2::2], dropped, strict=True):
        if not drop:
            kept += [_one_separator(run, first=not kept), tag]
            run = []
        run.append(separator)
    return "".join([*kept, _one_separator(run, last=True)])


def _one_separator(run: Sequence[str], *, first: bool = False, last: bool = False) -> str:
    """Join the separators around dropped tags: at most one comma stays, and every line break and `BREAK`."""
    if len(run) == 1:
        return run[0]
    hard = [each for each in run if _HARD.search(each)]
    if not hard:
        return run[0] if first else run[-1] if last else next(filter(str.strip, run), ", ")
    kept = hard[0] + _COMMA.sub("", "".join(hard[1:]))
    if first or last:
        kept = _COMMA.sub("", kept)
    # A bracket may have been all that separated BREAK from its neighbour.
    kept = re.sub(r"\A(?=BREAK)|(?<=BREAK)(?=BREAK)|(?<=BREAK)\Z", " ", kept)
    return kept.lstrip(" ") if first else kept.rstrip(" ") if last else kept


# Thai, Lao, Burmese, Khmer, kana and Han are written without blanks; Korean ties its particles to the word.
_TIED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_TIED}]|[^\W{_TIED}]+|(?<=[{_TIED}]) (?=[{_TIED}])|[^\w\s]")
_WEIGHT = re.compile(r"(?<=[^\s(\[{,]):\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?=\s*(?:[)\]}>,|]|\Z))")
_BLANK = re.compile(r"(?<=\[):|[()\[\]{}\\_\-\u2010-\u2015\u200b\ufeff\s\0]+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*")


def _folded(text: str) -> str:
    """Return the text with `Ｄ`, `D` and `d` all alike.

    It is normalized in pieces, because a long run of accents takes quadratic time.
    """
    pieces = (unicodedata.normalize("NFKC", text[at : at + 1000]) for at in range(0, len(text), 1000))
    return "".join(pieces).casefold()


def _bare_words(text: str) -> list[str]:
    """Return the words of a folded text without weights, brackets and blanks."""
    return _WORD.findall(_BLANK.sub(" ", _WEIGHT.sub(" ", text)).strip())


def words_of(tag: str) -> tuple[str, ...]:
    """Return the words of a tag between two edges (""); those of names in angle brackets come last, marked by a `<`."""
    folded = _folded(tag)
    names = [f"<{word}" for name in _NAME.findall(folded) for word in ("", *_bare_words(name[1:-1]))]
    return ("", *_bare_words(_NAME.sub(" ", folded)), *names, "")


class WordList:
    """The entries of a list, each as a run of words; the time to match a tag does not grow with their number."""

    def __init__(self, entries: Iterable[tuple[str, ...]] = ()) -> None:
        self.entries = frozenset(entries)
        self._lengths = sorted({len(words) for words in self.entries})

    def matches(self, words: Sequence[str]) -> bool:
        """Return whether the words of an entry stand in a row among those of a tag."""
        runs = (tuple(words[at : at + length]) for length in self._lengths for at in range(len(words) - length + 1))
        return any(run in self.entries for run in runs)


def parse_word_list(text: str) -> WordList:
    """Return the word list in a text: entries on lines or between commas, `#` comments, `=` before a whole tag."""
    entries = []
    for line in re.split(f"[{_COMMAS}{_BREAKS}]", _COMMENT.sub("", text)):
        entry = _folded(line).strip(" \t\0\u200b\ufeff")
        whole, entry = entry[:1] == "=", entry.removeprefix("=").strip()
        words = words_of(f"{entry}>" if entry[:1] == "<" and entry[-1:] != ">" else entry)
        if len(words) > 2:
            entries.append(words if whole else words[1:-1])
    return WordList(entries)


@dataclass(frozen=True)
class Filters:
    """The three word lists; `problems` says which could not be read."""

    sex: WordList = field(default_factory=WordList)
    clothes: WordList = field(default_factory=WordList)
    etc: WordList = field(default_factory=WordList)
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Filters:
        """Return the lists in a folder; one that can't be read is empty."""
        lists, problems = {}, []
        for name in WORD_LISTS:
            try:
                lists[name] = parse_word_list(decode_text(read_named(folder / f"Filter_{name}.txt")))
            except UsageError as error:
                problems.append(f"{error} Nothing is filtered by it.")
        return cls(**lists, problems=tuple(problems))

    @property
    def fingerprint(self) -> str:
        """A hash that changes with the entries, but not with comments or the order of entries."""
        entries = [sorted(each.entries) for each in (self.sex, self.clothes, self.etc)]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()

    def apply(self, raw_prompt: str) -> tuple[str, str]:
        """Return the prompt without the tags of all three lists, and without those of `sex` and `etc` only."""
        parts = split_prompt(raw_prompt)
        verdicts = [self._known(tag) if len(tag) < 80 else self._verdict(tag) for tag in parts[1::2]]
        return _without(parts, [drop for drop, _ in verdicts]), _without(parts, [drop for _, drop in verdicts])

    @cached_property
    def _known(self) -> Callable[[str], tuple[bool, bool]]:
        """The verdicts on the tags that came last; most tags come again and again."""
        return lru_cache(1 << 13)(self._verdict)

    def _verdict(self, tag: str) -> tuple[bool, bool]:
        """Return whether a tag goes from the prompt, and whether it goes from the one with clothes as well."""
        words = words_of(tag)
        always = self.sex.matches(words) or self.etc.matches(words)
        return always or self.clothes.matches(words), always


def find_filters(given: Mapping[str, Any]) -> Filters:
    """Return the word lists of --filters, else beside the first list file or in the current folder, else our own."""
    lists = [Path(name) for kind in ("inputs", "models", "users") for name in given.get(kind, [])]
    near = [path.parent / "filters" for path in lists if path.is_file()]
    own = Path(__file__).parents[1]
    folders = [*near, Path("filters"), own / "filters", own.parent / "filters"]  # the last one in a checkout
    found = next(folder for folder in folders if folder.is_dir() or folder == folders[-1])
    return Filters.read(given.get("filters", found))
