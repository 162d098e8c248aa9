"""Lists are sorted and cut into pages here, each page with the cursor of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .records import FakeImage, millis
from .world import FakeModel, World


@dataclass(frozen=True)
class Order:
    """A sort order and its cursors.

    The site fetches one row more than the limit and makes the sort values of that row the cursor. If the last column
    is descending, the next page asks for less than the cursor, so that row is never shown (`lossy`).
    """

    columns: Callable[[Any], tuple[int, ...]]
    signs: tuple[int, ...]
    lossy: bool = False
    dated: bool = False

    def key(self, row: Any) -> tuple[int, ...]:
        """Return the values by which rows are sorted."""
        return tuple(sign * value for sign, value in zip(self.signs, self.columns(row), strict=True))

    def cursor(self, row: Any) -> str:
        """Return the sort values of a row, joined by bars."""
        values = [str(value) for value in self.columns(row)]
        if self.dated:
            values[0] = datetime.fromtimestamp(int(values[0]) / 1000, timezone.utc).isoformat(" ", "milliseconds")[:23]
        return "|".join(values)

    def parse(self, cursor: str) -> tuple[int, ...] | None:
        """Return the key that a cursor stands for, or None if it does not fit this order."""
        parts = cursor.split("|")
        if len(parts) != len(self.signs):
            return None
        try:
            values = [millis(part) if self.dated and i == 0 else int(part) for i, part in enumerate(parts)]
        except ValueError:
            return None
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))


def take(world: World, rows: Iterable[Any], order: Order, limit: int, cursor: str) -> tuple[list[Any], str | None]:
    """Return one page of rows and the cursor of the next page."""
    ordered = sorted(rows, key=order.key)
    at = order.parse(cursor) if cursor else None
    if at is not None:
        ordered = [row for row in ordered if order.key(row) > at or (order.key(row) == at and not order.lossy)]
    shown = max(1, limit - world.short_pages) if limit else 0
    if len(ordered) <= shown:
        return ordered, None
    if world.looping_cursor and cursor:
        return ordered[:shown], cursor
    return ordered[:shown], order.cursor(ordered[max(1, shown - world.repeated_rows)])


def take_by_offset(world: World, rows: list[FakeImage], limit: int, cursor: str) -> tuple[list[FakeImage], str | None]:
    """Return a page of the search index, whose cursor is `offset|time`. An odd time follows an empty page."""
    offset, moment = (int(part) for part in (cursor or "0|1772366700000").split("|"))
    if world.empty_pages and offset and moment % 2 == 0:
        return [], f"{offset}|{moment + 1}"
    shown = max(1, limit - world.short_pages) if limit else 0
    following = max(offset + 1, offset + shown - world.repeated_rows)
    if offset + shown >= len(rows):
        return rows[offset:], None
    loops = world.looping_cursor and cursor
    return rows[offset : offset + shown], cursor if loops else f"{following}|1772366700000"


def _by_date(model: FakeModel) -> tuple[int, ...]:
    return (model.date, model.id)


MODEL_ORDERS = {
    "Newest": Order(_by_date, (-1, -1), lossy=True, dated=True),
    "Oldest": Order(_by_date, (1, 1), dated=True),
    "Highest Rated": Order(lambda model: (model.thumbs, model.downloads, model.id), (-1, -1, 1)),
    "Most Downloaded": Order(lambda model: (model.downloads, model.id), (-1, 1)),
    "Most Liked": Order(lambda model: (model.thumbs, model.id), (-1, 1)),
    "Most Discussed": Order(lambda model: (4, model.id), (-1, 1)),
    "Most Collected": Order(lambda model: (model.thumbs, model.id), (-1, 1)),
    "Most Images": Order(lambda model: (sum(len(v.images) for v in model.versions), model.id), (-1, 1)),
}

BY_ID = Order(lambda image: (image.id,), (-1,), lossy=True)
BY_RISING_ID = Order(lambda image: (image.id,), (1,))

IMAGE_SORTS: dict[str, Callable[[FakeImage], tuple[int, ...]]] = {
    "Most Reactions": lambda image: (-image.likes, -image.id),
    "Most Comments": lambda image: (-image.id,),
    "Most Collected": lambda image: (-image.likes, -image.id),
    "Newest": lambda image: (-millis(image.created), -image.id),
    "Oldest": lambda image: (millis(image.created), image.id),
}
