"""`zoo launch`: several workers on this machine that train together."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from zoo.cli.parsing import find_value
from zoo.errors import UserError
from zoo.runs.naming import make_next_folder, slug
from zoo.training.local_workers import FORWARDED, LocalWorkers

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
            return self._start(arguments, 1)[0][0]
        folder = find_value(arguments, "--resume") or find_value(arguments, "--run-dir")
        if folder:
            return self._train(arguments, Path(folder).expanduser())
        folder = str(make_next_folder(Path("runs"), _stem(arguments)))
        try:
            return self._train([*arguments, "--run-dir", folder], Path(folder))
        finally:
            with contextlib.suppress(OSError):  # it is not empty
                Path(folder).rmdir()

    def _check(self) -> list[str]:
        """The options of the training, which is told to be one of several workers."""
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

    def _train(self, arguments: list[str], folder: Path) -> int:
        """Trains until it ends by itself, or no restart is left; returns the exit status."""
        for restart in range(self.restarts + 1):
            statuses, number = self._start(arguments, self.workers)
            status = next((one for one in statuses if one in (USER_ERROR, DIVERGED)), statuses[0])
            if statuses[0] == 0 or number or status in (USER_ERROR, DIVERGED) or _are_interrupted(statuses):
                break
            lost = ", ".join(f"worker {index} ({_describe(one)})" for index, one in enumerate(statuses) if one < 0 or one == 1)
            last = restart == self.restarts
            action = "no restart is left" if last else f"restart {restart + 1} of {self.restarts}"
            print(f"zoo launch: lost {lost or 'a worker'}; {action}", file=sys.stderr, flush=True)
            if not last and (folder / "config.json").exists():
                arguments = _resume(arguments, folder)
        return status if status >= 0 else 128 - status

    def _start(self, arguments: list[str], count: int) -> tuple[list[int], int | None]:
        """Runs the workers; returns their statuses, and the signal that this process has received, or None."""
        workers = LocalWorkers(count)
        return workers.run([sys.executable, "-m", "zoo", "train", *arguments], fatal=USER_ERROR), workers.signal


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


def _are_interrupted(statuses: Sequence[int]) -> bool:
    """Whether a signal has ended training at all workers, each of which has ended by itself."""
    return all(status - 128 in FORWARDED for status in statuses)


def _describe(status: int) -> str:
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
