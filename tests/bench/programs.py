"""The programs that are measured, ours and its peers, and what a run of one costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

from .origin import ROOT

WANTED = ("", ".safetensors", ".jpeg", ".jpg")
PEERS = ("curl", "aria2c", "wget2", "gallery-dl", "civitdl")


@dataclass(frozen=True)
class Cost:
    """What a run took: wall seconds, seconds of CPU, most memory held at a time in MB, and what it printed."""

    seconds: float
    cpu: float
    peak: float
    output: str = ""


@dataclass(frozen=True)
class Job:
    """The same thing for everybody: a link of the site for ours, plain links for peers; `size` bytes in all."""

    target: str
    urls: list[str]
    size: int


@dataclass(frozen=True)
class Program:
    """A name for the table, and the command line that does a job into a folder."""

    name: str
    words: Callable[[Job, Path], list[str]]
    env: Mapping[str, str] = field(default_factory=dict)


def run(words: Sequence[str], env: Mapping[str, str] | None = None, *, codes: tuple[int, ...] = (0,)) -> Cost:
    """Run a command to its end; raises RuntimeError for any other exit code.

    The memory of a process begins with that of its parent, so nothing below what this process holds is seen.
    """
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=whole)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(words)[:300]} ended with {process.returncode}:\n{text[-2000:]}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, text)


def measure(
    programs: Sequence[Program], jobs: Mapping[str, Job], rounds: int, folder: Path
) -> dict[tuple[str, str], Cost]:
    """The median cost of every program with every job; all take turns, each into an empty folder."""
    costs: dict[tuple[str, str], list[Cost]] = {}
    for _ in range(rounds):
        for program in programs:
            for name, job in jobs.items():
                costs.setdefault((program.name, name), []).append(run_job(program, job, folder / "out"))
    return {key: middle(each) for key, each in costs.items()}


def run_job(program: Program, job: Job, out: Path) -> Cost:
    """One run into a folder of its own; raises RuntimeError when less has arrived than there is."""
    out.mkdir()
    cost = run(program.words(job, out), program.env)
    held = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.suffix in WANTED)
    shutil.rmtree(out)
    if held < job.size:
        raise RuntimeError(f"{program.name} brought {held} of {job.size} bytes:\n{cost.output[-2000:]}")
    return cost


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        median(each.seconds for each in costs), median(each.cpu for each in costs), median(each.peak for each in costs)
    )


# --- Ours ----------------------------------------------------------------------------------------


def command(*words: str) -> list[str]:
    """The command line of ours."""
    return [sys.executable, "-m", "civitai_downloader", *words]


@cache
def knows(option: str) -> bool:
    """Whether ours has an option."""
    return option in run(command("--help")).output


def ours(site: str, *options: str, name: str = "ours", certificate: Path | None = None) -> Program:
    """Ours, as its users run it."""

    def words(job: Job, out: Path) -> list[str]:
        return command("--site", site, "-o", str(out), "--lang", "en", *options, job.target)

    return Program(name, words, {"REQUESTS_CA_BUNDLE": str(certificate)} if certificate else {})


# --- Peers ---------------------------------------------------------------------------------------


def curl(certificate: Path | None = None) -> Program:
    """One file by curl."""
    trust = ["--cacert", str(certificate)] if certificate else []
    return Program("curl", lambda job, out: ["curl", "-sSf", *trust, "-o", f"{out}/file", job.urls[0]])


def aria2c(connections: int, certificate: Path | None = None) -> Program:
    """One file by aria2c; the file is not filled with zeros first, which would only cost it time."""
    trust = [f"--ca-certificate={certificate}"] if certificate else []
    words = ["aria2c", "-q", f"-x{connections}", f"-s{connections}", "-k1M", "--file-allocation=none", *trust]
    return Program(f"aria2c -x{connections}", lambda job, out: [*words, "-d", str(out), "-o", "file", job.urls[0]])


def wget2(certificate: Path | None = None) -> Program:
    """One file by wget2."""
    trust = [f"--ca-certificate={certificate}"] if certificate else []
    return Program("wget2", lambda job, out: ["wget2", "-q", *trust, "-O", f"{out}/file", job.urls[0]])


def many(width: int) -> list[Program]:
    """Those that fetch a list of links, `width` at a time."""

    def listed(job: Job, out: Path, form: str) -> str:
        path = out / "links.txt"
        path.write_text("".join(form.format(url=url, number=n, out=out) for n, url in enumerate(job.urls)))
        return str(path)

    def by_curl(job: Job, out: Path) -> list[str]:
        config = listed(job, out, 'url = "{url}"\noutput = "{out}/{number}.jpeg"\n')
        return ["curl", "-sSf", "-Z", "--parallel-max", str(width), "-K", config]

    def by_aria2c(job: Job, out: Path) -> list[str]:
        links = listed(job, out, "{url}\n  out={number}.jpeg\n")
        return ["aria2c", "-q", f"-j{width}", "--file-allocation=none", "-d", str(out), "-i", links]

    def by_wget2(job: Job, out: Path) -> list[str]:
        return ["wget2", "-q", f"--max-threads={width}", "-P", str(out), "-i", listed(job, out, "{url}\n")]

    def by_gallery_dl(job: Job, out: Path) -> list[str]:
        return ["gallery-dl", "-q", "--config-ignore", "-D", str(out), "-i", listed(job, out, "{url}\n")]

    return [
        Program(f"curl -Z {width}", by_curl),
        Program(f"aria2c -j{width}", by_aria2c),
        Program(f"wget2 -{width}", by_wget2),
        Program("gallery-dl", by_gallery_dl),
    ]


def installed(programs: Sequence[Program]) -> list[Program]:
    """Those of which the command is on this machine."""
    return [each for each in programs if each.name.startswith("ours") or shutil.which(each.name.split()[0])]
