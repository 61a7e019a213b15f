"""Augmentation: what it does to known images, that gradients pass, and where in the losses it stands."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import number, source, tiny

from zoo import augment, losses

SEED = [3, 4]
IMAGES = tf.constant(np.random.RandomState(0).uniform(-1, 1, (8, 16, 16, 3)), tf.float32)
every = pytest.mark.parametrize("name", augment.POLICY)


@every
def test_a_function_of_the_seed_that_changes_each_image_in_its_own_way(name):
    changed = augment.POLICY[name](IMAGES, SEED)
    assert changed.shape == IMAGES.shape and changed.dtype == tf.float32
    np.testing.assert_array_equal(changed, augment.POLICY[name](IMAGES, SEED))
    assert np.abs(changed - augment.POLICY[name](IMAGES, [3, 5])).max() > 0.1
    same_image = augment.POLICY[name](tf.repeat(IMAGES[:1], 8, 0), SEED)
    assert np.abs(same_image[0] - same_image[1:]).max() > 0.1


@every
def test_gradients_pass_to_the_images(name):
    with tf.GradientTape() as tape:
        tape.watch(IMAGES)
        total = tf.reduce_sum(augment.POLICY[name](IMAGES, SEED) ** 2)
    slope = tape.gradient(total, IMAGES).numpy()
    assert np.isfinite(slope).all() and (np.abs(slope).reshape(8, -1).max(1) > 1e-3).all()


@every
def test_compiled_by_xla(name):
    changed = tf.function(augment.POLICY[name], jit_compile=True)(IMAGES, tf.constant(SEED))  # which draws other numbers
    assert np.isfinite(changed).all() and np.abs(changed - IMAGES).max() > 0.1 and np.std(changed) == pytest.approx(np.std(IMAGES), rel=0.6)


def test_color_is_brightness_saturation_contrast():
    draw = tf.random.stateless_uniform([3, 8, 1, 1, 1], SEED).numpy()
    by_hand = IMAGES.numpy() + draw[0] - 0.5
    grey = by_hand.mean(3, keepdims=True)
    by_hand = grey + (by_hand - grey) * 2 * draw[1]
    mean = by_hand.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(augment.color(IMAGES, SEED), mean + (by_hand - mean) * (0.5 + draw[2]), atol=1e-5)


def test_color_changes_the_two_pictures_of_a_pair_alike_and_apart():
    both = augment.color(tf.concat([IMAGES, 0.5 * IMAGES], 3), SEED).numpy()
    draw = tf.random.stateless_uniform([3, 8, 1, 1, 1], SEED).numpy()
    by_hand = []
    for picture in (IMAGES.numpy(), 0.5 * IMAGES.numpy()):
        picture = picture + draw[0] - 0.5
        grey = picture.mean(3, keepdims=True)
        by_hand.append(grey + (picture - grey) * 2 * draw[1])
    by_hand = np.concatenate(by_hand, 3)
    mean = by_hand.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(both, mean + (by_hand - mean) * (0.5 + draw[2]), atol=1e-5)
    pair = np.concatenate([np.zeros((8, 4, 4, 1)), np.ones((8, 4, 4, 1))], 3).astype(np.float32)  # grey: neither has a hue
    apart = np.ptp(augment.color(tf.constant(pair), SEED), axis=3)[:, 0, 0]
    np.testing.assert_allclose(apart, 0.5 + draw[2, :, 0, 0, 0], atol=1e-5)


def test_translation_moves_by_an_eighth_at_most_and_brings_in_zeros():
    changed, seen = augment.translation(IMAGES, SEED).numpy(), set()
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)])
    for before, after in zip(padded, changed):
        fits = [(i, j) for i in range(5) for j in range(5) if np.array_equal(before[i : i + 16, j : j + 16], after)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 3
    moves = augment.translation(tf.repeat(IMAGES[:1], 400, 0), SEED).numpy()
    assert len({move.tobytes() for move in moves}) == 25  # each of -2 to 2 in both directions


def test_cutout_is_half_of_each_side():
    changed = augment.cutout(tf.ones([300, 16, 16, 1]), SEED).numpy()[..., 0]
    holes = (changed == 0).sum((1, 2))
    assert holes.max() == 64 and holes.min() >= 16  # whole, or over an edge
    whole = changed[holes.argmax()] == 0
    assert whole.any(0).sum() == whole.any(1).sum() == 8


def test_both_players_see_augmented_images_and_r1_is_of_those_before():
    game = tiny("dcgan", augment=("color", "translation", "cutout"))
    batch = next(iter(source(game).batches(4)))
    seen = []
    judge = game.discriminator.call
    game.discriminator.call = lambda inputs, **kwargs: seen.append(inputs["image"].numpy()) or judge(inputs, **kwargs)
    fake = game.generate(batch)
    game.discriminator_loss(batch, fake)
    game.generator_loss(batch, fake)
    assert len(seen) == 3
    for shown, made in zip(seen, (batch["image"], fake, fake)):
        assert np.abs(shown - number(made)).max() > 0.1
    # cutout alone: where it cut, the slope at the image before it is 0; at the image after it, it would not be
    game = tiny("dcgan", augment=("cutout",))
    cut = []

    def judge_sum(images):
        cut.append(game.augmented(images))
        return tf.reduce_sum(cut[-1], axis=[1, 2, 3])

    _, slope = losses.slopes(judge_sum, tf.ones([4, 16, 16, 1]))
    np.testing.assert_array_equal(slope, cut[0])
    assert 0 < np.mean(slope) < 1
