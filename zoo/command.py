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


def chosen(commands, argv, prog, description):
    """An instance of one of the dataclasses, each of which is a subcommand under its class's name in lower case."""
    named = {kind.__name__.lower(): kind for kind in commands}
    if argv and argv[0] in named:  # alone: what is offered for a mistyped option is of this one
        return parse(named[argv[0]], argv[1:], f"{prog} {argv[0]}", None)
    return parse(Union[tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in named.items())], argv, prog, description)


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
    text = re.sub(r"\x1b\[[0-9;]*m|\[/?bold\]", "", " ".join(lines))
    text = re.sub(r" *Argument helptext: *", "; ", text)
    wrong = r"Error parsing (\S+): no type matching (.*) could be instantiated from \[(.*?)\]\. Got errors: .*?(?=; \S+ \{|$)"
    text = re.sub(wrong, lambda found: f"{found[1]} {found[3].replace(',', ' ')}: takes {found[2]}", text)
    text = re.sub(r"\{None\}\|", "", text).replace(" (default: None)", "")
    return re.sub(r"[. ]*For full helptext, (?:run|see):? (.*)$", r"; all options: \1", text)
