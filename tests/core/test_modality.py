"""A modality other than images: points [n, 2], with a configuration and a picture of their own, go through the same game."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import metrics, registry, testing
from zoo.core import Config, Game, Modality, layers, signatures
from zoo.core.images import Images
from zoo.errors import UserError
from zoo.metrics import requires_extractor


@dataclasses.dataclass(frozen=True)
class PointsConfig(Config):
    dimensions: int = 2  # coordinates of a point
    units: int = 16  # units of the hidden layer of both networks


class Points:
    """Points in a plane; a coordinate is the same inside and outside, and any finite value is valid."""

    key, external_range, augmentations = "point", None, {}

    def sample_shape(self, config):
        return (config.dimensions,)

    def describe_shape(self, config):
        return f"points of {config.dimensions} coordinates"

    def to_external(self, samples):
        return tf.cast(samples, tf.float32)

    def from_external(self, samples, name="point"):
        samples = tf.cast(samples, tf.float32)
        signatures.require(tf.reduce_all(tf.math.is_finite(samples)), f"{name}: values must be finite")
        return samples

    def file_signatures(self, sample):
        return {}

    def render(self, samples, columns):
        """A scatter plot of the square from -2 to 2, white on black."""
        picture = np.zeros((64, 64, 1), np.uint8)
        x, y = np.int64(np.clip((np.asarray(samples)[:, :2] + 2) / 4, 0, 1) * 63).T
        picture[63 - y, x] = 255
        return picture

    def diversity(self, samples, labels=None):
        samples = np.asarray(samples)
        return float(np.mean(np.linalg.norm(samples[:, None] - samples[None], axis=-1)))

    def validate_batch(self, batch, config):
        points = np.asarray(batch["point"])
        if points.dtype.kind != "f" or points.shape[1:] != self.sample_shape(config):
            raise UserError(f"point has dtype {points.dtype} and shape {list(points.shape)}; expected float32 [n, {config.dimensions}]")


class PointsGAN(Game):
    """Two small perceptrons; the discriminator knows the label, and so does the generator."""

    modality = Points()
    batch_keys = ("point", "label")

    def __init__(self, config):
        super().__init__(config, self.build_generator(config), self.build_discriminator(config))

    @staticmethod
    def build_generator(config):
        latent, label = keras.Input((config.latent_dim,), name="latent"), keras.Input((), dtype="int64", name="label")
        x = keras.layers.Concatenate()([latent, keras.layers.Embedding(config.num_classes, 4)(label)])
        x = keras.layers.Dense(config.units, "relu")(x)
        return keras.Model({"latent": latent, "label": label}, keras.layers.Dense(config.dimensions, dtype="float32")(x))

    @staticmethod
    def build_discriminator(config):
        point, label = keras.Input((config.dimensions,), name="point"), keras.Input((), dtype="int64", name="label")
        x = keras.layers.Concatenate()([point, keras.layers.Embedding(config.num_classes, 4)(label)])
        return keras.Model({"point": point, "label": label}, layers.logits(keras.layers.Dense(config.units, "relu")(x)))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The model has a name during these tests only."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    zoo.register(points=PointsConfig())(PointsGAN)


def points_model(**settings):
    return testing.build_model("points", **settings)


DRAW = np.random.RandomState(0)
LABELS = DRAW.randint(0, 3, 64)
POINTS = (DRAW.normal(size=(64, 2)) / 4 + LABELS[:, None]).astype(np.float32)


def test_points_pass_all_checks():
    zoo.testing.check_model("points")


def test_points_train_by_fit_and_are_sampled_served_and_shown():
    model = points_model(batch_size=16)
    history = model.fit((POINTS, LABELS), epochs=2, verbose=0).history
    assert model.completed_steps == 8 and np.isfinite(history["d_adversarial"]).all()
    points = model.sample([1, 2, 3], label=[0, 1, 2])
    assert points.shape == (3, 2) and points.dtype == tf.float32
    np.testing.assert_allclose(model.serve("sample", seed=[1, 2, 3], label=[0, 1, 2])["point"], points, atol=1e-6)
    assert sorted(model.signatures()) == ["discriminate", "sample", "serving_default"]
    assert model.discriminate(points, label=tf.constant([0, 1, 2], tf.int64))["realness"].shape == (3,)
    preview, columns = model.preview({"point": POINTS, "label": LABELS})
    picture = model.modality.render(preview, columns)
    assert preview.shape == (30, 2) and picture.shape == (64, 64, 1) and 0 < np.count_nonzero(picture) <= 30
    assert model.modality.diversity(points) > 0


def test_errors_name_points():
    model = points_model()
    with pytest.raises(UserError, match=r"point has dtype int64 and shape .*; expected float32 \[n, 2\]"):
        model.fit((np.int64(POINTS), LABELS), verbose=0)
    with pytest.raises(UserError, match="point is missing: this model trains on batches of point, label"):
        model.fit({"image": POINTS}, verbose=0)
    with pytest.raises(UserError, match="point: values must be finite"):
        model.discriminate(np.full([1, 2], np.nan), label=tf.constant([0], tf.int64))
    with pytest.raises(UserError, match="--augment color: not an augmentation of points of 2 coordinates; leave it out"):
        zoo.create("points", augment=("color",))


def test_metrics_of_images_do_not_apply_to_points():
    evaluation, model = metrics.Evaluation(zoo.data.open_source("digits"), None, 20), points_model()
    assert not requires_extractor(model) and evaluation.available_metrics(model, ["frechet", "swd"]) == []
    with pytest.raises(UserError, match="swd needs a model that generates images from noise"):
        evaluation.evaluate(model, ["swd"])
    with pytest.raises(UserError, match=r"metrics of samples compare images; this model generates points of shape \(2,\)"):
        evaluation.generate_samples(model)


@pytest.mark.parametrize("modality", [Images, Points])
def test_a_modality_has_all_members(modality):
    members = [name for name in vars(Modality) if not name.startswith("_")]
    assert len(members) >= 11 and not [name for name in members if not hasattr(modality, name)]
