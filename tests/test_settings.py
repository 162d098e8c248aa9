"""Every option is checked when the settings are made, and the token is never shown."""

from __future__ import annotations

import pytest

from civitai_downloader.core.settings import Settings
from civitai_downloader.util.errors import UsageError


def test_the_token_is_not_shown_by_repr() -> None:
    assert "hush-hush" not in repr(Settings(token="hush-hush"))


@pytest.mark.parametrize("token", ["with blank", "short", "né-accent-123", "line\nbreak-123"])
def test_a_malformed_token_is_a_usage_error_that_does_not_show_it(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("layout", ["nope", "{creator", "{nothing}/x", "{}", "{creator.x}", "plain/folder", "}"])
def test_a_layout_that_can_not_work_is_a_usage_error(layout: str) -> None:
    with pytest.raises(UsageError):
        Settings(layout=layout)


def test_a_site_must_be_a_web_address() -> None:
    with pytest.raises(UsageError):
        Settings(site="civitai.example")
