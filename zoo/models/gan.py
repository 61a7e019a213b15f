"""GAN (Goodfellow et al. 2014, arXiv:1406.2661).

With D = sigmoid(logit), and z uniform:

    discriminator   minimises  -E log D(x) - E log(1 - D(G(z)))
    generator       minimises  -E log D(G(z))          (non-saturating, what the paper trains with)
                          or    E log(1 - D(G(z)))     (minimax, its equation 1)

Two multilayer perceptrons: rectified linear units in G; maxout units and dropout in D. `gan_mnist` is the network of the
authors' code for MNIST. Differs from it: momentum stays at 0.5 (there it rises to 0.7 over 250 epochs), the discriminator's
loss is the paper's (the code halves it), the output bias starts at 0, the learning rate has no floor (there 1e-6), and the players
move in turn, not at once.
"""

import dataclasses
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    objective: Literal["non_saturating", "minimax"] = "non_saturating"  # what the generator minimises (§3)
    generator_units: int = 1200  # of each of two hidden layers (code, mnist.yaml)
    discriminator_units: int = 240  # maxout units of each of two hidden layers (code, mnist.yaml)
    pieces: int = 5  # linear pieces of a maxout unit (code, mnist.yaml)
    generator_range: float = 0.05  # weights start uniform in +- this (code, mnist.yaml)
    discriminator_range: float = 0.005  # the same (code, mnist.yaml)
    input_dropout: float = 0.2  # share of the discriminator's inputs that is dropped (code, mnist.yaml)
    dropout: float = 0.5  # share of its hidden units that is dropped (code, mnist.yaml)


def uniform(spread):
    return keras.initializers.RandomUniform(-spread, spread)


def dense(x, units, spread):
    return keras.layers.Dense(units, kernel_initializer=uniform(spread))(x)


def build_generator(config):
    x = latent = keras.Input((config.latent_dim,), name="latent")
    for _ in range(2):
        x = keras.layers.ReLU()(dense(x, config.generator_units, config.generator_range))
    x = layers.sigmoid_output(dense(x, int(np.prod(config.image_shape)), config.generator_range), config.image_shape)
    return keras.Model({"latent": latent}, x, name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    for rate in (config.input_dropout, config.dropout):
        x = keras.layers.Dropout(rate)(x)
        x = layers.maxout(x, config.discriminator_units, config.pieces, kernel_initializer=uniform(config.discriminator_range))
    x = layers.logits(keras.layers.Dropout(config.dropout)(x), kernel_initializer=uniform(config.discriminator_range))
    return keras.Model({"image": image}, x, name="discriminator")


@register(
    gan=Config(generator_range=0.04, generator_learning_rate=8e-4, discriminator_learning_rate=4e-4, steps=2000, every=500),
    gan_mnist=Config(
        image_shape=(28, 28, 1),
        batch_size=100,
        steps=125_000,
        every=500,
        optimizer="sgd",
        generator_learning_rate=0.1,
        discriminator_learning_rate=0.1,
        learning_rate_decay=1 / 1.000004,
    ),
)
class GAN(game.Game):
    """Two multilayer perceptrons, the game of 2014; minimax or non-saturating, k discriminator steps."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
        self.objective = getattr(losses, config.objective)

    def prior(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -(3**0.5), 3**0.5)
