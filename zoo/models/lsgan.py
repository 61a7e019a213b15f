"""LSGAN (Mao et al. 2016, arXiv:1611.04076).

D is linear. With a = 0 for generated images, b = c = 1 for real ones (eq. 9):

    discriminator   minimises  1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2
    generator       minimises  1/2 E (D(G(z)) - 1)^2

Least squares punish images that are on the right side of the boundary and yet far from it. `lsgan_112` is the paper's pair of
networks for scenes of 112x112 (figure 1): its generator has two transposed convolutions at a size, as VGG has two convolutions.
`lsgan` plays the same game between DCGAN's networks. As in the paper.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo import game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 32  # channels at the largest size, doubled at each smaller one up to 8 times
    kernel: int = 4  # side of the kernels
    slope: float = 0.2  # of the leaky rectifier


@dataclasses.dataclass(frozen=True)
class ScenesConfig(game.Config):
    generator_widths: tuple[int, ...] = (256, 256, 256, 256, 256, 128, 64)  # of the dense layer and the transposed convolutions (figure 1)
    generator_strides: tuple[int, ...] = (2, 1, 2, 1, 2, 2)  # of the latter; the last, to the image, has stride 1 (figure 1)
    generator_kernel: int = 3  # side of its kernels (figure 1)
    discriminator_widths: tuple[int, ...] = (64, 128, 256, 512)  # of its convolutions of stride 2 (figure 1)
    discriminator_kernel: int = 5  # side of its kernels (figure 1)
    slope: float = 0.2  # of the leaky rectifier (§4)

    def check(self):
        super().check()
        count, strides = len(self.generator_widths), self.generator_strides
        if count != len(strides) + 1 or set(strides) - {1, 2}:
            raise UserError(
                f"--generator-widths has {count} numbers and --generator-strides {' '.join(map(str, strides))}: "
                "of these, 1 or 2 each, there must be one less"
            )

    @property
    def multiple(self):
        """Between the image's sides and the smallest feature maps'."""
        return 2 ** sum(stride == 2 for stride in self.generator_strides)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.deconvolutions(latent, config.image_shape, config.width, config.kernel)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.convolutions(image, config.width, config.kernel, config.slope)
    return keras.Model({"image": image}, layers.logits(x), name="discriminator")


def build_generator_scenes(config):
    first, *others = config.generator_widths
    height, width = (side // config.multiple for side in config.image_shape[:2])
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(height * width * first, kernel_initializer=layers.normal())(latent)
    x = layers.norm_relu(keras.layers.Reshape((height, width, first))(x))
    for filters, stride in zip(others, config.generator_strides):
        x = keras.layers.Conv2DTranspose(filters, config.generator_kernel, stride, "same", kernel_initializer=layers.normal())(x)
        x = layers.norm_relu(x)
    x = keras.layers.Conv2DTranspose(config.image_shape[-1], config.generator_kernel, 1, "same", kernel_initializer=layers.normal())(x)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator_scenes(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, filters in enumerate(config.discriminator_widths):
        x = layers.conv(x, filters, config.discriminator_kernel, 2)
        x = keras.layers.LeakyReLU(config.slope)(layers.norm(x) if i else x)
    return keras.Model({"image": image}, layers.logits(keras.layers.Flatten()(x)), name="discriminator")


@register(lsgan=Config(steps=1500, every=300, generator_learning_rate=5e-4))
class LSGAN(game.Game):
    """Least squares in the place of the cross entropy."""

    objective = losses.least_squares

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))


@register(
    lsgan_112=ScenesConfig(
        image_shape=(112, 112, 3),
        latent_dim=1024,
        steps=500_000,
        every=2000,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
    )
)
class ScenesLSGAN(game.Game):
    """The same game between the paper's networks for scenes."""

    objective = losses.least_squares

    def __init__(self, config):
        super().__init__(config, build_generator_scenes(config), build_discriminator_scenes(config))

    def prior(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -1, 1)
