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
from .joined import JoinedLog
from .text import scrub_json, utf8

log = logging.getLogger(__name__)

_ANSWERS = re.compile(r"answers-[0-9]{4}-[0-9]{2}-[0-9]{2}(?:\.([1-9][0-9]{0,5}-of-[1-9][0-9]{0,5}))?\.jsonl")
_FILTERS = re.compile(r"filters\.json(?:\.[0-9a-f]{8}\.tmp)?")


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
        if found and all(_is_ours(each) for each in found):
            new.parent.mkdir(exist_ok=True)
            old.rename(new)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    is_called_so = _ANSWERS.fullmatch(entry.name) or _FILTERS.fullmatch(entry.name)
    return is_called_so is not None and entry.is_file(follow_symlinks=False)


class _Day:
    """What was kept on one day (UTC): in our own file, and in those that copies of this run or of another one write."""

    ROUNDS = 20_000

    def __init__(self, folder: Path, day: str, copy: str, asker: str) -> None:
        self._folder, self._day, self._asker = folder, day, asker
        self._copies, self._copy = [copy], copy  # whose files there are, and whose ours is
        self._marks: dict[str, str] = {}  # by copy: the hash that goes before each key
        disk = Disk(existing_folder(folder), durable=False)
        self._log = JoinedLog(folder / _name(day, copy), self._others, disk=disk)

    def _others(self) -> dict[int, Path]:
        """Return the files of others, each under the number that it got when it was first seen."""
        found = {}
        with suppress(OSError), os.scandir(self._folder) as entries:
            names = {entry.name: entry for entry in entries if entry.name.startswith(f"answers-{self._day}.")}
            for name, entry in sorted(names.items()):
                if (told := _ANSWERS.fullmatch(name)) and entry.is_file(follow_symlinks=False):
                    copy = told[1] or ""
                    self._copies += [] if copy in self._copies else [copy]
                    found[self._copies.index(copy)] = self._folder / name
        return found

    def last(self, key: str) -> list[tuple[str, bool, Any]]:
        """Return, of each file that has an answer for a key, when it was kept, whether the file is ours, and it."""
        found = []
        for copy in self._copies:
            mark = self._mark(copy)
            if mark and (record := self._log.get("answer", f"{mark} {key}")):
                found.append((str(record.get("at")), copy == self._copy, record.get("answer")))
        return found

    def put(self, key: str, at: str, answer: Any) -> None:
        """Keep an answer. Raises Failure."""
        if not self._mark(self._copy):
            salt = {"at": at, "type": "salt", "id": self._copy, "status": "success", "salt": token_hex(16)}
            self._log.append(salt)
        record = {"at": at, "type": "answer", "id": f"{self._mark(self._copy)} {key}", "status": "success"}
        self._log.append({**record, "answer": scrub_json(answer)})

    def refresh(self) -> None:
        """Read what others have kept since."""
        self._log.refresh()

    def close(self) -> None:
        """Close the files. Raises Failure."""
        self._log.close()

    def _mark(self, copy: str) -> str:
        """Return the hash of host and asker in the file of a copy, or "" if that has no salt yet."""
        if copy not in self._marks:
            salt = (self._log.get("salt", copy) or {}).get("salt")
            if not isinstance(salt, str):
                return ""
            self._marks[copy] = pbkdf2_hmac("sha256", self._asker.encode(), utf8(salt), self.ROUNDS, 16).hex()
        return self._marks[copy]


class KeptAnswers:
    """JSON answers of the last 24 hours below an output folder, in one log a day (UTC), without secrets.

    Each answer belongs to the host that gave it and to the one who asked: to a salted hash of both, from which neither
    token nor cookies can be told. Each log has a salt of its own. What can't be kept or read is asked again. Copies
    write a log each and read those of all: what another one has kept since is found.
    """

    LOOK, AHEAD = 0.05, 60.0  # seconds: how often others' logs are looked at, how far their clocks may be ahead

    def __init__(
        self, root: Path, asker: str, *, copy: str = "", read_only: bool = False, write_only: bool = False
    ) -> None:
        """`asker` is the host with all that decides what it answers: the token and the cookies.

        Nothing is read or written before the first answer. `copy` is what the log of this copy has in its name, as
        `3-of-8`. With `read_only` nothing is written or deleted, with `write_only` no answer is used that was kept
        before now.
        """
        self._root, self._asker, self._copy = root, asker, copy
        self._read_only, self._since = read_only, utc_now() if write_only else ""
        self._fresh: set[str] = set()  # the keys of what has been kept since
        self._days: dict[str, _Day] = {}
        self._looked = 0.0

    def get(self, key: str) -> Any:
        """Return the answer kept for a key, or None."""
        answer = self._last(key)[2]
        if answer is None and time.monotonic() - self._looked >= self.LOOK:
            self._look()
            answer = self._last(key)[2]
        return answer

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer, if the disk takes it."""
        if self._read_only:
            return
        try:
            day = self._day(_day(time.time()))
            if day is not None:
                day.put(key, max(utc_now(), self._last(key)[0]), answer)
                self._fresh |= {key} if self._since else set()
        except (OSError, Failure, RecursionError) as trouble:
            log.debug("An answer could not be kept: %s", trouble)

    def close(self) -> None:
        """Close the logs."""
        for day in self._days.values():
            with suppress(OSError, Failure):
                day.close()
        self._days.clear()

    def _last(self, key: str) -> tuple[str, bool, Any]:
        """Return when the last answer that counts was kept for a key, whether by us, and the answer, or None."""
        now = time.time()
        found: list[tuple[str, bool, Any]] = [("", False, None)]
        for day in (_day(now), _day(now - DAY)):
            with suppress(OSError, Failure):
                kept = self._day(day)
                found += kept.last(key) if kept is not None else ()
        first, last = utc_text(now - DAY), utc_text(now + self.AHEAD)
        counting = (each for each in found if first <= each[0] <= last and self._is_of_now(key, each))
        return max(counting, key=lambda each: each[:2], default=found[0])

    def _is_of_now(self, key: str, answer: tuple[str, bool, Any]) -> bool:
        """Return whether an answer was kept since we began, if no other one counts."""
        at, is_own, _ = answer
        return not self._since or (key in self._fresh if is_own else at > self._since)

    def _look(self) -> None:
        for day in self._days.values():
            with suppress(OSError, Failure):
                day.refresh()
        self._looked = time.monotonic()

    def _day(self, day: str) -> _Day | None:
        """Return what was kept on a day, None if there is no place for it. With the first of its logs old ones go."""
        folder = cache_folder(self._root)
        path = folder / _name(day, self._copy) if folder is not None else None
        if folder is None or path is None or path.is_symlink() or (os.path.lexists(path) and not path.is_file()):
            return None
        if day not in self._days:
            self._days[day] = _Day(folder, day, self._copy, self._asker)
            self._forget_old(folder)
        return self._days[day]

    def _forget_old(self, folder: Path) -> None:
        """Delete the logs that are older than yesterday's."""
        oldest = _day(time.time() - DAY)
        for day in [each for each in self._days if each < oldest]:
            with suppress(OSError, Failure):
                self._days.pop(day).close()
        for path in [] if self._read_only else folder.glob("answers-????-??-??*.jsonl"):
            if path.name < f"answers-{oldest}" and _ANSWERS.fullmatch(path.name):
                with suppress(OSError):  # another run may be reading it
                    path.unlink()


def _name(day: str, copy: str) -> str:
    return f"answers-{day}.{copy}.jsonl" if copy else f"answers-{day}.jsonl"


def _day(seconds: float) -> str:
    return utc_text(seconds)[:10]
