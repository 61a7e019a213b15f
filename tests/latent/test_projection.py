"""Projection: close to images of the generator, independent of the other pictures, and a function of the seed."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.errors import UserError
from zoo.latent import ProjectionSettings, project
from zoo.latent.projection import WarmupCosine
from zoo.metrics import FeatureExtractor

STEPS = ProjectionSettings(steps=120)


@pytest.fixture(scope="module")
def model():
    return tiny_model("sngan_32")


@pytest.fixture(scope="module")
def images(model):
    return model.sample([3, 4]).numpy()


@pytest.fixture(scope="module")
def projection(model, images):
    return project(model, images, settings=STEPS)


def test_images_of_the_generator_are_approached(model, images, projection):
    assert (projection.distances["pixels"] < 0.2 * projection.start_distances["pixels"]).all()
    start = model.modality.to_external(model.generate_from(model.ema_generator, np.zeros((2, 8), np.float32))).numpy()
    rms = np.sqrt(np.square(start - images).mean((1, 2, 3)))
    np.testing.assert_allclose(projection.start_distances["pixels"], rms, rtol=1e-4)
    np.testing.assert_allclose(projection.way[:, 0], start, atol=1e-5)
    np.testing.assert_array_equal(projection.way[:, -1], projection.images)
    expected = model.modality.to_external(model.generate_from(model.ema_generator, projection.latents))
    np.testing.assert_allclose(projection.images, expected, atol=1e-5)


def test_a_seed_gives_equal_bytes(model, images, projection):
    again = project(model, images, settings=STEPS)
    assert again.latents.tobytes() == projection.latents.tobytes() and again.way.tobytes() == projection.way.tobytes()
    other = project(model, images, settings=ProjectionSettings(steps=120, seed=1))
    assert np.abs(other.latents - projection.latents).max() > 1e-3


def test_a_picture_does_not_depend_on_the_others(model, images, projection):
    alone = project(model, images[1:], settings=STEPS)
    np.testing.assert_allclose(alone.latents, projection.latents[1:], atol=1e-3)


def test_pictures_are_split_into_batches(model, images, projection, monkeypatch):
    monkeypatch.setattr("zoo.latent.projection.MAX_BATCH", 1)
    split = project(model, images, settings=STEPS)
    np.testing.assert_allclose(split.latents, projection.latents, atol=1e-3)


def test_features_are_compared_too(model, images):
    def run(batch):
        return {"features": tf.reshape(tf.nn.avg_pool2d(batch, 4, 4, "VALID"), [-1, 48])}

    extractor = FeatureExtractor("means", "", "means of blocks", None, "", run)
    result = project(model, images, extractor=extractor, settings=STEPS)
    assert set(result.distances) == {"pixels", "features"}
    assert (result.distances["features"] < 0.3 * result.start_distances["features"]).all()


def test_classes_are_given():
    model = tiny_model("acgan")
    image = model.sample([3], label=[2]).numpy()
    own, other = (project(model, image, [label], settings=STEPS).distances["pixels"] for label in (2, 0))
    assert own < other
    for labels, message in ((None, "give the class of each image"), ([3], "label is out of range"), ([0, 1], "give one for each image")):
        with pytest.raises(UserError, match=message):
            project(model, image, labels)


def test_pixels_beyond_the_range_do_not_stop_the_search():
    """The last layer of the generator is linear: what its samples clip is no distance."""
    model = tiny_model("pggan")
    image = model.sample([4]).numpy()
    result = project(model, image, settings=ProjectionSettings(steps=300))
    assert result.distances["pixels"] < 0.3 * result.start_distances["pixels"]


def test_the_learning_rate_rises_and_falls():
    rate = WarmupCosine(0.1, 1000)
    values = [float(rate(step)) for step in (0, 24, 49, 400, 750, 875, 999)]
    np.testing.assert_allclose(values, [0.002, 0.05, 0.1, 0.1, 0.1, 0.05, 0], atol=1e-4)
    assert WarmupCosine(**rate.get_config()).get_config() == rate.get_config()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda images: images[:, :8], r"images: float32 of shape \[2, 8, 16, 3\]; expected float32 \[n, 16, 16, 3\]"),
        (lambda images: np.uint8(images), "images: uint8"),
        (lambda images: images * 255 + 2, r"values must be in \[0, 1\]"),
        (lambda images: images[:0], "images: float32 of shape"),
    ],
)
def test_bad_images(model, images, change, message):
    with pytest.raises(UserError, match=message):
        project(model, change(images))


def test_bad_settings(model, images):
    for settings in (ProjectionSettings(steps=0), ProjectionSettings(learning_rate=0.0), ProjectionSettings(noise_end=2.0)):
        with pytest.raises(UserError, match="must be"):
            project(model, images, settings=settings)
    with pytest.raises(UserError, match="is not class-conditional; omit labels"):
        project(model, images, [0, 1])
