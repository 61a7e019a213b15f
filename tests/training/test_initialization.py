"""Fine-tuning: which weights of a trained model are copied, and which layers are frozen."""

import re

import numpy as np
import pytest
from conftest import same_arrays, tiny_model, to_numpy, weights

import zoo
from zoo.core import optimizers
from zoo.core.variables import variable_names
from zoo.errors import UserError
from zoo.testing import train_steps
from zoo.training.initialization import initialize_from


def changed(before, network):
    """Names of the weights that differ from before."""
    return {name for name, one, two in zip(variable_names(network), before, weights(network), strict=True) if not np.array_equal(one, two)}


@pytest.fixture(scope="module")
def trained():
    model = tiny_model("acgan")
    train_steps(model, 0, 3)
    return model


def test_both_players_start_from_the_trained_ones(trained):
    model = tiny_model("acgan", seed=5)
    lines = initialize_from(model, trained, "it")
    expected = weights(trained.ema_generator)
    assert same_arrays(weights(model.generator), expected) and same_arrays(weights(model.ema_generator), expected)
    assert same_arrays(weights(model.discriminator), weights(trained.discriminator))
    assert [line.partition(":")[0] for line in lines] == ["generator", "discriminator"] and "anew" not in "".join(lines)
    assert not any(to_numpy(one).any() for one in optimizers.by_player(model)["g"].variables if "learning_rate" not in one.path)


def test_layers_of_other_classes_start_anew_and_are_named(trained):
    model = tiny_model("acgan", num_classes=5)
    before = {player: weights(network) for player, network in model.players.items()}
    lines = initialize_from(model, trained, "it")
    for player, line in zip("gd", lines, strict=True):
        named = set(re.findall(r"dense\w*", line.partition("anew")[2]))
        unchanged = set(variable_names(model.players[player])) - changed(before[player], model.players[player])
        assert len(named) == 1 and {name for name in unchanged if name.endswith("/kernel")} == {f"{one}/kernel" for one in named}


def test_other_image_sizes_keep_the_layers_that_fit(trained):
    model = tiny_model("acgan", image_shape=(32, 32, 1))
    lines = initialize_from(model, trained, "it")
    assert all("initialized anew" in line for line in lines)
    assert same_arrays(weights(model.generator), weights(model.ema_generator))


def test_another_architecture_is_refused(trained):
    with pytest.raises(UserError, match=r"--init-from it: its generator .* in every layer"):
        initialize_from(tiny_model("vae"), trained, "it")


def test_optimizers_are_copied_on_request(trained):
    model = tiny_model("acgan", num_classes=5)
    initialize_from(model, trained, "it", with_optimizers=True)
    for player, optimizer in optimizers.by_player(model).items():
        given = optimizers.by_player(trained)[player]
        assert to_numpy(optimizer.iterations) == to_numpy(given.iterations) == 3
        states = [
            (one.shape == two.shape, np.array_equal(to_numpy(one), to_numpy(two)))
            for one, two in zip(optimizer.variables, given.variables, strict=True)
            if "learning_rate" not in one.path
        ]
        assert {equal for fits, equal in states if fits} == {True} and {equal for fits, equal in states if not fits} == {False}
    for settings, message in (({"optimizer": "sgd"}, "another kind"), ({"schedule": "linear"}, "omit --schedule")):
        with pytest.raises(UserError, match=f"--init-optimizers: .*{message}"):
            initialize_from(tiny_model("acgan", decay_end=None, **settings), trained, "it", with_optimizers=True)


@pytest.mark.parametrize("name", ["acgan", "cyclegan", "sngan"])
def test_frozen_layers_of_the_discriminator_are_not_trained(name):
    model = tiny_model(name, freeze_discriminator=2)
    before = {player: weights(network) for player, network in model.players.items()}
    train_steps(model, 0, 1)
    kernels = [one for one in variable_names(model.discriminator) if one.endswith("/kernel")]
    assert changed(before["d"], model.discriminator).isdisjoint(one for one in kernels[:2])
    assert changed(before["d"], model.discriminator).issuperset(kernels[2:]) and len(kernels) > 2
    assert not any("batch_norm/" in one for one in changed(before["d"], model.discriminator)), "that of the second layer is frozen with it"
    assert changed(before["g"], model.generator)


def test_freezing_is_checked():
    with pytest.raises(UserError, match=r"--freeze-discriminator 99: the discriminator has \d+ layers with a kernel; at most \d"):
        tiny_model("acgan", freeze_discriminator=99)
    with pytest.raises(UserError, match="has no discriminator; leave it out"):
        zoo.create("autoencoder", freeze_discriminator=1)
    with pytest.raises(UserError, match="--freeze-discriminator -1: must be from 0"):
        zoo.create("acgan", freeze_discriminator=-1)
