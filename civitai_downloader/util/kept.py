"""Kept answers: what a server said in the last 24 hours, so that it is not asked again, even by another run."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from hashlib import pbkdf2_hmac
from pathlib import Path
from secrets import token_hex
from typing import Any

from .clock import DAY, utc_now, utc_text
from .disks import Disk, existing_folder
from .errors import Failure
from .logs import KeyedLog
from .text import scrub_json

log = logging.getLogger(__name__)

_OURS = re.compile(r"answers-[0-9]{4}-[0-9]{2}-[0-9]{2}\.jsonl|filters\.json(?:\.[0-9a-f]{8}\.tmp)?")


def cache_folder(root: Path) -> Path | None:
    """Return the folder for what can be had again, below an output folder; None if something stands in its way.

    A link is never followed there, whoever made it.
    """
    folder = root / ".cache" / "lists"
    for place in (folder.parent, folder):
        if place.is_symlink() or (os.path.lexists(place) and not place.is_dir()):
            return None
    return folder


def move_old_answers(root: Path) -> None:
    """Move what earlier versions of the program kept in `lists/` to its new place, if it holds nothing else."""
    old, new = root / "lists", cache_folder(root)
    with suppress(OSError):
        if new is None or os.path.lexists(new) or old.is_symlink() or not old.is_dir():
            return
        found = list(os.scandir(old))
        if found and all(_OURS.fullmatch(each.name) and each.is_file(follow_symlinks=False) for each in found):
            new.parent.mkdir(exist_ok=True)
            old.rename(new)


class KeptAnswers:
    """JSON answers of the last 24 hours below an output folder, in one log a day (UTC), without secrets.

    Each answer belongs to the host that gave it and to the one who asked: to a salted hash of both, from which neither
    token nor cookies can be told. Each log has a salt of its own. What can't be kept or read is asked again.
    """

    ROUNDS = 20_000

    def __init__(self, root: Path, asker: str, *, read_only: bool = False, write_only: bool = False) -> None:
        """`asker` is the host with all that decides what it answers: the token and the cookies.

        Nothing is read or written before the first answer. With `read_only` nothing is written or deleted, with
        `write_only` no answer is used that was kept before now.
        """
        self._root, self._asker = root, asker
        self._read_only, self._write_only = read_only, write_only
        self._fresh: set[str] = set()  # the keys of what has been kept since
        self._logs: dict[str, KeyedLog] = {}  # by day
        self._marks: dict[str, str] = {}  # by day: the hash that goes before each key

    def get(self, key: str) -> Any:
        """Return the answer kept for a key, or None."""
        if self._write_only and key not in self._fresh:
            return None
        now = time.time()
        for day in (_day(now), _day(now - DAY)):
            with suppress(OSError, Failure):
                record = self._record(day, key) or {}
                if utc_text(now - DAY) <= str(record.get("at")) <= utc_now():
                    return record.get("answer")
        return None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer, if the disk takes it."""
        if self._read_only:
            return
        day = _day(time.time())
        try:
            kept = self._log(day)
            if kept is not None:
                if not self._mark(day, kept):
                    kept.append({"at": utc_now(), "type": "salt", "id": "", "status": "success", "salt": token_hex(16)})
                record = {"at": utc_now(), "type": "answer", "id": f"{self._mark(day, kept)} {key}"}
                kept.append({**record, "status": "success", "answer": scrub_json(answer)})
                self._fresh |= {key} if self._write_only else set()
        except (OSError, Failure, RecursionError) as trouble:
            log.debug("An answer could not be kept: %s", trouble)

    def close(self) -> None:
        """Close the logs."""
        for kept in self._logs.values():
            with suppress(OSError, Failure):
                kept.close()
        self._logs.clear()

    def _record(self, day: str, key: str) -> dict[str, Any] | None:
        """Return the last record of a day under a key, or None."""
        kept = self._log(day)
        mark = self._mark(day, kept) if kept is not None else ""
        return kept.get("answer", f"{mark} {key}") if kept is not None and mark else None

    def _log(self, day: str) -> KeyedLog | None:
        """Return the log of a day, None if there is no place for one. With the first log of a day old ones go."""
        folder = cache_folder(self._root)
        path = folder / f"answers-{day}.jsonl" if folder is not None else None
        if folder is None or path is None or path.is_symlink() or (os.path.lexists(path) and not path.is_file()):
            return None
        if day not in self._logs:
            self._logs[day] = KeyedLog(path, disk=Disk(existing_folder(folder), durable=False))
            self._forget_old(folder)
        return self._logs[day]

    def _forget_old(self, folder: Path) -> None:
        """Delete the logs that are older than yesterday's."""
        oldest = _day(time.time() - DAY)
        for day in [each for each in self._logs if each < oldest]:
            with suppress(OSError, Failure):
                self._logs.pop(day).close()
        for path in [] if self._read_only else folder.glob("answers-????-??-??.jsonl"):
            if path.name < f"answers-{oldest}":
                with suppress(OSError):  # another run may be reading it
                    path.unlink()

    def _mark(self, day: str, kept: KeyedLog) -> str:
        """Return the hash of host and asker for a day, or "" if its log has no salt yet."""
        if day not in self._marks:
            salt = (kept.get("salt", "") or {}).get("salt")
            if not isinstance(salt, str):
                return ""
            self._marks[day] = pbkdf2_hmac("sha256", self._asker.encode(), salt.encode(), self.ROUNDS, 16).hex()
        return self._marks[day]


def _day(seconds: float) -> str:
    return utc_text(seconds)[:10]
