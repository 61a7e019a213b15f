"""PGGAN (Karras, Aila, Laine, Lehtinen 2017, arXiv:1710.10196).

Both networks grow from 4x4: at each stage a new size is faded in, then trained. With x' between x and G(z):

    critic          minimises  E f(G(z)) - E f(x) + 10 E (|grad f(x')| - 1)^2 + 0.001 E f(x)^2
    generator       minimises  -E f(G(z))

Weights are N(0, 1), scaled by He's constant as they are used (§4.1); G normalises each pixel's vector (§4.2); D sees the standard
deviation over its batch (§3: the whole batch; the authors' TensorFlow code takes groups of 4). `pggan_1024` is table 2, `pggan_32` the
configuration for CIFAR-10 of the authors' Theano code. Differs from the paper: the batch size is the same at every stage, and so are the
learning rates (the Theano code raises them from 0 at each, and for CIFAR-10 updates both players at once); faces are not mirrored (there
half of them). The critic's logits depend on the images that stand beside one in a batch (of one replica): it is not served.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from zoo import game, layers, losses
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(game.Config):
    latent_dim: int = 512  # length of the generator's noise (table 2)
    base: int = 8192  # channels at a size are at most this over half the size (code, fmap_base)
    most: int = 512  # and at most this (code, fmap_max)
    phase: int = 50_000  # rounds to fade a size in, and as many to train it before the next: 800,000 images of 16 a round (appendix A.1)
    penalty: float = 10.0  # weight of the gradient penalty (appendix A.1)
    target: float = 1.0  # slope that it asks for; 750 for CIFAR-10 (code)
    drift: float = 0.001  # weight of the squared logits of real images (appendix A.1)
    slope: float = 0.2  # of the leaky rectifier (table 2)

    sides = "powers of 2"  # as `check` asks, in words

    def check(self):
        super().check()
        if self.target <= 0:
            raise UserError(f"--target {self.target:g}: must be more than 0, for slopes are measured in it; 1, or 750 as for CIFAR-10")
        if self.schedule != "constant" or self.learning_rate_decay != 1:
            raise UserError("the optimizers of pggan start anew with each size, so their learning rates cannot fall; leave --schedule out")
        if self.image_shape:
            height, width, channels = self.image_shape
            if height != width or height & (height - 1):
                near = 2 ** max(3, round(max(height, width)).bit_length() - 1)
                resize = f"--image-shape {near} {near} {channels} resizes them"
                raise UserError(f"images of {height}x{width} pixels do not grow from 4x4 by doubling; {resize}")

    @property
    def sizes(self):
        """Sides at each stage: 4, 8, ..."""
        return [side for side, _ in layers.pyramid(self.image_shape)]

    def width(self, side):
        return max(1, min(2 * self.base // side, self.most))


@keras.saving.register_keras_serializable("zoo")
class Equalised(keras.layers.Layer):
    """Convolution (or, with kernel 0, dense layer) whose weights start from N(0, 1) and are scaled by gain / sqrt(inputs) in use (§4.1)."""

    def __init__(self, filters, kernel=3, gain=2**0.5, padding="SAME", use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.gain, self.padding, self.use_bias = filters, kernel, gain, padding, use_bias

    def build(self, shape):
        sides = (self.kernel_size,) * 2 if self.kernel_size else ()
        start = keras.initializers.RandomNormal(0.0, 1.0)
        self.kernel = self.add_weight(shape=(*sides, shape[-1], self.filters), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None
        self.scale = self.gain / (shape[-1] * max(self.kernel_size, 1) ** 2) ** 0.5

    def call(self, x):
        kernel = tf.convert_to_tensor(self.kernel) * tf.cast(self.scale, self.compute_dtype)
        x = tf.nn.conv2d(x, kernel, 1, self.padding) if self.kernel_size else tf.matmul(x, kernel)
        return x + self.bias if self.use_bias else x

    def get_config(self):
        mine = {"filters": self.filters, "kernel": self.kernel_size, "gain": self.gain, "padding": self.padding}
        return {**super().get_config(), **mine, "use_bias": self.use_bias}


def pixel_norm(x):
    """Each pixel's vector [n, h, w, c], or row [n, c], over its root mean square (§4.2); half precision needs the larger epsilon (code)."""
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + (1e-8 if x.dtype == "float32" else 1e-4))


def batch_deviation(x):
    """One more channel: the standard deviation over the batch, the mean of it over places and channels (§3)."""
    x32 = ops.cast(x, "float32")
    deviation = ops.mean(ops.sqrt(ops.mean(ops.square(x32 - ops.mean(x32, axis=0, keepdims=True)), axis=0) + 1e-8))
    return ops.concatenate([x, ops.cast(ops.ones_like(x32[..., :1]) * deviation, x.dtype)], axis=-1)


def faded(growth, stage):
    """How far the size of a stage has been faded in: [n, 1, 1, 1], from 0 to 1."""
    return ops.reshape(ops.clip(growth - (stage - 1), 0.0, 1.0), (-1, 1, 1, 1))


def build_generators(config):
    """One model a stage, on the same layers; each blends in its own size by `growth`."""

    def hidden(x, layer):
        return pixel_norm(keras.layers.LeakyReLU(config.slope)(layer(x)))

    latent, growth = keras.Input((config.latent_dim,), name="latent"), keras.Input((1,), name="growth")
    width = config.width(4)
    x = keras.layers.Reshape((4, 4, width))(Equalised(16 * width, 0, 2**0.5 / 4, use_bias=False)(pixel_norm(latent)))
    x = hidden(hidden(x, layers.Bias()), Equalised(width))
    models, image = [], None
    for stage, side in enumerate(config.sizes):
        if stage:
            x = hidden(keras.layers.UpSampling2D()(x), Equalised(config.width(side)))
            x = hidden(x, Equalised(config.width(side)))
        shown = Equalised(config.image_shape[-1], 1, 1.0, dtype="float32")(x)
        if stage:
            before = keras.layers.UpSampling2D(dtype="float32")(image)
            alpha = faded(growth, stage)
            shown = before * (1 - alpha) + shown * alpha
        image = shown
        models.append(keras.Model({"latent": latent, "growth": growth}, image, name="generator"))
    return models


def build_critics(config):
    """One model a stage, on the same layers, from its own size down to 4x4."""

    def equalised(*given):
        layer = Equalised(*given)
        return lambda x: keras.layers.LeakyReLU(config.slope)(layer(x))

    from_image = [equalised(config.width(side), 1) for side in config.sizes]
    blocks = [(equalised(config.width(side)), equalised(config.width(side // 2))) for side in config.sizes[1:]]
    shrink = keras.layers.AveragePooling2D(2)
    join, hidden, head = equalised(config.width(4)), equalised(config.width(4), 4, 2**0.5, "VALID"), Equalised(1, 0, 1.0, dtype="float32")
    models = []
    for top, side in enumerate(config.sizes):
        growth = keras.Input((1,), name="growth")
        image = keras.Input((side, side, config.image_shape[-1]), name="image")
        x, picture = from_image[top](image), image
        for stage in range(top, 0, -1):
            for layer in blocks[stage - 1]:
                x = layer(x)
            x, picture = shrink(x), shrink(picture)
            before = from_image[stage - 1](picture)
            alpha = ops.cast(faded(growth, stage), x.dtype)
            x = before * (1 - alpha) + x * alpha
        x = keras.layers.Flatten()(hidden(join(batch_deviation(x))))
        models.append(keras.Model({"image": image, "growth": growth}, ops.squeeze(head(x), -1), name="discriminator"))
    return models


@register(
    pggan=Config(
        latent_dim=128,
        base=512,
        most=64,
        phase=100,
        generator_learning_rate=2e-3,
        discriminator_learning_rate=2e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        batch_size=32,
        steps=1200,
        every=200,
    ),
    pggan_32=Config(
        image_shape=(32, 32, 3),
        latent_dim=128,
        base=4096,
        most=128,
        phase=25_000,
        batch_size=16,
        target=750.0,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        beta_2=0.99,
        epsilon=1e-8,
        steps=1_250_000,
        every=5000,
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
        every=5000,
    ),
)
class PGGAN(game.Game):
    """Both networks grow from 4x4 pixels, one size after another."""

    objective = losses.wasserstein

    def __init__(self, config):
        generators, critics = build_generators(config), build_critics(config)
        super().__init__(config, generators[-1], critics[-1])
        self.generators, self.critics, self.stage = generators, critics, 0

    @property
    def milestones(self):
        return [self.config.phase * (2 * stage - 1) for stage in range(1, len(self.config.sizes))]

    def callbacks(self):
        return [Growth()]

    def growth(self, images, playing=True):
        """Stage and share of it that is faded in, [n, 1]: 1.25 has a quarter of 16x16's own. A function of the rounds.

        playing: in the round that is being played, not after those that have been.
        """
        phases = tf.cast(self.round.value + int(playing), tf.float32) / self.config.phase
        done = tf.add_n([tf.clip_by_value(phases - (2 * stage - 1), 0, 1) for stage in range(1, len(self.config.sizes))])
        return tf.fill([tf.shape(images)[0], 1], done)

    def shrunk(self, images):
        """Real images at the size of the stage, as faded as the generated ones."""
        for _ in range(len(self.config.sizes) - 1 - self.stage):
            images = tf.nn.avg_pool2d(images, 2, 2, "VALID")
        if not self.stage:
            return images
        before = tf.repeat(tf.repeat(tf.nn.avg_pool2d(images, 2, 2, "VALID"), 2, 1), 2, 2)
        return before + (images - before) * faded(self.growth(images), self.stage)

    def generate(self, batch):
        latent = self.prior((tf.shape(batch["image"])[0], self.config.latent_dim), self.randomness.next())
        return self.generators[self.stage]({"latent": latent, "growth": self.growth(latent)}, training=True)

    def judge(self, images, batch):
        return self.critics[self.stage]({"image": self.augmented(images), "growth": self.growth(images)}, training=True)

    def draw(self, network, latent, **conditions):
        return network({"latent": latent, "growth": self.growth(latent, playing=False)}, training=False)

    def exports(self):
        return {name: offered for name, offered in super().exports().items() if name != "discriminate"}

    def discriminator_loss(self, batch, fake):
        real = self.shrunk(batch["image"])
        real_logit, fake_logit = self.judge(real, batch), self.judge(fake, batch)
        mix = losses.mix(fake, self.randomness.next())
        slope = losses.gradient_penalty(lambda images: self.judge(images, batch), real, fake, mix, self.config.target)
        return {
            "d_adversarial": self.d_adversarial(real_logit, fake_logit),
            "d_penalty": self.config.penalty * slope,
            "d_drift": self.config.drift * tf.reduce_mean(tf.square(real_logit)),
        }

    def generator_loss(self, batch, fake):
        self.ledger.note({"g_stage": float(self.stage), "g_alpha": faded(self.growth(fake), self.stage)[0, 0, 0, 0] if self.stage else 1.0})
        return super().generator_loss(batch, fake)


class Growth(keras.callbacks.Callback):
    """Lets the networks grow: where a stage begins the step is another, and the optimizers start anew (code)."""

    def on_train_begin(self, logs=None):
        game = self.model
        stage = sum(game.played >= milestone for milestone in game.milestones)
        if stage != game.stage:
            game.stage, game.train_function = stage, None
            game.make_train_function()
        if game.played in game.milestones:
            for optimizer in game.optimizers.values():
                optimizer = getattr(optimizer, "inner_optimizer", optimizer)
                for variable in optimizer.variables:
                    if "learning_rate" not in variable.path:
                        variable.assign(keras.ops.zeros_like(variable))
