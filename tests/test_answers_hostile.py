"""A hostile or half-broken site costs only what it spoils."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, Rewrite, Status
from tests.helpers import IMAGES, MANY, TOKEN, Err, add_file, add_model, link, names_on_disk


def test_generation_data_of_another_picture_are_not_written(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_file(site)
    site.world.add_image([20001])
    told = {"meta": {"prompt": "another"}, "resources": [{"imageId": 7, "modelVersionId": 5}]}
    change = Rewrite(lambda answer: {"result": {"data": {"json": told}}})
    site.fail("getGenerationData", change, times=MANY)
    assert run(link(site), "--only", "metadata") == 1
    assert not [path for path in out.rglob("4*.txt") if "another" in path.read_text("utf-8")]


def test_a_version_of_another_model_is_not_taken(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "mine")
    add_model(site.world, "foreign")

    def spoil(answer: Any) -> Any:
        for model in answer.get("items", [answer]):
            model["modelVersions"].append({**model["modelVersions"][0], "id": 20002, "modelId": 777, "name": "foreign"})
        return answer

    site.fail(re.compile("v1/models"), Rewrite(spoil), times=MANY)
    assert run("10001", "--no-gallery") == 0
    assert not list(out.rglob("*foreign*"))


def test_a_version_of_another_model_than_the_link_names_is_refused(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    add_model(site.world, "mine")
    add_model(site.world, "foreign")
    assert run("10001@20002", "--no-gallery") == 1
    assert "belongs to model 10002, not to 10001" in err()
    assert not names_on_disk(out)


@pytest.mark.parametrize(
    ("told", "code"), [(0, 1), (-3, 0), (int("9" * 118), 0), (True, 0), ("5", 0), (2.5, 0), (None, 0), (3, 0), (2, 1)]
)
def test_a_number_of_members_is_believed_only_if_it_is_one(
    run: Runner, site: FakeCivitai, told: object, code: int
) -> None:
    pictures = [site.world.add_image(username="x", meta={"prompt": "x"}).id for _ in range(5)]
    number = site.world.add_collection("C", pictures).id
    site.fail("v1/collections", Rewrite(lambda answer: {**answer, "itemCount": told}), times=MANY)
    assert run(f"{site.url}/collections/{number}", "--only", "metadata", *TOKEN) == code


def test_a_collection_whose_number_is_not_told_is_asked_for_once(run: Runner, site: FakeCivitai, out: Path) -> None:
    number = site.world.add_collection("C", [site.world.add_image(username="x", meta={"prompt": "x"}).id]).id
    site.fail("v1/collections", Status(404), times=MANY)
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 0
    site.forget()
    assert run(f"{site.url}/collections/{number}", *TOKEN) == 0
    assert not site.seen("site")


@pytest.mark.parametrize(
    ("cursor", "code"),
    [({"a": 1}, 0), ([1], 0), (True, 0), (1.5, 0), ("\0\r\nX: y", 1), (-1, 1), ("x" * 1_000_000, 1)],
    ids=lambda value: str(value)[:9],
)
def test_a_cursor_that_is_none_ends_the_list_and_a_refused_one_is_not_kept(
    run: Runner, site: FakeCivitai, out: Path, cursor: object, code: int
) -> None:
    add_file(site)
    ids = {site.world.add_image([20001], meta={"prompt": "x"}).id for _ in range(5)}
    site.fail(IMAGES, Rewrite(lambda answer: {**answer, "metadata": {"nextCursor": cursor}}), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "0") == code
    assert {int(path.stem) for path in out.rglob("4*.txt")} == ids
    site.heal()
    assert run(*(["--retry-failed"] if code else [link(site), "--only", "metadata"])) == 0


def test_a_later_page_that_is_not_there_is_no_end(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "mine", creator="maker")
    for _ in range(450):
        site.world.add_image([20001], meta={"prompt": "x"})
    site.fail(re.compile("v1/images.*cursor="), Status(404), times=MANY)
    words = ("--only", "metadata", "--max-images", "all", *TOKEN)
    assert run(f"{site.url}/user/maker/models", *words) == 1
    assert len(list(out.rglob("4*.txt"))) == 400


def test_a_site_that_is_down_is_asked_little_more_than_before(run: Runner, site: FakeCivitai) -> None:
    add_file(site)
    site.fail(IMAGES, Status(500), times=MANY)
    assert run(link(site), "--only", "metadata", "--retries", "1") == 1
    assert len(site.seen("site", "/api/v1/images")) <= 12
