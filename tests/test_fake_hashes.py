"""The fake site answers look-ups by hash as the real one does: what it finds, what it never finds, and how it fails."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.fake_civitai import (
    CHALLENGE,
    CLOUDFLARE_524,
    MAINTENANCE,
    BrokenJson,
    FakeCivitai,
    FakeVersion,
    Status,
    busy,
    safetensors_bytes,
)

HASHES = ("SHA256", "AutoV2", "CRC32", "BLAKE3", "AutoV3")


def by_hash(site: FakeCivitai, way: str = "", body: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON (or text) of a look-up: of one hash, or of a list if there is a body."""
    url = f"{site.url}/api/v1/model-versions/by-hash{way}"
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def found(site: FakeCivitai, sha256: str) -> list[list[int]]:
    """Return the versions that each of the three ways finds for a hash."""
    _, alone = by_hash(site, f"/{sha256}")
    _, listed = by_hash(site, "", [sha256])
    _, rows = by_hash(site, "/ids", [sha256])
    ids = ([alone["id"]] if "id" in alone else [], [each["id"] for each in listed])
    return [*map(sorted, ids), sorted(each["modelVersionId"] for each in rows)]


def a_version(site: FakeCivitai, data: bytes | None = None, **more: Any) -> FakeVersion:
    version = site.world.add_model().add_version(**more)
    version.add_file("paper.safetensors", data or safetensors_bytes(version.id))
    return version


@pytest.mark.parametrize("kind", HASHES)
def test_any_hash_in_its_own_length_finds_the_version(site: FakeCivitai, kind: str) -> None:
    a_version(site)
    version = a_version(site)
    told = version.files[0].published_hashes[kind]
    assert by_hash(site, f"/{told.lower()}")[1]["id"] == version.id
    assert by_hash(site, f"/{told[:-1]}") == (404, {"error": "Model not found"})


def test_what_is_not_found_is_left_out_and_the_rest_is_in_another_order(site: FakeCivitai) -> None:
    versions = [a_version(site) for _ in range(8)]
    sums = [version.files[0].body.sha256 for version in versions]
    listed = by_hash(site, "", [*sums, "0" * 64])[1]
    rows = by_hash(site, "/ids", [*sums, "0" * 64, sums[0].upper()])[1]
    ids = [version.id for version in versions]
    assert {each["downloadUrl"] for each in listed} == {f"https://undefined/api/download/models/{each}" for each in ids}
    for answer in ([each["id"] for each in listed], [each["modelVersionId"] for each in rows]):
        assert sorted(answer) == ids != answer
    assert {(each["modelId"], each["hash"]) for each in rows} == {
        (version.model.id, version.files[0].published_hashes["SHA256"]) for version in versions
    }


def test_a_hash_in_several_versions_gives_all_in_lists_and_the_earliest_alone(site: FakeCivitai) -> None:
    data = safetensors_bytes("shared")
    late, early = (a_version(site, data, published=f"2026-0{month}-01T00:00:00.000Z") for month in (5, 2))
    early.add_file("again.safetensors", data)
    alone, listed, rows = found(site, late.files[0].body.sha256)
    assert alone == [early.id]
    assert listed == rows == [late.id, early.id, early.id]


def test_lists_may_hold_nulls_and_rows_twice(site: FakeCivitai) -> None:
    site.world.odd_hash_lists = True
    sums = [a_version(site).files[0].body.sha256]
    for way, key in (("", "id"), ("/ids", "modelVersionId")):
        _, rows = by_hash(site, way, sums)
        assert [row and row[key] for row in rows] == [None, 20001, 20001]


@pytest.mark.parametrize(
    "change",
    [
        lambda version: setattr(version.model, "mode", "Archived"),
        lambda version: setattr(version.model, "mode", "TakenDown"),
        lambda version: setattr(version.model, "status", "Unpublished"),
        lambda version: setattr(version, "status", "Draft"),
        lambda version: version.world.models.pop(version.model.id),
    ],
    ids=["archived", "taken down", "model unpublished", "version unpublished", "deleted"],
)
def test_what_is_not_public_any_more_is_found_by_no_hash(site: FakeCivitai, change: Any) -> None:
    version = a_version(site)
    sha256 = version.files[0].body.sha256
    assert found(site, sha256) == [[version.id]] * 3
    change(version)
    assert found(site, sha256) == [[], [], []]


def test_an_archived_model_is_still_shown_by_its_id(site: FakeCivitai) -> None:
    version = a_version(site)
    version.model.mode = "Archived"
    with urllib.request.urlopen(f"{site.url}/api/v1/models/{version.model.id}") as answer:
        shown = json.load(answer)
    assert (shown["mode"], [each["id"] for each in shown["modelVersions"]]) == ("Archived", [version.id])


def test_the_hash_of_nothing_belongs_to_a_model(site: FakeCivitai) -> None:
    version, empty = a_version(site), a_version(site, safetensors_bytes("none", 0))
    assert "AutoV3" not in empty.files[0].published_hashes
    assert by_hash(site, "/e3b0c44298fc")[0] == 404
    version.files[0].hashes = {**version.files[0].published_hashes, "AutoV3": "E3B0C44298FC"}
    assert by_hash(site, "/e3b0c44298fc")[1]["id"] == version.id


@pytest.mark.parametrize(("way", "most"), [("", 100), ("/ids", 10_000)])
def test_lists_that_are_too_long_or_malformed_are_refused(site: FakeCivitai, way: str, most: int) -> None:
    assert by_hash(site, way, ["0" * 64] * most) == (200, [])
    for body in (["0" * 64] * (most + 1), ["0" * 63], [7], {"a": 1}, b"[", b""):
        status, answer = by_hash(site, way, body)
        assert status == 400
        assert answer["error"].startswith("Request must include an array of SHA256 Hashes. [")


@pytest.mark.parametrize(
    ("action", "status", "is_json"),
    [
        (MAINTENANCE, 200, False),
        (CHALLENGE, 403, False),
        (CLOUDFLARE_524, 524, False),
        (Status(500, '{"error":"An unknown error occurred"}'), 500, True),
        (busy(429, 1), 429, True),
        (BrokenJson(), 200, False),
    ],
    ids=["page", "challenge", "timeout", "error", "busy", "half"],
)
def test_a_look_up_can_fail_in_every_way(site: FakeCivitai, action: Any, status: int, *, is_json: bool) -> None:
    sums = [a_version(site).files[0].body.sha256]
    fault = site.fail("by-hash/ids", action)
    answer = by_hash(site, "/ids", sums)
    assert (answer[0], not isinstance(answer[1], str), fault.hits) == (status, is_json, 1)
    assert len(by_hash(site, "/ids", sums)[1]) == 1
