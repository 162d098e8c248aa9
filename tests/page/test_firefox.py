"""One walk through the page in Firefox, whose rules for pages from disk are stricter."""

from __future__ import annotations

import time
from pathlib import Path

from tests.browser import FirefoxTab
from tests.browser.tab import PATIENCE
from tests.page.gallery import IDS, PICTURES
from tests.page.page import Page

COPIED = {
    "copy-prompt": PICTURES[0].prompt,
    "copy-negative": "blurry, lowres",
    "copy-loras": "<lora:Paper Lantern:0.8>",
}


def test_a_walk_in_firefox(fox: FirefoxTab, gallery: Path) -> None:
    fox.resize(1280, 1000)
    page = Page(fox, gallery).open()
    page.shows(IDS)
    fox.wait("document.querySelector(\"[data-image='1'] img\")?.naturalWidth > 0")
    fox.press("/")
    fox.type("dress")
    page.shows([1, 2, 3])
    fox.click(page.value("creator", "alice"))
    page.shows([1, 2])
    page.back()
    page.shows([1, 2, 3])
    page.view(1)
    fox.wait("[...document.querySelectorAll('[role=dialog] img')].some((each) => each.naturalWidth > 0)")
    fox.press("ArrowRight")
    page.viewing(2)
    page.do("zoom-in")
    page.do("copy-seed")
    fox.press("Escape")
    fox.wait_gone("[role=dialog][data-image]")
    page.do("clear")
    page.shows(IDS)
    fox.click("input[type=search]")
    fox.press("Control+v")
    fox.wait("document.querySelector('input[type=search]').value === '777'")
    page.go("#/models")
    page.shows([101, 102, 103], "model")
    fox.click("[data-model='101']")
    page.shows([1])
    fox.wait("[...document.querySelectorAll('main strong, main b')].some((each) => each.textContent === 'paper')")
    page.open("#/image/5")
    page.viewing(5)
    fox.press("b")
    fox.wait("!!document.querySelector('[role=dialog] video')")
    page.open("#/images?q=id:7")
    page.shows([7])


def test_what_is_copied_in_firefox_can_be_pasted(fox: FirefoxTab, gallery: Path) -> None:
    page = Page(fox, gallery).open("#/image/1")
    page.viewing(1)
    fox.evaluate("document.querySelector('[role=dialog]').append(document.createElement('textarea'))")
    for doing, text in COPIED.items():
        page.do(doing)
        end = time.monotonic() + PATIENCE  # a browser copies in its own time
        while (pasted := paste(fox)) != text and time.monotonic() < end:
            pass
        assert pasted == text


def paste(fox: FirefoxTab) -> object:
    """Return what is pasted into a field."""
    fox.evaluate("Object.assign(document.querySelector('[role=dialog] textarea'), {value: ''}).focus()")
    fox.press("Control+v")
    return fox.evaluate("document.querySelector('[role=dialog] textarea').value")
