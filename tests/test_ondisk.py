"""Which words and lines name something on disk, which library that belongs to, and how it is written as a line again.

On Windows the paths with drives are those of the system; elsewhere folders of these names are made, as the words of a
line are understood in the same way on every system.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.lists import read_line
from civitai_downloader.core.ondisk import in_libraries, library_of, line_of, local_target, read_local
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.targets import NOTHING, Target

SITE = "https://civitai.com"
LINK = "https://civitai.com/models/1?modelVersionId=2"
posix = pytest.mark.skipif(os.name == "nt", reason="these are no names of folders on Windows")
windows = pytest.mark.skipif(os.name != "nt", reason="only Windows has drives")


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def model(path: Path) -> Path:
    folder(path.parent)
    path.write_bytes(b"x")
    return path


def named(text: str, base: Path) -> tuple[str, ...] | None:
    """Return what a line names, below `base`, and the options behind it; None if it names nothing on disk."""
    reading = read_local(text, base, SITE)
    if reading is None:
        return None
    ((_, target),) = reading.found
    assert target.kind == "local"
    return (Path(target.name).relative_to(base).as_posix(), *reading.options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("models", ("models",)),
        ("models/", ("models",)),
        ("./models", ("models",)),
        ("models/../models", ("models",)),
        ('"models"', ("models",)),
        ("'models/'", ("models",)),
        ("models,", ("models",)),
        ("- models", ("models",)),
        ("12. models;", ("models",)),
        ("- [ ] my models --sfw", ("my models", "--sfw")),
        ("my models", ("my models",)),
        ('"my models" --skip "*.ckpt" --max-images 5', ("my models", "--skip", "*.ckpt", "--max-images", "5")),
        ("my models --latest", ("my models", "--latest")),
        ("odd --latest", ("odd --latest",)),
        ("odd --latest --sfw", None),
        ("내 모델/a.safetensors -o x", ("내 모델/a.safetensors", "-o", "x")),
        ("A.SAFETENSORS", ("A.SAFETENSORS",)),
        ("list.txt", None),
        ("missing", None),
        ("missing.safetensors", None),
        ("", None),
        ("12345", None),
        ("./12345", ("12345",)),
        ("10001@20001", None),
        ("civitai.com/models/1", None),
        (LINK, None),
        ("file:///models", None),
    ],
)
def test_a_line_names_a_folder_or_a_model_file(tmp_path: Path, text: str, found: tuple[str, ...] | None) -> None:
    for name in ("models", "my models", "odd --latest", "12345", "10001@20001", "civitai.com/models/1"):
        folder(tmp_path / name)
    for name in ("내 모델/a.safetensors", "A.SAFETENSORS", "list.txt"):
        model(tmp_path / name)
    assert named(text, tmp_path) == found


@posix
@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        (r"D:\ComfyUI\models", r"D:\ComfyUI\models", ()),
        (
            r'D:\ComfyUI\models --skip "*.ckpt" --max-images 5',
            r"D:\ComfyUI\models",
            ("--skip", "*.ckpt", "--max-images", "5"),
        ),
        (r'"D:\My Models" --sfw', r"D:\My Models", ("--sfw",)),
        (r"\\server\share\models --sfw", r"\\server\share\models", ("--sfw",)),
        (r'"\\server\my share"', r"\\server\my share", ()),
        (r"\\?\D:\very\long", r"\\?\D:\very\long", ()),
        (r"D:\R&D (x86) 100%\new", r"D:\R&D (x86) 100%\new", ()),
        (r"D:\a = b\models", r"D:\a = b\models", ()),
    ],
)
def test_a_path_of_windows_stays_as_it_is_written(
    tmp_path: Path, text: str, name: str, options: tuple[str, ...]
) -> None:
    folder(tmp_path / name)
    assert named(text, tmp_path) == (name, *options)
    again = line_of(str(tmp_path / name), Target("local", name=str(tmp_path / name)), options)
    assert named(again, tmp_path) == (name, *options)


@windows
def test_drives_shares_and_slashes_of_windows(tmp_path: Path, share: Path) -> None:
    place = folder(tmp_path / "My Models")
    for word in (str(place), str(place) + "\\", f'"{place}\\"', place.as_posix(), str(place).upper()):
        found = local_target(word, Path())
        assert found is not None
        assert Path(found.name) == place
    found = local_target(str(share / "My Models"), Path())
    assert found is not None
    assert Path(found.name).is_dir()


@pytest.mark.parametrize("word", ['{}"', '"{}"', "'{}'", "{}", " {} ", '{}/"'])
def test_quotes_around_a_word_are_no_part_of_it(tmp_path: Path, word: str) -> None:
    """The Command Prompt makes `D:\\models"` of `"D:\\models\\"`."""
    place = folder(tmp_path / "models")
    assert local_target(word.format(place), Path()) == Target("local", name=str(place))


@posix
def test_a_name_with_quotes_in_it_is_found(tmp_path: Path) -> None:
    place = folder(tmp_path / 'the "best"')
    assert local_target(str(place), Path()) == Target("local", name=str(place))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"a = b.safetensors = {LINK}", Target("model", id=1, version=2)),
        (f'"a = b.safetensors" = {LINK}', Target("model", id=1, version=2)),
        ("a = b.safetensors = 10001@20001", Target("model", id=10001, version=20001)),
        ("a = b.safetensors = NONE", NOTHING),
        ("a = b.safetensors  =  none", NOTHING),
        ("a = b.safetensors = B76A1FC247", Target("hash", name="b76a1fc247")),
    ],
)
def test_a_match_by_hand_is_behind_the_last_sign(tmp_path: Path, text: str, match: Target) -> None:
    model(tmp_path / "a = b.safetensors")
    reading = read_local(text, tmp_path, SITE)
    assert reading is not None
    ((word, target),) = reading.found
    assert target == Target("local", name=str(tmp_path / "a = b.safetensors"), match=match)
    again = read_local(line_of(word, target, reading.options), Path("/"), SITE)
    assert again is not None
    assert again.found[0][1] == target


@pytest.mark.parametrize(
    "text", ["a.safetensors = ", "a.safetensors = nonsense", "a.safetensors = https://civitai.com/posts/5"]
)
def test_a_match_with_something_else_is_refused(tmp_path: Path, text: str) -> None:
    model(tmp_path / "a.safetensors")
    reading = read_local(text, tmp_path, SITE)
    assert reading is None or (not reading.found and reading.refused)


def test_a_line_with_a_sign_but_no_file_before_it_is_any_other(tmp_path: Path) -> None:
    folder(tmp_path / "models")
    for text in (f"my lora = {LINK}", f"models = {LINK}", f"missing.safetensors = {LINK}"):
        assert read_local(text, tmp_path, SITE) is None
        assert read_line(text, SITE).found


def test_the_library_is_the_nearest_with_a_log_or_the_outermost_that_was_given(tmp_path: Path) -> None:
    inner = folder(tmp_path / "a" / "b" / "c")
    file = model(inner / "x.safetensors")
    assert library_of(inner, ()) == inner
    assert library_of(file, ()) == inner
    assert library_of(file, {tmp_path / "a", tmp_path / "a" / "b"}) == tmp_path / "a"
    (tmp_path / "a" / "download_state.jsonl").write_text("")
    assert library_of(inner, {tmp_path, inner}) == tmp_path / "a"
    (inner / "download_state.jsonl").write_text("")
    assert library_of(file, {tmp_path, inner}) == inner


def test_what_is_checked_is_each_library_named_or_the_output_folder(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two" / "inner")
    settings = Settings(output=tmp_path / "out")
    assert in_libraries(settings, ["10001", "list.txt", ""]) == [settings]
    found = in_libraries(settings, [str(one), str(two.parent), str(two), str(one)])
    assert [each.output for each in found] == [one, two.parent]


@given(st.text(max_size=60))
def test_no_line_of_text_stumbles(text: str) -> None:
    reading = read_local(text, Path("/nonexistent"), SITE)
    assert reading is None or reading.found or reading.refused
