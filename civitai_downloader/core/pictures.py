"""What is done with pictures: each is fetched with its prompt, and what a list does not tell is asked for later."""

from __future__ import annotations

import logging
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..util.errors import Failure
from ..util.files import write_json
from ..util.text import scrub_json
from .answers import Image, flat_meta, number_at, objects_at, read_image
from .arrivals import put_broken_aside
from .catalogue import REFUSALS, raise_first, until_fault
from .choice import versions_used
from .deliveries import Deliveries
from .ledger import Batch, Steps, Task
from .library import Library
from .owned import check_about, own_place, write_about
from .pages import gained, image_facts, keep_known, read_prompt, with_generation
from .prompts import Filters
from .records import Record
from .shelf import Album
from .site import BATCH, Site
from .which import is_hidden

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Silent:
    """The pictures of an album of which no list told how they were made; those before `next` have been asked for."""

    batch: Batch
    album: Album
    ids: array[int] = field(default_factory=lambda: array("q"))
    next: int = 0

    @property
    def is_done(self) -> bool:
        """Whether all of them have been asked for."""
        return self.next == len(self.ids)


class Pictures:
    """Brings albums home. Pictures come from the metadata pool alone, which has one worker."""

    MOST_REFUSALS = 3

    def __init__(self, site: Site, filters: Filters, deliveries: Deliveries) -> None:
        self._site, self._filters, self._deliveries, self._schedule = site, filters, deliveries, deliveries.schedule
        self._refusals = 0
        self._silent: deque[Silent] = deque()

    def bring_album(
        self, batch: Batch, album: Album, note: Callable[[dict[str, Any]], object] = lambda item: None
    ) -> Steps:
        """Fetch every picture of an album with its prompt, page by page; `note` is called with each.

        What is wrong with its list becomes a result, so that what follows the album is done as well.
        """
        silent, faults = Silent(batch, album), list[Failure]()
        for page in until_fault(iter(album.pages), faults):
            for item in page:
                self._bring_alone(batch, album, item, silent)
                note(item)
            yield
        self._schedule.do(Task(batch, partial(raise_first, faults)))

    def _bring_alone(self, batch: Batch, album: Album, item: Mapping[str, Any], silent: Silent) -> None:
        """Bring one picture. What is wrong with it is its own result, unless the disk takes nothing more."""
        try:
            self._bring_picture(batch, album, item, silent)
        except Exception as error:
            if isinstance(error, Failure) and error.reason.startswith("disk"):
                raise
            name = f"{album.name}: picture {number_at(item, 'id')}"
            self._schedule.do(Task(batch, partial(raise_first, [error]), name))

    def _bring_picture(self, batch: Batch, album: Album, item: Mapping[str, Any], silent: Silent) -> None:
        """Bring one picture: its prompt, its bytes, what it was made with, and later what its list does not say."""
        image, settings = read_image(item), batch.entry.settings
        if image is None:
            log.warning("%s: a picture without a usable link was left out.", album.name)
            return
        if not settings.wants_level(image.level) or is_hidden(item, settings):
            return
        path = album.prompt_path(image.id, batch.library)
        if settings.refresh or settings.force or batch.library.lacks_prompt(image.id, path):
            self._schedule.do(
                Task(batch, partial(self.write_prompt, batch, album, image), f"{album.name}: {image.id}.txt")
            )
        else:
            self._schedule.do(
                Task(batch, partial(_keep_prompt, batch.library, path, image), f"{album.name}: {image.id}.txt")
            )
        if settings.wants_images:
            self._deliveries.order(batch, album.wanted(image, batch.library, batch.entry.source))
            self._deliveries.order_thumb(batch, image)
        is_explained = flat_meta(item.get("meta")) is not None and not settings.full_metadata
        if not is_explained and not batch.library.succeeded(("meta", str(image.id))):
            self._ask_later(silent, image.id)
        if album.bring_resources is not None:
            facts = read_prompt(batch.library.at(path))
            album.bring_resources(versions_used(facts, checkpoints=settings.checkpoints))

    def write_prompt(self, batch: Batch, album: Album, image: Image) -> None:
        """Write a picture's `.txt` by what its list tells; what is on disk and hidden now is kept."""
        place = album.prompt_path(image.id, batch.library)
        put_broken_aside(batch.library, ("meta", str(image.id)), place, place)
        path = own_place(batch.library, place, image.id)
        page = self._site.page_url(f"/images/{image.id}", image.level)
        facts = scrub_json(image_facts(image, page, self._filters))
        old = read_prompt(path)
        known = keep_known(facts, old if number_at(old, "id") == image.id else {})
        write_json(path, known, batch.library.disk)
        batch.library.note_prompt(("image", str(image.id)), place)

    # --- How a picture was made ---

    def ask_prompts(self, batch: Batch, album: Album, images: Iterable[Image]) -> None:
        """Ask how pictures of a showcase were made, of which no list has told it, when nothing is left to be listed."""
        silent = Silent(batch, album)
        for image in images:
            is_known = flat_meta(image.raw.get("meta")) is not None or batch.library.succeeded(("meta", str(image.id)))
            if not is_known:
                self._ask_later(silent, image.id)

    def _ask_later(self, album: Silent, image_id: int) -> None:
        """Ask how a picture was made when nothing is left to be listed."""
        if not album.ids:
            self._silent.append(album)
            self._schedule.submit(Task(album.batch, partial(self._ask_generation, album), late=True))
        album.ids.append(image_id)

    def _ask_generation(self, album: Silent) -> Steps:
        """Ask how the pictures of an album were made, 20 at a time; the next albums fill up the last request.

        After three refusals in a row nothing more is asked in this run.
        """
        while not album.is_done and self._refusals < self.MOST_REFUSALS:
            group = self._next_group()
            answers = self._site.trpc_batch("image.getGenerationData", [{"id": image_id} for _, image_id in group])
            for silent, image_id in group:
                if self._refusals < self.MOST_REFUSALS:
                    keep = partial(self._keep_generation, silent, image_id, next(answers))
                    self._schedule.do(Task(silent.batch, keep, f"{silent.album.name}: picture {image_id}"))
            yield

    def _next_group(self) -> list[tuple[Silent, int]]:
        """Take the pictures for one request from the albums that wait."""
        group: list[tuple[Silent, int]] = []
        while self._silent and len(group) < BATCH:
            silent = self._silent[0]
            ids = silent.ids[silent.next : silent.next + BATCH - len(group)]
            group += [(silent, image_id) for image_id in ids]
            silent.next += len(ids)
            if silent.is_done:
                self._silent.popleft()
        return group

    def _keep_generation(self, silent: Silent, image_id: int, answer: dict[str, Any] | Failure) -> None:
        """Write what the site told of a picture into its `.txt`. Raises Failure if it told nothing."""
        batch, album, key = silent.batch, silent.album, ("meta", str(image_id))
        library, path = batch.library, album.prompt_path(image_id, batch.library)
        if isinstance(answer, Failure):
            self._count_refusal(answer)
            if answer.reason != "gone":
                library.record(key, Record("failed", path), source=batch.entry.source, reason=str(answer))
                raise answer
            answer = {}
        if {number_at(each, "imageId") for each in objects_at(answer, "resources")} - {0, image_id}:
            sentence = "The site answered about another picture than {id}, so it was ignored; try again later."
            raise Failure("answer", sentence, id=image_id)
        self._refusals = 0
        facts = with_generation(read_prompt(own_place(library, path, image_id)), answer, self._filters)
        write_about(library, path, image_id, facts)
        library.record(key, Record("success", path), source=batch.entry.source)
        if album.bring_resources is not None:
            album.bring_resources(versions_used(facts, checkpoints=batch.entry.settings.checkpoints))

    def _count_refusal(self, failure: Failure) -> None:
        if failure.reason in REFUSALS:
            self._refusals += 1
            if self._refusals == self.MOST_REFUSALS:
                log.warning("The site doesn't say how pictures were made, so the next run asks again. (%s)", failure)


def _keep_prompt(library: Library, path: str, image: Image) -> None:
    """Add to a `.txt` that is there what its list tells of the picture itself. Raises Failure for somebody else's."""
    if not library.succeeded(("image", str(image.id))):
        check_about(library, path, image.id)
    old = read_prompt(library.at(path))
    if number_at(old, "id") == image.id and (facts := gained(image, old)):
        write_about(library, path, image.id, facts)
