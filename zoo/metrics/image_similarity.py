"""Similarity of images: float32 [n, height, width, channels] in [0, 1], gray or color.

Structural similarity is computed on the CPU, since TensorFloat-32 on GPUs is too inaccurate for its variances. It is the mean
over channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from zoo.errors import UserError
from zoo.metrics.distances import check_rows

Array = npt.NDArray[np.float32]

BATCH = 256  # images processed at once, to bound the memory
MS_SSIM_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # weights of the scales, finest first (Wang et al. 2003, §3.2)
PATCH = 7  # pixels on a side of the patches of the sliced Wasserstein distance
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
DIRECTIONS_AT_ONCE = 16  # projections computed at once, to bound the memory


def _check_images(statistic: str, min_side: int, minimum: int = 1, **sets: npt.ArrayLike) -> list[Array]:
    """Returns the sets as float32 [n, h, w, c], or raises UserError if one is invalid, smaller than `min_side`, or their shapes differ."""
    images = {kind: np.asarray(values, np.float32) for kind, values in sets.items()}
    for kind, values in images.items():
        if values.ndim != 4:
            raise UserError(f"{statistic} takes images [n, height, width, channels]; the {kind} images have shape {list(values.shape)}.")
        check_rows(statistic, kind, values, minimum)
        if values.min() < -1e-3 or values.max() > 1 + 1e-3:
            raise UserError(f"{statistic} takes images in [0, 1]; the {kind} images range from {values.min():.4g} to {values.max():.4g}.")
        if min(values.shape[1:3]) < min_side:
            raise UserError(f"{statistic} needs images of at least {min_side} px; these are {values.shape[1]}x{values.shape[2]}.")
    if len({values.shape for values in images.values()}) > 1:
        shapes = ", ".join(f"{list(values.shape)} ({kind})" for kind, values in images.items())
        raise UserError(f"{statistic} needs two sets of the same number and shape of images; there are {shapes}.")
    return list(images.values())


def _check_labels(statistic: str, labels: npt.ArrayLike, images: Array) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (len(images),):
        raise UserError(f"{statistic} needs one label per image; there are {len(images)} images and labels of shape {list(labels.shape)}.")
    return labels


def _compare_pairs(function: Callable[[Array, Array], tf.Tensor], first: Array, second: Array) -> Array:
    """Applies `function` to the pairs in batches; float32 [n]."""
    with tf.device("CPU:0"):
        parts = [function(first[i : i + BATCH], second[i : i + BATCH]).numpy() for i in range(0, len(first), BATCH)]
    return np.concatenate(parts)


def psnr(first: npt.ArrayLike, second: npt.ArrayLike) -> Array:
    """Peak signal-to-noise ratio of each pair in dB, float32 [n]: -10 log10 of the mean squared error; infinite for equal images.

    Checked against skimage.metrics.peak_signal_noise_ratio.

    Raises:
        UserError: The shapes differ, or there are NaN or values outside [0, 1].
    """
    first, second = _check_images("PSNR", 1, first=first, second=second)
    return _compare_pairs(lambda a, b: tf.image.psnr(a, b, max_val=1.0), first, second)


def ssim(first: npt.ArrayLike, second: npt.ArrayLike) -> Array:
    """Structural similarity of each pair, float32 [n] in (-1, 1]; 1: the same image.

    11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, wherever the window fits inside. Wang et al. 2004, §III-B and C. Checked against
    skimage.metrics.structural_similarity.

    Raises:
        UserError: As `psnr`, or the images are smaller than 11 px.
    """
    first, second = _check_images("SSIM", 11, first=first, second=second)
    return _compare_pairs(lambda a, b: tf.image.ssim(a, b, max_val=1.0), first, second)


def num_scales(height: int, width: int) -> int:
    """Number of scales of `ms_ssim`, 1 to 5: the smallest scale has at least 11 px.

    All five from 161 px on; 28 and 32 px: 2; 64: 3; 128: 4.
    """
    return max(1, sum(-(-min(height, width) // 2**scale) >= 11 for scale in range(len(MS_SSIM_WEIGHTS))))


def ms_ssim(first: npt.ArrayLike, second: npt.ArrayLike) -> Array:
    """Multi-scale structural similarity of each pair, float32 [n] in [0, 1]; 1: the same image.

    As `ssim` on each scale; a scale averages 2x2 pixels of the one before (an odd last row is doubled); negative similarity counts as 0.
    Below 161 px there are fewer scales (see `num_scales`) and the first of the weights are normalized to sum to 1; below 11 px the window
    is the largest odd one that fits, with sigma scaled down accordingly. Report the number of scales: values with different numbers are
    not comparable. Wang et al. 2003, eq. 7. Checked against a scipy.ndimage version in the tests.

    Raises:
        UserError: As `psnr`, or the images are smaller than 8 px.
    """
    first, second = _check_images("MS-SSIM", 8, first=first, second=second)
    height, width = first.shape[1:3]
    count, window = num_scales(height, width), min(11, (min(height, width) - 1) // 2 * 2 + 1)
    weights = MS_SSIM_WEIGHTS if count == len(MS_SSIM_WEIGHTS) else MS_SSIM_WEIGHTS[:count] / MS_SSIM_WEIGHTS[:count].sum()

    def similarity(a: Array, b: Array) -> tf.Tensor:
        return tf.image.ssim_multiscale(a, b, 1.0, tuple(weights), filter_size=window, filter_sigma=1.5 * window / 11)

    return _compare_pairs(similarity, first, second)


def class_similarity(images: npt.ArrayLike, labels: npt.ArrayLike, pairs: int = 100, seed: int = 0) -> dict[int, float]:
    """Mean MS-SSIM within each class; close to 1: a single image per class.

    Odena et al. 2016 (arXiv:1610.09585), §4.2. Checked against all pairs of a class.

    Args:
        images: [n, h, w, c] in [0, 1].
        labels: [n].
        pairs: Random pairs of distinct images per class.
        seed: Seed of the pairs.

    Returns:
        Label -> mean similarity.

    Raises:
        UserError: A class has one image, the number of labels differs from that of the images, or as `ms_ssim`.
    """
    (samples,) = _check_images("Class similarity", 8, sample=images)
    labels, generator = _check_labels("Class similarity", labels, samples), np.random.default_rng(seed)
    first, second, classes = [], [], np.unique(labels)
    for label in classes:
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(f"Class similarity needs at least 2 images per class; class {label} has 1.")
        chosen = generator.integers(len(members), size=pairs)
        others = (chosen + generator.integers(1, len(members), size=pairs)) % len(members)
        first.append(members[chosen])
        second.append(members[others])
    similarity = ms_ssim(samples[np.concatenate(first)], samples[np.concatenate(second)]).reshape(len(classes), pairs)
    return dict(zip(classes.tolist(), similarity.mean(axis=1, dtype=np.float64).tolist(), strict=True))


def _blur(images: Array) -> Array:
    """5x5 binomial filter, mirrored at the border."""
    from scipy.ndimage import convolve1d

    return convolve1d(convolve1d(images, BINOMIAL, axis=1, mode="mirror"), BINOMIAL, axis=2, mode="mirror")


def _laplacian_pyramid(images: Array, levels: int) -> list[Array]:
    """Laplacian pyramid (Burt & Adelson 1983), finest band first; half of an odd side is rounded up."""
    bands = [images]
    for _ in range(levels - 1):
        fine, coarse = bands[-1], _blur(bands[-1])[:, ::2, ::2]
        upsampled = np.zeros_like(fine)
        upsampled[:, ::2, ::2] = coarse
        bands[-1:] = [fine - 4 * _blur(upsampled), coarse]
    return bands


def _patch_descriptors(kind: str, images: Array, levels: int, level: int, patches: int, seed: list[int] | int) -> Array:
    """Random 7x7 patches of one band of the pyramid, each channel normalized to mean 0, variance 1: float32 [n * patches, 49 c]."""
    generator, parts = np.random.default_rng(seed), []
    for i in range(0, len(images), BATCH):
        band = _laplacian_pyramid(images[i : i + BATCH], levels)[level]
        windows = np.lib.stride_tricks.sliding_window_view(band, (PATCH, PATCH), (1, 2))
        count, rows, columns = windows.shape[:3]
        shape = (count, patches)
        parts.append(windows[np.arange(count)[:, None], generator.integers(rows, size=shape), generator.integers(columns, size=shape)])
    descriptors = np.concatenate(parts)  # [n, patches, c, 7, 7]
    axes = (0, 1, 3, 4)
    descriptors -= descriptors.mean(axes, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.square(descriptors).mean(axes, keepdims=True, dtype=np.float64))
    if deviation.min() < 1e-6:  # rounding leaves up to 1e-7
        raise UserError(f"Sliced Wasserstein: a channel of the {kind} images is constant on pyramid level {level}.")
    descriptors /= deviation.astype(np.float32)
    return descriptors.reshape(len(images) * patches, -1)


def _sliced_distance(first: np.ndarray, second: np.ndarray, directions: np.ndarray) -> float:
    """Mean over directions [d, k] of the Wasserstein-1 distance of two sets [n, d] projected on each."""
    distances: list[float] = []
    for i in range(0, directions.shape[1], DIRECTIONS_AT_ONCE):
        one, other = (np.sort(directions[:, i : i + DIRECTIONS_AT_ONCE].T @ rows.T) for rows in (first, second))
        distances.extend(np.abs(one - other).mean(axis=1, dtype=np.float64))
    return float(np.mean(distances))


def sliced_wasserstein(
    real: npt.ArrayLike, fake: npt.ArrayLike, seed: int = 0, min_resolution: int = 16, patches: int = 128, directions: int = 512
) -> dict[int, float]:
    """1000 times the sliced Wasserstein distance of 7x7 patches of a Laplacian pyramid; 0: the same.

    The levels are the size of the images (the smaller side), halved (rounded up) while `min_resolution` px are left, at least one; the
    last is the blurred image itself. Patches have the same positions in both sets; each channel is normalized over its own set, so that the
    brightness and contrast of a level do not count. The distance falls as the number of images grows (published with 16,384).
    Karras et al. 2017 (arXiv:1710.10196), §5. Checked against scipy.stats.wasserstein_distance on pyramids by scipy.signal.

    Args:
        real: [n, h, w, c] in [0, 1], gray or color.
        fake: The same number of generated images, of the same shape.
        seed: Seed of the patches and directions.
        min_resolution: Size of the coarsest level, in pixels.
        patches: Random patches per image.
        directions: Random projections, as the authors' 4 x 128.

    Returns:
        Resolution of each level, finest first -> distance.

    Raises:
        UserError: Shapes or numbers differ, images are smaller than 7 px, there are NaN or values outside [0, 1], or a level is constant
            (blank images).
    """
    first, second = _check_images("Sliced Wasserstein", PATCH, real=real, generated=fake)
    resolutions = [min(first.shape[1:3])]
    while (half := (resolutions[-1] + 1) // 2) >= max(min_resolution, PATCH):
        resolutions.append(half)
    distances = {}
    for level, resolution in enumerate(resolutions):
        one, other = (
            _patch_descriptors(kind, images, len(resolutions), level, patches, [seed, level])
            for kind, images in [("real", first), ("generated", second)]
        )
        axes = np.random.default_rng([seed, level, 1]).standard_normal((one.shape[1], directions)).astype(np.float32)
        distances[resolution] = 1000 * _sliced_distance(one, other, axes / np.linalg.norm(axes, axis=0))
    return distances


def pairwise_distance(images: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> float:
    """Mean root-mean-square pixel distance over all pairs of distinct images, in [0, 1]; 0: all images are the same.

    Checked against plain loops.

    Args:
        images: [n, h, w, c] in [0, 1].
        labels: [n]; if given, only pairs of the same label count.

    Raises:
        UserError: There is no such pair, the number of labels differs from that of the images, NaN, or values outside [0, 1].
    """
    from scipy.spatial.distance import pdist

    (samples,) = _check_images("Pairwise distance", 1, minimum=2, sample=images)
    labels = np.zeros(len(samples)) if labels is None else _check_labels("Pairwise distance", labels, samples)
    flat = samples.reshape(len(samples), -1)
    distances = np.concatenate([pdist(flat[labels == label]) for label in np.unique(labels)])
    if not len(distances):
        raise UserError(f"Pairwise distance needs two images of the same label; there are {len(samples)} images with distinct labels.")
    return float(distances.mean() / np.sqrt(flat.shape[1]))
