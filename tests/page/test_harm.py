"""What may go wrong: hostile names and texts, missing and torn chunks, refused storage, an empty library."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core import chunks, stock
from civitai_downloader.util.disks import Disk
from civitai_downloader.util.files import write_file
from tests.browser import ChromiumTab
from tests.page.conftest import OpenPage, make_page
from tests.page.page import STATUS, VIEWER, Page
from tests.page_library import NAMES, SCRIPTS, Model, Picture, Shelf, Version, hostile, lora, numbered

# As Chromium does where storage is blocked, and as a full disk does.
REFUSED = """
for (const name of ["localStorage", "indexedDB", "sessionStorage"])
  Object.defineProperty(window, name, {get() { throw new DOMException("It is insecure.", "SecurityError"); }});
"""
FULL = """
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
IDBFactory.prototype.open = () => { throw new DOMException("full", "QuotaExceededError"); };
"""
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="session")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a hostile library with its page."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile(folder)
    make_page(folder)
    return folder


def unharmed(page: Page) -> None:
    """Raise AssertionError if a text of the library ran, or tried to."""
    assert page.tab.evaluate("document.title") not in ("harmed", "1")
    assert page.tab.evaluate("document.querySelectorAll('iframe:not([sandbox]), object, embed').length") == 0
    foreign = "script:not([src]), [onerror], [onload], [onclick], a[href^='javascript:' i]"
    assert page.tab.evaluate(f"document.querySelectorAll(`{foreign}`).length") == 0
    assert page.tab.evaluate("window.violations") == []


def test_a_hostile_library_runs_no_script_anywhere(open_page: OpenPage, harmful: Path) -> None:
    page = open_page(harmful, before=VIOLATIONS)
    assert page.count >= len(NAMES) + len(SCRIPTS)
    unharmed(page)
    for view in ("grid", "list", "compact"):
        for place in ("images", "models"):
            page.go(f"#/{place}?view={view}")
            page.tab.wait(f"!!document.querySelector('[data-{place[:-1]}]:not([role=dialog])')")
            unharmed(page)
    for number in range(len(NAMES)):
        page.go(f"#/model/{1000 + number}")
        page.counts(1)
        unharmed(page)
    for number in range(len(SCRIPTS)):
        page.go(f"#/image/{6000 + number}")
        page.viewing(6000 + number)
        page.tab.wait(f"document.querySelector('{VIEWER}').textContent.length > 100")
        unharmed(page)


def test_a_hostile_prompt_is_copied_to_the_letter(open_page: OpenPage, harmful: Path) -> None:
    page = open_page(harmful, before=VIOLATIONS)
    for number, words in enumerate(SCRIPTS):
        page.go(f"#/image/{6000 + number}")
        page.viewing(6000 + number)
        page.tab.settle("[data-do=copy-prompt]")
        page.do("copy-prompt")
        page.copies(words.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    unharmed(page)


def test_hostile_names_open_their_pictures_and_can_be_searched(open_page: OpenPage, harmful: Path) -> None:
    page = open_page(harmful, before=VIOLATIONS)
    for number in range(len(NAMES)):
        page.go(f"#/image/{5000 + number}")
        page.viewing(5000 + number)
        page.tab.wait(f"[...document.querySelectorAll('{VIEWER} img')].some((each) => each.naturalWidth > 0)")
        assert page.tab.evaluate("location.href").startswith(harmful.as_uri())
    page.go("#/images")
    page.search("</script>")
    page.tab.wait(f"document.querySelector('{STATUS}').dataset.count > 2")
    unharmed(page)


def test_broken_texts_leave_the_picture(open_page: OpenPage, harmful: Path) -> None:
    page = open_page(harmful, before=VIOLATIONS)
    for number in (7001, 7002, 7003, 7004, 7005, 7006, 7007, 7008, 7009, 7010, 7011, 7012):
        page.go(f"#/images?q=id:{number}")
        page.shows([number])
    page.go("#/image/7001")
    page.viewing(7001)
    page.tab.complaints.clear()


def two_chunks(folder: Path) -> None:
    """Make a page with more pictures than a chunk holds, and with models."""
    shelf = Shelf(folder).add(Model(7, "Many", (Version(71),)))
    shelf.add(*numbered(1100, model=7), *(Picture(9_000 + number, "a unicorn") for number in range(3)))
    make_page(folder)


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "of another language"])
def test_a_chunk_that_is_missing_or_torn_is_said_in_one_line(open_page: OpenPage, tmp_path: Path, how: str) -> None:
    two_chunks(tmp_path)
    whole, *_ = sorted((tmp_path / ".page" / "data").glob("p-*.js"), key=lambda path: -path.stat().st_size)
    assert ".more" not in whole.name
    if how == "missing":
        whole.unlink()
    else:
        text = whole.read_bytes()
        whole.write_bytes(
            {"cut": text[: len(text) // 2], "empty": b"", "of another language": b"civitai.chunk(1)"}[how]
        )
    page = open_page(tmp_path)
    page.tab.wait("[...document.querySelectorAll('[role=alert]')].some((each) => each.textContent.includes('--page'))")
    assert 0 < page.count < 1103
    page.tab.complaints.clear()


def test_a_page_opened_while_its_data_are_written_again_shows_a_whole_library(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path).add(*numbered(5))
    make_page(tmp_path)
    seen = []

    def look(path: Path, data: bytes, disk: Disk | None = None) -> bool:
        is_new = write_file(path, data, disk)
        page = open_page(tmp_path)
        alerts = "[...document.querySelectorAll('[role=alert]')].filter((each) => each.getClientRects().length)"
        assert page.tab.evaluate(f"{alerts}.map((each) => each.innerText)") == []
        seen.append(page.count)
        return is_new

    for module in (chunks, stock):
        monkeypatch.setattr(module, "write_file", look)
    shelf.add(*(Picture(9_000 + number, "a unicorn") for number in range(3)))
    make_page(tmp_path)
    assert sorted(set(seen)) == [5, 8]
    assert seen == sorted(seen)


def test_details_that_are_missing_are_said_where_they_belong(open_page: OpenPage, tmp_path: Path) -> None:
    Shelf(tmp_path).add(*numbered(3))
    make_page(tmp_path)
    for path in (tmp_path / ".page" / "data").glob("p-*.more.js"):
        path.unlink()
    page = open_page(tmp_path)
    page.view(40_000)
    page.tab.wait("/--page/.test(document.body.textContent)")
    page.tab.press("ArrowRight")
    page.viewing(40_001)
    page.tab.complaints.clear()


def test_without_a_manifest_the_page_says_what_to_do(open_tab: object, tmp_path: Path) -> None:
    Shelf(tmp_path).add(*numbered(3))
    make_page(tmp_path)
    (tmp_path / ".page" / "data" / "manifest.js").unlink()
    tab = open_tab()  # type: ignore[operator]
    assert isinstance(tab, ChromiumTab)
    tab.open((tmp_path / "index.html").as_uri())
    tab.wait("/--page/.test(document.body.innerText)")
    tab.complaints.clear()


@pytest.mark.parametrize("script", [REFUSED, FULL], ids=["refused", "full"])
def test_refused_storage_is_said_and_everything_else_works(open_page: OpenPage, gallery: Path, script: str) -> None:
    page = open_page(gallery, before=script)
    page.search("dress")
    page.shows([1, 2, 3])
    page.tab.press("Enter")
    page.tab.wait("[...document.querySelectorAll('[role=alert], [role=status]')].some((each) => "
                  "/stor|remember|keep|kept|saved/i.test(each.textContent))")  # fmt: skip
    page.view(1)
    page.tab.press("Escape")
    page.tab.complaints.clear()


def test_an_empty_library_says_what_to_do(open_page: OpenPage, tmp_path: Path) -> None:
    make_page(tmp_path)
    page = open_page(tmp_path, "")
    page.counts(0)
    page.tab.wait("document.querySelector('main').innerText.length > 10")
    assert page.ids() == []


def test_a_library_of_models_alone_begins_with_them(open_page: OpenPage, tmp_path: Path) -> None:
    Shelf(tmp_path).add(Model(7, "Only", (Version(71),)))
    make_page(tmp_path)
    page = open_page(tmp_path, "")
    page.shows([7], "model")


def test_a_page_of_another_format_says_so(open_page: OpenPage, tmp_path: Path, open_tab: object) -> None:
    Shelf(tmp_path).add(*numbered(3))
    make_page(tmp_path)
    manifest = tmp_path / ".page" / "data" / "manifest.js"
    text = manifest.read_text("utf-8").replace('"format":2', '"format":99').replace('\\"format\\":2', '\\"format\\":99')
    assert "99" in text
    manifest.write_text(text, "utf-8")
    tab = open_tab()  # type: ignore[operator]
    tab.open((tmp_path / "index.html").as_uri())
    tab.wait("/--page/.test(document.body.innerText)")
    tab.complaints.clear()


def test_prompts_of_every_length_are_kept_whole(open_page: OpenPage, tmp_path: Path) -> None:
    long = "tag, " * 2_800
    Shelf(tmp_path).add(Picture(1, long, long, resources=(lora("x"),)), Picture(2, "", ""))
    make_page(tmp_path)
    page = open_page(tmp_path, "#/image/1")
    page.viewing(1)
    page.do("copy-prompt")
    page.copies(long)
