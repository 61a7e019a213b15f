"""Arguments that several commands share, and checks of the capabilities of a run's model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game
    from zoo.pretrained import PublishedModel
    from zoo.runs import Run

MAX_SEED = 2**63 - 1
MODEL_HELP = "folder of a run, name of a pretrained model (`zoo list --pretrained`), or hf://USER/NAME, https://.../x.zip#sha256=HASH"
ModelArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help=MODEL_HELP)]


def register_model(spec: str | None) -> None:
    """Executes the file of `path/to/file.py:NAME`, so that a run of that model can be loaded."""
    if spec:
        from zoo.registry import resolve

        resolve(spec)


def require_noise_model(model: Game, command: str) -> None:
    """Raises UserError if a model does not generate from random noise."""
    if model.generates_from_noise:
        return
    from zoo.reports.usage import tool_command
    from zoo.runs import command_prefix

    prefix, own = command_prefix(), ", ".join(metric.name for metric in model.own_metrics)
    measure = f"; its model-specific metrics ({own}): {prefix} evaluate RUN" if own else ""
    raise UserError(
        f"zoo {command}: this model is an image-to-image model and cannot generate from random noise; "
        f"apply it: {prefix} {tool_command(model.signatures())} RUN IMAGE OUT.png{measure}"
    )


def check_truncation(model: Game, truncation: float | None) -> None:
    """Raises UserError if a truncation is invalid, or if the model does not support it."""
    if truncation is None:
        return
    from zoo.core.config import MAX_FLOAT, MIN_FLOAT

    if not MIN_FLOAT <= truncation <= MAX_FLOAT:
        raise UserError(f"--truncation {truncation}: must be more than 0; 0.5 is strong, 2 weak, omit it to disable truncation")
    if not model.supports_truncation:
        from zoo.registry import get_entry, list_models

        supporting = [name for name in list_models() if get_entry(name).model.supports_truncation]
        raise UserError(f"--truncation: this model does not support it; omit it (supported by {', '.join(supporting)})")


def check_seeds(seed: int, count: int = 1) -> None:
    """Raises UserError if the seeds from `seed` on, one per image, do not fit in 64-bit integers."""
    if not -MAX_SEED <= seed <= MAX_SEED - count:
        raise UserError(
            f"--seed {seed}: must be from {-MAX_SEED} to {MAX_SEED - count}, so that the seeds of all images are 64-bit integers"
        )


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a uint8 picture [h, w, c] as PNG atomically, and the folders above it; raises UserError if that is impossible."""
    from zoo.core.images import write_png
    from zoo.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: write_png(temporary, picture))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from None


def output_folder(trained: Run | PublishedModel, out: Path | None, name: str) -> Path:
    """The folder to write to: `out`, or NAME in the run's folder; raises UserError if a published model has no `out`."""
    from zoo.runs import Run

    if out is not None:
        return out
    if not isinstance(trained, Run):
        raise UserError(f"{trained.display_path} is not a run, in whose folder results are written; give one: --out FOLDER")
    return trained.display_path / name


@contextlib.contextmanager
def explain_output_errors(folder: Path) -> Iterator[None]:
    """Converts errors of a folder that cannot be written to a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written to: {error.strerror or error}") from None
