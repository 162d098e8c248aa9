"""The command line: options in, words and an exit code out. The only module that prints."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .util import values
from .util.complaints import complaint, convert, unknown_option
from .util.errors import Failure, UsageError
from .util.process import former_encoding, run_as_process
from .util.speech import Sentences, language_of, system_language
from .util.values import option_words

if TYPE_CHECKING:  # at run time core is imported where it is first needed, so that `--help` is answered at once
    from . import core
    from .util.clock import Clock
    from .util.screen import Screen

log = logging.getLogger(__package__)

DONE, FAILED, USAGE, QUEUED, INTERRUPTED = 0, 1, 2, 3, 130
PAGE = "https://github.com/civitai-downloader/civitai-downloader"
TOKEN_VARIABLES = ("CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN")


# --- Options -------------------------------------------------------------------------------------
# Nothing has a default here: what was not given is absent, and the Settings of core know the defaults.

GROUPS = ("input", "where", "what", "access", "pace", "which", "library", "page", "copies", "how", "output")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are raised and not printed."""

    def error(self, message: str) -> NoReturn:
        """Raise OptionError for a complaint of argparse."""
        raise complaint(message)


class ShortHelp(argparse._HelpAction):
    """Prints one screen: what the program does, and the most common options."""

    def __call__(self, parser: argparse.ArgumentParser, *_words: object) -> NoReturn:
        """Print the screen and end."""
        print(short_parser(parser).format_help().rstrip())
        parser.exit()


@cache
def option_table() -> dict[str, dict[str, Any]]:
    """Return `options.json`."""
    found: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("options.json").read_text("utf-8"))
    return found


def new_parser(**more: Any) -> Parser:
    """Return a parser without options."""
    return Parser(
        prog="civitai-downloader",
        usage="civitai-downloader [INPUT ...] [options]",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        description="Fetch every file, picture and prompt behind a list of Civitai links, verified and well named.",
        **more,
    )


@cache
def line_parser() -> Parser:
    """Return the parser of options on a list line."""
    return add_options(new_parser(), ("line",))


@cache
def command_parser(*, in_file: bool = False) -> Parser:
    """Return the parser of every option; those that print something and end are none of a configuration file."""
    parser = new_parser(
        epilog="@FILE is replaced by the options and INPUTs in that file; civitai-downloader.conf holds your defaults. "
        "Exit codes: 0 everything is there, 1 something failed, 2 wrong usage, 3 queued in IDM, 130 interrupted."
    )
    parser.register("action", "short help", ShortHelp)
    return add_options(parser, ("line", "command"), skip=("help", "short help", "version") if in_file else ())


def add_options(parser: Parser, sections: Sequence[str], skip: Sequence[str] = ()) -> Parser:
    """Add the options of sections of `options.json` in their groups, but not those with actions to `skip`."""
    tables = [option_table()[section] for section in sections]
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for table in tables:
            for names, facts in table.get(title, {}).items():
                if facts.get("action") not in skip or not skip:
                    group.add_argument(*names.split(), **understood(names.split()[-1], facts))
    return parser


def understood(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of an option as argparse takes them."""
    known = {key: value for key, value in facts.items() if key != "one of"}
    if "one of" in facts:
        known["type"] = partial(convert, name, partial(values.one_of, facts["one of"]))
    if "type" in facts:
        known["type"] = partial(convert, name, values.KINDS[facts["type"]])
    if facts.get("action") == "version":
        known["version"] = f"%(prog)s {__version__}"
    return known


def short_parser(whole: argparse.ArgumentParser) -> Parser:
    """Return a parser that knows no more than what `-h` shows."""
    table = option_table()["short"]
    examples = [line for command, meaning in table["examples"].items() for line in (f"  {command}", f"      {meaning}")]
    parser = new_parser(
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=26, width=100),
        epilog="\n".join(["examples:", *examples, "", "All options: civitai-downloader --help", f"More: {PAGE}"]),
    )
    group = parser.add_argument_group("common options")
    for action in whole._actions:
        if action.dest == "inputs" or set(action.option_strings) & {*table["options"]}:
            group._group_actions.append(action)
    return parser


def parse(parser: Parser, words: Sequence[str], place: str = "command") -> dict[str, Any]:
    """Return the values of the options among words, and the other words as `inputs`. Raises OptionError."""
    at = words.index("--") if "--" in words else len(words)
    known = parser._option_string_actions
    found, rest = parser.parse_known_args([values.plain_dash(word, known) for word in words[:at]])
    for word in rest:
        if re.match(r"--?[^\W\d]", word):
            raise unknown_option(word.partition("=")[0], [*known], place, command_parser()._option_string_actions)
    given = vars(found)
    inputs = [*given.pop("inputs", ()), *rest, *words[at + 1 :]]
    return {**given, "inputs": inputs} if inputs else given


def read_command(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what configuration files and the command give, and which files were read. Raises UsageError."""
    has_files = any(word.startswith("@") for word in words)
    given = {} if has_files else parse(command_parser(), words)  # --help is answered before core is imported
    from . import core

    arguments = core.Arguments()
    if has_files:
        given = parse(command_parser(), arguments.expand(words))
    paths = [each.dest for each in command_parser()._actions if re.search("DIR|FILE|PATH|ZIP", str(each.metavar))]
    layers, files = core.read_configurations(lambda found: parse(command_parser(in_file=True), found, "file"), paths)
    return core.merged([*layers, given]), [*arguments.files, *files]


def read_line(given: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the options of a line, words that say the same with those of the command, and the rest of the line."""
    own = parse(line_parser(), words, "line")
    rest = own.pop("inputs", [])
    return own, option_words(line_parser(), {**given, **own}, skip=("output",)), rest


# --- The command ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command with the given words (those of the process by default) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    line = list(sys.argv[1:] if argv is None else argv)
    catalogue = json.loads(Path(__file__).with_name("core").joinpath("data", "messages.json").read_text("utf-8"))
    speak = Sentences(catalogue, language_of(line, catalogue))
    try:
        given, files = read_command(line)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except UsageError as error:
        as_json = json.dumps({"level": "error", "message": speak.tell(error)}, ensure_ascii=False)
        print(as_json if "--json-logs" in line else f"civitai-downloader: {speak.tell(error)}", file=sys.stderr)
        return USAGE
    from . import core
    from .util.clock import Clock
    from .util.screen import Screen

    words = core.Words(given.get("lang") or system_language(catalogue))
    screen = Screen(sys.stderr)
    level = "DEBUG" if given.get("verbose") else "WARNING" if given.get("quiet") else "INFO"
    screen.show_log(log, level, words.translate, as_json=bool(given.get("json_logs")))
    if encoding := former_encoding():
        log.debug("%s can't write every name; the program was started over in UTF-8 mode.", encoding)
    try:
        for name in files:
            log.debug("Options were read from %s.", name)
        return code_of(lambda: command(given, words, screen, clock or Clock()))
    except KeyboardInterrupt:
        log.warning("%s", words("interrupted"))
        return INTERRUPTED
    finally:
        screen.finish()


def code_of(do: Callable[[], int]) -> int:
    """Return the exit code of a command; what ends it early is told in one sentence."""
    from .util.disks import failure_of

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
        log.error("The system has no memory left; close other programs and run again.")
        return FAILED


def command(given: Mapping[str, Any], words: core.Words, screen: Screen, clock: Clock) -> int:
    """Do what the options ask for. Raises UsageError."""
    from . import core

    if "log" in given:
        screen.write_log(log, core.LogFile(given["log"]), [token_of(given)])
    settings = settings_from(given)
    places = core.in_libraries(settings, given.get("inputs", ()))
    for place in places:
        core.check_output(place.output)
    if given.get("verify"):
        return max(verify(each, given, words, screen, clock) for each in places)
    if given.get("undo"):
        return FAILED if core.undo(given, settings, clock, print) else DONE
    if core.run_errand(given, settings, [place.output for place in places], clock):
        return DONE
    filters = core.find_filters(given)
    say(logging.WARNING, filters.problems)
    if given.get("refilter"):
        for place in places:
            core.refilter_folder(place, filters, words, clock)
        return DONE
    inputs = core.collect(given, settings, partial(read_line, given))
    sealed = inputs.check_outputs(writes=not settings.dry_run)
    say(logging.ERROR, (problem.sentence for problem in inputs.problems if not problem.line))
    entries = inputs.mine()
    if not entries:
        core.say_unused(words, inputs.unused)
        return exit_code({}, inputs.problems) if inputs.entries else USAGE
    run = core.Run(inputs.at_home(sealed), entries, clock, filters, sealed)
    try:
        say(logging.WARNING, (problem for library in run.libraries for problem in library.problems))
        act = dry_run if settings.dry_run else execute
        counts = act(run, given, words, screen, inputs.unused)
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
    if "shard" in given:
        chosen["share"] = core.share_from(given, os.environ)
    if "cookies" in given:
        chosen["cookies"] = core.read_cookies(Path(given["cookies"]))
    if "idm" in given:
        chosen["idm"] = core.find_idm(given["idm"])
    if given.get("idm_token_url"):
        log.warning("IDM keeps links as they are, so the token can be read in its list.")
    return core.Settings(**{**chosen, "token": token_of(given)})


def token_of(given: Mapping[str, Any]) -> str:
    """Return the token of the options, the environment or `token.txt`."""
    from . import core

    return core.find_token((given.get("token"), *map(os.environ.get, TOKEN_VARIABLES)))


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
        written &= run.ledger.interrupted or core.finish_page(library, run.settings)
    if run.settings.updates:
        core.tell_news(run, form_of(given), words, print)
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
    skip |= set(
        "token models users output retry_failed force dry_run refilter verify organize on_collision shard".split()
    )
    paths: dict[str, Any] = {
        name: Path(given[name]).absolute() for name in ("cookies", "filters", "log") if name in given
    }
    if "exclude" in given:
        paths["exclude"] = [path.absolute() for path in given["exclude"]]
    if "site" in given:
        paths["site"] = core.split_login(given["site"])[0]
    options = option_words(command_parser(), {**given, **paths}, skip=skip)
    return [sys.executable, "-m", "civitai_downloader", "--retry-failed", "-o", str(output.absolute()), *options]


def dry_run(
    run: core.Run, given: Mapping[str, Any], words: core.Words, screen: Screen, unused: core.Unused
) -> Mapping[str, int]:
    """Print the plan to stdout and write nothing; return how many targets can't be planned."""
    from . import core

    core.say_unused(words, unused)
    plan, counts = core.Plan(run, words), Counter[str]()
    live = screen.is_live and not (given.get("quiet") or given.get("json_logs"))
    run.look(core.ProgressDisplay(words, screen, live=live).watch)
    screen.finish()
    core.say_looked(words, run.ledger.batches)
    if run.settings.compares:
        core.tell_news(run, form_of(given), words, print)
        return run.ledger.counts
    form = form_of(given)
    has_links = any(batch.entry.target.kind != "local" for batch in run.ledger.batches)
    if form == "table" and (has_links or run.settings.organize):
        print(core.heading(words, run.settings))
    for batch in run.ledger.batches:
        try:
            for row in plan.rows(batch):
                print(core.shown_row(row, form), flush=True)
        except core.Failure as failure:
            counts["failed"] += 1
            log.error("%s: %s", batch.entry.source, failure)
        except BrokenPipeError:  # whoever reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            break
    if has_links:
        core.say_plan(words, plan.total, core.free_space(run.settings.output))
    return counts + run.ledger.counts


def form_of(given: Mapping[str, Any]) -> Any:
    """Return how rows are printed: `json`, as a `table`, or as `tabs`."""
    return "json" if given.get("json_logs") else "table" if sys.stdout and sys.stdout.isatty() else "tabs"


def verify(settings: core.Settings, given: Mapping[str, Any], words: core.Words, screen: Screen, clock: Clock) -> int:
    """Check the files of the output folder; nothing is fetched. Raises UsageError."""
    from . import core

    live = screen.is_live and not (given.get("quiet") or given.get("json_logs"))
    display = core.CheckDisplay(words, screen if live else None, clock)
    return exit_code(core.check_folder(settings, words, clock, display, partial(retry_command, given)), ())


def cli() -> NoReturn:
    """Run `main` as the console command: SIGTERM is Ctrl-C, and workers that hang in a read are not waited for."""
    run_as_process(main, failed=FAILED, interrupted=INTERRUPTED, workers=("lora", "metadata"))


if __name__ == "__main__":
    cli()
