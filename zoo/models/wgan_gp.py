"""WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028).

With x' = x + u (G(z) - x), where u is uniform in [0, 1) and drawn for each image:

    critic          minimizes  E f(G(z)) - E f(x) + 10 E (|grad f(x')| - 1)^2          (eq. 3)
    generator       minimizes  -E f(G(z))

The critic has no batch normalization, since the penalty applies to each image separately (§4). `wgan_gp_mnist` is the authors' pair of
networks for MNIST, `wgan_gp_32` their residual networks for CIFAR-10 (appendix F, table 3). `wgan_gp` is DCGAN's generator against such a
critic.

Differs from the authors' code: images are in [-1, 1] and G ends in tanh; for MNIST, the code has images in [0, 1], where the same critic
has twice the gradient norm, and a sigmoid. Weights of the plain networks and of the residual critic's last layer start from N(0, 0.02), as
DCGAN's; the code uses He's and Glorot's initialization. The penalty's square root has an epsilon of 1e-12; the code's has none. Adam's
epsilon is Keras' default of 1e-7; the code's is 1e-8. On CIFAR-10, the generator's batch has 64 images; the code's has 128. On CIFAR-10,
images get no dequantization noise; the code adds uniform noise of 1/128.
"""

import dataclasses

import keras

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels at the highest resolution, doubled at each lower one up to a factor of 8 (code, DIM)
    kernel: int = 5  # kernel size (code)
    negative_slope: float = 0.2  # slope of the leaky ReLU (code)
    generator_norm: bool = True  # whether the generator has batch normalization; not in the code for MNIST
    penalty_weight: float = 10.0  # weight of the gradient penalty (§4, lambda)

    def networks(self):
        return build_generator(self), build_critic(self)


@dataclasses.dataclass(frozen=True)
class ResidualConfig(ImageConfig):
    width: int = 128  # channels of all blocks (appendix F, table 3)
    penalty_weight: float = 10.0  # weight of the gradient penalty (§4, lambda)

    def networks(self):
        return build_residual_generator(self), build_residual_critic(self)


def relu(x):
    return keras.layers.ReLU()(x)


def identity(x):
    return x


def build_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    after = layers.norm_relu if config.generator_norm else relu
    x = layers.dcgan_generator_trunk(latent, config.image_shape, config.width, config.kernel, after, use_bias=True)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_critic(config):
    image = keras.Input(config.image_shape, name="image")
    x = layers.dcgan_discriminator_trunk(image, config.width, config.kernel, config.negative_slope, identity, use_bias=True)
    return keras.Model({"image": image}, layers.logits(x), name="discriminator")


def build_residual_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.residual_generator(latent, config.image_shape, config.width, layers.plain_norm_relu)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_residual_critic(config):
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
        eval_every=1000,
    ),
    wgan_gp_32=ResidualConfig(
        image_shape=(32, 32, 3),
        latent_dim=128,
        discriminator_steps=5,
        beta_1=0.0,
        beta_2=0.9,
        schedule="linear",
        steps=100_000,
        eval_every=1000,
    ),
)
class WGANGP(Game):
    """The critic is trained with a gradient penalty instead of weight clipping."""

    objective = losses.wasserstein

    def __init__(self, config):
        super().__init__(config, *config.networks())

    def discriminator_loss(self, batch, fake):
        weights = losses.interpolation_weights(fake, self.seeds.next())
        penalty = losses.gradient_penalty(lambda images: self.call_discriminator(images, batch), batch["image"], fake, weights)
        return {**super().discriminator_loss(batch, fake), "d_penalty": self.config.penalty_weight * penalty}
