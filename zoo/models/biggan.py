"""BigGAN (Brock, Donahue, Simonyan 2018, arXiv:1809.11096).

A larger SAGAN: all blocks of G share one class embedding e(y), and each is conditioned on e(y) and its own chunk z_i of the latent vector:

    discriminator   minimizes  E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))
    generator       minimizes  -E D(G(z, y), y) + 1e-4 sum_W |W^T W * (1 - I)|_F^2            (eq. 3)

The scale of batch normalization is 1 + linear(e(y), z_i). Samples use standing statistics: batch statistics averaged over many forward
passes on untruncated noise (appendix B). `biggan_128` and `biggan_256` follow tables 4 and 5.

Differs from the paper: the truncation trick maps latent values to the truncated normal distribution by its inverse CDF; the paper
resamples them until they fall into the range (§3.1), which gives the same distribution. Batches of 2048 are split by
--gradient-accumulation, and batch normalization uses the statistics of one micro-batch; the paper uses those of the whole batch. As in the
authors' PyTorch code, D's first block goes from the image directly to `width` channels, only the first chunk of z enters the dense layer,
and epsilons are 1e-5 (batch normalization) and 1e-6 (spectral normalization, Adam).
"""

import dataclasses
import functools

import keras
import tensorflow as tf

from zoo.core import Game, ImageConfig, flatten_layers, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 96  # channels at the highest resolution, ch (tables 4, 5)
    multipliers: tuple[int, ...] = (16, 16, 8, 4, 2, 1)  # factors on the width, from 4x4 up; small images use the last entries (table 4)
    embedding_dim: int = 128  # dimension of the shared class embedding (§3)
    attention_side: int = 64  # resolution of the generator's feature maps with attention, or the nearest one (tables 4, 5)
    discriminator_attention_side: int = 64  # the same for the discriminator (tables 4, 5)
    orthogonal_weight: float = 1e-4  # weight of the orthogonal regularization (§3.1, beta)
    standing_passes: int = 16  # batches over which the EMA generator's standing statistics are averaged (appendix B; code)

    def validate(self):
        super().validate()
        if self.image_shape and self.latent_dim < len(layers.resolutions(self.image_shape)):
            count = len(layers.resolutions(self.image_shape))
            raise UserError(f"--latent-dim {self.latent_dim}: must be at least {count}, one for each resolution of the generator")


def conv(x, filters, kernel, **kwargs):
    return layers.spectral_conv(x, filters, kernel, epsilon=1e-6, kernel_initializer=keras.initializers.Orthogonal(), **kwargs)


def dense(x, units, **kwargs):
    return layers.SpectralDense(units, epsilon=1e-6, kernel_initializer=keras.initializers.Orthogonal(), **kwargs)(x)


def attention(x):
    return layers.self_attention(x, functools.partial(conv, use_bias=False))


def conditional_norm_relu(x, condition):
    gain, bias = (dense(condition, x.shape[-1], use_bias=False) for _ in range(2))
    return layers.conditional_norm_relu(x, gain, bias)


def build_generator(config):
    start, *sizes = layers.resolutions(config.image_shape)
    first, *multipliers = layers.last_widths(config.multipliers, len(sizes) + 1)
    latent = keras.Input((config.latent_dim,), name="latent")
    label = keras.Input((), dtype="int64", name="label")
    chunk_dim = config.latent_dim // (len(sizes) + 1)
    z, *chunks = keras.ops.split(latent, [config.latent_dim - chunk_dim * i for i in range(len(sizes), 0, -1)], axis=1)
    embedding = keras.layers.Embedding(config.num_classes, config.embedding_dim, embeddings_initializer="orthogonal")(label)
    x = keras.layers.Reshape((*start, first * config.width))(dense(z, start[0] * start[1] * first * config.width))
    for size, multiplier, chunk in zip(sizes, multipliers, chunks, strict=True):
        condition = keras.layers.Concatenate()([embedding, chunk])
        norm_relu = functools.partial(conditional_norm_relu, condition=condition)
        x = layers.residual_up(x, size, multiplier * config.width, conv, norm_relu)
        x = attention(x) if size == layers.nearest_size(config.image_shape, config.attention_side) else x
    x = conv(layers.plain_norm_relu(x), config.image_shape[-1], 3)
    return keras.Model({"latent": latent, "label": label}, layers.image_output(x), name="generator")


def build_discriminator(config):
    image = keras.Input(config.image_shape, name="image")
    label = keras.Input((), dtype="int64", name="label")
    multipliers = layers.last_widths(config.multipliers, len(layers.resolutions(config.image_shape)))
    widths = [multiplier * config.width for multiplier in multipliers]
    x = layers.attended_features(image, widths, conv, attention, config.discriminator_attention_side)
    orthogonal = keras.initializers.Orthogonal()
    x = layers.projection_logit(layers.global_sum_pool(x), label, config.num_classes, epsilon=1e-6, kernel_initializer=orthogonal)
    return keras.Model({"image": image, "label": label}, x, name="discriminator")


IMAGENET = {
    "batch_size": 2048,
    "gradient_accumulation": 8,
    "discriminator_steps": 2,
    "generator_learning_rate": 5e-5,
    "discriminator_learning_rate": 2e-4,
    "beta_1": 0.0,
    "epsilon": 1e-6,
    "ema_decay": 0.9999,
    "steps": 140_000,
    "eval_every": 1000,
}


@register(
    biggan=Config(
        width=16,
        multipliers=(4, 4, 2, 1),
        latent_dim=80,
        embedding_dim=32,
        attention_side=16,
        discriminator_attention_side=16,
        generator_learning_rate=5e-4,
        discriminator_learning_rate=2e-3,
        beta_1=0.0,
        steps=500,
        eval_every=100,
    ),
    biggan_128=Config(image_shape=(128, 128, 3), latent_dim=120, **IMAGENET),
    biggan_256=Config(image_shape=(256, 256, 3), latent_dim=140, multipliers=(16, 16, 8, 8, 4, 2, 1), attention_side=128, **IMAGENET),
)
class BigGAN(Game):
    """Large class-conditional residual networks; the truncation trick trades diversity for fidelity."""

    objective = losses.hinge
    batch_keys = ("image", "label")
    supports_truncation = True

    def __init__(self, config):
        super().__init__(config, build_generator(config), build_discriminator(config))

    def generator_loss(self, batch, fake):
        return {**super().generator_loss(batch, fake), "g_orthogonality": self.config.orthogonal_weight * self.orthogonal_penalty()}

    def orthogonal_penalty(self):
        """The sum over G's weights W, except the embedding, of the squared inner products of different columns: |W^T W * (1 - I)|_F^2."""
        total = 0.0
        for weight in self.generator.trainable_variables:
            if len(weight.shape) > 1 and "embedding" not in weight.path:
                matrix = tf.reshape(tf.cast(weight.value, tf.float32), [-1, weight.shape[-1]])
                rows, columns = matrix.shape
                # |W^T W|_F = |W W^T|_F: the smaller product is computed.
                products = tf.matmul(matrix, matrix, transpose_a=rows > columns, transpose_b=rows <= columns)
                total += tf.reduce_sum(tf.square(products)) - tf.reduce_sum(tf.square(tf.reduce_sum(tf.square(matrix), 0)))
        return total

    def callbacks(self):
        return [StandingStatistics()]


class StandingStatistics(keras.callbacks.Callback):
    """Sets the EMA generator's batch statistics to their means over many batches of fixed noise, before each evaluation."""

    def __init__(self):
        super().__init__()
        self.forward = None  # traced once

    def on_epoch_end(self, epoch, logs=None):
        model, config = self.model, self.model.config
        norms = [layer for layer in flatten_layers(model.ema_generator) if isinstance(layer, layers.BatchNorm)]
        if self.forward is None:
            self.forward = tf.function(
                lambda latent, label: model.ema_generator({"latent": latent, "label": label}, training=True), autograph=False
            )
        settings = [(norm.trainable, norm.momentum) for norm in norms]
        weights = [tf.identity(weight) for weight in model.ema_generator.weights]
        statistics = [weight for norm in norms for weight in (norm.moving_mean, norm.moving_variance)]
        for norm in norms:
            norm.trainable, norm.momentum = True, 0.0  # moving statistics become those of one batch
        means, rows = [0.0] * len(statistics), min(config.batch_size, 256)
        for i in range(config.standing_passes):
            for weight in statistics:
                weight.assign(tf.zeros(weight.shape))
            label = (tf.range(rows, dtype=tf.int64) + i * rows) % config.num_classes
            self.forward(model.sample_latent((rows, config.latent_dim), [config.seed, i]), label)
            means = [mean + weight.value / config.standing_passes for mean, weight in zip(means, statistics, strict=True)]
        for weight, value in zip(model.ema_generator.weights, weights, strict=True):
            weight.assign(value)  # undoes the other effects of the passes, such as power iterations
        for norm, (trainable, momentum) in zip(norms, settings, strict=True):
            norm.trainable, norm.momentum = trainable, momentum
        for weight, mean in zip(statistics, means, strict=True):
            weight.assign(mean)
