"""What an author wrote can be read from disk: nothing is loaded, nothing runs, links for people stay."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.markup import offline
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import add_file, link

HOSTILE = [
    '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
    "<META HTTP-EQUIV=refresh CONTENT='0;url=//evil.example'>",
    '<link rel="preconnect" href="https://evil.example">',
    '<link rel=prefetch href="https://evil.example"><link rel="dns-prefetch" href="//evil.example">',
    '<base href="https://evil.example/">',
    '<script src="https://evil.example/x.js"></script>',
    "<script>location='https://evil.example'</script>",
    '<img src="https://evil.example/x.png" onerror="alert(1)">',
    '<img srcset="https://evil.example/x.png 2x">',
    "<picture><source srcset='https://evil.example/x.webp'></picture>",
    '<iframe src="https://evil.example/"></iframe>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    '<object data="https://evil.example/x.swf"></object><embed src="https://evil.example/x.swf">',
    '<form action="https://evil.example/"><input name=q><button>Go</button></form>',
    "<style>@import url(https://evil.example/x.css); body { background: url(//evil.example) }</style>",
    '<p style="background:url(https://evil.example/x.png)">x</p>',
    '<table background="https://evil.example/x.png"><tr><td>x</td></tr></table>',
    "<video src='https://evil.example/x.mp4' poster='https://evil.example/x.png' autoplay></video>",
    "<svg><image href='https://evil.example/x.svg'/><use href='https://evil.example/x#y'/></svg>",
    "<svg onload=alert(1)><script href=https://evil.example/></script></svg>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    '<a href="javascript:alert(1)">x</a><a href="data:text/html,x">x</a><a href=" jav&#x09;ascript:alert(1)">x</a>',
    '<a href="https://a.example/" ping="https://evil.example/" onclick="alert(1)" download>x</a>',
    "</body></html><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<!-- --!><script>alert(1)</script> -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<p title='\"><script>alert(1)</script>'>x</p>",
    "<noscript><p title='</noscript><script>alert(1)</script>'></noscript>",
    "<textarea><script>alert(1)</script></textarea><title><script>alert(1)</script></title>",
    "<xmp><script>alert(1)</script></xmp><plaintext><script>alert(1)</script>",
    "<template><script>alert(1)</script></template>",
    "<scr<script>ipt>alert(1)</script>",
    "<script/x>alert(1)</script ><p/onclick=alert(1)>x",
    "<p\x00 onclick=alert(1)><\x00script>alert(1)</script>",
    '<img src="data:image/svg+xml,<svg onload=alert(1)>">',
    "&lt;script&gt;alert(1)&lt;/script&gt; &amp;lt;script&amp;gt;",
    "<script>never closed",
    "<p title='never closed",
]
ALLOWED = frozenset(("href", "rel", "title", "start", "colspan", "rowspan"))


class Seen(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(markup: str) -> Seen:
    """Check that nothing in it loads or runs, and that every tag is closed."""
    seen = Seen()
    seen.feed(markup)
    seen.close()
    assert not seen.open
    for tag, attributes in seen.tags:
        assert (
            tag not in "script style link meta base iframe object embed form input svg video audio source img".split()
        )
        assert set(attributes) <= ALLOWED
        assert re.match(r"https?:|mailto:", attributes.get("href") or "https:")
        assert tag == "a" or "href" not in attributes
    return seen


@pytest.mark.parametrize("markup", HOSTILE)
def test_nothing_in_a_description_loads_or_runs(markup: str) -> None:
    check(offline(f"before {markup}"))
    check(offline(f"<p><b>before {markup} after</b> the end</p>"))


@given(st.lists(st.sampled_from([*HOSTILE, *"<>\"'=/ab!-&", "<p>", "</p>", "<b", "<!--", "]]>", "</script>"])))
def test_nothing_loads_or_runs_however_it_is_put_together(pieces: list[str]) -> None:
    check(offline("".join(pieces)))


def test_words_and_their_form_and_links_stay() -> None:
    words = (
        "<h1>Use</h1><p>Write <strong>paper</strong> &amp; <code>&lt;lora:x:1&gt;</code><br>"
        '<a href="https://a.example/?x=1&amp;y=2" rel="noreferrer">here</a></p><ol start="3"><li>one</li></ol>'
    )
    assert offline(words) == words
    assert offline("<center><font color=red>red</font></center>") == "red"
    assert offline("a &lt;b&gt; 1 < 2 > 0 &#" + "9" * 5000 + ";") == "a &lt;b&gt; 1 &lt; 2 &gt; 0 \ufffd"
    assert offline("<p>one<p>two") == "<p>one<p>two</p></p>"


def test_what_would_be_loaded_is_a_link_instead() -> None:
    picture = '<img src="https://a.example/x.png" alt="a &lt;lantern&gt;">'
    assert offline(picture) == '<a href="https://a.example/x.png" rel="noreferrer">a &lt;lantern&gt;</a>'
    linked = offline(f'<a href="https://a.example/">{picture}</a>')
    assert linked == '<a href="https://a.example/" rel="noreferrer">a &lt;lantern&gt;</a>'
    frame = offline('<iframe src="https://www.youtube.com/embed/x"></iframe>')
    assert frame.startswith('<a href="https://www.youtube.com/embed/x"')


@pytest.mark.parametrize(
    "piece", ["<", "<!", "<!--", "<![", "<a ", "<p title='", "&", "&#", "<b>", "</", "<script>", "<?", "<p a='b'", "a"]
)
def test_a_long_description_takes_no_time(piece: str) -> None:
    begun = time.monotonic()
    offline(piece * 50_000)
    assert time.monotonic() - begun < 10


def test_descriptions_are_offline_and_without_secrets(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    model = site.world.models[10001]
    model.description = "".join(HOSTILE[:20]) + (
        '<p>Hello <a href="https://u:p@a.example/?token=HUSH&amp;x=1">you</a> good-token</p>'
    )
    assert run("--token", "good-token", link(site)) == 0
    page = one_file(out, "description.html").read_text("utf-8")
    assert "Hello" in page
    assert 'href="https://a.example/?x=1"' in page
    assert page.count("http-equiv") == 1
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; ")
    for word in ("HUSH", "good-token", "u:p", "<script", "preconnect", "prefetch", "<base", "<iframe", "refresh"):
        assert word not in page
