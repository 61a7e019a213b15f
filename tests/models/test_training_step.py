"""Gradient accumulation, and a step of every family in half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, tiny_settings, weights

import zoo
from zoo import registry
from zoo.core import optimizers


@pytest.mark.parametrize("steps", [1, 2])
def test_accumulated_gradients_are_those_of_the_whole_batch(steps):
    all_changes = []
    settings = {"batch_size": 8, "discriminator_steps": steps, "optimizer": "sgd", "beta_1": 0.0, "penalty_weight": 0.0}
    for parts in (1, 4):
        model = tiny_model("wgan_gp_mnist", gradient_accumulation=parts, **settings)
        for optimizer in optimizers.by_player(model).values():
            optimizer.learning_rate = 1.0  # a weight's change is its gradient
        draw = lambda batch: model.generator({"latent": tf.reshape(batch["image"], [-1, 256])[:, :8]})  # noqa: E731, B023
        model.generate = draw  # the noise is a function of the row, however the rows are split
        before = {player: weights(network) for player, network in model.players.items()}
        logs = model.train_step(next(iter(random_source(model).batches(8 * steps))))
        assert all(np.isfinite(float(value)) for value in logs.values())
        assert {player: int(optimizer.iterations) for player, optimizer in optimizers.by_player(model).items()} == {"d": steps, "g": 1}
        all_changes.append(
            {player: [a - b for a, b in zip(weights(network), before[player], strict=True)] for player, network in model.players.items()}
        )
    for player, whole_changes in all_changes[0].items():
        largest = max(np.abs(change).max() for change in whole_changes)
        assert largest > 1e-5
        for whole, accumulated in zip(whole_changes, all_changes[1][player], strict=True):
            np.testing.assert_allclose(whole, accumulated, atol=2e-3 * largest)


FAMILIES = {type(registry.get_entry(name).config): name for name in reversed(zoo.list_models())}


@pytest.mark.parametrize("name", sorted(FAMILIES.values()))
def test_every_family_trains_in_bfloat16_with_images_and_weights_in_float32(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny_model(name)
    batch = next(iter(random_source(model).batches(model.config.batch_size * model.config.discriminator_steps)))
    logs = model.train_step(batch)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert {weight.dtype for network in model.players.values() for weight in network.weights} == {"float32"}
    assert model.preview(batch)[0].dtype == tf.float32
    assert len(tiny_settings(name)) > 3
