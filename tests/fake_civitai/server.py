"""Four servers receive the calls, one for each host."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import responses as reasons
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .calls import Call, Host, Hosts
from .content import PAGE
from .faults import NO_FAULT, Action, Fault
from .faults_answer import http_date
from .replies import Reply, json_reply
from .routes import answer
from .world import World


@dataclass(frozen=True)
class Seen:
    """A request that arrived. `status` is that of the answer, or 0 without one; `port` tells connections apart."""

    host: Host
    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int
    port: int

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, each with all its values."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def target(self) -> str:
        """The path and the query."""
        return self.path + (f"?{self.raw_query}" if self.raw_query else "")


class FakeCivitai:
    """The four servers around a world. `with FakeCivitai(world) as site:` starts and stops them.

    Every answer takes `rtt` seconds, and twice that on a new connection, as a handshake would.
    `rate_per_connection` limits bodies, in bytes per second. An error inside the fake makes the `with` block fail.
    """

    def __init__(
        self, world: World | None = None, *, port: int = 0, rtt: float = 0.0, rate_per_connection: float | None = None
    ) -> None:
        self.world = world or World()
        self.rtt = rtt
        self.rate_per_connection = rate_per_connection
        self.requests: list[Seen] = []
        self.errors: list[str] = []
        self.faults: list[Fault] = []
        self.connections: set[socket.socket] = set()
        self.stopped = threading.Event()
        self._port = port
        self._lock = threading.Lock()
        self._servers: list[_Server] = []
        self.hosts = Hosts()

    @property
    def url(self) -> str:
        """The URL of the site: API, tRPC, download links and pages."""
        return self.hosts.site

    @property
    def storage_url(self) -> str:
        """The URL of the signed storage of model files."""
        return self.hosts.storage

    @property
    def image_url(self) -> str:
        """The URL of picture delivery."""
        return self.hosts.image

    @property
    def blob_url(self) -> str:
        """The URL of the public blobs."""
        return self.hosts.blob

    def start(self) -> FakeCivitai:
        """Start the four servers."""
        ports: dict[Host, int] = {"site": self._port, "storage": 0, "image": 0, "blob": 0}
        self._servers = [_Server(self, host, port) for host, port in ports.items()]
        urls = {server.host: f"http://127.0.0.1:{server.server_port}" for server in self._servers}
        self.hosts = Hosts(**urls)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), name=f"fake {server.host}", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop everything, including answers that are being sent."""
        self.stopped.set()
        closing = [threading.Thread(target=server.shutdown) for server in self._servers]
        for thread, server in zip(closing, self._servers, strict=True):
            thread.start()
            with suppress(OSError):  # A connection wakes the server, which then notices at once that it should stop.
                socket.create_connection(("127.0.0.1", server.server_port), 1).close()
        for thread, server in zip(closing, self._servers, strict=True):
            thread.join()
            server.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> FakeCivitai:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.stop()
        if self.errors and kind is None:
            raise RuntimeError(f"the fake site itself failed:\n{self.errors[0]}")

    def fail(self, match: str | re.Pattern[str], action: Action | Sequence[Action], times: int | None = 1) -> Fault:
        """Make the next `times` matching calls go wrong, or all of them if None. Earlier faults come first.

        `match` is part of `host:/path?query` or a pattern for it, such as `storage:/` or `site:/api/v1/images`.
        Several actions work together: `[Changed(old), Cut(1000)]` gives the first bytes of another object.
        """
        actions = (action,) if isinstance(action, Action) else tuple(action)
        fault = Fault(match, actions, None if any(each.for_ever for each in actions) else times)
        with self._lock:
            self.faults.append(fault)
        return fault

    def strike(self, call: Call) -> Fault:
        """Return the fault that this call meets, and count the hit."""
        with self._lock:
            fault = next((fault for fault in self.faults if fault.strikes(call.text)), NO_FAULT)
            if fault is not NO_FAULT:
                fault.hits += 1
            return fault

    def heal(self) -> None:
        """Remove all faults."""
        with self._lock:
            self.faults.clear()

    def expire_links(self) -> None:
        """Refuse every storage link given out so far from now on."""
        self.world.link_age += 1

    def note(self, call: Call, reply: Reply, arrived: float, port: int) -> None:
        """Record a request."""
        facts = (call.host, call.method, call.path, call.raw_query, call.headers, call.body, arrived, reply.status)
        with self._lock:
            self.requests.append(Seen(*facts, port))

    def seen(self, host: Host | None = None, path_prefix: str = "") -> list[Seen]:
        """Return the requests so far, of one host and under one path."""
        with self._lock:
            return [s for s in self.requests if host in (None, s.host) and s.path.startswith(path_prefix)]

    def forget(self) -> None:
        """Forget the requests recorded so far."""
        with self._lock:
            self.requests.clear()


class _Server(ThreadingHTTPServer):
    """The server of one host."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: FakeCivitai, host: Host, port: int) -> None:
        self.site, self.host = site, host
        super().__init__(("127.0.0.1", port), _Connection)

    def server_bind(self) -> None:
        """Bind the port without looking up the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent, because clients that disconnect are part of the tests."""


class _Connection(BaseHTTPRequestHandler):
    """One connection, which reads requests and offers actions the ways to answer badly."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _fresh = True

    def setup(self) -> None:
        """Register this connection with the site, so that stopping the site can end it."""
        super().setup()
        self.site = self.server.site
        self.site.connections.add(self.connection)

    def finish(self) -> None:
        """Unregister the connection."""
        self.site.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer a request: find the fault that strikes it, make the reply, record it, send it."""
        arrived = time.monotonic()
        call = self._call()
        fault = self.site.strike(call)
        try:
            reply = self._reply(call, fault)
            self.site.note(call, reply, arrived, self.client_address[1])
            self.pause(self.site.rtt * (2 if self._fresh else 1))
            self._fresh = False
            fault.send(self, reply)
        except OSError:
            self.close_connection = True

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _call(self) -> Call:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        parts = urlsplit(self.path)
        body = self.rfile.read(size)
        return Call(self.server.host, self.site.hosts, self.command, parts.path, parts.query, headers, body)

    def _reply(self, call: Call, fault: Fault) -> Reply:
        try:
            return fault.answer(call, partial(answer, self.site.world))
        except Exception:
            self.site.errors.append(traceback.format_exc())
            return json_reply({"message": "An unexpected error", "error": "the fake broke"}, 500)

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the site runs."""
        if seconds > 0 and self.site.stopped.wait(seconds):
            raise ConnectionAbortedError

    def write(self, data: bytes) -> None:
        """Send these bytes now."""
        self.connection.sendall(data)

    def head_bytes(self, reply: Reply, framing: str | None = None) -> bytes:
        """Return the status line and headers. `framing` replaces the Content-Length line."""
        lines = [f"HTTP/1.1 {reply.status} {reasons.get(reply.status, 'Unknown')}", f"Date: {http_date(0)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += [f"Content-Length: {reply.length}"] if framing is None else [framing] if framing else []
        lines += ["Connection: close"] if framing == "" else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")

    def head(self, reply: Reply, framing: str | None = None) -> None:
        """Send the status line and headers."""
        self.write(self.head_bytes(reply, framing))

    def send(self, reply: Reply) -> None:
        """Send a reply as it should be."""
        if reply.length <= PAGE and not self.site.rate_per_connection:
            self.write(self.head_bytes(reply) + (b"" if self.command == "HEAD" else reply.sent))
        else:
            self.head(reply)
            self.body(reply)

    def body(self, reply: Reply, count: int | None = None, rate: float | None = None) -> None:
        """Send the body, or its first `count` bytes, optionally at a limited rate."""
        if self.command == "HEAD":
            return
        rate = rate or self.site.rate_per_connection
        stop = reply.end if count is None else min(reply.start + count, reply.end)
        step = max(1, min(PAGE, int(rate / 50))) if rate else 4 * PAGE
        began, sent = time.monotonic(), 0
        for chunk in reply.body.chunks(reply.start, stop, step):
            self.write(chunk)
            sent += len(chunk)
            if rate:
                self.pause(began + sent / rate - time.monotonic())

    def chunked(self, chunks: Iterable[bytes], last: bool = True) -> None:
        """Send a body in chunks, with or without the final one."""
        for chunk in chunks:
            self.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if last:
            self.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection in an orderly way after this answer."""
        self.close_connection = True

    def reset(self) -> None:
        """Reset the connection (RST instead of FIN) after the bytes written have had time to arrive."""
        self.hang_up()
        time.sleep(0.03)
        at_once = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        socket.close(self.connection.detach())
