"""How pictures were made is asked for 20 at a time, and one by one where a server does not know how to answer that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from civitai_downloader.core.settings import Settings
from civitai_downloader.core.site import LONGEST_LINK, Site
from tests.conftest import QuickClock, Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeImage, Rewrite, Status
from tests.fake_civitai.encoding import encoded
from tests.helpers import MANY, Captured, Encoding, add_model, read_json

GENERATION = "site:/api/trpc/image.getGenerationData"


def silent_pictures(site: FakeCivitai, count: int) -> list[FakeImage]:
    """Add pictures that tell no prompt in lists, but a tool of their own when they are asked for it."""
    return [site.world.add_image(username="maker", tools=[f"tool {number}"]) for number in range(count)]


def asked(site: FakeCivitai) -> list[list[int]]:
    """Return the ids that each request for generation data named."""
    found = []
    for seen in site.seen("site", "/api/trpc/image.getGenerationData"):
        inputs = json.loads(seen.query["input"][0])
        members = list(inputs.values()) if seen.query.get("batch") else [inputs]
        found.append([member["json"]["id"] for member in members])
    return found


def tools(out: Path, image: FakeImage) -> Any:
    return read_json(one_file(out, f"{image.id}.txt"))["tools"]


# --- Asked together ------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["superjson", "devalue", "alternate"])
def test_pictures_without_a_prompt_are_asked_for_20_at_a_time(
    run: Runner, site: FakeCivitai, out: Path, state: State, encoding: Encoding
) -> None:
    site.world.encoding = encoding
    pictures = silent_pictures(site, 45)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 0
    assert [len(ids) for ids in asked(site)] == [20, 20, 5]
    assert sorted(image_id for ids in asked(site) for image_id in ids) == [image.id for image in pictures]
    for number, image in enumerate(pictures):
        assert tools(out, image) == [f"tool {number}"]
        assert state()["meta", str(image.id)]["status"] == "success"


def test_a_thousand_silent_pictures_cost_at_most_60_requests(run: Runner, site: FakeCivitai) -> None:
    silent_pictures(site, 1000)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 0
    assert len(asked(site)) == 50
    assert len({image_id for ids in asked(site) for image_id in ids}) == 1000


def test_albums_share_a_request(run: Runner, site: FakeCivitai, out: Path) -> None:
    pictures = []
    for number in range(30):
        version = add_model(site.world, f"lantern {number}")
        pictures += [version.add_image(tools=[f"tool {number}"]) for _ in range(2)]
    links = [f"{site.url}/models/{model}" for model in site.world.models]
    assert run(*links, "--only", "metadata") == 0
    assert [len(ids) for ids in asked(site)] == [20, 20, 20]
    for number, image in enumerate(pictures):
        assert tools(out, image) == [f"tool {number // 2}"]


def test_full_metadata_is_asked_together_too(run: Runner, site: FakeCivitai) -> None:
    for _ in range(25):
        site.world.add_image(username="maker", meta={"prompt": "x"})
    assert run(f"{site.url}/user/maker/images", "--only", "metadata", "--full-metadata") == 0
    assert [len(ids) for ids in asked(site)] == [20, 5]


def test_links_stay_short_and_carry_the_referer(run: Runner, site: FakeCivitai) -> None:
    for number in range(40):
        site.world.add_image(id=2_000_000_000 - number, username="maker")
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 0
    requests = site.seen("site", "/api/trpc/image.getGenerationData")
    for seen in requests:
        assert seen.method == "GET"
        assert seen.headers["referer"] == f"{site.url}/"
        assert seen.path.count("image.getGenerationData") == len(json.loads(seen.query["input"][0]))
    assert [len(ids) for ids in asked(site)] == [20, 20]


@pytest.mark.parametrize("padding", [0, 20, 85, 850, 1700])
def test_a_link_holds_as_many_calls_as_fit(site: FakeCivitai, padding: int) -> None:
    calls = [{"id": 1, "padding": "x" * padding} for _ in range(40)]
    answers = list(Site(Settings(site=site.url), QuickClock()).trpc_batch("image.getGenerationData", calls))
    assert [str(answer).partition(":")[0] for answer in answers] == ["Not found"] * 40
    requests = site.seen("site", "/api/trpc/image.getGenerationData")
    sizes = [seen.path.count(",") + 1 for seen in requests]
    assert sum(sizes) == 40
    assert len(sizes) == {0: 2, 20: 3, 85: 4, 850: 20, 1700: 40}[padding]
    assert all(len(f"{site.url}{seen.path}?{seen.raw_query}") < LONGEST_LINK for seen in requests)


# --- Servers that do not know it -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["400", "404", "405", "first", "short"])
def test_a_server_without_batches_is_asked_one_by_one(
    run: Runner, site: FakeCivitai, out: Path, way: Literal["400", "404", "405", "first", "short"]
) -> None:
    site.world.batches = way
    pictures = silent_pictures(site, 45)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 0
    assert [len(ids) for ids in asked(site)] == [20, *[1] * 45]
    for number, image in enumerate(pictures):
        assert tools(out, image) == [f"tool {number}"]


# --- What fails ----------------------------------------------------------------------------------


def test_a_picture_that_is_gone_concerns_no_other_one(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    site.world.encoding = "alternate"
    pictures = silent_pictures(site, 21)
    gone = next(image for image in pictures if image.id == 40007)

    def forget(answers: Any) -> Any:
        site.world.images.pop(gone.id, None)
        return answers

    site.fail("site:/api/v1/images", Rewrite(forget), times=MANY)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 0
    assert [seen.status for seen in site.seen("site", "/api/trpc/image.getGenerationData")] == [207, 200]
    assert [tools(out, image) for image in pictures if image is not gone] == [
        [f"tool {number}"] for number, image in enumerate(pictures) if image is not gone
    ]
    assert tools(out, gone) == []
    assert state()["meta", str(gone.id)]["status"] == "success"


@pytest.mark.parametrize("encoding", ["superjson", "devalue"])
def test_a_call_that_fails_for_good_fails_its_picture_alone(
    run: Runner, site: FakeCivitai, out: Path, state: State, capsys: Captured, encoding: Encoding
) -> None:
    site.world.encoding = encoding
    pictures = silent_pictures(site, 5)

    def break_third(answers: Any) -> Any:
        error = {"message": "No access", "code": -32003, "data": {"code": "FORBIDDEN", "httpStatus": 403}}
        answers[2] = {"error": encoded(site.world, error)}
        return answers

    site.fail(GENERATION, Rewrite(break_third))
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 1
    third = asked(site)[0][2]
    for number, image in enumerate(pictures):
        assert tools(out, image) == ([] if image.id == third else [f"tool {number}"])
        assert state()["meta", str(image.id)]["status"] == ("failed" if image.id == third else "success")
    assert f"Access denied with this token (1)\n  maker: picture {third}\n" in capsys.readouterr().err
    site.heal()
    site.forget()
    assert run("--retry-failed") == 0
    assert asked(site) == [[third]]


def test_a_call_that_may_succeed_later_is_asked_again_alone(run: Runner, site: FakeCivitai, out: Path) -> None:
    pictures = silent_pictures(site, 5)

    def stumble(answers: Any) -> Any:
        error = {"message": "Server busy", "code": -32029, "data": {"code": "TOO_MANY_REQUESTS", "httpStatus": 429}}
        answers[1] = {"error": {"json": error}}
        answers[3] = {"unknown": 1}
        return answers

    site.fail(GENERATION, Rewrite(stumble))
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 1
    second, fourth = asked(site)[0][1], asked(site)[0][3]
    assert asked(site)[1:] == [[second]]
    assert [tools(out, image) for image in pictures if image.id != fourth] == [
        [f"tool {number}"] for number, image in enumerate(pictures) if image.id != fourth
    ]


def test_a_refused_batch_counts_as_refusals_of_its_pictures(
    run: Runner, site: FakeCivitai, capsys: Captured, state: State
) -> None:
    silent_pictures(site, 50)
    site.fail(GENERATION, Status(401, "{}"), times=MANY)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 1
    assert [len(ids) for ids in asked(site)] == [20]
    assert "doesn't say how pictures were made" in capsys.readouterr().err
    assert [record["status"] for (kind, _), record in state().items() if kind == "meta"] == ["failed"] * 3


@pytest.mark.parametrize("way", ["list", "404"])
def test_after_three_refused_pictures_nothing_more_is_asked(
    run: Runner, site: FakeCivitai, way: Literal["list", "404"]
) -> None:
    site.world.batches = way
    silent_pictures(site, 50)

    def refuse(answers: Any) -> Any:
        error = {"message": "No access", "code": -32003, "data": {"code": "FORBIDDEN", "httpStatus": 403}}
        return [{"error": {"json": error}} for _ in answers]

    if way == "list":
        site.fail(GENERATION, Rewrite(refuse), times=MANY)
    else:
        site.fail(r"getGenerationData\?input", Status(403, "{}"), times=MANY)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 1
    assert [len(ids) for ids in asked(site)] == ([20] if way == "list" else [20, 1, 1, 1])


def test_a_listing_that_breaks_off_still_asks_for_what_it_brought(run: Runner, site: FakeCivitai, out: Path) -> None:
    pictures = silent_pictures(site, 205)
    site.fail(r"site:/api/v1/images\?.*cursor", Status(400, "{}"), times=MANY)
    assert run(f"{site.url}/user/maker/images", "--only", "metadata") == 1
    assert sum(len(ids) for ids in asked(site)) == 200
    assert tools(out, pictures[0]) == ["tool 0"]
