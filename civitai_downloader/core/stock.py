"""Stock: what `.page/data` holds, how much of the state log has gone into it, and the manifest that the page reads."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..util.clock import utc_now
from ..util.disks import Disk
from ..util.files import on_one_line, open_to_read, read_regular, size_of, write_file
from ..util.logs import json_line
from ..util.text import utf8
from .answers import objects_at, text_at
from .chunks import KINDS, Chunk, Damaged, Series, damage, read_data_file
from .columns import Row, Things, read_script, rows_of, script, table
from .tiles import FIRST

FORMAT, NEWEST = 2, 60
LONG = 1 << 20  # bytes of the log that are read again in some 40 ms
_TAIL = 1024  # bytes before its end by which a log is known again
_OURS = re.compile(r"[pmco]-[0-9a-f]{10}(\.more)?\.js|.*\.[0-9a-f]{8}\.tmp")

# Of each file of the state log, by name: its size in bytes, and a checksum of what stands before its end.
Marks = dict[str, tuple[int, int]]


# --- The state log ---------------------------------------------------------------------------------


def marks_of(logs: Iterable[Path]) -> Marks:
    """Return where the files of the state log end now."""
    sizes = {log: size_of(log) or 0 for log in logs}
    return {log.name: (size, _checksum_before(log, size)) for log, size in sizes.items()}


def _checksum_before(log: Path, size: int) -> int:
    with suppress(OSError), open_to_read(log) as file:
        file.seek(max(0, size - _TAIL))
        return zlib.crc32(file.read(min(size, _TAIL)))
    return 0


def lines_since(logs: Sequence[Path], marks: Marks) -> list[dict[str, Any]] | None:
    """Return the records of the state log behind its marks, or None if one of its files is another one by now."""
    if not marks.keys() <= {log.name for log in logs}:
        return None
    found: list[dict[str, Any]] = []
    for log in logs:
        size, checksum = marks.get(log.name, (0, 0))
        if (size_of(log) or 0) < size or _checksum_before(log, size) != checksum:
            return None
        with suppress(OSError), open_to_read(log) as file:
            file.seek(size)
            found.extend(line for line in map(json_line, file) if line)
    return found


# --- What is kept between runs ---------------------------------------------------------------------


@dataclass
class State:
    """What a run needs to know of the page before it looks at rows.

    `sizes` are those of the data files by name, `previous` the names that the manifest before named, and `models` has
    of each model the path of its `model.json`, when that was written, its size, and the ids of its versions.
    """

    log: Marks = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    previous: list[str] = field(default_factory=list)
    models: dict[int, tuple[str, int, int, list[int]]] = field(default_factory=dict)

    def write(self, folder: Path, disk: Disk | None) -> None:
        """Write it to `.page/data`. Raises Failure."""
        write_file(folder / "state.json", utf8(on_one_line({"format": FORMAT, **vars(self)})), disk)

    def go_on(self, marks: Marks, folder: Path, disk: Disk | None) -> None:
        """Note that nothing new stands before these marks, if reading that again would take long. Raises Failure."""
        if sum(size for size, _ in marks.values()) - sum(size for size, _ in self.log.values()) > LONG:
            self.log = marks
            self.write(folder, disk)


def read_state(folder: Path) -> State | None:
    """Return the state of `.page/data`; None if there is none that can be used, or if files are missing or cut."""
    with suppress(Damaged), damage():
        told = json.loads(read_regular(folder / "state.json"))
        models = {int(key): (str(a), int(b), int(c), [*map(int, d)]) for key, (a, b, c, d) in told["models"].items()}
        marks = {str(name): (int(size), int(checksum)) for name, (size, checksum) in told["log"].items()}
        state = State(marks, dict(told["sizes"]), [*map(str, told["previous"])], models)
        if told["format"] == FORMAT and all(size_of(folder / name) == size for name, size in state.sizes.items()):
            return state
    return None


class Stock:
    """All rows of the page. What is put into it counts when it is saved: the manifest is written last."""

    def __init__(
        self,
        folder: Path,
        state: State,
        series: Mapping[str, Series],
        things: Iterable[Any] = (),
        newest: Iterable[Row] = (),
    ) -> None:
        self.folder, self.state, self.series = folder, state, series
        self._newest = {row["id"]: row for row in newest}
        self.things = Things(things)

    @classmethod
    def empty(cls, folder: Path, disk: Disk | None) -> Stock:
        """Return one without rows."""
        return cls(folder, State(), {kind.name: Series(kind, folder, (), disk) for kind in KINDS})

    @classmethod
    def read(cls, folder: Path, state: State, disk: Disk | None) -> Stock:
        """Return what lies in the folder. Raises Damaged."""
        with damage():
            manifest = read_data_file(folder, "manifest")
            kept = json.loads(zlib.decompress(read_regular(folder / "rows.z")))
            series = {
                kind.name: Series(kind, folder, [Chunk(a, b, c, {*d}) for a, b, c, d in kept[kind.name]], disk)
                for kind in KINDS
            }
            if any(_listed(each) != manifest[name] for name, each in series.items()):
                raise ValueError("the manifest is of another time")
            return cls(folder, state, series, manifest["things"], rows_of(manifest["newest"]))

    def put(self, kind: str, rows: Iterable[Row]) -> None:
        """Take rows of a kind; those that are known as they are change nothing."""
        for row in self.series[kind].put(rows):
            if kind == "pictures":
                self._newest[row["id"]] = {name: row[name] for name in FIRST}
                if len(self._newest) > 10 * NEWEST:
                    self._newest = {each["id"]: each for each in self._latest()}

    def drop(self, kind: str, row_id: int) -> None:
        """Let a row count no more."""
        self.series[kind].drop(row_id)
        if kind == "pictures":
            self._newest.pop(row_id, None)

    @property
    def is_changed(self) -> bool:
        """Whether anything was put or dropped that makes a difference."""
        return any(each.is_changed for each in self.series.values())

    def _latest(self) -> list[Row]:
        return sorted(self._newest.values(), key=lambda row: (row["created"], row["id"]), reverse=True)[:NEWEST]

    def save(self, library_id: str, disk: Disk | None) -> bool:
        """Write the data files, then the manifest, then our state, and remove what the last two manifests don't name.

        Return whether the manifest says anything new. Raises Damaged, and Failure.
        """
        for each in self.series.values():
            each.finish()
        text = script("manifest", on_one_line(self._manifest(library_id)))
        before: Mapping[str, Any] = {}
        with suppress(Damaged):
            before = read_data_file(self.folder, "manifest")
        is_new = {**before, "made": ""} != {**read_script(text)[1], "made": ""}
        kept = {
            name: [(chunk.name, chunk.ids, chunk.sums, sorted(chunk.dead)) for chunk in each.chunks]
            for name, each in self.series.items()
        }
        write_file(self.folder / "rows.z", zlib.compress(utf8(on_one_line(kept)), 1), disk)
        if is_new:
            self.state.previous = [*_names_in(before)]
            write_file(self.folder / "manifest.js", utf8(text), disk)
        names = ["manifest.js", "rows.z", *self._files()]
        self.state.sizes = {name: size_of(self.folder / name) or 0 for name in names}
        self.state.write(self.folder, disk)
        self._sweep()
        return is_new

    def _manifest(self, library_id: str) -> dict[str, Any]:
        latest = self._latest()
        newest = {**table(latest, FIRST), "from": [self.series["pictures"].place(row["id"]) for row in latest]}
        return {
            "format": FORMAT, "library": library_id, "made": utc_now(),
            "totals": {name: len(each) for name, each in self.series.items()},
            **{name: _listed(each) for name, each in self.series.items()},
            "things": self.things.known, "newest": newest,
        }  # fmt: skip

    def _files(self) -> Iterator[str]:
        for each in self.series.values():
            for chunk in each.chunks:
                yield f"{chunk.name}.js"
                if each.kind.more:
                    yield f"{chunk.name}.more.js"

    def _sweep(self) -> None:
        """Remove data files that neither this manifest nor the one before names."""
        named = {*self._files()}
        for path in self.folder.iterdir():
            is_named = path.name in named or path.name.split(".")[0] in self.state.previous
            if _OURS.fullmatch(path.name) and not is_named:
                with suppress(OSError):
                    path.unlink()


def _listed(series: Series) -> list[dict[str, Any]]:
    return [{"name": chunk.name, "rows": len(chunk.ids), "dead": sorted(chunk.dead)} for chunk in series.chunks]


def _names_in(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the chunks in a manifest, which may be damaged."""
    for kind in KINDS:
        yield from (text_at(chunk, "name") for chunk in objects_at(manifest, kind.name))
