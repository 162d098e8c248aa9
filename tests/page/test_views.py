"""Small things of the views: previews, what stands where a picture cannot, and browsers that lack something."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.browser import ChromiumTab
from tests.page.conftest import make_page
from tests.page.gallery import fill_gallery
from tests.page.page import Page

OpenTab = Callable[..., ChromiumTab]


def test_the_page_of_a_model_begins_with_its_preview(page: Page) -> None:
    page.go("#/model/101")
    page.tab.wait("!!document.querySelector('.portrait img[src]')?.naturalWidth")


def test_the_preview_on_the_page_of_a_model_is_covered_as_anywhere(page: Page) -> None:
    page.go("#/model/103")
    page.tab.wait("document.querySelector('.portrait .cover')?.hidden === false")
    assert not page.tab.exists(".portrait img[src]")
    page.tab.press("b")
    page.tab.wait("document.querySelector('.portrait .cover').hidden")


def test_a_card_leafs_through_the_pictures_of_its_model(page: Page) -> None:
    page.go("#/models")
    page.tab.wait_for("[data-model='102'] img[src]")
    page.tab.hover("[data-model='102']")
    page.tab.wait("/images.3[.]png$/.test(document.querySelector(\"[data-model='102'] img\").getAttribute('src'))")


def test_a_description_is_plain_where_the_browser_cleans_no_markup(gallery: Path, open_tab: OpenTab) -> None:
    tab = open_tab(before="delete Element.prototype.setHTML")
    Page(tab, gallery).open("#/model/101")
    tab.wait("document.querySelector('.description')?.textContent === 'Warm paper light.'")


def test_a_video_without_a_small_picture_shows_a_sign_and_its_name(tmp_path: Path, open_tab: OpenTab) -> None:
    fill_gallery(tmp_path)
    video = next(tmp_path.rglob("5.mp4"))
    shutil.copy(video, video.with_name("77.mp4"))  # without a text, so without a hash
    make_page(tmp_path)
    tab = open_tab()
    Page(tab, tmp_path).open("#/images?kind=video")
    tab.wait("document.querySelector(\"[data-image='77'] .sign:not([hidden])\")?.textContent === '77.mp4'")


def test_a_picture_of_a_few_pixels_is_not_told_in_thousands_of_percent(page: Page) -> None:
    page.view(1)
    page.tab.wait("/^[0-9]+×$/.test(document.querySelector('.zoom').textContent)")


def test_details_name_the_models_when_the_picture_is_opened_first(gallery: Path, open_tab: OpenTab) -> None:
    tab = open_tab()
    Page(tab, gallery).open("#/image/1")
    tab.wait("!!document.querySelector('.made a[href=\"#/model/101\"]')")
