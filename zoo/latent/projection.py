"""Projection: optimizes the latent vector whose image is closest to a given one (Karras et al. 2019, arXiv:1912.04958, appendix D)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, losses
from zoo.core.signatures import as_integers, require_in_range
from zoo.errors import UserError
from zoo.latent.distribution import LatentDistribution
from zoo.latent.networks import require_generator
from zoo.metrics import FeatureExtractor
from zoo.metrics.extractors.base import resize_batch
from zoo.metrics.interfaces import Progress, no_progress

MAX_BATCH = 16  # pictures that are projected at once
MAX_VALUES = 2**20  # pixels times channels of these pictures
MAX_STEPS = 1_000_000
OVERSHOOT = 0.05  # share of what exceeds [0, 1], which is clipped in samples, that remains while optimizing
SNAPSHOTS = 8  # intermediate images, including the first and the last one
FEATURE_WEIGHT, PIXEL_WEIGHT = 1.0, 10.0  # the mean squared error of pixels is smaller by about this factor
Distances = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]  # images and features of the targets -> one value per row and term


@keras.saving.register_keras_serializable("zoo")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly over the first 5% of the steps, and falls to 0 along half a cosine over the last 25%.

    Args:
        rate: The highest learning rate.
        steps: Number of steps.
        warmup: Fraction of the steps in which it rises.
        decay: Fraction of the steps in which it falls.
    """

    def __init__(self, rate: float, steps: int, warmup: float = 0.05, decay: float = 0.25) -> None:
        super().__init__()
        self.rate, self.steps, self.warmup, self.decay = rate, steps, warmup, decay

    def __call__(self, step: Any) -> tf.Tensor:
        progress = tf.cast(step, tf.float32) / self.steps
        fall = 0.5 - 0.5 * tf.cos(math.pi * tf.minimum(1.0, (1 - progress) / self.decay))
        return self.rate * fall * tf.minimum(1.0, (progress + 1 / self.steps) / self.warmup)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps, "warmup": self.warmup, "decay": self.decay}


@dataclasses.dataclass(frozen=True)
class ProjectionSettings:
    """Settings of the optimization; the defaults are those of the paper.

    Attributes:
        steps: Number of steps.
        learning_rate: Highest learning rate of Adam, in standard deviations of the latent vectors.
        noise: Standard deviation of the noise that is added to the latent vectors at first, as a fraction of that of whole latent vectors.
        noise_end: Fraction of the steps at which the noise has fallen to 0, quadratically.
        seed: Seed of the noise.
    """

    steps: int = 1000
    learning_rate: float = 0.1
    noise: float = 0.05
    noise_end: float = 0.75
    seed: int = 0

    def validate(self) -> None:
        """Raises UserError for values out of range."""
        if not 1 <= self.steps <= MAX_STEPS:
            raise UserError(f"steps={self.steps}: must be from 1 to {MAX_STEPS:,}")
        if not 0 < self.learning_rate < math.inf or not 0 <= self.noise < math.inf or not 0 < self.noise_end <= 1:
            raise UserError("learning_rate must be more than 0, noise 0 or more, and noise_end more than 0 and at most 1")


@dataclasses.dataclass(frozen=True)
class Projection:
    """Projections of n images.

    Attributes:
        latents: float32 [n, latent_dim].
        images: What the generator makes of them, float32 [n, h, w, c] in [0, 1].
        way: Images on the way there, [n, k, h, w, c]: from that of the mean latent vector to the projection.
        distances: `pixels` (root mean squared error in [0, 1]) and, with a feature extractor, `features` (Euclidean distance of features
            of length 1, at most 2), [n] each.
        start_distances: Those of the mean latent vector, where the optimization starts.
    """

    latents: np.ndarray
    images: np.ndarray
    way: np.ndarray
    distances: dict[str, np.ndarray]
    start_distances: dict[str, np.ndarray]


def project(
    model: Game,
    images: Any,
    labels: Sequence[int] | None = None,
    extractor: FeatureExtractor | None = None,
    settings: ProjectionSettings | None = None,
    progress: Progress = no_progress,
) -> Projection:
    """Finds the latent vectors whose images are closest to given ones.

    The optimization starts from the mean latent vector. Adam minimizes the squared distance of the features plus that of the pixels, of
    images of latent vectors with noise, which helps it to leave local minima; the noise falls to 0. Latent vectors stay in the range of
    their distribution. All pictures share the noise of a step, so that a projection does not depend on the others.

    Args:
        model: A model that generates images from noise.
        images: The targets, float32 [n, h, w, c] in [0, 1], of the model's shape.
        labels: Their classes, [n], for class-conditional models.
        extractor: Computes the features (`zoo.metrics.load_extractor`); None: pixels only.
        settings: Of the optimization.
        progress: A progress bar.

    Raises:
        UserError: For images of another shape or range, missing or out-of-range labels, and models that do not support it.
    """
    settings = settings or ProjectionSettings()
    settings.validate()
    require_generator(model)
    targets, conditions = _validate_targets(model, images, labels)
    size = max(1, min(MAX_BATCH, MAX_VALUES // math.prod(model.modality.sample_shape(model.config))))
    distribution = LatentDistribution.measure(model)
    parts = []
    for i in range(0, len(targets), size):
        rows = slice(i, i + size)
        search = _Search(model, targets[rows], {name: value[rows] for name, value in conditions.items()}, extractor, settings, distribution)
        parts.append(search.run(progress(f"projection {i // size + 1}/{-(-len(targets) // size)}")))
    latents, pictures, way = (np.concatenate([getattr(part, field) for part in parts]) for field in ("latents", "images", "way"))
    ends, starts = (
        {name: np.concatenate([getattr(part, field)[name] for part in parts]) for name in parts[0].distances}
        for field in ("distances", "start_distances")
    )
    return Projection(latents, pictures, way, ends, starts)


def _validate_targets(model: Game, images: Any, labels: Sequence[int] | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    shape, images = model.modality.sample_shape(model.config), np.asarray(images)
    if images.dtype.kind != "f" or images.shape[1:] != shape or not len(images):
        raise UserError(
            f"images: {images.dtype} of shape {list(images.shape)}; expected float32 [n, {', '.join(map(str, shape))}] in [0, 1]"
        )
    model.modality.from_external(tf.constant(images, tf.float32))  # checks the range
    if (labels is not None) != ("label" in model.conditions):
        state = "is not class-conditional; omit labels" if labels is not None else "is class-conditional; give the class of each image"
        raise UserError(f"this model {state}")
    if labels is None:
        return images, {}
    values = as_integers("label", labels)
    require_in_range(values, model.config.num_classes, "label", "classes")
    if values.shape != (len(images),):
        raise UserError(f"{len(images)} images and labels of shape {list(values.shape)}; give one for each image")
    return images, {"label": values.numpy()}


class _Search:
    """The optimization for one batch of targets."""

    def __init__(
        self,
        model: Game,
        targets: np.ndarray,
        conditions: dict[str, np.ndarray],
        extractor: FeatureExtractor | None,
        settings: ProjectionSettings,
        distribution: LatentDistribution,
    ) -> None:
        self.model, self.extractor, self.settings = model, extractor, settings
        self.targets = tf.constant(targets, tf.float32)
        self.conditions = {name: tf.constant(values) for name, values in conditions.items()}
        self.target_features = self._features(self.targets) if extractor else None
        self.distribution = distribution
        self.latent = keras.Variable(np.repeat(distribution.mean[None], len(targets), 0), name="latent", dtype="float32")
        scale = float(np.sqrt(np.mean(np.square(distribution.deviation))))
        self.optimizer = keras.optimizers.Adam(WarmupCosine(settings.learning_rate * scale, settings.steps), epsilon=1e-8)
        self.optimizer.build([self.latent])
        self.measure = tf.function(self._measure, autograph=False)
        self.advance = tf.function(self._advance, autograph=False)

    def run(self, progress: Callable[[Any], Any]) -> Projection:
        """Optimizes, and takes snapshots."""
        steps = self.settings.steps
        moments = set((steps * np.linspace(0, 1, SNAPSHOTS) ** 2).astype(int).tolist())  # closer together where more changes
        way, start = [], self.measure()
        for step in progress(range(steps)):
            if step in moments:
                way.append(self.measure()["images"].numpy())
            self.advance(tf.constant(step))
        end = self.measure()
        way.append(end["images"].numpy())
        distances = [{name: np.sqrt(one[name].numpy()) for name in one if name != "images"} for one in (end, start)]
        return Projection(keras.ops.convert_to_numpy(self.latent), end["images"].numpy(), np.stack(way, 1), *distances)

    def _measure(self) -> dict[str, tf.Tensor]:
        """The images of the latent vectors, and their squared distances from the targets."""
        images = tf.clip_by_value(self._generate(tf.convert_to_tensor(self.latent.value)), 0, 1)
        return {"images": images, **self._distances(images)}

    def _advance(self, step: tf.Tensor) -> None:
        """One step of Adam, from latent vectors with noise."""
        settings, deviation = self.settings, self.distribution.deviation
        remaining = tf.maximum(0.0, 1 - tf.cast(step, tf.float32) / settings.steps / settings.noise_end)
        seed = tf.stack([tf.cast(settings.seed, tf.int64), tf.cast(step, tf.int64)])
        # The deviation of whole latent vectors, i.e. of their distance from the mean, is that of a value times the root of their length.
        noise = tf.random.stateless_normal(deviation.shape, seed) * deviation * (settings.noise * len(deviation) ** 0.5)

        def loss(latent: tf.Tensor) -> tf.Tensor:
            distances = self._distances(self._generate(latent))
            return PIXEL_WEIGHT * distances["pixels"] + FEATURE_WEIGHT * distances.get("features", 0.0)

        _, gradient = losses.input_gradients(loss, self.latent.value + noise * tf.square(remaining))
        self.optimizer.apply([gradient], [self.latent])
        self.latent.assign(tf.clip_by_value(self.latent.value, self.distribution.low, self.distribution.high))

    def _generate(self, latent: tf.Tensor) -> tf.Tensor:
        """Images in [0, 1] that exceed the range by a part of what the generator's do, so that pixels beyond it have gradients."""
        images = (self.model.generate_from(self.model.ema_generator, latent, **self.conditions) + 1) / 2
        clipped = tf.clip_by_value(images, 0, 1)
        return clipped + OVERSHOOT * (images - clipped)

    def _distances(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Squared distances from the targets, [n] each."""
        distances = {"pixels": tf.reduce_mean(tf.square(images - self.targets), (1, 2, 3))}
        if self.extractor:
            distances["features"] = tf.reduce_sum(tf.square(self._features(images) - self.target_features), 1)
        return distances

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        """Features of length 1, [n, d]."""
        assert self.extractor
        shape = self.extractor.shape or (*images.shape[1:3], min(images.shape[-1], 3))
        features = self.extractor.run(resize_batch(images, shape))["features"]
        return tf.math.l2_normalize(tf.cast(features, tf.float32), 1)
