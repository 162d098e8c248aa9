"""Errors: the one base class of all failures, and the reasons for which a thing cannot be had."""

from __future__ import annotations

from collections.abc import Mapping


class Sentence(str):
    """English text for people that knows what it was made of, so that it can be said in another language.

    `template` has {places} for its `values`, and is what other languages are looked up by.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Sentence:
        """Fill the values into the template; without values it may have any braces. A sentence stays as it is."""
        if isinstance(template, Sentence):
            return template
        sentence = super().__new__(cls, template.format(**values) if values else template)
        sentence.template, sentence.values = template, values
        return sentence

    @classmethod
    def worded(cls, english: str, template: str, /, **values: object) -> Sentence:
        """Return a sentence whose English is not its filled template; other languages fill theirs."""
        sentence = super().__new__(cls, english)
        sentence.template, sentence.values = template, values
        return sentence


class Failure(Exception):
    """The base class of all errors: this item cannot be had.

    `reason` is a fixed word that programs can rely on; the `sentence` is for people.
    """

    def __init__(self, reason: str, message: str, /, **values: object) -> None:
        """`message` is the template of the sentence, or the sentence itself."""
        self.reason = reason
        self.sentence = Sentence(message, **values)
        super().__init__(self.sentence)


class UsageError(Failure):
    """What the user asked for cannot be understood or done. Raised before anything is fetched."""

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__("usage", message, **values)


class OptionError(UsageError):
    """A wrong option. `place` is the file in which the option stands, "" for the command."""

    def __init__(self, message: str, /, **values: object) -> None:
        self.place = ""
        super().__init__(message, **{"option": "", **values})

    def of(self, option: str) -> OptionError:
        """Return the same error with the name of the option that it is about."""
        return OptionError(self.sentence.template, **{**self.sentence.values, "option": option})


class Unreachable(Failure):
    """A fault that may pass: no connection, an incomplete answer, a server error, a web page instead of data."""

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__("unreachable", message, **values)


class Unconnected(Unreachable):
    """No connection to `host` could be made: nobody knows its name, or nobody answers at its address."""

    def __init__(self, host: str, message: str, /, **values: object) -> None:
        super().__init__(message, **values)
        self.host = host


class Busy(Failure):
    """The server asks us to wait (429 or 503).

    `retry_after` is the number of seconds it named, or None if it named none.
    """

    def __init__(self, message: str, retry_after: float | None, /, **values: object) -> None:
        super().__init__("busy", message, **values)
        self.retry_after = retry_after


class Stopped(BaseException):
    """The user wants to stop. Not a Failure, so that no error handler swallows it."""
