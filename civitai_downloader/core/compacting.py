"""Compacting: `--compact` makes one state log of those of all copies, and removes what these have left."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..util.clock import Clock
from ..util.disks import Disk
from ..util.errors import OptionError, UsageError
from ..util.files import disk_errors, is_link
from ..util.locks import holder_file
from ..util.names import long_path, shown_path
from .ours import LOCK, LOG, logs_in
from .settings import Settings
from .shares import files_of_copies
from .state import open_log
from .turns import Turn

log = logging.getLogger(__name__)


def compact_logs(folders: Iterable[Path], settings: Settings, clock: Clock) -> None:
    """Make one state log in each folder, of the lines that count, and say so. Raises UsageError and Failure."""
    if settings.dry_run:
        raise OptionError("--compact can't be combined with --dry-run; leave that out.")
    for folder in folders:
        if not any(logs_in(folder)):
            sentence = "There is no state log in {folder}; name an output folder with -o, or as an INPUT."
            raise UsageError(sentence, folder=shown_path(folder))
        lock = Turn(folder, None, clock).take(log.info if settings.wait else None)
        try:
            _compact(folder)
        finally:
            lock.release()


def _compact(folder: Path) -> None:
    """Make one log of all in a folder whose lock we hold. It may be killed anywhere: nothing is removed before."""
    root = long_path(folder)
    count, kept = len(logs_in(root)), open_log(root, None, alone=True, disk=Disk(root))
    for problem in kept.problems:
        log.warning("%s", problem)
    before, after = kept.compact()
    kept.close()
    locks = files_of_copies(root, LOCK).values()
    for path in (*files_of_copies(root, LOG).values(), *map(holder_file, locks), *locks):
        with disk_errors(path):
            path.unlink(missing_ok=True)
    _remove_claims(root)
    words = "%s has one state log now; logs before: %d, lines before: %d, lines now: %d."
    log.info(words, shown_path(folder), count, before, after)


def _remove_claims(root: Path) -> None:
    """Remove what copies that work no more have claimed."""
    claims = root / ".cache" / "claims"
    if not is_link(claims.parent) and not is_link(claims):
        with suppress(OSError):
            shutil.rmtree(claims)
