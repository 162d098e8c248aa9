"""The address keeps the state: setting it shows that state, what one does keeps it current, and Back works."""

from __future__ import annotations

import pytest

from tests.page.gallery import IDS
from tests.page.page import SEARCH, Page

ORDERS = {
    "images": {
        "newest": [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 6],
        "oldest": [12, 11, 10, 9, 8, 7, 5, 4, 3, 2, 1, 6],
        "likes": [2, 1],
        "size": [10],
    },
    "models": {
        "newest": [101, 102, 103],
        "oldest": [103, 102, 101],
        "name": [102, 101, 103],
        "rating": [101, 102, 103],
        "likes": [101, 102, 103],
    },
}


@pytest.mark.parametrize("place", ORDERS)
def test_the_order_is_chosen_by_address_and_by_the_control(page: Page, place: str) -> None:
    kind = place[:-1]
    everything = IDS if kind == "image" else [101, 102, 103]
    for sort, ids in ORDERS[place].items():
        page.go(f"#/{place}?sort={sort}")
        page.starts_with(ids, kind)
        page.tab.wait(f"document.querySelector('select[data-do=sort]').value === '{sort}'")
    page.go(f"#/{place}?sort=oldest")
    page.starts_with(ORDERS[place]["oldest"], kind)
    page.tab.choose("select[data-do=sort]", "newest")
    page.starts_with(ORDERS[place]["newest"], kind)
    page.tab.wait("!location.hash.includes('sort=oldest')")
    page.go(f"#/{place}?sort=random")
    page.shows(everything, kind)


@pytest.mark.parametrize("place", ["images", "models"])
def test_every_view_shows_the_same_by_address_and_by_button(page: Page, place: str) -> None:
    kind = place[:-1]
    ids = IDS if kind == "image" else [101, 102, 103]
    for view in ("list", "compact", "grid"):
        page.go(f"#/{place}")
        page.shows(ids, kind)
        page.go(f"#/{place}?view={view}")
        page.shows(ids, kind)
    page.do("view-list")
    page.at(f"#/{place}?view=list")
    page.do("view-compact")
    page.at(f"#/{place}?view=compact")
    page.do("view-grid")
    page.tab.wait("!/view=(list|compact)/.test(location.hash)")
    page.shows(ids, kind)


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("#/images?q=dress&creator=alice,-bob&sort=oldest&view=compact", 2),
        ("#/images?date=2026-01..2026-03-15&level=PG,PG-13", 3),
        ("#/images?creator=erin%2C%20the%202nd", 1),
        ("#/images?q=%23%201%20%26%20%25", 0),
        ("#/models?tag=light&sort=name", 2),
        ("#/model/101", 1),
    ],
)
def test_an_address_outlives_a_reload(page: Page, place: str, count: int) -> None:
    page.go(place)
    page.counts(count)
    first = page.place
    page.open(first)
    page.counts(count)
    path, _, query = first.partition("?")
    assert page.place.partition("?")[0] == path
    assert sorted(page.place.partition("?")[2].split("&")) == sorted(query.split("&"))


def test_what_the_page_writes_it_reads_again(page: Page) -> None:
    page.search("100% #1")
    page.shows([10])
    page.tab.click(page.value("creator", "alice"))
    page.tab.choose("select[data-do=sort]", "oldest")
    page.tab.wait("location.hash.includes('sort=oldest')")
    written = page.place
    page.go("#/models")
    page.shows([101, 102, 103], "model")
    page.go(written)
    page.shows([10])
    assert page.tab.evaluate(f"document.querySelector('{SEARCH}').value") == "100% #1"
    assert page.tab.evaluate("document.querySelector('select[data-do=sort]').value") == "oldest"


def test_a_comma_within_a_value_is_not_a_separator(page: Page) -> None:
    page.tab.click(page.value("creator", "erin, the 2nd"))
    page.shows([9])
    page.at("#/images?creator=erin, the 2nd")
    assert "%2C" in page.place.upper()
    page.open(page.place)
    page.shows([9])


def test_typing_is_no_step_for_back_and_opening_is(page: Page) -> None:
    page.go("#/models")
    page.shows([101, 102, 103], "model")
    page.go("#/images")
    page.shows(IDS)
    page.search("dress")
    page.shows([1, 2, 3])
    page.view(2)
    page.at("#/image/2?q=dress")
    page.back()
    page.tab.wait_gone("[role=dialog][data-image]")
    page.shows([1, 2, 3])
    page.back()
    page.shows([101, 102, 103], "model")
    page.tab.evaluate("history.forward()")
    page.shows([1, 2, 3])


def test_arrows_in_the_viewer_are_one_step_for_back(page: Page) -> None:
    page.go("#/images?q=dress")
    page.shows([1, 2, 3])
    page.view(1)
    page.tab.press("ArrowRight")
    page.viewing(2)
    page.tab.press("ArrowRight")
    page.viewing(3)
    page.at("#/image/3?q=dress")
    page.back()
    page.tab.wait_gone("[role=dialog][data-image]")
    page.shows([1, 2, 3])


ODD = [
    *("", "#", "#/", "#/nowhere", "#/image/999999", "#/model/999999", "#/image/x", "#/%ff", "#/images?creator="),
    *("#/images?sort=sideways&view=round&colour=red", "#/images?date=x", "#/images?q=%22", "#/images?q=-+OR+-"),
]


def test_an_address_that_means_nothing_breaks_nothing(page: Page) -> None:
    for place in ODD:
        page.go(place)
        page.tab.evaluate("new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
        page.go("#/images?q=id:1")
        page.shows([1])
    page.open("#/image/999999?view=round")
    page.go("#/images?q=id:12")
    page.shows([12])


def test_all_places_lead_where_they_say(page: Page) -> None:
    page.open("#/image/2")
    page.viewing(2)
    page.open("#/model/101")
    page.tab.wait("document.querySelector('main').textContent.includes('Paper Lantern')")
    page.open("#/models")
    page.shows([101, 102, 103], "model")
