"""The gallery: `index.html` and `.page/` of an output folder; what has changed is decided, read and written."""

from __future__ import annotations

import hashlib
import html
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..util.clock import Clock
from ..util.errors import Failure, UsageError
from ..util.files import is_link, size_of, write_file
from ..util.names import shown_path
from ..util.text import utf8
from .answers import number_at, text_at
from .cards import collection_row, post_row
from .chunks import Damaged, damage, read_data_file
from .columns import Row, script
from .data import page_files, read_data
from .finds import Contents, Ids, Place, model_row, picture_row, places_of, posts_beside, recorded_places, walk, within
from .homes import id_in
from .libraries import Libraries
from .library import Library
from .news import News, read_news, stamp
from .ours import check_mark, logs_in
from .pages import read_prompt
from .records import leads_out
from .settings import Settings
from .stock import Marks, Stock, marks_of, read_state
from .thumbs import PAGE_FOLDER, Thumbs

log = logging.getLogger(__name__)

_SLOT = re.compile(r"\{\{(page|library)\}\}")
_SCRIPTS = re.compile(r"[0-9a-f]{8}")


# --- What is decided -------------------------------------------------------------------------------


def renew_page(library: Library, *, walked: bool) -> bool:
    """Bring the page of a folder up to date, and return whether it is another one than before.

    Where the page knows how much of the state log it shows, only what came after that is read; otherwise, and if
    `walked`, the folder is walked. Raises Failure, for an `index.html` that is somebody else's as well.
    """
    check_mark(library.root / "index.html")
    for name in ("data", "thumbs"):
        library.check_links(f"{PAGE_FOLDER}/{name}")
    marks = marks_of(logs_in(library.root))
    is_new = None if walked else _with_news(library, marks)
    if is_new is None:
        stock = Stock.empty(_data(library), library.disk)
        _put_everything(library, stock)
        is_new = _saved(library, stock, marks)
    return _write_index(library) or is_new


def shown_on(library: Library) -> tuple[int, int]:
    """Return how many pictures and models the page shows. Raises Damaged."""
    totals = read_data_file(_data(library), "manifest").get("totals")
    return number_at(totals, "pictures"), number_at(totals, "models")


def _data(library: Library) -> Path:
    return library.root / PAGE_FOLDER / "data"


def _with_news(library: Library, marks: Marks) -> bool | None:
    """Add what is new since the page was written, and return whether that changes it; None if it has to be walked."""
    state = read_state(_data(library))
    news = read_news(library, state) if state is not None else None
    if state is None or news is None:
        return None
    with suppress(Damaged), damage():
        if news:
            stock = Stock.read(_data(library), state, library.disk)
            _put_news(library, stock, news)
            if stock.is_changed:
                return _saved(library, stock, marks)
        state.go_on(marks, _data(library), library.disk)
        return False
    return None


def _saved(library: Library, stock: Stock, marks: Marks) -> bool:
    stock.state.log = marks
    return stock.save(library.library_id, library.disk)


# --- The page of a run, and the page alone ---------------------------------------------------------


def finish_page(library: Library, settings: Settings) -> bool:
    """Bring the page up to date at the end of a run, and say where it is when there was none; copies leave it alone.

    Return whether that could be done; an `index.html` of somebody else is told and stays.
    """
    if settings.page is False or settings.share is not None or library.disk.trouble is not None:
        return True
    path = library.folder / "index.html"
    is_first = size_of(library.root / path.name) is None
    try:
        if renew_page(library, walked=bool(settings.page)) and is_first and any(shown_on(library)):
            log.info("To see what is there, open %s.", shown_path(path))
    except Failure as failure:
        is_taken = failure.reason == "taken"
        log.log(logging.WARNING if is_taken else logging.ERROR, "%s", failure)
        return is_taken
    return True


def asks_for_page_alone(settings: Settings, given: Mapping[str, Any]) -> bool:
    """Return whether a command asks for nothing but the page of folders."""
    asks_for_more = settings.dry_run or settings.compares or {"models", "users", "retry_failed"} & {*given}
    return bool(settings.page) and not asks_for_more and all(map(os.path.isdir, given.get("inputs", ())))


def make_pages(folders: Iterable[Path], settings: Settings, clock: Clock) -> None:
    """Make the pages of folders by what lies in them, and say what they show. Raises Failure, UsageError."""
    libraries = Libraries(clock, wait=log.info if settings.wait else None, read_only=False)
    for folder in folders:
        if not folder.is_dir():
            raise UsageError("There is no folder {folder}; name it with -o, or as an INPUT.", folder=shown_path(folder))
        library = libraries.open(folder)
        try:
            for problem in library.problems:
                log.warning("%s", problem)
            renew_page(library, walked=True)
            path = shown_path(library.folder / "index.html")
            log.info("%s shows %d pictures and %d models.", path, *shown_on(library))
        finally:
            library.close()


# --- Rows ------------------------------------------------------------------------------------------


def _put_everything(library: Library, stock: Stock) -> None:
    """Put in what a walk through the folder finds; of two pages about one thing the one written last counts."""
    found = walk(library.root)
    _put_pictures(library, stock, found.pictures.items())
    _put_models(library, stock, sorted(found.models, key=partial(stamp, library)), partial(_first_place, found))
    _put_posts(library, stock, found.posts)
    _put_collections(library, stock, found.collections)


def _first_place(found: Contents, image_id: int) -> str:
    """Return the path of a picture that was found, or ""."""
    places = found.pictures.get(image_id)
    return _path(image_id, min(places)) if places else ""


def _path(image_id: int, place: Place) -> str:
    return within(place[0], f"{image_id}{place[1]}")


def _put_news(library: Library, stock: Stock, news: News) -> None:
    places: dict[int, list[Place]] = {}
    for image_id, paths in news.pictures.items():
        is_known = not paths or stock.series["pictures"].place(image_id) is not None
        found = recorded_places(library, image_id) if is_known else places_of(library, image_id, paths)
        if found:
            places[image_id] = found
        elif found is not None:
            stock.drop("pictures", image_id)
    _put_pictures(library, stock, places.items())
    _put_models(library, stock, sorted(news.models), partial(_recorded_path, library))
    beside = (post for page in news.models for post in posts_beside(library, page))
    _put_posts(library, stock, {*news.posts, *beside})
    _put_collections(library, stock, news.collections)


def _recorded_path(library: Library, image_id: int) -> str:
    """Return the path of a picture by the log, or ""."""
    places = recorded_places(library, image_id)
    return _path(image_id, min(places)) if places else ""


def _put_pictures(library: Library, stock: Stock, found: Iterable[tuple[int, list[Place]]]) -> None:
    """Put in pictures, those of a folder together: they share much of what a chunk tells once."""
    thumbs = Thumbs(library.root)
    order = sorted(found, key=lambda each: (min(each[1]), each[0]))
    rows = (picture_row(library, each, places, stock.things, thumbs.of(each)) for each, places in order)
    stock.put("pictures", rows)


def _put_models(library: Library, stock: Stock, paths: Iterable[str], shown: Callable[[int], str]) -> None:
    """Put in models by the paths of their `model.json`; a model whose page is gone counts no more."""
    local = _local_files(library)
    paths_of = {path: model_id for model_id, (path, _, _, _) in stock.state.models.items()}
    seen = set[int]()

    def rows() -> Iterator[Row]:
        """Yield the row of every model once."""
        for path in {id_in(path.split("/")[-2]) or path: path for path in paths if "/" in path}.values():
            row = model_row(library, path, local, shown)
            if row is None and path in paths_of:
                stock.drop("models", paths_of[path])
                del stock.state.models[paths_of[path]]
            if row is not None and row["id"] not in seen:
                seen.add(row["id"])
                versions = [version[0] for version in row["versions"]]
                stock.state.models[row["id"]] = (path, *stamp(library, path), versions)
                yield row

    stock.put("models", rows())


def _local_files(library: Library) -> dict[Ids, str]:
    """Return the paths of files that were in the folder before the program came, by version and file id."""
    good = (line for line in library.lines("local") if text_at(line, "status") == "success")
    paths = {(number_at(line, "version"), number_at(line, "file")): text_at(line, "path") for line in good}
    return {key: path for key, path in paths.items() if not leads_out(path)}


def _put_posts(library: Library, stock: Stock, paths: Iterable[str]) -> None:
    """Put in posts; what lies in a post's own folder tells more than what lies beside a version."""
    rows = (
        post_row(read_prompt(library.at(path))) for path in sorted(paths, key=lambda path: path.startswith("posts/"))
    )
    stock.put("posts", {row["id"]: row for row in rows if row["id"] > 0}.values())


def _put_collections(library: Library, stock: Stock, paths: Iterable[str]) -> None:
    rows = (collection_row(read_prompt(library.at(path))) for path in sorted(paths))
    stock.put("collections", {row["id"]: row for row in rows if row["id"] > 0}.values())


# --- Scripts and the index -------------------------------------------------------------------------


def _write_index(library: Library) -> bool:
    """Write scripts and styles, then `index.html`, then remove those of before; return whether that is another one."""
    files = {**page_files(), "words.data.js": utf8(script("words", read_data("page.json")))}
    template = files.pop("index.html").decode("utf-8")
    digest = hashlib.sha256(b"".join(utf8(name) + b"\0" + data for name, data in sorted(files.items()))).hexdigest()[:8]
    values = {"page": f"{PAGE_FOLDER}/{digest}", "library": library.library_id}
    index = utf8(_SLOT.sub(lambda slot: html.escape(values[slot[1]]), template))
    folder = library.root / PAGE_FOLDER / digest
    library.check_links(f"{PAGE_FOLDER}/{digest}")
    for name, data in files.items():
        write_file(folder / name, data, library.disk)
    is_new = write_file(library.root / "index.html", index, library.disk)
    for path in (library.root / PAGE_FOLDER).iterdir():
        if _SCRIPTS.fullmatch(path.name) and path != folder and not is_link(path):
            shutil.rmtree(path, ignore_errors=True)
    return is_new
