"""PGGAN (Karras, Aila, Laine, Lehtinen 2017, arXiv:1710.10196).

Both networks grow from 4x4 pixels: at each stage a new resolution is faded in, then trained. With x' between x and G(z):

    critic          minimizes  E f(G(z)) - E f(x) + 10 E (|grad f(x')| - 1)^2 + 0.001 E f(x)^2
    generator       minimizes  -E f(G(z))

Equalized learning rate: weights start from N(0, 1) and are scaled by He's constant at run time (§4.1). G uses pixelwise normalization
(§4.2). D uses the minibatch standard deviation (§3), which makes its logits depend on their batch, so D is not served.
`pggan_1024` is table 2, `pggan_32` the CIFAR-10 configuration of the authors' Theano code.

Differs from the authors' code: the batch size is the same at every stage; the code's batches shrink. The learning rates are the same at
every stage; the Theano code ramps them up at each. The minibatch standard deviation is that of the whole batch; the TensorFlow code uses
groups of 4. On CIFAR-10 the players are updated one after the other; the code updates them at the same time. The penalty's square root has
an epsilon of 1e-12; the code's has none. Faces are not mirrored; the code mirrors half of them. Initial weights are not rescaled to a
standard deviation of exactly 1; the Theano code rescales them.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from zoo.core import Game, ImageConfig, layers, losses, optimizers, replicas
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    latent_dim: int = 512  # dimension of the latent vector (table 2)
    fmap_base: int = 8192  # channels at resolution R are at most 2 * FMAP_BASE / R (code, fmap_base)
    fmap_max: int = 512  # bound on the channels at all resolutions (code, fmap_max)
    phase_steps: int = 50_000  # steps to fade in a resolution, and as many to train it: 800,000 images in batches of 16 (appendix A.1)
    penalty_weight: float = 10.0  # weight of the gradient penalty (appendix A.1)
    gradient_target: float = 1.0  # gradient norm at which the penalty is 0; 750 for CIFAR-10 (code)
    drift_weight: float = 0.001  # weight of the squared logits of real images (appendix A.1)
    negative_slope: float = 0.2  # slope of the leaky ReLU (table 2)

    size_constraint = "powers of 2"

    def validate(self):
        super().validate()
        if self.gradient_target <= 0:
            raise UserError(f"--gradient-target {self.gradient_target:g}: must be more than 0; 1, or 750 as for CIFAR-10")
        if self.schedule != "constant" or self.learning_rate_decay != 1:
            raise UserError(
                "--schedule: the optimizers of pggan restart at each stage, so its learning rates must be constant; leave it out"
            )
        if self.image_shape:
            height, width, channels = self.image_shape
            if height != width or height & (height - 1):
                side = 2 ** max(3, round(max(height, width)).bit_length() - 1)
                resize = f"--image-shape {side} {side} {channels} resizes them"
                raise UserError(f"images of {height}x{width} pixels are unsupported: pggan grows from 4x4 by doubling; {resize}")

    @property
    def stage_sides(self):
        """Sides of the images at each stage: 4, 8, ..."""
        return [side for side, _ in layers.resolutions(self.image_shape)]

    @property
    def stage_boundaries(self):
        return [self.phase_steps * (2 * stage - 1) for stage in range(1, len(self.stage_sides))]

    def channels_at(self, side):
        """Number of channels of feature maps of a side."""
        return max(1, min(2 * self.fmap_base // side, self.fmap_max))


@keras.saving.register_keras_serializable("zoo")
class EqualizedConv(keras.layers.Layer):
    """Convolution whose weights start from N(0, 1) and are scaled by gain / sqrt(inputs) at run time (§4.1).

    Args:
        filters: Number of outputs.
        kernel_size: Kernel size; 0: a dense layer.
        gain: Standard deviation of the outputs for inputs of standard deviation 1.
        padding: Padding of the convolution.
        use_bias: Whether to add a learned bias per output.
    """

    def __init__(self, filters, kernel_size=3, gain=2**0.5, padding="SAME", use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.gain, self.padding, self.use_bias = filters, kernel_size, gain, padding, use_bias

    def build(self, shape):
        sides = (self.kernel_size,) * 2 if self.kernel_size else ()
        initializer = keras.initializers.RandomNormal(0.0, 1.0)
        self.kernel = self.add_weight(shape=(*sides, shape[-1], self.filters), initializer=initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None
        self.scale = self.gain / (shape[-1] * max(self.kernel_size, 1) ** 2) ** 0.5

    def call(self, x):
        kernel = tf.convert_to_tensor(self.kernel) * tf.cast(self.scale, self.compute_dtype)
        x = tf.nn.conv2d(x, kernel, 1, self.padding) if self.kernel_size else tf.matmul(x, kernel)
        return x + self.bias if self.use_bias else x

    def get_config(self):
        names = ("filters", "kernel_size", "gain", "padding", "use_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def pixel_norm(x):
    """Vectors along the last axis, divided by their root mean square (§4.2); half precision needs a larger epsilon (code)."""
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + (1e-8 if x.dtype == "float32" else 1e-4))


@keras.saving.register_keras_serializable("zoo")
class BatchDeviation(keras.layers.Layer):
    """Minibatch standard deviation (§3): appends a channel, the deviation over the batch averaged over positions and channels."""

    def call(self, x):
        x32 = tf.cast(x, tf.float32)
        mean = replicas.mean(tf.reduce_mean(x32, 0, keepdims=True))
        variance = replicas.mean(tf.reduce_mean(tf.square(x32 - mean), 0))
        deviation = tf.reduce_mean(tf.sqrt(variance + 1e-8))
        return tf.concat([x, tf.cast(tf.ones_like(x32[..., :1]) * deviation, x.dtype)], -1)


def fade_in_alpha(growth, stage):
    """Weight of the resolution of a stage while it is faded in, from 0 to 1, [n, 1, 1, 1]; see `PGGAN.growth`."""
    return ops.reshape(ops.clip(growth - (stage - 1), 0.0, 1.0), (-1, 1, 1, 1))


def build_generators(config):
    """One model per stage, which share their layers; each fades in its own resolution by `growth`."""

    def hidden(x, layer):
        return pixel_norm(keras.layers.LeakyReLU(config.negative_slope)(layer(x)))

    latent, growth = keras.Input((config.latent_dim,), name="latent"), keras.Input((1,), name="growth")
    channels = config.channels_at(4)
    x = EqualizedConv(16 * channels, 0, 2**0.5 / 4, use_bias=False)(pixel_norm(latent))
    x = hidden(keras.layers.Reshape((4, 4, channels))(x), layers.ChannelBias())
    x = hidden(x, EqualizedConv(channels))
    models, image = [], None
    for stage, side in enumerate(config.stage_sides):
        if stage:
            x = hidden(layers.Upsample2D()(x), EqualizedConv(config.channels_at(side)))
            x = hidden(x, EqualizedConv(config.channels_at(side)))
        new_image = EqualizedConv(config.image_shape[-1], 1, 1.0, dtype="float32")(x)
        if stage:
            previous = layers.Upsample2D(dtype="float32")(image)
            alpha = fade_in_alpha(growth, stage)
            new_image = previous * (1 - alpha) + new_image * alpha
        image = new_image
        models.append(keras.Model({"latent": latent, "growth": growth}, image, name="generator"))
    return models


def build_critics(config):
    """One model per stage, which share their layers, from the stage's resolution down to 4x4."""

    def hidden(x, layer):
        return keras.layers.LeakyReLU(config.negative_slope)(layer(x))

    sides, channels = config.stage_sides, config.channels_at(4)
    from_image = [EqualizedConv(config.channels_at(side), 1) for side in sides]
    blocks = [(EqualizedConv(config.channels_at(side)), EqualizedConv(config.channels_at(side // 2))) for side in sides[1:]]
    pool = keras.layers.AveragePooling2D(2)
    last_conv, dense = EqualizedConv(channels), EqualizedConv(channels, 4, 2**0.5, "VALID")
    head = EqualizedConv(1, 0, 1.0, dtype="float32")
    models = []
    for top, side in enumerate(sides):
        growth = keras.Input((1,), name="growth")
        image = keras.Input((side, side, config.image_shape[-1]), name="image")
        x, pooled_image = hidden(image, from_image[top]), image
        for stage in range(top, 0, -1):
            for layer in blocks[stage - 1]:
                x = hidden(x, layer)
            x, pooled_image = pool(x), pool(pooled_image)
            previous = hidden(pooled_image, from_image[stage - 1])
            alpha = ops.cast(fade_in_alpha(growth, stage), x.dtype)
            x = previous * (1 - alpha) + x * alpha
        x = hidden(hidden(BatchDeviation()(x), last_conv), dense)
        logit = ops.squeeze(head(keras.layers.Flatten()(x)), -1)
        models.append(keras.Model({"image": image, "growth": growth}, logit, name="discriminator"))
    return models


@register(
    pggan=Config(
        latent_dim=128,
        fmap_base=512,
        fmap_max=64,
        phase_steps=100,
        generator_learning_rate=2e-3,
        discriminator_learning_rate=2e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        batch_size=32,
        steps=1200,
        eval_every=200,
    ),
    pggan_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=128,
        fmap_base=4096,
        fmap_max=128,
        phase_steps=25_000,
        batch_size=16,
        gradient_target=750.0,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        steps=1_250_000,
        eval_every=5000,
    ),
    pggan_1024=Config(
        image_shape=(1024, 1024, 3),
        batch_size=16,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        steps=1_187_500,  # 19,000,000 images (Theano code); 12,000,000 end where the last fade begins
        eval_every=5000,
    ),
)
class PGGAN(Game):
    """Both networks grow progressively from 4x4 pixels to the full resolution."""

    objective = losses.wasserstein

    def __init__(self, config):
        generators, critics = build_generators(config), build_critics(config)
        super().__init__(config, generators[-1], critics[-1])
        self.generators, self.critics, self.stage = generators, critics, 0

    def callbacks(self):
        return [GrowNetworks()]

    def growth(self, images, in_step=True):
        """The stage as a real number, a function of the completed steps: 1.25 is 8x8 complete and 16x16 faded in by a quarter.

        Args:
            images: Anything with n rows.
            in_step: Whether this is called within a training step, which then counts as completed.

        Returns:
            The same value for each row, [n, 1].
        """
        phases = tf.cast(self.step_counter.value + int(in_step), tf.float32) / self.config.phase_steps
        parts = [tf.clip_by_value(phases - (2 * stage - 1), 0, 1) for stage in range(1, len(self.config.stage_sides))]
        return tf.fill([tf.shape(images)[0], 1], tf.add_n(parts))

    def resize_to_stage(self, images):
        """Real images at the resolution of the stage, which is faded in as in generated images."""
        for _ in range(len(self.config.stage_sides) - 1 - self.stage):
            images = tf.nn.avg_pool2d(images, 2, 2, "VALID")
        if not self.stage:
            return images
        previous = tf.repeat(tf.repeat(tf.nn.avg_pool2d(images, 2, 2, "VALID"), 2, 1), 2, 2)
        return previous + (images - previous) * fade_in_alpha(self.growth(images), self.stage)

    def generate(self, batch):
        latent = replicas.draw_latents(self, tf.shape(batch["image"])[0])
        return self.generators[self.stage]({"latent": latent, "growth": self.growth(latent)}, training=True)

    def generate_from(self, network, latent, **conditions):
        return network({"latent": latent, "growth": self.growth(latent, in_step=False)}, training=False)

    def call_discriminator(self, images, batch):
        return self.critics[self.stage]({"image": self.augment(images), "growth": self.growth(images)}, training=True)

    def signatures(self):
        return {name: signature for name, signature in super().signatures().items() if name != "discriminate"}

    def discriminator_loss(self, batch, fake):
        real = self.resize_to_stage(batch["image"])
        real_logits, fake_logits = self.call_discriminator(real, batch), self.call_discriminator(fake, batch)
        weights, target = losses.interpolation_weights(fake, self.seeds.next()), self.config.gradient_target
        penalty = losses.gradient_penalty(lambda images: self.call_discriminator(images, batch), real, fake, weights, target)
        return {
            "d_adversarial": self.discriminator_objective(real_logits, fake_logits),
            "d_penalty": self.config.penalty_weight * penalty,
            "d_drift": self.config.drift_weight * tf.reduce_mean(tf.square(real_logits)),
        }

    def generator_loss(self, batch, fake):
        alpha = fade_in_alpha(self.growth(fake), self.stage)[0, 0, 0, 0] if self.stage else 1.0
        self.step_metrics.log({"g_stage": float(self.stage), "g_alpha": alpha})
        return super().generator_loss(batch, fake)


class GrowNetworks(keras.callbacks.Callback):
    """Enters a new stage at its boundary: the training step is traced again and the optimizers are reset (code)."""

    def on_train_begin(self, logs=None):
        model = self.model
        stage = sum(model.completed_steps >= boundary for boundary in model.config.stage_boundaries)
        if stage != model.stage:
            model.stage, model.train_function = stage, None
            model.make_train_function()
        if model.completed_steps in model.config.stage_boundaries:
            for optimizer in optimizers.by_player(model).values():
                reset(getattr(optimizer, "inner_optimizer", optimizer))


def reset(optimizer):
    """Sets an optimizer's moments and number of updates to 0."""
    for variable in optimizer.variables:
        if "learning_rate" not in variable.path:
            variable.assign(keras.ops.zeros_like(variable))
