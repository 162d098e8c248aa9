"""Markup: an author's HTML, made such that opening it from disk asks nothing of any network and runs nothing."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

# What these tags hold is shown; all others are dropped, and their words stay.
_KEPT = frozenset(
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd "
    "li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var".split()
)
_VOID = frozenset(("br", "hr"))
_HIDDEN = frozenset(("script", "style", "template"))  # what is in them are no words
_ATTRIBUTES = frozenset(("colspan", "rowspan", "start", "title"))
_LINK = re.compile(r"(?:https?://|mailto:)[^\s\\]+", re.I)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=\s]+", re.I)


def offline(markup: str) -> str:
    """Return HTML with the words, their form, and links for people; what would be loaded is a link to it instead."""
    parser = _Cleaner()
    parser.feed(markup)
    parser.close()
    return parser.cleaned()


class _Cleaner(HTMLParser):
    """Writes down what is kept, with every tag closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._open: list[str] = []
        self._hidden = ""

    def cleaned(self) -> str:
        """Return what was kept."""
        self._close_to(0)
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag that is kept, or a link in place of what would be loaded."""
        values = {name: value or "" for name, value in reversed(attrs)}
        if tag in _HIDDEN:
            self._hidden = self._hidden or tag
        elif self._hidden:
            return
        elif tag in _KEPT:
            self._parts.append(f"<{tag}{_attributes(tag, values)}>")
            if tag not in _VOID:
                self._open.append(tag)
        elif tag == "img" and _PICTURE.fullmatch(values.get("src", "")):
            self._parts.append(f'<img src="{html.escape(values["src"])}" alt="{html.escape(values.get("alt", ""))}">')
        elif _LINK.fullmatch(source := values.get("src", "").strip()):
            words = html.escape(values.get("alt") or source)
            self._parts.append(
                f'<a href="{html.escape(source)}" rel="noreferrer">{words}</a>' if "a" not in self._open else words
            )

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, and what was left open in it."""
        if tag == self._hidden:
            self._hidden = ""
        elif not self._hidden and tag in self._open:
            self._close_to(len(self._open) - 1 - self._open[::-1].index(tag))

    def handle_data(self, data: str) -> None:
        """Write words."""
        if not self._hidden:
            self._parts.append(html.escape(data, quote=False))

    def _close_to(self, depth: int) -> None:
        self._parts += [f"</{tag}>" for tag in reversed(self._open[depth:])]
        del self._open[depth:]


def _attributes(tag: str, values: dict[str, str]) -> str:
    """Return the attributes of a tag that are kept, as they stand in it."""
    kept = {name: value for name, value in values.items() if name in _ATTRIBUTES}
    link = values.get("href", "").strip()
    if tag == "a" and _LINK.fullmatch(link):
        kept |= {"href": link, "rel": "noreferrer"}
    return "".join(f' {name}="{html.escape(value)}"' for name, value in kept.items())
