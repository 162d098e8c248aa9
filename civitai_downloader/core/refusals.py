"""Refusals: what an answer of the site that gives nothing means for the user."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..util.errors import Failure
from ..util.http import Refused
from ..util.logs import json_line
from ..util.text import printable
from .answers import text_at, unwrap

KEY_URL = "https://civitai.com/user/account"


NOT_FOUND = "Not found: deleted, private or mistyped; check the link."
ARCHIVED = "The model is archived by its creator; its files can't be downloaded."


def is_paging_cap(refused: Refused) -> bool:
    """Return whether a 429 says "use cursors": asking again never helps then."""
    return refused.status == 429 and b"use cursors" in refused.body


def is_lost_for_now(refused: Refused) -> bool:
    """Return whether a 404 comes from the storage look-up and may pass (it is marked private, no-store)."""
    control = refused.headers.get("Cache-Control", "")
    return refused.status == 404 and "private" in control and "no-store" in control


def explain(refused: Refused, *, has_token: bool) -> Failure:
    """Return what a refusal of the site means for the user."""
    answer, status = json_line(refused.body) or {}, refused.status
    message = _error_words(answer)
    words, until = message.lower(), text_at(answer, "deadline")[:10] or "an unknown day"
    gated, login = refused.headers.get("cf-mitigated") == "challenge", status == 401
    early = status == 403 and ("deadline" in answer or "early access" in words)
    meanings = (
        (gated, "blocked", "The site's gate keeper wants to see a browser; wait, or use another connection."),
        (status == 451, "region", "The site is closed in this region by law; it may be open to another connection."),
        (status == 410 or "archived" in words, "archived", ARCHIVED),
        (login and "disabled" in words, "disabled", "The creator disabled its downloads; no token helps."),
        (login and has_token, "token-refused", f"The site did not accept the token; make a new one at {KEY_URL}."),
        (login, "needs-token", f"The site wants a token: make one at {KEY_URL} and give it by --token."),
        (early, "early-access", f"Early access until {until}; it is free afterwards."),
        (status == 403, "forbidden", "The site denies access to this with the given token; check it in a browser."),
        (status == 404, "gone", NOT_FOUND),
        (True, "refused", f"The site refused the request ({status} {message[:200]}); check the link."),
    )
    return next(Failure(reason, sentence) for applies, reason, sentence in meanings if applies)


def _error_words(answer: Mapping[str, Any]) -> str:
    """Return what an error body says; the REST interface has five shapes of them, tRPC one in two encodings."""
    error = inner = answer.get("error")
    with suppress(Failure):
        inner = unwrap(error)
    parts = (text_at(answer, "message"), text_at(answer, "error"), text_at(inner, "message"))
    return printable(" ".join(filter(None, parts)))
