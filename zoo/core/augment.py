"""Differentiable augmentation (DiffAugment) of all that a discriminator sees, real and generated (Zhao et al. 2020, arXiv:2006.10738).

Each function takes images [n, h, w, c] in [-1, 1] and the seed of a stateless draw; every image is changed in its own way, and
gradients pass to the images. Ranges are those of the paper's code.
"""

from __future__ import annotations

import tensorflow as tf

from zoo.core import replicas

MAX_SHIFT = 1 / 8  # fraction of a side by which an image is translated at most
CUTOUT = 1 / 2  # fraction of a side that is cut out


def color(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Brightness + U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5); opacity is unchanged."""
    if images.shape[3] == 4:
        return tf.concat([color(images[..., :3], seed), images[..., 3:]], -1)
    draw = _draw(3, images, seed)[..., None, None, None]
    images += draw[0] - 0.5
    colors = 1 if images.shape[3] % 3 else 3  # channels of one image; a pair is concatenated along the channels, and both change alike
    separate = tf.reshape(images, [*tf.unstack(tf.shape(images)[:3]), images.shape[3] // colors, colors])
    gray = tf.reduce_mean(separate, axis=4, keepdims=True)
    images = tf.reshape(gray + (separate - gray) * 2 * draw[1][..., None], tf.shape(images))
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (draw[2] + 0.5)


def translation(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Translated by up to an eighth of a side in both directions; what comes in from outside is 0."""
    rows, columns = (int(side * MAX_SHIFT + 0.5) for side in images.shape[1:3])
    draw = _draw(2, images, seed)
    down, right = (_to_integers(draw[i], -most, most) for i, most in enumerate((rows, columns)))
    padded = tf.pad(images, [[0, 0], [rows, rows], [columns, columns], [0, 0]])
    from_row = tf.range(images.shape[1])[None, :, None] + (rows - down)[:, None, None]
    from_column = tf.range(images.shape[2])[None, None, :] + (columns - right)[:, None, None]
    shape = [tf.shape(images)[0], *images.shape[1:3]]
    positions = tf.stack([tf.broadcast_to(from_row, shape), tf.broadcast_to(from_column, shape)], axis=-1)
    return tf.gather_nd(padded, positions, batch_dims=1)


def cutout(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A rectangle of half the sides set to 0, its center anywhere in the image."""
    height, width = images.shape[1:3]
    draw = _draw(2, images, seed)
    tall, wide = int(height * CUTOUT + 0.5), int(width * CUTOUT + 0.5)
    top = _to_integers(draw[0], 0, height - tall % 2) - tall // 2
    left = _to_integers(draw[1], 0, width - wide % 2) - wide // 2
    rows, columns = tf.range(height)[None], tf.range(width)[None]
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + tall)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + wide)
    hole = in_rows[:, :, None, None] & in_columns[:, None, :, None]
    return images * tf.cast(~hole, images.dtype)


def _draw(count: int, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform numbers in [0, 1), `count` for each image: [count, n]."""
    return replicas.draw_rows(lambda rows: tf.random.stateless_uniform([count, rows], seed), tf.shape(images)[0], axis=1)


def _to_integers(draw: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Uniform in [0, 1) -> integers from low to high, both included."""
    return tf.cast(tf.floor(draw * (high - low + 1)), tf.int32) + low


POLICIES = {"color": color, "translation": translation, "cutout": cutout}
