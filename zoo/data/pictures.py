"""Datasets of pictures of any size, from which fixed-size crops are drawn."""

from __future__ import annotations

import dataclasses
from typing import NoReturn

import numpy as np
import tensorflow as tf

from zoo.data import host_functions, limits
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
        area = np.median(self.picture_shapes("train")[: limits.MEASURED_PICTURES, :2].prod(1))
        count = max(1, round(area / side**2))
        sizes = {split: size * count for split, size in self.sizes.items()}
        source: Pictures = self._replace(sizes=sizes, crops_per_picture=count, crop_side=side, transform=transform)
        return source

    def first_pictures(self, split: str, count: int) -> list[np.ndarray]:
        """The first `count` pictures of a split, uint8 [height, width, channels] each."""
        arrays = self.arrays(split)
        return [get_picture(arrays, i) for i in range(min(count, len(arrays["shape"])))]

    def picture_shapes(self, split: str) -> np.ndarray:
        """Height, width and channels of all pictures of a split, int64 [n, 3]."""
        shapes: np.ndarray = self.arrays(split)["shape"]
        return shapes

    def load_examples(self, split: str = "train", count: int = 10_000, seed: int = 0) -> Arrays:
        """The first pictures of a split as a list, up to `count` and up to 1 GiB; the seed has no effect."""
        fitting = int(np.searchsorted(np.cumsum(self.picture_shapes(split).prod(1)), limits.LOADED_BYTES, "right"))
        return {"picture": self.first_pictures(split, min(count, fitting))}

    def subset(self, count: int, seed: int = 0) -> NoReturn:
        """Subsets of pictures of any size are not supported.

        Raises:
            UserError: Always.
        """
        raise UserError(f"--examples is not supported for {self.name}, a dataset of pictures of any size; omit it to train on all of them")

    def _examples(self, arrays: Arrays, order: tf.Tensor) -> tf.data.Dataset:
        """The pictures in this order; a picture has as many rows as crops."""

        def read(row: tf.Tensor) -> Example:
            number = row // self.crops_per_picture
            pixels = host_functions.call(lambda number: get_picture(arrays, number), [number], tf.uint8)
            return {"picture": tf.ensure_shape(pixels, self.image_shape)}

        return tf.data.Dataset.from_tensor_slices(order).map(read, num_parallel_calls=tf.data.AUTOTUNE)


def pack_shapes(shapes: np.ndarray) -> Arrays:
    """The shapes of pictures whose pixels are in one vector, and where each one begins; see `get_picture`."""
    sizes = shapes.prod(1)
    return {"shape": shapes, "start": np.cumsum(sizes) - sizes}


def get_picture(arrays: Arrays, number: int) -> np.ndarray:
    """A picture of those whose pixels are in one vector."""
    shape, start = arrays["shape"][number], arrays["start"][number]
    return np.asarray(arrays["pixels"][start : start + int(shape.prod())]).reshape(shape)
