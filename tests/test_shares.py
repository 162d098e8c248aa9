"""What falls to which copy, and what batch engines tell of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.shares import Share, name_for, read_share, share_from
from civitai_downloader.util.errors import OptionError
from tests.conftest import Runner
from tests.helpers import Err
from tests.stand_in import StandIn

SLURM = {
    "SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_MAX": "17", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "8",
}  # fmt: skip


def slurm(index: int, least: int, most: int, count: int, step: int = 1) -> dict[str, str]:
    """Return what a task of a Slurm array sees."""
    names = ("ID", "MIN", "MAX", "COUNT", "STEP")
    return {
        f"SLURM_ARRAY_TASK_{name}": str(each)
        for name, each in zip(names, (index, least, most, count, step), strict=True)
    }


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("3/8", {}, Share(3, 8)),
        (" 03/08 ", {}, Share(3, 8)),
        ("1/1", {}, Share(1, 1)),
        ("2/8", SLURM, Share(2, 8)),
        ("auto", SLURM, Share(2, 8)),
        ("AUTO", SLURM, Share(2, 8)),
        ("auto/8", SLURM, Share(2, 8)),
        ("auto", slurm(0, 0, 7, 8), Share(1, 8)),
        ("auto", slurm(8, 1, 8, 8), Share(8, 8)),
        ("auto", slurm(17, 3, 17, 8, 2), Share(8, 8)),
        ("auto", slurm(3, 3, 3, 1), Share(1, 1)),
        ("auto", {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "8"}, Share(1, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, Share(8, 8)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "9999", "AWS_BATCH_JOB_ARRAY_SIZE": "10000"}, Share(10000, 10000)),
        ("auto/3", {"AWS_BATCH_JOB_ARRAY_INDEX": "2"}, Share(3, 3)),
        ("auto/8", {"PARALLEL_SEQ": "8", "PARALLEL_JOBSLOT": "2"}, Share(8, 8)),
        ("auto/8", {"PARALLEL_SEQ": "1", "SLURM_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": ""}, Share(1, 8)),
    ],
)
def test_a_share_is_told_or_given_by_the_engine(text: str, environment: dict[str, str], expected: Share) -> None:
    assert read_share(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("0/8", {}, "0/8 isn't possible"),
        ("9/8", {}, "9/8 isn't possible"),
        ("1/0", {}, "1/0 isn't possible"),
        ("1/999999", {}, "isn't possible"),
        ("3", {}, "must be I/N"),
        ("a/8", {}, "must be I/N"),
        ("-1/8", {}, "must be I/N"),
        ("3/8/9", {}, "must be I/N"),
        ("３/８", {}, "must be I/N"),
        ("auto/", {}, "must be I/N"),
        ("auto", {}, "no batch engine"),
        ("auto/8", {"SLURM_JOB_ID": "7"}, "no batch engine"),
        ("auto/0", {"PARALLEL_SEQ": "1"}, "of 0"),
        ("auto", {"PARALLEL_SEQ": "1"}, "pass --shard auto/N"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "set JOB_COMPLETIONS"),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, "set AWS_BATCH_JOB_ARRAY_SIZE"),
        ("auto", {**SLURM, "PARALLEL_SEQ": "1"}, "several engines"),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0", "PARALLEL_SEQ": "1"}, "JOB_COMPLETION_INDEX, PARALLEL_SEQ"),
        ("auto/4", SLURM, "SLURM_ARRAY_TASK_COUNT says 8"),
        ("auto", slurm(5, 1, 9, 3), "has gaps"),
        ("auto/8", {"PARALLEL_SEQ": "9"}, "copy 9 of 8"),
        ("auto/8", {"JOB_COMPLETION_INDEX": "8"}, "copy 9 of 8"),
        ("auto/8", {"PARALLEL_SEQ": "0"}, "copy 0 of 8"),
        ("auto/8", {"PARALLEL_SEQ": "one"}, "PARALLEL_SEQ='one' isn't a number"),
        ("auto", slurm(3, 3, 9, 8, 0), "has gaps"),
        ("auto", slurm(4, 3, 3, 1, 0), "copy 2 of 1"),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_MIN": "x"}, "SLURM_ARRAY_TASK_MIN='x'"),
    ],
)
def test_what_is_no_share_is_told(text: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_share(text, environment)
    assert said in caught.value.sentence


@pytest.mark.parametrize(
    "words",
    [
        "--organize=move --layout=by-type",
        "--undo",
        "--updates",
        "--update",
        "--verify",
        "--refilter",
        "--page",
        "--compact",
    ],
)
def test_what_one_run_does_alone_does_not_go_with_a_share(run: Runner, words: str, err: Err) -> None:
    assert run("10001", "--shard=1/2", *words.split()) == 2
    assert f"--shard doesn't go with {words.partition('=')[0]}" in err()


def test_idm_does_not_go_with_a_share(run: Runner, idm: StandIn, err: Err) -> None:
    assert run("10001", "--shard=1/2", "--idm", str(idm.path)) == 2
    assert "--shard doesn't go with --idm" in err()


def test_a_folder_does_not_go_with_a_share(run: Runner, tmp_path: Path, err: Err) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.safetensors").write_bytes(b"x" * 100)
    assert run(f"{tmp_path}/models", "--shard=1/2") == 2
    assert "--shard takes links" in err()


@given(st.integers(1, 40), st.sampled_from(("model", "post", "image")), st.integers(1, 2**31))
def test_each_thing_falls_to_one_copy(count: int, kind: str, number: int) -> None:
    assert sum(Share(index, count).has(kind, number) for index in range(1, count + 1)) == 1


def test_copies_get_about_the_same(run: Runner) -> None:
    found = Counter(index for number in range(10000) for index in range(1, 9) if Share(index, 8).has("model", number))
    assert all(1100 < each < 1400 for each in found.values())


def test_what_falls_to_whom_never_changes() -> None:
    assert [number for number in range(1, 30) if Share(1, 4).has("model", number)] == [5, 6, 12, 22]


def test_the_files_of_a_copy_have_its_name() -> None:
    assert name_for("report.json", None) == "report.json"
    assert name_for("report.json", Share(3, 8)) == "report.3-of-8.json"
    assert name_for("download_state.jsonl", Share(12, 64)) == "download_state.12-of-64.jsonl"


def test_options_that_do_not_forbid_it_go_with_a_share() -> None:
    assert share_from({"shard": "2/3", "page": False, "force": True}, {}) == Share(2, 3)
