"""Naming: which file of which version of which model a file on disk is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..util.errors import Failure
from ..util.names import name_key
from .answers import NOTHING, File, Model, Version, number_at, unix_time
from .catalogue import Catalogue
from .choice import is_called_safetensors
from .found import Found, How, name_of
from .hints import Hint
from .places import same_size
from .refusals import UNEXPECTED, NotFound
from .site import Site
from .targets import Target

MOST_HASHES = 10_000  # that the site takes in one request
MOST_HINTS = 4  # different versions that sidecars name for one file; more are none


class Naming:
    """Asks the site what files are: by their hashes, all in one request, then one by one by what else is known."""

    def __init__(self, site: Site, catalogue: Catalogue) -> None:
        self._site, self._catalogue = site, catalogue

    def versions_with(self, digests: Iterable[str]) -> dict[str, list[Target]]:
        """Return the versions that have files of these SHA256; a hash that the site doesn't know is left out.

        Their models are asked for together later. Raises Failure, unless every answer was a clean one.
        """
        asked = [digest.upper() for digest in dict.fromkeys(digests) if digest and not digest.startswith(NOTHING)]
        found: dict[str, list[Target]] = {}
        for begin in range(0, len(asked), MOST_HASHES):
            found |= self._site.versions_by_sha256(asked[begin : begin + MOST_HASHES])
        self._catalogue.expect(target.id for targets in found.values() for target in targets)
        return {digest.lower(): targets for digest, targets in found.items()}

    def by_sha256(self, found: Found, targets: Sequence[Target], hints: Sequence[Hint], how: How, digest: str) -> Found:
        """Return a file as the one of these versions that has its SHA256 (`digest`); of several the likeliest.

        It is `gone` if the site has none of their models any more. Raises Failure.
        """
        files = [each for each in self._files_of(targets) if each[2].sha256 == digest]
        if files:
            return _named(found, *likeliest(found, files, hints), how)
        first = targets[0]
        return replace(found, status="gone", how=how, model=first.id, version=first.version)

    def by_hints(self, found: Found, hints: Sequence[Hint]) -> Found | None:
        """Return a file as what its sidecars call it, if the site's word on that fits it; None if it doesn't.

        It fits by its SHA256, or where the site has no AutoV3 to compare by its size. It is `gone` if the site has
        none of what the sidecars name. Raises Failure.
        """
        named = [each for each in hints if each.version or each.model]
        targets = list(dict.fromkeys(_target_of(each) for each in named))[:MOST_HINTS]
        if not targets:
            return None
        self._catalogue.expect(target.id for target in targets)
        there = list(self._files_of(targets))
        files = [each for each in there if _is_it(found, each[2])]
        if files:
            by_weights = all(file.sha256 != found.sha256 and file.autov3 for _, _, file in files)
            return _named(found, *likeliest(found, files, hints), "autov3" if by_weights else "sidecar")
        if there:
            return None
        return replace(found, status="gone", how="sidecar", model=targets[0].id, version=targets[0].version)

    def expect(self, models: Iterable[int]) -> None:
        """Ask for these models together, once the first of them is needed."""
        self._catalogue.expect(models)

    def by_weights(self, found: Found, hints: Sequence[Hint], told: Found | None) -> Found:
        """Return a file that its SHA256 does not tell as what its AutoV3 tells, else as unknown. Raises Failure.

        `told` is what its sidecars say without the AutoV3: that it is gone, or nothing.
        """
        named = self.by_hints(found, hints) if found.autov3 and told is None else told
        if (named is None or named.status != "success") and found.autov3:
            named = self._by_autov3(found, hints) or named
        return named or replace(found, status="unknown", how="unknown")

    def _by_autov3(self, found: Found, hints: Sequence[Hint]) -> Found | None:
        """Return a file as the one with the same weights, or None if the site knows none. Raises Failure."""
        try:
            answer = self._site.version_by_hash(found.autov3)
        except Failure as failure:
            check_clean(failure)
            return None
        target = Target("version", id=number_at(answer, "modelId"), version=number_at(answer, "id"))
        if target.version <= 0:
            raise Failure("answer", UNEXPECTED)
        files = [each for each in self._files_of([target]) if each[2].autov3 == found.autov3]
        return _named(found, *likeliest(found, files, hints), "autov3") if files else None

    def by_hand(self, found: Found, match: Target) -> Found:
        """Return a file as what a line of a list says that it is. Raises Failure."""
        model, target = self._catalogue.resolve(match)
        versions = [each for each in model.versions if target.version in (0, each.id)]
        files = [(model, version, file) for version in versions for file in version.files]
        files = [each for each in files if each[2].id == target.file] or files
        if not files:
            raise Failure("no-files", "The model has no published version with files.")
        return _named(found, *likeliest(found, files, ()), "hand")

    def _files_of(self, targets: Iterable[Target]) -> Iterator[tuple[Model, Version, File]]:
        """Yield the files of versions, or of all versions of a model; of what is gone none. Raises Failure."""
        for target in targets:
            try:
                model, plain = self._resolve(target)
            except Failure as failure:
                check_clean(failure)
                continue
            versions = (each for each in model.versions if plain.version in (0, each.id))
            yield from ((model, version, file) for version in versions for file in version.files)

    def _resolve(self, target: Target) -> tuple[Model, Target]:
        """Return the model of a target; where a sidecar names another model than the version's, the version counts."""
        try:
            return self._catalogue.resolve(target)
        except Failure as failure:
            if failure.reason != "answer" or not (target.id and target.version):
                raise
            return self._catalogue.resolve(replace(target, id=0))


def check_clean(failure: Failure) -> None:
    """Raise Failure unless one means that the site itself says that it has no such thing."""
    if not isinstance(failure, NotFound):
        raise Failure("answer", UNEXPECTED) if failure.reason == "gone" else failure


def _target_of(hint: Hint) -> Target:
    return Target("version" if hint.version else "model", id=hint.model, version=hint.version)


def _is_it(found: Found, file: File) -> bool:
    """Return whether a file on disk is one that a sidecar names: by a hash, else by the size if no hash can tell."""
    if file.sha256 and file.sha256 == found.sha256:
        return True
    if file.autov3 and is_called_safetensors(found.path):
        return file.autov3 == found.autov3
    is_refuted = bool(file.sha256) and not is_called_safetensors(found.path)  # nothing edits the header of another
    return same_size(found.size, file.size) and not is_refuted


def likeliest(
    found: Found, files: Sequence[tuple[Model, Version, File]], hints: Sequence[Hint]
) -> tuple[Model, Version, File]:
    """Return the file that a file on disk is: that with its hash and name, or its size, or that its sidecars name.

    Of those that are left it is the one published first.
    """
    own_name, named = name_key(found.path.rpartition("/")[2]), {each.version for each in hints if each.version}

    def unlikeness(each: tuple[Model, Version, File]) -> tuple[float, ...]:
        """Return how little a file of the site is like it."""
        _, version, file = each
        is_called_so, day = name_key(file.name) == own_name, unix_time(version.published)
        has_hash = bool(file.sha256) and file.sha256 == found.sha256
        likeness = (has_hash, is_called_so, same_size(found.size, file.size), version.id in named)
        return (*(not trait for trait in likeness), day or math.inf, file.id)

    return min(files, key=unlikeness)


def _named(found: Found, model: Model, version: Version, file: File, how: How) -> Found:
    """Return a file with what it is; what was brought for something else doesn't count."""
    named = replace(found, status="success", how=how, name=name_of(model, version), reason="")
    done = found.done if (found.version, found.file) == (version.id, file.id) else ""
    return replace(named, model=model.id, version=version.id, file=file.id, done=done)
