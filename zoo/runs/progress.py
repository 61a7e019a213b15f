"""The progress of training at a checkpoint: what an evaluation needs that the checkpoint does not hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from zoo.files import write_text
from zoo.records import build_from, read_object

FILE = Path("checkpoints", "progress.json")


class Progress(NamedTuple):
    """With it, a process that resumes a run can repeat the evaluation of the last checkpoint.

    Attributes:
        step: The step of the checkpoint.
        seconds: Seconds of training up to it.
        images_per_second: Speed since the evaluation before.
        logs: Means of the logged values since then.
        is_scored: Whether the evaluation computes scores.
        is_interruption: Whether training was interrupted here, between two evaluations.
        retries: How often training had diverged before: part of every seed.
    """

    step: int
    seconds: float = 0.0
    images_per_second: float = 0.0
    logs: dict[str, float] = {}
    is_scored: bool = True
    is_interruption: bool = False
    retries: int = 0


def write_progress(folder: Path, progress: Progress) -> None:
    """Writes the progress of a run, before its checkpoint is written."""
    (folder / FILE).parent.mkdir(exist_ok=True)
    write_text(folder / FILE, json.dumps(progress._asdict()) + "\n")


def read_progress(folder: Path, step: int) -> Progress:
    """The progress of a run at a checkpoint; without the logged values if they are not recorded, as by version 0.1."""
    try:
        progress = build_from(Progress, read_object(folder / FILE))
    except (OSError, ValueError):
        return Progress(step)
    amounts = (progress.seconds, progress.images_per_second)
    return progress if progress.step == step and all(0 <= amount < math.inf for amount in amounts) else Progress(step)
