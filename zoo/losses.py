"""Objectives on logits, and penalties on a judge.

Logits: higher means more real. Every function takes float32 tensors and returns a scalar, the mean over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

mean, softplus = tf.reduce_mean, tf.nn.softplus


class Objective(NamedTuple):
    """What the two players minimise: `discriminator(real, fake)` and `generator(fake)`, on logits of any shape.

    critic: whether it measures a distance, so that a discriminator which tells all images apart has still something to teach.
    """

    discriminator: Callable
    generator: Callable
    critic: bool = False


def _cross_entropy(real, fake):
    """-log D(x) - log(1 - D(G(z))), with D = sigmoid(logit)."""
    return mean(softplus(-real)) + mean(softplus(fake))


# Goodfellow et al. 2014, eq. 1: the generator minimises log(1 - D(G(z))).
minimax = Objective(_cross_entropy, lambda fake: -mean(softplus(fake)))

# The same, §3, last paragraph: the generator maximises log D(G(z)).
non_saturating = Objective(_cross_entropy, lambda fake: mean(softplus(-fake)))

# Mao et al. 2016, eq. 9 (a = 0, b = c = 1).
least_squares = Objective(
    lambda real, fake: (mean(tf.square(real - 1)) + mean(tf.square(fake))) / 2,
    lambda fake: mean(tf.square(fake - 1)) / 2,
)

# Lim & Ye 2017; Miyato et al. 2018, eq. 16-17.
hinge = Objective(
    lambda real, fake: mean(tf.nn.relu(1 - real)) + mean(tf.nn.relu(1 + fake)),
    lambda fake: -mean(fake),
)

# Arjovsky et al. 2017, eq. 3; the critic must be kept Lipschitz by other means.
wasserstein = Objective(lambda real, fake: mean(fake) - mean(real), lambda fake: -mean(fake), critic=True)


def slopes(judge, images):
    """(the judge's logits, its gradient at each image): float32 [n] and [n, h, w, c], whatever the precision of the judge's layers."""
    images = tf.cast(images, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = judge(images)
    return logits, tf.cast(tape.gradient(logits, images), tf.float32)


def _squared(slopes):
    """Squared norm of each image's slope, [n]."""
    return tf.reduce_sum(tf.square(slopes), axis=range(1, slopes.shape.rank))


def gradient_penalty(judge, real, fake, mix, target=1.0):
    """((slope - target) / target)^2 between real and fake (Gulrajani et al. 2017, eq. 3; target: Karras et al. 2017, A.1).

    judge: images -> logits, one row an image. mix: uniform in [0, 1), shape [n, 1, 1, 1].
    """
    _, slope = slopes(judge, real + mix * (fake - real))
    norms = tf.sqrt(_squared(slope) + 1e-12)  # the gradient of sqrt at 0 is infinite
    return mean(tf.square(norms / target - 1))


def mix(images, seed):
    """Uniform numbers for `gradient_penalty`, one an image: [n, 1, 1, 1]."""
    return tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed)


def relativistic(first, second):
    """-log sigmoid(first - second), pair by pair: what makes `first` look more real (Huang et al. 2024, eq. 1-2).

    The discriminator minimises it of (real, fake), the generator of (fake, real).
    """
    return mean(softplus(second - first))


def zero_centred(judge, images):
    """(the judge's logits, half the mean squared slope at `images`), of one pass (Mescheder et al. 2018, eq. 9-10)."""
    logits, slope = slopes(judge, images)
    return logits, mean(_squared(slope)) / 2


r1 = zero_centred  # at real images
r2 = zero_centred  # at generated ones


def class_error(labels, logits):
    """Cross entropy of class logits [n, classes] (float32) against integer labels [n], in nats."""
    return mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
