"""What is done with pictures: each comes home with its prompt, and what a list does not tell is asked for later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..util.errors import Failure
from ..util.files import write_json
from ..util.text import scrub_json
from .answers import Image, flat_meta, read_image
from .catalogue import REFUSALS
from .choice import versions_used
from .deliveries import Deliveries
from .ledger import Batch, Steps, Task
from .library import Record
from .pages import image_facts, keep_known, read_prompt, with_generation
from .prompts import Filters
from .shelf import Album
from .site import Site

log = logging.getLogger(__name__)


class Pictures:
    """Brings albums home. Pictures come from the metadata pool alone, which has one worker."""

    MOST_REFUSALS = 3

    def __init__(self, site: Site, filters: Filters, deliveries: Deliveries) -> None:
        self._site, self._filters, self._deliveries, self._schedule = site, filters, deliveries, deliveries.schedule
        self._refusals = 0

    def bring_album(
        self, batch: Batch, album: Album, note: Callable[[dict[str, Any]], object] = lambda item: None
    ) -> Steps:
        """Bring home every picture of an album with its prompt, page by page; `note` is called with each."""
        for page in album.pages:
            for item in page:
                self._bring_picture(batch, album, item)
                note(item)
            yield

    def _bring_picture(self, batch: Batch, album: Album, item: Mapping[str, Any]) -> None:
        """Bring one picture: its prompt, its bytes, what it was made with, and later what its list does not say."""
        image, settings = read_image(item), batch.entry.settings
        if image is None:
            log.warning("%s: a picture without a usable link was left out.", album.name)
            return
        if not settings.wants_level(image.level):
            return
        path = album.prompt_path(image.id, batch.library)
        if settings.refresh or settings.force or batch.library.size(path) is None:
            self.write_prompt(batch, album, image)
        if settings.wants_images:
            self._deliveries.order(batch, album.wanted(image, batch.library, batch.entry.source))
        is_explained = flat_meta(item.get("meta")) is not None and not settings.full_metadata
        if not is_explained and not batch.library.succeeded(("meta", str(image.id))):
            ask, name = partial(self._ask_generation, batch, album, image.id), f"{album.name}: picture {image.id}"
            self._schedule.submit(Task(batch, ask, name, late=True))
        if album.bring_resources is not None:
            facts = read_prompt(batch.library.at(path))
            album.bring_resources(versions_used(facts, checkpoints=settings.checkpoints))

    def write_prompt(self, batch: Batch, album: Album, image: Image) -> None:
        """Write a picture's `.txt` by what its list tells; what is on disk and hidden now is kept."""
        place = album.prompt_path(image.id, batch.library)
        batch.library.check_links(place)
        path = batch.library.at(place)
        page = self._site.page_url(f"/images/{image.id}", image.level)
        facts = scrub_json(image_facts(image, page, self._filters))
        write_json(path, keep_known(facts, read_prompt(path)))

    # --- How a picture was made ---

    def _ask_generation(self, batch: Batch, album: Album, image_id: int) -> None:
        """Ask how a picture was made; after three refusals in a row nothing more is asked in this run."""
        if self._refusals >= self.MOST_REFUSALS:
            return
        library, key = batch.library, ("meta", str(image_id))
        path = album.prompt_path(image_id, library)
        try:
            answer = self._site.trpc("image.getGenerationData", {"id": image_id}, keep=False)
        except Failure as failure:
            self._count_refusal(failure)
            if failure.reason != "gone":
                library.record(key, Record("failed", path), source=batch.entry.source, reason=str(failure))
                raise
            answer = {}
        self._refusals = 0
        facts = with_generation(read_prompt(library.at(path)), answer, self._filters)
        write_json(library.at(path), scrub_json(facts))
        library.record(key, Record("success", path), source=batch.entry.source)
        if album.bring_resources is not None:
            album.bring_resources(versions_used(facts, checkpoints=batch.entry.settings.checkpoints))

    def _count_refusal(self, failure: Failure) -> None:
        if failure.reason in REFUSALS:
            self._refusals += 1
            if self._refusals == self.MOST_REFUSALS:
                log.warning("The site does not tell how pictures were made: %s The next run asks again.", failure)
