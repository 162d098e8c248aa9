"""Models: cards, a model's own page, its words and paths to copy, and what is gone or newer."""

from __future__ import annotations

import pytest

from tests.page.page import Page


def test_cards_show_preview_name_and_type(page: Page) -> None:
    page.go("#/models")
    page.shows([101, 102, 103], "model")
    page.tab.wait("document.querySelector(\"[data-model='101'] img\")?.naturalWidth > 0")
    assert "Paper Lantern" in page.tab.texts("[data-model='101']")[0]
    assert "LORA" in page.tab.texts("[data-model='101']")[0]


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_card_leads_to_the_models_page_and_back(page: Page, way: str) -> None:
    page.go("#/models")
    page.shows([101, 102, 103], "model")
    if way == "mouse":
        page.tab.click("[data-model='102']")
    else:
        page.focus_by_tab("[data-model='102'], [data-model='102'] *", "ArrowRight")
        page.tab.press("Enter")
    page.at("#/model/102")
    page.shows([2, 3])
    page.back()
    page.shows([101, 102, 103], "model")


def test_a_models_page_tells_what_is_known(page: Page) -> None:
    page.open("#/model/101")
    page.shows([1])
    shown = " ".join(page.tab.texts("main"))
    for part in ("Paper Lantern", "lantern_maker", "Warm", "v1.0", "v2.0", "SDXL 1.0", "paper lantern", "night, rain"):
        assert part in shown, part
    assert "Paper Lantern.safetensors" in shown


def test_what_is_gone_is_said_with_its_day(page: Page) -> None:
    page.open("#/model/103")
    page.shows([7])
    assert "2026" in " ".join(page.tab.texts("main"))
    assert page.tab.evaluate("/gone|no longer/i.test(document.querySelector('main').textContent)")


def test_words_and_paths_are_copied(page: Page) -> None:
    page.open("#/model/101")
    page.shows([1])
    words = page.tab.evaluate("document.querySelectorAll('main [data-do=copy-words]').length")
    assert words >= 1
    page.do("copy-words", words - 1)
    page.copies("paper lantern")
    page.do("copy-path")
    page.copies("users/lantern_maker/models/Paper Lantern [101]/v1.0 [1011]/Paper Lantern.safetensors")


def test_models_are_searched_and_filtered(page: Page) -> None:
    page.go("#/models")
    page.search("lantern")
    page.shows([101, 103], "model")
    page.tab.click(page.value("type", "LORA"))
    page.shows([101], "model")
    page.at("#/models?q=lantern&type=LORA")
    page.do("clear")
    page.shows([101, 102, 103], "model")
    page.go("#/models?update=yes")
    page.shows([101], "model")
    page.go("#/models?complete=yes")
    page.shows([102, 103], "model")


def test_pictures_of_a_model_open_in_the_viewer_and_closing_returns(page: Page) -> None:
    page.open("#/model/102")
    page.shows([2, 3])
    page.view(2)
    page.tab.press("ArrowRight")
    page.viewing(3)
    page.tab.press("Escape")
    page.at("#/model/102")
    page.shows([2, 3])


def test_a_description_is_shown_as_text_and_bold(page: Page) -> None:
    page.open("#/model/101")
    page.shows([1])
    page.tab.wait("[...document.querySelectorAll('main strong, main b')].some((each) => each.textContent === 'paper')")
