"""SavedModels for TF Serving: `<folder>/<version>/`, complete at the moment it appears."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.core import Game, Signature
from zoo.core.image_bytes import MAX_PIXELS, limit_pixels
from zoo.runs.scores import export_versions, record_export
from zoo.serving.warmup import write_warmup

DEFAULT_WARMUP = (1,)  # rows of the warm-up requests


def export_model(
    model: Game,
    folder: str | Path,
    max_pixels: int = MAX_PIXELS,
    warmup_batch_sizes: Sequence[int] = DEFAULT_WARMUP,
    xla: bool = False,
) -> Path:
    """Exports a model's signatures as the next version below a folder.

    The SavedModel is written to a temporary folder and renamed, so that a server that watches the folder never sees half of one.

    Args:
        model: The model; its signatures are those of `model.signatures()`.
        folder: The folder of versions; created if it does not exist.
        max_pixels: Upper bound on the pixels of a request, for signatures that take files or images of any size.
        warmup_batch_sizes: Numbers of rows of the warm-up requests of each signature; none are written if it is empty.
        xla: Whether XLA compiles the networks, once for each batch size; the validation of requests is not compiled.

    Returns:
        The path of the new version.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".writing-", dir=folder)
    try:
        signatures = {name: limit_pixels(signature, max_pixels) for name, signature in model.signatures().items()}
        with _compile_networks(model) if xla else contextlib.nullcontext():
            functions = {name: _trace(signature) for name, signature in signatures.items()}
        exported = tf.Module()  # `keras.export.ExportArchive` traces each signature twice, and adds weights that none of them uses
        exported.weights = _order_weights(model, functions.values())
        tf.saved_model.save(exported, os.path.join(work, "model"), signatures=functions)
        record_export(Path(work, "model"), model.completed_steps)
        if warmup_batch_sizes:
            write_warmup(Path(work, "model"), signatures, folder.name, warmup_batch_sizes)
        return _move_to_next_version(os.path.join(work, "model"), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _compile_networks(model: Game) -> Iterator[None]:
    """What is traced inside the block compiles the model's networks by XLA."""
    networks = list(_find_networks(model))
    for network in networks:
        network.call = tf.function(network.call, jit_compile=True, autograph=False)
    try:
        yield
    finally:
        for network in networks:
            del network.call  # what remains is the method of its class


def _find_networks(model: keras.Model) -> Iterator[keras.Model]:
    """The networks of a model, and those inside them."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield layer
            yield from _find_networks(layer)


def _order_weights(model: Game, functions: Iterable[Any]) -> list[tf.Variable]:
    """The variables that traced functions use, in the order of the model: a graph has them in another order in each process."""
    order = {id(weight.value): position for position, weight in enumerate(model.weights)}
    used = {id(variable): variable for function in functions for variable in function.graph.variables}
    return sorted(used.values(), key=lambda variable: (order.get(id(variable), len(order)), variable.name))


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
