"""Lists that break off, pages that always fail, empty answers and what can't be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, one_file
from tests.fake_civitai import BadRow, DropFilter, FakeCivitai, Metadata, Nested, Rewrite, Status
from tests.helpers import (
    IMAGES,
    MANY,
    MODELS,
    TOKEN,
    Encoding,
    Err,
    add_file,
    add_model,
    link,
    names_on_disk,
    read_json,
)

TRPC = "site:/api/trpc/"
NO_CURSOR = Metadata({"nextCursor": None, "nextPage": None})


def prompts(out: Path) -> set[int]:
    return {int(path.stem) for path in out.rglob("*.txt") if path.stem.isdigit()}


def gallery(site: FakeCivitai, count: int) -> set[int]:
    """Add a model of one version with so many pictures in its gallery."""
    add_file(site)
    return {site.world.add_image([20001], meta={"prompt": "x"}).id for _ in range(count)}


# --- Lists that break off ---------------------------------------------------------------------------


def test_one_picture_that_the_site_can_not_list_costs_no_other_one(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    ids = gallery(site, 450)
    bad = sorted(ids)[240]
    site.fail(IMAGES, BadRow(bad), times=MANY)
    assert run(link(site), "--only", "metadata", "--max-images", "all") == 1
    assert prompts(out) == ids - {bad}
    assert "at least 1 missing" in err()
    assert f"{link(site)}" in (out / "failed.txt").read_text("utf-8")
    site.heal()
    site.forget()
    assert run("--retry-failed") == 0
    assert prompts(out) == ids
    assert len(site.seen("site")) < 45


@pytest.mark.parametrize("position", [0, 1, 98, 99])
def test_a_bad_row_in_a_small_gallery(run: Runner, site: FakeCivitai, out: Path, err: Err, position: int) -> None:
    ids = gallery(site, 100)
    bad = sorted(ids)[position]
    site.fail(IMAGES, BadRow(bad), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "0") == 1
    assert prompts(out) == ids - {bad}
    assert "missing" in err()


def test_a_bad_row_of_a_collection_and_of_a_users_models(run: Runner, site: FakeCivitai, out: Path, err: Err) -> None:
    ids = [site.world.add_image(username="x", meta={"prompt": "x"}).id for _ in range(60)]
    number = site.world.add_collection("C", ids).id
    site.fail(TRPC, BadRow(ids[30]), times=MANY)
    assert run(f"{site.url}/collections/{number}", "--only", "metadata", "--retries", "0", *TOKEN) == 1
    assert prompts(out) == {*ids} - {ids[30]}
    site.heal()
    for each in range(30):
        add_model(site.world, f"m{each}")
    site.fail(MODELS, BadRow(10011), times=MANY)
    site.fail(TRPC, BadRow(10011), times=MANY)
    assert run(f"{site.url}/user/maker/models", "--no-gallery", "--retries", "0", *TOKEN) == 1
    assert names_on_disk(out) == {f"m{each}" for each in range(30)} - {"m10"}
    assert "missing" in err()


def test_a_full_page_without_a_cursor_is_not_taken_for_the_end(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    ids = gallery(site, 300)
    site.fail(re.compile("v1/images.*Oldest"), NO_CURSOR, times=MANY)
    assert run(link(site), "--only", "metadata", "--max-images", "all") == 0
    assert prompts(out) == ids
    assert "broke off after entry 200" in err()
    site.heal()
    site.forget()
    assert run(link(site), "--only", "metadata", "--max-images", "all") == 0
    assert len(site.seen("site", "/api/v1/images")) == 2


def test_a_list_that_breaks_off_at_both_ends_fails_its_line(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    ids = gallery(site, 500)
    site.fail(IMAGES, NO_CURSOR, times=MANY)
    assert run(link(site), "--only", "metadata", "--max-images", "all") == 1
    assert len(prompts(out)) == 400
    assert "breaks off after entry 200 (at least 1 missing)" in err()
    site.heal()
    assert run("--retry-failed") == 0
    assert prompts(out) == ids


def test_the_default_gallery_of_200_pictures_costs_one_request(run: Runner, site: FakeCivitai, out: Path) -> None:
    gallery(site, 200)
    assert run(link(site), "--only", "metadata") == 0
    assert len(site.seen("site", "/api/v1/images")) == 1


def test_a_cursor_that_stands_in_the_link_alone_is_followed(run: Runner, site: FakeCivitai, out: Path) -> None:
    ids = gallery(site, 450)
    site.fail(IMAGES, Metadata({"nextCursor": None}), times=MANY)
    assert run(link(site), "--only", "metadata", "--max-images", "all") == 0
    assert prompts(out) == ids
    assert len(site.seen("site", "/api/v1/images")) == 3


# --- Empty and broken answers -----------------------------------------------------------------------


@pytest.mark.parametrize("answer", ['{"items": null}', '{"error": "maintenance"}', "{}", '{"items": {}}', "<html>"])
def test_an_answer_without_its_list_fails_the_line_and_is_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, answer: str
) -> None:
    ids = gallery(site, 5)
    kind = "text/html" if answer == "<html>" else "application/json"
    site.fail(IMAGES, Status(200, answer, content_type=kind), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "0") == 1
    assert (out / "failed.txt").exists()
    site.heal()
    assert run("--retry-failed") == 0
    assert prompts(out) == ids


def test_an_empty_list_is_never_kept(run: Runner, site: FakeCivitai, out: Path) -> None:
    ids = gallery(site, 5)
    site.fail(IMAGES, Status(200, '{"items": [], "metadata": {}}'))
    assert run(link(site), "--only", "metadata") == 0
    assert not prompts(out)
    assert run(link(site), "--only", "metadata") == 0
    assert prompts(out) == ids


@pytest.mark.parametrize("word", ["10001", "{site}/model-versions/20001", "10001 10002", "{site}/user/maker"])
def test_a_model_without_versions_is_asked_for_again(run: Runner, site: FakeCivitai, out: Path, word: str) -> None:
    add_model(site.world, "new")
    add_model(site.world, "other")

    def without(answer: Any) -> Any:
        for model in answer.get("items", [answer]):
            if model["id"] == 10001:
                model["modelVersions"] = []
        return answer

    site.fail(re.compile(r"/api/v1/models(/|\?)"), Rewrite(without), times=MANY)
    site.fail(re.compile("model-versions/20001"), Status(404), times=MANY)
    words = word.format(site=site.url).split()
    run(*words, "--no-gallery", *TOKEN)
    assert "new" not in names_on_disk(out)
    site.heal()
    assert run(*words, "--no-gallery", *TOKEN) == 0
    assert "new" in names_on_disk(out)


@pytest.mark.parametrize("listed", [False, True])
def test_what_a_kept_answer_says_of_a_file_that_failed_is_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, *, listed: bool
) -> None:
    version = add_model(site.world, "lantern")
    file = version.files[0]
    right = file.body
    file.hashes = {"SHA256": "AB" * 32}
    word = f"{site.url}/user/maker/models" if listed else "10001"
    assert run(word, "--no-gallery", *TOKEN) == 1
    file.hashes = None
    assert file.body is right
    assert run("--retry-failed", "--no-gallery", *TOKEN) == 0
    assert names_on_disk(out) == {"lantern"}
    site.forget()
    assert run(word, "--no-gallery", *TOKEN) == 0
    assert len(site.seen("site", "/api/v1/")) == 0


@pytest.mark.parametrize("state", ["Archived", "TakenDown"])
def test_a_model_that_comes_back_is_seen_by_a_retry(run: Runner, site: FakeCivitai, out: Path, state: str) -> None:
    version = add_model(site.world, "lantern", mode=state)
    assert run("10001", "--no-gallery") == 1
    version.model.mode = None
    assert run("--retry-failed") == 0
    assert names_on_disk(out) == {"lantern"}


def test_early_access_that_has_ended_is_seen_by_a_retry(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = add_model(site.world, "lantern")
    version.early_access = "permanent"
    assert run("10001", "--no-gallery", *TOKEN) == 1
    version.early_access = None
    site.forget()
    assert run("--retry-failed", *TOKEN) == 0
    assert site.seen("site", "/api/v1/models/10001")


# --- What can't be read -----------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [60, 600, 200_000])
def test_one_picture_whose_data_are_nested_too_deeply_costs_no_other_one(
    run: Runner, site: FakeCivitai, out: Path, err: Err, levels: int
) -> None:
    ids = gallery(site, 5)
    site.fail(IMAGES, Nested(40003, levels), times=MANY)
    assert run(link(site), "--retries", "0") == 0
    assert prompts(out) == ids
    assert {int(path.stem) for path in out.rglob("images/*.png")} == ids
    assert read_json(one_file(out, "40003.txt"))["raw_prompt"] == "deep"
    assert "nested too deeply in 40003" in err()
    assert run(link(site)) == 0


@pytest.mark.parametrize("encoding", ["superjson", "devalue"])
def test_deep_data_of_the_inner_interface_cost_nothing_else(
    run: Runner, site: FakeCivitai, out: Path, encoding: Encoding
) -> None:
    ids = [site.world.add_image(username="x").id for _ in range(3)]
    deep: Any = 1
    for _ in range(75):
        deep = {"x": [deep]}
    site.world.images[ids[1]].meta = {"prompt": "deep", "comfy": deep}
    site.world.encoding = encoding
    number = site.world.add_collection("C", ids).id
    assert run(f"{site.url}/collections/{number}", "--retries", "0", *TOKEN) == 0
    assert prompts(out) == {*ids}


HOSTILE: list[dict[str, Any]] = [
    {"name": 7, "publishedAt": "x" * 100_000, "trainedWords": {"a": 1}},
    {"name": "n" * 100_000, "baseModel": ["x"], "files": "x", "images": 7},
    {"files": [{"id": 5, "name": "\ud800.safetensors", "sizeKB": "1e999", "hashes": [], "metadata": 7}]},
    {"files": [{"id": int("7" * 118), "name": "x.safetensors"}, {"id": -5, "name": "y.safetensors"}]},
    {"images": [{"id": int("7" * 118), "url": "http://[/40001.png"}, {"url": "//x", "id": 1.5}, [], None]},
    {"publishedAt": "99999-99-99", "paidAccess": {"permanent": "yes", "endsAt": "0000-00-00T00:00:00Z"}},
    {"description": ["x"], "stats": None, "nsfwLevel": "x", "trainedWords": [None, 7, {"a": "b"}, "\u0000"]},
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_one_hostile_version_costs_its_neighbours_nothing(
    run: Runner, site: FakeCivitai, out: Path, err: Err, hostile: dict[str, Any]
) -> None:
    model = add_model(site.world, "good").model
    model.add_version("late").add_file("late.safetensors")

    def spoil(answer: Any) -> Any:
        for each in answer.get("items", [answer]):
            each["modelVersions"].insert(1, {"id": 20007, **json.loads(json.dumps(hostile))})
        return answer

    site.fail(re.compile(r"/api/v1/models(/|\?)"), Rewrite(spoil), times=MANY)
    run("10001", "--no-gallery", "--retries", "0")
    assert names_on_disk(out) >= {"good", "late"}
    assert "Traceback" not in err()


@pytest.mark.parametrize("number", [int("9" * 118), -5, 1.5, True, "9" * 118, "-5", float("inf"), None, [1]])
def test_ids_that_are_none_neither_loop_nor_break(
    run: Runner, site: FakeCivitai, out: Path, err: Err, number: Any
) -> None:
    add_model(site.world, "good")
    post = site.world.add_post(username="maker").id
    site.world.add_image(username="maker", post_id=post)

    def spoil(answer: Any) -> Any:
        items = answer["items"]
        items.insert(0, {**items[0], "id": number})
        return answer

    site.fail(MODELS, Rewrite(spoil), times=MANY)
    site.fail(IMAGES, Rewrite(spoil), times=MANY)
    run(f"{site.url}/user/maker", "--no-gallery", "--retries", "0", *TOKEN)
    assert "good" in names_on_disk(out)
    assert "Traceback" not in err()
    assert "bug in this program" not in err()


def test_bytes_that_are_no_utf8_cost_no_page(run: Runner, site: FakeCivitai, out: Path) -> None:
    ids = gallery(site, 3)
    site.world.images[40002].meta = {"prompt": "BROKEN", "seed": 7}
    whole = json.dumps(
        {
            "items": [
                {"id": each, "url": "http://127.0.0.1:9/x.png", "meta": {"prompt": "BROKEN"}} for each in sorted(ids)
            ]
        }
    ).encode()
    site.fail(IMAGES, Status(200, whole.replace(b"BROKEN", b"a \xff\xfe lantern")), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "0") == 0
    assert prompts(out) == ids


def test_a_number_of_five_thousand_digits_costs_no_page(run: Runner, site: FakeCivitai, out: Path) -> None:
    ids = gallery(site, 3)
    rows = [{"id": each, "url": "http://127.0.0.1:9/x.png", "meta": {"prompt": "x", "seed": 77777}} for each in ids]
    text = json.dumps({"items": rows}).replace("77777", "9" * 5000)
    site.fail(IMAGES, Status(200, text), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "0") == 0
    assert prompts(out) == ids


def test_a_dropped_filter_is_not_kept(run: Runner, site: FakeCivitai, out: Path) -> None:
    gallery(site, 5)
    site.fail(IMAGES, DropFilter(("modelVersionId",)), times=MANY)
    for each in range(20):
        site.world.add_image([7], id=1000 + each)
    assert run(link(site), "--only", "metadata") == 1
    kept = "".join(path.read_text("utf-8") for path in out.rglob("answers-*.jsonl"))
    assert "v1/images" not in kept
