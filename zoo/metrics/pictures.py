"""Numbers about images themselves: float32 [n, height, width, channels] in [0, 1], grey or colour.

Structural similarity is computed on the CPU, for a GPU's TensorFloat-32 would spoil its variances; it is that of each channel, averaged.
"""

import numpy as np
import tensorflow as tf
from scipy.ndimage import convolve1d
from scipy.spatial.distance import pdist

from zoo.errors import UserError
from zoo.metrics.distances import usable

BATCH = 256  # images at a time, to bound the memory


def _checked(statistic, smallest, least=1, **sets):
    """The sets as float32 [n, h, w, c]; raises UserError where one is not usable or under `smallest` px, or where their shapes differ."""
    sets = {kind: np.asarray(images, np.float32) for kind, images in sets.items()}
    for kind, images in sets.items():
        if images.ndim != 4:
            raise UserError(f"{statistic} takes images [n, height, width, channels]; the {kind} images have shape {list(images.shape)}.")
        usable(statistic, kind, images, least)
        if images.min() < -1e-3 or images.max() > 1 + 1e-3:
            raise UserError(f"{statistic} takes images in [0, 1]; the {kind} images reach from {images.min():.4g} to {images.max():.4g}.")
        if min(images.shape[1:3]) < smallest:
            raise UserError(f"{statistic} needs images of at least {smallest} px; these are {images.shape[1]}x{images.shape[2]}.")
    if len({images.shape for images in sets.values()}) > 1:
        shapes = ", ".join(f"{list(images.shape)} ({kind})" for kind, images in sets.items())
        raise UserError(f"{statistic} needs as many images of the same shape on either side; there are {shapes}.")
    return sets.values()


def _labels(statistic, labels, images):
    labels = np.asarray(labels)
    if labels.shape != (len(images),):
        raise UserError(f"{statistic} needs one label an image; there are {len(images)} images and labels of shape {list(labels.shape)}.")
    return labels


def _each_pair(function, first, second):
    """`function(first, second)` in batches, float32 [n]."""
    with tf.device("CPU:0"):
        parts = [function(first[at : at + BATCH], second[at : at + BATCH]).numpy() for at in range(0, len(first), BATCH)]
    return np.concatenate(parts)


def psnr(first, second):
    """Peak signal-to-noise ratio of each pair in dB, float32 [n]: -10 log10 of the mean squared error; infinite where they are equal.

    UserError: shapes that differ, NaN, values outside [0, 1]. Checked against skimage.metrics.peak_signal_noise_ratio.
    """
    first, second = _checked("PSNR", 1, first=first, second=second)
    return _each_pair(lambda a, b: tf.image.psnr(a, b, max_val=1.0), first, second)


def ssim(first, second):
    """Structural similarity of each pair, float32 [n] in (-1, 1]; 1: the same image. For images of at least 11 px.

    11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, where the window fits inside. UserError: as `psnr`, and images under 11 px.
    Wang et al. 2004, §III-B and C. Checked against skimage.metrics.structural_similarity.
    """
    first, second = _checked("SSIM", 11, first=first, second=second)
    return _each_pair(lambda a, b: tf.image.ssim(a, b, max_val=1.0), first, second)


WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the scales, finest first (Wang et al. 2003, §3.2)


def scales(height, width):
    """How many scales `ms_ssim` uses, 1 to 5: all five from 161 px; on the smallest, 11 px must be left. 28 and 32 px: 2; 64: 3; 128: 4."""
    return max(1, sum(-(-min(height, width) // 2**scale) >= 11 for scale in range(len(WEIGHTS))))


def ms_ssim(first, second):
    """Multi-scale structural similarity of each pair, float32 [n] in [0, 1]; 1: the same image. For images of at least 8 px.

    As `ssim` on each scale; a scale is the mean of 2x2 pixels of the one before (an odd last row is doubled); negative similarity counts 0.
    Below 161 px there are fewer scales (see `scales`), the first of the weights made to sum to 1; below 11 px the window is the largest odd
    one that fits, sigma shrunk with it: say how many scales, for numbers with others are not comparable.
    UserError: as `psnr`, and images under 8 px. Wang et al. 2003, eq. 7. Checked against an own scipy.ndimage version in the tests.
    """
    first, second = _checked("MS-SSIM", 8, first=first, second=second)
    height, width = first.shape[1:3]
    count, window = scales(height, width), min(11, (min(height, width) - 1) // 2 * 2 + 1)
    weights = WEIGHTS if count == len(WEIGHTS) else WEIGHTS[:count] / WEIGHTS[:count].sum()

    def similarity(a, b):
        return tf.image.ssim_multiscale(a, b, 1.0, tuple(weights), filter_size=window, filter_sigma=1.5 * window / 11)

    return _each_pair(similarity, first, second)


def class_similarity(images, labels, pairs=100, seed=0):
    """{label: mean MS-SSIM over `pairs` random pairs of distinct images of that class}; near 1: one picture a class.

    labels: [n]. UserError: a class of one image, labels that are not one an image, and as `ms_ssim`.
    Odena et al. 2016 (arXiv:1610.09585), §4.2. Checked against all pairs of a class.
    """
    (images,) = _checked("Class similarity", 8, sample=images)
    labels, draw = _labels("Class similarity", labels, images), np.random.default_rng(seed)
    first, second, classes = [], [], np.unique(labels)
    for label in classes:
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(f"Class similarity needs at least 2 images a class; class {label} has 1.")
        chosen = draw.integers(len(members), size=pairs)
        others = (chosen + draw.integers(1, len(members), size=pairs)) % len(members)
        first.append(members[chosen])
        second.append(members[others])
    found = ms_ssim(images[np.concatenate(first)], images[np.concatenate(second)]).reshape(len(classes), pairs)
    return dict(zip(classes.tolist(), found.mean(axis=1, dtype=np.float64).tolist()))


PATCH = 7
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def _blur(images):
    """5x5 binomial filter, mirrored at the border."""
    return convolve1d(convolve1d(images, BINOMIAL, axis=1, mode="mirror"), BINOMIAL, axis=2, mode="mirror")


def _laplacian(images, levels):
    """Laplacian pyramid (Burt & Adelson 1983), finest band first; an odd side is halved upwards."""
    bands = [images]
    for _ in range(levels - 1):
        fine, coarse = bands[-1], _blur(bands[-1])[:, ::2, ::2]
        spread = np.zeros_like(fine)
        spread[:, ::2, ::2] = coarse
        bands[-1:] = [fine - 4 * _blur(spread), coarse]
    return bands


def _descriptors(kind, images, levels, level, patches, seed):
    """Random 7x7 patches of one band of the pyramid, each channel made mean 0, variance 1: float32 [n * patches, 49 c]."""
    draw, parts = np.random.default_rng(seed), []
    for at in range(0, len(images), BATCH):
        windows = np.lib.stride_tricks.sliding_window_view(_laplacian(images[at : at + BATCH], levels)[level], (PATCH, PATCH), (1, 2))
        count, rows, columns = windows.shape[:3]
        shape = (count, patches)
        parts.append(windows[np.arange(count)[:, None], draw.integers(rows, size=shape), draw.integers(columns, size=shape)])
    found = np.concatenate(parts)  # [n, patches, c, 7, 7]
    axes = (0, 1, 3, 4)
    found -= found.mean(axes, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.square(found).mean(axes, keepdims=True, dtype=np.float64))
    if deviation.min() < 1e-6:  # rounding leaves up to 1e-7
        raise UserError(f"Sliced Wasserstein: a channel of the {kind} images has one value only, on pyramid level {level}.")
    found /= deviation.astype(np.float32)
    return found.reshape(len(images) * patches, -1)


def _sliced(first, second, directions):
    """Mean over directions [d, k] of the Wasserstein-1 distance of two sets [n, d] projected on each."""
    found = []
    for at in range(0, directions.shape[1], 16):  # at a time, to bound the memory
        one, other = (np.sort(directions[:, at : at + 16].T @ side.T) for side in (first, second))
        found.extend(np.abs(one - other).mean(axis=1, dtype=np.float64))
    return float(np.mean(found))


def sliced_wasserstein(real, fake, seed=0, smallest=16, patches=128, directions=512):
    """{resolution: 1000 x sliced Wasserstein distance} of 7x7 patches of a Laplacian pyramid, finest level first; 0: the same.

    Levels: the images' own size (the smaller side), halved upwards while `smallest` px are left, at least one; the last is the blurred
    image itself. `patches` random ones an image, at the same places on either side; each channel normalised over its own side, so that a
    level's brightness and contrast do not count; `directions` as the code's 4 x 128. As many images on either side, grey or colour: the
    distance falls as their number grows (published with 16,384).
    UserError: shapes or numbers that differ, under 7 px, NaN, values outside [0, 1], a level with one value only (blank images).
    Karras et al. 2017 (arXiv:1710.10196), §5. Checked against scipy.stats.wasserstein_distance on pyramids by scipy.signal.
    """
    real, fake = _checked("Sliced Wasserstein", PATCH, real=real, generated=fake)
    resolutions = [min(real.shape[1:3])]
    while (half := (resolutions[-1] + 1) // 2) >= max(smallest, PATCH):
        resolutions.append(half)
    found = {}
    for level, resolution in enumerate(resolutions):
        sides = [
            _descriptors(kind, side, len(resolutions), level, patches, [seed, level])
            for kind, side in [("real", real), ("generated", fake)]
        ]
        axes = np.random.default_rng([seed, level, 1]).standard_normal((sides[0].shape[1], directions)).astype(np.float32)
        found[resolution] = 1000 * _sliced(*sides, axes / np.linalg.norm(axes, axis=0))
    return found


def pairwise_distance(images, labels=None):
    """Mean root-mean-square pixel distance over all pairs of distinct images, in [0, 1]; 0: one picture only.

    With labels [n], over all pairs of the same label.
    UserError: no such pair, labels that are not one an image, NaN, values outside [0, 1]. Checked against plain loops.
    """
    (images,) = _checked("Pairwise distance", 1, least=2, sample=images)
    labels = np.zeros(len(images)) if labels is None else _labels("Pairwise distance", labels, images)
    flat = images.reshape(len(images), -1)
    found = np.concatenate([pdist(flat[labels == label]) for label in np.unique(labels)])
    if not len(found):
        raise UserError(f"Pairwise distance needs two images of the same label; there are {len(images)} images of as many labels.")
    return float(found.mean() / np.sqrt(flat.shape[1]))
