"""Descriptions and prompts become files for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.pages import image_facts, licence_text, model_text, plain_text
from civitai_downloader.core.prompts import Filters
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import image_of, model_of, newest, read_json

FILTERS = Filters()
META = {
    "prompt": "a lantern",
    "negativePrompt": "blur",
    "steps": 28,
    "sampler": "Euler a",
    "cfgScale": 6.5,
    "seed": 2**64,
    "Size": "832x1216",
    "Model": "xl",
    "resources": [{"name": "r"}],
    "civitaiResources": [{"modelVersionId": 5}],
}


def test_a_description_becomes_plain_text() -> None:
    markup = "<p>Warm <b>paper</b> light &amp; more.</p><ul><li>one</li><li>two</li></ul>a<br/>b<script>x</script>"
    assert plain_text(markup) == "Warm paper light & more.\n\n- one\n- two\na\nbx"


def test_hostile_markup_costs_no_time() -> None:
    assert plain_text("<" * 300_000) == "<" * 300_000


@pytest.mark.parametrize("meta", [META, {"id": 40001, "meta": META}])
def test_the_facts_of_an_image_are_read_from_both_forms_of_meta(meta: dict[str, Any]) -> None:
    image = image_of(meta=meta, postId=5, username="u", browsingLevel=2, width=8, height=9)
    facts = image_facts(image, "page", FILTERS)
    assert facts["raw_prompt"] == facts["prompt"] == facts["prompt_with_clothes"] == "a lantern"
    assert (facts["negative_prompt"], facts["steps"], facts["cfg_scale"], facts["seed"]) == ("blur", 28, 6.5, 2**64)
    assert facts["resources"] == [{"name": "r"}, {"modelVersionId": 5}]
    assert facts["meta"] == META
    assert list(facts)[:10] == [
        "id",
        "url",
        "page",
        "post_id",
        "username",
        "created_at",
        "width",
        "height",
        "type",
        "nsfw_level",
    ]


@pytest.mark.parametrize("meta", [None, "text that is no object", ["a", "b"], {"prompt": 5}, {}])
def test_an_image_without_a_prompt_has_null_there(meta: Any) -> None:
    facts = image_facts(image_of(meta=meta), "page", FILTERS)
    assert facts["raw_prompt"] is None
    assert facts["meta"] == meta


LICENCE = {"allowNoCredit": False, "allowDerivatives": True, "allowDifferentLicense": False}


@pytest.mark.parametrize(
    ("commercial", "words"),
    [
        (["Image", "Sell"], "images made with it may be sold; the model and merges of it may be sold"),
        ("{Image,RentCivit}", "images made with it may be sold; it may run on Civitai's generator"),
        ("Rent", "it may run on paid generation services"),
        ("None", "no commercial use"),
        ([], "no commercial use"),
        (["Unheard"], "unheard"),
    ],
)
def test_a_licence_is_told_in_words(commercial: Any, words: str) -> None:
    model = model_of(**LICENCE, allowCommercialUse=commercial)
    told = f"the creator must be credited; {words}; merges may be shared; merges must keep these permissions"
    assert licence_text(model) == told
    assert f"Licence: {told}" in model_text(model, "url").splitlines()


@pytest.mark.parametrize("commercial", [None, 5, {"a": 1}])
def test_a_licence_that_the_site_does_not_tell_is_not_made_up(commercial: Any) -> None:
    assert licence_text(model_of(allowNoCredit=None, allowCommercialUse=commercial)) == ""
    assert "Licence" not in model_text(model_of(), "url")


# --- By the command ------------------------------------------------------------------------------


def test_descriptions_are_saved_and_their_scripts_are_shut_off(run: Runner, out: Path, lora: FakeModel) -> None:
    lora.description = "<p>Hello</p><script>alert(1)</script>"
    run("10001")
    page = one_file(out, "description.html").read_text("utf-8")
    assert "default-src 'none'" in page.partition("<script>")[0]
    assert "Hello" in one_file(out, "model.txt").read_text("utf-8")


@pytest.mark.usefixtures("lora")
def test_a_prompt_file_holds_what_the_site_told(run: Runner, out: Path) -> None:
    run("10001")
    facts = read_json(one_file(out, "40001.txt"))
    assert facts["raw_prompt"] == "a lantern"
    assert facts["meta"] == {"prompt": "a lantern", "steps": 20}
    assert facts["model_versions"] == [20002]
    assert read_json(one_file(out, "40002.txt"))["raw_prompt"] is None


def test_a_prompt_that_is_hidden_later_stays_on_disk(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    run("10001")
    for image in newest(lora).images:
        image.hidden_meta = True
    run("10001", "--refresh")
    assert read_json(one_file(out, "40001.txt"))["raw_prompt"] == "a lantern"


def test_a_signed_link_in_a_prompt_is_cut(run: Runner, out: Path, lora: FakeModel) -> None:
    link = "https://x.example/a.png?w=1&sig=HUSH&token=HUSH"
    newest(lora).add_image(meta={"prompt": "p", "sourceImage": {"url": link}})
    run("10001")
    assert not [name for name, data in files_under(out).items() if b"HUSH" in data]
    assert read_json(one_file(out, "40004.txt"))["meta"] == {
        "prompt": "p",
        "sourceImage": {"url": "https://x.example/a.png?w=1"},
    }
