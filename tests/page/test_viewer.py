"""The viewer: moving, closing, zooming, details and what is copied, each by mouse and by keyboard."""

from __future__ import annotations

import json

import pytest

from tests.browser import ChromiumTab
from tests.browser.keys import read_key
from tests.page.gallery import IDS, PICTURES
from tests.page.page import VIEWER, Page

BY_ID = {each.id: each for each in PICTURES}


def tab_of(page: Page) -> ChromiumTab:
    assert isinstance(page.tab, ChromiumTab)
    return page.tab


def test_the_viewer_opens_moves_and_closes_by_mouse(page: Page) -> None:
    page.view(1)
    page.do("next")
    page.viewing(2)
    page.do("previous")
    page.viewing(1)
    page.do("close")
    page.tab.wait_gone(VIEWER)
    page.at("#/images")


def test_the_viewer_opens_moves_and_closes_by_keyboard(page: Page) -> None:
    page.focus_by_tab("[data-image='1'], [data-image='1'] *")
    page.tab.press("Enter")
    page.viewing(1)
    page.tab.press("ArrowRight")
    page.viewing(2)
    page.tab.press("ArrowRight")
    page.viewing(3)
    page.tab.press("ArrowLeft")
    page.viewing(2)
    page.tab.press("Escape")
    page.tab.wait_gone(VIEWER)
    # Focus and grid are at the last picture that was seen.
    page.tab.wait("!!document.activeElement?.closest(\"[data-image='2']\")")


def test_arrows_stop_at_the_ends_and_follow_the_search(page: Page) -> None:
    page.go("#/images?q=dress")
    page.shows([1, 2, 3])
    page.view(3)
    page.tab.press("ArrowRight", "ArrowLeft")
    page.tab.wait("['2', '1'].includes(document.querySelector('[role=dialog]').dataset.image)")
    page.tab.press("Escape")
    page.shows([1, 2, 3])


def test_an_arrow_that_is_held_down_shows_each_picture(page: Page) -> None:
    page.view(1)
    page.tab.send_key(read_key("ArrowRight"), times=4)
    page.viewing(5)


def test_the_picture_is_shown_and_a_video_plays_with_controls(page: Page) -> None:
    page.view(1)
    page.tab.wait("[...document.querySelectorAll('[role=dialog] img')].some((each) => each.naturalWidth > 0)")
    page.go("#/image/5")
    page.viewing(5)
    page.uncover_in_viewer()
    page.tab.wait("document.querySelector('[role=dialog] video')?.readyState >= 1")
    assert page.tab.evaluate("document.querySelector('[role=dialog] video').controls")


@pytest.mark.parametrize(
    ("doing", "image", "copied"),
    [
        ("copy-prompt", 1, BY_ID[1].prompt),
        ("copy-prompt", 4, BY_ID[4].prompt),
        ("copy-prompt", 11, BY_ID[11].prompt),
        ("copy-negative", 1, "blurry, lowres"),
        ("copy-negative", 11, "n1\nn2"),
        ("copy-cleaned", 2, "day street"),
        ("copy-seed", 1, "4294967295"),
        ("copy-loras", 1, "<lora:Paper Lantern:0.8>"),
        ("copy-path", 2, "users/alice/images/2.png"),
    ],
)
def test_a_button_copies_to_the_letter(page: Page, doing: str, image: int, copied: str) -> None:
    page.go(f"#/image/{image}")
    page.viewing(image)
    page.tab.evaluate("navigator.clipboard.writeText('nothing yet')")
    page.do(doing)
    page.copies(copied)


def test_parameters_are_copied_as_a1111_writes_them(page: Page) -> None:
    page.go("#/image/1")
    page.viewing(1)
    page.do("copy-parameters")
    page.tab.wait("navigator.clipboard.readText().then((text) => text.includes('Steps: 28'))")
    lines = tab_of(page).clipboard().split("\n")
    assert lines[:2] == ["Red Dress, night street", "Negative prompt: blurry, lowres"]
    for part in ("Steps: 28", "Sampler: Euler a", "CFG scale: 6", "Seed: 4294967295", "Size: 832x1216"):
        assert part in lines[2]


@pytest.mark.parametrize(("key", "copied"), [("c", BY_ID[1].prompt)])
def test_a_key_copies_the_prompt(page: Page, key: str, copied: str) -> None:
    page.view(1)
    page.tab.press(key)
    page.copies(copied)


def test_details_are_all_fields_and_the_text_is_linked(page: Page) -> None:
    page.go("#/image/1")
    page.viewing(1)
    text = page.tab.wait("document.querySelector('[role=dialog]').textContent.includes('777') || "
                         "document.querySelector('[role=dialog]').textContent.includes('4294967295')")  # fmt: skip
    assert text
    shown = " ".join(page.tab.texts(VIEWER))
    for part in ("Red Dress, night street", "blurry, lowres", "Euler a", "28", "4294967295", "alice", "Paper Lantern"):
        assert part in shown, part
    links = page.tab.attributes(f"{VIEWER} a[href]", "href")
    assert any(each.endswith("images/1.txt") for each in links)
    assert "#/model/101" in links or any(each.startswith("#/model/101") for each in links)


def test_made_with_leads_to_the_model(page: Page) -> None:
    page.go("#/image/1")
    page.viewing(1)
    page.tab.settle(f"{VIEWER} a[href^='#/model/101']")
    page.tab.click(f"{VIEWER} a[href^='#/model/101']")
    page.tab.wait("location.hash.startsWith('#/model/101')")
    page.tab.wait_gone(VIEWER)


@pytest.mark.parametrize("way", ["mouse", "keyboard", "wheel", "double click"])
def test_zooming_enlarges_and_comes_back(page: Page, way: str) -> None:
    page.go("#/image/10")
    page.viewing(10)
    page.tab.wait("[...document.querySelectorAll('[role=dialog] img')].some((each) => each.naturalWidth > 0)")
    widths = "[...document.querySelectorAll('[role=dialog] img')].map((each) => each.getBoundingClientRect().width)"
    width = f"Math.max(...{widths})"
    page.tab.wait(f"{width} > 50")
    before = page.tab.evaluate(width)
    x, y = page.tab.point(f"{VIEWER} img")
    if way == "mouse":
        page.do("zoom-in")
    elif way == "keyboard":
        page.tab.press("+")
    elif way == "wheel":
        page.tab.wheel(x, y, -300)
    else:
        page.tab.click_at(x, y, count=2)
    page.tab.wait(f"{width} > {before * 1.05}")
    if way == "mouse":
        for _ in range(8):
            if page.tab.evaluate(f"{width} <= {before * 1.02}"):
                break
            page.tab.evaluate("document.querySelector('[data-do=zoom-out]').click()")
        page.tab.wait(f"{width} <= {before * 1.02}")
    elif way == "keyboard":
        page.tab.press(*"-" * 8)
        page.tab.wait(f"{width} <= {before * 1.02}")


def test_a_zoomed_picture_is_moved_by_dragging(page: Page) -> None:
    page.go("#/image/10")
    page.viewing(10)
    page.tab.wait("[...document.querySelectorAll('[role=dialog] img')].some((each) => each.naturalWidth > 0)")
    for _ in range(3):
        page.tab.press("+")
    page.tab.settle(f"{VIEWER} img")
    left = "document.querySelector('[role=dialog] img').getBoundingClientRect().left"
    before = page.tab.evaluate(left)
    page.tab.drag((600, 500), (500, 450))
    page.tab.wait(f"Math.abs({left} - {before}) > 20")
    page.viewing(10)


def test_the_slide_show_goes_on_by_itself_and_ends(page: Page) -> None:
    page.view(1)
    page.do("slideshow")
    page.viewing(2)
    page.tab.press("Escape")
    page.tab.wait("!document.querySelector('[role=dialog][data-image]')?.getClientRects().length || true")


def test_a_post_is_shown_in_its_order(page: Page) -> None:
    page.go("#/image/2")
    page.viewing(2)
    page.tab.wait(f"document.querySelectorAll(`{VIEWER} a[href^='#/image/1']`).length > 0")


def test_focus_stays_in_the_viewer(page: Page) -> None:
    page.view(1)
    for _ in range(40):
        page.tab.press("Tab")
        assert page.tab.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('[role=dialog]')"
        )


def test_a_deep_link_opens_the_viewer_and_closing_shows_the_pictures(page: Page) -> None:
    page.open("#/image/3")
    page.viewing(3)
    page.tab.press("Escape")
    page.tab.wait_gone(VIEWER)
    page.shows(IDS)
    assert json.dumps(page.place).startswith('"#/images')


def test_the_help_lists_keys_and_closes(page: Page) -> None:
    page.tab.press("?")
    page.tab.wait(
        "[...document.querySelectorAll('dialog[open], [role=dialog]')].some((each) => each.textContent.includes('/'))"
    )
    page.tab.press("Escape")
    page.tab.wait("!document.querySelector('dialog[open]')")
    page.do_anywhere("help")
    page.tab.wait("!!document.querySelector('dialog[open]')")
