"""Hashes files as the program does: `python -m tests.bench.digests THREADS FILE …`. It imports nothing else."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.hashes import BUFFER, hash_file


def main(threads: int, paths: list[str]) -> None:
    """Print the SHA256 of each file; every thread has its own buffer."""
    spare = [bytearray(BUFFER) for _ in range(threads)]

    def one(path: str) -> str:
        buffer = spare.pop()
        digest = hash_file(Path(path), Clock(), buffer, int).sha256
        spare.append(buffer)
        return digest

    with ThreadPoolExecutor(threads) as pool:
        for digest in pool.map(one, paths):
            print(digest)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
