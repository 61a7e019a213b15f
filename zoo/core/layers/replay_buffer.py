"""A replay buffer of images."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("zoo")
class ReplayBuffer(keras.layers.Layer):
    """A buffer of images that persists across steps and is saved with the model; each replica has its own rows.

    Args:
        count: Number of images, over all replicas.
        shape: Shape of one image.
        initializer: Initializer of the images.
    """

    def __init__(
        self, count: int, shape: tuple[int, ...], initializer: str | keras.initializers.Initializer = "zeros", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.images = self.add_weight(
            shape=(count, *shape), initializer=initializer, trainable=False, name="images", aggregation="sum"
        )  # the sum over the replicas, each of which assigns its share
        self.built = True

    @property
    def rows(self) -> int:
        """Number of images per replica."""
        return self.images.shape[0] // tf.distribute.get_strategy().num_replicas_in_sync

    def _global_rows(self, rows: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        return rows + self.rows * (replica.replica_id_in_sync_group if replica else 0)

    def take(self, rows: tf.Tensor) -> tf.Tensor:
        """The images at `rows` [n], which are numbered from 0 on every replica."""
        return tf.gather(self.images.value, self._global_rows(rows))

    def put(self, rows: tf.Tensor, images: tf.Tensor) -> None:
        """Stores images at `rows` [n].

        Args:
            rows: Row of each image, from 0 on every replica. Negative rows are skipped; of images that share a row, the last one is stored.
            images: Images [n, *shape].
        """
        count, order = self.images.shape[0], tf.range(tf.shape(rows)[0])
        order = tf.where(rows >= 0, order, -1)
        last = tf.tensor_scatter_nd_max(tf.fill([count], -1), self._global_rows(tf.maximum(rows, 0))[:, None], order)
        targets, sources = tf.where(last >= 0), tf.boolean_mask(last, last >= 0)
        stored = tf.convert_to_tensor(self.images.value)  # XLA cannot gather from a variable by index
        change = tf.scatter_nd(targets, tf.gather(images, sources) - tf.gather_nd(stored, targets), stored.shape)
        self.images.assign(stored / tf.distribute.get_strategy().num_replicas_in_sync + change)
