"""What a manager or the user moves or renames within the output folder is found, followed and kept up to date there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from civitai_downloader.core.moved import model_files
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.hashes import hashes_of
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Err, add_file, link, names_on_disk, newest, paired, read_json, record_of, storage_requests
from tests.model_edits import edit_in_place

LAYOUTS = ("creator", "comfyui")


def with_sidecars(path: Path) -> list[Path]:
    """Return a model file and what stands beside it."""
    return [each for each in path.parent.iterdir() if each.name.startswith(f"{path.stem}.")]


def move(path: Path, target: Path, *, sidecars: bool) -> Path:
    """Move or rename a model file as a manager does; return its new path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for each in with_sidecars(path) if sidecars else [path]:
        each.rename(target.with_name(target.stem + each.name[len(path.stem) :]))
    return target


@pytest.fixture
def pictured(site: FakeCivitai) -> FakeModel:
    """Add a LoRA with a file and a picture."""
    model = site.world.add_model()
    version = model.add_version(trained_words=["lantern"])
    version.add_file("lantern.safetensors", size=5000)
    version.add_image(meta={"prompt": "x"})
    return model


# --- Runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "sidecars", "target", "first"),
    paired(
        LAYOUTS,
        ("with sidecars", "alone"),
        ("sub/lantern.safetensors", "renamed.safetensors", "a/b/Other name.safetensors"),
        ("--verify", "run"),
    ),
)
def test_a_moved_file_is_found_and_followed(
    run: Runner, site: FakeCivitai, out: Path, state: State, pictured: FakeModel, err: Err,
    layout: str, sidecars: str, target: str, first: str,
) -> None:  # fmt: skip
    words = (link(site), "--layout", layout)
    assert run(*words) == 0
    path = one_file(out, "lantern.safetensors")
    before = {each.name[len("lantern") :] for each in with_sidecars(path)}
    moved = move(path, path.parent / target, sidecars=sidecars != "alone")
    site.forget()
    err()
    for command in [("--verify",)] * (first == "--verify") + [words, ("--verify",), words]:
        assert run(*command) == 0
        assert list(files_under(out, "*.safetensors").values()) == [newest(pictured).files[0].data]
        assert moved.is_file()
    assert err().count("was moved to") == 1
    assert record_of(state, site)["path"] == moved.relative_to(out).as_posix()
    assert record_of(state, site)["home"] == path.relative_to(out).as_posix()
    assert {each.name[len(moved.stem) :] for each in with_sidecars(moved)} == before
    assert not [each for each in path.parent.glob("lantern.*") if each not in with_sidecars(moved)]
    assert storage_requests(site) == 0
    assert not list(out.rglob("*.new"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sidecars", [True, False], ids=["with sidecars", "alone"])
def test_sidecars_follow_the_site_where_the_file_lies_now_and_keep_edits(
    run: Runner, site: FakeCivitai, out: Path, pictured: FakeModel, layout: str, sidecars: bool
) -> None:
    words = (link(site), "--layout", layout, "--refresh")
    assert run(*words) == 0
    path = one_file(out, "lantern.safetensors")
    beside = path.with_name("lantern.metadata.json")
    edited = beside.read_text("utf-8").replace('"notes": ""', '"notes": "mine"')
    beside.write_text(edited, "utf-8")
    moved = move(path, path.parent / "sub/new name.safetensors", sidecars=sidecars)
    newest(pictured).trained_words[:] = ["paper"]
    for _ in range(2):
        assert run(*words) == 0
    now = read_json(moved.with_name("new name.metadata.json"))
    assert now["civitai"]["trainedWords"] == ["paper", "lantern"]
    assert now["notes"] == "mine" or "notes" not in edited
    assert not beside.exists()


def test_a_file_is_followed_from_place_to_place_and_home_again(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    home = path = one_file(out, file.name)
    site.forget()
    for target in ("one/a.safetensors", "two/b.safetensors", "two/lantern.safetensors", "lantern.safetensors"):
        path = move(path, home.parent / target, sidecars=True)
        assert run(link(site)) == 0
        assert run("--verify") == 0
        assert record_of(state, site)["path"] == path.relative_to(out).as_posix()
    assert path == home
    assert "home" not in record_of(state, site)
    assert storage_requests(site) == 0


def test_a_whole_folder_of_models_may_be_sorted_anew(run: Runner, site: FakeCivitai, out: Path) -> None:
    for number in range(12):
        add_file(site, 3000, f"same size {number}.safetensors")
    assert run(*map(str, site.world.models), "--layout", "comfyui") == 0
    loras = out / "models/loras"
    for number, path in enumerate(sorted(loras.glob("*.safetensors"))):
        move(path, loras / f"by hand/{number % 3}/{number}.safetensors", sidecars=number % 2 == 0)
    before = files_under(out, "*.safetensors")
    site.forget()
    for _ in range(2):
        assert run(*map(str, site.world.models), "--layout", "comfyui") == 0
        assert run("--verify") == 0
    assert files_under(out, "*.safetensors") == before
    assert len(list(loras.rglob("*.metadata.json"))) == 12
    assert storage_requests(site) == 0


def test_a_moved_file_may_be_edited_in_place_as_well(run: Runner, site: FakeCivitai, out: Path, state: State) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    moved = move(path, path.parent / "sub/x.safetensors", sidecars=True)
    edit_in_place(moved)
    assert run(link(site)) == 0
    edited = edit_in_place(moved, "t", 5000)
    assert run(link(site)) == 0
    assert run("--verify") == 0
    assert list(files_under(out, "*.safetensors").values()) == [edited]
    assert record_of(state, site)["published"] == file.body.sha256
    assert storage_requests(site) == 1


# --- What is not taken for it --------------------------------------------------------------------


def test_a_deleted_file_is_fetched_again(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    path.unlink()
    path.with_name("same size.safetensors").write_bytes(safetensors_bytes("x", 300_000 - 128))
    path.with_name("lantern.safetensors.bak").write_bytes(file.data)
    assert run(link(site)) == 0
    assert path.read_bytes() == file.data
    assert storage_requests(site) == 2


@pytest.mark.parametrize("folder", [".trash", "corrupted", "users/.hidden/deep"])
def test_what_is_hidden_or_set_aside_is_not_looked_at(run: Runner, site: FakeCivitai, out: Path, folder: str) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    move(path, out / folder / "lantern.safetensors", sidecars=False)
    assert run(link(site)) == 0
    assert path.read_bytes() == file.data
    assert storage_requests(site) == 2


def test_another_models_file_is_not_taken_for_it(run: Runner, site: FakeCivitai, out: Path) -> None:
    data = safetensors_bytes("both", 5000)
    for name in ("one", "two"):
        site.world.add_model(name).add_version().add_file(f"{name}.safetensors", data)
    assert run("10001", "10002") == 0
    one_file(out, "one.safetensors").unlink()
    for _ in range(2):
        assert run("10001", "10002") == 0
        assert run("--verify") == 0
        assert names_on_disk(out) == {"one", "two"}


def test_two_missing_files_of_the_same_bytes_take_one_each(run: Runner, site: FakeCivitai, out: Path) -> None:
    data = safetensors_bytes("both", 5000)
    for name in ("one", "two"):
        site.world.add_model(name).add_version().add_file(f"{name}.safetensors", data)
    assert run("10001", "10002") == 0
    for name in ("one", "two"):
        path = one_file(out, f"{name}.safetensors")
        move(path, out / "sorted" / path.name, sidecars=True)
    site.forget()
    for _ in range(2):
        assert run("10001", "10002") == 0
    assert sorted(files_under(out, "*.safetensors")) == ["sorted/one.safetensors", "sorted/two.safetensors"]
    assert storage_requests(site) == 0


def test_of_several_candidates_the_one_of_the_same_name_is_it(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    for name in ("a/a copy.safetensors", "z/lantern.safetensors"):
        (out / name).parent.mkdir()
        shutil.copyfile(path, out / name)
    path.unlink()
    assert run(link(site)) == 0
    assert record_of(state, site)["path"] == "z/lantern.safetensors"
    assert not path.exists()
    assert storage_requests(site) == 1


def test_a_place_of_ours_in_another_layout_is_no_move(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site)
    for layout in LAYOUTS:
        assert run(link(site), "--layout", layout) == 0
    gone = out / "models/loras/lantern.safetensors"
    gone.unlink()
    site.forget()
    for _ in range(2):
        assert run(link(site), "--layout", "comfyui") == 0
        assert gone.read_bytes() == file.data
    assert len(files_under(out, "*.safetensors")) == 2
    assert storage_requests(site) == 0


def test_a_copy_outside_of_the_output_folder_is_not_ours(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    path.rename(tmp_path / "lantern.safetensors")
    assert run(link(site)) == 0
    assert path.read_bytes() == file.data
    assert (tmp_path / "lantern.safetensors").read_bytes() == file.data


def test_force_fetches_what_was_moved(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    moved = move(path, path.parent / "sub/x.safetensors", sidecars=True)
    assert run(link(site), "--force") == 0
    assert path.read_bytes() == moved.read_bytes() == file.data


# --- Walking -------------------------------------------------------------------------------------


def test_links_to_folders_are_followed_without_loops(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, state: State
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path, disk = one_file(out, file.name), tmp_path / "another disk"
    disk.mkdir()
    try:
        (out / "users/linked").symlink_to(disk, target_is_directory=True)
        (disk / "back").symlink_to(out, target_is_directory=True)
    except OSError:
        pytest.skip("needs the right to make links")
    moved = move(path, disk / "lantern.safetensors", sidecars=False)
    for _ in range(2):
        assert run(link(site)) == 0
    assert run("--verify") == 0
    assert record_of(state, site)["path"] == "users/linked/lantern.safetensors"
    assert moved.is_file()
    assert not path.exists()
    assert storage_requests(site) == 1


def test_the_walk_finds_model_files_alone_and_real_folders_first(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.CKPT", "d/c.gguf", "d/e/f.zip", "x.safetensors.part", "x.txt", "y.png", ".h.pt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    if os.name != "nt":
        (tmp_path / "0 link").symlink_to("d")
        (tmp_path / "loop").symlink_to(".")
        (tmp_path / "l.safetensors").symlink_to("a.safetensors")
        os.mkfifo(tmp_path / "pipe.safetensors")
    found = dict(model_files(tmp_path))
    assert found == {name: len(name) for name in ("a.safetensors", "b.CKPT", "d/c.gguf", "d/e/f.zip")}
    assert list(model_files(tmp_path / "none")) == []


def test_only_files_of_the_missing_size_are_read(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        add_file(site, 3000 + number, f"{number}.safetensors")
    assert run(*map(str, site.world.models)) == 0
    read, walks = list[Path](), list[Path]()

    def hashes(path: Path, clock: Clock, *, weights: bool) -> tuple[str, str]:
        read.append(path)
        return hashes_of(path, clock, weights=weights)

    def walk(root: Path) -> Iterator[tuple[str, int]]:
        walks.append(root)
        yield from model_files(root)

    monkeypatch.setattr("civitai_downloader.core.weights.hashes_of", hashes)
    monkeypatch.setattr("civitai_downloader.core.moved.model_files", walk)
    for name in ("0", "1"):
        path = one_file(out, f"{name}.safetensors")
        move(path, path.parent / f"sub/x{name}.safetensors", sidecars=True)
    assert run(*map(str, site.world.models)) == 0
    assert sorted(path.stem for path in read) == ["x0", "x1"]
    assert len(walks) == 1


# --- Two layouts ---------------------------------------------------------------------------------


def test_of_two_places_the_moved_one_is_followed_and_the_other_stays(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    add_file(site)
    for layout in LAYOUTS:
        assert run(link(site), "--layout", layout) == 0
    moved = move(out / "models/loras/lantern.safetensors", out / "models/loras/sub/x.safetensors", sidecars=True)
    before = files_under(out, "*.safetensors")
    site.forget()
    err()
    for words in (("--verify",), (link(site), "--layout", "comfyui"), (link(site),), ("--verify",)):
        assert run(*words) == 0
        assert files_under(out, "*.safetensors") == before
    assert err().count("was moved to") == 1
    assert moved.is_file()
    assert storage_requests(site) == 0


def test_a_moved_file_is_linked_to_a_place_of_another_layout(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    moved = move(path, path.parent / "sub/x.safetensors", sidecars=True)
    for _ in range(2):
        for layout in ("comfyui", "creator"):
            assert run(link(site), "--layout", layout) == 0
            assert run("--verify") == 0
    places = sorted(out.rglob("*.safetensors"))
    assert places == sorted([moved, out / "models/loras/lantern.safetensors"])
    assert storage_requests(site) == 1
