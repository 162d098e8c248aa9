"""A line of text is understood in every form of target, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.lists import parse_list, read_line, written
from civitai_downloader.core.targets import Target
from tests.helpers import parse_target

MODEL = Target("model", 10001)
VERSION = Target("version", version=20001)
BOTH = Target("model", 10001, 20001)
LIST = """# Korean comment
https://civitai.com/models/1  # behind it
"https://civitai.com/models/2",
   3 --latest --max-images 0 -o "D:\\My Models" ;

https://civitai.com/models/4#fragment
'5',
"""


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


# --- Lists ---------------------------------------------------------------------------------------


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
    lines = [(line.number, read_line(line.text)) for line in parse_list(data)]
    assert [(number, word) for number, line in lines for word, _ in line.found] == [
        (2, "https://civitai.com/models/1"),
        (3, "https://civitai.com/models/2"),
        (4, "3"),
        (6, "https://civitai.com/models/4#fragment"),
        (7, "5"),
    ]
    assert lines[2][1].options == ("--latest", "--max-images", "0", "-o", "D:\\My Models")


def test_a_line_is_written_again_without_a_pasted_token() -> None:
    line = written("https://civitai.com/api/download/models/1?token=hush&fileId=2", ("-o", "a b"))
    assert line == 'https://civitai.com/api/download/models/1?fileId=2 -o "a b"'


@given(st.binary())
def test_reading_a_list_never_raises(data: bytes) -> None:
    for line in parse_list(data):
        read_line(line.text, users=len(data) % 2 == 0)
