"""CycleGAN and pix2pix: replay buffers, losses by hand, noise as a function of the seed, what discriminators see."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

import zoo
from zoo.core import layers
from zoo.errors import UserError
from zoo.models.pix2pix import Dropout


def constant_images(count, *values, side=16):
    """Images of one value each."""
    return tf.ones([count, side, side, 1]) * tf.reshape(tf.constant(values, tf.float32), [-1, 1, 1, 1])


# -- CycleGAN -------------------------------------------------------------------------------------------------------------------------


def test_a_full_replay_buffer_returns_earlier_images_half_of_the_time():
    model = tiny_model("cyclegan", buffer_size=6, batch_size=2)
    stored, num_earlier = [], 0
    for i in range(40):
        fake = {name: constant_images(2, 0.01 * (2 * i + 1), 0.01 * (2 * i + 2)) for name in "xy"}
        model.seeds.restart()
        replayed = {name: to_numpy(value)[:, 0, 0, 0] for name, value in model.replay(fake).items()}
        model.step_counter.assign_add(1)
        new = to_numpy(fake["x"])[:, 0, 0, 0]
        stored.extend(new)
        assert all(np.isclose(value, stored, atol=1e-6).any() for values in replayed.values() for value in values)
        if i < 3:
            np.testing.assert_array_equal(replayed["x"], new)
        else:
            num_earlier += sum(not np.isclose(value, new, atol=1e-6).any() for value in replayed["x"])
    assert int(model.pooled) == 80
    assert 20 <= num_earlier <= 54, "half of 74"
    buffer = to_numpy(model.buffer_x.images)[:, 0, 0, 0]
    assert len(set(buffer)) == 6 and all(np.isclose(value, stored, atol=1e-6).any() for value in buffer)
    assert not np.array_equal(buffer, to_numpy(model.buffer_y.images)[:, 0, 0, 0]), "each buffer draws for itself"


def test_the_replay_buffer_returns_nothing_that_was_not_stored():
    model = tiny_model("cyclegan", buffer_size=5, batch_size=4)  # filled in the middle of a batch
    images = tf.ones([4, *model.config.image_shape])
    for step in range(30):
        model.step_counter.assign(step)
        model.pooled.assign(0)
        model.seeds.restart()
        for buffer in (model.buffer_x, model.buffer_y):
            buffer.images.assign(tf.zeros_like(buffer.images))
        for _ in range(2):
            replayed = model.replay({"x": images, "y": images})
            assert all(float(tf.reduce_min(replayed[name])) == 1 for name in "xy")


def test_the_losses_of_cyclegan_by_hand(monkeypatch):
    model = tiny_model("cyclegan", cycle_weight=10.0, identity_weight=5.0)
    batch = {"x": constant_images(2, 0.2, 0.2), "y": constant_images(2, 0.6, 0.6)}
    fake = {"y": constant_images(2, 0.5, 0.5), "x": constant_images(2, 0.1, 0.1)}
    fake |= {"same_y": constant_images(2, 0.7, 0.7), "same_x": constant_images(2, 0.4, 0.4)}

    def discriminate(images, batch):
        return {name: 3 * tf.reduce_mean(images[name], (1, 2), keepdims=True) for name in "xy"}

    # A translator that adds 0.1 to every pixel, and a discriminator that returns three times the mean.
    monkeypatch.setattr(model, "call_translator", lambda network, domain, images, training: images + 0.1)
    monkeypatch.setattr(model, "call_discriminator", discriminate)
    terms = {name: float(value) for name, value in model.generator_loss(batch, fake).items()}
    assert terms == {
        "g_adversarial_x": pytest.approx((0.3 - 1) ** 2, rel=1e-5),
        "g_adversarial_y": pytest.approx((1.5 - 1) ** 2, rel=1e-5),
        "g_cycle_x": pytest.approx(10 * 0.4, rel=1e-5),  # F(G(x)): 0.6, from 0.2
        "g_cycle_y": pytest.approx(10 * 0.4, rel=1e-5),  # G(F(y)): 0.2, from 0.6
        "g_identity_x": pytest.approx(5 * 0.2, rel=1e-5),
        "g_identity_y": pytest.approx(5 * 0.1, rel=1e-5),
    }
    terms = {name: float(value) for name, value in model.discriminator_loss(batch, fake).items()}
    assert terms == {
        "d_adversarial_x": pytest.approx(((0.6 - 1) ** 2 + 0.3**2) / 2, rel=1e-5),
        "d_adversarial_y": pytest.approx(((1.8 - 1) ** 2 + 1.5**2) / 2, rel=1e-5),
    }


@pytest.mark.parametrize("identity_weight", [5.0, 0.0])
def test_generators_that_run_once_for_both_domains_compute_as_the_formulas(identity_weight):
    model = tiny_model("cyclegan", identity_weight=identity_weight)
    batch = next(iter(random_source(model).batches(4)))
    fake = model.generate(batch)
    expected = {"x": ("x", "y"), "y": ("y", "x")} | ({"same_x": ("x", "x"), "same_y": ("y", "y")} if identity_weight else {})
    assert fake.keys() == expected.keys()
    for key, (domain, source) in expected.items():
        np.testing.assert_allclose(fake[key], model.call_translator(model.generator, domain, batch[source], True), atol=1e-5)


def test_translators_take_any_size_and_are_trained_on_multiples_of_four():
    signatures = tiny_model("cyclegan").signatures()
    for name in ("to_x", "to_y"):
        assert signatures[name].function(tf.zeros([2, 20, 28, 1]))["image"].shape == (2, 20, 28, 1)
    with pytest.raises(UserError, match="images of 30x32 pixels: both sides must be multiples of 4; --image-shape 32 32 1 resizes them"):
        zoo.create("cyclegan", image_shape=(30, 32, 1))
    with pytest.raises(UserError, match="--buffer-size 2: must be at least --batch-size 4"):
        zoo.create("cyclegan", buffer_size=2)


# -- pix2pix --------------------------------------------------------------------------------------------------------------------------


def test_the_noise_of_pix2pix_is_a_function_of_the_seed():
    model = tiny_model("pix2pix")
    batch = next(iter(random_source(model).batches(4)))
    first = model.translate(batch["x"], tf.constant([1, 2, 3, 4], tf.int64))
    np.testing.assert_allclose(first, model.translate(batch["x"], tf.constant([1, 2, 3, 4], tf.int64)), atol=1e-6)
    other = model.translate(batch["x"], tf.constant([1, 2, 3, 5], tf.int64))
    np.testing.assert_allclose(first[:3], other[:3], atol=1e-6)
    assert np.abs(first[3] - other[3]).max() > 1e-4


def test_dropout_is_always_on():
    x = to_numpy(Dropout(0.25, 1)(tf.ones([2, 40, 40, 2]), tf.constant([7, 8], tf.int64)))
    assert set(np.unique(x).round(4)) == {0.0, np.float32(1.3333)}
    assert abs((x == 0).mean() - 0.25) < 0.02 and not np.array_equal(x[0], x[1])
    assert not np.array_equal(x, to_numpy(Dropout(0.25, 2)(tf.ones([2, 40, 40, 2]), tf.constant([7, 8], tf.int64))))


def test_the_discriminator_of_pix2pix_sees_both_images():
    model = tiny_model("pix2pix")
    batch = next(iter(random_source(model).batches(4)))
    logits = model.call_discriminator(batch["y"], batch)
    assert logits.shape[1:] == (2, 2, 1)
    assert np.abs(logits - model.call_discriminator(batch["y"], {**batch, "x": batch["x"][::-1]})).max() > 1e-4
    terms = model.generator_loss(batch, batch["y"] * 0.5)
    assert float(terms["g_l1"]) == pytest.approx(100 * float(tf.reduce_mean(tf.abs(batch["y"]))) / 2, rel=1e-4)


def test_the_u_net_goes_down_to_one_pixel():
    model = zoo.create("pix2pix_256", widths=(1,) * 8)
    down = [layer.output.shape[1] for layer in model.generator.layers if type(layer).__name__ == "Conv2D"]
    up = [layer.output.shape[1] for layer in model.generator.layers if type(layer).__name__ == "Conv2DTranspose"]
    assert down == [128, 64, 32, 16, 8, 4, 2, 1] and up == [2, 4, 8, 16, 32, 64, 128, 256]
    assert sum(type(layer).__name__ == "Dropout" for layer in model.generator.layers) == 3
    assert [layer.output.shape[1:] for layer in model.discriminator.layers][-1] == (30, 30, 1)


def test_both_images_of_a_pair_have_the_same_crop():
    source = random_source(tiny_model("pix2pix"))
    arrays = source.arrays("train")
    twins = {**arrays, "y": arrays["x"]}
    source = dataclasses.replace(source.subset(24), load=lambda split: twins).with_jitter(4, True)
    batches = list(source.batches(24).take(2))
    for batch in batches:
        np.testing.assert_array_equal(batch["x"], batch["y"])
    order = [np.argsort(batch["pair"]) for batch in batches]
    difference = to_numpy(batches[0]["x"])[order[0]] - to_numpy(batches[1]["x"])[order[1]]
    assert np.abs(difference).max() > 0.1, "another crop in another epoch"
    held_out = next(iter(source.batches(24, split="test")))
    np.testing.assert_allclose(to_numpy(held_out["x"])[np.argsort(held_out["pair"])], arrays["x"] / 127.5 - 1, atol=1e-5)


# -- what both are made of ------------------------------------------------------------------------------------------------------------


def test_instance_norm_is_keras_group_norm_of_one_channel():
    x = tf.random.stateless_normal([2, 5, 7, 3], [1, 2]) * 3 + 1
    group_norm = keras.layers.GroupNormalization(-1, epsilon=1e-5)
    instance_norm = layers.InstanceNorm(affine=True)
    np.testing.assert_allclose(instance_norm(x), group_norm(x), atol=1e-4)
    instance_norm.set_weights([np.float32([1, 2, 3]), np.float32([0, 1, 0])])
    group_norm.set_weights([np.float32([1, 2, 3]), np.float32([0, 1, 0])])
    np.testing.assert_allclose(instance_norm(x), group_norm(x), atol=1e-4)
    np.testing.assert_allclose(layers.InstanceNorm()(x).numpy().std((1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("side, num_layers, patches", [(256, 3, 30), (64, 3, 6), (32, 2, 6), (16, 3, 2)])
def test_patches(side, num_layers, patches):
    x = layers.patch_logits(keras.Input((side, side, 3)), 2, num_layers, 0.2, layers.InstanceNorm)
    assert x.shape == (None, patches, patches, 1)
