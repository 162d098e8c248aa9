"""The sources of the page: short scripts in their order, no markup made from texts, and a policy that allows little."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "civitai_downloader" / "core" / "data" / "page"
SCRIPTS = sorted(FOLDER.glob("*.js"))
INDEX = (FOLDER / "index.html").read_text("utf-8")
ORDER = re.findall(r'<script[^>]*\bsrc="\{\{page\}\}/(\w+)\.js"', INDEX)
MOST_LINES, MOST_LINES_TOGETHER = 399, 3_300

ROOM = re.compile(r'\broom\(\s*"(\w+)",\s*\[([^\]]*)\]')


def text_of(script: Path) -> str:
    """Return a script without its comments."""
    return re.sub(r"^\s*(?://|/?\*).*$", "", script.read_text("utf-8"), flags=re.M)


def test_every_script_has_its_tag_and_the_other_way_round() -> None:
    assert sorted(ORDER) == [script.stem for script in SCRIPTS]
    assert ORDER[0] == "rooms"
    assert ORDER[-1] == "main"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_a_room_that_needs_only_rooms_before_it(script: Path) -> None:
    rooms = ROOM.findall(script.read_text("utf-8"))
    assert [name for name, _ in rooms] == [script.stem]
    needs = re.findall(r'"(\w+)"', rooms[0][1])
    assert set(needs) <= set(ORDER[: ORDER.index(script.stem)])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_strict_and_makes_no_markup(script: Path) -> None:
    text = text_of(script)
    assert script.read_text("utf-8").startswith('"use strict";')
    assert len(script.read_text("utf-8").splitlines()) <= MOST_LINES
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|console\.|\balert\("
    assert re.findall(forbidden, text) == []
    assert re.findall(r"\b(?:fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon)\b", text) == []


def test_all_scripts_together_are_not_many_lines() -> None:
    """Blank lines are not counted, comments are."""
    lines = [line for script in SCRIPTS for line in script.read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES_TOGETHER


def test_nothing_of_the_page_names_another_host() -> None:
    for path in sorted(FOLDER.iterdir()):
        hosts = set(re.findall(r"https?://([\w.-]+)", path.read_text("utf-8")))
        assert hosts <= {"www.w3.org", "civitai.com"}, path.name


def test_the_policy_allows_nothing_but_the_page_itself() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', INDEX)
    assert policy
    rules = dict(part.strip().partition(" ")[::2] for part in policy[1].split(";") if part.strip())
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["style-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert "connect-src" not in rules
    assert not re.search(r"unsafe|https?:|\*", policy[1])
