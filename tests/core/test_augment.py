"""DiffAugment: its effect on known images, its gradients, and its place in the losses."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

from zoo.core import augment, losses

SEED = [3, 4]
IMAGES = tf.constant(np.random.RandomState(0).uniform(-1, 1, (8, 16, 16, 3)), tf.float32)
every = pytest.mark.parametrize("name", augment.POLICIES)


@every
def test_each_image_changes_in_its_own_way_as_a_function_of_the_seed(name):
    changed = augment.POLICIES[name](IMAGES, SEED)
    assert changed.shape == IMAGES.shape and changed.dtype == tf.float32
    np.testing.assert_array_equal(changed, augment.POLICIES[name](IMAGES, SEED))
    assert np.abs(changed - augment.POLICIES[name](IMAGES, [3, 5])).max() > 0.1
    same_image = augment.POLICIES[name](tf.repeat(IMAGES[:1], 8, 0), SEED)
    assert np.abs(same_image[0] - same_image[1:]).max() > 0.1


@every
def test_gradients_pass_to_the_images(name):
    with tf.GradientTape() as tape:
        tape.watch(IMAGES)
        total = tf.reduce_sum(augment.POLICIES[name](IMAGES, SEED) ** 2)
    gradients = tape.gradient(total, IMAGES).numpy()
    assert np.isfinite(gradients).all() and (np.abs(gradients).reshape(8, -1).max(1) > 1e-3).all()


@every
def test_compiled_by_xla(name):
    changed = tf.function(augment.POLICIES[name], jit_compile=True)(IMAGES, tf.constant(SEED))  # XLA draws other numbers
    assert np.isfinite(changed).all() and np.abs(changed - IMAGES).max() > 0.1 and np.std(changed) == pytest.approx(np.std(IMAGES), rel=0.6)


def test_color_is_brightness_saturation_contrast():
    draw = tf.random.stateless_uniform([3, 8, 1, 1, 1], SEED).numpy()
    by_hand = IMAGES.numpy() + draw[0] - 0.5
    gray = by_hand.mean(3, keepdims=True)
    by_hand = gray + (by_hand - gray) * 2 * draw[1]
    mean = by_hand.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(augment.color(IMAGES, SEED), mean + (by_hand - mean) * (0.5 + draw[2]), atol=1e-5)


def test_color_changes_both_images_of_a_pair_in_the_same_way():
    both = augment.color(tf.concat([IMAGES, 0.5 * IMAGES], 3), SEED).numpy()
    draw = tf.random.stateless_uniform([3, 8, 1, 1, 1], SEED).numpy()
    by_hand = []
    for image in (IMAGES.numpy(), 0.5 * IMAGES.numpy()):
        image = image + draw[0] - 0.5
        gray = image.mean(3, keepdims=True)
        by_hand.append(gray + (image - gray) * 2 * draw[1])
    by_hand = np.concatenate(by_hand, 3)
    mean = by_hand.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(both, mean + (by_hand - mean) * (0.5 + draw[2]), atol=1e-5)
    pair = np.concatenate([np.zeros((8, 4, 4, 1)), np.ones((8, 4, 4, 1))], 3).astype(np.float32)  # gray: neither image has a hue
    difference = np.ptp(augment.color(tf.constant(pair), SEED), axis=3)[:, 0, 0]
    np.testing.assert_allclose(difference, 0.5 + draw[2, :, 0, 0, 0], atol=1e-5)


def test_translation_shifts_by_an_eighth_at_most_and_pads_with_zeros():
    changed, offsets = augment.translation(IMAGES, SEED).numpy(), set()
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)])
    for before, after in zip(padded, changed, strict=True):
        fits = [(i, j) for i in range(5) for j in range(5) if np.array_equal(before[i : i + 16, j : j + 16], after)]
        assert len(fits) == 1
        offsets.add(fits[0])
    assert len(offsets) > 3
    moves = augment.translation(tf.repeat(IMAGES[:1], 400, 0), SEED).numpy()
    assert len({move.tobytes() for move in moves}) == 25  # each of -2 to 2 in both directions


def test_cutout_is_half_of_each_side():
    changed = augment.cutout(tf.ones([300, 16, 16, 1]), SEED).numpy()[..., 0]
    holes = (changed == 0).sum((1, 2))
    assert holes.max() == 64 and holes.min() >= 16  # whole, or over an edge
    whole = changed[holes.argmax()] == 0
    assert whole.any(0).sum() == whole.any(1).sum() == 8


def test_both_players_see_augmented_images_and_r1_is_of_the_images_before():
    model = tiny_model("dcgan", augment=("color", "translation", "cutout"))
    batch = next(iter(random_source(model).batches(4)))
    inputs_of_discriminator = []
    call = model.discriminator.call

    def recording_call(inputs, **kwargs):
        inputs_of_discriminator.append(inputs["image"].numpy())
        return call(inputs, **kwargs)

    model.discriminator.call = recording_call
    fake = model.generate(batch)
    model.discriminator_loss(batch, fake)
    model.generator_loss(batch, fake)
    assert len(inputs_of_discriminator) == 3
    for augmented, original in zip(inputs_of_discriminator, (batch["image"], fake, fake), strict=True):
        assert np.abs(augmented - to_numpy(original)).max() > 0.1
    # cutout alone: where it cut, the gradient at the image before it is 0; at the image after it, it would not be
    model = tiny_model("dcgan", augment=("cutout",))
    augmented_images = []

    def sum_of_augmented(images):
        augmented_images.append(model.augment(images))
        return tf.reduce_sum(augmented_images[-1], axis=[1, 2, 3])

    _, gradients = losses.input_gradients(sum_of_augmented, tf.ones([4, 16, 16, 1]))
    np.testing.assert_array_equal(gradients, augmented_images[0])
    assert 0 < np.mean(gradients) < 1
