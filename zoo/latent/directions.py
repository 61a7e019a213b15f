"""Interpretable directions in the latent space, found without labels or training: in closed form (SeFa) and by PCA (GANSpace)."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor

from zoo.core import Game
from zoo.errors import UserError, join_first, printable, shorten, suggest
from zoo.files import check_path, check_regular, write_atomically
from zoo.latent.distribution import LatentDistribution
from zoo.latent.networks import LABEL, LATENT, MAX_BATCH, GeneratorCall, find_first_layers, find_hidden_features
from zoo.metrics.interfaces import Progress, no_progress

METHODS = ("sefa", "pca")
SAMPLES = 2000  # whose activations are analyzed
MAX_ACTIVATIONS = 2**28  # values of these samples; 1 GB
MAX_BYTES = 2**28  # of a file of directions
# What NumPy raises for files that are damaged, or hold Python objects, which are never loaded.
READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclasses.dataclass(frozen=True)
class Directions:
    """Directions in the latent space of a model, most important ones first within each method.

    Attributes:
        names: `sefa1`, `sefa2`, ..., `pca1`, ...
        vectors: float32 [k, latent_dim] of length 1; the largest component of each is positive.
        values: Importance of each, [k]: the norm of the first layers' response to a step of length 1 (SeFa), or the share of the
            activations' variance (PCA).
        deviations: Standard deviation of the latent vectors along each, [k].
        model: Name of the model's class.
        layers: Names of the layers that each method analyzed, in one text.
        fingerprint: Hash of the generator's weights.
    """

    names: tuple[str, ...]
    vectors: np.ndarray
    values: np.ndarray
    deviations: np.ndarray
    model: str
    layers: str
    fingerprint: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz file, which holds arrays of numbers and texts only; raises OSError if that is impossible."""

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:  # NumPy would append .npz to a name
                np.savez(file, **{name: np.asarray(value) for name, value in dataclasses.asdict(self).items()})  # type: ignore[arg-type]

        write_atomically(Path(path), write)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Directions:
        """Reads a file of `save`.

        Raises:
            UserError: It cannot be read, is damaged, or is not a file of directions.
        """
        path = Path(os.path.expanduser(check_path("directions", path)))
        try:
            check_regular(path)
            if path.stat().st_size > MAX_BYTES or not zipfile.is_zipfile(path):
                raise ValueError("it is not an .npz file of numbers")
            with np.load(path, allow_pickle=False) as arrays:
                values = {field.name: arrays[field.name] for field in dataclasses.fields(cls)}
            if not all(isinstance(value, np.ndarray) for value in values.values()):
                raise ValueError("it is not an .npz file of numbers")
            return cls._from_arrays(values)
        except READ_ERRORS as error:
            reason = getattr(error, "strerror", None) or shorten(str(error), 120)
            raise UserError(f"{path} cannot be read as directions ({reason}); `zoo directions RUN` finds them") from None

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> Directions:
        """Directions from the arrays of a file; raises ValueError for arrays of other types and shapes."""
        texts = {name: arrays[name] for name in ("names", "model", "layers", "fingerprint")}
        numbers = {name: arrays[name] for name in ("vectors", "values", "deviations")}
        if any(value.dtype.kind != "U" for value in texts.values()) or any(value.dtype.kind != "f" for value in numbers.values()):
            raise ValueError("arrays of another type")
        names, vectors = arrays["names"], arrays["vectors"]
        if names.ndim != 1 or vectors.ndim != 2 or not len(names) or any(len(value) != len(names) for value in numbers.values()):
            raise ValueError("arrays of another shape")
        if not all(np.isfinite(value).all() for value in numbers.values()) or np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > 1e-3:
            raise ValueError("vectors whose length is not 1")
        scalars = {name: printable(value.item()) for name, value in texts.items() if name != "names"}
        return cls(tuple(map(printable, names)), vectors.astype(np.float32), numbers["values"], numbers["deviations"], **scalars)

    def check(self, model: Game) -> None:
        """Checks that the directions are those of a model; warns if they were found for other weights, such as an earlier checkpoint.

        Raises:
            UserError: They are of another model, or of latent vectors of another length.
        """
        if self.model != type(model).__name__:
            raise UserError(
                f"these directions are of {self.model}, not of {type(model).__name__}; `zoo directions RUN` finds those of a model"
            )
        if self.vectors.shape[1] != model.config.latent_dim:
            raise UserError(
                f"these directions are of latent vectors of length {self.vectors.shape[1]}; this model's have {model.config.latent_dim}"
            )
        if self.fingerprint != hash_generator(model):
            print(
                "warning: the directions were found for other weights; if their effect is not as on their sheet, find new ones",
                file=sys.stderr,
            )

    def offsets(self, edits: Sequence[str]) -> np.ndarray:
        """The vectors that edits add to latent vectors, float32 [n, latent_dim].

        Args:
            edits: `NAME=STEP`, or several of them joined by commas: steps along directions in standard deviations of the latent vectors.

        Raises:
            UserError: For other texts, unknown directions, and steps that are not finite.
        """
        return np.stack([sum((self._offset(part) for part in edit.split(",")), np.zeros(self.vectors.shape[1])) for edit in edits]).astype(
            np.float32
        )

    def _offset(self, edit: str) -> np.ndarray:
        name, _, number = edit.partition("=")
        try:
            step = float(number)
        except ValueError:
            step = np.nan
        if not np.isfinite(step):
            raise UserError(f"edit {edit}: expected NAME=STEP, as {self.names[0]}=2; several are joined by commas")
        if name not in self.names:
            raise UserError(f"edit {edit}: no such direction{suggest(name, self.names)} Available: {join_first(self.names, 20)}")
        i = self.names.index(name)
        return step * self.deviations[i] * self.vectors[i]


def find_directions(
    model: Game,
    methods: Sequence[str] = METHODS,
    count: int = 10,
    samples: int = SAMPLES,
    seed: int = 0,
    labels: Sequence[int] | None = None,
    layer: str | None = None,
    progress: Progress = no_progress,
) -> Directions:
    """Finds directions by one or both methods; see `find_sefa` and `find_principal_components`.

    Args:
        model: A model that generates images from noise.
        methods: `sefa`, `pca` or both.
        count: Number of directions of each method; at most `latent_dim`.
        samples: Number of samples for PCA.
        seed: Seed of these samples.
        labels: Classes of these samples, which take turns; default: all, for class-conditional models.
        layer: Name of the layer whose activations PCA analyzes; default: see `find_hidden_features`.
        progress: A progress bar.

    Raises:
        UserError: For models and settings for which there are none.
    """
    call, distribution = GeneratorCall.trace(model), LatentDistribution.measure(model)
    if count < 1:
        raise UserError(f"count={count}: must be at least 1")
    names: list[str] = []
    vectors: list[np.ndarray] = []
    values: list[np.ndarray] = []
    layers: list[str] = []
    for method in methods:
        if method == "sefa":
            result = find_sefa(call, distribution, count)
        elif method == "pca":
            result = find_principal_components(model, call, distribution, count, samples, seed, labels, layer, progress)
        else:
            raise UserError(f"method {method}: choose from {', '.join(METHODS)}")
        names += [f"{method}{i + 1}" for i in range(len(result[0]))]
        vectors.append(result[0])
        values.append(result[1])
        layers.append(result[2])
    joined = np.concatenate(vectors)
    described = "; ".join(f"{method}: {names}" for method, names in zip(methods, layers, strict=True))
    deviations = distribution.deviation_along(joined)
    return Directions(tuple(names), joined, np.concatenate(values), deviations, type(model).__name__, described, hash_generator(model))


def find_sefa(call: GeneratorCall, distribution: LatentDistribution, count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Closed-form factorization (SeFa; Shen & Zhou 2021, arXiv:2007.06600, eq. 6): the steps to which the first layers respond most.

    These are the eigenvectors of A^T A with the largest eigenvalues, where A is the matrix from latent vectors to the outputs of all layers
    that they enter first, before any activation: one layer, or those of all chunks of a split latent vector. Categories in the
    latent vector are left out: there is nothing between two of them.

    Args:
        call: The generator.
        distribution: That of the latent vectors.
        count: Number of directions.

    Returns:
        Unit vectors float32 [k, latent_dim], the norms of the responses to them [k], and the names of the layers.
    """
    firsts = find_first_layers(call)
    if not firsts:
        raise UserError("no layer with weights acts on the latent vector of this model")
    matrix = response_matrix(call, firsts)[~distribution.is_discrete]
    eigenvalues, eigenvectors = np.linalg.eigh(matrix @ matrix.T)
    vectors = _embed(eigenvectors.T[::-1][:count], distribution)
    return vectors, np.sqrt(np.maximum(eigenvalues[::-1][:count], 0)), join_first([layer.name for layer, _ in firsts])


def response_matrix(call: GeneratorCall, firsts: Sequence[tuple[keras.layers.Layer, KerasTensor]]) -> np.ndarray:
    """A^T: what the outputs of the first layers change by if each latent value grows from 0 to 1, float64 [latent_dim, outputs].

    The response is computed and not read from weights, so that dense, convolutional, spectrally normalized and other linear layers are
    treated alike. A normalization of the latent vector scales all rows alike.
    """
    length = call.input(LATENT).shape[-1]
    latent = tf.concat([tf.zeros([1, length]), tf.eye(length)], 0)
    inputs = call.evaluate([tensor for _, tensor in firsts], latent=latent)
    outputs = [_without_activation(layer, tensor)(values) for (layer, tensor), values in zip(firsts, inputs, strict=True)]
    flat = np.concatenate([np.reshape(output, (length + 1, -1)) for output in outputs], 1).astype(np.float64)
    return flat[1:] - flat[:1]


def _without_activation(layer: keras.layers.Layer, tensor: KerasTensor) -> keras.layers.Layer:
    """The layer that takes a tensor, or a copy of it that has no activation."""
    if getattr(layer, "activation", None) in (None, keras.activations.linear):
        return layer
    copy = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    copy.build(tensor.shape)
    copy.set_weights(layer.get_weights())
    return copy


def find_principal_components(
    model: Game,
    call: GeneratorCall,
    distribution: LatentDistribution,
    count: int,
    samples: int = SAMPLES,
    seed: int = 0,
    labels: Sequence[int] | None = None,
    layer: str | None = None,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Principal components of activations, as directions in the latent space (GANSpace; Härkönen et al. 2020, arXiv:2004.02546, §2.2).

    The latent vectors are regressed on the coordinates of their activations, both centered within each class; see `find_directions` for the
    arguments.

    Returns:
        Unit vectors float32 [k, latent_dim], the shares of the variance [k], and the name of the layer.
    """
    from sklearn.decomposition import PCA

    tensor, name = find_hidden_features(call, layer)
    count = min(count, int(np.sum(~distribution.is_discrete)), int(np.prod(tensor.shape[1:])))
    limit = MAX_ACTIVATIONS // int(np.prod(tensor.shape[1:]))
    if not count < samples <= limit:
        raise UserError(f"{samples:,} samples: must be from {count + 1} to {limit:,} for {count} principal components of {name}")
    latent = model.sample_latent([samples, model.config.latent_dim], [seed, 1])
    rows: dict[str, tf.Tensor] = {LATENT: latent}
    if LABEL in model.conditions:
        rows[LABEL] = tf.constant(np.resize(np.array(range(model.config.num_classes) if labels is None else labels, np.int64), samples))
    parts = []
    for i in progress("activations")(range(0, samples, MAX_BATCH)):
        (values,) = call.evaluate([tensor], **{key: value[i : i + MAX_BATCH] for key, value in rows.items()})
        parts.append(np.reshape(values, (len(values), -1)))
    activations, centered = np.concatenate(parts), latent.numpy()
    classes = rows[LABEL].numpy() if LABEL in rows else np.zeros(samples, np.int64)
    for label in np.unique(classes):  # what differs between classes is not a direction in the latent space
        activations[classes == label] -= activations[classes == label].mean(0)
        centered[classes == label] -= centered[classes == label].mean(0)
    analysis = PCA(count, svd_solver="randomized", random_state=seed % 2**32)
    coordinates = analysis.fit_transform(activations)
    # Coordinates are uncorrelated, so that the regression on all of them is one on each.
    return _embed((coordinates.T @ centered)[:, ~distribution.is_discrete], distribution), analysis.explained_variance_ratio_, name


def _embed(vectors: np.ndarray, distribution: LatentDistribution) -> np.ndarray:
    """Unit vectors of the whole latent space, float32, from vectors [k, m] of its coordinates that are not discrete."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    largest = np.take_along_axis(unit, np.abs(unit).argmax(1)[:, None], 1)
    whole = np.zeros((len(unit), len(distribution.mean)), np.float32)
    whole[:, ~distribution.is_discrete] = unit * np.where(largest < 0, -1, 1)
    return whole


def hash_generator(model: Game) -> str:
    """Hash of the weights of the EMA generator, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in model.ema_generator.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def move(model: Game, latent: Any, offsets: Any, distribution: LatentDistribution | None = None) -> np.ndarray:
    """Latent vectors moved by offsets, float32 [n, latent_dim]; they stay in the range of the latent distribution.

    Args:
        model: The model.
        latent: Latent vectors, float32 [n, latent_dim].
        offsets: See `Directions.offsets`, [n, latent_dim] or [latent_dim].
        distribution: That of the model's latent vectors, if it was measured before.
    """
    latent = np.asarray(latent, np.float32)
    distribution = distribution or LatentDistribution.measure(model)
    return distribution.clip(latent + np.asarray(offsets, np.float32), latent).astype(np.float32)
