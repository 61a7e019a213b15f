"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

The noise z has a code c beside it, one of several classes and some numbers; Q reads it back from the image. With D = sigmoid(logit):

    discriminator   minimises  -E log D(x) - E log(1 - D(G(z, c))) - E log Q(c|G(z, c))
    generator       minimises  -E log D(G(z, c))                   - E log Q(c|G(z, c))          (eq. 5, 6; lambda = 1)

Q shares D's layers up to the last; numbers are normal around its output, with standard deviation 1. `infogan_mnist` are the networks of
the authors' code. As there: the leaky rectifier's slope is 0.01 for InfoGAN's 0.1 in print, noise and numbers are uniform in [-1, 1].
Differs from it: images are in [-1, 1] and leave through tanh.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo import ends, game, layers
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    latent_dim: int = 74  # length of noise and code together: 62 + 10 + 2 (§7.1)
    categories: int = 10  # of the code's class, one-hot (§7.1)
    numbers: int = 2  # of the code (§7.1)
    levels: int = 2  # layers of stride 2 in each network (appendix C.1)
    width: int = 64  # channels at the largest size, doubled at each smaller one (appendix C.1)
    hidden: int = 1024  # units of both networks' dense layer (appendix C.1)
    code_hidden: int = 128  # units of Q's own layer (appendix C.1)
    kernel: int = 4  # side of the kernels (appendix C.1)
    slope: float = 0.01  # of the leaky rectifier (code)
    information: float = 1.0  # weight of the code's terms (§7, lambda)

    def check(self):
        super().check()
        if self.latent_dim <= self.categories + self.numbers:
            code = self.categories + self.numbers
            raise UserError(f"--latent-dim {self.latent_dim}: must be more than --categories and --numbers together, {code}")


def dense(x, units):
    return keras.layers.Dense(units, kernel_initializer=layers.normal())(x)


def build_generator(config):
    start, *others = layers.halved(config.image_shape, config.levels)
    first, *widths = layers.widths(config.width, config.levels)
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.norm_relu(dense(latent, config.hidden))
    x = keras.layers.Reshape((*start, first))(layers.norm_relu(dense(x, start[0] * start[1] * first)))
    for size, width in zip(others, widths):
        x = layers.norm_relu(layers.rise(x, size, width, config.kernel))
    x = layers.rise(x, others[-1], config.image_shape[-1], config.kernel)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    def active(x):
        return keras.layers.LeakyReLU(config.slope)(x)

    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(reversed(layers.widths(config.width, config.levels))):
        x = layers.conv(x, width, config.kernel, 2)
        x = active(layers.norm(x) if i else x)
    x = active(layers.norm(dense(keras.layers.Flatten()(x), config.hidden)))
    code = active(layers.norm(dense(x, config.code_hidden)))
    heads = {"category": layers.logits(code, config.categories), "numbers": layers.logits(code, config.numbers)}
    return keras.Model({"image": image}, {"realness": layers.logits(x), **heads}, name="discriminator")


@register(
    infogan=Config(
        levels=3,
        width=32,
        hidden=256,
        code_hidden=64,
        generator_learning_rate=1e-3,
        steps=1500,
        every=300,
    ),
    infogan_mnist=Config(image_shape=(28, 28, 1), batch_size=128, generator_learning_rate=1e-3, steps=5000, every=100),
)
class InfoGAN(game.Game):
    """Learns what varies in images, with no labels: a code that can be read back from them."""

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def prior(self, shape, seed):
        """Noise, one-hot category and numbers, side by side."""
        *rows, length = shape
        categories, numbers = self.config.categories, self.config.numbers
        uniform = tf.random.stateless_uniform([*rows, length - categories], seed, -1, 1)
        seed = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), 1)
        category = tf.random.stateless_uniform(rows, seed, 0, categories, tf.int32)
        return tf.concat([uniform[..., numbers:], tf.one_hot(category, categories), uniform[..., :numbers]], -1)

    def code(self, latent):
        """(category [n, categories], numbers [n, numbers]) of noise."""
        return tf.split(latent[..., -self.config.categories - self.config.numbers :], [self.config.categories, self.config.numbers], -1)

    def generate(self, batch):
        latent = self.prior((tf.shape(batch["image"])[0], self.config.latent_dim), self.randomness.next())
        return {"image": self.generator({"latent": latent}, training=True), "latent": latent}

    def unread(self, said, latent):
        """What Q gets wrong of the code: nats of the category, half the squared error of the numbers."""
        category, numbers = self.code(latent)
        missed = tf.nn.softmax_cross_entropy_with_logits(category, said["category"])
        missed += tf.reduce_sum(tf.square(numbers - said["numbers"]), -1) / 2
        return self.config.information * tf.reduce_mean(missed)

    def discriminator_loss(self, batch, fake):
        real, said = self.judge(batch["image"], batch), self.judge(fake["image"], batch)
        return {
            "d_adversarial": self.d_adversarial(real["realness"], said["realness"]),
            "d_information": self.unread(said, fake["latent"]),
        }

    def generator_loss(self, batch, fake):
        said = self.judge(fake["image"], batch)
        return {"g_adversarial": self.g_adversarial(said["realness"]), "g_information": self.unread(said, fake["latent"])}

    def preview(self, batch):
        """Ten columns. Rows: the first ten categories (four noises), then each number from -2 to 2 (two noises each)."""
        categories, numbers = self.config.categories, self.config.numbers
        kinds = np.eye(categories, dtype=np.float32)[np.arange(10) % categories]
        steps = np.linspace(-2, 2, 10, dtype=np.float32)
        noise = self.latents(tf.range(4, dtype=tf.int64)).numpy()
        rows = []
        for row in noise:
            rows.append(np.tile(row, (10, 1)))
            rows[-1][:, -categories - numbers : -numbers] = kinds
        for number in range(numbers):
            for row in noise[:2]:
                rows.append(np.tile(row, (10, 1)))
                rows[-1][:, number - numbers] = steps
        return ends.to_unit(self.averaged({"latent": np.concatenate(rows)}, training=False)), 10

    def discriminate(self, image, **conditions):
        said = super().discriminate(image, **conditions)
        return {**said, "category": tf.nn.softmax(said["category"])}
