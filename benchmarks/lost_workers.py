"""Kills a worker at a random moment, again and again, and compares the resumed runs with one that was never interrupted.

    python benchmarks/lost_workers.py
    python benchmarks/lost_workers.py --runs 100 --seed 1

Every run trains a small GAN on two workers, one of which, drawn at random, is killed by SIGKILL at a random moment of its training;
`zoo launch --restarts 1` starts both again. The run counts if it ends with status 0 and the same weights, bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zoo.cli import launch, parsing
from zoo.errors import UserError
from zoo.training.local_workers import LocalWorkers

WORKERS = 2
SIGNALED = (129, 130, 143)  # statuses of the launcher after SIGHUP, Ctrl-C and SIGTERM
MODEL = ["--model", "gan", "--generator-units", "64", "--discriminator-units", "32"]  # a step of some milliseconds


@dataclasses.dataclass(frozen=True)
class Options:
    runs: int = 20
    """number of kills"""
    steps: int = 400
    """length of each run"""
    eval_every: int = 50
    """steps between checkpoints"""
    seed: int = 0
    """determines when workers are killed, and which"""


class KilledWorkers(LocalWorkers):
    """Workers of which one is killed; see `kill_later`."""

    plan: list[tuple[int, float]] = []  # worker, and seconds after the folder was created; used up by the first start
    folder = Path()
    killed: list[str] = []

    def start(self, command: Sequence[str]) -> None:
        super().start(command)
        if self.plan:
            threading.Thread(target=self._kill_later, args=self.plan.pop(), daemon=True).start()

    def _kill_later(self, index: int, seconds: float) -> None:
        while not (self.folder / "config.json").exists():
            time.sleep(0.05)
        time.sleep(seconds)
        if self.processes[index].poll() is None:
            self.processes[index].kill()
            self.killed.append(self.folder.name)


def train(options: Options, folder: Path) -> tuple[int, float]:
    """Exit status of a training with one restart, and the seconds from the creation of its folder to its last evaluation."""
    arguments = ["--steps", str(options.steps), "--eval-every", str(options.eval_every), "--eval-samples", "0", *MODEL]
    KilledWorkers.folder = folder
    status = launch.Launch(("train", *arguments, "--run-dir", str(folder)), WORKERS, restarts=1)()
    if status:
        return status, 0.0
    begin, end = ((folder / name).stat().st_mtime for name in ("config.json", "metrics.jsonl"))
    return status, end - begin


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights, optimizers and counters of the last checkpoint."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    types = reader.get_variable_to_dtype_map()
    # Not the means of what was logged, nor how many checkpoints the last process has written.
    names = [name for name in types if types[name] != tf.string and not any(part in name for part in ("step_metrics", "save_counter"))]
    return {name: reader.get_tensor(name) for name in names}


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "lost_workers.py", __doc__)
    if options.runs < 1:
        raise UserError(f"--runs {options.runs}: must be at least 1")
    launch.LocalWorkers = KilledWorkers  # type: ignore[misc]
    draw, top = random.Random(options.seed), Path(tempfile.mkdtemp())
    status, seconds = train(options, top / "whole")
    if status:
        raise UserError(f"the run without a kill ended with status {status}")
    expected, equal = read_weights(top / "whole"), 0
    for i in tqdm(range(options.runs), "kills", disable=None):
        KilledWorkers.plan.append((draw.randrange(WORKERS), draw.uniform(0, seconds)))
        folder = top / f"run-{i}"
        status, _ = train(options, folder)
        if status in SIGNALED:
            return status
        weights = {} if status else read_weights(folder)
        is_equal = not status and all(np.array_equal(weights[name], value) for name, value in expected.items())
        equal += is_equal
        if not is_equal:
            print(f"{folder}: status {status}, differs", flush=True)
    print(json.dumps({"runs": options.runs, "killed": len(KilledWorkers.killed), "equal": equal}))
    if equal == options.runs:
        shutil.rmtree(top)
    return int(equal < options.runs)


if __name__ == "__main__":
    parsing.run(main, "lost_workers.py")
