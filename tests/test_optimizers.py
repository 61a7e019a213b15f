"""Learning rates: how they fall, and that they resume."""

import math

import keras
import pytest
import tensorflow as tf
from conftest import number, source, tiny

import train
from zoo import optimizers, registry
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
    rate = optimizers.Rate(0.2, shape, 100, 200, 0.25)
    assert float(rate(tf.constant(update))) == pytest.approx(BY_HAND[shape, update], rel=1e-5)


def test_decay_is_per_update():
    rate = optimizers.Rate(0.1, decay=1 / 1.000004)
    assert float(rate(tf.constant(100_000))) == pytest.approx(0.1 * math.exp(-100_000 * math.log(1.000004)), rel=1e-4)
    assert keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(rate)).get_config() == rate.get_config()


def test_both_players_end_together_however_many_updates_one_has():
    game = tiny("dcgan", discriminator_steps=3, schedule="linear", steps=100, steady=0.5, final_rate=0.5)
    assert game.config.decay_end == 100  # the length of the run, kept when it is lengthened
    for updates, optimizer in ((1, game.g_optimizer), (3, game.d_optimizer)):
        start = number(optimizer.learning_rate)
        for round_number, share in ((50, 1.0), (75, 0.75), (100, 0.5), (200, 0.5)):
            optimizer.iterations.assign(round_number * updates)
            assert number(optimizer.learning_rate) == pytest.approx(start * share, rel=1e-5)


def test_each_kind_is_what_it_is_called():
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}
    for name, kind in kinds.items():
        game = tiny("dcgan", optimizer=name, beta_1=0.25)
        assert type(game.g_optimizer) is kind and type(game.d_optimizer) is kind
    assert tiny("dcgan", optimizer="sgd", beta_1=0.25).g_optimizer.momentum == 0.25


def test_a_fall_that_ends_before_it_begins_is_refused():
    with pytest.raises(UserError, match="--steady 1.0: must be less than 1"):
        tiny("dcgan", schedule="linear", steady=1.0)
    with pytest.raises(UserError, match="--batch-size 4 cannot be taken in 3 parts"):
        tiny("dcgan", accumulation=3)


def test_a_fall_of_one_round_is_a_step():
    rate = tiny("dcgan", schedule="linear", steps=100, steady=0.999).g_optimizer._learning_rate
    assert [round(float(rate(tf.constant(n))) / rate.rate, 3) for n in (0, 98, 99, 100, 101)] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("settings, said", [({}, True), ({"final_rate": 0.1}, False), ({"decay_end": 9}, False), ({"steps": 4}, False)])
def test_rounds_that_learn_nothing_are_warned_of(capsys, settings, said):
    game = tiny("gan", **{"schedule": "linear", "decay_end": 4, "steps": 8, **settings})
    train.plan(registry.entry("gan"), game, source(game), "float32", "runs/x")
    assert ("from round 4 on the learning rates are 0" in capsys.readouterr().err) == said
