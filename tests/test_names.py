"""Names and paths that every file system accepts."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

NAMES = st.text(max_size=300) | st.text('COMLPTNUXR con123.¹ \u3000\t/\\:*?"<>|é\u0301😀あ\ud800', max_size=150)


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
