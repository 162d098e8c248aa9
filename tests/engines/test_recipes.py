"""The commands of the docs, run as they stand: only the shared folder is another one."""

from __future__ import annotations

import pytest

from tests.engines import crowd
from tests.engines.copies import Desk
from tests.engines.slurm import Slurm
from tests.engines.test_crowd import QUICK, prepare, submit
from tests.fake_civitai import FakeCivitai

pytestmark = pytest.mark.long


@pytest.mark.usefixtures("parallel")
@pytest.mark.parametrize(
    ("page", "beginning"), [("README.md", "seq 8 "), ("REFERENCE.md", "# auto.sh")], ids=["readme", "auto"]
)
def test_the_recipes_for_gnu_parallel(desk: Desk, site: FakeCivitai, page: str, beginning: str) -> None:
    alone = prepare(desk, site, 200)
    desk.configure(*QUICK)
    code, said = desk.run("bash", "-c", desk.recipe(page, beginning))
    assert code == 0, said[-2000:]
    assert set(crowd.fetched(site).values()) == {1}
    assert crowd.tree(desk.shared) == crowd.tree(alone)
    assert len([*desk.shared.glob("download_state.*-of-8.jsonl")]) == 8
    assert (desk.shared / "index.html").exists() == (page == "README.md")


def test_the_recipe_for_slurm_ends_with_one_run_over_everything(desk: Desk, site: FakeCivitai, slurm: Slurm) -> None:
    alone = prepare(desk, site, 200)
    desk.configure(*QUICK)
    submit(desk, slurm, desk.recipe("REFERENCE.md", "# submit.sh"))
    slurm.wait()
    assert set(crowd.fetched(site).values()) == {1}
    assert crowd.tree(desk.shared) == crowd.tree(alone)
    assert (desk.shared / "index.html").exists()
    assert {log.name for log in desk.folder.glob("civitai-*.log")} == {
        f"civitai-{number}.log" for number in range(1, 9)
    }
