"""Ordering: what is done with a file, by what lies where it belongs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.found import Found
from civitai_downloader.core.ordering import Decision, Item, Names, Orderer, action_for

WAYS = ("symlink", "hardlink", "copy", "move")
WHAT = ("skip", "rename", "overwrite", "fail")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("relation", "actions"),
    [
        ("free", ["place"] * 4),
        ("right", ["right"] * 4),
        ("other", ["stay", "rename", "replace", "fail"]),
        ("ours", ["stay", "rename", "stay", "fail"]),
        ("folder", ["stay", "rename", "stay", "fail"]),
    ],
)
def test_what_is_done_where_a_name_is_taken(way: str, relation: Any, actions: list[str]) -> None:
    assert [action_for(relation, way, what) for what in WHAT] == actions


@pytest.mark.parametrize(
    ("way", "actions"),
    [
        ("copy", ["right"] * 4), ("hardlink", ["free"] * 4),
        ("move", ["stay", "rename", "replace", "fail"]), ("symlink", ["stay", "rename", "replace", "fail"]),
    ],
)  # fmt: skip
def test_a_file_with_the_same_bytes_is_there_for_a_copy_and_becomes_a_hard_link(way: str, actions: list[str]) -> None:
    assert [action_for("twin", way, what) for what in WHAT] == actions


class Desk:
    """Files that are to be put in order."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def item(self, place: str, folder: str, *companions: str, file: int = 7) -> Item:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in (path.name, *companions):
            path.with_name(name).write_text(f"{place} {name}")
        seen = path.stat()
        found = Found(place, seen.st_size, seen.st_mtime_ns, "success", "sha256", file=file, version=5)
        return Item(found, path, folder, tuple(path.with_name(each) for each in companions), (1, seen.st_ino))

    def decide(self, items: list[Item], way: str = "move", what: str = "skip") -> list[Decision]:
        number: Iterator[str] = (f"0001-00000000/{each:06}" for each in count(1))
        names = Names(self.root)
        replaced = self.root / ".civitai" / "replaced"
        return Orderer(way, what, names, replaced, lambda *_: False, number).decide(items)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def actions(decisions: list[Decision]) -> dict[str, str]:
    return {each.item.found.path: each.action for each in decisions}


def targets(decision: Decision, root: Path) -> list[str]:
    assert decision.step is not None
    return [part.target.relative_to(root).as_posix() for part in decision.step.parts]


@pytest.mark.parametrize("other", ["A.safetensors", "a.SAFETENSORS"])
def test_names_that_differ_only_in_capitals_are_one(desk: Desk, other: str) -> None:
    items = [desk.item("x/a.safetensors", "to"), desk.item(f"y/{other}", "TO")]
    assert list(actions(desk.decide(items)).values()) == ["place", "stay"]


def test_names_that_differ_only_in_their_unicode_form_are_one(desk: Desk) -> None:
    items = [desk.item("x/c\u00e1.pt", "to"), desk.item("y/ca\u0301.pt", "to")]
    assert list(actions(desk.decide(items)).values()) == ["place", "stay"]


def test_a_new_name_has_the_id_of_the_file_and_its_companions_have_it_too(desk: Desk) -> None:
    desk.item("to/a.safetensors", "to")
    desk.item("to/a-7.safetensors", "to")
    (decision,) = desk.decide([desk.item("x/a.safetensors", "to", "a.preview.png")], "move", "rename")
    assert targets(decision, desk.root) == ["to/a-7-2.safetensors", "to/a-7-2.preview.png"]


def test_a_taken_name_of_a_companion_counts_for_all(desk: Desk) -> None:
    desk.item("to/b.pt", "to", "a.txt")
    item = desk.item("x/a.safetensors", "to", "a.txt")
    assert [each.action for each in desk.decide([item])] == ["stay"]
    (renamed,) = desk.decide([item], "copy", "rename")
    assert targets(renamed, desk.root) == ["to/a-7.safetensors", "to/a-7.txt"]
    (replacing,) = desk.decide([item], "copy", "overwrite")
    assert replacing.step is not None
    assert [part.replaced is not None for part in replacing.step.parts] == [False, True]


def test_a_replaced_companion_does_not_pass_for_the_model_file(desk: Desk) -> None:
    desk.item("to/b.pt", "to", "a.txt")
    (decision,) = desk.decide([desk.item("x/a.safetensors", "to", "a.txt")], "copy", "overwrite")
    assert decision.target == desk.root / "to" / "a.safetensors"


@pytest.mark.parametrize("way", WAYS)
def test_a_companions_name_that_this_job_has_given_is_not_given_twice(desk: Desk, way: str) -> None:
    items = [desk.item("x/a.safetensors", "to", "a.json"), desk.item("y/a.pt", "to", "a.json")]
    assert [each.action for each in desk.decide(items, way, "overwrite")] == ["place", "stay"]
    first, second = desk.decide(items, way, "rename")
    assert targets(first, desk.root) == ["to/a.safetensors", "to/a.json"]
    assert targets(second, desk.root) == ["to/a-7.pt", "to/a-7.json"]


@pytest.mark.parametrize("names", [("a.pt", "a.pt"), ("a.pt", "a.ckpt")])
@pytest.mark.parametrize("way", ["copy", "move"])
def test_what_is_in_its_place_is_not_replaced_by_another_file_of_the_library(
    desk: Desk, way: str, names: tuple[str, str]
) -> None:
    right = desk.item(f"to/{names[0]}", "to", "a.json")
    other = desk.item(f"from/{names[1]}", "to", "a.json")
    for items in ([right, other], [other, right]):
        decided = actions(desk.decide(items, way, "overwrite"))
        assert decided == {right.found.path: "right", other.found.path: "stay"}


def test_a_folder_in_the_place_of_a_companion_is_never_replaced(desk: Desk) -> None:
    (desk.root / "to" / "a.txt").mkdir(parents=True)
    item = desk.item("x/a.pt", "to", "a.txt")
    assert [each.action for each in desk.decide([item], "move", "overwrite")] == ["stay"]


def test_a_companion_whose_name_is_spelled_otherwise_keeps_it_unless_all_get_another(desk: Desk) -> None:
    item = desk.item("x/c\u00e1.pt", "to", "ca\u0301.json")
    (kept,) = desk.decide([item], "copy")
    assert targets(kept, desk.root) == ["to/c\u00e1.pt", "to/ca\u0301.json"]
    desk.item("to/c\u00e1.pt", "to")
    (renamed,) = desk.decide([item], "copy", "rename")
    assert targets(renamed, desk.root) == ["to/c\u00e1-7.pt", "to/c\u00e1-7.json"]


def test_a_name_that_is_going_to_be_free_is_waited_for(desk: Desk) -> None:
    items = [desk.item("a/x.pt", "b"), desk.item("b/x.pt", "c"), desk.item("c/x.pt", "d")]
    assert [each.item.found.path for each in desk.decide(items)] == ["c/x.pt", "b/x.pt", "a/x.pt"]
    assert set(actions(desk.decide(items)).values()) == {"place"}


@pytest.mark.parametrize("what", WHAT)
def test_files_that_want_each_others_place_stay(desk: Desk, what: str) -> None:
    items = [desk.item("a/x.pt", "b"), desk.item("b/x.pt", "a")]
    assert set(actions(desk.decide(items, "move", what)).values()) == {"stay"}


def test_a_folder_in_the_place_is_never_replaced(desk: Desk) -> None:
    (desk.root / "to" / "a.pt").mkdir(parents=True)
    assert [each.action for each in desk.decide([desk.item("x/a.pt", "to")], "move", "overwrite")] == ["stay"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_in_its_place_is_right(desk: Desk, way: str) -> None:
    assert [each.action for each in desk.decide([desk.item("to/a.pt", "to")], way)] == ["right"]


def test_a_folder_that_differs_in_capitals_only_is_another_one_where_the_disk_says_so(desk: Desk) -> None:
    item = desk.item("lora/a.pt", "LORA")
    is_one = os.path.exists(desk.root / "LORA")
    assert [each.action for each in desk.decide([item])] == ["right" if is_one else "place"]
    assert [each.action for each in desk.decide([item], "copy")] == ["right"]
