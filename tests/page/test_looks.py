"""For everybody: languages, both schemes, forced colours, less motion, a phone, and what axe finds."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.browser import ChromiumTab
from tests.page.conftest import REQUIRED, OpenPage
from tests.page.gallery import IDS
from tests.page.page import SEARCH, VIEWER, Page

SHOTS = os.environ.get("CIVITAI_SCREENSHOTS", "")
PLACES = {"images": "#/images", "models": "#/models", "model": "#/model/101", "image": "#/image/1"}
SCRIPTS = {"ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7af]"}
AXE = os.environ.get("CIVITAI_AXE", "")


def tab_of(page: Page) -> ChromiumTab:
    assert isinstance(page.tab, ChromiumTab)
    return page.tab


# What fades in is faint for a moment.
STILL = "document.getAnimations().every((each) => each.playState !== 'running')"


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot where CIVITAI_SCREENSHOTS names a folder."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.tab.evaluate("new Promise((then) => setTimeout(then, 300))")
        page.tab.save_screenshot(Path(SHOTS, f"{name}.png"))


def arrive(page: Page, place: str) -> None:
    """Go to one of PLACES and wait until it is drawn."""
    page.go(PLACES[place])
    if place == "image":
        page.viewing(1)
    else:
        page.shows(
            {"images": IDS, "models": [101, 102, 103], "model": [1]}[place], "model" if place == "models" else "image"
        )


@pytest.mark.parametrize("language", ["en", "ja", "ko"])
def test_the_page_speaks_the_language_of_the_browser(open_page: OpenPage, gallery: Path, language: str) -> None:
    page = open_page(gallery, language={"en": "en-GB", "ja": "ja-JP", "ko": "ko-KR"}[language])
    assert page.tab.evaluate("document.documentElement.lang") == language
    for place in PLACES:
        arrive(page, place)
        shoot(page, f"{language}-{place}")
        seen = page.tab.evaluate(_LABELS)
        if language != "en":
            # A label may be a name of the library or of a format, but no sentence may be left in English.
            left = [
                each
                for each in seen
                if len(re.findall("[A-Za-z]+", each)) > 2 and not re.search(SCRIPTS[language], each)
            ]
            assert left == [], place


# Every label of a control, and every heading and status, without what comes from the library.
_LABELS = """[...document.querySelectorAll(
    'button, summary, legend, label, [role=status], [role=alert], th, dt, option')]
  .filter((each) => each.getClientRects().length)
  .filter((each) => !each.closest('[data-facet], [data-image]:not(dialog), [data-model]'))
  .flatMap((each) => [each.getAttribute('aria-label'), each.title, each.children.length ? '' : each.textContent])
  .map((each) => (each ?? '').trim()).filter(Boolean)"""


def test_an_unknown_language_gets_english(open_page: OpenPage, gallery: Path) -> None:
    page = open_page(gallery, language="fr-FR")
    assert page.tab.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_have_their_ground(page: Page, scheme: str) -> None:
    tab_of(page).prefer(prefers_color_scheme=scheme)
    page.open()
    page.shows(IDS)
    shoot(page, f"scheme-{scheme}")
    ground = page.tab.evaluate(
        "[document.body, document.documentElement].map((each) => getComputedStyle(each).backgroundColor)"
        ".find((each) => each !== 'rgba(0, 0, 0, 0)')"
    )
    first = int(re.findall(r"\d+", ground)[0])
    assert first > 200 if scheme == "light" else first < 60


def test_less_motion_means_none(page: Page) -> None:
    tab_of(page).prefer(prefers_reduced_motion="reduce")
    page.open()
    page.view(1)
    running = "document.getAnimations().filter((each) => each.effect.getComputedTiming().duration > 10).length"
    assert page.tab.evaluate(running) == 0
    page.tab.press("Escape")
    page.tab.wait_gone(VIEWER)


def test_forced_colours_leave_everything_visible(page: Page) -> None:
    tab_of(page).prefer(forced_colors="active", prefers_color_scheme="dark")
    page.open()
    page.shows(IDS)
    page.tab.click(page.value("creator", "alice"))
    page.shows([1, 2, 10])
    shoot(page, "forced-colours")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, scheme: str) -> None:
    if not AXE and "chromium" not in REQUIRED:
        pytest.skip("CIVITAI_AXE does not say where axe.min.js is")
    tab_of(page).prefer(prefers_color_scheme=scheme)
    page.open()
    source = Path(AXE).read_text("utf-8")
    found = {}
    for place in (*PLACES, "help"):
        if place == "help":
            page.go("#/images")
            page.shows(IDS)
            page.tab.press("?")
            page.tab.wait_for("dialog[open]")
        else:
            arrive(page, place)
        page.tab.wait(STILL)
        page.tab.evaluate(f"{source}\n;0")
        run = "axe.run(document, {preload: false, resultTypes: ['violations']}).then((found) => found.violations)"
        found[place] = [
            f"{each['id']}: {each['help']}: {node['html'][:150]}"
            for each in page.tab.evaluate(run)
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]
    assert {place: each for place, each in found.items() if each} == {}


def test_every_control_has_a_name(page: Page) -> None:
    nameless = """[...document.querySelectorAll('button, a, input, select, [role=button]')].filter((each) =>
      each.getClientRects().length && !(each.getAttribute('aria-label') || each.textContent.trim() || each.title ||
      each.labels?.length || each.getAttribute('aria-labelledby') || each.querySelector('img[alt]:not([alt=""])')))
      .map((each) => each.outerHTML.slice(0, 200))"""
    for place in PLACES:
        arrive(page, place)
        assert page.tab.evaluate(nameless) == [], place


def test_the_focus_is_seen_wherever_it_goes(page: Page) -> None:
    page.shows(IDS)
    unseen = """(() => { const node = document.activeElement; if (node === document.body) return "";
      for (let each = node; each && each !== document.body; each = each.parentElement) {
        const style = getComputedStyle(each), after = getComputedStyle(each, "::after");
        if (parseFloat(style.outlineWidth) >= 1 && style.outlineStyle !== "none" || style.boxShadow !== "none" ||
            parseFloat(after.outlineWidth) >= 1 && after.outlineStyle !== "none") return ""; }
      return node.outerHTML.slice(0, 120); })()"""
    for _ in range(40):
        page.tab.press("Tab")
        assert page.tab.evaluate(unseen) == ""


def test_a_walk_on_a_phone(open_page: OpenPage, gallery: Path) -> None:
    page = open_page(gallery, size=(390, 844))
    tab = tab_of(page)
    wide = "document.documentElement.scrollWidth"
    page.counts(len(IDS))
    assert tab.evaluate(wide) <= 390
    shoot(page, "phone-images")
    tab.tap(SEARCH)
    tab.type("dress")
    page.counts(3)
    tab.press("Enter")
    tab.tap("[data-image='1']:not([role=dialog])")
    page.viewing(1)
    shoot(page, "phone-viewer")
    tab.swipe((330, 350), (60, 350))
    page.viewing(2)
    tab.swipe((60, 350), (330, 350))
    page.viewing(1)
    tab.tap("[data-do=close]")
    tab.wait_gone(VIEWER)
    if not tab.evaluate(f"!!document.querySelector(`{page.value('creator', 'alice')}`)?.getClientRects().length"):
        tab.tap("[aria-controls=facets], [data-do=filters], [data-do=facets]")
    shoot(page, "phone-facets")
    tab.tap(page.value("creator", "alice"))
    page.counts(2)
    assert tab.evaluate(wide) <= 390
    page.open("#/models")
    page.counts(3)
    assert tab.evaluate(wide) <= 390
    tab.tap("[data-model='102']")
    page.counts(2)
    assert tab.evaluate(wide) <= 390
    shoot(page, "phone-model")


def test_controls_are_large_enough_for_a_finger(open_page: OpenPage, gallery: Path) -> None:
    page = open_page(gallery, size=(390, 844))
    page.counts(len(IDS))
    small = """[...document.querySelectorAll('header button, header a, header summary, header select, header input')]
      .filter((each) => each.getClientRects().length && each.getBoundingClientRect().height < 40)
      .map((each) => each.outerHTML.slice(0, 120))"""
    assert page.tab.evaluate(small) == []
