"""A fault is one or more actions that strike the calls they match."""

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
    """A connection, with all the ways it offers to answer badly."""

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the site runs."""

    def write(self, data: bytes) -> None:
        """Send these bytes now."""

    def head_bytes(self, reply: Reply, framing: str | None = None) -> bytes:
        """Return the status line and headers. `framing` replaces the Content-Length line."""

    def head(self, reply: Reply, framing: str | None = None) -> None:
        """Send the status line and headers."""

    def send(self, reply: Reply) -> None:
        """Send a reply as it should be."""

    def body(self, reply: Reply, count: int | None = None, rate: float | None = None) -> None:
        """Send the body, or its first `count` bytes, optionally at a limited rate."""

    def chunked(self, chunks: Iterable[bytes], last: bool = True) -> None:
        """Send a body in chunks, with or without the final one."""

    def hang_up(self) -> None:
        """Close the connection in an orderly way after this answer."""

    def reset(self) -> None:
        """Reset the connection (RST instead of FIN) after the bytes written have had time to arrive."""


@dataclass(frozen=True)
class Action:
    """Something that goes wrong: `answer` may change the call and the reply, `send` how the reply is sent."""

    for_ever: ClassVar[bool] = False

    def answer(self, call: Call, normal: Normal) -> Reply:
        """Return the reply to this call. `normal` makes the reply without the fault."""
        return normal(call)

    def send(self, wire: Wire, reply: Reply) -> None:
        """Send the reply."""
        wire.send(reply)


@dataclass
class Fault:
    """Actions that wait for matching calls. `hits` counts how often they struck."""

    match: str | re.Pattern[str]
    actions: tuple[Action, ...]
    left: int | None
    hits: int = 0

    def strikes(self, text: str) -> bool:
        """Tell whether the fault concerns a call, by part of its text or as a regular expression."""
        if self.left is not None and self.hits >= self.left:
            return False
        if isinstance(self.match, str) and self.match in text:
            return True
        try:
            return bool(re.search(self.match, text))
        except re.error:
            return False

    def answer(self, call: Call, normal: Normal) -> Reply:
        """Return the reply after every action has changed it. The last action is the outermost."""
        for action in self.actions:
            normal = partial(action.answer, normal=normal)
        return normal(call)

    def send(self, wire: Wire, reply: Reply) -> None:
        """Send the reply with the first action that has its own way of sending."""
        own = [action for action in self.actions if type(action).send is not Action.send]
        (own or self.actions)[0].send(wire, reply)


NO_FAULT = Fault("", (Action(),), None)
