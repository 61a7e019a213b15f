"""Serving signatures: named functions of tensors, and the validation of what a user or a client gives them.

Validation runs eagerly (UserError) and, as part of a SavedModel's graph, in a server (InvalidArgumentError).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.core.game import Game


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function that a model serves.

    Args:
        function: Takes one tensor for each input, in order; returns the outputs by name.
        inputs: Name, type and shape of each input; the first dimension is that of the rows.
        outputs: Names of the outputs.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: list[tf.TensorSpec]
    outputs: tuple[str, ...]


# -- checks that also run inside a graph --------------------------------------------------------------------------------


def require(condition: Any, message: str) -> tf.Operation | None:
    """Refuses what does not meet a condition.

    Args:
        condition: A bool, or a scalar tensor of one.
        message: Of the error.

    Returns:
        Inside a graph, the assertion: it comes first only before what is made to depend on it. Eagerly, None.

    Raises:
        UserError: Eagerly, if the condition is false. Inside a graph InvalidArgumentError is raised when it runs.
    """
    if tf.is_symbolic_tensor(condition):
        return tf.debugging.Assert(condition, [message])
    if not condition:
        raise UserError(message)
    return None


def one_per_row(values: tf.Tensor, like: tf.Tensor, name: str, row: str) -> tf.Tensor:
    """`values`, once it is certain that there are as many as rows of `like`.

    Args:
        values: Of shape [n].
        like: A tensor whose first dimension must be n.
        name: Of a value, for the error.
        row: What a row is, for the error.
    """
    assertion = require(tf.equal(tf.size(values), tf.shape(like)[0]), f"{name}: give one for each {row}")
    with tf.control_dependencies([] if assertion is None else [assertion]):
        return tf.identity(values)


def require_in_range(values: tf.Tensor, count: int, name: str, plural: str) -> None:
    """Refuses integers that are not in 0 to count - 1.

    Args:
        values: Integers of any shape.
        count: How many values are valid.
        name: Of a value, for the error: `label`.
        plural: What is available, for the error: `classes`.
    """
    require(tf.reduce_all((values >= 0) & (values < count)), f"{name} is out of range; available {plural}: 0 to {count - 1}")


# -- what users give ----------------------------------------------------------------------------------------------------


def as_integers(name: str, values: Any) -> tf.Tensor:
    """Integers of any width, in a list, an array or a tensor, as int64.

    Raises:
        UserError: For floats, bools, texts and other values, and for integers that do not fit into 64 bits.
    """
    if tf.is_tensor(values):
        if not values.dtype.is_integer:
            raise UserError(f"{name}: expected integers, not {values.dtype.name}")
        return tf.cast(values, tf.int64)
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise UserError(f"{name}: expected a flat list of integers, not {values!r:.60}") from None
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" or (array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max):
        raise UserError(f"{name}: expected integers of at most 64 bits, not {values!r:.60}")
    return tf.constant(array.astype(np.int64))


def as_seeds(values: Any) -> tf.Tensor:
    """Seeds, one for each sample, as int64 [n]; see `as_integers`."""
    seed = as_integers("seed", values)
    if seed.shape.rank != 1:
        raise UserError(f"seed has shape {list(seed.shape)}; give a list with one seed per image, as [7]")
    return seed


def as_floats(name: str, values: Any) -> tf.Tensor:
    """Numbers, in a list, an array or a tensor, as float32.

    Raises:
        UserError: For bools, texts, complex numbers and other values.
    """
    if tf.is_tensor(values):
        if not (values.dtype.is_floating or values.dtype.is_integer):
            raise UserError(f"{name}: expected numbers, not {values.dtype.name}")
        return tf.cast(values, tf.float32)
    try:
        array = np.asarray(values)
    except ValueError:
        raise UserError(f"{name}: expected numbers, not {values!r:.60}") from None
    if array.dtype.kind not in "iuf":
        raise UserError(f"{name}: expected numbers, not {values!r:.60}")
    return tf.constant(array.astype(np.float32))


def validate_conditions(game: Game, conditions: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The same conditions, once their values are certain to be in range."""
    if "label" in conditions:
        require_in_range(conditions["label"], game.config.num_classes, "label", "classes")
    return conditions


def validate_sample_request(
    game: Game, seed: Any, truncation: Any, conditions: dict[str, Any]
) -> tuple[tf.Tensor, tf.Tensor | None, dict[str, tf.Tensor]]:
    """Seeds int64 [n], truncation float32 [n] or None, and conditions int64 [n] each; see `Game.sample`."""
    if not game.generates_from_noise:
        raise UserError(f"this is an image-to-image model: serve(NAME, ...), with one of {', '.join(game.signatures())}")
    seed = as_seeds(seed)
    if unknown := [name for name in conditions if name not in game.conditions]:
        raise UserError(f"{unknown[0]}: not an input of this model; its inputs are {' and '.join(['seed', *game.conditions])}")
    if missing := [name for name in game.conditions if name not in conditions]:
        raise UserError(f"{missing[0]} is missing; this model needs one for each seed")
    tensors = {name: as_integers(name, value) for name, value in conditions.items()}
    validate_conditions(game, tensors)
    for name, value in tensors.items():
        if value.shape.rank != 1 or tf.executing_eagerly() and value.shape != seed.shape:
            raise UserError(f"{len(seed)} seeds and {name} of shape {list(value.shape)}; give one for each seed")
        tensors[name] = one_per_row(value, seed, name, "seed")
    return seed, _validate_truncation(game, seed, truncation), tensors


def _validate_truncation(game: Game, seed: tf.Tensor, truncation: Any) -> tf.Tensor | None:
    if truncation is None:
        return None
    if not game.supports_truncation:
        raise UserError("truncation: this model does not support it; leave it out")
    truncation = as_floats("truncation", truncation)
    require(tf.reduce_all(truncation > 0), "truncation must be more than 0; 0.5 is strong, 2 weak; omit to disable truncation")
    return one_per_row(truncation, seed, "truncation", "seed") if truncation.shape.rank else tf.fill(tf.shape(seed), truncation)


def call_signature(signatures: dict[str, Signature], name: str, inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """The outputs of a signature for inputs by name; see `Game.serve`."""
    if name not in signatures:
        raise UserError(f"unknown signature '{name}'. Available: {', '.join(signatures)}.")
    specs = signatures[name].inputs
    expected = {spec.name for spec in specs}
    if set(inputs) != expected:
        wrong = [f"{one} is missing" for one in sorted(expected - set(inputs))] + [
            f"{one} is unknown" for one in sorted(set(inputs) - expected)
        ]
        raise UserError(f"{name} takes {', '.join(sorted(expected))}: {', '.join(wrong)}")
    return signatures[name].function(*(as_input(name, spec, inputs[spec.name]) for spec in specs))


def as_input(signature: str, spec: tf.TensorSpec, value: Any) -> tf.Tensor:
    """A value as the tensor that an input takes."""
    if spec.dtype == tf.int64:
        tensor = as_integers(spec.name, value)
    elif spec.dtype == tf.float32:
        tensor = as_floats(spec.name, value)
    else:
        try:
            tensor = tf.convert_to_tensor(value, spec.dtype)
        except (TypeError, ValueError):
            raise UserError(f"{spec.name}: expected a list of {spec.dtype.name}, not {value!r:.60}") from None
    if not spec.shape.is_compatible_with(tensor.shape):
        raise UserError(f"{spec.name} has shape {list(tensor.shape)}; {signature} takes {list(spec.shape)}")
    return tensor


# -- the signatures of a model that generates from noise ------------------------------------------------------------------


def noise_signatures(game: Game) -> dict[str, Signature]:
    """`serving_default` (from a latent vector), `sample` (from a seed), that as files, and `discriminate` if there is a discriminator."""
    key, modality = game.modality.key, game.modality
    conditions = [tf.TensorSpec([None], tf.int64, name) for name in game.conditions]
    seeds = [tf.TensorSpec([None], tf.int64, "seed"), *conditions]
    seeds += [tf.TensorSpec([None], tf.float32, "truncation")] if game.supports_truncation else []

    def serving_default(latent: tf.Tensor, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        require(tf.reduce_all(tf.math.is_finite(latent)), "latent: values must be finite")
        checked = _conditions_per_row(game, game.conditions, values, latent, "latent")
        return {key: modality.to_external(game.generate_from(game.ema_generator, latent, **checked))}

    def sample(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return {key: game.sample(**dict(zip([spec.name for spec in seeds], values, strict=True)))}

    latent = tf.TensorSpec([None, game.config.latent_dim], tf.float32, "latent")
    sampling = Signature(sample, seeds, (key,))
    signatures = {"serving_default": Signature(serving_default, [latent, *conditions], (key,)), "sample": sampling}
    signatures |= modality.file_signatures(sampling)
    return {**signatures, **_discriminator_signatures(game)}


def _discriminator_signatures(game: Game) -> dict[str, Signature]:
    """`discriminate`, of a model that has a discriminator."""
    if not game.discriminator:
        return {}
    labels = [tf.TensorSpec([None], tf.int64, tensor.name) for tensor in game.discriminator.inputs if tensor.dtype == "int64"]

    def discriminate(sample: tf.Tensor, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        return game.discriminate(sample, **_conditions_per_row(game, [spec.name for spec in labels], values, sample, game.modality.key))

    spec = tf.TensorSpec([None, *game.modality.sample_shape(game.config)], tf.float32, game.modality.key)
    return {"discriminate": Signature(discriminate, [spec, *labels], game.discriminator_outputs)}


def _conditions_per_row(game: Game, names: list[str], values: tuple[tf.Tensor, ...], like: tf.Tensor, row: str) -> dict[str, tf.Tensor]:
    conditions = validate_conditions(game, dict(zip(names, values, strict=True)))
    return {name: one_per_row(value, like, name, row) for name, value in conditions.items()}
