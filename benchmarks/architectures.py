"""What `throughput.py` times: four architectures of the zoo, with the losses written once for TensorFlow and PyTorch.

The networks of the comparison are those of the zoo, layer by layer: `describe_network` turns a network of the zoo into plain data, from
which `torch_styles.py` builds the same one without TensorFlow, and `keras_styles.py` clones it with Keras' own layers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

Batch = dict[str, Any]  # key -> tensor


class Framework(Protocol):
    """The operations in which TensorFlow and PyTorch differ."""

    def call(self, network: Any, inputs: Batch) -> Any:
        """The output of a network in training, for those of the inputs that it takes."""

    def mean(self, x: Any) -> Any: ...

    def relu(self, x: Any) -> Any: ...

    def softplus(self, x: Any) -> Any: ...

    def normal(self, *shape: int) -> Any: ...


class Game(NamedTuple):
    """How the networks play; the losses are those of the zoo's model.

    Attributes:
        generate: (framework, generator, batch) -> fake samples by key.
        discriminator_loss: (framework, discriminator, batch, fake) -> scalar; None without a discriminator.
        generator_loss: (framework, generator, discriminator, batch, fake) -> scalar.
        from_noise: Whether the generator's input is noise, which the Keras examples resample for the generator's update.
    """

    generate: Callable[..., Batch]
    discriminator_loss: Callable[..., Any] | None
    generator_loss: Callable[..., Any]
    from_noise: bool = True


def generate_from_noise(framework: Framework, generator: Any, batch: Batch) -> Batch:
    return {"image": framework.call(generator, {**batch, "latent": framework.normal(batch["image"].shape[0], LATENT_DIM)})}


def non_saturating() -> Game:
    """GAN with the non-saturating loss."""

    def discriminator_loss(framework: Framework, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        real_logits, fake_logits = framework.call(discriminator, batch), framework.call(discriminator, fake)
        return framework.mean(framework.softplus(-real_logits)) + framework.mean(framework.softplus(fake_logits))

    def generator_loss(framework: Framework, generator: Any, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        return framework.mean(framework.softplus(-framework.call(discriminator, fake)))

    return Game(generate_from_noise, discriminator_loss, generator_loss)


def conditional_hinge() -> Game:
    """Class-conditional GAN with the hinge loss."""

    def discriminator_loss(framework: Framework, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        real_logits, fake_logits = framework.call(discriminator, batch), framework.call(discriminator, {**batch, **fake})
        return framework.mean(framework.relu(1 - real_logits)) + framework.mean(framework.relu(1 + fake_logits))

    def generator_loss(framework: Framework, generator: Any, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        return -framework.mean(framework.call(discriminator, {**batch, **fake}))

    return Game(generate_from_noise, discriminator_loss, generator_loss)


def cycle_consistent() -> Game:
    """CycleGAN with its identity loss; without the replay buffer, which only the zoo's model has."""

    def discriminator_loss(framework: Framework, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        real_logits, fake_logits = framework.call(discriminator, batch), framework.call(discriminator, fake)
        return sum(framework.mean((real_logits[key] - 1) ** 2) + framework.mean(fake_logits[key] ** 2) for key in "xy") / 2

    def generator_loss(framework: Framework, generator: Any, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        logits, cycled = framework.call(discriminator, fake), framework.call(generator, fake)
        same = framework.call(generator, {"x": batch["y"], "y": batch["x"]})
        adversarial = sum(framework.mean((logits[key] - 1) ** 2) for key in "xy")
        cycle = sum(framework.mean(abs(cycled[key] - batch[key])) for key in "xy")
        identity = sum(framework.mean(abs(same[key] - batch[key])) for key in "xy")
        return adversarial + 10 * cycle + 5 * identity

    return Game(lambda framework, generator, batch: framework.call(generator, batch), discriminator_loss, generator_loss, False)


def squared_error() -> Game:
    """Super-resolution with the mean squared error."""

    def generate(framework: Framework, generator: Any, batch: Batch) -> Batch:
        return {"high": framework.call(generator, batch)}

    def generator_loss(framework: Framework, generator: Any, discriminator: Any, batch: Batch, fake: Batch) -> Any:
        return framework.mean((fake["high"] - batch["high"]) ** 2)

    return Game(generate, None, generator_loss, False)


class Architecture(NamedTuple):
    """A model of the zoo whose step is timed.

    Attributes:
        model: Its name.
        overrides: Fields of its configuration.
        shapes: Shape of an example by key of a training batch; () for labels.
        game: What it trains.
        steps: Steps of one measurement.
        failing: Style that fails on this architecture -> why.
    """

    model: str
    overrides: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    game: Game
    steps: int = 8
    failing: Mapping[str, str] = MappingProxyType({})

    def config(self) -> Any:
        """The resolved configuration of the zoo's model."""
        from zoo import registry

        return registry.get_entry(self.model).configure(**self.overrides).resolve()

    def batch(self) -> Batch:
        """A batch of noise: images in [-1, 1] and labels, NumPy arrays."""
        import numpy as np

        rng, rows = np.random.default_rng(0), self.overrides["batch_size"]
        return {
            key: rng.uniform(-1, 1, (rows, *shape)).astype(np.float32) if shape else rng.integers(0, 10, rows)
            for key, shape in self.shapes.items()
        }


LATENT_DIM = 100
TRANSLATION = {
    "image_shape": (64, 64, 3),
    "width": 32,
    "blocks": 6,
    "discriminator_width": 64,
    "patch_layers": 3,
    "jitter": 0,
    "flip": False,
}
DOMAINS = {"x": (64, 64, 3), "y": (64, 64, 3)}
ARCHITECTURES = {
    "DCGAN, 28x28, batch 128": Architecture(
        "dcgan",
        {"image_shape": (28, 28, 1), "width": 64, "output_bias": False, "batch_size": 128, "latent_dim": LATENT_DIM},
        {"image": (28, 28, 1)},
        non_saturating(),
    ),
    "CycleGAN, 64x64, batch 1": Architecture("cyclegan", {**TRANSLATION, "batch_size": 1}, DOMAINS, cycle_consistent()),
    "CycleGAN, 64x64, batch 4": Architecture("cyclegan", {**TRANSLATION, "batch_size": 4}, DOMAINS, cycle_consistent()),
    "SRResNet, crops of 96x96, batch 16": Architecture(
        "srresnet_96", {"batch_size": 16}, {"high": (96, 96, 3), "low": (24, 24, 3)}, squared_error(), steps=4
    ),
    "SNGAN with projection, 32x32, batch 64": Architecture(
        "sngan_projection",
        {"image_shape": (32, 32, 3), "generator_width": 64, "discriminator_width": 64, "batch_size": 64, "latent_dim": LATENT_DIM},
        {"image": (32, 32, 3), "label": ()},
        conditional_hinge(),
        steps=4,
        failing={"PyTorch, compiled": "spectral normalization updates buffers in place, which the gradient of a compiled network refuses"},
    ),
}


# -- descriptions ------------------------------------------------------------------------------------------------------

PLAIN_TYPES = (bool, int, float, str, list, tuple)  # of the settings of layers that a description keeps


class Node(NamedTuple):
    """An operation of a network.

    Attributes:
        kind: Name of the class of the Keras layer or operation.
        config: Its configuration.
        layer: Number of the layer, equal for calls of the same one.
        weights: Its weights, NumPy arrays.
        network: The description of a nested network.
        inputs: Its arguments; tensors are replaced by `Tensor`.
        output: Its output, likewise.
    """

    kind: str
    config: dict[str, Any]
    layer: int
    weights: list[Any]
    network: Description | None
    inputs: Any
    output: Any


class Tensor(NamedTuple):
    """A tensor of a network, by number, with its shape without the batch axis."""

    number: int
    shape: tuple[int | None, ...]


class Description(NamedTuple):
    """A network as plain data: its operations in the order of their calls."""

    inputs: dict[str, Tensor]
    nodes: list[Node]
    output: Any


def describe_network(network: Any) -> Description:
    """The operations of a functional Keras model, with its weights."""
    import keras

    nodes: list[Node] = []
    numbers: dict[int, int] = {}  # id of a symbolic tensor -> its number
    layers: dict[int, int] = {}
    symbolic_tensors: list[Any] = []  # symbolic tensors, whose ids must stay theirs

    def replace(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        symbolic_tensors.append(value)
        return Tensor(numbers.setdefault(id(value), len(numbers)), tuple(value.shape[1:]))

    def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
        output = operation(*args, **kwargs)
        is_layer, is_network = isinstance(operation, keras.Layer), isinstance(operation, keras.Model)
        config = {} if is_network else operation.get_config() if is_layer else {"axis": getattr(operation, "axis", None)}
        nodes.append(
            Node(
                type(operation).__name__,
                {key: json.loads(json.dumps(value)) for key, value in config.items() if isinstance(value, PLAIN_TYPES)},
                layers.setdefault(id(operation), len(layers)),
                [keras.ops.convert_to_numpy(weight) for weight in operation.weights] if is_layer and not is_network else [],
                describe_network(operation) if is_network else None,
                keras.tree.map_structure(replace, args),
                keras.tree.map_structure(replace, output),
            )
        )
        return output

    clone = keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=record)
    inputs = {tensor.name: replace(tensor) for tensor in clone.inputs}
    return Description(inputs, nodes, keras.tree.map_structure(replace, clone.output))


def describe(architecture: Architecture) -> tuple[dict[str, Description], dict[str, Any]]:
    """The networks of the zoo's model, and the settings of its optimizers."""
    import zoo

    model = zoo.create(architecture.model, **architecture.overrides)
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    config = model.config
    settings = {
        "betas": (config.beta_1, config.beta_2),
        "rates": {"generator": config.generator_learning_rate, "discriminator": config.discriminator_learning_rate},
    }
    return {name: describe_network(network) for name, network in networks.items() if network}, settings
