"""Two logical CPUs for the replica tests, a data folder of the tests' own, and tiny models that are trained once and shared."""

# ruff: noqa: E402, I001
import dataclasses
import functools
import gc
import importlib
import os
import sys
import tempfile
from pathlib import Path

os.environ["TFDS_DATA_DIR"] = tempfile.mkdtemp(prefix="zoo-tests-")

from zoo.training import runtime  # isort: skip

runtime.configure()

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import registry, testing
from zoo.metrics.extractors import small_classifier
from zoo.testing import random_source, train_steps  # noqa: F401  (for the tests)

NUM_CPUS = 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * NUM_CPUS)

TINY = {"batch_size": 4, "latent_dim": 8, "num_classes": 3, "steps": 4, "eval_every": 2, "phase_steps": 1, "labels": 3}
TINY |= {"gradient_accumulation": 1, "discriminator_steps": 1}
TINY |= {"width": 8, "generator_width": 8, "discriminator_width": 8, "fmap_base": 128, "fmap_max": 8, "hidden": 16}
TINY |= {"embedding_dim": 4, "buffer_size": 8, "generator_units": 16, "discriminator_units": 8, "categories": 3, "patch_layers": 2}
TINY |= {"buffer_size": 8, "blocks": 1, "jitter": 2, "langevin_steps": 2, "sampling_steps": 4, "multipliers": (2, 2, 1)}
TINY |= {"attention_side": 8, "discriminator_attention_side": 8, "standing_passes": 2}

# The feature extractor of the digits, with just more than the minimum of updates.
small_classifier.train_classifier = functools.partial(small_classifier.train_classifier, epochs=18)

FAST_MODELS = ("acgan", "autoencoder")  # whose checks run without the slow tests as well: noise-to-image and image-to-image
SLOW_FILES = {  # tests that train, or build networks of full size
    "test_analyses",
    "test_biggan",
    "test_browser",
    "test_callbacks",
    "test_downstream",
    "test_drgan",
    "test_drgan_data_and_serving",
    "test_evaluate",
    "test_evaluation",
    "test_examples",
    "test_extractors",
    "test_generate",
    "test_keras_model",
    "test_kills",
    "test_loop",
    "test_modality",
    "test_monitor",
    "test_multi_worker",
    "test_parameter_counts",
    "test_perceptual",
    "test_pggan",
    "test_pictures",
    "test_readme",
    "test_replicas",
    "test_requests",
    "test_runtime",
    "test_sgan_and_infogan",
    "test_srgan",
    "test_stages",
    "test_strangers",
    "test_throughput",
    "test_torture",
    "test_train_api",
    "test_train_resume",
    "test_train_run",
    "test_training_step",
    "test_translate",
    "test_translation",
    "test_translation_metrics",
    "test_upscale",
    "test_video",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests that share a trained model, or a file's fixtures, run in one process; `-m "not slow"` leaves out what trains."""
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("name")
        if item.path.stem in SLOW_FILES or ("trained" in item.fixturenames and name not in (*FAST_MODELS, None)):
            item.add_marker("slow")
        item.add_marker(pytest.mark.xdist_group(name if "trained" in item.fixturenames and name else item.path.stem))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """TensorFlow never frees some graphs: `clear_session` collects at each tiny model, and need not look through them every time."""
    groups = [one and one.get_closest_marker("xdist_group").args for one in (item, nextitem)]
    if groups[0] != groups[1]:
        gc.collect()
        gc.freeze()


def pytest_collection_finish():
    """What the imports have made is never garbage: `clear_session` collects at each tiny model, and would look through it every time."""
    gc.collect()
    gc.freeze()


def tiny_settings(name):
    """A preset's settings at a size that is fast to test: 16x16 images in three classes, narrow networks."""
    config = registry.get_entry(name).config
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
        narrow["content_loss"] = "mse"  # the weights of VGG are not available in tests
    if hasattr(config, "langevin_steps"):
        narrow["latent_dim"] = config.latent_dim  # the image decides it
    if hasattr(config, "held_out_identities"):
        narrow["num_classes"] = 4  # two identities to train on and two to test on
    return {**fitting, **narrow, "image_shape": (16, 16, channels)}


def structure(name):
    """What decides a preset's graph at that size: not numbers of layers and channels, nor rates and weights, where they are not 0."""
    config = dataclasses.asdict(dataclasses.replace(registry.get_entry(name).config, **tiny_settings(name)))
    training = ("steps", "eval_every", "image_shape", "optimizer", "schedule", "decay_end", "labels", "penalty_weight", "gradient_target")
    training += ("beta_1", "beta_2", "epsilon", "flip")
    sizes = ("conv_layers", "code_hidden")
    plain = {float: bool, tuple: bool}
    deciding = {key: plain.get(type(value), lambda x: x)(value) for key, value in config.items() if key not in training + sizes}
    return registry.get_entry(name).model, type(registry.get_entry(name).config), repr(deciding)


NAMES = sorted({structure(name): name for name in reversed(zoo.list_models())}.values())  # presets that are one network at that size: once


def tiny_model(name, **overrides):
    """A compiled model whose weights are a function of its name: as the preset, but small."""
    return testing.build_model(name, **{**tiny_settings(name), **overrides})


def to_numpy(variable):
    return keras.ops.convert_to_numpy(variable)


def weights(network):
    return testing.weights(network)


def same_arrays(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="session")
def trained():
    """A `zoo.testing.TrainedModel` by name."""

    @functools.lru_cache(2)  # tests that share a model run in a row: the others need not stay in memory
    def train(name):
        return testing.TrainedModel.train(name, **tiny_settings(name))

    return train


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def zero_weights(monkeypatch):
    """Weights start at 0 and there is no EMA copy: for networks that are counted or refused; the largest take a minute otherwise."""
    monkeypatch.setattr(keras.models, "clone_model", lambda network: keras.Sequential())
    monkeypatch.setattr(keras.Model, "get_weights", lambda network: [])
    monkeypatch.setattr(keras.Model, "set_weights", lambda network, weights: None)
    for kind in (keras.initializers.Orthogonal, keras.initializers.RandomNormal, keras.initializers.VarianceScaling):
        drawing = next(base for base in kind.__mro__ if "__call__" in vars(base))
        monkeypatch.setattr(drawing, "__call__", lambda self, shape, dtype=None, **kwargs: tf.zeros(shape, dtype or "float32"))


@pytest.fixture(autouse=True)
def _registry():
    """Models that a test registers are gone after it: other tests list the registry."""
    entries, files = dict(registry._entries), dict(registry._loaded_files)
    yield
    for current, before in ((registry._entries, entries), (registry._loaded_files, files)):
        current.clear()
        current.update(before)


@pytest.fixture(autouse=True)
def _policy():
    """Each test starts in float32, and so do shared fixtures, whatever a run before has set."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def import_benchmark(name):
    """A module of the folder `benchmarks`, which is a script rather than a part of the package; its neighbors can import each other."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
