"""Prompts: split into tags, and cleaned by the word lists of the user."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..util.errors import OptionError, Sentence
from ..util.text import decode_text, read_named
from .rejoin import BARS, CLOSING, COLONS, OPENING, PAIRS, Place, rejoin
from .sentences import MOST_IN_A_TAG, is_sentence, without_phrases
from .wordlists import BREAKS, COMMAS, NAME, NUMBER, WordList, count_words, parse_word_list, words_of

# Rewrites the prompts on disk when the rules of this file, of `sentences` or of `wordlists` have changed.
RULES = 2
WORD_LISTS = ("sex", "clothes", "etc")
_COMMA, _HARD = re.compile(f"[{COMMAS}]"), re.compile(f"[{BREAKS}]|BREAK")
_TOKEN = re.compile(
    rf"\\\\|(?P<name>{NAME.pattern})|(?P<open>{OPENING})|(?P<close>{CLOSING})|(?P<mark>[{BARS}{COLONS}])"
    rf"|(?P<cut>[{COMMAS}{BREAKS}]|\bBREAK\b)"
)
_TAG = re.compile(r"\S(?:.*\S)?", re.S)
_BRACKET, _BRACKETS = re.compile(OPENING), re.compile(rf"(?:{OPENING}|{CLOSING}|\s)+")
_WEIGHT = re.compile(rf"\s*{NUMBER}\s*")


# --- Splitting ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """A prompt cut up: separator, tag, separator, …, tag, separator; joined they are the prompt again, byte for byte.

    `items` has a number for each tag. Those before and behind a group of several tags share it if they and the group
    stand together without a comma; it is empty where there is no such group.
    """

    parts: list[str]
    items: list[int]


def split_prompt(prompt: str) -> Split:
    """Cut a prompt into tags and what separates them.

    Commas (also `，` and `、`), line breaks and the word `BREAK` separate, in brackets too. Brackets around several
    tags belong to the separators, with their weight, and so do the `|` and `:` between alternatives in brackets;
    brackets within a tag, or around one, belong to it. A name in angle brackets (`<lora:…>`) is a tag of its own. A
    bracket without a partner is an ordinary character; so is a `<` that doesn't begin a name.
    """
    tokens = list(_TOKEN.finditer(prompt))
    partners = _partners(tokens)
    cuts = _cuts(prompt, tokens, partners)
    groups = _groups(tokens, partners, cuts)
    parts: list[str] = []
    items: list[int] = []
    outer: list[int] = []
    at, end, last, item = 0, 0, "", 0
    for index, token in enumerate(tokens):
        if not (cuts[index] or index in groups):
            continue
        kind, stop = token.lastgroup or "", token.start()
        if tag := _TAG.search(prompt, end, _before_weight(prompt, end, stop, last) if kind == "close" else stop):
            parts += [prompt[at : tag.start()], tag.group()]
            items.append(item)
            at = tag.end()
        end, last = token.end(), kind
        if kind == "name":
            parts += [prompt[at:stop], token.group()]
            items.append(-1)
            at = end
        if kind == "open":
            outer.append(item)
        item = outer.pop() if kind == "close" and outer else index + 1
    if tag := _TAG.search(prompt, end):
        parts += [prompt[at : tag.start()], tag.group()]
        items.append(item)
        at = tag.end()
    return Split([*parts, prompt[at:]], items if groups else [])


def _before_weight(prompt: str, start: int, end: int, last: str) -> int:
    """Return where the text before a closing bracket ends: before the weight, which belongs to the bracket."""
    colon = max(prompt.rfind(each, start, end) for each in COLONS)
    if colon < 0 or not _WEIGHT.fullmatch(prompt, colon + 1, end):
        return end
    is_face = last == "cut" and not prompt[start:colon].strip() and "." not in prompt[colon:end]  # such as `:3`
    return end if is_face else colon


def _partners(tokens: Sequence[re.Match[str]]) -> dict[int, int]:
    """Return which brackets belong together, both ways."""
    found: dict[int, int] = {}
    opened: dict[str, list[int]] = {}
    for index, token in enumerate(tokens):
        if token.lastgroup == "open":
            opened.setdefault(PAIRS[token.group()], []).append(index)
        elif token.lastgroup == "close" and opened.get(token.group()):
            start = opened[token.group()].pop()
            found[start], found[index] = index, start
    return found


def _cuts(prompt: str, tokens: Sequence[re.Match[str]], partners: Mapping[int, int]) -> list[bool]:
    """Return which tokens separate by themselves: commas, breaks, names, and what stands between alternatives."""
    cuts = [token.lastgroup in ("cut", "name") for token in tokens]
    opened: list[int] = []
    colons: dict[int, list[int]] = {}
    for index, token in enumerate(tokens) if partners else ():
        if token.lastgroup == "mark" and opened:
            if token.group() in BARS:
                cuts[index] = True
            else:
                colons[opened[-1]].append(index)
        elif partners.get(index, 0) > index:
            opened.append(index)
            colons[index] = []
        elif partners.get(index) in colons:
            while opened[-1] != partners[index]:
                del colons[opened.pop()]
            found, when = colons.pop(opened.pop()), token.start()
            # `[from:to:when]`, where either may be empty.
            if token.group() == "]" and len(found) > 1 and _WEIGHT.fullmatch(prompt, tokens[found[-1]].end(), when):
                cuts[found[-2]] = True
    return cuts


def _groups(tokens: Sequence[re.Match[str]], partners: Mapping[int, int], cuts: Sequence[bool]) -> Collection[int]:
    """Return the brackets that stand around several tags."""
    if not partners:
        return ()
    stretches = list(accumulate(cuts))
    groups = {each for each, partner in partners.items() if stretches[each] != stretches[partner]}
    # Where brackets cross, those of the same stretch are taken apart as well.
    crossed: set[int] = set()
    depth, stretch = 0, 0
    for index in sorted(partners):
        if stretches[index] != stretch:
            depth, stretch = 0, stretches[index]
        if index not in groups:
            depth += 1 if tokens[index]["open"] else -1
        elif depth:
            crossed.add(stretch)
    return groups | {index for index in partners if stretches[index] in crossed}


# --- Putting together again ------------------------------------------------------------------------


def _one_separator(run: Sequence[str], place: Place) -> str:
    """Make one separator of those around dropped tags: at most one comma stays, and every line break and `BREAK`.

    Where nothing is left before or behind them, only what the prompt itself began or ended with stays.
    """
    if place.edge and (place.first or place.last):
        return run[0] if place.first else run[-1]
    hard = [each for each in run if _HARD.search(each)]
    if not hard:
        return run[0] if place.first else run[-1] if place.last else next(filter(str.strip, run), ", ")
    kept = hard[0] + _COMMA.sub("", "".join(hard[1:]))
    if place.first or place.last:
        kept = _COMMA.sub("", kept)
    # A bracket may have been all that separated BREAK from its neighbour.
    kept = re.sub(r"\A(?=BREAK)|(?<=BREAK)(?=BREAK)|(?<=BREAK)\Z", " ", kept)
    return kept.lstrip(" ") if place.first else kept.rstrip(" ") if place.last else kept


def _parts_of_sentences(tags: Sequence[str], items: Sequence[int]) -> list[int]:
    """Return which tags stand before or behind a group in brackets and have many words only together with the rest."""
    shared = {item for item, tags_in_it in Counter(items).items() if tags_in_it > 1 and item >= 0}
    words: Counter[int] = Counter()
    for tag, item in zip(tags, items, strict=False) if shared else ():
        words[item] += count_words(tag) if item in shared else 0
    return [index for index, item in enumerate(items) if item in shared and words[item] > MOST_IN_A_TAG]


def _loose_brackets(split: Split) -> list[tuple[int, int]]:
    """Return the tags that are nothing but brackets without a partner, each with the tag beside which it stands."""
    found = []
    for index, tag in enumerate(split.parts[1::2] if split.items else ()):
        if _BRACKETS.fullmatch(tag):
            beside = [(index - 1, split.parts[2 * index]), (index + 1, split.parts[2 * index + 2])]
            near = [each for each, separator in beside if not (_COMMA.search(separator) or _HARD.search(separator))]
            found += [(index, each) for each in near[:1] if 0 <= each < len(split.items)]
    return found


# --- Filtering ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """The three word lists; `problems` says which could not be read."""

    sex: WordList = field(default_factory=WordList)
    clothes: WordList = field(default_factory=WordList)
    etc: WordList = field(default_factory=WordList)
    problems: tuple[Sentence, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Filters:
        """Return the lists in a folder; one that is not there is empty.

        Raises UsageError for a folder without any, and for a list that can't be read: prompts would stay as they are.
        """
        paths = {name: folder / f"Filter_{name}.txt" for name in WORD_LISTS}
        there = {name: path for name, path in paths.items() if path.exists()}
        if not there:
            raise OptionError(
                "There are no word lists (Filter_sex.txt and others) in {folder}; check --filters.", folder=folder
            )
        sentence = "{file} is missing, so nothing is filtered by it."
        problems = [Sentence(sentence, file=path) for name, path in paths.items() if name not in there]
        lists = {name: parse_word_list(decode_text(read_named(path))) for name, path in there.items()}
        return cls(**lists, problems=tuple(problems))

    @cached_property
    def fingerprint(self) -> str:
        """A hash that changes with the entries and with the rules, but not with comments or the order of entries."""
        entries = [RULES, *(sorted(each.entries) for each in (self.sex, self.clothes, self.etc))]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()

    def apply(self, raw_prompt: str) -> tuple[str, str]:
        """Return the prompt without what all three lists name, and without what `sex` and `etc` name only."""
        split = split_prompt(raw_prompt)
        separators, tags = split.parts[::2], split.parts[1::2]
        left = [self._known(tag) if len(tag) < 80 else self._left(tag) for tag in tags]
        for index in _parts_of_sentences(tags, split.items):
            left[index] = self._left_of_sentence(tags[index])
        for index, beside in _loose_brackets(split):
            prompt, with_clothes = left[beside]
            left[index] = tags[index] if prompt else "", tags[index] if with_clothes else ""
        bare, clothed = ([each[way] for each in left] for way in (0, 1))
        with_clothes = raw_prompt if clothed == tags else rejoin(separators, clothed, _one_separator)
        return with_clothes if bare == clothed else rejoin(separators, bare, _one_separator), with_clothes

    @cached_property
    def _known(self) -> Callable[[str], tuple[str, str]]:
        """What is left of the tags that came last; most tags come again and again."""
        return lru_cache(1 << 13)(self._left)

    def _left(self, tag: str) -> tuple[str, str]:
        """Return what is left of a tag in the prompt, and in the one with clothes; "" if it goes."""
        words = words_of(tag)
        always = self.sex.matches(words) or self.etc.matches(words)
        dropped = always or self.clothes.matches(words)
        # Each group within a sentence is judged as a tag of its own, which may be exactly an entry.
        if (dropped or _BRACKET.search(tag)) and not NAME.fullmatch(tag) and is_sentence(tag):
            return self._left_of_sentence(tag)
        return "" if dropped else tag, "" if always else tag

    def _left_of_sentence(self, sentence: str) -> tuple[str, str]:
        """Return what is left of a sentence in the prompt, and in the one with clothes; "" if it goes."""
        return (
            without_phrases(sentence, (self.sex, self.clothes, self.etc)),
            without_phrases(sentence, (self.sex, self.etc)),
        )


def find_filters(given: Mapping[str, Any]) -> Filters:
    """Return the word lists of --filters, else beside the first list file or in the current folder, else our own."""
    lists = [Path(name) for kind in ("inputs", "models", "users") for name in given.get(kind, [])]
    near = [path.parent / "filters" for path in lists if path.is_file()]
    own = Path(__file__).parents[1]
    folders = [*near, Path("filters"), own / "filters", own.parent / "filters"]  # the last one in a checkout
    found = next((folder for folder in folders if any(folder.glob("Filter_*.txt"))), folders[-1])
    return Filters.read(given.get("filters", found))
