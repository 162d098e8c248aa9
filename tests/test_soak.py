"""A short soak and a short fuzz; `python -m tests.soak` and `python -m tests.fuzz` take longer."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz import fuzz
from tests.soak.__main__ import soak


def test_kills_and_faults_at_random_moments_do_no_harm(tmp_path: Path) -> None:
    run = soak(12, sys.maxsize, 7, tmp_path)
    assert run.faults == []
    assert run.kills > 3
    assert run.site.struck


def test_odd_input_does_no_harm() -> None:
    assert fuzz(float("inf"), 8, 7) > 1000
