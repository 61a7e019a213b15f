"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

In addition to the noise z, the generator gets a code c, a category and continuous codes, which Q recovers from the image. With
D = sigmoid(logit):

    discriminator   minimizes  -E log D(x) - E log(1 - D(G(z, c))) - E log Q(c|G(z, c))
    generator       minimizes  -E log D(G(z, c))                   - E log Q(c|G(z, c))          (eq. 5, 6; lambda = 1)

Q shares all layers of D except the last; under Q, continuous codes are normal with standard deviation 1. `infogan_mnist` consists of the
networks of the authors' code, whose leaky ReLUs have a slope of 0.01 (0.1 in the paper). Noise and continuous codes are uniform in [-1, 1].

Differs from the authors' code: images are in [-1, 1] and G ends in tanh; in the code they are in [0, 1] and G ends in a sigmoid. The
discriminator's convolutions are initialized from a normal distribution; the code truncates it. Adam's epsilon is Keras' default of 1e-7;
the code's is 1e-8.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, replicas
from zoo.core.images import to_unit
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    latent_dim: int = 74  # dimension of the latent vector, noise and code together: 62 + 10 + 2 (§7.1)
    categories: int = 10  # values of the categorical code, one-hot (§7.1)
    continuous_codes: int = 2  # number of continuous codes (§7.1)
    conv_layers: int = 2  # stride-2 convolutions of each network (appendix C.1)
    width: int = 64  # channels at the highest resolution, doubled at each lower one (appendix C.1)
    hidden: int = 1024  # units of both networks' dense layer (appendix C.1)
    code_hidden: int = 128  # units of Q's own hidden layer (appendix C.1)
    kernel: int = 4  # kernel size (appendix C.1)
    negative_slope: float = 0.01  # slope of the leaky ReLU (code)
    information_weight: float = 1.0  # weight of the terms of the code (§7, lambda)

    def validate(self):
        super().validate()
        code_dim = self.categories + self.continuous_codes
        if self.latent_dim <= code_dim:
            raise UserError(f"--latent-dim {self.latent_dim}: must be more than --categories and --continuous-codes together, {code_dim}")


def dense(x, units):
    return keras.layers.Dense(units, kernel_initializer=layers.normal_init())(x)


def build_generator(config):
    start, *sizes = layers.halved_resolutions(config.image_shape, config.conv_layers)
    first, *widths = layers.channel_widths(config.width, config.conv_layers)
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.norm_relu(dense(latent, config.hidden))
    x = keras.layers.Reshape((*start, first))(layers.norm_relu(dense(x, start[0] * start[1] * first)))
    for size, width in zip(sizes[:-1], widths, strict=True):
        x = layers.norm_relu(layers.upsample_conv(x, size, width, config.kernel))
    x = layers.upsample_conv(x, sizes[-1], config.image_shape[-1], config.kernel)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator(config):
    def leaky_relu(x):
        return keras.layers.LeakyReLU(config.negative_slope)(x)

    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(reversed(layers.channel_widths(config.width, config.conv_layers))):
        x = layers.conv(x, width, config.kernel, 2)
        x = leaky_relu(layers.batch_norm(x) if i else x)
    x = leaky_relu(layers.batch_norm(dense(keras.layers.Flatten()(x), config.hidden)))
    code = leaky_relu(layers.batch_norm(dense(x, config.code_hidden)))
    heads = {"category": layers.logits(code, config.categories), "numbers": layers.logits(code, config.continuous_codes)}
    return keras.Model({"image": image}, {"realness": layers.logits(x), **heads}, name="discriminator")


@register(
    infogan=Config(
        conv_layers=3,
        width=32,
        hidden=256,
        code_hidden=64,
        generator_learning_rate=1e-3,
        steps=1500,
        eval_every=300,
    ),
    infogan_mnist=Config(image_shape=(28, 28, 1), batch_size=128, generator_learning_rate=1e-3, steps=5000, eval_every=100),
)
class InfoGAN(Game):
    """Learns interpretable latent codes without labels, by maximizing their mutual information with the image."""

    discriminator_outputs = ("realness", "category", "numbers")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def sample_latent(self, shape, seed):
        """Noise, one-hot category and continuous codes, concatenated."""
        *rows, length = shape
        categories, continuous = self.config.categories, self.config.continuous_codes
        uniform = tf.random.stateless_uniform([*rows, length - categories], seed, -1, 1)
        seed = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), 1)
        category = tf.random.stateless_uniform(rows, seed, 0, categories, tf.int32)
        return tf.concat([uniform[..., continuous:], tf.one_hot(category, categories), uniform[..., :continuous]], -1)

    def split_code(self, latent):
        """The code of latent vectors: category [n, categories] and continuous codes [n, continuous_codes]."""
        sizes = [self.config.categories, self.config.continuous_codes]
        return tf.split(latent[..., -sum(sizes) :], sizes, -1)

    def generate(self, batch):
        latent = replicas.draw_latents(self, tf.shape(batch["image"])[0])
        return {"image": self.generator({"latent": latent}, training=True), "latent": latent}

    def information_loss(self, output, latent):
        """-log Q of the code up to a constant: cross entropy of the category, half the squared error of the continuous codes."""
        category, continuous = self.split_code(latent)
        loss = tf.nn.softmax_cross_entropy_with_logits(category, output["category"])
        loss += tf.reduce_sum(tf.square(continuous - output["numbers"]), -1) / 2
        return self.config.information_weight * tf.reduce_mean(loss)

    def discriminator_loss(self, batch, fake):
        real_output, fake_output = self.call_discriminator(batch["image"], batch), self.call_discriminator(fake["image"], batch)
        return {
            "d_adversarial": self.discriminator_objective(real_output["realness"], fake_output["realness"]),
            "d_information": self.information_loss(fake_output, fake["latent"]),
        }

    def generator_loss(self, batch, fake):
        output = self.call_discriminator(fake["image"], batch)
        return {
            "g_adversarial": self.objective.generator(output["realness"]),
            "g_information": self.information_loss(output, fake["latent"]),
        }

    def preview(self, batch):
        """Four rows of the first ten categories, one latent vector each; then, for each continuous code, two rows from -2 to 2."""
        categories, continuous = self.config.categories, self.config.continuous_codes
        one_hot = np.eye(categories, dtype=np.float32)[np.arange(10) % categories]
        values = np.linspace(-2, 2, 10, dtype=np.float32)
        latents = self.latents(tf.range(4, dtype=tf.int64)).numpy()
        rows = []
        for latent in latents:
            row = np.tile(latent, (10, 1))
            row[:, -categories - continuous : -continuous] = one_hot
            rows.append(row)
        for i in range(continuous):
            for latent in latents[:2]:
                row = np.tile(latent, (10, 1))
                row[:, i - continuous] = values
                rows.append(row)
        return to_unit(self.ema_generator({"latent": np.concatenate(rows)}, training=False)), 10

    def discriminate(self, image, **conditions):
        output = super().discriminate(image, **conditions)
        return {**output, "category": tf.nn.softmax(output["category"])}
