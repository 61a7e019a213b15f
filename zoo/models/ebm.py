"""Energy-based model (Du & Mordatch 2019, arXiv:1903.08689).

A discriminator used as a generator: samples are drawn by Langevin dynamics, many steps of x <- x + step_size * grad D(x) + noise from a
random image; -D is the energy. D learns to score real images x above its own samples x'; most chains start from a replay buffer (§3.2):

    discriminator   minimizes  E D(x') - E D(x) + l2_weight E [D(x)^2 + D(x')^2]

D sees an image as a whole, unlike the decoder of an autoencoder, but each sample needs an iterative search; the generator of a GAN learns
to replace this search by one forward pass. Previews show the chains from left to right. `ebm_32` is the unconditional CIFAR-10
network that the authors' README trains.

Differs from the authors' code: dropout and power iterations are off during Langevin dynamics; in the code they are on. The replay buffer
has 10,000 images, as in the paper; the code's has 50,000. The chains of served samples share the noise of each step, so that a sample does
not depend on its batch; in the code each chain has its own noise.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.core import Game, ImageConfig, layers, losses, replicas
from zoo.core.images import to_unit
from zoo.errors import UserError
from zoo.registry import register


@dataclasses.dataclass(frozen=True)
class Config(ImageConfig):
    width: int = 32  # channels of the first of three stride-2 convolutions, doubled at each of the next two
    blocks: tuple[int, ...] = ()  # channels of residual blocks that replace the convolutions; the first of each third downsamples (code)
    dropout: float = 0.0  # dropout rate of the residual blocks (code)
    langevin_steps: int = 60  # Langevin steps of each chain per training step (appendix A)
    sampling_steps: int = 240  # Langevin steps from noise to a sample (§3.2: more than in training)
    # Langevin step size for images in [-1, 1]; this is 4 times the value for [0, 1]: 20 is the paper's 10/2 (eq. 1), 40 the code's 10
    step_size: float = 20.0
    gradient_clip: float = 0.0  # bound on the gradient of each pixel; 0: none (code)
    noise: float = 0.01  # standard deviation of the Langevin noise for images in [-1, 1]: twice the value for [0, 1] (appendix A)
    buffer_size: int = 10_000  # number of images in the replay buffer (appendix A)
    reinit_probability: float = 0.05  # probability that a chain restarts from noise (appendix A)
    l2_weight: float = 1.0  # weight of the squared logits (appendix A)

    def resolve(self, **data_defaults):
        config = super().resolve(**data_defaults)
        pixels = int(np.prod(config.image_shape))
        if config.latent_dim not in (Config.latent_dim, pixels):
            raise UserError("--latent-dim: the latent vector of this model is the image that a chain starts from; leave it out")
        return dataclasses.replace(config, latent_dim=pixels)


def conv(x, filters, stddev=1.0, **kwargs):
    """3x3 convolution with spectral normalization; weights start from N(0, stddev), which sets their effective learning rate."""
    return layers.spectral_conv(x, filters, 3, use_bias=False, kernel_initializer=layers.normal_init(stddev), **kwargs)


def residual_block(x, filters, dropout, downsample):
    """Residual block that starts as its shortcut (code, smart_res_block): [n, h, w, c] -> [n, h, w, filters], or half the size."""
    y = keras.layers.LeakyReLU(0.2)(layers.Dropout(dropout)(conv(layers.ChannelBias()(x), filters)))
    y = conv(layers.ChannelBias()(y), filters, stddev=1e-10, min_norm=1.0)
    y = keras.layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer="ones")(y)  # a learned scale for each channel
    x = keras.layers.Add()([y, conv(x, filters) if x.shape[-1] != filters else x])
    return keras.layers.LeakyReLU(0.2)(layers.downsample(x) if downsample else x)


def build_discriminator(config):
    x = image = keras.Input(config.image_shape, name="image")
    if config.blocks:
        x = keras.layers.LeakyReLU(0.2)(conv(x, config.blocks[0]))
        third = max(len(config.blocks) // 3, 1)
        for i, width in enumerate(config.blocks):
            x = residual_block(x, width, config.dropout, downsample=i % third == 0)
        x = layers.global_sum_pool(x)
    else:
        for i in range(3):
            x = keras.layers.Activation("swish")(keras.layers.Conv2D(config.width * 2**i, 4, 2, "same")(x))
        x = keras.layers.Flatten()(x)
    return keras.Model({"image": image}, layers.logits(x, kernel_initializer="glorot_uniform"), name="discriminator")


@register(
    ebm=Config(
        width=16,
        langevin_steps=30,
        sampling_steps=150,
        step_size=20.0,
        buffer_size=1000,
        reinit_probability=0.2,
        l2_weight=0.1,
        discriminator_learning_rate=1e-3,
        beta_1=0.0,
        ema_decay=0.99,
        steps=800,
        eval_every=400,
    ),
    ebm_32=Config(
        image_shape=(32, 32, 3),
        blocks=(128, 128, 128, 256, 256, 256, 512, 512, 512),
        dropout=0.5,
        step_size=40.0,
        gradient_clip=0.005,
        batch_size=128,
        discriminator_learning_rate=3e-4,
        beta_1=0.0,
        ema_decay=0.999,
        steps=100_000,
        eval_every=1000,
    ),
)
class EBM(Game):
    """No generator: samples are drawn from the energy function, a discriminator, by Langevin dynamics."""

    objective = losses.wasserstein

    def __init__(self, config):
        super().__init__(config, discriminator=build_discriminator(config))
        self.buffer = layers.ReplayBuffer(config.buffer_size, config.image_shape, keras.initializers.RandomUniform(-1, 1))

    def sample_latent(self, shape, seed):
        return tf.random.stateless_uniform(shape, seed, -1, 1)

    def run_langevin(self, network, images, last_step, seed, first_step=0, shared_noise=False):
        """Run Langevin dynamics on the network's logit.

        Args:
            network: The discriminator or its EMA.
            images: Start of the chains, float32 [n, h, w, c] in [-1, 1].
            last_step: Index at which to stop (exclusive).
            seed: Seed of the noise, which is a function of the seed and the step's index.
            first_step: Index of the first step; above 0 to continue a chain.
            shared_noise: Whether all chains share the noise of a step, so that an image does not depend on its batch.

        Returns:
            Images in [-1, 1].
        """

        def step(i, images):
            _, gradient = losses.input_gradients(lambda x: network({"image": x}, training=False), images)
            limit = self.config.gradient_clip
            gradient = tf.clip_by_value(gradient, -limit, limit) if limit else gradient
            step_seed = tf.random.experimental.stateless_fold_in(seed, i)
            draw = lambda rows: tf.random.stateless_normal([rows, *tf.unstack(tf.shape(images))[1:]], step_seed)  # noqa: E731
            noise = draw(1) if shared_noise else replicas.draw_rows(draw, tf.shape(images)[0])
            return i + 1, tf.clip_by_value(images + self.config.step_size * gradient + self.config.noise * noise, -1, 1)

        return tf.while_loop(lambda i, images: i < last_step, step, (tf.constant(first_step), images))[1]

    def generate(self, batch):
        rows, *shape = tf.unstack(tf.shape(batch["image"]))
        rows *= replicas.count()
        places = tf.random.stateless_uniform([rows], self.seeds.next(), 0, self.buffer.rows, tf.int32)
        restarts = tf.random.stateless_uniform([rows], self.seeds.next()) < self.config.reinit_probability
        fresh = self.sample_latent([rows, *shape], self.seeds.next())
        start = replicas.own_rows(tf.where(restarts[:, None, None, None], fresh, self.buffer.take(places)))
        images = self.run_langevin(self.discriminator, start, self.config.langevin_steps, self.seeds.next())
        self.buffer.put(places, replicas.all_rows(images))
        return images

    def discriminator_loss(self, batch, fake):
        real_logits, fake_logits = self.call_discriminator(batch["image"], batch), self.call_discriminator(fake, batch)
        squared_logits = tf.reduce_mean(tf.square(real_logits)) + tf.reduce_mean(tf.square(fake_logits))
        return {
            "d_adversarial": self.discriminator_objective(real_logits, fake_logits),
            "d_l2": self.config.l2_weight * squared_logits,
        }

    def generate_from(self, network, latent, **conditions):
        start = tf.reshape(latent, [-1, *self.config.image_shape])
        return self.run_langevin(network, start, self.config.sampling_steps, [0, 0], shared_noise=True)

    def preview(self, batch):
        """Eight intermediate states of the chain in each row, from noise to sample; the index of the row is the seed."""
        images = [tf.reshape(self.latents(tf.range(8, dtype=tf.int64)), [-1, *self.config.image_shape])]
        for i in range(7):
            first, last = (self.config.sampling_steps * moment // 7 for moment in (i, i + 1))
            images.append(self.run_langevin(self.ema_generator, images[-1], last, [0, 0], first, shared_noise=True))
        return to_unit(tf.reshape(tf.stack(images, 1), [-1, *self.config.image_shape])), 8
