"""Facets: their counts, and choosing and excluding values by mouse and by keyboard."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.browser import BrowserError
from tests.page.gallery import IDS
from tests.page.page import Page

# The address -> what the counts of some facets are then.
COUNTS: dict[str, dict[str, dict[str, int]]] = {
    "#/images": {
        "kind": {"image": 11, "video": 1},
        "level": {"PG": 6, "PG-13": 1, "R": 1, "X": 1, "XXX": 1, "unrated": 2},
        "creator": {"alice": 3, "bob": 3, "carol": 1, "dave": 2, "erin, the 2nd": 1, "zoe": 1},
        "sampler": {"Euler a": 8, "DPM++ 2M": 2},
        "aspect": {"portrait": 7, "square": 3, "landscape": 1},
        "prompt": {"yes": 10, "no": 2},
        "tool": {"ComfyUI": 1},
        "lora": {"Paper Lantern": 1},
        "model": {"Harbour Mix": 3, "提灯の夜": 1},
        "base": {"SD 1.5": 3, "Pony": 1},
    },
    "#/images?creator=alice": {
        "creator": {"alice": 3, "bob": 3, "dave": 2},
        "sampler": {"Euler a": 2, "DPM++ 2M": 1},
        "level": {"PG": 2, "PG-13": 1},
    },
    "#/images?q=night&creator=alice": {"creator": {"alice": 2, "bob": 2}, "aspect": {"portrait": 2}},
    "#/images?creator=-alice": {"creator": {"alice": 3, "bob": 3}, "kind": {"image": 8, "video": 1}},
    "#/models": {
        "type": {"LORA": 1, "Checkpoint": 1, "TextualInversion": 1},
        "base": {"SD 1.5": 2, "SDXL 1.0": 1, "Pony": 1},
        "creator": {"lantern_maker": 1, "sea_painter": 1, "yoru": 1},
        "tag": {"light": 2, "style": 1, "base model": 1, "sea": 1, "日本語": 1},
        "level": {"PG": 2, "R": 1},
        "update": {"yes": 1, "no": 2},
    },
    "#/models?type=LORA": {"type": {"LORA": 1, "Checkpoint": 1}, "tag": {"light": 1, "style": 1}},
}

# The address -> the pictures that are shown.
CHOSEN = {
    "creator=alice": [1, 2, 10],
    "creator=alice,bob": [1, 2, 3, 4, 10, 11],
    "creator=-alice": [3, 4, 5, 6, 7, 8, 9, 11, 12],
    "creator=-alice,-bob": [5, 6, 7, 8, 9, 12],
    "creator=erin%2C the 2nd": [9],
    "kind=video": [5],
    "level=unrated": [6, 9],
    "level=X,XXX": [7, 8],
    "sampler=DPM%2B%2B 2M": [2, 4],
    "prompt=no": [5, 6],
    "aspect=landscape": [3],
    "date=2026": [1, 2, 3, 4],
    "date=2026-03": [1, 2],
    "date=2026-02..2026-03": [1, 2, 3],
    "date=2026-03..": [1, 2],
    "date=..2024": [11, 12],
    "date=..2024-02-29": [11, 12],
    "resolution=..0.3": [4],
    "resolution=4..": [10],
    "resolution=1..1.1": [1, 2, 3, 7, 8, 9, 11],
    "lora=Paper Lantern": [1],
    "model=Harbour Mix": [2, 3, 10],
    "base=Pony": [7],
    "tool=ComfyUI": [11],
    "creator=alice&aspect=portrait": [1, 10],
    "creator=alice&q=street": [1, 2],
    "creator=nobody": [],
}


def test_a_value_is_counted_as_if_only_it_were_chosen_in_its_facet(page: Page) -> None:
    wrong = {}
    for place, facets in COUNTS.items():
        page.go(place)
        for name, values in facets.items():
            for value, count in values.items():
                try:
                    page.tab.wait(
                        f"document.querySelector(`{page.value(name, value)}`)?.dataset.count === '{count}'", 4
                    )
                except BrowserError:
                    wrong[place, name, value] = f"{count} expected, {page.facet(name)}"
    assert wrong == {}


def test_a_count_is_what_is_shown_once_the_value_is_chosen(page: Page) -> None:
    for name in ("creator", "sampler", "model", "aspect"):
        page.go("#/images?q=-zoe")
        page.counts(11)
        for value, count in page.facet(name).items():
            page.go(f"#/images?q=-zoe&{name}={quote(value, '')}")
            page.counts(count)


def test_a_facet_in_the_address_shows_what_the_contract_says(page: Page) -> None:
    wrong = {}
    for words, ids in CHOSEN.items():
        other = 12 if ids != [12] else 11
        page.go(f"#/images?q=id:{other}")
        page.shows([other])
        page.go(f"#/images?{words}")
        try:
            page.shows(ids)
        except AssertionError as error:
            wrong[words] = str(error)
    assert wrong == {}


def test_values_are_chosen_and_taken_back_by_mouse(page: Page) -> None:
    page.tab.click(page.value("creator", "alice"))
    page.shows([1, 2, 10])
    page.at("#/images?creator=alice")
    page.tab.click(page.value("creator", "bob"))
    page.shows([1, 2, 3, 4, 10, 11])
    page.at("#/images?creator=alice,bob")
    page.tab.click(page.value("creator", "alice"))
    page.shows([3, 4, 11])
    page.back()
    page.shows([1, 2, 3, 4, 10, 11])
    page.back()
    page.shows([1, 2, 10])
    page.back()
    page.shows(IDS)


def test_a_value_is_excluded_by_mouse(page: Page) -> None:
    page.tab.hover(page.value("creator", "alice"))
    page.tab.click(page.value("creator", "alice", "exclude"))
    page.shows([each for each in IDS if each not in (1, 2, 10)])
    page.at("#/images?creator=-alice")


@pytest.mark.parametrize("key", ["Enter", " "])
def test_values_are_chosen_and_excluded_by_keyboard(page: Page, key: str) -> None:
    page.focus_by_tab(page.value("sampler", "DPM++ 2M"))
    page.tab.press(key)
    page.shows([2, 4])
    assert page.tab.focused(page.value("sampler", "DPM++ 2M")), "the focus stays on what was chosen"
    page.tab.press(key)
    page.shows(IDS)
    page.focus_by_tab(page.value("sampler", "DPM++ 2M", "exclude"))
    page.tab.press(key)
    page.shows([each for each in IDS if each not in (2, 4)])


def test_a_preset_is_saved_used_and_outlives_the_page(page: Page) -> None:
    page.go("#/images?q=dress&creator=alice")
    page.shows([1, 2])
    page.do("save-preset")
    page.tab.wait("document.activeElement?.matches('input')")
    page.tab.type("my dresses")
    page.tab.press("Enter")
    page.tab.wait_for("[data-preset='my dresses']")
    page.go("#/images")
    page.shows(IDS)
    page.open()
    page.tab.click("[data-preset='my dresses']")
    page.shows([1, 2])
