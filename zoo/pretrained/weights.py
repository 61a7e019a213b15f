"""The weights of a network as a safetensors file, which holds numbers and no code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.core.variables import variable_names

if TYPE_CHECKING:
    import keras

SUFFIX = ".safetensors"
DTYPES = ("float16", "float32")


def parse_weights(content: bytes) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file, by name; raises ValueError for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except SafetensorError as error:
        raise ValueError(f"it is not a safetensors file ({error})") from None
    except (TypeError, AttributeError, KeyError):  # types that NumPy lacks, such as bfloat16
        raise ValueError(f"its arrays are not {' or '.join(DTYPES)}") from None
    if any(array.dtype.name not in DTYPES for array in arrays.values()):
        raise ValueError(f"its arrays are not {' or '.join(DTYPES)}")
    return arrays


def write_weights(path: Path, network: keras.Model, dtype: str) -> None:
    """Writes the weights of a network; see `variable_names`."""
    from safetensors.numpy import save

    arrays = [np.asarray(weight, dtype, order="C") for weight in network.get_weights()]
    path.write_bytes(save(dict(zip(variable_names(network), arrays, strict=True))))


def assign_weights(network: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Assigns all weights of a network by name; raises ValueError if names or shapes differ."""
    expected = {name: tuple(weight.shape) for name, weight in zip(variable_names(network), network.weights, strict=True)}
    given = {name: array.shape for name, array in arrays.items()}
    differing = [name for name in {**expected, **given} if expected.get(name) != given.get(name)]
    if differing:
        raise ValueError(f"its {differing[0]} differs from that of the network")
    network.set_weights([arrays[name].astype(np.float32) for name in expected])
