"""The command line understands its options, says what it does and exits with the right code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from civitai_downloader import __version__
from civitai_downloader.__main__ import command_parser
from civitai_downloader.util.values import byte_count, count_or_all, option_words
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, Status
from tests.helpers import Captured

# --- Token and exit code -------------------------------------------------------------------------


def test_token_txt_of_the_current_folder_is_read(run: Runner, site: FakeCivitai, tmp_path: Path, out: Path) -> None:
    site.world.add_model().add_version(needs_token=True).add_file("a.safetensors")
    (tmp_path / "token.txt").write_text("\ufeffgood-token\r\n", "utf-8")
    assert run("10001") == 0
    assert one_file(out, "a.safetensors")
    assert not [name for name, data in files_under(out).items() if b"good-token" in data]


@pytest.mark.usefixtures("lora")
def test_a_failure_that_is_no_usage_error_exits_with_1(
    run: Runner, out: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("civitai_downloader.core.outcome.replace_file", refuse)
    assert run("10001") == 1
    assert "report.json: the disk does not respond" in capsys.readouterr().err
    assert one_file(out, "paper_xl.safetensors")


# --- What the user sees --------------------------------------------------------------------------


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
    assert "low.safetensors" in shown
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
    assert byte_count(text) == rate


def test_options_are_spelled_again_as_they_were_given() -> None:
    parser = command_parser()
    words = ["--layout", "comfyui", "--types", "A,B", "--no-gallery", "--max-images", "all", "--token", "hush-hush"]
    given = vars(parser.parse_args(words))
    assert vars(parser.parse_args(option_words(parser, given))) == {**given}
    assert "hush-hush" not in option_words(parser, given, skip=("token",))
    assert count_or_all("all") is None
