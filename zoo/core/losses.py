"""Objectives on logits, and gradient penalties.

Logits: higher means more real. Every function takes float32 tensors and returns a scalar, the mean over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from zoo.core import replicas

mean, softplus = tf.reduce_mean, tf.nn.softplus
Discriminator = Callable[[tf.Tensor], tf.Tensor]  # images -> logits, one for each row


class Objective(NamedTuple):
    """What the two players minimize, on logits of any shape.

    Attributes:
        discriminator: Its loss from (real logits, fake logits).
        generator: Its loss from the fake logits.
        critic: Whether the discriminator estimates a distance: one that tells all images apart still has something to teach.
    """

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor], tf.Tensor]
    critic: bool = False


def _cross_entropy(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """-log D(x) - log(1 - D(G(z))), with D = sigmoid(logit)."""
    return mean(softplus(-real)) + mean(softplus(fake))


# Goodfellow et al. 2014, eq. 1: the generator minimizes log(1 - D(G(z))).
minimax = Objective(_cross_entropy, lambda fake: -mean(softplus(fake)))

# Goodfellow et al. 2014, §3, last paragraph: the generator maximizes log D(G(z)).
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


def input_gradients(discriminator: Discriminator, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The discriminator's logits [n] and their gradient at each image, float32 whatever the precision of the layers."""
    images = tf.cast(images, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = discriminator(images)
    return logits, tf.cast(tape.gradient(logits, images), tf.float32)


def _squared_norms(gradients: tf.Tensor) -> tf.Tensor:
    """The squared norm of each row, [n]."""
    return tf.reduce_sum(tf.square(gradients), axis=range(1, gradients.shape.rank))


def gradient_penalty(discriminator: Discriminator, real: tf.Tensor, fake: tf.Tensor, weights: tf.Tensor, target: float = 1.0) -> tf.Tensor:
    """((|gradient| - target) / target)^2 between real and fake images (Gulrajani et al. 2017, eq. 3).

    Args:
        discriminator: Images -> logits.
        real: Real images.
        fake: Generated images, as many.
        weights: See `interpolation_weights`.
        target: The gradient norm that is asked for (Karras et al. 2017, appendix A.1).
    """
    _, gradients = input_gradients(discriminator, real + weights * (fake - real))
    norms = tf.sqrt(_squared_norms(gradients) + 1e-12)  # the gradient of sqrt at 0 is infinite
    return mean(tf.square(norms / target - 1))


def interpolation_weights(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform numbers in [0, 1) for `gradient_penalty`, one for each image: [n, 1, 1, 1]."""
    return replicas.draw_rows(lambda rows: tf.random.stateless_uniform([rows, 1, 1, 1], seed), tf.shape(images)[0])


def relativistic_loss(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(first - second), pair by pair: it makes `first` look more real (Huang et al. 2024, eq. 1-2).

    The discriminator minimizes it of (real, fake), the generator of (fake, real).
    """
    return mean(softplus(second - first))


def zero_centered_penalty(discriminator: Discriminator, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The discriminator's logits and half the mean squared gradient norm, of one pass (Mescheder et al. 2018, eq. 9-10)."""
    logits, gradients = input_gradients(discriminator, images)
    return logits, mean(_squared_norms(gradients)) / 2


r1 = zero_centered_penalty  # at real images
r2 = zero_centered_penalty  # at generated images


def margin_softmax(labels: tf.Tensor, cosines: tf.Tensor, margin: float = 0.35, scale: float = 30.0) -> tf.Tensor:
    """Cross entropy of scaled cosines, where that of the label is reduced by a margin (AM-softmax; Wang et al. 2018, §3.1).

    Args:
        labels: Classes, integers [n].
        cosines: Cosines of the angles between features and the vector of each class, float32 [n, classes].
        margin: By how much the cosine of the right class must be larger than the others.
        scale: Factor from cosines to logits.

    Returns:
        The mean loss, in nats.
    """
    margins = margin * tf.one_hot(labels, cosines.shape[-1])
    return class_cross_entropy(labels, scale * (cosines - margins))


def class_cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of class logits [n, classes] (float32) against integer labels [n], in nats."""
    return mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
