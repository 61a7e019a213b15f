"""Two replicas on two logical CPUs do what one does on the joined batch, but for the noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_settings, to_numpy, train_steps, weights

import zoo
from zoo import registry
from zoo.core import flatten_layers, layers
from zoo.errors import UserError
from zoo.training import runtime

CLASSES = {  # one name of each class
    (registry.get_entry(name).model, type(registry.get_entry(name).config)): name for name in reversed(zoo.list_models())
}

WITH_CONTROL_FLOW = ("ebm", "pggan")  # a loop of Langevin steps, and stages


@pytest.fixture(scope="module")
def strategy():
    return runtime.select_strategy("mirrored")


@pytest.fixture
def no_graph_optimizer():
    """Graphs run as they are traced: to optimize them takes a quarter of the time of a short training."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def with_given_noise(model_class):
    """The model with noise from the batch, so that it does not depend on which replica has which row."""

    class WithGivenNoise(model_class):
        def generate(self, batch):
            return self.generator({"latent": batch["latent"], "label": batch["label"]}, training=True)

    return WithGivenNoise


SMALL = {"acgan": {"dropout": 0.0, "discriminator_widths": (4, 8), "generator_widths": (8, 4)}, "sngan_projection": {}}


def build(scope, kind, name="acgan", **overrides):
    keras.utils.set_random_seed(3)
    config = registry.get_entry(name).config
    with scope:
        model = kind(type(config)(**{**tiny_settings(name), **SMALL[name], "latent_dim": 5, **overrides}).resolve())
        model.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0), jit_compile=False)
    return model


@pytest.mark.parametrize("name", SMALL)  # of the second the vectors of the spectral norms as well
def test_gradients_and_statistics_are_those_of_the_joined_batch(strategy, name):
    draw = np.random.RandomState(0)
    batch = {
        "image": draw.rand(8, 16, 16, 1).astype(np.float32) * 2 - 1,
        "label": draw.randint(0, 3, 8),
        "latent": draw.randn(8, 5).astype(np.float32),
    }
    kind = with_given_noise(registry.get_entry(name).model)
    after = []
    for scope in (strategy.scope(), tf.distribute.OneDeviceStrategy("CPU:0").scope()):
        model = build(scope, kind, name, batch_size=8)
        before = weights(model.generator) + weights(model.discriminator)
        model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=1, verbose=0, shuffle=False)
        after.append(weights(model.generator) + weights(model.discriminator))
    # With plain SGD of rate 1 a weight's change is its gradient; running statistics change by the batch's.
    for start, two, one in zip(before, *after, strict=True):
        size = np.abs(one - start).max()
        np.testing.assert_allclose(
            two - start, one - start, atol=2e-3 * size + 1e-4
        )  # a bias before a batch norm has no gradient but rounding
    assert max(np.abs(one - start).max() for start, one in zip(before, after[1], strict=True)) > 0.1


def test_noise_differs_by_replica_and_weights_do_not(strategy):
    model = build(strategy.scope(), registry.get_entry("acgan").model)

    @tf.function
    def draw():
        def noise():
            model.seeds.restart()
            return tf.random.stateless_normal([5], model.seeds.next())

        return strategy.experimental_local_results(strategy.run(noise))

    first, second = draw()
    assert np.abs(first - second).max() > 1e-2
    np.testing.assert_array_equal(first, draw()[0])  # a function of seed, step, position and replica alone
    train_steps(model, 0, 2)
    for weight in [*model.generator.weights, *model.discriminator.weights, *model.ema_generator.weights]:
        first, second = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(first, second, err_msg=weight.path)


@pytest.mark.parametrize("name", sorted(CLASSES.values()))
def test_every_class_trains_on_two_replicas(strategy, no_graph_optimizer, name):
    """As a graph where the step has control flow, which is where graphs differ; a trace for two replicas takes four times as long."""
    keras.utils.set_random_seed(1)
    traced = name.partition("_")[0] in WITH_CONTROL_FLOW
    steps = 2 if traced else 1
    with strategy.scope():
        model = zoo.create(name, **tiny_settings(name))
        model.compile(jit_compile=False, run_eagerly=not traced)
    before = {player: weights(network) for player, network in model.players.items()}
    history = train_steps(model, 0, steps)
    assert np.isfinite([v for values in history.values() for v in values]).all()
    assert int(to_numpy(model.step_counter)) == steps
    for player, network in model.players.items():
        assert any(not np.array_equal(a, b) for a, b in zip(before[player], weights(network), strict=True))
    for weight in model.weights:
        first, second = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(first, second, err_msg=weight.path)
        assert np.abs(first).max() < 100
    for buffer in (layer for layer in flatten_layers(model) if isinstance(layer, layers.ReplayBuffer)):
        assert np.abs(to_numpy(buffer.images)).max() <= 1


def test_logs_are_means_over_replicas(strategy):
    """The reported loss is that of the joined batch, not its share."""
    values = []
    for scope in (strategy.scope(), tf.distribute.OneDeviceStrategy("CPU:0").scope()):
        model = build(scope, registry.get_entry("acgan").model, ema_decay=0.0)
        stream = random_source(model).batches(4)
        values.append(model.fit(stream, steps_per_epoch=1, verbose=0, shuffle=False).history["d_class"][0])
    assert values[0] == pytest.approx(values[1], rel=0.2)  # half of it would be a division too many


def test_unsupported_combinations_with_replicas_are_refused():
    with pytest.raises(UserError, match="multiple of 2"):
        runtime.check_replicas(2, "float32", False, 5)
    with pytest.raises(UserError, match="2 replicas in 4 gradient accumulation steps; use a multiple of 8"):
        runtime.check_replicas(2, "float32", False, 4, 4)
    with pytest.raises(UserError, match="float16 on several replicas"):
        runtime.check_replicas(2, "mixed_float16", False, 4)
