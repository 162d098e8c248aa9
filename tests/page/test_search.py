"""Searching as the contract says, through the real page."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.page.gallery import IDS
from tests.page.page import SEARCH, Page

# What is typed -> the pictures that are found.
FOUND = {
    "": IDS,
    "dress": [1, 2, 3],
    "DRESS": [1, 2, 3],
    "dress night": [1, 3],
    "dress -night": [2],
    "-dress": [4, 5, 6, 7, 8, 9, 10, 11, 12],
    '"night street"': [1],
    '"street night"': [],
    '-"night street" street': [2],
    "resser": [3],
    "red OR blue": [1, 2],
    "day OR wood street": [2],
    "street day OR wood": [2],
    "night dress OR cotton": [1, 3, 10],
    "cat or dog": [8],
    '"cat or dog"': [8],
    "cat OR zebra OR wood": [3, 8],
    "night -dress -cotton": [4],
    "night": [1, 3, 4, 10],
    "ＮＩＧＨＴ": [1, 3, 4, 10],
    "strasse": [4],
    "straße": [4],
    "提灯": [7],
    "浴衣": [7],
    "ボケ": [7],
    "prompt:red": [1],
    "negative:red": [2],
    "-negative:red dress": [1, 3],
    'prompt:"night street"': [1],
    'negative:"blurry, low"': [1],
    "prompt:lowres": [],
    "id:1": [1],
    "id:1 OR id:12": [1, 12],
    "-id:1 dress": [2, 3],
    "creator:ali": [1, 2, 10],
    'creator:"erin, the"': [9],
    "alice": [1, 2, 10],
    "sampler:euler": [1, 3, 7, 8, 9, 10, 11, 12],
    'sampler:"dpm++ 2m"': [2, 4],
    "euler": [],
    "lora:lantern": [1],
    "lora:harbour": [],
    "model:harbour": [2, 3, 10],
    "lantern": [1],
    "harbour street": [2],
    "100%": [10],
    "#1": [10],
    "[x]": [10],
    "<lora:paper": [10],
    "(night:1.2)": [10],
    "isn't": [9],
    '"line two"': [11],
    "three BREAK": [11],
    "nothing-like-this": [],
}
MODELS = {
    "": [101, 102, 103],
    "lantern": [101, 103],
    "paper lantern": [101],
    "LANTERN_maker": [101],
    "light": [101, 103],
    "-light": [102],
    "tag:light": [101, 103],
    "tag:sea": [102],
    "sea": [102],
    "creator:yoru": [103],
    "提灯": [103],
    "日本語": [103],
    "lantern-neg": [103],
    '"night, rain"': [101],
    "sdxl": [101],
    '"sd 1.5"': [101, 102],
    "id:102": [102],
    "warm": [],
}


@pytest.mark.parametrize(("place", "kind", "table"), [("images", "image", FOUND), ("models", "model", MODELS)])
def test_a_search_in_the_address_finds_what_the_contract_says(
    page: Page, place: str, kind: str, table: dict[str, list[int]]
) -> None:
    wrong = {}
    for words, ids in table.items():
        # Something else is shown in between, so that no answer is taken for the next one.
        other = (12 if ids != [12] else 11) if kind == "image" else (102 if ids != [102] else 101)
        page.go(f"#/{place}?q=id:{other}")
        page.shows([other], kind)
        page.go(f"#/{place}?q={quote(words)}" if words else f"#/{place}")
        try:
            page.shows(ids, kind)
        except AssertionError as error:
            wrong[words] = str(error)
    assert wrong == {}


@pytest.mark.parametrize("key", ["Control+k", "/"])
def test_a_key_leads_to_the_search_and_typing_searches(page: Page, key: str) -> None:
    page.tab.press(key)
    page.tab.wait(f"document.activeElement?.matches('{SEARCH}')")
    page.tab.type("dress night")
    page.shows([1, 3])
    page.at("#/images?q=dress night")
    page.tab.press("Control+a", "Delete")
    page.shows(IDS)


def test_a_search_is_typed_after_a_click(page: Page) -> None:
    page.search("dress -night")
    page.shows([2])
    assert page.tab.evaluate("document.querySelectorAll('input[type=search]').length") == 1


# Notes, whenever the number of what is shown changes, the number, the tiles and the counts of kinds.
SEEN = """(() => {
  const status = document.querySelector("[role=status][data-count]");
  const sum = () => [...document.querySelectorAll("[data-facet=kind][data-do=pick]")].reduce(
    (all, each) => all + Number(each.dataset.count), 0);
  const tiles = () => document.querySelectorAll("#grid [data-image]").length;
  const note = () => seen.push([Number(status.dataset.count), tiles(), sum()]);
  window.seen = [];
  new MutationObserver(note).observe(status, {attributes: true, attributeFilter: ["data-count"]});
})()"""


def test_the_number_of_what_is_shown_comes_with_its_tiles_and_counts(page: Page) -> None:
    page.shows(IDS)
    page.tab.evaluate(SEEN)
    page.search("dress -blue")
    page.shows([1, 3])
    seen = page.tab.evaluate("seen")
    assert seen
    assert [each for each in seen if len(set(each)) > 1] == []


def test_hits_are_marked_in_the_viewer(page: Page) -> None:
    page.go("#/images?q=dress -blue")
    page.shows([1, 3])
    page.view(1)
    page.tab.wait("[...document.querySelectorAll('[role=dialog] mark')].some((each) => each.textContent === 'Dress')")


def test_suggestions_come_while_typing_and_are_taken_by_key_and_by_mouse(page: Page) -> None:
    page.search("creator:al")
    page.tab.wait_for("[role=listbox] [role=option]")
    assert any("alice" in each for each in page.tab.texts("[role=option]"))
    page.tab.press("ArrowDown", "Enter")
    page.shows([1, 2, 10])
    page.search("creator:zo")
    page.tab.wait("[...document.querySelectorAll('[role=option]')].some((each) => each.textContent.includes('zoe'))")
    page.tab.click("[role=option]")
    page.shows([12])


def test_earlier_searches_are_offered_in_an_empty_field(page: Page) -> None:
    page.search("cotton")
    page.shows([10])
    page.tab.press("Enter")
    page.search("lantern")
    page.shows([1])
    page.tab.press("Enter", "Control+a", "Delete")
    page.shows(IDS)
    page.tab.press("ArrowDown")
    page.tab.wait_for("[role=listbox] [role=option]")
    assert [each.strip() for each in page.tab.texts("[role=option]")][:2] == ["lantern", "cotton"]
    page.tab.press("ArrowDown", "Enter")
    page.tab.wait(f"['lantern', 'cotton'].includes(document.querySelector('{SEARCH}').value)")


def test_escape_closes_suggestions_and_keeps_what_was_typed(page: Page) -> None:
    page.search("creator:a")
    page.tab.wait_for("[role=option]")
    page.tab.press("Escape")
    page.tab.wait_gone("[role=option]")
    assert page.tab.evaluate(f"document.querySelector('{SEARCH}').value") == "creator:a"


def test_clear_takes_back_search_and_facets(page: Page) -> None:
    page.go("#/images?q=dress&creator=alice")
    page.shows([1, 2])
    page.do("clear")
    page.shows(IDS)
    assert page.tab.evaluate(f"document.querySelector('{SEARCH}').value") == ""


def test_no_hits_say_what_remains_without_each_filter(page: Page) -> None:
    page.go("#/images?q=dress&creator=zoe")
    page.counts(0)
    page.tab.wait_for("#main button, main button")
    assert page.ids() == []


def test_a_newer_answer_is_not_replaced_by_an_older_one(page: Page) -> None:
    page.tab.click(SEARCH)
    for words in ("n", "night", "night street", "d", "dress", "dress -night"):
        page.tab.press("Control+a")
        page.tab.type(words)
    page.shows([2])
    page.at("#/images?q=dress -night")
