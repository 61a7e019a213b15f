"""Every statistic against an independent implementation, a hand-computed case or a closed form; and every error's line."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
from prdc import compute_prdc
from scipy.spatial import cKDTree
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics.pairwise import polynomial_kernel

from zoo.errors import UserError
from zoo.metrics import distances, pictures


def features(count, width, seed, scale=1.0, shift=0.0):
    """Correlated Gaussian features."""
    draw = np.random.RandomState(seed)
    return draw.randn(count, width) @ np.random.RandomState(99).randn(width, width) * scale + shift


# --- Fréchet distance


def by_sqrtm(real, fake):
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(first + second - 2 * root)


@pytest.mark.parametrize("n_real, n_fake", [(300, 200), (40, 300)])
def test_frechet_as_by_sqrtm(n_real, n_fake):
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
    kept = distances.gaussian(real)
    np.testing.assert_allclose(kept.root.T @ kept.root, np.cov(real, rowvar=False), atol=1e-10)
    assert distances.frechet(kept, fake) == distances.frechet(real, fake)


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
    found = [distances.kid(real, fake, subsets=20, size=30, seed=seed) for seed in range(40)]
    means, errors = np.array(found).T
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


def test_inception_score_as_by_entropies():
    rows = scipy.special.softmax(features(100, 6, 0), axis=1)
    parts = rows.reshape(10, 10, 6)
    expected = np.exp(entropy(parts.mean(axis=1)) - entropy(parts).mean(axis=1))
    assert distances.inception_score(rows) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)


def test_inception_score_of_known_cases():
    certain = np.eye(4)[np.arange(80) % 4]
    assert distances.inception_score(certain) == pytest.approx((4, 0), abs=1e-12)
    assert distances.inception_score(np.full((20, 4), 0.25)) == pytest.approx((1, 0), abs=1e-12)
    by_class = certain[np.argsort(np.arange(80) % 4, kind="stable")]
    assert distances.inception_score(by_class, splits=4)[0] == pytest.approx(1)  # why the docstring says: shuffle
    assert distances.inception_score(by_class, splits=1)[0] == pytest.approx(4)
    rows = scipy.special.softmax(features(30, 6, 0), axis=1)
    assert distances.inception_score(rows[::-1], splits=1) == pytest.approx(distances.inception_score(rows, splits=1), rel=1e-12)


# --- Precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, -0.5)])
def test_manifold_as_the_package_prdc(k, scale, shift):
    real, fake = features(150, 6, 0), features(110, 6, 1, scale, shift)
    assert distances.manifold(real, fake, k) == pytest.approx(compute_prdc(real, fake, k), abs=1e-12)


def test_manifold_in_more_than_one_chunk(monkeypatch):
    real, fake = features(150, 6, 0), features(110, 6, 1)
    whole, chunks = distances.manifold(real, fake), []

    def small(*sides, working_memory):
        for chunk in chunked(*sides, working_memory=0.02):
            chunks.append(len(chunk))
            yield chunk

    chunked = distances.pairwise_distances_chunked
    monkeypatch.setattr(distances, "pairwise_distances_chunked", small)
    assert distances.manifold(real, fake) == whole
    assert len(chunks) > 3 and sum(chunks) == 150


def test_manifold_properties():
    real = features(100, 6, 0)
    assert distances.manifold(real, real[::-1]) == {"precision": 1, "recall": 1, "density": 1, "coverage": 1}
    assert distances.manifold(real, real + 1e3) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    collapsed = distances.manifold(real, np.repeat(real[:1] + 1e-3, 100, axis=0))
    assert collapsed["precision"] == 1 and collapsed["recall"] == 0 and 0 < collapsed["coverage"] < 0.3
    draw = np.random.RandomState(0).permutation(100)
    fake = features(100, 6, 1)
    assert distances.manifold(real[draw], fake[draw[::-1]]) == distances.manifold(real, fake)


# --- Nearest neighbours


def test_nearest_as_a_tree():
    queries, references = features(80, 4, 0), features(70, 4, 1)
    expected, where = cKDTree(references).query(queries)
    found, indices = distances.nearest(queries, references)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(indices, where)
    np.testing.assert_array_equal(distances.nearest(references[::-1] + 0.0, references)[0], 0)  # exactly, for copies


def test_memorisation():
    fake, train, unseen = features(80, 4, 0), features(600, 4, 1), features(60, 4, 2)
    expected = np.median(cKDTree(train).query(fake)[0]) / np.median(cKDTree(train).query(unseen)[0])
    assert distances.memorisation(fake, train, unseen) == pytest.approx(expected, rel=1e-12)
    assert distances.memorisation(fake, train, unseen) == pytest.approx(1, abs=0.2)
    assert distances.memorisation(train[:50], train, unseen) == 0
    assert 0 < distances.memorisation(train[:50] + 0.01, train, unseen) < 0.1


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
        lambda: distances.frechet(distances.gaussian(A), WIDE),
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
    (lambda: distances.manifold(A[:5], A), "Precision/recall needs at least 6 real images; there are 5."),
    (lambda: distances.manifold(A, broken(A)), "Precision/recall: 2 of 8 generated images have values that are NaN or infinite."),
    (lambda: distances.manifold(SAME, A), "Precision/recall needs neighbourhoods: all 8 real images have the same features."),
    (lambda: distances.nearest(A, A[:0]), "The nearest neighbour needs at least 1 reference images; there are 0."),
    (lambda: distances.nearest(broken(A), A), "The nearest neighbour: 2 of 8 query images have values that are NaN or infinite."),
    (lambda: distances.memorisation(A, A[:0], A), "Memorisation needs at least 1 training images; there are 0."),
    (lambda: distances.memorisation(A, A, broken(A)), "Memorisation: 2 of 8 unseen images have values that are NaN or infinite."),
    (
        lambda: distances.memorisation(A, A, A),
        "Memorisation needs real images that were not trained on; most of these are training images.",
    ),
    (
        lambda: distances.memorisation(A, A, WIDE),
        "Memorisation: the features differ in width: 3 (generated), 3 (training), 4 (unseen); take all of them from the same extractor.",
    ),
]


@pytest.mark.parametrize("call, line", FEATURE_ERRORS)
def test_errors_of_feature_statistics(call, line):
    with pytest.raises(UserError) as raised:
        call()
    assert str(raised.value) == line


# --- Pairs of images


def images(count, size, channels=3, seed=0):
    """Smooth random images in [0, 1]; size: a side, or (height, width)."""
    height, width = (size, size) if isinstance(size, int) else size
    noise = np.random.RandomState(seed).rand(count, height, width, channels)
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 1, 1, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def noisy(first, amount, seed=7):
    return np.clip(first + amount * np.random.RandomState(seed).randn(*first.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_as_scikit_image(channels):
    first = images(3, (12, 20), channels)
    second = noisy(first, 0.1)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(first, second)]
    np.testing.assert_allclose(pictures.psnr(first, second), expected, rtol=1e-5)


def test_psnr_of_known_cases():
    grey = np.full([1, 4, 4, 1], 0.5, np.float32)
    assert pictures.psnr(grey, grey + 0.1) == pytest.approx([20], abs=1e-4)
    assert pictures.psnr(grey, grey) == [np.inf]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [11, (16, 23)])
def test_ssim_as_scikit_image(size, channels):
    first = images(4, size, channels)
    second = np.concatenate([noisy(first[:2], 0.1), images(2, size, channels, 5)])
    options = {"data_range": 1, "channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    # Its mean leaves out the 5 px at the border where the window reaches out.
    expected = [structural_similarity(a.astype(float), b.astype(float), **options) for a, b in zip(first, second)]
    np.testing.assert_allclose(pictures.ssim(first, second), expected, atol=1e-4)


def gauss(window):
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets**2) / (2 * (1.5 * window / 11) ** 2))
    return np.outer(weights, weights) / weights.sum() ** 2


def by_scipy(first, second, window, weights):
    """Multi-scale similarity of two images of one channel."""
    total = 1.0
    for scale, weight in enumerate(weights):
        a, b, aa, bb, ab = (
            scipy.signal.convolve2d(x, gauss(window), "valid") for x in (first, second, first**2, second**2, first * second)
        )
        contrast = (2 * (ab - a * b) + 0.03**2) / (aa - a * a + bb - b * b + 0.03**2)
        last = scale == len(weights) - 1
        values = contrast * (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2) if last else contrast
        total *= max(values.mean(), 0) ** weight
        # 2x2 means, the border mirrored: Wang's imfilter(..., 'symmetric')(1:2:end, 1:2:end)
        first, second = (scipy.ndimage.uniform_filter(x, 2, mode="reflect", origin=-1)[::2, ::2] for x in (first, second))
    return total


WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
SCALES = {8: (1, 7), 9: (1, 9), 10: (1, 9), 11: (1, 11), 20: (1, 11), 21: (2, 11), 28: (2, 11), 32: (2, 11), 64: (3, 11), (43, 90): (3, 11)}
SCALES |= {128: (4, 11), 161: (5, 11)}


@pytest.mark.parametrize("size", SCALES)
def test_ms_ssim_as_by_scipy(size):
    count, window = SCALES[size]
    weights = np.array(WEIGHTS[:count]) / (1 if count == 5 else sum(WEIGHTS[:count]))
    first = images(2, size, 2)
    second = np.concatenate([noisy(first[:1], 0.1), images(1, size, 2, 5)])
    expected = [
        np.mean([by_scipy(a[..., c].astype(float), b[..., c].astype(float), window, weights) for c in range(2)])
        for a, b in zip(first, second)
    ]
    np.testing.assert_allclose(pictures.ms_ssim(first, second), expected, atol=2e-4)
    assert pictures.scales(*first.shape[1:3]) == count


def test_ms_ssim_properties():
    first = images(300, 16, 1)  # more than one batch
    np.testing.assert_allclose(pictures.ms_ssim(first, first), 1, atol=1e-6)
    found = pictures.ms_ssim(first, first[::-1])
    np.testing.assert_allclose(found, found[::-1], atol=1e-6)
    np.testing.assert_allclose(found[[3, 290]], pictures.ms_ssim(first[[3, 290]], first[[296, 9]]), atol=1e-6)
    np.testing.assert_array_equal(pictures.ms_ssim(first[:2], 1 - first[:2]), 0)  # negatives: no similarity at all
    black = np.zeros([1, 28, 28, 1], np.float32)
    luminance = 0.01**2 / (1 + 0.01**2)  # the only factor that differs, on the last scale
    weight = 0.2856 / (0.0448 + 0.2856)
    assert pictures.ms_ssim(black, black + 1) == pytest.approx([luminance**weight], rel=1e-3)


def test_class_similarity():
    pool = images(9, 16, 1)
    labels = np.array([0, 0, 0, 2, 2, 0, 7, 7, 7])
    pool[6:] = pool[6]
    found = pictures.class_similarity(pool, labels, pairs=400)
    assert list(found) == [0, 2, 7]
    of_class = pool[labels == 0]
    first, second = np.nonzero(1 - np.eye(4))
    pairs = pictures.ms_ssim(of_class[first], of_class[second])
    assert found[0] == pytest.approx(pairs.mean(), abs=4 * float(pairs.std()) / math.sqrt(400))
    assert found[2] == pytest.approx(pictures.ms_ssim(pool[3:4], pool[4:5])[0], abs=1e-6)  # never an image with itself
    assert found[7] == pytest.approx(1, abs=1e-6)
    assert pictures.class_similarity(pool, labels, seed=4) == pictures.class_similarity(pool, labels, seed=4)
    assert pictures.class_similarity(pool, labels, seed=4) != pictures.class_similarity(pool, labels, seed=5)


# --- Sliced Wasserstein distance

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def filtered(plane):
    return scipy.signal.convolve2d(np.pad(plane, 2, mode="reflect"), KERNEL, "valid")


def pyramid(plane, levels):
    """One channel of one image, float64."""
    bands = []
    for _ in range(levels - 1):
        small = filtered(plane)[::2, ::2]
        grown = np.zeros(plane.shape)
        grown[::2, ::2] = small
        bands.append(plane - 4 * filtered(grown))
        plane = small
    return [*bands, plane]


@pytest.mark.parametrize("size", [16, 25, (28, 31)])
def test_laplacian_pyramid_as_by_scipy_signal(size):
    batch = images(2, size)
    bands = pictures._laplacian(batch, 3)
    for image, channel in [(0, 0), (1, 2)]:
        for band, expected in zip(bands, pyramid(batch[image, :, :, channel].astype(float), 3), strict=True):
            np.testing.assert_allclose(band[image, :, :, channel], expected, atol=1e-6)


def all_patches(batch, levels, level):
    """Every 7x7 patch of a level, normalised per channel: float64 [patches, 49 c]."""
    channels = []
    for channel in range(batch.shape[-1]):
        planes = [pyramid(image[:, :, channel].astype(float), levels)[level] for image in batch]
        height, width = planes[0].shape
        cut = [plane[y : y + 7, x : x + 7].ravel() for plane in planes for y in range(height - 6) for x in range(width - 6)]
        channels.append((np.array(cut) - np.mean(cut)) / np.std(cut))
    return np.concatenate(channels, axis=1)


@pytest.mark.parametrize("size, smallest, resolutions", [(7, 16, [7]), (16, 8, [16, 8]), (25, 13, [25, 13])])
def test_sliced_wasserstein_as_by_scipy(size, smallest, resolutions):
    real, fake = images(10, size, 2), np.random.RandomState(3).rand(10, size, size, 2).astype(np.float32)
    found = pictures.sliced_wasserstein(real, fake, smallest=smallest, patches=400, directions=1000)
    assert list(found) == resolutions
    draw = np.random.RandomState(0)
    for level, resolution in enumerate(resolutions):
        first, second = (all_patches(side, len(resolutions), level) for side in (real, fake))
        axes = draw.randn(first.shape[1], 600)
        one, other = (side @ (axes / np.linalg.norm(axes, axis=0)) for side in (first, second))
        each = [scipy.stats.wasserstein_distance(a, b) for a, b in zip(one.T, other.T)]
        error = np.std(each) * math.sqrt(1 / 600 + 1 / 1000)
        assert error < 0.04 * np.mean(each)
        assert found[resolution] == pytest.approx(1000 * np.mean(each), abs=4000 * error)


def test_descriptors_are_all_the_patches_there_are():
    one_each = images(12, 7, 2)
    np.testing.assert_allclose(pictures._descriptors("real", one_each, 1, 0, 1, 0), all_patches(one_each, 1, 0), atol=1e-5)
    counting = np.linspace(0, 1, 2 * 9 * 8, dtype=np.float32).reshape(2, 9, 8, 1)
    found = pictures._descriptors("real", counting, 1, 0, 200, 0)
    assert len(np.unique(found, axis=0)) == 2 * 3 * 2 and len(found) == 2 * 200


def test_slices_as_scipys_wasserstein_distance():
    draw = np.random.RandomState(0)
    first, second, axes = draw.randn(50, 6), draw.randn(50, 6) + 1, draw.randn(6, 37)
    expected = np.mean([scipy.stats.wasserstein_distance(first @ axis, second @ axis) for axis in axes.T])
    assert pictures._sliced(first, second, axes) == pytest.approx(expected, rel=1e-9)
    assert pictures._sliced(first, first + 1, axes) == pytest.approx(np.abs(axes.sum(axis=0)).mean(), rel=1e-9)  # a shift is its length


@pytest.mark.parametrize("channels", [1, 3])
def test_sliced_wasserstein_properties(channels):
    real, fake = images(30, 32, channels), images(30, 32, channels, 1)
    few = {"patches": 16, "directions": 64}
    assert list(pictures.sliced_wasserstein(real, real, **few).items()) == [(32, 0), (16, 0)]
    found = pictures.sliced_wasserstein(real, fake, **few)
    assert found == pictures.sliced_wasserstein(real, fake, **few) != pictures.sliced_wasserstein(real, fake, seed=1, **few)
    assert pictures.sliced_wasserstein(fake, real, **few) == pytest.approx(found, rel=1e-5)
    # Brightness and contrast are normalised away; pixel noise is seen most on the finest level.
    assert max(pictures.sliced_wasserstein(real, real / 2 + 0.25, **few).values()) < 0.01
    rough = pictures.sliced_wasserstein(real, noisy(real, 0.1), **few)
    assert rough[32] > 1.5 * rough[16] > 0
    assert list(pictures.sliced_wasserstein(real[:, :28, :], fake[:, :28, :], **few)) == [28]  # 14 is under 16


# --- Distance within a batch


def test_pairwise_distance_as_by_loops():
    pool, labels = images(7, 5, 2), np.array([0, 1, 0, 1, 1, 2, 0])
    pairs = [(i, j) for i in range(7) for j in range(i)]
    apart = {(i, j): math.sqrt(np.mean((pool[i].astype(float) - pool[j]) ** 2)) for i, j in pairs}
    assert pictures.pairwise_distance(pool) == pytest.approx(np.mean(list(apart.values())), rel=1e-6)
    within = [apart[pair] for pair in pairs if labels[pair[0]] == labels[pair[1]]]
    assert pictures.pairwise_distance(pool, labels) == pytest.approx(np.mean(within), rel=1e-6)
    assert pictures.pairwise_distance(pool[::-1], labels[::-1]) == pytest.approx(np.mean(within), rel=1e-6)


def test_pairwise_distance_of_known_cases():
    black = np.zeros([2, 4, 6, 3], np.float32)
    assert pictures.pairwise_distance(black) == 0
    assert pictures.pairwise_distance(np.stack([black[0], black[0] + 0.5])) == pytest.approx(0.5)


# --- Errors of the image statistics

SMALL, GREY, BIG = images(4, 8), images(4, 8, 1), images(4, 16)
NANS = SMALL.copy()
NANS[2, 0, 0, 0] = np.nan
ODD_SHAPES = "needs as many images of the same shape on either side; there are [4, 8, 8, 3] ({}), [4, 8, 8, 1] ({})."
IMAGE_ERRORS = [
    (lambda: pictures.psnr(SMALL, GREY), "PSNR " + ODD_SHAPES.format("first", "second")),
    (lambda: pictures.psnr(SMALL[:0], SMALL[:0]), "PSNR needs at least 1 first images; there are 0."),
    (lambda: pictures.psnr(SMALL[0], SMALL[0]), "PSNR takes images [n, height, width, channels]; the first images have shape [8, 8, 3]."),
    (lambda: pictures.psnr(SMALL, NANS), "PSNR: 1 of 4 second images have values that are NaN or infinite."),
    (lambda: pictures.psnr(SMALL, 2 * SMALL - 1), "PSNR takes images in [0, 1]; the second images reach from -1 to 1."),
    (lambda: pictures.ssim(SMALL, SMALL), "SSIM needs images of at least 11 px; these are 8x8."),
    (lambda: pictures.ms_ssim(SMALL[:, 1:], SMALL[:, 1:]), "MS-SSIM needs images of at least 8 px; these are 7x8."),
    (lambda: pictures.ms_ssim(SMALL, GREY), "MS-SSIM " + ODD_SHAPES.format("first", "second")),
    (lambda: pictures.class_similarity(SMALL, [0, 0, 1, 0]), "Class similarity needs at least 2 images a class; class 1 has 1."),
    (
        lambda: pictures.class_similarity(SMALL, [0, 0, 1]),
        "Class similarity needs one label an image; there are 4 images and labels of shape [3].",
    ),
    (lambda: pictures.class_similarity(NANS, [0] * 4), "Class similarity: 1 of 4 sample images have values that are NaN or infinite."),
    (
        lambda: pictures.sliced_wasserstein(SMALL, SMALL[1:]),
        "Sliced Wasserstein " + ODD_SHAPES.replace("8, 1]", "8, 3]").replace("{}), [4", "{}), [3").format("real", "generated"),
    ),
    (
        lambda: pictures.sliced_wasserstein(SMALL[:, 2:], SMALL[:, 2:]),
        "Sliced Wasserstein needs images of at least 7 px; these are 6x8.",
    ),
    (
        lambda: pictures.sliced_wasserstein(BIG, np.full_like(BIG, 0.3), smallest=8),
        "Sliced Wasserstein: a channel of the generated images has one value only, on pyramid level 0.",
    ),
    (lambda: pictures.sliced_wasserstein(SMALL, NANS), "Sliced Wasserstein: 1 of 4 generated images have values that are NaN or infinite."),
    (lambda: pictures.pairwise_distance(SMALL[:1]), "Pairwise distance needs at least 2 sample images; there are 1."),
    (
        lambda: pictures.pairwise_distance(SMALL, [0, 1, 2, 3]),
        "Pairwise distance needs two images of the same label; there are 4 images of as many labels.",
    ),
    (
        lambda: pictures.pairwise_distance(SMALL, [[0, 1, 2, 3]]),
        "Pairwise distance needs one label an image; there are 4 images and labels of shape [1, 4].",
    ),
    (lambda: pictures.pairwise_distance(NANS), "Pairwise distance: 1 of 4 sample images have values that are NaN or infinite."),
]


@pytest.mark.parametrize("call, line", IMAGE_ERRORS)
def test_errors_of_image_statistics(call, line):
    with pytest.raises(UserError) as raised:
        call()
    assert str(raised.value) == line
