"""Ratings in layouts: the lower bound of the share of thumbs that are up, as a word and as a number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import read_model
from civitai_downloader.core.places import rating_of, template_parts, weighted_rating_of
from civitai_downloader.core.settings import TEMPLATES, Settings


def model_with(**stats: Any) -> Any:
    return read_model({"id": 1, "name": "m", "stats": stats, "modelVersions": [{"id": 2, "modelId": 1}]})


@pytest.mark.parametrize(
    ("up", "down", "word", "number"),
    [
        (0, 0, "unrated", "unrated"), (4, 0, "unrated", "unrated"), (2, 2, "unrated", "unrated"),
        (5, 0, "mixed", "2.5"), (10, 0, "liked", "3.5"), (10, 1, "mixed", "3.0"), (20, 0, "liked", "4.0"),
        (32, 0, "liked", "4.0"), (88, 0, "loved", "4.5"), (385, 0, "loved", "4.5"), (68_768, 278, "loved", "4.5"),
        (0, 5, "disliked", "0.0"), (0, 10**6, "disliked", "0.0"), (50, 50, "disliked", "2.0"),
        (10**6, 0, "loved", "4.5"),
    ],
)  # fmt: skip
def test_thumbs_are_a_word_and_a_number(up: int, down: int, word: str, number: str) -> None:
    model = model_with(thumbsUpCount=up, thumbsDownCount=down)
    assert (rating_of(model), weighted_rating_of(model)) == (word, number)


@pytest.mark.parametrize(
    "stats", [{}, {"thumbsUpCount": None}, {"thumbsUpCount": "x"}, {"thumbsUpCount": -9}, {"rating": 5}]
)
def test_without_votes_there_is_no_rating(stats: dict[str, Any]) -> None:
    assert rating_of(model_with(**stats)) == "unrated"
    assert rating_of(read_model({"id": 1, "stats": [5]})) == "unrated"


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_number_has_half_steps_below_five(up: int, down: int) -> None:
    number = weighted_rating_of(model_with(thumbsUpCount=up, thumbsDownCount=down))
    assert number == "unrated" or (float(number) * 2 == int(float(number) * 2) and 0 <= float(number) <= 5)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_named_layout_is_a_template(name: str) -> None:
    layout = Settings(layout=name).layout
    assert layout == TEMPLATES[name]
    model = model_with(thumbsUpCount=100)
    folders = [folder for _, folder in template_parts(layout, model, model.versions[0])]
    expected = {"by-rating": ["loved"], "by-type": ["Other"], "by-date": ["unknown", "unknown"]}
    assert folders == expected.get(name, ["unknown"])


def test_a_number_is_a_folder_name_of_its_own() -> None:
    model = model_with(thumbsUpCount=20)
    assert template_parts("{weighted_rating}/{rating}", model, model.versions[0]) == [
        ("{weighted_rating}", "4.0"),
        ("{rating}", "liked"),
    ]
