"""How long a state log of a million lines takes to load, beside json.loads of each line, and the memory it holds."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from civitai_downloader.util import KeyedLog

LINES = 1_000_000


def write(path: Path, lines: int) -> None:
    """Records as the program writes them: one in fifty is a model file."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            model = number % 50 == 0
            folder = f"users/램프 maker/models/name of a model [{number // 100}]/v1 [{number // 100}]/images"
            record = {
                "at": "2026-11-20T05:26:00Z",
                "type": "model" if model else "image" if number % 2 else "meta",
                "id": f"{number}/{7 * number}" if model else str(20_000_000 + number),
                "status": "success",
                "path": f"{folder}/{number}.jpg",
                "size": 123_456 + number,
                "sha256": f"{number:064x}" if model else "",
                "reason": "",
                "source": f"https://civitai.com/models/{number // 100} --latest",
            }
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def seconds_of_json(path: Path) -> float:
    """The time of reading every line as JSON and keeping nothing."""
    begun = time.perf_counter()
    with path.open("rb") as file:
        for line in file:
            json.loads(line)
    return time.perf_counter() - begun


def main() -> int:
    """Print the figures; lines are the only argument."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        write(path, lines)
        plain = seconds_of_json(path)
        begun = time.perf_counter()
        log = KeyedLog(path)
        load = time.perf_counter() - begun
        begun = time.perf_counter()
        asked = sum(log.get("image", str(20_000_000 + number)) is not None for number in range(1, lines, 99))
        get = (time.perf_counter() - begun) / len(range(1, lines, 99))
        log.close()
        tracemalloc.start()
        log = KeyedLog(path)
        held, peak = tracemalloc.get_traced_memory()
        log.close()
    print(f"{lines} lines, Python {platform.python_version()}, {asked} of them asked for")
    print(f"load {load:.2f} s = {load / plain:.2f} of json.loads ({plain:.2f} s); one record {1e6 * get:.1f} us")
    print(f"memory {held / lines:.0f} bytes a line, at most {peak / lines:.0f} while loading")
    return 0


if __name__ == "__main__":
    sys.exit(main())
