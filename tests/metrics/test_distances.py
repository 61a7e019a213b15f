"""Every statistic of features against an independent implementation, a hand-computed case or a closed form; every error message."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import sklearn.metrics
from prdc import compute_prdc
from scipy.spatial import cKDTree
from sklearn.metrics.pairwise import polynomial_kernel

from zoo.errors import UserError
from zoo.metrics import distances


def features(count, width, seed, scale=1.0, shift=0.0):
    """Correlated Gaussian features."""
    return np.random.RandomState(seed).randn(count, width) @ np.random.RandomState(99).randn(width, width) * scale + shift


# --- Fréchet distance


def by_sqrtm(real, fake):
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(first + second - 2 * root)


@pytest.mark.parametrize("n_real, n_fake", [(300, 200), (40, 300)])
def test_frechet_equals_sqrtm(n_real, n_fake):
    real, fake = features(n_real, 12, 0), features(n_fake, 12, 1, 1.3, 0.5)
    assert distances.frechet(real, fake) == pytest.approx(by_sqrtm(real, fake), rel=1e-6)


@pytest.mark.parametrize("n_real, n_fake", [(10, 7), (10, 300), (300, 10)])
def test_frechet_of_fewer_images_than_features(n_real, n_fake):
    # Shifting the covariances makes them regular and sqrtm exact; it costs about sqrt(shift), whence the tolerance.
    real, fake = features(n_real, 30, 0), features(n_fake, 30, 1, 1.3, 0.5)
    first, second = (np.cov(side, rowvar=False) + 1e-9 * np.eye(30) for side in (real, fake))
    squares = scipy.linalg.eigvals(first @ second).real
    expected = np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(first + second) - 2 * np.sqrt(squares.clip(0)).sum()
    assert distances.frechet(real, fake) == pytest.approx(expected, rel=1e-4)


# Two points at +-a have covariance 2 a a^T; the trace of the product's root is 2 |a.b|.
BY_HAND = {
    "orthogonal": ([1, 0, 0], [0, 2, 0], 0, 2 + 8),
    "parallel": ([1, 0, 0], [2, 0, 0], 0, 2 + 8 - 2 * 4),
    "oblique, moved": ([1, 0, 0], [1, 1, 0], 3, 9 + 2 + 4 - 2 * 2),
    "two constants": ([0, 0, 0], [0, 0, 0], 3, 9),
    "one constant": ([0, 0, 0], [0, 0, 2], 0, 8),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_frechet_of_low_rank_by_hand(name):
    a, b, move, expected = BY_HAND[name]
    real, fake = np.array([a, np.negative(a)]), np.array([b, np.negative(b)]) + [0, 0, move]
    assert distances.frechet(real, fake) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [10, 200])
def test_frechet_properties(count):
    real, fake = features(count, 20, 0), features(count + 3, 20, 1)
    assert 0 <= distances.frechet(real, real[::-1]) < 1e-10
    assert distances.frechet(real, real + 0.5) == pytest.approx(20 * 0.25, rel=1e-9)
    assert distances.frechet(real, 3 * real - 2 * real.mean(0)) == pytest.approx(4 * real.var(0, ddof=1).sum(), rel=1e-9)
    assert distances.frechet(real, fake) == pytest.approx(distances.frechet(fake[::-1], real), rel=1e-9)
    gaussian = distances.fit_gaussian(real)
    np.testing.assert_allclose(gaussian.root.T @ gaussian.root, np.cov(real, rowvar=False), atol=1e-10)
    assert distances.frechet(gaussian, fake) == distances.frechet(real, fake)


# --- Kernel distance


def discrepancy(real, fake):
    """Unbiased, over all images."""
    count, other = len(real), len(fake)
    first, second, mixed = (polynomial_kernel(a, b, degree=3, coef0=1) for a, b in [(real, real), (fake, fake), (real, fake)])
    np.fill_diagonal(first, 0), np.fill_diagonal(second, 0)
    return first.sum() / (count * (count - 1)) + second.sum() / (other * (other - 1)) - 2 * mixed.mean()


def test_kid_of_whole_sets():
    real, fake = features(60, 9, 0), features(60, 9, 1, 1.2)
    mean, error = distances.kid(real, fake, subsets=3)
    assert mean == pytest.approx(discrepancy(real, fake), rel=1e-9)
    assert error == pytest.approx(0, abs=1e-9 * mean)


def test_kid_over_subsets_is_unbiased_and_its_error_is_that_of_the_mean():
    real, fake = features(120, 5, 0), features(90, 5, 1, 1.2)
    results = [distances.kid(real, fake, subsets=20, size=30, seed=seed) for seed in range(40)]
    means, errors = np.array(results).T
    assert means.mean() == pytest.approx(discrepancy(real, fake), abs=4 * means.std() / math.sqrt(40))
    assert errors.mean() == pytest.approx(means.std(ddof=1), rel=0.4)


def test_kid_properties():
    real, fake = features(50, 5, 0), features(40, 5, 1)
    assert distances.kid(real, fake, seed=3) == distances.kid(real, fake, seed=3)
    assert distances.kid(real, fake[::-1])[0] == pytest.approx(distances.kid(real, fake)[0], abs=3 * distances.kid(real, fake)[1] + 1e-9)
    halves = [distances.kid(features(40, 5, s), features(40, 5, s + 100), subsets=2)[0] for s in range(200)]
    assert np.mean(halves) == pytest.approx(0, abs=4 * np.std(halves) / math.sqrt(200))  # unbiased: some are negative
    assert min(halves) < 0


# --- Inception score


def entropy(rows):
    return -np.sum(rows * np.log(np.maximum(rows, 1e-300)), axis=-1)


def test_inception_score_equals_the_difference_of_entropies():
    rows = scipy.special.softmax(features(100, 6, 0), axis=1)
    parts = rows.reshape(10, 10, 6)
    expected = np.exp(entropy(parts.mean(axis=1)) - entropy(parts).mean(axis=1))
    assert distances.inception_score(rows) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)


def test_inception_score_of_known_cases():
    certain = np.eye(4)[np.arange(80) % 4]
    assert distances.inception_score(certain) == pytest.approx((4, 0), abs=1e-12)
    assert distances.inception_score(np.full((20, 4), 0.25)) == pytest.approx((1, 0), abs=1e-12)
    by_class = certain[np.argsort(np.arange(80) % 4, kind="stable")]
    assert distances.inception_score(by_class, splits=4)[0] == pytest.approx(1)  # hence the docstring's advice to shuffle
    assert distances.inception_score(by_class, splits=1)[0] == pytest.approx(4)
    rows = scipy.special.softmax(features(30, 6, 0), axis=1)
    assert distances.inception_score(rows[::-1], splits=1) == pytest.approx(distances.inception_score(rows, splits=1), rel=1e-12)


# --- Precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, -0.5)])
def test_prdc_equals_the_package_prdc(k, scale, shift):
    real, fake = features(150, 6, 0), features(110, 6, 1, scale, shift)
    assert distances.prdc(real, fake, k) == pytest.approx(compute_prdc(real, fake, k), abs=1e-12)


def test_prdc_in_more_than_one_chunk(monkeypatch):
    real, fake = features(150, 6, 0), features(110, 6, 1)
    expected, chunks = distances.prdc(real, fake), []

    def small(*sides, working_memory):
        for chunk in chunked(*sides, working_memory=0.02):
            chunks.append(len(chunk))
            yield chunk

    chunked = sklearn.metrics.pairwise_distances_chunked
    monkeypatch.setattr(sklearn.metrics, "pairwise_distances_chunked", small)
    assert distances.prdc(real, fake) == expected
    assert len(chunks) > 3 and sum(chunks) == 150


def test_prdc_properties():
    real = features(100, 6, 0)
    assert distances.prdc(real, real[::-1]) == {"precision": 1, "recall": 1, "density": 1, "coverage": 1}
    assert distances.prdc(real, real + 1e3) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    collapsed = distances.prdc(real, np.repeat(real[:1] + 1e-3, 100, axis=0))
    assert collapsed["precision"] == 1 and collapsed["recall"] == 0 and 0 < collapsed["coverage"] < 0.3
    order = np.random.RandomState(0).permutation(100)
    fake = features(100, 6, 1)
    assert distances.prdc(real[order], fake[order[::-1]]) == distances.prdc(real, fake)


# --- Nearest neighbors


def test_nearest_neighbors_equal_those_of_a_tree():
    queries, references = features(80, 4, 0), features(70, 4, 1)
    expected, expected_indices = cKDTree(references).query(queries)
    nearest, indices = distances.nearest_neighbors(queries, references)
    np.testing.assert_allclose(nearest, expected, rtol=1e-12)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(distances.nearest_neighbors(references[::-1] + 0.0, references)[0], 0)  # exactly, for copies


def test_memorization():
    fake, train, unseen = features(80, 4, 0), features(600, 4, 1), features(60, 4, 2)
    expected = np.median(cKDTree(train).query(fake)[0]) / np.median(cKDTree(train).query(unseen)[0])
    assert distances.memorization(fake, train, unseen) == pytest.approx(expected, rel=1e-12)
    assert distances.memorization(fake, train, unseen) == pytest.approx(1, abs=0.2)
    assert distances.memorization(train[:50], train, unseen) == 0
    assert 0 < distances.memorization(train[:50] + 0.01, train, unseen) < 0.1


# --- Errors of the feature statistics


def broken(rows, value=np.nan):
    rows = rows.copy()
    rows[[1, 3], 0] = value
    return rows


A, WIDE, SAME = features(8, 3, 0), features(8, 4, 0), np.ones((8, 3))
FEATURE_ERRORS = [
    (lambda: distances.frechet(A[:1], A), "The Fréchet distance needs at least 2 real images; there are 1."),
    (lambda: distances.frechet(A, A[:0]), "The Fréchet distance needs at least 2 generated images; there are 0."),
    (lambda: distances.frechet(A, broken(A)), "The Fréchet distance: 2 of 8 generated images have values that are NaN or infinite."),
    (
        lambda: distances.frechet(distances.fit_gaussian(A), WIDE),
        "The Fréchet distance: the features differ in width: 3 (real), 4 (generated); take all of them from the same extractor.",
    ),
    (
        lambda: distances.frechet(A[None], A),
        "The Fréchet distance takes features [images, width]; those of the real images have shape [1, 8, 3].",
    ),
    (lambda: distances.kid(A, A[:1]), "KID needs at least 2 generated images; there are 1."),
    (lambda: distances.kid(broken(A, np.inf), A), "KID: 2 of 8 real images have values that are NaN or infinite."),
    (
        lambda: distances.kid(A, WIDE),
        "KID: the features differ in width: 3 (real), 4 (generated); take all of them from the same extractor.",
    ),
    (lambda: distances.kid(A, A, subsets=1), "KID's standard error needs at least 2 subsets; there are 1."),
    (lambda: distances.kid(A, A, size=1), "KID needs subsets of at least 2 images; size is 1."),
    (lambda: distances.inception_score(np.full((8, 2), 0.5)), "The inception score needs at least 20 generated images; there are 8."),
    (
        lambda: distances.inception_score(broken(A), splits=1),
        "The inception score: 2 of 8 generated images have values that are NaN or infinite.",
    ),
    (
        lambda: distances.inception_score(A, splits=1),
        "The inception score takes probabilities; these rows do not sum to 1, or some are negative (logits?).",
    ),
    (lambda: distances.prdc(A[:5], A), "Precision/recall needs at least 6 real images; there are 5."),
    (lambda: distances.prdc(A, broken(A)), "Precision/recall: 2 of 8 generated images have values that are NaN or infinite."),
    (lambda: distances.prdc(SAME, A), "Precision/recall needs neighborhoods: all 8 real images have the same features."),
    (lambda: distances.nearest_neighbors(A, A[:0]), "The nearest neighbor needs at least 1 reference images; there are 0."),
    (lambda: distances.nearest_neighbors(broken(A), A), "The nearest neighbor: 2 of 8 query images have values that are NaN or infinite."),
    (lambda: distances.memorization(A, A[:0], A), "Memorization needs at least 1 training images; there are 0."),
    (lambda: distances.memorization(A, A, broken(A)), "Memorization: 2 of 8 unseen images have values that are NaN or infinite."),
    (
        lambda: distances.memorization(A, A, A),
        "Memorization needs real images that were not used in training; most of these are training images.",
    ),
    (
        lambda: distances.memorization(A, A, WIDE),
        "Memorization: the features differ in width: 3 (generated), 3 (training), 4 (unseen); take all of them from the same extractor.",
    ),
]


@pytest.mark.parametrize("call, line", FEATURE_ERRORS)
def test_errors_of_feature_statistics(call, line):
    with pytest.raises(UserError) as raised:
        call()
    assert str(raised.value) == line
