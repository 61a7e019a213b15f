"""Reading and writing the checkpoints of a model; checkpoints of old runs have the old names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.runs.renames import CHECKPOINT_ATTRIBUTES

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MAX_TO_KEEP = 3
OLD_ROOT = "game"  # attribute of the checkpoint that holds the model in schema 1
# If a checkpoint holds an object under several names (a network is also a part of its optimizer), TensorFlow lists only one of them.
SHARED_PARTS = ("generator", "discriminator", "g_optimizer", "d_optimizer")


def build_checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    """The checkpoint of a model: networks, EMA generator, optimizers, counters, replay buffers."""
    import tensorflow as tf

    return tf.train.Checkpoint(model=model)


def build_manager(model: keras.Model, folder: Path, max_to_keep: int = MAX_TO_KEEP) -> tf.train.CheckpointManager:
    """The manager that writes the checkpoints of a model to a folder and deletes the oldest ones."""
    import tensorflow as tf

    return tf.train.CheckpointManager(build_checkpoint(model), str(folder), max_to_keep=max_to_keep)


def restore_checkpoint(model: keras.Model, path: str) -> None:
    """Restores a model from a checkpoint of any schema.

    Raises:
        tensorflow.errors.OpError, AssertionError, ValueError, IndexError: The file is damaged, or of another model.
    """
    import tensorflow as tf

    names = {key.split("/")[1] for key, _ in tf.train.list_variables(path) if key.startswith(f"{OLD_ROOT}/")}
    checkpoint = _build_old_checkpoint(model, names) if names else build_checkpoint(model)
    status = checkpoint.restore(path)
    status.expect_partial()  # no list of the optimizers' variables if the model is loaded without optimizers
    status.assert_existing_objects_matched()


def checkpoint_step(path: str | Path) -> int:
    """The step of a checkpoint: `.../ckpt-200` -> 200."""
    return int(Path(path).name.removeprefix("ckpt-"))


def list_checkpoints(folder: Path) -> list[str]:
    """Paths of the checkpoints in a folder, as TensorFlow takes them, newest first."""
    paths = [str(path.with_suffix("")) for path in folder.glob("ckpt-*.index")]
    return sorted(paths, key=checkpoint_step, reverse=True)


def _build_old_checkpoint(model: keras.Model, names: set[str]) -> tf.train.Checkpoint:
    """A checkpoint in which the parts of a model have their old names.

    Args:
        model: The model.
        names: The parts that the file holds, by their old names.

    Raises:
        RuntimeError: The table of renames does not cover the whole model.
    """
    import keras
    import tensorflow as tf

    parts: dict[str, Any] = {}
    for name in sorted(names | set(CHECKPOINT_ATTRIBUTES) | set(SHARED_PARTS)):
        part = getattr(model, CHECKPOINT_ATTRIBUTES.get(name, name), None)
        if part is not None:
            parts[name] = part
    reached = {id(variable) for part in parts.values() for variable in ([part] if isinstance(part, keras.Variable) else part.variables)}
    missing = [variable.path for variable in model.weights if id(variable) not in reached]
    if missing:
        raise RuntimeError(f"zoo/runs/renames.py does not say what an old checkpoint calls {', '.join(missing[:5])}")
    return tf.train.Checkpoint(**{OLD_ROOT: tf.train.Checkpoint(**parts)})
