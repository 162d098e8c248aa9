"""What is measured, and the bounds that are stated for it.

"Start-up off" is the median of a job less the median of the same command on 1 KiB, for each program alike.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .origin import Line, Origin, Site, Wish
from .programs import (
    Cost,
    Job,
    Program,
    aria2c,
    command,
    curl,
    installed,
    knows,
    many,
    measure,
    middle,
    ours,
    run,
    run_job,
    wget2,
)

MIB = 1 << 20
FAST = ("--max-rate-model", "1000", "--max-rate-image", "1000")


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
    """Ours takes at most `most` times as long as another program, or as so many seconds."""

    ours: str
    other: str
    most: float
    seconds: float = 0.0

    def verdict(self, net: Mapping[str, float]) -> str:
        """The ratio and whether it holds."""
        if self.other not in net and not self.seconds:
            return f"{self.other}: not measured"
        ratio = net[self.ours] / (self.seconds or net[self.other])
        return f"{ratio:.2f} x {self.other}, {at_most(ratio, self.most)}"


def at_most(value: float, most: float) -> str:
    """Whether a bound holds."""
    return f"at most {most:g}: {'yes' if value <= most else 'NO'}"


@dataclass(frozen=True)
class Bench:
    """The origin, a folder, the rounds, and by how much everything is scaled down."""

    origin: Origin
    folder: Path
    rounds: int
    scale: int

    def size(self, size: int) -> int:
        """A size, smaller in a quick run."""
        return size // self.scale

    def count(self, count: int) -> int:
        """A number of things, fewer in a quick run."""
        return max(8, count // self.scale)

    def compare(
        self, title: str, programs: Sequence[Program], jobs: Mapping[str, Job], bounds: Sequence[Bound]
    ) -> Iterator[Row]:
        """Rows of the job `whole`, with what `small` takes taken off."""
        programs = installed(programs)
        costs = measure(programs, jobs, self.rounds, self.folder)
        net = {each.name: costs[each.name, "whole"].seconds - costs[each.name, "small"].seconds for each in programs}
        for each in programs:
            words = "; ".join(bound.verdict(net) for bound in bounds if bound.ours == each.name)
            yield Row(title, each.name, net[each.name], costs[each.name, "whole"], words)

    def files(self, size: int, line: Line | None = None, *, tls: bool = False) -> tuple[Site, dict[str, Job]]:
        """A site with a file of a size and one of 1 KiB, and the job of each."""
        sizes = {"whole": size, "small": 1024}
        site = self.origin.site(Wish(list(sizes.values())), line=line, tls=tls)
        jobs = enumerate(sizes.items())
        return site, {name: Job(f"{site.url}/models/{10001 + n}", [site.files[n]], s) for n, (name, s) in jobs}

    def albums(self, wish: Wish, line: Line | None = None) -> tuple[Site, dict[str, Job]]:
        """A site with users' pictures, and the job of each user."""
        site = self.origin.site(wish, line=line)
        jobs = {
            name: Job(f"{site.url}/user/{name}/images", site.albums[name], count * wish.picture)
            for name, count in wish.albums.items()
        }
        return site, jobs


Scenario = Callable[[Bench], Iterator[Row]]


def plain(bench: Bench) -> Iterator[Row]:
    """One file of 2 GiB, start-up off."""
    site, jobs = bench.files(bench.size(2048 * MIB))
    programs = [
        ours(site.url, "--only", "models", "--no-verify", name="ours --no-verify"),
        ours(site.url, "--only", "models"),
        *(curl(), aria2c(1), wget2()),
    ]
    bounds = [
        Bound("ours --no-verify", "curl", 0.65),
        Bound("ours --no-verify", "aria2c -x1", 0.5),
        Bound("ours", "curl", 1.6),
    ]
    return bench.compare("2 GiB", programs, jobs, bounds)


def tls(bench: Bench) -> Iterator[Row]:
    """The same over TLS."""
    own = bench.origin.certificate
    if own is None:
        return iter([Row("2 GiB, TLS", "none", 0, Cost(0, 0, 0), "left out: no openssl")])
    site, jobs = bench.files(bench.size(2048 * MIB), tls=True)
    fast = ours(site.url, "--only", "models", "--no-verify", name="ours --no-verify", certificate=own)
    bounds = [Bound(fast.name, "curl", 1.1), Bound(fast.name, "aria2c -x1", 0.75)]
    return bench.compare("2 GiB, TLS", [fast, curl(own), aria2c(1, own), wget2(own)], jobs, bounds)


def each_capped(bench: Bench) -> Iterator[Row]:
    """512 MiB where a connection gives no more than 20 MiB/s, start-up off."""
    size = bench.size(512 * MIB)
    site, jobs = bench.files(size, Line(each=20 * MIB))
    bounds = [Bound("ours", "8 full connections", 1.05, size / (8 * 20 * MIB)), Bound("ours", "aria2c -x8", 1.05)]
    programs = [ours(site.url, "--only", "models"), curl(), aria2c(8)]
    return bench.compare("20 MiB/s each", programs, jobs, bounds)


def all_capped(bench: Bench) -> Iterator[Row]:
    """512 MiB where all connections share 100 MiB/s, so that more than one brings nothing, start-up off."""
    site, jobs = bench.files(bench.size(512 * MIB), Line(shared=100 * MIB))
    single = "ours --connections 1"
    programs = [ours(site.url, "--only", "models"), curl(), aria2c(8)]
    if knows("--connections"):
        programs.insert(1, ours(site.url, "--only", "models", "--connections", "1", name=single))
    return bench.compare("100 MiB/s in all", programs, jobs, [Bound("ours", single, 1.02)])


def pictures(bench: Bench) -> Iterator[Row]:
    """500 pictures of 200 KiB with their prompts; the CPU of a run with one picture is taken off."""
    count = bench.count(500)
    site, jobs = bench.albums(Wish(albums={"whole": count, "small": 1}))
    programs = installed([ours(site.url, *FAST), *many(8)])
    costs = measure(programs, jobs, bench.rounds, bench.folder)
    for each in programs:
        whole, small = costs[each.name, "whole"], costs[each.name, "small"]
        cpu = 1000 * (whole.cpu - small.cpu) / (count - 1)
        bound = f", {at_most(cpu, 0.8)}" if each.name == "ours" else ""
        yield Row(f"{count} pictures", each.name, whole.seconds - small.seconds, whole, f"{cpu:.2f} ms CPU each{bound}")


def distant(bench: Bench) -> Iterator[Row]:
    """200 pictures of 200 KiB over 50 ms, start-up (a run for one of 1 KiB) off; only the pictures' host is far."""
    count, trip = bench.count(200), 0.05
    site, jobs = bench.albums(Wish(albums={"whole": count}), Line(delay=trip / 2))
    near, small = bench.albums(Wish(albums={"small": 1}, picture=1024))
    for width in (8, 16):
        title, mine = f"{count} at 50 ms, {width} workers", f"ours {width}"
        near_ours = ours(near.url, *FAST, "--workers", str(width), name=mine)
        programs = installed([ours(site.url, *FAST, "--workers", str(width), name=mine), *many(width)[:-1]])
        costs = measure(programs, jobs, bench.rounds, bench.folder)
        costs |= measure([near_ours, *programs[1:]], small, bench.rounds, bench.folder)
        net = {each.name: costs[each.name, "whole"].seconds - costs[each.name, "small"].seconds for each in programs}
        ideal = Bound(mine, "(1 + n/w) trips", 1.15, (1 + count / width) * trip)
        bounds = [Bound(mine, f"curl -Z {width}", 1.12), ideal]
        for each in programs:
            words = "; ".join(bound.verdict(net) for bound in bounds) if each.name == mine else ""
            yield Row(title, each.name, net[each.name], costs[each.name, "whole"], words)


def job(bench: Bench, title: str, site: Site, program: Program, target: Job, judge: Callable[[float, int], str]) -> Row:
    """A whole job at the pace that users get; `judge` is given seconds and the requests of the last round."""
    costs, asked = [], 0
    for _ in range(bench.rounds):
        site.requests()
        costs.append(run_job(program, target, bench.folder / "out"))
        asked = len(site.requests())
    cost = middle(costs)
    return Row(title, program.name, cost.seconds, cost, f"{asked} API requests; {judge(cost.seconds, asked)}")


def models(bench: Bench) -> Iterator[Row]:
    """10 models of 1 MiB with four previews each, at the default pace.

    Peers can't be led to another host; their times at their default pace were measured on the real site.
    """
    site = bench.origin.site(Wish([MIB] * 10, previews=4))
    links = bench.folder / "ten.txt"
    links.write_text("".join(f"{site.url}/models/{10001 + n}\n" for n in range(10)))

    def judge(seconds: float, asked: int) -> str:
        few = f"fewer than 10: {'yes' if asked < 10 else 'NO'}"
        return f"{few}; {seconds / 9.3:.2f} x gallery-dl (9.3 s elsewhere), {at_most(seconds / 9.3, 0.5)}"

    yield job(bench, "10 models", site, ours(site.url, "--no-gallery"), Job(str(links), [], 10 * MIB), judge)
    for name, seconds in (("gallery-dl (elsewhere)", 9.3), ("civitdl (elsewhere)", 30.6)):
        yield Row("10 models", name, seconds, Cost(seconds, 0, 0))


def creator(bench: Bench) -> Iterator[Row]:
    """A creator with 1,000 pictures and prompts, at the default pace."""
    count = bench.count(1000)
    site, jobs = bench.albums(Wish(albums={"whole": count}, picture=20 << 10))

    def judge(seconds: float, asked: int) -> str:
        return f"{at_most(asked, 10)}; {seconds / count:.3f} x one second each, {at_most(seconds / count, 0.1)}"

    yield job(bench, f"creator, {count} pictures", site, ours(site.url), jobs["whole"], judge)


def metadata(bench: Bench) -> Iterator[Row]:
    """The API requests for a list of 180 models, of which the bulk answer leaves three out."""
    site = bench.origin.site(Wish([1024] * 180, left_out=3))
    links = bench.folder / "many.txt"
    links.write_text("".join(f"{site.url}/models/{10001 + n}\n" for n in range(180)))
    program = ours(site.url, "--only", "metadata", "--no-gallery")
    yield job(bench, "180 models' pages", site, program, Job(str(links), [], 0), lambda _, asked: at_most(asked, 5))


def cold(bench: Bench) -> Iterator[Row]:
    """Help, version and a wrong option beside a Python that does nothing."""
    lines = {
        "python -c pass": ([sys.executable, "-c", "pass"], 0),
        "ours --help": (command("--help"), 0),
        "ours --version": (command("--version"), 0),
        "ours --wrong": (command("--wrong"), 2),
    }
    costs: dict[str, list[Cost]] = {}
    for _ in range(5 * bench.rounds):
        for name, (words, code) in lines.items():
            costs.setdefault(name, []).append(run(words, codes=(code,)))
    net = {name: middle(each).seconds for name, each in costs.items()}
    for name, taken in costs.items():
        verdict = Bound(name, "python -c pass", 2.5).verdict(net) if name.startswith("ours") else ""
        yield Row("cold start", name, net[name], middle(taken), verdict)


def nothing(bench: Bench) -> Iterator[Row]:
    """A run over 10,000 pictures that are all there, with the lists asked anew.

    Taken off are a run of the same command for a user without pictures (start-up, state log, the check for the user),
    and the time in which the site answers the same requests to a client that does nothing with the answers. The
    pictures are gone from their host by then, so that a run that asks for one fails.
    """
    count = bench.count(10_000)
    site, jobs = bench.albums(Wish(albums={"whole": count, "none": 0}, picture=1024))
    out = bench.folder / "kept"
    again = ours(site.url, *FAST, "--refresh")
    run(ours(site.url, *FAST).words(jobs["whole"], out))
    costs: dict[str, list[Cost]] = {}
    answers: list[float] = []
    shutil.rmtree(bench.origin.root)
    for _ in range(bench.rounds):
        costs.setdefault("none", []).append(run(again.words(jobs["none"], out), codes=(0, 1)))
        site.requests()
        costs.setdefault("whole", []).append(run(again.words(jobs["whole"], out)))
        answers.append(site.seconds_of(site.requests()))
    whole, none = middle(costs["whole"]), middle(costs["none"])
    beyond = whole.seconds - none.seconds - sorted(answers)[len(answers) // 2]
    yield Row(f"nothing to do, {count}", "ours", beyond, whole, f"{at_most(beyond, 0.5)} s beyond the answers")


def state_log(bench: Bench) -> Iterator[Row]:
    """Loading a state log of 1,000,000 lines."""
    lines, path = bench.count(1_000_000), bench.folder / "log.jsonl"
    write = "import sys; from pathlib import Path; from tests.bench.state_log import write; "
    run([sys.executable, "-c", write + "write(Path(sys.argv[1]), int(sys.argv[2]))", str(path), str(lines)])
    load = "import sys; from pathlib import Path; from civitai_downloader.util import KeyedLog; "
    words = [sys.executable, "-c", load + "KeyedLog(Path(sys.argv[1]))"]
    whole = middle([run([*words, str(path)]) for _ in range(bench.rounds)])
    empty = middle([run([*words, str(bench.folder / "no.jsonl")]) for _ in range(bench.rounds)])
    seconds, room = whole.seconds - empty.seconds, 60 + 200 * lines / MIB
    verdict = f"{at_most(seconds, 4)} s; {whole.peak:.0f} MB, {at_most(whole.peak, round(room))}"
    yield Row(f"log of {lines} lines", "ours", seconds, whole, verdict)


def memory(bench: Bench) -> Iterator[Row]:
    """Most memory held while a file of 4 GiB arrives."""
    site, jobs = bench.files(bench.size(4096 * MIB))
    cost = middle([run_job(ours(site.url, "--only", "models"), jobs["whole"], bench.folder / "out")])
    most = 60 + (8 if knows("--connections") else 1)
    yield Row("4 GiB", "ours", cost.seconds, cost, f"{cost.peak:.0f} MB, {at_most(cost.peak, most)}")


SCENARIOS: dict[str, Scenario] = {
    "plain": plain,
    "tls": tls,
    "each-capped": each_capped,
    "all-capped": all_capped,
    "pictures": pictures,
    "distant": distant,
    "models": models,
    "creator": creator,
    "metadata": metadata,
    "cold": cold,
    "nothing": nothing,
    "log": state_log,
    "memory": memory,
}
