"""Models, versions, files and images are read from the JSON of any year."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.answers import media_urls, number_at, read_image, read_model, unix_time
from civitai_downloader.core.choice import best_file
from civitai_downloader.util.errors import Failure
from tests.helpers import image_of, version_of


@pytest.mark.parametrize(
    ("value", "found"),
    [(5, 5), ("7", 7), (2.0, 2), (True, 0), (None, 0), ("x", 0), ([], 0), (1e300, 0), (-3, -3), ("9" * 30, 0)],
)
def test_a_number_is_read_from_any_type(value: object, found: int) -> None:
    assert number_at({"key": value}, "key") == found


def test_missing_null_and_empty_mean_the_same() -> None:
    bare = {"id": 1}
    empty: dict[str, Any] = {"id": 1, "tags": [], **dict.fromkeys(("name", "modelVersions", "creator", "nsfwLevel"))}
    assert replace(read_model(bare), raw={}) == replace(read_model(empty), raw={})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "files", "images", "modelVersions", "hashes", "url", "name", "sizeKB", "metadata", "tags"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_shape_of_answer_is_read_or_refused(value: Any) -> None:
    answer = value if isinstance(value, dict) else {"id": 5, "modelVersions": [value], "tags": value, "creator": value}
    try:
        model = read_model(answer)
    except Failure:
        return
    for version in model.versions:
        best_file(version.files)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:00Z", 86400), ("1970-01-01T00:01:00.5", 60), ("2025-09-14T0424:21.5Z", 0), ("", 0)],
)
def test_a_moment_is_utc_whatever_its_letters(text: str, seconds: float) -> None:
    assert unix_time(text) == seconds


def test_early_access_lasts_until_its_date() -> None:
    later = time.strftime("%Y-%m-%dT00:00:00.000Z", time.gmtime(time.time() + 9e5))
    assert version_of(paidAccess={"permanent": False, "endsAt": later}).early_until == later
    assert version_of(earlyAccessDeadline=later).early_until == later
    assert version_of(paidAccess={"permanent": True, "endsAt": None}).early_until == "always"
    assert version_of(paidAccess={"endsAt": "2020-01-01T00:00:00Z"}).early_until == ""
    assert version_of(paidAccess=None).early_until == ""


def test_an_image_takes_its_id_from_the_link_when_it_has_none() -> None:
    assert image_of().id == 40001
    assert image_of(id=7).id == 7
    assert read_image({"url": "https://image.civitai.com/a/u/original=true/not-a-number.jpeg"}) is None
    assert read_image({"id": 5, "url": "file:///etc/passwd"}) is None
    assert read_image({"id": 5}) is None


@pytest.mark.parametrize(
    ("more", "level"),
    [({"browsingLevel": 8}, 8), ({"nsfwLevel": "Soft"}, 2), ({"nsfwLevel": 4}, 4), ({}, 0), ({"nsfwLevel": "New"}, 0)],
)
def test_a_level_is_read_from_both_scales(more: dict[str, Any], level: int) -> None:
    assert image_of(**more).level == level


def test_media_links_ask_for_the_original() -> None:
    assert media_urls(image_of()) == ("https://image.civitai.com/acc/uuid/original=true/40001.jpeg",)
    old = image_of("https://imagecache.civitai.com/acc/uuid/width=450/40001.mp4?token=x", type="video")
    assert media_urls(old) == (
        "https://image.civitai.com/acc/uuid/original=true/40001.mp4",
        "https://image.civitai.com/acc/uuid/original=true,quality=100/40001.mp4",
        "https://image.civitai.com/acc/uuid/transcode=true,original=true/40001.mp4",
    )
    assert media_urls(image_of("https://elsewhere.example/5.png")) == ("https://elsewhere.example/5.png",)
