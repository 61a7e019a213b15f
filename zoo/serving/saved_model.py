"""SavedModels for TF Serving: `<folder>/<version>/`, complete at the moment it appears."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.core import Game, Signature
from zoo.runs.scores import export_versions, record_export


def export_model(model: Game, folder: str | Path) -> Path:
    """Exports a model's signatures as the next version below a folder.

    The SavedModel is written to a temporary folder and renamed, so that a server that watches the folder never sees half of one.

    Args:
        model: The model; its signatures are those of `model.signatures()`.
        folder: The folder of versions; created if it does not exist.

    Returns:
        The path of the new version.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".writing-", dir=folder)
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, signature in model.signatures().items():
            archive.add_endpoint(name, _with_checked_shapes(signature), input_signature=signature.inputs)
        archive.write_out(os.path.join(work, "model"), verbose=False)
        record_export(Path(work, "model"), model.completed_steps)
        return _move_to_next_version(os.path.join(work, "model"), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _with_checked_shapes(signature: Signature) -> Callable[..., dict[str, Any]]:
    """The signature's function, limited to the shapes that it declares."""

    def serve(*values: tf.Tensor) -> dict[str, Any]:  # a server feeds whatever it is sent, and most layers accept other sizes
        checked = [tf.ensure_shape(value, spec.shape, spec.name) for value, spec in zip(values, signature.inputs, strict=True)]
        return signature.function(*checked)

    return serve


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
