"""Checks of the training step: terms, updates, EMA, resuming, previews, sampling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, optimizers
from zoo.core.step import update_player
from zoo.errors import UserError
from zoo.testing.tiny import TrainedModel, Weights, random_source, train_steps, weights

to_numpy = keras.ops.convert_to_numpy


def _same(first: Weights, second: Weights) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def check_terms_are_finite_and_named_by_player(trained: TrainedModel) -> None:
    """Each player logs its terms under its own prefix, and a gradient norm above 0."""
    history, players = trained.history, trained.model.players
    assert {f"{player}_gradient_norm" for player in players} <= set(history)
    assert {key[0] for key in history if not key.endswith("norm")} == set(players)
    assert all(key[:2] in ("d_", "g_") for key in history)
    assert np.isfinite([value for values in history.values() for value in values]).all()
    assert all(history[f"{player}_gradient_norm"][0] > 0 for player in players)


def check_every_weight_moves(trained: TrainedModel) -> None:
    """Training changes each weight, but for a last bias whose gradient is 0 where the loss is of differences of logits."""
    for key, network in {**trained.model.players, "ema": trained.model.ema_generator}.items():
        pairs = zip(network.weights, trained.start[key], strict=True)
        unchanged = [i for i, (weight, before) in enumerate(pairs) if np.array_equal(to_numpy(weight), before)]
        for i in unchanged:
            assert key == "d" and network.weights[i].shape == (1,), network.weights[i].path
            model = trained.rebuild()
            batch = next(iter(random_source(model).batches(4)))
            with tf.GradientTape() as tape:
                loss = sum(model.discriminator_loss(batch, model.generate(batch)).values())
            assert np.abs(to_numpy(tape.gradient(loss, model.discriminator.weights[i].value))).max() < 1e-6


def check_ema_starts_as_a_copy_and_lags(trained: TrainedModel) -> None:
    """The EMA generator equals the live one at the start and differs from it after training."""
    player = "g" if trained.model.generator else "d"  # whose samples are shown
    assert _same(trained.start["ema"], trained.start[player])
    assert not _same(weights(trained.model.ema_generator), weights(trained.model.players[player]))


def check_each_update_moves_one_player(trained: TrainedModel) -> None:
    """An update of a player leaves the other one's weights as they are; each row has noise of its own."""
    model = trained.rebuild()
    batch = next(iter(random_source(model).batches(4)))
    fake = model.generate(batch)
    samples = tf.nest.flatten(fake)[0]
    assert np.abs(samples[0] - samples[1]).max() > 1e-4

    def trainable() -> dict[str, Weights]:
        return {player: [to_numpy(weight) for weight in network.trainable_weights] for player, network in model.players.items()}

    closures: dict[str, Any] = {
        "d": lambda tape: model.discriminator_loss(batch, tf.nest.map_structure(tf.stop_gradient, fake)),
        "g": lambda tape: model.generator_loss(batch, model.generate(batch)),
    }
    for moving in model.players:
        before = trainable()
        update_player(model, moving, [closures[moving]])
        for player, values in trainable().items():
            assert _same(values, before[player]) == (player != moving)


def check_resumes_bit_exactly(trained: TrainedModel) -> None:
    """From the checkpoint after two steps, whatever was in the variables: everything that a step depends on is restored."""
    model = trained.model
    state = [*model.weights, *(variable for optimizer in optimizers.by_player(model).values() for variable in optimizer.variables)]
    final = [to_numpy(variable) for variable in state]
    for variable in state:
        variable.assign(variable + keras.ops.ones_like(variable))
    tf.train.Checkpoint(model=model).read(trained.checkpoint).assert_existing_objects_matched()
    assert model.completed_steps == 2
    train_steps(model, 2, 2)
    for variable, value in zip(state, final, strict=True):
        np.testing.assert_array_equal(to_numpy(variable), value, err_msg=variable.path)


def check_the_step_is_traced_once(trained: TrainedModel) -> None:
    """One trace in all, and one more for each later stage."""
    assert trained.traces == 1 + len([boundary for boundary in trained.model.config.stage_boundaries if boundary < 4])


def check_several_discriminator_steps(trained: TrainedModel) -> None:
    """Two updates of the discriminator to one of the generator; refused by a model without a discriminator."""
    if not trained.model.discriminator:
        _raises(UserError, "--discriminator-steps: this model has no discriminator", lambda: trained.rebuild(discriminator_steps=2))
        return
    model = trained.rebuild(discriminator_steps=2)
    logs = model.train_step(next(iter(random_source(model).batches(8))))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    counts = {player: int(optimizer.iterations) for player, optimizer in optimizers.by_player(model).items()}
    assert counts == {player: {"d": 2, "g": 1}[player] for player in model.players}


def check_preview_is_of_the_ema_generator(trained: TrainedModel) -> None:
    """The preview is the same every time, in the range of its modality, fills its grid, and changes with the EMA generator."""
    model = trained.model
    batch = next(iter(random_source(model).batches(16)))
    images, columns = model.preview(batch)
    assert images.shape[0] % columns == 0 and images.shape[1:] == model.modality.sample_shape(model.config)
    if external_range := model.modality.external_range:
        assert external_range[0] <= float(tf.reduce_min(images)) and float(tf.reduce_max(images)) <= external_range[1]
    np.testing.assert_array_equal(images, model.preview(batch)[0])
    if type(model).preview is Game.preview:
        conditions: dict[str, Any] = {name: [0, 0, 0] for name in model.conditions}
        np.testing.assert_allclose(images[:3], model.sample([0, 1, 2], **conditions), atol=1e-5)
    before = weights(model.ema_generator)
    for weight in model.ema_generator.weights:
        weight.assign(to_numpy(weight) * 0.5)
    assert np.abs(images - model.preview(batch)[0]).max() > 1e-7
    for weight, value in zip(model.ema_generator.weights, before, strict=True):
        weight.assign(value)


def check_a_seed_gives_the_same_sample_in_any_batch(trained: TrainedModel) -> None:
    """A sample, and its latent vector, is a function of its own seed."""
    model = trained.model
    if not model.generates_from_noise:
        return
    seeds = [7, 8, 9]
    labels: dict[str, Any] = {name: [0, 1, 2] for name in model.conditions}
    together = model.sample(seeds, **labels)
    middle: dict[str, Any] = {name: values[1:2] for name, values in labels.items()}
    alone = model.sample(seeds[1:2], **middle)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
    latents = to_numpy(model.latents(np.array(seeds, np.int32)))
    np.testing.assert_array_equal(model.latents(seeds), latents)
    assert np.abs(latents[0] - latents[1]).max() > 0.1


def check_the_label_reaches_the_generator(trained: TrainedModel) -> None:
    """Two labels give two samples from the same seed."""
    model = trained.model
    if not model.conditions:
        return
    assert model.conditions == ["label"] and "label" in model.batch_keys
    images = model.sample([5, 5], live=True, label=[0, 1])
    assert np.abs(images[0] - images[1]).max() > 1e-6


def check_bad_sample_requests_are_refused(trained: TrainedModel) -> None:
    """Integers of any width are accepted; floats, bools, texts, and out-of-range labels raise a descriptive error."""
    model = trained.model
    if not model.generates_from_noise:
        return
    labels: dict[str, Any] = {name: [0] for name in model.conditions}
    reference = model.sample([1], **labels)
    for seed in (np.array([1], np.uint8), np.array([1], np.int16), tf.constant([1], tf.int32), np.array([1], np.uint64)):
        np.testing.assert_array_equal(model.sample(seed, **labels), reference)
    for seed in ([1.5], np.array([1.0]), [True], ["1"], [2**70], tf.constant([1.0])):
        _raises(UserError, "seed: expected integers", lambda seed=seed: model.sample(seed, **labels))
    for name in model.conditions:
        wrong: list[tuple[Any, str]] = [([0.5], f"{name}: expected integers"), ([model.config.num_classes], "out of range")]
        for values, text in wrong:
            _raises(UserError, text, lambda conditions={name: values}: model.sample([1], **conditions))


def _raises(kind: type[Exception], text: str, call: Any) -> None:
    """Asserts that a call raises an exception of a kind whose message holds the text."""
    try:
        call()
    except kind as error:
        assert text in str(error), f"expected {text!r} in: {error}"
        return
    raise AssertionError(f"{kind.__name__} was not raised")


TRAINING_CHECKS = (
    check_terms_are_finite_and_named_by_player,
    check_every_weight_moves,
    check_ema_starts_as_a_copy_and_lags,
    check_each_update_moves_one_player,
    check_resumes_bit_exactly,
    check_the_step_is_traced_once,
    check_several_discriminator_steps,
    check_preview_is_of_the_ema_generator,
    check_a_seed_gives_the_same_sample_in_any_batch,
    check_the_label_reaches_the_generator,
    check_bad_sample_requests_are_refused,
)
