"""PSNR and SSIM of super-resolution as the literature reports them (Ledig et al. 2016, §3.1): on luma, without a border of four pixels.

A held-out picture is cropped to sides that the upscaling factor divides, downsampled with the bicubic filter, and upscaled by the model,
and by the bicubic filter for comparison. With antialiasing and rounding the filter reproduces the published figures of Set5 and Set14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.metrics.registry import Metric, Score

if TYPE_CHECKING:
    from zoo.metrics.evaluation import Evaluation

BORDER = 4  # pixels at each edge that are not measured (§3.1)
SSIM_WINDOW = 11  # side of the Gaussian window
LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255  # weights of red, green and blue in [0, 1] (ITU-R BT.601, studio range)


class Upscaler(Protocol):
    """The interface of a model that the metrics of super-resolution require."""

    config: Any  # `image_shape`
    upscale_factor: int

    def upscale(self, picture: np.ndarray) -> np.ndarray:
        """Upscale a uint8 picture [h, w, channels] of any size by `upscale_factor`."""


def bicubic_resize(pictures: Any, size: tuple[int, int]) -> tf.Tensor:
    """Resize uint8 pictures [..., h, w, c] with the bicubic filter, antialiased where it shrinks them, and round: uint8 [..., *size, c]."""
    pictures = tf.image.resize(tf.cast(pictures, tf.float32), size, "bicubic", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(pictures), 0, 255), tf.uint8)


def convert_channels(pictures: Any, channels: int) -> Any:
    """Convert pictures [..., 1 or 3] to grayscale or RGB; unchanged if the number of channels is already right."""
    if pictures.shape[-1] == channels:
        return pictures
    return tf.image.grayscale_to_rgb(pictures) if channels == 3 else tf.image.rgb_to_grayscale(pictures)


def luma(picture: Any) -> tf.Tensor:
    """Return the luma of a uint8 picture [h, w, 1 or 3] without its border, float32 [1, h - 8, w - 8, 1] in [0, 1]."""
    unit = np.asarray(picture, np.float64)[None, BORDER:-BORDER, BORDER:-BORDER] / 255
    if unit.shape[-1] == 3:
        unit = 16 / 255 + np.sum(unit * LUMA_WEIGHTS, -1, keepdims=True)
    return tf.constant(unit, tf.float32)


def compare_luma(prediction: Any, target: Any) -> dict[str, float]:
    """Compute `psnr`, in dB, and `ssim` of the luma of a uint8 picture [h, w, 1 or 3] against another."""
    with tf.device("CPU:0"):  # the TensorFloat-32 of GPUs is too inaccurate for the variances
        first, second = luma(prediction), luma(target)
        return {"psnr": float(tf.image.psnr(first, second, 1.0)[0]), "ssim": float(tf.image.ssim(first, second, 1.0, SSIM_WINDOW)[0])}


def compute_upscaling_scores(evaluation: Evaluation, model: Upscaler) -> dict[str, Score]:
    """Compute the means over the held-out pictures of `psnr` and `ssim`, and of `bicubic_psnr` and `bicubic_ssim` for comparison.

    Pictures that are too small for one window of the SSIM are skipped; nothing is returned if all are.
    """
    scale = model.upscale_factor
    values: dict[str, list[float]] = {}
    for picture in evaluation.held_out["picture"]:
        height, width = (side // scale * scale for side in picture.shape[:2])
        if min(height, width) < SSIM_WINDOW + 2 * BORDER:
            continue
        target = convert_channels(tf.constant(picture[:height, :width]), model.config.image_shape[-1])
        low = bicubic_resize(target, (height // scale, width // scale))
        for prefix, prediction in (("", model.upscale(low.numpy())), ("bicubic_", bicubic_resize(low, (height, width)))):
            for name, value in compare_luma(prediction, target).items():
                values.setdefault(prefix + name, []).append(value)
    return {name: Score(float(np.mean(numbers))) for name, numbers in values.items()}


SUPER_RESOLUTION_METRICS = tuple(
    Metric(name, "higher", ("held_out",), compute_upscaling_scores, during_training=True)
    for name in ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim")
)
