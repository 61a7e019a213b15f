"""CGAN (Mirza & Osindero 2014, arXiv:1411.1784).

With D = sigmoid(logit), a label y given to both players:

    discriminator   minimises  -E log D(x|y) - E log(1 - D(G(z|y)|y))
    generator       minimises  -E log D(G(z|y)|y)

`cgan_mnist` is the paper's pair of multilayer perceptrons. `cgan` gives the label to a convolutional pair as the DCGAN
authors' code for MNIST does: one constant plane a class beside the channels of every layer. Differs from the paper: momentum
stays at 0.5 (there it rises to 0.7), the learning rates have no floor (there 1e-6), and the generator's loss is the non-saturating one.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo import game, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 32  # channels at the largest size, doubled at each smaller one up to 8 times
    kernel: int = 4  # side of the kernels
    hidden: int = 1024  # units of the discriminator's layer on all features and the label: without it nothing joins the two (code)
    slope: float = 0.2  # of the leaky rectifier


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(game.Config):
    noise_units: int = 200  # of the layer on z (§4.1)
    label_units: int = 1000  # of the generator's layer on y (§4.1)
    joint_units: int = 1200  # of the layer on both (§4.1)
    image_maxout: tuple[int, int] = (240, 5)  # units and pieces of the discriminator's layer on x (§4.1)
    label_maxout: tuple[int, int] = (50, 5)  # of its layer on y (§4.1)
    joint_maxout: tuple[int, int] = (240, 4)  # of its layer on both (§4.1)
    dropout: float = 0.5  # in both networks (§4.1)


def with_planes(x, code):
    """x [n, h, w, c] with one constant plane for each entry of `code` [n, k]: [n, h, w, c + k]."""
    planes = keras.layers.Reshape((1, 1, code.shape[-1]))(code)
    planes = keras.layers.UpSampling2D(x.shape[1:3])(planes)
    return keras.layers.Concatenate()([x, planes])


def build_generator(config):
    start, *sizes = layers.pyramid(config.image_shape)
    first, *others = layers.widths(config.width, len(sizes))
    latent = keras.Input((config.latent_dim,), name="latent")
    label, code = layers.label_input(config.num_classes)
    x = keras.layers.Concatenate()([latent, code])
    x = keras.layers.Dense(start[0] * start[1] * first, use_bias=False, kernel_initializer=layers.normal())(x)
    x = layers.norm_relu(keras.layers.Reshape((*start, first))(x))
    for size, width in zip(sizes, others):
        x = layers.norm_relu(layers.rise(with_planes(x, code), size, width, config.kernel, use_bias=False))
    x = layers.rise(with_planes(x, code), sizes[-1], config.image_shape[-1], config.kernel)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    label, code = layers.label_input(config.num_classes)
    widths = layers.widths(config.width, len(layers.pyramid(config.image_shape)) - 1)
    for i, width in enumerate(reversed(widths)):
        x = layers.conv(with_planes(x, code), width, config.kernel, 2, use_bias=not i)
        x = layers.norm(x) if i else x
        x = keras.layers.LeakyReLU(config.slope)(x)
    x = keras.layers.Concatenate()([keras.layers.Flatten()(x), code])
    x = keras.layers.Dense(config.hidden, use_bias=False, kernel_initializer=layers.normal())(x)
    x = keras.layers.LeakyReLU(config.slope)(layers.norm(x))
    x = keras.layers.Concatenate()([x, code])
    return keras.Model({"image": image, "label": label}, layers.logits(x), name="discriminator")


def build_generator_perceptron(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    label, code = layers.label_input(config.num_classes)
    noise = keras.layers.Dense(config.noise_units, "relu")(latent)
    kind = keras.layers.Dense(config.label_units, "relu")(code)
    x = keras.layers.Dropout(config.dropout)(keras.layers.Concatenate()([noise, kind]))
    x = keras.layers.Dropout(config.dropout)(keras.layers.Dense(config.joint_units, "relu")(x))
    x = layers.sigmoid_output(keras.layers.Dense(int(np.prod(config.image_shape)))(x), config.image_shape)
    return keras.Model({"latent": latent, "label": label}, x, name="generator")


def build_discriminator_perceptron(config):
    image = keras.Input(config.image_shape, name="image")
    label, code = layers.label_input(config.num_classes)
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = keras.layers.Concatenate()([layers.maxout(x, *config.image_maxout), layers.maxout(code, *config.label_maxout)])
    x = layers.maxout(keras.layers.Dropout(config.dropout)(x), *config.joint_maxout)
    x = layers.logits(keras.layers.Dropout(config.dropout)(x))
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


@register(cgan=Config(steps=600, generator_learning_rate=5e-4, discriminator_learning_rate=5e-4))
class CGAN(game.Game):
    """The label is given to both players: samples of a class that is asked for."""

    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))


@register(
    cgan_mnist=PerceptronConfig(
        image_shape=(28, 28, 1),
        batch_size=100,
        steps=125_000,
        every=500,
        optimizer="sgd",
        generator_learning_rate=0.1,
        discriminator_learning_rate=0.1,
        learning_rate_decay=1 / 1.00004,
    )
)
class PerceptronCGAN(game.Game):
    """The same game between the paper's two multilayer perceptrons."""

    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator_perceptron(config), build_discriminator_perceptron(config))

    def prior(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed)
