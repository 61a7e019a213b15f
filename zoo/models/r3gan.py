"""R3GAN (Huang, Gokaslan, Kuleshov, Tompkin 2024, arXiv:2501.05441).

A relativistic loss on pairs of real and generated images, and zero-centered gradient penalties on both (eq. 1-4):

    discriminator   minimizes  E softplus(D(G(z)) - D(x)) + gamma / 2 E |grad D(x)|^2 + gamma / 2 E |grad D(G(z))|^2
    generator       minimizes  E softplus(D(x) - D(G(z)))

Networks without normalization: residual blocks of 1x1, grouped 3x3 and 1x1 convolutions, the last of which is initialized to 0.
`r3gan_32` is the configuration for CIFAR-10 (unconditional; the authors' code is class-conditional), `r3gan_256` the one for FFHQ. `r3gan`
is small, with plain 3x3 convolutions: Keras compiles grouped ones with XLA, which on a CPU takes a hundred times longer.

Differs from the authors' code: training images are not mirrored; the code mirrors them (--mirror=1). Both updates of a step use the same
real images and noise; in the code each update has its own. beta_2 is 0.99 throughout; in the code it rises from 0.9 to 0.99. The EMA's
decay is constant; in the code its half-life grows from 0. Augmentation (--augment) is DiffAugment, off by default; the code uses ADA's
transformations with a rising probability.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels at each resolution from 4x4 up; small images use the last entries (code)
    blocks: int = 2  # residual blocks at each resolution (code, config)
    expansion: int = 2  # factor from a block's channels to its inner channels (code, config)
    group: int = 16  # inner channels per group of the grouped convolution (code, config)
    negative_slope: float = 0.2  # slope of the leaky ReLU (code)
    penalty_weight: float = 0.05  # initial gamma of both penalties (code, config)
    final_penalty_weight: float = 0.005  # gamma from --decay-end on; it decays along half a cosine (code, config)

    uses_decay_end = True

    def validate(self):
        super().validate()
        for width in self.widths:
            inner = width * self.expansion
            if inner % max(inner // self.group, 1):
                raise UserError(f"--group {self.group}: must divide {inner}, the inner channels (--expansion) of a width of {width}")


@keras.saving.register_keras_serializable("zoo")
class Resample(keras.layers.Layer):
    """Resampling by 2 with the filter [1, 3, 3, 1] (code, InterpolativeUpsampler and InterpolativeDownsampler).

    [1, 3, 3, 1] is [1, 1] convolved with itself three times: average pooling by 2 is faster than a depthwise convolution or sums of slices.

    Args:
        up: Whether to double the sides; otherwise they are halved, rounding up.
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
    """Learned feature maps, each multiplied by one value of the input: [n, c] to [n, h, w, c] (code, GenerativeBasis).

    Args:
        size: Height and width of the feature maps.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def build(self, shape):
        initializer = keras.initializers.RandomNormal(0.0, 1.0)
        self.basis = self.add_weight(shape=(*self.size, shape[-1]), initializer=initializer, name="basis")

    def call(self, x):
        return x[:, None, None, :] * self.basis

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def fan_in_init(gain=1.0):
    """N(0, gain^2 / inputs)."""
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")


def conv(x, filters, kernel=1, gain=1.0, groups=1):
    initializer = fan_in_init(gain) if gain else "zeros"
    return keras.layers.Conv2D(filters, kernel, padding="same", use_bias=False, groups=groups, kernel_initializer=initializer)(x)


def biased_leaky_relu(x, negative_slope):
    return keras.layers.LeakyReLU(negative_slope)(layers.ChannelBias()(x))


def block(x, config, count):
    """Residual block; its initial weights are smaller for a larger `count`, the number of blocks of the network."""
    width, inner = x.shape[-1], x.shape[-1] * config.expansion
    gain = math.sqrt(2 / (1 + config.negative_slope**2)) * count**-0.25
    y = biased_leaky_relu(conv(x, inner, 1, gain), config.negative_slope)
    y = biased_leaky_relu(conv(y, inner, 3, gain, groups=max(inner // config.group, 1)), config.negative_slope)
    return keras.layers.Add()([x, conv(y, width, gain=0.0)])


def build_generator(config):
    sizes = layers.resolutions(config.image_shape)
    widths = layers.last_widths(config.widths, len(sizes))
    latent = keras.Input((config.latent_dim,), name="latent")
    x = Basis(sizes[0])(keras.layers.Dense(widths[0], use_bias=False, kernel_initializer=fan_in_init())(latent))
    for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        if i:
            x = conv(x, width) if x.shape[-1] != width else x
            x = layers.crop_to(Resample(up=True)(x), size)
        for _ in range(config.blocks):
            x = block(x, config, len(widths) * config.blocks)
    x = conv(x, config.image_shape[-1])
    return keras.Model({"latent": latent}, keras.layers.Activation("linear", dtype="float32", name="image")(x), name="generator")


def build_discriminator(config):
    widths = layers.last_widths(config.widths, len(layers.resolutions(config.image_shape)))
    image = keras.Input(config.image_shape, name="image")
    x = conv(image, widths[-1])
    for i, width in enumerate(reversed(widths)):
        if i:
            x = Resample(up=False)(x)
            x = conv(x, width) if x.shape[-1] != width else x
        for _ in range(config.blocks):
            x = block(x, config, len(widths) * config.blocks)
    initializer = layers.normal_init((x.shape[1] * x.shape[2]) ** -0.5)
    x = keras.layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, depthwise_initializer=initializer)(x)
    x = layers.logits(keras.layers.Flatten()(x), use_bias=False, kernel_initializer=fan_in_init())
    return keras.Model({"image": image}, x, name="discriminator")


@register(
    r3gan=Config(
        latent_dim=64,
        batch_size=32,
        widths=(32, 32, 16, 8),
        blocks=1,
        group=1024,
        penalty_weight=100.0,
        final_penalty_weight=10.0,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        steps=1500,
        eval_every=300,
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
        ema_decay=0.99993,
        steps=390_625,
        eval_every=2000,
    ),
    r3gan_256=Config(
        image_shape=(256, 256, 3),
        latent_dim=64,
        widths=(768, 768, 768, 768, 384, 192, 96),
        batch_size=256,
        gradient_accumulation=8,
        penalty_weight=150.0,
        final_penalty_weight=15.0,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        schedule="cosine",
        final_rate=0.25,
        decay_end=78_125,
        ema_decay=0.9996,
        steps=390_625,
        eval_every=2000,
    ),
)
class R3GAN(Game):
    """A regularized relativistic loss, with which plain residual networks train stably."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def discriminator_loss(self, batch, fake):
        real_logits, real_penalty = losses.r1(lambda images: self.call_discriminator(images, batch), batch["image"])
        fake_logits, fake_penalty = losses.r2(lambda images: self.call_discriminator(images, batch), fake)
        self.step_metrics.log_logits(real_logits, fake_logits)
        return {
            "d_adversarial": losses.relativistic_loss(real_logits, fake_logits),
            "d_penalty": self.penalty_weight() * (real_penalty + fake_penalty),
        }

    def generator_loss(self, batch, fake):
        fake_logits, real_logits = self.call_discriminator(fake, batch), self.call_discriminator(batch["image"], batch)
        return {"g_adversarial": losses.relativistic_loss(fake_logits, real_logits)}

    def penalty_weight(self):
        """Gamma of the current step, which decays along half a cosine."""
        progress = tf.minimum(tf.cast(self.step_counter.value, tf.float32) / self.config.decay_end, 1.0)
        initial, final = self.config.penalty_weight, self.config.final_penalty_weight
        return final + (initial - final) * (1 + tf.cos(math.pi * progress)) / 2
