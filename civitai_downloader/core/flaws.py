"""Flaws: what is seen to be wrong with a model file without reading it whole."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import IO, Any

from ..util.errors import Sentence
from ..util.files import open_regular, read_errors
from ..util.media import looks_like_page
from ..util.tensors import LENGTH, MOST_HEADER
from ..util.text import human_size
from .choice import form_of

_HEAD, _MOST_MESSAGE = 1024, 64 << 10  # bytes; a message of a server is not longer than that
_LONGEST_HEADER = 100_000_000  # bytes, as the format has it
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

EMPTY = Sentence("It is empty (0 bytes); download it again.")
PAGE = Sentence("It is a web page instead of a model; download it again.")
MESSAGE = Sentence("It is a server's message instead of a model; download it again.")
CUT = Sentence("It is cut off at its end; download it again.")
DAMAGED = Sentence("Its header is damaged; download it again.")
FOREIGN = Sentence("It doesn't begin as a file with this ending does; download it again.")


_POINTER = "It is a Git LFS pointer without its file (SHA256 {sha256}); fetch that with git lfs pull."
_CUT_BY = "It is cut off: {missing} are missing at its end; download it again."


def read_flaw(text: str) -> str:
    """Return what the state log says is wrong with a file, as a sentence that can be said in every language."""
    for template in (_POINTER, _CUT_BY):
        before, name, after = re.split(r"[{}]", template)
        if text.startswith(before) and text.endswith(after):
            return Sentence(template, **{name: text[len(before) : len(text) - len(after)]})
    return text


def flaw_of(path: Path) -> Sentence | None:
    """Return why a file with the ending of a model file is none or not all of one; None if nothing is seen.

    A safetensors is told by its header, a zip (as most of .ckpt and .pt are) by the directory at its end. Bytes behind
    the weights are no flaw: nothing is missing, and the file may have been published so; its hash will tell. Neither
    is a header that is too long or nested too deeply to be read. At most 16 MiB are read. Raises Failure.
    """
    with read_errors(path), open_regular(path) as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(_HEAD)
        if not head:
            return EMPTY
        if reason := _posing(head) or (
            MESSAGE if size <= _MOST_MESSAGE and _is_object(head + file.read(size)) else None
        ):
            return reason
        if head.startswith(b"PK\x03\x04"):
            return None if zipfile.is_zipfile(file) else CUT
        form = form_of(path.name)
        if form == "gguf":
            return None if head.startswith(b"GGUF") else FOREIGN
        return _flaw_of_safetensors(file, head, size) if form == "safetensors" else None


def _posing(head: bytes) -> Sentence | None:
    """Return what a file is that begins with these bytes and is a text in the place of a model."""
    if looks_like_page(head):
        return PAGE
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b'{"error"', b'{"message"')):
        return MESSAGE
    if not head.startswith(b"version https://git-lfs"):
        return None
    found = re.search(rb"^oid sha256:([0-9a-fA-F]{64})\s", head, re.M)
    digest = found[1].decode().lower() if found else "?"
    return Sentence(_POINTER, sha256=digest)


def _is_object(data: bytes) -> bool:
    """Return whether a short file is a JSON object."""
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _flaw_of_safetensors(file: IO[bytes], head: bytes, size: int) -> Sentence | None:
    if head.startswith(_PICKLES) and head[LENGTH : LENGTH + 1] != b"{":
        return None  # it is called wrong, but may be known by its hash
    length = int.from_bytes(head[:LENGTH], "little")
    if head[LENGTH : LENGTH + 1] != b"{":
        return FOREIGN
    if LENGTH + length > size:
        return CUT if length <= _LONGEST_HEADER else DAMAGED
    if length > MOST_HEADER - LENGTH:
        return None
    file.seek(LENGTH)
    try:
        end = _end_of_weights(json.loads(file.read(length)))
    except (RecursionError, MemoryError):
        return None
    except (ValueError, TypeError, LookupError, AttributeError):
        return DAMAGED
    missing = LENGTH + length + end - size
    if missing <= 0:
        return None
    return Sentence(_CUT_BY, missing=human_size(missing))


def _end_of_weights(header: Any) -> int:
    """Return how many bytes of weights a header names. Raises ValueError and its like for one that is damaged."""
    ends = [each["data_offsets"][1] for key, each in header.items() if key != "__metadata__"]
    if not all(type(each) is int and 0 <= each < 1 << 63 for each in ends):
        raise ValueError
    return max(ends, default=0)
