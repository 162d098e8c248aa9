"""Data files of the program: tables, templates and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def read_data(name: str) -> str:
    """Return the text of a data file."""
    return resources.files(__name__).joinpath(name).read_text("utf-8")


@cache
def page_files() -> Mapping[str, bytes]:
    """Return the scripts, styles and the index of the page by their names."""
    folder = resources.files(__name__).joinpath("page")
    return {each.name: each.read_bytes() for each in folder.iterdir() if not each.name.startswith(("_", "."))}
