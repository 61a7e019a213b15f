"""TFDS datasets as sources, including the built-in ones. Import this module lazily, because it imports TFDS."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.data.builders import BUILT_IN, OPEN_ERRORS, explain_open_errors, find_builder, prepare
from zoo.data.damage import describe_read_error, explain_read_errors
from zoo.data.domains import Domains
from zoo.data.image_files import DEFAULT_SIDE
from zoo.data.paths import CACHE, default_data_dir, find_cache_dir
from zoo.data.pictures import Pictures
from zoo.data.source import Source
from zoo.data.transforms import Example, center_crop_and_resize
from zoo.errors import UserError, printable

# TFDS datasets of two domains: whether equal rows of both test splits belong together.
DOMAINS = {"outlines": True, "cycle_gan": False}


class Opener:
    """Opens one TFDS or built-in dataset; see `open_source` for the arguments.

    Raises:
        UserError: The name is unknown, or what is in its folder cannot be read.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike[str] | None,
        image_shape: Sequence[int] | None,
        keys: Sequence[str],
        read_only: bool = False,
    ) -> None:
        self.name, self.image_shape, self.keys, self.read_only = name, image_shape, keys, read_only and data_dir is not None
        self.data_dir = data_dir
        self.builder: Any = find_builder(name, data_dir)
        if self.read_only and not self.builder.is_prepared():
            self.data_dir, self.read_only = None, False
            self.builder = find_builder(name, None)

    def prepare(self) -> None:
        """Makes the data available on this machine.

        Raises:
            UserError: They cannot be downloaded or written.
        """
        self.builder = prepare(self.name, self.builder, self.data_dir)

    def source(self, omit: str | None = None) -> Source | Domains:
        """The data without the split `omit`, in the layout that provides the keys if the dataset has it."""
        with explain_open_errors(self.name):
            layout = Layout.of(self.name, self.builder, self.image_shape, self.keys)
        sizes = {split: info.num_examples for split, info in self.builder.info.splits.items() if split != omit}
        root = str(self.builder.data_dir).removesuffix(f"/{self.builder.info.full_name}")
        fields: dict[str, Any] = {
            "version": str(self.builder.version),
            "image_shape": layout.image_shape,
            "class_names": layout.class_names,
            "cache_dir": find_cache_dir(*(() if self.read_only else (root,)), default_data_dir()),
            "read_only_cache_dir": os.path.join(root, CACHE) if self.read_only else "",
            "find_damage": functools.partial(find_damaged_shards, self.builder),
        }
        examples = functools.partial(layout.examples, self.builder)
        if {"trainA", "trainB"} <= set(sizes) or self.name.split("/")[0] in DOMAINS:
            return _two_domains(self.name, examples, sizes, fields)
        stored_splits = {split: split for split in sizes}
        if "validation" in sizes and "test" not in sizes:
            sizes["test"] = sizes.pop("validation")
            stored_splits["test"] = "validation"
        source_class = Pictures if layout.any_size else Source
        return source_class(
            name=self.name,
            sizes=sizes,
            examples=lambda split: examples(stored_splits[split]),
            keys=layout.keys,
            pose_names=layout.pose_names,
            **fields,
        )

    def prepared_source(self) -> Source | Domains:
        """The data after `prepare`. A test split with secret labels, such as that of imagenet2012, is replaced by the validation split.

        Raises:
            UserError: There is no train split.
        """
        source = self.source()
        if isinstance(source, Source) and _has_secret_labels(source):
            source = self.source(omit="test")
        if "train" not in source.sizes:
            raise UserError(f"{self.name} has no split 'train', only {', '.join(source.sizes)}; choose another dataset")
        return source


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mapping from features of a TFDS dataset to keys of an example.

    Attributes:
        images: Key -> image feature.
        numbers: Key -> integer feature.
        image_shape: Height, width and channels; height and width are None for pictures of any size.
        class_names: Names of the labels; None: no labels.
        pose_names: Names of the poses; None: no poses.
    """

    images: dict[str, str]
    numbers: dict[str, str]
    image_shape: tuple[Any, Any, int]
    class_names: tuple[str, ...] | None
    pose_names: tuple[str, ...] | None

    @classmethod
    def of(cls, name: str, builder: tfds.core.DatasetBuilder, image_shape: Sequence[int] | None, keys: Sequence[str]) -> Layout:
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
        channels = 1 if channels == 1 else 3  # an alpha channel is dropped
        if paired:
            taken = {"x": "x", "y": "y"}
        elif "picture" in keys:
            return cls({"picture": first}, {}, (None, None, channels), None, None)
        else:
            taken = {"image": first}
        height, width = (DEFAULT_SIDE, DEFAULT_SIDE) if None in features[first].shape else size
        label = next((k for k in ("label", *features) if k != "pose" and isinstance(features.get(k), tfds.features.ClassLabel)), None)
        numbers = {"label": label} if label else {}
        if "pose" in features and not paired:
            numbers["pose"] = "pose"
        return cls(
            taken,
            numbers,
            (height, width, channels) if image_shape is None else (image_shape[0], image_shape[1], image_shape[2]),
            tuple(map(printable, features[label].names)) if label else None,
            tuple(map(printable, features["pose"].names)) if "pose" in numbers else None,
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
            image = row[feature][..., :3]
            keep = self.any_size or tuple(image.shape) == self.image_shape
            example[key] = image if keep else center_crop_and_resize(image, self.image_shape)
        return {**example, **{key: tf.cast(row[feature], tf.int64) for key, feature in self.numbers.items()}}


def find_damaged_shards(builder: tfds.core.DatasetBuilder) -> Iterator[str]:
    """Reads every example of prepared data; yields the files that are missing or damaged, each with the reason."""
    for split, info in builder.info.splits.items():
        for i, path in enumerate(info.filepaths):
            try:
                shard = tfds.core.ReadInstruction(split, from_=i, to=i + 1, unit="shard")
                for _ in builder.as_dataset(split=shard, read_config=tfds.ReadConfig(try_autocache=False)):
                    pass
            except OPEN_ERRORS as error:
                yield f"{path} ({describe_read_error(error)})"


def _has_secret_labels(source: Source) -> bool:
    if "test" not in source.sizes or "label" not in source.keys:
        return False
    with explain_read_errors(source.name, source.find_damage):
        return any(row["label"] < 0 for row in source.examples("test").take(1))


def _image_features(name: str, features: dict[str, Any]) -> list[str]:
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if not images:
        raise UserError(
            f"{name} has no images, only {', '.join(features)}; choose an image dataset, such as {', '.join(BUILT_IN)}, mnist or cifar10"
        )
    return images


def _two_domains(name: str, examples: Any, sizes: dict[str, int], fields: dict[str, Any]) -> Domains:
    """The splits `trainA`, `trainB`, ... of a dataset as two sources."""
    paired = DOMAINS.get(name.split("/")[0], False)
    if not paired:
        fields = {**fields, "class_names": None}  # the label of cycle_gan is the domain
    keys = ("image", "label") if fields["class_names"] else ("image",)

    def read(split: str, domain: str) -> tf.data.Dataset:
        return examples(split + domain).map(lambda row: {key: row[key] for key in keys})

    x, y = (
        Source(
            name=name,
            sizes={split: sizes[split + domain] for split in ("train", "test") if split + domain in sizes},
            examples=functools.partial(read, domain=domain),
            **fields,
        )
        for domain in ("A", "B")
    )
    return Domains(name, fields["version"], x, y, ("test",) if paired else ())
