"""Lists: the lines of a list file, and what each asks for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ..util.errors import Sentence, UsageError
from ..util.media import not_text
from ..util.shell import quoted, split_words, without_comment
from ..util.text import printable, scrub, text_lines
from .links import Found, Refusal, begins_with_link, links_in, read_word, texts_between, trimmed
from .parameters import names_version, unescaped
from .targets import Target

MOST_BYTES = 64 << 20
STANDARD_INPUT = "-"
_INVISIBLE = "\ufeff\u200b \t\0"
_OPTION = re.compile(r"--?[A-Za-z]")
BULLETS = re.compile(r"\A\s*(?:(?:[-*+•·–—>]|[0-9]{1,4}[.)]|\[[ xX]?\])\s+)+")
_EMBEDDED = re.compile(r"!\[[^\[\]]{0,500}\]\([^()\s]{0,2000}\)|<(?:img|source|video)\b[^<>]{0,4000}>", re.I)
_MARKDOWN = re.compile(r"\[[^\[\]]{0,2000}\]\(\s?<?(?=\S{0,30}civ(?:it|arch)[a-z]*\.)", re.I)
_ANCHOR_TEXT = re.compile(r"(?<=>)[^<>]*(?=</a>)", re.I)
_LABELLED_HASH = re.compile(r"\W*(sha-?256|auto-?v[123]|blake3|crc32|hash)\W{1,3}([0-9a-f]{8,64})\W*", re.I)
_NOT_ALONE = "There are words after a bare ID or name; put it on a line of its own, or quote a name with spaces."


@dataclass(frozen=True)
class Line:
    """A line of a list that is neither blank nor a comment."""

    number: int
    text: str


@dataclass(frozen=True)
class Reading:
    """What a line asks for: words with their targets, options that hold for them, and why others are refused."""

    found: tuple[tuple[str, Target], ...] = ()
    options: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What could not be used, and why: a sentence, in which "This" at the beginning stands for the words of the line.

    `file` is the list as the user named it, `line` the number and `text` the words of its line (0 and "" where it is
    no line), `place` the whole path of the list.
    """

    file: str
    line: int
    text: str
    reason: str
    place: str = ""

    @property
    def sentence(self) -> Sentence:
        """The problem as a message says it; other languages leave "This" out and name the words before the reason."""
        reason = self.reason if isinstance(self.reason, Sentence) else Sentence(self.reason)
        if not self.text:
            return reason
        word = shown_word(self.text)
        place = Sentence("{file}, line {line}: ", file=self.file, line=self.line) if self.line else Sentence("")
        values = {"place": place, "word": word, "reason": reason}
        if reason.startswith("This "):
            english = f"{place}{word} {reason.removeprefix('This ')}"
            return Sentence.worded(english, "{place}{word}: {reason}", **values)
        return Sentence("{place}{reason} ({word})", **values)


@dataclass(frozen=True)
class Unused:
    """What could not be used of the inputs of a run, and the whole paths of the lists it has read."""

    problems: tuple[Problem, ...] = ()
    lists: frozenset[str] = frozenset()


def shown_word(word: str) -> str:
    """Return a user's word as a message may show it: no secrets, no control characters, not endless."""
    return repr(printable(scrub(word))[:200])


# --- Files ----------------------------------------------------------------------------------------


def read_list(name: str) -> bytes:
    """Return the bytes of a list file, or of standard input for `-`. Raises UsageError for what is no list.

    A file of another kind is known by its size and its first bytes; it is not read any further.
    """
    try:
        if name != STANDARD_INPUT:
            with open(name, "rb") as file:
                return _read_text(name, file, os.fstat(file.fileno()).st_size)
        if sys.stdin is None:
            raise UsageError("There is no standard input to read a list from; name a file instead of -.")
        return _read_text("standard input", sys.stdin.buffer, 0)
    except OSError as error:
        raise UsageError(
            "{path} can't be read ({reason}); check its name and permissions.", path=name, reason=error.strerror
        ) from None
    except ValueError:
        raise UsageError("{file!r} can't be read; check its name.", file=printable(name)) from None


def _read_text(name: str, file: BinaryIO, size: int) -> bytes:
    head = file.read(1 << 16)
    if kind := not_text(head):
        raise UsageError(
            "{file} is {kind}, not a list; a list is a text file with one link per line.",
            file=name, kind=Sentence(kind),
        )  # fmt: skip
    data = head if size > MOST_BYTES else head + file.read(MOST_BYTES + 1 - len(head))
    if max(size, len(data)) > MOST_BYTES:
        raise UsageError(
            "{file} is larger than 64 MB, so it can't be a list; a list is a text file with one link per line.",
            file=name,
        )
    return data


def parse_list(data: bytes) -> list[Line]:
    """Return the lines of a list file that are neither blank nor a comment.

    A line without a letter or a digit, as JSON and tables have them, is blank.
    """
    lines = enumerate(text_lines(data), 1)
    bare = ((number, without_comment(line.lstrip(_INVISIBLE)).strip(_INVISIBLE)) for number, line in lines)
    return [Line(number, line) for number, line in bare if re.search(r"[^\W_]", line)]


# --- Lines ----------------------------------------------------------------------------------------


def read_line(text: str, site: str = "", *, users: bool = False) -> Reading:
    """Return what a line asks for.

    If it begins with a target (bullets and numbers of a list aside), options behind it count, and further words are a
    title. Else every link of the site and every AIR in it is a target without options.
    """
    if label := _LABELLED_HASH.fullmatch(text):
        text = f"{label[1]}:{label[2]}"
    plain = BULLETS.sub("", text, count=1).rstrip(",; ")
    words = split_words(plain)
    first = words[0].strip("\"'<>,;") if words else ""
    whole = read_word(first, site, users=users)
    is_link = begins_with_link(trimmed(first), site)
    if whole is None and not is_link:
        return _reading(_links(text, site), texts_between(text, site))
    behind = words[1:]
    cut = next((place for place, word in enumerate(behind) if _OPTION.match(word)), len(behind))
    options = tuple(behind[cut:])
    further = _links(" ".join(behind), site)
    if is_link:
        return _reading([*_first_links(first, whole, words[0], site), *further], texts_between(plain, site), options)
    if further and isinstance(whole, Target) and whole.kind in ("id", "hash", "user"):
        return _reading(further, texts_between(plain, site), options)  # before a link it is a label
    if cut and isinstance(whole, Target) and whole.kind in ("id", "user"):
        return Reading(refused=(_NOT_ALONE,))
    return _reading([(first, whole), *further], [" ".join(behind[:cut])], options)


def _first_links(first: str, whole: Found | None, word: str, site: str) -> list[tuple[str, Found]]:
    """Return the links in the first word of a line; in quotes it may hold blanks, as a tag does."""
    inner = _links(word, site)
    if isinstance(whole, Target) and len(inner) < 2:
        return inner if [meaning for _, meaning in inner] == [whole] else [(first, whole)]
    return inner


def _links(text: str, site: str) -> list[tuple[str, Found]]:
    """Return the links and AIR in a text. Pictures that it shows, and the words that a link is shown as, are none."""
    plain = _ANCHOR_TEXT.sub(" ", _MARKDOWN.sub(" ", _EMBEDDED.sub(" ", unescaped(text))))
    found = list(links_in(plain, site)) or list(links_in(_percent_decoded(plain), site)) or list(links_in(text, site))
    read = ((word, read_word(word, site)) for word in found)
    return [(word, meaning) for word, meaning in read if meaning is not None]


def _percent_decoded(text: str) -> str:
    """Return the text with the links decoded that stand inside another link's query."""
    return re.sub(r"(?i)%(3a|2f|3f|3d|26|40)", lambda code: chr(int(code[1], 16)), text)


def _reading(
    found: Sequence[tuple[str, Found | None]], around: Sequence[str], options: tuple[str, ...] = ()
) -> Reading:
    """Put together what was found on a line; `around` is what stands beside the links.

    A model beside one of its versions is what that version is shown as.
    """
    targets = {word: meaning for word, meaning in found if isinstance(meaning, Target)}
    refusals = [meaning for _, meaning in found if isinstance(meaning, Refusal)]
    refused = [each.reason for each in refusals if each.kind == "damaged" or not targets]
    narrow = {target.id for target in targets.values() if target.kind == "model" and target.version}
    wide = {word for word, target in targets.items() if target.kind == "model" and not target.version}
    if any(targets[word].id not in narrow for word in wide) and _has_torn_version(around):
        refused.append("The line names a version that is not part of the link; join the two.")
        narrow |= {targets[word].id for word in wide}
    kept = tuple((word, target) for word, target in targets.items() if word not in wide or target.id not in narrow)
    return Reading(kept, options, tuple(dict.fromkeys(refused)))


def _has_torn_version(texts: Sequence[str]) -> bool:
    """Return whether what stands around the links of a line names a version, or is the rest of a torn link."""
    glued = (re.match(r"[^\s=]{1,60}=[^\s\w]{0,2}[0-9]|\s*(?:[?&]\w|@[0-9])", text) for text in texts[1:])
    return any(map(names_version, texts)) or any(glued)


def written(word: str, options: Sequence[str] = ()) -> str:
    """Return a target and its options as a line of a list, without a token that was pasted with a link."""
    return scrub(" ".join(quoted(re.sub(r"[\r\n\0]", " ", each)) for each in (word, *options)))
