"""What a data set is to the zoo: endless streams of dict batches of a split, the split as arrays, and what the data decide."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from zoo.errors import UserError

IN_MEMORY = 2**30  # bytes of uint8 pixels that are held as one tensor; more is read again in each epoch, if it comes from disk
WINDOW = 4096  # examples that are shuffled together there, or as many as have IN_MEMORY bytes
POOL = 60_000  # training images that few are drawn from
AT_ONCE = 32  # pictures of any size whose crops come in turn, where they are streamed
PICTURES = 64  # pictures of any size by which it is decided how often each is cut


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set: what it holds, and how to read a split of it as uint8 `tf.data`, or as arrays where it is small.

    What a batch holds has these names: `image`; `label` (class or identity), `pose`; `x` and `y`, of two domains, and `pair`, the number of
    those that belong together; `picture`, an image of any size.
    """

    name: str
    version: str
    image_shape: tuple[int, int, int]
    sizes: dict[str, int]
    class_names: tuple[str, ...] | None
    examples: Callable  # split -> tf.data.Dataset of {"image": uint8, ...}, each at `image_shape`
    keys: tuple[str, ...] = ()  # what an example holds; default: `image`, and `label` where there are classes
    pose_names: tuple[str, ...] | None = None
    labelled: dict | None = None  # the few images (`image`, `label`) that come with labels; all others then have none
    vary: Callable | None = None  # (example, seed, whether to train on) -> the example as it looks this time
    beside: str = ""  # folder beside the data that can be written, for what is made from them; the temporary one where none can
    _held: dict = dataclasses.field(default_factory=dict, repr=False)

    def __post_init__(self):
        if not self.keys:
            object.__setattr__(self, "keys", ("image", "label") if self.class_names else ("image",))

    @property
    def num_classes(self):
        return len(self.class_names) if self.class_names else None

    @property
    def bytes(self):
        """Of the pixels of one example of a batch."""
        return int(np.prod(self.image_shape))

    @property
    def decides(self):
        """What the data decide of a configuration: field -> value."""
        poses = len(self.pose_names) if self.pose_names else None
        return {"image_shape": self.image_shape, "num_classes": self.num_classes, "num_poses": poses}

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """Endless batches in shuffled order, from number `start` on. Short ones are dropped, so all have one shape."""
        size = self.sizes[split]
        if batch_size > size:
            raise UserError(
                f"a round takes {batch_size} images (--batch-size times --discriminator-steps) and {self.name} has {size} in '{split}'; "
                f"use a smaller --batch-size, so that it is at most {size}"
            )
        per_epoch = size // batch_size
        epochs = tf.data.Dataset.range(start // per_epoch, 2**62)

        def seen(examples, epoch):
            """Examples as they look in this epoch."""

            def once(number, example):
                return self.vary(example, [seed + number, epoch], split == "train")

            return examples.enumerate().map(once, num_parallel_calls=tf.data.AUTOTUNE) if self.vary else examples

        if self.in_memory(split):
            find = self._finder(split)

            def shuffled(epoch):
                order = tf.argsort(tf.random.stateless_uniform([size], [seed, epoch]))[: per_epoch * batch_size]
                if self.vary:
                    return seen(tf.data.Dataset.from_tensor_slices(order).map(find), epoch).batch(batch_size)
                return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [per_epoch, batch_size])).map(find)  # whole batches at once

        else:
            examples, window = self._stream(split), max(batch_size, min(WINDOW, IN_MEMORY // self.bytes))

            def shuffled(epoch):
                # Not `Dataset.shuffle`, which takes no seed that changes by epoch where TensorFlow has a global one.
                windows = seen(examples, epoch).batch(window).enumerate().map(lambda number, rows: mixed(rows, [seed + number, epoch]))
                return windows.rebatch(batch_size, drop_remainder=True)

        stream = epochs.flat_map(shuffled).skip(start % per_epoch)
        if self.labelled:

            def joined(number, batch):
                rows = tf.random.stateless_uniform([batch_size], [seed, -1 - number], 0, len(self.labelled["label"]), tf.int32)
                image, label = (tf.gather(self.labelled[key], rows) for key in ("image", "label"))
                return {"image": batch["image"], "labelled_image": image, "label": label}

            stream = tf.data.Dataset.zip(tf.data.Dataset.range(start, 2**62), stream).map(joined)
        return stream.map(normalised, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def arrays(self, split="train"):
        """The whole split as numpy arrays: images uint8 [n, h, w, c]; `label`, `pose`, `pair` int64 [n] where it has them."""
        return {key: value.numpy() for key, value in self._tensors(split).items()}

    def some(self, split="train", count=10_000, seed=0):
        """The same as `arrays`, of at most `count` examples, and 1 GiB: drawn by the seed, or the first ones where the data are large.

        Where there are poses, identities are drawn, each with its poses in order: the gallery's image is among them.
        """
        count, draw = min(count, IN_MEMORY // self.bytes), np.random.RandomState(seed)
        if self.in_memory(split):
            arrays = self.arrays(split)
            rows = draw.permutation(self.sizes[split])
            if "pose" in arrays:
                rows = np.lexsort((arrays["pose"], draw.permutation(arrays["label"].max() + 1)[arrays["label"]]))
            return {key: value[rows[:count]] for key, value in arrays.items()}
        batches = list(self.examples(split).take(count).batch(1024).as_numpy_iterator())
        return {key: np.concatenate([batch[key] for batch in batches]) for key in self.keys}

    def pictures(self):
        """The source of its single images, that a network which looks at one can learn from."""
        if "image" in self.keys:
            return self

        def examples(split):
            """The two domains one after the other; where there are no classes, the label is the domain."""
            each = [
                self.examples(split).map(lambda row, k=k, i=i: {"image": row[k], "label": row.get("label", tf.constant(i, tf.int64))})
                for i, k in enumerate("xy")
            ]
            return each[0].concatenate(each[1])

        sizes = {split: 2 * size for split, size in self.sizes.items()}
        names = self.class_names or ("x", "y")
        return dataclasses.replace(self, sizes=sizes, class_names=names, examples=examples, keys=(), vary=None, _held={})

    def few(self, count, seed=0):
        """The source with `count` of its training images only, drawn by the seed, as many of each class. UserError: more than there are."""
        chosen = self._chosen(count, seed, "--examples")

        def examples(split):
            return tf.data.Dataset.from_tensor_slices(chosen) if split == "train" else self.examples(split)

        return dataclasses.replace(self, sizes={**self.sizes, "train": count}, examples=examples, _held={})

    def few_labels(self, count, seed=0):
        """The source with the labels of `count` of its training images only, drawn by the seed, as many of each class.

        Its batches hold `image`, of which none are known, and as many rows of `labelled_image` with their `label`, drawn from those.
        """
        return dataclasses.replace(self, labelled=self._chosen(count, seed, "--labels"))

    def jittered(self, margin, flip):
        """The source with images that are enlarged by `margin` pixels and cut at random when trained on, and mirrored every other time.

        All images of an example are cut alike.
        """
        height, width, channels = self.image_shape

        def vary(example, seed, training):
            images = [key for key, value in example.items() if value.dtype == tf.uint8]
            if not training:
                return example
            stack = tf.concat([example[key] for key in images], -1)
            if margin:
                large = tf.image.resize(tf.cast(stack, tf.float32), (height + margin, width + margin), "bicubic")
                large = tf.image.stateless_random_crop(large, (height, width, channels * len(images)), seed)
                stack = tf.cast(tf.clip_by_value(tf.round(large), 0, 255), tf.uint8)
            if flip:
                stack = tf.image.stateless_random_flip_left_right(stack, seed)
            return {**example, **dict(zip(images, tf.split(stack, len(images), -1)))}

        return dataclasses.replace(self, vary=vary) if margin or flip else self

    def split_by_label(self, count, seed=0):
        """The source whose test split is all images of `count` of its labels, drawn by the seed, which leave the train split.

        Those that stay are numbered anew, from 0; the others come after them. UserError: fewer than two labels would be on either side.
        """
        total = self.num_classes
        if not 2 <= count <= total - 2:
            raise UserError(f"{count} identities were to be held out, and {self.name} has {total}; at least two must be on either side")
        order = np.random.RandomState(seed).permutation(total)
        order = np.concatenate([np.sort(order[count:]), np.sort(order[:count])])
        number = np.argsort(order)  # of a label from now on
        held = {split: self.arrays(split) for split in self.sizes}
        whole = {key: np.concatenate([arrays[key] for arrays in held.values()]) for key in self.keys}
        whole["label"] = number[whole["label"]]
        tested = whole["label"] >= total - count
        parts = {"train": {k: v[~tested] for k, v in whole.items()}, "test": {k: v[tested] for k, v in whole.items()}}
        return dataclasses.replace(
            self,
            sizes={split: len(part["label"]) for split, part in parts.items()},
            class_names=tuple(self.class_names[i] for i in order),
            examples=lambda split: tf.data.Dataset.from_tensor_slices(parts[split]),
            _held={},
        )

    def together(self, count):
        """The source whose examples are `count` images of one label each, drawn anew each time: `image` [count, h, w, c], `pose` [count].

        An image comes twice in one example only where its label has too few. Its splits must fit the memory.
        """
        held = {split: self._tensors(split) for split in self.sizes}
        order = {split: np.argsort(arrays["label"], kind="stable") for split, arrays in held.items()}
        sizes = {split: np.bincount(arrays["label"], minlength=self.num_classes) for split, arrays in held.items()}

        def vary(example, seed, training):
            split = "train" if training else "test"
            label, seed = example["label"], tf.stack(seed)
            size, first = tf.gather(sizes[split], label), tf.gather(np.cumsum(sizes[split]) - sizes[split], label)
            places = tf.argsort(tf.random.stateless_uniform([size], seed))
            rows = tf.gather(order[split], first + tf.cast(tf.gather(places, tf.range(count) % tf.cast(size, tf.int32)), first.dtype))
            drawn = [{key: tf.gather(value, rows[i]) for key, value in held[split].items()} for i in range(count)]
            if self.vary:
                drawn = [self.vary(one, tf.random.experimental.stateless_fold_in(seed, i), training) for i, one in enumerate(drawn)]
            return {key: label if key == "label" else tf.stack([one[key] for one in drawn]) for key in example}

        return dataclasses.replace(self, vary=vary, _held={})

    def _chosen(self, count, seed, option):
        pool = self.some("train", max(POOL, count), seed)
        have = len(pool[self.keys[0]])
        if not 1 <= count <= have:
            held = "" if have == self.sizes["train"] else " that can be held in memory"
            raise UserError(f"{option} {count}: {self.name} has {have} training images{held}; give at least 1 and at most that")
        rows = self.balanced(pool["label"], count, seed) if "label" in pool else slice(count)
        return {key: value[rows] for key, value in pool.items()}

    @staticmethod
    def balanced(labels, count, seed):
        """Rows of `count` images, one of each class in turn while there are any; the order is a function of the seed."""
        order = np.random.default_rng(seed).permutation(len(labels))
        turn = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            members = order[labels[order] == label]
            turn[members] = np.arange(len(members))
        return order[np.argsort(turn[order], kind="stable")][:count]

    def in_memory(self, split):
        """Whether a split is held in memory as a whole: at most 1 GiB."""
        return split in self._held or self.sizes[split] * self.bytes <= IN_MEMORY

    def _stream(self, split):
        """The examples of an epoch, where they are read from disk."""
        return self.examples(split)

    def _finder(self, split):
        """A function of row numbers, one or many, that gives their examples."""
        arrays = self._tensors(split)
        return lambda rows: {key: tf.gather(value, rows) for key, value in arrays.items()}

    def _tensors(self, split):
        if split not in self._held:
            with tf.device("CPU"):
                batches = list(self.examples(split).batch(4096))
                self._held[split] = {key: tf.concat([batch[key] for batch in batches], 0) for key in self.keys}
        return self._held[split]


@dataclasses.dataclass(frozen=True)
class Pictures(Source):
    """A data set of pictures of any size, `picture`; its batches are cut from them."""

    keys: tuple[str, ...] = ("picture",)
    each: int = 1  # cuts of a picture in an epoch
    side: float = 0.0  # of a cut, in pixels

    @property
    def bytes(self):
        return int(self.side**2 * self.image_shape[-1])

    def cuts(self, side, vary):
        """The source of what `vary` cuts out of each picture, `side` x `side`: as many times an epoch as cover a picture of middle size."""
        area = np.median([np.prod(picture.shape[:2]) for picture in self.first("train", PICTURES)])
        each = max(1, round(area / side**2))
        sizes = {split: size * each for split, size in self.sizes.items()}
        return dataclasses.replace(self, sizes=sizes, each=each, side=side, vary=vary)

    def first(self, split, count):
        """The first `count` pictures of a split, uint8 [h, w, c] each."""
        return [row["picture"] for row in self.examples(split).take(count).as_numpy_iterator()]

    def some(self, split="train", count=10_000, seed=0):
        """The first pictures of a split as a list, at most `count`, and 1 GiB."""
        taken, room = [], IN_MEMORY
        for row in self.examples(split).take(count).as_numpy_iterator():
            if (room := room - row["picture"].size) < 0:
                break
            taken.append(row["picture"])
        return {"picture": taken}

    def few(self, count, seed=0):
        raise UserError(f"--examples: {self.name} is pictures of any size, of which all are taken; leave it out")

    def in_memory(self, split):
        """Whether a split is held in memory as a whole."""
        return self._tensors(split) is not None

    def _tensors(self, split):
        """All pixels in a row, where each picture begins, and its shape; None where that is too much."""
        if split not in self._held:
            taken = self.some(split, self.sizes[split])["picture"]
            whole = None
            if len(taken) * self.each == self.sizes[split]:
                starts = np.cumsum([0, *(picture.size for picture in taken)])[:-1]
                pixels = np.concatenate([picture.ravel() for picture in taken])
                whole = {"pixels": pixels, "start": starts, "shape": np.array([picture.shape for picture in taken])}
                with tf.device("CPU"):
                    whole = {key: tf.constant(value) for key, value in whole.items()}
            self._held[split] = whole
        return self._held[split]

    def _stream(self, split):
        # As many crops of a picture as it is worth, for decoding is what costs; those of several pictures in turn.
        crops = lambda row: tf.data.Dataset.from_tensors(row).repeat(self.each)  # noqa: E731
        return self.examples(split).interleave(crops, cycle_length=AT_ONCE)

    def _finder(self, split):
        arrays = self._tensors(split)

        def find(row):
            row = row // self.each
            shape = arrays["shape"][row]
            pixels = arrays["pixels"][arrays["start"][row] : arrays["start"][row] + tf.reduce_prod(shape)]
            return {"picture": tf.ensure_shape(tf.reshape(pixels, shape), self.image_shape)}

        return find


@dataclasses.dataclass(frozen=True)
class Domains:
    """Two sources as the domains of an unpaired data set: a batch holds `x` and `y`, each in an order of its own.

    paired: splits whose rows belong together, as where one domain is made from the other.
    """

    name: str
    version: str
    x: Source
    y: Source
    paired: tuple[str, ...] = ()
    keys = ("x", "y")

    @property
    def image_shape(self):
        return self.x.image_shape

    @property
    def sizes(self):
        """Of the smaller domain, which is seen through once in an epoch."""
        return {split: min(size, self.y.sizes[split]) for split, size in self.x.sizes.items() if split in self.y.sizes}

    @property
    def class_names(self):
        return self.x.class_names

    @property
    def pose_names(self):
        return None

    @property
    def num_classes(self):
        return self.x.num_classes

    @property
    def beside(self):
        return self.x.beside

    @property
    def decides(self):
        """What the data decide of a configuration: field -> value."""
        return self.x.decides

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """Endless batches, see `Source.batches`."""
        streams = [part.batches(batch_size, seed + i, start, split) for i, part in enumerate((self.x, self.y))]
        return tf.data.Dataset.zip(*streams).map(lambda x, y: {"x": x["image"], "y": y["image"]})

    def some(self, split="train", count=10_000, seed=0):
        """At most `count` examples of each domain as arrays: `x`, `y`; where there are classes,
        `label_x` and `label_y`; where the rows belong together, `pair`."""
        x, y = (part.some(split, count, seed) for part in (self.x, self.y))
        known = {f"label_{name}": part["label"] for name, part in (("x", x), ("y", y)) if "label" in part}
        return {"x": x["image"], "y": y["image"], **known, **({"pair": np.arange(len(x["image"]))} if split in self.paired else {})}

    def pictures(self):
        """The source of its single images, see `Source.pictures`."""

        def examples(split):
            domains = []
            for i, part in enumerate((self.x, self.y)):
                found = part.examples(split)
                if not self.class_names:
                    found = found.map(lambda row, i=i: {"image": row["image"], "label": tf.constant(i, tf.int64)})
                domains.append(found)
            return domains[0].concatenate(domains[1])

        sizes = {split: self.x.sizes[split] + self.y.sizes[split] for split in self.sizes}
        names = self.class_names or ("x", "y")
        about = {"name": self.name, "version": self.version, "sizes": sizes, "class_names": names, "keys": ()}
        return dataclasses.replace(self.x, **about, examples=examples, vary=None, _held={})

    def few(self, count, seed=0):
        """Both domains with `count` of their training images only."""
        return dataclasses.replace(self, x=self.x.few(count, seed), y=self.y.few(count, seed))

    def jittered(self, margin, flip):
        """See `Source.jittered`."""
        return dataclasses.replace(self, x=self.x.jittered(margin, flip), y=self.y.jittered(margin, flip))

    def in_memory(self, split):
        """Whether a split of both is held in memory."""
        return self.x.in_memory(split) and self.y.in_memory(split)


def mixed(window, seed):
    """The rows of a dict of tensors in an order that is a function of the seed."""
    order = tf.argsort(tf.random.stateless_uniform([tf.shape(next(iter(window.values())))[0]], seed))
    return {key: tf.gather(value, order) for key, value in window.items()}


def normalised(batch):
    """uint8 images -> float32 in [-1, 1]; done on whole batches, seven times faster than on single images."""
    return {key: tf.cast(value, tf.float32) / 127.5 - 1 if value.dtype == tf.uint8 else value for key, value in batch.items()}
