"""CGAN (Mirza & Osindero 2014, arXiv:1411.1784).

With D = sigmoid(logit) and a class label y that both players receive:

    discriminator   minimizes  -E log D(x|y) - E log(1 - D(G(z|y)|y))
    generator       minimizes  -E log D(G(z|y)|y)

`cgan_mnist` is the paper's pair of multilayer perceptrons. `cgan` is convolutional and gets the label as in the DCGAN authors' code for
MNIST: one constant feature map per class is concatenated to the input of every convolution.

Differs from the paper: momentum stays at 0.5; the paper raises it to 0.7. The learning rate has no lower bound; the paper's is 1e-6. The
generator's loss is non-saturating; the paper's is minimax (eq. 2). There is no early stopping; the paper stops at the best likelihood of
validation images.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 32  # channels at the highest resolution, doubled at each lower one up to a factor of 8
    kernel: int = 4  # kernel size
    hidden: int = 1024  # units of the discriminator's dense layer, without which the image and the label would not interact (code)
    negative_slope: float = 0.2  # slope of the leaky ReLU


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(ImageConfig):
    noise_units: int = 200  # units of the generator's layer on z (§4.1)
    label_units: int = 1000  # units of the generator's layer on y (§4.1)
    joint_units: int = 1200  # units of the generator's layer on both (§4.1)
    image_maxout: tuple[int, int] = (240, 5)  # units and pieces of the discriminator's layer on x (§4.1)
    label_maxout: tuple[int, int] = (50, 5)  # units and pieces of the discriminator's layer on y (§4.1)
    joint_maxout: tuple[int, int] = (240, 4)  # units and pieces of the discriminator's layer on both (§4.1)
    dropout: float = 0.5  # dropout rate of both networks (§4.1)


def concat_label_maps(x, one_hot):
    """Feature maps [n, h, w, c] with one constant map for each entry of `one_hot` [n, k]: [n, h, w, c + k]."""
    maps = keras.layers.Reshape((1, 1, one_hot.shape[-1]))(one_hot)
    maps = keras.layers.UpSampling2D(x.shape[1:3])(maps)
    return keras.layers.Concatenate()([x, maps])


def build_generator(config):
    start, *sizes = layers.resolutions(config.image_shape)
    first, *widths = layers.channel_widths(config.width, len(sizes))
    latent = keras.Input((config.latent_dim,), name="latent")
    label, one_hot = layers.label_input(config.num_classes)
    x = keras.layers.Concatenate()([latent, one_hot])
    x = keras.layers.Dense(start[0] * start[1] * first, use_bias=False, kernel_initializer=layers.normal_init())(x)
    x = layers.norm_relu(keras.layers.Reshape((*start, first))(x))
    for size, width in zip(sizes[:-1], widths, strict=True):
        x = layers.norm_relu(layers.upsample_conv(concat_label_maps(x, one_hot), size, width, config.kernel, use_bias=False))
    x = layers.upsample_conv(concat_label_maps(x, one_hot), sizes[-1], config.image_shape[-1], config.kernel)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    label, one_hot = layers.label_input(config.num_classes)
    widths = layers.channel_widths(config.width, len(layers.resolutions(config.image_shape)) - 1)
    for i, width in enumerate(reversed(widths)):
        x = layers.conv(concat_label_maps(x, one_hot), width, config.kernel, 2, use_bias=not i)
        x = layers.batch_norm(x) if i else x
        x = keras.layers.LeakyReLU(config.negative_slope)(x)
    x = keras.layers.Concatenate()([keras.layers.Flatten()(x), one_hot])
    x = keras.layers.Dense(config.hidden, use_bias=False, kernel_initializer=layers.normal_init())(x)
    x = keras.layers.LeakyReLU(config.negative_slope)(layers.batch_norm(x))
    x = keras.layers.Concatenate()([x, one_hot])
    return keras.Model({"image": image, "label": label}, layers.logits(x), name="discriminator")


def build_perceptron_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    label, one_hot = layers.label_input(config.num_classes)
    noise_features = keras.layers.Dense(config.noise_units, "relu")(latent)
    label_features = keras.layers.Dense(config.label_units, "relu")(one_hot)
    x = layers.Dropout(config.dropout)(keras.layers.Concatenate()([noise_features, label_features]))
    x = layers.Dropout(config.dropout)(keras.layers.Dense(config.joint_units, "relu")(x))
    x = layers.sigmoid_output(keras.layers.Dense(int(np.prod(config.image_shape)))(x), config.image_shape)
    return keras.Model({"latent": latent, "label": label}, x, name="generator")


def build_perceptron_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label, one_hot = layers.label_input(config.num_classes)
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = keras.layers.Concatenate()([layers.maxout(x, *config.image_maxout), layers.maxout(one_hot, *config.label_maxout)])
    x = layers.maxout(layers.Dropout(config.dropout)(x), *config.joint_maxout)
    x = layers.logits(layers.Dropout(config.dropout)(x))
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


@register(cgan=Config(steps=600, generator_learning_rate=5e-4, discriminator_learning_rate=5e-4))
class CGAN(Game):
    """Conditions both networks on the class label."""

    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))


@register(
    cgan_mnist=PerceptronConfig(
        image_shape=(28, 28, 1),
        batch_size=100,
        steps=125_000,
        eval_every=500,
        optimizer="sgd",
        generator_learning_rate=0.1,
        discriminator_learning_rate=0.1,
        learning_rate_decay=1 / 1.00004,
    )
)
class PerceptronCGAN(Game):
    """Conditions both networks, the paper's multilayer perceptrons, on the class label."""

    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_perceptron_generator(config), build_perceptron_discriminator(config))

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed)
