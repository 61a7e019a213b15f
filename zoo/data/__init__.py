"""Named sources of images, as endless streams of dict batches.

A batch holds `image` (float32 NHWC in [-1, 1]) and, where the source has classes, `label` (int64). Batch i is a function of
(seed, i) alone, so that a resumed run goes on with the images that the interrupted one would have seen.
"""

import contextlib
import dataclasses
import io
import os
import socket
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.data import digits as _digits
from zoo.data import folder as _folder
from zoo.errors import UserError, nearest

EMBEDDED = {"digits": _digits.Digits}
IN_MEMORY = 2**30  # bytes of uint8 pixels that are held as one tensor; more is read from disk again in each epoch
WINDOW = 4096  # examples that are shuffled together where the data are read from disk


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set: what it holds, and how to read a split of it as uint8 `tf.data`, or as arrays where it is small."""

    name: str
    version: str
    image_shape: tuple[int, int, int]
    sizes: dict[str, int]
    class_names: tuple[str, ...] | None
    examples: Callable  # split -> tf.data.Dataset of {"image": uint8, ...}, each at `image_shape`
    labelled: dict | None = None  # the few images (`image`, `label`) that come with labels; all others then have none
    beside: str = ""  # folder beside the data that can be written, for what is made from them; the temporary one where none can
    _held: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def keys(self):
        """What a batch holds."""
        return ("image", "label") if self.class_names else ("image",)

    @property
    def num_classes(self):
        return len(self.class_names) if self.class_names else None

    def batches(self, batch_size, seed=0, start=0, split="train"):
        """Endless batches in shuffled order, from number `start` on. Short ones are dropped, so all have one shape."""
        size = self.sizes[split]
        if batch_size > size:
            raise UserError(
                f"a round takes {batch_size} images (--batch-size times --discriminator-steps) and {self.name} has {size} in '{split}'; "
                "use a smaller --batch-size"
            )
        per_epoch = size // batch_size
        epochs = tf.data.Dataset.range(start // per_epoch, 2**62)
        if self.in_memory(split):
            arrays = self._tensors(split)

            def shuffled(epoch):
                order = tf.argsort(tf.random.stateless_uniform([size], [seed, epoch]))
                return tf.data.Dataset.from_tensor_slices(tf.reshape(order[: per_epoch * batch_size], [per_epoch, batch_size]))

            stream = epochs.flat_map(shuffled).skip(start % per_epoch)
            stream = stream.map(lambda rows: {key: tf.gather(value, rows) for key, value in arrays.items()})
        else:
            examples = self.examples(split)

            def shuffled(epoch):
                # Not `Dataset.shuffle`, which takes no seed that changes by epoch where TensorFlow has a global one.
                windows = examples.batch(WINDOW).enumerate().map(lambda number, window: mixed(window, [seed + number, epoch]))
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
        """The whole split as numpy arrays: `image` uint8 [n, h, w, c], and `label` int64 [n] where there are classes."""
        return {key: value.numpy() for key, value in self._tensors(split).items()}

    def some(self, split="train", count=10_000, seed=0):
        """The same as `arrays`, of at most `count` examples, and 1 GiB: drawn by the seed, or the first ones where the data are large."""
        count = min(count, IN_MEMORY // int(np.prod(self.image_shape)))
        if self.in_memory(split):
            rows = np.random.RandomState(seed).permutation(self.sizes[split])[:count]
            return {key: value[rows] for key, value in self.arrays(split).items()}
        batches = list(self.examples(split).take(count).batch(1024).as_numpy_iterator())
        return {key: np.concatenate([batch[key] for batch in batches]) for key in self.keys}

    def few(self, count, seed=0):
        """The source with `count` of its training images only, drawn by the seed, as many of each class. UserError: more than there are."""
        chosen = self._chosen(count, seed)

        def examples(split):
            return tf.data.Dataset.from_tensor_slices(chosen) if split == "train" else self.examples(split)

        return dataclasses.replace(self, sizes={**self.sizes, "train": count}, examples=examples, _held={})

    def few_labels(self, count, seed=0):
        """The source with the labels of `count` of its training images only, drawn by the seed, as many of each class.

        Its batches hold `image`, of which none are known, and as many rows of `labelled_image` with their `label`, drawn from those.
        """
        return dataclasses.replace(self, labelled=self._chosen(count, seed))

    def _chosen(self, count, seed):
        pool = self.some("train", 60_000, seed)
        if not 1 <= count <= len(pool["image"]):
            raise UserError(f"{count} training images were asked for, and {self.name} has {len(pool['image'])} to draw from")
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
        return split in self._held or self.sizes[split] * int(np.prod(self.image_shape)) <= IN_MEMORY

    def _tensors(self, split):
        if split not in self._held:
            with tf.device("CPU"):
                batches = list(self.examples(split).batch(4096))
                self._held[split] = {key: tf.concat([batch[key] for batch in batches], 0) for key in self.keys}
        return self._held[split]


def mixed(window, seed):
    """The rows of a dict of tensors in an order that is a function of the seed."""
    order = tf.argsort(tf.random.stateless_uniform([tf.shape(window["image"])[0]], seed))
    return {key: tf.gather(value, order) for key, value in window.items()}


def normalised(batch):
    """uint8 images -> float32 in [-1, 1]; done on whole batches, seven times faster than on single images."""
    return {key: tf.cast(value, tf.float32) / 127.5 - 1 if value.dtype == tf.uint8 else value for key, value in batch.items()}


def open(name, data_dir=None, image_shape=None, needs=("image",)):
    """The `Source` of a name: an embedded one (`digits`), any TFDS image data set (`NAME[/CONFIG]`), or `folder:PATH`.

    image_shape: resize to it (height, width, channels: 1 or 3). needs: keys that a batch must have. Raises UserError where there
    is no such source, where it is not on this machine and cannot be downloaded, or where it lacks a key.
    """
    if name.startswith(("/", ".", "~")):
        raise UserError(f"{name} is a path, not the name of a data set; for the pictures in a folder: --data folder:{name}")
    if name.startswith("folder:"):
        return _check(_from_folder(name, image_shape), needs)
    builder = EMBEDDED[name](data_dir=data_dir) if name in EMBEDDED else _tfds(name, data_dir)
    _check(_from_builder(name, builder, image_shape), needs)  # from what is known of it, before anything is downloaded
    builder = _prepared_here(name, builder) if name in EMBEDDED else _prepared(name, builder)
    source = _from_builder(name, builder, image_shape)
    if "train" not in source.sizes:
        raise UserError(f"{name} has no split 'train' but {', '.join(source.sizes)}; choose another data set")
    return source


def _check(source, needs):
    if missing := [key for key in needs if key not in source.keys]:
        raise UserError(
            f"the model needs {' and '.join(missing)}, and {source.name} has only {' and '.join(source.keys)}; use data with class labels "
            f"(digits, mnist, a folder with one folder a class), or a model that needs only {' and '.join(source.keys)}: --list shows them"
        )
    return source


def _from_folder(name, image_shape):
    path = os.path.abspath(os.path.expanduser(name.removeprefix("folder:")))
    images, labels, classes, digest = _folder.read(path, image_shape)
    arrays = {"image": images} if labels is None else {"image": images, "label": labels}
    return Source(
        name=f"folder:{path}",
        version=f"{len(images)} pictures, {digest}",
        image_shape=images.shape[1:],
        sizes={"train": len(images)},
        class_names=tuple(classes) if classes else None,
        examples=lambda split: tf.data.Dataset.from_tensor_slices(arrays),
        beside=_beside(tfds.core.constants.DATA_DIR),
        _held={"train": {key: tf.constant(value) for key, value in arrays.items()}},
    )


def _prepared_here(name, builder):
    """An embedded source's builder, prepared in its folder, or where that can't be written in the temporary one."""
    place = os.path.join(tempfile.gettempdir(), f"zoo-data-{os.getuid()}")
    for candidate in (builder, EMBEDDED[name](data_dir=place)):
        if candidate.is_prepared():
            return candidate
        with contextlib.suppress(OSError, tf.errors.OpError), contextlib.redirect_stdout(io.StringIO()):
            tfds.disable_progress_bar()
            candidate.download_and_prepare()
            return candidate
    raise UserError(f"'{name}' can be written neither to the folder of TFDS nor to {place}; give --data-dir a folder that can")


def _tfds(name, data_dir):
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        raise UserError(
            f"there is no data set '{name}'{nearest(name.split('/')[0], [*known, *EMBEDDED])} There is: {', '.join(EMBEDDED)} "
            "(embedded, no download), folder:PATH, and every image data set of TFDS (mnist, cifar10, celeb_a, ...)"
        ) from None
    except (ValueError, KeyError) as error:  # an unknown config of a known data set
        raise UserError(f"TFDS cannot open '{name}': {' '.join(str(error).split())[:200]}") from None


def _prepared(name, builder):
    """A TFDS builder whose data are on this machine, downloaded if need be."""
    if builder.is_prepared():
        return builder
    try:
        if not _online():
            raise ConnectionError("no network")
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises whatever its downloader does: one line for all of them
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"'{name}' is not in {builder.data_path} and could not be downloaded ({type(error).__name__}: {reason}); "
            f"put a prepared copy there or name its parent with --data-dir. Without a download: {', '.join(EMBEDDED)}, folder:PATH"
        ) from None
    return builder


def _online():
    """Whether names resolve. Where they do not, TFDS would try for minutes and leave empty folders."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # the proxy resolves them
    try:
        return bool(socket.getaddrinfo("storage.googleapis.com", 443))  # where TFDS keeps its own files
    except OSError:
        return False


def _from_builder(name, builder, image_shape):
    features = dict(builder.info.features)
    pictures = [key for key, kind in features.items() if isinstance(kind, tfds.features.Image)]
    if not pictures:
        raise UserError(
            f"{name} holds no images but {', '.join(features)}; name an image data set, as {', '.join(EMBEDDED)}, mnist, cifar10"
        )
    key = "image" if "image" in pictures else pictures[0]
    if features[key].np_dtype != np.uint8:
        raise UserError(f"the images of {name} are {features[key].np_dtype.__name__}, not 8 bits a channel; choose another data set")
    label = next((k for k in ("label", *features) if isinstance(features.get(k), tfds.features.ClassLabel)), None)
    shape = features[key].shape
    if image_shape is None:
        channels = 1 if shape[-1] == 1 else 3  # transparency is left out
        image_shape = (*shape[:2], channels) if None not in shape else (_folder.SIDE, _folder.SIDE, channels)
    image_shape = tuple(image_shape)

    def example(row):
        image = row[key]
        image = image[..., :3]
        if tuple(image.shape) != image_shape:
            image = resized(image, image_shape)
        return {"image": image, "label": row[label]} if label else {"image": image}

    return Source(
        name=name,
        version=str(builder.version),
        image_shape=image_shape,
        sizes={split: info.num_examples for split, info in builder.info.splits.items()},
        class_names=tuple(features[label].names) if label else None,
        examples=lambda split: builder.as_dataset(split=split, read_config=tfds.ReadConfig(try_autocache=False)).map(
            example, num_parallel_calls=tf.data.AUTOTUNE
        ),
        beside=_beside(str(builder.data_dir).removesuffix(f"/{builder.info.full_name}"), tfds.core.constants.DATA_DIR),
    )


def _beside(*folders):
    """The first of these folders that can be written or made, else the temporary one."""
    for folder in (os.path.abspath(os.path.expanduser(folder)) for folder in folders if "://" not in folder):
        there = folder
        while not os.path.exists(there):
            there = os.path.dirname(there)
        if os.access(there, os.W_OK):
            return os.path.join(folder, "zoo_extractors")
    return os.path.join(tempfile.gettempdir(), f"zoo-extractors-{os.getuid()}")


def resized(image, image_shape):
    """A uint8 image cut in its middle to the proportions of `image_shape` and resized to it, with as many channels."""
    height, width, channels = image_shape
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.minimum(size[0] / height, size[1] / width)
    rows, columns = (tf.maximum(1, tf.cast(tf.round(scale * side), tf.int32)) for side in (height, width))
    image = tf.image.resize_with_crop_or_pad(image, rows, columns)
    image = tf.image.resize(tf.cast(image, tf.float32), (height, width), antialias=True)
    image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    if image.shape[-1] == 3 and channels == 1:
        image = tf.image.rgb_to_grayscale(image)
    elif image.shape[-1] == 1 and channels == 3:
        image = tf.image.grayscale_to_rgb(image)
    return tf.ensure_shape(image, image_shape)
