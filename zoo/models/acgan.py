"""ACGAN (Odena, Olah, Shlens 2016, arXiv:1610.09585).

The discriminator has two heads, source and class. With D = sigmoid(source logit) and P = softmax(class logits):

    discriminator   minimises  -E log D(x) - E log(1 - D(G(z, c)))  - E log P(c|x) - E log P(c|G(z, c))
    generator       minimises  -E log D(G(z, c))                    - E log P(c|G(z, c))

`acgan_128` is table 1 (ImageNet) and `acgan_32` table 2 (CIFAR-10). Differs from the paper, where it cannot be as printed: table 1
lists four transposed convolutions, which do not reach 128 pixels from 4; a fifth of 64 channels stands before the last. Adam's
beta_2 is 0.999 (printed as 10^-3). The generator's source term is the non-saturating form of the paper's -L_S.
`acgan` is small: its discriminator is DCGAN's (4x4 kernels, stride 2, no dropout: MNIST's samples cover 79 % of the real ones after
119,000 images seen, with the paper's strides and dropout 64 %) and learns classes from real images only: where generated ones count
as well, the players agree on marks of a class that are none (91.4 % of the samples were taken for their class, without them 96.9 %).
"""

import dataclasses

import keras
import tensorflow as tf

from zoo import game, layers, losses
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    generator_widths: tuple[int, ...] = (768, 384, 192, 96)  # up to the image; small images take the last ones (table 2)
    generator_kernel: int = 5  # side of its kernels (tables 1, 2)
    discriminator_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # of its convolutions (tables 1, 2)
    discriminator_kernel: int = 3  # side of its kernels (tables 1, 2)
    discriminator_strides: tuple[int, ...] = (2, 1)  # of its convolutions, in turn (tables 1, 2)
    dropout: float = 0.5  # after each convolution of the discriminator (tables 1, 2)
    noise: float = 0.0  # standard deviation of the noise on the discriminator's activations (table 2: one of 0, 0.1, 0.2)
    slope: float = 0.2  # of the leaky rectifier (tables 1, 2)
    class_weight: float = 1.0  # of the class terms of both players
    fake_class_weight: float = 1.0  # of generated images in the discriminator's class term; 0: it learns classes from real ones only


def build_generator(config):
    start, *sizes = layers.pyramid(config.image_shape)
    first, *others = layers.last(config.generator_widths, len(sizes))
    latent = keras.Input((config.latent_dim,), name="latent")
    label, code = layers.label_input(config.num_classes)
    x = keras.layers.Concatenate()([latent, code])
    x = keras.layers.Dense(start[0] * start[1] * first, "relu", kernel_initializer=layers.normal())(x)
    x = keras.layers.Reshape((*start, first))(x)
    for size, width in zip(sizes, others):
        x = keras.layers.ReLU()(layers.BatchNorm()(layers.rise(x, size, width, config.generator_kernel)))
    x = layers.rise(x, sizes[-1], config.image_shape[-1], config.generator_kernel)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    for i, width in enumerate(config.discriminator_widths):
        x = layers.conv(x, width, config.discriminator_kernel, config.discriminator_strides[i % len(config.discriminator_strides)])
        x = layers.BatchNorm()(x) if i else x
        x = keras.layers.LeakyReLU(config.slope)(x)
        x = keras.layers.GaussianNoise(config.noise)(x) if config.noise else x
        x = keras.layers.Dropout(config.dropout)(x) if config.dropout else x
    x = keras.layers.Flatten()(x)
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
    acgan_32=Config(image_shape=(32, 32, 3), batch_size=100, steps=50_000, every=1000, noise=0.1),
    acgan_128=Config(
        image_shape=(128, 128, 3), batch_size=100, steps=50_000, every=1000, generator_widths=(768, 384, 256, 192, 64), noise=0.1
    ),
)
class ACGAN(game.Game):
    """The discriminator also names the class, and the generator is asked for it: samples by class."""

    batch_keys = ("image", "label")

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def discriminator_loss(self, batch, fake):
        real, fake = self.judge(batch["image"], batch), self.judge(fake, batch)
        errors = [losses.class_error(batch["label"], said["classes"]) for said in (real, fake)]
        return {
            "d_adversarial": self.d_adversarial(real["realness"], fake["realness"]),
            "d_class": self.config.class_weight * (errors[0] + self.config.fake_class_weight * errors[1]),
        }

    def generator_loss(self, batch, fake):
        fake = self.judge(fake, batch)
        return {
            "g_adversarial": self.g_adversarial(fake["realness"]),
            "g_class": self.config.class_weight * losses.class_error(batch["label"], fake["classes"]),
        }

    def discriminate(self, image, **conditions):
        said = super().discriminate(image, **conditions)
        return {"realness": said["realness"], "class_probabilities": tf.nn.softmax(said["classes"])}
