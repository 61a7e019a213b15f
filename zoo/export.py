"""SavedModels for TF Serving: `<folder>/<version>/`, complete at the moment it appears."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from zoo import results


def write(game, folder):
    """Exports a model's signatures as the next version below `folder`; returns the version's path.

    The SavedModel is written beside its place and renamed into it, so that a server which watches the folder never sees half of one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".writing-", dir=folder)
    try:
        archive = keras.export.ExportArchive()
        archive.track(game)
        for name, (function, specs) in game.exports().items():
            archive.add_endpoint(name, _shaped(function, specs), input_signature=specs)
        archive.write_out(os.path.join(work, "model"), verbose=False)
        version = _place(os.path.join(work, "model"), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return version


def _shaped(function, specs):
    """The same function for tensors of those shapes alone."""

    def served(*values):  # a server feeds whatever it is sent, and most layers take other sizes
        return function(*(tf.ensure_shape(value, spec.shape, spec.name) for value, spec in zip(values, specs)))

    return served


def _place(model, folder):
    number = max(results.versions(folder), default=0) + 1
    while True:
        try:
            os.rename(model, folder / str(number))
            return folder / str(number)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            number += 1  # another export took the number meanwhile
