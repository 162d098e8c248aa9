"""The block of bars on a terminal: it leaves nothing behind, whatever comes and however the window changes."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.progress import Meter
from civitai_downloader.util.screen import Screen, columns_of, cut_to_columns
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured, link
from tests.terminals import Terminal, begin_at_terminal, press_ctrl_c, shown

Window = Callable[[int, int], None]


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Window:
    """Return what sets the size of the window, columns and rows; it is 80 by 24 before."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def set_size(columns: int, rows: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))

    set_size(80, 24)
    return set_size


@pytest.fixture
def terminal(window: Window, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal that understands escape sequences, on every system."""
    monkeypatch.setattr("civitai_downloader.util.screen._understands_escapes", lambda _stream: True)
    return Terminal()


def meters(count: int, name: str = "Model {}: file.safetensors") -> list[Meter]:
    return [Meter(name.format(number), 1 << 20, 1 << 19) for number in range(count)]


def test_a_message_stands_above_the_bars_and_nothing_is_left_of_them_in_the_end(terminal: Terminal) -> None:
    screen = Screen(terminal)
    for number in range(3):
        screen.draw(meters(2), f"{number}/9 models")
        screen.write(f"message {number}\n")
    rows = shown(terminal)
    assert rows[:3] == ["message 0", "message 1", "message 2"]
    assert [row[:8] for row in rows[3:]] == ["Model 0:", "Model 1:", "2/9 mode"]
    screen.finish()
    assert shown(terminal) == ["message 0", "message 1", "message 2"]


def test_more_transfers_than_rows_are_counted_and_do_not_scroll(terminal: Terminal, window: Window) -> None:
    window(60, 10)
    screen = Screen(terminal)
    for number in range(20):
        screen.draw(meters(16), f"{number}/99 models")
    rows = shown(terminal, 60, 10)
    assert len(rows) <= 9
    assert rows[-2:] == ["… +10", "19/99 models"]
    screen.finish()
    assert shown(terminal, 60, 10) == []


@pytest.mark.parametrize("narrow", [20, 33, 40, 59])
def test_nothing_is_left_when_the_window_becomes_narrower(terminal: Terminal, window: Window, narrow: int) -> None:
    window(60, 40)
    screen = Screen(terminal)
    screen.draw(meters(4, "提灯の夜とても長い名前のモデル {}"), "1/9 models, 3 failed (retrying…), 31.4 GB of 84.0 GB")
    window(narrow, 40)  # the terminal shows each long line on several rows now
    screen.draw(meters(1), "2/9 models")
    rows = shown(terminal, narrow, 40)
    assert [row[:2] for row in rows] == ["Mo", "2/"]


def test_the_mark_of_ctrl_c_is_cleared_with_the_last_bar(terminal: Terminal) -> None:
    screen = Screen(terminal)
    screen.draw(meters(2), "x" * 200)
    terminal.write("^C")
    screen.finish()
    screen.write("Interrupted.\n")
    assert shown(terminal) == ["Interrupted."]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_a_wide_name_leaves_room_for_its_bar(terminal: Terminal, window: Window, columns: int) -> None:
    window(columns, 24)
    Screen(terminal).draw(
        meters(1, "提灯の夜ネガティブ提灯の夜ネガティブ提灯の夜ネガティブ提灯の夜ネガティブ {}.safetensors"), ""
    )
    row = terminal.getvalue().splitlines()[0]
    assert "…" in row or columns == 200
    assert "50%" in row
    assert columns_of(row) < columns


def test_the_rate_of_a_resumed_transfer_counts_only_what_came_since(terminal: Terminal) -> None:
    meter = Meter("big", 1000 << 20)
    meter.begin_at(900 << 20)
    meter.begun -= 10
    meter.done += 50 << 20
    Screen(terminal).draw([meter], "")
    row = terminal.getvalue().splitlines()[0]
    assert "95%" in row
    assert re.search(r"5\.2\dMB/s", row)  # in millions of bytes


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), st.integers(1, 60))
def test_a_cut_text_never_takes_more_columns(text: str, most: int) -> None:
    cut = cut_to_columns(text, most)
    assert columns_of(cut) <= most
    assert cut == text or "…" in cut


def test_a_cut_name_keeps_its_beginning_and_its_end() -> None:
    assert cut_to_columns("Paper Lantern Style: lantern_10001.safetensors", 24) == "Paper Lante….safetensors"
    assert cut_to_columns("提灯の夜ネガティブ", 8) == "提…ィブ"


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_terminal_that_wants_no_escape_sequences_or_colours_gets_none(
    window: Window, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    terminal = Terminal()
    screen, log = Screen(terminal), logging.getLogger("tests.colours")
    screen.show_log(log, "INFO", lambda record: True, as_json=False)
    log.warning("Wrong SHA256")
    assert terminal.getvalue() == "Wrong SHA256\n"


def test_warnings_have_a_colour_on_a_terminal(terminal: Terminal) -> None:
    log = logging.getLogger("tests.colours")
    Screen(terminal).show_log(log, "INFO", lambda record: True, as_json=False)
    log.warning("Wrong SHA256")
    assert terminal.getvalue() == "\x1b[33mWrong SHA256\x1b[0m\n"


@pytest.mark.parametrize("words", [("-v",), ("--json-logs",)])
@pytest.mark.usefixtures("lora")
def test_each_file_is_named_as_it_is_finished(run: Runner, capsys: Captured, words: tuple[str, ...]) -> None:
    run("10001", *words)
    assert "fetched: users/lantern_maker/models/" in capsys.readouterr().err
    run("10001", *words)
    assert "already there: users/lantern_maker/models/" in capsys.readouterr().err


def test_a_failure_is_named_once(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    assert run("10777") == 1
    assert capsys.readouterr().err.count("10777") == 1


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are POSIX here")
def test_ctrl_c_leaves_a_clean_terminal(site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model("提灯の夜").add_version()
    for number in range(6):
        version.add_file(f"lantern_{number}.safetensors", size=3_000_000)
    site.rate_per_connection = 200_000
    words = [sys.executable, "-m", "civitai_downloader", link(site), "--site", site.url, "-o", str(out), "--lang", "en"]
    process, ours = begin_at_terminal(words)
    terminal = press_ctrl_c(process, ours, lambda said: said.count(b"safetensors") >= 12)
    rows = shown(terminal, 70, 12)
    assert rows[0].startswith("Fetched ")
    assert any(row.startswith("Interrupted;") for row in rows)
    assert not any("lantern_" in row or "^C" in row for row in rows)
