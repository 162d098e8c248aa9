"""What a fault is: an action that strikes calls, and the wire it sends over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

from .calls import Call
from .replies import Reply

Normal = Callable[[Call], Reply]


class Wire(Protocol):
    """A connection, and the ways it offers to answer badly."""

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the site."""

    def write(self, data: bytes) -> None:
        """Send these bytes now."""

    def head_bytes(self, reply: Reply, framing: str | None = None) -> bytes:
        """Status line and headers; `framing` replaces the line of Content-Length."""

    def head(self, reply: Reply, framing: str | None = None) -> None:
        """Send status line and headers."""

    def send(self, reply: Reply) -> None:
        """Send a reply as it should be."""

    def body(self, reply: Reply, count: int | None = None, rate: float | None = None) -> None:
        """Send the body, or its first `count` bytes, at most at a rate."""

    def chunked(self, chunks: Iterable[bytes], last: bool = True) -> None:
        """Send a body in chunks, with or without the one that ends it."""

    def hang_up(self) -> None:
        """Close the connection after this answer, in an orderly way."""

    def reset(self) -> None:
        """Reset the connection (RST in place of FIN), once what was written had time to arrive."""


@dataclass(frozen=True)
class Action:
    """Something going wrong: `answer` may change call and reply, `send` how the reply goes over the wire."""

    for_ever: ClassVar[bool] = False

    def answer(self, call: Call, normal: Normal) -> Reply:
        """The reply to this call; `normal` makes the one without the fault."""
        return normal(call)

    def send(self, wire: Wire, reply: Reply) -> None:
        """Send the reply."""
        wire.send(reply)


@dataclass
class Fault:
    """An action waiting for calls that match; `hits` says how often it struck."""

    match: str | re.Pattern[str]
    actions: tuple[Action, ...]
    left: int | None
    hits: int = 0

    def strikes(self, text: str) -> bool:
        """Whether it concerns a call, by part of its text or as a regular expression."""
        if self.left is not None and self.hits >= self.left:
            return False
        if isinstance(self.match, str) and self.match in text:
            return True
        try:
            return bool(re.search(self.match, text))
        except re.error:
            return False

    def answer(self, call: Call, normal: Normal) -> Reply:
        """The reply after every action had its way, the last one outermost."""
        for action in self.actions:
            normal = partial(action.answer, normal=normal)
        return normal(call)

    def send(self, wire: Wire, reply: Reply) -> None:
        """Send it by the first action that sends in its own way."""
        own = [action for action in self.actions if type(action).send is not Action.send]
        (own or self.actions)[0].send(wire, reply)


NO_FAULT = Fault("", (Action(),), None)
