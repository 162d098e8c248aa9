"""HTTP: sending requests, with redirects, proxies, retries and limits of patience. Times are in seconds."""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import backoff
import requests
import urllib3

from .clock import Clock
from .errors import Busy, Failure, Unreachable
from .files import READ
from .jsontext import parse_json
from .pace import Health, Patience
from .text import bare_url, host_of, web_link

T = TypeVar("T")
MAX_JSON = 64 << 20
MAX_ERROR_BODY = 1 << 16
MAX_REDIRECTS = 5
PASSING_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_SERVER_FAULTS = frozenset((408, 500, 502, 504, *range(520, 531)))
_MADE_UP = (ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("fc00::/7"))


# --- Requests --------------------------------------------------------------------------------------


class Refused(Failure):
    """The server answered no (4xx). `status`, `headers` and `body` (at most 64 KiB of it) tell why."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        super().__init__("refused", f"{host_of(url)} answered {status}; try again later.")
        self.status, self.headers, self.body, self.url = status, headers, body, url


@dataclass(frozen=True)
class HttpRules:
    """What one site adds to HTTP.

    `agent` is the User-Agent; `sign` adds the key to the requests that may carry it; `final` returns whether a refusal
    must never be retried, `passing` whether it is worth a retry although its status does not say so; `warn` is called
    with a sentence about an answer of which something was left out.
    """

    agent: str
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest]
    final: Callable[[Refused], bool] = lambda refused: False
    passing: Callable[[Refused], bool] = lambda refused: False
    warn: Callable[[str], object] = lambda sentence: None


@dataclass(frozen=True)
class Call:
    """A request: a GET, or a POST of `body` as JSON, and which statuses besides 2xx are an answer (`accept`).

    `turn` is called each time before it is sent and may wait; a call with it also waits for a host that is left alone.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    accept: tuple[int, ...] = ()
    turn: Callable[[], object] | None = None


class Http:
    """Sends requests over connections that all threads share, and retries them: the first of the two retry layers.

    The session is used for proxies, CA bundle and connections only. Its own `send` would read the bodies of redirects
    without bound, keep cookies and read .netrc, so redirects are followed here.
    """

    def __init__(
        self, rules: HttpRules, clock: Clock, *, timeout: float, retries: int, log: Callable[[str], None]
    ) -> None:
        """`timeout` is for each read and, up to 10 seconds, for connecting; `retries` do not count the first try.

        `waiting` has an entry for each thread that waits to retry.
        """
        self._rules, self._clock, self._log = rules, clock, log
        self._timeout, self._retries = (min(10.0, timeout), timeout), retries
        self.health = Health(clock, log)
        self._session, adapter = requests.Session(), _Adapter(pool_connections=32, pool_maxsize=128)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._depth, self._environment = lru_cache(maxsize=None)(_depth_of), lru_cache(maxsize=None)(self._look_around)
        self.waiting: list[int] = []

    def open(self, call: Call, patience: Patience) -> requests.Response:
        """Return the response, its body not read yet, after redirects and retries. Raises Failure and Stopped."""
        return self._persist(lambda: self.open_once(call), patience)

    def json(self, call: Call, patience: Patience) -> Any:
        """Return the JSON answer, of at most 64 MB, after redirects and retries. Raises Failure and Stopped."""
        return self._persist(lambda: self._read_json(call), patience)

    def wait_to_retry(self, tries: int) -> None:
        """Wait up to 2 seconds after the first try, twice as long after each further one, up to 64. Raises Stopped.

        How long within that is random.
        """
        self.waiting.append(tries)
        self._clock.sleep(backoff.full_jitter(min(64.0, 2.0**tries)))
        self.waiting.pop()

    def open_once(self, call: Call) -> requests.Response:
        """Return the response, its body not read yet, after redirects but without retries. Raises Failure and Stopped.

        Its status is 2xx or in `accept`.
        """
        url = call.url
        for _ in range(MAX_REDIRECTS + 1):
            self.health.enter(host_of(url), patient=call.turn is not None)
            if call.turn is not None:
                call.turn()
            response = self._send(url, call)
            target = self._session.get_redirect_target(response)
            if target is None:
                return self._judge(response, call.accept)
            _drain(response)
            url = self._allowed(url, _redirect_target(url, target))
        raise Failure("redirect", f"{bare_url(url)} redirects more than {MAX_REDIRECTS} times; try again later.")

    def _persist(self, action: Callable[[], T], patience: Patience) -> T:
        """Return what `action` returns. A busy server uses up patience, any other passing fault one of the retries.

        `backoff` itself waits 0 seconds, as only our own waits end at Ctrl-C.
        """
        retry = partial(backoff.on_exception, backoff.constant, interval=0, jitter=None, logger=None)

        def impatient(busy: Any) -> bool:
            """Return whether the patience is used up; if not, everybody waits."""
            wait = patience.spend(busy)
            self._log(str(busy))
            self.health.pause(wait)
            return not wait

        @retry(Unreachable, max_tries=self._retries + 1, on_backoff=self._rest)
        @retry(Busy, giveup=impatient)
        def persist() -> T:
            """Do it once; the decorators do it again."""
            return action()

        return persist()

    def _rest(self, details: Any) -> None:
        """Log the fault after which `backoff` is about to retry, and wait."""
        self._log(f"{details['exception']} (try {details['tries']})")
        self.wait_to_retry(details["tries"])

    def _read_json(self, call: Call) -> Any:
        host = host_of(call.url)
        with closing(self.open_once(call)) as response:
            if "json" not in response.headers.get("Content-Type", ""):
                raise Unreachable(f"{host} sent a page instead of data (maintenance?); try again later.")
            answer = read_at_most(response, MAX_JSON + 1)
        if len(answer) > MAX_JSON:
            raise Failure("answer", f"{host} sent more than 64 MB of JSON for one page; refusing to read it.")
        try:
            value, cut = parse_json(answer)
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{host} sent invalid JSON; try again later.") from error
        if cut:
            self._rules.warn(f"{host} nested something too deeply in {', '.join(cut)}; that alone was left out.")
        return value

    def _send(self, url: str, call: Call) -> requests.Response:
        self._clock.check()
        host, begun, method = host_of(url), self._clock.now(), "GET" if call.body is None else "POST"
        headers = {"User-Agent": self._rules.agent, "Accept": "*/*", "Accept-Encoding": "identity", **call.headers}
        try:
            request = requests.Request(method, url, headers, json=call.body, auth=self._rules.sign).prepare()
            settings = self._environment(*urlsplit(url)[:2])
            response = self._session.get_adapter(url).send(request, timeout=self._timeout, **settings)
        except requests.exceptions.SSLError as error:
            raise Failure("certificate", f"{host} has no valid certificate; check clock and proxy.") from error
        except ValueError as error:  # the base class of every complaint about a link
            raise Failure("redirect", f"{bare_url(url)} is not a valid link.") from error
        except PASSING_ERRORS as error:
            self.health.note(host, 0)
            raise Unreachable(f"{host} can't be reached ({type(error).__name__}); check the connection.") from error
        self.health.note(host, response.status_code)
        self._log(f"{method} {bare_url(url)} {response.status_code} {self._clock.now() - begun:.2f}s")
        return response

    def _look_around(self, scheme: str, host: str) -> Mapping[str, Any]:
        """Return proxies and CA bundle that the environment names for a host; this takes too long for each request."""
        return self._session.merge_environment_settings(f"{scheme}://{host}", {}, True, None, None)

    def _judge(self, response: requests.Response, accept: tuple[int, ...]) -> requests.Response:
        """Return the response if its status is 2xx or in `accept`. Raises Refused, Busy or Unreachable otherwise."""
        status, host = response.status_code, host_of(response.url)
        if 200 <= status < 300 or status in accept:
            return response
        with closing(response):
            body = read_at_most(response, MAX_ERROR_BODY)
        refused = Refused(status, response.headers, body, response.url)
        if self._rules.final(refused):
            raise refused
        if status in (429, 503):
            wait = parse_retry_after(response.headers.get("Retry-After"))
            raise Busy(f"{host} is busy ({status}) and asked us to wait; run again later.", wait)
        if status in _SERVER_FAULTS or self._rules.passing(refused):
            raise Unreachable(f"{host} reported a server error ({status}); try again later.")
        raise refused

    def _allowed(self, url: str, target: str) -> str:
        """Return the target of a redirect. Raises Failure if it leads from the internet into a private network."""
        depth = self._depth(urlsplit(target).hostname or "")
        if depth and depth > self._depth(urlsplit(url).hostname or ""):
            raise Failure("redirect", f"{bare_url(url)} redirects into a private network; refusing to follow.")
        return target


def read_at_most(response: requests.Response, limit: int) -> bytes:
    """Return the decoded body, cut somewhere beyond `limit` bytes. Raises Unreachable if the answer is incomplete."""
    body = bytearray()
    try:
        for chunk in response.iter_content(READ):
            body += chunk
            if len(body) >= limit:
                break
    except PASSING_ERRORS as error:
        raise Unreachable(f"{host_of(response.url)} broke off its answer; try again later.") from error
    return bytes(body)


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header names as a number or a date, None if it is neither."""
    with suppress(urllib3.exceptions.HTTPError, ValueError, TypeError, OverflowError):
        return float(urllib3.Retry().parse_retry_after(text or ""))
    return None


# --- Redirects -------------------------------------------------------------------------------------


def _drain(response: requests.Response) -> None:
    """Close a redirect. A short body is read first, so that the connection can be used again."""
    length = response.headers.get("Content-Length", "")
    with closing(response), suppress(*PASSING_ERRORS):
        if length.isdigit() and int(length) <= READ:
            response.raw.read(READ)


def _redirect_target(url: str, location: str) -> str:
    """Return the link to which a `Location` header leads. Raises Failure if it is not a web link."""
    with suppress(ValueError):
        if target := web_link(urljoin(url, location)):
            return target
    raise Failure("redirect", f"{bare_url(url)} redirects to something that is not a web link.")


def _depth_of(host: str) -> int:
    """Return 0 for a host of the internet, 2 for one that is private by its name or by one of its addresses.

    1 is for the addresses that VPN programs make up for every name. A name that can't be looked up here, for example
    because a proxy does that, counts as one of the internet.
    """
    with suppress(ValueError):
        return 0 if ipaddress.ip_address(host).is_global else 2
    if not re.search(r"\.(?!(?:local|localhost|internal)$)[^\W\d][\w-]*$", host):
        return 2
    with suppress(OSError, ValueError):
        found = [ipaddress.ip_address(each[4][0]) for each in socket.getaddrinfo(host, None)]
        return max(0 if each.is_global else 2 - any(each in network for network in _MADE_UP) for each in found)
    return 0


# --- Connections -----------------------------------------------------------------------------------


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections, with or without a proxy, whose responses are `_Response`."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of connections for a request."""
        return _with_our_response(super().get_connection_with_tls_context(*args, **kwargs))

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of connections for a request: the name of the same in requests 2.31."""
        return _with_our_response(super().get_connection(*args, **kwargs))


def _with_our_response(pool: Any) -> Any:
    """Return a pool of connections after making `_Response` the class of their responses."""
    if pool.ConnectionCls.response_class is not _Response:
        pool.ConnectionCls = type("_Connection", (pool.ConnectionCls,), {"response_class": _Response})
    return pool


class _Response(http.client.HTTPResponse):
    """A response that ends with TimeoutError if its headers or body trickle, which a timeout for each read misses."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._steady = _SteadyStream(self.fp.detach(), max(2 * (sock.gettimeout() or 0.0), 4.0))
        self.fp = io.BufferedReader(self._steady, READ)

    def begin(self) -> None:
        """Read status and headers, then expect the body."""
        super().begin()
        self._steady.begin_body()


class _SteadyStream(io.RawIOBase):
    """Reads headers from a socket for `patience` seconds, then a body as long as it gives `SLOWEST` bytes a second.

    A body may give nothing for `WINDOW` seconds; each second that is used up of them is won back by `SLOWEST` bytes.
    Only the time spent waiting for the socket counts, so our own speed limit is not held against the server.
    """

    SLOWEST, WINDOW = 1024, 120.0

    def __init__(self, source: Any, patience: float) -> None:
        self._source, self._left, self._gain = source, patience, 0.0

    def begin_body(self) -> None:
        """Apply the rule for bodies from now on."""
        self._left, self._gain = self.WINDOW, 1 / self.SLOWEST

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has arrived and return how many bytes that is. Raises TimeoutError if it is too slow."""
        begun = time.monotonic()
        count = self._source.readinto(buffer) or 0
        waited = time.monotonic() - begun
        self._left = min(self.WINDOW, self._left + self._gain * count - waited)
        if self._left < 0:
            raise TimeoutError("too slow")
        return int(count)

    def close(self) -> None:
        """Close the socket's file."""
        self._source.close()
        super().close()
