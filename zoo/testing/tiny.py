"""Tiny models, random data of the kind that they need, and short trainings."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo import data, registry
from zoo.core import Game, ImageConfig
from zoo.data.pictures import pack_shapes
from zoo.precision import dtype_policy
from zoo.serving.saved_model import export_model
from zoo.training.loop import phases

BASE_SETTINGS = {
    "batch_size": 4,
    "latent_dim": 8,
    "num_classes": 3,
    "steps": 4,
    "eval_every": 2,
    "discriminator_steps": 1,
    "gradient_accumulation": 1,
}
NUM_EXAMPLES = 24
Weights = list[np.ndarray]


def build_model(name: str, **settings: Any) -> Game:
    """A compiled model whose initial weights are a function of its name: small, on 16x16 images if it is a model of images.

    Args:
        name: A registered name.
        **settings: Fields of its configuration; see `BASE_SETTINGS` for the defaults.
    """
    with dtype_policy():
        keras.utils.clear_session()  # layers are named as in a process of its own: TensorFlow orders sums by names
    keras.utils.set_random_seed(1)
    config, defaults = registry.get_entry(name).config, dict[str, Any](BASE_SETTINGS)
    if isinstance(config, ImageConfig):
        defaults["image_shape"] = (16, 16, (config.image_shape or (0, 0, 1))[-1])
    model = registry.create(name, **{**defaults, **settings})
    model.compile(jit_compile=False)
    return model


def random_source(model: Game, count: int = NUM_EXAMPLES) -> Any:
    """Random data of the kind a model needs, as it sees them: images of its shape or samples of its modality, with a class and a pose."""
    config, keys, draw = model.config, model.batch_keys, np.random.RandomState(0)
    if model.modality.key != "image":
        return model.prepare_data(config, RandomSamples.draw(model, count, draw))
    if "picture" in keys:
        *_, channels = config.image_shape
        pictures = _random_examples(model, keys, count, draw, (20, 24, channels), data.Pictures)
        source: Any = dataclasses.replace(pictures, image_shape=(None, None, channels))
    elif keys == ("x", "y"):
        x, y = (_random_examples(model, ("image",), count, draw) for _ in keys)
        source = data.Domains("random", "0", x, y, paired=("test",))
    elif "pose" in keys:
        source = dataclasses.replace(_random_examples(model, keys, count, draw), pose_names=tuple(map(str, range(config.num_poses))))
    else:
        source = _random_examples(model, keys, count, draw)
    return model.prepare_data(config, source)


def _random_examples(
    model: Game, keys: tuple[str, ...], count: int, draw: np.random.RandomState, shape: Any = None, kind: type = data.Source
) -> Any:
    """A source whose train and test splits are the same random arrays."""
    config = model.config
    classes = config.num_classes if "label" in model.batch_keys else None
    shape = shape or config.image_shape
    arrays = {key: draw.randint(0, 256, (count, *shape)).astype(np.uint8) for key in keys if key in ("image", "x", "y", "picture")}
    poses = config.num_poses if "pose" in keys else 1
    numbers = {"label": draw.randint(0, classes or 1, count), "pose": np.arange(count) % poses, "pair": np.arange(count)}
    arrays |= {key: numbers[key] for key in keys if key in numbers}
    if kind is data.Pictures:
        arrays = {"pixels": arrays["picture"].ravel(), **pack_shapes(np.tile(np.int64(shape), (count, 1)))}
    return kind(
        name="random",
        version="0",
        image_shape=config.image_shape,
        sizes={"train": count, "test": count},
        class_names=classes and tuple(map(str, range(classes))),
        load=lambda split: arrays,
        keys=tuple(keys),
    )


@dataclasses.dataclass
class RandomSamples:
    """Random samples of any modality in internal form, as a source of endless batches.

    Attributes:
        arrays: Key of the model -> values of all examples.
    """

    arrays: dict[str, np.ndarray]

    @classmethod
    def draw(cls, model: Game, count: int, draw: np.random.RandomState) -> RandomSamples:
        """Draws float32 samples, uniform in [-1, 1], and int64 labels if the model needs them."""
        samples = draw.uniform(-1, 1, (count, *model.modality.sample_shape(model.config))).astype(np.float32)
        arrays: dict[str, np.ndarray] = {model.modality.key: samples, "label": draw.randint(0, model.config.num_classes, count)}
        return cls({key: arrays[key] for key in model.batch_keys})

    def batches(
        self, batch_size: int, seed: int = 0, start: int = 0, split: str = "train", positions: Sequence[int] | None = None
    ) -> tf.data.Dataset:
        """Batches that are a function of the seed and their number; see `zoo.data.Source.batches`."""
        count = len(next(iter(self.arrays.values())))

        def gather(number: tf.Tensor) -> dict[str, tf.Tensor]:
            rows = tf.random.stateless_uniform([batch_size], [seed, number], 0, count, tf.int32)
            rows = rows if positions is None else tf.gather(rows, positions)
            return {key: tf.gather(values, rows) for key, values in self.arrays.items()}

        return tf.data.Dataset.range(start, 2**62).map(gather)


def train_steps(model: Game, start: int, steps: int) -> dict[str, list[float]]:
    """Trains on the model's random data for some steps, from step `start` on; returns Keras' histories, joined."""
    config = model.config
    history: dict[str, list[float]] = {}
    for first, length, count, _ in phases(start, start + steps, start + steps, 1, model.config.stage_boundaries):
        stream = random_source(model).batches(config.batch_size * config.discriminator_steps, config.seed, first)
        result = model.fit(stream, steps_per_epoch=length, epochs=count, verbose=0, shuffle=False, callbacks=model.callbacks())
        for name, values in result.history.items():
            history.setdefault(name, []).extend(values)
    return history


def weights(network: keras.Model) -> Weights:
    """The values of a network's weights."""
    return [keras.ops.convert_to_numpy(weight) for weight in network.weights]


@dataclasses.dataclass
class TrainedModel:
    """A tiny model after four steps.

    Attributes:
        name: As registered.
        settings: That it was built with.
        model: The model.
        start: The weights of each network before training: `g`, `d` and `ema`.
        history: Of all that was logged, a value per epoch.
        checkpoint: Path of the checkpoint after two steps.
        traces: How often the training step was traced.
        folder: Temporary folder of what is made from it.
    """

    name: str
    settings: dict[str, Any]
    model: Game
    start: dict[str, Weights]
    history: dict[str, list[float]]
    checkpoint: str
    traces: int
    folder: tempfile.TemporaryDirectory

    @classmethod
    def train(cls, name: str, **settings: Any) -> TrainedModel:
        """Builds and trains the model."""
        model, folder = build_model(name, **settings), tempfile.TemporaryDirectory(prefix="zoo-testing-")
        start = {key: weights(network) for key, network in {**model.players, "ema": model.ema_generator}.items()}
        step, traces = model.train_step, list[int]()

        def counting_step(batch: Any) -> Any:
            traces.append(1)
            return step(batch)

        model.train_step = counting_step  # type: ignore[method-assign, assignment]
        train_steps(model, 0, 2)
        checkpoint = tf.train.Checkpoint(model=model).write(str(Path(folder.name) / "two"))
        history = train_steps(model, 2, 2)
        return cls(name, settings, model, start, history, checkpoint, len(traces), folder)

    def rebuild(self, **settings: Any) -> Game:
        """The same model, untrained, with some settings changed."""
        return build_model(self.name, **{**self.settings, **settings})

    @functools.cached_property
    def version(self) -> Path:
        """Its export."""
        return export_model(self.model, Path(self.folder.name) / "export")

    @functools.cached_property
    def served(self) -> Any:
        """The signatures of its export, as TensorFlow loads them."""
        return tf.saved_model.load(str(self.version)).signatures
