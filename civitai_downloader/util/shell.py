"""Words in shell quoting, as list lines, @FILEs and configuration files have them."""

from __future__ import annotations

import re

LONGEST = 1 << 16  # a longer line is data of a program, with links among it, and has no options in quotes
# No name of Windows holds a double quote, so that in a quoted path every backslash is an ordinary character.
_WINDOWS_PATH = r'"(?:[A-Za-z]:\\|\\\\(?!\\))[^"]*"'
_DOUBLE = r'"[^"\\]{0,4000}(?:\\.[^"\\]{0,4000}){0,50}"'
# In a line that somebody wrote by hand the apostrophe of "Ann's" is no quote.
_LOOSE = rf"{_WINDOWS_PATH}|{_DOUBLE}|(?<![^\W_])'[^']*'"
_STRICT = rf"{_WINDOWS_PATH}|{_DOUBLE}|'[^']*'"
_QUOTED = {False: re.compile(_LOOSE), True: re.compile(_STRICT)}
_WORD = {strict: re.compile(rf"(?:{quoted.pattern}|\S)+") for strict, quoted in _QUOTED.items()}
_ESCAPED = re.compile(r'\\(["\\])')


def split_words(line: str, *, strict: bool = False) -> list[str]:
    r"""Return the words of a line. Quotes keep blanks together; outside of them a backslash is an ordinary character.

    In double quotes `\"` and `\\` stand for one character, except in a Windows path, in single quotes nothing does. A
    quote that is not closed is an ordinary character; with `strict` it raises ValueError.
    """
    if len(line) > LONGEST and not strict:
        return line.split()
    words = _WORD[strict].findall(line)
    if strict and any(re.search("[\"']", _QUOTED[True].sub("", word)) for word in words):
        raise ValueError("a quote is not closed")
    return [_QUOTED[strict].sub(_unquoted, word) for word in words]


def bare_path(word: str) -> str:
    """Return a path without the blanks and quotes around it, as it may come from another program."""
    return word.strip().strip("\"'").strip()


def _unquoted(found: re.Match[str]) -> str:
    text = found[0][1:-1]
    is_literal = found[0][0] == "'" or re.fullmatch(_WINDOWS_PATH, found[0])
    return text if is_literal else _ESCAPED.sub(r"\1", text)


def without_comment(line: str) -> str:
    """Return a line up to a `#` at the start of a word; in quotes it begins no comment."""
    if "#" not in line:
        return line
    words = _WORD[False].finditer(line)
    return line[: next((word.start() for word in words if word[0].startswith("#")), len(line))]


def quoted(word: str) -> str:
    """Return a word so that `split_words` gives it back, whatever is in it."""
    if word and not re.search(r"\s|^#|[\"']|[,;]$", word):
        return word
    if '"' not in word and ("\\" not in word or re.fullmatch(_WINDOWS_PATH, f'"{word}"')):
        return f'"{word}"'
    pieces = re.split("(')", word)
    return "".join(f'"{piece}"' if piece == "'" else f"'{piece}'" for piece in pieces if piece)
