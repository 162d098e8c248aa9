"""Comparing: whether what the site answers belongs to what it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..util.errors import Failure, Sentence
from ..util.text import printable
from .answers import list_at, number_at, object_at, objects_at, text_at, whole_number


@dataclass(frozen=True)
class Expected:
    """What the things in a list must say of themselves, as far as they mention it ("" and 0 stand for anything)."""

    user: str = ""
    user_id: int = 0
    post: int = 0
    version: int = 0
    model: int = 0
    tag: str = ""
    collection: int = 0

    @classmethod
    def of(cls, query: Mapping[str, Any]) -> Expected:
        """Return what the answer to a query must say; `userId` may come with the `username` that it is the id of."""
        return cls(
            user=text_at(query, "username"), user_id=number_at(query, "userId"), post=number_at(query, "postId"),
            version=number_at(query, "modelVersionId"), model=number_at(query, "modelId"), tag=text_at(query, "tag"),
            collection=number_at(query, "collectionId"),
        )  # fmt: skip

    def __str__(self) -> str:
        """Return a Sentence that names what was asked about."""
        about = {
            Sentence("user {name}", name=printable(self.user) or self.user_id): self.user or self.user_id,
            Sentence("post {id}", id=self.post): self.post,
            Sentence("version {id}", id=self.version): self.version,
            Sentence("model {id}", id=self.model): self.model,
            Sentence("the tag {name}", name=printable(self.tag)): self.tag,
            Sentence("collection {id}", id=self.collection): self.collection,
        }
        return next((words for words, value in about.items() if value), Sentence("the site"))

    def fits(self, item: Mapping[str, Any]) -> bool | None:
        """Return whether an item belongs to the question; None if it says nothing that would tell."""
        names = [name.casefold() for name in names_of(item)]
        versions, tags = _versions_of(item), _tags_of(item)
        asked_and_told: tuple[tuple[Any, Any], ...] = (
            (self.user, names and set(names) == {self.user.casefold()}),
            (self.user_id, _agree(self.user_id, _user_ids_of(item))),
            (self.post, _agree(self.post, [number_at(item, "postId")])),
            (self.model, _agree(self.model, [number_at(item, "modelId")])),
            (self.version, versions and self.version in versions),
            (self.tag, tags and self.tag.casefold() in tags),
        )
        known = [told for asked, told in asked_and_told if asked and isinstance(told, bool)]
        return all(known) if known else None


def names_of(item: Mapping[str, Any]) -> list[str]:
    """Return the names of the user who made a listed thing, in each of the site's ways to say it."""
    makers = (object_at(item, "user"), object_at(item, "creator"), item)
    return [name for name in (text_at(maker, "username").strip() for maker in makers) if name]


def _user_ids_of(item: Mapping[str, Any]) -> list[int]:
    makers = (object_at(item, "user"), object_at(item, "creator"))
    return [number_at(item, "userId"), *(number_at(maker, "id") for maker in makers)]


def _versions_of(item: Mapping[str, Any]) -> set[int]:
    listed = [*list_at(item, "modelVersionIds"), *list_at(item, "modelVersionIdsManual"), item.get("modelVersionId")]
    return {number for number in map(whole_number, listed) if number > 0}


def _tags_of(item: Mapping[str, Any]) -> set[str]:
    names = [each for each in list_at(item, "tags") if isinstance(each, str)]
    return {name.strip().casefold() for name in (*names, *(text_at(tag, "name") for tag in objects_at(item, "tags")))}


def _agree(asked: int, told: Iterable[int]) -> bool | None:
    """Return whether all that is told is what was asked for; None if nothing is told."""
    named = [each for each in told if each > 0]
    return all(each == asked for each in named) if named else None


def is_at_fault(verdicts: Iterable[bool | None]) -> bool:
    """Return whether a page of a list, judged item by item, is not an answer to the question.

    That is if strangers are the greater part of it, or of the items that say anything if there are three and more.
    """
    judged = list(verdicts)
    strangers, own = judged.count(False), judged.count(True)
    return 2 * strangers > len(judged) or (strangers > 2 and strangers > own)


def check_id(answer: Mapping[str, Any], thing_id: int, what: str) -> None:
    """Raise Failure if an answer about a thing names another thing, or none. `what` is a word such as `model`."""
    named = number_at(answer, "id")
    facts = {"what": Sentence(what), "id": thing_id, "named": named}
    if named and named != thing_id:
        words = "The site answered about {what} {named} instead of {id}; the answer was ignored, try again later."
        raise Failure("answer", words, **facts)
    if not named:
        words = "The site's answer doesn't say that it is about {what} {id}; it was ignored, try again later."
        raise Failure("answer", words, **facts)


def has_hash(version: Mapping[str, Any], digest: str) -> bool:
    """Return whether a file of a version has this hash; yes, too, if no file tells a hash of this length."""
    files = objects_at(version, "files")
    hashes = [value.upper() for file in files for value in object_at(file, "hashes").values() if isinstance(value, str)]
    told = {each for each in hashes if len(each) == len(digest)}
    return not told or digest.upper() in told or any(each.startswith(digest.upper()) for each in hashes)


def check_hash(version: Mapping[str, Any], digest: str) -> None:
    """Raise Failure if an answer to a hash is about a version whose files have others."""
    if not has_hash(version, digest):
        words = "The site's answer to the hash {hash} has no such file; it was ignored, try again later."
        raise Failure("answer", words, hash=digest)


def is_model(answer: Any, model_id: int) -> bool:
    """Return whether an answer is a model with versions, which is worth keeping."""
    return number_at(answer, "id") == model_id and bool(list_at(answer, "modelVersions"))


def total_of(answer: Mapping[str, Any], collection_id: int) -> int | None:
    """Return how many things are in a collection, None if an answer does not tell or is about another one."""
    told = answer.get("itemCount")
    is_number = isinstance(told, int) and not isinstance(told, bool) and 0 <= told == whole_number(told)
    return told if is_number and number_at(answer, "id") == collection_id else None


def never(_answer: Any) -> bool:
    """Return that an answer is not worth keeping."""
    return False


def item_with(answer: Any, thing_id: int) -> dict[str, Any] | None:
    """Return the item of a list that has this id, or None."""
    return next((item for item in objects_at(answer, "items") if number_at(item, "id") == thing_id), None)


def is_user(answer: Any, name: str) -> bool:
    """Return whether an answer is about the user of this name: it has an id, and names nobody else."""
    return number_at(answer, "id") > 0 and all(each.casefold() == name.casefold() for each in names_of(answer))
