"""Variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114).

The encoder predicts the mean m and the variance s^2 of a normal distribution for each image x, the decoder d a Bernoulli logit for each
pixel. With a code z = m + s * noise, noise from N(0, I):

    both networks   minimize   E sum over pixels of the cross-entropy of x and d(z)         (reconstruction)
                               + E 1/2 sum (m^2 + s^2 - 1 - log s^2)                        (KL divergence, appendix B)

The KL divergence pulls the codes of all images together into N(0, I), so that, unlike an autoencoder's, its decoder can generate from
noise. The likelihood still treats pixels as independent, which makes samples blurry. Previews show originals above their reconstructions,
then samples. `vae_mnist` is the convolutional network of the Keras example, `vae_perceptron` the paper's (500 hidden units, tanh).

Differs from the paper: the optimizer is Adam; the paper uses Adagrad. Initial weights are Glorot's; the paper's are from N(0, 0.01). There
is no weight decay; the paper uses a small one.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, Signature, layers, replicas, select_inputs
from zoo.core.images import from_unit, image_to_image_signatures, interleave_rows
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    latent_dim: int = 2  # dimension of the code (Keras example)
    widths: tuple[int, ...] = (32, 64)  # channels of the encoder's stride-2 convolutions; the decoder is symmetric (Keras example)
    hidden: int = 16  # units of the encoder's dense layer (Keras example)

    def networks(self):
        return build_encoder(self), build_decoder(self)


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(ImageConfig):
    latent_dim: int = 20  # dimension of the code (§5)
    hidden: int = 500  # units of the hidden layer of either network (§5)

    def networks(self):
        return build_perceptrons(self)


def posterior_heads(x, config):
    """Mean and log variance of the code."""
    return {name: keras.layers.Dense(config.latent_dim, dtype="float32")(x) for name in ("mean", "log_variance")}


def build_encoder(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    for width in config.widths:
        x = keras.layers.Conv2D(width, 3, 2, "same", activation="relu")(x)
    x = keras.layers.Dense(config.hidden, "relu")(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, posterior_heads(x, config), name="encoder")


def build_decoder(config):
    start, *sizes = layers.halved_resolutions(config.image_shape, len(config.widths))
    latent = keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Dense(start[0] * start[1] * config.widths[-1], "relu")(latent)
    x = keras.layers.Reshape((*start, config.widths[-1]))(x)
    for size, width in zip(sizes, reversed(config.widths), strict=True):
        x = layers.crop_to(keras.layers.Conv2DTranspose(width, 3, 2, "same", activation="relu")(x), size)
    x = keras.layers.Conv2DTranspose(config.image_shape[-1], 3, padding="same", dtype="float32")(x)
    return keras.Model({"latent": latent}, x, name="decoder")


def build_perceptrons(config):
    image, latent = keras.Input(config.image_shape, name="image"), keras.Input((config.latent_dim,), name="latent")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    encoder = keras.Model({"image": image}, posterior_heads(keras.layers.Dense(config.hidden, "tanh")(x), config), name="encoder")
    x = keras.layers.Dense(config.hidden, "tanh")(latent)
    x = keras.layers.Reshape(config.image_shape, dtype="float32")(keras.layers.Dense(int(np.prod(config.image_shape)), dtype="float32")(x))
    return encoder, keras.Model({"latent": latent}, x, name="decoder")


def build_generator(config):
    """Build the model from an image and noise to the logits of its pixels, and the mean and log variance of its code."""
    encoder, decoder = config.networks()
    image, noise = keras.Input(config.image_shape, name="image"), keras.Input((config.latent_dim,), name="latent")
    posterior = encoder({"image": image})
    code = posterior["mean"] + keras.ops.exp(posterior["log_variance"] / 2) * noise
    return keras.Model({"image": image, "latent": noise}, {"pixels": decoder({"latent": code}), **posterior}, name="generator")


@register(
    vae=Config(latent_dim=16, widths=(32, 64, 128), hidden=128, steps=1500, eval_every=300, generator_learning_rate=1e-3, beta_1=0.9),
    vae_mnist=Config(image_shape=(28, 28, 1), batch_size=128, steps=14_000, eval_every=500, generator_learning_rate=1e-3, beta_1=0.9),
    vae_perceptron=PerceptronConfig(
        image_shape=(28, 28, 1), batch_size=100, steps=30_000, eval_every=600, generator_learning_rate=1e-3, beta_1=0.9
    ),
)
class VAE(Game):
    """An autoencoder with a normal prior on the latent code: it generates new images, but blurry ones."""

    def __init__(self, config):
        super().__init__(config, build_generator(config))

    def generate(self, batch):
        noise = replicas.draw_latents(self, tf.shape(batch["image"])[0])
        return self.generator(select_inputs(self.generator, batch, latent=noise), training=True)

    def generator_loss(self, batch, fake):
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits((batch["image"] + 1) / 2, fake["pixels"])
        mean, log_variance = fake["mean"], fake["log_variance"]
        divergence = tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1 - log_variance, axis=1) / 2
        return {
            "g_reconstruction": tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=[1, 2, 3])),
            "g_divergence": tf.reduce_mean(divergence),
        }

    def generate_from(self, network, latent, **conditions):
        return tf.nn.sigmoid(network.get_layer("decoder")({"latent": latent}, training=False)) * 2 - 1

    def reconstruct(self, images):
        """Decode the mean codes of images in [-1, 1] with the EMA networks."""
        code = self.ema_generator.get_layer("encoder")({"image": images}, training=False)["mean"]
        return self.generate_from(self.ema_generator, code)

    def preview(self, batch):
        """Originals above their reconstructions, then samples."""
        samples = self.sample(tf.range(32, dtype=tf.int64))
        return interleave_rows([batch["image"], self.reconstruct(batch["image"])], samples)

    def signatures(self):
        def encode(image):
            return self.ema_generator.get_layer("encoder")({"image": from_unit(image)}, training=False)

        image = tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")
        encoding = {"encode": Signature(encode, [image], ("mean", "log_variance"))}
        return {**super().signatures(), **encoding, **image_to_image_signatures("reconstruct", self.reconstruct, self.config.image_shape)}
