"""Two replicas on two logical CPUs compute what one does on the global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_settings, train_steps, weights

import zoo
from zoo import registry
from zoo.core import flatten_layers, layers, replicas, seeds
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


def train(scope, name, steps=1, rate=0.1, traced=False, **settings):
    """The model, and by player the change of each weight divided by the learning rate: of plain SGD, the gradient."""
    keras.utils.set_random_seed(1)
    with scope:
        model = zoo.create(name, **{**tiny_settings(name), **settings})
        model.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate), jit_compile=False, run_eagerly=not traced)
    before = {player: weights(network) for player, network in model.players.items()}
    train_steps(model, 0, steps)
    changes = {
        player: [(after - start) / rate for after, start in zip(weights(network), before[player], strict=True)]
        for player, network in model.players.items()
    }
    return model, changes


def one_device():
    return tf.distribute.OneDeviceStrategy("CPU:0").scope()


def largest_difference(first, second):
    """The largest difference of two players' changes, as a fraction of the largest change of that player."""
    return max(
        max(np.abs(a - b).max() for a, b in zip(first[player], second[player], strict=True)) / max(np.abs(a).max() for a in first[player])
        for player in first
    )


@pytest.mark.parametrize("name", sorted(CLASSES.values()))
def test_two_replicas_compute_what_one_does(strategy, name):
    """Data, noise, gradients and statistics are those of the global batch; SGD, because Adam amplifies rounding where gradients are 0."""
    _, one = train(one_device(), name)
    model, two = train(strategy.scope(), name)
    assert largest_difference(one, two) < 1e-4
    for weight in model.weights:
        first, second = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(first, second, err_msg=weight.path)


@pytest.mark.parametrize("settings", [{"discriminator_steps": 2}, {"gradient_accumulation": 2}, {"augment": ("color", "cutout")}])
def test_each_replica_has_its_rows_of_each_part(strategy, settings):
    changes = [train(scope, "acgan", batch_size=8, **settings)[1] for scope in (one_device(), strategy.scope())]
    assert largest_difference(*changes) < 1e-4


def test_several_steps_per_execution(strategy, no_graph_optimizer):
    """A loop on two replicas computes what single steps on one do."""
    weights_after = []
    for scope, count in ((one_device(), 1), (strategy.scope(), 3)):
        keras.utils.set_random_seed(1)
        with scope:
            model = zoo.create("gan", **tiny_settings("gan"))
            model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), jit_compile=False, steps_per_execution=count)
        stream = random_source(model).batches(model.config.batch_size)
        logs = model.fit(stream, steps_per_epoch=6, verbose=0).history
        assert model.completed_steps == 6
        weights_after.append((weights(model.generator) + weights(model.discriminator), logs))
    for first, second in zip(*(values for values, _ in weights_after), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    for name, values in weights_after[0][1].items():
        if not name.endswith("norm"):  # the mean over the replicas
            assert values == pytest.approx(weights_after[1][1][name], rel=1e-3, abs=1e-5), name


def test_layers_of_keras_draw_other_numbers_in_each_replica(strategy):
    layer = keras.layers.Dropout(0.5)
    with strategy.scope():
        model = zoo.create("gan", **tiny_settings("gan"))
        seeds.replace_seed_generators(keras.Sequential([layer]), model.seeds)
    drops = strategy.experimental_local_results(strategy.run(lambda: layer(tf.ones([64]), training=True)))
    assert 8 < np.count_nonzero(drops[0] != drops[1]) < 56


def test_noise_is_a_function_of_the_row_of_the_joined_batch(strategy):
    seed = tf.constant([1, 2], tf.int64)
    draw = lambda: replicas.draw_rows(lambda rows: tf.random.stateless_normal([2, rows, 3], seed), 4, axis=1)  # noqa: E731
    parts = strategy.experimental_local_results(strategy.run(draw))
    np.testing.assert_array_equal(tf.concat(parts, 1), tf.random.stateless_normal([2, 8, 3], seed))
    np.testing.assert_array_equal(draw(), tf.random.stateless_normal([2, 4, 3], seed))
    joined = strategy.run(lambda: replicas.all_rows(replicas.own_rows(tf.range(6))))
    for whole in strategy.experimental_local_results(joined):
        assert whole.numpy().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", sorted(name for name in CLASSES.values() if name.partition("_")[0] in WITH_CONTROL_FLOW))
def test_graphs_with_control_flow_compute_the_same(strategy, no_graph_optimizer, name):
    """Two steps as a graph; a trace for two replicas takes four times as long, so other models are not traced."""
    _, one = train(one_device(), name, steps=2, rate=1e-3, traced=True)
    model, two = train(strategy.scope(), name, steps=2, rate=1e-3, traced=True)
    assert largest_difference(one, two) < 1e-3
    for buffer in (layer for layer in flatten_layers(model) if isinstance(layer, layers.ReplayBuffer)):
        first, second = strategy.experimental_local_results(buffer.images.value)
        np.testing.assert_array_equal(first, second)
        assert np.abs(first).max() <= 1


def test_logs_are_means_over_replicas(strategy):
    """The reported loss is that of the global batch, not its share."""
    values = []
    for scope in (strategy.scope(), one_device()):
        model = train(scope, "acgan")[0]
        values.append({name: float(value) for name, value in model.step_metrics.results().items() if not name.endswith("norm")})
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_unsupported_combinations_with_replicas_are_refused():
    with pytest.raises(UserError, match="multiple of 2"):
        runtime.check_replicas(2, "float32", False, 5)
    with pytest.raises(UserError, match="2 replicas in 4 gradient accumulation steps; use a multiple of 8"):
        runtime.check_replicas(2, "float32", False, 4, 4)
    with pytest.raises(UserError, match="float16 on several replicas"):
        runtime.check_replicas(2, "mixed_float16", False, 4)
