"""A SHA256 of the site may be wrong for good, be left out, or change: the log names only what was computed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeFile, FlipBit, Status
from tests.fake_civitai.content import Body
from tests.helpers import MANY, STORAGE, Err, add_file, link, record_of, replaced, storage_requests
from tests.model_edits import edit_in_place

WRONG = "5" * 64
LAYOUTS = ("creator", "comfyui")


def wrongly_hashed(site: FakeCivitai, size: int = 3000) -> FakeFile:
    """Add a file whose published SHA256 is not that of its bytes."""
    file = add_file(site, size)
    file.hashes = {"SHA256": WRONG.upper()}
    return file


# --- Wrong for good ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3000, 3_000_000])
def test_the_same_wrong_bytes_twice_are_not_fetched_a_third_time(
    run: Runner, site: FakeCivitai, out: Path, state: State, err: Err, size: int
) -> None:
    file = wrongly_hashed(site, size)
    assert run(link(site)) == 1
    assert "--no-verify" in err()
    asked = storage_requests(site)
    for words in ((link(site),), ("--retry-failed",), (link(site), "--refresh")):
        assert run(*words) == 1
        assert "--no-verify" in err()
    assert storage_requests(site) == asked
    if size < 1_000_000:
        assert asked == 2
    assert list(files_under(out / "corrupted").values()) == [file.data]
    record = record_of(state, site)
    assert (record["refused"], record["came"]) == (WRONG, file.body.sha256)
    assert (record["status"], record["sha256"]) == ("failed", "")


def test_what_the_site_corrects_is_fetched(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = wrongly_hashed(site)
    assert run(link(site)) == 1
    file.hashes = None
    assert run(link(site), "--refresh") == 0
    assert one_file(out / "users", file.name).read_bytes() == file.data
    assert run("--verify") == 0


def test_force_tries_a_wrong_hash_once_more(run: Runner, site: FakeCivitai) -> None:
    wrongly_hashed(site)
    assert run(link(site)) == 1
    site.forget()
    assert run(link(site), "--force") == 1
    assert storage_requests(site) == 2


@pytest.mark.parametrize("kind", ["other bytes each time", "broken", "a page"])
def test_bytes_that_are_no_answer_are_fetched_three_times_by_every_run(
    run: Runner, site: FakeCivitai, err: Err, kind: str
) -> None:
    if kind == "broken":
        data = b"no header at all" * 90
        site.world.add_model().add_version().add_file("x.safetensors", data).hashes = {"SHA256": WRONG}
    elif kind == "a page":
        data = b"<!DOCTYPE html>" + b"x" * 900
        site.world.add_model().add_version().add_file("x.ckpt", data).hashes = {"SHA256": WRONG}
    else:
        add_file(site, 1200)
    for _ in range(2):
        site.heal()
        for place in (500, 600, 700) if kind == "other bytes each time" else ():
            site.fail(STORAGE, FlipBit(place))
        site.forget()
        assert run(link(site)) == 1
        assert storage_requests(site) == 3
        assert "SHA256 mismatch (kept in corrupted/)" in err()


# --- Without verification ------------------------------------------------------------------------


def test_what_no_verify_takes_is_kept_by_later_runs(
    run: Runner, site: FakeCivitai, out: Path, state: State, err: Err
) -> None:
    file = wrongly_hashed(site)
    assert run(link(site)) == 1
    asked = storage_requests(site)
    assert run(link(site), "--no-verify") == 0
    path = one_file(out / "users", file.name)
    assert path.read_bytes() == file.data
    assert storage_requests(site) == asked  # it lay in corrupted/
    assert not list((out / "corrupted").iterdir())
    assert record_of(state, site)["sha256"] in ("", file.body.sha256)
    site.forget()
    err()
    for words in ((link(site), "--no-verify"), ("--verify",), (link(site),), ("--verify",), (link(site),)):
        assert run(*words) == 0
    assert storage_requests(site) == 0
    assert path.read_bytes() == file.data
    assert record_of(state, site)["sha256"] == file.body.sha256
    path.write_bytes(file.data[:-1] + b"?")
    assert run("--verify") == 1


def test_what_was_thrown_out_of_corrupted_is_fetched_by_no_verify(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = wrongly_hashed(site)
    assert run(link(site)) == 1
    one_file(out / "corrupted", "*").write_bytes(b"x" * 3000)
    assert run(link(site), "--no-verify") == 0
    assert one_file(out / "users", file.name).read_bytes() == file.data
    assert storage_requests(site) == 3


def test_a_strangers_file_taken_with_no_verify_is_compared_later(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    file = add_file(site, 3000)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    (out / "download_state.jsonl").unlink()
    path.write_bytes(replaced(3000))
    assert run(link(site), "--no-verify") == 0
    err()
    assert run(link(site)) == 0
    assert "was taken with --no-verify" in err()


def test_a_later_run_compares_what_no_verify_took_and_says_what_it_is(
    run: Runner, site: FakeCivitai, state: State, err: Err
) -> None:
    wrong = wrongly_hashed(site)
    right = add_file(site, 3000, "right.safetensors")
    words = [str(number) for number in site.world.models]
    assert run(*words, "--no-verify") == 0
    assert {line["sha256"] for line in state().values() if line["type"] == "model"} == {""}
    site.forget()
    err()
    assert run(*words) == 0
    assert err().count("was taken with --no-verify") == 1
    lines = {line["sha256"]: line.get("published", "") for line in state().values() if line["type"] == "model"}
    assert lines == {wrong.body.sha256: WRONG, right.body.sha256: ""}
    assert run(*words) == 0
    assert "was taken with --no-verify" not in err()
    assert storage_requests(site) == 0


def test_an_app_may_edit_what_no_verify_took(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site, 3000)
    assert run(link(site), "--no-verify") == 0
    path = one_file(out, file.name)
    for length in (0, 5000):
        edited = edit_in_place(path, "t", length)
        assert run(link(site)) == 0
        assert run("--verify") == 0
        assert path.read_bytes() == edited
    assert storage_requests(site) == 1


def test_no_verify_fetches_the_same_bytes_once_for_two_places(run: Runner, site: FakeCivitai) -> None:
    for name in ("one", "two"):
        site.world.add_model(name).add_version().add_file(f"{name}.safetensors", replaced(3000))
    assert run("10001", "10002", "--no-verify") == 0
    assert storage_requests(site) == 1


# --- A new SHA256 --------------------------------------------------------------------------------


def renew(file: FakeFile, size: int) -> bytes:
    """Let the creator replace the bytes behind a file's id; return the old ones."""
    old, file.body = file.data, Body.of(replaced(size))
    return old


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [3000, 5000], ids=["same size", "other size"])
def test_new_bytes_take_the_place_of_the_old_ones(
    run: Runner, site: FakeCivitai, out: Path, state: State, layout: str, size: int
) -> None:
    words, file = ("10001", "--layout", layout), add_file(site, 3000)
    assert run(*words) == 0
    path = one_file(out, file.name)
    old = renew(file, size)
    assert run("--verify") == 0
    assert run(*words) == 0  # the kept answer still names the old ones
    assert path.read_bytes() == old
    assert run(*words, "--refresh") == 0
    assert path.read_bytes() == file.data != old
    assert record_of(state, site)["sha256"] == file.body.sha256
    assert run("--verify") == 0
    assert run(*words) == 0
    assert storage_requests(site) == 2
    assert list(files_under(out, "*.safetensors").values()) == [file.data]


@pytest.mark.parametrize("fault", [Status(404), FlipBit(500)], ids=["gone", "wrong"])
def test_the_old_bytes_stay_until_the_new_ones_are_whole_and_right(
    run: Runner, site: FakeCivitai, out: Path, state: State, fault: Status
) -> None:
    file = add_file(site, 3000)
    assert run("10001") == 0
    path = one_file(out, file.name)
    old = renew(file, 5000)
    site.fail(STORAGE, fault, times=MANY)
    for _ in range(2):
        assert run("10001", "--refresh", "--retries", "0") == 1
        assert path.read_bytes() == old
        assert record_of(state, site)["sha256"] == hashlib.sha256(old).hexdigest()
        assert run("--verify") == 0


def test_new_bytes_take_both_places_of_two_layouts(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site, 3000)
    for layout in LAYOUTS:
        assert run("10001", "--layout", layout) == 0
    renew(file, 5000)
    for layout in LAYOUTS:
        assert run("10001", "--refresh", "--layout", layout) == 0
    assert list(files_under(out, "*.safetensors").values()) == [file.data] * 2
    assert storage_requests(site) == 2


def test_new_bytes_go_where_the_file_was_moved_to(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site, 3000)
    assert run("10001") == 0
    path = one_file(out, file.name)
    moved = path.parent / "sub" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    assert run("10001") == 0
    renew(file, 5000)
    assert run("10001", "--refresh") == 0
    assert moved.read_bytes() == file.data
    assert run("10001") == 0
    assert not path.exists()


def test_somebodys_file_is_not_replaced_by_new_bytes(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site, 3000)
    assert run("10001") == 0
    path, theirs = one_file(out, file.name), replaced(7000, "theirs")
    path.write_bytes(theirs)
    renew(file, 5000)
    assert run("10001", "--refresh") == 1
    assert path.read_bytes() == theirs
