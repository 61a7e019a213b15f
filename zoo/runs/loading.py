"""Loading a trained model from its run."""

from __future__ import annotations

import contextlib
import functools
import math
import numbers
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from zoo import registry
from zoo.errors import UserError, shorten
from zoo.files import check_path
from zoo.precision import dtype_policy
from zoo.runs.folder import Run
from zoo.runs.record import RunRecord

if TYPE_CHECKING:
    import keras

ERROR_WIDTH = 120  # characters of an error of Keras


class TrainedModel(Protocol):
    """What a model is loaded from: a run, or what was published of one."""

    @property
    def record(self) -> RunRecord: ...

    @property
    def record_path(self) -> str: ...

    @property
    def display_path(self) -> Any: ...

    @property
    def model_spec(self) -> str | None: ...

    def find_checkpoints(self, which: str | int) -> list[str]: ...

    def weight_limit(self) -> int | None: ...

    def restore(self, model: Any, which: str | int = "last") -> Any: ...


def load_model(
    run: TrainedModel | str | os.PathLike[str], checkpoint: str | int = "last", compile: bool = False, policy: str = "float32"
) -> keras.Model:
    """Builds the model of a run and restores its weights. Does not need the dataset.

    No code is imported from the run's folder: the model must be registered.

    Args:
        run: The run, or its folder.
        checkpoint: `last`, `best`, or a step.
        compile: Whether to compile the model, and to restore the state of its optimizers too.
        policy: Keras' dtype policy of the layers, such as `mixed_bfloat16`; the weights are float32.

    Returns:
        The model.

    Raises:
        UserError: The folder is not a run, the checkpoint does not exist, or the model is not registered.
    """
    check_checkpoint(checkpoint)
    if isinstance(run, (str, os.PathLike)):
        run = Run(check_path("run", run))
    name = run.record.model
    try:
        entry = registry.get_entry(name)
    except UserError as error:
        raise UserError(
            f"the model of {run.display_path} is not registered; pass --model {run.model_spec or f'path/to/file.py:{name}'} "
            f"(or, in Python, register it before loading): {error}"
        ) from None
    run.find_checkpoints(checkpoint)  # before a model is built for nothing
    with dtype_policy(policy), explain_settings(run), limit_weights(run, initialize=compile):
        model = entry.create(**run.record.config_values())
        if compile:
            model.compile(jit_compile=False)
    run.restore(model, checkpoint)
    model.class_names = tuple(run.record.data.class_names) if run.record.data.class_names else None
    return model


def check_checkpoint(which: object) -> None:
    """Raises UserError for what cannot stand for a checkpoint."""
    if isinstance(which, bool) or not isinstance(which, (str, numbers.Integral)):
        raise UserError(f"checkpoint={shorten(which)}: expected 'last', 'best' or a step")


@contextlib.contextmanager
def explain_settings(run: TrainedModel) -> Iterator[None]:
    """Names the file in errors about recorded settings that are invalid, or from which no model can be built."""
    import tensorflow as tf

    try:
        yield
    except UserError as error:
        raise UserError(f"{run.record_path}: {error}") from None
    except (ValueError, TypeError, ArithmeticError, MemoryError, tf.errors.OpError) as error:  # of layers that do not fit together
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:ERROR_WIDTH]}"
        raise UserError(f"{run.record_path}: no model can be built from these settings ({reason})") from None


@contextlib.contextmanager
def limit_weights(run: TrainedModel, initialize: bool = True) -> Iterator[None]:
    """Refuses to build a model that has more weights than the run's checkpoint, before memory is allocated for them.

    Args:
        run: The run.
        initialize: Whether to compute initial values that are given as functions, such as random weights; False: they are zeros, for a
            model into which a checkpoint is restored, because drawing random weights takes longer than reading them. What is trained on
            has values that a published model does not hold, such as a replay buffer's.

    Raises:
        UserError: The model that is built inside the block is too large.
    """
    import tensorflow as tf

    limit = run.weight_limit()
    if limit is None:
        yield
        return
    total = 0

    def create(next_creator: Callable[..., Any], initial_value: Any, **kwargs: Any) -> Any:
        nonlocal total
        spec = _describe_value(initial_value)
        total += math.prod(spec.shape)
        dtype = kwargs.get("dtype") or spec.dtype
        if total > limit:
            raise UserError("the model of these settings has more weights than the run's checkpoint; they were changed")
        value = initial_value if initialize or not callable(initial_value) else functools.partial(tf.zeros, spec.shape, dtype)
        return next_creator(initial_value=value, **kwargs)

    with tf.variable_creator_scope(create):
        yield


def _describe_value(initial_value: Any) -> Any:
    """Shape and type of a variable; what computes its initial value is traced and not executed."""
    import tensorflow as tf

    if not callable(initial_value):
        value = tf.convert_to_tensor(initial_value)
    else:
        with tf.Graph().as_default():
            value = tf.convert_to_tensor(initial_value())
    return tf.TensorSpec(value.shape, value.dtype)
