"""Speech: the sentences of one language, and which language the system speaks."""

from __future__ import annotations

import locale
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence

from .errors import Failure, OptionError, Sentence
from .text import printable

Catalogue = Mapping[str, Mapping[str, str]]


class Sentences:
    """The sentences of one language."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        """`language` is one of those in the catalogue; what it lacks is said in English."""
        self._words = {**catalogue["en"], **catalogue[language]}

    def __call__(self, key: str, **values: object) -> str:
        """Return a sentence with its values filled in; without one, the key, which may be the English sentence."""
        return (self._words.get(key) or key).format(**values)

    def tell(self, thing: Failure | str) -> str:
        """Return what a failure or a sentence says in this language; any other text as it is."""
        if isinstance(thing, OptionError):
            place = f"{thing.place}: " if thing.place else ""
            return printable(place + self.tell(thing.sentence))
        if isinstance(thing, Failure):
            return self.tell(thing.sentence)
        if isinstance(thing, Sentence) and thing.values and thing.template in self._words:
            return self(thing.template, **{name: self._said(value) for name, value in thing.values.items()})
        return self._words.get(thing, str(thing))

    def _said(self, value: object) -> object:
        return self.tell(value) if isinstance(value, (Failure, Sentence)) else value

    def translate(self, record: logging.LogRecord) -> bool:
        """Say a message of the log in this language; for `logging.Handler.addFilter`."""
        record.msg = self.tell(record.msg) if isinstance(record.msg, str) else record.msg
        if isinstance(record.args, tuple):
            record.args = tuple(map(self._said, record.args))
        return True


def system_language(known: Collection[str]) -> str:
    """Return the language of the locale that the environment or the system names, or English if we do not speak it."""
    named = filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG")))
    language = (next(named, None) or locale.getlocale()[0] or "")[:2].lower()  # Windows says "Japanese_Japan"
    return language if language in known else "en"


def language_of(words: Sequence[str], known: Collection[str]) -> str:
    """Return the language that the words of a command ask for before they are understood, or the system's."""
    named = re.search(r"(?:^|\0)--lang[=\0]([a-z]+)(?:\0|$)", "\0".join(words))
    return named[1] if named and named[1] in known else system_language(known)
