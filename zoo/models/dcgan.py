"""DCGAN (Radford, Metz, Chintala 2015, arXiv:1511.06434).

With D = sigmoid(logit), and z normal:

    discriminator   minimises  -E log D(x) - E log(1 - D(G(z)))
    generator       minimises  -E log D(G(z))

Strided convolutions instead of pooling, batch normalisation everywhere but at G's output and D's input, no hidden dense
layers. `dcgan_64` is the authors' Torch code for 64x64, layer by layer. Differs from the paper: as that code, kernels are
4x4, z is normal, and the generator learns from the images that the discriminator has just seen.
"""

import dataclasses

import keras

from zoo import game, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels at the largest size, doubled at each smaller one up to 8 times (code, ngf = ndf)
    kernel: int = 4  # side of the kernels (code)
    slope: float = 0.2  # of the leaky rectifier (§4)
    output_bias: bool = True  # of the generator's last layer; none in the code, which leaves the ground of digits grey for long


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.deconvolutions(latent, config.image_shape, config.width, config.kernel, output_bias=config.output_bias)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.convolutions(image, config.width, config.kernel, config.slope)
    return keras.Model({"image": image}, layers.logits(x, use_bias=False), name="discriminator")


@register(
    dcgan=Config(width=32, steps=1500, every=300, generator_learning_rate=5e-4),
    dcgan_64=Config(image_shape=(64, 64, 3), output_bias=False, steps=1_175_000, every=2000),
)
class DCGAN(game.Game):
    """Convolutional generator and discriminator: the recipe that made GANs train."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
