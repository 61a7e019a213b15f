"""Digits and their outlines as TFDS datasets that need no download: two domains in which each image has a known counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data import digits

SUPERSAMPLING = 4  # the edge is drawn at this many times the resolution


def draw_outline(image: np.ndarray) -> np.ndarray:
    """Draws the edge of what is brighter than half in a uint8 image [h, w, 1], one pixel wide."""
    from scipy import ndimage

    bright = ndimage.zoom(image[..., 0].astype(np.float32), SUPERSAMPLING, order=1, grid_mode=True, mode="nearest") > 128
    edge = bright ^ ndimage.binary_erosion(bright, iterations=SUPERSAMPLING)
    height, width = image.shape[:2]
    return np.asarray(255 * edge.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING).mean((1, 3)), np.uint8)[..., None]


class Outlines(tfds.core.GeneratorBasedBuilder):
    """Outlines (A) and digits (B): in training of different digits, in testing of the same ones in the same order."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return digits.dataset_info(self, disable_shuffling=True)  # TFDS would give each split an order of its own

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        half = digits.TRAIN // 2
        return {
            "trainA": self._generate_examples(0, half, draw_outline),
            "trainB": self._generate_examples(half, digits.TRAIN),
            "testA": self._generate_examples(digits.TRAIN, None, draw_outline),
            "testB": self._generate_examples(digits.TRAIN, None),
        }

    def _generate_examples(
        self, start: int, stop: int | None, draw: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, image, label in digits.load_digits(start, stop):
            yield i, {"image": draw(image) if draw else image, "label": label}


class OutlinePairs(tfds.core.GeneratorBasedBuilder):
    """Outlines (x), each with its digit (y)."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return digits.dataset_info(self, ("x", "y"), disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {"train": self._generate_examples(0, digits.TRAIN), "test": self._generate_examples(digits.TRAIN, None)}

    def _generate_examples(self, start: int, stop: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, image, label in digits.load_digits(start, stop):
            yield i, {"x": draw_outline(image), "y": image, "label": label}
