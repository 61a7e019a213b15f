"""Everything specific to images: shapes, the ranges [-1, 1] (internal) and [0, 1] (external), PNG files, grids, checks.

Another modality (points [n, 2], series [n, t, c]) implements `zoo.core.Modality` and has a configuration of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.core import augment
from zoo.core.config import Config
from zoo.core.image_bytes import KEY, blank_png, decode_images, encode_png
from zoo.core.signatures import Signature, one_per_row, require
from zoo.errors import UserError
from zoo.types import Omittable

MIN_SIDE, MAX_SIDE = 8, 1024  # pixels
GRID_GAP = 2  # pixels between the images of a grid
IMAGE_KEYS = ("image", "labeled_image", "x", "y", "high", "low", "picture")  # keys of a batch whose values are images
Self = TypeVar("Self", bound="ImageConfig")


@dataclasses.dataclass(frozen=True)
class ImageConfig(Config):
    """The settings of a model of images."""

    image_shape: Omittable[tuple[int, int, int]] = None  # height, width and channels that images are resized to (default: from the data)

    fallbacks: ClassVar[dict[str, Any]] = {**Config.fallbacks, "image_shape": (32, 32, 1)}
    size_multiple: ClassVar[int] = 1  # height and width must be multiples of this
    channel_counts: ClassVar[tuple[int, ...]] = (1, 3, 4)  # grayscale, RGB, RGBA

    @property
    def size_constraint(self) -> str:
        """Description of the supported heights and widths."""
        return f"multiples of {self.size_multiple}" if self.size_multiple > 1 else "any"

    def validate(self) -> None:
        super().validate()
        if self.image_shape:
            self._validate_shape(self.image_shape)

    def _validate_shape(self, shape: tuple[int, ...]) -> None:
        *sides, channels = shape
        size = "x".join(map(str, sides))
        if channels not in self.channel_counts:
            *others, last = map(str, self.channel_counts)
            choices = f"{', '.join(others)} or {last}"
            raise UserError(f"images of {channels} channels are unsupported; --image-shape HEIGHT WIDTH CHANNELS takes {choices} channels")
        if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE:
            raise UserError(
                f"images of {size} pixels are unsupported; sides of {MIN_SIDE} to {MAX_SIDE} pixels are supported: "
                f"--image-shape 32 32 {channels} resizes them"
            )
        if any(side % self.size_multiple for side in sides):
            fitting = [max(round(side / self.size_multiple), 1) * self.size_multiple for side in sides]
            option = f"--image-shape {' '.join(map(str, (*fitting, channels)))}"
            raise UserError(f"images of {size} pixels: both sides must be multiples of {self.size_multiple}; {option} resizes them")


class Images:
    """The image modality (see `Modality`), float32 NHWC: [-1, 1] inside the library; [0, 1] or PNG files in its interfaces."""

    key = "image"
    external_range = (0.0, 1.0)
    augmentations = augment.POLICIES

    def sample_shape(self, config: Any) -> tuple[int, ...]:
        """The shape of one sample: height, width, channels."""
        return tuple(config.image_shape)

    def describe_shape(self, config: Any) -> str:
        """Description of the samples: `32x32x1 images`."""
        return f"{'x'.join(map(str, config.image_shape))} images"

    def to_external(self, samples: tf.Tensor) -> tf.Tensor:
        """[-1, 1] -> [0, 1]."""
        return to_unit(samples)

    def from_external(self, samples: tf.Tensor, name: str = "image") -> tf.Tensor:
        """[0, 1] -> [-1, 1]; see `from_unit`."""
        return from_unit(samples, name)

    def file_signatures(self, sample: Signature) -> dict[str, Signature]:
        """The signature `png`: the images of `sample` as PNG files."""

        def png(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {KEY: encode_png(sample.function(*inputs)["image"])}

        return {"png": Signature(png, sample.inputs, (KEY,), sample.padding)}

    def render(self, samples: Any, columns: int) -> np.ndarray:
        """Samples in [0, 1] as one picture, uint8 [height, width, 1, 3 or 4]."""
        return tile_grid(np.asarray(samples), columns)

    def diversity(self, samples: Any, labels: Any = None) -> float:
        """Mean distance between two samples in [0, 1], of the same label if labels are given.

        Raises:
            UserError: If there is no such pair, or values are not finite.
        """
        from zoo.metrics.image_similarity import pairwise_distance

        return pairwise_distance(np.asarray(samples), labels)

    def validate_batch(self, batch: dict[str, Any], config: Any) -> None:
        """Checks the images of a batch that a user feeds to `fit`.

        Raises:
            UserError: For images that are not float32 in [-1, 1] or not of the model's shape.
        """
        for key in IMAGE_KEYS:
            if key in batch:
                _validate_images(key, np.asarray(batch[key]), None if key in ("low", "picture") else self.sample_shape(config))


def _validate_images(key: str, images: np.ndarray, shape: tuple[int, ...] | None) -> None:
    expected = f"float32 in [-1, 1] of shape [n, {', '.join(map(str, shape or ('height', 'width', 'channels')))}]"
    if images.dtype.kind != "f":
        raise UserError(f"{key} has dtype {images.dtype}; expected {expected}: uint8 pixels are converted by x / 127.5 - 1")
    if images.ndim < 4 or (shape and tuple(images.shape[-3:]) != shape):
        raise UserError(f"{key} has shape {list(images.shape)}; expected {expected}")
    low, high = (float(extreme) for extreme in (images.min(), images.max()))
    observed = f"{key} has values from {low:.4g} to {high:.4g}; expected {expected}"
    if not (low >= -1.01 and high <= 1.01):  # also NaN; images that were resized may overshoot a little
        raise UserError(f"{observed}: [0, 255] is converted by x / 127.5 - 1")
    if low >= 0 and high > 0.5:
        raise UserError(f"{observed}: [0, 1] is converted by x * 2 - 1")


# -- ranges -----------------------------------------------------------------------------------------------------------


def to_unit(images: tf.Tensor) -> tf.Tensor:
    """[-1, 1] -> [0, 1], float32, clipped."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1) / 2, 0, 1)


def from_unit(images: tf.Tensor, name: str = "image") -> tf.Tensor:
    """[0, 1] -> [-1, 1], float32.

    Args:
        images: Images of any shape.
        name: Name of the argument, for the error message.

    Raises:
        UserError: For values of another range, such as 0 to 255; InvalidArgumentError inside a graph.
    """
    images = tf.cast(images, tf.float32)
    inside = tf.reduce_all((images > -0.01) & (images < 1.01))  # images that were resized may overshoot a little
    require(inside, f"{name}: values must be in [0, 1], not in [0, 255] or [-1, 1]")
    return images * 2 - 1


# -- files ------------------------------------------------------------------------------------------------------------


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes a uint8 picture [height, width, 1, 3 or 4]."""
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(path, "PNG")


# -- grids ------------------------------------------------------------------------------------------------------------


def tile_grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Images [n, h, w, c] in [0, 1] as one uint8 picture, row by row; the last row is padded with gray."""
    images = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + GRID_GAP) - GRID_GAP, columns * (width + GRID_GAP) - GRID_GAP, channels), 128, np.uint8)
    picture[..., 3:] = 255
    for i, image in enumerate(images):
        top, left = i // columns * (height + GRID_GAP), i % columns * (width + GRID_GAP)
        picture[top : top + height, left : left + width] = image
    return picture


def interleave_rows(versions: list[tf.Tensor], samples: tf.Tensor | None = None, columns: int = 8) -> tuple[tf.Tensor, int]:
    """A preview with the versions of an image (original, reconstruction) below each other.

    Args:
        versions: Images in [-1, 1]; at most the first 16 of each are shown.
        samples: Images in [0, 1] to append below.
        columns: Maximum number of columns of the grid.

    Returns:
        Images in [0, 1], and the columns of their grid.
    """
    versions = [to_unit(version[:16]) for version in versions]
    columns = min(columns, len(versions[0]))
    count = len(versions[0]) // columns * columns
    rows = [version[i : i + columns] for i in range(0, count, columns) for version in versions]
    return tf.concat([*rows, *([] if samples is None else [samples])], 0), columns


# -- signatures -------------------------------------------------------------------------------------------------------


def image_to_image_signatures(
    name: str, function: Callable[..., tf.Tensor], shape: tuple[int | None, ...], *extra_inputs: tf.TensorSpec
) -> dict[str, Signature]:
    """The signatures `name` and `name`_png of a function from images in [-1, 1] to images in [-1, 1].

    Args:
        name: Name of the signature.
        function: Takes images and the extra inputs.
        shape: Shape of an image; None for sides of any length.
        *extra_inputs: Further inputs of the function, one value per row.
    """

    def image_signature(image: tf.Tensor, *others: tf.Tensor) -> dict[str, tf.Tensor]:
        checked = [one_per_row(value, image, spec.name, "image") for value, spec in zip(others, extra_inputs, strict=True)]
        return {"image": to_unit(function(from_unit(image), *checked))}

    def png_signature(image_bytes: tf.Tensor, *others: tf.Tensor) -> dict[str, tf.Tensor]:
        return {KEY: encode_png(image_signature(decode_images(image_bytes, shape), *others)["image"])}

    image_spec, bytes_spec = tf.TensorSpec([None, *shape], tf.float32, "image"), tf.TensorSpec([None], tf.string, KEY)
    return {
        name: Signature(image_signature, [image_spec, *extra_inputs], ("image",)),
        f"{name}_png": Signature(png_signature, [bytes_spec, *extra_inputs], (KEY,), {KEY: blank_png(shape)}),
    }
