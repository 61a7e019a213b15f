"""A dataset for the models: endless streams of dict batches, splits as arrays, and settings that come from the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import limits
from zoo.data.damage import FindDamage, explain_read_errors
from zoo.data.transforms import Arrays, Example, GroupByLabel, RandomJitter, Transform, balanced_rows, normalize_images, shuffle_rows
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset of images of one size, read as uint8 examples.

    The keys of an example: `image`; `label` (class or identity); `pose`; `x` and `y`, images of two domains, and `pair`, the index of the
    pair they belong to; `picture`, an image of any size.

    Attributes:
        name: The name given to `open_source`.
        version: Version of the data.
        image_shape: Height, width and channels; height and width are None for pictures of any size.
        sizes: Split -> number of examples.
        class_names: Names of the classes or identities; None: no labels.
        examples: Split -> dataset of uint8 examples.
        keys: Keys of an example. Default: `image`, and `label` if there are classes.
        pose_names: Names of the poses; None: no poses.
        labeled: The examples (`image`, `label`) with labels if all others are unlabeled; see `with_labels`.
        transform: Function that is applied to each example of a batch.
        cache_dir: A writable folder for files derived from the data, such as trained feature extractors.
        read_only_cache_dir: Another folder of such files, which is not written to; empty: none.
        find_damage: Reads every file of the data and yields those that are missing or damaged; None: none is read after opening.
    """

    name: str
    version: str
    image_shape: tuple[Any, Any, int]
    sizes: dict[str, int]
    class_names: tuple[str, ...] | None
    examples: Callable[[str], tf.data.Dataset]
    keys: tuple[str, ...] = ()
    pose_names: tuple[str, ...] | None = None
    labeled: Arrays | None = None
    transform: Transform | None = None
    cache_dir: str = ""
    read_only_cache_dir: str = ""
    find_damage: FindDamage | None = None
    _loaded: dict[str, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)  # split -> its examples as tensors

    def __post_init__(self) -> None:
        if not self.keys:
            object.__setattr__(self, "keys", ("image", "label") if self.class_names else ("image",))

    def _replace(self, **changes: Any) -> Any:
        """A copy with some fields replaced; it shares the loaded examples."""
        copy = dataclasses.replace(self, **changes)
        object.__setattr__(copy, "_loaded", self._loaded)
        return copy

    @property
    def num_classes(self) -> int | None:
        """Number of classes or identities; None: no labels."""
        return len(self.class_names) if self.class_names else None

    @property
    def example_bytes(self) -> int:
        """Size of the pixels of one example in a batch."""
        return int(np.prod(self.image_shape))

    @property
    def config_defaults(self) -> dict[str, Any]:
        """Fields of a model's configuration whose defaults come from the data."""
        poses = len(self.pose_names) if self.pose_names else None
        return {"image_shape": self.image_shape, "num_classes": self.num_classes, "num_poses": poses}

    def batches(self, batch_size: int, seed: int = 0, start: int = 0, split: str = "train") -> tf.data.Dataset:
        """Endless batches in shuffled order; a batch is a function of the seed and its number.

        Args:
            batch_size: Examples per batch. Shorter batches at the end of an epoch are dropped.
            seed: Determines the order and the random transforms.
            start: Number of the first batch.
            split: The split to read.

        Returns:
            Dataset of dicts; images are float32 [batch_size, height, width, channels] in [-1, 1].

        Raises:
            UserError: The split has fewer than `batch_size` examples.
        """
        size = self.sizes[split]
        if batch_size > size:
            raise UserError(
                f"a step takes {batch_size} images (--batch-size times --discriminator-steps), but {self.name} has only {size} in "
                f"'{split}'; choose a smaller --batch-size, so that the product is at most {size}"
            )
        per_epoch = size // batch_size
        epochs = tf.data.Dataset.range(start // per_epoch, 2**62)
        if self.in_memory(split):
            tensors = self._tensors(split)
            stream = epochs.flat_map(lambda epoch: self._shuffle_in_memory(tensors, split, batch_size, seed, epoch))
        else:
            examples = self._stream(split)
            stream = epochs.flat_map(lambda epoch: self._shuffle_in_windows(examples, split, batch_size, seed, epoch))
        stream = stream.skip(start % per_epoch)
        if labeled := self.labeled:
            numbers = tf.data.Dataset.range(start, 2**62)
            stream = tf.data.Dataset.zip(numbers, stream).map(
                lambda number, batch: _join_labeled(batch, labeled, batch_size, [seed, -1 - number])
            )
        return stream.map(normalize_images, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _shuffle_in_memory(self, tensors: Example, split: str, batch_size: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """The batches of an epoch, gathered from tensors by a global shuffle."""
        size = self.sizes[split]
        per_epoch = size // batch_size
        order = tf.argsort(tf.random.stateless_uniform([size], [seed, epoch]))[: per_epoch * batch_size]
        if self.transform:
            examples = tf.data.Dataset.from_tensor_slices(order).map(lambda row: self._gather(tensors, row))
            return self._apply_transform(examples, split, seed, epoch).batch(batch_size)
        rows = tf.reshape(order, [per_epoch, batch_size])
        return tf.data.Dataset.from_tensor_slices(rows).map(lambda rows: self._gather(tensors, rows))  # whole batches at once

    def _shuffle_in_windows(self, examples: tf.data.Dataset, split: str, batch_size: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """The batches of an epoch, read in order and shuffled within windows.

        `Dataset.shuffle` cannot be used: with a global seed of TensorFlow, its seed cannot depend on the epoch.
        """
        window = max(batch_size, min(limits.SHUFFLE_WINDOW, limits.MEMORY_BYTES // self.example_bytes))
        windows = self._apply_transform(examples, split, seed, epoch).batch(window).enumerate()
        return windows.map(lambda number, rows: shuffle_rows(rows, [seed + number, epoch])).rebatch(batch_size, drop_remainder=True)

    def _apply_transform(self, examples: tf.data.Dataset, split: str, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        transform, training = self.transform, split == "train"
        if not transform:
            return examples
        return examples.enumerate().map(
            lambda number, example: transform(example, [seed + number, epoch], training), num_parallel_calls=tf.data.AUTOTUNE
        )

    def arrays(self, split: str = "train") -> Arrays:
        """A whole split as numpy arrays: images uint8 [n, height, width, channels]; `label`, `pose` and `pair` int64 [n]."""
        return {key: value.numpy() for key, value in self._tensors(split).items()}

    def load_examples(self, split: str = "train", count: int = 10_000, seed: int = 0) -> Arrays:
        """Up to `count` examples of a split, and up to 1 GiB.

        Args:
            split: The split to read.
            count: Maximum number of examples.
            seed: Determines the examples and their order. If a split does not fit in memory, its first examples are returned. If there are
                poses, whole identities are drawn, each with its poses in order, so that the gallery's image comes first.

        Returns:
            Arrays as in `arrays`.
        """
        count, rng = min(count, limits.MEMORY_BYTES // self.example_bytes), np.random.RandomState(seed)
        if self.in_memory(split):
            arrays = self.arrays(split)
            rows = rng.permutation(self.sizes[split])
            if "pose" in arrays:
                rows = np.lexsort((arrays["pose"], rng.permutation(arrays["label"].max() + 1)[arrays["label"]]))
            return {key: value[rows[:count]] for key, value in arrays.items()}
        with explain_read_errors(self.name, self.find_damage):
            batches = list(self.examples(split).take(count).batch(1024).as_numpy_iterator())
        return {key: np.concatenate([batch[key] for batch in batches]) for key in self.keys}

    def single_images(self) -> Source:
        """A source of single images, for training a classifier.

        The two domains are concatenated; if there are no classes, the domain is the label.
        """
        if "image" in self.keys:
            return self

        def select(row: Example, key: str, domain: int) -> Example:
            return {"image": row[key], "label": row.get("label", tf.constant(domain, tf.int64))}

        def examples(split: str) -> tf.data.Dataset:
            x, y = (
                self.examples(split).map(lambda row, key=key, domain=domain: select(row, key, domain)) for domain, key in enumerate("xy")
            )
            return x.concatenate(y)

        sizes = {split: 2 * size for split, size in self.sizes.items()}
        class_names = self.class_names or ("x", "y")
        return dataclasses.replace(self, sizes=sizes, class_names=class_names, examples=examples, keys=(), transform=None)

    def subset(self, count: int, seed: int = 0) -> Source:
        """A source with a class-balanced subset of `count` training images, drawn by the seed.

        Raises:
            UserError: There are fewer training images.
        """
        chosen = self._choose(count, seed, "--examples")

        def examples(split: str) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(chosen) if split == "train" else self.examples(split)

        return dataclasses.replace(self, sizes={**self.sizes, "train": count}, examples=examples)

    def with_labels(self, count: int, seed: int = 0) -> Source:
        """A source with labels for a class-balanced subset of `count` training images, drawn by the seed.

        Its batches hold unlabeled images as `image`, and as many random labeled ones as `labeled_image` with their `label`.

        Raises:
            UserError: There are fewer training images.
        """
        source: Source = self._replace(labeled=self._choose(count, seed, "--labels"))
        return source

    def with_jitter(self, margin: int, flip: bool) -> Source:
        """A source whose training images are randomly cropped and flipped; see `RandomJitter`."""
        if not margin and not flip:
            return self
        source: Source = self._replace(transform=RandomJitter(self.image_shape, margin, flip))
        return source

    def split_by_label(self, count: int, seed: int = 0) -> Source:
        """A source whose test split holds all images of `count` labels, drawn by the seed, and whose train split holds the others.

        Labels are renumbered: those of the train split start at 0, those of the test split follow.

        Raises:
            UserError: Either split would have fewer than two labels.
        """
        total = self.num_classes or 0
        if not 2 <= count <= total - 2:
            raise UserError(f"{count} of the {total} identities of {self.name} cannot be held out; each split needs at least two")
        order = np.random.RandomState(seed).permutation(total)
        order = np.concatenate([np.sort(order[count:]), np.sort(order[:count])])
        loaded = [self.arrays(split) for split in self.sizes]
        arrays = {key: np.concatenate([part[key] for part in loaded]) for key in self.keys}
        arrays["label"] = np.argsort(order)[arrays["label"]]
        in_test = arrays["label"] >= total - count
        rows = {"train": ~in_test, "test": in_test}
        parts = {split: {key: value[mask] for key, value in arrays.items()} for split, mask in rows.items()}
        return dataclasses.replace(
            self,
            sizes={split: len(part["label"]) for split, part in parts.items()},
            class_names=tuple(self.class_names[i] for i in order) if self.class_names else None,
            examples=lambda split: tf.data.Dataset.from_tensor_slices(parts[split]),
        )

    def group_by_label(self, count: int) -> Source:
        """A source whose examples are `count` random images of one label: `image` [count, height, width, channels], `pose` [count].

        An image is repeated within an example only if its label has fewer than `count` images. The splits must fit in memory.
        """
        tensors = {split: self._tensors(split) for split in self.sizes}
        return dataclasses.replace(self, transform=GroupByLabel(tensors, self.num_classes or 0, count, self.transform))

    def _choose(self, count: int, seed: int, option: str) -> Arrays:
        """`count` training examples, balanced over the classes."""
        pool = self.load_examples("train", max(limits.SUBSET_POOL, count), seed)
        available = len(pool[self.keys[0]])
        if not 1 <= count <= available:
            reason = "" if available == self.sizes["train"] else " that fit in memory"
            raise UserError(
                f"{option} {count} is out of range: {self.name} has {available} training images{reason}; choose 1 to {available}"
            )
        rows = self.balanced_rows(pool["label"], count, seed) if "label" in pool else slice(count)
        return {key: value[rows] for key, value in pool.items()}

    balanced_rows = staticmethod(balanced_rows)

    def in_memory(self, split: str) -> bool:
        """Whether a whole split is loaded into memory: up to 1 GiB."""
        return split in self._loaded or self.sizes[split] * self.example_bytes <= limits.MEMORY_BYTES

    def _stream(self, split: str) -> tf.data.Dataset:
        """The examples of an epoch of a split that is read from disk."""
        return self.examples(split)

    def _gather(self, tensors: Example, rows: tf.Tensor) -> Example:
        """The examples in the given rows, one or many, of a loaded split."""
        return {key: tf.gather(value, rows) for key, value in tensors.items()}

    def _tensors(self, split: str) -> Any:
        """A whole split as tensors in the memory of the CPU."""
        if split not in self._loaded:
            with tf.device("CPU"), explain_read_errors(self.name, self.find_damage):
                batches = list(self.examples(split).batch(4096))
                self._loaded[split] = {key: tf.concat([batch[key] for batch in batches], 0) for key in self.keys}
        return self._loaded[split]


def _join_labeled(batch: Example, labeled: Arrays, count: int, seed: Sequence[tf.Tensor]) -> Example:
    """The images of a batch without their labels, and `count` random labeled examples."""
    rows = tf.random.stateless_uniform([count], seed, 0, len(labeled["label"]), tf.int32)
    image, label = (tf.gather(labeled[key], rows) for key in ("image", "label"))
    return {"image": batch["image"], "labeled_image": image, "label": label}
