"""WGAN (Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875).

The critic f is linear at its end, and Lipschitz because its weights are kept in [-clip, clip]:

    critic          minimises  E f(G(z)) - E f(x)         (what it maximises estimates the distance of the two distributions)
    generator       minimises  -E f(G(z))

Five updates of the critic to one of the generator, RMSprop (algorithm 1). `wgan_64` is the authors' pair for 64x64, DCGAN's
without the sigmoid. As in the paper; the authors' code also plays 100 updates of the critic in the first 25 rounds and in every
500th, which algorithm 1 does not. `wgan` is small, learns faster and clips less, so that 800 rounds show something.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels at the largest size, doubled at each smaller one up to 8 times (code, ngf = ndf)
    kernel: int = 4  # side of the kernels (code)
    slope: float = 0.2  # of the leaky rectifier (code)
    output_bias: bool = True  # of the generator's last layer; none in the code
    clip: float = 0.01  # largest size of the critic's weights (algorithm 1, c)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.deconvolutions(latent, config.image_shape, config.width, config.kernel, output_bias=config.output_bias)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_critic(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.convolutions(image, config.width, config.kernel, config.slope)
    return keras.Model({"image": image}, layers.logits(x, use_bias=False), name="discriminator")


@register(
    wgan=Config(
        width=32,
        discriminator_steps=5,
        optimizer="rmsprop",
        generator_learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        beta_2=0.9,
        clip=0.05,
        steps=800,
    ),
    wgan_64=Config(
        image_shape=(64, 64, 3),
        discriminator_steps=5,
        optimizer="rmsprop",
        generator_learning_rate=5e-5,
        discriminator_learning_rate=5e-5,
        beta_2=0.99,
        epsilon=1e-16,  # under the root here, 1e-8 beside it there
        output_bias=False,
        steps=200_000,
        every=1000,
    ),
)
class WGAN(game.Game):
    """A critic with clipped weights estimates how far the samples are from the data."""

    objective = losses.wasserstein

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_critic(config))
        for weight in self.discriminator.trainable_variables:  # the optimizer clips after each update
            weight.constraint = lambda value: tf.clip_by_value(value, -config.clip, config.clip)
