"""A sentence loses the part that an entry names, and a group in brackets loses members, not itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_downloader.core.prompts import Filters
from civitai_downloader.core.sentences import is_sentence
from civitai_downloader.core.wordlists import count_words, parse_word_list, placed_words, words_of
from tests.conftest import examples
from tests.test_prompts import any_text, loose_brackets, misplaced_brackets, prompts, without

DEFAULTS = Path(__file__).parents[1] / "filters"
SAMPLES = Path(os.environ.get("CIVITAI_SAMPLES", "no-samples")) / "prompts" / "2023-prompts.json"


# --- Sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a woman in a red dress", 6),
        ("hair_between_eyes (long:1.2), 8k.", 5),
        ("woman's 1.5", 4),
        ("赤いドレスを着た少女", 5),
        ("빨간 드레스를 입은 소녀", 4),
        ("ชุดแดง a", 4),
        ("<3 :d &", 2),
    ],
)
def test_words_are_counted_as_a_person_would(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("entries", "prompt", "left"),
    [
        # The phrase goes with its article and preposition.
        ("top", "photo of a woman in a purple top, standing", "photo of a woman, standing"),
        ("dress", "a woman in a long white silk dress looks away", "a woman in a long white silk looks away"),
        ("dress", "a woman in a long white silk dress near a lake", "a woman near a lake"),
        ("dress", "portrait of a tall woman wearing red dress and smiling", "portrait of a tall woman wearing smiling"),
        ("dress", "a woman out of the red dress standing in the rain", "a woman standing in the rain"),
        ("dress", "the girl has a red dress. She smiles at the cat", "the girl has. She smiles at the cat"),
        # What is tied to it by "and", "or" or "of" stays tied.
        ("dress", "a woman in a red dress and a hat near a lake", "a woman in a hat near a lake"),
        ("dress", "a woman in a hat and a red dress near a lake", "a woman in a hat near a lake"),
        ("dress\nhat", "a woman in a red dress and a hat near a lake", "a woman near a lake"),
        ("masterpiece", "a masterpiece of a cat sitting on the old roof", "a cat sitting on the old roof"),
        ("masterpiece", "masterpiece and photo of a cat sitting on the roof", "photo of a cat sitting on the roof"),
        # Where words follow in the phrase, only the words of the entry go.
        ("nude", "photo of a beautiful nude woman lying on the bed", "photo of a beautiful woman lying on the bed"),
        ("nude", "a nude woman lying on the bed in the morning", "a woman lying on the bed in the morning"),
        ("8k", "an 8k photo of a cat that sits on the roof", "an photo of a cat that sits on the roof"),
        # Where nothing shows where the phrase begins, only the words of the entry go.
        ("dress", "shiny sissy luxury latex dress for a big doll", "shiny sissy luxury latex for a big doll"),
        ("dress", "woman holding dress near the old castle by night", "woman holding near the old castle by night"),
        ("best quality\nmasterpiece", "masterpiece best quality 1girl smile beach sunset", "1girl smile beach sunset"),
        # A sign between sentences goes with what stood between two of them.
        ("masterpiece", "A cat sits on the roof. Masterpiece. It sleeps.", "A cat sits on the roof. It sleeps."),
        ("masterpiece", "Masterpiece. A cat sits on the roof and sleeps.", "A cat sits on the roof and sleeps."),
        # An entry of function words takes nothing else along.
        ("wearing", "a cat on the roof wearing a hat and a scarf", "a cat on the roof a hat and a scarf"),
        # Words that stand together only now are an entry as well.
        ("a b\nx y", "a x y b is what the old cat said", "is what the old cat said"),
        # If phrases were all that it tells, only the words of entries go; if those were all, it goes.
        ("dress", "a red dress and a blue dress and a big dress", "a red and a blue and a big"),
        ("dress", "a dress and a dress and a dress of the dress", ""),
        # Scripts without blanks, and Korean, where the particles belong to the word.
        ("ドレス", "赤いドレスを着た少女が公園で微笑んでいる写真", "赤い着た少女が公園で微笑んでいる写真"),
        ("连衣裙", "一个穿着红色连衣裙的女孩站在花园里微笑着", "一个穿着红色的女孩站在花园里微笑着"),
        ("드레스", "빨간 드레스를 입은 소녀가 공원에서 웃고 있다", "빨간 입은 소녀가 공원에서 웃고 있다"),
        ("빨간 드레스", "빨간 드레스를 입은 소녀가 공원에서 웃고 있다", "입은 소녀가 공원에서 웃고 있다"),
        ("드레스", "소녀가 입은 빨간드레스는 공원에서 아주 밝게 빛난다", "소녀가 입은 공원에서 아주 밝게 빛난다"),
        ("ชุด", "ผู้หญิงสวมชุดสีแดงยืนอยู่ในสวน", "ผู้หญิงสวมสีแดงยืนอยู่ในสวน"),
        # A whole tag is a whole tag.
        ("=a cat sits on the roof and sleeps", "a cat sits on the roof and sleeps, b", "b"),
        ("=cat", "a cat sits on the roof and sleeps, cat", "a cat sits on the roof and sleeps"),
        # Brackets in a sentence.
        ("dress", "a woman (wearing a red dress:1.2) standing in the rain", "a woman standing in the rain"),
        ("dress", "cat (in a dress and a hat that is blue:1.2) here", "cat (in a hat that is blue:1.2) here"),
        ("red dress", "a woman in a red (dress:1.2) walking in the rain", "a woman walking in the rain"),
        ("dress", "a woman with long hair and a ((red dress)) in rain", "a woman with long hair in rain"),
        ("dress", "((a woman in a red dress walking in the rain:1.2)), b", "((a woman walking in the rain:1.2)), b"),
        ("=8k\n=hdr", "a cat on the roof (8k) (sharp) (HDR:1.1) (bokeh)", "a cat on the roof (sharp) (bokeh)"),
        ("=8k\nhdr", "(8k) (sharp) (HDR:1.1)", "(sharp)"),
        ("photo", "photo of a cat (in rain, now:1.2) on a red roof", "a cat (in rain, now:1.2) on a red roof"),
    ],
)  # fmt: skip
def test_a_sentence_loses_only_the_part_that_an_entry_names(entries: str, prompt: str, left: str) -> None:
    assert without(entries, prompt) == left
    assert without(entries, left) == left


def test_six_words_are_a_tag_and_seven_a_sentence() -> None:
    assert without("dress", "a woman in a red dress, b") == "b"
    assert without("dress", "a tall woman in a red dress, b") == "a tall woman, b"
    assert not is_sentence("extremely detailed CG unity 8k wallpaper")


@given(any_text | prompts)
def test_words_have_the_same_spelling_with_and_without_their_places(text: str) -> None:
    plain = text.replace("<", " ")
    assert [word.text for word in placed_words(plain)] == list(words_of(plain)[1:-1])
    ends = [0, *(end for word in placed_words(plain) for end in (word.start, word.end))]
    assert ends == sorted(ends)


# --- Groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "prompt", "left"),
    [
        ("8k\n4k\nintricate", "(8k, 4k, intricate)", ""),
        ("=8k\n=4k\n=intricate", "a, (8k, 4k, intricate:1.3), b", "a, b"),
        ("8k", "(8k, cat, dog:1.2), b", "(cat, dog:1.2), b"),
        ("8k", "(cat, 8k:1.2), b", "(cat:1.2), b"),
        ("8k", "( cat , 8k :1.2), b", "( cat :1.2), b"),
        ("8k", "（cat、8k：1.2）、b", "（cat：1.2）、b"),
        ("8k", "((8k, cat), dog:1.2)", "((cat), dog:1.2)"),
        ("8k\ncat", "((8k, cat:0.9), dog:1.2)", "(dog:1.2)"),
        ("8k\ncat", "[x, {y, (8k, [cat])}]", "[x, {y}]"),
        ("8k", "((((8k, cat))))", "((((cat))))"),
        ("dress", "holding sword(red dress, hat:1.2)", "holding sword(hat:1.2)"),
        ("sword", "holding sword(red dress, hat:1.2)", "(red dress, hat:1.2)"),
        ("dress\nhat", "red (dress, hat:1.2) girl", "red, girl"),
        ("cat\n8k", "((cat, 8k))), b", "b"),
        # Alternatives.
        ("dress", "[cat|red dress], b", "[cat|], b"),
        ("dress", "[dress|cat|dog]", "[|cat|dog]"),
        ("dress\ncat", "a, [cat|dress], b", "a, b"),
        ("dress", "{red dress, hat|cat}", "{hat|cat}"),
        ("dress", "[cat:dress:0.5]", "[cat::0.5]"),
        ("dress", "[red dress, hat:(dress:1.1), cat:12]", "[hat:cat:12]"),
        ("dress\ncat", "[cat:dress:0.5], b", "b"),
        ("dress", "[dress:0.5], [dress::0.5], [:dress:0.5], b", "b"),
        ("dress", "cat|dress, b", "b"),
        # Names.
        ("dress", "(red dress <lora:dress:1>:1.2), b", "(<lora:dress:1>:1.2), b"),
        ("<lora", "(red dress <lora:dress:1>:1.2), b", "(red dress:1.2), b"),
        ("dress\n<lora", "(red dress <lora:dress:1>:1.2), b", "b"),
        ("dress\n=8k", "<lora:a cat in a dress (8k) by a lake:1>, b", "<lora:a cat in a dress (8k) by a lake:1>, b"),
        ("<lora", "<lora:a cat in a dress (8k) by a lake:1>, b", "b"),
        # Brackets across line breaks and BREAK.
        ("dress", "(cat,\nred dress), b", "(cat\n), b"),
        ("dress", "a, (dress,\ncat), b", "a, (\ncat), b"),
        ("dress", "(dress,\ncat), b", "(cat), b"),
        ("dress", "a, (cat BREAK dress) BREAK b", "a, (cat BREAK) BREAK b"),
        ("dress\ncat", "a, (cat,\ndress), b", "a,\nb"),
        ("dress\ncat", "(cat,\ndress)\nb", "b"),
        # Escaped brackets, and those that cross.
        ("dress", "ganyu \\(genshin, red dress\\), b", "ganyu \\(genshin\\), b"),
        ("dress", "ganyu \\(dress\\), b", "b"),
        ("dress", "(a, {red dress), b}", "(a, {), b}"),
        ("dress", "(a, {x, dress), b}", "(a, {x), b}"),
        # Beginning and end.
        ("8k", "8k,\n1girl,\n8k", "1girl"),
        ("8k", "8k\n\n\n1girl", "1girl"),
        ("8k", "\n8k,\n1girl,\n8k\n", "\n1girl\n"),
    ],
)
def test_a_group_is_judged_by_its_members(entries: str, prompt: str, left: str) -> None:
    assert without(entries, prompt) == left
    assert without(entries, left) == left


# --- Genuine prompts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def defaults() -> Filters:
    return Filters.read(DEFAULTS)


@pytest.mark.skipif(not SAMPLES.is_file(), reason="CIVITAI_SAMPLES names no folder of recorded answers")
def test_no_genuine_prompt_becomes_empty_or_loses_its_balance(defaults: Filters) -> None:
    for raw in (each["prompt"] for each in json.loads(SAMPLES.read_text("utf-8"))):
        for left in defaults.apply(raw):
            assert left.strip() or not raw.strip()
            assert all(
                opens <= loose_brackets(raw)[kind][0] and closes <= loose_brackets(raw)[kind][1]
                for kind, (opens, closes) in loose_brackets(left).items()
            )
            assert not misplaced_brackets(left) or misplaced_brackets(raw)
            assert left[:1].isspace() <= raw[:1].isspace()
            assert left[-1:].isspace() <= raw[-1:].isspace()


@settings(max_examples=examples(3))
@given(
    st.lists(st.sampled_from(["dress", "=dress", "red dress", "cat", "a", "of"]), max_size=3).map("\n".join), prompts
)
def test_clothes_are_left_in_the_second_prompt(words: str, prompt: str) -> None:
    filters = Filters(clothes=parse_word_list(words))
    assert filters.apply(prompt) == (without(words, prompt), prompt)


@pytest.mark.parametrize(
    ("tag", "left"),
    [
        ("8k", ""),
        ("(8K:1.2)", ""),
        ("8k wallpaper", ""),
        ("8 k", "8 k"),
        ("8K resolution", "8K resolution"),
        ("8k photo", "8k photo"),
        ("a cat sits on the roof in 8k", "a cat sits on the roof in 8k"),
        ("a cat on the roof (8k)", "a cat on the roof (8k)"),
        ("a cat sits on the old roof (8k)", "a cat sits on the old roof"),
    ],
)
def test_what_8k_of_the_default_list_drops(defaults: Filters, tag: str, left: str) -> None:
    assert defaults.apply(f"{tag}, b")[0] == f"{left}, b".lstrip(", ")


def test_a_break_that_was_part_of_a_word_does_not_become_one() -> None:
    assert without("赤いドレス", "BREAK赤いドレス a red dress on a chair") == "a red dress on a chair"
