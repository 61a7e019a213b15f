"""Functions of images and examples: resizing, normalization, shuffling, and the random transforms of training data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import host_functions

Example = dict[str, tf.Tensor]
Arrays = dict[str, Any]  # arrays by key; pictures of any size come as a list of arrays
ImageShape = tuple[int, int, int]  # height, width, channels
Transform = Callable[[Example, Sequence[tf.Tensor], bool], Example]  # (example, seed of two integers, training) -> example


def resize(image: tf.Tensor, image_shape: ImageShape, crop: str = "center") -> tf.Tensor:
    """An image in another size; see `Reading.crop` for the ways to crop it, and `center_crop_and_resize`."""
    if crop == "center":
        return center_crop_and_resize(image, image_shape)
    height, width, _ = image_shape
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    if crop == "pad":
        scale = tf.maximum(size[0] / height, size[1] / width)
        rows, columns = (tf.cast(tf.math.ceil(scale * length), tf.int32) for length in (height, width))
        background = tf.constant([255, 255, 255, 0][: image.shape[-1]], tf.uint8)  # white, or transparent white
        image = background - tf.image.resize_with_crop_or_pad(background - image, rows, columns)  # modulo 256
    return tf.ensure_shape(_convert_channels(_resize(image, (height, width)), image_shape[-1]), image_shape)


def center_crop_and_resize(image: tf.Tensor, image_shape: ImageShape) -> tf.Tensor:
    """Center-crops an image to the aspect ratio of `image_shape` and resizes it, converting between grayscale, RGB and RGBA.

    Args:
        image: uint8 [height, width, 1, 3 or 4].
        image_shape: Height, width and channels (1, 3, or 4 for RGBA) of the result.

    Returns:
        uint8 image of shape `image_shape`, resized with antialiased bilinear interpolation.
    """
    height, width, channels = image_shape
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.minimum(size[0] / height, size[1] / width)
    rows, columns = (tf.maximum(1, tf.cast(tf.round(scale * length), tf.int32)) for length in (height, width))
    image = tf.image.resize_with_crop_or_pad(image, rows, columns)
    return tf.ensure_shape(_convert_channels(_resize(image, (height, width)), channels), image_shape)


def _resize(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """A uint8 image, resized; the colors of transparent pixels are weighted by their opacity."""
    values = tf.cast(image, tf.float32)
    if image.shape[-1] == 4:
        values = tf.concat([values[..., :3] * values[..., 3:] / 255, values[..., 3:]], -1)
    values = tf.image.resize(values, size, antialias=True)
    if image.shape[-1] == 4:
        alpha = values[..., 3:]
        values = tf.concat([tf.where(alpha > 0.5, tf.math.divide_no_nan(values[..., :3] * 255, alpha), 255), alpha], -1)
    return tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)


def _convert_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """A uint8 image in grayscale (1), RGB (3) or RGBA (4)."""
    image = image if channels == 4 else on_white(image)
    if image.shape[-1] == 3 and channels == 1:
        return tf.image.rgb_to_grayscale(image)
    if image.shape[-1] == 1 and channels > 1:
        image = tf.image.grayscale_to_rgb(image)
    if image.shape[-1] == 3 and channels == 4:
        image = tf.concat([image, tf.fill([*tf.unstack(tf.shape(image)[:-1]), 1], tf.constant(255, tf.uint8))], -1)
    return image


def flip_half(batch: Example, count: int, positions: np.ndarray, seed: Sequence[tf.Tensor]) -> Example:
    """Flips half of the examples at some positions of a batch of `count` horizontally, at random; all images of an example alike."""
    flipped = tf.gather(tf.random.stateless_uniform([count], seed), positions) < 0.5

    def flip(images: tf.Tensor) -> tf.Tensor:
        mask = tf.reshape(flipped, [-1, *[1] * (images.shape.rank - 1)])
        return tf.where(mask, tf.reverse(images, [-2]), images)

    return {key: flip(value) if value.dtype == tf.uint8 else value for key, value in batch.items()}


def on_white(image: tf.Tensor) -> tf.Tensor:
    """An image without its alpha channel, composited onto white: uint8 [height, width, 1 to 4] to [height, width, 1 or 3]."""
    channels = image.shape[-1]
    if channels not in (2, 4):
        return image
    colors, alpha = tf.cast(image[..., :-1], tf.float32), tf.cast(image[..., -1:], tf.float32) / 255
    return tf.cast(tf.round(colors * alpha + 255 * (1 - alpha)), tf.uint8)


def normalize_images(batch: Example) -> Example:
    """Converts uint8 images to float32 in [-1, 1]; other values are unchanged. Seven times faster on batches than on single images."""
    return {key: tf.cast(value, tf.float32) / 127.5 - 1 if value.dtype == tf.uint8 else value for key, value in batch.items()}


def gather(arrays: Arrays, rows: tf.Tensor) -> Example:
    """The examples in the given rows, one or many, of arrays that may be larger than the memory."""
    keys, parts = list(arrays), list(arrays.values())
    values = host_functions.call(lambda rows: [part[rows] for part in parts], [rows], [part.dtype for part in parts])
    return {key: tf.ensure_shape(value, (*rows.shape, *part.shape[1:])) for key, value, part in zip(keys, values, parts, strict=True)}


def balanced_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws rows with as many of each class as possible.

    Args:
        labels: int [n].
        count: Number of rows to draw.
        seed: Determines the rows and their order.

    Returns:
        int64 [count]: row numbers, one of each class in turn for as long as the class has rows left.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # rank of a row within its class
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank[order], kind="stable")][:count]


@dataclasses.dataclass(frozen=True)
class RandomJitter:
    """Random crops of enlarged images and random horizontal flips, the same for all images of an example; training data only.

    Attributes:
        image_shape: Shape of the images and of the crops.
        margin: Pixels by which height and width are enlarged (bicubic) before cropping; 0: no cropping.
        flip: Whether to flip half of the examples.
    """

    image_shape: ImageShape
    margin: int
    flip: bool

    def __call__(self, example: Example, seed: Sequence[tf.Tensor], training: bool) -> Example:
        if not training:
            return example
        height, width, channels = self.image_shape
        keys = [key for key, value in example.items() if value.dtype == tf.uint8]
        stack = tf.concat([example[key] for key in keys], -1)
        if self.margin:
            enlarged = tf.image.resize(tf.cast(stack, tf.float32), (height + self.margin, width + self.margin), "bicubic")
            crop = tf.image.stateless_random_crop(enlarged, (height, width, channels * len(keys)), seed)
            stack = tf.cast(tf.clip_by_value(tf.round(crop), 0, 255), tf.uint8)
        if self.flip:
            stack = tf.image.stateless_random_flip_left_right(stack, seed)
        return {**example, **dict(zip(keys, tf.split(stack, len(keys), -1), strict=True))}


class GroupByLabel:
    """Replaces an example by several random examples of its label; see `Source.group_by_label`.

    Args:
        arrays: Split -> all its examples.
        num_classes: Number of labels.
        count: Examples per group.
        transform: Applied to each example of a group.
    """

    def __init__(self, arrays: dict[str, Arrays], num_classes: int, count: int, transform: Transform | None) -> None:
        self.arrays, self.count, self.transform = arrays, count, transform
        self.rows_by_label = {split: np.argsort(examples["label"], kind="stable") for split, examples in arrays.items()}
        self.class_sizes = {split: np.bincount(examples["label"], minlength=num_classes) for split, examples in arrays.items()}

    def __call__(self, example: Example, seed: Sequence[tf.Tensor], training: bool) -> Example:
        split = "train" if training else "test"
        label, seed = example["label"], tf.stack(seed)
        sizes = self.class_sizes[split]
        size, first = tf.gather(sizes, label), tf.gather(np.cumsum(sizes) - sizes, label)
        places = tf.argsort(tf.random.stateless_uniform([size], seed))
        places = tf.gather(places, tf.range(self.count) % tf.cast(size, tf.int32))
        rows = tf.gather(self.rows_by_label[split], first + tf.cast(places, first.dtype))
        members = gather(self.arrays[split], rows)
        group = [{key: value[i] for key, value in members.items()} for i in range(self.count)]
        if self.transform:
            fold_in = tf.random.experimental.stateless_fold_in
            group = [self.transform(member, fold_in(seed, i), training) for i, member in enumerate(group)]
        return {key: label if key == "label" else tf.stack([member[key] for member in group]) for key in example}
