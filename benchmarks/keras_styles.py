"""The styles of Keras that `throughput.py` times: the zoo itself, and the way Keras' own examples are written."""

from __future__ import annotations

import math
import time
from typing import Any

from architectures import Architecture, Batch
from styles import Trainer

STEPS_PER_EXECUTION = 4  # of Keras


def build_zoo(architecture: Architecture, precision: str) -> Trainer:
    """The zoo's model, as train.py runs it."""
    from zoo.training import runtime

    runtime.configure()
    import zoo

    policy = runtime.select_precision(precision)
    model = zoo.create(architecture.model, **architecture.overrides)
    model.compile(jit_compile=runtime.use_xla(), steps_per_execution=STEPS_PER_EXECUTION)
    return trainer(policy, model, architecture)


def build_plain(architecture: Architecture) -> Trainer:
    """The usual Keras example in float32: a custom `train_step`, Keras' own layers, and new noise for the generator's update."""
    import keras

    import zoo

    model = zoo.create(architecture.model, **architecture.overrides)
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    config = model.config
    networks = {name: plain_network(network) for name, network in networks.items() if network}
    rates = {"generator": config.generator_learning_rate, "discriminator": config.discriminator_learning_rate}
    optimizers = {name: keras.optimizers.Adam(rates[name], config.beta_1, config.beta_2) for name in networks}
    plain = plain_gan_class()(architecture.game, networks, optimizers)
    plain.compile(steps_per_execution=STEPS_PER_EXECUTION)
    return trainer("float32", plain, architecture)


def plain_network(network: Any) -> Any:
    """A clone of a network in which layers of the zoo are replaced by Keras' own."""
    import keras

    def clone(layer: Any) -> Any:
        name = type(layer).__name__
        if isinstance(layer, keras.Model):
            return plain_network(layer)
        if name in REPLACEMENTS:
            return REPLACEMENTS[name](layer)
        return type(layer).from_config(layer.get_config())

    plain = keras.models.clone_model(network, clone_function=clone)
    assert not {type(layer).__name__ for layer in plain.layers} & set(REPLACEMENTS)
    return plain


def keras_batch_norm(layer: Any) -> Any:
    import keras

    settings = {name: getattr(layer, name) for name in ("momentum", "epsilon", "scale", "center")}
    return keras.layers.BatchNormalization(**settings)


def keras_instance_norm(layer: Any) -> Any:
    import keras

    return keras.layers.GroupNormalization(-1, epsilon=layer.epsilon, center=layer.affine, scale=layer.affine)


def keras_convolution(layer: Any) -> Any:
    import keras

    return keras.layers.Conv2D(layer.filters, layer.kernel_size, layer.strides, layer.padding, use_bias=layer.use_bias)


def keras_spectral(layer: Any) -> Any:
    """Keras' wrapper, which replaces the weight by the normalized one in each pass; embeddings are dense layers of one-hot vectors.

    Around an embedding, the wrapper of Keras 3.15 rounds the output to integers.
    """
    import keras

    if type(layer).__name__ == "SpectralConv2D":
        inner = keras.layers.Conv2D(layer.filters, layer.kernel_size, layer.strides, "same", use_bias=layer.use_bias)
    elif type(layer).__name__ == "SpectralDense":
        inner = keras.layers.Dense(layer.units, use_bias=layer.use_bias)
    else:
        one_hot = keras.layers.Lambda(keras.ops.one_hot, arguments={"num_classes": layer.classes}, output_shape=(layer.classes,))
        dense = keras.layers.SpectralNormalization(keras.layers.Dense(layer.units, use_bias=False))
        return keras.Sequential([keras.Input((), dtype="int64"), one_hot, dense])
    return keras.layers.SpectralNormalization(inner)


REPLACEMENTS = {
    "BatchNorm": keras_batch_norm,
    "BlockConv2D": keras_convolution,
    "InstanceNorm": keras_instance_norm,
    "SpectralConv2D": keras_spectral,
    "SpectralDense": keras_spectral,
    "SpectralEmbedding": keras_spectral,
}


def plain_gan_class() -> type:
    """A GAN as Keras' examples write it."""
    import keras
    import tensorflow as tf

    class TensorFlow:
        """The operations of `architectures.Framework`."""

        def call(self, network: Any, inputs: Batch) -> Any:
            return network({tensor.name: inputs[tensor.name] for tensor in network.inputs}, training=True)

        mean = staticmethod(tf.reduce_mean)
        relu = staticmethod(tf.nn.relu)
        softplus = staticmethod(tf.nn.softplus)

        def normal(self, *shape: int) -> Any:
            return tf.random.normal(shape)

    class PlainGAN(keras.Model):
        def __init__(self, game, networks, optimizers):
            super().__init__()
            self.game, self.framework, self.players = game, TensorFlow(), optimizers
            self.generator, self.discriminator = networks["generator"], networks.get("discriminator")
            self.loss_metrics = {name: keras.metrics.Mean(name=f"{name}_loss") for name in networks}

        @property
        def metrics(self):
            return list(self.loss_metrics.values())

        def update(self, player, network, loss, tape):
            weights = network.trainable_weights
            self.players[player].apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            self.loss_metrics[player].update_state(loss)

        def train_step(self, batch):
            game, framework = self.game, self.framework
            with tf.GradientTape() as tape:
                fake = game.generate(framework, self.generator, batch)
                if self.discriminator is not None:
                    with tape.stop_recording():
                        self.train_discriminator(batch, fake)
                    if game.from_noise:
                        fake = game.generate(framework, self.generator, batch)
                loss = game.generator_loss(framework, self.generator, self.discriminator, batch, fake)
            self.update("generator", self.generator, loss, tape)
            return {metric.name: metric.result() for metric in self.metrics}

        def train_discriminator(self, batch, fake):
            with tf.GradientTape() as tape:
                loss = self.game.discriminator_loss(self.framework, self.discriminator, batch, fake)
            self.update("discriminator", self.discriminator, loss, tape)

    return PlainGAN


def trainer(precision: str, model: Any, architecture: Architecture) -> Trainer:
    """Trains a compiled model with `fit`; building the epoch is not timed."""
    import keras
    import tensorflow as tf

    class EpochTimer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.start

    timer = EpochTimer()
    dataset = tf.data.Dataset.from_tensors(architecture.batch()).repeat()

    def time_steps() -> float:
        model.fit(dataset, steps_per_epoch=architecture.steps, verbose=0, shuffle=False, callbacks=[timer])
        return timer.seconds / architecture.steps

    networks = {"generator": model.generator, "discriminator": model.discriminator}
    networks = {name: network for name, network in networks.items() if network is not None}
    counts = {name: sum(math.prod(weight.shape) for weight in network.trainable_weights) for name, network in networks.items()}
    return Trainer(precision, networks, counts, time_steps)
