"""The game: two players, each minimising a sum of named terms with its own optimizer. The step is written here, once."""

import keras
import tensorflow as tf

from zoo import augment, ends, losses, optimizers
from zoo.bookkeeping import Ledger, Randomness
from zoo.errors import UserError
from zoo.settings import Config

__all__ = ["Config", "Game"]


class Game(keras.Model):
    """Generator against discriminator. A model says what its networks are and where its losses differ from these.

    Networks are functional models with named inputs: the generator takes `latent` and any key of the batch that it names,
    the discriminator `image` and the like; its output is the logit [n], or a dict with that under `realness`. A game may have one
    player only (an auto-encoder, an energy): the other network is None, and so are its loss and its update.
    """

    objective = losses.non_saturating
    batch_keys = ("image",)  # what the model needs of a data set
    real = "image"  # what the discriminator takes for real of a batch
    data = "digits"  # the source that is used where none is named
    draws = True  # whether its images are made of noise; else of other images, and it says in `exports` and `scores` what it does
    measures = ()  # names of what `scores` gives
    reads = True  # whether its scores are seen by an extractor
    truncates = False  # whether serving offers the truncation trick: a normal prior, and a generator that was made for it
    milestones = ()  # rounds at which the step becomes another one, and is traced anew

    def __init__(self, config, generator=None, discriminator=None):
        super().__init__()
        for option, idle in (("--discriminator-steps", config.discriminator_steps > 1), ("--augment", config.augment)):
            if idle and not discriminator:
                raise UserError(f"{option}: this model has no discriminator; leave it out")
        self.config, self.generator, self.discriminator = config, generator, discriminator
        source = generator or discriminator  # what samples come from
        self.averaged = keras.models.clone_model(source)
        self.averaged.set_weights(source.get_weights())
        self.averaged.trainable = False
        self.round, self.retries = self._counter("round"), self._counter("retries")
        self.randomness, self.ledger = Randomness(config.seed, self.retries, self.round), Ledger()
        for layer in self._flatten_layers():
            if hasattr(layer, "seed_generator"):
                vars(layer)["seed_generator"] = self.randomness
        self.built = True

    # -- what a model may override ------------------------------------------------------------------------------------

    @staticmethod
    def prepare(config, source):
        """The data as the model of a configuration sees them: a `Source` made of one."""
        return source

    def prior(self, shape, seed):
        """Noise of the generator, float32; a function of the seed alone."""
        return tf.random.stateless_normal(shape, seed)

    def generate(self, batch):
        """Images in [-1, 1] from fresh noise, one for each row of the batch."""
        rows = tf.shape(batch["image"])[0]
        latent = self.prior((rows, self.config.latent_dim), self.randomness.next())
        return self.generator(self._inputs(self.generator, batch, latent=latent), training=True)

    def draw(self, network, latent, **conditions):
        """Images in [-1, 1] from noise by the generator as it is or its average, as they are shown and served."""
        return network({"latent": latent, **conditions}, training=False)

    def judge(self, images, batch):
        """The discriminator's output for `images`, augmented, under the conditions of `batch`."""
        return self.discriminator(self._inputs(self.discriminator, batch, image=self.augmented(images)), training=True)

    def discriminator_loss(self, batch, fake):
        """Named, weighted terms; their sum is minimised by the discriminator and each is logged under its name."""
        return {"d_adversarial": self.d_adversarial(self.judge(batch[self.real], batch), self.judge(fake, batch))}

    def generator_loss(self, batch, fake):
        """The same for the generator."""
        return {"g_adversarial": self.g_adversarial(self.judge(fake, batch))}

    def preview(self, batch):
        """Samples of the averaged generator, always from the same noise; with classes, a row a class, the same noise down each column.

        Images in [0, 1], of at most ten classes, and the columns of their grid.
        """
        if "label" not in self.conditions:
            return self.sample(tf.range(64, dtype=tf.int64)), 8
        rows = min(self.config.num_classes, 10)
        labels = tf.repeat(tf.range(rows, dtype=tf.int64), 10)
        return self.sample(tf.tile(tf.range(10, dtype=tf.int64), [rows]), label=labels), 10

    def exports(self):
        """Signatures for serving: name -> (function of tensors, their specs). Images are [0, 1] out there."""
        return ends.drawing(self)

    def discriminate(self, image, **conditions):
        """What the discriminator says of images in [0, 1]: `realness` logits [n], and whatever other heads it has.

        Raises UserError for images of another range.
        """
        said = self.discriminator({"image": ends.from_unit(image), **conditions}, training=False)
        return said if isinstance(said, dict) else {"realness": said}

    def scores(self, held, classify):
        """What is measured of the model beside its samples: {name: value}, of held-out examples as arrays (see `Source.some`).

        classify: uint8 images [n, h, w, c] -> classes [n], by a network that had no part in training; None where there is none.
        """
        return {}

    def callbacks(self):
        """What happens at the looks for this model alone, before the checkpoint is written."""
        return []

    # -- what stays the same -------------------------------------------------------------------------------------------

    @property
    def players(self):
        """Those that there are: `g` and `d` -> network."""
        return {name: network for name, network in (("g", self.generator), ("d", self.discriminator)) if network}

    @property
    def optimizers(self):
        """The players' optimizers, once the model is compiled."""
        return {player: getattr(self, f"{player}_optimizer") for player in self.players}

    @property
    def conditions(self):
        """Names of what is asked for beside the noise of a generator that makes images of it: its integer inputs."""
        return [i.name for i in self.averaged.inputs if i.dtype == "int64"] if self.draws else []

    @property
    def played(self):
        """Rounds that have been played; an int, also where replicas hold copies of the counter."""
        return int(keras.ops.convert_to_numpy(self.round))

    def known(self, conditions):
        """The same conditions. UserError, or in a graph InvalidArgumentError: a label that there is not."""
        if "label" in conditions:
            ends.within(conditions["label"], self.config.num_classes, "label", "classes")
        return conditions

    def latents(self, seed, truncation=None):
        """Noise [n, latent_dim], each row a function of its own seed alone: the same row in any batch.

        truncation: [n], in standard deviations. Every value is moved into (-truncation, truncation) such that it is distributed as
        one that was drawn again until it fell there (Brock et al. 2018, §3.1), and stays near to what it was without.
        """
        shape, seed = [self.config.latent_dim], tf.convert_to_tensor(seed, tf.int64)
        drawn = tf.map_fn(lambda s: self.prior(shape, tf.stack([s, 0])), seed, fn_output_signature=tf.TensorSpec(shape, tf.float32))
        if truncation is None:
            return drawn
        share = tf.math.erf(drawn / 2**0.5) * tf.math.erf(tf.cast(truncation, tf.float32) / 2**0.5)[:, None]
        return 2**0.5 * tf.math.erfinv(tf.clip_by_value(share, -1 + 1e-7, 1 - 1e-7))

    def sample(self, seed, live=False, truncation=None, **conditions):
        """Images in [0, 1] of the averaged generator, or of the live one. seed: int64 [n], one a row; conditions: int64 [n] each.

        truncation: see `latents`; one number, or one a row. Raises UserError for a label that there is not, or not one a row, and for a
        truncation that is not above 0.
        """
        seed, truncation, conditions = ends.asked(self, seed, truncation, conditions)
        network = (self.generator or self.discriminator) if live else self.averaged
        return ends.to_unit(self.draw(network, self.latents(seed, truncation), **conditions))

    def serve(self, signature, **inputs):
        """What a server would answer: {name: tensor}. signature: one of `exports`; inputs: arrays, see there.

        Raises UserError for a signature or an input that there is not, or that is missing, or of another shape or range.
        """
        return ends.answer(self.exports(), signature, inputs)

    def augmented(self, images):
        """As the discriminator sees them: changed at random where the configuration asks for it."""
        return augment.apply(images, self.config.augment, self.randomness.next)

    def d_adversarial(self, real, fake):
        """The objective's term for the discriminator, given its logits; keeps their means for the log."""
        self.note_logits(real, fake)
        return self.objective.discriminator(real, fake)

    def note_logits(self, real, fake):
        """Keeps their means for the log, and how often a real image looks more real than a generated one: 0.5 where D knows nothing."""
        pairs = tf.cast(real > fake, tf.float32)
        self.ledger.note({"d_real_logit": tf.reduce_mean(real), "d_fake_logit": tf.reduce_mean(fake), "d_accuracy": tf.reduce_mean(pairs)})

    def g_adversarial(self, fake):
        """The objective's term for the generator, given the discriminator's logits of its images."""
        return self.objective.generator(fake)

    def compile(self, g_optimizer=None, d_optimizer=None, **kwargs):
        """Builds the optimizers (from the configuration where none is given): unbuilt ones trace twice and resume from nothing."""
        config, policy, given = self.config, self.dtype_policy.name, {"d": d_optimizer, "g": g_optimizer}
        usual = {
            "d": optimizers.optimizer(config, config.discriminator_learning_rate, config.discriminator_steps),
            "g": optimizers.optimizer(config, config.generator_learning_rate, 1),
        }
        chosen = {player: optimizers.scaled(given[player] or usual[player], policy) for player in self.players}
        super().compile(optimizer=next(iter(chosen.values())), **kwargs)
        for player, network in self.players.items():
            setattr(self, f"{player}_optimizer", chosen[player])
            chosen[player].build(network.trainable_variables)

    def train_step(self, batch):
        """One round: `discriminator_steps` updates of the discriminator, each on its own images, then one of the generator."""
        self.randomness.restart()
        self.ledger.restart()
        *first, last = (split(part, self.config.accumulation) for part in split(batch, self.config.discriminator_steps))

        def against(part, fake=None):
            def turn(tape):
                with tape.stop_recording():
                    made = self.generate(part) if fake is None else fake
                return self.discriminator_loss(part, tf.nest.map_structure(tf.stop_gradient, made))

            return turn

        def both(tape):
            # The images are made once: the discriminator learns from a stopped copy, then the generator's loss goes on from them.
            fake = self.generate(last[0])
            with tape.stop_recording():
                self.descend("d", [against(last[0], fake)])
            return self.generator_loss(last[0], fake)

        for parts in first:
            self.descend("d", [against(part) for part in parts])
        if self.generator and len(last) == 1:
            self.descend("g", [both])
        else:
            self.descend("d", [against(part) for part in last])
            self.descend("g", [lambda tape, part=part: self.generator_loss(part, self.generate(part)) for part in last])
        self._average()
        self.round.assign_add(1)
        self.ledger.record()
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def metrics(self):
        return list(self.ledger.columns.values())

    def descend(self, player, turns):
        """One update of one player, by the mean loss of its turns. The only place with a tape, a loss scale and an `apply`."""
        if player not in self.players:
            return
        network, optimizer = self.players[player], self.optimizers[player]
        replicas, weights = tf.distribute.get_strategy().num_replicas_in_sync, network.trainable_variables
        gradients, done = [None] * len(weights), []
        for turn in turns:
            with tf.control_dependencies(done), tf.GradientTape() as tape:  # one after another: all at once would not fit the memory
                terms = turn(tape)
                # Keras sums gradients over replicas; the share of each is what is minimised, the whole is what is logged.
                loss = optimizer.scale_loss(tf.add_n(list(terms.values())) / (replicas * len(turns)))
            found = tape.gradient(loss, weights)
            gradients = [new if old is None else old if new is None else old + new for old, new in zip(gradients, found)]
            done = [gradient for gradient in gradients if gradient is not None]
            self.ledger.note(terms)
        squares = tf.stack([tf.reduce_sum(tf.square(gradient)) if gradient is not None else 0.0 for gradient in gradients])
        norm = tf.sqrt(tf.reduce_sum(squares)) * replicas / optimizer.scale_loss(1.0)  # under replicas: the mean of each one's own
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            norm = tf.where(tf.math.is_finite(norm), norm, 0.0)  # the scale was too large: this update is skipped
        else:
            self.ledger.inspect(network, squares)
        pairs = [(gradient, weight) for gradient, weight in zip(gradients, weights) if gradient is not None]
        optimizer.apply(*map(list, zip(*pairs)))  # a stage that has not begun has no gradient
        self.ledger.note({f"{player}_gradient_norm": norm})

    def _counter(self, name):
        return self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name=name, aggregation="only_first_replica")

    def _average(self):
        played = tf.cast(self.round.value, tf.float32)
        share = 1 - tf.minimum(self.config.averaging, (1 + played) / (10 + played))
        for average, weight in zip(self.averaged.weights, (self.generator or self.discriminator).weights):
            average.assign_add(share * (weight - average))

    def _inputs(self, network, batch, **given):
        return {i.name: given[i.name] if i.name in given else batch[i.name] for i in network.inputs}


def split(batch, count):
    """A batch as `count` batches of equal size."""
    return [dict(zip(batch, values)) for values in zip(*(tf.split(value, count) for value in batch.values()))]
