"""HTTP: opening a request, with its redirects and its retries."""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import backoff
import requests
import urllib3

from .clock import Clock
from .errors import Busy, Failure, Unreachable
from .files import READ
from .pace import Health, Patience, Pause, parse_retry_after
from .text import bare_url, host_of, web_link

T = TypeVar("T")
MAX_JSON = 64 << 20
MAX_ERROR_BODY = 1 << 16
MAX_REDIRECTS = 5
_SERVER_FAULTS = frozenset((408, 500, 502, 504, *range(520, 531)))
_REDIRECTS = requests.sessions.SessionRedirectMixin()
PASSING_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Refused(Failure):
    """An answer that says no (4xx); `status`, `headers` and `body` (at most 64 KiB) tell why."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        super().__init__("refused", f"{host_of(url)} answered {status}; try again later.")
        self.status, self.headers, self.body, self.url = status, headers, body, url


@dataclass(frozen=True)
class HttpRules:
    """What a particular site adds to HTTP: who it is told we are, who gets the key, what never to retry."""

    agent: str
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest]
    final: Callable[[Refused], bool] = lambda refused: False
    passing: Callable[[Refused], bool] = lambda refused: False


class Http:
    """Opens requests: connections that all threads share, redirects by hand, the first of the two retry layers.

    The adapters of requests do all that is needed; a session would read the bodies of redirects, endless ones too, and
    look for cookies and a .netrc.

    `timeout` in seconds for a connection and for each read; `retries` after the first try.
    """

    def __init__(
        self, rules: HttpRules, clock: Clock, *, timeout: float, retries: int, log: Callable[[str], None]
    ) -> None:
        self._rules, self._clock, self._log = rules, clock, log
        self._timeout, self._retries = (min(10.0, timeout), timeout), retries
        self._pause = Pause(clock)
        self.health = Health(clock, log)
        self._adapter = _Adapter(pool_connections=32, pool_maxsize=128)
        self._headers = {"User-Agent": rules.agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self._verify = next((os.environ[name] for name in names if os.environ.get(name)), True)
        self._proxies: dict[tuple[str, str], dict[str, str]] = {}
        self._lock, self._looking_up = threading.Lock(), threading.Lock()
        self._depths: dict[str, int] = {}
        self.resting = 0

    def open(
        self, url: str, patience: Patience, headers: Mapping[str, str], accept: tuple[int, ...] = ()
    ) -> requests.Response:
        """The streaming answer (2xx or one of `accept`), redirects followed; raises a Failure, Stopped."""
        return self._patiently(lambda: self._follow(url, headers, accept), patience)

    def once(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """As `open`, in a single try."""
        return self._follow(url, headers, ())

    def json(
        self,
        url: str,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        turn: Callable[[], object] = lambda: None,
        body: Any = None,
    ) -> Any:
        """The JSON answer to a GET, or to a POST of a `body`; at most 64 MB of it. Raises a Failure, Stopped.

        `turn` is waited for before each request.
        """
        return self._patiently(lambda: self._read_json(url, headers or {}, turn, body), patience)

    def _patiently(self, action: Callable[[], T], patience: Patience) -> T:
        """Run `action`; a busy server costs patience, another passing fault costs one of the retries.

        The waits are our own (`backoff` is told to wait 0), so that Ctrl-C ends them and they can be injected.
        """

        def too_long(busy: Exception) -> bool:
            """Whether the patience is used up; if not, everybody waits."""
            wait = patience.spend(busy) if isinstance(busy, Busy) else None
            if wait is not None:
                self._pause.begin(wait)
            return wait is None

        def rest(details: Any) -> None:
            """Say what went wrong and wait."""
            self._log(f"{details['exception']} (try {details['tries']})")
            self.rest(details["tries"])

        at_once = partial(backoff.on_exception, backoff.constant, interval=0, jitter=None, logger=None)
        polite = at_once(Busy, giveup=too_long, on_backoff=lambda details: self._log(str(details["exception"])))
        steady = at_once(Unreachable, max_tries=self._retries + 1, on_backoff=rest)
        done: T = steady(polite(action))()
        return done

    def rest(self, tries: int) -> None:
        """Wait before the next try: up to 2 seconds, doubling to 64, by chance within that; raises Stopped."""
        with self._lock:
            self.resting += 1
        self._clock.sleep(backoff.full_jitter(min(64.0, 2.0**tries)))
        with self._lock:
            self.resting -= 1

    def _follow(
        self,
        url: str,
        headers: Mapping[str, str],
        accept: tuple[int, ...],
        turn: Callable[[], object] | None = None,
        body: Any = None,
    ) -> requests.Response:
        for _ in range(MAX_REDIRECTS + 1):
            self.health.enter(host_of(url), patient=turn is not None)
            self._pause.wait()
            if turn is not None:
                turn()
            response = self._send(url, headers, body)
            target = _REDIRECTS.get_redirect_target(response)
            if target is None:
                return self._judge(response, accept)
            _drain(response)
            url = self._outside(url, _led_to(url, target))
        raise Failure("redirect", f"{bare_url(url)} redirects more than {MAX_REDIRECTS} times; try again later.")

    def _outside(self, url: str, there: str) -> str:
        """Where a redirect leads; raises Failure when that is from the net into a private network."""
        if (depth := self._depth(there)) and depth > self._depth(url):
            raise Failure("redirect", f"{bare_url(url)} redirects into a private network; it was refused.")
        return there

    def _depth(self, url: str) -> int:
        """The depth of the link's host, looked up once."""
        host = urlsplit(url).hostname or ""
        with self._looking_up:
            if host not in self._depths:
                self._depths[host] = _depth_of(host)
            return self._depths[host]

    def _send(self, url: str, headers: Mapping[str, str], body: Any) -> requests.Response:
        self._clock.check()
        host, begun, method = host_of(url), self._clock.now(), "GET" if body is None else "POST"
        try:
            request = requests.Request(method, url, {**self._headers, **headers}, json=body, auth=self._rules.sign)
            response = self._adapter.send(
                request.prepare(), stream=True, timeout=self._timeout, verify=self._verify,
                proxies=self._proxies_for(url),
            )  # fmt: skip
        except requests.exceptions.SSLError as error:
            raise Failure("certificate", f"{host} has no valid certificate; check clock and proxy.") from error
        except ValueError as error:  # every kind of bad link is one
            raise Failure("redirect", f"{bare_url(url)} is no link that can be opened.") from error
        except PASSING_ERRORS as error:
            self.health.note(host, 0)
            raise Unreachable(f"{host} can't be reached ({type(error).__name__}); check the connection.") from error
        self.health.note(host, response.status_code)
        self._log(f"{method} {bare_url(url)} {response.status_code} {self._clock.now() - begun:.2f}s")
        return response

    def _proxies_for(self, url: str) -> dict[str, str]:
        """The proxies that the environment names for a host, looked up once."""
        place = urlsplit(url)[:2]
        if place not in self._proxies:
            self._proxies[place] = requests.utils.get_environ_proxies(url)
        return self._proxies[place]

    def _judge(self, response: requests.Response, accept: tuple[int, ...]) -> requests.Response:
        """The response if it can be used; otherwise the error its status stands for."""
        status, host = response.status_code, host_of(response.url)
        if 200 <= status < 300 or status in accept:
            return response
        with closing(response):
            body = read_at_most(response, MAX_ERROR_BODY)
        refused = Refused(status, response.headers, body, response.url)
        if self._rules.final(refused):
            raise refused
        if status in (429, 503):
            wait = parse_retry_after(response.headers.get("Retry-After"), time.time())
            raise Busy(f"{host} is busy ({status}) and asked us to wait; run again later.", wait)
        if status in _SERVER_FAULTS or self._rules.passing(refused):
            raise Unreachable(f"{host} has a fault ({status}); try again later.")
        raise refused

    def _read_json(self, url: str, headers: Mapping[str, str], turn: Callable[[], object], body: Any) -> Any:
        host = host_of(url)
        with closing(self._follow(url, headers, (), turn, body)) as response:
            if "json" not in response.headers.get("Content-Type", ""):
                raise Unreachable(f"{host} sent a page instead of data (maintenance?); try again later.")
            answer = read_at_most(response, MAX_JSON + 1)
        if len(answer) > MAX_JSON:
            raise Failure("answer", f"{host} sent more than 64 MB of JSON for one page; it was refused.")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{host} sent data that is no JSON; try again later.") from error


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections, through proxies too, whose answers have to keep up a minimum of speed."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _demand_speed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The pools of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            _demand_speed(manager)
        return manager


def _demand_speed(manager: Any) -> None:
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("_Connection", (pool.ConnectionCls,), {"response_class": _Answer})
        pools[scheme] = type("_Pool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools


class _Answer(http.client.HTTPResponse):
    """An answer that is ended when its headers drip or its body trickles, which a timeout for each read never sees."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._steady = _SteadyStream(self.fp.detach(), sock)
        self.fp = _Gathering(self._steady)
        self._patience = max(2 * (sock.gettimeout() or 0.0), 4.0)

    def begin(self) -> None:
        """Read status and headers, before a deadline."""
        self._steady.deadline = time.monotonic() + self._patience
        super().begin()
        self._steady.deadline = math.inf


class _Gathering(io.BufferedReader):
    """Its `read1` gives what arrives within a moment: a few large pieces where a socket or TLS gives many small ones.

    That is a view of a buffer which the next call uses again. What came before a connection broke is never lost.
    """

    MOMENT = 0.01

    def __init__(self, steady: _SteadyStream) -> None:
        super().__init__(steady)
        self._steady, self._buffer = steady, bytearray()

    def read1(self, size: int = -1, /) -> Any:
        """What arrives within a moment, at most `size` bytes."""
        if size <= READ:
            return super().read1(size)
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view, until = memoryview(self._buffer)[:size], time.monotonic() + self.MOMENT
        count = more = self.readinto1(view)
        while more and count < size and self._steady.comes(more, until - time.monotonic()):
            try:
                more = self.readinto1(view[count:])
            except OSError:  # the next call meets it again
                break
            count += more
        return view[:count]


class _SteadyStream(io.RawIOBase):
    """Reads from a socket until the deadline, and as long as it gives `SLOWEST` bytes a second over `WINDOW` seconds.

    Only the time spent waiting for the socket counts, so that our own limit of speed is not held against a server.
    """

    SLOWEST, WINDOW, TLS_RECORD = 1024, 120.0, 1 << 14

    def __init__(self, source: Any, sock: socket.socket) -> None:
        self._source, self._sock, self._waited, self._gained = source, sock, 0.0, 0
        self.deadline = math.inf

    def readable(self) -> bool:
        """Yes."""
        return True

    def comes(self, last: int, seconds: float) -> bool:
        """Whether more comes within so many seconds; after a full record of TLS the next is taken for granted."""
        begun = time.monotonic()
        comes = seconds > 0 and (last == self.TLS_RECORD or urllib3.util.wait_for_read(self._sock, seconds))
        self._waited += time.monotonic() - begun
        return comes

    def readinto(self, buffer: Any) -> int:
        """Read what is there; raises TimeoutError when that is too slow."""
        begun = time.monotonic()
        count = self._source.readinto(buffer) or 0
        now = time.monotonic()
        self._waited, self._gained = self._waited + now - begun, self._gained + count
        slow = self._waited >= self.WINDOW and self._gained < self.SLOWEST * self._waited
        if now > self.deadline or slow:
            raise TimeoutError("too slow")
        if self._waited >= self.WINDOW:
            self._waited, self._gained = 0.0, 0
        return int(count)

    def close(self) -> None:
        """Let go of the socket."""
        self._source.close()
        super().close()


def read_at_most(response: requests.Response, limit: int) -> bytes:
    """Up to `limit` bytes of the decoded body; raises Unreachable when the answer is cut."""
    body = bytearray()
    try:
        for chunk in response.iter_content(READ):
            body += chunk
            if len(body) >= limit:
                break
    except PASSING_ERRORS as error:
        raise Unreachable(f"{host_of(response.url)} broke off its answer; try again later.") from error
    return bytes(body)


def _led_to(url: str, target: str) -> str:
    """The link a redirect leads to; raises Failure for what is none."""
    with suppress(ValueError):
        if there := web_link(urljoin(url, target)):
            return there
    raise Failure("redirect", f"{bare_url(url)} redirects to something that is no web link.")


_MADE_UP = (ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("fc00::/7"))


def _depth_of(host: str) -> int:
    """0 for a host of the public net, 2 for one that is private by its spelling or its address.

    1 is for addresses that VPN programs make up for every name. What can't be looked up here, as behind a proxy, is
    taken for public.
    """
    with suppress(ValueError):
        return 0 if ipaddress.ip_address(host).is_global else 2
    if not re.search(r"\.(?!(?:local|localhost|internal)$)[^\W\d][\w-]*$", host):
        return 2
    with suppress(OSError, ValueError):
        found = [ipaddress.ip_address(each[4][0]) for each in socket.getaddrinfo(host, None)]
        made_up = [any(each in network for network in _MADE_UP) for each in found]
        return max(0 if each.is_global else 2 - known for each, known in zip(found, made_up, strict=True))
    return 0


def _drain(response: requests.Response) -> None:
    """Finish with a redirect: a short body is read so that the connection can be used again."""
    length = response.headers.get("Content-Length", "")
    with closing(response), suppress(*PASSING_ERRORS):
        if length.isdigit() and int(length) <= READ:
            response.raw.read(READ)
