"""ACGAN (Odena, Olah, Shlens 2016, arXiv:1610.09585).

The discriminator has two heads, real/fake (the paper's source) and class. With D = sigmoid(source logit) and P = softmax(class logits):

    discriminator   minimizes  -E log D(x) - E log(1 - D(G(z, c)))  - E log P(c|x) - E log P(c|G(z, c))
    generator       minimizes  -E log D(G(z, c))                    - E log P(c|G(z, c))

`acgan_128` follows table 1 (ImageNet; the paper trains one model per 10 classes) and `acgan_32` table 2 (CIFAR-10). `acgan` is small: its
discriminator is DCGAN's, with 4x4 kernels of stride 2 and no dropout (MNIST coverage 0.79 after 119,000 images seen; 0.64 with the
paper's strides and dropout), and it learns classes from real images only. With generated images in its class loss too, both networks
settle on class cues that real images lack (class accuracy of the samples 91.4% instead of 96.9%). `acgan_quick` is `acgan` for MNIST in a
few minutes (docs/speed.md): the discriminator has narrower convolutions, and a dense layer as in the DCGAN authors' code for MNIST.

Differs from the paper: a fifth transposed convolution with 64 channels precedes the last one; table 1 lists four, which do not reach 128
pixels from 4. Adam's beta_2 is 0.999; the paper prints 10^-3. The generator's source term is non-saturating; the paper's is -L_S, which
saturates. Adam's epsilon is Keras' default of 1e-7; the paper does not give one.
"""

import dataclasses

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    generator_widths: tuple[int, ...] = (768, 384, 192, 96)  # channels from 4x4 up; small images use the last entries (table 2)
    generator_kernel: int = 5  # kernel size of the generator (tables 1, 2)
    discriminator_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # channels of the discriminator's convolutions (tables 1, 2)
    discriminator_kernel: int = 3  # kernel size of the discriminator (tables 1, 2)
    discriminator_strides: tuple[int, ...] = (2, 1)  # strides of the discriminator's convolutions, repeated cyclically (tables 1, 2)
    dense_units: tuple[int, ...] = ()  # units of dense layers before the discriminator's heads; none in the paper
    dropout: float = 0.5  # dropout rate after each convolution of the discriminator (tables 1, 2)
    noise: float = 0.0  # standard deviation of the noise on the discriminator's activations (table 2: one of 0, 0.1, 0.2)
    negative_slope: float = 0.2  # slope of the leaky ReLU (tables 1, 2)
    class_weight: float = 1.0  # weight of the class terms in both losses
    fake_class_weight: float = 1.0  # weight of generated images in the discriminator's class term; 0: it classifies only real images


def build_generator(config):
    start, *sizes = layers.resolutions(config.image_shape)
    first, *widths = layers.last_widths(config.generator_widths, len(sizes))
    latent = keras.Input((config.latent_dim,), name="latent")
    label, one_hot = layers.label_input(config.num_classes)
    x = keras.layers.Concatenate()([latent, one_hot])
    x = keras.layers.Dense(start[0] * start[1] * first, "relu", kernel_initializer=layers.normal_init())(x)
    x = keras.layers.Reshape((*start, first))(x)
    for size, width in zip(sizes[:-1], widths, strict=True):
        x = keras.layers.ReLU()(layers.BatchNorm()(layers.upsample_conv(x, size, width, config.generator_kernel)))
    x = layers.upsample_conv(x, sizes[-1], config.image_shape[-1], config.generator_kernel)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        strides = config.discriminator_strides[i % len(config.discriminator_strides)]
        x = layers.conv(x, width, config.discriminator_kernel, strides)
        x = layers.BatchNorm()(x) if i else x
        x = keras.layers.LeakyReLU(config.negative_slope)(x)
        x = layers.GaussianNoise(config.noise)(x) if config.noise else x
        x = layers.Dropout(config.dropout)(x) if config.dropout else x
    x = keras.layers.Flatten()(x)
    for units in config.dense_units:
        x = keras.layers.Dense(units, use_bias=False, kernel_initializer=layers.normal_init())(x)
        x = keras.layers.LeakyReLU(config.negative_slope)(layers.BatchNorm()(x))
    heads = {"realness": layers.logits(x), "classes": layers.logits(x, config.num_classes)}
    return keras.Model({"image": image}, heads, name="discriminator")


@register(
    acgan=Config(
        generator_widths=(256, 128, 64, 32),
        generator_kernel=4,
        discriminator_widths=(32, 64, 128),
        discriminator_kernel=4,
        discriminator_strides=(2,),
        dropout=0.0,
        fake_class_weight=0.0,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        steps=1200,
    ),
    acgan_quick=Config(
        image_shape=(28, 28, 1),
        generator_widths=(256, 128, 64, 32),
        generator_kernel=4,
        discriminator_widths=(16, 32, 64),
        discriminator_kernel=4,
        discriminator_strides=(2,),
        dense_units=(1024,),
        dropout=0.0,
        class_weight=1.4,
        fake_class_weight=0.0,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        schedule="linear",
        decay_start=0.25,
        final_rate=0.1,
        steps=9500,
        eval_every=1000,
    ),
    acgan_32=Config(image_shape=(32, 32, 3), batch_size=100, steps=50_000, eval_every=1000, noise=0.1),
    acgan_128=Config(
        image_shape=(128, 128, 3), batch_size=100, steps=50_000, eval_every=1000, generator_widths=(768, 384, 256, 192, 64), noise=0.1
    ),
)
class ACGAN(Game):
    """The discriminator also classifies images, which makes the generator class-conditional."""

    batch_keys = ("image", "label")
    discriminator_outputs = ("realness", "class_probabilities")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def discriminator_loss(self, batch, fake):
        real_output, fake_output = self.call_discriminator(batch["image"], batch), self.call_discriminator(fake, batch)
        real_error = losses.class_cross_entropy(batch["label"], real_output["classes"])
        fake_error = losses.class_cross_entropy(batch["label"], fake_output["classes"])
        return {
            "d_adversarial": self.discriminator_objective(real_output["realness"], fake_output["realness"]),
            "d_class": self.config.class_weight * (real_error + self.config.fake_class_weight * fake_error),
        }

    def generator_loss(self, batch, fake):
        output = self.call_discriminator(fake, batch)
        return {
            "g_adversarial": self.objective.generator(output["realness"]),
            "g_class": self.config.class_weight * losses.class_cross_entropy(batch["label"], output["classes"]),
        }

    def discriminate(self, image, **conditions):
        output = super().discriminate(image, **conditions)
        return {"realness": output["realness"], "class_probabilities": tf.nn.softmax(output["classes"])}
