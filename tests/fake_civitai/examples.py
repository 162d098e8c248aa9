"""A small world shows the site at work."""

from __future__ import annotations

from typing import Any

from .content import png_bytes, webp_bytes
from .records import Json
from .world import World

DEMO_PROMPTS = (
    "paper lantern, night street, warm light, rain, (reflection:1.2), <lora:paper_lantern_xl:0.8>",
    "1girl, red dress, holding paper lantern, festival, long_hair, bokeh",
    "old harbour at dawn, fishing boats, mist\nBREAK\nwatercolor (medium), soft colors",
    "a cat in a knitted sweater, window seat, autumn leaves, [photo:painting:0.4]",
    "moss covered stone, macro, dew drops, shallow depth of field",
    "提灯、夜祭り、浴衣の少女, detailed background, masterpiece",
)


def demo_world() -> World:
    """Return four small models with about twenty pictures, some of them with hostile names."""
    world = World()
    lantern = world.add_model("Paper Lantern Style", creator="lantern_maker")
    for name, base in (("v1.0", "SD 1.5"), ("v2.0", "SDXL 1.0")):
        version = lantern.add_version(name, base_model=base, trained_words=["paper lantern", "night, festival"])
        version.add_file(f"paper_lantern_{'xl' if base == 'SDXL 1.0' else 'sd15'}.safetensors", size=300_000)
        for number, prompt in enumerate(DEMO_PROMPTS[:4]):
            version.add_image(1 if number < 3 else 2, **_demo_picture(version.id + number, prompt))
    version.add_image(kind="video", still_for_original=True, width=720, height=720)
    _demo_harbour(world)
    _demo_embedding(world)
    for number, prompt in enumerate(DEMO_PROMPTS):
        world.add_image([version.id], username="gallery_guest", **_demo_picture(900 + number, prompt))
    world.add_image([version.id], username="gallery_guest", meta={"prompt": "secret"}, hidden_meta=True)
    world.add_image([version.id], username="gallery_guest", data=webp_bytes("demo"), meta={"prompt": "webp, lantern"})
    world.add_collection("Lights", [image.id for image in list(world.images.values())[:5]])
    return world


def _demo_harbour(world: World) -> None:
    harbour = world.add_model(
        "Harbour Mix: <the> sea? /final*", "Checkpoint", creator="sea_painter", tags=["base model"]
    )
    version = harbour.add_version("v1.0 | fp16", base_model="SD 1.5", description="<p>First mix.</p>")
    version.add_file("harbourMix_v10.safetensors", size=900_000)
    version.add_file("harbourMix_v10.ckpt", size=910_000)
    version.add_file("harbourMix_v10.yaml", size=400, type="Config")
    version.add_file("harbourMix_v10_trainingData.zip", size=5_000, type="Training Data", needs_token=False)
    for number, prompt in enumerate(DEMO_PROMPTS[2:4]):
        version.add_image(**_demo_picture(500 + number, prompt))


def _demo_embedding(world: World) -> None:
    embedding = world.add_model(
        "提灯の夜 ネガティブ", "TextualInversion", creator="yoru", description=None, tags=["日本語"]
    )
    version = embedding.add_version("版本1.", base_model="SD 1.5", trained_words=["lantern-neg"])
    version.add_file("提灯.safetensors", size=24_000)
    version.add_image(**_demo_picture(600, DEMO_PROMPTS[5]))
    device = world.add_model("Aux", "LORA", creator="lantern_maker", description="<p>A name that Windows dislikes.</p>")
    version = device.add_version("https://civitai.com/models/10001")
    version.add_file("../con.safetensors", size=2_000)
    version.add_file("*.pt", size=3_000, needs_token=True)


def _demo_picture(number: int, prompt: str, **more: Any) -> Json:
    meta = {
        "prompt": prompt,
        "negativePrompt": "blurry, lowres",
        "steps": 28,
        "sampler": "Euler a",
        "cfgScale": 6,
        "seed": 777 + number,
        "Size": "832x1216",
        "Model": "harbourMix_v10",
    }
    return {"meta": meta, "data": png_bytes(f"demo {number}", 104, 152, prompt), **more}
