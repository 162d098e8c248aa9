"""A local imitation of Civitai for tests and the demo: REST API, tRPC, downloads, storage, pictures, and every failure.

    with FakeCivitai(demo_world()) as site:
        site.fail("storage:/", Cut(after=1000))         # the first body from storage ends early
        main(["--site", site.url, f"{site.url}/models/10001"])
        assert site.seen("storage")[1].headers["range"] == "bytes=1000-"

Four servers run, each on its own port, because the real site is spread over hosts that hardly trust each other: the
site (API, download links and pages), the signed storage of model files, picture delivery, and the public blobs behind
it. A test that needs something stranger than the switches of `World` uses `Rewrite` or `Status`.

A request travels through the files like this:

* `server` receives it as a call (`calls`) and asks `faults` whether it goes wrong, either in what is answered
  (`faults_answer`) or in how the answer is sent (`faults_send`).
* `routes` finds the function that answers it: in the `rest_*` files, `downloads`, `storage`, `pictures`, `trpc`, which
  leads on to the other `trpc_*` files, or `pages`.
* That function looks into the `world`, which consists of `records` with generated `content`, and makes one of the
  `replies`. `paging` cuts lists into pages, `encoding` packs the answers of tRPC, and `words` holds the words that the
  site fixes.

`examples` and `recorded` fill a world; `python -m tests.fake_civitai` runs the demo. Tests import from here.
"""

from __future__ import annotations

from .calls import Call, Host
from .content import Body, gif_bytes, jpeg_bytes, mp4_bytes, png_bytes, safetensors_bytes, webm_bytes, webp_bytes
from .encoding import UNDEFINED, Date, devalue, superjson
from .examples import demo_world
from .faults import NO_FAULT, Action, Fault
from .faults_answer import (
    CHALLENGE,
    CLOUDFLARE_520,
    CLOUDFLARE_524,
    EMPTY,
    HTML_PAGE,
    JSON_PAGE,
    MAINTENANCE,
    REGION_BLOCKED,
    Always416,
    BigJson,
    BrokenJson,
    Changed,
    FlipBit,
    Gzip,
    GzipBomb,
    IgnoreIfRange,
    IgnoreRange,
    MultipartRanges,
    NoContentRange,
    RedirectTo,
    Rewrite,
    Status,
    Unasked206,
    Validators,
    WrongStart,
    WrongTotal,
    busy,
    http_date,
)
from .faults_lists import BadRow, DropFilter, Metadata, Nested
from .faults_send import (
    GARBAGE,
    HUGE_HEADERS,
    MANY_HEADERS,
    NO_ANSWER,
    TWO_LENGTHS,
    Cut,
    CutChunked,
    CutUnsized,
    Delay,
    DripHeaders,
    EndlessLines,
    EndlessRedirectBody,
    HangUp,
    Interim,
    Length,
    Longer,
    Raw,
    Reset,
    ResetEvery,
    Stall,
    Trickle,
)
from .pictures import ACCOUNT
from .recorded import load_recorded
from .records import FakeFile, FakeImage, from_now
from .server import FakeCivitai
from .storage import signed_url
from .world import FakeModel, FakeVersion, World

__all__ = [
    "ACCOUNT",
    "CHALLENGE",
    "CLOUDFLARE_520",
    "CLOUDFLARE_524",
    "EMPTY",
    "GARBAGE",
    "HTML_PAGE",
    "HUGE_HEADERS",
    "JSON_PAGE",
    "MAINTENANCE",
    "MANY_HEADERS",
    "NO_ANSWER",
    "NO_FAULT",
    "REGION_BLOCKED",
    "TWO_LENGTHS",
    "UNDEFINED",
    "Action",
    "Always416",
    "BadRow",
    "BigJson",
    "Body",
    "BrokenJson",
    "Call",
    "Changed",
    "Cut",
    "CutChunked",
    "CutUnsized",
    "Date",
    "Delay",
    "DripHeaders",
    "DropFilter",
    "EndlessLines",
    "EndlessRedirectBody",
    "FakeCivitai",
    "FakeFile",
    "FakeImage",
    "FakeModel",
    "FakeVersion",
    "Fault",
    "FlipBit",
    "Gzip",
    "GzipBomb",
    "HangUp",
    "Host",
    "IgnoreIfRange",
    "IgnoreRange",
    "Interim",
    "Length",
    "Longer",
    "Metadata",
    "MultipartRanges",
    "Nested",
    "NoContentRange",
    "Raw",
    "RedirectTo",
    "Reset",
    "ResetEvery",
    "Rewrite",
    "Stall",
    "Status",
    "Trickle",
    "Unasked206",
    "Validators",
    "World",
    "WrongStart",
    "WrongTotal",
    "busy",
    "demo_world",
    "devalue",
    "from_now",
    "gif_bytes",
    "http_date",
    "jpeg_bytes",
    "load_recorded",
    "mp4_bytes",
    "png_bytes",
    "safetensors_bytes",
    "signed_url",
    "superjson",
    "webm_bytes",
    "webp_bytes",
]
