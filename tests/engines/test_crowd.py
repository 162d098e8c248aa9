"""Two thousand models by eight copies under each engine: one library comes out, as if one run had made it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines import crowd
from tests.engines.copies import Desk
from tests.engines.slurm import Slurm
from tests.fake_civitai import FakeCivitai
from tests.helpers import read_json

pytestmark = pytest.mark.long

COPIES = 8
#: Galleries would take a request for each model at the default pace, which is too long for a test.
PLAIN = ("--no-gallery",)
QUICK = (*PLAIN, "--max-rate-model", "1000", "--max-rate-image", "1000")


def prepare(desk: Desk, site: FakeCivitai, models: int = 2000) -> Path:
    """Fill the site, write the list, and let one run bring all of it into a folder of its own, which is returned."""
    desk.write_list(crowd.crowd(site.world, models))
    desk.configure(*QUICK)
    alone = desk.folder / "alone"
    code, said = desk.copy(output=alone)
    assert code == 0, said[-2000:]
    assert set(crowd.fetched(site).values()) == {1}
    site.forget()
    desk.configure(*PLAIN)
    return alone


def submit(desk: Desk, slurm: Slurm, command: str = "sbatch --parsable civitai.sbatch") -> str:
    """Hand the array job of the docs to Slurm; return its number."""
    desk.environment |= {"SLURM_CONF": slurm.environment["SLURM_CONF"]}
    (desk.folder / "civitai.sbatch").write_text(desk.recipe("REFERENCE.md", "#!/bin/bash\n# civitai.sbatch"), "utf-8")
    code, job = desk.run("bash", "-c", command)
    assert code == 0, job
    return job.strip()


def check_crowd(desk: Desk, site: FakeCivitai, alone: Path, seconds: float) -> None:
    """Compare what the copies made with what one run makes, and look at what they asked for."""
    print(f"\n{COPIES} copies: {crowd.figures(site, seconds)}")
    whole = sum(file.body.size for file in site.world.files.values())
    whole += sum(len(image.data) for image in site.world.images.values())
    assert set(crowd.fetched(site).values()) == {1}
    assert crowd.bytes_sent(site) == whole
    for kind, times in crowd.asked(site).items():
        assert crowd.haste(times, crowd.PACES[kind], COPIES) == [], kind
    assert len([*desk.shared.glob("download_state.*-of-8.jsonl")]) == COPIES
    together, one = crowd.logged(desk.shared), crowd.logged(alone)
    assert set(together) == set(one)
    assert len(crowd.libraries(desk.shared)) == 1
    assert crowd.tree(desk.shared) == crowd.tree(alone)


def check_end(desk: Desk, site: FakeCivitai, alone: Path) -> None:
    """A run without `--shard` finds everything there and makes the page; `--compact` leaves one log."""
    site.forget()
    assert not (desk.shared / "index.html").exists()
    code, said = desk.copy()
    assert code == 0, said[-2000:]
    assert crowd.fetched(site) == {}
    assert (desk.shared / "index.html").exists()
    assert not [*desk.shared.glob("failed.*")]
    report = read_json(desk.shared / "report.json")
    assert report["counts"]["skipped"] == sum(read_json(alone / "report.json")["counts"].values())
    code, said = desk.run("civitai-downloader", "--compact", "-o", str(desk.shared))
    assert code == 0, said[-2000:]
    assert [log.name for log in desk.shared.glob("download_state*.jsonl")] == ["download_state.jsonl"]
    assert crowd.logged(desk.shared) == crowd.logged(alone)
    site.forget()
    code, said = desk.copy("-q")
    assert (code, said) == (0, "")
    assert site.seen() == []


def measure(act: Callable[[], object]) -> float:
    """Return how many seconds something took."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


@pytest.mark.usefixtures("parallel")
def test_two_thousand_models_by_eight_copies_under_gnu_parallel(desk: Desk, site: FakeCivitai) -> None:
    alone = prepare(desk, site)
    code, said = 0, ""

    def act() -> None:
        nonlocal code, said
        code, said = desk.run("bash", "-c", desk.recipe("REFERENCE.md", "# copies.sh"))

    seconds = measure(act)
    assert code == 0, said[-2000:]
    check_crowd(desk, site, alone, seconds)
    check_end(desk, site, alone)


def test_two_thousand_models_by_eight_tasks_of_a_slurm_array(desk: Desk, site: FakeCivitai, slurm: Slurm) -> None:
    alone = prepare(desk, site)
    job = submit(desk, slurm)
    seconds = measure(slurm.wait)
    assert slurm.tasks(job) == dict.fromkeys(range(1, COPIES + 1), ("COMPLETED", "0:0"))
    check_crowd(desk, site, alone, seconds)
    check_end(desk, site, alone)
