"""SAGAN (Zhang, Goodfellow, Metaxas, Odena 2018, arXiv:1805.08318).

Residual networks with self-attention, x + scale * o(x), by which each position attends to all others; the scale starts at 0 (eq. 1-3):

    discriminator   minimizes  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))      (eq. 4)
    generator       minimizes  -E D(G(z, y), y)

Spectral normalization in both networks and a discriminator learning rate four times the generator's (§3.2, 3.3); classes by conditional
batch normalization in G and by projection in D. `sagan_128` is the network for ImageNet, with attention at 64x64, the best row
of table 1.

Differs from the paper's text, as the authors' code does: keys and values are max-pooled; the text does not pool them. Values have half of
the channels; in the text they have an eighth. Differs from the code: attention is at 64x64; the code's default is 32x32. D's power
iterations also run on generated images; the code's run on real ones only. Adam's epsilon is Keras' default of 1e-7; the code's is 1e-8.
"""

import dataclasses
import functools

import keras

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels at the highest resolution (code)
    multipliers: tuple[int, ...] = (16, 16, 8, 4, 2, 1)  # factors on the width, from 4x4 up; small images use the last entries (code)
    attention_side: int = 64  # resolution of the feature maps with attention in both networks, or the nearest one (table 1)


def attention(x):
    return layers.self_attention(x, functools.partial(layers.spectral_conv, use_bias=False))


def build_generator(config):
    start, *sizes = layers.resolutions(config.image_shape)
    first, *multipliers = layers.last_widths(config.multipliers, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")
    norm_relu = functools.partial(layers.class_norm_relu, label=label, num_classes=config.num_classes)
    x = layers.SpectralDense(start[0] * start[1] * first * config.width)(latent)
    x = keras.layers.Reshape((*start, first * config.width))(x)
    for size, multiplier in zip(sizes, multipliers, strict=True):
        x = layers.residual_up(x, size, multiplier * config.width, layers.spectral_conv, norm_relu)
        x = attention(x) if size == layers.nearest_size(config.image_shape, config.attention_side) else x
    x = layers.spectral_conv(layers.plain_norm_relu(x), config.image_shape[-1], 3)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    multipliers = layers.last_widths(config.multipliers, len(layers.resolutions(config.image_shape)))
    widths = [multiplier * config.width for multiplier in multipliers]
    x = layers.attended_features(image, widths, layers.spectral_conv, attention, config.attention_side)
    x = layers.projection_logit(layers.global_sum_pool(x), label, config.num_classes)
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
        eval_every=100,
    ),
    sagan_128=Config(
        image_shape=(128, 128, 3),
        latent_dim=128,
        batch_size=256,
        generator_learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
        beta_1=0.0,
        beta_2=0.9,
        ema_decay=0.9999,
        steps=1_000_000,
        eval_every=5000,
    ),
)
class SAGAN(Game):
    """Self-attention in both networks relates distant parts of an image."""

    objective = losses.hinge
    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
