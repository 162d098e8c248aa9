"""The wire: connections whose address is checked when they are made, and answers that must come steadily."""

from __future__ import annotations

import errno
import http.client
import io
import math
import os
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain, zip_longest
from typing import Any

import requests
from urllib3.connection import HTTPConnection
from urllib3.exceptions import LocationParseError, NewConnectionError

from .addresses import Reach
from .errors import Failure
from .files import READ

Address = tuple[int, tuple[Any, ...]]  # family and socket address


# --- Making connections ----------------------------------------------------------------------------


class Dialer:
    """Makes connections to the addresses of a host that may be reached; the one that answered last is tried first."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._last: dict[str, str] = {}

    def dial(self, connection: Any, *, through_proxy: bool) -> socket.socket:
        """Return a socket for a connection of urllib3. Raises Failure, and what urllib3 raises.

        `through_proxy` says that its host is a proxy, which may be anywhere.
        """
        host = str(getattr(connection, "_dns_host", connection.host)).strip("[]")
        found = self._in_order(host, _look_up(connection, host))
        allowed = [each for each in found if through_proxy or self._reach.allows(host, each[1][0])]
        if not allowed:
            raise _astray(host, found[0][1][0])
        try:
            made = first_to_answer(allowed, connection.socket_options or (), connection.timeout or 10.0)
        except OSError as error:
            raise NewConnectionError(connection, f"Failed to establish a new connection: {error}") from error
        made.settimeout(connection.timeout)
        peer = made.getpeername()[0]
        if not (through_proxy or self._reach.allows(host, peer)):
            made.close()
            raise _astray(host, peer)
        if not through_proxy:
            self._reach.note(host, peer)
        self._last[host] = peer
        return made

    def _in_order(self, host: str, found: Sequence[Address]) -> list[Address]:
        """Return the addresses with the families taking turns, and the one that answered last before all others."""
        first = [each for each in found if each[0] == found[0][0]]
        others = [each for each in found if each[0] != found[0][0]]
        turns = [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]
        return sorted(turns, key=lambda each: each[1][0] != self._last.get(host))


def _astray(host: str, address: str) -> Failure:
    words = "{host} leads into a private network ({address}) and was not opened; check the link and the DNS."
    return Failure("redirect", words, host=host, address=address)


def _look_up(connection: Any, host: str) -> list[Address]:
    """Return the addresses of a host, each once."""
    try:
        found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise LocationParseError(host) from None
    except OSError as error:
        raise NewConnectionError(connection, f"Failed to resolve {host!r}: {error}") from error
    if not found:
        raise NewConnectionError(connection, f"Failed to resolve {host!r}")
    return list(dict.fromkeys((each[0], each[4]) for each in found))


STAGGER = 1.0
_UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}


def first_to_answer(addresses: Iterable[Address], options: Iterable[Any], timeout: float) -> socket.socket:
    """Return a connection to the first address that answers. Raises OSError if none does.

    Each address is tried a second after the one before it, or at once when that one refuses; the `timeout` in seconds
    is for all of them together.
    """
    ahead, turn, end = deque(addresses), 0.0, time.monotonic() + timeout
    trouble: OSError = TimeoutError("timed out")
    with selectors.DefaultSelector() as under_way, ExitStack() as losers:
        while (ahead or under_way.get_map()) and (now := time.monotonic()) < end:
            if ahead and (now >= turn or not under_way.get_map()):
                turn = now + STAGGER
                try:
                    under_way.register(_begin(*ahead.popleft(), options, losers), selectors.EVENT_WRITE)
                except OSError as error:
                    trouble = error
                continue
            for key, _ in under_way.select((min(turn, end) if ahead else end) - now):
                made: Any = key.fileobj
                under_way.unregister(made)
                if code := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    trouble = OSError(code, os.strerror(code))
                    continue
                kept: socket.socket = socket.socket(made.family, made.type, made.proto, fileno=made.detach())
                return kept
    raise trouble


def _begin(family: int, place: tuple[Any, ...], options: Iterable[Any], losers: ExitStack) -> socket.socket:
    """Return a socket that has begun to connect, and that `losers` closes. Raises OSError."""
    begun = losers.enter_context(socket.socket(family, socket.SOCK_STREAM))
    for option in options:
        begun.setsockopt(*option)
    begun.setblocking(False)
    code = begun.connect_ex(place)
    if code not in _UNDER_WAY:
        raise OSError(code, os.strerror(code))
    return begun


# --- Connections of urllib3 ------------------------------------------------------------------------


class Adapter(requests.adapters.HTTPAdapter):
    """Provides connections, with or without a proxy, that a `Dialer` makes and whose responses are `_Response`."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        super().__init__(pool_connections=32, pool_maxsize=128)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of connections for a request."""
        return self._ours(super().get_connection_with_tls_context(*args, **kwargs))

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of connections for a request: the name of the same in requests 2.31."""
        return self._ours(super().get_connection(*args, **kwargs))

    def _ours(self, pool: Any) -> Any:
        """Return a pool after giving it our class of connections. PySocks makes its own, which lead to the proxy."""
        kind, dialer = pool.ConnectionCls, self._dialer
        if kind.response_class is _Response:
            return pool

        def new_connection(connection: Any) -> socket.socket:
            """Return a new socket for a connection."""
            return dialer.dial(connection, through_proxy=pool.proxy is not None)

        members: dict[str, Any] = {"response_class": _Response}
        if kind._new_conn is HTTPConnection._new_conn:
            members["_new_conn"] = new_connection
        pool.ConnectionCls = type("_Connection", (kind,), members)
        return pool


# --- Answers ---------------------------------------------------------------------------------------


class _Response(http.client.HTTPResponse):
    """A response that ends with TimeoutError if its headers or body trickle, which a timeout for each read misses.

    Answers with a status below 200 are not final, and are skipped.
    """

    MOST_INTERIM, LEAST_PATIENCE = 20, 4.0  # seconds for the headers, however short the timeout is

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._steady = _SteadyStream(self.fp.detach(), max(2 * (sock.gettimeout() or 0.0), self.LEAST_PATIENCE))
        self.fp = _Lines(self._steady)

    def begin(self) -> None:
        """Read status and headers, then expect the body."""
        for _ in range(self.MOST_INTERIM):
            super().begin()
            if self.status >= 200:
                self._steady.begin_body()
                return
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first answer
        raise http.client.HTTPException("too many answers that are not final")


class _SteadyStream(io.RawIOBase):
    """Reads lines from a socket for `patience` seconds, then a body as long as it gives `SLOWEST` bytes a second.

    Lines are the headers, and what follows the last chunk: together at most `MOST_LINES` bytes. A body may give nothing
    for `WINDOW` seconds; each second that is used up of them is won back by `SLOWEST` bytes. Only the time spent
    waiting for the socket counts, so our own speed limit is not held against the server.
    """

    SLOWEST, WINDOW, MOST_LINES = 1024, 120.0, 1 << 20

    def __init__(self, source: Any, patience: float) -> None:
        self._source, self._patience, self._left = source, patience, patience
        self._gain, self._budget = 0.0, float(self.MOST_LINES)

    @property
    def in_body(self) -> bool:
        """Whether the body is being read."""
        return self._gain > 0

    def begin_body(self) -> None:
        """Apply the rule for bodies from now on."""
        self._left, self._gain, self._budget = self.WINDOW, 1 / self.SLOWEST, math.inf

    def end_body(self) -> None:
        """Apply the rule for lines from now on."""
        self._left, self._gain, self._budget = self._patience, 0.0, float(self.MOST_LINES)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has arrived and return how many bytes that is. Raises TimeoutError if it is too slow."""
        begun = time.monotonic()
        count = self._source.readinto(buffer) or 0
        waited = time.monotonic() - begun
        self._budget -= count
        self._left = min(self.WINDOW, self._left + self._gain * count - waited)
        if self._left < 0 or self._budget < 0:
            raise TimeoutError("too slow" if self._left < 0 else "too many headers")
        return int(count)

    def close(self) -> None:
        """Close the socket's file."""
        self._source.close()
        super().close()


class _Lines(io.BufferedReader):
    """Reads the lines of an answer, none of them without an end, and notices the one that ends a chunked body."""

    LONGEST, LONGEST_IN_BODY = 1 << 17, 1 << 12
    _CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})\s*(?:;|\r?\n|\Z)")

    def __init__(self, steady: _SteadyStream) -> None:
        super().__init__(steady, READ)
        self._steady = steady

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line; in a body only chunks have lines."""
        most = self.LONGEST_IN_BODY if self._steady.in_body else self.LONGEST
        line = super().readline(most if size is None or not 0 <= size <= most else size)
        if self._steady.in_body and line:
            chunk = self._CHUNK.match(line)
            if chunk is None:  # a negative size would be read without an end
                raise ConnectionError("a chunk without a size")
            if not int(chunk[1], 16):
                self._steady.end_body()
        return line
