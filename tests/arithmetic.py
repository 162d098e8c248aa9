"""How long a large archive takes, by the paces in the code: `python -m tests.arithmetic` prints the docs' table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from civitai_downloader.core.settings import Settings
from civitai_downloader.core.site import BATCH

#: What the docs assume of a model, and of the line of a machine.
VERSIONS, FILE, PICTURES, PICTURE, SILENT = 2, 150e6, 30, 1e6, 6
LINE = 50e6
#: How many models one request asks for.
TOGETHER = 100
PLAIN = Settings()


@dataclass(frozen=True)
class Archive:
    """An archive of so many models, brought home by so many copies, each of them on a machine with a line of its own.

    A version has one file, and `PICTURES` in its gallery, of which `SILENT` have no prompt in the list.
    """

    models: int
    copies: int
    settings: Settings = PLAIN

    @property
    def model_requests(self) -> int:
        """How many requests ask for models: each copy asks for its own."""
        return self.copies * math.ceil(self.models / self.copies / TOGETHER)

    @property
    def picture_requests(self) -> int:
        """How many requests ask for lists of pictures, and how pictures were made."""
        return self.models * VERSIONS + math.ceil(self.models * VERSIONS * SILENT / BATCH)

    @property
    def paced(self) -> float:
        """The seconds that these take at the default paces, which all copies share."""
        models = self.model_requests / self.settings.max_rate_model
        return max(models, self.picture_requests / self.settings.max_rate_image)

    @property
    def size(self) -> float:
        """The bytes of all files and pictures."""
        return self.models * VERSIONS * (FILE + PICTURES * PICTURE)

    @property
    def transfers(self) -> int:
        """How many files and pictures there are."""
        return self.models * VERSIONS * (1 + PICTURES)

    @property
    def carried(self) -> float:
        """The seconds that the bytes take, each copy bringing its share."""
        return self.size / LINE / self.copies

    @property
    def row(self) -> str:
        """The row of the table."""
        requests = f"{self.model_requests:,} + {self.picture_requests:,}"
        slower = "the pace" if self.paced > self.carried else "the bytes"
        cells = (f"{self.models:,}", f"{self.copies}", requests, span(self.paced), span(self.carried), slower)
        return f"| {' | '.join(cells)} | {span(max(self.paced, self.carried))} |"


def span(seconds: float) -> str:
    """Return a time in hours, or in days from two days on."""
    return f"{seconds / 86400:.1f} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.1f} h"


def table() -> Iterator[str]:
    """Yield the rows of the table."""
    for models in (10_000, 100_000):
        for copies in (1, 8, 64):
            yield Archive(models, copies).row


if __name__ == "__main__":
    print(*table(), sep="\n")
