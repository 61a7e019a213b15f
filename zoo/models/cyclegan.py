"""CycleGAN (Zhu, Park, Isola, Efros 2017, arXiv:1703.10593).

Two generators, G: x -> y and F: y -> x, and a discriminator for each domain, trained on unpaired images (eq. 1-3; identity loss §5.2):

    discriminators  minimize  1/2 E (D_Y(y) - 1)^2 + 1/2 E D_Y(G(x))^2 + 1/2 E (D_X(x) - 1)^2 + 1/2 E D_X(F(y))^2
    generators      minimize  E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2
                              + cycle_weight (E |F(G(x)) - x| + E |G(F(y)) - y|)
                              + identity_weight (E |G(y) - y| + E |F(x) - x|)

The discriminators are trained on translations from a replay buffer (§4). `cyclegan_256` and `cyclegan_128` are the paper's networks.

Differs from the paper: both generators share an optimizer, and so do both discriminators, as in the authors' PyTorch code; their Torch
code has four optimizers. The identity loss is on by default, as in the Torch code; the paper uses it for paintings only.
"""

import dataclasses
import functools

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, add_counter, layers, losses, replicas
from zoo.core.images import image_to_image_signatures, interleave_rows
from zoo.errors import UserError
from zoo.metrics.translation import UNPAIRED_METRICS
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 64  # channels of a generator's first layer, doubled at each of two lower resolutions (§7.2)
    blocks: int = 9  # residual blocks of a generator: 6 for 128x128 images, 9 for 256x256 and above (§7.2)
    discriminator_width: int = 64  # channels of a discriminator's first layer (§7.2)
    patch_layers: int = 3  # stride-2 convolutions of a discriminator: with 3 it classifies patches of 70x70 pixels (§4)
    negative_slope: float = 0.2  # slope of the leaky ReLU (§7.2)
    buffer_size: int = 50  # translations in the replay buffer of each discriminator (§4)
    cycle_weight: float = 10.0  # weight of the cycle consistency loss (§4)
    identity_weight: float = 5.0  # weight of the identity loss (§5.2; code)
    jitter: int = 30  # random jitter: images are resized to (size + jitter) pixels and cropped at random (code)
    flip: bool = True  # whether training images are flipped horizontally at random (code)

    size_multiple = 4
    channel_counts = (1, 3)

    def validate(self):
        super().validate()
        if self.buffer_size < self.batch_size:
            raise UserError(f"--buffer-size {self.buffer_size}: must be at least --batch-size {self.batch_size}")


@keras.saving.register_keras_serializable("zoo")
class ReflectionPadding(keras.layers.Layer):
    """Reflection padding of images by `margin` pixels at every edge."""

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
            x = ReflectionPadding(kernel // 2)(x)
        padding = "valid" if strides == 1 else "same"
        return keras.layers.Conv2D(filters, kernel, strides, padding, kernel_initializer=layers.normal_init())(x)

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
        x = keras.layers.Conv2DTranspose(config.width * factor, 3, 2, "same", kernel_initializer=layers.normal_init())(x)
        x = norm_relu(x)
    x = layers.BlockConv2D(channels, 7, 2, kernel_initializer=layers.normal_init())(ReflectionPadding(3)(x))
    return keras.Model({"other": other}, layers.image_output(x), name=name)


def build_generator(config):
    x, y = (keras.Input((None, None, config.image_shape[-1]), name=name) for name in "xy")
    to_x, to_y = build_translator(config, "to_x"), build_translator(config, "to_y")
    return keras.Model({"x": x, "y": y}, {"x": to_x({"other": y}), "y": to_y({"other": x})}, name="generator")


def build_discriminator(config):
    x, y = (keras.Input(config.image_shape, name=name) for name in "xy")

    def patch_logits(image):
        width, slope = config.discriminator_width, config.negative_slope
        return layers.patch_logits(image, width, config.patch_layers, slope, layers.InstanceNorm)

    return keras.Model({"x": x, "y": y}, {"x": patch_logits(x), "y": patch_logits(y)}, name="discriminator")


@register(
    cyclegan=Config(
        width=16,
        blocks=3,
        discriminator_width=16,
        patch_layers=2,
        jitter=0,
        flip=False,
        batch_size=4,
        schedule="linear",
        decay_start=0.5,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=5e-4,
        steps=1200,
        eval_every=300,
        ema_decay=0.99,
    ),
    cyclegan_128=Config(
        image_shape=(128, 128, 3),
        blocks=6,
        jitter=15,
        batch_size=1,
        schedule="linear",
        decay_start=0.5,
        steps=200_000,  # 200 epochs of about 1,000 images
        eval_every=1000,
    ),
    cyclegan_256=Config(image_shape=(256, 256, 3), batch_size=1, schedule="linear", decay_start=0.5, steps=200_000, eval_every=1000),
)
class CycleGAN(Game):
    """Translates images between two domains; trained on unpaired images."""

    objective = losses.least_squares._replace(generator=lambda fake: tf.reduce_mean(tf.square(fake - 1)))
    batch_keys = ("x", "y")
    generates_from_noise = False
    own_metrics = UNPAIRED_METRICS

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))
        self.buffer_x, self.buffer_y = (layers.ReplayBuffer(config.buffer_size, config.image_shape) for _ in "xy")
        self.pooled = add_counter(self, "pooled")  # translations made so far, of each domain

    @staticmethod
    def prepare_data(config, source):
        return source.with_jitter(config.jitter, config.flip)

    def call_translator(self, network, domain, images, training=False):
        """Translate images of the other domain to `domain`, x or y, with generator G or F of the network; [-1, 1] to [-1, 1]."""
        return network.get_layer(f"to_{domain}")({"other": images}, training=training)

    def translate(self, images, domain):
        """Translate images of the other domain to `domain`, x or y, with the EMA of generator G or F; [-1, 1] to [-1, 1]."""
        return self.call_translator(self.ema_generator, domain, images)

    def generate(self, batch):
        """Translate both domains, and with the identity loss also map images to their own; each generator runs once for both."""
        x, y = batch["x"], batch["y"]
        if not self.config.identity_weight:
            return self.generator({"x": x, "y": y}, training=True)
        both = self.generator({"x": tf.concat([x, y], 0), "y": tf.concat([y, x], 0)}, training=True)
        (fake_x, same_x), (fake_y, same_y) = (tf.split(both[name], 2) for name in "xy")
        return {"x": fake_x, "y": fake_y, "same_x": same_x, "same_y": same_y}

    def call_discriminator(self, images, batch):
        return self.discriminator({name: self.augment(images[name]) for name in "xy"}, training=True)

    def replay(self, fake):
        """Exchange half of the new translations for earlier ones, at random, once the buffers are full (§4)."""
        fake = {name: replicas.all_rows(fake[name]) for name in "xy"}
        count = tf.shape(fake["x"])[0]
        pooled = tf.cast(self.pooled.value, tf.int32)
        rows = pooled + tf.range(count)
        replayed = {}
        for name, buffer in (("x", self.buffer_x), ("y", self.buffer_y)):
            images = fake[name]
            candidates = tf.argsort(tf.random.stateless_uniform([buffer.rows], self.seeds.next()))[:count]
            exchanged = tf.random.stateless_uniform([count], self.seeds.next()) < 0.5
            exchanged &= candidates < pooled  # rows that this batch fills are still empty
            full = rows >= buffer.rows
            replayed[name] = tf.where((full & exchanged)[:, None, None, None], buffer.take(candidates), images)
            buffer.put(tf.where(full, tf.where(exchanged, candidates, -1), rows), images)
        self.pooled.assign_add(tf.cast(count, tf.int64))
        return {name: replicas.own_rows(images) for name, images in replayed.items()}

    def discriminator_loss(self, batch, fake):
        replayed = self.replay(fake)
        logits = self.call_discriminator({name: tf.concat([batch[name], replayed[name]], 0) for name in "xy"}, batch)
        real_logits, fake_logits = ({name: tf.split(logits[name], 2)[half] for name in "xy"} for half in (0, 1))
        flat = [tf.concat([tf.reshape(logits[name], [-1]) for name in "xy"], 0) for logits in (real_logits, fake_logits)]
        self.step_metrics.log_logits(*flat)
        return {f"d_adversarial_{name}": self.objective.discriminator(real_logits[name], fake_logits[name]) for name in "xy"}

    def generator_loss(self, batch, fake):
        logits, terms = self.call_discriminator(fake, batch), {}
        for name, other in ("xy", "yx"):
            cycled = self.call_translator(self.generator, other, fake[name], training=True)
            terms[f"g_adversarial_{name}"] = self.objective.generator(logits[name])
            terms[f"g_cycle_{other}"] = self.config.cycle_weight * tf.reduce_mean(tf.abs(cycled - batch[other]))
            if self.config.identity_weight:
                terms[f"g_identity_{name}"] = self.config.identity_weight * tf.reduce_mean(tf.abs(fake[f"same_{name}"] - batch[name]))
        return terms

    def preview(self, batch):
        """Eight images of each domain; below them their translations, and below these the translations back."""
        rows = []
        for name, other in ("xy", "yx"):
            translated = self.translate(batch[name][:8], other)
            rows += [batch[name][:8], translated, self.translate(translated, name)]
        return interleave_rows(rows)

    def signatures(self):
        shape = (None, None, self.config.image_shape[-1])
        offered = {}
        for name in "yx":
            offered |= image_to_image_signatures(f"to_{name}", functools.partial(self._translate_and_crop, name), shape)
        return {"serving_default": offered["to_y"], **offered}

    def _translate_and_crop(self, domain, image):
        """Translate images of any size; the generators round sides up to multiples of 4."""
        _, height, width, _ = tf.unstack(tf.shape(image))
        return self.translate(image, domain)[:, :height, :width]
