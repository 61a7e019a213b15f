"""A replay buffer of images."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("zoo")
class ReplayBuffer(keras.layers.Layer):
    """A buffer of images that persists across steps and is saved with the model, the same in all replicas.

    Args:
        count: Number of images.
        shape: Shape of one image.
        initializer: Initializer of the images.
    """

    def __init__(
        self, count: int, shape: tuple[int, ...], initializer: str | keras.initializers.Initializer = "zeros", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.images = self.add_weight(
            shape=(count, *shape), initializer=initializer, trainable=False, name="images", aggregation="only_first_replica"
        )
        self.built = True

    @property
    def rows(self) -> int:
        """Number of images."""
        return self.images.shape[0]

    def take(self, rows: tf.Tensor) -> tf.Tensor:
        """The images at `rows` [n]."""
        return tf.gather(self.images.value, rows)

    def put(self, rows: tf.Tensor, images: tf.Tensor) -> None:
        """Stores images at `rows` [n]; all replicas store the same.

        Args:
            rows: Row of each image. Negative rows are skipped; of images that share a row, the last one is stored.
            images: Images [n, *shape].
        """
        count, order = self.images.shape[0], tf.range(tf.shape(rows)[0])
        order = tf.where(rows >= 0, order, -1)
        last = tf.tensor_scatter_nd_max(tf.fill([count], -1), tf.maximum(rows, 0)[:, None], order)
        targets, sources = tf.where(last >= 0), tf.boolean_mask(last, last >= 0)
        stored = tf.convert_to_tensor(self.images.value)  # XLA cannot gather from a variable by index
        change = tf.scatter_nd(targets, tf.gather(images, sources) - tf.gather_nd(stored, targets), stored.shape)
        self.images.assign(stored + change)
