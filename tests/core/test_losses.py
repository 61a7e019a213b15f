"""Objectives and penalties against numbers computed by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from zoo.core import losses

REAL, FAKE = tf.constant([2.0, -1.0]), tf.constant([0.5, -3.0])


def softplus(x):
    return math.log1p(math.exp(x))


BINARY = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(-3)) / 2
BY_HAND = {
    "minimax": (BINARY, -(softplus(0.5) + softplus(-3)) / 2),
    "non_saturating": (BINARY, (softplus(-0.5) + softplus(3)) / 2),
    "least_squares": ((1 + 4) / 4 + (0.25 + 9) / 4, (0.25 + 16) / 4),
    "hinge": ((0 + 2) / 2 + (1.5 + 0) / 2, 1.25),
    "wasserstein": (-1.25 - 0.5, 1.25),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_objectives_by_hand(name):
    objective = getattr(losses, name)
    assert float(objective.discriminator(REAL, FAKE)) == pytest.approx(BY_HAND[name][0], abs=1e-6)
    assert float(objective.generator(FAKE)) == pytest.approx(BY_HAND[name][1], abs=1e-6)


@pytest.mark.parametrize("name", BY_HAND)
def test_generator_loss_falls_as_its_images_look_more_real(name):
    fake = tf.Variable([0.1, -0.2])
    with tf.GradientTape() as tape:
        loss = getattr(losses, name).generator(fake)
    assert (tape.gradient(loss, fake).numpy() < 0).all()


def test_losses_of_large_logits_are_finite():
    for name in BY_HAND:
        objective = getattr(losses, name)
        large = tf.constant([1e4, -1e4])
        assert math.isfinite(objective.discriminator(large, -large)) and math.isfinite(objective.generator(large))


def test_minimax_equals_the_papers_value_at_the_optimum():
    # D = 1/2 everywhere: the value function is -log 4 (Goodfellow et al. 2014, theorem 1); the discriminator minimizes minus that.
    undecided = tf.zeros([4])
    assert float(losses.minimax.discriminator(undecided, undecided)) == pytest.approx(math.log(4), abs=1e-6)


GRADIENT = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)[..., None]  # its norm is 5


def linear(images):
    return tf.reduce_sum(images * GRADIENT, axis=[1, 2, 3])


@pytest.mark.parametrize("target, by_hand", [(1.0, 16.0), (5.0, 0.0), (2.0, 2.25)])
def test_gradient_penalty_of_a_linear_critic(target, by_hand):
    draw = np.random.RandomState(0)
    real, fake = (tf.constant(draw.randn(6, 2, 2, 1), tf.float32) for _ in range(2))
    weights = tf.constant(draw.rand(6, 1, 1, 1), tf.float32)
    assert float(losses.gradient_penalty(linear, real, fake, weights, target)) == pytest.approx(by_hand, abs=1e-4)


def test_gradient_penalty_is_taken_between_the_images():
    real, fake = tf.ones([1, 2, 2, 1]), -tf.ones([1, 2, 2, 1])
    inputs = []

    def critic(images):
        inputs.append(images.numpy())
        return linear(images)

    losses.gradient_penalty(critic, real, fake, tf.constant(0.25, shape=[1, 1, 1, 1]))
    np.testing.assert_allclose(inputs[0], 0.5)


def test_zero_centered_penalties_of_known_gradients():
    images = tf.ones([3, 2, 2, 1])
    assert float(losses.r1(linear, images)[1]) == pytest.approx(12.5, abs=1e-5)
    # the gradient of sum x^2 / 2 is x: squared norm 4 at ones
    assert float(losses.r2(lambda x: tf.reduce_sum(x**2, axis=[1, 2, 3]) / 2, images)[1]) == pytest.approx(2.0, abs=1e-5)


def test_penalty_reaches_the_critics_weights_through_its_gradient():
    weight = tf.Variable([[2.0], [0.0]])
    with tf.GradientTape() as tape:
        _, penalty = losses.r1(lambda x: tf.squeeze(tf.reshape(x, [1, 2]) @ weight, -1), tf.ones([1, 2, 1, 1]))
    assert float(penalty) == pytest.approx(2.0, abs=1e-6)
    np.testing.assert_allclose(tape.gradient(penalty, weight), [[2.0], [0.0]], atol=1e-6)


def test_class_cross_entropy_by_hand():
    logits = tf.constant([[0.0, math.log(3.0)], [0.0, 0.0]])
    by_hand = (math.log(4 / 3) + math.log(2)) / 2
    assert float(losses.class_cross_entropy(tf.constant([1, 0], tf.int64), logits)) == pytest.approx(by_hand, abs=1e-6)


def test_margin_softmax_by_hand():
    """The margin is taken off the cosine of the label, and cosines are scaled."""
    cosines = tf.constant([[0.9, 0.5, -1.0], [0.2, 0.1, 0.3]])
    logits = np.array([[9.0, 5.0 - 2.0, -10.0], [2.0, 1.0, 3.0 - 2.0]])  # labels 1 and 2, scale 10, margin 0.2
    by_hand = np.mean(np.log(np.exp(logits).sum(1)) - logits[[0, 1], [1, 2]])
    loss = losses.margin_softmax(tf.constant([1, 2], tf.int64), cosines, margin=0.2, scale=10.0)
    assert float(loss) == pytest.approx(by_hand, rel=1e-6)
