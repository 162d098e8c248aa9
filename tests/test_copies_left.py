"""Copies that come alone: none waits for another, and the next run without `--shard` does what they have left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import names_on_disk

MODELS = 12


def add_models(site: FakeCivitai) -> list[str]:
    """Add models of one file each; return their links and that of a post that uses a LoRA which only it leads to."""
    for number in range(MODELS + 1):
        site.world.add_model(f"model {number}").add_version().add_file(f"file_{number}.safetensors")
    lora = list(site.world.versions)[-1]
    post = site.world.add_post(username="poster").id
    resources = [{"type": "lora", "modelVersionId": lora}]
    site.world.add_image(username="poster", post_id=post, meta={"prompt": "x", "civitaiResources": resources})
    models = [*site.world.models][:MODELS]
    return [*(f"{site.url}/models/{model}" for model in models), f"{site.url}/posts/{post}"]


def fetched(site: FakeCivitai) -> set[int]:
    """Return how often files were asked for."""
    return {*Counter(seen.path for seen in site.seen("storage")).values()}


def test_a_copy_ends_without_waiting_for_the_others(site: FakeCivitai, run: Runner, out: Path) -> None:
    links = add_models(site)
    assert run("models.txt", "--shard", "1/2", lines=links) == 0
    mine = names_on_disk(out)
    assert 0 < len(mine) < MODELS
    assert not (out / "index.html").exists()
    assert run("models.txt", "--shard", "2/2") == 0
    assert names_on_disk(out) == {f"file_{number}" for number in range(MODELS + 1)}
    assert fetched(site) == {1}


def test_the_next_run_does_what_a_copy_that_never_came_has_left(site: FakeCivitai, run: Runner, out: Path) -> None:
    links = add_models(site)
    for share in ("1/3", "3/3"):
        assert run("models.txt", "--shard", share, lines=links) == 0
    assert len(names_on_disk(out)) < MODELS + 1
    assert run("models.txt") == 0
    assert names_on_disk(out) == {f"file_{number}" for number in range(MODELS + 1)}
    assert fetched(site) == {1}
    assert (out / "index.html").exists()
