"""Helpers of the analyses: checks, formats and plots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo.errors import UserError, figure_text
from zoo.metrics.evaluation import Evaluation
from zoo.metrics.interfaces import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BATCH = 250  # images per batch
MAX_CLASSES = 20  # classes listed in a table or named in a plot
REAL_COLOR, FAKE_COLOR, LIMIT_COLOR = "#555555", "#0b62a8", "#c0392b"

Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


class Analysis(Protocol):
    """The result of an analysis: plain values with a table and a plot."""

    def table(self) -> Table:
        """Title, header and rows of text."""

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Writes a figure in the format of the path's suffix."""


def require_classes(analysis: str, evaluation: Evaluation, model: Model) -> tuple[str, ...]:
    """Returns the names of the classes.

    Raises:
        UserError: Model or data have no classes, they have different ones, or images of different sizes.
    """
    source = evaluation.source
    if "label" not in model.conditions:
        raise UserError(f"{analysis} compares classes, and this model has none; use a class-conditional model (`zoo list` shows them)")
    if source.class_names is None:
        raise UserError(
            f"{analysis} compares classes, and {source.name} has no labels; use data with class labels (digits, mnist, a folder with one "
            "subfolder per class)"
        )
    if model.config.num_classes != source.num_classes:
        raise UserError(
            f"the model generates {model.config.num_classes} classes of images, and {source.name} has {source.num_classes}; "
            "choose the dataset that it was trained on: --data"
        )
    evaluation.check_model(model)  # compares the image sizes
    return source.class_names


def require_images_per_class(analysis: str, kind: str, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Raises UserError if a class has fewer than 2 images."""
    counts = np.bincount(labels, minlength=len(names))
    if counts.min() < 2:
        raise UserError(
            f"{analysis} needs at least 2 images of each of the {len(names)} classes, and '{names[counts.argmin()]}' has {counts.min()} "
            f"of the {len(labels)} {kind}; use more images (--count)"
        )


def mean_by_class(values: np.ndarray, labels: np.ndarray | None, names: tuple[str, ...]) -> dict[str, Any]:
    """Means over the images of each class that occurs; values: [..., n], the result has their leading axes."""
    return {name: values[..., labels == i].mean(axis=-1).tolist() for i, name in enumerate(names) if np.any(labels == i)}


def format_percent(fraction: float) -> str:
    """`71.2%`."""
    return f"{fraction:.1%}"


def new_figure(title: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_title(figure_text(title))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure in the format of the path's suffix.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:  # ValueError: the suffix is no format
        raise UserError(f"{path} cannot be written: {error}") from None
