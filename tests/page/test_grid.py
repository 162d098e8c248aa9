"""The wall of pictures: thousands of them, moving by keys, covered levels, and what is never loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import ChromiumTab
from tests.page.conftest import OpenPage, make_page
from tests.page.gallery import IDS
from tests.page.page import VIEWER, Page
from tests.page_library import Model, Shelf, Version, numbered


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 1,200 pictures and its page."""
    folder = tmp_path_factory.mktemp("many")
    shelf = Shelf(folder).add(Model(7, "Many", (Version(71),)))
    shelf.add(*numbered(1200, model=7))
    make_page(folder)
    return folder


def test_only_what_is_near_is_drawn_and_the_end_is_reached(open_page: OpenPage, many: Path) -> None:
    page = open_page(many)
    page.counts(1200)
    assert 0 < len(page.ids()) < 300
    assert page.ids()[0] == 40_000
    page.tab.click_at(900, 500)
    page.tab.press("Escape")
    page.scroll_to_end()
    page.tab.wait("!!document.querySelector(\"[data-image='41199']\")")
    assert len(page.ids()) < 300


def test_rows_are_full_and_pictures_keep_their_shape(page: Page) -> None:
    page.shows(IDS)
    boxes = page.boxes()
    assert boxes[3][0] / boxes[3][1] == pytest.approx(1216 / 832, rel=0.03)
    assert boxes[2][0] / boxes[2][1] == pytest.approx(1, rel=0.03)
    assert boxes[1][0] / boxes[1][1] == pytest.approx(832 / 1216, rel=0.03)


@pytest.mark.parametrize("view", ["grid", "compact", "list"])
def test_arrow_keys_move_the_focus_and_enter_opens(page: Page, view: str) -> None:
    page.go(f"#/images?view={view}&q=-id:5")
    page.shows([each for each in IDS if each != 5])
    page.focus_by_tab("[data-image='1'], [data-image='1'] *")
    step = "ArrowDown" if view == "list" else "ArrowRight"
    page.tab.press(step, step)
    page.tab.wait("!!document.activeElement?.closest(\"[data-image='3']\")")
    page.tab.press("ArrowUp" if view == "list" else "ArrowLeft")
    page.tab.wait("!!document.activeElement?.closest(\"[data-image='2']\")")
    page.tab.press("End")
    page.tab.wait("!!document.activeElement?.closest(\"[data-image='6']\")")
    page.tab.press("Home", "Enter")
    page.viewing(1)


def test_one_tab_stop_leads_into_the_wall_and_the_next_one_out_of_it(page: Page) -> None:
    page.focus_by_tab("[data-image='1'], [data-image='1'] *")
    page.tab.press("Tab")
    assert not page.tab.evaluate("!!document.activeElement?.closest('[data-image]')")


def loaded(page: Page) -> set[str]:
    """Return the names of the pictures and videos that the page has loaded."""
    page.tab.evaluate("new Promise((then) => setTimeout(then, 300))")
    return {each.rpartition("/")[2].partition("?")[0] for each in page.tab.requests if "/images/" in each}


def test_covered_levels_are_not_loaded(page: Page) -> None:
    page.shows(IDS)
    page.tab.wait(
        "[...document.querySelectorAll('[data-image] img')].filter((each) => each.naturalWidth > 1).length >= 7"
    )
    assert loaded(page) & {"5.mp4", "7.webp", "8.png"} == set()
    assert {"1.png", "2.png"} <= loaded(page)


def test_a_picture_is_uncovered_by_its_first_click_and_opened_by_the_second(page: Page) -> None:
    page.shows(IDS)
    page.tab.click("[data-image='7']:not([role=dialog])")
    page.tab.wait("document.querySelector(\"[data-image='7'] img\")?.naturalWidth > 1")
    assert not page.tab.exists(VIEWER + "[data-image='7']") or not page.place.startswith("#/image/7")
    assert "8.png" not in loaded(page)
    page.view(7)


def test_a_covered_picture_is_uncovered_by_keyboard(page: Page) -> None:
    page.go("#/images?q=id:7 OR id:8")
    page.shows([7, 8])
    page.focus_by_tab("[data-image='7'], [data-image='7'] *")
    page.tab.press("Enter")
    page.tab.wait("document.querySelector(\"[data-image='7'] img\")?.naturalWidth > 1")
    page.tab.press("Enter")
    page.viewing(7)


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_all_are_uncovered_and_covered_again(page: Page, way: str) -> None:
    page.shows(IDS)
    page.do_anywhere("cover") if way == "mouse" else page.tab.press("b")
    page.tab.wait("document.querySelector(\"[data-image='8'] img\")?.naturalWidth > 1")
    page.do_anywhere("cover") if way == "mouse" else page.tab.press("b")
    page.tab.wait("!(document.querySelector(\"[data-image='8'] img\")?.naturalWidth > 1)")


def test_the_level_from_which_pictures_are_covered_is_chosen_and_remembered(page: Page) -> None:
    page.shows(IDS)
    page.open_menu_of("select[data-do=level]")
    page.tab.choose("select[data-do=level]", "XXX")
    page.tab.wait("document.querySelector(\"[data-image='7'] img\")?.naturalWidth > 1")
    assert "8.png" not in loaded(page)
    page.open()
    page.tab.wait("document.querySelector(\"[data-image='7'] img\")?.naturalWidth > 1")
    assert "8.png" not in loaded(page)


def test_arrows_in_the_viewer_load_no_covered_picture(page: Page) -> None:
    page.go("#/images?q=id:1 OR id:7 OR id:8")
    page.shows([1, 7, 8])
    page.view(1)
    page.tab.press("ArrowRight")
    page.viewing(7)
    page.tab.press("ArrowRight")
    page.viewing(8)
    assert loaded(page) & {"7.webp", "8.png"} == set()


def test_a_video_plays_on_hover_only(page: Page) -> None:
    page.go("#/images?kind=video")
    page.shows([5])
    page.tab.press("b")
    page.tab.wait("!!document.querySelector(\"[data-image='5'] video, [data-image='5'] img\")")
    page.tab.move(5, 5)
    page.tab.hover("[data-image='5']:not([role=dialog])")
    page.tab.wait("document.querySelector(\"[data-image='5'] video\")?.currentTime > 0")


def test_a_picture_that_is_not_there_is_said_to_be_missing(open_page: OpenPage, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    shelf = Shelf(folder)
    shelf.add(*numbered(3))
    make_page(folder)
    next(folder.rglob("40001.png")).unlink()
    page = open_page(folder)
    page.shows([40_000, 40_001, 40_002])
    page.tab.wait("document.querySelector(\"[data-image='40001']\").textContent.includes('40001')")
    page.tab.wait("document.querySelector(\"[data-image='40002'] img\").naturalWidth > 0")
    page.tab.complaints = [each for each in page.tab.complaints if "ERR_FILE_NOT_FOUND" not in each]


def test_a_folder_that_moves_while_the_page_is_open_shows_broken_pictures(open_page: OpenPage, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    Shelf(folder).add(*numbered(3))
    make_page(folder)
    page = open_page(folder)
    page.shows([40_000, 40_001, 40_002])
    folder.rename(tmp_path / "moved")
    page.view(40_001)
    page.tab.press("ArrowRight")
    page.viewing(40_002)
    page.tab.press("Escape")
    page.search("lantern")
    page.shows([40_000, 40_001, 40_002])
    page.folder = tmp_path / "moved"
    page.open()
    page.shows([40_000, 40_001, 40_002])
    page.tab.wait("document.querySelector(\"[data-image='40002'] img\").naturalWidth > 0")
    lost = f"ERR_FILE_NOT_FOUND {folder.as_uri()}/"
    page.tab.complaints = [each for each in page.tab.complaints if lost not in each]


def test_the_size_of_the_pictures_is_chosen_and_remembered(page: Page) -> None:
    page.shows(IDS)
    slider = "input[type=range]"
    if not page.tab.exists(slider):
        pytest.skip("no slider")
    before = page.boxes()[1][1]
    page.open_menu_of(slider)
    page.tab.call("(each) => document.querySelector(each).focus()", slider)
    page.tab.press("ArrowRight", "ArrowRight")
    page.tab.wait(f"document.querySelector(\"[data-image='1']\").getBoundingClientRect().height > {before} * 1.15")
    page.open()
    page.shows(IDS)
    assert page.boxes()[1][1] > before * 1.15


def test_a_middle_click_opens_another_tab_and_leaves_this_one(page: Page) -> None:
    page.shows(IDS)
    assert isinstance(page.tab, ChromiumTab)
    assert page.tab.evaluate("!!document.querySelector(\"[data-image='1']\").closest('a[href]') || "
                             "!!document.querySelector(\"[data-image='1'] a[href]\")")  # fmt: skip
