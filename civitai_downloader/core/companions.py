"""Companions: which files in a folder belong to which of its model files, by the longest stem that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from ..util.names import name_key, split_name
from .choice import is_called_safetensors
from .folders import is_model, stays_alone

_VAE = re.compile(r"\.vae\.(?:pt|safetensors)$")  # A1111 loads it with the checkpoint of this stem
_BEHIND = re.compile(r"\.|_\d{1,4}\.(?:png|jpe?g|webp)$")  # `foo.preview.png`, `foo_1.jpg`


def companions(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the companions of each model file in a folder, by the names of all files in it, in order.

    A file belongs to the model file with the longest stem that fits: `foo.v2.preview.png` to `foo.v2.safetensors`, and
    to `foo.safetensors` only if that other one isn't there. Of two model files with one stem the safetensors has them.
    A `.vae.pt` or `.vae.safetensors` is a companion where there is a model file of its stem, and so are its own. What
    another program has left unfinished is nobody's, and so is an archive. Names are compared as by `name_key`.
    """
    names = sorted(names)
    models = [name for name in names if is_model(name)]
    owners = {_stem(name): name for name in sorted(models, key=_rank, reverse=True)}
    found: dict[str, list[str]] = {name: [] for name in models}
    for name in names:
        if stays_alone(name):
            continue
        owner = _owner(name, owners)
        while owner is not None and (above := _of_vae(owner, owners)) is not None:
            owner = above
        if owner is not None and owner != name and (not is_model(name) or _of_vae(name, owners) is not None):
            found[owner].append(name)
    return {name: tuple(found[name]) for name in models}


def _owner(name: str, owners: Mapping[str, str]) -> str | None:
    """Return the model file with the longest stem that a name begins with, or None."""
    key = name_key(name)
    for end in range(len(key) - 1, 0, -1):
        if key[end] in "._" and key[:end] in owners and _BEHIND.match(key, end):
            return owners[key[:end]]
    return None


def _of_vae(name: str, owners: Mapping[str, str]) -> str | None:
    """Return the model file that a VAE is loaded with, or None."""
    found = _VAE.search(name_key(name))
    owner = owners.get(name_key(name)[: found.start()]) if found else None
    return owner if owner != name else None


@cache
def _stem(name: str) -> str:
    return name_key(split_name(name)[0])


def _rank(name: str) -> tuple[bool, str]:
    """Return which of several model files with one stem has the companions; the first one does."""
    return not is_called_safetensors(name), name
