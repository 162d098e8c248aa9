"""The process: the encoding of its names, and standard streams that are closed, full or no longer read."""

from __future__ import annotations

import codecs
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from .errors import Failure

log = logging.getLogger(__name__)

FORMER = "CIVITAI_DOWNLOADER_ENCODING"  # the variable that tells a process which encoding it was started over for


def ensure_utf8() -> None:
    """Start the program over in Python's UTF-8 mode where the system's encoding can't write every name.

    The process stays the same one for whoever waits for it, and its words keep their bytes.
    """
    encoding = codecs.lookup(sys.getfilesystemencoding()).name
    if os.name == "nt" or encoding == "utf-8" or sys.flags.utf8_mode or FORMER in os.environ or not sys.executable:
        return
    environment = {**os.environb, b"PYTHONUTF8": b"1", FORMER.encode(): encoding.encode()}
    os.execve(sys.executable, [os.fsencode(sys.executable), b"-X", b"utf8", *_words()[1:]], environment)


def former_encoding() -> str:
    """Return the encoding for which the program was started over in UTF-8 mode, "" if it was not."""
    return os.environ.get(FORMER, "") if sys.flags.utf8_mode else ""


def _words() -> list[bytes]:
    """Return the words with which the process was started, byte for byte where the system tells."""
    with suppress(OSError):
        return Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    return [os.fsencode(word) for word in sys.orig_argv]


class Steady:
    """A stream that never fails: what a closed terminal or a broken pipe does not accept is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Output(Steady):
    """Standard output: an error of it is a Failure, or BrokenPipeError where nobody reads it any more."""

    def write(self, text: str) -> int:
        """Write a text. Raises Failure."""
        with _output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        """Hand over what was written. Raises Failure."""
        with _output_errors():
            self._stream.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(
            "system", "The output can't be written ({reason}); check where it goes.", reason=error.strerror
        ) from None


def open_streams() -> None:
    """Put the standard streams in order.

    A closed stream gets its number back, so that no file is given it; errors of standard error are ignored; and a
    terminal gets text in its own encoding.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it stays open to the end
    for stream in (sys.stdout, sys.stderr):
        if former_encoding() not in ("", "ascii") and stream.isatty() and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=former_encoding(), errors="replace")
    sys.stdout, sys.stderr = cast(TextIO, Output(sys.stdout)), cast(TextIO, Steady(sys.stderr))


def flush_output() -> str:
    """Hand over what was written to standard output; return why that failed, "" if it has not.

    A reader that has closed the pipe has what it wanted, so that is no failure.
    """
    try:
        sys.stdout.flush()
    except (BrokenPipeError, Failure) as error:
        with suppress(OSError, ValueError):  # Python will try once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.sentence if isinstance(error, Failure) else ""
    return ""


def run_as_process(main: Callable[[], int], *, failed: int, interrupted: int, workers: tuple[str, ...]) -> NoReturn:
    """Run `main` as the whole of a process and leave with its exit code.

    SIGTERM, a closed terminal and the end of a session are Ctrl-C. Threads whose names begin like those of `workers`
    may hang in a read, and are not waited for. If the last words can't be written, the code is `failed` in place of 0.
    Ctrl-C that comes before `main` can say so makes it `interrupted`.
    """
    ensure_utf8()
    open_streams()

    def leave(number: int, _frame: object) -> None:
        """Do as Ctrl-C does, once: a terminal that is closed is told by several."""
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # SIGBREAK is Ctrl-Break, and on Windows also the closing of the window and the end of the session; SIGHUP is a
    # terminal that was closed, which `nohup` lets us ignore.
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)]
    for number in signals:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        code = main()
    except KeyboardInterrupt:
        code = interrupted
    for number in (signal.SIGINT, *signals):
        signal.signal(number, signal.SIG_IGN)  # nothing is left to be interrupted but the exit code
    if (trouble := flush_output()) and code == 0:
        log.error("%s", trouble)
        code = failed
    sys.stderr.flush()
    if any(thread.name.startswith(workers) for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)
