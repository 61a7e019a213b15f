"""The game: two players, each minimising a sum of named terms with its own optimizer. The step is written here, once."""

import dataclasses
import math
from typing import Literal

import keras
import tensorflow as tf

from zoo import losses
from zoo.bookkeeping import Ledger, Randomness
from zoo.errors import UserError

SMALLEST, LARGEST = 8, 1024  # sides of images, in pixels


@dataclasses.dataclass(frozen=True)
class Config:
    """What every model can be told. A model's own Config extends it and adds its paper's numbers."""

    image_shape: tuple[int, int, int] | None = None  # height, width, channels; default: the data's own. Otherwise images are resized to it
    num_classes: int | None = None  # default: the data's own
    latent_dim: int = 100  # length of the generator's noise
    batch_size: int = 64  # images in one discriminator update, over all replicas
    steps: int = 1000  # rounds to play: one is `discriminator_steps` updates of the discriminator and one of the generator
    every: int = 200  # rounds between two looks (checkpoint, sample grid, metrics.jsonl)
    seed: int = 0  # of noise, the order of the data and (by train.py) the first weights
    discriminator_steps: int = 1  # k of algorithm 1 in Goodfellow et al. 2014
    optimizer: Literal["adam", "sgd"] = "adam"  # of both players
    generator_learning_rate: float = 2e-4  # of the generator's optimizer
    discriminator_learning_rate: float = 2e-4  # of the discriminator's optimizer
    learning_rate_decay: float = 1.0  # factor on both learning rates, per update
    beta_1: float = 0.5  # Adam's first moment; momentum of SGD
    beta_2: float = 0.999  # Adam's second moment; SGD has none
    averaging: float = 0.999  # decay of the averaged generator; it starts lower and rises with the rounds

    def resolved(self, image_shape=(32, 32, 1), num_classes=10):
        """A checked copy in which what the data decide is filled in, where it was left open."""
        config = dataclasses.replace(self, image_shape=tuple(self.image_shape or image_shape), num_classes=self.num_classes or num_classes)
        config.check()
        return config

    def check(self):
        """Raises UserError for a number that makes no sense, whatever the data."""
        for field in dataclasses.fields(self):
            value, option = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            numbers = value if isinstance(value, tuple) else (value,)
            said = f"{option} {' '.join(map(str, numbers))}"
            if not numbers:
                raise UserError(f"{option} has no value; give at least one")
            if field.name == "seed":
                if not 0 <= value < 2**31:
                    raise UserError(f"{said}: must be from 0 to {2**31 - 1}")
            elif any(isinstance(n, int) and not isinstance(n, bool) and n < 1 for n in numbers):
                raise UserError(f"{said}: must be more than 0")
            elif any(isinstance(n, float) and not 0 <= n < math.inf for n in numbers):
                raise UserError(f"{said}: must be 0 or more")
            elif ("dropout" in field.name or field.name in ("averaging", "beta_1", "beta_2")) and value >= 1:
                raise UserError(f"{said}: must be less than 1")
            elif field.name.endswith("learning_rate") and value == 0:
                raise UserError(f"{said}: must be more than 0")
        if self.image_shape:
            *sides, channels = self.image_shape
            size = "x".join(map(str, sides))
            if channels not in (1, 3):
                raise UserError(f"images of {channels} channels are out of reach; --image-shape HEIGHT WIDTH CHANNELS takes 1 or 3")
            if min(sides) < SMALLEST or max(sides) > LARGEST:
                resize = f"--image-shape 32 32 {channels} resizes them"
                raise UserError(f"images of {size} pixels are out of reach; sides of {SMALLEST} to {LARGEST} pixels are not: {resize}")


class Game(keras.Model):
    """Generator against discriminator. A model says what its networks are and where its losses differ from these.

    Networks are functional models with named inputs: the generator takes `latent` and any key of the batch that it names,
    the discriminator `image` and the like; its output is the logit [n], or a dict with that under `realness`.
    """

    objective = losses.non_saturating
    batch_keys = ("image",)  # what the model needs of a data set
    data = "digits"  # the source that is used where none is named

    def __init__(self, config, generator, discriminator):
        super().__init__()
        self.config, self.generator, self.discriminator = config, generator, discriminator
        self.averaged = keras.models.clone_model(generator)
        self.averaged.set_weights(generator.get_weights())
        self.averaged.trainable = False
        self.round, self.retries = self._counter("round"), self._counter("retries")
        self.randomness, self.ledger = Randomness(config.seed, self.retries, self.round), Ledger()
        for layer in self._flatten_layers():
            if hasattr(layer, "seed_generator"):
                vars(layer)["seed_generator"] = self.randomness
        self.built = True

    # -- what a model may override ------------------------------------------------------------------------------------

    def prior(self, shape, seed):
        """Noise of the generator, float32; a function of the seed alone."""
        return tf.random.stateless_normal(shape, seed)

    def generate(self, batch):
        """Images in [-1, 1] from fresh noise, one for each row of the batch."""
        rows = tf.shape(batch["image"])[0]
        latent = self.prior((rows, self.config.latent_dim), self.randomness.next())
        return self.generator(self._inputs(self.generator, batch, latent=latent), training=True)

    def judge(self, images, batch):
        """The discriminator's output for `images`, under the conditions of `batch`."""
        return self.discriminator(self._inputs(self.discriminator, batch, image=images), training=True)

    def discriminator_loss(self, batch, fake):
        """Named, weighted terms; their sum is minimised by the discriminator and each is logged under its name."""
        return {"d_adversarial": self.d_adversarial(self.judge(batch["image"], batch), self.judge(fake, batch))}

    def generator_loss(self, batch, fake):
        """The same for the generator."""
        return {"g_adversarial": self.g_adversarial(self.judge(fake, batch))}

    def preview(self, batch):
        """Samples of the averaged generator in [0, 1], always from the same noise, and the columns of their grid.

        With classes: one row a class (at most ten), and the same noise down each column.
        """
        if "label" not in self.conditions:
            return self.sample(tf.range(64, dtype=tf.int64)), 8
        rows = min(self.config.num_classes, 10)
        labels = tf.repeat(tf.range(rows, dtype=tf.int64), 10)
        return self.sample(tf.tile(tf.range(10, dtype=tf.int64), [rows]), label=labels), 10

    def exports(self):
        """Signatures for serving: name -> (function of tensors, their specs). Images are [0, 1] out there."""
        conditions = [tf.TensorSpec([None], tf.int64, name) for name in self.conditions]
        latent = tf.TensorSpec([None, self.config.latent_dim], tf.float32, "latent")
        seed = tf.TensorSpec([None], tf.int64, "seed")
        judged = [i for i in self._names(self.discriminator) if i != "image"]
        image = tf.TensorSpec([None, *self.config.image_shape], tf.float32, "image")

        def serving_default(latent, *values):
            inputs = dict(zip(self.conditions, values), latent=latent)
            return {"image": to_unit(self.averaged(inputs, training=False))}

        def sample(seed, *values):
            return {"image": self.sample(seed, **dict(zip(self.conditions, values)))}

        def png(seed, *values):
            images = tf.image.convert_image_dtype(sample(seed, *values)["image"], tf.uint8, saturate=True)
            return {"image_bytes": tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)}

        def discriminate(image, *values):
            return self.discriminate(image, **dict(zip(judged, values)))

        return {
            "serving_default": (serving_default, [latent, *conditions]),
            "sample": (sample, [seed, *conditions]),
            "png": (png, [seed, *conditions]),
            "discriminate": (discriminate, [image, *(tf.TensorSpec([None], tf.int64, name) for name in judged)]),
        }

    def discriminate(self, image, **conditions):
        """What the discriminator says of images in [0, 1]: `realness` logits [n], and whatever other heads it has."""
        conditions = {name: tf.convert_to_tensor(value, tf.int64) for name, value in conditions.items()}
        said = self.discriminator({"image": image * 2 - 1, **conditions}, training=False)
        return said if isinstance(said, dict) else {"realness": said}

    # -- what stays the same -------------------------------------------------------------------------------------------

    @property
    def conditions(self):
        """Names of the generator's inputs beside the noise."""
        return [name for name in self._names(self.generator) if name != "latent"]

    @property
    def played(self):
        """Rounds that have been played; an int, also where replicas hold copies of the counter."""
        return int(keras.ops.convert_to_numpy(self.round))

    def latents(self, seed):
        """Noise [n, latent_dim], each row a function of its own seed alone: the same row in any batch."""
        shape = [self.config.latent_dim]
        return tf.map_fn(lambda s: self.prior(shape, tf.stack([s, 0])), seed, fn_output_signature=tf.TensorSpec(shape, tf.float32))

    def sample(self, seed, live=False, **conditions):
        """Images in [0, 1] of the averaged generator, or of the live one. seed: int64 [n], one a row; conditions: int64 [n] each."""
        conditions = {name: tf.convert_to_tensor(value, tf.int64) for name, value in conditions.items()}
        latent = self.latents(tf.convert_to_tensor(seed, tf.int64))
        network = self.generator if live else self.averaged
        return to_unit(network({"latent": latent, **conditions}, training=False))

    def d_adversarial(self, real, fake):
        """The objective's term for the discriminator, given its logits; keeps their means for the log."""
        pairs = tf.cast(real > fake, tf.float32)  # how often a real image looks more real than a generated one: 0.5 where D knows nothing
        self.ledger.note({"d_real_logit": tf.reduce_mean(real), "d_fake_logit": tf.reduce_mean(fake), "d_accuracy": tf.reduce_mean(pairs)})
        return self.objective.discriminator(real, fake)

    def g_adversarial(self, fake):
        """The objective's term for the generator, given the discriminator's logits of its images."""
        return self.objective.generator(fake)

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs):
        """Builds both optimizers (from the configuration where none is given): unbuilt ones trace twice and resume from nothing."""
        g_optimizer = self._scaled(g_optimizer or self._optimizer(self.config.generator_learning_rate))
        self.d_optimizer = self._scaled(d_optimizer or self._optimizer(self.config.discriminator_learning_rate))
        super().compile(optimizer=g_optimizer, **kwargs)
        self.g_optimizer = self.optimizer
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, batch):
        """One round: `discriminator_steps` updates of the discriminator, each on its own images, then one of the generator."""
        self.randomness.restart()
        self.ledger.restart()
        parts = [dict(zip(batch, values)) for values in zip(*(tf.split(v, self.config.discriminator_steps) for v in batch.values()))]

        def discriminator_turn(part, fake):
            fake = tf.nest.map_structure(tf.stop_gradient, fake)
            self.descend("d", self.discriminator, self.d_optimizer, lambda tape: self.discriminator_loss(part, fake))

        def generator_turn(tape):
            # The images are made once: the discriminator learns from a stopped copy, then the generator's loss goes on from them.
            fake = self.generate(parts[-1])
            with tape.stop_recording():
                discriminator_turn(parts[-1], fake)
            return self.generator_loss(parts[-1], fake)

        for part in parts[:-1]:
            discriminator_turn(part, self.generate(part))
        self.descend("g", self.generator, self.g_optimizer, generator_turn)
        self._average()
        self.round.assign_add(1)
        self.ledger.record()
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def metrics(self):
        return list(self.ledger.columns.values())

    def descend(self, player, network, optimizer, turn):
        """One update of one player. The only place with a tape, a loss scale, a division by replicas and an `apply`."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            terms = turn(tape)
            # Keras sums gradients over replicas; the share of each is what is minimised, the whole is what is logged.
            loss = optimizer.scale_loss(tf.add_n(list(terms.values())) / replicas)
        gradients = tape.gradient(loss, network.trainable_variables)
        squares = tf.stack([tf.reduce_sum(tf.square(gradient)) if gradient is not None else 0.0 for gradient in gradients])
        norm = tf.sqrt(tf.reduce_sum(squares)) * replicas / optimizer.scale_loss(1.0)  # under replicas: the mean of each one's own
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            norm = tf.where(tf.math.is_finite(norm), norm, 0.0)  # the scale was too large: this update is skipped
        else:
            self.ledger.inspect(network, squares)
        optimizer.apply(gradients, network.trainable_variables)
        self.ledger.note({**terms, f"{player}_gradient_norm": norm})

    def _counter(self, name):
        return self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name=name, aggregation="only_first_replica")

    def _average(self):
        played = tf.cast(self.round.value, tf.float32)
        share = 1 - tf.minimum(self.config.averaging, (1 + played) / (10 + played))
        for average, weight in zip(self.averaged.weights, self.generator.weights):
            average.assign_add(share * (weight - average))

    def _scaled(self, optimizer):
        wrapped = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.dtype_policy.name != "mixed_float16" or wrapped:
            return optimizer
        return keras.optimizers.LossScaleOptimizer(optimizer)

    def _optimizer(self, rate):
        config = self.config
        if config.learning_rate_decay != 1:
            rate = keras.optimizers.schedules.ExponentialDecay(rate, 1, config.learning_rate_decay)
        if config.optimizer == "sgd":
            return keras.optimizers.SGD(rate, momentum=config.beta_1)
        return keras.optimizers.Adam(rate, config.beta_1, config.beta_2)

    @staticmethod
    def _names(network):
        return [i.name for i in network.inputs]

    def _inputs(self, network, batch, **given):
        return {name: given[name] if name in given else batch[name] for name in self._names(network)}


def to_unit(images):
    """[-1, 1] -> [0, 1], float32, clipped."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1) / 2, 0, 1)
