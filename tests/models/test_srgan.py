"""SRGAN and SRResNet: the paper's networks, training crops, losses by hand, previews."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy
from PIL import Image

import zoo
from zoo import data
from zoo import train as train_model
from zoo.core import optimizers
from zoo.errors import UserError
from zoo.metrics.super_resolution import bicubic_resize
from zoo.models import srgan


def noise(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def first_batch(model, size=4):
    return next(iter(random_source(model).batches(size)))


def count_weights(network):
    return sum(w.shape.num_elements() for w in network.trainable_weights)


# -- networks ----------------------------------------------------------------------------------------------------------


def test_parameter_counts_are_the_papers():
    model = zoo.create("srgan_96")
    assert count_weights(model.generator) == 1_550_659 and count_weights(model.discriminator) == 23_565_505
    convolutions = [
        layer for layer in model.discriminator.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.BatchNormalization))
    ]
    assert sum(count_weights(layer) for layer in convolutions) == 4_689_088
    assert count_weights(zoo.create("srresnet_96").generator) == 1_550_659


def test_the_small_presets_have_the_same_generator():
    small, large = zoo.create("srresnet"), zoo.create("srgan")
    assert [w.shape for w in small.generator.weights] == [w.shape for w in large.generator.weights]
    assert small.discriminator is None and list(small.players) == ["g"]


def test_four_channels_become_four_pixels():
    pixels = to_numpy(srgan.PixelShuffle()(np.arange(16, dtype=np.float32).reshape(1, 2, 2, 4)))
    np.testing.assert_array_equal(pixels[0, ..., 0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])


def test_small_generators_start_as_the_bicubic_filter():
    model = tiny_model("srresnet", bicubic_skip=True)
    low = np.random.RandomState(0).rand(2, 9, 8, 3).astype(np.float32) * 2 - 1
    upscaled = to_numpy(model.ema_generator({"low": low}))
    expected = tf.image.resize(low, (36, 32), "bicubic", antialias=True).numpy()
    np.testing.assert_allclose(upscaled[:, 8:-8, 8:-8], expected[:, 8:-8, 8:-8], atol=1e-5)
    np.testing.assert_allclose(upscaled, expected, atol=0.2)  # TensorFlow does not mirror at the edges


def test_the_learning_rate_drops_to_a_tenth_halfway():
    model = zoo.create("srgan_96", content_loss="mse")
    model.compile()
    updates = (0, 99_999, 100_000, 199_999)
    rates = [float(optimizer._learning_rate(at)) for optimizer in optimizers.by_player(model).values() for at in updates]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5] * 2)


# -- training crops ----------------------------------------------------------------------------------------------------


def test_low_is_the_downsampled_crop():
    config = tiny_model("srresnet", random_rotation=False).config
    picture = noise(20, 24, 3)
    crop = functools.partial(srgan.crop_pair, config, {"picture": tf.constant(picture)})
    pairs = [crop([seed, tf.constant(3)], True) for seed in range(12)]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16, 3)).reshape(-1, 16, 16, 3)
    for pair in pairs:
        assert any(np.array_equal(pair["high"], window) for window in windows)
        assert pair["low"].shape == (4, 4, 3)
        np.testing.assert_array_equal(pair["low"], bicubic_resize(pair["high"], (4, 4)))
    assert len({to_numpy(pair["high"]).tobytes() for pair in pairs}) > 6
    np.testing.assert_array_equal(crop([0, tf.constant(3)], True)["high"], pairs[0]["high"])


def test_crops_are_rotated_in_training_only():
    config, picture = tiny_model("srresnet", random_rotation=True).config, noise(16, 16, 3)
    crop = functools.partial(srgan.crop_pair, config, {"picture": tf.constant(picture)})
    symmetries = {np.rot90(image, k).tobytes() for image in (picture, picture[:, ::-1]) for k in range(4)}
    crops = {to_numpy(crop([seed, 0], True)["high"]).tobytes() for seed in range(40)}
    assert crops <= symmetries and len(crops) == 8
    np.testing.assert_array_equal(crop([1, 0], False)["high"], picture)


def test_batches_hold_both_in_the_range_of_the_networks():
    model = tiny_model("srresnet")
    batch = first_batch(model)
    assert set(batch) == set(model.train_keys) == {"high", "low"}
    assert batch["high"].shape == (4, 16, 16, 3) and batch["low"].shape == (4, 4, 4, 3)
    assert -1 <= to_numpy(batch["low"]).min() < 0 < to_numpy(batch["low"]).max() <= 1


def test_grayscale_pictures_become_rgb_and_the_reverse():
    for channels, other in ((3, 1), (1, 3)):
        config = tiny_model("srresnet", image_shape=(16, 16, channels)).config
        pair = srgan.crop_pair(config, {"picture": noise(20, 24, other)}, [0, 0], True)
        assert pair["high"].shape == (16, 16, channels) and pair["low"].shape == (4, 4, channels)


def test_a_small_picture_is_refused_before_training(working_directory):
    for i, size in enumerate(((60, 70), (30, 70), (80, 80))):
        Image.fromarray(noise(*size, 3)).save(f"{i}.png")
    with pytest.raises(UserError, match=r"pictures smaller than 48x48 in 'train': 1, one of 30x70; .*--image-shape 28 28 3"):
        train_model("srresnet", data=f"folder:{working_directory}", steps=2)
    assert not (working_directory / "runs").exists()
    model = zoo.create("srresnet", image_shape=(28, 28, 3), blocks=1, width=1)
    source = model.prepare_data(model.config, data.open_source(f"folder:{working_directory}", keys=("picture",)))
    assert next(iter(source.batches(4)))["high"].shape == (4, 28, 28, 3)


def test_a_small_picture_is_extended_by_its_mirror_image():
    picture = noise(3, 5, 1)
    extended = to_numpy(srgan.mirror_to_size(tf.constant(picture), (8, 5)))
    np.testing.assert_array_equal(extended, np.concatenate([picture, picture[::-1], picture[:2]]))
    np.testing.assert_array_equal(srgan.mirror_to_size(tf.constant(picture), (2, 4)), picture)


def test_sides_must_be_multiples_of_four():
    with pytest.raises(UserError, match="images of 50x48 pixels: both sides must be multiples of 4; --image-shape 48 48 3 resizes them"):
        zoo.create("srresnet", image_shape=(50, 48, 3))


# -- losses and previews -----------------------------------------------------------------------------------------------


def test_the_losses_by_hand():
    model = tiny_model("srgan", adversarial_weight=0.5)
    batch, fake = first_batch(model), tf.constant(np.random.RandomState(1).uniform(-1, 1, (4, 16, 16, 3)), tf.float32)
    terms = model.generator_loss(batch, fake)
    assert set(terms) == {"g_content", "g_adversarial"}
    assert float(terms["g_content"]) == pytest.approx(np.mean((to_numpy(batch["high"]) - to_numpy(fake)) ** 2), rel=1e-5)
    fake_logits = to_numpy(model.call_discriminator(fake, batch)).astype(np.float64)
    assert float(terms["g_adversarial"]) == pytest.approx(0.5 * np.mean(np.log1p(np.exp(-fake_logits))), rel=1e-4)
    real_logits = to_numpy(model.call_discriminator(batch["high"], batch)).astype(np.float64)
    expected = np.mean(np.log1p(np.exp(-real_logits))) + np.mean(np.log1p(np.exp(fake_logits)))
    assert float(model.discriminator_loss(batch, fake)["d_adversarial"]) == pytest.approx(expected, rel=1e-4)


def test_previews_are_triples():
    model = tiny_model("srresnet")
    batch = first_batch(model, 7)
    images, columns = model.preview(batch)
    assert images.shape == (18, 16, 16, 3) and columns == 9
    np.testing.assert_allclose(images[2::3], (to_numpy(batch["high"])[:6] + 1) / 2, atol=1e-6)
    expected = np.clip((tf.image.resize(batch["low"][:6], (16, 16), "bicubic") + 1) / 2, 0, 1)
    np.testing.assert_allclose(images[0::3], expected, atol=1e-6)
