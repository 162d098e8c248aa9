"""Interfaces: where the site's two interfaces have a thing, and what the inner one says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from .answers import object_at, unwrap


def rest_path(path: str, query: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> str:
    """Return where the REST interface answers a query."""
    asked = urlencode({**query, **(more or {})})
    return f"v1{path}" + (f"?{asked}" if asked else "")


def inner_path(procedure: str, query: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> str:
    """Return where the inner interface answers a query."""
    return f"trpc/{procedure}?{urlencode({'input': json.dumps({'json': {**query, **(more or {})}})})}"


def told_by(answer: Any) -> dict[str, Any]:
    """Return what an answer of the inner interface holds, {} if that is no object. Raises Failure."""
    data = unwrap(object_at(answer, "result").get("data"))
    return data if isinstance(data, dict) else {}
