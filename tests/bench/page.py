"""Measures the page of a large library in real browsers: `python -m tests.bench page`.

Nothing is asserted: each figure stands beside what is aimed at. A library of 100,000 pictures takes about two minutes
to write and 2 GB; it stays in --folder for the next time if that is named.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.browser import Chromium, Firefox, Tab, find_chromium, find_firefox
from tests.page_large import fill, models, pictures
from tests.page_library import Picture, Shelf, numbered

QUERIES = (
    *(
        "dress",
        "night rain",
        "dress -red",
        '"paper lantern"',
        "cat OR dragon castle",
        "negative:blurry",
        "creator:user12",
    ),
    *("score_9 kimono -photo", "lora:night", "model:a sampler:ddim", "id:1000123", "zu"),
)
TYPED = "paper lantern -red castle"
SPEEDS = (1_500, 6_000, 24_000)
READY = "html[data-ready]"

# Notes when the first tile stands and when everything can be searched, and then looks no more.
WATCH = """
window.bench = {};
new MutationObserver((_, observer) => {
  const note = (name) => { bench[name] ??= performance.now(); };
  if (!bench.seen && document.querySelector("[data-image]")) { bench.seen = 1; requestAnimationFrame(() =>
    setTimeout(() => note("first"))); }
  if (document.documentElement.hasAttribute("data-ready")) { note("ready"); observer.disconnect(); }
}).observe(document, {childList: true, subtree: true, attributes: true});
"""

# Types a text at once and gives the milliseconds until the status says how many are shown.
ASK = """async (text) => {
  const field = document.querySelector("input[type=search]");
  const status = document.querySelector("[role=status][data-count]");
  const told = new Promise((then) => { const observer = new MutationObserver(() => { observer.disconnect();
    then(performance.now()); }); observer.observe(status, {attributes: true, attributeFilter: ["data-count"]});
    setTimeout(() => then(NaN), 3000); });
  const began = performance.now();
  field.value = text; field.dispatchEvent(new InputEvent("input", {bubbles: true}));
  const ended = await told;
  await new Promise((then) => setTimeout(then, 150));
  return ended - began;
}"""

# Notes how long the main thread comes round neither to a timer of 4 ms nor to the beginning of a frame: a task ends
# where the next frame begins, and Firefox lets frames in a row go before timers. (A loop of messages without a pause
# would measure itself, and a delayed task of the scheduler comes 50 ms late in an idle page of Firefox.)
GAPS = """(() => {
  let last = performance.now(); window.gaps = []; window.stopGaps = false;
  const come = () => { const now = performance.now(); gaps.push(now - last); last = now; };
  const wait = () => setTimeout(() => { come(); if (!stopGaps) wait(); }, 4);
  const frame = () => requestAnimationFrame(() => { come(); if (!stopGaps) frame(); });
  wait(); frame();
})()"""

# Scrolls the wall at so many pixels a second and gives frames a second and the longest frame.
SCROLL = """async (speed) => {
  let node = document.querySelector("[data-image]");
  while (node.parentElement && !(node.scrollHeight > node.clientHeight + 50 &&
    !["visible", "hidden", "clip"].includes(getComputedStyle(node).overflowY))) node = node.parentElement;
  node.scrollTop = 0;
  await new Promise((then) => setTimeout(then, 500));
  const began = performance.now(); let frames = 0, last = began, worst = 0;
  while (last - began < 3000) {
    const now = await new Promise(requestAnimationFrame);
    if (frames) worst = Math.max(worst, now - last);
    last = now; frames += 1;
    node.scrollTop = speed * (now - began) / 1000;
  }
  return [frames / ((last - began) / 1000), worst];
}"""

# Draws a picture like a photo and gives its JPEG.
DRAW = """async (seed, width, height, quality) => {
  const canvas = new OffscreenCanvas(width, height), ink = canvas.getContext("2d");
  let state = seed * 7919 + 1; const next = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  const sky = ink.createLinearGradient(0, 0, width / 3, height);
  for (const stop of [0, .4, .7, 1]) sky.addColorStop(stop, `hsl(${next() * 360} 45% ${20 + next() * 55}%)`);
  ink.fillStyle = sky; ink.fillRect(0, 0, width, height);
  for (let each = 0; each < 900; each += 1) { ink.fillStyle = `hsl(${next() * 360} 60% 60% / .25)`;
    ink.beginPath(); ink.arc(next() * width, next() * height, next() * width / 12, 0, 7); ink.fill(); }
  const data = ink.getImageData(0, 0, width, height);
  for (let each = 0; each < data.data.length; each += 4) { const grain = (next() - .5) * 24;
    for (let part = 0; part < 3; part += 1) data.data[each + part] += grain; }
  ink.putImageData(data, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({type: "image/jpeg", quality})).arrayBuffer());
  let text = ""; for (let each = 0; each < bytes.length; each += 8192)
    text += String.fromCharCode(...bytes.subarray(each, each + 8192));
  return btoa(text);
}"""


@dataclass(frozen=True)
class Row:
    """A figure, its unit, and the bound that is aimed at: at most this, or at least if it is negative."""

    what: str
    value: float
    unit: str
    bound: float

    def line(self, browser: str) -> str:
        """Return the row of the table."""
        good = self.value <= self.bound if self.bound >= 0 else self.value >= -self.bound
        aim = f"{'at most' if self.bound >= 0 else 'at least'} {abs(self.bound):g}"
        return f"{self.what:44} {browser:9} {self.value:10.1f} {self.unit:4} {aim:14} {'yes' if good else 'NO'}"


def pss(process: int) -> int:
    """Return the bytes of memory that a process and its children hold, shared ones in parts (Linux)."""
    total = 0
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            total += sum(pss(int(child)) for child in (task / "children").read_text("ascii").split())
    return total


def draw(tab: Tab, folder: Path, size: tuple[int, int], quality: float, count: int = 12) -> list[Path]:
    """Return files with drawn pictures of a size."""
    folder.mkdir(parents=True)
    found = []
    for seed in range(count):
        path = folder / f"{seed}.jpeg"
        path.write_bytes(base64.b64decode(tab.call(DRAW, seed, *size, quality)))
        found.append(path)
    return found


def write_library(folder: Path, count: int) -> list[Picture]:
    """Write a library with originals and small pictures, drawn by Chromium."""
    with Chromium() as browser:
        tab = browser.tab()
        originals = draw(tab, folder.with_name("originals"), (832, 1216), 0.92)
        small = draw(tab, folder.with_name("small"), (450, 658), 0.8)
    print(f"originals of {originals[0].stat().st_size:,} bytes, small ones of {small[0].stat().st_size:,}", flush=True)
    return fill(folder, count, originals, small)


def make(folder: Path) -> float:
    """Make the page by the command, and return the seconds."""
    words = [sys.executable, "-m", "civitai_downloader", "--page", "-o", str(folder), "-q"]
    began = time.monotonic()
    subprocess.run(words, check=True)
    return time.monotonic() - began


def bytes_in(folder: Path, pattern: str = "*") -> int:
    """Return the bytes of the files whose names match."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def python_rows(folder: Path, found: Sequence[Picture]) -> Iterator[Row]:
    """Measure making the page, and what it weighs."""
    start = min(make_nothing() for _ in range(3))
    yield Row("page made", make(folder) - start, "s", 60)
    yield Row("page made again, nothing new", make(folder) - start, "s", 60)
    prompts = sum(len((text or "").encode()) for each in found for text in (each.prompt, each.negative))
    data = bytes_in(folder / ".page" / "data", "*.js")
    yield Row("data", data / 1e6, "MB", round((1.2 * prompts + 150 * len(found)) / 1e6, 1))
    shelf = Shelf(folder)
    fresh = models(2_100)[-1]
    shelf.add(fresh)
    for each in pictures(max(1, len(found) // 10), [fresh], 9_000_000):
        shelf.put(each, b"\xff\xd8\xff\xd9")
    yield Row("a tenth more pictures added", make(folder) - start, "s", 60)
    with tempfile.TemporaryDirectory() as fifty:
        Shelf(Path(fifty)).add(*numbered(50))
        make(Path(fifty))
        yield Row(
            "page for 50 pictures",
            (bytes_in(Path(fifty, ".page")) + Path(fifty, "index.html").stat().st_size) / 1e3,
            "kB",
            350,
        )


def make_nothing() -> float:
    """Return the seconds of a start of the command that does nothing."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "civitai_downloader", "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def settled(open_tab: Callable[..., Tab]) -> Tab:
    """Open a tab and wait: what a browser does for a new window with a fresh profile is none of the page's work."""
    tab = open_tab(before=WATCH)
    tab.open("about:blank")
    time.sleep(2)
    return tab


def browser_rows(open_tab: Callable[..., Tab], process: int, folder: Path) -> Iterator[Row]:
    """Measure the page in a browser."""
    page = (folder / "index.html").as_uri()
    tab = settled(open_tab)
    before = pss(process)
    tab.close()
    tab = settled(open_tab)
    tab.open(page + "#/images?q=id:1")
    tab.wait(f"!!document.querySelector('{READY}')", 120)
    time.sleep(2)
    yield Row("memory without pictures, growth", (pss(process) - before) / 1e6, "MB", 400)
    tab.close()
    firsts, readies = [], []
    for _ in range(3):
        tab = settled(open_tab)
        tab.open(page + "#/images")
        tab.wait(f"!!document.querySelector('{READY}') && !!bench.first", 120)
        firsts.append(tab.evaluate("bench.first"))
        readies.append(tab.evaluate("bench.ready"))
        tab.close()
    yield Row("first cards", statistics.median(firsts), "ms", 300)
    yield Row("everything can be searched", statistics.median(readies), "ms", 1500)
    tab = settled(open_tab)
    tab.open(page + "#/images")
    tab.wait(f"!!document.querySelector('{READY}')", 120)
    took = [tab.call(ASK, words) for _ in range(2) for words in QUERIES]
    told = sorted(each for each in took if each is not None)
    yield Row(f"a query, median of {len(told)}", statistics.median(told), "ms", 40)
    yield Row("a query, worst", told[-1], "ms", 100)
    yield Row("longest task while typing", statistics.median(longest_gap(tab) for _ in range(3)), "ms", 25)
    tab.call("(place) => { location.hash = place; }", "#/images")
    time.sleep(1)
    for speed in SPEEDS:
        frames, worst = tab.call(SCROLL, speed)
        yield Row(f"frames a second at {speed:,} px/s", frames, "", -55)
        yield Row(f"longest frame at {speed:,} px/s", worst, "ms", 50)
    yield Row("memory with pictures, growth", (pss(process) - before) / 1e6, "MB", 1500)
    tab.close()


def longest_gap(tab: Tab) -> float:
    """Return how many milliseconds the main thread is busy at most while a search is typed by keys."""
    tab.click("input[type=search]")
    tab.press("Control+a", "Delete")
    time.sleep(0.5)
    tab.evaluate(GAPS)
    time.sleep(0.5)
    tab.evaluate("gaps.length = 0")
    for letter in TYPED:
        tab.type(letter)
        time.sleep(0.08)
    time.sleep(0.3)
    return float(max(tab.evaluate("(() => { stopGaps = true; return gaps; })()"), default=0.0))


def measure(folder: Path, browsers: Sequence[str]) -> None:
    """Print the rows of each browser."""
    for name in browsers:
        if (find_chromium if name == "chromium" else find_firefox)() is None:
            print(f"{name} is not installed")
            continue
        with Chromium() if name == "chromium" else Firefox() as browser:
            for row in browser_rows(browser.tab, browser.process.pid, folder):
                print(row.line(name), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the library if it is not there, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench page", description=__doc__)
    parser.add_argument("--pictures", type=int, metavar="N", help="how many (default: 100,000; quick: 6,250)")
    parser.add_argument("--quick", action="store_true", help="a sixteenth of everything")
    parser.add_argument("--browser", nargs="+", choices=("chromium", "firefox"), default=["chromium", "firefox"])
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the library is kept (default: nowhere)")
    options = parser.parse_args(argv)
    count = options.pictures or (6_250 if options.quick else 100_000)
    base = options.folder or Path(tempfile.mkdtemp(prefix="bench-page-"))
    folder = base / "library"
    try:
        print(f"{'figure':44} {'browser':9} {'value':>10} {'':4} aim", flush=True)
        if not folder.exists():
            began = time.monotonic()
            found = write_library(folder, count)
            print(f"{count:,} pictures written after {time.monotonic() - began:.0f} s", flush=True)
            for row in python_rows(folder, found):
                print(row.line("-"), flush=True)
        else:
            make(folder)
        measure(folder, options.browser)
    finally:
        if options.folder is None:
            shutil.rmtree(base, ignore_errors=True)
    return 0
