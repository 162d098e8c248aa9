"""The page in a real browser: one browser for each process of the tests, and a tab that is cleared for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from civitai_downloader.__main__ import main
from tests.browser import BrowserError, Chromium, ChromiumTab, Firefox, FirefoxTab, Tab, find_chromium, find_firefox
from tests.page.gallery import fill_gallery
from tests.page.page import Page

# The browsers without which the tests fail instead of being skipped: `chromium firefox`.
REQUIRED = os.environ.get("CIVITAI_BROWSERS", "").split()

OpenPage = Callable[..., Page]


def make_page(folder: Path) -> None:
    """Make the page of a folder by the command, without a request."""
    assert main(["--page", "-o", str(folder), "--lang", "en", "-q"]) == 0


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Start Chromium, or skip the tests on a machine that has none and need not have it."""
    if find_chromium() is None and "chromium" not in REQUIRED:
        pytest.skip("there is no Chromium on this machine")
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def firefox() -> Iterator[Firefox]:
    """Start Firefox, which is used only where it is asked for: it starts slowly."""
    if "firefox" not in REQUIRED:
        pytest.skip("Firefox is tried where CIVITAI_BROWSERS names it")
    assert find_firefox(), "there is no Firefox on this machine"
    with Firefox() as browser:
        yield browser


def check(tab: Tab) -> None:
    """Let no test pass in which the page complained or asked for anything that is not on disk."""
    away = [each for each in tab.requests if not each.startswith(("file:", "blob:", "data:", "about:"))]
    assert (away, tab.complaints) == ([], [])


@pytest.fixture(scope="session")
def idle(chromium: Chromium) -> list[ChromiumTab]:
    """Return a list for the tab that was cleared after a test: a new one costs more than many a test."""
    return []


@pytest.fixture
def open_tab(chromium: Chromium, idle: list[ChromiumTab]) -> Iterator[Callable[..., ChromiumTab]]:
    """Return `open_tab(language=, before=)`. What was complained about must be gone from the tab when the test ends."""
    opened: list[ChromiumTab] = []

    def begin(language: str = "en-US", before: str = "") -> ChromiumTab:
        if idle:
            opened.append(idle.pop())
            opened[-1].complaints, opened[-1].requests = [], []
            opened[-1].prepare(language, before)
        else:
            opened.append(chromium.tab(language=language, before=before))
        return opened[-1]

    yield begin
    for each in opened:
        put_back(each, idle)
    for each in opened:
        check(each)


def put_back(tab: ChromiumTab, idle: list[ChromiumTab]) -> None:
    """Clear a tab for the next test, or close it if there is one already or it can't be cleared."""
    with suppress(BrowserError):
        if not idle:
            tab.clear()
            idle.append(tab)
            return
    tab.close()


@pytest.fixture
def fox(firefox: Firefox) -> Iterator[FirefoxTab]:
    """Open a tab of Firefox."""
    tab = firefox.tab()
    yield tab
    tab.close()
    check(tab)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small library with its page. No test changes it."""
    folder = tmp_path_factory.mktemp("gallery 갤러리 #1 100%")
    fill_gallery(folder)
    make_page(folder)
    return folder


@pytest.fixture
def open_page(open_tab: Callable[..., ChromiumTab]) -> OpenPage:
    """Return `open_page(folder, place, language=, before=, size=)`, which gives a page that is ready."""

    def begin(
        folder: Path,
        place: str = "#/images",
        language: str = "en-US",
        before: str = "",
        size: tuple[int, int] = (1280, 1000),
    ) -> Page:
        tab = open_tab(language, before)
        tab.resize(*size, phone=size[0] < 500)
        return Page(tab, folder).open(place)

    return begin


@pytest.fixture
def page(open_page: OpenPage, gallery: Path) -> Page:
    """Return the page of the small library, at its pictures."""
    return open_page(gallery)
