"""Everything that is said can be said in every language."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import chain
from string import Formatter

import pytest

from civitai_downloader.core.data import read_data
from civitai_downloader.core.lists import Problem
from civitai_downloader.core.paging import LISTS
from civitai_downloader.util.errors import Failure, Sentence
from civitai_downloader.util.speech import Sentences
from civitai_downloader.util.text import Secrets
from tests.sources import PACKAGE, trees

CATALOGUE = json.loads(read_data("messages.json"))
LEVELS = {"info", "warning", "error"}
LONGEST = 160  # characters of a message, besides the values in it


def bases() -> dict[str, set[str]]:
    classes = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for node in classes}


@cache
def speaking_classes() -> set[str]:
    """Return the names of Failure, of what extends it, and of Sentence."""
    found, parents = {"Failure"}, bases()
    while more := {name for name, each in parents.items() if each & found} - found:
        found |= more
    return found | {"Sentence"}


# Which argument of a call is said to the user, where it is not the first one of a failure.
POSITIONS = {"Failure": 1, "DiskFailure": 1, "Unconnected": 1, "Problem": 3, "Refusal": 0}


def position_of_sentence(call: ast.Call) -> int | None:
    """Return which argument of a call is said to the user, or None."""
    name = ast.unparse(call.func)
    if name.startswith("log.") and name[4:] in LEVELS:
        return 0
    if name == "super().__init__" and call.args and isinstance(call.args[0], ast.Constant):
        return 1  # a failure with its reason
    name = name.rpartition(".")[2]
    return POSITIONS.get(name, 0 if name in speaking_classes() else None)


def said_by(node: ast.AST) -> ast.expr | None:
    """Return the expression that a call, or the setting of a `note`, says to the user, or None."""
    if isinstance(node, ast.Call) and (at := position_of_sentence(node)) is not None and len(node.args) > at:
        return node.args[at]
    is_note = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(".note")
    return node.value if isinstance(node, ast.Assign) and is_note else None


def sentences() -> Iterator[tuple[str, ast.expr]]:
    """Yield where something is said, and the expression that says it."""
    for path, tree in trees().items():
        tables = names(tree)
        for scope in ast.walk(tree):
            if isinstance(scope, (ast.Module, ast.FunctionDef)):
                known = {**tables, **names(scope)}
                found = filter(None, map(said_by, own_nodes(scope)))
                for each in chain.from_iterable(alternatives(said, known) for said in found):
                    yield f"{path.relative_to(PACKAGE)}:{each.lineno}:{each.col_offset}", each


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a module or a function, apart from the functions in it."""
    ahead = deque(ast.iter_child_nodes(scope))
    while ahead:
        node = ahead.popleft()
        if not isinstance(node, ast.FunctionDef):
            yield node
            ahead.extend(ast.iter_child_nodes(node))


def names(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the values that are given to each name in a module or a function."""
    found: dict[str, list[ast.expr]] = {}
    for node in own_nodes(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def alternatives(said: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """Yield the expressions that an argument may be: itself, what a name stands for, or the values of a table."""
    if isinstance(said, ast.IfExp):
        yield from alternatives(said.body, known)
        yield from alternatives(said.orelse, known)
    elif isinstance(said, ast.Name) and said.id in known:
        for value in known[said.id]:
            yield from alternatives(value, {name: each for name, each in known.items() if name != said.id})
    elif isinstance(said, ast.Subscript) and isinstance(said.value, ast.Name):
        tables = known.get(said.value.id, [])
        texts = (
            node for table in tables for node in ast.walk(table) if isinstance(node, (ast.Constant, ast.JoinedStr))
        )
        yield from (each for each in texts if isinstance(each, ast.JoinedStr) or " " in str(each.value))
    else:
        yield said


def looks_like_a_sentence(said: ast.AST) -> bool:
    """Return whether a text begins and ends as a sentence does: in a table or a variable it is said, too."""
    shown = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts_of(said))
    return bool(re.fullmatch(r"[A-Z][^\n]* [^\n]*[.!?]", shown)) and not shown.startswith(NOT_SAID)


def parts_of(text: ast.AST) -> list[ast.expr]:
    """Return the parts of a text; nothing for what is none."""
    if isinstance(text, ast.JoinedStr):
        return text.values
    return [text] if isinstance(text, ast.Constant) and isinstance(text.value, str) else []


def all_texts() -> Iterator[tuple[str, ast.expr]]:
    """Yield every text that looks like a sentence and is neither a docstring nor a part of another text."""
    for path, tree in trees().items():
        within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        within |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and id(node) not in within and looks_like_a_sentence(node):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}:{node.col_offset}", node


# The help, which argparse puts together, and what stands in a file in English.
NOT_SAID = ("Fetch every file", "@FILE", "Civitai does not know this file.")


@cache
def everything_said() -> dict[str, ast.expr]:
    """Return what is said, by its place."""
    return dict(chain(sentences(), all_texts()))


@cache
def texts() -> dict[str, str]:
    """Return the sentences that are said as they stand in the program, by their places."""
    constants = {place: str(said.value) for place, said in everything_said().items() if isinstance(said, ast.Constant)}
    return {place: text for place, text in constants.items() if re.search("[a-z]{2}", text)}


def places_in(sentence: str) -> set[str]:
    """Return the names of the values in a sentence, and of those in the form of the log how many there are."""
    percents = re.findall(r"%[sd]", sentence)
    return {str(name) for _, name, _, _ in Formatter().parse(sentence) if name is not None} | {str(len(percents))}


def test_sentences_are_found() -> None:
    assert len(texts()) > 100


def test_what_is_said_is_not_put_together_before_it_is_translated() -> None:
    assert [where for where, said in everything_said().items() if isinstance(said, (ast.JoinedStr, ast.BinOp))] == []


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_everything_that_is_said_is_translated(language: str) -> None:
    known = CATALOGUE[language]
    assert {where: text for where, text in texts().items() if text not in known} == {}


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_translations_have_the_same_values_and_are_of_something_that_is_said(language: str) -> None:
    originals = {**CATALOGUE["en"], **{text: text for text in texts().values()}}
    wrong = {key for key, text in CATALOGUE[language].items() if places_in(text) != places_in(originals.get(key, key))}
    assert wrong == set()


def test_messages_are_short() -> None:
    lengths = {
        text: len(re.sub(r"\{[^}]*\}|%[sd]", "", text)) for text in {*texts().values(), *CATALOGUE["en"].values()}
    }
    assert {text: length for text, length in lengths.items() if length > LONGEST} == {}


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    words = Sentences({"en": {}, "ja": {"{a} broke: {b}": "{b}で{a}が壊れた", "the {c}": "その{c}"}}, "ja")
    failure = Failure("bug", "{a} broke: {b}", a="x", b=Sentence("the {c}", c="{y}"))
    assert str(failure) == "x broke: the {y}"
    assert words.tell(failure) == "その{y}でxが壊れた"


def test_a_sentence_without_its_secrets_can_still_be_translated() -> None:
    words = Sentences({"en": {}, "ja": {"{a} is wrong": "{a}が誤り"}}, "ja")
    cut = Secrets(["hush-hush-123"]).cut(Sentence("{a} is wrong", a="--token hush-hush-123"))
    assert (cut, words.tell(cut)) == ("--token (cut) is wrong", "--token (cut)が誤り")


def test_a_sentence_that_is_a_message_of_the_log_is_translated() -> None:
    words = Sentences({"en": {}, "ja": {"{a} is 100% busy": "{a}は100%混雑"}}, "ja")
    record = logging.LogRecord("x", logging.INFO, "", 0, Sentence("{a} is 100% busy", a="x"), None, None)
    assert words.translate(record)
    assert record.getMessage() == "xは100%混雑"


def test_what_is_wrong_with_a_line_is_told_in_each_language() -> None:
    problem = Problem("models.txt", 3, "foo bar", Sentence("This isn't a supported link; skipped."))
    assert str(problem.sentence) == "models.txt, line 3: 'foo bar' isn't a supported link; skipped."
    for language in ("ja", "ko"):
        said = Sentences(CATALOGUE, language).tell(problem.sentence)
        assert "'foo bar': " in said
        assert "supported" not in said
        assert "line" not in said


def test_every_list_of_the_site_has_a_name_in_each_language() -> None:
    assert all({*LISTS.values()} <= {*CATALOGUE[language]} for language in ("ja", "ko"))
