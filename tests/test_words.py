"""The user is told everything in their own language."""

from __future__ import annotations

import json
import re

import pytest

from civitai_downloader.core.data import read_data
from civitai_downloader.core.words import clock_time
from civitai_downloader.util.speech import system_language
from tests.conftest import Runner
from tests.helpers import Captured


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
    assert set(catalogue["en"]) <= set(catalogue["ja"]) == set(catalogue["ko"])  # others have the sentence as key
    for key in set(catalogue["ja"]) - set(catalogue["en"]):
        assert {*re.findall("{.*?}", key)} == {*re.findall("{.*?}", catalogue["ja"][key])}
        assert {*re.findall("{.*?}", key)} == {*re.findall("{.*?}", catalogue["ko"][key])}
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
    assert system_language(("en", "ja", "ko")) == language


def test_a_time_is_told_like_a_clock() -> None:
    assert clock_time(3723) == "1:02:03"
