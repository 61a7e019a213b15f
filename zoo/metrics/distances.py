"""Distances between two sets of features, real and generated.

Features: [images, width], whatever made them (pixels, a classifier's last layer); all arithmetic is in float64. A number is comparable with
another only where extractor, real images and numbers of images are the same.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr
from sklearn.metrics import pairwise_distances_argmin_min, pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from zoo.errors import UserError


def usable(statistic, kind, rows, least=1):
    """Raises UserError where there are fewer than `least` rows, or where some hold NaN or infinity; a row is an image."""
    if len(rows) < least:
        raise UserError(f"{statistic} needs at least {least} {kind} images; there are {len(rows)}.")
    bad = np.count_nonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
    if bad:
        raise UserError(f"{statistic}: {bad} of {len(rows)} {kind} images have values that are NaN or infinite.")


def _checked(statistic, least, **sets):
    """The sets as float64 [n, width]; raises UserError where one is not usable, or where their widths differ."""
    sets = {kind: np.asarray(rows, np.float64) for kind, rows in sets.items()}
    for kind, rows in sets.items():
        if rows.ndim != 2:
            raise UserError(f"{statistic} takes features [images, width]; those of the {kind} images have shape {list(rows.shape)}.")
        usable(statistic, kind, rows, least)
    _same_width(statistic, **{kind: rows.shape[1] for kind, rows in sets.items()})
    return sets.values()


def _same_width(statistic, **widths):
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{width} ({kind})" for kind, width in widths.items())
        raise UserError(f"{statistic}: the features differ in width: {found}; take all of them from the same extractor.")


class Gaussian(NamedTuple):
    """Mean [d], and a root [min(n, d), d] of the covariance C: root^T root = C."""

    mean: np.ndarray
    root: np.ndarray


def gaussian(features, kind="real"):
    """What `frechet` needs of features [n, d], n >= 2, to be kept where one side stays the same. UserError as in `frechet`."""
    (features,) = _checked("The Fréchet distance", 2, **{kind: features})
    mean = features.mean(axis=0)
    root = (features - mean) / np.sqrt(len(features) - 1)
    return Gaussian(mean, np.linalg.qr(root, mode="r") if len(root) > root.shape[1] else root)


def frechet(real, fake):
    """Fréchet distance, >= 0, of the Gaussians fitted to two sets: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).

    real, fake: features [n, d], n >= 2, or their `gaussian`. Covariances are unbiased (divided by n - 1), as in the published FID; the
    distance itself is biased: it falls as n grows. Exact for any n: tr (C1 C2)^1/2 is the sum of the singular values of root1 root2^T, so
    that no covariance need be inverted or shifted. Defined where all images are the same.
    UserError: fewer than two images, NaN or infinity, different widths.
    Heusel et al. 2017 (arXiv:1706.08500), eq. 6. Checked against scipy.linalg.sqrtm and hand-computed cases of low rank.
    """
    real, fake = (side if isinstance(side, Gaussian) else gaussian(side, kind) for side, kind in [(real, "real"), (fake, "generated")])
    _same_width("The Fréchet distance", real=len(real.mean), generated=len(fake.mean))
    common = np.linalg.svd(real.root @ fake.root.T, compute_uv=False).sum()
    spread = np.square(real.root).sum() + np.square(fake.root).sum() - 2 * common
    return float(np.square(real.mean - fake.mean).sum() + max(spread, 0))


def _kernel(first, second):
    return (first @ second.T / first.shape[1] + 1) ** 3


def _squared_discrepancy(first, second):
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of the same size."""
    size = len(first)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_kernel(first, first), _kernel(second, second)))
    return within / (size * (size - 1)) - 2 * _kernel(first, second).mean()


def kid(real, fake, subsets=100, size=1000, seed=0):
    """Kernel distance of features [n, d]: (mean over random subsets, standard error of that mean); multiply by 1000 to print.

    Each of `subsets` (>= 2) draws min(size, n_real, n_fake) images of either side without replacement. The kernel is (x.y / d + 1)^3. The
    estimate is unbiased: it may be negative, and does not depend on n. Standard error = standard deviation over subsets (ddof 1) /
    sqrt(subsets): how much the draw of subsets moves the mean, not how much other images would; 0 where a subset holds all images.
    UserError: fewer than two images or subsets, NaN or infinity, different widths.
    Bińkowski et al. 2018 (arXiv:1801.01401), §4. Checked against sklearn.metrics.pairwise.polynomial_kernel.
    """
    real, fake = _checked("KID", 2, real=real, generated=fake)
    if subsets < 2:
        raise UserError(f"KID's standard error needs at least 2 subsets; there are {subsets}.")
    size, draw = min(size, len(real), len(fake)), np.random.default_rng(seed)
    if size < 2:
        raise UserError(f"KID needs subsets of at least 2 images; size is {size}.")
    found = [_squared_discrepancy(*(side[draw.choice(len(side), size, replace=False)] for side in (real, fake))) for _ in range(subsets)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(subsets))


def inception_score(probabilities, splits=10):
    """exp(mean KL(p(y|x) || p(y))): (mean, standard deviation (ddof 0)) over splits, in [1, classes].

    probabilities: [n, classes], rows that sum to 1. The splits are consecutive blocks, as published: shuffle images sorted by class first.
    UserError: fewer than two images a split, NaN or infinity, rows that are no probabilities.
    Salimans et al. 2016 (arXiv:1606.03498), §4. Checked against the difference of entropies, H(y) - H(y|x).
    """
    (probabilities,) = _checked("The inception score", 2 * splits, generated=probabilities)
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
        raise UserError("The inception score takes probabilities; these rows do not sum to 1, or some are negative (logits?).")
    scores = [np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in np.array_split(probabilities, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _radii(features, k):
    """Each row's distance to its k-th nearest other row, a little shortened: a tie is outside, whatever the rounding."""
    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features).kneighbors()
    return distances[:, -1] * (1 - 1e-9)


def manifold(real, fake, k=5):
    """Precision, recall, density and coverage of features [n, d], in [0, 1] but for density (>= 0).

    An image's ball reaches to its k-th nearest neighbour of its own side (border excluded). Precision: fakes in some real's ball; recall:
    reals in some fake's ball; density: real balls a fake is in, over k; coverage: real balls with a fake in them. All fakes the same is
    a result (recall 0); all reals the same leaves no ball.
    UserError: k images or fewer, NaN or infinity, different widths, all real images the same.
    Kynkäänniemi et al. 2019 (arXiv:1904.06991), §2; Naeem et al. 2020 (arXiv:2002.09797), §3. Checked against the package prdc.
    """
    real, fake = _checked("Precision/recall", k + 1, real=real, generated=fake)
    if (real == real[0]).all():
        raise UserError(f"Precision/recall needs neighbourhoods: all {len(real)} real images have the same features.")
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    around, recalled, covered, row = np.zeros(len(fake)), 0, 0, 0
    for distances in pairwise_distances_chunked(real, fake, working_memory=64):  # rows: reals; 64 MiB at a time
        inside = distances < real_radii[row : row + len(distances), None]
        row += len(distances)
        around += inside.sum(axis=0)
        covered += inside.any(axis=1).sum()
        recalled += (distances < fake_radii).any(axis=1).sum()
    return {
        "precision": float((around > 0).mean()),
        "recall": float(recalled / len(real)),
        "density": float(around.mean() / k),
        "coverage": float(covered / len(real)),
    }


def nearest(queries, references):
    """Each query's Euclidean distance to its nearest reference, float64 [n], and that reference's index, int64 [n].

    queries [n, d], references [m, d]. UserError: no images, NaN or infinity, different widths. Checked against scipy.spatial.cKDTree.
    """
    queries, references = _checked("The nearest neighbour", 1, query=queries, reference=references)
    indices, _ = pairwise_distances_argmin_min(queries, references)
    # Once more: sklearn takes the distance from x.x - 2 x.y + y.y, which leaves about 1e-7 between copies.
    return np.linalg.norm(queries - references[indices], axis=1), indices


def memorisation(fake, train, unseen):
    """Median distance of fakes to the nearest training image, over the same of real images that were not trained on, >= 0.

    About 1: as near to the training images as new real ones are; 0: copies. Low as well where samples are few and usual: look at the
    pictures (`analyses.neighbours`). Features [n, d]; give all training images, for what is left out cannot be found.
    UserError: no images, NaN or infinity, different widths, unseen images that are training images.
    Cf. Meehan et al. 2020 (arXiv:2004.05675), who compare the same distances. Checked against scipy.spatial.cKDTree.
    """
    fake, train, unseen = _checked("Memorisation", 1, generated=fake, training=train, unseen=unseen)
    near, usual = (np.median(nearest(side, train)[0]) for side in (fake, unseen))
    if usual == 0:
        raise UserError("Memorisation needs real images that were not trained on; most of these are training images.")
    return float(near / usual)
