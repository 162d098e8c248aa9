"""Draws the picture of the terminal in README.md: `python -m tests.picture` writes `tests/terminal.svg`.

The real command runs in a pseudo terminal against the fake site, and what the terminal shows in the middle of the run
becomes the picture.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from html import escape
from pathlib import Path

import pyte

from civitai_downloader.util.screen import columns_of
from tests.fake_civitai import FakeCivitai, World

PICTURE = Path(__file__).with_name("terminal.svg")
COLUMNS, ROWS = 92, 12
MODELS = ("Paper Lantern Style", "提灯の夜", "Harbour Mix", "한복 컬렉션", "Tiny Sea", "Moss and Stone")
COLOURS = {"default": "#d0d0d0", "brown": "#d7a65f", "red": "#e06c75"}


def picture_world() -> World:
    """Return a world of six models with files that take a while."""
    world = World()
    for number, name in enumerate(MODELS):
        version = world.add_model(name, creator="lantern_maker").add_version("v1.0")
        version.add_file(f"{name.lower().replace(' ', '_')}.safetensors", size=6_000_000 + 900_000 * number)
        for _ in range(5):
            version.add_image()
    return world


def watch(words: list[str], seconds: float) -> pyte.Screen:
    """Run the command in a pseudo terminal for some seconds and return what the terminal shows then."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stream.feed(os.read(ours, 65_536))
    process.kill()
    process.wait()
    os.close(ours)
    return screen


def svg_of(screen: pyte.Screen, prompt: str) -> str:
    """Return the picture of a terminal below its command line."""
    rows = [[(prompt, "default")], *(_runs(screen, row) for row in range(ROWS))]
    while not any(text.strip() for text, _ in rows[-1]):
        rows.pop()
    wide, high = 8 * COLUMNS + 32, 20 * len(rows) + 28
    lines = (_line(row, 20 * number + 30) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">\n'
        f'<rect width="{wide}" height="{high}" rx="8" fill="#1e1e1e"/>\n'
        '<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13" xml:space="preserve">\n'
        + "\n".join(lines)
        + "\n</g>\n</svg>\n"
    )


def _runs(screen: pyte.Screen, row: int) -> list[tuple[str, str]]:
    """Return a row of the terminal as stretches of text of one colour."""
    runs: list[tuple[str, str]] = []
    for column in range(COLUMNS):
        cell = screen.buffer[row][column]
        if runs and runs[-1][1] == cell.fg:
            runs[-1] = (runs[-1][0] + cell.data, cell.fg)
        else:
            runs.append((cell.data, cell.fg))
    return runs


def _line(runs: list[tuple[str, str]], y: int) -> str:
    """Return a row as SVG. Each stretch has its length, so that columns stay columns in every font."""
    column, parts = 0, []
    for text, colour in runs:
        if text.strip():
            x, length, fill = 16 + 8 * column, 8 * columns_of(text.rstrip()), COLOURS.get(colour, COLOURS["default"])
            words = f'<text x="{x}" y="{y}" fill="{fill}" textLength="{length}" lengthAdjust="spacingAndGlyphs">'
            parts.append(f"{words}{escape(text.rstrip())}</text>")
        column += columns_of(text)
    return "".join(parts)


def main() -> int:
    """Draw the picture."""
    with FakeCivitai(picture_world()) as site, tempfile.TemporaryDirectory() as folder:
        links = Path(folder, "models.txt")
        links.write_text("".join(f"{site.url}/models/{model}\n" for model in site.world.models), "utf-8")
        where = ["--site", site.url, "-o", folder, "--lang", "en"]
        pace = ["--limit-rate", "4M", "--max-rate-model", "50", "--max-rate-image", "50"]
        command = [sys.executable, "-m", "civitai_downloader", str(links), *where, *pace]
        screen = watch(command, 4.0)
    PICTURE.write_text(svg_of(screen, "$ .venv/bin/civitai-downloader models.txt"), "utf-8")
    print(f"{PICTURE} has {PICTURE.stat().st_size:,} bytes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
