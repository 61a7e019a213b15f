"""`zoo launch`: several workers on this machine that train together."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from zoo.cli.import_path import PACKAGE_ROOT
from zoo.cli.parsing import find_value, parse_command
from zoo.errors import UserError
from zoo.runs.commands import command_prefix
from zoo.runs.naming import make_next_folder, slug
from zoo.training.local_workers import ENDING_SIGNALS, LocalWorkers

MAX_WORKERS = 64
EXAMPLE = "zoo launch --workers 2 -- train --model acgan"
USER_ERROR, DIVERGED = 2, 3  # exit statuses of training that a restart would repeat


@dataclasses.dataclass(frozen=True)
class Launch:
    """start several workers on this machine that train together; `-- train ...` is the command that each of them runs"""

    command: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="-- train ...", help_behavior_hint="")] = ()
    """train, and its options"""
    workers: int = 2
    """number of processes; each computes an equal part of every batch"""
    restarts: int = 0
    """how often all workers are started again, from the last checkpoint, if one is lost"""

    def __call__(self) -> int:
        arguments = self._check()
        if {"-h", "--help", "--list"} & set(arguments):
            return subprocess.call(_command(arguments, self._program()))
        folder = find_value(arguments, "--resume") or find_value(arguments, "--run-dir")
        if folder or "--dry-run" in arguments:
            return self._train(arguments, Path(folder or "runs").expanduser())
        folder = str(make_next_folder(Path("runs"), _stem(arguments)))
        try:
            return self._train([*arguments, "--run-dir", folder], Path(folder))
        finally:
            with contextlib.suppress(OSError):  # they are not empty
                Path(folder).rmdir()
                Path("runs").rmdir()

    def _check(self) -> list[str]:
        """Validates the options; returns those of the training, with `--strategy multi_worker`."""
        if not self.command or self.command[0] != "train":
            raise UserError(f"zoo launch starts a training on several workers; type: {EXAMPLE}")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UserError(f"--workers {self.workers}: must be from 1 to {MAX_WORKERS}")
        if self.restarts < 0:
            raise UserError(f"--restarts {self.restarts}: must be at least 0")
        arguments = [_with_dashes(word) for word in self.command[1:]]
        strategy = find_value(arguments, "--strategy")
        if strategy not in (None, "multi_worker"):
            raise UserError(f"--strategy {strategy}: zoo launch starts several workers (multi_worker); omit it")
        return arguments if strategy else [*arguments, "--strategy", "multi_worker"]

    def _program(self) -> str:
        return f"{command_prefix()} launch --workers {self.workers} -- train"

    def _train(self, arguments: list[str], folder: Path) -> int:
        """Trains until it ends by itself, or no restart is left; returns the exit status."""
        for restart in range(self.restarts + 1):
            workers = LocalWorkers(self.workers)
            statuses = workers.run(_command(arguments, self._program()), fatal=USER_ERROR)
            status = _select_status(statuses)
            if status in (0, USER_ERROR, DIVERGED) or workers.signal or _are_interrupted(statuses):
                break
            if _is_complete(folder, find_value(arguments, "--steps")):  # the chief was lost while it ended
                return 0
            lost = ", ".join(f"worker {index} ({_describe(one)})" for index, one in enumerate(statuses) if one and (one < 0 or one == 1))
            last = restart == self.restarts
            action = "no restart is left" if last else f"restart {restart + 1} of {self.restarts}"
            print(f"zoo launch: lost {lost or 'a worker'}; {action}", file=sys.stderr, flush=True)
            if not last and (folder / "config.json").exists():
                arguments = _resume(arguments, folder)
        return status if status >= 0 else 128 - status


def main(argv: Sequence[str], prog: str) -> int:
    """Parses the words before `--` alone, so that suggestions for a mistyped option belong to this command, and runs it.

    Args:
        argv: The words after `launch`. `--` may be left out.
        prog: The program, as the help text shows it.

    Returns:
        The exit status.
    """
    place = next((i for i, word in enumerate(argv) if word in ("--", "train")), len(argv))
    command = argv[place + 1 :] if argv[place : place + 1] == ["--"] else argv[place:]
    launch: Launch = parse_command((Launch,), ["launch", *argv[:place]], prog, None)
    return dataclasses.replace(launch, command=tuple(command))()


def _command(arguments: Sequence[str], program: str) -> list[str]:
    """The command of a worker, which prints `program` as the command for training. It imports this package, whatever lies in the folder."""
    script = f"import sys; sys.path.insert(0, {PACKAGE_ROOT!r}); from zoo.__main__ import script; script({program!r})"
    return [sys.executable, "-P", "-c", script, "train", *arguments]


def _select_status(statuses: Sequence[int | None]) -> int:
    """The exit status of a training: that of the chief, unless a worker has an error that ends all."""
    errors = [status for status in statuses if status in (USER_ERROR, DIVERGED)]
    first = errors[0] if errors else statuses[0]
    return -signal.SIGKILL if first is None else first


def _is_complete(folder: Path, steps: str | None) -> bool:
    """Whether a run has done all its steps, and has its SavedModel and its card.

    Args:
        folder: The run's folder.
        steps: The value of `--steps`, of which the run has no record if it was lost before training began; None: not given.
    """
    from zoo.reports.model_card import is_card_current
    from zoo.runs import Run, find_export

    try:
        run = Run(folder)
    except UserError:
        return False
    step = run.completed_steps()
    if steps not in (None, str(run.record.config["steps"])):
        return False
    is_trained = step >= run.record.config["steps"] and not run.unfinished_evaluation(step)
    return is_trained and find_export(run.export_folder, step) is not None and is_card_current(run, step)


def _with_dashes(word: str) -> str:
    """An option as the help text spells it: `--run_dir=a_b` -> `--run-dir=a_b`."""
    option, equals, value = word.partition("=")
    return f"{option.replace('_', '-')}{equals}{value}" if word.startswith("--") else word


def _stem(arguments: Sequence[str]) -> str:
    """The name of a run's folder without its number."""
    model, data = find_value(arguments, "--model") or "run", find_value(arguments, "--data")
    model = slug(model.rpartition(":")[2])
    return f"{model}-{slug(data)}" if data else model


def _resume(arguments: Sequence[str], folder: Path) -> list[str]:
    """The options of a training with which it continues."""
    if find_value(arguments, "--resume"):
        return list(arguments)
    words = [word for word in arguments if not word.startswith("--run-dir=")]
    if "--run-dir" in words:
        place = words.index("--run-dir")
        words[place : place + 2] = []
    return [*words, "--resume", str(folder)]


def _are_interrupted(statuses: Sequence[int | None]) -> bool:
    """Whether a signal that ends training has reached all workers: they have saved, or had not begun to train."""
    return all(status is not None and (status - 128 if status > 0 else -status) in ENDING_SIGNALS for status in statuses)


def _describe(status: int) -> str:
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
