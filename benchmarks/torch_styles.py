"""The styles of PyTorch that `throughput.py` times. TensorFlow is not imported: networks come from descriptions; see `architectures.py`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from architectures import Architecture, Batch, Description, Node, Tensor
from styles import Trainer
from torch import nn
from torch.nn import functional as F


class Network(nn.Module):
    """A network of a description, with its weights. Feature maps are [n, channels, height, width].

    Args:
        description: The network.
        exact: Whether odd padding is at the bottom and right, as in TensorFlow. By default it is what PyTorch's layers can do by
            themselves and costs nothing: equal on both sides, which shifts feature maps by a pixel.
    """

    def __init__(self, description: Description, exact: bool = False) -> None:
        super().__init__()
        self.description = description
        modules: dict[str, nn.Module] = {}
        self.calls: list[tuple[Callable[..., Any], Node]] = []
        for node in description.nodes:
            operation: Callable[..., Any]
            if node.network or node.kind in MODULES:
                name = f"layer_{node.layer}"
                if name not in modules:
                    modules[name] = Network(node.network, exact) if node.network else MODULES[node.kind](node, exact)
                operation = modules[name]
            else:
                operation = FUNCTIONS[node.kind](node)
            self.calls.append((operation, node))
        self.layers = nn.ModuleDict(modules)
        self.input_names = tuple(description.inputs)

    def forward(self, inputs: Batch) -> Any:
        values = {tensor.number: inputs[name] for name, tensor in self.description.inputs.items()}
        for operation, node in self.calls:
            arguments = (resolve(argument, values) for argument in node.inputs)
            assign(node.output, operation(*arguments), values)
        return resolve(self.description.output, values)


def resolve(structure: Any, values: dict[int, torch.Tensor]) -> Any:
    """A structure with its tensors by their values."""
    if isinstance(structure, Tensor):
        return values[structure.number]
    if isinstance(structure, dict):
        return {key: resolve(value, values) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [resolve(value, values) for value in structure]
    return structure


def assign(structure: Any, output: Any, values: dict[int, torch.Tensor]) -> None:
    """Stores an output under the numbers of its tensors."""
    if isinstance(structure, Tensor):
        values[structure.number] = output
        return
    for key, part in structure.items():
        assign(part, output[key], values)


# -- layers ------------------------------------------------------------------------------------------------------------


def load(module: nn.Module, **weights: Any) -> nn.Module:
    """A module with the given weights: NumPy arrays by the names of its parameters and buffers."""
    state = {name: torch.tensor(value.copy(), dtype=torch.float32) for name, value in weights.items()}
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected and not [name for name in missing if name != "num_batches_tracked"], (missing, unexpected)
    return module


def square(value: Any) -> int:
    """The side of a square kernel or stride."""
    height, width = value if isinstance(value, (list, tuple)) else (value, value)
    assert height == width, value
    return height


def kernel_first(kernel: Any) -> Any:
    """A kernel [height, width, a, b] as [b, a, height, width]."""
    return kernel.transpose(3, 2, 0, 1)


def total_padding(side: int | None, kernel: int, strides: int) -> int:
    """Rows or columns that "same" padding adds to feature maps with a side of that length (None: any multiple of the strides)."""
    remainder = side % strides if side else 0
    return max(kernel - (remainder or strides), 0)


def convolution(node: Node, exact: bool) -> nn.Module:
    """A convolution, with "same" or no padding."""
    kernel, *rest = node.weights
    strides, padding = square(node.config["strides"]), []
    total = total_padding(node.inputs[0].shape[0], len(kernel), strides) if node.config.get("padding", "same") == "same" else 0
    if exact and total % 2:
        padding = [nn.ZeroPad2d((total // 2, -(-total // 2)) * 2)]
        total = 0
    module = nn.Conv2d(*kernel.shape[2:], len(kernel), strides, -(-total // 2), bias=node.config["use_bias"])
    load(module, weight=kernel_first(kernel), **({"bias": rest[0]} if node.config["use_bias"] else {}))
    return nn.Sequential(*padding, module) if padding else module


def transposed_convolution(node: Node, exact: bool) -> nn.Module:
    """A transposed convolution of stride 2 with "same" padding, which doubles both sides."""
    kernel, *rest = node.weights
    side, excess = len(kernel), len(kernel) - 2
    outputs, inputs = kernel.shape[2:]
    padding = (0, 0) if exact and excess % 2 else (-(-excess // 2), excess % 2)
    module = nn.ConvTranspose2d(inputs, outputs, side, 2, *padding, bias=node.config["use_bias"])
    load(module, weight=kernel_first(kernel), **({"bias": rest[0]} if node.config["use_bias"] else {}))
    before, after = excess // 2, -(-excess // 2)
    return nn.Sequential(module, nn.ZeroPad2d((-before, -after) * 2)) if exact and excess % 2 else module


def dense(node: Node, exact: bool) -> nn.Module:
    """A dense layer."""
    kernel, *rest = node.weights
    module = nn.Linear(*kernel.shape, bias=node.config["use_bias"])
    return load(module, weight=kernel.T, **({"bias": rest[0]} if node.config["use_bias"] else {}))


def embedding(node: Node, exact: bool) -> nn.Module:
    return load(nn.Embedding(*node.weights[0].shape), weight=node.weights[0])


def spectral(build: Callable[[Node, bool], nn.Module]) -> Callable[[Node, bool], nn.Module]:
    """The module of a layer, with spectral normalization."""

    def build_normalized(node: Node, exact: bool) -> nn.Module:
        kernel, *bias, _ = node.weights  # the last is the singular vector
        return nn.utils.parametrizations.spectral_norm(build(node._replace(weights=[kernel, *bias]), exact))

    return build_normalized


def batch_norm(node: Node, exact: bool) -> nn.Module:
    names = ["weight"] * node.config["scale"] + ["bias"] * node.config["center"] + ["running_mean", "running_var"]
    channels, momentum, epsilon = len(node.weights[-1]), 1 - node.config["momentum"], node.config["epsilon"]
    module = nn.BatchNorm2d(channels, epsilon, momentum, affine=node.config["scale"])
    return load(module, **dict(zip(names, node.weights, strict=True)))


def instance_norm(node: Node, exact: bool) -> nn.Module:
    assert not node.config["affine"]
    return nn.InstanceNorm2d(node.inputs[0].shape[-1], node.config["epsilon"])


def prelu(node: Node, exact: bool) -> nn.Module:
    return load(nn.PReLU(node.weights[0].size), weight=node.weights[0].ravel())


MODULES: dict[str, Callable[[Node, bool], nn.Module]] = {
    "BatchNorm": batch_norm,
    "BlockConv2D": convolution,
    "Conv2D": convolution,
    "Conv2DTranspose": transposed_convolution,
    "Dense": dense,
    "Embedding": embedding,
    "InstanceNorm": instance_norm,
    "PReLU": prelu,
    "SpectralConv2D": spectral(convolution),
    "SpectralDense": spectral(dense),
    "SpectralEmbedding": spectral(embedding),
}


# -- functions without weights -----------------------------------------------------------------------------------------


def activation(node: Node) -> Callable[..., Any]:
    functions = {"linear": lambda x: x, "relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
    return functions[node.config["activation"]]


def add(node: Node) -> Callable[..., Any]:
    return lambda *terms: sum_of(terms[0] if len(terms) == 1 else terms)


def sum_of(terms: Any) -> Any:
    first, *others = terms
    for other in others:
        first = first + other
    return first


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Features [n, h, w, c] of feature maps; other tensors as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def reshape(node: Node) -> Callable[..., Any]:
    shape = node.config["target_shape"]

    def to_shape(x: torch.Tensor) -> torch.Tensor:
        x = channels_last(x).reshape(len(x), *shape)
        return x.permute(0, 3, 1, 2) if len(shape) == 3 else x

    return to_shape


def crop(node: Node) -> Callable[..., Any]:
    (top, bottom), (left, right) = node.config["cropping"]
    return lambda x: F.pad(x, (-left, -right, -top, -bottom))


def zero_padding(node: Node) -> Callable[..., Any]:
    (top, bottom), (left, right) = node.config["padding"]
    return lambda x: F.pad(x, (left, right, top, bottom))


def summation(node: Node) -> Callable[..., Any]:
    assert tuple(node.config["axis"]) == (1, 2)
    return lambda x: x.sum((2, 3))


FUNCTIONS: dict[str, Callable[[Node], Callable[..., Any]]] = {
    "Activation": activation,
    "Add": add,
    "AveragePooling2D": lambda node: lambda x: F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False),
    "Cropping2D": crop,
    "Dot": lambda node: lambda pair: (pair[0] * pair[1]).sum(-1, keepdim=True),
    "Flatten": lambda node: lambda x: channels_last(x).flatten(1),
    "LeakyReLU": lambda node: lambda x: F.leaky_relu(x, node.config["negative_slope"]),
    "Multiply": lambda node: lambda a, b: a * b,
    "PixelShuffle": lambda node: depth_to_space,
    "ReLU": lambda node: F.relu,
    "ReflectionPadding": lambda node: lambda x: F.pad(x, (node.config["margin"],) * 4, mode="reflect"),
    "Rescaling": lambda node: lambda x: x * node.config["scale"] + node.config["offset"],
    "Reshape": reshape,
    "Squeeze": lambda node: lambda x: x.squeeze(node.config["axis"]),
    "Sum": summation,
    "Upsample2D": lambda node: lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "ZeroPadding2D": zero_padding,
}
SHUFFLE_BLOCK = 2


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """`PixelShuffle` of the zoo, whose channels are ordered by their place in the block first; PyTorch's by the output channel."""
    n, channels, height, width = x.shape
    x = x.reshape(n, SHUFFLE_BLOCK**2, channels // SHUFFLE_BLOCK**2, height, width).transpose(1, 2)
    return F.pixel_shuffle(x.reshape(n, channels, height, width), SHUFFLE_BLOCK)


# -- training ----------------------------------------------------------------------------------------------------------


class Torch:
    """The operations of `architectures.Framework`; networks run with autocast if bfloat16 is requested."""

    def __init__(self, bfloat16: bool) -> None:
        self.bfloat16 = bfloat16

    def call(self, network: Any, inputs: Batch) -> Any:
        context = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()
        with context:
            output = network(inputs)
        return {key: value.float() for key, value in output.items()} if isinstance(output, dict) else output.float()

    mean = staticmethod(torch.mean)
    relu = staticmethod(F.relu)
    softplus = staticmethod(F.softplus)
    normal = staticmethod(torch.randn)


def build(architecture: Architecture, described: tuple[Any, Any], bfloat16: bool = False, compiled: bool = False) -> Trainer:
    """The usual training loop: fake samples are generated once per step, and both players have an Adam optimizer.

    Args:
        architecture: What is trained.
        described: Its networks and the settings of the optimizers, from `architectures.describe`.
        bfloat16: Mixed precision (autocast) and the memory format channels_last, instead of float32.
        compiled: Whether the networks are compiled by `torch.compile`.
    """
    descriptions, settings = described
    networks = {name: Network(description) for name, description in descriptions.items()}
    memory_format = torch.channels_last if bfloat16 else torch.contiguous_format
    networks = {name: network.to(memory_format=memory_format) for name, network in networks.items()}
    optimizers = {
        name: torch.optim.Adam(network.parameters(), settings["rates"][name], settings["betas"]) for name, network in networks.items()
    }
    players = {name: torch.compile(network) for name, network in networks.items()} if compiled else networks
    batch = {
        key: torch.tensor(value if value.ndim < 4 else value.transpose(0, 3, 1, 2).copy()) for key, value in architecture.batch().items()
    }
    batch = {key: value.contiguous(memory_format=memory_format) if value.ndim == 4 else value for key, value in batch.items()}
    train_step = make_train_step(architecture.game, Torch(bfloat16), players, optimizers, batch)
    steps = 1 if bfloat16 else architecture.steps  # a step takes seconds on a CPU without bfloat16 units

    def time_steps() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            train_step()
        return (time.perf_counter() - start) / steps

    counts = {name: sum(math.prod(p.shape) for p in network.parameters()) for name, network in networks.items()}
    return Trainer("bfloat16" if bfloat16 else "float32", networks, counts, time_steps)


def make_train_step(
    game: Any, framework: Torch, players: dict[str, Any], optimizers: dict[str, torch.optim.Optimizer], batch: Batch
) -> Callable[[], None]:
    """One update of the discriminator, if there is one, and one of the generator, which share the generated samples."""
    generator, discriminator = players["generator"], players.get("discriminator")

    def update(player: str, loss: torch.Tensor) -> None:
        optimizers[player].zero_grad()
        loss.backward()
        optimizers[player].step()

    def train_step() -> None:
        fake = game.generate(framework, generator, batch)
        if discriminator is not None:
            constants = {key: value.detach() for key, value in fake.items()}
            update("discriminator", game.discriminator_loss(framework, discriminator, batch, constants))
            discriminator.requires_grad_(False)  # the generator's update needs no gradients of its weights
        update("generator", game.generator_loss(framework, generator, discriminator, batch, fake))
        if discriminator is not None:
            discriminator.requires_grad_(True)

    return train_step
