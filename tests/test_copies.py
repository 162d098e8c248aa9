"""Several copies of the command share the work, and one library comes out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.shares import Share
from tests.conftest import Runner, files_under, one_file
from tests.copies import fetched, logs_of, run_copies, told, write_list
from tests.fake_civitai import FakeCivitai, Status
from tests.helpers import TOKEN, Err, names_on_disk, read_json


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


def test_a_copy_leaves_files_of_its_own_and_nothing_that_one_run_makes(
    site: FakeCivitai, run: Runner, out: Path, lines: str
) -> None:
    assert run(lines, "--shard", "1/2") == 0
    at_top = {path.name for path in out.iterdir() if path.is_file()}
    assert at_top == {
        "download_state.1-of-2.jsonl", "download_state.1-of-2.lock", "download_state.1-of-2.holder.json",
        "download_state.lock", "download_state.holder.json", "report.1-of-2.json",
    }  # fmt: skip
    assert read_json(out / "report.1-of-2.json")["counts"]["done"] > 0
    assert not list((out / ".cache/claims").iterdir())


def test_a_copy_ends_without_waiting_for_the_others(site: FakeCivitai, run: Runner, out: Path, lines: str) -> None:
    assert run(lines, "--shard", "1/2") == 0
    assert 0 < len(names_on_disk(out)) < 13
    assert not (out / "index.html").exists()
    assert run(lines, "--shard", "2/2") == 0
    assert len(names_on_disk(out)) == 13
    assert len(fetched(site.requests)) == len({*fetched(site.requests)})


def test_the_next_run_alone_brings_what_a_copy_that_never_came_has_left_and_makes_the_page(
    site: FakeCivitai, run: Runner, out: Path, lines: str
) -> None:
    for share in ("1/3", "3/3"):
        assert run(lines, "--shard", share) == 0
    assert len(names_on_disk(out)) < 13
    assert run(lines) == 0
    assert len(fetched(site.requests)) == len({*fetched(site.requests)})
    assert len(names_on_disk(out)) == 13
    assert (out / "index.html").is_file()


def test_the_same_model_falls_to_the_same_copy_whichever_line_brings_it_up(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    model = site.world.add_model("Lantern", creator="maker")
    version = model.add_version()
    file = version.add_file("lantern.safetensors")
    site.world.models[model.id].tags = ["lamp"]
    digest = file.published_hashes["SHA256"]
    lines = [
        str(model.id),
        str(version.id),
        digest,
        f"{site.url}/models/{model.id}",
        f"{site.url}/models/{model.id}?modelVersionId={version.id}",
        f"{site.url}/api/download/models/{version.id}",
        f"{site.url}/user/maker/models",
        f"{site.url}/tag/lamp",
    ]
    mine = next(index for index in range(1, 6) if Share(index, 5).has("model", model.id))
    for number, line in enumerate(lines):
        for index in range(1, 6):
            folder = out / f"{number}-{index}"
            assert run(line, "-o", str(folder), "--shard", f"{index}/5") == 0
            assert bool(names_on_disk(folder)) == (index == mine), (line, index)


def test_a_model_named_by_its_id_is_asked_for_by_its_copy_alone(site: FakeCivitai, run: Runner, err: Err) -> None:
    model = site.world.add_model()
    model.add_version().add_file("lantern.safetensors")
    other = next(index for index in (1, 2) if not Share(index, 2).has("model", model.id))
    assert run(f"{site.url}/models/{model.id}", "--shard", f"{other}/2") == 0
    assert f"Nothing falls to copy {other}/2" in err()
    assert not site.requests


def test_a_copy_says_what_of_a_list_falls_to_others(site: FakeCivitai, run: Runner, err: Err) -> None:
    version = site.world.add_model(creator="maker").add_version()
    version.add_file("lantern.safetensors")
    other = next(index for index in (1, 2) if not Share(index, 2).has("model", 10001))
    for line in (f"{site.url}/api/download/models/{version.id}", f"{site.url}/user/maker/models"):
        assert run(line, "--shard", f"{other}/2") == 0
        assert "falls to other copies" in err()


def test_the_pictures_of_a_collection_are_shared_and_one_copy_writes_its_page(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    images = [site.world.add_image(username="maker", meta={"prompt": "x"}).id for _ in range(12)]
    number = site.world.add_collection("Lights", images).id
    pages = []
    for index in (1, 2, 3):
        assert run(f"{site.url}/collections/{number}", *TOKEN, "--shard", f"{index}/3") == 0
        pages.append(len(list(out.rglob("collection.json"))))
    assert pages[-1] == 1
    assert {int(path.stem) for path in out.rglob("*.png")} == {*images}
    assert sorted(read_json(one_file(out, "collection.json"))["items"]) == images
    assert len(fetched(site.requests)) == len(images)


def test_what_copies_could_not_fetch_is_gathered_by_the_next_run(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path
) -> None:
    lines = [*(str(number) for number in range(999_001, 999_007)), "no link"]
    path = write_list(tmp_path, lines)
    for index in (1, 2):
        assert run(path, "--shard", f"{index}/2") == 1
    lists = [(out / f"failed.{index}-of-2.txt").read_text("utf-8") for index in (1, 2)]
    assert all(sum(line in text for text in lists) == 1 for line in lines[:-1])
    assert all("no link" in text for text in lists)
    assert not list(out.glob("retry.*"))
    assert run("https://civitai.com/models/999050") == 1
    gathered = (out / "failed.txt").read_text("utf-8")
    assert all(f"\n{line}\n" in gathered for line in [*lines[:-1], "https://civitai.com/models/999050"])
    assert gathered.count("#: no link") == 1
    assert not list(out.glob("failed.*-of-*.txt"))
    assert (out / "retry.sh").is_file()


def test_a_copy_retries_its_own_list(site: FakeCivitai, run: Runner, out: Path) -> None:
    model = site.world.add_model()
    model.add_version().add_file("lantern.safetensors")
    mine = next(index for index in (1, 2) if Share(index, 2).has("model", model.id))
    site.fail("storage", Status(404), times=100)
    assert run(str(model.id), "--shard", f"{mine}/2") == 1
    assert str(model.id) in (out / f"failed.{mine}-of-2.txt").read_text("utf-8")
    site.faults.clear()
    assert run("--retry-failed", "--shard", f"{mine}/2") == 0
    assert not list(out.glob("failed*"))
    assert names_on_disk(out) == {"lantern"}


def test_the_plan_of_a_copy_has_what_falls_to_it(
    site: FakeCivitai, run: Runner, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(*words: str) -> list[str]:
        assert run(lines, "--dry-run", *words) == 0
        return sorted(row.split("\t")[0] for row in capsys.readouterr().out.splitlines())

    whole = rows()
    parts = [rows("--shard", f"{index}/3") for index in (1, 2, 3)]
    listed = [row for part in parts for row in part if not row.startswith("user/")]
    assert sorted(listed) == [row for row in whole if not row.startswith("user/")]
