"""The options of a training beside a model's own configuration. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

import dataclasses
import numbers
import os
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from zoo.errors import UserError

MIN_EVAL_SAMPLES = 10  # fewer cannot be scored
DATA_HELP = (  # not a docstring of the field: tyro would keep its line breaks
    "built in, no download: digits, outlines, outline_pairs, photographs, turned_digits; a TFDS name (mnist, cifar10, celeb_a, "
    "cycle_gan/horse2zebra, div2k, ...); or folder:PATH of images: flat, one folder per class, trainA trainB testA testB, pairs side by "
    "side, or IDENTITY/POSE*.jpg, whichever the model needs"
)


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """train a model, from data to SavedModel"""

    model: str = ""
    """name of a model (--list shows them), or path/to/file.py:NAME for a model of your own"""
    data: Annotated[str, tyro.conf.arg(help=DATA_HELP)] = "digits"
    data_dir: str | None = None
    """folder of TFDS data sets; if omitted, TFDS_DATA_DIR or ~/tensorflow_datasets"""
    examples: int | None = None
    """train on this many examples only, equally many per class, drawn by --seed; if omitted, on all"""
    run_dir: str | None = None
    """folder of the run; if omitted, the next free runs/MODEL-DATA-NNNN"""
    resume: str | None = None
    """folder of a run to continue from its last checkpoint; --steps may be larger than before"""
    init_from: str | None = None
    """folder of a run whose EMA generator this training starts from; the networks must be the same"""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """of the layers; auto: bfloat16 on hardware that supports it, float16 on older GPUs, otherwise float32"""
    xla: Literal["auto", "on", "off"] = "auto"
    """compile the step by XLA; auto: on a single GPU"""
    strategy: Literal["auto", "none", "mirrored"] = "auto"
    """distribution over replicas; auto: mirrored if there are several GPUs"""
    steps_per_execution: int = 8
    """upper bound on Keras' `steps_per_execution`; a divisor of --eval-every is used"""
    eval_samples: int = 1000
    """samples that are scored at each evaluation; 0 disables scores"""
    feature_extractor: str = "classifier"
    """network behind the metrics: classifier (trained once on the data), rotations, inception[:FILE], keras:NETWORK"""
    best: str | None = None
    """score that decides which checkpoint is the best; if omitted, frechet, or the first own score of an image-to-image model"""
    profile: bool = False
    """trace a few steps for TensorBoard's profiler"""
    dry_run: bool = False
    """print the resolved configuration, the networks' sizes and the shapes of a batch, and stop"""
    list: bool = False
    """print the table of models and stop"""

    def validate(self) -> None:
        """Checks each option by itself.

        Raises:
            UserError: For a value that makes no sense.
        """
        for name in ("precision", "xla", "strategy"):
            choices = get_args(get_type_hints(TrainOptions)[name])
            if getattr(self, name) not in choices:
                raise UserError(f"--{name} {getattr(self, name)}: choose from {', '.join(choices)}")
        if self.resume and self.run_dir:
            raise UserError("--resume continues in the run's own folder; omit --run-dir")
        if self.steps_per_execution < 1:
            raise UserError(f"--steps-per-execution {self.steps_per_execution}: must be at least 1")


def option_name(field: str) -> str:
    """`eval_every` -> `--eval-every`."""
    return f"--{field.replace('_', '-')}"


def convert_values(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Values for fields of a dataclass, converted where nothing is lost: lists to tuples, NumPy numbers to Python's, paths to text.

    Raises:
        UserError: For a value of another type than the field has.
    """
    hints = get_type_hints(kind)
    return {name: _convert(name, value, hints[name]) for name, value in values.items()}


def _convert(name: str, value: Any, hint: Any) -> Any:
    """The value as the type `hint` has it, or UserError."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (hint,) = [part for part in get_args(hint) if part is not type(None)][:1]
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        parts = get_args(hint)
        kinds = parts[:1] * len(value) if Ellipsis in parts else parts
        if len(kinds) == len(value):
            return tuple(_convert(name, one, kind) for one, kind in zip(value, kinds, strict=True))
    elif get_origin(hint) is Literal or hint is str:  # which words are valid is checked elsewhere
        if isinstance(value, (str, os.PathLike)):
            return os.fspath(value)
    elif hint is bool:
        if isinstance(value, bool):
            return value
    elif hint is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    elif hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise UserError(f"{name}={value!r}: expected {hint.__name__ if isinstance(hint, type) else str(hint).replace('typing.', '')}")


def format_options(values: Any, defaults: Any, skip: tuple[str, ...] = ()) -> list[str]:
    """The words of a command line that sets the fields in which a dataclass differs from its defaults."""
    words: list[str] = []
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if field.name in skip or value == getattr(defaults, field.name):
            continue
        option = option_name(field.name)
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, *map(str, value if isinstance(value, tuple) else [value])]
    return words
