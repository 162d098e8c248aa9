"""Hours: windows of the week, as people write them, and when the clock on the wall is in one of them.

Moments are Unix times in seconds. What counts is the time that the clock on the wall shows, so a window of daylight
saving's missing hour does not open on that day, and one of its repeated hour opens twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from .clock import DAY
from .errors import OptionError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY, _DASH = f"({'|'.join(_DAYS)})", r"\s*[-\u2010-\u2015\u2212]\s*"
_WINDOW = re.compile(
    rf"(?:{_DAY}(?:{_DASH}{_DAY})?\s+)?([0-9]{{1,2}}):([0-9]{{2}}){_DASH}([0-9]{{1,2}}):([0-9]{{2}})", re.I
)
_DAY_END = 24 * 60
# The longest wait is for a window of one day in the week that daylight saving has taken once.
_MOST_MINUTES = 15 * _DAY_END


@dataclass(frozen=True)
class Window:
    """The time from `begin` to `end`, in minutes of the day, on `days` (0 is Monday).

    If the end is not later than the beginning, it is that of the next day.
    """

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, day: int, minute: int) -> bool:
        """Return whether a minute of a day of the week lies in the window."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True)
class Hours:
    """Several windows. Without any it is always open."""

    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Hours:
        """Return the hours in texts such as `22:00-06:00` and `mon-fri 22:00-06:00, sun 0:00-24:00`.

        Raises OptionError.
        """
        return cls(tuple(_window(text, each.strip()) for text in texts for each in text.split(",")))

    def is_open(self, now: float) -> bool:
        """Return whether the clock on the wall is in a window."""
        if not self.windows:
            return True
        local = time.localtime(now)
        minute = 60 * local.tm_hour + local.tm_min
        return any(window.holds(local.tm_wday, minute) for window in self.windows)

    def opens_at(self, now: float) -> float:
        """Return the first moment from now on at which it is open."""
        if self.is_open(now):
            return now
        # Every time zone is whole minutes away from UTC, so nothing changes between two minutes.
        minutes = (60 * (now // 60 + each) for each in range(1, _MOST_MINUTES))
        return next((moment for moment in minutes if self.is_open(moment)), now + DAY)


ALWAYS = Hours()


def _window(text: str, part: str) -> Window:
    """Return the window that a part of a text names. Raises OptionError."""
    found = _WINDOW.fullmatch(part)
    hours = [int(each) for each in found.groups()[2:]] if found else [0] * 4
    begin, end = 60 * hours[0] + hours[1], 60 * hours[2] + hours[3]
    is_time = max(hours[1], hours[3]) < 60 and begin < _DAY_END and end <= _DAY_END
    if found is None or not is_time or begin == end:
        raise OptionError(
            '{option}: {value!r} is not a time window; write it like 22:00-06:00 or "mon-fri 22:00-06:00".',
            value=text[:100],
        )
    first = _DAYS.index((found[1] or "mon").lower())
    last = _DAYS.index((found[2] or found[1] or "sun").lower())
    return Window(frozenset((first + each) % 7 for each in range((last - first) % 7 + 1)), begin, end)


def hours(text: str) -> str:
    """Return a text that names windows. Raises OptionError."""
    Hours.of([text])
    return text.strip()
