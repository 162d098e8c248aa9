"""The fake site behaves as the real one does, traps included."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.fake_civitai import (
    ACCOUNT,
    GARBAGE,
    REGION_BLOCKED,
    Always416,
    Changed,
    Cut,
    CutChunked,
    FakeCivitai,
    FakeVersion,
    FlipBit,
    Gzip,
    IgnoreIfRange,
    IgnoreRange,
    Longer,
    RedirectTo,
    Reset,
    ResetEvery,
    Stall,
    Unasked206,
    World,
    WrongStart,
    busy,
    demo_world,
    from_now,
    load_recorded,
    safetensors_bytes,
)

KEY = {"Authorization": "Bearer good-token"}
BROWSER = {"User-Agent": "Mozilla/5.0"}


class Answer:
    """One answer without redirects followed."""

    def __init__(self, url: str, method: str = "GET", body: bytes | None = None, /, **headers: str) -> None:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=5)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"User-Agent": "test/1.0", **headers})
        response = connection.getresponse()
        self.status, self.headers = response.status, response.headers
        try:
            self.body, self.broken = response.read(), ""
        except (http.client.HTTPException, OSError) as error:
            self.body, self.broken = getattr(error, "partial", b""), type(error).__name__
        connection.close()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def a_version(site: FakeCivitai, **more: Any) -> FakeVersion:
    version = site.world.add_model().add_version(**more)
    version.add_file("lantern.safetensors", safetensors_bytes(1, 200_000))
    return version


def signed(site: FakeCivitai, version: FakeVersion) -> str:
    return str(Answer(f"{site.url}/api/download/models/{version.id}").headers["Location"])


def listed(site: FakeCivitai, what: str, **query: Any) -> list[int]:
    """The ids of all pages."""
    found, cursor = [], None
    for _ in range(100):
        page = Answer(f"{site.url}/api/v1/{what}?{urlencode(query | ({'cursor': cursor} if cursor else {}))}").json
        found += [item["id"] for item in page["items"]]
        cursor = page["metadata"].get("nextCursor")
        if cursor is None:
            break
    return found


@pytest.mark.parametrize(
    ("changes", "headers", "query", "status", "word"),
    [
        ({}, {}, "", 307, ""),
        ({}, {}, "?type=Nonsense", 400, "error"),
        ({}, {}, "?fileId=1", 404, "File not found"),
        ({}, {}, "?format=GGUF", 404, "File not found"),
        ({"status": "Draft"}, {}, "", 404, "File not found"),
        ({"usage_control": "Generation"}, KEY, "", 401, "disabled"),
        ({"usage_control": "Generation"}, BROWSER, "", 401, "disabled"),
        ({"needs_token": True}, {}, "", 401, "logged in"),
        ({"needs_token": True}, {"Authorization": "Bearer wrong"}, "?token=good-token", 401, "logged in"),
        ({"needs_token": True}, KEY, "", 307, ""),
        ({"needs_token": True}, {"Cookie": "a=b; __Secure-civ-token=good-token"}, "", 307, ""),
        ({"needs_token": True}, {}, "?token=good-token", 307, ""),
        ({"early_access": from_now(3600)}, KEY, "", 403, "deadline"),
        ({"early_access": from_now(-3600)}, {}, "", 307, ""),
        ({"availability": "Private"}, KEY, "", 403, "permission"),
        ({"availability": "Private"}, {}, "", 401, "logged in"),
    ],
)
def test_download_decides_in_the_order_of_the_site(
    site: FakeCivitai, changes: dict[str, Any], headers: dict[str, str], query: str, status: int, word: str
) -> None:
    answer = Answer(f"{site.url}/api/download/models/{a_version(site, **changes).id}{query}", **headers)
    assert (answer.status, word in answer.body.decode()) == (status, True)


def test_a_browser_is_led_to_a_login_page_with_status_200(site: FakeCivitai) -> None:
    version = a_version(site, needs_token=True)
    answer = Answer(f"{site.url}/api/download/models/{version.id}", **BROWSER)
    assert answer.status == 307
    page = Answer(answer.headers["Location"])
    assert (page.status, page.headers["Content-Type"][:9]) == (200, "text/html")


def test_archived_models_answer_410_and_quota_429_and_lookups_fail_for_a_moment(site: FakeCivitai) -> None:
    version = a_version(site)
    url = f"{site.url}/api/download/models/{version.id}"
    site.world.lookup_failures = 1
    assert Answer(url).headers["Cache-Control"] == "private, no-store"
    site.world.quota = 1
    assert [Answer(url).status, Answer(url).status] == [307, 429]
    site.world.quota, version.model.mode = None, "Archived"
    assert Answer(url).status == 410
    assert "files" not in Answer(f"{site.url}/api/v1/models/{version.model.id}").json["modelVersions"][0]


def test_only_file_id_names_a_file_for_certain(site: FakeCivitai) -> None:
    version = a_version(site)
    other = version.add_file("lantern.ckpt", type="Pruned Model", metadata={"format": "PickleTensor", "fp": "fp16"})
    vae = site.world.add_model("VAE", "VAE").add_version()
    vae.add_file("ae.safetensors", type="VAE")
    version.vae_version = vae.id
    url = f"{site.url}/api/download/models/{version.id}"
    assert "lantern.ckpt" in Answer(f"{url}?fileId={other.id}").headers["Location"]
    assert Answer(f"{url}?type=Model&format=PickleTensor").status == 404
    assert "ae.safetensors" in Answer(f"{url}?type=VAE").headers["Location"]
    site.world.preferences = {"format": "PickleTensor"}
    assert "lantern.safetensors" in Answer(url).headers["Location"]
    assert "lantern.ckpt" in Answer(url, **KEY).headers["Location"]


def test_storage_refuses_keys_stale_links_and_head(site: FakeCivitai) -> None:
    link = signed(site, a_version(site))
    assert Answer(link, Authorization="Bearer good-token").status == 400
    assert Answer(link, "HEAD").status == 403
    assert Answer(link).headers["Content-Disposition"] == 'attachment; filename="lantern.safetensors"'
    site.expire_links()
    assert (Answer(link).status, b"AccessDenied" in Answer(link).body) == (403, True)


@pytest.mark.parametrize(
    ("headers", "status", "span"),
    [
        ({}, 200, (0, 200_128)),
        ({"Range": "bytes=0-0"}, 206, (0, 1)),
        ({"Range": "bytes=200000-"}, 206, (200_000, 200_128)),
        ({"Range": "bytes=-28"}, 206, (200_100, 200_128)),
        ({"Range": "bytes=200128-"}, 416, (0, 0)),
        ({"Range": "bytes=100-", "If-Range": '"another"'}, 200, (0, 200_128)),
        ({"Range": "bytes=100-", "If-Range": "Sun, 01 Mar 2026 12:00:00 GMT"}, 206, (100, 200_128)),
    ],
)
def test_ranges(site: FakeCivitai, headers: dict[str, str], status: int, span: tuple[int, int]) -> None:
    version = a_version(site)
    answer = Answer(signed(site, version), **headers)
    assert answer.status == status
    if status != 416:
        assert answer.body == version.files[0].data[slice(*span)]


def test_a_generated_file_reads_the_same_from_anywhere_and_has_a_header() -> None:
    file = World().add_model().add_version().add_file("big.safetensors", size=4 << 30)
    assert file.published_hashes == {}
    assert file.body.read(70_000, 200_000) == file.body.read(0, 200_000)[70_000:]
    assert json.loads(file.body.read(8, 128))["weight"]["data_offsets"] == [0, (4 << 30) - 128]


def test_newest_loses_a_model_at_every_boundary_and_other_orders_none(site: FakeCivitai) -> None:
    for _ in range(7):
        a_version(site)
    ids = sorted(site.world.models)
    assert listed(site, "models", limit=2, sort="Newest") == [ids[6], ids[5], ids[3], ids[2], ids[0]]
    assert listed(site, "models", limit=2, sort="Oldest") == ids
    assert listed(site, "models", limit=3) == ids
    assert listed(site, "models", limit=2, page=2) == ids


def test_models_are_refused_and_hidden_as_on_the_site(site: FakeCivitai) -> None:
    grown, young, old = a_version(site), a_version(site), a_version(site)
    grown.add_image(level=8)
    young.model.minor, old.model.mode = True, "Archived"
    assert listed(site, "models") == [young.model.id]
    assert listed(site, "models", nsfw="true", archived="true") == [grown.model.id, old.model.id]
    queries = [
        "limit=101",
        "page=11&limit=100",
        "username=nobody",
        "types=LORA,Checkpoint",
        "favorites=true",
        "cursor=1",
    ]
    answers = [Answer(f"{site.url}/api/v1/models?{query}") for query in queries]
    assert [answer.status for answer in answers] == [400, 429, 404, 400, 401, 400]
    assert answers[2].json == {"message": "User not found"}
    page = Answer(f"{site.url}/api/v1/models?limit=1&nsfw=true&archived=1&token=good-token").json
    assert "token=good-token" in page["metadata"]["nextPage"]


def test_image_levels_and_metadata(site: FakeCivitai) -> None:
    version = a_version(site)
    pictures = [version.add_image(level, meta={"prompt": "x"}) for level in (1, 2, 4, 8, 16)]
    ids = [picture.id for picture in pictures]
    assert listed(site, "images", sort="Oldest") == ids[:1]
    assert listed(site, "images", sort="Oldest", nsfw="true") == ids[2:]
    assert listed(site, "images", sort="Oldest", nsfw="X", limit=2) == ids
    assert listed(site, "images", sort="Newest", browsingLevel=31, limit=2, modelId=version.model.id) == [
        *ids[:2:-1],
        *ids[1::-1],
    ]
    assert listed(site, "images", imageId=999) == []
    one = f"{site.url}/api/v1/images?imageId={ids[0]}"
    metas = [Answer(one + more).json["items"][0]["meta"] for more in ("", "&withMeta=true", "&withMeta=1&flatMeta=1")]
    assert metas == [None, {"id": ids[0], "meta": {"prompt": "x"}}, {"prompt": "x"}]
    site.world.empty_pages = True
    assert listed(site, "images", sort="Oldest", browsingLevel=31, limit=2) == ids
    assert Answer(f"{site.url}/api/v1/images?username=a%20b").status == 400


def test_a_picture_is_redirected_and_its_ending_lies(site: FakeCivitai) -> None:
    version = a_version(site)
    picture, film = version.add_image(), version.add_image(kind="video", still_for_original=True)
    url = Answer(f"{site.url}/api/v1/images?imageId={picture.id}").json["items"][0]["url"]
    answer = Answer(url)
    assert (answer.status, url[-5:]) == (301, ".jpeg")
    blob = Answer(answer.headers["Location"])
    assert (blob.headers["Content-Type"], blob.body) == ("image/png", picture.data)
    small = urllib.request.urlopen(url.replace("original=true", "width=450")).read()
    assert len(small) < len(picture.data)
    url = Answer(f"{site.url}/api/v1/images?imageId={film.id}").json["items"][0]["url"]
    kinds = [
        urllib.request.urlopen(url.replace("true/", end)).headers["Content-Type"]
        for end in ("true/", "true,quality=100/")
    ]
    assert kinds == ["image/webp", "video/mp4"]
    picture.missing = True
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(answer.headers["Location"])


def test_hashes_find_versions(site: FakeCivitai) -> None:
    version = a_version(site)
    hashes = version.files[0].published_hashes
    base = f"{site.url}/api/v1/model-versions/by-hash"
    assert Answer(f"{base}/{hashes['AutoV2'].lower()}").json["id"] == version.id
    found = Answer(base, "POST", json.dumps([hashes["SHA256"], "0" * 64]).encode()).json
    assert [each["downloadUrl"] for each in found] == [f"https://undefined/api/download/models/{version.id}"]
    assert Answer(f"{base}/ids", "POST", b'["short"]').status == 400
    assert Answer(f"{base}/0000000000").status == 404


def test_a_recorded_answer_is_served_as_it_stands(site: FakeCivitai) -> None:
    picture = {"url": f"https://image.civitai.com/{ACCOUNT}/0aa0/width=450/77.jpeg", "nsfw": False, "meta": None}
    file = {"id": 9, "name": "a.safetensors", "type": "Model", "sizeKB": 1, "hashes": {"SHA256": "AB", "AutoV2": "A"}}
    file["downloadUrl"] = "https://civitai.com/api/download/models/8"
    version = {"id": 8, "name": "v", "files": [file], "images": [picture], "odd": None}
    load_recorded(site.world, {"id": 7, "name": "Old", "type": "LORA", "modelVersions": [version]})
    answer = Answer(f"{site.url}/api/v1/models/7").json["modelVersions"][0]
    assert answer.keys() == version.keys()
    body = urllib.request.urlopen(answer["files"][0]["downloadUrl"]).read()
    assert answer["files"][0]["sizeKB"] == len(body) / 1024
    assert answer["files"][0]["hashes"].keys() == {"SHA256", "AutoV2"}
    assert urllib.request.urlopen(answer["images"][0]["url"]).status == 200
    assert Answer(f"{site.url}/api/v1/model-versions/8").json["modelId"] == 7


@pytest.mark.parametrize(
    ("action", "headers", "status", "length", "broken"),
    [
        (Cut(1000), {}, 200, 1000, "IncompleteRead"),
        (CutChunked(1000), {}, 200, 1000, "IncompleteRead"),
        (Reset(1000), {}, 200, 0, "ConnectionResetError"),
        (Longer(500), {}, 200, 200_128, ""),
        (Longer(500, chunked=True), {}, 200, 200_628, ""),
        (IgnoreRange(), {"Range": "bytes=100-"}, 200, 200_128, ""),
        (WrongStart(), {"Range": "bytes=100-"}, 206, 200_021, ""),
        (Unasked206(), {}, 206, 100_064, ""),
        (Always416(), {"Range": "bytes=100-"}, 416, None, ""),
        (Changed(), {"Range": "bytes=100-", "If-Range": '"old"'}, 200, 200_128, ""),
        (IgnoreIfRange(), {"Range": "bytes=100-", "If-Range": '"old"'}, 206, 200_028, ""),
        (Gzip(), {}, 200, None, ""),
        (REGION_BLOCKED, {}, 451, None, ""),
        (busy(503, 2), {}, 503, None, ""),
        (RedirectTo("file:///etc/passwd"), {}, 302, 0, ""),
    ],
)
def test_faults_on_the_wire(
    site: FakeCivitai, action: Any, headers: dict[str, str], status: int, length: int | None, broken: str
) -> None:
    version = a_version(site)
    link = signed(site, version)
    fault = site.fail("storage:/", action)
    answer = Answer(link, **headers)
    assert (answer.status, answer.broken, fault.hits) == (status, broken, 1)
    assert length is None or len(answer.body) == length
    assert Answer(link).body == version.files[0].data


def test_flipped_bits_garbage_and_resets_for_ever(site: FakeCivitai) -> None:
    version = a_version(site)
    link, data = signed(site, version), version.files[0].data
    site.fail("storage:/", FlipBit(5))
    assert [i for i, (a, b) in enumerate(zip(Answer(link).body, data, strict=True)) if a != b] == [5]
    site.fail(r"^storage:/model/\d+", GARBAGE)
    with pytest.raises(http.client.BadStatusLine):
        Answer(link)
    fault = site.fail("storage:/", ResetEvery(50_000))
    assert [Answer(link).broken for _ in range(3)] == ["ConnectionResetError"] * 3
    assert (fault.hits, Answer(link, Range="bytes=160000-").broken) == (3, "")


def test_several_actions_make_one_fault(site: FakeCivitai) -> None:
    site.fail("storage:/", [Changed(b"old" * 1000), Cut(100)])
    answer = Answer(signed(site, a_version(site)))
    assert (answer.body, answer.headers["Content-Length"]) == ((b"old" * 34)[:100], "3000")


def test_a_stalled_answer_ends_with_the_site() -> None:
    with FakeCivitai(demo_world()) as site:
        site.fail("site:/api/v1/models", Stall())
        connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=10)
        connection.request("GET", "/api/v1/models")
        time.sleep(0.1)
        began = time.monotonic()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()
    assert time.monotonic() - began < 1


def test_requests_are_noted_and_connections_kept(site: FakeCivitai) -> None:
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc)
    for _ in range(2):
        connection.request("GET", "/api/v1/models?limit=1&limit=2", headers={"X-Thing": "a"})
        connection.getresponse().read()
    first, second = site.seen("site", "/api/v1/")
    assert (first.query, first.headers["x-thing"], first.status, first.port == second.port) == (
        {"limit": ["1", "2"]},
        "a",
        200,
        True,
    )
    site.forget()
    assert site.seen() == []


def test_a_large_library_comes_whole() -> None:
    with FakeCivitai(World().build_library(20, 40, 60, 600)) as site:
        assert len(listed(site, "models", nsfw="true", limit=7)) == 20
        assert len(listed(site, "images", browsingLevel=31, limit=200)) == 600
