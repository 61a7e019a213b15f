"""SRGAN and SRResNet (Ledig et al. 2016, arXiv:1609.04802).

Pictures four times as large. With x the true picture, y = bicubic(x) a quarter of its size, and features phi of VGG19:

    SRResNet        minimises  E |x - G(y)|^2 / pixels

    SRGAN:
    discriminator   minimises  E softplus(-D(x)) + E softplus(D(G(y)))
    generator       minimises  content(x, G(y)) + 1e-3 E softplus(-D(G(y)))
    content                    mse: as SRResNet; vgg54, vgg22: E |phi(x) - phi(G(y))|^2 / features, phi divided by 12.75

vgg54 are features of the fourth convolution before the fifth pooling, vgg22 of the second before the second, both rectified. The mean
alone gives soft pictures with a high signal-to-noise ratio; the discriminator makes them sharp, and the ratio lower.

`srresnet` and `srgan` are small ones that need no VGG, `srresnet_96` and `srgan_96` the paper's; the latter starts from the former:
--init RUN. The networks take [-1, 1] like all others: the generator makes [0, 1] of its input, as in the paper, by itself.
Differs from the paper: pictures are shrunk by the bicubic filter alone (there after a Gaussian one), and what is shown and measured is the
averaged generator. The small ones start as the bicubic filter and learn what it lacks; `srgan` has the mean squared error for its content.
"""

import dataclasses
import math
import os
import warnings
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from zoo import ends, game, layers
from zoo.errors import UserError
from zoo.registry import register

SCALE = 4  # of the sides
BORDER = 4  # pixels at each edge that are not measured (§3.1)
WINDOW = 11  # of the structural similarity
LUMA = np.array([65.481, 128.553, 24.966]) / 255  # of red, green and blue in [0, 1] (ITU-R BT.601, studio range)
VGG = {"vgg54": "block5_conv4", "vgg22": "block2_conv2"}  # Keras' names; a layer's output is rectified


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    image_shape: tuple[int, int, int] = (96, 96, 3)  # of what is cut out of the pictures; what is enlarged may have any size (§3.2)
    batch_size: int = 16  # (§3.2)
    generator_learning_rate: float = 1e-4  # (§3.2)
    discriminator_learning_rate: float = 1e-4  # (§3.2)
    beta_1: float = 0.9  # (§3.2)
    blocks: int = 16  # residual ones of the generator (§3.2)
    width: int = 64  # channels of the generator (figure 4)
    from_bicubic: bool = False  # whether it starts as the bicubic filter, and learns what that lacks (not in the paper)
    turned: bool = False  # whether what is cut out is mirrored and turned by quarters at random (not in the paper)

    multiple = SCALE


@dataclasses.dataclass(frozen=True)
class SRGANConfig(Config):
    discriminator_widths: tuple[int, ...] = (64, 64, 128, 128, 256, 256, 512, 512)  # channels; every other layer halves (figure 4)
    discriminator_units: int = 1024  # of its dense layer (figure 4)
    slope: float = 0.2  # of the leaky rectifier (§2.1.1)
    content_loss: Literal["vgg54", "vgg22", "mse"] = "vgg54"  # (§2.2.1)
    vgg_weights: str = ""  # file of VGG19's weights without its head, as Keras saves them (default: Keras fetches them)
    adversarial_weight: float = 1e-3  # (eq. 3)
    variation_weight: float = 2e-8  # of the total variation, with vgg22 (supplement, A.3)

    def resolved(self, **decides):
        config = super().resolved(**decides)  # a run is resumed from wherever
        return dataclasses.replace(config, vgg_weights=config.vgg_weights and os.path.abspath(os.path.expanduser(config.vgg_weights)))


@keras.saving.register_keras_serializable("zoo")
class PixelShuffle(keras.layers.Layer):
    """[n, h, w, 4 c] -> [n, 2 h, 2 w, c]: four channels become four pixels (Shi et al. 2016)."""

    def call(self, x):
        return tf.nn.depth_to_space(x, 2)

    def compute_output_spec(self, x):
        n, height, width, channels = x.shape
        return keras.KerasTensor((n, height and 2 * height, width and 2 * width, channels // 4), self.compute_dtype)


@keras.saving.register_keras_serializable("zoo")
class Bicubic(keras.layers.Layer):
    """[n, h, w, c] -> [n, 4 h, 4 w, c] by the bicubic filter (Keys 1981, a = -1/2), mirrored at the edges, in float32.

    A convolution, for `tf.image.resize` does not go through XLA.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, shape):
        phases = (np.arange(SCALE) + 0.5) / SCALE - 0.5  # where the new pixels lie, between the old ones at -2 to 2
        far = np.abs(phases[:, None] - np.arange(-2, 3))
        near = 1.5 * far**3 - 2.5 * far**2 + 1
        taps = np.where(far <= 1, near, np.where(far < 2, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2, 0))
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
    """ReLU with a slope below 0 that each channel learns, from 0.25 on (He et al. 2015)."""
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
    start = "zeros" if config.from_bicubic else "glorot_uniform"
    x = conv(x, config.image_shape[-1], 9, kernel_initializer=start, dtype="float32", name="image")
    if config.from_bicubic:
        x = keras.layers.Add(dtype="float32")([Bicubic()(low), x])
    return keras.Model({"low": low}, x, name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        x = conv(x, width, 3, 1 + i % 2)
        x = keras.layers.LeakyReLU(config.slope)(layers.BatchNorm()(x) if i else x)
    x = keras.layers.Dense(config.discriminator_units)(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, layers.logits(keras.layers.LeakyReLU(config.slope)(x)), name="discriminator")


# -- pictures ----------------------------------------------------------------------------------------------------------


def resized(image, size):
    """uint8 [..., h, w, c] by the bicubic filter, with anti-aliasing where it shrinks, rounded: published figures rest on it."""
    image = tf.image.resize(tf.cast(image, tf.float32), size, "bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)


def coloured(image, channels):
    """An image [..., 1 or 3] with so many channels."""
    if image.shape[-1] == channels:
        return image
    return tf.image.grayscale_to_rgb(image) if channels == 3 else tf.image.rgb_to_grayscale(image)


def mirrored(picture, size):
    """A picture of at least `size` (height, width): one that is smaller goes on as in a mirror."""

    def places(side, wanted):
        place = tf.range(tf.maximum(side, wanted)) % (2 * side)
        return tf.minimum(place, 2 * side - 1 - place)

    sides = tf.unstack(tf.shape(picture)[:2])
    rows, columns = (places(side, wanted) for side, wanted in zip(sides, size))
    return tf.cond(
        tf.reduce_any(tf.less(sides, size)), lambda: tf.gather(tf.gather(picture, rows), columns, axis=1), lambda: picture
    )  # the rest is not copied


def crops(config):
    """A `vary` of a source of pictures: a crop of each, `high`, and the same a quarter as large, `low`."""
    height, width, channels = config.image_shape

    def vary(example, seed, training):
        where, flip, turn = tf.unstack(tf.random.experimental.stateless_split(tf.stack(seed), 3))
        picture = mirrored(example["picture"], (height, width))
        high = tf.image.stateless_random_crop(picture, (height, width, picture.shape[-1]), where)
        high = coloured(high, channels)
        if training and config.turned:
            high = tf.image.stateless_random_flip_left_right(high, flip)
            high = tf.image.rot90(high, tf.random.stateless_uniform([], turn, 0, 4, tf.int32) * (1 if height == width else 2))
            high = tf.ensure_shape(high, config.image_shape)
        return {"high": high, "low": resized(high, (height // SCALE, width // SCALE))}

    return vary


def luma(picture):
    """The brightness of a uint8 picture [h, w, c] without its border, float32 [1, h - 8, w - 8, 1] in [0, 1]."""
    unit = np.asarray(picture, np.float64)[None, BORDER:-BORDER, BORDER:-BORDER] / 255
    if unit.shape[-1] == 3:
        unit = 16 / 255 + np.sum(unit * LUMA, -1, keepdims=True)
    return tf.constant(unit, tf.float32)


def likeness(made, true):
    """Signal-to-noise ratio in dB and structural similarity of two uint8 pictures' brightness, as the literature measures them."""
    with tf.device("CPU:0"):  # a GPU's TensorFloat-32 would spoil the variances
        made, true = luma(made), luma(true)
        return {"psnr": float(tf.image.psnr(made, true, 1.0)[0]), "ssim": float(tf.image.ssim(made, true, 1.0, WINDOW)[0])}


# -- VGG ---------------------------------------------------------------------------------------------------------------


def vgg(config):
    """A function of images in [-1, 1] that gives the features of the content loss, float32, divided by 12.75 (§3.2).

    Raises UserError where the weights are not to be had, or are no such weights.
    """
    file, before = config.vgg_weights, keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever the precision of the model
    try:
        network = keras.applications.VGG19(include_top=False, weights=None if file else "imagenet")
        if file:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras leaves layers that a file lacks as they are, and warns of it
                network.load_weights(file)
    except Exception as error:  # whatever a network or a file does
        reason = " ".join(str(error).split())[:100]
        if file:
            raise UserError(f"--vgg-weights {file} is no file of weights of Keras' VGG19 without its head ({reason})") from None
        raise UserError(
            f"the weights of VGG19 could not be fetched ({reason}); name a file of them (Keras calls it "
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5): --vgg-weights FILE. Without them: --content-loss mse"
        ) from None
    finally:
        keras.config.set_dtype_policy(before)
    network = keras.Model(network.input, network.get_layer(VGG[config.content_loss]).output)

    def features(images):
        pixels = keras.applications.vgg19.preprocess_input(coloured(tf.cast(images, tf.float32), 3) * 127.5 + 127.5)
        return tf.cast(network(pixels, training=False), tf.float32) / 12.75

    return features


# -- the two games -----------------------------------------------------------------------------------------------------

SMALL = {
    "image_shape": (48, 48, 3),
    "blocks": 2,
    "width": 16,
    "from_bicubic": True,
    "turned": True,
    "generator_learning_rate": 1e-3,
    "schedule": "cosine",
    "averaging": 0.998,
}


@register(
    srresnet=Config(steps=2500, every=500, **SMALL),
    srresnet_96=Config(steps=1_000_000, every=5000),
)
class SRResNet(game.Game):
    """Enlarges pictures, learned by the mean squared error."""

    batch_keys = ("picture",)
    data = "photographs"
    draws = reads = False
    measures = ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim")

    def __init__(self, config, discriminator=None):
        super().__init__(config, build_generator(config), discriminator)

    @staticmethod
    def prepare(config, source):
        """Raises UserError where a picture is smaller than a crop, as far as they are held in memory; later ones are mirrored."""
        height, width, channels = config.image_shape
        for split in source.sizes:
            pictures = source.some(split, source.sizes[split])["picture"]
            small = [picture.shape for picture in pictures if picture.shape[0] < height or picture.shape[1] < width]
            if small:
                least, side = min(small, key=lambda shape: min(shape[:2])), min(min(shape[:2]) for shape in small) // SCALE * SCALE
                raise UserError(
                    f"pictures of {source.name} that are smaller than {height}x{width} in '{split}': {len(small)}, one of "
                    f"{least[0]}x{least[1]}; remove them" + f", or take smaller crops: --image-shape {side} {side} {channels}" * (side >= 8)
                )
        return source.cuts(math.sqrt(height * width), crops(config))

    def generate(self, batch):
        return self.generator({"low": batch["low"]}, training=True)

    def content(self, true, fake):
        """Named terms: how far the generated images are from the true ones."""
        return {"g_content": tf.reduce_mean(tf.square(true - fake))}

    def generator_loss(self, batch, fake):
        return self.content(batch["high"], fake)

    def preview(self, batch):
        """Triples in rows of three: by the bicubic filter, by this model, the truth."""
        low, true = batch["low"][:24], batch["high"][:24]
        columns = min(3, len(true))
        count = len(true) // columns * columns
        bicubic = tf.image.resize(low, true.shape[1:3], "bicubic")
        triples = [bicubic, self.averaged({"low": low}, training=False), true]
        images = tf.stack([ends.to_unit(images[:count]) for images in triples], 1)
        return tf.reshape(images, [-1, *true.shape[1:]]), 3 * columns

    def exports(self):
        shape = (None, None, self.config.image_shape[-1])
        offered = ends.translating("upscale", lambda image: self.averaged({"low": image}, training=False), shape)
        return {"serving_default": offered["upscale"], **offered}

    def enlarged(self, picture, tile=128, overlap=None):
        """A uint8 picture [h, w, 1 or 3] of any size, four times as large, with the model's channels, by the averaged generator.

        It goes through the network in tiles of `tile` pixels with `overlap` more at each side, to bound the memory; by default as many as
        a pixel depends on, so that the tiles do not show.
        """
        picture = np.asarray(coloured(tf.convert_to_tensor(picture), self.config.image_shape[-1]))
        overlap = 2 * self.config.blocks + 8 if overlap is None else overlap  # 4 + 2 a block + 1 + 1 + 1/2 + 1, rounded up
        height, width, channels = picture.shape
        whole = np.empty((SCALE * height, SCALE * width, channels), np.uint8)
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                above, before = min(top, overlap), min(left, overlap)
                part = picture[top - above : top + tile + overlap, left - before : left + tile + overlap]
                low = tf.constant(part[None], tf.float32) / 127.5 - 1
                made = ends.to_unit(self.averaged({"low": low}, training=False))[0, SCALE * above :, SCALE * before :]
                place = whole[SCALE * top :, SCALE * left :][: SCALE * tile, : SCALE * tile]
                place[:] = np.rint(made[: place.shape[0], : place.shape[1]] * 255)
        return whole

    def scores(self, held, classify):
        found = {}
        for picture in held["picture"]:
            rows, columns = (side // SCALE * SCALE for side in picture.shape[:2])
            if min(rows, columns) < WINDOW + 2 * BORDER:
                continue  # no window of the similarity fits
            true = coloured(tf.constant(picture[:rows, :columns]), self.config.image_shape[-1])
            low = resized(true, (rows // SCALE, columns // SCALE))
            for kind, made in (("", self.enlarged(low)), ("bicubic_", resized(low, (rows, columns)))):
                for name, value in likeness(made, true).items():
                    found.setdefault(kind + name, []).append(value)
        return {name: float(np.mean(values)) for name, values in found.items()}


@register(
    srgan=SRGANConfig(
        steps=1200,
        every=300,
        content_loss="mse",
        discriminator_widths=(16, 16, 32, 32, 64, 64),
        discriminator_units=64,
        **{**SMALL, "generator_learning_rate": 5e-4},
    ),
    srgan_96=SRGANConfig(
        steps=200_000,
        every=2000,
        schedule="linear",  # a step: half of the rounds at the full rate, half at a tenth of it (§3.2)
        decay_end=100_000,
        steady=99_999 / 100_000,
        final_rate=0.1,
    ),
)
class SRGAN(SRResNet):
    """Enlarges pictures such that they look like photographs."""

    real = "high"
    features = None  # of VGG; made by `compile`, for only training needs them

    def __init__(self, config):
        super().__init__(config, build_discriminator(config))

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        if self.config.content_loss in VGG:
            self.features = vgg(self.config)

    def content(self, true, fake):
        if not self.features:
            return super().content(true, fake)
        terms = super().content(self.features(true), self.features(fake))
        if self.config.content_loss == "vgg22":
            terms["g_variation"] = self.config.variation_weight * tf.reduce_mean(tf.image.total_variation(fake))
        return terms

    def generator_loss(self, batch, fake):
        adversarial = self.config.adversarial_weight * self.g_adversarial(self.judge(fake, batch))
        return {**self.content(batch["high"], fake), "g_adversarial": adversarial}
