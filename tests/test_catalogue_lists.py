"""Collections, tags and hashes lead to what is behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, Status
from tests.helpers import TOKEN, Captured, add_model, names_on_disk, read_json


def test_a_collection_of_pictures_comes_home(run: Runner, site: FakeCivitai, out: Path) -> None:
    images = [site.world.add_image(username="maker", meta={"prompt": "x"}, level=4).id for _ in range(3)]
    number = site.world.add_collection("Lights: best?", images).id
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 0
    folder = out / f"collections/Lights_ best_ [{number}]"
    assert sorted(read_json(folder / "collection.json")["items"]) == images
    assert {path.stem for path in folder.glob("*.png")} == set(map(str, images))
    assert read_json(folder / f"{images[0]}.txt")["raw_prompt"] == "x"


def test_collections_of_models_and_posts_bring_them_to_their_own_places(
    run: Runner, site: FakeCivitai, out: Path, post: int
) -> None:
    models = site.world.add_collection("Models", [10001], type="Model").id
    posts = site.world.add_collection("Posts", [post], type="Post").id
    assert run(f"{site.url}/collections/{models}", f"{site.url}/collections/{posts}", *TOKEN) == 0
    assert names_on_disk(out) == {"tool"}
    assert (out / f"posts/{post}/post.json").is_file()
    assert len(list(out.glob("collections/*/collection.json"))) == 2


def test_private_and_empty_collections_are_told(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    private = site.world.add_collection("Mine", [], read="Private").id
    empty = site.world.add_collection("Nothing", []).id
    assert run(f"{site.url}/collections/{private}", f"{site.url}/collections/{empty}") == 1
    shown = capsys.readouterr().err
    assert "The collection is private or doesn't exist" in shown
    assert "the site shows nothing in it" in shown


def test_that_a_login_would_show_more_is_said_once(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    names = [site.world.add_collection(name, []).id for name in ("One", "Two", "Three")]
    run(*(f"{site.url}/collections/{each}" for each in names))
    assert capsys.readouterr().err.count("only PG content") == 1


def test_a_tag_page_brings_its_models_and_an_unknown_tag_nothing(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    add_model(site.world, "tagged", tags=["Paper Light"])
    add_model(site.world, "untagged", tags=["other"])
    assert run(f"{site.url}/tag/paper%20light", "--no-gallery") == 0
    assert names_on_disk(out) == {"tagged"}
    assert run(f"{site.url}/tag/unheard") == 1
    assert "no models with the tag" in capsys.readouterr().err


@pytest.mark.parametrize("length", [64, 10])
def test_a_hash_finds_its_version(run: Runner, site: FakeCivitai, out: Path, length: int) -> None:
    version = add_model(site.world, "lantern")
    assert run(version.files[0].body.hashes["SHA256"][:length]) == 0
    assert names_on_disk(out) == {"lantern"}
    assert run("f" * length) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_a_list_of_sha256_is_asked_for_in_one_request(
    run: Runner, site: FakeCivitai, out: Path, *, broken: bool
) -> None:
    names = [f"lantern {number}" for number in range(5)]
    files = [add_model(site.world, name).files[0] for name in names]
    add_model(site.world, "twin").add_file("twin.safetensors", files[0].data)
    if broken:
        site.fail("by-hash/ids", Status(400, '{"error":"Request must include an array"}'))
    sums = [file.body.hashes["SHA256"] for file in files]
    assert run("--no-gallery", lines=[*sums[:3], *(each.lower() for each in sums[3:]), "f" * 64]) == 1
    assert names_on_disk(out) == {*names}
    asked = [seen.path.rpartition("/api/v1")[2] for seen in site.seen("site", "/api/v1")]
    alone = sums if broken else sums[:1]
    assert sorted(path.rpartition("/")[2].upper() for path in asked if "by-hash/" in path) == sorted(
        [*alone, "IDS", "F" * 64]
    )
    site.forget()
    assert run("--no-gallery") == 1
    asked = [seen.path.rpartition("/")[2] for seen in site.seen("site", "/api/v1")]
    assert {*asked} == {"f" * 64, *(["ids"] if broken else [])}
