"""Whether a file computes what the model does, and contains its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from zoo.core import Game, Signature
from zoo.errors import UserError
from zoo.serving.file_format import Arrays, TracedSignature

MAX_DIFFERENCE = 1e-4  # of float32 files
COUNTS = {"label": "num_classes", "pose": "num_poses"}  # inputs and outputs that are numbers -> field of the configuration


def count_values(model: Game, name: str) -> int | None:
    """How many values an integer input or output can have: `label` is 0 to `num_classes` - 1."""
    return getattr(model.config, COUNTS.get(name, ""), None)


def draw_inputs(model: Game, signature: Signature, rows: int, side: int) -> Arrays:
    """Valid inputs of a signature, the same every time.

    Args:
        model: The model.
        signature: The signature; its inputs are numbers.
        rows: Number of rows.
        side: Length of the sides that can have any.
    """
    draw = np.random.RandomState(rows)
    low, high = model.modality.external_range or (-1.0, 1.0)

    def draw_one(spec: tf.TensorSpec) -> np.ndarray:
        if spec.name == "latent":
            return model.latents(range(rows)).numpy()
        shape = [rows, *(length or side for length in spec.shape[1:])]
        if spec.dtype.is_integer:
            return draw.randint(0, count_values(model, spec.name) or 1, shape).astype(spec.dtype.as_numpy_dtype)
        return draw.uniform(low, high, shape).astype(spec.dtype.as_numpy_dtype)

    return {spec.name: draw_one(spec) for spec in signature.inputs}


def measure_difference(outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """The largest difference of two sets of outputs.

    Numbers beyond 1, such as logits, are in units of the largest of them; of integers it is the share that differs. It is infinite for
    other names or shapes, and for values that are not finite.
    """
    if {name: value.shape for name, value in outputs.items()} != {name: value.shape for name, value in expected.items()}:
        return float("inf")
    differences = [0.0]
    for name, value in expected.items():
        if value.dtype.kind != "f":
            differences.append(float(np.mean(outputs[name] != value)))
            continue
        difference = float(np.abs(outputs[name].astype(np.float64) - value).max()) / max(1.0, float(np.abs(value).max()))
        differences.append(difference if np.isfinite(difference) else float("inf"))
    return max(differences)


def check_difference(name: str, difference: float, is_quantized: bool) -> None:
    """Refuses a file that does not compute what the model does; quantized files may differ by any finite number, which is stated.

    Raises:
        UserError: If it differs too much.
    """
    limit = np.inf if is_quantized else MAX_DIFFERENCE
    if not (difference <= limit and np.isfinite(difference)):
        raise UserError(f"{name} differs from the model by {difference:.2g}, more than {MAX_DIFFERENCE}; nothing has been written")


def count_parameters(traced: TracedSignature) -> int:
    """Number of weights that a signature uses."""
    return sum(int(np.prod(variable.shape)) for variable in traced.variables)


def check_size(name: str, size: int, traced: TracedSignature, is_quantized: bool) -> None:
    """Refuses a file that is too small for the weights: kernels and embeddings, of 4 bytes each, or 1 if it is quantized.

    Vectors do not count, because converters fold the normalization of batches into the kernels before it. Equal weights count once, as
    converters write them once: tables that start at 0.

    Raises:
        UserError: If it is too small.
    """
    kernels = [variable.numpy() for variable in traced.variables if len(variable.shape) > 1]
    sizes = {(kernel.shape, hashlib.sha256(kernel.tobytes()).digest()): kernel.size for kernel in kernels}
    expected = sum(sizes.values()) * (1 if is_quantized else 4)
    if size < expected:
        raise UserError(f"{name} has {size:,} bytes, fewer than the {expected:,} of its weights; nothing has been written")
