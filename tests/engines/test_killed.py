"""Copies that are killed in the middle: the engine starts them again, or the next run does what they have left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.engines import crowd
from tests.engines.copies import LIMIT, Desk, holding
from tests.engines.processes import kill_copy
from tests.engines.slurm import Slurm, wait_for
from tests.engines.test_crowd import COPIES, QUICK, prepare, submit
from tests.fake_civitai import FakeCivitai

pytestmark = pytest.mark.long

WORKERS = 4  # what a killed copy may have under way


@contextmanager
def killing(desk: Desk, site: FakeCivitai, numbers: Sequence[int], after: int = 40) -> Iterator[Path]:
    """Let one run bring everything, and kill some of the copies that are started, when so many files have come."""
    alone = prepare(desk, site, 240)
    desk.configure(*QUICK, "--timeout", "300")
    with holding(site, after):
        yield alone
        wait_for(lambda: len(site.seen("storage")) >= after + WORKERS, "that files are asked for")
        for number in numbers:
            wait_for(partial(kill_copy, desk.shared, number), f"that copy {number} is killed")


def check_whole(desk: Desk, site: FakeCivitai, alone: Path, killed: int) -> None:
    """Everything is there, and only what a killed copy had under way was asked for again."""
    again = sum(count - 1 for count in crowd.fetched(site).values())
    print(f"\n{killed} copies killed: {again} of {len(crowd.fetched(site))} bodies were asked for again")
    assert again <= killed * WORKERS
    assert crowd.tree(desk.shared) == crowd.tree(alone)
    assert {line for line in crowd.logged(desk.shared) if line[2] != "failed"} == set(crowd.logged(alone))
    assert not list(desk.shared.rglob("*.part*"))


@pytest.mark.usefixtures("parallel")
def test_gnu_parallel_starts_killed_copies_again(desk: Desk, site: FakeCivitai) -> None:
    with killing(desk, site, [2, 5, 7]) as alone:
        process = desk.start("bash", "-c", desk.recipe("REFERENCE.md", "# copies.sh"))
    said = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == 0, said[-2000:]
    check_whole(desk, site, alone, 3)
    signals = [line.split("\t")[7] for line in (desk.folder / "copies.log").read_text("utf-8").splitlines()[1:]]
    assert set(signals) <= {"0", "9"}


def test_a_requeued_task_of_slurm_is_the_same_copy(desk: Desk, site: FakeCivitai, slurm: Slurm) -> None:
    with killing(desk, site, [3]) as alone:
        job = submit(desk, slurm)
    slurm.wait()
    assert slurm.tasks(job)[3][0] == "FAILED"
    slurm.call("scontrol", "requeue", f"{job}_3")
    slurm.call("scontrol", "update", f"jobid={job}_3", "StartTime=now")
    slurm.wait()
    assert slurm.tasks(job) == dict.fromkeys(range(1, COPIES + 1), ("COMPLETED", "0:0"))
    check_whole(desk, site, alone, 1)


def test_what_a_copy_that_never_comes_back_has_left_is_done_by_the_next_run(
    desk: Desk, site: FakeCivitai, slurm: Slurm
) -> None:
    with killing(desk, site, [1, 6]) as alone:
        job = submit(desk, slurm)
    slurm.wait()
    assert {number for number, (state, _) in slurm.tasks(job).items() if state == "FAILED"} == {1, 6}
    assert crowd.tree(desk.shared) != crowd.tree(alone)
    code, said = desk.copy()
    assert code == 0, said[-2000:]
    check_whole(desk, site, alone, 2)
    assert (desk.shared / "index.html").exists()
