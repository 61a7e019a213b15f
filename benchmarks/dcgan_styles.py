"""DCGAN on 28x28 grayscale images in several styles of code, all with exactly the same networks: what `throughput.py` times.

`describe_networks` describes the networks once, from the configuration of the zoo's `dcgan`; the Keras and PyTorch styles are built from
that description.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

OVERRIDES = {"image_shape": (28, 28, 1), "width": 64, "output_bias": False, "batch_size": 128}  # of the zoo's dcgan
STEPS = 8  # of one measurement
STEPS_PER_EXECUTION = 4  # of the zoo
MOMENTUM, EPSILON = 0.9, 1e-5  # of batch normalization, as in the zoo and by default in PyTorch
BASELINE = "plain Keras"  # the style that ratios refer to


class Layer(NamedTuple):
    """A layer, independent of any framework. No layer has a bias; convolutions have stride 2 and "same" padding.

    Attributes:
        kind: What it computes.
        inputs: Shape of an input: features, or height, width and channels.
        outputs: Shape of an output; feature maps of a transposed convolution that are larger are cropped to it.
        batch_norm: Whether batch normalization follows.
        activation: What follows that.
    """

    kind: Literal["dense", "convolution", "transposed convolution"]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch_norm: bool
    activation: Literal["relu", "leaky_relu", "tanh", None]


class Trainer(NamedTuple):
    """A model that is ready to train.

    Attributes:
        precision: Of its layers.
        networks: The generator and the discriminator.
        parameters: Number of trainable parameters of each of them.
        time_steps: Trains for a few steps and returns the seconds per step.
    """

    precision: str
    networks: dict[str, Any]
    parameters: dict[str, int]
    time_steps: Callable[[], float]


def load_config() -> Any:
    """The configuration of the zoo's DCGAN that is timed."""
    from zoo import registry

    return registry.get_entry("dcgan").configure(**OVERRIDES).resolve()


def describe_networks(config: Any) -> dict[str, list[Layer]]:
    """The layers of the networks that `zoo.create("dcgan")` builds for a configuration without biases."""
    from zoo.core.layers import channel_widths, resolutions

    sizes = resolutions(config.image_shape)
    channels = [*channel_widths(config.width, len(sizes) - 1), config.image_shape[-1]]
    shapes = [(*size, width) for size, width in zip(sizes, channels, strict=True)]  # of the feature maps, from 4x4 to the image
    last = len(shapes) - 2
    generator = [Layer("dense", (config.latent_dim,), shapes[0], True, "relu")]
    for i, (small, large) in enumerate(itertools.pairwise(shapes)):
        generator.append(Layer("transposed convolution", small, large, i < last, "relu" if i < last else "tanh"))
    discriminator = [
        Layer("convolution", large, small, i > 0, "leaky_relu") for i, (large, small) in enumerate(itertools.pairwise(reversed(shapes)))
    ]
    return {"generator": generator, "discriminator": [*discriminator, Layer("dense", shapes[0], (1,), False, None)]}


def doubling_excess(layer: Layer) -> list[int]:
    """How many rows and columns are too many if both sides of a layer's input are doubled."""
    return [2 * side - target for side, target in zip(layer.inputs[:2], layer.outputs[:2], strict=True)]


# -- Keras --------------------------------------------------------------------------------------------------------------


def build_zoo(precision: str) -> Trainer:
    """The zoo's model, as train.py runs it."""
    from zoo.training import runtime

    runtime.configure()
    import zoo

    policy = runtime.select_precision(precision)
    model = zoo.create("dcgan", **OVERRIDES)
    model.compile(jit_compile=runtime.use_xla(), steps_per_execution=STEPS_PER_EXECUTION)
    return keras_trainer(policy, model)


def build_plain_keras() -> Trainer:
    """The usual Keras example: two forward passes of the generator, Keras' own batch normalization, float32."""
    import keras

    config = load_config()
    networks = {}
    for name, layers in describe_networks(config).items():
        sequence = [keras_layer for layer in layers for keras_layer in keras_layers(layer, config)]
        networks[name] = keras.Sequential([keras.layers.Input(layers[0].inputs), *sequence], name=name)
    model = plain_gan_class()(**networks, latent_dim=config.latent_dim)
    rates = config.discriminator_learning_rate, config.generator_learning_rate
    model.compile(*(keras.optimizers.Adam(rate, config.beta_1, config.beta_2) for rate in rates))
    return keras_trainer("float32", model)


def keras_layers(layer: Layer, config: Any) -> list[Any]:
    """The Keras layers that compute a layer of the description."""
    from keras import layers

    if layer.kind == "dense":
        sequence = [layers.Flatten()] if len(layer.inputs) > 1 else []
        sequence.append(layers.Dense(math.prod(layer.outputs), use_bias=False))
        sequence += [layers.Reshape(layer.outputs)] if len(layer.outputs) > 1 else []
    else:
        kind = layers.Conv2D if layer.kind == "convolution" else layers.Conv2DTranspose
        sequence = [kind(layer.outputs[-1], config.kernel, 2, "same", use_bias=False)]
    if layer.kind == "transposed convolution" and any(excess := doubling_excess(layer)):
        sequence.append(layers.Cropping2D([(0, count) for count in excess]))
    if layer.batch_norm:
        sequence.append(layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON))
    if layer.activation == "leaky_relu":
        sequence.append(layers.LeakyReLU(config.negative_slope))
    elif layer.activation:
        sequence.append(layers.Activation(layer.activation))
    return sequence


def plain_gan_class() -> type:
    """A GAN as Keras' examples write it."""
    import keras
    import tensorflow as tf

    class PlainGAN(keras.Model):
        def __init__(self, generator, discriminator, latent_dim):
            super().__init__()
            self.generator, self.discriminator, self.latent_dim = generator, discriminator, latent_dim
            self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")
            self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

        def compile(self, d_optimizer, g_optimizer):
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        @property
        def metrics(self):
            return [self.d_loss, self.g_loss]

        def generate(self, batch_size):
            return self.generator(tf.random.normal((batch_size, self.latent_dim)), training=True)

        def train_step(self, batch):
            real = batch["image"]
            fake = self.generate(real.shape[0])
            with tf.GradientTape() as tape:
                real_logits, fake_logits = self.discriminator(real, training=True), self.discriminator(fake, training=True)
                d_loss = self.cross_entropy(tf.ones_like(real_logits), real_logits)
                d_loss += self.cross_entropy(tf.zeros_like(fake_logits), fake_logits)
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
            with tf.GradientTape() as tape:
                fake_logits = self.discriminator(self.generate(real.shape[0]), training=True)
                g_loss = self.cross_entropy(tf.ones_like(fake_logits), fake_logits)
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
            self.d_loss.update_state(d_loss)
            self.g_loss.update_state(g_loss)
            return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}

    return PlainGAN


def keras_trainer(precision: str, model: Any) -> Trainer:
    """Trains a compiled model with `fit`; building the epoch is not timed."""
    import keras
    import numpy as np
    import tensorflow as tf

    class EpochTimer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.start

    timer = EpochTimer()
    shape = OVERRIDES["batch_size"], *OVERRIDES["image_shape"]
    dataset = tf.data.Dataset.from_tensors({"image": np.random.rand(*shape).astype("float32") * 2 - 1}).repeat()

    def time_steps() -> float:
        model.fit(dataset, steps_per_epoch=STEPS, verbose=0, shuffle=False, callbacks=[timer])
        return timer.seconds / STEPS

    networks = {"generator": model.generator, "discriminator": model.discriminator}
    counts = {name: sum(w.shape.num_elements() for w in network.trainable_weights) for name, network in networks.items()}
    return Trainer(precision, networks, counts, time_steps)


# -- PyTorch ------------------------------------------------------------------------------------------------------------


def build_torch(bfloat16: bool) -> Trainer:
    """The usual PyTorch training loop in eager mode.

    Args:
        bfloat16: Mixed precision (autocast) and the memory format channels_last, instead of float32.
    """
    import torch
    from torch import nn

    config = load_config()
    networks = {
        name: nn.Sequential(*(module for layer in layers for module in torch_modules(layer, config)))
        for name, layers in describe_networks(config).items()
    }
    height, width, channels = config.image_shape
    real = torch.rand(config.batch_size, channels, height, width) * 2 - 1
    if bfloat16:
        networks = {name: network.to(memory_format=torch.channels_last) for name, network in networks.items()}
        real = real.contiguous(memory_format=torch.channels_last)
    train_step = torch_train_step(networks, real, config, bfloat16)
    steps = 1 if bfloat16 else STEPS  # a step takes seconds on a CPU without bfloat16 units

    def time_steps() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            train_step()
        return (time.perf_counter() - start) / steps

    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    return Trainer("bfloat16" if bfloat16 else "float32", networks, counts, time_steps)


def torch_modules(layer: Layer, config: Any) -> list[Any]:
    """The PyTorch modules that compute a layer of the description; feature maps are [channels, height, width] there."""
    from torch import nn

    channels = layer.outputs[-1]
    if layer.kind == "dense":
        sequence = [nn.Flatten()] if len(layer.inputs) > 1 else []
        sequence.append(nn.Linear(math.prod(layer.inputs), math.prod(layer.outputs), bias=False))
        sequence += [nn.Unflatten(1, (channels, *layer.outputs[:2]))] if len(layer.outputs) > 1 else []
    else:
        sequence = torch_convolution(layer, config.kernel)
    if layer.batch_norm:
        sequence.append(nn.BatchNorm2d(channels, eps=EPSILON, momentum=1 - MOMENTUM))
    activations = {"relu": nn.ReLU, "leaky_relu": functools.partial(nn.LeakyReLU, config.negative_slope), "tanh": nn.Tanh}
    return [*sequence, activations[layer.activation]()] if layer.activation else sequence


def torch_convolution(layer: Layer, kernel: int) -> list[Any]:
    """A convolution with TensorFlow's "same" padding, which is larger at the bottom and right if it is odd."""
    from torch import nn

    channels = layer.inputs[-1], layer.outputs[-1]
    if layer.kind == "convolution":
        padding = [2 * (b - 1) + kernel - a for a, b in zip(layer.inputs[:2], layer.outputs[:2], strict=True)]
        height, width = (divmod(total, 2) for total in padding)
        if not height[1] and not width[1]:
            return [nn.Conv2d(*channels, kernel, 2, (height[0], width[0]), bias=False)]
        return [nn.ZeroPad2d((width[0], sum(width), height[0], sum(height))), nn.Conv2d(*channels, kernel, 2, bias=False)]
    modules = [nn.ConvTranspose2d(*channels, kernel, 2, kernel // 2 - 1, bias=False)]  # doubles both sides
    excess = doubling_excess(layer)
    return [*modules, nn.ZeroPad2d((0, -excess[1], 0, -excess[0]))] if any(excess) else modules


def torch_train_step(networks: dict[str, Any], real: Any, config: Any, bfloat16: bool) -> Callable[[], None]:
    """One update of the discriminator and one of the generator, which share the generated images."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    generator, discriminator = networks["generator"], networks["discriminator"]
    betas = config.beta_1, config.beta_2
    g_optimizer = torch.optim.Adam(generator.parameters(), config.generator_learning_rate, betas)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), config.discriminator_learning_rate, betas)
    ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)

    def precision() -> contextlib.AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext()

    def train_step() -> None:
        with precision():
            fake = generator(torch.randn(len(real), config.latent_dim))
            real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
            d_loss = cross_entropy(real_logits.float(), ones) + cross_entropy(fake_logits.float(), zeros)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        with precision():
            g_loss = cross_entropy(discriminator(fake).float(), ones)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()

    return train_step


STYLES: dict[str, Callable[[], Trainer]] = {
    "zoo": functools.partial(build_zoo, "auto"),
    "zoo, float32": functools.partial(build_zoo, "float32"),
    BASELINE: build_plain_keras,
    "plain Keras, oneDNN enabled": build_plain_keras,
    "PyTorch": functools.partial(build_torch, bfloat16=False),
    "PyTorch, bfloat16 channels_last": functools.partial(build_torch, bfloat16=True),
}
