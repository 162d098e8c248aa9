"""Text: decoding it, showing it safely, removing secrets from it, and parsing devalue."""

from __future__ import annotations

import html
import json
import locale
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .errors import Sentence, UsageError
from .jsontext import LEFT_OUT, MAX_DEPTH, parse_json

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_KEY = r"(?:\w+_)?token|sig|signature|authorization|api_?key|x-(?:amz|goog)-[a-z-]+|key-pair-id|policy"
_SECRET = rf"(?:{_SECRET_KEY})(?:=|%3d)[^&;#\s\"'<>\\]*"
_FIRST_SECRET = re.compile(rf"(?i)([?#]|%3f){_SECRET}(&(?:amp;)?)?")
_NEXT_SECRET = re.compile(rf"(?i)(?:&(?:amp;)?|;|%26|\\u0026){_SECRET}")
_LOGIN = re.compile(r"(?i)(?<=://)[^\s/?#\"'<>]*@(?=[\w\[])")
_BEARER = re.compile(r"(?i)(bearer\s+)(?=[a-z_.~+/-]*\d)[\w.~+/-]{8,}=*")


# --- Reading and writing ---------------------------------------------------------------------------


def read_named(path: Path) -> bytes:
    """Return the bytes of a file that the user named. Raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            "{path} can't be read ({reason}); check its name and permissions.", path=path, reason=error.strerror
        ) from None


def decode_text(data: bytes) -> str:
    """Return the text of a file written by hand, whatever its encoding; never fails.

    A byte order mark decides for UTF-8 or UTF-16. Without one UTF-8 is tried first, then the East Asian code page whose
    characters the text has, then the code page of the system, then Latin-1.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    # Korean and Japanese bytes are valid in each other's code page, but give half-width kana or rare Hangul there.
    for encoding, letters in (("euc_kr", "[가-힣]"), ("cp932", "[ぁ-ヶ一-龠]"), ("cp949", "[가-힣]")):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if len(re.findall(letters, text)) > len(re.findall("[｡-ﾟ]", text)):
                return text
    with suppress(UnicodeDecodeError, LookupError):
        return data.decode(locale.getpreferredencoding(False))
    return data.decode("latin-1")


def text_lines(data: bytes) -> list[str]:
    """Return the lines of a file written by hand."""
    return re.split(r"\r\n|\r|\n", decode_text(data))


def utf8(text: str) -> bytes:
    """Return the text as UTF-8. A lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def unescape_html(text: str) -> str:
    """Return the text with the characters that HTML writes as `&...;`; a number without end stands for none."""
    return html.unescape(re.sub(r"(?i)&#x?[0-9a-f]{9,};?", "\ufffd", text))


# --- Showing ---------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Return the text with a space for each control, escape and direction character, which a terminal would obey."""
    return CONTROL.sub(" ", text)


def shown_name(name: str) -> str:
    """Return the name of a file as text; of one that isn't in the system's encoding the other bytes as `\\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def human_size(size: float) -> str:
    """Return a number of bytes in the unit that a person would use: `3.4 GB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def scrub(text: str) -> str:
    """Return the text without secrets: logins and query parameters of links (tokens, signatures), and bearer keys."""
    text = _LOGIN.sub("", text)
    text = _FIRST_SECRET.sub(lambda found: found[1] if found[2] else "", _NEXT_SECRET.sub("", text))
    return _BEARER.sub(r"\1(cut)", text)


def scrub_json(value: Any) -> Any:
    """Return a JSON value with the secrets removed from every text that holds a link."""
    if isinstance(value, str):
        return scrub(value) if "://" in value else value
    if isinstance(value, list):
        return [scrub_json(each) for each in value]
    if isinstance(value, dict):
        return {key: scrub_json(each) for key, each in value.items()}
    return value


class Secrets:
    """What must never be shown or stored, and how it is cut out of whatever repeats it.

    A server may repeat a secret as it is, percent-encoded, or in Base64, alone or as a part of something longer. Short
    secrets are cut out as whole words only.
    """

    SHORT, CUT = 8, "(cut)"

    def __init__(self, texts: Iterable[str] = ()) -> None:
        known = {form for text in texts for form in (text, unquote(text)) if form}
        self._forms = sorted({form for text in known for form in self._forms_of(text)}, key=len, reverse=True)

    def _forms_of(self, text: str) -> Iterator[str]:
        """Yield the ways in which a secret may be written."""
        data = text.encode("utf-8", "replace")
        yield from (text, text.lower(), text.upper())
        for encoded in (quote(text, safe=""), quote_plus(text), "".join(f"%{byte:02X}" for byte in data)):
            twice = quote(encoded, safe="")
            yield from (encoded, twice)
            yield from (re.sub("%(?:25)?[0-9A-F]{2}", lambda code: code[0].lower(), each) for each in (encoded, twice))
        for shift, skipped in enumerate((0, 2, 3)):  # what stands before it decides where the letters begin
            core = b64encode(bytes(shift) + data).decode()[skipped : (shift + len(data)) * 8 // 6]
            if len(core) >= self.SHORT:
                yield from {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}

    def cut(self, text: str) -> str:
        """Return the text without the secrets; a sentence stays one."""
        if isinstance(text, Sentence) and text.values:
            values = {name: self.cut(each) if isinstance(each, str) else each for name, each in text.values.items()}
            return Sentence.worded(self.cut(str(text)), text.template, **values)
        for form in self._forms:
            if form not in text:
                continue
            if len(form) >= self.SHORT:
                text = text.replace(form, self.CUT)
            else:
                text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])", self.CUT, text)
        return text

    def cut_json(self, value: Any) -> Any:
        """Return a JSON value without the secrets. Raises RecursionError for absurd depth."""
        if isinstance(value, str):
            return self.cut(value)
        if isinstance(value, list):
            return [self.cut_json(each) for each in value]
        if isinstance(value, dict):
            return {self.cut(key): self.cut_json(each) for key, each in value.items()}
        return value

    def read_json(self, data: bytes) -> tuple[Any, list[str]]:
        """Return the value of a JSON text without the secrets, and what else `parse_json` does. Raises ValueError."""
        value, cut = parse_json(data)
        might = b"\\u" in data or b"\\/" in data or any(form.encode("utf-8", "replace") in data for form in self._forms)
        return self.cut_json(value) if might else value, cut

    def cut_body(self, data: bytes) -> bytes:
        """Return a short body, JSON or any other text, without the secrets."""
        with suppress(ValueError, RecursionError):
            return json.dumps(self.read_json(data)[0]).encode()
        return self.cut(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


# --- Links -----------------------------------------------------------------------------------------


def bare_url(url: str) -> str:
    """Return host and path of a link for a message. The query is left out: storage links carry signatures there."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return printable(f"{parts.hostname or ''}{parts.path}")
    return Sentence("a broken link")


def host_of(url: str) -> str:
    """Return host and port of a link for a message, or `the server` if it has none."""
    with suppress(ValueError):
        return printable(urlsplit(url).netloc.rpartition("@")[2]) or Sentence("the server")
    return Sentence("the server")


def web_link(text: str) -> str:
    """Return the text if it is a complete http or https link, else an empty text.

    One with a login, a backslash or a control character is none: programs do not agree where it leads.
    """
    with suppress(ValueError):
        parts = urlsplit(text)
        named = re.fullmatch(r"\S+", parts.hostname or "") and parts.port != 0
        plain = "@" not in parts.netloc and not re.search(r"[\\\x00-\x1f\x7f]", text)
        return text if parts.scheme in ("http", "https") and named and plain else ""
    return ""


def split_login(url: str) -> tuple[str, str]:
    """Return a link without the `NAME:PASSWORD@` before its host, and these."""
    scheme, mark, rest = url.partition("://")
    place = re.match(r"[^/?#]*", rest)
    login, at, host = (place[0] if place else "").rpartition("@")
    return (scheme + mark + host + rest[len(login + at + host) :], login) if mark else (url, "")


# --- Devalue, the form in which web pages carry their data -------------------------------------------


def parse_devalue(text: str) -> Any:
    """Return the value that a devalue text stands for.

    The text is a flat JSON list in which every member of a list or object is the index of its value. Dates stay text,
    undefined and not-a-number become None, sets become lists; values that are shared stay shared, cycles too. What is
    nested too deeply becomes `LEFT_OUT`. Raises ValueError for anything else.
    """
    flat, _ = parse_json(text)
    return _devalue(flat, 0, {}) if isinstance(flat, list) else _devalue([], flat, {})


def _devalue(flat: list[Any], index: Any, built: dict[int, Any], depth: int = 0) -> Any:
    """Return the value at an index. It is put into `built` before its members, as these may lead back to it."""
    if isinstance(index, bool) or not isinstance(index, int) or index >= len(flat):
        raise ValueError("a devalue index leads nowhere")
    if index < 0:
        return 0 if index == -6 else None
    if index in built:
        return built[index]
    if depth > MAX_DEPTH:
        return LEFT_OUT
    depth += 1
    match flat[index]:
        case ["null", *rest]:
            entry: Any = dict(zip(map(str, rest[::2]), rest[1::2], strict=False))
        case ["Map", *rest]:
            entry = dict(zip((str(_devalue(flat, key, built, depth)) for key in rest[::2]), rest[1::2], strict=False))
        case ["Set", *entry]:
            pass
        case [-7, _, *rest]:
            entry = rest[1::2]
        case ["Object", int(inner)]:
            return _devalue(flat, inner, built, depth)
        case ["BigInt", digits]:
            return int(str(digits))
        case [str(), *rest]:
            return rest[0] if rest else None
        case entry:
            pass
    if isinstance(entry, dict):
        built[index] = {}
        built[index].update((key, _devalue(flat, each, built, depth)) for key, each in entry.items())
    elif isinstance(entry, list):
        built[index] = []
        built[index].extend(_devalue(flat, each, built, depth) for each in entry)
    return built.get(index, entry)
