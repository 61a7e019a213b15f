"""Semi-supervised GAN (Salimans et al. 2016, arXiv:1606.03498; Odena 2016, arXiv:1606.01583).

D has a logit l_k for each class and none for "generated", which is fixed at 0. With L(x) = log sum_k exp l_k(x), so that
D(x) = sigmoid(L(x)), for labelled images (x, y), others x', and features h of D's last hidden layer:

    discriminator   minimises  E [L(x) - l_y(x)]  + 1/2 E softplus(-L(x')) + 1/2 E softplus(L(G(z)))
    generator       minimises  |E h(x') - E h(G(z))|^2 / features      (feature matching, eq. 1; code)

`sgan` and `sgan_mnist` are the perceptrons of the authors' code for MNIST, `sgan_32` its convolutional pair for CIFAR-10. Differs from
the code: weight-normalised layers start with the gain that keeps N(0, 1), not from 500 images; the classifier is the discriminator
at the end of a falling learning rate, not its average; G matches the images that D has just seen, not others; for CIFAR-10 features are
matched by their mean square (there absolute) difference, and the generator is DCGAN's (there weights start from N(0, 0.05), norms have no
gain, the first is of each unit, and the last layer is weight-normalised). Under several replicas each matches the means of its own images.
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from zoo import ends, game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    labels: int = 100  # images whose labels it may see, as many of each class, chosen by --seed (table 1)
    labelled_weight: float = 1.0  # of the labelled images' term (code)

    def check(self):
        super().check()
        if self.num_classes and self.labels < self.num_classes:
            raise UserError(f"--labels {self.labels}: fewer than the {self.num_classes} classes; each needs one at least")


@dataclasses.dataclass(frozen=True)
class PerceptronConfig(Config):
    generator_units: tuple[int, ...] = (500, 500)  # of its hidden layers, softplus and batch norm (code)
    discriminator_units: tuple[int, ...] = (1000, 500, 250, 250, 250)  # of its hidden layers (code)
    image_noise: float = 0.3  # standard deviation of what is added to the discriminator's input, in units of [0, 1] (code)
    noise: float = 0.5  # the same, to each hidden layer's output (code)

    def networks(self):
        return build_generator(self), build_discriminator(self)


@dataclasses.dataclass(frozen=True)
class ConvolutionalConfig(Config):
    width: int = 128  # channels of the generator's last hidden layer, doubled at each smaller size (code)
    discriminator_widths: tuple[int, int] = (96, 192)  # channels of three convolutions each (code)
    image_dropout: float = 0.2  # of the discriminator's input (code)
    dropout: float = 0.5  # after each three convolutions (code)
    slope: float = 0.2  # of the leaky rectifier (code)

    def check(self):
        super().check()
        if self.image_shape and min(self.image_shape[:2]) < 9:
            raise UserError(f"images of {'x'.join(map(str, self.image_shape[:2]))} pixels: both sides must be at least 9 here")

    def networks(self):
        return build_generator_convolutional(self), build_discriminator_convolutional(self)


@keras.saving.register_keras_serializable("zoo")
class WeightNorm(keras.layers.Layer):
    """Dense layer (kernel 0) or convolution whose outputs' weights have a direction and a length (Salimans & Kingma 2016, eq. 2).

    The length is `gain`, and learned where `learned` (code: in the last layer of either player only). spread: standard deviation of the
    directions at the start, beside which the learning rate is large or small.
    """

    def __init__(self, filters, kernel=0, strides=1, padding="SAME", gain=1.0, learned=False, spread=0.05, **kwargs):
        super().__init__(**kwargs)
        self.settings = {"filters": filters, "kernel": kernel, "strides": strides, "padding": padding, "gain": gain, "learned": learned}
        self.settings["spread"] = spread

    def build(self, shape):
        filters, kernel = self.settings["filters"], self.settings["kernel"]
        sides = (kernel, kernel) if kernel else ()
        self.direction = self.add_weight(
            shape=(*sides, shape[-1], filters), initializer=layers.normal(self.settings["spread"]), name="direction"
        )
        self.length = self.settings["gain"]
        if self.settings["learned"]:
            self.length = self.add_weight(shape=(filters,), initializer=keras.initializers.Constant(self.length), name="length")
        self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")

    def call(self, x):
        direction = tf.convert_to_tensor(self.direction)
        norm = tf.sqrt(tf.reduce_sum(tf.square(direction), axis=range(direction.shape.rank - 1)))
        weight = direction * (self.length / norm)
        if self.settings["kernel"]:
            return tf.nn.conv2d(x, weight, self.settings["strides"], self.settings["padding"]) + self.bias
        return tf.matmul(x, weight) + self.bias

    def get_config(self):
        return {**super().get_config(), **self.settings}


def build_generator(config):
    x = latent = keras.Input((config.latent_dim,), name="latent")
    for units in config.generator_units:
        x = layers.BatchNorm(scale=False)(keras.layers.Dense(units, use_bias=False)(x))
        x = keras.layers.Activation("softplus")(x)
    pixels = int(np.prod(config.image_shape))
    x = WeightNorm(pixels, learned=True, spread=math.sqrt(2 / (x.shape[-1] + pixels)))(x)
    x = layers.sigmoid_output(x, config.image_shape)
    return keras.Model({"latent": latent}, x, name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = keras.layers.GaussianNoise(config.image_noise)(x)
    for i, units in enumerate(config.discriminator_units):
        x = keras.layers.GaussianNoise(config.noise)(x) if i else x
        features = x = keras.layers.ReLU()(WeightNorm(units, gain=1.2 if i else 2.5, spread=0.1)(x))
    x = WeightNorm(config.num_classes, learned=True, spread=0.1, dtype="float32")(keras.layers.GaussianNoise(config.noise)(x))
    return keras.Model({"image": image}, {"classes": x, "features": features}, name="discriminator")


def build_generator_convolutional(config):
    latent = keras.Input((config.latent_dim,), name="latent")
    x = layers.deconvolutions(latent, config.image_shape, config.width, 5)
    return keras.Model({"latent": latent}, layers.image_output(x), name="generator")


def build_discriminator_convolutional(config):
    x = image = keras.Input(config.image_shape, name="image")

    def conv(x, filters, kernel=3, strides=1, padding="SAME"):
        x = WeightNorm(filters, kernel, strides, padding, gain=1.2)(x)
        return keras.layers.LeakyReLU(config.slope)(x)

    x = keras.layers.Dropout(config.image_dropout)(x)
    for width in config.discriminator_widths:
        x = conv(conv(conv(x, width), width), width, strides=2)
        x = keras.layers.Dropout(config.dropout)(x)
    x = conv(x, width, padding="VALID")
    x = conv(conv(x, width, 1), width, 1)
    features = keras.layers.GlobalAveragePooling2D()(x)
    x = WeightNorm(config.num_classes, gain=0.1, learned=True, dtype="float32")(features)
    return keras.Model({"image": image}, {"classes": x, "features": features}, name="discriminator")


PERCEPTRON = {
    "batch_size": 100,
    "generator_learning_rate": 3e-3,
    "discriminator_learning_rate": 3e-3,
    "epsilon": 1e-4,  # of a sum under the root there: 1e-8
    "schedule": "linear",
}


@register(
    sgan=PerceptronConfig(steps=2400, every=400, **PERCEPTRON),
    sgan_mnist=PerceptronConfig(image_shape=(28, 28, 1), steps=180_000, every=600, **PERCEPTRON),
    sgan_32=ConvolutionalConfig(
        image_shape=(32, 32, 3),
        batch_size=100,
        labels=4000,
        generator_learning_rate=3e-4,
        discriminator_learning_rate=3e-4,
        epsilon=1e-4,
        schedule="linear",
        steady=2 / 3,
        steps=600_000,
        every=5000,
    ),
)
class SGAN(game.Game):
    """The discriminator classifies, from few labels and many images without."""

    batch_keys = ("image", "label")
    measures = ("misclassified",)

    def __init__(self, config):
        super().__init__(config, *config.networks())

    @staticmethod
    def prepare(config, source):
        return source.few_labels(config.labels, config.seed)

    def prior(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed)

    def judge(self, images, batch):
        said = super().judge(images, batch)
        return {**said, "realness": tf.reduce_logsumexp(said["classes"], axis=-1)}

    def discriminator_loss(self, batch, fake):
        known, real, fake = (self.judge(images, batch) for images in (batch["labelled_image"], batch["image"], fake))
        return {
            "d_labelled": self.config.labelled_weight * losses.class_error(batch["label"], known["classes"]),
            "d_adversarial": self.d_adversarial(real["realness"], fake["realness"]) / 2,
        }

    def generator_loss(self, batch, fake):
        real, fake = (tf.cast(self.judge(images, batch)["features"], tf.float32) for images in (batch["image"], fake))
        means = tf.reduce_mean(tf.stop_gradient(real), axis=0) - tf.reduce_mean(fake, axis=0)
        return {"g_features": tf.reduce_mean(tf.square(means))}

    def discriminate(self, image, **conditions):
        classes = self.discriminator({"image": ends.from_unit(image)}, training=False)["classes"]
        return {"realness": tf.reduce_logsumexp(classes, axis=-1), "class_probabilities": tf.nn.softmax(classes)}

    def exports(self):
        def classify(image):
            found = self.discriminate(image)["class_probabilities"]
            return {"label": tf.argmax(found, axis=-1), "class_probabilities": found}

        return {**super().exports(), "classify": (classify, [tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")])}

    def scores(self, held, classify):
        images = held["image"]
        said = [self.discriminate(tf.constant(images[i : i + 500] / 255, tf.float32)) for i in range(0, len(images), 500)]
        found = np.concatenate([tf.argmax(part["class_probabilities"], -1) for part in said])
        return {"misclassified": float(np.mean(found != held["label"]))}
