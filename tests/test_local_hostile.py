"""Files of a folder that nobody should trust: headers that lie, bombs, odd names, sidecars and links."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, safetensors_bytes
from tests.helpers import Err
from tests.model_headers import framed, gguf, pair, text
from tests.shelves import GOOD, Shelves, build_on, put, sha256

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names and files")


@pytest.fixture
def shelves(site: FakeCivitai, tmp_path: Path) -> Shelves:
    return build_on(site, tmp_path / "models")


def packed(name: str, data: bytes) -> bytes:
    """Return a zip with one file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return target.getvalue()


BOMB = b"cposix\nsystem\n(S'touch owned'\ntR."
DEEP = b'{"a":' * 100_000
HEADERS: dict[str, bytes] = {
    "long.safetensors": framed(b"{" + b" " * (17 << 20) + b"}"),
    "deep.safetensors": framed(DEEP),
    "deep closed.safetensors": framed(DEEP + b"1" + b"}" * 100_000),
    "lying.safetensors": framed(b"{}", length=1 << 40, weights=b"x" * 100),
    "negative.safetensors": framed(b"{}", length=(1 << 64) - 1),
    "half.safetensors": framed(b"{}", length=1 << 63),
    "zero.safetensors": framed(b"", length=0, weights=b"{}"),
    "short.safetensors": b"\x02\0\0",
    "twice.safetensors": framed(b'{"a":{"shape":[1],"data_offsets":[0,1]},"a":{},"__metadata__":{"x":1,"x":"y"}}'),
    "nan.safetensors": framed(b'{"__metadata__":{"modelspec.title":NaN},"a":{"data_offsets":[0,Infinity]}}'),
    "surrogate.safetensors": framed(b'{"__metadata__":{"modelspec.title":"\\ud800\\u0000\\u001b[2J"}}'),
    "big number.safetensors": framed(b'{"a":{"data_offsets":[0,' + b"9" * 5000 + b"]}}"),
    "texts.safetensors": framed(b'{"__metadata__":"x","a":[],"b":null,"c":{"shape":"x","data_offsets":{}}}'),
    "tags.safetensors": framed(
        json.dumps({"__metadata__": {"ss_tag_frequency": "[" * 50_000, "ss_output_name": "x" * 300_000}}).encode()
    ),
    "lies.gguf": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60),
    "text.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 62),
    "array.gguf": gguf([pair("general.name", 9, struct.pack("<IQ", 9, 1 << 60) * 20_000)]),
    "nested.gguf": gguf([pair("x", 9, struct.pack("<IQ", 9, 1) * 100_000)]),
    "name.gguf": gguf([pair("general.name", 8, text("\x1b[2J" * 100))]),
    "bomb.ckpt": packed("archive/data.pkl", BOMB + b"\0" * (50 << 20)),
    "bomb.pt": b"\x80\x02" + BOMB,
    "plain.bin": BOMB,
    "directory.pth": b"PK\x03\x04" + b"\0" * 200,
    "count.ckpt": b"PK\x03\x04" + b"\0" * 100 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0",
    "page.onnx": b"<!DOCTYPE html><script>alert(1)</script>",
}


def test_no_header_stops_a_run_and_nothing_in_a_file_is_executed(
    run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    for name, data in HEADERS.items():
        put(shelves.root, f"odd/{name}", data)
    put(shelves.root, "odd/sparse.safetensors", b"")
    os.truncate(shelves.root / "odd" / "sparse.safetensors", 300 << 20)
    code, said = run(str(shelves.root)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert "\x1b" not in said
    ends = shelves.ends()
    assert {name: ends[name] for name in GOOD} == GOOD
    lines = shelves.lines()
    assert {lines[f"odd/{name}"]["status"] for name in HEADERS} <= {"unknown", "broken"}
    assert not [*tmp_path.rglob("owned")]
    for name, data in HEADERS.items():
        assert (shelves.root / "odd" / name).read_bytes() == data
    assert run(str(shelves.root)) == 0


NAMES = [
    b"\xff\xfe\x80.safetensors", b"new\nline.safetensors", b"esc\x1b[2J\x07.safetensors", b"x..\\up.safetensors",
    b"x...safetensors", b"#hash # = none.safetensors", b" blank .safetensors", b"dot. .safetensors",
    b"x" * 243 + b".safetensors", b"CON.safetensors", b"aux.tar.safetensors", b"C:drive.safetensors",
    "é.safetensors".encode(), "e\u0301.safetensors".encode(), b"Case.safetensors", b"case.safetensors",
    b"%s%n{x}.safetensors", b"-o.safetensors", b"--version.ckpt", "\u202egnp.safetensors".encode(),
    b"\xed\xa0\x80.safetensors", b"a\tb.safetensors", b"quote'\".safetensors", b"$(touch owned).safetensors",
    b"$HOME.safetensors", b"model.safetensors.safetensors", b"UPPER.SAFETENSORS", b"[x]*?.safetensors",
    "\u2025\u2215etc.safetensors".encode(), b"back\\slash.safetensors", b"=.pt", b"a = none.pt", b"known .safetensors",
]  # fmt: skip


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are no UTF-8")
def test_a_name_is_kept_byte_by_byte_and_never_reaches_the_screen_as_it_is(
    run: Runner, site: FakeCivitai, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    folder = os.fsencode(shelves.root / "odd \udcff\x1b")
    os.mkdir(folder)
    for number, name in enumerate(NAMES):
        data = shelves.known.files[0].data if number % 2 else safetensors_bytes(f"own {number}", 500)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    code, said = run(str(shelves.root)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert not {"\x1b", "\x07", "\udcff"} & {*said}
    lines = {os.fsencode(name): line for name, line in shelves.lines().items()}
    for number, name in enumerate(NAMES):
        line = lines[os.path.join(os.path.basename(folder), name)]
        assert line["status"] == ("success" if number % 2 else "unknown"), name
    shown = {os.path.join(os.path.basename(folder), name).decode("utf-8", "backslashreplace") for name in NAMES}
    assert shelves.rows().keys() >= shown
    assert {*NAMES} <= {*os.listdir(folder)}
    assert not [*tmp_path.rglob("owned")]
    site.forget()
    before = files_under(shelves.root)
    assert run(str(shelves.root)) == 0
    assert not [request for request in site.requests if "/api/" in request.path]
    after = files_under(shelves.root)
    assert {name for name in after if after[name] != before.get(name)} <= {"report.json", "download_state.lock"}
    assert "Traceback" not in err()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


SIDECARS: dict[str, Callable[[Path], object]] = {
    "12 MB": lambda path: path.write_bytes(b'{"id":1,"x":"' + b"y" * (12 << 20) + b'"}'),
    "nested": lambda path: path.write_bytes(DEEP[:50_000]),
    "list": lambda path: path.write_bytes(b"[[[]]]"),
    "types": lambda path: path.write_text('{"id":{},"modelId":[],"files":7,"civitai":[],"sha256":{},"size":"x"}'),
    "numbers": lambda path: path.write_text('{"id":1e999,"modelId":-1,"size":NaN,"modified":1e400,"files":[null]}'),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "another model": lambda path: path.write_text('{"id":20002,"modelId":10002}'),
    "mismatch": lambda path: path.write_text('{"id":20002,"modelId":10001}'),
    "many": lambda path: path.write_text(json.dumps({"modelVersions": [{"id": n, "files": []} for n in range(999)]})),
    "folder": lambda path: path.mkdir(),
    "fifo": _fifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "passwd": lambda path: path.symlink_to("/etc/passwd"),
    "loop": lambda path: path.symlink_to(path),
}


@posix
@pytest.mark.parametrize("kind", SIDECARS)
def test_no_sidecar_stops_a_run_or_names_what_it_is_not(kind: str, run: Runner, shelves: Shelves, err: Err) -> None:
    for stem in ("mine", "known"):
        for ending in (".civitai.info", ".metadata.json", ".json", ".cm-info.json", ".swarm.json", ".api_info.json"):
            SIDECARS[kind](shelves.root / f"{stem}{ending}")
    code, said = run(str(shelves.root)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert shelves.ends() == GOOD
    line = shelves.lines()["known.safetensors"]
    assert (line["version"], line["how"]) == (shelves.known.id, "sha256")


def test_a_hash_in_a_sidecar_is_refuted_by_the_bytes_and_leaves_nothing(
    run: Runner, shelves: Shelves, err: Err
) -> None:
    mine, other = shelves.root / "mine.safetensors", shelves.known.files[0]
    mine.write_bytes(safetensors_bytes("a fraud", 3000))
    size = mine.stat().st_size
    assert size == len(other.data)
    claim: dict[str, Any] = {"sha256": sha256(other.data), "size": size, "modified": mine.stat().st_mtime + 100}
    put(shelves.root, "mine.metadata.json", json.dumps({**claim, "file_name": "mine"}).encode())
    before = {name for name in files_under(shelves.root) if name.startswith("mine")}
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD
    line = shelves.lines()["mine.safetensors"]
    assert line["sha256"] == sha256(mine.read_bytes())
    assert not line.get("version")
    assert {name for name in files_under(shelves.root) if name.startswith("mine")} == before
    assert b"Known" not in (shelves.root / "mine.metadata.json").read_bytes()
    row = shelves.rows()["mine.safetensors"]
    assert (row["how"], row["version"]) in (("unknown", 0), ("unknown", None))


def test_no_secret_gets_into_what_is_written_about_a_folder(
    run: Runner, site: FakeCivitai, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    words = "https://civitai.com/api/download/models/1?token=TOPSECRET&x=1 good-token"
    told = {"modelspec.title": words, "modelspec.description": words, "ss_training_comment": words}
    put(shelves.root, "told.safetensors", framed(json.dumps({"__metadata__": told}).encode(), weights=b"own"))
    shelves.known.model.name = "Known good-token"
    put(shelves.root, "good-token.safetensors", safetensors_bytes("named", 700))
    site.fail("by-hash/[0-9a-f]{12}", fake.Status(500, '{"error":"token good-token is wrong"}'), 1)
    cookies = put(tmp_path, "cookies.txt", b"__Secure-civitai-token=chocolate; other=biscuit")
    run(str(shelves.root), "--token", "good-token", "--log", str(tmp_path / "log.txt"), "-v", "--cookies", str(cookies))
    said = err()
    assert "Traceback" not in said
    written = {name: data for name, data in files_under(shelves.root).items() if not name.endswith("safetensors")}
    for name, data in {**written, "log.txt": (tmp_path / "log.txt").read_bytes(), "screen": said.encode()}.items():
        for secret in (b"TOPSECRET", b"chocolate", b"biscuit"):
            assert secret not in data, (name, secret)
    assert shelves.ends()["told"] == "unknown"
    assert b"Civitai does not know" in written["told.metadata.json"]
