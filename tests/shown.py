"""What the page of a folder shows, read from its files as the page itself reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from civitai_downloader.core.columns import read_script, rows_of

Rows = dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Shown:
    """The rows of a page by kind and id, and its manifest."""

    manifest: dict[str, Any]
    pictures: Rows
    models: Rows
    collections: Rows
    posts: Rows

    def things(self, picture: int) -> list[tuple[Any, ...]]:
        """Return what a picture was made with."""
        return [tuple(self.manifest["things"][place]) for place in places_in(self.pictures[picture])]


def places_in(row: dict[str, Any]) -> list[int]:
    """Return the places of the things that the row of a picture names, without its checkpoint's."""
    return [*row["made"][1:]]


def read_data(folder: Path, name: str) -> dict[str, Any]:
    """Return the data of a script of the page."""
    told, data = read_script((folder / ".page" / "data" / f"{name}.js").read_text("utf-8"))
    assert told == name
    return data


def shown_in(folder: Path) -> Shown:
    """Return what the page of a folder shows; every row that counts must be there once."""
    manifest = read_data(folder, "manifest")
    found = {kind: _rows(folder, manifest, kind) for kind in ("pictures", "models", "collections", "posts")}
    assert manifest["totals"] == {kind: len(rows) for kind, rows in found.items()}
    latest = sorted(found["pictures"].values(), key=lambda row: (-row["created"], -row["id"]))[:60]
    newest = rows_of(manifest["newest"])
    assert newest == [{name: row[name] for name in newest[0]} for row in latest]
    for row, (name, at) in zip(newest, manifest["newest"]["from"], strict=True):
        assert rows_of(read_data(folder, name))[at]["id"] == row["id"]
    return Shown(manifest, **found)


def _rows(folder: Path, manifest: dict[str, Any], kind: str) -> Rows:
    rows: Rows = {}
    for chunk in manifest[kind]:
        names = [chunk["name"], *([f"{chunk['name']}.more"] if kind in ("pictures", "models") else [])]
        there = rows_of(*(read_data(folder, name) for name in names))
        assert len(there) == chunk["rows"]
        for at, row in enumerate(there):
            if at not in chunk["dead"]:
                assert row["id"] not in rows
                rows[row["id"]] = row
    return rows


def file_of(folder: Path, row: dict[str, Any]) -> Path:
    """Return the file of a picture as the page addresses it."""
    return folder / unquote(row["folder"]) / f"{row['id']}{row['ext']}"


def page_files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of everything that belongs to the page, by path."""
    paths = [folder / "index.html", *(path for path in (folder / ".page").rglob("*") if path.is_file())]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
