"""BigGAN (Brock, Donahue, Simonyan 2018, arXiv:1809.11096).

SAGAN made large: classes share one embedding e(y), and each block of G is conditioned on e(y) and on a part of z of its own:

    discriminator   minimises  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))
    generator       minimises  -E D(G(z, y), y) + 1e-4 sum_W |W^T W * (1 - I)|_F^2            (eq. 3)

Batch norm has a gain of 1 + linear(e(y), z_i). Samples are those of the averaged generator, with batch statistics of many passes
(§ "standing statistics", appendix B) of untruncated noise; the truncation trick draws z again where it lies beyond a threshold (§3.1).
`biggan_128` and `biggan_256` are tables 4 and 5; their batch of 2048 is taken in parts (--accumulation), and batch norm sees one part.
Generated images take the classes of the real ones of the batch. As the authors' code: D's first block goes straight to `width` channels,
only z's first part enters the dense layer, epsilons are 1e-5 (batch norm) and 1e-6 (spectral norm, Adam).
"""

import dataclasses

import keras
import tensorflow as tf

from zoo import game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    width: int = 96  # channels at the largest size, ch (tables 4, 5)
    multipliers: tuple[int, ...] = (16, 16, 8, 4, 2, 1)  # of the width: the dense layer's, then each block's up; small images take the last
    embedding: int = 128  # length of the shared class embedding (§3)
    attention_side: int = 64  # of the generator's feature maps with attention, or the size nearest to it (tables 4, 5)
    discriminator_attention_side: int = 64  # the same of the discriminator (tables 4, 5)
    orthogonality: float = 1e-4  # weight of the orthogonal regularisation (§3.1, beta)
    standing_passes: int = 16  # batches whose mean statistics the averaged generator samples with (appendix B; code)

    def check(self):
        super().check()
        if self.image_shape and self.latent_dim < len(layers.pyramid(self.image_shape)):
            raise UserError(f"--latent-dim {self.latent_dim}: each of the {len(layers.pyramid(self.image_shape))} sizes needs a part of it")


def conv(x, filters, kernel, **kwargs):
    return layers.spectral_conv(x, filters, kernel, epsilon=1e-6, kernel_initializer=keras.initializers.Orthogonal(), **kwargs)


def dense(x, units, **kwargs):
    return layers.SpectralDense(units, epsilon=1e-6, kernel_initializer=keras.initializers.Orthogonal(), **kwargs)(x)


def attention(x):
    return layers.attention(x, lambda y, filters, kernel: conv(y, filters, kernel, use_bias=False))


def build_generator(config):
    start, *sizes = layers.pyramid(config.image_shape)
    first, *others = layers.last(config.multipliers, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")
    chunk = config.latent_dim // (len(sizes) + 1)
    z, *chunks = keras.ops.split(latent, [config.latent_dim - chunk * i for i in range(len(sizes), 0, -1)], axis=1)
    known = keras.layers.Embedding(config.num_classes, config.embedding, embeddings_initializer="orthogonal")(label)

    def norm_relu(condition):
        def applied(x):
            gain, bias = (dense(condition, x.shape[-1], use_bias=False) for _ in range(2))
            return layers.conditional_norm_relu(x, gain, bias)

        return applied

    x = keras.layers.Reshape((*start, first * config.width))(dense(z, start[0] * start[1] * first * config.width))
    for size, multiplier, part in zip(sizes, others, chunks):
        condition = keras.layers.Concatenate()([known, part])
        x = layers.residual_up(x, size, multiplier * config.width, conv, norm_relu(condition))
        x = attention(x) if size == layers.nearest_size(config.image_shape, config.attention_side) else x
    x = conv(layers.plain_norm_relu(x), config.image_shape[-1], 3)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    widths = [multiplier * config.width for multiplier in layers.last(config.multipliers, len(layers.pyramid(config.image_shape)))]
    x = layers.attended_features(image, widths, conv, attention, config.discriminator_attention_side)
    orthogonal = keras.initializers.Orthogonal()
    x = layers.projected(layers.place_sum(x), label, config.num_classes, epsilon=1e-6, kernel_initializer=orthogonal)
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


IMAGENET = {
    "batch_size": 2048,
    "accumulation": 8,
    "discriminator_steps": 2,
    "generator_learning_rate": 5e-5,
    "discriminator_learning_rate": 2e-4,
    "beta_1": 0.0,
    "epsilon": 1e-6,
    "averaging": 0.9999,
    "steps": 140_000,
    "every": 1000,
}


@register(
    biggan=Config(
        width=16,
        multipliers=(4, 4, 2, 1),
        latent_dim=80,
        embedding=32,
        attention_side=16,
        discriminator_attention_side=16,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=2e-3,
        beta_1=0.0,
        steps=500,
        every=100,
    ),
    biggan_128=Config(image_shape=(128, 128, 3), latent_dim=120, **IMAGENET),
    biggan_256=Config(image_shape=(256, 256, 3), latent_dim=140, multipliers=(16, 16, 8, 8, 4, 2, 1), attention_side=128, **IMAGENET),
)
class BigGAN(game.Game):
    """Large class-conditional residual networks; the truncation trick trades variety for fidelity."""

    objective = losses.hinge
    batch_keys = ("image", "label")
    truncates = True

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def generator_loss(self, batch, fake):
        return {**super().generator_loss(batch, fake), "g_orthogonality": self.config.orthogonality * self.overlap()}

    def overlap(self):
        """How far the outputs of each weight are from orthogonal: the squares of their inner products, summed over all pairs."""
        total = 0.0
        for weight in self.generator.trainable_variables:
            if len(weight.shape) > 1 and "embedding" not in weight.path:
                matrix = tf.reshape(tf.cast(weight.value, tf.float32), [-1, weight.shape[-1]])
                rows, columns = matrix.shape
                products = tf.matmul(matrix, matrix, transpose_a=rows > columns, transpose_b=rows <= columns)  # the smaller; same sum
                total += tf.reduce_sum(tf.square(products)) - tf.reduce_sum(tf.square(tf.reduce_sum(tf.square(matrix), 0)))
        return total

    def callbacks(self):
        return [Standing()]


class Standing(keras.callbacks.Callback):
    """At each look, the averaged generator's batch statistics become the means over many batches of fixed noise."""

    def on_epoch_end(self, epoch, logs=None):
        game, config = self.model, self.model.config
        norms = [layer for layer in game.averaged._flatten_layers() if isinstance(layer, layers.BatchNorm)]
        if not hasattr(self, "forward"):
            self.forward = tf.function(lambda latent, label: game.averaged({"latent": latent, "label": label}, training=True))
        settings, weights = [(norm.trainable, norm.momentum) for norm in norms], [tf.identity(weight) for weight in game.averaged.weights]
        statistics = [weight for norm in norms for weight in (norm.moving_mean, norm.moving_variance)]
        for norm in norms:
            norm.trainable, norm.momentum = True, 0.0  # the statistics of one batch
        means, rows = [0.0] * len(statistics), min(config.batch_size, 256)
        for i in range(config.standing_passes):
            for weight in statistics:
                weight.assign(tf.zeros(weight.shape))
            label = (tf.range(rows, dtype=tf.int64) + i * rows) % config.num_classes
            self.forward(game.prior((rows, config.latent_dim), [config.seed, i]), label)
            means = [mean + weight.value / config.standing_passes for mean, weight in zip(means, statistics)]
        for weight, value in zip(game.averaged.weights, weights):
            weight.assign(value)  # what else the passes have changed
        for norm, before in zip(norms, settings):
            norm.trainable, norm.momentum = before
        for weight, mean in zip(statistics, means):
            weight.assign(mean)
