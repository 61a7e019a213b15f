"""SGAN and InfoGAN: their losses by hand, the balanced labels, the error rate, the code and its previews."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model, to_numpy

from zoo.errors import UserError

# -- SGAN --------------------------------------------------------------------------------------------------------------


def test_sgan_losses_by_hand():
    model = tiny_model("sgan", image_noise=0.0, noise=0.0)
    batch = next(iter(random_source(model).batches(4)))
    fake = model.generate(batch)
    terms = model.discriminator_loss(batch, fake)

    def class_logits(images):
        return to_numpy(model.discriminator({"image": images})["classes"]).astype(np.float64)

    def logsumexp(logits):
        return np.log(np.exp(logits).sum(1))

    labeled, real, generated = (class_logits(images) for images in (batch["labeled_image"], batch["image"], fake))
    class_loss = np.mean(logsumexp(labeled) - labeled[np.arange(4), batch["label"]])
    probability = [np.exp(logsumexp(x)) / (np.exp(logsumexp(x)) + 1) for x in (real, generated)]  # D = Z / (Z + 1)
    assert float(terms["d_labeled"]) == pytest.approx(class_loss, rel=1e-4)
    adversarial = -np.mean(np.log(probability[0])) / 2 - np.mean(np.log(1 - probability[1])) / 2
    assert float(terms["d_adversarial"]) == pytest.approx(adversarial, rel=1e-4)
    features = [to_numpy(model.discriminator({"image": images})["features"]) for images in (batch["image"], fake)]
    by_hand = np.mean((features[0].mean(0) - features[1].mean(0)) ** 2)
    assert float(model.generator_loss(batch, fake)["g_features"]) == pytest.approx(by_hand, rel=1e-4)


def test_sgan_gets_as_many_labels_of_each_class():
    model = tiny_model("sgan", labels=6)
    source = random_source(model)
    assert sorted(source.labeled["label"]) == [0, 0, 1, 1, 2, 2]
    stream, labeled = source.batches(4), {row.tobytes() for row in source.labeled["image"]}
    for batch in stream.take(5):
        assert set(batch) == {"image", "labeled_image", "label"}
        images = np.uint8(np.rint((to_numpy(batch["labeled_image"]) + 1) * 127.5))
        assert {image.tobytes() for image in images} <= labeled
    resumed = next(iter(source.batches(4, start=3)))
    for i, batch in enumerate(stream.take(4)):
        assert i < 3 or all(np.array_equal(batch[key], resumed[key]) for key in batch)
    other = tiny_model("sgan", labels=6, seed=5)
    assert {row.tobytes() for row in random_source(other).labeled["image"]} != labeled
    with pytest.raises(UserError, match="--labels 2: fewer than the 3 classes"):
        tiny_model("sgan", labels=2)


def test_sgan_error_rate_is_that_of_its_predictions():
    model = tiny_model("sgan")
    (metric,) = model.own_metrics
    images = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 1)).astype(np.uint8)
    predictions = to_numpy(model.discriminate(tf.constant(images / 255, tf.float32))["class_probabilities"]).argmax(1)

    def error_rate(labels):
        evaluation = types.SimpleNamespace(held_out={"image": images, "label": labels})
        return metric.compute(evaluation, model)["error_rate"].value

    assert error_rate(predictions) == 0
    outputs = model.serve("classify", image=(images / 255).astype(np.float32))
    np.testing.assert_array_equal(outputs["label"], predictions)
    np.testing.assert_allclose(np.sum(outputs["class_probabilities"], 1), 1, atol=1e-5)
    wrong = predictions.copy()
    wrong[:5] = (wrong[:5] + 1) % 3
    assert error_rate(wrong) == pytest.approx(0.25)


# -- InfoGAN -----------------------------------------------------------------------------------------------------------


def test_infogan_code_and_information_loss():
    model = tiny_model("infogan", latent_dim=12)
    latent = model.latents(tf.range(2000, dtype=tf.int64))
    category, continuous = model.split_code(latent)
    assert category.shape == (2000, 3) and continuous.shape == (2000, 2)
    np.testing.assert_allclose(np.mean(category, 0), 1 / 3, atol=0.05)
    np.testing.assert_array_equal(np.sort(category, 1), [[0, 0, 1]] * 2000)
    assert np.abs(np.mean(continuous)) < 0.05 and np.std(continuous) == pytest.approx(1 / 3**0.5, abs=0.02)
    assert np.abs(np.corrcoef(to_numpy(latent).T) - np.eye(12))[:, :7].max() < 0.1  # no value is drawn twice
    output = {"category": tf.math.log(category * 0.98 + 0.01), "numbers": continuous + 0.5}
    assert float(model.information_loss(output, latent)) == pytest.approx(-math.log(0.99 / 1.01) + 2 * 0.25 / 2, abs=1e-4)


def test_infogan_previews_traverse_the_code():
    model = tiny_model("infogan", latent_dim=12)
    for weight in (weight for weight in model.ema_generator.weights if len(weight.shape) > 1):
        weight.assign(to_numpy(weight) * 10)  # with small weights images would hardly differ
    images, columns = model.preview(None)
    assert images.shape == (80, 16, 16, 1) and columns == 10
    rows = to_numpy(images).reshape(8, 10, -1)
    np.testing.assert_array_equal(rows[:4, 0], rows[:4, 3])  # three categories: the fourth column repeats the first
    assert (np.abs(rows[:4, 0] - rows[:4, 1]).max(-1) > 1e-4).all()
    assert (np.abs(np.diff(rows[4:], axis=1)).max(-1) > 1e-6).all()
    latents = to_numpy(model.latents(tf.range(4, dtype=tf.int64)))
    for row, (seed, position) in enumerate([(0, -2), (1, -2), (0, -1), (1, -1)], 4):  # two rows for each continuous code
        latent = np.tile(latents[seed], (10, 1))
        latent[:, position] = np.linspace(-2, 2, 10)
        by_hand = (to_numpy(model.ema_generator({"latent": latent})) + 1) / 2
        np.testing.assert_allclose(rows[row], by_hand.reshape(10, -1), atol=1e-5)
