"""Apps edit headers, disks cut files, people put their own there: each is told from the others, over several runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.fetch import Fetcher
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeFile, Status, safetensors_bytes
from tests.fake_civitai.content import Body
from tests.helpers import Err, add_file, link, paired, record_of, storage_requests
from tests.model_edits import edit_in_place, other_bytes, with_header
from tests.stand_in import StandIn

LAYOUTS = ("creator", "comfyui")
TOLD = [True, ("SHA256",)]  # does the site tell the AutoV3?
FORMS: dict[str, bytes] = {
    "a.ckpt": b"\x80\x02" + b"w" * 3000,
    "a.pt": b"\x80\x02" + b"v" * 3000,
    "a.gguf": b"GGUF" + b"g" * 3000,
    "a.zip": b"PK\x03\x04" + b"z" * 3000,
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetched(site: FakeCivitai, run: Runner, out: Path, *words: str, **more: Any) -> tuple[FakeFile, Path]:
    """Fetch one file; return it, and where it lies."""
    file = add_file(site, **more)
    assert run(link(site), *words) == 0
    site.forget()
    return file, one_file(out, file.name)


def aside(out: Path) -> list[bytes]:
    """Return what lies in `corrupted/`."""
    return list(files_under(out / "corrupted").values())


# --- An app edits the header ---------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("hashed", TOLD, ids=["told", "computed"])
@pytest.mark.parametrize("length", [0, 4096, 100], ids=["in place", "grown", "shrunk"])
def test_a_header_that_an_app_has_edited_is_kept_and_noted(
    run: Runner, site: FakeCivitai, out: Path, state: State, err: Err, layout: str, hashed: Any, length: int
) -> None:
    file, path = fetched(site, run, out, "--layout", layout, hashed=hashed)
    old = record_of(state, site)
    assert old["autov3"] == file.body.hashes["AutoV3"].lower()
    assert old["sha256"] == file.body.sha256
    edited = edit_in_place(path, "t", length)
    assert edited != file.data
    assert run("--verify") == 0
    new = record_of(state, site)
    assert (new["size"], new["sha256"], new["autov3"]) == (len(edited), sha256(edited), old["autov3"])
    assert (new["published"], new["status"]) == (old["sha256"], "success")
    for words in (("--verify",), (link(site), "--layout", layout), (link(site), "--layout", layout), ("--verify",)):
        assert run(*words) == 0
    assert path.read_bytes() == edited
    assert not aside(out)
    assert storage_requests(site) == 0
    assert record_of(state, site) == new
    assert "is damaged" not in err()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_edited_header_is_kept_by_a_run_that_sees_it_first(
    run: Runner, site: FakeCivitai, out: Path, state: State, layout: str
) -> None:
    file, path = fetched(site, run, out, "--layout", layout)
    edited = edit_in_place(path, "a title and a picture", 5000)
    assert run(link(site), "--layout", layout) == 0
    assert path.read_bytes() == edited
    assert record_of(state, site)["sha256"] == sha256(edited)
    edited = edit_in_place(path, "another title", 9000)
    assert run(link(site), "--layout", layout) == 0
    assert run("--verify") == 0
    assert path.read_bytes() == edited
    assert record_of(state, site)["published"] == file.body.sha256
    assert storage_requests(site) == 0
    assert list(files_under(out, "*.safetensors").values()) == [edited]


def test_the_original_put_back_is_good_again(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    file, path = fetched(site, run, out)
    edit_in_place(path, "t", 5000)
    assert run("--verify") == 0
    path.write_bytes(file.data)
    assert run("--verify") == 0
    assert run(link(site)) == 0
    assert record_of(state, site)["sha256"] == file.body.sha256
    assert storage_requests(site) == 0


def test_an_edited_file_is_known_without_the_log(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    _, path = fetched(site, run, out)
    for length in (0, 5000):
        edited = edit_in_place(path, "t", length)
        (out / "download_state.jsonl").unlink()
        assert run(link(site)) == 0
        assert list(files_under(out, "*.safetensors").values()) == [edited]
        assert record_of(state, site)["sha256"] == sha256(edited)
    assert storage_requests(site) == 0


@pytest.mark.parametrize("order", [("creator", "comfyui"), ("comfyui", "creator")])
@pytest.mark.parametrize("length", [0, 5000], ids=["in place", "grown"])
def test_the_same_bytes_at_two_places_are_edited_at_both(
    run: Runner, site: FakeCivitai, out: Path, order: tuple[str, str], length: int
) -> None:
    _, first = fetched(site, run, out, "--layout", order[0])
    assert run(link(site), "--layout", order[1]) == 0
    places = sorted(out.rglob("lantern.safetensors"))
    assert len(places) == 2
    assert places[0].samefile(places[1])
    edited = edit_in_place(first, "t", length)
    for _ in range(2):
        assert run("--verify") == 0
        for layout in order:
            assert run(link(site), "--layout", layout) == 0
    assert sorted(out.rglob("*.safetensors")) == places
    assert [path.read_bytes() for path in places] == [edited, edited]
    assert storage_requests(site) == 0


@pytest.mark.parametrize("order", [("creator", "comfyui"), ("comfyui", "creator")])
def test_an_app_that_swaps_in_its_edit_changes_one_of_two_places(
    run: Runner, site: FakeCivitai, out: Path, order: tuple[str, str]
) -> None:
    file, first = fetched(site, run, out, "--layout", order[0])
    assert run(link(site), "--layout", order[1]) == 0
    edited = with_header(file.data, "t", 5000)
    first.with_name("lantern.safetensors.tmp2").write_bytes(edited)
    os.replace(first.with_name("lantern.safetensors.tmp2"), first)
    before = files_under(out, "*.safetensors")
    for _ in range(2):
        for layout in order:
            assert run(link(site), "--layout", layout) == 0
            assert run("--verify") == 0
    assert files_under(out, "*.safetensors") == before
    assert storage_requests(site) == 0


# --- Damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "layout", "first"),
    paired(("cut", "cut in the header", "header", "longer", "garbage", "empty", "zeros"), LAYOUTS, ("--verify", "run")),
)
def test_a_damaged_file_is_set_aside_and_fetched_again(
    run: Runner, site: FakeCivitai, out: Path, err: Err, kind: str, layout: str, first: str
) -> None:
    file, path = fetched(site, run, out, "--layout", layout)
    damaged = {
        "cut": file.data[:-1000], "cut in the header": file.data[:50], "header": b"{" + file.data[1:],
        "longer": file.data + b"junk", "garbage": other_bytes(len(file.data)), "empty": b"",
        "zeros": file.data[:200] + bytes(len(file.data) - 200),
    }[kind]  # fmt: skip
    path.write_bytes(damaged)
    seen_by_size = len(damaged) != len(file.data)
    if first == "--verify" or not seen_by_size:
        assert run("--verify") == 1
        assert path.read_bytes() == damaged
        err()
    assert run(link(site), "--layout", layout) == 0
    assert path.read_bytes() == file.data
    assert aside(out) == [damaged]
    assert "is damaged; it will be moved to corrupted/" in err()
    assert storage_requests(site) == 1
    assert run("--verify") == 0
    assert run(link(site), "--layout", layout) == 0
    assert storage_requests(site) == 1


def test_every_damaged_file_is_kept(run: Runner, site: FakeCivitai, out: Path) -> None:
    file, path = fetched(site, run, out)
    for number in (1, 2, 3):
        path.write_bytes(file.data[:-number])
        assert run(link(site)) == 0
        assert path.read_bytes() == file.data
    assert sorted(map(len, aside(out))) == [len(file.data) - number for number in (3, 2, 1)]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", ["cut", "garbage"])
def test_other_forms_go_by_size_and_sha256(run: Runner, site: FakeCivitai, out: Path, name: str, kind: str) -> None:
    file, path = fetched(site, run, out, name=name, data=FORMS[name])
    damaged = file.data[:-7] if kind == "cut" else file.data[:100] + other_bytes(len(file.data) - 100)
    path.write_bytes(damaged)
    if kind == "garbage":
        assert run("--verify") == 1
    assert run(link(site)) == 0
    assert path.read_bytes() == file.data
    assert aside(out) == [damaged]


# --- Somebody's file -----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("verify", [True, False], ids=["verified first", "run"])
@pytest.mark.parametrize("hashed", TOLD, ids=["told", "computed"])
def test_somebodys_file_in_our_place_stays_until_force(
    run: Runner, site: FakeCivitai, out: Path, err: Err, layout: str, verify: bool, hashed: Any
) -> None:
    file, path = fetched(site, run, out, "--layout", layout, hashed=hashed)
    theirs = safetensors_bytes("theirs", 4321)
    path.write_bytes(theirs)
    err()
    for words in [("--verify",)] * verify + [(link(site), "--layout", layout)] * 2 + [("--retry-failed",)]:
        assert run(*words) == 1
        assert "Another file is in its place and was kept" in err()
        assert path.read_bytes() == theirs
    assert storage_requests(site) == 0
    assert not aside(out)
    assert run(link(site), "--layout", layout, "--force") == 0
    assert path.read_bytes() == file.data
    assert run("--verify") == 0


def test_somebodys_file_that_is_taken_away_makes_room(run: Runner, site: FakeCivitai, out: Path) -> None:
    file, path = fetched(site, run, out)
    path.write_bytes(safetensors_bytes("theirs", 4321))
    assert run(link(site)) == 1
    path.rename(path.with_name("mine.safetensors"))
    assert run(link(site)) == 0
    assert path.read_bytes() == file.data
    assert one_file(out, "mine.safetensors").read_bytes() == safetensors_bytes("theirs", 4321)


def test_a_renamed_file_is_found_though_another_one_has_its_place(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    file, path = fetched(site, run, out)
    theirs = safetensors_bytes("theirs", 4321)
    for words in ((link(site),), ("--verify",)):
        path.rename(path.with_name(f"renamed by {len(words[0])}.safetensors"))
        path.write_bytes(theirs)
        assert run(*words) == 0
        assert run(link(site)) == 0
        assert path.read_bytes() == theirs
        path = out / record_of(state, site)["path"]
        assert path.read_bytes() == file.data
    assert storage_requests(site) == 0


def test_no_file_of_the_users_is_written_over_whichever_name_it_has(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site, 3000)
    folder = out / "models/loras"
    folder.mkdir(parents=True)
    mine = {name: other_bytes(3000) for name in ("lantern.safetensors", "lantern-30001.safetensors")}
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    for _ in range(2):
        assert run(link(site), "--layout", "comfyui") == 0
    found = files_under(folder, "*.safetensors")
    assert {name: found.pop(name) for name in mine} == mine
    ((name, data),) = found.items()
    assert data == file.data
    assert storage_requests(site) == 1
    assert [path.name for path in folder.glob("*.metadata.json")] == [name.replace(".safetensors", ".metadata.json")]


def test_a_file_that_appears_while_another_is_fetched_stays(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = add_file(site)

    receive = Fetcher._receive_right

    def received(*words: Any) -> Any:
        found = receive(*words)
        one_file(out, "*.part").with_suffix("").write_bytes(b"of somebody")
        return found

    monkeypatch.setattr(Fetcher, "_receive_right", received)
    assert run(link(site)) == 0
    found = files_under(out, "*.safetensors")
    assert sorted(found.values()) == sorted([b"of somebody", file.data])


def test_a_larger_checkpoint_is_somebodys(run: Runner, site: FakeCivitai, out: Path, err: Err) -> None:
    _, path = fetched(site, run, out, name="a.ckpt", data=FORMS["a.ckpt"])
    path.write_bytes(b"\x80\x02" + b"m" * 9000)
    assert run(link(site)) == 1
    assert "Another file is in its place" in err()
    assert len(path.read_bytes()) == 9002


def test_a_file_that_never_arrived_does_not_own_its_place(run: Runner, site: FakeCivitai, out: Path) -> None:
    file, path = fetched(site, run, out)
    path.unlink()
    (out / "download_state.jsonl").unlink()
    site.fail("storage:/", Status(404))
    assert run(link(site), "--retries", "0") == 1
    theirs = safetensors_bytes("theirs", 4321)
    path.write_bytes(theirs)
    site.heal()
    assert run(link(site), "--force") == 0
    assert path.read_bytes() == theirs
    assert one_file(out, "lantern-30001.safetensors").read_bytes() == file.data


# --- Internet Download Manager -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["damaged", "old"])
def test_what_idm_replaces_is_set_aside(run: Runner, site: FakeCivitai, out: Path, idm: StandIn, kind: str) -> None:
    file, path = fetched(site, run, out)
    old = file.data[:-1000] if kind == "damaged" else file.data
    path.write_bytes(old)
    if kind == "old":
        file.body = Body.of(safetensors_bytes("new", 4321))
    assert run(link(site), "--refresh", "--idm", str(idm.path)) == 3
    assert not path.exists()
    assert aside(out) == [old]


def test_what_idm_must_not_replace_stays(run: Runner, site: FakeCivitai, out: Path, idm: StandIn) -> None:
    _, path = fetched(site, run, out)
    path.write_bytes(safetensors_bytes("theirs", 4321))
    assert run(link(site), "--idm", str(idm.path)) == 1
    assert path.read_bytes() == safetensors_bytes("theirs", 4321)
