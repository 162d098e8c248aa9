"""What is wrong with the words of the command or the lines of a list is told before any request."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.txt"], "missing.txt can't be read"),
        (["folder"], "There are no model files in"),
        (["--models", "folder"], "folder can't be read"),
        (["empty.txt"], "empty.txt contains no links"),
        (["bad.txt"], "bad.txt, line 1: 'nonsense' isn't a supported link"),
        (["options.txt"], "options.txt, line 2: The options are wrong"),
        (["https://civitai.com/articles/5"], "isn't a supported link: articles can't be fetched"),
        (["10001", "--layout", "{nothing}"], "'{nothing}' is not known"),
        (["10001", "--token", "bad token"], "The token is malformed"),
        (["10001", "--site", "nowhere"], "isn't a web address"),
        (["10001", "-o", "file.txt/below"], "Nothing can be written to"),
        (["--retry-failed"], "failed.txt can't be read"),
        ([], "There is nothing to do"),
        (["10001", "--workers", "0"], "must be between 1 and 64"),
        (["10001", "--limit-rate", "fast"], "'fast' is not a size"),
        (["10001", "--max-images", "some"], "must be between 0"),
        (["10001", "--bogus"], "Unknown option --bogus"),
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
        "line 3: The options are wrong",
        "Nothing can be written",
        "line 5: The options",
    ):
        assert words in shown
    assert one_file(out, "paper_xl.safetensors")
    assert not list(out.rglob("paper_sd15.safetensors"))
