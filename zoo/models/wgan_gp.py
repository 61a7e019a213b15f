"""WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028).

With x' = x + u (G(z) - x) for u uniform in [0, 1), one u an image:

    critic          minimises  E f(G(z)) - E f(x) + 10 E (|grad f(x')| - 1)^2          (eq. 3)
    generator       minimises  -E f(G(z))

No batch norm in the critic, for the penalty is one image's (§4). `wgan_gp_mnist` is the authors' pair for MNIST, `wgan_gp_32` their
residual networks for CIFAR-10 (appendix F, table 3 there). `wgan_gp` is DCGAN's generator against such a critic. Differs from the
code: images are in [-1, 1] (there [0, 1] for MNIST: half the slope), plain convolutions start from N(0, 0.02) as DCGAN's (there He's),
the penalty's square root has an epsilon of 1e-12, the generator's batch for CIFAR-10 is 64 (there 128), and 1/128 of uniform
noise is not added to the images.
"""

import dataclasses

import keras

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels at the largest size, doubled at each smaller one (code, DIM)
    kernel: int = 5  # side of the kernels (code)
    slope: float = 0.2  # of the leaky rectifier (code)
    generator_norm: bool = True  # batch norm in the generator; none in the code for MNIST
    penalty: float = 10.0  # weight of the gradient penalty (§4, lambda)

    def networks(self):
        return build_generator(self), build_critic(self)


@dataclasses.dataclass(frozen=True)
class ResidualConfig(game.Config):
    width: int = 128  # channels of all blocks (appendix F, table 3)
    penalty: float = 10.0  # weight of the gradient penalty (§4, lambda)

    def networks(self):
        return build_generator_residual(self), build_critic_residual(self)


def relu(x):
    return keras.layers.ReLU()(x)


def same(x):
    return x


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    after = layers.norm_relu if config.generator_norm else relu
    x = layers.deconvolutions(latent, config.image_shape, config.width, config.kernel, after, use_bias=True)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_critic(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.convolutions(image, config.width, config.kernel, config.slope, same, use_bias=True)
    return keras.Model({"image": image}, layers.logits(x), name="discriminator")


def build_generator_residual(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.residual_generator(latent, config.image_shape, config.width, layers.plain_norm_relu)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_critic_residual(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.GlobalAveragePooling2D()(relu(layers.residual_features(image, config.width, layers.glorot_conv)))
    return keras.Model({"image": image}, layers.logits(x), name="discriminator")


@register(
    wgan_gp=Config(
        width=32,
        kernel=4,
        discriminator_steps=3,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        beta_2=0.9,
        steps=800,
    ),
    wgan_gp_mnist=Config(
        image_shape=(28, 28, 1),
        latent_dim=128,
        batch_size=50,
        discriminator_steps=5,
        generator_learning_rate=1e-4,
        discriminator_learning_rate=1e-4,
        beta_2=0.9,
        generator_norm=False,
        steps=200_000,
        every=1000,
    ),
    wgan_gp_32=ResidualConfig(
        image_shape=(32, 32, 3),
        latent_dim=128,
        discriminator_steps=5,
        beta_1=0.0,
        beta_2=0.9,
        schedule="linear",
        steps=100_000,
        every=1000,
    ),
)
class WGANGP(game.Game):
    """A penalty on the critic's slope in the place of clipping."""

    objective = losses.wasserstein

    def __init__(self, config):
        super().__init__(config, *config.networks())

    def discriminator_loss(self, batch, fake):
        mix = losses.mix(fake, self.randomness.next())
        slope = losses.gradient_penalty(lambda images: self.judge(images, batch), batch["image"], fake, mix)
        return {**super().discriminator_loss(batch, fake), "d_penalty": self.config.penalty * slope}
