"""Creators, posts, collections, images and their prompts, by the command and then on the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from civitai_downloader.core.answers import image_of_page
from civitai_downloader.core.site import read_cookies
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.logs import KeptAnswers
from civitai_downloader.util.text import parse_devalue
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import (
    UNDEFINED,
    Date,
    FakeCivitai,
    FakeModel,
    FakeVersion,
    Status,
    World,
    busy,
    devalue,
    png_bytes,
)

Captured = pytest.CaptureFixture[str]
Encoding = Literal["superjson", "devalue", "alternate"]
TOKEN = ("--token", "good-token")


def read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def add_model(world: World, name: str, kind: str = "LORA", creator: str = "maker", **more: Any) -> FakeVersion:
    version = world.add_model(name, kind, creator=creator, **more).add_version()
    version.add_file(f"{name}.safetensors")
    return version


def names_on_disk(out: Path, pattern: str = "users/**/*.safetensors") -> set[str]:
    return {path.stem for path in out.glob(pattern)}


# --- Creators ------------------------------------------------------------------------------------


def big_creator(world: World, models: int, versions: int, images: int) -> None:
    """A creator with so many models, versions and own pictures, one in ten of them without a prompt."""
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
    ("encoding", "size"), [("superjson", "8,20,450"), ("devalue", "8,20,450"), ("alternate", "25,60,1200")]
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
    assert "Not given out by the site (3)" in shown
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
    assert len(list(out.rglob("*.png"))) == 200
    site.heal()
    site.forget()
    assert run("--retry-failed") == 0
    assert len(site.seen("site", "/api/v1/images")) == 2
    assert len(list(out.rglob("*.png"))) == 450


def test_answers_are_kept_for_a_day_without_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    kept = KeptAnswers(folder, read_only=False)
    kept.put("v1/models/5?x=1", {"nextPage": "https://x.example/?token=HUSH&cursor=5"})
    (path,) = folder.iterdir()
    assert "HUSH" not in path.read_text("utf-8")
    old = '{"at":"2020-01-01T00:00:00Z","type":"answer","id":"old","status":"success","answer":1}'
    path.write_text(path.read_text("utf-8") + "\n".join([old, '{"at":"torn', "no json"]), "utf-8")
    ancient = folder / "answers-2020-01-01.jsonl"
    ancient.write_text("{}\n")
    again = KeptAnswers(folder, read_only=True)
    assert again.get("v1/models/5?x=1") == {"nextPage": "https://x.example/?cursor=5"}
    assert again.get("old") is None
    again.put("new", 1)
    assert again.get("new") is None
    assert ancient.exists()
    KeptAnswers(folder, read_only=False)
    assert not ancient.exists()


# --- Posts ---------------------------------------------------------------------------------------


@pytest.fixture
def post(site: FakeCivitai) -> int:
    """A post of five pictures, R among them, one not indexed, one without a prompt, made with a LoRA."""
    world = site.world
    tool = add_model(world, "tool", creator="smith")
    base = add_model(world, "base", "Checkpoint", creator="smith")
    number = world.add_post(
        username="maker", title="Five lanterns", detail="<p>Made at <b>night</b>.</p>", version_id=tool.id
    ).id
    for place in range(5):
        meta: dict[str, Any] | None = {"prompt": f"lantern {place}"}
        if place == 1:
            meta = {"prompt": "x", "civitaiResources": [{"type": "checkpoint", "modelVersionId": base.id}]}
        image = world.add_image(
            username="maker", post_id=number, meta=meta if place != 2 else None, level=4 if place == 3 else 1
        )
        image.indexed = place != 4
    return number


@pytest.mark.parametrize("encoding", ["superjson", "devalue", "alternate"])
def test_a_post_comes_home_as_its_author_laid_it_out(
    run: Runner, site: FakeCivitai, out: Path, post: int, encoding: Encoding
) -> None:
    site.world.encoding = encoding
    assert run(f"{site.url}/posts/{post}/a-slug", *TOKEN) == 0
    facts = read(out / f"posts/{post}/post.json")
    order = [40001, 40002, 40003, 40004, 40005]
    assert (facts["title"], facts["text"], facts["images"]) == ("Five lanterns", "Made at night.", order)
    folder = out / f"posts/{post}"
    assert {path.name for path in folder.iterdir()} == {
        "post.json",
        *(f"{n}{end}" for n in order for end in (".png", ".txt")),
    }
    assert read(folder / "40003.txt")["raw_prompt"] is None
    assert read(folder / "40005.txt")["raw_prompt"] == "lantern 4"
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
    assert "deleted, private or never there" in capsys.readouterr().err


def test_loras_come_from_generation_data_too(run: Runner, site: FakeCivitai, out: Path) -> None:
    tool = add_model(site.world, "tool", creator="smith")
    base = add_model(site.world, "base", "Checkpoint", creator="smith")
    resources = [{"modelVersionId": tool.id, "strength": 0.8}, {"modelVersionId": base.id, "strength": None}]
    image = site.world.add_image(username="maker", resources=resources, tools=["ComfyUI"], techniques=["txt2img"])
    assert run(f"{site.url}/images/{image.id}", *TOKEN) == 0
    assert names_on_disk(out) == {"tool"}
    facts = read(out / f"images/{image.id}.txt")
    assert (facts["tools"], facts["techniques"]) == (["ComfyUI"], ["txt2img"])
    assert {each["modelVersionId"] for each in facts["resources"]} == {tool.id, base.id}


def test_a_lora_that_is_gone_is_no_failure_of_the_picture(run: Runner, site: FakeCivitai, out: Path) -> None:
    meta = {"prompt": "x", "civitaiResources": [{"type": "lora", "modelVersionId": 29999}]}
    image = site.world.add_image(username="maker", meta=meta)
    assert run(f"{site.url}/images/{image.id}", *TOKEN) == 0
    assert one_file(out, f"{image.id}.png").read_bytes() == png_bytes(image.id)


def test_the_posts_of_a_showcase_stand_beside_the_version(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = add_model(site.world, "lantern")
    images = [version.add_image(meta={"prompt": "a"}).id for _ in range(3)]
    site.world.posts[version.post_id].title = "My showcase"
    assert run("10001") == 0
    facts = read(one_file(out, f"post-{version.post_id}.json"))
    assert (facts["title"], facts["images"]) == ("My showcase", images)


def test_a_showcase_whose_post_is_gone_is_no_failure(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    add_model(site.world, "lantern").add_image(meta={"prompt": "a"})
    site.fail("site:/api/trpc/post.get", Status(404, "{}"), times=None)
    assert run("10001") == 0
    assert "The site does not give the text of post" in capsys.readouterr().err
    assert not list(out.rglob("post-*.json"))


def test_a_list_that_can_not_be_compared_is_a_failure_to_be_tried_again(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    add_model(site.world, "lantern")
    site.fail("site:/api/trpc/model.getAll", Status(500), times=None)
    assert run(f"{site.url}/user/maker/models", "--retries", "0", *TOKEN) == 1
    assert names_on_disk(out) == {"lantern"}
    site.heal()
    assert run("--retry-failed", *TOKEN) == 0


# --- Images --------------------------------------------------------------------------------------


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
    facts = read(out / f"images/{image.id}.txt")
    assert (facts["raw_prompt"], facts["post_id"], facts["username"], facts["nsfw_level"]) == (
        "a lantern",
        post.id,
        "maker",
        4,
    )


def test_an_image_nobody_knows_is_told(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    assert run(f"{site.url}/images/49999", *TOKEN) == 1
    assert "deleted, private or never there" in capsys.readouterr().err


# --- Collections, tags, hashes -------------------------------------------------------------------


def test_a_collection_of_pictures_comes_home(run: Runner, site: FakeCivitai, out: Path) -> None:
    images = [site.world.add_image(username="maker", meta={"prompt": "x"}, level=4).id for _ in range(3)]
    number = site.world.add_collection("Lights: best?", images).id
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 0
    folder = out / f"collections/Lights_ best_ [{number}]"
    assert sorted(read(folder / "collection.json")["items"]) == images
    assert {path.stem for path in folder.glob("*.png")} == set(map(str, images))
    assert read(folder / f"{images[0]}.txt")["raw_prompt"] == "x"


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
    assert "The collection is private or does not exist" in shown
    assert "the site shows nothing in it" in shown


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


# --- Prompts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "meta",
    [
        "a text instead of an object",
        ["a", "list"],
        {"prompt": ["no", "text"]},
        {"prompt": "lone \ud800 surrogate and \x14 control"},
        {"prompt": "big", "comfy": "x" * 5_000_000},
        {"prompt": "nested", "comfy": '{"prompt": undefined}'},
    ],
)
def test_odd_metadata_never_stops_the_rest(run: Runner, site: FakeCivitai, out: Path, meta: Any) -> None:
    site.world.add_image(username="maker", meta=meta)
    site.world.add_image(username="maker", meta={"prompt": "fine"})
    assert run(f"{site.url}/user/maker/images") == 0
    assert read(one_file(out, "40002.txt"))["raw_prompt"] == "fine"
    assert len(list(out.rglob("*.png"))) == 2
    json.loads(one_file(out, "40001.txt").read_text("utf-8"))


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
    assert len(site.seen("site", "/api/trpc/image.getGenerationData")) == 5


def test_generation_data_that_fails_fails_its_item_and_is_asked_by_the_next_run(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    site.world.add_image(username="maker", tools=["ComfyUI"])
    site.fail("site:/api/trpc/image.getGenerationData", busy(503), times=None)
    assert run(f"{site.url}/user/maker/images", *TOKEN) == 1
    assert state()["meta", "40001"]["status"] == "failed"
    assert one_file(out, "40001.png")
    assert read(one_file(out, "40001.txt"))["tools"] == []
    site.heal()
    assert run("--retry-failed", *TOKEN) == 0
    assert read(one_file(out, "40001.txt"))["tools"] == ["ComfyUI"]


def test_refused_generation_data_is_not_asked_for_ever(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for _ in range(9):
        site.world.add_image(username="maker")
    site.fail("site:/api/trpc/image.getGenerationData", Status(401, "{}"), times=None)
    assert run(f"{site.url}/user/maker/images") == 1
    assert len(site.seen("site", "/api/trpc/image.getGenerationData")) == 3
    assert "does not tell how pictures were made" in capsys.readouterr().err


# --- Word lists ----------------------------------------------------------------------------------


@pytest.fixture
def word_lists(tmp_path: Path) -> Path:
    """Three small lists in the current folder."""
    folder = tmp_path / "filters"
    folder.mkdir()
    for name, words in (("sex", "nude"), ("clothes", "dress\n드레스"), ("etc", "masterpiece")):
        (folder / f"Filter_{name}.txt").write_text(f"# comment\n{words}\n", "utf-8")
    return folder


PROMPT = "masterpiece, 1girl, red dress, nude, lantern"


@pytest.fixture
def prompted(site: FakeCivitai) -> FakeModel:
    version = add_model(site.world, "lantern")
    version.add_image(meta={"prompt": PROMPT})
    return version.model


@pytest.mark.usefixtures("prompted", "word_lists")
def test_prompts_are_cleaned_by_the_lists_of_the_current_folder(run: Runner, out: Path) -> None:
    run("10001")
    facts = read(one_file(out, "40001.txt"))
    assert facts["raw_prompt"] == PROMPT
    assert facts["prompt"] == "1girl, lantern"
    assert facts["prompt_with_clothes"] == "1girl, red dress, lantern"


@pytest.mark.usefixtures("prompted")
def test_editing_a_list_rewrites_the_prompts_without_a_request_for_them(
    run: Runner, site: FakeCivitai, out: Path, word_lists: Path, capsys: Captured
) -> None:
    run("10001")
    (word_lists / "Filter_etc.txt").write_bytes("랜턴\nlantern # 등\n".encode("cp949"))
    site.forget()
    assert run("10001") == 0
    assert not site.requests
    assert read(one_file(out, "40001.txt"))["prompt"] == "masterpiece, 1girl"
    assert "1 prompts were rewritten" in capsys.readouterr().err
    (word_lists / "Filter_etc.txt").write_text("=1girl")
    site.forget()
    assert run("--refilter") == 0
    assert not site.requests
    assert read(one_file(out, "40001.txt"))["prompt"] == "masterpiece, lantern"
    before = files_under(out)
    assert run("--refilter") == 0
    assert files_under(out) == before


@pytest.mark.usefixtures("prompted")
def test_a_missing_list_is_said_once_and_refilter_needs_a_folder(
    run: Runner, word_lists: Path, capsys: Captured, tmp_path: Path
) -> None:
    assert run("--refilter") == 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Filter_sex.txt").write_text("lantern")
    assert run("10001", "--filters", str(elsewhere)) == 0
    shown = capsys.readouterr().err
    assert shown.count("Filter_clothes.txt") == shown.count("Filter_etc.txt") == 1


# --- Cookies -------------------------------------------------------------------------------------

NETSCAPE = (
    "# Netscape HTTP Cookie File\n"
    "#HttpOnly_.civitai.com\tTRUE\t/\tTRUE\t1999999999\t__Secure-civ-token\tHUSH\n"
    ".example.com\tTRUE\t/\tTRUE\t1999999999\tother\tno\n"
)


@pytest.mark.parametrize("content", ["Cookie: a=1; __Secure-civ-token=HUSH\n", "__Secure-civ-token=HUSH", NETSCAPE])
def test_cookies_go_to_the_site_only_and_stay_secret(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, capsys: Captured, content: str
) -> None:
    add_model(site.world, "lantern").add_image()
    (tmp_path / "cookies.txt").write_text(content)
    assert run("10001", "--cookies", "cookies.txt", "-v") == 0
    assert all("__Secure-civ-token=HUSH" in seen.headers["cookie"] for seen in site.seen("site"))
    assert all("cookie" not in seen.headers for seen in site.requests if seen.host != "site")
    assert "HUSH" not in capsys.readouterr().err
    assert not [name for name, data in files_under(out).items() if b"HUSH" in data]


@pytest.mark.parametrize("content", ["", "no cookies here", "a=\x00b", "é=1"])
def test_a_cookie_file_without_cookies_is_a_usage_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "cookies.txt").write_text(content, "utf-8")
    with pytest.raises(UsageError):
        read_cookies(tmp_path / "cookies.txt")
    with pytest.raises(UsageError):
        read_cookies(tmp_path / "missing.txt")


# --- Encodings -----------------------------------------------------------------------------------


def test_a_devalue_text_is_read_back() -> None:
    value = {"at": Date("2026-01-01T00:00:00.000Z"), "none": UNDEFINED, "list": [1, True, None, {"a": "b"}, "Date"]}
    plain = {"at": "2026-01-01T00:00:00.000Z", "none": None, "list": [1, True, None, {"a": "b"}, "Date"]}
    assert parse_devalue(devalue(value)) == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1", None),
        ("-6", 0),
        ('[["Set",1,2],"a","b"]', ["a", "b"]),
        ('[["Map",1,2],"k","v"]', {"k": "v"}),
        ('[["BigInt","123"]]', 123),
        ('[["null","a",1],5]', {"a": 5}),
        ('[["URL","https://x"]]', "https://x"),
        ('[["Object",1],7]', 7),
        ("[[-7,3,1,1],9]", [9]),
        ("[[1,-2,1],4]", [4, None, 4]),
    ],
)
def test_every_form_of_devalue_is_understood(text: str, value: object) -> None:
    assert parse_devalue(text) == value


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "true", '"x"', "[[5]]", '[{"a":true}]', "[["])
def test_what_is_no_devalue_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_devalue(text)


def test_a_devalue_cycle_is_built_and_does_not_hang() -> None:
    cycle = parse_devalue('[{"me":0}]')
    assert cycle["me"] is cycle


@pytest.mark.parametrize(
    "page", ["", "<html>", '<script id="__NEXT_DATA__">{', '<script id="__NEXT_DATA__">{"props":5}</script>']
)
def test_a_page_without_its_data_gives_nothing(page: str) -> None:
    assert image_of_page(page, 5) is None


def test_levels_are_clamped_by_sfw_in_every_list(run: Runner, site: FakeCivitai, out: Path, post: int) -> None:
    assert run(f"{site.url}/posts/{post}", "--sfw", "--no-loras", *TOKEN) == 0
    assert "40004" not in {path.stem for path in out.rglob("*.png")}


MakeTarget = Callable[[FakeCivitai], str]


@pytest.mark.parametrize("kind", ["user", "tag", "collection", "post", "image"])
def test_a_dry_run_plans_every_kind_of_target(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, post: int, kind: str
) -> None:
    models = site.world.add_collection("Models", [10001], type="Model").id
    links = {
        "user": "user/smith",
        "tag": "tag/style",
        "collection": f"collections/{models}",
        "post": f"posts/{post}",
        "image": "images/40001",
    }
    assert run(f"{site.url}/{links[kind]}", "--dry-run", *TOKEN) == 0
    shown = capsys.readouterr().out
    assert ("tool.safetensors" if kind in ("user", "tag", "collection") else "pictures, not counted") in shown
    assert not out.exists()
