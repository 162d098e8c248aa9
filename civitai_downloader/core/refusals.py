"""Refusals: what an answer of the site that gives nothing means for the user."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..util.errors import Failure, Sentence
from ..util.http import Refused
from ..util.logs import json_line
from ..util.text import printable
from .answers import text_at, unwrap, utc_of

KEY_URL = "https://civitai.com/user/account"


NOT_FOUND = Sentence("Not found: deleted, private or mistyped; check the link.")
UNEXPECTED = Sentence("The site sent data in an unexpected format; try again later.")
ARCHIVED = Sentence("The creator archived the model; its files can't be downloaded any more.")


class EarlyAccess(Failure):
    """A file is in early access. `until` is when that ends (UTC, to the second), "" if nobody tells."""

    def __init__(self, *, until: str) -> None:
        self.until = until
        if not until:
            super().__init__("early-access", "The file is in early access; buy access on the site and use your token.")
            return
        super().__init__(
            "early-access",
            "The file is in early access until {date} UTC; run again after that, or with --force if you bought access.",
            date=until[:19].replace("T", " ").removesuffix(":00"),
        )


class NotFound(Failure):
    """The site itself says, in JSON, that it has no such thing. A page instead may be a proxy's, or an outage."""

    def __init__(self) -> None:
        super().__init__("gone", NOT_FOUND)


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
    words = message.lower()
    gated, login = refused.headers.get("cf-mitigated") == "challenge", status == 401
    if status == 403 and not gated and ("deadline" in answer or "early access" in words):
        return EarlyAccess(until=utc_of(text_at(answer, "deadline")))
    if status == 404 and "archived" not in words and json_line(refused.body) is not None:
        return NotFound()
    values = {"url": KEY_URL, "status": status, "words": message[:200]}
    meanings = (
        (gated, "blocked", "The site's bot protection blocked the request; wait a while, or use another connection."),
        (status == 451, "region", "The site is blocked in this region by law; another connection may help."),
        (status == 410 or "archived" in words, "archived", ARCHIVED),
        (login and "disabled" in words, "disabled", "The creator disabled downloads, and a token doesn't help."),
        (login and has_token, "token-refused", "The site didn't accept the token; make a new one at {url}."),
        (login, "needs-token", "The site wants a token; make one at {url} and pass it with --token."),
        (status == 403, "forbidden", "The site denied access with this token; check the page in a browser."),
        (status == 404, "gone", NOT_FOUND),
        (True, "refused", "The site answered with an error ({status} {words}); check the link."),
    )
    return next(Failure(reason, sentence, **values) for applies, reason, sentence in meanings if applies)


def _error_words(answer: Mapping[str, Any]) -> str:
    """Return what an error body says; the REST interface has five shapes of them, tRPC one in two encodings."""
    error = inner = answer.get("error")
    with suppress(Failure):
        inner = unwrap(error)
    parts = (text_at(answer, "message"), text_at(answer, "error"), text_at(inner, "message"))
    return printable(" ".join(filter(None, parts)))
