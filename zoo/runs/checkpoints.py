"""Reading and writing the checkpoints of a model; checkpoints of old runs have the old names."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.runs.renames import CHECKPOINT_ATTRIBUTES

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MAX_TO_KEEP = 3
UNSAVED_WEIGHTS = 10**6  # elements of variables that are in no checkpoint, such as the sums of metrics
STEP = "(0|[1-9][0-9]{0,17})"
INDEX_FILE = re.compile(rf"ckpt-{STEP}\.index")
CHECKPOINT_FILE = re.compile(rf"ckpt-{STEP}\.(?:index|data-[0-9]{{5}}-of-[0-9]{{5}})")
TEMPORARY_FOLDER = re.compile(rf"ckpt-{STEP}_temp")  # in which TensorFlow writes a checkpoint
STATE_FILE = "checkpoint"  # TensorFlow's list of the checkpoints in a folder
OLD_ROOT = "game"  # attribute of the checkpoint that holds the model in schema 1
# If a checkpoint holds an object under several names (a network is also a part of its optimizer), TensorFlow lists only one of them.
SHARED_PARTS = ("generator", "discriminator", "g_optimizer", "d_optimizer")


def build_checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    """The checkpoint of a model: networks, EMA generator, optimizers, counters, replay buffers."""
    import tensorflow as tf

    return tf.train.Checkpoint(model=model)


def build_manager(model: keras.Model, folder: Path, max_to_keep: int = MAX_TO_KEEP) -> tf.train.CheckpointManager:
    """The manager that writes the checkpoints of a model to a folder and deletes the oldest ones.

    TensorFlow's own list of the checkpoints is written anew from the files: it may be damaged, it may name files outside of the folder,
    which would be deleted, and its times are later than now if the clock was set back, so that nothing would be deleted.
    """
    import tensorflow as tf

    paths = list_checkpoints(folder)[::-1]
    if paths:
        times = [float(i + 1) for i in range(len(paths))]
        tf.compat.v1.train.update_checkpoint_state(folder, paths[-1], paths, STATE_FILE, times, last_preserved_timestamp=0.0)
    else:
        (folder / STATE_FILE).unlink(missing_ok=True)
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


def weight_limit(paths: list[str]) -> int | None:
    """An upper bound on the number of weights of a model with these checkpoints; None if none can be read."""
    import tensorflow as tf

    sizes = []
    for path in paths:
        with contextlib.suppress(ValueError, tf.errors.OpError):  # a damaged one is reported when it is restored
            sizes.append(sum(math.prod(shape) for _, shape in tf.train.list_variables(path)))
    return max(sizes) + UNSAVED_WEIGHTS if sizes else None


def is_intact(path: str) -> bool:
    """Whether every tensor of a checkpoint can be read: TensorFlow compares their sums."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError):
        return False
    return True


def list_checkpoints(folder: Path) -> list[str]:
    """Paths of the checkpoints in a folder, as TensorFlow takes them, newest first. Files of other names are not checkpoints."""
    matches = [match for path in folder.glob("ckpt-*.index") if (match := INDEX_FILE.fullmatch(path.name)) and path.is_file()]
    steps = [int(match[1]) for match in matches if all(part.is_file() for part in folder.glob(f"ckpt-{match[1]}.data-*"))]
    return [str(folder / f"ckpt-{step}") for step in sorted(steps, reverse=True)]


def remove_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Deletes the checkpoints in a folder, and nothing else.

    Args:
        folder: The folder.
        keep: The step of the checkpoint that stays.
    """
    for path in folder.glob("ckpt-*"):
        match = CHECKPOINT_FILE.fullmatch(path.name)
        if match and int(match[1]) != keep and path.is_file():
            path.unlink()


def remove_incomplete_checkpoints(folder: Path) -> None:
    """Deletes what a killed process has left of a checkpoint; no other process may be writing one."""
    for path in folder.glob("ckpt-*"):
        match = CHECKPOINT_FILE.fullmatch(path.name)
        if TEMPORARY_FOLDER.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif match and path.is_file() and not (folder / f"ckpt-{match[1]}.index").exists():
            path.unlink(missing_ok=True)
    for path in folder.glob(f"{STATE_FILE}.tmp*"):
        if path.is_file():
            path.unlink(missing_ok=True)


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
