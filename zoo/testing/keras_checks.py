"""Checks of a model as a Keras model: calling, saving, summary, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import optimizers
from zoo.testing.tiny import TrainedModel, random_source, weights


def _default_inputs(trained: TrainedModel) -> dict[str, Any]:
    """Two rows of inputs for `serving_default`."""
    model, draw = trained.model, np.random.RandomState(0)
    inputs: dict[str, Any] = {}
    for spec in model.signatures()["serving_default"].inputs:
        if spec.name == "latent":
            inputs["latent"] = model.latents([5, 6]).numpy()
        elif spec.dtype == tf.int64:
            inputs[spec.name] = np.array([0, 1], np.int64)
        else:
            inputs[spec.name] = draw.rand(2, *(side or 16 for side in spec.shape[1:])).astype(np.float32)
    return inputs


def check_calling_is_serving_default(trained: TrainedModel) -> None:
    """`model(inputs)` computes what `serving_default` does, for a dict and for a tuple of inputs."""
    model, inputs = trained.model, _default_inputs(trained)
    served = model.serve("serving_default", **inputs)
    assert len(served) == 1
    expected = next(iter(served.values()))
    np.testing.assert_allclose(model(inputs), expected, atol=1e-6)
    np.testing.assert_allclose(model(tuple(inputs.values())), expected, atol=1e-6)


def check_saving_round_trips(trained: TrainedModel) -> None:
    """`model.save("m.keras")` and `keras.saving.load_model` give a model with the same configuration, weights and outputs."""
    path = Path(trained.folder.name) / "model.keras"
    trained.model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(trained.model) and loaded.config == trained.model.config
    for before, after in zip(weights(trained.model), weights(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
    for player, optimizer in optimizers.by_player(trained.model).items():
        assert int(optimizers.by_player(loaded)[player].iterations) == int(optimizer.iterations)
    inputs = _default_inputs(trained)
    np.testing.assert_allclose(loaded(inputs), trained.model(inputs), atol=1e-6)


def check_summary_counts_parameters_once(trained: TrainedModel) -> None:
    """`summary()` counts each trainable parameter of the players once."""
    model, lines = trained.model, list[str]()
    model.summary(print_fn=lambda text, **_: lines.append(text))
    text = "\n".join(lines)
    expected = sum(int(np.prod(weight.shape)) for network in model.players.values() for weight in network.trainable_weights)
    assert f"Trainable params: {expected:,}" in text, text


def check_evaluation_changes_nothing(trained: TrainedModel) -> None:
    """A test step reports the loss terms and leaves every weight as it is."""
    model = trained.model
    before = weights(model)
    model.reset_metrics()
    logs = model.test_step(next(iter(random_source(model).batches(4))))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value, err_msg=weight.path)
    assert logs and np.isfinite([float(value) for value in logs.values()]).all()


KERAS_CHECKS = (
    check_calling_is_serving_default,
    check_saving_round_trips,
    check_summary_counts_parameters_once,
    check_evaluation_changes_nothing,
)
