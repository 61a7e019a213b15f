"""TFDS datasets as sources, including the built-in ones. Import this module lazily, because it imports TFDS."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import io
import os
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.core.download.extractor import ExtractError, UnsafeArchiveError
from tensorflow_datasets.core.download.util import DownloadError

from zoo.data.digits import Digits, TurnedDigits
from zoo.data.domains import Domains
from zoo.data.image_files import DEFAULT_SIDE
from zoo.data.outlines import OutlinePairs, Outlines
from zoo.data.paths import default_data_dir, find_cache_dir, private_temporary_folder
from zoo.data.photographs import Photographs
from zoo.data.pictures import Pictures
from zoo.data.source import Source
from zoo.data.transforms import Example, center_crop_and_resize
from zoo.errors import UserError, suggest

BUILT_IN = {
    "digits": Digits,
    "outlines": Outlines,
    "outline_pairs": OutlinePairs,
    "photographs": Photographs,
    "turned_digits": TurnedDigits,
}
# TFDS datasets of two domains: whether equal rows of both test splits belong together.
DOMAINS = {"outlines": True, "cycle_gan": False}
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
TFDS_HOST = "storage.googleapis.com"  # where TFDS keeps its own files
DOWNLOAD_ERRORS = (
    OSError,  # network and disk, including those of requests and urllib
    http.client.HTTPException,
    tf.errors.OpError,  # disk, buckets
    DownloadError,
    NonMatchingChecksumError,
    ExtractError,
    UnsafeArchiveError,
    AssertionError,  # data that must be downloaded by hand
    ImportError,  # optional dependencies of a dataset
    KeyError,
    RuntimeError,  # including NotImplementedError
    ValueError,
)


class Opener:
    """Opens one TFDS or built-in dataset; see `open_source` for the arguments.

    Raises:
        UserError: The name is unknown.
    """

    def __init__(self, name: str, data_dir: str | os.PathLike[str] | None, image_shape: Sequence[int] | None, keys: Sequence[str]) -> None:
        self.name, self.image_shape, self.keys = name, image_shape, keys
        self.builder: Any = BUILT_IN[name](data_dir=data_dir) if name in BUILT_IN else _find_builder(name, data_dir)

    def prepare(self) -> None:
        """Makes the data available on this machine.

        Raises:
            UserError: They cannot be downloaded or written.
        """
        if self.name in BUILT_IN:
            self.builder = _write_built_in(self.name, self.builder)
        else:
            _download(self.name, self.builder)

    def source(self, omit: str | None = None) -> Source | Domains:
        """The data without the split `omit`, in the layout that provides the keys if the dataset has it."""
        layout = Layout.of(self.name, self.builder, self.image_shape, self.keys)
        sizes = {split: info.num_examples for split, info in self.builder.info.splits.items() if split != omit}
        root = str(self.builder.data_dir).removesuffix(f"/{self.builder.info.full_name}")
        fields: dict[str, Any] = {
            "version": str(self.builder.version),
            "image_shape": layout.image_shape,
            "class_names": layout.class_names,
            "cache_dir": find_cache_dir(root, default_data_dir()),
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
            tuple(features[label].names) if label else None,
            tuple(features["pose"].names) if "pose" in numbers else None,
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


def _has_secret_labels(source: Source) -> bool:
    return "test" in source.sizes and "label" in source.keys and any(row["label"] < 0 for row in source.examples("test").take(1))


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


def _find_builder(name: str, data_dir: str | os.PathLike[str] | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        names = tfds.list_builders(with_community_datasets=False)
        raise UserError(
            f"unknown dataset '{name}'{suggest(name.split('/')[0], [*names, *BUILT_IN])} Available: {', '.join(BUILT_IN)} "
            "(built in, no download), folder:PATH, and every image dataset of TFDS (mnist, cifar10, celeb_a, ...)"
        ) from None
    except (ValueError, KeyError, AssertionError, ImportError) as error:  # an unknown config or version
        raise UserError(f"TFDS cannot open '{name}': {' '.join(str(error).split())[:200]}") from None


def _write_built_in(name: str, builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Writes a built-in dataset to its folder, or to a private temporary one if that is not writable."""
    if _write(builder):
        return builder
    folder = private_temporary_folder("zoo-data")
    builder = BUILT_IN[name](data_dir=folder)
    if _write(builder):
        return builder
    raise UserError(f"'{name}' can be written neither to the folder of TFDS nor to {folder}; choose a writable folder with --data-dir")


def _write(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether a dataset that needs no download is prepared, or could be now."""
    if builder.is_prepared():
        return True
    with contextlib.suppress(OSError, tf.errors.OpError), contextlib.redirect_stdout(io.StringIO()):
        tfds.disable_progress_bar()
        builder.download_and_prepare()
        return True
    return False


def _download(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Downloads and prepares a dataset unless it is on this machine."""
    if builder.is_prepared():
        return
    try:
        if not is_online():
            raise ConnectionError("no network")
        builder.download_and_prepare()
    except DOWNLOAD_ERRORS as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"'{name}' is not in {builder.data_path} and could not be downloaded ({type(error).__name__}: {reason}); put a prepared copy "
            f"there or name its parent folder with --data-dir. Available without a download: {', '.join(BUILT_IN)}, folder:PATH"
        ) from None


def is_online() -> bool:
    """Whether host names are resolved. If they are not, TFDS would try for minutes and leave empty folders."""
    if any(os.environ.get(name) for name in PROXY_VARIABLES):
        return True  # the proxy resolves them
    try:
        return bool(socket.getaddrinfo(TFDS_HOST, 443))
    except OSError:
        return False
