"""The scripts of the page: short, in their order, without markup from texts, and with every word in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "civitai_downloader" / "core" / "data" / "page"
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
    assert sum(len(script.read_text("utf-8").splitlines()) for script in SCRIPTS) <= MOST_LINES_TOGETHER


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


def words() -> dict[str, list[str]]:
    """Return the table of words: a key, and its English, Japanese and Korean."""
    rows = re.findall(r'^\s*"?([\w.-]+)"?: \[(".*")\],?$', (FOLDER / "words.js").read_text("utf-8"), re.M)
    return {key: re.findall(r'"((?:[^"\\]|\\.)*)"', row) for key, row in rows}


def test_every_word_is_there_in_every_language() -> None:
    table = words()
    assert len(table) > 80
    for key, row in table.items():
        assert len(row) == 3, key
        places = [sorted(set(re.findall(r"\{\w+\}", each))) for each in row]
        assert places[0] == places[1] == places[2], key
        assert all(row), key


def test_japanese_and_korean_are_not_left_in_english() -> None:
    same = {key for key, (english, japanese, korean) in words().items() if english in (japanese, korean)}
    assert {key for key in same if len(re.findall("[a-z]{3,}", words()[key][0])) > 1} == set()


def test_every_word_that_is_used_is_in_the_table() -> None:
    table = words()
    text = INDEX + "".join(script.read_text("utf-8") for script in SCRIPTS)
    used = set(re.findall(r'\bsay\(\s*"([\w.-]+)"', text)) | set(re.findall(r'data-word(?:-label)?="([\w.-]+)"', text))
    assert used - set(table) == set()
