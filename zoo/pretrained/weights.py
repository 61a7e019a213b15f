"""The weights of a network as a safetensors file, which holds numbers and no code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.core.variables import variable_names

if TYPE_CHECKING:
    import keras

SUFFIX = ".safetensors"


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file, float32 by name.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"it is not a safetensors file ({error})") from None
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_weights(path: Path, network: keras.Model, dtype: str) -> None:
    """Writes the weights of a network; see `variable_names`."""
    from safetensors.numpy import save_file

    arrays = [np.asarray(weight, dtype, order="C") for weight in network.get_weights()]
    save_file(dict(zip(variable_names(network), arrays, strict=True)), path)


def assign_weights(network: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Assigns all weights of a network by name; raises ValueError if names or shapes differ."""
    expected = {name: tuple(weight.shape) for name, weight in zip(variable_names(network), network.weights, strict=True)}
    given = {name: array.shape for name, array in arrays.items()}
    differing = [name for name in {**expected, **given} if expected.get(name) != given.get(name)]
    if differing:
        raise ValueError(f"its {differing[0]} differs from that of the network")
    network.set_weights([arrays[name] for name in expected])
