"""What the benchmark runs in processes of their own: `python -m tests.bench.servers NAME ARGUMENTS`.

`site` is the fake Civitai, whose files and pictures lie on another host; `files` serves a folder where there is no
nginx; `relay` passes connections on as a slow or distant line would; each says first where it is. `log` writes a state
log and ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fake_civitai import ACCOUNT, Body, FakeCivitai, FakeFile, FakeImage, World, jpeg_bytes, signed_url

CHUNK = 1 << 16


def say(value: Any) -> None:
    """Tell the benchmark something, on one line."""
    print(json.dumps(value), flush=True)


# --- The site ------------------------------------------------------------------------------------


def build(wish: dict[str, Any]) -> World:
    """Models with one file each, showcase pictures, and users who posted pictures with prompts."""
    world = World()
    for number, size in enumerate(wish["files"]):
        model = world.add_model(f"Model {number}", creator="maker", minor=number < wish["left_out"])
        body = Body.generated(f"file_{number}.safetensors", size, f"bench {number}")
        version = model.add_version()
        version.add_file(f"file_{number}.safetensors", size=size, hashes={"SHA256": body.sha256.upper()})
        version.files[-1].body = body
        for picture in range(wish["previews"]):
            version.add_image(data=jpeg_bytes(f"{number} {picture}", wish["picture"]), meta=prompt(picture))
    for name, count in wish["albums"].items():
        for number in range(count):
            data = jpeg_bytes(f"{name} {number}", wish["picture"])
            world.add_image(username=name, data=data, meta=prompt(number))
        world.user_id(name)
    return world


def prompt(number: int) -> dict[str, Any]:
    """What a picture was made with, about as long as people write it."""
    tags = ", ".join(f"a paper lantern in street {number % 7} at night number {n}" for n in range(12))
    return {"prompt": tags, "negativePrompt": "blurry, lowres", "steps": 28, "sampler": "Euler a", "seed": number}


def put_files(world: World, root: Path) -> None:
    """Write every file and picture to where links to the other host lead."""
    for file in world.files.values():
        with made(root / f"model/42/{file.id}/{file.name}").open("wb") as target:
            target.writelines(file.body.chunks(0, file.body.size, 1 << 20))
    for image in world.images.values():
        path = picture_path(image, image.uuid)
        made(root / path).write_bytes(image.data)
        os.link(root / path, root / picture_path(image, image.id))
        image.content = b""


def made(path: Path) -> Path:
    """The path, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def picture_path(image: FakeImage, stem: object) -> str:
    """Where a delivery link of a picture leads."""
    return f"{ACCOUNT}/{image.uuid}/original=true/{stem}.jpeg"


def site(wish_text: str) -> None:
    """Run the fake site; every line read is answered by the requests since the last one."""
    wish = json.loads(wish_text)
    world = build(wish)
    put_files(world, Path(wish["root"]))
    with FakeCivitai(world) as fake:
        other = wish["origin"]
        fake.hosts = replace(fake.hosts, storage=other, image=other, blob=other)

        def link(file: FakeFile) -> str:
            return signed_url(world, fake.hosts, file).partition("?")[0]

        pictures = {
            name: [f"{other}/{picture_path(i, i.uuid)}" for i in world.images.values() if i.username == name]
            for name in wish["albums"]
        }
        say({"url": fake.url, "files": [link(file) for file in world.files.values()], "albums": pictures})
        for _ in sys.stdin:
            say([[seen.host, seen.target] for seen in fake.seen()])
            fake.forget()


# --- A folder ------------------------------------------------------------------------------------


class Files(BaseHTTPRequestHandler):
    """Answers GET with a file of the current folder, or the range of it that is asked for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        """Send a file or a part of it."""
        with Path("." + unquote(urlsplit(self.path).path)).open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, stop = (int(wanted[1]), int(wanted[2] or total - 1) + 1) if wanted else (0, total)
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{total}")
            self.end_headers()
            self.connection.sendfile(file, start, stop - start)


def files(root: str, certificate: str) -> None:
    """Serve a folder, with TLS if a certificate is named."""
    os.chdir(root)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    say(server.server_port)
    server.serve_forever()


# --- A line --------------------------------------------------------------------------------------


class Pacer:
    """Says when the next bytes may go; 0 is no limit."""

    def __init__(self, rate: float) -> None:
        self._rate, self._next = rate, 0.0

    async def wait(self, count: int) -> None:
        """Wait for the turn of so many bytes."""
        if self._rate:
            now = time.monotonic()
            turn = max(now - 0.05, self._next)
            self._next = turn + count / self._rate
            await asyncio.sleep(max(0.0, turn - now))


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: float, *pacers: Pacer) -> None:
    """Pass everything on, each piece `delay` seconds after it came."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

    async def take() -> None:
        data = b"?"
        while data:
            try:
                data = await source.read(CHUNK)
            except OSError:  # a broken connection ends what comes
                data = b""
            await queue.put((time.monotonic() + delay, data))

    taking = asyncio.create_task(take())
    try:
        while (piece := await queue.get())[1]:
            await asyncio.sleep(max(0.0, piece[0] - time.monotonic()))
            for pacer in pacers:
                await pacer.wait(len(piece[1]))
            target.write(piece[1])
            await target.drain()
    except OSError:
        pass
    finally:
        taking.cancel()
        target.close()


async def carry(
    near: asyncio.StreamReader, back: asyncio.StreamWriter, *, port: int, delay: float, each: float, shared: Pacer
) -> None:
    """One connection: two delays pass before it stands, as for a handshake."""
    back.transport.set_write_buffer_limits(high=CHUNK)
    await asyncio.sleep(2 * delay)
    far, forth = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pump(near, forth, delay), pump(far, back, delay, Pacer(each), shared))


def relay(port: str, delay: str, each: str, shared: str) -> None:
    """Pass connections on to a port; `delay` seconds each way, bytes a second for each and for all of them."""
    one = partial(carry, port=int(port), delay=float(delay), each=float(each), shared=Pacer(float(shared)))

    async def serve() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=128)
        say(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


# --- A log ---------------------------------------------------------------------------------------


def log(path: str, lines: str) -> None:
    """Write records as the program does: one in fifty is a model file."""
    with Path(path).open("w", encoding="utf-8") as file:
        for number in range(int(lines)):
            model = number % 50 == 0
            folder = f"users/램프 maker/models/name of a model [{number // 100}]/v1 [{number // 100}]/images"
            record = {
                "at": "2026-11-20T05:26:00Z",
                "type": "model" if model else "image" if number % 2 else "meta",
                "id": f"{number}/{7 * number}" if model else str(20_000_000 + number),
                "status": "success",
                "path": f"{folder}/{number}.jpg",
                "size": 123_456 + number,
                "sha256": f"{number:064x}" if model else "",
                "reason": "",
                "source": f"https://civitai.com/models/{number // 100} --latest",
            }
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    tasks: dict[str, Callable[..., None]] = {"site": site, "files": files, "relay": relay, "log": log}
    tasks[sys.argv[1]](*sys.argv[2:])
