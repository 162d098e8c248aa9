"""Runs the imitated site alone, filled with the demo world: `python -m tests.fake_civitai`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .examples import demo_world
from .server import FakeCivitai


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo site until Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_civitai", description="A local Civitai to try things on."
    )
    parser.add_argument("--port", type=int, default=0, help="port of the site (default: a free one)")
    options = parser.parse_args(argv)
    with FakeCivitai(demo_world(), port=options.port) as site:
        print(f"site: {site.url}   (key: good-token)", flush=True)
        print(f"a line for models.txt: {site.url}/models/10001", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
