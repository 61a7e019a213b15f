"""SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv:1802.05957).

Every weight of the discriminator is divided by its largest singular value, so that D is Lipschitz:

    discriminator   minimises  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))        (eq. 16)
    generator       minimises  -E D(G(z))                                        (eq. 17)

`sngan_32` are the residual networks for CIFAR-10 (table 4), `sngan_cnn_32` the plain ones (table 3). Differs from the paper: the plain
discriminator widens at its 4x4 convolutions, as the authors' code (as printed: --discriminator-widths 64 64 128 128 256 256 512); the
generator's batch is the discriminator's (there twice that), 1/128 of uniform noise is not added to the images, and 3x3 convolutions of
the residual discriminator start with Glorot's variance (there twice that, which under the norm is half the learning rate).
"""

import dataclasses

import keras

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels of the generator at the largest size, doubled at each smaller one (table 3)
    discriminator_widths: tuple[int, ...] = (64, 128, 128, 256, 256, 512, 512)  # of its convolutions: 3x3, 4x4 of stride 2, ...
    slope: float = 0.1  # of its leaky rectifier (table 3)

    def networks(self):
        return build_generator(self), build_discriminator(self)


@dataclasses.dataclass(frozen=True)
class ResidualConfig(game.Config):
    generator_width: int = 256  # channels of all its blocks (table 4)
    discriminator_width: int = 128  # the same (table 4)

    def networks(self):
        return build_generator_residual(self), build_discriminator_residual(self)


def build_generator(config):
    start, *sizes = layers.pyramid(config.image_shape)
    first, *others = layers.widths(config.width, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(start[0] * start[1] * first, kernel_initializer=layers.normal())(latent)
    x = layers.norm_relu(keras.layers.Reshape((*start, first))(x))
    for size, width in zip(sizes, others):
        x = layers.norm_relu(layers.rise(x, size, width, 4))
    return keras.Model({"latent": latent}, layers.image_output(layers.conv(x, config.image_shape[-1], 3)), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        kernel, strides = (4, 2) if i % 2 else (3, 1)
        x = layers.spectral_conv(x, width, kernel, strides, kernel_initializer=layers.normal())
        x = keras.layers.LeakyReLU(config.slope)(x)
    x = layers.SpectralDense(1, dtype="float32", kernel_initializer=layers.normal())(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, keras.ops.squeeze(x, -1), name="discriminator")


def build_generator_residual(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.residual_generator(latent, config.image_shape, config.generator_width, layers.plain_norm_relu)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator_residual(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.residual_features(image, config.discriminator_width, layers.spectral_conv)
    x = layers.SpectralDense(1, use_bias=False, dtype="float32")(layers.place_sum(x))
    return keras.Model({"image": image}, keras.ops.squeeze(x, -1), name="discriminator")


@register(
    sngan=Config(
        width=32,
        discriminator_widths=(16, 32, 32, 64, 64, 128, 128),
        generator_learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        steps=1200,
    ),
    sngan_cnn_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=128,
        discriminator_steps=5,
        beta_1=0.0,
        beta_2=0.9,
        schedule="linear",
        steps=50_000,
        every=1000,
    ),
    sngan_32=ResidualConfig(
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
class SNGAN(game.Game):
    """Spectral norm in the discriminator, hinge loss."""

    objective = losses.hinge

    def __init__(self, config):
        super().__init__(config, *config.networks())
