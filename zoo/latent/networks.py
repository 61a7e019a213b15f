"""The network behind a model's samples, and the places of its graph at which latent vectors and labels enter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor

from zoo.core import Game
from zoo.errors import UserError

LATENT, LABEL = "latent", "label"  # inputs of a generator
MAX_BATCH = 64  # samples that are generated at once
MAX_VALUES = 2**22  # pixels times channels of these samples
Inputs = Mapping[str, tf.Tensor]


def require_images(model: Game) -> None:
    """Raises UserError if a model does not generate images from random noise."""
    if not model.generates_from_noise:
        raise UserError("this is an image-to-image model, which cannot generate from random noise")
    if model.modality.key != "image":
        raise UserError(f"this model generates {model.modality.describe_shape(model.config)}; models of images are supported")


def require_generator(model: Game) -> None:
    """Raises UserError if a model does not generate images from random noise by a generator network."""
    require_images(model)
    if not model.generator:
        raise UserError("this model has no generator: its samples are drawn from the energy function of a discriminator")


class StandIn:
    """Stands in for a generator in `Game.generate_from`: each call of the network, or of one nested in it, becomes a call of a function.

    Args:
        network: The generator.
        function: Called with the network and its inputs by name.
    """

    def __init__(self, network: keras.Model, function: Callable[[keras.Model, Inputs], Any]) -> None:
        self.network, self.function = network, function

    def __call__(self, inputs: Inputs, training: bool = False) -> Any:
        return self.function(self.network, inputs)

    def get_layer(self, name: str) -> StandIn:
        """The stand-in for a nested network."""
        return StandIn(self.network.get_layer(name), self.function)


@dataclasses.dataclass(frozen=True)
class GeneratorCall:
    """The network that turns latent vectors into samples, and what it is called with.

    Attributes:
        network: The EMA generator, or the decoder that is nested in it.
        inputs: Input -> its values for one sample, [1, ...].
    """

    network: keras.Model
    inputs: dict[str, tf.Tensor]

    @classmethod
    def trace(cls, model: Game) -> GeneratorCall:
        """Finds the network by generating one sample.

        Raises:
            UserError: The model does not generate images from noise, or samples without a generator.
        """
        require_generator(model)
        calls: list[GeneratorCall] = []

        def record(network: keras.Model, inputs: Inputs) -> Any:
            calls.append(cls(network, dict(inputs)))
            return network(inputs, training=False)

        conditions = {name: tf.zeros([1], tf.int64) for name in model.conditions}
        model.generate_from(StandIn(model.ema_generator, record), tf.zeros([1, model.config.latent_dim]), **conditions)
        call = next((call for call in calls if LATENT in call.inputs), None)
        if call is None:
            raise UserError(f"the generator of this model has no input named {LATENT}")
        return call

    def input(self, name: str) -> KerasTensor:
        """The symbolic input of a name."""
        return next(tensor for tensor in self.network.inputs if tensor.name == name)

    def evaluate(self, tensors: Sequence[KerasTensor], **inputs: tf.Tensor) -> list[tf.Tensor]:
        """The values of tensors of the graph.

        Args:
            tensors: The symbolic tensors.
            **inputs: Values of some inputs, [n, ...]; others have those of the recorded call.
        """
        rows = len(next(iter(inputs.values())))
        values = [inputs[one.name] if one.name in inputs else tf.repeat(self.inputs[one.name], rows, axis=0) for one in self.network.inputs]
        return keras.tree.flatten(keras.Model(self.network.inputs, list(tensors))(values, training=False))  # also if it is a single one


def nodes(network: keras.Model) -> Iterator[Any]:
    """The calls of layers and operations of a functional network, in an order in which they can be computed."""
    for depth in sorted(network._nodes_by_depth, reverse=True):
        yield from (node for node in network._nodes_by_depth[depth] if not node.is_input)


def find_first_layers(call: GeneratorCall) -> list[tuple[keras.layers.Layer, KerasTensor]]:
    """The layers with weights that act on the latent vector first, each with its input.

    They may follow operations without weights: one that splits the latent vector, normalizes it, or appends a label to it.

    Raises:
        UserError: The latent vector enters a layer that is not a function of one tensor.
    """
    direct, first = {id(call.input(LATENT))}, []
    for node in nodes(call.network):
        if not any(id(tensor) in direct for tensor in node.input_tensors):
            continue
        if not getattr(node.operation, "weights", ()):
            direct.update(id(tensor) for tensor in node.outputs)
        elif len(node.input_tensors) == 1 and not isinstance(node.operation, keras.Model):
            first.append((node.operation, node.input_tensors[0]))
        else:
            raise UserError(f"the latent vector of this model enters {node.operation.name}, which is not a dense or convolutional layer")
    return first


def find_hidden_features(call: GeneratorCall, layer: str | None = None) -> tuple[KerasTensor, str]:
    """The activations whose principal components are directions, and the name of their layer.

    Args:
        call: The generator.
        layer: Name of a layer; None: the last one at the lowest resolution, or the last hidden layer of a perceptron.

    Raises:
        UserError: There is no such layer, or it does not depend on the latent vector.
    """
    candidates: list[tuple[KerasTensor, str]] = []
    dependent = {id(call.input(LATENT))}
    for node in nodes(call.network):
        if any(id(tensor) in dependent for tensor in node.input_tensors):
            dependent.update(id(tensor) for tensor in node.outputs)
            candidates.append((node.outputs[0], node.operation.name))
    if layer is not None:
        chosen = [candidate for candidate in candidates if candidate[1] == layer]
        if not chosen:
            names = ", ".join(dict.fromkeys(name for _, name in candidates))
            raise UserError(f"layer {layer}: not a layer of the generator that depends on the latent vector. Available: {names}")
        return chosen[-1]
    height, width, channels = call.network.outputs[0].shape[1:] if len(call.network.outputs[0].shape) == 4 else (1, 1, 0)
    maps = [one for one in candidates if len(one[0].shape) == 4 and 1 < math.prod(one[0].shape[1:3]) < height * width]
    if maps:
        smallest = min(math.prod(tensor.shape[1:3]) for tensor, _ in maps)
        return [one for one in maps if math.prod(one[0].shape[1:3]) == smallest][-1]
    hidden = [one for one in candidates if len(one[0].shape) == 2 and one[0].shape[1] != height * width * channels]
    return (hidden or candidates)[-1]


class MixedLabels:
    """A stand-in function (see `StandIn`) whose labels are mixtures of classes: the vectors that a network looks up are mixed.

    What a generator computes from the label alone, such as its one-hot encoding or a row of an embedding, is a vector per class. A mixture
    has the weighted mean of these vectors, and a one-hot weight gives exactly the samples of that class.

    Args:
        model: The model.

    Raises:
        UserError: The generator does not take a label, or it does not look up vectors by it.
    """

    def __init__(self, model: Game) -> None:
        if model.conditions != [LABEL]:
            raise UserError("this model is not class-conditional, so its samples have no classes to interpolate between")
        self.call = GeneratorCall.trace(model)
        vectors = self._find_vectors()
        labels = keras.Model(self.call.input(LABEL), vectors)
        self.tables = keras.tree.flatten(labels(tf.range(model.config.num_classes, dtype=tf.int64), training=False))
        self.others = [tensor for tensor in self.call.network.inputs if tensor.name != LABEL]
        self.network = keras.Model([*self.others, *vectors], self.call.network.output)

    def _find_vectors(self) -> list[KerasTensor]:
        """The vectors that are looked up by the label: the first floats that depend on it."""
        vectors, integers = [], {id(self.call.input(LABEL))}
        for node in nodes(self.call.network):
            uses = [id(tensor) in integers for tensor in node.input_tensors]
            if not any(uses):
                continue
            if not all(uses):
                raise UserError(
                    f"the generator of this model does not look up a vector by the label ({node.operation.name}), so it cannot interpolate "
                    "between classes; give one class"
                )
            for output in node.outputs:
                if keras.backend.is_float_dtype(output.dtype):
                    vectors.append(output)
                else:
                    integers.add(id(output))
        return vectors

    def __call__(self, network: keras.Model, inputs: Inputs) -> Any:
        """The network's output, for inputs in which the label is a matrix of weights, float32 [n, num_classes]."""
        mixed = [tf.tensordot(inputs[LABEL], table, 1) for table in self.tables]
        return self.network([*(inputs[tensor.name] for tensor in self.others), *mixed], training=False)


class Sampler:
    """Generates images from latent vectors, in batches.

    Args:
        model: The model.
        mixes_labels: Whether labels are mixtures: float32 [n, num_classes] in the place of int64 [n].
    """

    def __init__(self, model: Game, mixes_labels: bool = False) -> None:
        require_images(model)
        network = StandIn(model.ema_generator, MixedLabels(model)) if mixes_labels else model.ema_generator

        def generate(latent: tf.Tensor, conditions: dict[str, tf.Tensor]) -> tf.Tensor:
            return model.modality.to_external(model.generate_from(network, latent, **conditions))

        self.generate = tf.function(generate, autograph=False, reduce_retracing=True)
        self.batch_size = max(1, min(MAX_BATCH, MAX_VALUES // math.prod(model.modality.sample_shape(model.config))))

    def __call__(self, latent: np.ndarray, **conditions: np.ndarray) -> Iterator[np.ndarray]:
        """Yields images in batches, float32 [m, h, w, c] in [0, 1].

        Args:
            latent: float32 [n, latent_dim].
            **conditions: One value per row.
        """
        for i in range(0, len(latent), self.batch_size):
            rows = slice(i, i + self.batch_size)
            yield self.generate(tf.constant(latent[rows]), {name: tf.constant(values[rows]) for name, values in conditions.items()}).numpy()
