"""A large world for many copies, what one run makes of it, and what the site saw of all copies together."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fake_civitai import FakeCivitai, World, jpeg_bytes
from tests.fake_civitai.server import Seen
from tests.soak.__main__ import Tree, tree_of

#: A line of a state log, without its time and its source: type, id, status, path, size and SHA256.
Line = tuple[str, str, str, str, int, str]
#: The paces that a run has by default, in requests per second, and what is asked at them.
PACES = {"models": 0.5, "images": 2.0}


def crowd(world: World, models: int = 2000) -> list[str]:
    """Fill a world with so many models of one small file; return the lines of a list that brings all of them home.

    A creator has a twentieth of them, and a tenth of that are LoRAs that only posts lead to: three posts name each. Of
    a hundredth of the models the post of their showcase is in the list as well.
    """
    shared, listed = models // 200, models // 20
    plain = models - shared - listed
    for number in range(models):
        creator = "prolific" if plain <= number < plain + listed else f"maker_{number % 40}"
        version = world.add_model(f"Model {number}", creator=creator).add_version()
        version.add_file(f"file_{number}.safetensors")
        if number % 4 == 0:
            version.add_image(data=jpeg_bytes(f"{number}", 900), meta={"prompt": f"lantern {number}", "seed": number})
    for _ in range(3 * shared):
        _add_post(world, list(world.versions)[plain + listed :])
    links = [f"models/{model}" for model in list(world.models)[:plain]]
    posts = [post.id for post in world.posts.values() if post.username == "poster"]
    posts += [version.post_id for version in list(world.versions.values())[:plain:100] if version.post_id]
    return [*links, "user/prolific/models", *(f"posts/{post}" for post in posts)]


def _add_post(world: World, loras: Sequence[int]) -> None:
    post = world.add_post(username="poster")
    for place in range(3):
        used = loras[(post.id + place) % len(loras)]
        meta = {"prompt": f"lantern {post.id}", "civitaiResources": [{"type": "lora", "modelVersionId": used}]}
        data = jpeg_bytes(f"post {post.id} {place}", 900)
        world.add_image(username="poster", post_id=post.id, data=data, meta=meta)


def logged(folder: Path) -> Counter[Line]:
    """Return what all state logs in a folder hold, and in how many of them; the last line of a log counts for a place.

    The folder's own `library` line, which has a number made by chance, is left out.
    """
    found: Counter[Line] = Counter()
    for log in sorted(folder.glob("download_state*.jsonl")):
        lines = map(json.loads, log.read_text("utf-8").splitlines())
        last = {(line["type"], line["id"], line["path"]): line for line in lines if line["type"] != "library"}
        found.update(_facts(line) for line in last.values())
    return found


def _facts(line: dict[str, Any]) -> Line:
    """Return what counts in a line. The bytes of some sidecars are left out, see `_varies`."""
    kind, name, status, path, sha256 = (str(line.get(key) or "") for key in ("type", "id", "status", "path", "sha256"))
    varies = path.endswith(".metadata.json") or _varies(path)
    return kind, name, status, path, 0 if varies else int(line.get("size") or 0), "" if varies else sha256


def _varies(path: str) -> bool:
    """Return whether the bytes of a file may differ between two runs: what is told of a model that two copies ask for.

    The site tells of a model in three forms, of which each leaves out some values; what is kept has those of every form
    that a copy was given, which is up to who came first. Such are the models of which the post is in the list as well.
    """
    found = re.search(r"Model (\d+) \[", path)
    return found is not None and int(found[1]) % 100 == 0 and path.endswith((".info", ".json"))


def libraries(folder: Path) -> set[str]:
    """Return the ids that the state logs in a folder give to it."""
    logs = (log.read_text("utf-8").splitlines() for log in folder.glob("download_state*.jsonl"))
    return {line["id"] for lines in logs for line in map(json.loads, lines) if line["type"] == "library"}


def tree(folder: Path) -> Tree:
    """Return size and SHA256 of everything in a folder that is no book of the program.

    Of a `.metadata.json`, which names the folder and says when its file was written, the rest is compared.
    """
    found = {name: facts for name, facts in tree_of(folder, {}).items() if not name.startswith(("report.", "failed."))}
    for name in found:
        if _varies(name):
            found[name] = 0, ""
        elif name.endswith(".metadata.json"):
            data = re.sub(rb'"(modified|file_path|preview_url)": .*', b"", (folder / name).read_bytes())
            found[name] = len(data), hashlib.sha256(data).hexdigest()
    return found


def fetched(site: FakeCivitai) -> Counter[str]:
    """Return how often the bytes of each file and picture were asked for."""
    return Counter(seen.path for seen in site.seen() if seen.host in ("storage", "blob"))


def bytes_sent(site: FakeCivitai) -> int:
    """Return how many bytes of files and pictures were asked for, if each request was for all of them."""
    files = {f"/model/42/{file.id}/{file.name}": file.body.size for file in site.world.files.values()}
    pictures = {f"/file/blobs-managed-public/{image.uuid}": len(image.data) for image in site.world.images.values()}
    return sum(count * (files | pictures)[path] for path, count in fetched(site).items())


# --- Pace ----------------------------------------------------------------------------------------


def asked(site: FakeCivitai) -> dict[str, list[float]]:
    """Return when the site's interfaces were asked, by the pace that holds for them."""
    times: dict[str, list[float]] = {kind: [] for kind in PACES}
    for seen in site.seen("site"):
        if kind := _kind(seen):
            times[kind].append(seen.at)
    return {kind: sorted(each) for kind, each in times.items()}


def _kind(seen: Seen) -> str:
    if seen.path.startswith(("/api/trpc", "/api/v1/images")):
        return "images"
    return "models" if seen.path.startswith("/api/v1/") else ""


def busiest(times: Sequence[float], seconds: float) -> int:
    """Return the most requests that arrived within any window of so many seconds."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def haste(times: Sequence[float], rate: float, copies: int) -> list[str]:
    """Return in which windows more was asked than a pace allows: so many requests a second, and one for each copy.

    Each copy has its share of the pace. One that has not asked for long asks at once, so all may do so in one moment.
    """
    windows = [(seconds, busiest(times, seconds)) for seconds in (10, 30, 60, 120)]
    return [f"{most} in {seconds} s" for seconds, most in windows if most > rate * seconds + copies]


def figures(site: FakeCivitai, seconds: float) -> str:
    """Return what the site saw, in one line for whoever reads the output of the tests."""
    twice = sum(count - 1 for count in fetched(site).values())
    paces = ", ".join(
        f"{kind} {len(each)} ({len(each) / seconds:.2f}/s, at most {busiest(each, 30)} in 30 s)"
        for kind, each in asked(site).items()
    )
    return f"{seconds:.0f} s, {paces}, {bytes_sent(site)} bytes, {twice} of them twice"
