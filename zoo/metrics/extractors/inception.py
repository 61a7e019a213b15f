"""The Inception graph of 2015, which published FIDs and inception scores use."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from zoo.errors import UserError
from zoo.files import download, write_atomically, write_text
from zoo.locks import lock_cache
from zoo.metrics.extractors.base import FeatureExtractor, one_line

URL = "https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
GRAPH = "classify_image_graph_def.pb"
# A graph is a program, and some operations read and write files: others than those of a network are refused.
OPERATIONS = """
Add AddV2 AvgPool BatchNormWithGlobalNormalization BiasAdd Cast CheckNumerics Concat ConcatV2 Const Conv2D DecodeJpeg Div ExpandDims
FusedBatchNorm FusedBatchNormV3 Identity LRN MatMul Max MaxPool Maximum Mean Minimum Mul NoOp Pack Pad Placeholder RealDiv Relu Relu6
Reshape ResizeBilinear Rsqrt Shape Slice Softmax Split Squeeze StridedSlice Sub Sum Tile Transpose
"""
READ_ERRORS = (OSError, EOFError, KeyError, tarfile.TarError, zlib.error)


def load_inception(
    file: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    log: Callable[[str], object] = print,
    read_only_folder: str | os.PathLike[str] = "",
) -> FeatureExtractor:
    """Loads the Inception graph of 2015-12-05 (Szegedy et al. 2015) as Heusel et al. 2017 use it: pool_3 [2048], 1008 classes.

    It takes images in [0, 255] and resizes them itself, as for the published scores. The logits of the inception score omit the bias, as in
    Salimans et al. 2016. No checksum of the file is published: its hash is logged and recorded when it is downloaded, compared whenever it
    is loaded from there, and part of the protocol of every score.

    Args:
        file: `classify_image_graph_def.pb`, or the archive that contains it; None: the one in `folder`, where it is fetched if missing.
        folder: Cache of the fetched graph.
        log: Called with a message before and after a download.
        read_only_folder: Another folder that may hold the fetched graph; empty: none.

    Raises:
        UserError: The graph cannot be fetched or read, is another graph, or differs from the one that was fetched.
    """
    recorded = None
    if file is None:
        files = [Path(parent) / GRAPH for parent in (folder, read_only_folder) if parent]
        file = next((path for path in files if path.exists()), files[0])
        with lock_cache(file.with_name(f".{GRAPH}.lock"), "fetches the Inception graph") if not file.exists() else contextlib.nullcontext():
            if not file.exists():
                _fetch(file, log)
        recorded = _hash_file(file)
    file = Path(file).expanduser()
    try:
        content = _read_graph(file)
        expected = recorded.read_text(encoding="utf-8").strip() if recorded and recorded.exists() else None
    except (*READ_ERRORS, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as the Inception graph ({one_line(error)}); download it from {URL}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    if expected and sha256 != expected:
        raise UserError(
            f"{file} is not the file that was fetched: its sha256 is {sha256}, and {expected} is recorded in {recorded}; "
            "delete both to fetch it again"
        )
    return FeatureExtractor(
        name=f"inception-2015-{sha256[:4]}",
        sha256=sha256,
        description=f"the Inception graph of 2015-12-05, from {file}",
        shape=None,
        resizing="to 299x299 by the graph itself (bilinear, not anti-aliased)",
        run=_import_graph(content, file),
    )


def _import_graph(content: bytes, file: Path) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Function of images in [0, 1] that returns the graph's features and probabilities."""
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
        if foreign := sorted({node.op for node in graph.node} - set(OPERATIONS.split())):
            raise ValueError(f"it has the operations {', '.join(foreign)}")
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        element = wrapped.graph.as_graph_element
        weights = wrapped.graph.get_operation_by_name("softmax/logits/MatMul").inputs[1]
        network = wrapped.prune(element("ExpandDims:0"), [element("pool_3:0"), weights])
        shape = tuple(weights.shape)
    except (DecodeError, tf.errors.OpError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{file} is not the Inception graph of 2015 ({one_line(error)}); download it from {URL}") from None
    if shape != (2048, 1008):
        raise UserError(f"{file} is not the Inception graph of 2015: its last layer is {shape}, not (2048, 1008); download it from {URL}")

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.image.grayscale_to_rgb(images) if images.shape[-1] == 1 else images
        outputs = [network(image[None] * 255) for image in images]  # the graph takes one image at a time
        features = tf.concat([tf.reshape(pooled, [1, -1]) for pooled, _ in outputs], 0)
        return {"features": features, "probabilities": tf.nn.softmax(features @ outputs[0][1])}

    return run


def _read_graph(file: Path) -> bytes:
    """The content of the graph's file, extracted if the file is the archive."""
    if not tarfile.is_tarfile(file):
        return file.read_bytes()
    with tarfile.open(file) as archive:
        member = archive.extractfile(GRAPH)
        if member is None:
            raise KeyError(f"{GRAPH} is not a file of the archive")
        return member.read()


def _hash_file(file: Path) -> Path:
    """The file with the hash of a downloaded graph."""
    return file.with_name(f"{file.name}.sha256")


def _fetch(file: Path, log: Callable[[str], object]) -> None:
    """Downloads the archive, extracts the graph and records its hash."""
    log(f"scores     fetching the Inception graph from {URL} to {file.parent}")
    archive = file.with_name(os.path.basename(URL))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(archive, functools.partial(download, URL))
        content = _read_graph(archive)
        sha256 = hashlib.sha256(content).hexdigest()
        write_text(_hash_file(file), sha256 + "\n")
        write_atomically(file, lambda temporary: temporary.write_bytes(content))
        archive.unlink()
    except (*READ_ERRORS, ValueError) as error:
        raise UserError(
            f"the Inception graph is not in {file.parent} and could not be fetched ({one_line(error, 80)}); "
            f"download {URL} and give the file: --feature-extractor inception:FILE, or use --feature-extractor classifier"
        ) from None
    log(f"scores     the sha256 of {GRAPH} is {sha256}, recorded in {_hash_file(file).name}")
