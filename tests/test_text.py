"""Decoding text, showing it, and removing secrets from it."""

from __future__ import annotations

import locale

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from civitai_downloader.util.shell import split_words
from civitai_downloader.util.text import bare_url, decode_text, human_size, printable, scrub, scrub_json, web_link

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


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
