"""LSGAN (Mao et al. 2016, arXiv:1611.04076).

D is linear. With a = 0 for generated images and b = c = 1 for real ones (eq. 9):

    discriminator   minimizes  1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2
    generator       minimizes  1/2 E (D(G(z)) - 1)^2

Least squares also penalize images on the correct side of the decision boundary that are far from it. `lsgan_112` is the paper's pair of
networks for 112x112 scenes (figure 1), whose generator has two transposed convolutions per resolution, as VGG has two convolutions.
`lsgan` uses DCGAN's networks.

Differs from the authors' code: losses are means over the batch; the code's are sums, a scale that Adam normalizes away. Adam's epsilon is
Keras' default of 1e-7; the code's is 1e-8. The discriminator's convolutions are initialized from a normal distribution; the code truncates
it. Training takes half as many steps as the code's.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 32  # channels at the highest resolution, doubled at each lower one up to a factor of 8
    kernel: int = 4  # kernel size
    negative_slope: float = 0.2  # slope of the leaky ReLU


@dataclasses.dataclass(frozen=True)
class ScenesConfig(ImageConfig):
    # channels of the generator's dense layer and transposed convolutions (figure 1)
    generator_widths: tuple[int, ...] = (256, 256, 256, 256, 256, 128, 64)
    generator_strides: tuple[int, ...] = (2, 1, 2, 1, 2, 2)  # strides of these convolutions; the output layer has stride 1 (figure 1)
    generator_kernel: int = 3  # kernel size of the generator (figure 1)
    discriminator_widths: tuple[int, ...] = (64, 128, 256, 512)  # channels of the discriminator's stride-2 convolutions (figure 1)
    discriminator_kernel: int = 5  # kernel size of the discriminator (figure 1)
    negative_slope: float = 0.2  # slope of the leaky ReLU (§4)

    def validate(self):
        super().validate()
        count, strides = len(self.generator_widths), self.generator_strides
        if count != len(strides) + 1 or set(strides) - {1, 2}:
            raise UserError(
                f"--generator-strides {' '.join(map(str, strides))}: each must be 1 or 2, "
                f"and there must be one less than --generator-widths, of which there are {count}"
            )

    @property
    def size_multiple(self):
        """How many times larger the image's sides are than those of the smallest feature maps."""
        return 2 ** sum(stride == 2 for stride in self.generator_strides)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.dcgan_generator_trunk(latent, config.image_shape, config.width, config.kernel)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.dcgan_discriminator_trunk(image, config.width, config.kernel, config.negative_slope)
    return keras.Model({"image": image}, layers.logits(x), name="discriminator")


def transposed_conv(x, filters, kernel, strides):
    return keras.layers.Conv2DTranspose(filters, kernel, strides, "same", kernel_initializer=layers.normal_init())(x)


def build_scenes_generator(config):
    first, *widths = config.generator_widths
    height, width = (side // config.size_multiple for side in config.image_shape[:2])
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(height * width * first, kernel_initializer=layers.normal_init())(latent)
    x = layers.norm_relu(keras.layers.Reshape((height, width, first))(x))
    for filters, strides in zip(widths, config.generator_strides, strict=True):
        x = layers.norm_relu(transposed_conv(x, filters, config.generator_kernel, strides))
    x = transposed_conv(x, config.image_shape[-1], config.generator_kernel, 1)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_scenes_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, filters in enumerate(config.discriminator_widths):
        x = layers.conv(x, filters, config.discriminator_kernel, 2)
        x = keras.layers.LeakyReLU(config.negative_slope)(layers.batch_norm(x) if i else x)
    return keras.Model({"image": image}, layers.logits(keras.layers.Flatten()(x)), name="discriminator")


@register(lsgan=Config(steps=1500, eval_every=300, generator_learning_rate=5e-4))
class LSGAN(Game):
    """A least-squares loss instead of the cross-entropy."""

    objective = losses.least_squares

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))


@register(
    lsgan_112=ScenesConfig(
        image_shape=(112, 112, 3),
        latent_dim=1024,
        steps=500_000,
        eval_every=2000,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
    )
)
class ScenesLSGAN(Game):
    """A least-squares loss, with the paper's networks for scenes."""

    objective = losses.least_squares

    def __init__(self, config):
        super().__init__(config, build_scenes_generator(config), build_scenes_discriminator(config))

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -1, 1)
