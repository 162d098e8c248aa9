"""Sentences: what a tag of many words loses, so that it keeps its sense.

An entry takes its own words. If these end a phrase (a function word, a participle, a sign, a bracket or the end of the
sentence follows), the phrase goes as a whole, back to its article, preposition, conjunction or bracket, if one stands
at most three words before the entry.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate

from .data import read_data
from .rejoin import CLOSING, OPENING, PAIRS, Place, rejoin
from .wordlists import WordList, count_words, is_hangul, is_tied, placed_words, words_of

MOST_IN_A_TAG = 6
_MOST_BEFORE = 3
_BRACKET = re.compile(rf"\\\\|{OPENING}|{CLOSING}")
# A sentence holds no BREAK of its own; one that was part of a word must not become one.
_FREED = re.compile(r"\s*\bBREAK\b\s*")
_ROW = re.compile(rf"(?:{CLOSING})\s*(?:{OPENING})")


def is_sentence(tag: str) -> bool:
    """Return whether a tag has many words, or is a row of bracket groups, so that entries take only parts of it."""
    if count_words(tag) > MOST_IN_A_TAG:
        return True
    opens, closes = re.match(OPENING, tag), re.fullmatch(CLOSING, tag[-1:])
    return bool(opens and closes and _ROW.search(tag))


def without_phrases(sentence: str, lists: Sequence[WordList]) -> str:
    """Return what the entries of word lists leave of a sentence: "" if that is nothing but function words."""
    for cut in (_Phrases, _Words):
        left = _FREED.sub(" ", cut(sentence, lists).left()).strip()
        words = words_of(left)
        if any(words in each.entries for each in lists):
            return ""
        if left == sentence or any(word.strip() and not _kind(word) for word in words):
            return left
    return ""


@cache
def _kinds() -> dict[str, str]:
    """Return what kind of function word or sign each of those in the table is."""
    return {word: kind for kind, words in json.loads(read_data("phrases.json")).items() for word in words}


def _kind(word: str) -> str:
    """Return the kind of a function word or sign, "" for any other word."""
    return _kinds().get(word, "")


class _Words:
    """A sentence that loses the words of entries, and nothing else."""

    def __init__(self, sentence: str, lists: Sequence[WordList]) -> None:
        self._lists, self._sentence = lists, sentence
        self._all = placed_words(sentence)  # with the blanks between words of Korean
        self._places = [at for at, word in enumerate(self._all) if word.text != " "]
        self._words = [self._all[at].text for at in self._places]
        starts = [*(self._all[at].start for at in self._places), len(sentence)]
        ends = [0, *(self._all[at].end for at in self._places)]
        self._gaps = [sentence[end:start] for end, start in zip(ends, starts, strict=True)]
        # How many of the gaps up to each word hold a bracket, and how many hold anything.
        self._brackets = list(accumulate(bool(_BRACKET.search(gap)) for gap in self._gaps))
        self._blanks = list(accumulate(map(bool, self._gaps)))
        self._longest = max((each.lengths[-1] for each in lists if each.lengths), default=1)
        self._kept: list[int] = []

    def left(self) -> str:
        """Return what is left."""
        listed, end = self._listed(), 0
        if not any(listed):
            return self._sentence
        while end < len(self._words):
            start = end
            while end < len(self._words) and listed[end]:
                end += 1
            if end > start:
                end = self._drop(start, end)
                continue
            self._kept.append(end)
            end += 1
            while joined := self._joined():
                start = self._kept[-joined]
                del self._kept[-joined:]
                end = self._drop(start, end)
        left = [""] * len(self._words)
        for at in self._kept:
            word = self._all[self._places[at]]
            left[at] = self._sentence[word.start : word.end]
        return rejoin(self._gaps, left, _between_words).strip()

    def _listed(self) -> list[bool]:
        """Return which words an entry names; a short group in brackets is judged as a tag of its own."""
        texts, named = [word.text for word in self._all], [False] * len(self._all)
        for each in self._lists:
            for run in each.runs(texts):
                named[run.start : run.stop] = [True] * len(run)
        listed = [named[at] for at in self._places]
        for group in self._groups():
            if 0 < len(group) <= MOST_IN_A_TAG:
                words = ("", *texts[self._places[group[0]] : self._places[group[-1]] + 1], "")
                if any(each.matches(words) for each in self._lists):
                    listed[group.start : group.stop] = [True] * len(group)
        return listed

    def _groups(self) -> Iterator[range]:
        """Yield the words that stand in each pair of brackets."""
        starts = [self._all[at].start for at in self._places]
        opened: dict[str, list[int]] = {}
        for found in _BRACKET.finditer(self._sentence):
            if found[0] in PAIRS:
                opened.setdefault(PAIRS[found[0]], []).append(bisect_left(starts, found.start()))
            elif opened.get(found[0]):
                yield range(opened[found[0]].pop(), bisect_left(starts, found.start()))

    def _joined(self) -> int:
        """Return how many of the last words are an entry, now that what stood between them is gone; 0 if none."""
        kept = self._kept[-self._longest :]
        if not kept or kept[-1] - kept[0] < len(kept):
            return 0
        words: list[str] = []
        for count, at in enumerate(reversed(kept), 1):
            word = self._words[at]
            if words and is_tied(word) and is_tied(words[0]) and self._blanks[self._kept[1 - count]] > self._blanks[at]:
                words.insert(0, " ")
            words.insert(0, word)
            if any(len(words) in each.lengths and tuple(words) in each.entries for each in self._lists):
                return count
        return 0

    def _drop(self, start: int, end: int) -> int:
        """Drop the words of an entry, and of what was kept before them what belongs to them; return where that ends."""
        end = self._with_particle(start, end)
        return self._without_stray(end)

    def _with_particle(self, start: int, end: int) -> int:
        """Take the rest of a Korean word, which its particles are part of, or the particle behind a Japanese one."""
        if not is_hangul(self._words[end - 1][-1]):
            return end + (end < len(self._words) and _kind(self._words[end]) == "particle")
        while end < len(self._words) and is_hangul(self._words[end]) and not self._gaps[end]:
            end += 1
        while self._kept and is_hangul(self._words[start]) and is_hangul(self._words[self._kept[-1]]):
            if self._kept[-1] != start - 1 or self._gaps[start]:
                break
            start = self._kept.pop()
        return end

    def _without_stray(self, end: int) -> int:
        """Leave out a sign that would follow another one, or begin the sentence."""
        last = self._words[self._kept[-1]] if self._kept else "."
        following = self._words[end] if end < len(self._words) else ""
        return end + (_kind(following) == _kind(last) == "sign")


class _Phrases(_Words):
    """A sentence that loses the phrases which the words of entries end."""

    def _drop(self, start: int, end: int) -> int:
        end = self._with_particle(start, end)
        if self._ends_phrase(end):
            end = self._drop_phrase(start, end)
        return self._without_stray(end)

    def _ends_phrase(self, end: int) -> bool:
        """Return whether an entry ends its phrase. One that ends with a function word itself goes alone."""
        if _kind(self._words[end - 1]) not in ("", "particle"):
            return False
        if end == len(self._words) or self._is_apart(end - 1, end) or _kind(self._words[end]):
            return True
        return len(self._words[end]) > 4 and self._words[end].endswith(("ing", "ed"))

    def _drop_phrase(self, start: int, end: int) -> int:
        """Drop the words of a phrase before its end, and what ties it to others; return where all that ends."""
        at, before = self._begin(start)
        following = _kind(self._words[end]) if end < len(self._words) and not self._is_apart(end - 1, end) else ""
        if before == "word":
            return end
        if before == "bracket" and at == len(self._kept) and self._is_apart(end - 1, end):
            at = self._before_group(at)
        elif before == "conjunction":
            at -= 1
        elif following in ("conjunction", "genitive"):
            end += 1
        else:
            while self._before(at, start) in ("preposition", "genitive"):
                at -= 1
        del self._kept[at:]
        return end

    def _begin(self, start: int) -> tuple[int, str]:
        """Return how many of the words that were kept stand before a phrase, and of what kind the last of them is.

        A phrase whose beginning nothing shows is the entry alone.
        """
        most = at = len(self._kept)
        while (before := self._before(at, start)) == "word" and most - at < _MOST_BEFORE:
            at -= 1
        if before == "article":
            before = self._before(at - 1, start)
            return at - 1, "clause" if before == "word" else before
        if before in ("word", "participle", "sign", "edge"):
            return most, before if at == most else "word"
        return at, before

    def _before(self, at: int, start: int) -> str:
        """Return of what kind the last of so many kept words is, or what stands between it and the word behind it."""
        following = self._kept[at] if at < len(self._kept) else start
        if at == 0:
            return "bracket" if self._brackets[following] else "edge"
        last = self._kept[at - 1]
        if self._is_apart(last, following):
            return "bracket"
        word = self._words[last]
        kind = _kind(word)
        if kind or last != following - 1:
            return kind or "gap"
        is_tied = at > 1 and not _kind(self._words[self._kept[at - 2]])
        return "participle" if is_tied and len(word) > 4 and word.endswith("ing") else "word"

    def _before_group(self, at: int) -> int:
        """Return how many kept words stand before what ties a group in brackets to the rest of the sentence."""
        at -= self._kind_of_last(at) == "article"
        if self._kind_of_last(at) == "conjunction":
            return at - 1
        while self._kind_of_last(at) in ("preposition", "genitive"):
            at -= 1
        return at

    def _kind_of_last(self, at: int) -> str:
        """Return the kind of the last of so many kept words."""
        return _kind(self._words[self._kept[at - 1]]) if at else ""

    def _is_apart(self, last: int, following: int) -> bool:
        """Return whether a bracket stands between two words."""
        return self._brackets[following] > self._brackets[last]


def _between_words(blanks: Sequence[str], place: Place) -> str:
    """Return what separates two words between which others were dropped."""
    if place.first:
        return blanks[0]
    if place.last or blanks[-1] or _kind(place.following[0]) == "sign":
        return blanks[-1]
    return next(filter(None, blanks), "")
