"""Auto-encoder (Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks").

An encoder e and a decoder d, trained to give back each pixel:

    both            minimise   E |x - d(e(x))|^2 / pixels

Its decoder looks like a generator, and is none: codes of images fill no simple shape, so noise from N(0, I) is the code of nothing, and
each pixel is trained for itself, so that relations between pixels are not seen. Lectures set it before the GAN for that; the previews show
originals above their reconstructions, then samples from N(0, I), which fail. `autoencoder_mnist` is the paper's 784-1000-500-250-30.
Differs from the paper: rectified linear units, the squared error (there the cross entropy) and Adam, with no pretraining by Boltzmann
machines.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo import ends, game, layers
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    latent_dim: int = 30  # length of the code (paper)
    units: tuple[int, ...] = (1000, 500, 250)  # of the encoder's hidden layers; the decoder has them in reverse (paper)


def perceptron(x, units):
    for count in units:
        x = keras.layers.Dense(count, "relu")(x)
    return x


def build_encoder(config):
    image = keras.Input(config.image_shape, name="image")
    x = perceptron(keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image)), config.units)
    return keras.Model({"image": image}, keras.layers.Dense(config.latent_dim, dtype="float32")(x), name="encoder")


def build_decoder(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(int(np.prod(config.image_shape)))(perceptron(latent, reversed(config.units)))
    return keras.Model({"latent": latent}, layers.sigmoid_output(x, config.image_shape), name="decoder")


def build_generator(config):
    encoder, decoder = build_encoder(config), build_decoder(config)
    image = keras.Input(config.image_shape, name="image")
    return keras.Model({"image": image}, decoder({"latent": encoder({"image": image})}), name="generator")


@register(
    autoencoder=Config(steps=2000, every=400, generator_learning_rate=1e-3, beta_1=0.9),
    autoencoder_mnist=Config(image_shape=(28, 28, 1), batch_size=100, steps=30_000, every=600, generator_learning_rate=1e-3, beta_1=0.9),
)
class Autoencoder(game.Game):
    """What came before: a decoder that gives back what was encoded, and nothing from noise."""

    def __init__(self, config):
        super().__init__(config, build_generator(config))

    def generate(self, batch):
        return self.generator({"image": batch["image"]}, training=True)

    def generator_loss(self, batch, fake):
        return {"g_reconstruction": tf.reduce_mean(tf.square(batch["image"] - fake)) / 4}  # /4: pixels are in [0, 1] there

    def draw(self, network, latent, **conditions):
        return network.get_layer("decoder")({"latent": latent}, training=False)

    def preview(self, batch):
        """Images, below them their reconstructions; then samples of noise."""
        again = self.averaged({"image": batch["image"]}, training=False)
        return ends.rows_of([batch["image"], again], self.sample(tf.range(32, dtype=tf.int64)))

    def exports(self):
        image = [tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")]

        def encode(image):
            return {"latent": self.averaged.get_layer("encoder")({"image": ends.from_unit(image)}, training=False)}

        again = ends.translating("reconstruct", lambda image: self.averaged({"image": image}, training=False), self.config.image_shape)
        return {**super().exports(), "encode": (encode, image), **again}
