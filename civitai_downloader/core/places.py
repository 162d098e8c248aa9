"""Places: where a thing goes and what it is called."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Literal

from ..util.names import clean_name, file_name, folder_name
from .answers import File, Model, Version, number_at, object_at, unix_time
from .choice import form_of_file
from .data import read_data
from .ours import harmless_file, harmless_folder
from .settings import NAMED_LAYOUTS, fill_template, split_template

Folder = tuple[str, ...]


def page_folder(layout: str, model: Model) -> Folder:
    """Return where the pages of a model go: its folder, or below `.civitai` where models share folders."""
    if layout == "sharded":
        return (f"model_{model.id // 1000}", str(model.id))
    creator, name = folder_name(model.creator or "unknown"), folder_name(model.name, f" [{model.id}]")
    folder = ("users", creator, "models", name)
    return folder if layout == "creator" else (".civitai", *folder)


def version_folder(layout: str, model: Model, version: Version) -> Folder:
    """Return where a version's pictures (in `images`) and the files that no app loads go."""
    name = str(version.id) if layout == "sharded" else folder_name(version.name, f" [{version.id}]")
    return (*page_folder(layout, model), name)


@cache
def app_facts(app: str) -> Any:
    """Return what `apps.json` says of an app: its folders, its names of base models, what it keeps of a file."""
    return json.loads(read_data("apps.json"))[app]


def file_folder(layout: str, model: Model, version: Version, file: File) -> Folder:
    """Return where a file goes, by layout, model type and file type."""
    if layout not in NAMED_LAYOUTS:
        return tuple(name for _, name in template_parts(layout, model, version))
    if layout in ("creator", "sharded") or file.type in ("Training Data", "Archive"):
        return version_folder(layout, model, version)
    app = app_facts(layout)
    folder = app["files"].get(file.type) or app["types"].get(model.type) or app["other"]
    alone = form_of_file(file) == "gguf" or version.base_model.lower().startswith(tuple(app["denoisers"]))
    return tuple((app["types"]["UNet"] if alone and folder == app["types"]["Checkpoint"] else folder).split("/"))


def template_parts(layout: str, model: Model, version: Version) -> list[tuple[str, str]]:
    """Return the parts of a template, each with the folder that it stands for.

    A value can't add levels, and an unknown one is `unknown`.
    """
    date = version.published if unix_time(version.published) else ""
    values = {
        "creator": model.creator, "type": model.type, "base_model": version.base_model, "model_name": model.name,
        "model_id": str(model.id), "version_name": version.name, "version_id": str(version.id), "year": date[:4],
        "month": date[5:7], "nsfw": "" if not model.level else "nsfw" if model.level & ~3 else "sfw",
        "tag": model.tags[0] if model.tags else "", "rating": rating_of(model),
        "weighted_rating": weighted_rating_of(model),
    }  # fmt: skip
    safe = {key: clean_name(value) or "unknown" for key, value in values.items()}
    return [(part, harmless_folder(folder_name(fill_template(part, safe)))) for part in split_template(layout)]


# --- Ratings ----------------------------------------------------------------------------------------

_FEWEST_VOTES, _Z = 5, 1.96  # below so many votes there is no rating; the bound holds in 97.5 % of all cases
_CLASSES = ((4.5, "loved"), (3.5, "liked"), (2.5, "mixed"), (0.0, "disliked"))


def _bound(model: Model) -> float | None:
    """Return the lower bound (Wilson) of the share of a model's thumbs that are up, times 5; None for a few votes.

    The model's own counts are used, since a version has few; some interfaces give no thumbs down for versions.
    """
    stats = object_at(model.raw, "stats")
    up, down = (max(0, number_at(stats, key)) for key in ("thumbsUpCount", "thumbsDownCount"))
    if (count := up + down) < _FEWEST_VOTES:
        return None
    share, spread = up / count, _Z * _Z / count
    least = share + spread / 2 - _Z * math.sqrt((share * (1 - share) + spread / 4) / count)
    return 5 * max(0.0, least) / (1 + spread)


def rating_of(model: Model) -> str:
    """Return how a model is rated, in one word."""
    bound = _bound(model)
    return "unrated" if bound is None else next(word for least, word in _CLASSES if bound >= least)


def weighted_rating_of(model: Model) -> str:
    """Return how a model is rated on a scale to 5, down to halves: `4.5`."""
    bound = _bound(model)
    return "unrated" if bound is None else f"{math.floor(2 * bound) / 2:.1f}"


@dataclass(frozen=True)
class Wanted:
    """One thing to have on disk. `path` is relative to the output folder; a picture's lacks its extension.

    `media` is the kind of a picture (`image`, `video`, `audio`, or `still` for a still of a video), `scan` what the
    site's scan says of a pickle file, and `format` what the site says of a model file's form. `layout` is the template
    that gave a model file its folder ("" another layout). `autov3` is that of a safetensors, in lower case, empty if
    the site tells none. `available_at` is when the early access to a model file ends, or ended, as the model's answer
    says (UTC).
    """

    kind: Literal["model", "image"]
    id: str
    name: str
    path: str
    urls: tuple[str, ...]
    source: str
    size: int = 0
    sha256: str = ""
    media: str = ""
    scan: str = ""
    format: str = ""
    layout: str = ""
    autov3: str = ""
    available_at: str = ""

    @property
    def identity(self) -> str:
        """What makes two things the same bytes."""
        return self.sha256 or f"{self.kind}:{self.id}"

    @property
    def spare_path(self) -> str:
        """The path used when another file has the first: the file's id before the extension.

        No bracket or blank stands before it: Forge and ComfyUI can't use the name of such a file in a prompt.
        """
        return self._with_tail(f"-{self.id.rpartition('/')[2]}")

    def spare_paths(self) -> Iterator[str]:
        """Yield the spare path, and others for the case that even that one is taken."""
        yield self.spare_path
        yield from (self._with_tail(f"-{self.id.rpartition('/')[2]}-{number}") for number in count(2))

    @property
    def older_spare_path(self) -> str:
        """The path that earlier versions of the program used when another file had the first."""
        return self._with_tail(f" [{self.id.rpartition('/')[2]}]")

    def _with_tail(self, tail: str) -> str:
        name = self.path.rpartition("/")[2]
        named = file_name(name, fallback=self.id.rpartition("/")[2], tail=tail)
        return self.path.removesuffix(name) + harmless_file(named)


def same_size(size: int, published: int) -> bool:
    """Return whether a size in bytes is the published one, as exactly as the site publishes it (KiB); 0 is unknown."""
    return published > 0 and abs(size - published) < 1024
