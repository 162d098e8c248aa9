"""The bulletin: how it is shown what is newer on the site than on disk, a row for each model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..util.files import free_space
from ..util.text import printable, scrub
from .newer import Edition, ModelNews
from .plan import Form
from .run import Run
from .updates import told
from .words import Words, say_plan

_STANDINGS = {
    "newer": "newer", "reserved": "generator only", "archived": "archived", "taken-down": "taken down", "gone": "gone",
    "withdrawn": "gone", "others": "other base models",
}  # fmt: skip


def tell_news(run: Run, form: Form, words: Words, show: Callable[[str], object]) -> None:
    """Show what comparing the libraries of a run has told; of a dry run, also how much there would be to fetch."""
    for row in news_rows(run, form, words):
        show(row)
    if run.settings.dry_run:
        editions = (edition for report in run.updates.reports.values() for _, edition in report.editions)
        say_plan(words, sum(each.size for each in editions), free_space(run.settings.output))


def news_rows(run: Run, form: Form, words: Words) -> Iterator[str]:
    """Yield what comparing the libraries of a run has told as lines: JSON, tab-separated, or those of a table."""
    rows = [(news, run.updates.link) for report in run.updates.reports.values() for news in report.news]
    if form == "json":
        yield from (json.dumps(_as_json(news, link), ensure_ascii=False) for news, link in rows)
        return
    cells = [_cells(news, words) for news, _ in rows]
    if form == "tabs":
        yield from ("\t".join(each) for each in cells)
        return
    heading = [words(key) for key in ("Model", "Status", "On disk", "Newer", "More", "Name")]
    widths = [min(40, max(len(row[at]) for row in (heading, *cells))) for at in range(5)]
    yield from (_line(row, widths) for row in (heading, *cells))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return "  ".join([*padded, cells[-1]]).rstrip()


def _cells(news: ModelNews, words: Words) -> list[str]:
    """Return a row as text: id, standing, what is on disk, what the row is about, further versions, and the name."""
    more = words("{count} more for other base models", count=news.others) if news.others else ""
    values = (str(news.model), _standing(news, words), _listed(news.have), _listed(news.editions), more, news.name)
    return [printable(scrub(each)) for each in values]


def _standing(news: ModelNews, words: Words) -> str:
    if news.standing != "awaited":
        return words(_STANDINGS[news.standing])
    until = news.editions[0].until
    key = "early access, to be bought" if until == "always" else "early access until {date}"
    return words(key, date=until[:10])


def _listed(editions: Iterable[Edition]) -> str:
    return "; ".join(map(told, editions))


def _as_json(news: ModelNews, link: Any) -> dict[str, Any]:
    """Return a row for programs; its words are the same in every language."""
    editions = [_edition(each, link(news.model, each.id)) for each in news.editions]
    return {
        "model": news.model, "name": news.name, "status": news.standing,
        "have": [_edition(each) for each in news.have], "newer": editions, "others": news.others,
    }  # fmt: skip


def _edition(edition: Edition, link: str = "") -> dict[str, Any]:
    until = {"until": edition.until} if edition.until else {}
    facts = {"version": edition.id, "name": edition.name, "base_model": edition.base_model, "date": edition.published}
    return {**facts, **until, **({"link": link} if link else {})}
