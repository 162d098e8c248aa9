"""Another process holds a lock: within one process a second lock on the same file is no other one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CODE = """
import pathlib, sys
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.locks import FolderLock
locks = [FolderLock(pathlib.Path(name), sys.argv[1]) for name in sys.argv[2:]]
print(*(lock.acquire(Clock()) for lock in locks), flush=True)
sys.stdin.read()
for lock in locks:
    lock.release()
"""


@contextmanager
def held(*locks: Path, copy: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Have another process, which is given, hold locks until the block ends."""
    words = [sys.executable, "-c", _CODE, copy, *map(str, locks)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline().split() == [b"True"] * len(locks)
            yield other
        finally:
            assert other.stdin is not None
            other.stdin.close()
            other.wait(60)
