"""DCGAN (Radford, Metz, Chintala 2015, arXiv:1511.06434).

With D = sigmoid(logit) and normal z:

    discriminator   minimizes  -E log D(x) - E log(1 - D(G(z)))
    generator       minimizes  -E log D(G(z))

Strided convolutions instead of pooling, batch normalization everywhere except at G's output and D's input, no hidden dense layers.
`dcgan_64` is the network of the authors' Torch code for 64x64 images, layer by layer.

Differs from the paper, as the Torch code does: kernels are 4x4; the paper's are 5x5. The highest resolution has 64 channels; the paper's
has 128. Batches have 64 images; the paper's have 128. z is normal; the paper's is uniform. Differs from both: Adam's epsilon is Keras'
default of 1e-7; theirs is 1e-8.
"""

import dataclasses

import keras

from zoo.core import Game, ImageConfig, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels at the highest resolution, doubled at each lower one up to a factor of 8 (code, ngf = ndf)
    kernel: int = 4  # kernel size (code)
    negative_slope: float = 0.2  # slope of the leaky ReLU (§4)
    # whether the generator's last layer has a bias; without a bias (as in the code), the background of digits stays gray for a long time.
    output_bias: bool = True


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.dcgan_generator_trunk(latent, config.image_shape, config.width, config.kernel, output_bias=config.output_bias)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.dcgan_discriminator_trunk(image, config.width, config.kernel, config.negative_slope)
    return keras.Model({"image": image}, layers.logits(x, use_bias=False), name="discriminator")


@register(
    dcgan=Config(width=32, steps=1500, eval_every=300, generator_learning_rate=5e-4),
    dcgan_64=Config(image_shape=(64, 64, 3), output_bias=False, steps=1_175_000, eval_every=2000),  # 25 epochs of 3 million images
)
class DCGAN(Game):
    """Convolutional networks, built by the architecture guidelines that made GAN training more stable."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
