"""Semi-supervised GAN (Salimans et al. 2016, arXiv:1606.03498; Odena 2016, arXiv:1606.01583).

D has a logit l_k for each class and none for generated images, whose logit is fixed at 0. With L(x) = log sum_k exp l_k(x), so that
D(x) = sigmoid(L(x)), labeled images (x, y), unlabeled ones x', and features h of D's last hidden layer:

    discriminator   minimizes  E [L(x) - l_y(x)]  + 1/2 E softplus(-L(x')) + 1/2 E softplus(L(G(z)))
    generator       minimizes  |E h(x') - E h(G(z))|^2 / features      (feature matching, eq. 1; code)

`sgan` and `sgan_mnist` are the perceptrons of the authors' code for MNIST, `sgan_32` its convolutional networks for CIFAR-10.

Differs from the authors' code: gains of weight-normalized layers are initialized analytically, to preserve N(0, 1); the code computes
them from 500 images. The classifier is the discriminator itself after its learning rate has decayed; the code uses its EMA. G matches the
features of the images that D has just been trained on; the code uses other images. `sgan_32` matches features by their squared difference;
the code by the absolute one. The generator of `sgan_32` is DCGAN's; in the code, weights start from N(0, 0.05), batch normalization has no
scale, the first one normalizes each unit, and the last layer is weight-normalized.
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, Signature, layers, losses, replicas
from zoo.errors import UserError
from zoo.metrics.classification import CLASSIFICATION_METRICS
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    labels: int = 100  # number of labeled images, equally many of each class, chosen by --seed (table 1)
    labeled_weight: float = 1.0  # weight of the classification loss of labeled images (code)

    def validate(self):
        super().validate()
        if self.num_classes and self.labels < self.num_classes:
            raise UserError(f"--labels {self.labels}: fewer than the {self.num_classes} classes; each class needs at least one")


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(Config):
    generator_units: tuple[int, ...] = (500, 500)  # units of the generator's hidden layers (code)
    discriminator_units: tuple[int, ...] = (1000, 500, 250, 250, 250)  # units of the discriminator's hidden layers (code)
    image_noise: float = 0.3  # standard deviation of the noise on the discriminator's input, for images in [0, 1] (code)
    noise: float = 0.5  # standard deviation of the noise on the discriminator's hidden layers (code)

    def networks(self):
        return build_generator(self), build_discriminator(self)


@dataclasses.dataclass(frozen=True)
class ConvolutionalConfig(Config):
    width: int = 128  # channels of the generator's last hidden layer, doubled at each lower resolution (code)
    discriminator_widths: tuple[int, int] = (96, 192)  # channels of the discriminator's two groups of three convolutions (code)
    image_dropout: float = 0.2  # dropout rate of the discriminator's input (code)
    dropout: float = 0.5  # dropout rate after each group of convolutions (code)
    negative_slope: float = 0.2  # slope of the leaky ReLU (code)

    def validate(self):
        super().validate()
        if self.image_shape and min(self.image_shape[:2]) < 9:
            size = "x".join(map(str, self.image_shape[:2]))
            raise UserError(f"images of {size} pixels are too small for this network; both sides must be at least 9")

    def networks(self):
        return build_convolutional_generator(self), build_convolutional_discriminator(self)


@keras.saving.register_keras_serializable("zoo")
class WeightNorm(keras.layers.Layer):
    """Weight normalization: each output's weight vector has a direction and a length (Salimans & Kingma 2016, eq. 2).

    Args:
        filters: Number of outputs.
        kernel: Kernel size of a convolution; 0: a dense layer.
        strides: Strides of the convolution.
        padding: Padding of the convolution.
        gain: Length of the weight vectors; the initial length if it is learned.
        learn_gain: Whether the length is learned (code: only in the last layer of either network).
        stddev: Standard deviation of the initial directions, which sets their effective learning rate.
    """

    def __init__(self, filters, kernel=0, strides=1, padding="SAME", gain=1.0, learn_gain=False, stddev=0.05, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel, self.strides, self.padding = filters, kernel, strides, padding
        self.gain, self.learn_gain, self.stddev = gain, learn_gain, stddev

    def build(self, shape):
        sides = (self.kernel, self.kernel) if self.kernel else ()
        directions = layers.normal_init(self.stddev)
        self.direction = self.add_weight(shape=(*sides, shape[-1], self.filters), initializer=directions, name="direction")
        self.length = self.gain
        if self.learn_gain:
            self.length = self.add_weight(shape=(self.filters,), initializer=keras.initializers.Constant(self.gain), name="length")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        direction = tf.convert_to_tensor(self.direction)
        norm = tf.sqrt(tf.reduce_sum(tf.square(direction), axis=range(direction.shape.rank - 1)))
        weight = direction * (self.length / norm)
        if self.kernel:
            return tf.nn.conv2d(x, weight, self.strides, self.padding) + self.bias
        return tf.matmul(x, weight) + self.bias

    def get_config(self):
        names = ("filters", "kernel", "strides", "padding", "gain", "learn_gain", "stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def build_generator(config):
    x = latent = keras.Input((config.latent_dim,), name="latent")
    for units in config.generator_units:
        x = layers.BatchNorm(scale=False)(keras.layers.Dense(units, use_bias=False)(x))
        x = keras.layers.Activation("softplus")(x)
    pixels = int(np.prod(config.image_shape))
    x = WeightNorm(pixels, learn_gain=True, stddev=math.sqrt(2 / (x.shape[-1] + pixels)))(x)
    x = layers.sigmoid_output(x, config.image_shape)
    return keras.Model({"latent": latent}, x, name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = layers.GaussianNoise(config.image_noise)(x)
    for i, units in enumerate(config.discriminator_units):
        x = layers.GaussianNoise(config.noise)(x) if i else x
        features = x = keras.layers.ReLU()(WeightNorm(units, gain=1.2 if i else 2.5, stddev=0.1)(x))
    x = WeightNorm(config.num_classes, learn_gain=True, stddev=0.1, dtype="float32")(layers.GaussianNoise(config.noise)(x))
    return keras.Model({"image": image}, {"classes": x, "features": features}, name="discriminator")


def build_convolutional_generator(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.dcgan_generator_trunk(latent, config.image_shape, config.width, 5)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_convolutional_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")

    def conv(x, filters, kernel=3, strides=1, padding="SAME"):
        x = WeightNorm(filters, kernel, strides, padding, gain=1.2)(x)
        return keras.layers.LeakyReLU(config.negative_slope)(x)

    x = layers.Dropout(config.image_dropout)(x)
    for width in config.discriminator_widths:
        x = conv(conv(conv(x, width), width), width, strides=2)
        x = layers.Dropout(config.dropout)(x)
    x = conv(x, width, padding="VALID")
    x = conv(conv(x, width, 1), width, 1)
    features = keras.layers.GlobalAveragePooling2D()(x)
    x = WeightNorm(config.num_classes, gain=0.1, learn_gain=True, dtype="float32")(features)
    return keras.Model({"image": image}, {"classes": x, "features": features}, name="discriminator")


PERCEPTRON = {
    "batch_size": 100,
    "generator_learning_rate": 3e-3,
    "discriminator_learning_rate": 3e-3,
    "epsilon": 1e-4,  # the square root of the 1e-8 that the authors' Adam adds under the root
    "schedule": "linear",
}


@register(
    sgan=PerceptronConfig(steps=2400, eval_every=400, **PERCEPTRON),
    sgan_mnist=PerceptronConfig(image_shape=(28, 28, 1), steps=180_000, eval_every=600, **PERCEPTRON),  # 300 epochs (code)
    sgan_32=ConvolutionalConfig(
        image_shape=(32, 32, 3),
        batch_size=100,
        labels=4000,
        generator_learning_rate=3e-4,
        discriminator_learning_rate=3e-4,
        epsilon=1e-4,
        schedule="linear",
        decay_start=2 / 3,
        steps=600_000,  # 1200 epochs (code)
        eval_every=5000,
    ),
)
class SGAN(Game):
    """The discriminator is a classifier, trained on a few labeled and many unlabeled images."""

    batch_keys = ("image", "label")
    train_keys = ("image", "labeled_image", "label")
    discriminator_outputs = ("realness", "class_probabilities")
    own_metrics = CLASSIFICATION_METRICS

    def __init__(self, config):
        super().__init__(config, *config.networks())

    @staticmethod
    def prepare_data(config, source):
        return source.with_labels(config.labels, config.seed)

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed)

    def call_discriminator(self, images, batch):
        outputs = super().call_discriminator(images, batch)
        return {**outputs, "realness": tf.reduce_logsumexp(outputs["classes"], axis=-1)}

    def discriminator_loss(self, batch, fake):
        labeled, real, fake = (self.call_discriminator(images, batch) for images in (batch["labeled_image"], batch["image"], fake))
        return {
            "d_labeled": self.config.labeled_weight * losses.class_cross_entropy(batch["label"], labeled["classes"]),
            "d_adversarial": self.discriminator_objective(real["realness"], fake["realness"]) / 2,
        }

    def generator_loss(self, batch, fake):
        outputs = (self.call_discriminator(images, batch) for images in (batch["image"], fake))
        real, fake = (tf.cast(output["features"], tf.float32) for output in outputs)
        real, fake = (replicas.mean(tf.reduce_mean(features, axis=0)) for features in (tf.stop_gradient(real), fake))
        return {"g_features": tf.reduce_mean(tf.square(real - fake))}

    def discriminate(self, image, **conditions):
        classes = super().discriminate(image, **conditions)["classes"]
        return {"realness": tf.reduce_logsumexp(classes, axis=-1), "class_probabilities": tf.nn.softmax(classes)}

    def signatures(self):
        def classify(image):
            probabilities = self.discriminate(image)["class_probabilities"]
            return {"label": tf.argmax(probabilities, axis=-1), "class_probabilities": probabilities}

        image = tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")
        return {**super().signatures(), "classify": Signature(classify, [image], ("label", "class_probabilities"))}
