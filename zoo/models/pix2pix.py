"""pix2pix (Isola, Zhu, Zhou, Efros 2016, arXiv:1611.07004).

Pairs (x, y); G turns x into y with a noise z, D looks at both together (eq. 1-4):

    discriminator   minimises  -E log D(x, y) - E log(1 - D(x, G(x, z)))
    generator       minimises  -E log D(x, G(x, z)) + l1 E |y - G(x, z)|

The noise is dropout, which stays on when a translation is asked for (§3.2.1). `pix2pix_256` is the paper's U-Net and its discriminator of
70x70 patches. Differs from the paper: the discriminator's loss is not halved, as in the authors' Torch code; every image is normalised by
its own statistics, as theirs are by their batch of one, whatever the batch; what is shown and served is the average of the generator.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo import ends, game, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512)  # channels at each smaller size, as far as it can be halved (§6.1.1)
    dropout: float = 0.5  # of the first three layers of the way up (§6.1.1)
    discriminator_width: int = 64  # channels of the discriminator's first layer (§6.1.2)
    patch: int = 3  # convolutions of stride 2 of the discriminator: 3 look at patches of 70x70 pixels (§6.1.2)
    slope: float = 0.2  # of the leaky rectifier (§6.1.1)
    l1: float = 100.0  # weight of the distance to the truth (§6.2)
    jitter: int = 30  # pixels by which a pair is enlarged before it is cut at random (§6.2)
    flip: bool = True  # every other pair mirrored (§6.2)

    multiple = 4


@keras.saving.register_keras_serializable("zoo")
class Dropout(keras.layers.Layer):
    """Dropout that is never off, and drops of each image what its own seed [n] says. number: tells such layers of one network apart."""

    def __init__(self, rate, number, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.number = rate, number

    def call(self, x, seed):
        shape, spec = tf.shape(x)[1:], tf.TensorSpec(x.shape[1:], tf.float32)  # inside a SavedModel the sides are not known
        drawn = tf.map_fn(lambda s: tf.random.stateless_uniform(shape, tf.stack([s, self.number])), seed, fn_output_signature=spec)
        return x * tf.cast(drawn >= self.rate, x.dtype) / (1 - self.rate)

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
        x = keras.layers.LeakyReLU(config.slope)(x) if i else x
        x = keras.layers.Conv2D(width, 4, 2, "same", kernel_initializer=layers.normal())(x)
        # A single pixel has no statistics of its own: there the norm would leave 0.
        x = layers.InstanceNorm(affine=True)(x) if i and x.shape[1:3] != (1, 1) else x
        skips.append(x)
    *skips, x = skips
    for i, width in enumerate([*reversed(widths[:-1]), channels]):
        x = keras.layers.Conv2DTranspose(width, 4, 2, "same", kernel_initializer=layers.normal())(keras.layers.ReLU()(x))
        if skips:
            x = layers.InstanceNorm(affine=True)(x)
            x = Dropout(config.dropout, i)(x, seed) if i < 3 else x
            x = keras.layers.Concatenate()([x, skips.pop()])
    return keras.Model({"x": image, "seed": seed}, layers.image_output(x), name="generator")


def build_discriminator(config):
    *sides, channels = config.image_shape
    both = keras.Input((*sides, 2 * channels), name="both")
    x = layers.patch_logits(both, config.discriminator_width, config.patch, config.slope, lambda: layers.InstanceNorm(affine=True))
    return keras.Model({"both": both}, x, name="discriminator")


@register(
    pix2pix=Config(
        widths=(16, 32, 64, 128, 128, 128, 128, 128),
        discriminator_width=16,
        patch=2,
        jitter=0,
        flip=False,
        batch_size=8,
        steps=1200,
        every=300,
        averaging=0.99,
    ),
    pix2pix_256=Config(image_shape=(256, 256, 3), batch_size=1, steps=80_000, every=1000),
)
class Pix2Pix(game.Game):
    """Translates images, learned from pairs."""

    batch_keys = ("x", "y", "pair")
    real = "y"
    data = "outline_pairs"
    draws = False
    measures = ("psnr", "translated")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    @staticmethod
    def prepare(config, source):
        return source.jittered(config.jitter, config.flip)

    def generate(self, batch):
        rows = tf.shape(batch["x"])[:1]
        seed = tf.random.stateless_uniform(rows, self.randomness.next(), 0, 2**31, tf.int64)
        return self.generator({"x": batch["x"], "seed": seed}, training=True)

    def judge(self, images, batch):
        return self.discriminator({"both": self.augmented(tf.concat([batch["x"], images], -1))}, training=True)

    def generator_loss(self, batch, fake):
        return {**super().generator_loss(batch, fake), "g_l1": self.config.l1 * tf.reduce_mean(tf.abs(batch["y"] - fake))}

    def translated(self, images, seed):
        """Images in [-1, 1] of the averaged generator. seed: int64 [n], of the noise of each."""
        return self.averaged({"x": images, "seed": seed}, training=False)

    def preview(self, batch):
        """Images, below them their translations, below these the truth."""
        made = self.translated(batch["x"][:16], tf.range(tf.shape(batch["x"][:16])[0], dtype=tf.int64))
        return ends.rows_of([batch["x"], made, batch["y"]])

    def exports(self):
        seed = tf.TensorSpec([None], tf.int64, "seed")
        offered = ends.translating("translate", self.translated, self.config.image_shape, seed)
        return {"serving_default": offered["translate"], **offered}

    def scores(self, held, classify):
        made = []
        for i in range(0, len(held["x"]), 50):
            images = tf.cast(held["x"][i : i + 50], tf.float32) / 127.5 - 1
            made.append(ends.to_unit(self.translated(images, tf.constant(held["pair"][i : i + 50], tf.int64))))
        made = tf.concat(made, 0)
        found = {"psnr": float(tf.reduce_mean(tf.image.psnr(made, held["y"] / 255.0, 1.0)))}
        if classify:  # its own class where there are classes, else the domain
            found["translated"] = float(tf.reduce_mean(tf.cast(classify(made.numpy()) == held.get("label", 1), tf.float32)))
        return found
