"""The files of a version get names of their own, and the site's scan of them is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Captured, newest


def test_config_files_in_app_layouts_bear_the_checkpoints_name(run: Runner, out: Path, mix: FakeModel) -> None:
    newest(mix).files[3].name = "other.yaml"
    run("10001", "--layout", "a1111", "--latest", "--no-gallery")
    names = {path.name for path in (out / "models/Stable-diffusion").iterdir()}
    assert {"mix.yaml", "mix.ckpt", "mix.safetensors"} <= names
    assert one_file(out / ".civitai", "mix.zip")


@pytest.mark.usefixtures("mix")
def test_pickle_files_are_named_with_the_sites_scan(run: Runner, capsys: Captured) -> None:
    run("10001")
    shown = capsys.readouterr().err
    assert "Pickle files can run code" in shown
    assert "mix.ckpt: nothing suspicious found" in shown
    assert "mix.safetensors: " not in shown


def test_hostile_names_stay_inside_and_two_files_of_one_name_are_both_kept(
    run: Runner, out: Path, site: FakeCivitai, tmp_path: Path
) -> None:
    model = site.world.add_model("../../aux", creator="..")
    version = model.add_version("con.")
    bodies = {}
    for name in ("../../../etc/x.safetensors", "x.safetensors", "*.pt", "C:\\y.pt", "nul.safetensors", "", "a.part"):
        file = version.add_file(name)
        bodies[file.id] = file.data
    assert run("10001") == 0
    assert set(tmp_path.iterdir()) == {out}
    folder = one_file(out, "model.json").parent
    landed = {path.name: path.read_bytes() for path in (folder / "_con [20001]").iterdir() if path.is_file()}
    assert {name for name in landed if name.startswith("x") and name.endswith(".safetensors")} == {
        "x.safetensors",
        "x-30002.safetensors",
    }
    assert set(bodies.values()) <= set(landed.values())
