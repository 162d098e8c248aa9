"""Paging: a list of the site, page after page, from one end and if need be from the other, until it surely ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..util.errors import Failure, Sentence
from .answers import Pages, list_at, number_at, object_at, objects_at, text_at
from .comparing import Expected, is_at_fault

SMALLER = (100, 20, 1)
MOST_BARREN = MOST_BAD_ROWS = 3
# What a page may fail with although the list itself may be had; so it may with "gone" where another page came before.
PAGE_FAULTS = ("unreachable", "answer")
# The orders whose ends are each other's beginnings, in which a list is read where its first way ends in doubt.
ENDS = ("Newest", "Oldest")
# How a way through a list may end without doubt: the site said so, the limit is reached, or the other way is met.
SURE = ("told", "limit", "met")

log = logging.getLogger(__name__)

Worth = Callable[[Any], bool]


LISTS = {
    "models": "The list of models of {owner}",
    "pictures": "The list of pictures of {owner}",
    "posts": "The list of posts of {owner}",
}


@dataclass(frozen=True)
class Question:
    """A list that is asked for.

    `path` returns where the page with some parameters is; `ask` gets that, and a function that says whether the answer
    is worth keeping; `forget` has a kept one asked for anew. `order` is how the list is sorted,
    `size` how many items a page has at most, `limit` how many are wanted (None: all). `total` is how many there are as
    far as the site tells (None: it does not).
    """

    what: str
    path: Callable[[Mapping[str, Any]], str]
    ask: Callable[[str, Worth], dict[str, Any]]
    forget: Callable[[str], object]
    size: int
    expected: Expected = field(default_factory=Expected)
    limit: int | None = None
    order: str = "Oldest"
    total: int | None = None

    @property
    def name(self) -> Sentence:
        """What the list is called in a message."""
        return Sentence(LISTS[self.what], owner=str(self.expected))


class Strangers(Failure):
    """A list is not an answer to the question; `nobodys` says whether it holds nothing at all of what was asked for."""

    def __init__(self, message: str, *, nobodys: bool) -> None:
        super().__init__("strangers", message)
        self.nobodys = nobodys


@dataclass
class _Way:
    """A way through a list: where it is, what it has brought, and how it has ended ("" not yet).

    `cursors` are those that were named, each with the path of the page that did. On the way back, `known` are the ids
    at which it meets the first way. `rows` counts what the pages held, `taken` what was new.
    """

    order: str
    known: frozenset[int] | None = None
    cursor: str | int = ""
    cursors: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    taken: int = 0
    barren: int = 0
    bad_rows: int = 0
    end: str = ""
    failure: Failure | None = None

    def page(self, size: int) -> dict[str, Any]:
        """Return the parameters of the next page."""
        return {"sort": self.order, "limit": size, **({"cursor": self.cursor} if self.cursor != "" else {})}

    @property
    def is_back(self) -> bool:
        """Whether it begins at the other end of the list."""
        return self.known is not None

    @property
    def is_sure(self) -> bool:
        """Whether its end is beyond doubt; a way back that has brought something must have met the first one."""
        return self.end in SURE and not (self.end == "told" and self.known and self.taken)


def pages(question: Question) -> Pages:
    """Yield the new items of each page of a cursor list that belong to the question, `limit` in all.

    Raises Failure at the end if the list is at fault or could not be read whole.
    """
    return _Reader(question).read()


class _Reader:
    """Reads one list."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._seen: set[int] = set()
        self._strangers = self._unreadable = self._missing = 0
        self._broken_at: int | None = None

    def read(self) -> Pages:
        """Yield the pages; where the first way ends in doubt, go on from the other end until something is known."""
        ways = [_Way(self._question.order)]
        yield from self._follow(ways[0])
        for order in ENDS:
            if ways[-1].is_sure or isinstance(ways[-1].failure, Strangers) or order == self._question.order:
                break
            ways.append(_Way(order, frozenset(self._seen if ways[-1].order in ENDS else ())))
            yield from self._follow(ways[-1])
        self._say_what_was_left_out()
        self._conclude(ways)

    def _follow(self, way: _Way) -> Pages:
        while not way.end:
            yield from self._span(way, self._question.size)

    def _span(self, way: _Way, size: int) -> Pages:
        """Yield the next `size` rows, in smaller pages where the site does not give that many at once."""
        try:
            found = self._page(way, self._at_most(size))
        except Failure as failure:
            is_of_page = way.is_back or (failure.reason == "gone" and way.cursor != "")
            if failure.reason not in ("busy", *PAGE_FAULTS) and way.cursors:
                self._question.forget(next(reversed(way.cursors.values())))  # it named a cursor that is refused
            if failure.reason == "busy" or not (is_of_page or failure.reason in PAGE_FAULTS):
                raise
            smaller = next((each for each in SMALLER if each < self._at_most(size)), 0)
            if not smaller:
                self._pass_over(way, failure)
            elif not way.rows:
                yield from self._span(way, 1)  # a site that is down does not give a single row either
        else:
            smaller, way.bad_rows = 0, 0
            yield found
        for _ in range(-(-size // smaller) if smaller else 0):
            if not way.end:
                yield from self._span(way, smaller)

    def _at_most(self, size: int) -> int:
        limit = self._question.limit
        return size if limit is None else min(size, limit - len(self._seen))

    def _page(self, way: _Way, size: int) -> list[dict[str, Any]]:
        """Return the new items of the next page, and say where the way goes on or that it has ended."""
        path = self._question.path(way.page(size))
        answer = self._question.ask(path, partial(self._is_worth_keeping, way))
        rows, items = list_at(answer, "items"), objects_at(answer, "items")
        ids: dict[int, dict[str, Any]] = {}
        for item in items:
            if number_at(item, "id") > 0:
                ids.setdefault(number_at(item, "id"), item)
        self._unreadable += len(rows) - len(items) + sum(number_at(item, "id") <= 0 for item in items)
        taken = self._own(way, {each: item for each, item in ids.items() if each not in self._seen})
        self._seen.update(number_at(item, "id") for item in taken)
        way.rows, way.taken = way.rows + len(rows), way.taken + len(taken)
        way.barren = 0 if taken else way.barren + 1
        if not way.end:
            has_met = not (way.known or frozenset()).isdisjoint(ids) or (way.is_back and bool(ids) and not way.taken)
            way.end = "met" if has_met else self._end(way, cursor_of(answer), is_full=len(rows) >= size)
        if not way.end:
            way.cursor = unlost(cursor_of(answer), way.order)
            way.cursors[str(cursor_of(answer))] = path
        return taken

    def _own(self, way: _Way, fresh: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the new items that are not strangers; end the way if the list is at fault."""
        question = self._question
        fits = {each: question.expected.fits(item) for each, item in fresh.items()}
        strangers = list(fits.values()).count(False)
        if is_at_fault(fits.values()) and (strangers > 2 or not self._seen):
            nobodys = not self._seen and True not in fits.values()
            sentence = Sentence(
                "{list} is wrong: {strangers} of its {count} entries belong to others; try again later.",
                list=question.name, strangers=strangers, count=len(fresh),
            )  # fmt: skip
            way.end, way.failure = "strangers", Strangers(sentence, nobodys=nobodys)
            return [fresh[each] for each in fits if fits[each]]
        if question.total is not None and 2 * question.total < len(self._seen) + len(fresh):
            sentence = Sentence(
                "{list} has more than twice the {total} entries it should have, so it was ignored; try again later.",
                list=question.name, total=question.total,
            )  # fmt: skip
            way.end, way.failure = "strangers", Strangers(sentence, nobodys=not self._seen)
            return []
        self._strangers += strangers
        own = [fresh[each] for each in fits if fits[each] is not False]
        return own if question.limit is None else own[: question.limit - len(self._seen)]

    def _end(self, way: _Way, cursor: str | int, *, is_full: bool) -> str:
        """Return how a way has ended, "" if it goes on: its end is told by a page that is not full and has no cursor.

        A total that is reached is as good. An empty list of something that should hold something is looked at twice.
        """
        limit, total = self._question.limit, self._question.total or 0
        if limit is not None and len(self._seen) >= limit:
            return "limit"
        is_hollow = total > 0 and not self._seen and not way.is_back
        doubts = {
            "full": cursor == "" and is_full,
            "hollow": cursor == "" and is_hollow,
            "repeated": cursor != "" and str(cursor) in way.cursors,
            "barren": way.barren >= MOST_BARREN,
        }
        doubt = next((name for name, applies in doubts.items() if applies), "" if cursor != "" else "told")
        return "told" if doubt and 0 < total <= len(self._seen) else doubt

    def _pass_over(self, way: _Way, failure: Failure) -> None:
        """Pass over a row that the site can't give, if the cursor tells how; else the way ends here."""
        self._broken_at = way.rows if self._broken_at is None else self._broken_at
        following = past(way.cursor, way.order)
        if following != "" and way.bad_rows < MOST_BAD_ROWS:
            self._missing, way.bad_rows, way.cursor = self._missing + 1, way.bad_rows + 1, following
            return
        self._missing -= way.bad_rows  # so many failures in a row are no bad rows but the end of what can be had
        way.end, way.failure = "fault", failure

    def _is_worth_keeping(self, way: _Way, answer: Any) -> bool:
        """Return whether a page may be kept: it holds something and led to no doubt. Raises Failure without a list."""
        if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
            raise Failure("answer", "{list} came without its entries; try again later.", list=self._question.name)
        items, total = objects_at(answer, "items"), self._question.total
        is_long = total is not None and 2 * total < len(self._seen) + len(items)
        is_news = way.is_back and not self._seen.issuperset(number_at(item, "id") for item in items)
        return bool(items) and not (is_long or is_news or is_at_fault(map(self._question.expected.fits, items)))

    # --- The end ---

    def _say_what_was_left_out(self) -> None:
        name = self._question.name
        if self._strangers:
            log.warning("%s has entries that belong to others; left out: %d.", name, self._strangers)
        if self._unreadable:
            log.warning("%s has entries that can't be read; left out: %d.", name, self._unreadable)

    def _conclude(self, ways: Sequence[_Way]) -> None:
        """Raise Failure if the list is at fault or was not read whole; say if it was read from both ends."""
        name, first, last = self._question.name, ways[0], ways[-1]
        failures = [way.failure for way in ways if way.failure is not None]
        at_fault = next((each for each in failures if isinstance(each, Strangers)), None)
        if at_fault is not None or (failures and not self._seen):
            raise at_fault or failures[0]
        if last.is_back and (last.taken or not last.is_sure):
            self._question.forget(self._question.path(first.page(self._at_most(self._question.size))))
        is_best_lost = first.failure is not None and first.order not in ENDS
        if self._missing or is_best_lost or not last.is_sure:
            where, least = first.rows if self._broken_at is None else self._broken_at, max(1, self._missing)
            sentence = "{list} breaks off after entry {where} (at least {least} missing); run again later."
            raise Failure("incomplete", sentence, list=name, where=where, least=least)
        if last.is_back and (last.taken or first.failure is not None):
            log.warning("%s broke off after entry %d; the rest was read from its other end.", name, first.rows)


def cursor_of(answer: Mapping[str, Any]) -> str | int:
    """Return the cursor of the next page, which may stand only in the link to it; "" at the end of the list."""
    metadata = object_at(answer, "metadata")
    cursor = metadata.get("nextCursor")
    if isinstance(cursor, (str, int)) and not isinstance(cursor, bool) and cursor != "":
        return cursor
    with suppress(ValueError):
        return parse_qs(urlsplit(text_at(metadata, "nextPage")).query).get("cursor", [""])[0]
    return ""


_ROWS = re.compile(r"([0-9]{1,18})(\|[0-9]+)")
_THING = re.compile(r"((?:[^|]*[-:][^|]*\|)?)([0-9]{1,18})")


def unlost(cursor: str | int, order: str) -> str | int:
    """Return a cursor at which nothing is lost: falling, the site leaves out the very thing whose id it names."""
    found = _THING.fullmatch(str(cursor))
    return f"{found[1]}{int(found[2]) + 1}" if found and order == "Newest" else cursor


def past(cursor: str | int, order: str) -> str:
    """Return the cursor behind the row where this one leads, which tells a number of rows or an id; "" if neither."""
    if rows := _ROWS.fullmatch(str(cursor)):
        return f"{int(rows[1]) + 1}{rows[2]}"
    found = _THING.fullmatch(str(cursor))
    step = {"Oldest": 1, "Newest": -1}.get(order, 0)
    return f"{found[1]}{int(found[2]) + step}" if found and step else ""
