"""Diversity: how similar the samples of a class are to each other (Odena et al. 2016, §4.2)."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from zoo.metrics import image_similarity
from zoo.metrics.analyses._common import (
    FAKE_COLOR,
    LIMIT_COLOR,
    MAX_CLASSES,
    REAL_COLOR,
    Table,
    format_percent,
    mean_by_class,
    new_figure,
    require_classes,
    require_images_per_class,
    save_figure,
)
from zoo.metrics.evaluation import Evaluation, ImageSet
from zoo.metrics.interfaces import Model


@dataclasses.dataclass(frozen=True)
class Diversity:
    """Mean MS-SSIM within each class, of training images and of samples: 0 diverse, 1 a single image.

    Attributes:
        data: Name of the data.
        pairs: Pairs of images per class.
        scales: Number of scales of the MS-SSIM.
        real: Class -> similarity of its training images.
        generated: Class -> similarity of its samples.
        accuracy: Class -> class accuracy of its samples; None if the extractor does not classify.
        fraction_below_real: Of the classes, whose samples are less similar than the training images of the most similar class.
        correlation: Of accuracy and similarity over the classes; None if one of them does not vary.
    """

    data: str
    pairs: int
    scales: int
    real: dict[str, float]
    generated: dict[str, float]
    accuracy: dict[str, float] | None
    fraction_below_real: float
    correlation: float | None

    def table(self) -> Table:
        """Similarity over all classes, and of the classes with the most similar samples."""
        title = (
            f"Diversity: mean MS-SSIM ({self.scales} scales) of {self.pairs} pairs per class of {self.data}, 1 is a single image; "
            f"{self.fraction_below_real:.1%} of the classes' samples are below the highest of the training images "
            f"({max(self.real.values()):.3f})"
        )
        if self.correlation is not None:
            title += f"; correlation with class accuracy: {self.correlation:.2f}"
        columns = [self.generated, self.real]
        rows = [["all classes", *(f"{np.mean(list(column.values())):.3f}" for column in columns)]]
        most_similar = sorted(self.generated, key=lambda name: self.generated[name], reverse=True)[:MAX_CLASSES]
        rows += [[f"'{name}'", *(f"{column[name]:.3f}" for column in columns)] for name in most_similar]
        header = ["class", "samples", "training images"]
        if self.accuracy is not None:
            header.append("class accuracy of samples")
            rows[0].append(format_percent(float(np.mean(list(self.accuracy.values())))))
            for name, row in zip(most_similar, rows[1:], strict=True):
                row.append(format_percent(self.accuracy[name]))
        return title, header, rows

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the similarity of samples over that of training images, a point per class."""
        figure, axes = new_figure(f"Diversity within classes, {self.data}")
        values = [*self.real.values(), *self.generated.values()]
        margin = max(0.02, 0.08 * (max(values) - min(values)))
        low, high = min(values) - margin, max(values) + margin
        axes.plot([low, high], [low, high], color=REAL_COLOR, linewidth=1, label="as the training images")
        axes.axhline(max(self.real.values()), color=LIMIT_COLOR, linewidth=1, linestyle="--", label="the most similar training class")
        axes.scatter(list(self.real.values()), [self.generated[name] for name in self.real], color=FAKE_COLOR, s=22, zorder=3)
        farthest = sorted(self.real, key=lambda name: abs(self.generated[name] - self.real[name]), reverse=True)[:MAX_CLASSES]
        for name in farthest:
            axes.annotate(name, (self.real[name], self.generated[name]), (4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel="MS-SSIM of training images", ylabel="MS-SSIM of samples (higher: less diverse)")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        save_figure(figure, path)


def diversity(evaluation: Evaluation, model: Model, samples: ImageSet | None = None, pairs: int = 100) -> Diversity:
    """Measures how similar images of a class are, of samples and of training images: mean MS-SSIM over random pairs within each class.

    If the extractor classifies, it also correlates that similarity with the class accuracy of the samples: below 0 if diverse classes are
    recognized better. Odena et al. 2016 (arXiv:1610.09585), §4.2: 84.7 % of 1000 ImageNet classes, correlation -0.16.

    Args:
        evaluation: Its data have classes.
        model: Class-conditional.
        samples: Samples that were already generated; default: those of the evaluation.
        pairs: Pairs of images per class.

    Raises:
        UserError: The model has no classes, the data have no labels or other classes, a class has fewer than 2 images, or the images are
            smaller than 8 px.
    """
    names = require_classes("diversity", evaluation, model)
    real = evaluation.real if evaluation.split == "train" else evaluation.other_real()
    samples = evaluation.generate_samples(model) if samples is None else samples
    similarities = []
    for kind, images in evaluation.progress("diversity")([("training images", real), ("samples", samples)]):
        assert images.labels is not None
        require_images_per_class("diversity", kind, images.labels, names)
        by_label = image_similarity.class_similarity(images.unit_images, images.labels, pairs, evaluation.seed)
        similarities.append({names[label]: value for label, value in by_label.items()})
    accuracy = None
    if evaluation.extractor and evaluation.extractor.classes == len(names):
        accuracy = mean_by_class(samples.predictions["probabilities"].argmax(1) == samples.labels, samples.labels, names)
    limit = max(similarities[0].values())
    return Diversity(
        data=evaluation.source.name,
        pairs=pairs,
        scales=image_similarity.num_scales(*evaluation.source.image_shape[:2]),
        real=similarities[0],
        generated=similarities[1],
        accuracy=accuracy,
        fraction_below_real=float(np.mean([value < limit for value in similarities[1].values()])),
        correlation=_correlation(list(accuracy.values()), list(similarities[1].values())) if accuracy else None,
    )


def _correlation(first: list[float], second: list[float]) -> float | None:
    """Pearson's correlation, or None if one of the lists does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
