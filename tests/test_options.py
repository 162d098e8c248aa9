"""Options: sizes, help, what a wrong one says and in which language, and what names mean however they are spelled."""

from __future__ import annotations

import ast
import json
import logging
import sys
from pathlib import Path

import pytest

from civitai_downloader.__main__ import command_parser, main
from civitai_downloader.core.data import read_data
from civitai_downloader.core.settings import Settings, find_token
from civitai_downloader.util.errors import OptionError
from civitai_downloader.util.logfile import LogFile
from civitai_downloader.util.shell import quoted, split_words, without_comment
from civitai_downloader.util.values import byte_count, nearest
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import ROOT, Captured, add_model, names_on_disk

K = 1024


# --- Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2000000", 2_000_000), ("10MB", 10**7), ("10MiB", 10 * K**2), ("10M", 10 * K**2), ("1.5G", 3 * K**3 // 2),
        ("500k", 500 * K), ("500KB", 500_000), ("500 kib", 500 * K), (" 1 gb ", 10**9), ("1GiB", K**3),
        ("10M/s", 10 * K**2), ("10 MB / s", 10**7), ("10mb/sec", 10**7), (".5k", 512), ("1.", 1), ("100B", 100),
        ("0", 0), ("0.1", 1), ("2T", 2 * K**4),
    ],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert byte_count(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "fast", "10 X", "-1", "1,5M", "nan", "inf", "1e6", "0x10", "10 M B", "M", "10MM", "9" * 400, "１０M"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        byte_count(text)


@pytest.mark.parametrize("rate", ["2000000", "10MB", "10MiB", "1.5G", "10 MB/s"])
@pytest.mark.usefixtures("lora")
def test_limit_rate_takes_every_form_of_a_size(run: Runner, rate: str) -> None:
    assert run("10001", "--limit-rate", rate) == 0


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r"-o D:\ComfyUI\new --latest", ["-o", r"D:\ComfyUI\new", "--latest"]),
        (r'"say \"hi\" twice" x', ['say "hi" twice', "x"]),
        (r'"a\\b" c\\d', [r"a\b", r"c\\d"]),
        (r'"D:\My Models\" --latest', ["D:\\My Models\\", "--latest"]),
        (r'"\\server\My share" x', [r"\\server\My share", "x"]),
        (r"'a\"b' x", [r"a\"b", "x"]),
        ("--layout='{creator} x'", ["--layout={creator} x"]),
        ("Ann's model Bob's", ["Ann's", "model", "Bob's"]),
    ],
)
def test_words_are_split_as_a_shell_does_except_for_backslashes(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("a # b", "a "),
        ("a#b c", "a#b c"),
        ("# a", ""),
        ("'#a' \"# b\" c#", "'#a' \"# b\" c#"),
        ("Ann's # Bob's", "Ann's "),
    ],
)
def test_a_comment_begins_at_the_start_of_a_word_only(line: str, rest: str) -> None:
    assert without_comment(line) == rest


@pytest.mark.parametrize(
    "word", ["", "a b", "#a", "it's", 'a"b', 'it\'s "a" b', r"D:\My Models" + "\\", r"a\b c", "\\ ", "'"]
)
def test_a_quoted_word_is_read_back(word: str) -> None:
    assert split_words(quoted(word), strict=True) == [word]
    assert split_words(f"x {quoted(word)} y") == ["x", word, "y"]


# --- Help ----------------------------------------------------------------------------------------


def test_short_help_is_one_screen(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("20", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["-h"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 100
    shown = "\n".join(lines)
    for words in ("--output DIR", "--latest", "--token", "--dry-run", "examples:", "--help", "https://"):
        assert words in shown
    assert "--max-rate-image" not in shown


def test_help_has_every_option_in_its_group_with_its_default(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for action in command_parser()._actions:
        assert all(name in shown for name in action.option_strings)
    groups = [f"{name}:" for name in ("input", "where", "what", "access", "pace", "which", "library", "how", "output")]
    assert [shown.index(f" {group}") for group in groups] == sorted(shown.index(f" {group}") for group in groups)
    for default in ("at the same time (default: 4)", "(default: 0.5)", "(default: 200)", "(default: downloads)"):
        assert default in shown


# --- Wrong options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lates"], "Unknown option --lates; did you mean --latest? See -h."),
        (["--max_images", "3"], "did you mean --max-images?"),
        (["--basemodel=Pony"], "did you mean --base-models?"),
        (["-latest"], "did you mean --latest?"),
        (["--zzz"], "Unknown option --zzz; see -h."),
        (["-o"], "--output needs a value; see -h."),
        (["-o", ""], "--output needs a value; see -h."),
        (["--latest=yes"], "--latest takes no value; see -h."),
        (["--only", "model"], "did you mean models?"),
        (["--lang", "jp"], "use one of en, ja, ko"),
        (["--layout", "comfy-iu"], "did you mean comfyui?"),
        (["--layout", "{modelname}/x"], "did you mean {model_name}?"),
        (["--types", "Chekpoint"], "did you mean Checkpoint?"),
        (["--tokn", "hush-hush-123"], "did you mean --token?"),
        (["--limit-rate", "10 parsecs"], "--limit-rate: '10 parsecs' is not a size"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_nearest_name(
    run: Runner, site: FakeCivitai, capsys: Captured, words: list[str], sentence: str
) -> None:
    assert run("10001", *words) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1
    assert "hush" not in shown
    assert not site.requests


@pytest.mark.parametrize(("language", "words"), [("ja", "不明なオプション --lates"), ("ko", "알 수 없는 옵션 --lates")])
def test_a_wrong_option_is_told_in_the_users_language(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    assert main(["--lates", "--lang", language]) == 2
    assert words in capsys.readouterr().err
    monkeypatch.setenv("LC_ALL", f"{language}_XX.UTF-8")
    assert main(["--lates"]) == 2
    assert words in capsys.readouterr().err


def test_a_wrong_option_of_a_line_is_told_in_the_users_language(run: Runner, capsys: Captured) -> None:
    assert run("--lang", "ja", lines=["10001 --layout nope", "10001 --workers 3"]) == 2
    shown = capsys.readouterr().err
    assert "'nope' は不明です" in shown
    assert "--workers はリストの行では使えません" in shown


def test_every_sentence_about_an_option_is_translated() -> None:
    catalogue = json.loads(read_data("messages.json"))
    said = set()
    for path in (ROOT / "civitai_downloader").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("OptionError"):
                said |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
    assert len(said) > 15
    assert said <= set(catalogue["ja"])


def test_options_and_inputs_may_be_mixed(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "first")
    add_model(site.world, "second")
    assert run("10001", "--latest", "10002", "--no-gallery") == 0
    assert names_on_disk(out) == {"first", "second"}


def test_a_dash_that_an_editor_made_of_two_hyphens_is_taken(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_model(site.world, "first")
    assert run("10001", "—latest", "–max-images=0") == 0
    assert names_on_disk(out) == {"first"}


def test_what_a_terminal_would_obey_is_not_shown(run: Runner, capsys: Captured) -> None:
    for words, lines in ((["10001", "--x\x1b[31m\nINJECTED"], []), ([], ["10001 --lat\x1b[31mest"])):
        assert run(*words, lines=lines or None) == 2
        shown = capsys.readouterr().err
        assert "\x1b" not in shown
        assert "\nINJECTED" not in shown


def test_an_option_of_the_command_on_a_line_is_told(run: Runner, capsys: Captured) -> None:
    assert run(lines=["10001 --dry-run"]) == 2
    assert "--dry-run can't be used on a line of a list" in capsys.readouterr().err


# --- Names ---------------------------------------------------------------------------------------


def test_base_models_that_match_nothing_tell_which_there_are(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    model = site.world.add_model("Mix", creator="maker")
    model.add_version("a", base_model="SDXL 1.0").add_file()
    model.add_version("b", base_model="Pony").add_file()
    for number in range(3):
        other = site.world.add_model(f"other {number}", creator="maker")
        other.add_version(base_model="Pony").add_file()
    run("10001", f"{site.url}/user/maker/models", "--base-models", "sdxl")
    shown = capsys.readouterr().err
    assert "no version for sdxl, only for Pony, SDXL 1.0; did you mean SDXL 1.0?" in shown
    assert "only for Pony (3)" in shown
    assert "the same as an earlier line" not in shown


def test_what_lists_bring_up_again_is_not_said(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for name in ("a", "b", "c"):
        add_model(site.world, name, creator="maker")
    assert run("10001", f"{site.url}/models/10001", f"{site.url}/user/maker/models", f"{site.url}/tag/style") == 0
    assert capsys.readouterr().err.count("the same as an earlier line") <= 1


def test_base_models_and_types_are_taken_however_they_are_spelled(run: Runner, site: FakeCivitai, out: Path) -> None:
    model = site.world.add_model("Mix", "TextualInversion")
    model.add_version("a", base_model="SD 1.5").add_file("a.safetensors")
    assert run("10001", "--base-models", "sd1.5", "--types", "textual inversion") == 0
    assert names_on_disk(out) == {"a"}


def test_a_type_that_the_site_has_added_is_taken() -> None:
    assert Settings(types=("Hologram",)).types == ("Hologram",)
    assert nearest("sdxl", ["Pony", "SDXL 1.0"]) == "SDXL 1.0"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("abc-def", "it has 7 characters, but a token has 8 to 512"),
        ("abcd efgh", "a space"),
        ("abcdefgé", "an invalid character"),
    ],
)
def test_a_malformed_token_is_told_by_the_true_rule(run: Runner, capsys: Captured, token: str, words: str) -> None:
    assert run("10001", "--token", token) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert token not in shown


def test_a_token_is_taken_as_it_is_pasted() -> None:
    assert find_token(["Bearer abcdefgh"]) == find_token(["Authorization: Bearer abcdefgh\n"]) == "abcdefgh"
    assert find_token(['"abcdefgh" ']) == find_token([None, "", "abcdefgh"]) == "abcdefgh"


def test_a_word_that_is_neither_a_link_nor_a_file_is_told_so(run: Runner, capsys: Captured) -> None:
    assert run("lantern_maker") == 2
    assert "'lantern_maker' is neither a link, an ID nor a list" in capsys.readouterr().err
    assert run("--users", "lantern_maker") == 2
    assert "Write a user as https://civitai.com/user/lantern_maker" in capsys.readouterr().err
    assert run("--users", "models.txt", lines=["lantern maker"]) == 2
    assert "quote a name with spaces" in capsys.readouterr().err


def test_an_article_is_told_not_to_be_fetched(run: Runner, capsys: Captured) -> None:
    assert run("https://civitai.com/articles/5/a-title") == 2
    assert "articles can't be fetched" in capsys.readouterr().err


# --- Word lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "empty", "unreadable"])
@pytest.mark.usefixtures("lora")
def test_word_lists_that_are_not_there_never_rewrite_prompts(
    run: Runner, tmp_path: Path, out: Path, capsys: Captured, kind: str
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "Filter_sex.txt").write_text("lantern", "utf-8")
    assert run("10001", "--filters", str(lists)) == 0
    before = files_under(out)
    other = tmp_path / "other"
    if kind != "missing":
        other.mkdir()
    if kind == "unreadable":
        (other / "Filter_sex.txt").mkdir()
    for words in (["10001"], ["--refilter"]):
        capsys.readouterr()
        assert run(*words, "--filters", str(other)) == 2
        assert "other" in capsys.readouterr().err
    assert files_under(out) == before


# --- Log -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["-q"], ["--json-logs"], []])
def test_log_keeps_everything_that_is_said(run: Runner, site: FakeCivitai, tmp_path: Path, options: list[str]) -> None:
    version = site.world.add_model("한글").add_version(needs_token=True)
    version.add_file("a.safetensors")
    path = tmp_path / "logs" / "run.log"
    for _ in range(2):
        assert (
            run(
                "10001",
                "404404",
                f"{site.url}/models/10001?token=good-token",
                "--log",
                str(path),
                "--token",
                "good-token",
                *options,
            )
            == 1
        )
    text = path.read_text("utf-8")
    assert "good-token" not in text
    assert "한글" in text
    assert text.count("404404") >= 2
    for line in text.splitlines():
        assert line.startswith("    ") or line[:2] == "20", line
    assert " debug " in text
    assert " warning " in text


def test_a_log_file_has_no_secrets_and_no_broken_lines(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "run.log")
    file.hide(["hush-hush"])
    record = logging.LogRecord("x", logging.INFO, "", 0, "a hush-hush b\n\x1b[31m2026 c?token=abc \ud800", (), None)
    file.emit(record)
    file.close()
    first, second = (tmp_path / "run.log").read_text("utf-8").splitlines()
    assert first.endswith(" info a (cut) b")
    assert second.startswith("     [31m2026 c")
    assert "abc" not in second


def test_a_log_that_can_not_be_written_is_a_usage_error(run: Runner, tmp_path: Path, capsys: Captured) -> None:
    assert run("10001", "--log", str(tmp_path)) == 2
    assert "choose another --log" in capsys.readouterr().err


def test_a_log_on_a_full_disk_is_told_once(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    if not Path("/dev/full").exists() or sys.platform == "win32":
        pytest.skip("this system has no /dev/full")
    add_model(site.world, "a")
    assert run("10001", "--log", "/dev/full") == 0
    assert capsys.readouterr().err.count("can't be written any more") == 1
