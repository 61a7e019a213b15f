"""Datasets of pictures of any size, from which fixed-size crops are drawn."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from zoo.data import limits
from zoo.data.damage import explain_read_errors
from zoo.data.source import Source
from zoo.data.transforms import Arrays, Example, Transform
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Pictures(Source):
    """A dataset of pictures of any size, `picture`; its batches are made of crops.

    Attributes:
        crops_per_picture: Crops of each picture in an epoch.
        crop_side: Side of a crop in pixels: the square root of its area.
    """

    keys: tuple[str, ...] = ("picture",)
    crops_per_picture: int = 1
    crop_side: float = 0.0

    @property
    def example_bytes(self) -> int:
        """Size of the pixels of one crop."""
        return int(self.crop_side**2 * self.image_shape[-1])

    def with_crops(self, side: float, transform: Transform) -> Pictures:
        """A source of crops; an epoch has as many crops per picture as cover a picture of median size.

        Args:
            side: Side of a crop in pixels: the square root of its area.
            transform: Makes a fixed-size example from one with the key `picture`.
        """
        area = np.median([np.prod(picture.shape[:2]) for picture in self.first_pictures("train", limits.MEASURED_PICTURES)])
        count = max(1, round(area / side**2))
        sizes = {split: size * count for split, size in self.sizes.items()}
        source: Pictures = self._replace(sizes=sizes, crops_per_picture=count, crop_side=side, transform=transform)
        return source

    def first_pictures(self, split: str, count: int) -> list[np.ndarray]:
        """The first `count` pictures of a split, uint8 [height, width, channels] each."""
        with explain_read_errors(self.name, self.find_damage):
            return [row["picture"] for row in self.examples(split).take(count).as_numpy_iterator()]

    def load_examples(self, split: str = "train", count: int = 10_000, seed: int = 0) -> Arrays:
        """The first pictures of a split as a list, up to `count` and up to 1 GiB; the seed has no effect."""
        pictures: list[np.ndarray] = []
        remaining = limits.MEMORY_BYTES
        with explain_read_errors(self.name, self.find_damage):
            for row in self.examples(split).take(count).as_numpy_iterator():
                remaining -= row["picture"].size
                if remaining < 0:
                    break
                pictures.append(row["picture"])
        return {"picture": pictures}

    def subset(self, count: int, seed: int = 0) -> NoReturn:
        """Subsets of pictures of any size are not supported.

        Raises:
            UserError: Always.
        """
        raise UserError(f"--examples is not supported for {self.name}, a dataset of pictures of any size; omit it to train on all of them")

    def in_memory(self, split: str) -> bool:
        """Whether a whole split is loaded into memory: up to 1 GiB."""
        return self._tensors(split) is not None

    def _tensors(self, split: str) -> Any:
        """All pixels in one vector, the index of each picture's first pixel, and the shapes; None if the split exceeds the memory limit."""
        if split not in self._loaded:
            pictures = self.load_examples(split, self.sizes[split])["picture"]
            complete = len(pictures) * self.crops_per_picture == self.sizes[split]
            self._loaded[split] = _pack(pictures) if complete else None
        return self._loaded[split]

    def _stream(self, split: str) -> tf.data.Dataset:
        """Each picture once per crop, so that it is decoded only once per epoch, interleaved with other pictures."""
        return self.examples(split).interleave(self._repeat, cycle_length=limits.INTERLEAVED_PICTURES)

    def _repeat(self, example: Example) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(example).repeat(self.crops_per_picture)

    def _gather(self, tensors: Example, rows: tf.Tensor) -> Example:
        """The picture of a single row; a picture has as many rows as crops."""
        number = rows // self.crops_per_picture
        shape, start = tensors["shape"][number], tensors["start"][number]
        pixels = tensors["pixels"][start : start + tf.reduce_prod(shape)]
        return {"picture": tf.ensure_shape(tf.reshape(pixels, shape), self.image_shape)}


def _pack(pictures: list[np.ndarray]) -> Example:
    starts = np.cumsum([0, *(picture.size for picture in pictures)])[:-1]
    pixels = np.concatenate([picture.ravel() for picture in pictures])
    arrays = {"pixels": pixels, "start": starts, "shape": np.array([picture.shape for picture in pictures])}
    with tf.device("CPU"):
        return {key: tf.constant(value) for key, value in arrays.items()}
