"""Lines as people keep them: each kind is understood, and no damage makes a line mean more than it says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.lists import parse_list, read_line, written
from civitai_downloader.core.targets import Target
from tests.list_kinds import BOTH, KINDS, USER, D, M, V, W


@pytest.mark.parametrize(("line", "targets"), KINDS, ids=[line for line, _ in KINDS])
def test_a_line_is_understood_as_people_write_it(line: str, targets: list[Target]) -> None:
    (read,) = parse_list(line.encode())
    reading = read_line(read.text)
    assert [target for _, target in reading.found] == targets
    assert not reading.refused
    for word, target in reading.found:
        assert [again for _, again in read_line(written(word)).found] == [target]


def test_there_are_many_kinds() -> None:
    assert len({line for line, _ in KINDS}) >= 100


# --- Options and titles --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (f"{V} --latest", ("--latest",)),
        (f"- {V} --latest", ("--latest",)),
        (f"3. {V} -o a --primary", ("-o", "a", "--primary")),
        (f"{V} Paper Lantern --latest", ("--latest",)),
        (f"{V} - Paper -> Lantern", ()),
        (f"{V} {W} --latest", ("--latest",)),
        (f"name: {V} --latest", ()),
        (f"wget -O x {V}", ()),
    ],
)
def test_options_count_behind_a_line_that_begins_with_a_target(line: str, options: tuple[str, ...]) -> None:
    assert read_line(line).options == options


@pytest.mark.parametrize(
    "line",
    [
        "3 models to get",
        "10001 Paper Lantern",
        "2 - install it",
        "100 best of 2024",
        "5) 10 more",
        "nonsense",
        "Title:",
    ],
)
def test_a_number_in_a_sentence_is_no_id(line: str) -> None:
    assert not read_line(line).found


def test_a_name_with_blanks_in_a_list_of_users_is_not_cut() -> None:
    assert read_line("lantern_maker", users=True).found == (("lantern_maker", USER),)
    assert read_line("lantern maker", users=True).refused
    assert read_line('"lantern maker"', users=True).found == (("lantern maker", Target("user", name="lantern maker")),)
    assert read_line("maker: https://civitai.com/user/lantern_maker", users=True).found[0][1] == USER


@pytest.mark.parametrize(("line", "left"), [
    ("https://civitai.com/models/1 -o \"a #b\" # c", 'https://civitai.com/models/1 -o "a #b"'),
    ("https://civitai.com/models/1 --layout '#{creator}'", "https://civitai.com/models/1 --layout '#{creator}'"),
    ("Bob's https://civitai.com/models/1 # don't https://civitai.com/models/2 it's", "Bob's https://civitai.com/models/1"),
])  # fmt: skip
def test_a_comment_begins_at_a_word_outside_of_quotes(line: str, left: str) -> None:
    assert [each.text for each in parse_list(line.encode())] == [left]


def test_lines_of_punctuation_are_blank() -> None:
    assert parse_list(b"[\n{\n},\n|---|---|\n---\n* * *\n]\n") == []


# --- Nothing means more than it says -------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        *(
            "20001)",
            "20001.",
            "20001/",
            "20001%20",
            "20001*",
            "20001，",
            "20001\\n",
            "20001\\nhello",
            "20001#top",
            "20001;",
        ),
        *("20001&amp;modelVersionId=20001", "20001&amp;amp;tab=x", "20001%29", "20001%2F", "20001</a>", "20001&quot;"),
        *(
            "20001。",
            "20001】",
            "20001\u200b",
            "20001%E3%80%82",
            "%2020001",
            "20001%0A",
            "20001%5C",
            "20001&",
            "20001?",
        ),
    ],
)
def test_what_follows_a_version_does_not_hide_it(end: str) -> None:
    assert [target for _, target in read_line(f"{M}?modelVersionId={end}").found] == [BOTH]


@pytest.mark.parametrize(
    "end",
    [
        *("?modelVersionId=20001abc", "?modelVersionId=", "?modelVersionId", "?modelVersionId=abc"),
        *("?modelVersionId=0", "?modelVersionId=20001&modelVersionId=20002", "?modelVersionId=20001-5"),
        *("?modelVersionId=-20001", "?modelVersionId=20001_5"),
        *("?mo", "?modelVersonId=20001", "?odelVersionId=20001", "?VersionId=20001"),
        *("?version=20001", "?modelVersionId:20001", "?modelVersionId20001", "?model VersionId=20001"),
        *(" ?modelVersionId=20001", "? modelVersionId=20001", "?20001", '?" modelVersionId=20001'),
        *("?tab=modelVersionId%3D20001", "?fileId=30001"),
        *("?modelVersionId=20001%zz", "?id=20001"),
        *("?modelVersionId=99999999999", "?modelVersionId=20001&fileId=abc", "?modelVersionId=20001&fileId=", "abc"),
        *(" @20001", "@20001", "_20001"),
        *("/versions/abc", "/slug?modelVersionId=x", "?modelVersionId=２０００１"),
    ],
)  # fmt: skip
def test_a_damaged_version_is_refused_and_never_left_out(end: str) -> None:
    reading = read_line(f"{M}{end}")
    assert not reading.found
    assert reading.refused


@pytest.mark.parametrize(
    ("query", "traits"),
    [
        ("type=Model&amp;format=SafeTensor&amp;size=pruned&amp;fp=fp16", ("Model", "SafeTensor", "pruned", "fp16")),
        ("type=Model&#38;format=SafeTensor", ("Model", "SafeTensor")),
        ("type=Pruned%20Model&amp;fp=fp16)", ("Pruned Model", "fp16")),
        ("type=Training+Data", ("Training Data",)),
        ("type%3DModel%26format%3DSafeTensor", ("Model", "SafeTensor")),
        ("type=Model\\u0026fp=fp8", ("Model", "fp8")),
        ("type=", None),
        ("type=Model&fp=", None),
        ("type=Model&ftype=x1&fp=fp16&fp=fp32", None),
        ("fileId=abc", None),
        ("fileId=", None),
        ("fleId=30001", None),
        ("file=30001", None),
        ("modelVersionId=20002", None),
        ("forma=SafeTensor", None),
    ],
)
def test_a_download_link_loses_nothing_that_chooses_a_file(query: str, traits: tuple[str, ...] | None) -> None:
    found = read_line(f"{D}?{query}").found
    assert [tuple(value for _, value in target.traits) for _, target in found] == ([] if traits is None else [traits])


@pytest.mark.parametrize(
    "air",
    [
        "10001@",
        "10001@abc",
        "10001@20001abc",
        "10001@20001+",
        "10001@20001+x",
        "10001+30001",
        "10001abc",
        "10001@0",
        "10001%zz",
    ],
)
def test_a_damaged_air_is_refused(air: str) -> None:
    reading = read_line(f"urn:air:sdxl:lora:civitai:{air}")
    assert not reading.found
    assert reading.refused


def test_a_version_beside_its_model_is_not_widened_to_the_model() -> None:
    assert [target for _, target in read_line(f"{M} {V}").found] == [BOTH]
    assert not read_line(f'{{"modelId": 10001, "modelVersionId": 20001, "url": "{M}"}}').found


@pytest.mark.parametrize(
    "link",
    [
        *(f"https://civitai.com/user/{page}" for page in ("account", "downloads", "notifications", "vault", "Account")),
        *("https://civitai.com/user/account/api-keys", "https://civitai.com/user/membership?tab=x"),
        *("https://civitai.com/user/lantern_maker/articles", "https://civitai.com/user/lantern_maker/modelsx"),
        *("https://civitai.com/user", "https://civitai.com/user/", "https://civitai.com/", "https://civitai.com/models"),
        *("https://civitai.com/models?query=lantern", "https://civitai.com/search/models?query=1", "https://civitai.com/pricing"),
        *("https://civitai.com/articles/5", "https://civitai.com/images", "https://civitai.com/images?username=a&tags=5"),
        *("https://civitai.com/api/v1/models?ids=1,2", "https://civitai.com/api/v1/models?username=a&types=LORA"),
        *("https://civitai.com/api/v1/models", "https://civitai.com/api/v1/models?username=", "https://civarchive.com/"),
        *("https://civarchive.com/tensorart/models/5", "https://civarchive.com/users/somebody"),
        "https://image.civitai.com/b0e5ca59-0000-4000-8000-000000000401/width=450/1.jpeg",
        "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b0e5ca59-0000-4000-8000-000000000401/width=450/1.jpeg",
        "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b0e5ca59-0000-4000-8000-000000000401/original=true/1.jpeg",
        "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b0e5ca59-0000-4000-8000-000000000401/original=true/00012345.png",
    ],
)  # fmt: skip
def test_a_page_that_is_no_target_is_refused_with_a_reason(link: str) -> None:
    reading = read_line(link)
    assert not reading.found
    assert reading.refused


@pytest.mark.parametrize(
    "line",
    [
        *("https://civitai.com.evil.org/models/1", "https://example.com/civitai.com/models/1", "ftp://civitai.com/models/1"),
        *("https://user@civitai.com/models/1", "https://civitai.com@evil.org/models/1", "https://civitai.com:8080/models/1"),
        *("https://notcivitai.com/models/1", "urn:air:sdxl:lora:huggingface:1@2", "https://tensor.art/models/757279507095956705"),
        *("me@civitai.com", "civitai.com", "defaced", "acceded1x"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_link_of_the_site_is_none(line: str) -> None:
    assert not read_line(line).found


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=60)


@given(WORDS)
def test_a_text_without_link_or_air_gives_nothing_but_ids_and_hashes(text: str) -> None:
    if re.search(r"civ(it|arch)|/", text, re.I):
        return
    for line in parse_list(text.encode()):
        for _, target in read_line(line.text).found:
            assert target.kind in ("id", "hash") or "@" in line.text or "?" in line.text


QUERY = "?modelVersionId=20001"
EDIT = st.tuples(
    st.integers(0, len(QUERY)), st.integers(0, 6), st.text(st.characters(blacklist_categories=["Cs"]), max_size=3)
)


@given(EDIT)
def test_damage_to_the_query_of_a_version_link_never_gives_all_versions(edit: tuple[int, int, str]) -> None:
    start, length, instead = edit
    query = QUERY[:start] + instead + QUERY[start + length :]
    for line in parse_list(f"{M}{query}".encode()):
        has_rest = re.search(r"[A-Za-z0-9]", line.text.partition("10001")[2])
        for _, target in read_line(line.text).found:
            assert target.version or target.id != 10001 or not has_rest
