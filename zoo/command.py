"""What the two command lines share: typed options by tyro, mistakes in one line, exit statuses."""

import contextlib
import io
import os
import re
import signal
import sys
from typing import Annotated, Union

import tyro

from zoo.errors import UserError


def parse(kind, argv, prog, description, default=None):
    """An instance of the dataclass (or union of them) `kind` from the command line. Raises UserError for what does not fit."""
    said = io.StringIO()
    given = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=argv, prog=prog, description=description, **given)
    except SystemExit as stop:
        if stop.code:
            raise UserError(_one_line(said.getvalue())) from None
        raise


def union(commands):
    """The dataclasses as subcommands, each under its class's name in lower case."""
    return Union[tuple(Annotated[c, tyro.conf.subcommand(c.__name__.lower())] for c in commands)]


def run(main, prog):
    """Runs `main` and exits: 0, 2 with one line for a user's mistake, 130 and 143 where Ctrl-C or SIGTERM ended it."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(_say(f"{prog}: error: {' '.join(str(error).split())}", 2))
    except KeyboardInterrupt:
        sys.exit(_say(f"{prog}: interrupted", 128 + signal.SIGINT))
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _say(text, status):
    print(text, file=sys.stderr)
    return status


def _one_line(text):
    """tyro's box as a sentence."""
    lines = [line.strip("│╭╮╰╯ ") for line in text.splitlines()]
    lines = [line for line in lines if line.strip("─ ")]
    if lines and lines[0].endswith("─"):  # the box's title
        lines = lines[1:]
    text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(lines))
    text = re.sub(r" *Argument helptext: *", "; ", text)
    return re.sub(r" *For full helptext, (?:run|see) (.*)$", r"; all options: \1", text)
