"""Random layers whose numbers do not depend on how a batch is divided among replicas."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from zoo.core import replicas


@keras.saving.register_keras_serializable("zoo")
class Dropout(keras.layers.Dropout):
    """Keras' layer, of which several replicas drop together what a single one would."""

    draws_all_rows = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or replicas.count() == 1:
            return super().call(inputs, training=training)
        return inputs * _draw_noise(super().call, inputs, 1)


@keras.saving.register_keras_serializable("zoo")
class GaussianNoise(keras.layers.GaussianNoise):
    """Keras' layer, of which several replicas draw together what a single one would."""

    draws_all_rows = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or replicas.count() == 1:
            return super().call(inputs, training=training)
        return inputs + _draw_noise(super().call, inputs, 0)


def _draw_noise(call: Callable[..., tf.Tensor], inputs: tf.Tensor, value: int) -> tf.Tensor:
    """What a random layer makes of inputs that all have one value, for the rows of this replica."""
    rows, *sides = tf.unstack(tf.shape(inputs))
    return replicas.draw_rows(lambda n: call(tf.fill([n, *sides], tf.cast(value, inputs.dtype)), training=True), rows)
