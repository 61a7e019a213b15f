"""The interface of feature extractors, and resizing images to their input size."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.interfaces import Arrays, Wrapper

BATCH = 250  # images that pass through a network at once


@dataclasses.dataclass(frozen=True)
class FeatureExtractor:
    """Images [n, h, w, c] in [0, 1] -> features [n, d] and, if the network classifies, probabilities [n, k].

    Attributes:
        name: Name in the protocol: kind, data and the start of the hash (`classifier-mnist-1a2b`).
        sha256: Hash of the weights, or of their file.
        description: Description in one sentence.
        shape: Input shape of `run`; None if it resizes images itself.
        resizing: Description of the resizing of images of other sizes.
        run: Images of that shape -> `features` and, if it classifies, `probabilities`.
        classes: Number of classes of the dataset, if the probabilities are of these classes.
        accuracy: Accuracy on held-out real images, if it classifies these classes.
    """

    name: str
    sha256: str
    description: str
    shape: tuple[int, int, int] | None
    resizing: str
    run: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    classes: int | None = None
    accuracy: float | None = None

    @property
    def is_inception(self) -> bool:
        """Whether it is the Inception graph of 2015, the only one whose Fréchet distance is the published FID."""
        return self.name.startswith("inception-2015")

    def __call__(self, images: np.ndarray, progress: Wrapper = iter) -> Arrays:
        """Computes the features of images in batches.

        Args:
            images: [n, h, w, 1, 3 or 4], float32 in [0, 1] or uint8; transparent ones are composited onto white.
            progress: Wrapper of the loop over the batches (a progress bar).

        Returns:
            `features`, float32 [n, d], and if the network classifies, `probabilities`, float32 [n, k].

        Raises:
            UserError: There are no images, or they have another shape.
        """
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
            raise UserError(f"{self.name} takes images [n, height, width, 1, 3 or 4]; these have shape {list(images.shape)}")
        if not len(images):
            raise UserError(f"{self.name} needs at least one image")
        parts = [self._run_batch(images[i : i + BATCH]) for i in progress(range(0, len(images), BATCH))]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _run_batch(self, images: np.ndarray) -> Arrays:
        batch = tf.image.convert_image_dtype(images, tf.float32)
        batch = resize_batch(batch, self.shape or (*batch.shape[1:3], min(batch.shape[-1], 3)))
        return {key: value.numpy() for key, value in self.run(batch).items()}


def resize_batch(images: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Resizes float images [n, h, w, c] to `shape` (bilinear, anti-aliased) and converts them to its number of channels, 1 or 3."""
    if images.shape[-1] == 4:
        images = images[..., :3] * images[..., 3:] + 1 - images[..., 3:]  # onto white
    if images.shape[-1] != shape[-1]:
        images = tf.image.grayscale_to_rgb(images) if shape[-1] == 3 else tf.image.rgb_to_grayscale(images)
    if tuple(images.shape[1:3]) != tuple(shape[:2]):
        images = tf.clip_by_value(tf.image.resize(images, shape[:2], antialias=True), 0, 1)
    return images


def resize_images(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resizes uint8 images [n, h, w, c] to `shape`; the result is uint8."""
    if tuple(images.shape[1:]) == tuple(shape):
        return images
    batches = [resize_batch(tf.image.convert_image_dtype(images[i : i + BATCH], tf.float32), shape) for i in range(0, len(images), BATCH)]
    return np.concatenate([tf.image.convert_image_dtype(batch, tf.uint8, saturate=True).numpy() for batch in batches])


def on_white(images: np.ndarray) -> np.ndarray:
    """Images [n, h, w, c], uint8; those in RGBA are composited onto white."""
    return resize_images(images, (*images.shape[1:3], 3)) if images.shape[-1] == 4 else images


def hash_weights(network: keras.Model) -> str:
    """SHA-256 of all weights of a network."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(weight).tobytes() for weight in network.get_weights())).hexdigest()


def one_line(error: BaseException, length: int = 100) -> str:
    """The start of an error's message, without line breaks."""
    return " ".join(str(error).split())[:length]


def resizing_to(shape: tuple[Any, ...]) -> str:
    """Description of `resize_batch` for a protocol."""
    return f"to {shape[0]}x{shape[1]}, bilinear, anti-aliased, where it differs"
