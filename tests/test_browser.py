"""The driver of browsers: keys as they are written in tests."""

from __future__ import annotations

import pytest

from tests.browser.keys import read_key


@pytest.mark.parametrize(
    ("words", "name", "code", "text", "bits"),
    [
        ("a", "a", "KeyA", "a", 0),
        ("A", "A", "KeyA", "A", 8),
        ("?", "?", "Slash", "?", 8),
        ("/", "/", "Slash", "/", 0),
        ("+", "+", "Equal", "+", 8),
        ("7", "7", "Digit7", "7", 0),
        (" ", " ", "Space", " ", 0),
        ("Enter", "Enter", "Enter", "\r", 0),
        ("ArrowDown", "ArrowDown", "ArrowDown", "", 0),
        ("Control+k", "k", "KeyK", "", 2),
        ("Shift+ArrowLeft", "ArrowLeft", "ArrowLeft", "", 8),
        ("Control++", "+", "Equal", "", 10),
        ("한", "한", "", "한", 0),
    ],
)
def test_a_key_is_what_a_keyboard_sends(words: str, name: str, code: str, text: str, bits: int) -> None:
    key = read_key(words)
    assert (key.name, key.code, key.text, key.bits) == (name, code, text, bits)


def test_a_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(AssertionError, match="no key F99"):
        read_key("F99")
