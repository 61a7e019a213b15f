"""WGAN (Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875).

The critic f is linear at its output, and Lipschitz because its weights are clipped to [-c, c]:

    critic          minimizes  E f(G(z)) - E f(x)         (minus its estimate of the Wasserstein-1 distance)
    generator       minimizes  -E f(G(z))

Five updates of the critic per update of the generator, RMSprop (algorithm 1). `wgan_64` is the authors' pair of networks for 64x64
images: DCGAN's without the sigmoid. `wgan` is small, with higher learning rates and a wider clipping range, so that 800 steps suffice.

Differs from the authors' code: the critic is always updated five times, as in algorithm 1; the code updates it 100 times in each of the
first 25 steps and in every 500th. Weights are clipped after each update, as in algorithm 1; the code clips them before it. RMSprop's
epsilon is added under the square root; PyTorch adds it to the root.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels at the highest resolution, doubled at each lower one up to a factor of 8 (code, ngf = ndf)
    kernel: int = 4  # kernel size (code)
    negative_slope: float = 0.2  # slope of the leaky ReLU (code)
    output_bias: bool = True  # whether the generator's last layer has a bias; not in the code
    weight_clip: float = 0.01  # bound on the critic's weights (algorithm 1, c)


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.dcgan_generator_trunk(latent, config.image_shape, config.width, config.kernel, output_bias=config.output_bias)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_critic(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.dcgan_discriminator_trunk(image, config.width, config.kernel, config.negative_slope)
    return keras.Model({"image": image}, layers.logits(x, use_bias=False), name="discriminator")


@register(
    wgan=Config(
        width=32,
        discriminator_steps=5,
        optimizer="rmsprop",
        generator_learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        beta_2=0.9,
        weight_clip=0.05,
        steps=800,
    ),
    wgan_64=Config(
        image_shape=(64, 64, 3),
        discriminator_steps=5,
        optimizer="rmsprop",
        generator_learning_rate=5e-5,
        discriminator_learning_rate=5e-5,
        beta_2=0.99,
        epsilon=1e-16,  # added under the square root; PyTorch adds 1e-8 to the root itself
        output_bias=False,
        steps=200_000,
        eval_every=1000,
    ),
)
class WGAN(Game):
    """A critic with clipped weights estimates the Wasserstein-1 distance between generated and real images."""

    objective = losses.wasserstein

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_critic(config))
        for weight in self.discriminator.trainable_variables:  # the optimizer applies the constraint after each update
            weight.constraint = lambda value: tf.clip_by_value(value, -config.weight_clip, config.weight_clip)
