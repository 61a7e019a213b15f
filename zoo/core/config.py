"""The configuration that all models share, and its checks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import keras

from zoo.conversion import convert_values
from zoo.errors import UserError, option_name, shorten
from zoo.types import Omittable

MAX_INTEGER = 2**31 - 1  # of integer fields: TensorFlow's shapes and seeds
MAX_LAYERS = 1000  # of fields that count layers or blocks, each of which is built
MIN_FLOAT, MAX_FLOAT = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of normal float32 numbers; smaller ones are computed with as 0
MAX_WORD = 60  # characters of a value in a message
MAY_BE_ZERO = ("seed", "jitter", "freeze_discriminator")  # integer fields for which 0 is valid
BELOW_ONE = ("ema_decay", "beta_1", "beta_2", "decay_start")
OPTIMIZER_DEFAULTS = {  # the fields that each optimizer uses, and their values if they are None
    "adam": {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"beta_2": 0.999, "epsilon": 1e-7},
    "sgd": {"beta_1": 0.5},
}
Self = TypeVar("Self", bound="Config")


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings that all models share. A model's own Config adds the hyperparameters of its paper.

    Raises:
        UserError: For a value of another type than the field has. Lists and NumPy numbers are converted; see `zoo.conversion`.
    """

    num_classes: Omittable[int] = None  # number of classes (default: from the data)
    latent_dim: int = 100  # dimension of the latent vector
    batch_size: int = 64  # examples in one discriminator update, over all replicas
    gradient_accumulation: int = 1  # micro-batches that each batch is split into, for batches that do not fit into memory
    steps: int = 1000  # training steps; a step is `--discriminator-steps` updates of the discriminator and one of the generator
    eval_every: int = 200  # steps between evaluations (checkpoint, scores, sample grid, metrics.jsonl)
    seed: int = 0  # random seed for noise, data order and initial weights
    discriminator_steps: int = 1  # discriminator updates per training step (k in algorithm 1 of Goodfellow et al. 2014)
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"  # optimizer for both networks
    generator_learning_rate: float = 2e-4  # generator learning rate
    discriminator_learning_rate: float = 2e-4  # discriminator learning rate
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # learning rate schedule (cosine: half a period)
    decay_end: Omittable[int] = None  # step at which the decay ends (default: the value of --steps when the run starts)
    decay_start: float = 0.0  # where the decay starts, as a fraction of --decay-end
    final_rate: float = 0.0  # learning rates after the decay, as a fraction of the initial ones
    # another, exponential decay: factor by which the learning rates are multiplied after each update (1: none)
    learning_rate_decay: float = 1.0
    beta_1: Omittable[float] = None  # decay of Adam's first moment, or momentum of SGD (default: 0.5); unused by RMSprop
    beta_2: Omittable[float] = None  # decay of Adam's second moment, or of RMSprop's mean square (default: 0.999); unused by SGD
    epsilon: Omittable[float] = None  # numerical stability constant of Adam and RMSprop (default: 1e-7)
    # upper bound on the decay of the generator's exponential moving average; at step t it is min(EMA_DECAY, (1 + t) / (10 + t))
    ema_decay: float = 0.999
    augment: tuple[Literal["color", "translation", "cutout"], ...] = ()  # augmentation of the discriminator's input (Zhao et al. 2020)

    freeze_discriminator: int = 0  # first layers of the discriminator that are not trained, to fine-tune a model (Mo et al. 2020)

    fallbacks: ClassVar[dict[str, Any]] = {"num_classes": 10, "num_poses": 9}  # values that come from the data, for a model without data
    uses_decay_end: ClassVar[bool] = False  # whether `decay_end` has a meaning besides the learning rate's schedule

    def __post_init__(self) -> None:
        for name, value in convert_values(type(self), vars(self)).items():
            object.__setattr__(self, name, value)  # the instance is frozen

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(serialization_package(cls))(cls)  # so that `model.save` keeps the configuration

    @property
    def learning_stops_at(self) -> float:
        """The step from which the learning rates are 0; infinite if they never are."""
        return self.decay_end if self.schedule != "constant" and not self.final_rate and self.decay_end else math.inf

    @property
    def stage_boundaries(self) -> list[int]:
        """Steps at which the training step changes and is traced again (progressive growing)."""
        return []

    def override(self: Self, **changes: Any) -> Self:
        """A copy with some fields replaced; a change of the optimizer or schedule resets settings that only the former one uses.

        Args:
            **changes: Field -> value.

        Raises:
            UserError: For a value of another type than the field has.
        """
        changes = convert_values(type(self), changes)
        if changes.get("optimizer", self.optimizer) != self.optimizer:
            changes = {"beta_1": None, "beta_2": None, "epsilon": None, **changes}
        if changes.get("schedule") == "constant":
            changes = {"decay_start": 0.0, "final_rate": 0.0, **changes}
        return dataclasses.replace(self, **changes)

    def resolve(self: Self, **data_defaults: Any) -> Self:
        """A validated copy in which fields that are None have their values.

        Args:
            **data_defaults: Field -> value from the data, or None. Fields without a value from the data are set as for the built-in digits.

        Raises:
            UserError: For invalid values.
        """
        self.validate()
        defaults = {**self.fallbacks, **{name: value for name, value in data_defaults.items() if value is not None}}
        defaults |= {"decay_end": self.steps, **OPTIMIZER_DEFAULTS[self.optimizer]}
        open_fields = {name: value for name, value in defaults.items() if getattr(self, name, 0) is None}
        config = dataclasses.replace(self, **open_fields)
        config.validate()
        return config

    def validate(self) -> None:
        """Checks each field, and combinations of fields that contradict each other.

        Raises:
            UserError: For a value that is invalid for any data.
        """
        choices = {name: _choices(kind) for name, kind in get_type_hints(type(self)).items()}
        for field in dataclasses.fields(self):
            _validate_field(field, getattr(self, field.name), choices[field.name])
        if self.final_rate > 1:
            raise UserError(f"--final-rate {self.final_rate:g}: must be at most 1")
        if self.schedule == "constant" and (self.decay_start or self.final_rate):
            raise UserError("--decay-start and --final-rate need a learning rate that decays: --schedule linear or cosine")
        if self.batch_size % self.gradient_accumulation:
            raise UserError(
                f"--batch-size {self.batch_size} cannot be split by --gradient-accumulation {self.gradient_accumulation}; "
                "use a multiple of that number"
            )
        for name in ("beta_1", "beta_2", "epsilon"):
            if getattr(self, name) is not None and name not in OPTIMIZER_DEFAULTS[self.optimizer]:
                raise UserError(
                    f"{option_name(name)} {getattr(self, name):g}: the {self.optimizer} optimizer does not use it; leave it out"
                )

    def check_given(self, names: Collection[str]) -> None:
        """Checks that the settings that a user gave have an effect.

        Args:
            names: Fields that the user gave; the others are defaults or come from a record.

        Raises:
            UserError: For a setting that nothing reads.
        """
        if "decay_end" in names and self.decay_end is not None and self.schedule == "constant" and not self.uses_decay_end:
            raise UserError(f"--decay-end {self.decay_end} needs a learning rate that decays: --schedule linear or cosine")

    def get_config(self) -> dict[str, Any]:
        """The fields as plain values, for Keras' serialization."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """The inverse of `get_config`."""
        return cls(**config)


def _validate_field(field: dataclasses.Field, value: Any, choices: list[str]) -> None:
    """Raises UserError if the value of a field is invalid; numbers in tuples are checked one by one."""
    option = option_name(field.name)
    values = value if isinstance(value, tuple) else (value,)
    text = f"{option} {shorten(values)}" if len(values) > 9 else f"{option} {' '.join(map(str, values))}"
    if choices and (unknown := [one for one in values if one not in choices]):
        raise UserError(f"{option} {unknown[0][:MAX_WORD]}: choose from {', '.join(choices)}")
    if choices and len(set(values)) < len(values):
        raise UserError(f"{text}: give each value once")
    if not values and field.default != ():
        raise UserError(f"{option} has no value; give at least one")
    if field.name in MAY_BE_ZERO:
        if not 0 <= value <= MAX_INTEGER:
            raise UserError(f"{text}: must be from 0 to {MAX_INTEGER}")
    elif any(isinstance(number, int) and not isinstance(number, bool) and number < 1 for number in values):
        raise UserError(f"{text}: must be more than 0")
    elif any(isinstance(number, int) and number > MAX_INTEGER for number in values):
        raise UserError(f"{text}: must be at most {MAX_INTEGER}")
    elif field.name.endswith(("layers", "blocks")) and any(isinstance(number, int) and number > MAX_LAYERS for number in values):
        raise UserError(f"{text}: must be at most {MAX_LAYERS}")
    elif any(isinstance(number, float) and not 0 <= number < math.inf for number in values):
        raise UserError(f"{text}: must be 0 or more")
    elif any(isinstance(number, float) and number and not MIN_FLOAT <= number <= MAX_FLOAT for number in values):
        raise UserError(f"{text}: must be 0 or from {MIN_FLOAT:.2g} to {MAX_FLOAT:.2g}, the range of float32")
    elif ("dropout" in field.name or field.name in BELOW_ONE) and value is not None and value >= 1:
        raise UserError(f"{text}: must be less than 1")
    elif field.name.endswith(("learning_rate", "learning_rate_decay")) and value == 0:
        raise UserError(f"{text}: must be more than 0")


def _choices(kind: Any) -> list[str]:
    """The values that a Literal type, or tuples of it, allow; empty for other types."""
    return [word for part in (kind, *get_args(kind)) if get_origin(part) is Literal for word in get_args(part)]


def serialization_package(cls: type) -> str:
    """The package under which Keras registers a class.

    Outside this library it is the last part of the module's name, which is the same however a user's file was imported.
    """
    return cls.__module__ if cls.__module__.startswith("zoo.") else cls.__module__.rpartition(".")[2]


def refuse_idle_options(config: Any, generator: keras.Model | None, discriminator: keras.Model | None, modality: Any) -> None:
    """Raises UserError for an option of a player that the model does not have, and for augmentations of another modality."""
    options = {
        "discriminator": ("discriminator_steps", "augment", "discriminator_learning_rate", "freeze_discriminator"),
        "generator": ("generator_learning_rate",),
    }
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for player, network in (("discriminator", discriminator), ("generator", generator)):
        for name in options[player]:
            if not network and getattr(config, name) != defaults[name]:
                raise UserError(f"{option_name(name)}: this model has no {player}; leave it out")
    if unknown := [name for name in config.augment if name not in modality.augmentations]:
        available = f"available: {', '.join(modality.augmentations)}" if modality.augmentations else "leave it out"
        raise UserError(f"--augment {unknown[0]}: not an augmentation of {modality.describe_shape(config)}; {available}")
