"""Reading the headers of safetensors and GGUF files, whatever somebody has written there."""

from __future__ import annotations

import io
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.headers import LONGEST_NAME, MOST_TENSORS, MOST_VALUES, Header, read_header_of, read_json
from civitai_downloader.util.tensors import MOST_HEADER
from tests.model_headers import framed, gguf, pair, safetensors, text, texts

U32, F32, BOOL, TEXT, ARRAY, U64 = 4, 6, 7, 8, 9, 10


def header_of(folder: Path, data: bytes) -> Header | None:
    path = folder / "model"
    path.write_bytes(data)
    return read_header_of(path)


def test_texts_and_shapes_of_a_safetensors_are_read(tmp_path: Path) -> None:
    found = header_of(tmp_path, safetensors({"ss_output_name": "lantern"}, {"a": (320, 768), "b": ()}) + bytes(100))
    assert found == Header({"ss_output_name": "lantern"}, {"a": (320, 768), "b": ()})


def test_a_header_that_is_padded_is_read(tmp_path: Path) -> None:
    assert header_of(tmp_path, framed(b'{"__metadata__":{"a":"b"}}      ')) == Header({"a": "b"}, {})


@pytest.mark.parametrize(
    ("header", "metadata", "shapes"),
    [
        (b'{"__metadata__":{"a":"1","a":"2"}}', {"a": "2"}, {}),
        (b'{"__metadata__":{"a":1,"b":NaN,"c":null,"d":["x"],"e":{"f":"x"},"g":"x"}}', {"g": "x"}, {}),
        (b'{"__metadata__":["a"],"b":{"shape":[1]}}', {}, {"b": (1,)}),
        (rb'{"__metadata__":{"a\ud800":"b\udfffc"}}', {"a?": "b?c"}, {}),
        (rb'{"__metadata__":{"a":"b\u0000\u001b[31m"}}', {"a": "b\0\x1b[31m"}, {}),
        (b'{"__metadata__":{"a":"b\xff"}}', {"a": "b\ufffd"}, {}),
        (b'{"a":{"shape":[1,-1]},"b":{"shape":[1.5]},"c":{"shape":[true]}}', {}, {"a": (), "b": (), "c": ()}),
        (b'{"a":{"shape":[1e400,NaN]},"b":{"shape":["1"]}}', {}, {"a": (), "b": ()}),
        (b'{"a":{"shape":[' + b"9" * 5000 + b"]}}", {}, {"a": ()}),
        (b'{"a":{"shape":3},"b":[],"c":{},"d":"x","e":{"shape":[2]}}', {}, {"e": (2,)}),
        (b'{"' + b"a" * (LONGEST_NAME + 1) + b'":{"shape":[2]}}', {}, {}),
        (b"{}", {}, {}),
    ],
)
def test_what_is_odd_in_a_header_is_left_out_alone(
    tmp_path: Path, header: bytes, metadata: dict[str, str], shapes: dict[str, Any]
) -> None:
    assert header_of(tmp_path, framed(header)) == Header(metadata, shapes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        framed(b"{}", length=3),
        framed(b"{}", length=1),
        framed(b"{}", length=1 << 63),
        framed(b"[]"),
        framed(b'"a"'),
        framed(b' {"a":1}'),
        framed(b'{"a":'),
        framed(b"{" + b"[" * 100_000),
        framed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        framed(b'{"a":[' + b"[]," * MOST_VALUES + b"[]]}"),
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02}q\x00." + bytes(100),
        b"<!DOCTYPE html><html>",
        b"GGUF",
        gguf([], version=1),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    ],
)
def test_a_file_without_a_header_that_can_be_understood_has_none(tmp_path: Path, data: bytes) -> None:
    assert header_of(tmp_path, data) is None


def test_what_is_no_file_has_no_header(tmp_path: Path) -> None:
    assert read_header_of(tmp_path / "nothing") is None
    assert read_header_of(tmp_path) is None


@pytest.mark.parametrize(("longer", "read"), [(0, True), (1, False)])
def test_a_header_of_more_than_16_mib_is_not_read(tmp_path: Path, longer: int, read: bool) -> None:
    header = b'{"__metadata__":{"a":"b"}}'.ljust(MOST_HEADER + longer)
    assert header_of(tmp_path, framed(header)) == (Header({"a": "b"}, {}) if read else None)


class Counting(io.FileIO):
    """A file that counts the bytes that are read from it."""

    total = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer) or 0
        Counting.total += count
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        Counting.total += len(data)
        return data


@pytest.mark.parametrize("begin", [struct.pack("<Q", 1 << 30) + b"{", gguf([], count=1 << 40)])
def test_little_of_a_huge_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    (tmp_path / "model").write_bytes(begin)
    os.truncate(tmp_path / "model", 40 << 20)
    monkeypatch.setattr(Counting, "total", 0)
    monkeypatch.setattr(Path, "open", lambda self, mode: Counting(self, mode))
    read_header_of(tmp_path / "model")
    assert 0 < Counting.total <= MOST_HEADER + 64


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":"' + b"\\" * (1 << 24),
        b'{"a":[' + b'"",' * (5 << 20) + b'""]}',
        b'{"__metadata__":{"a":"' + b"\\n" * (7 << 20) + b'"}}',
        b'{"a":' + b"1" * (15 << 20) + b"}",
    ],
    ids=["backslashes", "texts", "escapes", "digits"],
)
def test_16_mib_of_anything_do_not_take_long(tmp_path: Path, header: bytes) -> None:
    begin = time.process_time()
    header_of(tmp_path, framed(header[:MOST_HEADER]))
    assert time.process_time() - begin < 20


def test_a_text_that_is_json_is_bounded_as_well() -> None:
    assert read_json('{"a": [1, "x, [y]"]}') == {"a": [1, "x, [y]"]}
    with pytest.raises(ValueError, match="values"):
        read_json("[" + "0," * MOST_VALUES + "0]")


# --- GGUF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_general_texts_and_shapes_of_a_gguf_are_read(tmp_path: Path, version: int) -> None:
    pairs = [
        *texts({"general.architecture": "flux", "flux.note": "no", "general.name": "Lantern"}),
        pair("general.quantization_version", U32, struct.pack("<I", 2)),
        pair("general.alignment", U64, bytes(8)),
        pair("a", BOOL, b"\1"),
        pair("b", F32, bytes(4)),
        pair("numbers", ARRAY, struct.pack("<IQ", U32, 3) + bytes(12)),
        pair("words", ARRAY, struct.pack("<IQ", TEXT, 2) + text("x") + text("yz")),
        pair("nested", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", TEXT, 1) + text("x")),
        *texts({"general.license": "mit"}),
    ]
    found = header_of(tmp_path, gguf(pairs, {"a.weight": (3072, 768), "b": (2432,), "c": ()}, version))
    metadata = {"general.architecture": "flux", "general.name": "Lantern", "general.license": "mit"}
    assert found == Header(metadata, {"a.weight": (3072, 768), "b": (2432,), "c": ()})


def test_a_gguf_that_goes_on_behind_what_is_read_keeps_its_texts_and_has_no_shapes(tmp_path: Path) -> None:
    tokens = pair("tokens", ARRAY, struct.pack("<IQ", 0, MOST_HEADER) + bytes(MOST_HEADER))
    found = header_of(tmp_path, gguf([*texts({"general.name": "Lantern"}), tokens], {"a": (1,)}))
    assert found == Header({"general.name": "Lantern"}, {})


@pytest.mark.parametrize(
    "pairs",
    [
        [pair("a", ARRAY, struct.pack("<IQ", TEXT, 1 << 63))],
        [pair("a", ARRAY, struct.pack("<IQ", U64, 1 << 62))],
        [pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 100_000)],
        [pair("a", TEXT, struct.pack("<Q", 1 << 63))],
        [pair("a", 13, b"")],
        [pair("a", ARRAY, struct.pack("<IQ", 99, 2))],
        [struct.pack("<Q", 1 << 63)],
    ],
)
def test_a_gguf_that_lies_about_a_length_tells_what_stood_before(tmp_path: Path, pairs: list[bytes]) -> None:
    data = gguf([*texts({"general.name": "Lantern"}), *pairs], {"a": (1,)})
    assert header_of(tmp_path, data) in (Header({"general.name": "Lantern"}, {}), None)


@pytest.mark.parametrize(("tensors", "pairs"), [(MOST_TENSORS + 1, 0), (1 << 63, 0), (0, 1 << 63)])
def test_a_gguf_that_lies_about_a_number_has_no_shapes(tmp_path: Path, tensors: int, pairs: int) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + bytes(64)
    assert header_of(tmp_path, data) == Header({}, {})


# --- Anything -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


def check(found: Header | None) -> None:
    if found is not None:
        for word in [*found.metadata.items(), *found.shapes.items()]:
            assert isinstance(word[0], str)
        json.dumps([dict(found.metadata), dict(found.shapes)], ensure_ascii=False).encode()
        assert all(type(each) is int and each >= 0 for shape in found.shapes.values() for each in shape)


@given(st.binary(max_size=300), st.sampled_from([b"", b"GGUF", b"GGUF\3\0\0\0", b"GGUF\3\0\0\0\2" + bytes(7)]))
def test_any_bytes_are_read_without_an_error(tmp_path: Path, data: bytes, begin: bytes) -> None:
    check(header_of(tmp_path, begin + data))
    check(header_of(tmp_path, framed(data)))


@given(st.dictionaries(st.text(max_size=9) | st.just("__metadata__"), JSON, max_size=5))
def test_any_json_is_read_without_an_error(tmp_path: Path, value: dict[str, Any]) -> None:
    check(header_of(tmp_path, framed(json.dumps(value).encode())))


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_a_damaged_gguf_is_read_without_an_error(tmp_path: Path, at: int, byte: int, end: int) -> None:
    pairs = [*texts({"general.name": "x"}), pair("a", ARRAY, struct.pack("<IQ", TEXT, 1) + text("y"))]
    data = bytearray(gguf(pairs, {"a": (1, 2)}))
    data[at % len(data)] = byte
    check(header_of(tmp_path, bytes(data[: len(data) - end % len(data)])))
