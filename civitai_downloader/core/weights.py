"""Weights: what lies at the place of a model file, and whether it is the file that it should be."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..util.clock import Clock
from ..util.files import disk_errors, hashes_of
from ..util.media import is_safetensors, looks_like_page
from .choice import form_of, is_called_safetensors

Verdict = Literal["same", "edited", "damaged", "foreign"]


@dataclass(frozen=True)
class Weights:
    """What is known of a model file: its size in bytes (0 unknown), and its hashes in lower case ("" unknown)."""

    size: int = 0
    sha256: str = ""
    autov3: str = ""


def judge(seen: Weights, known: Weights, *, whole: bool) -> Verdict:
    """Return what a file is that was `seen` where another one is `known` to belong.

    It is the `same`; or the same weights under a header that an app has `edited`; or `damaged`: cut short, broken, or
    of the same size with other bytes; or `foreign`: a whole file of another size, which is somebody's. Where nothing is
    known but the size, it decides.
    """
    if known.sha256 and seen.sha256 == known.sha256:
        return "same"
    if whole and known.autov3 and seen.autov3 == known.autov3:
        return "edited"
    if not whole:
        return "damaged"
    if seen.size != known.size:
        return "foreign"
    return "damaged" if known.sha256 or known.autov3 else "same"


def recognise(path: Path, known: Weights, clock: Clock, told: str = "") -> tuple[Verdict, Weights]:
    """Read a file, and return what it is and what was seen of it. Raises Failure and Stopped.

    It is read a second time only if its SHA256 is another one than is known and its AutoV3 may tell more. Where no
    AutoV3 is known it is computed on the way. `told` is what the site says of the file's form.
    """
    told = "SafeTensor" if known.autov3 else told
    whole = is_entire(path, path.name, known.size, told)
    has_header = whole and is_called_safetensors(path.name, told)
    with disk_errors(path):
        sha256, autov3 = hashes_of(path, clock, weights=has_header and not known.autov3)
        if sha256 == known.sha256:
            autov3 = autov3 or known.autov3
        elif has_header and known.autov3:
            autov3 = hashes_of(path, clock, weights=True)[1]
        seen = Weights(path.stat().st_size, sha256, autov3)
    return judge(seen, known, whole=whole), seen


def is_entire(path: Path, name: str, size: int = 0, told: str = "") -> bool:
    """Return whether a model file of this name is complete in itself; the one that belongs there has `size` bytes.

    A safetensors tells by its header, a zip (as most of .ckpt and .pt are) by the directory at its end. Nothing tells
    it of other forms: one that is smaller than it was counts as cut. `told` is what the site says of its form.
    """
    if is_called_safetensors(name, told):
        return is_safetensors(path)
    with disk_errors(path), path.open("rb") as file:
        head = file.read(64)
        length = path.stat().st_size
    if not head or looks_like_page(head):
        return False
    if head.startswith(b"PK\x03\x04"):
        return zipfile.is_zipfile(path)
    return length >= size and (form_of(name) != "gguf" or head.startswith(b"GGUF"))
