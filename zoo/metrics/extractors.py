"""Feature extractors: networks that turn images into what the scores compare. A score's name says which one it used.

`classifier` is trained here, on the data set's own labels (or, where labels are absent or few, on telling by how much an image was
turned), once, and kept with its accuracy and hash. `inception` is the graph of 2015 that published FIDs use; `keras:NAME` any network
of `keras.applications`.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from zoo import results
from zoo.errors import UserError, nearest

BATCH = 250  # images that go through a network at once
RECIPE = 1  # of the classifier's network and training: another number makes new ones
FEW = 20  # images a class (median) below which labels are too few to learn from
LARGEST = 64  # pixels a side of what the classifier looks at
SEEN = 480_000  # images that the classifier's training takes, or 40 epochs where those are fewer
ASKED = "asked for"  # why a network learned turns although there are labels
EDGE = ((0, 0), (1, 1), (1, 1), (0, 0))  # one pixel on every side
INCEPTION = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
GRAPH = "classify_image_graph_def.pb"


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Images [n, h, w, c] in [0, 1] -> features [n, d] and, where the network classifies, probabilities [n, k]."""

    name: str  # as it stands in the scores' names: classifier-mnist-1a2b
    sha256: str  # of the weights, or of the file that they came from
    about: str  # what it is, for people
    shape: tuple[int, int, int] | None  # that it looks at; None: it resizes by itself
    resizing: str  # how images of another size get there
    run: Callable  # images of that shape -> {"features": ..., "probabilities": ... or missing}
    classes: int | None = None  # that its probabilities are of, where they are those of the data set
    accuracy: float | None = None  # on held-out real images

    @property
    def distance(self):
        """Name of the Fréchet distance of its features: only that of the graph of 2015 is the published one."""
        return "fid" if self.name.startswith("inception-2015") else f"frechet[{self.name}]"

    def __call__(self, images, progress=iter):
        """{"features": float32 [n, d], ...}. images: [n, h, w, 1 or 3], float32 in [0, 1], or uint8. progress: wraps the loop (a bar)."""
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise UserError(f"{self.name} looks at images [n, height, width, 1 or 3], not at {list(images.shape)}")
        if not len(images):
            raise UserError(f"{self.name} was given no images")
        parts = [self._some(images[i : i + BATCH]) for i in progress(range(0, len(images), BATCH))]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _some(self, images):
        images = tf.image.convert_image_dtype(images, tf.float32)
        if self.shape is not None:
            images = fitted(images, self.shape)
        return {key: value.numpy() for key, value in self.run(images).items()}


def fitted(images, shape):
    """Images [n, h, w, c] resized (bilinear, anti-aliased) to `shape`, and with as many channels."""
    if images.shape[-1] != shape[-1]:
        images = tf.image.grayscale_to_rgb(images) if shape[-1] == 3 else tf.image.rgb_to_grayscale(images)
    if tuple(images.shape[1:3]) != tuple(shape[:2]):
        images = tf.clip_by_value(tf.image.resize(images, shape[:2], antialias=True), 0, 1)
    return images


def open(name, source, folder=None, say=print):
    """The extractor of a name: `classifier`, `classifier:SEED`, `rotations`, `file:PATH`, `inception`, `inception:FILE` or `keras:NETWORK`.

    source: the data set whose classifier it is; its train split is learned from. folder: where what was trained or fetched is kept
    (default: `source.beside`). say: told when a training or download begins. Raises UserError for an unknown name, and for weights that are
    neither here nor to be had.
    """
    folder = folder or source.beside
    kind, _, rest = name.partition(":")
    if kind == "classifier" and (not rest or (rest.isdecimal() and int(rest) < 10**6)):
        return classifier(source, int(rest or 0), folder, say)
    if name == "rotations":
        return classifier(source, 0, folder, say, rotations=ASKED)
    if kind == "file":
        return kept(rest, source)
    if kind == "inception":
        return inception(rest or None, folder, say)
    if kind == "keras":
        return application(rest)
    offer = "classifier, classifier:SEED, rotations, file:PATH, inception, inception:FILE, keras:NETWORK"
    raise UserError(f"there is no extractor '{name}'{nearest(name, offer.split(', '))} There is: {offer}")


# -- the data set's own classifier ----------------------------------------------------------------------------------------------------


def classifier(source, seed=0, folder=None, say=print, rotations=None):
    """A small convolutional network trained on the source's labels; read from `folder` where it has been trained before.

    Where the source has no labels, or fewer than 20 images a class, it learns by how many quarter turns an image was turned
    (Gidaris et al. 2018, arXiv:1803.07728), and is called `rotations-...`: it has features, but no classes to be right about.
    rotations: a reason to do so anyway.
    """
    folder = Path(folder or source.beside)
    for learned in (False, True) if rotations is None else (True,):
        if (path := _place(source, seed, learned, folder)).exists():
            with contextlib.suppress(UserError):  # damaged, or half written: it is made again
                found = kept(path, source)
                if rotations or ASKED not in found.about:  # that one says nothing of why there is no classifier
                    return found
    data = source.some("train", 60_000, seed)
    if rotations is None:
        rotations = _too_little(source, data)
    path = _place(source, seed, bool(rotations), folder)
    why = f" ({rotations}: it learns by how many quarter turns an image was turned)" if rotations else ""
    say(f"scores     training the network that compares images of {source.name}{why}; once, then kept in {path.parent}")
    shape, classes = _input(source, bool(rotations)), 4 if rotations else source.num_classes
    network, accuracy = _train(source, data, shape, classes, seed, bool(rotations))
    about = {"data": source.name, "version": source.version, "shape": shape, "classes": classes, "seed": seed, "rotations": rotations}
    _keep(path, network, {**about, "accuracy": accuracy, "sha256": _hash(network)})
    return kept(path, source)


def _too_little(source, data):
    """Why there is too little to learn from the labels of a source, or None."""
    if source.class_names is None:
        return f"{source.name} has no labels"
    if source.num_classes < 2:
        return f"{source.name} has one class"
    usual = np.median(np.bincount(data["label"][data["label"] >= 0], minlength=source.num_classes))
    return f"{source.name} has {usual:.0f} images a class" if usual < FEW else None


def _input(source, rotations):
    """The shape of images that a source's classifier looks at: as the data's, square to be turned."""
    *sides, channels = shrunk(source.image_shape)
    return (*((min(sides),) * 2 if rotations else sides), channels)


def shrunk(shape):
    """The shape to which images of `shape` are brought: at most 64 pixels on the short side."""
    height, width, channels = shape
    factor = min(1, LARGEST / min(height, width))
    return max(8, round(height * factor)), max(8, round(width * factor)), channels


def _place(source, seed, rotations, folder):
    """Where a source's classifier is kept."""
    shape = _input(source, rotations)
    key = [RECIPE, source.name, source.version, shape, source.num_classes, seed]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]
    return folder / f"{_title({'data': source.name, 'seed': seed, 'rotations': rotations})}-{'x'.join(map(str, shape))}-{digest}.keras"


def _hash(network):
    return hashlib.sha256(b"".join(np.ascontiguousarray(weight).tobytes() for weight in network.get_weights())).hexdigest()


def kept(path, source):
    """A network that `classifier` has trained and kept: PATH.keras, and PATH.json beside it. UserError where it is for other data."""
    path = Path(path).expanduser()
    try:
        for part in (path, path.with_suffix(".json")):
            if not part.exists():
                raise ValueError(f"there is no {part.name} in {part.parent}")
        about = json.loads(path.with_suffix(".json").read_text())
        if missing := {"data", "classes", "seed"} - set(about):
            raise ValueError(f"{path.with_suffix('.json').name} lacks {', '.join(sorted(missing))}")
        network = keras.saving.load_model(path, compile=False)
        shape, rotations, sha256, accuracy = tuple(about["shape"]), about["rotations"], _hash(network), float(about["accuracy"])
        if sha256 != about["sha256"]:
            raise ValueError("its weights are not those that were kept")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path} cannot be read as an extractor ({reason}); --extractor classifier makes one") from None
    if about["data"] != source.name or shape[-1] != source.image_shape[-1] or (not rotations and about["classes"] != source.num_classes):
        made = f"{about['data']} ({'x'.join(map(str, shape))}, {about['classes']} classes)"
        raise UserError(f"{path} was made for {made}, and the data are {source.name}; --extractor classifier makes one for them")
    names = source.class_names or ()
    task = f"to tell {' from '.join(names)} in {source.name}" if len(names) == 2 else f"on the labels of {source.name}"
    task = f"to tell quarter turns of {source.name} ({rotations})" if rotations else task
    return Extractor(
        name=f"{_title(about)}-{sha256[:4]}",
        sha256=sha256,
        about=f"a small network trained {task}: {accuracy:.2%} right on images that it had not seen",
        shape=shape,
        resizing=f"to {shape[0]}x{shape[1]}, bilinear, anti-aliased, where it differs",
        run=tf.function(lambda images: network(images, training=False), [tf.TensorSpec([None, *shape], tf.float32)]),
        classes=None if rotations else about["classes"],
        accuracy=accuracy,
    )


def _title(about):
    """`classifier-mnist`, `classifier1-mnist` (of another seed), `rotations-pictures`."""
    short = re.sub(r"[^A-Za-z0-9]+", "_", os.path.basename(about["data"].rstrip("/"))).strip("_").lower()
    return f"{'rotations' if about['rotations'] else 'classifier'}{about['seed'] or ''}-{short}"


def small_network(shape, classes, seed=0):
    """The classifier: three convolutions, 128 features. Images in [0, 1] -> features, probabilities."""
    layer, plain = keras.layers, {"dtype": "float32"}  # whatever the precision of the model beside it
    x = image = keras.Input(shape)
    x = layer.Rescaling(2.0, -1.0, **plain)(x)
    for i, width in enumerate((32, 64, 96)):
        start = keras.initializers.HeNormal(1000 * seed + i)
        x = layer.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer=start, **plain)(x)
        x = layer.MaxPooling2D(padding="same", **plain)(x)
    x = layer.Flatten(**plain)(layer.MaxPooling2D(padding="same", **plain)(x))
    x = layer.Dropout(0.2, seed=seed, **plain)(x)
    x = layer.Dense(128, "relu", kernel_initializer=keras.initializers.HeNormal(1000 * seed + 10), **plain)(x)
    y = layer.Dropout(0.3, seed=seed + 1, **plain)(x)
    y = layer.Dense(classes, "softmax", kernel_initializer=keras.initializers.GlorotUniform(1000 * seed + 11), **plain)(y)
    return keras.Model(image, {"features": x, "probabilities": y})


def train(images, labels, classes, seed=0, seen=SEEN, epochs=40):
    """That network, trained on images [n, h, w, c] (uint8, or float32 in [0, 1]).

    seen: images that the training takes in all, at most `epochs` times the whole set; at least 200 updates.
    """
    batch = min(128, len(images))
    updates = max(200, min(seen, epochs * len(images)) // batch)
    network = small_network(images.shape[1:], classes, seed)
    network.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, updates)),
        loss={"probabilities": keras.losses.SparseCategoricalCrossentropy()},
        jit_compile=False,
        auto_scale_loss=False,
        steps_per_execution=8,
    )
    draw = np.random.RandomState(seed)  # not TensorFlow's, which a global seed would change
    rows = np.concatenate([draw.permutation(len(images)) for _ in range(-(-updates * batch // len(images)))])[: updates * batch]
    with tf.device("CPU"):
        images, labels = tf.constant(images), tf.constant(labels)

    def moved(rows, by):
        """A batch, moved by up to two pixels each way; what comes in mirrors the edge."""
        picked = tf.image.convert_image_dtype(tf.gather(images, rows), tf.float32)
        padded = tf.pad(tf.pad(picked, EDGE, "SYMMETRIC"), EDGE, "SYMMETRIC")
        return tf.slice(padded, [0, by[0], by[1], 0], [-1, *images.shape[1:]]), {"probabilities": tf.gather(labels, rows)}

    stream = tf.data.Dataset.from_tensor_slices((rows.reshape(updates, batch), draw.randint(0, 5, (updates, 2))))
    network.fit(stream.map(moved).prefetch(4), steps_per_epoch=updates, verbose=0, shuffle=False)
    return network


def right(network, images, labels):
    """The share of images whose label a network names."""
    said = [
        np.argmax(network(tf.image.convert_image_dtype(images[i : i + BATCH], tf.float32), training=False)["probabilities"], -1)
        for i in range(0, len(images), BATCH)
    ]
    return float(np.mean(np.concatenate(said) == labels))


def _train(source, data, shape, classes, seed, rotations):
    """A network and its share of right answers on the test split, or on a tenth of the train split where there is none."""
    if "test" in source.sizes:
        held = source.some("test", 10_000, seed)
    else:
        cut = max(1, len(data["image"]) // 10)
        data, held = ({key: value[part] for key, value in data.items()} for part in (slice(cut, None), slice(cut)))
    learned, kept = ((fit(part["image"], shape), part.get("label")) for part in (data, held))
    if rotations:
        learned, kept = _turned(learned[0], seed), _turned(kept[0], seed)
    network = train(*learned, classes, seed)
    return network, right(network, *kept)


def fit(images, shape):
    """Images [n, h, w, c] at `shape`, uint8."""
    if tuple(images.shape[1:]) == tuple(shape):
        return images
    parts = [fitted(tf.image.convert_image_dtype(images[i : i + BATCH], tf.float32), shape) for i in range(0, len(images), BATCH)]
    return np.concatenate([tf.image.convert_image_dtype(part, tf.uint8, saturate=True).numpy() for part in parts])


def _turned(images, seed):
    turns = np.random.RandomState(seed).randint(0, 4, len(images))
    return np.stack([np.rot90(image, turn) for image, turn in zip(images, turns)]), turns


def _keep(path, network, about):
    """Saves it beside its place and renames, the record last: a training that is cut short leaves none."""
    network.optimizer = None  # its state would be three quarters of the file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        results.replace(path, network.save)
        results.replace(path.with_suffix(".json"), lambda work: work.write_text(json.dumps(about, indent=2) + "\n"))
    except OSError as error:
        raise UserError(
            f"the classifier cannot be kept in {path.parent}: {error}; make room, or set TFDS_DATA_DIR to another folder"
        ) from None


# -- the graph of 2015 ----------------------------------------------------------------------------------------------------------------


def inception(file, folder, say=print):
    """The Inception graph of 2015-12-05 (Szegedy et al. 2015), as Heusel et al. 2017 use it: pool_3 [2048], 1008 classes.

    file: `classify_image_graph_def.pb` or the archive that it comes in; None: the one in `folder`, else it is fetched there. It takes
    images of 0 to 255 and resizes them itself, as the published figures were made. The inception score's logits leave the bias out,
    as Salimans et al. 2016 do.
    """
    if file is None:
        file = Path(folder) / GRAPH
        if not file.exists():
            _fetch(file, say)
    file = Path(file).expanduser()
    try:
        content = _unpacked(file)
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{file} cannot be read as the Inception graph ({error}); it is in {INCEPTION}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    return Extractor(
        name=f"inception-2015-{sha256[:4]}",
        sha256=sha256,
        about=f"the Inception graph of 2015-12-05, from {file}",
        shape=None,
        resizing="to 299x299 by the graph itself (bilinear, not anti-aliased)",
        run=_graph_function(content, file),
    )


def _graph_function(content, file):
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        tensor = wrapped.graph.as_graph_element
        weights = wrapped.graph.get_operation_by_name("softmax/logits/MatMul").inputs[1]
        network = wrapped.prune(tensor("ExpandDims:0"), [tensor("pool_3:0"), weights])
        wide = tuple(weights.shape)
    except Exception as error:  # protobuf and TensorFlow raise many kinds
        raise UserError(f"{file} is not the Inception graph of 2015 ({' '.join(str(error).split())[:100]}); it is in {INCEPTION}") from None
    if wide != (2048, 1008):
        raise UserError(f"{file} is not the Inception graph of 2015: its last layer is {wide}, not (2048, 1008); it is in {INCEPTION}")

    def run(images):
        images = tf.image.grayscale_to_rgb(images) if images.shape[-1] == 1 else images
        parts = [network(image[None] * 255) for image in images]  # the graph is made for one image at a time
        features = tf.concat([tf.reshape(pooled, [1, -1]) for pooled, _ in parts], 0)
        return {"features": features, "probabilities": tf.nn.softmax(features @ parts[0][1])}

    return run


def _unpacked(file):
    if tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:
            return archive.extractfile(GRAPH).read()
    return file.read_bytes()


def _fetch(file, say):
    say(f"scores     fetching the Inception graph from {INCEPTION} to {file.parent}")
    try:
        archive = keras.utils.get_file(origin=INCEPTION, fname=os.path.basename(INCEPTION), cache_dir=str(file.parent), cache_subdir=".")
        content = _unpacked(Path(archive))
        file.write_bytes(content)
    except Exception as error:  # whatever a network does
        raise UserError(
            f"the Inception graph is not in {file.parent} and could not be fetched ({' '.join(str(error).split())[:80]}); "
            f"get {INCEPTION} and name it: --extractor inception:FILE. Without it: --extractor classifier"
        ) from None


# -- keras.applications ---------------------------------------------------------------------------------------------------------------


def application(name, weights="imagenet"):
    """A network of `keras.applications`, without its head, pooled; its weights are fetched by Keras. Named by the weights' hash."""
    known = {key: value for key, value in vars(keras.applications).items() if isinstance(value, Callable)}
    if name not in known:
        raise UserError(f"keras.applications has no '{name}'{nearest(name, known)} There is: {', '.join(sorted(known))}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever the precision of the model beside it
    try:
        network = known[name](include_top=False, weights=weights, pooling="avg", input_shape=(224, 224, 3))
    except Exception as error:  # whatever a network does
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"keras:{name} cannot be had with its weights ({reason}); Keras keeps those in ~/.keras/models, and a file put there is used. "
            "Without them: --extractor classifier"
        ) from None
    finally:
        keras.config.set_dtype_policy(before)
    prepare = sys.modules[known[name].__module__].preprocess_input
    sha256 = _hash(network)
    return Extractor(
        name=f"keras_{name}-{sha256[:4]}",
        sha256=sha256,
        about=f"keras.applications.{name}, pooled features",
        shape=(224, 224, 3),
        resizing="to 224x224, bilinear, anti-aliased, where it differs",
        run=tf.function(
            lambda images: {"features": network(prepare(images * 255), training=False)}, [tf.TensorSpec([None, 224, 224, 3], tf.float32)]
        ),
    )
