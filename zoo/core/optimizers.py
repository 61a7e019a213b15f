"""A player's optimizer: its kind, its learning rate and schedule, its loss scale."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from zoo.core.config import OPTIMIZER_DEFAULTS, Config

if TYPE_CHECKING:
    from zoo.core.game import Game


@keras.saving.register_keras_serializable("zoo")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate as a function of the number of updates, so that it resumes exactly.

    Args:
        rate: At the start.
        shape: "constant", "linear" or "cosine" (half a period).
        start: Update at which the decay begins.
        end: Update at which it ends.
        final: Fraction of `rate` that is left then.
        decay: Factor per update, from the first one on.
    """

    def __init__(self, rate: float, shape: str = "constant", start: int = 0, end: int = 1, final: float = 0.0, decay: float = 1.0) -> None:
        self.rate, self.shape, self.start, self.end, self.final, self.decay = rate, shape, start, end, final, decay

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        progress = tf.clip_by_value((step - self.start) / (self.end - self.start), 0.0, 1.0)
        decayed = {"constant": 0.0, "linear": progress, "cosine": (1 - tf.cos(math.pi * progress)) / 2}[self.shape]
        return self.rate * (1 - (1 - self.final) * decayed) * tf.exp(math.log(self.decay) * step)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


@keras.saving.register_keras_serializable("zoo")
class Adam(keras.optimizers.Adam):
    """Keras' Adam, whose update of a weight is one fused kernel instead of about 20 operations: a step of a small network is bound by them.

    Its variables and, up to rounding, its results are those of Keras' own class.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared = types.SimpleNamespace(scalars=None)  # of the update that is being made; not a dict, which would be tracked

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        try:
            super().apply(grads, trainable_variables)
        finally:
            self.shared.scalars = None

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one weight and its two moments."""
        index = self._get_variable_index(variable)
        self.shared.scalars = self.shared.scalars or self._compute_scalars(learning_rate)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=tf.convert_to_tensor(gradient),  # that of an embedding has only the rows that were looked up
            **self.shared.scalars,
        )

    def _compute_scalars(self, learning_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """The kernel's inputs that are the same for all weights."""
        decays = tf.constant([self.beta_1, self.beta_2])
        powers = decays ** tf.cast(self.iterations.value + 1, tf.float32)
        names = ("beta1", "beta2", "beta1_power", "beta2_power")
        scalars = dict(zip(names, (*tf.unstack(decays), *tf.unstack(powers)), strict=True))
        return {**scalars, "lr": tf.convert_to_tensor(learning_rate), "epsilon": tf.constant(self.epsilon)}


def build(config: Config, rate: float, updates: int) -> keras.optimizers.Optimizer:
    """The optimizer that a configuration describes.

    Args:
        config: Resolved.
        rate: The learning rate at the start.
        updates: How many updates a step has.
    """
    schedule: Any = rate
    if config.schedule != "constant" or config.learning_rate_decay != 1:
        assert config.decay_end is not None, "the configuration is not resolved"
        end = config.decay_end * updates
        start = min(round(config.decay_start * config.decay_end), config.decay_end - 1) * updates
        schedule = LearningRate(rate, config.schedule, start, end, config.final_rate, config.learning_rate_decay)
    values = {**OPTIMIZER_DEFAULTS[config.optimizer]}
    values |= {name: value for name in values if (value := getattr(config, name)) is not None}
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=values["beta_1"])
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(schedule, values["beta_2"], epsilon=values["epsilon"])
    return Adam(schedule, values["beta_1"], values["beta_2"], values["epsilon"])


def by_player(game: Game) -> dict[str, keras.optimizers.Optimizer]:
    """The players' optimizers, once the model is compiled: `g` and `d` -> optimizer."""
    return {player: getattr(game, f"{player}_optimizer") for player in game.players}


def with_loss_scale(optimizer: keras.optimizers.Optimizer, policy: str) -> keras.optimizers.Optimizer:
    """The optimizer, wrapped with a loss scale where the dtype policy needs one: Keras itself wraps only one of two optimizers."""
    if policy != "mixed_float16" or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
