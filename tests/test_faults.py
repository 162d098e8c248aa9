"""Faults."""

from __future__ import annotations
from tests.conftest import *


def test_smoke(site, run, out, state, capsys):
    v = site.world.add_model().add_version()
    f = v.add_file("a.safetensors")
    v.add_image()
    assert run(str(v.model.id)) == 0
    print(state())
    print(list(files_under(out)))
    print(capsys.readouterr().err)
    print(run.clock.slept)
