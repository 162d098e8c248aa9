"""One WebSocket to a browser: numbered commands, their answers, and the events in between."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

Event = Callable[[Mapping[str, Any]], None]

SECONDS = 60.0  # that a command may take on a busy machine


class BrowserError(Exception):
    """The browser refused a command, did not answer, or has gone."""


def launch(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a browser that says nothing."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen([*words, "about:blank"], stdin=nothing, stdout=nothing, stderr=nothing)


class Wire:
    """Sends commands and waits for their answers. `on_event` is given every event that arrives meanwhile."""

    def __init__(self, address: str, on_event: Event) -> None:
        self._stack = ExitStack()
        connection = connect(address, max_size=None, compression=None, open_timeout=SECONDS, proxy=None)
        self._socket = self._stack.enter_context(connection)
        self._on_event = on_event
        self._number = 0

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()

    def ask(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Return the result of a command. `more` stands beside its parameters. Raises BrowserError."""
        self._number += 1
        number = self._number
        end = time.monotonic() + SECONDS
        try:
            self._socket.send(json.dumps({"id": number, "method": method, "params": dict(params or {}), **more}))
            while True:
                answer = self._receive(end, method)
                if answer.get("id") == number:
                    return _result_of(answer, method)
        except ConnectionClosed as error:
            raise BrowserError(f"the browser has gone at {method}") from error

    def _receive(self, end: float, method: str) -> dict[str, Any]:
        try:
            message = json.loads(self._socket.recv(timeout=max(0.0, end - time.monotonic())))
        except TimeoutError:
            raise BrowserError(f"no answer to {method}") from None
        assert isinstance(message, dict)
        if "id" not in message:
            self._on_event(message)
        return message


def _result_of(answer: Mapping[str, Any], method: str) -> dict[str, Any]:
    if "error" in answer:
        raise BrowserError(f"{method}: {answer['error']} {answer.get('message', '')}")
    result = answer.get("result", {})
    assert isinstance(result, dict)
    return result
