"""The tRPC side of the fake site: who is let in, what is clamped, and both encodings."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest

from tests.fake_civitai import UNDEFINED, Date, FakeCivitai, FakeImage, devalue, superjson

KEY = {"Authorization": "Bearer good-token"}


def decoded(data: Any) -> Any:
    """Either encoding as plain values, undefined as None."""
    if isinstance(data, dict):
        return data["json"]
    flat = json.loads(data)

    def at(index: int) -> Any:
        entry = flat[index] if index >= 0 else None
        if isinstance(entry, dict):
            return {key: at(place) for key, place in entry.items()}
        if isinstance(entry, list):
            return entry[1] if entry[:1] == ["Date"] else [at(place) for place in entry]
        return entry

    return at(0) if isinstance(flat, list) else None


def ask(site: FakeCivitai, name: str, headers: dict[str, str] | None = None, **wanted: Any) -> tuple[int, Any]:
    """Status and data of a procedure, or status and message of its error."""
    url = f"{site.url}/api/trpc/{name}?input={quote(json.dumps({'json': wanted}))}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=KEY if headers is None else headers)) as answer:
            return answer.status, decoded(json.load(answer)["result"]["data"])
    except urllib.error.HTTPError as error:
        return error.code, decoded(json.load(error)["error"])["message"]


def five_pictures(site: FakeCivitai) -> list[FakeImage]:
    version = site.world.add_model().add_version()
    version.add_file()
    return [version.add_image(level, meta={"prompt": "x"}) for level in (1, 2, 4, 8, 16)]


def test_both_encodings_say_the_same() -> None:
    shared = {"name": "a"}
    value = {"at": Date("2026-01-01T00:00:00.000Z"), "none": UNDEFINED, "list": [1, True, None, shared, shared, "Date"]}
    plain = {"at": "2026-01-01T00:00:00.000Z", "none": None, "list": [1, True, None, shared, shared, "Date"]}
    assert decoded(devalue(value)) == plain
    assert superjson(value) == {"json": plain, "meta": {"values": {"at": ["Date"], "none": ["undefined"]}, "v": 1}}
    assert json.loads(devalue({"id": 1, "at": Date("x"), "b": {"n": "m"}})) == [
        {"id": 1, "at": 2, "b": 3},
        1,
        ["Date", "x"],
        {"n": 4},
        "m",
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Referer": "https://example.org/"}, 401),
        ({"Cookie": "__Secure-civ-token=good-token"}, 401),
        ({"Referer": "own"}, 200),
        ({"Origin": "own"}, 200),
        (KEY, 200),
    ],
)
def test_a_key_or_the_sites_own_origin_is_needed(site: FakeCivitai, headers: dict[str, str], status: int) -> None:
    picture = five_pictures(site)[4]
    own = {name: site.url + "/" if value == "own" else value for name, value in headers.items()}
    assert ask(site, "image.get", own, id=picture.id)[0] == status


@pytest.mark.parametrize("encoding", ["superjson", "devalue", "alternate"])
def test_levels_are_clamped_by_login_and_host(site: FakeCivitai, encoding: Any) -> None:
    ids = [picture.id for picture in five_pictures(site)]
    site.world.encoding = encoding

    def seen(headers: dict[str, str]) -> list[int]:
        _, data = ask(site, "image.getInfinite", headers, username="lantern_maker", browsingLevel=31, sort="Oldest")
        return [item["id"] for item in data["items"]]

    assert seen({"Referer": site.url}) == ids[:1]
    assert seen(KEY) == ids
    site.world.trpc_host = "com"
    assert seen(KEY) == ids[:2]
    assert ask(site, "image.get", id=1) == (404, "No image with id 1")


def test_posts_and_collections_page_in_their_own_ways(site: FakeCivitai) -> None:
    ids = [picture.id for picture in five_pictures(site)]
    post = site.world.posts[site.world.images[ids[0]].post_id]
    post.images.reverse()
    _, data = ask(site, "image.getInfinite", postId=post.id, browsingLevel=31)
    assert [item["id"] for item in data["items"]] == ids[::-1]
    liked = site.world.add_collection("Liked", ids)
    assert ask(site, "collection.getById", id=liked.id)[1]["collection"]["type"] == "Image"
    found: dict[str, list[int]] = {"Newest": [], "Oldest": []}
    for sort, numbers in found.items():
        cursor: dict[str, Any] = {}
        while True:
            query = {"collectionId": liked.id, "browsingLevel": 31, "limit": 2, "sort": sort, **cursor}
            _, data = ask(site, "image.getInfinite", **query)
            numbers += [item["id"] for item in data["items"]]
            if data["nextCursor"] is None:
                break
            cursor = {"cursor": data["nextCursor"]}
    assert found == {"Newest": [ids[4], ids[3], ids[1], ids[0]], "Oldest": ids}
    liked.read = "Private"
    assert ask(site, "collection.getById", id=liked.id)[1]["collection"] is None


def test_an_unknown_user_is_an_error_for_images_and_no_filter_for_posts(site: FakeCivitai) -> None:
    five_pictures(site)
    assert ask(site, "image.getInfinite", username="nobody") == (404, "User not found")
    assert ask(site, "post.getInfinite", username="nobody")[1]["items"][0]["user"]["username"] == "lantern_maker"


def test_a_hidden_prompt_still_names_its_resources(site: FakeCivitai) -> None:
    picture = five_pictures(site)[0]
    picture.resources = [{"modelVersionId": picture.version_ids[0], "strength": 0.8}]
    told = ask(site, "image.getGenerationData", id=picture.id)[1]
    assert (told["meta"], told["resources"][0]["strength"]) == ({"prompt": "x"}, 0.8)
    picture.hidden_meta = True
    told = ask(site, "image.getGenerationData", id=picture.id)[1]
    assert (told["meta"], told["resources"][0]["strength"]) == (None, None)
    assert told["resources"][0]["modelName"] == "Paper Lantern Style"


def test_the_other_procedures_answer(site: FakeCivitai) -> None:
    picture = five_pictures(site)[0]
    version = site.world.versions[picture.version_ids[0]]
    assert ask(site, "model.getById", id=version.model.id)[1]["modelVersions"][0]["id"] == version.id
    assert ask(site, "model.getAll", browsingLevel=31)[1]["items"][0]["version"]["id"] == version.id
    assert ask(site, "model.getAll", page=1)[0] == 400
    assert ask(site, "modelVersion.getById", id=version.id)[1]["files"] is None
    assert ask(site, "post.get", id=picture.post_id)[1]["modelVersionId"] == version.id
    assert ask(site, "user.getCreator", username="Lantern_Maker")[1]["id"] == 42
    assert ask(site, "tag.getVotableTags", id=version.model.id, type="model")[1][0]["name"] == "style"
    assert ask(site, "image.getResources", id=picture.id) == (200, [])
    assert ask(site, "image.get")[0] == 400
    assert ask(site, "image.frobnicate", id=1)[0] == 404


@pytest.mark.parametrize("encoding", ["superjson", "devalue"])
def test_an_image_page_holds_its_data(site: FakeCivitai, encoding: Any) -> None:
    picture = five_pictures(site)[0]
    site.world.encoding = encoding
    with urllib.request.urlopen(f"{site.url}/images/{picture.id}") as answer:
        match = re.search(r'<script id="__NEXT_DATA__"[^>]*>(.*?)</script>', answer.read().decode())
    assert match
    queries = decoded(json.loads(match[1])["props"]["pageProps"]["trpcState"])["queries"]
    assert [query["queryKey"][0] for query in queries] == [["image", "get"], ["image", "getGenerationData"]]
    assert queries[0]["state"]["data"]["postId"] == picture.post_id
