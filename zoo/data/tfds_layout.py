"""Which features of a TFDS dataset hold the images and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.data.builders import BUILT_IN, explain_open_errors
from zoo.data.image_files import DEFAULT_SIDE
from zoo.data.reading import DEFAULT_READING, Reading
from zoo.data.transforms import Example, on_white, resize
from zoo.errors import UserError, printable


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mapping from features of a TFDS dataset to keys of an example.

    Attributes:
        images: Key -> image feature.
        numbers: Key -> integer feature.
        image_shape: Height, width and channels; height and width are None for pictures of any size.
        class_names: Names of the labels; None: no labels.
        pose_names: Names of the poses; None: no poses.
        crop: How images get another aspect ratio, see `Reading.crop`.
    """

    images: dict[str, str]
    numbers: dict[str, str]
    image_shape: tuple[Any, Any, int]
    class_names: tuple[str, ...] | None
    pose_names: tuple[str, ...] | None
    crop: str = "center"

    @classmethod
    def of(
        cls,
        name: str,
        builder: tfds.core.DatasetBuilder,
        image_shape: Sequence[int] | None,
        keys: Sequence[str],
        reading: Reading = DEFAULT_READING,
    ) -> Layout:
        """The layout that provides the requested keys if the dataset has it.

        Raises:
            UserError: The dataset has no images, or none of 8 bits per channel.
        """
        features = dict(builder.info.features)
        images = _image_features(name, features)
        paired = {"x", "y"} <= set(images)
        first = next((key for key in ("x", "image", "hr") if key in images), images[0])
        if features[first].np_dtype != np.uint8:
            dtype = features[first].np_dtype.__name__
            raise UserError(f"the images of {name} are {dtype}, not 8 bits per channel; choose another dataset")
        *size, channels = features[first].shape
        channels = 1 if channels == 1 else 3  # transparent images are composited onto white
        if paired:
            taken = {"x": "x", "y": "y"}
        elif "picture" in keys:
            return cls({"picture": first}, {}, (None, None, channels), None, None)
        else:
            taken = {"image": first}
        height, width = (DEFAULT_SIDE, DEFAULT_SIDE) if None in features[first].shape else size
        label = _find_label(name, features, reading.label_key, "label" in keys)
        numbers = {"label": label} if label else {}
        if "pose" in features and not paired:
            numbers["pose"] = "pose"
        return cls(
            taken,
            numbers,
            (height, width, channels) if image_shape is None else (image_shape[0], image_shape[1], image_shape[2]),
            tuple(map(printable, features[label].names)) if label else None,
            tuple(map(printable, features["pose"].names)) if "pose" in numbers else None,
            reading.crop,
        )

    @property
    def any_size(self) -> bool:
        """Whether the images keep their sizes."""
        return "picture" in self.images

    @property
    def paired(self) -> bool:
        """Whether an example has two images that belong together."""
        return "x" in self.images

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of an example."""
        return (*self.images, *self.numbers, *(("pair",) if self.paired else ()))

    def examples(self, builder: tfds.core.DatasetBuilder, split: str) -> tf.data.Dataset:
        """The examples of a split of prepared data."""
        with explain_open_errors(builder.name):
            rows = builder.as_dataset(split=split, read_config=tfds.ReadConfig(try_autocache=False))
        if not self.paired:
            return rows.map(self._convert, num_parallel_calls=tf.data.AUTOTUNE)
        return rows.map(self._convert).enumerate().map(lambda number, row: {**row, "pair": number})

    def _convert(self, row: Example) -> Example:
        example = {}
        for key, feature in self.images.items():
            image = row[feature] if self.image_shape[-1] == 4 else on_white(row[feature])
            keep = self.any_size or tuple(image.shape) == self.image_shape
            example[key] = image if keep else resize(image, self.image_shape, self.crop)
        return {**example, **{key: tf.cast(row[feature], tf.int64) for key, feature in self.numbers.items()}}


def _image_features(name: str, features: dict[str, Any]) -> list[str]:
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if not images:
        raise UserError(
            f"{name} has no images, only {', '.join(features)}; choose an image dataset, such as {', '.join(BUILT_IN)}, mnist or cifar10"
        )
    return images


def label_features(features: dict[str, Any]) -> list[str]:
    """The features that may be labels."""
    return sorted(name for name, feature in features.items() if name != "pose" and isinstance(feature, tfds.features.ClassLabel))


def _find_label(name: str, features: dict[str, Any], key: str | None, is_needed: bool) -> str | None:
    """The feature that holds the labels; None if there is none, or none is needed and it is not clear which one they are.

    Raises:
        UserError: There are several, labels are needed and none is called `label`; or the feature that the user named does not exist.
    """
    candidates = label_features(features)
    if key is not None:
        if key not in candidates:
            raise UserError(f"--label-key {key}: the labels of {name} are {', '.join(candidates) or 'none'}")
        return key
    if len(candidates) > 1:
        if "label" not in candidates and not is_needed:
            return None
        if "label" not in candidates:
            raise UserError(f"{name} has several labels: {', '.join(candidates)}; choose one with --label-key {candidates[0]}")
    return "label" if "label" in candidates else next(iter(candidates), None)
