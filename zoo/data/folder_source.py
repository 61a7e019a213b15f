"""`folder:PATH` as a source, in the layout that provides the requested keys."""

from __future__ import annotations

import ast
import dataclasses
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import folder as folders
from zoo.data import image_files
from zoo.data.domains import Domains
from zoo.data.paths import default_data_dir, find_cache_dir
from zoo.data.pictures import Pictures
from zoo.data.source import Source
from zoo.data.transforms import Arrays, Example
from zoo.errors import printable

PREFIX = "folder:"


def open_folder(name: str, image_shape: Sequence[int] | None, keys: Sequence[str]) -> Source | Domains:
    """Opens `folder:PATH`; the keys determine the layout.

    Raises:
        UserError: The folder does not have that layout, or files are not valid images; see `zoo.data.folder`.
    """
    path = os.path.abspath(os.path.expanduser(name.removeprefix(PREFIX)))
    if not os.path.isdir(path):
        path = _unescape(path)  # the name of a source, as records and messages have it
    opener = _Opener(path, image_shape, find_cache_dir(default_data_dir()))
    if "picture" in keys:
        return opener.open_pictures()
    if "pair" in keys:
        return opener.open_pairs()
    if "x" in keys:
        return opener.open_domains()
    return opener.open_poses() if "pose" in keys else opener.open_classes()


def _unescape(path: str) -> str:
    """The inverse of `printable`."""
    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])", lambda match: ast.literal_eval(f"'{match[0]}'"), path)


@dataclasses.dataclass(frozen=True)
class _Opener:
    """Makes sources of a folder's pictures."""

    path: str
    image_shape: Sequence[int] | None
    cache_dir: str

    @property
    def name(self) -> str:
        return printable(f"{PREFIX}{self.path}")

    def open_pictures(self) -> Pictures:
        files, grayscale, digest = folders.list_pictures(self.path)
        channels = 1 if grayscale else 3
        sizes = {split: len(part) for split, part in files.items()}
        return Pictures(
            name=self.name,
            version=f"{sum(sizes.values())} pictures, {digest}",
            image_shape=(None, None, channels),
            sizes=sizes,
            class_names=None,
            examples=lambda split: _read_pictures(files[split], channels),
            cache_dir=self.cache_dir,
            find_damage=functools.partial(image_files.find_damaged, [file for part in files.values() for file in part]),
        )

    def open_pairs(self) -> Source:
        pairs, digest = folders.read_pairs(self.path, self.image_shape)
        parts = {split: {"x": x, "y": y, "pair": np.arange(len(x))} for split, (x, y) in pairs.items()}
        return self._from_arrays(parts, f"{sum(len(x) for x, _ in pairs.values())} pairs, {digest}", keys=("x", "y", "pair"))

    def open_domains(self) -> Domains:
        images, digest = folders.read_domains(self.path, self.image_shape)
        version = f"{sum(map(len, images.values()))} pictures, {digest}"
        x, y = (
            {split: {"image": images[split + domain]} for split in ("train", "test") if split + domain in images} for domain in ("A", "B")
        )
        return Domains(self.name, version, self._from_arrays(x, version), self._from_arrays(y, version))

    def open_poses(self) -> Source:
        images, labels, poses, identities, pose_names, digest = folders.read_poses(self.path, self.image_shape)
        return self._from_arrays(
            {"train": {"image": images, "label": labels, "pose": poses}},
            f"{len(images)} pictures, {digest}",
            keys=("image", "label", "pose"),
            class_names=tuple(map(printable, identities)),
            pose_names=tuple(map(printable, pose_names)),
        )

    def open_classes(self) -> Source:
        images, labels, class_names, digest = folders.read_classes(self.path, self.image_shape)
        arrays = {"image": images} if labels is None else {"image": images, "label": labels}
        names = tuple(map(printable, class_names)) if class_names else None
        return self._from_arrays({"train": arrays}, f"{len(images)} pictures, {digest}", class_names=names)

    def _from_arrays(self, parts: dict[str, Arrays], version: str, class_names: tuple[str, ...] | None = None, **fields: Any) -> Source:
        """A source of arrays: split -> key -> values."""
        return Source(
            name=self.name,
            version=version,
            image_shape=next(iter(parts["train"].values())).shape[1:],
            sizes={split: len(next(iter(part.values()))) for split, part in parts.items()},
            class_names=class_names,
            examples=lambda split: tf.data.Dataset.from_tensor_slices(parts[split]),
            cache_dir=self.cache_dir,
            **fields,
        )


def _read_pictures(files: Sequence[Path], channels: int) -> tf.data.Dataset:
    """Decodes files into examples with the key `picture`."""

    def read(file: tf.Tensor) -> Example:
        pixels = tf.numpy_function(lambda file: folders.read_image(os.fsdecode(file), channels), [file], tf.uint8, stateful=False)
        return {"picture": tf.ensure_shape(pixels, (None, None, channels))}

    return tf.data.Dataset.from_tensor_slices([os.fsencode(file) for file in files]).map(read, num_parallel_calls=tf.data.AUTOTUNE)
