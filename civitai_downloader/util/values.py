"""Values as people write them in options: sizes, numbers, lists of names, and the nearest of several names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from .errors import OptionError

_UNITS = {"": 1, "b": 1} | {
    letter + ending: base**power
    for power, letter in enumerate("kmgt", 1)
    for ending, base in (("", 1024), ("i", 1024), ("ib", 1024), ("b", 1000))
}
_SIZE = re.compile(r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})\s*([a-z]*)\s*(?:/\s*s(?:ec)?)?", re.I)
_MOST_BYTES = 1 << 60


def byte_count(text: str) -> int:
    """Return bytes, or bytes a second, from `2000000`, `10M`, `1.5 GiB` or `10 MB/s`. Raises OptionError.

    K, M, G, T and KiB, MiB, GiB, TiB are powers of 1024, KB, MB, GB, TB of 1000.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    exact = Decimal(found[1]) * unit if found and unit else Decimal(_MOST_BYTES + 1)
    if exact > _MOST_BYTES:
        raise OptionError("{option}: {value!r} is not a size; write it like 500K, 10M, 10MB or 1.5GiB.", value=text)
    return max(int(exact), int(exact > 0))


def number(text: str, kind: Callable[[str], float] = int, least: float = 0, most: float = 10**9) -> Any:
    """Return a number in a range. Raises OptionError."""
    try:
        value = kind(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise OptionError("{option}: {value!r} must be between {least} and {most}.", value=text, least=least, most=most)
    return value


some = partial(number, least=1)
few = partial(number, least=1, most=64)
positive = partial(number, kind=float, least=0.001, most=1000000)


def count_or_all(text: str) -> int | None:
    """Return a whole number, or None for `all`. Raises OptionError."""
    return None if text.lower() == "all" else number(text)


def comma_list(text: str) -> tuple[str, ...]:
    """Return the names in `A,B`. Raises OptionError."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise OptionError("{option} needs a value; see -h.")
    if text.rstrip().endswith(","):
        raise OptionError("{option}: {value!r} ends with a comma; write A,B without spaces, or in quotes.", value=text)
    return names


def path(text: str) -> Path:
    """Return a path, with `~` as the home folder. Raises OptionError."""
    if not text.strip():
        raise OptionError("{option} needs a value; see -h.")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody knows where that home is
        return Path(text)


def filled(text: str) -> str:
    """Return a text that is not empty. Raises OptionError."""
    if not text.strip():
        raise OptionError("{option} needs a value; see -h.")
    return text


def day(text: str) -> str:
    """Return a day of UTC as `2026-01-31`, from the same or from `30d`, so many days ago. Raises OptionError."""
    today = datetime.now(timezone.utc).date()
    with suppress(ValueError, OverflowError):
        if found := re.fullmatch(r"([0-9]{1,6}) ?d(?:ays?)?", text.strip(), re.I):
            return (today - timedelta(days=int(found[1]))).isoformat()
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()):
            return date.fromisoformat(text.strip()).isoformat()
    raise OptionError(
        "{option}: {value!r} is not a date; write it like 2026-01-31, or 30d for 30 days ago.", value=text
    )


def one_of(choices: Sequence[str], text: str) -> str:
    """Return one of several words, however it is spelled. Raises OptionError."""
    found = {plain(choice): choice for choice in choices}.get(plain(text))
    if found is None:
        raise not_known("{option}", text, choices)
    return found


def plain_dash(word: str, known: Collection[str]) -> str:
    """Return a word with hyphens in place of the dashes that an editor made of them, if that is a known option."""
    option = re.sub(r"^[\u2010-\u2015\u2212-]+(?=[^\W\d_]{2})", "--", word)
    option = re.sub(r"^[\u2010-\u2015\u2212](?=[^\W\d_](?:$|=))", "-", option)
    return option if not word.startswith("-") and option.partition("=")[0] in known else word


KINDS: dict[str, Callable[[str], Any]] = {
    "path": path, "comma list": comma_list, "count": number, "some": some, "few": few, "positive": positive,
    "count or all": count_or_all, "byte count": byte_count, "day": day, "filled": filled,
}  # fmt: skip


# --- Spelled again -------------------------------------------------------------------------------


def option_words(parser: Any, given: Mapping[str, Any], skip: Iterable[str] = ()) -> list[str]:
    """Return the options in `given`, spelled as on the command line again, as the `parser` of argparse knows them."""
    words: list[str] = []
    for action in parser._actions:
        if not action.option_strings or action.dest not in given or action.dest in skip:
            continue
        name, value = action.option_strings[-1], given[action.dest]
        if action.nargs == 0:
            words += [name] if value == action.const else []
            continue
        for each in value if isinstance(value, list) else [value]:
            text = "all" if each is None else ",".join(each) if isinstance(each, tuple) else str(each)
            words += [f"{name}={text}"] if text.startswith(("@", "-")) else [name, text]
    return words


# --- The nearest name ------------------------------------------------------------------------------


def plain(name: str) -> str:
    """Return what of a name counts when names are compared: letters and digits, in lower case."""
    return re.sub(r"[\W_]", "", name.casefold())


def nearest(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """Return the known name that is most like another one, or "" if none is at `least` (of 1) so."""
    from difflib import get_close_matches  # needed only where something is misspelt

    names = {plain(each): each for each in known}
    asked = plain(name)[:100]
    found = get_close_matches(asked, names, 1, least)
    begun = [each for each in names if len(asked) > 2 and each.startswith(asked)]
    return names[[*found, *begun][0]] if found or begun else ""


def not_known(option: str, value: str, known: Sequence[str]) -> OptionError:
    """Return the error of a value that is none of the known ones, with the nearest of them."""
    facts = {"option": option, "value": value[:100], "choices": ", ".join(known), "near": nearest(value, known)}
    if facts["near"]:
        return OptionError("{option}: {value!r} is not known; did you mean {near}? ({choices})", **facts)
    return OptionError("{option}: {value!r} is not known; use one of {choices}.", **facts)
