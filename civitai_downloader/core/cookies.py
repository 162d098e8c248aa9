"""Cookies: the `Cookie` header in a file, whichever way a browser or one of its add-ons wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..util.errors import UsageError
from ..util.text import decode_text, read_named
from .targets import HOSTS

_SITES = tuple(dict.fromkeys(".".join(host.split(".")[-2:]) for host in HOSTS))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
_HEADER_LINE = re.compile(r"^\s*[\"']?cookie[\"']?\s*:\s*(\S.*)$", re.I | re.M)
# Where a copied command or program holds the header: curl's options, and the objects of fetch and of scripts.
_COPIED = re.compile(
    r"""(?:-H|--header)[ =]+\$?(['"])cookie:\s*(?P<header>.*?)\1|(?:-b|--cookie)[ =]+\$?(['"])(?P<option>.*?)\3"""
    r"""|["']cookie["']\s*:\s*(["'])(?P<member>.*?)\5""",
    re.I | re.S,
)
_POWERSHELL = re.compile(r"""Cookie\(\s*"([^"]*)",\s*"([^"]*)",\s*"[^"]*",\s*"([^"]*)"\s*\)""", re.I)
_SET_COOKIE = re.compile(r"^\s*set-cookie:\s*([^=;\s]+)=([^;\n]*)(.*)$", re.I | re.M)


@dataclass(frozen=True)
class _Cookie:
    """A cookie; `host` is "" where the file does not say whose it is."""

    name: str
    value: str
    host: str = ""

    @property
    def rank(self) -> int:
        """Where its host stands among the site's own hosts: the first one's cookie wins; -1 for another site's."""
        if not self.host:
            return 0
        site = ".".join(self.host.lower().rstrip(".").split(".")[-2:])
        return _SITES.index(site) if site in _SITES else -1

    @property
    def can_be_sent(self) -> bool:
        """Whether it fits into a header."""
        return bool(_NAME.fullmatch(self.name) and _VALUE.fullmatch(self.value))


def read_cookies(path: Path) -> str:
    """Return the `Cookie` header of the site in a file. Raises UsageError if it holds none.

    A file may be JSON or a table as add-ons write them, a header, or lines with names and values. Cookies of other
    sites are left out, and so is one that can't be sent.
    """
    found = sorted((each for each in _cookies_in(decode_text(read_named(path))) if each.rank >= 0), key=_rank)
    chosen: dict[str, str] = {}
    for cookie in found:
        if cookie.can_be_sent:
            chosen.setdefault(cookie.name, cookie.value)
    if not chosen:
        words = "{path} contains no cookies of the site; paste your browser's Cookie header into it."
        raise UsageError(words, path=path)
    return "; ".join(f"{name}={value}" for name, value in chosen.items())


def _rank(cookie: _Cookie) -> int:
    return cookie.rank


def _cookies_in(text: str) -> list[_Cookie]:
    """Return the cookies in a text, by the first form that fits."""
    text = text.strip("\ufeff \t\r\n")
    if text.startswith(("[", "{")):
        return list(_of_json(text))
    if "Netscape HTTP Cookie File" in text:
        return list(_of_table(text))
    for form in (_of_table, _of_answer, _of_program, _of_lines):
        if found := list(form(text)):
            return found
    return []


# --- JSON -----------------------------------------------------------------------------------------


def _of_json(text: str) -> Iterator[_Cookie]:
    """Yield the cookies of a JSON file: a list of objects, an object that holds such a list, or names and values."""
    try:
        yield from _of_value(json.loads(text), "")
    except (ValueError, RecursionError):
        for line in text.splitlines():  # one object a line
            try:
                yield from _of_value(json.loads(line), "")
            except (ValueError, RecursionError):
                continue


def _of_value(value: Any, host: str) -> Iterator[_Cookie]:
    """Yield the cookies in a JSON value. A key that is a host, or a `url` beside a list, says whose they are."""
    if isinstance(value, list):
        for each in value:
            yield from _of_value(each, host)
    if not isinstance(value, dict):
        return
    facts = {re.sub("[ _-]?raw$", "", str(key).lower()): each for key, each in value.items()}
    name, content = (next((facts[key] for key in keys if key in facts), None) for keys in _SPELLINGS)
    own = next((str(facts[key]) for key in ("domain", "host", "url") if isinstance(facts.get(key), str)), "")
    if isinstance(name, str) and isinstance(content, str):
        yield _Cookie(name, content, _host(own) if own else host)
        return
    if isinstance(value.get("cookies"), (list, dict)):  # what stands beside it is no cookie
        yield from _of_value(value["cookies"], _host(own) if own else host)
        return
    for key, each in value.items():
        inner = _host(key) if re.search(r"\w\.\w", key) else _host(own) if own else host
        if isinstance(each, (list, dict)):
            if isinstance(each, dict) and isinstance(each.get("value"), str) and "name" not in each:
                yield from _of_value({"name": key, **each}, host)
            else:
                yield from _of_value(each, inner)
        elif isinstance(each, str) and key.lower() == "cookie":
            yield from _of_header(each, host)
        elif isinstance(each, str) and not own and key.lower() not in ("version", "path"):
            yield _Cookie(key, each, host)


_SPELLINGS = (("name", "key"), ("value", "content"))


def _host(text: str) -> str:
    """Return the host in a domain or link."""
    host = urlsplit(text).hostname if "://" in text else text.partition("/")[0].partition(":")[0]
    return (host or "").lstrip(".") or "unknown."


# --- Tables ---------------------------------------------------------------------------------------


def _of_table(text: str) -> Iterator[_Cookie]:
    """Yield the cookies of a Netscape cookie file, whose columns may be parted by blanks, or of a browser's table."""
    for line in text.splitlines():
        bare = line.strip().removeprefix("#HttpOnly_")
        row = bare.split("\t") if bare.count("\t") >= 5 else bare.split(None, 6)
        if len(row) >= 6 and row[1].upper() in ("TRUE", "FALSE") and row[3].upper() in ("TRUE", "FALSE"):
            yield _Cookie(row[5], row[6] if len(row) > 6 else "", _host(row[0]))
        elif "\t" in line and len(row := line.strip("\r\n").split("\t")) >= 4 and row[3].startswith("/"):
            yield _Cookie(row[0].strip(), row[1].strip(), _host(row[2].strip()))


# --- Texts ----------------------------------------------------------------------------------------


def _of_answer(text: str) -> Iterator[_Cookie]:
    """Yield the cookies of `Set-Cookie` lines and of a copied PowerShell command."""
    for name, value, rest in _SET_COOKIE.findall(text):
        domain = re.search(r"domain=([^;\s]+)", rest, re.I)
        yield _Cookie(name, value.strip(), _host(domain[1]) if domain else "")
    for name, value, domain in _POWERSHELL.findall(text):
        yield _Cookie(name, value, _host(domain))


def _of_program(text: str) -> Iterator[_Cookie]:
    """Yield the cookies of the header in a copied command, or in a copied block of headers, with the host it is for."""
    for command in re.split(r"(?=\bcurl\s|\bfetch\()", text):
        for found in _COPIED.finditer(command):
            asked = re.search(r"https?://[^\s'\"]+", command)
            header = next(filter(None, found.group("header", "option", "member")), "")
            yield from _of_header(header, _host(asked[0]) if asked else "")
    if line := _HEADER_LINE.search(text):
        asked = re.search(r"^\s*(?::authority|host):\s*(\S+)", text, re.I | re.M)
        yield from _of_header(line[1].strip().rstrip("'\","), _host(asked[1]) if asked else "")


def _of_header(header: str, host: str = "") -> Iterator[_Cookie]:
    for piece in re.split(r";\s*|\n", header):
        name, sign, value = piece.strip().partition("=")
        if sign:
            yield _Cookie(name.strip(), value.strip(), host)


def _of_lines(text: str) -> Iterator[_Cookie]:
    """Yield the cookies of a header without its name, or of lines that are `name=value` or `name: value`."""
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    for line in lines:
        if line.startswith("#"):
            continue
        pair = re.fullmatch(r"([^\s=:;]+):\s+(\S+)", line)
        yield from [_Cookie(pair[1], pair[2])] if pair else _of_header(line)
