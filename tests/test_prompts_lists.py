"""Word lists are read in any encoding, those of the program are sound, and a change rewrites the prompts on disk."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pytest

from civitai_downloader.core.prompts import WORD_LISTS, Filters, split_prompt
from civitai_downloader.core.wordlists import WordList, parse_word_list, words_of
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Captured, add_model, read_json

DEFAULTS = Path(__file__).parents[1] / "filters"
SAMPLES = Path(os.environ.get("CIVITAI_SAMPLES", "no-samples")) / "prompts" / "2023-prompts.json"
LINES = "# 주석, 설명 (comment)\r\n드레스\r\n\r\nred_dress   # 뒤의 주석\r\n=옷,\r\n"
PROMPT = "masterpiece, 1girl, red dress, nude, lantern"


def tags(prompt: str) -> list[str]:
    return split_prompt(prompt).parts[1::2]


def is_part(short: Iterable[str], long: Iterable[str]) -> bool:
    """Return whether the words are among the others, in the same order."""
    rest = iter(long)
    return all(tag in rest for tag in short)


# --- Reading -------------------------------------------------------------------------------------


def test_only_the_first_prompt_loses_its_clothes(tmp_path: Path) -> None:
    for name, text in zip(WORD_LISTS, ("naked", "dress", "masterpiece"), strict=True):
        (tmp_path / f"Filter_{name}.txt").write_text(text, "utf-8")
    filters = Filters.read(tmp_path)
    assert filters.problems == ()
    assert filters.apply("masterpiece, naked, red dress, sky") == ("sky", "red dress, sky")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_a_list_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "Filter_clothes.txt").write_bytes(LINES.encode(encoding))
    filters = Filters.read(tmp_path)
    assert len(filters.clothes.entries) == 3
    raw = "빨간 드레스, 옷, 옷장, a red dress, comment"
    assert filters.apply(raw) == ("옷장, comment", raw)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("\ufeff\n# a, b, c\n   # d\n", 0),
        ("dress\nDRESS\n dress \nred_dress\nred dress\nred-dress", 2),
        ("dress, skirt、hat，\nshoes", 4),
        ("dress # a, b\r# c\rskirt", 2),
        ("=dress\ndress", 2),
        ("c#", 1),
        ("\0\x01\ud800", 1),
    ],
)
def test_entries_of_a_list(text: str, count: int) -> None:
    assert len(parse_word_list(text).entries) == count


def test_missing_lists_are_empty_and_said(tmp_path: Path) -> None:
    (tmp_path / "Filter_sex.txt").write_text("naked", "utf-8")
    filters = Filters.read(tmp_path)
    assert [name for name in WORD_LISTS if any(f"Filter_{name}.txt" in each for each in filters.problems)] == [
        "clothes",
        "etc",
    ]
    assert filters.apply("naked, dress") == ("dress", "dress")


def test_the_fingerprint_is_that_of_the_entries(tmp_path: Path) -> None:
    def fingerprint(text: str, name: str = "sex") -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / f"Filter_{name}.txt").write_text(text, "utf-8")
        return Filters.read(tmp_path).fingerprint

    first = fingerprint("dress\nskirt")
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert fingerprint("# clothes\nskirt\n\nDress # again\n") == first
    others = {fingerprint("dress"), fingerprint("dress\n=skirt"), fingerprint("dress skirt")}
    assert len({*others, first, fingerprint("dress\nskirt", "etc")}) == 5


@pytest.mark.usefixtures("word_lists", "prompted")
def test_prompts_that_were_cleaned_by_earlier_rules_are_cleaned_again(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("civitai_downloader.core.prompts.RULES", 1)
        earlier.setattr(Filters, "apply", lambda self, raw_prompt: ("", ""))
        run("10001")
    assert read_json(one_file(out, "40001.txt"))["prompt"] == ""
    site.forget()
    run("10001")
    assert not site.requests
    assert read_json(one_file(out, "40001.txt"))["prompt"] == "1girl, lantern"


def test_fifty_thousand_entries(tmp_path: Path) -> None:
    words = [f"word{number} {'x' * (number % 7)}" for number in range(50_000)]
    (tmp_path / "Filter_etc.txt").write_text("\n".join(words), "utf-8")
    filters = Filters.read(tmp_path)
    assert len(filters.etc.entries) == 50_000
    assert filters.apply("a, (word49999 xxxxx:1.2), word49999, b")[0] == "a, word49999, b"


# --- The lists that come with the program --------------------------------------------------------


@pytest.mark.parametrize("name", WORD_LISTS)
def test_a_default_list_says_each_thing_once(name: str) -> None:
    text = (DEFAULTS / f"Filter_{name}.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    entries = parse_word_list(text).entries
    assert len(lines) == len(entries)
    for line in lines:
        bare = line.removeprefix("=")
        others = WordList(entries - parse_word_list(line).entries)
        assert not others.matches(words_of(bare)), f"{line} is covered by another entry"


@pytest.mark.parametrize("name", WORD_LISTS)
def test_a_default_list_is_explained_in_three_languages(name: str) -> None:
    head = (DEFAULTS / f"Filter_{name}.txt").read_text("utf-8").partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for sign in ("One entry per line", "한 줄에 항목 하나", "1 行に 1 項目"):
        assert sign in head
    assert head.count("=dress") == head.count("<lora:name") == head.count("8K resolution") // 2 == 3


@pytest.fixture(scope="module")
def defaults() -> Filters:
    return Filters.read(DEFAULTS)


@pytest.mark.parametrize(
    ("tag", "dropped_by"),
    [
        ("(masterpiece:1.2)", "etc"),
        ("score_8_up", "etc"),
        ("extremely detailed CG unity 8k wallpaper", "etc"),
        ("highly detailed", "etc"),
        ("최고 품질", "etc"),
        ("最高品質", "etc"),
        ("red dress", "clothes"),
        ("black thighhighs", "clothes"),
        ("off-shoulder sweater", "clothes"),
        ("교복", "clothes"),
        ("赤い着物", "clothes"),
        ("completely nude", "sex"),
        ("large breasts", "sex"),
        ("전라", "sex"),
        ("全裸", "sex"),
        *((tag, "") for tag in (
            "1girl", "long hair", "looking at viewer", "tie dye", "coffee mug", "bust shot", "facial mark", "dresser",
            "highly detailed photo of a cat", "award-winning portrait of a beast", "bow and arrow", "robin hood",
            "obi-wan kenobi", "peacock", "wine glasses", "asteroid belt", "race car", "black cat", "sky",
            "crown of thorns", "전라도", "장갑차", "모자이크", "전성기", "다음부터", "에이프릴", "노출 시간",
            "裸足", "カップヌードル", "谷間の村", "スーツケース", "テニスコート", "ベストショット",
            "エッチング", "パチンコ", "<lora:dress_style:0.8>",
        )),
    ],
)  # fmt: skip
def test_what_the_default_lists_take(defaults: Filters, tag: str, dropped_by: str) -> None:
    lists = {"sex": defaults.sex, "clothes": defaults.clothes, "etc": defaults.etc}
    assert [name for name, word_list in lists.items() if word_list.matches(words_of(tag))] == (
        [dropped_by] if dropped_by else []
    )


@pytest.mark.skipif(not SAMPLES.is_file(), reason="CIVITAI_SAMPLES names no folder of recorded answers")
def test_real_prompts_pass_the_default_lists(defaults: Filters) -> None:
    found = [each["prompt"] for each in json.loads(SAMPLES.read_text("utf-8"))]
    assert len(found) == 600
    for raw in found:
        bare, clothed = defaults.apply(raw)
        words = [words_of(text)[1:-1] for text in (bare, clothed, raw)]
        assert all(is_part(short, long) for short, long in combinations(words, 2))
        assert defaults.apply(bare) == (bare, bare)
        assert defaults.apply(clothed) == (bare, clothed)
        assert not re.search(r"\bmasterpiece\b", bare, re.I)
        assert [name for name in tags(raw) if name[0] == "<"] == [name for name in tags(bare) if name[0] == "<"]


# --- By the command ------------------------------------------------------------------------------


@pytest.fixture
def word_lists(tmp_path: Path) -> Path:
    """Write three small lists into the current folder."""
    folder = tmp_path / "filters"
    folder.mkdir()
    for name, words in (("sex", "nude"), ("clothes", "dress\n드레스"), ("etc", "masterpiece")):
        (folder / f"Filter_{name}.txt").write_text(f"# comment\n{words}\n", "utf-8")
    return folder


@pytest.fixture
def prompted(site: FakeCivitai) -> FakeModel:
    version = add_model(site.world, "lantern")
    version.add_image(meta={"prompt": PROMPT})
    return version.model


@pytest.mark.usefixtures("prompted", "word_lists")
def test_prompts_are_cleaned_by_the_lists_of_the_current_folder(run: Runner, out: Path) -> None:
    run("10001")
    facts = read_json(one_file(out, "40001.txt"))
    assert facts["raw_prompt"] == PROMPT
    assert facts["prompt"] == "1girl, lantern"
    assert facts["prompt_with_clothes"] == "1girl, red dress, lantern"


@pytest.mark.usefixtures("prompted")
def test_editing_a_list_rewrites_the_prompts_without_a_request_for_them(
    run: Runner, site: FakeCivitai, out: Path, word_lists: Path, capsys: Captured
) -> None:
    run("10001")
    (word_lists / "Filter_etc.txt").write_bytes("랜턴\nlantern # 등\n".encode("cp949"))
    site.forget()
    assert run("10001") == 0
    assert not site.requests
    assert read_json(one_file(out, "40001.txt"))["prompt"] == "masterpiece, 1girl"
    assert "prompt files rewritten: 1" in capsys.readouterr().err
    (word_lists / "Filter_etc.txt").write_text("=1girl")
    site.forget()
    assert run("--refilter") == 0
    assert not site.requests
    assert read_json(one_file(out, "40001.txt"))["prompt"] == "masterpiece, lantern"
    before = files_under(out)
    assert run("--refilter") == 0
    assert files_under(out) == before


@pytest.mark.usefixtures("prompted")
def test_a_missing_list_is_said_once_and_refilter_needs_a_folder(
    run: Runner, word_lists: Path, capsys: Captured, tmp_path: Path
) -> None:
    assert run("--refilter") == 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Filter_sex.txt").write_text("lantern")
    assert run("10001", "--filters", str(elsewhere)) == 0
    shown = capsys.readouterr().err
    assert shown.count("Filter_clothes.txt") == shown.count("Filter_etc.txt") == 1
