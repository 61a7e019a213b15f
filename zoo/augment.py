"""Differentiable augmentation of all that a discriminator sees, real and generated (Zhao et al. 2020, arXiv:2006.10738).

Each function takes images [n, h, w, c] in [-1, 1] and the seed of a stateless draw; every image is changed in its own way, and
gradients pass to the images. Ranges are those of the paper's code.
"""

import tensorflow as tf

SHIFT = 1 / 8  # of a side, most that an image is moved by
HOLE = 1 / 2  # of a side, what is cut out


def color(images, seed):
    """Brightness + U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5)."""
    draw = tf.random.stateless_uniform([3, tf.shape(images)[0], 1, 1, 1], seed)
    images += draw[0] - 0.5
    colours = 1 if images.shape[3] % 3 else 3  # channels of one picture; the two of a pair lie behind each other, and are changed alike
    apart = tf.reshape(images, [*tf.unstack(tf.shape(images)[:3]), images.shape[3] // colours, colours])
    grey = tf.reduce_mean(apart, axis=4, keepdims=True)
    images = tf.reshape(grey + (apart - grey) * 2 * draw[1][..., None], tf.shape(images))
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (draw[2] + 0.5)


def translation(images, seed):
    """Moved by up to an eighth of a side in both directions; what comes in from outside is 0."""
    rows, columns = (int(side * SHIFT + 0.5) for side in images.shape[1:3])
    draw = tf.random.stateless_uniform([2, tf.shape(images)[0]], seed)
    down, right = (_whole(draw[i], -most, most) for i, most in enumerate((rows, columns)))
    padded = tf.pad(images, [[0, 0], [rows, rows], [columns, columns], [0, 0]])
    from_row = tf.range(images.shape[1])[None, :, None] + (rows - down)[:, None, None]
    from_column = tf.range(images.shape[2])[None, None, :] + (columns - right)[:, None, None]
    shape = [tf.shape(images)[0], *images.shape[1:3]]
    where = tf.stack([tf.broadcast_to(from_row, shape), tf.broadcast_to(from_column, shape)], axis=-1)
    return tf.gather_nd(padded, where, batch_dims=1)


def cutout(images, seed):
    """A rectangle of half the sides set to 0, its middle anywhere in the image."""
    height, width = images.shape[1:3]
    draw = tf.random.stateless_uniform([2, tf.shape(images)[0]], seed)
    tall, wide = int(height * HOLE + 0.5), int(width * HOLE + 0.5)
    top, left = _whole(draw[0], 0, height - tall % 2) - tall // 2, _whole(draw[1], 0, width - wide % 2) - wide // 2
    rows, columns = tf.range(height)[None], tf.range(width)[None]
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + tall)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + wide)
    hole = in_rows[:, :, None, None] & in_columns[:, None, :, None]
    return images * tf.cast(~hole, images.dtype)


def apply(images, policy, next_seed):
    """The functions that `policy` names, in turn. next_seed: gives a fresh seed at each call."""
    for name in policy:
        images = POLICY[name](images, next_seed())
    return images


def _whole(draw, least, most):
    """Uniform in [0, 1) -> whole numbers from least to most, both included."""
    return tf.cast(tf.floor(draw * (most - least + 1)), tf.int32) + least


POLICY = {"color": color, "translation": translation, "cutout": cutout}
