"""SNGAN (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv:1802.05957).

Every weight of the discriminator is divided by its spectral norm, its largest singular value, which makes D Lipschitz:

    discriminator   minimizes  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))        (eq. 16)
    generator       minimizes  -E D(G(z))                                        (eq. 17)

`sngan_32` are the residual networks for CIFAR-10 (table 4), `sngan_cnn_32` the plain convolutional ones (table 3).

Differs from the paper: the plain discriminator widens at its 4x4 convolutions, as in the authors' code; the paper's widens at the 3x3 ones
(--discriminator-widths 64 64 128 128 256 256 512). Differs from the authors' code: the generator's batch has as many images as the
discriminator's; the code's has twice as many. The generator is updated last in a step; in the code first. Images get no dequantization
noise; the code adds uniform noise of 1/128. 3x3 convolutions of the residual discriminator start with Glorot's variance; the code's start
with twice that, which under spectral normalization halves the effective learning rate. Adam's epsilon is Keras' default of 1e-7; the
code's is 1e-8.
"""

import dataclasses

import keras

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels of the generator at the highest resolution, doubled at each lower one up to a factor of 8 (table 3)
    # channels of the discriminator's convolutions: 3x3, 4x4 of stride 2, 3x3, ... (code)
    discriminator_widths: tuple[int, ...] = (64, 128, 128, 256, 256, 512, 512)
    negative_slope: float = 0.1  # slope of the leaky ReLU (table 3)

    def networks(self):
        return build_generator(self), build_discriminator(self)


@dataclasses.dataclass(frozen=True)
class ResidualConfig(ImageConfig):
    generator_width: int = 256  # channels of all blocks of the generator (table 4)
    discriminator_width: int = 128  # channels of all blocks of the discriminator (table 4)

    def networks(self):
        return build_residual_generator(self), build_residual_discriminator(self)


def build_generator(config):
    start, *sizes = layers.resolutions(config.image_shape)
    first, *widths = layers.channel_widths(config.width, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(start[0] * start[1] * first, kernel_initializer=layers.normal_init())(latent)
    x = layers.norm_relu(keras.layers.Reshape((*start, first))(x))
    for size, width in zip(sizes, widths, strict=True):
        x = layers.norm_relu(layers.upsample_conv(x, size, width, 4))
    return keras.Model({"latent": latent}, layers.image_output(layers.conv(x, config.image_shape[-1], 3)), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        kernel, strides = (4, 2) if i % 2 else (3, 1)
        x = layers.spectral_conv(x, width, kernel, strides, kernel_initializer=layers.normal_init())
        x = keras.layers.LeakyReLU(config.negative_slope)(x)
    x = layers.SpectralDense(1, dtype="float32", kernel_initializer=layers.normal_init())(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, keras.ops.squeeze(x, -1), name="discriminator")


def build_residual_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.residual_generator(latent, config.image_shape, config.generator_width, layers.plain_norm_relu)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_residual_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.residual_features(image, config.discriminator_width, layers.spectral_conv)
    x = layers.SpectralDense(1, use_bias=False, dtype="float32")(layers.global_sum_pool(x))
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
        eval_every=1000,
    ),
    sngan_32=ResidualConfig(
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
class SNGAN(Game):
    """Spectral normalization in the discriminator, trained with the hinge loss."""

    objective = losses.hinge

    def __init__(self, config):
        super().__init__(config, *config.networks())
