"""The tests that every registered model passes, for models outside the package as well.

    import zoo
    zoo.testing.check_model("mygan")

A model is built at a tiny size, trained for four steps on random data, and goes through every function of `CHECKS`.
"""

from __future__ import annotations

from typing import Any

from zoo import registry
from zoo.testing.checks import TRAINING_CHECKS
from zoo.testing.keras_checks import KERAS_CHECKS
from zoo.testing.serving_checks import SERVING_CHECKS
from zoo.testing.tiny import BASE_SETTINGS, TrainedModel, build_model, random_source, train_steps, weights

__all__ = ["BASE_SETTINGS", "CHECKS", "TrainedModel", "build_model", "check_model", "random_source", "train_steps", "weights"]

CHECKS = (*TRAINING_CHECKS, *SERVING_CHECKS, *KERAS_CHECKS)


def check_model(name: str, **settings: Any) -> None:
    """Runs all checks on a model.

    Args:
        name: A registered name, or `path/to/file.py:NAME`.
        **settings: Fields of the model's configuration that make it small; the shared ones have small defaults.

    Raises:
        AssertionError: If the model fails a check; the traceback shows which one.
        UserError: For an unknown name or setting.
    """
    trained = TrainedModel.train(registry.resolve(name).name, **settings)
    for check in CHECKS:
        check(trained)
