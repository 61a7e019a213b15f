"""Named sources of images: embedded, of TFDS, or a folder of the user's own."""

import contextlib
import io
import os
import socket
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from zoo.data import digits as _digits
from zoo.data import folder as _folder
from zoo.data import outlines as _outlines
from zoo.data import photographs as _photographs
from zoo.data.source import Domains, Pictures, Source
from zoo.errors import UserError, nearest

__all__ = ["Domains", "Pictures", "Source", "open"]

EMBEDDED = {
    "digits": _digits.Digits,
    "outlines": _outlines.Outlines,
    "outline_pairs": _outlines.OutlinePairs,
    "photographs": _photographs.Photographs,
    "turned_digits": _digits.TurnedDigits,
}


def open(name, data_dir=None, image_shape=None, needs=("image",)):
    """The source of a name: an embedded one (`digits`), any TFDS image data set (`NAME[/CONFIG]`), or `folder:PATH`.

    image_shape: resize to it (height, width, channels: 1 or 3). needs: keys that an example must have, by which a folder's or a data set's
    layout is read. Raises UserError where there is no such source, where it is not on this machine and cannot be downloaded, or where it
    lacks a key.
    """
    if name.startswith(("/", ".", "~")):
        raise UserError(f"{name} is a path, not the name of a data set; for the pictures in a folder: --data folder:{name}")
    if name.startswith("folder:"):
        return _check(_from_folder(name, image_shape, needs), needs)
    builder = EMBEDDED[name](data_dir=data_dir) if name in EMBEDDED else _tfds(name, data_dir)
    _check(_from_builder(name, builder, image_shape, needs), needs)  # from what is known of it, before anything is downloaded
    builder = _prepared_here(name, builder) if name in EMBEDDED else _prepared(name, builder)
    source = _from_builder(name, builder, image_shape, needs)
    if "test" in source.sizes and "label" in source.keys and any(row["label"] < 0 for row in source.examples("test").take(1)):
        source = _from_builder(name, builder, image_shape, needs, without="test")  # whose labels are kept secret, as imagenet2012's
    if "train" not in source.sizes:
        raise UserError(f"{name} has no split 'train' but {', '.join(source.sizes)}; choose another data set")
    return source


OFFER = {  # what has a key
    "label": "data with class labels (digits, mnist, a folder with one folder a class)",
    "x": "data of two domains (outlines, cycle_gan/horse2zebra, a folder of trainA trainB testA testB)",
    "y": "data of two domains (outlines, cycle_gan/horse2zebra, a folder of trainA trainB testA testB)",
    "pair": "data in pairs (outline_pairs, a folder of pictures with both side by side)",
    "pose": "data with identities and poses (turned_digits, a folder of IDENTITY/POSE*.jpg)",
    "picture": "pictures of any size (photographs, div2k, a folder of them)",
    "image": "data of single images (digits, mnist, a folder of pictures)",
}


def _check(source, needs):
    if missing := [key for key in needs if key not in source.keys]:
        have = " and ".join(source.keys)
        raise UserError(
            f"the model needs {' and '.join(missing)}, and {source.name} has only {have}; use {OFFER[missing[-1]]}, or a model that needs "
            f"only {have}: python -m zoo list shows them"
        )
    return source


def _from_folder(name, image_shape, needs):
    path = os.path.abspath(os.path.expanduser(name.removeprefix("folder:")))
    about = {"name": f"folder:{path}", "class_names": None, "beside": _beside(tfds.core.constants.DATA_DIR)}
    if "picture" in needs:
        return _folder_of_pictures(path, about)
    if "pair" in needs:
        halves, digest = _folder.pairs(path, image_shape)
        parts = {split: {"x": x, "y": y, "pair": np.arange(len(x))} for split, (x, y) in halves.items()}
        return _held(parts, ("x", "y", "pair"), version=f"{sum(len(x) for x, _ in halves.values())} pairs, {digest}", **about)
    if "x" in needs:
        images, digest = _folder.domains(path, image_shape)
        about["version"] = f"{sum(map(len, images.values()))} pictures, {digest}"
        sides = [{split: {"image": images[split + d]} for split in ("train", "test") if split + d in images} for d in "AB"]
        return Domains(about["name"], about["version"], *(_held(side, **about) for side in sides))
    if "pose" in needs:
        images, labels, identities, poses, names, digest = _folder.poses(path, image_shape)
        about.update(version=f"{len(images)} pictures, {digest}", class_names=tuple(identities), pose_names=tuple(names))
        return _held({"train": {"image": images, "label": labels, "pose": poses}}, ("image", "label", "pose"), **about)
    images, labels, classes, digest = _folder.read(path, image_shape)
    arrays = {"image": images} if labels is None else {"image": images, "label": labels}
    about.update(version=f"{len(images)} pictures, {digest}", class_names=tuple(classes) if classes else None)
    return _held({"train": arrays}, **about)


def _held(parts, keys=(), **about):
    """A source of arrays: split -> key -> values."""
    return Source(
        image_shape=next(iter(parts["train"].values())).shape[1:],
        sizes={split: len(next(iter(part.values()))) for split, part in parts.items()},
        examples=lambda split: tf.data.Dataset.from_tensor_slices(parts[split]),
        keys=keys,
        **about,
    )


def _folder_of_pictures(path, about):
    files, grey, digest = _folder.pictures(path)
    shape = (None, None, 1 if grey else 3)

    def examples(split):
        def read(file):
            pixels = tf.numpy_function(lambda file: _folder.whole(file.decode(), shape[-1]), [file], tf.uint8, stateful=False)
            return {"picture": tf.ensure_shape(pixels, shape)}

        return tf.data.Dataset.from_tensor_slices([str(file) for file in files[split]]).map(read, num_parallel_calls=tf.data.AUTOTUNE)

    sizes = {split: len(found) for split, found in files.items()}
    return Pictures(image_shape=shape, version=f"{sum(sizes.values())} pictures, {digest}", sizes=sizes, examples=examples, **about)


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
    except (ValueError, KeyError, AssertionError, ImportError) as error:  # an unknown config or version of a known data set
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


def _from_builder(name, builder, image_shape, needs, without=None):
    """What a TFDS builder offers, in the layout that is needed where it has that one. without: a split that is passed over."""
    features = dict(builder.info.features)
    images = [key for key, kind in features.items() if isinstance(kind, tfds.features.Image)]
    if not images:
        raise UserError(
            f"{name} holds no images but {', '.join(features)}; name an image data set, as {', '.join(EMBEDDED)}, mnist, cifar10"
        )
    paired = {"x", "y"} <= set(images)
    first = next((key for key in ("x", "image", "hr") if key in images), images[0])
    if features[first].np_dtype != np.uint8:
        raise UserError(f"the images of {name} are {features[first].np_dtype.__name__}, not 8 bits a channel; choose another data set")
    label = next((k for k in ("label", *features) if k != "pose" and isinstance(features.get(k), tfds.features.ClassLabel)), None)
    shape = features[first].shape
    channels = 1 if shape[-1] == 1 else 3  # transparency is left out
    if any_size := "picture" in needs and not paired:
        image_shape = (None, None, channels)
    elif image_shape is None:
        image_shape = (*shape[:2], channels) if None not in shape else (_folder.SIDE, _folder.SIDE, channels)
    image_shape = tuple(image_shape)
    taken = {"x": "x", "y": "y"} if paired else {"picture": first} if any_size else {"image": first}
    known = {"label": label} if label and not any_size else {}
    if "pose" in features and not paired and not any_size:
        known["pose"] = "pose"

    def example(row):
        found = {}
        for key, feature in taken.items():
            image = row[feature][..., :3]
            found[key] = image if any_size or tuple(image.shape) == image_shape else resized(image, image_shape)
        return {**found, **{key: tf.cast(row[feature], tf.int64) for key, feature in known.items()}}

    def examples(split):
        found = builder.as_dataset(split=split, read_config=tfds.ReadConfig(try_autocache=False))
        if not paired:
            return found.map(example, num_parallel_calls=tf.data.AUTOTUNE)
        return found.map(example).enumerate().map(lambda number, row: {**row, "pair": number})

    sizes = {split: info.num_examples for split, info in builder.info.splits.items() if split != without}
    about = {
        "version": str(builder.version),
        "image_shape": image_shape,
        "class_names": tuple(features[label].names) if label and not any_size else None,
        "beside": _beside(str(builder.data_dir).removesuffix(f"/{builder.info.full_name}"), tfds.core.constants.DATA_DIR),
    }
    if {"trainA", "trainB"} <= set(sizes) or name.split("/")[0] in DOMAINS:
        return _two_domains(name, examples, sizes, about)
    keys = (*taken, *known, *(("pair",) if paired else ()))
    if "validation" in sizes and "test" not in sizes:
        sizes["test"] = sizes.pop("validation")
        read, examples = examples, lambda split: read("validation" if split == "test" else split)
    kind = Pictures if any_size else Source
    return kind(
        name=name,
        sizes=sizes,
        examples=examples,
        keys=keys,
        pose_names=tuple(features["pose"].names) if "pose" in known else None,
        **about,
    )


DOMAINS = {"outlines": True, "cycle_gan": False}  # data sets of two domains: whether the images to test on belong together


def _two_domains(name, examples, sizes, about):
    """The splits `trainA`, `trainB`, ... of a data set as two sources."""
    together = DOMAINS.get(name.split("/")[0], False)
    if not together:
        about = {**about, "class_names": None}  # as of cycle_gan, whose label is the domain
    keys = ("image", "label") if about["class_names"] else ("image",)

    def part(domain):
        mine = {split: sizes[split + domain] for split in ("train", "test") if split + domain in sizes}
        return Source(
            name=name, sizes=mine, examples=lambda split: examples(split + domain).map(lambda row: {key: row[key] for key in keys}), **about
        )

    return Domains(name, about["version"], part("A"), part("B"), ("test",) if together else ())


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
