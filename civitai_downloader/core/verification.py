"""Verification: what the state log calls done is compared with the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import disk_errors, sha256_of, size_of
from .arrivals import receive_queued
from .library import Library
from .moved import MovedFiles
from .owners import recheck
from .records import Record, Result


def verify_library(library: Library, clock: Clock) -> Iterator[Result]:
    """Check what the state log calls done or queued against the disk, one thing after the other; nothing is fetched.

    What is wrong is recorded, so that a run fetches it; what has come from IDM's queue is recorded as done.
    """
    moved = MovedFiles(clock)
    for key, record in library.records():
        clock.check()
        result = Result("done", *key, record.path, path=record.path, size=record.size, sha256=record.sha256)
        try:
            if record.status == "success":
                if key[0] != "model":
                    _check_record(library, record, clock)
                elif now := recheck(library, key, record, moved, clock):
                    library.record(key, now, source="--verify")
                    result = replace(result, path=now.path, size=now.size, sha256=now.sha256)
            elif record.status != "queued":
                continue
            elif after := receive_queued(library, key, record, clock):
                library.record(key, after, source="--verify")
            else:
                result = replace(result, outcome="queued")
        except Failure as failure:
            library.record(key, replace(record, status="failed"), source="--verify", reason=str(failure))
            result = replace(result, outcome="failed", reason=failure.reason, message=str(failure))
        yield result


def _check_record(library: Library, record: Record, clock: Clock) -> None:
    """Raise Failure if a file is not what it was when it was verified."""
    path = library.at(record.path)
    size = size_of(path)
    if size is None:
        raise Failure("missing", "It is not on disk any more; run again to fetch it.")
    if size != record.size:
        raise Failure("size", f"It has {size} bytes instead of {record.size}; run again to fetch it.")
    with disk_errors(path):
        if record.sha256 and sha256_of(path, clock) != record.sha256:
            raise Failure("changed", "Its bytes have changed since they were verified; run again to fetch it.")
