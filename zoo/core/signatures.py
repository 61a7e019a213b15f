"""Serving signatures: named functions of tensors, and the validation of what a user or a client gives them.

Validation runs eagerly (UserError) and, as part of a SavedModel's graph, in a server (InvalidArgumentError).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from zoo.errors import UserError, shorten

if TYPE_CHECKING:
    from zoo.core.game import Game


MAX_INT64 = 2**63 - 1
PADDED_SIDE = 16  # pixels, or images of a set


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function that a model serves.

    Args:
        function: Takes one tensor for each input, in order; returns the outputs by name.
        inputs: Name, type and shape of each input; the first dimension is that of the rows.
        outputs: Names of the outputs.
        padding: Input -> a value that the function accepts, where that is not 0. It stands in for a request without rows.
        tile_overlap: Of a function of images of any size: pixels by which tiles overlap, such as the radius of the receptive field.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: list[tf.TensorSpec]
    outputs: tuple[str, ...]
    padding: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tile_overlap: int = 32

    def __call__(self, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        """The outputs; zero rows give zero rows, although many operations fail on them: one row is appended for the computation."""
        if values[0].shape[0]:
            return self.function(*values)
        rows = tf.shape(values[0])[0]
        padded = [self._pad(value, spec, tf.equal(rows, 0)) for value, spec in zip(values, self.inputs, strict=True)]
        return {name: output[:rows] for name, output in self.function(*padded).items()}

    def example(self, rows: int) -> dict[str, np.ndarray]:
        """Values that the function accepts, by input: zeros, or black images.

        Args:
            rows: Number of rows.
        """
        return {
            spec.name: np.full(
                [rows, *(PADDED_SIDE if side is None else side for side in spec.shape[1:])],
                self.padding.get(spec.name, 0 if spec.dtype.is_numeric else b""),
                spec.dtype.as_numpy_dtype,
            )
            for spec in self.inputs
        }

    def _pad(self, value: tf.Tensor, spec: tf.TensorSpec, is_empty: tf.Tensor) -> tf.Tensor:
        """The values with one more row if `is_empty`, in which sides of any length have `PADDED_SIDE`."""
        rows, *sides = tf.unstack(tf.shape(value))
        sides = [
            tf.where(is_empty, PADDED_SIDE, side) if fixed is None else fixed for side, fixed in zip(sides, spec.shape[1:], strict=True)
        ]
        row = tf.fill(
            [tf.cast(is_empty, tf.int32), *sides], tf.cast(self.padding.get(spec.name, 0 if spec.dtype.is_numeric else ""), spec.dtype)
        )
        return tf.ensure_shape(tf.concat([tf.reshape(value, [rows, *sides]), row], 0), spec.shape)


# -- checks that also run inside a graph --------------------------------------------------------------------------------


def require(condition: Any, message: str | tf.Tensor) -> tf.Operation | None:
    """Refuses what does not meet a condition.

    Args:
        condition: A bool, or a scalar tensor of one.
        message: Of the error; a tensor (of `tf.strings.format`) if it names values that only the graph knows.

    Returns:
        Inside a graph, the assertion: it comes first only before what is made to depend on it. Eagerly, None.

    Raises:
        UserError: Eagerly, if the condition is false. Inside a graph InvalidArgumentError is raised when it runs.
    """
    if tf.is_symbolic_tensor(condition):
        return tf.debugging.Assert(condition, [message])
    if not condition:
        raise UserError(message if isinstance(message, str) else message.numpy().decode())
    return None


def depend_on(assertions: Iterable[tf.Operation | None], value: tf.Tensor) -> tf.Tensor:
    """The same value, computed with only after the assertions of `require` have passed."""
    with tf.control_dependencies([one for one in assertions if one is not None]):
        return tf.identity(value)


def one_per_row(values: tf.Tensor, like: tf.Tensor, name: str, row: str) -> tf.Tensor:
    """`values`, once it is certain that there are as many as rows of `like`.

    Args:
        values: Of shape [n].
        like: A tensor whose first dimension must be n.
        name: Of a value, for the error.
        row: What a row is, for the error.
    """
    return depend_on([require(tf.equal(tf.size(values), tf.shape(like)[0]), f"{name}: give one for each {row}")], values)


def require_in_range(values: tf.Tensor, count: int, name: str, plural: str) -> None:
    """Refuses integers that are not in 0 to count - 1.

    Args:
        values: Integers of any shape.
        count: How many values are valid.
        name: Of a value, for the error: `label`.
        plural: What is available, for the error: `classes`.
    """
    valid = (values >= 0) & (values < count)
    message = f"{name} is out of range; available {plural}: 0 to {count - 1}"
    if not tf.is_symbolic_tensor(values) and not tf.reduce_all(valid):
        message += f", not {shorten(values[~valid].numpy().tolist())}"
    require(tf.reduce_all(valid), message)


# -- what users give ----------------------------------------------------------------------------------------------------


def as_integers(name: str, values: Any) -> tf.Tensor:
    """Integers of any width, in a list, an array or a tensor, as int64.

    Raises:
        UserError: For floats (whole ones as well), bools, texts and other values, and for integers that do not fit into int64.
    """
    if isinstance(values, (tf.Tensor, tf.Variable)):
        if not values.dtype.is_integer:
            raise UserError(f"{name}: expected integers, not {values.dtype.name}")
        if values.dtype != tf.uint64:
            return tf.cast(values, tf.int64)
        return depend_on([require(tf.reduce_all(values <= MAX_INT64), f"{name}: expected integers of int64")], tf.cast(values, tf.int64))
    array = _as_array(name, values, "iu", "integers of at most 64 bits")
    if array.size and array.max() > MAX_INT64:
        raise UserError(f"{name}: expected integers of at most {MAX_INT64}, not {shorten(values)}")
    return tf.constant(array.astype(np.int64))


def _as_array(name: str, values: Any, kinds: str, expected: str) -> np.ndarray:
    """Values as a NumPy array, whose dtype must be of one of the given kinds; see `numpy.dtype.kind`."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError, RecursionError):  # rows of different lengths, symbolic tensors
        raise UserError(f"{name}: expected {expected} in rows of one length, not {shorten(values)}") from None
    if array.size == 0 and isinstance(values, (list, tuple)):  # NumPy takes an empty list as one of floats
        array = array.astype(np.int64)
    is_opaque = isinstance(values, (bytearray, memoryview, np.ma.MaskedArray))  # NumPy would take bytes, and what is masked
    if array.dtype.kind not in kinds or is_opaque or _contains_bool(values):
        raise UserError(f"{name}: expected {expected}, not {shorten(values)}")
    return array


def _contains_bool(values: Any) -> bool:
    """Whether a sequence has a bool among numbers, which NumPy takes as 0 and 1."""
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes, range)):
        return any(map(_contains_bool, values))
    dtype = getattr(values, "dtype", None)
    return isinstance(values, (bool, np.bool_)) or getattr(dtype, "kind", "") == "b" or getattr(dtype, "is_bool", False)


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
    if isinstance(values, (tf.Tensor, tf.Variable)):
        if not (values.dtype.is_floating or values.dtype.is_integer):
            raise UserError(f"{name}: expected numbers, not {values.dtype.name}")
        return tf.cast(values, tf.float32)
    array = _as_array(name, values, "iuf", "numbers")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused where it matters
        return tf.constant(array.astype(np.float32))


def validate_conditions(game: Game, conditions: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The same conditions, once their values are certain to be in range."""
    if "label" in conditions:
        require_in_range(conditions["label"], game.config.num_classes, "label", "classes")
    return conditions


def validate_sample_request(
    game: Game, seed: Any, live: Any, truncation: Any, conditions: dict[str, Any]
) -> tuple[tf.Tensor, tf.Tensor | None, dict[str, tf.Tensor]]:
    """Seeds int64 [n], truncation float32 [n] or None, and conditions int64 [n] each; see `Game.sample`."""
    if not game.generates_from_noise:
        raise UserError(f"this is an image-to-image model: serve(NAME, ...), with one of {', '.join(game.signatures())}")
    if not isinstance(live, (bool, np.bool_)):
        raise UserError(f"live={shorten(live)}: expected True or False")
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
    if truncation is not None and not game.supports_truncation:
        raise UserError("truncation: this model does not support it; leave it out")
    return seed, validate_truncation(seed, truncation), tensors


def validate_truncation(seed: tf.Tensor, truncation: Any) -> tf.Tensor | None:
    """Truncation float32 [n], from one number or one per seed, or None."""
    if truncation is None:
        return None
    truncation = as_floats("truncation", truncation)
    is_valid = tf.reduce_all((truncation > 0) & tf.math.is_finite(truncation))
    require(is_valid, "truncation must be more than 0 and finite; 0.5 is strong, 2 weak; omit to disable truncation")
    if truncation.shape.rank not in (0, 1):
        raise UserError(f"truncation has shape {list(truncation.shape)}; give one number, or a list with one per seed")
    return one_per_row(truncation, seed, "truncation", "seed") if truncation.shape.rank else tf.fill(tf.shape(seed), truncation)


def call_signature(signatures: dict[str, Signature], name: str, inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """The outputs of a signature for inputs by name; see `Game.serve`."""
    if not isinstance(name, str) or name not in signatures:
        raise UserError(f"unknown signature {shorten(name)}. Available: {', '.join(signatures)}.")
    try:
        return signatures[name](*as_inputs(name, signatures[name].inputs, inputs))
    except tf.errors.InvalidArgumentError as error:  # damaged files, sides of 0 pixels
        reason = " ".join(error.message.rpartition("}} ")[2].partition(" [Op:")[0].split())
        raise UserError(f"{name}: the inputs cannot be processed ({reason})") from None


def as_inputs(signature: str, specs: Sequence[tf.TensorSpec], inputs: Mapping[str, Any]) -> list[tf.Tensor]:
    """The tensors of a signature's inputs, in order, from values by name."""
    expected = {spec.name for spec in specs}
    if set(inputs) != expected:
        wrong = [f"{one} is missing" for one in sorted(expected - set(inputs))] + [
            f"{one} is unknown" for one in sorted(set(inputs) - expected)
        ]
        raise UserError(f"{signature} takes {', '.join(sorted(expected))}: {', '.join(wrong)}")
    return [as_input(signature, spec, inputs[spec.name]) for spec in specs]


def as_input(signature: str, spec: tf.TensorSpec, value: Any) -> tf.Tensor:
    """A value as the tensor that an input takes."""
    if spec.dtype == tf.int64:
        tensor = as_integers(spec.name, value)
    elif spec.dtype == tf.float32:
        tensor = as_floats(spec.name, value)
    else:
        try:
            tensor = tf.convert_to_tensor(value, spec.dtype)
        except (TypeError, ValueError, RecursionError, tf.errors.OpError):
            raise UserError(f"{spec.name}: expected a list of {spec.dtype.name}, not {shorten(value)}") from None
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
    sampling = Signature(sample, seeds, (key,), {"truncation": 1.0})
    signatures = {"serving_default": Signature(serving_default, [latent, *conditions], (key,)), "sample": sampling}
    signatures |= modality.file_signatures(sampling)
    return {**signatures, **_discriminator_signatures(game)}


def _discriminator_signatures(game: Game) -> dict[str, Signature]:
    """`discriminate`, of a model that has a discriminator."""
    if not game.discriminator:
        return {}
    specs = _discriminator_inputs(game)

    def discriminate(sample: tf.Tensor, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        return game.discriminate(sample, **{spec.name: value for spec, value in zip(specs[1:], values, strict=True)})

    return {"discriminate": Signature(discriminate, specs, game.discriminator_outputs)}


def _discriminator_inputs(game: Game) -> list[tf.TensorSpec]:
    """A sample in external form, and labels."""
    labels = [tf.TensorSpec([None], tf.int64, tensor.name) for tensor in game.discriminator.inputs if tensor.dtype == "int64"]
    return [tf.TensorSpec([None, *game.modality.sample_shape(game.config)], tf.float32, game.modality.key), *labels]


def validate_discriminator_request(game: Game, sample: Any, conditions: dict[str, Any]) -> dict[str, tf.Tensor]:
    """The inputs of the discriminator; see `Game.discriminate`."""
    if not game.discriminator:
        raise UserError("this model has no discriminator")
    key, specs = game.modality.key, _discriminator_inputs(game)
    sample, *values = as_inputs("discriminate", specs, {key: sample, **conditions})
    checked = _conditions_per_row(game, [spec.name for spec in specs[1:]], tuple(values), sample, key)
    return {key: game.modality.from_external(sample, key), **checked}


def _conditions_per_row(game: Game, names: list[str], values: tuple[tf.Tensor, ...], like: tf.Tensor, row: str) -> dict[str, tf.Tensor]:
    conditions = validate_conditions(game, dict(zip(names, values, strict=True)))
    return {name: one_per_row(value, like, name, row) for name, value in conditions.items()}
