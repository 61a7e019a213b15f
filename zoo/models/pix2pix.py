"""pix2pix (Isola, Zhu, Zhou, Efros 2016, arXiv:1611.07004).

Trained on pairs (x, y): G translates x to y given noise z, and D sees x and y together (eq. 1-4):

    discriminator   minimizes  -E log D(x, y) - E log(1 - D(x, G(x, z)))
    generator       minimizes  -E log D(x, G(x, z)) + l1_weight E |y - G(x, z)|

The noise is dropout, which stays on at test time (§3.2.1). `pix2pix_256` is the paper's U-Net with its discriminator of 70x70 patches.

Differs from the paper: the discriminator's loss is not halved, as in the authors' Torch code; the paper halves it. Each image is
normalized by its own statistics at any batch size; the paper uses those of the batch, also at test time, mostly with batches of one image.
"""

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, replicas
from zoo.core.images import image_to_image_signatures, interleave_rows
from zoo.metrics.translation import PAIRED_METRICS
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512)  # encoder channels; small images use the first entries (§6.1.1)
    dropout: float = 0.5  # dropout rate of the decoder's first three layers (§6.1.1)
    discriminator_width: int = 64  # channels of the discriminator's first layer (§6.1.2)
    patch_layers: int = 3  # stride-2 convolutions of the discriminator: with 3 it classifies patches of 70x70 pixels (§6.1.2)
    negative_slope: float = 0.2  # slope of the leaky ReLU (§6.1.1)
    l1_weight: float = 100.0  # weight of the L1 loss (§6.2)
    direction: Literal["x_to_y", "y_to_x"] = "x_to_y"  # which half of a pair is translated to the other; x is the left one
    jitter: int = 30  # random jitter: pairs are resized to (size + jitter) pixels and cropped at random (§6.2)
    flip: bool = True  # whether training pairs are flipped horizontally at random (§6.2)

    size_multiple = 4
    channel_counts = (1, 3)


@keras.saving.register_keras_serializable("zoo")
class Dropout(keras.layers.Layer):
    """Dropout that is always on, and whose mask is a function of a seed per image.

    Args:
        rate: Fraction of the values that are set to 0.
        number: Distinguishes the dropout layers of a network, which share the seeds.
    """

    def __init__(self, rate, number, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.number = rate, number

    def call(self, x, seed):
        """Drop values of x [n, h, w, c]; seed: int64 [n]."""
        shape, spec = tf.shape(x)[1:], tf.TensorSpec(x.shape[1:], tf.float32)  # the sides are unknown inside a SavedModel
        uniform = tf.map_fn(lambda s: tf.random.stateless_uniform(shape, tf.stack([s, self.number])), seed, fn_output_signature=spec)
        return x * tf.cast(uniform >= self.rate, x.dtype) / (1 - self.rate)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "number": self.number}


def build_generator(config):
    *sides, channels = config.image_shape
    widths = config.widths
    while any(side % 2 ** len(widths) for side in sides):
        widths = widths[:-1]
    x = image = keras.Input(config.image_shape, name="x")
    seed = keras.Input((), dtype="int64", name="seed")
    skips = []
    for i, width in enumerate(widths):
        x = keras.layers.LeakyReLU(config.negative_slope)(x) if i else x
        x = keras.layers.Conv2D(width, 4, 2, "same", kernel_initializer=layers.normal_init())(x)
        # A single pixel has no statistics of its own: normalization would leave 0.
        x = layers.InstanceNorm(affine=True)(x) if i and x.shape[1:3] != (1, 1) else x
        skips.append(x)
    *skips, x = skips
    for i, width in enumerate([*reversed(widths[:-1]), channels]):
        x = keras.layers.Conv2DTranspose(width, 4, 2, "same", kernel_initializer=layers.normal_init())(keras.layers.ReLU()(x))
        if skips:
            x = layers.InstanceNorm(affine=True)(x)
            x = Dropout(config.dropout, i)(x, seed) if i < 3 else x
            x = keras.layers.Concatenate()([x, skips.pop()])
    return keras.Model({"x": image, "seed": seed}, layers.image_output(x), name="generator")


def build_discriminator(config):
    *sides, channels = config.image_shape
    both = keras.Input((*sides, 2 * channels), name="both")
    width, slope = config.discriminator_width, config.negative_slope
    x = layers.patch_logits(both, width, config.patch_layers, slope, lambda: layers.InstanceNorm(affine=True))
    return keras.Model({"both": both}, x, name="discriminator")


@register(
    pix2pix=Config(
        widths=(16, 32, 64, 128, 128, 128, 128, 128),
        discriminator_width=16,
        patch_layers=2,
        jitter=0,
        flip=False,
        batch_size=8,
        steps=1200,
        eval_every=300,
        ema_decay=0.99,
    ),
    pix2pix_256=Config(image_shape=(256, 256, 3), batch_size=1, steps=80_000, eval_every=1000),  # 200 epochs of 400 pairs
)
class Pix2Pix(Game):
    """Translates images from one domain to another; trained on pairs."""

    batch_keys = ("x", "y", "pair")
    generates_from_noise = False
    own_metrics = PAIRED_METRICS

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    @staticmethod
    def prepare_data(config, source):
        source = source.swapped() if config.direction == "y_to_x" else source
        return source.with_jitter(config.jitter, config.flip)

    def generate(self, batch):
        seed = replicas.draw_integers(self.seeds.next(), tf.shape(batch["x"])[0], 2**31)
        return self.generator({"x": batch["x"], "seed": seed}, training=True)

    def call_discriminator(self, images, batch):
        return self.discriminator({"both": self.augment(tf.concat([batch["x"], images], -1))}, training=True)

    def discriminator_loss(self, batch, fake):
        twice = {"x": tf.concat([batch["x"], batch["x"]], 0)}
        real_logits, fake_logits = tf.split(self.call_discriminator(tf.concat([batch["y"], fake], 0), twice), 2)
        return {"d_adversarial": self.discriminator_objective(real_logits, fake_logits)}

    def generator_loss(self, batch, fake):
        l1 = self.config.l1_weight * tf.reduce_mean(tf.abs(batch["y"] - fake))
        return {**super().generator_loss(batch, fake), "g_l1": l1}

    def translate(self, images, seed):
        """Translate images with the EMA generator; [-1, 1] to [-1, 1]. seed: int64 [n], one per image for its noise."""
        return self.ema_generator({"x": images, "seed": seed}, training=False)

    def preview(self, batch):
        """Images; below them their translations, and below these the true images."""
        images = batch["x"][:16]
        translations = self.translate(images, tf.range(tf.shape(images)[0], dtype=tf.int64))
        return interleave_rows([batch["x"], translations, batch["y"]])

    def signatures(self):
        seed = tf.TensorSpec([None], tf.int64, "seed")
        offered = image_to_image_signatures("translate", self.translate, self.config.image_shape, seed)
        return {"serving_default": offered["translate"], **offered}
