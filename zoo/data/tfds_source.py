"""TFDS datasets as sources, including the built-in ones. Import this module lazily, because it imports TFDS."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from zoo.data.builders import OPEN_ERRORS, explain_open_errors, find_builder, prepare
from zoo.data.damage import describe_read_error
from zoo.data.domains import Domains
from zoo.data.paths import CACHE, default_data_dir, find_cache_dir
from zoo.data.pictures import Pictures, pack_shapes
from zoo.data.reading import DEFAULT_READING, Reading
from zoo.data.source import Source
from zoo.data.stored import Examples
from zoo.data.tfds_layout import Layout, label_features
from zoo.data.transforms import Arrays
from zoo.errors import UserError

CHUNK, LABELS_CHUNK = 256, 4096  # examples, and labels, that are read together
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
        reading: Reading = DEFAULT_READING,
    ) -> None:
        if reading.label_file or reading.frames:
            raise UserError(f"--label-file and --frames are for folders of images; {name} is a dataset of TFDS")
        self.reading = reading
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

    def source(self, is_prepared: bool = False) -> Source | Domains:
        """The data in the layout that provides the keys if the dataset has it.

        Args:
            is_prepared: Whether the examples can be read: splits whose labels are secret are omitted, and so are examples without a label.
        """
        with explain_open_errors(self.name):
            layout = Layout.of(self.name, self.builder, self.image_shape, self.keys, self.reading)
        sizes = {split: info.num_examples for split, info in self.builder.info.splits.items()}
        root = str(self.builder.data_dir).removesuffix(f"/{self.builder.info.full_name}")
        fields: dict[str, Any] = {
            "version": self._version,
            "image_shape": layout.image_shape,
            "facts": functools.partial(self._facts, layout),
            "class_names": layout.class_names,
            "cache_dir": find_cache_dir(*(() if self.read_only else (root,)), default_data_dir()),
            "read_only_cache_dir": os.path.join(root, CACHE) if self.read_only else "",
            "find_damage": functools.partial(find_damaged_shards, self.builder),
        }
        load = functools.partial(self._load, layout, fields["cache_dir"])
        if {"trainA", "trainB"} <= set(sizes) or self.name.split("/")[0] in DOMAINS:
            return _two_domains(self.name, load, sizes, fields)
        if is_prepared and "label" in layout.numbers:
            others = [feature for feature in label_features(self.builder.info.features) if feature != layout.numbers["label"]]
            if others and not self.reading.label_key:
                text = f"the labels of {self.name} are its feature label; it also has {', '.join(others)} (choose with --label-key)"
                print(text, file=sys.stderr)
            sizes = self._count_labeled(layout, fields["cache_dir"], sizes)
        stored_splits = {split: split for split in sizes}
        if "validation" in sizes and "test" not in sizes:
            sizes["test"] = sizes.pop("validation")
            stored_splits["test"] = "validation"
        source_class = Pictures if layout.any_size else Source
        return source_class(
            name=self.name,
            sizes=sizes,
            load=lambda split: load(stored_splits[split]),
            keys=layout.keys,
            pose_names=layout.pose_names,
            **fields,
        )

    @property
    def _version(self) -> str:
        """Of the data, and of how they are read if that is not the default."""
        labels = f", labels {self.reading.label_key}" if self.reading.label_key else ""
        return f"{self.builder.version}{labels}" + ("" if self.reading.crop == "center" else f", {self.reading.crop}")

    def _facts(self, layout: Layout) -> dict[str, str]:
        height, width, channels = self.builder.info.features[next(iter(layout.images.values()))].shape
        facts = {"sizes": f"{width}x{height}" if width and height else "of different sizes", "channels": str(channels or "any")}
        if not layout.any_size and layout.image_shape[:2] != (height, width):
            facts["resizing"] = self.reading.describe_resizing(layout.image_shape[1], layout.image_shape[0])
        return facts

    def _load(self, layout: Layout, cache_dir: str, split: str) -> Arrays:
        """The arrays of a split, as it is stored."""
        key = self._key(layout, split)
        if layout.any_size:
            return _load_pictures(layout, self.builder, split, key, cache_dir)
        count = self.builder.info.splits[split].num_examples
        if "label" in layout.numbers:
            count = int(np.sum(self._labels(layout, cache_dir, split) >= 0))

        def chunks() -> Iterator[dict[str, np.ndarray]]:
            for rows in layout.examples(self.builder, split).batch(CHUNK).as_numpy_iterator():
                is_labeled = rows["label"] >= 0 if "label" in rows else slice(None)
                yield {key: values[is_labeled] for key, values in rows.items()}

        shapes: dict[str, Any] = dict.fromkeys(layout.images, ((count, *layout.image_shape), np.uint8))
        shapes |= dict.fromkeys([*layout.numbers, *(["pair"] if layout.paired else [])], ((count,), np.int64))
        return Examples(key, shapes, count, chunks, f"reading {count:,} examples of {self.name} ({split})").load(cache_dir)

    def _labels(self, layout: Layout, cache_dir: str, split: str) -> np.ndarray:
        """The labels of a stored split, below 0 for examples that have none; read once, without decoding images."""
        info, feature = self.builder.info.splits[split], layout.numbers["label"]
        decoders = {name: tfds.decode.SkipDecoding() for name in layout.images.values()}

        def chunks() -> Iterator[dict[str, np.ndarray]]:
            with explain_open_errors(self.name):
                rows = self.builder.as_dataset(split=split, decoders=decoders, read_config=tfds.ReadConfig(try_autocache=False))
            for labels in rows.map(lambda row: tf.cast(row[feature], tf.int64)).batch(LABELS_CHUNK).as_numpy_iterator():
                yield {"label": labels}

        key, count = f"{self._key(layout, split)}-labels", info.num_examples
        examples = Examples(key, {"label": ((count,), np.int64)}, count, chunks, f"reading the labels of {self.name} ({split})")
        return examples.load(cache_dir, keep=True)["label"]

    def _count_labeled(self, layout: Layout, cache_dir: str, sizes: dict[str, int]) -> dict[str, int]:
        """The sizes of splits without examples that have no label, which one warning counts; without splits whose labels are all secret."""
        labeled = {split: int(np.sum(self._labels(layout, cache_dir, split) >= 0)) for split in sizes}
        for split, count in labeled.items():
            if count < sizes[split]:
                number = f"{sizes[split] - count:,}" if count else "all"
                print(f"warning: {number} examples of {self.name} ({split}) have no label and are left out", file=sys.stderr)
        return {split: count for split, count in labeled.items() if count}

    def _key(self, layout: Layout, split: str) -> str:
        """Of the decoded examples of a split; changes with the data and with how they are read."""
        info = self.builder.info.splits[split]
        text = repr((info.shard_lengths, info.num_bytes, layout.images, layout.numbers, layout.image_shape, layout.crop))
        name = self.builder.info.full_name.replace("/", "-")
        return f"{name}-{split}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def prepared_source(self) -> Source | Domains:
        """The data after `prepare`. A test split with secret labels, such as that of imagenet2012, is replaced by the validation split.

        Raises:
            UserError: There is no train split.
        """
        source = self.source(is_prepared=True)
        if "train" not in source.sizes:
            raise UserError(
                f"{self.name} has no split 'train', only {', '.join(source.sizes) or 'splits without labels'}; choose another dataset"
            )
        return source


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


def _load_pictures(layout: Layout, builder: tfds.core.DatasetBuilder, split: str, key: str, cache_dir: str) -> Arrays:
    """Pictures of any size, packed: their shapes are read from the encoded files first."""
    feature, channels = layout.images["picture"], layout.image_shape[-1]
    config = tfds.ReadConfig(try_autocache=False)
    with explain_open_errors(builder.name):
        encoded = builder.as_dataset(split=split, decoders={feature: tfds.decode.SkipDecoding()}, read_config=config)
    sizes = [Image.open(io.BytesIO(row[feature])).size for row in encoded.as_numpy_iterator()]
    shapes = np.array([(height, width, channels) for width, height in sizes], np.int64)

    def chunks() -> Iterator[dict[str, np.ndarray]]:
        for row in layout.examples(builder, split).as_numpy_iterator():
            yield {"pixels": row["picture"].ravel()}

    pixels = {"pixels": ((int(shapes.prod(1).sum()),), np.uint8)}
    return {**Examples(key, pixels, len(sizes), chunks, f"decoding {len(sizes):,} pictures").load(cache_dir), **pack_shapes(shapes)}


def _two_domains(name: str, load: Callable[[str], Arrays], sizes: dict[str, int], fields: dict[str, Any]) -> Domains:
    """The splits `trainA`, `trainB`, ... of a dataset as two sources."""
    paired = DOMAINS.get(name.split("/")[0], False)
    if not paired:
        fields = {**fields, "class_names": None}  # the label of cycle_gan is the domain
    keys = ("image", "label") if fields["class_names"] else ("image",)

    def read(split: str, domain: str) -> Arrays:
        arrays = load(split + domain)
        return {key: arrays[key] for key in keys}

    x, y = (
        Source(
            name=name,
            sizes={split: sizes[split + domain] for split in ("train", "test") if split + domain in sizes},
            load=functools.partial(read, domain=domain),
            **fields,
        )
        for domain in ("A", "B")
    )
    return Domains(name, fields["version"], x, y, ("test",) if paired else ())
