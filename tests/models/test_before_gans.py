"""Autoencoder, VAE and energy-based model: their losses by hand, Langevin dynamics, the replay buffer, previews."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

from zoo.core import losses
from zoo.models import ebm


def batch_of(model, size=4):
    return next(iter(random_source(model).batches(size)))


# -- autoencoder and VAE -----------------------------------------------------------------------------------------------


def test_vae_terms_by_hand():
    model = tiny_model("vae")
    batch = batch_of(model)
    draw = np.random.RandomState(0)
    fake = {
        "pixels": tf.constant(draw.randn(4, 16, 16, 1), tf.float32),
        "mean": tf.constant(draw.randn(4, 8), tf.float32),
        "log_variance": tf.constant(draw.randn(4, 8), tf.float32),
    }
    terms = model.generator_loss(batch, fake)
    mean, deviation = to_numpy(fake["mean"]), np.exp(to_numpy(fake["log_variance"]) / 2)
    divergence = (-np.log(deviation) + (deviation**2 + mean**2) / 2 - 0.5).sum(1).mean()  # KL(N(mean, deviation) | N(0, 1))
    assert float(terms["g_divergence"]) == pytest.approx(divergence, rel=1e-4)
    x, p = (to_numpy(batch["image"]) + 1) / 2, 1 / (1 + np.exp(-to_numpy(fake["pixels"])))
    likelihood = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3)).mean()
    assert float(terms["g_reconstruction"]) == pytest.approx(-likelihood, rel=1e-4)


def test_autoencoder_loss_by_hand():
    model = tiny_model("autoencoder")
    batch = batch_of(model)
    reconstruction = model.generate(batch)
    code = model.serve("encode", image=(to_numpy(batch["image"]) + 1) / 2)["latent"]
    np.testing.assert_allclose(reconstruction, model.generator.get_layer("decoder")({"latent": code}), atol=1e-5)
    error = np.mean((to_numpy(batch["image"]) / 2 - to_numpy(reconstruction) / 2) ** 2)  # of pixels in [0, 1]
    assert float(model.generator_loss(batch, reconstruction)["g_reconstruction"]) == pytest.approx(error, rel=1e-4) and error > 0.01


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_previews_show_originals_above_their_reconstructions(name):
    model = tiny_model(name)
    batch = batch_of(model, 16)
    images, columns = model.preview(batch)
    rows = to_numpy(images).reshape(8, columns, 16, 16, 1)
    originals = (to_numpy(batch["image"]) + 1) / 2
    np.testing.assert_allclose(rows[0], originals[:8], atol=1e-6)
    np.testing.assert_allclose(rows[2], originals[8:], atol=1e-6)
    reconstructions = model.serve("reconstruct", image=originals)["image"]
    np.testing.assert_allclose(rows[1], reconstructions[:8], atol=1e-5)
    np.testing.assert_allclose(rows[4:].reshape(32, 16, 16, 1), model.sample(np.arange(32)), atol=1e-5)


# -- energy-based model ------------------------------------------------------------------------------------------------


def test_ebm_chains_climb_and_end_in_the_buffer():
    model = tiny_model("ebm", noise=0.0, step_size=0.5, langevin_steps=3, reinit_probability=0.0, buffer_size=8)
    batch, before = batch_of(model), to_numpy(model.buffer.images)
    images = to_numpy(model.generate(batch))
    after = to_numpy(model.buffer.images)
    changed = np.flatnonzero(np.abs(after - before).max((1, 2, 3)) > 0)
    assert 1 <= len(changed) <= 4 and all(any(np.allclose(after[row], image, atol=1e-6) for image in images) for row in changed)
    logits = [to_numpy(model.discriminator({"image": start[changed]})) for start in (before, after)]
    assert (logits[1] > logits[0]).all()


def test_a_langevin_step_is_the_step_size_times_the_gradient():
    model = tiny_model("ebm", noise=0.0, step_size=0.25)
    start = tf.constant(np.random.RandomState(0).uniform(-0.5, 0.5, (2, 16, 16, 1)), tf.float32)
    _, gradients = losses.input_gradients(lambda x: model.discriminator({"image": x}), start)
    np.testing.assert_allclose(model.run_langevin(model.discriminator, start, 1, [0, 0]), start + 0.25 * gradients, atol=1e-6)
    outside = model.run_langevin(model.discriminator, start + 9, 1, [0, 0])
    assert to_numpy(outside).max() == 1  # clipped to the range of images


def test_ebm_chains_are_noisy_and_may_restart():
    model = tiny_model("ebm", noise=0.1, step_size=0.0)
    start = tf.zeros([64, 16, 16, 1])
    images = to_numpy(model.run_langevin(model.discriminator, start, 1, [0, 0]))
    assert images.std() == pytest.approx(0.1, rel=0.03) and abs(images.mean()) < 5e-3 and np.abs(images[0] - images[1]).max() > 0.05
    images = to_numpy(model.run_langevin(model.discriminator, start, 4, [0, 0]))
    assert images.std() == pytest.approx(0.2, rel=0.03)  # other noise at each step
    for probability in (0.0, 0.5, 1.0):
        model = tiny_model("ebm", noise=0.0, step_size=0.0, reinit_probability=probability, buffer_size=8)
        model.buffer.images.assign(tf.fill(model.buffer.images.shape, 0.25))
        images = to_numpy(model.generate({"image": tf.zeros([200, 16, 16, 1])}))
        restarted = (images != 0.25).any((1, 2, 3))
        assert restarted.mean() == pytest.approx(probability, abs=0.12)
        assert not restarted.any() or images[restarted].std() == pytest.approx(1 / 3**0.5, rel=0.05)  # uniform in [-1, 1]


def test_ebm_gradients_are_clipped():
    model = tiny_model("ebm", noise=0.0, step_size=1.0, gradient_clip=1e-4)
    images = to_numpy(model.run_langevin(model.discriminator, tf.zeros([2, 16, 16, 1]), 1, [0, 0]))
    assert np.abs(images).max() == pytest.approx(1e-4, rel=1e-5) and (images > 0).any() and (images < 0).any()


def test_ebm_loss_by_hand():
    model = tiny_model("ebm", l2_weight=0.5)
    batch = batch_of(model)
    fake = model.generate(batch)
    real_logits, fake_logits = (to_numpy(model.discriminator({"image": images})).astype(np.float64) for images in (batch["image"], fake))
    terms = model.discriminator_loss(batch, fake)
    assert float(terms["d_adversarial"]) == pytest.approx(fake_logits.mean() - real_logits.mean(), abs=1e-6)
    assert float(terms["d_l2"]) == pytest.approx(0.5 * np.mean(real_logits**2 + fake_logits**2), rel=1e-4)


def test_ebm_previews_run_from_noise_to_the_served_sample():
    model = tiny_model("ebm", noise=0.05, step_size=0.5, sampling_steps=21)
    images, columns = model.preview(None)
    rows = to_numpy(images).reshape(8, columns, 16, 16, 1)
    noise = (to_numpy(model.latents(tf.range(8, dtype=tf.int64))).reshape(8, 16, 16, 1) + 1) / 2
    np.testing.assert_allclose(rows[:, 0], noise, atol=1e-6)
    np.testing.assert_allclose(rows[:, -1], model.sample(np.arange(8)), atol=1e-5)
    noiseless = tiny_model("ebm", noise=0.0, step_size=0.5, sampling_steps=21)
    images = to_numpy(noiseless.preview(None)[0]).reshape(8 * 8, 16, 16, 1) * 2 - 1
    logits = to_numpy(noiseless.ema_generator({"image": images})).reshape(8, 8)
    assert (np.diff(logits, axis=1) > 0).all()  # each moment looks more real than the one before


def test_ebm_residual_blocks_start_as_their_shortcut():
    x = keras.Input((8, 8, 4))
    network = keras.Model(x, ebm.residual_block(x, 4, 0.5, downsample=True))
    images = np.random.RandomState(0).randn(2, 8, 8, 4).astype(np.float32)
    halved = images.reshape(2, 4, 2, 4, 2, 4).mean((2, 4))
    np.testing.assert_allclose(network(images), np.where(halved > 0, halved, 0.2 * halved), atol=1e-5)
