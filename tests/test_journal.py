"""The journal: what a log says of jobs is read again, and what no run can have written is not believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.holds import Hold
from civitai_downloader.core.journal import Journal, Part, Step, was_organized
from civitai_downloader.core.library import Library
from civitai_downloader.core.turns import Turn
from civitai_downloader.util.clock import Clock


@pytest.fixture
def library(tmp_path: Path) -> Any:
    root = tmp_path / "models"
    root.mkdir()
    turn = Turn(root, None, Clock())
    library = Library(root, Hold(turn, turn.take(None)))
    yield library
    library.close()


def step_of(library: Library, out: Path, job: str, **more: Any) -> Step:
    part = Part("move", library.folder / "a" / "새.pt", out / "LORA" / "새.pt", 5, 7, **more)
    return Step(f"{job}/000001", "planned", (part,), "ab" * 32)


def test_jobs_are_read_as_they_were_written(library: Library, tmp_path: Path) -> None:
    journal, out = Journal(library), tmp_path / "sorted"
    assert not was_organized(library.folder)
    job = journal.next_job(out, "{type}", "move")
    journal.begin(job)
    waiting = out / ".civitai" / "replaced" / job.id / "LORA" / "새.pt"
    step = journal.note(step_of(library, out, job.id, landed=(5, 8), replaced=waiting, paths={"file_path": "/x"}))
    assert was_organized(library.folder)
    (found,) = journal.jobs()
    assert (found.steps, found.is_open, found.root) == ((step,), True, out)
    assert journal.next_job(out, "{tag}", "copy").id == job.id
    assert journal.next_job(out, "{tag}", "copy").next_number == 2
    assert journal.next_job(tmp_path / "other", "{tag}", "copy").id.startswith("0002-")
    journal.end(job)
    assert journal.next_job(out, "{type}", "move").id.startswith("0002-")


@pytest.mark.parametrize(
    "change",
    [
        {"files": []}, {"files": "x"}, {"status": "strange"}, {"id": "0001-00000000/x"}, {"files": [5]},
        {"way": "steal"}, {"from": "/etc/passwd"}, {"from": "../x"}, {"from": ""}, {"to": "/etc/cron.d/x"},
        {"to": "{out}/../x"}, {"replaced": "/home/x"}, {"replaced": "{out}/LORA/x"}, {"paths": 5, "way": 5},
    ],
)  # fmt: skip
def test_a_line_that_leads_elsewhere_is_not_believed(library: Library, tmp_path: Path, change: dict[str, Any]) -> None:
    journal, out = Journal(library), tmp_path / "sorted"
    job = journal.next_job(out, "{type}", "move")
    journal.begin(job)
    journal.note(step_of(library, out, job.id))
    (line,) = (each for each in library.lines("organize") if "files" in each)
    told: dict[str, Any] = {
        key: value.format(out=out) if isinstance(value, str) else value for key, value in change.items()
    }
    of_line: dict[str, Any] = {key: told[key] for key in ("files", "status", "id") if key in told}
    of_part = {key: value for key, value in told.items() if key not in of_line}
    files = of_line.get("files", [{**line["files"][0], **of_part}])
    library.append({**line, **of_line, "files": files})
    (found,) = journal.jobs()
    assert len(found.steps) == ("id" in change)
