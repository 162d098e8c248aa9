"""Windows of the week: how they are written, and when they are open, on the days on which the clocks change too."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.errors import OptionError
from civitai_downloader.util.hours import ALWAYS, Hours, hours

In = Callable[[str], None]
needs_zones = pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has one time zone for all programs")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana")


@pytest.fixture
def in_zone() -> Iterator[In]:
    """Return `in_zone(name)`, after which that is the local time."""
    before = os.environ.get("TZ")

    def set_zone(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield set_zone
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    if hasattr(time, "tzset"):
        time.tzset()


def utc(text: str) -> float:
    """Return the Unix time of a moment in UTC."""
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M")))


def local(moment: float) -> str:
    """Return what the clock on the wall shows."""
    return time.strftime("%a %H:%M", time.localtime(moment))


def wall(text: str) -> float:
    """Return the Unix time at which the clock on the wall shows a date and a time."""
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


# --- How they are written ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "when", "is_open"),
    [
        ("22:00-06:00", "2026-11-25 22:00", True),
        ("22:00-06:00", "2026-11-25 21:59", False),
        ("22:00-06:00", "2026-11-26 05:59", True),
        ("22:00-06:00", "2026-11-26 06:00", False),
        ("9:30-17:00", "2026-11-26 09:30", True),
        ("0:00-24:00", "2026-11-26 23:59", True),
        ("22:00-00:00", "2026-11-26 00:00", False),
        ("22:00-24:00", "2026-11-25 23:59", True),
        ("fri 22:00-06:00", "2026-11-28 05:00", True),  # Saturday, but it began on Friday
        ("fri 22:00-06:00", "2026-11-27 05:00", False),  # Friday, but it began on Thursday
        ("mon-fri 22:00-06:00", "2026-11-28 05:00", True),
        ("mon-fri 22:00-06:00", "2026-11-23 05:00", False),
        ("sun 22:00-06:00", "2026-11-30 05:00", True),
        ("fri-mon 10:00-11:00", "2026-11-30 10:30", True),
        ("fri-mon 10:00-11:00", "2026-12-01 10:30", False),
        ("MON-FRI  22:00 \u2013 06:00", "2026-11-26 23:00", True),
        ("mon-fri 22:00-06:00, sat-sun 0:00-24:00", "2026-11-29 12:00", True),
    ],
)
def test_a_window_belongs_to_the_day_on_which_it_begins(text: str, when: str, is_open: bool) -> None:
    assert Hours.of([text]).is_open(wall(when)) is is_open


def test_several_windows_are_all_open() -> None:
    found = Hours.of(["1:00-2:00", "3:00-4:00"])
    times = ("00:30", "01:30", "02:30", "03:30")
    assert [found.is_open(wall(f"2026-11-26 {each}")) for each in times] == [False, True, False, True]
    assert local(found.opens_at(wall("2026-11-26 02:30"))) == "Thu 03:00"


WRONG = ("", "mon-fri", "22:00", "22-6", "25:00-26:00", "24:00-6:00", "22:60-23:00", "22:00-24:01", "5:00-5:00")


@pytest.mark.parametrize("text", [*WRONG, "mon 22:00-06:00,", "day 22:00-06:00", "22:00-06:00 mon", "mon22:00-06:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is not a time window"):
        hours(text)


@given(st.text())
def test_any_text_is_windows_or_refused(text: str) -> None:
    with suppress(OptionError):
        assert Hours.of([hours(text)]).windows


def test_without_windows_it_is_always_open() -> None:
    assert ALWAYS.is_open(0)
    assert ALWAYS.opens_at(12.5) == 12.5


# --- The clocks change ---------------------------------------------------------------------------

SPRING = ("2026-03-28 23:00", "2026-03-29 06:00")  # Berlin: 02:00 becomes 03:00 at 01:00 UTC
AUTUMN = ("2026-10-24 22:00", "2026-10-25 06:00")  # Berlin: 03:00 becomes 02:00 at 01:00 UTC


@needs_zones
@pytest.mark.parametrize(
    ("night", "text", "minutes"),
    [
        (SPRING, "22:00-06:00", 300),  # until 04:00 UTC
        (SPRING, "2:15-2:45", 0),  # does not exist
        (SPRING, "2:30-4:00", 60),  # begins when the clock jumps to 3:00
        (SPRING, "1:00-2:30", 60),  # ends when it jumps
        (AUTUMN, "22:00-06:00", 420),
        (AUTUMN, "2:00-3:00", 120),
        (AUTUMN, "2:15-2:45", 60),  # twice
        (AUTUMN, "3:00-6:00", 180),
    ],
)
def test_the_clock_on_the_wall_decides_when_it_is_changed(
    in_zone: In, night: tuple[str, str], text: str, minutes: int
) -> None:
    in_zone("Europe/Berlin")
    begin, end = map(utc, night)
    found = Hours.of([text])
    assert sum(found.is_open(begin + 60 * each) for each in range(int(end - begin) // 60)) == minutes


@needs_zones
@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        ("2:30-4:00", "2026-03-29 00:30", "2026-03-29 01:00"),
        ("2:15-2:45", "2026-03-29 00:00", "2026-03-30 00:15"),
        ("sun 2:15-2:45", "2026-03-23 12:00", "2026-04-05 00:15"),  # this Sunday has no such time
        ("2:15-2:45", "2026-10-25 00:50", "2026-10-25 01:15"),  # for the second time
        ("22:00-06:00", "2026-10-25 12:00", "2026-10-25 21:00"),
    ],
)
def test_it_opens_when_the_clock_on_the_wall_says_so(in_zone: In, text: str, now: str, opens: str) -> None:
    in_zone("Europe/Berlin")
    assert Hours.of([text]).opens_at(utc(now)) == utc(opens)


@needs_zones
def test_a_clock_that_is_changed_at_midnight_opens_the_right_day(in_zone: In) -> None:
    in_zone("America/Havana")  # on Sunday the 8th of March 2026, 0:00 becomes 1:00; on the 1st of November 1:00 0:00
    assert local(Hours.of(["sun 0:00-2:00"]).opens_at(utc("2026-03-08 04:00"))) == "Sun 01:00"
    night = Hours.of(["sat 23:00-1:00"])
    first = utc("2026-11-01 03:00")  # Saturday 23:00
    assert [night.is_open(first + 1800 * each) for each in range(7)] == [True] * 6 + [False]


@needs_zones
@given(st.sampled_from(ZONES), st.integers(0, 1439), st.integers(1, 1439), st.integers(1767225600, 1798761600))
def test_it_opens_at_the_first_open_minute(zone: str, begin: int, length: int, now: int) -> None:
    os.environ["TZ"] = zone
    time.tzset()
    try:
        end = (begin + length) % 1440
        found = Hours.of([f"{begin // 60}:{begin % 60:02}-{end // 60}:{end % 60:02}"])
        opens = found.opens_at(now)
        assert now <= opens < now + 3 * 86400
        assert found.is_open(opens)
        assert opens == now or not (found.is_open(now) or found.is_open(opens - 1))
    finally:
        del os.environ["TZ"]
        time.tzset()
