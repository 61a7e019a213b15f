"""CycleGAN (Zhu, Park, Isola, Efros 2017, arXiv:1703.10593).

Two translators, G: x -> y and F: y -> x, and a discriminator for each domain, on images that have no counterparts (eq. 1-3):

    discriminators  minimise  1/2 E (D_Y(y) - 1)^2 + 1/2 E D_Y(G(x))^2 + 1/2 E (D_X(x) - 1)^2 + 1/2 E D_X(F(y))^2
    translators     minimise  E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2
                              + cycle (E |F(G(x)) - x| + E |G(F(y)) - y|) + identity (E |G(y) - y| + E |F(x) - x|)

What the discriminators see of the translators is drawn from a pool of earlier images (§4). `cyclegan_256` and `cyclegan_128` are the
paper's networks. Differs from the paper: both translators have one optimizer, both discriminators another (as the authors' PyTorch code;
the Torch code has four), and what is shown and served is the translators' average.
"""

import dataclasses
import functools

import keras
import tensorflow as tf

from zoo import ends, game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 64  # channels of a translator's first layer, doubled at each of two smaller sizes (§7.2)
    blocks: int = 9  # residual blocks of a translator: 6 for images of 128 pixels, 9 from 256 on (§7.2)
    discriminator_width: int = 64  # channels of a discriminator's first layer (§7.2)
    patch: int = 3  # convolutions of stride 2 of a discriminator: 3 look at patches of 70x70 pixels (§4)
    slope: float = 0.2  # of the leaky rectifier (§7.2)
    pool: int = 50  # earlier translations that are kept for each discriminator (§4)
    cycle: float = 10.0  # weight of the way there and back (§4)
    identity: float = 5.0  # weight of leaving alone what is there already (§5.2; code)
    jitter: int = 30  # pixels by which an image is enlarged before it is cut at random (code)
    flip: bool = True  # every other image mirrored (code)

    multiple = 4

    def check(self):
        super().check()
        if self.pool < self.batch_size:
            raise UserError(f"--pool {self.pool}: must be at least --batch-size {self.batch_size}")


@keras.saving.register_keras_serializable("zoo")
class ReflectionPad(keras.layers.Layer):
    """Mirrors `margin` pixels at every edge."""

    def __init__(self, margin, **kwargs):
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, x):
        return tf.pad(x, [[0, 0], *([self.margin] * 2,) * 2, [0, 0]], "REFLECT")

    def compute_output_spec(self, x):
        n, *sides, channels = x.shape
        return keras.KerasTensor((n, *(side and side + 2 * self.margin for side in sides), channels), x.dtype)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


def build_translator(config, name):
    def conv(x, filters, kernel, strides=1):
        if strides == 1:
            x = ReflectionPad(kernel // 2)(x)
        padding = "valid" if strides == 1 else "same"
        return keras.layers.Conv2D(filters, kernel, strides, padding, kernel_initializer=layers.normal())(x)

    def norm_relu(x):
        return keras.layers.ReLU()(layers.InstanceNorm()(x))

    channels = config.image_shape[-1]
    other = keras.Input((None, None, channels), name="other")
    x = norm_relu(conv(other, config.width, 7))
    for factor in (2, 4):
        x = norm_relu(conv(x, config.width * factor, 3, 2))
    for _ in range(config.blocks):
        y = norm_relu(conv(x, x.shape[-1], 3))
        x = keras.layers.Add()([x, layers.InstanceNorm()(conv(y, x.shape[-1], 3))])
    for factor in (2, 1):
        x = keras.layers.Conv2DTranspose(config.width * factor, 3, 2, "same", kernel_initializer=layers.normal())(x)
        x = norm_relu(x)
    return keras.Model({"other": other}, layers.image_output(conv(x, channels, 7)), name=name)


def build_generator(config):
    x, y = (keras.Input((None, None, config.image_shape[-1]), name=name) for name in "xy")
    to_x, to_y = build_translator(config, "to_x"), build_translator(config, "to_y")
    return keras.Model({"x": x, "y": y}, {"x": to_x({"other": y}), "y": to_y({"other": x})}, name="generator")


def build_discriminator(config):
    x, y = (keras.Input(config.image_shape, name=name) for name in "xy")

    def judged(image):
        return layers.patch_logits(image, config.discriminator_width, config.patch, config.slope, layers.InstanceNorm)

    return keras.Model({"x": x, "y": y}, {"x": judged(x), "y": judged(y)}, name="discriminator")


@register(
    cyclegan=Config(
        width=16,
        blocks=3,
        discriminator_width=16,
        patch=2,
        jitter=0,
        flip=False,
        batch_size=4,
        schedule="linear",
        steady=0.5,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=5e-4,
        steps=1200,
        every=300,
        averaging=0.99,
    ),
    cyclegan_128=Config(
        image_shape=(128, 128, 3), blocks=6, jitter=15, batch_size=1, schedule="linear", steady=0.5, steps=200_000, every=1000
    ),
    cyclegan_256=Config(image_shape=(256, 256, 3), batch_size=1, schedule="linear", steady=0.5, steps=200_000, every=1000),
)
class CycleGAN(game.Game):
    """Translates between two domains of images that have no counterparts, and back."""

    objective = losses.least_squares._replace(generator=lambda fake: tf.reduce_mean(tf.square(fake - 1)))
    batch_keys = ("x", "y")
    data = "outlines"
    draws = False
    measures = ("translated", "cycle_error", "psnr_x", "psnr_y")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
        self.kept_x, self.kept_y = (layers.Kept(config.pool, config.image_shape) for _ in "xy")
        self.pooled = self._counter("pooled")

    @staticmethod
    def prepare(config, source):
        return source.jittered(config.jitter, config.flip)

    def translated(self, network, to, images, training=False):
        """Images of the other domain as ones of the domain `to`."""
        return network.get_layer(f"to_{to}")({"other": images}, training=training)

    def generate(self, batch):
        return self.generator(self._inputs(self.generator, batch), training=True)

    def judge(self, images, batch):
        return self.discriminator({name: self.augmented(image) for name, image in images.items()}, training=True)

    def recalled(self, fake):
        """Of new translations, every other one exchanged for an earlier one, once there are enough of these."""
        count = tf.shape(fake["x"])[0]
        rows = tf.cast(self.pooled.value, tf.int32) + tf.range(count)
        found = {}
        for name, kept in (("x", self.kept_x), ("y", self.kept_y)):
            images = fake[name]
            drawn = tf.argsort(tf.random.stateless_uniform([kept.rows], self.randomness.next()))[:count]
            swapped = tf.random.stateless_uniform([count], self.randomness.next()) < 0.5
            swapped &= drawn < tf.cast(self.pooled.value, tf.int32)  # what this batch puts there is not there yet
            full = rows >= kept.rows
            found[name] = tf.where((full & swapped)[:, None, None, None], kept.take(drawn), images)
            kept.put(tf.where(full, tf.where(swapped, drawn, -1), rows), images)
        self.pooled.assign_add(tf.cast(count, tf.int64))
        return found

    def discriminator_loss(self, batch, fake):
        real, found = self.judge({name: batch[name] for name in "xy"}, batch), self.judge(self.recalled(fake), batch)
        self.note_logits(*(tf.concat([tf.reshape(said[name], [-1]) for name in "xy"], 0) for said in (real, found)))
        return {f"d_adversarial_{name}": self.objective.discriminator(real[name], found[name]) for name in "xy"}

    def generator_loss(self, batch, fake):
        said, terms = self.judge(fake, batch), {}
        for name, other in ("xy", "yx"):
            back = self.translated(self.generator, other, fake[name], training=True)
            same = self.translated(self.generator, name, batch[name], training=True)
            terms[f"g_adversarial_{name}"] = self.objective.generator(said[name])
            terms[f"g_cycle_{other}"] = self.config.cycle * tf.reduce_mean(tf.abs(back - batch[other]))
            terms[f"g_identity_{name}"] = self.config.identity * tf.reduce_mean(tf.abs(same - batch[name]))
        return terms

    def preview(self, batch):
        """Eight of each domain; below them their translations, and these translated back."""
        rows = []
        for name, other in ("xy", "yx"):
            there = self.translated(self.averaged, other, batch[name][:8])
            rows += [batch[name][:8], there, self.translated(self.averaged, name, there)]
        return ends.rows_of(rows)

    def exports(self):
        shape = (None, None, self.config.image_shape[-1])
        offered = {}

        def cut(name, image):
            """As large as the image, also where its sides are no multiples of 4."""
            _, height, width, _ = tf.unstack(tf.shape(image))
            return self.translated(self.averaged, name, image)[:, :height, :width]

        for name in "yx":
            offered |= ends.translating(f"to_{name}", functools.partial(cut, name), shape)
        return {"serving_default": offered["to_y"], **offered}

    def scores(self, held, classify):
        there, errors = {}, []
        for name, other in ("xy", "yx"):
            made, back = [], []
            for i in range(0, len(held[name]), 50):
                images = tf.cast(held[name][i : i + 50], tf.float32) / 127.5 - 1
                made.append(self.translated(self.averaged, other, images))
                back.append(tf.reduce_mean(tf.abs(self.translated(self.averaged, name, made[-1]) - images), (1, 2, 3)) / 2)
            there[other] = tf.concat([ends.to_unit(part) for part in made], 0)
            errors.append(tf.reduce_mean(tf.concat(back, 0)))
        found = {"cycle_error": float(tf.reduce_mean(errors))}
        if "pair" in held:
            found |= {f"psnr_{k}": float(tf.reduce_mean(tf.image.psnr(there[k], held[k] / 255.0, 1.0))) for k in "xy"}
        if classify:
            wanted = [held.get("label_y", 0), held.get("label_x", 1)]  # what is made as x was y
            said = [classify(there[name].numpy()) == labels for name, labels in zip("xy", wanted)]
            found["translated"] = float(sum(map(sum, said)) / sum(map(len, said)))
        return found
