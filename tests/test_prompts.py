"""An entry of a word list drops what it should from a prompt and nothing else, in three languages."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_downloader.core.prompts import Filters, split_prompt
from civitai_downloader.core.wordlists import parse_word_list, words_of
from tests.conftest import examples

WORDS = "dress red_dress smile 1girl BREAK dresser 赤いドレス 드레스 :d \\( \\) <3 8k".split()
SIGNS = ["(", ")", "[", "]", "{", "}", ":1.2", "|", ":", ":0.5]", ",", ", ", "，", "、", "\n", "\r\n", " "]
PHRASES = [" a red dress", " in a dress", " and ", " of the ", " standing", " woman ", ". "]
PIECES = [*WORDS, "<lora:dress:1>", *SIGNS, *PHRASES]
# Some are sentences, some are rows of tags.
pieces = st.lists(st.sampled_from(PIECES), max_size=25)
prompts = pieces.map("".join) | pieces.map(" ".join)
entries = st.lists(st.sampled_from([*WORDS, "=dress", "=smile", "<lora", "ドレス", "a dress"]), max_size=5).map(
    "\n".join
)
any_text = st.text(st.characters() | st.sampled_from("(),[]{}<>\\:=#\n"), max_size=80)


def tags(prompt: str) -> list[str]:
    return split_prompt(prompt).parts[1::2]


def without(entries: str, prompt: str) -> str:
    """Return what is left of the prompt if these are the only entries."""
    return Filters(etc=parse_word_list(entries)).apply(prompt)[0]


def is_part(short: Iterable[str], long: Iterable[str]) -> bool:
    """Return whether the things are among the others, in the same order."""
    rest = iter(long)
    return all(each in rest for each in short)


def brackets(prompt: str) -> list[str]:
    """Return the brackets of a prompt, those behind a backslash with it; names in angle brackets have none."""
    without_names = re.sub(r"<[^\W\d_][^<>\n\r]*>", "", prompt)
    return [each for each in re.findall(r"\\\\|\\?[()\[\]{}]", without_names) if each != "\\\\"]


def loose_brackets(prompt: str) -> dict[str, tuple[int, int]]:
    """Return how many brackets of each kind are opened or closed in vain."""
    found = {}
    for kind in ("()", "[]", "{}", "\\()", "\\[]", "\\{}"):
        opens = closes = 0
        for each in brackets(prompt):
            if each == kind[:-1]:
                opens += 1
            elif each == kind[:-2] + kind[-1]:
                opens, closes = max(0, opens - 1), closes + (opens == 0)
        found[kind] = opens, closes
    return found


def misplaced_brackets(prompt: str) -> int:
    """Return how many brackets have no partner if they may not cross."""
    opened: list[str] = []
    wrong = 0
    for each in brackets(prompt):
        if each[-1] in "([{":
            opened.append(each[:-1] + {"(": ")", "[": "]", "{": "}"}[each[-1]])
        elif opened and opened[-1] == each:
            opened.pop()
        else:
            wrong += 1
    return wrong + len(opened)


def hard_breaks(prompt: str) -> list[str]:
    return re.findall(r"[\n\r\v\f\x85\u2028\u2029]|BREAK", "".join(split_prompt(prompt).parts[::2]))


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
        ("(a b:1.2), [c], {e f}", ["(a b:1.2)", "[c]", "{e f}"]),
        ("(a, b:1.2), [c, d], {e, f}", ["a", "b", "c", "d", "e", "f"]),
        ("((a, [b, c]), (d)), e", ["a", "b", "c", "(d)", "e"]),
        ("（a, b：1.2）, c", ["a", "b", "c"]),
        ("(a:1.2, b:0.8 : .9 ), (:3, :d, x :1.5)", ["a:1.2", "b:0.8", ":3", ":d", "x"]),
        ("red (dress, hat:1.2) girl, b", ["red", "dress", "hat", "girl", "b"]),
        ("red (dress:1.2) girl, b", ["red (dress:1.2) girl", "b"]),
        ("[a|b], {c|d e}, (f|g:1.1), h|i", ["a", "b", "c", "d e", "f", "g", "h|i"]),
        ("[a:b:0.5], [:c:3], [d::.5], [e:0.5], [f:g]", ["a", "b", "c", "d", "[e:0.5]", "[f:g]"]),
        ("[(a:1.2):(b, c:1.1):0.5], d", ["(a:1.2)", "b", "c", "d"]),
        ("<lora:a, b:1>, c", ["<lora:a, b:1>", "c"]),
        ("a<lora:x (y:1>b <lyco:z:1>", ["a", "<lora:x (y:1>", "b", "<lyco:z:1>"]),
        ("(a <lora:x:1>, b), c", ["a", "<lora:x:1>", "b", "c"]),
        ("ganyu \\(genshin impact\\), a", ["ganyu \\(genshin impact\\)", "a"]),
        ("\\(a, b\\), c", ["a", "b", "c"]),
        ("\\(a, b), c", ["\\(a", "b)", "c"]),
        ("\\\\(a, b), c", ["\\\\", "a", "b", "c"]),
        ("(a, b, c", ["(a", "b", "c"]),
        ("a), b, c", ["a)", "b", "c"]),
        ("((a, b), c", ["(", "a", "b", "c"]),
        ("((a, b))), c", ["a", "b", ")", "c"]),
        ("(a, {b, c), d", ["a", "{b", "c", "d"]),
        ("(a, {b, c), d}", ["a", "b", "c", "d"]),
        ("(a}, b, (c, d)", ["(a}", "b", "c", "d"]),
        ("(a, b\nc, d), e", ["a", "b", "c", "d", "e"]),
        ("(a BREAK b), c", ["a", "b", "c"]),
        (">_<, a, :>", [">_<", "a", ":>"]),
        ("x < y, a > b", ["x < y", "a > b"]),
        ("<lora:x, a, b", ["<lora:x", "a", "b"]),
        (":(, a, b", [":(", "a", "b"]),
    ],
)
def test_tags(prompt: str, expected: list[str]) -> None:
    assert tags(prompt) == expected
    assert "".join(split_prompt(prompt).parts) == prompt


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
        ("(red dress, smile:1.2), (b, c:0.9)", "(smile:1.2), (b, c:0.9)"),
        ("1girl、赤いdress、笑顔", "1girl、笑顔"),
        ("1girl，dress，笑顔", "1girl，笑顔"),
        ("a\nred dress\nb", "a\n\nb"),
        ("a,\nred dress,\nb", "a,\n\nb"),
        ("a, red dress\nb", "a\nb"),
        ("a, red dress,\nb", "a,\nb"),
        ("a,\nred dress, b", "a,\nb"),
        ("a,\r\ndress,\r\nb", "a,\r\n\r\nb"),
        ("a,\nred dress", "a"),
        ("red dress,\nb", "b"),
        ("\nred dress,\nb\n", "\nb\n"),
        (" red dress, b", " b"),
        ("a, dress BREAK b", "a BREAK b"),
        ("a BREAK dress, b", "a BREAK b"),
        ("a BREAK dress BREAK b", "a BREAK  BREAK b"),
        ("a,\nBREAK\ndress,\nBREAK\nb", "a,\nBREAK\n\nBREAK\nb"),
        ("a BREAK(dress), b", "a BREAK b"),
        ("a, (dress)BREAK b", "a BREAK b"),
        ("a BREAK(dress)BREAK b", "a BREAK BREAK b"),
        ("dress BREAK b", "b"),
        ("a BREAK dress", "a"),
        ("BREAK dress BREAK b", "BREAK b"),
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


# --- Anything at all -----------------------------------------------------------------------------


@settings(max_examples=examples(5))
@given(entries, prompts)
def test_filtering_only_takes_away(words: str, prompt: str) -> None:
    left = without(words, prompt)
    assert is_part(hard_breaks(left), hard_breaks(prompt))
    assert is_part([each for each in left if each not in ", "], prompt)
    assert without(words, left) == left


@settings(max_examples=examples(5))
@given(entries, prompts)
def test_a_cleaned_prompt_begins_and_ends_like_the_raw_one(words: str, prompt: str) -> None:
    left = without(words, prompt)
    for edge in (r"\A[\s,，、]*", r"[\s,，、]*\Z"):
        assert len(re.findall(edge, left)[0]) <= len(re.findall(edge, prompt)[0]) or not left


@settings(max_examples=examples(10))
@given(entries, prompts)
def test_no_bracket_loses_its_partner(words: str, prompt: str) -> None:
    left = without(words, prompt)
    for kind, (opens, closes) in loose_brackets(left).items():
        assert opens <= loose_brackets(prompt)[kind][0]
        assert closes <= loose_brackets(prompt)[kind][1]
    if not misplaced_brackets(prompt):
        assert not misplaced_brackets(left)


@settings(max_examples=examples(3))
@given(any_text, any_text)
def test_any_text_can_be_list_and_prompt(words: str, prompt: str) -> None:
    word_list, left = parse_word_list(words), without(words, prompt)
    assert "".join(split_prompt(prompt).parts) == prompt
    if not any(word_list.matches(words_of(tag)) for tag in tags(prompt)) and not re.search(r"[(\[{（［｛]", prompt):
        assert left == prompt


@pytest.mark.parametrize(
    "unit",
    ["(", ")", "([{", "()", "(a,", "a),", "(dress,", "dress)", "[dress|", "[a:dress:", "(dress) ", "({[",
     "a dress (b, c) ", "<a", "<lora:", "\\", ",", "\n", ":", ":1", "a:1", "dress ", "dress,",
     "dress\n", "x BREAK dress BREAK ", "\u0315\u0300", "赤", "\ud800", "\x00\x1b", "=", "-", " "],
)  # fmt: skip
def test_the_time_grows_with_the_length_only(unit: str) -> None:
    def seconds(size: int) -> float:
        prompt = "a " + unit * (size // len(unit))
        gc.disable()  # it looks at what other tests have left as well
        start = time.process_time()
        without("dress\nred dress", prompt)
        gc.enable()
        return time.process_time() - start

    # Sixteen times the length takes sixteen times as long; 256 times as long if something is quadratic.
    # On a machine that is busy with other things, one measurement may be wrong, but not three.
    assert any(seconds(1 << 16) < 80 * max(seconds(1 << 12), 0.005) for _ in range(3))
