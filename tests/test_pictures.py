"""A visit to a post or a picture brings home its bytes, its prompt and the LoRAs that it was made with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, Status, busy, png_bytes
from tests.helpers import TOKEN, Captured, Encoding, add_model, names_on_disk, read_json

# --- Posts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["superjson", "devalue", "alternate"])
def test_a_post_comes_home_as_its_author_laid_it_out(
    run: Runner, site: FakeCivitai, out: Path, post: int, encoding: Encoding
) -> None:
    site.world.encoding = encoding
    assert run(f"{site.url}/posts/{post}/a-slug", *TOKEN) == 0
    facts = read_json(out / f"posts/{post}/post.json")
    order = [40001, 40002, 40003, 40004, 40005]
    assert (facts["title"], facts["text"], facts["images"]) == ("Five lanterns", "Made at night.", order)
    folder = out / f"posts/{post}"
    assert {path.name for path in folder.iterdir()} == {
        "post.json",
        *(f"{n}{end}" for n in order for end in (".png", ".txt")),
    }
    assert read_json(folder / "40003.txt")["raw_prompt"] is None
    assert read_json(folder / "40005.txt")["raw_prompt"] == "lantern 4"
    assert names_on_disk(out) == {"tool"}


@pytest.mark.parametrize(
    ("options", "files"),
    [(["--no-loras"], set()), (["--checkpoints"], {"tool", "base"}), (["--only", "images"], set())],
)
def test_the_models_of_a_post_are_a_matter_of_options(
    run: Runner, site: FakeCivitai, out: Path, post: int, options: list[str], files: set[str]
) -> None:
    assert run(f"{site.url}/posts/{post}", *TOKEN, *options) == 0
    assert names_on_disk(out) == files
    assert len(list(out.rglob("posts/*/*.png"))) == 5


def test_a_post_is_found_without_a_token_as_far_as_the_site_shows_it(
    run: Runner, site: FakeCivitai, out: Path, post: int
) -> None:
    assert run(f"{site.url}/posts/{post}", "--no-loras") == 0
    assert len(list(out.rglob("posts/*/*.png"))) == 5


def test_a_deleted_post_is_told(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    assert run(f"{site.url}/posts/59999", *TOKEN) == 1
    assert "deleted, private or mistyped" in capsys.readouterr().err


def test_levels_are_clamped_by_sfw_in_every_list(run: Runner, site: FakeCivitai, out: Path, post: int) -> None:
    assert run(f"{site.url}/posts/{post}", "--sfw", "--no-loras", *TOKEN) == 0
    assert "40004" not in {path.stem for path in out.rglob("*.png")}


def test_the_posts_of_a_showcase_stand_beside_the_version(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = add_model(site.world, "lantern")
    images = [version.add_image(meta={"prompt": "a"}).id for _ in range(3)]
    site.world.posts[version.post_id].title = "My showcase"
    assert run("10001") == 0
    facts = read_json(one_file(out, f"post-{version.post_id}.json"))
    assert (facts["title"], facts["images"]) == ("My showcase", images)


def test_a_showcase_whose_post_is_gone_is_no_failure(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    add_model(site.world, "lantern").add_image(meta={"prompt": "a"})
    site.fail("site:/api/trpc/post.get", Status(404, "{}"), times=None)
    assert run("10001") == 0
    assert "The site does not provide the text of post" in capsys.readouterr().err
    assert not list(out.rglob("post-*.json"))


# --- Pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["rest", "trpc", "page"])
@pytest.mark.parametrize("encoding", ["superjson", "devalue"])
def test_an_image_is_found_in_three_ways(
    run: Runner, site: FakeCivitai, out: Path, way: str, encoding: Encoding
) -> None:
    site.world.encoding = encoding
    post = site.world.add_post(username="maker")
    image = site.world.add_image(username="maker", meta={"prompt": "a lantern"}, post_id=post.id, level=4)
    image.indexed = way == "rest"
    site.world.add_image()  # some picture, from whose link the host of all is learnt
    if way != "rest":
        site.fail(r"site:/api/v1/images\?imageId", Status(200, '{"items":[{"id":5}],"metadata":{}}'), times=None)
    if way == "page":
        site.fail("site:/api/trpc/image.get.input", Status(404, "{}"), times=None)
    assert run(f"{site.url}/images/{image.id}?postId=1", *TOKEN) == 0
    assert (out / f"images/{image.id}.png").read_bytes() == image.data
    facts = read_json(out / f"images/{image.id}.txt")
    assert (facts["raw_prompt"], facts["post_id"], facts["username"], facts["nsfw_level"]) == (
        "a lantern",
        post.id,
        "maker",
        4,
    )


def test_an_image_nobody_knows_is_told(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    assert run(f"{site.url}/images/49999", *TOKEN) == 1
    assert "deleted, private or mistyped" in capsys.readouterr().err


# --- How a picture was made ----------------------------------------------------------------------


def test_loras_come_from_generation_data_too(run: Runner, site: FakeCivitai, out: Path) -> None:
    tool = add_model(site.world, "tool", creator="smith")
    base = add_model(site.world, "base", "Checkpoint", creator="smith")
    resources = [{"modelVersionId": tool.id, "strength": 0.8}, {"modelVersionId": base.id, "strength": None}]
    image = site.world.add_image(username="maker", resources=resources, tools=["ComfyUI"], techniques=["txt2img"])
    assert run(f"{site.url}/images/{image.id}", *TOKEN) == 0
    assert names_on_disk(out) == {"tool"}
    facts = read_json(out / f"images/{image.id}.txt")
    assert (facts["tools"], facts["techniques"]) == (["ComfyUI"], ["txt2img"])
    assert {each["modelVersionId"] for each in facts["resources"]} == {tool.id, base.id}


def test_a_lora_that_is_gone_is_no_failure_of_the_picture(run: Runner, site: FakeCivitai, out: Path) -> None:
    meta = {"prompt": "x", "civitaiResources": [{"type": "lora", "modelVersionId": 29999}]}
    image = site.world.add_image(username="maker", meta=meta)
    assert run(f"{site.url}/images/{image.id}", *TOKEN) == 0
    assert one_file(out, f"{image.id}.png").read_bytes() == png_bytes(image.id)


def test_generation_data_is_asked_last_and_once(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    version = add_model(site.world, "lantern")
    for number in range(6):
        version.add_image(meta={"prompt": "p"} if number else None)
    assert run("10001", *TOKEN) == 0
    api = [seen.path for seen in site.seen("site", "/api/") if "download" not in seen.path]
    assert api.index("/api/trpc/image.getGenerationData") == len(api) - 1
    assert state()["meta", "40001"]["status"] == "success"
    site.forget()
    run("10001", "--refresh", *TOKEN)
    assert not site.seen("site", "/api/trpc/image.getGenerationData")
    run("10001", "--full-metadata", "--refresh", *TOKEN)
    assert [seen.path.count("getGenerationData") for seen in site.seen("site", "/api/trpc/image.get")] == [5]


def test_generation_data_that_fails_fails_its_item_and_is_asked_by_the_next_run(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    site.world.add_image(username="maker", tools=["ComfyUI"])
    site.fail("site:/api/trpc/image.getGenerationData", busy(503), times=None)
    assert run(f"{site.url}/user/maker/images", *TOKEN) == 1
    assert state()["meta", "40001"]["status"] == "failed"
    assert one_file(out, "40001.png")
    assert read_json(one_file(out, "40001.txt"))["tools"] == []
    site.heal()
    assert run("--retry-failed", *TOKEN) == 0
    assert read_json(one_file(out, "40001.txt"))["tools"] == ["ComfyUI"]


def test_refused_generation_data_is_not_asked_for_ever(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for _ in range(9):
        site.world.add_image(username="maker")
    site.fail("site:/api/trpc/image.getGenerationData", Status(401, "{}"), times=None)
    assert run(f"{site.url}/user/maker/images") == 1
    assert len(site.seen("site", "/api/trpc/image.getGenerationData")) == 1
    assert "doesn't say how pictures were made" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--types", "Checkpoint"), ("--base-models", "Pony")], ids=["types", "base models"])
def test_the_filters_for_models_do_not_keep_out_the_loras_of_a_picture(
    run: Runner, site: FakeCivitai, out: Path, words: tuple[str, str]
) -> None:
    tool = add_model(site.world, "tool", creator="smith")
    meta = {"prompt": "x", "civitaiResources": [{"type": "lora", "modelVersionId": tool.id}]}
    image = site.world.add_image(username="maker", meta=meta)
    assert run(f"{site.url}/images/{image.id}", *words, *TOKEN) == 0
    assert names_on_disk(out) == {"tool"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes links of others")
def test_a_prompt_is_not_written_through_a_link_that_a_stranger_planted(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, capsys: Captured
) -> None:
    image = site.world.add_image(username="maker", meta={"prompt": "x"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "images").symlink_to(elsewhere)
    os.chown(out / "images", 4711, -1, follow_symlinks=False)
    assert run(f"{site.url}/images/{image.id}", "--only", "metadata", *TOKEN) == 2
    assert "images is a link, but the program needs a folder there" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())
