"""The small library that most tests of the page look at: three models and twelve pictures, each odd in its own way."""

from __future__ import annotations

from pathlib import Path

from tests.page_library import Model, Picture, Shelf, Version, lora, png

LANTERN = Model(
    101,
    "Paper Lantern",
    (
        Version(1012, "v2.0", "SDXL 1.0", ("paper lantern", "night, rain"), "2026-05-01T12:00:00.000Z", here=False),
        Version(1011, "v1.0", "SD 1.5", ("paper lantern",), "2026-01-01T12:00:00.000Z"),
    ),
    creator="lantern_maker",
    tags=("style", "light"),
    votes=(900, 10),
)
HARBOUR = Model(
    102,
    "Harbour Mix",
    (Version(1021, "v1.0", "SD 1.5", (), "2026-03-01T12:00:00.000Z"),),
    type="Checkpoint",
    creator="sea_painter",
    tags=("base model", "sea"),
    votes=(5, 0),
)
NIGHT = Model(
    103,
    "提灯の夜",
    (Version(1031, "版本1", "Pony", ("lantern-neg",), "2025-12-01T12:00:00.000Z", gone="2026-06-01"),),
    type="TextualInversion",
    creator="yoru",
    tags=("日本語", "light"),
    level=4,
    votes=(0, 0),
    more={"gone_since": "2026-06-01"},
)
USED = (lora("Paper Lantern", 101, 1011, 0.8),)
MIXED = ({"type": "checkpoint", "name": "Harbour Mix", "modelId": 102, "modelVersionId": 1021},)

PICTURES = (
    Picture(1, "Red Dress, night street", "blurry, lowres", 101, "alice", created="2026-03-20T10:00:00.000Z", likes=5,
            resources=USED, post=900, seed=4_294_967_295),
    Picture(2, "blue dress, day street", "red", 0, "alice", 2, size=(1024, 1024), created="2026-03-10T10:00:00.000Z",
            sampler="DPM++ 2M", likes=9, post=900, resources=MIXED),
    Picture(3, "dresser of old wood, night", None, 102, "bob", size=(1216, 832), created="2026-02-01T10:00:00.000Z",
            resources=MIXED),
    Picture(4, "ｎｉｇｈｔ　ＳＴＲＡＳＳＥ, Straße", "", 0, "bob", size=(512, 512), created="2026-01-05T10:00:00.000Z",
            sampler="DPM++ 2M"),
    Picture(5, None, None, 0, "carol", 4, "mp4", (720, 720), "2025-12-31T23:59:59.000Z", None),
    Picture(7, "提灯の夜祭り、浴衣の少女", "ボケ", 103, "dave", 8, created="2025-12-01T10:00:00.000Z", ending="webp"),
    Picture(8, "cat OR dog", "dog", 0, "dave", 16, created="2025-11-01T10:00:00.000Z"),
    Picture(9, "a \"phrase here\" isn't, comma", "x", 0, "erin, the 2nd", 0, created="2025-10-01T10:00:00.000Z",
            ending="jpeg"),
    Picture(10, "100% cotton #1 [x] <lora:paper:0.8>, (night:1.2)", "low", 0, "alice", size=(2048, 3072),
            created="2025-09-01T10:00:00.000Z", checkpoint="Harbour Mix"),
    Picture(11, "line one\nline two\nBREAK\nthree", "n1\nn2", 0, "bob", created="2024-02-29T00:00:00.000Z",
            more={"tools": ["ComfyUI"]}),
    Picture(12, "the last one", "y", 0, "zoe", created="2023-05-05T10:00:00.000Z", size=(600, 900)),
)  # fmt: skip

# The newest first; 6 is a file without a text.
IDS = [*(picture.id for picture in PICTURES), 6]


def fill_gallery(folder: Path) -> None:
    """Write the library."""
    Shelf(folder).add(LANTERN, HARBOUR, NIGHT, *PICTURES)
    (folder / "users" / "carol" / "images" / "6.png").write_bytes(png(6, 30, 20))
