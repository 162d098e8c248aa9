"""When a signed link expires (idm.py)."""

from __future__ import annotations

import time

import pytest

from civitai_downloader.util.idm import expiry_of

DAY = 86400.0


@pytest.mark.parametrize(
    ("seconds", "until"),
    [
        ("60", DAY + 60),
        ("604800", 8 * DAY),
        ("604801", 8 * DAY),
        ("1e300", 8 * DAY),
        ("inf", 8 * DAY),
        ("nan", 8 * DAY),
        ("-60", DAY),
        ("-inf", DAY),
        ("soon", 1000 + DAY),
        ("", 1000 + DAY),
    ],
)
def test_a_signed_link_lasts_a_week_at_most(seconds: str, until: float) -> None:
    found = expiry_of(f"https://r2.example/x?X-Amz-Date=19700102T000000Z&X-Amz-Expires={seconds}", 1000.0)
    assert found == until
    time.gmtime(found)


@pytest.mark.parametrize("seconds", ["60", "1e400", "nan", "\u00b2", "-5"])
def test_a_link_signed_in_the_far_future_does_not_wait_for_it(seconds: str) -> None:
    link = f"https://r2.example/x?X-Amz-Date=99991231T235959Z&X-Amz-Expires={seconds}"
    assert 1000 < expiry_of(link, 1000.0) <= 1000 + 8 * DAY
