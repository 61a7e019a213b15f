"""Two logical CPUs for the replica tests, a data folder of the tests' own, and tiny models that are played once and shared."""

import dataclasses
import functools
import os
import tempfile

os.environ["TFDS_DATA_DIR"] = tempfile.mkdtemp(prefix="zoo-tests-")

import zoo  # isort: skip
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import data, export, registry

CPUS = 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * CPUS)

TINY = {"batch_size": 4, "latent_dim": 5, "num_classes": 3, "steps": 4, "every": 2}


def tiny(name, **overrides):
    """A compiled model whose weights are a function of its name: as the preset, but for 16x16 images in three classes."""
    channels = (registry.entry(name).config.image_shape or (0, 0, 1))[-1]
    keras.utils.set_random_seed(1)
    game = zoo.create(name, **{**TINY, "image_shape": (16, 16, channels), **overrides})
    game.compile(jit_compile=False)
    return game


def source(game, count=24):
    """Random images of a model's shape, a class each."""
    config = game.config
    draw = np.random.RandomState(0)
    arrays = {
        "image": draw.randint(0, 256, (count, *config.image_shape)).astype(np.uint8),
        "label": draw.randint(0, config.num_classes, count).astype(np.int64),
    }
    return data.Source(
        name="random",
        version="0",
        image_shape=config.image_shape,
        sizes={"train": count},
        class_names=tuple(map(str, range(config.num_classes))),
        examples=lambda split: tf.data.Dataset.from_tensor_slices(arrays),
    )


def play(game, start, rounds):
    """`rounds` rounds on the model's random images, from round `start` on; returns Keras' history."""
    config = game.config
    stream = source(game).batches(config.batch_size * config.discriminator_steps, config.seed, start)
    return game.fit(stream, steps_per_epoch=rounds, verbose=0, shuffle=False).history


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


@pytest.fixture(scope="session")
def played():
    @functools.cache
    def of(name):
        game = tiny(name)
        start = {key: weights(getattr(game, key)) for key in ("generator", "discriminator", "averaged")}
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


@pytest.fixture(autouse=True)
def _policy():
    """Each test starts in float32, whatever a run before it has set."""
    keras.config.set_dtype_policy("float32")
