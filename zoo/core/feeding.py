"""What users feed to a model: data for `fit` and `evaluate`, inputs of `model(x)` and `model.predict(x)`."""

from __future__ import annotations

import contextlib
import numbers
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core import replicas
from zoo.core.signatures import Signature, as_input, as_integers, require_in_range
from zoo.errors import UserError, shorten

if TYPE_CHECKING:
    from zoo.core.game import Game

INTEGER_KEYS = {"label": ("num_classes", "classes"), "pose": ("num_poses", "poses")}  # key -> setting that counts them, their plural


def call_default(signature: Signature, inputs: Any) -> Any:
    """The output of a signature, alone where it has one only; see `Game.call`."""
    names = [spec.name for spec in signature.inputs]
    if not isinstance(inputs, dict):
        values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if len(values) > len(names):
            raise UserError(f"{len(values)} inputs were given; this model is called with {', '.join(names)}")
        inputs = dict(zip(names, values, strict=False))  # what is missing is reported below
    if missing := [name for name in names if name not in inputs]:
        raise UserError(f"{missing[0]} is missing; this model is called with {', '.join(names)}")
    outputs = signature(*(as_input("this model", spec, inputs[spec.name]) for spec in signature.inputs))
    return outputs[signature.outputs[0]] if len(signature.outputs) == 1 else outputs


def check_inputs(inputs: Any) -> Any:
    """Inputs of a call by name, in order, or one alone, once they are certain to be tensors; what they hold as lists becomes arrays.

    Raises:
        UserError: For values that are neither tensors, arrays nor lists of numbers. Keras reports them in its own terms.
    """
    if isinstance(inputs, dict) and inputs:
        return {name: _as_tensor(value) for name, value in inputs.items()}
    if isinstance(inputs, (list, tuple)) and inputs:
        return type(inputs)(map(_as_tensor, inputs))
    return _as_tensor(inputs)


def _as_tensor(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and value:
        with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):  # rows of different lengths
            value = np.asarray(value)
    if not (hasattr(value, "shape") and hasattr(value, "dtype")) or getattr(value.dtype, "kind", "f") not in "biufcV":
        raise UserError(f"expected tensors, arrays or lists of numbers, not {shorten(value)}")
    return value


def check_batch_size(batch_size: Any) -> None:
    """Raises UserError for anything but None and integers of at least 1."""
    is_integer = isinstance(batch_size, numbers.Integral) and not isinstance(batch_size, bool)
    if batch_size is not None and (not is_integer or batch_size < 1):
        raise UserError(f"batch_size={shorten(batch_size)}: expected an integer of at least 1")


def as_dict(game: Game, data: Any) -> dict[str, tf.Tensor]:
    """A batch as Keras hands it to a step, as a dict: a tuple has the model's keys in order."""
    parts = data if isinstance(data, tuple) else (data,)
    if isinstance(parts[0], dict):
        return parts[0]
    return _with_int64(dict(zip(game.train_keys or game.batch_keys, parts, strict=False)))


def as_batches(game: Game, x: Any, y: Any = None, batch_size: int | None = None, validate: bool = True) -> Any:
    """Data as a stream of dict batches; see `Game.fit`.

    Args:
        game: The model.
        x: A dataset of batches, arrays, or anything else that Keras takes, which is left as it is.
        y: Labels, where x is an array.
        batch_size: Of arrays.
        validate: Check all arrays, or the first batch of a dataset.
    """
    check_batch_size(batch_size)
    keys = game.train_keys or game.batch_keys
    if isinstance(x, tf.data.Dataset):
        batches = _with_keys(x, keys)
        if validate:
            first = next(iter(batches.take(1)), None)
            if first is None:
                raise UserError("the dataset is empty")
            _validate(game, keys, first)
        return batches.map(_with_int64, num_parallel_calls=tf.data.AUTOTUNE) if validate else batches
    if x is None:
        raise UserError(f"no data; this model trains on batches of {', '.join(keys)}")
    arrays = _as_arrays(keys, x, y)
    if arrays is None:
        if isinstance(x, (str, bytes)) or not (isinstance(x, keras.utils.PyDataset) or hasattr(x, "__iter__")):
            raise UserError(f"data {shorten(x)}: expected a dataset of batches, arrays, or a generator; keys: {', '.join(keys)}")
        return x  # a generator or another source of batches: Keras reads it
    rows = (batch_size or game.config.batch_size) * game.config.discriminator_steps
    size = len(next(iter(arrays.values())))
    if size < rows:
        raise UserError(f"a step takes {rows} examples and there are {size}; give a smaller batch_size")
    if validate:
        _validate(game, keys, arrays, divisible=False)
    stream = tf.data.Dataset.from_tensor_slices(_with_int64(arrays)).shuffle(size, seed=game.config.seed)
    return stream.batch(rows, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def for_replicas(game: Game, batches: Any) -> Any:
    """Batches whose rows are ordered as several replicas need them; see `replicas.in_order_of_parts`."""
    count, parts = game.distribute_strategy.num_replicas_in_sync, game.config.discriminator_steps * game.config.gradient_accumulation
    if count == 1 or parts == 1 or not isinstance(batches, tf.data.Dataset):
        return batches
    return batches.map(lambda *batch: replicas.in_order_of_parts(batch[0] if len(batch) == 1 else batch, parts, count))


def _with_keys(data: tf.data.Dataset, keys: tuple[str, ...]) -> tf.data.Dataset:
    """The dataset as one of dicts: the parts of a tuple are named in the order of the model's keys."""
    spec = data.element_spec
    if isinstance(spec, dict):
        _require_keys(keys, spec)
        return data
    parts = spec if isinstance(spec, tuple) else (spec,)
    _require_keys(keys, dict(zip(keys, parts, strict=False)))
    # Not strict: (image, label) also feeds a model that needs the images only.
    return data.map(lambda *values: dict(zip(keys, values, strict=False)))


def _as_arrays(keys: tuple[str, ...], x: Any, y: Any) -> dict[str, np.ndarray] | None:
    """Arrays by key; None for what is not made of arrays."""
    if isinstance(x, dict):
        arrays = dict(x)
    elif isinstance(x, (np.ndarray, tf.Tensor, list, tuple)):
        parts = x if isinstance(x, tuple) else (x,)
        given = len(parts) + (y is not None)
        if given > max(len(keys), 2):  # (image, label) also feeds a model that needs the images only
            raise UserError(f"{given} arrays were given; this model trains on {', '.join(keys)}, without sample weights")
        arrays = dict(zip(keys, [*parts, *([] if y is None else [y])], strict=False))
    else:
        return None
    _require_keys(keys, arrays)
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    lengths = {key: len(value) if value.ndim else 0 for key, value in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"arrays of different lengths: {', '.join(f'{key} has {length}' for key, length in lengths.items())}")
    return arrays


def _require_keys(keys: tuple[str, ...], available: Any) -> None:
    if missing := [key for key in keys if key not in available]:
        raise UserError(
            f"{missing[0]} is missing: this model trains on batches of {', '.join(keys)}, as a dict or a tuple in that order; "
            f"available: {', '.join(available) or 'none'}"
        )


def _validate(game: Game, keys: tuple[str, ...], batch: dict[str, Any], divisible: bool = True) -> None:
    game.modality.validate_batch({key: batch[key] for key in keys}, game.config)
    for key, (setting, plural) in INTEGER_KEYS.items():
        if key in keys:
            values = as_integers(key, batch[key])
            if values.shape.rank != 1 and key == "label":
                raise UserError(f"{key} has shape {list(values.shape)}; expected [n]")
            require_in_range(values, getattr(game.config, setting), key, plural)
    rows, parts = len(batch[keys[0]]), game.config.discriminator_steps * game.config.gradient_accumulation
    if divisible and rows % parts:
        raise UserError(f"a batch of {rows} rows cannot be split into {parts} parts (discriminator_steps times gradient_accumulation)")


def _with_int64(batch: dict[str, Any]) -> dict[str, Any]:
    return {key: tf.cast(value, tf.int64) if key in INTEGER_KEYS else value for key, value in batch.items()}
