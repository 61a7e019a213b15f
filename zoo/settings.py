"""What every model can be told, checked: the fields of a configuration that all papers share."""

import dataclasses
import math
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

from zoo.errors import UserError

USUAL = {"image_shape": (32, 32, 1), "num_classes": 10, "num_poses": 9}  # what the embedded digits decide
SMALLEST, LARGEST = 8, 1024  # sides of images, in pixels
FROM_ZERO = ("seed", "jitter")  # whole numbers that may be 0
BELOW_ONE = ("averaging", "beta_1", "beta_2", "steady")


@dataclasses.dataclass(frozen=True)
class Config:
    """What every model can be told. A model's own Config extends it and adds its paper's numbers."""

    image_shape: tuple[int, int, int] | None = None  # height, width, channels; default: the data's own. Otherwise images are resized to it
    num_classes: int | None = None  # default: the data's own
    latent_dim: int = 100  # length of the generator's noise
    batch_size: int = 64  # images in one discriminator update, over all replicas
    accumulation: int = 1  # parts in which such a batch is taken, one after another, where it does not fit the memory as a whole
    steps: int = 1000  # rounds to play: one is `discriminator_steps` updates of the discriminator and one of the generator
    every: int = 200  # rounds between two looks (checkpoint, sample grid, metrics.jsonl)
    seed: int = 0  # of noise, the order of the data and (by train.py) the first weights
    discriminator_steps: int = 1  # k of algorithm 1 in Goodfellow et al. 2014
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"  # of both players
    generator_learning_rate: float = 2e-4  # of the generator's optimizer
    discriminator_learning_rate: float = 2e-4  # of the discriminator's optimizer
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # how both learning rates fall (cosine: half a wave)
    decay_end: int | None = None  # round at which they have fallen to `final_rate` (default: --steps as it is when the run begins)
    steady: float = 0.0  # share of the rounds up to then in which they do not fall yet
    final_rate: float = 0.0  # share of the learning rates that is left then
    learning_rate_decay: float = 1.0  # factor on both learning rates, per update
    beta_1: float = 0.5  # Adam's first moment; momentum of SGD
    beta_2: float = 0.999  # Adam's second moment, RMSprop's only one; SGD has none
    epsilon: float = 1e-7  # of Adam and RMSprop
    averaging: float = 0.999  # decay of the averaged generator; it starts lower and rises with the rounds
    augment: tuple[Literal["color", "translation", "cutout"], ...] = ()  # of all that the discriminator sees (Zhao et al. 2020, table 1)

    multiple: ClassVar[int] = 1  # what both sides of an image must be multiples of

    @property
    def sides(self):
        """What both sides of an image may be, in words."""
        return f"multiples of {self.multiple}" if self.multiple > 1 else "any"

    @property
    def learns_until(self):
        """The round from which the learning rates are 0; infinite where they never are."""
        return self.decay_end if self.schedule != "constant" and not self.final_rate else math.inf

    def resolved(self, **decides):
        """A checked copy in which what the data decide (field -> value) is filled in, where it was left open; else as for the digits."""
        known = {**USUAL, **{name: value for name, value in decides.items() if value is not None}, "decay_end": self.steps}
        left = {name: value for name, value in known.items() if getattr(self, name, 0) is None}
        config = dataclasses.replace(self, **left)
        config.check()
        return config

    def check(self):
        """Raises UserError for a number that makes no sense, whatever the data."""
        listed = {name: _choices(kind) for name, kind in get_type_hints(type(self)).items()}
        for field in dataclasses.fields(self):
            value, option = getattr(self, field.name), f"--{field.name.replace('_', '-')}"
            numbers = value if isinstance(value, tuple) else (value,)
            said = f"{option} {' '.join(map(str, numbers))}"
            if (choices := listed[field.name]) and (wrong := [one for one in numbers if one not in choices]):
                raise UserError(f"{option} {wrong[0]}: there is {', '.join(choices)}")
            if not numbers and field.default != ():
                raise UserError(f"{option} has no value; give at least one")
            if field.name in FROM_ZERO:
                if not 0 <= value < 2**31:
                    raise UserError(f"{said}: must be from 0 to {2**31 - 1}")
            elif any(isinstance(n, int) and not isinstance(n, bool) and n < 1 for n in numbers):
                raise UserError(f"{said}: must be more than 0")
            elif any(isinstance(n, float) and not 0 <= n < math.inf for n in numbers):
                raise UserError(f"{said}: must be 0 or more")
            elif ("dropout" in field.name or field.name in BELOW_ONE) and value >= 1:
                raise UserError(f"{said}: must be less than 1")
            elif field.name.endswith(("learning_rate", "learning_rate_decay")) and value == 0:
                raise UserError(f"{said}: must be more than 0")
        if self.final_rate > 1:
            raise UserError(f"--final-rate {self.final_rate:g}: must be at most 1")
        if self.schedule == "constant" and (self.steady or self.final_rate):
            raise UserError("--steady and --final-rate are of learning rates that fall: --schedule linear or cosine")
        if self.batch_size % self.accumulation:
            raise UserError(f"--batch-size {self.batch_size} cannot be taken in {self.accumulation} parts; use a multiple of that number")
        if self.image_shape:
            self._check_shape()

    def _check_shape(self):
        if len(self.image_shape) != 3:
            raise UserError(f"image_shape has {len(self.image_shape)} numbers; it takes height, width, channels, as (28, 28, 1)")
        *sides, channels = self.image_shape
        size = "x".join(map(str, sides))
        if channels not in (1, 3):
            raise UserError(f"images of {channels} channels are out of reach; --image-shape HEIGHT WIDTH CHANNELS takes 1 or 3")
        if min(sides) < SMALLEST or max(sides) > LARGEST:
            resize = f"--image-shape 32 32 {channels} resizes them"
            raise UserError(f"images of {size} pixels are out of reach; sides of {SMALLEST} to {LARGEST} pixels are not: {resize}")
        if any(side % self.multiple for side in sides):
            fitting = [max(round(side / self.multiple), 1) * self.multiple for side in sides]
            resize = f"--image-shape {' '.join(map(str, (*fitting, channels)))} resizes them"
            raise UserError(f"images of {size} pixels: both sides must be multiples of {self.multiple}; {resize}")


def _choices(kind):
    """The words that a field of this type, or of tuples of it, may be; none where the type does not list them."""
    return [word for part in (kind, *get_args(kind)) if get_origin(part) is Literal for word in get_args(part)]
