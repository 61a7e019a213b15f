"""BigGAN: truncation, orthogonal regularization, hierarchical latents, standing statistics; attention, as in SAGAN."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import same_arrays, tiny_model, to_numpy, train_steps, weights

import zoo
from zoo import registry
from zoo.core import flatten_layers, layers
from zoo.models import biggan


def test_truncated_noise_is_distributed_like_resampled_noise():
    from scipy import stats

    model = tiny_model("biggan", latent_dim=80)
    seeds = tf.range(500, dtype=tf.int64)
    for limit in (0.3, 1.0, 2.5):
        truncated = model.latents(seeds, tf.fill([500], limit)).numpy().ravel()
        assert np.abs(truncated).max() <= limit
        assert stats.kstest(truncated, stats.truncnorm(-limit, limit).cdf).pvalue > 1e-3
    latents = model.latents(seeds).numpy()
    change = np.abs(model.latents(seeds, tf.fill([500], 5.0)) - latents)
    assert change[np.abs(latents) < 3.5].max() < 1e-2  # a wide range changes hardly anything
    order = np.argsort(latents[0])
    assert (np.diff(model.latents(seeds, tf.fill([500], 0.5)).numpy()[0][order]) >= 0).all()


def test_a_smaller_truncation_makes_samples_more_alike():
    model = tiny_model("biggan")
    label, seeds = np.zeros(32, np.int64), np.arange(32)
    spread = [np.std(model.sample(seeds, label=label, truncation=limit), axis=0).mean() for limit in (0.05, 0.5, 4.0)]
    assert spread[0] < 0.5 * spread[1] < spread[1] < spread[2]
    rows = model.sample([7, 7], label=[1, 1], truncation=[0.05, 2.0])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3  # one per row


def test_orthogonal_penalty_by_hand():
    model = tiny_model("biggan")
    total = 0.0
    for weight in model.generator.trainable_variables:
        if len(weight.shape) > 1 and "embedding" not in weight.path:
            matrix = to_numpy(weight).reshape(-1, weight.shape[-1]).astype(np.float64)
            total += np.sum((matrix.T @ matrix * (1 - np.eye(matrix.shape[1]))) ** 2)
    assert float(model.orthogonal_penalty()) == pytest.approx(total, rel=1e-4) and total > 0
    assert [w for w in model.generator.trainable_variables if "embedding" in w.path]


@pytest.mark.parametrize("name", ["sagan", "biggan"])
@pytest.mark.parametrize("side", [28, 32, 100])
def test_both_networks_have_attention_at_any_size(name, side):
    model = zoo.create(name, image_shape=(side, side, 1))
    for network in model.players.values():
        assert sum(isinstance(layer, layers.LearnedScale) for layer in network.layers) == 1


def test_biggan_256_has_attention_where_table_5_has_it():
    config = dataclasses.replace(registry.get_entry("biggan_256").config, width=1).resolve()
    for build, side in ((biggan.build_generator, 128), (biggan.build_discriminator, 64)):
        (scale,) = [layer for layer in build(config).layers if isinstance(layer, layers.LearnedScale)]
        assert scale.output.shape[1] == side


def test_each_block_has_its_own_chunk_of_the_noise():
    model = tiny_model("biggan", latent_dim=9)
    latent = tf.Variable(np.random.RandomState(0).randn(1, 9), dtype=tf.float32)
    blocks = [layer.output for layer in model.generator.layers if isinstance(layer, keras.layers.Add)]
    features = keras.Model(model.generator.inputs, [keras.ops.sum(output) for output in blocks[:1]])
    for layer in model.generator.layers:  # orthogonal weights would hide the effect of the conditions
        if isinstance(layer, layers.SpectralDense):
            layer.kernel.assign(to_numpy(layer.kernel) + 0.1)
    with tf.GradientTape() as tape:
        value = features({"latent": latent, "label": tf.constant([1], tf.int64)})
        value = value[0] if isinstance(value, list) else value
    gradient = tape.gradient(value, latent)[0].numpy()
    assert (np.abs(gradient[:6]) > 1e-9).all() and (gradient[6:] == 0).all()  # the dense layer's chunk and the first block's only


def test_samples_use_the_statistics_of_many_batches():
    model = tiny_model("biggan", standing_passes=3)
    train_steps(model, 0, 2)
    norm = next(layer for layer in flatten_layers(model.ema_generator) if isinstance(layer, layers.BatchNorm))
    moving_mean, live = to_numpy(norm.moving_mean), weights(model.generator)
    assert norm.momentum == 0.9 and not norm.trainable
    probe = keras.Model(model.ema_generator.inputs, norm.input)
    means = []
    for i in range(3):
        label = tf.constant((np.arange(4) + 4 * i) % 3, tf.int64)
        latent = model.sample_latent((4, model.config.latent_dim), [model.config.seed, i])
        means.append(probe({"latent": latent, "label": label}).numpy().mean((0, 1, 2)))
    np.testing.assert_allclose(moving_mean, np.mean(means, 0), atol=1e-5)
    before, callback = weights(model.ema_generator), biggan.StandingStatistics()
    callback.set_model(model)
    callback.on_epoch_end(0)
    assert same_arrays(weights(model.ema_generator), before)  # a function of the weights alone: another evaluation changes nothing
    assert same_arrays(weights(model.generator), live)
