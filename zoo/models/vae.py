"""Variational auto-encoder (Kingma & Welling 2013, arXiv:1312.6114).

The encoder gives a normal distribution for each image, the decoder a probability for each pixel. With z = mean + deviation * noise:

    both            minimise   E sum over pixels of the cross entropy of x and d(z)                        (reconstruction)
                               + E 1/2 sum (mean^2 + deviation^2 - 1 - log deviation^2)                    (divergence, appendix B)

The divergence pulls the codes of all images together into N(0, I), so that noise from it is a code, unlike the auto-encoder's; pixels
are still trained each for itself, and samples are blurred. Previews: originals above their reconstructions, then samples. `vae_mnist` is
the convolutional network of Keras' own example, `vae_perceptron` the paper's (500 hidden units, tanh). Differs from the paper: Adam (there
Adagrad).
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo import ends, game, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    latent_dim: int = 2  # length of the code
    widths: tuple[int, ...] = (32, 64)  # channels of the encoder's convolutions of stride 2; the decoder has them in reverse
    hidden: int = 16  # units of the encoder's dense layer

    def networks(self):
        return build_encoder(self), build_decoder(self)


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(game.Config):
    latent_dim: int = 20  # length of the code (§5)
    hidden: int = 500  # units of the hidden layer of both networks (§5)

    def networks(self):
        return build_perceptrons(self)


def heads(x, config):
    """Mean and log variance of the code."""
    return {name: keras.layers.Dense(config.latent_dim, dtype="float32")(x) for name in ("mean", "log_variance")}


def build_encoder(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    for width in config.widths:
        x = keras.layers.Conv2D(width, 3, 2, "same", activation="relu")(x)
    x = keras.layers.Dense(config.hidden, "relu")(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, heads(x, config), name="encoder")


def build_decoder(config):
    start, *sizes = layers.halved(config.image_shape, len(config.widths))
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(start[0] * start[1] * config.widths[-1], "relu")(latent)
    x = keras.layers.Reshape((*start, config.widths[-1]))(x)
    for size, width in zip(sizes, reversed(config.widths)):
        x = layers.cut(keras.layers.Conv2DTranspose(width, 3, 2, "same", activation="relu")(x), size)
    x = keras.layers.Conv2DTranspose(config.image_shape[-1], 3, padding="same", dtype="float32")(x)
    return keras.Model({"latent": latent}, x, name="decoder")


def build_perceptrons(config):
    image, latent = keras.Input(config.image_shape, name="image"), keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    encoder = keras.Model({"image": image}, heads(keras.layers.Dense(config.hidden, "tanh")(x), config), name="encoder")
    x = keras.layers.Dense(config.hidden, "tanh")(latent)
    x = keras.layers.Reshape(config.image_shape, dtype="float32")(keras.layers.Dense(int(np.prod(config.image_shape)), dtype="float32")(x))
    return encoder, keras.Model({"latent": latent}, x, name="decoder")


def build_generator(config):
    """From an image and noise: the logits of its pixels, and the mean and log variance of its code."""
    encoder, decoder = config.networks()
    image, noise = keras.Input(config.image_shape, name="image"), keras.Input((config.latent_dim,), name="latent")
    said = encoder({"image": image})
    code = said["mean"] + keras.ops.exp(said["log_variance"] / 2) * noise
    return keras.Model({"image": image, "latent": noise}, {"pixels": decoder({"latent": code}), **said}, name="generator")


@register(
    vae=Config(latent_dim=16, widths=(32, 64, 128), hidden=128, steps=1500, every=300, generator_learning_rate=1e-3, beta_1=0.9),
    vae_mnist=Config(image_shape=(28, 28, 1), batch_size=128, steps=14_000, every=500, generator_learning_rate=1e-3, beta_1=0.9),
    vae_perceptron=PerceptronConfig(
        image_shape=(28, 28, 1), batch_size=100, steps=30_000, every=600, generator_learning_rate=1e-3, beta_1=0.9
    ),
)
class VAE(game.Game):
    """An auto-encoder whose codes are normal, so that noise is a code: samples, but blurred ones."""

    def __init__(self, config):
        super().__init__(config, build_generator(config))

    def generate(self, batch):
        return self.generator(self._inputs(self.generator, batch, latent=self.noise(batch["image"])), training=True)

    def noise(self, images):
        return self.prior((tf.shape(images)[0], self.config.latent_dim), self.randomness.next())

    def generator_loss(self, batch, fake):
        pixels = tf.nn.sigmoid_cross_entropy_with_logits((batch["image"] + 1) / 2, fake["pixels"])
        mean, log_variance = fake["mean"], fake["log_variance"]
        divergence = tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1 - log_variance, axis=1) / 2
        return {
            "g_reconstruction": tf.reduce_mean(tf.reduce_sum(pixels, axis=[1, 2, 3])),
            "g_divergence": tf.reduce_mean(divergence),
        }

    def draw(self, network, latent, **conditions):
        return tf.nn.sigmoid(network.get_layer("decoder")({"latent": latent}, training=False)) * 2 - 1

    def reconstructed(self, images):
        """Images in [-1, 1] by way of their codes' means."""
        code = self.averaged.get_layer("encoder")({"image": images}, training=False)["mean"]
        return self.draw(self.averaged, code)

    def preview(self, batch):
        """Images, below them their reconstructions; then samples of noise."""
        return ends.rows_of([batch["image"], self.reconstructed(batch["image"])], self.sample(tf.range(32, dtype=tf.int64)))

    def exports(self):
        image = [tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")]

        def encode(image):
            return self.averaged.get_layer("encoder")({"image": ends.from_unit(image)}, training=False)

        again = ends.translating("reconstruct", self.reconstructed, self.config.image_shape)
        return {**super().exports(), "encode": (encode, image), **again}
