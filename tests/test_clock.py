"""Waits that can be interrupted, and dates as text."""

from __future__ import annotations

import re
import threading

import pytest

from civitai_downloader.util.clock import Clock, utc_now
from civitai_downloader.util.errors import Stopped


def test_a_stopped_clock_ends_every_wait() -> None:
    clock = Clock()
    clock.sleep(0)
    clock.check()
    threading.Timer(0.05, clock.stop).start()
    with pytest.raises(Stopped):
        clock.sleep(60)
    for wait in (clock.check, lambda: clock.sleep(0)):
        with pytest.raises(Stopped):
            wait()
    assert clock.stopped


def test_utc_now_is_a_date_of_fixed_length() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())
