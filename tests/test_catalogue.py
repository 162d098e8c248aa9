"""Every form of target leads to its models and versions, with as few requests as possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, State
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured, read_json, storage_requests


@pytest.mark.parametrize(
    ("word", "files"),
    [
        ("{site}/models/10001", {"30001", "30002"}),
        ("https://civitai.red/models/10001/slug", {"30001", "30002"}),
        ("10001", {"30001", "30002"}),
        ("20002", {"30002"}),
        ("https://civitai.com/models/10001?modelVersionId=20001", {"30001"}),
        ("https://civitai.com/model-versions/20001", {"30001"}),
        ("https://civitai.com/api/download/models/20002?fileId=30002&token=abc", {"30002"}),
        ("https://civitai.com/api/download/models/20002?type=Model&format=SafeTensor", {"30002"}),
        ("urn:air:sdxl:lora:civitai:10001@20001", {"30001"}),
        ("10001@20002", {"30002"}),
        ("99@20002", {"30002"}),
    ],
)
@pytest.mark.usefixtures("lora")
def test_every_form_of_target_brings_its_files(
    run: Runner, site: FakeCivitai, state: State, word: str, files: set[str]
) -> None:
    assert run(word.format(site=site.url), "--no-gallery") == (0 if not word.startswith("99@") else 1)
    if word.startswith("99@"):
        return
    assert {key.split("/")[1] for kind, key in state() if kind == "model"} == files


@pytest.mark.usefixtures("lora")
def test_a_bare_id_says_what_it_is(run: Runner, capsys: Captured) -> None:
    run("20002")
    assert "20002 is Paper Lantern Style [10001]" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_the_same_target_in_many_forms_is_fetched_once(run: Runner, site: FakeCivitai, out: Path) -> None:
    assert run(lines=["10001", "https://civitai.com/models/10001", "10001", "air:sdxl:lora:civitai:10001"]) == 0
    assert len(site.seen("site", "/api/v1/models/10001")) == 1
    assert storage_requests(site) == 2
    targets = read_json(out / "report.json")["targets"]
    assert [target["note"] for target in targets] == ["", "the same as an earlier line"]


def test_a_list_of_models_is_asked_for_in_hundreds(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.build_library(models=180, versions=180, files=180, images=0)
    site.world.models[10005].minor = True  # one that the list leaves out
    assert run("--only", "metadata", "--no-gallery", lines=[*map(str, site.world.models)]) == 0
    assert len(site.requests) == 3
    assert len(list(out.rglob("model.json"))) == 180
    site.forget()
    assert run("--only", "metadata", "--no-gallery", lines=[*map(str, site.world.models)]) == 0
    assert not site.requests
