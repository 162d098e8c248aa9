"""The site's API may answer with something broken, odd or too large, or with an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import IMAGES, MANY, MODELS, Err, add_file, landed, link


@pytest.mark.parametrize(
    "action", [fake.MAINTENANCE, fake.BrokenJson(), fake.Cut(50), fake.Stall()], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("where", [MODELS, IMAGES])
def test_a_broken_answer_of_the_api_is_asked_for_again(
    site: FakeCivitai, run: Runner, out: Path, where: str, action: fake.Action
) -> None:
    file = add_file(site)
    fault = site.fail(where, action)
    assert run("--timeout", "1", link(site)) == 0
    assert landed(out, file)
    assert fault.hits == 1


@pytest.mark.parametrize("action", [fake.MAINTENANCE, fake.BrokenJson()], ids=["page", "broken"])
def test_an_api_that_stays_broken_fails(site: FakeCivitai, run: Runner, err: Err, action: fake.Action) -> None:
    add_file(site)
    fault = site.fail(MODELS, action, times=MANY)
    assert run(link(site)) == 1
    assert "Could not be reached" in err()
    assert fault.hits == 3


@pytest.mark.parametrize(
    "body",
    [
        '{"error":"No such \\u001b[31mmodel"}',
        '{"error":{"name":"ZodError","message":"[]"}}',
        '{"message":"User not found"}',
        '{"error":"text","code":"NOT_FOUND"}',
        '{"message":"An unexpected error","error":"text"}',
        "<html>sorry</html>",
        "[1, null]",
        '"' + "x" * 500_000 + '"',
        "",
    ],
    ids=range(9),
)
@pytest.mark.parametrize("code", [400, 401, 403, 404, 418])
def test_every_shape_of_error_is_a_sentence(site: FakeCivitai, run: Runner, err: Err, code: int, body: str) -> None:
    add_file(site)
    fault = site.fail(MODELS, fake.Status(code, body), times=MANY)
    assert run(link(site)) == 1
    said = err()
    assert fault.hits == 1
    assert "bug in this program" not in said
    assert "\x1b" not in said
    assert len(said) < 2000


def test_a_cursor_that_repeats_itself_ends_the_list(site: FakeCivitai, run: Runner, out: Path) -> None:
    version = add_file(site) and site.world.versions[20001]
    for _ in range(450):
        site.world.add_image([version.id])
    site.world.looping_cursor = True
    assert run("--only", "metadata", "--max-images", "all", link(site)) == 0
    assert len(site.seen("site", "/api/v1/images")) <= 4


@pytest.mark.parametrize("oddity", ["empty_pages", "short_pages", "repeated_rows"])
def test_odd_pages_lose_no_picture(site: FakeCivitai, run: Runner, out: Path, oddity: str) -> None:
    add_file(site)
    images = [site.world.add_image([20001]).id for _ in range(410)]
    setattr(site.world, oddity, 3)
    assert run("--only", "metadata", "--max-images", "all", link(site)) == 0
    assert {int(Path(name).stem) for name in files_under(out / "users", "4*.txt")} == set(images)


def test_64_mb_of_json_are_refused(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    fault = site.fail(MODELS, fake.BigJson(), times=MANY)
    assert run(link(site)) == 1
    assert "more than 64 MB" in err()
    assert fault.hits == 1


def test_a_gzip_bomb_in_place_of_json_is_bounded(site: FakeCivitai, run: Runner, err: Err) -> None:
    add_file(site)
    site.fail(MODELS, fake.GzipBomb(100), times=MANY)
    assert run(link(site)) == 1
    assert "more than 64 MB" in err()
