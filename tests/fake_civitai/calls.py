"""A call as it comes in."""

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
    """One request as it came in; header names are lower-case."""

    host: Host
    hosts: Hosts
    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query, each name with all its values."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def text(self) -> str:
        """What faults are matched against: `site:/api/v1/models?limit=1`."""
        return f"{self.host}:{self.path}" + (f"?{self.raw_query}" if self.raw_query else "")

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """A parameter that is on for `true`, `1`, `yes` and `on`."""
        return self.first(name).lower() in ("true", "1", "yes", "on")

    def number(self, name: str) -> int | None:
        """A whole number, or None."""
        return int(self.first(name)) if re.fullmatch(r"-?\d{1,12}", self.first(name)) else None

    def listed(self, name: str) -> list[str]:
        """The values of a parameter whose values may also be joined by commas."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def without(self, *names: str) -> Call:
        """The same call lacking these headers."""
        return replace(self, headers={key: value for key, value in self.headers.items() if key not in names})

    def account(self, world: World) -> str | None:
        """The valid key it came with. A wrong one is no error: the caller is then anonymous.

        With an `Authorization` header of any kind `?token=` is not looked at; its scheme word is not checked. A session
        cookie, new or old style, counts where there is neither; the fake takes keys as sessions too.
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
        """Whether it carries no key at all, good or bad."""
        return "authorization" not in self.headers and "token" not in self.query

    @property
    def browser(self) -> bool:
        """Whether the site takes the caller for a browser, who gets pages and redirects in place of JSON errors."""
        agent = self.headers.get("user-agent", "").lower()
        return any(word in agent for word in ("mozilla", "chrome", "safari", "firefox", "opera", "edge"))
