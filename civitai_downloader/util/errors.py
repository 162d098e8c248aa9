"""Failures: the one error base and the reasons why a thing can't be had."""

from __future__ import annotations


class Failure(Exception):
    """The one error base: this item can't be had. `reason` is a stable word, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UsageError(Failure):
    """What the user asked for can't be understood or done; raised before anything is fetched."""

    def __init__(self, message: str) -> None:
        super().__init__("usage", message)


class Unreachable(Failure):
    """A fault that may pass: no connection, a cut answer, a server error, a page instead of data."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


class Busy(Failure):
    """The server asks for patience (429, 503); `retry_after` is what it named, in seconds, or None."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__("busy", message)
        self.retry_after = retry_after


class Stopped(BaseException):
    """The user wants to leave; outside the error base so that no error handler swallows it."""
