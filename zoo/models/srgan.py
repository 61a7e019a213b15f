"""SRGAN and SRResNet (Ledig et al. 2016, arXiv:1609.04802).

Super-resolution by a factor of 4. With x a high-resolution picture, y = bicubic(x) downsampled by 4, and features phi of VGG19:

    SRResNet        minimizes  E |x - G(y)|^2 / values

    SRGAN:
    discriminator   minimizes  E softplus(-D(x)) + E softplus(D(G(y)))
    generator       minimizes  content(x, G(y)) + 1e-3 E softplus(-D(G(y)))
    content                    mse: as SRResNet; vgg54, vgg22: E |phi(x) - phi(G(y))|^2 / features, phi divided by 12.75;
                               vgg22 also total_variation_weight * total variation of G(y)

vgg54 denotes the activations of the fourth convolution before the fifth pooling layer (Keras' block5_conv4), vgg22 those of the second
before the second one (block2_conv2). The squared error alone gives blurry pictures with a high PSNR; the discriminator sharpens them, at a
lower PSNR.

`srresnet_96` and `srgan_96` are the paper's networks, and SRGAN starts from SRResNet: --init-from RUN. `srresnet` and `srgan` are small
and need no VGG. All networks take inputs in [-1, 1]; the generator rescales them to the paper's [0, 1] itself.

Differs from the paper: pictures are downsampled by the bicubic filter alone; the paper applies a Gaussian filter first. `srresnet` and
`srgan` start as the bicubic filter and learn a residual; the paper's networks learn the whole picture. `srgan` uses the squared error as
its content loss; the paper's SRGAN uses VGG features.
"""

import dataclasses
import functools
import math
import os
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, Omittable, layers
from zoo.core.images import image_to_image_signatures, to_unit
from zoo.core.perceptual import VGG19Features
from zoo.core.tiling import upscale_picture
from zoo.errors import UserError
from zoo.metrics.super_resolution import SUPER_RESOLUTION_METRICS, bicubic_resize, convert_channels
from zoo.registry import register

SCALE = 4  # factor on both sides
VGG_LAYERS = {"vgg54": "block5_conv4", "vgg22": "block2_conv2"}  # Keras' names of phi_5,4 and phi_2,2 (§2.2.1)


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    image_shape: tuple[int, int, int] = (96, 96, 3)  # shape of the high-resolution training crops; any size can be upscaled (§3.2)
    batch_size: int = 16  # crops in one update, over all replicas (§3.2)
    generator_learning_rate: float = 1e-4  # generator learning rate (§3.2)
    discriminator_learning_rate: float = 1e-4  # discriminator learning rate (§3.2)
    beta_1: float | None = 0.9  # decay of Adam's first moment, or momentum of SGD (§3.2); unused by RMSprop
    blocks: int = 16  # residual blocks of the generator (§3.2)
    width: int = 64  # channels of the generator (figure 4)
    bicubic_skip: bool = False  # whether the generator learns a residual of the bicubic filter, which starts at 0 (not in the paper)
    random_rotation: bool = False  # whether training crops are flipped, and rotated by multiples of 90 degrees (not in the paper)

    size_multiple = SCALE
    channel_counts = (1, 3)


@dataclasses.dataclass(frozen=True)
class SRGANConfig(Config):
    discriminator_widths: tuple[int, ...] = (64, 64, 128, 128, 256, 256, 512, 512)  # channels; every second layer has stride 2 (figure 4)
    discriminator_units: int = 1024  # units of the discriminator's dense layer (figure 4)
    negative_slope: float = 0.2  # slope of the leaky ReLU (§2.1.1)
    content_loss: Literal["vgg54", "vgg22", "mse"] = "vgg54"  # squared error of VGG19 features or of pixels (§2.2.1)
    vgg_weights: Omittable[str] = None  # weights file of VGG19 without its head, in Keras' format (default: downloaded by Keras)
    adversarial_weight: float = 1e-3  # weight of the adversarial loss (eq. 3)
    total_variation_weight: float = 2e-8  # weight of the total variation, with vgg22 (supplement, A.3)

    def resolve(self, **data_defaults):
        config = super().resolve(**data_defaults)
        path = config.vgg_weights and os.path.abspath(os.path.expanduser(config.vgg_weights))  # a run may be resumed from any folder
        return dataclasses.replace(config, vgg_weights=path)


@keras.saving.register_keras_serializable("zoo")
class PixelShuffle(keras.layers.Layer):
    """Rearranges four channels into 2x2 pixels (Shi et al. 2016): [n, h, w, 4 c] -> [n, 2 h, 2 w, c]."""

    def call(self, x):
        return tf.nn.depth_to_space(x, 2)

    def compute_output_spec(self, x):
        n, height, width, channels = x.shape
        return keras.KerasTensor((n, height and 2 * height, width and 2 * width, channels // 4), self.compute_dtype)


@keras.saving.register_keras_serializable("zoo")
class BicubicUpsample(keras.layers.Layer):
    """Bicubic filter (Keys 1981, a = -1/2) that mirrors at the edges, in float32: [n, h, w, c] -> [n, 4 h, 4 w, c].

    It is a convolution, because XLA does not compile `tf.image.resize`.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, shape):
        phases = (np.arange(SCALE) + 0.5) / SCALE - 0.5  # positions of the new pixels; the old ones are at -2 to 2
        distance = np.abs(phases[:, None] - np.arange(-2, 3))
        inner = 1.5 * distance**3 - 2.5 * distance**2 + 1
        outer = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        taps = np.where(distance <= 1, inner, np.where(distance < 2, outer, 0))
        kernel = np.einsum("py,qx,ij->yxipqj", taps, taps, np.eye(shape[-1]))
        self.kernel = kernel.reshape(5, 5, shape[-1], -1).astype(np.float32)

    def call(self, x):
        x = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], "SYMMETRIC")
        return tf.nn.depth_to_space(tf.nn.conv2d(x, self.kernel, 1, "VALID"), SCALE)

    def compute_output_spec(self, x):
        n, height, width, channels = x.shape
        return keras.KerasTensor((n, height and SCALE * height, width and SCALE * width, channels), self.compute_dtype)


def conv(x, filters, kernel, strides=1, **kwargs):
    return keras.layers.Conv2D(filters, kernel, strides, "same", **kwargs)(x)


def prelu(x):
    """Parametric ReLU with one slope per channel, which starts at 0.25 (He et al. 2015)."""
    return keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1, 2])(x)


def build_generator(config):
    low = keras.Input((None, None, config.image_shape[-1]), name="low")
    first = x = prelu(conv(keras.layers.Rescaling(0.5, 0.5)(low), config.width, 9))
    for _ in range(config.blocks):
        y = prelu(layers.BatchNorm()(conv(x, config.width, 3)))
        x = keras.layers.Add()([x, layers.BatchNorm()(conv(y, config.width, 3))])
    x = keras.layers.Add()([first, layers.BatchNorm()(conv(x, config.width, 3))])
    for _ in range(int(math.log2(SCALE))):
        x = prelu(PixelShuffle()(conv(x, 4 * config.width, 3)))
    initializer = "zeros" if config.bicubic_skip else "glorot_uniform"
    x = layers.BlockConv2D(config.image_shape[-1], 9, SCALE, padding="same", kernel_initializer=initializer, dtype="float32", name="image")(
        x
    )
    if config.bicubic_skip:
        x = keras.layers.Add(dtype="float32")([BicubicUpsample()(low), x])
    return keras.Model({"low": low}, x, name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        x = conv(x, width, 3, 1 + i % 2)
        x = keras.layers.LeakyReLU(config.negative_slope)(layers.BatchNorm()(x) if i else x)
    x = keras.layers.Dense(config.discriminator_units)(keras.layers.Flatten()(x))
    logits = layers.logits(keras.layers.LeakyReLU(config.negative_slope)(x))
    return keras.Model({"image": image}, logits, name="discriminator")


# -- training crops ----------------------------------------------------------------------------------------------------


def mirror_to_size(picture, size):
    """Extend a picture [h, w, c] at the bottom and right by its mirror image to at least `size` (height, width)."""

    def mirrored_indices(length, target):
        index = tf.range(tf.maximum(length, target)) % (2 * length)
        return tf.minimum(index, 2 * length - 1 - index)

    sides = tf.unstack(tf.shape(picture)[:2])
    rows, columns = (mirrored_indices(length, target) for length, target in zip(sides, size, strict=True))
    return tf.cond(
        tf.reduce_any(tf.less(sides, size)), lambda: tf.gather(tf.gather(picture, rows), columns, axis=1), lambda: picture
    )  # a large picture is not copied


def crop_pair(config, example, seed, training):
    """Crop a picture at random: the crop, `high`, and `low`, the same crop downsampled by 4; uint8."""
    height, width, channels = config.image_shape
    crop_seed, flip_seed, rotation_seed = tf.unstack(tf.random.experimental.stateless_split(tf.stack(seed), 3))
    picture = mirror_to_size(example["picture"], (height, width))
    high = tf.image.stateless_random_crop(picture, (height, width, picture.shape[-1]), crop_seed)
    high = convert_channels(high, channels)
    if training and config.random_rotation:
        high = tf.image.stateless_random_flip_left_right(high, flip_seed)
        quarter_turns = tf.random.stateless_uniform([], rotation_seed, 0, 4, tf.int32) * (1 if height == width else 2)
        high = tf.ensure_shape(tf.image.rot90(high, quarter_turns), config.image_shape)
    return {"high": high, "low": bicubic_resize(high, (height // SCALE, width // SCALE))}


def refuse_small_pictures(config, source):
    """Refuse splits with pictures smaller than a crop.

    Raises:
        UserError: If there are smaller pictures.
    """
    height, width, channels = config.image_shape
    for split in source.sizes:
        small = [shape for shape in source.picture_shapes(split).tolist() if shape[0] < height or shape[1] < width]
        if not small:
            continue
        example = min(small, key=lambda shape: min(shape[:2]))
        side = min(example[:2]) // SCALE * SCALE
        advice = f", or use smaller crops: --image-shape {side} {side} {channels}" if side >= 8 else ""
        raise UserError(
            f"{source.name} has pictures smaller than {height}x{width} in '{split}': {len(small)}, one of {example[0]}x{example[1]}; "
            f"remove them{advice}"
        )


# -- the two models ----------------------------------------------------------------------------------------------------

SMALL = {
    "image_shape": (48, 48, 3),
    "blocks": 2,
    "width": 16,
    "bicubic_skip": True,
    "random_rotation": True,
    "generator_learning_rate": 1e-3,
    "schedule": "cosine",
    "ema_decay": 0.998,
}


@register(
    srresnet=Config(steps=2500, eval_every=500, **SMALL),
    srresnet_96=Config(steps=1_000_000, eval_every=5000),
)
class SRResNet(Game):
    """Upscales pictures by a factor of 4; trained with the mean squared error."""

    batch_keys = ("picture",)
    train_keys = ("high", "low")
    generates_from_noise = False
    own_metrics = SUPER_RESOLUTION_METRICS
    upscale_factor = SCALE

    def __init__(self, config, discriminator=None):
        super().__init__(config, build_generator(config), discriminator)

    @staticmethod
    def prepare_data(config, source):
        refuse_small_pictures(config, source)
        height, width, _ = config.image_shape
        return source.with_crops(math.sqrt(height * width), functools.partial(crop_pair, config))

    def generate(self, batch):
        return self.generator({"low": batch["low"]}, training=True)

    def content_loss(self, real, fake):
        """Compute the named terms of the distance between generated and real images."""
        return {"g_content": tf.reduce_mean(tf.square(real - fake))}

    def generator_loss(self, batch, fake):
        return self.content_loss(batch["high"], fake)

    def preview(self, batch):
        """Triples, three per row: the output of the bicubic filter, that of the model, the real picture."""
        low, real = batch["low"][:24], batch["high"][:24]
        columns = min(3, len(real))
        count = len(real) // columns * columns
        bicubic = tf.image.resize(low, real.shape[1:3], "bicubic")
        triples = [bicubic, self.ema_generator({"low": low}, training=False), real]
        images = tf.stack([to_unit(images[:count]) for images in triples], 1)
        return tf.reshape(images, [-1, *real.shape[1:]]), 3 * columns

    def signatures(self):
        shape = (None, None, self.config.image_shape[-1])
        offered = image_to_image_signatures("upscale", lambda image: self.ema_generator({"low": image}, training=False), shape)
        radius = 2 * self.config.blocks + 8  # of the receptive field: 4 + 2 per block + 1 + 1 + 1/2 + 1 low-resolution pixels, rounded up
        offered["upscale"] = dataclasses.replace(offered["upscale"], tile_overlap=radius)
        return {"serving_default": offered["upscale"], **offered}

    def upscale(self, picture):
        """Upscale a uint8 picture [h, w, channels] of any size by a factor of 4 with the EMA generator, in tiles, for the metrics."""
        return upscale_picture(self, picture)


@register(
    srgan=SRGANConfig(
        steps=1200,
        eval_every=300,
        content_loss="mse",
        discriminator_widths=(16, 16, 32, 32, 64, 64),
        discriminator_units=64,
        **{**SMALL, "generator_learning_rate": 5e-4},
    ),
    srgan_96=SRGANConfig(
        steps=200_000,
        eval_every=2000,
        schedule="linear",  # as a step: half of training at the full learning rate, half at a tenth of it (§3.2)
        decay_end=100_000,
        decay_start=99_999 / 100_000,
        final_rate=0.1,
    ),
)
class SRGAN(SRResNet):
    """Upscales pictures by a factor of 4; trained with a content and an adversarial loss: sharper, at a lower PSNR."""

    features = None  # of VGG19; loaded by `compile`, because only training needs them

    def __init__(self, config):
        super().__init__(config, build_discriminator(config))

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        if self.config.content_loss in VGG_LAYERS:
            self.features = VGG19Features(VGG_LAYERS[self.config.content_loss], self.config.vgg_weights)

    def content_loss(self, real, fake):
        if not self.features:
            return super().content_loss(real, fake)
        terms = super().content_loss(self.features(real), self.features(fake))
        if self.config.content_loss == "vgg22":
            terms["g_total_variation"] = self.config.total_variation_weight * tf.reduce_mean(tf.image.total_variation(fake))
        return terms

    def discriminator_loss(self, batch, fake):
        real_logits, fake_logits = self.call_discriminator(batch["high"], batch), self.call_discriminator(fake, batch)
        return {"d_adversarial": self.discriminator_objective(real_logits, fake_logits)}

    def generator_loss(self, batch, fake):
        adversarial = self.objective.generator(self.call_discriminator(fake, batch))
        return {**self.content_loss(batch["high"], fake), "g_adversarial": self.config.adversarial_weight * adversarial}
