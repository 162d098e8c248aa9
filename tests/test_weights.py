"""Weights are told from the header in front of them, and what lies at the place of a model file is judged by them."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civitai_downloader.core.answers import read_file
from civitai_downloader.core.weights import Verdict, Weights, is_entire, judge, recognise
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.files import hashes_of
from civitai_downloader.util.media import is_safetensors
from civitai_downloader.util.tensors import MOST_HEADER, WeightsHash, weights_begin
from tests.fake_civitai import safetensors_bytes

KNOWN = Weights(1000, "a" * 64, "1" * 12)
NO_AUTOV3 = Weights(1000, "a" * 64)
FORMS = (KNOWN, NO_AUTOV3, Weights(1000))


# --- The judgement -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "known", "whole", "verdict"),
    [
        (KNOWN, KNOWN, True, "same"),
        (NO_AUTOV3, NO_AUTOV3, True, "same"),
        (NO_AUTOV3, NO_AUTOV3, False, "same"),  # what the site has is broken, but it is what the site has
        (Weights(1000, "b" * 64, "1" * 12), KNOWN, True, "edited"),
        (Weights(1200, "b" * 64, "1" * 12), KNOWN, True, "edited"),
        (Weights(900, "b" * 64, "1" * 12), KNOWN, True, "edited"),
        (Weights(1200, "b" * 64, "1" * 12), KNOWN, False, "damaged"),  # junk behind the weights
        (Weights(1000, "b" * 64, "2" * 12), KNOWN, True, "damaged"),
        (Weights(1000, "b" * 64), KNOWN, True, "damaged"),
        (Weights(1000, "b" * 64, "2" * 12), NO_AUTOV3, True, "damaged"),
        (Weights(900, "b" * 64), KNOWN, False, "damaged"),
        (Weights(0, "b" * 64), KNOWN, False, "damaged"),
        (Weights(1200, "b" * 64, "2" * 12), KNOWN, True, "foreign"),
        (Weights(900, "b" * 64, "2" * 12), KNOWN, True, "foreign"),
        (Weights(1200, "b" * 64, "2" * 12), NO_AUTOV3, True, "foreign"),
        (Weights(1200, "b" * 64), NO_AUTOV3, True, "foreign"),
        (Weights(1000, "b" * 64, "2" * 12), Weights(1000), True, "same"),  # nothing is known but the size
        (Weights(1000, "b" * 64), Weights(1000), False, "damaged"),
        (Weights(1200, "b" * 64), Weights(1000), True, "foreign"),
        (Weights(1200, "b" * 64), Weights(), True, "foreign"),
    ],
)
def test_whose_file_it_is(seen: Weights, known: Weights, whole: bool, verdict: Verdict) -> None:
    assert judge(seen, known, whole=whole) == verdict


@given(
    st.builds(Weights, st.integers(0, 3), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "1", "2"])),
    st.builds(Weights, st.integers(0, 3), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "1", "2"])),
    st.booleans(),
)
def test_nothing_is_taken_for_the_file_without_a_reason(seen: Weights, known: Weights, whole: bool) -> None:
    verdict = judge(seen, known, whole=whole)
    if verdict == "edited":
        assert seen.autov3 == known.autov3 != ""
    if verdict == "same":
        assert seen.sha256 == known.sha256 or (not (known.sha256 or known.autov3) and seen.size == known.size)
    if verdict == "foreign":
        assert whole
        assert seen.size != known.size


# --- What is whole -------------------------------------------------------------------------------


def zipped() -> bytes:
    """Return a zip, as most of .ckpt and .pt are."""
    path = Path("whole.zip")
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", b"\x80\x02" + b"x" * 500)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "size", "whole"),
    [
        ("a.safetensors", safetensors_bytes(1), 5000, True),
        ("a.SAFETENSORS", safetensors_bytes(1)[:-1], 10, False),
        ("a.sft", safetensors_bytes(1) + b"x", 10, False),
        ("a.pt", b"PK\x03\x04" + b"x" * 900, 10, False),
        ("a.ckpt", b"\x80\x02" + b"x" * 900, 902, True),
        ("a.ckpt", b"\x80\x02" + b"x" * 900, 901, True),
        ("a.ckpt", b"\x80\x02" + b"x" * 900, 903, False),
        ("a.ckpt", b"<!DOCTYPE html><title>Log in</title>", 10, False),
        ("a.ckpt", b"", 10, False),
        ("a.gguf", b"GGUF" + b"x" * 900, 904, True),
        ("a.gguf", b"GGUF" + b"x" * 900, 905, False),
        ("a.gguf", b"\0" * 904, 904, False),
    ],
)
def test_what_is_entire(tmp_path: Path, name: str, data: bytes, size: int, whole: bool) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert is_entire(path, name, size) is whole


def test_a_zip_is_whole_with_its_directory_whatever_its_size(tmp_path: Path) -> None:
    data, path = zipped(), tmp_path / "a.ckpt"
    path.write_bytes(data)
    assert is_entire(path, path.name, 2 * len(data))
    path.write_bytes(data[:-30])
    assert not is_entire(path, path.name, 2 * len(data))


# --- AutoV3 --------------------------------------------------------------------------------------


def test_autov3_is_the_beginning_of_the_sha256_behind_the_header(tmp_path: Path) -> None:
    data, path = safetensors_bytes("x", 5000), tmp_path / "x.safetensors"
    path.write_bytes(data)
    behind = data[8 + struct.unpack("<Q", data[:8])[0] :]
    assert len(behind) == 5000
    expected = hashlib.sha256(data).hexdigest(), hashlib.sha256(behind).hexdigest()[:12]
    assert hashes_of(path, Clock(), weights=True) == expected
    assert recognise(path, Weights(), Clock()) == ("foreign", Weights(len(data), *expected))


@pytest.mark.parametrize(
    ("length", "begin"), [(0, 8), (120, 128), (MOST_HEADER - 1, MOST_HEADER + 7), (MOST_HEADER, 8), (2**64 - 1, 8)]
)
def test_a_header_as_long_as_16_mib_is_a_part_of_the_weights(length: int, begin: int) -> None:
    assert weights_begin(length.to_bytes(8, "little") + b"{") == begin


@given(st.binary(max_size=200), st.integers(0, 80), st.lists(st.integers(0, 40), max_size=30))
def test_autov3_does_not_depend_on_how_the_bytes_arrive(rest: bytes, length: int, steps: list[int]) -> None:
    data, behind, at = length.to_bytes(8, "little") + rest, WeightsHash(), 0
    for step in [*steps, len(data)]:
        behind.update(data[at : at + step])
        at += step
    weights = rest[length:]
    assert behind.hexdigest() == (hashlib.sha256(weights).hexdigest()[:12] if weights else "")


@pytest.mark.parametrize("data", [b"", b"1234567", bytes(8), b"\x10" + bytes(7) + b"{}"])
def test_a_file_without_weights_has_no_autov3(data: bytes) -> None:
    behind = WeightsHash()
    behind.update(data)
    assert behind.hexdigest() == ""


@pytest.mark.parametrize(
    ("told", "autov3"),
    [
        ("9C783C8CE46C", "9c783c8ce46c"),
        ("9C783C8CE46C" * 5 + "0000", "9c783c8ce46c"),
        ("E3B0C44298FC", ""),  # of nothing
        ("9C783C8C", ""),
        ("no hash at all", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_sites_autov3_is_read(told: object, autov3: str) -> None:
    assert read_file({"id": 1, "hashes": {"AutoV3": told}}).autov3 == autov3


# --- The header ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(["__metadata__", "weight", "a"]),
    st.fixed_dictionaries({"data_offsets": st.lists(st.integers(0, 30) | JSON, max_size=3)}) | JSON,
    max_size=3,
)


@given(st.binary(max_size=300) | st.builds(lambda value: json.dumps(value).encode(), HEADERS | JSON), st.integers(0, 9))
@example(b"[" * 100_000, 0)
@example(b'{"a":{"data_offsets":[0,1e999]}}', 0)
@example(b'{"a":{"data_offsets":[0,' + b"9" * 5000 + b"]}}", 0)
@example(b"\xff\xfe{\0}\0", 0)
def test_any_header_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, header: bytes, more: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    for length in (len(header), len(header) + more, 2**63):
        path.write_bytes(length.to_bytes(8, "little") + header + bytes(more))
        assert is_safetensors(path) in (True, False)
        recognise(path, KNOWN, Clock())


@given(st.integers(1, 500), st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=5), st.integers(0, 9))
def test_a_sound_header_is_read_and_a_cut_or_longer_file_is_not(
    tmp_path_factory: pytest.TempPathFactory, size: int, notes: dict[str, str], blanks: int
) -> None:
    tensor: dict[str, Any] = {"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    header = json.dumps({"__metadata__": notes, **tensor}).encode() + b" " * blanks
    data = len(header).to_bytes(8, "little") + header + bytes(size)
    path = tmp_path_factory.getbasetemp() / "sound.safetensors"
    for whole, content in ((True, data), (False, data[:-1]), (False, data + b"x"), (False, data[: len(header)])):
        path.write_bytes(content)
        assert is_safetensors(path) is whole
