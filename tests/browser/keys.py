"""Keys by their names, as a keyboard and the two protocols know them."""

from __future__ import annotations

from dataclasses import dataclass

# name -> (code of the key, number that Windows gives it, character of WebDriver)
_NAMED = {
    "Enter": ("Enter", 13, "\ue007"),
    "Escape": ("Escape", 27, "\ue00c"),
    "Tab": ("Tab", 9, "\ue004"),
    "Backspace": ("Backspace", 8, "\ue003"),
    "Delete": ("Delete", 46, "\ue017"),
    "ArrowLeft": ("ArrowLeft", 37, "\ue012"),
    "ArrowUp": ("ArrowUp", 38, "\ue013"),
    "ArrowRight": ("ArrowRight", 39, "\ue014"),
    "ArrowDown": ("ArrowDown", 40, "\ue015"),
    "Home": ("Home", 36, "\ue011"),
    "End": ("End", 35, "\ue010"),
    "PageUp": ("PageUp", 33, "\ue00e"),
    "PageDown": ("PageDown", 34, "\ue00f"),
    " ": ("Space", 32, " "),
}
_MODIFIERS = {"Alt": (1, "\ue00a"), "Control": (2, "\ue009"), "Meta": (4, "\ue03d"), "Shift": (8, "\ue008")}
_SIGNS = {"/": ("Slash", 191), "?": ("Slash", 191), "+": ("Equal", 187), "=": ("Equal", 187), "-": ("Minus", 189)}
_SHIFTED = "?+"


@dataclass(frozen=True)
class Key:
    """A key with the modifiers that are held. `text` is what it types, "" where it types nothing."""

    name: str
    code: str
    number: int
    text: str
    modifiers: tuple[str, ...]
    webdriver: str

    @property
    def bits(self) -> int:
        """The modifiers as the bits of Chromium's protocol."""
        return sum(_MODIFIERS[each][0] for each in self.modifiers)

    @property
    def held(self) -> list[str]:
        """The modifiers as characters of WebDriver."""
        return [_MODIFIERS[each][1] for each in self.modifiers]


def read_key(words: str) -> Key:
    """Return the key that is written as `Control+k`, `Shift+ArrowDown`, `?` or `a`."""
    before, name = (words[:-1], "+") if words.endswith("+") else words.rpartition("+")[::2]
    held = filter(None, before.split("+"))
    shift = ("Shift",) if name in _SHIFTED or (len(name) == 1 and name.isupper()) else ()
    modifiers = tuple(dict.fromkeys((*held, *shift)))
    types = not {"Alt", "Control", "Meta"} & set(modifiers)
    if name in _NAMED:
        code, number, character = _NAMED[name]
        text = {"Enter": "\r", " ": " "}.get(name, "")
        return Key(name, code, number, text if types else "", modifiers, character)
    code, number = _SIGNS.get(name) or _plain(name)
    return Key(name, code, number, name if types else "", modifiers, name)


def _plain(name: str) -> tuple[str, int]:
    assert len(name) == 1, f"there is no key {name}"
    if name.isascii() and name.isalpha():
        return f"Key{name.upper()}", ord(name.upper())
    return (f"Digit{name}", ord(name)) if name.isascii() and name.isdigit() else ("", 0)
