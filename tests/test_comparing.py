"""What the site answers is compared with the question: nobody else's things are taken, and it is said why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import DropFilter, FakeCivitai, Rewrite
from tests.helpers import IMAGES, MANY, MODELS, TOKEN, Err, add_model, names_on_disk, read_json

TRPC = "site:/api/trpc/"


def crowd(site: FakeCivitai, pictures: int = 90) -> None:
    """Add strangers with a model and many pictures, each in a post of its own, before and behind all others."""
    version = add_model(site.world, "foreign", creator="stranger")
    for number in range(pictures):
        site.world.add_image([version.id], username=f"stranger_{number % 3}", id=1000 + number)
    site.world.add_image([version.id], username="stranger", id=99000)


def pictures_of(out: Path) -> set[int]:
    return {int(path.stem) for path in out.rglob("images/*.png")} | {
        int(path.stem) for folder in ("posts", "collections") for path in out.glob(f"{folder}/*/*.png")
    }


def names(answer: Any, **values: Any) -> Any:
    return {**answer, **values}


def test_pictures_of_strangers_are_not_taken_for_those_of_a_user(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    crowd(site)
    own = [site.world.add_image(username="Maker").id for _ in range(6)]
    fault = site.fail(IMAGES, DropFilter(("username",)), times=MANY)
    assert run(f"{site.url}/user/maker/images", *TOKEN) == 1
    assert {path.name for path in (out / "users").iterdir()} == {"Maker"}
    assert pictures_of(out) == {*own}
    said = err()
    assert "The list of pictures of user maker is wrong: 91 of its 97 entries belong to others" in said
    assert "maker/images" in (out / "failed.txt").read_text("utf-8")
    assert fault.hits == 1
    site.heal()
    site.forget()
    assert run("--retry-failed", *TOKEN) == 0
    assert len(site.seen("site", "/api/v1/images")) == 1


def test_a_filter_that_is_lost_on_the_second_page_is_noticed(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    crowd(site, 450)
    own = [site.world.add_image(username="maker").id for _ in range(250)]
    site.fail("cursor=", DropFilter(("username",)), times=MANY)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata", *TOKEN) == 1
    assert {int(path.stem) for path in out.rglob("*.txt") if path.stem.isdigit()} <= {*own}
    assert len(list(out.rglob("4*.txt"))) >= 200
    assert "belong to others" in err()


def test_the_folder_bears_the_name_that_was_asked_for(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.add_image(username="maker")
    site.world.add_image(username="Somebody", id=30000)
    site.world.add_image(username="maker")

    def with_a_stranger(answer: Any) -> Any:
        for item in answer["items"][:1]:
            item["username"] = None
        return answer

    site.fail(IMAGES, Rewrite(with_a_stranger), times=MANY)
    assert run(f"{site.url}/user/MAKER/images", *TOKEN) == 0
    assert [path.name for path in (out / "users").iterdir()] == ["maker"]


def test_a_gallery_of_strangers_is_stopped_and_a_single_one_left_out(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    crowd(site)
    version = add_model(site.world, "mine", creator="maker")
    shown = [site.world.add_image([version.id]).id for _ in range(6)]
    site.fail(IMAGES, DropFilter(("modelVersionId",)), times=MANY)
    assert run(f"10002@{version.id}") == 1
    assert pictures_of(out) <= {*shown}
    assert f"pictures of version {version.id} is wrong: 91 of" in err()
    site.heal()

    def with_one(answer: Any) -> Any:
        answer["items"][0]["modelVersionIds"] = [7]
        answer["items"][1]["modelVersionIds"] = []
        return answer

    site.fail(IMAGES, Rewrite(with_one), times=MANY)
    assert run(f"10002@{version.id}", "--refresh") == 0
    assert len(pictures_of(out)) >= 5
    assert "has entries that belong to others; left out: 1." in err()


@pytest.mark.parametrize("where", [IMAGES, f"{TRPC}image.getInfinite", "(v1/images|image.getInfinite)"])
def test_a_post_takes_its_own_pictures_only(
    run: Runner, site: FakeCivitai, out: Path, post: int, where: str, err: Err
) -> None:
    crowd(site)
    site.fail(where, DropFilter(("postId",)), times=MANY)
    assert run(f"{site.url}/posts/{post}", "--no-loras", *TOKEN) == 1
    own = {image.id for image in site.world.posts[post].images}
    assert pictures_of(out) <= own
    assert len(pictures_of(out)) >= 4
    assert "belong to others" in err()


@pytest.mark.parametrize("kind", ["Image", "Model", "Post"])
def test_a_collection_of_the_whole_site_is_not_taken(
    run: Runner, site: FakeCivitai, out: Path, err: Err, kind: str
) -> None:
    crowd(site)
    for number in range(9):
        add_model(site.world, f"m{number}")
    members = {"Image": [1000, 1001], "Model": [10002], "Post": [50001]}[kind]
    number = site.world.add_collection("Few", members, type=kind).id
    site.fail(TRPC, DropFilter(("collectionId",)), times=MANY)
    assert run(f"{site.url}/collections/{number}", "--no-gallery", *TOKEN) == 1
    assert not pictures_of(out)
    assert not names_on_disk(out)
    assert f"of collection {number} has more than twice the {len(members)} entries it should have" in err()
    site.heal()
    assert run("--retry-failed", "--no-gallery", *TOKEN) == 0


@pytest.mark.parametrize("filter_", ["username", "tag"])
def test_models_of_strangers_are_not_taken(run: Runner, site: FakeCivitai, out: Path, err: Err, filter_: str) -> None:
    add_model(site.world, "mine", creator="maker", tags=["light"])
    for number in range(9):
        add_model(site.world, f"foreign {number}", creator="stranger", tags=["dark"])
    site.fail(MODELS, DropFilter((filter_,)), times=MANY)
    page = "user/maker/models" if filter_ == "username" else "tag/light"
    assert run(f"{site.url}/{page}", "--no-gallery", *TOKEN) == 1
    assert names_on_disk(out) == {"mine"}
    assert "9 of its 10 entries belong to others" in err()


def test_posts_of_strangers_are_not_taken(run: Runner, site: FakeCivitai, out: Path, err: Err) -> None:
    crowd(site, 20)
    mine = site.world.add_post(username="maker").id
    site.world.add_image(username="maker", post_id=mine)
    site.fail("post.getInfinite", DropFilter(("username",)), times=MANY)
    assert run(f"{site.url}/user/maker/posts", *TOKEN) == 1
    assert {path.name for path in (out / "posts").iterdir()} == {str(mine)}
    assert "belong to others" in err()


# --- One thing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "change", "word"),
    [
        (f"{MODELS}/10001", lambda answer: names(answer, id=777), "10001"),
        (f"{MODELS}/10001", lambda answer: names(answer, id=10002), "10001"),
        ("model-versions/20001", lambda answer: names(answer, id=777), "20001"),
        ("model-versions/20001", lambda answer: {"id": 20001, "modelId": 10002, "files": []}, "10001@20001"),
        ("by-hash", lambda answer: names(answer, files=[{"id": 1, "hashes": {"SHA256": "AB" * 32}}]), "hash"),
    ],
)
def test_an_answer_about_something_else_is_a_failure_and_nothing_of_it_is_taken(
    run: Runner, site: FakeCivitai, out: Path, err: Err, where: str, change: Callable[[Any], Any], word: str
) -> None:
    version = add_model(site.world, "right")
    add_model(site.world, "wrong")
    if "@" in word or "version" in where:
        version.model.versions.clear()
        version.model.add_version(id=20009).add_file("other.safetensors")
    site.fail(where, Rewrite(change), times=MANY)
    asked = version.files[0].body.hashes["SHA256"] if word == "hash" else word
    if word == "20001":
        asked = f"{site.url}/model-versions/20001"
    assert run(asked, "--no-gallery") == 1
    assert not names_on_disk(out)
    assert "bug in this program" not in err()
    site.heal()
    site.forget()
    run("--retry-failed", "--no-gallery")
    assert site.seen("site", "/api/v1/")


def test_a_picture_a_post_and_a_collection_are_compared_by_their_numbers(
    run: Runner, site: FakeCivitai, out: Path, post: int, err: Err
) -> None:
    other = site.world.add_image(username="stranger").id
    number = site.world.add_collection("Few", [other]).id
    site.fail("imageId=", DropFilter(("imageId",)), times=MANY)
    site.fail("image.get?", Rewrite(lambda answer: {"result": {"data": {"json": {"id": 5, "url": "x"}}}}), times=MANY)
    site.fail("/images/", Rewrite(lambda answer: answer), times=0)
    assert run(f"{site.url}/images/404", *TOKEN) == 1
    site.heal()
    site.fail("post.get?", Rewrite(lambda answer: {"result": {"data": {"json": {"id": 5}}}}), times=MANY)
    assert run(f"{site.url}/posts/{post}", *TOKEN) == 1
    strange = {"result": {"data": {"json": {"collection": {"id": 5, "type": "Image", "name": "x"}}}}}
    site.fail("collection.getById", Rewrite(lambda answer: strange), times=MANY)
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 1
    assert not list(out.rglob("*.png"))
    assert not {name for name in files_under(out) if name.startswith(("posts/", "collections/"))}
    assert "Traceback" not in err()


def test_a_bulk_answer_of_other_models_is_not_taken(run: Runner, site: FakeCivitai, out: Path) -> None:
    for name in ("a", "b", "c"):
        add_model(site.world, name)
    site.fail("ids=", DropFilter(("ids",)), times=MANY)
    assert run("10001", "10002", "--no-gallery") == 0
    assert names_on_disk(out) == {"a", "b"}
    kept = "".join(path.read_text("utf-8") for path in out.rglob("answers-*.jsonl"))
    assert "models/10003" not in kept


def test_collection_json_names_only_what_was_taken(run: Runner, site: FakeCivitai, out: Path) -> None:
    crowd(site, 5)
    number = site.world.add_collection("Few", [1001, 1000]).id
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 0
    assert sorted(read_json(next(out.rglob("collection.json")))["items"]) == [1000, 1001]
