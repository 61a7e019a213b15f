"""Command-line parsing for all commands: typed options with tyro, one-line errors, exit statuses, deprecated names."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union

import tyro

from zoo.cli.messages import REGISTRY, explain
from zoo.errors import UserError, explain_memory_error, is_memory_error, printable
from zoo.files import check_path

Arguments = TypeVar("Arguments")
OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)  # of writing to a terminal or a redirected output
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
    _check_words(argv)
    errors = io.StringIO()
    defaults: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, args=list(argv), prog=prog, description=description, registry=REGISTRY, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise UserError(explain(errors.getvalue())) from None
        raise


def _check_words(argv: Sequence[str]) -> None:
    """Raises UserError for words that no option takes, and for an option that is given twice: the first one would be ignored."""
    counts = collections.Counter(_canonical_name(word) for word in argv if word.startswith("--"))
    if repeated := [option for option, count in counts.items() if count > 1]:
        raise UserError(f"{repeated[0]} is given {counts[repeated[0]]} times; give it once")
    option = "an argument"
    for word in argv:
        name, equals, value = word.partition("=") if word.startswith("--") else (option, "=", word)
        if equals:
            check_path(name, value)
        option = name


def _canonical_name(word: str) -> str:
    """An option as all of its spellings: `--no-flip`, `--flip`, `--decay_end=5`."""
    return f"--{word.partition('=')[0].removeprefix('--').replace('_', '-').removeprefix('no-')}"


def parse_command(commands: Sequence[type], argv: Sequence[str], prog: str, description: str | None) -> Any:
    """An instance of one of several dataclasses, each of which is a subcommand named like its class in lower case."""
    by_name = {kind.__name__.lower(): kind for kind in commands}
    argv = rename_command(argv, by_name)
    if argv and argv[0] in by_name:  # parsed alone, so that suggestions for a mistyped option belong to this command
        kind = by_name[argv[0]]
        words = rename_options(argv[1:], {field.name for field in dataclasses.fields(kind)})
        arguments: Any = tyro.conf.FlagCreatePairsOff[kind]  # type: ignore[misc, valid-type]
        return parse(arguments, words, f"{prog} {argv[0]}", None)
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

    The status is the one that `main` returns, 2 for a mistake of the user (the error's own `exit_status` where it has one), 129, 130 and
    143 after SIGHUP, Ctrl-C and SIGTERM, 141 if the reader of a pipe is gone, and 1 if the output or the memory does not suffice. Errors
    are one line on stderr.
    """
    _prepare_streams()
    try:
        try:
            status: Any = main()
        except SystemExit as stop:  # after a help text
            status = stop.code
        sys.stdout.flush()
    except UserError as error:
        status = getattr(error, "exit_status", 2)
        _print_error(f"{prog}: error: {printable(' '.join(str(error).split()))}")
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
        _print_error(f"{prog}: interrupted")
    except BrokenPipeError:  # `... | head`
        status = 128 + signal.SIGPIPE
        _discard_output()
    except OSError as error:
        if error.filename is None and error.errno not in OUTPUT_ERRORS:
            raise
        status = 1 if error.filename is None else 2
        _discard_output()
        _print_error(f"{prog}: error: {error.filename or 'standard output'}: {error.strerror}")
    except Exception as error:
        if not is_memory_error(error):
            raise
        status = 1
        _print_error(f"{prog}: error: {explain_memory_error(error)}")
    sys.exit(status)


def _prepare_streams() -> None:
    """Makes both standard streams take any text.

    The null device stands in for a stream that is closed (`>&-`). What the encoding of stdout lacks is escaped, as stderr does it already.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (for the rest of the process)


def _discard_output() -> None:
    """Sends what is still buffered for stdout to the null device: Python would fail on it again when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(text: str) -> None:
    """Prints a line on stderr, after what stdout has buffered; either may be closed or full."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


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
