"""Word lists: their entries, the words of a text, and which of them an entry names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

COMMAS, BREAKS = ",，、", "\n\r\v\f\x85\u2028\u2029"
NAME = re.compile(f"<[^\\W\\d_][^<>{BREAKS}]*>")
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
# Thai, Lao, Burmese, Khmer, kana and Han are written without blanks; Korean ties its particles to the word.
_HANGUL = "\uac00-\ud7af"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_TIED = _UNSPACED + _HANGUL
_WORD = re.compile(rf"[{_TIED}]|[^\W{_TIED}]+|(?<=[{_TIED}]) +(?=[{_TIED}])|[^\w\s]")
_TIED_CHARACTER = re.compile(rf"[{_TIED}]")
_COUNTED = re.compile(rf"[{_UNSPACED}]{{1,2}}|[{_HANGUL}]+|[^\W{_TIED}]+")
_WEIGHT = re.compile(rf"(?<=[^\s(\[{{,]):\s*{NUMBER}(?=\s*(?:[)\]}}>,|]|\Z))")
_BLANK = re.compile(r"(?<=\[):|[()\[\]{}\\_\-\u2010-\u2015\u200b\ufeff\s\0]+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\r\n]*")


# --- Words ----------------------------------------------------------------------------------------


def _folded(text: str) -> str:
    """Return the text with `Ｄ`, `D` and `d` all alike.

    It is normalized in pieces, because a long run of accents takes quadratic time.
    """
    if text.isascii():
        return text.lower()
    pieces = (unicodedata.normalize("NFKC", text[at : at + 1000]) for at in range(0, len(text), 1000))
    return "".join(pieces).casefold()


def _bare_words(text: str) -> list[str]:
    """Return the words of a folded text without weights, brackets and blanks."""
    return _WORD.findall(_BLANK.sub(" ", _WEIGHT.sub(" ", text)).strip())


def words_of(tag: str) -> tuple[str, ...]:
    """Return the words of a tag between two edges (""); those of names in angle brackets come last, marked by a `<`."""
    return _words_of_folded(_folded(tag))


def _words_of_folded(folded: str) -> tuple[str, ...]:
    names = [f"<{word}" for name in NAME.findall(folded) for word in ("", *_bare_words(name[1:-1]))]
    return ("", *_bare_words(NAME.sub(" ", folded)), *names, "")


def count_words(text: str) -> int:
    """Return how many words a person would count, two characters of a script without blanks for one.

    A Korean word with its particles counts once; signs, weights and brackets do not count.
    """
    return len(_COUNTED.findall(_WEIGHT.sub(" ", text).replace("_", " ")))


def is_tied(word: str) -> bool:
    """Return whether a word is a character of a script without blanks, or of Korean."""
    return bool(_TIED_CHARACTER.fullmatch(word))


def is_hangul(word: str) -> bool:
    """Return whether a word is of the Korean script."""
    return "\uac00" <= word <= "\ud7af"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, folded, and where it stands there."""

    text: str
    start: int
    end: int


def placed_words(text: str) -> list[Word]:
    """Return the words of a text like `words_of`, each with its place; names in angle brackets are no exception.

    Of several words in one character, such as `¼`, the first has the place.
    """
    folded, places = _folded_with_places(text)
    bare = _BLANK.sub(_blank_out, _WEIGHT.sub(_blank_out, folded))
    words: list[Word] = []
    last = 0
    for found in _WORD.finditer(bare):
        start, end = max(last, places[found.start()][0]), places[found.end() - 1][1]
        words.append(Word(" " if found[0].isspace() else found[0], start, end))
        last = end
    return words


def _blank_out(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _folded_with_places(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the folded text and where each of its characters begins and ends in the text."""
    if text.isascii():
        return text.lower(), [(at, at + 1) for at in range(len(text))]
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    for start, end in _characters(text):
        pieces.append(_folded(text[start:end]))
        places += [(start, end)] * len(pieces[-1])
    return "".join(pieces), places


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each character begins and ends, together with the accents and Korean vowels that join it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _joins(text[at]):
            yield start, at
            start = at


def _joins(character: str) -> bool:
    first = unicodedata.normalize("NFKC", character)[:1]
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


# --- Entries --------------------------------------------------------------------------------------


class WordList:
    """The entries of a list, each as a run of words; the time to match a tag does not grow with their number."""

    def __init__(self, entries: Iterable[tuple[str, ...]] = ()) -> None:
        self.entries = frozenset(entries)
        self.lengths = sorted({len(words) for words in self.entries})

    def matches(self, words: Sequence[str]) -> bool:
        """Return whether the words of an entry stand in a row among those of a tag."""
        return next(self.runs(words), None) is not None

    def runs(self, words: Sequence[str]) -> Iterator[range]:
        """Yield the places of the words that entries name."""
        for length in self.lengths:
            for at in range(len(words) - length + 1):
                if tuple(words[at : at + length]) in self.entries:
                    yield range(at, at + length)


def parse_word_list(text: str) -> WordList:
    """Return the word list in a text: entries on lines or between commas, `#` comments, `=` before a whole tag."""
    entries = []
    for line in re.split(f"[{COMMAS}{BREAKS}]", _COMMENT.sub("", text)):
        entry = _folded(line).strip(" \t\0\u200b\ufeff")
        whole, entry = entry[:1] == "=", entry.removeprefix("=").strip()
        words = _words_of_folded(f"{entry}>" if entry[:1] == "<" and entry[-1:] != ">" else entry)
        if len(words) > 2:
            entries.append(words if whole else words[1:-1])
    return WordList(entries)
