"""Markup: an author's HTML, made such that opening it from disk asks nothing of any network and runs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping

from ..util.text import unescape_html

# These tags are kept; all others are dropped, and the words in them stay.
_KEPT = frozenset(
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd "
    "li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var".split()
)
_VOID = frozenset(("br", "hr"))
_ATTRIBUTES = frozenset(("colspan", "rowspan", "start", "title"))
_LINK = re.compile(r"(?:https?://|mailto:)[^\s\\]+", re.I)
# Every repetition has a limit or runs to the end, so that no text takes long.
_NO_WORDS = re.compile(
    r"<!--.*?(?:--!?>|\Z)|<(script|style|template)\b.*?(?:</\1\b[^>]{0,99}>|\Z)|<[!?/][^a-z>][^>]{0,999}>", re.I | re.S
)
_TAG = re.compile(r"""<(/?)([a-z][a-z0-9]{0,15})\b((?:"[^"]{0,4000}"|'[^']{0,4000}'|[^>"'<]){0,2000})>""", re.I)
_ATTRIBUTE = re.compile(
    r"""(?<![\w-])([a-z-]{1,20})\s{0,9}=\s{0,9}(?:"([^"]{0,4000})"|'([^']{0,4000})'|([^\s"'>]{1,2000}))""", re.I
)


def offline(markup: str) -> str:
    """Return HTML with the words, their form, and links for people; what would be loaded is a link to it instead."""
    return "".join(_cleaned(_NO_WORDS.sub("", markup)))


def _cleaned(markup: str) -> Iterator[str]:
    """Yield the pieces that are kept, every tag closed in its place."""
    opened: list[str] = []
    end = 0
    for found in _TAG.finditer(markup):
        yield _words(markup[end : found.start()])
        end, tag = found.end(), found[2].lower()
        if found[1]:
            depth = len(opened) - 1 - opened[::-1].index(tag) if tag in opened else len(opened)
            yield from (f"</{each}>" for each in reversed(opened[depth:]))
            del opened[depth:]
            continue
        values = {each[1].lower(): unescape_html(each[2] or each[3] or each[4] or "") for each in _found(found[3])}
        if tag not in _KEPT:
            yield _link_to(values, nested="a" in opened)
            continue
        yield f"<{tag}{_attributes(tag, values)}>"
        if tag not in _VOID:
            opened.append(tag)
    yield _words(markup[end:])
    yield from (f"</{each}>" for each in reversed(opened))


def _found(attributes: str) -> list[re.Match[str]]:
    """Return the attributes with values; of two with one name the first one counts, as in browsers."""
    return list(_ATTRIBUTE.finditer(attributes))[::-1]


def _words(markup: str) -> str:
    return html.escape(unescape_html(markup), quote=False)


def _link_to(values: Mapping[str, str], *, nested: bool) -> str:
    """Return a link to what a tag would load, or "" if it loads nothing; within another link only its words."""
    source = values.get("src", "").strip()
    if not _LINK.fullmatch(source):
        return ""
    words = html.escape(values.get("alt") or source)
    return words if nested else f'<a href="{html.escape(source)}" rel="noreferrer">{words}</a>'


def _attributes(tag: str, values: Mapping[str, str]) -> str:
    """Return the attributes of a tag that are kept, as they stand in it."""
    kept = {name: value for name, value in values.items() if name in _ATTRIBUTES}
    link = values.get("href", "").strip()
    if tag == "a" and _LINK.fullmatch(link):
        kept |= {"href": link, "rel": "noreferrer"}
    return "".join(f' {name}="{html.escape(value)}"' for name, value in kept.items())
