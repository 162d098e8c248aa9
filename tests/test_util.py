"""Tables and properties of the tools without a subject of their own."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import locale
import math
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from civitai_downloader.util.clock import Clock, utc_now
from civitai_downloader.util.errors import Busy, Failure, Stopped, UsageError
from civitai_downloader.util.files import (
    BLOCK,
    READ,
    disk_errors,
    feed_hash,
    free_space,
    link_or_copy,
    planted_link,
    sha256_of,
    size_of,
    temporary_name,
    write_file,
    write_json,
    write_whole,
)
from civitai_downloader.util.http import Http, HttpRules, _led_to
from civitai_downloader.util.logs import FolderLock, JsonLog, KeyedLog, NumberMap, json_lines
from civitai_downloader.util.media import MEDIA_EXTENSIONS, is_safetensors, looks_like_page, sniff_media
from civitai_downloader.util.names import (
    MAX_PATH,
    clean_name,
    file_name,
    fit_path,
    folder_name,
    name_key,
    path_limit,
    split_name,
)
from civitai_downloader.util.pace import Gate, Health, HostDown, Pace, Patience, Pause, Throttle, parse_retry_after
from civitai_downloader.util.ranges import parse_content_range
from civitai_downloader.util.text import (
    bare_url,
    decode_text,
    human_size,
    parse_devalue,
    printable,
    scrub,
    scrub_json,
    split_words,
    web_link,
)
from civitai_downloader.util.transfer import Progress, Received, Transfer
from tests import fake_civitai as fake
from tests.conftest import QuickClock

settings.register_profile("steady", deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
settings.load_profile("steady")

NAMES = st.text(max_size=300) | st.text('COMLPTNUXR con123.¹ \u3000\t/\\:*?"<>|é\u0301😀あ\ud800', max_size=150)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


class FakeClock(Clock):
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.check()
        self.slept.append(round(seconds, 6))
        self.time += max(0.0, seconds)


# --- Text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain", "plain"),
        ("한국어 日本語".encode(), "한국어 日本語"),
        ("\ufeff한국어".encode(), "한국어"),
        ("한국어".encode("utf-16"), "한국어"),
        (b"\xfe\xff" + "日本".encode("utf-16-be"), "日本"),
        (b"\xff\xfea\0b", "a\ufffd"),
        ("한국어".encode("cp949"), "한국어"),
        (b"\x81\x20\xfd\xff", "\x81 \xfd\xff"),
    ],
)
def test_decode_text(data: bytes, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda _: "utf-8")
    assert decode_text(data) == text


def test_decode_text_uses_the_code_page_of_the_system_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda _: "cp932")
    assert decode_text("日本語ソフト".encode("cp932")) == "日本語ソフト"
    monkeypatch.setattr(locale, "getpreferredencoding", lambda _: "no-such-encoding")
    assert decode_text(b"caf\xc3\xa9") == "café"


@given(st.binary())
def test_decode_text_reads_anything(data: bytes) -> None:
    decode_text(data)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   ", []),
        ("a  b\tc", ["a", "b", "c"]),
        ('-o "D:\\My Models" x', ["-o", "D:\\My Models", "x"]),
        (r"-o C:\new\table", ["-o", r"C:\new\table"]),
        ("--types='A B'", ["--types=A B"]),
        ('a"b c"d', ["ab cd"]),
        ('""', [""]),
        ('"open end', ['"open', "end"]),
    ],
)
def test_split_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 日本語 😀", "plain 日本語 😀"),
        ("\x1b[31mred\x1b[0m", " [31mred [0m"),
        ("a\r\nb\0c\x7f\x9b", "a  b c  "),
        ("\u202egpj.exe\u2066\u2028", " gpj.exe  "),
        ("\ud83d", " "),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://h/p?token=abc", "https://h/p"),
        ("https://h/p?token=abc&y=2", "https://h/p?y=2"),
        ("https://h/p?token=abc&amp;y=2", "https://h/p?y=2"),
        ("https://h/p?x=1&token=abc&y=2", "https://h/p?x=1&y=2"),
        ("https://h/p?x=1;sig=abc", "https://h/p?x=1"),
        ("https://h/p?TOKEN=abc rest", "https://h/p rest"),
        ("https://h/p?a=1&amp;token=abc", "https://h/p?a=1"),
        ("https://h/p?X-Amz-Signature=ff&X-Amz-Date=1&a=2", "https://h/p?a=2"),
        ("https://h/p?Authorization=3_2026_ff_dnld", "https://h/p"),
        ("https://h/#access_token=abc&x=1", "https://h/#x=1"),
        ("https://h/?next=https%3A%2F%2Fh%3Ftoken%3Dabc", "https://h/?next=https%3A%2F%2Fh"),
        ('{"url":"https://h/?a=1\\u0026token=abc"}', '{"url":"https://h/?a=1"}'),
        ("<a href='https://h/?sig=abc'>", "<a href='https://h/'>"),
        ("Authorization: Bearer 0123456789abcdef", "Authorization: Bearer (cut)"),
        ("'authorization': 'bearer 3_abc-DEF.x=='", "'authorization': 'bearer (cut)'"),
        ("the bearer of good news", "the bearer of good news"),
        ("why? a=b & c; token", "why? a=b & c; token"),
        ("masterpiece, (token:1.2), 1girl &&", "masterpiece, (token:1.2), 1girl &&"),
    ],
)
def test_scrub(text: str, clean: str) -> None:
    assert scrub(text) == clean
    assert scrub(clean) == clean


@given(
    st.text(max_size=30),
    st.sampled_from(["?token=", "&token=", ";sig=", "?X-Amz-Signature=", "&api_key=", "&apikey=", "#access_token="]),
    st.text("abcdef0123456789_-.%", min_size=12, max_size=40),
    st.sampled_from(["", "&x=1", " and more", '"', "\n", "<br>"]),
)
def test_a_token_never_survives(before: str, key: str, secret: str, after: str) -> None:
    assume(secret not in before)
    assert secret not in scrub(before + "https://h/p" + key + secret + after)


@given(st.text(st.characters(exclude_characters="?&;#%\\"), max_size=80))
def test_text_without_links_is_not_changed(text: str) -> None:
    assume("bearer" not in text.casefold())
    assert scrub(text) == text


def test_scrub_json_cuts_links_only() -> None:
    value = {"a": ["https://h/?token=abc", "say ?token=abc", 5, None], "b": {"c": True, "d": "x://y?sig=1"}}
    assert scrub_json(value) == {"a": ["https://h/", "say ?token=abc", 5, None], "b": {"c": True, "d": "x://y"}}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@host.net:80/a/b?sig=1#x", "host.net/a/b"),
        ("http://host", "host"),
        ("nonsense", "nonsense"),
        ("https://h/a\x1b[0m", "h/a [0m"),
        ("http://[broken/", "a broken link"),
        ("", ""),
    ],
)
def test_bare_url(url: str, shown: str) -> None:
    assert bare_url(url) == shown


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://h/a b?x=1", True),
        ("HTTP://127.0.0.1:8000", True),
        ("http://[::1]:80/", True),
        ("http://[broken/", False),
        ("http://h:99999/", False),
        ("http://h:port/", False),
        ("http://a b/", False),
        ("http://", False),
        ("//h/x", False),
        ("file:///x", False),
        ("h.com/x", False),
        ("", False),
    ],
)
def test_web_link(text: str, good: bool) -> None:
    assert web_link(text) == (text if good else "")


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (3.4 * 1024**3, "3.4 GB"), (5 * 1024**4, "5.0 TB"),
     (5000 * 1024**4, "5000.0 TB")],
)  # fmt: skip
def test_human_size(size: float, words: str) -> None:
    assert human_size(size) == words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["x"]', "x"),
        ("-1", None),
        ("-3", None),
        ("-6", 0),
        ('[{"a":1,"b":-1,"c":2},5,[1,-2,1]]', {"a": 5, "b": None, "c": [5, None, 5]}),
        ('[["Date","2026-01-01T00:00:00.000Z"]]', "2026-01-01T00:00:00.000Z"),
        ('[["BigInt","12345678901234567890"]]', 12345678901234567890),
        ('[["Set",1,2],"a","b"]', ["a", "b"]),
        ('[["Map",1,2],"a","b"]', {"a": "b"}),
        ('[["null","key",1],"a"]', {"key": "a"}),
        ('[["Object",1],"a"]', "a"),
        ('[["RegExp","a.b","g"]]', "a.b"),
        ('[[-7,9,4,1,7,2],"a","b"]', ["a", "b"]),
        ("[[]]", []),
        ("[null]", None),
    ],
)
def test_parse_devalue(text: str, value: Any) -> None:
    assert parse_devalue(text) == value


def test_parse_devalue_keeps_what_is_shared() -> None:
    found = parse_devalue('[[1,1,0],{"a":2},"x"]')
    assert found[0] is found[1]
    assert found[2] is found


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{}", "[]", '"text"', "true", "[[5]]", '[["BigInt","x"]]', '[{"a":"b"}]']
)
def test_parse_devalue_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"devalue|Expecting|invalid literal"):
        parse_devalue(text)


@given(
    st.lists(JSON | st.lists(st.integers(-9, 9) | st.sampled_from(["Set", "Map", "Date", "BigInt", "Object", "null"])))
)
def test_parse_devalue_raises_nothing_unforeseen(flat: list[Any]) -> None:
    with suppress(ValueError, RecursionError):
        parse_devalue(json.dumps(flat))


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", ""),
        ("  plain  ", "plain"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("v1. . ", "v1"),
        ("v1.\u3000.", "v1"),
        ("...", ""),
        (".hidden", ".hidden"),
        ("a\0b\nc\x7fd", "abcd"),
        ("\u202egnp.exe", "gnp.exe"),
        ("CON", "_CON"),
        ("nul.safetensors", "_nul.safetensors"),
        ("nul .txt", "_nul .txt"),
        ("Com1", "_Com1"),
        ("LPT²", "_LPT²"),
        ("conin$", "_conin$"),
        ("console", "console"),
        ("com10", "com10"),
        ("e\u0301", "é"),
        ("한글 日本語 😀", "한글 日本語 😀"),
        ("\ud800x", "x"),
    ],
)
def test_clean_name(text: str, name: str) -> None:
    assert clean_name(text) == name


@pytest.mark.parametrize(
    ("text", "tail", "name"),
    [
        ("Style", " [5]", "Style [5]"),
        ("", " [5]", "[5]"),
        ("///", " [5]", "___ [5]"),
        ("...", "", "_"),
        ("x" * 200, " [5]", "x" * 116 + " [5]"),
        ("랜" * 200, " [5]", "랜" * 78 + " [5]"),
        ("😀" * 200, "", "😀" * 60),
        ("CON", " [5]", "_CON [5]"),
        ("con" + " " * 200 + "x", "", "_con"),
    ],
)
def test_folder_name(text: str, tail: str, name: str) -> None:
    assert folder_name(text, tail) == name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.safetensors", ("a", ".safetensors")),
        ("a.tar.gz", ("a.tar", ".gz")),
        ("v1.0", ("v1", ".0")),
        ("no extension", ("no extension", "")),
        ("ends. with words", ("ends. with words", "")),
        (".safetensors", ("", ".safetensors")),
        ("a.thirteenchars", ("a.thirteenchars", "")),
    ],
)
def test_split_name(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize(
    ("text", "tail", "name"),
    [
        ("a.safetensors", "", "a.safetensors"),
        ("a.safetensors", " [7]", "a [7].safetensors"),
        ("../../x/evil.pt", "", "evil.pt"),
        ("C:\\x\\evil.pt", "", "evil.pt"),
        ("..", "", "spare"),
        ("", "", "spare"),
        ("folder/", "", "spare"),
        (".safetensors", "", "spare.safetensors"),
        ("a..pt", "", "a.pt"),
        ("a.part", "", "a_part"),
        ("a.safetensors.PART", "", "a.safetensors_part"),
        ("nul.pt", " [7]", "_nul [7].pt"),
        ("x" * 300 + ".pt", " [7]", "x" * 102 + " [7].pt"),
        ("랜" * 300 + ".pt", "", "랜" * 75 + ".pt"),
    ],
)
def test_file_name(text: str, tail: str, name: str) -> None:
    assert file_name(text, "spare", tail) == name


def fit_for_windows(name: str) -> bool:
    """Whether Windows keeps a name of this kind as it is."""
    reserved = re.match(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])[ .]*(\.|$)", name)
    illegal = re.search(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]', name)
    return not (reserved or illegal or name != name.strip() or name.endswith("."))


def fits(name: str, room: int = 0) -> bool:
    """Whether a name, with so many characters behind it, is short enough everywhere."""
    return len(name.encode("utf-16-le")) // 2 + room <= 120 and len(name.encode()) + room <= 240


@given(NAMES)
def test_clean_names_are_fit_for_windows_and_stay_as_they_are(text: str) -> None:
    name = clean_name(text)
    assert fit_for_windows(name)
    assert unicodedata.is_normalized("NFC", name)
    assert clean_name(name) == name


@given(NAMES, st.sampled_from(["", " [5]", " [2147483647]"]))
def test_folder_names_are_fit_for_windows_and_never_empty(text: str, tail: str) -> None:
    name = folder_name(text, tail)
    assert name
    assert fit_for_windows(name)
    assert fits(name)
    assert name.endswith(tail.strip())
    assert tail or folder_name(name) == name


@given(NAMES, st.sampled_from(["", ".safetensors", ".PT", ".yaml", ".zip", ".part"]), st.sampled_from(["", " [5]"]))
def test_file_names_are_fit_for_windows_and_keep_their_extension(text: str, extension: str, tail: str) -> None:
    name = file_name(text + extension, "spare", tail)
    stem, kept = split_name(name)
    assert stem.strip()
    assert fit_for_windows(name)
    assert fits(name, len(".part.json"))
    assert fits(stem, len(".metadata.json"))
    assert not name.lower().endswith(".part")
    assert unicodedata.is_normalized("NFC", name)
    assert extension == ".part" or kept.startswith(extension)
    assert tail or file_name(name, "spare") == name


@given(NAMES)
def test_names_that_a_file_system_takes_for_one_share_their_key(text: str) -> None:
    assert name_key(text) == name_key(unicodedata.normalize("NFD", text))
    assert name_key("Ärger.PT") == name_key("ä".upper() + "RGER.pt")


@pytest.mark.parametrize(
    ("root", "parts", "limit", "fitted"),
    [
        ("/r", ["short", "a.pt"], 240, ["short", "a.pt"]),
        ("/r", ["x" * 30 + " [5]", "a.pt"], 30, ["x" * 18 + " [5]", "a.pt"]),
        ("/r", ["folder", "y" * 40 + " [5].safetensors"], 43, ["folder", "y" * 17 + " [5].safetensors"]),
        ("/r" * 100, ["aaaa", "b.pt"], 10, ["aaaa", "b.pt"]),
        ("/r", ["😀" * 20], 30, ["😀" * 13]),
    ],
)
def test_fit_path(root: str, parts: list[str], limit: int, fitted: list[str]) -> None:
    assert fit_path(root, parts, limit) == fitted


@given(st.lists(NAMES.map(lambda text: folder_name(text, " [7]")), min_size=1, max_size=4), st.integers(60, 240))
def test_a_fitted_path_is_short_enough_and_fit_for_windows(parts: list[str], limit: int) -> None:
    fitted = fit_path("/downloads", parts, limit)
    assert all(fit_for_windows(part) and part.endswith("[7]") for part in fitted)
    assert len("/".join(["/downloads", *fitted])) <= max(limit, 10 + 20 * len(parts))


def test_path_limit_is_generous_where_paths_are_long() -> None:
    assert path_limit() in (MAX_PATH, 4000)


# --- Files ---------------------------------------------------------------------------------------


def test_write_file_makes_folders_and_tells_whether_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "name.txt"
    assert write_file(path, b"one")
    assert not write_file(path, b"one")
    assert write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_files_with_long_names_do_not_meet_in_their_temporary_names(tmp_path: Path) -> None:
    paths = [tmp_path / f"{'x' * 100}{number}" for number in range(8)]
    threads = [
        threading.Thread(target=lambda path=path: [write_file(path, b"%d" % n) for n in range(60)]) for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [b"59"] * 8
    assert sorted(tmp_path.iterdir()) == paths


def test_write_json_survives_lone_surrogates(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"한": "\ud800"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "한": "?"\n}\n'.encode()


@pytest.mark.parametrize("links", [True, False])
def test_link_or_copy_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "sub" / "target"
    source.write_bytes(b"bytes")
    for _ in range(2):
        link_or_copy(source, target)
        assert target.read_bytes() == b"bytes"
        assert list(target.parent.iterdir()) == [target]
    assert target.samefile(source) == links


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "disk-full"), (errno.EDQUOT, "disk-full"), (errno.EACCES, "disk")]
)
def test_disk_errors_name_path_and_remedy(code: int, reason: str) -> None:
    with (
        pytest.raises(Failure, match=r"[/\\]some[/\\]file.*(free some space|permissions)") as caught,
        disk_errors(Path("/some/file")),
    ):
        raise OSError(code, os.strerror(code))
    assert caught.value.reason == reason


def test_disk_errors_let_everything_else_pass() -> None:
    for error in (ValueError("x"), Stopped(), Failure("reason", "message")):
        with pytest.raises(type(error)), disk_errors(Path("x")):
            raise error
    with disk_errors(Path("x")):
        pass


def test_a_folder_in_the_way_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Failure, match="can't be written"):
        write_file(tmp_path / "file" / "below", b"x")
    with pytest.raises(Failure, match="can't be written"):
        link_or_copy(tmp_path / "nothing", tmp_path / "target")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_planted_where_a_file_is_put_together_is_not_written_through(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out" / "file"
    victim.write_bytes(b"of somebody else")
    write_file(target, b"first")
    temporary_name(target).symlink_to(victim)
    with pytest.raises(Failure, match="can't be written"):
        write_file(target, b"second")
    assert (victim.read_bytes(), target.read_bytes()) == (b"of somebody else", b"first")


def test_size_of_counts_only_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert size_of(tmp_path / "file") == 5
    assert size_of(tmp_path) is None
    assert size_of(tmp_path / "nothing") is None
    assert size_of(Path("nul\0byte")) is None


def test_free_space_of_a_folder_to_come(tmp_path: Path) -> None:
    assert free_space(tmp_path / "not" / "yet") > 0


def test_a_hash_goes_on_from_where_it_was(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file", Clock()).digest() == hashlib.sha256(data).digest()
    digest, ends = hashlib.sha256(), (0, 1, 1 << 20, (2 << 20) + 5, 9 << 20)
    for start, end in itertools.pairwise((0, *ends)):
        feed_hash(digest, tmp_path / "file", start, end, Clock())
        assert digest.digest() == hashlib.sha256(data[:end]).digest()


@pytest.mark.parametrize(
    ("head", "extension", "kind"),
    [
        (fake.png_bytes(1), ".png", "image"),
        (fake.jpeg_bytes(1), ".jpg", "image"),
        (fake.webp_bytes(1), ".webp", "image"),
        (fake.gif_bytes(1), ".gif", "image"),
        (fake.mp4_bytes(1), ".mp4", "video"),
        (fake.webm_bytes(1), ".webm", "video"),
        (b"\0\0\0\x1cftypavif", ".avif", "image"),
        (b"\0\0\0\x1cftypheic", ".heic", "image"),
        (b"\0\0\0\x14ftypqt  ", ".mov", "video"),
        (b"\0\0\0\x1cftypM4A ", ".m4a", "audio"),
        (b"RIFF\0\0\0\0WAVEfmt ", ".wav", "audio"),
        (b"OggS\0", ".ogg", "audio"),
        (b"ID3\x04", ".mp3", "audio"),
        (b"<!DOCTYPE html>", "", ""),
        (b"", "", ""),
        (b"\x89PN", "", ""),
    ],
)
def test_sniff_media(head: bytes, extension: str, kind: str) -> None:
    assert sniff_media(head[:64]) == (extension, kind)
    assert not extension or extension in MEDIA_EXTENSIONS


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"<!DOCTYPE html><title>", True),
        (b"\xef\xbb\xbf\r\n <HTML>", True),
        (b"<?xml version='1.0'?><Error>", True),
        (b"<Error><Code>", True),
        (b"<head>", True),
        (b"<lora:x:1>", False),
        (b"\x08\0\0\0\0\0\0\0{}", False),
        (b"", False),
    ],
)
def test_looks_like_page(head: bytes, page: bool) -> None:
    assert looks_like_page(head) == page


def tensors(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of these parts."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


@pytest.mark.parametrize(
    ("data", "good"),
    [
        (fake.safetensors_bytes(1), True),
        (fake.safetensors_bytes(1)[:-1], False),
        (fake.safetensors_bytes(1) + b"x", False),
        (tensors(b"{}"), True),
        (tensors(b"{}", b"x"), False),
        (tensors(b'{"__metadata__":{}}'), True),
        (tensors(b'{"a":{"data_offsets":[0,4]}}', b"1234"), True),
        (tensors(b"{}", length=1 << 62), False),
        (tensors(b"{}", length=1), False),
        (tensors(b"[]"), False),
        (tensors(b'{"a":5}'), False),
        (tensors(b'{"a":{"data_offsets":[0]}}'), False),
        (tensors(b'{"a":{"data_offsets":[0,null]}}'), False),
        (tensors(b'{"a":{"data_offsets":[0,1e999]}}'), False),
        (tensors(b'{"a":{"data_offsets":{"1":2}}}'), False),
        (tensors(b"[" * 100_000), False),
        (tensors(b"\xff\xff"), False),
        (b"", False),
        (b"1234567", False),
    ],
)
def test_is_safetensors(tmp_path: Path, data: bytes, good: bool) -> None:
    (tmp_path / "file").write_bytes(data)
    assert is_safetensors(tmp_path / "file") == good
    assert not is_safetensors(tmp_path / "nothing")
    assert not is_safetensors(tmp_path)


@given(st.binary(max_size=200), st.booleans())
def test_is_safetensors_reads_anything(tmp_path: Path, data: bytes, framed: bool) -> None:
    (tmp_path / "file").write_bytes(tensors(data) if framed else data)
    is_safetensors(tmp_path / "file")


# --- A log of JSON lines -------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log is to be."""
    return tmp_path / "sub" / "log.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a log."""
    return list(json_lines(path))


@pytest.mark.parametrize(
    ("data", "objects"),
    [
        (b"", []),
        (b'{"a":1}\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\r\n\r\n\n{"a":2}', [1, 2]),
        (b'{"a":1}\n{"a":2', [1]),
        (b'{"a":1}\n{"a":2}{"a":3}\n{"a":4}\n', [1, 4]),
        (b'{"a":1}\n[1]\n5\nnull\n"x"\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\n' + bytes(4096) + b'\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\n' + bytes(4096) + b'{"a":2}\n', [1, 2]),
        (b'{"a":1}\n{"a"' + bytes(4096), [1]),
        (b"\xff\xfe{\n" + b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n", []),
    ],
)
def test_a_log_is_read_as_far_as_it_makes_sense(path: Path, data: bytes, objects: list[int]) -> None:
    write_file(path, data)
    assert [each["a"] for each in read(path)] == objects


def test_a_log_that_is_not_there_is_empty_and_not_made(path: Path) -> None:
    assert read(path) == []
    assert not path.parent.exists()
    JsonLog(path).close()
    assert not path.parent.exists()


@pytest.mark.parametrize("torn", [b'{"a":1', b'{"a":1}', b"\0\0\0", b"\xf0\x9f"])
def test_a_line_is_never_appended_to_a_torn_one(path: Path, torn: bytes) -> None:
    write_file(path, b'{"a":0}\n' + torn)
    log = JsonLog(path)
    log.append({"a": 2})
    log.append({"a": 3})
    log.close()
    assert [each["a"] for each in read(path) if each["a"] != 1] == [0, 2, 3]
    log.append({"a": 4})
    log.close()
    assert path.read_bytes().endswith(b'{"a":3}\n{"a":4}\n')


def test_a_line_that_did_not_fit_on_the_disk_is_ended_before_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = JsonLog(path)
    log.append({"a": 1})

    def cut_short(file: Any, data: bytes) -> None:
        file.write(data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.logs.write_whole", cut_short)
        with pytest.raises(Failure, match="disk is full"):
            log.append({"a": 2})
    log.append({"a": 3})
    log.close()
    assert read(path) == [{"a": 1}, {"a": 3}]


def test_a_short_write_means_a_full_disk() -> None:
    class Narrow:
        def write(self, data: bytes) -> int:
            return len(data) - 1

    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))):
        write_whole(Narrow(), b"bytes")  # type: ignore[arg-type]


def test_appends_of_many_threads_do_not_mix(path: Path) -> None:
    logs = [JsonLog(path), JsonLog(path)] if os.name != "nt" else [JsonLog(path)] * 2
    threads = [
        threading.Thread(target=lambda n=n: [logs[n % 2].append({"t": n, "i": i, "x": "y" * 500}) for i in range(50)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(path)
    assert len(found) == len(path.read_bytes().splitlines())
    for n in range(8):
        assert [each["i"] for each in found if each["t"] == n] == list(range(50))


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5), st.binary(max_size=60))
def test_what_was_appended_is_read_back(tmp_path: Path, values: list[dict[str, Any]], before: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(before)
    log = JsonLog(path)
    for value in values:
        log.append(value)
    log.close()
    found = read(path)
    plain = json.loads(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))
    assert not values or found[-len(values) :] == plain


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b"\0" * 9, b'{"a":']), max_size=9)
)
def test_a_log_of_any_bytes_is_read(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(pieces))
    assert all(isinstance(each, dict) for each in read(tmp_path / "log.jsonl"))


# --- A log of which the last record of a key counts ----------------------------------------------


def keyed(name: str, number: int = 0, kind: str = "image") -> dict[str, Any]:
    """A record as the program writes it."""
    return {"at": "2026-11-20T05:26:00Z", "type": kind, "id": name, "status": "success", "size": number}


def test_a_keyed_log_gives_the_last_record_of_a_key(path: Path) -> None:
    log = KeyedLog(path)
    assert log.get("image", "1") is None
    assert not path.parent.exists()
    records = [keyed("1"), keyed("1/한국", 2, "model"), keyed("1", 3), keyed("2", 4)]
    for each in records:
        log.append(each)
    for known in (log, KeyedLog(path)):
        assert known.get("image", "1") == records[2]
        assert known.get("model", "1/한국") == records[1]
        assert known.get("model", "1") is None
        assert list(known.live("image", "model", "page")) == [records[1], records[2], records[3]]
    log.close()
    assert log.get("image", "2") == records[3]


@pytest.mark.parametrize(
    ("data", "numbers", "problems"),
    [
        (b"", [], []),
        (b"\r\n\n" + json.dumps(keyed("1", 5)).encode(), [5], []),
        (b"\xef\xbb\xbf" + json.dumps(keyed("1", 5)).encode() + b"\r\n", [5], []),
        (json.dumps(keyed("1", 5)).encode() + b'\n{"at":"2026","type":"image","id"', [5], ["line 2 was cut short and"]),
        (json.dumps(keyed("1", 5)).encode() + b"\n" + bytes(4096), [5], ["line 2 was cut short"]),
        (bytes(4096) + json.dumps(keyed("1", 5)).encode() + b"\n", [5], []),
        (b'{"id":"1","size":5,"type":"image"}\n[]\n{"type":"image"}\n', [5], ["line 2 is no", "line 3 is no"]),
        (b'{"at":"","type":"image","id":"1","size":01}\n', [], ["line 1 is no record"]),
        (b'{"at":"","type":"image","id":"1","x":"\\q"}\n', [], ["line 1 is no record"]),
        (b'{"at":"","type":"image","id":"1","x":"\xff","size":5}\n', [5], []),
        (b'{"at":"","type":"image","id":"\\u0031","size":5}\n', [5], []),
        (b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n", [], ["line 1 is no", "line 2 is no"]),
    ],
)
def test_a_keyed_log_is_read_as_far_as_it_makes_sense(
    path: Path, data: bytes, numbers: list[int], problems: list[str]
) -> None:
    write_file(path, data)
    log = KeyedLog(path)
    assert [record["size"] for record in log.live("image")] == numbers
    assert [log.get("image", "1") is not None] == [bool(numbers)]
    said = [problem.partition(", ")[2] for problem in log.problems]
    assert [words[: len(begin)] for words, begin in zip(said, problems, strict=True)] == problems


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"\0" * 9, b'{"type":"a","id":"b"}', b'{"at":'])))
def test_a_keyed_log_of_any_bytes_is_read_and_written(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(pieces))
    log = KeyedLog(tmp_path / "log.jsonl")
    log.append(keyed("new"))
    log.close()
    assert KeyedLog(tmp_path / "log.jsonl").get("image", "new") == keyed("new")


@given(st.lists(st.tuples(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-9, 9), st.integers(0, 1 << 40))))
def test_a_map_of_numbers_is_like_a_dict(pairs: list[tuple[int, int]]) -> None:
    known: dict[int, int] = {}
    numbers = NumberMap(len(pairs) % 3)
    for key, number in pairs:
        assert numbers.get(key) == known.get(key)
        assert numbers.put(key, number) == (key not in known)
        known[key] = number
        assert (len(numbers), numbers.get(key), numbers.get(10)) == (len(known), number, known.get(10))
    assert sorted(numbers.values()) == sorted(known.values())


def test_a_log_of_more_kinds_than_are_counted_is_told_apart(path: Path) -> None:
    log = KeyedLog(path)
    for number in range(3 * KeyedLog.KINDS):
        log.append(keyed("1", number, f"kind{number}"))
    for number in range(3 * KeyedLog.KINDS):
        assert [each["size"] for each in log.live(f"kind{number}", "never")] == [number]
    log.close()


def test_two_keys_with_one_hash_are_never_taken_for_one_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("civitai_downloader.util.logs.hash", lambda key: 7, raising=False)
    log = KeyedLog(path)
    log.append(keyed("1", 1))
    log.append(keyed("2", 2))
    assert (log.get("image", "1"), log.get("image", "2")) == (None, keyed("2", 2))
    log.close()


@pytest.mark.parametrize("alone", [True, False])
def test_superseded_lines_are_left_out_by_the_only_writer(path: Path, alone: bool) -> None:
    log = KeyedLog(path)
    for number in range(1001):
        log.append(keyed(str(number % 10), number))
    log.close()
    before = path.read_bytes()
    log = KeyedLog(path, alone=alone)
    assert path.read_bytes() == before
    log.append(keyed("3", 5000))
    assert len(path.read_bytes().splitlines()) == (11 if alone else 1002)
    sizes = [each for each in range(991, 1001) if each != 993]
    assert [record["size"] for record in log.live("image")] == [*sizes, 5000]
    log.append(keyed("4", 6000))
    log.close()
    assert [record["size"] for record in KeyedLog(path).live("image")][-2:] == [5000, 6000]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_log_that_can_not_be_rewritten_stays_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(keyed("1", number)) + "\n" for number in range(1500)))
    log = KeyedLog(path, alone=True)

    def held(*_: object) -> None:
        raise PermissionError(errno.EACCES, "held open")

    monkeypatch.setattr("civitai_downloader.util.logs.replace_file", held)
    log.append(keyed("2"))
    assert len(path.read_bytes().splitlines()) == 1501
    assert [record["id"] for record in log.live("image")] == ["1", "2"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    log.close()


def test_a_line_reaches_the_disk_after_some_seconds_and_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = KeyedLog(path)
    for number in range(10):
        log.append(keyed(str(number)))
    assert len(synced) == 1
    monkeypatch.setattr(JsonLog, "SYNC", 0.0)
    log.append(keyed("x"))
    log.close()
    assert len(synced) == 3


# --- One writer a folder -------------------------------------------------------------------------


def test_a_second_lock_is_refused_and_names_the_first(tmp_path: Path) -> None:
    first, second = (FolderLock(tmp_path / "out" / "x.lock") for _ in range(2))
    first.acquire(QuickClock())
    with pytest.raises(UsageError, match=rf"process {os.getpid()}, started 2\d\d\d-.*Z, writes to .*out.*--wait"):
        second.acquire(QuickClock())
    first.release()
    second.acquire(QuickClock())
    second.release()
    second.release()


def test_a_lock_of_a_process_that_was_killed_is_free_again(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from civitai_downloader.util.clock import Clock\n"
        "from civitai_downloader.util.logs import FolderLock\n"
        "lock = FolderLock(pathlib.Path(sys.argv[1])); lock.acquire(Clock())\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    path, said = tmp_path / "x.lock", list[str]()
    words = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"locked"
        with pytest.raises(UsageError, match=f"process {other.pid}, started"):
            FolderLock(path).acquire(QuickClock())
        threading.Timer(0.1, other.kill).start()
        lock = FolderLock(path)
        lock.acquire(QuickClock(), said.append)
        lock.release()
    assert said == [message for message in said if f"process {other.pid}," in message][:1]


def test_a_disk_without_locks_holds_nobody_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    for _ in range(2):
        FolderLock(tmp_path / "x.lock").acquire(QuickClock())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes links of others")
@pytest.mark.parametrize(("owner", "planted"), [(0, False), (4711, False), (4712, True)])
def test_a_link_that_a_stranger_made_is_told(tmp_path: Path, owner: int, planted: bool) -> None:
    root, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (root / "models").mkdir(parents=True)
    elsewhere.mkdir()
    os.chown(root, 4711, -1)
    (root / "models" / "loras").symlink_to(elsewhere)
    os.chown(root / "models" / "loras", owner, -1, follow_symlinks=False)
    assert planted_link(root, root / "models") is None
    found = planted_link(root, root / "models" / "loras" / "deep" / "er")
    assert found == (root / "models" / "loras" if planted else None)
    assert planted_link(root, elsewhere) is None


# --- Time and politeness -------------------------------------------------------------------------


def test_a_stopped_clock_ends_every_wait() -> None:
    clock = Clock()
    clock.sleep(0)
    clock.check()
    threading.Timer(0.05, clock.stop).start()
    with pytest.raises(Stopped):
        clock.sleep(60)
    for wait in (clock.check, lambda: clock.sleep(0)):
        with pytest.raises(Stopped):
            wait()
    assert clock.stopped


def test_utc_now_is_a_date_of_fixed_length() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())


def test_pace_spaces_calls_and_saves_no_turns_up() -> None:
    clock = FakeClock()
    pace = Pace(0.5, clock)
    for _ in range(3):
        pace.wait()
    assert clock.slept == [0, 2, 2]
    clock.time += 60
    pace.wait()
    pace.wait()
    assert clock.slept[3:] == [0, 2]


def answer(health: Health, good: int, bad: int, host: str = "host") -> None:
    """Note so many good and bad answers."""
    for status in [200] * good + [429] * bad:
        health.note(host, status)


def test_trouble_halves_the_pace_and_quiet_minutes_bring_it_back() -> None:
    clock, said = FakeClock(), list[str]()
    health = Health(clock, said.append)
    answer(health, 0, 9)
    clock.time += 60
    answer(health, 81, 9)
    assert health.factor() == 1
    answer(health, 0, 1)
    assert health.factor() == 0.5
    answer(health, 8, 1)
    assert health.factor() == 0.5
    for _ in range(5):
        answer(health, 8, 2)
    assert health.factor() == 0.125
    factors = []
    for _ in range(8):
        clock.time += 30
        answer(health, 20, 2)
        factors.append(health.factor())
    assert factors == [0.125, 0.25, 0.25, 0.5, 0.5, 1, 1, 1]
    assert [re.sub(r"^\S+Z ", "", each) for each in said][:2] == [
        "Pace 50.0%: 10 of the last 91 answers were 429 or 5xx.",
        "Pace 25.0%: 2 of the last 18 answers were 429 or 5xx.",
    ]
    assert len(said) == 6


def test_pace_and_gate_follow_the_factor() -> None:
    clock, factor = FakeClock(), 1.0
    pace = Pace(2, clock, lambda: factor)
    gate = Gate(4, 8, clock, lambda: factor)
    pace.wait()
    factor = 0.125
    pace.wait()
    pace.wait()
    assert clock.slept == [0, 0.5, 4]
    with gate:
        assert not gate._enter()
        assert not gate.more()
        factor = 0.5
        assert [gate.more() for _ in range(4)] == [True, True, True, False]
        assert not gate.crowded
        factor = 0.25
        assert gate.crowded
        for _ in range(3):
            gate.less()
        factor = 0.5
        with gate:
            assert not gate._enter()
    factor = 0.01
    with gate:
        assert not gate._enter()
        clock.stop()
        with pytest.raises(Stopped), gate:
            pass
    assert gate._enter()


def dead(health: Health, times: int = 20) -> None:
    """A host that gives no answer."""
    for _ in range(times):
        health.enter("dead", patient=False)
        health.note("dead", 0)


def test_a_dead_host_is_left_alone_while_others_answer() -> None:
    clock, said = FakeClock(), list[str]()
    health = Health(clock, said.append)
    dead(health, 19)
    health.note("dead", 404)
    dead(health)
    clock.time += 1
    health.note("alive", 200)
    health.enter("alive", patient=False)
    with pytest.raises(HostDown, match="dead has failed 20 times in a row") as caught:
        health.enter("dead", patient=False)
    assert caught.value.until == clock.time + 29
    clock.time += 29
    health.enter("dead", patient=False)
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    health.note("dead", 503)
    clock.time += 29
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    health.enter("dead", patient=True)
    health.note("dead", 200)
    health.enter("dead", patient=False)
    assert sum(clock.slept) == 1
    assert [re.sub(r"^\S+Z ", "", each) for each in said] == [
        "dead has failed 20 times in a row and is left alone for 30 s.", "dead answers again.",
    ]  # fmt: skip


def test_a_host_that_is_dead_for_ten_minutes_is_not_waited_for_any_longer() -> None:
    clock = FakeClock()
    health = Health(clock, lambda _: None)
    dead(health)
    clock.time += 599
    health.enter("dead", patient=False)
    health.note("alive", 200)
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    clock.time += 1
    with pytest.raises(Failure, match="long time") as caught:
        health.enter("dead", patient=False)
    assert not isinstance(caught.value, HostDown)


def test_when_nobody_answers_everybody_waits_but_for_one_at_a_time() -> None:
    clock = FakeClock()
    health = Health(clock, lambda _: None)
    dead(health)
    health.enter("dead", patient=False)
    assert sum(clock.slept) == 30
    health.enter("dead", patient=True)
    assert sum(clock.slept) == 60
    health._lines["dead"].until = math.inf
    with pytest.raises(Failure, match="long time"):
        health.enter("dead", patient=False)
    assert sum(clock.slept) == 3600


def test_throttle_bounds_bytes_per_second() -> None:
    clock = FakeClock()
    throttle = Throttle(100_000, clock)
    assert throttle.block == 12_500
    for _ in range(81):
        throttle.take(throttle.block)
    assert sum(clock.slept) == pytest.approx(10.0)
    assert Throttle(1, clock).block == 4096
    assert Throttle(1 << 40, clock).block == READ


def test_throttle_without_a_rate_never_waits() -> None:
    clock = FakeClock()
    throttle = Throttle(0, clock)
    throttle.take(1 << 40)
    assert clock.slept == []
    assert throttle.block == BLOCK


def test_pause_holds_everybody_for_the_longest_wait_asked_for() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    pause.wait()
    assert clock.slept == []
    pause.begin(10)
    pause.begin(3)
    pause.wait()
    assert sum(clock.slept) == 10
    pause.wait()
    assert sum(clock.slept) == 10


def test_a_pause_that_grows_while_one_waits_is_waited_for() -> None:
    class Growing(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                pause.begin(7)

    clock = Growing()
    pause = Pause(clock)
    pause.begin(5)
    pause.wait()
    assert clock.slept == [5, 7]


def spend(patience: Patience, retry_after: float | None) -> float | None:
    """What patience says to a busy server that named these seconds."""
    return patience.spend(Busy("busy", retry_after))


def test_patience_doubles_its_waits_up_to_64_seconds_and_ends_after_five_minutes() -> None:
    patience = Patience()
    waits = [spend(patience, None) for _ in range(10)]
    assert waits == [2, 4, 8, 16, 32, 64, 64, 64, 46, None]


@pytest.mark.parametrize(
    ("named", "waits"),
    [(100.0, [100, 100, 100, None]), (300.0, [300, None]), (301.0, [None]), (float("inf"), [None]),
     (0.0, [2, 4, 8, 16])],
)  # fmt: skip
def test_patience_follows_the_server(named: float, waits: list[float | None]) -> None:
    patience = Patience()
    assert [spend(patience, named) for _ in waits] == waits


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 17 ", 17),
        ("9" * 12, 999_999_999_999),
        ("9" * 5000, float("inf")),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW + 90), 90),
        (time.asctime(time.gmtime(NOW + 90)), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_parse_retry_after(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(st.text())
def test_parse_retry_after_reads_anything(text: str) -> None:
    found = parse_retry_after(text, NOW)
    assert found is None or found >= 0


# --- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes 5-9/10", (5, 10)),
        (" bytes  0-0/1 ", (0, 1)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-/10", None),
        ("bytes=5-9/10", None),
        ("items 5-9/10", None),
        ("bytes -5-9/10", None),
        ("bytes 5-9/" + "9" * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_parse_content_range(text: str | None, found: tuple[int | None, int | None] | None) -> None:
    assert parse_content_range(text) == found


@given(st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_content_range_is_read_back(start: int, more: int, left: int) -> None:
    total = start + more + left + 1
    assert parse_content_range(f"bytes {start}-{start + more}/{total}") == (start, total)


@given(st.text() | st.from_regex(r"bytes [\d*]{1,9}-?\d{0,9}/[\d*]{1,9}"))
def test_parse_content_range_reads_anything(text: str) -> None:
    found = parse_content_range(text)
    assert found is None or all(each is None or each >= 0 for each in found)


@pytest.mark.parametrize(
    ("here", "target", "there"),
    [
        ("https://a.com/x/y", "z?q", "https://a.com/x/z?q"),
        ("https://a.com/x", "//b.com/y", "https://b.com/y"),
        ("https://a.com/x", "HTTP://b.com/y", "http://b.com/y"),
        ("https://a.com/x", "https://[2606:4700::1111]/y", "https://[2606:4700::1111]/y"),
        ("https://a.com/x", "file:///etc/passwd", None),
        ("https://a.com/x", "javascript:alert(1)", None),
        ("https://a.com/x", "http://[broken", None),
        ("https://a.com/x", "http://", None),
    ],
)
def test_where_a_redirect_leads(here: str, target: str, there: str | None) -> None:
    if there:
        assert _led_to(here, target).lower() == there
        return
    with pytest.raises(Failure, match="redirects"):
        _led_to(here, target)


ADDRESSES = {
    "a.com": ["93.184.216.34", "2606:4700::1111"],
    "b.com": ["104.16.0.1"],
    "hidden.com": ["104.16.0.1", "127.0.0.1"],
    "router.com": ["192.168.1.1"],
    "linked.com": ["fe80::1%eth0"],
    "vpn1.com": ["198.18.0.1", "fdfe:dcba:9876::1"],
    "vpn2.com": ["198.18.0.2", "fdfe:dcba:9876::2"],
}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that was looked up; no name is known but those above."""
    asked = []

    def look_up(host: str, *_: object) -> list[Any]:
        asked.append(host)
        if host not in ADDRESSES:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, 0)) for address in ADDRESSES[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("here", "there", "allowed"),
    [
        ("http://127.0.0.1/x", "http://localhost:8/y", True),
        ("http://nas/x", "https://b.com/y", True),
        ("http://nas/x", "http://router.com/y", True),
        ("https://a.com/x", "https://b.com/y", True),
        ("https://a.com/x", "https://nobody-knows.com/y", True),
        ("https://nobody-knows.com/y", "https://a.com/x", True),
        ("https://a.com/x", "https://[2606:4700::1111]/y", True),
        ("https://vpn1.com/x", "https://vpn2.com/x", True),
        ("https://vpn1.com/x", "https://a.com/x", True),
        ("https://a.com/x", "http://127.0.0.1/", False),
        ("https://a.com/x", "http://127.1/", False),
        ("https://a.com/x", "http://2130706433/", False),
        ("https://a.com/x", "http://0x7f.1/", False),
        ("https://a.com/x", "http://10.0.0.5:8080/", False),
        ("https://a.com/x", "http://[::1]/", False),
        ("https://a.com/x", "http://[::ffff:127.0.0.1]/", False),
        ("https://a.com/x", "http://169.254.169.254/latest", False),
        ("https://a.com/x", "http://router.local/", False),
        ("https://a.com/x", "http://LOCALHOST./", False),
        ("https://a.com/x", "http://hidden.com/", False),
        ("https://a.com/x", "http://ROUTER.com:8080/", False),
        ("https://a.com/x", "http://linked.com/", False),
        ("https://a.com/x", "http://vpn1.com/", False),
        ("https://vpn1.com/x", "http://router.com/", False),
        ("https://vpn1.com/x", "http://127.0.0.1/", False),
        ("https://nobody-knows.com/y", "https://router.com/x", False),
    ],
)
def test_a_redirect_never_leads_from_the_net_into_a_private_network(here: str, there: str, allowed: bool) -> None:
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=2, retries=0, log=lambda _: None)
    if allowed:
        assert http._outside(here, there) == there
        return
    with pytest.raises(Failure, match="private network"):
        http._outside(here, there)


def test_a_name_is_looked_up_once(names: list[str]) -> None:
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=2, retries=0, log=lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            pool.submit(http._outside, f"https://vpn1.com/{number}", f"https://vpn2.com:{number}/")
    assert sorted(names) == ["vpn1.com", "vpn2.com"]


# --- The transfer of one body --------------------------------------------------------------------


def test_progress_counts_what_arrives() -> None:
    progress = Progress()
    one, two = progress.begin("one", 10), progress.begin("two", None)
    progress.add(one, 4)
    progress.add(two, 5)
    assert [(meter.name, meter.total, meter.done) for meter in progress.active()] == [("one", 10, 4), ("two", None, 5)]
    progress.end(one)
    assert progress.active() == [two]
    assert progress.received == 9


def test_a_body_that_begins_anew_is_not_counted_twice(site: fake.FakeCivitai, tmp_path: Path) -> None:
    image = site.world.add_image(data=os.urandom(300_000))
    url = f"{site.blob_url}/file/blobs-managed-public/{image.uuid}"
    site.fail("blob:/", fake.Cut(100_000))
    site.fail("blob:/", fake.IgnoreRange())
    clock, progress = QuickClock(), Progress()
    rules = HttpRules("test", lambda request: request)
    http = Http(rules, clock, timeout=2, retries=2, log=lambda _: None)
    meter = progress.begin("picture", None)
    transfer = Transfer(
        part=tmp_path / "a.part", identity="a", size=None, limit=1 << 20, trusted=False, hashing=True,
        open=lambda headers: http.open(url, Patience(), headers, (416,)), again=http.once,
        gate=Gate(1, 1, clock, lambda: 1.0), clock=clock, throttle=Throttle(0, clock),
        progress=progress, meter=meter, rest=http.rest, tries=2,
    )  # fmt: skip
    received = transfer.run()
    assert received == Received(300_000, hashlib.sha256(image.data).hexdigest())
    assert (meter.done, meter.total) == (300_000, 300_000)
    assert progress.received == 400_000
    transfer.land(tmp_path / "a.png")
    assert {each.name for each in tmp_path.iterdir()} == {"a.png"}
    assert http.resting == 0


def test_a_pause_that_one_request_was_asked_for_holds_them_all(site: fake.FakeCivitai) -> None:
    class Gate(Clock):
        def __init__(self) -> None:
            super().__init__()
            self.ahead, self.waiting, self.opened = 0.0, threading.Semaphore(0), threading.Event()

        def now(self) -> float:
            return self.ahead

        def sleep(self, seconds: float) -> None:
            self.waiting.release()
            self.opened.wait()
            self.ahead = 100.0

    clock = Gate()
    http = Http(HttpRules("test", lambda r: r), clock, timeout=2, retries=0, log=lambda _: None)
    site.fail("/enums", fake.busy(429, 100))
    threads = [
        threading.Thread(target=http.json, args=(f"{site.url}/api/v1/{name}", Patience())) for name in ("enums", "tags")
    ]
    for thread in threads:
        thread.start()
        clock.waiting.acquire()
    assert [(seen.path, seen.status) for seen in site.seen()] == [("/api/v1/enums", 429)]
    clock.opened.set()
    for thread in threads:
        thread.join()
    assert [seen.status for seen in site.seen()] == [429, 200, 200]


def test_cookies_of_a_server_are_not_kept(site: fake.FakeCivitai) -> None:
    site.fail("site:/", fake.Status(200, "{}", {"Set-Cookie": "id=1; Path=/"}), times=None)
    http = Http(HttpRules("test", lambda r: r), QuickClock(), timeout=2, retries=0, log=lambda _: None)
    for _ in range(2):
        assert http.json(f"{site.url}/api/v1/me", Patience()) == {}
    assert [seen.headers.get("cookie") for seen in site.seen()] == [None, None]
    assert {seen.headers["user-agent"] for seen in site.seen()} == {"test"}


@pytest.mark.parametrize("url", ["http://[broken/", "no link", "http://", "ftp://127.0.0.1/", "http://a..b/", ""])
def test_a_link_that_can_not_be_opened_is_a_failure_at_once(url: str) -> None:
    clock = QuickClock()
    http = Http(HttpRules("test", lambda r: r), clock, timeout=2, retries=3, log=lambda _: None)
    with pytest.raises(Failure) as caught:
        http.open(url, Patience(), {})
    assert caught.value.reason == "redirect"
    assert not [wait for wait in clock.slept if wait]
