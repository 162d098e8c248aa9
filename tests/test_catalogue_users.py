"""A user's models, pictures and posts are all found, and nobody else's are taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, Status, World
from tests.helpers import TOKEN, Captured, Encoding, add_model, names_on_disk


def big_creator(world: World, models: int, versions: int, images: int) -> None:
    """Add a creator with so many models, versions and own pictures, one in ten of them without a prompt."""
    for number in range(models):
        world.add_model(f"Model {number}", ("LORA", "Checkpoint")[number % 2], creator="maker")
    owners = list(world.models.values())
    for number in range(versions):
        version = owners[number % models].add_version(f"v{number // models}")
        version.add_file(f"file_{number}.safetensors")
        version.add_image(meta={"prompt": f"showcase {number}"})
    posts = [world.add_post(username="maker").id for _ in range(max(1, (images - versions) // 20))]
    for number in range(images - versions):
        meta = {"prompt": f"picture {number}, lantern"} if number % 10 else None
        world.add_image(
            username="maker", post_id=posts[number // 20 % len(posts)], meta=meta, level=(1, 2, 4, 8, 16)[number % 5]
        )


@pytest.mark.parametrize(
    ("encoding", "size"),
    [
        ("superjson", "4,10,250"),
        ("devalue", "4,10,250"),
        ("alternate", "4,10,250"),
        pytest.param("alternate", "25,60,1200", marks=pytest.mark.long),
    ],
)
def test_a_creators_whole_work_comes_home_within_its_requests(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, encoding: Encoding, size: str
) -> None:
    models, versions, images = (int(part) for part in os.environ.get("CIVITAI_CREATOR", size).split(","))
    site.world.encoding = encoding
    big_creator(site.world, models, versions, images)
    assert run(f"{site.url}/user/maker", *TOKEN, "-v") == 0
    on_disk = {path.stem for path in out.rglob("images/*") if path.suffix != ".txt"}
    assert on_disk == {str(number) for number in site.world.images}
    assert {path.stem for path in out.rglob("images/*.txt")} == on_disk
    assert {path.parent.parent.name.rpartition("[")[2][:-1] for path in out.rglob("*.safetensors")} == {
        str(number) for number in site.world.models
    }
    asked = len(site.seen("site", "/api/v1/")) + len(site.seen("site", "/api/trpc/"))
    unprompted = sum(image.shown_meta is None for image in site.world.images.values())
    showcase_posts = len({version.post_id for version in site.world.versions.values()})
    listing = 3 * -(-models // 100)
    assert asked <= listing + versions + -(-images // 200) + unprompted + showcase_posts
    assert f"{asked} API requests" in capsys.readouterr().err
    site.forget()
    assert run(f"{site.url}/user/maker", *TOKEN) == 0
    assert len(site.requests) <= listing


def test_models_that_each_list_leaves_out_are_all_found(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "plain")
    add_model(site.world, "grown", level=16)
    add_model(site.world, "minor", minor=True)
    add_model(site.world, "other", creator="maker2")
    add_model(site.world, "archived", mode="Archived").add_image()
    assert run(f"{site.url}/user/Maker/models", *TOKEN) == 0
    assert names_on_disk(out) == {"plain", "grown", "minor"}
    folders = {path.parent.name for path in out.rglob("model.json")}
    assert len(folders) == 4
    assert one_file(out, "40001.txt")


def test_what_a_listing_brings_up_and_the_site_withholds_is_a_note(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    add_model(site.world, "fine")
    site.world.add_model("old", creator="maker", mode="Archived").add_version().add_file()
    site.world.add_model("shut", creator="maker").add_version(usage_control="Generation").add_file()
    site.world.add_model("soon", creator="maker").add_version(early_access="permanent").add_file()
    assert run(f"{site.url}/user/maker/models", *TOKEN) == 0
    shown = capsys.readouterr().err
    assert shown.count("Skipped: ") == 3
    assert not (out / "failed.txt").exists()
    assert run("10002", *TOKEN) == 1


@pytest.mark.parametrize(
    ("part", "files", "pictures"),
    [("", 1, 3), ("/models", 1, 1), ("/images", 0, 2), ("/videos", 0, 1), ("/posts", 0, 2)],
)
def test_a_user_page_brings_what_it_shows(
    run: Runner, site: FakeCivitai, out: Path, part: str, files: int, pictures: int
) -> None:
    version = add_model(site.world, "lantern")
    version.add_image(meta={"prompt": "a"})
    post = site.world.add_post(username="maker").id
    site.world.add_image(username="maker", post_id=post, kind="video", meta={"prompt": "b"})
    if part != "/posts":
        site.world.add_image(username="maker", meta={"prompt": "c"})
    assert run(f"{site.url}/user/maker{part}", "--no-gallery", "--no-loras", *TOKEN) == 0
    assert len(names_on_disk(out)) == files
    found = {path.stem for path in out.rglob("*") if path.suffix in (".png", ".mp4") and path.stem.isdigit()}
    assert len(found) == pictures if part else {path.name for path in (out / "users").iterdir()} == {"maker"}


def test_a_list_of_users_holds_bare_names(run: Runner, site: FakeCivitai, out: Path, tmp_path: Path) -> None:
    add_model(site.world, "one", creator="maker")
    add_model(site.world, "two", creator="12345")
    (tmp_path / "users.txt").write_text(f"maker --only models\n12345\n{site.url}/user/nobody\n")
    assert run("--users", "users.txt", *TOKEN) == 1
    assert names_on_disk(out) == {"one", "two"}
    assert "/user/nobody" in (out / "failed.txt").read_text("utf-8")
    assert run() == 1


@pytest.mark.parametrize("part", ["", "/images", "/posts", "/models"])
@pytest.mark.parametrize("name", ["nobody", "no.body"])
def test_an_unknown_user_is_told_and_nobody_elses_things_are_taken(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, part: str, name: str
) -> None:
    add_model(site.world, "lantern").add_image()
    site.world.add_image(username="maker")
    assert run(f"{site.url}/user/{name}{part}", *TOKEN) == 1
    assert "no user" in capsys.readouterr().err or part == "/models"
    assert not list(out.rglob("*.safetensors"))
    assert not list(out.rglob("*.png"))


def test_a_name_with_odd_letters_is_asked_for_by_id(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.add_image(username="odd.name")
    assert run(f"{site.url}/user/odd.name/images", *TOKEN) == 0
    assert [path.name for path in (out / "users/odd.name/images").glob("*.png")] == ["40001.png"]


def test_an_interrupted_creator_is_not_listed_again(run: Runner, site: FakeCivitai, out: Path) -> None:
    for _ in range(5):
        site.world.add_image(username="maker", meta={"prompt": "x"})
    site.fail("image:/", Status(404), times=None)
    assert run(f"{site.url}/user/maker/images", *TOKEN) == 1
    site.heal()
    site.forget()
    assert run("--retry-failed", *TOKEN) == 0
    assert not site.seen("site")
    assert len(list(out.rglob("*.png"))) == 5


def test_a_listing_cut_in_the_middle_goes_on_where_it_was(run: Runner, site: FakeCivitai, out: Path) -> None:
    for _ in range(450):
        site.world.add_image(username="maker", meta={"prompt": "x"})
    cursor = "site:/api/v1/images.*cursor="
    site.fail(cursor, Status(500), times=None)
    assert run(f"{site.url}/user/maker/images", "--retries", "0") == 1
    assert len(list(out.rglob("*.png"))) == 400  # a page from either end
    site.heal()
    site.forget()
    assert run("--retry-failed") == 0
    assert len(site.seen("site", "/api/v1/images")) == 2
    assert len(list(out.rglob("*.png"))) == 450


def test_a_list_that_can_not_be_compared_is_a_failure_to_be_tried_again(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    add_model(site.world, "lantern")
    site.fail("site:/api/trpc/model.getAll", Status(500), times=None)
    assert run(f"{site.url}/user/maker/models", "--retries", "0", *TOKEN) == 1
    assert names_on_disk(out) == {"lantern"}
    site.heal()
    assert run("--retry-failed", *TOKEN) == 0
