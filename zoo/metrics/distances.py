"""Distances between two sets of features, real and generated.

Features are arrays [images, width] from any extractor (pixels, the last layer of a classifier); all arithmetic is in float64. Two values
are comparable only if the feature extractor, the real images and the number of images are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.errors import UserError

Array = npt.NDArray[np.float64]


def check_rows(statistic: str, kind: str, rows: np.ndarray, minimum: int = 1) -> None:
    """Checks that a set of images has enough rows, all of them finite.

    Args:
        statistic: Name of the statistic, for the message.
        kind: Kind of the images ("real", "generated"), for the message.
        rows: Array whose first axis counts the images.
        minimum: Smallest number of rows that the statistic accepts.

    Raises:
        UserError: There are fewer than `minimum` rows, or some contain NaN or infinity.
    """
    if len(rows) < minimum:
        raise UserError(f"{statistic} needs at least {minimum} {kind} images; there are {len(rows)}.")
    invalid = np.count_nonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
    if invalid:
        raise UserError(f"{statistic}: {invalid} of {len(rows)} {kind} images have values that are NaN or infinite.")


def _check_features(statistic: str, minimum: int, **sets: npt.ArrayLike) -> list[Array]:
    """Returns the sets as float64 [n, width], or raises UserError if one is invalid or their widths differ."""
    features = {kind: np.asarray(rows, np.float64) for kind, rows in sets.items()}
    for kind, rows in features.items():
        if rows.ndim != 2:
            raise UserError(f"{statistic} takes features [images, width]; those of the {kind} images have shape {list(rows.shape)}.")
        check_rows(statistic, kind, rows, minimum)
    _check_widths(statistic, **{kind: rows.shape[1] for kind, rows in features.items()})
    return list(features.values())


def _check_widths(statistic: str, **widths: int) -> None:
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{width} ({kind})" for kind, width in widths.items())
        raise UserError(f"{statistic}: the features differ in width: {listed}; take all of them from the same extractor.")


class Gaussian(NamedTuple):
    """Mean [d] of a set of features, and a root [min(n, d), d] of their covariance C: root^T root = C."""

    mean: Array
    root: Array


def fit_gaussian(features: npt.ArrayLike, kind: str = "real") -> Gaussian:
    """Fits the Gaussian that `frechet` compares, for reuse if one of the two sets stays the same.

    Args:
        features: [n, d], n >= 2.
        kind: Kind of the images, for error messages.

    Raises:
        UserError: As in `frechet`.
    """
    (rows,) = _check_features("The Fréchet distance", 2, **{kind: features})
    mean = rows.mean(axis=0)
    root = (rows - mean) / np.sqrt(len(rows) - 1)
    if len(root) > root.shape[1]:
        root = np.asarray(np.linalg.qr(root, mode="r"))
    return Gaussian(mean, root)


def frechet(real: Gaussian | npt.ArrayLike, fake: Gaussian | npt.ArrayLike) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).

    Covariances are unbiased (divided by n - 1), as in the published FID; the distance itself is biased: it falls as n grows. It is exact
    for any n: tr (C1 C2)^1/2 is the sum of the singular values of root1 root2^T, so no covariance is inverted or regularized. It is
    defined even if all images are the same. Heusel et al. 2017 (arXiv:1706.08500), eq. 6. Checked against scipy.linalg.sqrtm and against
    cases of low rank computed by hand.

    Args:
        real: Features [n, d], n >= 2, or their `fit_gaussian`.
        fake: The same for generated images.

    Returns:
        The distance, >= 0.

    Raises:
        UserError: There are fewer than two images, NaN or infinity, or the widths differ.
    """
    first = real if isinstance(real, Gaussian) else fit_gaussian(real, "real")
    second = fake if isinstance(fake, Gaussian) else fit_gaussian(fake, "generated")
    _check_widths("The Fréchet distance", real=len(first.mean), generated=len(second.mean))
    overlap = np.linalg.svd(first.root @ second.root.T, compute_uv=False).sum()
    trace = np.square(first.root).sum() + np.square(second.root).sum() - 2 * overlap
    return float(np.square(first.mean - second.mean).sum() + max(trace, 0))


def _polynomial_kernel(first: Array, second: Array) -> Array:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _squared_mmd(first: Array, second: Array) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of the same size."""
    size = len(first)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_polynomial_kernel(first, first), _polynomial_kernel(second, second)))
    return within / (size * (size - 1)) - 2 * _polynomial_kernel(first, second).mean()


def kid(real: npt.ArrayLike, fake: npt.ArrayLike, subsets: int = 100, size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Kernel inception distance of two sets of features; usually reported times 1000.

    An unbiased estimate of the squared maximum mean discrepancy (MMD) with the polynomial kernel (x.y / d + 1)^3: it may be negative, and
    its expectation does not depend on n. Bińkowski et al. 2018
    (arXiv:1801.01401), §4. Checked against sklearn.metrics.pairwise.polynomial_kernel.

    Args:
        real: Features [n, d].
        fake: The same of generated images.
        subsets: Number of random subsets, >= 2.
        size: Images per subset, drawn without replacement; at most the smaller set.
        seed: Seed of the subsets.

    Returns:
        The mean over the subsets, and the standard error of that mean: standard deviation over subsets (ddof 1) / sqrt(subsets). The error
        measures the effect of the choice of subsets, not of the choice of images; it is 0 if a subset contains all images.

    Raises:
        UserError: There are fewer than two images or subsets, NaN or infinity, or the widths differ.
    """
    first, second = _check_features("KID", 2, real=real, generated=fake)
    if subsets < 2:
        raise UserError(f"KID's standard error needs at least 2 subsets; there are {subsets}.")
    size, generator = min(size, len(first), len(second)), np.random.default_rng(seed)
    if size < 2:
        raise UserError(f"KID needs subsets of at least 2 images; size is {size}.")
    estimates = [
        _squared_mmd(*(rows[generator.choice(len(rows), size, replace=False)] for rows in (first, second))) for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates, ddof=1) / np.sqrt(subsets))


def inception_score(probabilities: npt.ArrayLike, splits: int = 10) -> tuple[float, float]:
    """Inception score: exp of the mean KL divergence between p(y|x) and p(y), in [1, classes].

    The splits are consecutive blocks, as in the published code: shuffle images that are sorted by class first. Salimans et al. 2016
    (arXiv:1606.03498), §4. Checked against the difference of entropies, H(y) - H(y|x).

    Args:
        probabilities: [n, classes], rows that sum to 1.
        splits: Number of blocks that are scored separately.

    Returns:
        Mean and standard deviation (ddof 0) over the splits.

    Raises:
        UserError: There are fewer than two images per split, NaN or infinity, or rows that are not probabilities.
    """
    from scipy.special import rel_entr

    (rows,) = _check_features("The inception score", 2 * splits, generated=probabilities)
    if rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3:
        raise UserError("The inception score takes probabilities; these rows do not sum to 1, or some are negative (logits?).")
    scores = [np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in np.array_split(rows, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _neighbor_radii(features: Array, k: int) -> Array:
    """Distance of each row to its k-th nearest other row, reduced slightly so that ties are outside despite rounding."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features).kneighbors()
    return distances[:, -1] * (1 - 1e-9)


def prdc(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of two sets of features.

    The ball of an image extends to its k-th nearest neighbor in its own set (boundary excluded). Precision: fraction of generated images
    inside the ball of a real image. Recall: fraction of real images inside the ball of a generated image. Density: number of balls of real
    images that contain a generated image, averaged over the generated images and divided by k; it can exceed 1. Coverage: fraction of the
    balls of real images that contain a generated image. If all generated images are the same, recall is 0.
    Kynkäänniemi et al. 2019 (arXiv:1904.06991), §2; Naeem et al. 2020 (arXiv:2002.09797), §3. Checked against the package prdc.

    Args:
        real: Features [n, d].
        fake: The same of generated images.
        k: Number of neighbors that determines the balls.

    Returns:
        `precision`, `recall` and `coverage` in [0, 1], and `density` >= 0.

    Raises:
        UserError: There are k images or fewer, NaN or infinity, different widths, or all real images are the same.
    """
    from sklearn.metrics import pairwise_distances_chunked

    first, second = _check_features("Precision/recall", k + 1, real=real, generated=fake)
    if (first == first[0]).all():
        raise UserError(f"Precision/recall needs neighborhoods: all {len(first)} real images have the same features.")
    real_radii, fake_radii = _neighbor_radii(first, k), _neighbor_radii(second, k)
    balls, recalled, covered, row = np.zeros(len(second)), 0, 0, 0
    for distances in pairwise_distances_chunked(first, second, working_memory=64):  # rows are real images; 64 MiB at a time
        inside = distances < real_radii[row : row + len(distances), None]
        row += len(distances)
        balls += inside.sum(axis=0)
        covered += inside.any(axis=1).sum()
        recalled += (distances < fake_radii).any(axis=1).sum()
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled / len(first)),
        "density": float(balls.mean() / k),
        "coverage": float(covered / len(first)),
    }


def nearest_neighbors(queries: npt.ArrayLike, references: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.int64]]:
    """The nearest reference of each query by Euclidean distance. Checked against scipy.spatial.cKDTree.

    Args:
        queries: [n, d].
        references: [m, d].

    Returns:
        The distances, float64 [n], and the indices of the references, int64 [n].

    Raises:
        UserError: There are no images, NaN or infinity, or the widths differ.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    first, second = _check_features("The nearest neighbor", 1, query=queries, reference=references)
    indices, _ = pairwise_distances_argmin_min(first, second)
    # Computed again: sklearn expands the distance to x.x - 2 x.y + y.y, which leaves about 1e-7 between copies.
    return np.linalg.norm(first - second[indices], axis=1), indices


def memorization(fake: npt.ArrayLike, train: npt.ArrayLike, unseen: npt.ArrayLike) -> float:
    """Median distance of generated images to the nearest training image, divided by that of unseen real images.

    About 1: no closer to the training images than unseen real images; 0: copies. It is also low if the samples are few and typical:
    inspect the images themselves (`analyses.neighbors`). Cf. Meehan et al. 2020 (arXiv:2004.05675), who compare the same distances.
    Checked against scipy.spatial.cKDTree.

    Args:
        fake: Features [n, d] of generated images.
        train: Features [m, d] of all training images; copies of missing images are not detected.
        unseen: Features of real images that were not used in training.

    Returns:
        The ratio, >= 0.

    Raises:
        UserError: There are no images, NaN or infinity, different widths, or the unseen images are training images.
    """
    generated, training, held_out = _check_features("Memorization", 1, generated=fake, training=train, unseen=unseen)
    distance, reference = (np.median(nearest_neighbors(rows, training)[0]) for rows in (generated, held_out))
    if reference == 0:
        raise UserError("Memorization needs real images that were not used in training; most of these are training images.")
    return float(distance / reference)
