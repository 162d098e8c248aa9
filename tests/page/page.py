"""The page by the handles of its contract, for tests that see and do what a person does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from tests.browser import BrowserError, Tab

STATUS = "[role=status][data-count]"
SEARCH = "input[type=search]"
READY = "document.documentElement.hasAttribute('data-ready')"
VIEWER = "[role=dialog][data-image]"


class Page:
    """A page in a tab."""

    def __init__(self, tab: Tab, folder: Path) -> None:
        self.tab, self.folder = tab, folder

    def open(self, place: str = "#/images") -> Page:
        """Open the page at a place, loaded anew, and wait until everything can be searched."""
        if self.tab.evaluate("location.href !== 'about:blank'"):
            self.tab.open("about:blank")  # another part behind # would load nothing
        self.tab.open((self.folder / "index.html").as_uri() + place)
        with suppress(BrowserError):
            self.tab.wait(READY, 4)
        if any(each.startswith("Uncaught") for each in self.tab.complaints) and not self.tab.evaluate(READY):
            raise AssertionError(f"the page does not start: {self.tab.complaints[:3]}")
        self.tab.wait(READY)
        return self

    # --- What is seen ---

    @property
    def place(self) -> str:
        """The part of the address behind and with the `#`."""
        return str(self.tab.evaluate("location.hash"))

    @property
    def count(self) -> int:
        """The number of what is shown, as the status says it."""
        return int(self.tab.attribute(STATUS, "data-count") or -1)

    def ids(self, kind: str = "image") -> list[int]:
        """Return the ids of the tiles that are drawn, in the order of the document."""
        function = """(kind) => [...document.querySelectorAll(`[data-${kind}]:not([role=dialog])`)]
            .filter((each) => each.getClientRects().length).map((each) => Number(each.dataset[kind]))"""
        return [int(each) for each in self.tab.call(function, kind)]

    def facet(self, name: str, kind: str = "data-value") -> dict[str, int]:
        """Return the values of a facet with their counts."""
        function = """(name) => [...document.querySelectorAll(`[data-facet="${name}"][data-value][data-count]`)]
            .map((each) => [each.dataset.value, Number(each.dataset.count)])"""
        return {str(value): int(count) for value, count in self.tab.call(function, name)}

    # --- What is waited for ---

    def shows(self, ids: Iterable[int], kind: str = "image") -> None:
        """Wait until exactly these are shown. Raises AssertionError when others stay."""
        wanted = sorted(ids)
        function = f"""() => document.querySelector('{STATUS}')?.dataset.count === '{len(wanted)}' && JSON.stringify(
            [...new Set([...document.querySelectorAll('[data-{kind}]:not([role=dialog])')]
            .filter((each) => each.getClientRects().length).map((each) => Number(each.dataset.{kind})))]
            .sort((one, other) => one - other)) === '{json.dumps(wanted, separators=(",", ":"))}'"""
        try:
            self.tab.wait(f"({function})()", 8)
        except BrowserError:
            raise AssertionError(f"{wanted} expected, {self.count}: {self.ids(kind)} at {self.place}") from None

    def starts_with(self, ids: list[int], kind: str = "image") -> None:
        """Wait until the first tiles are these, in the order in which they are read."""
        function = f"""() => JSON.stringify([...document.querySelectorAll('[data-{kind}]:not([role=dialog])')]
            .filter((each) => each.getClientRects().length)
            .map((each) => [each.getBoundingClientRect(), Number(each.dataset.{kind})])
            .sort(([one], [other]) => Math.abs(one.top - other.top) > 5 ? one.top - other.top : one.left - other.left)
            .map(([, id]) => id).slice(0, {len(ids)}))"""
        try:
            self.tab.wait(f"({function})() === '{json.dumps(ids, separators=(',', ':'))}'", 8)
        except BrowserError:
            found = self.tab.evaluate(f"({function})()")
            raise AssertionError(f"{ids} expected, {found} at {self.place}") from None

    def counts(self, count: int) -> None:
        """Wait until the status says so many."""
        try:
            self.tab.wait(f"document.querySelector('{STATUS}')?.dataset.count === '{count}'", 8)
        except BrowserError:
            raise AssertionError(f"{count} expected, {self.count} at {self.place}") from None

    def at(self, place: str) -> None:
        """Wait until the address is this one, percent-encoding aside."""
        try:
            self.tab.wait(f"decodeURIComponent(location.hash) === {json.dumps(unquote(place))}", 8)
        except BrowserError:
            raise AssertionError(f"{place} expected, at {self.place}") from None

    # --- What is done ---

    def go(self, place: str) -> None:
        """Set the address, as a bookmark does."""
        self.tab.call("(place) => { location.hash = place; }", place)

    def back(self) -> None:
        """Press the browser's Back."""
        self.tab.evaluate("history.back()")

    def search(self, words: str) -> None:
        """Type something new into the search field."""
        self.tab.click(SEARCH)
        self.tab.press("Control+a", "Delete")
        self.tab.type(words)

    def do(self, name: str, index: int = 0) -> None:
        """Click the button that does something."""
        self.tab.click(f"[data-do='{name}']", index)

    def focus_by_tab(self, selector: str, then: str = "") -> None:
        """Press Tab until the focus is there; within a wall of tiles press the key `then` instead."""
        for _ in range(150):
            if self.tab.focused(selector):
                return
            inside = then and self.tab.evaluate("!!document.activeElement?.closest('[data-image], [data-model]')")
            self.tab.press(then if inside else "Tab")
        raise AssertionError(f"Tab never leads to {selector}")

    def view(self, image: int) -> None:
        """Open a picture by a click, and wait for the viewer."""
        self.tab.click(f"[data-image='{image}']:not([role=dialog])")
        self.viewing(image)

    def viewing(self, image: int) -> None:
        """Wait until the viewer shows a picture."""
        self.tab.wait_for(f"[role=dialog][data-image='{image}']")

    def copies(self, text: str | None) -> None:
        """Wait until the clipboard holds exactly this text."""
        try:
            self.tab.wait(f"navigator.clipboard.readText().then((text) => text === {json.dumps(text)})", 8)
        except BrowserError:
            found = self.tab.evaluate("navigator.clipboard.readText()")
            raise AssertionError(f"{text!r} expected, {found!r} is copied") from None

    def uncover_in_viewer(self) -> None:
        """Uncover the picture in the viewer, if it is covered."""
        self.tab.wait(f"!!document.querySelector('{VIEWER} img, {VIEWER} video, {VIEWER} [data-do=cover]')")
        if not self.tab.exists(f"{VIEWER} video[src], {VIEWER} img[src]"):
            self.tab.press("b")

    def do_anywhere(self, name: str) -> None:
        """Click the button, after opening the menu in which it may lie."""
        self.open_menu_of(f"[data-do={name}]")
        self.do(name)

    def value(self, facet: str, value: str, doing: str = "") -> str:
        """Return the selector of a facet's value, or of what excludes it."""
        value = value.replace("\\", "\\\\").replace("'", "\\'")
        exact = f"[data-do='{doing}']" if doing else ":not([data-do=exclude])"
        return f"[data-facet='{facet}'][data-value='{value}']{exact}"

    def boxes(self) -> dict[int, tuple[float, float]]:
        """Return width and height of each tile."""
        function = """() => [...document.querySelectorAll('[data-image]:not([role=dialog])')].map((each) =>
            [Number(each.dataset.image), each.getBoundingClientRect().width, each.getBoundingClientRect().height])"""
        return {int(image): (wide, high) for image, wide, high in self.tab.call(function)}

    def scroll_to_end(self) -> None:
        """Scroll the wall to its end."""
        self.tab.evaluate("""(() => {
          let node = document.querySelector('[data-image]:not([role=dialog])');
          while (node.parentElement && !(node.scrollHeight > node.clientHeight + 50 &&
            getComputedStyle(node).overflowY !== 'visible' && getComputedStyle(node).overflowY !== 'hidden'))
            node = node.parentElement;
          node.scrollTo(0, 1e9);
        })()""")

    def open_menu_of(self, selector: str) -> None:
        """Open the menu in which a control lies, if it is not seen."""
        seen = f"[...document.querySelectorAll({json.dumps(selector)})].some((each) => each.getClientRects().length)"
        if not self.tab.evaluate(seen):
            self.tab.click("header details > summary, header [aria-haspopup]")
        self.tab.wait(seen)
