"""`--init-from`: the initial weights of a training run from a trained model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError, printable
from zoo.pretrained import PublishedModel, load_model, open_model
from zoo.training.initialization import initialize_from

if TYPE_CHECKING:
    from zoo.core import Game


def start_from(model: Game, name: str, with_optimizers: bool) -> None:
    """Copies the weights of a run or a published model to a model that is compiled, and prints what was copied.

    Args:
        model: The model.
        name: What `--init-from` names; see `zoo.load`.
        with_optimizers: Whether to copy the state of the optimizers too.

    Raises:
        UserError: It cannot be loaded, or does not fit.
    """
    trained = open_model(name)
    if with_optimizers and isinstance(trained, PublishedModel):
        raise UserError(f"--init-optimizers: {name} is a published model, which holds weights only; give a run, or omit it")
    other: Any = load_model(trained, compile=with_optimizers)
    for line in initialize_from(model, other, name, with_optimizers):
        print(printable(f"from {name}: {line}"))


def absolute_source(name: str | None) -> str | None:
    """What `--init-from` names, for the record: the absolute path of a folder or file, and any other name as it is."""
    path = os.path.expanduser(name) if name else None
    return os.path.abspath(path) if path and os.path.exists(path) else name
