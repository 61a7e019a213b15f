"""Downstream utility of samples: GAN-train, GAN-test, and the augmentation of small real training sets."""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import keras
import numpy as np

from zoo.errors import UserError
from zoo.metrics.analyses._common import (
    FAKE_COLOR,
    REAL_COLOR,
    Table,
    format_percent,
    new_figure,
    require_classes,
    require_images_per_class,
    save_figure,
)
from zoo.metrics.evaluation import Evaluation
from zoo.metrics.extractors import small_classifier
from zoo.metrics.extractors.base import on_white, resize_images
from zoo.metrics.extractors.small_classifier import MIN_UPDATES, UPDATE_IMAGES
from zoo.metrics.interfaces import BalancedSource, Model, Source

POOL = 60_000  # training images from which the small training sets are drawn
SIZES = (100, 500, 2000)  # default numbers of real images of `augmentation`

Examples = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainTest:
    """Accuracy of a classifier trained on real images or samples and tested on the others.

    Attributes:
        data: Name of the data.
        images: Number of training images of each classifier.
        test_images: Number of real test images.
        test_set: Description of the real test images.
        updates: Updates of each classifier.
        gan_train: Accuracy of training on samples and testing on real images.
        gan_test: Accuracy of training on real images and testing on samples.
        real: Accuracy of training on real images and testing on other real images.
    """

    data: str
    images: int
    test_images: int
    test_set: str
    updates: int
    gan_train: float
    gan_test: float
    real: float

    def table(self) -> Table:
        """The three accuracies."""
        title = f"GAN-train and GAN-test on {self.data}: classifiers trained on {self.images} images in {self.updates} updates"
        test_set = f"{self.test_images} real images: {self.test_set}"
        rows = [
            ["GAN-train", "samples", test_set, format_percent(self.gan_train)],
            ["GAN-test", "real images", f"{self.images} samples", format_percent(self.gan_test)],
            ["for reference", "real images", test_set, format_percent(self.real)],
        ]
        return title, ["measure", "trained on", "tested on", "accuracy"], rows

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the three accuracies as bars."""
        from matplotlib.ticker import PercentFormatter

        figure, axes = new_figure(f"Downstream utility of samples, {self.data}")
        names = ["GAN-train\n(samples → real)", "GAN-test\n(real → samples)", "reference\n(real → real)"]
        bars = axes.bar(names, [self.gan_train, self.gan_test, self.real], 0.55, color=[FAKE_COLOR, FAKE_COLOR, REAL_COLOR])
        axes.bar_label(bars, fmt=format_percent, padding=2)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(ylim=(0, 1.08), ylabel="accuracy")
        save_figure(figure, path)


def gan_train_test(evaluation: Evaluation, model: Model, count: int | None = None, updates: int = 2000) -> TrainTest:
    """Measures GAN-train (train on samples, test on real images), GAN-test (the reverse), and real against real for reference.

    Poor and missing samples lower GAN-train; only poor samples lower GAN-test. The test set is the test split or, without one, a fifth of
    the train split, which the model was trained on. Shmelkov et al. 2018 (arXiv:1807.09499), §3.

    Args:
        evaluation: An evaluation whose dataset has classes; its extractor is not used.
        model: A class-conditional model.
        count: Number of real images and of samples, at most the number of real training images; default: that of the evaluation.
        updates: Updates of each classifier, at least 200.

    Raises:
        UserError: The model has no classes, the data have no labels or other classes, or a class has fewer than 2 images.
    """
    names = require_classes("GAN-train", evaluation, model)
    real, test, test_set = _train_and_test_images(evaluation, count or evaluation.count)
    require_images_per_class("GAN-train", "training images", real["label"], names)
    fake = {"image": evaluation.generate_images(model, len(real["label"]), {"label": real["label"]}), "label": real["label"]}
    by_samples, by_real = [
        _train(_shrink(part["image"]), part["label"], len(names), evaluation.seed, updates)
        for part in evaluation.progress("GAN-train")([fake, real])
    ]
    return TrainTest(
        data=evaluation.source.name,
        images=len(real["label"]),
        test_images=len(test["label"]),
        test_set=test_set,
        updates=max(MIN_UPDATES, updates),
        gan_train=small_classifier.measure_accuracy(by_samples, _shrink(test["image"]), test["label"]),
        gan_test=small_classifier.measure_accuracy(by_real, _shrink(fake["image"]), fake["label"]),
        real=small_classifier.measure_accuracy(by_real, _shrink(test["image"]), test["label"]),
    )


class Mean(NamedTuple):
    """Mean over repeats, and their standard deviation (None for one repeat)."""

    value: float
    deviation: float | None

    def format(self, sign: str = "") -> str:
        """`71.2% ± 0.3%`."""
        return f"{self.value:{sign}.1%}" + ("" if self.deviation is None else f" ± {self.deviation:.1%}")


class AugmentationRow(NamedTuple):
    """Accuracy for a number of real images, over all repeats.

    Attributes:
        real_images: Number of real training images of the classifiers.
        without: Accuracy without samples.
        augmented: Accuracy with samples.
        gain: Difference within each repeat.
    """

    real_images: int
    without: Mean
    augmented: Mean
    gain: Mean


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Accuracy on real images of classifiers trained on small sets of real images, with and without samples.

    Attributes:
        data: Name of the data.
        synthetic: Number of samples.
        repeats: Training runs of each kind.
        updates: Updates of each classifier.
        test_images: Number of real test images.
        test_set: Description of the real test images.
        generator_images: Number of real training images of the generator.
        rows: One row for each number of real images.
    """

    data: str
    synthetic: int
    repeats: int
    updates: int
    test_images: int
    test_set: str
    generator_images: int
    rows: list[AugmentationRow]

    def table(self) -> Table:
        """Accuracy with and without samples by number of real images."""
        title = (
            f"Augmentation on {self.data}: accuracy on {self.test_images} real images ({self.test_set}) after {self.updates} updates on "
            f"small sets of real images, without and with {self.synthetic} samples of a generator trained on {self.generator_images} images"
        )
        if any(row.real_images < self.generator_images for row in self.rows):
            title += "; if the classifier has fewer, the gain includes what the generator learned from the others"
        if self.repeats > 1:
            title += "; ±: standard deviation over repeats"
        header = ["real images", "without samples", "with samples", "gain", "generator trained on", "repeats"]
        rows = [
            [
                str(row.real_images),
                row.without.format(),
                row.augmented.format(),
                row.gain.format("+"),
                str(self.generator_images),
                str(self.repeats),
            ]
            for row in self.rows
        ]
        return title, header, rows

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws accuracy over the number of real images."""
        from matplotlib.ticker import NullLocator, PercentFormatter

        figure, axes = new_figure(f"Augmentation, {self.data}")
        sizes = [row.real_images for row in self.rows]
        for means, color, name, shift in [
            ([row.without for row in self.rows], REAL_COLOR, "real images alone", 0.98),  # shifted so that error bars do not overlap
            ([row.augmented for row in self.rows], FAKE_COLOR, f"with {self.synthetic} samples", 1.02),
        ]:
            values, deviations = [mean.value for mean in means], [mean.deviation or 0 for mean in means]
            axes.errorbar(np.multiply(sizes, shift), values, deviations, fmt="o-", color=color, linewidth=2, capsize=4, label=name)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(xlabel=f"real images of the classifier (the generator was trained on {self.generator_images})", ylabel="accuracy")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        save_figure(figure, path)


def augmentation(
    evaluation: Evaluation,
    model: Model,
    sizes: Sequence[int] | None = None,
    synthetic: int | None = None,
    repeats: int = 3,
    updates: int = 1000,
) -> Augmentation:
    """Measures the gain of augmenting small sets of real images with samples: the accuracy on unseen real images with and without samples.

    With samples, each batch of training images is half real images and half samples, balanced over the classes. Both classifiers have the
    same initial weights and the same number of updates, with batches of the same size.

    If the generator was trained on more real images than the classifier (`generator_images`), the gain includes what it learned from the
    others. To measure the gain for n images only, train the generator on the same n images (`Source.subset`, `--examples`).

    Args:
        evaluation: An evaluation whose dataset has classes; its extractor is not used.
        model: A class-conditional model.
        sizes: Numbers of real images, balanced over the classes, drawn anew in each repeat; default: `SIZES`, as far as the data suffice.
        synthetic: Number of samples; default: that of the evaluation.
        repeats: Training runs of each kind.
        updates: Updates of each classifier, at least 200.

    Raises:
        UserError: The model has no classes, the data have no labels or other classes, a class has fewer than 2 images, or there are fewer
            real images than requested.
    """
    names = require_classes("augmentation", evaluation, model)
    synthetic = synthetic or evaluation.count
    if repeats < 1:
        raise UserError(f"--repeats {repeats}: augmentation needs at least 1")
    real, test, test_set = _train_and_test_images(evaluation, POOL)
    draws = _draw_rows(evaluation, real["label"], sizes, repeats, names)
    labels = np.arange(synthetic, dtype=np.int64) % len(names)
    fake = {"image": _shrink(evaluation.generate_images(model, synthetic, {"label": labels})), "label": labels}
    test["image"] = _shrink(test["image"])
    accuracies: dict[int, list[tuple[float, float]]] = {}
    for (size, repeat), rows in evaluation.progress("augmentation")(list(draws.items())):
        subset = {"image": _shrink(real["image"][rows]), "label": real["label"][rows]}
        networks = _train_without_and_with(subset, fake, len(names), evaluation.seed + repeat, updates)
        first, second = (small_classifier.measure_accuracy(network, test["image"], test["label"]) for network in networks)
        accuracies.setdefault(size, []).append((first, second))
    rows_by_size = [_summarize(size, pairs) for size, pairs in accuracies.items()]
    name, generator_images, updates = evaluation.source.name, evaluation.source.sizes["train"], max(MIN_UPDATES, updates)
    return Augmentation(name, synthetic, repeats, updates, len(test["label"]), test_set, generator_images, rows_by_size)


def _draw_rows(
    evaluation: Evaluation, labels: np.ndarray, sizes: Sequence[int] | None, repeats: int, names: tuple[str, ...]
) -> dict[tuple[int, int], np.ndarray]:
    """Rows of the real images of each size and repeat, balanced over the classes."""
    source = cast(BalancedSource, evaluation.source)
    if sizes is None:
        sizes = [size for size in SIZES if size <= len(labels)] or [len(labels)]
    draws = {(size, i): source.balanced_rows(labels, size, evaluation.seed + i) for size, i in itertools.product(sizes, range(repeats))}
    for (size, _), rows in draws.items():
        if size > len(labels):
            raise UserError(f"--sizes {size}: {source.name} has {len(labels)} training images")
        require_images_per_class(f"augmentation with {size} real images", "of them", labels[rows], names)
    return draws


def _train_and_test_images(evaluation: Evaluation, count: int) -> tuple[Examples, Examples, str]:
    """At most `count` real training images, real test images, and a description of the latter."""
    source, seed = evaluation.source, evaluation.seed
    examples = _load_on_white(source, "train", count, seed)
    if "test" in source.sizes:
        return examples, _load_on_white(source, "test", evaluation.count, seed), "the test split"
    cut = len(examples["label"]) // 5
    train = {key: value[cut:] for key, value in examples.items()}
    test = {key: value[:cut] for key, value in examples.items()}
    return train, test, "a fifth of the train split, which the model was trained on"


def _load_on_white(source: Source, split: str, count: int, seed: int) -> Examples:
    examples = source.load_examples(split, count, seed)
    return {**examples, "image": on_white(examples["image"])}


def _train_without_and_with(real: Examples, fake: Examples, classes: int, seed: int, updates: int) -> tuple[keras.Model, keras.Model]:
    """Classifiers with the same initial weights, trained on real images only and on both."""
    joined = {key: _join(real[key], fake[key]) for key in ("image", "label")}
    return _train(real["image"], real["label"], classes, seed, updates), _train(joined["image"], joined["label"], classes, seed, updates)


def _join(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Concatenates both sets in equal parts; the smaller one is repeated."""
    size = max(len(real), len(fake))
    return np.concatenate([part[np.arange(size) % len(part)] for part in (real, fake)])


def _train(images: np.ndarray, labels: np.ndarray, classes: int, seed: int, updates: int) -> keras.Model:
    """Trains a classifier for `updates` updates with full batches, regardless of the number of images."""
    rows = np.arange(max(len(images), UPDATE_IMAGES)) % len(images)
    max_images = updates * UPDATE_IMAGES
    return small_classifier.train_classifier(images[rows], labels[rows], classes, seed, max_images=max_images, epochs=max_images)


def _shrink(images: np.ndarray) -> np.ndarray:
    """Downsamples uint8 images to 64 px if they are larger, as for `extractors.load_classifier`."""
    return resize_images(images, small_classifier.input_shape(images.shape[1:]))


def _summarize(size: int, accuracies: list[tuple[float, float]]) -> AugmentationRow:
    """Means and standard deviations over the repeats."""
    without, augmented = [list(column) for column in zip(*accuracies, strict=True)]
    gain = [second - first for first, second in accuracies]
    means = [Mean(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None) for values in (without, augmented, gain)]
    return AugmentationRow(size, *means)
