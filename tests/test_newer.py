"""Which versions of a model are newer than those on disk, decided without a site or a disk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import File, Version
from civitai_downloader.core.newer import Edition, ModelNews, compare, edition_of, split
from civitai_downloader.core.settings import Settings
from tests.helpers import SHA, file_of, model_of, version_of

A, B = "SDXL 1.0", "Pony"


def version(number: int, day: str = "", base: str = A, *files: File, **more: Any) -> Version:
    told = {"name": f"v{number}", "baseModel": base, "publishedAt": day and f"{day}T00:00:00.000Z", **more}
    return version_of(number, files or (file_of(number),), **told)


def news(
    *versions: Version, have: tuple[int, ...] = (1,), known: tuple[Edition, ...] = (), **more: Any
) -> list[ModelNews]:
    there = {each.id: edition_of(each) for each in versions if each.id in have} | {each.id: each for each in known}
    hashes, waits = more.pop("hashes", ()), more.pop("waits", {})
    return compare(model_of(*versions, **more.pop("model", {})), there, hashes, waits, Settings(**more))


def newer(*versions: Version, **more: Any) -> list[int]:
    return [edition.id for row in news(*versions, **more) if row.standing == "newer" for edition in row.editions]


OLD, LATER = version(1, "2026-01-01"), version(2, "2026-02-01")


@pytest.mark.parametrize(
    ("versions", "more", "ids"),
    [
        ([OLD, LATER], {}, [2]),
        ([OLD, LATER], {"have": (2,)}, []),
        ([OLD, LATER], {"have": (1, 2)}, []),
        ([OLD, version(2, "2026-01-01")], {}, [2]),
        ([version(2, "2026-01-01"), version(1, "2026-01-01")], {"have": (2,)}, []),
        ([OLD, LATER, version(3, "2026-03-01")], {}, [3, 2]),
        ([OLD, LATER, version(3, "2026-03-01")], {"latest": True}, [3]),
        ([OLD, LATER, version(3, "2026-03-01")], {"latest": True, "waits": {3: "2099-01-01T00:00:00Z"}}, [2]),
        ([OLD, LATER, version(3, "2026-03-01")], {"since": "2026-02-15"}, [3]),
        ([OLD, version(2)], {}, [2]),
        ([version(5), version(2)], {"have": (5,)}, []),
        ([version(5), version(6)], {"have": (5,)}, [6]),
        ([OLD, version(2, "2026-02-01", B)], {}, []),
        ([OLD, version(2, "2026-02-01", "sdxl1.0")], {}, [2]),
        ([OLD, version(2, "2026-02-01", B)], {"every_base": True}, [2]),
        ([OLD, version(2, "2025-02-01", B)], {"every_base": True}, []),
        ([OLD, LATER, version(3, "2026-03-01", B)], {"have": (1, 3)}, [2]),
        ([OLD, version(2, "2026-02-01", A, file_of(2, hashes={"SHA256": SHA}))], {"hashes": {SHA}}, []),
        ([OLD, LATER], {"excluded": frozenset({("version", "2")})}, []),
        ([OLD, LATER], {"model": {"mode": "Archived"}}, []),
        ([OLD, LATER], {"waits": {2: "2099-01-01T00:00:00Z"}}, []),
        ([LATER], {"have": (), "known": (Edition(1, "v1", A, "2026-01-01"),)}, [2]),
        ([LATER], {"have": (), "known": (Edition(1, "v1", A, "2026-03-01"),)}, []),
        ([LATER], {"have": (), "known": (Edition(1),)}, [2]),
        ([LATER], {"have": (), "known": (Edition(9),)}, []),
    ],
)  # fmt: skip
def test_what_is_newer(versions: list[Version], more: dict[str, Any], ids: list[int]) -> None:
    assert newer(*versions, **more) == ids


def test_a_version_without_files_is_none() -> None:
    assert not newer(OLD, version_of(2, (), name="v2", baseModel=A, publishedAt="2026-02-01"))


def test_an_end_of_early_access_in_the_log_counts_where_the_answer_has_none() -> None:
    (row,) = news(OLD, LATER, waits={2: "2099-01-01T00:00:00Z"})
    assert (row.standing, [each.until for each in row.editions]) == ("awaited", ["2099-01-01T00:00:00Z"])


@pytest.mark.parametrize(("apart", "standings"), [(False, ["withdrawn"]), (True, [])])
def test_a_version_that_answers_never_name_is_not_missed(apart: bool, standings: list[str]) -> None:
    known = Edition(1, "v1", A, "2026-03-01", apart=apart)
    assert [row.standing for row in news(LATER, have=(), known=(known,))] == standings


def test_what_is_reserved_is_told_apart() -> None:
    row = ModelNews("newer", 1, "Paper", (), (Edition(2), Edition(3)), 4)
    rest, apart = split(row, {3})
    assert ([each.id for each in rest.editions], rest.others) == ([2], 4)
    assert (apart.standing, [each.id for each in apart.editions], apart.others) == ("reserved", [3], 0)
    (alone,) = split(row, {2, 3})
    assert (alone.standing, alone.others) == ("reserved", 4)
    assert split(row, {9}) == [row]


@given(st.lists(st.tuples(st.dates(), st.sampled_from([A, B, ""])), max_size=6), st.sets(st.integers(1, 6)))
def test_nothing_is_told_twice_and_nothing_that_is_there(days: list[tuple[Any, str]], have: set[int]) -> None:
    versions = [version(number, str(day), base) for number, (day, base) in enumerate(days, 1)]
    rows = news(*versions, have=tuple(have))
    ids = [edition.id for row in rows for edition in row.editions]
    assert len(ids) == len({*ids})
    assert not {*ids} & have
    there = have & {each.id for each in versions}
    fresh = [each for each in versions if each.id not in there]
    assert len(ids) + sum(row.others for row in rows) <= len(fresh)
