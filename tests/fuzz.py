"""Random input for everything that reads what others wrote: `python -m tests.fuzz --inputs 1000000`.

Seeds that are nearly right are cut, joined, doubled and sprinkled with odd bytes. Nothing but the errors that a
function names may come out of it, and what it gives must keep its promises. The name of a file comes from the site's
data alone; a `Content-Disposition` is not read, so it can't lead anybody astray.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from civitai_downloader.core.headers import told_by
from civitai_downloader.core.links import read_word
from civitai_downloader.core.lists import parse_list, read_line, written
from civitai_downloader.core.records import read_record
from civitai_downloader.core.unknown import header_json
from civitai_downloader.util.clock import utc_now
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.headers import read_header_of
from civitai_downloader.util.http import _redirect_target, parse_retry_after
from civitai_downloader.util.idm import expiry_of
from civitai_downloader.util.logs import KeyedLog
from civitai_downloader.util.names import MAX_COMPONENT_BYTES, clean_name, file_name, folder_name, name_key
from civitai_downloader.util.ranges import parse_content_range
from civitai_downloader.util.text import bare_url, parse_devalue, printable, scrub, web_link
from tests.model_headers import framed, gguf, safetensors, texts

ODD = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b'"',
        b"\\",
        b"'",
        b",",
        b":",
        b"/",
        b"..",
        b"#",
        b"%",
        b"&",
        b"=",
        b"@",
    ),
    *(b"[", b"]", b"{", b"}", b"-", b"-1", b"0", b"9" * 20, b"1e999", b"null", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(
        "\ud55c\u65e5é\u202e\u3000😀".encode(),
        b"\xed\xa0\x80",
        b"CON",
        b"\x1b[2J",
        b"http://",
        b"\\u0000",
        b"\\ud800",
        b"NaN",
    ),
)
_work = Path()


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def read_a_list(data: bytes) -> None:
    for line in parse_list(data):
        assert line.number > 0
        read_word(line.text, "http://127.0.0.1:8000")
        for users in (False, True):
            reading = read_line(line.text, "http://127.0.0.1:8000", users=users)
            for word, _ in reading.found:
                assert len(parse_list(written(word).encode("utf-8", "replace"))) <= 1


def read_devalue(data: bytes) -> None:
    with suppress(ValueError, RecursionError):
        parse_devalue(text_of(data))


def make_names(data: bytes) -> None:
    text = text_of(data)
    for name in (file_name(text, "7"), folder_name(text, " [7]"), file_name(text, "7", " [7]")):
        assert name
        assert name not in (".", "..")
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name)
        assert name == name.rstrip(". ")
        assert len(name.encode("utf-8")) <= MAX_COMPONENT_BYTES
        assert clean_name(name) == name
    name_key(text)
    printable(scrub(text)).encode()


def read_a_log(data: bytes) -> None:
    path = _work / "log.jsonl"
    path.write_bytes(data)
    log = KeyedLog(path)
    for record in log.live("image", "model", "page"):
        assert log.get(str(record["type"]), str(record["id"])) == record
        read_record(record)
    if data[:1] < b"8":
        fresh = {"at": utc_now(), "type": "image", "id": "new", "path": "a"}
        log.append(fresh)
        assert log.get("image", "new") == fresh
        log.close()
        assert KeyedLog(path).get("image", "new") == fresh
    log.close()


def read_headers(data: bytes) -> None:
    text = text_of(data)
    if (found := parse_content_range(text)) and found[0] is not None and found[1] is not None:
        assert 0 <= found[0] < found[1]
    wait = parse_retry_after(text)
    assert wait is None or wait >= 0
    web_link(text)
    bare_url(text).encode()
    expiry_of(text, 0.0)
    with suppress(Failure):
        assert urlsplit(_redirect_target("http://a.com/x", text)).scheme in ("http", "https")


def read_a_model(data: bytes) -> None:
    path = _work / "model"
    for content in (data, framed(data[8:])):
        path.write_bytes(content)
        if (header := read_header_of(path)) is not None:
            told = header_json(told_by(header), "model", path, len(content), 0, "", None)
            json.dumps(told, ensure_ascii=False, allow_nan=False).encode()


WORDS = {
    "ss_output_name": "lantern",
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_resolution": "(1024, 768)",
    "ss_training_finished_at": "1769817600.5",
    "ss_training_comment": "sets in D:\\me\\sets, /home/me/sets",
    "ss_tag_frequency": '{"img": {"glow": 10, "solo": 9}, "10_paper lantern": {"glow": 1}}',
    "ss_dataset_dirs": '{"img": {"n_repeats": 1, "img_count": 10}}',
    "ss_datasets": '[{"subsets": [{"class_tokens": "glow", "is_reg": false}]}]',
    "modelspec.trigger_phrase": "glow; by night",
}
SHAPES = {
    "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (16, 2048),
}
RECORD = {
    "at": "2026-11-20T05:26:00Z",
    "type": "image",
    "id": "40001",
    "status": "success",
    "path": "한 [1]/images/1.jpg",
}
LINES = [{**RECORD, "size": 5, "sha256": "", "reason": "", "source": "x"}, {**RECORD, "id": "1/2", "type": "model"}]
LINK = "https://civitai.com/models/10001/lantern?modelVersionId=20001"
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "list": (
        read_a_list,
        [
            f'{LINK} --latest -o "D:\\a b" --max-images 0\r\n# {LINK}\n"{LINK}",\n12345\n'.encode(),
            "urn:air:sdxl:lora:civitai:10001@20001\nhttps://civitai.red/user/램프?tab=models\n10001@20001".encode(
                "utf-16"
            ),
            f"{'a1' * 32}\nAB12CD34EF\nhttps://civitai.com/tag/a%20b\nhttps://civitai.com/collections/5\n".encode(),
        ],
    ),
    "devalue": (
        read_devalue,
        [
            b'[{"a":1,"b":2,"c":6},"x",[3,4,-1],["Date","2026"],["Map",1,5],{"d":1},["Set",1,2]]',
            b"[[1,2,0],7,-3]",
            b"-1",
        ],
    ),
    "names": (
        make_names,
        [b"lantern v1.0 (final).safetensors", "한국어/CON.txt".encode(), b"../../etc/passwd", b"a" * 300],
    ),
    "log": (
        read_a_log,
        [b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in LINES * 2), bytes(40)],
    ),
    "models": (
        read_a_model,
        [
            safetensors(WORDS),
            safetensors({}, SHAPES),
            gguf(texts({"general.architecture": "flux", "general.name": "Lantern"}), SHAPES),
        ],
    ),
    "headers": (
        read_headers,
        [
            b"bytes 5-9/10",
            b"bytes */10",
            b"Fri, 20 Nov 2026 05:26:00 GMT",
            b"120",
            b"https://b.com/f?X-Amz-Date=20261120T052600Z&X-Amz-Expires=86400",
            b"attachment; filename=\"../x.safetensors\"; filename*=UTF-8''%2e%2e%2fx",
        ],
    ),
}


def mutated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """A seed after one to five accidents."""
    data = dice.choice(seeds)
    for _ in range(dice.randint(1, 5)):
        at, stop = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
        match dice.randrange(5):
            case 0:
                data = data[:at] + data[stop:]
            case 1:
                data = data[:at] + data[at:stop] * 2 + data[stop:]
            case 2:
                data = data[:at] + dice.choice(seeds)[at:stop] + data[stop:]
            case 3:
                data = data[:at] + dice.randbytes(dice.randint(1, 4)) + data[at:]
            case _:
                data = data[:at] + dice.choice(ODD) * dice.choice((1, 1, 1, 2, 50)) + data[at:]
    return data[:4000]


def fuzz(inputs: float, seconds: float, seed: int) -> int:
    """Try so many inputs, or for so long; how many it were. Raises what should not have been raised, with the input."""
    global _work
    dice, count, until = random.Random(seed), 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        _work = Path(folder)
        while count < inputs and time.monotonic() < until:
            for name, (target, seeds) in TARGETS.items():
                data = mutated(dice, seeds)
                try:
                    target(data)
                except Exception as error:
                    raise AssertionError(f"{name} fails on {data!r}") from error
                count += 1
    return count


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=str(__doc__).partition(":")[0])
    parser.add_argument("--inputs", type=float, default=math.inf)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    if options.inputs == options.seconds == math.inf:
        options.seconds = 60
    begun = time.monotonic()
    count = fuzz(options.inputs, options.seconds, options.seed)
    print(f"{count} inputs in {time.monotonic() - begun:.0f} s over {', '.join(TARGETS)}: nothing unforeseen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
