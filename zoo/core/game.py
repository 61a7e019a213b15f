"""The game: two players, each minimizing a sum of named loss terms with its own optimizer.

What a paper overrides comes first; what all models share follows. The training step itself is in `zoo.core.step`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import tensorflow as tf

from zoo.core import augment, feeding, losses, optimizers, seeds, signatures, step
from zoo.core.config import Config
from zoo.core.images import Images
from zoo.core.seeds import StatelessSeeds
from zoo.core.signatures import Signature
from zoo.core.step_metrics import StepMetrics
from zoo.errors import UserError
from zoo.metrics.registry import Metric


class Game(keras.Model):
    """A generator against a discriminator. A model defines its networks and where its losses differ from the defaults.

    Networks are functional models with named inputs: the generator takes `latent` and any key of the batch that it names, the
    discriminator a sample (`image`) and the like; its output is the logit [n], higher for what looks more real, or a dict that holds it
    as `realness`. A game may have one player only (an autoencoder, an energy-based model): the other network is None, and so are its
    loss and its update.

    Three deviations from the papers are shared by all models:

    - The fake images of a step are generated once per mini-batch: the discriminator learns from a `stop_gradient` copy of them, and the
      generator's loss continues from the same images after the discriminator's update (as the original DCGAN code did). The papers draw
      fresh noise for the generator; this saves a forward pass. With gradient accumulation fresh noise is drawn.
    - Samples, scores and exports come from an exponential moving average (EMA) of the generator's weights.
    - Generated images take the labels of the real images of the batch, where papers draw labels at random.

    Args:
        config: The settings, resolved.
        generator: The generator's network, or None.
        discriminator: The discriminator's network, or None; then samples come from the generator alone.
    """

    # -- what a paper overrides ---------------------------------------------------------------------------------------

    objective: losses.Objective = losses.non_saturating
    batch_keys: ClassVar[tuple[str, ...]] = ("image",)  # what the model needs of a data set
    train_keys: ClassVar[tuple[str, ...] | None] = None  # what a training batch holds, where `prepare_data` changes the keys
    modality: ClassVar[Images] = Images()  # what samples are: how they are shown, checked and encoded
    generates_from_noise: ClassVar[bool] = True  # False for image-to-image models, which declare signatures and metrics of their own
    supports_truncation: ClassVar[bool] = False  # the truncation trick needs a normal latent vector and a generator trained for it
    own_metrics: ClassVar[tuple[Metric, ...]] = ()  # scores of this model beside those of its samples
    discriminator_outputs: ClassVar[tuple[str, ...]] = ("realness",)  # names of what `discriminate` returns

    @staticmethod
    def prepare_data(config: Any, source: Any) -> Any:
        """The data set as the model with this configuration sees it: a `Source` derived from another one."""
        return source

    def sample_latent(self, shape: Any, seed: Any) -> tf.Tensor:
        """Latent vectors, float32 of the given shape; a function of the seed alone."""
        return tf.random.stateless_normal(shape, seed)

    def generate(self, batch: dict[str, tf.Tensor]) -> Any:
        """Fake samples in [-1, 1] from fresh noise, one for each row of the batch."""
        rows = tf.shape(batch[self.modality.key])[0]
        latent = self.sample_latent((rows, self.config.latent_dim), self.seeds.next())
        return self.generator(select_inputs(self.generator, batch, latent=latent), training=True)

    def generate_from(self, network: keras.Model, latent: tf.Tensor, **conditions: tf.Tensor) -> tf.Tensor:
        """Samples in [-1, 1] from latent vectors, by the live or the EMA generator, as they are shown and served."""
        return network({"latent": latent, **conditions}, training=False)

    def call_discriminator(self, samples: Any, batch: dict[str, tf.Tensor]) -> Any:
        """The discriminator's output for samples, after augmentation, under the conditions of the batch."""
        inputs = {self.modality.key: self.augment(samples)}
        return self.discriminator(select_inputs(self.discriminator, batch, **inputs), training=True)

    def discriminator_loss(self, batch: dict[str, tf.Tensor], fake: Any) -> dict[str, tf.Tensor]:
        """Named, weighted terms: the discriminator minimizes their sum, and each is logged under its name."""
        real_logits, fake_logits = self.call_discriminator(batch[self.modality.key], batch), self.call_discriminator(fake, batch)
        return {"d_adversarial": self.discriminator_objective(real_logits, fake_logits)}

    def generator_loss(self, batch: dict[str, tf.Tensor], fake: Any) -> dict[str, tf.Tensor]:
        """The same for the generator."""
        return {"g_adversarial": self.objective.generator(self.call_discriminator(fake, batch))}

    def preview(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, int]:
        """Samples of the EMA generator, from the same noise every time; one row per class where there are classes.

        Args:
            batch: Real examples, the same every time.

        Returns:
            Samples in external range, of at most ten classes, with the same noise down each column; the columns of their grid.
        """
        if "label" not in self.conditions:
            return self.sample(tf.range(64, dtype=tf.int64)), 8
        rows = min(self.config.num_classes, 10)
        labels = tf.repeat(tf.range(rows, dtype=tf.int64), 10)
        return self.sample(tf.tile(tf.range(10, dtype=tf.int64), [rows]), label=labels), 10

    def signatures(self) -> dict[str, Signature]:
        """What the model serves, by name; samples are in [0, 1] or PNG files there."""
        return signatures.noise_signatures(self)

    def discriminate(self, image: Any, **conditions: Any) -> dict[str, tf.Tensor]:
        """The discriminator's output for samples in external range: `realness` logits [n], and its other heads.

        Raises:
            UserError: For samples of another range.
        """
        output = self.discriminator({self.modality.key: self.modality.from_external(image), **conditions}, training=False)
        return output if isinstance(output, dict) else {"realness": output}

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Callbacks that this model's training needs; at an evaluation they come before the checkpoint is written."""
        return []

    # -- what all models share ----------------------------------------------------------------------------------------

    def __init__(self, config: Any, generator: keras.Model | None = None, discriminator: keras.Model | None = None) -> None:
        super().__init__(autocast=False)  # the networks cast what they need; a seed or a latent vector must not be rounded
        for option, is_idle in (("--discriminator-steps", config.discriminator_steps > 1), ("--augment", config.augment)):
            if is_idle and not discriminator:
                raise UserError(f"{option}: this model has no discriminator; leave it out")
        self.config = config
        self.generator: Any = generator  # keras.Model or None
        self.discriminator: Any = discriminator
        self.ema_generator = keras.models.clone_model(step.sampling_network(self))
        self.ema_generator.set_weights(step.sampling_network(self).get_weights())
        self.ema_generator.trainable = False
        self.step_counter, self.retries = step.add_counter(self, "step"), step.add_counter(self, "retries")
        self.seeds, self.step_metrics = StatelessSeeds(config.seed, self.retries, self.step_counter), StepMetrics()
        seeds.replace_seed_generators(self, self.seeds)
        self.built = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(cls.__module__)(cls)  # so that `keras.saving.load_model` finds the class

    @property
    def players(self) -> dict[str, keras.Model]:
        """The players that the model has: `g` and `d` -> network."""
        return {name: network for name, network in (("g", self.generator), ("d", self.discriminator)) if network}

    @property
    def optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """The players' optimizers, once the model is compiled."""
        return {player: getattr(self, f"{player}_optimizer") for player in self.players}

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions of a generator, such as `label`: its integer inputs."""
        return [tensor.name for tensor in self.ema_generator.inputs if tensor.dtype == "int64"] if self.generates_from_noise else []

    @property
    def completed_steps(self) -> int:
        """Training steps that have been completed; an int, also where replicas hold copies of the counter."""
        return int(keras.ops.convert_to_numpy(self.step_counter))

    def latents(self, seed: Any, truncation: Any = None) -> tf.Tensor:
        """Latent vectors from seeds, each row a function of its own seed alone: the same in any batch.

        Args:
            seed: Integers [n].
            truncation: Standard deviations [n]. Every value is mapped into (-truncation, truncation) by quantiles, which gives the
                distribution of redrawing until it falls there (Brock et al. 2018, §3.1) and stays close to the untruncated value.

        Returns:
            float32 [n, latent_dim].
        """
        shape, seed = [self.config.latent_dim], signatures.as_integers("seed", seed)
        spec = tf.TensorSpec(shape, tf.float32)
        latent = tf.map_fn(lambda one: self.sample_latent(shape, tf.stack([one, 0])), seed, fn_output_signature=spec)
        if truncation is None:
            return latent
        quantile = tf.math.erf(latent / 2**0.5) * tf.math.erf(tf.cast(truncation, tf.float32) / 2**0.5)[:, None]
        return 2**0.5 * tf.math.erfinv(tf.clip_by_value(quantile, -1 + 1e-7, 1 - 1e-7))

    def sample(self, seed: Any, live: bool = False, truncation: Any = None, **conditions: Any) -> tf.Tensor:
        """Samples in external range (images in [0, 1]).

        Args:
            seed: Integers [n], one per sample: a seed gives the same sample in any batch.
            live: By the live generator instead of its EMA.
            truncation: See `latents`; one number, or one per sample.
            **conditions: Integers [n] each, such as `label`.

        Raises:
            UserError: For anything but integers, out-of-range labels, a number of values that is not that of the seeds, and a truncation
                that is not above 0.
        """
        seed, truncation, conditions = signatures.validate_sample_request(self, seed, truncation, conditions)
        network = step.sampling_network(self) if live else self.ema_generator
        return self.modality.to_external(self.generate_from(network, self.latents(seed, truncation), **conditions))

    def serve(self, signature: str, **inputs: Any) -> dict[str, tf.Tensor]:
        """What a server would answer.

        Args:
            signature: One of `signatures()`.
            **inputs: Arrays, by the names of the signature's inputs.

        Raises:
            UserError: For unknown signatures, and for inputs that are unknown, missing, or of another shape, type or range.
        """
        return signatures.call_signature(self.signatures(), signature, inputs)

    def augment(self, samples: tf.Tensor) -> tf.Tensor:
        """Samples as the discriminator sees them: randomly changed where the configuration asks for it."""
        return augment.apply(samples, self.config.augment, self.seeds.next)

    def discriminator_objective(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
        """The objective's term for the discriminator; logs the logits."""
        self.step_metrics.log_logits(real_logits, fake_logits)
        return self.objective.discriminator(real_logits, fake_logits)

    # -- keras.Model --------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the `serving_default` signature computes: the tensor of its single output, else a dict.

        Args:
            inputs: A dict by the names of the signature's inputs, a tuple in their order, or the first one alone.
            training: Ignored: this is inference.
        """
        return feeding.call_default(self.signatures()["serving_default"], inputs)

    def compile(self, g_optimizer: Any = None, d_optimizer: Any = None, **kwargs: Any) -> None:
        """Builds both optimizers: unbuilt ones would trace the step twice and resume with fresh state.

        Args:
            g_optimizer: The generator's; default: as the configuration describes it.
            d_optimizer: The discriminator's; default: the same.
            **kwargs: Of `keras.Model.compile`, such as `jit_compile`.
        """
        config, given = self.config, {"d": d_optimizer, "g": g_optimizer}
        defaults = {
            "d": optimizers.build(config, config.discriminator_learning_rate, config.discriminator_steps),
            "g": optimizers.build(config, config.generator_learning_rate, 1),
        }
        chosen = {player: optimizers.with_loss_scale(given[player] or defaults[player], self.dtype_policy.name) for player in self.players}
        super().compile(optimizer=next(iter(chosen.values())), **kwargs)
        for player, network in self.players.items():
            setattr(self, f"{player}_optimizer", chosen[player])
            chosen[player].build(network.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, validate_data: bool = True, **kwargs: Any) -> Any:
        """Trains on dict batches, `(image, label)` tuples or arrays; see `keras.Model.fit`.

        Args:
            x: A `tf.data.Dataset` of batches, a dict of arrays, or an array of images, float32 in [-1, 1].
            y: Labels [n], where x is an array of images.
            batch_size: Of arrays; default: as the configuration has it. A step takes `discriminator_steps` times as many rows.
            validate_data: Check the first batch before training begins.
            **kwargs: Of `keras.Model.fit`.

        Raises:
            UserError: For keys that are missing, and for values of another type, range or shape.
        """
        if (validation_data := kwargs.pop("validation_data", None)) is not None:
            parts = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            kwargs["validation_data"] = feeding.as_batches(self, *parts)
        return super().fit(feeding.as_batches(self, x, y, batch_size, validate_data), **{"shuffle": False, **kwargs})

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """The mean loss terms over data, without training; takes the same data as `fit`."""
        is_checked = kwargs.get("_use_cached_eval_dataset", False)  # by `fit`, which has read it before
        return super().evaluate(feeding.as_batches(self, x, y, batch_size, validate=not is_checked), **kwargs)

    def train_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return step.train_step(self, data)

    def test_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return step.test_step(self, data)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.step_metrics.means.values())

    def get_config(self) -> dict[str, Any]:
        return {"config": keras.saving.serialize_keras_object(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Game:
        settings = config["config"]
        return cls(settings if isinstance(settings, Config) else keras.saving.deserialize_keras_object(settings))

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        serialized = {f"{player}_optimizer": keras.saving.serialize_keras_object(one) for player, one in self.optimizers.items()}
        return {**serialized, "jit_compile": self.jit_compile}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


def select_inputs(network: keras.Model, batch: dict[str, tf.Tensor], **overrides: tf.Tensor) -> dict[str, tf.Tensor]:
    """A network's inputs by name: from `overrides` where it is there, else from the batch."""
    return {tensor.name: overrides[tensor.name] if tensor.name in overrides else batch[tensor.name] for tensor in network.inputs}
