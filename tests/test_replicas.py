"""Two replicas on two logical CPUs do what one does on the joined batch, but for the noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import number, play, settings, source, weights

import zoo
from zoo import layers, registry, scale
from zoo.errors import UserError

CLASSES = {(registry.entry(name).model, type(registry.entry(name).config)): name for name in reversed(zoo.names())}  # one name of each


@pytest.fixture(scope="module")
def strategy():
    return scale.strategy("mirrored")


@pytest.fixture
def unoptimised():
    """Graphs are played as they are traced: to optimise them takes a quarter of the time of a short training."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def told(game_class):
    """The game with noise from the batch, so that it does not depend on who plays which row."""

    class Told(game_class):
        def generate(self, batch):
            return self.generator({"latent": batch["latent"], "label": batch["label"]}, training=True)

    return Told


SMALL = {"acgan": {"dropout": 0.0, "discriminator_widths": (4, 8), "generator_widths": (8, 4)}, "sngan_projection": {}}


def make(scope, kind, name="acgan", **overrides):
    keras.utils.set_random_seed(3)
    config = registry.entry(name).config
    with scope:
        game = kind(type(config)(**{**settings(name), **SMALL[name], "latent_dim": 5, **overrides}).resolved())
        game.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0), jit_compile=False)
    return game


@pytest.mark.parametrize("name", SMALL)  # of the second the vectors of the spectral norms as well
def test_gradients_and_statistics_are_those_of_the_joined_batch(strategy, name):
    draw = np.random.RandomState(0)
    batch = {
        "image": draw.rand(8, 16, 16, 1).astype(np.float32) * 2 - 1,
        "label": draw.randint(0, 3, 8),
        "latent": draw.randn(8, 5).astype(np.float32),
    }
    kind = told(registry.entry(name).model)
    after = []
    for scope in (strategy.scope(), tf.distribute.OneDeviceStrategy("CPU:0").scope()):
        game = make(scope, kind, name, batch_size=8)
        before = weights(game.generator) + weights(game.discriminator)
        game.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=1, verbose=0, shuffle=False)
        after.append(weights(game.generator) + weights(game.discriminator))
    # With plain SGD of rate 1 a weight's change is its gradient; running statistics change by the batch's.
    for start, two, one in zip(before, *after):
        scale_of = np.abs(one - start).max()
        np.testing.assert_allclose(
            two - start, one - start, atol=2e-3 * scale_of + 1e-4
        )  # a bias before a batch norm has no gradient but rounding
    assert max(np.abs(one - start).max() for start, one in zip(before, after[1])) > 0.1


def test_noise_differs_by_replica_and_weights_do_not(strategy):
    game = make(strategy.scope(), registry.entry("acgan").model)

    @tf.function
    def draw():
        def noise():
            game.randomness.restart()
            return tf.random.stateless_normal([5], game.randomness.next())

        return strategy.experimental_local_results(strategy.run(noise))

    first, second = draw()
    assert np.abs(first - second).max() > 1e-2
    np.testing.assert_array_equal(first, draw()[0])  # a function of seed, round, place and replica alone
    play(game, 0, 2)
    for weight in [*game.generator.weights, *game.discriminator.weights, *game.averaged.weights]:
        here, there = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(here, there, err_msg=weight.path)


@pytest.mark.parametrize("name", sorted(CLASSES.values()))
def test_every_class_trains_on_two_replicas(strategy, unoptimised, name):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        game = zoo.create(name, **settings(name))
        game.compile(jit_compile=False)
    before = {player: weights(network) for player, network in game.players.items()}
    history = play(game, 0, 2)
    assert np.isfinite([v for values in history.values() for v in values]).all()
    assert int(number(game.round)) == 2
    for player, network in game.players.items():
        assert any(not np.array_equal(a, b) for a, b in zip(before[player], weights(network)))
    for weight in game.weights:
        here, there = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(here, there, err_msg=weight.path)
        assert np.abs(here).max() < 100
    for kept in (layer for layer in game._flatten_layers() if isinstance(layer, layers.Kept)):  # images
        assert np.abs(number(kept.images)).max() <= 1


def test_logs_are_means_over_replicas(strategy):
    """The reported loss is that of the joined batch, not its share."""
    values = []
    for scope in (strategy.scope(), tf.distribute.OneDeviceStrategy("CPU:0").scope()):
        game = make(scope, registry.entry("acgan").model, averaging=0.0)
        stream = source(game).batches(4)
        values.append(game.fit(stream, steps_per_epoch=1, verbose=0, shuffle=False).history["d_class"][0])
    assert values[0] == pytest.approx(values[1], rel=0.2)  # half of it would be a division too many


def test_what_replicas_cannot_do():
    with pytest.raises(UserError, match="multiple of 2"):
        scale.check_replicas(2, "float32", False, 5)
    with pytest.raises(UserError, match="2 replicas in 4 parts; use a multiple of 8"):
        scale.check_replicas(2, "float32", False, 4, 4)
    with pytest.raises(UserError, match="float16 on several replicas"):
        scale.check_replicas(2, "mixed_float16", False, 4)
