"""Shows the program at work without a network: `python -m tests.demo`.

Starts the fake site with painted pictures, runs the real command on a small list into `demo-downloads/`, and says where
the files and their page are.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fake_civitai import FakeCivitai, World, demo_world
from tests.fake_civitai.paintings import Motif, paint

FOLDER = Path("demo-downloads")
CLIP = Path(__file__).with_name("media") / "clip.mp4"
SHAPES = ((384, 560), (384, 560), (560, 384), (448, 448))
# What gallery guests made: a motif, its words, and the level (4: covered until it is clicked).
GUESTS: tuple[tuple[Motif, str, int], ...] = (
    ("lanterns", "floating paper lanterns over a lake, night, warm light, reflections, (calm water:1.2)", 1),
    ("hills", "rolling hills in the morning, mist, pale sun, flat colors, minimalism", 1),
    ("garden", "petals in the wind, spring garden, soft pastel, gouache", 1),
    ("harbour", "quiet harbour at dawn, still water, distant islands, watercolor (medium)", 1),
    ("lanterns", "lantern festival, moonrise, teal night, bokeh, <lora:paper_lantern_xl:0.8>", 4),
    ("hills", "desert dunes at noon, long shadows, paper cutout, layered paper", 1),
    ("harbour", "evening on the fjord, first stars, mirror lake, long exposure", 2),
    ("garden", "meadow with fireflies, late summer, grain, storybook illustration", 1),
)
SAMPLERS = ("Euler a", "DPM++ 2M Karras", "UniPC")


def demo() -> World:
    """Return the small world with pictures that are worth looking at, and with more of them."""
    world = demo_world()
    version = next(iter(world.models.values())).versions[0]
    for number in range(24):
        _, prompt, level = GUESTS[number % len(GUESTS)]
        meta = {"prompt": prompt, "negativePrompt": "blurry, lowres", "steps": 24 + number % 9, "seed": 4_000 + number}
        meta |= {"sampler": SAMPLERS[number % 3], "cfgScale": 5 + number % 3, "Model": "harbourMix_v10"}
        created = f"2026-0{number % 6 + 1}-{number + 1:02}T18:30:00.000Z"
        guest = f"guest_{number % 5}"
        world.add_image([version.id], username=guest, meta=meta, level=level, created=created, likes=number * 7 % 40)
    for number, image in enumerate(world.images.values()):
        if image.kind == "video":
            image.content, image.width, image.height = CLIP.read_bytes(), 48, 64
            continue
        prompt = str((image.meta or {}).get("prompt", ""))
        image.width, image.height = SHAPES[number % len(SHAPES)]
        painting = paint(motif_of(prompt), number, image.width, image.height)
        image.content, image.blurhash = painting.png(prompt), painting.blurhash()
    return world


def motif_of(prompt: str) -> Motif:
    """Return what a painting for a prompt shows."""
    known: dict[str, Motif] = {"lantern": "lanterns", "提灯": "lanterns", "harbour": "harbour", "moss": "garden"}
    known = {words: motif for motif, words, _ in GUESTS} | known
    return next((motif for words, motif in known.items() if words in prompt), "hills")


def main() -> int:
    """Run the command against the fake site; its exit code is ours."""
    world = demo()
    FOLDER.mkdir(exist_ok=True)
    with FakeCivitai(world) as site:
        links = FOLDER / "models.txt"
        links.write_text("".join(f"{site.url}/models/{model}\n" for model in world.models), "utf-8")
        pace = ["--max-rate-model", "50", "--max-rate-image", "50"]
        words = [str(links), "--site", site.url, "-o", str(FOLDER), "--token", "good-token", *pace]
        print("$ python -m civitai_downloader", *words, flush=True)
        code = subprocess.run([sys.executable, "-m", "civitai_downloader", *words], check=False).returncode
    print(f"Exit code {code}. Run the demo again, and nothing is fetched twice.")
    print(f"To look at what is there, open {(FOLDER / 'index.html').as_posix()}")
    return code


if __name__ == "__main__":
    sys.exit(main())
