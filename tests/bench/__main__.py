"""Measures ours beside other programs, on this machine alone: `python -m tests.bench --quick`.

`python -m tests.bench page` measures the page in browsers instead; see page.py.

Every figure is the median of some rounds in which the programs take turns. Ratios hold from one machine to another
better than figures do. `--folder` should be on a disk with 10 GB free, or be a RAM disk.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import page
from .origin import Origin
from .programs import PEERS
from .scenarios import SCENARIOS, Bench, Row

HEADING = f"{'scenario':28} {'program':22} {'seconds':>8} {'ratio':>6} {'CPU s':>7} {'peak MB':>7}  bounds"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures ours beside other programs.")
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of everything (default: 5, quick: 1)")
    parser.add_argument("--quick", action="store_true", help="a sixteenth of everything; bounds mean little then")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios into a PNG")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work (default: the system's)")
    return parser.parse_args(argv)


def line_of(row: Row, first: Row) -> str:
    """A line of the table; the ratio is to the first program of the scenario."""
    ratio = f"{row.seconds / first.seconds:6.2f}" if first.seconds > 0 else "     -"
    figures = f"{row.seconds:8.3f} {ratio} {row.cost.cpu:7.2f} {row.cost.peak:7.0f}"
    return f"{row.scenario:28} {row.program:22} {figures}  {row.verdict}".rstrip()


def draw(rows: Sequence[Row], path: Path) -> None:
    """How much longer or shorter each row took than the first of its scenario."""
    try:
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    firsts = {row.scenario: row for row in reversed(rows)}
    seconds = {f"{row.scenario}: {row.program}": max(row.seconds, 0.001) for row in reversed(rows)}
    beside = [seconds[name] / max(firsts[name.partition(": ")[0]].seconds, 0.001) for name in seconds]
    figure = figures.Figure(figsize=(10, 1 + len(seconds) / 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="time beside the first program of each scenario (less is better)")
    colours = ["tab:orange" if ": ours" in name else "tab:blue" for name in seconds]
    bars = axes.barh(list(seconds), [ratio - 1 for ratio in beside], left=1, color=colours)
    axes.bar_label(bars, [f"{each:.2f} s" for each in seconds.values()], padding=3)
    axes.margins(x=0.15, y=0.01)
    figure.savefig(path, dpi=120)
    print(f"plot: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scenarios and print the table."""
    options = parse(argv)
    absent = [name for name in PEERS if not shutil.which(name)]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        for name in options.scenario or SCENARIOS:
            inner = Path(folder) / name
            inner.mkdir()
            with Origin(inner) as origin:
                if not rows:
                    print(f"origin: {origin.kind}; not installed: {', '.join(absent) or 'none'}")
                    print(HEADING)
                bench = Bench(origin, inner, options.rounds or (1 if options.quick else 5), 16 if options.quick else 1)
                found = []
                for row in SCENARIOS[name](bench):
                    found.append(row)
                    first = next(each for each in found if each.scenario == row.scenario)
                    print(line_of(row, first), flush=True)
                rows += found
            shutil.rmtree(inner)
    if options.plot:
        draw(rows, options.plot)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and files go as well
    sys.exit(page.main(sys.argv[2:]) if sys.argv[1:2] == ["page"] else main())
