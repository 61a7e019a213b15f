"""Datasets by name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from zoo.data import stored
from zoo.data.domains import Domains
from zoo.data.folder_source import PREFIX, open_folder
from zoo.data.paths import default_data_dir, find_cache_dir
from zoo.data.reading import DEFAULT_READING, Reading
from zoo.data.source import Source
from zoo.errors import UserError

_DOMAINS = "data of two domains (outlines, cycle_gan/horse2zebra, a folder with trainA trainB testA testB)"
SUGGESTIONS = {  # key of an example -> data that have it
    "label": "data with class labels (digits, mnist, a folder with one folder per class)",
    "x": _DOMAINS,
    "y": _DOMAINS,
    "pair": "data in pairs (outline_pairs, a folder of pictures with both halves side by side)",
    "pose": "data with identities and poses (turned_digits, a folder of IDENTITY/POSE*.jpg)",
    "picture": "pictures of any size (photographs, div2k, a folder of them)",
    "image": "data of single images (digits, mnist, a folder of pictures)",
}

MAX_SIDE = 2**14
DEFAULTS = {"pair": "outline_pairs", "x": "outlines", "pose": "turned_digits", "picture": "photographs"}  # key -> built-in dataset


def default_source_name(keys: Sequence[str]) -> str:
    """The built-in dataset for a model that needs these keys."""
    return next((name for key, name in DEFAULTS.items() if key in keys), "digits")


def open_source(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    image_shape: Sequence[int] | None = None,
    keys: Sequence[str] = ("image",),
    read_only: bool = False,
    class_names: Sequence[str] | None = None,
    reading: Reading = DEFAULT_READING,
) -> Source | Domains:
    """Opens a dataset by name, downloading it if necessary.

    Args:
        name: A built-in dataset (`digits`, `outlines`, `outline_pairs`, `photographs`, `turned_digits`), an image dataset of TFDS
            (`NAME[/CONFIG]`), or `folder:PATH`.
        data_dir: Folder of prepared TFDS datasets; default: TFDS's own.
        image_shape: Height, width and channels (1, 3, or 4 for RGBA) images are center-cropped and resized to; default: those of the data.
        keys: Keys that an example must have; they determine the layout in which a folder or a dataset is read.
        read_only: Whether `data_dir` is only read, because it comes from the record of a run and was not typed by the user. Data that are
            not prepared there are prepared in the default folder, and feature extractors are saved there.
        reading: How images are cropped, whose labels are taken, and the like.
        class_names: The order in which a run has numbered the classes of a folder; default: natural order.

    Raises:
        UserError: The name is unknown, the data are not available or not valid, or lack a key.
    """
    if image_shape is not None:
        _check_shape(image_shape)
    if name.startswith(("/", ".", "~")):
        raise UserError(f"{name} is a path, not the name of a dataset; for a folder of pictures, use --data {PREFIX}{name}")
    if name.startswith(PREFIX):
        source = open_folder(name, image_shape, keys, class_names, reading)
        check_keys(source, keys)
        return source
    from zoo.data import tfds_source  # imports TFDS, which takes seconds

    opener = tfds_source.Opener(name, data_dir, image_shape, keys, read_only, reading)
    check_keys(opener.source(), keys)  # the metadata are enough, so this is checked before a download
    opener.prepare()
    return opener.prepared_source()


def clear_cache(data_dir: str | os.PathLike[str] | None = None) -> int:
    """Removes the decoded examples and the indices of folders from the cache; returns their bytes.

    Args:
        data_dir: Folder of TFDS datasets whose cache is cleared as well as that of the default one.
    """
    folders = {find_cache_dir(root) for root in (data_dir and os.path.expanduser(data_dir), default_data_dir()) if root}
    return sum(map(stored.clear, folders))


def _check_shape(image_shape: Sequence[int]) -> None:
    *sides, channels = image_shape
    shape = " ".join(map(str, image_shape))
    if channels not in (1, 3, 4):
        raise UserError(f"--image-shape {shape}: images have 1, 3 or 4 channels")
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise UserError(f"--image-shape {shape}: sides must be from 1 to {MAX_SIDE} pixels")


def check_keys(source: Source | Domains, keys: Sequence[str]) -> None:
    """Raises a UserError if a source lacks one of the keys; it names data that have it."""
    if missing := [key for key in keys if key not in source.keys]:
        available, suggested = " and ".join(source.keys), SUGGESTIONS.get(missing[-1])
        advice = f"use {suggested}, or" if suggested else "use"  # a model from outside the package may need any key
        raise UserError(
            f"the model needs {' and '.join(missing)}, but {source.name} has only {available}; {advice} a model "
            f"that needs only {available} (`zoo list` shows them)"
        )
