"""The screen: messages on a stream, above the bars of what is under way."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from .clock import utc_text
from .logfile import LogFile
from .progress import Meter


class Screen:
    """Messages on a stream and, where it is a terminal, bars below them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line: Any = None
        self._bars: dict[Meter, Any] = {}

    def write(self, text: str) -> None:
        """Write a message above the bars."""
        if self._line is not None:
            self._line.write(text, file=self._stream, end="")
        else:
            self._stream.write(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._stream.flush()

    def show_log(self, log: logging.Logger, level: str, *, as_json: bool) -> None:
        """Show the messages of a logger from this level on, as text or as one JSON object on each line."""
        handler = logging.StreamHandler(self)
        if as_json:
            handler.addFilter(_as_json)
        log.handlers, log.propagate = [handler], False
        log.setLevel(level)

    def write_log(self, log: logging.Logger, file: LogFile, secrets: Iterable[str | None]) -> None:
        """Write the messages of a logger to a file, too, with every detail; the texts that are `secrets` are cut."""
        file.hide(filter(None, secrets))
        for shown in log.handlers:
            shown.setLevel(log.level)
        log.handlers.insert(0, file)
        log.setLevel("DEBUG")

    def draw(self, line: str, meters: Sequence[Meter]) -> None:
        """Show a line, and a bar below it for each transfer."""
        from tqdm import tqdm  # not needed where nothing is drawn

        if self._line is None:
            self._line = tqdm(bar_format="{desc}", position=0, leave=False, file=self._stream)
        self._line.set_description_str(line)
        for gone in self._bars.keys() - set(meters):
            self._bars.pop(gone).close()
        for meter in meters:
            if meter not in self._bars:
                self._bars[meter] = tqdm(
                    desc=meter.name[-40:], unit="B", unit_scale=True, unit_divisor=1024, leave=False, file=self._stream
                )
            bar = self._bars[meter]
            bar.total, bar.n = meter.total, meter.done
            bar.refresh()

    def finish(self) -> None:
        """Take the bars away."""
        for bar in reversed(list(self._bars.values())):
            bar.close()
        if self._line is not None:
            self._line.close()
        self._bars, self._line = {}, None


def _as_json(record: logging.LogRecord) -> bool:
    """Make one JSON object of a message and its facts."""
    facts = getattr(record, "facts", {})
    level, message = record.levelname.lower(), record.getMessage()
    whole = {"at": utc_text(record.created), "level": level, "message": message, **facts}
    record.msg, record.args, record.exc_info = json.dumps(whole, ensure_ascii=False), (), None
    return True
