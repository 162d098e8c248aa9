"""Errors: the one base class of all failures, and the reasons for which a thing cannot be had."""

from __future__ import annotations


class Failure(Exception):
    """The base class of all errors: this item cannot be had.

    `reason` is a fixed word that programs can rely on; the message is a sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UsageError(Failure):
    """What the user asked for cannot be understood or done. Raised before anything is fetched."""

    def __init__(self, message: str) -> None:
        super().__init__("usage", message)


class OptionError(UsageError):
    """A wrong option: an English sentence with {places} for its values, which other languages are looked up by.

    `place` is the file in which the option stands, "" for the command.
    """

    def __init__(self, sentence: str, **values: object) -> None:
        self.place = ""
        self.sentence, self.values = sentence, {"option": "", **values}
        super().__init__(sentence.format(**self.values))

    def of(self, option: str) -> OptionError:
        """Return the same error with the name of the option that it is about."""
        return OptionError(self.sentence, **{**self.values, "option": option})


class Unreachable(Failure):
    """A fault that may pass: no connection, an incomplete answer, a server error, a web page instead of data."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


class Unconnected(Unreachable):
    """No connection to `host` could be made: nobody knows its name, or nobody answers at its address."""

    def __init__(self, host: str, message: str) -> None:
        super().__init__(message)
        self.host = host


class Busy(Failure):
    """The server asks us to wait (429 or 503).

    `retry_after` is the number of seconds it named, or None if it named none.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__("busy", message)
        self.retry_after = retry_after


class Stopped(BaseException):
    """The user wants to stop. Not a Failure, so that no error handler swallows it."""
