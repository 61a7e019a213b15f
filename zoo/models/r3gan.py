"""R3GAN (Huang, Gokaslan, Kuleshov, Tompkin 2024, arXiv:2501.05441).

A relativistic loss, real and generated images in pairs, and a penalty on the slope at both (eq. 1-4):

    discriminator   minimises  E softplus(D(G(z)) - D(x)) + gamma / 2 E |grad D(x)|^2 + gamma / 2 E |grad D(G(z))|^2
    generator       minimises  E softplus(D(x) - D(G(z)))

Networks without any normalisation: residual blocks of 1x1, grouped 3x3, 1x1 convolutions, whose last weight starts at 0. `r3gan_32` is
the configuration for CIFAR-10 (the code's is conditional on the class, this one is not), `r3gan_256` that for FFHQ. Differs from the code:
beta_2 stays where the code's ends, the averaged generator's decay is one number, and augmentation (--augment) is DiffAugment's, off by
default, where the code raises ADA's from 0. `r3gan` is small, with plain 3x3 convolutions: Keras has grouped ones compiled by XLA, which
on a CPU takes a hundred times longer.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from zoo import game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels at each size, from 4x4 up; small images take the last (code, config)
    blocks: int = 2  # residual blocks at each size (code, config)
    expansion: int = 2  # of a block's inner channels (code, config)
    group: int = 16  # inner channels that are convolved together (code, config)
    slope: float = 0.2  # of the leaky rectifier (code)
    penalty: float = 0.05  # gamma of both penalties at the start (code, config)
    final_penalty: float = 0.005  # gamma at --decay-end; it falls by half a cosine, as the learning rates (code, config)

    def check(self):
        super().check()
        for width in self.widths:
            inner = width * self.expansion
            if inner % max(inner // self.group, 1):
                raise UserError(f"--group {self.group}: must divide {inner}, the inner channels (--expansion) of a width of {width}")


@keras.saving.register_keras_serializable("zoo")
class Resample(keras.layers.Layer):
    """Twice or half as large, by the filter [1, 3, 3, 1] (code, InterpolativeUpsampler and -Downsampler).

    [1, 3, 3, 1] is [1, 1] three times: means of two by the pooling kernel, faster than a depthwise convolution or sums of slices.
    """

    def __init__(self, up, **kwargs):
        super().__init__(**kwargs)
        self.up = up

    def call(self, x):
        if self.up:
            x, odd = tf.repeat(tf.repeat(x, 2, 1), 2, 2), (0, 0)
        else:
            odd = (x.shape[1] % 2, x.shape[2] % 2)
        x = tf.pad(x, [[0, 0], [1, 1 + odd[0]], [1, 1 + odd[1]], [0, 0]])
        for stride in (1, 1) if self.up else (1, 1, 2):
            x = tf.nn.avg_pool2d(x, 2, stride, "VALID")
        return x

    def get_config(self):
        return {**super().get_config(), "up": self.up}


@keras.saving.register_keras_serializable("zoo")
class Basis(keras.layers.Layer):
    """A learned picture of `sides`, each channel times a number of the input (code, GenerativeBasis)."""

    def __init__(self, sides, **kwargs):
        super().__init__(**kwargs)
        self.sides = tuple(sides)

    def build(self, shape):
        start = keras.initializers.RandomNormal(0.0, 1.0)
        self.basis = self.add_weight(shape=(*self.sides, shape[-1]), initializer=start, name="basis")

    def call(self, x):
        return x[:, None, None, :] * self.basis

    def get_config(self):
        return {**super().get_config(), "sides": self.sides}


def started(gain=1.0):
    """Weights from N(0, gain^2 / inputs)."""
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")


def conv(x, filters, kernel=1, gain=1.0, groups=1):
    start = started(gain) if gain else "zeros"
    return keras.layers.Conv2D(filters, kernel, padding="same", use_bias=False, groups=groups, kernel_initializer=start)(x)


def biased(x, slope):
    return keras.layers.LeakyReLU(slope)(layers.Bias()(x))


def block(x, config, count):
    """Residual block; `count` of them stand one after another in the network, by which its weights start the smaller."""
    width, inner = x.shape[-1], x.shape[-1] * config.expansion
    gain = math.sqrt(2 / (1 + config.slope**2)) * count**-0.25
    y = biased(conv(x, inner, 1, gain), config.slope)
    y = biased(conv(y, inner, 3, gain, groups=max(inner // config.group, 1)), config.slope)
    return keras.layers.Add()([x, conv(y, width, gain=0.0)])


def stages(config):
    """Channels at each size from 4x4 up, and how many blocks there are in all."""
    widths = layers.last(config.widths, len(layers.pyramid(config.image_shape)))
    return widths, len(widths) * config.blocks


def build_generator(config):
    widths, count = stages(config)
    sizes = layers.pyramid(config.image_shape)
    latent = keras.Input((config.latent_dim,), name="latent")
    x = Basis(sizes[0])(keras.layers.Dense(widths[0], use_bias=False, kernel_initializer=started())(latent))
    for i, (size, width) in enumerate(zip(sizes, widths)):
        if i:
            x = conv(x, width) if x.shape[-1] != width else x
            x = layers.cut(Resample(up=True)(x), size)
        for _ in range(config.blocks):
            x = block(x, config, count)
    x = conv(x, config.image_shape[-1])
    return keras.Model({"latent": latent}, keras.layers.Activation("linear", dtype="float32", name="image")(x), name="generator")


def build_discriminator(config):
    widths, count = stages(config)
    image = keras.Input(config.image_shape, name="image")
    x = conv(image, widths[-1])
    for i, width in enumerate(reversed(widths)):
        if i:
            x = Resample(up=False)(x)
            x = conv(x, width) if x.shape[-1] != width else x
        for _ in range(config.blocks):
            x = block(x, config, count)
    start = layers.normal((x.shape[1] * x.shape[2]) ** -0.5)
    x = keras.layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, depthwise_initializer=start)(x)
    x = layers.logits(keras.layers.Flatten()(x), use_bias=False, kernel_initializer=started())
    return keras.Model({"image": image}, x, name="discriminator")


@register(
    r3gan=Config(
        latent_dim=64,
        batch_size=32,
        widths=(32, 32, 16, 8),
        blocks=1,
        group=1024,
        penalty=100.0,
        final_penalty=10.0,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        steps=1500,
        every=300,
    ),
    r3gan_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=64,
        batch_size=512,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        schedule="cosine",
        final_rate=0.25,
        decay_end=39_063,
        averaging=0.99993,
        steps=390_625,
        every=2000,
    ),
    r3gan_256=Config(
        image_shape=(256, 256, 3),
        latent_dim=64,
        widths=(768, 768, 768, 768, 384, 192, 96),
        batch_size=256,
        accumulation=8,
        penalty=150.0,
        final_penalty=15.0,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        schedule="cosine",
        final_rate=0.25,
        decay_end=78_125,
        averaging=0.9996,
        steps=390_625,
        every=2000,
    ),
)
class R3GAN(game.Game):
    """A loss with which plain residual networks train: pairs of real and generated, slopes penalised at both."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def discriminator_loss(self, batch, fake):
        real_logit, at_real = losses.r1(lambda images: self.judge(images, batch), batch["image"])
        fake_logit, at_fake = losses.r2(lambda images: self.judge(images, batch), fake)
        self.note_logits(real_logit, fake_logit)
        done = tf.minimum(tf.cast(self.round.value, tf.float32) / self.config.decay_end, 1.0)
        first, final = self.config.penalty, self.config.final_penalty
        penalty = final + (first - final) * (1 + tf.cos(math.pi * done)) / 2
        return {"d_adversarial": losses.relativistic(real_logit, fake_logit), "d_penalty": penalty * (at_real + at_fake)}

    def generator_loss(self, batch, fake):
        return {"g_adversarial": losses.relativistic(self.judge(fake, batch), self.judge(batch["image"], batch))}
