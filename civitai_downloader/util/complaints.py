"""Complaints: what is said of an option that is unknown, in the wrong place, or without a value that can be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from .errors import OptionError
from .text import printable
from .values import nearest

# What argparse complains of, and what is said in its place.
_COMPLAINTS = {"expected ": "{option} needs a value; see -h.", "ignored explicit": "{option} takes no value; see -h."}
_ELSEWHERE = {
    "line": "{option} can't be used on a line of a list; pass it on the command line.",
    "file": "{option} can't be used in a configuration file; pass it on the command line.",
}


def complaint(message: str) -> OptionError:
    """Return the error for a complaint of argparse, such as `argument -o/--output: expected one argument`."""
    found = re.fullmatch("argument ([^:]*): (.*)", message, re.S)
    option, reason = (found[1].split("/")[-1], found[2]) if found else ("", message)
    sentence = next((each for sign, each in _COMPLAINTS.items() if reason.startswith(sign)), "{option}: {reason}")
    return OptionError(sentence, option=option, reason=reason)


def unknown_option(option: str, known: Collection[str], place: str, elsewhere: Collection[str]) -> OptionError:
    """Return the error of an option that is unknown in its `place` (`line`, `file` or `command`).

    It may be one of those that are known `elsewhere`.
    """
    if place in _ELSEWHERE and option in elsewhere:
        return OptionError(_ELSEWHERE[place], option=option)
    if near := nearest(option, known):
        return OptionError(
            "Unknown option {option}; did you mean {near}? See -h.", option=printable(option[:100]), near=near
        )
    return OptionError("Unknown option {option}; see -h.", option=printable(option[:100]))


def convert(name: str, kind: Callable[[str], Any], text: str) -> Any:
    """Return the value of an option. Raises OptionError."""
    try:
        return kind(text)
    except OptionError as error:
        raise error.of(name) from None
