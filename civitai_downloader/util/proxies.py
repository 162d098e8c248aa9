"""Proxies: which one a link goes through, as the environment says, and what is wrong with it."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from requests.utils import select_proxy

from .errors import Failure, Sentence
from .text import printable

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PLACE = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^:/\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Proxy:
    """A proxy as it was given, and the `variable` of the environment that names it."""

    url: str
    variable: str

    def refuses(self, host: str, status: str) -> Sentence:
        """Return the sentence that it does not connect to a host."""
        words = "The proxy {proxy} ({source}) refuses to connect to {host} ({status}); check the proxy and its setting."
        return Sentence(words, **self._facts(), host=host, status=status)

    def is_silent(self) -> Sentence:
        """Return the sentence that nobody answers at its address."""
        words = "The proxy {proxy} ({source}) does not answer; check the proxy and its setting."
        return Sentence(words, **self._facts())

    def _facts(self) -> dict[str, str]:
        """Return what a message names it by, without its password, and where it was named."""
        scheme, place = self._parts()
        shown = place if scheme == "http" else f"{scheme}://{place}"
        return {"proxy": printable(shown), "source": self.variable}

    def check(self) -> None:
        """Raise Failure if no connection can be made through it, whoever answers."""
        scheme, place = self._parts()
        found = _PLACE.fullmatch(place)
        if scheme not in _SCHEMES or found is None or not 0 < int(found["port"] or 80) < 1 << 16:
            words = "The proxy {proxy} ({source}) is not valid; write it as http://HOST:PORT."
            raise Failure("proxy", words, **self._facts())
        if scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
            words = "The proxy {proxy} ({source}) needs PySocks; install it with: pip install 'requests[socks]'"
            raise Failure("proxy", words, **self._facts())

    def _parts(self) -> tuple[str, str]:
        """Return the scheme, and the host with the port."""
        scheme, mark, rest = self.url.partition("://")
        place = (rest if mark else self.url).rpartition("@")[2].partition("/")[0]
        return scheme.lower() if mark else "http", place


def proxy_for(url: str, proxies: Mapping[str, str]) -> Proxy | None:
    """Return the proxy among those of the environment (by scheme) that a link goes through, or None."""
    chosen = select_proxy(url, dict(proxies))
    if not chosen:
        return None
    scheme = urlsplit(url).scheme
    names = (f"{each}_proxy" for each in (scheme, "all"))
    spelled = (spelling for name in names for spelling in (name, name.upper()))
    found = (name for name in spelled if os.environ.get(name) == chosen)
    variable = next(found, Sentence("system settings"))
    return Proxy(chosen, variable.upper() if os.name == "nt" and "_" in variable else variable)


def passwords_of_proxies() -> Iterator[str]:
    """Yield the passwords in the proxies of the environment, as they are written and as they are meant."""
    for url in getproxies().values():
        password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
        yield from {password, unquote(password)} - {""}
