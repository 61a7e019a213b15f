"""The initial weights of a model from those of a trained one, to fine-tune it."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from zoo.core import Config, Game, optimizers
from zoo.core.step import sampling_network
from zoo.core.variables import variable_names
from zoo.errors import UserError


def initialize_from(model: Game, other: Game, name: str, with_optimizers: bool = False) -> list[str]:
    """Copies the weights of a trained model: of its EMA generator to a model's generator and EMA, and of its discriminator.

    Layers that the other model does not have, or that have other shapes there, such as those of other classes, keep their initial weights.

    Args:
        model: The model.
        other: The trained model; it may be of another class, as SRGAN starts from SRResNet.
        name: The trained model, as the user named it, for messages.
        with_optimizers: Whether to copy the state of the optimizers too. Both models must be compiled.

    Returns:
        A description of what was copied, one line for each network.

    Raises:
        UserError: Nothing of the generator fits; or the optimizers are of another kind.
    """
    source, target = other.ema_generator, sampling_network(model)
    new = _copy_layers(source, target)
    _copy_layers(source, model.ema_generator)
    if len(new) == len(_layers(target)):
        raise UserError(
            f"--init-from {name}: its generator ({source.count_params():,} parameters) differs from this model's "
            f"({target.count_params():,}) in every layer; {_describe_difference(model.config, other.config)}"
        )
    lines = [_describe("generator" if model.generator else "discriminator", target, new)]
    if model.generator and model.discriminator is not None and other.discriminator is not None:
        lines.append(_describe("discriminator", model.discriminator, _copy_layers(other.discriminator, model.discriminator)))
    if with_optimizers:
        _copy_optimizers(model, other, name)
    return lines


def _layers(network: keras.Model) -> dict[str, list[keras.Variable]]:
    """The weights of each layer that has some, by the layer's name within the network."""
    layers: dict[str, list[keras.Variable]] = {}
    for name, weight in zip(variable_names(network), network.weights, strict=True):
        layers.setdefault(name.rpartition("/")[0], []).append(weight)
    return layers


def _copy_layers(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the layers of equal names and shapes; returns the names of the target's other layers."""
    sources, new = _layers(source), []
    for name, weights in _layers(target).items():
        given = sources.get(name, [])
        if [tuple(one.shape) for one in given] == [tuple(one.shape) for one in weights]:
            for weight, value in zip(weights, given, strict=True):
                weight.assign(value)
        else:
            new.append(name)
    return new


def _describe(player: str, network: keras.Model, new: list[str]) -> str:
    count = len(_layers(network))
    others = f"; initialized anew, because they are missing there or have other shapes: {', '.join(new)}" if new else ""
    return f"{player}: copied {count - len(new)} of {count} layers{others}"


def _copy_optimizers(model: Game, other: Game, name: str) -> None:
    """Copies the state of each player's optimizer, as far as its variables have the same shapes; that of other weights stays new."""
    if model.config.schedule != "constant":
        raise UserError(
            "--init-optimizers: the number of updates is copied too, after which the learning rate has decayed; omit --schedule"
        )
    if model.config.freeze_discriminator:
        raise UserError("--init-optimizers: layers that are frozen have no state of an optimizer; omit it or --freeze-discriminator")
    theirs = {player: _without_loss_scale(optimizer) for player, optimizer in optimizers.by_player(other).items()}
    for player, optimizer in optimizers.by_player(model).items():
        given, optimizer = theirs.get(player), _without_loss_scale(optimizer)
        if given is None or type(given) is not type(optimizer) or len(given.variables) != len(optimizer.variables):
            raise UserError(f"--init-optimizers: those of {name} are of another kind, or of another number of weights; omit it")
        for variable, value in zip(optimizer.variables, given.variables, strict=True):
            if variable.shape == value.shape and "learning_rate" not in variable.path:
                variable.assign(value)


def _without_loss_scale(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer inside one that scales the loss, for float16."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _describe_difference(config: Any, other: Any) -> str:
    """The architecture settings in which two configurations differ."""
    shared = {field.name for field in dataclasses.fields(Config)} - {"num_classes", "latent_dim"}  # these do not determine the architecture
    own, theirs = dataclasses.asdict(config), dataclasses.asdict(other)
    names = [name for name in own if name in theirs and name not in shared and own[name] != theirs[name]]
    if not names:
        return "it is another model"
    return f"{', '.join(f'{name} {theirs[name]} there, {own[name]} here' for name in names)}; the architectures must be equal"
