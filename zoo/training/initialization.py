"""The initial weights of a model from another run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from zoo.core import Config, Game
from zoo.core.step import sampling_network
from zoo.errors import UserError
from zoo.runs import load_model


def initialize_from(model: Game, folder: str | Path) -> None:
    """Copies the EMA generator of a run to a model's generator and to its EMA.

    Raises:
        UserError: If the two architectures differ; the message names the settings that differ.
    """
    other = load_model(folder)
    weights, other_weights = model.ema_generator.weights, other.ema_generator.weights
    if [tuple(weight.shape) for weight in weights] != [tuple(weight.shape) for weight in other_weights]:
        raise UserError(
            f"--init-from {folder}: its generator ({other.ema_generator.count_params():,} parameters) differs from this model's "
            f"({model.ema_generator.count_params():,}); {_describe_difference(model.config, other.config)}"
        )
    for network in (sampling_network(model), model.ema_generator):
        network.set_weights(other.ema_generator.get_weights())


def _describe_difference(config: Any, other: Any) -> str:
    """The architecture settings in which two configurations differ."""
    shared = {field.name for field in dataclasses.fields(Config)} - {"num_classes", "latent_dim"}  # these do not determine the architecture
    own, theirs = dataclasses.asdict(config), dataclasses.asdict(other)
    names = [name for name in own if name in theirs and name not in shared and own[name] != theirs[name]]
    if not names:
        return "it is a run of another model"
    return f"{', '.join(f'{name} {theirs[name]} in that run, {own[name]} here' for name in names)}; the architectures must be equal"
