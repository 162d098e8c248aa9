"""What is measured, and the bounds that are stated for it.

"Start-up off" is the median of a job less the median of the same command on 1 KiB, for each program alike.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

from .origin import Line, Origin, Site, Wish
from .programs import OURS, Cost, Job, Program, installed, knows, many, middle, ours, run, run_job, single

MIB = 1 << 20
FAST = ("--max-rate-model", "1000", "--max-rate-image", "1000")
ONE = ("--only", "models")


@dataclass(frozen=True)
class Row:
    """A line of the table; `seconds` has the start-up taken off where the scenario says so."""

    scenario: str
    program: str
    seconds: float
    cost: Cost
    verdict: str = ""


@dataclass(frozen=True)
class Bound:
    """`ours` takes at most `most` times as long as another program, or than so many seconds."""

    ours: str
    other: str
    most: float
    seconds: float = 0.0

    def verdict(self, net: Mapping[str, float]) -> str:
        """The ratio and whether it holds."""
        seconds = self.seconds or net.get(self.other)
        if seconds is None:
            return f"{self.other}: not measured"
        return f"{at_most(net[self.ours] / seconds, self.most)} x {self.other}"


def at_most(value: float, most: float) -> str:
    """Whether a bound holds."""
    return f"{value:.3g} (at most {most:g}: {'yes' if value <= most else 'NO'})"


@dataclass(frozen=True)
class Bench:
    """The origin, a folder to work in, the rounds, and by how much everything is scaled down."""

    origin: Origin
    folder: Path
    rounds: int
    scale: int

    def count(self, count: int) -> int:
        """A number of things, fewer in a quick run."""
        return max(8, count // self.scale)

    def measure(self, programs: Sequence[Program], jobs: Mapping[str, Job]) -> dict[tuple[str, str], Cost]:
        """The median cost of every program with every job; all take turns."""
        costs: dict[tuple[str, str], list[Cost]] = {}
        for _ in range(self.rounds):
            for program in programs:
                for name, job in jobs.items():
                    cost = run_job(program, job, self.folder / "out")
                    costs.setdefault((program.name, name), []).append(cost)
        return {key: middle(each) for key, each in costs.items()}

    def compare(
        self, title: str, programs: Sequence[Program], jobs: Mapping[str, Job], *bounds: Bound
    ) -> Iterator[Row]:
        """The job `whole` with the time of `small` taken off."""
        programs = installed(programs)
        costs = self.measure(programs, jobs)
        net = {each.name: costs[each.name, "whole"].seconds - costs[each.name, "small"].seconds for each in programs}
        for name, seconds in net.items():
            words = "; ".join(bound.verdict(net) for bound in bounds if bound.ours == name)
            yield Row(title, name, seconds, costs[name, "whole"], words)

    def files(self, mib: int, line: Line | None = None, *, tls: bool = False) -> tuple[Site, dict[str, Job]]:
        """A site with a file of a size and one of 1 KiB, and the job of each."""
        sizes = [mib * MIB // self.scale, 1024]
        site = self.origin.site(Wish(sizes), line=line, tls=tls)
        jobs = [Job(f"{site.url}/models/{10001 + n}", [site.files[n]], size) for n, size in enumerate(sizes)]
        return site, {"whole": jobs[0], "small": jobs[1]}

    def albums(self, wish: Wish, line: Line | None = None) -> tuple[Site, dict[str, Job]]:
        """A site with users' pictures, and the job of each user."""
        site = self.origin.site(wish, line=line)
        sizes = {name: count * wish.picture for name, count in wish.albums.items()}
        jobs = {name: Job(f"{site.url}/user/{name}/images", site.albums[name], sizes[name]) for name in sizes}
        return site, jobs

    def listed(self, site: Site, count: int, size: int) -> Job:
        """The job of a list of models."""
        path = self.folder / "list.txt"
        path.write_text("".join(f"{site.url}/models/{10001 + n}\n" for n in range(count)))
        return Job(str(path), [], count * size)

    def whole_job(
        self, title: str, site: Site, program: Program, job: Job, judge: Callable[[float, int], str]
    ) -> Iterator[Row]:
        """A job at the pace that users get; `judge` is given seconds and the API requests of the last round."""
        costs, asked = [], 0
        for _ in range(self.rounds):
            site.requests()
            costs.append(run_job(program, job, self.folder / "out"))
            asked = len(site.requests())
        cost = middle(costs)
        yield Row(title, program.name, cost.seconds, cost, f"API requests {judge(cost.seconds, asked)}")


def plain(bench: Bench) -> Iterator[Row]:
    """One file of 2 GiB, start-up off."""
    site, jobs = bench.files(2048)
    fast = ours(site.url, *ONE, "--no-verify", name="ours --no-verify")
    bounds = Bound(fast.name, "curl", 1.2), Bound(fast.name, "aria2c -x1", 1.0), Bound("ours", "curl", 1.6)
    return bench.compare("2 GiB", [fast, ours(site.url, *ONE), *single()], jobs, *bounds)


def tls(bench: Bench) -> Iterator[Row]:
    """The same over TLS."""
    own = bench.origin.certificate
    if own is None:
        return iter([Row("2 GiB, TLS", "none", 0, Cost(0), "left out: no openssl")])
    site, jobs = bench.files(2048, tls=True)
    fast = ours(site.url, *ONE, "--no-verify", name="ours --no-verify", certificate=own)
    bounds = Bound(fast.name, "curl", 1.7), Bound(fast.name, "aria2c -x1", 1.2)
    return bench.compare("2 GiB, TLS", [fast, *single(certificate=own)], jobs, *bounds)


def each_capped(bench: Bench) -> Iterator[Row]:
    """512 MiB where a connection gives no more than 20 MiB/s, start-up off."""
    site, jobs = bench.files(512, Line(each=20 * MIB))
    ideal = Bound("ours", "8 full connections", 1.25, jobs["whole"].size / (8 * 20 * MIB))
    programs = [ours(site.url, *ONE), *single(8)]
    return bench.compare("20 MiB/s each", programs, jobs, ideal, Bound("ours", "aria2c -x8", 1.25))


def all_capped(bench: Bench) -> Iterator[Row]:
    """512 MiB where all connections share 100 MiB/s, so that more than one brings nothing, start-up off."""
    site, jobs = bench.files(512, Line(shared=100 * MIB))
    lone = ours(site.url, *ONE, "--connections", "1", name="ours --connections 1")
    programs = [ours(site.url, *ONE), *([lone] if knows("--connections") else []), *single(8)]
    return bench.compare("100 MiB/s in all", programs, jobs, Bound("ours", lone.name, 1.02))


def pictures(bench: Bench) -> Iterator[Row]:
    """500 pictures of 200 KiB; a run with one is taken off. Ours writes two files for each: its prompt is the other."""
    count = bench.count(500)
    site, jobs = bench.albums(Wish(albums={"whole": count, "small": 1}))
    programs = installed([ours(site.url, *FAST), *many(8)])
    costs = bench.measure(programs, jobs)
    for name in (each.name for each in programs):
        whole, small = costs[name, "whole"], costs[name, "small"]
        cpu = 1000 * (whole.cpu - small.cpu) / (count - 1)
        of_file = f"; of each file {at_most(cpu / 2, 0.8)} ms" if name == "ours" else ""
        words = f"CPU of each picture {cpu:.2f} ms{of_file}"
        yield Row(f"{count} pictures", name, whole.seconds - small.seconds, whole, words)


def distant(bench: Bench) -> Iterator[Row]:
    """200 pictures of 200 KiB from a host 50 ms away, start-up (one picture of 1 KiB from nearby) off."""
    count, trip = bench.count(200), 0.05
    site, far = bench.albums(Wish(albums={"whole": count}), Line(delay=trip / 2))
    near, small = bench.albums(Wish(albums={"small": 1}, picture=1024))
    for width in (8, 16):
        peers, options = many(width)[:-1], (*FAST, "--workers", str(width))
        costs = bench.measure(installed([ours(site.url, *options), *peers]), far)
        costs |= bench.measure(installed([ours(near.url, *options), *peers]), small)
        net = {
            name: costs[name, "whole"].seconds - costs[name, "small"].seconds for name, job in costs if job == "whole"
        }
        ideal = Bound("ours", "(1 + n/w) trips", 1.15, (1 + count / width) * trip)
        words = f"{Bound('ours', f'curl -Z {width}', 1.12).verdict(net)}; {ideal.verdict(net)}"
        for name, seconds in net.items():
            title = f"{count} at 50 ms, {width} workers"
            yield Row(title, name, seconds, costs[name, "whole"], words if name == "ours" else "")


def models(bench: Bench) -> Iterator[Row]:
    """10 models of 1 MiB with four previews each, at the default pace.

    Peers can't be led to another host; their times at their default pace were measured on the real site.
    """
    site = bench.origin.site(Wish([MIB] * 10, previews=4))

    def judge(seconds: float, asked: int) -> str:
        return f"{at_most(asked, 9)}; {at_most(seconds / 9.3, 0.5)} x gallery-dl elsewhere"

    yield from bench.whole_job("10 models", site, ours(site.url, "--no-gallery"), bench.listed(site, 10, MIB), judge)
    yield Row("10 models", "gallery-dl elsewhere", 9.3, Cost(9.3))
    yield Row("10 models", "civitdl elsewhere", 30.6, Cost(30.6))


def creator(bench: Bench) -> Iterator[Row]:
    """A creator with 1,000 pictures and prompts, at the default pace."""
    count = bench.count(1000)
    site, jobs = bench.albums(Wish(albums={"whole": count}, picture=20 << 10))

    def judge(seconds: float, asked: int) -> str:
        return f"{at_most(asked, 10)}; {at_most(seconds / count, 0.1)} x a second for each"

    return bench.whole_job(f"creator, {count} pictures", site, ours(site.url), jobs["whole"], judge)


def metadata(bench: Bench) -> Iterator[Row]:
    """The API requests for a list of 180 models, of which the bulk answer leaves three out."""
    site = bench.origin.site(Wish([1024] * 180, left_out=3))
    program, job = ours(site.url, "--only", "metadata", "--no-gallery"), bench.listed(site, 180, 0)
    return bench.whole_job("180 models' pages", site, program, job, lambda _, asked: at_most(asked, 5))


def cold(bench: Bench) -> Iterator[Row]:
    """Help, version and a wrong option beside a Python that does nothing."""
    bare = "python -c pass"
    options = {"--help": 0, "--version": 0, "--wrong": 2}
    lines = {f"ours {option}": ([*OURS, option], code) for option, code in options.items()}
    costs: dict[str, list[Cost]] = {}
    for _ in range(5 * bench.rounds):
        for name, (words, code) in (lines | {bare: ([sys.executable, "-c", "pass"], 0)}).items():
            costs.setdefault(name, []).append(run(words, codes=(code,)))
    net = {name: middle(each).seconds for name, each in costs.items()}
    for name, taken in costs.items():
        verdict = Bound(name, bare, 2.5).verdict(net) if name in lines else ""
        yield Row("cold start", name, net[name], middle(taken), verdict)


def nothing(bench: Bench) -> Iterator[Row]:
    """A run over 10,000 pictures that are all there: a day later, when the lists are asked anew, and at once.

    Taken off are a run for a user without pictures (start-up, state log, the check for the user) and the time in which
    the site answers the same requests to a client that does nothing with the answers. The pictures are gone from
    their host by then, so that a run that asks for one fails.
    """
    count, out = bench.count(10_000), bench.folder / "kept"
    site, jobs = bench.albums(Wish(albums={"whole": count, "none": 0}, picture=1024))
    out.mkdir()
    words = {name: ours(site.url, *FAST).command(job, out) for name, job in jobs.items()}
    run(words["whole"])
    shutil.rmtree(bench.origin.root)
    costs: dict[str, list[Cost]] = {"a day later": [], "at once": []}
    beyond: dict[str, list[float]] = {name: [] for name in costs}
    for _ in range(bench.rounds):
        for path in out.glob(".cache/lists/answers-*"):
            path.unlink()
        none = run(words["none"], codes=(0, 1)).seconds
        for name, taken in costs.items():
            site.requests()
            taken.append(run(words["whole"]))
            beyond[name].append(taken[-1].seconds - none - site.seconds_of(site.requests()))
    for name, taken in costs.items():
        seconds = median(beyond[name])
        yield Row(f"nothing to do, {count}", f"ours, {name}", seconds, middle(taken), f"{at_most(seconds, 0.5)} s")


def state_log(bench: Bench) -> Iterator[Row]:
    """Loading a state log of 1,000,000 lines."""
    lines, path = bench.count(1_000_000), bench.folder / "log.jsonl"
    run([sys.executable, "-m", "tests.bench.servers", "log", str(path), str(lines)])
    load = "import sys, pathlib; from civitai_downloader.util.logs import KeyedLog; KeyedLog(pathlib.Path(sys.argv[1]))"
    whole, empty = (
        middle([run([sys.executable, "-c", load, str(each)]) for _ in range(bench.rounds)])
        for each in (path, bench.folder / "none.jsonl")
    )
    seconds, room = whole.seconds - empty.seconds, round(60 + 200 * lines / MIB)
    yield Row(
        f"log of {lines} lines", "ours", seconds, whole, f"{at_most(seconds, 5)} s; {at_most(whole.peak, room)} MB"
    )


def hashes(bench: Bench) -> Iterator[Row]:
    """Four files of 256 MiB that are in memory, two at a time, start-up (four of 1 KiB) off."""
    paths: dict[str, list[str]] = {}
    for name, size in {"whole": 256 * MIB // bench.scale, "small": 1024}.items():
        paths[name] = [str(bench.folder / f"{name}{number}") for number in range(4)]
        for path in paths[name]:
            with Path(path).open("wb") as file:
                file.writelines(os.urandom(min(size, MIB)) for _ in range(max(1, size // MIB)))
    side_by_side = 'printf "%s\\0" "$@" | xargs -0 -n1 -P2 openssl dgst -sha256'
    programs = {
        "ours, 2 threads": [sys.executable, "-m", "tests.bench.digests", "2"],
        **({"2 x openssl": ["sh", "-c", side_by_side, "sh"]} if shutil.which("openssl") else {}),
    }
    costs: dict[tuple[str, str], list[Cost]] = {}
    for _ in range(bench.rounds):
        for (program, words), (name, files) in product(programs.items(), paths.items()):
            run(["sh", "-c", 'cat "$@" > /dev/null', "sh", *files])  # ours has let the system forget them
            costs.setdefault((program, name), []).append(run([*words, *files]))
    net = {each: middle(costs[each, "whole"]).seconds - middle(costs[each, "small"]).seconds for each in programs}
    bound = Bound("ours, 2 threads", "2 x openssl", 1.11)
    for name, seconds in net.items():
        verdict = bound.verdict(net) if name == bound.ours else ""
        yield Row("SHA256 of 4 files", name, seconds, middle(costs[name, "whole"]), verdict)


def memory(bench: Bench) -> Iterator[Row]:
    """Most memory held while a file of 4 GiB arrives."""
    site, jobs = bench.files(4096)
    cost = run_job(ours(site.url, *ONE), jobs["whole"], bench.folder / "out")
    yield Row(
        "4 GiB", "ours", cost.seconds, cost, f"{at_most(cost.peak, 60 + (8 if knows('--connections') else 1))} MB"
    )


ALL = (
    plain,
    tls,
    each_capped,
    all_capped,
    pictures,
    distant,
    models,
    creator,
    metadata,
    cold,
    nothing,
    state_log,
    hashes,
    memory,
)
SCENARIOS = {each.__name__.replace("_", "-"): each for each in ALL}
