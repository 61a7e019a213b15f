"""What several commands read about the samples to generate: classes by name or number, and steps along directions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError, suggest

if TYPE_CHECKING:
    import numpy as np

    from zoo.core import Game

LISTED_CLASSES = 12


def find_classes(labels: Sequence[str] | None, model: Game) -> list[int] | None:
    """The numbers of classes, all of them if `labels` is None; None for a model that is not class-conditional.

    Raises:
        UserError: There is no such class, or the model is not class-conditional.
    """
    if "label" in model.conditions:
        return [find_class(label, model) for label in labels] if labels else list(range(model.config.num_classes))
    if labels:
        raise UserError("--label: this model is not class-conditional; omit it")
    return None


def find_class(label: str, model: Game) -> int:
    """The number of a class, given by name, in any case if that is unique, or by number; a name precedes a number, as in classes 1 to 12.

    Raises:
        UserError: There is no such class.
    """
    names, count = model.class_names or (), model.config.num_classes
    if label in names:
        return names.index(label)
    similar_case = [i for i, name in enumerate(names) if name.casefold() == label.casefold()]
    if len(similar_case) == 1:
        return similar_case[0]
    if label.isascii() and label.isdecimal() and int(label) < count:
        return int(label)
    listed = ", ".join(f"{i} = {name}" for i, name in list(enumerate(names))[:LISTED_CLASSES])
    more = f", ... ({count} classes)" if count > LISTED_CLASSES else ""
    available = f"{listed}{more}" if names else f"0 to {count - 1}"
    similar = "." if label.isdecimal() else suggest(label, names)
    raise UserError(f"--label {label}: no such class{similar} Available: {available}")


def load_offsets(model: Game, directions: Path | None, edits: Sequence[str] | None) -> np.ndarray | None:
    """The vectors that edits add to latent vectors, float32 [n, latent_dim], or None without edits.

    Raises:
        UserError: One of the two options is missing, the file is not of this model, or it lacks a direction.
    """
    if directions is None and edits is None:
        return None
    if directions is None or edits is None:
        missing = "--directions FILE, which `zoo directions RUN` writes" if directions is None else "--edit NAME=STEP ..."
        raise UserError(f"{'--edit' if directions is None else '--directions'} needs {missing}")
    from zoo.latent import Directions

    loaded = Directions.load(directions)
    loaded.check(model)
    return loaded.offsets(edits)
