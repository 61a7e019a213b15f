"""Loading a trained model from its run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo import registry
from zoo.errors import UserError
from zoo.runs.folder import Run

if TYPE_CHECKING:
    import keras


def load_model(run: Run | str | os.PathLike[str], checkpoint: str | int = "last") -> keras.Model:
    """Builds the model of a run and restores its weights, in float32. Needs no data set.

    Nothing is imported because a record says so: the model must be registered.

    Args:
        run: The run, or its folder.
        checkpoint: `last`, `best`, or a step.

    Returns:
        The model, not compiled.

    Raises:
        UserError: The folder is not a run, it has no such checkpoint, or its model is not registered.
    """
    if not isinstance(run, Run):
        run = Run(run)
    name = run.record.model
    try:
        entry = registry.get_entry(name)
    except UserError as error:
        raise UserError(
            f"{run.folder} holds a model that is not registered here; pass --model path/to/file.py:{name} "
            f"(or, in Python, register it before loading): {error}"
        ) from None
    with _float32_policy():
        model = entry.create(**run.record.config_values())
    run.restore(model, checkpoint)
    return model


@contextlib.contextmanager
def _float32_policy() -> Iterator[None]:
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
