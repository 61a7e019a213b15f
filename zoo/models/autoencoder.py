"""Autoencoder (Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313).

An encoder e and a decoder d are trained together to reconstruct every pixel, for pixels in [0, 1]:

    both networks   minimize   E |x - d(e(x))|^2 / pixels

The decoder looks like a generator but is not one: nothing shapes the distribution of the codes, so noise from N(0, I) is not the code of
any image, and a pixel-wise loss ignores how pixels relate to each other. Courses introduce GANs with this failure, and the previews show
it: originals above their reconstructions, then samples decoded from N(0, I). `autoencoder_mnist` is the paper's 784-1000-500-250-30
network.

Differs from the paper: hidden units are ReLUs; the paper's are logistic. The loss is the squared error; the paper's is the cross-entropy.
Adam starts from random initial weights; the paper pretrains each layer as a restricted Boltzmann machine, then uses conjugate gradients.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, Signature, layers
from zoo.core.images import from_unit, image_to_image_signatures, interleave_rows
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    latent_dim: int = 30  # dimension of the code (paper)
    units: tuple[int, ...] = (1000, 500, 250)  # units of the encoder's hidden layers; the decoder is symmetric (paper)


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
    autoencoder=Config(steps=2000, eval_every=400, generator_learning_rate=1e-3, beta_1=0.9),
    autoencoder_mnist=Config(
        image_shape=(28, 28, 1), batch_size=100, steps=30_000, eval_every=600, generator_learning_rate=1e-3, beta_1=0.9
    ),
)
class Autoencoder(Game):
    """Before GANs: a decoder that reconstructs what was encoded, but cannot generate from noise."""

    def __init__(self, config):
        super().__init__(config, build_generator(config))

    def generate(self, batch):
        return self.generator({"image": batch["image"]}, training=True)

    def generator_loss(self, batch, fake):
        squared_error = tf.reduce_mean(tf.square(batch["image"] - fake))
        return {"g_reconstruction": squared_error / 4}  # images span [-1, 1] here and [0, 1] in the formula

    def generate_from(self, network, latent, **conditions):
        return network.get_layer("decoder")({"latent": latent}, training=False)

    def reconstruct(self, images):
        """Encode and decode images in [-1, 1] with the EMA networks."""
        return self.ema_generator({"image": images}, training=False)

    def preview(self, batch):
        """Originals above their reconstructions, then samples decoded from noise."""
        samples = self.sample(tf.range(32, dtype=tf.int64))
        return interleave_rows([batch["image"], self.reconstruct(batch["image"])], samples)

    def signatures(self):
        """A generator's signatures, with its default renamed to `decode`; `serving_default` is the reconstruction."""
        generator = super().signatures()
        decode = generator.pop("serving_default")

        def encode(image):
            return {"latent": self.ema_generator.get_layer("encoder")({"image": from_unit(image)}, training=False)}

        image = tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")
        reconstruction = image_to_image_signatures("reconstruct", self.reconstruct, self.config.image_shape)
        return {
            "serving_default": reconstruction["reconstruct"],
            "decode": decode,
            **generator,
            "encode": Signature(encode, [image], ("latent",)),
            **reconstruction,
        }
