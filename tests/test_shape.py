"""The shape of the house: short rooms, imports one way, few attributes, short functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import FILES, PACKAGE, trees

UTIL = (
    "errors jsontext text speech shell clock hours values complaints names disks tensors headers files trees hashes "
    "moving media whole logs locks joined kept rests pauses pace addresses proxies wire http ranges progress "
    "connections transfer idm process logfile screen"
).split()
CORE = (
    "data shares ours settings targets parameters links lists arguments answers interfaces comparing choice which "
    "places wordlists rejoin sentences prompts markup pages headers sidecars unknown hints cookies refusals paging "
    "manners site records weights flaws folders companions found ondisk proof turns holds state claims library "
    "compacting libraries wholepaths journal placing handover owned archive chronicle homes ledger arrivals moved "
    "looks ordering sorting organize undo owners thumbs fetch shelf catalogue naming schedule local deliveries "
    "pictures galleries visits newer holdings updates krita run failed outcome columns tiles cards finds chunks "
    "stock news gallery errands verification inputs words plan bulletin display"
).split()
ROOMS = [*(f"util.{name}" for name in UTIL), *(f"core.{name}" for name in CORE), "core", "__main__"]

LONG_FUNCTIONS: dict[str, str] = {}  # name -> reason
MOST_LINES, MOST_FUNCTION_LINES, MOST_ATTRIBUTES = 400, 40, 10


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {room_of(path): path for path in FILES}


def imported_rooms(room: str, tree: ast.AST) -> Iterator[str]:
    """Yield the rooms which a room imports."""
    package = ["civitai_downloader", *room.split(".")]
    if MODULES[room].name != "__init__.py":
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            names = [".".join(filter(None, [*base[1:], each.name])) for each in node.names]
            yield from (name if name in MODULES else name.rpartition(".")[0] for name in names)


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield names and lengths in lines."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def own_attributes(node: ast.ClassDef) -> set[str]:
    """Return what a class assigns to `self`, and the fields of a dataclass."""
    found = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self"
    }
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        found |= {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
    return found


def is_frozen(node: ast.ClassDef) -> bool:
    return any("frozen=True" in ast.unparse(each) for each in node.decorator_list)


@cache
def classes() -> dict[str, ast.ClassDef]:
    """Return all classes by their names."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the attributes of a class and of those of ours which it extends."""
    bases = (classes()[ast.unparse(base)] for base in node.bases if ast.unparse(base) in classes())
    return own_attributes(node).union(*(attributes(base) for base in bases))


def test_every_room_has_its_place() -> None:
    faces = {"", "util"}
    assert set(MODULES) - faces == set(ROOMS)


def test_the_map_names_every_room_in_its_order() -> None:
    tools, rooms = (PACKAGE.parent / "ARCHITECTURE.md").read_text("utf-8").split("\n### ")[1:]
    for part, names in ((tools, UTIL), (rooms.partition("\n## ")[0], CORE)):
        assert re.findall(r"^\| `(\w+)` \|", part, re.M) == names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_stands_above_it(room: str) -> None:
    above = ROOMS[: ROOMS.index(room)]
    assert set(imported_rooms(room, trees()[MODULES[room]])) - {""} <= set(above)


@pytest.mark.parametrize("path", sorted([*PACKAGE.rglob("*.py"), *Path(__file__).parent.rglob("*.py")]), ids=str)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


def test_long_functions_have_a_reason() -> None:
    found = {name for tree in trees().values() for name, length in functions(tree) if length > MOST_FUNCTION_LINES}
    assert found == set(LONG_FUNCTIONS)


def test_functions_are_short_as_a_rule() -> None:
    lengths = sorted(length for tree in trees().values() for _, length in functions(tree))
    assert lengths[len(lengths) // 2] <= 10


def test_an_object_that_carries_state_has_few_attributes() -> None:
    crowded = {name for name, node in classes().items() if len(attributes(node)) > MOST_ATTRIBUTES}
    assert not {name for name in crowded if not is_frozen(classes()[name])}


def test_every_room_says_what_it_is() -> None:
    assert all(ast.get_docstring(tree) for tree in trees().values())


def test_only_the_command_prints_and_only_the_screen_knows_tqdm() -> None:
    prints = {
        room_of(path)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    }
    tqdm = {
        room_of(path)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "tqdm" in ast.unparse(node)
    }
    assert prints == {"__main__"}
    assert tqdm == {"util.screen"}
