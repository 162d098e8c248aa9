"""A log file: everything that is said, with times, appended to a file of the user's, without secrets."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from .clock import utc_text
from .errors import OptionError
from .text import printable, scrub, utf8


class LogFile(logging.Handler):
    """Appends a line `<time> <level> <message>` for each message; further lines of it are indented."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make its folder. Raises OptionError."""
        super().__init__(logging.DEBUG)
        self._secrets: tuple[str, ...] = ()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OptionError(
                "{file} can't be written ({reason}); choose another --log.", file=path, reason=reason
            ) from None

    def hide(self, secrets: Iterable[str]) -> None:
        """Cut these texts out of everything that is written from now on."""
        self._secrets = tuple(secret for secret in secrets if len(secret) > 3)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message. If the disk takes no more, say so once and write nothing from then on."""
        text = scrub(self.format(record))
        for secret in self._secrets:
            text = text.replace(secret, "(cut)")
        lines = "\n    ".join(map(printable, text.splitlines()))
        try:
            os.write(self._file, utf8(f"{utc_text(record.created)} {record.levelname.lower()} {lines}\n"))
        except OSError as error:
            self.setLevel(logging.CRITICAL + 1)
            log = logging.getLogger(record.name)
            log.warning("The log file can't be written any more (%s); check its disk.", error.strerror)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        super().close()
