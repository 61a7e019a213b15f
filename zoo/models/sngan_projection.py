"""Projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637).

The class enters D as an inner product with its features h, and G by the gain and bias of its batch norms:

    D(x, y) = psi(h(x)) + <v_y, h(x)>                                                  (eq. 3)
    discriminator   minimises  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))
    generator       minimises  -E D(G(z, y), y)

Spectral norm in D, the v_y included. `sngan_projection_32` are the residual networks that the authors' code has for CIFAR-10, with
SNGAN's sizes. Differs from the paper: the generator's batch is the discriminator's (there twice that), the classes of the generated
images are those of the real ones of the batch, and the discriminator's weights start as SNGAN's here.
"""

import dataclasses

import keras

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    generator_width: int = 256  # channels of all its blocks (code)
    discriminator_width: int = 128  # the same (code)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")

    def norm_relu(x):
        return layers.class_norm_relu(x, label, config.num_classes)

    x = layers.residual_generator(latent, config.image_shape, config.generator_width, norm_relu)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    x = layers.residual_features(image, config.discriminator_width, layers.spectral_conv)
    x = layers.projected(layers.place_sum(x), label, config.num_classes, use_bias=False)
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
        every=100,
    ),
    sngan_projection_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=128,
        discriminator_steps=5,
        beta_1=0.0,
        beta_2=0.9,
        schedule="linear",
        steps=50_000,
        every=1000,
    ),
)
class ProjectionSNGAN(game.Game):
    """The class as an inner product with the discriminator's features."""

    objective = losses.hinge
    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
