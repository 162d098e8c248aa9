"""Updates: a library is compared with the site, and what is newer is told, listed in `updates.txt`, and fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from ..util.errors import Failure, Sentence
from ..util.files import disk_errors, size_of, write_file
from ..util.text import printable, scrub, text_lines, utf8
from .answers import Model, number_at, read_model, text_at
from .chronicle import recall, recall_gone
from .holdings import Holding, Holdings, holdings_of
from .ledger import Batch, Steps, Task
from .library import Library
from .newer import Edition, ModelNews, compare, newest_of_each_base, split
from .ours import UPDATES_MARK, check_mark
from .settings import IN_PLACE
from .site import Site
from .targets import Entry, Target
from .visits import Visits
from .which import is_excluded, why_unwanted

AT_ONCE = 100  # models that the site tells of in one request
MOST_REFUSALS = 3  # in a row, after which nothing more is asked
T = TypeVar("T")


@dataclass
class Report:
    """What comparing a library has told: rows, and the models of which nothing could be told.

    `is_whole` says that nothing was left out, as by Ctrl-C.
    """

    news: list[ModelNews] = field(default_factory=list)
    unasked: set[int] = field(default_factory=set)
    is_whole: bool = False

    @property
    def editions(self) -> Iterator[tuple[ModelNews, Edition]]:
        """What is newer and can be had."""
        return ((each, edition) for each in self.news if each.standing == "newer" for edition in each.editions)


class Updates:
    """Compares libraries with the site, in the metadata pool. `reports` are by the target that asked for it."""

    def __init__(self, site: Site, visits: Visits) -> None:
        self._site, self._visits = site, visits
        self._schedule = visits.deliveries.schedule
        self.reports: dict[Batch, Report] = {}

    def visit(self, batch: Batch) -> Steps:
        """Compare the library of a target with the site; with --update, fetch what is newer."""
        settings, report = batch.entry.settings, Report()
        self.reports[batch] = report
        stock = holdings_of(batch.library)
        yield
        yield from self._name_strays(batch, stock, report)
        ids = [each for each in sorted(stock.models) if not is_excluded(Target("model", each), settings)]
        there, absent, refused = set[int](), list[int](), 0
        for at in range(0, len(ids), AT_ONCE):
            yield
            some = ids[at : at + AT_ONCE]
            ask = partial(self._site.models_by_id, some)
            answers = self._answer(batch, ask, f"{len(some)} models") if refused < MOST_REFUSALS else []
            refused = 0 if answers else refused + 1
            report.unasked |= set() if answers else {*some}
            for found in answers:
                models = [*map(read_model, found)]
                for model in models:
                    report.news += self._told(batch, stock, model)
                there |= {each.id for each in models}
                absent += sorted({*some} - there)
        yield from self._find(batch, stock, absent, sorted(there)[:1], report)
        self._withhold(report)
        report.is_whole = True
        batch.note = summary_of(report, len(stock.models))
        for news, edition in report.editions if settings.update and not settings.dry_run else ():
            self._schedule.submit(self._fetching(batch, stock.models[news.model], news, edition))

    # --- Asked ---

    def _answer(self, batch: Batch, ask: Callable[[], T], name: str) -> list[T]:
        """Return the answer to a question, or nothing if there was none, which is a failure then."""
        answers: list[T] = []
        self._schedule.do(Task(batch, lambda: answers.append(ask()), printable(name)))
        return answers

    def _name_strays(self, batch: Batch, stock: Holdings, report: Report) -> Steps:
        """Ask one by one which models those versions belong to of which neither the log nor a page tells it."""
        refused = 0
        for version, paths in stock.strays.items():
            yield
            if refused >= MOST_REFUSALS:
                return
            answers = self._answer(batch, partial(self._model_of, version), paths[0])
            refused = 0 if answers else refused + 1
            for model, edition in answers:
                if not model:
                    report.news.append(ModelNews("gone", 0, paths[0].rpartition("/")[2], (edition,)))
                    continue
                holding = stock.models.setdefault(model, Holding())
                holding.editions[version], holding.paths[version] = edition, paths

    def _model_of(self, version: int) -> tuple[int, Edition]:
        """Return the model of a version, 0 if the site no longer has it. Raises Failure."""
        try:
            answer = self._site.version(version)
        except Failure as failure:
            if failure.reason != "gone":
                raise
            return 0, Edition(version)
        base, day = text_at(answer, "baseModel"), text_at(answer, "publishedAt")
        return number_at(answer, "modelId"), Edition(version, text_at(answer, "name"), base, day, apart=True)

    def _find(
        self, batch: Batch, stock: Holdings, absent: Sequence[int], there: Sequence[int], report: Report
    ) -> Steps:
        """Ask for models that the lists leave out: together whether they are gone, and for the others one by one.

        `there` is a model that is known to be there.
        """
        is_told = {each: self._is_known_gone(batch, stock.models[each]) for each in absent}
        gone, refused = {each for each in absent if is_told[each]}, 0
        open_ones = [each for each in absent if each not in gone]
        gone |= self._gone_of(open_ones, there) if len(open_ones) > 1 else set()
        for number in absent:
            holding = stock.models[number]
            if number not in gone:
                yield
                ask = partial(self._alone, number)
                found = self._answer(batch, ask, holding.name) if refused < MOST_REFUSALS else []
                refused = 0 if found else refused + 1
                report.unasked |= set() if found else {number}
                for model in found:
                    report.news += [] if model is None else self._told(batch, stock, model)
                gone |= {number} if None in found else set()
            if number in gone:
                report.news.append(
                    ModelNews("gone", number, holding.name, newest_of_each_base(holding.editions.values()))
                )
                self._renew(batch, holding, number, None)

    def _gone_of(self, numbers: Sequence[int], there: Sequence[int]) -> set[int]:
        """Return those models that the inner interface calls unknown or not public, twenty in a request.

        It is believed only if it knows a model that is there: one that has changed may call everything unknown.
        """
        asked = [*there, *numbers]
        answers = dict(
            zip(asked, self._site.trpc_batch("model.getById", [{"id": each} for each in asked]), strict=True)
        )
        if not there or any(isinstance(answers[each], Failure) or _is_gone(answers[each], each) for each in there):
            return set()
        return {number for number in numbers if _is_gone(answers[number], number)}

    def _withhold(self, report: Report) -> None:
        """Put aside what is reserved for the site's own generator; one request tells it of the hundred newest ones."""
        editions = sorted((each for _, each in report.editions if each.sha256), key=lambda each: each.age)[-AT_ONCE:]
        with suppress(Failure):
            usage = self._site.usage_of([each.sha256.upper() for each in editions]) if editions else {}
            reserved = {each.id for each in editions if usage.get(each.id, "Download") != "Download"}
            report.news = [*chain.from_iterable(split(each, reserved) for each in report.news)]

    def _is_known_gone(self, batch: Batch, holding: Holding) -> bool:
        """Return whether the site said once that it no longer has a model; what comes back is in its lists again."""
        return bool(holding.since) and not batch.entry.settings.refresh

    def _alone(self, number: int) -> Model | None:
        """Return a model that is asked for alone, None if the site no longer has it. Raises Failure."""
        try:
            return read_model(self._site.model(number))
        except Failure as failure:
            if failure.reason != "gone":
                raise
            return None

    def _told(self, batch: Batch, stock: Holdings, model: Model) -> list[ModelNews]:
        """Return what is to be told of a model that the site has."""
        settings, holding = batch.entry.settings, stock.models[model.id]
        if why_unwanted(model, Target("model", model.id), settings):
            return []
        news = compare(model, holding.editions, stock.hashes, stock.waits, settings)
        is_lost = any(not edition.since for each in news if each.standing == "withdrawn" for edition in each.editions)
        if holding.since or is_lost or not {each.id for each in model.versions} <= holding.named:
            self._renew(batch, holding, model.id, model)
        return news

    # --- Written and fetched ---

    def _renew(self, batch: Batch, holding: Holding, number: int, model: Model | None) -> None:
        """Write the pages of a model anew, in which something is new, gone or back; with None the model is gone."""
        is_told = model is None and bool(holding.since)
        if not holding.folder or is_told or not batch.library.is_writable:
            return
        entry = replace(batch.entry, target=Target("model", number))
        child = self._visits.open(entry, "listing", printable(f"{holding.name} [{number}]"))
        self._schedule.submit(replace(child, action=partial(self._write, child.batch, holding, number, model)))

    def _write(self, batch: Batch, holding: Holding, number: int, model: Model | None) -> None:
        """Write the pages of a model. Raises Failure."""
        folder, library = tuple(holding.folder.split("/")), batch.library
        memory = recall_gone(library, folder, number) if model is None else recall(library, folder, model)
        if memory is not None:
            self._visits.write_pages(batch, folder, memory)

    def _fetching(self, batch: Batch, holding: Holding, news: ModelNews, edition: Edition) -> Task:
        """Return the task that fetches a version into the library."""
        settings = replace(batch.entry.settings.whole, base_models=(), every_base=False, latest=False)
        settings = replace(settings, updates=False, update=False)
        source = self.link(news.model, edition.id)
        if settings.layout == IN_PLACE:
            settings = replace(settings, beside=_beside(batch.library, holding, edition))
            source = batch.entry.source
        target = Target("model", news.model, edition.id)
        name = printable(f"{news.name} [{news.model}]")
        return self._visits.open(Entry(target, settings, source), "listing", name)

    def link(self, model: int, version: int) -> str:
        """Return the link to a version."""
        return self._site.page_url(f"/models/{model}?modelVersionId={version}")

    def report_on(self, library: Library) -> Report | None:
        """Return what comparing a library has told, None if that was not asked for or is not whole."""
        found = (report for batch, report in self.reports.items() if batch.library is library and report.is_whole)
        return next(found, None)


def _is_gone(answer: Mapping[str, Any] | Failure, number: int) -> bool:
    """Return whether an answer of the inner interface about a model is a clean one, and says that it is gone."""
    if isinstance(answer, Failure):
        return answer.reason == "gone"
    return number_at(answer, "id") == number and text_at(answer, "status") not in ("", "Published")


def _beside(library: Library, holding: Holding, edition: Edition) -> str:
    """Return the file beside which a version is put: the newest one of its model, of the same base model if possible.

    One that lies behind a link that leads out of the library doesn't count; "" if there is none.
    """
    there = sorted(holding.editions.values(), key=lambda each: (each.base_model == edition.base_model, each.age))
    paths = (path for each in reversed(there) for path in holding.paths[each.id])
    return next((path for path in paths if library.is_within(path)), "")


def summary_of(report: Report, models: int) -> Sentence:
    """Return how many newer versions there are."""
    editions = [*report.editions]
    values = {
        "models": models,
        "newer": len(editions),
        "some": len({news.model for news, _ in editions}),
        "awaited": sum(each.standing == "awaited" for each in report.news),
        "others": sum(each.others for each in report.news),
    }
    template = (
        "{models} models compared: {newer} newer versions of {some} models, {awaited} in early access, "
        "{others} more for other base models."
    )
    return Sentence(template, **{key: f"{count:,}" for key, count in values.items()})


# --- updates.txt ------------------------------------------------------------------------------------


def write_updates(library: Library, updates: Updates, report: Report) -> None:
    """Write `updates.txt`: a link for each version that is newer and not here yet; it is removed if there is none.

    What an earlier one says of models that could not be asked for stays. Raises Failure for a file of somebody else.
    """
    path = library.root / "updates.txt"
    check_mark(path)
    lines = [*_lines_kept(library, report.unasked)]
    lines += [_line(updates, news, edition) for news, edition in report.editions if not _is_here(library, edition)]
    if lines:
        write_file(path, utf8("\n".join([UPDATES_MARK, *lines, ""])), library.disk)
        return
    with disk_errors(path):
        path.unlink(missing_ok=True)


def _line(updates: Updates, news: ModelNews, edition: Edition) -> str:
    words = printable(scrub(f"{news.name} {told(edition)}"))
    return f"{updates.link(news.model, edition.id)}  # {words}"


def told(edition: Edition) -> str:
    """Return a version for people: its name, base model and day."""
    facts = ", ".join(filter(None, (edition.base_model, edition.published[:10])))
    return f"{edition.name or edition.id} ({facts})" if facts else edition.name or str(edition.id)


def _is_here(library: Library, edition: Edition) -> bool:
    """Return whether a file of a version has come, or is on its way, since the library was looked at."""
    records = (library.recorded(("model", f"{edition.id}/{file}")) for file in edition.files)
    return any(record is not None and record.status in ("success", "queued") for record in records)


def _lines_kept(library: Library, models: Collection[int]) -> Iterator[str]:
    """Yield the lines of an earlier `updates.txt` about some models."""
    path = library.root / "updates.txt"
    with suppress(OSError):
        for line in text_lines(path.read_bytes()) if models and size_of(path) else ():
            found = re.search(r"/models/([0-9]{1,18})\?modelVersionId=", line)
            if found and int(found[1]) in models:
                yield line
