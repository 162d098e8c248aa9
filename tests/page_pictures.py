"""Takes the two pictures of the page in README.md: `python -m tests.page_pictures` writes `tests/page-*.webp`.

The real command brings home the library of the demo, and Chromium shows its page.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser import Chromium, ChromiumTab
from tests.demo import demo
from tests.fake_civitai import FakeCivitai

FOLDER = Path(__file__).parent
SIZE = (1280, 800)


def bring_home(folder: Path) -> None:
    """Run the command on the library of the demo."""
    with FakeCivitai(demo()) as site:
        links = [f"{site.url}/models/{model}" for model in site.world.models]
        pace = ["--max-rate-model", "100", "--max-rate-image", "100", "--token", "good-token"]
        words = [*links, "--site", site.url, "-o", str(folder), "-q", *pace]
        subprocess.run([sys.executable, "-m", "civitai_downloader", *words], check=True)


def take(tab: ChromiumTab, path: Path) -> None:
    """Write what is seen, once all pictures in it are there, into a file."""
    tab.wait("[...document.images].every((each) => !each.getClientRects().length || !each.src || each.complete)")
    tab.evaluate("new Promise((then) => setTimeout(then, 600))")
    answer = tab.ask("Page.captureScreenshot", format="webp", quality=86)
    path.write_bytes(base64.b64decode(answer["data"]))
    print(f"{path} has {path.stat().st_size:,} bytes.")


def main() -> int:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        bring_home(Path(folder))
        tab = browser.tab()
        tab.resize(*SIZE)
        page = Path(folder, "index.html").as_uri()
        tab.open(f"{page}#/images")
        tab.wait("document.documentElement.hasAttribute('data-ready')")
        take(tab, FOLDER / "page-pictures.webp")
        tab.prefer(prefers_color_scheme="dark")
        tab.open(f"{page}#/images?q=prompt:lantern")
        tab.wait("document.documentElement.hasAttribute('data-ready')")
        tab.click("[data-image]:not([data-covered])")
        tab.wait_for("[role=dialog][data-image]")
        take(tab, FOLDER / "page-viewer.webp")
    return 0


if __name__ == "__main__":
    sys.exit(main())
