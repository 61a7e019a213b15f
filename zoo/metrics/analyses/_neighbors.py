"""Nearest training images of samples: whether a model copies what it was trained on."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from zoo.errors import UserError
from zoo.metrics.analyses._common import BATCH, Table, save_figure
from zoo.metrics.evaluation import Evaluation, ImageSet
from zoo.metrics.interfaces import Model

GAP, WIDE_GAP = 2, 8  # pixels between the images of the grid, and between its parts


@dataclasses.dataclass(frozen=True)
class Neighbors:
    """Samples next to their nearest training images, and how close samples are to these overall.

    Attributes:
        extractor: Name of the feature extractor.
        data: Name of the data.
        grid: uint8 [h, w, c]; each row is a sample, its nearest training images by features, and those by pixels.
        rows: Number of samples in the grid.
        nearest: Training images of each kind per row.
        searched: Training images that were searched.
        train_images: Training images in total.
        memorization: See `distances.memorization`; None if there are no unseen real images.
    """

    extractor: str
    data: str
    grid: np.ndarray
    rows: int
    nearest: int
    searched: int
    train_images: int
    memorization: float | None

    def table(self) -> Table:
        """How many images were searched, and the memorization."""
        rows = [["training images searched", f"{self.searched} of {self.train_images}"]]
        if self.memorization is not None:
            quantity = "median distance to the nearest training image, over that of unseen real images (0: copies)"
            rows.append([quantity, f"{self.memorization:.3f}"])
        return (
            f"Memorization: samples against training images of {self.data}, by {self.extractor}",
            ["quantity", "value"],
            rows,
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the grid."""
        from matplotlib.figure import Figure

        height, width, channels = self.grid.shape
        figure = Figure(figsize=(8, 8 * height / width + 0.5), dpi=150, layout="constrained")
        axes = figure.subplots()
        if channels == 1:
            axes.imshow(self.grid.squeeze(-1), interpolation="nearest", cmap="gray", vmin=0, vmax=255)
        else:
            axes.imshow(self.grid, interpolation="nearest")
        cell = (width + GAP - 2 * WIDE_GAP) / (1 + 2 * self.nearest)
        part = cell * self.nearest
        centers = [cell / 2, cell + WIDE_GAP + part / 2, cell + 2 * WIDE_GAP + 1.5 * part]
        axes.set_xticks(centers, ["sample", "nearest training images by features", "by pixels"])
        axes.set_yticks([])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        save_figure(figure, path)


def neighbors(evaluation: Evaluation, model: Model, samples: ImageSet | None = None, count: int = 10, nearest: int = 5) -> Neighbors:
    """Shows samples next to their nearest training images, by features and by pixels, and measures memorization.

    The samples of the grid are the first ones, not selected. If the training images do not fit in memory, copies of those that are left
    out go undetected.

    Args:
        evaluation: Its extractor computes the features.
        model: Generates from noise.
        samples: Samples that were already generated; default: those of the evaluation.
        count: Samples in the grid, or as many as there are.
        nearest: Training images of each kind per sample.

    Raises:
        UserError: There are fewer training images than `nearest`.
    """
    source, train = evaluation.source, evaluation.train_images
    samples = evaluation.generate_samples(model) if samples is None else samples
    count = min(count, len(samples))
    if nearest > len(train):
        raise UserError(f"neighbors: the nearest {nearest} training images are requested, and there are {len(train)}")
    by_features = _nearest_indices(samples.features[:count], train.features, nearest)
    by_pixels = _nearest_indices(samples.images[:count], train.images, nearest)
    memorization = None
    if evaluation.split != "train":
        memorization = evaluation.scores(samples, ["memorization"])["memorization"].value
    return Neighbors(
        extractor=evaluation.extractor.name if evaluation.extractor else "pixels",
        data=source.name,
        grid=_build_grid([samples.images[:count, None], train.images[by_features], train.images[by_pixels]]),
        rows=count,
        nearest=nearest,
        searched=len(train),
        train_images=source.sizes["train"],
        memorization=memorization,
    )


def _nearest_indices(queries: np.ndarray, references: np.ndarray, count: int) -> np.ndarray:
    """Indices [q, count] of the nearest references, nearest first."""
    from scipy.spatial.distance import cdist

    flat = queries.reshape(len(queries), -1)
    parts = [cdist(flat, references[i : i + BATCH].reshape(-1, flat.shape[1])) for i in range(0, len(references), BATCH)]
    return np.argsort(np.concatenate(parts, axis=1), axis=1, kind="stable")[:, :count]


def _build_grid(groups: list[np.ndarray]) -> np.ndarray:
    """Tiles groups of images [rows, columns, h, w, c] next to each other on white."""
    strips = []
    for images in groups:
        rows, columns, height, width, channels = images.shape
        images = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
        strips.append(images.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), channels))
        strips.append(np.full((rows * (height + GAP), WIDE_GAP, channels), 255, np.uint8))
    return np.concatenate(strips[:-1], axis=1)[:-GAP, :-GAP]
