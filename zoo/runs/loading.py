"""Loading a trained model from its run."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING

from zoo import registry
from zoo.errors import UserError, shorten
from zoo.files import check_path
from zoo.precision import dtype_policy
from zoo.runs.folder import Run

if TYPE_CHECKING:
    import keras


def load_model(run: Run | str | os.PathLike[str], checkpoint: str | int = "last") -> keras.Model:
    """Builds the model of a run and restores its weights, in float32. Does not need the dataset.

    No code is imported from the run's folder: the model must be registered.

    Args:
        run: The run, or its folder.
        checkpoint: `last`, `best`, or a step.

    Returns:
        The model, not compiled.

    Raises:
        UserError: The folder is not a run, the checkpoint does not exist, or the model is not registered.
    """
    if isinstance(checkpoint, bool) or not isinstance(checkpoint, (str, numbers.Integral)):
        raise UserError(f"checkpoint={shorten(checkpoint)}: expected 'last', 'best' or a step")
    if not isinstance(run, Run):
        run = Run(check_path("run", run))
    name = run.record.model
    try:
        entry = registry.get_entry(name)
    except UserError as error:
        raise UserError(
            f"the model of {run.display_path} is not registered; pass --model {run.model_spec or f'path/to/file.py:{name}'} "
            f"(or, in Python, register it before loading): {error}"
        ) from None
    with dtype_policy("float32"):
        model = entry.create(**run.record.config_values())
    run.restore(model, checkpoint)
    return model
