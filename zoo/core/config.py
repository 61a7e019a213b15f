"""The configuration that all models share, and its checks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import keras

from zoo.errors import UserError

MAY_BE_ZERO = ("seed", "jitter")  # whole numbers that may be 0
BELOW_ONE = ("ema_decay", "beta_1", "beta_2", "decay_start")
OPTIMIZER_DEFAULTS = {  # the fields that each optimizer uses, and their values where they are left open
    "adam": {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"beta_2": 0.999, "epsilon": 1e-7},
    "sgd": {"beta_1": 0.5},
}
Self = TypeVar("Self", bound="Config")


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings that every model has. A model's own Config extends it by the numbers of its paper."""

    num_classes: int | None = None  # default: as in the data
    latent_dim: int = 100  # length of the latent vector
    batch_size: int = 64  # examples in one discriminator update, over all replicas
    gradient_accumulation: int = 1  # micro-batches that such a batch is split into, where it does not fit into memory as a whole
    steps: int = 1000  # training steps; one is `discriminator_steps` updates of the discriminator and one of the generator
    eval_every: int = 200  # steps between evaluations (checkpoint, scores, sample grid, metrics.jsonl)
    seed: int = 0  # of the noise, the order of the data and the initial weights
    discriminator_steps: int = 1  # k of algorithm 1 in Goodfellow et al. 2014
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"  # of both players
    generator_learning_rate: float = 2e-4  # of the generator's optimizer
    discriminator_learning_rate: float = 2e-4  # of the discriminator's optimizer
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # decay of both learning rates (cosine: half a period)
    decay_end: int | None = None  # step at which the decay ends (default: --steps as it is when the run begins)
    decay_start: float = 0.0  # fraction of training (up to --decay-end) before the learning rate decays
    final_rate: float = 0.0  # fraction of the learning rates that is left at the end of the decay
    learning_rate_decay: float = 1.0  # factor on both learning rates, per update
    beta_1: float | None = None  # decay of Adam's first moment, momentum of SGD (default: 0.5); RMSprop has none
    beta_2: float | None = None  # decay of Adam's second moment, of RMSprop's mean square (default: 0.999); SGD has none
    epsilon: float | None = None  # of Adam and RMSprop (default: 1e-7)
    ema_decay: float = 0.999  # decay of the generator's exponential moving average; it starts lower and rises over the first steps
    augment: tuple[Literal["color", "translation", "cutout"], ...] = ()  # of the discriminator's input (Zhao et al. 2020, table 1)

    fallbacks: ClassVar[dict[str, Any]] = {"num_classes": 10, "num_poses": 9}  # what the data decide, where no data are given

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(cls.__module__)(cls)  # so that `model.save` keeps the configuration

    @property
    def learning_stops_at(self) -> float:
        """The step from which the learning rates are 0; infinite where they never are."""
        return self.decay_end if self.schedule != "constant" and not self.final_rate and self.decay_end else math.inf

    @property
    def stage_boundaries(self) -> list[int]:
        """Steps at which the training step changes and is traced again (progressive growing)."""
        return []

    def override(self: Self, **changes: Any) -> Self:
        """A copy with some fields replaced; another optimizer begins with its own defaults."""
        if changes.get("optimizer", self.optimizer) != self.optimizer:
            changes = {"beta_1": None, "beta_2": None, "epsilon": None, **changes}
        return dataclasses.replace(self, **changes)

    def resolve(self: Self, **data_defaults: Any) -> Self:
        """A validated copy whose open fields are filled in.

        Args:
            **data_defaults: What the data decide, field -> value; None where they do not. Fields that the data leave open are set as for
                the embedded digits.

        Raises:
            UserError: For values that make no sense.
        """
        self.validate()
        defaults = {**self.fallbacks, **{name: value for name, value in data_defaults.items() if value is not None}}
        defaults |= {"decay_end": self.steps, **OPTIMIZER_DEFAULTS[self.optimizer]}
        open_fields = {name: value for name, value in defaults.items() if getattr(self, name, 0) is None}
        config = dataclasses.replace(self, **open_fields)
        config.validate()
        return config

    def validate(self) -> None:
        """Checks each field by itself and those that contradict each other.

        Raises:
            UserError: For a value that makes no sense, whatever the data are.
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
                raise UserError(f"{_option(name)} {getattr(self, name):g}: the {self.optimizer} optimizer does not use it; leave it out")

    def get_config(self) -> dict[str, Any]:
        """The fields as plain values, for Keras' serialization."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """The inverse of `get_config`; lists, which JSON has for tuples, become tuples."""
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
        return cls(**values)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _validate_field(field: dataclasses.Field, value: Any, choices: list[str]) -> None:
    """Raises UserError for the value of one field; numbers in tuples are checked one by one."""
    option = _option(field.name)
    values = value if isinstance(value, tuple) else (value,)
    text = f"{option} {' '.join(map(str, values))}"
    if choices and (unknown := [one for one in values if one not in choices]):
        raise UserError(f"{option} {unknown[0]}: choose from {', '.join(choices)}")
    if not values and field.default != ():
        raise UserError(f"{option} has no value; give at least one")
    if field.name in MAY_BE_ZERO:
        if not 0 <= value < 2**31:
            raise UserError(f"{text}: must be from 0 to {2**31 - 1}")
    elif any(isinstance(number, int) and not isinstance(number, bool) and number < 1 for number in values):
        raise UserError(f"{text}: must be more than 0")
    elif any(isinstance(number, float) and not 0 <= number < math.inf for number in values):
        raise UserError(f"{text}: must be 0 or more")
    elif ("dropout" in field.name or field.name in BELOW_ONE) and value is not None and value >= 1:
        raise UserError(f"{text}: must be less than 1")
    elif field.name.endswith(("learning_rate", "learning_rate_decay")) and value == 0:
        raise UserError(f"{text}: must be more than 0")


def _choices(kind: Any) -> list[str]:
    """The words that a field of this type, or of tuples of it, may be; none where the type does not list them."""
    return [word for part in (kind, *get_args(kind)) if get_origin(part) is Literal for word in get_args(part)]
