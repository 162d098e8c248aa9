"""A folder of models as people have it on disk, built from what the fake site holds, and what is to be found in it.

    expected = build_library(tmp_path / "models", site.world)
    ...
    rows = {row["path"]: row for row in report["local"]["files"]}
    assert {path: row["how"] for path, row in rows.items()} == {path: e.how for path, e in expected.files.items()}

The same seed gives the same world and the same folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from civitai_downloader.core.places import app_facts
from tests.fake_civitai import FakeFile, FakeVersion, World, safetensors_bytes
from tests.fake_civitai.content import ZIP_END
from tests.model_folder_others import (
    BROKEN,
    BROWSED,
    HAND_MADE,
    HELPED,
    LEFT_OVERS,
    MANAGED,
    MATRIX,
    OTHER_KINDS,
    PENDING,
    PREVIEWS,
    SKELETON,
    SKIPPED,
    STALE,
    Sidecar,
    Subject,
    add_links,
    add_strangers,
    safetensors,
    write_json,
)

How = Literal["sha256", "autov3", "sidecar", "unknown"]
_BORN = 1_767_225_600_123_456_700  # New Year 2026 in nanoseconds, and no even second
_MODELS = ("LORA", "Checkpoint", "LORA", "TextualInversion", "LORA", "LoCon", "Controlnet", "VAE", "LORA", "Upscaler")
_ENDINGS = {"TextualInversion": ".pt", "Upscaler": ".pth", "VAE": ".bin"}
_BASES = ("SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "Flux.1 D")
_WORDS = ("lantern", "harbour", "moss", "copper", "winter", "提灯", "등불 축제")
_INSIDE = ("", "style", "캐릭터/2024", "SDXL")
#: What is special about a file, and how it is identified then.
_SPECIAL: dict[str, How] = {
    "edited": "autov3", "edited longer": "autov3", "archived": "sidecar", "archived by number": "sidecar",
}  # fmt: skip
#: Whose hash belongs to two versions, and what tells which of them it is: the name, a sidecar, or the date.
_SHARED = ("named", "noted", "earliest")
_OWN_SIDECAR: dict[str, Sidecar | None] = {
    "archived": HELPED, "archived by number": MATRIX, "noted": MANAGED, "named": None, "earliest": None,
}  # fmt: skip
_SIDECARS = (None, MANAGED, MATRIX, BROWSED, HELPED, None, PENDING, HAND_MADE, STALE, SKELETON)


@dataclass(frozen=True)
class Entry:
    """A model file, by its path in the folder, and what a run finds out about it; ids are 0 if unknown.

    `how` is as in `report.json` once the file has been hashed: by `sidecar` is known what no hash finds any more.
    """

    path: str
    size: int
    sha256: str
    how: How
    model: int = 0
    version: int = 0
    file: int = 0


@dataclass(frozen=True)
class Expected:
    """All that is in the folder. Paths are relative, with `/`.

    `files` are the model files that are hashed, without second names of one inode, which are the keys of `links`;
    `copies` are groups of files with the same bytes. `broken` says what poses as a model,
    `left_overs`, `skipped` and `other_kinds` are never opened. `previews` says which models have one, `kept` which
    values of which JSON files are somebody's, and `untouched` what has the same bytes afterwards, the models included.
    """

    root: Path
    files: dict[str, Entry] = field(default_factory=dict)
    copies: list[frozenset[str]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    left_overs: frozenset[str] = frozenset(LEFT_OVERS)
    skipped: frozenset[str] = frozenset(SKIPPED)
    other_kinds: frozenset[str] = frozenset(OTHER_KINDS)
    previews: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    untouched: dict[str, bytes] = field(default_factory=dict)

    @property
    def wasted(self) -> int:
        """The bytes that all copies but one of each file take."""
        return sum(self.files[min(group)].size * (len(group) - 1) for group in self.copies)

    def count(self, how: How) -> int:
        """Return how many files are identified in this way."""
        return sum(entry.how == how for entry in self.files.values())


def build_library(
    root: Path,
    world: World,
    *,
    files: int = 500,
    models: int = 300,
    unknown: int = 30,
    copies: int = 20,
    broken: int = 10,
    seed: int = 7,
) -> Expected:
    """Add `models` to the world, and put so many model files into a new folder.

    The last three are numbers of files among these; `seed` decides which files have copies. Beyond them there are
    links, left-overs and folders of other programs. Some of the known files are archived or have an edited header, and
    some hashes belong to several versions; this needs at least 12 models with one version.
    """
    known = files - unknown - copies - broken
    shelf = _Shelf(Expected(root), random.Random(seed))
    versions = add_models(world, models, known)
    lone = [each for each in versions if len(each.model.versions) == 1 and each.files[0].name.endswith(".safetensors")]
    special = _make_special(lone, max(1, known // 200))
    for number, version in enumerate(versions):
        shelf.put(version, special.get(version.id, ""), number)
    shelf.copy(copies, special)
    shelf.add_unknown(unknown, versions)
    shelf.add_broken(broken)
    add_strangers(root)
    plain = [path for path, entry in shelf.expected.files.items() if entry.how == "sha256"]
    shelf.expected.links.update(add_links(root, [root / path for path in plain[:2]]))
    shelf.expected.untouched.update(_unchanging(root, shelf.expected))
    return shelf.expected


# --- The site ------------------------------------------------------------------------------------


def add_models(world: World, models: int, versions: int) -> list[FakeVersion]:
    """Add models of all types, the first ones with several versions, each with a file and a picture."""
    owners = []
    for number in range(models):
        kind, word = _MODELS[number % len(_MODELS)], _WORDS[number % len(_WORDS)]
        owners.append(world.add_model(f"{word.title()} {number}", kind, creator=f"maker_{number % 7}"))
    made = []
    for number, model in enumerate(islice(cycle(owners), versions)):
        turn = 1 + number // models
        version = model.add_version(
            f"v{turn}.0", base_model=_BASES[number % len(_BASES)], trained_words=[f"word {number}", "light"]
        )
        ending = _ending(model.type, turn)
        is_beside = turn > 2 or (turn == 2 and ending != ".ckpt")  # a pickle has the stem of the safetensors
        name = f"{model.name.lower().replace(' ', '_')}{f'.v{turn}' if is_beside else ''}{ending}"
        size = 1500 + 3000 * (number % 12)  # far enough from one another for the KiB in which the site has them
        data = safetensors_bytes(f"{number}", size) if name.endswith(".safetensors") else None
        version.add_file(name, data, size)
        version.add_image(meta={"prompt": f"{model.name}, picture of {version.name}", "steps": 20})
        made.append(version)
    return made


def _ending(kind: str, turn: int) -> str:
    """Return the ending of a file: newer ones of all types are safetensors, but those of checkpoints are pickles."""
    if kind == "Checkpoint":
        return ".safetensors" if turn == 1 else ".ckpt"
    return _ENDINGS.get(kind, ".safetensors") if turn == 1 else ".safetensors"


def _make_special(lone: Sequence[FakeVersion], times: int) -> dict[int, str]:
    """Let the site be special about some versions, and return how, by their ids."""
    names = [*_SPECIAL, *_SHARED, "nothing", *[*_SPECIAL] * (times - 1)]
    if len(lone) < len(names):
        raise ValueError("there are not enough models with one version for all that is special")
    for name, version in zip(names, lone, strict=False):
        if _SPECIAL.get(name) == "sidecar":
            version.model.mode = "Archived"
        elif name in _SHARED:
            _add_twin(version, name)
        elif name == "nothing":  # the site has a model under the AutoV3 of no weights
            version.files[0].hashes = {**version.files[0].published_hashes, "AutoV3": "E3B0C44298FC"}
    return {version.id: name for name, version in zip(names, lone, strict=False)}


def _add_twin(version: FakeVersion, name: str) -> None:
    """Add another model with the same file. It was published earlier, unless the date must tell the right one."""
    published = "2026-06-01T00:00:00.000Z" if name == "earliest" else "2025-01-01T00:00:00.000Z"
    twin = version.model.world.add_model(f"Again {version.id}", version.model.type, creator="somebody")
    other = twin.add_version("v1.0", published=published)
    other.add_file("again.safetensors", version.files[0].data)
    other.add_image()


# --- The folder ----------------------------------------------------------------------------------


class _Shelf:
    """The folder while it is filled."""

    def __init__(self, expected: Expected, chance: random.Random) -> None:
        self.expected = expected
        self._chance = chance
        self._born = 0

    def put(self, version: FakeVersion, special: str, number: int) -> None:
        """Put the file of a version into the folder of its type, with what programs have written beside it."""
        file, renamed = version.files[0], number % 9 == 8 or special in ("noted", "earliest")
        path = self._place(version, f"my {file.name}" if renamed else file.name)
        data = _edited(file.data, 400 if special == "edited longer" else 120) if "edited" in special else file.data
        mtime = self._write(path, data)
        self._note(path, data, _SPECIAL.get(special, "sha256"), version, file)
        self._dress(Subject(self.expected.root / path, version, file, mtime), number, special)

    def _place(self, version: FakeVersion, name: str) -> str:
        """Return where a file goes: into a folder of one of two programs, all versions of a model into the same."""
        turn = version.model.id
        app, top = (("comfyui", "ComfyUI"), ("a1111", "webui"))[turn // len(_MODELS) % 2]
        folder = app_facts(app)["types"][version.model.type]
        return str(PurePosixPath(top, folder, _INSIDE[turn // 3 % len(_INSIDE)], name))

    def _write(self, path: str, data: bytes) -> int:
        """Write a file with a time of its own, and return that."""
        place = self.expected.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        self._born += 1
        time = _BORN + self._born * 61_000_000_000
        os.utime(place, ns=(time, time))
        return place.stat().st_mtime_ns

    def _note(self, path: str, data: bytes, how: How, version: FakeVersion | None, file: FakeFile | None) -> None:
        ids = (version.model.id, version.id, file.id) if version and file else (0, 0, 0)
        self.expected.files[path] = Entry(path, len(data), hashlib.sha256(data).hexdigest(), how, *ids)

    def _dress(self, subject: Subject, number: int, special: str) -> None:
        """Write the sidecar and the preview of a file."""
        sidecar = _OWN_SIDECAR.get(special, _SIDECARS[number % len(_SIDECARS)])
        if sidecar:
            self._write_sidecar(subject, sidecar)
        if number % 3 == 0:
            ending, made = list(PREVIEWS.items())[number // 3 % len(PREVIEWS)]
            preview = subject.path.with_suffix(ending)
            preview.write_bytes(made(number))
            self.expected.previews[self._relative(subject.path)] = self._relative(preview)

    def _write_sidecar(self, subject: Subject, sidecar: Sidecar) -> None:
        ending, made, mine = sidecar
        path, content = subject.path.with_suffix(ending), made(subject)
        if path.exists():  # that of another file of this stem
            return
        write_json(path, content)
        self.expected.kept[self._relative(path)] = {key: content[key] for key in mine}

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.expected.root).as_posix()

    def copy(self, count: int, special: Collection[int]) -> None:
        """Put the same bytes into another folder, every second time under another name."""
        plain = [entry for entry in self.expected.files.values() if entry.version not in special]
        originals = self._chance.sample(plain, min(count, len(plain)))
        groups: dict[str, set[str]] = {entry.path: {entry.path} for entry in originals}
        for number, entry in enumerate(islice(cycle(originals), count)):
            path = f"backup/{number}/{'copy of ' if number % 2 else ''}{PurePosixPath(entry.path).name}"
            self._write(path, (self.expected.root / entry.path).read_bytes())
            self.expected.files[path] = Entry(**{**vars(entry), "path": path})
            groups[entry.path].add(path)
        self.expected.copies.extend(map(frozenset, groups.values()))

    def add_unknown(self, count: int, versions: Sequence[FakeVersion]) -> None:
        """Add files that the site never had: with a header, with none, and beside a sidecar of another file."""
        for number, data in zip(range(count), _unknown_files(), strict=False):
            ending = ".ckpt" if number % 5 == 4 else ".safetensors"
            path = f"ComfyUI/models/loras/mine/own_{number}{ending}"
            mtime = self._write(path, data if ending == ".safetensors" else b"PK\x03\x04" + data + ZIP_END)
            self._note(path, (self.expected.root / path).read_bytes(), "unknown", None, None)
            if number % 4 == 1:  # a stranger's, of another size
                other = next(each for each in versions if abs(each.files[0].body.size - len(data)) > 2048)
                subject = Subject(self.expected.root / path, other, other.files[0], mtime)
                self._write_sidecar(subject, (HELPED, STALE, BROWSED)[number // 4 % 3])

    def add_broken(self, count: int) -> None:
        """Add what poses as a model."""
        for number, (kind, made) in enumerate(islice(cycle(BROKEN.items()), count)):
            path = f"webui/models/Lora/broken/{kind} {number}.safetensors"
            self._write(path, made(safetensors_bytes(f"broken {number}")))
            self.expected.broken[path] = kind


def _edited(data: bytes, width: int) -> bytes:
    """Return a safetensors file with another header and the same weights; with 120 bytes its size stays."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = {**json.loads(data[8:end]), "__metadata__": {"title": "mine"}}
    text = json.dumps(header).encode().ljust(width)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _unknown_files() -> Iterator[bytes]:
    """Yield safetensors files that nobody has published; the first one has no weights at all."""
    yield safetensors({"modelspec.title": "nothing"}, b"")
    for number in range(1, 1 << 20):
        words = {
            "ss_output_name": f"own_{number}", "ss_base_model_version": ("sdxl_base_v1-0", "sd_v1")[number % 2],
            "ss_tag_frequency": json.dumps({"10_paper lantern": {"paper lantern": 40, "night": 38, "1girl": 3}}),
            "modelspec.trigger_phrase": "paper lantern",
        }  # fmt: skip
        yield safetensors(words if number % 3 else {}, f"own {number} ".encode() * (60 + number))


def _unchanging(root: Path, expected: Expected) -> Mapping[str, bytes]:
    """Return the bytes of everything but the JSON sidecars that are merged with ours."""
    merged = {path for path in expected.kept if not path.endswith(".cm-info.json")}
    found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    named = ((path.relative_to(root).as_posix(), path) for path in found)
    return {name: path.read_bytes() for name, path in named if name not in merged}
