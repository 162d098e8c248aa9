"""Errands: what a command does in output folders without asking the site, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..util.clock import Clock
from .compacting import compact_logs
from .gallery import asks_for_page_alone, make_pages
from .krita import fill_krita
from .settings import Settings


def run_errand(given: Mapping[str, Any], settings: Settings, folders: Sequence[Path], clock: Clock) -> bool:
    """Do what was `given` as an errand, and return whether that was one. Raises UsageError and Failure."""
    if given.get("compact"):
        compact_logs(folders, settings, clock)
    elif "krita" in given:
        fill_krita(given["krita"], folders, settings)
    elif asks_for_page_alone(settings, given):
        make_pages(folders, settings, clock)
    else:
        return False
    return True
