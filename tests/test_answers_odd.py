"""When an answer has another shape than expected, the command goes on with what it understands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.answers import image_of_page
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import IMAGES, MANY, MODELS, Err, add_file, landed, link, read_json

WRONG: tuple[Any, ...] = (
    None,
    7,
    "text",
    [],
    {},
    [None, 5, "x", []],
    True,
    -1,
    1e400,
    "../../x",
    "\ud800",
    "http://h/x",
    {"a": {}},
)
MODEL_KEYS = "name type creator tags description stats modelVersions id mode nsfwLevel allowCommercialUse".split()
VERSION_KEYS = "id name files images baseModel stats trainedWords publishedAt availability description air".split()
FILE_KEYS = "id name sizeKB type hashes metadata primary downloadUrl".split()
IMAGE_KEYS = "id url type meta username postId nsfwLevel width createdAt modelVersionIds hasMeta".split()


def with_wrong(answer: Any, level: str, key: str, wrong: Any) -> Any:
    """Replace a key of a model, or of all its versions, files or images, in the answer and return that."""
    versions = answer["modelVersions"]
    places = {"model": [answer], "version": versions}
    places |= {name: [each for version in versions for each in version[f"{name}s"]] for name in ("file", "image")}
    for place in places[level]:
        place[key] = wrong
    return answer


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("level", "keys"),
    [("model", MODEL_KEYS), ("version", VERSION_KEYS), ("file", FILE_KEYS), ("image", IMAGE_KEYS)],
    ids=["model", "version", "file", "image"],
)
def test_a_field_of_the_wrong_type_breaks_nothing(
    site: FakeCivitai, run: Runner, out: Path, err: Err, level: str, keys: list[str], step: int
) -> None:
    faults = {}
    for fault in [(key, wrong) for key in keys for wrong in WRONG][::step]:
        faults[add_file(site, 2000) and max(site.world.models)] = fault
        site.world.versions[max(site.world.versions)].add_image(meta={"prompt": "x"})

    def change(answer: Any) -> Any:
        for each in answer.get("items", [answer]):
            with_wrong(each, level, *faults[each["id"]])
        return answer

    site.fail(MODELS, fake.Rewrite(change), times=MANY)
    assert run("--no-gallery", "--retries", "0", *(f"{site.url}/models/{model}" for model in faults)) in (0, 1)
    said = err()
    assert "bug in this program" not in said
    assert "Traceback" not in said
    assert {each.name for each in out.parent.iterdir()} == {"downloads"}


def test_a_picture_whose_link_is_broken_harms_no_other(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    site.fail(
        MODELS, fake.Rewrite(lambda answer: with_wrong(answer, "image", "url", "http://[broken/x.png")), times=MANY
    )
    assert run("--no-gallery", link(site)) == 0
    assert "1 pictures without a usable link were left out" in err()
    assert landed(out, file)


def test_pictures_with_odd_metadata_are_kept(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site, 2000)
    odd = [*WRONG, {"prompt": 5}, {"prompt": ["x"], "meta": 7}, {"meta": {"prompt": "z"}}, {"meta": [1]}]
    odd += [{"resources": 5, "hashes": [], "civitaiResources": "x", "seed": {}, "steps": [], "Size": 5, "Model": {}}]
    metas = {site.world.add_image([20001]).id: meta for meta in odd}

    def change(answer: Any) -> Any:
        return {**answer, "items": [{**item, "meta": metas[item["id"]]} for item in answer["items"]]}

    site.fail(IMAGES, fake.Rewrite(change), times=MANY)
    assert run(link(site)) == 0
    assert "Traceback" not in err()
    assert {int(Path(name).stem) for name in files_under(out / "users", "4*.txt")} == set(metas)
    assert len(files_under(out / "users", "4*.png")) == len(metas)


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
    assert read_json(one_file(out, "40002.txt"))["raw_prompt"] == "fine"
    assert len(list(out.rglob("*.png"))) == 2
    json.loads(one_file(out, "40001.txt").read_text("utf-8"))


@pytest.mark.parametrize("answer", ["null", "[]", "7", '"text"', "{}", '{"modelVersions":[null,7]}', "[" * 100_000])
def test_an_answer_of_another_shape_is_a_sentence(site: FakeCivitai, run: Runner, err: Err, answer: str) -> None:
    site.fail(MODELS, fake.Status(200, answer), times=MANY)
    assert run("10001") == 1
    said = err()
    assert "bug in this program" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "answer",
    [
        '{"items":[]}',
        '{"items":[null,7,{"id":"x"},{}],"metadata":7}',
        f'{{"items":[{{"id":{10**30},"url":"http://127.0.0.1:9/x.png","type":"image"}}]}}',
    ],
)
def test_an_odd_gallery_does_no_harm(site: FakeCivitai, run: Runner, out: Path, answer: str) -> None:
    file = add_file(site)
    site.fail(IMAGES, fake.Status(200, answer), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)


@pytest.mark.parametrize(
    "page", ["", "<html>", '<script id="__NEXT_DATA__">{', '<script id="__NEXT_DATA__">{"props":5}</script>']
)
def test_a_page_without_its_data_gives_nothing(page: str) -> None:
    assert image_of_page(page, 5) is None
