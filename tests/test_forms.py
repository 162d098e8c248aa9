"""What a file is, is told by its ending however that is spelled, and by the site's `metadata.format`."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.choice import best_file, form_of, is_weights
from civitai_downloader.core.proof import has_right_form
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, png_bytes, safetensors_bytes
from tests.helpers import Captured, file_of


@pytest.mark.parametrize(
    ("name", "told", "form"),
    [
        ("x.SafeTensors", "", "safetensors"),
        ("x.SAFETENSORS ", "", "safetensors"),
        ("x.sft", "", "safetensors"),
        ("x.CKPT", "", "pickle"),
        ("x.PT", "", "pickle"),
        ("x.GGUF", "", "gguf"),
        ("x.Zip", "SafeTensor", "archive"),
        ("x.YAML", "", "text"),
        ("x", "SafeTensor", "safetensors"),
        ("x.v2", "safetensor", "safetensors"),
        ("x", "PickleTensor", "pickle"),
        ("x", "Diffusers", "archive"),
        ("x", "Other", ""),
        ("", "", ""),
    ],
)
def test_the_ending_decides_and_else_the_format(name: str, told: str, form: str) -> None:
    assert form_of(name, told) == form


def test_archives_and_texts_are_no_weights_in_any_spelling() -> None:
    names = ("a.ZIP", "a.Yaml", "a.PNG", "a.SafeTensors", "a.CKPT", "a")
    assert [name for name in names if is_weights(file_of(1, name))] == ["a.SafeTensors", "a.CKPT", "a"]
    assert not is_weights(file_of(1, "a", metadata={"format": "Diffusers"}))


def test_the_best_file_is_a_safetensors_in_any_spelling() -> None:
    assert [each.id for each in best_file([file_of(1, "a.ckpt"), file_of(2, "b.SAFETENSORS")])] == [2]


def test_what_lies_there_already_is_judged_in_any_spelling(tmp_path: Path) -> None:
    cases = {"a.SafeTensors": b"garbage", "b.SAFETENSORS": safetensors_bytes(1), "c.PNG": b"x", "d.PNG": png_bytes(1)}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    assert [name for name in cases if has_right_form(tmp_path / name)] == ["b.SAFETENSORS", "d.PNG"]
    (tmp_path / "e").write_bytes(b"garbage")
    assert has_right_form(tmp_path / "e")
    assert not has_right_form(tmp_path / "e", "SafeTensor")


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x.SafeTensors", "Other"),
        ("x.SAFETENSORS", "SafeTensor"),
        ("x.sft", "Other"),
        ("x", "SafeTensor"),
        ("x.bin", "SafeTensor"),
    ],
)
def test_garbage_without_a_hash_is_refused_however_its_ending_is_spelled(
    run: Runner, site: FakeCivitai, out: Path, name: str, told: str
) -> None:
    version = site.world.add_model().add_version()
    version.add_file(name, b"\1" * 3000, metadata={"format": told}, hashed=False)
    assert run("10001") == 1
    assert not list((out / "users").rglob(name))
    version.files[0].body = version.add_file("good.safetensors").body
    version.files.pop()
    assert run("10001", "--refresh") == 0
    assert one_file(out / "users", name)


@pytest.mark.parametrize(("name", "told"), [("x.CKPT", "Other"), ("x.Pt", "Other"), ("x", "PickleTensor")])
def test_a_pickle_is_named_however_its_ending_is_spelled(
    run: Runner, site: FakeCivitai, capsys: Captured, name: str, told: str
) -> None:
    site.world.add_model().add_version().add_file(name, metadata={"format": told})
    assert run("10001") == 0
    assert "Pickle files can run code" in capsys.readouterr().err
