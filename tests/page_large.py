"""A library of any size with prompts as people write them: `python -m tests.page_large FOLDER --pictures 100000`.

Its pictures are further names of a few files, so that 100,000 of them take little room and time.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from tests.page_library import MEDIA, Model, Picture, Shelf, Version, lora

WORDS = 76_000  # distinct ones
MODELS_FOR = 50  # pictures
LONGEST = 6_078  # characters of a prompt
BASES = ("Pony", "Illustrious", "SDXL 1.0", "SD 1.5", "Flux.1 D", "NoobAI")
KINDS = ("LORA",) * 7 + ("Checkpoint", "TextualInversion", "LoCon")
SAMPLERS = ("Euler a", "DPM++ 2M Karras", "DPM++ SDE", "Euler", "DDIM", "UniPC")
SIZES = ((832, 1216), (1216, 832), (1024, 1024), (768, 1344), (512, 768), (1536, 2048))
LEVELS = (1,) * 50 + (2,) * 20 + (4,) * 10 + (8,) * 12 + (16,) * 8
COMMON = (
    "masterpiece|best quality|absurdres|highres|1girl|solo|looking at viewer|smile|long hair|"
    "blue eyes|night|rain|city lights|paper lantern|dress|red dress|standing|outdoors|"
    "depth of field|bokeh|cinematic lighting|film grain|portrait|upper body|full body|forest|"
    "mist|sunset|ocean|cat|dragon|castle|armor|flowers|cherry blossoms|kimono|cyberpunk|"
    "watercolor (medium)|oil painting|photo|8k|detailed background|simple background|"
    "shallow depth of field|score_9|score_8_up|score_7_up|source_anime|rating_safe"
).split("|")
NEGATIVE = (
    "worst quality, low quality, lowres, bad anatomy, bad hands, text, watermark, signature, blurry, extra digits"
)
SYLLABLES = "ka ri to mel an dor vi su len ha mo shi ra be no ti gru el fa yo pin zu cor wa dis que nor ty".split()
BASE83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"


class Writer:
    """Writes prompts, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    @cached_property
    def _rare(self) -> list[str]:
        """Many words, of which the first are common and the last are seen once."""
        draw = random.Random(83)
        found = ("".join(draw.choices(SYLLABLES, k=draw.randint(2, 5))) for _ in range(WORDS * 3))
        return list(dict.fromkeys(found))[:WORDS]

    @cached_property
    def _weights(self) -> list[float]:
        return list(accumulate(1 / (rank + 8) for rank in range(len(self._rare))))

    def prompt(self) -> str:
        """Return a prompt of 330 characters on average; a few have thousands."""
        rnd = self._random
        size = int(min(LONGEST, max(20, rnd.lognormvariate(5.6, 0.62))))
        count = size // 11 + 1
        common, rare = rnd.choices(COMMON, k=count), rnd.choices(self._rare, cum_weights=self._weights, k=count)
        tags = [one if rnd.random() < 0.6 else f"{two} {one}" for one, two in zip(common, rare, strict=True)]
        for place in range(0, count, 9):
            tags[place] = f"({tags[place]}:{rnd.randint(8, 14) / 10})"
        return ", ".join(tags)[:size]

    def blurhash(self) -> str:
        """Return a BlurHash of 4 x 3 components."""
        return "U" + "".join(self._random.choices(BASE83, k=27))


def models(count: int) -> list[Model]:
    """Return so many models of two versions, of which one or both are here."""
    rnd, words = random.Random(7), Writer(7)
    found = []
    for number in range(count):
        day = f"{2023 + number % 4}-{number % 12 + 1:02}-{number % 28 + 1:02}T12:00:00.000Z"
        versions = tuple(
            Version(
                200_000 + 2 * number + part,
                f"v{2 - part}.0",
                rnd.choice(BASES),
                (words.prompt()[:24].strip(" ,("),),
                day,
                here=bool(part) or number % 3 > 0,
            )
            for part in (0, 1)
        )
        name = f"{words.prompt()[:28].strip(' ,(:')} {number}".title()
        tags = tuple(rnd.sample(COMMON, 4))
        found.append(
            Model(
                100_000 + number, name, versions, rnd.choice(KINDS), f"creator{number % 300}", tags, votes=(number, 3)
            )
        )
    return found


def pictures(count: int, of: Sequence[Model], first: int = 1_000_000) -> list[Picture]:
    """Return so many pictures of these models, of which every hundredth is a video."""
    rnd, words = random.Random(first), Writer(first)
    found = []
    for number in range(count):
        model = of[number * len(of) // count]
        used = tuple(
            lora(each.name, each.id, each.versions[0].id, rnd.randint(3, 10) / 10)
            for each in (model, *rnd.sample(of, min(len(of), rnd.randint(0, 2))))
        )
        made = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1_672_531_200 + rnd.randrange(110_000_000)))
        found.append(
            Picture(
                first + number,
                words.prompt() if number % 17 else None,
                NEGATIVE[: rnd.randint(20, len(NEGATIVE))] if number % 4 else words.prompt(),
                model.id,
                f"user{rnd.randrange(4000)}",
                rnd.choice(LEVELS),
                "mp4" if number % 100 == 99 else "jpeg",
                rnd.choice(SIZES),
                made,
                rnd.choice(SAMPLERS),
                int(rnd.paretovariate(1)) % 10_000,
                rnd.randrange(1 << 32),
                rnd.choice(of).name,
                3_000_000 + number // 4,
                used,
                {"hash": words.blurhash()},
            )
        )
    return found


def fill(folder: Path, count: int, files: Sequence[Path] = (), thumbs: Sequence[Path] = ()) -> list[Picture]:
    """Write a library of so many pictures, whose bytes are those of `files`; return the pictures."""
    shelf = Shelf(folder)
    shelves = models(max(1, count // MODELS_FOR))
    shelf.add(*shelves)
    found = pictures(count, shelves)
    small = list(thumbs)
    lakes, clip = list(files) or [_own(folder, "lake.jpeg")], _own(folder, "clip.mp4")
    for number, picture in enumerate(found):
        shelf.put(picture, clip if picture.ending == "mp4" else _fresh(lakes, number))
        if thumbs:
            place = folder / ".page" / "thumbs" / f"{picture.id % 100:02}" / f"{picture.id}.jpeg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.hardlink_to(_fresh(small, number))
    return found


def _own(folder: Path, name: str) -> Path:
    """Return a copy of a file of ours beside the library, where it can have further names."""
    copy = folder.parent / f"{folder.name}-{name}"
    copy.write_bytes((MEDIA / name).read_bytes())
    return copy


def _fresh(files: list[Path], number: int) -> Path:
    """Return one of the files; no file has more names than its disk allows."""
    turn = number % len(files)
    if number and number // len(files) % 20_000 == 0:
        copy = files[turn].with_name(f"{number}-{files[turn].name}")
        copy.write_bytes(files[turn].read_bytes())
        files[turn] = copy
    return files[turn]


def main() -> int:
    """Write a library and say how long it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.page_large", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=100_000, metavar="N")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    began = time.monotonic()
    fill(options.folder, options.pictures)
    print(f"{options.pictures:,} pictures after {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
