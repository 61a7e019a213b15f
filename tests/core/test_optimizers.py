"""Learning rates: how they decay, and that they resume; settings that an optimizer does not use."""

import math

import keras
import pytest
import tensorflow as tf
from conftest import tiny_model, to_numpy

import zoo
from zoo import registry
from zoo.core import optimizers
from zoo.errors import UserError

BY_HAND = {
    ("constant", 0): 0.2,
    ("constant", 300): 0.2,
    ("linear", 0): 0.2,
    ("linear", 100): 0.2,
    ("linear", 150): 0.125,
    ("linear", 200): 0.05,
    ("linear", 900): 0.05,
    ("cosine", 150): 0.125,
    ("cosine", 125): 0.05 + 0.15 * (1 + math.cos(math.pi / 4)) / 2,
    ("cosine", 200): 0.05,
}


@pytest.mark.parametrize("shape, update", BY_HAND)
def test_rates_by_hand(shape, update):
    rate = optimizers.LearningRate(0.2, shape, 100, 200, 0.25)
    assert float(rate(tf.constant(update))) == pytest.approx(BY_HAND[shape, update], rel=1e-5)


def test_decay_is_per_update():
    rate = optimizers.LearningRate(0.1, decay=1 / 1.000004)
    assert float(rate(tf.constant(100_000))) == pytest.approx(0.1 * math.exp(-100_000 * math.log(1.000004)), rel=1e-4)
    assert keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(rate)).get_config() == rate.get_config()


def test_both_players_end_together_however_many_updates_one_has():
    model = tiny_model("dcgan", discriminator_steps=3, schedule="linear", steps=100, decay_start=0.5, final_rate=0.5)
    assert model.config.decay_end == 100  # the length of the run; it stays when the run is extended
    for updates, optimizer in ((1, model.g_optimizer), (3, model.d_optimizer)):
        start = to_numpy(optimizer.learning_rate)
        for step, share in ((50, 1.0), (75, 0.75), (100, 0.5), (200, 0.5)):
            optimizer.iterations.assign(step * updates)
            assert to_numpy(optimizer.learning_rate) == pytest.approx(start * share, rel=1e-5)


def test_each_optimizer_is_of_its_kind():
    kinds = {"adam": optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}
    for name, kind in kinds.items():
        model = tiny_model("dcgan", optimizer=name)
        assert type(model.g_optimizer) is kind and type(model.d_optimizer) is kind
    assert tiny_model("dcgan", optimizer="sgd", beta_1=0.25).g_optimizer.momentum == 0.25


def test_a_decay_that_ends_before_it_begins_is_refused():
    with pytest.raises(UserError, match="--decay-start 1.0: must be less than 1"):
        tiny_model("dcgan", schedule="linear", decay_start=1.0)
    with pytest.raises(UserError, match="--batch-size 4 cannot be split by --gradient-accumulation 3"):
        tiny_model("dcgan", gradient_accumulation=3)


def test_a_decay_of_one_step():
    rate = tiny_model("dcgan", schedule="linear", steps=100, decay_start=0.999).g_optimizer._learning_rate
    assert [round(float(rate(tf.constant(n))) / rate.rate, 3) for n in (0, 98, 99, 100, 101)] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"optimizer": "rmsprop", "beta_1": 0.9}, "--beta-1 0.9: the rmsprop optimizer does not use it"),
        ({"optimizer": "sgd", "beta_2": 0.9}, "--beta-2 0.9: the sgd optimizer does not use it"),
        ({"optimizer": "sgd", "epsilon": 1e-3}, "--epsilon 0.001: the sgd optimizer does not use it"),
    ],
)
def test_settings_that_an_optimizer_does_not_use_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        zoo.create("pggan", **settings)


def test_another_optimizer_begins_with_its_own_defaults():
    config = zoo.registry.get_entry("pggan").configure(optimizer="rmsprop").resolve()  # the preset sets beta_1 for Adam
    assert (config.beta_1, config.beta_2, config.epsilon) == (None, 0.999, 1e-7)


@pytest.mark.parametrize("decorate", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_the_fused_adam_updates_as_that_of_keras(decorate):
    """Also with two updates in one graph."""
    optimizers_and_weights = []
    for kind in (optimizers.Adam, keras.optimizers.Adam):
        weights = [keras.Variable(tf.random.stateless_normal(shape, (1, 2))) for shape in ((3, 4), (5,), (7, 2))]
        optimizer = kind(optimizers.LearningRate(0.1, "linear", 5, 15), 0.5, 0.9, 1e-3)
        optimizer.build(weights)
        optimizers_and_weights.append((optimizer, weights))

    @decorate
    def update(step):
        gradients = [tf.random.stateless_normal(shape, tf.stack([step, 3])) for shape in ((3, 4), (5,))]
        values = tf.random.stateless_normal((2, 2), tf.stack([step, 4]))
        rows = tf.IndexedSlices(values, tf.stack([step % 7, 6]), tf.constant([7, 2]))
        for optimizer, weights in optimizers_and_weights:
            optimizer.apply([*gradients, tf.convert_to_tensor(rows) if type(optimizer) is keras.optimizers.Adam else rows], weights)

    @decorate
    def update_twice(step):
        update(step)
        update(step + 1)

    for step in range(0, 20, 2):
        update_twice(tf.constant(step))
    (fused, ours), (plain, theirs) = optimizers_and_weights
    assert [variable.shape for variable in fused.variables] == [variable.shape for variable in plain.variables]
    for a, b in zip([*fused.variables, *ours], [*plain.variables, *theirs], strict=True):
        assert to_numpy(a) == pytest.approx(to_numpy(b), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_preset_takes_any_optimizer_and_schedule(name):
    """What the preset sets for its own is reset, and a message never names an option that was not given."""
    preset = registry.get_entry(name).config
    for optimizer in ("adam", "rmsprop", "sgd"):
        assert preset.override(optimizer=optimizer).resolve().optimizer == optimizer
    schedules = ("constant",) if preset.resolve().stage_boundaries else ("constant", "linear", "cosine")  # optimizers restart at each stage
    for schedule in schedules:
        assert preset.override(schedule=schedule).resolve().schedule == schedule
    assert preset.override(schedule="constant").resolve().learning_stops_at == math.inf


@pytest.mark.parametrize("settings", [{"decay_start": 0.5}, {"final_rate": 0.5}])
def test_settings_of_a_decay_are_refused_without_one(settings):
    with pytest.raises(UserError, match="need a learning rate that decays"):
        registry.get_entry("cyclegan_256").config.override(schedule="constant", **settings).resolve()
