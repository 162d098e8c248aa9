"""What the site says is united with what it no longer says; nothing is lost, and what comes back loses its mark."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.archive import add_version, has_other_words, unite, unite_page, without_lost

DAY, LATER = "2026-11-26", "2026-12-24"
SAMPLES, YEARS = Path(os.environ.get("CIVITAI_SAMPLES", "no-samples")), ("2023-01-wiki", "2025-08")
Json = dict[str, Any]

# --- Any answer ----------------------------------------------------------------------------------

TEXTS = st.sampled_from([None, "", " ", "<p></p>", "one", "two"])
NAMES = st.sampled_from([None, "", " ", "one", "two"])
WORDS = st.sampled_from([None, [], [""], ["a"], ["b", "a"], ["c"]])
OBJECTS = st.fixed_dictionaries({}, optional={"SHA256": NAMES, "AutoV2": NAMES})


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Return objects in which any of the keys may be missing."""
    return st.fixed_dictionaries({}, optional=keys)


def listed(first: int, each: st.SearchStrategy[Json]) -> st.SearchStrategy[Any]:
    """Return lists of up to four things with different ids, null, or nothing in them."""
    numbers = st.lists(st.integers(first, first + 3), unique=True, max_size=4)

    def with_id(number: int) -> st.SearchStrategy[Json]:
        return each.map(lambda more: {"id": number, **more})

    return numbers.flatmap(lambda ids: st.tuples(*map(with_id, ids))).map(list) | st.none()


FILES = listed(
    30001, some(name=NAMES, hashes=OBJECTS, sizeKB=st.sampled_from([None, 0, 1.5]), primary=st.just(value=True))
)


def with_links(found: list[Json] | None) -> list[Json]:
    return [{**each, "url": f"https://image.civitai.com/a/b/width=1/{each['id']}.jpeg"} for each in found or ()]


IMAGES = listed(40001, some(hash=NAMES)).map(with_links)
VERSIONS = listed(20001, some(name=NAMES, description=TEXTS, trainedWords=WORDS, files=FILES, images=IMAGES))
MODELS = some(
    name=NAMES, description=TEXTS, tags=WORDS, creator=some(username=NAMES), modelVersions=VERSIONS,
    allowNoCredit=st.sampled_from([None, True, False]), mode=st.sampled_from([None, "Archived"]),
    stats=some(downloadCount=st.sampled_from([None, 0, 5])),
).map(lambda model: {"id": 10001, **model})  # fmt: skip


def said(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield everything that an answer says: the way to it, and the value; ids stand for places in lists."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from said(each, (*where, key))
    elif isinstance(value, list):
        for each in value:
            step = each["id"] if isinstance(each, dict) else each
            yield from said(each, (*where, step))
    elif value is not None and str(value).replace("<p></p>", "").strip():
        yield where, value


def marks(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything that is marked as gone or lost."""
    if isinstance(value, dict):
        yield from ((*where, key) for key in value.get("lost", ()))
        yield from (where for key in value if key == "gone_since")
        for key, each in value.items():
            yield from marks(each, (*where, key)) if key != "lost" else ()
    for each in value if isinstance(value, list) else ():
        yield from marks(each, (*where, each["id"])) if isinstance(each, dict) else ()


@given(MODELS, MODELS, MODELS)
def test_nothing_that_was_ever_said_is_lost(first: Json, second: Json, third: Json) -> None:
    kept = unite(unite(unite({}, first, DAY), second, DAY), third, DAY)
    places = {where for where, _ in said(kept)}
    follows = {"mode", "primary"}
    for answer in (first, second, third):
        assert {where for where, _ in said(answer) if not follows & {*where}} <= places
    assert set(said(third)) <= set(said(kept))


@given(MODELS, MODELS)
def test_the_same_answer_changes_nothing_and_no_date_moves(first: Json, second: Json) -> None:
    once = unite(unite({}, first, DAY), second, DAY)
    assert json.dumps(unite(once, second, LATER)) == json.dumps(once)
    assert not has_other_words(once, unite(once, second, LATER))


@given(MODELS, MODELS)
def test_what_comes_back_loses_its_mark(first: Json, second: Json) -> None:
    kept = unite(unite(unite({}, first, DAY), second, DAY), first, LATER)
    assert not {where for where, _ in said(first)} & {*marks(kept)}
    named = {("modelVersions", version["id"]) for version in first.get("modelVersions") or ()}
    assert not named & {*marks(kept)}


@given(MODELS)
def test_a_first_answer_is_kept_as_it_is(answer: Json) -> None:
    assert json.dumps(unite({}, answer, DAY)) == json.dumps(answer)


@given(MODELS, VERSIONS)
def test_the_page_of_a_version_marks_nothing(model: Json, versions: list[Json] | None) -> None:
    kept = unite({}, model, DAY)
    for version in versions or ():
        kept = add_version(kept, {**version, "model": {"name": "x"}})
    assert not [*marks(kept)]
    assert {where for where, _ in said(model)} <= {where for where, _ in said(kept)}


# --- Special cases -------------------------------------------------------------------------------


def model(*versions: Json, **more: Any) -> Json:
    return {"id": 10001, "name": "Paper", **more, "modelVersions": list(versions)}


def picture(number: int, level: int = 1) -> Json:
    return {"id": number, "url": f"https://image.civitai.com/a/b/width=1/{number}.jpeg", "nsfwLevel": level}


@pytest.mark.parametrize("empty", [None, "", "  ", "<p></p>", "<p>&nbsp;</p><br>", [], {}, "missing"])
def test_a_value_that_vanished_in_any_way_stays_with_a_date(empty: Any) -> None:
    new = model() if empty == "missing" else model(description=empty)
    kept = unite(model(description="words"), new, DAY)
    assert (kept["description"], kept["lost"]) == ("words", {"description": DAY})
    assert unite(kept, new, LATER) == kept


@pytest.mark.parametrize("value", [0, False, 0.0, "other"])
def test_a_value_that_turned_zero_or_false_has_not_vanished(value: Any) -> None:
    kept = unite(model(nsfw=True, sizeKB=5, description="x"), model(nsfw=value, sizeKB=value, description=value), DAY)
    assert (kept["nsfw"], kept["sizeKB"], kept["description"], kept.get("lost")) == (value, value, value, None)


def test_one_hash_that_vanished_is_marked_where_it_stood() -> None:
    version = {"id": 1, "files": [{"id": 2, "hashes": {"SHA256": "A", "AutoV2": "B"}}]}
    newer = {"id": 1, "files": [{"id": 2, "hashes": {"AutoV2": "B"}}]}
    hashes = unite(model(version), model(newer), DAY)["modelVersions"][0]["files"][0]["hashes"]
    assert hashes == {"AutoV2": "B", "SHA256": "A", "lost": {"SHA256": DAY}}
    assert without_lost({"files": [{"hashes": hashes}]}) == {"files": [{"hashes": {"AutoV2": "B", "SHA256": "A"}}]}


def test_a_state_of_the_site_follows_it_when_it_ends() -> None:
    old = model({"id": 1, "paidAccess": {"permanent": True}, "files": [{"id": 2, "primary": True}]}, mode="Archived")
    kept = unite(old, model({"id": 1, "files": [{"id": 2}]}), DAY)
    assert "mode" not in kept
    assert "lost" not in kept
    assert kept["modelVersions"] == [{"id": 1, "files": [{"id": 2}]}]


def test_what_only_some_answers_have_is_never_lost() -> None:
    by_id = {"id": 1, "status": "Published", "createdAt": "2026", "covered": True, "images": [picture(4)]}
    in_list = {"id": 1, "index": 0, "images": [{**picture(4), "meta": None}]}
    kept = unite({}, model(by_id), DAY)
    for each in (in_list, by_id, in_list):
        kept = unite(kept, model(each), DAY)
        assert not [*marks(kept)]
    assert kept["modelVersions"][0] == {**in_list, **by_id, "images": [{**picture(4), "meta": None}]}


def test_pictures_have_one_id_in_all_answers() -> None:
    by_id = {key: value for key, value in picture(4).items() if key != "id"}
    kept = unite(model({"id": 1, "images": [picture(4)]}), model({"id": 1, "images": [by_id]}), DAY)
    assert kept["modelVersions"][0]["images"] == [{**by_id, "id": 4}]


def test_pictures_that_a_list_hides_by_their_level_are_not_gone() -> None:
    whole = {"id": 1, "nsfwLevel": 5, "images": [picture(4), picture(5, 4)]}
    clean = {"id": 1, "nsfwLevel": 5, "images": [picture(4)]}
    assert not [*marks(unite(model(whole), model(clean), DAY))]
    removed = {**clean, "nsfwLevel": 1}
    assert [*marks(unite(model(whole), model(removed), DAY))] == [("modelVersions", 1, "images", 5)]
    down = model({**whole, "images": []}, mode="TakenDown")
    assert len([*marks(unite(model(whole), down, DAY))]) == 2


def test_a_version_that_no_answer_about_the_model_names_is_not_missed_in_them() -> None:
    alone = {"id": 2, "name": "hidden", "modelId": 10001, "model": {"name": "Paper"}}
    kept = add_version(unite({}, model({"id": 1}), DAY), alone)
    for _ in range(2):
        kept = unite(kept, model({"id": 1}), DAY)
        assert not [*marks(kept)]
        kept = add_version(kept, alone)
    kept = unite(kept, model({"id": 1}, {"id": 2, "name": "hidden"}), DAY)
    assert "model" not in kept["modelVersions"][1]
    kept = unite(kept, model({"id": 1}), DAY)
    assert kept["modelVersions"][1]["gone_since"] == DAY
    assert add_version(kept, alone)["modelVersions"][1]["gone_since"] == DAY


def test_tags_of_two_years_are_united() -> None:
    kept = unite(model(tags=[{"id": 1, "name": "style"}, {"id": 2, "name": "old"}]), model(tags=["style", "new"]), DAY)
    assert kept["tags"] == ["style", "new", "old"]


def test_marks_that_an_answer_brings_along_do_not_count() -> None:
    kept = unite({}, model({"id": 1, "gone_since": "1999-01-01"}, lost={"name": "1999-01-01"}), DAY)
    assert kept == model({"id": 1})


@pytest.mark.parametrize(
    ("old", "new", "is_other"),
    [
        ({"name": "A"}, {"name": "B"}, True),
        ({"description": "A"}, {"description": "B"}, True),
        ({"description": "A"}, {"description": None}, False),
        ({"description": None}, {"description": "A"}, False),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, False),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, False),
        ({"tags": ["a"]}, {"tags": ["b"]}, True),
        ({"allowNoCredit": True}, {"allowNoCredit": False}, True),
        ({"allowCommercialUse": ["Image", "Rent"]}, {"allowCommercialUse": "{Rent,Image}"}, False),
        ({"allowCommercialUse": ["Image"]}, {"allowCommercialUse": []}, True),
        ({"stats": {"downloadCount": 1}, "nsfw": False}, {"stats": {"downloadCount": 2}, "nsfw": True}, False),
        ({"creator": {"username": "a"}}, {"creator": {"username": "b"}}, False),
        (model({"id": 1, "name": "A"}), model({"id": 1, "name": "B"}), True),
        (model({"id": 1, "description": "A"}), model({"id": 1, "description": "B"}), True),
        (model({"id": 1, "trainedWords": ["a"]}), model({"id": 1, "trainedWords": ["a", "b"]}), True),
        (model({"id": 1, "trainedWords": ["a", "b"]}), model({"id": 1}), False),
        (model({"id": 1, "name": "A"}), model({"id": 2, "name": "B"}), False),
    ],
)
def test_a_copy_is_kept_when_words_became_others(old: Json, new: Json, is_other: bool) -> None:
    assert has_other_words(old, unite(old, new, DAY)) == is_other


def test_what_has_not_changed_is_not_copied() -> None:
    answer = model({"id": 1, "files": [{"id": 2, "hashes": {"SHA256": "A"}}], "images": [picture(4)]}, tags=["a"])
    assert unite({}, answer, DAY) is answer
    newer = model({**answer["modelVersions"][0], "stats": {}}, tags=["a"])
    assert unite(answer, newer, DAY) is newer


def test_the_page_of_a_post_keeps_its_pictures_and_words() -> None:
    old = {"id": 5, "title": "Lanterns", "tags": ["a"], "images": [1, 2, 3]}
    kept = unite_page(old, {"id": 5, "title": None, "tags": [], "images": [3, 4]}, "images", (DAY, DAY))
    assert kept == {
        "id": 5, "title": "Lanterns", "tags": ["a"], "images": [3, 4, 1, 2],
        "lost": {"title": DAY, "tags": DAY}, "gone_since": {"1": DAY, "2": DAY},
    }  # fmt: skip
    back = unite_page(kept, {**old, "images": [2]}, "images", ("", ""))
    assert (back["images"], back["gone_since"], back.get("lost")) == ([2, 3, 4, 1], {"1": DAY}, None)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="CIVITAI_SAMPLES names no folder of recorded answers")
def test_recorded_answers_of_two_years_are_united() -> None:
    old, new = (json.loads((SAMPLES / "model" / f"1102-{each}.json").read_text("utf-8")) for each in YEARS)
    kept = unite(unite({}, old, DAY), new, DAY)
    assert json.dumps(unite(kept, new, LATER)) == json.dumps(kept)
    assert {each["id"] for answer in (old, new) for each in answer["modelVersions"]} == {
        each["id"] for each in kept["modelVersions"]
    }
