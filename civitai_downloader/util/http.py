"""HTTP: sending requests, with redirects, proxies, retries and limits of patience. Times are in seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import backoff
import requests
import urllib3

from .addresses import Reach
from .clock import Clock
from .errors import Busy, Failure, Sentence, Unconnected, Unreachable
from .files import READ
from .pace import Health, Pace, Patience
from .pauses import Pause
from .proxies import Proxy, proxy_for
from .rests import Rests
from .text import Secrets, bare_url, host_of, web_link
from .wire import Adapter, Dialer

T = TypeVar("T")
MAX_JSON = 64 << 20
MAX_ERROR_BODY = 1 << 16
MAX_REDIRECTS = 5
PASSING_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_SERVER_FAULTS = frozenset((408, 500, 502, 504, *range(520, 531)))


# --- Requests --------------------------------------------------------------------------------------


class Refused(Failure):
    """The server refused a request (4xx). `status`, `headers` and `body` (at most 64 KiB of it) tell why."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        super().__init__(
            "refused", "{host} answered with status {status}; try again later.", host=host_of(url), status=status
        )
        self.status, self.headers, self.body, self.url = status, headers, body, url


@dataclass(frozen=True)
class HttpRules:
    """What one site adds to HTTP.

    `agent` is the User-Agent; `sign` adds the key to the requests that may carry it; `final` returns whether a refusal
    must never be retried, `passing` whether it is worth a retry although its status does not say so. `reach` says where
    connections may lead, and `secrets` are cut out of everything that a server says of itself: headers, JSON, errors.
    `warn` is called with a sentence about an answer of which something was left out.
    """

    agent: str
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest]
    final: Callable[[Refused], bool] = lambda refused: False
    passing: Callable[[Refused], bool] = lambda refused: False
    reach: Reach = field(default_factory=Reach)
    secrets: Secrets = field(default_factory=Secrets)
    warn: Callable[[str], object] = lambda sentence: None


@dataclass(frozen=True)
class Call:
    """A request: a GET, or a POST of `body` as JSON, and which statuses besides 2xx are an answer (`accept`).

    A call with a `pace` takes its turn each time before it is sent, and waits for a host that is left alone. `sent` is
    called each time when it is about to be sent.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    accept: tuple[int, ...] = ()
    pace: Pace | None = None
    sent: Callable[[], object] = lambda: None


class Http:
    """Sends requests over connections that all threads share, and retries them: the first of the two retry layers.

    The session is used for proxies, CA bundle and connections only. Its own `send` would read the bodies of redirects
    without bound, keep cookies and read .netrc, so redirects are followed here.
    """

    def __init__(
        self,
        rules: HttpRules,
        clock: Clock,
        rests: Rests | None = None,
        pause: Pause | None = None,
        *,
        timeout: float,
        retries: int,
        log: Callable[[str], None],
    ) -> None:
        """`timeout` is for each read and, up to 10 seconds, for connecting; `retries` do not count the first try.

        While `rests` or a `pause` say so, requests wait. `waiting` has an entry for each thread that waits to retry.
        """
        self._rules, self._clock, self._log = rules, clock, log
        self._timeout, self._retries = (min(10.0, timeout), timeout), retries
        self.health, self.rests = Health(clock, log, pause), rests or Rests(clock)
        self._session, adapter = requests.Session(), Adapter(Dialer(rules.reach))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._environment = lru_cache(maxsize=None)(self._look_around)
        self.waiting: list[int] = []

    def open(self, call: Call, patience: Patience) -> requests.Response:
        """Return the response, its body not read yet, after redirects and retries. Raises Failure and Stopped."""
        return self._persist(lambda: self.open_once(call), patience)

    def json(self, call: Call, patience: Patience) -> Any:
        """Return the JSON answer, of at most 64 MB, after redirects and retries. Raises Failure and Stopped."""
        return self._persist(lambda: self._read_json(call), patience)

    def text(self, response: requests.Response) -> str:
        """Return the text of a page, of at most 64 MB. Raises Failure."""
        return self._rules.secrets.cut(read_at_most(response, MAX_JSON).decode("utf-8", "replace"))

    def wait_to_retry(self, tries: int) -> None:
        """Wait up to 2 seconds after the first try, twice as long after each further one, up to 64. Raises Stopped.

        The exact time is random.
        """
        self.waiting.append(tries)
        self._clock.sleep(backoff.full_jitter(min(64.0, 2.0**tries)))
        self.waiting.pop()

    def open_once(self, call: Call) -> requests.Response:
        """Return the response, its body not read yet, after redirects but without retries. Raises Failure and Stopped.

        Its status is 2xx or in `accept`. What has begun goes on with its redirects, whatever the hour.
        """
        url = call.url
        for hop in range(MAX_REDIRECTS + 1):
            self._await(host_of(url), call.pace, is_new=not hop)
            call.sent()
            response = self._send(url, call)
            if not response.is_redirect:
                return self._judge(response, call.accept)
            _drain(response)
            url = _redirect_target(url, response.headers["Location"])
        raise Failure(
            "redirect", "{url} redirects more than {count} times; try again later.",
            url=bare_url(url), count=MAX_REDIRECTS,
        )  # fmt: skip

    def _await(self, host: str, pace: Pace | None, *, is_new: bool) -> None:
        """Wait until a request may be sent. Raises Failure and Stopped.

        A rest may begin while a turn is waited for. It ends for all processes at once, so turns then begin anew.
        """
        rested = self.health.enter(host, patient=pace is not None) | (is_new and self.rests.wait())
        while rested or pace is not None:
            if pace is not None:
                if rested:
                    pace.begin_anew()
                pace.wait()
            rested = self.health.rest() | (is_new and self.rests.wait())
            if not rested:
                return

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
        """Log the fault after which `backoff` is about to retry, and wait. Raises Failure where there is no network."""
        self._log(f"{details['exception']} (try {details['tries']})")
        if isinstance(details["exception"], Unconnected):
            self.health.check_network(details["exception"].host)
        self.wait_to_retry(details["tries"])

    def _read_json(self, call: Call) -> Any:
        host = host_of(call.url)
        with closing(self.open_once(call)) as response:
            if "json" not in response.headers.get("Content-Type", ""):
                raise Unreachable("{host} sent a web page instead of data (maintenance?); try again later.", host=host)
            answer = read_at_most(response, MAX_JSON + 1)
        if len(answer) > MAX_JSON:
            raise Failure("answer", "{host} sent more than 64 MB of JSON in one answer; try again later.", host=host)
        try:
            value, cut = self._rules.secrets.read_json(answer)
        except (ValueError, RecursionError) as error:
            raise Unreachable("{host} sent invalid JSON; try again later.", host=host) from error
        if cut:
            self._rules.warn(
                Sentence(
                    "{host} sent data nested too deeply in {keys}; that part was skipped.",
                    host=host,
                    keys=", ".join(cut),
                )
            )
        return value

    def _send(self, url: str, call: Call) -> requests.Response:
        self._clock.check()
        host, begun, method = host_of(url), self._clock.now(), "GET" if call.body is None else "POST"
        headers = {"User-Agent": self._rules.agent, "Accept": "*/*", "Accept-Encoding": "identity", **call.headers}
        proxy: Proxy | None = None
        try:
            request = requests.Request(method, url, headers, json=call.body, auth=self._rules.sign).prepare()
            self._check(url, request.url or "")
            settings, proxy = self._environment(*urlsplit(url)[:2])
            response = self._session.get_adapter(url).send(request, timeout=self._timeout, **settings)
        except requests.exceptions.SSLError as error:
            raise Failure(
                "certificate", "{host} has no valid certificate; check the clock and the proxy.", host=host
            ) from error
        except requests.exceptions.InvalidHeader as error:
            raise Unreachable("{host} sent an invalid HTTP response; try again later.", host=host) from error
        except ValueError as error:  # the base class of every complaint about a link
            raise Failure("redirect", "{url} is not a valid link; check it.", url=bare_url(url)) from error
        except PASSING_ERRORS as error:
            raise self._unreachable(host, proxy, error) from error
        self.health.note(host, response.status_code)
        for name, value in response.headers.items():
            response.headers[name] = self._rules.secrets.cut(value)
        self._log(f"{method} {bare_url(url)} {response.status_code} {self._clock.now() - begun:.2f}s")
        return response

    def _check(self, url: str, prepared: str) -> None:
        """Raise Failure for a link that different programs read differently, or that leads into a private network."""
        if not web_link(url):
            raise ValueError
        if not self._rules.reach.allows_name(urlsplit(prepared).hostname or ""):
            raise Failure(
                "redirect", "{url} leads into a private network and was not opened; check the link.", url=bare_url(url)
            )

    def _unreachable(self, host: str, proxy: Proxy | None, error: Exception) -> Unreachable:
        """Take note of a request that was not answered, and return the fault. Raises Failure if there is no network."""
        self.health.note(host, 0)
        sentence = Sentence(
            "{host} can't be reached ({reason}); check the connection.", host=host, reason=type(error).__name__
        )
        if not _is_unconnected(error):
            return Unreachable(sentence)
        if proxy is not None:
            refusal = re.search(r"Tunnel connection failed: ([0-9]{3})", str(error))
            sentence = proxy.refuses(host, refusal[1]) if refusal else proxy.is_silent()
        self.health.note_unconnected(host, sentence)
        self.health.check_network(host)
        return Unconnected(host, sentence)

    def _look_around(self, scheme: str, host: str) -> tuple[Mapping[str, Any], Proxy | None]:
        """Return proxies and CA bundle that the environment names for a host, and its proxy. Raises Failure.

        This takes too long for each request.
        """
        settings = self._session.merge_environment_settings(f"{scheme}://{host}", {}, True, None, None)
        proxy = proxy_for(f"{scheme}://{host}", settings["proxies"])
        if proxy is not None:
            proxy.check()
        return settings, proxy

    def _judge(self, response: requests.Response, accept: tuple[int, ...]) -> requests.Response:
        """Return the response if its status is 2xx or in `accept`. Raises Refused, Busy or Unreachable otherwise."""
        status, host = response.status_code, host_of(response.url)
        if 200 <= status < 300 or status in accept:
            return response
        with closing(response):
            body = self._rules.secrets.cut_body(read_at_most(response, MAX_ERROR_BODY))
        refused = Refused(status, response.headers, body, response.url)
        if self._rules.final(refused):
            raise refused
        if status in (429, 503):
            wait = parse_retry_after(response.headers.get("Retry-After"))
            raise Busy("{host} is busy ({status}); run again later.", wait, host=host, status=status)
        if status in _SERVER_FAULTS or self._rules.passing(refused):
            raise Unreachable("{host} reported a server error ({status}); try again later.", host=host, status=status)
        raise refused


def read_at_most(response: requests.Response, limit: int) -> bytes:
    """Return the decoded body, cut somewhere beyond `limit` bytes. Raises Unreachable if the answer is incomplete."""
    body = bytearray()
    try:
        for chunk in response.iter_content(READ):
            body += chunk
            if len(body) >= limit:
                break
    except PASSING_ERRORS as error:
        raise Unreachable(
            "{host} closed the connection in the middle of its answer; try again later.", host=host_of(response.url)
        ) from error
    return bytes(body)


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header names as a number or a date, None if it is neither."""
    with suppress(urllib3.exceptions.HTTPError, ValueError, TypeError, OverflowError):
        return float(urllib3.Retry().parse_retry_after(text or ""))
    return None


def length_of(response: requests.Response) -> int | None:
    """Return the size of the body by its `Content-Length` header, None if that is no number of bytes."""
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def _is_unconnected(error: Exception) -> bool:
    """Return whether no connection was made: a name that is not known, nobody at the address, a proxy that is dead."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    kinds = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)) or isinstance(cause, kinds)


# --- Redirects -------------------------------------------------------------------------------------


def _drain(response: requests.Response) -> None:
    """Close a redirect. A short body is read first, so that the connection can be used again."""
    length = length_of(response)
    with closing(response), suppress(*PASSING_ERRORS):
        if length is not None and length <= READ:
            response.raw.read(READ)


def _redirect_target(url: str, location: str) -> str:
    """Return the link to which a `Location` header leads. Raises Failure if it is not a web link."""
    with suppress(ValueError):
        spelled = location.encode("latin-1", "replace").decode("utf-8", "replace")  # headers are read as Latin-1
        if target := web_link(urljoin(url, spelled)):
            return target
    raise Failure("redirect", "{url} redirects to something that isn't a web link; try again later.", url=bare_url(url))
