"""SAGAN (Zhang, Goodfellow, Metaxas, Odena 2018, arXiv:1805.08318).

Residual networks with self-attention: each place looks at all others, x + gain * o(x), with the gain from 0 (eq. 1-3):

    discriminator   minimises  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))      (eq. 4)
    generator       minimises  -E D(G(z, y), y)

Spectral norm in both networks, the discriminator learning four times as fast (§3.2, 3.3); classes by conditional batch norm in G and
by projection in D. `sagan_128` is the network for ImageNet. Differs from the paper's text, as the authors' code does: keys and values
are pooled, values have half the channels. Attention stands at 64x64, the best row of table 1 (the code's default is 32x32). Generated
images take the classes of the real ones of the batch.
"""

import dataclasses

import keras

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels at the largest size (code)
    multipliers: tuple[int, ...] = (16, 16, 8, 4, 2, 1)  # of the width: the dense layer's, then each block's up; small images take the last
    attention_side: int = 64  # of the feature maps with attention, or the size nearest to it, in both networks (table 1)


def attention(x):
    return layers.attention(x, lambda y, filters, kernel: layers.spectral_conv(y, filters, kernel, use_bias=False))


def build_generator(config):
    start, *sizes = layers.pyramid(config.image_shape)
    first, *others = layers.last(config.multipliers, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")

    def norm_relu(x):
        return layers.class_norm_relu(x, label, config.num_classes)

    x = layers.SpectralDense(start[0] * start[1] * first * config.width)(latent)
    x = keras.layers.Reshape((*start, first * config.width))(x)
    for size, multiplier in zip(sizes, others):
        x = layers.residual_up(x, size, multiplier * config.width, layers.spectral_conv, norm_relu)
        x = attention(x) if size == layers.nearest_size(config.image_shape, config.attention_side) else x
    x = layers.spectral_conv(layers.plain_norm_relu(x), config.image_shape[-1], 3)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    widths = [multiplier * config.width for multiplier in layers.last(config.multipliers, len(layers.pyramid(config.image_shape)))]
    x = layers.attended_features(image, widths, layers.spectral_conv, attention, config.attention_side)
    x = layers.projected(layers.place_sum(x), label, config.num_classes)
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


@register(
    sagan=Config(
        width=16,
        attention_side=16,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=2e-3,
        beta_1=0.0,
        beta_2=0.9,
        steps=500,
        every=100,
    ),
    sagan_128=Config(
        image_shape=(128, 128, 3),
        latent_dim=128,
        batch_size=256,
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.9,
        averaging=0.9999,
        steps=1_000_000,
        every=5000,
    ),
)
class SAGAN(game.Game):
    """Self-attention in both networks: parts of a picture that are far apart fit each other."""

    objective = losses.hinge
    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
