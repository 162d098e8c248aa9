"""These faults change how an answer is sent."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar

from .calls import Call
from .content import PAGE
from .faults import Action, Normal, Wire
from .faults_answer import RedirectTo
from .replies import Reply


@dataclass(frozen=True)
class Cut(Action):
    """The connection ends cleanly after so many body bytes although Content-Length promises more."""

    after: int = 0

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        wire.hang_up()


@dataclass(frozen=True)
class Reset(Cut):
    """The connection is reset (RST) after so many body bytes."""

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        wire.reset()


@dataclass(frozen=True)
class ResetEvery(Action):
    """Every answer is reset after so many body bytes, for ever. Shorter answers arrive."""

    after: int = 100 * 1024
    for_ever: ClassVar[bool] = True

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, self.after)
        if reply.length > self.after:
            wire.reset()


@dataclass(frozen=True)
class CutChunked(Action):
    """A chunked body ends without its final chunk."""

    after: int = 0

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply, "Transfer-Encoding: chunked")
        wire.chunked(reply.body.chunks(reply.start, reply.start + self.after), last=False)
        wire.hang_up()


@dataclass(frozen=True)
class CutUnsized(Action):
    """A body without any stated length ends early, which HTTP cannot detect."""

    after: int = 0

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        wire.head(reply, "")
        wire.body(reply, self.after)


@dataclass(frozen=True)
class HangUp(Action):
    """A good answer on a connection that is then closed without notice, so the next request on it fails."""

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.send(reply)
        wire.hang_up()


@dataclass(frozen=True)
class Delay(Action):
    """A good answer arrives late."""

    seconds: float = 1.0

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.pause(self.seconds)
        wire.send(reply)


@dataclass(frozen=True)
class Stall(Action):
    """Silence after so many body bytes, or before the headers if `after` is None. Then the rest follows."""

    after: int | None = None
    seconds: float = 3600

    def send(self, wire: Wire, reply: Reply) -> None:
        if self.after is None:
            wire.pause(self.seconds)
            wire.send(reply)
            return
        wire.head(reply)
        wire.body(reply, self.after)
        wire.pause(self.seconds)
        wire.body(replace(reply, start=reply.start + self.after, stop=reply.end))


@dataclass(frozen=True)
class Trickle(Action):
    """The body comes at so many bytes a second: too slow to be useful, too steady for a read timeout."""

    rate: float = 10

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        wire.body(reply, rate=self.rate)


@dataclass(frozen=True)
class DripHeaders(Action):
    """The headers come one byte at a time."""

    seconds: float = 0.5

    def send(self, wire: Wire, reply: Reply) -> None:
        for byte in wire.head_bytes(reply):
            wire.write(bytes([byte]))
            wire.pause(self.seconds)
        wire.body(reply)


@dataclass(frozen=True)
class Longer(Action):
    """The body is so many bytes longer than the object, beyond Content-Length or in chunks."""

    extra: int = 1000
    chunked: bool = False

    def send(self, wire: Wire, reply: Reply) -> None:
        chunks = itertools.chain(reply.body.chunks(reply.start, reply.end), [b"x" * self.extra])
        wire.hang_up()
        if self.chunked:
            wire.head(reply, "Transfer-Encoding: chunked")
            wire.chunked(chunks)
            return
        wire.head(reply)
        for chunk in chunks:
            wire.write(chunk)


@dataclass(frozen=True)
class Interim(Action):
    """Answers that are not final (`1xx`) come before the real one."""

    codes: tuple[int, ...] = (102, 103)
    head: str = "Link: </style.css>; rel=preload\r\n"

    def send(self, wire: Wire, reply: Reply) -> None:
        for code in self.codes:
            wire.write(f"HTTP/1.1 {code} Wait\r\n{self.head}\r\n".encode())
        wire.send(reply)


@dataclass(frozen=True)
class EndlessLines(Action):
    """Lines without an end: instead of the final headers (`head`), or behind the last chunk of a good body.

    They come as fast as they are taken, or one after each `seconds`.
    """

    line: bytes = b"X-More: and more\r\n"
    head: bytes | None = None
    seconds: float = 0.0

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        if self.head is None:
            wire.head(reply, "Transfer-Encoding: chunked")
            wire.chunked([reply.sent], last=False)
            wire.write(b"0\r\n")
        else:
            wire.write(self.head)
        while True:
            wire.write(self.line if self.seconds else self.line * 500)
            wire.pause(self.seconds)


@dataclass(frozen=True)
class Length(Action):
    """The header says something odd of the length; the body is what it should be, and the connection ends."""

    header: str = "Content-Length: \u00b2\u00b3"

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        wire.write(wire.head_bytes(reply, self.header).replace(self.header.encode(), self.header.encode("latin-1")))
        wire.body(reply)


@dataclass(frozen=True)
class EndlessRedirectBody(RedirectTo):
    """A redirect has a body that never ends."""

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply, "Transfer-Encoding: chunked")
        wire.chunked(itertools.repeat(bytes(PAGE)))


@dataclass(frozen=True)
class Raw(Action):
    """Exactly these bytes are sent instead of an answer, then the connection ends."""

    data: bytes = b""

    def answer(self, call: Call, normal: Normal) -> Reply:
        return Reply(0)

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.hang_up()
        wire.write(self.data)


GARBAGE = Raw(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")
HUGE_HEADERS = Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n")
MANY_HEADERS = Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 500 + b"Content-Length: 0\r\n\r\n")
TWO_LENGTHS = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello")
NO_ANSWER = Raw(b"")
