"""Evaluation of a model's samples against real images, with the protocol under which scores are computed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.extractors import FeatureExtractor
from zoo.metrics.extractors.base import on_white
from zoo.metrics.image_set import ImageSet
from zoo.metrics.interfaces import Arrays, Model, Progress, Source, no_progress
from zoo.metrics.registry import METRICS, Metric, Score, class_accuracy, find_metric, generates_images, unmet_need
from zoo.types import Protocol

__all__ = ["Evaluation", "ImageSet", "check_sample_count"]

BATCH = 250  # images sampled at once
MAX_TRAIN_IMAGES = 60_000  # training images that are searched for neighbors
SEED_OFFSET = 1 << 24  # keeps the samples apart from the previews, whose seeds start at 0

Warn = Callable[[str], object]


class Evaluation:
    """Compares samples with real images, which are read and passed through the extractor once.

    Args:
        source: Source of the real images.
        extractor: See `extractors.load_extractor`; None for a model whose metrics need none (`requires_extractor`).
        count: Number of samples, and of real images if the split has as many.
        split: Split of the real images; default: `test` if there is one (images that the model was not trained on), else `train`.
        seed: Seed of the samples and of the choice of real images.
        live: Evaluates the generator's raw training weights instead of their exponential moving average.
        truncation: See `Game.latents`.
        progress: Description of a loop -> wrapper of that loop (a progress bar).

    Raises:
        UserError: The split does not exist, or count or seed are invalid.
    """

    def __init__(
        self,
        source: Source,
        extractor: FeatureExtractor | None,
        count: int = 10_000,
        split: str | None = None,
        seed: int = 0,
        live: bool = False,
        truncation: float | None = None,
        progress: Progress = no_progress,
    ):
        split = split or ("test" if "test" in source.sizes else "train")
        if split not in source.sizes:
            raise UserError(f"--split {split}: {source.name} has no such split. Available: {', '.join(source.sizes)}.")
        check_sample_count(count, seed)
        self.source, self.extractor, self.count, self.split, self.seed, self.live = source, extractor, count, split, seed, live
        self.truncation, self.progress = truncation, progress
        self._sampler: tuple[Model | None, Any] = (None, None)

    # -- the images ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def held_out(self) -> dict[str, Any]:
        """Real examples as arrays, see `Source.load_examples`: compared with samples, and the input of model-specific metrics."""
        return self.source.load_examples(self.split, self.count, self.seed)

    @functools.cached_property
    def real(self) -> ImageSet:
        """The real images that samples are compared with."""
        return ImageSet(self.held_out["image"], self.held_out.get("label"), self.extractor, self.progress(f"{self.split} images"))

    @functools.cached_property
    def train_images(self) -> ImageSet:
        """The training images, as many as fit in memory."""
        return self._load("train", MAX_TRAIN_IMAGES)

    def _load(self, split: str, count: int) -> ImageSet:
        examples = self.source.load_examples(split, count, self.seed)
        return ImageSet(examples["image"], examples.get("label"), self.extractor, self.progress(f"{split} images"))

    @property
    def classify(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Function of images (uint8, or float32 in [0, 1]) that returns their classes [n]; None if the extractor has no classes."""
        return self._classify if self.extractor and self.extractor.classes else None

    def _classify(self, images: np.ndarray) -> np.ndarray:
        assert self.extractor is not None
        return self.extractor(images)["probabilities"].argmax(1)

    def generate_samples(self, model: Model) -> ImageSet:
        """Generates `count` samples; a class-conditional model cycles through the labels of the real images.

        Raises:
            UserError: The model does not fit the data, samples are NaN or infinite, or all samples are the same.
        """
        self.check_model(model)
        conditions = self._label_conditions(model, self.count)
        images = self.generate_images(model, self.count, conditions)
        if (images == images[0]).all():
            raise UserError(f"all {self.count} samples are the same image: the generator has collapsed, or has hardly started to learn")
        return ImageSet(images, conditions.get("label"), self.extractor, self.progress("features of samples"))

    def _label_conditions(self, model: Model, count: int) -> Arrays:
        """The labels of the real images, repeated, for every condition of the model."""
        return {name: np.resize(self.real.labels, count) for name in model.conditions}  # type: ignore[arg-type]

    def generate_images(self, model: Model, count: int, conditions: Arrays | None = None) -> np.ndarray:
        """Generates uint8 images [count, h, w, 1 or 3], RGBA on white; image i has seed i of a sequence that depends on `seed`.

        Args:
            model: A model that generates from noise.
            count: Number of images.
            conditions: Name -> [count]; default: the labels of the real images in turn.

        Raises:
            UserError: Images have values that are NaN or infinite.
        """
        conditions = self._label_conditions(model, count) if conditions is None else conditions
        sampler = self._build_sampler(model)
        seeds = np.arange(count, dtype=np.int64) + (np.int64(self.seed) << 32) + SEED_OFFSET
        images, finite = [], []
        for i in self.progress("samples")(range(0, count, BATCH)):
            batch = {name: tf.constant(np.int64(values[i : i + BATCH])) for name, values in conditions.items()}
            batch_images, batch_finite = sampler(tf.constant(seeds[i : i + BATCH]), batch)
            images.append(batch_images.numpy())
            finite.append(batch_finite.numpy())
        invalid = np.count_nonzero(~np.concatenate(finite))
        if invalid:
            raise UserError(f"{invalid} of {count} samples have values that are NaN or infinite: the generator has diverged")
        return on_white(np.concatenate(images))

    def _build_sampler(self, model: Model) -> Any:
        """Function of seeds and conditions that returns uint8 images and which of them are finite; traced once per model."""
        if self._sampler[0] is not model:
            options = {} if self.truncation is None else {"truncation": self.truncation}
            row = tf.TensorSpec([None], tf.int64)

            @tf.function(autograph=False, input_signature=[row, dict.fromkeys(model.conditions, row)])
            def sample(seed: tf.Tensor, conditions: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
                images = model.sample(seed, live=self.live, **options, **conditions)
                finite = tf.reduce_all(tf.math.is_finite(images), [1, 2, 3])
                return tf.image.convert_image_dtype(images, tf.uint8, saturate=True), finite

            self._sampler = model, sample
        return self._sampler[1]

    def other_real(self) -> ImageSet:
        """At most `count` real images of the train split in place of samples, disjoint from `real`."""
        if self.split != "train":
            return self._load("train", self.count)
        examples = self.source.load_examples("train", 2 * self.count, self.seed)
        others = {key: value[len(self.real) :] for key, value in examples.items()}
        return ImageSet(others["image"], others.get("label"), self.extractor)

    # -- the scores ---------------------------------------------------------------------------------------------------

    def scores(self, samples: ImageSet, names: Iterable[str], warn: Warn | None = None) -> dict[str, Score]:
        """Computes metrics of samples.

        Args:
            samples: The samples.
            names: Names of `METRICS`.
            warn: Called with a message if a metric cannot be computed for these samples (too few, all the same), which is then skipped;
                without it, an error is raised.

        Raises:
            UserError: A metric is unknown or not available or, without `warn`, cannot be computed.
        """
        metrics = [find_metric(name) for name in names]
        for metric in metrics:
            if reason := unmet_need(metric, self, samples=True, labels=samples.labels is not None):
                raise UserError(reason)
        scores: dict[str, Score] = {}
        for compute in self.progress("metrics")(list(dict.fromkeys(metric.compute for metric in metrics))):
            try:
                scores |= compute(self, samples)
            except UserError as error:
                if warn is None:
                    raise
                warn(f"a score is skipped: {error}")
        requested = [find_metric(self.score_name(name)) for name in names]
        return {name: score for name, score in scores.items() if any(metric.includes(name) for metric in requested)}

    def evaluate(self, model: Model, names: Sequence[str], warn: Warn | None = None) -> dict[str, Score]:
        """Computes metrics of a model's samples and model-specific metrics (`Game.own_metrics`); see `scores` for the arguments.

        Raises:
            UserError: As `scores` and `generate_samples`.
        """
        own = [metric for name in names if (metric := self._own_metric(model, name))]
        of_samples = [name for name in names if not self._own_metric(model, name)]
        for name in of_samples:
            self._require(model, name)
        scores = self.scores(self.generate_samples(model), of_samples, warn) if of_samples else {}
        for metric in own:
            if reason := self._unmet_need(model, metric):
                if warn is None:
                    raise UserError(reason)
                warn(f"a score is skipped: {reason}")
        own = [metric for metric in own if not self._unmet_need(model, metric)]
        for compute in dict.fromkeys(metric.compute for metric in own):
            results = compute(self, model)
            scores |= {name: score for name, score in results.items() if any(metric.includes(name) for metric in own)}
        return scores

    def reference(self, names: Iterable[str]) -> tuple[dict[str, Score], str]:
        """Scores of real images in place of the samples, as the best scores that samples should reach.

        Class accuracy is that of the real images that samples are compared with, since the classifier was trained on the train split.
        Metrics that do not apply to real images are omitted.

        Returns:
            The scores, and a description of the images.
        """
        names, others = list(names), self.other_real()
        scores: dict[str, Score] = {}
        description = "no other real images"
        if len(others):
            scores = self.scores(others, [name for name in names if name not in ("memorization", "class_accuracy")], lambda message: None)
            description = f"{len(others):,} images of the train split, scored as if they were samples"
        if "class_accuracy" in names and self.real.labels is not None and self.classify:
            scores |= class_accuracy(self, self.real)
            description += f"; class accuracy: the {len(self.real):,} real images"
        return scores, description

    def score_name(self, name: str) -> str:
        """Name under which a metric's score is returned: `fid` for the Fréchet distance of the Inception graph."""
        return "fid" if name == "frechet" and self.extractor and self.extractor.is_inception else name

    def protocol(self, precision: str, from_noise: bool = True) -> Protocol:
        """Everything that a score depends on besides the model's weights: scores are comparable only if their protocols are equal.

        Args:
            precision: Data type in which the images are computed (`compute_dtype` of the model).
            from_noise: Whether the images are generated from noise.
        """
        return Protocol(
            extractor=self.extractor.name if self.extractor else None,
            extractor_sha256=self.extractor.sha256 if self.extractor else None,
            data=self.source.identity,
            split=self._describe_split(),
            real_images=len(next(iter(self.held_out.values()))),
            fake_images=self.count if from_noise else 0,
            image_shape=tuple(self.source.image_shape),
            resizing=self.extractor.resizing if self.extractor else None,
            seed=self.seed,
            generator="live" if self.live else "ema",
            precision=precision,
            truncation=self.truncation,
        )

    def _describe_split(self) -> str:
        """Description of the split and of the choice of its images."""
        return f"train, of {self.source.sizes['train']} images" if self.split == "train" else self.split  # `--examples` limits them

    # -- what is available --------------------------------------------------------------------------------------------

    def available_metrics(self, model: Model, names: Iterable[str]) -> list[str]:
        """The metrics that this model, dataset and feature extractor support."""
        return [name for name in names if not self._unmet_need(model, find_metric(name, model.own_metrics))]

    def metrics_during_training(self, model: Model, best: str) -> list[str]:
        """Names of the metrics that are cheap enough for every evaluation, model-specific ones as well, and `best`.

        Raises:
            UserError: `best` is unknown or not available.
        """
        cheap = [metric.name for metric in (*METRICS.values(), *model.own_metrics) if metric.during_training]
        if not self._own_metric(model, best):
            self._require(model, best)
        return list(dict.fromkeys([*self.available_metrics(model, cheap), best]))

    def check_metric(self, model: Model, name: str) -> None:
        """Raises UserError if a metric does not fit the model, whatever the feature extractor is."""

        def reason(metric: Metric) -> str | None:
            needs = tuple(need for need in metric.needs if need in ("samples", "labels"))
            return self._unmet_need(model, dataclasses.replace(metric, needs=needs))

        if message := reason(find_metric(name, model.own_metrics)):
            available = [metric.name for metric in (*model.own_metrics, *METRICS.values()) if not reason(metric)]
            raise UserError(f"{message}. Available: {', '.join(available)}.")

    def _require(self, model: Model, name: str) -> None:
        """Raises UserError if a metric of samples is unknown or not available."""
        if reason := self._unmet_need(model, find_metric(name, model.own_metrics)):
            available = self.available_metrics(model, dict.fromkeys([*(metric.name for metric in model.own_metrics), *METRICS]))
            raise UserError(f"{reason}. Available: {', '.join(available)}.")

    @staticmethod
    def _own_metric(model: Model, name: str) -> Metric | None:
        """The model-specific metric to which a score belongs, or None."""
        return find_metric(name, model.own_metrics) if any(metric.includes(name) for metric in model.own_metrics) else None

    def _unmet_need(self, model: Model, metric: Metric) -> str | None:
        own = self._own_metric(model, metric.name)
        labels = self.source.class_names is not None if own else "label" in model.conditions
        return unmet_need(metric, self, samples=generates_images(model), labels=labels)

    def check_model(self, model: Model) -> None:
        """Raises UserError if the model's images or classes differ from those of the data."""
        shape, name = tuple(model.modality.sample_shape(model.config)), self.source.name
        if model.modality.key != "image":
            raise UserError(f"metrics of samples compare images; this model generates {model.modality.key}s of shape {shape}")
        if shape != tuple(self.source.image_shape):
            raise UserError(f"the model generates images of shape {shape}, and the real images have shape {tuple(self.source.image_shape)}")
        if "label" not in model.conditions:
            return
        if self.source.class_names is None:
            raise UserError(f"the model is class-conditional, and {name} has no labels; choose the dataset that it was trained on: --data")
        labels, classes = self.real.labels, model.config.num_classes
        assert labels is not None
        if not 0 <= labels.min() <= labels.max() < classes:
            present = f"{labels.min()} to {labels.max()}"
            raise UserError(f"the model has {classes} classes, and {name} has labels {present}; choose another dataset: --data")


MAX_SAMPLES = 10_000_000


def check_sample_count(count: int, seed: int) -> None:
    """Raises UserError if the number of images or the seed is invalid."""
    if not 2 <= count <= MAX_SAMPLES:
        raise UserError(f"--count {count}: metrics compare sets of images; use 2 to {MAX_SAMPLES:,}")
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed {seed}: must be from 0 to {2**31 - 1}")
