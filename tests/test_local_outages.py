"""The site fails while a folder is looked through: only a clean answer decides, and the next run finishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner
from tests.fake_civitai import Action, FakeCivitai
from tests.helpers import MANY, Err
from tests.shelves import GOOD, Shelves, build_on

IDS = "site:/api/v1/model-versions/by-hash/ids"
ONE = r"site:/api/v1/model-versions/by-hash/[0-9a-fA-F]{12}"
MODELS = r"site:/api/(v1/models|trpc/model\.)"
VERSIONS = r"site:/api/v1/model-versions/[0-9]"

BROKEN: dict[str, Action] = {
    "500": fake.Status(500),
    "busy": fake.busy(429),
    "busy for an hour": fake.busy(429, 3600),
    "page": fake.HTML_PAGE,
    "maintenance": fake.MAINTENANCE,
    "no such page": fake.Status(404, "<!DOCTYPE html><title>404</title>", content_type="text/html"),
    "challenge": fake.CHALLENGE,
    "region": fake.REGION_BLOCKED,
    "520": fake.CLOUDFLARE_520,
    "524": fake.CLOUDFLARE_524,
    "half": fake.BrokenJson(),
    "nothing": fake.EMPTY,
    "object": fake.Status(200, "{}"),
    "error": fake.Status(200, '{"error":"Database is down"}'),
    "null": fake.Status(200, "null"),
    "text": fake.Status(200, '"ok"'),
    "number": fake.Status(200, "7"),
    "cut": fake.Cut(1),
    "reset": fake.Reset(0),
    "login": fake.JSON_PAGE,
    "refused": fake.Status(400, '{"error":"Request must include an array"}'),
    "not found": fake.Status(404, ""),
}


@pytest.fixture
def shelves(site: FakeCivitai, tmp_path: Path) -> Shelves:
    return build_on(site, tmp_path / "models")


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_is_unknown_while_hashes_are_not_answered(
    kind: str, run: Runner, site: FakeCivitai, shelves: Shelves, err: Err
) -> None:
    site.fail(IDS, BROKEN[kind], MANY)
    assert run(str(shelves.root)) == 1
    assert not {"unknown", "gone"} & set(shelves.ends().values()), shelves.ends()
    assert "Traceback" not in err()
    site.heal()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD


LISTS: dict[str, Any] = {
    "nulls": [None, None],
    "texts": ["a", 1, True],
    "empty rows": [{}, {}],
    "other hashes": [{"modelVersionId": 20001, "modelId": 10001, "hash": "AB" * 32}],
    "wrong types": [{"modelVersionId": "x", "modelId": [], "hash": {}}],
    "no hashes": [{"modelVersionId": 20001, "modelId": 10001}],
    "huge ids": [{"modelVersionId": 10**30, "modelId": -1, "hash": "AB" * 32}],
    "lists": [[], [[]]],
}


@pytest.mark.parametrize("kind", LISTS)
def test_nothing_is_unknown_by_rows_that_are_no_answer(
    kind: str, run: Runner, site: FakeCivitai, shelves: Shelves, err: Err
) -> None:
    site.fail(IDS, fake.Status(200, json.dumps(LISTS[kind])), MANY)
    code = run(str(shelves.root))
    ends, said = shelves.ends(), err()
    print(kind, code, ends)
    assert "Traceback" not in said
    assert code == 1
    assert not {"unknown", "gone"} & set(ends.values()), ends


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_is_unknown_while_autov3_is_not_answered(
    kind: str, run: Runner, site: FakeCivitai, shelves: Shelves, err: Err
) -> None:
    site.fail(ONE, BROKEN[kind], MANY)
    code = run(str(shelves.root))
    print(kind, code, shelves.ends())
    assert "Traceback" not in err()
    assert code == 1
    assert shelves.ends() == {**GOOD, "edited": "hashed", "mine": "hashed", "archived": "hashed"}
    site.heal()
    site.forget()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_is_gone_while_models_are_not_answered(
    kind: str, run: Runner, site: FakeCivitai, shelves: Shelves, err: Err
) -> None:
    for where in (MODELS, VERSIONS):
        site.fail(where, BROKEN[kind], MANY)
    code = run(str(shelves.root))
    ends = shelves.ends()
    print(kind, code, ends)
    assert "Traceback" not in err()
    assert code == 1
    assert not {"gone", "success"} & set(ends.values())
    assert all(ends.get(name, "hashed") == "hashed" for name in ("known", "edited", "archived")), ends
    site.heal()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD
