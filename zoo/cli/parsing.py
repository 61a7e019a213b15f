"""Command-line parsing for all commands: typed options with tyro, one-line errors, exit statuses, deprecated names."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union

import tyro

from zoo.errors import UserError, printable

Arguments = TypeVar("Arguments")
SCORE_OPTIONS = ("--best", "--metrics", "--score")  # whose values are names of scores


def parse(kind: type[Arguments], argv: Sequence[str], prog: str, description: str | None, default: Arguments | None = None) -> Arguments:
    """An instance of a dataclass, or of a union of dataclasses, from the command line.

    Args:
        kind: The dataclass.
        argv: The words of the command line, without the program.
        prog: The program, as the help text shows it.
        description: Its description; None: the dataclass's docstring.
        default: Values of options that are not given.

    Raises:
        UserError: For invalid arguments.
        SystemExit: After the help text was printed.
    """
    errors = io.StringIO()
    defaults: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, args=list(argv), prog=prog, description=description, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise UserError(_join_box(errors.getvalue())) from None
        raise


def parse_command(commands: Sequence[type], argv: Sequence[str], prog: str, description: str | None) -> Any:
    """An instance of one of several dataclasses, each of which is a subcommand named like its class in lower case."""
    by_name = {kind.__name__.lower(): kind for kind in commands}
    argv = rename_command(argv, by_name)
    if argv and argv[0] in by_name:  # parsed alone, so that suggestions for a mistyped option belong to this command
        kind = by_name[argv[0]]
        words = rename_options(argv[1:], {field.name for field in dataclasses.fields(kind)})
        return parse(kind, words, f"{prog} {argv[0]}", None)
    subcommands = tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in by_name.items())
    return parse(Union[subcommands], argv, prog, description)  # type: ignore[arg-type]


def find_value(argv: Sequence[str], option: str) -> str | None:
    """The value of an option before the command line is parsed, or None.

    Raises:
        UserError: The option is given twice.
    """
    places = [i for i, word in enumerate(argv) if word == option or word.startswith(f"{option}=")]
    if len(places) > 1:
        raise UserError(f"{option} is given {len(places)} times; give it once")
    for i in places:
        if argv[i] != option:
            return argv[i].partition("=")[2]
        if i + 1 < len(argv):
            return argv[i + 1]
    return None


def run(main: Callable[[], int], prog: str) -> None:
    """Runs `main` and exits the process.

    The status is the one that `main` returns, 2 for a mistake of the user (the error's own `exit_status` where it has one), 130 and 143
    after Ctrl-C and SIGTERM. Errors are one line on stderr.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main())
    except UserError as error:
        print(f"{prog}: error: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 2))
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


# -- names of earlier versions ------------------------------------------------------------------------------------------


def rename_command(argv: Sequence[str], available: Collection[str]) -> list[str]:
    """The words with a deprecated command replaced by its current name, which is printed as a warning."""
    if not argv or argv[0].startswith("-") or argv[0] in available:
        return list(argv)
    from zoo.runs.renames import COMMANDS

    if argv[0] not in COMMANDS:
        return list(argv)
    _warn_deprecated(argv[0], COMMANDS[argv[0]])
    return [COMMANDS[argv[0]], *argv[1:]]


def rename_options(argv: Sequence[str], available: Collection[str]) -> list[str]:
    """The words with deprecated options and scores replaced by their current names, which are printed as warnings.

    Args:
        argv: The words of the command line.
        available: Names of the options that the command has, with underscores. None of these is replaced.
    """
    words, takes_scores = [], False
    for word in argv:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            option = _rename_option(option, available)
            takes_scores = option in SCORE_OPTIONS
            words.append(f"{option}{equals}{rename_score(value) if takes_scores else value}")
        else:
            words.append(rename_score(word) if takes_scores else word)
    return words


def find_new_name(name: str, available: Collection[str]) -> str | None:
    """The current name of an option that was renamed, or None. Names have underscores."""
    if name in available:
        return None
    from zoo.runs.renames import CONFIG_FIELDS, OPTIONS

    candidates: list[Mapping[str, str]] = [OPTIONS, CONFIG_FIELDS]
    return next((table[name] for table in candidates if table.get(name) in available), None)


def _rename_option(option: str, available: Collection[str]) -> str:
    name = option.removeprefix("--").replace("-", "_")
    negation = "no-" if name.startswith("no_") and name not in available else ""
    new_name = find_new_name(name.removeprefix("no_") if negation else name, available)
    if new_name is None:
        return option
    renamed = f"--{negation}{new_name.replace('_', '-')}"
    _warn_deprecated(option, renamed)
    return renamed


def rename_score(name: str) -> str:
    """The current name of a score; a deprecated one is printed as a warning."""
    if not name.isidentifier():
        return name
    from zoo.runs.renames import SCORES

    if name in SCORES:
        _warn_deprecated(name, SCORES[name])
    return SCORES.get(name, name)


def _warn_deprecated(old: str, new: str) -> None:
    print(f"warning: {old} is deprecated; use {new}", file=sys.stderr)


# -- tyro's messages ----------------------------------------------------------------------------------------------------


def _join_box(text: str) -> str:
    """The lines inside of tyro's box as one sentence."""
    lines = [line.strip("│╭╮╰╯ ") for line in text.splitlines()]
    lines = [line for line in lines if line.strip("─ ")]
    if lines and lines[0].endswith("─"):  # the box's title
        lines = lines[1:]
    text = re.sub(r"\x1b\[[0-9;]*m|\[/?bold\]", "", " ".join(lines))
    text = re.sub(r" *Argument helptext: *", "; ", text)
    mismatch = r"Error parsing (\S+): no type matching (.*) could be instantiated from \[(.*?)\]\. Got errors: .*?(?=; \S+ \{|$)"
    text = re.sub(mismatch, lambda match: f"{match[1]} {match[3].replace(',', ' ')}: takes {match[2]}", text)
    text = re.sub(r"\{None\}\|", "", text).replace(" (default: None)", "")
    return re.sub(r"[. ]*For full helptext, (?:run|see):? (.*)$", r"; all options: \1", text)
