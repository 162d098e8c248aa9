"""A wrong answer to a Range, or a `.part` file that can't be trusted, means to begin anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import MANY, STORAGE, Err, add_file, landed, leave_part, link, ranges, replaced

# --- Wrong answers to a Range --------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        fake.IgnoreRange(),
        fake.WrongStart(),
        fake.WrongStart(-7),
        fake.WrongTotal(),
        fake.WrongTotal(-1),
        fake.NoContentRange(),
        fake.MultipartRanges(),
        fake.Always416(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("hashed", [True, False])
def test_a_wrong_answer_to_a_range_means_from_byte_0(
    site: FakeCivitai, run: Runner, out: Path, action: fake.Action, hashed: bool
) -> None:
    file = add_file(site, hashed=hashed)
    site.fail(STORAGE, fake.Cut(100_000))
    site.fail(STORAGE, action, times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert len(site.seen("storage")) <= 3


def test_a_part_that_was_not_asked_for_is_refused(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, hashed=False)
    site.fail(STORAGE, fake.Unasked206())
    assert run(link(site)) == 0
    assert landed(out, file)


def test_parts_that_nobody_asked_for_fail_in_the_end(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Unasked206(), times=MANY)
    assert run(link(site)) == 1
    assert "keeps sending other bytes" in err()
    assert len(site.seen("storage")) == 3
    assert not files_under(out, "*.safetensors")


def test_416_for_a_whole_part_means_done(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.CutChunked(300_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", "bytes=300000-"]
    assert [seen.status for seen in site.seen("storage")] == [200, 416]


def test_416_for_a_part_of_a_shorter_object_means_from_byte_0(site: FakeCivitai, run: Runner, out: Path) -> None:
    file, news = add_file(site, 1_500_500, hashed=False), replaced(1_500_300)
    leave_part(site, run, out, 1_500_400)
    site.fail(STORAGE, fake.IgnoreIfRange(news), times=MANY)
    assert run(link(site)) == 0
    assert landed(out, file, news)
    assert [seen.status for seen in site.seen("storage")] == [416, 200]


# --- Parts on disk -------------------------------------------------------------------------------


def test_a_part_longer_than_the_object_is_dropped(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    part.write_bytes(part.read_bytes() + bytes(600_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


@pytest.mark.parametrize("record", [None, b"", b"null", b"[]", b'{"identity":"other"}', b'{"identity":{},"x":1}'])
def test_a_part_without_its_own_record_is_dropped(
    site: FakeCivitai, run: Runner, out: Path, record: bytes | None
) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    beside = part.with_name(part.name + ".json")
    beside.unlink() if record is None else beside.write_bytes(record)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


def test_a_part_whose_bytes_went_bad_is_fetched_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    part = leave_part(site, run, out)
    part.write_bytes(b"?" + part.read_bytes()[1:])
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["bytes=1500000-", ""]


def test_a_part_that_is_whole_already_is_verified_without_a_request(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out).write_bytes(file.data)
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == []


def test_a_whole_part_of_wrong_bytes_is_fetched_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site, 2_000_000)
    leave_part(site, run, out).write_bytes(replaced(2_000_000))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == [""]


def test_a_part_that_is_a_symlink_is_not_followed(site: FakeCivitai, run: Runner, out: Path, tmp_path: Path) -> None:
    file = add_file(site, 2_000_000)
    part, victim = leave_part(site, run, out), tmp_path / "victim"
    shutil.copyfile(part, victim)
    before = victim.read_bytes()
    part.unlink()
    try:
        part.symlink_to(victim)
    except OSError:
        pytest.skip("needs the right to make links")
    assert run(link(site)) == 0
    assert landed(out, file)
    assert not one_file(out, file.name).is_symlink()
    assert victim.read_bytes() == before
