"""`train.py`, `zoo train` and `zoo.train`: training from the command line and from Python."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli import parsing
from zoo.cli.request import build_request, parse_request, print_models_and_exit
from zoo.errors import UserError
from zoo.runs.commands import script_command, set_program
from zoo.training import runtime

if TYPE_CHECKING:
    from zoo.runs import Run

PROG = "train.py"


def train(model: str | None = None, *, resume: str | os.PathLike[str] | None = None, **options: Any) -> Run:
    """Trains a model and returns its run, which holds checkpoints, scores, samples, a SavedModel and a model card.

    Works in notebooks and threads: signal handlers are installed in the main thread only, and Keras' dtype policy is restored at the end.
    Sets the seeds of Python, NumPy and TensorFlow, as the command line does.

    Args:
        model: Name of a model, or `path/to/file.py:NAME`. Optional if a run is resumed.
        resume: Folder of a run to continue from its last checkpoint.
        **options: Any option of `python train.py --model NAME --help`, with underscores: `data="digits"`, `steps=200`,
            `generator_learning_rate=1e-4`.

    Returns:
        The run.

    Raises:
        UserError: For unknown options, invalid values, and data that the model does not support.
        zoo.training.monitor.Diverged: If training diverged again after all retries; a `UserError` too.
        KeyboardInterrupt: After Ctrl-C, once the run was saved.

    Example:
        >>> run = zoo.train("acgan", data="digits", steps=200, run_dir="runs/first")
        >>> model = zoo.load(run)
    """
    runtime.configure()
    request = build_request(model, resume, options)
    if request.options.strategy == "multi_worker":  # all but the first worker have no run to return
        raise UserError("strategy='multi_worker' is for the command line: zoo train --strategy multi_worker")
    from zoo.cli.session import open_session

    with runtime.dtype_policy(), open_session(request) as session:
        number = session.train()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if number:
        raise SystemExit(128 + number)
    assert session.run is not None
    return session.run


def main(argv: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Trains with the options of a command line.

    Args:
        argv: The words after the program; None: those of the process.
        prog: The program, as the help text shows it.

    Returns:
        The exit status: 0, or 128 plus the number of the signal that interrupted training.
    """
    argv = sys.argv[1:] if argv is None else argv
    is_help = bool({"-h", "--help"} & set(argv))
    if not is_help or any(word.startswith(("--model", "--resume")) for word in argv):
        runtime.configure()
    if "--list" in argv and not is_help:
        print_models_and_exit()
    request = parse_request(argv, prog)
    from zoo.cli.session import open_session

    with open_session(request) as session:
        if request.options.dry_run:
            session.print_dry_run()
            return 0
        number = session.train()
    return 128 + number if number else 0


def script() -> None:
    """What `python train.py` runs."""
    set_program(script_command())
    parsing.run(main, PROG)
