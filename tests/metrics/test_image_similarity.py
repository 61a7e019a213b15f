"""Every statistic of images against an independent implementation, a hand-computed case or a closed form; every error message."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from zoo.errors import UserError
from zoo.metrics import image_similarity
from zoo.metrics.image_similarity import class_similarity, ms_ssim, num_scales, pairwise_distance, psnr, sliced_wasserstein, ssim

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
def test_psnr_equals_scikit_image(channels):
    first = images(3, (12, 20), channels)
    second = noisy(first, 0.1)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(psnr(first, second), expected, rtol=1e-5)


def test_psnr_of_known_cases():
    gray = np.full([1, 4, 4, 1], 0.5, np.float32)
    assert psnr(gray, gray + 0.1) == pytest.approx([20], abs=1e-4)
    assert psnr(gray, gray) == [np.inf]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [11, (16, 23)])
def test_ssim_equals_scikit_image(size, channels):
    first = images(4, size, channels)
    second = np.concatenate([noisy(first[:2], 0.1), images(2, size, channels, 5)])
    options = {"data_range": 1, "channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    # Its mean leaves out the 5 px at the border where the window reaches out.
    expected = [structural_similarity(a.astype(float), b.astype(float), **options) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ssim(first, second), expected, atol=1e-4)


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
def test_ms_ssim_equals_scipy(size):
    count, window = SCALES[size]
    weights = np.array(WEIGHTS[:count]) / (1 if count == 5 else sum(WEIGHTS[:count]))
    first = images(2, size, 2)
    second = np.concatenate([noisy(first[:1], 0.1), images(1, size, 2, 5)])
    expected = [
        np.mean([by_scipy(a[..., c].astype(float), b[..., c].astype(float), window, weights) for c in range(2)])
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(first, second), expected, atol=2e-4)
    assert num_scales(*first.shape[1:3]) == count


def test_ms_ssim_properties():
    first = images(300, 16, 1)  # more than one batch
    np.testing.assert_allclose(ms_ssim(first, first), 1, atol=1e-6)
    reversed_pairs = ms_ssim(first, first[::-1])
    np.testing.assert_allclose(reversed_pairs, reversed_pairs[::-1], atol=1e-6)
    np.testing.assert_allclose(reversed_pairs[[3, 290]], ms_ssim(first[[3, 290]], first[[296, 9]]), atol=1e-6)
    np.testing.assert_array_equal(ms_ssim(first[:2], 1 - first[:2]), 0)  # negatives: no similarity at all
    black = np.zeros([1, 28, 28, 1], np.float32)
    luminance = 0.01**2 / (1 + 0.01**2)  # the only factor that differs, on the last scale
    weight = 0.2856 / (0.0448 + 0.2856)
    assert ms_ssim(black, black + 1) == pytest.approx([luminance**weight], rel=1e-3)


def test_class_similarity():
    pool = images(9, 16, 1)
    labels = np.array([0, 0, 0, 2, 2, 0, 7, 7, 7])
    pool[6:] = pool[6]
    similarity = class_similarity(pool, labels, pairs=400)
    assert list(similarity) == [0, 2, 7]
    of_class = pool[labels == 0]
    first, second = np.nonzero(1 - np.eye(4))
    pairs = ms_ssim(of_class[first], of_class[second])
    assert similarity[0] == pytest.approx(pairs.mean(), abs=4 * float(pairs.std()) / math.sqrt(400))
    assert similarity[2] == pytest.approx(ms_ssim(pool[3:4], pool[4:5])[0], abs=1e-6)  # never an image with itself
    assert similarity[7] == pytest.approx(1, abs=1e-6)
    assert class_similarity(pool, labels, seed=4) == class_similarity(pool, labels, seed=4)
    assert class_similarity(pool, labels, seed=4) != class_similarity(pool, labels, seed=5)


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
def test_laplacian_pyramid_equals_scipy_signal(size):
    batch = images(2, size)
    bands = image_similarity._laplacian_pyramid(batch, 3)
    for image, channel in [(0, 0), (1, 2)]:
        for band, expected in zip(bands, pyramid(batch[image, :, :, channel].astype(float), 3), strict=True):
            np.testing.assert_allclose(band[image, :, :, channel], expected, atol=1e-6)


def all_patches(batch, levels, level):
    """Every 7x7 patch of a level, normalized per channel: float64 [patches, 49 c]."""
    channels = []
    for channel in range(batch.shape[-1]):
        planes = [pyramid(image[:, :, channel].astype(float), levels)[level] for image in batch]
        height, width = planes[0].shape
        cut = [plane[y : y + 7, x : x + 7].ravel() for plane in planes for y in range(height - 6) for x in range(width - 6)]
        channels.append((np.array(cut) - np.mean(cut)) / np.std(cut))
    return np.concatenate(channels, axis=1)


@pytest.mark.parametrize("size, smallest, resolutions", [(7, 16, [7]), (16, 8, [16, 8]), (25, 13, [25, 13])])
def test_sliced_wasserstein_equals_scipy(size, smallest, resolutions):
    real, fake = images(10, size, 2), np.random.RandomState(3).rand(10, size, size, 2).astype(np.float32)
    distances = sliced_wasserstein(real, fake, min_resolution=smallest, patches=400, directions=1000)
    assert list(distances) == resolutions
    draw = np.random.RandomState(0)
    for level, resolution in enumerate(resolutions):
        first, second = (all_patches(side, len(resolutions), level) for side in (real, fake))
        axes = draw.randn(first.shape[1], 600)
        one, other = (side @ (axes / np.linalg.norm(axes, axis=0)) for side in (first, second))
        each = [scipy.stats.wasserstein_distance(a, b) for a, b in zip(one.T, other.T, strict=True)]
        error = np.std(each) * math.sqrt(1 / 600 + 1 / 1000)
        assert error < 0.04 * np.mean(each)
        assert distances[resolution] == pytest.approx(1000 * np.mean(each), abs=4000 * error)


def test_descriptors_cover_all_patches():
    one_each = images(12, 7, 2)
    np.testing.assert_allclose(image_similarity._patch_descriptors("real", one_each, 1, 0, 1, 0), all_patches(one_each, 1, 0), atol=1e-5)
    counting = np.linspace(0, 1, 2 * 9 * 8, dtype=np.float32).reshape(2, 9, 8, 1)
    descriptors = image_similarity._patch_descriptors("real", counting, 1, 0, 200, 0)
    assert len(np.unique(descriptors, axis=0)) == 2 * 3 * 2 and len(descriptors) == 2 * 200


def test_sliced_distance_equals_scipys_wasserstein_distance():
    draw = np.random.RandomState(0)
    first, second, axes = draw.randn(50, 6), draw.randn(50, 6) + 1, draw.randn(6, 37)
    expected = np.mean([scipy.stats.wasserstein_distance(first @ axis, second @ axis) for axis in axes.T])
    assert image_similarity._sliced_distance(first, second, axes) == pytest.approx(expected, rel=1e-9)
    assert image_similarity._sliced_distance(first, first + 1, axes) == pytest.approx(
        np.abs(axes.sum(axis=0)).mean(), rel=1e-9
    )  # a shift is its length


@pytest.mark.parametrize("channels", [1, 3])
def test_sliced_wasserstein_properties(channels):
    real, fake = images(30, 32, channels), images(30, 32, channels, 1)
    fast = {"patches": 16, "directions": 64}
    assert list(sliced_wasserstein(real, real, **fast).items()) == [(32, 0), (16, 0)]
    distances = sliced_wasserstein(real, fake, **fast)
    assert distances == sliced_wasserstein(real, fake, **fast) != sliced_wasserstein(real, fake, seed=1, **fast)
    assert sliced_wasserstein(fake, real, **fast) == pytest.approx(distances, rel=1e-5)
    # Brightness and contrast are normalized away; pixel noise counts most on the finest level.
    assert max(sliced_wasserstein(real, real / 2 + 0.25, **fast).values()) < 0.01
    rough = sliced_wasserstein(real, noisy(real, 0.1), **fast)
    assert rough[32] > 1.5 * rough[16] > 0
    assert list(sliced_wasserstein(real[:, :28, :], fake[:, :28, :], **fast)) == [28]  # 14 is under 16


# --- Distance within a batch


def test_pairwise_distance_equals_loops():
    pool, labels = images(7, 5, 2), np.array([0, 1, 0, 1, 1, 2, 0])
    pairs = [(i, j) for i in range(7) for j in range(i)]
    apart = {(i, j): math.sqrt(np.mean((pool[i].astype(float) - pool[j]) ** 2)) for i, j in pairs}
    assert pairwise_distance(pool) == pytest.approx(np.mean(list(apart.values())), rel=1e-6)
    within = [apart[pair] for pair in pairs if labels[pair[0]] == labels[pair[1]]]
    assert pairwise_distance(pool, labels) == pytest.approx(np.mean(within), rel=1e-6)
    assert pairwise_distance(pool[::-1], labels[::-1]) == pytest.approx(np.mean(within), rel=1e-6)


def test_pairwise_distance_of_known_cases():
    black = np.zeros([2, 4, 6, 3], np.float32)
    assert pairwise_distance(black) == 0
    assert pairwise_distance(np.stack([black[0], black[0] + 0.5])) == pytest.approx(0.5)


# --- Errors of the image statistics

SMALL, GRAY, BIG = images(4, 8), images(4, 8, 1), images(4, 16)
NANS = SMALL.copy()
NANS[2, 0, 0, 0] = np.nan
ODD_SHAPES = "needs two sets of the same number and shape of images; there are [4, 8, 8, 3] ({}), [4, 8, 8, 1] ({})."
IMAGE_ERRORS = [
    (lambda: psnr(SMALL, GRAY), "PSNR " + ODD_SHAPES.format("first", "second")),
    (lambda: psnr(SMALL[:0], SMALL[:0]), "PSNR needs at least 1 first images; there are 0."),
    (
        lambda: psnr(SMALL[0], SMALL[0]),
        "PSNR takes images [n, height, width, channels]; the first images have shape [8, 8, 3].",
    ),
    (lambda: psnr(SMALL, NANS), "PSNR: 1 of 4 second images have values that are NaN or infinite."),
    (lambda: psnr(SMALL, 2 * SMALL - 1), "PSNR takes images in [0, 1]; the second images range from -1 to 1."),
    (lambda: ssim(SMALL, SMALL), "SSIM needs images of at least 11 px; these are 8x8."),
    (lambda: ms_ssim(SMALL[:, 1:], SMALL[:, 1:]), "MS-SSIM needs images of at least 8 px; these are 7x8."),
    (lambda: ms_ssim(SMALL, GRAY), "MS-SSIM " + ODD_SHAPES.format("first", "second")),
    (lambda: class_similarity(SMALL, [0, 0, 1, 0]), "Class similarity needs at least 2 images per class; class 1 has 1."),
    (
        lambda: class_similarity(SMALL, [0, 0, 1]),
        "Class similarity needs one label per image; there are 4 images and labels of shape [3].",
    ),
    (
        lambda: class_similarity(NANS, [0] * 4),
        "Class similarity: 1 of 4 sample images have values that are NaN or infinite.",
    ),
    (
        lambda: sliced_wasserstein(SMALL, SMALL[1:]),
        "Sliced Wasserstein " + ODD_SHAPES.replace("8, 1]", "8, 3]").replace("{}), [4", "{}), [3").format("real", "generated"),
    ),
    (
        lambda: sliced_wasserstein(SMALL[:, 2:], SMALL[:, 2:]),
        "Sliced Wasserstein needs images of at least 7 px; these are 6x8.",
    ),
    (
        lambda: sliced_wasserstein(BIG, np.full_like(BIG, 0.3), min_resolution=8),
        "Sliced Wasserstein: a channel of the generated images is constant on pyramid level 0.",
    ),
    (
        lambda: sliced_wasserstein(SMALL, NANS),
        "Sliced Wasserstein: 1 of 4 generated images have values that are NaN or infinite.",
    ),
    (lambda: pairwise_distance(SMALL[:1]), "Pairwise distance needs at least 2 sample images; there are 1."),
    (
        lambda: pairwise_distance(SMALL, [0, 1, 2, 3]),
        "Pairwise distance needs two images of the same label; there are 4 images with distinct labels.",
    ),
    (
        lambda: pairwise_distance(SMALL, [[0, 1, 2, 3]]),
        "Pairwise distance needs one label per image; there are 4 images and labels of shape [1, 4].",
    ),
    (lambda: pairwise_distance(NANS), "Pairwise distance: 1 of 4 sample images have values that are NaN or infinite."),
]


@pytest.mark.parametrize("call, line", IMAGE_ERRORS)
def test_errors_of_image_statistics(call, line):
    with pytest.raises(UserError) as raised:
        call()
    assert str(raised.value) == line
