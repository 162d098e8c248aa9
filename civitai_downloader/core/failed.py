"""What failed: `failed.txt`, from which a run is repeated, and the scripts that do it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..util.errors import Failure
from ..util.files import disk_errors, size_of, write_file
from ..util.names import long_path, shown_path
from ..util.text import printable, scrub, text_lines, utf8
from .data import read_data
from .ledger import Batch
from .lists import Problem, Unused
from .ours import FAILED_MARK, check_mark, is_marked
from .shares import files_of_copies


def write_failed(folder: Path, batches: Sequence[Batch], words: Sequence[str], unused: Unused) -> None:
    """Write `failed.txt` and the scripts that run the command `words`; when nothing is left, remove them.

    Targets that failed in an earlier run and were not part of this one stay in it, and so do the lines of lists that
    this run has not read. The lists of copies are gathered here, and removed.
    """
    of_copies = [path for path in files_of_copies(folder, "failed.txt").values() if is_marked(path)]
    old = [_read_failed(path).without(batches, unused) for path in (folder / "failed.txt", *of_copies)]
    blocks = {line: why for left in old for line, why in left.targets.items()} | _failed_blocks(batches)
    comments = dict.fromkeys(comment for left in old for comment in left.comments)
    _write(folder, blocks, [*comments, *_comments_on(unused)], words)
    _write_or_remove(long_path(folder), dict.fromkeys((path.name for path in of_copies), ""))


def write_failed_of_copy(folder: Path, batches: Sequence[Batch], unused: Unused, name: str) -> None:
    """Write the list of what failed in one of several copies under a name of its own; no scripts go with it."""
    left = _read_failed(folder / name).without(batches, unused)
    blocks = {**left.targets, **_failed_blocks(batches)}
    _write_or_remove(long_path(folder), {name: _text_of(blocks, [*left.comments, *_comments_on(unused)])})


def write_wrong(folder: Path, sources: Mapping[str, Sequence[str]], words: Sequence[str]) -> None:
    """Write into `failed.txt` what --verify has found wrong, by the line that brings it home, in place of what the last
    --verify has found. The lines of runs stay.
    """
    left = _read_failed(folder / "failed.txt")
    blocks = {}
    for line, why in left.targets.items():
        others = [comment for comment in why.split("\n") if not comment.startswith(_VERIFIED)]
        if others or line in sources:
            blocks[line] = "\n".join(others)
    for line, reasons in sources.items():
        found = (printable(f"{_VERIFIED}{reason}") for reason in reasons)
        blocks[line] = "\n".join(filter(None, (blocks.get(line, ""), *found)))
    _write(folder, blocks, left.comments, words)


def _write(folder: Path, blocks: Mapping[str, str], comments: Sequence[str], words: Sequence[str]) -> None:
    root = long_path(folder)
    _write_or_remove(root, {"failed.txt": _text_of(blocks, comments)})
    _write_or_remove(root, _retry_scripts(words) if blocks else dict.fromkeys(("retry.sh", "retry.bat"), ""))


def _text_of(blocks: Mapping[str, str], comments: Sequence[str]) -> str:
    """Return the text of a list of what failed, "" if there is nothing to say."""
    lines = "\n".join([*(f"{why}\n{line}\n" if why else f"{line}\n" for line, why in blocks.items()), *comments])
    return f"{FAILED_MARK}\n{lines}" if lines else ""


def _write_or_remove(root: Path, contents: Mapping[str, str]) -> None:
    """Write files by name; one without content is removed. Raises Failure for one that is not ours."""
    for name, content in contents.items():
        check_mark(root / name)
        if content:
            newline = "\r\n" if name.endswith(".bat") else "\n"
            write_file(root / name, utf8(content.replace("\n", newline)))
        else:
            with disk_errors(root / name):
                (root / name).unlink(missing_ok=True)


# A line that could not be used stands in `failed.txt` as two comments: where it was and why, and the line itself.
_UNUSED = re.compile(r"# Not used: (?P<place>.*?), line [0-9]+: ")
_BEHIND = "#: "
_VERIFIED = "# --verify: "


@dataclass(frozen=True)
class _FailedList:
    """What stands in a `failed.txt`: its lines, each with the comment that says why, and comments on unused lines."""

    place: str
    targets: Mapping[str, str]
    comments: Sequence[str]

    def without(self, batches: Sequence[Batch], unused: Unused) -> _FailedList:
        """Return what is left after a run: targets that were not part of it, comments on lists it has not read.

        If the run has read this list itself, all of its targets were part of it.
        """
        settled = self.targets if self.place in unused.lists else {batch.entry.source for batch in batches}
        targets = {line: why for line, why in self.targets.items() if line not in settled}
        places = ((_UNUSED.match(comment), comment) for comment in self.comments)
        return _FailedList(
            self.place, targets, [comment for found, comment in places if found and found["place"] not in unused.lists]
        )


def _read_failed(path: Path) -> _FailedList:
    lines = _lines_of(long_path(path))
    targets: dict[str, str] = {}
    comments, above = list[str](), list[str]()
    for line in lines:
        if line.startswith(_BEHIND) and above and _UNUSED.match(above[-1]):
            comments.append(f"{above.pop()}\n{line}\n")
        elif line == FAILED_MARK.strip():
            continue
        elif line.startswith("#"):
            above.append(line)
        else:
            if line:
                targets[line] = "\n".join(above)
            above = []
    return _FailedList(str(path.absolute()), targets, comments)


def _lines_of(path: Path) -> list[str]:
    """Return the lines of an earlier `failed.txt`. Raises Failure if it can't be read, as it would be lost then."""
    if size_of(path) is None:
        return []
    try:
        return text_lines(path.read_bytes())
    except OSError as error:
        words = "{path} can't be read ({reason}); check its permissions."
        raise Failure("disk", words, path=shown_path(path), reason=error.strerror or error) from None


def _comments_on(unused: Unused) -> list[str]:
    return [_comment_on(problem) for problem in unused.problems if problem.line]


def _comment_on(problem: Problem) -> str:
    text = printable(scrub(problem.text))[:2000]
    return printable(f"# Not used: {problem.place}, line {problem.line}: {problem.reason}") + f"\n{_BEHIND}{text}\n"


def _failed_blocks(batches: Sequence[Batch]) -> dict[str, str]:
    """Return the lines of this run for `failed.txt`, each with the comment that says why."""
    blocks = {}
    for batch in (each for each in batches if each.entry.target.kind != "updates"):
        reasons = dict.fromkeys(f"# {result.name}: {result.message}" for result in batch.failures)
        if batch.outcome == "interrupted":
            reasons[f"# {batch.library.disk.trouble or 'interrupted'}"] = None
        if reasons:
            blocks[batch.entry.source] = "\n".join(map(printable, reasons))
    return blocks


def _retry_scripts(words: Sequence[str]) -> dict[str, str]:
    """Return `retry.sh` and `retry.bat`, which run a command in the current folder from wherever they are started."""
    here = str(Path.cwd())
    in_batch = [each.replace("%", "%%") for each in (here, " ".join(map(batch_word, words)))]
    return {
        "retry.sh": read_data("retry.sh").format(folder=shlex.quote(here), command=shlex.join(words)),
        "retry.bat": read_data("retry.bat").format(folder=in_batch[0], command=in_batch[1]),
    }


def batch_word(word: str) -> str:
    """Return a word for a batch file, always quoted: `&` and `(` stand for themselves only in quotes."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), word) + '"'
