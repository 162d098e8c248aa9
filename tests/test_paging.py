"""A list is paged through to its end, whatever its pages are like."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from civitai_downloader.core.comparing import Expected
from civitai_downloader.core.paging import Question, cursor_of, pages, past, unlost
from civitai_downloader.util.errors import Failure, Unreachable

Ask = Callable[[dict[str, Any]], dict[str, Any]]


class Book:
    """Answers a fixed list of pages and keeps the queries; from the other end it shows the first of its items."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self._pages, self.queries = list(pages), list[dict[str, Any]]()
        self._first = pages[0]["items"][:1]

    def __call__(self, query: dict[str, Any]) -> dict[str, Any]:
        if query.pop("sort") == "Newest":
            return {"items": self._first}
        self.queries.append(query)
        return self._pages.pop(0)


class Shelf:
    """A list of rows as the site has them, by offset; `bad` rows make each page with them fail."""

    def __init__(self, rows: int, *, bad: tuple[int, ...] = (), opaque: bool = False, cut: int = 0) -> None:
        self._rows, self._bad, self._opaque, self._cut = list(range(1, rows + 1)), set(bad), opaque, cut
        self.asked = 0

    def __call__(self, query: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        rows = self._rows if query["sort"] != "Newest" else self._rows[::-1]
        at = int(str(query.get("cursor", "0")).lstrip("x").partition("|")[0])
        shown = rows[at : at + query["limit"]]
        if self._bad.intersection(shown):
            raise Unreachable("The server failed.")
        following = at + query["limit"]
        has_more = following < len(rows) and not (query["sort"] != "Newest" and 0 < self._cut <= following)
        return page(shown, (f"x{following}" if self._opaque else f"{following}|17") if has_more else None)


def page(ids: list[Any], cursor: object = None, **more: Any) -> dict[str, Any]:
    return {"items": [{"id": each, **more} for each in ids], "metadata": {"nextCursor": cursor}}


def question(ask: Ask, size: int = 3, limit: int | None = None, **more: Any) -> Question:
    more.setdefault("order", "Oldest" if limit is None else "Most Reactions")
    forgotten = more.pop("forgotten", [])
    return Question(
        "pictures", json.dumps, lambda path, worth: checked(ask(json.loads(path)), worth), forgotten.append, size,
        limit=limit, **more,
    )  # fmt: skip


def checked(answer: dict[str, Any], worth: Callable[[Any], bool]) -> dict[str, Any]:
    worth(answer)
    return answer


def read(asked: Question) -> tuple[list[int], str]:
    """Return the ids of a list and what was wrong with it."""
    ids: list[int] = []
    try:
        for items in pages(asked):
            ids += [item["id"] for item in items]
    except Failure as failure:
        return ids, f"{failure.reason}: {failure}"
    return ids, ""


def ids_of(book: Book, limit: int | None = None) -> list[int]:
    ids, wrong = read(question(book, 3, limit))
    assert not wrong
    return ids


def test_paging_ends_at_the_absent_cursor_and_drops_duplicates() -> None:
    book = Book(page([1, 2, 2], "a"), page([2, 3], 17), page([4]))
    assert ids_of(book) == [1, 2, 3, 4]
    assert [query.get("cursor") for query in book.queries] == [None, "a", 17]


def test_paging_ends_at_a_repeated_cursor() -> None:
    assert ids_of(Book(page([1], "a"), page([2], "a"))) == [1, 2]


def test_paging_goes_on_after_an_empty_page_but_ends_after_three_without_a_new_id() -> None:
    assert ids_of(
        Book(page([1], "a"), page([], "b"), page([2], "c"), page([], "d"), page([1], "e"), page([], "f"))
    ) == [1, 2]


def test_paging_does_not_end_after_two_pages_without_a_new_id() -> None:
    barren = [page([], "b"), page([1], "c")]
    assert ids_of(Book(page([1], "a"), *barren, page([2], "d"), page([], "e"), page([2], "f"), page([3]))) == [1, 2, 3]


def test_paging_stops_at_the_limit_and_asks_for_no_more_than_it_needs() -> None:
    book = Book(page([1, 2, 3], "a"), page([4, 5], "b"))
    assert ids_of(book, 5) == [1, 2, 3, 4, 5]
    assert [query["limit"] for query in book.queries] == [3, 2]


def test_paging_takes_no_longer_for_the_last_page_than_for_the_first() -> None:
    def seconds(count: int) -> float:
        def ask(query: dict[str, Any]) -> dict[str, Any]:
            start = query.get("cursor", 1)
            return page([*range(start, start + 200)], start + 200 if start + 200 < count else None)

        begun = time.process_time()
        assert sum(map(len, pages(question(ask, 200, count)))) == count
        return time.process_time() - begun

    # Sixteen times as many take sixteen times as long; 256 times as long if every page is compared with all before it.
    assert seconds(80_000) < 80 * max(seconds(5000), 0.005)


@pytest.mark.parametrize(
    "items",
    [[None, 3, {"id": "x"}, {}], [{"id": int("9" * 118)}], [{"id": -7}], [{"id": True}], [{"id": float("inf")}]],
)
def test_what_has_no_usable_id_is_left_out_and_said(items: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    assert read(question(lambda query: {"items": [*items, {"id": 5}]}, 100)) == ([5], "")
    assert f"entries that can't be read; left out: {len(items)}" in caplog.text


@pytest.mark.parametrize("answer", [{}, {"items": None}, {"items": {}, "metadata": []}, {"error": "x"}])
def test_an_answer_without_its_list_is_a_failure(answer: dict[str, Any]) -> None:
    ids, wrong = read(question(lambda query: answer))
    assert (ids, wrong.partition(":")[0]) == ([], "answer")


# --- Ends and faults -------------------------------------------------------------------------------


def test_a_full_page_without_a_cursor_is_looked_at_from_the_other_end(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(300, cut=200)
    forgotten: list[str] = []
    ids, wrong = read(question(shelf, 200, forgotten=forgotten))
    assert (sorted(ids), wrong) == (list(range(1, 301)), "")
    assert "broke off after entry 200" in caplog.text
    assert len(forgotten) == 1


def test_a_list_that_really_ends_at_a_full_page_costs_one_request_more(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(200)
    assert read(question(shelf, 200)) == (list(range(1, 201)), "")
    assert shelf.asked == 2
    assert not caplog.text
    shelf = Shelf(200)
    assert read(question(shelf, 200, total=200)) == (list(range(1, 201)), "")
    assert read(question(shelf, 200, 200))[1] == ""
    assert shelf.asked == 2


def test_a_list_cut_at_both_ends_is_incomplete() -> None:
    def ask(query: dict[str, Any]) -> dict[str, Any]:
        return page([*range(1, 4)] if query["sort"] == "Oldest" else [*range(7, 10)])

    ids, wrong = read(question(ask))
    assert sorted(ids) == [1, 2, 3, 7, 8, 9]
    assert "breaks off after entry 3 (at least 1 missing)" in wrong


def test_one_bad_row_is_passed_over_where_cursors_tell_a_number() -> None:
    shelf = Shelf(1000, bad=(437,))
    ids, wrong = read(question(shelf, 200))
    assert ids == [each for each in range(1, 1001) if each != 437]
    assert "incomplete" in wrong
    assert "at least 1 missing" in wrong
    assert shelf.asked < 45


def test_one_bad_row_is_reached_from_both_ends_where_they_do_not() -> None:
    ids, wrong = read(question(Shelf(500, bad=(237,), opaque=True), 200))
    assert sorted(ids) == [each for each in range(1, 501) if each != 237]
    assert "breaks off after entry 236 (at least 1 missing)" in wrong


def test_two_bad_rows_next_to_each_other_and_one_at_the_beginning() -> None:
    ids, wrong = read(question(Shelf(500, bad=(1, 300, 301)), 200))
    assert sorted(ids) == [each for each in range(1, 501) if each not in (1, 300, 301)]
    assert "missing" in wrong


def test_a_page_that_is_only_too_long_is_read_in_smaller_ones() -> None:
    def ask(query: dict[str, Any]) -> dict[str, Any]:
        if query.get("cursor") == "200|17" and query["limit"] > 20:
            raise Unreachable("The server failed.")
        return shelf(query)

    shelf = Shelf(600)
    assert read(question(ask, 200)) == (list(range(1, 601)), "")


def test_a_site_that_is_down_is_said_as_it_is() -> None:
    def ask(query: dict[str, Any]) -> dict[str, Any]:
        raise Unreachable("The server failed.")

    assert read(question(ask, 200)) == ([], "unreachable: The server failed.")


def test_the_most_liked_are_filled_up_from_the_newest() -> None:
    ids, wrong = read(question(Shelf(700, cut=200), 200, 450))
    assert (len(set(ids)), wrong) == (450, "")


def test_an_empty_list_of_what_should_hold_something_is_looked_at_twice() -> None:
    def ask(query: dict[str, Any]) -> dict[str, Any]:
        return page([] if query["sort"] == "Oldest" else [5, 6])

    assert read(question(ask, total=2)) == ([5, 6], "")
    assert read(question(ask)) == ([], "")


# --- Comparing -------------------------------------------------------------------------------------


def test_a_list_of_strangers_is_stopped_and_its_own_items_are_kept() -> None:
    items = [*({"id": each, "username": "x"} for each in range(1, 91)), {"id": 91, "username": "Maker"}, {"id": 92}]
    maker = Expected(user="maker")
    ids, wrong = read(question(lambda query: {"items": items, "metadata": {"nextCursor": "a"}}, 100, expected=maker))
    assert ids == [91]
    sentence = "The list of pictures of user maker is wrong: 90 of its 92 entries belong to others"
    assert wrong == f"strangers: {sentence}; try again later."


def test_a_single_stranger_is_left_out_alone() -> None:
    items = [{"id": each, "modelVersionIds": [7]} for each in range(1, 9)]
    items += [{"id": 9, "modelVersionIds": []}, {"id": 10, "modelVersionIds": [8]}]
    asked = question(lambda query: {"items": items}, 100, expected=Expected(version=7))
    assert read(asked) == ([*range(1, 10)], "")


def test_a_collection_with_more_than_twice_its_items_is_stopped() -> None:
    ids, wrong = read(question(Shelf(102), 200, total=10))
    assert (ids, wrong.partition(":")[0]) == ([], "strangers")
    assert read(question(Shelf(20), 200, total=10)) == ([*range(1, 21)], "")


@pytest.mark.parametrize(
    ("expected", "item", "fits"),
    [
        (Expected(user="Maker"), {"username": "maker"}, True),
        (Expected(user="maker"), {"username": None, "user": {"username": "other"}}, False),
        (Expected(user="maker"), {"creator": {"username": "maker"}, "username": "other"}, False),
        (Expected(user="maker"), {}, None),
        (Expected(user_id=42), {"user": {"id": 43}}, False),
        (Expected(user_id=42), {"userId": "42"}, True),
        (Expected(post=5), {"postId": 6}, False),
        (Expected(post=5), {"postId": None}, None),
        (Expected(version=5), {"modelVersionIds": [], "modelVersionId": 5}, True),
        (Expected(version=5), {"modelVersionIds": [6, "5"]}, True),
        (Expected(version=5), {"modelVersionIds": 5}, None),
        (Expected(tag="Light"), {"tags": [{"name": "light"}]}, True),
        (Expected(tag="light"), {"tags": ["dark"]}, False),
        (Expected(collection=5), {"id": 1}, None),
    ],
)
def test_an_item_is_compared_by_what_it_says(expected: Expected, item: dict[str, Any], fits: bool | None) -> None:
    assert expected.fits(item) is fits


def test_the_cursor_may_stand_in_the_link_alone() -> None:
    assert cursor_of({"metadata": {"nextPage": "https://civitai.com/api/v1/images?limit=1&cursor=40%7C17"}}) == "40|17"
    assert cursor_of({"metadata": {"nextPage": "https://[", "nextCursor": True}}) == ""


@pytest.mark.parametrize(
    ("cursor", "order", "behind", "falling"),
    [
        ("40|17", "Oldest", "41|17", "40|17"),
        ("40|17", "Most Reactions", "41|17", "40|17"),
        ("40", "Oldest", "41", "41"),
        (40, "Newest", "39", "41"),
        ("40", "Most Reactions", "", "41"),
        ("2026-05-01 10:11:12.345|10055", "Oldest", "2026-05-01 10:11:12.345|10056", "2026-05-01 10:11:12.345|10056"),
        ("812|90211|10055", "Oldest", "", "812|90211|10055"),
        ("", "Oldest", "", ""),
        ("abc", "Newest", "", "abc"),
    ],
)
def test_what_a_cursor_tells_is_used(cursor: str | int, order: str, behind: str, falling: str) -> None:
    assert past(cursor, order) == behind
    assert str(unlost(cursor, "Newest")) == falling
    assert unlost(cursor, "Oldest") == cursor
