"""Base class of all models (a `keras.Model`), named after the two-player game of Goodfellow et al. 2014.

Each player minimizes a sum of named loss terms with its own optimizer (`zoo.core.step`). What a model overrides comes first.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import tensorflow as tf

from zoo.core import feeding, losses, optimizers, replicas, seeds, signatures, step, variables
from zoo.core.config import Config, refuse_idle_options, serialization_package
from zoo.core.images import Images
from zoo.core.modality import Modality
from zoo.core.seeds import StatelessSeeds
from zoo.core.signatures import Signature
from zoo.core.step_metrics import StepMetrics
from zoo.errors import UserError
from zoo.metrics.registry import Metric
from zoo.precision import dtype_policy


class Game(keras.Model):
    """A generator and a discriminator. A model defines its networks, and its losses where they differ from the defaults.

    Networks are functional models with named inputs. The generator's inputs are `latent` and keys of the batch, the discriminator's are
    a sample (`image`) and keys of the batch. The discriminator's output is the logit [n], higher for samples that look more real, or a
    dict that contains it as `realness`. A game may have only one player (an autoencoder, an energy-based model): the other network is
    None, and has neither a loss nor an update.

    Three deviations from the papers are shared by all models:

    - Each fake batch is generated once and used for both updates: the discriminator gets a `stop_gradient` copy, and the generator's loss
      reuses the same images after the discriminator's update (as in the original Torch DCGAN code). The papers sample new noise for the
      generator. With several discriminator updates per step, the fake batch of the last one is reused. With gradient accumulation, the
      generator's update samples new noise, as in the papers.
    - Samples, scores and exports come from an exponential moving average (EMA) of the generator's weights. Most papers use the weights
      themselves.
    - Generated images take the labels of the real images of the batch. The papers draw labels at random.

    Args:
        config: The resolved configuration.
        generator: The generator's network, or None.
        discriminator: The discriminator's network, or None for a model that has only a generator.
    """

    # -- what a model overrides ---------------------------------------------------------------------------------------

    objective: losses.Objective = losses.non_saturating
    batch_keys: ClassVar[tuple[str, ...]] = ("image",)  # keys that the model needs from a dataset
    train_keys: ClassVar[tuple[str, ...] | None] = None  # keys of a training batch, if `prepare_data` changes them
    modality: ClassVar[Modality] = Images()  # kind of the samples: how they are shown, checked and encoded
    generates_from_noise: ClassVar[bool] = True  # False for image-to-image models, which define their own signatures and metrics
    supports_truncation: ClassVar[bool] = False  # the truncation trick needs a normal latent vector and a generator trained for it
    own_metrics: ClassVar[tuple[Metric, ...]] = ()  # model-specific metrics, in addition to those of the samples
    discriminator_outputs: ClassVar[tuple[str, ...]] = ("realness",)  # names of the outputs of `discriminate`

    @staticmethod
    def prepare_data(config: Any, source: Any) -> Any:
        """The dataset as a model with this configuration uses it: a `Source` derived from another one."""
        return source

    def sample_latent(self, shape: Any, seed: Any) -> tf.Tensor:
        """Latent vectors, float32 of the given shape; a function of the seed alone."""
        return tf.random.stateless_normal(shape, seed)

    def generate(self, batch: dict[str, tf.Tensor]) -> Any:
        """Fake samples in [-1, 1] from new noise, one for each row of the batch."""
        latent = replicas.draw_latents(self, tf.shape(batch[self.modality.key])[0])
        return self.generator(select_inputs(self.generator, batch, latent=latent), training=True)

    def generate_from(self, network: keras.Model, latent: tf.Tensor, **conditions: tf.Tensor) -> tf.Tensor:
        """Samples in [-1, 1] from latent vectors, as they are shown and served; `network` is the generator or its EMA."""
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
        """Named, weighted terms of the generator's loss, like those of the discriminator's."""
        return {"g_adversarial": self.objective.generator(self.call_discriminator(fake, batch))}

    def preview(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, int]:
        """Samples of the EMA generator, from the same noise every time; one row per class for class-conditional models.

        Args:
            batch: Real examples, the same every time.

        Returns:
            Samples (images in [0, 1]) of at most ten classes, with the same noise in each column; the number of columns of their grid.
        """
        if "label" not in self.conditions:
            return self.sample(tf.range(64, dtype=tf.int64)), 8
        rows = min(self.config.num_classes, 10)
        labels = tf.repeat(tf.range(rows, dtype=tf.int64), 10)
        return self.sample(tf.tile(tf.range(10, dtype=tf.int64), [rows]), label=labels), 10

    def signatures(self) -> dict[str, Signature]:
        """The serving signatures by name; their images are in [0, 1] or PNG files."""
        return signatures.noise_signatures(self)

    def discriminate(self, image: Any, **conditions: Any) -> dict[str, tf.Tensor]:
        """The discriminator's output for samples (images in [0, 1]): `realness` logits [n], and its other heads.

        Raises:
            UserError: For samples and conditions of the wrong type, shape or range, and for a model without a discriminator.
        """
        output = self.discriminator(signatures.validate_discriminator_request(self, image, conditions), training=False)
        return output if isinstance(output, dict) else {"realness": output}

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Callbacks that this model's training needs; at an evaluation they run before the checkpoint is written."""
        return []

    # -- what all models share ----------------------------------------------------------------------------------------

    train_function: Any  # what `fit` calls for each execution; None: it is built again
    test_function: Any
    class_names: tuple[str, ...] | None = None  # of a model that was loaded from a run, or is being trained: number -> name

    def __init__(self, config: Any, generator: keras.Model | None = None, discriminator: keras.Model | None = None) -> None:
        super().__init__(autocast=False)  # the networks cast what they need; a seed or a latent vector must not be rounded
        config.validate()  # one that a user has constructed without `resolve`
        refuse_idle_options(config, generator, discriminator, self.modality)
        self.config = config
        self.generator: Any = generator  # keras.Model or None
        self.discriminator: Any = discriminator
        # EMA of the sampling network: the generator, or the discriminator if there is no generator.
        self.ema_generator = keras.models.clone_model(step.sampling_network(self))
        self.ema_generator.set_weights(step.sampling_network(self).get_weights())
        self.ema_generator.trainable = False
        self.step_counter, self.retries = step.add_counter(self, "step"), step.add_counter(self, "retries")
        self.seeds, self.step_metrics = StatelessSeeds(config.seed, self.retries, self.step_counter), StepMetrics()
        seeds.replace_seed_generators(self, self.seeds)
        self.built, self._data_are_checked = True, False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(serialization_package(cls))(cls)  # so that `keras.saving.load_model` finds the class

    @property
    def players(self) -> dict[str, keras.Model]:
        """The players that the model has: `g` and `d` -> network."""
        return {name: network for name, network in (("g", self.generator), ("d", self.discriminator)) if network}

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions of a generator, such as `label`: its integer inputs."""
        return [tensor.name for tensor in self.ema_generator.inputs if tensor.dtype == "int64"] if self.generates_from_noise else []

    @property
    def completed_steps(self) -> int:
        """Number of completed training steps; an int even if each replica has a copy of the counter."""
        return int(keras.ops.convert_to_numpy(self.step_counter))

    def latents(self, seed: Any, truncation: Any = None) -> tf.Tensor:
        """Latent vectors from seeds, each row a function of its own seed alone: the same in any batch.

        Args:
            seed: Integers [n].
            truncation: Truncation threshold in standard deviations, a number or [n]. Each value is mapped to a normal distribution
                truncated to (-t, t) by its inverse CDF; the result has the same distribution as resampling (Brock et al. 2018, §3.1), but
                stays close to the untruncated value.

        Returns:
            float32 [n, latent_dim].

        Raises:
            UserError: For seeds that are not integers, and a truncation that is not above 0 and finite.
        """
        shape, seed = [self.config.latent_dim], signatures.as_seeds(seed)
        latent = tf.map_fn(lambda one: self.sample_latent(shape, tf.stack([one, 0])), seed, fn_output_signature=tf.TensorSpec(shape))
        truncation = signatures.validate_truncation(seed, truncation)
        if truncation is None:
            return latent
        quantile = tf.math.erf(latent / 2**0.5) * tf.math.erf(truncation / 2**0.5)[:, None]
        return 2**0.5 * tf.math.erfinv(tf.clip_by_value(quantile, -1 + 1e-7, 1 - 1e-7))

    def sample(self, seed: Any, live: bool = False, truncation: Any = None, **conditions: Any) -> tf.Tensor:
        """Samples from seeds (images in [0, 1]).

        Args:
            seed: Integers [n], one per sample: a seed gives the same sample in any batch.
            live: Use the generator's raw training weights instead of their exponential moving average.
            truncation: See `latents`; one number, or one per sample.
            **conditions: Integers [n] each, such as `label`.

        Raises:
            UserError: For seeds or conditions that are not integers, out-of-range labels, a number of values that differs from the number
                of seeds, and a truncation that is not above 0.
        """
        seed, truncation, conditions = signatures.validate_sample_request(self, seed, live, truncation, conditions)
        if seed.shape[0] == 0:  # many layers fail on zero rows
            return self.sample([0], live, **{name: [0] for name in conditions})[:0]
        network = step.sampling_network(self) if live else self.ema_generator
        return self.modality.to_external(self.generate_from(network, self.latents(seed, truncation), **conditions))

    def serve(self, signature: str, **inputs: Any) -> dict[str, tf.Tensor]:
        """The response of a server to a request.

        Args:
            signature: A name from `signatures()`.
            **inputs: Arrays, by the names of the signature's inputs.

        Raises:
            UserError: For unknown signatures, and for inputs that are unknown, missing, or of the wrong shape, type or range.
        """
        return signatures.call_signature(self.signatures(), signature, inputs)

    def augment(self, samples: tf.Tensor) -> tf.Tensor:
        """Samples with the random augmentation of the configuration, as the discriminator sees them."""
        for name in self.config.augment:
            samples = self.modality.augmentations[name](samples, self.seeds.next())
        return samples

    def discriminator_objective(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
        """The objective's term for the discriminator; logs the logits."""
        self.step_metrics.log_logits(real_logits, fake_logits)
        return self.objective.discriminator(real_logits, fake_logits)

    # -- keras.Model --------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The output of the `serving_default` signature: a tensor if it is the only one, else a dict.

        Args:
            inputs: A dict by the names of the signature's inputs, a tuple in their order, or the first one alone.
            training: Ignored: this is inference.
        """
        return feeding.call_default(self.signatures()["serving_default"], inputs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """`call`, with inputs that may also be arrays, or lists of numbers."""
        return super().__call__(feeding.check_inputs(inputs), *args, **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """The outputs of `call` for many rows; see `keras.Model.predict`.

        Args:
            x: Inputs as those of `call`, or a source of batches of them.
            batch_size: Rows that are computed at once; default: 32.
            **kwargs: Further arguments of `keras.Model.predict`.
        """
        feeding.check_batch_size(batch_size)
        is_source = isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)) or hasattr(x, "__next__")
        return super().predict(x if is_source else feeding.check_inputs(x), batch_size, **kwargs)

    def compile(self, g_optimizer: Any = None, d_optimizer: Any = None, **kwargs: Any) -> None:
        """Builds both optimizers: unbuilt ones would trace the step twice and resume with fresh state.

        Args:
            g_optimizer: The generator's optimizer; default: built from the configuration.
            d_optimizer: The discriminator's optimizer; default: built from the configuration.
            **kwargs: Further arguments of `keras.Model.compile`, such as `jit_compile`.
        """
        if "optimizer" in kwargs:
            raise UserError("optimizer: each player has its own; give g_optimizer and d_optimizer")
        seeds.replace_seed_generators(self, self.seeds)  # of networks that were assigned after the constructor as well
        config, given = self.config, {"d": d_optimizer, "g": g_optimizer}
        defaults = {
            "d": optimizers.build(config, config.discriminator_learning_rate, config.discriminator_steps),
            "g": optimizers.build(config, config.generator_learning_rate, 1),
        }
        chosen = {player: keras.optimizers.get(given[player] or defaults[player]) for player in self.players}
        chosen = {player: optimizers.with_loss_scale(one, self.dtype_policy.name) for player, one in chosen.items()}
        super().compile(optimizer=next(iter(chosen.values())), **kwargs)
        variables.freeze_first_layers(self.discriminator, config.freeze_discriminator)
        for player, network in self.players.items():
            setattr(self, f"{player}_optimizer", chosen[player])
            chosen[player].build(network.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, validate_data: bool = True, **kwargs: Any) -> Any:
        """Trains on dict batches, `(image, label)` tuples or arrays; see `keras.Model.fit`.

        Args:
            x: A `tf.data.Dataset` of batches, a dict of arrays, or an array of images, float32 in [-1, 1].
            y: Labels [n], if x is an array of images.
            batch_size: Batch size for arrays; default: that of the configuration. A step takes `discriminator_steps` times as many rows.
            validate_data: Check the first batch before training begins.
            **kwargs: Further arguments of `keras.Model.fit`.

        Raises:
            UserError: For missing keys, and for values of the wrong type, range or shape.
        """
        if (validation_data := kwargs.get("validation_data")) is not None:
            kwargs["validation_data"] = feeding.as_batches(self, validation_data)
        batches = feeding.for_replicas(self, feeding.as_batches(self, x, y, batch_size, validate_data))
        self._data_are_checked = True  # `fit` evaluates on the same validation data after each epoch
        try:
            return super().fit(batches, **{"shuffle": False, **kwargs})
        finally:
            self._data_are_checked = False

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """The mean loss terms over data, without training; takes the same data as `fit`."""
        batches = x if self._data_are_checked else feeding.as_batches(self, x, y, batch_size)
        return super().evaluate(batches, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        return step.train_step(self, feeding.as_dict(self, data))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        return step.test_step(self, feeding.as_dict(self, data))

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        pass  # All is built. Keras would trace a step for replicas, and fails for several machines.

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = step.build_function(self, self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is None or force:
            self.test_function = step.build_function(self, self.test_step)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.step_metrics.means.values())

    def get_config(self) -> dict[str, Any]:
        return {"config": keras.saving.serialize_keras_object(self.config), "precision": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Game:
        settings = config["config"]
        with dtype_policy(config["precision"]):
            return cls(settings if isinstance(settings, Config) else keras.saving.deserialize_keras_object(settings))

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        serialized = {f"{player}_optimizer": keras.saving.serialize_keras_object(one) for player, one in optimizers.by_player(self).items()}
        return {**serialized, "jit_compile": self.jit_compile}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


def select_inputs(network: keras.Model, batch: dict[str, tf.Tensor], **overrides: tf.Tensor) -> dict[str, tf.Tensor]:
    """A network's inputs by name, each from `overrides` if it is present there, else from the batch."""
    return {tensor.name: overrides[tensor.name] if tensor.name in overrides else batch[tensor.name] for tensor in network.inputs}
