"""The command line: options in, words and an exit code out. The only module that prints."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .util.process import ensure_utf8, flush_output, former_encoding, open_streams

if TYPE_CHECKING:  # at run time core is imported where it is first needed, so that `--help` is answered at once
    from . import core
    from .util.clock import Clock
    from .util.screen import Screen

log = logging.getLogger(__package__)

DONE, FAILED, USAGE, QUEUED, INTERRUPTED = 0, 1, 2, 3, 130
TOKEN_VARIABLES = ("CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN")


# --- Options -------------------------------------------------------------------------------------
# Nothing has a default here: what was not given is absent, and the Settings of core know the defaults.


@cache
def line_parser() -> argparse.ArgumentParser:
    """Return the parser of options on a list line, where a wrong one does not end the program."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS, exit_on_error=False
    )
    add_options(parser, "line")
    return parser


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of every option of the command."""
    parser = argparse.ArgumentParser(
        prog="civitai-downloader",
        parents=[line_parser()],
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        description="Brings home every file, picture and prompt behind a list of Civitai links.",
        epilog="Exit codes: 0 everything is there, 1 something failed, 2 usage, 3 queued in IDM, 130 interrupted.",
    )
    add_options(parser, "command")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_options(parser: argparse.ArgumentParser, section: str) -> None:
    """Add the options of a section of `options.json`, in their groups; those of the group "" belong to none."""
    sections = json.loads(Path(__file__).with_name("options.json").read_text("utf-8"))
    for title, options in sections[section].items():
        group = parser.add_argument_group(title) if title else parser
        for names, facts in options.items():
            if "type" in facts:
                facts["type"] = TYPES[facts["type"]]
            group.add_argument(*names.split(), **facts)


def comma_list(text: str) -> tuple[str, ...]:
    """`A,B` as a tuple."""
    if text.rstrip().endswith(","):
        raise argparse.ArgumentTypeError(f"{text!r} ends with a comma; write A,B without a blank behind the comma")
    return tuple(part.strip() for part in text.split(",") if part.strip())


def number(text: str, kind: Callable[[str], float] = int, least: float = 0, most: float = 10**9) -> Any:
    """A number in a range."""
    try:
        value = kind(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between {least} and {most}")
    return value


few = partial(number, least=1, most=64)
positive = partial(number, kind=float, least=0.001, most=1000000)


def count_or_all(text: str) -> int | None:
    """A whole number, or None for `all`."""
    return None if text == "all" else number(text)


def byte_rate(text: str) -> int:
    """Bytes a second from `500K`, `10M`, `1.5G` or a plain number."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    unit = units.get(text[-1:].upper(), 1)
    return max(1, int(positive(text if unit == 1 else text[:-1]) * unit))


TYPES: dict[str, Callable[[str], Any]] = {
    "folder": Path, "comma list": comma_list, "count": number, "few": few, "positive": positive,
    "count or all": count_or_all, "byte rate": byte_rate,
}  # fmt: skip


def option_words(parser: argparse.ArgumentParser, given: Mapping[str, Any], skip: Iterable[str] = ()) -> list[str]:
    """The options in `given`, spelled as on the command line again."""
    words: list[str] = []
    for action in parser._actions:
        if not action.option_strings or action.dest not in given or action.dest in skip:
            continue
        name, value = action.option_strings[-1], given[action.dest]
        if action.nargs == 0:
            words.append(name)
            continue
        text = "all" if value is None else ",".join(value) if isinstance(value, tuple) else str(value)
        words += [f"{name}={text}"] if text.startswith("-") else [name, text]
    return words


def read_line(given: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the options behind a link, and the words that say the same together with those given to the command.

    What stands between or behind the options and is none is a title. Raises UsageError.
    """
    from . import core

    parser = line_parser()
    try:
        known, rest = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise core.UsageError(str(error)) from None
    if wrong := [word for word in rest if re.match("--?[A-Za-z]", word)]:
        raise core.UsageError(f"unrecognized arguments: {' '.join(wrong)}")
    return vars(known), option_words(parser, {**given, **vars(known)}, skip=("output",))


# --- The command ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command with the given words (those of the process by default) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        given = vars(command_parser().parse_args(argv))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    from . import core
    from .util.clock import Clock
    from .util.screen import Screen

    words = core.Words(given.get("lang") or core.system_language())
    screen = Screen(sys.stderr)
    level = "DEBUG" if given.get("verbose") else "WARNING" if given.get("quiet") else "INFO"
    screen.show_log(log, level, as_json=bool(given.get("json_logs")))
    if encoding := former_encoding():
        log.debug("%s can't write every name; the program was started over in UTF-8 mode.", encoding)
    try:
        return code_of(lambda: command(given, words, screen, clock or Clock()))
    except KeyboardInterrupt:
        log.warning("%s", words("interrupted"))
        return INTERRUPTED
    finally:
        screen.finish()


def code_of(do: Callable[[], int]) -> int:
    """Return the exit code of a command; what ends it early is told in one sentence."""
    from .util.disks import failure_of
    from .util.errors import Failure, UsageError

    try:
        return do()
    except BrokenPipeError:  # nobody reads any further
        return DONE
    except Failure as failure:
        log.error("%s", failure)
        return USAGE if isinstance(failure, UsageError) else FAILED
    except OSError as error:
        log.error("%s", failure_of(error, Path(str(error.filename or os.curdir))))
        return FAILED
    except MemoryError:
        log.error("There is not enough memory; close other programs and run again.")
        return FAILED


def command(given: Mapping[str, Any], words: core.Words, screen: Screen, clock: Clock) -> int:
    """Do what the options ask for. Raises UsageError."""
    from . import core

    settings = settings_from(given)
    core.check_output(settings.output)
    if given.get("verify"):
        return verify(settings, given, words, screen, clock)
    filters = core.find_filters(given)
    say(logging.WARNING, filters.problems)
    if given.get("refilter"):
        return refilter(settings, filters, words)
    inputs = core.collect(given, settings, partial(read_line, given))
    inputs.check_outputs(writes=not settings.dry_run)
    say(logging.ERROR, (problem.sentence for problem in inputs.problems if not problem.line))
    if settings.dry_run or not inputs.entries:
        core.say_unused(words, inputs.unused)
    if not inputs.entries:
        return USAGE
    run = core.Run(settings, inputs.entries, clock, filters)
    try:
        say(logging.WARNING, (problem for library in run.libraries for problem in library.problems))
        counts = dry_run(run, words) if settings.dry_run else execute(run, given, words, screen, inputs.unused)
    finally:
        run.close()
    return INTERRUPTED if run.ledger.interrupted else exit_code(counts, inputs.problems)


def say(level: int, problems: Iterable[str]) -> None:
    """Show sentences."""
    for problem in problems:
        log.log(level, "%s", problem)


def settings_from(given: Mapping[str, Any]) -> core.Settings:
    """Return the settings of the run. Raises UsageError."""
    from . import core

    chosen = {field.name: given[field.name] for field in fields(core.Settings) if field.name in given}
    if "cookies" in given:
        chosen["cookies"] = core.read_cookies(Path(given["cookies"]))
    if "idm" in given:
        chosen["idm"] = core.find_idm(given["idm"])
    if given.get("idm_token_url"):
        log.warning("IDM keeps links as they are: the token will stand in its list in clear.")
    token = core.find_token((given.get("token"), *map(os.environ.get, TOKEN_VARIABLES)))
    return core.Settings(**{**chosen, "token": token})


def execute(
    run: core.Run, given: Mapping[str, Any], words: core.Words, screen: Screen, unused: core.Unused
) -> Mapping[str, int]:
    """Do the run, say how it ended and what was `unused` of the inputs, and return its counts."""
    from . import core

    live = screen.is_live and not (given.get("quiet") or given.get("json_logs"))
    run.execute(core.ProgressDisplay(words, screen, live=live).watch)
    screen.finish()
    core.say_summary(words, run, unused)
    written = not run.libraries.lost
    for library in run.libraries:
        written &= core.write_outcome(run, library, retry_command(given, library.folder), unused)
    if run.ledger.interrupted:
        log.warning("%s", words("interrupted"))
    return Counter(failed=not written) + run.ledger.counts


def exit_code(counts: Mapping[str, int], problems: Sequence[object]) -> int:
    """Return what a script reads: failures first, then what is only queued."""
    if counts.get("failed") or problems:
        return FAILED
    return QUEUED if counts.get("queued") else DONE


def retry_command(given: Mapping[str, Any], output: Path) -> list[str]:
    """Return the words of the same command, without its secrets, on the targets that failed in an output folder."""
    from . import core

    skip = {action.dest for action in line_parser()._actions}
    skip |= set("token models users output retry_failed force dry_run refilter verify".split())
    changed: dict[str, Any] = {name: Path(given[name]).absolute() for name in ("cookies", "filters") if name in given}
    if "site" in given:
        changed["site"] = core.split_login(given["site"])[0]
    options = option_words(command_parser(), {**given, **changed}, skip=skip)
    return [sys.executable, "-m", "civitai_downloader", "--retry-failed", "-o", str(output.absolute()), *options]


def dry_run(run: core.Run, words: core.Words) -> Mapping[str, int]:
    """Print the plan to stdout and write nothing; return how many targets can't be planned."""
    from . import core

    total, counts = 0, Counter[str]()
    for batch in run.ledger.batches:
        try:
            for row in core.plan(run, batch):
                total += row.size if row.fetch else 0
                size = core.human_size(row.size) if row.size else "?"
                print(f"{size:>10}  {row.path}" + (f"  ({row.note})" if row.note else ""))
        except core.Failure as failure:
            counts["failed"] += 1
            log.error("%s: %s", batch.entry.source, failure)
    free = core.free_space(run.settings.output)
    print(words("plan", size=core.human_size(total), free=core.human_size(free)))
    if total > free:
        print(words("plan.full"))
    return counts


def refilter(settings: core.Settings, filters: core.Filters, words: core.Words) -> int:
    """Apply the word lists to the prompts in the output folder without a request. Raises UsageError."""
    from . import core

    if not settings.output.is_dir():
        raise core.UsageError(words("verify.nothing", folder=settings.output))
    library = core.Library(settings.output)
    log.info("%s", words("refiltered", count=library.refilter(filters)))
    library.close()
    return DONE


def verify(settings: core.Settings, given: Mapping[str, Any], words: core.Words, screen: Screen, clock: Clock) -> int:
    """Check the files of the output folder; nothing is fetched. Raises UsageError."""
    from . import core

    if not (settings.output / "download_state.jsonl").is_file():
        raise core.UsageError(words("verify.nothing", folder=settings.output))
    wait = log.info if settings.wait else None
    library = core.Libraries(clock, wait=wait, read_only=False).open(settings.output)
    live = sys.stderr.isatty() and not (given.get("quiet") or given.get("json_logs"))
    check = core.Verification(library, clock, core.CheckDisplay(words, screen, clock).watch if live else bool)
    try:
        say(logging.WARNING, library.problems)
        check.run()
        core.write_wrong(library.folder, check.sources, retry_command(given, library.folder))
    finally:
        screen.finish()
        core.say_failures(words, check.failures)
        library.close()
    counts = check.counts
    core.say_gone(words, check.gone)
    if not counts:
        raise core.UsageError(words("verify.nothing", folder=settings.output))
    log.info("%s", words("verify.summary", good=counts["done"], bad=counts["failed"]))
    if counts["queued"]:
        log.warning("%s", words("queued", count=counts["queued"]))
    return exit_code(counts, ())


def cli() -> NoReturn:
    """Run `main` as the console command: SIGTERM is Ctrl-C, and workers that hang in a read are not waited for."""
    ensure_utf8()
    open_streams()

    def leave(number: int, _frame: object) -> None:
        """Do as Ctrl-C does, once: a terminal that is closed is told by several."""
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    # SIGBREAK is Ctrl-Break, and on Windows also the closing of the window and the end of the session; SIGHUP is a
    # terminal that was closed, which `nohup` lets us ignore.
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)]
    for number in signals:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)
    code = main()
    for number in (signal.SIGINT, *signals):
        signal.signal(number, signal.SIG_IGN)  # nothing is left to be interrupted but the exit code
    if (trouble := flush_output()) and code == DONE:
        log.error("%s", trouble)
        code = FAILED
    sys.stderr.flush()
    if any(thread.name.startswith(("lora", "metadata")) for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    cli()
