"""Libraries of many models for the tests of updates: files with their lines in the state log, and the site's models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fake_civitai import FakeModel, FakeVersion, World


def add_models(world: World, count: int, base: str = "SDXL 1.0") -> list[FakeModel]:
    """Add models with a version and a small file each."""
    models = [world.add_model(f"Lantern {number}", creator=f"maker_{number % 7}") for number in range(count)]
    for number, model in enumerate(models):
        model.add_version("v1", base_model=base).add_file(f"lantern_{number}.safetensors", size=300)
    return models


def newer(model: FakeModel, name: str = "v2", base: str = "SDXL 1.0", **more: Any) -> FakeVersion:
    """Add a version with a file that is called like model and version."""
    version = model.add_version(name, base_model=base, **more)
    version.add_file(f"{model.name.replace(' ', '_')}_{name}.safetensors", size=300)
    return version


def put(root: Path, models: list[FakeModel], folder: str = "loras", *, logged: bool = True) -> None:
    """Put the file of the oldest version of each model into a folder, as an earlier run has found it."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = [{"type": "library", "id": "ab" * 16, "status": "success", "path": ""}]
    for model in models:
        version = model.versions[-1]
        file = version.files[0]
        path = root / folder / file.name
        path.write_bytes(file.data)
        found, name = path.stat(), f"{model.name} [{model.id}] {version.name}"
        ids = {"model": model.id, "version": version.id, "file": file.id, "name": name}
        line = {"type": "local", "id": f"{folder}/{file.name}", "path": f"{folder}/{file.name}", "status": "success"}
        bytes_ = {"size": found.st_size, "mtime": found.st_mtime_ns, "sha256": file.body.sha256, "how": "sha256"}
        done = "sidecars preview pictures texts prompts mature 0"
        lines.append({"at": "2026-01-01T00:00:00Z", **line, **bytes_, **ids, "done": done})
    if logged:
        log = "".join(f"{json.dumps(line)}\n" for line in lines)
        (root / "download_state.jsonl").write_text(log, "utf-8")
