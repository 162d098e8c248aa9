"""Times of files, as disks keep them."""

from __future__ import annotations

import pytest

from civitai_downloader.util.disks import same_time

SECOND, EVEN, EXACT = 10**9, 1_700_000_002 * 10**9, 1_700_000_001_234_567_890


@pytest.mark.parametrize(
    ("recorded", "present", "is_same"),
    [
        (EXACT, EXACT, True),
        (EXACT, EXACT + 1, False),
        (EXACT, EXACT + 3600 * SECOND, False),
        (EXACT, EVEN, True),  # copied to FAT with its time, which is rounded up
        (EVEN, EXACT, True),
        (EVEN, EVEN, True),
        (EVEN, EVEN + 2 * SECOND, True),
        (EVEN, EVEN - 2 * SECOND, True),
        (EVEN, EVEN + 2 * SECOND + 1, False),
        (EVEN, EVEN + 4 * SECOND, False),
        (EVEN, EVEN + 3600 * SECOND, True),  # summer has begun
        (EVEN, EVEN - 3600 * SECOND, True),
        (EVEN, EVEN + 3598 * SECOND, False),
        (EVEN, EVEN + 7200 * SECOND, False),
        (EVEN + SECOND, EVEN + 2 * SECOND, True),
        (EVEN + SECOND, EVEN + 2 * SECOND + 1, False),  # neither is a time of FAT
        (EVEN + SECOND, EVEN + 3601 * SECOND, False),
        (0, 2 * SECOND, True),
        (-SECOND, SECOND, False),
    ],
)
def test_times_of_fat_are_compared_by_its_steps(recorded: int, present: int, is_same: bool) -> None:
    assert same_time(recorded, present) == is_same == same_time(present, recorded)
