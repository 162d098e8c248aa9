"""What poses as a model is known by its beginning and its end, and nothing else is called broken."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civitai_downloader.core import flaws
from civitai_downloader.core.flaws import CUT, DAMAGED, EMPTY, FOREIGN, MESSAGE, PAGE, flaw_of
from civitai_downloader.util.errors import Failure
from tests.fake_civitai import safetensors_bytes

SHA256 = "4665571a" * 8
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize 2132696762\n".encode()


def tensors(header: Any, weights: int = 10, length: int | None = None) -> bytes:
    """Return a safetensors with this header (a JSON value, or the bytes of one) and so many bytes of weights."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(data) if length is None else length).to_bytes(8, "little") + data + bytes(weights)


def tensor(end: Any) -> Any:
    return {"__metadata__": {"a": "b"}, "w": {"dtype": "U8", "shape": [end], "data_offsets": [0, end]}}


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + b"x" * 500)
    return made.getvalue()


@pytest.mark.parametrize("name", ["a.safetensors", "a.SFT", "a.ckpt", "a.pt", "a.bin", "a.gguf", "a.onnx"])
@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", EMPTY),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", PAGE),
        (b"\xef\xbb\xbf\n  <HTML>", PAGE),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', PAGE),
        (b'{"error":"Unauthorized","message":"The creator requires you to be logged in"}', MESSAGE),
        (b'{ "statusCode": 404 }', MESSAGE),
        (b'\n{"message": ' + b'"' + b"x" * 90_000 + b'"}', MESSAGE),
    ],
)
def test_what_is_no_model_whatever_its_ending(tmp_path: Path, name: str, data: bytes, flaw: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert flaw_of(tmp_path / name) == flaw


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.gguf"])
def test_a_git_lfs_pointer_names_the_hash_of_what_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POINTER)
    told = flaw_of(tmp_path / name)
    assert told is not None
    assert SHA256 in told
    assert told.values == {"sha256": SHA256}
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:\x1b[31m\n")
    assert "\x1b" not in str(flaw_of(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "data", "flaw"),
    [
        ("a.safetensors", safetensors_bytes(1), None),
        ("a.safetensors", tensors({}, 0), None),
        ("a.safetensors", tensors(b'{"__metadata__":{"a":"<html>"}}    ', 0), None),
        ("a.safetensors", tensors(b'{"w":{"data_offsets":[0,4]},"w":{"data_offsets":[4,10]},"n":{"data_offsets":[0,1],'
                                  b'"x":NaN}}'), None),
        ("a.safetensors", safetensors_bytes(1) + b"junk behind the weights", None),
        ("a.safetensors", safetensors_bytes(1)[:-1], "It is cut off: 1 B are missing at its end; download it again."),
        ("a.safetensors", tensors(tensor(5 << 30)), "5.0 GB are missing"),
        ("a.safetensors", safetensors_bytes(1)[:100], CUT),
        ("a.sft", tensors(tensor(10), 0, 99_999_999), CUT),
        ("a.safetensors", tensors(tensor(10), 10, 100_000_001), DAMAGED),
        ("a.safetensors", tensors(tensor(10), 10, 2**64 - 1), DAMAGED),
        ("a.safetensors", tensors(tensor(10), 10, 0), DAMAGED),
        ("a.safetensors", tensors(tensor(10), 10, 30), DAMAGED),
        ("a.safetensors", tensors(b"{\xff}"), DAMAGED),
        ("a.safetensors", tensors(b'{"w": 1}'), DAMAGED),
        ("a.safetensors", tensors(b'{"w": {}}'), DAMAGED),
        ("a.safetensors", tensors(b'{"w": {"data_offsets": [0]}}'), DAMAGED),
        ("a.safetensors", tensors(tensor("10")), DAMAGED),
        ("a.safetensors", tensors(tensor(True)), DAMAGED),
        ("a.safetensors", tensors(tensor(-1)), DAMAGED),
        ("a.safetensors", tensors(tensor(1.5)), DAMAGED),
        ("a.safetensors", tensors(tensor(10**400)), DAMAGED),
        ("a.safetensors", tensors(b'{"w":' + b"1" * 9999 + b"}"), DAMAGED),
        ("a.safetensors", b"\x08\0\0\0\0\0\0\0[1,2,3] ", FOREIGN),
        ("a.safetensors", b"short", FOREIGN),
        ("a.safetensors", bytes(5000), FOREIGN),
        ("a.safetensors", zipped(), None),  # another kind under a wrong name, which the site may know
        ("a.safetensors", b"\x80\x02}q\x01" + b"x" * 500, None),
        ("a.ckpt", zipped(), None),
        ("a.ckpt", zipped()[:-30], CUT),
        ("a.pt", zipped() + b"x" * 100, None),
        ("a.pt", b"\x80\x02}q\x01" + b"x" * 500, None),
        ("a.pth", b"anything else", None),
        ("a.bin", bytes(5000), None),
        ("a.bin", b"{" + b"x" * 99, None),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", None),
        ("a.gguf", b"GGUF\x03\0\0\0" + bytes(99), None),
        ("a.gguf", b"ggjt\x03\0\0\0" + bytes(99), FOREIGN),
    ],
)  # fmt: skip
def test_a_file_is_broken_only_where_that_is_sure(tmp_path: Path, name: str, data: bytes, flaw: str | None) -> None:
    (tmp_path / name).write_bytes(data)
    told = flaw_of(tmp_path / name)
    assert told == flaw or (flaw and told and flaw in told)


# --- Hostile headers -----------------------------------------------------------------------------


def test_a_header_that_is_too_long_to_be_read_is_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(tensors(b"{", 0, 90 << 20))
        file.truncate((90 << 20) + 8)
    read = count_bytes(monkeypatch)
    assert flaw_of(path) is None
    assert sum(read) <= 1 << 20


def test_a_nested_header_is_not_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(tensors(b'{"w":' + b"[" * 500_000))
    assert flaw_of(path) is None


def test_at_most_16_mib_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    header = json.dumps({"__metadata__": {"a": "x" * ((16 << 20) - 2000)}}).encode().ljust((16 << 20) - 1024)
    path.write_bytes(tensors(header, 0))
    read = count_bytes(monkeypatch)
    assert flaw_of(path) is None
    assert sum(read) <= 16 << 20


def count_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of bytes that are read of files from now on."""
    read = list[int]()

    class Counted(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            read.append(len(data))
            return data

    def opened(path: Path) -> Counted:
        return Counted(io.FileIO(path))

    monkeypatch.setattr(flaws, "open_regular", opened)
    return read


@given(st.binary(max_size=40), st.sampled_from(["safetensors", "pt", "gguf"]), st.integers(0, 60))
@example(b'{"w":{"data_offsets":[0,Infinity]}}', "safetensors", 35)
@example(b'{"w":{"data_offsets":{"1":0}}}', "safetensors", 30)
@example(b'{"w":[]}', "safetensors", 8)
@example(b"version https://git-lfs", "safetensors", 0)
def test_any_bytes_are_judged(data: bytes, ending: str, length: int) -> None:
    path = Path(f"any.{ending}")
    for content in (data, length.to_bytes(8, "little") + data, b"\xff" * 8 + data):
        path.write_bytes(content)
        told = flaw_of(path)
        assert told is None or str(told).endswith(("download it again.", "git lfs pull."))


# --- Files that can't be read --------------------------------------------------------------------


def vanish(path: Path) -> None:
    path.unlink()


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("meanwhile", [vanish, become_a_folder])
def test_a_file_that_cannot_be_read_is_a_failure_that_names_it(
    tmp_path: Path, meanwhile: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"x")
    meanwhile(path)
    with pytest.raises(Failure, match=r"a\.safetensors can't be read \("):
        flaw_of(path)


@pytest.mark.skipif(os.name == "nt", reason="needs a pipe")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(Failure, match="can't be read"):
        flaw_of(tmp_path / "a.safetensors")
