"""What the docs say of many copies: the manifest for Kubernetes, the commands, and how long an archive takes."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from civitai_downloader.__main__ import command_parser
from tests import arithmetic
from tests.arithmetic import Archive
from tests.conftest import Runner
from tests.engines.copies import block
from tests.fake_civitai import FakeCivitai
from tests.helpers import ROOT

MANIFEST = block("REFERENCE.md", "# civitai.yaml")
Mapping = dict[str, Any]


def documents() -> tuple[Mapping, Mapping]:
    """Return the claim of the volume, and the job."""
    claim, job = yaml.safe_load_all(MANIFEST)
    return claim, job


def pod() -> Mapping:
    found = documents()[1]["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container() -> Mapping:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def test_the_job_is_indexed_and_tells_its_pods_how_many_they_are() -> None:
    _, job = documents()
    spec, environment = job["spec"], {each["name"]: each for each in container()["env"]}
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    assert isinstance(spec["completions"], int)
    assert environment["JOB_COMPLETIONS"]["value"] == str(spec["completions"])
    assert 1 <= spec["parallelism"] <= spec["completions"]
    assert container()["command"][-2:] == ["--shard", "auto"]


def test_a_pod_that_fails_is_replaced_when_it_has_ended_and_has_time_to_end() -> None:
    spec = documents()[1]["spec"]
    assert pod()["restartPolicy"] == "Never"  # without it, `backoffLimitPerIndex` is refused
    assert spec["backoffLimitPerIndex"] >= 1
    assert spec["podReplacementPolicy"] == "Failed"
    assert pod()["terminationGracePeriodSeconds"] >= 30


def test_the_pods_share_one_volume_that_many_nodes_can_write_to() -> None:
    claim, _ = documents()
    (volume,), (mount,) = pod()["volumes"], container()["volumeMounts"]
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert mount["name"] == volume["name"]
    words = container()["command"]
    assert words[words.index("-o") + 1] == mount["mountPath"]
    assert words[1].startswith(f"{mount['mountPath']}/")


def test_the_token_comes_from_a_secret_and_the_memory_is_bounded() -> None:
    environment = {each["name"]: each for each in container()["env"]}
    assert environment["CIVITAI_API_KEY"]["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}
    assert "--token" not in container()["command"]
    assert container()["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert "memory" in container()["resources"]["limits"]


def test_the_command_of_the_manifest_is_understood() -> None:
    program, *words = container()["command"]
    assert program == "civitai-downloader"
    assert command_parser().parse_args(words).shard == "auto"


def test_the_manifest_fits_the_schema_of_kubernetes() -> None:
    try:
        validate = importlib.import_module("kubernetes_validate").validate
    except ImportError:
        pytest.skip("kubernetes-validate is not installed")
    for document in documents():
        validate(document, "1.33", strict=True)  # of a version that it lacks, it raises another error


@pytest.mark.parametrize(
    ("page", "beginning"), [("README.md", "seq 8 "), ("REFERENCE.md", "# copies.sh"), ("REFERENCE.md", "# auto.sh")]
)
def test_gnu_parallel_starts_as_many_copies_as_they_are_told(page: str, beginning: str) -> None:
    line = next(line for line in block(page, beginning).splitlines() if line.startswith("seq"))
    words = shlex.split(line)
    count, share = words[1], words[words.index("--shard") + 1]
    assert share in (f"{{#}}/{count}", f"auto/{count}")
    assert (share == f"auto/{count}") == ("-n0" in words)
    assert f"-j{count}" in words


# --- How long it takes ---------------------------------------------------------------------------


def test_the_table_of_times_is_computed_from_the_paces_in_the_code() -> None:
    text = (ROOT / "REFERENCE.md").read_text("utf-8")
    rows = re.findall(r"^\| [\d,]+ \| \d+ \| .*(?:the pace|the bytes).*$", text, re.M)
    assert rows == [*arithmetic.table()]
    assert re.search(rf"{Archive(10_000, 1).transfers - 20_000:,} pictures", text)


def test_the_table_of_times_counts_what_a_run_asks_for(site: FakeCivitai, run: Runner, out: Path) -> None:
    models = 10
    for number in range(models):
        model = site.world.add_model(f"model {number}")
        for name in range(arithmetic.VERSIONS):
            version = model.add_version(f"v{name}")
            version.add_file(f"file_{number}_{name}.safetensors")
            for place in range(arithmetic.PICTURES):
                meta = {"prompt": "a lantern"} if place >= arithmetic.SILENT else None
                site.world.add_image([version.id], meta=meta)
    assert (
        run("models.txt", "--only", "metadata", lines=[f"{site.url}/models/{model}" for model in site.world.models])
        == 0
    )
    asked = [seen.path.split("/")[2:4] for seen in site.seen("site", "/api/")]
    archive = Archive(models, 1)
    assert asked.count(["v1", "models"]) == archive.model_requests
    assert len(asked) - asked.count(["v1", "models"]) == archive.picture_requests
