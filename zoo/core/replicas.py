"""What a step draws, and what it computes of a whole batch, when each replica has some of the batch's rows.

N replicas with B / N rows each draw the same numbers as a single one with B rows: each draws for all rows, and keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from zoo.core.game import Game


def count() -> int:
    """Number of replicas that compute a step together; 1 outside of a step, such as while networks are built."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def draw_rows(draw: Callable[[Any], tf.Tensor], rows: Any, axis: int = 0) -> tf.Tensor:
    """Random numbers for the rows of this replica.

    Args:
        draw: Function of a number of rows that returns a tensor with so many along `axis`: the same ones in every replica.
        rows: Number of rows of this replica.
        axis: Axis of the rows.
    """
    return own_rows(draw(rows * count()), axis) if count() > 1 else draw(rows)


def draw_integers(seed: tf.Tensor, rows: Any, limit: int) -> tf.Tensor:
    """Integers from 0 up to a limit (exclusive) for the rows of this replica, int64 [rows]."""
    return draw_rows(lambda n: tf.random.stateless_uniform([n], seed, 0, limit, tf.int64), rows)


def draw_latents(game: Game, rows: Any) -> tf.Tensor:
    """New latent vectors for the rows of this replica, float32 [rows, latent_dim]."""
    seed = game.seeds.next()
    return draw_rows(lambda n: game.sample_latent((n, game.config.latent_dim), seed), rows)


def own_rows(whole: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """The rows of this replica, of a tensor with the rows of all replicas in order."""
    if count() == 1:
        return whole
    rows = tf.shape(whole)[axis] // count()
    return tf.gather(whole, rows * tf.distribute.get_replica_context().replica_id_in_sync_group + tf.range(rows), axis=axis)


def all_rows(own: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas in order; the inverse of `own_rows`. No gradient passes."""
    own = tf.stop_gradient(own)
    return tf.distribute.get_replica_context().all_gather(own, 0) if count() > 1 else own


def mean(value: Any) -> Any:
    """The mean over all replicas of a tensor, or of each of several, of the same shape; gradients pass to all of them."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value) if count() > 1 else value


def replica_positions(replica: int, replicas: int, batch_size: int, parts: int) -> np.ndarray:
    """Positions in a batch of the rows of one replica: those of each part, one part after another; see `in_order_of_parts`.

    Args:
        replica: Number of the replica.
        replicas: Number of replicas.
        batch_size: Rows of the batch, a multiple of `parts * replicas`.
        parts: Number of parts.

    Returns:
        int64 [batch_size / replicas].
    """
    return np.arange(batch_size).reshape(parts, replicas, -1)[:, replica].ravel()


def in_order_of_parts(batch: Any, parts: int, replicas: int) -> Any:
    """A batch whose rows are ordered so that each replica gets its rows of each part.

    A step splits its batch into parts (updates of the discriminator, micro-batches), after a strategy has split it into one piece for
    each replica.

    Args:
        batch: Nested structure of tensors, whose numbers of rows are multiples of `parts * replicas`.
        parts: Number of parts.
        replicas: Number of replicas.
    """

    def reorder(value: tf.Tensor) -> tf.Tensor:
        order = tf.transpose(tf.reshape(tf.range(tf.shape(value)[0]), [parts, replicas, -1]), [1, 0, 2])
        return tf.ensure_shape(tf.gather(value, tf.reshape(order, [-1])), value.shape)

    return tf.nest.map_structure(reorder, batch)
