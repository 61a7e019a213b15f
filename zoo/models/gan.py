"""GAN (Goodfellow et al. 2014, arXiv:1406.2661).

With D = sigmoid(logit) and uniform z:

    discriminator   minimizes  -E log D(x) - E log(1 - D(G(z)))
    generator       minimizes  -E log D(G(z))          (non-saturating, the loss of the paper's experiments)
                          or    E log(1 - D(G(z)))     (minimax, eq. 1)

Two multilayer perceptrons: ReLUs in G, maxout units and dropout in D. `gan_mnist` is the MNIST network of the authors' code.

Differs from the authors' code: momentum stays at 0.5; in the code it rises to 0.7 over 250 epochs. The learning rate has no lower bound;
the code's is 1e-6. The discriminator's loss is the paper's; the code's is half of it. The generator's output bias starts at 0; the code
computes it from the mean image. The players are updated one after the other; the code updates them at the same time. MNIST's whole
training split is used; the code uses 50,000 images of it.
"""

import dataclasses
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    objective: Literal["non_saturating", "minimax"] = "non_saturating"  # loss of the generator (§3)
    generator_units: int = 1200  # units of each of the generator's two hidden layers (code, mnist.yaml)
    discriminator_units: int = 240  # maxout units of each of the discriminator's two hidden layers (code, mnist.yaml)
    maxout_pieces: int = 5  # linear pieces per maxout unit (code, mnist.yaml)
    generator_init_range: float = 0.05  # bound of the uniform distribution of the generator's initial weights (code, mnist.yaml)
    discriminator_init_range: float = 0.005  # bound of the uniform distribution of the discriminator's initial weights (code, mnist.yaml)
    input_dropout: float = 0.2  # dropout rate of the discriminator's input (code, mnist.yaml)
    dropout: float = 0.5  # dropout rate of the discriminator's hidden layers (code, mnist.yaml)


def uniform_init(limit):
    return keras.initializers.RandomUniform(-limit, limit)


def dense(x, units, init_range):
    return keras.layers.Dense(units, kernel_initializer=uniform_init(init_range))(x)


def build_generator(config):
    x = latent = keras.Input((config.latent_dim,), name="latent")
    for _ in range(2):
        x = keras.layers.ReLU()(dense(x, config.generator_units, config.generator_init_range))
    x = layers.sigmoid_output(dense(x, int(np.prod(config.image_shape)), config.generator_init_range), config.image_shape)
    return keras.Model({"latent": latent}, x, name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    for rate in (config.input_dropout, config.dropout):
        x = layers.Dropout(rate)(x)
        initializer = uniform_init(config.discriminator_init_range)
        x = layers.maxout(x, config.discriminator_units, config.maxout_pieces, kernel_initializer=initializer)
    x = layers.logits(layers.Dropout(config.dropout)(x), kernel_initializer=uniform_init(config.discriminator_init_range))
    return keras.Model({"image": image}, x, name="discriminator")


@register(
    gan=Config(generator_init_range=0.04, generator_learning_rate=8e-4, discriminator_learning_rate=4e-4, steps=2000, eval_every=500),
    gan_mnist=Config(
        image_shape=(28, 28, 1),
        batch_size=100,
        steps=125_000,
        eval_every=500,
        optimizer="sgd",
        generator_learning_rate=0.1,
        discriminator_learning_rate=0.1,
        learning_rate_decay=1 / 1.000004,
    ),
)
class GAN(Game):
    """The original GAN: two multilayer perceptrons, with the non-saturating or the minimax loss."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
        self.objective = getattr(losses, config.objective)

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -(3**0.5), 3**0.5)
