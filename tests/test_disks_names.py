"""Disks with short names: all that is written fits them, and names that another disk gave stay."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.util import files
from civitai_downloader.util.files import Held, replace_file
from civitai_downloader.util.names import fit_names, is_cut_of
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err, add_file, landed

LONG = {
    "ko": "아주 긴 이름을 가진 한국어 모델 " * 8,
    "ja": "とても長い名前を持つ日本語のモデル" * 8,
    "en": "a long name " * 12,
}


@contextmanager
def short_names(octets: int, *, told: bool = True) -> Iterator[None]:
    """Let the disk refuse names of more bytes, as eCryptfs does; it may say so."""

    def narrow(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *words: Any, **more: Any) -> Any:
            for each in (path, *words[:1]):
                if isinstance(each, (str, Path)) and max(map(len, os.fsencode(each).split(b"/"))) > octets:
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(each))
            return plain(path, *words, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "stat", "lstat", "mkdir", "replace", "unlink", "link"):
            patch.setattr(os, name, narrow(getattr(os, name)))
        if told:
            patch.setattr(os, "pathconf", lambda folder, name: octets)
        yield


@pytest.mark.skipif(os.name == "nt", reason="a disk that allows less than 255 is one of POSIX")
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("octets", [143, 100])
@pytest.mark.parametrize("language", LONG)
def test_long_names_fit_the_disk(
    site: FakeCivitai, run: Runner, out: Path, language: str, octets: int, told: bool
) -> None:
    if octets < 143 and not told:
        pytest.skip("what is neither told nor known can't be guessed")
    name = LONG[language]
    version = site.world.add_model(name, creator="maker").add_version(name)
    for number in range(2):
        version.add_file(f"{name}.safetensors", size=1000 + 4000 * number)
    version.add_image()
    with short_names(octets, told=told):
        assert run("10001") == 0
        site.forget()
        assert run("10001") == 0
        assert not site.seen("storage")
    here = files_under(out)
    assert len([each for each in here if each.endswith(".safetensors")]) == 2
    assert [each for each in here if each.endswith(".civitai.info")]
    assert max(len(part.encode()) for each in here for part in each.split("/")) <= octets


@pytest.mark.skipif(os.name == "nt", reason="a disk that allows less than 255 is one of POSIX")
def test_the_names_of_files_stay_when_the_folder_comes_to_a_disk_with_longer_ones(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    version = site.world.add_model("Lantern").add_version()
    for number, name in enumerate([*LONG.values(), LONG["ko"]]):
        version.add_file(f"{name}.safetensors", size=1000 + 4000 * number)
    with short_names(143):
        assert run("10001") == 0
    site.forget()
    here = set(files_under(out))
    assert run("10001") == 0
    assert not site.seen("storage")
    assert set(files_under(out)) == here


def test_on_a_plain_disk_names_are_as_ever(tmp_path: Path) -> None:
    parts = ["users", "x" * 240, "한" * 80, "y" * 200 + ".safetensors"]
    assert fit_names(parts, 255) == fit_names(parts, 240) == parts
    assert Library(tmp_path).disk.longest_name == 240


def test_a_name_is_cut_before_its_id_and_its_extension() -> None:
    folder, name = fit_names(["모델" * 40 + " [10001]", "x" * 200 + ".safetensors"], 143)
    assert folder.endswith(" [10001]")
    assert 130 < len(folder.encode()) <= 143
    assert name.endswith("x.safetensors")
    assert len(f"{name}.part.json") <= 143


def test_only_long_names_are_taken_for_cut_ones() -> None:
    assert is_cut_of(f"a/{'x' * 90}.ckpt", f"a/{'x' * 120}.ckpt")
    assert not is_cut_of("a/lantern.ckpt", "a/lantern_v2.ckpt")
    assert not is_cut_of(f"a/{'x' * 90}.ckpt", f"b/{'x' * 120}.ckpt")
    assert not is_cut_of(f"a/{'x' * 90}.ckpt", f"a/{'x' * 120}.pt")
    assert not is_cut_of("a/b", "a/b/c")


# --- Files that another program holds --------------------------------------------------------------


def on_windows(monkeypatch: pytest.MonkeyPatch, refusals: int) -> list[float]:
    """Let `replace_file` believe that it is on Windows, where a file is held so many times; return what it waits."""
    left, waits = iter(range(refusals)), list[float]()

    def replace(source: Path, target: Path) -> None:
        for _ in left:
            raise PermissionError(errno.EACCES, "in use")
        os.replace(source, target)

    monkeypatch.setattr(files, "os", SimpleNamespace(**{**vars(os), "name": "nt", "replace": replace}))
    return waits


@pytest.mark.parametrize(("patience", "least", "most"), [(1.5, 1.5, 2.5), (30.0, 30.0, 31.0)])
def test_a_file_that_is_held_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float, least: float, most: float
) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    waits = on_windows(monkeypatch, 1000)
    with pytest.raises(Held, match=r"is complete, but another program"):
        replace_file(tmp_path / "a", tmp_path / "b", patience, waits.append)
    assert least <= sum(waits) <= most
    waits = on_windows(monkeypatch, 4)
    replace_file(tmp_path / "a", tmp_path / "b", patience, waits.append)
    assert (tmp_path / "b").read_bytes() == b"whole"


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_what_is_held_is_tried_once_more_at_the_end_without_fetching_it_again(
    site: FakeCivitai, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    file = add_file(site)
    add_file(site, name="free.safetensors")
    tries = list[float]()

    def replace(source: Path, target: Path, patience: float, sleep: object) -> None:
        if target.name == file.name:
            tries.append(patience)
            if len(tries) == 1:
                raise Held(target)
            assert list(out.rglob("free.safetensors"))
        replace_file(source, target)

    monkeypatch.setattr("civitai_downloader.util.transfer.replace_file", replace)
    assert run("10001", "10002", *more) == 0
    assert tries == [30.0, 30.0]
    assert landed(out, file)
    assert len(site.seen("storage")) == 2
    assert list(out.rglob("lantern.civitai.info"))


def test_what_stays_held_fails_by_name_and_comes_with_the_next_run(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = add_file(site)

    def hold(source: Path, target: Path, patience: float, sleep: object) -> None:
        raise Held(target)

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.transfer.replace_file", hold)
        assert run("10001") == 1
    said = err()
    assert "another program (a virus scanner?) keeps it open" in said
    assert "permissions" not in said
    site.forget()
    assert run("10001") == 0
    assert landed(out, file)
    assert not site.seen("storage")
