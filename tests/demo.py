"""Shows the program at work without a network: `python -m tests.demo`.

Starts the fake site, runs the real command on a small list into `demo-downloads/`, and says where the files are.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fake_civitai import FakeCivitai, demo_world

FOLDER = Path("demo-downloads")


def main() -> int:
    """Run the command against the fake site; its exit code is ours."""
    world = demo_world()
    FOLDER.mkdir(exist_ok=True)
    with FakeCivitai(world) as site:
        links = FOLDER / "models.txt"
        links.write_text("".join(f"{site.url}/models/{model}\n" for model in world.models), "utf-8")
        pace = ["--max-rate-model", "50", "--max-rate-image", "50"]
        words = [str(links), "--site", site.url, "-o", str(FOLDER), "--token", "good-token", *pace]
        print("$ python -m civitai_downloader", *words, flush=True)
        code = subprocess.run([sys.executable, "-m", "civitai_downloader", *words], check=False).returncode
    print(f"Exit code {code}. The files are in {FOLDER / 'users'}; run the demo again, and nothing is fetched twice.")
    return code


if __name__ == "__main__":
    sys.exit(main())
