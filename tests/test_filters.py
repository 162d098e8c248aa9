"""The word lists: what an entry drops and what stays, in three languages; and the lists that come with the program."""

from __future__ import annotations

import json
import os
import re
import time
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_downloader.core.prompts import WORD_LISTS, Filters, parse_word_list, split_prompt, words_of

DEFAULTS = Path(__file__).parents[1] / "filters"
SAMPLES = Path(os.environ.get("CIVITAI_SAMPLES", "no-samples")) / "prompts" / "2023-prompts.json"


def without(entries: str, prompt: str) -> str:
    """The prompt when these are the only entries."""
    return Filters(etc=parse_word_list(entries)).apply(prompt)[0]


def tags(prompt: str) -> list[str]:
    return split_prompt(prompt)[1::2]


# --- What an entry matches -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "tag"),
    [
        ("dress", "dress"),
        ("dress", "red dress"),
        ("dress", "(long_dress:1.3)"),
        ("DRESS", "Red Dress"),
        ("dress", "((dress))"),
        ("dress", "[[red dress]]"),
        ("dress", "{{dress}}"),
        ("dress", "[dress:0.4]"),
        ("dress", "[shirt:dress:0.4]"),
        ("dress", "shirt|dress"),
        ("dress", "dress-up doll"),
        ("dress", "\\(red dress\\)"),
        ("dress", "(red dress, smile:1.2)"),
        ("dress", "(smile, (red dress:1.1), sky)"),
        ("dress", "ｄｒｅｓｓ"),
        ("dress", "a girl in a dress."),
        ("dress", "<lora:dress:1"),
        ("red dress", "her_red_dress"),
        ("red dress", "red (dress:1.2)"),
        ("see-through", "see through shirt"),
        ("t-shirt", "white T-shirt"),
        ("score_9", "score_9_up"),
        ("8k", "unity 8k wallpaper"),
        (":d", ":d"),
        (":3", "(:3:1.2)"),
        ("f/1.8", "85mm f/1.8"),
        ("été", "E\u0301te\u0301"),
        ("straße", "STRASSE"),
        ("=dress", "dress"),
        ("=dress", " (dress:1.2)"),
        ("=dress", "[dress:0.5]"),
        ("=dress", "[:dress:0.5]"),
        ("= dress", "{{DRESS}}"),
        ("＝dress", "dress"),
        ("=long dress", "long_dress"),
        ("<lora", "<lora:anything:0.8>"),
        ("<lora", "<LoRA:Anything:0.8>"),
        ("<lora", "(smile <lora:x:1>:1.2)"),
        ("<lora:dress", "<lora:dress_style:0.8>"),
        ("<lora:dress_style", "<lora:dress_style:0.8>"),
        ("<lora:dress_style:1>", "<lora:dress_style:0.8>"),
        ("=<lora:dress_style>", "<lora:dress_style:0.8>"),
        ("<lyco", "<lyco:x:1>"),
        ("드레스", "드레스"),
        ("드레스", "빨간드레스"),
        ("드레스", "빨간 드레스를"),
        ("빨간 드레스", "(긴 빨간_드레스:1.2)"),
        ("드레스", "\u1103\u1173\u1105\u1166\u1109\u1173"),
        ("=드레스", "(드레스:1.2)"),
        ("ドレス", "赤いドレス"),
        ("ドレス", "赤いﾄﾞﾚｽを着た少女"),
        ("赤いドレス", "長い赤いドレス"),
        ("制服", "高校の制服姿"),
        ("=制服", "（制服：1.2）"),
        ("連衣裙", "紅色連衣裙"),
        ("ชุด", "ชุดแดง"),
        ("赤いdress", "長い赤いdress"),
        ("dress", "赤いdress"),
        ("🎀", "girl with 🎀"),
    ],
)
def test_an_entry_matches(entry: str, tag: str) -> None:
    assert parse_word_list(entry).matches(words_of(tag))


@pytest.mark.parametrize(
    ("entry", "tag"),
    [
        ("dress", "dresser"),
        ("dress", "headdress"),
        ("dress", "dresses"),
        ("dress", "(undressed:1.2)"),
        ("dress", "<lora:dress:0.8>"),
        ("dress", "(smile <lora:dress:0.8>)"),
        ("lora", "<lora:x:1>"),
        ("red dress", "red long dress"),
        ("red dress", "dress red"),
        ("red dress", "(red, dress)"),
        ("red dress", "[red:dress:0.5]"),
        ("girl", "1girl"),
        ("8k", "18k gold"),
        ("score_9", "score_90"),
        (":d", "d"),
        ("1.2", "(smile:1.2)"),
        ("=dress", "red dress"),
        ("=dress", "dress shirt"),
        ("=dress", "(dress, smile)"),
        ("=lora", "<lora>"),
        ("<lora", "lora"),
        ("<lora", "<lyco:x:1>"),
        ("<lora", "<lorax:x:1>"),
        ("<lora:name", "<lora:name2:1>"),
        ("<lora:name", "<lora:my_name:1>"),
        ("<dress", "<lora:dress:1>"),
        ("=<lora:dress", "<lora:dress_style:1>"),
        ("=드레스", "빨간드레스"),
        ("드레스", "드 레스"),
        ("빨간 드레스", "빨간드레스"),
        ("=ドレス", "赤いドレス"),
        ("ドレス", "ドライフラワー"),
        ("=裸", "裸足"),
        ("dress", ""),
        ("", "dress"),
        ("# dress", "dress"),
        ("=", "="),
        ("()", "()"),
    ],
)
def test_an_entry_does_not_match(entry: str, tag: str) -> None:
    assert not parse_word_list(entry).matches(words_of(tag))


# --- How a prompt is split -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", []),
        (" ,, \n", []),
        ("a, b,c", ["a", "b", "c"]),
        ("1girl，笑顔、空", ["1girl", "笑顔", "空"]),
        ("a\nb\r\nc\u2028d", ["a", "b", "c", "d"]),
        ("a BREAK b, BREAK\nc", ["a", "b", "c"]),
        ("a BREAKFAST, break, BREAKs", ["a BREAKFAST", "break", "BREAKs"]),
        ("(a, b:1.2), [c, d], {e, f}", ["(a, b:1.2)", "[c, d]", "{e, f}"]),
        ("((a, [b, c]), d), e", ["((a, [b, c]), d)", "e"]),
        ("（a, b：1.2）, c", ["（a, b：1.2）", "c"]),
        ("red (dress, hat:1.2) girl, b", ["red (dress, hat:1.2) girl", "b"]),
        ("<lora:a, b:1>, c", ["<lora:a, b:1>", "c"]),
        ("a<lora:x (y:1>b <lyco:z:1>", ["a", "<lora:x (y:1>", "b", "<lyco:z:1>"]),
        ("(a <lora:x:1>, b), c", ["(a <lora:x:1>, b)", "c"]),
        ("ganyu \\(genshin impact\\), a", ["ganyu \\(genshin impact\\)", "a"]),
        ("\\(a, b\\), c", ["\\(a", "b\\)", "c"]),
        ("\\\\(a, b), c", ["\\\\(a, b)", "c"]),
        ("(a, b, c", ["(a", "b", "c"]),
        ("a), b, c", ["a)", "b", "c"]),
        ("((a, b), c", ["((a, b)", "c"]),
        ("((a, b))), c", ["((a, b)))", "c"]),
        ("(a, {b, c), d", ["(a, {b, c)", "d"]),
        ("(a}, b, (c, d)", ["(a}", "b", "(c, d)"]),
        ("(a, b\nc, d), e", ["(a", "b", "c", "d)", "e"]),
        ("(a BREAK b), c", ["(a", "b)", "c"]),
        (">_<, a, :>", [">_<", "a", ":>"]),
        ("x < y, a > b", ["x < y", "a > b"]),
        ("<lora:x, a, b", ["<lora:x", "a", "b"]),
        (":(, a, b", [":(", "a", "b"]),
    ],
)
def test_tags(prompt: str, expected: list[str]) -> None:
    assert tags(prompt) == expected
    assert "".join(split_prompt(prompt)) == prompt


# --- What is left --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("a, red dress, b", "a, b"),
        ("red dress, b", "b"),
        ("a, red dress", "a"),
        ("red dress", ""),
        ("red dress,", ""),
        ("a, dress,", "a,"),
        ("a,dress , b", "a,b"),
        ("a, dress, (dress:1.2), long dress, b", "a, b"),
        ("a,, dress,, b", "a,, b"),
        ("dress, (masterpiece:1.2),  b ,c", "(masterpiece:1.2),  b ,c"),
        ("(red dress, smile:1.2), (b, c:0.9)", "(b, c:0.9)"),
        ("1girl、赤いdress、笑顔", "1girl、笑顔"),
        ("1girl，dress，笑顔", "1girl，笑顔"),
        ("a\nred dress\nb", "a\n\nb"),
        ("a,\nred dress,\nb", "a,\n\nb"),
        ("a, red dress\nb", "a\nb"),
        ("a, red dress,\nb", "a,\nb"),
        ("a,\nred dress, b", "a,\nb"),
        ("a,\r\ndress,\r\nb", "a,\r\n\r\nb"),
        ("a,\nred dress", "a\n"),
        ("red dress,\nb", "\nb"),
        ("a, dress BREAK b", "a BREAK b"),
        ("a BREAK dress, b", "a BREAK b"),
        ("a BREAK dress BREAK b", "a BREAK  BREAK b"),
        ("a,\nBREAK\ndress,\nBREAK\nb", "a,\nBREAK\n\nBREAK\nb"),
        ("a BREAK(dress), b", "a BREAK b"),
        ("a, (dress)BREAK b", "a BREAK b"),
        ("a BREAK(dress)BREAK b", "a BREAK BREAK b"),
        ("dress BREAK b", "BREAK b"),
        ("a BREAK dress", "a BREAK"),
        ("dress\nBREAK dress", ""),
        ("white dress <lora:dress:0.8>, b", "<lora:dress:0.8>, b"),
        ("a, dress<lora:x:1>", "a, <lora:x:1>"),
        ("<lora:x:1>dress, b", "<lora:x:1>, b"),
        ("<lora:x:1> dress <lora:y:1>", "<lora:x:1>, <lora:y:1>"),
        ("(dress, a\nb, c", "a\nb, c"),
        (" a , b ,", " a , b ,"),
        ("dresser, headdress", "dresser, headdress"),
    ],
)
def test_dropping_dress(prompt: str, left: str) -> None:
    assert without("dress", prompt) == left
    assert without("dress", left) == left


def test_words_on_both_sides_of_a_dropped_lora_stay_two_tags() -> None:
    assert without("<lora", "red<lora:x:1> dress") == "red, dress"


def test_only_the_first_prompt_loses_its_clothes(tmp_path: Path) -> None:
    for name, text in zip(WORD_LISTS, ("naked", "dress", "masterpiece"), strict=True):
        (tmp_path / f"Filter_{name}.txt").write_text(text, "utf-8")
    filters = Filters.read(tmp_path)
    assert filters.problems == ()
    assert filters.apply("masterpiece, naked, red dress, sky") == ("sky", "red dress, sky")


# --- Lists ---------------------------------------------------------------------------------------

LINES = "# 주석, 설명 (comment)\r\n드레스\r\n\r\nred_dress   # 뒤의 주석\r\n=옷,\r\n"


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
    (tmp_path / "Filter_etc.txt").mkdir()
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


def test_fifty_thousand_entries(tmp_path: Path) -> None:
    words = [f"word{number} {'x' * (number % 7)}" for number in range(50_000)]
    (tmp_path / "Filter_etc.txt").write_text("\n".join(words), "utf-8")
    filters = Filters.read(tmp_path)
    assert len(filters.etc.entries) == 50_000
    assert filters.apply("a, (word49999 xxxxx:1.2), word49999, b")[0] == "a, word49999, b"


# --- Anything at all -----------------------------------------------------------------------------

WORDS = "dress red_dress smile 1girl BREAK dresser 赤いドレス 드레스 :d \\( \\) <3 8k".split()
PIECES = [*WORDS, "<lora:dress:1>", "(", ")", "[", "]", "{", "}", ":1.2", ",", ", ", "，", "、", "\n", "\r\n", " "]
prompts = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
entries = st.lists(st.sampled_from([*WORDS, "=dress", "=smile", "<lora", "ドレス"]), max_size=5).map("\n".join)
any_text = st.text(st.characters() | st.sampled_from("(),[]{}<>\\:=#\n"), max_size=80)


def hard_breaks(prompt: str) -> list[str]:
    return re.findall(r"[\n\r\v\f\x85\u2028\u2029]|BREAK", "".join(split_prompt(prompt)[::2]))


@settings(max_examples=500)
@given(entries, prompts)
def test_filtering_only_takes_away(words: str, prompt: str) -> None:
    word_list, left = parse_word_list(words), without(words, prompt)
    assert tags(left) == [tag for tag in tags(prompt) if not word_list.matches(words_of(tag))]
    assert hard_breaks(left) == (hard_breaks(prompt) if tags(left) or not tags(prompt) else [])
    assert without(words, left) == left


@settings(max_examples=500)
@given(any_text, any_text)
def test_any_text_can_be_list_and_prompt(words: str, prompt: str) -> None:
    word_list, left = parse_word_list(words), without(words, prompt)
    assert "".join(split_prompt(prompt)) == prompt
    if not any(word_list.matches(words_of(tag)) for tag in tags(prompt)):
        assert left == prompt


@pytest.mark.parametrize(
    "unit",
    ["(", ")", "([{", "()", "(a,", "a),", "<a", "<lora:", "\\", ",", "\n", ":", ":1", "a:1", "dress ", "dress,",
     "dress\n", "x BREAK dress BREAK ", "\u0315\u0300", "赤", "\ud800", "\x00\x1b", "=", "-", " "],
)  # fmt: skip
def test_the_time_grows_with_the_length_only(unit: str) -> None:
    def seconds(size: int) -> float:
        prompt = "a " + unit * (size // len(unit))
        start = time.process_time()
        without("dress\nred dress", prompt)
        return time.process_time() - start

    # Sixteen times the length takes sixteen times as long; 256 times as long if something is quadratic.
    assert seconds(1 << 18) < 80 * max(seconds(1 << 14), 0.005)


# --- The lists that come with the program ----------------------------------------------------------


@pytest.fixture(scope="module")
def defaults() -> Filters:
    return Filters.read(DEFAULTS)


@pytest.mark.parametrize("name", WORD_LISTS)
def test_a_default_list_says_each_thing_once(name: str) -> None:
    text = (DEFAULTS / f"Filter_{name}.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(parse_word_list(text).entries)
    for line in lines:
        bare = line.removeprefix("=")
        others = parse_word_list("\n".join(other for other in lines if other != line))
        assert not others.matches(words_of(bare)), f"{line} is covered by another entry"


@pytest.mark.parametrize("name", WORD_LISTS)
def test_a_default_list_is_explained_in_three_languages(name: str) -> None:
    head = (DEFAULTS / f"Filter_{name}.txt").read_text("utf-8").partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for sign in ("One entry a line", "한 줄에 항목 하나", "1 行に 1 項目"):
        assert sign in head
    assert head.count("=dress") == head.count("<lora:name") == 3


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
        assert all(is_part(short, long) for short, long in combinations([tags(bare), tags(clothed), tags(raw)], 2))
        assert defaults.apply(bare) == (bare, bare)
        assert defaults.apply(clothed) == (bare, clothed)
        assert not re.search(r"\bmasterpiece\b", bare, re.I)
        assert [name for name in tags(raw) if name[0] == "<"] == [name for name in tags(bare) if name[0] == "<"]


def is_part(short: list[str], long: list[str]) -> bool:
    """Whether the tags stand in the other list in the same order."""
    rest = iter(long)
    return all(tag in rest for tag in short)
