"""A call is one request to the site, as it came in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal
from urllib.parse import parse_qs

from .world import World

Host = Literal["site", "storage", "image", "blob"]


@dataclass(frozen=True)
class Hosts:
    """The base URLs of the four servers."""

    site: str = ""
    storage: str = ""
    image: str = ""
    blob: str = ""


@dataclass(frozen=True)
class Call:
    """One request as it came in. The names of its headers are in lower case."""

    host: Host
    hosts: Hosts
    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, each with all its values."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def text(self) -> str:
        """The text that faults are matched against, such as `site:/api/v1/models?limit=1`."""
        return f"{self.host}:{self.path}" + (f"?{self.raw_query}" if self.raw_query else "")

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """Tell whether a parameter is switched on by `true`, `1`, `yes` or `on`."""
        return self.first(name).lower() in ("true", "1", "yes", "on")

    def number(self, name: str) -> int | None:
        """Return a parameter that is a whole number, or None."""
        return int(self.first(name)) if re.fullmatch(r"-?\d{1,12}", self.first(name)) else None

    def listed(self, name: str) -> list[str]:
        """Return the values of a parameter that may be repeated or joined by commas."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def without(self, *names: str) -> Call:
        """Return the same call without these headers."""
        return replace(self, headers={key: value for key, value in self.headers.items() if key not in names})

    def account(self, world: World) -> str | None:
        """Return the valid key that came with the call. A wrong key is no error: the caller is then anonymous.

        If there is an `Authorization` header of any kind, `?token=` is ignored; the scheme word of the header is not
        checked. A session cookie, new or old style, counts if there is neither. Keys are accepted as sessions too.
        """
        if "authorization" in self.headers:
            key = [*self.headers["authorization"].split(), "", ""][1]
        elif "token" in self.query:
            key = self.first("token")
        else:
            cookie = re.search(r"__Secure-civ(?:itai)?-token=([^;\s]+)", self.headers.get("cookie", ""))
            key = cookie[1] if cookie else ""
        return key if key in world.tokens else None

    @property
    def only_cookie(self) -> bool:
        """Whether the call carries no key at all, neither a good one nor a bad one."""
        return "authorization" not in self.headers and "token" not in self.query

    @property
    def browser(self) -> bool:
        """Whether the site takes the caller for a browser, which gets pages and redirects instead of JSON errors."""
        agent = self.headers.get("user-agent", "").lower()
        return any(word in agent for word in ("mozilla", "chrome", "safari", "firefox", "opera", "edge"))
