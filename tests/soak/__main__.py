"""Runs the real command on some 500 files against a site that fails at random, kills it at random, and compares.

    python -m tests.soak --seconds 60 --seed 7      # rounds for a minute
    python -m tests.soak --kills 200                # rounds until so many kills

A round begins with an empty folder and ends when the command has ended by itself with exit code 0. After every kill and
every end each file that has its final name must be whole, no line of the state log may be gone, and the next life must
not ask from byte 0 for what was there, whole or in part, unless a fault struck it. At the end the tree is that of an
undisturbed run, byte for byte, and one more run asks for nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import fake_civitai as fake
from tests.fake_civitai import FakeCivitai, Fault, World

ROOT = Path(__file__).parents[2]
BOOKS = ("download_state.", ".cache/", "report.json", "failed.txt", "retry.", "corrupted/", ".page/", "index.html")
UNDER_WAY = (".part", ".part.json", ".tmp")
Tree = dict[str, tuple[int, str]]
Known = dict[str, tuple[int, int, tuple[int, str]]]


def job(dice: random.Random, models: int = 20) -> World:
    """Models with five files of 1 KB to 3 MB, every third without hashes, and twenty pictures with prompts each."""
    world = World()
    for number in range(models):
        version = world.add_model(f"Model {number}", creator=f"maker_{number % 3}").add_version()
        for part in range(5):
            size = int(math.exp(dice.uniform(math.log(1000), math.log(3_000_000))))
            version.add_file(f"file_{number}_{part}.safetensors", size=size, primary=not part, hashed=part % 3 != 2)
        for part in range(20):
            data = fake.jpeg_bytes(f"{number} {part}", dice.randrange(1000, 60_000))
            version.add_image(data=data, meta={"prompt": f"lantern {part}, night street", "seed": part})
    return world


class Chaos(FakeCivitai):
    """A site that answers a share of the requests badly; `struck` counts by kind, `harmed` by thing.

    What is `spoiled` was given with wrong bytes once, which may be found out only by the next run.
    """

    def __init__(self, world: World, dice: random.Random) -> None:
        super().__init__(world)
        self.share, self._dice = 0.0, dice
        self.struck: Counter[str] = Counter()
        self.harmed: Counter[str] = Counter()
        self.spoiled: set[str] = set()

    def strike(self, call: fake.Call) -> Fault:
        """A fault by chance."""
        with self._lock:
            if self._dice.random() >= self.share:
                return fake.NO_FAULT
            action = self._mischief(call)
            self.struck[type(action).__name__] += 1
            self.harmed[self.thing(call.path)] += 1
            return Fault("", (action,), 1)

    def _mischief(self, call: fake.Call) -> fake.Action:
        dice, thing = self._dice, self.thing(call.path)
        at = int(math.exp(dice.uniform(0, math.log(self.size_of(thing) or 1))))
        kinds: list[fake.Action] = [fake.Status(dice.choice((500, 502, 504))), fake.busy(dice.choice((429, 503)), 1)]
        kinds += [fake.NO_ANSWER, fake.Delay(0.3)]
        if call.host in ("storage", "blob"):
            kinds += [fake.Cut(at), fake.Reset(at), fake.Stall(at, 4), fake.Trickle(300_000)]
        file = next((file for file in self.world.files.values() if file.name == thing), None)
        if call.host == "storage" and file and file.published_hashes and thing not in self.spoiled:
            kinds += [fake.FlipBit(at), fake.Changed()]
        action = dice.choice(kinds)
        if isinstance(action, (fake.FlipBit, fake.Changed)):
            self.spoiled.add(thing)
        return action

    def size_of(self, thing: str) -> int:
        """How many bytes a file or picture has, 0 for anything else."""
        sizes = {file.name: file.body.size for file in self.world.files.values()}
        image = self.world.images.get(int(thing)) if thing.isdigit() else None
        return len(image.data) if image else sizes.get(thing, 0)

    def thing(self, path: str) -> str:
        """What a request is about: the name of a file, the id of a picture, or the path."""
        last = path.rpartition("/")[2]
        image = self.world.by_uuid(last)
        return str(image.id) if image else last


def tree_of(out: Path, known: Known) -> Tree:
    """Size and SHA256 of every file with a final name; what did not change since it was `known` is not read again."""
    tree = {}
    for path in sorted(each for each in out.rglob("*") if each.is_file()):
        name = path.relative_to(out).as_posix()
        if name.startswith(BOOKS) or name.endswith(UNDER_WAY):
            continue
        stat = path.stat()
        before = known.get(name)
        if before is None or before[:2] != (stat.st_ino, stat.st_mtime_ns):
            data = path.read_bytes()
            if name.endswith(".metadata.json"):  # it tells when the file was written
                data = re.sub(rb'"modified": [0-9.]+', b"", data)
            before = known[name] = (stat.st_ino, stat.st_mtime_ns, (len(data), hashlib.sha256(data).hexdigest()))
        tree[name] = before[2]
    return tree


class Soak:
    """Lives, kills, and what must hold after each of them."""

    def __init__(self, site: Chaos, folder: Path, dice: random.Random) -> None:
        self.site, self._folder, self._dice = site, folder, dice
        self.kills = self.lives = self.rounds = self.again = 0
        self.faults: list[str] = []
        self._list = folder / "models.txt"
        self._list.write_text("".join(f"{site.url}/models/{number}\n" for number in site.world.models), "utf-8")

    def run(self, out: Path, seconds: float | None) -> int | None:
        """The command's exit code, or None if it was killed after so many seconds."""
        words = ["-q", "--lang", "en", "--site", self.site.url, "-o", str(out), "--timeout", "2", "--retries", "8"]
        words += ["--max-rate-model", "500", "--max-rate-image", "500", str(self._list)]
        self.lives += 1
        process = subprocess.Popen(
            [sys.executable, "-m", "civitai_downloader", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        try:
            said = process.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.kills += 1
            return None
        if process.returncode not in (0, 1):
            self.faults.append(f"exit code {process.returncode}: {said[-500:]}")
        return process.returncode

    def undisturbed(self) -> None:
        """Learn what the tree is to be, and compare it with what the site holds."""
        out = self._folder / "downloads"
        assert self.run(out, None) == 0
        self.truth = tree_of(out, {})
        shutil.rmtree(out)
        files = {file.name: file.body.data for file in self.site.world.files.values()}
        files |= {f"{image.id}.jpg": image.data for image in self.site.world.images.values()}
        landed = {name.rpartition("/")[2]: facts for name, facts in self.truth.items()}
        for name, data in files.items():
            if landed.get(name) != (len(data), hashlib.sha256(data).hexdigest()):
                self.faults.append(f"an undisturbed run has other bytes in {name}")
        self.total = sum(map(len, files.values()))

    def round(self, until: float, kills: int) -> None:
        """One job from an empty folder to exit code 0, killed at random before that time and up to so many kills."""
        self.rounds += 1
        self.site.spoiled.clear()
        out, log, code = self._folder / "downloads", b"", None
        known: Known = {}
        while code != 0 and len(self.faults) < 20:
            wild = time.monotonic() < until and self.kills < kills
            self.site.share = 0.04 if wild else 0.0
            here = self._resumable(out) | {_thing(name) for name in tree_of(out, known) if _is_thing(name)}
            self.site.harmed.clear()
            code = self.run(out, self._dice.uniform(0.2, 1.6) if wild else None)
            self._settle()
            self._check_requests(here)
            self._check_tree(tree_of(out, known))
            log = self._check_log(out, log)
            if code == 1 and not wild:
                self.faults.append("a run without faults failed")
        self._check_end(out, known)

    def _resumable(self, out: Path) -> set[str]:
        """What lies there half-done, or whole but without its final name."""
        return {_thing(path.name) for path in out.rglob("*.part") if path.stat().st_size}

    def _settle(self) -> None:
        """Let requests of a killed process arrive, so that they are not counted as the next one's."""
        count, deadline = -1, time.monotonic() + 1
        while count != (count := len(self.site.requests)) or (self.site.connections and time.monotonic() < deadline):
            time.sleep(0.1)

    def _check_requests(self, here: set[str]) -> None:
        whole = Counter(
            self.site.thing(seen.path)
            for seen in self.site.seen()
            if seen.host in ("storage", "blob") and "range" not in seen.headers
        )
        for thing, count in whole.items():
            if count > self.site.harmed[thing] + (thing not in here) + (thing in self.site.spoiled):
                self.faults.append(f"{thing} was asked for from byte 0 {count} times without need (run {self.lives})")
            self.again += count
        self.site.forget()

    def _check_tree(self, tree: Tree) -> None:
        for name, facts in tree.items():
            if self.truth.get(name) != facts:
                self.faults.append(f"{name} is not what it is to be")

    def _check_log(self, out: Path, before: bytes) -> bytes:
        """The whole lines of the state log, which must go on from those before."""
        path = out / "download_state.jsonl"
        data = path.read_bytes() if path.exists() else b""
        if not data.startswith(before):
            self.faults.append("lines of the state log are gone")
        return data[: data.rfind(b"\n") + 1]

    def _check_end(self, out: Path, known: Known) -> None:
        if tree_of(out, known) != self.truth:
            self.faults.append("the tree is not that of an undisturbed run")
        left = [path.name for path in out.rglob("*") if path.name.endswith(UNDER_WAY)]
        if left:
            self.faults.append(f"left over: {left[:5]}")
        lines = [json.loads(line) for line in (out / "download_state.jsonl").read_bytes().splitlines()]
        last = {(line["type"], line["id"]): line for line in lines}
        logged = {line["path"] for line in last.values() if line["status"] == "success"}
        unknown = {name for name in self.truth if _is_thing(name)} - logged
        if unknown:
            self.faults.append(f"without a line in the state log: {sorted(unknown)[:5]}")
        if self.run(out, None) or self.site.seen("storage") or self.site.seen("blob"):
            self.faults.append("one more run fetched something")
        self.site.forget()
        shutil.rmtree(out)


def _is_thing(name: str) -> bool:
    """Whether it was fetched, not made."""
    return name.endswith((".safetensors", ".jpg")) and ".preview." not in name


def _thing(name: str) -> str:
    """The file's name or the picture's id."""
    name = name.rpartition("/")[2].removesuffix(".part")
    return name.partition(".")[0] if name[0].isdigit() else name


def soak(seconds: float, kills: int, seed: int, folder: Path) -> Soak:
    """Rounds until the time is over or so many kills are done."""
    dice = random.Random(seed)
    site = Chaos(job(dice), dice)
    with site:
        run = Soak(site, folder, dice)
        run.undisturbed()
        site.forget()
        until = time.monotonic() + seconds
        while time.monotonic() < until and run.kills < kills and not run.faults:
            run.round(until, kills)
    return run


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code is 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The command under faults and kills.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="how long to kill")
    parser.add_argument("--kills", type=int, default=0, help="how many kills (default: as many as fit)")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(argv)
    if not options.kills and options.seconds == math.inf:
        options.seconds = 60.0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = soak(options.seconds, options.kills or sys.maxsize, options.seed, Path(folder))
    things = len(run.site.world.files) + len(run.site.world.images)
    print(f"{run.rounds} rounds of {things} files ({run.total >> 20} MiB), {run.lives} runs, {run.kills} kills, "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    print("faults:", ", ".join(f"{name} {count}" for name, count in run.site.struck.most_common()) or "none")
    print(f"bodies asked for from byte 0: {run.again / run.rounds / things:.3f} for each file and round")
    print(*(run.faults or ["everything held"]), sep="\n")
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())
