"""The command line: options in, words and an exit code out. The only module that prints."""

from __future__ import annotations

import argparse
import dataclasses
import json
import locale
import logging
import os
import pathlib
import re
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, TextIO

from . import __version__, core, util

DONE, FAILED, USAGE, QUEUED, INTERRUPTED = 0, 1, 2, 3, 130
TOKEN_VARIABLES = ("CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN")
PLAIN_EVERY = 10.0
TOLD_BY_HEADING = frozenset(
    "needs-token token-refused disabled archived gone region forbidden quota still hash".split()
)


# --- Options -------------------------------------------------------------------------------------
# Nothing has a default here: what was not given is absent, and core.Settings knows the defaults.


def help_formatter(prog: str) -> argparse.HelpFormatter:
    """As wide as the terminal; argparse would load a module of its own to learn that."""
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        width = 100
    return argparse.HelpFormatter(prog, width=max(40, width - 2))


def line_parser() -> argparse.ArgumentParser:
    """The options that may stand on a list line as well; a wrong one does not end the program there."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS, exit_on_error=False
    )
    add = parser.add_argument_group("where").add_argument
    add("-o", "--output", metavar="DIR", type=folder, help="output folder (downloads)")
    add("--layout", metavar="NAME|TEMPLATE", help="creator (default), sharded, comfyui, a1111, or a path with {fields}")
    add = parser.add_argument_group("what").add_argument
    add("--latest", action="store_true", help="newest version only (default: every version)")
    add("--primary", action="store_true", help="primary file only (default: every file)")
    add("--types", metavar="A,B", type=comma_list, help="model types to take, as LORA,Checkpoint")
    add("--base-models", metavar="A,B", type=comma_list, help='base models to take, as "SDXL 1.0,Pony"')
    add("--only", choices=("models", "images", "metadata"), help="leave the rest out")
    add("--no-gallery", dest="gallery", action="store_false", help="showcase pictures only")
    add("--max-images", metavar="N|all", type=count_or_all, help="pictures for each gallery (200)")
    add("--no-loras", dest="loras", action="store_false", help="not the LoRAs of posts and pictures")
    add("--checkpoints", action="store_true", help="the checkpoints that pictures were made with too")
    add("--full-metadata", action="store_true", help="ask for tools and techniques of every picture")
    add("--sfw", action="store_true", help="PG and PG-13 pictures only, unrated left out")
    return parser


def command_parser() -> argparse.ArgumentParser:
    """Every option of the command."""
    parser = argparse.ArgumentParser(
        prog="civitai-downloader",
        parents=[line_parser()],
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=help_formatter,
        description="Brings home every file, picture and prompt behind a list of Civitai links.",
        epilog="Exit codes: 0 everything is there, 1 something failed, 2 usage, 3 queued in IDM, 130 interrupted.",
    )
    add = parser.add_argument
    add("inputs", nargs="*", metavar="INPUT", help="a list file, a link or a model id (default: models.txt, users.txt)")
    add("--models", action="append", metavar="FILE", help="a list file (may be repeated)")
    add("--users", action="append", metavar="FILE", help="a list of user names or links (may be repeated)")
    add = parser.add_argument_group("access").add_argument
    add("--token", metavar="KEY", help=f"API key (else {', '.join(TOKEN_VARIABLES)}, token.txt)")
    add("--cookies", metavar="FILE", help="a browser's Cookie header, or a Netscape cookie file")
    add("--site", metavar="URL", help="another host for everything (mirror, test)")
    add = parser.add_argument_group("pace").add_argument
    add("--workers", metavar="N", type=few, help="transfers at a time (4)")
    add("--max-rate-model", metavar="R", type=positive, help="model requests a second (0.5)")
    add("--max-rate-image", metavar="R", type=positive, help="picture list requests a second (2)")
    add("--limit-rate", metavar="RATE", type=byte_rate, help="bytes a second in all, as 500K or 10M")
    add("--connections", metavar="N", type=few, help="for big files, in all (as it pays, up to 8)")
    add("--retries", metavar="N", type=number, help="further tries after a fault (5)")
    add("--timeout", metavar="S", type=positive, help="seconds without an answer (30)")
    add = parser.add_argument_group("how").add_argument
    add("--no-resume", dest="resume", action="store_false", help="begin partial files anew")
    add("--no-verify", dest="check_hashes", action="store_false", help="do not compute SHA256")
    add("--force", action="store_true", help="fetch again what is there")
    add("--refresh", action="store_true", help="ask the site again for what it told in the last 24 hours")
    add("--wait", action="store_true", help="wait for another run in the same folder to end")
    add("--filters", metavar="DIR", type=folder, help="folder of the word lists Filter_*.txt")
    add("--refilter", action="store_true", help="apply the word lists to what is on disk, and end")
    add("--dry-run", action="store_true", help="print what would be fetched; write nothing")
    add("--verify", action="store_true", help="check what is on disk against the log; fetch nothing")
    add("--retry-failed", action="store_true", help="run the lines of failed.txt in the output folder")
    add("--idm", metavar="PATH", nargs="?", const="", help="queue in Internet Download Manager (--idm=PATH)")
    add("--idm-wait", action="store_true", help="wait until IDM has brought everything, or nothing for a day")
    add("--idm-token-url", action="store_true", help="give IDM links that hold the token and do not expire")
    add = parser.add_argument_group("output").add_argument
    add("-q", "--quiet", action="store_true", help="failures and the summary only")
    add("-v", "--verbose", action="store_true", help="one line for each request")
    add("--json-logs", action="store_true", help="one JSON object a line on stderr")
    add("--lang", choices=("en", "ja", "ko"), help="language of progress and summary (system)")
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def folder(text: str) -> pathlib.Path:
    """A folder's path."""
    return pathlib.Path(text)


def comma_list(text: str) -> tuple[str, ...]:
    """`A,B` as a tuple."""
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


def option_words(parser: argparse.ArgumentParser, given: Mapping[str, Any], skip: Iterable[str] = ()) -> list[str]:
    """The options in `given`, spelled as on the command line again."""
    words: list[str] = []
    for action in parser._actions:
        if not action.option_strings or action.dest not in given or action.dest in skip:
            continue
        words.append(action.option_strings[-1])
        if action.nargs != 0:
            value = given[action.dest]
            words.append("all" if value is None else ",".join(value) if isinstance(value, tuple) else str(value))
    return words


# --- From options to entries ---------------------------------------------------------------------


def settings_from(given: Mapping[str, Any]) -> core.Settings:
    """The settings of the run; raises UsageError."""
    file = pathlib.Path("token.txt")
    named = (given.get("token"), *map(os.environ.get, TOKEN_VARIABLES))
    token = next(filter(None, named), None) or util.decode_text(file.read_bytes() if file.is_file() else b"")
    chosen = {field.name: given[field.name] for field in dataclasses.fields(core.Settings) if field.name in given}
    if "cookies" in given:
        chosen["cookies"] = core.read_cookies(pathlib.Path(given["cookies"]))
    if "idm" in given:
        chosen["idm"] = util.find_idm(given["idm"])
    if given.get("idm_token_url"):
        core.log.warning("IDM keeps links as they are: the token will stand in its list in clear.")
    return core.Settings(**{**chosen, "token": token.strip()})


def filters_for(given: Mapping[str, Any]) -> core.Filters:
    """The word lists: of --filters, else beside the first list file or in the current folder, else our own."""
    lists = [pathlib.Path(name) for kind in ("inputs", "models", "users") for name in given.get(kind, [])]
    near = [path.parent / "filters" for path in lists if path.is_file()]
    own = pathlib.Path(__file__).parent
    folders = [*near, pathlib.Path("filters"), own / "filters", own.parent / "filters"]  # the last one in a checkout
    found = next(folder for folder in folders if folder.is_dir() or folder == folders[-1])
    filters = core.Filters.read(given.get("filters", found))
    for problem in filters.problems:
        core.log.warning("%s", problem)
    return filters


class Inputs:
    """Collects entries from words and list files; what can't be used becomes a sentence in `problems`."""

    def __init__(self, settings: core.Settings, given: Mapping[str, Any]) -> None:
        """`given` holds the options of the command, which hold for every line."""
        self.entries: list[core.Entry] = []
        self.problems: list[str] = []
        self._settings, self._parser = settings, line_parser()
        self._given = {action.dest: given[action.dest] for action in self._parser._actions if action.dest in given}
        self._seen: set[tuple[core.Target, core.Settings]] = set()

    def add_word(self, word: str) -> None:
        """An INPUT of the command: a link or id, else a list file."""
        if core.parse_target(word, self._settings.site):
            self._add(core.Line(0, word, ()), "")
        elif "://" in word:
            self.problems.append(f"{shown(word)} is no link to a model, user, post or picture; check it.")
        else:
            self.add_list(pathlib.Path(word))

    def add_list(self, path: pathlib.Path, *, users: bool = False) -> None:
        """Every line of a list file; in one of users a bare word is a name."""
        try:
            lines = core.parse_list(util.read_named(path))
        except util.UsageError as error:
            self.problems.append(str(error))
            return
        if not lines:
            self.problems.append(f"{path} holds no link; write one a line.")
        for line in lines:
            self._add(line, f"{path}, line {line.number}: ", users=users)

    def _add(self, line: core.Line, where: str, *, users: bool = False) -> None:
        target = core.parse_target(line.link, self._settings.site, users=users)
        if target is None:
            self.problems.append(f"{where}{shown(line.link)} is no link that can be fetched and was left out.")
            return
        try:
            known, rest = self._parser.parse_known_args(line.words)
            if rest:
                raise util.UsageError(f"unrecognized arguments: {' '.join(rest)}")
            own = vars(known)
            settings = dataclasses.replace(self._settings, **own)
        except (argparse.ArgumentError, util.UsageError) as error:
            self.problems.append(f"{where}the options are wrong and the line was left out: {error}")
            return
        if (target, settings) in self._seen:
            return
        self._seen.add((target, settings))
        again = option_words(self._parser, {**self._given, **own}, skip=("output",))
        link = core.user_link(target.name) if users and target.kind == "user" else line.link
        self.entries.append(core.Entry(target, settings, core.Line(0, link, tuple(again)).text))

    def drop_unwritable(self) -> None:
        """Leave out entries whose output folder can't be written."""
        for output in {entry.settings.output for entry in self.entries}:
            try:
                core.check_writable(output)
            except util.UsageError as error:
                self.problems.append(str(error))
                self.entries = [entry for entry in self.entries if entry.settings.output != output]


def shown(text: str) -> str:
    """A user's word as a message may show it: no secrets, no control characters, not endless."""
    return repr(util.printable(util.scrub(text))[:200])


def collect(given: Mapping[str, Any], settings: core.Settings) -> Inputs:
    """The entries of all inputs; without any, those of models.txt and users.txt in the current folder."""
    inputs = Inputs(settings, given)
    for word in given.get("inputs", []):
        inputs.add_word(word)
    lists = {kind: given.get(kind, []) for kind in ("models", "users")}
    if given.get("retry_failed"):
        lists["models"] = [*lists["models"], settings.output / "failed.txt"]
    if not any((*lists.values(), given.get("inputs"))):
        lists = {kind: [f"{kind}.txt"] for kind in lists if pathlib.Path(f"{kind}.txt").exists()}
        if not lists:
            inputs.problems.append("There is nothing to do: name a list file or a link, or write models.txt here.")
    for kind, names in lists.items():
        for name in names:
            inputs.add_list(pathlib.Path(name), users=kind == "users")
    return inputs


# --- What the user sees --------------------------------------------------------------------------


class Words:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        """`language` is `en`, `ja` or `ko`."""
        catalogue = json.loads(core.read_data("messages.json"))
        self._words = {**catalogue["en"], **catalogue[language]}

    def __call__(self, key: str, **values: object) -> str:
        """The sentence filled in."""
        text: str = self._words.get(key) or key
        return text.format(**values)


def system_language() -> str:
    """The language to speak in the locale that the environment or the system names."""
    named = filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG")))
    language = (next(named, None) or locale.getlocale()[0] or "")[:2].lower()  # Windows says "Japanese_Japan"
    return language if language in ("ja", "ko") else "en"


def as_json(record: logging.LogRecord) -> bool:
    """Make one JSON object of a message with its facts."""
    facts = getattr(record, "facts", {})
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
    told = {"at": at, "level": record.levelname.lower(), "message": record.getMessage(), **facts}
    record.msg, record.args, record.exc_info = json.dumps(told, ensure_ascii=False), (), None
    return True


class Screen:
    """Messages and progress on one stream: bars on a terminal, a plain line now and then elsewhere."""

    def __init__(self, stream: TextIO, words: Words, *, bars: bool) -> None:
        """`bars` asks for live bars; without, a line at most every ten seconds."""
        self._stream, self._words = stream, words
        self._bars: dict[int, Any] = {}
        self._live = bars
        self._next_line, self._last = 0.0, ""
        self._speed, self._sampled, self._sample = 0.0, 0.0, 0

    def write(self, text: str) -> None:
        """Write a message above the bars."""
        if self._bars:
            next(iter(self._bars.values())).write(text, file=self._stream, end="")
        else:
            self._stream.write(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._stream.flush()

    def watch(self, run: core.Run) -> None:
        """Show how far the run is; called ten times a second from the main thread."""
        now = run.seconds()
        if now - self._sampled >= 1:
            fresh = (run.progress.received - self._sample) / (now - self._sampled)
            self._speed = fresh if not self._speed else 0.7 * self._speed + 0.3 * fresh
            self._sampled, self._sample = now, run.progress.received
        line = self.line(run)
        if self._live:
            self._draw(run, line)
        elif (now >= self._next_line or run.is_over) and line != self._last:
            self._next_line, self._last = now + PLAIN_EVERY, line
            facts = {"event": "progress", "models": run.settled, "total": len(run.batches)}
            facts |= {"failed": run.counts["failed"], "bytes": run.progress.received}
            core.log.info("%s", line, extra={"facts": facts})

    def line(self, run: core.Run) -> str:
        """`42/180 models, 3 failed (retrying…)` with bytes, speed and time left."""
        parts = [self._words("progress", done=run.settled, total=len(run.batches))]
        failed = run.counts["failed"]
        if failed or run.retrying:
            parts.append(self._words("failed", count=failed) + (self._words("retrying") if run.retrying else ""))
        parts.append(util.human_size(run.progress.received))
        if self._speed >= 1:
            parts.append(f"{util.human_size(self._speed)}/s")
            left = run.bytes_left()
            if left > 0:
                parts.append(self._words("eta", time=clock_time(left / self._speed)))
        return self._words("comma").join(parts)

    def _draw(self, run: core.Run, line: str) -> None:
        from tqdm import tqdm

        if -1 not in self._bars:
            self._bars[-1] = tqdm(bar_format="{desc}", position=0, leave=False, file=self._stream)
        self._bars[-1].set_description_str(line)
        active = {id(meter): meter for meter in run.progress.active()}
        for gone in [key for key in self._bars if key != -1 and key not in active]:
            self._bars.pop(gone).close()
        for key, meter in active.items():
            if key not in self._bars:
                taken = {abs(bar.pos) for bar in self._bars.values()}
                place = next(place for place in range(1, 200) if place not in taken)
                self._bars[key] = tqdm(
                    desc=meter.name[-40:], total=meter.total, unit="B", unit_scale=True, unit_divisor=1024,
                    position=place, leave=False, file=self._stream,
                )  # fmt: skip
            bar = self._bars[key]
            bar.total, bar.n = meter.total, meter.done
            bar.refresh()

    def finish(self) -> None:
        """Take the bars away."""
        for bar in reversed(list(self._bars.values())):
            bar.close()
        self._bars = {}


def clock_time(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, second = divmod(int(min(seconds, 3600 * 999)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def start_screen(given: Mapping[str, Any], words: Words) -> Screen:
    """Set up the stream of messages; the level follows -q and -v."""
    live = sys.stderr.isatty() and not (given.get("quiet") or given.get("json_logs"))
    screen = Screen(sys.stderr, words, bars=live)
    handler = logging.StreamHandler(screen)
    if given.get("json_logs"):
        handler.addFilter(as_json)
    core.log.handlers = [handler]
    core.log.propagate = False
    core.log.setLevel("DEBUG" if given.get("verbose") else "WARNING" if given.get("quiet") else "INFO")
    return screen


def say_failures(words: Words, failures: Iterable[core.Result]) -> None:
    """Name every failure, grouped by what the user can do about it."""
    groups: dict[str, list[core.Result]] = {}
    for failure in failures:
        groups.setdefault(failure.reason, []).append(failure)
    for reason, members in groups.items():
        heading = words(f"reason.{reason}") if words(f"reason.{reason}") != f"reason.{reason}" else reason
        core.log.warning("%s (%d)", heading, len(members), extra={"facts": {"event": "reason", "reason": reason}})
        for each in members:
            facts = {"event": "failure", "reason": reason, "name": each.name, "path": each.path}
            line = f"  {each.name}" if reason in TOLD_BY_HEADING else f"  {each.name}: {each.message}"
            core.log.warning("%s", line, extra={"facts": facts})


def say_list(words: Words, heading: str, rows: Sequence[str]) -> None:
    """A heading with the number of its rows, and these, if there are any."""
    for line in (words(heading, count=len(rows)), *(f"  {row}" for row in rows)) if rows else ():
        core.log.info("%s", line)


def say_summary(words: Words, run: core.Run) -> None:
    """What the run brought, and what is missing."""
    for batch in run.batches:
        if batch.note:
            core.log.info("%s: %s", batch.name, batch.note)
    say_failures(words, (failure for batch in run.batches for failure in batch.failures))
    results = [result for batch in run.batches for result in batch.told]
    withheld = [each for each in results if each.outcome == "skipped" and each.reason]
    done = [result for result in results if result.outcome == "done"]
    say_list(words, "withheld", [f"{each.name}: {each.message}" for each in withheld])
    say_list(words, "pickles", [f"{each.path}: {each.scan}" for each in done if each.scan])
    say_list(words, "unverified", [each.path for each in done if not each.verified])
    summary = words(
        "summary", done=run.counts["done"], size=util.human_size(run.progress.received), skipped=run.counts["skipped"],
        failed=run.counts["failed"], time=clock_time(run.seconds()),
    )  # fmt: skip
    level = logging.WARNING if run.counts["failed"] or run.counts["queued"] or run.interrupted else logging.INFO
    facts = {"event": "summary", **run.counts, "bytes": run.progress.received, "requests": run.site.api_requests}
    core.log.log(level, "%s", summary, extra={"facts": facts})
    each = 1000 * run.site.api_requests / run.pictures if run.pictures else 0
    if run.counts["queued"]:
        core.log.warning("%s", words("queued", count=run.counts["queued"]))
    core.log.debug("%s", words("requests", count=run.site.api_requests, each=round(each)))


# --- The run -------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None, clock: util.Clock | None = None) -> int:
    """Run the command with the given words (those of the process by default) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        given = vars(command_parser().parse_args(argv))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    words = Words(given.get("lang") or system_language())
    screen = start_screen(given, words)
    try:
        return command(given, words, screen, clock or util.Clock())
    except util.Failure as failure:
        core.log.error("%s", failure)
        return USAGE if isinstance(failure, util.UsageError) else FAILED
    except KeyboardInterrupt:
        core.log.warning("%s", words("interrupted"))
        return INTERRUPTED
    finally:
        screen.finish()


def command(given: Mapping[str, Any], words: Words, screen: Screen, clock: util.Clock) -> int:
    """Do what the options ask for; raises UsageError."""
    settings = settings_from(given)
    if given.get("verify"):
        return verify(settings, words, clock)
    filters = filters_for(given)
    if given.get("refilter"):
        return refilter(settings, filters, words)
    inputs = collect(given, settings)
    if not settings.dry_run:
        inputs.drop_unwritable()
    for problem in inputs.problems:
        core.log.error("%s", problem)
    if not inputs.entries:
        return USAGE
    run = core.Run(settings, inputs.entries, clock, filters)
    try:
        return run_and_tell(run, given, words, screen, inputs.problems)
    finally:
        for library in run.libraries.values():
            library.close()
        run.site.kept.close()


def run_and_tell(run: core.Run, given: Mapping[str, Any], words: Words, screen: Screen, problems: Sequence[str]) -> int:
    """Do the run, or plan it, and say how it ended."""
    for library in run.libraries.values():
        for problem in library.problems:
            core.log.warning("%s", problem)
    if run.settings.dry_run:
        return FAILED if dry_run(run, words) or problems else DONE
    run.execute(screen.watch)
    screen.finish()
    say_summary(words, run)
    for library in run.libraries.values():
        core.write_outcome(run, library, retry_scripts(given, library.folder))
    if run.interrupted:
        core.log.warning("%s", words("interrupted"))
        return INTERRUPTED
    return exit_code(run.counts, problems)


def exit_code(counts: Mapping[str, int], problems: Sequence[str]) -> int:
    """What a script reads: failures first, then what is only queued."""
    if counts.get("failed") or problems:
        return FAILED
    return QUEUED if counts.get("queued") else DONE


def retry_scripts(given: Mapping[str, Any], output: pathlib.Path) -> dict[str, str]:
    """`retry.sh` and `retry.bat`: the same command on the lines that failed, from any folder."""
    skip = {action.dest for action in line_parser()._actions}
    skip |= set("token models users output retry_failed force dry_run refilter verify".split())
    paths = {name: pathlib.Path(given[name]).absolute() for name in ("cookies", "filters") if name in given}
    options = option_words(command_parser(), {**given, **paths}, skip=skip)
    words = [sys.executable, "-m", "civitai_downloader", "--retry-failed", "-o", str(output.absolute()), *options]
    here = str(pathlib.Path.cwd())
    in_batch = [each.replace("%", "%%") for each in (here, " ".join(map(batch_word, words)))]
    return {
        "retry.sh": core.read_data("retry.sh").format(folder=shlex.quote(here), command=shlex.join(words)),
        "retry.bat": core.read_data("retry.bat").format(folder=in_batch[0], command=in_batch[1]),
    }


def batch_word(word: str) -> str:
    """A word for a batch file, quoted whatever it holds: `&` and `(` stand for themselves only there."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), word) + '"'


def dry_run(run: core.Run, words: Words) -> bool:
    """Print the plan to stdout and write nothing; True if something can't be planned."""
    total, failed = 0, False
    for batch in run.batches:
        try:
            for row in core.plan(run, batch):
                total += row.size if row.fetch else 0
                size = util.human_size(row.size) if row.size else "?"
                print(f"{size:>10}  {row.path}" + (f"  ({row.note})" if row.note else ""))
        except util.Failure as failure:
            failed = True
            core.log.error("%s: %s", batch.entry.source, failure)
    free = util.free_space(run.settings.output)
    print(words("plan", size=util.human_size(total), free=util.human_size(free)))
    if total > free:
        print(words("plan.full"))
    return failed


def refilter(settings: core.Settings, filters: core.Filters, words: Words) -> int:
    """Apply the word lists to the prompts in the output folder without a request; raises UsageError."""
    if not settings.output.is_dir():
        raise util.UsageError(words("verify.nothing", folder=settings.output))
    library = core.Library(settings.output)
    core.log.info("%s", words("refiltered", count=library.refilter(filters)))
    library.close()
    return DONE


def verify(settings: core.Settings, words: Words, clock: util.Clock) -> int:
    """Check the files of the output folder; nothing is fetched. Raises UsageError."""
    library = core.Library(settings.output)
    for problem in library.problems:
        core.log.warning("%s", problem)
    counts: Counter[str] = Counter()
    failures = []
    for result in core.verify_library(library, clock):
        counts[result.outcome] += 1
        if result.outcome == "failed":
            failures.append(result)
    library.close()
    say_failures(words, failures)
    if not counts:
        raise util.UsageError(words("verify.nothing", folder=settings.output))
    core.log.info("%s", words("verify.summary", good=counts["done"], bad=counts["failed"]))
    if counts["queued"]:
        core.log.warning("%s", words("queued", count=counts["queued"]))
    return exit_code(counts, ())


def cli() -> NoReturn:
    """The console command: `main`, with SIGTERM as Ctrl-C, and no waiting for workers that hang in a read."""

    def leave(_number: int, _frame: object) -> None:
        """As Ctrl-C does."""
        raise KeyboardInterrupt

    # SIGBREAK is Ctrl-Break, and on Windows also the closing of the window and the end of the session.
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    for number in signals:
        signal.signal(number, leave)
    code = main()
    for number in (signal.SIGINT, *signals):
        signal.signal(number, signal.SIG_IGN)  # nothing is left to be interrupted but the exit code
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name.startswith(("lora", "metadata")) for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    cli()
