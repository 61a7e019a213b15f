"""A classifier of the dataset as a feature extractor: trained once on the train split, then cached with its accuracy and hash.

If labels are missing or scarce, the network is self-supervised: it predicts rotations of images by multiples of 90 degrees.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import UserError
from zoo.files import write_atomically, write_text
from zoo.locks import lock_cache
from zoo.metrics.extractors import small_classifier
from zoo.metrics.extractors.base import FeatureExtractor, hash_weights, one_line, resize_images, resizing_to
from zoo.metrics.interfaces import Source
from zoo.records import build_from, read_object

RECIPE = 1  # version of the network and its training; another number trains new networks
MIN_CLASS_IMAGES = 20  # images of the smallest class below which there are too few labels to learn from
MAX_IMAGES, MAX_BYTES = 60_000, 200_000_000  # training images of the network, and their pixels
TEST_IMAGES = 10_000
REQUESTED = "requested"  # reason of a network that was trained on rotations although there are labels
REQUESTED_REASONS = (REQUESTED, "asked for")  # the second one is in records written before version 0.2
ROTATIONS = 4  # classes of a network that predicts rotations
MAX_INPUT_SIDE = 4096  # pixels on the long side of an input, so that a record cannot make the network huge
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error)
HINT = "--feature-extractor classifier"


class ExtractorRecord(NamedTuple):
    """The content of the file beside a network: what it was trained on and for, its accuracy and its hash."""

    data: str
    shape: tuple[int, int, int]
    classes: int
    seed: int
    rotations: str | None
    accuracy: float
    sha256: str


def load_classifier(
    source: Source,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    log: Callable[[str], object] = print,
    rotations: str | None = None,
) -> FeatureExtractor:
    """Loads the classifier of a data source from the cache, or trains it.

    If the source has no labels, or fewer than 20 images of a class, the network predicts rotations by multiples of 90 degrees (Gidaris et
    al. 2018, arXiv:1803.07728). It is then called `rotations-...`, and computes features but no class probabilities of the dataset.

    Args:
        source: The dataset; the network is trained on its train split.
        seed: Seed of the training run; each seed has a network.
        folder: Where trained networks are cached; default: `source.cache_dir`.
        log: Called with a message before training starts.
        rotations: The reason for predicting rotations even if there are labels.

    Raises:
        UserError: The network cannot be saved.
    """
    folders = [Path(folder or source.cache_dir)]
    if not folder and source.read_only_cache_dir:
        folders.append(Path(source.read_only_cache_dir))
    cached = _load_cached(source, seed, folders, rotations)
    if cached:
        return cached
    with lock_cache(folders[0] / f".{_cache_path(source, seed, False, folders[0]).stem}.lock", "trains the feature extractor"):
        # Another process may have trained it in the meantime.
        return _load_cached(source, seed, folders[:1], rotations) or _train_and_save(source, seed, folders[0], log, rotations)


def _load_cached(source: Source, seed: int, folders: Sequence[Path], rotations: str | None) -> FeatureExtractor | None:
    """A network that one of the folders holds; None if none does, or if it is damaged."""
    for learns_rotations in (False, True) if rotations is None else (True,):
        for folder in folders:
            path = _cache_path(source, seed, learns_rotations, folder)
            # A network that was requested as `rotations` does not explain why there is no classifier. A damaged file is replaced.
            if path.exists() and (rotations or _rotations_reason(path) not in REQUESTED_REASONS):
                with contextlib.suppress(UserError):
                    return load_file(path, source)
    return None


def _train_and_save(source: Source, seed: int, folder: Path, log: Callable[[str], object], rotations: str | None) -> FeatureExtractor:
    reason = rotations or _why_no_classifier(source)
    path = _cache_path(source, seed, bool(reason), folder)
    why = f" ({reason}: it predicts rotations by multiples of 90 degrees)" if reason else ""
    log(f"scores     training the feature extractor behind the metrics on {source.name}{why}; once, then cached in {path.parent}")
    shape, classes = _input_shape(source, bool(reason)), ROTATIONS if reason else source.num_classes
    assert classes is not None
    network, accuracy = _train(source, shape, classes, seed, bool(reason))
    record = {"data": _data_name(source), "version": source.version, "shape": shape, "classes": classes, "seed": seed, "rotations": reason}
    _save(path, network, {**record, "accuracy": accuracy, "sha256": hash_weights(network)})
    return load_file(path, source)


def load_file(path: str | os.PathLike[str], source: Source) -> FeatureExtractor:
    """Loads a network that `load_classifier` has saved as PATH.keras, with PATH.json next to it.

    Raises:
        UserError: A file is missing or damaged, or the network was trained on other data.
    """
    path = Path(path).expanduser()
    try:
        record = _read_record(path)
        shape, rotations, accuracy = record.shape, record.rotations, record.accuracy
        classes = ROTATIONS if rotations else record.classes
        matches = (
            record.data in (_data_name(source), source.name)  # the path of a folder, in records written before version 0.2
            and shape[-1] == min(source.image_shape[-1], 3)
            and (rotations or classes == source.num_classes)
        )
        if not matches:
            trained = f"{record.data} ({'x'.join(map(str, shape))}, {record.classes} classes)"
            raise UserError(f"{path} was trained for {trained}, not for {source.name}; {HINT} trains one for it")
        network = _read_network(path, shape, classes)
        sha256 = hash_weights(network)
        if sha256 != record.sha256:
            raise ValueError("its weights do not match the recorded hash")
    except READ_ERRORS as error:
        raise UserError(f"{path} cannot be read as a feature extractor ({one_line(error)}); {HINT} trains one") from None
    return FeatureExtractor(
        name=f"{_title(record.data, record.seed, rotations)}-{sha256[:4]}",
        sha256=sha256,
        description=f"a small network trained {_describe_task(source, rotations)}: {accuracy:.2%} balanced accuracy on held-out images",
        shape=shape,
        resizing=resizing_to(shape),
        run=tf.function(lambda images: network(images, training=False), [tf.TensorSpec([None, *shape], tf.float32)]),
        classes=None if rotations else classes,
        accuracy=accuracy,
    )


def _read_record(path: Path) -> ExtractorRecord:
    """The record of a network; raises ValueError if a file or a field is missing, or a field has another type."""
    for file in (path, path.with_suffix(".json")):
        if not file.exists():
            raise ValueError(f"{file.name} is missing in {file.parent}")
    try:
        record = build_from(ExtractorRecord, read_object(path.with_suffix(".json")))
    except ValueError as error:
        raise ValueError(f"{path.with_suffix('.json').name}: {error}") from None
    if not all(0 < size <= MAX_INPUT_SIDE for size in record.shape):
        raise ValueError(f"{path.with_suffix('.json').name}: no shape of images")
    if min(record.shape[:2]) > small_classifier.MAX_SIDE:
        raise ValueError(f"{path.with_suffix('.json').name}: a larger shape than feature extractors have")
    return record


def _read_network(path: Path, shape: tuple[int, ...], classes: int) -> keras.Model:
    """The network with the weights of a file. The layers that the file names are not read: they could run code."""
    network = small_classifier.build_classifier(shape, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing layers: their weights do not match the hash
        network.load_weights(path)
    return network


def _rotations_reason(path: Path) -> str | None:
    """The reason why a saved network predicts rotations; None if it does not, or if its record cannot be read."""
    try:
        return build_from(ExtractorRecord, read_object(path.with_suffix(".json"))).rotations
    except (OSError, ValueError):
        return None


def _why_no_classifier(source: Source) -> str | None:
    """The reason why a source's labels are not enough for a classifier, or None."""
    if source.class_names is None:
        return f"{source.name} has no labels"
    classes = len(source.class_names)
    if classes < 2:
        return f"{source.name} has one class"
    counts = np.bincount(source.arrays("train")["label"], minlength=classes)
    smallest = int(counts.argmin())
    if counts[smallest] >= MIN_CLASS_IMAGES:
        return None
    return f"{source.name} has {counts[smallest]} images of the class {source.class_names[smallest]}"


def _input_shape(source: Source, rotations: bool) -> tuple[int, int, int]:
    """The shape of the images that the network takes: that of the data, at most 64 px; square if they are rotated."""
    height, width, channels = small_classifier.input_shape(source.image_shape)
    return (min(height, width), min(height, width), channels) if rotations else (height, width, channels)


def _cache_path(source: Source, seed: int, rotations: bool, folder: Path) -> Path:
    shape = _input_shape(source, rotations)
    key = [RECIPE, _data_name(source), source.version, shape, source.num_classes, seed]
    if _data_name(source) != source.name:  # the classes of a folder may be numbered in another order
        key.append(source.class_names)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]
    return folder / f"{_title(_data_name(source), seed, rotations)}-{'x'.join(map(str, shape))}-{digest}.keras"


def _data_name(source: Source) -> str:
    """The name of the data; that of a folder does not depend on where it is: its version is that of its content."""
    return source.identity.removesuffix(f" {source.version}")


def _title(name: str, seed: int, rotations: str | bool | None) -> str:
    """`classifier-mnist`, `classifier1-mnist` (of another seed), `rotations-pictures`."""
    data = re.sub(r"[^A-Za-z0-9]+", "_", os.path.basename(name.rstrip("/"))).strip("_").lower()
    return f"{'rotations' if rotations else 'classifier'}{seed or ''}-{data}"


def _describe_task(source: Source, rotations: str | None) -> str:
    if rotations:
        reason = REQUESTED if rotations in REQUESTED_REASONS else rotations
        return f"to predict rotations of {source.name} by multiples of 90 degrees ({reason})"
    names = source.class_names or ()
    return f"to distinguish {' from '.join(names)} in {source.name}" if len(names) == 2 else f"on the labels of {source.name}"


def _train(source: Source, shape: tuple[int, int, int], classes: int, seed: int, rotations: bool) -> tuple[keras.Model, float]:
    """The network, and its balanced accuracy on the test split, or on a tenth of each class if there is no test split."""
    examples = source.load_examples("train", min(MAX_IMAGES, MAX_BYTES // int(np.prod(source.image_shape))), seed)
    if "test" in source.sizes:
        held_out = source.load_examples("test", TEST_IMAGES, seed)
    else:
        labels = np.zeros(len(examples["image"]), np.int64) if rotations else examples["label"]
        is_held_out = _tenth_of_each(labels)
        held_out = {key: value[is_held_out] for key, value in examples.items()}
        examples = {key: value[~is_held_out] for key, value in examples.items()}
    train, test = (_training_pairs(part, shape, seed, rotations) for part in (examples, held_out))
    del examples, held_out  # memory for large images, of which only the resized ones are needed
    network = small_classifier.train_classifier(*train, classes, seed)
    return network, small_classifier.measure_balanced_accuracy(network, *test)


def _tenth_of_each(labels: np.ndarray) -> np.ndarray:
    """Bool [n]: the first tenth of each class, at least one image."""
    mask = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        mask[rows[: max(1, len(rows) // 10)]] = True
    return mask


def _training_pairs(examples: Mapping[str, Any], shape: tuple[int, int, int], seed: int, rotations: bool) -> tuple[np.ndarray, np.ndarray]:
    """Resized images with their labels, or rotated by random multiples of 90 degrees with the multiples."""
    images = resize_images(examples["image"], shape)
    if not rotations:
        return images, examples["label"]
    turns = np.random.RandomState(seed).randint(0, 4, len(images))
    return np.stack([np.rot90(image, turn) for image, turn in zip(images, turns, strict=True)]), turns


def _save(path: Path, network: keras.Model, record: Mapping[str, Any]) -> None:
    """Saves atomically, the record last: an interrupted training run leaves no record."""
    network.optimizer = None  # its state would be three quarters of the file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, network.save)
        write_text(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"the classifier cannot be saved in {path.parent}: {error}; free some space, or set TFDS_DATA_DIR to another folder"
        ) from None
