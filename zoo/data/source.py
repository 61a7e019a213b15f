"""A dataset for the models: endless streams of dict batches, splits as arrays, and settings that come from the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import limits
from zoo.data.damage import FindDamage, explain_read_errors
from zoo.data.stored import join
from zoo.data.transforms import Arrays, Example, GroupByLabel, RandomJitter, Transform, balanced_rows, flip_half, gather, normalize_images
from zoo.errors import UserError

FOLDER_PREFIX = "folder:"
GATHERED = 64  # examples that are read at once before a transform
MIRROR_SEED = 2**32  # added to the seed, so that flips are independent of other draws


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset of images of one size, as uint8 arrays that are indexed by row.

    The keys of an example: `image`; `label` (class or identity); `pose`; `x` and `y`, images of two domains, and `pair`, the index of the
    pair they belong to; `picture`, an image of any size.

    Attributes:
        name: The name given to `open_source`.
        version: Version of the data.
        image_shape: Height, width and channels; height and width are None for pictures of any size.
        sizes: Split -> number of examples.
        class_names: Names of the classes or identities; None: no labels.
        load: Split -> arrays of its examples by key, in memory or mapped from files; images are uint8.
        keys: Keys of an example. Default: `image`, and `label` if there are classes.
        pose_names: Names of the poses; None: no poses.
        labeled: The examples (`image`, `label`) with labels if all others are unlabeled; see `with_labels`.
        transform: Function that is applied to each example of a batch.
        mirrored: Whether half of the training examples are flipped horizontally, at random.
        balanced: Whether training batches draw the classes equally often, and the images of a class with replacement.
        cache_dir: A writable folder for files derived from the data, such as trained feature extractors.
        read_only_cache_dir: Another folder of such files, which is not written to; empty: none.
        facts: Returns what is known of the files: their sizes, modes and how they are resized; for `zoo data`.
        older_versions: Returns what earlier versions of this package recorded as the version of the same data.
        find_damage: Reads every file of the data and yields those that are missing or damaged; None: none is read after opening.
    """

    name: str
    version: str
    image_shape: tuple[Any, Any, int]
    sizes: dict[str, int]
    class_names: tuple[str, ...] | None
    load: Callable[[str], Arrays]
    keys: tuple[str, ...] = ()
    pose_names: tuple[str, ...] | None = None
    labeled: Arrays | None = None
    transform: Transform | None = None
    mirrored: bool = False
    balanced: bool = False
    cache_dir: str = ""
    read_only_cache_dir: str = ""
    facts: Callable[[], dict[str, str]] = dict
    older_versions: Callable[[], tuple[str, ...]] = tuple
    find_damage: FindDamage | None = None
    _loaded: dict[str, Arrays] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            object.__setattr__(self, "keys", ("image", "label") if self.class_names else ("image",))

    def _replace(self, **changes: Any) -> Any:
        """A copy with some fields replaced; it shares the loaded examples."""
        copy = dataclasses.replace(self, **changes)
        object.__setattr__(copy, "_loaded", self._loaded)
        return copy

    @property
    def identity(self) -> str:
        """What the data are, for protocols: of a folder its content, wherever it is."""
        return f"{'folder' if self.name.startswith(FOLDER_PREFIX) else self.name} {self.version}"

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

    def batches(
        self, batch_size: int, seed: int = 0, start: int = 0, split: str = "train", positions: Sequence[int] | None = None
    ) -> tf.data.Dataset:
        """Endless batches in shuffled order; a batch is a function of the seed and its number.

        Args:
            batch_size: Examples per batch. Shorter batches at the end of an epoch are dropped.
            seed: Determines the order and the random transforms.
            start: Number of the first batch.
            split: The split to read.
            positions: Of the examples in each batch that are read, where several processes share a batch; default: all.

        Returns:
            Dataset of dicts; images are float32 [positions, height, width, channels] in [-1, 1].

        Raises:
            UserError: The split has fewer than `batch_size` examples.
        """
        chosen = np.arange(batch_size) if positions is None else np.asarray(positions)
        size = self.sizes[split]
        if batch_size > size:
            raise UserError(
                f"a step takes {batch_size} images (--batch-size times --discriminator-steps), but {self.name} has only {size} in "
                f"'{split}'; choose a smaller --batch-size, so that the product is at most {size}"
            )
        per_epoch = size // batch_size
        epochs = tf.data.Dataset.range(start // per_epoch, 2**62)
        arrays = self.arrays(split)
        stream = epochs.flat_map(lambda epoch: self._shuffle(arrays, split, batch_size, seed, epoch, chosen))
        stream = stream.skip(start % per_epoch)
        if labeled := self.labeled:
            numbers = tf.data.Dataset.range(start, 2**62)
            stream = tf.data.Dataset.zip(numbers, stream).map(
                lambda number, batch: _join_labeled(batch, labeled, batch_size, chosen, [seed, -1 - number])
            )
        if self.mirrored and split == "train":
            numbered = tf.data.Dataset.zip(tf.data.Dataset.range(start, 2**62), stream)
            stream = numbered.map(
                lambda number, batch: flip_half(batch, batch_size, chosen, [seed + MIRROR_SEED, -1 - number]),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        return stream.map(normalize_images, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _shuffle(self, arrays: Arrays, split: str, batch_size: int, seed: int, epoch: tf.Tensor, positions: np.ndarray) -> tf.data.Dataset:
        """The examples at some positions of each batch of an epoch, in a global order that the seed and the epoch determine."""
        size, transform, training = self.sizes[split], self.transform, split == "train"
        per_epoch = size // batch_size
        draw = self._draw_balanced if self.balanced and training else _permute
        numbers = tf.gather(tf.reshape(tf.range(per_epoch * batch_size, dtype=tf.int64), [per_epoch, batch_size]), positions, axis=1)
        rows = tf.gather(draw(arrays, size, [seed, epoch]), numbers)
        if not transform:
            return tf.data.Dataset.from_tensor_slices(rows).map(lambda rows: gather(arrays, rows))
        flat_numbers, examples = tf.reshape(numbers, [-1]), self._examples(arrays, tf.reshape(rows, [-1]))
        return (
            tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(flat_numbers), examples)
            .map(lambda number, example: transform(example, [seed + number, epoch], training), num_parallel_calls=tf.data.AUTOTUNE)
            .batch(len(positions))
        )

    def _draw_balanced(self, arrays: Arrays, size: int, seed: Sequence[tf.Tensor]) -> tf.Tensor:
        """Rows of random classes; each row of a class is as likely as the others."""
        labels = np.asarray(arrays["label"])
        counts = np.bincount(labels, minlength=self.num_classes or 0)
        rows, starts = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
        classes_seed, rows_seed = tf.unstack(tf.random.experimental.stateless_split(tf.stack(seed), 2))
        classes = tf.gather(
            np.flatnonzero(counts), tf.random.stateless_uniform([size], classes_seed, 0, np.count_nonzero(counts), tf.int32)
        )
        place = tf.random.stateless_uniform([size], rows_seed, dtype=tf.float64) * tf.gather(counts.astype(np.float64), classes)
        return tf.gather(rows, tf.gather(starts, classes) + tf.cast(place, tf.int64))

    def _examples(self, arrays: Arrays, order: tf.Tensor) -> tf.data.Dataset:
        """The examples in this order, one by one; they are gathered some at a time."""
        return tf.data.Dataset.from_tensor_slices(order).batch(GATHERED).map(lambda rows: gather(arrays, rows)).unbatch()

    def arrays(self, split: str = "train") -> Arrays:
        """A whole split: images uint8 [n, height, width, channels]; `label`, `pose` and `pair` int64 [n]. Large ones stay in files."""
        if split not in self._loaded:
            with explain_read_errors(self.name, self.find_damage):
                self._loaded[split] = self.load(split)
        return self._loaded[split]

    def load_examples(self, split: str = "train", count: int = 10_000, seed: int = 0) -> Arrays:
        """Up to `count` examples of a split, and up to 1 GiB.

        Args:
            split: The split to read.
            count: Maximum number of examples.
            seed: Determines the examples and their order. If there are poses, whole identities are drawn, each with its poses in order, so
                that the gallery's image comes first.

        Returns:
            Arrays as in `arrays`, in memory.
        """
        count, rng = min(count, limits.LOADED_BYTES // self.example_bytes), np.random.RandomState(seed)
        arrays = self.arrays(split)
        rows = rng.permutation(self.sizes[split])
        if "pose" in arrays:
            rows = np.lexsort((arrays["pose"], rng.permutation(arrays["label"].max() + 1)[arrays["label"]]))
        return {key: np.asarray(value[rows[:count]]) for key, value in arrays.items()}

    def single_images(self) -> Source:
        """A source of single images, for training a classifier.

        The two domains are concatenated; if there are no classes, the domain is the label.
        """
        if "image" in self.keys:
            return self

        def load(split: str) -> Arrays:
            arrays = self.arrays(split)
            labels = [arrays["label"]] * 2 if "label" in arrays else [np.full(len(arrays[key]), i) for i, key in enumerate("xy")]
            return {"image": join([arrays["x"], arrays["y"]]), "label": np.concatenate(labels)}

        sizes = {split: 2 * size for split, size in self.sizes.items()}
        return dataclasses.replace(self, sizes=sizes, class_names=self.class_names or ("x", "y"), load=load, keys=(), transform=None)

    def subset(self, count: int, seed: int = 0) -> Source:
        """A source with a class-balanced subset of `count` training images, drawn by the seed.

        Raises:
            UserError: There are fewer training images.
        """
        chosen = self._choose(count, seed, "--examples")

        return dataclasses.replace(
            self, sizes={**self.sizes, "train": count}, load=lambda split: chosen if split == "train" else self.arrays(split)
        )

    def with_labels(self, count: int, seed: int = 0) -> Source:
        """A source with labels for a class-balanced subset of `count` training images, drawn by the seed.

        Its batches hold unlabeled images as `image`, and as many random labeled ones as `labeled_image` with their `label`.

        Raises:
            UserError: There are fewer training images.
        """
        source: Source = self._replace(labeled=self._choose(count, seed, "--labels"))
        return source

    def swapped(self) -> Source:
        """A source of pairs whose images have changed places."""

        def load(split: str) -> Arrays:
            arrays = self.arrays(split)
            return {**arrays, "x": arrays["y"], "y": arrays["x"]}

        return dataclasses.replace(self, load=load)

    def with_jitter(self, margin: int, flip: bool) -> Source:
        """A source whose training images are randomly cropped and flipped; see `RandomJitter`."""
        if not margin and not flip:
            return self
        source: Source = self._replace(transform=RandomJitter(self.image_shape, margin, flip))
        return source

    def with_options(self, mirror: bool, balance: bool) -> Source:
        """A source whose training images are flipped horizontally at random, or whose classes are drawn equally often.

        Raises:
            UserError: There are no classes to balance, or flips would change the poses.
        """
        if balance and not self.class_names:
            raise UserError(f"--balance draws classes equally often, and {self.name} has no classes; omit it")
        if mirror and self.pose_names:
            raise UserError(f"--mirror would change the poses of {self.name}; omit it")
        source: Source = self._replace(mirrored=mirror, balanced=balance)
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
        splits = [self.arrays(split) for split in self.sizes]
        labels = np.argsort(order)[np.concatenate([arrays["label"] for arrays in splits])]
        rows = {"train": np.flatnonzero(labels < total - count), "test": np.flatnonzero(labels >= total - count)}

        def load(split: str) -> Arrays:
            parts = {key: join([arrays[key] for arrays in splits], rows[split]) for key in self.keys}
            return {**parts, "label": labels[rows[split]]}

        return dataclasses.replace(
            self,
            sizes={split: len(chosen) for split, chosen in rows.items()},
            class_names=tuple(self.class_names[i] for i in order) if self.class_names else None,
            load=load,
        )

    def group_by_label(self, count: int) -> Source:
        """A source whose examples are `count` random images of one label: `image` [count, height, width, channels], `pose` [count].

        An image is repeated within an example only if its label has fewer than `count` images.
        """
        arrays = {split: self.arrays(split) for split in self.sizes}
        return dataclasses.replace(self, transform=GroupByLabel(arrays, self.num_classes or 0, count, self.transform))

    def _choose(self, count: int, seed: int, option: str) -> Arrays:
        """`count` training examples, balanced over the classes."""
        pool = self.load_examples("train", max(limits.SUBSET_POOL, count), seed)
        available = len(pool[self.keys[0]])
        if not 1 <= count <= available:
            raise UserError(f"{option} {count} is out of range: {self.name} has {available} training images; choose 1 to {available}")
        rows = self.balanced_rows(pool["label"], count, seed) if "label" in pool else slice(count)
        return {key: value[rows] for key, value in pool.items()}

    balanced_rows = staticmethod(balanced_rows)


def _permute(arrays: Arrays, size: int, seed: Sequence[tf.Tensor]) -> tf.Tensor:
    """All rows in random order."""
    return tf.argsort(tf.random.stateless_uniform([size], seed))


def _join_labeled(batch: Example, labeled: Arrays, count: int, positions: np.ndarray, seed: Sequence[tf.Tensor]) -> Example:
    """The images of a part of a batch without their labels, and a part of `count` random labeled examples."""
    rows = tf.gather(tf.random.stateless_uniform([count], seed, 0, len(labeled["label"]), tf.int32), positions)
    image, label = (tf.gather(labeled[key], rows) for key in ("image", "label"))
    return {"image": batch["image"], "labeled_image": image, "label": label}
