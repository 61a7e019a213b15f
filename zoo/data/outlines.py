"""Digits and their outlines as TFDS data sets that need no download: two domains in which every image has a known counterpart."""

import numpy as np
import tensorflow_datasets as tfds
from scipy import ndimage

from zoo.data import digits

FINER = 4  # times as many pixels a side on which the edge is drawn


def outline(image):
    """The edge of what is brighter than half in a uint8 image [h, w, 1], one pixel wide."""
    bright = ndimage.zoom(image[..., 0].astype(np.float32), FINER, order=1, grid_mode=True, mode="nearest") > 128
    edge = bright ^ ndimage.binary_erosion(bright, iterations=FINER)
    height, width = image.shape[:2]
    return np.uint8(255 * edge.reshape(height, FINER, width, FINER).mean((1, 3)))[..., None]


class Outlines(tfds.core.GeneratorBasedBuilder):
    """Outlines (A) and digits (B): to train on, those of other digits; to test on, of the same ones in the same order."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return digits.described(self, disable_shuffling=True)  # TFDS would give each split an order of its own

    def _split_generators(self, dl_manager):
        half = digits.TRAIN // 2
        return {
            "trainA": self._generate_examples(0, half, outline),
            "trainB": self._generate_examples(half, digits.TRAIN),
            "testA": self._generate_examples(digits.TRAIN, None, outline),
            "testB": self._generate_examples(digits.TRAIN, None),
        }

    def _generate_examples(self, start, stop, drawn=lambda image: image):
        for i, image, label in digits.enlarged(start, stop):
            yield i, {"image": drawn(image), "label": label}


class OutlinePairs(tfds.core.GeneratorBasedBuilder):
    """Outlines (x), each with its digit (y)."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return digits.described(self, ("x", "y"), disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, digits.TRAIN), "test": self._generate_examples(digits.TRAIN, None)}

    def _generate_examples(self, start, stop):
        for i, image, label in digits.enlarged(start, stop):
            yield i, {"x": outline(image), "y": image, "label": label}
