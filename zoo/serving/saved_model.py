"""SavedModels for TF Serving: `<folder>/<version>/`, complete at the moment it appears."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo.core import Game, Signature
from zoo.core.image_bytes import MAX_PIXELS, limit_pixels
from zoo.runs.scores import export_versions, record_export


def export_model(model: Game, folder: str | Path, max_pixels: int = MAX_PIXELS) -> Path:
    """Exports a model's signatures as the next version below a folder.

    The SavedModel is written to a temporary folder and renamed, so that a server that watches the folder never sees half of one.

    Args:
        model: The model; its signatures are those of `model.signatures()`.
        folder: The folder of versions; created if it does not exist.
        max_pixels: Upper bound on the pixels of a request, for signatures that take files or images of any size.

    Returns:
        The path of the new version.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".writing-", dir=folder)
    try:
        functions = {name: _trace(limit_pixels(signature, max_pixels)) for name, signature in model.signatures().items()}
        exported = tf.Module()  # `keras.export.ExportArchive` traces each signature twice, and adds weights that none of them uses
        exported.weights = list({id(weight): weight for one in functions.values() for weight in one.graph.variables}.values())
        tf.saved_model.save(exported, os.path.join(work, "model"), signatures=functions)
        record_export(Path(work, "model"), model.completed_steps)
        return _move_to_next_version(os.path.join(work, "model"), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _trace(signature: Signature) -> Any:
    """The signature's concrete function, limited to the shapes that it declares."""

    def serve(*values: tf.Tensor) -> dict[str, Any]:  # a server feeds whatever it is sent, and most layers accept other sizes
        checked = [tf.ensure_shape(value, spec.shape, spec.name) for value, spec in zip(values, signature.inputs, strict=True)]
        return signature(*checked)

    return tf.function(serve, input_signature=signature.inputs, autograph=False).get_concrete_function()


def _move_to_next_version(path: str, folder: Path) -> Path:
    version = max(export_versions(folder), default=0) + 1
    while True:
        try:
            os.rename(path, folder / str(version))
            return folder / str(version)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            version += 1  # another export took the number meanwhile
