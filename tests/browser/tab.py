"""A tab of a browser, as a person uses it: what is seen, clicked, typed and waited for."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .keys import Key, read_key
from .wire import BrowserError

PATIENCE = 20.0  # seconds until what is waited for counts as missing

# The point of an element at which a mouse meets it and nothing that lies above it, or null.
_POINT = """((selector, index) => {
  const node = [...document.querySelectorAll(selector)].filter((each) => each.getClientRects().length)[index];
  if (!node) return null;
  const before = node.getBoundingClientRect();
  if (before.top < 0 || before.bottom > innerHeight || before.left < 0 || before.right > innerWidth)
    node.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
  const box = node.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  return hit && (node === hit || node.contains(hit) || hit.contains(node) && hit.matches("label")) ? [x, y] : null;
})"""


# Where an element is drawn in the next but one frame.
_BOX = """async (selector) => {
  await new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)));
  const box = document.querySelector(selector)?.getBoundingClientRect();
  return box && [box.left, box.top, box.width, box.height];
}"""


class Tab(ABC):
    """A tab. `complaints` are the errors of its console and script, `requests` the addresses that it asked for."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []

    # --- What each browser does in its own way ---

    @abstractmethod
    def open(self, address: str) -> None:
        """Open an address and wait until it is loaded."""

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, awaited, as JSON. Raises BrowserError."""

    @abstractmethod
    def send_key(self, key: Key, *, times: int = 1) -> None:
        """Press a key and let it go; more `times` are those of a key that is held down."""

    @abstractmethod
    def move(self, x: float, y: float) -> None:
        """Move the mouse."""

    @abstractmethod
    def click_at(self, x: float, y: float, *, count: int = 1, key: str = "", button: str = "left") -> None:
        """Click `count` times at a point, with a modifier held."""

    @abstractmethod
    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Move the mouse with its button down."""

    @abstractmethod
    def wheel(self, x: float, y: float, delta: float, key: str = "") -> None:
        """Turn the wheel of the mouse by so many pixels, downwards if positive."""

    @abstractmethod
    def screenshot(self) -> bytes:
        """Return what is seen as a PNG."""

    @abstractmethod
    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size of what is seen; `phone` has a finger instead of a mouse."""

    @abstractmethod
    def close(self) -> None:
        """Close the tab."""

    # --- What is the same everywhere ---

    def call(self, function: str, *words: Any) -> Any:
        """Return what a function of JavaScript gives for these arguments."""
        return self.evaluate(f"({function})({', '.join(map(json.dumps, words))})")

    def wait(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Return the value of an expression once it is true. Raises BrowserError when that takes too long."""
        end, pause = time.monotonic() + seconds, 0.005
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                raise BrowserError(f"waited {seconds:g} s for: {expression}; {self._place()}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return value

    def _place(self) -> str:
        return f"at {self.evaluate('location.hash')}, complaints {self.complaints}"

    def wait_for(self, selector: str) -> None:
        """Wait until there is an element that is drawn."""
        self.wait(
            f"!![...document.querySelectorAll({json.dumps(selector)})].find((each) => each.getClientRects().length)"
        )

    def wait_gone(self, selector: str) -> None:
        """Wait until there is no such element that is drawn."""
        self.wait(
            f"![...document.querySelectorAll({json.dumps(selector)})].find((each) => each.getClientRects().length)"
        )

    def exists(self, selector: str) -> bool:
        """Return whether there is such an element."""
        return bool(self.call("(selector) => !!document.querySelector(selector)", selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all such elements."""
        found = self.call("(each) => [...document.querySelectorAll(each)].map((node) => node.textContent)", selector)
        return [str(each) for each in found]

    def attribute(self, selector: str, name: str) -> str | None:
        """Return an attribute of the first such element."""
        function = "(selector, name) => document.querySelector(selector)?.getAttribute(name) ?? null"
        found = self.call(function, selector, name)
        return None if found is None else str(found)

    def attributes(self, selector: str, name: str) -> list[str]:
        """Return an attribute of all such elements."""
        function = "(selector, name) => [...document.querySelectorAll(selector)].map((each) => each.getAttribute(name))"
        return [str(each) for each in self.call(function, selector, name)]

    def point(self, selector: str, index: int = 0) -> tuple[float, float]:
        """Return where the mouse meets an element, after scrolling it into view and after it has come to rest."""
        call = f"{_POINT}({json.dumps(selector)}, {index})"
        last = self.wait(call)
        while (now := self.wait(call)) != last:
            last = now
        return float(now[0]), float(now[1])

    def settle(self, selector: str) -> None:
        """Wait until the element has come to rest, wherever it is."""
        box = f"(({_BOX})({json.dumps(selector)}))"
        last = self.wait(box)
        while (now := self.wait(box)) != last:
            last = now

    def click(self, selector: str, index: int = 0, *, count: int = 1, key: str = "") -> None:
        """Click the element, once it is there and nothing lies above it."""
        self.click_at(*self.point(selector, index), count=count, key=key)

    def hover(self, selector: str, index: int = 0) -> None:
        """Move the mouse to the element."""
        self.move(*self.point(selector, index))

    def press(self, *keys: str) -> None:
        """Press keys one after the other: `Control+k`, `Escape`, `a`."""
        for each in keys:
            self.send_key(read_key(each))

    def type(self, text: str) -> None:
        """Type a text, a key for each character."""
        for each in text:
            self.send_key(read_key(each) if each != "\n" else read_key("Enter"))

    def focused(self, selector: str) -> bool:
        """Return whether the focus is on such an element."""
        return bool(self.call("(selector) => !!document.activeElement?.matches(selector)", selector))

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a `select` with the keyboard."""
        self.call("(selector) => document.querySelector(selector).focus()", selector)
        function = "(selector) => [...document.querySelector(selector).options].map((each) => each.value)"
        values: Sequence[str] = self.call(function, selector)
        current = self.call("(selector) => document.querySelector(selector).selectedIndex", selector)
        steps = values.index(value) - current
        for _ in range(abs(steps)):
            self.press("ArrowDown" if steps > 0 else "ArrowUp")
        self.wait(f"document.querySelector({json.dumps(selector)})?.value === {json.dumps(value)}")

    def save_screenshot(self, path: Path) -> None:
        """Write what is seen into a PNG file."""
        path.write_bytes(self.screenshot())
