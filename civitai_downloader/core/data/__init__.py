"""Data files of the program: tables, templates and sentences."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def read_data(name: str) -> str:
    """Return the text of a data file."""
    return resources.files(__name__).joinpath(name).read_text("utf-8")
