"""Projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637).

The class enters D as an inner product with its features h, and G through class-conditional batch normalization:

    D(x, y) = psi(h(x)) + <v_y, h(x)>                                                  (eq. 3)
    discriminator   minimizes  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))
    generator       minimizes  -E D(G(z, y), y)

All weights of D, including the v_y, are spectrally normalized. `sngan_projection_32` are the residual networks that the authors' code
uses for CIFAR-10, with SNGAN's sizes.

Differs from the authors' code: the generator's batch has as many images as the discriminator's; the code's has twice as many. The
generator is updated last in a step; in the code first. Images get no dequantization noise; the code adds uniform noise of 1/128. 3x3
convolutions of the discriminator start with Glorot's variance; the code's start with twice that. Adam's epsilon is Keras' default of 1e-7;
the code's is 1e-8.
"""

import dataclasses
import functools

import keras

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    generator_width: int = 256  # channels of all blocks of the generator (code)
    discriminator_width: int = 128  # channels of all blocks of the discriminator (code)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")
    norm_relu = functools.partial(layers.class_norm_relu, label=label, num_classes=config.num_classes)
    x = layers.residual_generator(latent, config.image_shape, config.generator_width, norm_relu)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    x = layers.residual_features(image, config.discriminator_width, layers.spectral_conv)
    x = layers.projection_logit(layers.global_sum_pool(x), label, config.num_classes, use_bias=False)
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


@register(
    sngan_projection=Config(
        generator_width=32,
        discriminator_width=32,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.9,
        steps=500,
        eval_every=100,
    ),
    sngan_projection_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=128,
        discriminator_steps=5,
        beta_1=0.0,
        beta_2=0.9,
        schedule="linear",
        steps=50_000,
        eval_every=1000,
    ),
)
class ProjectionSNGAN(Game):
    """Class-conditional SNGAN: the class enters as an inner product with the discriminator's features."""

    objective = losses.hinge
    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
