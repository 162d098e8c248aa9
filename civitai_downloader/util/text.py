"""Text: reading it, showing it safely, and cutting secrets out of it."""

from __future__ import annotations

import json
import locale
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import UsageError

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_KEY = r"(?:\w+_)?token|sig|signature|authorization|api_?key|x-(?:amz|goog)-[a-z-]+|key-pair-id|policy"
_SECRET = rf"(?:{_SECRET_KEY})(?:=|%3d)[^&;#\s\"'<>\\]*"
_FIRST_SECRET = re.compile(rf"(?i)([?#]|%3f){_SECRET}(&(?:amp;)?)?")
_NEXT_SECRET = re.compile(rf"(?i)(?:&(?:amp;)?|;|%26|\\u0026){_SECRET}")
_BEARER = re.compile(r"(?i)(bearer\s+)(?=[a-z_.~+/-]*\d)[\w.~+/-]{8,}=*")
_WORD = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\S)+")


def read_named(path: Path) -> bytes:
    """The bytes of a file that the user named; raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}); check its name and rights.") from None


def decode_text(data: bytes) -> str:
    """The text of a hand-made file: UTF-8 or UTF-16 by its mark, else UTF-8, else the code page it looks like."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    # Korean and Japanese bytes are legal in each other's code page, but become half-width kana or odd Hangul there.
    for encoding, sign in (("euc_kr", "[가-힣]"), ("cp932", "[ぁ-ヶ一-龠]"), ("cp949", "[가-힣]")):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if len(re.findall(sign, text)) > len(re.findall("[｡-ﾟ]", text)):
                return text
    with suppress(UnicodeDecodeError, LookupError):
        return data.decode(locale.getpreferredencoding(False))
    return data.decode("latin-1")


def utf8(text: str) -> bytes:
    """Return the text as UTF-8; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def split_words(line: str) -> list[str]:
    """The words of a line; quotes keep blanks together, backslashes are ordinary (Windows paths)."""
    return [re.sub(r"\"([^\"]*)\"|'([^']*)'", r"\1\2", word) for word in _WORD.findall(line)]


def printable(text: str) -> str:
    """The text without control, escape and direction characters, so that a terminal shows it as it is."""
    return CONTROL.sub(" ", text)


def human_size(size: float) -> str:
    """Bytes in the unit a person would use: `3.4 GB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def scrub(text: str) -> str:
    """The text without tokens and signatures: secret query parameters and bearer keys are cut out."""
    text = _FIRST_SECRET.sub(lambda found: found[1] if found[2] else "", _NEXT_SECRET.sub("", text))
    return _BEARER.sub(r"\1(cut)", text)


def scrub_json(value: Any) -> Any:
    """A JSON value with every link in it scrubbed; everything else is kept as it was."""
    if isinstance(value, str):
        return scrub(value) if "://" in value else value
    if isinstance(value, list):
        return [scrub_json(each) for each in value]
    if isinstance(value, dict):
        return {key: scrub_json(each) for key, each in value.items()}
    return value


def bare_url(url: str) -> str:
    """A link fit to be shown: host and path, no query (storage links carry signatures there)."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return printable(f"{parts.hostname or ''}{parts.path}")
    return "a broken link"


def host_of(url: str) -> str:
    """Host and port, as a message may show them."""
    with suppress(ValueError):
        return printable(urlsplit(url).netloc.rpartition("@")[2]) or "the server"
    return "the server"


def web_link(text: str) -> str:
    """The text if it is a web link that can be opened, else nothing."""
    with suppress(ValueError):
        parts = urlsplit(text)
        return text if parts.scheme in ("http", "https") and _names_host(parts.netloc) else ""
    return ""


@lru_cache(256)
def _names_host(place: str) -> bool:
    """Whether this is a host with a possible port, as it stands in a link; raises ValueError for some that are not."""
    parts = urlsplit(f"//{place}")
    return bool(re.fullmatch(r"\S+", parts.hostname or "")) and parts.port != 0


def parse_devalue(text: str) -> Any:
    """The value behind a devalue text; dates stay text, undefined and not-a-number become None, sets lists.

    The text is a flat JSON list in which every member of a list or object is the index of its value. Raises ValueError
    for anything else, RecursionError for absurd depth. Shared values stay shared, cycles too.
    """
    flat = json.loads(text)
    return _devalue(flat, 0, {}) if isinstance(flat, list) else _devalue([], flat, {})


def _devalue(flat: list[Any], index: Any, built: dict[int, Any]) -> Any:
    """The value at an index, put into `built` before its members are, as these may lead back to it."""
    if isinstance(index, bool) or not isinstance(index, int) or index >= len(flat):
        raise ValueError("a devalue index leads nowhere")
    if index < 0:
        return 0 if index == -6 else None
    if index in built:
        return built[index]
    match flat[index]:
        case ["null", *rest]:
            entry: Any = dict(zip(map(str, rest[::2]), rest[1::2], strict=False))
        case ["Map", *rest]:
            entry = dict(zip((str(_devalue(flat, key, built)) for key in rest[::2]), rest[1::2], strict=False))
        case ["Set", *entry]:
            pass
        case [-7, _, *rest]:
            entry = rest[1::2]
        case ["Object", int(inner)]:
            return _devalue(flat, inner, built)
        case ["BigInt", digits]:
            return int(str(digits))
        case [str(), *rest]:
            return rest[0] if rest else None
        case entry:
            pass
    if isinstance(entry, dict):
        built[index] = {}
        built[index].update((key, _devalue(flat, each, built)) for key, each in entry.items())
    elif isinstance(entry, list):
        built[index] = []
        built[index].extend(_devalue(flat, each, built) for each in entry)
    return built.get(index, entry)
