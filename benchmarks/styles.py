"""The styles of code in which `throughput.py` trains each architecture, all with identical networks."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from architectures import ARCHITECTURES, Architecture, describe

BASELINE = "plain Keras"  # the style that ratios refer to


class Trainer(NamedTuple):
    """A model that is ready to train.

    Attributes:
        precision: Of its layers.
        networks: The generator and, if there is one, the discriminator.
        parameters: Number of trainable parameters of each of them.
        time_steps: Trains for a few steps and returns the seconds per step.
    """

    precision: str
    networks: dict[str, Any]
    parameters: dict[str, int]
    time_steps: Callable[[], float]


def zoo(precision: str) -> Callable[[Architecture], Trainer]:
    def build(architecture: Architecture) -> Trainer:
        import keras_styles

        return keras_styles.build_zoo(architecture, precision)

    return build


def plain_keras(architecture: Architecture) -> Trainer:
    import keras_styles

    return keras_styles.build_plain(architecture)


def pytorch(**options: bool) -> Callable[[Architecture], Trainer]:
    def build(architecture: Architecture) -> Trainer:
        described = load_description(architecture)
        import torch_styles

        return torch_styles.build(architecture, described, **options)

    return build


def load_description(architecture: Architecture) -> Any:
    """The description of an architecture, from a process of its own: TensorFlow and PyTorch conflict in the same process."""
    name = next(name for name, other in ARCHITECTURES.items() if other is architecture)
    command = [sys.executable, str(Path(__file__).resolve()), name]
    return pickle.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


STYLES: dict[str, Callable[[Architecture], Trainer]] = {
    "zoo": zoo("auto"),
    "zoo, float32": zoo("float32"),
    BASELINE: plain_keras,
    "plain Keras, oneDNN enabled": plain_keras,
    "PyTorch": pytorch(),
    "PyTorch, compiled": pytorch(compiled=True),
    "PyTorch, bfloat16 channels_last": pytorch(bfloat16=True),
}


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(describe(ARCHITECTURES[sys.argv[1]])))
