"""A zoo of generative adversarial networks for TensorFlow and Keras: `names`, `create`, `load`, `register`."""

# ruff: noqa: I001
from zoo import scale as _scale  # (first: it imports TensorFlow without its start-up noise)
from zoo import models as _models  # noqa: F401  (importing registers them)
from zoo import registry as _registry
from zoo import runs as _runs
from zoo.errors import UserError
from zoo.registry import create, names, register

__all__ = ["UserError", "create", "load", "names", "register"]


def load(run, checkpoint="last"):
    """The model of a run's folder as it was at a checkpoint (`last`, `best` or a round), in float32. Needs no data set.

    Raises UserError where the folder is no run or has no such checkpoint.
    """
    run = run if isinstance(run, _runs.Run) else _runs.Run(run)
    with _scale.policy("float32"):
        game = create(run.record["model"], **_registry.settings(run.record["config"]))
    run.restore(game, checkpoint)
    return game
