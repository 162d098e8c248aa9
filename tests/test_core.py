"""The decisions of core: tables, without a network and without a disk."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import (
    File,
    Image,
    Model,
    Version,
    media_urls,
    number_at,
    read_file,
    read_image,
    read_model,
    read_version,
    unix_time,
)
from civitai_downloader.core.choice import best_file, choose_files, choose_versions
from civitai_downloader.core.fetch import decide
from civitai_downloader.core.library import Facts, Library, Record
from civitai_downloader.core.pages import image_facts, plain_text
from civitai_downloader.core.places import Wanted, file_folder
from civitai_downloader.core.prompts import Filters
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.sidecars import a1111_json, sidecar_owners
from civitai_downloader.core.site import Site, explain, pages
from civitai_downloader.core.targets import Line, Target, parse_list, parse_target
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure, UsageError
from civitai_downloader.util.http import Refused

SHA = "ab" * 32
FILTERS = Filters()


# --- Targets -------------------------------------------------------------------------------------

MODEL = Target("model", 10001)
VERSION = Target("version", version=20001)
BOTH = Target("model", 10001, 20001)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://civitai.com/models/10001", MODEL),
        ("http://www.civitai.com/models/10001/", MODEL),
        ("civitai.com/models/10001/paper-lantern/style", MODEL),
        ("HTTPS://Civitai.RED/models/10001/any%2Fslug", MODEL),
        ("https://civitai.green/models/10001/reviews", MODEL),
        ("https://civitai.blue/models/10001/wizard?step=2", MODEL),
        ("https://civitaired.com/models/10001#comments", MODEL),
        ("https://civitai.com/models/10001?modelVersionId=20001", BOTH),
        ("https://civitai.com/models/10001/slug?foo=1&modelVersionId=20001&x", BOTH),
        ("https://civitai.com/models/10001?modelVersionId=abc", MODEL),
        ("https://civitai.com/model-versions/20001", VERSION),
        ("https://civitai.com/api/v1/models/10001", MODEL),
        ("https://civitai.com/api/v1/model-versions/20001", VERSION),
        ("https://civitai.com/api/download/models/20001", VERSION),
        ("https://api.civitai.com/download/models/20001?token=secret", VERSION),
        (
            "https://civitai.com/api/download/models/20001?fileId=30001&token=secret&type=Model",
            Target("version", version=20001, file=30001),
        ),
        (
            "https://civitai.com/api/download/models/20001?type=Model&format=SafeTensor&size=pruned&fp=fp16",
            Target(
                "version",
                version=20001,
                traits=(("type", "Model"), ("format", "SafeTensor"), ("size", "pruned"), ("fp", "fp16")),
            ),
        ),
        (
            "https://civitai.com/api/download/training-data/20001",
            Target("version", version=20001, traits=(("type", "Training Data"),)),
        ),
        ("urn:air:sdxl:lora:civitai:10001@20001", BOTH),
        ("air:wanvideo-22-t2v-a14b:checkpoint:civitai:10001@20001", BOTH),
        ("sdxl:lora:civitai:10001", MODEL),
        ("urn:air:sdxl:checkpoint:civitai:10001@20001+30001.safetensors", Target("model", 10001, 20001, file=30001)),
        ("10001@20001", BOTH),
        ("civitai:10001@20001", BOTH),
        ("10001", Target("id", 10001)),
        ("http://127.0.0.1:8080/models/10001", MODEL),
    ],
)
def test_a_target_is_understood_in_every_form(text: str, target: Target) -> None:
    assert parse_target(text, "http://127.0.0.1:8080") == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models",
        "0",
        "21474836480",
        "https://example.com/models/10001",
        "https://civitai.com.evil.org/models/10001",
        "ftp://civitai.com/models/10001",
        "https://civitai.com/models/abc",
        "urn:air:sdxl:lora:huggingface:10001@20001",
        "10001@",
        "http://[::1/models/10001",
        "C:\\models\\10001",
        "-5",
    ],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    assert parse_target(text) is None


@given(st.text())
def test_parsing_a_target_never_raises(text: str) -> None:
    parse_target(text)
    parse_target(f"https://civitai.com/{text}")


LIST = """# Korean comment
https://civitai.com/models/1  # behind it
"https://civitai.com/models/2",
   3 --latest --max-images 0 -o "D:\\My Models" ;

https://civitai.com/models/4#fragment
'5',
"""


@pytest.mark.parametrize(
    "data",
    [
        LIST.encode(),
        LIST.replace("\n", "\r\n").encode("utf-8-sig"),
        LIST.replace("\n", "\r").encode(),
        LIST.encode("utf-16"),
        LIST.replace("Korean comment", "한국어").encode("cp949"),
        LIST.replace("Korean comment", "日本語").encode("cp932"),
        LIST.replace("Korean comment", "\x81\xff\xfe").encode("latin-1"),
    ],
)
def test_a_list_is_read_in_every_encoding(data: bytes) -> None:
    lines = parse_list(data)
    assert [(line.number, line.link) for line in lines] == [
        (2, "https://civitai.com/models/1"),
        (3, "https://civitai.com/models/2"),
        (4, "3"),
        (6, "https://civitai.com/models/4#fragment"),
        (7, "5"),
    ]
    assert lines[2].words == ("--latest", "--max-images", "0", "-o", "D:\\My Models")


def test_a_line_is_written_again_without_a_pasted_token() -> None:
    line = Line(1, "https://civitai.com/api/download/models/1?token=hush&fileId=2", ("-o", "a b"))
    assert line.text == 'https://civitai.com/api/download/models/1?fileId=2 -o "a b"'


@given(st.binary())
def test_reading_a_list_never_raises(data: bytes) -> None:
    for line in parse_list(data):
        assert line.link


# --- Settings ------------------------------------------------------------------------------------


def test_the_token_is_not_shown_by_repr() -> None:
    assert "hush-hush" not in repr(Settings(token="hush-hush"))


@pytest.mark.parametrize("token", ["with blank", "short", "né-accent-123", "line\nbreak-123"])
def test_a_malformed_token_is_a_usage_error_that_does_not_show_it(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("layout", ["nope", "{creator", "{nothing}/x", "{}", "{creator.x}", "plain/folder", "}"])
def test_a_layout_that_can_not_work_is_a_usage_error(layout: str) -> None:
    with pytest.raises(UsageError):
        Settings(layout=layout)


def test_a_site_must_be_a_web_address() -> None:
    with pytest.raises(UsageError):
        Settings(site="civitai.example")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://mirror.example/api/download/models/1", True),
        ("http://mirror.example/api/download/models/1", False),
        ("https://mirror.example:8443/x", False),
        ("https://b.mirror.example/x", False),
        ("https://mirror.example@evil.example/x", False),
        ("https://mirror.example.evil.example/x", False),
    ],
)
def test_secrets_go_to_the_same_scheme_host_and_port_only(url: str, own: bool) -> None:
    site = Site(Settings(token="good-token", cookies="a=b", site="https://mirror.example"), Clock())
    signed = site._sign(requests.Request("GET", url).prepare())
    assert (signed.headers.get("Authorization"), signed.headers.get("Cookie")) == (
        ("Bearer good-token", "a=b") if own else (None, None)
    )


# --- Refusals ------------------------------------------------------------------------------------


def refused(status: int, body: object = b"", **headers: str) -> Refused:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Refused(
        status, {key.replace("_", "-"): value for key, value in headers.items()}, data, "https://civitai.com/"
    )


@pytest.mark.parametrize(
    ("answer", "token", "reason", "words"),
    [
        (
            refused(401, {"error": "Unauthorized", "message": "creator disabled downloads"}),
            True,
            "disabled",
            "disabled",
        ),
        (refused(401, {"error": "Unauthorized", "message": "requires login"}), False, "needs-token", "--token"),
        (refused(401, {"error": "Unauthorized", "message": "requires login"}), True, "token-refused", "new one"),
        (
            refused(403, {"error": "Early Access", "deadline": "2026-12-24T00:00:00Z"}),
            True,
            "early-access",
            "2026-12-24",
        ),
        (refused(403, {"error": "Early Access", "deadline": None}), True, "early-access", "unknown"),
        (refused(403, {"error": "Forbidden"}), False, "forbidden", "denies"),
        (refused(403, b"<html>Just a moment", cf_mitigated="challenge"), False, "blocked", "browser"),
        (refused(404, {"error": "File not found"}), False, "gone", "deleted"),
        (refused(410, {"error": "Model archived, not available for download"}), False, "archived", "archived"),
        (refused(451, {"error": "law", "code": "REGION_BLOCKED"}), False, "region", "region"),
        (refused(400, {"error": {"name": "ZodError", "message": "bad limit"}}), False, "refused", "bad limit"),
        (refused(400, {"message": "Invalid cursor: x"}), False, "refused", "Invalid cursor"),
        (refused(400, b"\xff not json"), False, "refused", "400"),
        (refused(400, b"[1]"), False, "refused", "400"),
    ],
)
def test_a_refusal_is_explained(answer: Refused, token: bool, reason: str, words: str) -> None:
    failure = explain(answer, has_token=token)
    assert failure.reason == reason
    assert words in str(failure)


# --- Paging --------------------------------------------------------------------------------------


class Book:
    """Answers a fixed list of pages and keeps the queries."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self._pages, self.queries = list(pages), list[dict[str, Any]]()

    def __call__(self, query: dict[str, Any]) -> dict[str, Any]:
        self.queries.append(query)
        return self._pages.pop(0)


def page(ids: list[Any], cursor: object = None) -> dict[str, Any]:
    return {"items": [{"id": each} for each in ids], "metadata": {"nextCursor": cursor}}


def ids_of(book: Book, limit: int | None = None) -> list[int]:
    return [item["id"] for items in pages(book, 3, limit) for item in items]


def test_paging_ends_at_the_absent_cursor_and_drops_duplicates() -> None:
    book = Book(page([1, 2, 2], "a"), page([2, 3], 17), page([4]))
    assert ids_of(book) == [1, 2, 3, 4]
    assert [query.get("cursor") for query in book.queries] == [None, "a", 17]


def test_paging_ends_at_a_repeated_cursor() -> None:
    assert ids_of(Book(page([1], "a"), page([2], "a"))) == [1, 2]


def test_paging_goes_on_after_an_empty_page_but_ends_after_three_without_a_new_id() -> None:
    assert ids_of(
        Book(page([1], "a"), page([], "b"), page([2], "c"), page([], "d"), page([1], "e"), page([], "f"))
    ) == [1, 2]


def test_paging_stops_at_the_limit_and_asks_for_no_more_than_it_needs() -> None:
    book = Book(page([1, 2, 3], "a"), page([4, 5], "b"))
    assert ids_of(book, 5) == [1, 2, 3, 4, 5]
    assert [query["limit"] for query in book.queries] == [3, 2]


def test_paging_takes_no_longer_for_the_last_page_than_for_the_first() -> None:
    def ask(query: dict[str, Any]) -> dict[str, Any]:
        start = query.get("cursor", 1)
        return page([*range(start, start + 200)], start + 200 if start + 200 < 80_000 else None)

    begun = time.monotonic()
    assert sum(map(len, pages(ask, 200, None))) == 80_000
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "answer", [{}, {"items": None}, {"items": [None, 3, {"id": "x"}, {}]}, {"items": {}, "metadata": []}]
)
def test_paging_survives_wrong_types(answer: dict[str, Any]) -> None:
    assert ids_of(Book(answer)) == []


# --- Reading answers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "found"),
    [(5, 5), ("7", 7), (2.0, 2), (True, 0), (None, 0), ("x", 0), ([], 0), (1e300, 0), (-3, -3), ("9" * 30, 0)],
)
def test_a_number_is_read_from_any_type(value: object, found: int) -> None:
    assert number_at({"key": value}, "key") == found


def test_missing_null_and_empty_mean_the_same() -> None:
    bare = {"id": 1}
    empty: dict[str, Any] = {"id": 1, "tags": [], **dict.fromkeys(("name", "modelVersions", "creator", "nsfwLevel"))}
    assert replace(read_model(bare), raw={}) == replace(read_model(empty), raw={})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "files", "images", "modelVersions", "hashes", "url", "name", "sizeKB", "metadata", "tags"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_shape_of_answer_is_read_or_refused(value: Any) -> None:
    answer = value if isinstance(value, dict) else {"id": 5, "modelVersions": [value], "tags": value, "creator": value}
    try:
        model = read_model(answer)
    except Failure:
        return
    for version in model.versions:
        best_file(version.files)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:00Z", 86400), ("1970-01-01T00:01:00.5", 60), ("2025-09-14T0424:21.5Z", 0), ("", 0)],
)
def test_a_moment_is_utc_whatever_its_letters(text: str, seconds: float) -> None:
    assert unix_time(text) == seconds


def image(url: str = "https://image.civitai.com/acc/uuid/width=450/40001.jpeg", **more: Any) -> Image:
    found = read_image({"url": url, **more})
    assert found is not None
    return found


def test_an_image_takes_its_id_from_the_link_when_it_has_none() -> None:
    assert image().id == 40001
    assert image(id=7).id == 7
    assert read_image({"url": "https://image.civitai.com/a/u/original=true/not-a-number.jpeg"}) is None
    assert read_image({"id": 5, "url": "file:///etc/passwd"}) is None
    assert read_image({"id": 5}) is None


@pytest.mark.parametrize(
    ("more", "level"),
    [({"browsingLevel": 8}, 8), ({"nsfwLevel": "Soft"}, 2), ({"nsfwLevel": 4}, 4), ({}, 0), ({"nsfwLevel": "New"}, 0)],
)
def test_a_level_is_read_from_both_scales(more: dict[str, Any], level: int) -> None:
    assert image(**more).level == level


def test_media_links_ask_for_the_original() -> None:
    assert media_urls(image()) == ("https://image.civitai.com/acc/uuid/original=true/40001.jpeg",)
    old = image("https://imagecache.civitai.com/acc/uuid/width=450/40001.mp4?token=x", type="video")
    assert media_urls(old) == (
        "https://image.civitai.com/acc/uuid/original=true/40001.mp4",
        "https://image.civitai.com/acc/uuid/original=true,quality=100/40001.mp4",
        "https://image.civitai.com/acc/uuid/transcode=true,original=true/40001.mp4",
    )
    assert media_urls(image("https://elsewhere.example/5.png")) == ("https://elsewhere.example/5.png",)


# --- The choice ----------------------------------------------------------------------------------


def file(number: int, name: str = "a.safetensors", **more: Any) -> File:
    return read_file({"id": number, "name": name, "sizeKB": 1.5, **more})


def version(number: int = 20001, files: tuple[File, ...] = (), **more: Any) -> Version:
    return replace(read_version({"id": number, **more}), files=files)


def model(*versions: Version, **more: Any) -> Model:
    return replace(read_model({"id": 10001, "name": "Paper", **more}), versions=versions)


@pytest.mark.parametrize(
    ("files", "best"),
    [
        ([file(1), file(2, primary=True)], [2]),
        ([file(1, "a_trainingData.zip", type="Training Data", primary=True), file(2)], [2]),
        ([file(1, "a.zip", type="Training Data", primary=True)], []),
        ([file(1, "a.yaml", type="Config", primary=True), file(2, "a.ckpt"), file(3)], [3]),
        ([file(1, "poses.zip", type="Archive", primary=True)], [1]),
        ([file(1, "a.ckpt"), file(2, metadata={"format": "SafeTensor", "size": "pruned"}), file(3)], [2]),
        ([file(1, type="VAE"), file(2, type="Pruned Model")], [2]),
        ([], []),
    ],
)
def test_the_primary_file_is_weights(files: list[File], best: list[int]) -> None:
    assert [each.id for each in best_file(files)] == best


def test_versions_are_chosen_by_target_base_model_and_date() -> None:
    old = version(1, baseModel="SD 1.5", publishedAt="2024-01-01T00:00:00Z")
    new = version(2, baseModel="SDXL 1.0", publishedAt="2026-01-01T00:00:00Z")
    middle = version(3, baseModel="SD 1.5", publishedAt="2025-01-01T00:00:00Z")
    paper = model(old, new, middle)
    assert choose_versions(paper, MODEL, Settings()) == [old, new, middle]
    assert choose_versions(paper, MODEL, Settings(latest=True)) == [new]
    assert choose_versions(paper, MODEL, Settings(latest=True, base_models=("sd 1.5",))) == [middle]
    assert choose_versions(paper, Target("model", 1, 1), Settings(latest=True)) == [old]


def test_a_download_link_names_one_file() -> None:
    files = (file(1), file(2, "b.ckpt", metadata={"format": "PickleTensor"}), file(3, "v.pt", type="VAE"))
    paper = version(files=files)
    assert choose_files(paper, Target("version", version=1, file=3), Settings()) == [files[2]]
    traits = (("type", "model"), ("format", "pickletensor"))
    assert choose_files(paper, Target("version", version=1, traits=traits), Settings()) == [files[1]]
    assert choose_files(paper, MODEL, Settings(primary=True)) == [files[0]]


# --- Places --------------------------------------------------------------------------------------

LORA = {"type": "LORA", "creator": {"username": "maker"}, "tags": ["style"], "nsfwLevel": 5}


@pytest.mark.parametrize(
    ("layout", "kind", "extra", "folder"),
    [
        ("creator", "LORA", {}, "users/maker/models/Paper [10001]/v1 [20001]"),
        ("sharded", "LORA", {}, "model_10/10001/20001"),
        ("comfyui", "LORA", {}, "models/loras"),
        ("comfyui", "Checkpoint", {}, "models/checkpoints"),
        ("comfyui", "Checkpoint", {"type": "VAE"}, "models/vae"),
        ("comfyui", "Checkpoint", {"type": "Diffusion Model"}, "models/diffusion_models"),
        ("comfyui", "Checkpoint", {"name": "a.gguf"}, "models/diffusion_models"),
        ("comfyui", "Checkpoint", {"base": "Flux.1 D"}, "models/diffusion_models"),
        ("comfyui", "Workflows", {}, "user/default/workflows"),
        ("comfyui", "Poses", {}, "models/other"),
        ("comfyui", "Checkpoint", {"type": "Training Data"}, ".civitai/users/maker/models/Paper [10001]/v1 [20001]"),
        ("a1111", "LORA", {}, "models/Lora"),
        ("a1111", "TextualInversion", {}, "embeddings"),
        ("a1111", "Checkpoint", {}, "models/Stable-diffusion"),
        ("a1111", "Unheard", {}, "models/Other"),
        ("{type}/{base_model}/{creator}", "LORA", {}, "LORA/SDXL 1.0/maker"),
        ("{year}-{month}/{nsfw}/{tag}", "LORA", {}, "2026-03/nsfw/style"),
        ("x/{model_name} {model_id}/{version_name}_{version_id}", "LORA", {}, "x/Paper 10001/v1_20001"),
    ],
)
def test_a_layout_decides_the_folder(layout: str, kind: str, extra: dict[str, str], folder: str) -> None:
    paper = read_model({"id": 10001, "name": "Paper", **LORA, "type": kind})
    first = version(name="v1", baseModel=extra.get("base", "SDXL 1.0"), publishedAt="2026-03-01T12:00:00Z")
    weights = file(1, extra.get("name", "a.safetensors"), type=extra.get("type", "Model"))
    assert "/".join(file_folder(layout, paper, first, weights)) == folder


def test_a_template_value_can_not_leave_its_folder_and_an_unknown_one_is_named_so() -> None:
    paper = read_model({"id": 1, "name": "../../etc", "creator": {"username": "a/b"}})
    folder = file_folder("{creator}/{model_name}/{year}/{tag}/{nsfw}", paper, version(), file(1))
    assert folder == ("a_b", ".._.._etc", "unknown", "unknown", "unknown")


# --- What to do about a thing --------------------------------------------------------------------

THING = Wanted("model", "1/2", "thing", "a/b.safetensors", (), "", size=1000, sha256=SHA)
PICTURE = Wanted("image", "5", "picture", "a/images/5", (), "")


ELSEWHERE = Path("elsewhere")


@pytest.mark.parametrize(
    ("wanted", "facts", "action"),
    [
        (THING, Facts(), "fetch"),
        (THING, Facts(path=THING.path, size=1000), "adopt"),
        (THING, Facts(path=THING.path, size=5000), "fetch"),
        (THING, Facts(in_place=True), "keep"),
        (THING, Facts(path=THING.path, size=900), "adopt"),
        (THING, Facts(source=ELSEWHERE), "link"),
        (THING, Facts(path=THING.path, size=1000, source=ELSEWHERE), "adopt"),
        (THING, Facts(path=THING.path, size=1000, source=ELSEWHERE, is_copy=True), "keep"),
        (THING, Facts(twin=ELSEWHERE), "link"),
        (THING, Facts(path=THING.path, size=5000, twin=ELSEWHERE), "adopt"),
        (replace(THING, size=0), Facts(path=THING.path, size=1000), "fetch"),
        (replace(THING, size=0), Facts(path=THING.path, size=1000, twin=ELSEWHERE), "adopt"),
        (PICTURE, Facts(in_place=True), "keep"),
        (PICTURE, Facts(source=ELSEWHERE), "link"),
        (PICTURE, Facts(path="a/images/5.png", size=10, source=ELSEWHERE), "link"),
        (PICTURE, Facts(path="a/images/5.png", size=10, source=ELSEWHERE, is_copy=True), "keep"),
        (PICTURE, Facts(path="a/images/5.png", size=10), "adopt"),
        (PICTURE, Facts(path="a/images/5.png", size=10, twin=ELSEWHERE), "adopt"),
        (PICTURE, Facts(path="a/images/5.png", size=0), "fetch"),
    ],
)
def test_what_to_do_is_decided_before_anything_is_touched(wanted: Wanted, facts: Facts, action: str) -> None:
    assert decide(wanted, facts, force=False) == action
    assert decide(wanted, facts, force=True) == "fetch"


def test_the_facts_of_a_thing_are_those_of_log_and_disk(tmp_path: Path) -> None:
    library, key = Library(tmp_path), ("model", "1/2")
    there, other = tmp_path / "a" / "b.safetensors", tmp_path / "other" / "b.safetensors"
    assert library.facts(THING) == Facts(path=THING.path)
    there.parent.mkdir()
    there.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(path=THING.path, size=1000)
    good = Record("success", THING.path, 1000, SHA)
    library.record(key, good, source="")
    assert library.facts(THING) == Facts(good, in_place=True)
    there.write_bytes(b"x" * 900)
    assert library.facts(THING) == Facts(good, path=THING.path, size=900)
    moved = Record("success", "other/b.safetensors", 1000, SHA)
    library.record(key, moved, source="")
    other.parent.mkdir()
    other.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(moved, path=THING.path, size=900, source=other)
    there.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(moved, path=THING.path, size=1000, source=other)
    there.unlink()
    there.hardlink_to(other)
    assert library.facts(THING) == Facts(moved, path=THING.path, size=1000, source=other, is_copy=True)
    library.close()


# --- Pages and sidecars --------------------------------------------------------------------------


def test_a_description_becomes_plain_text() -> None:
    markup = "<p>Warm <b>paper</b> light &amp; more.</p><ul><li>one</li><li>two</li></ul>a<br/>b<script>x</script>"
    assert plain_text(markup) == "Warm paper light & more.\n\n- one\n- two\na\nbx"


def test_hostile_markup_costs_no_time() -> None:
    assert plain_text("<" * 300_000) == "<" * 300_000


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("SD 1.5", "SD1"),
        ("SD 2.1 768", "SD2"),
        ("SDXL 1.0", "SDXL"),
        ("Pony", "SDXL"),
        ("Illustrious", "SDXL"),
        ("SD 3.5", "SD3"),
        ("Flux.1 D", "Unknown"),
        ("Pony V7", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_a1111_is_told_the_sd_version(base: str, found: str) -> None:
    assert a1111_json(model(), version(baseModel=base), "u")["sd version"] == found


def test_activation_text_is_one_line_whatever_the_trained_words_hold() -> None:
    words = version(trainedWords=["paper lantern, ", "", None, "a\nb", 5, "<lora:x:1>"])
    assert a1111_json(model(), words, "u")["activation text"] == "paper lantern, a b, <lora:x:1>"


def test_of_two_weights_with_one_stem_the_safetensors_has_the_sidecars() -> None:
    pairs = [
        (file(1, "x.ckpt", primary=True), "x.ckpt"),
        (file(2, "x.safetensors"), "x.safetensors"),
        (file(3, "x.yaml", type="Config"), "x.yaml"),
        (file(4, "y.ckpt"), "y.ckpt"),
        (file(5, "y.pt", primary=True), "y.pt"),
    ]
    files = [(each, replace(THING, path=path)) for each, path in pairs]
    assert [each.id for each, _ in sidecar_owners(files)] == [2, 5]


META = {
    "prompt": "a lantern",
    "negativePrompt": "blur",
    "steps": 28,
    "sampler": "Euler a",
    "cfgScale": 6.5,
    "seed": 2**64,
    "Size": "832x1216",
    "Model": "xl",
    "resources": [{"name": "r"}],
    "civitaiResources": [{"modelVersionId": 5}],
}


@pytest.mark.parametrize("meta", [META, {"id": 40001, "meta": META}])
def test_the_facts_of_an_image_are_read_from_both_forms_of_meta(meta: dict[str, Any]) -> None:
    facts = image_facts(image(meta=meta, postId=5, username="u", browsingLevel=2, width=8, height=9), "page", FILTERS)
    assert facts["raw_prompt"] == facts["prompt"] == facts["prompt_with_clothes"] == "a lantern"
    assert (facts["negative_prompt"], facts["steps"], facts["cfg_scale"], facts["seed"]) == ("blur", 28, 6.5, 2**64)
    assert facts["resources"] == [{"name": "r"}, {"modelVersionId": 5}]
    assert facts["meta"] == META
    assert list(facts)[:10] == [
        "id",
        "url",
        "page",
        "post_id",
        "username",
        "created_at",
        "width",
        "height",
        "type",
        "nsfw_level",
    ]


@pytest.mark.parametrize("meta", [None, "text that is no object", ["a", "b"], {"prompt": 5}, {}])
def test_an_image_without_a_prompt_has_null_there(meta: Any) -> None:
    facts = image_facts(image(meta=meta), "page", FILTERS)
    assert facts["raw_prompt"] is None
    assert facts["meta"] == meta


def test_early_access_lasts_until_its_date() -> None:
    later = time.strftime("%Y-%m-%dT00:00:00.000Z", time.gmtime(time.time() + 9e5))
    assert version(paidAccess={"permanent": False, "endsAt": later}).early_until == later
    assert version(earlyAccessDeadline=later).early_until == later
    assert version(paidAccess={"permanent": True, "endsAt": None}).early_until == "always"
    assert version(paidAccess={"endsAt": "2020-01-01T00:00:00Z"}).early_until == ""
    assert version(paidAccess=None).early_until == ""
