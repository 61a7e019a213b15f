"""Walks: frames between keyframes, spherical interpolation, and mixtures of classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.core import Game
from zoo.errors import UserError
from zoo.latent import LatentDistribution, Walk, interpolate, slerp
from zoo.latent.networks import MixedLabels, Sampler, StandIn


@pytest.fixture(scope="module")
def dcgan():
    return tiny_model("dcgan")


@pytest.fixture(scope="module")
def acgan():
    return tiny_model("acgan")


@pytest.fixture(scope="module")
def biggan():
    return tiny_model("biggan")


def test_slerp_turns_at_a_constant_rate_and_keeps_the_norm():
    start, end = np.float32([[3, 0, 0], [1, 0, 0], [2, 0, 0]]), np.float32([[0, 3, 0], [0, 2, 0], [2, 0, 0]])
    for progress in (0.25, 0.5, 0.75):
        between = slerp(start, end, np.full(3, progress))
        angle = progress * np.pi / 2
        np.testing.assert_allclose(between[0], [3 * np.cos(angle), 3 * np.sin(angle), 0], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(between[1]), 1 + progress, rtol=1e-6)
        np.testing.assert_allclose(between[2], start[2], rtol=1e-6)


def test_vectors_without_an_arc_are_interpolated_linearly():
    start, end = np.float32([[1, 0], [0, 0]]), np.float32([[-1, 0], [0, 4]])
    np.testing.assert_allclose(slerp(start, end, np.full(2, 0.25)), [[0.5, 0], [0, 1]], atol=1e-6)


def test_bounded_latent_vectors_stay_in_their_range():
    model = tiny_model("gan")  # uniform in [-3^(1/2), 3^(1/2)]
    distribution, bound = LatentDistribution.measure(model), 3**0.5
    np.testing.assert_allclose(distribution.deviation, 1, atol=0.03)
    assert not distribution.mean.any() and not distribution.is_discrete.any()
    first, last = (model.latents(np.arange(i, i + 200)).numpy() for i in (0, 200))
    between = interpolate(distribution, first, last, np.full(200, 0.5))
    assert bound - 0.01 < np.abs(between).max() <= bound
    np.testing.assert_array_equal(interpolate(distribution, first, last, np.zeros(200)), first)


def test_categories_are_mixed_linearly():
    model = tiny_model("infogan")
    distribution, count = LatentDistribution.measure(model), model.config.categories
    last = model.config.latent_dim - model.config.continuous_codes
    assert np.flatnonzero(distribution.is_discrete).tolist() == list(range(last - count, last))
    first, second = (model.latents(np.arange(i, i + 50)).numpy() for i in (0, 50))
    between = interpolate(distribution, first, second, np.full(50, 0.25))[:, last - count : last]
    np.testing.assert_allclose(between, (0.75 * first + 0.25 * second)[:, last - count : last], atol=1e-6)


def test_keyframes_are_samples(dcgan):
    walk = Walk([3, 4, 5], frames=30)
    frames, samples = list(walk.images(dcgan)), dcgan.sample([3, 4, 5]).numpy()
    assert len(frames) == walk.num_frames == 61
    np.testing.assert_allclose(np.stack(frames[::30]), samples, atol=1e-6)
    latent = interpolate(LatentDistribution.measure(dcgan), dcgan.latents([3]).numpy(), dcgan.latents([4]).numpy(), np.full(1, 1 / 3))
    expected = dcgan.modality.to_external(dcgan.generate_from(dcgan.ema_generator, latent))[0]
    np.testing.assert_allclose(frames[10], expected, atol=1e-6)
    looped = list(Walk([3, 4], frames=2, loop=True).images(dcgan))
    assert len(looped) == 4 and np.abs(looped[1] - looped[3]).max() < 1e-6  # there and back


def test_classes_morph_into_each_other(acgan):
    frames, samples = list(Walk([7], labels=[0, 2], frames=4).images(acgan)), acgan.sample([7, 7], label=[0, 2]).numpy()
    np.testing.assert_allclose(np.stack([frames[0], frames[-1]]), samples, atol=1e-6)
    distances = [np.abs(frame - samples[0]).mean() for frame in frames]
    assert distances == sorted(distances) and distances[1] > 0


def test_truncation_sweeps(biggan):
    frames = list(Walk([7], labels=[1], truncations=[2.0, 0.1], frames=2).images(biggan))
    for frame, truncation in zip(frames, (2.0, 1.05, 0.1), strict=True):
        np.testing.assert_allclose(frame, biggan.sample([7], label=[1], truncation=truncation)[0], atol=1e-5)


def test_offsets_are_added(dcgan):
    offset = np.float32(0.5) * np.eye(1, dcgan.config.latent_dim, dtype=np.float32)
    frames = list(Walk([7], offsets=np.concatenate([-offset, offset]), frames=2).images(dcgan))
    for frame, step in zip(frames, (-1, 0, 1), strict=True):
        expected = dcgan.generate_from(dcgan.ema_generator, dcgan.latents([7]) + step * offset)
        np.testing.assert_allclose(frame, dcgan.modality.to_external(expected)[0], atol=1e-6)


@pytest.mark.parametrize("name", ["cgan", "acgan", "biggan"])  # one-hot, and an embedding that is shared
def test_a_mixture_of_one_class_is_that_class(name, request):
    model = tiny_model(name) if name == "cgan" else request.getfixturevalue(name)
    count = model.config.num_classes
    latent = tf.repeat(model.latents([5]), count, axis=0)
    network = StandIn(model.ema_generator, MixedLabels(model))
    mixed = model.generate_from(network, latent, label=tf.eye(count))
    plain = model.generate_from(model.ema_generator, latent, label=tf.range(count, dtype=tf.int64))
    np.testing.assert_allclose(mixed, plain, atol=1e-5)
    assert np.abs(plain[0] - plain[1]).max() > 1e-4


def test_labels_that_look_up_no_vectors_are_refused():
    model = tiny_model("cgan")
    latent, label = keras.Input((8,), name="latent"), keras.Input((), dtype="int64", name="label")
    x = keras.ops.where(keras.ops.equal(label, 0)[:, None], latent, -latent)
    x = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(x))
    model.ema_generator = keras.Model({"latent": latent, "label": label}, x)
    assert len(list(Walk([1, 2], labels=[2], frames=1).images(model))) == 2
    with pytest.raises(UserError, match="cannot interpolate between classes; give one class"):
        list(Walk([1], labels=[0, 2], frames=1).images(model))


@pytest.mark.parametrize(
    "walk, message",
    [
        (Walk([1]), "at least two keyframes"),
        (Walk([1, 2], frames=0), "a film of 1 frames"),
        (Walk([]), "at least one value"),
        (Walk([1.5, 2]), "seed: expected integers"),
        (Walk([1, 2], labels=[0]), "is not class-conditional; omit labels"),
        (Walk([1, 2], truncations=[1.0]), "truncation: this model does not support it"),
        (Walk([1, 2], offsets=np.zeros((1, 3))), r"offsets have shape \[1, 3\]; this model takes \[n, 8\]"),
    ],
)
def test_bad_walks(dcgan, walk, message):
    with pytest.raises(UserError, match=message):
        walk.validate(dcgan)


def test_labels_are_checked(acgan):
    with pytest.raises(UserError, match="is class-conditional; give labels"):
        Walk([1, 2]).validate(acgan)
    with pytest.raises(UserError, match="label is out of range; available classes: 0 to 2"):
        Walk([1, 2], labels=[0, 3]).validate(acgan)


def test_image_to_image_models_are_refused():
    with pytest.raises(UserError, match="image-to-image model"):
        Sampler(tiny_model("pix2pix"))


def test_other_modalities_are_refused(dcgan, monkeypatch):
    monkeypatch.setattr(Game, "modality", type("Points", (), {"key": "point", "describe_shape": lambda self, config: "points"})())
    with pytest.raises(UserError, match="this model generates points; models of images are supported"):
        Sampler(dcgan)
