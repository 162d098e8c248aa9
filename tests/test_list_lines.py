"""Lines as people keep them: each kind is understood, and no damage makes a line mean more than it says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.lists import parse_list, read_line, written
from civitai_downloader.core.targets import Target

V = "https://civitai.com/models/10001?modelVersionId=20001"
W = "https://civitai.com/models/10002/another-name?modelVersionId=20002"
M = "https://civitai.com/models/10001"
D = "https://civitai.com/api/download/models/20001"
AIR = "urn:air:sdxl:lora:civitai:10001@20001"
SHA = "ab" * 32
BOTH, OTHER = Target("model", 10001, 20001), Target("model", 10002, 20002)
MODEL, SECOND, VERSION = Target("model", 10001), Target("model", 10002), Target("version", version=20001)
USER, TAG = Target("user", name="lantern_maker"), Target("tag", name="paper light")

# A line as it stands in somebody's list, and the targets that it means.
KINDS: list[tuple[str, list[Target]]] = [
    # Markdown
    (f"[Paper Lantern]({V})", [BOTH]),
    (f"- {V}", [BOTH]),
    (f"* {V}", [BOTH]),
    (f"+ {V}", [BOTH]),
    (f"• {V}", [BOTH]),
    (f"- [ ] {V}", [BOTH]),
    (f"- [x] [Paper Lantern]({V}) by someone", [BOTH]),
    (f"1. {V}", [BOTH]),
    (f"12) {V}", [BOTH]),
    (f"   - **Paper Lantern**: {V}", [BOTH]),
    (f"**{V}**", [BOTH]),
    (f"_{V}_", [BOTH]),
    (f"`{V}`", [BOTH]),
    (f"<{V}>", [BOTH]),
    (f"> {V}", [BOTH]),
    (f"> quoted: {V}", [BOTH]),
    (f"[{V}]({V})", [BOTH]),
    (f"[{M}]({V})", [BOTH]),
    (f'[Paper Lantern]({V} "a title")', [BOTH]),
    (f"[1]: {V}", [BOTH]),
    (f"[lantern]: <{V}> 'Paper Lantern'", [BOTH]),
    (f"| Paper Lantern | {V} | LORA |", [BOTH]),
    (f"| [Paper Lantern]({V}) | [Other]({W}) |", [BOTH, OTHER]),
    (f"|{V}|", [BOTH]),
    (f"[![preview](https://image.civitai.com/a/b/width=450/1.jpeg)]({V})", [BOTH]),
    (f"![preview](https://image.civitai.com/a/b/width=450/1.jpeg) {V}", [BOTH]),
    (f"~~{V}~~", [BOTH]),
    (f"({V})", [BOTH]),
    (f"Paper Lantern ({V})", [BOTH]),
    # HTML and other markup
    (f'<a href="{V}">Paper Lantern</a>', [BOTH]),
    (f"<a href='{V}' target='_blank'>{M}</a>", [BOTH]),
    (f"<li><a href={V}>Paper Lantern</a></li>", [BOTH]),
    (f'<DT><A HREF="{V}" ADD_DATE="1700000000">Paper Lantern | Civitai</A>', [BOTH]),
    (f"<p>{V}</p>", [BOTH]),
    (f"{M}?foo=bar&amp;modelVersionId=20001", [BOTH]),
    (f"[url={V}]Paper Lantern[/url]", [BOTH]),
    (f"[url]{V}[/url]", [BOTH]),
    (f"<{V}|Paper Lantern>", [BOTH]),
    (f"{{\\field{{\\*\\fldinst{{HYPERLINK \"{V}\"}}}}}}", [BOTH]),
    # tables and data
    (f'"{V}",', [BOTH]),
    (f"'{V}',", [BOTH]),
    (f"{V};", [BOTH]),
    (f"Paper Lantern,LORA,{V},SDXL", [BOTH]),
    (f'"Paper Lantern","{V}","LORA"', [BOTH]),
    (f"{V},Paper Lantern,LORA", [BOTH]),
    (f"Paper Lantern;{V};LORA", [BOTH]),
    (f"Paper Lantern\t{V}\tLORA", [BOTH]),
    (f"10001\t{V}", [BOTH]),
    (f"7 {V}", [BOTH]),
    (f"{SHA}\t{V}", [BOTH]),
    (f"B76A1FC247 {V}", [BOTH]),
    (f'{{"name": "Paper Lantern", "url": "{V}"}},', [BOTH]),
    (f'"url": "{V}",', [BOTH]),
    ('"url": "https:\\/\\/civitai.com\\/models\\/10001?modelVersionId=20001",', [BOTH]),
    ('{"u":"https://civitai.com/models/10001?a=b\\u0026modelVersionId=20001"}', [BOTH]),
    (f'["{V}", "{W}"]', [BOTH, OTHER]),
    (f"url: {V}", [BOTH]),
    (f"  - url: '{V}'", [BOTH]),
    (f"url = \"{V}\"", [BOTH]),
    (f"LORA_URL={V}", [BOTH]),
    (f"URL={V}", [BOTH]),
    (f"{V}\\n{W}", [BOTH, OTHER]),
    # words around a link
    (f"Paper Lantern | {V}", [BOTH]),
    (f"Paper Lantern - {V}", [BOTH]),
    (f"Paper Lantern: {V}", [BOTH]),
    (f"Paper Lantern -> {V}", [BOTH]),
    (f"LORA:{V}", [BOTH]),
    (f"{V} Paper Lantern", [BOTH]),
    (f"{V} - Paper Lantern", [BOTH]),
    (f"{V} -- Paper Lantern", [BOTH]),
    (f"{V} | Paper Lantern", [BOTH]),
    (f"{V} (Paper Lantern v2)", [BOTH]),
    (f"{V} # Paper Lantern", [BOTH]),
    (f"{V}\t# {W}", [BOTH]),
    (f"Have you seen {V}? It's great.", [BOTH]),
    (f"{V}.", [BOTH]),
    (f"{V}!", [BOTH]),
    (f"{V}…", [BOTH]),
    (f"\"{V}\"", [BOTH]),
    (f"“{V}”", [BOTH]),
    (f"«{V}»", [BOTH]),
    (f"[{V}]", [BOTH]),
    (f"{{{V}}}", [BOTH]),
    (f"参考：{V}，很好", [BOTH]),
    (f"モデルは「{V}」です。", [BOTH]),
    (f"{V}を使う", [BOTH]),
    (f"《灯笼》{V}。", [BOTH]),
    (f"모델: {V} 입니다", [BOTH]),
    (f"\u200b{V}\u200b", [BOTH]),
    (f"{V} {W}", [BOTH, OTHER]),
    (f"{V}, {W}", [BOTH, OTHER]),
    (f"{V},{W}", [BOTH, OTHER]),
    (f"{V}、{W}", [BOTH, OTHER]),
    (f"{V}{W}", [BOTH, OTHER]),
    (f"{V} mirror: https://huggingface.co/a/b/resolve/main/x.safetensors", [BOTH]),
    (f"https://huggingface.co/a/b {V}", [BOTH]),
    # commands
    (f'wget -O lantern.safetensors --content-disposition "{D}?token=hush"', [VERSION]),
    (f"!wget {D} -P /content/models", [VERSION]),
    (f"curl -L -o lantern.safetensors '{D}'", [VERSION]),
    (f'aria2c -x 16 -s 16 "{D}" -d models -o lantern.safetensors', [VERSION]),
    (f'    "{D}"', [VERSION]),
    (f'RUN wget -q "{D}" && echo done', [VERSION]),
    (f'LORAS=("{D}" \\', [VERSION]),
    (f"download('{D}')", [VERSION]),
    (f"{D}:lantern.safetensors", [VERSION]),
    (f"$ python -m civitai_downloader {V}", [BOTH]),
    # AIR
    (f'"{AIR}",', [BOTH]),
    (f"`{AIR}`", [BOTH]),
    (f"AIR: {AIR}", [BOTH]),
    (f"- {AIR} (0.8)", [BOTH]),
    (f'{{"air": "{AIR}", "weight": 0.8}}', [BOTH]),
    (f"[{AIR}]", [BOTH]),
    (f"{AIR}:layer", [BOTH]),
    (f"{AIR}:layer.safetensors", [BOTH]),
    ("air:sdxl:lora:civitai:10001@20001+30001", [Target("model", 10001, 20001, file=30001)]),
    ("civitai:10001@20001", [BOTH]),
    ("civitai:10001", [MODEL]),
    # forms of a link
    ("https:/civitai.com/models/10001", [MODEL]),
    ("https:///civitai.com/models/10001", [MODEL]),
    ("ttps://civitai.com/models/10001", [MODEL]),
    ("//civitai.com/models/10001", [MODEL]),
    ("https://civitai.com:443/models/10001", [MODEL]),
    ("http://civitai.com:80/models/10001", [MODEL]),
    ("http:civitai.com/models/10001", [MODEL]),
    ("civitai.com/models/10001?modelVersionId=20001", [BOTH]),
    (f"{M}/my-model-version-2-conversion", [MODEL]),
    (f"{M} Model version: 2.0, weight=0.8, dimension=512", [MODEL]),
    (f"{M}?dialog=commentThread&commentId=123456", [MODEL]),
    (f"{M}#comments", [MODEL]),
    (f"{M}?utm_source=newsletter&utm_campaign=a1", [MODEL]),
    ("www.civitai.com/models/10001", [MODEL]),
    ("/models/10001?modelVersionId=20001", [BOTH]),
    ("models/10001/slug?modelVersionId=20001", [BOTH]),
    ("10001?modelVersionId=20001", [BOTH]),
    (f"{M}/slug&modelVersionId=20001", [BOTH]),
    (f"{M}#modelVersionId=20001", [BOTH]),
    (f"{M}%3FmodelVersionId%3D20001", [BOTH]),
    ("https://civitai.com/api/v1/model-versions/by-hash/B76A1FC247", [Target("hash", name="b76a1fc247")]),
    ("https://civitai.com/api/v1/model-versions/mini/20001", [VERSION]),
    ("https://civitai.com/images?modelVersionId=20001", [Target("version", version=20001, part="images")]),
    ("https://civitai.com/images?modelId=1&modelVersionId=20001", [Target("version", version=20001, part="images")]),
    ("https://civitai.com/api/v1/images?postId=50001&limit=100", [Target("post", 50001)]),
    ("https://civitai.com/api/v1/models?username=lantern_maker&limit=9", [replace(USER, part="models")]),
    ("https://civitai.com/login?returnUrl=/models/10001%3FmodelVersionId%3D20001", [BOTH]),
    (f"https://www.google.com/url?q={M}&sa=D", [MODEL]),
    (f"https://web.archive.org/web/2024/{V}", [BOTH]),
    ("https://l.example.com/?u=https%3A%2F%2Fcivitai.com%2Fmodels%2F10001%3FmodelVersionId%3D20001", [BOTH]),
    ("https://civarchive.com/models/10001?modelVersionId=20001", [BOTH]),
    ("https://civitaiarchive.com/models/10001", [MODEL]),
    ("https://civarchive.com/civitai/models/10001/versions/20001", [BOTH]),
    (f"https://civarchive.com/sha256/{SHA}", [Target("hash", name=SHA)]),
    ("https://civarchive.com/api/download/models/20001", [VERSION]),
    # hashes
    (f"sha256:{SHA}", [Target("hash", name=SHA)]),
    (f"SHA256: {SHA.upper()}", [Target("hash", name=SHA)]),
    (f"{SHA}  lantern.safetensors", [Target("hash", name=SHA)]),
    (f"{SHA} *lantern.safetensors", [Target("hash", name=SHA)]),
    ("AutoV2: B76A1FC247", [Target("hash", name="b76a1fc247")]),
    ("0A1B2C3D4E5F", [Target("hash", name="0a1b2c3d4e5f")]),
    ("1A2B3C4D", [Target("hash", name="1a2b3c4d")]),
    # users and tags
    ("(https://civitai.com/user/lantern_maker)", [USER]),
    ("https://civitai.com/user/lantern_maker, https://civitai.com/tag/paper%20light.", [USER, TAG]),
    ("https://civitai.com/user/lantern_maker,Lantern Maker", [USER]),
    ('"https://civitai.com/tag/paper light"', [TAG]),
    ("https://civitai.com/tag/a%2Fb", [Target("tag", name="a/b")]),
    ("https://civitai.com/user/lantern_maker?sort=Newest&amp;period=AllTime", [USER]),
]  # fmt: skip


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
    ["10001@", "10001@abc", "10001@20001abc", "10001@20001+", "10001@20001+x", "10001+30001", "10001abc", "10001@0"],
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
