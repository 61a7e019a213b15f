"""R3GAN: the relativistic loss, both penalties, resampling, grouped residual blocks."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

from zoo import registry
from zoo.core import losses
from zoo.models import r3gan


def test_relativistic_loss_by_hand():
    first, second = tf.constant([1.0, -2.0]), tf.constant([0.5, 1.0])
    by_hand = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(3))) / 2
    assert float(losses.relativistic_loss(first, second)) == pytest.approx(by_hand, abs=1e-6)


def test_resampling_applies_the_filter():
    x = tf.constant(np.random.RandomState(0).randn(1, 4, 4, 2), tf.float32)
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    depthwise = tf.constant(np.stack([kernel] * 2, -1)[..., None], tf.float32)
    spread = np.zeros((1, 11, 11, 2), np.float32)  # zeros between and around
    spread[:, 2:10:2, 2:10:2] = x
    np.testing.assert_allclose(r3gan.Resample(up=True)(x), tf.nn.depthwise_conv2d(spread, depthwise, [1] * 4, "VALID"), atol=1e-5)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    by_hand = tf.nn.depthwise_conv2d(padded, depthwise / 4, [1, 2, 2, 1], "VALID")
    np.testing.assert_allclose(r3gan.Resample(up=False)(x), by_hand, atol=1e-5)
    assert r3gan.Resample(up=False)(x[:, :3]).shape == (1, 2, 2, 2)


def test_logits_start_at_the_scale_of_the_features():
    model = tiny_model("r3gan")
    (head,) = [layer for layer in model.discriminator.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert to_numpy(head.trainable_weights[0]).std() == pytest.approx(0.25, rel=0.2)


def test_both_gradients_are_penalized_by_a_weight_that_decays():
    model = tiny_model("r3gan", penalty_weight=2.0, final_penalty_weight=1.0, steps=4)
    batch = next(iter(random_source(model).batches(4)))
    fake = model.generate(batch)
    penalty = sum(
        losses.zero_centered_penalty(lambda x: model.call_discriminator(x, batch), images)[1] for images in (batch["image"], fake)
    )
    for step, weight in ((0, 2.0), (2, 1.5), (4, 1.0), (9, 1.0)):
        model.step_counter.assign(step)
        assert float(model.discriminator_loss(batch, fake)["d_penalty"]) == pytest.approx(weight * float(penalty), rel=1e-4)


def test_gradients_are_taken_at_the_images_before_augmentation(monkeypatch):
    model = tiny_model("r3gan", augment=("cutout",))
    batch = next(iter(random_source(model).batches(4)))
    fake, calls = model.generate(batch), []

    def record(discriminator, images):
        calls.append((discriminator, images))
        return losses.zero_centered_penalty(discriminator, images)

    for name in ("r1", "r2"):
        monkeypatch.setattr(losses, name, record)
    model.discriminator_loss(batch, fake)
    assert [images is given for (_, images), given in zip(calls, (batch["image"], fake), strict=True)] == [True, True]
    for discriminator, images in calls:
        _, gradients = losses.input_gradients(discriminator, images)
        cut = (to_numpy(gradients) == 0).all(-1)  # a square of half the image's side, or less at an edge
        assert (cut.sum((1, 2)) >= 16).all() and not cut.all((1, 2)).any()


def test_blocks_convolve_channels_in_groups():
    config = dataclasses.replace(registry.get_entry("r3gan").config, group=4)
    x = keras.Input((6, 6, 4))
    network = keras.Model(x, r3gan.block(x, config, 1))
    grouped = next(layer for layer in network.layers if getattr(layer, "groups", 1) > 1)
    assert grouped.groups == 2 and grouped.kernel.shape == (3, 3, 4, 8)
    kernel, images = to_numpy(grouped.kernel), np.random.RandomState(0).randn(2, 6, 6, 8).astype(np.float32)
    whole = np.zeros((3, 3, 8, 8), np.float32)
    whole[:, :, :4, :4], whole[:, :, 4:, 4:] = kernel[..., :4], kernel[..., 4:]
    np.testing.assert_allclose(grouped(images), tf.nn.conv2d(images, whole, 1, "SAME"), atol=1e-4)


def test_blocks_start_as_the_identity():
    config = registry.get_entry("r3gan").config
    x = keras.Input((8, 8, 64))
    network = keras.Model(x, r3gan.block(x, config, 4))
    images = np.random.RandomState(0).randn(2, 8, 8, 64).astype(np.float32)
    np.testing.assert_array_equal(network(images), images)
