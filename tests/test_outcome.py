"""The report, the failed lines, the plan of a dry run and --verify tell how things stand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, from_now, safetensors_bytes
from tests.helpers import DOWNLOAD, MANY, TOKEN, Captured, add_file, link, newest

# --- Report and failed lines ---------------------------------------------------------------------


def test_the_report_tells_what_failed(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(DOWNLOAD, fake.Status(410), times=MANY)
    assert run(link(site)) == 1
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["targets"][0]["outcome"] == "failed"
    assert [(each["id"], each["reason"]) for each in report["files"]] == [(f"20001/{file.id}", "archived")]


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell is needed")
def test_the_retry_script_runs_the_failed_lines(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    newest(lora).needs_token = True
    assert run("10001", "--latest", "--primary") == 1
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "10001 --latest --primary"
    script = (out / "retry.bat").read_bytes()
    assert b"--retry-failed" in script
    assert b"\r\n" in script
    environment = {**os.environ, "CIVITAI_API_KEY": "good-token", "PYTHONPATH": str(Path(__file__).parent.parent)}
    assert subprocess.run(["sh", str(out / "retry.sh")], env=environment, check=False).returncode == 0
    assert one_file(out, "paper_xl.safetensors")
    assert not (out / "retry.sh").exists()


def test_lines_of_an_earlier_run_stay_in_failed_txt(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    assert run("777") == 1
    assert run("10001") == 0
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "777"
    assert run("--retry-failed") == 1


# --- Dry run and verify --------------------------------------------------------------------------


def test_a_dry_run_says_everything_and_writes_nothing(
    run: Runner, site: FakeCivitai, capsys: Captured, out: Path, lora: FakeModel
) -> None:
    early = lora.add_version("soon", early_access=from_now(9e5))
    early.add_file("soon.safetensors")
    locked = site.world.add_model("Locked").add_version(needs_token=True)
    locked.add_file("locked.safetensors")
    archived = site.world.add_model("Old", mode="Archived").add_version()
    archived.add_file("old.safetensors")
    assert run("--dry-run", "10001", "10002", "10003") == 0
    shown = capsys.readouterr()
    assert not out.exists()
    assert not site.seen("storage") + site.seen("image")
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in shown.out.splitlines())}
    files = lora.versions[1].files
    assert rows["10001@20002"] == ["1", str(len(files[0].data)), "2", "", "Paper Lantern Style [10001] v2.0"]
    assert rows["10001@20003"][3] == f"early access until {from_now(9e5)[:10]}"
    assert rows["10002@20004"][3] == "needs a token"
    assert rows["10003@20005"][3] == "archived"
    assert "to fetch," in shown.err
    assert " free." in shown.err
    run("10001@20002")
    capsys.readouterr()
    assert run("--dry-run", "10001@20002", "404404") == 1
    shown = capsys.readouterr()
    assert "10001@20002\t0\t0\t0\tthere already\t" in shown.out
    assert "0 B to fetch" in shown.err


@pytest.mark.parametrize("kind", ["user", "tag", "collection", "post", "image"])
def test_a_dry_run_plans_every_kind_of_target(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, post: int, kind: str
) -> None:
    models = site.world.add_collection("Models", [10001], type="Model").id
    links = {
        "user": "user/smith",
        "tag": "tag/style",
        "collection": f"collections/{models}",
        "post": f"posts/{post}",
        "image": "images/40001",
    }
    assert run(f"{site.url}/{links[kind]}", "--dry-run", *TOKEN) == 0
    shown = capsys.readouterr().out
    rows = {"post": f"posts/{post}\t0\t0\t?\t", "image": "images/40001\t0\t0\t1\t"}
    assert rows.get(kind, "tool [10001]") in shown
    assert not out.exists()


@pytest.mark.usefixtures("lora")
def test_verify_finds_what_changed_and_the_next_run_repairs_it(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    assert run("--verify") == 2
    run("10001")
    site.forget()
    assert run("--verify") == 0
    weights = one_file(out, "paper_xl.safetensors")
    weights.write_bytes(b"\0\0" + weights.read_bytes()[2:])
    one_file(out, "40001.png").write_bytes(b"short")
    one_file(out, "paper_sd15.safetensors").unlink()
    capsys.readouterr()
    assert run("--verify") == 1
    shown = capsys.readouterr().err
    for words in ("have changed", "instead of", "no longer on disk"):
        assert words in shown
    assert not site.requests
    assert run("10001") == 0
    assert run("--verify") == 0
    assert weights.read_bytes() == safetensors_bytes("xl")
