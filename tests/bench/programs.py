"""The programs that are measured, ours and its peers, and what a run of one costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
PEERS = ("curl", "aria2c", "wget2", "gallery-dl", "civitdl")
FETCHED = ("", ".safetensors", ".jpeg", ".jpg")


@dataclass(frozen=True)
class Cost:
    """What a run took: wall seconds, seconds of CPU, most memory held at a time in MB, and what it printed."""

    seconds: float
    cpu: float = 0.0
    peak: float = 0.0
    output: str = ""


@dataclass(frozen=True)
class Job:
    """The same thing for everybody: a link of the site for ours, plain links for peers; `size` bytes in all."""

    target: str
    urls: list[str]
    size: int


@dataclass(frozen=True)
class Program:
    """A name for the table, and words with `{out}`, `{target}`, `{url}`, and `{links}`, a file of `link` for each."""

    name: str
    words: list[str]
    link: str = "{url}\n"
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, job: Job, out: Path) -> list[str]:
        """The command line that does a job into a folder."""
        links = out / "links.txt"
        links.write_text("".join(self.link.format(url=url, n=n, out=out) for n, url in enumerate(job.urls)))
        first = job.urls[0] if job.urls else ""
        return [word.format(out=out, links=links, url=first, target=job.target) for word in self.words]


def run(words: Sequence[str], env: Mapping[str, str] | None = None, *, codes: tuple[int, ...] = (0,)) -> Cost:
    """Run a command to its end; raises RuntimeError for any other exit code.

    The memory of a process begins with that of its parent: what a small one holds below 25 MB is not seen.
    """
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    whole.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
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


def run_job(program: Program, job: Job, out: Path) -> Cost:
    """One run into a folder that is removed afterwards; raises RuntimeError when less has arrived than there is."""
    out.mkdir()
    cost = run(program.command(job, out), program.env)
    held = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.suffix in FETCHED)
    shutil.rmtree(out)
    if held < job.size:
        raise RuntimeError(f"{program.name} brought {held} of {job.size} bytes:\n{cost.output[-2000:]}")
    return cost


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(median(getattr(each, name) for each in costs) for name in ("seconds", "cpu", "peak")))


def installed(programs: Sequence[Program]) -> list[Program]:
    """Those of which the command is on this machine."""
    return [each for each in programs if shutil.which(each.words[0])]


def ours(site: str, *options: str, name: str = "ours", certificate: Path | None = None) -> Program:
    """Ours, as its users run it."""
    env = {"REQUESTS_CA_BUNDLE": str(certificate)} if certificate else {}
    return Program(name, [*OURS, "--site", site, "-o", "{out}", "--lang", "en", *options, "{target}"], env=env)


OURS = [sys.executable, "-m", "civitai_downloader"]


@cache
def knows(option: str) -> bool:
    """Whether ours has an option."""
    return option in run([*OURS, "--help"]).output


def single(connections: int = 1, certificate: Path | None = None) -> list[Program]:
    """Peers for one file; aria2c need not fill it with zeros first, which would only cost it time."""
    trust = ["--cacert", str(certificate)] if certificate else []
    equal = [f"--ca-certificate={certificate}"] if certificate else []
    spread = [f"-x{connections}", f"-s{connections}", "-k1M", "--file-allocation=none"]
    return [
        Program("curl", ["curl", "-sSf", *trust, "-o", "{out}/file", "{url}"]),
        Program(f"aria2c -x{connections}", ["aria2c", "-q", *spread, *equal, "-d", "{out}", "-o", "file", "{url}"]),
        Program("wget2", ["wget2", "-q", *equal, "-O", "{out}/file", "{url}"]),
    ]


def many(width: int) -> list[Program]:
    """Peers for a list of links, `width` at a time; gallery-dl knows no width."""
    both = 'url = "{url}"\noutput = "{out}/{n}.jpeg"\n'
    lines = ["aria2c", "-q", f"-j{width}", "--file-allocation=none", "-d", "{out}", "-i", "{links}"]
    return [
        Program(f"curl -Z {width}", ["curl", "-sSf", "-Z", "--parallel-max", str(width), "-K", "{links}"], both),
        Program(f"aria2c -j{width}", lines, "{url}\n  out={n}.jpeg\n"),
        Program(f"wget2 -{width}", ["wget2", "-q", f"--max-threads={width}", "-P", "{out}", "-i", "{links}"]),
        Program("gallery-dl", ["gallery-dl", "-q", "--config-ignore", "-D", "{out}", "-i", "{links}"]),
    ]
