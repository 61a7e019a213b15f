"""Discriminability: how well a classifier recognizes samples that are shrunk to lower resolutions (Odena et al. 2016, §4.1)."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.analyses._common import (
    BATCH,
    FAKE_COLOR,
    MAX_CLASSES,
    REAL_COLOR,
    Table,
    format_percent,
    mean_by_class,
    new_figure,
    require_classes,
    save_figure,
)
from zoo.metrics.evaluation import Evaluation, ImageSet
from zoo.metrics.interfaces import Model

MIN_RESOLUTION = 16  # pixels on the smaller side; a quarter of the full resolution is always included


@dataclasses.dataclass(frozen=True)
class ClassAccuracy:
    """Fractions of images that a classifier assigns to their class, at each of several resolutions.

    Attributes:
        overall: Of all images, by resolution.
        by_class: Of the images of each class, by resolution.
        better_at_full: Fraction of the classes with a higher accuracy at full resolution than at a quarter of it.
    """

    overall: list[float]
    by_class: dict[str, list[float]]
    better_at_full: float


@dataclasses.dataclass(frozen=True)
class Discriminability:
    """Accuracy of a classifier on real and generated images by resolution (pixels of the smaller side, full first)."""

    extractor: str
    data: str
    resolutions: list[int]
    real: ClassAccuracy
    generated: ClassAccuracy

    def table(self) -> Table:
        """Accuracy by resolution: of real images, of samples, and of the classes that are recognized least."""
        full, _, quarter, *_ = self.resolutions
        title = (
            f"Discriminability: class accuracy of {self.extractor} on images shrunk to a resolution and enlarged again; "
            f"{self.generated.better_at_full:.1%} of the classes' samples are recognized better at {full} than at {quarter} px "
            f"(real images: {self.real.better_at_full:.1%})"
        )
        classes = self.generated.by_class
        rows = [
            ["real images", *map(format_percent, self.real.overall)],
            ["samples", *map(format_percent, self.generated.overall)],
        ]
        for name in sorted(classes, key=lambda name: classes[name][0])[:MAX_CLASSES]:
            rows.append([f"samples of '{name}'", *map(format_percent, classes[name])])
        return title, ["images", *(f"{resolution} px" for resolution in self.resolutions)], rows

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws accuracy over resolution, overall and of each class."""
        from matplotlib.ticker import NullLocator, PercentFormatter

        figure, axes = new_figure(f"Discriminability, {self.data}")
        for name, color, accuracy in [("real images", REAL_COLOR, self.real), ("samples", FAKE_COLOR, self.generated)]:
            axes.plot(self.resolutions, np.transpose(list(accuracy.by_class.values())), color=color, alpha=0.3, linewidth=0.8)
            axes.plot(self.resolutions, accuracy.overall, "o-", color=color, linewidth=2.5, label=f"{name} (thin: each class)")
        axes.set_xscale("log", base=2)
        axes.set_xticks(self.resolutions, [str(resolution) for resolution in self.resolutions])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(ylim=(0, 1.03), xlabel="resolution, px", ylabel="class accuracy")
        axes.legend(frameon=False, loc="lower right")
        save_figure(figure, path)


def discriminability(evaluation: Evaluation, model: Model, samples: ImageSet | None = None) -> Discriminability:
    """Measures the class accuracy of a classifier on samples and on real images, shrunk to several resolutions and enlarged again.

    Resolutions: full, half, quarter, and on while 16 px are left; bilinear, anti-aliased on the way down, so that detail is lost rather
    than aliased. The extractor `classifier` itself takes 64 px at most: above that, resolutions do not differ. Odena et al. 2016
    (arXiv:1610.09585), §4.1.

    Args:
        evaluation: Its extractor classifies.
        model: Class-conditional.
        samples: Samples that were already generated; default: those of the evaluation.

    Raises:
        UserError: The model has no classes, the data have no labels or other classes, or the extractor does not classify them.
    """
    names, extractor = require_classes("discriminability", evaluation, model), evaluation.extractor
    if extractor is None or extractor.classes != len(names):
        by = extractor.name if extractor else "no feature extractor"
        raise UserError(
            f"discriminability needs a classifier of the {len(names)} classes of {evaluation.source.name}, and {by} is not one: "
            "--feature-extractor classifier"
        )
    samples = evaluation.generate_samples(model) if samples is None else samples
    shapes = _shrunk_shapes(*evaluation.source.image_shape[:2])
    real, generated = (_measure(evaluation, images, shapes, names) for images in (evaluation.real, samples))
    return Discriminability(extractor.name, evaluation.source.name, [min(shape) for shape in shapes], real, generated)


def _measure(evaluation: Evaluation, images: ImageSet, shapes: list[tuple[int, int]], names: tuple[str, ...]) -> ClassAccuracy:
    correct = np.array([_correct(images, shape) for shape in evaluation.progress("discriminability")(shapes)])
    by_class = mean_by_class(correct, images.labels, names)
    better = float(np.mean([accuracies[0] > accuracies[2] for accuracies in by_class.values()]))
    return ClassAccuracy(correct.mean(axis=1).tolist(), by_class, better)


def _shrunk_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes to which images are shrunk, their own first."""
    halvings = 2
    while min(height, width) >> (halvings + 1) >= MIN_RESOLUTION:
        halvings += 1
    return [(max(1, round(height / 2**i)), max(1, round(width / 2**i))) for i in range(halvings + 1)]


def _correct(images: ImageSet, shape: tuple[int, int]) -> np.ndarray:
    """Which images are assigned to their class when shrunk to `shape` and enlarged again; bool [n]."""
    full, extractor = images.images.shape[1:3], images.extractor
    if shape == full:
        return images.predictions["probabilities"].argmax(1) == images.labels
    assert extractor is not None
    predictions = []
    for i in range(0, len(images), BATCH):
        batch = tf.image.convert_image_dtype(images.images[i : i + BATCH], tf.float32)
        shrunk = tf.image.resize(batch, shape, antialias=True)
        predictions.append(extractor(tf.image.resize(shrunk, full))["probabilities"].argmax(1))
    return np.concatenate(predictions) == images.labels
