"""The command line understands its options, says what it does and exits with the right code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from civitai_downloader import __version__
from civitai_downloader.__main__ import (
    byte_rate,
    clock_time,
    command_parser,
    count_or_all,
    option_words,
    system_language,
)
from civitai_downloader.core.data import read_data
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, Status
from tests.helpers import Captured

# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.txt"], "missing.txt can't be read"),
        (["folder"], "folder can't be read"),
        (["empty.txt"], "empty.txt holds no link"),
        (["bad.txt"], "bad.txt, line 1: 'nonsense' is no link"),
        (["options.txt"], "options.txt, line 2: the options are wrong"),
        (["https://civitai.com/articles/5"], "is no link to a model"),
        (["10001", "--layout", "{nothing}"], "The layout has no field {nothing}"),
        (["10001", "--token", "bad token"], "The token is malformed"),
        (["10001", "--site", "nowhere"], "is no web address"),
        (["10001", "-o", "file.txt/below"], "Nothing can be written to"),
        (["--retry-failed"], "failed.txt can't be read"),
        ([], "There is nothing to do"),
        (["10001", "--workers", "0"], "is no number between 1 and 64"),
        (["10001", "--limit-rate", "fast"], "is no number between 0.001"),
        (["10001", "--max-images", "some"], "is no number between 0"),
        (["10001", "--bogus"], "unrecognized arguments"),
    ],
)
@pytest.mark.usefixtures("lora")
def test_bad_input_ends_in_one_sentence_before_any_request(
    run: Runner, site: FakeCivitai, capsys: Captured, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "bad.txt").write_text("nonsense\n")
    (tmp_path / "options.txt").write_text("# a\n10001 --no-such-option\n")
    (tmp_path / "file.txt").write_text("10001")
    before = files_under(tmp_path)
    assert run(*words) == 2
    assert sentence in capsys.readouterr().err
    assert not site.requests
    assert files_under(tmp_path) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_list_is_told(run: Runner, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "secret.txt").write_text("10001")
    (tmp_path / "secret.txt").chmod(0)
    assert run("secret.txt") == 2
    assert "can't be read" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_bad_line_is_told_and_the_others_run(run: Runner, out: Path, capsys: Captured) -> None:
    lines = [
        "nonsense",
        "10001 --latest --max-images 0",
        "10001 --layout {x}",
        "10001 -o models.txt/x",
        "10001 --token abcdefgh",
    ]
    assert run(lines=lines) == 0 + 1
    shown = capsys.readouterr().err
    for words in (
        "line 1: 'nonsense'",
        "line 3: the options are wrong",
        "Nothing can be written",
        "line 5: the options",
    ):
        assert words in shown
    assert one_file(out, "paper_xl.safetensors")
    assert not list(out.rglob("paper_sd15.safetensors"))


def test_token_txt_of_the_current_folder_is_read(run: Runner, site: FakeCivitai, tmp_path: Path, out: Path) -> None:
    site.world.add_model().add_version(needs_token=True).add_file("a.safetensors")
    (tmp_path / "token.txt").write_text("\ufeffgood-token\r\n", "utf-8")
    assert run("10001") == 0
    assert one_file(out, "a.safetensors")
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]


@pytest.mark.usefixtures("lora")
def test_a_failure_that_is_no_usage_error_exits_with_1(run: Runner, out: Path, capsys: Captured) -> None:
    (out / "report.json").mkdir(parents=True)
    assert run("10001") == 1
    assert "report.json can't be written" in capsys.readouterr().err
    assert one_file(out, "paper_xl.safetensors")


# --- What the user sees --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "progress", "summary"),
    [("en", "1/1 models", "already there"), ("ja", "現在 1/1 モデル", "既存"), ("ko", "현재 1/1 모델", "이미 있음")],
)
@pytest.mark.usefixtures("lora")
def test_progress_and_summary_speak_the_users_language(
    run: Runner, capsys: Captured, language: str, progress: str, summary: str
) -> None:
    run("10001")
    capsys.readouterr()
    run("10001", "--lang", language, "--force")
    run("10001", "--lang", language)
    shown = capsys.readouterr().err
    assert progress in shown
    assert summary in shown


def test_every_language_has_every_sentence() -> None:
    catalogue = json.loads(read_data("messages.json"))
    assert set(catalogue["en"]) == set(catalogue["ja"]) == set(catalogue["ko"])
    for key, sentence in catalogue["en"].items():
        for language in ("ja", "ko"):
            assert sorted(set(sentence.split("{")[1:])) == [] or sentence.count("{") == catalogue[language][key].count(
                "{"
            )


@pytest.mark.parametrize(
    ("name", "language"),
    [("ja_JP.UTF-8", "ja"), ("Japanese_Japan", "ja"), ("ko_KR", "ko"), ("Korean_Korea", "ko"), ("C", "en"), ("", "en")],
)
def test_the_systems_language_is_understood(monkeypatch: pytest.MonkeyPatch, name: str, language: str) -> None:
    monkeypatch.setenv("LC_ALL", name)
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    for unset in ("LC_MESSAGES", "LANG"):
        monkeypatch.delenv(unset, raising=False)
    assert system_language() == language


@pytest.mark.usefixtures("lora")
def test_json_logs_are_one_object_a_line(run: Runner, capsys: Captured) -> None:
    run("10001", "404404", "--json-logs", "-v")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    events = {line.get("event") for line in lines}
    assert {"failure", "summary", "progress"} <= events
    assert all({"at", "level", "message"} <= set(line) for line in lines)


@pytest.mark.usefixtures("lora")
def test_quiet_says_failures_and_the_summary_only(run: Runner, capsys: Captured) -> None:
    assert run("-q", "10001") == 0
    assert capsys.readouterr().err == ""
    assert run("-q", "404404") == 1
    assert "404404" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_terminal_sees_bars(
    run: Runner, site: FakeCivitai, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    site.world.add_model().add_version().add_file("slow.safetensors", size=600_000)
    site.rate_per_connection = 400_000
    site.fail("storage:/", Status(500), times=1)
    assert run("10002", "404404") == 1
    shown = capsys.readouterr().err
    assert "slow.safetensors" in shown
    assert "1/2 models" in shown
    assert "left" in shown
    assert "retrying" in shown or run.clock.slept


def test_help_and_version_come_without_the_network_stack() -> None:
    code = (
        "import sys; from civitai_downloader.__main__ import main\n"
        "codes = main(['--help']), main(['--version']), main(['--bogus'])\n"
        "assert codes == (0, 0, 2), codes\n"
        "assert not {'requests', 'tqdm', 'backoff'} & set(sys.modules)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "rate"), [("10M", 10 << 20), ("500k", 500 << 10), ("1.5G", 3 << 29), ("100", 100)])
def test_a_rate_is_read(text: str, rate: int) -> None:
    assert byte_rate(text) == rate


def test_options_are_spelled_again_as_they_were_given() -> None:
    parser = command_parser()
    words = ["--layout", "comfyui", "--types", "A,B", "--no-gallery", "--max-images", "all", "--token", "hush-hush"]
    given = vars(parser.parse_args(words))
    assert vars(parser.parse_args(option_words(parser, given))) == {**given}
    assert "hush-hush" not in option_words(parser, given, skip=("token",))
    assert count_or_all("all") is None
    assert clock_time(3723) == "1:02:03"
