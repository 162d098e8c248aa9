"""Galleries: what is done with the pictures that people have posted to a version, and with its showcase's posts."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..util.errors import Sentence
from .answers import is_by, number_at
from .catalogue import Catalogue, unless_refused
from .chronicle import write_page
from .ledger import Batch, Steps, Task
from .pages import post_facts
from .pictures import Pictures
from .schedule import Schedule
from .settings import IN_PLACE
from .shelf import Shelf
from .site import Site


class Galleries:
    """Visits the galleries of versions. All of it happens in the metadata pool, which has one worker."""

    def __init__(self, site: Site, catalogue: Catalogue, schedule: Schedule, pictures: Pictures) -> None:
        self._site, self._catalogue, self._schedule, self._pictures = site, catalogue, schedule, pictures

    def visit(self, batch: Batch, shelf: Shelf) -> Steps:
        """Bring a version's gallery; then the showcase pictures it did not have, and the posts these belong to."""
        settings, version, library = shelf.settings, shelf.version, batch.library
        showcase = {image.id for image in shelf.previews()}
        listed: dict[int, dict[str, Any]] = {}

        def note(item: dict[str, Any]) -> None:
            """Remember which showcase pictures the gallery has."""
            if number_at(item, "id") in showcase:
                listed[number_at(item, "id")] = item

        if settings.gallery and settings.max_images != 0:
            query = {"modelVersionId": version.id, "browsingLevel": settings.level}
            album = shelf.album(self._site.images(query, settings.max_images))
            yield from self._pictures.bring_album(batch, album, note)
        album = shelf.album()
        for image in shelf.previews():
            if image.id not in listed and library.lacks_prompt(image.id, album.prompt_path(image.id, library)):
                self._pictures.write_prompt(batch, album, image)
        if settings.layout == IN_PLACE and settings.gallery:
            self._pictures.ask_prompts(batch, album, shelf.previews())
        self._submit_posts(batch, shelf, [listed[image.id] for image in shelf.previews() if image.id in listed])

    def _submit_posts(self, batch: Batch, shelf: Shelf, shown: list[dict[str, Any]]) -> None:
        """Ask for the posts of the creator which the showcase of a version consists of."""
        for post_id in dict.fromkeys(number_at(item, "postId") for item in shown if is_by(item, shelf.model.creator)):
            order = [number_at(item, "id") for item in shown if number_at(item, "postId") == post_id]
            path = batch.library.place(shelf.folder, f"post-{post_id}.json")
            if post_id and (shelf.settings.refresh or not batch.library.at(path).is_file()):
                self._schedule.submit(Task(batch, partial(self._write_post, batch, path, post_id, order)))

    def _write_post(self, batch: Batch, path: str, post_id: int, images: list[int]) -> None:
        """Write `post-<id>.json` beside a version whose showcase is a post of its creator."""
        with unless_refused(Sentence("the text of post {post}", post=post_id)):
            post = self._catalogue.post(post_id)
            facts = post_facts(post, post_id, self._site.page_url(f"/posts/{post_id}"), images)
            write_page(batch.library, path, f"post/{post_id}", facts, "images", seen=(bool(post), False))
