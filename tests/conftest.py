"""Two logical CPUs for the replica tests, a data folder of the tests' own, and tiny models that are played once and shared."""

import dataclasses
import functools
import gc
import os
import tempfile

os.environ["TFDS_DATA_DIR"] = tempfile.mkdtemp(prefix="zoo-tests-")

import zoo  # isort: skip
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import data, export, registry, runs

CPUS = 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * CPUS)

TINY = {"batch_size": 4, "latent_dim": 8, "num_classes": 3, "steps": 4, "every": 2, "phase": 1, "labels": 3, "accumulation": 1}
TINY |= {"discriminator_steps": 1}
TINY |= {"width": 8, "generator_width": 8, "discriminator_width": 8, "base": 128, "most": 8, "hidden": 16, "embedding": 4, "buffer": 8}
TINY |= {
    "generator_units": 16,
    "discriminator_units": 8,
    "categories": 3,
    "patch": 2,
    "pool": 8,
    "blocks": 1,
    "jitter": 2,
    "climb": 2,
    "served_climb": 4,
    "multipliers": (2, 2, 1),
}
TINY |= {"attention_side": 8, "discriminator_attention_side": 8, "standing_passes": 2}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """What shares a played model, or a file's fixtures, runs in one process."""
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        item.add_marker(pytest.mark.xdist_group(name if "played" in item.fixturenames and name else item.path.stem))


def pytest_collection_finish():
    """What the imports have made is never garbage: `clear_session` collects at each tiny model, and would look through it every time."""
    gc.collect()
    gc.freeze()


def settings(name):
    """A preset's settings at a size that tests can bear: 16x16 images in three classes, narrow networks."""
    config = registry.entry(name).config
    channels = (config.image_shape or (0, 0, 1))[-1]
    fitting = {key: value for key, value in TINY.items() if type(getattr(config, key, "")) in (type(value), type(None))}
    narrow = {  # of whatever a paper lists, the same number of layers
        field.name: tuple(max(1, min(8, width)) for width in getattr(config, field.name))
        for field in dataclasses.fields(config)
        if "widths" in field.name or field.name.endswith(("units", "blocks")) and isinstance(getattr(config, field.name), tuple)
    }
    if hasattr(config, "group"):
        narrow["group"] = config.group // 2  # two groups, where there are several
        narrow["widths"] = narrow["widths"][-3:]  # as many as these images have sizes
    if hasattr(config, "content_loss"):
        narrow["content_loss"] = "mse"  # no weights of VGG are at hand
    if hasattr(config, "held_out"):
        narrow["num_classes"] = 4  # two identities to train on and two to test on
    return {**fitting, **narrow, "image_shape": (16, 16, channels)}


def structure(name):
    """What decides a preset's graph at that size: not numbers of layers and channels, nor rates and weights, where they are not 0."""
    config = dataclasses.asdict(dataclasses.replace(registry.entry(name).config, **settings(name)))
    training = ("steps", "every", "image_shape", "optimizer", "schedule", "decay_end", "labels", "penalty", "target", "beta_1", "flip")
    sizes = ("levels", "code_hidden")
    plain = {float: bool, tuple: bool}
    kept = {key: plain.get(type(value), lambda x: x)(value) for key, value in config.items() if key not in training + sizes}
    return registry.entry(name).model, type(registry.entry(name).config), repr(kept)


NAMES = sorted({structure(name): name for name in reversed(zoo.names())}.values())  # presets that are one network at that size: once


def tiny(name, **overrides):
    """A compiled model whose weights are a function of its name: as the preset, but small."""
    policy = keras.config.dtype_policy()
    keras.utils.clear_session()  # layers are named as in a process of its own: TensorFlow orders sums by names
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(1)
    game = zoo.create(name, **{**settings(name), **overrides})
    game.compile(jit_compile=False)
    return game


def source(game, count=24):
    """Random data of what a model needs, as it sees them: images of its shape, a class (or identity) and a pose each."""
    config, keys = game.config, game.batch_keys
    draw = np.random.RandomState(0)
    classes = config.num_classes if "label" in keys else None
    about = {"version": "0", "sizes": {"train": count, "test": count}, "class_names": classes and tuple(map(str, range(classes)))}

    def made(names, shape=config.image_shape, poses=1, kind=data.Source, **more):
        arrays = {name: draw.randint(0, 256, (count, *shape)).astype(np.uint8) for name in names if name in ("image", "x", "y", "picture")}
        numbers = {"label": draw.randint(0, classes or 1, count), "pose": np.arange(count) % poses, "pair": np.arange(count)}
        arrays |= {name: numbers[name] for name in names if name in numbers}
        examples = lambda split: tf.data.Dataset.from_tensor_slices(arrays)  # noqa: E731
        return kind(name="random", image_shape=config.image_shape, examples=examples, keys=tuple(names), **about, **more)

    if "picture" in keys:
        *_, channels = config.image_shape
        found = dataclasses.replace(made(keys, (20, 24, channels), kind=data.Pictures), image_shape=(None, None, channels))
    elif keys == ("x", "y"):
        found = data.Domains("random", "0", made(("image",)), made(("image",)), ("test",))
    elif "pose" in keys:
        found = dataclasses.replace(made(keys, poses=config.num_poses), pose_names=tuple(map(str, range(config.num_poses))))
    else:
        found = made(keys)
    return game.prepare(game.config, found)


def play(game, start, rounds):
    """`rounds` rounds on the model's random images, from round `start` on; returns Keras' histories, joined."""
    config, history = game.config, {}
    for first, length, count, _ in runs.phases(start, start + rounds, start + rounds, 1, game.milestones):
        stream = source(game).batches(config.batch_size * config.discriminator_steps, config.seed, first)
        told = game.fit(stream, steps_per_epoch=length, epochs=count, verbose=0, shuffle=False, callbacks=game.callbacks())
        for name, values in told.history.items():
            history.setdefault(name, []).extend(values)
    return history


def number(variable):
    return keras.ops.convert_to_numpy(variable)


def weights(network):
    return [number(w) for w in network.weights]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@dataclasses.dataclass
class Played:
    """A tiny model after four rounds, what it was at the start, and its checkpoint after two."""

    game: keras.Model
    start: dict
    history: dict
    checkpoint: str
    traces: int

    @functools.cached_property
    def version(self):
        """Its export."""
        return export.write(self.game, os.path.join(tempfile.mkdtemp(), "model"))

    @functools.cached_property
    def signatures(self):
        """Those of its export."""
        return tf.saved_model.load(str(self.version)).signatures


@pytest.fixture(scope="session")
def played():
    @functools.lru_cache(2)  # what shares a model runs in a row: the others need not stay in memory
    def of(name):
        game = tiny(name)
        start = {key: weights(network) for key, network in {**game.players, "averaged": game.averaged}.items()}
        step, traces = game.train_step, []
        game.train_step = lambda batch: traces.append(1) or step(batch)
        play(game, 0, 2)
        path = tf.train.Checkpoint(game=game).write(os.path.join(tempfile.mkdtemp(), "two"))
        return Played(game, start, play(game, 2, 2), path, len(traces))

    return of


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def blank(monkeypatch):
    """Weights start at 0 and there is no averaged copy: of networks that are counted or refused the largest take a minute of them."""
    monkeypatch.setattr(keras.models, "clone_model", lambda network: keras.Sequential())
    monkeypatch.setattr(keras.Model, "get_weights", lambda network: [])
    monkeypatch.setattr(keras.Model, "set_weights", lambda network, weights: None)
    for kind in (keras.initializers.Orthogonal, keras.initializers.RandomNormal, keras.initializers.VarianceScaling):
        drawing = next(base for base in kind.__mro__ if "__call__" in vars(base))
        monkeypatch.setattr(drawing, "__call__", lambda self, shape, dtype=None, **kwargs: tf.zeros(shape, dtype or "float32"))


@pytest.fixture(autouse=True)
def _policy():
    """Each test starts in float32, and so does what is made for several, whatever a run before has set."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
