"""Random layers whose numbers do not depend on how a batch is divided among replicas."""

from __future__ import annotations

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
        rows, *sides = tf.unstack(tf.shape(inputs))
        drop = super().call
        return inputs * replicas.draw_rows(lambda count: drop(tf.ones([count, *sides], inputs.dtype), training=True), rows)


@keras.saving.register_keras_serializable("zoo")
class GaussianNoise(keras.layers.GaussianNoise):
    """Keras' layer, of which several replicas draw together what a single one would."""

    draws_all_rows = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or replicas.count() == 1:
            return super().call(inputs, training=training)
        rows, *sides = tf.unstack(tf.shape(inputs))
        add_noise = super().call
        return inputs + replicas.draw_rows(lambda count: add_noise(tf.zeros([count, *sides], inputs.dtype), training=True), rows)
