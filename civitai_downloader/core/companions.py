"""Companions: which files in a folder belong to which of its model files, by the longest stem that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..util.names import name_key, split_name
from .choice import is_called_safetensors
from .folders import is_model, stays_alone

_VAE = re.compile(r"\.vae\.(?:pt|safetensors)$", re.IGNORECASE)  # A1111 loads it with the checkpoint of this stem
_BEHIND = re.compile(r"\.|_\d{1,4}\.(?:png|jpe?g|webp)$", re.IGNORECASE)  # `foo.preview.png`, `foo_1.jpg`


def companions(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the companions of each model file in a folder, by the names of all files in it, in order.

    A file belongs to the model file with the longest stem that fits: `foo.v2.preview.png` to `foo.v2.safetensors`, and
    to `foo.safetensors` only if that other one isn't there. Of two model files with one stem the safetensors has them.
    A `.vae.pt` or `.vae.safetensors` is a companion where there is a model file of its stem, and so are its own. What
    another program has left unfinished is nobody's, and so is an archive. Names are compared as by `name_key`, but a
    stem that is the same to the letter comes first.
    """
    names = sorted(names)
    models = sorted((name for name in names if is_model(name)), key=_rank, reverse=True)
    owners = {name_key(_stem(name)): name for name in models} | {_stem(name): name for name in models}
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


def behind_stem(name: str, model: str) -> str:
    """Return what stands behind the stem in the name of a companion of a model file."""
    key = name_key(_stem(model))
    return next(name[end:] for end in _ends(name) if name_key(name[:end]) == key)


def _ends(name: str) -> Iterator[int]:
    """Yield where a stem may end in a name, the longest first."""
    return (end for end in range(len(name) - 1, 0, -1) if _BEHIND.match(name, end))


def _owner(name: str, owners: Mapping[str, str]) -> str | None:
    """Return the model file with the longest stem that a name begins with, or None."""
    found = (_named(name[:end], owners) for end in _ends(name))
    return next(filter(None, found), None)


def _named(stem: str, owners: Mapping[str, str]) -> str | None:
    return owners.get(stem) or owners.get(name_key(stem))


def _of_vae(name: str, owners: Mapping[str, str]) -> str | None:
    """Return the model file that a VAE is loaded with, or None."""
    found = _VAE.search(name)
    owner = _named(name[: found.start()], owners) if found else None
    return owner if owner != name else None


def _stem(name: str) -> str:
    return split_name(name)[0]


def _rank(name: str) -> tuple[bool, str]:
    """Return which of several model files with one stem has the companions; the first one does."""
    return not is_called_safetensors(name), name
