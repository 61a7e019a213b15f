"""The options of a training run that are not part of a model's configuration. Imports nothing heavy, so that `--help` is fast."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

from zoo.errors import UserError, option_name
from zoo.files import check_path
from zoo.types import Omittable

MAX_COUNT = 10_000_000  # samples, examples or steps of one option
MIN_EVAL_SAMPLES = 10  # fewer cannot be scored
DATA_HELP = (  # not a docstring of the field: tyro would keep its line breaks
    "dataset: built in without download (digits, outlines, outline_pairs, photographs, turned_digits), a TFDS name (mnist, cifar10, "
    "celeb_a, cycle_gan/horse2zebra, div2k, ...), or folder:PATH of images in the layout that the model needs: flat, one folder per class, "
    "trainA trainB testA testB, pairs side by side, or IDENTITY/POSE*"
)
EXTRACTOR_HELP = (
    "network behind the metrics: classifier[:SEED] (trained once on the dataset's labels), rotations (self-supervised: predicts rotations "
    "by multiples of 90 degrees), file:PATH, inception[:FILE], keras:NETWORK"
)


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """train a model, from data to SavedModel"""

    model: Annotated[str, tyro.conf.arg(help_behavior_hint="")] = ""
    """name of a model (--list shows them), or path/to/file.py:NAME for a model of your own"""
    data: Annotated[str, tyro.conf.arg(help=DATA_HELP)] = "digits"
    data_dir: Omittable[str] = None
    """folder of TFDS datasets; if omitted, TFDS_DATA_DIR or ~/tensorflow_datasets"""
    examples: Omittable[int] = None
    """train on a class-balanced subset of this many examples, drawn by --seed; if omitted, on all"""
    crop: Literal["center", "pad", "none"] = "center"
    """how images get another aspect ratio: center: crop their middle; pad: add white borders; none: distort them"""
    frames: bool = False
    """take every frame of GIF, WebP, TIFF and APNG files of a folder as an image; otherwise the first one"""
    label_file: Omittable[str] = None
    """file with the labels of a folder's images: CSV lines NAME,CLASS, or JSON {"labels": [[NAME, NUMBER], ...]}"""
    label_key: Omittable[str] = None
    """feature of a TFDS dataset that holds the labels; if omitted, `label`, or the only one"""
    mirror: bool = False
    """flip half of the training images horizontally, at random"""
    balance: bool = False
    """draw all classes equally often in training"""
    run_dir: Omittable[str] = None
    """folder of the run; if omitted, the next free runs/MODEL-DATA-NNNN"""
    resume: Omittable[str] = None
    """folder of a run to continue from its last checkpoint; only --steps and --eval-every may change"""
    init_from: Omittable[str] = None
    """trained model to start from: a run, a pretrained model (`zoo list --pretrained`), or an address; layers that differ start anew"""
    init_optimizers: bool = False
    """with --init-from RUN: start from the state of its optimizers too"""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """precision of the layers; auto: bfloat16 on hardware that supports it, float16 on older GPUs, otherwise float32"""
    xla: Literal["auto", "on", "off"] = "auto"
    """compile the step with XLA; auto: on a single GPU"""
    strategy: Literal["auto", "none", "mirrored", "multi_worker"] = "auto"
    """distribution strategy; auto: mirrored with several GPUs; multi_worker: the workers of TF_CONFIG or SLURM"""
    steps_per_execution: int = 8
    """upper bound on Keras' `steps_per_execution`; a divisor of --eval-every is used"""
    eval_samples: int = 1000
    """number of samples that are scored at each evaluation; 0 disables scores"""
    feature_extractor: Annotated[str, tyro.conf.arg(help=EXTRACTOR_HELP)] = "classifier"
    best: Omittable[str] = None
    """metric that selects the best checkpoint (default: frechet; for image-to-image models, their first model-specific metric)"""
    profile: bool = False
    """trace a few steps for TensorBoard's profiler"""
    verify: bool = False
    """read every file of the data before training starts, and list those that are damaged"""
    dry_run: bool = False
    """print the resolved configuration, parameter counts and batch shapes, and exit"""
    list: bool = False
    """print the table of models and exit"""

    def validate(self) -> None:
        """Checks each option by itself.

        Raises:
            UserError: For an invalid value.
        """
        for name in ("precision", "xla", "strategy", "crop"):
            choices = get_args(get_type_hints(TrainOptions)[name])
            if getattr(self, name) not in choices:
                raise UserError(f"--{name} {getattr(self, name)}: choose from {', '.join(choices)}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and field.name != "model":
                check_path(option_name(field.name), value)
        if self.resume and self.run_dir:
            raise UserError("--resume continues in the run's own folder; omit --run-dir")
        if self.init_optimizers and not self.init_from:
            raise UserError("--init-optimizers needs the run that they are from: --init-from RUN")
        for name, lowest in (("steps_per_execution", 1), ("eval_samples", 0), ("examples", 1)):
            value = getattr(self, name)
            if value is not None and not lowest <= value <= MAX_COUNT:
                raise UserError(f"{option_name(name)} {value}: must be from {lowest} to {MAX_COUNT:,}")


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
