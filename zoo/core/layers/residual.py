"""Residual blocks, and the residual networks for 32x32 images (Gulrajani et al. 2017, appendix F)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor

from zoo.core.layers.convolution import downsample, upsample
from zoo.core.layers.normalization import norm_relu, plain_norm_relu
from zoo.core.layers.sizes import Size, resolutions

Convolution = Callable[[KerasTensor, int, int], KerasTensor]  # (x, filters, kernel) -> feature maps of the same size


def glorot_conv(x: KerasTensor, filters: int, kernel: int) -> KerasTensor:
    """Convolution of a residual block with Glorot's initialization (Gulrajani et al. 2017, appendix F).

    3x3 kernels, whose input is the output of a ReLU, get twice the variance.
    """
    scale = 2.0 if kernel == 3 else 1.0
    initializer = keras.initializers.VarianceScaling(scale, "fan_avg", "uniform")
    return keras.layers.Conv2D(filters, kernel, padding="same", kernel_initializer=initializer)(x)


def residual_up(
    x: KerasTensor, size: Size, filters: int, conv: Convolution, norm_relu: Callable[[KerasTensor], KerasTensor] = norm_relu
) -> KerasTensor:
    """Residual block that doubles the resolution: norm, ReLU, upsampling, 3x3 convolution, norm, ReLU, 3x3 convolution.

    Args:
        x: Feature maps [n, h, w, c].
        size: Height and width of the output; twice those of `x`, or one less.
        filters: Number of channels of the output.
        conv: Builds a convolution.
        norm_relu: Builds a normalization and its ReLU.
    """
    y = conv(upsample(norm_relu(x), size), filters, 3)
    y = conv(norm_relu(y), filters, 3)
    return keras.layers.Add()([y, conv(upsample(x, size), filters, 1)])


def residual_down(x: KerasTensor, filters: int, conv: Convolution, down: bool = True, first: bool = False) -> KerasTensor:
    """Residual block without normalization: ReLU, 3x3 convolution, ReLU, 3x3 convolution, average pooling.

    Args:
        x: Feature maps [n, h, w, c], or images for the first block.
        filters: Number of channels of the output.
        conv: Builds a convolution.
        down: Whether to halve the resolution.
        first: Whether this is the network's first block, which has no ReLU before its first convolution, and whose shortcut pools before it
            convolves.
    """
    y = conv(x if first else keras.layers.ReLU()(x), filters, 3)
    y = conv(keras.layers.ReLU()(y), filters, 3)
    if first:
        x = conv(downsample(x), filters, 1)
    elif down or x.shape[-1] != filters:
        x = conv(x, filters, 1)
        x = downsample(x) if down else x
    return keras.layers.Add()([downsample(y) if down else y, x])


def residual_generator(
    x: KerasTensor, image_shape: Sequence[int], width: int, norm_relu: Callable[[KerasTensor], KerasTensor]
) -> KerasTensor:
    """Residual generator up to the output activation (Gulrajani et al. 2017, appendix F).

    Args:
        x: Latent vectors [n, d].
        image_shape: Height, width and channels of the images.
        width: Number of channels of all blocks.
        norm_relu: Builds a normalization and its ReLU; the one before the last layer is always unconditional.

    Returns:
        Images before the output activation, [n, height, width, channels].
    """
    start, *sizes = resolutions(image_shape)
    x = keras.layers.Reshape((*start, width))(keras.layers.Dense(start[0] * start[1] * width)(x))
    for size in sizes:
        x = residual_up(x, size, width, glorot_conv, norm_relu)
    return keras.layers.Conv2D(image_shape[-1], 3, padding="same")(plain_norm_relu(x))


def residual_features(x: KerasTensor, width: int, conv: Convolution) -> KerasTensor:
    """Residual discriminator up to its pooling: four residual blocks, the first two of which halve the resolution."""
    for i, down in enumerate((True, True, False, False)):
        x = residual_down(x, width, conv, down, first=not i)
    return x
