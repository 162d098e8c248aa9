"""What is left of a text is put together again: separators, blanks and brackets around what was dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .wordlists import NUMBER

PAIRS = {"(": ")", "[": "]", "{": "}", "（": "）", "［": "］", "｛": "｝"}
PAIRS |= {f"\\{opening}": f"\\{PAIRS[opening]}" for opening in "([{"}
BARS, COLONS = "|｜", ":："
OPENING, CLOSING = r"\\[(\[{]|[(\[{（［｛]", r"\\[)\]}]|[)\]}）］｝]"
_JOINT = re.compile(
    rf"\\\\|(?P<close>(?:[{COLONS}]\s*{NUMBER}\s*)?(?P<bare>{CLOSING}))|(?P<open>{OPENING})|(?P<mark>[{BARS}{COLONS}])"
)


class Place(NamedTuple):
    """Where separators stand: first or last in their row, at the edge of the whole text, and what follows them."""

    first: bool
    last: bool
    edge: bool
    following: str


Glue = Callable[[Sequence[str], Place], str]


def rejoin(separators: Sequence[str], left: Sequence[str], glue: Glue) -> str:
    """Return a text again of which `left` is left: what stood between the separators, "" for what was dropped.

    A bracket stays as long as something in it does, and so do the bars and colons between alternatives. `glue` makes
    one separator out of those around dropped things.
    """
    if not any(left):
        return ""
    pieces: list[str] = []
    run = [separators[0]]
    for thing, separator in zip(left, separators[1:], strict=True):
        if not thing:
            run.append(separator)
            continue
        if len(run) > 1:
            run = [_one(run, glue, Place(not pieces, False, not pieces, thing))]
        pieces += [run[0], thing]
        run = [separator]
    return "".join([*pieces, run[0] if len(run) == 1 else _one(run, glue, Place(False, True, True, ""))])


def _one(run: Sequence[str], glue: Glue, place: Place) -> str:
    """Return what becomes of the separators before, between and behind dropped things."""
    if not _JOINT.search("".join(run)):
        return glue(run, place)
    joints = [(index, found) for index, separator in enumerate(run) for found in _joints_in(separator)]
    kept = _kept(joints)
    chunks: list[list[str]] = [[]]
    at = 0
    for index, separator in enumerate(run):
        chunks[-1].append("")
        end = 0
        while at < len(joints) and joints[at][0] == index:
            found = joints[at][1]
            chunks[-1][-1] += separator[end : found.start()]
            chunks.append([""]) if kept[at] else chunks[-1].append("")
            end, at = found.end(), at + 1
        chunks[-1][-1] += separator[end:]
    return _around([found for (_, found), stays in zip(joints, kept, strict=True) if stays], chunks, glue, place)


def _joints_in(separator: str) -> list[re.Match[str]]:
    """Return the brackets, bars and colons in a separator; a backslash that is escaped itself escapes nothing."""
    return [found for found in _JOINT.finditer(separator) if found.lastgroup]


def _kept(joints: Sequence[tuple[int, re.Match[str]]]) -> list[bool]:
    """Return which joints stay: all but the brackets in which nothing is left, and what stands between those."""
    kept, change = [True] * len(joints), [0] * (len(joints) + 1)
    opened: dict[str, list[int]] = {}
    for at, (_, joint) in enumerate(joints):
        if joint["open"]:
            opened.setdefault(PAIRS[joint["open"]], []).append(at)
        elif joint["close"] and opened.get(joint["bare"]):
            start = opened[joint["bare"]].pop()
            kept[start] = kept[at] = False
            change[start] += 1
            change[at] -= 1
    depth = 0
    for at, (_, joint) in enumerate(joints):
        depth += change[at]
        kept[at] = kept[at] and not (joint["mark"] and depth)
    return kept


def _around(joints: Sequence[re.Match[str]], chunks: Sequence[Sequence[str]], glue: Glue, place: Place) -> str:
    """Return the joints that stay with one separator before, between and behind them."""
    pieces: list[str] = []
    for at, chunk in enumerate(chunks):
        before = joints[at - 1] if at else None
        after = joints[at] if at < len(joints) else None
        first = place.first if before is None else not before["close"]
        last = place.last if after is None else not after["open"]
        following = place.following if after is None else after[0]
        pieces.append(chunk[0] if len(chunk) == 1 else glue(chunk, Place(first, last, place.edge, following)))
        pieces.append(after[0] if after is not None else "")
    return "".join(pieces)
