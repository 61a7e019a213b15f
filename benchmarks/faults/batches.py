"""Many short cases in each forked process: the commands run one after another, and what each of them does is recorded."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from faults.processes import run, run_all

CASE_SECONDS = 60  # after which a case counts as hanging


class Reply(NamedTuple):
    """What a command or a function did.

    Attributes:
        status: Exit status; None: an exception that is not the user's mistake.
        output: What was printed, or the exception.
    """

    status: int | None
    output: str

    def find_fault(self) -> str | None:
        """What is wrong with it, or None: it works (0), or is refused with one line (2)."""
        if self.status is None:
            return f"traceback: {self.output.strip().splitlines()[-1]:.200}"
        if self.status not in (0, 2):
            return f"exit status {self.status}: {self.output.strip()[-200:]}"
        errors = [line for line in self.output.splitlines() if ": error: " in line]
        return f"{len(errors)} lines of error" if self.status == 2 and len(errors) != 1 else None


def call(function: Callable[[], int]) -> Reply:
    """Calls a function that returns an exit status, and keeps what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            status: int | None = function()
        except (Exception, SystemExit):
            status = None
            traceback.print_exc()
    return Reply(status, output.getvalue())


class Hanging(Exception):
    """A case takes too long."""


def play_batch(play: Callable[[Any, Path], list[str]], cases: Sequence[Any], answers: str) -> int:
    """Plays cases in this process; each has a folder of its own. Writes a line of JSON with the problems of each case."""

    def stop(*_: object) -> None:
        raise Hanging(f"after {CASE_SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    with open(answers, "w", encoding="utf-8") as file:
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                signal.alarm(CASE_SECONDS)
                try:
                    problems = play(case, Path(folder))
                except Hanging:
                    problems = ["does not end"]
                signal.alarm(0)
                file.write(json.dumps(problems) + "\n")
                file.flush()
    return 0


def play_all(context: Any, play: Callable[[Any, Path], list[str]], cases: Sequence[Any], size: int, title: str) -> Iterator[list[str]]:
    """Yields the problems of each case; a process plays `size` of them."""

    def play_in_process(batch: tuple[Any, ...]) -> list[list[str]]:
        with tempfile.TemporaryDirectory() as name:
            answers = Path(name) / "answers"
            result = run(context, play_batch, play, batch, str(answers), folder=Path(name))
            lines = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()] if answers.exists() else []
            crash = [f"the process ended with status {result.status}: {result.output.strip()[-200:]}"]
            return lines + [crash, *([] for _ in batch)][: len(batch) - len(lines)]

    batches = [tuple(cases[i : i + size]) for i in range(0, len(cases), size)]
    return itertools.chain.from_iterable(run_all(play_in_process, batches, title))
