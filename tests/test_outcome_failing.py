"""What can't be written at the end keeps nothing else from being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, Rewrite
from tests.helpers import IMAGES, Err, add_file, link, read_json


@pytest.mark.parametrize("name", ["report.json", "failed.txt"])
@pytest.mark.parametrize("first", ["downloads", "other"])
def test_what_one_folder_refuses_is_written_into_the_others(
    site: FakeCivitai, run: Runner, out: Path, err: Err, name: str, first: str
) -> None:
    add_file(site)
    add_file(site, needs_token=True)
    other = out.parent / "other"
    blocked, free = (out, other) if first == "downloads" else (other, out)

    def block(answer: object) -> object:
        (blocked / name / "in the way").mkdir(parents=True)
        return answer

    site.fail(f"{IMAGES}?modelVersionId=20001", Rewrite(block))
    lines = [f"{link(site)} -o {folder}" for folder in (out, other)] + [f"10002 -o {free}", f"10002 -o {blocked}"]
    assert run(lines=lines) == 1
    assert str(blocked / name) in err()
    assert len(read_json(free / "report.json")["targets"]) == 2
    assert (free / "failed.txt").is_file()
    if name == "failed.txt":
        assert len(read_json(blocked / "report.json")["targets"]) == 2
