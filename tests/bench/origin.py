"""Starts what the programs are measured against: nginx (else a small server), the fake site, slow and distant lines."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .programs import ROOT

NGINX = """
worker_processes 2; daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid; {user}
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; default_type application/octet-stream;
  types {{ image/jpeg jpeg; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{plain}; root {root}; }}
  {secure}
}}
"""
SECURE = "server {{ listen 127.0.0.1:{port} ssl; root {root}; ssl_certificate {pem}; ssl_certificate_key {pem}; }}"


@dataclass(frozen=True)
class Wish:
    """What the site has: a model for each size of `files`, `albums` of users, `previews` of a model, in bytes.

    `left_out` models are not in the bulk answer of the API.
    """

    files: list[int] = field(default_factory=list)
    albums: dict[str, int] = field(default_factory=dict)
    previews: int = 0
    picture: int = 200 << 10
    left_out: int = 0


@dataclass(frozen=True)
class Line:
    """A line: seconds of delay each way, bytes a second for each connection and for all (0: no limit)."""

    delay: float = 0.0
    each: float = 0.0
    shared: float = 0.0


class Site:
    """The fake site in its process, and the links that lead to its things."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        told = self._answer()
        self.url: str = told["url"]
        self.files: list[str] = told["files"]
        self.albums: dict[str, list[str]] = told["albums"]

    def _answer(self) -> Any:
        return json.loads(self._process.stdout.readline() if self._process.stdout else "")

    def requests(self) -> list[str]:
        """The API requests since the last call."""
        if self._process.stdin:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        seen = self._answer()
        return [target for host, target in seen if host == "site" and not target.startswith("/api/download")]

    def seconds_of(self, targets: list[str]) -> float:
        """How long the site takes to answer these requests, one after the other."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        begun = time.perf_counter()
        for target in targets:
            connection.request("GET", target)
            connection.getresponse().read()
        return time.perf_counter() - begun


class Origin:
    """A host of files in a folder of its own, plain and with TLS; `with` ends everything that it started."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "origin", folder
        self.root.mkdir()
        self._ending, self._sites = ExitStack(), 0
        self.certificate = make_certificate(folder)
        nginx = find_nginx()
        self.kind = "nginx" if nginx else "a small server of Python"
        self._plain, self._secure = self._nginx(nginx) if nginx else self._python()

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def _start(self, words: list[str]) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self._ending.callback(process.wait)
        self._ending.callback(process.terminate)
        return process

    def _serve(self, *words: str) -> subprocess.Popen[str]:
        return self._start([sys.executable, "-m", "tests.bench.servers", *words])

    def _port_of(self, *words: str) -> int:
        process = self._serve(*words)
        return int(process.stdout.readline() if process.stdout else "")

    def _nginx(self, program: str) -> tuple[int, int]:
        plain, secure = free_port(), free_port()
        tls = SECURE.format(port=secure, root=self.root, pem=self.certificate) if self.certificate else ""
        user = "user root;" if os.geteuid() == 0 else ""
        settings = NGINX.format(folder=self._folder, root=self.root, plain=plain, secure=tls, user=user)
        (self._folder / "nginx.conf").write_text(settings)
        self._start([program, "-c", str(self._folder / "nginx.conf"), "-e", str(self._folder / "error.log")])
        await_port(plain)
        return plain, secure

    def _python(self) -> tuple[int, int]:
        secure = self._port_of("files", str(self.root), str(self.certificate)) if self.certificate else 0
        return self._port_of("files", str(self.root), ""), secure

    def site(self, wish: Wish, *, line: Line | None = None, tls: bool = False) -> Site:
        """A site whose files and pictures are written to this host, which is reached by a line of its own."""
        port = self._secure if tls else self._plain
        if line is not None:
            port = self._port_of("relay", str(port), str(line.delay), str(line.each), str(line.shared))
        self._sites += 1
        where = {"origin": f"http{'s' * tls}://127.0.0.1:{port}/{self._sites}", "root": f"{self.root}/{self._sites}"}
        return Site(self._serve("site", json.dumps(asdict(wish) | where)))


def find_nginx() -> str | None:
    """Where nginx is: often where only the administrator looks for programs."""
    return shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")


def make_certificate(folder: Path) -> Path | None:
    """A self-signed certificate with its key for this machine; None without openssl."""
    path = folder / "own.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["openssl", *words.split(), "-keyout", str(path), "-out", str(folder / "own.crt")]
        subprocess.run(command, check=True, capture_output=True)
        path.write_text(path.read_text() + (folder / "own.crt").read_text())
        return path
    return None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until somebody listens; ten seconds at most."""
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")
