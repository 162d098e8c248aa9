"""What is left: keys for views, ranges, long facets, chips, offers, collections, and where the wall stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.keys import read_key
from tests.page.conftest import OpenPage, make_page
from tests.page.gallery import IDS
from tests.page.page import VIEWER, Page
from tests.page_library import Model, Picture, Shelf, Version, numbered, write_json

# A button by its accessible name or its text.
NAMED = """(pattern) => [...document.querySelectorAll('button, [role=button]')].findIndex((each) =>
    each.getClientRects().length &&
    new RegExp(pattern).test(`${each.getAttribute('aria-label') ?? ''} ${each.textContent}`))"""


def click_named(page: Page, pattern: str) -> None:
    """Click the first button whose name matches."""
    page.tab.wait(f"({NAMED})({json.dumps(pattern)}) >= 0")
    page.tab.call(
        f"(pattern) => [...document.querySelectorAll('button, [role=button]')][({NAMED})(pattern)].focus()", pattern
    )
    page.tab.press("Enter")


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with many creators, a collection and 300 pictures, with its page."""
    folder = tmp_path_factory.mktemp("wide")
    shelf = Shelf(folder).add(Model(7, "Many", (Version(71),)))
    shelf.add(*numbered(300, model=7, creator="many"))
    shelf.add(*(Picture(100 + number, "few", creator=f"maker {number:02}", size=(900, 900)) for number in range(14)))
    place = folder / "collections" / "Best of [55]"
    place.mkdir(parents=True)
    items = [105, 101, 103]
    facts = {"id": 55, "name": "Best of", "username": "many", "description": "Three.", "items": items, "images": items}
    write_json(place / "collection.json", facts)
    make_page(folder)
    return folder


def test_keys_choose_the_view(page: Page) -> None:
    for key, view in (("2", "list"), ("3", "compact"), ("1", "grid")):
        page.tab.press(key)
        page.tab.wait(f"document.querySelector('[data-do=view-{view}]').getAttribute('aria-pressed') === 'true'")
        page.shows(IDS)


def test_keys_are_letters_in_a_text_field(page: Page) -> None:
    page.tab.press("/")
    page.tab.type("b2?c")
    page.at("#/images?q=b2?c")
    assert not page.tab.exists("dialog[open]")


def test_the_slide_show_begins_by_key_and_stops_by_another(page: Page) -> None:
    page.view(1)
    page.tab.press("s")
    page.viewing(2)
    page.tab.press("ArrowLeft")
    page.viewing(1)


def test_a_key_shows_the_picture_in_its_own_size(page: Page) -> None:
    page.go("#/image/10")
    page.viewing(10)
    image = f"{VIEWER} img"
    page.tab.wait(f"document.querySelector('{image}')?.naturalWidth > 0")
    page.tab.settle(image)
    before = page.tab.evaluate(f"document.querySelector('{image}').getBoundingClientRect().width")
    page.tab.press("z")
    page.tab.wait(f"Math.abs(document.querySelector('{image}').getBoundingClientRect().width - {before}) > 5")
    page.tab.press("z")
    page.tab.wait(f"Math.abs(document.querySelector('{image}').getBoundingClientRect().width - {before}) < 5")


def test_a_range_is_typed(page: Page) -> None:
    field = "aside input[type=number]"
    page.tab.call("(each) => document.querySelector(each).focus()", field)
    page.tab.type("4")
    page.tab.press("Enter")
    page.shows([10])
    page.at("#/images?resolution=4..")
    page.back()
    page.shows(IDS)


def test_a_long_facet_is_opened_and_searched(open_page: OpenPage, wide: Path) -> None:
    page = open_page(wide)
    page.counts(314)
    click_named(page, r"All \d+")
    page.tab.wait("document.activeElement?.matches('input') || !!document.querySelector('aside input:not([hidden])')")
    if not page.tab.focused("input"):
        page.tab.click("aside input[type=text]")
    page.tab.type("maker 13")
    one = "document.querySelectorAll('[data-facet=creator][data-count]').length === 1"
    page.tab.wait(f"{one} && !!document.querySelector(`{page.value('creator', 'maker 13')}`)")
    page.tab.settle(page.value("creator", "maker 13"))
    page.tab.click(page.value("creator", "maker 13"))
    page.shows([113])


def test_a_chip_takes_its_filter_away(page: Page) -> None:
    page.go("#/images?creator=alice&q=street")
    page.shows([1, 2])
    click_named(page, r"(Remove|Drop|Without|Take).*alice|alice.*×")
    page.at("#/images?q=street")


def test_an_offer_shows_what_remains_without_a_filter(page: Page) -> None:
    page.go("#/images?q=cotton&creator=zoe")
    page.counts(0)
    click_named(page, "zoe.*1|without.*zoe")
    page.shows([10])


def test_a_collection_is_shown_by_its_address(open_page: OpenPage, wide: Path) -> None:
    page = open_page(wide, "#/collection/55")
    page.shows([101, 103, 105])
    assert "Best of" in page.tab.evaluate("document.body.innerText")
    page.view(105)
    page.tab.press("Escape")
    page.at("#/collection/55")


def test_closing_leaves_the_wall_where_the_last_picture_is(open_page: OpenPage, wide: Path) -> None:
    page = open_page(wide)
    page.counts(314)
    page.scroll_to_end()
    page.tab.wait("!!document.querySelector(\"[data-image='40299']\")")
    shown = [each for each in page.ids() if each >= 40_000]
    middle = shown[len(shown) // 2]
    page.view(middle)
    page.tab.send_key(read_key("ArrowLeft"), times=40)
    page.viewing(middle - 40)
    page.tab.press("Escape")
    page.tab.wait_gone(VIEWER)
    tile = f"[data-image='{middle - 40}']"
    page.tab.wait(f'!!document.activeElement?.closest("{tile}")')
    box = page.tab.evaluate(f"(() => {{ const box = document.querySelector(\"{tile}\").getBoundingClientRect(); "
                            "return [box.top, box.bottom, innerHeight]; })()")  # fmt: skip
    assert box[0] >= -1
    assert box[1] <= box[2] + 1


def test_an_empty_library_offers_the_command_to_copy(open_page: OpenPage, tmp_path: Path) -> None:
    make_page(tmp_path)
    page = open_page(tmp_path, "")
    click_named(page, "[Cc]opy")
    page.tab.wait("navigator.clipboard.readText().then((text) => text.includes('civitai-downloader'))")


@pytest.mark.parametrize("menu", ["themes", "collections"])
@pytest.mark.parametrize("before", ["", "CSS.supports = () => false;"], ids=["by styles", "by hand"])
def test_a_menu_stands_under_its_button(open_page: OpenPage, wide: Path, menu: str, before: str) -> None:
    page = open_page(wide, before=before)
    page.tab.click(f"[popovertarget={menu}]")
    page.tab.wait(f"document.querySelector('#{menu}').matches(':popover-open')")
    page.tab.settle(f"#{menu}")
    sides = "(({left, right, top, bottom}) => [left, right, top, bottom])"
    box, button = (
        page.tab.evaluate(f"{sides}(document.querySelector('{selector}').getBoundingClientRect())")
        for selector in (f"#{menu}", f"[popovertarget={menu}]")
    )
    assert 0 <= box[2] - button[3] <= 8
    assert min(abs(box[0] - button[0]), abs(box[1] - button[1])) <= 1
