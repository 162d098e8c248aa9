"""What a run over very many pictures keeps in memory: `python -m tests.bench.many --images 100000`.

A server of its own process makes up a gallery of tiny pictures. The real command brings home a few thousand of them,
then all, into two empty folders; the growth between the peaks of both is what each further picture costs. `--trace`
runs the command in this process instead and names the lines of code that hold memory at its end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import socketserver
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from civitai_downloader.__main__ import main as command
from civitai_downloader.core.run import Run

FEW = 5000
PACE = ["--max-rate-model", "1000000", "--max-rate-image", "1000000", "-q"]


class Gallery(socketserver.StreamRequestHandler):
    """One model whose only version has `images` pictures, every `silent`-th of them without a prompt."""

    images: ClassVar[int] = 0
    silent: ClassVar[int] = 0

    def handle(self) -> None:
        """Answer one request after the other."""
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            parts = urlsplit(line.split()[1].decode())
            kind, body = ("image/png", self.picture(parts.path)) if parts.path[:3] == "/p/" else (
                "application/json", json.dumps(self.answer(parts.path, parse_qs(parts.query))).encode())  # fmt: skip
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

    def picture(self, path: str) -> bytes:
        """Different bytes for each."""
        chunks = (b"tEXt" + path.encode(), b"IEND")
        whole = (struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks)
        return b"\x89PNG\r\n\x1a\n" + b"".join(whole)

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        """The model, a page of its gallery, or nothing."""
        if path.startswith("/api/v1/models"):
            return {"id": 1, "name": "Many", "type": "LORA", "modelVersions": [{"id": 1, "name": "v1"}]}
        if path != "/api/v1/images":
            nothing: dict[str, Any] = {"result": {"data": {"json": {}}}}
            return [nothing] * (path.count(",") + 1) if "batch" in query else nothing
        start = int(query.get("cursor", ["0"])[0])
        stop = min(self.images, start + int(query["limit"][0]))
        more = {"nextCursor": stop} if stop < self.images else {}
        return {"items": [self.item(number) for number in range(start + 1, stop + 1)], "metadata": more}

    def item(self, number: int) -> dict[str, Any]:
        """One picture in a list."""
        port = self.connection.getsockname()[1]
        url = f"http://127.0.0.1:{port}/p/{number:032x}/original=true/{number}.png"
        meta = {"prompt": "lantern, night street, rain " * 10, "seed": number, "sampler": "Euler a", "steps": 28}
        told = None if self.silent and number % self.silent == 0 else meta
        return {"id": number, "url": url, "type": "image", "nsfwLevel": 1, "postId": number // 10, "meta": told}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(images: int, silent: int, tell: Connection) -> None:
    """Run the server; `tell` is given its port."""
    Gallery.images, Gallery.silent = images, silent
    with _Server(("127.0.0.1", 0), Gallery) as server:
        tell.send(server.server_address[1])
        server.serve_forever()


def bring(images: int, silent: int, run: Any) -> float:
    """Let `run` bring home so many pictures; the seconds it took."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(images, silent, theirs), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        site = f"http://127.0.0.1:{ours.recv()}"
        words = [f"{site}/models/1", "--only", "images", "--max-images", "all", "--site", site, "-o", f"{folder}/out"]
        begun = time.monotonic()
        code = run([*words, *PACE])
        taken = time.monotonic() - begun
        assert code == 0, code
        assert sum(1 for _ in Path(folder, "out").rglob("*.png")) == images
    server.kill()
    server.join()
    return taken


def in_a_process(words: Sequence[str]) -> int:
    """The real command."""
    return subprocess.call([sys.executable, "-m", "civitai_downloader", *words])


def traced(words: Sequence[str]) -> int:
    """The command in this process; prints what holds memory when everything has been brought."""
    close = Run.close

    def look(self: Run) -> None:
        found = tracemalloc.take_snapshot().statistics("lineno")[:15]
        print(*(f"{each.size / Gallery.images:7.0f} bytes a picture  {each.traceback}" for each in found), sep="\n")
        close(self)

    Run.close = look  # type: ignore[method-assign]
    tracemalloc.start()
    return command(list(words))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many", description=str(__doc__).partition(":")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--silent", type=int, default=0, metavar="N", help="every Nth picture has no prompt")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args(argv)
    Gallery.images = options.images
    if options.trace:
        bring(options.images, options.silent, traced)
        return 0
    peaks = []
    for images in (FEW, options.images):
        taken = bring(images, options.silent, in_a_process)
        peaks.append(1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        print(f"{images} pictures in {taken:.0f} s ({images / taken:.0f} a second), peak {peaks[-1] >> 20} MiB")
    each = (peaks[1] - peaks[0]) / (options.images - FEW)
    print(f"{each:.0f} bytes for each further picture, Python {platform.python_version()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
