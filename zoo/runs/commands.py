"""The commands that messages, cards and records name, as the program was started."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

INSTALLED = "zoo train"  # of the installed command, and the one to type after `zoo.train` in a user's own program
MODULE = "python -m zoo train"

_program = INSTALLED


def set_program(program: str) -> None:
    """Sets the command for training that messages name; the entry points call this, and nothing else.

    Args:
        program: `INSTALLED`, `MODULE`, what `script_command` returns, or the command that starts several workers.
    """
    global _program
    _program = program


def script_command() -> str:
    """The command of the running script as it was typed: `python train.py`, `python ../zoo/train.py`."""
    script = sys.argv[0] if sys.argv else ""
    is_of_checkout = Path(script).name == "train.py" and Path(script).resolve() == Path(__file__).resolve().parents[2] / "train.py"
    return f"python {shlex.quote(script)}" if is_of_checkout else INSTALLED


def program_name() -> str:
    """The command for training: `python train.py` or `python -m zoo train` if the program was started that way, else `zoo train`."""
    return _program


def command_prefix() -> str:
    """The prefix of the other commands: `zoo`, or `python -m zoo` if the program was not started as the installed command."""
    return "zoo" if program_name().startswith("zoo ") else "python -m zoo"
