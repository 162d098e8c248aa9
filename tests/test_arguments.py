"""@FILEs and configuration files: what they may say, in which order they count, and what a stranger's may not do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from civitai_downloader.__main__ import main
from civitai_downloader.core.arguments import CONFIGURATION, Arguments, leads_out
from civitai_downloader.util.errors import UsageError
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel, Status
from tests.helpers import Captured, add_model, names_on_disk


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the user's configuration file, which does not exist yet, but its folder does."""
    folder = tmp_path / ".config" / "civitai-downloader"
    folder.mkdir(parents=True)
    return folder / CONFIGURATION


def write(path: Path | str, text: str, encoding: str = "utf-8") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(text.encode(encoding))


def say(capsys: Captured) -> str:
    return capsys.readouterr().err


# --- @FILE ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_an_at_file_stands_for_what_is_in_it(run: Runner, site: FakeCivitai, tmp_path: Path, encoding: str) -> None:
    add_model(site.world, "first")
    add_model(site.world, "second")
    head = "# 주석 한국어\r\n--no-gallery --latest # 끝\r\n"
    text = f"{head}-o '{tmp_path / '내 폴더'}'\r\n10001\r\n{site.url}/models/10002#top\r\n"
    write("words.txt", text, encoding)
    assert run("@words.txt") == 0
    assert names_on_disk(tmp_path / "내 폴더") == {"first", "second"}


def test_at_files_may_be_nested_and_are_looked_for_beside_the_file_that_names_them(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    add_model(site.world, "first")
    write("a/one.txt", "@two.txt --latest")
    write("a/two.txt", "10001")
    assert run("@a/one.txt") == 0
    assert names_on_disk(out) == {"first"}


def test_words_of_an_at_file_that_are_wrong_are_told_in_one_line(capsys: Captured) -> None:
    for text, words in (
        ("10001 --lates", "did you mean --latest?"),
        ('10001\n-o "open', "line 2: a quotation mark is missing"),
        ("@x.txt", "includes itself"),
        ("@y.txt", "y.txt can't be read"),
        ("PK\3\4\0\0", "not a list"),
    ):
        write("x.txt", text)
        assert main(["@x.txt", "--lang", "en"]) == 2
        shown = say(capsys)
        assert words in shown
        assert shown.count("\n") == 1


def test_at_files_that_name_each_other_over_and_over_end() -> None:
    for level in range(18):
        write(f"{level}.txt", f"@{level + 1}.txt " * 10)
    write("18.txt", "10001")
    with pytest.raises(UsageError, match="more than"):
        Arguments().expand(["@0.txt"])


def test_empty_at_files_that_name_each_other_over_and_over_end() -> None:
    for level in range(18):
        write(f"{level}.txt", f"@{level + 1}.txt " * 10)
    write("18.txt", "")
    with pytest.raises(UsageError, match="more than"):
        Arguments().expand(["@0.txt"])


def test_behind_two_dashes_a_word_is_only_what_it_says() -> None:
    write("x.txt", "--latest")
    assert Arguments().expand(["@x.txt", "--", "@x.txt"]) == ["--latest", "--", "@x.txt"]


def test_help_in_an_at_file_is_help(capsys: Captured) -> None:
    write("x.txt", "--version")
    assert main(["@x.txt"]) == 0
    assert "civitai-downloader" in capsys.readouterr().out


def test_files_that_were_read_are_told_with_v(run: Runner, site: FakeCivitai, capsys: Captured, own: Path) -> None:
    add_model(site.world, "first")
    write("x.txt", "10001")
    write(own, "--latest")
    write(CONFIGURATION, "--no-gallery")
    assert run("@x.txt", "-v") == 0
    shown = say(capsys)
    for path in ("x.txt", str(own), CONFIGURATION):
        assert f"{path}." in shown


# --- On a list line ------------------------------------------------------------------------------


def test_an_at_file_on_a_line_holds_options_of_the_line(run: Runner, lora: FakeModel, tmp_path: Path) -> None:
    write("mine.txt", f"--latest --no-gallery\n-o '{tmp_path / 'my own'}' # here")
    assert run(lines=["https://civitai.com/models/10001 Paper @mine.txt"]) == 0
    assert names_on_disk(tmp_path / "my own") == {"paper_xl"}
    assert lora.id == 10001


def test_a_line_that_begins_with_an_at_file_is_what_stands_in_it(run: Runner, site: FakeCivitai, out: Path) -> None:
    for name in ("first", "second", "third"):
        add_model(site.world, name)
    write("more.txt", "--latest 10001\n10002")
    assert run(lines=["@more.txt --no-gallery", "10003 # x"]) == 0
    assert names_on_disk(out) == {"first", "second", "third"}


@pytest.mark.parametrize(
    "line",
    ["{} by @maker --latest", "{} @maker", "@maker {}", "@everyone look: {}", "{} by @m.a/ker", "{} --latest @maker"],
)
def test_a_name_on_a_line_is_no_file(run: Runner, site: FakeCivitai, out: Path, line: str) -> None:
    add_model(site.world, "first")
    assert run(lines=[line.format("https://civitai.com/models/10001")]) == 0
    assert names_on_disk(out) == {"first"}


def test_a_user_may_be_written_with_an_at_sign(run: Runner, site: FakeCivitai, tmp_path: Path, out: Path) -> None:
    add_model(site.world, "first", creator="maker")
    write(tmp_path / "users.txt", "@maker")
    assert run() == 0
    assert names_on_disk(out) == {"first"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_line_of_a_list_does_not_wait_for_a_pipe(run: Runner, capsys: Captured, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert run(lines=["10001 @pipe.txt"]) == 2
    assert "pipe.txt can't be read" in say(capsys)


def test_a_value_that_looks_like_an_at_file_survives_a_retry(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "first")
    site.fail("storage:/", Status(500), times=None)
    assert run("--layout=@{creator}", "--retries", "0", "10001") == 1
    assert "--layout=@{creator}" in (out / "failed.txt").read_text("utf-8")
    site.heal()
    assert run("--retry-failed") == 0
    assert (out / "@maker").is_dir()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("10001 @nowhere.txt", "nowhere.txt can't be read"),
        ("10001 @no.txt", "--token can't be used on a line of a list"),
        ("@none.txt", "contains no link"),
        ("@loop.txt", "includes itself"),
    ],
)
def test_an_at_file_that_can_not_be_used_on_a_line_is_told(
    run: Runner, site: FakeCivitai, capsys: Captured, line: str, words: str
) -> None:
    write("no.txt", "--token abcdefgh")
    write("none.txt", "--latest")
    write("loop.txt", "@loop.txt")
    assert run(lines=[line]) == 2
    shown = say(capsys)
    assert "models.txt, line 1: The options are wrong, so the line was skipped" in shown or "line 1: The @file" in shown
    assert words in shown
    assert not site.requests


# --- Configuration -------------------------------------------------------------------------------


def test_later_layers_count_before_earlier_ones(run: Runner, lora: FakeModel, own: Path, tmp_path: Path) -> None:
    write(own, f"--latest --no-gallery\n--layout a1111 --token good-token --lang ja -o '{tmp_path / 'far'}'")
    write(CONFIGURATION, "--layout comfyui -o here")
    assert main(["10001", "--site", run._site.url, "--max-rate-model", "99"]) == 0
    assert (tmp_path / "here/models/loras/paper_xl.safetensors").is_file()
    assert run("10001", "-o", "other", "--layout", "sharded") == 0
    assert (tmp_path / "other/model_10").is_dir()
    assert not (tmp_path / "far").exists()
    assert run(lines=["10001 --layout creator -o third"]) == 0
    assert names_on_disk(tmp_path / "third") == {"paper_xl"}
    assert lora.id == 10001


def test_inputs_of_a_configuration_are_a_default(run: Runner, site: FakeCivitai, out: Path, own: Path) -> None:
    add_model(site.world, "first")
    add_model(site.world, "second")
    write(own, "10001")
    assert run("10002") == 0
    assert names_on_disk(out) == {"second"}
    assert run() == 0
    assert names_on_disk(out) == {"first", "second"}


def test_quiet_on_the_command_line_silences_a_verbose_configuration(
    run: Runner, site: FakeCivitai, own: Path, capsys: Captured
) -> None:
    add_model(site.world, "first")
    write(own, "-v")
    assert run("10001", "-q") == 0
    assert say(capsys) == ""


@pytest.mark.parametrize("words", ["--help", "-h", "--version"])
def test_what_prints_and_ends_is_no_default(own: Path, capsys: Captured, words: str) -> None:
    write(own, words)
    assert main(["10001", "--lang", "en"]) == 2
    assert f"{words} can't be used in a configuration file" in say(capsys)
    assert main(["--version"]) == 0


def test_a_wrong_option_of_a_configuration_names_the_file(own: Path, capsys: Captured) -> None:
    write(own, "--latst")
    assert main(["10001", "--lang", "ja"]) == 2
    shown = say(capsys)
    assert str(own) in shown
    assert "--latest" in shown
    assert "不明なオプション" in shown


def test_a_user_who_stands_in_the_folder_of_the_own_configuration_may_say_everything(
    run: Runner, site: FakeCivitai, own: Path, monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    add_model(site.world, "first")
    write(own, "--token good-token")
    monkeypatch.chdir(own.parent)
    assert run("10001") == 0
    assert names_on_disk(out) == {"first"}


# --- A stranger's folder -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--site http://127.0.0.1:9", "--site=http://127.0.0.1:9", "'--site' http://127.0.0.1:9", "--si\"te=http://x\"",
        "--token abcdefgh", "--token=abcdefgh", "--cookies c.txt", "--cookies=c.txt", "--idm", "--idm=idm.exe",
        "--idm-wait", "--idm-token-url", "@inner.txt", "—site http://127.0.0.1:9", "–-token=abcdefgh",
        "--latest\n\n--site http://x # y",
        "--tok abcdefgh", "--TOKEN=abcdefgh",
    ],
)  # fmt: skip
def test_the_configuration_of_a_folder_can_not_lead_a_token_away(
    run: Runner, site: FakeCivitai, capsys: Captured, tmp_path: Path, own: Path, words: str
) -> None:
    write("inner.txt", "--site http://127.0.0.1:9")
    write("c.txt", "a=b")
    write(CONFIGURATION, words)
    write(own, "--token good-token")
    before = files_under(tmp_path)
    assert run("10001") == 2
    shown = say(capsys)
    assert CONFIGURATION in shown
    assert shown.count("\n") == 1
    assert not site.requests
    assert files_under(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        "-o /tmp/x", "-o/tmp/x", "-o ..", "--output=../x", "-o a/../../b", r"-o C:\x", r"-o ..\x", r"-o \x",
        "-o out-link", "-o out-link/deeper", "--filters /x", "--log /tmp/x.log", "--log=../x.log", "--models ../m.txt",
        "--users /u.txt",
        "../m.txt", "/etc/passwd", "@../m.txt", "@/etc/hostname", "@file-link", "file-link", "-o ~/x", "-o '~root/x'",
        "@sub/nested.txt", "-- ../m.txt", "--models x://../../m.txt",
    ],
)  # fmt: skip
def test_the_configuration_of_a_folder_can_not_lead_out_of_it(
    run: Runner, site: FakeCivitai, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    if sys.platform == "win32" and "link" in words:
        pytest.skip("making symlinks needs rights on Windows")
    here = tmp_path / "stranger"
    (here / "sub").mkdir(parents=True)
    monkeypatch.chdir(here)
    write(tmp_path / "m.txt", "10001")
    write("sub/nested.txt", "@../../m.txt")
    if sys.platform != "win32":
        os.symlink(tmp_path, "out-link")
        os.symlink(tmp_path / "m.txt", "file-link")
    write(CONFIGURATION, words)
    assert run() == 2
    assert "leads out of that folder" in say(capsys)
    assert not site.requests


def test_a_configuration_that_is_a_link_out_of_the_folder_is_refused(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    if sys.platform == "win32":
        pytest.skip("making symlinks needs rights on Windows")
    here = tmp_path / "stranger"
    here.mkdir()
    monkeypatch.chdir(here)
    write(tmp_path / "secret.txt", "hush-hush-secret")
    os.symlink(tmp_path / "secret.txt", CONFIGURATION)
    assert run("10001") == 2
    assert "hush" not in say(capsys)


def test_the_configuration_of_a_folder_may_name_what_is_in_it(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    add_model(site.world, "first")
    write("lists/mine.txt", "10001")
    write("more.txt", "--no-gallery")
    write(
        CONFIGURATION,
        "lists/mine.txt -o ./library @more.txt https://civitai.com/models/10001 urn:air:sdxl:lora:civitai:10001",
    )
    assert main(["--site", site.url]) == 0
    assert names_on_disk(tmp_path / "library") == {"first"}


def test_what_leads_out_of_a_folder(tmp_path: Path) -> None:
    for name in ("", ".", "a", "a/b", "a b", "…", "a..b", "...", "a~"):
        assert not leads_out(name, tmp_path)
    for name in ("..", "/", "\\", "//x/y", r"\\x\y", "c:", "C:x", "a/..", r"a\..\b", "~", "~x", "a\0b"):
        assert leads_out(name, tmp_path)
