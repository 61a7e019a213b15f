"""What a file says about itself: its model, the ranges of its inputs and outputs, and what it does not validate."""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from zoo.core import Game
from zoo.runs.record import zoo_version
from zoo.serving.comparison import count_values
from zoo.serving.file_format import FileFormat, TracedSignature

NOT_VALIDATED = (
    "This file validates nothing and clips no input: a label or pose out of range, values outside the ranges of the inputs, NaN, and "
    "inputs whose numbers of rows differ give an arbitrary result, or an error of the runtime, where the SavedModel refuses them. Validate "
    "requests before running it."
)
QUANTIZED = {None: "float32", "dynamic": "8-bit integers where the format has them (dynamic-range quantization)"}
PROBABILITIES = "_probabilities"  # at the end of the names of outputs that are
NUM_LATENTS = 256  # that the statistics of latent vectors are from


def describe_file(
    model: Game, converter: FileFormat, model_name: str, traced: TracedSignature, batch: int | None, quantize: str | None, difference: float
) -> dict[str, str]:
    """The metadata of a file: key -> text, which is JSON where it is not a single value.

    Args:
        model: The model.
        converter: The format.
        model_name: Name of the model.
        traced: The signature.
        batch: Number of rows of a request; None: any.
        quantize: The kind of quantization, or None.
        difference: The largest difference from the model.
    """
    outputs = traced.concrete.structured_outputs
    metadata = {
        "version": zoo_version(),
        "model": model_name,
        "step": str(model.completed_steps),
        "signature": traced.name,
        "inputs": json.dumps({spec.name: _describe_tensor(model, spec.name, spec) for spec in traced.specs}),
        "outputs": json.dumps({converter.output_name(traced, name): _describe_tensor(model, name, outputs[name]) for name in outputs}),
        "batch": "any" if batch is None else str(batch),
        "weights": QUANTIZED[quantize],
        "max_difference": f"{difference:.2g}",
        "not_validated": NOT_VALIDATED,
    }
    if model.class_names:
        metadata["class_names"] = json.dumps(model.class_names, ensure_ascii=False)
    return metadata


def _describe_tensor(model: Game, name: str, tensor: Any) -> dict[str, Any]:
    """Type, shape, and lowest and highest value; of latent vectors, the statistics of their distribution."""
    description = {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
    if name == "latent":
        return {**description, "distribution": _describe_latents(model)}
    count = count_values(model, name)
    if tensor.dtype.is_integer:
        return {**description, "range": [0, count - 1]} if count else description
    if name in (model.modality.key, f"{model.modality.key}s") and model.modality.external_range:
        return {**description, "range": list(model.modality.external_range)}
    if name.endswith(PROBABILITIES):
        return {**description, "range": [0.0, 1.0]}
    return description


def _describe_latents(model: Game) -> dict[str, float]:
    latents = model.latents(tf.range(NUM_LATENTS, dtype=tf.int64)).numpy()
    statistics = {"mean": latents.mean(), "standard_deviation": latents.std(), "minimum": latents.min(), "maximum": latents.max()}
    return {name: round(float(value), 2) for name, value in statistics.items()}
