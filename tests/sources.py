"""The sources of the program as trees, for the tests that look at how it is written."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "civitai_downloader"
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the tree of each file. They take a second, so only who needs them makes them, and once."""
    return {path: ast.parse(path.read_text("utf-8")) for path in FILES}
