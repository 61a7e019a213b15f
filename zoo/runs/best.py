"""The best checkpoint of a run: checkpoints/best, with its score."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.files import write_text
from zoo.records import build_from, read_object
from zoo.runs.checkpoints import build_manager, remove_checkpoints
from zoo.runs.renames import upgrade_best

if TYPE_CHECKING:
    import keras

SCORE_FILE = "score.json"


class BestCheckpoint(NamedTuple):
    """The checkpoint with the best value of a score.

    Attributes:
        name: The score.
        value: Its value.
        step: The step of the checkpoint.
        extractor: The feature extractor of the score, if it is recorded.
    """

    name: str
    value: float
    step: int
    extractor: str | None = None


def read_best(folder: Path) -> BestCheckpoint | None:
    """The best checkpoint in a folder; None if its files are missing.

    Raises:
        OSError, ValueError: Its score cannot be read.
    """
    try:
        values = upgrade_best(read_object(folder / SCORE_FILE))
    except FileNotFoundError:
        return None
    except (KeyError, AttributeError) as error:
        raise ValueError(f"it is not a score of version 0.1 ({error})") from None
    best = build_from(BestCheckpoint, values)
    if not math.isfinite(best.value):
        raise ValueError(f"value={best.value} is not finite")
    return best if (folder / f"ckpt-{best.step}.index").is_file() else None


def save_best(folder: Path, model: keras.Model, best: BestCheckpoint) -> None:
    """Saves a model as the best checkpoint; the previous one is deleted when this one is complete."""
    build_manager(model, folder, max_to_keep=2).save(checkpoint_number=best.step)
    write_text(folder / SCORE_FILE, json.dumps(best._asdict()) + "\n")
    remove_checkpoints(folder, keep=best.step)


def remove_best(folder: Path) -> None:
    """Deletes the best checkpoint."""
    (folder / SCORE_FILE).unlink(missing_ok=True)  # first: without it, the rest does not count
    remove_checkpoints(folder)
