"""Several copies of the command share the work, and one library comes out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, files_under
from tests.copies import fetched, logs_of, run_copies, told, write_list
from tests.fake_civitai import FakeCivitai
from tests.helpers import names_on_disk


def fill(site: FakeCivitai, models: int = 12) -> list[str]:
    """Fill a world in which the same things come up in many ways, and return the lines of a list."""
    world = site.world
    for number in range(models):
        version = world.add_model(f"Model {number}", creator=f"maker{number % 3}").add_version()
        version.add_file(f"m{number}.safetensors", size=30_000 + number)
        version.add_image(meta={"prompt": f"model {number}"})
        world.add_image([version.id], meta={"prompt": "from the gallery"})
    loras = [world.add_model(f"lora{number}", "LORA", creator="smith").add_version() for number in range(2)]
    for each in loras:
        each.add_file("lora.safetensors", size=200_000)
    posts = []
    for number in range(6):
        post = world.add_post(username="maker0", title=f"Post {number}", version_id=loras[number % 2].id)
        posts.append(post.id)
        for _ in range(3):
            world.add_image(username="maker0", post_id=post.id, meta={"prompt": f"post {number}"})
    kept = [each.versions[0] for each in world.models.values()]
    return [
        f"{site.url}/user/maker1/models",
        *(str(number) for number in list(world.models)[:4]),
        *(f"{site.url}/api/download/models/{version.id}" for version in kept[3:7]),
        *(version.files[0].published_hashes["SHA256"] for version in kept[6:9]),
        *(f"{site.url}/models/{number}" for number in list(world.models)[8:models]),
        *(f"{site.url}/posts/{number}" for number in posts),
        f"{site.url}/user/maker0/images",
    ]


@pytest.fixture
def lines(site: FakeCivitai, tmp_path: Path) -> str:
    """Return a list with what comes up in many ways."""
    return write_list(tmp_path, fill(site))


def test_copies_bring_what_one_run_brings_and_nothing_twice(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, lines: str
) -> None:
    alone = tmp_path / "alone"
    assert run(lines, "-o", str(alone)) == 0
    once = fetched(site.requests)
    site.forget()
    ended = run_copies(site, out, 3, lines)
    assert [code for code, _ in ended] == [0, 0, 0], ended
    assert fetched(site.requests) == once
    assert told(logs_of(out)) == told(logs_of(alone))
    assert names_on_disk(out) == names_on_disk(alone)
    kinds = ("*.safetensors", "*.txt", "*.png", "*.jpeg", "model.json", "post.json", "*.civitai.info")
    for pattern in kinds:
        assert {*files_under(out, pattern)} == {*files_under(alone, pattern)}, pattern
    site.forget()
    assert run(lines, "--no-page") == 0
    assert not site.seen("storage")
    assert told(logs_of(out)) == told(logs_of(alone))
