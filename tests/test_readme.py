"""README.md says what is true: its sample output, its commands, its options and its links."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

from civitai_downloader.__main__ import command_parser
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ["README.md", "REFERENCE.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]


def sample_world(site: FakeCivitai) -> None:
    """Fill the site with what the sample in README.md shows."""
    for name in ("Paper Lantern Style", "Tiny Sea", "Harbour Mix"):
        version = site.world.add_model(name).add_version("v1.0", needs_token=name == "Harbour Mix")
        version.add_file(f"{name.lower().replace(' ', '_')}.safetensors", size=300_000)
        for _ in range(3):
            version.add_image()


def test_the_sample_output_is_what_the_program_says(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    sample_world(site)
    assert run("models.txt", lines=[f"{site.url}/models/{model}" for model in site.world.models]) == 1
    shown = capsys.readouterr().err.replace(str(out), "/home/you/downloads")
    shown = re.sub(r" in \d+ s;", " in 1 s;", shown.replace(site.url.partition("//")[2], "civitai.com"))
    shown = re.sub(r", [0-9.]+ \w+/s(, [0-9:]+ left)?$", "", shown, flags=re.M)
    lines = [line for line in shown.splitlines() if not re.match(r"[0-2]/3 models", line)]
    assert "\n".join(["$ civitai-downloader models.txt", *lines]) in README


def test_the_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 240
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_named_exists(page: str) -> None:
    known = {name for action in command_parser()._actions for name in action.option_strings}
    text = (ROOT / page).read_text("utf-8")
    others = re.compile(
        r"pip install|git |apt|venv|tests\.|ruff|mypy|pytest|rclone|--vfs|--clear|debootstrap|twine|kubectl"
        r"|parallel |SBATCH|sbatch|--array|--workdir"
    )
    named = {
        word
        for line in text.splitlines()
        if not others.search(line)
        for word in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
    }
    assert named - known == set()


def test_the_checks_run_the_tests_by_the_commands_of_the_readme() -> None:
    (command,) = re.findall(r"^(\.venv\S+pip install .*pytest)$", README, re.M)
    assert "write `.venv\\Scripts\\` for `.venv/bin/`" in README
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert command in workflow
    assert command.replace(".venv/bin/", ".venv\\Scripts\\") in workflow
    assert "README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_step_of_the_walks_through_the_code_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for package, room, name in re.findall(r"(core/|util/|)(\w+):(\w+(?:\.\w+)*)", text):
        module = import_module(".".join(["civitai_downloader", *filter(None, [package.rstrip("/"), room])]))
        assert reduce(getattr, name.split("."), module) is not None


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_the_pages_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target, anchor in re.findall(r"\]\(([\w./-]+)?(#[\w-]+)?\)", text):
        path = ROOT / (target or page)
        assert path.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


def test_the_reference_names_every_option() -> None:
    text = (ROOT / "REFERENCE.md").read_text("utf-8")
    names = {action.option_strings[-1] for action in command_parser()._actions if action.option_strings}
    assert {name for name in names if not re.search(rf"{re.escape(name)}(?![\w-])", text)} == set()


@pytest.mark.parametrize("name", ["scan-loras.txt", "scan-and-organise.txt", "refresh-pages.txt", "new-versions.txt"])
def test_the_common_jobs_work_as_they_stand(name: str, run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    text = (ROOT / "REFERENCE.md").read_text("utf-8")
    (job,) = re.findall(rf"^```\n(# {name}:.*?)^```$", text, re.M | re.S)
    (tmp_path / name).write_text(job, "utf-8")
    version = site.world.add_model().add_version()
    file = version.add_file("old.safetensors")
    folder = tmp_path / "ComfyUI" / "models" / "loras"
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").write_bytes(file.data)
    assert run(str(folder)) == 0
    version.model.description = "<p>Other words.</p>"
    version.model.add_version("v2").add_file("new.safetensors")
    assert run(f"@{name}") == 0
    text = (next(folder.rglob("model.txt"))).read_text("utf-8")
    assert ("Other words" in text) == name.startswith(("refresh", "new"))
    assert bool([*(tmp_path / "sorted").rglob("mine.safetensors")]) == (name == "scan-and-organise.txt")
    assert (folder / "new.safetensors").exists() == (name == "new-versions.txt")
