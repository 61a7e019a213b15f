"""WGAN and WGAN-GP: weight clipping, the gradient penalty, and input gradients in half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy, train_steps

from zoo.core import losses


def test_wgan_clips_the_critic_after_each_update_and_nothing_else():
    model = tiny_model("wgan", weight_clip=0.01)
    train_steps(model, 0, 1)
    assert max(np.abs(to_numpy(w)).max() for w in model.discriminator.trainable_weights) <= np.float32(0.01)
    assert max(np.abs(to_numpy(w)).max() for w in model.generator.trainable_weights) > 0.5  # scales of its batch normalization


def test_wgan_gp_adds_its_weight_times_the_penalty_between_the_images():
    model = tiny_model("wgan_gp", penalty_weight=10.0)
    batch, gradient = next(iter(random_source(model).batches(4))), 0.3
    model.call_discriminator = lambda images, batch: gradient * tf.reduce_sum(images, axis=(1, 2, 3))  # 0.3 at each of 256 pixels
    terms = model.discriminator_loss(batch, model.generate(batch))
    assert float(terms["d_penalty"]) == pytest.approx(10 * (0.3 * 16 - 1) ** 2, rel=1e-4)


def test_wgan_gp_interpolates_each_image_by_a_number_of_its_own():
    model = tiny_model("wgan_gp")
    calls = []
    model.call_discriminator = lambda images, batch: calls.append(images) or tf.reduce_sum(images, axis=(1, 2, 3))
    batch, fake = {"image": tf.zeros([64, 16, 16, 1])}, tf.ones([64, 16, 16, 1])
    model.discriminator_loss(batch, fake)
    (between,) = [to_numpy(images) for images in calls if 0.3 < float(tf.reduce_mean(images)) < 0.7]
    assert (between == between[:, :1, :1]).all() and len(np.unique(between)) == 64


@pytest.mark.parametrize("name", ["wgan_gp", "pggan", "r3gan"])
def test_input_gradients_are_float32_whatever_the_precision(name):
    penalties = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        model = tiny_model(name)
        batch = {"image": tf.constant(np.random.RandomState(0).uniform(-1, 1, (16, 16, 16, 1)), tf.float32)}
        real = model.resize_to_stage(batch["image"]) if name == "pggan" else batch["image"]
        logits, gradients = losses.input_gradients(lambda images: model.call_discriminator(images, batch), real)  # noqa: B023
        assert logits.dtype == gradients.dtype == tf.float32 and gradients.shape == real.shape
        penalties.append(np.mean(np.sum(to_numpy(gradients) ** 2, axis=(1, 2, 3))))
    assert penalties[1] == pytest.approx(penalties[0], rel=0.1) and penalties[0] > 0
